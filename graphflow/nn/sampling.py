"""Losses over many classes of which a few are drawn as negatives: noise-contrastive estimation and sampled softmax."""

from __future__ import annotations

from typing import Any

from graphflow.dtypes import int32, int64
from graphflow.graph.build import make, name_scope
from graphflow.nn.cross_entropy import sigmoid_cross_entropy_with_logits, softmax_cross_entropy_with_logits_v2
from graphflow.nn.embedding import embedding_lookup
from graphflow.ops.joining import concat, stack
from graphflow.ops.logic import cast
from graphflow.ops.matmul import matmul
from graphflow.ops.partitioned import PartitionedVariable
from graphflow.ops.reshape import expand_dims, reshape
from graphflow.ops.samplers import compute_accidental_hits, log_uniform_candidate_sampler
from graphflow.ops.shape import shape
from graphflow.ops.slicing import slice as slice_of
from graphflow.ops.source import ones, ones_like, stop_gradient, zeros_like


def _row_sums(x: Any) -> Any:
    """The sums of a matrix' rows, as a product: its gradient is one too."""
    columns = shape(x)[1]
    return reshape(matmul(x, ones(stack([columns, 1]), x.dtype)), [-1])


def _sampled_logits(weights: Any, biases: Any, labels: Any, inputs: Any, num_sampled: int, num_classes: int, num_true: int,
                    sampled_values: Any, remove_accidental_hits: bool, partition_strategy: str, name: str | None,
                    seed: int | None) -> tuple[Any, Any]:  # fmt: skip
    """Logits and labels [batch, num_true + num_sampled]: the true classes first, then those drawn; log Q is subtracted from all."""
    parts = list(weights) if isinstance(weights, (list, PartitionedVariable)) else [weights]
    with name_scope(name, "compute_sampled_logits", [*parts, biases, inputs, labels]):
        labels = cast(labels, int64)
        flat = reshape(labels, [-1])
        if sampled_values is None:
            sampled_values = log_uniform_candidate_sampler(
                true_classes=labels, num_true=num_true, num_sampled=num_sampled, unique=True, range_max=num_classes, seed=seed
            )
        sampled, true_expected, sampled_expected = (stop_gradient(s) for s in sampled_values)
        sampled = cast(sampled, int64)
        # One look-up for the true and the drawn classes; their gradient is one IndexedSlices.
        ids = concat([flat, sampled], 0)
        rows = cast(embedding_lookup(parts, ids, partition_strategy=partition_strategy), inputs.dtype)
        true_rows = slice_of(rows, [0, 0], stack([shape(flat)[0], -1]))
        sampled_rows = slice_of(rows, stack([shape(flat)[0], 0]), [-1, -1])
        sampled_logits = matmul(inputs, sampled_rows, transpose_b=True)
        offsets = cast(embedding_lookup(biases, ids, partition_strategy=partition_strategy), inputs.dtype)
        true_offsets = slice_of(offsets, [0], shape(flat))
        sampled_offsets = slice_of(offsets, shape(flat), [-1])
        width = shape(true_rows)[1:2]
        row_shape = concat([[-1, num_true], width], 0)
        products = make("Mul", expand_dims(inputs, 1), reshape(true_rows, row_shape))
        dots = reshape(products, concat([[-1], width], 0))
        true_logits = reshape(_row_sums(dots), [-1, num_true])
        true_offsets = reshape(true_offsets, [-1, num_true])
        true_logits += true_offsets
        sampled_logits += sampled_offsets
        if remove_accidental_hits:
            sampled_logits += _hits(labels, sampled, num_true, num_sampled, sampled_logits)
        true_logits -= make("Log", true_expected)
        sampled_logits -= make("Log", sampled_expected)
        logits = concat([true_logits, sampled_logits], 1)
        return logits, concat([ones_like(true_logits) / num_true, zeros_like(sampled_logits)], 1)


def _hits(labels: Any, sampled: Any, num_true: int, num_sampled: int, logits: Any) -> Any:
    """The lowest number where a drawn class is a true one of the row, else 0."""
    rows, ids, weights = compute_accidental_hits(labels, sampled, num_true=num_true)
    rows = reshape(rows, [-1, 1])
    places = concat([rows, reshape(cast(ids, int32), [-1, 1])], 1, "sparse_indices")
    dims = concat([shape(labels)[:1], expand_dims(num_sampled, 0)], 0)
    return make("SparseToDense", places, dims, cast(weights, logits.dtype), 0.0, validate_indices=False)


def nce_loss(weights, biases, labels, inputs, num_sampled, num_classes, num_true=1, sampled_values=None, remove_accidental_hits=False,
             partition_strategy="mod", name="nce_loss"):  # fmt: skip
    """Noise-contrastive estimation (Gutmann and Hyvarinen 2010): one logistic loss per example for its true classes against num_sampled
    drawn ones.

    weights: [num_classes, dim] or a list of its parts; biases: [num_classes]; labels: int [batch, num_true]; inputs: [batch, dim].
    sampled_values: what a candidate sampler gave (default: log_uniform_candidate_sampler). The result is [batch].
    """
    logits, labels = _sampled_logits(
        weights, biases, labels, inputs, num_sampled, num_classes, num_true, sampled_values, remove_accidental_hits, partition_strategy,
        name, None,
    )  # fmt: skip
    return _row_sums(sigmoid_cross_entropy_with_logits(labels=labels, logits=logits, name="sampled_losses"))


def sampled_softmax_loss(weights, biases, labels, inputs, num_sampled, num_classes, num_true=1, sampled_values=None,
                         remove_accidental_hits=True, partition_strategy="mod", name="sampled_softmax_loss", seed=None):  # fmt: skip
    """The softmax cross-entropy over the true classes and num_sampled drawn ones (Jean et al. 2014), [batch]. Arguments as for nce_loss;
    for training only, the full softmax says how good a model is."""
    logits, labels = _sampled_logits(
        weights, biases, labels, inputs, num_sampled, num_classes, num_true, sampled_values, remove_accidental_hits, partition_strategy,
        name, seed,
    )  # fmt: skip
    labels = stop_gradient(labels, name="labels_stop_gradient")
    return softmax_cross_entropy_with_logits_v2(labels=labels, logits=logits)
