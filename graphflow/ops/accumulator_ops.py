"""Accumulators of gradients: several workers add theirs, one takes the mean once there are enough. Like queues they stay in the session
between runs and let whoever takes wait, so their operations are called by Python. `ops/accumulators.py` has the classes for programs.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from graphflow.dtypes import NUMERIC, DType, complex64, complex128, int32, int64
from graphflow.errors import CancelledError, InvalidArgumentError
from graphflow.graph.op import TensorSpec
from graphflow.ops.queue_ops import HandleOp, QueueOp
from graphflow.ops.queue_state import Deadline
from graphflow.ops.sizes import shown
from graphflow.ops.text import refused
from graphflow.shapes import TensorShape, as_shape

Array = np.ndarray[Any, Any]
ADDED = (*NUMERIC, complex64, complex128)


class Accumulator:
    """The sum of the gradients that have come since the last `take`, how many there are, and the step they belong to: one that was computed
    from variables of an earlier step is stale and left out."""

    def __init__(self, name: str, dtype: DType, shape: TensorShape, reduction_type: str, deadline: Deadline) -> None:
        self.name, self.dtype, self.dims = name, dtype, as_shape(shape).sizes
        self.mean = reduction_type == "MEAN"
        self.deadline = deadline
        self.step = self.count = 0
        self.cancelled = False
        self.changed = threading.Condition()

    # -- what is summed ----------------------------------------------------------------------------------------------------------

    def check(self, *parts: Array) -> None:
        """Refuses a gradient of another shape."""
        raise NotImplementedError

    def add(self, *parts: Array) -> None:
        """Adds a gradient to the sum."""
        raise NotImplementedError

    def result(self) -> Any:
        """The mean, or the sum, which begins anew."""
        raise NotImplementedError

    # -- who adds and who takes --------------------------------------------------------------------------------------------------

    def apply(self, local_step: int, *parts: Array) -> None:
        """Adds a gradient of that step, unless it is stale."""
        with self.changed:
            self.check(*parts)
            if local_step >= self.step:
                self.add(*parts)
                self.count += 1
                self.changed.notify_all()

    def take(self, required: int) -> Any:
        """Waits until there are so many gradients, and begins a new step."""
        if required <= 0:
            raise refused(f"Argument num_required must be positive, got {required}")
        with self.changed:
            self.deadline.wait(self.changed, lambda: self.count >= required or self.cancelled)
            if self.cancelled:
                raise CancelledError(None, None, "TakeGrad operation was cancelled")
            result = self.result()
            self.count = 0
            self.step += 1
            return result

    def set_step(self, step: int) -> None:
        """From now on gradients of earlier steps are stale."""
        with self.changed:
            self.step = step

    def cancel(self) -> None:
        """The session is closed: wakes everyone who waits."""
        with self.changed:
            self.cancelled = True
            self.changed.notify_all()


class DenseAccumulator(Accumulator):
    """Of tensors."""

    total: Array

    def check(self, *parts: Array) -> None:
        (gradient,) = parts
        wanted = self.total.shape if self.count else self.dims
        if wanted is None:
            return
        if len(wanted) != gradient.ndim or any(w not in (None, n) for w, n in zip(wanted, gradient.shape, strict=True)):
            raise refused(f"Shape mismatch: expected {shown(wanted)}, got {shown(gradient.shape)}")

    def add(self, *parts: Array) -> None:
        self.total = np.array(parts[0]) if not self.count else self.total + parts[0]

    def result(self) -> Any:
        return (self.total / self.count).astype(self.total.dtype) if self.mean else self.total


class SparseAccumulator(Accumulator):
    """Of rows of tensors: each row has a sum, and a number of gradients, of its own."""

    def __init__(self, *settings: Any) -> None:
        super().__init__(*settings)
        self.rows: dict[int, tuple[Array, int]] = {}
        self.row_dims: tuple[int, ...] = ()

    def check(self, *parts: Array) -> None:
        indices, values, shape = parts
        if indices.ndim != 1:
            raise refused(f"Input indices should be vector but received shape: {shown(indices.shape)}")
        if not values.ndim:
            raise refused("Values cannot be 0-dimensional.")
        if len(values) != len(indices):
            raise refused(f"Expected {len(indices)} non-empty input values, got {len(values)}")
        own = self.dims or ()
        if shape.size:
            self._check_dims("shape", shape.tolist())
        self._check_dims("values", [None, *values.shape[1:]])
        limit = shape[0] if shape.size else own[0] if own else None
        for place, index in enumerate(indices.tolist() if limit is not None else ()):
            if index >= limit:
                what = f"index of slice {place} exceeded limits of shape; index is {index} exceeded {limit}"
                raise refused(f"Shape mismatch: {what}")
        if self.count:
            if len(self.row_dims) != values.ndim - 1:
                raise refused(f"Shape mismatch: expected values rank {len(self.row_dims) + 1}, got {values.ndim}")
            for axis, (wanted, found) in enumerate(zip(self.row_dims, values.shape[1:], strict=True), 1):
                if wanted != found:
                    raise refused(f"Shape mismatch: expected values dim {axis} to be {wanted}, got {found}")

    def _check_dims(self, what: str, found: list[int | None]) -> None:
        """What the accumulator's own shape asks of a gradient's: at least its rank, and its sizes."""
        own = self.dims or ()
        if len(found) < len(own):
            raise refused(f"Shape mismatch: expected {what} rank at least {len(own)}, got {len(found)}")
        for axis, (wanted, size) in enumerate(zip(own, found, strict=False)):
            if wanted is not None and size is not None and wanted != size:
                raise refused(f"Shape mismatch: expected {what} dim {axis} to be {wanted}, got {size}")

    def add(self, *parts: Array) -> None:
        indices, values, _ = parts
        self.row_dims = values.shape[1:]
        new: dict[int, Array] = {}
        for index, row in zip(indices.tolist(), values, strict=True):
            new[index] = new[index] + row if index in new else np.array(row)
        for index, row in new.items():
            old, count = self.rows.get(index, (0, 0))
            self.rows[index] = old + row, count + 1

    def result(self) -> Any:
        order = sorted(self.rows)
        values = np.empty((len(order), *self.row_dims), self.dtype.as_numpy_dtype)
        for place, index in enumerate(order):
            total, count = self.rows[index]
            values[place] = total / count if self.mean else total
        self.rows = {}
        first = (self.dims or (None,))[0]
        return np.array(order, np.int64), values, np.array([-1 if first is None else first, *self.row_dims], np.int64)


# -- the operations ---------------------------------------------------------------------------------------------------------------


class ResourceConditionalAccumulator(HandleOp):
    """An accumulator of dense gradients."""

    family = "accumulator"
    made = DenseAccumulator
    dtype: DType
    shape: TensorShape
    reduction_type: str = "MEAN"

    def infer(self) -> TensorSpec:
        if self.dtype not in ADDED:
            raise TypeError(f"an accumulator of {self.dtype.name}")
        if self.reduction_type not in ("MEAN", "SUM"):
            raise ValueError(f"Value for attr 'reduction_type' of \"{self.reduction_type}\" is not in the list of allowed values: \"MEAN\", \"SUM\"")  # noqa: E501
        return super().infer()

    def new(self, name: str, deadline: Deadline) -> Accumulator:
        return type(self).made(name, self.dtype, self.shape, self.reduction_type, deadline)

    def check(self, found: Accumulator) -> None:
        if found.dtype is not self.dtype or found.dims != as_shape(self.shape).sizes:
            raise InvalidArgumentError(None, None, f"Shared accumulator '{found.name}' has another dtype or shape")


class SparseConditionalAccumulator(ResourceConditionalAccumulator):
    """The same for gradients of which only some rows are given."""

    made = SparseAccumulator  # type: ignore[assignment]


class _OfAccumulator(QueueOp, abstract=True):
    concurrent = True
    arguments = ("handle: resource",)
    results: tuple[str, ...] = ()

    def infer(self, *inputs: TensorSpec) -> Any:
        return ()


class ResourceAccumulatorApplyGradient(_OfAccumulator):
    """Adds a gradient that was computed at local_step."""

    arguments = ("handle: resource", "local_step: int64", "gradient: dtype")
    types = {"dtype": ADDED}

    def run(self, handle: Any, local_step: Any, *parts: Any) -> Any:
        handle.item().apply(int(local_step), *parts)
        return ()


class SparseAccumulatorApplyGradient(ResourceAccumulatorApplyGradient):
    """Adds rows of a gradient."""

    arguments = ("handle: resource", "local_step: int64", "gradient_indices: int64", "gradient_values: dtype", "gradient_shape: int64")
    has_known_shape: bool


class ResourceAccumulatorTakeGradient(_OfAccumulator):
    """Waits for num_required gradients; gives their mean, or sum, and begins a new step."""

    arguments = ("handle: resource", "num_required: int32")
    results = ("average: dtype",)
    dtype: DType

    def infer(self, *inputs: TensorSpec) -> Any:
        return TensorSpec(self.dtype, None)

    def run(self, handle: Any, num_required: Any) -> Any:
        return handle.item().take(int(num_required))


class SparseAccumulatorTakeGradient(ResourceAccumulatorTakeGradient):
    """The same of rows."""

    results = ("indices: int64", "values: dtype", "shape: int64")

    def infer(self, *inputs: TensorSpec) -> Any:
        return TensorSpec(int64, (None,)), TensorSpec(self.dtype, None), TensorSpec(int64, (None,))


class ResourceAccumulatorNumAccumulated(_OfAccumulator):
    """How many gradients there are."""

    results = ("num_accumulated: int32",)

    def infer(self, *inputs: TensorSpec) -> Any:
        return TensorSpec(int32, ())

    def run(self, handle: Any) -> Any:
        return np.array(handle.item().count, np.int32)


class AccumulatorNumAccumulated(ResourceAccumulatorNumAccumulated):
    """The same, of a SparseConditionalAccumulator."""


class ResourceAccumulatorSetGlobalStep(_OfAccumulator):
    """Says which step it is: gradients of earlier ones are stale."""

    arguments = ("handle: resource", "new_global_step: int64")

    def run(self, handle: Any, new_global_step: Any) -> Any:
        handle.item().set_step(int(new_global_step))
        return ()


class AccumulatorSetGlobalStep(ResourceAccumulatorSetGlobalStep):
    """The same, of a SparseConditionalAccumulator."""
