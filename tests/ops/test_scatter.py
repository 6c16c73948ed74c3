"""Scatters into variables, against numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphflow as tf

START = np.arange(1, 13, dtype=np.float32).reshape(4, 3)
INDICES = np.array([2, 0, 2], np.int32)
UPDATES = np.array([[1, 2, 3], [4, 5, 6], [2, 0.5, 20]], np.float32)


def run(kind: str, indices: Any, updates: Any) -> Any:
    with tf.Graph().as_default(), tf.Session() as session:
        variable = tf.Variable(START)
        session.run(variable.initializer)
        result = session.run(getattr(tf, kind)(variable, indices, updates))
        assert np.array_equal(result, session.run(variable))
        return result


AT: dict[str, Any] = {
    "scatter_add": np.add.at,
    "scatter_sub": np.subtract.at,
    "scatter_mul": np.multiply.at,
    "scatter_div": np.divide.at,
    "scatter_min": np.minimum.at,
    "scatter_max": np.maximum.at,
    "scatter_update": lambda array, where, rows: array.__setitem__(where, rows),
}


@pytest.mark.parametrize("kind", sorted(AT))
def test_rows(kind: str) -> None:
    expected = START.copy()
    AT[kind](expected, INDICES, UPDATES)
    assert np.allclose(run(kind, INDICES, UPDATES), expected, rtol=1e-6)


@pytest.mark.parametrize("kind", ["add", "sub", "update"])
@pytest.mark.parametrize(
    ("indices", "shape"), [([[0, 1], [3, 2], [1, 0]], (3,)), ([[1], [3]], (2, 3)), ([[[0, 0], [2, 2]]], (1, 2))]
)
def test_parts(kind: str, indices: Any, shape: Any) -> None:
    updates = np.arange(100, 100 + np.prod(shape), dtype=np.float32).reshape(shape)
    expected = START.copy()
    AT["scatter_" + kind](expected, tuple(np.moveaxis(np.array(indices), -1, 0)), updates)
    assert np.array_equal(run("scatter_nd_" + kind, indices, updates), expected)


def test_methods_take_indexed_slices() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        variable = tf.Variable(START)
        session.run(variable.initializer)
        session.run(variable.scatter_add(tf.IndexedSlices(tf.constant(UPDATES), tf.constant(INDICES))))
        assert session.run(variable)[0].tolist() == [5, 7, 9]
        with pytest.raises(TypeError, match="sparse_delta is not IndexedSlices: 3"):
            variable.scatter_add(3)


def test_wrong_shapes_and_targets() -> None:
    with tf.Graph().as_default():
        variable = tf.Variable(START)
        with pytest.raises(ValueError, match="ScatterUpdate 'ScatterUpdate': Dimension 1 in both shapes must be equal, but are 3 and 2"):
            tf.scatter_update(variable, [0], [[1.0, 2.0]])
        with pytest.raises(TypeError, match="requires that input 'ref' be a mutable tensor"):
            tf.scatter_update(tf.constant(START), [0], [[1.0, 2.0, 3.0]])
