"""AlexNet and GoogLeNet in full size, on pictures made up of noise: do they build, how large are they, how long does a step take?

    python examples/large_nets.py --net alexnet
    python examples/large_nets.py --net googlenet --batch 16
"""

import time

import blocks
import common
import numpy as np

import graphflow as tf

CLASSES = 1000
which = {"choices": ["alexnet", "googlenet"], "default": "alexnet", "help": "which net"}
side = {"type": int, "default": 224, "help": "height and width of the pictures"}
args = common.arguments("AlexNet and GoogLeNet.", data="made up", steps=3, batch=8, more={"--net": which, "--side": side})
tf.set_random_seed(args.seed)
random = np.random.RandomState(args.seed)


def conv(images, filters, size, stride=1):
    """A convolution with relu."""
    return tf.layers.conv2d(images, filters, size, stride, padding="same", activation=tf.nn.relu)


def pool(images):
    """Overlapping windows of 3x3, two apart."""
    return tf.layers.max_pooling2d(images, 3, 2, padding="same")


def alexnet(images):
    """Krizhevsky et al. 2012: five convolutions and three dense layers; 62 million weights, most of them in the first of these."""
    layer = pool(tf.nn.lrn(conv(images, 96, 11, 4), 2, 2.0, 1e-4, 0.75))
    layer = pool(tf.nn.lrn(conv(layer, 256, 5), 2, 2.0, 1e-4, 0.75))
    layer = tf.layers.flatten(pool(conv(conv(conv(layer, 384, 3), 384, 3), 256, 3)))
    for _ in range(2):
        layer = tf.layers.dropout(tf.layers.dense(layer, 4096, tf.nn.relu), 0.5, training=True)
    return tf.layers.dense(layer, CLASSES)


def googlenet(images):
    """Szegedy et al. 2014: nine inception blocks and one small last layer; deeper, and with a ninth of the weights."""
    layer = pool(conv(images, 64, 7, 2))
    layer = pool(conv(conv(layer, 64, 1), 192, 3))
    layer = blocks.inception(layer, 64, (96, 128), (16, 32), 32)
    layer = pool(blocks.inception(layer, 128, (128, 192), (32, 96), 64))
    layer = blocks.inception(layer, 192, (96, 208), (16, 48), 64)
    layer = blocks.inception(layer, 160, (112, 224), (24, 64), 64)
    layer = blocks.inception(layer, 128, (128, 256), (24, 64), 64)
    layer = blocks.inception(layer, 112, (144, 288), (32, 64), 64)
    layer = pool(blocks.inception(layer, 256, (160, 320), (32, 128), 128))
    layer = blocks.inception(layer, 256, (160, 320), (32, 128), 128)
    layer = blocks.inception(layer, 384, (192, 384), (48, 128), 128)
    return tf.layers.dense(tf.layers.dropout(tf.reduce_mean(layer, [1, 2]), 0.4, training=True), CLASSES)


x = tf.placeholder(tf.float32, [None, args.side, args.side, 3], name="x")
labels = tf.placeholder(tf.int64, [None], name="labels")
logits = {"alexnet": alexnet, "googlenet": googlenet}[args.net](x)
loss = tf.losses.sparse_softmax_cross_entropy(labels=labels, logits=logits)
train_step = tf.train.MomentumOptimizer(0.01, 0.9).minimize(loss)
weights = sum(int(np.prod(v.shape.as_list())) for v in tf.trainable_variables())
print("%s: %d weights in %d variables" % (args.net, weights, len(tf.trainable_variables())))

with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    seconds = []

    def step(_):
        pictures = random.uniform(-1, 1, (args.batch, args.side, args.side, 3)).astype(np.float32)
        classes = random.randint(0, CLASSES, args.batch)
        start = time.time()
        value, _ = sess.run([loss, train_step], {x: pictures, labels: classes})
        seconds.append(time.time() - start)
        return value

    common.train(step, args.steps, 1)
    print("fastest step %.3f s" % min(seconds))
