"""Programs that begin alike: what is known of the first is used for the next, which becomes what it would have become without."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphflow as tf
from graphflow.compiler import beginnings, lower
from graphflow.compiler.beginnings import Beginnings
from graphflow.compiler.capture import Feed, capture, needed_operations, symbolic_pattern
from graphflow.compiler.dump import program_text
from graphflow.compiler.groups import Shape, grouped
from graphflow.compiler.lower import lower_group
from graphflow.compiler.passes import clusters
from graphflow.compiler.passes.clusters import Clusters, Past
from graphflow.compiler.passes.rewrite import with_inputs
from graphflow.compiler.pipeline import run_passes
from graphflow.compiler.program import Node, Value
from graphflow.compiler.templates import Templates
from graphflow.compiler.verify import VerificationError, verify
from graphflow.config import options
from graphflow.ops.core import Copy
from graphflow.runtime.stages import INPUTS, WALKS, Walks, any_in_python
from graphflow.runtime.storage import Storage
from tests.compiler.support import AVX512
from tests.compiler.test_templates import layers
from tests.fuzzing import examples
from tests.properties.graphs import build


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as g:
        yield g


def renumbered(program):
    """A Program as text, its values numbered as they appear."""
    numbers = {}
    return re.sub(r"%\d+", lambda found: numbers.setdefault(found[0], f"%{len(numbers)}"), program_text(program))


class Compilations:
    """Programs of one session after all passes; each must be what it is without the others."""

    def __init__(self, feeds):
        self.feeds = feeds
        self.pattern, self.storage = symbolic_pattern(feeds), Storage()
        self.templates, self.beginnings, self.past = Templates(), Beginnings(), Past()

    def __call__(self, fetches, targets=()):
        given = fetches, targets, self.feeds, self.pattern, self.storage, ()
        mine = run_passes(capture(*given, self.templates, (), self.beginnings).program, options(), None, self.past)
        assert renumbered(mine) == renumbered(run_passes(capture(*given, Templates()).program, options()))
        return mine


def test_a_step_that_grows_keeps_its_groups():
    x, loss, train = layers()
    compiled = Compilations([Feed(x, (5, 8))])
    programs = [compiled([t], [train]) for t in (loss + 1.0, loss * 2.0, loss - 3.0)]
    before, after = ({id(g) for g in p.nodes} for p in programs[1:])
    assert len(before - after) <= 2 < len(before & after), "only what stands behind the step, and what that is computed with, is new"


def test_groups_of_known_nodes_are_lowered_once(monkeypatch):
    x, loss, train = layers()
    compiled = Compilations([Feed(x, (5, 8))])
    asked, found = [], lower._found
    monkeypatch.setattr(lower, "_found", lambda group, *others: asked.append(group) or found(group, *others))
    for fetch in (loss + 1.0, loss * 2.0):
        asked.clear()
        program = compiled([fetch], [train])
        kernels = [g for g in program.nodes if g.form is not Shape.ALIAS]
        first = [lower_group(g, AVX512) for g in kernels]
        count = len(asked)
        assert [lower_group(g, AVX512) for g in kernels] == first and len(asked) == count
    assert count < len(kernels)
    for g in kernels:
        fresh = type(g)(g.form, g.nodes, g.inputs, g.outputs, g.root)
        assert lower_group(fresh, AVX512)[1:] == g.lowered[1][1:]


def test_a_group_is_known_by_all_that_it_consists_of():
    x, y = Value(0, tf.float32, (8,)), Value(1, tf.float32, (8,))
    node = Node(Copy(), (x,), (y,))
    group = grouped(Shape.POINTWISE, (node,), (x,), (y,), None)
    assert grouped(Shape.POINTWISE, (node,), (x,), (y,), None) is group
    twin = Value(0, tf.float32, (8,))
    for other in (
        (Shape.POINTWISE, (node,), (x, y), (y,), None), (Shape.ROWS, (node,), (x,), (y,), None), (Shape.POINTWISE, (node,), (x,), (), None),
        (Shape.POINTWISE, (node,), (x,), (y,), node), (Shape.POINTWISE, (Node(Copy(), (y,), (x,)), node), (x,), (y,), None),
        (Shape.POINTWISE, (node,), (twin,), (y,), None),
    ):  # fmt: skip
        made = grouped(*other)
        assert (made.form, made.nodes, made.inputs, made.outputs, made.root) == other
    assert with_inputs(node, (twin,)) is with_inputs(node, (twin,)) is not with_inputs(node, (x,))


def test_a_known_group_is_verified_where_it_stands():
    x, loss, train = layers()
    program = Compilations([Feed(x, (5, 8))])([loss], [train])
    assert all(g.sound for g in program.nodes)
    with pytest.raises(VerificationError, match="before it is defined"):
        verify(program._replace(nodes=program.nodes[1:]))
    with pytest.raises(VerificationError, match="defined twice"):
        verify(program._replace(nodes=(*program.nodes, program.nodes[0])))


def test_few_beginnings_are_kept():
    x = tf.placeholder(tf.float32, [None, 8])
    compiled = Compilations([Feed(x, (5, 8))])
    h = x
    for _ in range(8):
        for _ in range(clusters.WORTH):
            h = tf.tanh(h)
        compiled([h])
    assert 0 < len(compiled.past._kept) <= clusters.KEPT


def test_clusters_go_on_from_a_copy(monkeypatch):
    x, loss, train = layers()
    compiled = Compilations([Feed(x, (5, 8))])
    looked = []
    look = Clusters._look
    monkeypatch.setattr(Clusters, "_look", lambda self, number, node: looked.append(node) or look(self, number, node))
    counts = []
    for n in range(1, 5):
        given = [loss + float(n)], [train], compiled.feeds, compiled.pattern, compiled.storage, ()
        program = capture(*given, compiled.templates, (), compiled.beginnings).program
        looked.clear()
        run_passes(program, options(), None, compiled.past)
        counts.append(len(looked))
    assert counts[0] == counts[1] and counts[2] == counts[3] < counts[0] // 2


NUMBER = st.integers(0, 59)


@given(st.lists(st.tuples(NUMBER, NUMBER, NUMBER, NUMBER), min_size=5, max_size=16), st.integers(0, 8), st.integers(0, 7))
@examples(15)
def test_random_graphs_that_grow(recipe, ending, chosen):
    built = build(recipe, ending)
    with built.graph.as_default(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(beginnings, "WORTH", 1)
        patch.setattr(clusters, "WORTH", 1)
        compiled = Compilations([Feed(t, a.shape) for t, a in built.arrays(5).items()])
        some = [t for n, t in enumerate(built.fetches) if chosen >> n & 1] or built.fetches[-1:]
        for fetches, targets in ((some, []), (built.fetches, built.targets), ([*some, some[0] + 1.0], built.targets),
                                 ([*some, some[0] * 2.0], built.targets), (some, [])):  # fmt: skip
            compiled(fetches, targets)


# -- what targets need -----------------------------------------------------------------------------------------------------------------


def same(walks, fetches, targets, hidden):
    """What is needed, which must be what it is for a session that has not run anything."""
    found, stops = walks.needed(fetches, targets, hidden)
    fresh = needed_operations(fetches, targets, hidden, (), INPUTS)
    assert found.operations == fresh.operations and set(found.in_any_order) == set(fresh.in_any_order)
    assert found.controlled == fresh.controlled and stops == any_in_python(fresh.in_any_order, hidden)
    return found


def test_what_targets_need_is_found_once(monkeypatch):
    x, loss, train = layers()
    walks, hidden = Walks(), {x}
    whole = same(walks, [], [train], hidden).operations  # in order from now on
    one = tf.constant(1.0)
    added = loss + one
    seen = []
    monkeypatch.setattr("graphflow.runtime.stages.any_in_python", lambda ops, given: seen.append(len(ops)) or any_in_python(ops, given))
    assert same(walks, [added], [train], hidden).operations == [*whole, one.op, added.op]
    assert seen == [2] and same(walks, [], [train], hidden).operations == whole


def test_what_was_made_before_stands_in_its_place():
    x = tf.placeholder(tf.float32, [None, 8])
    v = tf.Variable(tf.zeros([8]))
    early = tf.reduce_sum(tf.exp(x))
    target = v.assign_add(tf.reduce_sum(tf.tanh(x), 0)).op
    with tf.control_dependencies([target]):
        late = v.read_value() + early
    text = tf.as_string(early)
    looped = tf.while_loop(lambda n: n < 3.0, lambda n: n + 1.0, [early])
    walks = Walks()
    for fetches in ([], [early], [late], [text], [early, late], [looped], [late]):
        same(walks, fetches, [target], {x})


def test_other_feeds_and_alterations_are_looked_at():
    x, loss, train = layers()
    inner = loss.op.inputs[0]
    walks = Walks()
    same(walks, [loss], [train], {x})
    assert inner.op not in same(walks, [loss], [train], {x, inner}).operations
    extra = tf.Variable(tf.zeros([])).assign_add(1.0).op
    train._add_control_input(extra)
    assert extra in same(walks, [loss], [train], {x}).operations
    for n in range(WALKS + 2):
        same(walks, [], [train, tf.no_op(name=f"n{n}")], {x})
    assert len(walks._kept) == WALKS
