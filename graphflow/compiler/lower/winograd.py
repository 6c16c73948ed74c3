"""Convolutions with windows of 3 x 3 and 5 x 5 in fewer multiplications, and their gradients (Winograd 1980; Lavin and Gray 2015).

Two by two neighbouring results, a tile, take 16 products for each channel instead of 36, or 36 instead of 100: those of F(2, 3) or F(2, 5)
(see filtering.py) in both directions of an image. Summed over channels they are a matrix product for each of the places of a tile, and that
is what the kernel does, for a block of tiles at a time, whose terms stay near:

    convolution     filter[p, c, o]  = G g G', once
                    data[p, t, c]    = B d B'
                    sums[p, t, o]    = sum over c of data[p, t, c] * filter[p, c, o]
                    y                = A sums A', then the epilogue
    its filter's    data[p, t, c]    = B d B'
    gradient        error[p, t, o]   = G dy G'
                    sums[p, c, o]   += sum over t of data[p, t, c] * error[p, t, o]
                    dw               = A sums A', once, then the epilogue

The gradient for the input is a convolution, too. Tiles are transformed a row of them at a time, first down the columns of pixels, which
neighbouring tiles share, then along the lines that this gives. A border of zeros is nothing in the first, and zeros in the lines in the
second. What is multiplied is made for one line of places at a time, so that it waits in the nearest cache. Blocks, some rows of tiles or a
piece of a long one, are shared out to threads in a fixed number of parts (large sums of a gradient by channels, too), so that results do
not depend on how many threads there are.

Products are fewer and sums shorter: for 3 x 3 rounding errors are two thirds of those of the plain sums, for 5 x 5 twice as large (root
mean squares, normally distributed numbers). An infinity in the input makes NaN of all four results of its tiles, as in cuDNN.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from graphflow.compiler.lower.filtering import FORMS, STEP, Marks, Matrix, Plane, Roles, combined, roles_of, runs
from graphflow.compiler.lower.nest import Axis as LoopAxis
from graphflow.compiler.lower.nest import innermost, renamed
from graphflow.compiler.lower.overlap import Priced
from graphflow.compiler.program import Node, Value
from graphflow.kernel.expr import TYPES, Expr, Load, const, load, local, replace
from graphflow.kernel.index import Index, ceildiv, maximum, minimum, substitute, symbol
from graphflow.kernel.nodes import Accumulate, Axis, Buffer, Contract, Let, Loop, Mode, Role, Stmt, Store, Var
from graphflow.ops.families import ravel, unravel

if TYPE_CHECKING:
    from graphflow.compiler.llvm.target import Target

PARTS, FEW_PARTS = 16, 4  # of the work: fixed, so that no result depends on the number of threads; and of the blocks where sums are large
PARTS_BYTES = 4 << 20  # of the sums of all parts
CROWD_BYTES = 3 << 20  # of the terms of a block, for which it takes twice as long, because they do not stay near
NEAR_BYTES = 768 << 10  # of a filter, or of sums, which every block passes over
LONG = 64  # tiles: the price of products that are added up is that of so many, for their sums wait in the nearest caches
ROW_TILES = 16  # of a piece of a row, at least
BLOCK_TILES, ADD_TILES = 0.1, 0.7  # as many tiles as the beginning of a block costs; and where its sums are added to those before it
ONCE_CYCLES = 4.0  # of an element of the filter that is transformed, and of a register of sums of one part
FAR_CYCLES = 0.045  # of a byte that each block reads from beyond the second-level cache
WORTH = 0.95  # of the price of another way

Element = Callable[[Index, Index], Expr]  # at a row and a column


def winograd(
    contract: Contract, op: Any, halo: Node | None, operand: Value, source: Buffer, target: Target, prefix: str
) -> Iterator[Priced]:
    """The way to compute a contraction in fewer multiplications, if there is one. `operand`: the left one without the border that `halo`
    puts around it, which lies in `source`."""
    if not op.minimal or contract.left.type != "f32":
        return
    low: Sequence[Index] = (0,) * len(operand.shape)
    if halo is not None:
        border: Any = halo.op
        if border.value != 0 or any(border.interior):
            return
        low = border.low
    roles = roles_of(op, low, operand.shape)
    if roles is None:
        return
    kind = _Gradient if roles.backward else _Convolution
    found = kind(contract, op, roles, operand, source, target, prefix).way()
    if found is not None:
        yield found


class Spread(NamedTuple):
    """Statements that transform tiles: what clears the ends of the lines once, the columns of pixels of a block, and a `line` of terms."""

    clear: Sequence[Stmt]
    down: Sequence[Stmt]
    along: Sequence[Stmt]


class _Tiles:
    """What a convolution and the gradient for its filter have in common: blocks of tiles and the transformed input."""

    def __init__(
        self, contract: Contract, op: Any, roles: Roles, operand: Value, source: Buffer, target: Target, prefix: str
    ) -> None:
        self.contract = contract
        self.op = op
        self.roles = roles
        self.operand = operand
        self.source = source
        self.target = target
        self.prefix = prefix
        self.type = contract.left.type
        self.form = FORMS[op.extents[roles.rows.taps]]
        self.taps, self.places = len(self.form.gradient), len(self.form.data)
        self.channels: int = op.extents[roles.channels]
        self.columns: int = op.extents[roles.columns]
        self.images: Index = 1 if roles.images is None else op.extents[roles.images]
        self.groups = self._groups()
        self.inner: int = self.channels // self.groups  # channels of a group
        self.rows, self.across = self._block()
        self.tiles = self.rows * self.across
        self.blocks, self.strips = (-(-p.tiles // n) for p, n in ((roles.rows, self.rows), (roles.across, self.across)))  # of an image
        units = self.images * (self.blocks * self.strips)
        most = PARTS // self.groups
        self.shares = min(most, units) if isinstance(units, int) and units else most  # of the blocks
        self.parts = self.shares * self.groups
        self.part = symbol("part", 0, self.parts - 1)
        share, self.group = unravel(self.part, (self.shares, self.groups))
        begin = ceildiv(share * units, self.shares)
        self.many = ceildiv((share + 1) * units, self.shares) - begin
        unit = begin + symbol("unit")
        self.image, block, strip = unravel(unit, (self.images, self.blocks, self.strips))
        self.first_row, self.left = block * self.rows, strip * self.across  # tile of the block at hand
        self.line = symbol("line", 0, self.places - 1) * self.places  # the first place of the line at hand
        self.data = self._terms("data", self.places, self.tiles, self.inner)
        self.lines = self._room("lines", self.rows, self.places, (STEP * (self.across - 1) + self.places) * self.inner)

    def way(self) -> Priced | None:
        """None where no plan for the products fits."""
        raise NotImplementedError

    # -- sizes -----------------------------------------------------------------------------------------------------------------------

    def _bytes(self, rows: int, columns: int) -> int:
        """Of a matrix for every place of a tile."""
        return self.places**2 * TYPES[self.type].itemsize * rows * columns

    @property
    def far(self) -> float:
        """What it costs each block that what all pass over does not stay near, in cycles."""
        size = self._bytes(self.inner, self.columns) * (2 if self.roles.backward else 1)
        return size * FAR_CYCLES if size > NEAR_BYTES else 0.0

    def _groups(self) -> int:
        """Into how many groups of channels a gradient's sums are cut, where they are too large for each thread to have sums of its own."""
        if not self.roles.backward:
            return 1
        shares = max(FEW_PARTS, min(PARTS, PARTS_BYTES // self._bytes(self.channels, self.columns)))
        lanes = self.target.lanes(self.type)
        return next(n for n in range(PARTS // shares, 0, -1) if n == 1 or self.channels % (n * lanes) == 0)

    def _crowd(self, tiles: int) -> float:
        """What part of its time a block of so many tiles takes longer than if its terms stayed near."""
        return float(self._bytes(tiles, self.inner + self.columns) / CROWD_BYTES)

    def _block(self) -> tuple[int, int]:
        """How many rows and columns of tiles make a block: few, so that their terms stay near, and as many as it takes where filters are
        large. A row is cut only where it is long."""
        rows, across = self.roles.rows.tiles, self.roles.across.tiles
        one = self.places**2 * self.inner * self._registers(self.columns) / 2  # the products of a tile
        beginning = (ADD_TILES if self.roles.backward else BLOCK_TILES) + self.far / one

        def lost(block: tuple[int, int]) -> float:
            tiles = block[0] * block[1]
            blocks: int = -(-rows // block[0]) * -(-across // block[1])
            return blocks * (tiles * (1 + self._crowd(tiles)) + beginning)

        widths = {-(-across // cuts) for cuts in range(1, max(1, across // ROW_TILES) + 1)}
        return min(((some, wide) for some in range(1, rows + 1) for wide in sorted(widths)), key=lost)

    def _registers(self, width: int) -> int:
        return -(-width // self.target.lanes(self.type))

    def _cycles(self, products: float, once: float) -> float:
        """The price of all blocks by two threads, with products for one of them at this price of one thread's, and what is done once."""
        from graphflow.compiler.contract.core import core_of  # as in contraction.py
        from graphflow.compiler.contract.cuts import guess
        from graphflow.compiler.contract.schedule import BARRIER

        terms = self.tiles * self.places**2 * (self._registers(self.inner) + self._registers(self.columns))
        blocks = math.ceil(guess(self.images) * self.blocks * self.strips * self.groups / 2)
        each, added, masked = core_of(self.target).terms
        if self.roles.backward:
            each = masked if self.columns % self.target.lanes(self.type) else added
        crowded = (products + terms * each) * (1 + self._crowd(self.tiles))
        return ((crowded + self.far) * blocks + once / 2 + BARRIER) / WORTH

    def _room(self, name: str, *sizes: int) -> Buffer:
        """Scratch memory for each part."""
        return Buffer(f"{self.prefix}.{name}", self.type, (self.parts, *sizes), Role.SCRATCH)

    def _terms(self, name: str, places: int, rows: int, width: int) -> Buffer:
        """A matrix for so many places of a tile, and a cache line each so that they do not share sets of a cache."""
        line = 64 // TYPES[self.type].itemsize
        return self._room(name, places, -(-rows * width // line) * line + line)

    # -- names -----------------------------------------------------------------------------------------------------------------------

    def _name(self, number: int) -> str:
        return f"{'f' if number < self.op.free else 'k'}{number}"

    def _names(self, kind: str) -> list[str]:
        """Of the axes of positions or taps in both directions."""
        return [self._name(getattr(plane, kind)) for plane in (self.roles.rows, self.roles.across)]

    def _axis(self, number: int) -> Index:
        """The place along an axis of the contraction."""
        extent = self.op.extents[number]
        return 0 if extent == 1 else symbol(self._name(number), 0, extent - 1 if isinstance(extent, int) else None)

    def _of_image(self, value: Expr) -> Expr:
        """A term of the image at hand."""
        return value if self.roles.images is None else replace(value, {self._name(self.roles.images): self.image})

    def _load(self, buffer: Buffer, *index: Index) -> Load:
        """An element of this part of a buffer."""
        return load(buffer.name, self.type, ravel((self.part, *index), buffer.shape))

    def _store(self, value: Expr | None, buffer: Buffer, *index: Index) -> Store:
        """The same; None is zero."""
        return Store(buffer.name, ravel((self.part, *index), buffer.shape), const(0, self.type) if value is None else value)

    # -- loops -----------------------------------------------------------------------------------------------------------------------

    def _in_parts(self, before: Sequence[Stmt], terms: Sequence[Spread], products: Contract, after: Sequence[Stmt]) -> tuple[Stmt, ...]:
        """The phase that does the blocks of all parts: what is multiplied is made line by line, so that it waits in the nearest cache."""
        line = Loop("line", self.places, Mode.SERIAL, (*(s for some in terms for s in some.along), products))
        each = (*(s for some in terms for s in some.down), line, *after)
        first = (*before, *(s for some in terms for s in some.clear))
        return (Loop("part", self.parts, Mode.PARALLEL, (*first, Loop("unit", self.many, Mode.SERIAL, each))),)

    def _by_rows(self, marks: Callable[[Plane, int], Marks], body: Callable[[Index, Index, Marks], Sequence[Stmt]]) -> list[Stmt]:
        """`body` for every row of tiles of the block, of which it is given the number in the image and in the block, and what there is of
        it. A loop runs over rows that are alike in that."""
        loops: list[Stmt] = []
        for first, many, mark in runs([marks(self.roles.rows, n) for n in range(self.blocks * self.rows)]):
            begin: Index = first
            extent: Index = many
            if self.blocks > 1:
                begin = maximum(first, self.first_row)
                extent = maximum(0, minimum(first + many, self.first_row + self.rows) - begin)
            row = begin + symbol("row", 0, many - 1)
            loops.append(Loop("row", extent, Mode.SERIAL, tuple(body(row, row - self.first_row, mark))))
        return loops

    def _spread(
        self, element: Element, matrix: Matrix, reach: tuple[Index, Index], marks: Callable[[Plane, int], Marks], width: int, name: str,
        lines: Buffer, terms: Buffer,
    ) -> Spread:  # fmt: skip
        """The tiles of a block transformed. `element`: at a row and a column, counted from the image's first tile on, of which those in
        `reach` exist; of `width` channels along the axis `name`."""
        channel, pixels = symbol(name, 0, width - 1), STEP * (self.across - 1) + len(matrix[0])
        start = self.left * STEP
        begin, end = maximum(0, reach[0] - start), minimum(pixels, reach[1] - start)
        if self.strips > 1:
            end = maximum(begin, end)
        pixel = begin + symbol("pixel", 0, pixels - 1)

        def down(row: Index, inside: Index, mark: Marks) -> Sequence[Stmt]:
            column = [element(row * STEP + y, start + pixel) if there else None for y, there in enumerate(mark)]
            made = [self._store(combined(factors, column), lines, inside, n, pixel * width + channel) for n, factors in enumerate(matrix)]
            return innermost((LoopAxis("pixel", end - begin), LoopAxis(name, width)), made)

        row, column, line = (symbol(n, 0, m - 1) for n, m in (("row", self.rows), ("column", self.across), ("line", self.places)))
        along = [self._load(lines, row, line, (column * STEP + x) * width + channel) for x in range(len(matrix[0]))]
        tile = (row * self.across + column) * width + channel
        found = [self._store(combined(factors, along), terms, n, tile) for n, factors in enumerate(matrix)]
        axes = LoopAxis("row", self.rows), LoopAxis("column", self.across), LoopAxis(name, width)
        clear: list[Stmt] = []
        for edge, many in ((0, begin), (end, pixels - end)):
            if many != 0:
                zero = self._store(None, lines, row, line, edge * width + symbol("clear", 0, pixels * width - 1))
                clear += innermost((axes[0], LoopAxis("line", self.places), LoopAxis("clear", many * width)), [zero])
        columns = self._by_rows(marks, down)
        if self.strips > 1:  # whose ends are elsewhere
            clear, columns = [], [*clear, *columns]
        return Spread(clear, columns, innermost(axes, found))

    def _transformed(self) -> Spread:
        """The input's tiles of a block."""
        rows, across, name = self.roles.rows, self.roles.across, self._name(self.roles.channels)
        channel = self.group * self.inner + symbol(name, 0, self.inner - 1)

        def element(row: Index, column: Index) -> Expr:
            place = {rows.dimension: row + rows.first, across.dimension: column + across.first}
            index: list[Index] = []
            for dimension, (terms, constant) in enumerate(self.op.left):
                at = sum((self._axis(a) * c for a, c in terms), start=constant)
                index.append(place.get(dimension, at))
            offset = substitute(ravel(tuple(index), self.operand.shape), {name: channel})
            return self._of_image(load(self.source.name, self.type, offset))

        reach = max(0, -across.first), across.size - across.first
        return self._spread(element, self.form.data, reach, Plane.read, self.inner, name, self.lines, self.data)

    def _epilogue(self, env: dict[str, Index], total: Expr) -> list[Stmt]:
        """The contraction's epilogue for a result."""
        return [Let("acc", total), *(renamed(s, env) for s in self.contract.epilogue)]

    def _planned(self, contract: Contract) -> tuple[float, Contract] | None:
        """The products of a line of places, and what those of all cost a thread."""
        from graphflow.compiler.contract.schedule import nested

        found = nested(contract, self.target)
        return None if found is None else (2 * found.cycles * self.places, found.contract)


class _Convolution(_Tiles):
    """A convolution, or the gradient of one for its input."""

    def way(self) -> Priced | None:
        filters = Buffer(f"{self.prefix}.filter", self.type, (self.places**2, self.channels, self.columns), Role.SCRATCH)
        half = Buffer(f"{self.prefix}.half", self.type, (self.channels, self.places, self.taps, self.columns), Role.SCRATCH)
        sums = self._terms("sums", self.places**2, self.tiles, self.columns)
        pixels = self._room("pixels", STEP, STEP * self.across * self.columns)
        planned = self._planned(self._products(filters, sums))
        if planned is None:
            return None
        products, contract = planned
        main = self._in_parts((), [self._transformed()], contract, self._results(sums, pixels))
        cycles = self._cycles(products, self.taps**2 * self.channels * self.columns * ONCE_CYCLES)
        return Priced(cycles, (self._filters(filters, half), main), (filters, half, self.lines, self.data, sums, pixels))

    def _filters(self, filters: Buffer, half: Buffer) -> tuple[Stmt, ...]:
        """The phase that transforms the filter."""
        channel, column, name = self._axis(self.roles.channels), self._axis(self.roles.columns), self._name(self.roles.columns)
        tap, line = symbol("tap", 0, self.taps - 1), symbol("line", 0, self.places - 1)
        names = self._names("taps")
        down = [replace(self.contract.right, dict(zip(names, (y, tap), strict=True))) for y in range(self.taps)]
        made = [
            Store(half.name, ravel((channel, n, tap, column), half.shape), total)
            for n, factors in enumerate(self.form.filter) if (total := combined(factors, down)) is not None
        ]  # fmt: skip
        along = [load(half.name, self.type, ravel((channel, line, x, column), half.shape)) for x in range(self.taps)]
        found = [
            Store(filters.name, ravel((line * self.places + n, channel, column), filters.shape), total)
            for n, factors in enumerate(self.form.filter) if (total := combined(factors, along)) is not None
        ]  # fmt: skip
        each = (
            *innermost((LoopAxis("tap", self.taps), LoopAxis(name, self.columns)), made),
            *innermost((LoopAxis("line", self.places), LoopAxis(name, self.columns)), found),
        )
        return (Loop(self._name(self.roles.channels), self.channels, Mode.PARALLEL, each),)

    def _products(self, filters: Buffer, sums: Buffer) -> Contract:
        place, tile = symbol("place", 0, self.places - 1), symbol("tile", 0, self.tiles - 1)
        channel, column = self._axis(self.roles.channels), self._axis(self.roles.columns)
        left = self._load(self.data, place, tile * self.channels + channel)
        right = load(filters.name, self.type, ravel((self.line + place, channel, column), filters.shape))
        store = self._store(local("acc", self.type), sums, self.line + place, tile * self.columns + column)
        free = (Axis("place", self.places), Axis("tile", self.tiles), Axis(self._name(self.roles.columns), self.columns))
        return Contract(free, (Axis(self._name(self.roles.channels), self.channels),), left, right, (store,))

    def _results(self, sums: Buffer, pixels: Buffer) -> list[Stmt]:
        """The convolution's results of a block: a row of tiles is put together first, for the epilogue to go along its lines."""
        roles, name = self.roles, self._name(self.roles.columns)
        channel, form = self._axis(roles.columns), self.form.result
        many = minimum(STEP * self.across, roles.across.many - self.left * STEP)
        image: dict[str, Index] = {} if roles.images is None else {self._name(roles.images): self.image}

        def body(row: Index, inside: Index, mark: Marks) -> Sequence[Stmt]:
            if not any(mark):
                return ()
            column = symbol("column", 0, self.across - 1)
            at = (inside * self.across + column) * self.columns + channel
            terms = [[self._load(sums, y * self.places + x, at) for x in range(self.places)] for y in range(self.places)]
            made: list[Stmt] = []
            for y in range(sum(mark)):
                down = []
                for x in range(self.places):
                    total = combined(form[y], [terms[place][x] for place in range(self.places)])
                    assert total is not None
                    made.append(Let(f"down{y}{x}", total))
                    down.append(local(f"down{y}{x}", self.type))
                made += [self._store(combined(form[x], down), pixels, y, (column * STEP + x) * self.columns + channel) for x in range(STEP)]
            line, pixel = symbol("line", 0, STEP - 1), symbol("pixel", 0, STEP * self.across - 1)
            env = dict(zip(self._names("positions"), (row * STEP + line, self.left * STEP + pixel), strict=True))
            finished = self._epilogue({**image, **env}, self._load(pixels, line, pixel * self.columns + channel))
            along = innermost((LoopAxis("pixel", many), LoopAxis(name, self.columns)), finished)
            return (
                *innermost((LoopAxis("column", self.across), LoopAxis(name, self.columns)), made),
                Loop("line", sum(mark), Mode.SERIAL, along),
            )

        return self._by_rows(Plane.done, body)


class _Gradient(_Tiles):
    """The gradient of a convolution for its filter."""

    @property
    def pitch(self) -> int:
        """From one row of sums to the next: a row that is added to must not begin where a masked store of the one before may reach."""
        return self._registers(self.columns) * self.target.lanes(self.type)

    def way(self) -> Priced | None:
        error = self._terms("error", self.places, self.tiles, self.columns)
        lines = self._room("errors", self.rows, self.places, STEP * self.across * self.columns)
        sums = self._terms("sums", self.places**2, self.inner, self.pitch)
        planned = self._planned(self._products(error, sums))
        if planned is None:
            return None
        _, contract = planned
        many = self._planned(dataclasses.replace(contract, reduced=(Axis("tile", LONG),), plan=None))
        products = math.inf if many is None else many[0] * self.tiles / LONG
        size = sums.shape[1] * sums.shape[2]
        zero = Store(sums.name, self.part * size + symbol("clear"), const(0, self.type))
        clear = innermost((LoopAxis("clear", size),), [zero])
        main = self._in_parts(clear, [self._transformed(), self._errors(lines, error)], contract, ())
        last, scratch = self._results(sums)
        cycles = self._cycles(products, self.shares * self._registers(self.channels * self.columns) * ONCE_CYCLES * self.places**2)
        return Priced(cycles, (main, last), (self.lines, self.data, lines, error, sums, *scratch))

    def _errors(self, lines: Buffer, error: Buffer) -> Spread:
        """The transformed tiles of the gradient for the convolution's results."""
        names = self._names("positions")

        def element(row: Index, column: Index) -> Expr:
            return self._of_image(replace(self.contract.right, dict(zip(names, (row, column), strict=True))))

        name, reach = self._name(self.roles.columns), (0, self.roles.across.many)
        return self._spread(element, self.form.error, reach, Plane.done, self.columns, name, lines, error)

    def _products(self, error: Buffer, sums: Buffer) -> Contract:
        place, tile = symbol("place", 0, self.places - 1), symbol("tile", 0, self.tiles - 1)
        name, column = self._name(self.roles.channels), self._axis(self.roles.columns)
        channel = symbol(name, 0, self.inner - 1)
        left = self._load(self.data, place, tile * self.inner + channel)
        right = self._load(error, place, tile * self.columns + column)
        at = (self.line + place, channel * self.pitch + column)
        store = self._store(self._load(sums, *at) + local("acc", self.type), sums, *at)
        free = Axis("place", self.places), Axis(name, self.inner), Axis(self._name(self.roles.columns), self.columns)
        return Contract(free, (Axis("tile", self.tiles),), left, right, (store,))

    def _results(self, sums: Buffer) -> tuple[tuple[Stmt, ...], tuple[Buffer, ...]]:
        """The phase that adds up what the parts have and finishes it, with its scratch memory."""
        roles, type_ = self.roles, self.type
        half = Buffer(f"{self.prefix}.half", type_, (self.channels, self.taps, self.places, self.columns), Role.SCRATCH)
        whole = Buffer(f"{self.prefix}.whole", type_, (self.channels, self.taps, self.taps, self.columns), Role.SCRATCH)
        channel, column, name = self._axis(roles.channels), self._axis(roles.columns), self._name(roles.columns)
        place, other = symbol("place", 0, self.places - 1), symbol("other", 0, self.shares - 1)
        group, inner = unravel(channel, (self.groups, self.inner))
        tap, line = symbol("tap", 0, self.taps - 1), symbol("line", 0, self.taps - 1)
        totals = [f"s{y}" for y in range(self.places)]
        adds = []
        for y, total in enumerate(totals):
            at = ravel((other * self.groups + group, place + y * self.places, inner * self.pitch + column), sums.shape)
            adds.append(Accumulate(total, "add", load(sums.name, type_, at)))
        down = [local(total, type_) for total in totals]
        made = [
            Store(half.name, ravel((channel, n, place, column), half.shape), value)
            for n, factors in enumerate(self.form.gradient) if (value := combined(factors, down)) is not None
        ]  # fmt: skip
        zeros = [Var(total, const(0, type_)) for total in totals]
        added: tuple[Stmt, ...] = (*zeros, Loop("other", self.shares, Mode.SERIAL, tuple(adds)), *made)
        along = [load(half.name, type_, ravel((channel, line, x, column), half.shape)) for x in range(self.places)]
        found = [
            Store(whole.name, ravel((channel, line, n, column), whole.shape), value)
            for n, factors in enumerate(self.form.gradient) if (value := combined(factors, along)) is not None
        ]  # fmt: skip
        result = load(whole.name, type_, ravel((channel, line, tap, column), whole.shape))
        finished = self._epilogue(dict(zip(self._names("taps"), (line, tap), strict=True)), result)

        def wide(body: Sequence[Stmt]) -> tuple[Stmt, ...]:
            return (Loop(name, self.columns, Mode.VECTOR, tuple(body)),)

        each = (
            Loop("place", self.places, Mode.SERIAL, wide(added)),
            Loop("line", self.taps, Mode.SERIAL, wide(found)),
            Loop("line", self.taps, Mode.SERIAL, (Loop("tap", self.taps, Mode.SERIAL, wide(finished)),)),
        )
        return (Loop(self._name(roles.channels), self.channels, Mode.PARALLEL, each),), (half, whole)

