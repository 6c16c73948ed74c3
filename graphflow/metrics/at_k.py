"""Metrics over the k best classes of each example: precision, recall and average precision.

Labels are int64 [..., number of labels], [...] for one label each, or a SparseTensor; the sets of labels and of predicted classes are
compared element by element on dense tensors, in which a number that no class has fills the rows of a SparseTensor.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.dtypes import float64, int32, int64
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.composite import SparseTensor, SparseTensorValue
from graphflow.metrics.common import collected, metric_variable, now, ratio
from graphflow.ops.choose import top_k
from graphflow.ops.division import div
from graphflow.ops.logic import cast, equal, greater, logical_and, logical_not, not_equal
from graphflow.ops.reductions import reduce_any, reduce_sum
from graphflow.ops.reshape import expand_dims
from graphflow.ops.scans import cumsum
from graphflow.ops.shape import size
from graphflow.ops.source import ones_like, with_dependencies
from graphflow.ops.sparse import as_sparse, sparse_tensor_to_dense
from graphflow.ops.state import assign_add
from graphflow.ops.variable_scope import variable_scope
from graphflow.ops.weights import assert_broadcastable, broadcast_weights

NONE = int(np.iinfo(np.int64).min)  # stands where a row of labels has ended


def _name(what: str, k: int | None, class_id: int | None = None) -> str:
    name = f"{what}_at_{k}" if k is not None else f"{what}_at_k"
    return name if class_id is None else f"{name}_class{class_id}"


def _dense(labels: Any, predictions: Any) -> Any:
    """The labels with one dimension for those of an example."""
    if isinstance(labels, (SparseTensor, SparseTensorValue)):
        sparse = as_sparse(labels)
        wide = SparseTensor(sparse.indices, cast(sparse.values, int64), sparse.dense_shape)
        labels = sparse_tensor_to_dense(wide, NONE)
    else:
        labels = cast(convert_to_tensor(labels), int64)
    given, wanted = labels.shape.ndims, predictions.shape.ndims
    if given is None or wanted is None:
        raise ValueError("labels and predictions must be of known rank")
    return expand_dims(labels, -1) if given == wanted - 1 else labels


def _is_in(a: Any, b: Any) -> Any:
    """Which elements of the rows of a are in the same row of b."""
    return reduce_any(equal(expand_dims(a, -1), expand_dims(b, -2)), axis=-1)


def _first(rows: Any) -> Any:
    """Which elements are the first of their kind in their row."""
    width = rows.shape[-1].value
    same = equal(expand_dims(rows, -1), expand_dims(rows, -2))
    if width is not None:
        earlier: Any = np.tril(np.ones((width, width), bool), -1)
    else:
        places = cumsum(ones_like(rows), axis=-1)
        earlier = greater(expand_dims(places, -1), expand_dims(places, -2))
    return logical_not(reduce_any(logical_and(same, earlier), axis=-1))


def _counts(kind: str, labels: Any, predicted: Any, class_id: int | None) -> Any:
    """How many true positives (tp), false positives (fp) or false negatives (fn) each example has, float64 [...]."""
    labels = _dense(labels, predicted)
    rows, others = (labels, predicted) if kind == "fn" else (predicted, labels)
    found = _is_in(rows, others)
    counted = logical_and(found if kind == "tp" else logical_not(found), _first(rows))
    counted = logical_and(counted, not_equal(rows, NONE))
    if class_id is not None:
        counted = logical_and(counted, equal(rows, class_id))
    return reduce_sum(cast(counted, float64), axis=-1)


_SCOPES = {"tp": "true_positive", "fp": "false_positive", "fn": "false_negative"}


def _streaming(kind: str, labels: Any, predicted: Any, k: int | None, class_id: int | None, weights: Any) -> tuple[Any, Any]:
    """The variable that counts, and its update."""
    with name_scope(None, _name(_SCOPES[kind], k, class_id), (predicted, labels, weights)) as scope:
        counts = _counts(kind, labels, predicted, class_id)
        if weights is not None:
            weights = cast(convert_to_tensor(weights), float64)
            with_shape = with_dependencies([assert_broadcastable(weights, counts)], counts)
            counts = make("Mul", with_shape, weights)
        variable = metric_variable([], float64, scope)
        return variable, assign_add(variable, reduce_sum(counts), name="update")


def _share(what: str, misses: str, given: dict[str, Any], predicted: Any, scope: str) -> Any:
    """hits / (hits + misses), with the counts in variables."""
    arguments = given["labels"], predicted, given["k"], given["class_id"], given["weights"]
    hit, hit_update = _streaming("tp", *arguments)
    missed, missed_update = _streaming(misses, *arguments)
    value = collected(given["metrics_collections"], div(now(hit), make("Add", now(hit), now(missed)), name=scope))
    update = div(hit_update, make("Add", hit_update, missed_update), name="update")
    return value, collected(given["updates_collections"], update)


def _best(predictions: Any, k: int) -> Any:
    return cast(top_k(convert_to_tensor(predictions), k)[1], int64)


def _of_indices(what: str, misses: str, given: dict[str, Any]) -> Any:
    labels, predicted, k = given["labels"], given["predictions_idx"], given["k"]
    with name_scope(given["name"], _name(what, k, given["class_id"]), (predicted, labels, given["weights"])) as scope:
        return _share(what, misses, given, cast(convert_to_tensor(predicted), int64), scope)


def _of_scores(what: str, misses: str, given: dict[str, Any]) -> Any:
    labels, predictions, k = given["labels"], given["predictions"], given["k"]
    with name_scope(given["name"], _name(what, k, given["class_id"]), (predictions, labels, given["weights"])) as scope:
        return _share(what, misses, given, _best(predictions, k), scope)


def precision_at_top_k(labels, predictions_idx, k=None, class_id=None, weights=None, metrics_collections=None, updates_collections=None,
                       name=None):  # fmt: skip
    """The share of the predicted classes [..., k] that are among the labels; of those that are class_id where it is given. `k` is only
    a name."""
    return _of_indices("precision", "fp", locals())


def precision_at_k(labels, predictions, k, class_id=None, weights=None, metrics_collections=None, updates_collections=None, name=None):
    """precision_at_top_k of the k classes with the highest of the scores `predictions` [..., classes]."""
    return _of_scores("precision", "fp", locals())


def sparse_precision_at_k(labels, predictions, k, class_id=None, weights=None, metrics_collections=None, updates_collections=None,
                          name=None):  # fmt: skip
    """precision_at_k by its older name."""
    return precision_at_k(labels, predictions, k, class_id, weights, metrics_collections, updates_collections, name)


def recall_at_top_k(labels, predictions_idx, k=None, class_id=None, weights=None, metrics_collections=None, updates_collections=None,
                    name=None):  # fmt: skip
    """The share of the labels that are among the predicted classes [..., k]; of those that are class_id where it is given. `k` is only
    a name."""
    return _of_indices("recall", "fn", locals())


def recall_at_k(labels, predictions, k, class_id=None, weights=None, metrics_collections=None, updates_collections=None, name=None):
    """recall_at_top_k of the k classes with the highest of the scores `predictions` [..., classes]."""
    return _of_scores("recall", "fn", locals())


def _average_precisions(labels: Any, predicted: Any, k: int) -> Any:
    """For each example the sum of the precisions at the places of its right predictions, over the number of its labels (at most k)."""
    dense = _dense(labels, predicted)
    right = cast(_is_in(predicted, dense), float64)
    hits = cumsum(right, axis=-1)
    places = cumsum(ones_like(hits), axis=-1)
    total = reduce_sum(right * hits / places, axis=-1)
    sparse = isinstance(labels, (SparseTensor, SparseTensorValue))
    present = logical_and(_first(dense), not_equal(dense, NONE)) if sparse else equal(dense, dense)
    relevant = make("Minimum", reduce_sum(cast(present, float64), axis=-1), convert_to_tensor(float(k), float64))
    return div(total, relevant)


def average_precision_at_k(labels, predictions, k, weights=None, metrics_collections=None, updates_collections=None, name=None):
    """The mean over examples of the average precision of the k classes with the highest of the scores `predictions` [..., classes]."""
    if k < 1:
        raise ValueError(f"Invalid k={k}.")
    with variable_scope(name, _name("average_precision", k), (predictions, labels, weights)):
        each = _average_precisions(labels, _best(predictions, k), k)
        if weights is not None:
            weights = broadcast_weights(cast(convert_to_tensor(weights), float64), each)
            each = make("Mul", each, weights)
        with name_scope("max"):
            most = metric_variable([], float64, "max")
            batch = cast(size(each, out_type=int32), float64) if weights is None else reduce_sum(weights, name="batch_max")
            most_update = assign_add(most, batch, name="update")
        with name_scope("total"):
            total = metric_variable([], float64, "total")
            total_update = assign_add(total, reduce_sum(each, name="batch_total"), name="update")
        value = collected(metrics_collections, ratio(now(total), now(most), "mean"))
        return value, collected(updates_collections, ratio(total_update, most_update, "update"))


def sparse_average_precision_at_k(labels, predictions, k, weights=None, metrics_collections=None, updates_collections=None, name=None):
    """average_precision_at_k by its older name."""
    return average_precision_at_k(labels, predictions, k, weights, metrics_collections, updates_collections, name)
