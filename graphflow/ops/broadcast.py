"""Gradients through broadcasting: which axes of a result's gradient an operand has to sum over.

    x (3, 1) + y (4,) -> z (3, 4)        dx = sum(dz, 1) as (3, 1)        dy = sum(dz, 0)

Where the shapes are known when the graph is built, the sums are written with constant axes, or left out where there is nothing to sum.
Else `BroadcastGradientArgs` finds the axes from the run-time shapes, as in TensorFlow; at capture it disappears, because shapes are
symbols there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.dtypes import INDEX
from graphflow.graph.build import convert, make
from graphflow.graph.op import Case, TensorSpec
from graphflow.ops.families import Composite


def reduced_axes(left: tuple[Any, ...], right: tuple[Any, ...]) -> tuple[list[int], list[int]]:
    """The axes of the broadcast result over which the gradients of two operands of the given shapes are summed."""
    rank = max(len(left), len(right))
    pairs = zip((1,) * (rank - len(left)) + left, (1,) * (rank - len(right)) + right, strict=True)
    of_left: list[int] = []
    of_right: list[int] = []
    for axis, (a, b) in enumerate(pairs):
        if a == b:
            if isinstance(a, int) and a == 1:
                of_left.append(axis)
                of_right.append(axis)
        elif isinstance(a, int) and a == 1:
            of_left.append(axis)
        elif isinstance(b, int) and b == 1:
            of_right.append(axis)
        elif isinstance(a, int) and isinstance(b, int):
            raise ValueError(f"Incompatible shapes: {list(left)} vs. {list(right)}")
    return of_left, of_right


def _sizes(values: Any) -> tuple[Any, ...]:
    return tuple(v if not isinstance(v, np.integer) else int(v) for v in np.asarray(values).ravel())


class BroadcastGradientArgs(Composite):
    """The axes over which the gradients of two broadcast operands are summed, from the operands' shapes."""

    arguments = ("s0: T", "s1: T")
    results = ("r0: T", "r1: T")
    types = {"T": INDEX}
    differentiable = False
    symbolic = True
    cases = (Case([3, 1], [4]), Case([2, 3], [2, 3]), Case([], [1, 5]))

    def infer(self, s0: TensorSpec, s1: TensorSpec) -> tuple[TensorSpec, TensorSpec]:
        return TensorSpec(s0.dtype, (None,)), TensorSpec(s0.dtype, (None,))

    def reference(self, s0: Any, s1: Any) -> Any:
        dtype = np.int64 if np.asarray(s0).dtype == np.int64 else np.int32
        left, right = reduced_axes(_sizes(s0), _sizes(s1))
        return np.array(left, dtype), np.array(right, dtype)

    def decompose(self, b: Any, s0: Any, s1: Any) -> Any:
        left, right = reduced_axes(_sizes(b.known(s0)), _sizes(b.known(s1)))
        dtype = s0.dtype.as_numpy_dtype
        return b.constant(np.array(left, dtype), s0.dtype), b.constant(np.array(right, dtype), s0.dtype)


def conjugate(x: Any) -> Any:
    """The complex conjugate of a graph tensor; a real one itself. The gradient through a function of complex numbers multiplies by the
    conjugate of its derivative, so that a step against the gradient makes a real result smaller."""
    return make("Conj", x) if x.dtype.is_complex else x


def like(tensor: Any, number: float) -> Any:
    """A number as a graph constant of a tensor's type."""
    return convert(number, tensor.dtype.base_dtype)


def static_dims(tensor: Any) -> tuple[int | None, ...] | None:
    """The statically known sizes of a graph tensor; None where its rank is unknown."""
    return tensor.shape.sizes  # type: ignore[no-any-return]


def _static_axes(dims: tuple[int | None, ...] | None, other: tuple[int | None, ...] | None) -> list[int] | None:
    """The axes to sum over for the operand of sizes `dims`; None where only the run-time shapes tell."""
    if dims is None or other is None:
        return None
    rank = max(len(dims), len(other))
    padded = (1,) * (rank - len(dims)) + dims
    against = (1,) * (rank - len(other)) + other
    axes: list[int] = []
    for axis, (a, b) in enumerate(zip(padded, against, strict=True)):
        if a == 1 and b == 1:
            if axis < rank - len(dims):
                axes.append(axis)
        elif a == 1:
            axes.append(axis)
        elif a is None and b != 1:
            return None  # the unknown size may turn out to be 1 beside a larger one
    return axes


def _summed(gradient: Any, operand: Any, axes: list[int]) -> Any:
    dims = static_dims(operand)
    assert dims is not None
    if not axes:
        found = static_dims(gradient)
        # the first gradient of a chain may have come from outside with another shape of as many elements
        return gradient if found is None or len(found) == len(dims) else make("Reshape", gradient, make("Shape", operand))
    lead = gradient.shape.ndims - len(dims) if gradient.shape.ndims is not None else 0
    if lead == 0:
        return make("Sum", gradient, axes, keep_dims=True)
    total = make("Sum", gradient, axes)
    if axes == list(range(lead)):
        return total
    return make("Reshape", total, list(dims) if None not in dims else make("Shape", operand))


def fit(x: Any, y: Any, gx: Any, gy: Any) -> tuple[Any, Any]:
    """The gradients of two broadcast operands, given at the result's shape (None where not wanted), summed to the operands' own shapes."""
    left = _static_axes(static_dims(x), static_dims(y))
    right = _static_axes(static_dims(y), static_dims(x))
    if left is not None and right is not None:
        return None if gx is None else _summed(gx, x, left), None if gy is None else _summed(gy, y, right)
    sx, sy = make("Shape", x), make("Shape", y)
    rx, ry = make("BroadcastGradientArgs", sx, sy)
    if gx is not None:
        gx = make("Reshape", make("Sum", gx, rx), sx)
    if gy is not None:
        gy = make("Reshape", make("Sum", gy, ry), sy)
    return gx, gy
