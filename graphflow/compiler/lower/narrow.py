"""Innermost loops that are shorter than a register, as the six channels of a pixel: the lanes go on into the next pixel.

    for i in 12: vector c in 6: b[6*i + c] = max(a[12*i + c], a[12*i + c + 6])
      ->  vector m in 72: b[m] = max(a[12*div(m, 6) + mod(m, 6)], a[12*div(m, 6) + mod(m, 6) + 6])

Two loops of which all offsets allow it merge without divisions (nest.merge). Here those of the stores do, and what is read lies at fixed
distances that repeat themselves, so that the divisions are of constants and the loads whole ones (llvm/periodic.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from graphflow.compiler.lower.nest import Axis, indices_in, renamed
from graphflow.kernel.affine import coefficient
from graphflow.kernel.expr import Expr, Load, free_symbols, walk
from graphflow.kernel.index import substitute, symbol
from graphflow.kernel.nodes import If, Let, Loop, Mode, Stmt, Store
from graphflow.kernel.periods import VECTORS, period_of

if TYPE_CHECKING:
    from graphflow.compiler.llvm.target import Target

NARROW = 12  # the longest loop that is too short
FAR = 4  # how many times as far apart as they are long what neighbouring rows read may lie


def fill(statements: Sequence[Stmt], target: Target) -> tuple[Stmt, ...]:
    """The same computation with narrow loops and those around them as one, where that is of use."""
    made: list[Stmt] = []
    for s in statements:
        if isinstance(s, Loop):
            s = _filled(s, target)
        if isinstance(s, Loop | If):
            body = fill(s.body, target)
            s = s if all(a is b for a, b in zip(body, s.body, strict=True)) else replace(s, body=body)
        made.append(s)
    return tuple(made)


def within_reach(values: Sequence[Expr], row: str, lane: Axis, target: Target) -> bool:
    """Whether lanes that go on along loop `row` behind the end of the narrow loop `lane` fill the target's registers better, and read what
    a few whole loads hold, by constant permutations. Where a row is divided, as by the windows of a pool, neighbours in it compute the
    same: there masked lanes must be more than half."""
    few, lanes = lane.extent, target.lanes("f32")
    if not isinstance(few, int) or not 1 < few <= NARROW or few % lanes == 0:
        return False
    at = symbol(f"{row}{lane.name}")
    period = 1
    for e in _loads(values):
        far = coefficient(e.offset, row)
        if coefficient(e.offset, lane.name) not in (0, 1) or (isinstance(far, int) and not 0 <= far <= FAR * few):
            return False
        if far is None and target.masks and 2 * few >= lanes:
            return False
        if e.guard is not None and not free_symbols(e.guard).isdisjoint((row, lane.name)):
            return False
    for index in indices_in(values):
        period = math.lcm(period, period_of(substitute(index, {row: at // few, lane.name: at % few}), f"{row}{lane.name}"))
    return 0 < math.lcm(period, lanes) <= VECTORS * lanes


def _filled(s: Loop, target: Target) -> Loop:
    """A loop over a narrow one as a vector loop over both; the loop itself where that is not of use."""
    inner = s.body[0]
    if len(s.body) != 1 or s.mode is not Mode.SERIAL or not isinstance(inner, Loop) or inner.mode is not Mode.VECTOR:
        return s
    few, many = inner.extent, s.extent
    if not (isinstance(few, int) and isinstance(many, int) and many > 1):
        return s
    values: list[Expr] = []
    for x in inner.body:
        if isinstance(x, Store):
            if x.guard is not None or (coefficient(x.offset, s.var), coefficient(x.offset, inner.var)) != (few, 1):
                return s
        elif not isinstance(x, Let):
            return s
        values.append(x.value)
    if not within_reach(values, s.var, Axis(inner.var, few), target):
        return s
    name = f"{inner.var}f{many * few}"  # a name stands for one range: expressions are shared by their texts
    at = symbol(name, 0, many * few - 1)
    return Loop(name, many * few, Mode.VECTOR, tuple(renamed(x, {s.var: at // few, inner.var: at % few}) for x in inner.body))


def _loads(values: Iterable[Expr]) -> Iterator[Load]:
    seen: set[Expr] = set()
    for value in values:
        for e in walk(value):
            if e not in seen:
                seen.add(e)
                if isinstance(e, Load):
                    yield e
