"""From a contraction to the phases that compute it.

Three things may stand beside the contraction itself, all plain statements of the loop IR:

    an operand copied so that vectors can be read along the axis the results run along, or so that its rows do not all fall into the same
    few sets of the caches;
    a long reduction with few results cut into a fixed number of parts, each summed as results of their own and added up in a fixed order
    in a last phase, which then runs the epilogue;
    a scratch buffer in which sums wait while a reduction too long for the caches goes by in blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType

from graphflow.compiler.contract.analyse import axis_symbol, normalise, rewrite, strides, window_pair
from graphflow.compiler.contract.blocking import choose
from graphflow.compiler.contract.cuts import even_parts, guess, lengths, padded_columns, varies
from graphflow.compiler.contract.matrix_plan import matrix_plan
from graphflow.compiler.contract.plan import PART, PARTS, Plan, Spans
from graphflow.compiler.contract.shape import shape_of
from graphflow.compiler.contract.traffic import crossing
from graphflow.compiler.llvm.target import Target
from graphflow.kernel.affine import coefficient
from graphflow.kernel.expr import TYPES, Expr, Load, load, local
from graphflow.kernel.index import Index, ceildiv, maximum, minimum, product, symbol
from graphflow.kernel.nodes import Axis, Buffer, Contract, Let, Role, Stmt, Store, over

WORTH_CUTTING = 1 << 17  # products
COPY_CYCLES = 1.3  # of an element copied across the grain
EVERY_CYCLES, EVERY = 0.5, 3  # of one of every second or third element, which whole vectors are read for
SHORT_ROW = 16  # elements
PLAIN_COPY_CYCLES = 0.7  # of an element copied along it
BARRIER = 800  # cycles that a further phase costs
CROWDED = 2048  # bytes: rows a multiple of this apart share few sets of the caches; of pixels, which are more, half as far
TILES_WORTH = 0.9  # of the price of another way: the terms take room in the caches (an LSTM's small products lost 6 % of their step so)
Phases = tuple[tuple[Stmt, ...], ...]


@dataclass(frozen=True)
class Schedule:
    """Phases before the contraction, the contraction with its plan, phases after it, and what it costs in cycles."""

    cycles: float
    contract: Contract
    before: Phases = ()
    after: Phases = ()
    scratch: tuple[Buffer, ...] = ()
    beside: float = 0.0  # of the cycles, what the other phases cost

    @property
    def phases(self) -> Phases:
        return (*self.before, (self.contract,), *self.after)

    @property
    def tile(self) -> tuple[str, str]:
        """The axes whose steps fill registers one below the other."""
        plan = self.contract.plan
        assert isinstance(plan, Plan)
        return plan.rows, plan.sub


Way = Callable[[Contract, Target, str, float], Schedule | None]  # ... the price to beat
Pair = tuple[str, str] | tuple[()]  # a reduced axis of which an iteration takes several steps, and the free axis whose rows share elements


def schedule_contract(
    contract: Contract, target: Target, prefix: str = "t", shorter: Iterable[Contract] = (), spans: Spans = MappingProxyType({})
) -> Schedule:
    """The cheapest way to compute a contraction. `shorter`: the same without some products that are zero, which are so many for each point
    of one free axis and others for the next; the cheapest of all is taken, in the same way and over the same tiles. `spans`: for a free
    axis and a reduced one, which steps are not such products; tiles leave out the others where all steps of the one stand in an iteration
    and rows go along the other."""
    best: Schedule | None = None
    views: dict[Pair, Contract] = {pair: normalise(contract, pair) for pair in ((), window_pair(contract))}
    for pair, view in views.items():
        for way in _ways(view, pair):
            found = _within(way(view, target, prefix, best.cycles if best else math.inf), spans)
            if found is not None and (best is None or found.cycles < best.cycles):
                best, best_way, best_view, apart = found, way, view, pair
    assert best is not None
    best = _scaled(best, _filled(best_view))
    for other in (normalise(c, apart) for c in shorter):
        if len(other.free) + len(other.reduced) > len(best_view.free) + len(best_view.reduced):
            continue  # it takes apart what is one loop otherwise
        some = _filled(other)
        found = _within(best_way(other, target, prefix, best.cycles / some), spans)
        if found is not None and found.cycles * some < best.cycles and found.tile == best.tile:  # others were measured to be no faster
            best = _scaled(found, some)
    return _in_matrix_tiles(views[()], target, prefix, best)


def _within(found: Schedule | None, spans: Spans) -> Schedule | None:
    """The schedule with tiles that leave out products with a border of zeros. Those at the border are bodies of code of their own."""
    if found is None or not spans:
        return found
    plan, contract = found.contract.plan, found.contract
    assert isinstance(plan, Plan)
    span = spans.get((plan.rows, plan.window[0])) if plan.window and plan.runs and not plan.fold else None
    if span is None or plan.window is None:
        return found
    inside = span.steps
    rows, taps = (next(a for a in (*contract.free, *contract.reduced) if a.name == name) for name in (plan.rows, plan.window[0]))
    if (rows.start, rows.extent, taps.start, taps.extent) != (0, len(inside), 0, plan.window[1]):
        return found  # an axis was cut
    whole = (0, plan.window[1])
    runs: list[tuple[int, int, int]] = []
    for first, tiles, height in plan.runs:
        before = False  # whether the tile before this one reads no border
        for row in range(first, first + tiles * height, height):
            clear = all(steps == whole for steps in inside[row : row + height])
            if before and clear:
                start, many, _ = runs[-1]
                runs[-1] = start, many + 1, height
            else:
                runs.append((row, 1, height))
            before = clear
    part = span.part(plan.window[1])
    reduced = tuple(span.axis if a.name == taps.name else a for a in contract.reduced)
    plan = plan.varied(runs=tuple(runs), spans=inside)
    return replace(found, cycles=found.cycles * part, contract=replace(contract, reduced=reduced, plan=plan))


def nested(contract: Contract, target: Target, outside: Collection[str] = ()) -> Schedule | None:
    """A contraction that stands inside loops, where one thread does all of it; None where it would need phases or scratch of its own, or
    tiles along one of the free axes `outside`, which are to be such loops too. The price is that of all steps of those, and half of what
    they cost: another thread does the like meanwhile."""
    view = normalise(contract, outside)
    choice = choose(view, target)
    assert choice is not None
    plan = choice.plan
    if plan.block is not None or plan.packed is not None or not set(outside) <= set(plan.outer):
        return None
    plan = plan.varied(outer=tuple(n for n in plan.outer if n not in outside))
    within = replace(view, free=tuple(a for a in view.free if a.name not in outside), plan=plan)
    return Schedule(choice.cycles * _filled(view), within)


def _scaled(found: Schedule, part: float) -> Schedule:
    """The schedule at part of its price."""
    return replace(found, cycles=found.cycles * part, beside=found.beside * part)


def _filled(contract: Contract) -> float:
    """What part of the products there are where the length of a reduction depends on a free axis: prices take the longest."""
    return math.prod(sum(n) / (len(n) * max(n)) for n in (lengths(a, contract.free) for a in contract.reduced))


def _ways(contract: Contract, pair: Pair) -> Iterator[Way]:
    """What may stand beside the contraction."""
    yield partial(_planned, pair=pair)
    if any(a.extent == 0 for a in contract.reduced):
        return  # nothing is read
    for sides in ((0,), (1,), (0, 1)):
        for along in _copy_axes(contract, sides):
            yield partial(_copied, sides=sides, along=along.name, pair=pair)
        yield partial(_spread, sides=sides, pair=pair)
    yield partial(_cut, pair=pair)


def _in_matrix_tiles(contract: Contract, target: Target, prefix: str, best: Schedule) -> Schedule:
    """The contraction in matrix tiles where that is cheaper than the best other way. Where sizes are known only at run time, both are
    there, and what stands beside the other way is done in any case; not so where it is summed in parts, image by image."""
    found = matrix_plan(contract, target)
    if found is None or found.cycles >= TILES_WORTH * best.cycles:
        return best
    plan, matrix = found.plan, found.plan.matrix
    assert matrix is not None
    if matrix.parts:
        images = next(a for a in contract.reduced if a.name == matrix.steps[0])
        partly, after, buffer = _in_parts(contract, images, matrix.parts, prefix)
        return Schedule(found.cycles, replace(partly, plan=plan), after=after, scratch=(buffer,))
    if all(isinstance(a.extent, int) for a in (*contract.free, *contract.reduced)):
        return Schedule(found.cycles, replace(contract, plan=plan))
    if found.cycles + best.beside >= TILES_WORTH * best.cycles or best.after:
        return best
    plan = plan.varied(matrix=replace(matrix, few=best.contract))
    return replace(best, cycles=found.cycles + best.beside, contract=replace(contract, plan=plan))


def _planned(contract: Contract, target: Target, prefix: str, most: float = math.inf, *, pair: Pair = ()) -> Schedule | None:
    """The contraction alone."""
    choice = choose(contract, target, *pair[:1])
    if choice is None:
        return None
    plan = choice.plan
    if plan.block is None:
        return Schedule(choice.cycles, replace(contract, plan=plan))
    sums = f"{prefix}.sums"
    extents = {a.name: a.extent for a in contract.free}
    lead = [*plan.outer, *(n for n in (plan.rows, plan.sub) if n)]
    shape = (*(extents[name] for name in lead), padded_columns(plan))
    return Schedule(
        choice.cycles,
        replace(contract, plan=plan.varied(sums=sums)),
        scratch=(Buffer(sums, "f32" if contract.left.type == "f16" else contract.left.type, shape, Role.SCRATCH),),
    )


# -- copies ---------------------------------------------------------------------------------------------------------------------------


def _copy_axes(contract: Contract, sides: tuple[int, ...]) -> list[Axis]:
    """Axes along which vectors could be read if the operands `sides` were copied: the one the results run along; and, for one operand,
    those along which the other lies well already, or which it lacks."""
    out = []
    for axis in (*contract.free, *contract.reduced):
        move = strides(contract, axis.name)
        if any(move.operand(side) in (0, 1) for side in sides):
            continue
        other = move.operand(1 - sides[0]) if len(sides) == 1 else None
        if move.out == 1 or (axis in contract.reduced and other == 1) or (axis in contract.free and other == 0):
            out.append(axis)
    return out


def _copy_cycles(contract: Contract, sides: tuple[int, ...], last: Axis) -> float:
    """What it costs two threads to copy operands into rows along `last`; short ones are copied no faster than a register's worth."""
    cycles = 0.0
    for side in sides:
        source = contract.right if side else contract.left
        used = [max(lengths(a, contract.free)) for a in (*contract.free, *contract.reduced) if coefficient(source.offset, a.name) != 0]
        move = coefficient(source.offset, last.name)
        cycles += math.prod(used) * (EVERY_CYCLES if isinstance(move, int) and 1 < move <= EVERY else COPY_CYCLES)
    return cycles / 2 * max(1.0, SHORT_ROW / guess(last.extent))


