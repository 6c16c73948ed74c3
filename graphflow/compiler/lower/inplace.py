"""Which output of a kernel may be written over which of its inputs.

Safe where an earlier phase has finished reading the input (a barrier lies between), or where every element is read only by the
iteration that writes the output's element at the same offset, before it writes. The first is read off the phases; the second off the
offsets: no load may come after the first store in program order, and all loads must have the offset of one of the stores, which is either
the only one, or stands with the load and all other stores in one body of a loop (a window, say, that is read and written as a whole), or
with the load in one of several contractions side by side, each of which has elements of its own. Windows of fewer channels than fill the
lanes are left out: a load that follows a masked store beside it waits until that is in the cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import NamedTuple

from graphflow.kernel.expr import Expr, Load, walk
from graphflow.kernel.index import Index, product
from graphflow.kernel.nodes import Accumulate, Contract, If, Kernel, Let, Loop, Mode, Role, Set, Stmt, Store, Var

LANES = 16  # of the widest vectors


class Event(NamedTuple):
    """A load or store in program order; `body`: the number of the statement list that it stands in, `full`: whether no lanes are masked,
    `apart`: whether that list is one of several contractions of a phase."""

    store: bool
    buffer: str
    offset: Index | None
    phase: int
    body: int
    full: bool
    apart: bool = False


def aliasable(kernel: Kernel) -> tuple[tuple[int, int], ...]:
    """Pairs (input number, output number) of buffers of equal size and type that may share memory."""
    bodies = count()
    events = [e for n, phase in enumerate(kernel.phases) for e in _events(phase, n, bodies)]
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
    if all(w.apart and w.phase == start.phase for _, w in writes):
        own = {(w.body, w.offset): at for at, w in writes}
        return all(event.phase < start.phase or at < own.get((event.body, event.offset), 0) for at, event in loads)
    offsets = {w.offset for _, w in writes}
    together = len(offsets) > 1
    if together and (not start.full or any(w.body != start.body for _, w in writes)):
        return all(event.phase < start.phase for _, event in loads)
    return all(
        event.phase < start.phase
        or (at < first and event.offset is not None and event.offset in offsets and (not together or event.body == start.body))
        for at, event in loads
    )


def _events(stmts: tuple[Stmt, ...], phase: int, bodies: Iterator[int], full: bool = True) -> Iterator[Event]:
    body = next(bodies)
    several = len(stmts) > 1 and all(isinstance(s, Contract) for s in stmts)
    for stmt in stmts:
        if isinstance(stmt, Store):
            yield from _loads([stmt.value] if stmt.guard is None else [stmt.value, stmt.guard], phase, body, full)
            yield Event(True, stmt.buffer, stmt.offset, phase, body, full)
        elif isinstance(stmt, (Let, Var, Set, Accumulate)):
            yield from _loads([stmt.value], phase, body, full)
        elif isinstance(stmt, If):
            yield from _loads([stmt.condition], phase, body, full)
            yield from _events(stmt.body, phase, bodies, full)
        elif isinstance(stmt, Loop):
            whole = stmt.mode is not Mode.VECTOR or (isinstance(stmt.extent, int) and stmt.extent % LANES == 0)
            yield from _events(stmt.body, phase, bodies, full and whole)
        elif isinstance(stmt, Contract):
            for operand in (stmt.left, stmt.right):
                yield Event(False, operand.buffer, None, phase, body, full)
            yield from (e._replace(apart=several) for e in _events(stmt.epilogue, phase, bodies))


def _loads(exprs: list[Expr], phase: int, body: int, full: bool) -> Iterator[Event]:
    for root in exprs:
        for e in walk(root):
            if isinstance(e, Load):
                yield Event(False, e.buffer, e.offset, phase, body, full)
