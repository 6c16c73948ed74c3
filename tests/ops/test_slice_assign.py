"""Assigning to parts of variables, against numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphflow as tf

PLACES = {
    "all": np.s_[:], "corner": np.s_[1:2, 1:2], "column": np.s_[:, 1], "one": np.s_[1, 1], "new axis": np.s_[:, None, :],
    "backwards": np.s_[::1, ::-2], "nothing": np.s_[8:10, 0], "ellipsis": np.s_[..., 0],
}  # fmt: skip


@pytest.mark.parametrize("use_resource", [False, True])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("dtype", ["float32", "int64", "complex64", "bool"])
def test_parts(use_resource: bool, place: str, dtype: str) -> None:
    before = np.arange(6).reshape(2, 3).astype(dtype)
    index, after = PLACES[place], before.copy()
    part = np.logical_not(before[index]) if dtype == "bool" else (before[index] * 10 + 7).astype(dtype)
    after[index] = part
    with tf.Graph().as_default(), tf.Session() as session:
        variable = tf.Variable(before, use_resource=use_resource)
        session.run(variable.initializer)
        changed = variable[index].assign(part)
        np.testing.assert_array_equal(session.run(changed), after)
        np.testing.assert_array_equal(session.run(variable), after)
        session.run(variable.initializer)
        np.testing.assert_array_equal(session.run(tf.assign(variable[index], part)), after)


def test_a_value_of_another_shape_is_refused() -> None:
    variable = tf.Variable(np.zeros((2, 3), np.float32))
    with tf.Session() as session:
        session.run(variable.initializer)
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"a part of shape \[1, 3\] cannot be given a value of shape \[1, 2\]"):
            session.run(variable[:1].assign([[1.0, 2.0]]))
        assert not session.run(variable).any()


def test_only_variables_have_parts_to_assign() -> None:
    with pytest.raises(ValueError, match="Sliced assignment is only supported for variables"):
        tf.constant([1, 2, 3])[:2].assign([1, 2])


def test_names_are_tensorflows() -> None:
    with tf.Graph().as_default():
        variable: Any = tf.Variable([1.0, 2.0])
        names = [variable[:1].assign([5.0]).op.name for _ in range(2)]
        assert names == ["strided_slice/_assign", "strided_slice_1/_assign"]
        assert variable[:1].assign([5.0]).op.type == "StridedSliceAssign"
