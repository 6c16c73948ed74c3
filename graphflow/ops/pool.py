"""Pooling: the maximum or the mean of windows, and their gradients.

The gradient of the mean is a gather: each input element sums the windows that hold it. The whole gradient of a maximum goes to the
window's first maximum in row-major order. See ops/windowed.py for the core ops.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.dtypes import FLOATING, INDEX, REAL, DType, int32, int64
from graphflow.errors import UnimplementedError
from graphflow.graph.build import make
from graphflow.graph.op import Case, TensorSpec
from graphflow.kernel.index import Index, product
from graphflow.ops.families import Composite
from graphflow.ops.sizes import Size, contents, i32, merge_dims, need_rank
from graphflow.ops.windowed import WindowChoice, WindowFold, WindowPick, WindowRoute, WindowSpread
from graphflow.ops.windows import Layout, Span, check_padding, layout, out_size, span

UNROLLED = 64  # larger windows are taken along one dimension after the other
ROUTED = 16  # the largest window, where it is the only one, of which each element looks for the maximum itself


class Pooling(Composite, abstract=True):
    """What all poolings share: attributes and geometry."""

    spatial_rank = 2
    ksize: tuple[int, ...]
    strides: tuple[int, ...]
    padding: str
    data_format: str = "NHWC"

    @property
    def layout(self) -> Layout:
        """Which dimension of the input and output is which."""
        return layout(self.data_format, self.spatial_rank)

    def attributes(self) -> dict[str, Any]:
        """The fields, to build a gradient op with the same ones."""
        return {n: getattr(self, n) for n in ("ksize", "strides", "padding", "data_format")}

    def validate(self) -> None:
        """Refuse attributes that mean nothing."""
        check_padding(self.padding)
        layout(self.data_format, self.spatial_rank)
        for name in ("ksize", "strides"):
            values = getattr(self, name)
            if len(values) != self.spatial_rank + 2:
                raise ValueError(f"{self.type} requires {self.spatial_rank + 2} values of {name}, but got: {len(values)}")
            if any(v <= 0 for v in values):
                raise ValueError(f"{name} must be positive, got {list(values)}")

    def check_supported(self) -> None:
        """Refuse windows over the batch or the channels, which TensorFlow takes in a graph and refuses when it runs."""
        where = self.layout
        for name, values in (("ksize", self.ksize), ("strides", self.strides)):
            if values[where.batch] != 1:
                raise UnimplementedError(None, None, f"Pooling is not yet supported on the batch dimension: {name} = {list(values)}")
            if values[where.channel] != 1:
                raise UnimplementedError(None, None, f"Non-spatial pooling is not yet supported: {name} = {list(values)}")

    def output_dims(self, dims: Sequence[Size] | None) -> tuple[Size, ...]:
        """The shape of the pooled input."""
        where = self.layout
        if dims is None:
            return (None,) * (self.spatial_rank + 2)
        extents = zip(*(where.of_spatial(v) for v in (dims, self.ksize, self.strides)), strict=True)
        return where.arrange(dims[0], dims[where.channel], [out_size(e, k, s, self.padding) for e, k, s in extents])

    def spans(self, shape: Sequence[Index]) -> tuple[Span, ...]:
        """The windows along each spatial dimension of an input shape."""
        where = self.layout
        extents = zip(*(where.of_spatial(v) for v in (shape, self.ksize, self.strides)), strict=True)
        return tuple(span(e, k, s, self.padding) for e, k, s in extents)

    def windows(self, shape: Sequence[Index]) -> dict[str, Any]:
        """The fields of a Windowed op over an input of the given shape."""
        self.check_supported()
        where = self.layout
        spans, size = self.spans(shape), where.of_spatial(self.ksize)
        # A single window, as over all words of a sentence, overlaps no other one, whatever its stride is.
        stride = tuple(max(k, s) if sp.out == 1 else s for k, s, sp in zip(size, where.of_spatial(self.strides), spans, strict=True))
        return {"axes": where.spatial, "size": size, "stride": stride, "low": tuple(s.low for s in spans)}

    def choice(self, shape: Sequence[Index]) -> WindowChoice:
        """The op that finds the first maximum of each window of an input of the given shape."""
        return WindowChoice(**self.windows(shape), out=tuple(s.out for s in self.spans(shape)))

    def route(self, shape: Sequence[Index]) -> WindowRoute:
        """The op that takes gradients to the chosen places of an input of the given shape."""
        return WindowRoute(**self.windows(shape), extents=tuple(shape[a] for a in self.layout.spatial))

    def picked(self, b: Any, x: Any, values: Any) -> Any:
        """What `values`, which is shaped like x, holds where x has the first maximum of each window."""
        return b.apply(WindowPick(**self.windows(x.shape)), b.apply(self.choice(x.shape), x), values)

    def numpy_picked(self, x: Any, values: Any) -> Any:
        """`picked`, for the references."""
        return WindowPick(**self.windows(x.shape)).reference(self.choice(x.shape).reference(x), values)

    def covers(self, shape: Sequence[Index]) -> bool:
        """Whether a single window is all of an input of the given shape."""
        where = self.layout
        windows = zip(self.spans(shape), where.spatial, where.of_spatial(self.ksize), strict=True)
        return all(s.out == 1 and shape[a] == k for s, a, k in windows)

    def fold(self, b: Any, x: Any, combine: str) -> Any:
        """The windows of x combined."""
        spans = self.spans(x.shape)
        fields = self.windows(x.shape)
        out = tuple(s.out for s in spans)
        if self.covers(x.shape):
            total = b.reduce("max" if combine == "max" else "add", x, fields["axes"], keepdims=True)
            return total if combine != "mean" else b.div(total, b.constant(int(np.prod(fields["size"])), x.dtype))
        if np.prod(fields["size"]) <= UNROLLED or sum(k > 1 for k in fields["size"]) == 1:
            return b.apply(WindowFold(**fields, combine=combine, out=out), x)
        y = x
        for k in range(len(out)):  # a maximum of maxima, and a mean of means: padding cuts every row of a window alike
            one = {n: v[k : k + 1] for n, v in fields.items()}
            y = b.apply(WindowFold(**one, combine=combine, out=out[k : k + 1]), y)
        return y


class Pool(Pooling, abstract=True):
    """y = pool(x)"""

    arguments = ("input: T",)
    results = ("output: T",)
    combine = "max"
    gradient_type = ""

    def infer(self, input: TensorSpec) -> TensorSpec:
        self.validate()
        need_rank(input, self.spatial_rank + 2)
        return TensorSpec(input.dtype, self.output_dims(input.dims))

    def reference(self, input: Any) -> Any:
        where = self.layout
        x = np.moveaxis(input, where.channel, -1)
        sizes, strides = where.of_spatial(self.ksize), where.of_spatial(self.strides)
        spans = [span(e, k, s, self.padding) for e, k, s in zip(x.shape[1:-1], sizes, strides, strict=True)]
        padded = np.pad(x.astype(np.float64), [(0, 0), *((int(s.low), int(s.high)) for s in spans), (0, 0)],  # type: ignore[arg-type]
                        constant_values=np.nan)  # fmt: skip
        views = np.lib.stride_tricks.sliding_window_view(padded, sizes, axis=tuple(range(1, x.ndim - 1)))
        picked = views[(slice(None), *(slice(None, None, s) for s in strides))].reshape(
            x.shape[0], *(int(s.out) for s in spans), x.shape[-1], int(np.prod(sizes))  # type: ignore[arg-type]
        )
        y = np.nanmax(picked, -1) if self.combine == "max" else np.nanmean(picked, -1)
        return np.moveaxis(y, -1, where.channel).astype(input.dtype)

    def decompose(self, b: Any, input: Any) -> Any:
        return self.fold(b, input, self.combine)


_TWO = (1, 2, 2, 1)
_THREE = (1, 3, 3, 1)
_POOLS = (
    Case((2, 4, 6, 3), ksize=_TWO, strides=_TWO, padding="VALID"), Case((2, 5, 7, 3), ksize=_TWO, strides=_TWO, padding="SAME"),
    Case((2, 5, 6, 3), ksize=_THREE, strides=_TWO, padding="SAME"), Case((1, 4, 4, 17), ksize=_THREE, strides=(1, 1, 1, 1), padding="SAME"),
    Case((2, 5, 7, 2), ksize=(1, 2, 3, 1), strides=(1, 3, 1, 1), padding="VALID"),
    Case((2, 3, 4, 6), ksize=(1, 1, 2, 2), strides=(1, 1, 2, 2), padding="VALID", data_format="NCHW"),
    Case((2, 3, 5, 5), ksize=(1, 1, 3, 3), strides=(1, 1, 2, 2), padding="SAME", data_format="NCHW"),
    Case((2, 4, 4, 3), ksize=(1, 4, 4, 1), strides=(1, 1, 1, 1), padding="VALID"),
    Case((1, 11, 12, 2), ksize=(1, 9, 9, 1), strides=(1, 1, 2, 1), padding="SAME"),
    Case((0, 4, 4, 2), ksize=_TWO, strides=_TWO, padding="VALID"),
    Case((1, 1, 4, 2), ksize=_TWO, strides=_TWO, padding="VALID",
         error=("ValueError", "Negative dimension size caused by subtracting 2 from 1")),
)  # fmt: skip
_POOLS_3D = (
    Case((1, 4, 4, 6, 2), ksize=(1, 2, 2, 2, 1), strides=(1, 2, 2, 2, 1), padding="VALID"),
    Case((1, 3, 4, 5, 2), ksize=(1, 2, 3, 2, 1), strides=(1, 1, 2, 2, 1), padding="SAME"),
)


class MaxPool(Pool):
    """The largest element of each window: in the spatial dimensions, or of neighbouring channels (in NHWC, without a gradient)."""

    types = {"T": REAL}
    cases = (
        *_POOLS, Case((2, 3, 1, 6), ksize=(1, 1, 1, 2), strides=(1, 1, 1, 2), padding="VALID", gradient=False),
        Case(
            (2, 3, 1, 5), ksize=(1, 1, 1, 2), strides=(1, 1, 1, 2), padding="VALID",
            error=("UnimplementedError", "evenly divide the input depth"),
        ),
    )  # fmt: skip

    @property
    def depth(self) -> int:
        """How many channels are pooled together."""
        return self.ksize[-1] if self.data_format == "NHWC" and len(self.ksize) == 4 else 1

    def check_supported(self) -> None:
        if self.depth < 2:
            super().check_supported()
        elif self.ksize[:3] != (1, 1, 1):
            wrong = "MaxPooling supports exactly one of pooling across depth or pooling across width/height"
            raise UnimplementedError(None, None, f"{wrong}: ksize = {list(self.ksize)}")
        elif self.strides != self.ksize:
            wrong = "Depthwise max pooling requires the depth window to equal the depth stride"
            raise UnimplementedError(None, None, f"{wrong}: ksize = {list(self.ksize)}, strides = {list(self.strides)}")

    def output_dims(self, dims: Sequence[Size] | None) -> tuple[Size, ...]:
        pooled = super().output_dims(dims)
        if self.depth < 2:
            return pooled
        return (*pooled[:-1], None if pooled[-1] is None else pooled[-1] // self.depth)

    def reference(self, input: Any) -> Any:
        return super().reference(input) if self.depth < 2 else input.reshape(*input.shape[:-1], -1, self.depth).max(-1)

    def decompose(self, b: Any, input: Any) -> Any:
        if self.depth < 2:
            return super().decompose(b, input)
        self.check_supported()
        *lead, channels = input.shape
        if isinstance(channels, int) and channels % self.depth:
            wrong = "Depthwise max pooling requires the depth window to evenly divide the input depth"
            raise UnimplementedError(None, None, f"{wrong}: {channels} channels, windows of {self.depth}")
        return b.reduce("max", b.view(input, (*lead, channels // self.depth, self.depth)), (4,))

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make("MaxPoolGrad", node.inputs[0], node.outputs[0], dy, **self.attributes())]


class AvgPool(Pool):
    """The mean of each window's elements inside the input."""

    arguments = ("value: T",)
    types = {"T": FLOATING}
    combine = "mean"
    cases = _POOLS

    def infer(self, value: TensorSpec) -> TensorSpec:
        return super().infer(value)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make("AvgPoolGrad", make("Shape", node.inputs[0]), dy, **self.attributes())]


