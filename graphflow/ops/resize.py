"""Images made larger or smaller: by the nearest pixel, and by interpolating between four."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.dtypes import float16, float32, float64, int8, int16, int32, int64, uint8, uint16
from graphflow.graph.build import make
from graphflow.graph.op import Case, TensorSpec
from graphflow.ops.families import Composite
from graphflow.ops.logic import cast
from graphflow.ops.ranges import range as range_of
from graphflow.ops.reshape import transpose
from graphflow.ops.shape import shape
from graphflow.ops.sizes import contents, need_rank, need_rank_at_least

__all__: list[str] = []

PIXELS = (int8, uint8, int16, uint16, int32, int64, float16, float32, float64)


def _size(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


class Resize(Composite, abstract=True):
    """What the resizing ops share: [batch, height, width, channels] and the new [height, width]."""

    arguments = ("images: T", "size: int32")
    types = {"T": PIXELS}
    align_corners: bool = False
    half_pixel_centers: bool = False

    def infer(self, images: TensorSpec, size: TensorSpec) -> TensorSpec:
        need_rank(images, 4)
        if size.dims is not None and (len(size.dims) != 1 or size.dims[0] not in (None, 2)):
            raise ValueError(f"Dimension must be 2 but is {size.dims[0] if size.dims else 'a scalar'}")
        new = contents(size)
        if new is not None and any(isinstance(n, int) and n <= 0 for n in new):
            raise ValueError("output dimensions must be positive")
        batch, channels = (None, None) if images.dims is None else (images.dims[0], images.dims[3])
        return TensorSpec(self.result_type(images), (batch, *(new or (None, None)), channels))

    def result_type(self, images: TensorSpec) -> Any:
        """The type of the result."""
        return images.dtype

    # One formula three times: for numpy arrays, Program values and graph tensors.

    def _positions(self, number: Any, old: Any, new: Any) -> Any:
        """Where the new pixels lie among the old ones, as float32; `number` counts the new pixels."""
        inner = (old - 1.0) / np.maximum(new - 1.0, 1.0)
        scale = np.where(new > 1, inner, old / new) if self.align_corners else old / new
        return (number + np.float32(0.5)) * np.float32(scale) if self.half_pixel_centers else number * np.float32(scale)

    def positions(self, b: Any, old: Any, new: Any) -> Any:
        """`_positions` in a Program."""
        number = b.iota((new,), 0, "float32")
        of_old, of_new = (b.cast(b.constant(n, "int32"), "float32") for n in (old, new))
        scale = b.div(of_old, of_new)
        if self.align_corners:
            inner = b.div(b.sub(of_old, 1), b.maximum(b.sub(of_new, 1), 1))
            scale = b.select(b.greater(of_new, 1), inner, scale)
        return b.mul(b.add(number, 0.5), scale) if self.half_pixel_centers else b.mul(number, scale)

    def graph_positions(self, old: Any, new: Any) -> Any:
        """`_positions` as graph tensors of int32 sizes."""
        number, of_old, of_new = cast(range_of(new), float32), cast(old, float32), cast(new, float32)
        scale = of_old / of_new
        if self.align_corners:
            inner = (of_old - 1.0) / make("Maximum", of_new - 1.0, 1.0)
            scale = make("Select", make("Greater", of_new, 1.0), inner, scale)
        return (number + 0.5) * scale if self.half_pixel_centers else number * scale


def _gathered_back(dy: Any, places: Any, size: Any, axis: int) -> Any:
    """The gradient of taking `places` along an axis."""
    order = [axis, *(a for a in (0, 1, 2, 3) if a != axis)]
    rows = make("UnsortedSegmentSum", transpose(dy, order), places, size)
    return transpose(rows, [order.index(a) for a in (0, 1, 2, 3)])


class ResizeNearestNeighbor(Resize):
    """Each new pixel is the old one at its place."""

    results = ("resized_images: T",)
    cases = (
        Case((2, 3, 4, 2), _size(6, 8)), Case((1, 5, 7, 1), _size(2, 3)), Case((1, 3, 4, 2), _size(6, 7), align_corners=True),
        Case((1, 3, 4, 2), _size(6, 7), half_pixel_centers=True), Case((1, 2, 2, 1), _size(1, 1), align_corners=True),
        Case((1, 2, 2, 1), _size(0, 1), error=("ValueError", "must be positive")),
    )  # fmt: skip

    def reference(self, images: Any, size: Any) -> Any:
        for axis in (1, 2):
            old, new = images.shape[axis], int(size[axis - 1])
            at = self._positions(np.arange(new, dtype=np.float32), np.float32(old), np.float32(new))
            at = np.floor(at + np.float32(0.5)) if self.align_corners else np.floor(at)
            images = np.take(images, np.clip(at, 0, old - 1).astype(np.int32), axis)
        return images

    def decompose(self, b: Any, images: Any, size: Any) -> Any:
        for axis, new in zip((1, 2), b.sizes(size), strict=True):
            old, at = images.shape[axis], self.positions(b, images.shape[axis], new)
            at = b.make("Floor", b.add(at, 0.5) if self.align_corners else at)
            images = b.take(images, b.minimum(b.cast(at, "int32"), b.constant(old - 1, "int32")), axis)
        return images

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        images, size = node.inputs
        sizes = shape(images)
        for axis in (2, 1):
            at = self.graph_positions(sizes[axis], size[axis - 1])
            at = make("Floor", at + 0.5 if self.align_corners else at)
            dy = _gathered_back(dy, make("Minimum", cast(at, int32), sizes[axis] - 1), sizes[axis], axis)
        return [dy, None]


class ResizeBilinear(Resize):
    """Each new pixel is a mean of the four old ones around its place, weighted by nearness. The result is float32."""

    results = ("resized_images: float32",)
    cases = (
        Case((2, 3, 4, 2), _size(6, 8), dtypes=("float32",)), Case((1, 5, 7, 1), _size(2, 3), dtypes=("float32", "uint8"), gradient=False),
        Case((1, 3, 4, 2), _size(6, 7), dtypes=("float32",), align_corners=True),
        Case((1, 3, 4, 2), _size(6, 7), dtypes=("float32",), half_pixel_centers=True),
        Case((1, 2, 2, 1), _size(0, 1), error=("ValueError", "must be positive")),
    )  # fmt: skip

    def result_type(self, images: TensorSpec) -> Any:
        return float32

    def reference(self, images: Any, size: Any) -> Any:
        images = images.astype(np.float32)
        for axis in (2, 1):
            old, new = images.shape[axis], int(size[axis - 1])
            at = self._positions(np.arange(new, dtype=np.float32), np.float32(old), np.float32(new))
            at = at - np.float32(0.5) if self.half_pixel_centers else at
            low = np.take(images, np.maximum(np.floor(at), 0).astype(np.int32), axis)
            high = np.take(images, np.clip(np.ceil(at), 0, old - 1).astype(np.int32), axis)
            weight = (at - np.floor(at)).reshape([-1 if a == axis else 1 for a in range(4)])
            images = low + (high - low) * weight
        return images

    def decompose(self, b: Any, images: Any, size: Any) -> Any:
        images, new = b.cast(images, "float32"), b.sizes(size)
        for axis in (2, 1):
            old, at = images.shape[axis], self.positions(b, images.shape[axis], new[axis - 1])
            at = b.sub(at, 0.5) if self.half_pixel_centers else at
            floor = b.make("Floor", at)
            low = b.take(images, b.cast(b.maximum(floor, 0), "int32"), axis)
            above = b.maximum(b.cast(b.make("Ceil", at), "int32"), 0)
            high = b.take(images, b.minimum(above, b.constant(old - 1, "int32")), axis)
            weight = b.view(b.sub(at, floor), tuple(new[axis - 1] if a == axis else 1 for a in range(4)))
            images = b.add(low, b.mul(b.sub(high, low), weight))
        return images

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        images, size = node.inputs
        sizes = shape(images)
        for axis in (1, 2):
            at = self.graph_positions(sizes[axis], size[axis - 1])
            at = at - 0.5 if self.half_pixel_centers else at
            floor = make("Floor", at)
            low = make("Maximum", cast(floor, int32), 0)
            high = make("Maximum", make("Minimum", cast(make("Ceil", at), int32), sizes[axis] - 1), 0)
            weight = make("Reshape", at - floor, [-1 if a == axis else 1 for a in range(4)])
            near = _gathered_back(dy * (1.0 - weight), low, sizes[axis], axis)
            dy = near + _gathered_back(dy * weight, high, sizes[axis], axis)
        return [cast(dy, images.dtype.base_dtype), None]


class AdjustContrastv2(Composite):
    """Each channel's distance from its mean over the image, times the factor."""

    arguments = ("images: T", "contrast_factor: float32")
    results = ("output: T",)
    types = {"T": (float16, float32)}
    differentiable = False
    cases = (Case((2, 3, 4, 3), np.float32(1.5), dtypes=("float32",)), Case((3, 4, 1), np.float32(0.5), dtypes=("float32",)))

    def infer(self, images: TensorSpec, contrast_factor: TensorSpec) -> TensorSpec:
        need_rank_at_least(images, 3)
        return images

    def reference(self, images: Any, contrast_factor: Any) -> Any:
        mean = images.mean((-3, -2), keepdims=True)
        return ((images - mean) * contrast_factor + mean).astype(images.dtype)

    def decompose(self, b: Any, images: Any, contrast_factor: Any) -> Any:
        rank = len(images.shape)
        axes = (rank - 3, rank - 2)
        pixels = b.cast(b.constant(images.shape[axes[0]] * images.shape[axes[1]], "int32"), images.dtype)
        mean = b.div(b.reduce("add", images, axes, keepdims=True), pixels)
        return b.add(b.mul(b.sub(images, mean), b.cast(contrast_factor, images.dtype)), mean)
