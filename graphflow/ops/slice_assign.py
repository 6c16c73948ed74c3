"""Assigning to a part of a variable: `variable[1:3, 0].assign(values)`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from graphflow.graph.build import make
from graphflow.graph.op import Case, Effect, TensorSpec
from graphflow.ops.families import Composite, StateUpdate
from graphflow.ops.sizes import i32
from graphflow.ops.slicing import Masked, StridedSlice, StridedSliceGrad
from graphflow.ops.source import zeros_like

_OPERANDS = ("begin: Index", "end: Index", "strides: Index", "value: T")


class TensorStridedSliceUpdate(Masked, Composite):
    """The input, with `value` where StridedSlice would read."""

    arguments = ("input: T", *_OPERANDS)
    results = ("output: T",)
    cases = (
        Case((5, 7), i32(1), i32(4), i32(2), (2, 7)), Case((5, 7), i32(0, 0), i32(0, 0), i32(1, -3), (5, 3), begin_mask=3, end_mask=3),
        Case((5, 7), i32(-1), i32(0), i32(1), (7,), shrink_axis_mask=1), Case((4,), i32(3), i32(1), i32(1), (0,)),
        Case((3, 4), i32(0, 1), i32(0, 99), i32(1, 1), (1, 2, 4), new_axis_mask=1), Case((), i32(0), i32(0), i32(1), (), ellipsis_mask=1),
        Case((3, 4), i32(0), i32(2), i32(1), (3, 4), error=("InvalidArgumentError", "a part of shape [2, 4] cannot")),
    )  # fmt: skip

    def _slice(self) -> StridedSlice:
        return StridedSlice(*self.masks)

    def infer(self, input: TensorSpec, begin: TensorSpec, end: TensorSpec, strides: TensorSpec, value: TensorSpec) -> TensorSpec:
        return TensorSpec(input.dtype, input.dims)

    def reference(self, input: Any, begin: Any, end: Any, strides: Any, value: Any) -> Any:
        part = self._slice().reference(input, begin, end, strides)
        if not part.size:
            return input.copy()
        _check_shape(part.shape, value.shape)
        places = self._slice().reference(np.arange(input.size).reshape(input.shape), begin, end, strides)
        out = input.copy()
        out.reshape(-1)[places] = value
        return out

    def decompose(self, b: Any, input: Any, begin: Any, end: Any, strides: Any, value: Any) -> Any:
        part = b.decompose(self._slice(), input, begin, end, strides)
        if 0 in part.shape:
            return input
        _check_shape(part.shape, value.shape)
        spread, sizes = StridedSliceGrad(*self.masks), b.constant(list(input.shape), "int32")
        written = b.decompose(spread, sizes, begin, end, strides, b.broadcast(b.constant(1, "float32"), part.shape))
        placed = b.decompose(spread, sizes, begin, end, strides, value)
        return b.select(b.make("Greater", written, 0), placed, input)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        _, begin, end, strides, value = node.inputs
        rest = make(self.type, dy, begin, end, strides, zeros_like(value), **self.masks._asdict())
        return [rest, None, None, None, make("StridedSlice", dy, begin, end, strides, **self.masks._asdict())]


def _check_shape(part: Sequence[Any], value: Sequence[Any]) -> None:
    if tuple(part) != tuple(value):
        raise ValueError(f"a part of shape {list(part)} cannot be given a value of shape {list(value)}")


class StridedSliceAssign(Masked, StateUpdate):
    """Gives a part of a variable a new value."""

    arguments = ("ref: Ref(T)", *_OPERANDS)
    results = ("output_ref: Ref(T)",)
    effect = Effect.WRITES
    differentiable = False
    updates: ClassVar[tuple[int, ...]] = (0,)

    def infer(self, ref: TensorSpec, begin: TensorSpec, end: TensorSpec, strides: TensorSpec, value: TensorSpec) -> TensorSpec:
        return TensorSpec(ref.dtype, ref.dims)

    def decompose(self, b: Any, ref: Any, begin: Any, end: Any, strides: Any, value: Any) -> Any:
        update = TensorStridedSliceUpdate(*self.masks)
        return b.decompose(update, ref, begin, end, strides, value)
