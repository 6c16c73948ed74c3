"""Rows of tables chosen by number: embedding_lookup, also over a table in several parts and of several rows together."""

from __future__ import annotations

from typing import Any

from graphflow.compat import logging
from graphflow.dtypes import bfloat16, float16, float32, int32
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.composite import SparseTensor
from graphflow.graph.indexed_slices import convert_n_to_tensor_or_indexed_slices
from graphflow.graph.scopes import colocate_with
from graphflow.graph.tensor import known_contents
from graphflow.ops.clip import clip_by_norm
from graphflow.ops.distinct import unique
from graphflow.ops.division import div
from graphflow.ops.gather import gather
from graphflow.ops.joining import concat, stack
from graphflow.ops.logic import cast, where
from graphflow.ops.partition import dynamic_partition, parallel_dynamic_stitch
from graphflow.ops.partitioned import PartitionedVariable
from graphflow.ops.ranges import range as range_of
from graphflow.ops.reductions import reduce_prod, reduce_sum
from graphflow.ops.reshape import expand_dims, reshape
from graphflow.ops.segments import segment_sum
from graphflow.ops.shape import rank, shape, size
from graphflow.ops.source import constant, fill, identity, zeros_like
from graphflow.ops.sparse_functions import sparse_fill_empty_rows, sparse_reshape, sparse_retain
from graphflow.ops.sparse_segments import sparse_segment_mean, sparse_segment_sqrt_n, sparse_segment_sum
from graphflow.shapes import as_shape

COMBINERS = ("mean", "sqrtn", "sum")


def _clipped(rows: Any, ids: Any, max_norm: float | None) -> Any:
    if max_norm is None:
        return rows
    first, last = ids.shape.ndims, rows.shape.ndims
    axes = list(range(first, last)) if first and last else range_of(first or rank(ids), last or rank(rows))
    return clip_by_norm(rows, max_norm, axes=axes)


def _tables(params: Any) -> list[Any]:
    """The parts of a table."""
    if params is None:
        raise ValueError("params must be specified")
    if isinstance(params, (list, tuple, PartitionedVariable)):
        parts = list(params)
        if not parts:
            raise ValueError("Need at least one param")
        return parts
    return [params]


def embedding_lookup(params, ids, partition_strategy="mod", name=None, validate_indices=True, max_norm=None):
    """The rows of the table `params` that `ids` (integers of any shape) name.

    A list of tables is one table, row i in part i % n ("mod") or the rows in order, the first parts one longer where they do not come out
    even ("div"). max_norm: rows with a larger L2 norm are scaled down to it.
    """
    parts = _tables(params)
    with name_scope(name, "embedding_lookup", [*parts, ids]) as name:
        parts = convert_n_to_tensor_or_indexed_slices(parts, name="params")
        ids = convert_to_tensor(ids, name="ids")
        if len(parts) == 1:
            with colocate_with(parts[0]):
                rows = _clipped(gather(parts[0], ids, name=name), ids, max_norm)
            return identity(rows)
        flat = reshape(ids, [-1])
        places = range_of(size(flat))
        part, row = _place(parts, flat, partition_strategy)
        part = cast(part, int32)
        rows_of = dynamic_partition(row, part, len(parts))
        places_of = dynamic_partition(places, part, len(parts))
        found = []
        for table, rows in zip(parts, rows_of, strict=True):
            with colocate_with(table):
                found.append(gather(table, rows))
        merged = parallel_dynamic_stitch(places_of, found, name=name)
        row_shape = parts[0].shape[1:]
        for table in parts[1:]:
            row_shape = row_shape.merge_with(table.shape[1:])
        if row_shape.is_fully_defined():
            sizes: Any = row_shape
        else:
            with colocate_with(parts[0]):
                sizes = shape(parts[0])
            sizes = sizes[1:]
        merged = reshape(merged, concat([shape(ids), sizes], 0))
        merged.set_shape(ids.shape.concatenate(row_shape))
        return _clipped(merged, ids, max_norm)