class MaxPool3D(Pool):
    """The largest element of each window in three dimensions."""

    spatial_rank = 3
    types = {"T": FLOATING}
    data_format: str = "NDHWC"
    cases = _POOLS_3D

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make("MaxPool3DGrad", node.inputs[0], node.outputs[0], dy, **self.attributes())]


class AvgPool3D(Pool):
    """The mean of each window in three dimensions."""

    spatial_rank = 3
    types = {"T": FLOATING}
    combine = "mean"
    data_format: str = "NDHWC"
    cases = _POOLS_3D

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make("AvgPool3DGrad", make("Shape", node.inputs[0]), dy, **self.attributes())]


class MaxPoolGrad(Pooling):
    """dy of each window at its first maximum, summed over windows."""

    arguments = ("orig_input: T", "orig_output: T", "grad: T")
    results = ("output: T",)
    types = {"T": REAL}
    second_type = "MaxPoolGradGrad"
    cases = (
        Case((2, 4, 6, 3), (2, 2, 3, 3), (2, 2, 3, 3), ksize=_TWO, strides=_TWO, padding="VALID"),
        Case((2, 5, 7, 3), (2, 3, 4, 3), (2, 3, 4, 3), ksize=_TWO, strides=_TWO, padding="SAME"),
        Case((1, 5, 6, 2), (1, 3, 3, 2), (1, 3, 3, 2), ksize=_THREE, strides=_TWO, padding="SAME"),
        Case((2, 3, 5, 5), (2, 3, 3, 3), (2, 3, 3, 3), ksize=(1, 1, 3, 3), strides=(1, 1, 2, 2), padding="SAME", data_format="NCHW"),
        Case((2, 5, 1, 3), (2, 1, 1, 3), (2, 1, 1, 3), ksize=(1, 5, 1, 1), strides=(1, 1, 1, 1), padding="VALID"),
        Case((2, 7, 6, 3), (2, 1, 1, 3), (2, 1, 1, 3), ksize=(1, 7, 6, 1), strides=(1, 1, 1, 1), padding="VALID"),
        Case(np.tile(np.float32([0, 3, 1, 3]), (1, 20, 1, 1)), (1, 1, 1, 4), (1, 1, 1, 4), ksize=(1, 20, 1, 1), strides=_TWO,
             padding="VALID"),
    )  # fmt: skip

    def infer(self, orig_input: TensorSpec, orig_output: TensorSpec, grad: TensorSpec) -> TensorSpec:
        self.validate()
        need_rank(orig_input, self.spatial_rank + 2)
        merge_dims(orig_output.dims, grad.dims)
        return TensorSpec(orig_input.dtype, orig_input.dims)

    def reference(self, orig_input: Any, orig_output: Any, grad: Any) -> Any:
        return self.route(orig_input.shape).reference(self.choice(orig_input.shape).reference(orig_input), grad)

    def decompose(self, b: Any, orig_input: Any, orig_output: Any, grad: Any) -> Any:
        fields = self.windows(orig_input.shape)
        if self.covers(orig_input.shape) and np.prod(fields["size"]) > ROUTED:
            return self._whole(b, orig_input, b.view(grad, self.output_dims(orig_input.shape)))
        grad = b.view(grad, self.output_dims(orig_input.shape))  # refuses a gradient of another shape
        choice, route = b.apply(self.choice(orig_input.shape), orig_input), self.route(orig_input.shape)
        where = self.layout
        if where.channel > where.spatial[0] or not route.overlap():
            return b.apply(route, choice, grad)
        # An element of several windows is their sum: along the channels that is whole vectors, along a row it would be gathered.
        last = (0, *where.spatial, where.channel)
        route = WindowRoute(tuple(range(1, self.spatial_rank + 1)), route.size, route.stride, route.low, route.extents)
        routed = b.apply(route, b.permute(choice, last), b.permute(grad, last))
        return b.permute(routed, where.arrange(0, self.spatial_rank + 1, range(1, self.spatial_rank + 1)))

    def _whole(self, b: Any, x: Any, grad: Any) -> Any:
        """Where one large window covers the input: first the place of its maximum, then what belongs there."""
        axes = self.layout.spatial
        count = 1
        places = b.constant(0, int32)
        for axis in reversed(axes):
            index = b.iota([n if a == axis else 1 for a, n in enumerate(x.shape)], axis, int32)
            places, count = b.add(places, b.mul(index, count)), count * x.shape[axis]
        best = b.reduce("max", x, axes, keepdims=True)
        first = b.reduce("min", b.select(b.equal(x, best), places, b.constant(count, int32)), axes, keepdims=True)
        return b.select(b.equal(places, first), grad, b.constant(0, x.dtype))

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        x, y, _ = node.inputs
        return [make("ZerosLike", x), make("ZerosLike", y), make(self.second_type, x, y, dy, **self.attributes())]


