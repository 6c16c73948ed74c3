"""Five small programs whose every stage is kept as text in golden/stages. Line numbers of this file stand in those texts."""

from __future__ import annotations

from typing import Any

import graphflow as tf

Program = tuple[list[Any], dict[Any, tuple[int, ...]]]  # fetches, and shapes of the feeds


def train_step() -> Program:
    """Two dense layers, softmax cross-entropy, gradient descent: contractions with epilogues, rows, columns, updates in place."""
    x = tf.placeholder(tf.float32, [None, 12], name="x")
    y = tf.placeholder(tf.float32, [None, 4], name="y")
    w, v = tf.Variable(tf.zeros([12, 8]), name="w"), tf.Variable(tf.zeros([8, 4]), name="v")
    b = tf.Variable(tf.zeros([8]), name="b")
    hidden = tf.nn.relu(tf.matmul(x, w) + b, name="hidden")
    loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits_v2(labels=y, logits=tf.matmul(hidden, v)), name="loss")
    return [loss, tf.train.GradientDescentOptimizer(0.5).minimize(loss)], {x: (5, 12), y: (5, 4)}


def convolution() -> Program:
    """Convolution, bias, relu, pooling: a halo, a contraction over windows, a movement that folds."""
    images = tf.placeholder(tf.float32, [None, 8, 8, 3], name="images")
    kernel = tf.Variable(tf.ones([3, 3, 3, 16]), name="kernel")
    convolved = tf.nn.relu(tf.nn.conv2d(images, kernel, [1, 1, 1, 1], "SAME") + 0.1)
    return [tf.nn.max_pool(convolved, [1, 2, 2, 1], [1, 2, 2, 1], "VALID", name="pooled")], {images: (2, 8, 8, 3)}


def normalisation() -> Program:
    """Mean and variance of rows and what follows from them: reductions in stages; identities that the algebra takes away."""
    x = tf.placeholder(tf.float32, [None, 40], name="x")
    mean, variance = tf.nn.moments(x * 1.0 + 0.0, [1], keep_dims=True)
    scaled = tf.multiply((x - mean) * tf.rsqrt(variance + 1e-5), 2.0, name="scaled")
    return [scaled, tf.reduce_max(scaled, 0, name="largest")], {x: (6, 40)}


def movements() -> Program:
    """Gathering, slicing, joining, transposing: index arithmetic, and a kernel of its own."""
    table = tf.Variable(tf.zeros([20, 6]), name="table")
    places = tf.placeholder(tf.int32, [None], name="places")
    rows = tf.gather(table, places, name="rows")
    joined = tf.concat([rows[:, :3], tf.reverse(rows, [1])[:, 3:], tf.ones_like(rows)], 1, name="joined")
    values, _ = tf.nn.top_k(joined, 2, name="best")
    return [tf.transpose(joined, name="turned"), values], {places: (7,)}


def recurrence() -> Program:
    """A loop over rows and the one backwards: records that are dropped, work that is hoisted, rows in place, a branch in the body."""
    x = tf.placeholder(tf.float32, [3, None, 4], name="x")
    w = tf.Variable(tf.zeros([4, 4]), name="w")
    rows = tf.TensorArray(tf.float32, 3, name="rows").unstack(x)

    def step(i: Any, state: Any) -> Any:
        state = tf.tanh(tf.matmul(state, tf.exp(w)) + rows.read(i), name="state")
        return i + 1, tf.cond(tf.equal(i, 1), lambda: state * 0.5, lambda: state)

    state = tf.while_loop(lambda i, _: i < 3, step, [0, x[0]], name="steps")[1]
    return [state, tf.gradients(tf.reduce_sum(state), w)[0]], {x: (3, 5, 4)}


PROGRAMS = (train_step, convolution, normalisation, movements, recurrence)
