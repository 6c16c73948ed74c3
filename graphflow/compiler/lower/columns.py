"""Column groups: reductions whose last axis is kept, such as the gradient of a bias, several of them over one index space together.

The lanes run along the last axis. The reduced range is cut into a fixed number of parts, whatever the number of threads; a second phase
combines the parts and computes what follows from the sums. Where the kept axes are too short to fill the lanes (six channels), several
neighbouring rows are taken side by side, as columns of their own that the second phase adds up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from graphflow.compiler.groups import unit
from graphflow.compiler.lower.narrow import within_reach
from graphflow.compiler.lower.nest import Axis, axes_of, indices_in, innermost, merge, offsets_of, renamed, tree
from graphflow.compiler.lower.pointwise import Phases, domain_nest, element
from graphflow.compiler.lower.rows import lower_wide, split_shape
from graphflow.compiler.lower.scope import CannotFuse, Reader, Scope
from graphflow.compiler.lower.split import split
from graphflow.graph.op import Kind
from graphflow.kernel.expr import Expr, call, const, load, local, replace
from graphflow.kernel.index import Index, ceildiv, maximum, minimum, product, substitute, symbol
from graphflow.kernel.nodes import Accumulate, Buffer, Let, Loop, Mode, Set, Stmt, Store, Var
from graphflow.ops.core import identity_of
from graphflow.ops.families import ravel

if TYPE_CHECKING:
    from graphflow.compiler.llvm.target import Target

PARTS = 16
SERIAL_BELOW = 8192  # elements that one thread reduces alone
NEAR = 4096  # elements of one operand that a block of rows has
NARROW = 16  # kept elements of a row that fill the lanes; rows of other numbers, up to four times as many, are taken side by side
WIDE = 256  # most elements side by side


class Term(NamedTuple):
    """One sum: its local's name, how it combines, where it is kept between blocks of rows, and what is added at a point."""

    name: str
    combine: str
    buffer: Buffer
    place: Index
    value: Expr


def lower_columns(scope: Scope) -> Phases:
    """The phases of a column group."""
    if (wide := lower_wide(scope)) is not None:
        return wide
    nodes = scope.group.nodes
    reduces = [n for n in nodes if n.op.kind is Kind.REDUCTION]
    shape = reduces[0].inputs[0].shape
    axes: Any = reduces[0].op.axes  # type: ignore[attr-defined]
    kept = tuple(split_shape(reduces[0])[0])
    for other in reduces[1:]:
        if other.inputs[0].shape != shape or other.op.axes != axes:  # type: ignore[attr-defined]
            raise CannotFuse("reductions over different axes")
    sums = {n.outputs[0].id for n in reduces}
    dependent = set(sums)
    for node in nodes:
        if any(v.id in dependent for v in node.inputs):
            if node.outputs[0].id in sums:
                raise CannotFuse("a reduction depends on another one")
            dependent.update(v.id for v in node.outputs)
    columns = [v for v in scope.group.outputs if v.size == product(kept)]
    full = [v for v in scope.group.outputs if v.size != product(kept)]
    if any(v.size != product(shape) or v.id in dependent for v in full):
        raise CannotFuse("an output has another shape")
    reader = Reader(scope, nodes)
    loops, index = axes_of(shape, "i")
    loops, index, beside, side = _side_by_side(shape, axes, [reader.at(n.inputs[0], index) for n in reduces], loops, index, scope.machine)
    total = product(shape)
    leading = next(a for a in range(len(shape)) if a in axes and not unit(shape[a]))
    outer = [a for a in loops if a.name != "s" and int(a.name[1:]) < leading]
    head = shape[leading]
    parts = 1 if outer or (isinstance(total, int) and total <= SERIAL_BELOW) else _parts(scope, head, bool(full))
    if isinstance(head, int) and leading + 1 < len(shape) and leading + 1 not in axes:
        parts = max(1, min(parts, head))
    part: Index = symbol("p", 0, parts - 1) if parts > 1 else 0
    before = sum(a not in axes for a in range(leading))
    around, within = kept[:before], kept[before:]  # of the rows that are reduced
    places = tuple(i for a, i in enumerate(index) if a not in axes)
    size = beside * product(kept)
    group, width = ravel(places[:before], around), product(within)
    at = (group * beside + side) * width + ravel(places[before:], within)
    partial: list[Buffer] = []
    terms: list[Term] = []
    ends: list[Stmt] = []  # what adds up the rows side by side of each group of reduced ones, right after them
    between: list[Stmt] = []  # and of all, in a phase of its own
    for node in reduces:
        type_ = node.inputs[0].dtype.kernel_type
        assert type_ is not None
        combine: str = node.op.combine  # type: ignore[attr-defined]
        buffer = scope.scratch(type_, (parts, *around, beside, *within))
        place = part * size + at
        terms.append(Term(scope.name("t", node), combine, buffer, place, reader.at(node.inputs[0], index)))
        if beside > 1 and product(around) != 1:
            totals = scope.scratch(type_, kept)
            ends += _gathered(scope, combine, beside, width, (buffer, group * beside * width), (totals, group * width))
            buffer = totals
        elif beside > 1:
            between += _gathered(scope, combine, parts * beside, width, (buffer, 0), (buffer, 0))
        partial.append(buffer)
    lets: list[Stmt] = []
    writes: list[Stmt] = []
    for value in full:
        expr = element(reader, value, shape, index)
        name = scope.name("t")
        lets.append(Let(name, expr))
        writes.append(Store(scope.target(value).name, ravel(index, shape), local(name, expr.type)))
        terms = [t._replace(value=local(name, expr.type)) if t.value is expr else t for t in terms]
    first = split(_accumulation(loops, frozenset(f"i{a}" for a in axes), terms, lets, writes, len(outer), parts, ends), scope.machine)

    def combined(buffer: Buffer, combine: str, count: int) -> Any:
        def value(offset: Index) -> Expr:
            return tree(combine, [load(buffer.name, buffer.type, offset + k * product(kept)) for k in range(count)])

        return value

    for node, buffer in zip(reduces, partial, strict=True):
        combine = node.op.combine  # type: ignore[attr-defined]
        reader.fix(node.outputs[0], combined(buffer, combine, 1 if beside > 1 else parts))
    phases = [first, tuple(between)] if between else [first]
    return [*phases, domain_nest(scope, reader, columns)] if columns else phases


