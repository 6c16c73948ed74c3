"""What a plan costs: cycles of arithmetic, of loads, and of waiting for memory.

A step of a tile with R x C accumulators costs R*C/2 cycles of multiply-add, or its loads at the rate of the core's ports (core.py), or the
latency of one multiply-add, whichever is most (`make bench-kernels` measures them). Waiting depends on where the operands come from, and
on whether their lines fall into few sets of the caches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from graphflow.compiler.contract.analyse import window_rows
from graphflow.compiler.contract.core import Core, core_of
from graphflow.compiler.contract.cuts import dynamic_tiles, guess, panel_bytes, panel_bytes_of, varies, whole_pitch
from graphflow.compiler.contract.plan import Plan
from graphflow.compiler.contract.shape import (
    L1_BYTES,
    L2_BYTES,
    Shape,
    far_bytes,
    gapless,
    lanes_of,
    panel_count,
)
from graphflow.compiler.llvm.transpose import weaving

LINE_LOADS = 2  # that a line of rows side by side costs, coming into the first-level cache
LATENCY = 4.5  # cycles before a sum can be added to again
FREE_LOADS, LOAD_CYCLES = 0.25, 0.2  # loads for each multiply-add of a window that cost nothing, and what further ones cost
USUAL_LOADS = 0.04  # cycles for each multiply-add that the loads of other tiles cost; their price, which leaves that out, is the measure
LINE, PAGE = 64, 4096
OVERTAKEN = 0.65  # of the end of a tile of sums across the lanes
PAIR = 128  # bytes: the second-level cache fetches lines by twos
L1_WAYS = 12
L2_LINES = 16 << 10  # that the second-level cache of usual size holds
LOST_CYCLES = 3.0  # of a step, for a line that comes from beyond that cache because others took its place
PIXEL_CYCLES = 1.5  # of a step, for a line of pixels that few sets of that cache hold
PACK_CYCLES, TURN_CYCLES, EARLY_CYCLES = 8.0, 6.0, 5.0  # of a register of a panel copied, transposed, and copied from the cache
FUSED_CYCLES, FEW_ROWS = 4.0, 160  # of one that the first tile copies; and of how few rows it does so
WOVEN_CYCLES, SHUFFLE_CYCLES = 1.0, 0.6  # of a register of interleaved results: its epilogue and its store, and each shuffle
KEPT_CYCLES, WAITING_CYCLES = 1.0, 2.5  # of what the epilogue does with a register that goes straight into it; of one that waits in memory
TORN_CYCLES = 3.0  # of a store for the second cache line that it touches
FOLD_CYCLES = 1.0  # of a shuffle that puts steps beside each other in the lanes of a column
STRADDLING_CYCLES = 0.8  # of a load for all columns that touches a second cache line; elsewhere that is one more load
GROUP_CYCLES = 0.1  # of a load of several elements for all columns: an instruction of its own, not an operand of the multiply-add
L2_RATE, L3_RATE, STREAM_RATE = 27, 15, 36  # bytes a cycle of whole vectors: from the second-level cache, from beyond, and read but once
FAR_CYCLES = 0.1  # of a byte that comes from beyond the second-level cache
SCATTERED_CYCLES = 2.5  # of a cache line of results, or of what their epilogue reads, that does not follow the one before it
CROWDED_CYCLES = 5.0  # of a register of results, where the first-level cache cannot hold those of a tile
FEW_SHARES = 1.05  # of the price, where there are too few shares of the work for more threads, or for one that comes late
CHOICE_CYCLES = 10.0  # of choosing the height of a tile at run time
SHARE_CYCLES = 1.0  # of finding out which tile a share of the work is
SCATTERED = 1024  # bytes: rows of results at least as far apart do not follow each other


def passage(shape: Shape, plan: Plan) -> tuple[int, int, float]:
    """Steps of the reduction that a tile goes, each of several products where they lie in the lanes; how many of them an iteration takes,
    0 where it takes one; and cycles between the innermost loops."""
    steps, turns = shape.steps, 0
    inner = shape.size[plan.order[-1]] if plan.order else 1
    enter = 2.0 * (steps / inner)  # what carries from the innermost counter to the next
    if plan.window:
        turns = plan.window[1]
        enter /= 1 if plan.order and plan.order[-1] == plan.window[0] else turns
    if plan.dot:
        lanes = lanes_of(shape)
        if inner % lanes:
            enter = 20.0 * (steps / inner)  # leaving and entering the innermost loop, and a masked step
        steps = steps // inner * math.ceil(inner / lanes)
    if plan.fold:
        steps //= plan.abreast
        turns //= plan.abreast if plan.window and plan.window[0] == plan.fold[0] else 1
    return steps, turns, enter


def least(shape: Shape, plan: Plan, tiles: Sequence[tuple[float, int]]) -> float:
    """Cycles that no plan of tiles (how many, how tall) is priced below: two threads share evenly, and nothing waits for memory."""
    core = core_of(shape.target)
    deep = shape.size[plan.sub] if plan.sub else 1
    steps, turns, enter = passage(shape, plan)
    axes = (plan.rows, plan.sub, plan.vector)
    moved = [] if plan.window or plan.fold else [[shape.side(name, side) != 0 for name in axes] for side in (0, 1)]
    finish = (OVERTAKEN * 20, 0.0) if plan.dot or plan.turned else (15, min(KEPT_CYCLES * shape.work, WAITING_CYCLES))
    cycles = 0.0
    for panel in plan.panels:
        columns = len(panel.pieces)
        for many, rows in tiles:
            count = rows * deep
            loads = sum((rows if r else 1) * (deep if s else 1) * (columns if v else 1) for r, s, v in moved)
            step = step_cycles(core, count, columns, loads, turns=turns)
            cycles += guess(panel.count) * many * (steps * step + enter + finish[0] + finish[1] * count * columns)
    units = math.prod(shape.size[name] for name in plan.outer)
    return 0.999 * units * cycles / 2  # a little less: sums in another order are rounded otherwise


def price(shape: Shape, plan: Plan) -> float:
    """Cycles of the whole contraction on the busier of two threads."""
    core = core_of(shape.target)
    deep = shape.size[plan.sub] if plan.sub else 1
    steps, turns, enter = passage(shape, plan)
    threads = 2
    total_rows = shape.size[plan.rows] if plan.rows else 1

    length = min(steps, plan.packed.length) if plan.packed else steps
    panels = [side for side in (0, 1) if plan.vector and shape.side(plan.vector, side) != 0]
    # the panel comes from the second-level cache for every tile
    spills = panel_memory(shape, plan, length, panels) >= L1_BYTES or any(scattered(shape, plan, side, steps) for side in (0, 1))
    passed = spills or (plan.split == "tiles" and max((shape.side_bytes[side] for side in panels), default=0) > L1_BYTES)
    comes = (core.fill + (0.0 if plan.packed else core.ask)) if passed else 0.0
    thrash = max((thrashing(shape, plan, side, steps) for side in panels if not (plan.packed and plan.packed.side == side)), default=0.0)
    beneath = [side for side in (0, 1) if side not in panels and plan.rows and shape.side(plan.rows, side) == 1]
    torn = max((thrashing(shape, plan, side, steps) for side in beneath), default=0.0)
    lost = max((crowded_pixels(shape, plan, side) for side in beneath), default=0.0)
    lost += sum(LINE * FAR_CYCLES for side in beneath if far_lines(shape, plan, side))
    crowded = max(crowding(shape, plan.rows, side) for side in (0, 1)) if plan.rows else 0.0
    beside = max(crowding(shape, plan.vector, side) for side in (0, 1)) if plan.dot and plan.vector else 0.0

    along = plan.dot or plan.vector
    ragged = [(along, side) in shape.straddling and not (plan.packed and plan.packed.side == side) for side in (0, 1)]
    pack = 0.0
    if plan.packed is not None:
        fused = first_copies(shape, plan)
        pack = FUSED_CYCLES if fused else TURN_CYCLES if plan.packed.turned else EARLY_CYCLES if plan.packed.early else PACK_CYCLES
    scattered_lines = scattered_buffers(shape, plan) * SCATTERED_CYCLES
    size = shape.itemsize
    most = uncrowded_rows(shape, plan)
    streams = FAR_CYCLES if from_afar(shape, plan, steps) else 0.0

    def tile(rows: int, columns: int) -> float:
        count = rows * deep
        loads = straddling = 0.0
        vectors, shuffles = put_beside(shape, plan, columns) if plan.fold else (columns, 0)
        for side in (0, 1):
            down, deeper = (bool(name) and shape.side(name, side) != 0 for name in (plan.rows, plan.sub))
            along = bool(plan.vector) and shape.side(plan.vector, side) != 0
            many = windowed(shape, plan, rows) if plan.window and (down or deeper) else (rows if down else 1) * (deep if deeper else 1)
            many *= vectors if along else 1
            loads += many
            straddling += many if ragged[side] else 0
            if side in beneath and not plan.window and shape.side_bytes[side] > L1_BYTES:
                loads += LINE_LOADS * math.ceil(count * size / 64)
        step = (
            step_cycles(core, count, columns, loads if plan.fold else loads + straddling, comes * columns, turns)
            + shuffles * FOLD_CYCLES
            + (GROUP_CYCLES * loads if plan.fold and not plan.window else 0)
            + (core.spill * columns if spills else 0)
            + thrash * columns
            + torn * (1 + count * size / 64)
            + lost
            + (STRADDLING_CYCLES * straddling if plan.fold else 0)
            + 0.3 * max(0, count * crowded + columns * beside - 6)
        )
        step = max(step, streams * max(columns * shape.target.vector_bytes, PAIR))
        if plan.dot:
            step = max(step, dot_reads(shape, plan, count, columns))
        stored = lanes_of(shape) * columns if plan.turned else rows
        crowd = CROWDED_CYCLES * (2 * stored if plan.turned else count * columns) if stored > most else 0.0
        waits = 2.0 * count * columns * (math.ceil(steps / length) - 1)
        finish = finish_cycles(shape, plan, rows, deep, columns) + crowd + scattered_lines * count * columns
        return steps * step + enter + waits + finish

    def pass_over(rows: int, columns: int) -> float:
        cycles = pack * columns * steps
        if plan.runs:
            return cycles + sum(n * tile(height, columns) for _, n, height in plan.runs)
        return cycles + sum(n * (CHOICE_CYCLES + tile(height, columns)) for height, n in dynamic_tiles(rows, plan.sizes).items())

    units = math.prod(shape.size[name] for name in plan.outer)
    many = panel_count(plan.panels)
    far = far_bytes(shape, plan) * FAR_CYCLES / threads
    waits = far if far and len(plan.order) == 1 and not foresees(shape, plan) else 0.0
    across = crossing(shape, plan) + summing(shape) + first_passes(shape, plan, steps, tile)
    if plan.split == "rows":
        rows = math.ceil(total_rows / threads)
        return across + far + waits * threads + units * sum(guess(p.count) * pass_over(rows, len(p.pieces)) for p in plan.panels)
    whole = units * sum(guess(p.count) * pass_over(total_rows, len(p.pieces)) for p in plan.panels)
    tiles = sum(n for _, n, _ in plan.runs)
    shares = units * (many if plan.split == "panels" else tiles if plan.split == "tiles" else 1)
    few = FEW_SHARES if shares < 2 * threads else 1.0
    across += shares * SHARE_CYCLES / threads if plan.split == "tiles" else 0.0
    return across + waits + whole * math.ceil(shares / threads) / max(1, shares) * few


def panel_memory(shape: Shape, plan: Plan, length: int, panels: Sequence[int]) -> int:
    """Bytes of the cache that `length` steps of a panel take, of those operands that lie along the lanes."""
    if plan.packed:
        return length * (whole_pitch(plan) * shape.itemsize if plan.packed.whole else panel_bytes(plan))
    torn = LINE if any((plan.vector, side) in shape.straddling for side in panels) else 0
    return min(length * (panel_bytes(plan) + torn), max((shape.side_bytes[side] for side in panels), default=0))


def dot_reads(shape: Shape, plan: Plan, rows: int, columns: int) -> float:
    """Cycles of a step in which the cache beyond the first level gives what that does not hold of the vectors of both operands: those that
    change from tile to tile, and those that stay for a while, unless it holds the former all."""
    side = 0 if plan.vector and shape.side(plan.vector, 0) != 0 else 1
    own = [b // math.prod(shape.size[n] for n in plan.outer if shape.side(n, s) != 0) for s, b in enumerate(shape.side_bytes)]
    changing = (rows, own[1 - side], shape.size[plan.rows] if plan.rows else 1)
    staying = (columns, own[side], shape.size[plan.vector] if plan.vector else 1)
    if plan.split == "tiles" or plan.along:
        changing, staying = staying, changing
    row = shape.size[plan.dot] * shape.itemsize
    many, size, all_ = changing
    rate = L3_RATE if size > L2_BYTES else L2_RATE
    cycles = staying[0] / STREAM_RATE * many / all_
    if size + staying[0] * row > L1_BYTES:
        cycles = many / rate + (cycles if (rows + columns) * row <= L1_BYTES else staying[0] / rate)
    return shape.target.vector_bytes * cycles


def put_beside(shape: Shape, plan: Plan, columns: int) -> tuple[int, int]:
    """How many vectors are loaded, and how many shuffles it takes, to put steps beside each other in the lanes of each column."""
    if not gapless(plan, shape.axis(plan.vector), shape.moves.__getitem__, lanes_of(shape), shape.target):
        return columns * plan.abreast, columns * (plan.abreast - 1)
    vectors = math.ceil(shape.size[plan.vector] * plan.abreast / lanes_of(shape))
    return vectors, columns * max(1, vectors - 1)


def step_cycles(core: Core, rows: int, columns: int, loads: float, arriving: float = 0.0, turns: int = 0) -> float:
    """Cycles of one step of the reduction, with so many loads and so many cycles of their ports for cache lines that arrive; `turns`: how
    many steps an iteration takes, where rows share what they load."""
    sums = rows * columns
    ports = core.load * loads + arriving + 0.3
    if not turns:
        return max(sums / 2 + core.step, LATENCY + 1.0, ports)
    usual = sums * (0.5 - USUAL_LOADS) + LOAD_CYCLES * max(0.0, loads - FREE_LOADS * sums) + core.step / turns
    return max(usual, LATENCY + 1.0 / turns, ports)


def first_copies(shape: Shape, plan: Plan) -> bool:
    """Whether the first tile that passes over a panel copies what it reads: a body of code of its own, worth it beside few others."""
    if plan.packed is None or plan.packed.turned or plan.chunk:
        return False
    rows = shape.size[plan.rows] / (2 if plan.split == "rows" else 1)
    return plan.tallest < rows < FEW_ROWS


def first_passes(shape: Shape, plan: Plan, steps: int, tile: Callable[[int, int], float]) -> float:
    """Cycles that the first tile to pass over each panel waits, where a reduction goes by in blocks: those after it find the block in the
    second-level cache."""
    if not plan.window or reduction_block(shape, plan) is None:  # other tiles are slow enough for the operands to arrive
        return 0.0
    side = next((n for n in (0, 1) if plan.vector and shape.side(plan.vector, n) != 0), 0)
    times = math.prod(shape.size[name] for name in plan.outer if shape.side(name, side) != 0)
    shared = 2 if plan.split == "panels" and times * panel_count(plan.panels) > 1 else 1
    cycles = 0.0
    for panel in plan.panels:
        far = steps * max(panel_bytes_of(panel), PAIR) * FAR_CYCLES
        cycles += guess(panel.count) * max(0.0, far - tile(plan.tallest, len(panel.pieces)))
    return cycles * times / shared


def windowed(shape: Shape, plan: Plan, rows: int) -> float:
    """How many elements, or vectors, of the operand that moves with them the rows of a tile read in a step."""
    deep = shape.size[plan.sub] if plan.sub else 1
    if plan.window is None:
        return rows * deep
    name, steps = plan.window
    shared, apart = window_rows(shape.moves, name, (plan.rows, plan.sub))
    many = deep if shared == plan.sub else rows
    along = plan.abreast if plan.fold and plan.fold[0] == name else 1
    return (abs(apart) * (many - 1) + steps - along + 1) * (rows * deep / many) * along / steps


def finish_cycles(shape: Shape, plan: Plan, rows: int, deep: int, columns: int) -> float:
    """Cycles from the last step of a tile to its last store."""
    lanes = lanes_of(shape)
    if plan.woven:
        return 15 + columns * rows * (WOVEN_CYCLES * deep + SHUFFLE_CYCLES * weaving(deep, lanes))
    rows *= deep
    if plan.dot:
        # Of few steps, the next tile's have begun by then.
        return (OVERTAKEN if shape.few_steps else 1.0) * (20 + (2 * columns + 1 + 2 * shape.work) * rows)
    if plan.turned:
        square = 1 << (rows - 1).bit_length()
        return 15 + columns * (square * math.log2(square) / 2 + lanes * (1 + TORN_CYCLES * torn_stores(shape, plan, rows)))
    kept = shape.few_steps and finished_inline(shape, plan)  # in registers until then
    cycles = min(KEPT_CYCLES * shape.work, WAITING_CYCLES) if kept else WAITING_CYCLES
    return 15 + (cycles + 2 * (plan.abreast - 1)) * rows * columns


def finished_inline(shape: Shape, plan: Plan) -> bool:
    """Whether the epilogue stands once for every accumulator (fast) or once in a loop over the tile's rows (small)."""
    if plan.dot or (plan.turned and not plan.woven):
        return False
    if not plan.runs:
        move = shape.moves[plan.rows].out if plan.rows else 0
        if not isinstance(move, int) or (move * shape.itemsize % PAGE == 0 and not plan.along):  # stores wait for one set of the cache
            return False
        if not shape.few_steps or not shape.repeatable:
            return False
    return shape.short


