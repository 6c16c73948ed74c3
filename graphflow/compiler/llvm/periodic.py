"""Vector loops that run through several short rows at once: whole loads and constant permutations.

    vector m < 72: b[m] = max(a[12*div(m, 6) + mod(m, 6)], a[12*div(m, 6) + mod(m, 6) + 6])

Six channels of a pixel fill no register, twelve pixels of a row fill four and a half (compiler/lower/narrow.py). What a lane reads is a
fixed distance from what lane 0 reads wherever lane 0's position is known up to whole periods of the quotients and remainders: here 48
elements, three registers of 16 lanes. So one iteration is a period, and each of its vectors is written out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from graphflow.compiler.llvm.builder import known_lanes, vector
from graphflow.compiler.llvm.scope import Placed, Turn
from graphflow.kernel.expr import Load
from graphflow.kernel.index import symbol
from graphflow.kernel.nodes import Loop

if TYPE_CHECKING:
    from graphflow.compiler.llvm.expr import Expressions
    from graphflow.compiler.llvm.stmt import Emitter

PARTS = 4  # most loads that one vector is put together from


def emit_periods(em: Emitter, s: Loop, lanes: int, period: int, writes: frozenset[str]) -> None:
    """A vector loop of known length whose vectors begin at known places of a period."""
    b = em.b
    assert isinstance(s.extent, int)
    count = s.extent // period
    if count > 1:
        name = f"{s.var}p{count}"
        with b.loop("period", b.i64(0), b.i64(count), b.i64(1)) as loop:
            em.push(loop.point, writes)
            em.set_symbol(name, loop.index)
            em.set_range(name, count)
            _vectors(em, s, Turn(s.var, 0, symbol(name, 0, count - 1), period, lanes), period, writes)
            em.pop()
    elif count:
        _vectors(em, s, Turn(s.var, 0, 0, period, lanes), period, writes)
    start = count * period
    whole = s.extent if em.target.masks else start + (s.extent - start) // lanes * lanes
    _vectors(em, s, Turn(s.var, start, 0, period, lanes), whole, writes)
    if whole < s.extent:
        em._serial_loop(s, b.i64(whole), b.i64(s.extent), None)


def _vectors(em: Emitter, s: Loop, turn: Turn, end: int, writes: frozenset[str]) -> None:
    """The iterations from the start of `turn` to `end`, one vector after the other."""
    b = em.b
    for start in range(turn.start, end, turn.lanes):
        mask = b.first_lanes(b.i64(end - start), turn.lanes) if end - start < turn.lanes else None
        at = em.index(turn.number * turn.period + start)
        with em.bind({s.var: at}, vector=s.var, lanes=turn.lanes, mask=mask, writes=writes):
            em.set_range(s.var, s.extent)
            em.turns[s.var] = Turn(s.var, start, turn.number, turn.period, turn.lanes)
            em.run(s.body)
            del em.turns[s.var]
        em._forget(writes)


def load_pattern(em: Expressions, e: Load, steps: Sequence[int], level: int) -> Placed | None:
    """Elements at fixed distances from lane 0's, of a load without a guard; None where they must be gathered. Nothing before the first or
    behind the last of them is touched."""
    active = [True] * em.lanes if em.mask is None else known_lanes(em.mask)
    if active is None:
        return None
    b, lanes = em.b, em.lanes
    wanted = sorted({step for step, on in zip(steps, active, strict=True) if on})
    low, high = wanted[0], wanted[-1]
    starts: list[int] = []
    for step in wanted:
        if not starts or step >= starts[-1] + lanes:
            starts.append(max(low, min(step, high - lanes + 1)))
    if len(starts) > PARTS:
        return None
    address, own = em.address(e.buffer, em.first(e.offset))
    level, condition = em._outward(max(level, own, em.vector_level))
    if condition is not None:
        return None
    scalar = em.memory_type(e.buffer)
    type_ = vector(scalar, lanes)
    with em.place(level):
        short = b.mask([lane <= high - low for lane in range(lanes)]) if high - low + 1 < lanes else None
        parts = [b.load(type_, b.element(address, b.i64(start), scalar), mask=short) for start in starts]
        value = parts[0]
        for n, part in enumerate(parts[1:] or parts, 1):
            chosen = []
            for lane, (step, on) in enumerate(zip(steps, active, strict=True)):
                source = max((k for k, start in enumerate(starts) if start <= step), default=0)
                if not on or source > n:
                    chosen.append(-1)
                elif source == n:
                    chosen.append(lanes + step - starts[n])
                else:
                    chosen.append(lane if n > 1 else step - starts[0])
            value = b.shuffle(value, chosen, part) if chosen != list(range(lanes)) else value
        return value, level
