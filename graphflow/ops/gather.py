"""Elements chosen by numbers: gather, gather_nd, one_hot, and reversing parts of sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.dtypes import INDEX, as_dtype, float32, int32, int64, uint8
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.convert import constant_value
from graphflow.graph.indexed_slices import IndexedSlices
from graphflow.graph.op import Access, Case, TensorSpec
from graphflow.graph.tensor import Tensor
from graphflow.kernel.expr import Expr, as_index, call, cast, const, guarded, position, select
from graphflow.kernel.index import Index, product
from graphflow.ops.arguments import renamed
from graphflow.ops.core import Take
from graphflow.ops.families import Composite, Movement, ravel
from graphflow.ops.passing import Within
from graphflow.ops.reshape import expand_dims, reshape, transpose
from graphflow.ops.shape import shape, size
from graphflow.ops.sizes import Dims, Size, contents, i32, merge, merge_dims, need_rank, need_rank_at_least, scalar, shown

__all__ = ["batch_gather", "gather", "gather_nd", "one_hot", "reverse_sequence"]


class GatherV2(Composite):
    """The slices of params along `axis` that indices name; the first `batch_dims` dimensions are shared."""

    arguments = ("params: Tparams", "indices: Tindices", "axis: Taxis")
    results = ("output: Tparams",)
    types = {"Tindices": INDEX, "Taxis": INDEX}
    batch_dims: int = 0
    symbolic = True
    cases = (
        Case((5, 3), i32(4, 0, 0), scalar(0)), Case((3, 5), np.array([[1, 2], [4, 0]], np.int32), scalar(1)),
        Case((2, 4, 3), np.array([[3], [0]], np.int32), scalar(1), batch_dims=1), Case((5, 3), np.zeros((0,), np.int32), scalar(0)),
        Case((3, 5), scalar(2), scalar(-1)),
    )  # fmt: skip

    def infer(self, params: TensorSpec, indices: TensorSpec, axis: TensorSpec) -> TensorSpec:
        chosen = contents(axis)
        if params.dims is None or indices.dims is None:
            return TensorSpec(params.dtype, None)
        if chosen is None or chosen[0] is None:
            return TensorSpec(params.dtype, (None,) * (len(params.dims) + len(indices.dims) - 1 - self.batch_dims))
        at, batch = self._axes(params.dims, indices.dims, chosen[0])
        lead: Dims = tuple(merge(p, i) for p, i in zip(params.dims[:batch], indices.dims[:batch], strict=True))
        return TensorSpec(params.dtype, (*lead, *params.dims[batch:at], *indices.dims[batch:], *params.dims[at + 1 :]))

    def _axes(self, params: Sequence[Any], indices: Sequence[Any], axis: Any) -> tuple[int, int]:
        if not params:
            raise ValueError("Shape must be at least rank 1 but is rank 0")
        if not -len(params) <= axis < len(params):
            least = axis + 1 if axis >= 0 else -axis
            rule = f"Expected axis in the range [{-len(params)}, {len(params)}), but got {axis}"
            raise ValueError(f"{rule}: Shape must be at least rank {least} but is rank {len(params)}")
        at = axis % len(params)
        batch = self.batch_dims + len(indices) if self.batch_dims < 0 else self.batch_dims
        if not 0 <= batch <= min(at, len(indices)):
            raise ValueError(f"batch_dims ({batch}) must be less than or equal to axis ({at}) and rank(indices) ({len(indices)})")
        return at, batch

    def reference(self, params: Any, indices: Any, axis: Any) -> Any:
        at, batch = self._axes(params.shape, indices.shape, int(np.ravel(axis)[0]))
        if params.dtype == object and not batch:
            return np.asarray(np.take(params, indices.astype(np.int64), at), object).reshape(
                params.shape[:at] + indices.shape + params.shape[at + 1 :]
            )
        return np.asarray(Take(at, batch).reference(params, indices))

    def decompose(self, b: Any, params: Any, indices: Any, axis: Any) -> Any:
        at, batch = self._axes(params.shape, indices.shape, b.sizes(axis)[0])
        return b.take(params, indices, at, batch)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        params, indices, axis = node.inputs
        at = constant_value(axis)
        dims = shape(params)
        if at is not None and int(at) == 0 and self.batch_dims == 0:  # of rows, whatever their rank
            batch = 0
        elif at is None or params.shape.ndims is None or indices.shape.ndims is None:
            raise ValueError("the gradient of GatherV2 needs a constant axis and inputs of known rank")
        else:
            at, batch = self._axes(params.shape.as_list(), indices.shape.as_list(), int(at))
        if at == 0:
            count = expand_dims(size(indices), 0)
            values = reshape(dy, make("ConcatV2", [count, dims[1:]], 0))
            return [IndexedSlices(values, reshape(indices, count), dims), None, None]
        return [_along(params, indices, at, batch, dy, dims), None, None]


def _along(params: Any, indices: Any, axis: int, batch: int, dy: Any, dims: Any) -> Any:
    """The gradient for params along an inner axis: dy's rows summed where they came from, then turned back."""
    rank, chosen = params.shape.ndims, indices.shape.ndims - batch
    order = [*range(batch), *range(axis, axis + chosen), *range(batch, axis), *range(axis + chosen, rank - 1 + chosen)]
    rows = transpose(dy, order)
    extent = dims[axis]
    ids = indices
    segments = extent
    if batch:
        # Each batch element has its own range of segment numbers.
        groups = make("Prod", dims[:batch], [0])
        starts = make("Mul", make("Range", 0, groups, 1), extent)
        starts = reshape(starts, make("ConcatV2", [dims[:batch], [1] * chosen], 0))
        ids = make("AddV2", make("Cast", indices, DstT=int32), starts)
        segments = make("Mul", groups, extent)
    summed = make("UnsortedSegmentSum", rows, ids, segments)
    moved = [*range(batch), axis, *range(batch, axis), *range(axis + 1, rank)]
    summed = reshape(summed, make("GatherV2", dims, moved, 0))
    back = [moved.index(a) for a in range(rank)]
    return transpose(summed, back)


