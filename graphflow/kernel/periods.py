"""How often an index repeats itself along a loop."""

from __future__ import annotations

import math

from graphflow.kernel.index import Index, IndexExpr, Quotient, Remainder, Symbol

VECTORS = 12  # most vectors of one period that are written out


def period_of(index: Index, name: str) -> int:
    """After how many steps of `name` all quotients and remainders of it have gone through whole turns, so that the index has grown by a
    constant; 1 where there are none, 0 where no such number is known."""
    period = 1
    for factors, _ in index.terms if isinstance(index, IndexExpr) else ():
        for atom in factors:
            if not isinstance(atom, Symbol) and name in atom.symbols():
                if not isinstance(atom, Quotient | Remainder) or not isinstance(atom.right, int) or atom.symbols() != {name}:
                    return 0  # an extremum, a number read from data, or a division by or of something else as well
                period = math.lcm(period, period_of(atom.left, name) * atom.right)
    return period
