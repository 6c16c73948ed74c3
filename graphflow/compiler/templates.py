"""What operations become in a Program, remembered for equal operations on operands that look alike.

A program has many layers of one kind, and a session captures the same operations again for every new fetch. What `Op.decompose` and the
shape rules make of an operation depends on its attributes and on its operands' types, sizes and known contents; it is made once and copied
with other operands afterwards. Where the making looked at more than that (who made an operand, random numbers, parts of complex numbers) it
is not remembered.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from graphflow.compiler.builder import ProgramBuilder
from graphflow.compiler.program import Node, Value
from graphflow.dtypes import DType
from graphflow.graph.op import Effect, Kind, Op
from graphflow.kernel.index import Index, IndexExpr

KEPT = 4096  # templates of a session
SMALL = 64  # elements of known contents that are compared

Reference = int  # a number among the operands, the constants and what has been made, in this order


class _Call(NamedTuple):
    op: Op
    inputs: tuple[Reference, ...]
    outputs: tuple[tuple[DType, tuple[Index, ...], int | None], ...]  # element type, shape, look
    inferred: bool
    number: bool  # arithmetic on single numbers, done once for equal operands


class _Literal(NamedTuple):
    """Known contents. shared: a builder has one value for this number, under this key."""

    dtype: DType
    known: np.ndarray[Any, Any]
    shared: Hashable | None
    look: int | None

    def value(self, b: ProgramBuilder) -> Value:
        found = None if self.shared is None else b._scalars.get(self.shared)
        if found is None:
            found = b.value(self.dtype, self.known.shape, self.known)
            found.look = self.look
            if self.shared is not None:
                b._scalars[self.shared] = found
        return found


class Template(NamedTuple):
    """Nodes whose operands are numbers instead of Values. guards: sizes that must not be negative. single: one result, not a tuple."""

    calls: tuple[_Call, ...]
    constants: tuple[_Literal, ...]
    results: tuple[Reference, ...]
    single: bool
    guards: tuple[IndexExpr, ...]

    def copied(self, b: ProgramBuilder, operands: Sequence[Value]) -> Any:
        """The results for other operands, the nodes added to the builder's."""
        values = list(operands)
        if self.constants:
            values += [c.value(b) for c in self.constants]
        for op, references, described, inferred, number in self.calls:
            inputs = [values[n] for n in references]
            if number:
                equal = (op, *inputs)
                found = b.numbers.get(equal)
                if found is not None:
                    values += found
                    continue
            outputs = []
            for dtype, shape, look in described:
                value = Value(b._next, dtype, shape)
                value.look = look
                b._next += 1
                outputs.append(value)
            b.nodes.append(Node(op, inputs, outputs, b.origins, inferred))
            if number:
                b.numbers[equal] = outputs
            values += outputs
        return values[self.results[0]] if self.single else tuple([values[n] for n in self.results])


class Situation(NamedTuple):
    """What a builder was like before an operation was made."""

    nodes: int
    next: int
    scalars: int
    rest: tuple[int, ...]


def situation(b: ProgramBuilder) -> Situation:
    """To be given to `Templates.remember` when the operation has been made."""
    return Situation(len(b.nodes), b._next, len(b._scalars), _rest(b))


def _rest(b: ProgramBuilder) -> tuple[int, ...]:
    return len(b.inputs), len(b.updates), len(b.measured), len(b._parts), b.asked


class Templates(dict[Hashable, Template]):
    """By what `key` gives."""

    def __init__(self) -> None:
        super().__init__()
        self.limits: dict[Hashable, tuple[IndexExpr, ...]] = {}  # what nodes take for granted of sizes, see capture.py
        self._looks: dict[Hashable, int] = {}
        self._numbers = count()

    def key(self, b: ProgramBuilder, op: Op, operands: Sequence[Value], expected: Sequence[int | None] | None) -> Hashable | None:
        """What decides what an operation becomes; None where too much does."""
        effect = op.effect
        if op.kind is Kind.HOST or effect is not Effect.PURE and effect in (Effect.RANDOM, Effect.HOST) or b.measured:
            return None
        looks = []
        for value in operands:
            look = value.look
            if look is None:
                look = self._look(value)
                if look is None:
                    return None
            looks.append(look)
        same = tuple([operands.index(v) for v in operands]) if len(operands) > 1 and len({*operands}) < len(operands) else None
        return op, expected, tuple(looks), same

    def _look(self, value: Value) -> int | None:
        """A number for what a value looks like to an operation: values that look alike have the same one. None: it is more than can be
        compared."""
        known = value.known
        if value.dtype.is_complex or known is not None and known.size > SMALL:
            return None
        contents = None if known is None else tuple(known.ravel()) if known.dtype == object else known.tobytes()
        described = value.dtype, value.shape, contents
        found = self._looks.get(described)
        if found is None:
            if len(self._looks) >= KEPT:  # no number is given twice: what has an old one just looks like nothing else any more
                self._looks.clear()
            found = self._looks[described] = next(self._numbers)
        value.look = found
        return found

    def remember(
        self, key: Hashable, b: ProgramBuilder, before: Situation, operands: Sequence[Value], results: Any, guards: Sequence[IndexExpr]
    ) -> Any:
        """Keep what has just been made of `operands`, unless more than they decided about it; the results. What had been computed of single
        numbers before is not computed again."""
        template = None if _rest(b) != before.rest else self._template(b, before, operands, results, guards)
        if template is None:
            return results
        if len(self) >= KEPT:
            self.clear()
        self[key] = template
        new = b.nodes[before.nodes :]
        numbers = {(n.op, *n.inputs): list(n.outputs) for n, call in zip(new, template.calls, strict=True) if call.number}
        if b.numbers.keys().isdisjoint(numbers):
            b.numbers.update(numbers)
            return results
        b.withdraw(before.nodes)
        while len(b._scalars) > before.scalars:
            b._scalars.popitem()
        b._next = before.next
        return template.copied(b, operands)

    def _template(
        self, b: ProgramBuilder, before: Situation, operands: Sequence[Value], results: Any, guards: Sequence[IndexExpr]
    ) -> Template | None:
        """What has been made since `before`; None where it was made of more than the operands."""
        constants: list[_Literal] = []
        places: dict[int, Reference] = {}
        new = b.nodes[before.nodes :]
        for n, value in enumerate(operands):
            places.setdefault(value.id, n)
        single = isinstance(results, Value)
        found = (results,) if single else tuple(results)
        for value in (*[v for node in new for v in node.inputs], *found):
            if value.known is not None and value.id not in places:
                places[value.id] = len(operands) + len(constants)
                shared = b.shared_key(value)
                constants.append(_Literal(value.dtype, value.known, shared, self._look(value)))
        made = [v for node in new for v in node.outputs]
        for n, value in enumerate(made, len(operands) + len(constants)):
            places[value.id] = n
        read = [v for node in new for v in node.inputs]
        if any(v.id not in places for v in (*read, *found)) or any(v.known is not None for v in made):
            return None
        calls = [
            _Call(
                n.op, tuple([places[v.id] for v in n.inputs]), tuple([(v.dtype, v.shape, self._look(v)) for v in n.outputs]),
                n.inferred,
                n.op.kind is Kind.ELEMENTWISE and n.op.effect is Effect.PURE and not n.outputs[0].shape,
            )
            for n in new
        ]  # fmt: skip
        return Template(tuple(calls), tuple(constants), tuple([places[v.id] for v in found]), single, tuple(guards))
