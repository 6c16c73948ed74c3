"""Minimal filtering: the matrices of Winograd's algorithms, and which contractions they can compute (Arithmetic Complexity of Computations,
1980; Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015).

F(m, r) gives m neighbouring results of r taps each in m + r - 1 products: y = A [(G g) * (B d)] for elements d and taps g. Its matrices
come of as many points at which polynomials are multiplied, infinity among them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from graphflow.kernel.expr import Expr, call
from graphflow.kernel.index import Index

Matrix = tuple[tuple[float, ...], ...]
Marks = tuple[bool, ...]

STEP = 2  # positions from one tile to the next


class Form(NamedTuple):
    """The matrices for windows of so many taps: B, G and A of F(2, taps), and G and A of F(taps, 2), whose B is the same. The factors that
    G has there are in A, which is applied once, G to every tile."""

    data: Matrix
    filter: Matrix
    result: Matrix
    error: Matrix
    gradient: Matrix


def _times(matrix: Matrix, factors: Sequence[float]) -> Matrix:
    """The columns of a matrix times a factor each."""
    return tuple(tuple(value * factor for value, factor in zip(row, factors, strict=True)) for row in matrix)


FORMS = {
    3: Form(  # from the points 0, 1, -1 and infinity
        data=((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1)),
        filter=((1, 0, 0), (1 / 2, 1 / 2, 1 / 2), (1 / 2, -1 / 2, 1 / 2), (0, 0, 1)),
        result=((1, 1, 1, 0), (0, 1, -1, -1)),
        error=((1, 0), (1, 1), (1, -1), (0, 1)),
        gradient=_times(((1, 1, 1, 0), (0, 1, -1, 0), (0, 1, 1, -1)), (1, 1 / 2, 1 / 2, 1)),
    ),
    5: Form(  # 0, 1, -1, 2, -1/2 and infinity: half the error of 0, 1, -1, 2, -2 (Barabasz et al., Error Analysis of Winograd, 2020)
        data=(
            (1, 3 / 2, -2, -3 / 2, 1, 0), (0, 2, 5, 1, -2, 0), (0, 2, 1, -5, 2, 0), (0, -1, -2, 1, 2, 0), (0, -2, 1, 2, -1, 0),
            (0, 1, 3 / 2, -2, -3 / 2, 1),
        ),
        filter=(
            (1, 0, 0, 0, 0), (1 / 6, 1 / 6, 1 / 6, 1 / 6, 1 / 6), (1 / 6, -1 / 6, 1 / 6, -1 / 6, 1 / 6),
            (1 / 30, 2 / 30, 4 / 30, 8 / 30, 16 / 30), (16 / 15, -8 / 15, 4 / 15, -2 / 15, 1 / 15), (0, 0, 0, 0, 1),
        ),
        result=((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -1 / 2, 1)),
        error=((1, 0), (1, 1), (1, -1), (1, 2), (2, -1), (0, 1)),
        gradient=_times(
            ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -1 / 2, 0), (0, 1, 1, 4, 1 / 4, 0), (0, 1, -1, 8, -1 / 8, 0), (0, 1, 1, 16, 1 / 16, 1)),
            (1, 1 / 6, 1 / 6, 1 / 30, 8 / 15, 1),
        ),
    ),
}  # fmt: skip

FEWEST = 8  # channels and columns below which nothing is gained


class Plane(NamedTuple):
    """A direction of the images: the `dimension` of the left operand that windows run along, the numbers of the axes of their `positions`
    and of their `taps`, where the `first` window begins in the operand without its border, how many elements and positions there are,
    and how many elements a tile has."""

    dimension: int
    positions: int
    taps: int
    first: int
    size: int
    many: int
    places: int

    @property
    def tiles(self) -> int:
        """How many tiles cover all positions."""
        return -(-self.many // STEP)

    def read(self, tile: int) -> Marks:
        """Which elements of a tile there are; none of a tile beyond the last one."""
        places = range(STEP * tile + self.first, STEP * tile + self.first + self.places)
        return tuple(tile < self.tiles and 0 <= place < self.size for place in places)

    def done(self, tile: int) -> Marks:
        """Which positions of a tile there are."""
        return tuple(STEP * tile + n < self.many for n in range(STEP))


class Roles(NamedTuple):
    """What the axes of a contraction are, by number: `images` (None for a single one), the `channels` of the input and the `columns`, which
    the right operand alone has. `backward`: it is the gradient for a filter, whose results have channels and whose sums go over images."""

    rows: Plane
    across: Plane
    images: int | None
    channels: int
    columns: int
    backward: bool


def roles_of(op: Any, low: Sequence[Index], shape: Sequence[Index]) -> Roles | None:
    """The roles of a contraction's axes, None where it is no convolution with square windows of so many taps one position apart, nor the
    gradient of one for its filter. `low`: the border before the left operand, `shape`: the operand without it."""
    found = (_roles(op, low, shape, backward) for backward in (False, True))
    return next((roles for roles in found if roles is not None), None)


def _roles(op: Any, low: Sequence[Index], shape: Sequence[Index], backward: bool) -> Roles | None:
    planes: list[Plane] = []
    for dimension, (terms, constant) in enumerate(op.left):
        if len(terms) == 1 and low[dimension] == 0:
            continue
        axes = sorted((a for a, _ in terms), reverse=backward)  # that of positions first: taps are summed over, or free
        border, size = low[dimension], shape[dimension]
        if len(axes) != 2 or not min(axes) < op.free <= max(axes) or any(c != 1 for _, c in terms):
            return None
        many, taps = (op.extents[a] for a in axes)
        if taps not in FORMS or not isinstance(many, int) or many <= STEP or not isinstance(size, int):
            return None
        if not isinstance(constant, int) or not isinstance(border, int):
            return None
        planes.append(Plane(dimension, axes[0], axes[1], constant - border, size, many, len(FORMS[taps].data)))
    if len(planes) != 2 or planes[0].places != planes[1].places:
        return None
    sides = [[a for terms, _ in forms for a, _ in terms] for forms in (op.left, op.right)]
    taken = {a for plane in planes for a in (plane.positions, plane.taps)}
    rest = [a for a in range(len(op.extents)) if a not in taken and op.extents[a] != 1]
    left, columns, both = (
        [a for a in rest if (a in sides[0], a in sides[1]) == where] for where in ((True, False), (False, True), (True, True))
    )
    channels, images = (left, both) if backward else (both, left)
    if len(rest) != len(left) + len(columns) + len(both):
        return None  # something is repeated
    if len(channels) != 1 or len(columns) != 1 or len(images) > 1 or any(sides[0].count(a) != 1 for a in taken):
        return None
    read = {plane.positions if backward else plane.taps for plane in planes}
    if taken & set(sides[1]) != read or any(sides[1].count(a) != 1 for a in read):
        return None
    free, reduced = (channels, images) if backward else (images, channels)
    if any(a >= op.free for a in (*free, *columns)) or any(a < op.free for a in reduced):
        return None
    if any(not isinstance(op.extents[a], int) or op.extents[a] < FEWEST for a in (*channels, *columns)):
        return None
    return Roles(planes[0], planes[1], images[0] if images else None, channels[0], columns[0], backward)


def combined(factors: Sequence[float], values: Sequence[Expr | None]) -> Expr | None:
    """The sum of products, None for zero. A factor that all have is taken of the whole sum."""
    scale = min(abs(f) for f in factors if f)
    if any(abs(f) not in (0, scale) for f in factors):
        scale = 1.0
    terms = [(f / scale, v) for f, v in zip(factors, values, strict=True) if f and v is not None]
    terms.sort(key=lambda term: (abs(term[0]) != 1, term[0] < 0))
    total: Expr | None = None
    for factor, value in terms:
        if total is None:
            total = value if factor == 1 else value * factor
        elif abs(factor) == 1:
            total = total + value if factor > 0 else total - value
        else:
            total = call("fma", value, factor, total)
    return total if total is None or scale == 1 else total * scale


def runs(marks: Sequence[Marks]) -> Iterator[tuple[int, int, Marks]]:
    """Stretches of equal marks: the first, how many, and the mark."""
    first = 0
    for mark, some in groupby(marks):
        many = len(list(some))
        yield first, many, mark
        first += many
