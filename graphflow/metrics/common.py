"""What the metrics share: their variables, squeezed arguments, collections."""

from __future__ import annotations

from typing import Any

from graphflow.graph.build import convert, make
from graphflow.graph.collections import GraphKeys
from graphflow.graph.scopes import add_to_collections
from graphflow.ops.division import div_no_nan
from graphflow.ops.reshape import expand_dims, squeeze
from graphflow.ops.resource_variable import ResourceVariable
from graphflow.ops.source import zeros
from graphflow.ops.variables import Variable
from graphflow.ops.weights import remove_squeezable_dimensions


def metric_variable(shape: Any, dtype: Any, name: str) -> Variable:
    """A variable of zeros in the collections LOCAL_VARIABLES and METRIC_VARIABLES."""
    kept = [GraphKeys.LOCAL_VARIABLES, GraphKeys.METRIC_VARIABLES]
    return Variable(lambda: zeros(shape, dtype), trainable=False, collections=kept, name=name)


def squeezed(predictions: Any, labels: Any, weights: Any) -> tuple[Any, Any, Any]:
    """Predictions, labels and weights with a last axis of 1 taken away or added where ranks differ by one."""
    predictions = convert(predictions)
    if labels is not None:
        labels, predictions = remove_squeezable_dimensions(labels, predictions)
        predictions.shape.assert_is_compatible_with(labels.shape)
    if weights is None:
        return predictions, labels, None
    weights = convert(weights)
    given, wanted = weights.shape.ndims, predictions.shape.ndims
    if given and wanted is not None:
        if given - wanted == 1:
            weights = squeeze(weights, [-1])
        elif wanted - given == 1:
            weights = expand_dims(weights, [-1])
    return predictions, labels, weights


def now(variable: Any) -> Any:
    """The value of a metric's variable: a copy of its memory, or what reading it gives."""
    return make("Identity", variable if isinstance(variable, ResourceVariable) else variable._ref())


def collected(collections: Any, value: Any) -> Any:
    """The value, added to the collections."""
    if collections:
        add_to_collections(collections, value)
    return value


def ratio(total: Any, count: Any, name: str | None) -> Any:
    """total / count, 0 for none."""
    return div_no_nan(total, make("Maximum", count, 0), name=name)
