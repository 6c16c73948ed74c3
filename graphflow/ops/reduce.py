"""Reductions along axes: Sum, Mean, Prod, Max, Min, All, Any, ArgMax, ArgMin, L2Loss, and their public functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.dtypes import COMPLEX, FLOATING, INDEX, REAL, DType, int32, int64
from graphflow.graph.build import make
from graphflow.graph.dims import product_of
from graphflow.graph.op import Case, TensorSpec
from graphflow.kernel.expr import Expr, call, const
from graphflow.kernel.index import Index, bounds, product
from graphflow.kernel.nodes import Check
from graphflow.ops.broadcast import conjugate, static_dims
from graphflow.ops.core import identity_of
from graphflow.ops.families import Composite, Elementwise, axes_tuple
from graphflow.ops.sizes import need_rank, need_rank_at_most

_AXES = (
    Case((3, 4), [0]), Case((3, 4), [1]), Case((3, 4), 1, keep_dims=True), Case((2, 3, 4), [0, -1]), Case((33,), [0]), Case((2, 3), []),
    Case((), []), Case((7, 0), [1], gradient=False), Case((2, 17, 3), [1, 0], keep_dims=True),
    Case((2, 3), [2], error=("ValueError", "Invalid reduction dimension 2 for input with 2 dimensions.")),
    Case((2, 3), [[0]], error=("ValueError", "Shape must be at most rank 1 but is rank 2")),
)  # fmt: skip


def kept_dims(dims: Sequence[Any], axes: Sequence[int]) -> list[Any]:
    """`dims` with the reduced axes as 1."""
    return [1 if a in axes else d for a, d in enumerate(dims)]


class Reduction(Composite, abstract=True):
    """output = combine of input over the axes that the second operand holds."""

    arguments = ("input: T", "reduction_indices: Tidx")
    keep_dims: bool = False
    types = {"T": REAL, "Tidx": INDEX}
    cases = _AXES
    combine = ""

    def infer(self, input: TensorSpec, reduction_indices: TensorSpec) -> TensorSpec:
        need_rank_at_most(reduction_indices, 1)
        return TensorSpec(input.dtype, self._dims(input.dims, reduction_indices.value))

    def _dims(self, dims: tuple[Any, ...] | None, axes: Any) -> tuple[Any, ...] | None:
        if axes is None:
            return (None,) * len(dims) if dims is not None and self.keep_dims else None
        if dims is None:
            return None
        chosen = axes_tuple(axes, len(dims))
        return tuple(kept_dims(dims, chosen) if self.keep_dims else [d for a, d in enumerate(dims) if a not in chosen])

    def decompose(self, b: Any, input: Any, reduction_indices: Any) -> Any:
        axes = axes_tuple(b.known(reduction_indices), len(input.shape))
        return self.combined(b, input, axes)

    def combined(self, b: Any, input: Any, axes: tuple[int, ...]) -> Any:
        """The program values of the reduction over known axes."""
        return b.reduce(self.combine, input, axes, self.keep_dims)


def _known_axes(node: Any) -> tuple[int, ...] | None:
    """The reduced axes of a graph node; None where the rank or the axes are not known."""
    dims, axes = static_dims(node.inputs[0]), node.inputs[1].spec.value
    return None if dims is None or axes is None else axes_tuple(axes, len(dims))


def _is_reduced(x: Any, indices: Any) -> Any:
    """For each axis whether it is among `indices`, where they or the rank are not known while the graph is built."""
    rank = make("Rank", x)
    hot = make("OneHot", make("FloorMod", make("Reshape", indices, [-1]), rank), rank, 1, 0)
    return make("Greater", make("Max", hot, [0]), 0)


def _restored(node: Any, *results: Any) -> list[Any]:
    """Values of the shape of a reduction's result, with the reduced axes put back as 1."""
    x, indices = node.inputs
    if node.definition.keep_dims:
        return list(results)
    axes = _known_axes(node)
    if axes is None:
        shape = make("Shape", x)
        kept = make("Select", _is_reduced(x, indices), make("OnesLike", shape), shape)
        return [make("Reshape", r, kept) for r in results]
    dims = kept_dims(static_dims(x) or (), axes)
    if None not in dims:
        return [make("Reshape", r, dims) for r in results]
    out = list(results)
    for axis in axes:
        out = [make("ExpandDims", r, axis) for r in out]
    return out


