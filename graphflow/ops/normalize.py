"""Normalisation with kernels of its own name in TensorFlow: FusedBatchNorm in its three versions, LRN, and their gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.dtypes import float16, float32
from graphflow.graph.build import make
from graphflow.graph.op import Case, TensorSpec
from graphflow.kernel.index import product
from graphflow.ops.families import Composite
from graphflow.ops.sizes import Size, merge, need_rank
from graphflow.ops.windowed import WindowFold
from graphflow.ops.windows import layout

_STATISTICS = ((3,), (3,), (3,), (3,))


class BatchNorm(Composite, abstract=True):
    """What the batch normalisations share: attributes and geometry."""

    epsilon: float = 0.0001
    data_format: str = "NHWC"
    is_training: bool = True

    def attributes(self) -> dict[str, Any]:
        """The fields, to build the gradient with the same ones."""
        return {n: getattr(self, n) for n in ("epsilon", "data_format", "is_training")}

    def channel(self) -> int:
        """The dimension that is not averaged over."""
        return layout(self.data_format).channel

    def axes(self) -> list[int]:
        """The dimensions averaged over."""
        return [a for a in range(4) if a != self.channel()]

    def spread(self, b: Any, v: Any) -> Any:
        """A vector over channels, ready to broadcast."""
        return v if self.channel() == 3 else b.view(v, (v.shape[0], 1, 1))

    def count(self, b: Any, x: Any) -> Any:
        """How many elements each channel has."""
        sizes = product(x.shape[a] for a in self.axes())
        return b.cast(b.constant(sizes, "int64"), float32)

    def numpy_last(self, x: Any) -> Any:
        """For the references: channels last, in double precision."""
        return np.moveaxis(x, self.channel(), -1).astype(np.float64)


class FusedBatchNorm(BatchNorm):
    """y = (x - mean) / sqrt(variance + epsilon) * scale + offset, per channel.

    In training mean and variance are the batch's own; the variance that is given out is the unbiased estimate.
    """

    arguments = ("x: T", "scale: T", "offset: T", "mean: T", "variance: T")
    results = ("y: T", "batch_mean: T", "batch_variance: T", "reserve_space_1: T", "reserve_space_2: T")
    types = {"T": (float32,)}
    reserved = 2
    cases = (
        Case((2, 3, 4, 3), (3,), (3,), np.zeros(0, np.float32), np.zeros(0, np.float32)),
        Case((2, 3, 4, 3), (3,), (3,), (3,), np.array([0.5, 1.0, 2.0], np.float32), is_training=False),
        Case((2, 3, 4, 5), (3,), (3,), np.zeros(0, np.float32), np.zeros(0, np.float32), data_format="NCHW", epsilon=0.01),
    )  # fmt: skip

    def infer(self, x: TensorSpec, *statistics: TensorSpec) -> tuple[TensorSpec, ...]:
        need_rank(x, 4)
        channels: Size = None if x.dims is None else x.dims[self.channel()]
        for s in statistics[: 2 if self.is_training else 4]:
            need_rank(s, 1)
            channels = merge(channels, None if s.dims is None else s.dims[0])
        dims = None if x.dims is None else tuple(channels if a == self.channel() else d for a, d in enumerate(x.dims))
        statistic = statistics[0].dtype
        extra = (TensorSpec(statistic, ()),) if self.reserved == 3 else ()
        return TensorSpec(x.dtype, dims), *(TensorSpec(statistic, (channels,)),) * 4, *extra

    def reference(self, x: Any, scale: Any, offset: Any, mean: Any, variance: Any) -> Any:
        wide = self.numpy_last(x)
        if self.is_training:
            flat = wide.reshape(-1, wide.shape[-1])
            mean, variance = flat.mean(0), flat.var(0)
            unbiased = variance * (len(flat) / max(len(flat) - 1, 1))
        else:
            unbiased = variance
        y = (wide - mean) / np.sqrt(variance + self.epsilon) * scale + offset
        out = (mean, unbiased, mean, variance)
        extra = (np.zeros((), scale.dtype),) if self.reserved == 3 else ()
        return np.moveaxis(y, -1, self.channel()).astype(x.dtype), *(np.asarray(s).astype(scale.dtype) for s in out), *extra

    def decompose(self, b: Any, x: Any, scale: Any, offset: Any, mean: Any, variance: Any) -> Any:
        wide = b.cast(x, float32)
        unbiased = variance
        if self.is_training:
            count = self.count(b, x)
            mean = b.div(b.reduce("add", wide, self.axes()), count)
            distance = b.square(b.sub(wide, self.spread(b, mean)))
            variance = b.div(b.reduce("add", distance, self.axes()), count)
            unbiased = b.mul(variance, b.div(count, b.maximum(b.sub(count, 1.0), 1.0)))
        slope = b.mul(b.rsqrt(b.add(variance, self.epsilon)), scale)
        y = b.add(b.mul(b.sub(wide, self.spread(b, mean)), self.spread(b, slope)), self.spread(b, offset))
        extra = (b.constant(np.zeros((), np.float32)),) if self.reserved == 3 else ()
        return b.cast(y, x.dtype), mean, unbiased, mean, variance, *extra

    def gradient(self, node: Any, *dy: Any) -> Sequence[Any]:
        x, scale = node.inputs[0], node.inputs[1]
        first, second = (node.outputs[3], node.outputs[4]) if self.is_training else (node.inputs[3], node.inputs[4])
        reserved = (first, second, node.outputs[5]) if self.reserved == 3 else (first, second)
        version = type(self).__name__.removeprefix("FusedBatchNorm")
        upstream = make("ZerosLike", node.outputs[0]) if dy[0] is None else dy[0]
        dx, dscale, doffset, _, _ = make(f"FusedBatchNormGrad{version}", upstream, x, scale, *reserved, **self.attributes())
        return [dx, dscale, doffset, None, None]


class FusedBatchNormV2(FusedBatchNorm):
    """FusedBatchNorm whose statistics have a type of their own."""

    arguments = ("x: T", "scale: U", "offset: U", "mean: U", "variance: U")
    results = ("y: T", "batch_mean: U", "batch_variance: U", "reserve_space_1: U", "reserve_space_2: U")
    types = {"T": (float16, float32), "U": (float32,)}


class FusedBatchNormV3(FusedBatchNormV2):
    """FusedBatchNormV2 with a third reserve, which only other devices use."""

    results = (*FusedBatchNormV2.results, "reserve_space_3: U")
    reserved = 3


class FusedBatchNormGrad(BatchNorm):
    """The gradients of FusedBatchNorm for x, scale and offset."""

    arguments = ("y_backprop: T", "x: T", "scale: T", "reserve_space_1: T", "reserve_space_2: T")
    results = ("x_backprop: T", "scale_backprop: T", "offset_backprop: T", "reserve_space_3: T", "reserve_space_4: T")
    types = {"T": (float32,)}
    differentiable = False
    cases = (
        Case((2, 3, 4, 3), (2, 3, 4, 3), (3,), (3,), np.array([0.5, 1.0, 2.0], np.float32)),
        Case((2, 3, 4, 3), (2, 3, 4, 3), (3,), (3,), np.array([0.5, 1.0, 2.0], np.float32), is_training=False),
        Case((2, 3, 4, 5), (2, 3, 4, 5), (3,), (3,), np.array([0.5, 1.0, 2.0], np.float32), data_format="NCHW"),
    )  # fmt: skip

    def infer(self, y_backprop: TensorSpec, x: TensorSpec, scale: TensorSpec, *reserved: TensorSpec) -> tuple[TensorSpec, ...]:
        need_rank(x, 4)
        need_rank(y_backprop, 4)
        channels: Size = None if x.dims is None else x.dims[self.channel()]
        vector = TensorSpec(scale.dtype, (channels,))
        nothing = TensorSpec(scale.dtype, (0,))
        return TensorSpec(x.dtype, x.dims), vector, vector, nothing, nothing

    def reference(self, y_backprop: Any, x: Any, scale: Any, *reserved: Any) -> Any:
        mean, variance = (r.astype(np.float64) for r in reserved[:2])
        dy, wide = self.numpy_last(y_backprop), self.numpy_last(x)
        axes = (0, 1, 2)
        inverse = 1 / np.sqrt(variance + self.epsilon)
        normal = (wide - mean) * inverse
        dscale, doffset = (dy * normal).sum(axes), dy.sum(axes)
        dx = dy * inverse * scale
        if self.is_training:
            dx = scale * inverse * (dy - dy.mean(axes) - normal * (dy * normal).mean(axes))
        nothing = np.zeros(0, scale.dtype)
        return (
            np.moveaxis(dx, -1, self.channel()).astype(x.dtype), dscale.astype(scale.dtype), doffset.astype(scale.dtype), nothing, nothing,
        )  # fmt: skip

    def decompose(self, b: Any, y_backprop: Any, x: Any, scale: Any, *reserved: Any) -> Any:
        mean, variance = reserved[:2]
        dy, wide = b.cast(y_backprop, float32), b.cast(x, float32)
        inverse = b.rsqrt(b.add(variance, self.epsilon))
        centred = b.sub(wide, self.spread(b, mean))
        doffset = b.reduce("add", dy, self.axes())
        dscale = b.mul(b.reduce("add", b.mul(dy, centred), self.axes()), inverse)
        slope = self.spread(b, b.mul(inverse, scale))
        if self.is_training:
            count = self.count(b, x)
            pull = b.div(b.mul(inverse, dscale), count)
            dy = b.sub(b.sub(dy, self.spread(b, b.div(doffset, count))), b.mul(centred, self.spread(b, pull)))
        nothing = b.constant(np.zeros(0, np.float32))
        return b.cast(b.mul(dy, slope), x.dtype), dscale, doffset, nothing, nothing


class FusedBatchNormGradV2(FusedBatchNormGrad):
    """The gradients of FusedBatchNormV2."""

    arguments = ("y_backprop: T", "x: T", "scale: float32", "reserve_space_1: U", "reserve_space_2: U")
    results = ("x_backprop: T", "scale_backprop: U", "offset_backprop: U", "reserve_space_3: U", "reserve_space_4: U")
    types = {"T": (float16, float32), "U": (float32,)}


class FusedBatchNormGradV3(FusedBatchNormGradV2):
    """The gradients of FusedBatchNormV3."""

    arguments = (*FusedBatchNormGradV2.arguments, "reserve_space_3: U")
    results = ("x_backprop: T", "scale_backprop: U", "offset_backprop: U", "reserve_space_4: U", "reserve_space_5: U")
    cases = (
        Case((2, 3, 4, 3), (2, 3, 4, 3), (3,), (3,), np.array([0.5, 1.0, 2.0], np.float32), ()),
        Case((2, 3, 4, 5), (2, 3, 4, 5), (3,), (3,), np.array([0.5, 1.0, 2.0], np.float32), (), data_format="NCHW"),
    )  # fmt: skip


class LRN(Composite):
    """x / (bias + alpha * sum of the squares of the channels at most depth_radius away) ** beta"""

    arguments = ("input: T",)
    results = ("output: T",)
    types = {"T": (float16, float32)}
    depth_radius: int = 5
    bias: float = 1.0
    alpha: float = 1.0
    beta: float = 0.5
    cases = (Case((2, 3, 3, 7), depth_radius=2, alpha=0.1, beta=0.75), Case((1, 2, 2, 5), depth_radius=5))

    def infer(self, input: TensorSpec) -> TensorSpec:
        need_rank(input, 4)
        return TensorSpec(input.dtype, input.dims)

    def _numpy_near(self, x: Any) -> Any:
        """The sums over neighbouring channels."""
        out = np.zeros_like(x)
        for c in range(x.shape[-1]):
            out[..., c] = x[..., max(c - self.depth_radius, 0) : c + self.depth_radius + 1].sum(-1)
        return out

    def near(self, b: Any, x: Any) -> Any:
        """The sums over neighbouring channels."""
        r = self.depth_radius
        return b.apply(WindowFold(axes=(3,), size=(2 * r + 1,), stride=(1,), low=(r,), combine="add", out=(x.shape[3],)), x)

    def reference(self, input: Any) -> Any:
        wide = input.astype(np.float64)
        return (wide / (self.bias + self.alpha * self._numpy_near(wide**2)) ** self.beta).astype(input.dtype)

    def decompose(self, b: Any, input: Any) -> Any:
        norm = b.add(b.mul(self.near(b, b.square(input)), self.alpha), self.bias)
        return b.mul(input, self.power(b, norm))

    def power(self, b: Any, norm: Any) -> Any:
        """norm ** -beta as TensorFlow computes it: by logarithm and exponential, but for a beta of a half or one."""
        if self.beta in (0.5, 1):
            return b.pow(norm, -self.beta)
        return b.exp(b.mul(b.log(norm), -self.beta))

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        fields = {n: getattr(self, n) for n in self._fields}
        return [make("LRNGrad", dy, node.inputs[0], node.outputs[0], **fields)]


class LRNGrad(LRN):
    """The gradient of LRN."""

    arguments = ("input_grads: T", "input_image: T", "output_image: T")
    differentiable = False
    cases = (Case((2, 3, 3, 7), (2, 3, 3, 7), (2, 3, 3, 7), depth_radius=2, alpha=0.1, beta=0.75),)

    def infer(self, input_grads: TensorSpec, input_image: TensorSpec, output_image: TensorSpec) -> TensorSpec:
        need_rank(input_image, 4)
        return TensorSpec(input_image.dtype, input_image.dims)

    def reference(self, input_grads: Any, input_image: Any, output_image: Any) -> Any:
        x, dy = input_image.astype(np.float64), input_grads.astype(np.float64)
        norm = self.bias + self.alpha * self._numpy_near(x**2)
        shared = self._numpy_near(dy * output_image / norm)
        return (dy * norm**-self.beta - 2 * self.alpha * self.beta * x * shared).astype(input_image.dtype)

    def decompose(self, b: Any, input_grads: Any, input_image: Any, output_image: Any) -> Any:
        norm = b.add(b.mul(self.near(b, b.square(input_image)), self.alpha), self.bias)
        shared = self.near(b, b.div(b.mul(input_grads, output_image), norm))
        return b.sub(b.mul(input_grads, self.power(b, norm)), b.mul(b.mul(input_image, 2 * self.alpha * self.beta), shared))
