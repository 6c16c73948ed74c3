"""What a plan asks of the caches: which operands fit where, what comes from beyond, and which lines take each other's places."""

from __future__ import annotations

import math
from collections.abc import Sequence

from graphflow.compiler.contract.core import core_of
from graphflow.compiler.contract.cuts import guess, panel_bytes, varies, whole_pitch
from graphflow.compiler.contract.plan import Plan
from graphflow.compiler.contract.shape import L1_BYTES, L2_BYTES, Shape, far_bytes, panel_count

LINE, PAGE = 64, 4096
PAIR = 128  # bytes: the second-level cache fetches lines by twos
L1_WAYS = 12
L2_LINES = 16 << 10  # that the second-level cache of usual size holds
LOST_CYCLES = 3.0  # of a step, for a line that comes from beyond that cache because others took its place
PIXEL_CYCLES = 1.5  # of a step, for a line of pixels that few sets of that cache hold
L2_RATE, L3_RATE, STREAM_RATE = 27, 15, 36  # bytes a cycle of whole vectors: from the second-level cache, from beyond, and read but once
FAR_CYCLES = 0.1  # of a byte that comes from beyond the second-level cache
SCATTERED = 1024  # bytes: rows of results at least as far apart do not follow each other


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
    return None if plan.turned else stretch(shape, plan)


def passes_by(shape: Shape, plan: Plan) -> bool:
    """Whether more than the second-level cache holds passes by for every tile."""
    part = stretch(shape, plan)
    return part is not None and part[1] < shape.size[part[0]]


def stretch(shape: Shape, plan: Plan) -> tuple[str, int] | None:
    """The outermost reduced axis, where both operands stream along it for several tiles, and how much of it the second-level cache holds,
    where that is not known to be all."""
    if not plan.order or plan.dot or (plan.window and plan.window[0] == plan.order[0]):
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