def _spread(node: Any, dy: Any) -> Any:
    """The gradient of a result repeated over the reduced axes."""
    x = node.inputs[0]
    dims = static_dims(x)
    (dy,) = _restored(node, dy)
    return make("BroadcastTo", dy, list(dims) if dims is not None and None not in dims else make("Shape", x))


class Sum(Reduction):
    """The sum; 0 of nothing."""

    types = {"T": (*REAL, *COMPLEX), "Tidx": INDEX}
    combine = "add"
    symbolic = True

    def reference(self, input: Any, reduction_indices: Any) -> Any:
        x = np.asarray(input)
        return np.sum(x, axes_tuple(reduction_indices, x.ndim), dtype=x.dtype, keepdims=self.keep_dims)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [_spread(node, dy), None]


class Mean(Reduction):
    """The sum divided by the number of elements; NaN of nothing, integers divided toward zero."""

    types = {"T": (*REAL, *COMPLEX), "Tidx": INDEX}
    combine = "add"
    cases = tuple(c for c in _AXES if 0 not in (c.inputs[0] if isinstance(c.inputs[0], tuple) else ()))

    def reference(self, input: Any, reduction_indices: Any) -> Any:
        x = np.asarray(input)
        axes = axes_tuple(reduction_indices, x.ndim)
        count = int(np.prod([x.shape[a] for a in axes]))
        total = np.sum(x, axes, dtype=x.dtype, keepdims=self.keep_dims)
        with np.errstate(invalid="ignore", divide="ignore"):
            if x.dtype.kind in "fc":
                return np.divide(total, count).astype(x.dtype)
        return np.trunc(np.divide(total, max(count, 1), dtype=np.float64)).astype(x.dtype)

    def combined(self, b: Any, input: Any, axes: tuple[int, ...]) -> Any:
        total = b.reduce("add", input, axes, self.keep_dims)
        count: Index = product([input.shape[a] for a in axes])
        if input.dtype.is_floating or input.dtype.is_complex:
            if isinstance(count, int):
                return b.div(total, float(count))
            return b.div(total, b.cast(b.constant(count, int64), input.dtype))
        if isinstance(count, int) and count == 0:
            return total
        return b.make("Div", total, b.cast(b.constant(count, int64), input.dtype))

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        x, y = node.inputs[0], node.outputs[0]
        before, after = product_of(static_dims(x)), product_of(static_dims(y))
        if before is not None and after is not None:
            count: Any = before // max(after, 1)
        else:
            count = make("FloorDiv", make("Size", x), make("Maximum", make("Size", y), 1))
            count = make("Cast", count, DstT=dy.dtype.base_dtype)
        return [make("RealDiv", _spread(node, dy), count, name="truediv"), None]


class Prod(Reduction):
    """The product; 1 of nothing."""

    types = {"T": (*REAL, *COMPLEX), "Tidx": INDEX}
    combine = "mul"
    symbolic = True

    def reference(self, input: Any, reduction_indices: Any) -> Any:
        x = np.asarray(input)
        return np.prod(x, axes_tuple(reduction_indices, x.ndim), dtype=x.dtype, keepdims=self.keep_dims)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        """The product of all other elements, by running products from both ends, so that zeros do no harm."""
        x, indices = node.inputs
        dims, axes = static_dims(x), _known_axes(node)
        order: Any
        reduced: Any
        if dims is None or axes is None:
            is_reduced = _is_reduced(x, indices)
            first, rest = (make("Reshape", make("Where", mask), [-1]) for mask in (is_reduced, make("LogicalNot", is_reduced)))
            order = make("Cast", make("ConcatV2", [first, rest], 0), DstT=int32)
            inverse, reduced = make("InvertPermutation", order), make("Size", first)
        else:
            order = [*axes, *(a for a in range(len(dims)) if a not in axes)]
            inverse, reduced = [order.index(a) for a in range(len(dims))], len(axes)
        moved = make("Transpose", x, order)
        flat = make("Reshape", moved, _merged(moved, reduced))
        others = make("Mul", make("Cumprod", flat, 0, exclusive=True), make("Cumprod", flat, 0, exclusive=True, reverse=True))
        back = make("Transpose", make("Reshape", others, make("Shape", moved)), inverse)
        return [make("Mul", _spread(node, dy), conjugate(back)), None]


def _merged(moved: Any, reduced: Any) -> Any:
    """The shape [product of the first `reduced` sizes, product of the others], as a graph value."""
    shape, count = make("Shape", moved), make("Reshape", reduced, [1])
    first = make("Prod", make("Slice", shape, [0], count), [0], keep_dims=True)
    rest = make("Prod", make("Slice", shape, count, [-1]), [0], keep_dims=True)
    return make("ConcatV2", [first, rest], 0)


