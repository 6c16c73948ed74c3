"""Maximum pooling whose window sizes or whose maxima come as operands: the V2 ops, and the gradients by the places of the maxima."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from graphflow.dtypes import INDEX, REAL, int64
from graphflow.graph.build import make
from graphflow.graph.op import Case, TensorSpec
from graphflow.kernel.index import product
from graphflow.ops.families import Composite
from graphflow.ops.pool import MaxPool, MaxPoolGrad, MaxPoolGradGrad, Pooling
from graphflow.ops.segments import ScatterRows
from graphflow.ops.sizes import contents, i32, merge_dims, need_rank
from graphflow.ops.windows import check_padding

__all__: list[str] = []

_TWO = i32(1, 2, 2, 1)
_ONE = i32(1, 1, 1, 1)


class _Sized(Composite, abstract=True):
    """The op `plain` with ksize and strides as its last two operands, which a run reads before it is bound."""

    plain: ClassVar[type[Pooling]]
    padding: str
    data_format: str = "NHWC"

    def with_sizes(self, ksize: Sequence[int], strides: Sequence[int]) -> Any:
        """The op that has the sizes as attributes."""
        return self.plain(ksize=tuple(ksize), strides=tuple(strides), padding=self.padding, data_format=self.data_format)

    def infer(self, *inputs: TensorSpec) -> TensorSpec:
        *values, ksize, strides = inputs
        check_padding(self.padding)
        need_rank(values[0], 4)
        for spec in (ksize, strides):
            need_rank(spec, 1)
            merge_dims(spec.dims, (4,))
        sizes, steps = contents(ksize), contents(strides)
        if sizes is None or steps is None or not all(isinstance(n, int) for n in (*sizes, *steps)):
            return TensorSpec(values[0].dtype, values[0].dims if self.plain is MaxPoolGrad else (None,) * 4)
        return self.with_sizes(sizes, steps).infer(*values)  # type: ignore[arg-type]

    def reference(self, *inputs: Any) -> Any:
        *values, ksize, strides = inputs
        return self.with_sizes([int(n) for n in ksize], [int(n) for n in strides]).reference(*values)

    def decompose(self, b: Any, *inputs: Any) -> Any:
        *values, ksize, strides = inputs
        sizes, steps = ([int(n) for n in b.known(v)] for v in (ksize, strides))
        op = self.with_sizes(sizes, steps)
        op.validate()
        return b.apply(op, *values)


class MaxPoolV2(_Sized):
    """The largest element of each window."""

    arguments = ("input: T", "ksize: int32", "strides: int32")
    results = ("output: T",)
    types = {"T": REAL}
    plain = MaxPool
    cases = (
        Case((2, 4, 6, 3), _TWO, _TWO, padding="VALID"), Case((2, 5, 7, 3), _TWO, _TWO, padding="SAME"),
        Case((2, 3, 1, 6), i32(1, 1, 1, 2), i32(1, 1, 1, 2), padding="VALID", gradient=False),
        Case((2, 3, 3, 1), i32(1, 0, 2, 1), _TWO, padding="VALID", error=("ValueError", "ksize must be positive")),
    )  # fmt: skip

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        x, ksize, strides = node.inputs
        fields = {"padding": self.padding, "data_format": self.data_format}
        return [make("MaxPoolGradV2", x, node.outputs[0], dy, ksize, strides, **fields), None, None]


class MaxPoolGradV2(_Sized):
    """dy of each window at its first maximum, summed over windows."""

    arguments = ("orig_input: T", "orig_output: T", "grad: T", "ksize: int32", "strides: int32")
    results = ("output: T",)
    types = {"T": REAL}
    plain = MaxPoolGrad
    second_type: ClassVar[str] = "MaxPoolGradGradV2"
    cases = (
        Case((2, 4, 6, 3), (2, 2, 3, 3), (2, 2, 3, 3), _TWO, _TWO, padding="VALID"),
        Case((1, 5, 6, 2), (1, 5, 6, 2), (1, 5, 6, 2), i32(1, 3, 3, 1), _ONE, padding="SAME"),
    )  # fmt: skip

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        x, y, _, ksize, strides = node.inputs
        picked = make(self.second_type, x, y, dy, ksize, strides, padding=self.padding, data_format=self.data_format)
        return [make("ZerosLike", x), make("ZerosLike", y), picked, None, None]


class MaxPoolGradGradV2(MaxPoolGradV2):
    """What `grad` holds at the first maximum of each window: the gradient of MaxPoolGradV2 for its dy."""

    plain = MaxPoolGradGrad
    second_type = "MaxPoolGradV2"
    cases = (
        Case((2, 4, 6, 3), (2, 2, 3, 3), (2, 4, 6, 3), _TWO, _TWO, padding="VALID"),
        Case((1, 5, 6, 2), (1, 5, 6, 2), (1, 5, 6, 2), i32(1, 3, 3, 1), _ONE, padding="SAME"),
    )  # fmt: skip


class _ByArgmax(Pooling, abstract=True):
    """A gradient of MaxPoolWithArgmax: `argmax` counts in each image, or in the whole batch (include_batch_in_index)."""

    arguments = ("input: T", "grad: T", "argmax: Targmax")
    results = ("output: T",)
    types = {"T": REAL, "Targmax": INDEX}
    include_batch_in_index: bool = False

    def attributes(self) -> dict[str, Any]:
        return {n: getattr(self, n) for n in ("ksize", "strides", "padding", "include_batch_in_index")}

    def flat_places(self, b: Any, input: Any, argmax: Any) -> Any:
        """The places in the whole batch, a vector."""
        places = b.cast(argmax, int64)
        if not self.include_batch_in_index:
            image = b.constant(product(input.shape[1:]), int64)
            places = b.add(places, b.mul(b.iota(argmax.shape, 0, int64), b.broadcast(image, argmax.shape)))
        return b.view(places, (argmax.size,))

    def numpy_places(self, input: Any, argmax: Any) -> Any:
        """flat_places for the references."""
        if self.include_batch_in_index:
            return argmax.ravel()
        return (argmax + (np.arange(len(argmax)) * (input[0].size if len(input) else 0)).reshape(-1, 1, 1, 1)).ravel()


_PLACES = np.array([[0, 5], [2, 15]]).reshape(2, 1, 2, 1)


class MaxPoolGradWithArgmax(_ByArgmax):
    """`grad` added to zeros like the input at the places of the maxima."""

    cases = (
        Case((2, 4, 4, 1), (2, 1, 2, 1), _PLACES, ksize=(1, 4, 2, 1), strides=(1, 4, 2, 1), padding="VALID"),
        Case((2, 4, 4, 1), (2, 1, 2, 1), _PLACES, ksize=(1, 4, 2, 1), strides=(1, 4, 2, 1), padding="VALID", include_batch_in_index=True),
        Case((1, 2, 2, 1), (1, 1, 1, 1), np.full((1, 1, 1, 1), 4), ksize=(1, 2, 2, 1), strides=(1, 2, 2, 1), padding="VALID",
             error=("InvalidArgumentError", "indices = 4 is not in [0, 4)")),
    )  # fmt: skip

    def infer(self, input: TensorSpec, grad: TensorSpec, argmax: TensorSpec) -> TensorSpec:
        self.validate()
        need_rank(input, 4)
        merge_dims(grad.dims, argmax.dims)
        return TensorSpec(input.dtype, input.dims)

    def reference(self, input: Any, grad: Any, argmax: Any) -> Any:
        out = np.zeros(input.size, input.dtype)
        np.add.at(out, self.numpy_places(input, argmax), grad.ravel())
        return out.reshape(input.shape)

    def decompose(self, b: Any, input: Any, grad: Any, argmax: Any) -> Any:
        rows = ScatterRows(input.size, "add", drop=False)
        return b.view(b.apply(rows, b.view(grad, (argmax.size,)), self.flat_places(b, input, argmax)), input.shape)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        x, _, argmax = node.inputs
        return [make("ZerosLike", x), make("MaxPoolGradGradWithArgmax", x, dy, argmax, **self.attributes()), None]


class MaxPoolGradGradWithArgmax(_ByArgmax):
    """What `grad`, which is like the input, holds at the places of the maxima."""

    cases = (Case((2, 4, 4, 1), (2, 4, 4, 1), _PLACES, ksize=(1, 4, 2, 1), strides=(1, 4, 2, 1), padding="VALID"),)

    def infer(self, input: TensorSpec, grad: TensorSpec, argmax: TensorSpec) -> TensorSpec:
        self.validate()
        need_rank(input, 4)
        merge_dims(input.dims, grad.dims)
        return TensorSpec(input.dtype, argmax.dims)

    def reference(self, input: Any, grad: Any, argmax: Any) -> Any:
        return grad.ravel()[self.numpy_places(input, argmax)].reshape(argmax.shape)

    def decompose(self, b: Any, input: Any, grad: Any, argmax: Any) -> Any:
        flat = b.take(b.view(grad, (input.size,)), self.flat_places(b, input, argmax), 0)
        return b.view(flat, argmax.shape)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        x, _, argmax = node.inputs
        return [make("ZerosLike", x), make("MaxPoolGradWithArgmax", x, dy, argmax, **self.attributes()), None]
