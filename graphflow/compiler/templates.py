"""What operations become in a Program, remembered for equal operations on operands that look alike.

A program has many layers of one kind, and a session captures the same operations again for every new fetch. What `Op.decompose` and the
shape rules make of an operation depends on its attributes and on its operands' types, sizes and known contents; it is made once and copied
with other operands afterwards. Where the making looked at more than that (who made an operand, random numbers, parts of complex numbers) it
is not remembered.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np

from graphflow.compiler.builder import ProgramBuilder
from graphflow.compiler.program import Node, Value
from graphflow.dtypes import DType
from graphflow.graph.op import Effect, Kind, Op
from graphflow.kernel.index import Index, IndexExpr

KEPT = 4096  # templates of a session
SMALL = 64  # elements of known contents that are compared

Reference = tuple[int, int]  # OPERAND, CONSTANT or MADE, and a number
OPERAND, CONSTANT, MADE = range(3)


class _Call(NamedTuple):
    op: Op
    inputs: tuple[Reference, ...]
    outputs: tuple[tuple[DType, tuple[Index, ...]], ...]
    inferred: bool


class _Literal(NamedTuple):
    """Known contents. shared: a builder's one value for this number."""

    dtype: DType
    known: np.ndarray[Any, Any]
    shared: bool

    def value(self, b: ProgramBuilder) -> Value:
        return b.constant(self.known, self.dtype) if self.shared else b.value(self.dtype, self.known.shape, self.known)


class Template(NamedTuple):
    """Nodes whose operands are numbers instead of Values. guards: sizes that must not be negative. single: one result, not a tuple."""

    calls: tuple[_Call, ...]
    constants: tuple[_Literal, ...]
    results: tuple[Reference, ...]
    single: bool
    guards: tuple[IndexExpr, ...]

    def copied(self, b: ProgramBuilder, operands: Sequence[Value]) -> Any:
        """The results for other operands, the nodes added to the builder's."""
        made: list[Value] = []
        values = operands, [c.value(b) for c in self.constants], made
        for call in self.calls:
            outputs = [b.value(dtype, shape) for dtype, shape in call.outputs]
            b.nodes.append(Node(call.op, [values[kind][n] for kind, n in call.inputs], outputs, b.origins, call.inferred))
            made += outputs
        results = tuple([values[kind][n] for kind, n in self.results])
        return results[0] if self.single else results


class Situation(NamedTuple):
    """What a builder was like before an operation was made."""

    nodes: int
    rest: tuple[int, ...]


def situation(b: ProgramBuilder) -> Situation:
    """To be given to `Templates.remember` when the operation has been made."""
    return Situation(len(b.nodes), _rest(b))


def _rest(b: ProgramBuilder) -> tuple[int, ...]:
    return len(b.inputs), len(b.updates), len(b.measured), len(b._parts), b.asked


class Templates(dict[Hashable, Template]):
    """By `key_of`."""

    def remember(
        self, key: Hashable, b: ProgramBuilder, before: Situation, operands: Sequence[Value], results: Any, guards: Sequence[IndexExpr]
    ) -> None:
        """Keep what has just been made of `operands`, unless more than they decided about it."""
        if _rest(b) != before.rest:
            return
        constants: list[_Literal] = []
        places: dict[int, Reference] = {}

        def place(value: Value) -> Reference | None:
            found = places.get(value.id)
            if found is None and value.known is not None:
                found = places[value.id] = CONSTANT, len(constants)
                constants.append(_Literal(value.dtype, value.known, b.is_shared(value)))
            return found

        for n, value in enumerate(operands):
            places.setdefault(value.id, (OPERAND, n))
        calls, made = [], 0
        for node in b.nodes[before.nodes :]:
            inputs = [place(v) for v in node.inputs]
            if None in inputs or any(v.known is not None for v in node.outputs):
                return
            calls.append(_Call(node.op, tuple(inputs), tuple([(v.dtype, v.shape) for v in node.outputs]), node.inferred))  # type: ignore[arg-type]
            for value in node.outputs:
                places[value.id] = MADE, made
                made += 1
        single = isinstance(results, Value)
        found = [place(v) for v in ((results,) if single else results)]
        if None in found:
            return
        if len(self) >= KEPT:
            self.clear()
        self[key] = Template(tuple(calls), tuple(constants), tuple(found), single, tuple(guards))  # type: ignore[arg-type]


def key_of(b: ProgramBuilder, op: Op, operands: Sequence[Value], expected: Sequence[int | None] | None) -> Hashable | None:
    """What decides what an operation becomes; None where too much does."""
    if op.kind is Kind.HOST or op.effect in (Effect.RANDOM, Effect.HOST) or b.measured:
        return None
    described = []
    for value in operands:
        known, dtype = value.known, value.dtype
        if dtype.is_complex or (known is not None and known.size > SMALL):
            return None
        contents = None if known is None else tuple(known.ravel()) if known.dtype == object else known.tobytes()
        described.append((dtype, value.shape, contents))
    same = tuple([operands.index(v) for v in operands]) if len(set(operands)) < len(operands) else None
    return op, expected, tuple(described), same
