"""tf.Variable: values from run to run, initialisation, assignments, collections, texts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import graphflow as tf


@pytest.fixture
def session() -> Iterator[Any]:
    with tf.Graph().as_default(), tf.Session() as s:
        yield s


def test_text_and_types(session: Any) -> None:
    w = tf.Variable(tf.zeros([2, 3]), name="w")
    assert repr(w) == str(w) == "<tf.Variable 'w:0' shape=(2, 3) dtype=float32_ref>"
    assert tf.Variable(np.zeros(2)).dtype.base_dtype is tf.float64
    assert tf.Variable(3).dtype.base_dtype is tf.int32
    assert tf.Variable(1, dtype=tf.float32).dtype.base_dtype is tf.float32
    assert w.name == "w:0" and w.op.type == "VariableV2" and w.initializer.type == "Assign" and w.value().name == "w/read:0"
    assert {w: 1}[w] == 1 and w == w and w != tf.Variable(1)
    with pytest.raises(TypeError, match="'Variable' object is not iterable"):
        iter(w)


def test_collections(session: Any) -> None:
    a = tf.Variable(1.0, name="a")
    b = tf.Variable(1.0, trainable=False, name="b")
    c = tf.Variable(1.0, collections=[tf.GraphKeys.LOCAL_VARIABLES], trainable=False, name="c")
    assert tf.global_variables() == [a, b] and tf.trainable_variables() == [a] and tf.local_variables() == [c]
    assert tf.global_variables("b") == [b] and tf.all_variables() == [a, b] and tf.model_variables() == []


def test_assignments(session: Any) -> None:
    w = tf.Variable([1.0, 2.0], name="w")
    session.run(w.initializer)
    assert np.array_equal(session.run(w.assign_add([1, 1])), [2, 3])
    assert np.array_equal(session.run(tf.assign_sub(w, [1, 1])), [1, 2])
    assert session.run(w.assign([5, 5], read_value=False)) is None
    assert np.array_equal(session.run(w), [5, 5])
    doubled = w.assign(w * 2)
    assert np.array_equal(session.run([doubled, doubled])[0], [10, 10])
    w.load([7.0, 8.0], session)
    assert np.array_equal(w.eval(), [7, 8])


def test_order_within_a_run(session: Any) -> None:
    counter = tf.Variable(0, name="counter")
    session.run(counter.initializer)
    increment = counter.assign_add(1)
    with tf.control_dependencies([increment]):
        after = counter.read_value()
        later = tf.identity(counter) * 10
    assert session.run([after, later]) == [1, 10]
    before = counter + 0
    with tf.control_dependencies([before]):
        increment_after = counter.assign_add(1)
    assert session.run([before, increment_after]) == [1, 2]


def test_sessions_do_not_share_values(session: Any) -> None:
    w = tf.Variable(1.0)
    session.run(w.assign(5.0))
    with tf.Session() as other:
        other.run(w.initializer)
        assert other.run(w) == 1
    assert session.run(w) == 5


def test_initialisation_is_noticed(session: Any) -> None:
    a, b = tf.Variable(1.0, name="a"), tf.Variable([2.0], name="b")
    asked = [tf.is_variable_initialized(a), tf.is_variable_initialized(b)]
    left = tf.report_uninitialized_variables()
    assert session.run(asked) == [False, False] and session.run(left).tolist() == [b"a", b"b"]
    session.run(a.initializer)
    assert session.run(asked) == [True, False] and session.run(left).tolist() == [b"b"]
    session.run(tf.global_variables_initializer())
    assert session.run(asked) == [True, True] and session.run(left).tolist() == []


def test_initial_values_from_other_variables(session: Any) -> None:
    a = tf.Variable(tf.random_normal([4]), name="a")
    same = tf.Variable(a.initialized_value(), name="same")
    guarded = tf.Variable(a * 2.0, name="guarded")
    chained = tf.Variable(guarded + 1.0, name="chained")
    session.run(tf.global_variables_initializer())
    va, vs, vg, vc = session.run([a, same, guarded, chained])
    assert np.array_equal(va, vs) and np.array_equal(vg, va * 2) and np.array_equal(vc, vg + 1)
    session.run(a.assign(tf.ones([4])))
    session.run(guarded.initializer)
    assert np.array_equal(session.run(guarded), [2, 2, 2, 2])


def test_operators_work_on_the_value(session: Any) -> None:
    w = tf.Variable([1.0, 2.0, 3.0])
    session.run(w.initializer)
    results = session.run([w + 1, 1 - w, w * w, -w, w[1:], w > 1.5, w / 2, 2**w])
    expected = [[2, 3, 4], [0, -1, -2], [1, 4, 9], [-1, -2, -3], [2, 3], [False, True, True], [0.5, 1, 1.5], [2, 4, 8]]
    for result, value in zip(results, expected, strict=True):
        assert np.allclose(result, value)
    w += 1
    assert isinstance(w, tf.Tensor)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: tf.Variable(), ValueError, "initial_value must be specified."),
        (lambda: tf.Variable(tf.placeholder(tf.float32, [None])), ValueError, "initial_value must have a shape specified: Tensor"),
        (lambda: tf.Variable(1, collections="a"), ValueError, "collections argument .* must be a list, tuple, or set. Got a"),
        (lambda: tf.Variable(1, constraint=3), ValueError, "The `constraint` argument must be a callable."),
        (lambda: tf.Variable([1.0, 2.0]).assign([1.0]), ValueError, r"must be equal, but are 2 and 1. Shapes are \[2\] and \[1\]"),
        (lambda: tf.Variable([1.0]).assign("a"), TypeError, "Expected float32, got 'a' of type 'str' instead"),
        (lambda: tf.Variable([1.0]).assign(tf.constant([1])), TypeError, "type int32 that does not match type float32 of argument 'ref'"),
        (lambda: tf.assign(tf.Variable([1.0]).value(), [2.0]), AttributeError, "'Tensor' object has no attribute 'assign'"),
        (lambda: tf.Variable(1, synchronization=77), ValueError, "Invalid variable synchronization mode: 77 for variable: None"),
    ],
)  # fmt: skip
def test_misuse(session: Any, make: Any, error: Any, text: str) -> None:
    with pytest.raises(error, match=text):
        make()


def test_variables_of_changing_shape(session: Any) -> None:
    given = tf.placeholder(tf.float32)
    w = tf.Variable(given, validate_shape=False, name="w")
    session.run(w.initializer, {given: [1, 2]})
    doubled = w * 2
    assert w.shape.ndims is None and session.run(w).tolist() == [1, 2] and session.run(doubled).tolist() == [2, 4]
    session.run(w.initializer, {given: [[1, 2, 3]]})
    assert session.run(doubled).tolist() == [[2, 4, 6]]


def test_random_initial_values_come_from_the_seed(session: Any) -> None:
    tf.set_random_seed(11)
    w = tf.get_variable("w", [3, 4])
    session.run(w.initializer)
    first = session.run(w)
    session.run(w.initializer)
    assert not np.array_equal(first, session.run(w))
    with tf.Session() as other:
        other.run(w.initializer)
        assert np.array_equal(other.run(w), first)
