"""Contraction groups: one sum of products and the elementwise work on its result, computed where the sum still is in registers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product as combinations
from typing import TYPE_CHECKING, Any

from graphflow.compiler.groups import Group, unit
from graphflow.compiler.lower import nest
from graphflow.compiler.lower.nest import axes_of, parallel_nest
from graphflow.compiler.lower.overlap import Priced, overlap_adds, overlapping
from graphflow.compiler.lower.pointwise import Phases, side_by_side, stores
from graphflow.compiler.lower.scope import CannotFuse, Reader, Scope
from graphflow.compiler.lower.split import relabelled, split
from graphflow.compiler.lower.windows import Comb, combs_of, window_of
from graphflow.compiler.lower.winograd import winograd
from graphflow.compiler.program import Node, Value
from graphflow.kernel.expr import TYPES, Load, load, local
from graphflow.kernel.index import Index, evaluate, maximum, symbol
from graphflow.kernel.nodes import Axis, Buffer, Contract, Let, Role, Stmt, Store
from graphflow.ops.families import ravel

if TYPE_CHECKING:
    from graphflow.compiler.contract.plan import Spans
    from graphflow.compiler.contract.schedule import Schedule

PREFIX = "w"  # of scratch buffers
PADDED = f"{PREFIX}.padded"  # the left operand inside its border of zeros, where that is made in the same kernel
# What overlap-add must cost at most, of the price of a contraction with a border, where there are fused multiply-adds and where there are
# none: that price is too high where lanes are added up across, and of products without them too low.
OVERLAP_WORTH = {True: 0.88, False: 0.7}
APART_WORTH = 0.97  # of the price in one piece: code for two has to be compiled
WORTH = 0.03  # part of the products, for which it is worth while to leave some out


def lower_contraction(scope: Scope, target: Any) -> Phases:
    """The phases of a contraction group, tiled for `target`."""
    contract = unplanned(scope)
    root = scope.group.root
    assert root is not None
    combs = combs_of(root.op)
    if combs:
        rows = list(row_by_row(contract, root.op, combs))
        some = [c for c in rows if not _empty(c)] or rows[:1]  # a window without taps leaves one to make zeros
        some[0] = _with_results_of_nothing(some[0], [c for c in rows if _empty(c) and c is not some[0]])
        cut = [_without_last_rows(c, spans(c, root.op)) for c in some]
        each = [_scheduled(c, spans(c, root.op), target, f"{PREFIX}{n}") for n, (c, _) in enumerate(cut)]
        nothing = [_of_nothing(scope, rest) for _, rests in cut for rest in rests]
        joined = [_joined([part for _, part in parts]) for parts in each]
        scope.adopt([buffer for way in joined for buffer in way.scratch])
        return [*(phase for way in joined for phase in way.phases), *nothing]
    inside = spans(contract, root.op)
    halo = made_inside(scope.group, 0)
    operand = root.inputs[0] if halo is None else halo.inputs[0]
    ways = list(winograd(contract, root.op, halo, operand, scope.source(operand), target, PREFIX))
    if not ways or ways[0].cycles > _least(contract, inside, target):
        parts = _scheduled(contract, inside, target, PREFIX)
        if halo is None:
            ways.append(_joined([part for _, part in parts]))
        else:
            ways += _bordered(scope, contract, parts, halo, inside, target)
            ways += overlap_adds(contract, root.op, overlapping(root, halo), scope.source(operand), target, PREFIX)
    way = min(ways, key=lambda w: w.cycles)
    scope.adopt(way.scratch)
    return list(way.phases)


def _least(contract: Contract, inside: Spans, target: Any) -> float:
    """What a contraction's products, but for those with a border of zeros, cost two threads at least: two registers of them a cycle."""
    from graphflow.compiler.contract.cuts import guess

    if target.tiles:
        return 0.0
    products = float(math.prod(guess(a.extent) for a in (*contract.free, *contract.reduced)))
    for (_, tap), span in inside.items():
        products *= span.part(next(guess(a.extent) for a in contract.reduced if a.name == tap))
    lanes: int = target.lanes(contract.left.type)
    return products / (4 * lanes)