def torn_stores(shape: Shape, plan: Plan, rows: int) -> float:
    """Which part of the stores of a turned tile, one for every lane, touch a second cache line, which other tiles touch as well."""
    width = rows * shape.itemsize
    move = shape.moves[plan.vector].out
    if 64 % width == 0 and isinstance(move, int) and move * shape.itemsize % width == 0:
        return 0.0
    return min(1.0, (width - shape.itemsize) / 64)


def crossing(shape: Shape, plan: Plan) -> float:
    """Cycles for what each of two threads needs out of the other one's cache because of how they share the work.

    Loops over a tensor share out its outermost axis. Where rows are that axis of an operand and of the results, a thread that takes rows
    finds what it has made before, and so does the thread that goes on with them; the other operand, say weights, it reads whole. A thread
    that takes panels of columns reads all rows of the one, and its results are wanted in rows.
    """
    if not plan.rows or not plan.vector or plan.outer or plan.turned:
        return 0
    wide = [side for side in (0, 1) if shape.side(plan.vector, side) != 0]
    if len(wide) != 1 or not _outermost(shape, plan.rows, 1 - wide[0]):
        return 0
    if shape.side(plan.rows, wide[0]) != 0:  # many small products
        all_ = sum(shape.side_bytes) + len(shape.results) * shape.result_bytes
        return all_ * FAR_CYCLES / 2 if plan.split == "panels" and _outermost(shape, plan.rows, wide[0]) else 0
    size = 0
    if plan.split == "panels":
        size = shape.side_bytes[1 - wide[0]] + len(shape.results) * shape.result_bytes
    elif plan.split in ("rows", "tiles") and shape.side_bytes[wide[0]] > L2_BYTES:
        size = shape.side_bytes[wide[0]]
    return size * FAR_CYCLES / 2


