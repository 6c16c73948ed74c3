"""A Wasserstein GAN with gradient penalty (Gulrajani et al. 2017, arXiv:1704.00028): learning from the gradient of a gradient.

    python examples/wgan_gp.py --data MNIST_data

The critic gives scores whose mean difference between real and drawn pictures measures how far apart the two are, if nowhere its slope is
steeper than 1. The slope is itself a gradient, by the pictures; that it is near 1 is part of the loss, whose gradient is by the variables.
"""

import common
import numpy as np

import graphflow as tf

CHANCE, HIDDEN, CRITIC_STEPS, PENALTY = 32, 128, 5, 10.0
args = common.arguments("A net that draws digits.", data="digits", steps=2000, batch=64)
tf.set_random_seed(args.seed)
mnist = common.mnist(args.data, seed=args.seed)
random = np.random.RandomState(args.seed)


def generator(chance):
    """Pictures from random numbers."""
    with tf.variable_scope("generator"):
        return tf.layers.dense(tf.layers.dense(chance, HIDDEN, tf.nn.relu), 784, tf.nn.sigmoid)


def critic(images):
    """A score for each picture, the higher the more real it looks."""
    with tf.variable_scope("critic", reuse=tf.AUTO_REUSE):
        hidden = tf.layers.dense(images, HIDDEN, tf.nn.leaky_relu, name="first")
        hidden = tf.layers.dense(hidden, HIDDEN, tf.nn.leaky_relu, name="second")
        return tf.squeeze(tf.layers.dense(hidden, 1, name="score"), 1)


x = tf.placeholder(tf.float32, [None, 784], name="x")
chance = tf.placeholder(tf.float32, [None, CHANCE], name="chance")
pictures = generator(chance)
distance = tf.reduce_mean(critic(x)) - tf.reduce_mean(critic(pictures))

# The slope is looked at on straight lines between real and drawn pictures, where the best critic has slope 1.
share = tf.random_uniform([tf.shape(x)[0], 1])
between = share * x + (1.0 - share) * pictures
slope = tf.norm(tf.gradients(critic(between), between)[0], axis=1)
critic_loss = PENALTY * tf.reduce_mean(tf.square(slope - 1.0)) - distance
criticise = tf.train.AdamOptimizer(1e-4, 0.5, 0.9).minimize(critic_loss, var_list=tf.trainable_variables("critic"))
draw = tf.train.AdamOptimizer(1e-4, 0.5, 0.9).minimize(distance, var_list=tf.trainable_variables("generator"))

with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())

    def fed():
        return {x: mnist.train.next_batch(args.batch)[0], chance: random.normal(0, 1, (args.batch, CHANCE))}

    def step(_):
        for _ in range(CRITIC_STEPS):  # the distance is only as good as the critic is
            loss, _ = sess.run([critic_loss, criticise], fed())
        sess.run(draw, fed())
        return loss

    common.train(step, args.steps, args.log)
    some = {x: mnist.test.images[:1000], chance: random.normal(0, 1, (len(mnist.test.images[:1000]), CHANCE))}
    print(common.drawn(sess.run(pictures, some)[:4]))
    print("distance %.3f, mean slope of the critic %.3f" % tuple(sess.run([distance, tf.reduce_mean(slope)], some)))
