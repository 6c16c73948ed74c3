"""An LSTM that reads the pictures of MNIST row by row: 28 steps of 28, 128 units.

    python examples/mnist_lstm.py --data MNIST_data                # three epochs: 1290 steps of 128
    python examples/mnist_lstm.py --data MNIST_data --unrolled     # the cell 28 times in the graph instead of a loop
"""

import common

import graphflow as tf

UNITS = 128
unrolled = {"action": "store_true", "help": "the cell once for every step, in place of a loop"}
args = common.arguments("An LSTM on the rows of MNIST.", data="digits", steps=1290, batch=128, more={"--unrolled": unrolled})
tf.set_random_seed(args.seed)
mnist = common.mnist(args.data, seed=args.seed)

x = tf.placeholder(tf.float32, [None, 784], name="x")
labels = tf.placeholder(tf.int64, [None], name="labels")
rows = tf.reshape(x, [-1, 28, 28])
cell = tf.nn.rnn_cell.LSTMCell(UNITS)
if args.unrolled:
    outputs, _ = tf.nn.static_rnn(cell, tf.unstack(rows, axis=1), dtype=tf.float32)
    last = outputs[-1]
else:
    _, state = tf.nn.dynamic_rnn(cell, rows, dtype=tf.float32)
    last = state.h
logits = tf.layers.dense(last, 10)

loss = tf.losses.sparse_softmax_cross_entropy(labels=labels, logits=logits)
train_step = tf.train.AdamOptimizer(2e-3).minimize(loss)
accuracy = tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), labels), tf.float32))

with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())

    def step(_):
        images, targets = mnist.train.next_batch(args.batch)
        return sess.run([loss, train_step], {x: images, labels: targets})[0]

    common.train(step, args.steps, args.log)

    def evaluate(images, targets):
        return sess.run(accuracy, {x: images, labels: targets})

    print("test accuracy %.4f" % common.mean_over(evaluate, mnist.test.images, mnist.test.labels))
