"""Data formats as data: numbers of dimensions, and vectors with an entry for each dimension, of one format in terms of another."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.dtypes import FLOATING, INDEX, int8, int16, int32, int64, uint8
from graphflow.dtypes import bool as bool_
from graphflow.graph.op import Case, TensorSpec
from graphflow.ops.families import Composite
from graphflow.ops.sizes import i32, need_rank, need_rank_at_least, need_rank_at_most


class FormatChange(Composite, abstract=True):
    """From the order of dimensions src_format to dst_format."""

    arguments = ("x: T",)
    results = ("y: T",)
    types = {"T": INDEX}
    differentiable = False
    src_format: str = "NHWC"
    dst_format: str = "NCHW"


class DataFormatDimMap(FormatChange):
    """Of each dimension's number in src_format the number in dst_format; negative ones count from the end."""

    cases = (Case(i32(0, 1, 2, 3, -1, -4)), Case(i32(3, 0), src_format="NCHW", dst_format="NHWC"), Case(np.array(-2, np.int32)))

    def infer(self, x: TensorSpec) -> TensorSpec:
        _check_formats(self.src_format, self.dst_format)
        return TensorSpec(x.dtype, x.dims)

    def reference(self, x: Any) -> Any:
        return np.array([self.dst_format.index(self.src_format[i]) for i in x.ravel()], x.dtype).reshape(x.shape)

    def decompose(self, b: Any, x: Any) -> Any:
        places = np.array([self.dst_format.index(name) for name in self.src_format], x.dtype.as_numpy_dtype)
        return b.take(b.constant(places), b.make("FloorMod", x, b.constant(len(places), x.dtype)), 0)


class DataFormatVecPermute(FormatChange):
    """A vector with an entry, or a row, for each dimension of src_format, in the order of dst_format. Two entries stand for H and W."""

    cases = (
        Case(i32(7, 4, 9, 3)), Case(np.array([[7, 4], [9, 3], [4, 5], [5, 1]], np.int32), src_format="NHWC", dst_format="HWNC"),
        Case(i32(5, 6)), Case(i32(1, 2, 3), error=("ValueError", "must be 4 or 2, but is 3")),
    )  # fmt: skip

    def infer(self, x: TensorSpec) -> TensorSpec:
        _check_formats(self.src_format, self.dst_format)
        need_rank_at_least(x, 1)
        if x.dims is not None:
            need_rank_at_most(x, 2)
            if isinstance(x.dims[0], int) and x.dims[0] not in (4, 2):
                raise ValueError(f"The first dimension of the input must be 4 or 2, but is {x.dims[0]}")
        return TensorSpec(x.dtype, x.dims)

    def _order(self, count: int) -> list[int]:
        """Where the entries of the result stand in the input."""
        source, target = ([c for c in f if count == len(f) or c in "HW"] for f in (self.src_format, self.dst_format))
        return [source.index(name) for name in target]

    def reference(self, x: Any) -> Any:
        return x[self._order(len(x))]

    def decompose(self, b: Any, x: Any) -> Any:
        return b.take(x, b.constant(np.array(self._order(int(x.shape[0])), np.int32)), 0)


def _check_formats(source: str, target: str) -> None:
    if sorted(source) != sorted(target) or len(set(source)) != len(source):
        raise ValueError(f"'{source}' and '{target}' do not name the same dimensions")


class CompareAndBitpack(Composite):
    """Whether each element is greater than the threshold, eight of the last dimension to a byte, the first in its highest bit. Of booleans
    the elements themselves, whatever the threshold."""

    arguments = ("input: T", "threshold: T")
    results = ("output: uint8",)
    types = {"T": (bool_, *FLOATING, int8, int16, int32, int64)}
    differentiable = False
    cases = (
        Case((3, 16), ()), Case((8,), ()), Case((0, 8), ()),
        Case((3, 7), (), error=("ValueError", "Inner dimension of input should be divisible by 8")),
    )  # fmt: skip

    def infer(self, input: TensorSpec, threshold: TensorSpec) -> TensorSpec:
        need_rank_at_least(input, 1)
        need_rank(threshold, 0)
        if input.dims is None:
            return TensorSpec(uint8, None)
        last = input.dims[-1]
        if isinstance(last, int) and last % 8:
            raise ValueError(f"Inner dimension of input should be divisible by 8, but is {last}")
        return TensorSpec(uint8, (*input.dims[:-1], None if last is None else last // 8))

    def reference(self, input: Any, threshold: Any) -> Any:
        return np.packbits(input if input.dtype == bool else input > threshold, axis=-1)

    def decompose(self, b: Any, input: Any, threshold: Any) -> Any:
        bits = b.cast(input if input.dtype is bool_ else b.make("Greater", input, threshold), int32)
        bits = b.view(bits, (*input.shape[:-1], input.shape[-1] // 8, 8))
        weighed = b.mul(bits, b.constant(128 >> np.arange(8, dtype=np.int32)))
        return b.cast(b.reduce("add", weighed, [len(bits.shape) - 1]), uint8)
