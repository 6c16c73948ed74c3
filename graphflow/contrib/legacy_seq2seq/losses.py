"""Losses of lists of logits, one [batch, symbols] for each step, and models that share variables between lengths of sequences."""

from __future__ import annotations

from typing import Any

from graphflow.graph.build import name_scope
from graphflow.nn.cross_entropy import sparse_softmax_cross_entropy_with_logits
from graphflow.ops.arithmetic import add_n
from graphflow.ops.logic import cast
from graphflow.ops.reductions import reduce_sum
from graphflow.ops.reshape import reshape
from graphflow.ops.shape import shape as shape_of
from graphflow.ops.variable_scope import get_variable_scope, variable_scope


def sequence_loss_by_example(logits, targets, weights, average_across_timesteps=True, softmax_loss_function=None, name=None):
    """The weighted cross entropy of each sequence, [batch]; divided by its weights' sum where `average_across_timesteps`.

    logits: a list of [batch, symbols]. targets: a list of [batch], integers. weights: a list of [batch].
    softmax_loss_function: called with labels= and logits= in place of the sparse cross entropy.
    """
    if len(targets) != len(logits) or len(weights) != len(logits):
        raise ValueError(
            f"Lengths of logits, weights, and targets must be the same {len(logits)}, {len(weights)}, {len(targets)}."
        )
    with name_scope(name, "sequence_loss_by_example", [*logits, *targets, *weights]):
        losses = []
        for logit, target, weight in zip(logits, targets, weights, strict=True):
            if softmax_loss_function is None:
                entropy = sparse_softmax_cross_entropy_with_logits(labels=reshape(target, [-1]), logits=logit)
            else:
                entropy = softmax_loss_function(labels=target, logits=logit)
            losses.append(entropy * weight)
        total = add_n(losses)
        if average_across_timesteps:
            total /= add_n(weights) + 1e-12  # a row without weights gives 0, not NaN
    return total


def sequence_loss(logits, targets, weights, average_across_timesteps=True, average_across_batch=True, softmax_loss_function=None,
                  name=None):  # fmt: skip
    """The sum of `sequence_loss_by_example` over the batch, divided by its size where `average_across_batch`."""
    with name_scope(name, "sequence_loss", [*logits, *targets, *weights]):
        cost = reduce_sum(
            sequence_loss_by_example(
                logits, targets, weights, average_across_timesteps=average_across_timesteps, softmax_loss_function=softmax_loss_function
            )
        )
        return cost / cast(shape_of(targets[0])[0], cost.dtype) if average_across_batch else cost


def model_with_buckets(encoder_inputs, decoder_inputs, targets, weights, buckets, seq2seq, softmax_loss_function=None,
                       per_example_loss=False, name=None):  # fmt: skip
    """A model for each bucket, a pair (encoder length, decoder length): `seq2seq(encoder_inputs, decoder_inputs)`, cut to the bucket.

    Gives the outputs and the losses of all buckets, as lists. All share the variables of the first.
    """
    longest_in, longest_out = buckets[-1]
    given: tuple[tuple[str, Any, int], ...] = (
        ("encoder_inputs", encoder_inputs, longest_in), ("targets", targets, longest_out), ("weights", weights, longest_out),
    )  # fmt: skip
    for what, values, needed in given:
        if len(values) < needed:
            raise ValueError(f"Length of {what} ({len(values)}) must be at least that of last bucket ({needed}).")
    loss = sequence_loss_by_example if per_example_loss else sequence_loss
    outputs, losses = [], []
    with name_scope(name, "model_with_buckets", [*encoder_inputs, *decoder_inputs, *targets, *weights]):
        for number, (source, target) in enumerate(buckets):
            with variable_scope(get_variable_scope(), reuse=True if number > 0 else None):
                made, _ = seq2seq(encoder_inputs[:source], decoder_inputs[:target])
                outputs.append(made)
                losses.append(loss(made, targets[:target], weights[:target], softmax_loss_function=softmax_loss_function))
    return outputs, losses
