"""Groups of elementwise ops and movements: one loop nest over one index space."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from graphflow.compiler.groups import Group, beside, unit
from graphflow.compiler.lower.nest import Axis, axes_of, broken, parallel_nest
from graphflow.compiler.lower.scope import CannotFuse, Reader, Scope
from graphflow.compiler.lower.split import blocked, split, takes_blocks
from graphflow.compiler.program import Node, Value
from graphflow.graph.op import Kind
from graphflow.kernel.expr import Const, Expr, Local, guarded, local, within
from graphflow.kernel.index import Index, product
from graphflow.kernel.nodes import Let, Loop, Mode, Stmt, Store
from graphflow.ops import core
from graphflow.ops.families import ravel

Phases = list[tuple[Stmt, ...]]


def lower_pointwise(scope: Scope) -> Phases:
    """The phases of a pointwise group."""
    group = scope.group
    reader = Reader(scope, group.nodes)
    made = {v.id for n in group.nodes if n.op.kind is Kind.ELEMENTWISE for v in n.outputs}
    for join in joins_of(group):
        if all(v.id in made for v in join.inputs) and beside(join):
            shape = join.inputs[0].shape
            axes, index = axes_of(shape, "i")
            outputs, places = side_by_side(scope, index)
            return [split(parallel_nest(*blocked(axes, stores(scope, reader, outputs, shape, index, places))), scope.machine)]
    joined = _joined(scope)
    if joined is not None:
        return _parts(scope, *joined)
    framed = border_of(group.nodes, group.outputs)
    if framed is not None:
        return [_framed_nest(scope, reader, framed)]
    return [domain_nest(scope, reader, group.outputs)]


def border_of(nodes: Iterable[Node], outputs: Collection[Value]) -> Node | None:
    """The node that puts a border around what one output is made of, where all other outputs have the shape without it."""
    stored = {v.id for v in outputs}
    for node in nodes:
        if isinstance(node.op, core.Halo) and node.outputs[0].id in stored and len(stored) > 1 and not any(node.op.interior):
            rest = [v for v in outputs if v.id != node.outputs[0].id]
            return node if all(v.shape == node.inputs[0].shape for v in rest) else None
    return None


def _framed_nest(scope: Scope, reader: Reader, halo: Node) -> tuple[Stmt, ...]:
    """All outputs in a nest over the one with a border, the others where that is not the border."""
    assert isinstance(halo.op, core.Halo)
    framed = halo.outputs[0]
    axes, index = axes_of(framed.shape, "i")
    at = tuple([i - low for i, low in zip(index, halo.op.low, strict=True)])
    inside: Expr | None = None
    for i, low, high, size in zip(at, halo.op.low, halo.op.high, halo.inputs[0].shape, strict=True):
        part = None if low == 0 and high == 0 else within(i, size)
        inside = part if inside is None else inside if part is None else inside & part
    body = [Store(scope.target(framed).name, ravel(index, framed.shape), reader.at(framed, index))]
    for value in scope.group.outputs:
        if value.id != framed.id:
            expr = guarded(reader.at(value, at), inside)
            body.append(Store(scope.target(value).name, ravel(at, value.shape), expr, inside))
    return split(parallel_nest(axes, body), scope.machine)


def joins_of(group: Group) -> list[Node]:
    """The concatenations among what a group stores."""
    stored = {v.id for v in group.outputs}
    return [n for n in group.nodes if n.op.type == "Join" and n.outputs[0].id in stored]


def side_by_side(scope: Scope, index: tuple[Index, ...]) -> tuple[list[Value], dict[int, tuple[str, Index]]]:
    """What a group stores, for a concatenation its parts, and buffer and offset of these, by id, where `index` is the place in a part."""
    joins = {n.outputs[0].id: n for n in joins_of(scope.group)}
    outputs: list[Value] = []
    places: dict[int, tuple[str, Index]] = {}
    for value in scope.group.outputs:
        join = joins.get(value.id)
        if join is None:
            outputs.append(value)
            continue
        axis: int = join.op.axis  # type: ignore[attr-defined]
        start: Index = 0
        for part in join.inputs:
            outputs.append(part)
            side = (*index[:axis], index[axis] + start, *index[axis + 1 :])
            places[part.id] = scope.target(value).name, ravel(side, value.shape)
            start = start + part.shape[axis]
    return outputs, places


def domain_nest(scope: Scope, reader: Reader, outputs: Sequence[Value]) -> tuple[Stmt, ...]:
    """Store all outputs, which have equally many elements, in one nest over the best of their shapes."""
    group = scope.group
    count = outputs[0].size
    if any(v.size != count for v in outputs[1:]):
        raise CannotFuse("the outputs have different numbers of elements")
    shapes = dict.fromkeys(v.shape for v in outputs)
    shapes.update(dict.fromkeys(v.shape for n in group.nodes for v in n.outputs if v.size == count))
    best: tuple[tuple[int, bool], tuple[Index, ...]] | None = None
    for shape in shapes:
        axes, index = axes_of(shape, "i")
        exprs = [element(reader, v, shape, index) for v in outputs]
        bad = broken(exprs)
        rank = bad, bad > 0 and not takes_blocks(axes, [Store("", ravel(index, shape), e) for e in exprs])
        if best is None or rank < best[0]:
            best = rank, shape
        if bad == 0:
            break
    assert best is not None
    _, shape = best
    axes, index = axes_of(shape, "i")
    return split(parallel_nest(*blocked(axes, stores(scope, reader, outputs, shape, index))), scope.machine)


def stores(
    scope: Scope, reader: Reader, outputs: Sequence[Value], shape: Sequence[Index], index: tuple[Index, ...],
    places: Mapping[int, tuple[str, Index]] | None = None,
) -> list[Stmt]:  # fmt: skip
    """Compute one element of every output, then store them all: so an output may share memory with an input read at the same place.
    `places`: buffer and offset of outputs, by id, that have no buffer of their own; they are stored last."""
    offset = ravel(index, tuple(shape))
    places = places or {}

    def place(value: Value) -> tuple[str, Index]:
        return places.get(value.id) or (scope.target(value).name, offset)

    if len(outputs) == 1:
        return [Store(*place(outputs[0]), element(reader, outputs[0], shape, index))]
    order = {v.id: n for n, node in enumerate(scope.group.nodes) for v in node.outputs}
    lets: list[Stmt] = []
    writes: list[Store] = []
    for value in sorted(outputs, key=lambda v: order.get(v.id, -1)):
        expr = element(reader, value, shape, index)
        if not isinstance(expr, (Const, Local)):
            name = scope.name("t")
            lets.append(Let(name, expr))
            expr = local(name, expr.type)
            reader.fix(value, lambda at, e=expr: e if at == offset else None)  # type: ignore[misc]
        writes.append(Store(*place(value), expr))
    return [*lets, *sorted(writes, key=lambda w: w.offset != offset)]


def element(reader: Reader, value: Value, shape: Sequence[Index], index: tuple[Index, ...]) -> Expr:
    """The element of `value` that stands where `index` is in another view of the same elements, `shape`."""
    if value.shape == tuple(shape):
        return reader.at(value, index)
    longer = [d for d in value.shape if not unit(d)]
    if longer == [d for d in shape if not unit(d)]:
        left = iter([i for i, d in zip(index, shape, strict=True) if not unit(d)])
        return reader.at(value, tuple(0 if unit(d) else next(left) for d in value.shape))
    return reader.flat(value, ravel(index, tuple(shape)))


def _joined(scope: Scope) -> tuple[Node, Value] | None:
    """The concatenation that gives the only output, possibly through Views."""
    if len(scope.group.outputs) != 1:
        return None
    value = scope.group.outputs[0]
    producers = {v.id: n for n in scope.group.nodes for v in n.outputs}
    while value.id in producers and producers[value.id].op.type == "View":
        value = producers[value.id].inputs[0]
    node = producers.get(value.id)
    return (node, value) if node is not None and node.op.type == "Join" else None


def _parts(scope: Scope, node: Node, value: Value) -> Phases:
    """A nest for every operand of a concatenation: none tests where it is."""
    axis: int = node.op.axis  # type: ignore[attr-defined]
    phases: Phases = []
    start: Index = 0
    reader = Reader(scope, scope.group.nodes)
    producers = {v.id: n for n in scope.group.nodes for v in n.outputs}
    target = scope.target(scope.group.outputs[0])
    for number, part in enumerate(node.inputs):
        if product(part.shape) != 0:
            nests: list[tuple[int, tuple[Axis, ...], Store]] = []
            for shape in _views(producers, part, axis):
                outer, before = axes_of(shape[:axis], "i")
                inner, behind = axes_of(shape[axis:], f"j{number}x")  # a name stands for one range
                first = ravel((*before, start, *(0 for _ in part.shape[axis + 1 :])), value.shape)
                expr = element(reader, part, shape, (*before, *behind))
                nests.append((broken([expr]), (*outer, *inner), Store(target.name, first + ravel(behind, shape[axis:]), expr)))
            _, axes, store = min(nests, key=lambda nest: nest[0])
            phases.append(parallel_nest(axes, [store]))
        start = start + part.shape[axis]
    return together(phases)


def _views(producers: Mapping[int, Node], part: Value, axis: int) -> Iterator[tuple[Index, ...]]:
    """Shapes over which an operand of a concatenation along `axis` may be gone through: its own, and those that it had before it was viewed
    so, as far as the dimensions before the axis are the same. `producers`: the nodes of the group by the ids of what they give."""
    yield part.shape
    shape = part.shape
    while part.id in producers and producers[part.id].op.type == "View":
        part = producers[part.id].inputs[0]
        if part.shape[:axis] == shape[:axis] and len(part.shape) > axis:
            yield part.shape


def together(phases: Phases) -> Phases:
    """Neighbouring phases that store in different places and read nothing that another one stores: those over the same rows are one, and so
    are those that one thread runs."""
    made: Phases = []
    for phase in phases:
        loops = [s for s in (*(made[-1] if made else ()), *phase) if isinstance(s, Loop) and s.mode is Mode.PARALLEL]
        if made and not loops:
            made[-1] = (*made[-1], *phase)
        elif made and len(loops) == 2 and (loops[0].var, loops[0].extent) == (loops[1].var, loops[1].extent):
            made[-1] = (replace(loops[0], body=(*loops[0].body, *loops[1].body)),)
        else:
            made.append(phase)
    return made