def _parts(scope: Scope, head: Index, writes: bool) -> int:
    """In how many parts the reduced range is cut: a number that leaves threads equally many of the outermost axis' steps. Where what is
    summed is written, too, so many that a part of it stays near for whoever goes on with it: the gradient of a filter is summed in the same
    parts then, mostly."""
    from graphflow.compiler.contract import even_parts  # the cost model is needed only where something is compiled

    moved = sum((v.size * v.dtype.size for v in (*scope.group.inputs, *scope.group.outputs)), start=0)
    return even_parts(head, PARTS // 2, moved) if writes else even_parts(head, PARTS, 0)


def _side_by_side(
    shape: Sequence[Index], axes: Sequence[int], values: Sequence[Expr], loops: tuple[Axis, ...], index: tuple[Index, ...],
    target: Target,
) -> tuple[tuple[Axis, ...], tuple[Index, ...], int, Index]:  # fmt: skip
    """The loops and the index with neighbouring rows of few elements side by side, how many these are, and which of them an element is
    in. Where `values` are not read along both axes as along one, the lanes run through both (lower/narrow.py)."""
    last = max(axes)
    row = next((k for k, a in enumerate(loops) if a.name == f"i{last}"), len(loops))
    divided = len(merge(loops[row:], indices_in(values))[0]) > 1
    beside = _beside(shape, axes, fewest=divided)
    if beside == 1 or row == len(loops):
        return loops, index, 1, 0
    inner, behind = loops[row + 1 :], index[last + 1 :]
    extent = shape[last]
    assert isinstance(extent, int)
    steps = extent // beside
    if divided:
        if len(inner) != 1 or not within_reach(values, f"i{last}", inner[0], target):
            return loops, index, 1, 0
        few = inner[0].extent
        assert isinstance(few, int)
        lane = symbol("s", 0, beside * few - 1)
        side, inner, behind = lane // few, (Axis("s", beside * few),), tuple(substitute(i, {inner[0].name: lane % few}) for i in behind)
    else:
        side = symbol("s", 0, beside - 1)
        inner = (Axis("s", beside), *inner)
    first = symbol(f"i{last}", 0, steps - 1) * beside if steps > 1 else 0
    rows = (Axis(f"i{last}", steps),) if steps > 1 else ()
    return (*loops[:row], *rows, *inner), (*index[:last], first + side, *behind), beside, side


def _beside(shape: Sequence[Index], axes: Sequence[int], fewest: bool) -> int:
    """How many neighbouring rows fill the lanes well together, the most or the fewest; 1 where one row does so or nothing can be done. Of
    groups of rows, each of which is added up on its own, as many as take the fewest instructions."""
    end = axes[-1] + 1
    kept, last = product(shape[end:]), shape[end - 1]
    if tuple(axes) != tuple(range(axes[0], end)) or not isinstance(kept, int) or not isinstance(last, int):
        return 1
    if not 0 < kept < 4 * NARROW or kept % NARROW == 0:
        return 1
    group = product(shape[axes[0] : end]) if product(shape[: axes[0]]) != 1 else None

    def filled(rows: int) -> float:
        return rows * kept / (-(-rows * kept // NARROW) * NARROW)

    def instructions(rows: int) -> float:
        assert isinstance(group, int)
        return group // rows * -(-rows * kept // NARROW) + 2 * (rows - 1) * -(-kept // NARROW)

    choices = [n for n in range(1, min(last, WIDE // kept) + 1) if last % n == 0]
    if isinstance(group, int):
        return min(choices, key=instructions, default=1)
    return max(choices, key=lambda n: (round(filled(n), 2), -n if fewest else n), default=1)


def _gathered(
    scope: Scope, combine: str, rows: int, size: Index, source: tuple[Buffer, Index], target: tuple[Buffer, Index]
) -> tuple[Stmt, ...]:
    """Combine `rows` rows of `size` sums that begin at a place of a buffer into one."""
    row, at = symbol("q", 0, rows - 2) + 1, symbol("c")
    (buffer, begin), (totals, place) = source, target
    name = scope.name("t")
    total = local(name, buffer.type)
    more = Set(name, call(combine, total, load(buffer.name, buffer.type, begin + row * size + at)))
    loop, end = Loop("q", rows - 1, Mode.SERIAL, (more,)), Store(totals.name, place + at, total)
    return (Loop("c", size, Mode.VECTOR, (Var(name, load(buffer.name, buffer.type, begin + at)), loop, end)),)


def _accumulation(loops: tuple[Axis, ...], reduced: frozenset[str], terms: Sequence[Term], lets: Sequence[Stmt],
                  writes: Sequence[Stmt], outer: int, parts: int, ends: Sequence[Stmt]) -> tuple[Stmt, ...]:  # fmt: skip
    """Set the sums to the identity, then run through the index space. The first `outer` loops are kept axes: groups of rows of their own,
    each followed by `ends`."""
    shared, rest = loops[:outer], loops[outer:]
    kept = tuple(a for a in rest if a.name not in reduced)
    clear = innermost(kept, [Store(t.buffer.name, t.place, const(identity_of(t.combine, t.value.type), t.value.type)) for t in terms])
    # Everything is computed before anything is stored: an output may share memory with an input read at the same place.
    added: list[Stmt] = [Let(t.name, call(t.combine, load(t.buffer.name, t.value.type, t.place), t.value)) for t in terms]
    body = [*lets, *added, *(Store(t.buffer.name, t.place, local(t.name, t.value.type)) for t in terms), *writes]
    if parts == 1:
        stmts: tuple[Stmt, ...] = (*clear, *_in_registers(rest, reduced, terms, lets, writes, body), *ends)
        if len(shared) == 0:
            return stmts
        axis = shared[0]
        for other in reversed(shared[1:]):
            stmts = (Loop(other.name, other.extent, Mode.SERIAL, stmts),)
        return (Loop(axis.name, axis.extent, Mode.PARALLEL, stmts),)
    axes, env = merge(rest, offsets_of(body))
    head = axes[0]
    part = symbol("p", 0, parts - 1)
    step = ceildiv(head.extent, parts)
    length = maximum(minimum(step, head.extent - part * step), 0)
    env = {name: substitute(index, {head.name: part * step + symbol(head.name)}) for name, index in env.items()}
    env.setdefault(head.name, part * step + symbol(head.name))
    body, lets, writes = ([renamed(s, env) for s in stmts] for stmts in (body, lets, writes))
    terms = [t._replace(place=substitute(t.place, env), value=replace(t.value, env)) for t in terms]
    inner = _in_registers((Axis(head.name, length), *axes[1:]), reduced, terms, lets, writes, body)
    return (Loop("p", parts, Mode.PARALLEL, (*clear, *inner)),)


def _in_registers(axes: tuple[Axis, ...], reduced: frozenset[str], terms: Sequence[Term], lets: Sequence[Stmt],
                  writes: Sequence[Stmt], body: Sequence[Stmt]) -> tuple[Stmt, ...]:  # fmt: skip
    """The accumulation with the sums of one vector of columns in registers for as many rows as stay in the first cache meanwhile; by
    `body`, with sums in memory, where the axes allow no such order."""
    merged, env = merge(axes, offsets_of(body))
    if len(merged) < 2 or merged[-1].name in reduced or any(a.name not in reduced for a in merged[:-1]):
        return innermost(axes, body)
    lets, writes = ([renamed(s, env) for s in stmts] for stmts in (lets, writes))
    terms = [t._replace(place=substitute(t.place, env), value=replace(t.value, env)) for t in terms]
    row, lane = merged[-2:]
    begin = [Var(t.name, load(t.buffer.name, t.value.type, t.place)) for t in terms]
    end = [Store(t.buffer.name, t.place, local(t.name, t.value.type)) for t in terms]
    each = (*lets, *(Accumulate(t.name, t.combine, t.value) for t in terms), *writes)
    width = lane.extent if isinstance(lane.extent, int) else 512
    block = max(8, NEAR // max(width, 1))
    outer = list(merged[:-2])
    if not isinstance(row.extent, int) or row.extent > 2 * block:
        first = symbol("q") * block
        count = minimum(row.extent - first, block)
        each = tuple(renamed(s, {row.name: first + symbol(row.name)}) for s in each)
        outer.append(Axis("q", ceildiv(row.extent, block)))
        row = Axis(row.name, count)
    stmts: tuple[Stmt, ...] = (Loop(lane.name, lane.extent, Mode.VECTOR, (*begin, Loop(row.name, row.extent, Mode.SERIAL, each), *end)),)
    for axis in reversed(outer):
        stmts = (Loop(axis.name, axis.extent, Mode.SERIAL, stmts),)
    return stmts
