"""What a plan costs: cycles of arithmetic, of loads, and of waiting for memory.

A step of a tile with R x C accumulators costs R*C/2 cycles of multiply-add, or its loads at the rate of the core's ports (core.py), or the
latency of one multiply-add, whichever is most (`make bench-kernels` measures them). Waiting depends on where the operands come from, and
on whether their lines fall into few sets of the caches (traffic.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from graphflow.compiler.contract.analyse import window_rows
from graphflow.compiler.contract.core import Core, core_of
from graphflow.compiler.contract.cuts import dynamic_tiles, guess, panel_bytes_of
from graphflow.compiler.contract.plan import Plan
from graphflow.compiler.contract.shape import L1_BYTES, Shape, far_bytes, gapless, lanes_of, panel_count
from graphflow.compiler.contract.traffic import (
    FAR_CYCLES,
    LINE,
    PAGE,
    PAIR,
    crossing,
    crowded_pixels,
    crowding,
    dot_reads,
    far_lines,
    foresees,
    from_afar,
    panel_memory,
    passes_by,
    reduction_block,
    scattered,
    scattered_buffers,
    summing,
    thrashing,
    uncrowded_rows,
)
from graphflow.compiler.llvm.transpose import weaving

LINE_LOADS = 2  # that a line of rows side by side costs, coming into the first-level cache
LATENCY = 4.5  # cycles before a sum can be added to again
FREE_LOADS, LOAD_CYCLES = 0.25, 0.2  # loads for each multiply-add of a window that cost nothing, and what further ones cost
USUAL_LOADS = 0.04  # cycles for each multiply-add that the loads of other tiles cost; their price, which leaves that out, is the measure
OVERTAKEN = 0.65  # of the end of a tile of sums across the lanes
PACK_CYCLES, TURN_CYCLES, EARLY_CYCLES = 8.0, 6.0, 5.0  # of a register of a panel copied, transposed, and copied from the cache
FUSED_CYCLES, FEW_ROWS = 4.0, 160  # of one that the first tile copies; and of how few rows it does so
WOVEN_CYCLES, SHUFFLE_CYCLES = 1.0, 0.6  # of a register of interleaved results: its epilogue and its store, and each shuffle
KEPT_CYCLES, WAITING_CYCLES = 1.0, 2.5  # of what the epilogue does with a register that goes straight into it; of one that waits in memory
TORN_CYCLES = 3.0  # of a store for the second cache line that it touches
FOLD_CYCLES = 1.0  # of a shuffle that puts steps beside each other in the lanes of a column
STRADDLING_CYCLES = 0.8  # of a load for all columns that touches a second cache line; elsewhere that is one more load
GROUP_CYCLES = 0.1  # of a load of several elements for all columns: an instruction of its own, not an operand of the multiply-add
SCATTERED_CYCLES = 2.5  # of a cache line of results, or of what their epilogue reads, that does not follow the one before it
CROWDED_CYCLES = 5.0  # of a register of results, where the first-level cache cannot hold those of a tile
FEW_SHARES = 1.05  # of the price, where there are too few shares of the work for more threads, or for one that comes late
CHOICE_CYCLES = 10.0  # of choosing the height of a tile at run time
SHARE_CYCLES = 1.0  # of finding out which tile a share of the work is


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
    streams = FAR_CYCLES if from_afar(shape, plan, steps) else core.stream if plan.turned and passes_by(shape, plan) else 0.0

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