def _copied(
    contract: Contract, target: Target, prefix: str, most: float, *, sides: tuple[int, ...], along: str, pair: Pair
) -> Schedule | None:
    """The contraction with operands copied so that `along` is their last axis; None where copying takes half of `most` cycles."""
    axes = [_whole(a, contract.free) for a in (*contract.free, *contract.reduced)]
    last = next((a for a in axes if a.name == along), None)
    if last is None or _copy_cycles(contract, sides, last) >= most / 2:
        return None
    out = contract
    before: list[tuple[Stmt, ...]] = []
    scratch: list[Buffer] = []
    for side in sides:
        source = contract.right if side else contract.left
        name = f"{prefix}.{'right' if side else 'left'}"
        used = [a for a in axes if coefficient(source.offset, a.name) != 0 and a is not last]
        copy, buffer, moved, _ = _copy(source, [*used, last], name)
        before.append(copy)
        scratch.append(buffer)
        out = replace(out, right=moved) if side else replace(out, left=moved)
    way = _planned(normalise(out, pair), target, prefix, pair=pair)
    if way is None:
        return None
    plan = way.contract.plan
    assert isinstance(plan, Plan)
    # A copy has rows elsewhere, and is made by a loop that shares out those: what it is made of lies where it did.
    hidden = max(0.0, crossing(shape_of(contract, target), plan) - crossing(shape_of(way.contract, target), plan))
    beside = BARRIER + _copy_cycles(contract, sides, last)
    return replace(way, cycles=way.cycles + hidden + beside, beside=beside, before=tuple(before), scratch=(*way.scratch, *scratch))


