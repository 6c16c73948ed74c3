"""Where a contraction reads beyond the edge of an operand, where everything is zero: windows of the left one, taps of the right one."""

from __future__ import annotations

from typing import Any, NamedTuple

from graphflow.kernel.index import Index, ceildiv, maximum, minimum


class Window(NamedTuple):
    """A dimension of the left operand where windows reach over the edge: it is read at position row * stride + tap * step + first, and is
    zero outside [0, size). `row` and `tap` are numbers of axes."""

    dimension: int
    row: int
    tap: int
    stride: int
    step: int
    first: int
    size: int

    def taps_inside(self, row: Index, taps: int) -> tuple[Index, Index]:
        """The first tap that lies inside, and the one after the last."""
        begin, end = (ceildiv(maximum(0, edge - self.first - row * self.stride), self.step) for edge in (0, self.size))
        return minimum(taps, begin), minimum(taps, end)


def window_of(op: Any, dimension: int, terms: Any, constant: Index, size: int) -> Window | None:
    """The window along a dimension of the left operand that is read at this affine form; None if it is none, or of unknown size."""
    pair = sorted(terms)
    if len(pair) != 2 or pair[0][0] >= op.free or pair[1][0] < op.free or not isinstance(constant, int):
        return None
    (row, stride), (tap, step) = pair
    many, taps = op.extents[row], op.extents[tap]
    if stride < 1 or step < 1 or not isinstance(many, int) or not isinstance(taps, int) or min(many, taps) < 2:
        return None
    return Window(dimension, row, tap, stride, step, constant, size)


class Comb(NamedTuple):
    """A dimension of the right operand of which each row reads every `step`-th element, backwards: it is read at position
    first + row*turn - tap*step, and is zero from `size` on (None: there is no such border), where the first taps of some rows are. There
    are no more rows than a step is long, so that no tap of one row is one of another. `row` and `tap` are numbers of axes."""

    dimension: int
    row: int
    tap: int
    turn: int
    step: int
    first: int
    size: int | None

    def first_tap(self, row: int) -> int:
        """The first one that is not zero."""
        return 0 if self.size is None else max(0, -((self.size - 1 - self.first - row * self.turn) // self.step))


def combs_of(op: Any) -> list[Comb]:
    """Those of a contraction, each with axes of its own."""
    found: list[Comb] = []
    borders = dict(op.inside)  # passes/borders.py
    for dimension, (terms, constant) in enumerate(op.right):
        pair = sorted(terms)
        if len(pair) != 2 or pair[0][0] >= op.free or pair[1][0] < op.free or not isinstance(constant, int):
            continue
        (row, turn), (tap, step) = pair
        many, taps = op.extents[row], op.extents[tap]
        if turn in (1, -1) and step < 0 and isinstance(many, int) and isinstance(taps, int) and many <= -step:
            least = constant + min(0, turn * (many - 1)) + step * (taps - 1)
            if least >= 0 and not any(row == c.row or tap == c.tap for c in found):
                found.append(Comb(dimension, row, tap, turn, -step, constant, borders.get((terms, constant))))
    return found


def within_windows(root: Any, halo: Any) -> bool:
    """Whether all of the border that `halo` puts around a contraction's left operand is what taps of windows reach, so that it need not be
    there where these taps are left out."""
    border, inside = halo.op, dict(root.op.inside)
    if border.value != 0 or any(border.interior) or combs_of(root.op):
        return False
    for dimension, ((terms, constant), low, high) in enumerate(zip(root.op.left, border.low, border.high, strict=True)):
        if (low, high) != (0, 0):
            size = inside.get((terms, constant - low))
            if size is None or window_of(root.op, dimension, terms, constant - low, size) is None:
                return False
    return True


def within_combs(root: Any, halo: Any) -> bool:
    """Whether all of the border that `halo` puts around a contraction's right operand is what taps of combs would read."""
    border = halo.op
    if border.value != 0 or any(border.interior) or any(low != 0 for low in border.low):
        return False
    dimensions = {comb.dimension for comb in combs_of(root.op) if comb.size is not None}  # the pass borders may be off
    return all(high == 0 or n in dimensions for n, high in enumerate(border.high))
