"""Contractions in single precision by the matrix tiles of AMX, which multiply in bfloat16.

Every operand is cut into three terms of 8 bits each, x = x0 + x1 + x2 exactly, and of the nine products of terms the six that matter are
summed in single precision. What is left out, x1 y2 + x2 y1 + x2 y2, is some 2^-26 of x y and never more than 2^-23; a multiplication is
rounded by up to 2^-24 (Henry, Tang and Heinecke, "Leveraging the bfloat16 artificial intelligence datatype for higher-precision
computations", 2019). Six multiplications at sixteen times the rate are still twice as fast as one.

    this thread's columns, up to COLUMNS at a time
      this thread's rows, ROWS at a time
        steps of the reduction, STEPS at a time
          the operands copied: blocks of 16 rows (or columns) by 32 steps, three tiles each
          squares of 32 x 32 sums, in memory between one STEPS and the next
        every row: looked at, summed again where terms cannot hold its numbers, and its epilogue

bfloat16 has the range of single precision, but a sum that is not finite, or so small that terms of it may have been flushed to zero, is
computed once more with multiply-adds, so that infinities, overflow and numbers near the smallest come out as without tiles.

Rows, columns and steps may each be several axes: how far a row and a step move an operand is added up beforehand for all that are at hand,
so that the windows of a convolution are copied like the rows of a matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphflow.compiler.contract.analyse import strides
from graphflow.compiler.contract.matrix_plan import DEPTH, ROWS, SIDE, SQUARE, STEPS, TERMS, WORDS
from graphflow.compiler.contract.microkernel import Column, across
from graphflow.compiler.contract.plan import Plan
from graphflow.compiler.contract.tile import TileEmitter
from graphflow.compiler.llvm.builder import Reg, vector
from graphflow.compiler.llvm.transpose import transposed
from graphflow.kernel.index import Index, product, substitute
from graphflow.kernel.nodes import Contract

if TYPE_CHECKING:
    from graphflow.compiler.llvm.stmt import Emitter

FEW = 64  # rows or steps: for fewer the terms of the other operand are not worth their copies
TOGETHER = 4  # registers of a row that is summed again at once
SMALLEST = 31 << 23  # 2^-96 as bits: from here on the terms of a sum's products are above the smallest normal number
LARGEST = 0x7F800000


@dataclass
class Copied:
    """An operand's terms: where they lie, and for how many steps there is room; which side it is, whether its steps lie side by side, where
    it begins, and the tables of how far rows (or columns) and steps move it."""

    terms: Reg
    depth: int
    side: int
    lying: bool
    pointer: Reg
    moves: Reg
    steps: Reg

    @property
    def strip(self) -> int:
        """Words of the terms of 16 rows or columns."""
        return self.depth // DEPTH * TERMS * WORDS


class MatrixTiles(TileEmitter):
    """Emits a contraction in matrix tiles."""

    def __init__(self, em: Emitter, contract: Contract, plan: Plan) -> None:
        super().__init__(em, contract, plan)
        assert plan.matrix is not None
        self.matrix = plan.matrix
        self.turning = self.b.alloca("i32", TERMS * WORDS)

    def enough(self) -> Reg:
        """Whether there are rows and steps enough."""
        b = self.b
        rows, steps = (self.em.index(self.total(names)) for names in (self.matrix.rows, self.matrix.steps))
        return b.binary("and", b.compare("icmp sge", rows, b.i64(FEW)), b.compare("icmp sge", steps, b.i64(FEW)))

    def run(self) -> None:
        em, b = self.em, self.b
        em.thread, em.threads = b.i64(0), b.i64(1)  # what is inside belongs to this thread alone
        matrix, columns = self.matrix, self.extent(self.plan.vector)
        rows, steps = (em.index(self.total(names)) for names in (matrix.rows, matrix.steps))
        along, down = ((b.i64(0), n) for n in (em.index(columns), rows))
        if self.plan.split == "rows":
            down = self.whole_squares(rows)
        else:
            along = self.whole_squares(em.index(columns))
        left, right = (
            self.operand(side, count // SIDE * (depth // DEPTH) * TERMS * WORDS, depth, count)
            for side, count, depth in ((matrix.side, ROWS, STEPS), (1 - matrix.side, matrix.columns, matrix.depth))
        )
        sums = b.alloca("float", ROWS * self.width)
        some = b.binary("and", b.compare("icmp slt", *along), b.compare("icmp slt", *down))
        with self.when(some, "tiles"):
            self.configure()
            with self.loop("group", *along, matrix.columns) as column:
                there = self.least(b.binary("sub", along[1], column), b.i64(matrix.columns))
                self.table(right, right.moves, (self.plan.vector,), column, b.i64(matrix.columns))
                with self.loop("chunk", *down, ROWS) as row:
                    high = self.least(b.binary("sub", down[1], row), b.i64(ROWS))
                    self.table(left, left.moves, matrix.rows, row, b.i64(ROWS))
                    with self.loop("block", b.i64(0), steps, STEPS) as step:
                        deep = self.least(b.binary("sub", steps, step), b.i64(STEPS))
                        self.table(left, left.steps, matrix.steps, step, b.i64(STEPS))
                        self.split(left, left.terms, high, deep)
                        kept = b.compare("icmp sle", steps, b.i64(matrix.depth))
                        later = b.compare("icmp sgt", row, down[0])
                        terms = b.element(right.terms, b.mul(b.select(kept, step, b.i64(0)), b.i64(TERMS * WORDS // DEPTH)), "i32")
                        with self.when(b.binary("xor", b.binary("and", kept, later), Reg("i1", "true")), "right"):
                            self.table(right, right.steps, matrix.steps, step, b.i64(STEPS))
                            self.split(right, terms, there, deep)
                        fresh = b.compare("icmp eq", step, b.i64(0))
                        self.squares((left, right), (left.terms, terms), sums, (high, there), deep, fresh)
                    self.finish_rows(left, right, sums, row, high, column, there)
            b.call("void", "llvm.x86.tilerelease", ())
        em.thread, em.threads = self.share

    def operand(self, side: int, words: int, depth: int, count: int) -> Copied:
        """Room for `words` words of an operand's terms, and for how far `count` rows or columns move it."""
        b, source = self.b, (self.contract.left, self.contract.right)[side]
        pointer = self.em.address(source.buffer, substitute(source.offset, dict.fromkeys(self.axes, 0)))[0]
        lying = self.matrix.lying[side != self.matrix.side]
        return Copied(b.alloca("i32", words), depth, side, lying, pointer, b.alloca("i64", count), b.alloca("i64", STEPS))

    @property
    def width(self) -> int:
        """Columns of the sums in memory: rows a power of two apart would share few sets of the cache."""
        return self.matrix.columns + SIDE

    def total(self, names: Sequence[str]) -> Index:
        return product(self.extent(name) for name in names)

    def whole_squares(self, total: Reg) -> tuple[Reg, Reg]:
        """This thread's share of so many rows or columns, in whole squares, so that all threads sum the same ones."""
        b = self.b
        bounds = self.part(b.binary("sdiv", b.add(total, b.i64(SQUARE - 1)), b.i64(SQUARE)))
        first, last = (self.least(b.mul(n, b.i64(SQUARE)), total) for n in bounds)
        return first, last

    def least(self, x: Reg, y: Reg) -> Reg:
        return self.b.call("i64", "llvm.smin.i64", (x, y))

    def configure(self) -> None:
        """Eight tiles of 16 rows of 64 bytes."""
        b = self.b
        settings = b.alloca("i8", 64)
        b.store(b.constant(0, "<64 x i8>"), settings)
        b.store(b.constant(1, "i8"), settings)
        b.store(b.constant(64, "<8 x i16>"), b.element(settings, b.i64(16), "i8"))
        b.store(b.constant(SIDE, "<8 x i8>"), b.element(settings, b.i64(48), "i8"))
        b.call("void", "llvm.x86.ldtilecfg", (settings,))

    # -- copies -----------------------------------------------------------------------------------------------------------------------

    def digits(self, names: Sequence[str], number: Reg) -> list[tuple[str, Reg]]:
        """Where a row, or a step, is along each of the axes."""
        b, out, rest = self.b, [], number
        for place in range(len(names) - 1, -1, -1):
            value = rest
            if place:
                many = self.em.index(self.extent(names[place]))
                value, rest = b.binary("urem", rest, many), b.binary("udiv", rest, many)
            out.append((names[place], value))
        return out

    def moved(self, side: int, names: Sequence[str], number: Reg) -> Reg:
        """How far an operand is moved by that row or step."""
        return self.away(side, self.digits(names, number))

    def away(self, side: int, places: Sequence[tuple[str, Reg]]) -> Reg:
        """How far an operand is moved by these places along axes."""
        b, total = self.b, self.b.i64(0)
        for name, value in places:
            total = b.add(total, b.mul(value, self.em.index(self.stride(side, name))))
        return total

    def stride(self, side: int, name: str) -> Index:
        return strides(self.contract, name).operand(side)

    def table(self, operand: Copied, table: Reg, names: Sequence[str], start: Reg, count: Reg) -> None:
        """How far each of `count` rows or steps moves an operand; those that do not exist are where the last one is."""
        b = self.b
        last = b.binary("sub", self.em.index(self.total(names)), b.i64(1))
        with self.loop("place", b.i64(0), count) as n:
            number = self.least(b.add(start, n), last)
            b.store(self.moved(operand.side, names, number), b.element(table, n, "i64"))

    def split(self, operand: Copied, terms: Reg, count: Reg, deep: Reg) -> None:
        """Put the terms of `count` rows or columns over `deep` steps in place. What is missing in the last square is zero or is not
        looked at."""
        b = self.b
        turned = operand.lying == (operand.side != self.matrix.side)
        strips, depths = ("strip", b.i64(0), count, SIDE), ("deep", b.i64(0), deep, DEPTH)
        outside, inside = (strips, depths) if operand.lying else (depths, strips)  # along which the operand lies
        with self.loop(*outside) as outer:
            with self.loop(*inside) as inner:
                own, step = (outer, inner) if operand.lying else (inner, outer)
                at = b.add(b.mul(own, b.i64(operand.strip // SIDE)), b.mul(step, b.i64(TERMS * WORDS // DEPTH)))
                place = b.element(terms, at, "i32")
                left, rest = b.binary("sub", count, own), b.binary("sub", deep, step)
                whole = b.binary("and", b.compare("icmp sge", left, b.i64(SIDE)), b.compare("icmp sge", rest, b.i64(DEPTH)))
                into = self.turning if turned else place
                with self.when(whole, "whole"):
                    self.lines(operand, own, step, None, into)
                with self.when(b.binary("xor", whole, Reg("i1", "true")), "part"):
                    self.lines(operand, own, step, (left, rest), into)
                if turned:
                    self.put_turned(place)

    def put_turned(self, place: Reg) -> None:
        """Put the terms that wait to be turned in place."""
        b = self.b
        with self.loop("turn", b.i64(0), b.i64(TERMS)) as term:
            here, there = (b.element(p, b.mul(term, b.i64(WORDS)), "i32") for p in (self.turning, place))
            rows = [b.load(vector("i32", SIDE), b.element(here, b.i64(n * SIDE), "i32"), align=64) for n in range(SIDE)]
            for n, row in enumerate(transposed(b, rows)):
                b.store(row, b.element(there, b.i64(n * SIDE), "i32"), align=64)

    def lines(self, operand: Copied, own: Reg, step: Reg, left: tuple[Reg, Reg] | None, into: Reg) -> None:
        """Sixteen lines of words, each the terms of two steps of the reduction that are 16 apart. `left`: how many rows and steps there
        are from these on; the others are zero."""
        b = self.b
        with self.loop("line", b.i64(0), b.i64(SIDE)) as line:
            values = []
            for half in (0, 1):
                if operand.lying:
                    row, at = b.add(own, line), b.add(step, b.i64(half * SIDE))
                else:
                    row, at = own, b.add(b.add(step, b.i64(half * SIDE)), line)
                far = (b.load("i64", b.element(t, n, "i64")) for t, n in ((operand.moves, row), (operand.steps, at)))
                address = b.element(operand.pointer, b.add(*far), "float")
                mask = None
                if left is not None:
                    here = b.binary("sub", left[1], b.i64(half * SIDE))
                    if not operand.lying:
                        here = b.select(b.compare("icmp sgt", here, line), left[0], b.i64(0))
                    mask = b.first_lanes(here, SIDE)
                values.append(b.load(vector("float", SIDE), address, mask=mask))
            self.put(values, into, line, WORDS)

    def put(self, values: Sequence[Reg], into: Reg, line: Reg, plane: int) -> None:
        """Store the terms of two vectors in a line, those of one term `plane` words after those of the one before."""
        b = self.b
        for term, word in enumerate(self.words(*values)):
            b.store(word, b.element(into, b.add(b.mul(line, b.i64(SIDE)), b.i64(term * plane)), "i32"), align=64)

    def words(self, low: Reg, high: Reg) -> list[Reg]:
        """The three terms of two vectors, side by side in words: what is left each time, rounded to the upper half of a word. The
        subtractions are exact, and so is the last term."""
        b = self.b
        kind, lanes = vector("i32", SIDE), vector("float", SIDE)
        upper = b.constant(-65536, kind)
        out = []
        left = [low, high]
        for term in range(TERMS):
            bits = [b.convert("bitcast", v, kind) for v in left]
            if term + 1 < TERMS:
                bits = [b.binary("add", v, b.constant(32768, kind)) for v in bits]
            parts = [b.binary("and", v, upper) for v in bits]
            out.append(b.binary("or", parts[1], b.binary("lshr", bits[0], b.constant(16, kind))))
            left = [b.binary("fsub", v, b.convert("bitcast", p, lanes)) for v, p in zip(left, parts, strict=True)]
        return out

    # -- sums -------------------------------------------------------------------------------------------------------------------------

    def tile(self, name: str, *arguments: Reg | int) -> None:
        self.b.call("void", f"llvm.x86.{name}", [Reg("i8", str(a)) if isinstance(a, int) else a for a in arguments])

    def squares(
        self, operands: tuple[Copied, Copied], terms: tuple[Reg, Reg], sums: Reg, size: tuple[Reg, Reg], deep: Reg, fresh: Reg
    ) -> None:  # fmt: skip
        """Add the products of what is copied to `size` sums; `fresh`: they begin with zero."""
        b = self.b
        line, pitch = b.i64(4 * SIDE), b.i64(4 * self.width)
        with self.loop("down", b.i64(0), size[0], SQUARE) as down, self.loop("along", b.i64(0), size[1], SQUARE) as along:
            corners = self.corners(sums, down, along)
            begin, resume, go = b.label("begin"), b.label("resume"), b.label("go")
            b.branch_if(fresh, begin, resume)
            b.start(begin)
            for n in range(4):
                self.tile("tilezero", n)
            b.branch(go)
            b.start(resume)
            for n, corner in enumerate(corners):
                self.tile("tileloadd64", n, corner, pitch)
            b.branch(go)
            b.start(go)
            starts = zip(operands, terms, (down, along), strict=True)
            first = [b.element(p, b.mul(at, b.i64(o.strip // SIDE)), "i32") for o, p, at in starts]
            with self.loop("depth", b.i64(0), deep, DEPTH) as depth:
                here = [b.element(p, b.mul(depth, b.i64(TERMS * WORDS // DEPTH)), "i32") for p in first]
                self.products(
                    lambda side, n, term: b.element(here[side], b.i64(n * operands[side].strip + term * WORDS), "i32"), (line, line)
                )
            for n, corner in enumerate(corners):
                self.tile("tilestored64", n, corner, pitch)

    def products(self, where: Callable[[int, int, int], Reg], pitches: tuple[Reg, Reg]) -> None:
        """Add 32 steps to the square in the first four tiles. `where` tells at which place the tile of a term of an operand's first or
        second half begins, `pitches` how many bytes its lines are apart."""
        held: list[int] = [-1, -1]
        # The smallest first; and one operand's tiles stay from each pair of terms to the next.
        for pair in ((2, 0), (1, 0), (1, 1), (0, 1), (0, 0), (0, 2)):
            for side in (0, 1):
                if held[side] != pair[side]:
                    for n in (0, 1):
                        self.tile("tileloadd64", 4 + 2 * side + n, where(side, n, pair[side]), pitches[side])
            held = list(pair)
            for n in range(4):
                self.tile("tdpbf16ps", n, 4 + n // 2, 6 + n % 2)

    def corners(self, sums: Reg, down: Reg, along: Reg) -> list[Reg]:
        """Where the four tiles of a square are in memory."""
        b = self.b
        place = b.element(sums, b.add(b.mul(down, b.i64(self.width)), along), "float")
        return [b.element(place, b.i64(SIDE * (i * self.width + j)), "float") for i in (0, 1) for j in (0, 1)]

    # -- epilogue ---------------------------------------------------------------------------------------------------------------------

    def finish_rows(self, left: Copied, right: Copied, sums: Reg, first: Reg, high: Reg, column: Reg, there: Reg) -> None:
        """The epilogue of `high` rows from `first` on and `there` columns from `column` on."""
        b = self.b
        with self.loop("row", b.i64(0), high) as down:
            self.finish_row(left, right, sums, down, self.digits(self.matrix.rows, b.add(first, down)), column, there)

    def finish_row(
        self, left: Copied, right: Copied, sums: Reg, down: Reg, places: Sequence[tuple[str, Reg]], column: Reg, there: Reg
    ) -> None:  # fmt: skip
        """Row `down` of the sums, which is at `places` along the axes of the rows: its epilogue."""
        em, b = self.em, self.b
        line = b.element(sums, b.mul(down, b.i64(self.width)), "float")
        self.look(left, right, line, down, there)
        for name, value in places:
            em.set_symbol(name, value)
            em.set_range(name, self.extent(name))
        columns = self.extent(self.plan.vector)
        assert isinstance(columns, int)
        with self.loop("column", b.i64(0), there, SIDE) as at:
            acc = b.load(vector("float", SIDE), b.element(line, at, "float"))
            mask = None if columns % SIDE == 0 else b.first_lanes(b.sub(there, at), SIDE)
            with em.bind({self.plan.vector: b.add(column, at)}, writes=self.writes):
                em.set_vector(self.plan.vector, SIDE)
                self.statements({}, Column(SIDE, mask), acc)

    def look(self, left: Copied, right: Copied, line: Reg, down: Reg, there: Reg) -> None:
        """Sum a row again where a sum is not finite, or so small that terms may have been lost."""
        b = self.b
        kind = vector("i32", SIDE)
        with b.loop("look", b.i64(0), there, b.i64(SIDE), [Reg("i16", "0")]) as loop:
            value = b.load(kind, b.element(line, loop.index, "float"))
            size = b.binary("and", value, b.constant(0x7FFFFFFF, kind))
            less = b.binary("sub", size, b.constant(1, kind))  # of zero the largest of all: it is not taken for small
            small = b.compare("icmp ult", less, b.constant(SMALLEST - 1, kind))
            odd = b.binary("or", small, b.compare("icmp uge", size, b.constant(LARGEST, kind)))
            loop.carried = [b.binary("or", loop.carried[0], b.convert("bitcast", odd, "i16"))]
        with self.when(b.compare("icmp ne", loop.results[0], Reg("i16", "0")), "again"):
            self.again(left, right, line, down, there)

    def again(self, left: Copied, right: Copied, line: Reg, down: Reg, there: Reg) -> None:
        """One row of sums by multiply-adds, from the operands themselves."""
        b = self.b
        row = b.element(left.pointer, b.load("i64", b.element(left.moves, down, "i64")), "float")
        steps = self.em.index(self.total(self.matrix.steps))
        zeros = [b.constant(0, vector("float", SIDE))] * TOGETHER
        if right.lying:
            self.dots(left, right, row, line, there, steps, zeros)
            return
        with self.loop("part", b.i64(0), there, TOGETHER * SIDE) as part:
            column = b.element(right.pointer, b.load("i64", b.element(right.moves, part, "i64")), "float")
            masks = [b.first_lanes(b.sub(there, b.add(part, b.i64(n * SIDE))), SIDE) for n in range(TOGETHER)]
            with b.repeat("k", steps, zeros, True) as loop:
                mine, other = (self.moved(o.side, self.matrix.steps, loop.index) for o in (left, right))
                factor = b.splat(b.load("float", b.element(row, mine, "float")), SIDE)
                here = b.element(column, other, "float")
                loop.carried = [
                    b.fma(factor, b.load(acc.type, b.element(here, b.i64(n * SIDE), "float"), mask=mask), acc)
                    for n, (mask, acc) in enumerate(zip(masks, loop.carried, strict=True))
                ]
            for n, (value, mask) in enumerate(zip(loop.results, masks, strict=True)):
                b.store(value, b.element(line, b.add(part, b.i64(n * SIDE)), "float"), mask=mask)

    def dots(self, left: Copied, right: Copied, row: Reg, line: Reg, there: Reg, steps: Reg, zeros: list[Reg]) -> None:
        """The same where the steps of the columns lie side by side: 16 of them at once, summed across in the end."""
        b = self.b
        with self.loop("part", b.i64(0), there, TOGETHER) as part:
            moves = (b.load("i64", b.element(right.moves, b.add(part, b.i64(n)), "i64")) for n in range(TOGETHER))
            columns = [b.element(right.pointer, move, "float") for move in moves]
            many = b.binary("sdiv", b.add(steps, b.i64(SIDE - 1)), b.i64(SIDE))
            with b.repeat("k", many, zeros, True) as loop:
                at = b.mul(loop.index, b.i64(SIDE))
                mask = b.first_lanes(b.sub(steps, at), SIDE)
                mine, other = (self.moved(o.side, self.matrix.steps, at) for o in (left, right))
                if left.lying:
                    factor = b.load(vector("float", SIDE), b.element(row, mine, "float"), mask=mask)
                else:
                    self.table(left, left.steps, self.matrix.steps, at, b.i64(SIDE))
                    far = b.load(vector("i64", SIDE), left.steps)
                    places = b.instruction(f"<{SIDE} x ptr>", f"getelementptr float, ptr {row.ref}, {far.type} {far.ref}", "p")
                    factor = b.gather(vector("float", SIDE), places, mask)
                loop.carried = [
                    b.fma(factor, b.load(acc.type, b.element(column, other, "float"), mask=mask), acc)
                    for column, acc in zip(columns, loop.carried, strict=True)
                ]
            b.store(across(b, loop.results, "f32"), b.element(line, part, "float"))
