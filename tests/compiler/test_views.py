"""Views of Programs and plans as networkx graphs, and what they find wrong."""

from __future__ import annotations

import re

import networkx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphflow.compiler.builder import ProgramBuilder
from graphflow.compiler.memory import Block, lower_bound, place
from graphflow.compiler.pipeline import compile_program, run_passes
from graphflow.compiler.verify import VerificationError, verify_plan
from graphflow.compiler.views import collisions, heaviest_clique, interference, program_dot, program_view, unneeded
from graphflow.config import options
from graphflow.runtime.jit import default_jit
from tests.compiler.support import BATCH, feed, mlp, random_program, state
from tests.compiler.test_memory import BLOCKS
from tests.fuzzing import examples


def small():
    """y = x + w; w := 2 w; a product that nothing needs."""
    b = ProgramBuilder()
    x, w = feed(b, "x", BATCH, 3), state(b, "w", 3)
    square = b.mul(x, x)
    b.updates["w"] = b.mul(w, 2.0)
    program = b.finish([b.add(x, w), square], {"d0": ("x", 0)})
    return program._replace(outputs=program.outputs[:1])


def test_view_of_a_program():
    program = small()
    view = program_view(program)
    assert networkx.is_directed_acyclic_graph(view)
    assert sorted(map(str, view.predecessors("output 0"))) == ["2"]
    assert networkx.has_path(view, "state w", "update w") and not networkx.has_path(view, "feed x", "update w")
    assert {str(value.id) for _, _, value in view.out_edges("feed x", data="value")} == {str(program.inputs[0].value.id)}
    assert view.number_of_edges("feed x", 0) == 2, "x * x reads it twice"


def test_what_nothing_needs_is_found_and_removed():
    program = small()
    assert [n.op.type for n in unneeded(program)] == ["Mul"]
    assert unneeded(run_passes(program, options())) == []


@given(st.integers(0, 10**6))
@examples(25)
def test_groups_are_convex_and_all_needed(seed):
    program = run_passes(random_program(seed), options())
    assert networkx.is_directed_acyclic_graph(program_view(program)), "a group that waits for itself"
    assert unneeded(program) == []


@given(BLOCKS)
@examples(60)
def test_three_roads_to_the_lower_bound(blocks):
    cliques = networkx.chordal_graph_cliques(interference(blocks))
    assert lower_bound(blocks) == heaviest_clique(blocks) == max((sum(blocks[k].size for k in c) for c in cliques), default=0)
    assert list(collisions(blocks, place(blocks).offsets)) == []


def test_interference_and_collisions():
    blocks = [Block(64, 0, 1), Block(64, 1, 2), Block(64, 2, 3), Block(0, 0, 3)]
    assert {frozenset(e) for e in interference(blocks).edges} == {frozenset(e) for e in [(0, 1), (1, 2), (0, 3), (1, 3), (2, 3)]}
    assert list(collisions(blocks, [0, 64, 0, 0])) == []
    assert sorted(collisions(blocks, [0, 32, 64, 0])) == [(0, 1), (1, 2)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p._replace(offsets=tuple(0 for _ in p.offsets)), "overlaps while both are needed"),
        (lambda p: p._replace(total=p.total - 64), "is outside the arena"),
        (lambda p: p._replace(bound=p.bound + 64), "is not the most that is needed together"),
    ],
)
def test_verify_mode_refuses_a_bad_placement(change, message):
    bound = compile_program(mlp(), default_jit(), options(), ["x", "y"]).bind([(9, 40), (9, 10)])
    verify_plan(bound)
    bound.placement = change(bound.placement)
    with pytest.raises(VerificationError, match=message):
        verify_plan(bound)


def test_binding_is_verified_in_verify_mode(monkeypatch):
    compiled = compile_program(mlp(), default_jit(), options()._replace(verify=2), ["x", "y"])
    monkeypatch.setattr("graphflow.compiler.plan.place", lambda blocks: place(blocks)._replace(offsets=(0,) * len(blocks)))
    with pytest.raises(VerificationError, match="overlaps"):
        compiled.bind([(9, 40), (9, 10)])


def test_text_for_graphviz():
    compiled = compile_program(mlp(), default_jit(), options(), ["x", "y"])
    text = compiled.report.dot
    boxes = dict(re.findall(r'^  (n\d+) \[label="((?:[^"\\]|\\.)*)", .*\];$', text, re.MULTILINE))
    arrows = re.findall(r'^  (n\d+) -> (n\d+) \[label="([^"]*)"\];$', text, re.MULTILINE)
    assert len(boxes) + len(arrows) == len(text.splitlines()) - 5, "nothing but boxes and arrows between the head and the end"
    named = {number: label.split("\\n")[0] for number, label in boxes.items()}
    assert set(compiled.report.kernels) < set(named.values()), "every kernel has a box"
    assert {"feed x", "state w1", "update w1", "output 0"} < set(named.values())
    assert not any(name.startswith("constant") for name in named.values()), "numbers stand in the kernels"
    assert all(start in boxes and end in boxes for start, end, _ in arrows)
    (into,) = [shape for start, _, shape in arrows if named[start] == "feed y"]
    assert into == "float32[d0, 10]"


def test_names_are_quoted():
    b = ProgramBuilder()
    text = program_dot(b.finish([b.exp(feed(b, 'a "b" \\', 2))]))
    assert '[label="feed a \\"b\\" \\\\", shape=ellipse]' in text
