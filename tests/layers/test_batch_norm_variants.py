"""Batch normalisation with renorm, virtual batches and adjustment: what TensorFlow 1.15.5 gave after three steps of gradient descent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphflow as tf

X = (np.random.RandomState(0).randn(8, 3, 4) * 2 + 1).astype(np.float32)
WEIGHTS = np.random.RandomState(3).randn(4).astype(np.float32)


def _adjusted(shape: Any) -> Any:
    return tf.fill([shape[-1]], 1.5), tf.fill([shape[-1]], 0.5)


# Each array as the sum of its elements times 1, 2, 3, ...: the output, gamma, beta, moving mean and variance, and what renorm adds.
RECORDED = {
    "renorm": ({"renorm": True}, [95618.511, 616.757, 192.065, 5.358, 20.478, 14.255, 0.326, 10.259]),
    "clipped": (
        {"renorm": True, "renorm_clipping": {"rmax": 1.1, "rmin": 0.9, "dmax": 0.2}, "renorm_momentum": 0.5},
        [6622.276, 42.105, 8.465, 5.358, 20.478, 14.255, 9.607, 17.629],
    ),
    "virtual": ({"virtual_batch_size": 4}, [2969.58, 30.78, 0.0, 5.358, 22.012]),
    "virtual renorm": ({"virtual_batch_size": 2, "renorm": True}, [59609.055, 328.516, 141.512, 5.358, 18.183, 13.418, 0.326, 10.208]),
    "adjusted": ({"adjustment": _adjusted}, [23059.983, 142.623, 35.456, 5.358, 22.56]),
}  # fmt: skip


@pytest.mark.parametrize("name", RECORDED)
def test_values_of_tensorflow(name: str) -> None:
    options, expected = RECORDED[name]
    with tf.Graph().as_default(), tf.Session() as session:
        x, training = tf.placeholder(tf.float32, [None, 3, 4]), tf.placeholder(tf.bool, [])
        y = tf.layers.batch_normalization(x, training=training, momentum=0.8, **options)
        with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
            step = tf.train.GradientDescentOptimizer(0.01).minimize(tf.reduce_sum(y * y * WEIGHTS))
        session.run(tf.global_variables_initializer())
        for _ in range(3):
            session.run(step, {x: X, training: True})
        found = session.run([y, *tf.global_variables()], {x: X, training: False})
    sums = [float(np.sum(value * np.arange(1, value.size + 1).reshape(value.shape))) for value in found]
    np.testing.assert_allclose(sums, expected, rtol=2e-6, atol=1e-3)


def test_what_is_refused() -> None:
    x = tf.placeholder(tf.float32, [None, 3, 4])
    with pytest.raises(ValueError, match="contains keys not in"):
        tf.layers.batch_normalization(x, renorm=True, renorm_clipping={"max": 1})
    with pytest.raises(ValueError, match="virtual_batch_size must be a positive integer"):
        tf.layers.batch_normalization(x, virtual_batch_size=0)
    with pytest.raises(ValueError, match="axis cannot include 0"):
        tf.layers.batch_normalization(tf.zeros([4, 3, 4]), virtual_batch_size=2, axis=0)