class MaxPool3DGrad(MaxPoolGrad):
    """The gradient of MaxPool3D."""

    spatial_rank = 3
    second_type = "MaxPool3DGradGrad"
    data_format: str = "NDHWC"
    cases = (
        Case((1, 4, 4, 6, 2), (1, 2, 2, 3, 2), (1, 2, 2, 3, 2), ksize=(1, 2, 2, 2, 1), strides=(1, 2, 2, 2, 1), padding="VALID"),
        Case((2, 4, 3, 5, 2), (2, 1, 1, 1, 2), (2, 1, 1, 1, 2), ksize=(1, 4, 3, 5, 1), strides=(1, 1, 1, 1, 1), padding="VALID"),
    )


class MaxPoolGradGrad(Pooling):
    """What `grad` holds at the first maximum of each window: the gradient of MaxPoolGrad for its dy."""

    arguments = ("orig_input: T", "orig_output: T", "grad: T")
    results = ("output: T",)
    types = {"T": REAL}
    first_type = "MaxPoolGrad"
    cases = (
        Case((2, 4, 6, 3), (2, 2, 3, 3), (2, 4, 6, 3), ksize=_TWO, strides=_TWO, padding="VALID"),
        Case((1, 5, 6, 2), (1, 3, 3, 2), (1, 5, 6, 2), ksize=_THREE, strides=_TWO, padding="SAME"),
    )  # fmt: skip

    def infer(self, orig_input: TensorSpec, orig_output: TensorSpec, grad: TensorSpec) -> TensorSpec:
        self.validate()
        return TensorSpec(orig_input.dtype, self.output_dims(orig_input.dims))

    def reference(self, orig_input: Any, orig_output: Any, grad: Any) -> Any:
        return self.numpy_picked(orig_input, grad)

    def decompose(self, b: Any, orig_input: Any, orig_output: Any, grad: Any) -> Any:
        return self.picked(b, orig_input, b.view(grad, orig_input.shape))

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        x, y, _ = node.inputs
        return [make("ZerosLike", x), make("ZerosLike", y), make(self.first_type, x, y, dy, **self.attributes())]


