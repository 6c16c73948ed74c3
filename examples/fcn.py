"""A fully convolutional net (Long et al. 2015, arXiv:1411.4038): says of every pixel whether it is of a digit, and of a low or a high one.

    python examples/fcn.py --data MNIST_data

Pictures of 48x48 hold digits at random places in noise. Pooling makes them smaller twice, transposed convolutions larger again; what the
first layers saw is added on the way, because a pooled picture has forgotten where exactly the edges were.
"""

import common
import numpy as np

import graphflow as tf

SIZE, DIGITS = 48, 2
args = common.arguments("Digits found pixel by pixel.", data="digits", steps=400, batch=16)
tf.set_random_seed(args.seed)
random = np.random.RandomState(args.seed)
mnist = common.mnist(args.data, seed=args.seed)


def scenes(count, digits):
    """Pictures [count, SIZE, SIZE, 1] with DIGITS digits each, and the classes of their pixels: 0 nothing, 1 a digit below 5, 2 another."""
    pictures = random.uniform(0, 0.5, (count, SIZE, SIZE, 1)).astype(np.float32)
    classes = np.zeros((count, SIZE, SIZE), np.int32)
    for k in range(count):
        for number in random.randint(0, len(digits.images), DIGITS):
            top, left = random.randint(0, SIZE - 28, 2)
            digit = digits.images[number].reshape(28, 28)
            place = (k, slice(top, top + 28), slice(left, left + 28))
            pictures[place + (0,)] = np.maximum(pictures[place + (0,)], digit)
            classes[place] = np.where(digit > 0.5, 1 + (digits.labels[number] >= 5), classes[place])
    return pictures, classes


def convolved(images, filters):
    """Two convolutions that keep the size."""
    for _ in range(2):
        images = tf.layers.conv2d(images, filters, 3, padding="same", activation=tf.nn.relu)
    return images


x = tf.placeholder(tf.float32, [None, SIZE, SIZE, 1], name="x")
wanted = tf.placeholder(tf.int32, [None, SIZE, SIZE], name="wanted")
large = convolved(x, 16)
medium = convolved(tf.layers.max_pooling2d(large, 2, 2), 32)
small = convolved(tf.layers.max_pooling2d(medium, 2, 2), 64)
grown = tf.layers.conv2d_transpose(small, 32, 4, strides=2, padding="same", activation=tf.nn.relu)
grown = tf.layers.conv2d_transpose(grown + medium, 16, 4, strides=2, padding="same", activation=tf.nn.relu)
logits = tf.layers.conv2d(grown + large, 3, 1)  # a classifier for each pixel
loss = tf.losses.sparse_softmax_cross_entropy(labels=wanted, logits=logits)
train_step = tf.train.AdamOptimizer(2e-3).minimize(loss)
found = tf.argmax(logits, 3, output_type=tf.int32)

with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())

    def step(_):
        pictures, classes = scenes(args.batch, mnist.train)
        return sess.run([loss, train_step], {x: pictures, wanted: classes})[0]

    common.train(step, args.steps, args.log)
    pictures, classes = scenes(200, mnist.test)
    told = np.concatenate([sess.run(found, {x: pictures[k : k + 20]}) for k in range(0, len(pictures), 20)])
    print(common.drawn(np.stack([pictures[0, :, :, 0], classes[0] / 2, told[0] / 2]), SIZE))
    overlap = [np.sum((told == c) & (classes == c)) / np.sum((told == c) | (classes == c)) for c in range(3)]
    print("pixels right %.4f, mean of intersection over union %.4f" % (np.mean(told == classes), np.mean(overlap)))
