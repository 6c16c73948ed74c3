"""Contractions under windows that hang over the edge, with few columns of results, by overlap-add: the gradient of a convolution for an
input of few channels.

    dx[n, y, x, c] = sum over ky, kx, o of dy[n, y - ky, x - kx, o] * w[ky, kx, c, o]

Lanes along c would be mostly empty, and lanes along o have to be added up across. Instead every position of dy is multiplied by what all
taps of a window want of it, which fills the lanes, and the results are added up where windows overlap:

    terms[y, q, (kx, c)] = sum over ky, o of dy[n, y - ky, q, o] * w[ky, o, (kx, c)]        a contraction, for one image at a time
    dx[n, y, x, c]       = sum over kx of terms[y, x - kx, (kx, c)]

The taps of the last dimensions are treated so, as many as is cheapest; those of the others stay inside the contraction, which takes in each
row only the taps that meet dy. So the border of zeros around dy is never made: it could be larger than dy. The terms of an image, or of a
row of one where that is too large for the nearest cache, lie in a scratch buffer, inside a border of zeros of their own. A fixed number of
parts of the images, each with such a buffer, are shared out among the threads.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from graphflow.compiler.groups import LANES, unit
from graphflow.compiler.lower.nest import Axis as LoopAxis
from graphflow.compiler.lower.nest import innermost, parallel_nest, renamed
from graphflow.compiler.lower.pointwise import together
from graphflow.compiler.lower.windows import Window, window_of
from graphflow.compiler.program import Node
from graphflow.kernel.expr import TYPES, Expr, Load, const, load, local
from graphflow.kernel.index import Index, ceildiv, substitute, symbol
from graphflow.kernel.nodes import Axis, Buffer, Contract, Let, Loop, Mode, Role, Stmt, Store
from graphflow.ops.families import ravel

if TYPE_CHECKING:
    from graphflow.compiler.llvm.target import Target

PARTS = 16  # of the images: fixed, so that no result depends on the number of threads
TERMS_BYTES = 512 << 10  # of the terms that are kept at a time, at most
TAPS = 32  # at most that are added up afterwards: each is a load in the code
NEAR_BYTES = 32 << 10  # of the terms, up to which they stay in the first-level cache
ADD_CYCLES = 1.2  # of a register of terms added to others
FAR_LINE_CYCLES = 12.0  # of a cache line of terms that does not stay in the first-level cache until it is read
FILTER_CYCLES = 2.0  # of an element of the filter copied across the grain


class Priced(NamedTuple):
    """A way to compute a contraction: what it costs in cycles, its phases and the scratch buffers that they need."""

    cycles: float
    phases: tuple[tuple[Stmt, ...], ...]
    scratch: tuple[Buffer, ...]


def overlapping(root: Node, halo: Node) -> tuple[Window, ...]:
    """The windows of a contraction over `halo`, the border of its left operand, if it could be done by overlap-add: the last result axis
    is short and belongs to the right operand, those before it are rows of windows one position apart. () if not."""
    op: Any = root.op
    border: Any = halo.op
    column = op.free - 1
    width = op.extents[column]
    x = halo.inputs[0]
    if root.outputs[0].dtype.kernel_type not in ("f32", "f64") or border.value != 0 or any(border.interior):
        return ()
    if column < 2 or unit(op.extents[0]) or not all(isinstance(n, int) and n > 0 for n in op.extents[1:]) or width >= LANES:
        return ()
    found = []
    for dimension, ((terms, constant), low, high) in enumerate(zip(op.left, border.low, border.high, strict=True)):
        if (low, high) == (0, 0):
            continue
        size = x.shape[dimension]
        window = window_of(op, dimension, terms, constant - low, size) if isinstance(size, int) and size > 0 else None
        if window is None:
            return ()
        found.append(window)
    # Each of these axes belongs to one dimension of the left operand, and columns to none.
    uses = [axis for terms, _ in op.left for axis, _ in terms]
    if column in uses or any(uses.count(a) > 1 for w in found for a in (w.row, w.tap)):
        return ()
    free = {axis for terms, _ in op.right for axis, _ in terms if axis < op.free}
    rows = [w.row for w in found]
    steady = rows == list(range(column - len(rows), column)) and column - len(rows) > 0 and all(w.stride == 1 for w in found)
    return tuple(found) if steady and free == {column} else ()


def overlap_adds(contract: Contract, op: Any, windows: Sequence[Window], source: Buffer, target: Target, prefix: str) -> Iterator[Priced]:
    """Ways to compute a contraction by overlap-add. `source`: the left operand without its border, which the contraction itself reads."""
    for count in range(1, len(windows) + 1):
        found = _Overlap(contract, op, windows, count, source, target, prefix).way()
        if found is not None:
            yield found


class _Overlap:
    """One way: the taps of the last `count` windows are added up afterwards."""

    def __init__(
        self, contract: Contract, op: Any, windows: Sequence[Window], count: int, source: Buffer, target: Target, prefix: str
    ) -> None:
        self.contract = contract
        self.op = op
        self.clipped, self.added = windows[:-count], windows[-count:]
        self.source = source
        self.target = target
        self.type = contract.left.type
        self.prefix = prefix
        self.images: Index = op.extents[0]
        self.extents: tuple[int, ...] = (0, *op.extents[1:])
        self.width = self.extents[op.free - 1]
        self.taps = [self.extents[w.tap] for w in self.added]
        used = math.prod(self.taps) * self.width
        lanes = target.lanes(self.type)
        self.pitch: int = -(-used // lanes) * lanes if used > lanes else 1 << (used - 1).bit_length()
        self.used = used
        # Positions of an added window are those of the operand, and those beside it that windows reach: their terms are zero.
        self.before = [max(0, -w.first) for w in self.added]
        self.rows = [self.extents[w.row] for w in self.added]
        reach = [n + w.first + (t - 1) * w.step for n, w, t in zip(self.rows, self.added, self.taps, strict=True)]
        self.room = [low + max(w.size, end) for low, w, end in zip(self.before, self.added, reach, strict=True)]
        self.first_row = op.free - 1 - len(self.added)
        self.outside = 1  # axes that are loops around the contraction: the images, and rows of them where those are too large for the cache
        while self.outside < self.first_row and self.bytes > NEAR_BYTES:
            self.outside += 1
        self.terms = Buffer(f"{prefix}.terms", self.type, (self._parts(), *self.shape), Role.SCRATCH)
        self.kept = [a for a in contract.reduced if a.name not in {f"k{w.tap}" for w in self.added}]
        self.filter = Buffer(f"{prefix}.filter", self.type, (*(a.extent for a in self.kept), self.pitch), Role.SCRATCH)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the terms that are kept at a time."""
        return (*self.extents[self.outside : self.first_row], *self.room, self.pitch)

    @property
    def bytes(self) -> int:
        """Of the terms that are kept at a time."""
        return math.prod(self.shape) * TYPES[self.type].itemsize

    def _parts(self) -> int:
        return min(PARTS, self.images) if isinstance(self.images, int) and self.images else PARTS

    def _at(self, axis: int) -> Index:
        """The place along an axis of the contraction."""
        if axis == 0:
            return symbol("f0")
        size = self.extents[axis]
        return 0 if size == 1 else symbol(f"{'f' if axis < self.op.free else 'k'}{axis}", 0, size - 1)

    def way(self) -> Priced | None:
        """None where terms, taps or steps of the contraction are too many."""
        from graphflow.compiler.contract.cuts import guess  # as in contraction.py
        from graphflow.compiler.contract.schedule import BARRIER, nested

        if self.bytes > TERMS_BYTES or math.prod(self.taps) > TAPS:
            return None
        part = symbol("part", 0, self._parts() - 1)
        begin = ceildiv(part * self.images, self._parts())
        many = ceildiv((part + 1) * self.images, self._parts()) - begin
        image: dict[str, Index] = {"f0": begin + symbol("image")}
        products = nested(self._products(part, image), self.target, [f"f{n}" for n in range(1, self.outside) if self.extents[n] > 1])
        if products is None:
            return None
        points = math.prod(self.extents[1 : self.op.free - 1])
        lanes = self.target.lanes(self.type)
        if not self.target.masks:
            lanes = min(lanes, 1 << (self.width.bit_length() - 1))
        registers = math.ceil(self.width / lanes) if self.target.masks else self.width // lanes + self.width % lanes
        adds = points * registers * (math.prod(self.taps) * ADD_CYCLES + 1) / 2
        if self.bytes > NEAR_BYTES:
            adds += self.bytes / 64 * FAR_LINE_CYCLES / 2
        filter_cycles = math.prod(self.extents[self.op.free :]) * self.width * FILTER_CYCLES
        cycles = math.ceil(guess(self.images) / 2) * 2 * (products.cycles + adds) + BARRIER + filter_cycles
        each = self._nest((products.contract, *self._sums(part, image)), 1, self.outside)
        images = Loop("image", many, Mode.SERIAL, each)
        main = Loop("part", self._parts(), Mode.PARALLEL, (*self._cleared(part), images))
        return Priced(cycles, (*self._filters(), (main,)), (self.filter, self.terms))

    # -- statements ----------------------------------------------------------------------------------------------------------------

    def _filters(self) -> list[tuple[Stmt, ...]]:
        """The phases that copy the right operand so that what a position of the left one is multiplied by lies side by side."""
        taps = [LoopAxis(f"k{w.tap}", t) for w, t in zip(self.added, self.taps, strict=True)]
        columns = [LoopAxis(f"f{self.op.free - 1}", self.width)] if self.width > 1 else []
        kept = [LoopAxis(a.name, a.extent) for a in self.kept]
        row = self._row()
        phases = [parallel_nest((*kept, *taps, *columns), [Store(self.filter.name, row + self._lane(), self.contract.right)])]
        if self.pitch > self.used:
            beside = Store(self.filter.name, row + self.used + symbol("rest"), const(0, self.type))
            phases.append(parallel_nest((*kept, LoopAxis("rest", self.pitch - self.used)), [beside]))
        return together(phases)

    def _lane(self) -> Index:
        """Where the term of a tap and a column lies among those of a position."""
        return ravel((*(self._at(w.tap) for w in self.added), self._at(self.op.free - 1)), (*self.taps, self.width))

    def _row(self) -> Index:
        """Where the copy of the right operand has what a step of the contraction multiplies by."""
        steps = tuple(symbol(a.name, 0, a.extent - 1 if isinstance(a.extent, int) else None) for a in self.kept)
        return ravel(steps, tuple(a.extent for a in self.kept)) * self.pitch

    def _cleared(self, part: Index) -> tuple[Stmt, ...]:
        """Zeros in all of a part's buffer."""
        count = math.prod(self.shape)
        return innermost((LoopAxis("clear", count),), [Store(self.terms.name, part * count + symbol("clear"), const(0, self.type))])

    def _products(self, part: Index, image: dict[str, Index]) -> Contract:
        """The terms of an image."""
        positions = {w.dimension: symbol(f"q{w.row}", 0, w.size - 1) for w in self.added}
        low = {w.dimension: w.first for w in self.clipped}
        index = []
        for dimension, (terms, constant) in enumerate(self.op.left):
            at = sum((self._at(a) * c for a, c in terms), start=low.get(dimension, constant))
            index.append(positions.get(dimension, at))
        left = load(self.source.name, self.type, substitute(ravel(tuple(index), self.source.shape), image))
        lanes = Axis("lane", self.pitch)
        here = symbol("lane", 0, self.pitch - 1)
        reduced = list(self.kept)
        for window in self.clipped:
            start, end = window.taps_inside(self._at(window.row), self.extents[window.tap])
            reduced = [Axis(a.name, end - start, start) if a.name == f"k{window.tap}" else a for a in reduced]
        right = load(self.filter.name, self.type, self._row() + here)
        free = [a for a in self.contract.free if a.name in {f"f{n}" for n in range(1, self.first_row)}]
        free += [Axis(f"q{w.row}", w.size) for w in self.added]
        place = [low + positions[w.dimension] for low, w in zip(self.before, self.added, strict=True)]
        store = Store(self.terms.name, self._place(part, place, here), local("acc", self.type))
        return Contract((*free, lanes), tuple(reduced), left, right, (store,))

    def _place(self, part: Index, position: Sequence[Index], lane: Index) -> Index:
        """Where a term lies."""
        lead = [self._at(a) for a in range(self.outside, self.first_row)]
        return ravel((part, *lead, *position, lane), self.terms.shape)

    def _sums(self, part: Index, image: dict[str, Index]) -> tuple[Stmt, ...]:
        """The results of the terms that are kept at a time."""
        total: Expr | None = None
        for number in range(math.prod(self.taps)):
            taps: list[int] = []
            for size in reversed(self.taps):
                number, tap = divmod(number, size)
                taps.insert(0, tap)
            place = [self._at(w.row) + (w.first + t * w.step + low) for w, t, low in zip(self.added, taps, self.before, strict=True)]
            lane = substitute(self._lane(), {f"k{w.tap}": t for w, t in zip(self.added, taps, strict=True)})
            term: Load = load(self.terms.name, self.type, self._place(part, place, lane))
            total = term if total is None else total + term
        assert total is not None
        body: tuple[Stmt, ...] = tuple(renamed(s, image) for s in (Let("acc", total), *self.contract.epilogue))
        column = self.op.free - 1
        if self.width > 1:
            body = (Loop(f"f{column}", self.width, Mode.VECTOR, body),)
        return self._nest(body, self.outside, column)

    def _nest(self, body: tuple[Stmt, ...], first: int, last: int) -> tuple[Stmt, ...]:
        """Loops along the free axes from `first` to the one before `last`."""
        for axis in reversed(range(first, last)):
            if self.extents[axis] > 1:
                body = (Loop(f"f{axis}", self.extents[axis], Mode.SERIAL, body),)
        return body
