"""tf.contrib.losses: the losses of before TensorFlow 1.0, with predictions before labels.

They differ from `tf.losses` in more than the order. Weights need not have the losses' rank: one of shape [d0, ..., dk] weighs what lies
below these dimensions together, so `[batch]` weighs examples whatever the shape of one.
"""

from __future__ import annotations

from typing import Any

from graphflow import losses
from graphflow.contrib.framework import add_arg_scope
from graphflow.dtypes import float32
from graphflow.graph.build import convert, make, name_scope
from graphflow.losses import get_losses, get_regularization_losses
from graphflow.missing import names_of
from graphflow.nn.cross_entropy import (
    sigmoid_cross_entropy_with_logits,
    softmax_cross_entropy_with_logits,
    sparse_softmax_cross_entropy_with_logits,
)  # fmt: skip
from graphflow.ops.arguments import renamed
from graphflow.ops.division import div, div_no_nan
from graphflow.ops.logic import cast, equal, not_equal, where
from graphflow.ops.reductions import reduce_prod, reduce_sum
from graphflow.ops.reshape import reshape, squeeze
from graphflow.ops.shape import shape, size
from graphflow.ops.slicing import slice
from graphflow.ops.source import ones, ones_like, zeros_like

__all__ = [
    "absolute_difference", "add_loss", "compute_weighted_loss", "cosine_distance", "get_losses", "get_regularization_losses",
    "get_total_loss", "hinge_loss", "log_loss", "mean_pairwise_squared_error", "mean_squared_error", "sigmoid_cross_entropy",
    "softmax_cross_entropy", "sparse_softmax_cross_entropy",
]  # fmt: skip

add_loss = add_arg_scope(losses.add_loss)


def get_total_loss(add_regularization_losses=True, name="total_loss"):
    """The sum of all losses of the collection, and of the regularisation losses unless told otherwise."""
    return losses.get_total_loss(add_regularization_losses, name)


# -- weights -----------------------------------------------------------------------------------------------------------------------


def _known_rank(tensor: Any, name: str) -> int:
    if tensor.shape.ndims is None:
        raise ValueError(f"{name}.get_shape().ndims cannot be None")
    return tensor.shape.ndims


def _weighted_sum(values: Any, weights: Any) -> Any:
    """The sum of values * weights, after the values are summed over the dimensions that the weights lack."""
    below = list(range(weights.shape.ndims, values.shape.ndims))
    return reduce_sum(make("Mul", reduce_sum(values, axis=below), weights))


def _present(values: Any, weights: Any) -> Any:
    """For each example, how many of its values have a weight other than 0: float32 [batch]."""
    if weights.shape.ndims == 0:
        batch = reshape(slice(shape(values), [0], [1]), [])
        number = div(cast(size(values), float32), cast(batch, float32))
        number = where(equal(weights, 0), 0.0, number)
        return make("Mul", ones(reshape(batch, [1])), number)
    weighed = reduce_sum(cast(not_equal(weights, 0), float32), axis=list(range(1, weights.shape.ndims)))
    below = slice(shape(values), [weights.shape.ndims], [-1])
    return make("Mul", weighed, cast(reduce_prod(below), float32))


def compute_weighted_loss(losses, weights=1.0, scope=None):
    """The mean of losses [batch, d1, ... dN] over the elements with a weight other than 0, added to the collection of losses.

    Weights are a number or of shape [batch, d1, ... dK], K <= N. Raises ValueError where a rank is unknown.
    """
    with name_scope(scope, "weighted_loss", [losses, weights]):
        losses = convert(losses)
        given = losses.dtype
        losses, weights = cast(losses, float32), cast(convert(weights), float32)
        _known_rank(losses, "losses")
        if _known_rank(weights, "weights") > 1 and weights.shape.dims[-1].is_compatible_with(1):
            weights = squeeze(weights, [-1])
        total = _weighted_sum(losses, weights)
        number = reduce_sum(_present(losses, weights))
        mean = cast(div_no_nan(reduce_sum(total), number, name="value"), given)
        add_loss(mean)
        return mean


# -- losses of predictions -----------------------------------------------------------------------------------------------------------


def _floats(predictions: Any, labels: Any) -> tuple[Any, Any]:
    """Both as float32, of one shape."""
    predictions.shape.assert_is_compatible_with(labels.shape)
    return cast(predictions, float32), cast(labels, float32)


def absolute_difference(predictions, labels=None, weights=1.0, scope=None):
    """|predictions - labels|"""
    with name_scope(scope, "absolute_difference", [predictions, labels, weights]) as scope:
        predictions, labels = _floats(predictions, labels)
        return compute_weighted_loss(make("Abs", make("Sub", predictions, labels)), weights, scope)


