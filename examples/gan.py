"""A generative adversarial net (Goodfellow et al. 2014, arXiv:1406.2661): one net draws digits, the other tells them from real ones.

    python examples/gan.py --data MNIST_data
"""

import common
import numpy as np

import graphflow as tf

CHANCE, HIDDEN = 64, 128
args = common.arguments("A net that draws digits.", data="digits", steps=5000, batch=100)
tf.set_random_seed(args.seed)
mnist = common.mnist(args.data, seed=args.seed)
random = np.random.RandomState(args.seed)


def generator(chance):
    """Pictures from random numbers."""
    with tf.variable_scope("generator"):
        hidden = tf.layers.dense(chance, HIDDEN, tf.nn.leaky_relu)
        return tf.layers.dense(hidden, 784, tf.nn.sigmoid)


def discriminator(images, reuse):
    """The logarithm of the odds that pictures are real. Called twice, for real and for drawn ones, with one set of variables."""
    with tf.variable_scope("discriminator", reuse=reuse):
        hidden = tf.layers.dense(images, HIDDEN, tf.nn.leaky_relu)
        return tf.squeeze(tf.layers.dense(hidden, 1), 1)


def cross_entropy(logits, real):
    """What it costs to judge like this if all of the pictures are real, or none."""
    labels = tf.ones_like(logits) if real else tf.zeros_like(logits)
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits))


x = tf.placeholder(tf.float32, [None, 784], name="x")
chance = tf.placeholder(tf.float32, [None, CHANCE], name="chance")
pictures = generator(chance)
of_real, of_drawn = discriminator(x, False), discriminator(pictures, True)
loss_of_judging = cross_entropy(of_real, True) + cross_entropy(of_drawn, False)
# The generator wants its pictures taken for real. (Wanting them *not taken for drawn* is the same aim, but has no slope when it fails.)
loss_of_drawing = cross_entropy(of_drawn, True)
# Each net learns at its own loss with its own variables; the gradient of the second goes through the discriminator without changing it.
judge = tf.train.AdamOptimizer(2e-4, beta1=0.5).minimize(loss_of_judging, var_list=tf.trainable_variables("discriminator"))
draw = tf.train.AdamOptimizer(2e-4, beta1=0.5).minimize(loss_of_drawing, var_list=tf.trainable_variables("generator"))
taken = [tf.reduce_mean(tf.cast(odds > 0, tf.float32)) for odds in (of_real, of_drawn)]

with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())

    def step(_):
        sess.run(judge, {x: mnist.train.next_batch(args.batch)[0], chance: random.normal(0, 1, (args.batch, CHANCE))})
        return sess.run([loss_of_drawing, draw], {chance: random.normal(0, 1, (args.batch, CHANCE))})[0]

    common.train(step, args.steps, args.log)
    some = random.normal(0, 1, (1000, CHANCE))
    print(common.drawn(sess.run(pictures, {chance: some[:4]})))
    shares = sess.run(taken, {x: mnist.test.images[:1000], chance: some})
    print("taken for real: %.3f of the real pictures, %.3f of the drawn ones" % tuple(shares))
