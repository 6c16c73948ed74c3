"""Metrics that are means: of values, of errors, of hits."""

from __future__ import annotations

from typing import Any

from graphflow.dtypes import float32, int64
from graphflow.graph.build import make
from graphflow.graph.scopes import control_dependencies
from graphflow.metrics.common import collected, metric_variable, ratio, squeezed
from graphflow.ops.confusion import confusion_matrix
from graphflow.ops.diagonal import diag_part
from graphflow.ops.division import div, div_no_nan
from graphflow.ops.logic import cast, equal, greater, not_equal, where
from graphflow.ops.reductions import reduce_mean, reduce_sum
from graphflow.ops.reshape import reshape
from graphflow.ops.scatter import scatter_add
from graphflow.ops.shape import size
from graphflow.ops.source import ones, ones_like, zeros_like
from graphflow.ops.state import assign_add
from graphflow.ops.variable_scope import variable_scope
from graphflow.ops.weights import broadcast_weights


def _weighed(values: Any, weights: Any) -> tuple[Any, Any]:
    values, _, weights = squeezed(values, None, weights)
    weights = broadcast_weights(cast(weights, float32), values)
    return make("Mul", values, weights), weights


def mean(values, weights=None, metrics_collections=None, updates_collections=None, name=None):
    """The weighted mean of all values so far."""
    with variable_scope(name, "mean", (values, weights)):
        values = cast(values, float32)
        total, count = metric_variable([], float32, "total"), metric_variable([], float32, "count")
        if weights is None:
            number = cast(size(values), float32)
        else:
            values, weights = _weighed(values, weights)
            number = reduce_sum(weights)
        new_total = assign_add(total, reduce_sum(values))
        with control_dependencies([values]):
            new_count = assign_add(count, number)
        value = collected(metrics_collections, ratio(total, count, "value"))
        return value, collected(updates_collections, ratio(new_total, new_count, "update_op"))


def mean_tensor(values, weights=None, metrics_collections=None, updates_collections=None, name=None):
    """The weighted mean of all values so far, element by element."""
    with variable_scope(name, "mean", (values, weights)):
        values = cast(values, float32)
        total = metric_variable(values.shape, float32, "total_tensor")
        count = metric_variable(values.shape, float32, "count_tensor")
        number = ones_like(values)
        if weights is not None:
            values, weights = _weighed(values, weights)
            number = make("Mul", number, weights)
        new_total = assign_add(total, values)
        with control_dependencies([values]):
            new_count = assign_add(count, number)
        value = collected(metrics_collections, ratio(total, count, "value"))
        return value, collected(updates_collections, ratio(new_total, new_count, "update_op"))


def accuracy(labels, predictions, weights=None, metrics_collections=None, updates_collections=None, name=None):
    """How often predictions equal labels."""
    predictions, labels, weights = squeezed(predictions, labels, weights)
    if labels.dtype.base_dtype != predictions.dtype.base_dtype:
        predictions = cast(predictions, labels.dtype.base_dtype)
    hits = cast(equal(predictions, labels), float32)
    return mean(hits, weights, metrics_collections, updates_collections, name or "accuracy")


def mean_absolute_error(labels, predictions, weights=None, metrics_collections=None, updates_collections=None, name=None):
    """The mean of |predictions - labels|."""
    predictions, labels, weights = squeezed(predictions, labels, weights)
    errors = make("Abs", predictions - labels)
    return mean(errors, weights, metrics_collections, updates_collections, name or "mean_absolute_error")


def mean_squared_error(labels, predictions, weights=None, metrics_collections=None, updates_collections=None, name=None):
    """The mean of (predictions - labels) squared."""
    predictions, labels, weights = squeezed(predictions, labels, weights)
    errors = make("SquaredDifference", labels, predictions)
    return mean(errors, weights, metrics_collections, updates_collections, name or "mean_squared_error")


def root_mean_squared_error(labels, predictions, weights=None, metrics_collections=None, updates_collections=None, name=None):
    """The root of the mean of (predictions - labels) squared."""
    predictions, labels, weights = squeezed(predictions, labels, weights)
    value, update = mean_squared_error(labels, predictions, weights, None, None, name or "root_mean_squared_error")
    root = collected(metrics_collections, make("Sqrt", value))
    return root, collected(updates_collections, make("Sqrt", update))


