"""tf.sets, against Python's sets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphflow as tf

A = np.array([[[1, 2], [3, 3]], [[7, 7], [4, 9]]])
B = np.array([[[2, 5, 2], [4, 4, 4]], [[7, 8, 6], [9, 4, 1]]])
OPERATIONS = {
    "set_union": lambda a, b: a | b, "set_intersection": lambda a, b: a & b, "set_difference": lambda a, b: a - b,
}  # fmt: skip


def sparse(values: Any) -> tf.SparseTensor:
    return tf.SparseTensor(list(np.ndindex(*values.shape)), values.ravel(), values.shape)


def expected(combine: Any) -> dict[tuple[int, ...], list[Any]]:
    return {at: sorted(combine(set(A[at].tolist()), set(B[at].tolist()))) for at in np.ndindex(2, 2)}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "str"])
@pytest.mark.parametrize("kinds", ["dense dense", "dense sparse", "sparse dense", "sparse sparse"])
def test_operations(name: str, dtype: str, kinds: str) -> None:
    operands = [x.astype(dtype) if dtype != "str" else x.astype(str).astype(object) for x in (A, B)]
    left, right = (sparse(x) if kind == "sparse" else x for x, kind in zip(operands, kinds.split(), strict=True))
    with tf.Session() as session:
        found = session.run(getattr(tf.sets, name)(left, right))
    groups: dict[tuple[int, ...], list[Any]] = {at: [] for at in np.ndindex(2, 2)}
    for index, value in zip(found.indices.tolist(), found.values.tolist(), strict=True):
        assert index[2] == len(groups[tuple(index[:2])])
        groups[tuple(index[:2])].append(int(value))
    wanted = expected(OPERATIONS[name])
    assert groups == wanted and found.dense_shape.tolist() == [2, 2, max(map(len, wanted.values()))]


def test_sizes_and_refusals() -> None:
    with tf.Session() as session:
        assert session.run(tf.sets.set_size(sparse(A))).tolist() == [[2, 1], [1, 2]]
        unordered = tf.SparseTensor([[0, 1], [0, 0]], [1, 2], [1, 2])
        for found in (tf.sets.set_size(unordered), tf.sets.set_union(unordered, unordered)):
            with pytest.raises(tf.errors.InvalidArgumentError, match="out of order"):
                session.run(found)
        assert session.run(tf.sets.set_size(unordered, validate_indices=False)).tolist() == [2]
        with pytest.raises(tf.errors.InvalidArgumentError, match="Mismatched group shapes"):
            session.run(tf.sets.set_union(A, B[:1]))
    for wrong, kind in ((lambda: tf.sets.set_union([[1.0]], [[2.0]]), TypeError), (lambda: tf.sets.set_union([1], [2]), ValueError)):
        with pytest.raises(kind):
            wrong()
