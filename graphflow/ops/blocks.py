"""Blocks of space moved into depth or batch, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.dtypes import INDEX, int32
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.op import Case, TensorSpec
from graphflow.graph.tensor import known_contents
from graphflow.kernel.index import Index
from graphflow.ops.families import Composite
from graphflow.ops.joining import stack
from graphflow.ops.sizes import Size, contents, i32, need_rank, need_rank_at_least, plus

__all__ = [
    "batch_to_space", "batch_to_space_nd", "depth_to_space", "required_space_to_batch_paddings", "space_to_batch",
    "space_to_batch_nd", "space_to_depth",
]  # fmt: skip

_NONE = np.array([[0, 0], [0, 0]], np.int32)


class SpaceToDepth(Composite):
    """Blocks of block_size x block_size pixels become pixels with that many times the channels."""

    arguments = ("input: T",)
    results = ("output: T",)
    block_size: int
    data_format: str = "NHWC"
    cases = (Case((2, 4, 6, 3), block_size=2), Case((1, 2, 4, 4), block_size=2, data_format="NCHW"))

    def infer(self, input: TensorSpec) -> TensorSpec:
        if self.block_size < 2:
            raise ValueError(f"Attr 'block_size' of 'SpaceToDepth' Op passed {self.block_size} less than minimum 2.")
        need_rank(input, 4)
        n, h, w, c = input.dims if input.dims is not None else (None,) * 4
        if self.data_format == "NCHW":
            c, h, w = h, w, c
        s = self.block_size
        for extent in (h, w):
            if isinstance(extent, int) and extent % s:
                raise ValueError(f"Dimension size must be evenly divisible by {s} but is {extent}")
        h, w, c = (None if h is None else h // s), (None if w is None else w // s), (None if c is None else c * s * s)
        return TensorSpec(input.dtype, (n, c, h, w) if self.data_format == "NCHW" else (n, h, w, c))

    def reference(self, input: Any) -> Any:
        x = np.moveaxis(input, 1, -1) if self.data_format == "NCHW" else input
        s = self.block_size
        y = np.concatenate([x[:, i::s, j::s] for i in range(s) for j in range(s)], -1)
        return np.moveaxis(y, -1, 1) if self.data_format == "NCHW" else y

    def decompose(self, b: Any, input: Any) -> Any:
        s = self.block_size
        if self.data_format == "NCHW":
            n, c, h, w = input.shape
            y = b.permute(b.view(input, (n, c, h // s, s, w // s, s)), (0, 3, 5, 1, 2, 4))
            return b.view(y, (n, s * s * c, h // s, w // s))
        n, h, w, c = input.shape
        y = b.permute(b.view(input, (n, h // s, s, w // s, s, c)), (0, 1, 3, 2, 4, 5))
        return b.view(y, (n, h // s, w // s, s * s * c))

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make("DepthToSpace", dy, block_size=self.block_size, data_format=self.data_format)]


class DepthToSpace(Composite):
    """The inverse of SpaceToDepth."""

    arguments = ("input: T",)
    results = ("output: T",)
    block_size: int
    data_format: str = "NHWC"
    cases = (Case((2, 2, 3, 12), block_size=2), Case((1, 8, 1, 2), block_size=2, data_format="NCHW"))

    def infer(self, input: TensorSpec) -> TensorSpec:
        if self.block_size < 2:
            raise ValueError(f"Attr 'block_size' of 'DepthToSpace' Op passed {self.block_size} less than minimum 2.")
        need_rank(input, 4)
        n, h, w, c = input.dims if input.dims is not None else (None,) * 4
        if self.data_format == "NCHW":
            c, h, w = h, w, c
        s = self.block_size
        if isinstance(c, int) and c % (s * s):
            raise ValueError(f"Dimension size must be evenly divisible by {s * s} but is {c}")
        h, w, c = (None if h is None else h * s), (None if w is None else w * s), (None if c is None else c // (s * s))
        return TensorSpec(input.dtype, (n, c, h, w) if self.data_format == "NCHW" else (n, h, w, c))

    def reference(self, input: Any) -> Any:
        x = np.moveaxis(input, 1, -1) if self.data_format == "NCHW" else input
        s = self.block_size
        n, h, w, c = x.shape
        y = np.zeros((n, h * s, w * s, c // (s * s)), x.dtype)
        for number, part in enumerate(np.split(x, s * s, -1)):
            y[:, number // s :: s, number % s :: s] = part
        return np.moveaxis(y, -1, 1) if self.data_format == "NCHW" else y

    def decompose(self, b: Any, input: Any) -> Any:
        s = self.block_size
        if self.data_format == "NCHW":
            n, c, h, w = input.shape
            y = b.permute(b.view(input, (n, s, s, c // (s * s), h, w)), (0, 3, 4, 1, 5, 2))
            return b.view(y, (n, c // (s * s), h * s, w * s))
        n, h, w, c = input.shape
        y = b.permute(b.view(input, (n, h, w, s, s, c // (s * s))), (0, 1, 3, 2, 4, 5))
        return b.view(y, (n, h * s, w * s, c // (s * s)))

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make("SpaceToDepth", dy, block_size=self.block_size, data_format=self.data_format)]


def _check_blocks(input: TensorSpec, block_shape: TensorSpec, block: Any, widths: Any, name: str) -> None:
    """What both ops on blocks ask of their operands."""
    need_rank(block_shape, 1)
    if block_shape.dims is not None and isinstance(block_shape.dims[0], int):
        need_rank_at_least(input, block_shape.dims[0] + 1)
    if any(isinstance(s, int) and s < 1 for s in block or ()):
        raise ValueError("block_shape must be positive")
    if any(isinstance(w, int) and w < 0 for w in widths or ()):
        raise ValueError(f"{name} cannot be negative")


class SpaceToBatchND(Composite):
    """Padded space cut into blocks whose positions become batch elements."""

    arguments = ("input: T", "block_shape: Tblock_shape", "paddings: Tpaddings")
    results = ("output: T",)
    types = {"Tblock_shape": INDEX, "Tpaddings": INDEX}
    cases = (
        Case((2, 4, 6, 3), i32(2, 3), _NONE), Case((1, 3, 5, 2), i32(2, 2), np.array([[1, 0], [0, 1]], np.int32)),
        Case((2, 6), i32(3), np.array([[0, 0]], np.int32)),
    )  # fmt: skip

    def infer(self, input: TensorSpec, block_shape: TensorSpec, paddings: TensorSpec) -> TensorSpec:
        block, widths = contents(block_shape), contents(paddings)
        _check_blocks(input, block_shape, block, widths, "paddings")
        if input.dims is None or block is None or widths is None:
            return TensorSpec(input.dtype, None if input.dims is None else (None,) * len(input.dims))
        out: list[Size] = [input.dims[0]]
        for k, s in enumerate(block):
            padded = plus(plus(input.dims[k + 1], widths[2 * k]), widths[2 * k + 1])
            if isinstance(padded, int) and isinstance(s, int) and padded % s:
                raise ValueError(f"Dimension size must be evenly divisible by {s} but is {padded}")
            out.append(None if padded is None or s is None else padded // s)
            out[0] = None if out[0] is None or s is None else out[0] * s
        return TensorSpec(input.dtype, (*out, *input.dims[len(block) + 1 :]))

    def reference(self, input: Any, block_shape: Any, paddings: Any) -> Any:
        m = len(block_shape)
        x = np.pad(input, [(0, 0), *((int(a), int(z)) for a, z in paddings), *((0, 0),) * (input.ndim - 1 - m)])
        parts = [
            x[(slice(None), *(slice(p, None, int(s)) for p, s in zip(place, block_shape, strict=True)))]
            for place in np.ndindex(*(int(s) for s in block_shape))
        ]
        return np.concatenate(parts, 0)

    def decompose(self, b: Any, input: Any, block_shape: Any, paddings: Any) -> Any:
        block, widths = b.sizes(block_shape), b.sizes(paddings)
        m, rest = len(block), input.shape[len(block) + 1 :]
        x = b.halo(input, (0, *widths[::2], *(0 for _ in rest)), (0, *widths[1::2], *(0 for _ in rest)))
        inner = [d // s for d, s in zip(x.shape[1 : m + 1], block, strict=True)]
        split: list[Index] = [x.shape[0]]
        for d, s in zip(inner, block, strict=True):
            split += [d, s]
        y = b.view(x, (*split, *rest))
        order = [*range(2, 2 * m + 1, 2), 0, *range(1, 2 * m, 2), *range(2 * m + 1, 2 * m + 1 + len(rest))]
        batch: Index = x.shape[0]
        for s in block:
            batch = batch * s
        return b.view(b.permute(y, order), (batch, *inner, *rest))

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make("BatchToSpaceND", dy, node.inputs[1], node.inputs[2]), None, None]


class BatchToSpaceND(Composite):
    """The inverse of SpaceToBatchND, with the borders cut off."""

    arguments = ("input: T", "block_shape: Tblock_shape", "crops: Tcrops")
    results = ("output: T",)
    types = {"Tblock_shape": INDEX, "Tcrops": INDEX}
    cases = (
        Case((12, 2, 2, 3), i32(2, 3), _NONE), Case((4, 2, 3, 2), i32(2, 2), np.array([[1, 0], [0, 1]], np.int32)),
    )  # fmt: skip

    def infer(self, input: TensorSpec, block_shape: TensorSpec, crops: TensorSpec) -> TensorSpec:
        block, widths = contents(block_shape), contents(crops)
        _check_blocks(input, block_shape, block, widths, "crops")
        if input.dims is None or block is None or widths is None:
            return TensorSpec(input.dtype, None if input.dims is None else (None,) * len(input.dims))
        out: list[Size] = [input.dims[0]]
        for k, s in enumerate(block):
            d, low, high = input.dims[k + 1], widths[2 * k], widths[2 * k + 1]
            size = None if d is None or s is None or low is None or high is None else d * s - low - high
            if isinstance(size, int) and size < 0:
                raise ValueError(f"Negative dimension size caused by subtracting {high} from {size + high}")
            if isinstance(out[0], int) and isinstance(s, int) and out[0] % s:
                raise ValueError(f"Dimension size must be evenly divisible by {s} but is {out[0]}")
            out.append(size)
            out[0] = None if out[0] is None or s is None else out[0] // s
        return TensorSpec(input.dtype, (*out, *input.dims[len(block) + 1 :]))

    def reference(self, input: Any, block_shape: Any, crops: Any) -> Any:
        block = [int(s) for s in block_shape]
        m, count = len(block), int(np.prod(block))
        parts = np.split(input, count, 0)
        whole = np.zeros((len(input) // count, *(d * s for d, s in zip(input.shape[1:], block, strict=False)), *input.shape[m + 1 :]),
                         input.dtype)  # fmt: skip
        for place, part in zip(np.ndindex(*block), parts, strict=True):
            whole[(slice(None), *(slice(p, None, s) for p, s in zip(place, block, strict=True)))] = part
        cut = (slice(int(a), d - int(z)) for (a, z), d in zip(crops, whole.shape[1:], strict=False))
        return whole[(slice(None), *cut)]

    def decompose(self, b: Any, input: Any, block_shape: Any, crops: Any) -> Any:
        block, widths = b.sizes(block_shape), b.sizes(crops)
        m, rest = len(block), input.shape[len(block) + 1 :]
        batch = input.shape[0]
        for s in block:
            batch = batch // s
        inner = input.shape[1 : m + 1]
        y = b.view(input, (*block, batch, *inner, *rest))
        order = [m]
        for k in range(m):
            order += [m + 1 + k, k]
        y = b.permute(y, [*order, *range(2 * m + 1, 2 * m + 1 + len(rest))])
        whole = [d * s for d, s in zip(inner, block, strict=True)]
        y = b.view(y, (batch, *whole, *rest))
        sizes = [d - low - high for d, low, high in zip(whole, widths[::2], widths[1::2], strict=True)]
        return b.section(y, (0, *widths[::2], *(0 for _ in rest)), (batch, *sizes, *rest))

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make("SpaceToBatchND", dy, node.inputs[1], node.inputs[2]), None, None]


# -- public functions --------------------------------------------------------------------------------------------------------------


def space_to_depth(input, block_size, name=None, data_format="NHWC"):
    """Blocks of block_size x block_size pixels become pixels with that many times the channels."""
    return make("SpaceToDepth", input, block_size=int(block_size), data_format=data_format, name=name)


def depth_to_space(input, block_size, name=None, data_format="NHWC"):
    """The inverse of space_to_depth."""
    return make("DepthToSpace", input, block_size=int(block_size), data_format=data_format, name=name)


def space_to_batch_nd(input, block_shape, paddings, name=None):
    """Padded space cut into blocks whose positions become batch elements."""
    return make("SpaceToBatchND", input, block_shape, paddings, name=name)


def batch_to_space_nd(input, block_shape, crops, name=None):
    """The inverse of space_to_batch_nd, with the borders cut off."""
    return make("BatchToSpaceND", input, block_shape, crops, name=name)


def space_to_batch(input, paddings, block_size=None, name=None, block_shape=None):
    """space_to_batch_nd over two dimensions with one block size."""
    block = block_shape if block_shape is not None else [block_size, block_size]
    return make("SpaceToBatchND", input, block, paddings, name=name)


def batch_to_space(input, crops, block_size, name=None, block_shape=None):
    """batch_to_space_nd over two dimensions with one block size."""
    block = block_shape if block_shape is not None else [block_size, block_size]
    return make("BatchToSpaceND", input, block, crops, name=name)


def required_space_to_batch_paddings(input_shape, block_shape, base_paddings=None, name=None):
    """The paddings [n, 2] for space_to_batch_nd that make every size a multiple of its block, at least base_paddings, and the crops [n, 2]
    for batch_to_space_nd that take away again what they add. Constants where the operands are."""
    with name_scope(name, "required_space_to_batch_paddings", [input_shape, block_shape]):
        input_shape = convert_to_tensor(input_shape, dtype=int32, name="input_shape")
        block_shape = convert_to_tensor(block_shape, dtype=int32, name="block_shape")
        known_shape, known_block = known_contents(input_shape), known_contents(block_shape)
        count = block_shape.shape.with_rank(1)[0].value
        if count is None:
            raise ValueError("block_shape must be of known length")
        input_shape.shape.assert_is_compatible_with([count])
        if base_paddings is None:
            base, known_base = np.zeros((count, 2), np.int32), np.zeros((count, 2), np.int32)
        else:
            base = convert_to_tensor(base_paddings, dtype=int32, name="base_paddings")
            base.shape.assert_is_compatible_with([count, 2])
            known_base = known_contents(base)
        if all(known is not None and known.dtype != object for known in (known_shape, known_block, known_base)):
            extra = -(known_shape + known_base.sum(1)) % known_block
            paddings = np.stack([known_base[:, 0], known_base[:, 1] + extra], 1)
            crops = np.stack([np.zeros_like(extra), extra], 1)
            return convert_to_tensor(paddings, int32, name="paddings"), convert_to_tensor(crops, int32, name="crops")
        before, after = base[:, 0], base[:, 1]
        extra = (block_shape - (input_shape + before + after) % block_shape) % block_shape
        end = after + extra
        paddings = stack([[before[n], end[n]] for n in range(count)], name="paddings")
        crops = stack([[0, extra[n]] for n in range(count)], name="crops")
        return paddings, crops
