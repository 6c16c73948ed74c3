"""Losses scaled for a global batch. TensorFlow's distribution strategies divide by the number of replicas here, which is one."""

from __future__ import annotations

from graphflow.graph.build import convert_to_tensor, make
from graphflow.ops.logic import cast
from graphflow.ops.reductions import reduce_sum
from graphflow.ops.shape import shape, size
from graphflow.ops.weights import broadcast_weights


def compute_average_loss(per_example_loss, sample_weight=None, global_batch_size=None):
    """The sum of the losses [batch, ...], times sample_weight where given, divided by global_batch_size (by default the batch's)."""
    loss = convert_to_tensor(per_example_loss)
    kind = loss.dtype
    if sample_weight is not None:
        weights = convert_to_tensor(sample_weight, dtype=kind)
        loss = loss * broadcast_weights(weights, loss)
    count = shape(loss)[0] if loss.shape.ndims else size(loss)
    return reduce_sum(loss) / cast(count if global_batch_size is None else global_batch_size, kind)


def scale_regularization_loss(regularization_loss):
    """The sum of a regularization loss, divided by the number of replicas, which is 1."""
    return make("RealDiv", reduce_sum(convert_to_tensor(regularization_loss)), 1.0)
