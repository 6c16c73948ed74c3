"""Every second, third, … element: whole vectors and shuffles instead of gathers and scatters.

Loops that take the steps of a period together (compiler/lower/split.py) have lanes that are as many elements apart as the period is long.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from graphflow.compiler.llvm.builder import Reg, split_vector, vector
from graphflow.compiler.llvm.scope import Placed
from graphflow.compiler.llvm.transpose import woven
from graphflow.kernel.expr import Load
from graphflow.kernel.index import Index, IndexExpr
from graphflow.kernel.nodes import Stmt, Store

if TYPE_CHECKING:
    from graphflow.compiler.llvm.expr import Expressions
    from graphflow.compiler.llvm.stmt import Emitter

FURTHEST = 8  # elements apart that are loaded so; of stores, 4


def load_every(em: Expressions, e: Load, step: int, level: int) -> Placed | None:
    """Elements `step` apart of a load without a guard; None where they must be gathered. Only elements between the first and the last
    are touched."""
    if not 2 <= step <= FURTHEST or em.mask is not None or em.lanes < 2 * step:
        return None
    b, lanes = em.b, em.lanes
    k = constant_of(e.offset) % step
    address, own = em.address(e.buffer, e.offset - k)
    level, condition = em._outward(max(level, own))
    if condition is not None:
        return None
    scalar = em.memory_type(e.buffer)
    type_ = vector(scalar, lanes)
    last = step * (lanes - 1) + k
    with em.place(level):
        parts: list[Reg] = []
        for n in range(step):
            inside = [k <= n * lanes + lane <= last for lane in range(lanes)]
            mask = None if all(inside) else b.mask(inside)
            parts.append(b.load(type_, b.element(address, b.i64(n * lanes), scalar), mask=mask))
        places = [step * lane + k for lane in range(lanes)]  # of what the lanes want, in all parts
        value = b.shuffle(parts[0], [p if p < 2 * lanes else -1 for p in places], parts[1])
        for n, part in enumerate(parts[2:], 2):
            taken = [lane if p < n * lanes else p - (n - 1) * lanes if p < (n + 1) * lanes else -1 for lane, p in enumerate(places)]
            value = b.shuffle(value, taken, part)
        return value, level


def store_every(em: Emitter, stores: Sequence[Store]) -> None:
    """Stores that together write every element of a range, lane after lane."""
    b = em.b
    values = stored(em, stores)
    scalar, _ = split_vector(values[0].type)
    address = em.address(stores[0].buffer, em.rename(stores[0].offset))[0]
    for n, value in enumerate(woven(b, values)):
        b.store(value, b.element(address, b.i64(n * em.lanes), scalar))
    em.written(stores[0].buffer)


def stored(em: Emitter, statements: Sequence[Stmt]) -> list[Reg]:
    """What the stores among `statements`, which have no guards, would write; the others are run."""
    found = []
    for s in statements:
        if isinstance(s, Store):
            found.append(em._in_memory(em.wide(s.value)))
        else:
            em.run((s,))
    return found


def interleaved(em: Emitter, statements: Sequence[Stmt]) -> list[Store]:
    """The stores that `statements` begin with, if `store_every` can do them; otherwise nothing."""
    first = statements[0]
    if em.lanes < 2 or em.mask is not None or not isinstance(first, Store) or first.guard is not None:
        return []
    offset = em.rename(first.offset)
    step = em.stride(offset)
    if not isinstance(step, int) or not 2 <= step <= 4 or len(statements) < step or em.lanes < 2 * step:
        return []
    group: list[Store] = []
    for n, s in enumerate(statements[:step]):
        if not isinstance(s, Store) or s.buffer != first.buffer or s.guard is not None or em.rename(s.offset) - offset != n:
            return []
        group.append(s)
    return group


def constant_of(index: Index) -> int:
    """The constant term."""
    if not isinstance(index, IndexExpr):
        return index
    return next((c for factors, c in index.terms if not factors), 0)
