"""Statistics along axes, and scaling by them: moments, l2_normalize, zero_fraction. Compositions, as TensorFlow builds them."""

from __future__ import annotations

import numpy as np

from graphflow.dtypes import float16, float32, int32, int64
from graphflow.graph.build import convert, make, name_scope
from graphflow.ops.arguments import renamed
from graphflow.ops.logic import cast
from graphflow.ops.reductions import norm, reduce
from graphflow.ops.reshape import squeeze
from graphflow.ops.shape import shape, size
from graphflow.ops.source import identity, stop_gradient, zeros, zeros_like


def moments(x, axes, shift=None, name=None, keep_dims=None, keepdims=None):
    """The mean and the variance of x along axes. `shift` has no effect."""
    keep = bool(renamed("keepdims", keepdims, "keep_dims", keep_dims))
    with name_scope(name, "moments", [x, axes]):
        half = x.dtype.base_dtype == float16
        y = cast(x, float32) if half else x
        mean = reduce("Mean", y, axes, True, "mean")
        variance = reduce("Mean", make("SquaredDifference", y, stop_gradient(mean)), axes, True, "variance")
        if not keep:
            mean, variance = squeeze(mean, axes), squeeze(variance, axes)
        return (cast(mean, float16), cast(variance, float16)) if half else (mean, variance)


def weighted_moments(x, axes, frequency_weights, name=None, keep_dims=None, keepdims=None):
    """The mean and the variance of x along axes, each element counting as often as its weight says."""
    keep = bool(renamed("keepdims", keepdims, "keep_dims", keep_dims))
    with name_scope(name, "weighted_moments", [x, frequency_weights, axes]):
        x = convert(x, name="x")
        weights = convert(frequency_weights, name="frequency_weights")
        half = x.dtype.base_dtype == float16
        if half:
            x = cast(x, float32)
        if weights.dtype.base_dtype != x.dtype.base_dtype:
            weights = cast(weights, x.dtype)
        total = reduce("Sum", weights * x, axes, True, "weighted_input_sum")
        counted = reduce("Sum", weights + zeros_like(x), axes, True, "sum_of_weights")
        divisor = make("Reciprocal", counted, name="inv_weight_sum")
        mean = make("Mul", total, divisor)
        spread = reduce("Sum", weights * make("SquaredDifference", x, mean), axes, True, "weighted_distsq")
        variance = make("Mul", spread, divisor)
        if not keep:
            mean, variance = squeeze(mean, axis=axes), squeeze(variance, axis=axes)
        return (cast(mean, float16), cast(variance, float16)) if half else (mean, variance)


def sufficient_statistics(x, axes, shift=None, keep_dims=None, name=None, keepdims=None):
    """The count, the sum and the sum of squares of x along axes, from which normalize_moments gives the moments."""
    axes = list(set(axes))
    keep = bool(renamed("keepdims", keepdims, "keep_dims", keep_dims))
    with name_scope(name, "sufficient_statistics", [x, shift]):
        x = convert(x, name="x")
        sizes = x.shape.sizes
        if sizes is not None and all(sizes[a] is not None for a in axes):
            counts = convert(np.prod([sizes[a] for a in axes]).item(), x.dtype)
        else:
            counts = make("Prod", make("GatherV2", cast(shape(x), x.dtype), axes, 0), [0], name="count")
        if shift is not None:
            shift = convert(shift, name="shift")
            first, second = make("Sub", x, shift), make("SquaredDifference", x, shift)
        else:
            first, second = x, make("Square", x)
        first = reduce("Sum", first, axes, keep, "mean_ss")
        second = reduce("Sum", second, axes, keep, "var_ss")
    return counts, first, second, shift


def normalize_moments(counts, mean_ss, variance_ss, shift, name=None):
    """The mean and the variance from the results of sufficient_statistics."""
    with name_scope(name, "normalize", [counts, mean_ss, variance_ss, shift]):
        divisor = make("Reciprocal", counts, name="divisor")
        if shift is not None:
            shifted = make("Mul", mean_ss, divisor, name="shifted_mean")
            mean = make("Add", shifted, shift, name="mean")
        else:
            mean = shifted = make("Mul", mean_ss, divisor, name="mean")
        variance = make("Sub", make("Mul", variance_ss, divisor), make("Square", shifted), name="variance")
    return mean, variance


def l2_normalize(x, axis=None, epsilon=1e-12, name=None, dim=None):
    """x divided by its L2 norm along an axis; the squared norm counts as at least `epsilon`."""
    axis = renamed("axis", axis, "dim", dim)
    with name_scope(name, "l2_normalize", [x]) as scope:
        x = convert(x, name="x")
        total = reduce("Sum", make("Square", x), axis, True)
        return make("Mul", x, make("Rsqrt", make("Maximum", total, epsilon)), name=scope)


def normalize(tensor, ord="euclidean", axis=None, name=None):
    """A tensor divided by its norm, and that norm."""
    with name_scope(name, "normalize", [tensor]):
        tensor = convert(tensor)
        length = cast(norm(tensor, ord, axis, keepdims=True), tensor.dtype)
        return tensor / length, length


def zero_fraction(value, name=None):
    """The share of elements that are zero, as a float32."""
    with name_scope(name, "zero_fraction", [value]):
        value = convert(value, name="value")
        total = size(value, out_type=int64)
        with name_scope("count_nonzero", values=[value]):
            different = make("NotEqual", value, zeros([], dtype=value.dtype))
            nonzero = cast(reduce("Sum", cast(different, int32), None, False, "nonzero_count"), int64)
        with name_scope("counts_to_fraction"):
            fraction = cast(total - nonzero, float32) / cast(total, float32)
        return identity(fraction, "fraction")


def swish(features):
    """features * sigmoid(features)"""
    features = convert(features, name="features")
    return features * make("Sigmoid", features)
