"""Random nests of branches and loops: what they compute and their gradients, by both executors, against Python."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import graphflow as tf
from tests.control_flow.support import BOTH, session

# A program is a tree: ("x",), ("acc",), ("sin", a), ("mul", a, b), ("if", limit, a, b), which is a if acc < limit else b, and
# ("loop", n, a), which is acc = a, n times.
LEAVES = st.sampled_from([("x",), ("acc",)])


def _larger(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    limit = st.sampled_from([-0.5, 0.25, 0.9])
    return st.one_of(
        st.tuples(st.just("sin"), inner),
        st.tuples(st.just("mul"), inner, inner),
        st.tuples(st.just("if"), limit, inner, inner),
        st.tuples(st.just("loop"), st.integers(0, 3), inner),
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
    for _ in range(rest[0]):
        acc = evaluated(rest[1], x, acc)
    return acc


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
    return tf.while_loop(lambda i, _: i < rest[0], lambda i, a: (i + 1, built(rest[1], x, a)), [0, acc])[1]


@BOTH
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(tree=PROGRAMS, x=st.sampled_from([0.7, -1.2]))
def test_values_and_gradients(executor: str, tree: Any, x: float) -> None:
    with tf.Graph().as_default() as graph:
        place = tf.placeholder(tf.float64, [], name="place")
        y = tf.identity(built(tree, place, tf.constant(0.3, tf.float64)))
        slope = tf.gradients(y, place, unconnected_gradients="zero")[0]
        found = session(executor, graph).run([y, slope], {place: x})
    h = 1e-6
    step = (evaluated(tree, x + h, 0.3) - evaluated(tree, x - h, 0.3)) / (2 * h)
    np.testing.assert_allclose(found, [evaluated(tree, x, 0.3), step], rtol=1e-5, atol=1e-7)