class Gather(Composite):
    """The rows of params that indices name."""

    arguments = ("params: Tparams", "indices: Tindices")
    results = ("output: Tparams",)
    types = {"Tindices": INDEX}
    validate_indices: bool = True
    cases = (Case((5, 3), i32(4, 0, 0)),)

    def infer(self, params: TensorSpec, indices: TensorSpec) -> TensorSpec:
        need_rank_at_least(params, 1)
        if params.dims is None or indices.dims is None:
            return TensorSpec(params.dtype, None)
        return TensorSpec(params.dtype, (*indices.dims, *params.dims[1:]))

    def reference(self, params: Any, indices: Any) -> Any:
        return Take(0).reference(params, indices)

    def decompose(self, b: Any, params: Any, indices: Any) -> Any:
        return b.take(params, indices, 0)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        params, indices = node.inputs
        dims, count = shape(params), expand_dims(size(indices), 0)
        return [IndexedSlices(reshape(dy, make("ConcatV2", [count, dims[1:]], 0)), reshape(indices, count), dims), None]


class TakeNd(Movement):
    """y[i.., j..] = x[indices[i.., 0], ..., indices[i.., k-1], j..]. An index outside fails the step."""

    core = True
    arguments = ("x: T", "indices: I")
    results = ("y: T",)
    types = {"I": INDEX}
    cases = (
        Case((3, 4), np.array([[2, 1], [0, 3]], np.int32)), Case((3, 4), np.array([[2], [0]], np.int32)),
        Case((3, 4), np.zeros((2, 0), np.int32)),
    )  # fmt: skip

    def infer(self, x: TensorSpec, indices: TensorSpec) -> TensorSpec:
        assert x.dims is not None and indices.dims is not None
        return TensorSpec(x.dtype, (*indices.dims[:-1], *x.dims[indices.dims[-1] :]))  # type: ignore[misc]

    def reference(self, x: Any, indices: Any) -> Any:
        depth = indices.shape[-1]
        for axis in range(depth):
            if indices.size and not ((indices[..., axis] >= 0) & (indices[..., axis] < x.shape[axis])).all():
                raise IndexError(f"indices do not index into param shape {list(x.shape)}")
        if depth == 0:
            return np.broadcast_to(x, (*indices.shape[:-1], *x.shape)).copy()
        return x[tuple(np.moveaxis(indices, -1, 0))]

    def element(self, inputs: Sequence[Access], index: tuple[Index, ...]) -> Expr:
        x, indices = inputs
        lead = len(indices.shape) - 1
        depth = indices.shape[-1]
        assert isinstance(depth, int)
        at: list[Index] = []
        inside: Expr | None = None
        checks: list[tuple[str, Expr, Expr]] = []
        for axis in range(depth):
            chosen = cast(indices((*index[:lead], axis)), "i64")
            extent = x.shape[axis]
            valid = call("and", call("le", const(0, "i64"), chosen), call("lt", chosen, position(extent)))
            where, seen = "...", chosen
            if lead and indices.type != "i64":  # both fit
                where = f"{{position in {','.join(map(str, indices.shape[:lead]))}}}"
                seen = (position(ravel(index[:lead], indices.shape[:lead])) << 32) | (chosen & 0xFFFFFFFF)
            wrong = f"{where}] = [{{value}}]" if depth == 1 else f"{where},{axis}] = {{value}}"
            checks.append((f"indices[{wrong} does not index into param shape {shown(x.shape)}", valid, seen))
            at.append(as_index(select(valid, chosen, 0), 0, extent - 1 if isinstance(extent, int) else None))
            inside = valid if inside is None else inside & valid
        value = guarded(x((*at, *index[lead:])), inside)
        for message, valid, chosen in checks:  # around the guarded element: inside, the guard would keep them from failing
            value = x.check("InvalidArgumentError", message, valid, chosen, value)
        return value


