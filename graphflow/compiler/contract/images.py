"""Convolutions in matrix tiles, image by image, without copies of their windows.

A window's elements at one of its places, for neighbouring windows, are whole pixels equally far apart: lines of a tile. So the terms of an
image are made once, each as a plane of lines of 32 elements, and tiles are loaded from where these lie:

    this thread's images
      the terms of all that the windows of the image cover
      squares of 32 rows (twice 16 neighbours along the innermost axis) by 32 columns, over all steps
      every row: its epilogue

The terms of the filter are made once for all images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from graphflow.compiler.contract.matrix import Copied, MatrixTiles
from graphflow.compiler.contract.matrix_plan import DEPTH, SIDE, SQUARE, STEPS, TERMS, WORDS
from graphflow.compiler.contract.plan import Plan
from graphflow.compiler.llvm.builder import Reg, vector
from graphflow.kernel.nodes import Contract

if TYPE_CHECKING:
    from graphflow.compiler.llvm.stmt import Emitter

IMAGES = 4  # at least that make it worth while to share them


class NeighbourTiles(MatrixTiles):
    """A tile's rows follow each other along the innermost of the axes `inside`; all sizes but the number of images are known."""

    def __init__(self, em: Emitter, contract: Contract, plan: Plan, inside: Sequence[str]) -> None:
        super().__init__(em, contract, plan)
        self.inside = inside
        self.neighbours = self.count(inside[-1])
        self.sides = math.ceil(self.neighbours / SIDE)  # tiles along the innermost axis
        self.tiles = self.count(*inside[:-1]) * self.sides
        self.pairs = math.ceil(self.tiles / 2)
        self.starts = self.b.alloca("i64", 2 * self.pairs)

    def count(self, *names: str) -> int:
        sizes = [self.extent(name) for name in names]
        assert all(isinstance(n, int) for n in sizes), "only the number of images may be unknown"
        return math.prod(n for n in sizes if isinstance(n, int))

    def places(self, left: Copied, unit: int) -> None:
        """The tables: how far each row moves the operand, and the first one of a tile, in units of so many elements."""
        b, side = self.b, self.matrix.side
        with self.loop("place", b.i64(0), b.i64(2 * self.pairs)) as n:
            tile = self.least(n, b.i64(self.tiles - 1))
            start = self.away(side, self.digits_of(tile, b.i64(0)))
            b.store(b.binary("sdiv", start, b.i64(unit)), b.element(self.starts, n, "i64"))
            with self.loop("neighbour", b.i64(0), b.i64(SIDE)) as at:
                b.store(self.away(side, self.digits_of(tile, at)), b.element(left.moves, b.add(b.mul(n, b.i64(SIDE)), at), "i64"))

    def digits_of(self, tile: Reg, at: Reg) -> list[tuple[str, Reg]]:
        """Where row `at` of a tile is along the axes inside."""
        b = self.b
        far, near = (b.binary(op, tile, b.i64(self.sides)) for op in ("udiv", "urem"))
        outside = self.digits(self.inside[:-1], far) if len(self.inside) > 1 else []
        return [*outside, (self.inside[-1], b.add(b.mul(near, b.i64(SIDE)), at))]

    def finish_tile(
        self, left: Copied, right: Copied, sums: Reg, first: Reg, tile: Reg, places: list[tuple[str, Reg]], column: Reg, there: Reg
    ) -> None:  # fmt: skip
        """The epilogue of the rows of a tile, which are row `first` of the sums and those after it, at `places` along other axes."""
        b = self.b
        before = b.mul(b.binary("urem", tile, b.i64(self.sides)), b.i64(SIDE))
        some = self.least(b.binary("sub", b.i64(self.neighbours), before), b.i64(SIDE))
        with self.loop("row", b.i64(0), some) as at:
            self.finish_row(left, right, sums, b.add(first, at), [*places, *self.digits_of(tile, at)], column, there)


