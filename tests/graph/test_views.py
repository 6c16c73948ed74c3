"""Walking, printing and checking graphs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import graphflow as tf
from graphflow.dtypes import int32
from graphflow.graph.check import BrokenGraph, check
from graphflow.graph.printer import graph_text
from graphflow.graph.traverse import in_order, needed_by, reached_from, to_networkx


class Diamond:
    """a -> b, c -> d, and e waits for d."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self.a = tf.placeholder(tf.float32, [None, 2], name="a")
        self.b = tf.identity(self.a, name="b")
        self.c = tf.identity(self.a, name="c")
        self.d = tf.multiply(self.b, self.c, name="d")
        with tf.control_dependencies([self.d]):
            self.e = tf.no_op(name="e")


@pytest.fixture
def diamond() -> Iterator[Diamond]:
    with tf.Graph().as_default() as graph:
        yield Diamond(graph)


def test_walking(diamond: Diamond) -> None:
    d = diamond
    assert {op.name for op in needed_by([d.d])} == {"a", "b", "c", "d"}
    assert {op.name for op in reached_from([d.b])} == {"b", "d", "e"}
    assert [op.name for op in in_order(needed_by([d.e]))] == ["a", "b", "c", "d", "e"]
    view = to_networkx(d.graph.get_operations())
    assert view.number_of_edges() == 5 and view.edges[d.d.op, d.e, 0]["tensor"] is None


def test_cycles_are_found(diamond: Diamond) -> None:
    diamond.b.op._add_control_input(diamond.d.op)
    with pytest.raises(ValueError, match="Graph is invalid, contains a cycle with 3 nodes: b, d, e"):
        in_order(diamond.graph.get_operations())


def test_text(diamond: Diamond) -> None:
    lines = graph_text(diamond.graph.get_operations()).splitlines()
    assert [line.rpartition("   ")[0] for line in lines] == [
        "a: float32[?, 2] = Placeholder(dtype=float32, shape=(?, 2))",
        "b: float32[?, 2] = Identity(a)",
        "c: float32[?, 2] = Identity(a)",
        "d: float32[?, 2] = Mul(b, c)",
        "e = NoOp() after d",
    ]
    assert lines[0].endswith("   test_views.py:22 in __init__")


def test_built_graphs_are_in_order(diamond: Diamond) -> None:
    check(diamond.graph)


def break_name(d: Diamond) -> None:
    d.graph._by_name["b"] = d.c.op


def break_number(d: Diamond) -> None:
    d.c.op._id = 1


def break_consumer(d: Diamond) -> None:
    d.b._consumers.clear()


def break_control(d: Diamond) -> None:
    d.d.op._control_outputs.clear()


def break_result(d: Diamond) -> None:
    d.b.value_index = 3


def break_count(d: Diamond) -> None:
    d.b.op.outputs.append(d.b)


def break_type(d: Diamond) -> None:
    d.d._dtype = int32


def break_shape(d: Diamond) -> None:
    d.d._dims = (7,)


def break_order(d: Diamond) -> None:
    d.a.op._add_control_input(d.e)


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (break_name, "b: is not found under its name"),
        (break_number, "c: its number 1 does not grow"),
        (break_consumer, "d: its input b:0 does not know it"),
        (break_control, "e: d, which it waits for, does not know it"),
        (break_result, "b: result 0 says it is b:3"),
        (break_count, "b: has 2 results, its shape rule gives 1"),
        (break_type, "d:0: is int32, its shape rule gives float32"),
        (break_shape, "d:0: has shape .7,., its shape rule gives .., 2."),
        (break_order, "contains a cycle with 5 nodes"),
    ],
)
def test_every_rule(diamond: Diamond, spoil: Any, text: str) -> None:
    spoil(diamond)
    with pytest.raises(BrokenGraph, match=text):
        check(diamond.graph)