def _place(parts: list[Any], ids: Any, strategy: str) -> tuple[Any, Any]:
    """Which part each id is in, and its row there."""
    count = len(parts)
    if strategy == "mod":
        return ids % count, ids // count
    if strategy != "div":
        raise ValueError("Unrecognized partition strategy: " + strategy)
    lengths = [p.shape[0].value for p in parts]
    if None not in lengths and sum(lengths):
        total = constant(sum(lengths), ids.dtype)
    else:
        sizes = []
        for table, length in zip(parts, lengths, strict=True):
            with colocate_with(table):
                sizes.append(shape(table)[0] if length is None else length)
        total = reduce_sum(cast(stack(sizes), ids.dtype))
    share, extras = total // count, total % count
    part = make("Maximum", ids // (share + 1), (ids - extras) // share)
    return part, where(part < extras, ids % (share + 1), (ids - extras) % share)


def embedding_lookup_sparse(params, sp_ids, sp_weights, partition_strategy="mod", name=None, combiner=None, max_norm=None):
    """For each row of the SparseTensor `sp_ids` its embeddings combined: the "sum" of the embeddings times the weights in `sp_weights`
    (None: all 1), that divided by the sum of the weights ("mean"), or by the root of the sum of their squares ("sqrtn")."""
    if combiner is None:
        logging.warn('The default value of combiner will change from "mean" to "sqrtn" after 2016/11/01.')
        combiner = "mean"
    if combiner not in COMBINERS:
        raise ValueError("combiner must be one of 'mean', 'sqrtn' or 'sum'")
    if not isinstance(sp_ids, SparseTensor):
        raise TypeError("sp_ids must be SparseTensor")
    if sp_weights is not None:
        if not isinstance(sp_weights, SparseTensor):
            raise TypeError("sp_weights must be either None or SparseTensor")
        for part in ("values", "indices", "dense_shape"):
            getattr(sp_ids, part).shape.assert_is_compatible_with(getattr(sp_weights, part).shape)
    parts = _tables(params)
    with name_scope(name, "embedding_lookup_sparse", [*parts, sp_ids]) as name:
        segments = cast(sp_ids.indices[:, 0], int32)
        ids, places = unique(sp_ids.values)
        rows = embedding_lookup(parts, ids, partition_strategy=partition_strategy, max_norm=max_norm)
        if rows.dtype in (float16, bfloat16):
            rows = cast(rows, float32)
        if sp_weights is None:
            combine = {"sum": sparse_segment_sum, "mean": sparse_segment_mean, "sqrtn": sparse_segment_sqrt_n}[combiner]
            return combine(rows, places, segments, name=name)
        weights = cast(sp_weights.values, rows.dtype)
        rows = gather(rows, places)
        known = weights.shape
        ones = fill(expand_dims(rank(rows) - 1, 0), 1)
        weights = reshape(weights, concat([shape(weights), ones], 0))
        if rows.shape.ndims is not None:
            weights.set_shape(known.concatenate([1] * (rows.shape.ndims - 1)))
        rows *= weights
        if combiner == "sum":
            return segment_sum(rows, segments, name=name)
        rows = segment_sum(rows, segments)
        if combiner == "mean":
            return div(rows, segment_sum(weights, segments), name=name)
        return div(rows, make("Sqrt", segment_sum(make("Pow", weights, 2), segments)), name=name)


def safe_embedding_lookup_sparse(embedding_weights, sparse_ids, sparse_weights=None, combiner="mean", default_id=None, name=None,
                                 partition_strategy="div", max_norm=None):  # fmt: skip
    """embedding_lookup_sparse that copes with what data brings: ids below zero are left out, with a combiner other than "sum" also ids of
    weights that are not positive, and rows without any id give the embedding of default_id, or zeros. `sparse_ids` may have more than two
    dimensions, of which the last is combined.
    """
    if embedding_weights is None or isinstance(embedding_weights, (list, tuple)) and not embedding_weights:
        raise ValueError(f"Missing embedding_weights {embedding_weights}.")
    parts = [convert_to_tensor(p, None if sparse_weights is None else sparse_weights.dtype) for p in _tables(embedding_weights)]
    with name_scope(name, "embedding_lookup", [*parts, sparse_ids, sparse_weights]) as scope:
        given = sparse_ids.dense_shape
        known = known_contents(given)
        leading = sparse_ids.shape.as_list()[:-1] if sparse_ids.shape.ndims is not None else None
        number = size(given) if known is None else len(known)
        flat = make("Pack", [reduce_prod(given[: number - 1]), given[number - 1]])
        sparse_ids = sparse_reshape(sparse_ids, flat)
        if sparse_weights is not None:
            sparse_weights = SparseTensor(sparse_ids.indices, sparse_weights.values, sparse_ids.dense_shape)
        kept = make("GreaterEqual", sparse_ids.values, 0)
        if sparse_weights is not None:
            kept = make("LogicalAnd", kept, make("IsFinite", sparse_weights.values))
        sparse_ids, sparse_weights = _retained(sparse_ids, sparse_weights, kept)
        if combiner != "sum" and sparse_weights is not None:
            sparse_ids, sparse_weights = _retained(sparse_ids, sparse_weights, make("Greater", sparse_weights.values, 0))
        sparse_ids, empty = sparse_fill_empty_rows(sparse_ids, default_id or 0)
        if sparse_weights is not None:
            sparse_weights, _ = sparse_fill_empty_rows(sparse_weights, 1.0)
        result = embedding_lookup_sparse(
            parts, sparse_ids, sparse_weights, partition_strategy, None if default_id is None else scope, combiner, max_norm
        )
        if default_id is None:
            mask = make("Tile", reshape(empty, [-1, 1]), stack([1, shape(result)[1]]))
            result = where(mask, zeros_like(result), result, name=scope)
        final = reshape(result, concat([cast(given[: number - 1], int32), shape(result)[1:]], 0))
        final.set_shape(as_shape(leading).concatenate(result.shape[1:]))
        return final


def _retained(ids: SparseTensor, weights: SparseTensor | None, kept: Any) -> tuple[SparseTensor, SparseTensor | None]:
    return sparse_retain(ids, kept), None if weights is None else sparse_retain(weights, kept)
