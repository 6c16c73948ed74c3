"""Which output of a kernel may be written over which of its inputs.

Safe where an earlier phase has finished reading the input (a barrier lies between), or where every element is read only by the
iteration that writes the output's element at the same offset, before it writes. The first is read off the phases; the second off the
offsets: loads and stores of the two buffers must have one and the same offset, and no load may come after the first store in program
order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from graphflow.kernel.expr import Expr, Load, walk
from graphflow.kernel.index import Index, product
from graphflow.kernel.nodes import Accumulate, Contract, If, Kernel, Let, Loop, Role, Set, Stmt, Store, Var


class Event(NamedTuple):
    """A load or store in program order."""

    store: bool
    buffer: str
    offset: Index | None
    phase: int


def aliasable(kernel: Kernel) -> tuple[tuple[int, int], ...]:
    """Pairs (input number, output number) of buffers of equal size and type that may share memory."""
    events = [e for n, phase in enumerate(kernel.phases) for e in _events(phase, n)]
    loads: dict[str, list[tuple[int, Event]]] = {}
    writes: dict[str, list[tuple[int, Event]]] = {}
    for at, event in enumerate(events):
        (writes if event.store else loads).setdefault(event.buffer, []).append((at, event))
    pairs = []
    for i, source in enumerate(kernel.buffers):
        if source.role is not Role.IN:
            continue
        for o, target in enumerate(kernel.buffers):
            if target.role is Role.OUT and target.type == source.type and _same_size(source.shape, target.shape):
                if _safe(loads.get(source.name, []), writes.get(target.name, [])):
                    pairs.append((i, o))
    return tuple(pairs)


def _same_size(a: tuple[Index, ...], b: tuple[Index, ...]) -> bool:
    return a == b or product(a) == product(b)


def _safe(loads: list[tuple[int, Event]], writes: list[tuple[int, Event]]) -> bool:
    if not writes:
        return False
    first, start = writes[0]
    offset = start.offset
    if any(w.offset != offset for _, w in writes):
        return all(event.phase < start.phase for _, event in loads)
    return all(event.phase < start.phase or (at < first and event.offset is not None and event.offset == offset) for at, event in loads)


def _events(stmts: tuple[Stmt, ...], phase: int) -> Iterator[Event]:
    for stmt in stmts:
        if isinstance(stmt, Store):
            yield from _loads([stmt.value] if stmt.guard is None else [stmt.value, stmt.guard], phase)
            yield Event(True, stmt.buffer, stmt.offset, phase)
        elif isinstance(stmt, (Let, Var, Set, Accumulate)):
            yield from _loads([stmt.value], phase)
        elif isinstance(stmt, If):
            yield from _loads([stmt.condition], phase)
            yield from _events(stmt.body, phase)
        elif isinstance(stmt, Loop):
            yield from _events(stmt.body, phase)
        elif isinstance(stmt, Contract):
            for operand in (stmt.left, stmt.right):
                yield Event(False, operand.buffer, None, phase)
            yield from _events(stmt.epilogue, phase)


def _loads(exprs: list[Expr], phase: int) -> Iterator[Event]:
    for root in exprs:
        for e in walk(root):
            if isinstance(e, Load):
                yield Event(False, e.buffer, e.offset, phase)
