"""Print, print, Assert, check_numerics, the assert_* functions and py_func, with texts recorded from TensorFlow 1.15.5."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphflow as tf
from graphflow.ops.show import summarize, summarize_ends

PRINTED = [
    (np.arange(10.0) / 3, 3, "0 0.33333333333333331 0.66666666666666663..."),
    (np.arange(6).reshape(2, 3), 4, "[0 1 2][3...]..."),
    (np.arange(6).reshape(2, 3), -1, "[0 1 2][3 4 5]"),
    (np.array([True, False]), 3, "1 0"),
    (np.array([b"a\n", b"b"], object), 3, "a\\n b"),
    (np.zeros((0, 3)), 3, ""),
    (np.float32([1e20, 1e-7, np.nan, np.inf, 1e6, 123456789.0]), 10, "1e+20 1e-07 nan inf 1e+06 123456792"),
    (np.float16([0.1]), 3, "0.0999755859"),
    (np.arange(8).reshape(2, 2, 2), 5, "[[0 1][2 3]][[4...]]..."),
]


@pytest.mark.parametrize(("array", "most", "text"), PRINTED)
def test_arrays_print_as_in_tensorflow(array: Any, most: int, text: str) -> None:
    assert summarize(array, most) == text


def test_arrays_print_from_both_ends() -> None:
    text = "[[0 1 ... 6 7]\n [8 9 ... 14 15]\n ...\n [48 49 ... 54 55]\n [56 57 ... 62 63]]"
    assert summarize_ends(np.arange(64).reshape(8, 8), 2) == text


@pytest.fixture
def session() -> Any:
    with tf.Graph().as_default(), tf.Session() as session:
        yield session


def test_print_passes_its_input_on(session: Any, capfd: pytest.CaptureFixture[str]) -> None:
    x = tf.constant([1.0, 2.0])
    y = tf.Print(x, [x, "s"], message="m: ", first_n=1)
    assert session.run(y).tolist() == [1.0, 2.0]
    session.run(y)
    assert capfd.readouterr().err == "m: [1 2][s]\n"
    assert session.run(tf.gradients(y * y, x)[0]).tolist() == [2.0, 4.0]


def test_print_of_structures(session: Any, capfd: pytest.CaptureFixture[str]) -> None:
    session.run(tf.print("x", tf.constant(np.arange(8.0)), {2: tf.constant(["a", "b"])}, tf.constant(3.5)))
    assert capfd.readouterr().err == 'x [0 1 2 ... 5 6 7] {2: ["a" "b"]} 3.5\n'


def test_print_of_sparse_tensors_quotes_them_as_tensorflow_does(session: Any, capfd: pytest.CaptureFixture[str]) -> None:
    sparse = tf.SparseTensor([[0, 0], [1, 2]], [1.0, 2.0], [3, 4])
    session.run(tf.print(sparse, [1, {"a": sparse}]))
    shown = "'SparseTensor(indices=[[0 0]\n [1 2]], values=[1 2], shape=[3 4])'"
    assert capfd.readouterr().err == f"{shown} [1, {{'a': {shown}}}]\n"


def test_an_assertion_stops_what_waits_for_it(session: Any) -> None:
    x = tf.placeholder(tf.float32, [None], name="x")
    w = tf.Variable(1.0)
    session.run(w.initializer)
    with tf.control_dependencies([tf.assert_less(x, 3.0)]):
        update = tf.assign_add(w, tf.reduce_sum(x))
    assert session.run(update, {x: [1.0, 2.0]}) == 4.0
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"\[Condition x < y did not hold element-wise:\] \[x \(x:0\) = \] \[1 5\]"):
        session.run(update, {x: [1.0, 5.0]})
    assert session.run(w) == 4.0


def test_constants_are_compared_at_once(session: Any) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="Condition x == y did not hold element-wise:\nx "):
        tf.assert_equal([1, 2], [1, 3])
    tf.assert_equal(tf.placeholder_with_default([1, 2], [2]), [1, 3])  # it may be fed


def test_known_ranks_are_compared_at_once(session: Any) -> None:
    with pytest.raises(ValueError, match=r"must have rank 2\.  Received rank 1, shape \(2,\)"):
        tf.assert_rank(tf.zeros([2]), 2)
    x = tf.placeholder(tf.float32)
    check = tf.assert_rank_at_least(x, 2)
    session.run(check, {x: [[1.0]]})
    with pytest.raises(tf.errors.InvalidArgumentError, match="must have rank at least"):
        session.run(check, {x: [1.0]})


@pytest.mark.parametrize(("value", "found"), [([np.nan, 1], "NaN"), ([np.inf, 1], "Inf"), ([np.inf, np.nan], "Inf and NaN")])
def test_check_numerics(session: Any, value: list[float], found: str) -> None:
    x = tf.placeholder(tf.float32, [None])
    y = tf.check_numerics(x, "here")
    assert session.run(y, {x: [1.0]}).tolist() == [1.0]
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"here : Tensor had {found} values"):
        session.run(y, {x: value})


def test_add_check_numerics_ops_checks_what_nobody_fetches(session: Any) -> None:
    x = tf.placeholder(tf.float32, [None])
    tf.log(x, name="logarithm")
    check = tf.add_check_numerics_ops()
    session.run(check, {x: [1.0]})
    with pytest.raises(tf.errors.InvalidArgumentError, match="logarithm:0 : Tensor had Inf values"):
        session.run(check, {x: [0.0]})


def test_py_func(session: Any) -> None:
    x = tf.placeholder(tf.float32, [None])
    y, n = tf.py_func(lambda v: (v * 2, np.int32(v.size)), [x], [tf.float32, tf.int32])
    assert [r.tolist() for r in session.run([y + x, n], {x: [1.0, 2.0]})] == [[3.0, 6.0], 2]
    assert tf.gradients(y, x) == [None]
    with pytest.raises(tf.errors.InvalidArgumentError, match="0-th value returned by pyfunc_.* is double, but expects int64"):
        session.run(tf.py_func(lambda: 1.0, [], tf.int64))
    with pytest.raises(tf.errors.UnknownError, match="ZeroDivisionError: division by zero"):
        session.run(tf.py_func(lambda: 1 / 0, [], tf.int64))


def test_numbers_become_text_and_back(session: Any) -> None:
    assert session.run(tf.as_string([1.5, 2.0], precision=2)).tolist() == [b"1.50", b"2.00"]
    assert session.run(tf.string_join(["a", tf.as_string(tf.constant(3))], "-")) == b"a-3"
    assert session.run(tf.strings.to_number(["1.5", "-2"])).tolist() == [1.5, -2.0]
