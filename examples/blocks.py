"""Parts of nets that several examples use."""

import graphflow as tf


def inception(images, ones, threes, fives, pooled):
    """An inception block (Szegedy et al. 2014, arXiv:1409.4842): windows of four sizes side by side, joined along the channels.

    ones, pooled    filters of the 1x1 convolution, and of the one behind the pooling
    threes, fives   pairs: the 1x1 convolution in front, which makes the large windows cheap, and the 3x3 or 5x5 one
    """
    conv = lambda x, filters, size: tf.layers.conv2d(x, filters, size, padding="same", activation=tf.nn.relu)  # noqa: E731
    one = conv(images, ones, 1)
    three = conv(conv(images, threes[0], 1), threes[1], 3)
    five = conv(conv(images, fives[0], 1), fives[1], 5)
    largest = conv(tf.layers.max_pooling2d(images, 3, 1, padding="same"), pooled, 1)
    return tf.concat([one, three, five, largest], 3)
