"""Patches of images and volumes as rows of channels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product as combinations
from typing import Any

import numpy as np

from graphflow.dtypes import REAL
from graphflow.graph.build import make
from graphflow.graph.op import Case, TensorSpec
from graphflow.kernel.index import Index
from graphflow.ops.arguments import renamed
from graphflow.ops.families import Composite
from graphflow.ops.sizes import Size, contents, i32, need_rank
from graphflow.ops.windows import Span, check_padding, out_size, span

__all__ = ["extract_image_patches", "extract_volume_patches"]


class Taps(Composite, abstract=True):
    """What ops over dilated patches share. Lists of sizes have one entry per dimension, that of batch and channels being 1."""

    padding: str

    def lists(self) -> tuple[tuple[str, Sequence[int]], ...]:
        """The attributes with sizes, by name."""
        raise NotImplementedError

    def check_lists(self, rank: int) -> None:
        """Refuse sizes that mean nothing."""
        check_padding(self.padding)
        for name, values in self.lists():
            if len(values) != rank:
                raise ValueError(f"{self.type} requires the {name} attribute to contain {rank} values, but got: {len(values)}")
            if values[0] != 1 or values[-1] != 1:
                raise ValueError(f"{self.type}: {name} of batch and channels must be 1, got {list(values)}")
            if any(v <= 0 for v in values):
                raise ValueError(f"{self.type}: {name} must be positive, got {list(values)}")

    def spans(self, extents: Sequence[Index], sizes: Sequence[int], strides: Sequence[int], rates: Sequence[int]) -> list[Span]:
        """The patches along each spatial dimension."""
        wide = [(k - 1) * r + 1 for k, r in zip(sizes, rates, strict=True)]
        return [span(e, k, s, self.padding) for e, k, s in zip(extents, wide, strides, strict=True)]

    def outs(self, extents: Sequence[Size], sizes: Sequence[int], strides: Sequence[int], rates: Sequence[int]) -> list[Size]:
        """How many patches there are along each spatial dimension."""
        wide = [(k - 1) * r + 1 for k, r in zip(sizes, rates, strict=True)]
        return [out_size(e, k, s, self.padding) for e, k, s in zip(extents, wide, strides, strict=True)]


def taps(b: Any, x: Any, spans: Sequence[Span], sizes: Sequence[int], strides: Sequence[int], rates: Sequence[int],
         outside: Any) -> Iterator[Any]:  # fmt: skip
    """The elements that stand at each place of the patches, one value of the output's shape per place, row-major."""
    batch, *_, channels = x.shape
    padded = b.halo(x, (0, *(s.low for s in spans), 0), (0, *(s.high for s in spans), 0), outside)
    for place in combinations(*(range(k) for k in sizes)):
        begin = (0, *(p * r for p, r in zip(place, rates, strict=True)), 0)
        yield b.section(padded, begin, (batch, *(s.out for s in spans), channels), (1, *strides, 1))


def spread(b: Any, parts: Sequence[Any], shape: Sequence[Index], spans: Sequence[Span], sizes: Sequence[int], strides: Sequence[int],
           rates: Sequence[int]) -> Any:  # fmt: skip
    """The adjoint of `taps`: the sum of the parts, each at the places that it was read from."""
    total = None
    whole = [e + s.low + s.high for e, s in zip(shape[1:-1], spans, strict=True)]
    for part, place in zip(parts, combinations(*(range(k) for k in sizes)), strict=True):
        low = [p * r for p, r in zip(place, rates, strict=True)]
        high = [n - ((s.out - 1) * t + 1) - at for n, s, t, at in zip(whole, spans, strides, low, strict=True)]
        moved = b.halo(part, (0, *low, 0), (0, *high, 0), 0, (0, *(t - 1 for t in strides), 0))
        total = moved if total is None else b.add(total, moved)
    assert total is not None
    return b.section(total, (0, *(s.low for s in spans), 0), shape)


