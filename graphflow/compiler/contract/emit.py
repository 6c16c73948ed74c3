"""A planned contraction to instructions.

    this thread's share of the units (points of the outer axes, perhaps times panels)
      [blocks of a reduced axis, the sums waiting in a scratch buffer in between]
        panels of columns
          tiles of rows:  microkernel; epilogue

Where the rows are known here their tiles are cut evenly beforehand. Where they are not, a thread walks its rows with the tallest tile
and ends on the lowest of a few that covers the rest; that one begins earlier where it can, so that it needs no tests inside: rows done
twice are computed again and not stored again. Every element is the sum of the same products in the same order in every tile, so results
do not depend on how the threads share the work.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from graphflow.compiler.contract.cuts import close, varies
from graphflow.compiler.contract.filters import FilterTiles
from graphflow.compiler.contract.foresee import next_block, next_panel
from graphflow.compiler.contract.images import ImageTiles
from graphflow.compiler.contract.matrix import MatrixTiles
from graphflow.compiler.contract.microkernel import Column
from graphflow.compiler.contract.pack import pack_panel, pack_whole, panel_memory
from graphflow.compiler.contract.plan import Panel, Plan
from graphflow.compiler.contract.tile import Block, TileEmitter
from graphflow.compiler.llvm.builder import Reg
from graphflow.kernel.index import Index, bounds, product
from graphflow.kernel.nodes import Contract, over

if TYPE_CHECKING:
    from graphflow.compiler.llvm.stmt import Emitter

Runs = tuple[tuple[int, int, int], ...]
Rows = tuple[Reg, Reg, Reg]  # where a tile begins, its first row that is not done yet, the row after its last


def emit_contract(em: Emitter, contract: Contract) -> None:
    """Emit a contraction whose plan is made; `em` is the emitter of its phase."""
    plan = contract.plan
    if not isinstance(plan, Plan):
        raise TypeError("a contraction must be planned by schedule_contract before it is emitted")
    if plan.matrix is None:
        Tiles(em, contract, plan).run()
        return
    kind = FilterTiles if plan.matrix.parts else ImageTiles if plan.matrix.covered else MatrixTiles
    tiles, few = kind(em, contract, plan), plan.matrix.few
    if few is None:
        tiles.run()
        return
    enough = tiles.enough()
    with tiles.when(enough, "many"):
        tiles.run()
    with tiles.when(em.b.binary("xor", enough, Reg("i1", "true")), "few"):
        emit_contract(em, few)


class Tiles(TileEmitter):
    """Emits the loops around the tiles."""

    group: Reg | None = None  # of tiles, where their rows are cut into chunks
    more: Reg | None = None  # whether this thread has a panel after the one at hand, where panels are shared out

    def panels(self) -> Index:
        """How many panels there are."""
        total: Index = 0
        for panel in self.plan.panels:
            total = total + panel.count
        return total

    def chunks(self, unit_share: tuple[Reg, Reg], row_share: tuple[Reg, Reg], panels: Index, block: Block | None) -> None:
        """This thread's units, once for every group of tiles where not all tiles pass over a panel in one go."""
        b, plan = self.b, self.plan
        if not plan.chunk:
            self.units(unit_share, row_share, panels, block)
            return
        if not plan.runs:
            begin, end = row_share
            some = plan.chunk * plan.tallest
            with self.loop("group", begin, end, some) as row:
                last = b.call("i64", "llvm.smin.i64", (b.add(row, b.i64(some)), end))
                self.units(unit_share, (row, last), panels, block)
            return
        many = sum(-(-tiles // plan.chunk) for _, tiles, _ in plan.runs)
        with self.loop("group", self.b.i64(0), self.b.i64(many)) as self.group:
            self.units(unit_share, row_share, panels, block)

    # -- units ----------------------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        em, b, plan = self.em, self.b, self.plan
        em.thread, em.threads = b.i64(0), b.i64(1)  # what is inside belongs to this thread alone
        panels = self.panels()
        units = product(self.extent(name) for name in plan.outer)
        if plan.split == "panels":
            units = units * panels
        if plan.split == "tiles":
            panels = sum(n for _, n, _ in plan.runs)
            units = units * panels
        rows = em.index(self.extent(plan.rows))
        count = em.index(units)
        if plan.split == "rows":
            row_share, unit_share = self.part(rows), (b.i64(0), count)
        else:
            row_share, unit_share = (b.i64(0), rows), self.part(count)
        some = self.something()
        with nullcontext() if some is None else self.when(some, "some"):
            if plan.packed and plan.packed.whole:
                self.packed = pack_whole(self)
            if plan.block is None:
                self.chunks(unit_share, row_share, panels, None)
            else:
                self.blocks(*plan.block, unit_share, row_share, panels)
        em.thread, em.threads = self.share
        if some is not None:
            with self.when(b.binary("xor", some, Reg("i1", "true")), "empty"):
                em.run(over(self.contract.free, self.contract.of_nothing()))

    def something(self) -> Reg | None:
        """Whether there is anything to sum, where only the run tells: tested once, and not before the loops of each tile."""
        b, free = self.b, self.contract.free
        some = None
        for axis in self.contract.reduced:
            if (bounds(axis.extent)[0] or 0) > 0 or varies(axis, free):
                continue
            self.occupied.add(axis.name)
            test = b.compare("icmp sgt", self.em.index(axis.extent), b.i64(0))
            some = test if some is None else b.binary("and", some, test)
        return some

    def blocks(self, axis: str, size: int, unit_share: tuple[Reg, Reg], row_share: tuple[Reg, Reg], panels: Index) -> None:
        """All units once for every block of the reduction."""
        em = self.em
        end = em.index(self.extent(axis))
        with self.loop("block", self.b.i64(0), end, size) as start:
            em.set_symbol(axis, start)
            block = (axis, start, end, size)
            self.following = next_block(self, block) if self.plan.follows else []
            self.chunks(unit_share, row_share, panels, block)

    def units(self, share: tuple[Reg, Reg], rows: tuple[Reg, Reg], panels: Index, block: Block | None) -> None:
        em, b, plan = self.em, self.b, self.plan
        if share[0].ref == "0" and share[1].ref == "1":
            self.unit(None, rows, block)
            return
        with self.loop("unit", *share) as unit:
            if plan.foresees and plan.split == "panels":
                self.more = b.compare("icmp slt", b.add(unit, b.i64(1)), share[1])
            digits = [(name, self.extent(name)) for name in plan.outer]
            if plan.split in ("panels", "tiles"):
                digits.insert(0 if plan.panelwise else len(digits), ("", panels))
            panel = None
            rest = unit
            for place in range(len(digits) - 1, -1, -1):
                name, size = digits[place]
                value = rest
                if place:
                    many = em.index(size)
                    value = b.binary("urem", rest, many)
                    rest = b.binary("udiv", rest, many)
                if name:
                    em.set_symbol(name, value)
                else:
                    panel = value
            self.unit(panel, rows, block)

    def unit(self, number: Reg | None, rows: tuple[Reg, Reg], block: Block | None) -> None:
        """All panels of one unit; where panels or tiles are shared out, the one of the given number."""
        em, b, plan = self.em, self.b, self.plan
        before: Index = 0
        for panel in plan.panels:
            if number is None or plan.split == "tiles":
                if panel.count == 1 and isinstance(panel.start, int):
                    self.panel(panel, b.i64(panel.start), rows, number, block)
                else:
                    with self.loop("panel", b.i64(0), em.index(panel.count)) as n:
                        self.panel(panel, self.column(panel, n), rows, number, block)
            elif len(plan.panels) == 1:
                self.panel(panel, self.column(panel, number), rows, number, block)
            else:
                n = b.binary("sub", number, em.index(before))
                with self.when(b.compare("icmp ult", n, em.index(panel.count)), "panel"):
                    self.panel(panel, self.column(panel, n), rows, number, block)
            before = before + panel.count

    def column(self, panel: Panel, number: Reg) -> Reg:
        return self.b.add(self.em.index(panel.start), self.b.mul(number, self.b.i64(panel.width)))

    # -- tiles ----------------------------------------------------------------------------------------------------------------------

    def panel(self, panel: Panel, column: Reg, rows: tuple[Reg, Reg], number: Reg | None, block: Block | None) -> None:
        """All tiles of rows of one panel, or the tile of the given number."""
        b, plan = self.b, self.plan
        columns = [Column(p.lanes, self.mask(p.lanes, p.active, p.offset, column)) for p in panel.pieces]
        with self.em.bind({plan.vector: column} if plan.vector else {}, writes=self.writes):
            self.upcoming = None
            rows, runs = self.pack(panel, columns, rows, block)
            if plan.foresees:
                self.span = rows
                self.upcoming = next_panel(self, panel, column, self.more, rows, block)
            if not plan.runs:
                self.choose(rows, panel, columns, block)
            before = 0
            for first, tiles, size in runs:
                if plan.split == "tiles" and number is not None:
                    n = b.binary("sub", number, b.i64(before))
                    before += tiles
                    row = b.add(b.i64(first), b.mul(n, b.i64(size)))
                    place = first if tiles == 1 else None
                    if len(plan.runs) == 1:
                        self.single(row, size, panel, columns, block, place)
                    else:
                        with self.when(b.compare("icmp ult", n, b.i64(tiles)), "tile"):
                            self.single(row, size, panel, columns, block, place)
                elif plan.chunk and self.group is not None:
                    n = b.binary("sub", self.group, b.i64(before))
                    before += -(-tiles // plan.chunk)
                    with self.when(b.compare("icmp ult", n, b.i64(-(-tiles // plan.chunk))), "group"):
                        row = b.add(b.i64(first), b.mul(n, b.i64(size * plan.chunk)))
                        end = b.call("i64", "llvm.smin.i64", (b.add(row, b.i64(size * plan.chunk)), b.i64(first + tiles * size)))
                        with self.loop("tile", row, end, size) as at:
                            self.single(at, size, panel, columns, block)
                elif tiles == 1:
                    self.single(b.i64(first), size, panel, columns, block, first)
                else:
                    with self.loop("tile", b.i64(first), b.i64(first + tiles * size), size) as row:
                        self.single(row, size, panel, columns, block)

    def pack(self, panel: Panel, columns: list[Column], rows: tuple[Reg, Reg], block: Block | None) -> tuple[tuple[Reg, Reg], Runs]:
        """Copy the panel where that is planned, and say which rows are left: the first tile may have copied what it read."""
        b, plan = self.b, self.plan
        if plan.packed is None or plan.packed.whole:
            return rows, plan.runs
        if not plan.packed.fused:
            self.packed = pack_panel(self, panel, columns, block)
            return rows, plan.runs
        self.packed = panel_memory(self)
        if plan.runs:
            (first, tiles, size), *others = plan.runs
            self.single(b.i64(first), size, panel, columns, block, first, copies=True)
            return (b.i64(first + size), rows[1]), ((first + size, tiles - 1, size), *others)
        begin, end = rows
        tall = plan.tallest
        enough = b.compare("icmp sge", b.binary("sub", end, begin), b.i64(tall))
        with self.when(enough, "copy"):
            self.single(begin, tall, panel, columns, block, copies=True)
        with self.when(b.binary("xor", enough, Reg("i1", "true")), "pack"):
            pack_panel(self, panel, columns, block)
        return (b.select(enough, b.add(begin, b.i64(tall)), begin), end), ()

    def single(
        self, row: Reg, size: int, panel: Panel, columns: list[Column], block: Block | None, place: int | None = None, copies: bool = False
    ) -> None:
        """One tile of rows that are all this thread's; `place`: its first row, where that is known here; `copies`: it copies the panel."""
        b, plan = self.b, self.plan
        with self.em.bind({plan.rows: row} if plan.rows else {}, writes=self.writes):
            if plan.inline and block is None:
                self.finish(panel, columns, self.sums(size, columns, panel, None, block, place, copies), size)
                return
            memory, pitch = self.memory(row, panel, block)
            sums = self.sums(size, columns, panel, self.resume(memory, pitch, size, panel, columns, block), block, place, copies)
            if plan.inline and block is not None:
                last = self.last(block)
                with self.when(last, "last"):
                    self.finish(panel, columns, sums, size)
                with self.when(b.binary("xor", last, Reg("i1", "true")), "wait"):
                    self.keep(memory, pitch, panel, sums)
                return
            self.keep(memory, pitch, panel, sums)
            if plan.turned:
                self.each_column(row, size, memory, panel, columns)
                return
            end = b.add(row, b.i64(size))
            self.epilogue(row, row, end, memory, pitch, panel, columns, block)

    def choose(self, share: tuple[Reg, Reg], panel: Panel, columns: list[Column], block: Block | None) -> None:
        """Walk rows [first, end) with tiles whose heights are chosen at run time."""
        b, em, sizes = self.b, self.em, self.plan.sizes
        begin, end = share
        with self.em.bind(writes=self.writes):
            point = b.point()
            head, out, meet = b.label("rows.head"), b.label("rows.end"), b.label("rows.meet")
            b.branch(head)
            b.start(head)
            row = Reg("i64", b.fresh("row"))
            phi_place = b.point()
            left = b.binary("sub", end, row)
            entries: dict[int, list[tuple[Rows, str]]] = {m: [] for m in sizes}
            labels = {m: b.label(f"rows.tile{m}") for m in sizes}
            test = b.label("rows.test")
            b.branch_if(b.compare("icmp sgt", left, b.i64(0)), test, out)
            b.start(test)
            tall = sizes[0]
            for size in sorted(sizes):  # the lowest tile that covers the rest, where there are rows enough before it
                if size == tall:
                    break
                test = b.label("rows.test")
                fits = b.binary("and", b.compare("icmp sle", left, b.i64(size)), b.compare("icmp sge", end, b.i64(size)))
                entries[size].append(((b.binary("sub", end, b.i64(size)), row, end), b.block))
                b.branch_if(fits, labels[size], test)
                b.start(test)
            if close(sizes):  # the second, where as many of it cover the rest as of the tallest
                test = b.label("rows.test")
                count = b.binary("udiv", b.add(left, b.i64(tall - 1)), b.i64(tall))
                over = b.binary("sub", b.mul(count, b.i64(sizes[1])), left)
                fits = b.binary(
                    "and", b.compare("icmp ult", over, b.i64(tall - sizes[1])), b.compare("icmp sge", left, b.i64(sizes[1]))
                )
                entries[sizes[1]].append(((row, row, b.add(row, b.i64(sizes[1]))), b.block))
                b.branch_if(fits, labels[sizes[1]], test)
                b.start(test)
            for size in sizes:  # else the tallest that the rows fill
                test = b.label("rows.test")
                if size == tall:
                    enough = b.compare("icmp sge", end, b.i64(size))
                    early = b.binary("sub", end, b.i64(size))
                    start = b.call("i64", "llvm.smin.i64", (row, early))
                    entries[size].append(((start, row, b.add(start, b.i64(size))), b.block))
                else:
                    enough = b.compare("icmp sge", left, b.i64(size))
                    entries[size].append(((row, row, b.add(row, b.i64(size))), b.block))
                if size == sizes[-1]:
                    b.branch(labels[size])
                else:
                    b.branch_if(enough, labels[size], test)
                    b.start(test)
            ends: list[tuple[Rows, str]] = []
            inline = self.plan.inline and block is None
            place, pitch = self.memory(b.i64(0), panel, None) if block is None and not inline else (None, None)
            for size in sizes:
                b.start(labels[size])
                start, first, following = self.merge(entries[size])
                em.push(point, self.writes, branch=True)
                em.set_symbol(self.plan.rows, start)
                with em.bind(writes=self.writes):
                    if inline:  # rows before `first` once more, which changes nothing
                        self.finish(panel, columns, self.sums(size, columns, panel, None, None), size)
                    else:
                        here, width = self.memory(start, panel, block) if place is None or pitch is None else (place, pitch)
                        others = None if block is None else b.binary("sub", first, start)
                        so_far = self.resume(here, width, size, panel, columns, block)
                        self.keep(here, width, panel, self.sums(size, columns, panel, so_far, block), others)
                em.pop()
                ends.append(((start, first, following), b.block))
                b.branch(meet)
            b.start(meet)
            start, first, following = self.merge(ends)
            if not inline:
                em.push(point, self.writes, branch=True)
                with em.bind(writes=self.writes):
                    here, width = self.memory(start, panel, block) if place is None or pitch is None else (place, pitch)
                    self.epilogue(start, first, following, here, width, panel, columns, block)
                em.pop()
            latch = b.block
            b.branch(head)
            with b.at(phi_place):
                b.emit(f"{row.ref} = phi i64 [ {begin.ref}, %{point.block} ], [ {following.ref}, %{latch} ]")
            b.start(out)

    def merge(self, arrivals: list[tuple[Rows, str]]) -> Rows:
        """The rows of a tile that several places jump to."""
        start, first, following = (
            self.b.instruction("i64", "phi i64 " + ", ".join(f"[ {rows[n].ref}, %{source} ]" for rows, source in arrivals), "row")
            for n in range(3)
        )
        return start, first, following
