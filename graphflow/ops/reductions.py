"""The public reductions: tf.reduce_sum and its relatives, with TensorFlow's older argument names, and what is composed of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphflow.dtypes import int32, int64
from graphflow.graph.build import convert, make, name_scope
from graphflow.graph.tensor import Tensor
from graphflow.ops.arguments import renamed
from graphflow.ops.broadcast import conjugate
from graphflow.ops.logic import cast, where
from graphflow.ops.ranges import range
from graphflow.ops.shape import rank, shape
from graphflow.ops.source import stop_gradient, zeros, zeros_like
from graphflow.ops.unary import abs

__all__ = [
    "arg_max", "arg_min", "argmax", "argmin", "count_nonzero", "norm", "reduce_all", "reduce_any",
    "reduce_logsumexp", "reduce_max", "reduce_mean", "reduce_min", "reduce_prod", "reduce_sum",
]  # fmt: skip


def reduction_axes(x: Any, axis: Any) -> Any:
    """The axes operand: what was given, or all axes of `x`. Only Tensors are asked for their rank: a Variable or a list gets a Range."""
    if axis is not None:
        return axis
    if isinstance(x, Tensor) and x.shape.ndims is not None:
        return convert(np.arange(x.shape.ndims, dtype=np.int32), int32)
    return range(0, rank(x))


def reduce(op: str, x: Any, axis: Any, keepdims: Any, name: str | None = None) -> Any:
    """One reduction; over all axes where `axis` is None."""
    keep = bool(keepdims)
    out = make(op, x, reduction_axes(x, axis), name=name, keep_dims=keep)
    if axis is None and not keep and not out.shape.is_fully_defined():
        out.set_shape(())
    return out


def _reduction(op: str, name: str, doc: str) -> Callable[..., Any]:
    def function(input_tensor, axis=None, keepdims=None, name=None, reduction_indices=None, keep_dims=None):
        axis = renamed("axis", axis, "reduction_indices", reduction_indices)
        return reduce(op, input_tensor, axis, renamed("keepdims", keepdims, "keep_dims", keep_dims), name)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


reduce_sum = _reduction("Sum", "reduce_sum", "The sum along axes (all of them without `axis`).")
reduce_mean = _reduction("Mean", "reduce_mean", "The mean along axes (all of them without `axis`).")
reduce_prod = _reduction("Prod", "reduce_prod", "The product along axes (all of them without `axis`).")
reduce_max = _reduction("Max", "reduce_max", "The largest element along axes (all of them without `axis`).")
reduce_min = _reduction("Min", "reduce_min", "The smallest element along axes (all of them without `axis`).")
reduce_all = _reduction("All", "reduce_all", "Whether all elements along axes are true.")
reduce_any = _reduction("Any", "reduce_any", "Whether any element along axes is true.")


def reduce_euclidean_norm(input_tensor, axis=None, keepdims=False, name=None):
    """The square root of the sum of squares along axes."""
    return reduce("EuclideanNorm", input_tensor, axis, keepdims, name)


def reduce_logsumexp(input_tensor, axis=None, keepdims=None, name=None, reduction_indices=None, keep_dims=None):
    """log(sum(exp(x))) along axes, without overflow."""
    axis = renamed("axis", axis, "reduction_indices", reduction_indices)
    keepdims = bool(renamed("keepdims", keepdims, "keep_dims", keep_dims))
    x = convert(input_tensor)
    with name_scope(name, "ReduceLogSumExp", [x]):
        raw = reduce("Max", x, axis, True)
        largest = stop_gradient(where(make("IsFinite", raw), raw, zeros_like(raw)))
        result = make("Log", reduce("Sum", make("Exp", make("Sub", x, largest)), axis, keepdims))
        if not keepdims:
            largest = make("Reshape", largest, shape(result))
        result = make("Add", result, largest)
        if axis is None and not keepdims and not result.shape.is_fully_defined():
            result.set_shape(())
        return result


def reduce_variance(input_tensor, axis=None, keepdims=False, name=None):
    """The mean squared distance from the mean along axes."""
    with name_scope(name or "reduce_variance"):
        mean = reduce("Mean", input_tensor, axis, True)
        return reduce("Mean", make("Square", input_tensor - mean), axis, keepdims)


def reduce_std(input_tensor, axis=None, keepdims=False, name=None):
    """The square root of the variance along axes."""
    with name_scope(name or "reduce_std"):
        return make("Sqrt", reduce_variance(input_tensor, axis=axis, keepdims=keepdims))


def count_nonzero(
    input_tensor=None, axis=None, keepdims=None, dtype=int64, name=None, reduction_indices=None, keep_dims=None, input=None
):
    """How many elements along axes are not zero."""
    keepdims = renamed("keepdims", keepdims, "keep_dims", keep_dims)
    x = renamed("input", input, "input_tensor", input_tensor)
    axis = renamed("axis", axis, "reduction_indices", reduction_indices)
    with name_scope(name, "count_nonzero", [x]):
        x = convert(x, name="input")
        different = make("NotEqual", x, zeros([], dtype=x.dtype))
        return cast(reduce("Sum", cast(different, int64), axis, keepdims), dtype)


def argmax(input, axis=None, name=None, dimension=None, output_type=int64):
    """The position of the largest element along an axis (the first one, axis 0), the first of several."""
    axis = renamed("axis", axis, "dimension", dimension)
    return make("ArgMax", input, 0 if axis is None else axis, name=name, output_type=output_type)


def argmin(input, axis=None, name=None, dimension=None, output_type=int64):
    """The position of the smallest element along an axis (the first one, axis 0), the first of several."""
    axis = renamed("axis", axis, "dimension", dimension)
    return make("ArgMin", input, 0 if axis is None else axis, name=name, output_type=output_type)


def arg_max(input, dimension, output_type=int64, name=None):
    """The position of the largest element along an axis."""
    return make("ArgMax", input, dimension, name=name, output_type=output_type)


def arg_min(input, dimension, output_type=int64, name=None):
    """The position of the smallest element along an axis."""
    return make("ArgMin", input, dimension, name=name, output_type=output_type)


def l2_loss(t, name=None):
    """Half the sum of squares."""
    return make("L2Loss", t, name=name)


def norm(tensor, ord="euclidean", axis=None, keepdims=None, name=None, keep_dims=None):
    """A vector norm along an axis (or of all elements), or a matrix norm along two."""
    keepdims = bool(renamed("keepdims", keepdims, "keep_dims", keep_dims))
    matrix = isinstance(axis, (tuple, list)) and len(axis) == 2
    if matrix:
        axis = tuple(axis)
        if not all(isinstance(a, int) for a in axis) or axis[0] == axis[1]:
            raise ValueError("'axis' must be None, an integer, or a tuple of 2 unique integers")
        if ord not in ("euclidean", "fro", 1, 2, np.inf):
            raise ValueError(f"'ord' must be a supported matrix norm in ['euclidean', 'fro', 1, 2, inf], got {ord}")
    else:
        if not (isinstance(axis, int) or axis is None):
            raise ValueError("'axis' must be None, an integer, or a tuple of 2 unique integers")
        if ord not in ("euclidean", 1, 2, np.inf) and (isinstance(ord, str) or not np.isreal(ord) or ord <= 0):
            raise ValueError(f"'ord' must be a supported vector norm, got {ord}")
        if axis is not None:
            axis = (axis,)
    with name_scope(name, "norm", [tensor]):
        x = convert(tensor)
        if matrix and ord == 2:
            result = _largest_singular_value(x, axis)
        elif ord in ("fro", "euclidean", 2):
            result = make("Sqrt", reduce("Sum", x * conjugate(x), axis, True))
        else:
            result = _other_norm(abs(x), ord, axis, matrix)
        return result if keepdims else make("Squeeze", result, squeeze_dims=() if axis is None else axis)


def _largest_singular_value(x: Any, axis: Any) -> Any:
    """The spectral norm of the matrices in two dimensions, which are kept."""
    places = range(rank(x))
    # The order that puts the two dimensions last: they get the largest keys.
    first, last = (make("Cast", make("Equal", places, make("FloorMod", a, rank(x))), DstT=int32) for a in axis)
    keys = places + first * rank(x) + last * (2 * rank(x))
    order = make("TopKV2", make("Neg", keys), rank(x))[1]
    values = make("Svd", make("Transpose", x, order), compute_uv=False)[0]
    largest = reduce("Max", abs(values), [-1], True)
    return make("Transpose", make("ExpandDims", largest, -1), make("InvertPermutation", order))


def _other_norm(magnitudes: Any, ord: float, axis: tuple[int, ...] | None, matrix: bool) -> Any:
    """A norm that is not the Euclidean one, with the axes kept."""
    first = None if axis is None else axis[0]
    if ord == 1:
        result = reduce("Sum", magnitudes, first, True)
        return reduce("Max", result, axis[-1], True) if matrix and axis else result
    if ord == np.inf:
        if matrix and axis:
            magnitudes = reduce("Sum", magnitudes, axis[1], True)
        return reduce("Max", magnitudes, first, True)
    return make("Pow", reduce("Sum", make("Pow", magnitudes, ord), axis, True), 1.0 / ord)
