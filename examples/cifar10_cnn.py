"""Three convolutions by tf.layers on CIFAR-10, fed in its own layout: rows of 3,072 bytes, channels first.

    python examples/cifar10_cnn.py --data cifar-10-batches-py
"""

import os
import pickle
import sys

import common
import numpy as np

import graphflow as tf

args = common.arguments("A convolutional net on CIFAR-10.", data="cifar-10-batches-py", steps=2000, batch=20, seed=4)
tf.set_random_seed(args.seed)


def read(name):
    """Rows in [-0.5, 0.5] and labels of one batch file."""
    with open(os.path.join(args.data, name), "rb") as stream:
        batch = pickle.load(stream, encoding="bytes")
    return batch[b"data"].astype(np.float32) / 255 - 0.5, np.array(batch[b"labels"], np.int64)


if not os.path.exists(os.path.join(args.data, "test_batch")):
    sys.exit("no CIFAR-10 in %r: unpack cifar-10-python.tar.gz and name its folder with --data" % args.data)
parts = [read("data_batch_%d" % k) for k in range(1, 6)]
train_images = np.concatenate([images for images, _ in parts])
train_labels = np.concatenate([labels for _, labels in parts])
test_images, test_labels = read("test_batch")

x = tf.placeholder(tf.float32, [None, 3072], name="x")
y = tf.placeholder(tf.int64, [None], name="y")
images = tf.transpose(tf.reshape(x, [-1, 3, 32, 32]), perm=[0, 2, 3, 1])
for number in (1, 2, 3):
    images = tf.layers.conv2d(images, 32, (3, 3), padding="same", activation=tf.nn.relu, name="conv%d" % number)
    images = tf.layers.max_pooling2d(images, (2, 2), (2, 2), name="pool%d" % number)
logits = tf.layers.dense(tf.layers.flatten(images), 10)

loss = tf.losses.sparse_softmax_cross_entropy(labels=y, logits=logits)
correct = tf.equal(tf.argmax(logits, 1), y)
accuracy = tf.reduce_mean(tf.cast(correct, tf.float32))
with tf.name_scope("train"):
    train_step = tf.train.AdamOptimizer(1e-3).minimize(loss)

chooser = np.random.RandomState(args.seed)
with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())

    def step(_):
        chosen = chooser.randint(len(train_images), size=args.batch)
        return sess.run([loss, train_step], {x: train_images[chosen], y: train_labels[chosen]})[0]

    common.train(step, args.steps, args.log)

    def evaluate(some_images, some_labels):
        return sess.run(accuracy, {x: some_images, y: some_labels})

    print("test accuracy %.4f" % common.mean_over(evaluate, test_images, test_labels))
