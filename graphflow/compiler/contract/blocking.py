"""Choosing the register tile of a contraction by counting cycles.

A step of a tile with R x C accumulators costs R*C/2 cycles of multiply-add, or its loads at two a cycle, or the latency of one
multiply-add, whichever is most (measured figures: docs in reference/performance.md). Every cut of the rows and columns that fits the
registers is priced for the whole contraction on two threads, ragged edges and all, and the cheapest wins.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from graphflow.compiler.contract.analyse import Strides, first_store, strides
from graphflow.compiler.contract.cuts import cut_columns, dynamic_sizes, dynamic_tiles, even_runs, panel_bytes, panel_bytes_of
from graphflow.compiler.contract.plan import Packed, Panel, Plan
from graphflow.compiler.llvm.target import Target
from graphflow.kernel.expr import TYPES, Call, Load, walk
from graphflow.kernel.index import Index, IndexExpr, evaluate, symbols_of
from graphflow.kernel.nodes import Axis, Contract, Let, Store

GUESS = 100  # what a size that is known only at run time is taken to be
LATENCY = 4.5  # cycles before a sum can be added to again
TALLEST = 28
AHEAD = 8  # steps of the innermost loop by which operands with far strides are prefetched
BODY = 0.015  # of the price, for each tile shape beyond the first
PAGE = 4096
L2_WAY = 128 << 10  # bytes of one way of the second-level cache
PACKED_BYTES = 128 << 10  # of a copied panel
EARLY_BYTES = 32 << 10  # of a copied panel where the next one comes into the cache meanwhile, its lines in few sets
PACK_CYCLES, TURN_CYCLES, EARLY_CYCLES = 8.0, 14.0, 5.0  # of a register of a panel copied, transposed, and copied from the cache
CHUNK_BYTES = 256 << 10  # of the rows that pass over one panel after another
L2_RATE = 40  # bytes a cycle that the second-level cache gives
FAR_CYCLES = 0.1  # of a byte that comes from beyond the second-level cache
SCATTERED_CYCLES = 2.5  # of a cache line of results, or of what their epilogue reads, that does not follow the one before it
SCATTERED = 1024  # bytes: rows of results at least as far apart do not follow each other
L1_BYTES = 40 << 10  # what a panel of the operand along the lanes may fill
L2_BYTES = 768 << 10  # what the operands may fill while all tiles pass over them


@dataclass(frozen=True)
class Shape:
    """The axes of a contraction with the numbers that pricing needs."""

    contract: Contract
    target: Target
    moves: dict[str, Strides]
    size: dict[str, int]

    def axis(self, name: str) -> Axis:
        return next(a for a in (*self.contract.free, *self.contract.reduced) if a.name == name)

    def side(self, name: str, side: int) -> Index:
        return self.moves[name].operand(side) if name else 0


def shape_of(contract: Contract, target: Target) -> Shape:
    """The contraction's axes with their strides and (guessed) sizes."""
    axes = (*contract.free, *contract.reduced)
    first = {a.name: 0 for a in axes}
    return Shape(contract, target, {a.name: strides(contract, a.name) for a in axes}, {a.name: guess(a.extent, first) for a in axes})


def lanes_of(shape: Shape) -> int:
    """Sums in one register; half precision is summed in single precision."""
    type_ = shape.contract.left.type
    return shape.target.lanes("f32" if type_ == "f16" else type_)


def guess(extent: Index, known: Mapping[str, int] | None = None) -> int:
    """A size to price with: unknown sizes are taken to be GUESS, and the position along other axes as given."""
    if not isinstance(extent, IndexExpr):
        return max(1, extent)
    return max(1, evaluate(extent, {**dict.fromkeys(symbols_of(extent), GUESS), **(known or {})}))


@dataclass(frozen=True)
class Choice:
    """A plan and its price in cycles on two threads."""

    cycles: float
    plan: Plan


