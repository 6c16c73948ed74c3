"""Asking for memory before it is needed.

What a step of the reduction needs comes from near and in order, and the machine foresees it. Three things come from far away in pieces that
it does not foresee, and a thread that waits for them multiplies nothing:

    the first tile of rows reads a panel of columns that nobody has read in this step of the program; so the tiles of each panel ask for the
    next one, every tile for its part and one piece at a time: the cores have few places for lines that are on their way;
    an epilogue reads a weight and its slots, or what a gradient is multiplied by, and fills memory that another thread used last; so each
    tile asks for its part while it is summed;
    the first tile of a long reduction's next block reads what no tile has read yet; so those of this block ask for it, some lines in every
    iteration.

A prefetch changes no value, and one of memory that is not there does nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from graphflow.compiler.contract.analyse import fills, first_store, strides
from graphflow.compiler.contract.cuts import guess, lengths, panel_width
from graphflow.compiler.contract.plan import Panel
from graphflow.compiler.contract.shape import panel_count
from graphflow.compiler.llvm.builder import SIZES, FunctionBuilder, Reg
from graphflow.kernel.affine import coefficient
from graphflow.kernel.index import Index, substitute

if TYPE_CHECKING:
    from graphflow.compiler.contract.tile import Block, TileEmitter

L1, L2 = 3, 2  # LLVM's names for the caches to prefetch into
LINE = 64


def prefetch(b: FunctionBuilder, address: Reg, level: int, write: bool = False) -> None:
    """Ask for the cache line of an address, into the cache `level`; with `write`, for this core alone."""
    b.declarations.add("declare void @llvm.prefetch.p0(ptr, i32 immarg, i32 immarg, i32 immarg)")
    b.emit(f"call void @llvm.prefetch.p0(ptr {address.ref}, i32 {int(write)}, i32 {level}, i32 1)")


def lines_of(width: int, pitch: Index | None, size: int) -> list[int]:
    """Elements, one in each cache line that a row of `width` elements of `size` bytes may touch: one line more where rows, `pitch` elements
    apart, begin at several places of a line."""
    line = LINE // size
    whole = isinstance(pitch, int) and pitch % line == 0
    return [*range(0, width, line), *(() if whole else (width - 1,))]


class Walk(NamedTuple):
    """A tile's part of a buffer: its first row, how many elements a row is further than the one before, and whether it is written."""

    pointer: Reg
    pitch: Reg
    write: bool


@dataclass(frozen=True)
class Awaited:
    """What the tile's epilogue reads and fills: every 2**`shift` steps of the reduction, until all `rows` are done, the cache lines `lines`
    away from one row of each buffer."""

    walks: tuple[Walk, ...]
    lines: Iterable[int]
    rows: int
    shift: int

    def ask(self, b: FunctionBuilder, scalar: str, step: Reg) -> None:
        """Ask for what belongs to a step. A branch, for most steps have nothing."""
        due = b.compare("icmp slt", step, b.i64(self.rows << self.shift))
        if self.shift:
            turn = b.compare("icmp eq", b.binary("and", step, b.i64((1 << self.shift) - 1)), b.i64(0))
            due = b.binary("and", due, turn)
        with b.when(due, "await"):
            number = b.binary("lshr", step, b.i64(self.shift))
            for pointer, pitch, write in self.walks:
                row = b.element(pointer, b.mul(number, pitch), scalar)
                for line in self.lines:
                    prefetch(b, b.element(row, b.i64(line), scalar), L1 if write else L2, write)


@dataclass(frozen=True)
class Upcoming:
    """The next panel: rows `pitch` elements apart, each of `pieces` pieces `apart` elements from each other, a piece being the cache lines
    `lines` away from its beginning. Piece number `first` and those after it belong to the tile at hand, one for every 2**shift steps."""

    pointer: Reg
    pitch: Reg
    pieces: int
    apart: int
    lines: Iterable[int]
    total: Reg
    shift: Reg
    mask: Reg
    first: Reg

    def ask(self, b: FunctionBuilder, scalar: str, step: Reg) -> None:
        """Ask for the piece that belongs to a step, if any."""
        with b.when(b.compare("icmp eq", b.binary("and", step, self.mask), b.i64(0)), "ask"):
            number = b.add(self.first, b.binary("lshr", step, self.shift))
            row, place = number, b.i64(0)
            if self.pieces > 1:
                row = b.binary("udiv", number, b.i64(self.pieces))
                place = b.mul(b.binary("urem", number, b.i64(self.pieces)), b.i64(self.apart))
            here = b.element(b.element(self.pointer, b.mul(row, self.pitch), scalar), place, scalar)
            for line in self.lines:
                prefetch(b, b.element(here, b.i64(line), scalar), L2)


@dataclass(frozen=True)
class Following:
    """What the next block of a reduction reads of an operand, from `begin` to `end`: `place` holds how far tiles have asked for it, every
    iteration for `pace` bytes."""

    place: Reg
    begin: Reg
    end: Reg
    pace: int

    def reached(self, b: FunctionBuilder) -> Reg:
        """Where the tile at hand goes on; it begins again where all has been asked for."""
        here = b.load("ptr", self.place)
        return b.select(b.compare("icmp ult", here, self.end), here, self.begin)

    def ask(self, b: FunctionBuilder, here: Reg) -> Reg:
        """Ask for what belongs to an iteration, and say where the next one goes on."""
        for line in range(0, self.pace, LINE):
            prefetch(b, b.element(here, b.i64(line), "i8"), L2)
        return b.element(here, b.i64(self.pace), "i8")


