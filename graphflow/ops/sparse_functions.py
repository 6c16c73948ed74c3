"""tf.sparse: functions that take and give sparse tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow import dtypes
from graphflow.dtypes import as_dtype, int64
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.composite import SparseTensor, SparseTensorValue
from graphflow.graph.convert import constant_value, constant_value_as_shape
from graphflow.ops.gather import gather, gather_nd
from graphflow.ops.joining import concat, stack
from graphflow.ops.logic import cast, where
from graphflow.ops.ranges import range as range_of
from graphflow.ops.reductions import reduce_max
from graphflow.ops.reshape import expand_dims, reshape, transpose
from graphflow.ops.shape import shape, size
from graphflow.ops.source import constant, fill, identity, ones, ones_like, placeholder
from graphflow.ops.sparse import as_sparse, sparse_tensor_to_dense
from graphflow.shapes import as_shape

__all__ = [
    "edit_distance", "sparse_add", "sparse_concat", "sparse_fill_empty_rows", "sparse_maximum", "sparse_merge", "sparse_minimum",
    "sparse_placeholder", "sparse_reorder", "sparse_reset_shape", "sparse_reshape", "sparse_retain", "sparse_slice", "sparse_split",
    "sparse_to_indicator", "sparse_transpose",
]  # fmt: skip


class KeywordRequired:
    """The default of a parameter before which nothing may be passed by position."""

    def __repr__(self) -> str:
        return "KeywordRequired()"


def _axis(axis: Any, old: Any, old_name: str) -> Any:
    if axis is not None and old is not None:
        raise ValueError(f"Cannot specify both 'axis' and '{old_name}'")
    return old if axis is None else axis


def sparse_placeholder(dtype, shape=None, name=None):
    """A SparseTensor to be fed with a SparseTensorValue, or (indices, values, shape). `shape`: of the dense tensor, where it is known."""
    known = None if shape is None else as_shape(shape)
    depth = None if known is None else known.ndims

    def part(what: str) -> str | None:
        return None if name is None else f"{name}/{what}"

    if known is not None and known.is_fully_defined():
        dims = constant(np.array(known.as_list(), np.int64), name=part("shape") or "Const")
    else:
        dims = placeholder(int64, shape=[depth], name=part("shape"))
    values = placeholder(dtype, shape=[None], name=part("values"))
    return SparseTensor(placeholder(int64, shape=[None, depth], name=part("indices")), values, dims)


def sparse_reorder(sp_input, name=None):
    """The same with its elements in row-major order."""
    given = as_sparse(sp_input)
    indices, values = make("SparseReorder", given.indices, given.values, given.dense_shape, name=name)
    known = given.get_shape()
    return SparseTensor(indices, values, known.as_list() if known.is_fully_defined() else identity(given.dense_shape))


def sparse_reshape(sp_input, shape, name=None):
    """The same elements in another shape; one size may be -1."""
    given = as_sparse(sp_input)
    shape = cast(shape, int64)
    with name_scope(name, "SparseReshape", [given]) as name:
        indices, dims = make("SparseReshape", given.indices, given.dense_shape, shape, name=name)
        wanted = constant_value(shape)
        if wanted is not None and (wanted == -1).sum() > 1:
            raise ValueError(f"At most one dimension can be inferred (-1). Found: {wanted}")
        sizes = constant_value_as_shape(shape)
        if sizes.ndims is not None and given.shape.is_fully_defined():
            total = int(np.prod(given.shape.as_list()))
            known = sizes.as_list()
            original = list(known)
            if known.count(None) == 1:
                rest = int(np.prod([d for d in known if d is not None]))
                known[known.index(None)] = total // rest if rest else 0
            if known.count(None) == 0:
                if int(np.prod(known)) != total:
                    raise ValueError(
                        f"Cannot reshape a tensor with {total} elements to shape {original} ({int(np.prod(known))} elements)."
                    )
                dims = constant(known, dtype=int64)
        return SparseTensor(indices, identity(given.values), dims)


def sparse_concat(axis, sp_inputs, name=None, expand_nonconcat_dim=False, concat_dim=None, expand_nonconcat_dims=None):
    """Sparse tensors joined along an axis. expand_nonconcat_dims: other sizes may differ, the largest counts."""
    axis = _axis(axis, concat_dim, "concat_dim")
    inputs = [as_sparse(i) for i in sp_inputs]
    if len(inputs) == 1:
        return inputs[0]
    dims = [i.dense_shape for i in inputs]
    if expand_nonconcat_dims or expand_nonconcat_dim:
        largest = reduce_max(concat([reshape(d, [1, -1]) for d in dims], 0), 0)
        place = axis % inputs[0].dense_shape.shape[0].value
        dims = [concat([largest[:place], d[place : place + 1], largest[place + 1 :]], 0) for d in dims]
    indices, values, joined = make(
        "SparseConcat", [i.indices for i in inputs], [i.values for i in inputs], dims, concat_dim=axis, name=name
    )
    return SparseTensor(indices, values, joined)


def sparse_add(a, b, threshold=None, thresh=None):
    """The sum of two tensors of which one or both are sparse; of two sparse ones elements smaller than the threshold are left out."""
    threshold = 0 if threshold is None and thresh is None else thresh if threshold is None else threshold
    kinds = (SparseTensor, SparseTensorValue)
    if not isinstance(a, kinds) and not isinstance(b, kinds):
        raise TypeError("At least one input should be SparseTensor; do you mean to use tf.add()?")
    if isinstance(a, kinds) and isinstance(b, kinds):
        a, b = as_sparse(a), as_sparse(b)
        least = convert_to_tensor(threshold, dtype=a.dtype.real_dtype.base_dtype, name="threshold")
        indices, values, dims = make("SparseAdd", a.indices, a.values, a.dense_shape, b.indices, b.values, b.dense_shape, least)
        known = a.get_shape().merge_with(b.get_shape())
        return SparseTensor(indices, values, known.as_list() if known.is_fully_defined() else dims)
    if isinstance(b, kinds):
        a, b = b, a
    a = as_sparse(a)
    return make("SparseTensorDenseAdd", a.indices, a.values, a.dense_shape, b)


def sparse_slice(sp_input, start, size, name=None):
    """The part that begins at `start` and has `size`."""
    given = as_sparse(sp_input)
    start, size = (convert_to_tensor(v, dtype=int64) for v in (start, size))
    with name_scope(name, "SparseSlice", [given]) as name:
        return SparseTensor(*make("SparseSlice", given.indices, given.values, given.dense_shape, start, size, name=name))


def sparse_split(keyword_required=KeywordRequired(), sp_input=None, num_split=None, axis=None, name=None, split_dim=None):  # noqa: B008
    """num_split parts along an axis."""
    if not isinstance(keyword_required, KeywordRequired):
        raise ValueError("Keyword arguments are required for this function.")
    axis = _axis(axis, split_dim, "split_dim")
    for what, value in (("sp_input", sp_input), ("num_split", num_split), ("axis", axis)):
        if value is None:
            raise ValueError(f"{what} is required")
    given = as_sparse(sp_input)
    axis = convert_to_tensor(axis, dtype=int64)
    found = make("SparseSplit", axis, given.indices, given.values, given.dense_shape, num_split=num_split, name=name)
    return [SparseTensor(*found[k::num_split]) for k in range(num_split)]


def sparse_fill_empty_rows(sp_input, default_value, name=None):
    """The same with `default_value` at the beginning of rows without an element, and which rows these are (bool)."""
    given = as_sparse(sp_input)
    with name_scope(name, "SparseFillEmptyRows", [given]):
        default_value = convert_to_tensor(default_value, dtype=given.values.dtype)
        indices, values, empty, _ = make("SparseFillEmptyRows", given.indices, given.values, given.dense_shape, default_value)
        return SparseTensor(indices, values, given.dense_shape), empty


def sparse_retain(sp_input, to_retain):
    """The elements for which `to_retain` (bool, one per element) holds."""
    given = as_sparse(sp_input)
    to_retain = convert_to_tensor(to_retain)
    to_retain.shape.assert_has_rank(1)
    if given.values.shape.ndims is not None:
        given.values.shape[0].merge_with(to_retain.shape[0])
    kept = reshape(where(to_retain), [-1])
    return SparseTensor(gather(given.indices, kept), gather(given.values, kept), identity(given.dense_shape))


def sparse_reset_shape(sp_input, new_shape=None):
    """The same elements in a larger shape, or (without one) in the smallest that holds them."""
    given = as_sparse(sp_input)
    indices, values, dims = identity(given.indices), identity(given.values), identity(given.dense_shape)
    if new_shape is None:
        largest = reduce_max(indices, axis=0)
        return SparseTensor(indices, values, make("Maximum", constant(0, dtype=int64), make("Add", largest, ones_like(dims))))
    wanted = cast(convert_to_tensor(new_shape), int64)
    wanted.shape.assert_has_rank(1)
    wanted.shape[0].merge_with(dims.shape[0])
    known = constant_value(wanted)
    if known is not None and given.get_shape().is_fully_defined():
        old = np.array(given.get_shape().as_list())
        if (old > known).any():
            raise ValueError(
                f"Requested new_shape should have dimension sizes >= sp_input.shape.  Found new_shape ({known}), sp_input.shape ({old})."
            )
    return SparseTensor(indices, values, wanted)


def sparse_merge(sp_ids, sp_values, vocab_size, name=None, already_sorted=False):
    """A SparseTensor of sp_values at positions of which the last ones are the values of sp_ids (one, or a list)."""
    if isinstance(sp_ids, (SparseTensor, SparseTensorValue)):
        sp_ids, vocab_size = [sp_ids], [vocab_size]
    elif not isinstance(sp_ids, Sequence):
        raise TypeError(f"sp_ids has to be a SparseTensor or list thereof. Found {type(sp_ids)}")
    elif not isinstance(vocab_size, Sequence):
        raise TypeError(f"vocab_size has to be a list of Tensors or Python ints. Found {type(vocab_size)}")
    if len(sp_ids) != len(vocab_size):
        raise ValueError("sp_ids and vocab_size have to have equal lengths.")
    with name_scope(name, "SparseMerge", [*sp_ids, sp_values]):
        parts = [as_sparse(i) for i in sp_ids]
        given = as_sparse(sp_values)
        ids = [expand_dims(cast(i.values, int64), axis=1) for i in parts]
        sizes = [cast(v, int64) for v in vocab_size]
        indices = concat([parts[0].indices[:, :-1], *ids], 1)
        dims = concat([parts[0].dense_shape[:-1], sizes], 0)
        merged = SparseTensor(indices, given.values, dims)
        if already_sorted:
            return merged
        merged = sparse_reorder(merged)
        return SparseTensor(merged.indices, merged.values, dims)


def sparse_to_indicator(sp_input, vocab_size, name=None):
    """True at [..., v] where v is among the elements of a row."""
    given = as_sparse(sp_input)
    with name_scope(name, "SparseToIndicator", [given]) as name:
        count = shape(given.indices)[0]
        marks = fill(expand_dims(count, 0), True)
        merged = sparse_merge(given, SparseTensor(given.indices, marks, given.dense_shape), vocab_size, name)
        return sparse_tensor_to_dense(merged, default_value=False, validate_indices=False, name=name)


def sparse_transpose(sp_input, perm=None, name=None):
    """The axes in another order, default reversed."""
    given = as_sparse(sp_input)
    with name_scope(name, "SparseTranspose", [given]) as name:
        if perm is None:
            count = size(given.dense_shape, name="Rank")
            perm = (count - 1) - range_of(0, count, 1)
        indices = transpose(gather(transpose(given.indices), perm))
        order = constant_value(convert_to_tensor(perm))
        known = given.get_shape()
        if order is not None and known.is_fully_defined():
            dims: Any = [known.as_list()[p] for p in order]
        else:
            dims = gather(given.dense_shape, perm)
        return sparse_reorder(SparseTensor(indices, given.values, dims))


def _combined(kind: str, sp_a: Any, sp_b: Any, name: str | None) -> SparseTensor:
    with name_scope(name, kind, [sp_a.indices, sp_a.values, sp_b.indices, sp_b.values]) as name:
        parts = (sp_a.indices, sp_a.values, sp_a.dense_shape, sp_b.indices, sp_b.values, sp_b.dense_shape)
        indices, values = make(kind, *parts, name=name)
    return SparseTensor(indices, values, sp_a.dense_shape)


def sparse_maximum(sp_a, sp_b, name=None):
    """The larger elements of two sparse tensors of one shape."""
    return _combined("SparseSparseMaximum", sp_a, sp_b, name)


def sparse_minimum(sp_a, sp_b, name=None):
    """The smaller elements of two sparse tensors of one shape."""
    return _combined("SparseSparseMinimum", sp_a, sp_b, name)


def from_dense(tensor, name=None):
    """A SparseTensor of the elements that are not 0."""
    with name_scope(name, "dense_to_sparse"):
        tensor = convert_to_tensor(tensor)
        indices = where(make("NotEqual", tensor, constant(0, tensor.dtype)))
        return SparseTensor(indices, gather_nd(tensor, indices), shape(tensor, out_type=int64))


def eye(num_rows, num_columns=None, dtype=dtypes.float32, name=None):
    """The sparse matrix with ones on its diagonal."""
    with name_scope(name, "eye", [num_rows, num_columns]):
        rows = convert_to_tensor(num_rows, dtype=int64, name="num_rows")
        columns = rows if num_columns is None else convert_to_tensor(num_columns, dtype=int64, name="num_columns")
        count = make("Minimum", rows, columns)
        places = range_of(count, dtype=int64)
        return SparseTensor(stack([places, places], axis=1), ones(count, dtype=as_dtype(dtype)), stack([rows, columns]))


def expand_dims_of(sp_input, axis=None, name=None):
    """The same with an axis of size 1 more, in front of `axis` (default: the last)."""
    depth = sp_input.dense_shape.shape[0].value
    axis = -1 if axis is None else axis
    axis = axis if axis >= 0 else axis + depth + 1
    with name_scope(name, "expand_dims", [sp_input]):
        zeros = fill(stack([shape(sp_input.indices)[0], 1]), constant(0, dtype=int64))
        indices = concat([sp_input.indices[:, :axis], zeros, sp_input.indices[:, axis:]], 1)
        dims = concat([sp_input.dense_shape[:axis], constant([1], dtype=int64), sp_input.dense_shape[axis:]], 0)
        return SparseTensor(indices, sp_input.values, dims)


def edit_distance(hypothesis, truth, normalize=True, name="edit_distance"):
    """The Levenshtein distances between the sequences of two sparse tensors along their last axis; `normalize` divides each by the length
    of the true one."""
    for what, value in (("Hypothesis", hypothesis), ("Truth", truth)):
        if not isinstance(value, (SparseTensor, SparseTensorValue)):
            raise TypeError(f"{what} must be a SparseTensor.")
    a, b = as_sparse(hypothesis), as_sparse(truth)
    return make(
        "EditDistance", a.indices, a.values, a.dense_shape, b.indices, b.values, b.dense_shape, normalize=normalize, name=name
    )
