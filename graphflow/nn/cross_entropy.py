"""Softmax and the cross-entropies with logits, with the nodes that TensorFlow builds around the ops of ops/softmax.py."""

from __future__ import annotations

import math
from typing import Any

from graphflow.dtypes import float16, float32
from graphflow.errors import InvalidArgumentError
from graphflow.graph.build import convert, make, name_scope
from graphflow.graph.convert import constant_value
from graphflow.graph.scopes import control_dependencies
from graphflow.graph.tensor import Tensor
from graphflow.ops.arguments import renamed
from graphflow.ops.assertions import assert_equal
from graphflow.ops.logic import cast, where
from graphflow.ops.ranges import range
from graphflow.ops.reshape import reshape, transpose
from graphflow.ops.shape import rank, shape
from graphflow.ops.source import ones_like, stop_gradient, zeros_like


def _swapped(x: Any, axis: Any, last: Any, name: str | None = None) -> Any:
    """x with `axis` and the last axis exchanged."""
    order = make("ConcatV2", [range(axis), [last], range(axis + 1, last), [axis]], 0, name="concat")
    return transpose(x, order) if name is None else transpose(x, order, name=name)


def _along(op: str, logits: Any, axis: Any, name: str | None) -> Any:
    """A row-wise op along any axis."""
    logits = convert(logits)
    count = logits.shape.ndims
    if not isinstance(axis, Tensor) and (axis == -1 or (count is not None and axis == count - 1)):
        return make(op, logits, name=name)
    known = constant_value(axis) if isinstance(axis, Tensor) else axis
    if known is not None and count is not None and not -count <= known < count:
        text = f"Dimension ({known}) must be in the range [{-count}, {count}) where {count} is the number of dimensions in the input."
        raise InvalidArgumentError(None, None, text)
    number = rank(logits)
    if not isinstance(axis, Tensor):
        if axis < 0:
            axis += number
    else:
        axis = where(axis < 0, axis + number, axis)
    total = rank(logits)
    at = axis % count
    moved = _swapped(logits, at, make("Sub", total, 1))
    out = _swapped(make(op, moved), at, make("Sub", total, 1), name)
    out.set_shape(logits.shape)
    return out


def softmax(logits, axis=None, name=None, dim=None):
    """exp(logits) / sum(exp(logits)) along an axis, the last one unless given."""
    axis = renamed("axis", axis, "dim", dim)
    return _along("Softmax", logits, -1 if axis is None else axis, name)


def log_softmax(logits, axis=None, name=None, dim=None):
    """logits - log(sum(exp(logits))) along an axis, the last one unless given."""
    axis = renamed("axis", axis, "dim", dim)
    return _along("LogSoftmax", logits, -1 if axis is None else axis, name)


def _flattened(x: Any) -> Any:
    """x as a matrix, all axes but the last joined."""
    count = rank(x)
    last = make("Slice", shape(x), [make("Sub", count, 1)], [1])
    out = reshape(x, make("ConcatV2", [[-1], last], 0, name="concat"))
    sizes = x.shape.sizes
    if sizes is not None and None not in sizes[:-1]:
        out.set_shape([math.prod(sizes[:-1]), sizes[-1]])
    return out


def _moved_last(x: Any, axis: Any, count: Any) -> Any:
    order = make("ConcatV2", [range(axis), range(axis + 1, count), [axis]], 0, name="concat")
    return transpose(x, order)


def softmax_cross_entropy_with_logits_v2(labels, logits, axis=None, name=None, dim=None):
    """-sum(labels * log(softmax(logits))) along an axis; gradients flow to the labels too."""
    axis = renamed("axis", axis, "dim", dim)
    axis = -1 if axis is None else axis
    with name_scope(name, "softmax_cross_entropy_with_logits", [logits, labels]) as scope:
        logits = convert(logits, name="logits")
        labels = convert(labels, name="labels")
        half = logits.dtype.base_dtype == float16
        precise = cast(logits, float32) if half else logits
        labels = cast(labels, precise.dtype)
        count = rank(precise)
        sizes = logits.shape.sizes
        if axis != -1:
            precise = _moved_last(precise, axis, count)
            labels = _moved_last(labels, axis, count)
        before = shape(precise)
        precise, labels = _flattened(precise), _flattened(labels)
        cost, _ = make("SoftmaxCrossEntropyWithLogits", precise, labels, name=scope)
        cost = reshape(cost, make("Slice", before, [0], [make("Sub", count, 1)]))
        if sizes is not None:
            rest = list(sizes)
            del rest[axis]
            cost.set_shape(rest)
        return cast(cost, logits.dtype) if half else cost


def _check_named(function: str, sentinel: Any, labels: Any, logits: Any) -> None:
    if sentinel is not None:
        raise ValueError(f"Only call `{function}` with named arguments (labels=..., logits=..., ...)")
    if labels is None or logits is None:
        raise ValueError("Both labels and logits must be provided.")


def softmax_cross_entropy_with_logits(_sentinel=None, labels=None, logits=None, dim=-1, name=None, axis=None):
    """-sum(labels * log(softmax(logits))) along an axis; labels are taken as constants."""
    dim = dim if axis is None else axis
    _check_named("softmax_cross_entropy_with_logits", _sentinel, labels, logits)
    with name_scope(name, "softmax_cross_entropy_with_logits_sg", [logits, labels]) as scope:
        labels = stop_gradient(labels, name="labels_stop_gradient")
    return softmax_cross_entropy_with_logits_v2(labels=labels, logits=logits, axis=dim, name=scope)


