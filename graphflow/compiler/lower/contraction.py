"""Contraction groups: one sum of products and the elementwise work on its result, computed where the sum still is in registers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from graphflow.compiler.groups import unit
from graphflow.compiler.lower.nest import axes_of
from graphflow.compiler.lower.pointwise import Phases, side_by_side, stores
from graphflow.compiler.lower.scope import CannotFuse, Reader, Scope
from graphflow.compiler.program import Node, Value
from graphflow.kernel.expr import Load, load, local
from graphflow.kernel.index import Index, ceildiv, evaluate, maximum, minimum, symbol
from graphflow.kernel.nodes import Axis, Contract
from graphflow.ops.families import ravel

WORTH = 0.03  # part of the products, for which it is worth while to leave some out


def lower_contraction(scope: Scope, target: Any) -> Phases:
    """The phases of a contraction group, tiled for `target`."""
    from graphflow.compiler.contract import schedule_contract  # the cost model is needed only where something is compiled

    contract = unplanned(scope)
    assert scope.group.root is not None
    shorter = without_borders(contract, scope.group.root.op)
    phases, scratch = schedule_contract(contract, tuple(scope.buffers), target, "w", shorter)
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
    outputs, places = side_by_side(scope, index)
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


def without_borders(contract: Contract, op: Any) -> Iterator[Contract]:
    """The contraction without products with a border of zeros: for each window that reaches into one, its axis cut to what lies inside.

    What is left out is so many rows for each row of the result; a tile whose rows differ in that could not do it.
    """
    for (terms, constant), size in op.inside:
        pair = sorted(terms)
        if len(pair) != 2 or pair[0][0] >= op.free or pair[1][0] < op.free or not isinstance(constant, int):
            continue
        (free, stride), (reduced, step) = pair
        many, taps = op.extents[free], op.extents[reduced]
        if stride < 1 or step < 1 or not isinstance(many, int) or not isinstance(taps, int) or min(many, taps) < 2:
            continue
        at = symbol(f"f{free}", 0, many - 1)
        start = minimum(taps, ceildiv(maximum(0, -constant - at * stride), step))
        end = minimum(taps, ceildiv(maximum(0, size - constant - at * stride), step))
        lengths = [evaluate(end - start, {f"f{free}": n}) for n in range(many)]
        if min(lengths) >= 0 and sum(lengths) <= (1 - WORTH) * many * taps:
            axes = tuple(replace(a, extent=end - start, start=start) if a.name == f"k{reduced}" else a for a in contract.reduced)
            yield replace(contract, reduced=axes)
