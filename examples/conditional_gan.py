"""A conditional GAN (Mirza & Osindero 2014, arXiv:1411.1784): both nets are told the digit, so that it can be chosen what is drawn.

    python examples/conditional_gan.py --data MNIST_data

Whether the drawn digits are the ones that were asked for is judged by a third net, which has learnt from real ones only.
"""

import common
import numpy as np

import graphflow as tf

CHANCE, HIDDEN = 64, 128
args = common.arguments("A net that draws the digit it is asked for.", data="digits", steps=5000, batch=100)
tf.set_random_seed(args.seed)
mnist = common.mnist(args.data, one_hot=True, seed=args.seed)
random = np.random.RandomState(args.seed)


def generator(chance, digits):
    """Pictures of the digits (one-hot)."""
    with tf.variable_scope("generator"):
        hidden = tf.layers.dense(tf.concat([chance, digits], 1), HIDDEN, tf.nn.relu)
        return tf.layers.dense(hidden, 784, tf.nn.sigmoid)


def discriminator(images, digits, reuse):
    """The logarithm of the odds that pictures are real and show the digits."""
    with tf.variable_scope("discriminator", reuse=reuse):
        hidden = tf.layers.dense(tf.concat([images, digits], 1), HIDDEN, tf.nn.leaky_relu)
        return tf.layers.dense(hidden, 1)


x = tf.placeholder(tf.float32, [None, 784], name="x")
digits = tf.placeholder(tf.float32, [None, 10], name="digits")
chance = tf.placeholder(tf.float32, [None, CHANCE], name="chance")
pictures = generator(chance, digits)
of_real, of_drawn = discriminator(x, digits, False), discriminator(pictures, digits, True)
cross_entropy = tf.losses.sigmoid_cross_entropy
# A judge that is to be nine tenths sure at most (smoothing halves the rest) never gets so far ahead that the generator learns nothing.
sure = cross_entropy(tf.ones_like(of_real), of_real, label_smoothing=0.2)
loss_of_judging = sure + cross_entropy(tf.zeros_like(of_drawn), of_drawn)
loss_of_drawing = cross_entropy(tf.ones_like(of_drawn), of_drawn)
judge = tf.train.AdamOptimizer(1e-3, beta1=0.5).minimize(loss_of_judging, var_list=tf.trainable_variables("discriminator"))
draw = tf.train.AdamOptimizer(1e-3, beta1=0.5).minimize(loss_of_drawing, var_list=tf.trainable_variables("generator"))

with tf.variable_scope("reader"):
    logits = tf.layers.dense(tf.layers.dense(x, HIDDEN, tf.nn.relu), 10)
reading = tf.losses.softmax_cross_entropy(digits, logits)
learn_to_read = tf.train.AdamOptimizer(2e-3).minimize(reading, var_list=tf.trainable_variables("reader"))
read = tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), tf.argmax(digits, 1)), tf.float32))

with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())

    def step(_):
        images, labels = mnist.train.next_batch(args.batch)
        fed = {x: images, digits: labels, chance: random.normal(0, 1, (args.batch, CHANCE))}
        sess.run([judge, learn_to_read], fed)
        return sess.run([loss_of_drawing, draw], fed)[0]

    common.train(step, args.steps, args.log)
    asked = np.eye(10)[np.arange(1000) % 10]
    made = sess.run(pictures, {digits: asked, chance: random.normal(0, 1, (1000, CHANCE))})
    print(common.drawn(made[:5]))
    print("%.4f of the drawn digits are read as what was asked for" % sess.run(read, {x: made, digits: asked}))
    print("%.4f of the real ones" % sess.run(read, {x: mnist.test.images, digits: mnist.test.labels}))
