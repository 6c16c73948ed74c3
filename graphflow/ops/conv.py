"""Convolutions and their two gradients, in two and three dimensions, and depthwise.

All of them are one SumOfProducts over affine index maps, preceded by a Halo where there is padding:

    forward          y[n, o, oc]  = sum over k, ic of   x[n, o*stride + k*dilation, ic] * w[k, ic, oc]
    for the input    dx[n, i, ic] = sum over k, oc of   dy'[n, i + k*dilation, oc]      * w[K-1-k, ic, oc]
    for the filter   dw[k, ic, oc] = sum over n, o of   x[n, o*stride + k*dilation, ic] * dy[n, o, oc]

where dy' is dy inside a border and with stride - 1 zeros between neighbours (or, without the zeros, by phases: ops/strided.py).
Layouts differ in the maps alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from graphflow.dtypes import FLOATING, INDEX
from graphflow.errors import InvalidArgumentError
from graphflow.graph.build import make
from graphflow.graph.op import Case, TensorSpec
from graphflow.kernel.index import Index, maximum
from graphflow.ops.families import Composite
from graphflow.ops.shape import shape
from graphflow.ops.sizes import Dims, Size, i32, merge, need_rank, shown, whole_shape
from graphflow.ops.strided import by_phases
from graphflow.ops.windows import Affine, Layout, Span, along, check_padding, layout, out_size, single_windows, span


class Convolution(Composite, abstract=True):
    """What all convolutions and their gradients share: attributes and geometry."""

    spatial_rank = 2
    depthwise = False
    types = {"T": FLOATING}
    forward_type = ""
    input_type = ""
    filter_type = ""
    strides: tuple[int, ...]
    padding: str
    explicit_paddings: ClassVar[tuple[int, ...]] = ()
    data_format: str = "NHWC"
    dilations: tuple[int, ...] = (1, 1, 1, 1)

    @property
    def layout(self) -> Layout:
        """Which dimension of the input and output is which."""
        return layout(self.data_format, self.spatial_rank)

    def attributes(self) -> dict[str, Any]:
        """The fields, to build a gradient op with the same ones."""
        return {n: getattr(self, n) for n in self._fields}

    def validate(self) -> None:
        """Refuse attributes that mean nothing."""
        check_padding(self.padding, explicit="explicit_paddings" in self._fields)
        rank = self.spatial_rank + 2
        if self.padding == "EXPLICIT" and len(self.explicit_paddings) != 2 * rank:
            raise ValueError(f"explicit_paddings attribute must contain {2 * rank} values, but got: {len(self.explicit_paddings)}")
        for name in ("strides", "dilations"):
            values = getattr(self, name)
            if len(values) != rank:
                raise ValueError(f"{self.type} requires the {name} attribute to contain {rank} values, but got: {len(values)}")
            if values[self.layout.batch] != 1 or values[self.layout.channel] != 1:
                wrong = f"Current implementation does not yet support {name} in the batch and depth dimensions."
                raise InvalidArgumentError(None, None, wrong)
            if any(v <= 0 for v in values):
                raise ValueError(f"Inner dimension {name} should be larger than 0.")

    def geometry(self, extents: Sequence[Index], kernel: Sequence[Any]) -> tuple[Span, ...]:
        """The windows along each spatial dimension."""
        where = self.layout
        explicit = dict(enumerate(zip(self.explicit_paddings[::2], self.explicit_paddings[1::2], strict=True)))
        return tuple(
            span(extent, (k - 1) * d + 1, s, self.padding, explicit.get(axis, (0, 0)))
            for axis, extent, k, s, d in zip(
                where.spatial, extents, kernel, where.of_spatial(self.strides), where.of_spatial(self.dilations), strict=True
            )
        )

    def output_spatial(self, extents: Sequence[Size], kernel: Sequence[Size]) -> tuple[Size, ...]:
        """The spatial sizes of the output; None where unknown."""
        where = self.layout
        explicit = dict(enumerate(zip(self.explicit_paddings[::2], self.explicit_paddings[1::2], strict=True)))
        return tuple(
            None if not isinstance(k, int) else out_size(extent, (k - 1) * d + 1, s, self.padding, explicit.get(axis, (0, 0)))
            for axis, extent, k, s, d in zip(
                where.spatial, extents, kernel, where.of_spatial(self.strides), where.of_spatial(self.dilations), strict=True
            )
        )

    def padded(self, b: Any, x: Any, spans: Sequence[Span]) -> Any:
        """The input inside the border that its windows reach into."""
        where = self.layout
        # A window need not reach the end: the border after is only as wide as the last window asks for.
        return b.halo(x, where.arrange(0, 0, [s.low for s in spans]), where.arrange(0, 0, [s.high for s in spans]))

    def windows(self, first: int, kernel: int) -> list[Affine]:
        """The spatial dimensions of the padded input as output position * stride + kernel position * dilation; the axes of the output
        positions begin at number `first`, those of the kernel positions at `kernel`."""
        where = self.layout
        steps = zip(where.of_spatial(self.strides), where.of_spatial(self.dilations), strict=True)
        return [(((first + i, s), (kernel + i, d)), 0) for i, (s, d) in enumerate(steps)]

    def numpy_windows(self, x: Any, kernel: Sequence[int]) -> tuple[Any, list[tuple[tuple[int, ...], tuple[slice, ...]]]]:
        """For the references: the padded input, channels last, and per kernel position the slices that it meets."""
        where = self.layout
        x = np.moveaxis(x, where.channel, -1)
        spans = self.geometry(x.shape[1:-1], kernel)
        x = np.pad(x, [(0, 0), *((int(s.low), int(s.high)) for s in spans), (0, 0)])  # type: ignore[arg-type]
        strides, dilations = where.of_spatial(self.strides), where.of_spatial(self.dilations)
        places = []
        for position in np.ndindex(*kernel):
            cut = [
                slice(p * d, p * d + (int(s.out) - 1) * t + 1, t)  # type: ignore[call-overload]
                for p, d, t, s in zip(position, dilations, strides, spans, strict=True)
            ]
            if all(s.out for s in spans):
                places.append((position, (slice(None), *cut, slice(None))))
        return x, places


class Forward(Convolution, abstract=True):
    """y = conv(x, w)"""

    arguments = ("input: T", "filter: T")
    results = ("output: T",)

    def infer(self, input: TensorSpec, filter: TensorSpec) -> TensorSpec:
        self.validate()
        rank = self.spatial_rank + 2
        need_rank(input, rank)
        need_rank(filter, rank)
        where = self.layout
        x: Dims = input.dims or (None,) * rank
        w: Dims = filter.dims or (None,) * rank
        if self.depthwise:
            merge(x[where.channel], w[-2])
            channels = None if w[-2] is None or w[-1] is None else w[-2] * w[-1]
        else:
            have, want = x[where.channel], w[-2]
            if isinstance(have, int) and isinstance(want, int) and have != want:
                raise ValueError(f"Dimensions must be equal, but are {have} and {want}")
            channels = w[-1]
        return TensorSpec(input.dtype, where.arrange(x[0], channels, self.output_spatial(where.of_spatial(x), w[:-2])))

    def reference(self, input: Any, filter: Any) -> Any:
        kernel = filter.shape[:-2]
        x, places = self.numpy_windows(input.astype(np.float64), kernel)
        where = self.layout
        spatial = [int(s.out) for s in self.geometry(where.of_spatial(input.shape), kernel)]  # type: ignore[arg-type]
        channels = filter.shape[-1] * (filter.shape[-2] if self.depthwise else 1)
        out = np.zeros((input.shape[0], *spatial, channels))
        for position, cut in places:
            part = x[cut]
            w = filter[position].astype(np.float64)
            out += (part[..., :, None] * w).reshape(out.shape) if self.depthwise else part @ w
        return np.moveaxis(out, -1, where.channel).astype(input.dtype)

    def decompose(self, b: Any, input: Any, filter: Any) -> Any:
        where, count = self.layout, self.spatial_rank
        kernel = filter.shape[:-2]
        extents, strides, dilations = map(where.of_spatial, (input.shape, self.strides, self.dilations))
        filter, spans, _ = single_windows(b, filter, extents, self.geometry(extents, kernel), strides, dilations)
        kernel = filter.shape[:-2]
        x = self.padded(b, input, spans)
        out = [s.out for s in spans]
        if self.depthwise:
            return self._depthwise(b, input, x, filter, out)
        # Axes: the output's dimensions in its own order, then kernel positions, then input channels.
        axes = where.arrange(input.shape[0], filter.shape[-1], out)
        first = where.spatial[0]
        taps, depth = count + 2, 2 * count + 2
        left = where.arrange(along(where.batch), along(depth), self.windows(first, taps))
        right = (*(along(taps + i) for i in range(count)), along(depth), along(where.channel))
        return b.contract(x, filter, (*axes, *kernel, filter.shape[-2]), count + 2, left, right)

    def _depthwise(self, b: Any, input: Any, x: Any, filter: Any, out: Sequence[Index]) -> Any:
        where, count = self.layout, self.spatial_rank
        kernel, channels, multiplier = filter.shape[:-2], filter.shape[-2], filter.shape[-1]
        # The output channel is (channel, multiplier): two axes where the one dimension will be.
        at = where.channel
        axes = list(where.arrange(input.shape[0], channels, out))
        axes.insert(at + 1, multiplier)
        first = where.spatial[0] + (at < where.spatial[0])
        taps = count + 3
        left = where.arrange(along(0), along(at), self.windows(first, taps))
        right = (*(along(taps + i) for i in range(count)), along(at), along(at + 1))
        y = b.contract(x, filter, (*axes, *kernel), count + 3, left, right)
        return b.view(y, where.arrange(input.shape[0], channels * multiplier, out))

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        x, w = node.inputs
        fields = self.attributes()
        return [make(self.input_type, shape(x), w, dy, **fields), make(self.filter_type, x, shape(w), dy, **fields)]


class BackpropInput(Convolution, abstract=True):
    """The gradient of a convolution for its input, whose sizes the first operand holds; also the transposed convolution."""

    arguments = ("input_sizes: int32", "filter: T", "out_backprop: T")
    results = ("output: T",)

    def infer(self, input_sizes: TensorSpec, filter: TensorSpec, out_backprop: TensorSpec) -> TensorSpec:
        self.validate()
        rank = self.spatial_rank + 2
        need_rank(filter, rank)
        need_rank(out_backprop, rank)
        return TensorSpec(out_backprop.dtype, whole_shape(input_sizes, rank))

    def reference(self, input_sizes: Any, filter: Any, out_backprop: Any) -> Any:
        kernel = filter.shape[:-2]
        where = self.layout
        x, places = self.numpy_windows(np.zeros([int(d) for d in input_sizes]), kernel)
        dy = np.moveaxis(out_backprop, where.channel, -1).astype(np.float64)
        for position, cut in places:
            w = filter[position].astype(np.float64)
            if self.depthwise:
                x[cut] += (dy.reshape(*dy.shape[:-1], *w.shape) * w).sum(-1)
            else:
                x[cut] += dy @ w.T
        sizes = where.of_spatial([int(d) for d in input_sizes])
        spans = self.geometry(sizes, kernel)
        inner = tuple(slice(int(s.low), int(s.low) + n) for s, n in zip(spans, sizes, strict=True))  # type: ignore[arg-type]
        return np.moveaxis(x[(slice(None), *inner)], -1, where.channel).astype(out_backprop.dtype)

    def decompose(self, b: Any, input_sizes: Any, filter: Any, out_backprop: Any) -> Any:
        where, count = self.layout, self.spatial_rank
        sizes = b.sizes(input_sizes)
        kernel = filter.shape[:-2]
        extents = where.of_spatial(sizes)
        spans = self.geometry(extents, kernel)
        strides, dilations = where.of_spatial(self.strides), where.of_spatial(self.dilations)
        self._check(out_backprop, sizes, spans, filter)
        filter, spans, strides = single_windows(b, filter, extents, spans, strides, dilations)
        kernel = filter.shape[:-2]
        numbers = all(isinstance(sp.low, int) for sp in spans) and all(isinstance(k, int) for k in kernel)
        if max(strides) > 1 and max(dilations) == 1 and numbers and not self.depthwise:
            return by_phases(b, where, sizes, spans, strides, filter, out_backprop)
        low, high, starts = [], [], []
        for extent, k, s, d, sp in zip(extents, kernel, strides, dilations, spans, strict=True):
            # Output position i meets dy at i + low - tap*dilation: the border makes the least of these 0 and holds the largest.
            before = maximum((k - 1) * d - sp.low, 0)
            low.append(before)
            high.append(maximum(extent - 1 + sp.low - (sp.out - 1) * s, 0))
            starts.append(sp.low - (k - 1) * d + before)
        dy = out_backprop
        first = where.spatial[0]
        if self.depthwise:
            return self._depthwise(b, sizes, filter, dy, low, high, starts)
        interior = where.arrange(0, 0, [s - 1 for s in strides])
        dy = b.halo(dy, where.arrange(0, 0, low), where.arrange(0, 0, high), interior=interior)
        taps, depth = count + 2, 2 * count + 2
        places = [(((first + i, 1), (taps + i, d)), start) for i, (d, start) in enumerate(zip(dilations, starts, strict=True))]
        left = where.arrange(along(where.batch), along(depth), places)
        right = (*((((taps + i, -1),), k - 1) for i, k in enumerate(kernel)), along(where.channel), along(depth))
        return b.contract(dy, filter, (*sizes, *kernel, filter.shape[-1]), count + 2, left, right)

    def _check(self, dy: Any, sizes: Sequence[Index], spans: Sequence[Span], filter: Any) -> None:
        where = self.layout
        for got, sp in zip(where.of_spatial(dy.shape), spans, strict=True):
            if isinstance(got, int) and isinstance(sp.out, int) and got != sp.out:
                raise ValueError(
                    f"{self.type}: Size of out_backprop doesn't match computed: actual = {got}, computed = {sp.out}, "
                    f"input sizes {shown(sizes)}, filter {shown(filter.shape)}"
                )
        merge(sizes[where.channel], filter.shape[-2])

    def _depthwise(self, b: Any, sizes: Sequence[Index], filter: Any, dy: Any, low: Any, high: Any, starts: Any) -> Any:
        where, count = self.layout, self.spatial_rank
        kernel, channels, multiplier = filter.shape[:-2], filter.shape[-2], filter.shape[-1]
        at = where.channel
        spatial = tuple(a if a < at else a + 1 for a in where.spatial)
        dy = b.view(dy, (*dy.shape[:at], channels, multiplier, *dy.shape[at + 1 :]))

        def spread(values: Sequence[Any], rest: Any) -> list[Any]:
            out = [rest] * (count + 3)
            for a, v in zip(spatial, values, strict=True):
                out[a] = v
            return out

        strides, dilations = where.of_spatial(self.strides), where.of_spatial(self.dilations)
        dy = b.halo(dy, spread(low, 0), spread(high, 0), interior=spread([s - 1 for s in strides], 0))
        first, taps, depth = where.spatial[0], count + 2, 2 * count + 2
        places = [(((first + i, 1), (taps + i, d)), start) for i, (d, start) in enumerate(zip(dilations, starts, strict=True))]
        left = spread(places, None)
        left[0], left[at], left[at + 1] = along(0), along(at), along(depth)
        right = (*((((taps + i, -1),), k - 1) for i, k in enumerate(kernel)), along(at), along(depth))
        return b.contract(dy, filter, (*sizes, *kernel, multiplier), count + 2, tuple(left), right)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        _, w, out_backprop = node.inputs
        fields = self.attributes()
        return [None, make(self.filter_type, dy, shape(w), out_backprop, **fields), make(self.forward_type, dy, w, **fields)]


class BackpropFilter(Convolution, abstract=True):
    """The gradient of a convolution for its filter, whose sizes the second operand holds."""

    arguments = ("input: T", "filter_sizes: int32", "out_backprop: T")
    results = ("output: T",)

    def infer(self, input: TensorSpec, filter_sizes: TensorSpec, out_backprop: TensorSpec) -> TensorSpec:
        self.validate()
        rank = self.spatial_rank + 2
        need_rank(input, rank)
        need_rank(out_backprop, rank)
        return TensorSpec(input.dtype, whole_shape(filter_sizes, rank))

    def reference(self, input: Any, filter_sizes: Any, out_backprop: Any) -> Any:
        sizes = [int(d) for d in filter_sizes]
        x, places = self.numpy_windows(input.astype(np.float64), sizes[:-2])
        dy = np.moveaxis(out_backprop, self.layout.channel, -1).astype(np.float64)
        out = np.zeros(sizes)
        for position, cut in places:
            part = x[cut].reshape(-1, x.shape[-1])
            rows = dy.reshape(part.shape[0], -1)
            if self.depthwise:
                out[position] = (part[:, :, None] * rows.reshape(-1, *sizes[-2:])).sum(0)
            else:
                out[position] = part.T @ rows
        return out.astype(input.dtype)

    def decompose(self, b: Any, input: Any, filter_sizes: Any, out_backprop: Any) -> Any:
        where, count = self.layout, self.spatial_rank
        sizes = b.sizes(filter_sizes)
        kernel = sizes[:-2]
        spans = self.geometry(where.of_spatial(input.shape), kernel)
        x = self.padded(b, input, spans)
        out = [s.out for s in spans]
        # Axes: the filter's dimensions, then the batch, then output positions.
        first = count + 3
        steps = zip(where.of_spatial(self.strides), where.of_spatial(self.dilations), strict=True)
        places = [(((first + i, s), (i, d)), 0) for i, (s, d) in enumerate(steps)]
        left = where.arrange(along(count + 2), along(count), places)
        dy, at = out_backprop, where.channel
        if self.depthwise:
            dy = b.view(dy, (*dy.shape[:at], sizes[-2], sizes[-1], *dy.shape[at + 1 :]))
            right = list(where.arrange(along(count + 2), along(count), [along(first + i) for i in range(count)]))
            right.insert(at + 1, along(count + 1))
        else:
            right = list(where.arrange(along(count + 2), along(count + 1), [along(first + i) for i in range(count)]))
        return b.contract(x, dy, (*sizes, merge(input.shape[0], dy.shape[0]), *out), count + 2, left, tuple(right))

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        x, _, out_backprop = node.inputs
        fields = self.attributes()
        return [make(self.input_type, shape(x), dy, out_backprop, **fields), None, make(self.forward_type, x, dy, **fields)]


_TWO = {"forward_type": "Conv2D", "input_type": "Conv2DBackpropInput", "filter_type": "Conv2DBackpropFilter"}
_ONE = (1, 1, 1, 1)


class Conv2D(Forward):
    """Convolution over two dimensions; the filter is (height, width, input channels, output channels)."""

    forward_type, input_type, filter_type = _TWO.values()
    strides: tuple[int, ...]
    use_cudnn_on_gpu: bool = True
    explicit_paddings: tuple[int, ...] = ()  # type: ignore[misc]
    cases = (
        Case((2, 5, 6, 3), (3, 3, 3, 4), strides=_ONE, padding="SAME"), Case((2, 5, 6, 3), (3, 2, 3, 4), strides=_ONE, padding="VALID"),
        Case((2, 7, 6, 3), (3, 3, 3, 4), strides=(1, 2, 3, 1), padding="SAME"),
        Case((1, 9, 9, 2), (3, 3, 2, 5), strides=_ONE, padding="SAME", dilations=(1, 2, 2, 1)),
        Case((2, 3, 5, 6), (3, 3, 3, 4), strides=_ONE, padding="SAME", data_format="NCHW"),
        Case((2, 3, 7, 6), (2, 3, 3, 4), strides=(1, 1, 2, 2), padding="VALID", data_format="NCHW"),
        Case((1, 4, 5, 2), (3, 3, 2, 3), strides=_ONE, padding="EXPLICIT", explicit_paddings=(0, 0, 1, 2, 0, 1, 0, 0)),
        Case((1, 1, 1, 3), (1, 1, 3, 17), strides=_ONE, padding="VALID"),
        Case((2, 1, 2, 3), (3, 5, 3, 4), strides=(1, 1, 2, 1), padding="SAME"),
        Case((2, 1, 4, 3), (3, 3, 3, 4), strides=_ONE, padding="SAME", dilations=(1, 2, 2, 1)),
        Case((0, 5, 5, 1), (3, 3, 1, 2), strides=_ONE, padding="SAME"),
        Case((1, 2, 5, 1), (3, 3, 1, 1), strides=_ONE, padding="VALID",
             error=("ValueError", "Negative dimension size caused by subtracting 3 from 2")),
        Case((1, 5, 5, 3), (3, 3, 4, 1), strides=_ONE, padding="VALID", error=("ValueError", "Dimensions must be equal, but are 3 and 4")),
    )  # fmt: skip


class Conv2DBackpropInput(BackpropInput):
    """The gradient of Conv2D for its input."""

    forward_type, input_type, filter_type = _TWO.values()
    use_cudnn_on_gpu: bool = True
    explicit_paddings: tuple[int, ...] = ()  # type: ignore[misc]
    cases = (
        Case(i32(2, 5, 6, 3), (3, 3, 3, 4), (2, 5, 6, 4), strides=_ONE, padding="SAME"),
        Case(i32(2, 7, 6, 3), (3, 2, 3, 4), (2, 5, 5, 4), strides=_ONE, padding="VALID"),
        Case(i32(2, 7, 6, 3), (3, 3, 3, 4), (2, 4, 2, 4), strides=(1, 2, 3, 1), padding="SAME"),
        Case(i32(1, 9, 9, 2), (3, 3, 2, 5), (1, 9, 9, 5), strides=_ONE, padding="SAME", dilations=(1, 2, 2, 1)),
        Case(i32(2, 3, 8, 6), (2, 3, 3, 4), (2, 4, 4, 2), strides=(1, 1, 2, 2), padding="VALID", data_format="NCHW"),
        Case(i32(1, 4, 5, 2), (3, 3, 2, 3), (1, 5, 4, 3), strides=_ONE, padding="EXPLICIT", explicit_paddings=(0, 0, 1, 2, 0, 1, 0, 0)),
    )  # fmt: skip


class Conv2DBackpropFilter(BackpropFilter):
    """The gradient of Conv2D for its filter."""

    forward_type, input_type, filter_type = _TWO.values()
    use_cudnn_on_gpu: bool = True
    explicit_paddings: tuple[int, ...] = ()  # type: ignore[misc]
    cases = (
        Case((2, 5, 6, 3), i32(3, 3, 3, 4), (2, 5, 6, 4), strides=_ONE, padding="SAME"),
        Case((2, 7, 6, 3), i32(3, 2, 3, 4), (2, 5, 5, 4), strides=_ONE, padding="VALID"),
        Case((2, 7, 6, 3), i32(3, 3, 3, 4), (2, 4, 2, 4), strides=(1, 2, 3, 1), padding="SAME"),
        Case((1, 9, 9, 2), i32(3, 3, 2, 5), (1, 9, 9, 5), strides=_ONE, padding="SAME", dilations=(1, 2, 2, 1)),
        Case((2, 3, 5, 6), i32(3, 3, 3, 4), (2, 4, 5, 6), strides=_ONE, padding="SAME", data_format="NCHW"),
    )  # fmt: skip


_DEPTHWISE = {
    "forward_type": "DepthwiseConv2dNative", "input_type": "DepthwiseConv2dNativeBackpropInput",
    "filter_type": "DepthwiseConv2dNativeBackpropFilter",
}  # fmt: skip


class DepthwiseConv2dNative(Forward):
    """Each channel convolved with its own `multiplier` filters; the filter is (height, width, channels, multiplier)."""

    depthwise = True
    forward_type, input_type, filter_type = _DEPTHWISE.values()
    cases = (
        Case((2, 5, 6, 3), (3, 3, 3, 2), strides=_ONE, padding="SAME"),
        Case((2, 7, 6, 3), (3, 3, 3, 1), strides=(1, 2, 2, 1), padding="SAME"),
        Case((2, 3, 5, 6), (3, 2, 3, 2), strides=_ONE, padding="VALID", data_format="NCHW"),
        Case((1, 9, 9, 2), (3, 3, 2, 1), strides=_ONE, padding="VALID", dilations=(1, 2, 2, 1)),
        Case((2, 1, 2, 3), (3, 5, 3, 2), strides=(1, 2, 2, 1), padding="SAME"),
    )  # fmt: skip


class DepthwiseConv2dNativeBackpropInput(BackpropInput):
    """The gradient of DepthwiseConv2dNative for its input."""

    depthwise = True
    forward_type, input_type, filter_type = _DEPTHWISE.values()
    cases = (
        Case(i32(2, 5, 6, 3), (3, 3, 3, 2), (2, 5, 6, 6), strides=_ONE, padding="SAME"),
        Case(i32(2, 7, 6, 3), (3, 3, 3, 1), (2, 4, 3, 3), strides=(1, 2, 2, 1), padding="SAME"),
        Case(i32(2, 3, 5, 6), (3, 2, 3, 2), (2, 6, 3, 5), strides=_ONE, padding="VALID", data_format="NCHW"),
        Case(i32(2, 1, 2, 3), (3, 5, 3, 2), (2, 1, 1, 6), strides=(1, 2, 2, 1), padding="SAME"),
    )  # fmt: skip


class DepthwiseConv2dNativeBackpropFilter(BackpropFilter):
    """The gradient of DepthwiseConv2dNative for its filter."""

    depthwise = True
    forward_type, input_type, filter_type = _DEPTHWISE.values()
    cases = (
        Case((2, 5, 6, 3), i32(3, 3, 3, 2), (2, 5, 6, 6), strides=_ONE, padding="SAME"),
        Case((2, 7, 6, 3), i32(3, 3, 3, 1), (2, 4, 3, 3), strides=(1, 2, 2, 1), padding="SAME"),
        Case((2, 3, 5, 6), i32(3, 2, 3, 2), (2, 6, 3, 5), strides=_ONE, padding="VALID", data_format="NCHW"),
    )  # fmt: skip


_THREE = {"forward_type": "Conv3D", "input_type": "Conv3DBackpropInputV2", "filter_type": "Conv3DBackpropFilterV2"}
_ONES = (1, 1, 1, 1, 1)


class Conv3D(Forward):
    """Convolution over three dimensions."""

    spatial_rank = 3
    forward_type, input_type, filter_type = _THREE.values()
    data_format: str = "NDHWC"
    dilations: tuple[int, ...] = _ONES
    cases = (
        Case((1, 4, 5, 6, 2), (2, 3, 2, 2, 3), strides=_ONES, padding="SAME"),
        Case((2, 5, 4, 5, 2), (2, 2, 3, 2, 3), strides=(1, 2, 1, 2, 1), padding="VALID"),
        Case((1, 2, 4, 5, 6), (2, 3, 2, 2, 3), strides=_ONES, padding="SAME", data_format="NCDHW"),
    )  # fmt: skip


class Conv3DBackpropInputV2(BackpropInput):
    """The gradient of Conv3D for its input."""

    spatial_rank = 3
    forward_type, input_type, filter_type = _THREE.values()
    arguments = ("input_sizes: Tshape", "filter: T", "out_backprop: T")
    types = {"T": FLOATING, "Tshape": INDEX}
    data_format: str = "NDHWC"
    dilations: tuple[int, ...] = _ONES
    cases = (
        Case(i32(1, 4, 5, 6, 2), (2, 3, 2, 2, 3), (1, 4, 5, 6, 3), strides=_ONES, padding="SAME"),
        Case(i32(2, 5, 4, 5, 2), (2, 2, 3, 2, 3), (2, 2, 3, 2, 3), strides=(1, 2, 1, 2, 1), padding="VALID"),
    )  # fmt: skip


class Conv3DBackpropFilterV2(BackpropFilter):
    """The gradient of Conv3D for its filter."""

    spatial_rank = 3
    forward_type, input_type, filter_type = _THREE.values()
    data_format: str = "NDHWC"
    dilations: tuple[int, ...] = _ONES
    cases = (
        Case((1, 4, 5, 6, 2), i32(2, 3, 2, 2, 3), (1, 4, 5, 6, 3), strides=_ONES, padding="SAME"),
        Case((2, 5, 4, 5, 2), i32(2, 2, 3, 2, 3), (2, 2, 3, 2, 3), strides=(1, 2, 1, 2, 1), padding="VALID"),
    )  # fmt: skip
