"""Weights of losses and metrics: which shapes may weigh which values, and weights repeated to the values' shape."""

from __future__ import annotations

from typing import Any

from graphflow.graph.build import convert, make, name_scope
from graphflow.graph.convert import constant_value
from graphflow.graph.scopes import control_dependencies
from graphflow.ops.reshape import squeeze
from graphflow.ops.shape import rank, shape
from graphflow.ops.source import no_op, ones_like

_REFUSED = "weights can not be broadcast to values."


def assert_broadcastable(weights: Any, values: Any) -> Any:
    """Refuses weights that are neither a scalar nor of the values' rank with each size 1 or the values'; gives the op that stands for it.

    Sizes that are known only at run time are left to the multiplication that follows.
    """
    with name_scope(None, "assert_broadcastable", (weights, values)) as scope:
        with name_scope(None, "weights", (weights,)) as inner:
            weights = convert(weights, name=inner)
            weights_shape, weights_rank = shape(weights, name="shape"), rank(weights, name="rank")
        with name_scope(None, "values", (values,)) as inner:
            values = convert(values, name=inner)
            values_shape, values_rank = shape(values, name="shape"), rank(values, name="rank")
        of_weights, of_values = constant_value(weights_rank), constant_value(values_rank)
        if of_weights is None or of_values is None:
            return no_op(name=scope)
        if of_weights == 0:
            return no_op(name="static_scalar_check_success")
        if of_weights != of_values:
            raise ValueError(
                f"{_REFUSED} values.rank={of_values}. weights.rank={of_weights}. values.shape={values.shape}. "
                f"weights.shape={weights.shape}."
            )
        given, wanted = constant_value(weights_shape), constant_value(values_shape)
        if given is None or wanted is None:
            return no_op(name=scope)
        for axis, (w, v) in enumerate(zip(given, wanted, strict=True)):
            if w not in (1, v):
                raise ValueError(f"{_REFUSED} Mismatch at dim {axis}. values.shape={wanted} weights.shape={given}.")
        return no_op(name="static_dims_check_success")


def broadcast_weights(weights: Any, values: Any) -> Any:
    """Weights repeated to the shape of the values."""
    with name_scope(None, "broadcast_weights", (weights, values)) as scope:
        values = convert(values, name="values")
        weights = convert(weights, values.dtype.base_dtype, "weights")
        if weights.shape.is_fully_defined() and values.shape.is_fully_defined() and weights.shape.is_compatible_with(values.shape):
            return weights
        with control_dependencies((assert_broadcastable(weights, values),)):
            return make("Mul", weights, ones_like(values), name=scope)


def remove_squeezable_dimensions(labels: Any, predictions: Any, expected_rank_diff: int = 0, name: str | None = None) -> tuple[Any, Any]:
    """Labels and predictions, the last axis of one of them squeezed if it has one too many and that is 1."""
    with name_scope(name, "remove_squeezable_dimensions", [labels, predictions]):
        predictions, labels = convert(predictions), convert(labels)
        of_predictions, of_labels = predictions.shape, labels.shape
        if of_predictions.ndims is not None and of_labels.ndims is not None:
            difference = of_predictions.ndims - of_labels.ndims - expected_rank_diff
            if difference == 1 and of_predictions[-1].is_compatible_with(1):
                predictions = squeeze(predictions, [-1])
            elif difference == -1 and of_labels[-1].is_compatible_with(1):
                labels = squeeze(labels, [-1])
        return labels, predictions