class GatherNd(Composite):
    """Slices of params at the positions that the last dimension of indices holds."""

    arguments = ("params: Tparams", "indices: Tindices")
    results = ("output: Tparams",)
    types = {"Tindices": INDEX}
    cases = (
        Case((3, 4), np.array([[2, 1], [0, 3]], np.int32)), Case((3, 4, 2), np.array([[2], [0]], np.int32)),
        Case((3, 4), np.array([[[2, 1]], [[0, 3]]], np.int32)),
    )  # fmt: skip

    def infer(self, params: TensorSpec, indices: TensorSpec) -> TensorSpec:
        if params.dims is None or indices.dims is None:
            return TensorSpec(params.dtype, None)
        need_rank_at_least(indices, 1)
        need_rank_at_least(params, 1)
        depth = indices.dims[-1]
        if not isinstance(depth, int):
            return TensorSpec(params.dtype, None)
        if depth > len(params.dims):
            raise ValueError(f"indices.shape[-1] must be <= params.rank, but saw indices shape: {list(indices.dims)}")
        return TensorSpec(params.dtype, (*indices.dims[:-1], *params.dims[depth:]))

    def reference(self, params: Any, indices: Any) -> Any:
        return TakeNd().reference(params, indices)

    def decompose(self, b: Any, params: Any, indices: Any) -> Any:
        if 0 in params.shape[: indices.shape[-1]] and 0 not in indices.shape:
            count = product(indices.shape[:-1])
            raise ValueError(f"Requested {count} entries, but params is empty.  Params shape: {shown(params.shape)}")
        return b.apply(TakeNd(), params, indices)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        params, indices = node.inputs
        dims = shape(params, out_type=indices.dtype.base_dtype)
        if indices.shape.ndims == 2 and indices.shape.as_list()[-1] == 1:
            return [IndexedSlices(dy, make("Squeeze", indices, squeeze_dims=(-1,)), dims), None]
        return [make("ScatterNd", indices, dy, dims), None]


class OneHot(Composite):
    """on_value where the position along `axis` is the index, off_value elsewhere."""

    arguments = ("indices: TI", "depth: int32", "on_value: T", "off_value: T")
    results = ("output: T",)
    types = {"TI": (uint8, int32, int64)}
    differentiable = False
    axis: int = -1
    cases = (
        Case(i32(0, 2, -1, 5), scalar(3), np.float32(1), np.float32(0)), Case(i32(0, 2), scalar(3), np.float32(5), np.float32(-1), axis=0),
        Case(np.array([[0, 1], [2, 2]], np.int32), scalar(3), np.float32(1), np.float32(0), axis=1),
        Case(scalar(1), scalar(4), np.float32(1), np.float32(0)),
    )  # fmt: skip

    def _dims(self, indices: Dims, depth: Size) -> tuple[Dims, int]:
        at = len(indices) if self.axis == -1 else self.axis
        if not 0 <= at <= len(indices):
            raise ValueError(f"Expected axis to be -1 or between [0, {len(indices) + 1}).  But received: {self.axis}")
        return (*indices[:at], depth, *indices[at:]), at

    def infer(self, indices: TensorSpec, depth: TensorSpec, on_value: TensorSpec, off_value: TensorSpec) -> TensorSpec:
        for spec, name in ((depth, "depth"), (on_value, "on_value"), (off_value, "off_value")):
            if spec.dims:
                raise ValueError(f"{name} must be a scalar, but got shape {shown(spec.dims)}")
        if indices.dims is None:
            return TensorSpec(on_value.dtype, None)
        count = contents(depth)
        if count is not None and isinstance(count[0], int) and count[0] < 0:
            raise ValueError(f"depth must be non-negative, got: {count[0]}")
        return TensorSpec(on_value.dtype, self._dims(indices.dims, None if count is None else count[0])[0])

    def reference(self, indices: Any, depth: Any, on_value: Any, off_value: Any) -> Any:
        dims, at = self._dims(indices.shape, int(depth))
        y = np.full(dims, off_value)
        for place in np.ndindex(indices.shape):
            if 0 <= indices[place] < depth:
                y[(*place[:at], int(indices[place]), *place[at:])] = on_value
        return y

    def decompose(self, b: Any, indices: Any, depth: Any, on_value: Any, off_value: Any) -> Any:
        dims, at = self._dims(indices.shape, b.sizes(depth)[0])
        chosen = b.view(indices, (*dims[:at], 1, *dims[at + 1 :]))
        # Positions along the axis alone: broadcasting gives the rest.
        ramp = b.view(b.iota((dims[at],), 0, indices.dtype), (dims[at], *(1 for _ in dims[at + 1 :])))
        return b.select(b.equal(chosen, ramp), on_value, off_value)


