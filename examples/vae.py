"""A variational autoencoder (Kingma & Welling 2013, arXiv:1312.6114): an autoencoder that can also make pictures from chance.

    python examples/vae.py --data MNIST_data

The encoder gives a normal distribution for each picture instead of a point. What is decoded is drawn from it, and the distributions are
held near the standard normal one, so that in the end any point drawn from that decodes to a digit.
"""

import common
import numpy as np

import graphflow as tf

HIDDEN, CODE = 256, 16
args = common.arguments("A variational autoencoder.", data="digits", steps=2000, batch=100)
tf.set_random_seed(args.seed)
mnist = common.mnist(args.data, seed=args.seed)
random = np.random.RandomState(args.seed)

x = tf.placeholder(tf.float32, [None, 784], name="x")
with tf.variable_scope("encoder"):
    hidden = tf.layers.dense(x, HIDDEN, tf.nn.relu)
    mean = tf.layers.dense(hidden, CODE)
    log_variance = tf.layers.dense(hidden, CODE)
# Chance enters as an input of its own; the gradient goes to mean and variance past it.
code = mean + tf.exp(0.5 * log_variance) * tf.random_normal(tf.shape(mean))
with tf.variable_scope("decoder"):
    logits = tf.layers.dense(tf.layers.dense(code, HIDDEN, tf.nn.relu), 784)
pictures = tf.sigmoid(logits)

# The bound on the logarithm of a picture's probability: how well it is told, less how far its distribution is from the standard normal one.
told = tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(labels=x, logits=logits), 1)
distance = -0.5 * tf.reduce_sum(1.0 + log_variance - tf.square(mean) - tf.exp(log_variance), 1)
loss = tf.reduce_mean(told + distance)
train_step = tf.train.AdamOptimizer(1e-3).minimize(loss)

with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())

    def step(_):
        return sess.run([loss, train_step], {x: mnist.train.next_batch(args.batch)[0]})[0]

    common.train(step, args.steps, args.log)
    print(common.drawn(sess.run(pictures, {code: random.normal(0, 1, (4, CODE))})))  # any tensor can be fed, also one from the middle

    def evaluate(images, _):
        return sess.run(loss, {x: images})

    print("test bound %.2f nats a picture" % -common.mean_over(evaluate, mnist.test.images, mnist.test.images))
