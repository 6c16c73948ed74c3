"""Bookkeeping of the indices of sparse tensors: order, shape, parts, unions. How many elements a result has depends on the data, so these
run between segments; they move values and do not compute with more of them than coincide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from graphflow import dtypes
from graphflow.dtypes import NUMERIC, float32, int64
from graphflow.errors import InvalidArgumentError
from graphflow.graph.build import make
from graphflow.graph.op import Kind, Op, TensorSpec
from graphflow.ops.gather import gather
from graphflow.ops.shape import size
from graphflow.ops.sizes import contents, need_rank


class IndexOp(Op, abstract=True):
    """Base of the ops on the three parts of sparse tensors."""

    kind = Kind.HOST


def _refuse(text: str) -> InvalidArgumentError:
    return InvalidArgumentError(None, None, text)


def _columns(spec: TensorSpec) -> Any:
    need_rank(spec, 2)
    return None if spec.dims is None else spec.dims[1]


def _flat(indices: Any, dims: Any, what: str = "indices") -> Any:
    """Row-major positions; indices outside of the shape are refused."""
    dims = np.asarray(dims, np.int64)
    outside = ((indices < 0) | (indices >= dims)).any(axis=1) if indices.size else np.zeros(0, bool)
    for at in np.flatnonzero(outside):
        raise _refuse(f"{what}[{at}] = {indices[at].tolist()} is out of bounds: need 0 <= index < {dims.tolist()}")
    return np.ravel_multi_index(tuple(indices.T), tuple(dims.tolist())) if indices.size else np.zeros(len(indices), np.int64)


def _unflat(places: Any, dims: Any) -> Any:
    """Indices of row-major positions."""
    if not len(dims):
        return np.zeros((len(places), 0), np.int64)
    return np.stack(np.unravel_index(places, tuple(int(max(d, 1)) for d in dims)), 1).astype(np.int64).reshape(-1, len(dims))


class SparseReorder(IndexOp):
    """The same elements in row-major order of their indices."""

    arguments = ("input_indices: int64", "input_values: T", "input_shape: int64")
    results = ("output_indices: int64", "output_values: T")

    def infer(self, input_indices: TensorSpec, input_values: TensorSpec, input_shape: TensorSpec) -> tuple[TensorSpec, ...]:
        _columns(input_indices)
        return TensorSpec(int64, input_indices.dims), TensorSpec(input_values.dtype, input_values.dims)

    def run(self, input_indices: Any, input_values: Any, input_shape: Any) -> Any:
        order = np.lexsort(input_indices.T[::-1]) if input_indices.size else np.arange(len(input_values))
        return input_indices[order], input_values[order]

    def gradient(self, node: Any, dy_indices: Any, dy: Any) -> Sequence[Any]:
        indices, values, _ = node.inputs
        # Sorting the numbers of the elements along with them says where each went.
        places = make("Range", 0, size(values), 1)
        _, moved = make("SparseReorder", indices, places, node.inputs[2])
        return [None, gather(dy, make("InvertPermutation", moved)), None]


class SparseReshape(IndexOp):
    """The indices of the same elements in another shape; one size may be -1."""

    arguments = ("input_indices: int64", "input_shape: int64", "new_shape: int64")
    results = ("output_indices: int64", "output_shape: int64")
    differentiable = False

    def infer(self, input_indices: TensorSpec, input_shape: TensorSpec, new_shape: TensorSpec) -> tuple[TensorSpec, ...]:
        _columns(input_indices)
        need_rank(new_shape, 1)
        rows = None if input_indices.dims is None else input_indices.dims[0]
        rank = None if new_shape.dims is None else new_shape.dims[0]
        return TensorSpec(int64, (rows, rank)), TensorSpec(int64, (rank,))

    def run(self, input_indices: Any, input_shape: Any, new_shape: Any) -> Any:
        total = int(np.prod(input_shape))
        dims = new_shape.copy()
        open_ = np.flatnonzero(dims < 0)
        if len(open_) > 1:
            raise _refuse(f"only one output dimension may be -1, not both {open_[0]} and {open_[1]}")
        if len(open_):
            rest = int(np.prod(np.delete(dims, open_)))
            if rest == 0 or total % rest:
                raise _refuse(f"Input to reshape is a SparseTensor with {total} dense values, but the requested shape requires a multiple "
                              f"of {rest}. input_shape={input_shape.tolist()} output_shape={new_shape.tolist()}")  # fmt: skip
            dims[open_] = total // rest
        if int(np.prod(dims)) != total:
            raise _refuse(f"Input to reshape is a tensor with {total} dense values, but the requested shape has {int(np.prod(dims))}. "
                          f"input_shape={input_shape.tolist()} output_shape={new_shape.tolist()}")  # fmt: skip
        return _unflat(_flat(input_indices, input_shape), dims), dims


class SparseConcat(IndexOp):
    """Sparse tensors joined along `concat_dim`."""

    arguments = ("indices: N*int64", "values: N*T", "shapes: N*int64")
    results = ("output_indices: int64", "output_values: T", "output_shape: int64")
    concat_dim: int

    def infer(self, *inputs: TensorSpec) -> tuple[TensorSpec, ...]:
        count = len(inputs) // 3
        rank = next((d for d in map(_columns, inputs[:count]) if d is not None), None)
        return TensorSpec(int64, (None, rank)), TensorSpec(inputs[count].dtype, (None,)), TensorSpec(int64, (rank,))

    def run(self, *inputs: Any) -> Any:
        count = len(inputs) // 3
        indices, values, shapes = inputs[:count], inputs[count : 2 * count], inputs[2 * count :]
        axis = self.concat_dim % len(shapes[0]) if len(shapes[0]) else 0
        if not -len(shapes[0]) <= self.concat_dim < len(shapes[0]):
            raise _refuse(f"Concat dimension must be in range [{-len(shapes[0])}, {len(shapes[0])}), got {self.concat_dim}")
        for number, dims in enumerate(shapes[1:], 1):
            if len(dims) != len(shapes[0]):
                raise _refuse(f"Ranks of all input tensors must match: expected {len(shapes[0])} but got {len(dims)} at position {number}")
            if any(k != axis and a != b for k, (a, b) in enumerate(zip(shapes[0], dims, strict=True))):
                raise _refuse(f"Input shapes must match: expected {shapes[0].tolist()} but got {dims.tolist()} at position {number}, "
                              f"except along dimension {axis}")  # fmt: skip
        starts = np.cumsum([0, *(d[axis] for d in shapes)])
        moved = [i + starts[k] * (np.arange(i.shape[1]) == axis) for k, i in enumerate(indices)]
        dims = shapes[0].copy()
        dims[axis] = starts[-1]
        joined, elements = np.concatenate(moved), np.concatenate(values)
        order = np.lexsort(joined.T[::-1]) if joined.size else np.arange(len(joined))
        return joined[order], elements[order], dims

    def gradient(self, node: Any, dy_indices: Any, dy: Any, dy_shape: Any) -> Sequence[Any]:
        count = len(node.inputs) // 3
        values = node.inputs[count : 2 * count]
        numbers, start = [], 0
        for v in values:
            stop = make("AddV2", start, size(v))
            numbers.append(make("Range", start, stop, 1))
            start = stop
        _, moved, _ = make("SparseConcat", list(node.inputs[:count]), numbers, list(node.inputs[2 * count :]), concat_dim=self.concat_dim)
        back = gather(dy, make("InvertPermutation", moved))
        shares = [gather(back, n) for n in numbers]
        return [*[None] * count, *shares, *[None] * count]


class SparseSlice(IndexOp):
    """The part that begins at `start` and has `size`, as far as there is one."""

    arguments = ("indices: int64", "values: T", "shape: int64", "start: int64", "size: int64")
    results = ("output_indices: int64", "output_values: T", "output_shape: int64")
    differentiable = False

    def infer(self, indices: TensorSpec, values: TensorSpec, *rest: TensorSpec) -> tuple[TensorSpec, ...]:
        return TensorSpec(int64, (None, _columns(indices))), TensorSpec(values.dtype, (None,)), TensorSpec(int64, rest[0].dims)

    def run(self, indices: Any, values: Any, shape: Any, start: Any, size: Any) -> Any:
        if not len(shape) == len(start) == len(size):
            raise _refuse(f"Expected start and size to be vectors of length {len(shape)}, got {len(start)} and {len(size)}")
        inside = ((indices >= start) & (indices < start + size)).all(axis=1)
        return indices[inside] - start, values[inside], np.clip(shape - start, 0, size)


class SparseSplit(IndexOp):
    """num_split parts of equal size along an axis, the first ones longer where it does not come out even."""

    arguments = ("split_dim: int64", "indices: int64", "values: T", "shape: int64")
    results = ("output_indices: num_split*int64", "output_values: num_split*T", "output_shape: num_split*int64")
    differentiable = False
    num_split: int

    def infer(self, split_dim: TensorSpec, indices: TensorSpec, values: TensorSpec, shape: TensorSpec) -> tuple[TensorSpec, ...]:
        parts = (TensorSpec(int64, (None, _columns(indices))), TensorSpec(values.dtype, (None,)), TensorSpec(int64, shape.dims))
        return tuple(p for p in parts for _ in range(self.num_split))

    def run(self, split_dim: Any, indices: Any, values: Any, shape: Any) -> Any:
        axis = int(split_dim)
        if not -len(shape) <= axis < len(shape):
            raise _refuse(f"Input split_dim should be between {-len(shape)} and rank ({len(shape)}), got {axis}")
        if not 1 <= self.num_split <= shape[axis]:
            raise _refuse(f"Input num_split should be between 1 and the splitting dimension size ({shape[axis]}), got {self.num_split}")
        each, extra = divmod(int(shape[axis]), self.num_split)
        found: list[tuple[Any, Any, Any]] = []
        start = 0
        for number in range(self.num_split):
            length = each + (number < extra)
            chosen = (indices[:, axis] >= start) & (indices[:, axis] < start + length)
            moved, dims = indices[chosen], shape.copy()
            moved[:, axis] -= start
            dims[axis] = length
            found.append((moved, values[chosen], dims))
            start += length
        return tuple(part for parts in zip(*found, strict=True) for part in parts)


class SparseAdd(IndexOp):
    """The sum of two sparse tensors; elements of it that are smaller than `thresh` are left out."""

    arguments = (
        "a_indices: int64", "a_values: T", "a_shape: int64", "b_indices: int64", "b_values: T", "b_shape: int64", "thresh: Treal",
    )  # fmt: skip
    results = ("sum_indices: int64", "sum_values: T", "sum_shape: int64")
    types = {"T": NUMERIC}

    def infer(self, a_indices: TensorSpec, a_values: TensorSpec, a_shape: TensorSpec, *_: TensorSpec) -> tuple[TensorSpec, ...]:
        return TensorSpec(int64, (None, _columns(a_indices))), TensorSpec(a_values.dtype, (None,)), TensorSpec(int64, a_shape.dims)

    def run(self, a_indices: Any, a_values: Any, a_shape: Any, b_indices: Any, b_values: Any, b_shape: Any, thresh: Any) -> Any:
        if not np.array_equal(a_shape, b_shape):
            raise _refuse(f"operands' shapes do not match: {a_shape.tolist()} and {b_shape.tolist()}")
        places, values = _union(a_indices, a_values, b_indices, b_values, a_shape, np.add)
        kept = np.abs(values) >= thresh
        return _unflat(places[kept], a_shape), values[kept], a_shape

    def gradient(self, node: Any, dy_indices: Any, dy: Any, dy_shape: Any) -> Sequence[Any]:
        a, b = node.inputs[0], node.inputs[3]
        a_dy, b_dy = make("SparseAddGrad", dy, a, b, node.outputs[0])
        return [None, a_dy, None, None, b_dy, None, None]


def _union(a_indices: Any, a_values: Any, b_indices: Any, b_values: Any, dims: Any, combine: Any) -> tuple[Any, Any]:
    """All positions of two sparse tensors, sorted, and their elements combined, 0 where one has none."""
    a, b = _flat(a_indices, dims, "a_indices"), _flat(b_indices, dims, "b_indices")
    places = np.union1d(a, b)
    left, right = np.zeros(len(places), a_values.dtype), np.zeros(len(places), a_values.dtype)
    left[np.searchsorted(places, a)] = a_values
    right[np.searchsorted(places, b)] = b_values
    return places, combine(left, right)


class SparseAddGrad(IndexOp):
    """The shares of the two terms in the gradient of their sum: 0 where an element of the sum was left out."""

    arguments = ("backprop_val_grad: T", "a_indices: int64", "b_indices: int64", "sum_indices: int64")
    results = ("a_val_grad: T", "b_val_grad: T")
    types = {"T": NUMERIC}
    differentiable = False

    def infer(self, grad: TensorSpec, a_indices: TensorSpec, b_indices: TensorSpec, sum_indices: TensorSpec) -> tuple[TensorSpec, ...]:
        rows = [None if s.dims is None else s.dims[0] for s in (a_indices, b_indices)]
        return tuple(TensorSpec(grad.dtype, (n,)) for n in rows)

    def run(self, grad: Any, a_indices: Any, b_indices: Any, sum_indices: Any) -> Any:
        given = dict(zip(map(tuple, sum_indices.tolist()), grad, strict=True))
        return tuple(np.array([given.get(tuple(i), 0) for i in part.tolist()], grad.dtype) for part in (a_indices, b_indices))


class SparseSparseMaximum(IndexOp):
    """The larger element wherever one of two sparse tensors has one, 0 standing for one that is missing."""

    arguments = ("a_indices: int64", "a_values: T", "a_shape: int64", "b_indices: int64", "b_values: T", "b_shape: int64")
    results = ("output_indices: int64", "output_values: T")
    types = {"T": NUMERIC}
    differentiable = False
    combine: ClassVar[Any] = np.maximum

    def infer(self, a_indices: TensorSpec, a_values: TensorSpec, *_: TensorSpec) -> tuple[TensorSpec, ...]:
        return TensorSpec(int64, (None, _columns(a_indices))), TensorSpec(a_values.dtype, (None,))

    def run(self, a_indices: Any, a_values: Any, a_shape: Any, b_indices: Any, b_values: Any, b_shape: Any) -> Any:
        if not np.array_equal(a_shape, b_shape):
            raise _refuse(f"Operands' shapes do not match: got {a_shape.tolist()} and {b_shape.tolist()}")
        places, values = _union(a_indices, a_values, b_indices, b_values, a_shape, self.combine)
        return _unflat(places, a_shape), values


class SparseSparseMinimum(SparseSparseMaximum):
    """The smaller element wherever one of two sparse tensors has one."""

    combine = np.minimum


class SparseFillEmptyRows(IndexOp):
    """Rows (of the first axis) without an element get `default_value` at their beginning."""

    arguments = ("indices: int64", "values: T", "dense_shape: int64", "default_value: T")
    results = ("output_indices: int64", "output_values: T", "empty_row_indicator: bool", "reverse_index_map: int64")

    def infer(self, indices: TensorSpec, values: TensorSpec, dense_shape: TensorSpec, default_value: TensorSpec) -> tuple[TensorSpec, ...]:
        need_rank(default_value, 0)
        dims = contents(dense_shape)
        rows = None if dims is None else dims[0]
        return (
            TensorSpec(int64, (None, _columns(indices))), TensorSpec(values.dtype, (None,)), TensorSpec(dtypes.bool, (rows,)),
            TensorSpec(int64, None if indices.dims is None else indices.dims[:1]),
        )  # fmt: skip

    def run(self, indices: Any, values: Any, dense_shape: Any, default_value: Any) -> Any:
        rows = int(dense_shape[0])
        for at in np.flatnonzero((indices[:, 0] < 0) | (indices[:, 0] >= rows)):
            raise _refuse(f"indices({at}, 0) is invalid: {indices[at, 0]} >= {rows}")
        empty = np.bincount(indices[:, 0], minlength=rows)[:rows] == 0
        added = np.zeros((int(empty.sum()), indices.shape[1]), np.int64)
        added[:, 0] = np.flatnonzero(empty)
        joined = np.concatenate([indices, added])
        elements = np.concatenate([values, np.full(len(added), default_value, values.dtype)])
        order = np.argsort(joined[:, 0], kind="stable")
        back = np.argsort(order, kind="stable")[: len(indices)]
        return joined[order], elements[order], empty, back

    def gradient(self, node: Any, dy_indices: Any, dy: Any, dy_empty: Any, dy_map: Any) -> Sequence[Any]:
        values = gather(dy, node.outputs[3])
        return [None, values, None, make("Sub", make("Sum", dy, [0]), make("Sum", values, [0]))]


class EditDistance(IndexOp):
    """The Levenshtein distance between the sequences of two sparse tensors along their last axis, divided by the truth's length if
    `normalize` (infinite where that is 0 and the hypothesis is not)."""

    arguments = (
        "hypothesis_indices: int64", "hypothesis_values: T", "hypothesis_shape: int64", "truth_indices: int64", "truth_values: T",
        "truth_shape: int64",
    )  # fmt: skip
    results = ("output: float32",)
    differentiable = False
    normalize: bool = True

    def infer(self, *inputs: TensorSpec) -> TensorSpec:
        mine, other = contents(inputs[2]), contents(inputs[5])
        if mine is None or other is None or None in mine or None in other:
            rank = inputs[2].dims[0] if inputs[2].dims else None
            return TensorSpec(float32, (None,) * (rank - 1) if isinstance(rank, int) else None)
        return TensorSpec(float32, [max(a, b) for a, b in zip(mine[:-1], other[:-1], strict=True)])  # type: ignore[type-var]

    def run(self, *inputs: Any) -> Any:
        (indices, values, dims), (true_indices, true_values, true_dims) = inputs[:3], inputs[3:]
        if len(dims) != len(true_dims) or len(dims) < 2:
            raise _refuse(f"Expected hypothesis_shape and truth_shape of one length, at least 2: {dims.tolist()}, {true_dims.tolist()}")
        out = np.zeros(np.maximum(dims, true_dims)[:-1], np.float32)
        mine, truth = _sequences(indices, values), _sequences(true_indices, true_values)
        for place in {*mine, *truth}:
            if any(p >= d for p, d in zip(place, out.shape, strict=True)):
                raise _refuse(f"got output index {list(place)}, which is outside of the shape {list(out.shape)}")
            first, second = mine.get(place, []), truth.get(place, [])
            distance = float(_levenshtein(first, second))
            if self.normalize:
                distance = distance / len(second) if second else float("inf") if first else 0.0
            out[place] = distance
        return out


def _sequences(indices: Any, values: Any) -> dict[tuple[int, ...], list[Any]]:
    found: dict[tuple[int, ...], list[Any]] = {}
    for index, value in zip(indices.tolist(), values.tolist(), strict=True):
        found.setdefault(tuple(index[:-1]), []).append(value)
    return found


def _levenshtein(first: Sequence[Any], second: Sequence[Any]) -> int:
    """The least number of insertions, deletions and replacements that make one of the other."""
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        diagonal, row[0] = row[0], i
        for j, b in enumerate(second, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (a != b))
    return row[-1]