class ImageTiles(NeighbourTiles):
    """Emits a convolution in matrix tiles."""

    def __init__(self, em: Emitter, contract: Contract, plan: Plan) -> None:
        assert plan.matrix is not None
        self.outermost, *inside = plan.matrix.rows
        super().__init__(em, contract, plan, inside)
        move = self.stride(self.matrix.side, inside[-1])
        assert isinstance(move, int)
        self.apart = move // DEPTH  # lines from one neighbour to the next
        self.plane = (math.ceil(self.matrix.covered / DEPTH) + SIDE * self.apart) * SIDE  # words, and some that missing neighbours read
        self.blocks = self.b.alloca("i64", self.count(*self.matrix.steps) // DEPTH)

    def enough(self) -> Reg:
        """Whether there are images enough."""
        return self.b.compare("icmp sge", self.em.index(self.extent(self.outermost)), self.b.i64(IMAGES))

    def run(self) -> None:
        em, b, matrix = self.em, self.b, self.matrix
        em.thread, em.threads = b.i64(0), b.i64(1)  # what is inside belongs to this thread alone
        images, columns, steps = em.index(self.extent(self.outermost)), em.index(self.extent(self.plan.vector)), self.count(*matrix.steps)
        first, last = self.part(images)
        rows = self.pairs * SQUARE
        left = self.operand(matrix.side, self.plane * TERMS, STEPS, rows)
        words = matrix.columns // SIDE * (matrix.depth // DEPTH) * TERMS * WORDS
        right = self.operand(1 - matrix.side, words, matrix.depth, matrix.columns)
        sums = b.alloca("float", rows * self.width)
        with self.when(b.compare("icmp slt", first, last), "tiles"):
            self.configure()
            self.places(left, DEPTH)
            self.pieces(steps)
            with self.loop("group", b.i64(0), columns, matrix.columns) as column:
                there = self.least(b.binary("sub", columns, column), b.i64(matrix.columns))
                self.table(right, right.moves, (self.plan.vector,), column, b.i64(matrix.columns))
                with self.loop("block", b.i64(0), b.i64(steps), STEPS) as step:
                    self.table(right, right.steps, matrix.steps, step, b.i64(STEPS))
                    terms = b.element(right.terms, b.mul(step, b.i64(TERMS * WORDS // DEPTH)), "i32")
                    self.split(right, terms, there, self.least(b.binary("sub", b.i64(steps), step), b.i64(STEPS)))
                with self.loop("image", first, last) as image:
                    move = b.mul(image, em.index(self.stride(matrix.side, self.outermost)))
                    here = replace(left, pointer=b.element(left.pointer, move, "float"))
                    self.planes(here)
                    self.image_squares(here, right, sums, there, steps)
                    self.finish_image(here, right, sums, image, column, there)
            b.call("void", "llvm.x86.tilerelease", ())
        em.thread, em.threads = self.share

    def pieces(self, steps: int) -> None:
        """The table of the line at which each block of 32 steps begins."""
        b = self.b
        with self.loop("piece", b.i64(0), b.i64(steps // DEPTH)) as n:
            start = self.moved(self.matrix.side, self.matrix.steps, b.mul(n, b.i64(DEPTH)))
            b.store(b.binary("sdiv", start, b.i64(DEPTH)), b.element(self.blocks, n, "i64"))

    def planes(self, left: Copied) -> None:
        """The terms of an image."""
        b = self.b
        whole, rest = divmod(self.matrix.covered, DEPTH)

        def line(n: Reg, masks: tuple[Reg | None, Reg | None]) -> None:
            at = b.mul(n, b.i64(DEPTH))
            halves = [b.element(left.pointer, b.add(at, b.i64(half * SIDE)), "float") for half in (0, 1)]
            values = [b.load(vector("float", SIDE), half, mask=mask) for half, mask in zip(halves, masks, strict=True)]
            self.put(values, left.terms, n, self.plane)

        with self.loop("line", b.i64(0), b.i64(whole)) as n:
            line(n, (None, None))
        if rest:
            low, high = (b.first_lanes(b.i64(rest - half * SIDE), SIDE) for half in (0, 1))
            line(b.i64(whole), (low, high))

    def image_squares(self, left: Copied, right: Copied, sums: Reg, there: Reg, steps: int) -> None:
        """All sums of an image."""
        b = self.b
        pitches = b.i64(4 * SIDE * self.apart), b.i64(4 * SIDE)
        with self.loop("down", b.i64(0), b.i64(self.tiles), 2) as down, self.loop("along", b.i64(0), there, SQUARE) as along:
            numbers = [b.load("i64", b.element(self.starts, b.add(down, b.i64(n)), "i64")) for n in (0, 1)]
            rows = [b.element(left.terms, b.mul(n, b.i64(SIDE)), "i32") for n in numbers]
            columns = b.element(right.terms, b.mul(along, b.i64(right.strip // SIDE)), "i32")
            for n in range(4):
                self.tile("tilezero", n)
            with self.loop("depth", b.i64(0), b.i64(steps // DEPTH)) as depth:
                piece = b.mul(b.load("i64", b.element(self.blocks, depth, "i64")), b.i64(SIDE))
                here = [b.element(row, piece, "i32") for row in rows]
                filters = b.element(columns, b.mul(depth, b.i64(TERMS * WORDS)), "i32")

                def where(side: int, n: int, term: int, here: list[Reg] = here, filters: Reg = filters) -> Reg:
                    if side:
                        return b.element(filters, b.i64(n * right.strip + term * WORDS), "i32")
                    return b.element(here[n], b.i64(term * self.plane), "i32")

                self.products(where, pitches)
            pitch = b.i64(4 * self.width)
            for n, corner in enumerate(self.corners(sums, b.mul(down, b.i64(SIDE)), along)):
                self.tile("tilestored64", n, corner, pitch)

    def finish_image(self, left: Copied, right: Copied, sums: Reg, image: Reg, column: Reg, there: Reg) -> None:
        """The epilogue of all rows of an image."""
        b = self.b
        with self.loop("tile", b.i64(0), b.i64(self.tiles)) as tile:
            self.finish_tile(left, right, sums, b.mul(tile, b.i64(SIDE)), tile, [(self.outermost, image)], column, there)