def _bordered(
    scope: Scope, contract: Contract, parts: Sequence[tuple[Contract, Schedule]], halo: Node, inside: Spans, target: Any
) -> Iterator[Priced]:
    """Ways to compute a contraction whose left operand has a border that does not exist in memory: as it is scheduled, where that reads
    nothing of the border, or else after making it; and over what lies inside, which takes apart what would be one loop."""
    worth = OVERLAP_WORTH[target.fma]

    def short(of: Sequence[tuple[Contract, Schedule]]) -> list[Schedule]:
        found = [_unbordered(scope, *pair, halo, inside) for pair in of]
        return [part for part in found if part is not None] if all(found) else []

    if some := short(parts):
        way = _joined(some)
        yield way._replace(cycles=way.cycles * worth)
        return
    padded, cycles = _padded(scope, halo)
    way = _joined([part for _, part in parts])
    room = Buffer(PADDED, contract.left.type, halo.outputs[0].shape, Role.SCRATCH)
    yield Priced((way.cycles + cycles) * worth, (padded, *way.phases), (*way.scratch, room))
    cut = {tap: span.axis for (_, tap), span in inside.items()}
    within = replace(contract, reduced=tuple(cut.get(a.name, a) for a in contract.reduced))
    some = short(_scheduled(within, {}, target, PREFIX))
    if some and not any(_images(part) for part in some):
        way = _joined(some)
        yield way._replace(cycles=way.cycles * worth)


def _scheduled(contract: Contract, inside: Spans, target: Any, prefix: str) -> list[tuple[Contract, Schedule]]:
    """The cheapest way to compute a contraction: in one piece; or the columns of results that fill whole registers, and those beyond,
    which mostly do better along other lanes."""
    from graphflow.compiler.contract import schedule_contract  # the cost model is needed only where something is compiled
    from graphflow.compiler.contract.analyse import strides
    from graphflow.compiler.contract.cuts import varies

    def scheduled(part: Contract, name: str) -> tuple[Contract, Schedule]:
        return part, schedule_contract(part, target, name, without_borders(part, inside), inside)

    whole = scheduled(contract, prefix)
    lanes = target.lanes("f32" if contract.left.type == "f16" else contract.left.type)
    columns = [a for a in contract.free if a.extent != 1 and strides(contract, a.name).out == 1]
    if len(columns) != 1 or not isinstance(n := columns[0].extent, int) or n < lanes or n % lanes == 0:
        return [whole]
    if any(row == columns[0].name for row, _ in inside) or any(varies(a, columns) for a in contract.reduced):
        return [whole]  # they are positions of windows: which products there are depends on where they begin
    name, full = columns[0].name, n - n % lanes
    if contract.left.buffer == PADDED and strides(contract, name).left != 0:
        return [whole]
    ranges = ((0, full), (full, n - full))
    apart = [scheduled(_part_of(contract, name, *some), f"{prefix}.{number}") for number, some in enumerate(ranges)]
    return apart if sum(part.cycles for _, part in apart) < APART_WORTH * whole[1].cycles else [whole]


def _joined(parts: Sequence[Schedule]) -> Priced:
    """Contractions that need nothing of each other as one way to compute them all."""
    before, after = [phase for p in parts for phase in p.before], [phase for p in parts for phase in p.after]
    scratch = tuple(buffer for p in parts for buffer in p.scratch)
    return Priced(sum(p.cycles for p in parts), (*before, tuple(p.contract for p in parts), *after), scratch)


def row_by_row(contract: Contract, op: Any, combs: Sequence[Comb]) -> Iterator[Contract]:
    """A contraction for each of the rows of all combs, over the taps that it has."""
    from graphflow.compiler.contract.analyse import rewrite

    for rows in combinations(*(range(op.extents[c.row]) for c in combs)):
        env: dict[str, Index] = {f"f{c.row}": row for c, row in zip(combs, rows, strict=True)}
        first = {f"k{c.tap}": c.first_tap(row) for c, row in zip(combs, rows, strict=True)}
        reduced = tuple(Axis(a.name, a.extent - first.get(a.name, 0)) for a in contract.reduced)
        env.update((name, symbol(name) + start) for name, start in first.items())
        yield replace(rewrite(contract, env), free=tuple(a for a in contract.free if a.name not in env), reduced=reduced)


def _empty(contract: Contract) -> bool:
    """Whether nothing is summed: no tap meets these rows."""
    return any(a.extent == 0 for a in contract.reduced)


def _with_results_of_nothing(contract: Contract, empty: Sequence[Contract]) -> Contract:
    """The contraction whose epilogue makes also the results of empty ones with the same free axes: they are neighbours of its own (pixels
    that a step of the window passes over), so that whole pieces of memory are written in one go."""
    epilogue = list(contract.epilogue)
    for n, other in enumerate(empty):
        assert other.free == contract.free
        own = other.of_nothing()
        names = {s.name: f"{s.name}.{n}" for s in own if isinstance(s, Let)}
        epilogue += [relabelled(s, names) for s in own]
    return replace(contract, epilogue=tuple(epilogue))


