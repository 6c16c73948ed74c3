"""From graph to Program: what is taken, in which sizes, and what readers of variables see."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as tf
from graphflow.compiler.capture import Cut, Feed, capture, static_pattern, symbolic_pattern
from graphflow.graph.tensor import Tensor
from graphflow.runtime.interpreter import interpret


class Session:
    """Variables for capture; runs by the numpy oracle."""

    def __init__(self, **values):
        self.values = {name: np.asarray(v, np.float32) for name, v in values.items()}

    def shape(self, name):
        return self.values[name].shape

    def reshaped(self, name, dims):
        return name in self.values and self.values[name].shape != dims

    def initialized(self, name):
        return name in self.values

    def run(self, *items, feeds=None):
        given = [Feed(t, np.shape(v)) for t, v in (feeds or {}).items()]
        fetches = [i for i in items if isinstance(i, Tensor)]
        captured = capture(fetches, [i for i in items if not isinstance(i, Tensor)], given, symbolic_pattern(given), self)
        inputs = {**self.values, **{t.name: np.asarray(v, t.dtype.as_numpy_dtype) for t, v in (feeds or {}).items()}}
        outputs, updates = interpret(captured.program, inputs)
        self.values.update(updates)
        return outputs


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as g:
        yield g


def variable(value=1.0):
    return tf.Variable(value, name="v")


def test_only_what_the_fetches_reach():
    x = tf.placeholder(tf.float32, [None, 3], name="x")
    y = tf.exp(x)
    tf.tanh(y)
    feeds = [Feed(x, (5, 3))]
    program = capture([y], [], feeds, symbolic_pattern(feeds), Session()).program
    assert [n.op.type for n in program.nodes] == ["Exp"]
    assert program.nodes[0].origins[-1].name == "Exp" and "test_capture.py" in program.nodes[0].origins[-1].line


def test_a_feed_hides_what_is_behind_it():
    x = tf.placeholder(tf.float32, [3])
    y = tf.exp(x)
    z = y + 1.0
    (out,) = Session().run(z, feeds={y: np.zeros(3)})
    assert out.tolist() == [1, 1, 1]


def test_equal_unknown_sizes_share_a_symbol():
    x, y = tf.placeholder(tf.float32, [None, 3]), tf.placeholder(tf.float32, [None, 4])
    assert symbolic_pattern([Feed(x, (7, 3)), Feed(y, (7, 4))]).sizes == (("s0", 3), ("s0", 4))
    assert symbolic_pattern([Feed(x, (7, 3)), Feed(y, (8, 4))]).sizes == (("s0", 3), ("s1", 4))
    assert symbolic_pattern([Feed(x, (7, 3)), Feed(y, (1, 4))]).sizes == (("s0", 3), (1, 4)), "it may broadcast"
    assert static_pattern([Feed(x, (7, 3))]).sizes == ((7, 3),)


def test_shape_arithmetic_stays_symbolic():
    x = tf.placeholder(tf.float32, [None, 4, 5], name="x")
    flat = tf.reshape(x, [tf.shape(x)[0], -1])
    zeros = tf.zeros(tf.stack([tf.shape(x)[0], 2]))
    feeds = [Feed(x, (6, 4, 5))]
    program = capture([flat, zeros], [], feeds, symbolic_pattern(feeds), Session()).program
    assert [str(v.shape) for v in program.outputs] == ["(s0, 20)", "(s0, 2)"]


def test_an_unordered_reader_sees_the_value_before_an_update():
    v = variable()
    update = tf.assign_add(v, 1.0)
    session = Session(v=1.0)
    before, after = session.run(v + 10.0, update)
    assert (before, after, session.values["v"]) == (11, 2, 2)


def test_a_reader_behind_a_control_dependency_sees_the_update():
    v = variable()
    with tf.control_dependencies([tf.assign_add(v, 1.0)]):
        read = v + 10.0
    assert Session(v=1.0).run(read) == [12]


def test_updates_in_a_chain_see_each_other():
    v = variable()
    session = Session(v=1.0)
    assert session.run(tf.assign_add(tf.assign_add(v, 1.0), 5.0)) == [7]
    assert session.values["v"] == 7


def test_two_unordered_updates_both_count():
    v = variable()
    session = Session(v=1.0)
    session.run(tf.assign_add(v, 2.0).op, tf.assign_add(v, 4.0).op)
    assert session.values["v"] == 7


def test_assigning_an_uninitialised_variable_reads_nothing():
    v = tf.Variable(tf.ones([3]), name="v")
    captured = capture([], [v.initializer], [], static_pattern([]), Session())
    assert captured.reads == ()


def test_a_missing_feed_is_named():
    x = tf.placeholder(tf.float32, [None, 3], name="x")
    with pytest.raises(tf.errors.InvalidArgumentError, match="You must feed a value for placeholder tensor 'x' with dtype float"):
        Session().run(tf.exp(x))


def test_a_size_that_depends_on_data_cuts():
    n = tf.placeholder(tf.int32, [], name="n")
    feeds = [Feed(n, ())]
    with pytest.raises(Cut) as caught:
        capture([tf.linspace(0.0, 1.0, n)], [], feeds, symbolic_pattern(feeds), Session())
    assert caught.value.tensors == (n,)
    feeds = [Feed(n, (), np.array(4, np.int32))]
    program = capture([tf.linspace(0.0, 1.0, n)], [], feeds, symbolic_pattern(feeds), Session()).program
    assert program.outputs[0].shape == (4,)


def test_a_deep_graph_needs_no_deep_stack():
    x = tf.placeholder(tf.float32, [4], name="x")
    y = x
    for _ in range(3000):
        y = tf.tanh(y)
    feeds = [Feed(x, (4,))]
    assert len(capture([y], [], feeds, symbolic_pattern(feeds), Session()).program.nodes) == 3000