def summing(shape: Shape) -> float:
    """The same where the outermost axis of both operands is summed over, as are the images in the gradient of a filter: threads that take a
    part of the results, whichever, each read all that the other one has made."""
    if len(shape.furthest) != 1 or not shape.furthest <= {a.name for a in shape.contract.reduced}:
        return 0.0
    (name,) = shape.furthest
    return shape.size[name] * sum(guess(shape.side(name, side)) for side in (0, 1)) * shape.itemsize * FAR_CYCLES / 2


def _outermost(shape: Shape, name: str, side: int) -> bool:
    """Whether no axis moves the operand and the results further than `name` does."""
    own = shape.moves[name]
    return all(
        isinstance(mine, int) and isinstance(other, int) and abs(other) <= abs(mine)
        for moves in shape.moves.values()
        for mine, other in ((own.operand(side), moves.operand(side)), (own.out, moves.out))
    )


def foresees(shape: Shape, plan: Plan) -> bool:
    """Whether tiles ask for the next panel: several of them pass over each of several panels of an operand that comes from far."""
    if plan.split not in ("panels", "rows") or not plan.rows or not plan.vector or plan.chunk or plan.dot or plan.turned or plan.window:
        return False
    along = [side for side in (0, 1) if shape.side(plan.vector, side) != 0]
    if len(along) != 1 or any(shape.side(name, along[0]) != 0 for name in (plan.rows, plan.sub)):
        return False  # each tile has a panel of its own
    rows = shape.size[plan.rows] if plan.split == "panels" else shape.size[plan.rows] // 2
    return len(plan.order) == 1 and panel_count(plan.panels) > 1 and rows > plan.tallest and far_bytes(shape, plan) > 0


