"""Rows sorted into several tensors and put together again. How many rows each gets depends on the data, so these run between segments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.errors import InvalidArgumentError
from graphflow.graph.build import make
from graphflow.graph.dims import merge_dims
from graphflow.graph.indexed_slices import IndexedSlices
from graphflow.graph.op import Kind, Op, TensorSpec
from graphflow.ops.gather import gather
from graphflow.ops.ranges import range as range_of
from graphflow.ops.reductions import reduce_prod
from graphflow.ops.reshape import reshape
from graphflow.ops.shape import shape
from graphflow.ops.sizes import shown

__all__ = ["dynamic_partition", "dynamic_stitch"]


class DynamicPartition(Op):
    """outputs[p] = the slices data[i...] with partitions[i...] = p, in order."""

    kind = Kind.HOST
    arguments = ("data: T", "partitions: int32")
    results = ("outputs: num_partitions*T",)
    num_partitions: int

    def infer(self, data: TensorSpec, partitions: TensorSpec) -> tuple[TensorSpec, ...]:
        if self.num_partitions < 1:
            raise ValueError(f"Value for attr 'num_partitions' of {self.num_partitions} must be at least minimum 1")
        dims = None
        if data.dims is not None and partitions.dims is not None:
            shared = len(partitions.dims)
            merge_dims(data.dims[:shared], partitions.dims)
            dims = (None, *data.dims[shared:])
        return tuple(TensorSpec(data.dtype, dims) for _ in range(self.num_partitions))

    def run(self, data: Any, partitions: Any) -> Any:
        flat = partitions.ravel()
        for at in np.flatnonzero((flat < 0) | (flat >= self.num_partitions)):
            index = ",".join(map(str, np.unravel_index(at, partitions.shape)))
            raise InvalidArgumentError(None, None, f"partitions[{index}] = {flat[at]} is not in [0, {self.num_partitions})")
        rows = data.reshape(flat.size, *data.shape[partitions.ndim :])
        return tuple(rows[flat == number] for number in range(self.num_partitions))

    def gradient(self, node: Any, *dy: Any) -> Sequence[Any]:
        data, partitions = node.inputs
        prefix = shape(partitions)
        places = reshape(range_of(reduce_prod(prefix)), prefix)
        rows = dynamic_partition(places, partitions, self.num_partitions)
        return [reshape(parallel_dynamic_stitch(rows, list(dy)), shape(data)), None]


class DynamicStitch(Op):
    """merged[indices[m][i...]] = data[m][i...]; where two say the same row, the later one counts."""

    kind = Kind.HOST
    arguments = ("indices: N*int32", "data: N*T")
    results = ("merged: T",)

    def infer(self, *inputs: TensorSpec) -> TensorSpec:
        count = len(inputs) // 2
        rest: tuple[Any, ...] | None = None
        largest: Any = -1
        for indices, data in zip(inputs[:count], inputs[count:], strict=True):
            if largest is not None:
                known = indices.value is not None and not any(e is None for e in np.ravel(indices.value))
                largest = max(largest, *np.ravel(indices.value).tolist(), -1) if known else None
            if indices.dims is None or data.dims is None:
                continue
            shared = len(indices.dims)
            merge_dims(data.dims[:shared], indices.dims)
            rest = merge_dims(rest, data.dims[shared:])
        rows = largest + 1 if isinstance(largest, int) else None
        return TensorSpec(inputs[count].dtype, None if rest is None else (rows, *rest))

    def run(self, *inputs: Any) -> Any:
        count = len(inputs) // 2
        numbers = [indices.ravel() for indices in inputs[:count]]
        rest = inputs[count].shape[inputs[0].ndim :]
        for indices, data in zip(inputs[:count], inputs[count:], strict=True):
            if data.shape != (*indices.shape, *rest):
                raise InvalidArgumentError(
                    None, None, f"Need data shape {shown(data.shape)} to be that of indices, {shown(indices.shape)}, and {shown(rest)}"
                )
            if indices.size and indices.min() < 0:
                raise InvalidArgumentError(None, None, f"indices {indices.min()} is out of range: it must not be negative")
        rows = 1 + max((int(n.max()) for n in numbers if n.size), default=-1)
        merged = np.zeros((rows, *rest), inputs[count].dtype)
        for number, data in zip(numbers, inputs[count:], strict=True):
            merged[number] = data.reshape(number.size, *rest)
        return merged

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        count = len(node.inputs) // 2
        if isinstance(dy, IndexedSlices):
            dy = make("UnsortedSegmentSum", dy.values, dy.indices, shape(node.outputs[0])[0])
        return [*[None] * count, *[gather(dy, indices) for indices in node.inputs[:count]]]


class ParallelDynamicStitch(DynamicStitch):
    """DynamicStitch where no two say the same row."""


def dynamic_partition(data, partitions, num_partitions, name=None):
    """A list of num_partitions tensors: the slices of `data` that `partitions` (int32) assigns to each."""
    return list(make("DynamicPartition", data, partitions, num_partitions=num_partitions, name=name))


def dynamic_stitch(indices, data, name=None):
    """One tensor of the slices of a list of tensors, each at the row that `indices` says; the last one where several say the same."""
    return make("DynamicStitch", list(indices), list(data), name=name)


def parallel_dynamic_stitch(indices, data, name=None):
    """dynamic_stitch where no two slices have the same row."""
    return make("ParallelDynamicStitch", list(indices), list(data), name=name)