def _without_last_rows(contract: Contract, inside: Spans) -> tuple[Contract, list[Contract]]:
    """The contraction without its last rows whose windows lie in a border of zeros altogether, and these rows: a window's step may not
    divide the image."""
    rests = []
    for (row, _), span in inside.items():
        many = len(span.steps)
        some = max((n + 1 for n, (begin, end) in enumerate(span.steps) if begin < end), default=many)
        if some < many:
            rests.append(_part_of(contract, row, some, many - some))
            contract = replace(contract, free=tuple(Axis(a.name, some) if a.name == row else a for a in contract.free))
    return contract, rests


def _part_of(contract: Contract, name: str, first: int, many: int) -> Contract:
    """`many` steps of a contraction along a free axis from the given one on."""
    from graphflow.compiler.contract.analyse import rewrite

    moved = rewrite(contract, {name: symbol(name, 0, many - 1) + first})
    return replace(moved, free=tuple(Axis(a.name, many) if a.name == name else a for a in contract.free))


def _of_nothing(scope: Scope, contract: Contract) -> tuple[Stmt, ...]:
    """The results of a contraction with nothing to sum."""
    axes = [nest.Axis(a.name, a.extent) for a in contract.free]
    return split(parallel_nest(axes, contract.of_nothing()), scope.machine)


def made_inside(group: Group, side: int) -> Node | None:
    """The movement that puts a border around an operand, where that does not exist in memory (see passes/fuse.py)."""
    assert group.root is not None
    operand = group.root.inputs[side]
    made = operand.known is None and all(v.id != operand.id for v in group.inputs)
    return next((n for n in group.nodes if n.outputs[0].id == operand.id and n.op.type == "Halo"), None) if made else None


def _padded(scope: Scope, halo: Node) -> tuple[tuple[Stmt, ...], float]:
    """The phase that makes an operand with its border, and what it costs two threads."""
    from graphflow.compiler.contract.cuts import guess
    from graphflow.compiler.contract.schedule import BARRIER, PLAIN_COPY_CYCLES

    value = halo.outputs[0]
    axes, index = axes_of(value.shape, "h")
    store = Store(PADDED, ravel(index, value.shape), Reader(scope, [halo]).at(value, index))
    return split(parallel_nest(axes, [store]), scope.machine), BARRIER + guess(value.size) * PLAIN_COPY_CYCLES / 2


def _images(part: Schedule) -> bool:
    """Whether rows of tiles lie in pages of their own, as images do: windows meet few of their pixels in the caches then, and how many rows
    there are is mostly known only at run time."""
    from graphflow.compiler.contract.analyse import strides
    from graphflow.compiler.contract.traffic import PAGE

    rows, _ = part.tile
    move = strides(part.contract, rows).left if rows else 0
    return not isinstance(move, int) or abs(move) * TYPES[part.contract.left.type].itemsize >= PAGE


def _unbordered(scope: Scope, contract: Contract, best: Schedule, halo: Node, known: Spans) -> Schedule | None:
    """The schedule over the left operand without the border, where nothing of that is read: each window is along the rows of tiles, which
    leave out the taps that lie outside, or has a loop of its own, which begins and ends for each row of the result as they do. None where
    the plan is another."""
    from graphflow.compiler.contract.plan import Plan

    planned, plan = best.contract, best.contract.plan
    assert isinstance(plan, Plan) and scope.group.root is not None
    op: Any = scope.group.root.op
    borders = sum(edges != (0, 0) for edges in zip(halo.op.low, halo.op.high, strict=True))  # type: ignore[attr-defined]
    if len(known) != borders or planned.left.buffer != PADDED or plan.matrix or plan.packed:
        return None
    window = plan.window[0] if plan.window else ""
    whole = {window, plan.fold[0] if plan.fold else "", plan.dot, plan.block[0] if plan.block else ""}
    for row, tap in known:
        along = plan.spans and (row, tap) == (plan.rows, window)
        if not along and (row not in plan.outer or tap not in plan.order or tap in whole):
            return None
    cut = {tap: span.axis for (_, tap), span in known.items()}
    axes = [*contract.free, *(cut.get(a.name, a) for a in contract.reduced)]
    if [*planned.free, *(cut.get(a.name, a) for a in planned.reduced)] != axes:
        return None  # some are one axis, or one is several
    at = {a.name: symbol(a.name) for a in axes}
    x = halo.inputs[0]
    index = [sum((at.get(f"{'f' if a < op.free else 'k'}{a}", 0) * c for a, c in terms), start=constant) for terms, constant in op.left]
    inside = [i - low for i, low in zip(index, halo.op.low, strict=True)]  # type: ignore[attr-defined]
    left = load(scope.source(x).name, planned.left.type, ravel(tuple(inside), x.shape))
    return replace(best, contract=replace(planned, left=left, reduced=tuple(axes[len(contract.free) :])))


