"""Transfer learning: what a net has learnt from the digits 0 to 4 helps it with 5 to 9, of which it sees only a few.

    python examples/transfer_learning.py --data MNIST_data

The first net is saved. The second restores its convolutions and leaves them as they are; only new last layers learn.
"""

import os
import tempfile

import common
import numpy as np

import graphflow as tf

FEW = 100
args = common.arguments("Transfer learning.", data="digits", steps=600, batch=50)
random = np.random.RandomState(args.seed)
mnist = common.mnist(args.data, seed=args.seed)
checkpoint = os.path.join(tempfile.mkdtemp(), "low_digits")


def convolutions(x):
    """What sees strokes and corners, whichever digit they are from."""
    with tf.variable_scope("convolutions"):
        layer = tf.reshape(x, [-1, 28, 28, 1])
        for filters in (16, 32):
            layer = tf.layers.conv2d(layer, filters, 5, padding="same", activation=tf.nn.relu)
            layer = tf.layers.max_pooling2d(layer, 2, 2)
        return tf.layers.flatten(layer)


def learn(name, images, digits, steps, restored):
    """Builds a net in a graph of its own, trains it, and gives the test accuracy among its five digits."""
    low = digits.min() // 5 * 5
    with tf.Graph().as_default(), tf.Session() as sess:
        tf.set_random_seed(args.seed)
        x = tf.placeholder(tf.float32, [None, 784], name="x")
        labels = tf.placeholder(tf.int64, [None], name="labels")
        with tf.variable_scope(name):
            logits = tf.layers.dense(tf.layers.dense(seen(x, restored), 64, tf.nn.relu), 5)
        loss = tf.losses.sparse_softmax_cross_entropy(labels=labels, logits=logits)
        # Variables that the optimizer is not given are frozen, and their gradients are never computed.
        learning = tf.trainable_variables(name if restored else None)
        train_step = tf.train.AdamOptimizer(1e-3).minimize(loss, var_list=learning)
        accuracy = tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), labels), tf.float32))
        sess.run(tf.global_variables_initializer())
        shared = tf.train.Saver(tf.trainable_variables("convolutions"))
        if restored:
            shared.restore(sess, checkpoint)

        def step(_):
            chosen = random.randint(0, len(images), args.batch)
            return sess.run([loss, train_step], {x: images[chosen], labels: digits[chosen] - low})[0]

        common.train(step, steps, args.log)
        if not os.path.isfile(checkpoint + ".index"):
            shared.save(sess, checkpoint, write_meta_graph=False)
        tested = mnist.test.labels // 5 * 5 == low
        evaluate = lambda some, targets: sess.run(accuracy, {x: some, labels: targets - low})  # noqa: E731
        return common.mean_over(evaluate, mnist.test.images[tested], mnist.test.labels[tested])


def seen(x, restored):
    """The convolutions, in a scope without a prefix so that both nets call their variables the same."""
    with tf.variable_scope(tf.VariableScope(reuse=False), auxiliary_name_scope=False):
        return convolutions(x)


is_low = mnist.train.labels < 5
print("digits 0 to 4")
low_accuracy = learn("low", mnist.train.images[is_low], mnist.train.labels[is_low], args.steps, False)
images, digits = mnist.train.images[~is_low][:FEW], mnist.train.labels[~is_low][:FEW]
print("digits 5 to 9, %d pictures, from the start" % FEW)
fresh = learn("high", images, digits, args.steps // 2, False)
print("digits 5 to 9, %d pictures, on what was learnt from 0 to 4" % FEW)
moved = learn("high", images, digits, args.steps // 2, True)
print("test accuracy 0 to 4: %.4f; 5 to 9 from the start: %.4f; with the other's convolutions: %.4f" % (low_accuracy, fresh, moved))