def _whole(axis: Axis, free: Sequence[Axis]) -> Axis:
    """The axis from 0 on, over all steps that it has anywhere."""
    if axis.start == 0 and not varies(axis, free):
        return axis
    return Axis(axis.name, max(lengths(replace(axis, extent=axis.start + axis.extent), free)))


def _spread(contract: Contract, target: Target, prefix: str, most: float, *, sides: tuple[int, ...], pair: Pair) -> Schedule | None:
    """The contraction with operands copied so that their rows lie an odd number of cache lines apart; None where they do already."""
    out = contract
    before: list[tuple[Stmt, ...]] = []
    scratch: list[Buffer] = []
    cycles = 0.0
    for side in sides:
        source = contract.right if side else contract.left
        rows = _crowded_rows(contract, source)
        if rows is None:
            return None
        copy, buffer, moved, elements = rows.copied(source, f"{prefix}.{'right' if side else 'left'}")
        before.append(copy)
        scratch.append(buffer)
        cycles += elements * PLAIN_COPY_CYCLES / 2
        out = replace(out, right=moved) if side else replace(out, left=moved)
    if cycles >= most / 2:
        return None
    way = _planned(out, target, prefix, pair=pair)
    if way is None:
        return None
    beside = BARRIER + cycles
    return replace(way, cycles=way.cycles + beside, beside=beside, before=tuple(before), scratch=(*way.scratch, *scratch))