def numpy_taps(x: Any, spans: Sequence[Span], sizes: Sequence[int], strides: Sequence[int], rates: Sequence[int], outside: Any) -> Any:
    """For the references: the elements at each place of the patches, stacked in front of the output's dimensions."""
    padded = np.pad(x, [(0, 0), *((int(s.low), int(s.high)) for s in spans), (0, 0)], constant_values=outside)  # type: ignore[arg-type]
    wide = [(k - 1) * r + 1 for k, r in zip(sizes, rates, strict=True)]
    views = np.lib.stride_tricks.sliding_window_view(padded, wide, axis=tuple(range(1, x.ndim - 1)))
    thin = views[(slice(None), *(slice(None, None, t) for t in strides), slice(None), *(slice(None, None, r) for r in rates))]
    rows = thin.reshape(*thin.shape[: x.ndim], -1)
    return np.moveaxis(rows, -1, 0)


class _Extract(Taps, abstract=True):
    """The elements of each patch side by side among the channels."""

    spatial = 2

    def numbers(self) -> tuple[Sequence[int], Sequence[int], Sequence[int]]:
        """Sizes, strides and rates of the spatial dimensions."""
        found = dict(self.lists())
        sizes, strides = found["ksizes"][1:-1], found["strides"][1:-1]
        return sizes, strides, found.get("rates", (1,) * (self.spatial + 2))[1:-1]

    def _infer(self, x: TensorSpec) -> TensorSpec:
        self.check_lists(self.spatial + 2)
        need_rank(x, self.spatial + 2)
        if x.dims is None:
            return TensorSpec(x.dtype, (None,) * (self.spatial + 2))
        sizes, strides, rates = self.numbers()
        channels = None if x.dims[-1] is None else x.dims[-1] * int(np.prod(sizes))
        return TensorSpec(x.dtype, (x.dims[0], *self.outs(x.dims[1:-1], sizes, strides, rates), channels))

    def _reference(self, x: Any) -> Any:
        numbers = self.numbers()
        found = numpy_taps(x, self.spans(x.shape[1:-1], *numbers), *numbers, 0)
        return np.concatenate(list(found), -1)

    def _decompose(self, b: Any, x: Any) -> Any:
        numbers = self.numbers()
        return b.join(list(taps(b, x, self.spans(x.shape[1:-1], *numbers), *numbers, 0)), -1)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make(f"{self.type}Grad", make("Shape", node.inputs[0]), dy, **{n: getattr(self, n) for n in self._fields})]


class _ExtractGrad(_Extract, abstract=True):
    """The sum of what the patches of dy hold of each element; the first operand holds the input's sizes."""

    def infer(self, sizes: TensorSpec, dy: TensorSpec) -> TensorSpec:
        need_rank(dy, self.spatial + 2)
        return TensorSpec(dy.dtype, contents(sizes) or (None,) * (self.spatial + 2))

    def reference(self, sizes: Any, dy: Any) -> Any:
        numbers = self.numbers()
        shape = tuple(int(n) for n in sizes)
        places = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape) + 1
        found = np.concatenate(list(numpy_taps(places, self.spans(shape[1:-1], *numbers), *numbers, 0)), -1)
        out = np.zeros(places.size + 1, dy.dtype)
        np.add.at(out, found.ravel(), dy.ravel())
        return out[1:].reshape(shape)

    def decompose(self, b: Any, sizes: Any, dy: Any) -> Any:
        numbers = self.numbers()
        shape = b.sizes(sizes)
        lead = (0,) * (self.spatial + 1)
        count = int(np.prod(numbers[0]))
        parts = [b.section(dy, (*lead, n * shape[-1]), (*dy.shape[:-1], shape[-1])) for n in range(count)]
        return spread(b, parts, shape, self.spans(shape[1:-1], *numbers), *numbers)


class ExtractImagePatches(_Extract):
    """Patches of images [batch, rows, columns, channels], one in the channels of each result element."""

    arguments = ("images: T",)
    results = ("patches: T",)
    types = {"T": REAL}
    ksizes: tuple[int, ...]
    strides: tuple[int, ...]
    rates: tuple[int, ...]
    padding: str
    cases = (
        Case((2, 5, 6, 3), ksizes=(1, 2, 3, 1), strides=(1, 1, 2, 1), rates=(1, 1, 1, 1), padding="VALID"),
        Case((1, 7, 8, 2), ksizes=(1, 3, 3, 1), strides=(1, 2, 3, 1), rates=(1, 2, 1, 1), padding="SAME"),
        Case((1, 5, 5, 1), ksizes=(1, 1, 1, 1), strides=(1, 3, 3, 1), rates=(1, 1, 1, 1), padding="SAME"),
        Case((1, 5, 5, 1), ksizes=(2, 1, 1, 1), strides=(1, 3, 3, 1), rates=(1, 1, 1, 1), padding="SAME",
             error=("ValueError", "must be 1")),
    )  # fmt: skip

    def lists(self) -> tuple[tuple[str, Sequence[int]], ...]:
        return ("ksizes", self.ksizes), ("strides", self.strides), ("rates", self.rates)

    def infer(self, images: TensorSpec) -> TensorSpec:
        return self._infer(images)

    def reference(self, images: Any) -> Any:
        return self._reference(images)

    def decompose(self, b: Any, images: Any) -> Any:
        return self._decompose(b, images)


