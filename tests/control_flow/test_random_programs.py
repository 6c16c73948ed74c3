"""Random nests of branches and loops: what they compute and their gradients, by both executors, against Python."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

import graphflow as tf
from tests.control_flow.support import BOTH, session
from tests.fuzzing import examples

# A program is a tree: ("x",), ("acc",), ("sin", a), ("mul", a, b), ("if", limit, a, b), which is a if acc < limit else b,
# ("loop", n, a), which is acc = a, n times, ("until", limit, a), which does so at most four times and only while acc < limit, and
# ("rows", n, grows, a), which keeps acc after each of n times in an array and gives the sum of products of neighbours in it.
LEAVES = st.sampled_from([("x",), ("acc",)])


def _larger(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    limit = st.sampled_from([-0.5, 0.25, 0.9])
    return st.one_of(
        st.tuples(st.just("sin"), inner),
        st.tuples(st.just("mul"), inner, inner),
        st.tuples(st.just("if"), limit, inner, inner),
        st.tuples(st.just("loop"), st.integers(0, 3), inner),
        st.tuples(st.just("until"), limit, inner),
        st.tuples(st.just("rows"), st.integers(0, 3), st.booleans(), inner),
    )


PROGRAMS = st.recursive(LEAVES, _larger, max_leaves=6)


def evaluated(tree: Any, x: float, acc: float) -> float:
    """What a program computes, by Python."""
    kind, *rest = tree
    if kind == "x":
        return x
    if kind == "acc":
        return acc
    if kind == "sin":
        return math.sin(evaluated(rest[0], x, acc))
    if kind == "mul":
        return evaluated(rest[0], x, acc) * evaluated(rest[1], x, acc)
    if kind == "if":
        return evaluated(rest[1] if acc < rest[0] else rest[2], x, acc)
    if kind == "until":
        rounds = 0
        while acc < rest[0] and rounds < 4:
            acc, rounds = evaluated(rest[1], x, acc), rounds + 1
        return acc
    rows = []
    for _ in range(rest[0]):
        acc = evaluated(rest[-1], x, acc)
        rows.append(acc)
    return sum(a * b for a, b in zip([1.0, *rows], rows, strict=False)) if kind == "rows" else acc


def built(tree: Any, x: Any, acc: Any) -> Any:
    """The same as a graph."""
    kind, *rest = tree
    if kind == "x":
        return x
    if kind == "acc":
        return acc
    if kind == "sin":
        return tf.sin(built(rest[0], x, acc))
    if kind == "mul":
        return built(rest[0], x, acc) * built(rest[1], x, acc)
    if kind == "if":
        return tf.cond(acc < rest[0], lambda: built(rest[1], x, acc), lambda: built(rest[2], x, acc))
    if kind == "until":
        return tf.while_loop(lambda i, a: (i < 4) & (a < rest[0]), lambda i, a: (i + 1, built(rest[1], x, a)), [0, acc])[1]
    if kind == "rows":
        return _neighbours(*rest, x, acc)
    return tf.while_loop(lambda i, _: i < rest[0], lambda i, a: (i + 1, built(rest[1], x, a)), [0, acc])[1]


def _neighbours(count: int, grows: bool, tree: Any, x: Any, acc: Any) -> Any:
    array = tf.TensorArray(tf.float64, 0 if grows else count, dynamic_size=grows, element_shape=[], clear_after_read=False)

    def body(i: Any, a: Any, rows: Any) -> Any:
        a = built(tree, x, a)
        return i + 1, a, rows.write(i, a)

    rows = tf.while_loop(lambda i, *_: i < count, body, [0, acc, array])[2]
    one = tf.constant(1.0, tf.float64)
    before = lambda i: tf.cond(i > 0, lambda: rows.read(i - 1), lambda: one)  # noqa: E731
    return tf.while_loop(lambda i, _: i < count, lambda i, s: (i + 1, s + before(i) * rows.read(i)), [0, one * 0.0])[1]


@BOTH
@examples(25)
@given(tree=PROGRAMS, x=st.sampled_from([0.7, -1.2]))
@example(tree=("mul", ("if", -0.5, ("x",), ("x",)), ("if", -0.5, ("x",), ("acc",))), x=0.7)  # gradients need each other's forward values
@example(tree=("loop", 2, ("rows", 3, True, ("mul", ("x",), ("acc",)))), x=0.7)  # an array that grows inside a loop has gradients
@example(tree=("loop", 1, ("if", -0.5, ("x",), ("rows", 1, False, ("x",)))), x=0.7)  # records of a loop in a branch in a loop
def test_values_and_gradients(executor: str, tree: Any, x: float) -> None:
    with tf.Graph().as_default() as graph:
        place = tf.placeholder(tf.float64, [], name="place")
        y = tf.identity(built(tree, place, tf.constant(0.3, tf.float64)))
        slope = tf.gradients(y, place, unconnected_gradients="zero")[0]
        found = session(executor, graph).run([y, slope], {place: x})
    h = 1e-6
    step = (evaluated(tree, x + h, 0.3) - evaluated(tree, x - h, 0.3)) / (2 * h)
    np.testing.assert_allclose(found, [evaluated(tree, x, 0.3), step], rtol=1e-5, atol=1e-7)
