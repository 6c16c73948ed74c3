"""What TensorFlow 1.15 computes for special numbers: NaN, infinities, zeros of both signs, halves, large and small ones.

    /path/to/tensorflow-1.15/bin/python tests/golden/record_values.py tests/golden/values.npz
"""

from __future__ import annotations

import sys

import numpy as np

SPECIAL = [
    np.nan, -np.inf, np.inf, -0.0, 0.0, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 1e-7, -1e-7, 3.0, -3.0, 20.0, -20.0, 80.0, 1e10,
    -1e-30,
]  # fmt: skip
UNARY = [
    "abs", "negative", "sign", "reciprocal", "square", "sqrt", "rsqrt", "exp", "expm1", "log", "log1p", "sin",
    "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "sigmoid", "erf",
    "erfc", "lgamma", "floor", "ceil", "rint", "round", "is_nan", "is_inf", "is_finite",
]  # fmt: skip
ACTIVATIONS = ["relu", "relu6", "elu", "selu", "softplus", "softsign", "leaky_relu"]
BINARY = [
    "add", "subtract", "multiply", "div", "realdiv", "pow", "floordiv", "squared_difference", "atan2", "equal",
    "not_equal", "less", "less_equal", "greater", "greater_equal", "div_no_nan",
]  # fmt: skip
INTEGERS = [
    "add", "subtract", "multiply", "div", "floordiv", "mod", "truncatemod", "truncatediv", "maximum", "minimum",
    "squared_difference",
]  # fmt: skip
REDUCTIONS = ["reduce_sum", "reduce_prod", "reduce_mean", "reduce_max", "reduce_min", "argmax", "argmin"]


def tensors(tf):
    """Results by name, in the default graph of `tf`; inputs are fed, so that nothing is folded."""
    out, feeds = {}, {}

    def fed(array):
        place = tf.placeholder(array.dtype, array.shape)
        feeds[place] = array
        return place

    for kind in (np.float32, np.float64):
        name = np.dtype(kind).name
        x = fed(np.array(SPECIAL, kind))
        for f in UNARY:
            out[f"{f}_{name}"] = getattr(tf, f)(x)
        for f in ACTIVATIONS:
            out[f"{f}_{name}"] = getattr(tf.nn, f)(x)
        a, b = fed(np.array(SPECIAL, kind)[:, None]), fed(np.array(SPECIAL, kind)[None, :])
        for f in BINARY:
            out[f"{f}_{name}"] = getattr(tf, f)(a, b)
        for to in (tf.int32, tf.int64, tf.bool, tf.float32, tf.float64):
            out[f"cast_{to.name}_{name}"] = tf.cast(x, to)
        rows = fed(np.array([[1, 3, 3, 2], [-1, -1, -2, -1], [np.inf, 1, 2, -np.inf]], kind))
        for f in REDUCTIONS:
            out[f"{f}_{name}"] = getattr(tf, f)(rows, 1)
            if f not in ("argmax", "argmin"):
                out[f"{f}_empty_{name}"] = getattr(tf, f)(fed(np.zeros((2, 0), kind)), 1)
        out[f"argmax_nan_{name}"] = tf.argmax(fed(np.array([[np.nan, 1, np.nan, 3], [np.nan] * 4, [-np.inf] * 4], kind)), 1)
        for f in (tf.nn.softmax, tf.nn.log_softmax):
            logits = [[1, 2, 3], [np.nan, 1, 1], [np.inf, 1, 1], [-np.inf, 0, 1], [1000, 0, -1000]]
            out[f"{f.__name__}_{name}"] = f(fed(np.array(logits, kind)))
        z, y = fed(np.array([-100, -1, 0, 1, 100], kind)), fed(np.array([0, 1, 0.5, 0, 1], kind))
        out[f"sigmoid_xent_{name}"] = tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=z)
    for kind in (np.int32, np.int64):
        name = np.dtype(kind).name
        lowest = np.iinfo(kind).min
        a, b = fed(np.array([7, -7, 6, -1, 0, 5, 2**30], kind)), fed(np.array([2, 2, -3, -4, 5, -5, 7], kind))
        for f in INTEGERS:
            out[f"{f}_{name}"] = getattr(tf, f)(a, b)
        out[f"pow_{name}"] = tf.pow(a, fed(np.array([3, 2, 5, 9, 0, 1, 2], kind)))
        c = fed(np.array([lowest, -3, 0, 4], kind))
        for f in ("abs", "negative", "sign", "square"):
            out[f"{f}_{name}"] = getattr(tf, f)(c)
        for f in REDUCTIONS[:5]:
            out[f"{f}_{name}"] = getattr(tf, f)(fed(np.array([[3, -4, 9], [-3, -4, -9]], kind)), 1)
    return out, feeds


def computed(tf):
    """The results as arrays, by name."""
    with tf.Graph().as_default():
        wanted, feeds = tensors(tf)
        with tf.Session() as session:
            return {name: np.asarray(value) for name, value in session.run(wanted, feeds).items()}


if __name__ == "__main__":
    import tensorflow

    np.savez_compressed(sys.argv[1], **computed(tensorflow))
