"""Colours as hue, saturation and value, and their changes. The last dimension holds the three of a pixel.

Smith, "Color gamut transform pairs", SIGGRAPH 1978. Hues go round in [0, 1).
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from typing import Any

import numpy as np

from graphflow.dtypes import FLOATING, float16, float32
from graphflow.graph.op import Case, TensorSpec
from graphflow.ops.families import Composite
from graphflow.ops.sizes import need_rank_at_least

Channels = tuple[Any, Any, Any]


def _split(b: Any, x: Any) -> Channels:
    lead = x.shape[:-1]
    parts = [b.view(b.section(x, (*(0 for _ in lead), n), (*lead, 1)), lead) for n in range(3)]
    return parts[0], parts[1], parts[2]


def _joined(b: Any, parts: Channels) -> Any:
    return b.join([b.view(p, (*p.shape, 1)) for p in parts], -1)


def _to_hsv(b: Any, rgb: Channels) -> Channels:
    red, green, blue = rgb
    value = b.maximum(b.maximum(red, green), blue)
    spread = b.sub(value, b.minimum(b.minimum(red, green), blue))
    saturation = b.select(b.greater(value, 0), b.div(spread, value), b.constant(0, value.dtype))
    step = b.div(b.constant(1 / 6, value.dtype), spread)
    of_blue = b.add(b.mul(step, b.sub(red, green)), 4 / 6)
    of_green = b.add(b.mul(step, b.sub(blue, red)), 2 / 6)
    hue = b.select(b.equal(red, value), b.mul(step, b.sub(green, blue)), b.select(b.equal(green, value), of_green, of_blue))
    hue = b.select(b.greater(spread, 0), hue, b.constant(0, value.dtype))
    return b.select(b.less(hue, 0), b.add(hue, 1), hue), saturation, value


def _to_rgb(b: Any, hsv: Channels) -> Channels:
    hue, saturation, value = hsv
    sixths = b.mul(hue, 6)

    def channel(shift: float, sign: int) -> Any:
        height = b.add(b.mul(b.abs(b.sub(sixths, shift)), sign), -sign if sign > 0 else 2)
        share = b.minimum(b.maximum(height, 0), 1)
        return b.mul(b.add(b.sub(1, saturation), b.mul(saturation, share)), value)

    return channel(3, 1), channel(2, -1), channel(4, -1)


def _by_pixel(x: Any, function: Callable[..., Any]) -> Any:
    pixels = [function(*map(float, p)) for p in np.reshape(x, (-1, 3))]
    return np.array(pixels, np.float64).reshape(x.shape).astype(x.dtype)


class _Colors(Composite, abstract=True):
    differentiable = False

    def infer(self, images: TensorSpec, *settings: TensorSpec) -> TensorSpec:
        need_rank_at_least(images, 1)
        if images.dims is not None and isinstance(images.dims[-1], int) and images.dims[-1] != 3:
            raise ValueError(f"Dimension must be 3 but is {images.dims[-1]}: the last dimension holds the channels")
        if any(s.dims for s in settings):
            raise ValueError("Shape must be rank 0: one number for all pixels")
        return TensorSpec(images.dtype, images.dims)


class RGBToHSV(_Colors):
    """Red, green and blue in [0, 1] as hue, saturation and value."""

    arguments = ("images: T",)
    results = ("output: T",)
    types = {"T": FLOATING}
    cases = (
        Case((2, 4, 3), low=0.0, high=1.0), Case([[0.5, 0.5, 0.5], [0.0, 0.0, 0.0], [1.0, 0.0, 0.2], [0.2, 0.9, 0.9]]), Case((0, 3)),
        Case((2, 4), error=("ValueError", "Dimension must be 3 but is 4")),
    )  # fmt: skip

    def reference(self, images: Any) -> Any:
        return _by_pixel(images, colorsys.rgb_to_hsv)

    def decompose(self, b: Any, images: Any) -> Any:
        return _joined(b, _to_hsv(b, _split(b, images)))


class HSVToRGB(_Colors):
    """Hue, saturation and value in [0, 1] as red, green and blue."""

    arguments = ("images: T",)
    results = ("output: T",)
    types = {"T": FLOATING}
    cases = (Case((2, 4, 3), low=0.0, high=1.0), Case([[0.0, 0.0, 0.5], [0.5, 1.0, 1.0]]), Case((0, 3)))

    def reference(self, images: Any) -> Any:
        return _by_pixel(images, colorsys.hsv_to_rgb)

    def decompose(self, b: Any, images: Any) -> Any:
        return _joined(b, _to_rgb(b, _split(b, images)))


class AdjustHue(_Colors):
    """The images with `delta` added to every hue."""

    arguments = ("images: T", "delta: float32")
    results = ("output: T",)
    types = {"T": (float32, float16)}
    cases = (
        Case((2, 4, 3), np.float32(0.25), low=0.0, high=1.0, dtypes=("float32",)),
        Case((3, 2, 3), np.float32(-1.7), low=0.0, high=1.0, dtypes=("float32",)),
    )

    def reference(self, images: Any, delta: Any) -> Any:
        def turned(red: float, green: float, blue: float) -> Any:
            hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
            return colorsys.hsv_to_rgb((hue + float(delta)) % 1, saturation, value)

        return _by_pixel(images, turned)

    def decompose(self, b: Any, images: Any, delta: Any) -> Any:
        hue, saturation, value = _to_hsv(b, _split(b, images))
        moved = b.add(hue, b.broadcast(b.cast(delta, images.dtype), hue.shape))
        return _joined(b, _to_rgb(b, (b.sub(moved, b.make("Floor", moved)), saturation, value)))


class AdjustSaturation(_Colors):
    """The images with every saturation times `scale`, at most 1."""

    arguments = ("images: T", "scale: float32")
    results = ("output: T",)
    types = {"T": (float32, float16)}
    cases = (
        Case((2, 4, 3), np.float32(0.5), low=0.0, high=1.0, dtypes=("float32",)),
        Case((2, 4, 3), np.float32(3.0), low=0.0, high=1.0, dtypes=("float32",)),
    )

    def reference(self, images: Any, scale: Any) -> Any:
        def scaled(red: float, green: float, blue: float) -> Any:
            hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
            return colorsys.hsv_to_rgb(hue, min(max(saturation * float(scale), 0.0), 1.0), value)

        return _by_pixel(images, scaled)

    def decompose(self, b: Any, images: Any, scale: Any) -> Any:
        hue, saturation, value = _to_hsv(b, _split(b, images))
        scaled = b.mul(saturation, b.broadcast(b.cast(scale, images.dtype), saturation.shape))
        return _joined(b, _to_rgb(b, (hue, b.minimum(b.maximum(scaled, 0), 1), value)))
