"""How often a loop can run at most, read off its condition."""

from __future__ import annotations

from typing import Any, NamedTuple

from graphflow import dtypes
from graphflow.graph.build import make
from graphflow.graph.context import inside
from graphflow.graph.scopes import control_dependencies
from graphflow.graph.tensor import Tensor, known_contents
from graphflow.ops.control_flow.contexts import WhileContext

_MIRRORED = {"Less": "Greater", "LessEqual": "GreaterEqual", "Greater": "Less", "GreaterEqual": "LessEqual"}


class _Counter(NamedTuple):
    """A loop variable that changes by `step` in every iteration."""

    start: Tensor  # outside the loop
    step: int


def trip_bound(loop: WhileContext) -> Any:
    """At most how many iterations a loop makes: an int, or an int32 scalar of the context around it; None where it cannot be told.

    It is `maximum_iterations`, or follows from a comparison of a counter of constant step with a limit that does not change, which may be
    one of several that all must hold.
    """
    if loop.maximum_iterations is not None:
        return _as_bound(loop.maximum_iterations)
    assert loop.pivot is not None
    return _bound(loop.pivot.op.inputs[0], loop)


def _as_bound(tensor: Tensor) -> Any:
    known = known_contents(tensor)
    if known is not None and known.dtype != object:
        return max(int(known), 0)
    return tensor if tensor.dtype.base_dtype is dtypes.int32 else make("Cast", tensor, DstT=dtypes.int32)


def _bound(condition: Tensor, loop: WhileContext) -> Any:
    op = condition.op
    if op.type == "Identity":
        return _bound(op.inputs[0], loop)
    if op.type == "LogicalAnd":
        first = _bound(op.inputs[0], loop)
        return _bound(op.inputs[1], loop) if first is None else first
    if op.type not in _MIRRORED or not op.inputs[0].dtype.is_integer:
        return None
    for kind, left, right in ((op.type, *op.inputs), (_MIRRORED[op.type], op.inputs[1], op.inputs[0])):
        counter, limit = _counter(left, loop), _limit(right, loop)
        if counter is not None and limit is not None:
            upward = kind in ("Less", "LessEqual")
            if (counter.step > 0) == upward and counter.step:
                return _trips(counter, limit, upward, kind.endswith("Equal"), loop)
    return None


def _counter(tensor: Tensor, loop: WhileContext) -> _Counter | None:
    """The counter that a tensor of the condition is, or None."""
    op = tensor.op
    while op.type == "Identity":
        op = op.inputs[0].op
    if op.type != "Merge" or op._control_flow_context is not loop or op.inputs[1].op.type != "NextIteration":
        return None
    step = _step(op.inputs[1].op.inputs[0], tensor=op.outputs[0])
    return None if step is None else _Counter(op.inputs[0].op.inputs[0], step)


def _step(after: Tensor, tensor: Tensor) -> int | None:
    """`after` - `tensor`, where that is a constant."""
    total = 0
    while after is not tensor:
        op = after.op
        if op.type in ("Identity", "Switch", "NextIteration"):
            after = op.inputs[0]
            continue
        if op.type not in ("Add", "AddV2", "Sub"):
            return None
        known = known_contents(op.inputs[1])
        sign, rest = (-1 if op.type == "Sub" else 1), op.inputs[0]
        if known is None and op.type != "Sub":
            known, rest = known_contents(op.inputs[0]), op.inputs[1]
        if known is None or known.dtype == object or known.ndim:
            return None
        total += sign * int(known)
        after = rest
    return total


def _limit(tensor: Tensor, loop: WhileContext) -> Any:
    """A tensor of the condition that does not change in the loop, as an int or as what it is outside; else None."""
    known = known_contents(tensor)
    if known is not None and known.dtype != object and not known.ndim:
        return int(known)
    op = tensor.op
    while op.type == "Identity":
        op = op.inputs[0].op
    if op.type == "Enter" and op.definition.is_constant and op._control_flow_context is loop:  # type: ignore[attr-defined]
        return op.inputs[0]
    return None


def _trips(counter: _Counter, limit: Any, upward: bool, inclusive: bool, loop: WhileContext) -> Any:
    """The number of steps from the start until the limit is passed."""
    start = known_contents(counter.start)
    size = abs(counter.step)
    extra = size if inclusive else size - 1  # rounds the division up, or to the next step beyond
    if start is not None and start.dtype != object and isinstance(limit, int):
        distance = limit - int(start) if upward else int(start) - limit
        return max((distance + extra) // size, 0)
    with control_dependencies(None), inside(loop.graph, loop.outer_context):
        first, last = (counter.start, limit) if upward else (limit, counter.start)
        distance = make("Sub", last, first)
        if extra:
            distance = make("Add", distance, extra)
        if size > 1:
            distance = make("FloorDiv", distance, size)
        return _as_bound(make("Maximum", distance, 0))