class ReverseSequence(Composite):
    """The first seq_lengths[i] elements along seq_dim of each batch element in opposite order, the others as they are."""

    arguments = ("input: T", "seq_lengths: Tlen")
    results = ("output: T",)
    types = {"Tlen": INDEX}
    seq_dim: int
    batch_dim: int = 0
    cases = (Case((2, 5, 3), i32(3, 5), seq_dim=1), Case((4, 3), i32(1, 2, 4), seq_dim=0, batch_dim=1))

    def infer(self, input: TensorSpec, seq_lengths: TensorSpec) -> TensorSpec:
        need_rank(seq_lengths, 1)
        if input.dims is None:
            return TensorSpec(input.dtype, None)
        rank = len(input.dims)
        for name in ("batch_dim", "seq_dim"):
            if not 0 <= getattr(self, name) < rank:
                raise ValueError(f"{name} must be < input rank: {getattr(self, name)} vs. {rank}")
        if seq_lengths.dims is not None:
            merge_dims((input.dims[self.batch_dim],), seq_lengths.dims)
        longest = input.dims[self.seq_dim]
        for row, length in enumerate(contents(seq_lengths) or ()):
            if isinstance(length, int) and length < 0:
                raise ValueError(f"seq_lens({row}) < 0")
            if isinstance(length, int) and isinstance(longest, int) and length > longest:
                raise ValueError(f"seq_lens({row}) > input.dims({self.seq_dim})")
        return TensorSpec(input.dtype, input.dims)

    def reference(self, input: Any, seq_lengths: Any) -> Any:
        y = np.moveaxis(input, (self.batch_dim, self.seq_dim), (0, 1)).copy()
        for row, length in zip(y, seq_lengths, strict=True):
            row[:length] = row[:length][::-1].copy()
        return np.moveaxis(y, (0, 1), (self.batch_dim, self.seq_dim))

    def decompose(self, b: Any, input: Any, seq_lengths: Any) -> Any:
        rank = len(input.shape)
        if self.batch_dim == self.seq_dim:  # TensorFlow builds such a graph
            raise ValueError(f"batch_dim == seq_dim == {self.seq_dim}")
        order = [self.batch_dim, self.seq_dim, *(a for a in range(rank) if a not in (self.batch_dim, self.seq_dim))]
        x = b.permute(input, order)
        batch, steps = x.shape[:2]
        checked = b.apply(Within(steps + 1, text="seq_lengths: {value} is not in [0, number of steps]"), seq_lengths)
        lengths = b.view(checked, (batch, 1))
        ramp = b.iota((batch, steps), 1, seq_lengths.dtype)
        source = b.select(b.less(ramp, lengths), b.sub(b.sub(lengths, 1), ramp), ramp)
        return b.permute(b.take(x, source, 1, batch=1), [order.index(a) for a in range(rank)])

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make("ReverseSequence", dy, node.inputs[1], seq_dim=self.seq_dim, batch_dim=self.batch_dim), None]


# -- public functions --------------------------------------------------------------------------------------------------------------


def gather(params, indices, validate_indices=None, name=None, axis=None, batch_dims=0):
    """The slices of params along `axis` that indices name; the first `batch_dims` dimensions are shared."""
    axis = batch_dims if axis is None else axis
    if axis == batch_dims == 0 and hasattr(params, "sparse_read"):
        return params.sparse_read(indices, name=name)
    return make("GatherV2", params, indices, axis, batch_dims=int(batch_dims), name=name)


