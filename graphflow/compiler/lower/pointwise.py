"""Groups of elementwise ops and movements: one loop nest over one index space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphflow.compiler.groups import unit
from graphflow.compiler.lower.nest import axes_of, broken, parallel_nest
from graphflow.compiler.lower.scope import CannotFuse, Reader, Scope
from graphflow.compiler.lower.split import blocked, split
from graphflow.compiler.program import Node, Value
from graphflow.kernel.expr import Const, Expr, Local, local
from graphflow.kernel.index import Index, product
from graphflow.kernel.nodes import Let, Stmt, Store
from graphflow.ops.families import ravel

Phases = list[tuple[Stmt, ...]]


def lower_pointwise(scope: Scope) -> Phases:
    """The phases of a pointwise group."""
    group = scope.group
    joined = _joined(scope)
    if joined is not None:
        return _parts(scope, *joined)
    return [domain_nest(scope, Reader(scope, group.nodes), group.outputs)]


def domain_nest(scope: Scope, reader: Reader, outputs: Sequence[Value]) -> tuple[Stmt, ...]:
    """Store all outputs, which have equally many elements, in one nest over the best of their shapes."""
    group = scope.group
    count = outputs[0].size
    if any(v.size != count for v in outputs[1:]):
        raise CannotFuse("the outputs have different numbers of elements")
    shapes = dict.fromkeys(v.shape for v in outputs)
    shapes.update(dict.fromkeys(v.shape for n in group.nodes for v in n.outputs if v.size == count))
    best: tuple[int, tuple[Index, ...], list[Expr]] | None = None
    for shape in shapes:
        _, index = axes_of(shape, "i")
        exprs = [element(reader, v, shape, index) for v in outputs]
        bad = broken(exprs)
        if best is None or bad < best[0]:
            best = bad, shape, exprs
        if bad == 0:
            break
    assert best is not None
    _, shape, exprs = best
    axes, index = axes_of(shape, "i")
    return split(parallel_nest(*blocked(axes, stores(scope, reader, outputs, shape, index))))


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
    target = scope.target(scope.group.outputs[0])
    for part in node.inputs:
        if product(part.shape) != 0:
            axes, index = axes_of(part.shape, "i")
            at = (*index[:axis], index[axis] + start, *index[axis + 1 :])
            phases.append(parallel_nest(axes, [Store(target.name, ravel(at, value.shape), reader.at(part, index))]))
        start = start + part.shape[axis]
    return phases
