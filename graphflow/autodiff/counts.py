"""How many operations TensorFlow's gradient of an operation makes, where ours makes another number.

A random op without a seed of its own takes the number of operations made so far as its seed (graph/seeds.py). So what is made after a call
of `tf.gradients`, the second net of a program for instance, begins with TensorFlow's numbers only if that call counts for as many
operations as TensorFlow's would. Most of the difference is bookkeeping of shapes, which TensorFlow leaves to the run: which axes were
broadcast, what shape a reduced tensor had. Here they are known or symbols, and their operations would have to be made only to be folded
away again. They are counted and not made.

A loop keeps values for its way back: TensorFlow on stacks, ours in arrays. Loops inside loops and gradients of gradients are not always
counted exactly. Sources: math_grad.py, array_grad.py, nn_grad.py and control_flow_state.py of TensorFlow 1.15.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphflow.graph.context import loop_of
from graphflow.graph.operation import Operation
from graphflow.graph.tensor import Tensor

Dims = tuple[int | None, ...] | None

BROADCAST_AXES = 3  # the shapes of two operands and the axes to sum over for each
SUMMED = 2  # a sum and its reshaping, for one operand
LINEAR = frozenset(("Add", "AddV2", "Sub"))  # of what their gradients ask of operands in a loop TensorFlow keeps the shapes only
TILED = 4  # to the reduced shape and along the reduced axes, both shapes constants
REDUCED_SHAPE = 10  # the shape with the reduced axes as 1, computed in the run
QUOTIENT = 3  # of two shapes, safe from zeros


def _dims(tensor: Any) -> Dims:
    return tensor.shape.sizes  # type: ignore[no-any-return]


def _known(dims: Dims) -> bool:
    return dims is not None and None not in dims


def recorded(op: Operation, values: int = 1) -> int:
    """For how many operations it counts that a loop keeps results of `op` for the way back: those of a stack for each value, and one that
    holds the loop backwards together."""
    constant_size, stack, enter, push, pop, enter_backwards = (1,) * 6
    keeping = constant_size + stack + enter + push + pop + enter_backwards
    return values * keeping + op.graph._count.first_time("kept", op.graph._gradient_call, loop_of(op._control_flow_context))


def _shapes_kept(op: Operation) -> int:
    """In a loop two shapes that only the run knows are kept for the way back."""
    return recorded(op, 2) if loop_of(op._control_flow_context) is not None else 0


def _always(number: int) -> Callable[[Operation, Sequence[Any]], int]:
    return lambda op, given: number


def _broadcast(own: int) -> Callable[[Operation, Sequence[Any]], int]:
    """Two operands, each with its sum, whether their shapes are known or not."""
    return lambda op, given: own + BROADCAST_AXES + 2 * SUMMED + _shapes_kept(op)


def _broadcast_by_shape(own: int, none_if_equal: bool = True) -> Callable[[Operation, Sequence[Any]], int]:
    """Two operands, with sums where they are needed if their shapes are known."""

    def count(op: Operation, given: Sequence[Any]) -> int:
        x, y = (_dims(t) for t in op.inputs[:2])
        result = _dims(given[0]) if isinstance(given[0], Tensor) else None
        if none_if_equal and _known(x) and x == y == result:
            return own
        if not (_known(x) and _known(y)):
            return own + BROADCAST_AXES + 2 * SUMMED + _shapes_kept(op)
        constant_axes_and_shape = 2
        sums = sum(dims != result for dims in (x, y)) * (SUMMED + constant_axes_and_shape)
        return own + sums + BROADCAST_AXES * op.graph._count.first_time("axes", x, y)

    return count


def _sum(op: Operation, given: Sequence[Any]) -> int:
    dims, axes = _dims(op.inputs[0]), op.inputs[1].spec.value
    if dims is not None and axes is not None:
        if np.array_equal(axes, np.arange(len(dims))):
            return TILED
        if _known(dims):
            constant_shapes = 4
            computed = op.graph._count.first_time("reduced", dims, *np.ravel(axes).tolist())
            return TILED + (REDUCED_SHAPE + QUOTIENT + constant_shapes) * computed
    shape, reshape, tile = 1, 1, 1
    return shape + REDUCED_SHAPE + QUOTIENT + reshape + tile


def _mean(op: Operation, given: Sequence[Any]) -> int:
    known = _known(_dims(op.inputs[0])) and _known(_dims(op.outputs[0]))
    return _sum(op, given) + (2 if known else 11)


def _concat(op: Operation, given: Sequence[Any]) -> int:
    """Shapes are asked for one by one up to the first that is not known; if there is one, all of them together as well."""
    parts = op.inputs[:-1]
    if len(parts) == 1:
        return 0
    known = [_known(_dims(t)) for t in parts]
    shapes = len(parts) if all(known) else known.index(False) + 2
    rank, axis, offsets = 1, 1, 1
    return rank + axis + shapes + offsets + len(parts)


def _gather(op: Operation, given: Sequence[Any]) -> int:
    axis = op.inputs[2].spec.value
    return 13 if axis is not None and int(axis) == 0 else 55


def _batch_matmul(op: Operation, given: Sequence[Any]) -> int:
    x, y = (_dims(t) for t in op.inputs)
    return 2 if _known(x) and x == y else 17


def _diag_part(op: Operation, given: Sequence[Any]) -> int:
    dims = _dims(op.inputs[0])
    square = dims is not None and len(dims) >= 2 and dims[-1] is not None and dims[-1] == dims[-2]
    return 1 if square else 2


def _resize_nearest(op: Operation, given: Sequence[Any]) -> int:
    dims = _dims(op.inputs[0])
    return 2 if dims is not None and _known(dims[1:3]) else 6


COUNTS: dict[str, Callable[[Operation, Sequence[Any]], int]] = {
    "Add": _broadcast_by_shape(0), "AddV2": _broadcast_by_shape(0), "Sub": _broadcast_by_shape(1), "Mul": _broadcast_by_shape(2),
    "SquaredDifference": _broadcast_by_shape(5), "Pow": _broadcast_by_shape(16, none_if_equal=False),
    "RealDiv": _broadcast(5), "Div": _broadcast(5), "DivNoNan": _broadcast(5), "FloorMod": _broadcast(3), "Maximum": _broadcast(6),
    "Minimum": _broadcast(6), "Xdivy": _broadcast(10), "Xlogy": _broadcast(7), "Igamma": _broadcast(12), "Zeta": _broadcast(4),
    "Betainc": _broadcast(18), "SelectV2": _always(12), "Atan2": _always(7), "Sign": _always(3),
    "Sum": _sum, "Mean": _mean, "Max": _always(19), "Min": _always(19), "Prod": _always(49),
    "ConcatV2": _concat, "GatherV2": _gather, "Tile": _always(12), "Fill": _always(2), "TopKV2": _always(43),
    "Conv2D": _always(3), "BatchMatMulV2": _batch_matmul, "MatrixDiagPart": _diag_part,
    "SegmentSum": _always(2), "SegmentMean": _always(16), "SegmentMax": _always(10), "SegmentMin": _always(10),
    "UnsortedSegmentSum": _always(14), "UnsortedSegmentMax": _always(25), "UnsortedSegmentMin": _always(25),
    "ResizeBilinear": _always(1), "ResizeNearestNeighbor": _resize_nearest, "Cholesky": _always(33),
    "SoftmaxCrossEntropyWithLogits": _always(9),
}  # fmt: skip


def counted_for(op: Operation, given: Sequence[Any]) -> int | None:
    """For how many operations the gradient of `op` counts, with the gradients `given` of its outputs; None: for those it makes."""
    count = COUNTS.get(op.type)
    return None if count is None else count(op, given)