def sparse_softmax_cross_entropy_with_logits(_sentinel=None, labels=None, logits=None, name=None):
    """-log(softmax(logits))[label] along the last axis; labels are class numbers, of the logits' shape less the last axis."""
    _check_named("sparse_softmax_cross_entropy_with_logits", _sentinel, labels, logits)
    with name_scope(name, "SparseSoftmaxCrossEntropyWithLogits", [labels, logits]):
        labels, logits = convert(labels), convert(logits)
        half = logits.dtype.base_dtype == float16
        precise = cast(logits, float32) if half else logits
        labels_shape = shape(labels)
        if logits.shape.ndims == 0:
            raise ValueError(f"Logits cannot be scalars - received shape {logits.shape}.")
        _check_label_shape(labels.shape, logits.shape)
        if logits.shape.ndims == 2:
            cost, _ = make("SparseSoftmaxCrossEntropyWithLogits", precise, labels, name=name)
            return cast(cost, float16) if half else cost
        known = labels.shape.is_fully_defined() and logits.shape[:-1].is_fully_defined()
        checks = [] if known else [assert_equal(shape(labels), shape(logits)[:-1])]
        with control_dependencies(checks):
            classes = shape(logits)[rank(logits) - 1]
            flat = reshape(precise, [-1, classes])
            cost, _ = make("SparseSoftmaxCrossEntropyWithLogits", flat, reshape(labels, [-1]), name=name)
            cost = reshape(cost, labels_shape)
            cost.set_shape(labels.shape)
            return cast(cost, float16) if half else cost


def _check_label_shape(labels: Any, logits: Any) -> None:
    if labels.ndims is None or logits.ndims is None:
        return
    if labels.ndims != logits.ndims - 1:
        raise ValueError(
            f"Rank mismatch: Rank of labels (received {labels.ndims}) should equal rank of logits minus 1 (received {logits.ndims})."
        )
    rest = logits[:-1]
    if labels.is_fully_defined() and rest.is_fully_defined() and labels != rest:
        raise ValueError(
            f"Shape mismatch: The shape of labels (received {labels}) should equal the shape of logits except for the last "
            f"dimension (received {logits})."
        )


def _same_shape(labels: Any, logits: Any) -> None:
    try:
        labels.shape.merge_with(logits.shape)
    except ValueError:
        raise ValueError(f"logits and labels must have the same shape ({logits.shape} vs {labels.shape})") from None


def sigmoid_cross_entropy_with_logits(_sentinel=None, labels=None, logits=None, name=None):
    """-labels * log(sigmoid(logits)) - (1 - labels) * log(1 - sigmoid(logits)), element by element, without overflow."""
    _check_named("sigmoid_cross_entropy_with_logits", _sentinel, labels, logits)
    with name_scope(name, "logistic_loss", [logits, labels]) as scope:
        logits = convert(logits, name="logits")
        labels = convert(labels, name="labels")
        _same_shape(labels, logits)
        zero = zeros_like(logits, dtype=logits.dtype)
        positive = logits >= zero
        rectified = where(positive, logits, zero)
        below = where(positive, -logits, logits)
        return make("Add", rectified - logits * labels, make("Log1p", make("Exp", below)), name=scope)


def weighted_cross_entropy_with_logits(labels=None, logits=None, pos_weight=None, name=None, targets=None):
    """As sigmoid_cross_entropy_with_logits, positive labels counting `pos_weight` times."""
    labels = renamed("labels", labels, "targets", targets)
    with name_scope(name, "logistic_loss", [logits, labels]) as scope:
        logits = convert(logits, name="logits")
        labels = convert(labels, name="labels")
        _same_shape(labels, logits)
        weight = 1 + (pos_weight - 1) * labels
        return make(
            "Add",
            (1 - labels) * logits,
            weight * (make("Log1p", make("Exp", -make("Abs", logits))) + make("Relu", -logits)),
            name=scope,
        )


def log_poisson_loss(targets, log_input, compute_full_loss=False, name=None):
    """exp(log_input) - log_input * targets, with Stirling's approximation of log(targets!) added if asked."""
    with name_scope(name, "log_poisson_loss", [log_input, targets]):
        log_input = convert(log_input, name="log_input")
        targets = convert(targets, name="targets")
        try:
            targets.shape.merge_with(log_input.shape)
        except ValueError:
            raise ValueError(f"log_input and targets must have the same shape ({log_input.shape} vs {targets.shape})") from None
        result = make("Exp", log_input) - log_input * targets
        if compute_full_loss:
            half = convert(0.5, targets.dtype)
            two_pi = convert(2 * math.pi, targets.dtype)
            stirling = (targets * make("Log", targets)) - targets + (half * make("Log", two_pi * targets))
            zero, one = zeros_like(targets, dtype=targets.dtype), ones_like(targets, dtype=targets.dtype)
            small = make("LogicalAnd", targets >= zero, targets <= one)
            result += where(small, zero, stirling)
        return result


def in_top_k(predictions, targets, k, name=None):
    """Whether each target is among the k largest predictions of its row."""
    with name_scope(name, "in_top_k"):
        return make("InTopKV2", predictions, targets, k, name=name)
