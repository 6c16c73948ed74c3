"""What each thread's share of a kernel touches: what chains of kernels are found by (compiler/chains.py), without the kernel's statements.

A phase that threads share runs over so many units, a thread over its part of them. For every buffer of the kernel, scratch aside, it is
kept which elements are read and written while the loops around them run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from graphflow.compiler.contract.plan import Plan
from graphflow.compiler.llvm.kernel import shared
from graphflow.compiler.llvm.stmt import everything, expressions
from graphflow.compiler.llvm.transpose import recognise
from graphflow.kernel.expr import Load, values_in, walk
from graphflow.kernel.index import Index, IndexExpr
from graphflow.kernel.nodes import Contract, If, Kernel, Loop, Role, Stmt, Store

MOST_TOUCHES = 64  # of a phase: what touches its buffers in more ways is not looked at

Loops = tuple[tuple[str, Index, Index], ...]  # name, first value, extent


class Touch(NamedTuple):
    """The elements at `offset` of a buffer, by number, that are read or `written` while `loops` run, besides the units."""

    buffer: int
    written: bool
    offset: Index
    loops: Loops


class Share(NamedTuple):
    """A loop that threads share: its units as digits, the most significant first, with how many values each has."""

    units: tuple[tuple[str, Index], ...]
    touches: tuple[Touch, ...]


class PhaseUse(NamedTuple):
    """The buffers that a phase touches, and how its shares do it; None where nothing is known of those."""

    touched: frozenset[int]
    shares: tuple[Share, ...] | None


def uses_of(kernel: Kernel) -> tuple[PhaseUse, ...]:
    """For each phase; empty for a kernel that cannot be in a chain: one that changes buffers in place or may fail."""
    if kernel.checks or any(b.role is Role.INOUT for b in kernel.buffers):
        return ()
    numbers = {b.name: n for n, b in enumerate(kernel.buffers) if b.role is not Role.SCRATCH}
    return tuple(_use(phase, numbers) for phase in kernel.phases)


def _use(phase: Sequence[Stmt], numbers: dict[str, int]) -> PhaseUse:
    found = list(_touches(phase, ()))
    touched = frozenset(numbers[name] for name, *_ in found if name in numbers)
    if not shared(tuple(phase)) or any(True for _, _, offset, _ in found for _ in values_in(offset)):
        return PhaseUse(touched, None)
    shares = [_share(s, numbers) for s in phase]
    return PhaseUse(touched, None if None in shares else tuple(s for s in shares if s is not None))


def _share(s: Stmt, numbers: dict[str, int]) -> Share | None:
    """How threads share a statement; None where it is not by whole units."""
    if isinstance(s, Contract):
        plan = s.plan
        if not isinstance(plan, Plan) or plan.matrix or plan.split != "units" or not plan.outer or plan.outer[0] != s.free[0].name:
            return None  # what stands for an empty sum is shared out along the first axis
        extents = {a.name: a.extent for a in s.free}
        units = tuple((name, extents[name]) for name in plan.outer)
    elif isinstance(s, Loop) and any(isinstance(x, Loop | Contract) for x in everything(s.body)) and recognise(s) is None:
        units = ((s.var, s.extent),)
    else:
        return None  # elements are shared out in whole vectors, transpositions in blocks
    outer = {name for name, _ in units}
    merged: dict[tuple[int, bool, Index, Loops], tuple[int, int]] = {}
    for name, written, offset, loops in _touches((s,), ()):
        if name in numbers:
            constant = _constant(offset)
            key = numbers[name], written, offset - constant, tuple(x for x in loops if x[0] not in outer)
            low, high = merged.get(key, (constant, constant))
            merged[key] = min(low, constant), max(high, constant)
    touches = [
        Touch(buffer, written, offset + c, loops) for (buffer, written, offset, loops), ends in merged.items() for c in sorted({*ends})
    ]
    return Share(units, tuple(touches)) if len(touches) <= MOST_TOUCHES else None


def _constant(offset: Index) -> int:
    if not isinstance(offset, IndexExpr):
        return offset
    return sum(scale for factors, scale in offset.terms if not factors)


def _touches(statements: Sequence[Stmt], loops: Loops) -> Iterator[tuple[str, bool, Index, Loops]]:
    """(buffer, whether it is written, offset, the loops around) of every access."""
    for s in statements:
        roots = list(expressions(s))
        inner = loops
        body: Sequence[Stmt] = ()
        if isinstance(s, Store):
            yield s.buffer, True, s.offset, loops
        elif isinstance(s, Loop):
            inner, body = (*loops, (s.var, 0, s.extent)), s.body
        elif isinstance(s, If):
            body = s.body
        elif isinstance(s, Contract):
            inner = (*loops, *((a.name, a.start, a.extent) for a in (*s.free, *s.reduced)))
            roots, body = [s.left, s.right], s.epilogue
        for e in dict.fromkeys(e for root in roots for e in walk(root)):
            if isinstance(e, Load):
                yield e.buffer, False, e.offset, inner if isinstance(s, Contract) else loops
        yield from _touches(body, inner)
