"""A long reduction goes in blocks, and the rows are known only at run time: the last tile overlaps the one before it."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as tf


@pytest.fixture(scope="module")
def product() -> tuple[object, object, object, np.ndarray]:
    graph = tf.Graph()
    with graph.as_default():
        x = tf.placeholder(tf.float32, [None, 3136])
        weights = np.random.RandomState(0).randn(3136, 1024).astype(np.float32)
        y = tf.nn.relu(tf.matmul(x, tf.constant(weights)) + 1.0)
    return tf.Session(graph=graph), x, y, weights


@pytest.mark.parametrize("rows", [2, 13, 20, 37, 50, 97, 100, 101, 128])
def test_rows_that_two_tiles_share_are_summed_once(product: tuple, rows: int) -> None:
    session, x, y, weights = product
    values = np.random.RandomState(rows).randn(rows, 3136).astype(np.float32)
    wanted = np.maximum(values.astype(np.float64) @ weights + 1, 0)
    np.testing.assert_allclose(session.run(y, {x: values}), wanted, rtol=1e-4, atol=1e-3)