def panelwise(shape: Shape, plan: Plan) -> bool:
    """Whether all units pass over one panel before the next panel's turn: each unit reads all panels, which are more than the second-level
    cache holds, while one of them fits into half of it, and so does what else a unit reads."""
    if plan.split != "panels" or not plan.outer or not plan.vector or plan.packed or plan.dot or plan.turned or plan.chunk:
        return False
    if foresees(shape, plan):  # tiles find out by the order of the panels which one is next
        return False
    along = [side for side in (0, 1) if shape.side(plan.vector, side) != 0]
    if len(along) != 1 or any(shape.side(name, along[0]) != 0 for name in (*plan.outer, plan.rows, plan.sub) if name):
        return False
    panel = shape.steps * max(panel_bytes(plan), PAIR)
    unit = shape.side_bytes[1 - along[0]] // math.prod(shape.size[name] for name in plan.outer)
    return max(panel, unit) <= L2_BYTES // 2 and shape.side_bytes[along[0]] > L2_BYTES and reduction_block(shape, plan) is None


def from_afar(shape: Shape, plan: Plan, steps: int) -> bool:
    """Whether every tile reads its panel from beyond the second-level cache: it is longer than that holds and not taken in blocks, or all
    panels, which pass by for each tile of rows that goes along them, for each unit of a window's tiles and of products along the lanes, are
    more than it holds."""
    if plan.turned or plan.packed or not plan.vector:
        return False
    if not plan.dot and steps * max(panel_bytes(plan), PAIR) > L2_BYTES:
        return reduction_block(shape, plan) is None
    along = [side for side in (0, 1) if shape.side(plan.vector, side) != 0]
    if plan.split == "tiles" and not plan.dot:
        again: tuple[str, ...] = (plan.rows,)
    elif (plan.window is None and not plan.dot) or panelwise(shape, plan):
        return False
    else:
        again = plan.outer
    return any(shape.side_bytes[n] > 2 * L2_BYTES and any(shape.side(name, n) == 0 for name in again) for n in along)


