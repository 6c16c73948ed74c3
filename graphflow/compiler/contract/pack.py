"""A panel of the operand along the lanes copied side by side, before the tiles of rows pass over it.

Where the panel's steps lie a power of two apart, they all fall into a few sets of the caches and come from further out for every tile;
where they lie across the grain (the transposed matrix of a product), no vectors could be read at all. Every thread copies what it is about
to use onto its own stack: a block of the reduction that the second-level cache holds beside the other operand. Where the results are few,
blocks are so short that the lines of the next panel find room in those sets too, and the tiles ask for them at every step.

Where few tiles pass over a panel of rows, the first of them copies what it reads: the stores cost nothing beside its sums.

Where sums are short, storing them is much of the work, and a tile further down the same panel stores whole rows away. There all panels are
transposed at once, and tiles go along their rows of the results.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from graphflow.compiler.contract.analyse import strides
from graphflow.compiler.contract.cuts import cut_registers, panel_width, whole_pitch
from graphflow.compiler.contract.foresee import L1, lines_of, prefetch
from graphflow.compiler.contract.plan import Panel, Piece
from graphflow.compiler.llvm.builder import SIZES, Reg, vector
from graphflow.compiler.llvm.transpose import transposed
from graphflow.kernel.index import substitute

if TYPE_CHECKING:
    from graphflow.compiler.contract.microkernel import Column
    from graphflow.compiler.contract.tile import Block, TileEmitter

AHEAD, SQUARES = 16, 4  # steps, and squares of a transposition, that are asked for ahead


def panel_memory(tiles: TileEmitter) -> Reg:
    """Memory for one copied panel."""
    plan = tiles.plan
    assert plan.packed is not None
    return tiles.packed_memory(plan.packed.length * max(panel_width(p) for p in plan.panels))


def pack_panel(tiles: TileEmitter, panel: Panel, columns: Sequence[Column], block: Block | None) -> Reg:
    """Emit the copy of the panel whose first column the lanes' axis is bound to, and return where it lies."""
    em, b, plan = tiles.em, tiles.b, tiles.plan
    assert plan.packed is not None
    side, name = plan.packed.side, plan.order[0]
    source = tiles.contract.right if side else tiles.contract.left
    first = em.address(source.buffer, substitute(em.rename(source.offset), {} if block else {name: 0}))[0]
    count = tiles.block_length(block)
    width = panel_width(panel)
    place = panel_memory(tiles)
    if plan.packed.turned:
        _turned_columns(tiles, panel.pieces, first, place, width, count)
        return place
    move = strides(tiles.contract, name).operand(side)
    step = em.index(move)
    with b.loop("pack", b.i64(0), count, b.i64(1)) as loop:
        here = b.element(first, b.mul(loop.index, step), tiles.source)
        there = b.element(place, b.mul(loop.index, b.i64(width)), tiles.source)
        for at in lines_of(width, move, SIZES[tiles.source]):
            prefetch(b, b.element(here, b.add(b.mul(step, b.i64(AHEAD)), b.i64(at)), tiles.source), L1)
        for piece, column in zip(panel.pieces, columns, strict=True):
            value = b.load(vector(tiles.source, piece.lanes), b.element(here, b.i64(piece.offset), tiles.source), mask=column.mask)
            b.store(value, b.element(there, b.i64(piece.offset), tiles.source))
    return place


def pack_whole(tiles: TileEmitter) -> Reg:
    """Emit the transposition of all panels and return where the first column lies: steps are `whole_pitch` apart."""
    em, plan, lanes = tiles.em, tiles.plan, tiles.lanes
    assert plan.packed is not None
    side, name = plan.packed.side, plan.order[0]
    source = tiles.contract.right if side else tiles.contract.left
    first = em.address(source.buffer, substitute(em.rename(source.offset), {name: 0, plan.vector: 0}))[0]
    extent, pitch = tiles.extent(plan.vector), whole_pitch(plan)
    assert isinstance(extent, int), "columns that are transposed are counted before"
    place = tiles.packed_memory(plan.packed.length * pitch)
    _turned_columns(tiles, cut_registers(extent, lanes, em.target.masks), first, place, pitch, tiles.block_length(None))
    return place


def _turned_columns(tiles: TileEmitter, pieces: Sequence[Piece], first: Reg, place: Reg, pitch: int, count: Reg) -> None:
    """Transpose `count` steps of the columns of `pieces`, whose first element lies at `first`, into rows `pitch` apart; register after
    register in one loop, for shuffles are slow to compile."""
    em, b, lanes = tiles.em, tiles.b, tiles.lanes
    assert tiles.plan.packed is not None
    across = em.index(strides(tiles.contract, tiles.plan.vector).operand(tiles.plan.packed.side))
    full = sum(piece.active == piece.lanes == lanes for piece in pieces)
    if full:
        with b.loop("turn", b.i64(0), b.i64(full * lanes), b.i64(lanes)) as loop:
            here = b.element(first, b.mul(loop.index, across), tiles.source)
            _turned(tiles, (Piece(0, lanes, lanes),), here, b.element(place, loop.index, tiles.source), pitch, count)
    if full < len(pieces):
        _turned(tiles, pieces[full:], first, place, pitch, count)


def _turned(tiles: TileEmitter, pieces: Sequence[Piece], first: Reg, place: Reg, pitch: int, count: Reg) -> None:
    """Transpose `count` steps of the columns of `pieces`, whose first element lies at `first`, into rows `pitch` apart."""
    em, b, plan, lanes = tiles.em, tiles.b, tiles.plan, tiles.lanes
    assert plan.packed is not None
    across = em.index(strides(tiles.contract, plan.vector).operand(plan.packed.side))
    known = count.known
    whole = b.binary("and", count, b.i64(-lanes)) if known is None else b.i64(known // lanes * lanes)

    def square(at: Reg, mask: Reg | None) -> None:
        """`lanes` steps, or the first few of them, of all columns."""
        here = b.element(first, at, tiles.source)
        there = b.element(place, b.mul(at, b.i64(pitch)), tiles.source)
        for piece in pieces:
            rows: list[Reg] = []
            for n in range(piece.active or 0):
                far = b.element(here, b.mul(across, b.i64(piece.offset + n)), tiles.source)
                rows.append(b.load(vector(tiles.source, lanes), far, mask=mask))
                prefetch(b, b.element(far, b.i64(SQUARES * lanes), tiles.source), L1)
            rows += [rows[-1]] * (lanes - len(rows))
            for n, turned in enumerate(transposed(b, rows)[:known]):
                value = turned
                if piece.lanes == 1:
                    value = b.instruction(tiles.source, f"extractelement {turned.type} {turned.ref}, i64 0")
                elif piece.lanes < lanes:
                    value = b.shuffle(turned, range(piece.lanes))
                b.store(value, b.element(there, b.i64(n * pitch + piece.offset), tiles.source))

    if em.target.masks and (known is None or known % lanes):  # a mask costs nothing there, and a second body of shuffles is long to compile
        with b.loop("pack", b.i64(0), count, b.i64(lanes)) as loop:
            square(loop.index, b.first_lanes(b.sub(count, loop.index), lanes))
        return
    if known is None or known >= lanes:
        with b.loop("pack", b.i64(0), whole, b.i64(lanes)) as loop:
            square(loop.index, None)
    if known is None or known % lanes:
        rest = b.sub(count, whole)
        with tiles.when(b.compare("icmp sgt", rest, b.i64(0)), "pack"):
            square(whole, b.first_lanes(rest, lanes))