class MaxPool3DGradGrad(MaxPoolGradGrad):
    """The gradient of MaxPool3DGrad for its dy."""

    spatial_rank = 3
    first_type = "MaxPool3DGrad"
    data_format: str = "NDHWC"
    cases = (Case((1, 4, 4, 6, 2), (1, 2, 2, 3, 2), (1, 4, 4, 6, 2), ksize=(1, 2, 2, 2, 1), strides=(1, 2, 2, 2, 1), padding="VALID"),)


class AvgPoolGrad(Pooling):
    """Each window's dy in equal shares to its elements; the first operand holds the input's sizes."""

    arguments = ("orig_input_shape: int32", "grad: T")
    results = ("output: T",)
    types = {"T": FLOATING}
    forward_type = "AvgPool"
    cases = (
        Case(i32(2, 4, 6, 3), (2, 2, 3, 3), ksize=_TWO, strides=_TWO, padding="VALID"),
        Case(i32(2, 5, 7, 3), (2, 3, 4, 3), ksize=_TWO, strides=_TWO, padding="SAME"),
        Case(i32(2, 5, 6, 3), (2, 3, 3, 3), ksize=_THREE, strides=_TWO, padding="SAME"),
        Case(i32(2, 3, 5, 5), (2, 3, 5, 5), ksize=(1, 1, 3, 3), strides=(1, 1, 1, 1), padding="SAME", data_format="NCHW"),
        Case(i32(2, 4, 4, 3), (2, 1, 1, 3), ksize=(1, 4, 4, 1), strides=(1, 4, 4, 1), padding="VALID"),
    )  # fmt: skip

    def infer(self, orig_input_shape: TensorSpec, grad: TensorSpec) -> TensorSpec:
        self.validate()
        need_rank(grad, self.spatial_rank + 2)
        return TensorSpec(grad.dtype, contents(orig_input_shape) or (None,) * (self.spatial_rank + 2))

    def _spread(self, shape: Sequence[Index]) -> WindowSpread:
        return WindowSpread(**self.windows(shape), extents=self.layout.of_spatial(shape), mean=True)

    def reference(self, orig_input_shape: Any, grad: Any) -> Any:
        return self._spread([int(d) for d in orig_input_shape]).reference(grad)

    def decompose(self, b: Any, orig_input_shape: Any, grad: Any) -> Any:
        return b.apply(self._spread(b.sizes(orig_input_shape)), grad)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [None, make(self.forward_type, dy, **self.attributes())]


