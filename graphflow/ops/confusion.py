"""The confusion matrix: how often each class was taken for each."""

from __future__ import annotations

from typing import Any

from graphflow.dtypes import as_dtype, int32, int64
from graphflow.graph.build import convert, make, name_scope
from graphflow.ops.assertions import assert_less, assert_non_negative
from graphflow.ops.logic import cast
from graphflow.ops.reductions import reduce_max
from graphflow.ops.source import ones_like, with_dependencies
from graphflow.ops.weights import remove_squeezable_dimensions

__all__ = ["confusion_matrix"]


def confusion_matrix(labels, predictions, num_classes=None, dtype=int32, name=None, weights=None):
    """A matrix whose element [i, j] counts, or adds the weights of, the examples of class i that were taken for class j."""
    with name_scope(name, "confusion_matrix", (predictions, labels, num_classes, weights)):
        labels, predictions = remove_squeezable_dimensions(convert(labels, name="labels"), convert(predictions, name="predictions"))
        predictions, labels = cast(predictions, int64), cast(labels, int64)
        labels = with_dependencies([assert_non_negative(labels, message="`labels` contains negative values")], labels)
        predictions = with_dependencies([assert_non_negative(predictions, message="`predictions` contains negative values")], predictions)
        if num_classes is None:
            classes: Any = make("Maximum", reduce_max(predictions), reduce_max(labels)) + 1
        else:
            classes = cast(num_classes, int64)
            labels = with_dependencies([assert_less(labels, classes, message="`labels` out of bound")], labels)
            predictions = with_dependencies([assert_less(predictions, classes, message="`predictions` out of bound")], predictions)
        if weights is not None:
            weights = convert(weights, name="weights")
            predictions.shape.assert_is_compatible_with(weights.shape)
        size = make("Pack", [classes, classes], axis=0)
        places = make("Pack", [labels, predictions], axis=1)
        values = ones_like(predictions, as_dtype(dtype)) if weights is None else cast(weights, as_dtype(dtype))
        return make("ScatterNd", places, values, size)
