"""One register tile of a planned contraction: where its operands lie, its sums, and the epilogue of every sum.

The sums of a tile go to the epilogue straight from the registers where that is short code; else they are put into memory (the stack, or the
scratch buffer in which a blocked reduction waits) and a loop over the rows runs the epilogue on them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from graphflow.compiler.contract.analyse import strides, window_rows
from graphflow.compiler.contract.cuts import cut_registers, padded_columns, panel_width, whole_pitch
from graphflow.compiler.contract.foresee import Awaited, Following, Upcoming, awaited, part_of
from graphflow.compiler.contract.microkernel import Column, Microkernel, Operand, across, folded
from graphflow.compiler.contract.plan import Panel, Plan
from graphflow.compiler.contract.shape import gapless
from graphflow.compiler.llvm import functions
from graphflow.compiler.llvm.builder import LLVM_TYPES, Reg, split_vector, vector
from graphflow.compiler.llvm.interleave import stored
from graphflow.compiler.llvm.transpose import transposed, woven
from graphflow.kernel.expr import FLOATS
from graphflow.kernel.index import Index, bounds, floordiv, substitute, symbol
from graphflow.kernel.nodes import Contract, Store

if TYPE_CHECKING:
    from graphflow.compiler.llvm.stmt import Emitter

Block = tuple[str, Reg, Reg, int]  # the blocked axis, where this block begins, where the axis ends, how long a block is


class TileEmitter:
    """Emits single tiles, and the small loops and conditionals they need."""

    def __init__(self, em: Emitter, contract: Contract, plan: Plan) -> None:
        self.em = em
        self.b = em.b
        self.contract = contract
        self.plan = plan
        self.axes = {a.name: a for a in (*contract.free, *contract.reduced)}
        self.element = contract.left.type
        self.half = self.element == "f16"  # summed in single precision
        self.source = LLVM_TYPES[self.element]
        self.scalar = "float" if self.half else self.source
        self.writes = frozenset(s.buffer for s in contract.epilogue if isinstance(s, Store))
        depth = self.extent(plan.sub)
        assert isinstance(depth, int), "an axis that tiles take whole has a known extent"
        self.depth = depth
        self.share = (em.thread, em.threads)
        self.lanes = em.target.lanes("f32" if self.half else self.element)
        self.stack: Reg | None = None
        self.room = 0
        self.copy: Reg | None = None  # the stack memory of copied panels
        self.packed: Reg | None = None  # the copied panel that tiles read now, or all panels
        self.upcoming: Upcoming | None = None  # the panel after the one at hand
        self.following: list[Following] = []  # the block of the reduction after the one at hand
        self.span = (self.b.i64(0), self.b.i64(1))  # the rows that pass over a panel
        self.occupied: set[str] = set()  # reduced axes of unknown extent that are not empty where tiles are

    def extent(self, name: str) -> Index:
        return self.axes[name].extent if name else 1

    # -- control flow

    def part(self, total: Reg) -> tuple[Reg, Reg]:
        """This thread's static share of `total`."""
        b = self.b
        thread, threads = self.share
        following = b.binary("add", thread, b.i64(1))
        first, last = (b.binary("sdiv", b.binary("mul", total, t), threads) for t in (thread, following))
        return first, last

    @contextmanager
    def loop(self, stem: str, start: Reg, end: Reg, step: int = 1) -> Iterator[Reg]:
        """A loop with a frame, so that what does not change in it is computed before it."""
        em = self.em
        occupied = None
        if start.known is None or end.known is None or start.known >= end.known:
            occupied = (self.b.compare("icmp slt", start, end), em.top)
        with self.b.loop(stem, start, end, self.b.i64(step)) as state:
            em.push(state.point, self.writes, occupied=occupied)
            yield state.index
            em.pop()
        for name in self.writes:
            em.written(name)

    @contextmanager
    def when(self, condition: Reg, stem: str) -> Iterator[None]:
        """A conditional with a frame."""
        point = self.b.point()
        body, after = self.b.label(f"{stem}.then"), self.b.label(f"{stem}.end")
        self.b.branch_if(condition, body, after)
        self.b.start(body)
        self.em.push(point, self.writes, branch=True)
        yield
        self.em.pop()
        self.b.branch(after)
        self.b.start(after)

    # -- one tile -------------------------------------------------------------------------------------------------------------------

    def block_length(self, block: Block | None) -> Reg:
        """How many steps of the outermost reduced axis the block at hand takes."""
        if block is None:
            return self.em.index(self.extent(self.plan.order[0]))
        _, begin, end, size = block
        return self.b.call("i64", "llvm.smin.i64", (self.b.binary("sub", end, begin), self.b.i64(size)))

    def packed_memory(self, size: int) -> Reg:
        """Memory for `size` copied elements."""
        if self.copy is None:
            self.copy = self.b.alloca(self.source, size + self.lanes)
        return self.copy

    def sums(
        self, size: int, columns: list[Column], panel: Panel, first: list[Reg] | None, block: Block | None, place: int | None = None,
        copies: bool = False,
    ) -> list[Reg]:  # fmt: skip
        """The accumulators of the tile whose first row and column the axes are bound to; `place`: that row, where it is known here;
        `copies`: the tile copies the panel for those after it."""
        b, em, plan, contract = self.b, self.em, self.plan, self.contract
        rows = size * self.depth
        blocked = plan.block[0] if plan.block else ""
        origin: dict[str, Index] = {a.name: a.start for a in contract.reduced if a.name != blocked}
        if plan.spans and plan.window:
            origin[plan.window[0]] = 0
        if plan.sub:
            origin[plan.sub] = 0
        operands = []
        for side, source in enumerate((contract.left, contract.right)):
            along = strides(contract, plan.vector).operand(side) if plan.vector else 0
            down = strides(contract, plan.rows).operand(side) if plan.rows else 0
            deep = strides(contract, plan.sub).operand(side) if plan.sub else 0
            moves = [plan.taken(name) * strides(contract, name).operand(side) for name in plan.order]
            turn = self.turn_steps * strides(contract, plan.window[0]).operand(side) if plan.window else 0
            packed = plan.packed is not None and plan.packed.side == side
            if plan.packed and packed and self.packed and not copies:
                offsets = tuple(b.i64(p.offset) for p in panel.pieces)
                here, pitch = self.packed, panel_width(panel)
                if plan.packed.whole:
                    here, pitch = b.element(here, em.symbol(plan.vector), self.source), whole_pitch(plan)
                operands.append(Operand(here, None, offsets, True, (b.i64(pitch),), True))
                continue
            operands.append(
                Operand(
                    em.address(source.buffer, em.rename(substitute(source.offset, origin)))[0],
                    None
                    if down == 0 and deep == 0
                    else tuple(em.index(down * (r // self.depth) + deep * (r % self.depth)) for r in range(rows)),
                    None if along == 0 else tuple(em.index(along * p.offset) for p in panel.pieces),
                    moves[-1] == 1 if plan.dot else along == 1,
                    tuple(
                        None if m == 0 else em.index(m * self.lanes if name == plan.dot else m)
                        for name, m in zip(plan.order, moves, strict=True)
                    ),
                    turns=None if turn == 0 else tuple(em.index(turn * n) for n in range(self.turns)),
                    beside=em.index(strides(contract, plan.fold[0]).operand(side)) if plan.fold else None,
                    gapless=along == 1 and gapless(plan, self.axes[plan.vector], partial(strides, contract), self.lanes, em.target),
                    copy=(self.packed, panel_width(panel)) if packed and self.packed else None,
                )
            )
        rest = None
        trips = []
        for name in plan.order:
            extent = self.extent(name)
            if name == blocked:
                trips.append((self.block_length(block), True))
            elif name == plan.dot:
                whole = extent // self.lanes
                low, _ = bounds(whole)
                trips.append((em.index(whole), low is not None and low > 0))
                left_over = extent - whole * self.lanes
                if left_over != 0:
                    rest = b.first_lanes(em.index(left_over), self.lanes)
            else:
                extent = floordiv(extent, plan.taken(name))
                low, _ = bounds(extent)
                trips.append((em.index(extent), name in self.occupied or (low is not None and low > 0)))
        if plan.dot or (plan.packed and not copies):
            columns = [Column(self.lanes if plan.dot else c.lanes, None) for c in columns]
        before = first
        if first is None or plan.fold:
            first = [b.constant(0, vector(self.scalar, c.lanes * plan.abreast)) for _ in range(rows) for c in columns]
        asked, sequence = self.asked(panel, rows), self.sequence(rows, place)
        kernel = Microkernel(
            b, self.source, self.element, self.em.target, operands, columns, sequence, plan.ahead, asked, self.following, plan.abreast
        )
        found = kernel.sums(trips, first, rest)
        if plan.fold:
            found = [folded(b, s, plan.abreast, self.element) for s in found]
            if before is not None:
                found = [b.binary("fadd" if self.element in FLOATS else "add", *pair) for pair in zip(before, found, strict=True)]
        return found

    @property
    def turn_steps(self) -> int:
        """How many steps of the window's axis are one in the lanes."""
        return self.plan.abreast if self.plan.window and self.plan.fold and self.plan.window[0] == self.plan.fold[0] else 1

    @property
    def turns(self) -> int:
        """How many steps of the window's axis follow each other in one iteration."""
        return self.plan.window[1] // self.turn_steps if self.plan.window else 1

    def sequence(self, rows: int, place: int | None) -> list[tuple[int, int]]:
        """The (step, row) pairs of one iteration, ordered so that those which read the same elements follow each other; without those that
        read a border, which only tiles at a known `place` do."""
        if self.plan.window is None:  # rows that read the same element of the operand that does not lie along the lanes follow each other
            order = range(rows) if not self.plan.woven else sorted(range(rows), key=lambda row: row % self.depth)
            return [(0, row) for row in order]
        name = self.plan.window[0]
        axes = (self.plan.rows, self.plan.sub)
        shared, apart = window_rows({a: strides(self.contract, a) for a in (name, *axes) if a}, name, axes)
        inside, span = (1, self.depth) if shared == self.plan.sub else (self.depth, rows)  # a row's place along the shared axis
        pairs = [(turn, row) for turn in range(self.turns) for row in range(rows)]
        if self.plan.spans and place is not None:
            spans = self.plan.spans[place:]
            pairs = [(turn, row) for turn, row in pairs if spans[row // self.depth][0] <= turn < spans[row // self.depth][1]]
        shared_at = {row: row // inside % span for row in range(rows)}
        return sorted(pairs, key=lambda p: (p[0] * self.turn_steps + apart * shared_at[p[1]], p[1] - inside * shared_at[p[1]], p[1]))

    def asked(self, panel: Panel, rows: int) -> list[Awaited | Upcoming]:
        """What the tile at hand asks for while it is summed."""
        found: list[Awaited | Upcoming] = []
        if self.plan.awaited:
            found.append(awaited(self, panel, rows))
        if self.upcoming is not None:
            found.append(replace(self.upcoming, first=part_of(self, self.upcoming, self.em.symbol(self.plan.rows), self.span)))
        return found

    def finish(self, panel: Panel, columns: list[Column], sums: list[Reg], size: int) -> None:
        """The epilogue of every accumulator, straight from the registers."""
        em, plan = self.em, self.plan
        if plan.woven:
            self.weave(panel, columns, sums)
            return
        for lanes in dict.fromkeys(c.lanes for c in columns):
            with em.bind(writes=self.writes):
                if plan.vector:
                    em.set_vector(plan.vector, lanes)
                for r in range(size * self.depth):
                    for n, (piece, column) in enumerate(zip(panel.pieces, columns, strict=True)):
                        if column.lanes == lanes:
                            env: dict[str, Reg | Index] = {}
                            if plan.vector and piece.offset:
                                env[plan.vector] = symbol(plan.vector) + piece.offset
                            if plan.rows and r // self.depth:
                                env[plan.rows] = symbol(plan.rows) + r // self.depth
                            if plan.sub:
                                env[plan.sub] = r % self.depth
                            self.statements(env, column, sums[r * len(columns) + n])

    def weave(self, panel: Panel, columns: list[Column], sums: list[Reg]) -> None:
        """The epilogue of every accumulator, with what it stores interleaved, so that it lies in memory as it follows there."""
        em, b, plan = self.em, self.b, self.plan
        stores = [s for s in self.contract.epilogue if isinstance(s, Store)]
        many = self.depth
        for n, (piece, column) in enumerate(zip(panel.pieces, columns, strict=True)):
            assert piece.active is not None, "the columns of a woven tile are counted before"
            for r in range(len(sums) // len(columns) // many):
                values: list[list[Reg]] = [[] for _ in stores]
                places: list[Reg] = []
                for d in range(many):
                    env: dict[str, Reg | Index] = {plan.vector: symbol(plan.vector) + piece.offset, plan.rows: symbol(plan.rows) + r}
                    env[plan.sub] = d
                    acc = sums[(r * many + d) * len(columns) + n]
                    with em.bind(writes=self.writes):
                        em.set_vector(plan.vector, piece.lanes)
                        with em.bind(env, mask=column.mask, locals={"acc": (acc, self.element)}, writes=self.writes):
                            for found, value in zip(values, stored(em, self.contract.epilogue), strict=True):
                                found.append(value)
                            if d == 0:
                                places = [em.address(s.buffer, em.first(em.rename(s.offset)))[0] for s in stores]
                for store, place, found in zip(stores, places, values, strict=True):
                    scalar, lanes = split_vector(found[0].type)
                    for at, value in zip(range(0, piece.active * many, lanes), woven(b, found), strict=False):
                        mask = self.mask(lanes, min(lanes, piece.active * many - at), 0, b.i64(0))
                        b.store(value, b.element(place, b.i64(at), scalar), mask=mask)
                    em.written(store.buffer)

    def statements(self, env: dict[str, Reg | Index], column: Column, acc: Reg) -> None:
        if self.half:
            acc = functions.convert(self.b, self.em.target, acc, "f32", "f16")
        with self.em.bind(env, mask=column.mask, locals={"acc": (acc, self.element)}, writes=self.writes):
            self.em.run(self.contract.epilogue)

    # -- sums in memory ---------------------------------------------------------------------------------------------------------------

    def memory(self, row: Reg, panel: Panel, block: Block | None) -> tuple[Reg, Reg]:
        """Where the sums of a tile wait, and how far apart its rows are: on the stack, or in the scratch buffer where the reduction is
        blocked."""
        b, em, plan = self.b, self.em, self.plan
        wide = panel_width(panel)
        room = (1 << (plan.tallest - 1).bit_length() if plan.turned else plan.tallest * self.depth) * wide + self.lanes
        if self.stack is None or self.room < room:
            self.room = room
            self.stack = b.alloca(self.scalar, self.room)
        if block is None:
            return self.stack, b.i64(wide)
        pitch = em.index(self.pitch())
        line: Index = 0
        for name in plan.outer:
            line = line * self.extent(name) + symbol(name)
        base = em.address(plan.sums, line * self.extent(plan.rows) * self.depth * self.pitch())[0]
        base = b.element(base, b.mul(b.mul(row, em.index(self.depth)), pitch), self.scalar)
        if plan.vector:
            base = b.element(base, em.symbol(plan.vector), self.scalar)
        whole = b.compare("icmp sle", block[2], b.i64(block[3]))  # one block is all: no need to go through memory that others share
        return b.select(whole, self.stack, base), b.select(whole, b.i64(wide), pitch)

    def pitch(self) -> Index:
        """Columns of the sums in the scratch buffer, with room for the lanes that do not exist."""
        return padded_columns(self.plan)

    def cell(self, place: Reg, pitch: Reg, row: int, offset: int) -> Reg:
        b = self.b
        address = b.element(place, b.mul(pitch, b.i64(row)), self.scalar) if row else place
        return b.element(address, b.i64(offset), self.scalar)

    def resume(self, place: Reg, pitch: Reg, size: int, panel: Panel, columns: list[Column], block: Block | None) -> list[Reg] | None:
        """The sums so far, where the reduction is blocked."""
        if block is None:
            return None
        b = self.b
        point = b.point()
        again, join = b.label("sums.again"), b.label("sums.join")
        b.branch_if(b.compare("icmp sgt", block[1], b.i64(0)), again, join)
        b.start(again)
        loaded = [
            b.load(vector(self.scalar, c.lanes), self.cell(place, pitch, r, p.offset))
            for r in range(size * self.depth)
            for p, c in zip(panel.pieces, columns, strict=True)
        ]
        last = b.block
        b.branch(join)
        b.start(join)
        return [b.instruction(x.type, f"phi {x.type} [ zeroinitializer, %{point.block} ], [ {x.ref}, %{last} ]", "sum") for x in loaded]

    def keep(self, place: Reg, pitch: Reg, panel: Panel, sums: list[Reg], others: Reg | None = None) -> None:
        """Put the sums of a tile into memory; those of dot products are added up across lanes first, a register full at a time.

        The first `others` rows belong to another tile. Where a reduction is blocked they wait in memory for its next block, and must not be
        counted twice: what this tile has of them goes nowhere.
        """
        b = self.b
        if self.plan.dot:
            for n in range(0, len(sums), self.lanes):
                b.store(across(b, sums[n : n + self.lanes], self.element), b.element(place, b.i64(n), self.scalar))
            return
        if self.plan.turned:
            self.turn(place, panel, sums)
            return
        wide = len(panel.pieces)
        for row in range(len(sums) // wide):
            line = self.cell(place, pitch, row, 0)
            if others is not None and self.stack is not None:
                line = b.select(b.compare("icmp sle", others, b.i64(row // self.depth)), line, self.stack)
            for piece, value in zip(panel.pieces, sums[row * wide : (row + 1) * wide], strict=True):
                b.store(value, b.element(line, b.i64(piece.offset), self.scalar))

    def turn(self, place: Reg, panel: Panel, sums: list[Reg]) -> None:
        """Put the sums into memory column by column; rows are filled up to a power of two.

        Registers side by side go through one piece of code in a loop: shuffles are slow to compile.
        """
        b, wide = self.b, len(panel.pieces)
        rows = len(sums) // wide
        square = 1 << (rows - 1).bit_length()
        lanes = panel.pieces[0].lanes
        if wide > 1 and all(p.lanes == lanes for p in panel.pieces):
            flat = b.alloca(self.scalar, rows * wide * lanes)
            for n, value in enumerate(sums):
                b.store(value, b.element(flat, b.i64(n * lanes), self.scalar))
            with b.loop("piece", b.i64(0), b.i64(wide), b.i64(1)) as loop:
                source = b.element(flat, b.mul(loop.index, b.i64(lanes)), self.scalar)
                register = [
                    b.load(vector(self.scalar, lanes), b.element(source, b.i64(r * wide * lanes), self.scalar)) for r in range(rows)
                ]
                self.turn_register(b.element(place, b.mul(loop.index, b.i64(lanes * square)), self.scalar), register, square)
            return
        for n, piece in enumerate(panel.pieces):
            self.turn_register(b.element(place, b.i64(piece.offset * square), self.scalar), sums[n::wide], square)

    def turn_register(self, place: Reg, rows: list[Reg], square: int) -> None:
        """One register column of a tile, transposed into memory."""
        b = self.b
        _, lanes = split_vector(rows[0].type)
        rows = rows + [rows[-1]] * (square - len(rows))
        for line, value in enumerate(transposed(b, rows) if lanes > 1 else rows):
            b.store(value, b.element(place, b.i64(line * lanes), self.scalar))

    def each_column(self, row: Reg, size: int, place: Reg, panel: Panel, columns: list[Column]) -> None:
        """The epilogue of a turned tile: its columns one by one, `size` rows from `row` on along the lanes."""
        em, b, plan = self.em, self.b, self.plan
        square = 1 << (size - 1).bit_length()
        column = em.symbol(plan.vector)
        last = panel.pieces[-1]
        if last.active is None:
            left = b.binary("sub", em.index(self.extent(plan.vector)), column)
            count = b.call("i64", "llvm.smin.i64", (left, b.i64(last.offset + last.lanes)))
        else:
            count = b.i64(last.offset + last.active)
        pieces = cut_registers(size, self.lanes, em.target.masks)
        with self.loop("column", b.i64(0), count) as n:
            at = self.inner(plan.vector, b.binary("add", column, n))
            line = b.element(place, b.mul(n, b.i64(square)), self.scalar)
            for piece in pieces:
                with em.bind(writes=self.writes):
                    em.set_vector(plan.rows, piece.lanes)
                    acc = b.load(vector(self.scalar, piece.lanes), b.element(line, b.i64(piece.offset), self.scalar))
                    env: dict[str, Reg | Index] = {plan.vector: at}
                    if piece.offset:
                        env[plan.rows] = symbol(plan.rows) + piece.offset
                    self.statements(env, Column(piece.lanes, self.mask(piece.lanes, piece.active, 0, row)), acc)

    def epilogue(
        self, start: Reg, first: Reg, end: Reg, place: Reg, pitch: Reg, panel: Panel, columns: list[Column], block: Block | None
    ) -> None:
        """The epilogue of rows [first, end) of the tile that begins at row `start`, from memory."""
        if block is None:
            self.each_row(start, first, end, place, pitch, panel, columns)
            return
        with self.when(self.last(block), "last"):
            self.each_row(start, first, end, place, pitch, panel, columns)

    def last(self, block: Block) -> Reg:
        """Whether no block of the reduction follows."""
        _, begin, total, size = block
        return self.b.compare("icmp sge", self.b.add(begin, self.b.i64(size)), total)

    def each_row(self, start: Reg, first: Reg, end: Reg, place: Reg, pitch: Reg, panel: Panel, columns: list[Column]) -> None:
        em, b, plan = self.em, self.b, self.plan
        if plan.dot:
            panel, columns = self.gathered(panel)
        with self.loop("row", first, end) as row:
            at = self.inner(plan.rows, row) if plan.rows else 0
            line = b.element(place, b.mul(b.mul(b.binary("sub", row, start), b.i64(self.depth)), pitch), self.scalar)
            for lanes in dict.fromkeys(c.lanes for c in columns):
                with em.bind(writes=self.writes):
                    if plan.vector:
                        em.set_vector(plan.vector, lanes)
                    for deep in range(self.depth):
                        for piece, column in zip(panel.pieces, columns, strict=True):
                            if column.lanes == lanes:
                                acc = b.load(vector(self.scalar, lanes), self.cell(line, pitch, deep, piece.offset))
                                env: dict[str, Reg | Index] = {}
                                if plan.vector and piece.offset:
                                    env[plan.vector] = symbol(plan.vector) + piece.offset
                                if plan.rows:
                                    env[plan.rows] = at
                                if plan.sub:
                                    env[plan.sub] = deep
                                self.statements(env, column, acc)

    def inner(self, name: str, value: Reg) -> Index:
        """What stands for an axis in a loop over one tile: a symbol of its own, for the axis's has the tile's first place, and what was
        computed from that must not be taken for the loop's."""
        own = f"{name}.inner"
        self.em.set_symbol(own, value)
        self.em.set_range(own, self.extent(name))
        return symbol(own)

    def gathered(self, panel: Panel) -> tuple[Panel, list[Column]]:
        """The single columns of a panel of dot products as vectors again, for the epilogue."""
        many = len(panel.pieces)
        row = Panel(0, 1, many, cut_registers(many, self.lanes, self.em.target.masks))
        return row, [Column(p.lanes, self.mask(p.lanes, p.active, p.offset, self.b.i64(0))) for p in row.pieces]

    def mask(self, lanes: int, active: int | None, offset: int, column: Reg) -> Reg | None:
        b = self.b
        if active == lanes or lanes == 1:
            return None
        if active is not None:
            return b.mask([n < active for n in range(lanes)])
        left = b.binary("sub", self.em.index(self.extent(self.plan.vector)), b.add(column, b.i64(offset)))
        return b.first_lanes(b.call("i64", "llvm.smin.i64", (left, b.i64(lanes))), lanes)
