"""Loops and branches in a Program: nodes that hold Programs.

    carried', ...           = Loop(pred, carried..., given...)      do { carried, pred = body(carried, given) } while pred, if pred to
    begin with
    carried', ..., result.. = Branch(pred, carried..., given...)    one of two bodies

A body is a Program over the sizes of the one around it. Its STATE inputs are the carried values, "c0", "c1", …; its FEED inputs are values
from outside, "g0", "g1", …; `updates` are the carried values' new contents. The outputs of a loop's body are the condition for going on,
those of a branch its results. What is carried is changed where it lies (`Op.inplace`), as variables are: a loop over a large array that
writes one row of it in each iteration moves that row only.

A body goes through the same passes as the Program around it, and is written out as calls between jumps (compiler/linear.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

from graphflow.compiler.program import Node, Program
from graphflow.graph.op import Effect, Kind, Op, TensorSpec
from graphflow.kernel.index import Index


class Body:
    """A Program as an attribute of a node. Two bodies are equal where they are one object."""

    __slots__ = ("program",)

    def __init__(self, program: Program) -> None:
        self.program = program

    def __repr__(self) -> str:
        return f"<{len(self.program.nodes)} nodes>"


class Region(Op, abstract=True):
    """An op with bodies. Its inputs are a bool scalar, `carried` values that are changed, and what the bodies read besides."""

    kind = Kind.REGION
    core = True
    differentiable: ClassVar[bool] = False
    carried: int

    @property
    def inplace(self) -> tuple[int, ...]:  # type: ignore[override]
        """Result k is operand k + 1."""
        return tuple(range(1, 1 + self.carried))

    @property
    def effect(self) -> Effect:  # type: ignore[override]
        """HOST where Python is called inside, which must not be left out."""
        inside = (part.op for body in self.bodies for n in body.program.nodes for part in getattr(n, "nodes", (n,)))
        return Effect.HOST if any(op.kind is Kind.HOST or op.effect is Effect.HOST for op in inside) else Effect.PURE

    @property
    def bodies(self) -> tuple[Body, ...]:
        """The Programs inside."""
        raise NotImplementedError

    def with_bodies(self, bodies: Sequence[Body]) -> Region:
        """The same op around other Programs."""
        raise NotImplementedError

    def infer(self, *inputs: TensorSpec) -> tuple[TensorSpec, ...]:
        return tuple(TensorSpec(s.dtype, s.dims) for s in inputs[1 : 1 + self.carried])


class Loop(Region, abstract=True):
    """See the module's text. `trips`: how often it goes round, where that is known while compiling, -1 otherwise."""

    type = "Loop"
    body: Body
    trips: Index = -1

    @property
    def bodies(self) -> tuple[Body, ...]:
        return (self.body,)

    def with_bodies(self, bodies: Sequence[Body]) -> Loop:
        return Loop(self.carried, bodies[0], self.trips)


class Branch(Region, abstract=True):
    """See the module's text."""

    type = "Branch"
    true: Body
    false: Body

    @property
    def bodies(self) -> tuple[Body, ...]:
        return (self.true, self.false)

    def with_bodies(self, bodies: Sequence[Body]) -> Branch:
        return Branch(self.carried, *bodies)

    def infer(self, *inputs: TensorSpec) -> tuple[TensorSpec, ...]:
        return (*super().infer(*inputs), *(TensorSpec(v.dtype, v.shape) for v in self.true.program.outputs))


def in_bodies(program: Program, function: Callable[[Program], Program]) -> Program:
    """The Program with `function` applied to every body directly inside it; the same object where nothing changed."""
    nodes: list[Node] = []
    changed = False
    for node in program.nodes:
        root = getattr(node, "root", None)
        inner = root if root is not None and root.op.kind is Kind.REGION else node
        if isinstance(inner.op, Region):
            bodies = [Body(function(b.program)) for b in inner.op.bodies]
            if any(new.program is not old.program for new, old in zip(bodies, inner.op.bodies, strict=True)):
                changed = True
                made = Node(inner.op.with_bodies(bodies), inner.inputs, inner.outputs, inner.origins)
                node = made if inner is node else type(node)(node.form, (made,), made.inputs, made.outputs, made)  # type: ignore[attr-defined, arg-type]
        nodes.append(node)
    return program._replace(nodes=tuple(nodes)) if changed else program


def body_operands(node: Node) -> dict[tuple[int, str], int]:
    """For every input of every body, by (number of the body, name), the position of its operand in `node.inputs`."""
    op = node.op
    assert isinstance(op, Region)
    found: dict[tuple[int, str], int] = {}
    for number in range(len(op.bodies)):
        for k in range(len(node.inputs) - 1):
            name = f"c{k}" if k < op.carried else f"g{k - op.carried}"
            found[number, name] = k + 1
    return found


def every_node(program: Program) -> Iterator[Node]:
    """All nodes, those of bodies at any depth included."""
    for node in program.nodes:
        yield node
        if isinstance(node.op, Region):
            for body in node.op.bodies:
                yield from every_node(body.program)
