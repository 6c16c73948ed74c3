"""The range of an index expression, given the ranges of its symbols.

`index.bounds` trusts the limits stored in the symbols, which expressions with equal text share. Inside a kernel the
loops themselves say how far a variable goes, and that is what verification and code generation rely on.
"""

from __future__ import annotations

from collections.abc import Mapping

from graphflow.kernel.expr import Value
from graphflow.kernel.index import Atom, Index, IndexExpr, Maximum, Pair, Quotient, Remainder, Symbol

Range = tuple[int | None, int | None]
NATURAL: Range = (0, None)


def limits(index: Index, table: Mapping[str, Range]) -> Range:
    """Inclusive limits of `index`; None where unbounded. Symbols that `table` does not know are sizes, which are not
    negative.
    """
    if not isinstance(index, IndexExpr):
        return index, index
    low: int | None = 0
    high: int | None = 0
    for factors, scale in index.terms:
        term: Range = (scale, scale)
        for atom in factors:
            term = _times(term, atom_limits(atom, table))
        low = None if low is None or term[0] is None else low + term[0]
        high = None if high is None or term[1] is None else high + term[1]
    return low, high


def atom_limits(atom: Atom, table: Mapping[str, Range]) -> Range:
    """The limits of one factor."""
    if isinstance(atom, Symbol):
        return table.get(atom.name, NATURAL)
    if isinstance(atom, Value):
        return atom.bounds
    assert isinstance(atom, Pair)
    left, right = limits(atom.left, table), limits(atom.right, table)
    if isinstance(atom, Quotient):
        if left[0] is None or left[0] < 0 or right[0] is None or right[0] < 1:
            return None, None
        return (0 if right[1] is None else left[0] // right[1]), (None if left[1] is None else left[1] // right[0])
    if isinstance(atom, Remainder):
        return 0, (None if right[1] is None else right[1] - 1)
    either_low = [x for x in (left[0], right[0]) if x is not None]
    either_high = [x for x in (left[1], right[1]) if x is not None]
    if isinstance(atom, Maximum):
        return (max(either_low) if either_low else None), (max(either_high) if len(either_high) == 2 else None)
    return (min(either_low) if len(either_low) == 2 else None), (min(either_high) if either_high else None)


def _times(a: Range, b: Range) -> Range:
    """The product of two ranges."""
    if a == (0, 0) or b == (0, 0):
        return 0, 0
    ends: list[float] = []
    for x, infinite_x in ((a[0], -float("inf")), (a[1], float("inf"))):
        for y, infinite_y in ((b[0], -float("inf")), (b[1], float("inf"))):
            if x == 0 or y == 0:
                ends.append(0)
            elif x is None or y is None:
                sign = (infinite_x if x is None else x) * (
                    1.0 if y is None and infinite_y > 0 else -1.0 if y is None else y
                )
                ends.append(sign if abs(sign) == float("inf") else infinite_y * (1 if x is not None and x > 0 else -1))
            else:
                ends.append(x * y)
    low, high = min(ends), max(ends)
    return (None if low == -float("inf") else int(low)), (None if high == float("inf") else int(high))
