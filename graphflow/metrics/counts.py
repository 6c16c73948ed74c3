"""Metrics that count hits and misses of yes-or-no predictions: positives and negatives, precision, recall, area under a curve."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphflow.dtypes import bool as bool_
from graphflow.dtypes import float32, int32
from graphflow.graph.build import convert, make
from graphflow.metrics.common import collected, metric_variable, now, ratio, squeezed
from graphflow.ops.division import div
from graphflow.ops.joining import stack, tile
from graphflow.ops.logic import cast, equal, greater, logical_and, logical_not, where
from graphflow.ops.reductions import argmax, argmin, reduce_min, reduce_sum
from graphflow.ops.reshape import expand_dims, reshape, transpose
from graphflow.ops.scans import cumsum
from graphflow.ops.shape import shape
from graphflow.ops.source import constant, ones_like
from graphflow.ops.state import assign_add
from graphflow.ops.variable_scope import variable_scope
from graphflow.ops.weights import broadcast_weights

# What is counted -> (its variable's name, whether the label is positive, whether the prediction is).
_KINDS = {
    "tp": ("true_positives", True, True), "fn": ("false_negatives", True, False), "tn": ("true_negatives", False, False),
    "fp": ("false_positives", False, True),
}  # fmt: skip


def _counter(kind: str) -> Callable[..., Any]:
    scope, label, prediction = _KINDS[kind]

    def function(labels, predictions, weights=None, metrics_collections=None, updates_collections=None, name=None):
        with variable_scope(name, scope, (predictions, labels, weights)):
            predictions, labels, weights = squeezed(cast(predictions, bool_), cast(labels, bool_), weights)
            hits = logical_and(equal(labels, label), equal(predictions, prediction))
            count = metric_variable([], float32, "count")
            values = cast(hits, float32)
            if weights is not None:
                values = make("Mul", values, cast(weights, float32))
            value = collected(metrics_collections, now(count))
            return value, collected(updates_collections, assign_add(count, reduce_sum(values)))

    function.__name__ = function.__qualname__ = scope
    function.__doc__ = f"The number (or weight) of {scope.replace('_', ' ')}."
    return function


true_positives, false_negatives = _counter("tp"), _counter("fn")
true_negatives, false_positives = _counter("tn"), _counter("fp")


def _at_thresholds(labels: Any, predictions: Any, thresholds: Sequence[float], weights: Any, kinds: Sequence[str]) -> Any:
    """Counts per threshold: variables and updated values by kind."""
    predictions, labels, weights = squeezed(cast(predictions, float32), cast(labels, bool_), weights)
    number = len(thresholds)
    column, row = reshape(predictions, [-1, 1]), reshape(labels, [1, -1])
    limits = expand_dims(constant(list(thresholds), float32), [1])
    count = column.shape.as_list()[0]
    limits = tile(limits, stack([1, shape(column)[0] if count is None else count]))
    positive = greater(tile(transpose(column), [number, 1]), limits)
    label = tile(row, [number, 1])
    if weights is not None:
        weights = tile(reshape(broadcast_weights(cast(weights, float32), predictions), [1, -1]), [number, 1])
    values, updates = {}, {}
    for kind in kinds:
        name, of_label, of_prediction = _KINDS[kind]
        variable = metric_variable([number], float32, name)
        hits = cast(logical_and(label if of_label else logical_not(label), positive if of_prediction else logical_not(positive)), float32)
        if weights is not None:
            hits = hits * weights
        updates[kind], values[kind] = assign_add(variable, reduce_sum(hits, 1)), variable
    return values, updates


def _counter_at_thresholds(kind: str) -> Callable[..., Any]:
    scope = _KINDS[kind][0]

    def function(labels, predictions, thresholds, weights=None, metrics_collections=None, updates_collections=None, name=None):
        with variable_scope(name, scope, (predictions, labels, weights)):
            values, updates = _at_thresholds(labels, predictions, thresholds, weights, (kind,))
            value = collected(metrics_collections, now(values[kind]))
            return value, collected(updates_collections, updates[kind])

    function.__name__ = function.__qualname__ = f"{scope}_at_thresholds"
    function.__doc__ = f"The number (or weight) of {scope.replace('_', ' ')} for each threshold of predictions between 0 and 1."
    return function


true_positives_at_thresholds, false_negatives_at_thresholds = _counter_at_thresholds("tp"), _counter_at_thresholds("fn")
true_negatives_at_thresholds, false_positives_at_thresholds = _counter_at_thresholds("tn"), _counter_at_thresholds("fp")


def _share(hits: Any, misses: Any, name: str) -> Any:
    """hits / (hits + misses), 0 for none."""
    return where(greater(hits + misses, 0.0), div(hits, hits + misses), convert(0.0), name)


def _precision_or_recall(scope: str, misses: Callable[..., Any], given: dict[str, Any]) -> Any:
    labels, predictions, weights = given["labels"], given["predictions"], given["weights"]
    with variable_scope(given["name"], scope, (predictions, labels, weights)):
        predictions, labels, weights = squeezed(cast(predictions, bool_), cast(labels, bool_), weights)
        hit, hit_update = true_positives(labels, predictions, weights)
        missed, missed_update = misses(labels, predictions, weights)
        value = collected(given["metrics_collections"], _share(hit, missed, "value"))
        return value, collected(given["updates_collections"], _share(hit_update, missed_update, "update_op"))


def precision(labels, predictions, weights=None, metrics_collections=None, updates_collections=None, name=None):
    """The share of positive predictions that are right."""
    return _precision_or_recall("precision", false_positives, locals())


def recall(labels, predictions, weights=None, metrics_collections=None, updates_collections=None, name=None):
    """The share of positive labels that were predicted."""
    return _precision_or_recall("recall", false_negatives, locals())


def _share_at_thresholds(scope: str, other: str, given: dict[str, Any]) -> Any:
    labels, predictions, weights = given["labels"], given["predictions"], given["weights"]
    with variable_scope(given["name"], f"{scope}_at_thresholds", (predictions, labels, weights)):
        values, updates = _at_thresholds(labels, predictions, given["thresholds"], weights, ("tp", other))
        value = div(values["tp"], 1e-7 + values["tp"] + values[other], name=f"{scope}_value")
        update = div(updates["tp"], 1e-7 + updates["tp"] + updates[other], name=f"{scope}_update_op")
        return collected(given["metrics_collections"], value), collected(given["updates_collections"], update)


def precision_at_thresholds(labels, predictions, thresholds, weights=None, metrics_collections=None, updates_collections=None,
                            name=None):  # fmt: skip
    """Precision for each threshold of predictions between 0 and 1."""
    return _share_at_thresholds("precision", "fp", locals())


def recall_at_thresholds(labels, predictions, thresholds, weights=None, metrics_collections=None, updates_collections=None, name=None):
    """Recall for each threshold of predictions between 0 and 1."""
    return _share_at_thresholds("recall", "fn", locals())


_EPSILON = 1e-7


def _limits(number: int) -> list[float]:
    """Thresholds from just below 0 to just above 1."""
    return [0.0 - _EPSILON, *((i + 1) * 1.0 / (number - 1) for i in range(number - 2)), 1.0 + _EPSILON]


def auc(labels, predictions, weights=None, num_thresholds=200, metrics_collections=None, updates_collections=None, curve="ROC", name=None,
        summation_method="trapezoidal", thresholds=None):  # fmt: skip
    """The area under the curve of true over false positives (ROC) or of precision over recall (PR), as a sum over thresholds."""
    with variable_scope(name, "auc", (labels, predictions, weights)):
        if curve not in ("ROC", "PR"):
            raise ValueError(f"curve must be either ROC or PR, {curve} unknown")
        limits = _limits(num_thresholds) if thresholds is None else [0.0 - _EPSILON, *sorted(thresholds), 1.0 + _EPSILON]
        values, updates = _at_thresholds(labels, predictions, limits, weights, ("tp", "fn", "tn", "fp"))
        value = collected(metrics_collections, _area(values, curve, summation_method, "value"))
        return value, collected(updates_collections, _area(updates, curve, summation_method, "update_op"))


def _operating_point(scope: str, given: dict[str, Any], choose: Callable[..., Any]) -> Any:
    """One rate at the threshold where another one comes nearest to a wanted value; `choose` gives it from the counts."""
    labels, predictions, weights = given["labels"], given["predictions"], given["weights"]
    with variable_scope(given["name"], scope, (predictions, labels, weights)):
        values, updates = _at_thresholds(labels, predictions, _limits(given["num_thresholds"]), weights, ("tp", "fn", "tn", "fp"))
        value = collected(given["metrics_collections"], choose(values, "value"))
        return value, collected(given["updates_collections"], choose(updates, "update_op"))


def _in_unit_interval(name: str, value: float) -> None:
    if value < 0 or value > 1:
        raise ValueError(f"`{name}` must be in the range [0, 1].")


def sensitivity_at_specificity(labels, predictions, specificity, weights=None, num_thresholds=200, metrics_collections=None,
                               updates_collections=None, name=None):  # fmt: skip
    """The share of positive labels that are found, at the threshold whose specificity is nearest to the given one."""
    _in_unit_interval("specificity", specificity)

    def choose(counts: dict[str, Any], name: str) -> Any:
        tp, fn, tn, fp = (convert(counts[k]) for k in ("tp", "fn", "tn", "fp"))
        at = argmin(make("Abs", div(tn, tn + fp + _EPSILON) - specificity), 0)
        at = cast(at, int32)
        return div(tp[at], tp[at] + fn[at] + _EPSILON, name)

    return _operating_point("sensitivity_at_specificity", locals(), choose)


def specificity_at_sensitivity(labels, predictions, sensitivity, weights=None, num_thresholds=200, metrics_collections=None,
                               updates_collections=None, name=None):  # fmt: skip
    """The share of negative labels that are recognised, at the highest threshold whose sensitivity is nearest to the given one."""
    _in_unit_interval("sensitivity", sensitivity)

    def choose(counts: dict[str, Any], name: str) -> Any:
        tp, fn, tn, fp = (convert(counts[k]) for k in ("tp", "fn", "tn", "fp"))
        distance = make("Abs", div(tp, tp + fn + _EPSILON) - sensitivity)
        nearest = equal(distance, reduce_min(distance))
        at = cast(argmax(cumsum(cast(nearest, int32)), 0), int32)  # the last of several
        return div(tn[at], tn[at] + fp[at] + _EPSILON, name)

    return _operating_point("specificity_at_sensitivity", locals(), choose)


def _area(counts: dict[str, Any], curve: str, method: str, name: str) -> Any:
    tp, fn, tn, fp = (convert(counts[k]) for k in ("tp", "fn", "tn", "fp"))
    small = 1.0e-6
    if curve == "PR" and method == "careful_interpolation":
        return _interpolated(tp, fp, fn)
    recalled = div(tp + small, tp + fn + small)
    x, y = (div(fp, fp + tn + small), recalled) if curve == "ROC" else (recalled, div(tp + small, tp + fp + small))
    if method in ("trapezoidal", "careful_interpolation"):
        height = (y[:-1] + y[1:]) / 2.0
    elif method in ("minoring", "majoring"):
        height = make("Minimum" if method == "minoring" else "Maximum", y[:-1], y[1:])
    else:
        raise ValueError(f"Invalid summation_method: {method}")
    return reduce_sum(make("Mul", x[:-1] - x[1:], height), name=name)


def _interpolated(tp: Any, fp: Any, fn: Any) -> Any:
    """Davis's and Goadrich's area under precision over recall: counts, not precision, are interpolated between thresholds."""
    gained, positive = tp[:-1] - tp[1:], tp + fp
    slope = ratio(gained, positive[:-1] - positive[1:], "prec_slope")
    start = tp[1:] - make("Mul", slope, positive[1:])
    both = logical_and(greater(positive[:-1], 0.0), greater(positive[1:], 0.0))
    grown = where(both, ratio(positive[:-1], positive[1:], "recall_relative_ratio"), ones_like(positive[1:]))
    parts = ratio(slope * (gained + start * make("Log", grown)), tp[1:] + fn[1:], "pr_auc_increment")
    return reduce_sum(parts, name="interpolate_pr_auc")