class AvgPool3DGrad(AvgPoolGrad):
    """The gradient of AvgPool3D."""

    spatial_rank = 3
    forward_type = "AvgPool3D"
    data_format: str = "NDHWC"
    cases = (
        Case(i32(1, 4, 4, 6, 2), (1, 2, 2, 3, 2), ksize=(1, 2, 2, 2, 1), strides=(1, 2, 2, 2, 1), padding="VALID"),
        Case(i32(1, 3, 4, 5, 2), (1, 3, 2, 3, 2), ksize=(1, 2, 3, 2, 1), strides=(1, 1, 2, 2, 1), padding="SAME"),
    )  # fmt: skip


class MaxPoolWithArgmax(Pooling):
    """The largest element of each window and its flat position, in its image or (include_batch_in_index) in the whole batch."""

    arguments = ("input: T",)
    results = ("output: T", "argmax: Targmax")
    types = {"T": REAL, "Targmax": INDEX}
    Targmax: DType = int64
    include_batch_in_index: bool = False
    cases = (
        Case((2, 4, 6, 3), ksize=_TWO, strides=_TWO, padding="VALID"),
        Case((2, 5, 5, 2), ksize=_THREE, strides=_TWO, padding="SAME", include_batch_in_index=True, Targmax=int32),
    )  # fmt: skip

    def infer(self, input: TensorSpec) -> tuple[TensorSpec, ...]:
        self.validate()
        need_rank(input, 4)
        dims = self.output_dims(input.dims)
        return TensorSpec(input.dtype, dims), TensorSpec(self.Targmax, dims)

    def reference(self, input: Any) -> Any:
        places = np.arange(input.size, dtype=self.Targmax.as_numpy_dtype).reshape(input.shape)
        if not self.include_batch_in_index:
            places = places - places[:, :1, :1, :1]
        return self.numpy_picked(input, input), self.numpy_picked(input, places)

    def decompose(self, b: Any, input: Any) -> Any:
        count = product(input.shape if self.include_batch_in_index else input.shape[1:])
        places = b.view(b.iota((count,), 0, self.Targmax), input.shape if self.include_batch_in_index else input.shape[1:])
        return self.fold(b, input, "max"), self.picked(b, input, b.broadcast(places, input.shape))

    def gradient(self, node: Any, dy: Any, dargmax: Any) -> Sequence[Any]:
        return [make("MaxPoolGrad", node.inputs[0], node.outputs[0], dy, **self.attributes())]
