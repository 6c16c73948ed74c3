"""Writes optimizers.json: what real TensorFlow 1.15 makes of three steps of each optimizer. Run it with a Python that has TensorFlow.

    TF1/bin/python tests/golden/optimizers.py tests/golden/optimizers.json
"""

import json
import sys

import numpy as np

START = [[1.0, -2.0], [3.0, 4.0], [-5.0, 6.0], [0.5, 0.25]]
STEPS = 3
INDICES = [2, 0, 2]  # a row twice, two rows not at all

OPTIMIZERS = {
    "gradient_descent": ("GradientDescentOptimizer", {"learning_rate": 0.1}),
    "momentum": ("MomentumOptimizer", {"learning_rate": 0.1, "momentum": 0.9}),
    "nesterov": ("MomentumOptimizer", {"learning_rate": 0.1, "momentum": 0.9, "use_nesterov": True}),
    "adam": ("AdamOptimizer", {"learning_rate": 0.1, "epsilon": 0.01}),
    "adagrad": ("AdagradOptimizer", {"learning_rate": 0.1}),
    "rmsprop": ("RMSPropOptimizer", {"learning_rate": 0.1, "momentum": 0.5}),
    "rmsprop_centered": ("RMSPropOptimizer", {"learning_rate": 0.1, "momentum": 0.5, "centered": True}),
    "adadelta": ("AdadeltaOptimizer", {"learning_rate": 0.5, "epsilon": 0.01}),
    "ftrl": ("FtrlOptimizer", {"learning_rate": 0.1, "l1_regularization_strength": 0.3, "l2_regularization_strength": 0.2}),
    "ftrl_power": ("FtrlOptimizer", {"learning_rate": 0.1, "learning_rate_power": -0.7}),
    "ftrl_shrinkage": ("FtrlOptimizer", {"learning_rate": 0.1, "l2_shrinkage_regularization_strength": 0.2}),
    "proximal": (
        "ProximalGradientDescentOptimizer",
        {"learning_rate": 0.1, "l1_regularization_strength": 0.3, "l2_regularization_strength": 0.2},
    ),
    "proximal_adagrad": (
        "ProximalAdagradOptimizer",
        {"learning_rate": 0.1, "l1_regularization_strength": 0.3, "l2_regularization_strength": 0.2},
    ),
    "adagrad_da": (
        "AdagradDAOptimizer",
        {"learning_rate": 0.3, "l1_regularization_strength": 0.1, "l2_regularization_strength": 0.2},
    ),
}
COUNTING = ("AdagradDAOptimizer",)  # must know the global step


def step_of(tf, kind, settings, pairs):
    """The operation that takes a step, and the optimizer."""
    count = tf.Variable(0, dtype=tf.int64, name="count") if kind in COUNTING else None
    optimizer = getattr(tf.train, kind)(**settings) if count is None else getattr(tf.train, kind)(global_step=count, **settings)
    return optimizer.apply_gradients(pairs, global_step=count), optimizer


def gradient(step, shape):
    """Some numbers of both signs, the same everywhere."""
    size = int(np.prod(shape))
    return (((np.arange(size) * 7 + step * 5) % 11 - 5) / 4.0).reshape(shape).astype(np.float32)


def run(tf, name, sparse):
    """The variable and the optimizer's own variables after the steps, by name."""
    kind, settings = OPTIMIZERS[name]
    with tf.Graph().as_default():
        w = tf.Variable(START, name="w")
        g = tf.placeholder(tf.float32, [3, 2] if sparse else [4, 2])
        given = tf.IndexedSlices(g, tf.constant(INDICES), tf.constant([4, 2])) if sparse else g
        step, optimizer = step_of(tf, kind, settings, [(given, w)])
        with tf.Session() as sess:
            sess.run(tf.global_variables_initializer())
            for k in range(STEPS):
                sess.run(step, {g: gradient(k, [3, 2] if sparse else [4, 2])})
            return {v.op.name: np.asarray(sess.run(v)).tolist() for v in [w, *optimizer.variables()]}


if __name__ == "__main__":
    import tensorflow

    found = {}
    for chosen in OPTIMIZERS:
        found[chosen] = run(tensorflow, chosen, sparse=False)
        found[chosen + "/sparse"] = run(tensorflow, chosen, sparse=True)
    with open(sys.argv[1], "w") as out:
        json.dump(found, out, indent=1, sort_keys=True)
        out.write("\n")
