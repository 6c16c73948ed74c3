"""tf.contrib.metrics: the metrics of tf.metrics with predictions before labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphflow import metrics
from graphflow.graph.build import convert, make, name_scope
from graphflow.metrics import percentage_below as streaming_percentage_less
from graphflow.metrics.means import mean as streaming_mean
from graphflow.metrics.means import mean_tensor as streaming_mean_tensor
from graphflow.missing import names_of
from graphflow.ops.confusion import confusion_matrix
from graphflow.ops.logic import cast, equal
from graphflow.ops.reductions import reduce_mean, reduce_sum

__all__ = [
    "accuracy", "aggregate_metric_map", "aggregate_metrics", "confusion_matrix", "streaming_accuracy", "streaming_auc",
    "streaming_false_negatives", "streaming_false_positives", "streaming_mean", "streaming_mean_absolute_error",
    "streaming_mean_squared_error", "streaming_mean_tensor", "streaming_percentage_less", "streaming_precision", "streaming_recall",
    "streaming_root_mean_squared_error", "streaming_true_negatives", "streaming_true_positives",
]  # fmt: skip


def accuracy(predictions, labels, weights=None, name=None):
    """How often predictions equal labels, in this batch."""
    if not (labels.dtype.is_integer or labels.dtype.base_dtype.name in ("bool", "string")):
        raise ValueError(f"Labels should have bool, integer, or string dtype, not {labels.dtype}")
    if labels.dtype.base_dtype != predictions.dtype.base_dtype:
        raise ValueError(
            f"Dtypes of predictions and labels should match. Given: predictions ({predictions.dtype}) and labels ({labels.dtype})"
        )
    with name_scope(name, "accuracy", values=[predictions, labels]):
        hits = cast(equal(predictions, labels), "float32")
        if weights is None:
            return reduce_mean(hits)
        weights = cast(convert(weights), "float32")
        return make("RealDiv", reduce_sum(make("Mul", hits, weights)), reduce_sum(weights))


def _turned(metric: Callable[..., Any]) -> Callable[..., Any]:
    def function(predictions, labels, weights=None, metrics_collections=None, updates_collections=None, name=None):
        return metric(labels, predictions, weights, metrics_collections, updates_collections, name)

    function.__name__ = function.__qualname__ = f"streaming_{metric.__name__}"
    function.__doc__ = metric.__doc__
    return function


streaming_accuracy = _turned(metrics.accuracy)
streaming_false_negatives = _turned(metrics.false_negatives)
streaming_false_positives = _turned(metrics.false_positives)
streaming_mean_absolute_error = _turned(metrics.mean_absolute_error)
streaming_mean_squared_error = _turned(metrics.mean_squared_error)
streaming_precision = _turned(metrics.precision)
streaming_recall = _turned(metrics.recall)
streaming_root_mean_squared_error = _turned(metrics.root_mean_squared_error)
streaming_true_negatives = _turned(metrics.true_negatives)
streaming_true_positives = _turned(metrics.true_positives)


def streaming_auc(predictions, labels, weights=None, num_thresholds=200, metrics_collections=None, updates_collections=None, curve="ROC",
                  name=None):  # fmt: skip
    """The area under a curve, see tf.metrics.auc."""
    return metrics.auc(labels, predictions, weights, num_thresholds, metrics_collections, updates_collections, curve, name)


def aggregate_metrics(*value_update_tuples):
    """Values and updates of several metrics as two lists."""
    if not value_update_tuples:
        raise ValueError("Expected at least one value_tensor/update_op pair")
    values, updates = zip(*value_update_tuples, strict=True)
    return list(values), list(updates)


def aggregate_metric_map(names_to_tuples):
    """Values and updates of several metrics as two dicts by name."""
    return {n: v for n, (v, _) in names_to_tuples.items()}, {n: u for n, (_, u) in names_to_tuples.items()}

globals()["__getattr__"] = names_of("contrib.metrics")
