"""The ops of TensorArrays: arrays of tensors that are written element by element.

A handle says which array is meant; a flow, a float scalar whose value means nothing, puts writes and reads in order. In a Program the flow
is the array itself: capture gives every write a new one, and the memory plan lets it be written in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphflow import dtypes
from graphflow.dtypes import DType
from graphflow.graph.dims import merge_dims, merge_size
from graphflow.graph.op import Kind, Op, TensorSpec
from graphflow.graph.tensor import GraphSpec, Tensor
from graphflow.ops.sizes import need_rank
from graphflow.shapes import TensorShape

_ANY = TensorShape(None)


class TensorArrayOp(Op, abstract=True):
    """An op on a TensorArray."""

    kind = Kind.CONTROL

    def gradient(self, node: Any, *dy: Any) -> Sequence[Any]:
        from graphflow.ops import tensor_array  # builds the gradient from these ops

        return tensor_array.gradient(node, *dy)


def _flow() -> TensorSpec:
    return TensorSpec(dtypes.float32, ())


def _handle() -> TensorSpec:
    return TensorSpec(dtypes.resource, (2,))


def array_of(handle: Tensor) -> Any:
    """The TensorArrayV3 operation that makes the array of a handle, or None where it cannot be told."""
    while handle.op.type != "TensorArrayV3":
        if not handle.op.inputs:
            return None
        handle = handle.op.inputs[0]  # a Switch, an Enter, an Identity, a TensorArrayGradV3
    return handle.op


def name_of(made: Any) -> str:
    """What the array that a TensorArrayV3 (or TensorArrayGradV3) operation makes is called in messages. TensorFlow counts the arrays of the
    process behind the name; here it is always the first."""
    source = made if made.type == "TensorArrayV3" else array_of(made.inputs[0])
    named = "" if source is None else source.definition.tensor_array_name
    return f"{named or made.name}_0"


def element_dims(handle: TensorSpec) -> tuple[bool, tuple[Any, ...] | None]:
    """Whether all elements of the array have the shape that it was made for, and that shape."""
    made = array_of(handle._tensor) if isinstance(handle, GraphSpec) else None
    if made is None:
        return False, None
    shape: TensorShape = made.definition.element_shape
    same = made.definition.identical_element_shapes or shape.is_fully_defined()
    return same, shape.sizes if same else None


class TensorArrayV3(TensorArrayOp):
    """A new array of `size` elements."""

    arguments = ("size: int32",)
    results = ("handle: resource", "flow: float")
    differentiable = False
    dtype: DType
    element_shape: TensorShape = _ANY
    dynamic_size: bool = False
    clear_after_read: bool = True
    identical_element_shapes: bool = False
    tensor_array_name: str = ""

    def infer(self, size: TensorSpec) -> tuple[TensorSpec, ...]:
        need_rank(size, 0)
        return _handle(), _flow()


class TensorArrayWriteV3(TensorArrayOp):
    """`value` becomes the element at `index`."""

    arguments = ("handle: resource", "index: int32", "value: T", "flow_in: float")
    results = ("flow_out: float",)

    def infer(self, handle: TensorSpec, index: TensorSpec, value: TensorSpec, flow_in: TensorSpec) -> TensorSpec:
        need_rank(index, 0)
        merge_dims(element_dims(handle)[1], value.dims)
        return _flow()


class TensorArrayReadV3(TensorArrayOp):
    """The element at `index`."""

    arguments = ("handle: resource", "index: int32", "flow_in: float")
    results = ("value: dtype",)
    dtype: DType

    def infer(self, handle: TensorSpec, index: TensorSpec, flow_in: TensorSpec) -> TensorSpec:
        need_rank(index, 0)
        return TensorSpec(self.dtype, element_dims(handle)[1])


class TensorArrayGatherV3(TensorArrayOp):
    """The elements at `indices`, stacked."""

    arguments = ("handle: resource", "indices: int32", "flow_in: float")
    results = ("value: dtype",)
    dtype: DType
    element_shape: TensorShape = _ANY

    def infer(self, handle: TensorSpec, indices: TensorSpec, flow_in: TensorSpec) -> TensorSpec:
        need_rank(indices, 1)
        same, dims = element_dims(handle)
        if not same:
            dims = self.element_shape.sizes
        count = indices.dims[0] if indices.dims else None
        return TensorSpec(self.dtype, None if dims is None else (count, *dims))


class TensorArrayScatterV3(TensorArrayOp):
    """The rows of `value` become the elements at `indices`."""

    arguments = ("handle: resource", "indices: int32", "value: T", "flow_in: float")
    results = ("flow_out: float",)

    def infer(self, handle: TensorSpec, indices: TensorSpec, value: TensorSpec, flow_in: TensorSpec) -> TensorSpec:
        need_rank(indices, 1)
        if value.dims is not None:
            if not value.dims:
                raise ValueError("Shape must be at least rank 1 but is rank 0")
            merge_size(value.dims[0], indices.dims[0] if indices.dims else None)
            merge_dims(element_dims(handle)[1], value.dims[1:])
        return _flow()


class TensorArrayConcatV3(TensorArrayOp):
    """All elements joined along their first axis, and how long each is."""

    arguments = ("handle: resource", "flow_in: float")
    results = ("value: dtype", "lengths: int64")
    dtype: DType
    element_shape_except0: TensorShape = _ANY

    def infer(self, handle: TensorSpec, flow_in: TensorSpec) -> tuple[TensorSpec, ...]:
        return TensorSpec(self.dtype, None), TensorSpec(dtypes.int64, (None,))


class TensorArraySplitV3(TensorArrayOp):
    """`value`, cut along its first axis into pieces of the given lengths, becomes all elements."""

    arguments = ("handle: resource", "value: T", "lengths: int64", "flow_in: float")
    results = ("flow_out: float",)

    def infer(self, handle: TensorSpec, value: TensorSpec, lengths: TensorSpec, flow_in: TensorSpec) -> TensorSpec:
        need_rank(lengths, 1)
        return _flow()


class TensorArraySizeV3(TensorArrayOp):
    """How many elements the array has."""

    arguments = ("handle: resource", "flow_in: float")
    results = ("size: int32",)
    differentiable = False

    def infer(self, handle: TensorSpec, flow_in: TensorSpec) -> TensorSpec:
        return TensorSpec(dtypes.int32, ())


class TensorArrayCloseV3(TensorArrayOp):
    """Frees the array."""

    arguments = ("handle: resource",)
    results = ()
    differentiable = False

    def infer(self, handle: TensorSpec) -> tuple[TensorSpec, ...]:
        return ()


class TensorArrayGradV3(TensorArrayOp):
    """The array of the gradients of an array's elements, zero until written; writes to one element add up. `source` names the call of
    tf.gradients, so that each has its own."""

    arguments = ("handle: resource", "flow_in: float")
    results = ("grad_handle: resource", "flow_out: float")
    differentiable = False
    source: str

    def infer(self, handle: TensorSpec, flow_in: TensorSpec) -> tuple[TensorSpec, ...]:
        return _handle(), _flow()
