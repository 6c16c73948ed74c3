"""Connectionist temporal classification with dense labels, and what prepares labels for it. The loss is ops/ctc.py's."""

from __future__ import annotations

from typing import Any

from graphflow.dtypes import int32, int64
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.composite import SparseTensor
from graphflow.ops.choose import boolean_mask, sequence_mask
from graphflow.ops.ctc import ctc_loss
from graphflow.ops.distinct import unique
from graphflow.ops.functional import map_fn
from graphflow.ops.joining import concat
from graphflow.ops.logic import cast, where
from graphflow.ops.reductions import reduce_max, reduce_sum
from graphflow.ops.reshape import expand_dims
from graphflow.ops.scatter_nd import scatter_nd
from graphflow.ops.shape import shape
from graphflow.ops.source import ones_like


def collapse_repeated(labels, seq_length, name=None):
    """Labels [batch, time] with every run of equal ones made a single one, padded with zeros to the longest row; and the new lengths."""
    with name_scope(name, "collapse_repeated_labels", [labels, seq_length]):
        labels = convert_to_tensor(labels, name="labels")
        seq_length = convert_to_tensor(seq_length, name="seq_length")
        first = cast(ones_like(labels[:, :1]), "bool")
        starts = concat([first, make("NotEqual", labels[:, 1:], labels[:, :-1])], 1)
        whole = shape(labels)
        starts = make("LogicalAnd", starts, sequence_mask(seq_length, maxlen=whole[1]))
        lengths = reduce_sum(cast(starts, int32), axis=1)
        longest = reduce_max(lengths)
        places = where(sequence_mask(lengths, longest))
        kept = boolean_mask(labels, starts)
        rows = scatter_nd(places, kept, cast(make("Pack", [whole[0], longest]), int64))
        rows.set_shape([labels.shape[0], None])
        return rows, cast(lengths, seq_length.dtype)


def ctc_unique_labels(labels, name=None):
    """The distinct labels of each row [batch, length], padded with zeros, and for every label its number among them."""
    with name_scope(name, "ctc_unique_labels", [labels]):
        labels = convert_to_tensor(labels, name="labels")

        def of_row(row: Any) -> Any:
            found, numbers = unique(row)
            missing = shape(row)[0] - shape(found)[0]
            return [make("Pad", found, [[0, missing]]), cast(numbers, int64)]

        return map_fn(of_row, labels, dtype=[labels.dtype, int64])


def dense_labels_to_sparse(dense, length):
    """The first length[b] labels of each row [batch, time] as a SparseTensor, padding left out."""
    whole = shape(dense)
    kept = sequence_mask(length, maxlen=whole[1])
    return SparseTensor(where(kept), boolean_mask(dense, kept), cast(whole, int64))


def ctc_loss_v2(labels, logits, label_length, logit_length, logits_time_major=True, unique=None, blank_index=None, name=None):
    """The negative logarithm of the probability of the label sequences, float [batch].

    labels: a SparseTensor, or a tensor [batch, length] of which label_length says how much counts. logits: float [time, batch, classes],
    or [batch, time, classes] if not logits_time_major. blank_index: the class of the blank (below zero: from the end); 0 for dense labels,
    while sparse ones need it said. unique: what ctc_unique_labels gives; it speeds TensorFlow's up on a TPU and changes nothing here.
    """
    with name_scope(name, "ctc_loss", [logits]):
        logits = convert_to_tensor(logits, name="logits")
        if isinstance(labels, SparseTensor):
            if blank_index is None:
                raise ValueError("blank_index must be given when using SparseTensor labels.")
            sparse = SparseTensor(labels.indices, cast(labels.values, int32), labels.dense_shape)
        else:
            sparse = dense_labels_to_sparse(cast(convert_to_tensor(labels, name="labels"), int32), label_length)
            blank_index = 0 if blank_index is None else blank_index
        classes = logits.shape[2].value if logits.shape.ndims == 3 else None
        if classes is None:
            raise ValueError("the number of classes must be known: logits of static shape [?, ?, classes]")
        if not -classes <= blank_index < classes:
            raise ValueError(f"blank_index must be in [{-classes}, {classes}), but got {blank_index}")
        blank = blank_index % classes
        if blank != classes - 1:  # CTCLoss has the blank last
            logits = concat([logits[:, :, :blank], logits[:, :, blank + 1 :], logits[:, :, blank : blank + 1]], 2)
            values = where(make("Less", sparse.values, blank), sparse.values, sparse.values - 1)
            sparse = SparseTensor(sparse.indices, values, sparse.dense_shape)
        if logit_length is None:
            axes = [0, 1] if logits_time_major else [1, 0]
            logit_length = make("Tile", expand_dims(shape(logits)[axes[0]], 0), expand_dims(shape(logits)[axes[1]], 0))
        return ctc_loss(sparse, inputs=logits, sequence_length=cast(logit_length, int32), time_major=logits_time_major)
