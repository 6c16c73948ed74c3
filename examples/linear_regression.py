"""Linear regression: the weights of a sum from noisy examples, by gradient descent and, to check, by the normal equations.

    python examples/linear_regression.py
"""

import common
import numpy as np

import graphflow as tf

FEATURES, EXAMPLES, NOISE = 5, 2000, 0.1
args = common.arguments("Linear regression.", data="made up", steps=400, batch=50)
tf.set_random_seed(args.seed)
random = np.random.RandomState(args.seed)
true_weights = random.normal(0, 1, (FEATURES, 1))
points = random.normal(0, 1, (EXAMPLES, FEATURES)).astype(np.float32)
answers = (points.dot(true_weights) + 0.5 + random.normal(0, NOISE, (EXAMPLES, 1))).astype(np.float32)

x = tf.placeholder(tf.float32, [None, FEATURES], name="x")
y = tf.placeholder(tf.float32, [None, 1], name="y")
weights = tf.Variable(tf.zeros([FEATURES, 1]), name="weights")
bias = tf.Variable(tf.zeros([]), name="bias")
told = tf.matmul(x, weights) + bias
loss = tf.reduce_mean(tf.square(told - y))
# The mean of squares is a bowl: from anywhere the gradient leads to its one lowest point.
train_step = tf.train.GradientDescentOptimizer(0.05).minimize(loss)

with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())

    def step(_):
        chosen = random.randint(0, EXAMPLES, args.batch)
        return sess.run([loss, train_step], {x: points[chosen], y: answers[chosen]})[0]

    common.train(step, args.steps, args.log)
    found = np.append(sess.run(weights), sess.run(bias))
    exact = np.linalg.lstsq(np.c_[points, np.ones(EXAMPLES)], answers[:, 0], rcond=None)[0]
    print("weights and bias " + " ".join("%.4f" % w for w in found))
    print("least squares    " + " ".join("%.4f" % w for w in exact))
    print("mean squared error %.5f, of the noise alone %.5f" % (sess.run(loss, {x: points, y: answers}), NOISE**2))
