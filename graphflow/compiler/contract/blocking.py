"""Choosing the register tile of a contraction: of all cuts of the rows and columns that fit the registers, the one with the lowest price
(price.py) for the whole contraction on two threads, ragged edges and all. Cuts whose multiply-adds and loads alone cost more than the best
one's price are not priced (branch and bound).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, NamedTuple

from graphflow.compiler.contract.analyse import fills, window_rows
from graphflow.compiler.contract.core import core_of
from graphflow.compiler.contract.cuts import cut_columns, dynamic_sizes, even_runs, panel_bytes_of, varies, whole_pitch
from graphflow.compiler.contract.plan import Packed, Panel, Plan
from graphflow.compiler.contract.price import finished_inline, first_copies, least, price, put_beside
from graphflow.compiler.contract.shape import L1_BYTES, L2_BYTES, Shape, lanes_of, panel_count, shape_of
from graphflow.compiler.contract.traffic import far_lines, foresees, from_afar, panelwise, reduction_block
from graphflow.compiler.llvm.target import Target
from graphflow.kernel.affine import coefficient
from graphflow.kernel.expr import Load, walk
from graphflow.kernel.index import Index
from graphflow.kernel.nodes import Contract, Let, Store

TALLEST = 28
WIDEST_TURNED = 4  # registers of a transposed panel; wider ones were not measured
WINDOW_BODY = 200  # multiply-adds of an iteration that takes several steps
AHEAD, FAR_AHEAD = 8, 96  # steps of the innermost loop by which operands are prefetched: from the second-level cache, from beyond
BODY = 0.015  # of the price, for each tile shape beyond the first
AWAITED_BYTES = 384 << 10  # that an epilogue reads and fills, from which they are asked for: less may still be near
EARLY_BYTES = 32 << 10  # of a copied panel where the next one comes into the cache meanwhile, its lines in few sets


@dataclass(frozen=True)
class Choice:
    """A plan and its price in cycles on two threads."""

    cycles: float
    plan: Plan


class Candidate(NamedTuple):
    """A plan that may be priced: `base` with some changes. Its price is not below `floor`."""

    floor: float
    base: Plan
    changes: dict[str, Any]


def choose(contract: Contract, target: Target, window: str = "") -> Choice | None:
    """The cheapest plan that reads the operands where they are; with `window`, of those in which an iteration takes several steps of that
    reduced axis, None if there are none."""
    shape = shape_of(contract, target)
    if window:
        found = list(_windows(shape, window))
        return _completed(shape, _cheapest(shape, found)) if found else None
    columns = scalar_axis(shape)
    ways: list[tuple[str, str, str, tuple[int, bool] | None, tuple[str, int] | None]] = [
        *((v, "", "", None, fold) for v in vector_axes(shape) for fold in (None, *folds(shape, v))),
        *((columns, r, "", None, None) for r in dot_axes(shape)),
        *((v, "", s, None, None) for v, s in turned_axes(shape)),
        *((v, "", "", (side, turned), None) for v, side, turned in packed_axes(shape)),
    ]
    found = [c for way in ways for c in _candidates(shape, *way)]
    return _completed(shape, _cheapest(shape, found or _candidates(shape, columns, "", "", None, None)))


def _completed(shape: Shape, best: Choice) -> Choice:
    """The choice with what follows from it."""
    block = packed_block(shape, best.plan) if best.plan.packed else reduction_block(shape, best.plan)
    inline = (block is None or (bool(best.plan.runs) and shape.few_steps)) and finished_inline(shape, best.plan)
    ahead = tuple(steps_ahead(shape, best.plan, side) for side in (0, 1))
    plan = best.plan.varied(inline=inline, block=block, ahead=ahead, chunk=tiles_at_a_time(shape, best.plan))
    if plan.packed and first_copies(shape, plan):
        plan = plan.varied(packed=replace(plan.packed, fused=True))
    plan = plan.varied(awaited=awaited_buffers(shape, plan), foresees=foresees(shape, plan), follows=follows(shape, plan))
    plan = plan.varied(panelwise=panelwise(shape, plan))
    return replace(best, plan=plan)


def steps_ahead(shape: Shape, plan: Plan, side: int) -> int:
    """By how many steps of the innermost loop an operand is prefetched: not at all where it stays in the first-level cache."""
    size = shape.itemsize
    moves = [(shape.side(name, side), n) for name, n in shape.size.items()]
    span = sum(abs(m) * (n - 1) if isinstance(m, int) else L1_BYTES for m, n in moves if m != 0)
    if span * size <= L1_BYTES:
        return 0
    return FAR_AHEAD if from_afar(shape, plan, shape.steps) or far_lines(shape, plan, side) else AHEAD


def awaited_buffers(shape: Shape, plan: Plan) -> tuple[str, ...]:
    """What the epilogue reads where it stores, and fills, where that is more than stays near and there is time to ask for it."""
    if not plan.rows or plan.sub or plan.turned or plan.dot or plan.window or not plan.vector or len(plan.order) != 1:
        return ()
    read = [name for name, loaded in shape.results.items() if loaded]
    filled = [store.buffer for store in fills(shape.contract)]
    if not read and len(filled) < 2:
        return ()  # the sums alone are soon on their way
    if (len(read) + len(filled)) * shape.result_bytes <= AWAITED_BYTES or shape.size[plan.order[0]] < plan.tallest:
        return ()
    return tuple(dict.fromkeys((*read, *filled)))


def follows(shape: Shape, plan: Plan) -> bool:
    """Whether tiles ask for the next block of the reduction: each operand's part of a block is one piece of memory, and several loops that
    are one pass over it. Only where an iteration takes several steps: those of one step are so short that the requests delay them."""
    if plan.block is None or plan.packed or len(plan.order) < 2 or not plan.window:
        return False
    near = (shape.side(name, side) for name in plan.outer for side in (0, 1))
    most = min(abs(m) if isinstance(m := shape.side(plan.block[0], side), int) else 0 for side in (0, 1))
    return all(isinstance(m, int) and abs(m) < most for m in near)


def tiles_at_a_time(shape: Shape, plan: Plan) -> int:
    """How many tiles of rows pass over one panel before the next panel's turn: as many as read what a cache holds, where all read more."""
    if plan.split != "panels" or not plan.rows or not plan.runs or plan.dot or plan.turned or plan.window or len(plan.order) != 1:
        return plan.chunk
    steps = shape.size[plan.order[0]]
    if plan.packed:
        steps = min(steps, plan.packed.length)
    row = steps * shape.itemsize
    tallest = max(height for _, _, height in plan.runs)
    most = core_of(shape.target).chunk
    some = most // (row * tallest)
    return some if some >= 6 and shape.size[plan.rows] * row > 4 * most else 0


