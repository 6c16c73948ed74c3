"""tf.ConditionalAccumulator and tf.SparseConditionalAccumulator: gradients of several workers for one step."""

from __future__ import annotations

from typing import Any

from graphflow.dtypes import DType, as_dtype, int64
from graphflow.graph.build import convert_to_tensor, make
from graphflow.graph.composite import IndexedSlices
from graphflow.graph.operation import Operation
from graphflow.graph.tensor import Tensor
from graphflow.shapes import TensorShape, as_shape

__all__ = ["ConditionalAccumulator", "ConditionalAccumulatorBase", "SparseConditionalAccumulator"]


class ConditionalAccumulatorBase:
    """An accumulator of gradients, which stays in the session between runs."""

    _prefix = ""  # of the operations that TensorFlow has moved to resources

    def __init__(self, dtype: Any, shape: Any, accumulator_ref: Tensor) -> None:
        self._dtype = as_dtype(dtype)
        self._shape: TensorShape = as_shape(shape)
        self._accumulator_ref = accumulator_ref
        self._name = accumulator_ref.op.name.split("/")[-1]

    @property
    def accumulator_ref(self) -> Tensor:
        """The tensor that stands for it."""
        return self._accumulator_ref

    @property
    def name(self) -> str:
        """The name of its operation."""
        return self._name

    @property
    def dtype(self) -> DType:
        """The type of the gradients."""
        return self._dtype

    def num_accumulated(self, name: str | None = None) -> Tensor:
        """How many gradients have come since the last one was taken (int32)."""
        name = name or f"{self._name}_NumAccumulated"
        return make(f"{self._prefix}AccumulatorNumAccumulated", self._accumulator_ref, name=name)  # type: ignore[no-any-return]

    def set_global_step(self, new_global_step: Any, name: str | None = None) -> Operation:
        """Says which step it is: gradients of earlier steps are left out."""
        step = _as_int64(new_global_step)
        return make(f"{self._prefix}AccumulatorSetGlobalStep", self._accumulator_ref, step, name=name)  # type: ignore[no-any-return]


def _as_int64(value: Any) -> Tensor:
    tensor = convert_to_tensor(value)
    return tensor if tensor.dtype is int64 else make("Cast", tensor, DstT=int64)  # type: ignore[no-any-return]


def _made(kind: str, dtype: Any, shape: Any, shared_name: str | None, name: str, reduction_type: str) -> Tensor:
    fields = {"dtype": as_dtype(dtype), "shape": as_shape(shape), "shared_name": shared_name or "", "reduction_type": reduction_type}
    return make(kind, name=name, **fields)  # type: ignore[no-any-return]


class ConditionalAccumulator(ConditionalAccumulatorBase):
    """Of gradients of one shape. reduction_type: "MEAN" or "SUM"."""

    _prefix = "Resource"

    def __init__(self, dtype, shape=None, shared_name=None, name="conditional_accumulator", reduction_type="MEAN"):
        ref = _made("ResourceConditionalAccumulator", dtype, shape, shared_name, name, reduction_type)
        super().__init__(dtype, shape, ref)

    def apply_grad(self, grad, local_step=0, name=None):
        """Adds a gradient that was computed at local_step; a stale one, of an earlier step than the accumulator's, is left out."""
        gradient = convert_to_tensor(grad, self._dtype)
        gradient.shape.assert_is_compatible_with(self._shape)
        return make("ResourceAccumulatorApplyGradient", self._accumulator_ref, _as_int64(local_step), gradient, name=name)

    def take_grad(self, num_required, name=None):
        """Waits until there are num_required gradients; gives their mean (or sum) and begins the next step."""
        found = make("ResourceAccumulatorTakeGradient", self._accumulator_ref, num_required, dtype=self._dtype, name=name)
        found.set_shape(self._shape)
        return found


class SparseConditionalAccumulator(ConditionalAccumulatorBase):
    """Of rows of gradients: each row is the mean (or sum) of those that there were of it."""

    def __init__(self, dtype, shape=None, shared_name=None, name="sparse_conditional_accumulator", reduction_type="MEAN"):
        ref = _made("SparseConditionalAccumulator", dtype, shape, shared_name, name, reduction_type)
        super().__init__(dtype, shape, ref)

    def apply_indexed_slices_grad(self, grad, local_step=0, name=None):
        """Adds an IndexedSlices, as `apply_grad`."""
        return self.apply_grad(grad.indices, grad.values, grad.dense_shape, local_step, name)

    def apply_grad(self, grad_indices, grad_values, grad_shape=None, local_step=0, name=None):
        """Adds the rows grad_values[i] with the numbers grad_indices[i], unless local_step is stale."""
        shape = convert_to_tensor([], int64) if grad_shape is None else _as_int64(grad_shape)
        values = convert_to_tensor(grad_values, self._dtype)
        parts = _as_int64(grad_indices), values, shape
        known = grad_shape is not None
        return make(
            "SparseAccumulatorApplyGradient", self._accumulator_ref, _as_int64(local_step), *parts, has_known_shape=known, name=name
        )

    def take_grad(self, num_required, name=None):
        """Waits for num_required gradients; gives the numbers of their rows, the rows and the shape, and begins the next step."""
        return make("SparseAccumulatorTakeGradient", self._accumulator_ref, num_required, dtype=self._dtype, name=name)

    def take_indexed_slices_grad(self, num_required, name=None):
        """The same as an IndexedSlices."""
        indices, values, shape = self.take_grad(num_required, name)
        return IndexedSlices(values, indices, shape)
