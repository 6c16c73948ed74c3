"""What small programs compute: random ops with graph and op seeds over several runs, initializers, layers, optimizers over several steps.

A program takes `tf`, builds in the default graph, and gives a list of arrays.
"""

from __future__ import annotations

import numpy as np

PROGRAMS = {}


def _runs(fetches, times, tf, init=False):
    with tf.Session() as session:
        if init:
            session.run(tf.global_variables_initializer())
        return [np.asarray(value) for _ in range(times) for value in session.run(fetches)]


def _drawn(build, graph_seed):
    def program(tf):
        tf.set_random_seed(graph_seed)
        return _runs(build(tf), 2, tf)

    return program


RANDOM = {
    "raw": lambda tf: [
        tf.raw_ops.RandomUniform(shape=[2, 5], dtype=t, seed=3, seed2=s) for t in ("float32", "float64", "float16") for s in (0, 9)
    ] + [tf.raw_ops.RandomStandardNormal(shape=[7], dtype=t, seed=3, seed2=5) for t in ("float32", "float64", "float16")]
    + [tf.raw_ops.TruncatedNormal(shape=[4, 3], dtype=t, seed=0, seed2=5) for t in ("float32", "float64", "float16")],
    "uniform": lambda tf: [tf.random.uniform([3, 4], -2, 5, seed=4), tf.random.uniform([], seed=4), tf.random.uniform([0, 3], seed=1)],
    "whole": lambda tf: [tf.random.uniform([9], -7, 100, tf.int32, seed=4), tf.random.uniform([9], 0, 3, tf.int64, seed=4)],
    "normal": lambda tf: [tf.random.normal([3, 5], 1.0, 2.0, seed=2), tf.random.normal([4], dtype=tf.float64)],
    "truncated": lambda tf: [tf.random.truncated_normal([33], stddev=0.1, seed=2), tf.random.truncated_normal([5], dtype=tf.float64)],
    "shuffle": lambda tf: [tf.random.shuffle(tf.range(n), seed=6) for n in (1, 2, 17)] + [tf.random.shuffle(tf.zeros([0, 2]), seed=6)],
    "multinomial": lambda tf: [tf.random.multinomial(tf.log([[0.2, 0.3, 0.5], [0.9, 0.05, 0.05]]), 8, seed=4)],
    "categorical": lambda tf: [tf.random.categorical([[0.0, 1.0, 2.0]], 6, dtype=tf.int32, seed=1)],
    "crop": lambda tf: [tf.random_crop(tf.reshape(tf.range(60), [5, 4, 3]), [2, 3, 3], seed=8)],
    "dropout": lambda tf: [tf.nn.dropout(tf.ones([4, 5]), 0.7, seed=3), tf.nn.dropout(tf.ones([3, 4]), rate=0.5, noise_shape=[3, 1], seed=5)],
    "flips": lambda tf: [tf.image.random_flip_left_right(tf.reshape(tf.range(12.0), [2, 3, 2]), seed=3),
                         tf.image.random_flip_up_down(tf.reshape(tf.range(12.0), [2, 3, 2]), seed=4)],
    "brightness": lambda tf: [tf.image.random_brightness(tf.ones([2, 2, 3]), 0.5, seed=3)],
    "contrast": lambda tf: [tf.image.random_contrast(tf.reshape(tf.range(12.0), [2, 2, 3]), 0.2, 1.8, seed=3)],
    "unseeded ops": lambda tf: [tf.random.uniform([2]), tf.random.normal([2]), tf.random.uniform([2])],
}  # fmt: skip
for name, build in RANDOM.items():
    for graph_seed in (0, 87654321):
        PROGRAMS["random/%s/%d" % (name, graph_seed)] = _drawn(build, graph_seed)