class ExtractImagePatchesGrad(_ExtractGrad, ExtractImagePatches):
    """The gradient of ExtractImagePatches."""

    arguments = ("sizes: int32", "dy: T")
    results = ("dx: T",)
    cases = (
        Case(i32(2, 5, 6, 3), (2, 4, 2, 18), ksizes=(1, 2, 3, 1), strides=(1, 1, 2, 1), rates=(1, 1, 1, 1), padding="VALID"),
        Case(i32(1, 7, 8, 2), (1, 4, 3, 18), ksizes=(1, 3, 3, 1), strides=(1, 2, 3, 1), rates=(1, 2, 1, 1), padding="SAME"),
    )

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [None, make("ExtractImagePatches", dy, **{n: getattr(self, n) for n in self._fields})]


class ExtractVolumePatches(_Extract):
    """Patches of volumes [batch, planes, rows, columns, channels], one in the channels of each result element."""

    arguments = ("input: T",)
    results = ("patches: T",)
    types = {"T": REAL}
    spatial = 3
    ksizes: tuple[int, ...]
    strides: tuple[int, ...]
    padding: str
    cases = (
        Case((1, 4, 5, 6, 2), ksizes=(1, 2, 2, 3, 1), strides=(1, 1, 2, 2, 1), padding="VALID"),
        Case((1, 3, 4, 4, 1), ksizes=(1, 2, 2, 2, 1), strides=(1, 2, 1, 1, 1), padding="SAME"),
    )

    def lists(self) -> tuple[tuple[str, Sequence[int]], ...]:
        return ("ksizes", self.ksizes), ("strides", self.strides)

    def infer(self, input: TensorSpec) -> TensorSpec:
        return self._infer(input)

    def reference(self, input: Any) -> Any:
        return self._reference(input)

    def decompose(self, b: Any, input: Any) -> Any:
        return self._decompose(b, input)


class ExtractVolumePatchesGrad(_ExtractGrad, ExtractVolumePatches):
    """The gradient of ExtractVolumePatches."""

    arguments = ("sizes: int32", "dy: T")
    results = ("dx: T",)
    cases = (Case(i32(1, 3, 4, 4, 1), (1, 2, 4, 4, 8), ksizes=(1, 2, 2, 2, 1), strides=(1, 2, 1, 1, 1), padding="SAME"),)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [None, make("ExtractVolumePatches", dy, **{n: getattr(self, n) for n in self._fields})]


# -- public functions --------------------------------------------------------------------------------------------------------------


def extract_image_patches(images, ksizes=None, strides=None, rates=None, padding=None, name=None, sizes=None):
    """Patches [batch, rows, columns, size * channels] of images [batch, rows, columns, channels]: those of `ksizes` elements, `rates`
    apart, at every `strides`-th place, each flattened into the channels. The lists have four entries, of which the first and last are 1."""
    ksizes = renamed("sizes", sizes, "ksizes", ksizes)
    return make("ExtractImagePatches", images, ksizes=ksizes, strides=strides, rates=rates, padding=padding, name=name)


def extract_image_patches_v2(images, sizes, strides, rates, padding, name=None):
    """tf.image.extract_patches: extract_image_patches with `sizes` for `ksizes`."""
    return extract_image_patches(images, sizes, strides, rates, padding, name)


def extract_volume_patches(input, ksizes, strides, padding, name=None):
    """Patches of volumes [batch, planes, rows, columns, channels], each flattened into the channels."""
    return make("ExtractVolumePatches", input, ksizes=ksizes, strides=strides, padding=padding, name=name)