def dot_axes(shape: Shape) -> list[str]:
    """Reduced axes along which both operands lie in neighbouring elements: lanes that are added up at the end."""
    if lanes_of(shape) < 2:
        return []
    return [a.name for a in shape.contract.reduced if all(shape.side(a.name, n) == 1 for n in (0, 1))]


def vector_axes(shape: Shape) -> list[str]:
    """Free axes along which results and operands can be read and written as vectors."""
    return [
        a.name for a in shape.loose
        if shape.moves[a.name].out == 1 and all(shape.side(a.name, n) in (0, 1) for n in (0, 1))
        and lanes_of(shape) > 1
    ]  # fmt: skip


def turned_axes(shape: Shape) -> list[tuple[str, str]]:
    """(axis along which operands can be read as vectors, axis the results run along) where the two differ."""
    if lanes_of(shape) < 2:
        return []
    free = shape.loose
    return [
        (v.name, s.name)
        for s in free
        for v in free
        if v is not s and shape.moves[s.name].out == 1 and isinstance(s.extent, int)
        and sorted(1 if m == 1 else 0 if m == 0 else 2 for m in (shape.side(v.name, 0), shape.side(v.name, 1))) in ([0, 1], [1, 1])
    ]  # fmt: skip


def weaves(shape: Shape, vector: str, along: str) -> bool:
    """Whether the results of all steps along `along`, and of those along `vector`, are one piece of memory, and what the epilogue reads is
    the same for neighbours along `vector` or lies side by side."""
    extents = [shape.axis(name).extent for name in (vector, along)]
    if not all(isinstance(n, int) for n in extents) or shape.contract.left.type == "f16" or not shape.short:
        return False
    moves = {along: 1, vector: extents[1]}
    for s in shape.contract.epilogue:
        if isinstance(s, Store) and (s.guard is not None or any(coefficient(s.offset, name) != move for name, move in moves.items())):
            return False
        read = (e.offset for e in walk(s.value) if isinstance(e, Load)) if isinstance(s, Let | Store) else ()
        if any(coefficient(offset, vector) not in (0, 1) for offset in read):
            return False
    return True


