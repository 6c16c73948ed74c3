"""Weights of losses and metrics: which shapes may weigh which values, and weights repeated to the values' shape."""

from __future__ import annotations

from typing import Any

from graphflow.graph.build import convert, make, name_scope
from graphflow.graph.dims import merge_size, shown
from graphflow.graph.op import Case, TensorSpec
from graphflow.graph.scopes import control_dependencies
from graphflow.ops.control_flow.cond import cond
from graphflow.ops.families import Composite
from graphflow.ops.reshape import squeeze
from graphflow.ops.shape import rank, shape
from graphflow.ops.source import no_op, ones_like

_REFUSED = "weights can not be broadcast to values."


class AssertBroadcastable(Composite):
    """Fails where the weights are neither a scalar nor of the values' rank with each size 1 or the values'.

    It computes nothing: what the graph leaves open of the shapes is decided when a run with given sizes is captured.
    """

    arguments = ("weights: T", "values: Tvalues")
    results = ()
    differentiable = False
    cases = (
        Case((3,), (2, 3), dtypes=("float32",), error=("ValueError", _REFUSED)),
        Case((2, 2), (2, 3), dtypes=("float32",), error=("ValueError", _REFUSED)),
    )

    def infer(self, weights: TensorSpec, values: TensorSpec) -> tuple[TensorSpec, ...]:
        if weights.dims is None or values.dims is None or not weights.dims:
            return ()
        if len(weights.dims) != len(values.dims):
            raise ValueError(
                f"{_REFUSED} values.rank={len(values.dims)}. weights.rank={len(weights.dims)}. values.shape={shown(values.dims)}. "
                f"weights.shape={shown(weights.dims)}."
            )
        for axis, (w, v) in enumerate(zip(weights.dims, values.dims, strict=True)):
            try:
                if w != 1:
                    merge_size(w, v)
            except ValueError:
                raise ValueError(
                    f"{_REFUSED} Mismatch at dim {axis}. values.shape={shown(values.dims)} weights.shape={shown(weights.dims)}."
                ) from None
        return ()

    def reference(self, weights: Any, values: Any) -> Any:
        return ()

    def decompose(self, b: Any, weights: Any, values: Any) -> Any:
        return ()


def assert_broadcastable(weights: Any, values: Any) -> Any:
    """Refuses weights that are neither a scalar nor of the values' rank with each size 1 or the values': ValueError where the shapes are
    known, else an operation that fails with InvalidArgumentError; the result is that operation."""
    with name_scope(None, "assert_broadcastable", (weights, values)) as scope:
        with name_scope(None, "weights", (weights,)) as inner:
            weights = convert(weights, name=inner)
            shape(weights, name="shape"), rank(weights, name="rank")
        with name_scope(None, "values", (values,)) as inner:
            values = convert(values, name=inner)
            shape(values, name="shape"), rank(values, name="rank")
        of_weights, of_values = weights.shape, values.shape
        if of_weights.ndims is None or of_values.ndims is None:
            return make("AssertBroadcastable", weights, values, name=scope)
        if of_weights.ndims == 0:
            return no_op(name="static_scalar_check_success")
        if of_weights.ndims != of_values.ndims:
            raise ValueError(
                f"{_REFUSED} values.rank={of_values.ndims}. weights.rank={of_weights.ndims}. values.shape={of_values}. "
                f"weights.shape={of_weights}."
            )
        if not of_weights.is_fully_defined() or not of_values.is_fully_defined():
            return make("AssertBroadcastable", weights, values, name=scope)
        given, wanted = of_weights.as_list(), of_values.as_list()
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
        difference = rank(predictions) - rank(labels)
        predictions = _squeezed_if(make("Equal", expected_rank_diff + 1, difference), predictions)
        labels = _squeezed_if(make("Equal", expected_rank_diff - 1, difference), labels)
        return labels, predictions


def squeezed_weights(weights: Any, labels: Any) -> Any:
    """Weights without a last axis of size 1 that the labels do not have."""
    weights = convert(weights)
    of_weights, of_labels = weights.shape.ndims, labels.shape.ndims
    if of_weights is not None and of_labels is not None:
        return squeeze(weights, [-1]) if of_weights - of_labels == 1 else weights
    return weights if of_weights == 0 else _squeezed_if(make("Equal", 1, rank(weights) - rank(labels)), weights)


def _squeezed_if(condition: Any, value: Any) -> Any:
    """`value`, in the run without its last axis if the condition holds; as it is where that axis cannot be 1."""
    if value.shape.ndims is not None and not (value.shape.ndims and value.shape[-1].is_compatible_with(1)):
        return value
    return cond(condition, lambda: squeeze(value, [-1]), lambda: value)