def far_lines(shape: Shape, plan: Plan, side: int) -> bool:
    """Whether the rows of a turned tile, neighbours in memory, are a cache line that comes from beyond the second-level cache at each
    step: columns of a matrix that is larger than that."""
    return plan.turned and bool(plan.rows) and shape.side(plan.rows, side) == 1 and shape.side_bytes[side] > L2_BYTES


def reduction_block(shape: Shape, plan: Plan) -> tuple[str, int] | None:
    """The outermost reduced axis and how much of it to take at a time, where both operands stream along it and more of them than the
    second-level cache holds passes by for every tile."""
    if not plan.order or plan.dot or plan.turned or (plan.window and plan.window[0] == plan.order[0]):
        return None
    name = plan.order[0]
    size = shape.itemsize
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
    if varies(shape.axis(name), shape.contract.free):
        return None
    tiles = math.prod(shape.size[n] for n in plan.outer) * panel_count(plan.panels)
    tiles *= sum(n for _, n, _ in plan.runs) if plan.runs else math.ceil(shape.size[plan.rows] / plan.sizes[0])
    return (name, length) if tiles > 2 else None


def scattered_buffers(shape: Shape, plan: Plan) -> int:
    """How many buffers of results the epilogue walks through in jumps: a pass down the rows of a panel touches a few neighbouring cache
    lines of each row, which the machine cannot foresee. None where they are few enough to stay near, or tiles go along the rows."""
    move = shape.moves[plan.rows].out if plan.rows else 0
    size = shape.itemsize
    if plan.split == "tiles" or plan.along or plan.turned or not isinstance(move, int) or move * size < SCATTERED:
        return 0
    return len(shape.results) if len(shape.results) * shape.result_bytes > 2 * L2_BYTES else 0


