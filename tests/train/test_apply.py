"""Every update operation against what real TensorFlow computed (tests/golden/optimizers.json)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import graphflow as tf
from tests.golden import optimizers as golden

GOLDEN = json.loads((Path(golden.__file__).parent / "optimizers.json").read_text())
CASES = sorted(GOLDEN)


@pytest.mark.parametrize("case", CASES)
def test_three_steps_are_tensorflows(case: str) -> None:
    name, _, sparse = case.partition("/")
    kind, settings = golden.OPTIMIZERS[name]
    shape = [3, 2] if sparse else [4, 2]
    with tf.Graph().as_default():
        w = tf.Variable(golden.START, name="w")
        g = tf.placeholder(tf.float32, shape)
        given = tf.IndexedSlices(g, tf.constant(golden.INDICES), tf.constant([4, 2])) if sparse else g
        step, optimizer = golden.step_of(tf, kind, settings, [(given, w)])
        found = {v.op.name: v for v in (w, *optimizer.variables())}
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            for k in range(golden.STEPS):
                session.run(step, {g: golden.gradient(k, shape)})
            found = session.run(found)
        assert sorted(found) == sorted(GOLDEN[case])
        for key, wanted in GOLDEN[case].items():
            np.testing.assert_allclose(found[key], np.array(wanted, np.float32), rtol=3e-6, atol=1e-6, err_msg=key)


def test_one_adam_step_changes_no_weight_by_more_than_the_rate() -> None:
    """The first step is rate * g / (|g| + epsilon), whatever the gradient's size: also where the update is part of a product's or a
    convolution's kernel. Weights begin at zero, so that what they are afterwards is the change, without rounding."""
    rate, rng = 0.01, np.random.default_rng(3)
    with tf.Graph().as_default():
        scale = tf.placeholder(tf.float32, [])
        images = scale * rng.standard_normal((8, 5, 4, 3)).astype(np.float32)
        filters, weights = tf.Variable(tf.zeros([3, 3, 3, 5])), tf.Variable(tf.zeros([5 * 4 * 5, 33]))
        bias, rows = tf.Variable(tf.zeros([33])), tf.Variable(tf.zeros([20, 33]))
        hidden = tf.reshape(tf.nn.conv2d(images, filters, [1, 1, 1, 1], "SAME") + images[..., :1], [8, -1])
        picked = tf.nn.embedding_lookup(rows, rng.integers(0, 12, 8))
        loss = tf.reduce_sum(tf.square(tf.matmul(hidden, weights + 0.1) + bias + picked - scale))
        variables = [filters, weights, bias, rows]
        found = [tf.convert_to_tensor(g) for g in tf.gradients(loss, variables)]
        step, start = tf.train.AdamOptimizer(rate).minimize(loss), tf.global_variables_initializer()
        with tf.Session() as session:
            for size in (1e-6, 1.0, 1e6):
                session.run(start)
                gradients = session.run(found, {scale: size})
                session.run(step, {scale: size})
                for change, gradient in zip(session.run(variables), gradients, strict=True):
                    assert np.abs(change).max() <= rate * (1 + 1e-6)
                    assert (np.sign(change) == -np.sign(gradient)).mean() > 0.999
                    large = np.abs(gradient) > 1e-4
                    np.testing.assert_allclose(np.abs(change[large]), rate, rtol=1e-2)
