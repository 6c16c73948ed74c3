"""Ops that read shapes: shape, size, rank, and what two shapes broadcast to. Where a shape is known they are constants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.dtypes import INDEX, DType, as_dtype, int32
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.composite import SparseTensor, SparseTensorValue
from graphflow.graph.dims import broadcast_dims
from graphflow.graph.op import Case, TensorSpec
from graphflow.ops.families import Composite
from graphflow.ops.sizes import Size, array_of, contents, i32, lift, merge, total
from graphflow.shapes import as_shape

__all__ = [
    "broadcast_dynamic_shape",
    "broadcast_static_shape",
    "rank",
    "shape",
    "shape_n",
    "size",
]


class Shape(Composite):
    """The sizes of the input."""

    arguments = ("input: T",)
    results = ("output: out_type",)
    differentiable = False
    out_type: DType = int32
    cases = (Case((2, 0, 3)), Case(()))

    def infer(self, input: TensorSpec) -> TensorSpec:
        if input.dims is None:
            return TensorSpec(self.out_type, (None,))
        return TensorSpec(self.out_type, (len(input.dims),), array_of(input.dims, self.out_type))

    def reference(self, input: Any) -> Any:
        return np.array(np.shape(input), self.out_type.as_numpy_dtype)

    def decompose(self, b: Any, input: Any) -> Any:
        return b.constant(input.shape, self.out_type)


class ShapeN(Composite):
    """The sizes of each input."""

    arguments = ("input: N*T",)
    results = ("output: N*out_type",)
    differentiable = False
    out_type: DType = int32
    cases = (Case((2, 3), (4,)), Case(()))

    def infer(self, *input: TensorSpec) -> tuple[TensorSpec, ...]:
        return tuple(Shape(self.out_type).infer(x) for x in input)

    def reference(self, *input: Any) -> Any:
        return tuple(Shape(self.out_type).reference(x) for x in input)

    def decompose(self, b: Any, *input: Any) -> Any:
        return tuple(b.constant(x.shape, self.out_type) for x in input)


class Size_(Composite):
    """The number of elements of the input."""

    type = "Size"
    arguments = ("input: T",)
    results = ("output: out_type",)
    differentiable = False
    out_type: DType = int32
    cases = (Case((2, 0, 3)), Case(()), Case((4, 5)))

    def infer(self, input: TensorSpec) -> TensorSpec:
        count = None if input.dims is None else total(input.dims)
        return TensorSpec(self.out_type, (), None if count is None else array_of([count], self.out_type).reshape(()))

    def reference(self, input: Any) -> Any:
        return np.array(np.size(input), self.out_type.as_numpy_dtype)

    def decompose(self, b: Any, input: Any) -> Any:
        return b.constant(input.size, self.out_type)


class Rank(Composite):
    """The number of dimensions of the input."""

    arguments = ("input: T",)
    results = ("output: int32",)
    differentiable = False
    cases = (Case((2, 0, 3)), Case(()))

    def infer(self, input: TensorSpec) -> TensorSpec:
        return TensorSpec(int32, (), None if input.dims is None else np.array(len(input.dims), np.int32))

    def reference(self, input: Any) -> Any:
        return np.array(np.ndim(input), np.int32)

    def decompose(self, b: Any, input: Any) -> Any:
        return b.constant(np.array(len(input.shape), np.int32), int32)


class BroadcastArgs(Composite):
    """The shape that two shapes broadcast to."""

    arguments = ("s0: T", "s1: T")
    results = ("r0: T",)
    types = {"T": INDEX}
    differentiable = False
    cases = (Case(i32(2, 3), i32(3)), Case(i32(2, 1), i32(1, 4)), Case(np.zeros(0, np.int32), i32(5)))

    def _merged(self, s0: Sequence[Size], s1: Sequence[Size]) -> list[Size]:
        longer, shorter = (s0, s1) if len(s0) >= len(s1) else (s1, s0)
        out = list(longer[: len(longer) - len(shorter)])
        for a, b in zip(longer[len(out) :], shorter, strict=True):
            if isinstance(a, int) and a == 1:
                out.append(b)
            elif isinstance(b, int) and b == 1:
                out.append(a)
            else:
                out.append(merge(a, b))
        return out

    def infer(self, s0: TensorSpec, s1: TensorSpec) -> TensorSpec:
        a, b = contents(s0), contents(s1)
        if a is None or b is None:
            rank = lift(lambda x, y: max(x[0], y[0]) if x[0] is not None and y[0] is not None else None, s0.dims, s1.dims)
            return TensorSpec(s0.dtype, (rank,))
        out = self._merged(a, b)
        return TensorSpec(s0.dtype, (len(out),), array_of(out, s0.dtype))

    def reference(self, s0: Any, s1: Any) -> Any:
        return np.array(np.broadcast_shapes(tuple(s0), tuple(s1)), s0.dtype)

    def decompose(self, b: Any, s0: Any, s1: Any) -> Any:
        return b.constant(self._merged(b.sizes(s0), b.sizes(s1)), s0.dtype)


# -- public functions --------------------------------------------------------------------------------------------------------------


def shape(input, name=None, out_type=int32):
    """The sizes of `input` as a vector; a constant where all are known."""
    with name_scope(name, "Shape", [input]) as name:
        if isinstance(input, (SparseTensor, SparseTensorValue)):
            return make("Cast", input.dense_shape, DstT=as_dtype(out_type))
        input = convert_to_tensor(input)
        if input.shape.is_fully_defined():
            return convert_to_tensor(np.array(input.shape.as_list(), as_dtype(out_type).as_numpy_dtype), name=name)
        return make("Shape", input, out_type=as_dtype(out_type), name=name)


def shape_n(input, out_type=int32, name=None):
    """The sizes of each of several tensors."""
    return make("ShapeN", list(input), out_type=as_dtype(out_type), name=name)


def size(input, name=None, out_type=int32):
    """The number of elements of `input`; a constant where it is known."""
    with name_scope(name, "Size", [input]) as name:
        if isinstance(input, (SparseTensor, SparseTensorValue)):
            return make("Prod", make("Cast", input.dense_shape, DstT=as_dtype(out_type)), 0, keep_dims=False, name=name)
        input = convert_to_tensor(input)
        count = total(input.shape.as_list()) if input.shape.ndims is not None else None
        if count is not None:
            return convert_to_tensor(np.array(count, as_dtype(out_type).as_numpy_dtype), name=name)
        return make("Size", input, out_type=as_dtype(out_type), name=name)


def rank(input, name=None):
    """The number of dimensions of `input`; a constant where it is known."""
    with name_scope(name, "Rank", [input]) as name:
        if isinstance(input, (SparseTensor, SparseTensorValue)):
            return size(input.dense_shape, name=name)
        input = convert_to_tensor(input)
        if input.shape.ndims is not None:
            return convert_to_tensor(np.array(input.shape.ndims, np.int32), name=name)
        return make("Rank", input, name=name)


def broadcast_static_shape(shape_x, shape_y):
    """The TensorShape that two shapes broadcast to."""
    dims = broadcast_dims(as_shape(shape_x).sizes, as_shape(shape_y).sizes)
    return as_shape(None if dims is None else list(dims))


def broadcast_dynamic_shape(shape_x, shape_y):
    """The shape, as a tensor, that two shapes given as tensors broadcast to."""
    return make("BroadcastArgs", shape_x, shape_y)