def turned_rows(shape: Shape, vector: str, along: str) -> list[str]:
    """Further rows of a turned tile: axes along which the operand that is read as vectors moves, and the other one does not."""
    sides = [side for side in (0, 1) if shape.side(vector, side) != 0]
    if len(sides) != 1 or shape.side(along, sides[0]) != 0:
        return []
    own = [a.name for a in shape.loose if a.name not in (vector, along) and isinstance(a.extent, int)]
    return [name for name in own if shape.side(name, sides[0]) != 0 and shape.side(name, 1 - sides[0]) == 0]


def packed_axes(shape: Shape) -> list[tuple[str, int, bool]]:
    """(axis of the results, side, whether it lies across) where a panel of that operand could be copied before tiles pass over it."""
    reduced = shape.contract.reduced
    if lanes_of(shape) < 2 or len(reduced) != 1 or varies(reduced[0], shape.contract.free) or shape.contract.left.type == "f16":
        return []
    out = []
    for axis in shape.loose:
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


def whole_length(shape: Shape, plan: Plan) -> int:
    """For how many steps of the reduction all panels could be transposed at once, so that tiles go along the rows of the results: for all
    or, where they could not, none."""
    steps = shape.contract.reduced[0].extent
    if not isinstance(steps, int) or not isinstance(shape.axis(plan.vector).extent, int) or not short_rows(shape, plan):
        return 0
    length = math.ceil(steps / 16) * 16
    return length if length * whole_pitch(plan) * shape.itemsize <= core_of(shape.target).packed else 0


def goes_along(shape: Shape, plan: Plan) -> bool:
    """Whether tiles could go along the rows of the results, with an operand along the lanes that is read where it lies."""
    if plan.packed or plan.dot or plan.turned or plan.window or plan.fold or plan.sub or not plan.vector:
        return False
    read = sum(shape.side_bytes[side] for side in (0, 1) if shape.side(plan.vector, side) != 0)
    return read <= L2_BYTES and short_rows(shape, plan)


def short_rows(shape: Shape, plan: Plan) -> bool:
    """Whether storing is much of the work, of one matrix, and tiles may overlap."""
    return shape.few_steps and shape.repeatable and len(shape.contract.free) == 2 and panel_count(plan.panels) > 1


def packed_block(shape: Shape, plan: Plan) -> tuple[str, int] | None:
    """The reduced axis and how much of it is taken at a time, where it is longer than a copied panel."""
    assert plan.packed is not None
    extent = shape.axis(plan.order[0]).extent
    return None if isinstance(extent, int) and extent <= plan.packed.length else (plan.order[0], plan.packed.length)


def scalar_axis(shape: Shape) -> str:
    """The axis whose columns are single elements where no vector fits: the one the results run along, if any."""
    free = shape.loose
    return next((a.name for a in free if shape.moves[a.name].out == 1), free[-1].name if free else "")


