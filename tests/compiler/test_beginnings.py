"""Captures that go on where an earlier one stood: the Program is the one that capturing all of it anew gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphflow as tf
from graphflow.compiler import beginnings
from graphflow.compiler.beginnings import KEPT, Beginnings
from graphflow.compiler.capture import Feed, capture, symbolic_pattern
from graphflow.compiler.dump import program_text
from graphflow.compiler.scope import Scope
from graphflow.compiler.templates import Templates
from graphflow.runtime.storage import Storage
from tests.compiler.test_templates import layers, shape_of
from tests.fuzzing import examples
from tests.properties.graphs import build


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as g:
        yield g


class Captures:
    """Captures of one session. `ran`: how many operations each of them went through."""

    def __init__(self, monkeypatch, x, shape=(5, 8)):
        self.x, self.shape = x, shape
        self.storage, self.templates, self.beginnings = Storage(), Templates(), Beginnings()
        self.ran = []
        run_one = Scope._run_one
        monkeypatch.setattr(Scope, "_run_one", lambda scope, op, mask: self.ran.append(op) or run_one(scope, op, mask))

    def __call__(self, fetches, targets=(), shape=None, tensor=None):
        """The Program, and how many operations were run for it. It must be the one that a session of its own captures."""
        feeds = [Feed(self.x if tensor is None else tensor, shape or self.shape)]
        given = fetches, targets, feeds, symbolic_pattern(feeds), self.storage
        self.ran.clear()
        mine = capture(*given, (), self.templates, (), self.beginnings)
        count = len(self.ran)
        equal(mine, capture(*given, (), Templates()))
        return mine, count


def repeated():
    """An input, a variable, and what they become after twenty layers that share it."""
    x = tf.placeholder(tf.float32, [None, 8])
    v = tf.Variable(tf.zeros([8]))
    h = x
    for _ in range(20):
        h = tf.tanh(h + v)
    return x, v, h


def equal(mine, other):
    """Two captures gave the same."""
    assert shape_of(mine.program) == shape_of(other.program)
    assert [n.origins for n in mine.program.nodes] == [n.origins for n in other.program.nodes]
    assert mine[1:] == other[1:]


def test_an_added_operation_is_all_that_is_captured(monkeypatch):
    x, loss, train = layers()
    captured = Captures(monkeypatch, x)
    first, count = captured([loss + 1.0], [train])
    assert count == len(first.operations)
    before = program_text(first.program)
    assert captured([loss * 2.0], [train])[1] < 6, "the product is added to the step, not to the sum before it"
    assert captured([loss], [train])[1] < 4
    assert program_text(first.program) == before


def test_an_inference_grows(monkeypatch):
    x, loss, _ = layers()
    captured = Captures(monkeypatch, x)
    captured([loss])
    assert [captured([loss + float(n)])[1] for n in range(3)] == [2, 2, 2]


def test_a_second_update_and_what_reads_after_it(monkeypatch):
    x, loss, train = layers()
    captured = Captures(monkeypatch, x)
    captured([loss], [train])
    w = tf.trainable_variables()[0]
    before = tf.reduce_sum(w)
    with tf.control_dependencies([train]):
        after = tf.reduce_sum(w.read_value())
        again = w.assign_add(tf.ones([8, 8]))
        with tf.control_dependencies([again]):
            last = tf.reduce_max(w.read_value())
    for fetches in ([loss, after], [loss, before], [loss, last], [before, after, last]):
        captured(fetches, [train])
    assert captured([loss, last, before + 1.0], [train])[1] < 25


def test_what_was_added_before_is_not_there(monkeypatch):
    """An update, a guard, a count of random numbers: each is in the Program that has it, and in no later one."""
    x, v, h = repeated()
    captured = Captures(monkeypatch, x)
    captured([h])
    added = v.assign_add(h[0]), tf.nn.top_k(tf.transpose(h), 3)[0], tf.random.uniform([4], seed=3)
    found = [captured([t])[0] for t in (*added, h + 1.0)]
    assert [sorted(f.program.updates) for f in found] == [["Variable"], [], ["random/random_uniform/RandomUniform"], []]
    assert [bool(f.guards) for f in found] == [False, True, False, False]
    assert len(found[-1].program.nodes) == 41


def test_random_numbers_go_on(monkeypatch):
    x = tf.placeholder(tf.float32, [None, 8])
    h = x
    for _ in range(8):
        h = tf.nn.dropout(h, 0.5, seed=1) + tf.random.uniform([8], seed=2)
    captured = Captures(monkeypatch, x)
    captured([h])
    assert captured([h, tf.random.uniform([4], seed=3)])[1] < 8


ALTERATIONS = {
    "a shape": lambda x, loss, w: x.op.graph.get_tensor_by_name("known:0").set_shape([5, 8]),
    "an input": lambda x, loss, w: loss.op._update_input(0, tf.square(loss.op.inputs[0])),
    "a control input": lambda x, loss, w: loss.op._add_control_input(w.assign_add(tf.ones([8, 8])).op),
}


@pytest.mark.parametrize("what", ALTERATIONS)
def test_nothing_goes_on_from_what_has_been_altered(what, monkeypatch):
    x, loss, train = layers()
    tf.identity(tf.placeholder(tf.float32), name="known")
    captured = Captures(monkeypatch, x)
    first, _ = captured([loss], [train])
    ALTERATIONS[what](x, loss, tf.trainable_variables()[0])
    again, count = captured([loss], [train])
    assert count == len(again.operations) >= len(first.operations)


def test_feeds_and_their_sizes_decide(monkeypatch):
    x, loss, train = layers()
    captured = Captures(monkeypatch, x)
    whole = captured([loss], [train])[1]
    assert captured([loss + 1.0], [train], shape=(7, 8))[1] < whole, "a batch of another size is the same symbol"
    assert captured([loss], [train], shape=(0, 8))[1] == whole, "an empty batch has a size that is known"
    with pytest.raises(tf.errors.InvalidArgumentError, match="You must feed"):
        captured([loss], [train], tensor=x.consumers()[0].outputs[0])


def test_a_variable_of_another_shape_is_captured_anew(monkeypatch):
    x, v, h = repeated()
    captured = Captures(monkeypatch, x)
    captured.storage.assign(v.op.name, np.zeros(8, np.float32))
    _, whole = captured([h])
    assert captured([h + 1.0])[1] == 2
    captured.storage.assign(v.op.name, np.zeros(1, np.float32))
    again, count = captured([h + 1.0])
    assert count == whole + 2 and [i.value.shape for i in again.program.inputs if i.name == v.op.name] == [(1,)]


def test_whether_a_variable_has_a_value_is_asked_again(monkeypatch):
    x = tf.placeholder(tf.float32, [None, 8])
    v = tf.Variable(tf.zeros([8]))
    h = x
    for _ in range(20):
        h = tf.tanh(h)
    h += tf.cast(tf.is_variable_initialized(v), tf.float32)
    captured = Captures(monkeypatch, x)
    whole = captured([h])[1]
    captured.storage.assign(v.op.name, np.zeros(8, np.float32))
    assert captured([h])[1] == whole


def test_loops_and_measured_sizes_make_no_beginning():
    x = tf.placeholder(tf.float32, [None, 8])
    h = x
    for _ in range(20):
        h = tf.tanh(h)
    taken = tf.boolean_mask(h, h[:, 0] > 0.0)
    looped = tf.while_loop(lambda n, a: n < 3, lambda n, a: (n + 1, a + a), [0, h])[1]
    feeds, kept = [Feed(x, (5, 8))], Beginnings()
    for fetch in (taken, looped, h):
        assert not kept._kept
        capture([fetch], [], feeds, symbolic_pattern(feeds), Storage(), (), Templates(), (), kept)
    assert kept._kept


def test_few_are_kept_and_those_are_used(monkeypatch):
    x = tf.placeholder(tf.float32, [None, 8])
    ends = []
    for n in range(KEPT + 2):
        h = x
        for _ in range(20):
            h = tf.tanh(h + float(n))
        ends.append(h)
    captured = Captures(monkeypatch, x)
    for h in ends:
        captured([h])
        assert captured([ends[0] + 1.0])[1] < 40, "the first is used again and again"
    assert len(captured.beginnings._kept) == KEPT


NUMBER = st.integers(0, 59)


@given(st.lists(st.tuples(NUMBER, NUMBER, NUMBER, NUMBER), min_size=5, max_size=16), st.integers(0, 8), st.integers(0, 7))
@examples(20)
def test_random_graphs_that_grow(recipe, ending, chosen):
    """In any order of what is asked for."""
    built = build(recipe, ending)
    feeds = [Feed(t, a.shape) for t, a in built.arrays(5).items()]
    given = feeds, symbolic_pattern(feeds), Storage()
    with built.graph.as_default(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(beginnings, "WORTH", 1)
        some = [t for n, t in enumerate(built.fetches) if chosen >> n & 1] or built.fetches[-1:]
        mine = Templates(), (), Beginnings()
        more = [*some, some[0] + 1.0]
        for fetches, targets in ((some, []), (built.fetches, built.targets), (some, built.targets), (more, built.targets)):
            equal(capture(fetches, targets, *given, (), *mine), capture(fetches, targets, *given, (), Templates()))


def test_a_session_computes_the_same(monkeypatch):
    x, loss, train = layers()
    data = np.linspace(-1, 1, 40).astype(np.float32).reshape(5, 8)
    more = [loss + 1.0, tf.reduce_sum(tf.gradients(loss, x)[0]), tf.reduce_sum(tf.trainable_variables()[0])]
    results = []
    for kept in (KEPT, 0):
        with tf.Session() as session:
            monkeypatch.setattr(beginnings, "WORTH", 1 if kept else 1 << 30)
            session.run(tf.global_variables_initializer())
            found = [session.run([train, loss, *added], {x: data})[1:] for added in ([], *([m] for m in more), more)]
            results.append(np.hstack([*found, session.run([tf.reduce_sum(v) for v in tf.global_variables()])]))
            assert bool(session._engine.beginnings._kept) == bool(kept)
    np.testing.assert_array_equal(*results)