class Extreme(Reduction, abstract=True):
    """Base of Max and Min; equal extremes share the gradient."""

    def reference(self, input: Any, reduction_indices: Any) -> Any:
        x = np.asarray(input)
        axes = axes_tuple(reduction_indices, x.ndim)
        if any(x.shape[a] == 0 for a in axes):
            kept = kept_dims(x.shape, axes) if self.keep_dims else [d for a, d in enumerate(x.shape) if a not in axes]
            kind = {"f": "f64", "b": "bool"}.get(x.dtype.kind, f"{x.dtype.kind}{8 * x.dtype.itemsize}")
            return np.full(kept, identity_of(self.combine, kind), x.dtype)
        return getattr(np, self.combine)(x, axes, keepdims=self.keep_dims)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        x, axes = node.inputs
        y = node.outputs[0]
        y, dy = _restored(node, y, dy)
        chosen = make("Cast", make("Equal", y, x), DstT=dy.dtype.base_dtype)
        number = make("Sum", chosen, axes, keep_dims=True)
        return [make("Mul", make("RealDiv", chosen, number, name="truediv"), dy, name="mul"), None]


class Max(Extreme):
    """The largest; the lowest value of the type of nothing. NaN wins."""

    combine = "max"


class Min(Extreme):
    """The smallest; the highest value of the type of nothing. NaN wins."""

    combine = "min"


_FLAGS = np.array([[True, False, True], [True, False, False]])
_FLAG_CASES = (
    Case(_FLAGS, [0]), Case(_FLAGS, [1], keep_dims=True), Case(_FLAGS, [0, 1]), Case(np.zeros((2, 0), bool), [1]), Case(True, []),
)  # fmt: skip


class All(Reduction):
    """Whether all are true; true of nothing."""

    arguments = ("input: bool", "reduction_indices: Tidx")
    results = ("output: bool",)
    types = {"Tidx": INDEX}
    differentiable = False
    cases = _FLAG_CASES
    combine = "and"

    def reference(self, input: Any, reduction_indices: Any) -> Any:
        return np.all(input, axes_tuple(reduction_indices, np.ndim(input)), keepdims=self.keep_dims)


class Any_(Reduction):
    """Whether any is true; false of nothing."""

    type = "Any"
    arguments = ("input: bool", "reduction_indices: Tidx")
    results = ("output: bool",)
    types = {"Tidx": INDEX}
    differentiable = False
    cases = _FLAG_CASES
    combine = "or"

    def reference(self, input: Any, reduction_indices: Any) -> Any:
        return np.any(input, axes_tuple(reduction_indices, np.ndim(input)), keepdims=self.keep_dims)


class EuclideanNorm(Reduction):
    """The square root of the sum of squares."""

    types = {"T": (*REAL, *COMPLEX), "Tidx": INDEX}
    differentiable = False

    def reference(self, input: Any, reduction_indices: Any) -> Any:
        x = np.asarray(input)
        total = np.sum(x * np.conj(x), axes_tuple(reduction_indices, x.ndim), dtype=x.dtype, keepdims=self.keep_dims)
        with np.errstate(invalid="ignore"):  # of whole numbers that wrapped
            return np.sqrt(total).astype(x.dtype)

    def combined(self, b: Any, input: Any, axes: tuple[int, ...]) -> Any:
        if input.dtype.is_complex:
            re, im = b.parts(input)
            return b.pair(b.sqrt(b.reduce("add", b.add(b.square(re), b.square(im)), axes, self.keep_dims)), 0)
        total = b.reduce("add", b.square(input), axes, self.keep_dims)
        return b.cast(b.sqrt(b.cast(total, "float64")), input.dtype) if input.dtype.is_integer else b.sqrt(total)


_NOWHERE = np.iinfo(np.int32).max  # the least position among none


class FoundPlace(Elementwise):
    """A position along an axis of `shape`; the step fails where there is none, the axis being empty."""

    core = True
    arguments = ("place: int32",)
    results = ("found: int32",)
    differentiable = False
    axis: int
    shape: tuple[Index, ...]
    cases = (
        Case([3, 0, 1], axis=0, shape=(4, 3)),
        Case([_NOWHERE], axis=0, shape=(0, 1), error=("InvalidArgumentError", "Reduction axis 0 is empty in shape [0,1]")),
    )  # fmt: skip

    @property
    def checks(self) -> tuple[Check, ...]:
        """The one run-time check."""
        return (Check("InvalidArgumentError", _empty(self.axis, self.shape)),)

    def reference(self, place: Any) -> Any:
        if np.any(np.equal(place, _NOWHERE)):
            raise ValueError(self.checks[0].message)
        return place

    def scalar(self, place: Expr) -> Expr:
        return call("check", call("ne", place, int(_NOWHERE)), const(0, "i64"), place)