def batch_gather(params, indices, name=None):
    """gather with all dimensions of indices but the last shared."""
    with name_scope(name, "BatchGather", [params, indices]):
        indices = convert_to_tensor(indices, name="indices")
        params = convert_to_tensor(params, name="params")
        if indices.shape.ndims is None:
            raise ValueError("batch_gather does not allow indices with unknown shape.")
        last = indices.shape.ndims - 1
        return make("GatherV2", params, indices, last, batch_dims=last)


def gather_nd(params, indices, name=None, batch_dims=0):
    """Slices of params at the positions that the last dimension of indices holds."""
    if isinstance(batch_dims, Tensor):
        known = constant_value(batch_dims)
        if known is None or known.size != 1:
            raise TypeError(f"batch_dims must be an int, got {batch_dims}")
        batch_dims = int(known.reshape(()))
    if batch_dims:
        with name_scope(name, "BatchGatherND", [params, indices]):
            return _batched(convert_to_tensor(params, name="params"), convert_to_tensor(indices, name="indices"), int(batch_dims))
    if hasattr(params, "sparse_read"):
        return params.gather_nd(indices, name=name)
    return make("GatherNd", params, indices, name=name)


def _batched(params: Any, indices: Any, batch: int) -> Any:
    """gather_nd with shared leading dimensions: their positions are written in front of the indices."""
    dims = shape(indices, out_type=indices.dtype.base_dtype)
    if batch < 0:
        raise ValueError("tf.gather_nd does not allow negative batch_dims.")
    for name, tensor in (("indices", indices), ("params", params)):
        if tensor.shape.ndims is not None and batch >= tensor.shape.ndims:
            raise ValueError(f"batch_dims = {batch} must be less than rank({name}) = {tensor.shape.ndims}")
    rank = indices.shape.ndims
    ones = make("ConcatV2", [dims[:-1], [1]], 0)
    columns = []
    for axis in range(batch):
        ramp = make("Range", make("Cast", 0, DstT=indices.dtype.base_dtype), dims[axis],
                    make("Cast", 1, DstT=indices.dtype.base_dtype))  # fmt: skip
        lead = [*[1] * axis, -1]
        rest = make("OnesLike", dims[axis + 1 :]) if rank is None else [1] * (rank - axis - 1)
        ramp = reshape(ramp, make("ConcatV2", [np.array(lead, dims.dtype.as_numpy_dtype), rest], 0) if rank is None else [*lead, *rest])
        columns.append(make("BroadcastTo", ramp, ones))
    return make("GatherNd", params, make("ConcatV2", [*columns, indices], -1))


def one_hot(indices, depth, on_value=None, off_value=None, axis=None, dtype=None, name=None):
    """on_value (1) at the position along a new axis that each index names, off_value (0) elsewhere."""
    with name_scope(name, "one_hot", [indices, depth, on_value, off_value, axis, dtype]) as name:
        dtype = None if dtype is None else as_dtype(dtype)
        found = [None if v is None else convert_to_tensor(v).dtype.base_dtype for v in (on_value, off_value)]
        for what, given in zip(("on_value", "off_value"), found, strict=True):
            if dtype is not None and given is not None and given != dtype:
                raise TypeError(f"dtype {given} of {what} does not match dtype parameter {dtype}")
        if dtype is None:
            dtype = next((d for d in found if d is not None), float32)
        if on_value is None:
            on_value = convert_to_tensor(1, dtype, name="on_value")
        if off_value is None:
            off_value = convert_to_tensor(0, dtype, name="off_value")
        first, second = (found[0] or dtype), (found[1] or dtype)
        if first != second:
            raise TypeError(f"dtype {first} of on_value does not match dtype {second} of off_value")
        return make("OneHot", indices, depth, on_value, off_value, axis=-1 if axis is None else int(axis), name=name)


def reverse_sequence(input, seq_lengths, seq_axis=None, batch_axis=None, name=None, seq_dim=None, batch_dim=None):
    """The first seq_lengths[i] elements along seq_axis of each batch element in opposite order."""
    seq_axis = renamed("seq_axis", seq_axis, "seq_dim", seq_dim)
    batch_axis = renamed("batch_axis", batch_axis, "batch_dim", batch_dim)
    return make("ReverseSequence", input, seq_lengths, seq_dim=seq_axis, batch_dim=batch_axis or 0, name=name)
