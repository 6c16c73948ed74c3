"""A convolutional net on MNIST: 5x5x32, pool, 5x5x64, pool, 1024 with dropout, 10.

    python examples/mnist_cnn.py --data MNIST_data        # one epoch: 550 steps of 100
"""

import common

import graphflow as tf

args = common.arguments("A convolutional net on MNIST.", data="digits", steps=550, batch=100)
tf.set_random_seed(args.seed)
mnist = common.mnist(args.data, one_hot=True, seed=args.seed)


def weight(*shape):
    """Small random values break the symmetry of the units."""
    return tf.Variable(tf.truncated_normal(shape, stddev=0.1))


def bias(size):
    """Slightly positive, so that no unit begins dead."""
    return tf.Variable(tf.constant(0.1, shape=[size]))


def layer(images, channels, filters):
    """Convolution, relu, and a pooling that halves the picture."""
    convolved = tf.nn.conv2d(images, weight(5, 5, channels, filters), strides=[1, 1, 1, 1], padding="SAME")
    return tf.nn.max_pool(tf.nn.relu(convolved + bias(filters)), ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="SAME")


x = tf.placeholder(tf.float32, [None, 784], name="x")
labels = tf.placeholder(tf.float32, [None, 10], name="labels")
keep_prob = tf.placeholder(tf.float32, name="keep_prob")
rate = tf.placeholder(tf.float32, name="rate")

pooled = layer(layer(tf.reshape(x, [-1, 28, 28, 1]), 1, 32), 32, 64)
flat = tf.reshape(pooled, [-1, 7 * 7 * 64])
hidden = tf.nn.relu(tf.matmul(flat, weight(7 * 7 * 64, 1024)) + bias(1024))
logits = tf.matmul(tf.nn.dropout(hidden, keep_prob), weight(1024, 10)) + bias(10)

loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits_v2(labels=labels, logits=logits))
train_step = tf.train.AdamOptimizer(rate).minimize(loss)
correct = tf.equal(tf.argmax(logits, 1), tf.argmax(labels, 1))
accuracy = tf.reduce_mean(tf.cast(correct, tf.float32))

with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())

    def step(k):
        images, targets = mnist.train.next_batch(args.batch)
        warmed = 1e-3 * min(1.0, (k + 1) / 250)  # Adam's means of the first steps know little yet
        return sess.run([loss, train_step], {x: images, labels: targets, keep_prob: 0.5, rate: warmed})[0]

    common.train(step, args.steps, args.log)

    def evaluate(images, targets):
        return sess.run(accuracy, {x: images, labels: targets, keep_prob: 1.0})

    print("test accuracy %.4f" % common.mean_over(evaluate, mnist.test.images, mnist.test.labels))
