"""The Program: an immutable, pruned, typed SSA form of the part of a Graph that one Session.run asks for.

    Program ::= Input* Node* outputs updates
    Input   ::= FEED (given at each run) | STATE (a variable's buffer) | CONSTANT (a large literal)
    Node    ::= Value+ = op(Value*)        op: a core op or an elementwise op, see graph/op.py

A symbol may also be the room of arrays that grow: then it is read nowhere and is a number to begin with, ("", number).

Every size is an int or an IndexExpr over the Program's symbols; a symbol's value is read off a feed's shape when a plan is bound. A
variable that is assigned appears as an Input (its old value) and in `updates` (its new value).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple

import numpy as np

from graphflow.dtypes import DType
from graphflow.graph.op import Effect, Kind, Op, TensorSpec
from graphflow.kernel.index import Index, IndexExpr, product


class Origin(NamedTuple):
    """Where a node came from: the graph op's name and the user's line that made it ("train.py:41 in build")."""

    name: str
    line: str


class Value:
    """One SSA value. `known` holds the contents where they are known while compiling (see TensorSpec.value). `look`: see templates.py;
    `inline`: see groups.py; `traits`: see lower.signature."""

    __slots__ = ("id", "dtype", "shape", "known", "look", "inline", "traits", "_size")

    def __init__(self, id_: int, dtype: DType, shape: Sequence[Index], known: np.ndarray[Any, Any] | None = None) -> None:
        self.id = id_
        self.dtype = dtype
        self.shape: tuple[Index, ...] = tuple(shape)
        self.known = known
        self.look: int | None = None
        self.inline: bool | None = None
        self.traits: tuple[Any, ...] | None = None
        self._size: Index | None = None

    @property
    def spec(self) -> TensorSpec:
        return TensorSpec(self.dtype, self.shape, self.known)

    @property
    def size(self) -> Index:
        """Number of elements."""
        if self._size is None:
            self._size = product(self.shape)
        return self._size

    def __repr__(self) -> str:
        return f"%{self.id}: {self.dtype.name}[{', '.join(map(str, self.shape))}]"


class Node:
    """outputs = op(inputs). `inferred`: the outputs are what the op's shape rule gave for the inputs. `group`: see groups.grouped;
    `became`: see rewrite.with_inputs."""

    __slots__ = ("op", "inputs", "outputs", "_origins", "inferred", "group", "became")

    def __init__(
        self, op: Op, inputs: Sequence[Value], outputs: Sequence[Value], origins: Sequence[Origin] = (), inferred: bool = False
    ) -> None:
        self.op = op
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self._origins = tuple(origins)
        self.inferred = inferred
        self.group: Any = None
        self.became: Node | None = None

    @property
    def origins(self) -> tuple[Origin, ...]:
        """The graph ops it stands for, the one that gives the outputs last."""
        return self._origins

    def __repr__(self) -> str:
        return f"{', '.join(map(repr, self.outputs))} = {self.op!r}({', '.join(f'%{v.id}' for v in self.inputs)})"


class Source(Enum):
    FEED = "feed"
    STATE = "state"
    CONSTANT = "constant"

    __hash__ = object.__hash__  # see graph.op.Kind


class Input(NamedTuple):
    """A value that a run begins with. `name`: the fed tensor's or the variable's name. `data`: the literal of a CONSTANT."""

    source: Source
    name: str
    value: Value
    data: np.ndarray[Any, Any] | None = None


class Program(NamedTuple):
    """See the module's text. `symbols` says where each run-time size is read: symbol -> (input name, axis)."""

    inputs: tuple[Input, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[Value, ...]
    updates: Mapping[str, Value]
    symbols: Mapping[str, tuple[str, int]]


def field_indices(op: Op) -> Iterator[IndexExpr]:
    """The run-time sizes among an op's attributes."""
    stack: list[Any] = [getattr(op, f) for f in op._fields]
    while stack:
        item = stack.pop(0)
        if isinstance(item, IndexExpr):
            yield item
        elif isinstance(item, tuple):
            stack.extend(item)


DEEP = 60  # ops between two counts and what they have in common, more of which are not looked at


def equal_count(count: Value, nodes: Sequence[Node]) -> str | None:
    """The size that an equal count was measured as among `nodes`, if there is one."""
    makers = {v.id: node for node in nodes for v in node.outputs}
    equal: dict[tuple[int, int], bool] = {}

    def same(a: Value, b: Value, deep: int = 0) -> bool:
        """Whether both are seen to be computed by equal ops from the same values."""
        if a is b:
            return True
        first, second = makers.get(a.id), makers.get(b.id)
        if first is None or second is None:
            literal = a.known is not None and b.known is not None and a.dtype == b.dtype
            return literal and bool(np.array_equal(a.known, b.known))  # type: ignore[arg-type]
        pair = first.outputs[0].id, second.outputs[0].id
        if pair not in equal:
            alike = first.op == second.op and first.op.effect is Effect.PURE and len(first.inputs) == len(second.inputs)
            equal[pair] = alike and deep < DEEP and all(same(x, y, deep + 1) for x, y in zip(first.inputs, second.inputs, strict=True))
        return equal[pair] and list(first.outputs).index(a) == list(second.outputs).index(b)

    found = (node for node in nodes if node.op.type == "Measured" and same(node.inputs[0], count))
    return next((node.op.symbol for node in found), None)  # type: ignore[attr-defined]


def _number(value: Value) -> int:
    return value.id


def assemble(inputs: Sequence[Input], nodes: Sequence[Node], outputs: Sequence[Value], updates: Mapping[str, Value],
             symbols: Mapping[str, tuple[str, int]]) -> Program:  # fmt: skip
    """A Program of what `outputs` and `updates` need of `nodes`, in their order; known operands become CONSTANT inputs."""
    read: set[Value] = {*outputs, *updates.values()}
    kept = []
    for node in reversed(nodes):
        wanted = not read.isdisjoint(node.outputs)
        if wanted and (node.outputs[0].known is not None or len(node.outputs) > 1):
            wanted = any(v.known is None and v in read for v in node.outputs)  # what is known is read as a literal
        if wanted or node.op.kind is Kind.HOST or node.op.effect is Effect.HOST:
            kept.append(node)
            read.update(node.inputs)
    kept.reverse()
    feed, constant = Source.FEED, Source.CONSTANT
    used: list[Input] = []
    before: dict[Value, Input] = {}
    for given in inputs:
        if given.source is constant:
            before[given.value] = given
        elif given.source is feed or given.value in read or given.name in updates:
            used.append(given)
    literals = {v for v in read if v.known is not None}
    if literals:
        literals.difference_update(*[node.outputs for node in kept])
    constants = [before.get(v) or Input(constant, "", v, v.known) for v in sorted(literals, key=_number)]
    return Program((*used, *constants), tuple(kept), tuple(outputs), dict(updates), dict(symbols))