def mean_relative_error(labels, predictions, normalizer, weights=None, metrics_collections=None, updates_collections=None, name=None):
    """The mean of |predictions - labels| / normalizer, 0 where the normalizer is."""
    predictions, labels, weights = squeezed(predictions, labels, weights)
    predictions, normalizer, _ = squeezed(predictions, normalizer, None)
    errors = where(
        equal(normalizer, 0.0), zeros_like(labels), div(make("Abs", labels - predictions), normalizer)
    )  # fmt: skip
    return mean(errors, weights, metrics_collections, updates_collections, name or "mean_relative_error")


def mean_cosine_distance(labels, predictions, dim, weights=None, metrics_collections=None, updates_collections=None, name=None):
    """One minus the mean inner product along `dim` of vectors that are already of length 1."""
    predictions, labels, weights = squeezed(predictions, labels, weights)
    products = reduce_sum(make("Mul", predictions, labels), axis=[dim], keepdims=True)
    value, update = mean(products, weights, None, None, name or "mean_cosine_distance")
    value, update = make("Sub", 1.0, value), make("Sub", 1.0, update)
    return collected(metrics_collections, value), collected(updates_collections, update)


def percentage_below(values, threshold, weights=None, metrics_collections=None, updates_collections=None, name=None):
    """How often values are below the threshold."""
    below = cast(make("Less", values, threshold), float32)
    return mean(below, weights, metrics_collections, updates_collections, name or "percentage_below_threshold")


def mean_per_class_accuracy(labels, predictions, num_classes, weights=None, metrics_collections=None, updates_collections=None,
                            name=None):  # fmt: skip
    """The mean over classes of how often predictions are right."""
    with variable_scope(name, "mean_accuracy", (predictions, labels, weights)):
        labels = cast(labels, int64)
        if labels.shape.ndims > 1:
            labels = reshape(labels, [-1])
        if predictions.shape.ndims > 1:
            predictions = reshape(predictions, [-1])
        predictions.shape.assert_is_compatible_with(labels.shape)
        total, count = metric_variable([num_classes], float32, "total"), metric_variable([num_classes], float32, "count")
        number = ones([size(labels)], float32)
        if labels.dtype.base_dtype != predictions.dtype.base_dtype:
            predictions = cast(predictions, labels.dtype.base_dtype)
        hits = cast(equal(predictions, labels), float32)
        if weights is not None:
            weights = cast(reshape(weights, [-1]) if weights.shape.ndims > 1 else weights, float32)
            hits, number = hits * weights, number * weights
        new_total, new_count = scatter_add(total, labels, number), scatter_add(count, labels, hits)
        value = collected(metrics_collections, reduce_mean(ratio(count, total, None), name="mean_accuracy"))
        return value, collected(updates_collections, ratio(new_count, new_total, "update_op"))


def mean_iou(labels, predictions, num_classes, weights=None, metrics_collections=None, updates_collections=None, name=None):
    """The mean over classes of intersection over union."""
    with variable_scope(name, "mean_iou", (predictions, labels, weights)):
        predictions.shape.assert_is_compatible_with(labels.shape)
        total = metric_variable([num_classes, num_classes], "float64", "total_confusion_matrix")
        predictions, labels = cast(predictions, int64), cast(labels, int64)
        num_classes = cast(num_classes, int64)
        predictions, labels = (reshape(v, [-1]) if v.shape.ndims > 1 else v for v in (predictions, labels))
        if weights is not None and weights.shape.ndims > 1:
            weights = reshape(weights, [-1])
        current = confusion_matrix(labels, predictions, num_classes, weights=weights, dtype="float64")
        update = assign_add(total, current)
        rows, columns = cast(reduce_sum(total, 0), float32), cast(reduce_sum(total, 1), float32)
        diagonal = cast(diag_part(total), float32)
        union = rows + columns - diagonal
        valid = reduce_sum(cast(not_equal(union, 0.0), float32))
        union = where(greater(union, 0.0), union, ones_like(union))
        value = div_no_nan(reduce_sum(div(diagonal, union), name="mean_iou"), valid)
        return collected(metrics_collections, value), collected(updates_collections, update)
