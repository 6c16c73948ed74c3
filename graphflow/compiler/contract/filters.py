"""Gradients of convolution filters in matrix tiles, image by image, without copies of windows.

A place in the window is a distance in the image. So the image is the operand that tiles hold as words of two steps, 16 columns a line:
16 elements that lie side by side, for one pixel after the other. The words of an image are made once, the terms of every element beside
those of the element some pixels further, and tiles are loaded from wherever a place of the window begins. The other operand, the gradient
of the results, is read over the same pixels, zero where an image has more of them, and turned: 16 of its channels are a tile's rows.

    this thread's parts of the images
      bands of images, some at a time
        their words; the terms of the gradient of the results, turned
        squares of 32 channels by 32 columns of the window, over all pixels; in memory between one time and the next
      the sums, turned back; every row: its epilogue, which puts it beside those of the other parts
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from graphflow.compiler.contract.images import NeighbourTiles
from graphflow.compiler.contract.matrix import Copied
from graphflow.compiler.contract.matrix_plan import DEPTH, SIDE, SQUARE, STEPS, TERMS, WORDS, pieces
from graphflow.compiler.contract.plan import PART, Plan
from graphflow.compiler.llvm.builder import Reg, vector
from graphflow.compiler.llvm.transpose import transposed
from graphflow.kernel.nodes import Contract

if TYPE_CHECKING:
    from graphflow.compiler.llvm.stmt import Emitter


class FilterTiles(NeighbourTiles):
    """Emits the gradient of a filter in matrix tiles."""

    def __init__(self, em: Emitter, contract: Contract, plan: Plan) -> None:
        assert plan.matrix is not None
        super().__init__(em, contract, plan, plan.matrix.rows)
        self.images, self.vertical, horizontal = self.matrix.steps
        line, pixel = (self.stride(self.matrix.side, name) for name in (self.vertical, horizontal))
        assert isinstance(line, int) and isinstance(pixel, int)
        self.pixel = pixel
        self.height, self.across = self.count(self.vertical) // self.matrix.bands, self.count(horizontal)
        self.pieces = pieces(self.height, self.across, line // pixel)
        reach = self.pieces.start(self.pieces.count - 1) + SIDE  # pixels behind the window's first one of which tiles hold lines
        self.plane = (math.ceil((self.matrix.covered + reach * pixel + SIDE) / SIDE) | 1) * SIDE  # words
        # Of a band, and of the gradient of its results:
        self.band_words = self.plane * TERMS, self.matrix.columns // SIDE * self.pieces.count * TERMS * WORDS
        self.begins = self.b.alloca("i64", self.pieces.count * DEPTH)

    def run(self) -> None:
        em, b, matrix = self.em, self.b, self.matrix
        em.thread, em.threads = b.i64(0), b.i64(1)  # what is inside belongs to this thread alone
        columns = em.index(self.extent(self.plan.vector))
        first, last = self.part(em.index(self.extent(PART)))
        left = self.operand(matrix.side, matrix.together * self.band_words[0], STEPS, 2 * self.pairs * SIDE)
        right = self.operand(1 - matrix.side, matrix.together * self.band_words[1], matrix.depth, matrix.columns)
        right = replace(right, steps=b.alloca("i64", self.pieces.count * DEPTH))
        size = matrix.columns * self.pairs * SQUARE
        sums, lines = b.alloca("float", size), b.alloca("float", SIDE * self.width)
        with self.when(b.compare("icmp slt", first, last), "tiles"):
            self.configure()
            self.clear(left.terms, matrix.together * self.band_words[0])  # what lies behind an image is multiplied by zeros
            self.places(left, 1)
            self.pixels(right)
            with self.loop("part", first, last) as part:
                em.set_symbol(PART, part)
                em.set_range(PART, self.extent(PART))
                here, other = (self.moved_to(o, PART, part) for o in (left, right))
                bands = b.mul(em.index(self.extent(self.images)), b.i64(matrix.bands))
                with self.loop("group", b.i64(0), columns, matrix.columns) as column:
                    there = self.least(b.binary("sub", columns, column), b.i64(matrix.columns))
                    self.table(other, other.moves, (self.plan.vector,), column, b.i64(matrix.columns))
                    self.clear(sums, size)
                    with self.loop("time", b.i64(0), bands, matrix.together) as start:
                        some = self.least(b.binary("sub", bands, start), b.i64(matrix.together))
                        with self.loop("band", b.i64(0), some) as n:
                            image, gradient = (self.band(self.kept(o, n), b.add(start, n)) for o in (here, other))
                            self.split_image(image)
                            self.split_gradient(gradient, there)
                        self.add(here, other, sums, there, some)
                    self.finish_part(here, other, sums, lines, column, there)
            b.call("void", "llvm.x86.tilerelease", ())
        em.thread, em.threads = self.share

    def clear(self, memory: Reg, words: int) -> None:
        with self.loop("clear", self.b.i64(0), self.b.i64(words), SIDE) as at:
            self.b.store(self.b.constant(0, vector("i32", SIDE)), self.b.element(memory, at, "i32"), align=64)

    def moved_to(self, operand: Copied, name: str, place: Reg) -> Copied:
        """The operand moved along an axis."""
        b = self.b
        return replace(operand, pointer=b.element(operand.pointer, self.away(operand.side, [(name, place)]), "float"))

    def band(self, operand: Copied, number: Reg) -> Copied:
        """The operand moved to a band of an image."""
        b = self.b
        image, band = (b.binary(op, number, b.i64(self.matrix.bands)) for op in ("udiv", "urem"))
        return self.moved_to(self.moved_to(operand, self.images, image), self.vertical, b.mul(band, b.i64(self.height)))

    def kept(self, operand: Copied, band: Reg) -> Copied:
        """Where the terms of one of the bands at hand are."""
        words = self.band_words[operand.side != self.matrix.side]
        return replace(operand, terms=self.b.element(operand.terms, self.b.mul(band, self.b.i64(words)), "i32"))

    # -- tables -----------------------------------------------------------------------------------------------------------------------

    def pixels(self, right: Copied) -> None:
        """Where each step's pixel is in an image, and how far it moves the gradient of the results; -1 where that has no such pixel."""
        b, cut = self.b, self.pieces
        names = self.matrix.steps[1:]
        with self.loop("piece", b.i64(0), b.i64(cut.count)) as n, self.loop("step", b.i64(0), b.i64(DEPTH)) as at:
            number = b.add(b.mul(n, b.i64(DEPTH)), at)
            if cut.across:
                far, near = (b.binary(op, n, b.i64(cut.across)) for op in ("udiv", "urem"))
                half, lane = (b.binary(op, at, b.i64(SIDE)) for op in ("udiv", "urem"))
                place = b.add(b.mul(far, b.i64(2)), half), b.add(b.mul(near, b.i64(SIDE)), lane)
            else:
                place = b.binary("udiv", number, b.i64(cut.line)), b.binary("urem", number, b.i64(cut.line))
            y, x = (b.compare("icmp slt", at, b.i64(size)) for at, size in zip(place, (self.height, self.across), strict=True))
            move = self.away(right.side, list(zip(names, place, strict=True)))
            b.store(b.select(b.binary("and", y, x), move, b.i64(-1)), b.element(right.steps, number, "i64"))
            pixel = b.add(b.mul(place[0], b.i64(cut.line)), place[1])
            b.store(b.mul(pixel, b.i64(self.pixel)), b.element(self.begins, number, "i64"))

    # -- copies -----------------------------------------------------------------------------------------------------------------------

    def split_image(self, left: Copied) -> None:
        """The words of a band of an image."""
        b, size = self.b, self.matrix.covered
        apart = self.pieces.apart * self.pixel
        whole = max(0, (size - apart) // SIDE * SIDE)

        def line(at: Reg, masked: bool) -> None:
            values = []
            for place in (at, b.add(at, b.i64(apart))):
                mask = b.first_lanes(b.sub(b.i64(size), place), SIDE) if masked else None
                values.append(b.load(vector("float", SIDE), b.element(left.pointer, place, "float"), mask=mask))
            self.put(values, left.terms, b.binary("udiv", at, b.i64(SIDE)), self.plane)

        with self.loop("line", b.i64(0), b.i64(whole), SIDE) as at:
            line(at, False)
        with self.loop("line", b.i64(whole), b.i64(size), SIDE) as at:
            line(at, True)

    def split_gradient(self, right: Copied, there: Reg) -> None:
        """The terms of the gradient of a band's results, turned."""
        b = self.b
        with self.loop("piece", b.i64(0), b.i64(self.pieces.count)) as piece, self.loop("strip", b.i64(0), there, SIDE) as own:
            left = b.binary("sub", there, own)
            start = b.element(right.pointer, b.load("i64", b.element(right.moves, own, "i64")), "float")
            with self.loop("line", b.i64(0), b.i64(SIDE)) as line:
                values = []
                for half in (0, 1):
                    number = b.add(b.mul(piece, b.i64(DEPTH)), b.add(line, b.i64(half * SIDE)))
                    far = b.load("i64", b.element(right.steps, number, "i64"))
                    mask = b.first_lanes(b.select(b.compare("icmp sge", far, b.i64(0)), left, b.i64(0)), SIDE)
                    values.append(b.load(vector("float", SIDE), b.element(start, far, "float"), mask=mask))
                self.put(values, self.turning, line, WORDS)
            at = b.add(b.mul(own, b.i64(right.strip // SIDE)), b.mul(piece, b.i64(TERMS * WORDS)))
            self.put_turned(b.element(right.terms, at, "i32"))

    # -- sums -------------------------------------------------------------------------------------------------------------------------

    def add(self, left: Copied, right: Copied, sums: Reg, there: Reg, bands: Reg) -> None:
        """Add the products of the bands at hand to the sums."""
        b = self.b
        line, pitches = b.i64(4 * SIDE), (b.i64(4 * SIDE), b.i64(4 * self.pixel))
        with self.loop("along", b.i64(0), there, SQUARE) as along, self.loop("down", b.i64(0), b.i64(2 * self.pairs), 2) as down:
            square = self.square(sums, along, down)
            corners = [b.element(square, b.i64(n * WORDS), "float") for n in range(4)]
            starts = [b.load("i64", b.element(self.starts, b.add(down, b.i64(n)), "i64")) for n in (0, 1)]
            for n, corner in enumerate(corners):
                self.tile("tileloadd64", n, corner, line)
            with self.loop("band", b.i64(0), bands) as band:
                image, gradient = (self.kept(o, band).terms for o in (left, right))
                windows = [b.element(image, start, "i32") for start in starts]
                channels = b.element(gradient, b.mul(along, b.i64(right.strip // SIDE)), "i32")
                with self.loop("piece", b.i64(0), b.i64(self.pieces.count)) as piece:
                    begin = b.load("i64", b.element(self.begins, b.mul(piece, b.i64(DEPTH)), "i64"))
                    here = [b.element(window, begin, "i32") for window in windows]
                    other = b.element(channels, b.mul(piece, b.i64(TERMS * WORDS)), "i32")

                    def where(side: int, n: int, term: int, here: list[Reg] = here, other: Reg = other) -> Reg:
                        if side:
                            return b.element(here[n], b.i64(term * self.plane), "i32")
                        return b.element(other, b.i64(n * right.strip + term * WORDS), "i32")

                    self.products(where, pitches)
            for n, corner in enumerate(corners):
                self.tile("tilestored64", n, corner, line)

    def square(self, sums: Reg, along: Reg, down: Reg) -> Reg:
        """Where a square's four tiles are in memory, one behind the other."""
        b = self.b
        return b.element(sums, b.add(b.mul(along, b.i64(self.pairs * SQUARE)), b.mul(down, b.i64(2 * WORDS))), "float")

    def finish_part(self, left: Copied, right: Copied, sums: Reg, lines: Reg, column: Reg, there: Reg) -> None:
        """The epilogue of all rows of a part."""
        b = self.b
        with self.loop("tile", b.i64(0), b.i64(self.tiles)) as tile:
            with self.loop("strip", b.i64(0), there, SIDE) as own:
                channel, odd = b.binary("urem", own, b.i64(SQUARE)), b.binary("urem", tile, b.i64(2))
                square = self.square(sums, b.binary("sub", own, channel), b.binary("sub", tile, odd))
                place = b.element(square, b.add(b.mul(channel, b.i64(SQUARE)), b.mul(odd, b.i64(WORDS))), "float")
                rows = [b.load(vector("float", SIDE), b.element(place, b.i64(n * SIDE), "float"), align=64) for n in range(SIDE)]
                for n, row in enumerate(transposed(b, rows)):
                    b.store(row, b.element(lines, b.add(own, b.i64(n * self.width)), "float"), align=64)
            here = replace(left, moves=b.element(left.moves, b.mul(tile, b.i64(SIDE)), "i64"))
            self.finish_tile(here, right, lines, b.i64(0), tile, [], column, there)