def uncrowded_rows(shape: Shape, plan: Plan) -> float:
    """The most rows of results that the first-level cache holds for the epilogue of a tile, which reads there, or comes back to the same
    sets with the tile beneath: further ones fall into the same sets."""
    reads = sum(shape.results.values())
    down = plan.vector if plan.turned else plan.rows
    move = shape.moves[down].out if down else 0
    if plan.dot or plan.woven or not isinstance(move, int) or move == 0:
        return math.inf
    rows = L1_WAYS * PAGE / math.gcd(move * shape.itemsize, PAGE)
    if plan.turned:
        return rows / 2
    if reads:
        return rows / reads
    short = shape.few_steps and plan.split != "tiles" and not plan.along  # and stores all the time
    return rows / 2 if short else math.inf


def crowding(shape: Shape, name: str, side: int) -> float:
    """Which part of the steps along an axis fall into one set of the first-level cache: 1 where they are whole pages apart."""
    move = shape.side(name, side)
    if not isinstance(move, int) or move == 0:
        return 0.0
    size = shape.itemsize
    return math.gcd(abs(move) * size, PAGE) / PAGE if abs(move) * size >= 64 else 0.0


def scattered(shape: Shape, plan: Plan, side: int, steps: int) -> bool:
    """Whether the steps of a panel fall into so few sets of the first-level cache that it cannot hold them."""
    if len(plan.order) != 1 or plan.dot or not plan.vector or shape.side(plan.vector, side) == 0 or plan.packed:
        return False
    move = shape.side(plan.order[0], side)
    if not isinstance(move, int) or move == 0:
        return False
    apart = abs(move) * shape.itemsize
    lines = math.ceil(panel_bytes(plan) / 64)
    sets = min(64, PAGE // math.gcd(apart, PAGE) * lines)
    return apart >= 64 and steps * lines >= 10 * sets


def crowded_pixels(shape: Shape, plan: Plan, side: int) -> float:
    """Cycles a step waits for the cache line of an operand whose channels are rows of a tile: where pixels lie so that few sets of the
    second-level cache must hold those of all images, the next tile's neighbours in the line find none there."""
    if len(plan.order) < 2:
        return 0.0
    moves = [shape.side(name, side) for name in plan.order]
    known = [m for m in moves if isinstance(m, int) and m > 0]
    apart = math.gcd(*known) * shape.itemsize
    if len(known) < len(moves) or apart % 1024:
        return 0.0
    return PIXEL_CYCLES if shape.steps > L2_LINES // (apart // 64) else 0.0


def thrashing(shape: Shape, plan: Plan, side: int, steps: int) -> float:
    """Cycles a step waits for each cache line of an operand whose steps lie so that the second-level cache cannot hold as many of them:
    neighbouring tiles, which use the rest of a line, and later ones, which use it again, find none there."""
    if not plan.order:
        return 0.0
    move = shape.side(plan.order[-1], side)
    if not isinstance(move, int) or move == 0:
        return 0.0
    apart = abs(move) * shape.itemsize
    if apart < 1024:
        return 0.0
    length = min(steps, shape.size[plan.order[-1]])
    core = core_of(shape.target)
    taken = length / (core.ways * core.way // math.gcd(apart, core.way))
    some, all_ = core.lost
    if taken <= some:
        return 0.0
    return LOST_CYCLES * (1.0 if taken > all_ else (taken - some) / (all_ - some))