def choose(contract: Contract, target: Target) -> Choice:
    """The cheapest plan that reads the operands where they are."""
    shape = shape_of(contract, target)
    columns = scalar_axis(shape)
    ways: list[tuple[str, str, str, tuple[int, bool] | None]] = [
        *((v, "", "", None) for v in vector_axes(shape)),
        *((columns, r, "", None) for r in dot_axes(shape)),
        *((v, "", s, None) for v, s in turned_axes(shape)),
        *((v, "", "", (side, turned)) for v, side, turned in packed_axes(shape)),
    ] or [(columns, "", "", None)]
    best = min((c for way in ways for c in _candidates(shape, *way)), key=lambda c: c.cycles)
    block = packed_block(shape, best.plan) if best.plan.packed else reduction_block(shape, best.plan)
    inline = block is None and _inline(shape, best.plan)
    ahead = AHEAD if operand_bytes(shape) > L1_BYTES else 0
    return replace(best, plan=replace(best.plan, inline=inline, block=block, ahead=ahead, chunk=tiles_at_a_time(shape, best.plan)))


def tiles_at_a_time(shape: Shape, plan: Plan) -> int:
    """How many tiles of rows pass over one panel before the next panel's turn: as many as read what a cache holds, where all read more."""
    if plan.split != "panels" or not plan.rows or not plan.runs or plan.dot or plan.turned or len(plan.order) != 1:
        return 0
    steps = shape.size[plan.order[0]]
    if plan.packed:
        steps = min(steps, plan.packed.length)
    row = steps * TYPES[shape.contract.left.type].itemsize
    tallest = max(height for _, _, height in plan.runs)
    some = CHUNK_BYTES // (row * tallest)
    return some if some >= 6 and shape.size[plan.rows] * row > 4 * CHUNK_BYTES else 0


def operand_bytes(shape: Shape) -> int:
    """Bytes of both operands (windows that overlap counted as often as they are read)."""
    total = 0
    for side in (0, 1):
        total += math.prod(n for name, n in shape.size.items() if shape.side(name, side) != 0)
    return total * TYPES[shape.contract.left.type].itemsize


def dot_axes(shape: Shape) -> list[str]:
    """Reduced axes along which both operands lie in neighbouring elements: lanes that are added up at the end."""
    if lanes_of(shape) < 2:
        return []
    return [a.name for a in shape.contract.reduced if all(shape.side(a.name, n) == 1 for n in (0, 1))]


def loose(shape: Shape) -> list[Axis]:
    """Free axes on which the length of no reduction depends: those whose steps may share a tile."""
    tied: set[str] = set()
    for axis in shape.contract.reduced:
        tied |= symbols_of(axis.extent)
    return [a for a in shape.contract.free if a.name not in tied]


def vector_axes(shape: Shape) -> list[str]:
    """Free axes along which results and operands can be read and written as vectors."""
    return [
        a.name for a in loose(shape)
        if shape.moves[a.name].out == 1 and all(shape.side(a.name, n) in (0, 1) for n in (0, 1))
        and lanes_of(shape) > 1
    ]  # fmt: skip


def turned_axes(shape: Shape) -> list[tuple[str, str]]:
    """(axis along which operands can be read as vectors, axis the results run along) where the two differ."""
    if lanes_of(shape) < 2:
        return []
    free = loose(shape)
    return [
        (v.name, s.name)
        for s in free
        for v in free
        if v is not s and shape.moves[s.name].out == 1 and isinstance(s.extent, int)
        and sorted(1 if m == 1 else 0 if m == 0 else 2 for m in (shape.side(v.name, 0), shape.side(v.name, 1))) in ([0, 1], [1, 1])
    ]  # fmt: skip


def packed_axes(shape: Shape) -> list[tuple[str, int, bool]]:
    """(axis of the results, side, whether it lies across) where a panel of that operand could be copied before tiles pass over it."""
    reduced = shape.contract.reduced
    if lanes_of(shape) < 2 or len(reduced) != 1 or shape.contract.left.type == "f16":
        return []
    out = []
    for axis in loose(shape):
        for side in (0, 1):
            along, step = shape.side(axis.name, side), shape.side(reduced[0].name, side)
            if shape.moves[axis.name].out != 1 or shape.side(axis.name, 1 - side) != 0:
                continue
            if along == 1:
                out.append((axis.name, side, False))
            elif step == 1 and isinstance(along, int) and along > 1 and isinstance(axis.extent, int):
                out.append((axis.name, side, True))
    return out