def mean_squared_error(predictions, labels=None, weights=1.0, scope=None):
    """(predictions - labels) squared"""
    with name_scope(scope, "mean_squared_error", [predictions, labels, weights]) as scope:
        return compute_weighted_loss(make("SquaredDifference", *_floats(predictions, labels)), weights, scope)


def log_loss(predictions, labels=None, weights=1.0, epsilon=1e-7, scope=None):
    """-labels * log(predictions) - (1 - labels) * log(1 - predictions)"""
    with name_scope(scope, "log_loss", [predictions, labels, weights]) as scope:
        predictions, labels = _floats(predictions, labels)
        hit = -make("Mul", labels, make("Log", predictions + epsilon))
        return compute_weighted_loss(hit - make("Mul", 1 - labels, make("Log", 1 - predictions + epsilon)), weights, scope)


def mean_pairwise_squared_error(predictions, labels=None, weights=1.0, scope=None):
    """The mean over pairs of elements of an example of the squared difference of their errors."""
    with name_scope(scope, "mean_pairwise_squared_error", [predictions, labels, weights]):
        predictions, labels = _floats(predictions, labels)
        weights = cast(convert(weights), float32)
        errors = make("Sub", predictions, labels)
        axes = list(range(1, _known_rank(errors, "diffs")))
        _known_rank(weights, "weights")
        squares = reduce_sum(make("Square", errors), axis=axes)
        number = _present(errors, weights)
        first = 2.0 * div_no_nan(squares, number, name="value")
        squared = make("Square", reduce_sum(errors, axis=axes))
        second = 2.0 * div_no_nan(squared, make("Square", number), name="value")
        loss = _weighted_sum(first - second, weights)
        mean = where(reduce_sum(number) > 0, loss, zeros_like(loss), name="value")
        add_loss(mean)
        return mean


def cosine_distance(predictions, labels=None, axis=None, weights=1.0, scope=None, dim=None):
    """1 - the inner product along an axis of predictions and labels, which must be of unit length; the axis is dropped."""
    axis = renamed("axis", axis, "dim", dim)
    if axis is None:
        raise ValueError("You must specify 'axis'.")
    with name_scope(scope, "cosine_distance_loss", [predictions, labels, weights]) as scope:
        product = make("Mul", *_floats(predictions, labels))
        return compute_weighted_loss(1 - reduce_sum(product, axis=[axis]), weights, scope)


def hinge_loss(logits, labels=None, scope=None):
    """max(0, 1 - y * logits), where y is -1 and 1 for labels 0 and 1, element by element; added to no collection."""
    with name_scope(scope, "hinge_loss", [logits, labels]):
        logits.shape.assert_is_compatible_with(labels.shape)
        labels = cast(labels, float32)
        one = ones_like(labels)
        labels = make("Sub", 2 * labels, one)
        return make("Relu", make("Sub", one, make("Mul", labels, logits)))


# -- losses of logits ----------------------------------------------------------------------------------------------------------------


def sigmoid_cross_entropy(logits, multi_class_labels, weights=1.0, label_smoothing=0, scope=None):
    """The cross-entropy of independent classes."""
    with name_scope(scope, "sigmoid_cross_entropy_loss", [logits, multi_class_labels, weights]) as scope:
        logits.shape.assert_is_compatible_with(multi_class_labels.shape)
        labels = cast(multi_class_labels, logits.dtype)
        if label_smoothing > 0:
            labels = labels * (1 - label_smoothing) + 0.5 * label_smoothing
        return compute_weighted_loss(sigmoid_cross_entropy_with_logits(labels=labels, logits=logits, name="xentropy"), weights, scope)


def softmax_cross_entropy(logits, onehot_labels, weights=1.0, label_smoothing=0, scope=None):
    """The cross-entropy of exclusive classes, labels given as rows of probabilities, through which no gradient goes."""
    with name_scope(scope, "softmax_cross_entropy_loss", [logits, onehot_labels, weights]) as scope:
        logits.shape.assert_is_compatible_with(onehot_labels.shape)
        labels = cast(onehot_labels, logits.dtype)
        if label_smoothing > 0:
            classes = cast(shape(labels)[1], logits.dtype)
            kept = 1.0 - label_smoothing
            spread = label_smoothing / classes
            labels = labels * kept + spread
        return compute_weighted_loss(softmax_cross_entropy_with_logits(labels=labels, logits=logits, name="xentropy"), weights, scope)


def sparse_softmax_cross_entropy(logits, labels, weights=1.0, scope=None):
    """The cross-entropy of exclusive classes, labels [batch] or [batch, 1] given as class numbers."""
    with name_scope(scope, "sparse_softmax_cross_entropy_loss", [logits, labels, weights]) as scope:
        labels = reshape(labels, shape=[shape(labels)[0]])
        values = sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits, name="xentropy")
        return compute_weighted_loss(values, weights, scope)


globals()["__getattr__"] = names_of("contrib.losses")
