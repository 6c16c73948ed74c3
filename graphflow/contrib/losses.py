"""tf.contrib.losses: the losses of before TensorFlow 1.0, with predictions before labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphflow import losses
from graphflow.losses import add_loss, compute_weighted_loss, get_losses, get_regularization_losses, get_total_loss
from graphflow.missing import names_of

__all__ = [
    "absolute_difference", "add_loss", "compute_weighted_loss", "cosine_distance", "get_losses", "get_regularization_losses",
    "get_total_loss", "hinge_loss", "log_loss", "mean_pairwise_squared_error", "mean_squared_error", "sigmoid_cross_entropy",
    "softmax_cross_entropy", "sparse_softmax_cross_entropy",
]  # fmt: skip


def _turned(loss: Callable[..., Any]) -> Callable[..., Any]:
    def function(predictions, labels=None, weights=1.0, scope=None):
        return loss(labels, predictions, weights, scope=scope)

    function.__name__ = function.__qualname__ = loss.__name__
    function.__doc__ = loss.__doc__
    return function


absolute_difference = _turned(losses.absolute_difference)
mean_pairwise_squared_error = _turned(losses.mean_pairwise_squared_error)
mean_squared_error = _turned(losses.mean_squared_error)


def log_loss(predictions, labels=None, weights=1.0, epsilon=1e-7, scope=None):
    """-labels * log(predictions) - (1 - labels) * log(1 - predictions)"""
    return losses.log_loss(labels, predictions, weights, epsilon, scope)


def cosine_distance(predictions, labels=None, axis=None, weights=1.0, scope=None, dim=None):
    """One minus the inner product along `axis`."""
    return losses.cosine_distance(labels, predictions, dim if axis is None else axis, weights, scope)


def hinge_loss(logits, labels=None, scope=None):
    """max(0, 1 - label * logit) with labels of -1 and 1, element by element."""
    return losses.hinge_loss(labels, logits, scope=scope, loss_collection=None, reduction=losses.Reduction.NONE)


def sigmoid_cross_entropy(logits, multi_class_labels, weights=1.0, label_smoothing=0, scope=None):
    """The cross-entropy of independent classes."""
    return losses.sigmoid_cross_entropy(multi_class_labels, logits, weights, label_smoothing, scope)


def softmax_cross_entropy(logits, onehot_labels, weights=1.0, label_smoothing=0, scope=None):
    """The cross-entropy of exclusive classes, labels given as rows of probabilities."""
    return losses.softmax_cross_entropy(onehot_labels, logits, weights, label_smoothing, scope)


def sparse_softmax_cross_entropy(logits, labels, weights=1.0, scope=None):
    """The cross-entropy of exclusive classes, labels given as class numbers."""
    return losses.sparse_softmax_cross_entropy(labels, logits, weights, scope)

globals()["__getattr__"] = names_of("contrib.losses")