def next_block(tiles: TileEmitter, block: Block) -> list[Following]:
    """The block after the one at hand, for all tiles of a thread; the one at hand where there is no further one."""
    em, b, contract = tiles.em, tiles.b, tiles.contract
    name, start, end, size = block
    onward = b.add(start, b.i64(size))
    first = b.select(b.compare("icmp slt", onward, end), onward, start)
    found = []
    for side, source in enumerate((contract.left, contract.right)):
        move = strides(contract, name).operand(side)
        scalar = SIZES[tiles.source]
        origin = {a.name: 0 for a in (*contract.free, *contract.reduced)}
        begin = em.address(source.buffer, substitute(em.rename(source.offset), origin))[0]
        begin = b.element(begin, b.mul(first, em.index(move)), tiles.source)
        place = b.alloca("ptr")
        b.store(begin, place)
        total = size * guess(move) * scalar
        found.append(Following(place, begin, b.element(begin, b.i64(total), "i8"), max(1, -(-total // iterations(tiles, size)))))
    return found


def iterations(tiles: TileEmitter, size: int) -> int:
    """How many iterations all tiles of one of two threads make for a block of `size` steps, but for some at the borders of images."""
    plan, free = tiles.plan, tiles.contract.free
    rows = tiles.extent(plan.rows)
    count = sum(n for _, n, _ in plan.runs) or -(-guess(rows) // plan.sizes[0])
    count *= math.prod(guess(tiles.extent(name)) for name in plan.outer) * panel_count(plan.panels)
    for name in plan.order:
        steps = max(lengths(tiles.axes[name], free))
        count *= (size if plan.block and name == plan.block[0] else steps) // plan.taken(name)
    return max(1, count // 2)


def awaited(tiles: TileEmitter, panel: Panel, rows: int) -> Awaited:
    """Where the tile at hand finds what its epilogue reads from far away, and where it goes."""
    em, plan, contract = tiles.em, tiles.plan, tiles.contract
    here = first_store(contract).offset
    filled = [(s.buffer, s.offset) for s in fills(contract) if s.buffer in plan.awaited]
    names = {name for name, _ in filled}
    places = [*((name, here, False) for name in plan.awaited if name not in names), *((*place, True) for place in filled)]
    walks = []
    for name, at, write in places:
        move = coefficient(at, plan.rows)
        walks.append(Walk(em.address(name, em.rename(at))[0], em.index(0 if move is None else move), write))
    pitch = coefficient(here, plan.rows)
    lines = lines_of(panel_width(panel), pitch, SIZES[tiles.source])
    spare = guess(tiles.extent(plan.order[0])) // rows
    return Awaited(tuple(walks), lines, rows, max(spare, 1).bit_length() - 1)


def next_panel(tiles: TileEmitter, panel: Panel, column: Reg, more: Reg | None, rows: tuple[Reg, Reg], block: Block | None) -> Upcoming:
    """The panel after the one that begins at `column`, for the tiles of `rows`; the one at hand, which is there already, where the thread
    has no further one (`more`: whether it has)."""
    em, b, plan, contract = tiles.em, tiles.b, tiles.plan, tiles.contract
    side = next(n for n in (0, 1) if strides(contract, plan.vector).operand(n) != 0)
    source = contract.right if side else contract.left
    name = plan.order[0]
    step, across = (strides(contract, axis).operand(side) for axis in (name, plan.vector))
    pointer = em.address(source.buffer, substitute(em.rename(source.offset), {} if block else {name: 0}))[0]
    following = b.compare("icmp slt", b.add(column, b.i64(panel.width)), em.index(tiles.extent(plan.vector)))
    if more is not None:
        following = b.binary("and", following, more)
    away = b.select(following, em.index(across * panel.width), b.i64(0))
    pointer = b.element(pointer, away, tiles.source)
    count = tiles.block_length(block)
    line = LINE // SIZES[tiles.source]
    if plan.packed and plan.packed.turned:
        pieces, lines, pitch = -(-plan.packed.length // line), [0], em.index(across)
        total = b.i64(panel.width * pieces)
    else:
        pieces, lines, pitch, total = 1, lines_of(panel_width(panel), step, SIZES[tiles.source]), em.index(step), count
    begin, end = rows
    every = b.binary("udiv", b.mul(count, b.binary("sub", end, begin)), b.mul(b.binary("or", total, b.i64(1)), b.i64(plan.tallest)))
    places = b.call("i64", "llvm.ctlz.i64", (b.binary("or", every, b.i64(1)), Reg("i1", "true")))
    shift = b.binary("sub", b.i64(63), places)
    mask = b.binary("sub", b.binary("shl", b.i64(1), shift), b.i64(1))
    return Upcoming(pointer, pitch, pieces, line, lines, total, shift, mask, b.i64(0))


def part_of(tiles: TileEmitter, upcoming: Upcoming, row: Reg, rows: tuple[Reg, Reg]) -> Reg:
    """The first piece of the next panel that belongs to the tile beginning at `row`."""
    b = tiles.b
    begin, end = rows
    before = b.call("i64", "llvm.smax.i64", (b.binary("sub", row, begin), b.i64(0)))  # a tile may begin earlier, where it is the only one
    return b.binary("udiv", b.mul(before, upcoming.total), b.binary("sub", end, begin))
