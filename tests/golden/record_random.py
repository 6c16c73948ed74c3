"""Draws the random numbers of tests/ops/test_random.py. Run by real TensorFlow 1.15 it writes golden/random.npz, which is committed:

    /path/to/tensorflow-1.15/bin/python tests/golden/record_random.py tests/golden/random.npz
"""

from __future__ import annotations

import sys

import numpy as np

SHAPES = ([], [1], [5], [33], [3, 7], [2, 3, 5])
RUNS = 3


def tensors(tf):
    """Random tensors by name, in the default graph of `tf`."""
    tf.set_random_seed(1234)
    out = {}
    for dtype in (tf.float32, tf.float64, tf.float16):
        for shape in SHAPES:
            key = f"{dtype.name}_{'x'.join(map(str, shape))}"
            out["normal_" + key] = tf.random_normal(shape, 1.0, 2.0, dtype, seed=7)
            out["uniform_" + key] = tf.random_uniform(shape, -1, 3, dtype, seed=8)
            out["truncated_" + key] = tf.truncated_normal(shape, 0.5, 0.1, dtype)
    for dtype in (tf.int32, tf.int64):
        out["int_" + dtype.name] = tf.random_uniform([17], -5, 1000, dtype, seed=3)
    out["big_int"] = tf.random_uniform([9], 0, 2**62, tf.int64, seed=3)
    out["shuffle"] = tf.random_shuffle(tf.range(13), seed=5)
    out["shuffle_rows"] = tf.random_shuffle(tf.reshape(tf.range(14), [7, 2]))
    out["multinomial"] = tf.multinomial(tf.log([[0.1, 0.2, 0.7], [0.5, 0.25, 0.25]]), 9, seed=4)
    out["multinomial_one_row"] = tf.multinomial(tf.log([[0.1, 0.2, 0.7]]), 5, seed=4)
    out["many_normal"] = tf.random_normal([1001], seed=11)
    out["many_truncated"] = tf.truncated_normal([1003], seed=12)
    out["without_op_seed"] = tf.random_uniform([3])
    out["dropout"] = tf.nn.dropout(tf.ones([4, 6]), 0.5, seed=9)
    out.update(stateless(tf))
    return out


def stateless(tf):
    """Tensors of the ops that take their seeds as operands."""
    out = {}
    seed = tf.placeholder_with_default(np.array([-7, 2**45 + 3]), [2])
    for dtype in (tf.float32, tf.float64, tf.float16):
        out["stateless_normal_" + dtype.name] = tf.random.stateless_normal([33], seed, 1.0, 2.0, dtype)
        out["stateless_uniform_" + dtype.name] = tf.random.stateless_uniform([3, 7], [1, 2], -1, 3, dtype)
        out["stateless_truncated_" + dtype.name] = tf.random.stateless_truncated_normal([70], seed, dtype=dtype)
    for dtype in (tf.int32, tf.int64):
        out["stateless_int_" + dtype.name] = tf.random.stateless_uniform([17], seed, -5, 1000, dtype)
    out["stateless_categorical"] = tf.random.stateless_categorical(tf.log([[0.1, 0.2, 0.7], [0.5, 0.25, 0.25]]), 9, seed, tf.int32)
    return out


def drawn(tf):
    """The numbers of some runs, one after the other, by name and run."""
    found = {}
    with tf.Graph().as_default():
        wanted = tensors(tf)
        with tf.Session() as session:
            for run in range(RUNS):
                found.update({f"{name}_run{run}": np.asarray(value) for name, value in session.run(wanted).items()})
    with tf.Graph().as_default():
        numbers = tf.random_normal([4], seed=42)
        with tf.Session() as session:
            found["op_seed_only"] = session.run(numbers)
    return found


if __name__ == "__main__":
    import tensorflow

    np.savez_compressed(sys.argv[1], **drawn(tensorflow))
