"""Logistic regression: one weight a pixel tells odd digits from even ones, with a penalty on large weights.

    python examples/logistic_regression.py --data MNIST_data
"""

import common

import graphflow as tf

penalty = {"type": float, "default": 1e-4, "help": "of the squared weights"}
args = common.arguments("Odd or even digits.", data="digits", steps=1000, batch=100, more={"--penalty": penalty})
tf.set_random_seed(args.seed)
mnist = common.mnist(args.data, seed=args.seed)

x = tf.placeholder(tf.float32, [None, 784], name="x")
digits = tf.placeholder(tf.int64, [None], name="digits")
odd = tf.cast(digits % 2, tf.float32)
weights = tf.Variable(tf.zeros([784, 1]), name="weights")
bias = tf.Variable(tf.zeros([1]), name="bias")
# The sum is the logarithm of the odds: sigmoid(logits) is the probability of an odd digit. The loss takes the logits themselves, since the
# logarithm of a sigmoid that has become 0 is infinite.
logits = tf.squeeze(tf.matmul(x, weights) + bias, 1)
likelihood = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=odd, logits=logits))
loss = likelihood + args.penalty * tf.nn.l2_loss(weights)
train_step = tf.train.MomentumOptimizer(0.1, 0.9).minimize(loss)
right = tf.equal(tf.cast(logits > 0, tf.float32), odd)
accuracy = tf.reduce_mean(tf.cast(right, tf.float32))

with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())

    def step(_):
        images, targets = mnist.train.next_batch(args.batch)
        return sess.run([loss, train_step], {x: images, digits: targets})[0]

    common.train(step, args.steps, args.log)

    def evaluate(images, targets):
        return sess.run(accuracy, {x: images, digits: targets})

    print("test accuracy %.4f" % common.mean_over(evaluate, mnist.test.images, mnist.test.labels))
