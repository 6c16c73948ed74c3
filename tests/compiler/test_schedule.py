"""The order of the groups: memory first, then what is still in the caches."""

from __future__ import annotations

from collections.abc import Sequence

from graphflow.compiler.builder import ProgramBuilder
from graphflow.compiler.groups import Group, singleton
from graphflow.compiler.program import Value
from graphflow.compiler.schedule import NEAR, order
from tests.compiler.support import feed

ROWS, COLUMNS = 1024, NEAR // 4096  # a value of them fills the caches


def ordered(b: ProgramBuilder, outputs: Sequence[Value]) -> list[str]:
    """The results of the nodes, each a group of its own, in the order of their calls."""
    program = b.finish(list(outputs))
    groups: list[Group] = [singleton(n) for n in program.nodes]
    return [f"%{g.outputs[0].id}" for g in order(program._replace(nodes=tuple(groups)), groups)]


def names(*values: Value) -> list[str]:
    return [f"%{v.id}" for v in values]


def test_sums_of_what_is_in_the_caches_come_before_more_is_made() -> None:
    b = ProgramBuilder()
    x = feed(b, "x", ROWS, COLUMNS)
    first = b.exp(x)
    second = b.make("Tanh", x)
    total = b.reduce("add", first, (0,))  # its result is one more value that is alive, but a small one
    both = b.mul(first, second)
    assert ordered(b, [total, both]) == names(first, total, second, both)


def test_of_those_that_need_no_more_memory_the_one_with_near_operands_is_taken() -> None:
    b = ProgramBuilder()
    x = feed(b, "x", ROWS, COLUMNS)
    old = b.exp(x)
    new = b.make("Tanh", x)
    scale = b.reduce("max", new, (0, 1))
    far, near = b.mul(old, scale), b.mul(new, scale)
    assert ordered(b, [b.add(far, near)])[:4] == names(old, new, scale, near)
