"""Windows of a contraction that reach over the edge of an operand, where everything is zero."""

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
