"""Softmax regression on MNIST: one matrix, one bias, plain gradient descent.

    python examples/mnist_softmax.py --data MNIST_data
"""

import common

import graphflow as tf

args = common.arguments("Softmax regression on MNIST.", data="digits", steps=1000, batch=100)
tf.set_random_seed(args.seed)
mnist = common.mnist(args.data, one_hot=True, seed=args.seed)

x = tf.placeholder(tf.float32, [None, 784], name="x")
labels = tf.placeholder(tf.float32, [None, 10], name="labels")
weights = tf.Variable(tf.zeros([784, 10]), name="weights")
bias = tf.Variable(tf.zeros([10]), name="bias")
logits = tf.matmul(x, weights) + bias

loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits_v2(labels=labels, logits=logits))
train_step = tf.train.GradientDescentOptimizer(0.5).minimize(loss)
correct = tf.equal(tf.argmax(logits, 1), tf.argmax(labels, 1))
accuracy = tf.reduce_mean(tf.cast(correct, tf.float32))

with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())

    def step(_):
        images, targets = mnist.train.next_batch(args.batch)
        return sess.run([loss, train_step], {x: images, labels: targets})[0]

    common.train(step, args.steps, args.log)
    print("test accuracy %.4f" % sess.run(accuracy, {x: mnist.test.images, labels: mnist.test.labels}))