def packed_length(extent: Index, panels: tuple[Panel, ...], size: int) -> int:
    """For how many steps of the reduction a panel of at most `size` bytes is copied at a time."""
    most = size // max(panel_bytes_of(p) for p in panels) // 16 * 16
    if not isinstance(extent, int):
        return most
    return math.ceil(max(1, extent) / math.ceil(max(1, extent) / most) / 16) * 16


def packed_block(shape: Shape, plan: Plan) -> tuple[str, int] | None:
    """The reduced axis and how much of it is taken at a time, where it is longer than a copied panel."""
    assert plan.packed is not None
    extent = shape.axis(plan.order[0]).extent
    return None if isinstance(extent, int) and extent <= plan.packed.length else (plan.order[0], plan.packed.length)


def scalar_axis(shape: Shape) -> str:
    """The axis whose columns are single elements where no vector fits: the one the results run along, if any."""
    free = loose(shape)
    return next((a.name for a in free if shape.moves[a.name].out == 1), free[-1].name if free else "")


def _candidates(shape: Shape, vector: str, dot: str, turned: str, pack: tuple[int, bool] | None) -> Iterator[Choice]:
    """All ways to cut rows and columns into tiles. `turned` is the axis of the results where the lanes run along another."""
    lanes = lanes_of(shape) if turned or pack or not dot and vector in vector_axes(shape) else 1
    rows = [a for a in loose(shape) if a.name != vector]
    useful = [a.name for a in rows if any(shape.side(a.name, n) == 0 for n in (0, 1))] or [a.name for a in rows]
    pairs = [(r, "") for r in useful]
    for r in useful:
        for s in useful:
            extent = shape.axis(s).extent
            if r != s and isinstance(extent, int) and extent <= 14 and _same_side(shape, r, s):
                pairs.append((r, s))
    if turned:
        pairs = [(turned, "")]
    if pack:
        pairs = [(r, "") for r in useful if shape.side(r, pack[0]) == 0]
    near = {a.name: n for n, a in enumerate(reversed(rows))}
    for r, s in pairs or ([] if pack else [("", "")]):
        deep = shape.size[s] if s else 1
        for columns in range(1, 13 if dot else 9):
            if pack and pack[1] and columns > 2:
                break  # shuffles are slow to compile
            panels = cut_columns(shape.axis(vector).extent if vector else 1, lanes, columns, shape.target.masks)
            if panels is None:
                continue
            spare = 1 if shape.target.fma else 2
            most = min(TALLEST, (shape.target.registers - 1 - spare - columns) // columns)
            if columns == 1:
                most = min(TALLEST, shape.target.registers - 2 - spare)
            if turned:
                most = min(most, lanes)
            if pack and pack[1]:
                most -= 1  # LLVM keeps the indices of the shuffles in registers, across the tiles
            if most < deep:
                continue
            far = 1 + 0.05 * near.get(r, 0) + 0.02 * near.get(s, 0)  # rows that lie close together share cache lines and pages
            base = Plan(vector, panels, r, s, (), (), (), (), "units", False, dot, bool(turned))
            if pack:
                early = not pack[1] and result_bytes(shape) <= L2_BYTES  # sums wait there from block to block
                length = packed_length(shape.contract.reduced[0].extent, panels, EARLY_BYTES if early else PACKED_BYTES)
                base = replace(base, packed=Packed(*pack, length, early))
            for choice in _row_cuts(shape, base, most // deep):
                yield replace(choice, cycles=choice.cycles * far)


def _same_side(shape: Shape, a: str, b: str) -> bool:
    return [shape.side(a, n) == 0 for n in (0, 1)] == [shape.side(b, n) == 0 for n in (0, 1)]


def _row_cuts(shape: Shape, plan: Plan, most: int) -> Iterator[Choice]:
    """Plans for one cut of the columns: the rows in tiles of at most `most`."""
    outer = tuple(a.name for a in shape.contract.free if a.name not in (plan.vector, plan.rows, plan.sub))
    order = (*(n for n in reduction_order(shape) if n != plan.dot), plan.dot) if plan.dot else reduction_order(shape)
    rows, panels = plan.rows, plan.panels
    extent = shape.axis(rows).extent if rows else 1
    base = replace(plan, outer=outer, order=order, sizes=dynamic_sizes(most))
    if not isinstance(extent, int):
        if outer or panel_count(panels) != 1:
            yield _priced(shape, replace(base, split="panels"))
        yield _priced(shape, replace(base, split="rows"))
        return
    for runs in even_runs(extent, most):
        even = replace(base, runs=runs, sizes=())
        yield _priced(shape, even)
        if outer or panel_count(panels) != 1:
            yield _priced(shape, replace(even, split="panels"))
        if rows and not plan.packed:
            yield _priced(shape, replace(even, split="tiles"))


def _priced(shape: Shape, plan: Plan) -> Choice:
    """A plan with its price; every further body of code costs a little, for it has to be compiled."""
    bodies = max(1, len(plan.runs)) * len(plan.panels) + (3 if plan.turned else 0)  # shuffles are slow to compile
    return Choice(price(shape, plan) * (1 + BODY * (bodies - 1)), plan)


def reduction_order(shape: Shape) -> tuple[str, ...]:
    """The reduced axes, outermost first; the longest goes inside where the innermost is short."""
    names = [a.name for a in shape.contract.reduced]
    if names and shape.size[names[-1]] < 8:
        longest = max(names, key=lambda n: shape.size[n])
        if shape.size[longest] >= 2 * shape.size[names[-1]] and isinstance(shape.axis(longest).extent, int):
            names.remove(longest)
            names.append(longest)
    return tuple(names)


def panel_count(panels: tuple[Panel, ...]) -> int:
    return sum(guess(p.count) for p in panels)


def finish_cycles(plan: Plan, rows: int, columns: int, lanes: int) -> float:
    """Cycles from the last step of a tile to its last store."""
    if plan.dot:
        return 45 + 4 * rows * columns
    if plan.turned:
        square = 1 << (rows - 1).bit_length()
        return 40 + columns * (square * math.log2(square) + 3 * lanes)
    return 15 + 2.5 * rows * columns


def step_cycles(rows: int, columns: int, loads: float) -> float:
    """Cycles of one step of the reduction."""
    return max(rows * columns / 2 + 0.8, LATENCY + 1.0, 0.63 * loads + 0.3)


def price(shape: Shape, plan: Plan) -> float:
    """Cycles of the whole contraction on the busier of two threads."""
    deep = shape.size[plan.sub] if plan.sub else 1
    steps = math.prod(shape.size[a.name] for a in shape.contract.reduced)
    inner = shape.size[plan.order[-1]] if plan.order else 1
    enter = 2.0 * (steps / inner)  # what carries from the innermost counter to the next
    if plan.dot:
        lanes = lanes_of(shape)
        enter = 20.0 * (steps / inner)  # leaving and entering the innermost loop, and a masked step
        steps = steps // inner * math.ceil(inner / lanes)
    threads = 2
    total_rows = shape.size[plan.rows] if plan.rows else 1

    length = min(steps, plan.packed.length) if plan.packed else steps
    # the panel comes from the second-level cache for every tile
    spills = length * panel_bytes(plan) > L1_BYTES or any(scattered(shape, plan, side, steps) for side in (0, 1))
    thrash = max((thrashing(shape, plan, side, steps) for side in (0, 1) if not (plan.packed and plan.packed.side == side)), default=0.0)
    crowded = max(crowding(shape, plan.rows, side) for side in (0, 1)) if plan.rows else 0.0
    beside = max(crowding(shape, plan.vector, side) for side in (0, 1)) if plan.dot and plan.vector else 0.0

    ragged = [unaligned(shape, plan, side) and not (plan.packed and plan.packed.side == side) for side in (0, 1)]
    pack = 0.0
    if plan.packed is not None:
        pack = TURN_CYCLES if plan.packed.turned else EARLY_CYCLES if plan.packed.early else PACK_CYCLES
    scattered_lines = scattered_buffers(shape, plan) * SCATTERED_CYCLES
    size = TYPES[shape.contract.left.type].itemsize

    def tile(rows: int, columns: int) -> float:
        count = rows * deep
        loads = straddling = 0.0
        for side in (0, 1):
            down = shape.side(plan.rows, side) != 0 or (plan.sub and shape.side(plan.sub, side) != 0)
            along = bool(plan.vector) and shape.side(plan.vector, side) != 0
            many = (count if down else 1) * (columns if along else 1)
            loads += many
            straddling += many if ragged[side] else 0
        step = (
            step_cycles(count, columns, loads)
            + (0.35 * columns if spills else 0)
            + thrash * columns
            + 0.8 * straddling
            + 0.3 * max(0, count * crowded + columns * beside - 6)
        )
        if plan.dot and operand_bytes(shape) > L1_BYTES:  # whole vectors of both sides: what the first-level cache keeps are the columns
            kept = (count + columns) * inner * size <= L1_BYTES
            step = max(step, shape.target.vector_bytes * (count if kept else count + columns) / L2_RATE)
        waits = 2.0 * count * columns * (math.ceil(steps / length) - 1)
        return steps * step + enter + waits + finish_cycles(plan, count, columns, lanes_of(shape)) + scattered_lines * count * columns

    def pass_over(rows: int, columns: int) -> float:
        cycles = pack * columns * steps
        if plan.runs:
            return cycles + sum(n * tile(height, columns) for _, n, height in plan.runs)
        return cycles + sum(n * tile(height, columns) for height, n in dynamic_tiles(rows, plan.sizes).items())

    units = math.prod(shape.size[name] for name in plan.outer)
    many = panel_count(plan.panels)
    if plan.split == "rows":
        rows = math.ceil(total_rows / threads)
        far = 0.5 * far_bytes(shape, plan) * FAR_CYCLES  # every thread reads all columns, and not half of them
        return far + units * sum(guess(p.count) * pass_over(rows, len(p.pieces)) for p in plan.panels)
    whole = units * sum(guess(p.count) * pass_over(total_rows, len(p.pieces)) for p in plan.panels)
    tiles = sum(n for _, n, _ in plan.runs)
    shares = units * (many if plan.split == "panels" else tiles if plan.split == "tiles" else 1)
    return whole * math.ceil(shares / threads) / max(1, shares)


def scattered_buffers(shape: Shape, plan: Plan) -> int:
    """How many buffers of results the epilogue walks through in jumps: a pass down the rows of a panel touches a few neighbouring cache
    lines of each row, which the machine cannot foresee. None where they are few enough to stay near, or tiles go along the rows."""
    move = shape.moves[plan.rows].out if plan.rows else 0
    size = TYPES[shape.contract.left.type].itemsize
    if plan.split == "tiles" or plan.turned or not isinstance(move, int) or move * size < SCATTERED:
        return 0
    offset = first_store(shape.contract).offset
    buffers: set[str] = set()
    for s in shape.contract.epilogue:
        if isinstance(s, Store):
            buffers.add(s.buffer)
        if isinstance(s, Let | Store):
            buffers |= {e.buffer for e in walk(s.value) if isinstance(e, Load) and e.offset == offset}
    return len(buffers) if len(buffers) * result_bytes(shape) > 2 * L2_BYTES else 0


def result_bytes(shape: Shape) -> int:
    """Bytes of all results."""
    return TYPES[shape.contract.left.type].itemsize * math.prod(shape.size[a.name] for a in shape.contract.free)


def far_bytes(shape: Shape, plan: Plan) -> int:
    """Bytes of the operand that columns read, where that is more than the second-level cache holds."""
    size = TYPES[shape.contract.left.type].itemsize
    total = 0
    for side in (0, 1):
        if plan.vector and shape.side(plan.vector, side) != 0:
            total += size * math.prod(n for name, n in shape.size.items() if shape.side(name, side) != 0)
    return total if total > 4 * L2_BYTES else 0


def unaligned(shape: Shape, plan: Plan, side: int) -> bool:
    """Whether vectors of an operand may straddle two cache lines: some other axis moves it by less than whole vectors."""
    along = plan.dot or plan.vector
    if not along or shape.side(along, side) != 1:
        return False
    lanes = lanes_of(shape)
    others = (shape.side(a.name, side) for a in (*shape.contract.free, *shape.contract.reduced) if a.name != along)
    return any(isinstance(m, int) and m % lanes for m in others)


def crowding(shape: Shape, name: str, side: int) -> float:
    """Which part of the steps along an axis fall into one set of the first-level cache: 1 where they are whole pages apart."""
    move = shape.side(name, side)
    if not isinstance(move, int) or move == 0:
        return 0.0
    size = TYPES[shape.contract.left.type].itemsize
    return math.gcd(abs(move) * size, PAGE) / PAGE if abs(move) * size >= 64 else 0.0


def scattered(shape: Shape, plan: Plan, side: int, steps: int) -> bool:
    """Whether the steps of a panel fall into so few sets of the first-level cache that it cannot hold them."""
    if len(plan.order) != 1 or plan.dot or not plan.vector or shape.side(plan.vector, side) == 0 or plan.packed:
        return False
    move = shape.side(plan.order[0], side)
    if not isinstance(move, int) or move == 0:
        return False
    apart = abs(move) * TYPES[shape.contract.left.type].itemsize
    lines = math.ceil(panel_bytes(plan) / 64)
    sets = min(64, PAGE // math.gcd(apart, PAGE) * lines)
    return apart >= 64 and steps * lines > 10 * sets


def thrashing(shape: Shape, plan: Plan, side: int, steps: int) -> float:
    """Cycles a step waits for each register of a panel whose rows lie so that the second-level cache cannot hold as many."""
    if not plan.order or not plan.vector or shape.side(plan.vector, side) == 0:
        return 0.0
    move = shape.side(plan.order[-1], side)
    if not isinstance(move, int) or move == 0:
        return 0.0
    apart = abs(move) * TYPES[shape.contract.left.type].itemsize
    if apart < 1024:
        return 0.0
    length = min(steps, shape.size[plan.order[-1]])
    sets = L2_WAY // math.gcd(apart, L2_WAY)
    return 3.0 if length > 16 * sets else 0.0


def reduction_block(shape: Shape, plan: Plan) -> tuple[str, int] | None:
    """The outermost reduced axis and how much of it to take at a time, where both operands stream along it and more of them than the
    second-level cache holds passes by for every tile."""
    if not plan.order or plan.dot or plan.turned:
        return None
    name = plan.order[0]
    size = TYPES[shape.contract.left.type].itemsize
    moves = [shape.side(name, side) for side in (0, 1)]
    if any(not isinstance(m, int) or m <= 0 for m in moves):
        return None
    for side, move in enumerate(moves):
        others = (shape.side(a.name, side) for a in (*shape.contract.free, *shape.contract.reduced) if a.name not in (name, *plan.outer))
        if any(isinstance(o, int) and isinstance(move, int) and abs(o) > move for o in others):
            return None
    one = sum(m * size for m in moves if isinstance(m, int))
    extent = shape.axis(name).extent
    results = math.prod(shape.size[a.name] for a in shape.contract.free)
    length = max(1, L2_BYTES // one, 4 * results * size // one)  # sums that wait travel less than the operands do
    if isinstance(extent, int) and length >= extent:
        return None
    if not isinstance(extent, int) and symbols_of(extent) & {a.name for a in shape.contract.free}:
        return None
    tiles = math.prod(shape.size[n] for n in plan.outer) * panel_count(plan.panels)
    tiles *= sum(n for _, n, _ in plan.runs) if plan.runs else math.ceil(shape.size[plan.rows] / plan.sizes[0])
    return (name, length) if tiles > 2 else None


def _inline(shape: Shape, plan: Plan) -> bool:
    """Whether the epilogue stands once for every accumulator (fast) or once in a loop over the tile's rows (small)."""
    if not plan.runs or plan.dot or plan.turned:
        return False
    work = 0
    for statement in shape.contract.epilogue:
        if isinstance(statement, Let | Store):
            work += sum(isinstance(e, Load | Call) for e in walk(statement.value)) + isinstance(statement, Store)
    steps = math.prod(shape.size[a.name] for a in shape.contract.reduced)
    return work <= (16 if steps < 128 else 5)
