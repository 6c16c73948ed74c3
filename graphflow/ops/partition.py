"""Rows sorted into several tensors and put together again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from graphflow.graph.build import make
from graphflow.graph.dims import merge_dims
from graphflow.graph.indexed_slices import IndexedSlices
from graphflow.graph.op import Access, Case, TensorSpec
from graphflow.kernel.expr import Expr, call, cast, const
from graphflow.kernel.index import Index
from graphflow.ops.families import Composite, Movement, located
from graphflow.ops.gather import gather
from graphflow.ops.ranges import range as range_of
from graphflow.ops.reductions import reduce_prod
from graphflow.ops.reshape import reshape
from graphflow.ops.rows import Replace, RowUpdate
from graphflow.ops.shape import shape
from graphflow.ops.sizes import i32, scalar, shown

__all__ = ["dynamic_partition", "dynamic_stitch"]


class PartNumbers(Movement):
    """The numbers of the parts, flat, each checked to be below `count`. `shape`: what they were before they were made a vector."""

    core = True
    arguments = ("partitions: int32",)
    results = ("y: int32",)
    checks: ClassVar[tuple[str, ...]] = ("partitions",)
    count: int
    shape: tuple[Index, ...]
    cases = (
        Case(i32(1, 0, 2), count=3, shape=(3,)),
        Case(i32(1, 0, 3, 2), count=3, shape=(2, 2), error=("InvalidArgumentError", "partitions[1,0] = 3 is not in [0, 3)")),
    )

    def infer(self, partitions: TensorSpec) -> TensorSpec:
        return TensorSpec(partitions.dtype, partitions.dims)

    def reference(self, partitions: Any) -> Any:
        for at in np.flatnonzero((partitions < 0) | (partitions >= self.count)):
            index = ",".join(map(str, np.unravel_index(at, tuple(int(d) for d in self.shape))))  # type: ignore[arg-type]
            raise IndexError(f"partitions[{index}] = {partitions[at]} is not in [0, {self.count})")
        return np.array(partitions)

    def element(self, inputs: Sequence[Access], index: tuple[Index, ...]) -> Expr:
        number = inputs[0](index)
        valid = call("le", const(0, "i32"), number) & (number < self.count)
        message, value = located("partitions", f"is not in [0, {self.count})", cast(number, "i64"), index[0], self.shape, "i32")
        return inputs[0].check("InvalidArgumentError", message, valid, value, number)


class DynamicPartition(Composite):
    """outputs[p] = the slices data[i...] with partitions[i...] = p, in order."""

    arguments = ("data: T", "partitions: int32")
    results = ("outputs: num_partitions*T",)
    num_partitions: int
    cases = (
        Case((5, 2), i32(1, 0, 1, 1, 0), num_partitions=2), Case((2, 2, 3), np.array([[0, 2], [2, 2]], np.int32), num_partitions=3),
        Case((3,), i32(0, 5, 1), num_partitions=2, error=("InvalidArgumentError", "partitions[1] = 5 is not in [0, 2)")),
        Case((3,), i32(0, 1), num_partitions=2, error=("ValueError", "must be equal")),
    )  # fmt: skip

    def infer(self, data: TensorSpec, partitions: TensorSpec) -> tuple[TensorSpec, ...]:
        if self.num_partitions < 1:
            raise ValueError(f"Value for attr 'num_partitions' of {self.num_partitions} must be at least minimum 1")
        dims = None
        if data.dims is not None and partitions.dims is not None:
            shared = len(partitions.dims)
            merge_dims(data.dims[:shared], partitions.dims)
            dims = (None, *data.dims[shared:])
        return tuple(TensorSpec(data.dtype, dims) for _ in range(self.num_partitions))

    def reference(self, data: Any, partitions: Any) -> Any:
        flat = PartNumbers(self.num_partitions, partitions.shape).reference(partitions.ravel())
        rows = data.reshape(flat.size, *data.shape[partitions.ndim :])
        return tuple(rows[flat == number] for number in range(self.num_partitions))

    def decompose(self, b: Any, data: Any, partitions: Any) -> Any:
        count = partitions.size
        rows = b.view(data, (count, *data.shape[len(partitions.shape) :]))
        numbers = b.apply(PartNumbers(self.num_partitions, partitions.shape), b.view(partitions, (count,)))
        parts = []
        for number in range(self.num_partitions):
            places = b.make("Where", b.equal(numbers, number))
            parts.append(b.take(rows, b.view(places, places.shape[:1]), 0))
        return tuple(parts)

    def gradient(self, node: Any, *dy: Any) -> Sequence[Any]:
        data, partitions = node.inputs
        prefix = shape(partitions)
        places = reshape(range_of(reduce_prod(prefix)), prefix)
        rows = dynamic_partition(places, partitions, self.num_partitions)
        return [reshape(parallel_dynamic_stitch(rows, list(dy)), shape(data)), None]


class DynamicStitch(Composite):
    """merged[indices[m][i...]] = data[m][i...]; where two say the same row, the later one counts. Rows that none says are zeros."""

    arguments = ("indices: N*int32", "data: N*T")
    results = ("merged: T",)
    cases = (
        Case(i32(2, 0), i32(1, 0), (2, 3), (2, 3), gradient=False),  # TensorFlow's goes to all who say a row
        Case(i32(2, 0), i32(1, 3), (2, 3), (2, 3)), Case(scalar(1), np.array([[0, 2]], np.int32), (2,), (1, 2, 2)),
        Case(i32(0, -1), (2,), error=("InvalidArgumentError", "= -1 is not in [0, 1)")), Case(i32(), (0, 2)),
    )  # fmt: skip

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

    def reference(self, *inputs: Any) -> Any:
        count = len(inputs) // 2
        numbers = [indices.ravel() for indices in inputs[:count]]
        rest = inputs[count].shape[inputs[0].ndim :]
        rows = 1 + max((int(n.max()) for n in numbers if n.size), default=-1)
        merged = np.zeros((rows, *rest), inputs[count].dtype)
        for number, data in zip(numbers, inputs[count:], strict=True):
            if number.size and number.min() < 0:
                raise IndexError(f"indices = {number.min()} is not in [0, {rows})")
            merged[number] = data.reshape(number.size, *rest)
        return merged

    def decompose(self, b: Any, *inputs: Any) -> Any:
        count = len(inputs) // 2
        rest = inputs[count].shape[len(inputs[0].shape) :]
        for indices, data in zip(inputs[:count], inputs[count:], strict=True):
            if len(data.shape) != len(indices.shape) + len(rest):
                raise ValueError(f"Need data shape {shown(data.shape)} to be that of indices, {shown(indices.shape)}, and {shown(rest)}")
        if inputs[count].dtype.is_complex:
            parts = zip(*(b.parts(data) for data in inputs[count:]), strict=True)
            return b.pair(*(self.decompose(b, *inputs[:count], *part) for part in parts))
        numbers = [b.view(indices, (indices.size,)) for indices in inputs[:count]]
        dims = self.infer(*(v.spec for v in inputs)).dims
        rows = dims[0] if dims is not None else None
        if rows is None:  # as a rule every row is said once
            largest = [b.reduce("max", n, [0]) for n in numbers]
            most = largest[0]
            for other in largest[1:]:
                most = b.maximum(most, other)
            rows = b.measure(b.maximum(b.add(b.cast(most, "int64"), 1), 0), sum((n.size for n in numbers), 0))
        merged = b.broadcast(b.constant(0, inputs[count].dtype), (rows, *rest))
        for number, data in zip(numbers, inputs[count:], strict=True):
            (merged,) = b.apply(RowUpdate(Replace()), merged, b.view(data, (number.size, *rest)), number)
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
