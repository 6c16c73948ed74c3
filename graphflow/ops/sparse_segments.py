"""Segment sums over chosen rows: embeddings of several ids combined, without the chosen rows as a tensor of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from graphflow.dtypes import FLOATING, INDEX, REAL
from graphflow.graph.build import make
from graphflow.graph.dims import merge_size
from graphflow.graph.op import Case, TensorSpec
from graphflow.kernel.index import Index
from graphflow.ops.families import Composite
from graphflow.ops.gather import gather
from graphflow.ops.passing import Within
from graphflow.ops.segments import ScatterRows, SegmentSum
from graphflow.ops.shape import shape
from graphflow.ops.sizes import contents, i32, need_rank, scalar

__all__ = ["sparse_segment_mean", "sparse_segment_sqrt_n", "sparse_segment_sum"]


class SparseSegmentSum(Composite):
    """The sums of the rows data[indices[i]] that share a segment_ids[i]; these are sorted."""

    arguments = ("data: T", "indices: Tidx", "segment_ids: int32")
    results = ("output: T",)
    types = {"T": REAL, "Tidx": INDEX}
    power: ClassVar[float] = 0  # of the number of rows by which a sum is divided
    cases = (
        Case((5, 3), i32(4, 0, 0, 2), i32(0, 0, 1, 3)), Case((4,), i32(1, 3), i32(0, 0)),
        Case((4, 2), i32(1, 4), i32(0, 0), error=("InvalidArgumentError", "indices[1] == 4 out of range [0, 4)")),
    )  # fmt: skip

    def infer(self, data: TensorSpec, indices: TensorSpec, segment_ids: TensorSpec) -> TensorSpec:
        need_rank(indices, 1)
        need_rank(segment_ids, 1)
        if indices.dims is not None and segment_ids.dims is not None:
            merge_size(indices.dims[0], segment_ids.dims[0])
        SegmentSum().infer(TensorSpec(data.dtype, (None,)), segment_ids)
        return TensorSpec(data.dtype, None if data.dims is None else (None, *data.dims[1:]))

    def reference(self, data: Any, indices: Any, segment_ids: Any) -> Any:
        rows = SegmentSum().reference(data[_within(len(data), indices.dtype).reference(indices)], segment_ids)
        counts = np.bincount(segment_ids, minlength=len(rows)).reshape(-1, *[1] * (data.ndim - 1))
        return (rows / np.maximum(counts, 1) ** self.power).astype(data.dtype)

    def decompose(self, b: Any, data: Any, indices: Any, segment_ids: Any) -> Any:
        rows = b.decompose(SegmentSum(), _rows(b, data, indices), segment_ids)
        if not self.power:
            return rows
        return b.div(rows, _divisors(b, segment_ids, rows.shape[0], rows, self.power))

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        data, indices, segment_ids = node.inputs
        rows = shape(data)[0]
        return [make("UnsortedSegmentSum", gather(dy, segment_ids), indices, rows), None, None]


class SparseSegmentMean(SparseSegmentSum):
    """The means instead of the sums."""

    types = {"T": FLOATING, "Tidx": INDEX}
    power = 1

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        data, indices, segment_ids = node.inputs
        return [make(f"{self.type}Grad", dy, indices, segment_ids, shape(data)[0]), None, None]


class SparseSegmentSqrtN(SparseSegmentMean):
    """The sums divided by the roots of the numbers of rows."""

    power = 0.5


def _within(rows: Index, dtype: Any) -> Within:
    """The check of numbers of rows."""
    what = "indices[{position}] == {value}" if dtype == np.int32 else "indices == {value}"
    return Within(rows, text=f"Bad: {what} out of range [0, {rows})")


def _rows(b: Any, data: Any, indices: Any) -> Any:
    """The rows of those numbers."""
    rows = data.shape[0]
    return b.take(data, b.apply(_within(rows, indices.dtype.as_numpy_dtype), indices), 0)


def _divisors(b: Any, segment_ids: Any, rows: Any, like: Any, power: float) -> Any:
    """The number of rows of each segment to a power, at least 1, ready to divide `like`."""
    ones = b.broadcast(b.constant(1, like.dtype), segment_ids.shape)
    counts = b.maximum(b.apply(ScatterRows(rows, "add"), ones, segment_ids), 1)
    return b.view(b.sqrt(counts) if power == 0.5 else counts, (rows, *(1 for _ in like.shape[1:])))


class SparseSegmentMeanGrad(Composite):
    """The gradient of SparseSegmentMean for its data, which have output_dim0 rows."""

    arguments = ("grad: T", "indices: Tidx", "segment_ids: int32", "output_dim0: int32")
    results = ("output: T",)
    types = {"T": FLOATING, "Tidx": INDEX}
    differentiable = False
    power: ClassVar[float] = 1
    cases = (Case((4, 3), i32(4, 0, 0, 2), i32(0, 0, 1, 3), scalar(6)),)

    def infer(self, grad: TensorSpec, indices: TensorSpec, segment_ids: TensorSpec, output_dim0: TensorSpec) -> TensorSpec:
        rows = contents(output_dim0)
        return TensorSpec(grad.dtype, None if grad.dims is None else (None if rows is None else rows[0], *grad.dims[1:]))

    def reference(self, grad: Any, indices: Any, segment_ids: Any, output_dim0: Any) -> Any:
        counts = np.bincount(segment_ids, minlength=len(grad)).reshape(-1, *[1] * (grad.ndim - 1))
        out = np.zeros((int(output_dim0), *grad.shape[1:]), grad.dtype)
        np.add.at(out, indices, (grad / np.maximum(counts, 1) ** self.power).astype(grad.dtype)[segment_ids])
        return out

    def decompose(self, b: Any, grad: Any, indices: Any, segment_ids: Any, output_dim0: Any) -> Any:
        (rows,), segments = b.sizes(output_dim0), grad.shape[0]
        known = segment_ids.known
        if known is not None and known.size:  # TensorFlow counts the segments by the last id
            if known[-1] >= segments:
                raise ValueError("Invalid number of segments")
            segments = int(known[-1]) + 1
        segment_ids = b.apply(Within(segments, text=f"Segment id {{value}} out of range [0, {segments})."), segment_ids)
        indices = b.apply(Within(rows, text=f"Index {{value}} out of range [0, {rows})."), indices)
        shares = b.div(grad, _divisors(b, segment_ids, grad.shape[0], grad, self.power))
        return b.apply(ScatterRows(rows, "add", drop=False), b.take(shares, segment_ids, 0), indices)


class SparseSegmentSqrtNGrad(SparseSegmentMeanGrad):
    """The gradient of SparseSegmentSqrtN for its data."""

    power = 0.5


class _Counted(Composite, abstract=True):
    """The same with num_segments rows, whatever the ids: rows without an id are 0."""

    arguments = ("data: T", "indices: Tidx", "segment_ids: int32", "num_segments: Tnumsegments")
    results = ("output: T",)
    types = {"T": REAL, "Tidx": INDEX, "Tnumsegments": INDEX}
    power: ClassVar[float] = 0
    cases = (Case((5, 3), i32(4, 0, 0, 2), i32(0, 0, 1, 3), scalar(6)), Case((4,), i32(1, 3), i32(0, 0), scalar(1)))

    def infer(self, data: TensorSpec, indices: TensorSpec, segment_ids: TensorSpec, num_segments: TensorSpec) -> TensorSpec:
        rows = contents(num_segments)
        if rows is not None and isinstance(rows[0], int) and rows[0] < 0:
            raise ValueError("Cannot specify a negative value for num_segments")
        return TensorSpec(data.dtype, None if data.dims is None else (None if rows is None else rows[0], *data.dims[1:]))

    def reference(self, data: Any, indices: Any, segment_ids: Any, num_segments: Any) -> Any:
        rows = np.zeros((int(num_segments), *data.shape[1:]), data.dtype)
        np.add.at(rows, segment_ids, data[indices])
        counts = np.bincount(segment_ids, minlength=len(rows)).reshape(-1, *[1] * (data.ndim - 1))
        return (rows / np.maximum(counts, 1) ** self.power).astype(data.dtype)

    def decompose(self, b: Any, data: Any, indices: Any, segment_ids: Any, num_segments: Any) -> Any:
        (count,) = b.sizes(num_segments)
        segment_ids = b.apply(Within(count, text="segment ids must be < num_segments"), segment_ids)
        rows = b.apply(ScatterRows(count, "add", drop=False), _rows(b, data, indices), segment_ids)
        return b.div(rows, _divisors(b, segment_ids, rows.shape[0], rows, self.power)) if self.power else rows

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        data, indices, segment_ids, _ = node.inputs
        rows = shape(data)[0]
        if not self.power:
            return [make("UnsortedSegmentSum", gather(dy, segment_ids), indices, rows), None, None, None]
        kind = self.type.replace("WithNumSegments", "Grad")
        return [make(kind, dy, indices, segment_ids, rows), None, None, None]


class SparseSegmentSumWithNumSegments(_Counted):
    """SparseSegmentSum with a given number of rows."""


class SparseSegmentMeanWithNumSegments(_Counted):
    """SparseSegmentMean with a given number of rows."""

    types = {"T": FLOATING, "Tidx": INDEX, "Tnumsegments": INDEX}
    power = 1


class SparseSegmentSqrtNWithNumSegments(_Counted):
    """SparseSegmentSqrtN with a given number of rows."""

    types = {"T": FLOATING, "Tidx": INDEX, "Tnumsegments": INDEX}
    power = 0.5


def _reduced(kind: str, data: Any, indices: Any, segment_ids: Any, name: str | None, num_segments: Any) -> Any:
    if num_segments is not None:
        return make(f"{kind}WithNumSegments", data, indices, segment_ids, num_segments, name=name)
    return make(kind, data, indices, segment_ids, name=name)


def sparse_segment_sum(data, indices, segment_ids, name=None, num_segments=None):
    """The sum of the rows data[indices[i]] of each segment; segment_ids are sorted."""
    return _reduced("SparseSegmentSum", data, indices, segment_ids, name, num_segments)


def sparse_segment_mean(data, indices, segment_ids, name=None, num_segments=None):
    """The mean of the rows data[indices[i]] of each segment; segment_ids are sorted."""
    return _reduced("SparseSegmentMean", data, indices, segment_ids, name, num_segments)


def sparse_segment_sqrt_n(data, indices, segment_ids, name=None, num_segments=None):
    """The sum of the rows data[indices[i]] of each segment over the root of their number; segment_ids are sorted."""
    return _reduced("SparseSegmentSqrtN", data, indices, segment_ids, name, num_segments)