INITIALIZERS = {
    "zeros": lambda tf: tf.zeros_initializer(), "ones": lambda tf: tf.ones_initializer(), "constant": lambda tf: tf.constant_initializer(0.25),
    "list": lambda tf: tf.constant_initializer([[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]]),
    "uniform": lambda tf: tf.random_uniform_initializer(-0.5, 0.5, seed=2), "normal": lambda tf: tf.random_normal_initializer(1.0, 0.5, seed=2),
    "truncated": lambda tf: tf.truncated_normal_initializer(stddev=0.1, seed=2), "unit": lambda tf: tf.uniform_unit_scaling_initializer(1.5, seed=2),
    "scaling": lambda tf: tf.variance_scaling_initializer(2.0, "fan_avg", "uniform", seed=2),
    "scaling out": lambda tf: tf.variance_scaling_initializer(2.0, "fan_out", "untruncated_normal", seed=2),
    "glorot uniform": lambda tf: tf.glorot_uniform_initializer(seed=2), "glorot normal": lambda tf: tf.glorot_normal_initializer(seed=2),
    "he normal": lambda tf: tf.initializers.he_normal(seed=2), "he uniform": lambda tf: tf.initializers.he_uniform(seed=2),
    "lecun normal": lambda tf: tf.initializers.lecun_normal(seed=2), "lecun uniform": lambda tf: tf.initializers.lecun_uniform(seed=2),
    "xavier": lambda tf: tf.contrib.layers.xavier_initializer(seed=2), "xavier normal": lambda tf: tf.contrib.layers.xavier_initializer(False, seed=2),
    "graph seed": lambda tf: tf.truncated_normal_initializer(), "default": lambda tf: None,
}  # fmt: skip


def _initialized(make):
    def program(tf):
        tf.set_random_seed(11)
        initializer = make(tf)
        v = [tf.get_variable("a", [4, 3], initializer=initializer), tf.get_variable("b", [4, 3], tf.float64, initializer=initializer)]
        return _runs(v, 1, tf, init=True)

    return program


for name, make in INITIALIZERS.items():
    PROGRAMS["initializers/" + name] = _initialized(make)

LAYERS = {
    "dense": lambda tf, x: tf.layers.dense(tf.layers.flatten(x), 5, tf.nn.relu),
    "conv1d": lambda tf, x: tf.layers.conv1d(x[:, 0], 4, 3, padding="same"),
    "conv2d": lambda tf, x: tf.layers.conv2d(x, 4, 3, strides=2, padding="same", activation=tf.nn.elu),
    "conv2d_transpose": lambda tf, x: tf.layers.conv2d_transpose(x, 3, [3, 2], strides=2, padding="valid"),
    "separable_conv2d": lambda tf, x: tf.layers.separable_conv2d(x, 4, 3, depth_multiplier=2),
    "max_pooling2d": lambda tf, x: tf.layers.max_pooling2d(x, 2, 2), "average_pooling2d": lambda tf, x: tf.layers.average_pooling2d(x, 3, 1, "same"),
    "batch_normalization": lambda tf, x: tf.layers.batch_normalization(x, training=True),
    "batch_normalization of rows": lambda tf, x: tf.layers.batch_normalization(tf.layers.flatten(x), training=True, renorm=False),
    "dropout": lambda tf, x: tf.layers.dropout(x, 0.4, training=True, seed=3),
    "contrib fully_connected": lambda tf, x: tf.contrib.layers.fully_connected(tf.contrib.layers.flatten(x), 4),
    "contrib conv2d": lambda tf, x: tf.contrib.layers.conv2d(x, 3, 3, normalizer_fn=tf.contrib.layers.batch_norm),
    "contrib layer_norm": lambda tf, x: tf.contrib.layers.layer_norm(x),
}  # fmt: skip


def _normalized(tf):
    """With the moving statistics; what else the op then gives is not defined."""
    x, scale, offset, mean, variance = (np.random.RandomState(k).uniform(0.5, 2, s).astype("f") for k, s in enumerate([(2, 3, 2, 4)] + [(4,)] * 4))
    x = tf.constant(x)
    y = tf.nn.fused_batch_norm(x, scale, offset, mean, variance, epsilon=0.01, is_training=False)[0]
    return _runs([y, tf.gradients(y * y, x)[0]], 1, tf)


PROGRAMS["layers/fused_batch_norm of moving statistics"] = _normalized


