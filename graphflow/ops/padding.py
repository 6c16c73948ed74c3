"""Borders around tensors: pad with a constant or a mirror, and the gradients."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from graphflow.dtypes import INDEX
from graphflow.graph.build import make
from graphflow.graph.op import Access, Case, TensorSpec
from graphflow.graph.tensor import Tensor
from graphflow.kernel.expr import Expr
from graphflow.kernel.index import Index, maximum, minimum
from graphflow.ops import positions
from graphflow.ops.families import Composite, Movement
from graphflow.ops.joining import stack
from graphflow.ops.reshape import reshape
from graphflow.ops.shape import rank, shape
from graphflow.ops.sizes import Size, contents, need_rank, plus

__all__ = ["pad"]

Shape = tuple[Index, ...]


def _padded(dims: Sequence[Size] | None, paddings: TensorSpec) -> tuple[Size, ...] | None:
    """The shape of `dims` inside borders; the widths are rows (before, after) of `paddings`."""
    widths = contents(paddings)
    rank = None if dims is None else len(dims)
    if paddings.dims is not None:
        need_rank(paddings, 2)
        rows = paddings.dims[0]
        if isinstance(paddings.dims[1], int) and paddings.dims[1] != 2:
            raise ValueError(f"Dimension must be 2 but is {paddings.dims[1]}")
        if rank is not None and isinstance(rows, int) and rows != rank:
            raise ValueError(f"Shape must be rank {rows} but is rank {rank}: The first dimension of paddings must be the rank of inputs")
        rank = rows if rank is None and isinstance(rows, int) else rank
    if rank is None:
        return None
    if dims is None or widths is None:
        return (None,) * rank
    for w in widths:
        if isinstance(w, int) and w < 0:
            raise ValueError(f"Paddings must be non-negative, got {w}")
    return tuple(plus(plus(d, widths[2 * a]), widths[2 * a + 1]) for a, d in enumerate(dims))


def _bordered(b: Any, x: Any, paddings: Any, value: float = 0) -> Any:
    """x inside a border of `value`. How a border is shared between its two sides may depend on data."""
    widths = positions.numbers(b, paddings).reshape(-1, 2)
    if any((low + high).fixed is None for low, high in widths):
        b.sizes(paddings)
    rank = len(x.shape)
    return positions.halo(b, x, widths[:, 0], widths[:, 1], (0,) * rank, (positions.PADDING,) * rank, value)


def _crop(node: Any, dy: Any) -> Any:
    """The gradient of a border: the part of dy that the input went to."""
    x, paddings = node.inputs[:2]
    before = make("Slice", paddings, [0, 0], stack([rank(x), 1]))
    return make("Slice", dy, reshape(before, [-1]), shape(x, out_type=paddings.dtype))


class Pad(Composite):
    """The input inside a border of zeros; row i of `paddings` holds the widths before and after in dimension i."""

    arguments = ("input: T", "paddings: Tpaddings")
    results = ("output: T",)
    types = {"Tpaddings": INDEX}
    cases = (
        Case((2, 3), np.array([[1, 0], [0, 2]], np.int32)), Case((4,), np.array([[2, 1]], np.int32)), Case((), np.zeros((0, 2), np.int32)),
        Case((0, 2), np.array([[1, 1], [0, 0]], np.int32)),
        Case((3,), np.array([[1, -1]], np.int32), error=("ValueError", "Paddings must be non-negative")),
    )  # fmt: skip

    def infer(self, input: TensorSpec, paddings: TensorSpec) -> TensorSpec:
        return TensorSpec(input.dtype, _padded(input.dims, paddings))

    def reference(self, input: Any, paddings: Any) -> Any:
        return np.pad(input, np.reshape(paddings, (-1, 2))) if input.ndim else np.array(input)

    def decompose(self, b: Any, input: Any, paddings: Any) -> Any:
        return _bordered(b, input, paddings)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [_crop(node, dy), None]


class PadV2(Composite):
    """The input inside a border of `constant_values`."""

    arguments = ("input: T", "paddings: Tpaddings", "constant_values: T")
    results = ("output: T",)
    types = {"Tpaddings": INDEX}
    cases = (
        Case((2, 3), np.array([[1, 0], [0, 2]], np.int32), ()), Case((4,), np.array([[2, 1]], np.int32), ()),
    )  # fmt: skip

    def infer(self, input: TensorSpec, paddings: TensorSpec, constant_values: TensorSpec) -> TensorSpec:
        return TensorSpec(input.dtype, _padded(input.dims, paddings))

    def reference(self, input: Any, paddings: Any, constant_values: Any) -> Any:
        return np.pad(input, np.reshape(paddings, (-1, 2)), constant_values=constant_values[()]) if input.ndim else np.array(input)

    def decompose(self, b: Any, input: Any, paddings: Any, constant_values: Any) -> Any:
        if constant_values.known is not None:
            return _bordered(b, input, paddings, constant_values.known.item())
        # A border that is only known at run time: choose between the padded input and the value by where the input lies.
        inside = _bordered(b, b.broadcast(b.constant(True, "bool"), input.shape), paddings)
        return b.select(inside, _bordered(b, input, paddings), constant_values)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [_crop(node, dy), None, None]


class Mirror(Movement):
    """x continued over its borders by reflection; `edge` 1 repeats the border element, 0 does not."""

    core = True
    arguments = ("x: T",)
    results = ("y: T",)
    low: Shape
    high: Shape
    edge: int
    cases = (Case((4, 3), low=(2, 0), high=(1, 2), edge=0), Case((4,), low=(4,), high=(3,), edge=1))

    def infer(self, x: TensorSpec) -> TensorSpec:
        assert x.dims is not None
        return TensorSpec(x.dtype, [plus(plus(low, d), high) for low, d, high in zip(self.low, x.dims, self.high, strict=True)])

    def reference(self, x: Any) -> Any:
        widths = [(int(a), int(z)) for a, z in zip(self.low, self.high, strict=True)]  # type: ignore[arg-type]
        return np.pad(x, widths, "symmetric" if self.edge else "reflect") if x.ndim else np.array(x)

    def element(self, inputs: Sequence[Access], index: Shape) -> Expr:
        source: list[Index] = []
        for i, low, high, extent in zip(index, self.low, self.high, inputs[0].shape, strict=True):
            if low == 0 and high == 0:
                source.append(i)
                continue
            at = i - low
            mirrored = maximum(at, -at - self.edge)
            source.append(minimum(mirrored, 2 * extent - 2 + self.edge - at))
        return inputs[0](source)


class MirrorPad(Composite):
    """The input inside a border that mirrors it. REFLECT leaves the border element out, SYMMETRIC repeats it."""

    arguments = ("input: T", "paddings: Tpaddings")
    results = ("output: T",)
    types = {"Tpaddings": INDEX}
    mode: str
    cases = (
        Case((4, 3), np.array([[2, 0], [1, 2]], np.int32), mode="REFLECT"), Case((4,), np.array([[4, 3]], np.int32), mode="SYMMETRIC"),
        Case((3,), np.array([[3, 0]], np.int32), mode="REFLECT", error=("ValueError", "paddings must be less than the dimension size")),
    )  # fmt: skip

    def infer(self, input: TensorSpec, paddings: TensorSpec) -> TensorSpec:
        if self.mode not in ("REFLECT", "SYMMETRIC"):
            raise ValueError(f"Attr 'mode' of '{self.type}' Op passed string '{self.mode}' not in: \"REFLECT\", \"SYMMETRIC\".")
        widths = contents(paddings)
        most = 1 if self.mode == "REFLECT" else 0
        for a, d in enumerate(input.dims or ()):
            for w in () if widths is None else widths[2 * a : 2 * a + 2]:
                if isinstance(w, int) and isinstance(d, int) and w > d - most:
                    relation = "less than the dimension size" if most else "no greater than the dimension size"
                    raise ValueError(f"paddings must be {relation}: {widths[2 * a]}, {widths[2 * a + 1]} vs {d}")  # type: ignore[index]
        return TensorSpec(input.dtype, _padded(input.dims, paddings))

    def requires(self, input: TensorSpec, paddings: TensorSpec) -> Iterable[Index]:
        most = 1 if self.mode == "REFLECT" else 0
        widths = contents(paddings) or ()
        return [input.dims[n // 2] - most - w for n, w in enumerate(widths) if input.dims and w is not None]  # type: ignore[operator]

    def reference(self, input: Any, paddings: Any) -> Any:
        return np.pad(input, paddings, "reflect" if self.mode == "REFLECT" else "symmetric") if input.ndim else np.array(input)

    def decompose(self, b: Any, input: Any, paddings: Any) -> Any:
        widths = b.sizes(paddings)
        return b.apply(Mirror(widths[::2], widths[1::2], int(self.mode == "SYMMETRIC")), input)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make("MirrorPadGrad", dy, node.inputs[1], mode=self.mode), None]


class MirrorPadGrad(Composite):
    """The transpose of MirrorPad: each border element of dy is added to the element that it mirrors."""

    arguments = ("input: T", "paddings: Tpaddings")
    results = ("output: T",)
    types = {"Tpaddings": INDEX}
    mode: str
    cases = (
        Case((6, 6), np.array([[2, 0], [1, 2]], np.int32), mode="REFLECT"), Case((11,), np.array([[4, 3]], np.int32), mode="SYMMETRIC"),
    )  # fmt: skip

    def infer(self, input: TensorSpec, paddings: TensorSpec) -> TensorSpec:
        widths = contents(paddings)
        if input.dims is None or widths is None:
            return TensorSpec(input.dtype, None if input.dims is None else (None,) * len(input.dims))
        dims = [None if d is None else d - widths[2 * a] - widths[2 * a + 1] for a, d in enumerate(input.dims)]  # type: ignore[operator]
        return TensorSpec(input.dtype, dims)

    def reference(self, input: Any, paddings: Any) -> Any:
        shape = [d - int(a) - int(z) for d, (a, z) in zip(input.shape, paddings, strict=True)]
        out = np.zeros(shape, input.dtype)
        places = np.arange(out.size).reshape(shape)
        mirrored = np.pad(places, paddings, "reflect" if self.mode == "REFLECT" else "symmetric")
        np.add.at(out.reshape(-1), mirrored.ravel(), input.ravel())
        return out

    def decompose(self, b: Any, input: Any, paddings: Any) -> Any:
        widths = b.sizes(paddings)
        edge = int(self.mode == "SYMMETRIC")
        out = input
        for a in range(len(input.shape)):
            out = self._fold(b, out, a, widths[2 * a], widths[2 * a + 1], edge)
        return out

    def _fold(self, b: Any, x: Any, axis: int, low: Index, high: Index, edge: int) -> Any:
        rank = len(x.shape)
        extent = x.shape[axis] - low - high

        def part(begin: Index, size: Index, step: int) -> Any:
            starts = tuple(begin if a == axis else 0 for a in range(rank))
            counts = tuple(size if a == axis else d for a, d in enumerate(x.shape))
            return b.section(x, starts, counts, tuple(step if a == axis else 1 for a in range(rank)))

        def placed(piece: Any, before: Index, after: Index) -> Any:
            low, high = ([width if a == axis else 0 for a in range(rank)] for width in (before, after))
            return b.halo(piece, low, high)

        out = part(low, extent, 1)
        if low != 0:
            out = b.add(out, placed(part(low - 1, low, -1), 1 - edge, extent - low - (1 - edge)))
        if high != 0:
            out = b.add(out, placed(part(low + extent + high - 1, high, -1), extent - high - (1 - edge), 1 - edge))
        return out

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make("MirrorPad", dy, node.inputs[1], mode=self.mode), None]


# -- public functions --------------------------------------------------------------------------------------------------------------


def pad(tensor, paddings, mode="CONSTANT", name=None, constant_values=0):
    """The tensor inside a border: of `constant_values`, or (REFLECT, SYMMETRIC) mirroring what stands inside."""
    mode = mode.upper()
    if mode == "CONSTANT":
        if not isinstance(constant_values, Tensor) and constant_values == 0:
            result = make("Pad", tensor, paddings, name=name)
        else:
            result = make("PadV2", tensor, paddings, constant_values, name=name)
    elif mode in ("REFLECT", "SYMMETRIC"):
        result = make("MirrorPad", tensor, paddings, mode=mode, name=name)
    else:
        raise ValueError(f"Unknown padding mode: {mode}")
    return result
