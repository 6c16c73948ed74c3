"""How often a loop goes round, read off its condition and the counter in it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from graphflow.compiler.builder import ProgramBuilder
from graphflow.compiler.program import Value
from graphflow.compiler.scope import Entry
from graphflow.kernel.index import Index, IndexExpr, maximum, minimum


def trip_count(b: ProgramBuilder, goes_on: Value, variables: Iterable[tuple[Value, Entry, Entry]]) -> Index:
    """How often a loop goes round where its condition is i < limit for a counter that begins at a known number and is raised by a known
    one; -1 otherwise."""
    bound = trip_bound(b, goes_on, variables, exact=True)
    return -1 if bound is None else maximum(bound, 0)


def trip_bound(b: ProgramBuilder, goes_on: Value, variables: Iterable[tuple[Value, Entry, Entry]], exact: bool = False) -> Index | None:
    """The most iterations that the condition allows, judged by a counter in it; None where there is none."""
    producer = {v.id: node for node in b.nodes for v in node.outputs}
    counters: dict[int, tuple[Index, Index]] = {}  # by id of the next value: where it begins, by how much it grows
    for inside, initial, following_ in variables:
        if not isinstance(initial, Value) or not isinstance(following_, Value) or initial.shape != ():
            continue
        node = producer.get(following_.id)
        if initial.known is None or node is None or node.op.type not in ("Add", "AddV2"):
            continue
        steps = [v for v in node.inputs if v is not inside]
        if len(steps) == 1 and steps[0].known is not None and len(node.inputs) == 2:
            counters[following_.id] = _index(initial.known), _index(steps[0].known)

    def bound(value: Value) -> Index | None:
        node = producer.get(value.id)
        if node is None:
            return None
        if node.op.type == "LogicalAnd":
            sides = [s for s in map(bound, node.inputs) if s is not None]
            if exact and len(sides) < 2:
                return None
            return sides[0] if len(sides) == 1 else minimum(*sides) if sides else None
        if node.op.type == "Less":
            counter, limit = node.inputs
        elif node.op.type == "Greater":
            limit, counter = node.inputs
        else:
            return None
        if counter.id not in counters or limit.known is None or limit.shape != ():
            return None
        start, step = counters[counter.id]
        if not isinstance(step, int) or step < 1:
            return None
        return (_index(limit.known) - start + step - 1) // step

    return bound(goes_on)


def _index(known: Any) -> Index:
    element = known.reshape(-1)[0]
    return element if isinstance(element, IndexExpr) else int(element)