def _layer(build):
    def program(tf):
        tf.set_random_seed(5)
        x = tf.placeholder(tf.float32, [2, 6, 5, 2])
        y = build(tf, x)
        wanted = [y] + tf.gradients(y * y, [x] + tf.trainable_variables()) + tf.global_variables()
        value = np.random.RandomState(1).uniform(-1, 1, (2, 6, 5, 2)).astype(np.float32)
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            return [np.asarray(v) for v in session.run([w for w in wanted if w is not None], {x: value})]

    return program


for name, build in LAYERS.items():
    PROGRAMS["layers/" + name] = _layer(build)

OPTIMIZERS = {
    "gradient descent": lambda tf: tf.train.GradientDescentOptimizer(0.1), "momentum": lambda tf: tf.train.MomentumOptimizer(0.1, 0.9),
    "nesterov": lambda tf: tf.train.MomentumOptimizer(0.1, 0.9, use_nesterov=True), "adam": lambda tf: tf.train.AdamOptimizer(0.01),
    "adagrad": lambda tf: tf.train.AdagradOptimizer(0.1), "adadelta": lambda tf: tf.train.AdadeltaOptimizer(1.0),
    "rmsprop": lambda tf: tf.train.RMSPropOptimizer(0.01, momentum=0.5), "centered": lambda tf: tf.train.RMSPropOptimizer(0.01, centered=True),
    "ftrl": lambda tf: tf.train.FtrlOptimizer(0.1, l1_regularization_strength=0.01), "proximal": lambda tf: tf.train.ProximalAdagradOptimizer(0.1),
    "decayed": lambda tf: tf.train.GradientDescentOptimizer(tf.train.exponential_decay(0.5, tf.train.get_or_create_global_step(), 2, 0.5)),
}  # fmt: skip


def _trained(make):
    def program(tf):
        tf.set_random_seed(3)
        random = np.random.RandomState(2)
        x, y = tf.constant(random.randn(8, 4).astype("f")), tf.constant(random.randint(0, 3, 8))
        hidden = tf.layers.dense(x, 6, tf.nn.tanh)
        table = tf.get_variable("table", [5, 3])
        logits = tf.layers.dense(hidden, 3) + tf.nn.embedding_lookup(table, [0, 1, 1, 4, 0, 2, 2, 2])
        loss = tf.losses.sparse_softmax_cross_entropy(y, logits)
        step = make(tf).minimize(loss, tf.train.get_or_create_global_step())
        average = tf.train.ExponentialMovingAverage(0.9)
        with tf.control_dependencies([step]):
            step = average.apply(tf.trainable_variables())
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            losses = [session.run([loss, step])[0] for _ in range(5)]
            return [np.array(losses)] + [np.asarray(v) for v in session.run(tf.global_variables())]

    return program


for name, make in OPTIMIZERS.items():
    PROGRAMS["optimizers/" + name] = _trained(make)

DECAYS = {
    "exponential": lambda tf, s: tf.train.exponential_decay(0.1, s, 5, 0.9), "stairs": lambda tf, s: tf.train.exponential_decay(0.1, s, 5, 0.9, True),
    "natural": lambda tf, s: tf.train.natural_exp_decay(0.1, s, 5, 0.9), "inverse": lambda tf, s: tf.train.inverse_time_decay(0.1, s, 5, 0.9),
    "polynomial": lambda tf, s: tf.train.polynomial_decay(0.1, s, 8, 0.01, 2.0), "cycle": lambda tf, s: tf.train.polynomial_decay(0.1, s, 8, 0.01, 1.0, True),
    "piecewise": lambda tf, s: tf.train.piecewise_constant(s, [3, 9], [0.1, 0.05, 0.01]), "cosine": lambda tf, s: tf.train.cosine_decay(0.1, s, 8, 0.1),
    "linear cosine": lambda tf, s: tf.train.linear_cosine_decay(0.1, s, 8),
}  # fmt: skip


def _decay(make):
    def program(tf):
        s = tf.placeholder(tf.int32, [])
        rate = make(tf, s)
        with tf.Session() as session:
            return [np.array([session.run(rate, {s: n}) for n in (0, 1, 3, 5, 8, 9, 17)])]

    return program


for name, make in DECAYS.items():
    PROGRAMS["decays/" + name] = _decay(make)