def _candidates(
    shape: Shape, vector: str, dot: str, turned: str, pack: tuple[int, bool] | None, fold: tuple[str, int] | None
) -> Iterator[Candidate]:
    """All ways to cut rows and columns into tiles. `turned` is the axis of the results where the lanes run along another."""
    lanes = lanes_of(shape) if turned or pack or not dot and vector in vector_axes(shape) else 1
    lanes //= fold[1] if fold else 1
    pairs = _row_pairs(shape, vector)
    if turned:
        pairs = [(turned, "")]
        if weaves(shape, vector, turned):
            pairs += [(r, turned) for r in turned_rows(shape, vector, turned)]
    if pack:
        pairs = [(r, "") for r, s in pairs if not s and shape.side(r, pack[0]) == 0]
    for r, s in pairs or ([] if pack else [("", "")]):
        deep = shape.size[s] if s else 1
        for columns in range(1, 13 if dot else 9):
            panels = cut_columns(shape.axis(vector).extent if vector else 1, lanes, columns, shape.target.masks)
            if panels is None or (fold and narrow(panels)):
                continue
            spare = 1 if shape.target.fma else 2
            most = min(TALLEST, (shape.target.registers - 1 - spare - columns) // columns)
            if columns == 1:
                most = min(TALLEST, shape.target.registers - 2 - spare)
            base = Plan(vector, panels, r, s, (), (), (), (), "units", False, dot, bool(turned), bool(s and turned), fold=fold)
            if fold:
                most = min(TALLEST, (shape.target.registers - 1 - spare - columns - shuffle_indices(shape, base, columns)) // columns)
            if turned and s:  # vectors stay in registers until the last of the other operand's elements has come
                most = (shape.target.registers - 1 - spare) // (columns * (deep + 1)) * deep
            elif turned:
                most = min(most, lanes)
            if pack and pack[1]:
                length = whole_length(shape, base) if most > 0 else 0
                if length:
                    yield from _row_cuts(shape, base.varied(packed=Packed(*pack, length, whole=True)), most)
                most -= 1  # measured to be 1 to 2 % faster than tiles that leave no register free
            if most < deep or (pack and pack[1] and columns > WIDEST_TURNED):
                continue
            if pack:
                early = not pack[1] and shape.result_bytes <= L2_BYTES  # sums wait there from block to block
                length = packed_length(shape.contract.reduced[0].extent, panels, EARLY_BYTES if early else core_of(shape.target).packed)
                base = base.varied(packed=Packed(*pack, length, early))
            yield from _row_cuts(shape, base, most // deep)


def _windows(shape: Shape, name: str) -> Iterator[Candidate]:
    """Plans whose iterations take several steps of the reduced axis `name`, all or a part of its steps without a rest. What rows read in
    them is loaded once for all; what belongs to a step stays in registers until the last row has read it."""
    axis, extent = shape.axis(name), shape.size[name]
    if not isinstance(axis.extent, int) or axis.start != 0:
        return
    registers = shape.target.registers - (2 if shape.target.fma else 3)
    for vector in vector_axes(shape):
        for r, s in _row_pairs(shape, vector):
            shared, apart = window_rows(shape.moves, name, (r, s))
            deep = shape.size[s] if s else 1
            if not apart or (shared == s and deep == 1):
                continue
            # Where multiply-adds take no element of memory for all lanes, what a column of rows shares waits in a register of its own.
            waiting = 0 if shape.target.masks or shared == s or deep == 1 else 1
            for columns, fold in product(range(1, 5), (None, *folds(shape, vector))):
                abreast = fold[1] if fold else 1
                panels = cut_columns(shape.axis(vector).extent, lanes_of(shape) // abreast, columns, shape.target.masks)
                if panels is None or (fold and narrow(panels)):
                    continue
                along = abreast if fold and fold[0] == name else 1  # steps of the window that are one in the lanes
                base = Plan(vector, panels, r, s, (), (), (), (), "units", False, fold=fold)
                spare = shuffle_indices(shape, base, columns) if fold else 0
                for steps in (n for n in range(abs(apart) + 1, extent + 1) if extent % n == 0 and n % along == 0):
                    turns = steps // along
                    most = min(TALLEST, shape.size[r], WINDOW_BODY // (turns * columns * deep))
                    # of every step what its first row to the last reads: steps that have not begun, or are done, take no registers
                    while most:
                        alive = abs(apart) * ((deep if shared == s else most) - 1) // along + 1
                        if columns * (most * deep + min(turns, alive)) + spare + waiting <= registers:
                            break
                        most -= 1
                    if most < 1 or (shared == r and most < 2):
                        continue
                    yield from _row_cuts(shape, base.varied(window=(name, steps)), most)


def shuffle_indices(shape: Shape, plan: Plan, columns: int) -> int:
    """How many registers hold the indices of the shuffles that put steps beside each other: one for each shuffle of two vectors, or for
    each of the two where the target shuffles them one by one."""
    return put_beside(shape, plan, columns)[1] * (1 if shape.target.masks else 2)


def narrow(panels: tuple[Panel, ...]) -> bool:
    """Whether some register would hold a single column."""
    return any(piece.lanes < 2 for panel in panels for piece in panel.pieces)


def folds(shape: Shape, vector: str) -> list[tuple[str, int]]:
    """(reduced axis, how many of its steps) that share a register with few columns and leave fewer of its lanes empty: one operand has
    the steps side by side in memory, the same for all columns."""
    lanes, extent = lanes_of(shape), shape.axis(vector).extent
    side = 0 if shape.side(vector, 0) == 0 else 1
    if not isinstance(extent, int) or not 1 < extent < 2 * lanes or shape.side(vector, 1 - side) != 1 or shape.contract.left.type == "f16":
        return []
    counts: list[int] = []
    fewest = math.ceil(extent / lanes) * lanes
    for many in (1 << n for n in range(1, lanes.bit_length() - 1)):
        filled = math.ceil(extent / (lanes // many)) * (lanes // many)
        if filled < fewest:
            counts.append(many)
            fewest = filled
    return [
        (axis.name, many)
        for many in counts
        for axis in shape.contract.reduced
        if isinstance(axis.extent, int) and axis.extent > 0 == axis.extent % many == axis.start and not varies(axis, shape.contract.free)
        and shape.side(axis.name, side) == 1 and isinstance(shape.side(axis.name, 1 - side), int)
    ]  # fmt: skip


def _row_pairs(shape: Shape, vector: str) -> list[tuple[str, str]]:
    """(rows, sub) of a tile whose lanes run along `vector`."""
    rows = [a for a in shape.loose if a.name != vector]
    useful = [a.name for a in rows if any(shape.side(a.name, n) == 0 for n in (0, 1))] or [a.name for a in rows]
    pairs = [(r, "") for r in useful]
    for r in useful:
        for s in useful:
            extent = shape.axis(s).extent
            if r != s and isinstance(extent, int) and extent <= 14 and _same_side(shape, r, s):
                pairs.append((r, s))
    return pairs


def _far(shape: Shape, plan: Plan) -> float:
    """What a plan costs more than its price: rows that lie close together share cache lines and pages."""
    near = {a.name: n for n, a in enumerate(reversed([a for a in shape.loose if a.name != plan.vector]))}
    return 1 + 0.07 * near.get(plan.rows, 0) + 0.02 * near.get(plan.sub, 0)


def _same_side(shape: Shape, a: str, b: str) -> bool:
    return [shape.side(a, n) == 0 for n in (0, 1)] == [shape.side(b, n) == 0 for n in (0, 1)]


def _row_cuts(shape: Shape, plan: Plan, most: int) -> Iterator[Candidate]:
    """Plans for one cut of the columns: the rows in tiles of at most `most`."""
    outer = tuple(a.name for a in shape.contract.free if a.name not in (plan.vector, plan.rows, plan.sub))
    order = (*(n for n in reduction_order(shape) if n != plan.dot), plan.dot) if plan.dot else reduction_order(shape)
    if plan.window and plan.window[1] == shape.size[plan.window[0]]:
        order = tuple(n for n in order if n != plan.window[0])
    if plan.fold and plan.fold[1] == shape.size[plan.fold[0]]:
        order = tuple(n for n in order if n != plan.fold[0])
    rows, panels = plan.rows, plan.panels
    extent = shape.axis(rows).extent if rows else 1
    base = plan.varied(outer=outer, order=order)
    whole = plan.packed is not None and plan.packed.whole
    far = _far(shape, base)
    if whole or not isinstance(extent, int):
        total = shape.size[rows] if rows else 1
        half = dynamic_sizes(most, math.ceil(total / 2))
        floor = far * least(shape, base, ((total / most, most),))  # lower tiles cost more a row
        if whole or goes_along(shape, plan):
            yield Candidate(floor, base, {"split": "rows", "chunk": 1, "sizes": half})
        if whole:
            return
        if outer or panel_count(panels) != 1:
            yield Candidate(floor, base, {"split": "panels", "sizes": dynamic_sizes(most, total)})
        yield Candidate(floor, base, {"split": "rows", "sizes": half})
        return
    # Where sums are short, what threads that take panels need out of each other's caches outweighs that all turn every panel.
    if plan.packed and plan.packed.turned and shape.few_steps and not outer:
        half = dynamic_sizes(most, math.ceil(shape.size[rows] / 2))
        yield Candidate(far * least(shape, base, ((shape.size[rows] / most, most),)), base, {"split": "rows", "sizes": half})
    for runs in even_runs(extent, most):
        floor = far * least(shape, base, [(many, height) for _, many, height in runs])
        several, tiles = panel_count(panels) != 1, bool(rows) and not plan.packed
        if outer or not (several or (tiles and sum(n for _, n, _ in runs) > 1)):  # else it were one unit, for one thread
            yield Candidate(floor, base, {"runs": runs})
        if outer or several:
            yield Candidate(floor, base, {"runs": runs, "split": "panels"})
        if tiles:
            yield Candidate(floor, base, {"runs": runs, "split": "tiles"})


def _cheapest(shape: Shape, candidates: Iterable[Candidate]) -> Choice:
    """The first of the cheapest plans. Those that may cost least are priced first; what cannot cost as little as the best is not."""
    best: tuple[float, int, Choice] | None = None
    for number, candidate in sorted(enumerate(candidates), key=lambda c: c[1].floor):
        if best is not None and candidate.floor > best[0]:
            break
        choice = _priced(shape, candidate.base.varied(**candidate.changes))
        if best is None or (choice.cycles, number) < best[:2]:
            best = choice.cycles, number, choice
    assert best is not None
    return best[2]


def _priced(shape: Shape, plan: Plan) -> Choice:
    """A plan with its price; every further body of code costs a little, for it has to be compiled."""
    bodies = max(1, len(plan.runs)) * len(plan.panels) + (3 if plan.turned else 0)  # shuffles are slow to compile
    return Choice(price(shape, plan) * (1 + BODY * (bodies - 1)) * _far(shape, plan), plan)


def reduction_order(shape: Shape) -> tuple[str, ...]:
    """The reduced axes, outermost first; the longest goes inside where the innermost is short."""
    names = [a.name for a in shape.contract.reduced]
    if names and shape.size[names[-1]] < 8:
        longest = max(names, key=lambda n: shape.size[n])
        if shape.size[longest] >= 2 * shape.size[names[-1]] and isinstance(shape.axis(longest).extent, int):
            names.remove(longest)
            names.append(longest)
    return tuple(names)