def unplanned(scope: Scope) -> Contract:
    """The contraction with its epilogue, not tiled yet."""
    group = scope.group
    root = group.root
    assert root is not None
    free_count: int = root.op.free  # type: ignore[attr-defined]
    extents: tuple[Index, ...] = root.op.extents  # type: ignore[attr-defined]
    free, index = axes_of(extents[:free_count], "f")
    taps = [c.tap for c in combs_of(root.op)]  # of which some rows have one less, or none
    reduced = [Axis(f"k{a}", e) for a, e in enumerate(extents) if a >= free_count and (a in taps or not unit(e))]
    at: list[Index] = list(index)
    for a, e in enumerate(extents[free_count:], free_count):
        at.append(0 if unit(e) and a not in taps else symbol(f"k{a}", 0, e - 1 if isinstance(e, int) else None))
    result = root.outputs[0]
    type_ = result.dtype.kernel_type
    assert type_ is not None
    reader = Reader(scope, group.nodes)
    sum_at = ravel(index, result.shape)

    def total(offset: Index) -> Any:
        if offset != sum_at:
            raise CannotFuse(f"the sum is needed at {offset}, it is there at {sum_at}")
        return local("acc", type_)

    reader.fix(result, total)
    outputs, places = side_by_side(scope, index)
    if any(v.size != result.size for v in outputs):
        raise CannotFuse("an output of the epilogue has another shape")
    epilogue = stores(scope, reader, outputs, result.shape, index, places)
    left, right = (_operand(scope, root, n, at) for n in (0, 1))
    return Contract(tuple(Axis(a.name, a.extent) for a in free), tuple(reduced), left, right, tuple(epilogue))


def _operand(scope: Scope, root: Node, number: int, at: list[Index]) -> Load:
    value: Value = root.inputs[number]
    border = made_inside(scope.group, number)
    if border is not None and number == 1:  # no tap of a comb reads it
        value, border = border.inputs[0], None
    forms: Any = root.op.left if number == 0 else root.op.right  # type: ignore[attr-defined]
    index = tuple(sum((at[a] * c for a, c in terms), start=constant) for terms, constant in forms)
    type_ = value.dtype.kernel_type
    assert type_ is not None
    return load(PADDED if border else scope.source(value).name, type_, ravel(index, value.shape))


def without_borders(contract: Contract, inside: Spans) -> Iterator[Contract]:
    """The contraction without products with a border of zeros: for each window that reaches into one, its axis cut to what lies inside.

    What is left out is so many rows for each row of the result; a tile whose rows differ in that could not do it, but for a window all of
    which stands in one iteration (`schedule_contract`).
    """
    for (_, tap), span in inside.items():
        taps = next(a.extent for a in contract.reduced if a.name == tap)
        assert isinstance(taps, int)
        if span.part(taps) <= 1 - WORTH:
            yield replace(contract, reduced=tuple(span.axis if a.name == tap else a for a in contract.reduced))


def spans(contract: Contract, op: Any) -> Spans:
    """For the free and the reduced axis of each window of a contraction, or of one of the rows of a comb, that reaches into a border of
    zeros: the taps inside, for each row."""
    from graphflow.compiler.contract.plan import Span

    extents = {a.name: a.extent for a in contract.reduced}
    free = {a.name: a.extent for a in contract.free}
    found = {}
    for (terms, constant), size in op.inside:
        window = window_of(op, 0, terms, constant, size)
        if window is None:
            continue
        row, tap = f"f{window.row}", f"k{window.tap}"
        many, taps = free.get(row), extents.get(tap)
        if not isinstance(many, int) or not isinstance(taps, int):
            continue
        first = op.extents[window.tap] - taps  # the first tap that a row of a comb has
        edges = window.taps_inside(symbol(row, 0, many - 1), first + taps)
        start, end = (maximum(0, edge - first) if first else edge for edge in edges)
        steps = tuple([(evaluate(start, {row: n}), evaluate(end, {row: n})) for n in range(many)])
        if all(begin <= stop for begin, stop in steps):
            found[row, tap] = Span(Axis(tap, end - start, start), steps)
    return found
