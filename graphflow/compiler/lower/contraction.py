"""Contraction groups: one sum of products and the elementwise work on its result, computed where the sum still is in registers."""

from __future__ import annotations

from typing import Any

from graphflow.compiler.groups import unit
from graphflow.compiler.lower.nest import axes_of
from graphflow.compiler.lower.pointwise import Phases, stores
from graphflow.compiler.lower.scope import CannotFuse, Reader, Scope
from graphflow.compiler.program import Node, Value
from graphflow.kernel.expr import Load, load, local
from graphflow.kernel.index import Index, symbol
from graphflow.kernel.nodes import Axis, Contract
from graphflow.ops.families import ravel


def lower_contraction(scope: Scope, target: Any) -> Phases:
    """The phases of a contraction group, tiled for `target`."""
    from graphflow.compiler.contract import schedule_contract  # the cost model is needed only where something is compiled

    contract = unplanned(scope)
    phases, scratch = schedule_contract(contract, tuple(scope.buffers), target, prefix="w")
    scope.adopt(scratch)
    return list(phases)


def unplanned(scope: Scope) -> Contract:
    """The contraction with its epilogue, not tiled yet."""
    group = scope.group
    root = group.root
    assert root is not None
    free_count: int = root.op.free  # type: ignore[attr-defined]
    extents: tuple[Index, ...] = root.op.extents  # type: ignore[attr-defined]
    free, index = axes_of(extents[:free_count], "f")
    reduced = [Axis(f"k{a}", e) for a, e in enumerate(extents) if a >= free_count and not unit(e)]
    at: list[Index] = list(index)
    for a, e in enumerate(extents[free_count:], free_count):
        at.append(0 if unit(e) else symbol(f"k{a}", 0, e - 1 if isinstance(e, int) else None))
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
    outputs: list[Value] = []
    places: dict[int, tuple[str, Index]] = {}
    joins = {n.outputs[0].id: n for n in group.nodes if n.op.type == "Join"}
    for value in group.outputs:
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
    if any(v.size != result.size for v in outputs):
        raise CannotFuse("an output of the epilogue has another shape")
    epilogue = stores(scope, reader, outputs, result.shape, index, places)
    left, right = (_operand(scope, root, n, at) for n in (0, 1))
    return Contract(tuple(Axis(a.name, a.extent) for a in free), tuple(reduced), left, right, tuple(epilogue))


def _operand(scope: Scope, root: Node, number: int, at: list[Index]) -> Load:
    value: Value = root.inputs[number]
    forms: Any = root.op.left if number == 0 else root.op.right  # type: ignore[attr-defined]
    index = tuple(sum((at[a] * c for a, c in terms), start=constant) for terms, constant in forms)
    buffer = scope.source(value)
    return load(buffer.name, buffer.type, ravel(index, value.shape))
