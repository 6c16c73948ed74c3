"""The loss of sequences of logits."""

from __future__ import annotations

from graphflow.graph.build import name_scope
from graphflow.nn.cross_entropy import sparse_softmax_cross_entropy_with_logits
from graphflow.ops.division import div_no_nan
from graphflow.ops.logic import cast
from graphflow.ops.reductions import count_nonzero, reduce_sum
from graphflow.ops.reshape import reshape
from graphflow.ops.shape import shape as shape_of


def sequence_loss(logits, targets, weights, average_across_timesteps=True, average_across_batch=True, sum_over_timesteps=False,
                  sum_over_batch=False, softmax_loss_function=None, name=None):  # fmt: skip
    """The weighted cross entropy of logits [batch, time, symbols] against targets [batch, time], integers, with weights [batch, time].

    Summed over time or batch, or both, and divided by the sum of weights there (`average_…`) or the number of weights other than zero
    (`sum_over_…`); a sum of no weights gives 0. With neither, the loss of each element [batch, time].
    """
    if len(logits.shape) != 3:
        raise ValueError("Logits must be a [batch_size x sequence_length x logits] tensor")
    if len(targets.shape) != 2:
        raise ValueError("Targets must be a [batch_size x sequence_length] tensor")
    if len(weights.shape) != 2:
        raise ValueError("Weights must be a [batch_size x sequence_length] tensor")
    if average_across_timesteps and sum_over_timesteps:
        raise ValueError("average_across_timesteps and sum_over_timesteps cannot be set to True at same time.")
    if average_across_batch and sum_over_batch:
        raise ValueError("average_across_batch and sum_over_batch cannot be set to True at same time.")
    with name_scope(name, "sequence_loss", [logits, targets, weights]):
        flat_logits = reshape(logits, [-1, shape_of(logits)[2]])
        flat_targets = reshape(targets, [-1])
        loss = softmax_loss_function or sparse_softmax_cross_entropy_with_logits
        entropy = loss(labels=flat_targets, logits=flat_logits) * reshape(weights, [-1])
        if average_across_timesteps and average_across_batch:
            entropy = reduce_sum(entropy)
            return div_no_nan(entropy, reduce_sum(weights))
        if sum_over_timesteps and sum_over_batch:
            entropy = reduce_sum(entropy)
            return div_no_nan(entropy, cast(count_nonzero(weights), entropy.dtype))
        entropy = reshape(entropy, shape_of(logits)[0:2])
        if average_across_timesteps or average_across_batch:
            axis = [0] if average_across_batch else [1]
            entropy = reduce_sum(entropy, axis=axis)
            return div_no_nan(entropy, reduce_sum(weights, axis=axis))
        if sum_over_timesteps or sum_over_batch:
            axis = [0] if sum_over_batch else [1]
            entropy = reduce_sum(entropy, axis=axis)
            return div_no_nan(entropy, cast(count_nonzero(weights, axis=axis), entropy.dtype))
        return entropy