@dataclass(frozen=True)
class _Rows:
    """An operand's memory as rows `pitch` elements apart, of which the axis `along` runs over all that is read: how many rows there are,
    and at which of them a contraction reads."""

    pitch: int
    along: Axis
    count: Index
    at: Index

    def copied(self, source: Load, name: str) -> tuple[tuple[Stmt, ...], Buffer, Load, int]:
        """As `_copy` does."""
        width = _odd_lines(self.along.extent, source.type)
        row, column = symbol(f"{name}.row", 0, None), axis_symbol(self.along)
        store = Store(name, row * width + column, load(source.buffer, source.type, row * self.pitch + column))
        return (
            over((Axis(f"{name}.row", self.count), self.along), (store,)),
            Buffer(name, source.type, (self.count, width), Role.SCRATCH),
            load(name, source.type, self.at * width + column),
            guess(self.count) * guess(self.along.extent),
        )


def _crowded_rows(contract: Contract, source: Load) -> _Rows | None:
    """The rows of an operand, or pixels of images, where they lie so far apart that they share few sets; windows may read them several
    times."""
    crowded = CROWDED if len(contract.reduced) == 1 else CROWDED // 2
    axes = [_whole(a, contract.free) for a in (*contract.free, *contract.reduced)]
    moves = [(a, coefficient(source.offset, a.name)) for a in axes]
    along = [a for a, m in moves if m == 1]
    steps = [(a, m) for a, m in moves if m not in (0, 1)]
    if len(along) != 1 or not steps or not isinstance(along[0].extent, int):
        return None
    start = source.offset
    for axis, move in moves:
        if not isinstance(move, int) or move < 0:
            return None
        start = start - axis_symbol(axis) * move
    pitch = min(m for _, m in steps if isinstance(m, int))
    if not isinstance(start, int) or start < 0 or along[0].extent > pitch or pitch * TYPES[source.type].itemsize % crowded:
        return None
    if start % pitch or any(m % pitch for _, m in steps if isinstance(m, int)):
        return None
    at: Index = start // pitch
    last: Index = at
    for axis, move in steps:
        assert isinstance(move, int)
        at = at + axis_symbol(axis) * (move // pitch)
        last = last + (axis.extent - 1) * (move // pitch)
    return _Rows(pitch, along[0], maximum(0, last + 1), at)


def _odd_lines(columns: Index, type_: str) -> Index:
    """As many columns as make an odd number of cache lines, so that rows spread over all sets."""
    line = 64 // TYPES[type_].itemsize
    return columns + line if isinstance(columns, int) and columns % (2 * line) == 0 else columns


def _copy(source: Load, order: list[Axis], name: str) -> tuple[tuple[Stmt, ...], Buffer, Load, int]:
    """A phase that copies an operand into rows of the last axis, the buffer it fills, the load that replaces the operand's, and how many
    elements are copied."""
    width = _odd_lines(order[-1].extent, source.type)
    offset: Index = 0
    for n, axis in enumerate(order):
        offset = offset * (width if n == len(order) - 1 else axis.extent) + axis_symbol(axis)
    return (
        over(order, (Store(name, offset, source),)),
        Buffer(name, source.type, (*(a.extent for a in order[:-1]), width), Role.SCRATCH),
        load(name, source.type, offset),
        math.prod(guess(a.extent) for a in order),
    )


# -- cut reductions -------------------------------------------------------------------------------------------------------------------


def _cut(contract: Contract, target: Target, prefix: str, most: float = math.inf, *, pair: Pair) -> Schedule | None:
    """The contraction with its longest reduced axis in PARTS parts, or more; None where there are results enough for all threads."""
    results = 1
    for axis in contract.free:
        results *= guess(axis.extent)
    terms = 1
    for axis in contract.reduced:
        terms *= guess(axis.extent)
    if contract.left.type == "f16" or results * terms < WORTH_CUTTING or results > 4096 or terms < 512:
        return None
    long = max(contract.reduced, key=lambda a: guess(a.extent) if isinstance(a.extent, int) else 1 << 30)
    parts = even_parts(long.extent, PARTS, sum(_reach(contract, source) for source in (contract.left, contract.right)))
    if guess(long.extent) < parts or varies(long, contract.free) or long.name in pair:
        return None
    partly, after, buffer = _in_parts(contract, long, parts, prefix)
    way = _planned(partly, target, prefix, pair=pair)
    if way is None:
        return None
    return replace(way, cycles=way.cycles + BARRIER + results * parts / 8, after=after, scratch=(*way.scratch, buffer))


def _reach(contract: Contract, source: Load) -> int:
    """Bytes from the first element of an operand that is read to the last."""
    moves = ((coefficient(source.offset, a.name), a.extent) for a in (*contract.free, *contract.reduced))
    return TYPES[source.type].itemsize * sum(guess(m) * (guess(extent) - 1) for m, extent in moves if m is not None and m != 0)


def _in_parts(contract: Contract, long: Axis, parts: int, prefix: str) -> tuple[Contract, Phases, Buffer]:
    """The contraction with a reduced axis in `parts` parts, each with sums of its own, the phase that adds these up, and where they are."""
    part = Axis(PART, parts)
    step = ceildiv(long.extent, parts)
    begin = axis_symbol(part) * step
    length = step if long.extent == step * parts else maximum(0, minimum(step, long.extent - begin))
    reduced = tuple(Axis(a.name, length) if a is long else a for a in contract.reduced)
    inner = symbol(long.name, 0, step - 1 if isinstance(step, int) else None)
    sums = f"{prefix}.parts"
    size = product(a.extent for a in contract.free)
    where: Index = 0
    for axis in contract.free:
        where = where * axis.extent + axis_symbol(axis)
    type_ = contract.left.type
    store = Store(sums, axis_symbol(part) * size + where, local("acc", type_))
    moved = rewrite(replace(contract, epilogue=(store,)), {long.name: begin + inner})
    buffer = Buffer(sums, type_, (parts, *(a.extent for a in contract.free)), Role.SCRATCH)
    total: Expr | None = None
    for n in range(parts):
        term = load(sums, type_, where + n * size)
        total = term if total is None else total + term
    assert total is not None
    last = over(contract.free, (Let("acc", total), *contract.epilogue))
    return replace(moved, free=(part, *contract.free), reduced=reduced), (last,), buffer
