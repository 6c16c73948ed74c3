"""tf.py_func: what goes in, what comes out, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphflow as tf


def called(function: Any, inputs: Any, kinds: Any) -> Any:
    with tf.Graph().as_default(), tf.Session() as session:
        return session.run(tf.py_func(function, [tf.constant(x) for x in inputs], kinds))


def test_texts_are_bytes_on_both_sides() -> None:
    assert called(lambda a, b: a + b, [b"x", "y"], tf.string) == b"xy"
    words = called(lambda: np.array([b" there", " ya"], object), [], tf.string)
    assert words.tolist() == [b" there", b" ya"]
    assert called(lambda: ["\u00e9", "ab\0"], [], [tf.string, tf.string]) == ["\u00e9".encode(), b"ab\0"]
    assert called(lambda: np.array(["this", "is"]), [], tf.string).tolist() == [b"this", b"is"]


def test_results_are_dense_and_row_major() -> None:
    assert called(lambda a: a.T, [np.arange(6.0).reshape(2, 3)], tf.float64).tolist() == [[0, 3], [1, 4], [2, 5]]
    assert called(lambda a: (a, a.sum(dtype=np.int32)), [np.int32([1, 2])], [tf.int32, tf.int32])[1] == 3
    assert called(lambda: None, [], []) is None


@pytest.mark.parametrize(
    ("function", "kind", "error", "text"),
    [
        (lambda: np.array([], [("foo", np.float32)]), tf.float32, tf.errors.InternalError, "Unsupported numpy data type"),
        (lambda: {"foo": 1}, tf.int64, tf.errors.InternalError, "Unsupported object type dict"),
        (lambda: 1.5, tf.int64, tf.errors.InvalidArgumentError, "0-th value returned by pyfunc_[0-9]+ is double, but expects int64"),
        (lambda: (1, 2), [tf.int64], tf.errors.InvalidArgumentError, "returns 2 values, but expects to see 1 values"),
        (lambda: next(iter(())), tf.int64, tf.errors.OutOfRangeError, "StopIteration"),
        (lambda: 1 // 0, tf.int64, tf.errors.UnknownError, "ZeroDivisionError"),
    ],
)  # fmt: skip
def test_what_is_refused(function: Any, kind: Any, error: Any, text: str) -> None:
    with pytest.raises(error, match=text):
        called(function, [], kind)