def _empty(axis: int, shape: Sequence[Index]) -> str:
    return f"Reduction axis {axis} is empty in shape [{','.join(map(str, shape))}]"


class ArgExtreme(Composite, abstract=True):
    """Base of ArgMax and ArgMin: the first position of the extreme along an axis; NaN is never chosen."""

    arguments = ("input: T", "dimension: Tidx")
    results = ("output: output_type",)
    output_type: DType = int64
    types = {"T": REAL, "Tidx": INDEX}
    differentiable = False
    cases = (
        Case((3, 4), 0), Case((3, 4), 1, output_type=int32), Case((2, 17, 3), -2), Case([3, 1, 3, 1], 0),
        Case([np.nan, 1.0, np.nan, 2.0, 2.0, -3.0, -3.0], 0, dtypes=("float32", "float64")), Case((0, 3), 1),
        Case([np.nan, np.nan], 0, dtypes=("float32",)), Case((2, 3), 2, error=("ValueError", "must be in the range [-2, 2)")),
    )  # fmt: skip
    combine = ""

    def _axis(self, dimension: Any, rank: int) -> int:
        axis = int(np.asarray(dimension))
        if not -rank <= axis < rank:
            where = f"[{-rank}, {rank}), where {rank} is the number of dimensions in the input"
            raise ValueError(f"Dimension ({axis}) must be in the range {where}.")
        return axis % rank

    def infer(self, input: TensorSpec, dimension: TensorSpec) -> TensorSpec:
        need_rank(dimension, 0)
        if input.dims is None:
            return TensorSpec(self.output_type, None)
        if not input.dims:
            return TensorSpec(self.output_type, ())
        if dimension.value is None:
            return TensorSpec(self.output_type, (None,) * (len(input.dims) - 1))
        axis = self._axis(dimension.value, len(input.dims))
        return TensorSpec(self.output_type, (*input.dims[:axis], *input.dims[axis + 1 :]))

    def reference(self, input: Any, dimension: Any) -> Any:
        x = np.asarray(input)
        axis = self._axis(dimension, x.ndim)
        if x.dtype.kind == "f":
            x = np.where(np.isnan(x), -np.inf if self.combine == "max" else np.inf, x)
        return (np.argmax if self.combine == "max" else np.argmin)(x, axis).astype(self.output_type.as_numpy_dtype)

    def decompose(self, b: Any, input: Any, dimension: Any) -> Any:
        axis = self._axis(b.known(dimension), len(input.shape))
        extent = input.shape[axis]
        if extent == 0:
            raise ValueError(_empty(axis, input.shape))
        x = input
        if x.dtype.is_floating:
            never = -np.inf if self.combine == "max" else np.inf
            x = b.select(b.make("IsNan", x), b.constant(never, x.dtype), x)
        best = b.reduce(self.combine, x, (axis,), keepdims=True)
        # The first of several equals is the least position among them.
        places = b.iota([extent if a == axis else 1 for a in range(len(x.shape))], axis, int32)
        first = b.reduce("min", b.select(b.equal(x, best), places, b.constant(_NOWHERE, int32)), (axis,))
        if not bounds(extent)[0]:
            first = b.apply(FoundPlace(axis=axis, shape=tuple(input.shape)), first)
        return b.cast(first, self.output_type)


class ArgMax(ArgExtreme):
    """The first position of the largest element along an axis."""

    combine = "max"


class ArgMin(ArgExtreme):
    """The first position of the smallest element along an axis."""

    combine = "min"


class L2Loss(Composite):
    """Half the sum of squares."""

    arguments = ("t: T",)
    types = {"T": FLOATING}
    cases = (Case((3, 4)), Case(()), Case((0,)), Case((65,)))

    def infer(self, t: TensorSpec) -> TensorSpec:
        return TensorSpec(t.dtype, ())

    def reference(self, t: Any) -> Any:
        flat = np.ravel(t)
        return np.asarray(np.dot(flat, flat) / 2, flat.dtype)

    def decompose(self, b: Any, t: Any) -> Any:
        return b.mul(b.reduce("add", b.square(t), range(len(t.shape))), 0.5)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make("Mul", node.inputs[0], dy, name="mul")]
