"""A recurrent net that goes on with a wave: from 30 noisy points of a sine it tells the next 10.

    python examples/rnn_sine.py
"""

import common
import numpy as np

import graphflow as tf

READ, TOLD, UNITS = 30, 10, 32
args = common.arguments("Waves continued.", data="made up", steps=600, batch=64)
tf.set_random_seed(args.seed)
random = np.random.RandomState(args.seed)


def waves(count):
    """Points of sines of various lengths and beginnings: the noisy ones to read and the true ones to tell."""
    length = random.uniform(10, 30, (count, 1))
    begin = random.uniform(0, 2 * np.pi, (count, 1))
    points = np.sin(begin + 2 * np.pi * np.arange(READ + TOLD) / length)
    noisy = points[:, :READ] + random.normal(0, 0.1, (count, READ))
    return noisy[:, :, None].astype(np.float32), points[:, READ:].astype(np.float32)


x = tf.placeholder(tf.float32, [None, READ, 1], name="x")
wanted = tf.placeholder(tf.float32, [None, TOLD], name="wanted")
_, state = tf.nn.dynamic_rnn(tf.nn.rnn_cell.GRUCell(UNITS), x, dtype=tf.float32)
told = tf.layers.dense(state, TOLD)
loss = tf.losses.mean_squared_error(wanted, told)
train_step = tf.train.AdamOptimizer(5e-3).minimize(loss)

with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())

    def step(_):
        noisy, true = waves(args.batch)
        return sess.run([loss, train_step], {x: noisy, wanted: true})[0]

    common.train(step, args.steps, args.log)
    noisy, true = waves(2000)
    error = np.sqrt(sess.run(loss, {x: noisy, wanted: true}))
    print("root mean square error %.4f; of telling the last point read again %.4f" % (error, np.sqrt(np.mean((noisy[:, -1] - true) ** 2))))
