"""Sparse tensors kept under numbers, so that queues can hold them: the number goes through the queue, the tensor waits in the session."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from graphflow.dtypes import DType, int64
from graphflow.graph.op import TensorSpec
from graphflow.ops.queue_ops import KeptOp
from graphflow.ops.queue_state import Deadline
from graphflow.ops.sizes import need_rank
from graphflow.ops.text import refused

Parts = tuple[Any, Any, Any]  # indices, values and shape


class SparseMap:
    """The tensors that have been added and not yet taken, by their numbers."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.held: dict[int, Parts] = {}
        self.count = 0

    def add(self, parts: Parts) -> int:
        """Keeps a tensor; the result is its number."""
        with self.lock:
            self.count += 1
            self.held[self.count - 1] = tuple(np.array(part) for part in parts)  # type: ignore[assignment]
            return self.count - 1

    def take(self, number: int) -> Parts:
        """Gives a tensor out."""
        with self.lock:
            if number not in self.held:
                raise refused(f"Unable to find SparseTensor: {number} in map")
            return self.held.pop(number)


class _OfMap(KeptOp, abstract=True):
    """Python with a map of sparse tensors."""

    family = "sparse map"

    def new(self, name: str, deadline: Deadline) -> SparseMap:
        return SparseMap()


def _check_parts(indices: Any, values: Any, shape: Any) -> None:
    if indices.ndim != 2 or values.ndim != 1 or shape.ndim != 1 or len(indices) != len(values) or indices.shape[1] != len(shape):
        found = [list(part.shape) for part in (indices, values, shape)]
        raise refused(f"the shapes of indices, values and dense shape do not make a sparse tensor: {found}")


class AddSparseToTensorsMap(_OfMap):
    """Keeps a sparse tensor and gives its number."""

    arguments = ("sparse_indices: int64", "sparse_values: T", "sparse_shape: int64")
    results = ("sparse_handle: int64",)

    def infer(self, sparse_indices: TensorSpec, sparse_values: TensorSpec, sparse_shape: TensorSpec) -> TensorSpec:
        for spec, rank in ((sparse_indices, 2), (sparse_values, 1), (sparse_shape, 1)):
            need_rank(spec, rank)
        return TensorSpec(int64, ())

    def run(self, kept: dict[Any, Any], name: str, *parts: Any) -> Any:
        _check_parts(*parts)
        return np.array(self.found(kept, name).add(parts), np.int64)


class AddManySparseToTensorsMap(AddSparseToTensorsMap):
    """Keeps each row of a sparse tensor, which has one dimension less, and gives their numbers."""

    results = ("sparse_handles: int64",)

    def infer(self, sparse_indices: TensorSpec, sparse_values: TensorSpec, sparse_shape: TensorSpec) -> TensorSpec:
        super().infer(sparse_indices, sparse_values, sparse_shape)
        return TensorSpec(int64, (None,))

    def run(self, kept: dict[Any, Any], name: str, *parts: Any) -> Any:
        indices, values, shape = parts
        _check_parts(*parts)
        if len(shape) < 2:
            raise refused(f"Rank of input SparseTensor should be > 1, but saw rank: {len(shape)}")
        found = self.found(kept, name)
        rows = (indices[:, 0] == row for row in range(int(shape[0])))
        return np.array([found.add((indices[here, 1:], values[here], shape[1:])) for here in rows], np.int64)


class TakeManySparseFromTensorsMap(_OfMap):
    """The sparse tensors of those numbers as the rows of one, of the largest of their shapes."""

    arguments = ("sparse_handles: int64",)
    results = ("sparse_indices: int64", "sparse_values: dtype", "sparse_shape: int64")
    dtype: DType

    def infer(self, sparse_handles: TensorSpec) -> tuple[TensorSpec, ...]:
        need_rank(sparse_handles, 1)
        return TensorSpec(int64, (None, None)), TensorSpec(self.dtype, (None,)), TensorSpec(int64, (None,))

    def run(self, kept: dict[Any, Any], name: str, sparse_handles: Any) -> Any:
        source = self.found(kept, name)
        found = [source.take(number) for number in sparse_handles.tolist()]
        if len({len(shape) for _, _, shape in found}) > 1:
            raise refused(f"Inconsistent rank across SparseTensors: {[len(shape) for _, _, shape in found]}")
        if not found:
            return np.zeros((0, 1), np.int64), np.zeros(0, self.dtype.as_numpy_dtype), np.zeros(1, np.int64)
        indices = [np.insert(at, 0, row, axis=1) for row, (at, _, _) in enumerate(found)]
        whole = np.max([shape for _, _, shape in found], axis=0)
        return np.concatenate(indices), np.concatenate([values for _, values, _ in found]), np.array([len(found), *whole], np.int64)
