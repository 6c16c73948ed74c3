"""Initializers: TensorFlow's own numbers for the same seeds (recorded from 1.15.5), configurations, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphflow as tf

MADE: list[tuple[Any, list[float], float]] = [
    (lambda: tf.random_normal_initializer(0.5, 2.0), [-2.423398, -0.680374, 1.485666, 1.913372], 125.47276),
    (lambda: tf.random_uniform_initializer(-1.0, 1.0, seed=3), [-0.422643, 0.377848, 0.379888, -0.806159], 5.82267),
    (lambda: tf.truncated_normal_initializer(stddev=0.1), [0.081778, -0.050398, 0.011233, 0.004203], 0.95059),
    (lambda: tf.glorot_uniform_initializer(), [0.011627, 0.014395, -0.022650, 0.076693], -0.27372),
    (lambda: tf.glorot_normal_initializer(seed=1), [-0.213012, -0.001947, -0.026225, 0.167454], 1.52162),
    (lambda: tf.variance_scaling_initializer(2.0, "fan_in", "untruncated_normal"), [-0.439633, -0.367519, 0.026013, -0.169810], -4.58387),
    (lambda: tf.uniform_unit_scaling_initializer(1.5), [0.143301, 0.357578, 0.123942, 0.412414], -5.52869),
    (lambda: tf.initializers.he_normal(), [0.239187, 0.222654, -0.203601, -0.256786], -1.87913),
    (lambda: tf.initializers.lecun_uniform(), [-0.198376, -0.170709, 0.014349, 0.043641], -1.63319),
]


def test_the_numbers_are_tensorflows() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(5)
        variables = [tf.get_variable(f"v{k}", [3, 3, 4, 8], initializer=make()) for k, (make, _, _) in enumerate(MADE)]
        session.run(tf.global_variables_initializer())
        for variable, (_, first, total) in zip(variables, MADE, strict=True):
            value = session.run(variable)
            assert np.allclose(value.ravel()[:4], first, atol=2e-6), variable.name
            assert abs(value.sum(dtype=np.float64) - total) < 2e-3, variable.name


def test_plain_ones() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        found = [
            tf.zeros_initializer()([2, 2]),
            tf.ones_initializer(tf.int32)([2]),
            tf.constant_initializer([1, 2])([3]),
            tf.initializers.identity(2.0)([2, 3]),
        ]
        values = [session.run(t).tolist() for t in found]
    assert values == [[[0, 0], [0, 0]], [1, 1], [1, 2, 2], [[2, 0, 0], [0, 2, 0]]]


@pytest.mark.parametrize("make", [m for m, _, _ in MADE])
def test_configurations_make_equal_initializers(make: Any) -> None:
    initializer = make()
    again = type(initializer).from_config(initializer.get_config())
    assert vars(again) == vars(initializer)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: tf.variance_scaling_initializer(-1.0), ValueError, "`scale` must be positive float."),
        (lambda: tf.variance_scaling_initializer(mode="x"), ValueError, "Invalid `mode` argument:"),
        (lambda: tf.variance_scaling_initializer(distribution="x"), ValueError, "Invalid `distribution` argument:"),
        (lambda: tf.random_normal_initializer(dtype=tf.int32), ValueError, "Expected floating point type, got <dtype: 'int32'>."),
        (lambda: tf.constant_initializer(object()), TypeError, "Invalid type for initial value"),
        (lambda: tf.initializers.identity()([2]), ValueError, "Identity matrix initializer can only be used for 2D matrices."),
        (lambda: tf.orthogonal_initializer()([2]), ValueError, "The tensor to initialize must be at least two-dimensional"),
    ],
)
def test_refusals(make: Any, error: Any, text: str) -> None:
    with pytest.raises(error, match=text):
        make()
