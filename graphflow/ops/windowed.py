"""Core ops over windows: what pooling and its gradients are made of.

A window op unrolls its window into one expression per result element, so that it fuses with what stands before and after.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product as combinations
from typing import Any

import numpy as np

from graphflow.dtypes import int32, uint8
from graphflow.graph.op import Access, Case, TensorSpec
from graphflow.kernel.expr import Expr, call, cast, const, guarded, maximum, position, select, within
from graphflow.kernel.index import Index, product
from graphflow.kernel.index import maximum as index_maximum
from graphflow.kernel.index import minimum as index_minimum
from graphflow.ops.core import identity_of
from graphflow.ops.families import Movement

Shape = tuple[Index, ...]


def _count(at: Sequence[Index], size: Sequence[int], extents: Sequence[Index]) -> Index:
    """How many elements of the windows that begin at `at` lie inside."""
    inside = (index_minimum(a + k, extent) - index_maximum(a, 0) for a, k, extent in zip(at, size, extents, strict=True))
    return product(inside)


def _both(a: Expr | None, b: Expr | None) -> Expr | None:
    return b if a is None else a if b is None else a & b


class Windowed(Movement, abstract=True):
    """Base of the ops over windows: `axes` are the pooled dimensions, with the window's size, stride and the padding before."""

    core = True
    axes: tuple[int, ...]
    size: tuple[int, ...]
    stride: tuple[int, ...]
    low: Shape

    def taps(self, index: Shape, extents: Shape) -> list[tuple[Shape, Expr | None]]:
        """The input indices of the window at an output index, row-major, each with the condition that it lies inside."""
        out = []
        for offsets in combinations(*(range(k) for k in self.size)):
            at = list(index)
            inside: Expr | None = None
            for axis, offset, stride, low in zip(self.axes, offsets, self.stride, self.low, strict=True):
                at[axis] = index[axis] * stride + offset - low
                inside = _both(inside, within(at[axis], extents[axis]))
            out.append((tuple(at), inside))
        return out

    def holders(self, index: Shape, windows: Shape) -> list[tuple[Shape, Expr | None, Index]]:
        """The indices, in a result of the shape `windows`, of the windows that may hold an input element; each with the condition that it
        does and with the number of the element's place in it, row-major."""
        out: list[tuple[Shape, Expr | None, Index]] = []
        for back in combinations(*(range(-(-k // s)) for k, s in zip(self.size, self.stride, strict=True))):
            at = list(index)
            inside: Expr | None = None
            number: Index = 0
            for axis, j, k, s, low in zip(self.axes, back, self.size, self.stride, self.low, strict=True):
                at[axis] = (index[axis] + low) // s - j
                inside = _both(inside, within(at[axis], windows[axis]))
                if (j + 1) * s > k:
                    inside = _both(inside, within((index[axis] + low) % s, k - j * s))
                number = number * k + (index[axis] + low) % s + j * s
            out.append((tuple(at), inside, number))
        return out

    def is_padded(self, extents: Shape, out: Sequence[Index]) -> bool:
        """Whether some of `out` windows along the pooled dimensions reaches outside an input of this shape."""
        return any(
            not (isinstance(low, int) and low == 0 and within((n - 1) * s + k - 1, extents[a]) is None)
            for a, k, s, low, n in zip(self.axes, self.size, self.stride, self.low, out, strict=True)
        )

    def starts(self, index: Sequence[Index]) -> list[Index]:
        """Where the windows of the given output positions begin, per pooled dimension."""
        return [i * s - low for i, s, low in zip(index, self.stride, self.low, strict=True)]

    def overlap(self) -> bool:
        """Whether an element may belong to several windows."""
        return any(k > s for k, s in zip(self.size, self.stride, strict=True))

    def _chosen(self, number: int, place: Sequence[int], shape: Sequence[int]) -> tuple[int, ...] | None:
        """For the references: where in an input of this shape the window at `place` has the place with this number; None if nowhere."""
        if number >= np.prod(self.size):
            return None
        at = list(place)
        offsets = np.unravel_index(number, self.size)
        for axis, begin, offset in zip(self.axes, self.starts([place[a] for a in self.axes]), offsets, strict=True):
            at[axis] = int(begin) + int(offset)  # type: ignore[arg-type]
        return tuple(at) if all(0 <= i < n for i, n in zip(at, shape, strict=True)) else None

    def numpy_windows(self, x: Any, out: Sequence[int]) -> Any:
        """For the references: (output position, input slices) of every window; only the pooled dimensions are counted."""
        for place in np.ndindex(*out):
            cut: list[Any] = [slice(None)] * x.ndim
            for axis, o, k, s, low in zip(self.axes, place, self.size, self.stride, self.low, strict=True):
                begin = o * s - int(low)  # type: ignore[arg-type]
                cut[axis] = slice(max(begin, 0), max(min(begin + k, x.shape[axis]), 0))
            where: list[Any] = [slice(None)] * x.ndim
            for axis, o in zip(self.axes, place, strict=True):
                where[axis] = o
            yield tuple(where), tuple(cut)


_HALVES = {"axes": (1, 2), "size": (2, 2), "stride": (2, 2)}
_CHOICE = np.uint8(np.arange(36).reshape(2, 2, 3, 3) * 3 % 5)


class WindowFold(Windowed):
    """The sum, mean or maximum of each window; what lies outside the input does not count."""

    arguments = ("x: T",)
    results = ("y: T",)
    combine: str
    out: Shape
    cases = (
        Case((2, 4, 6, 3), **_HALVES, low=(0, 0), combine="max", out=(2, 3)),
        Case((2, 5, 5), axes=(1, 2), size=(3, 2), stride=(1, 2), low=(1, 0), combine="mean", out=(5, 3)),
        Case((9,), axes=(0,), size=(4,), stride=(3,), low=(1,), combine="add", out=(3,)),
    )  # fmt: skip

    def infer(self, x: TensorSpec) -> TensorSpec:
        assert x.dims is not None
        return TensorSpec(x.dtype, _replaced(x.dims, self.axes, self.out))

    def reference(self, x: Any) -> Any:
        shape = [int(n) for n in _replaced(x.shape, self.axes, self.out)]
        y = np.zeros(shape, x.dtype)
        fold = {"max": np.max, "mean": np.mean, "add": np.sum}[self.combine]
        for where, cut in self.numpy_windows(x, [shape[a] for a in self.axes]):
            y[where] = fold(x[cut], axis=self.axes)
        return y

    def element(self, inputs: Sequence[Access], index: Shape) -> Expr:
        x = inputs[0]
        outside = const(identity_of("max" if self.combine == "max" else "add", x.type), x.type)
        total: Expr | None = None
        for at, inside in self.taps(index, x.shape):
            value = guarded(x(at), inside)
            if inside is not None:
                value = select(inside, value, outside)
            total = value if total is None else maximum(total, value) if self.combine == "max" else total + value
        assert total is not None
        if self.combine != "mean":
            return total
        begins = self.starts([index[a] for a in self.axes])
        count = _count(begins, self.size, [x.shape[a] for a in self.axes]) if self.is_padded(x.shape, self.out) else product(self.size)
        return total / cast(position(count), x.type)

class WindowSpread(Windowed):
    """Each input element's sum of what the windows that hold it give: dy, divided by the window's count where `mean`."""

    arguments = ("dy: T",)
    results = ("dx: T",)
    extents: Shape
    mean: bool
    cases = (
        Case((2, 2, 3, 3), **_HALVES, low=(0, 0), extents=(4, 6), mean=True),
        Case((2, 5, 3), axes=(1, 2), size=(3, 2), stride=(1, 2), low=(1, 0), extents=(5, 5), mean=True),
        Case((3,), axes=(0,), size=(4,), stride=(3,), low=(1,), extents=(9,), mean=False),
        Case((3,), axes=(0,), size=(1,), stride=(2,), low=(0,), extents=(6,), mean=True),
    )  # fmt: skip

    def infer(self, dy: TensorSpec) -> TensorSpec:
        assert dy.dims is not None
        return TensorSpec(dy.dtype, _replaced(dy.dims, self.axes, self.extents))

    def reference(self, dy: Any) -> Any:
        dx = np.zeros([int(n) for n in _replaced(dy.shape, self.axes, self.extents)], dy.dtype)
        for where, cut in self.numpy_windows(dx, [dy.shape[a] for a in self.axes]):
            count = max(int(np.prod([dx[cut].shape[a] for a in self.axes])), 1) if self.mean else 1
            share = dy[where] / count
            for axis in self.axes:
                share = np.expand_dims(share, axis)
            dx[cut] += share
        return dx

    def element(self, inputs: Sequence[Access], index: Shape) -> Expr:
        dy = inputs[0]
        padded = self.is_padded(_replaced(dy.shape, self.axes, self.extents), [dy.shape[a] for a in self.axes])
        total: Expr | None = None
        for at, inside, _ in self.holders(index, dy.shape):
            value = guarded(dy(at), inside)
            if self.mean and padded:
                count = _count(self.starts([at[a] for a in self.axes]), self.size, self.extents)
                value = value / cast(position(index_maximum(count, 1)), dy.type)
            if inside is not None:
                value = select(inside, value, 0)
            total = value if total is None else total + value
        assert total is not None
        return total if padded or not self.mean else total / cast(position(product(self.size)), dy.type)


class WindowChoice(Windowed):
    """The number of each window's first maximum among the window's places in row-major order, those outside the input counted as well;
    how many places there are where none is inside. With `positive`, that too where the maximum is not above zero. What the gradients of a
    maximum over windows need of x, in a byte for every window."""

    arguments = ("x: T",)
    results = ("choice: T2",)
    out: Shape
    positive: bool = False
    cases = (
        Case((2, 4, 6, 3), **_HALVES, low=(0, 0), out=(2, 3)),
        Case((2, 4, 6, 3), **_HALVES, low=(0, 0), out=(2, 3), positive=True),
        Case((2, 5, 5), axes=(1, 2), size=(3, 2), stride=(1, 2), low=(1, 0), out=(5, 3)),
        Case((9,), axes=(0,), size=(2,), stride=(4,), low=(1,), out=(4,)),
        Case((300,), axes=(0,), size=(260,), stride=(40,), low=(0,), out=(2,)),
    )  # fmt: skip

    @property
    def places(self) -> int:
        """How many places a window has."""
        return int(np.prod(self.size))

    def infer(self, x: TensorSpec) -> TensorSpec:
        assert x.dims is not None
        return TensorSpec(uint8 if self.places <= 255 else int32, _replaced(x.dims, self.axes, self.out))

    def reference(self, x: Any) -> Any:
        shape = [int(n) for n in _replaced(x.shape, self.axes, self.out)]
        choice = np.full(shape, self.places, np.uint8 if self.places <= 255 else np.int32)
        for where, cut in self.numpy_windows(x, [shape[a] for a in self.axes]):
            if x[cut].size:
                part = _window_last(x[cut], self.axes)
                first = np.unravel_index(part.argmax(-1), [x[cut].shape[a] for a in self.axes])
                begins = self.starts([where[a] for a in self.axes])
                offsets = [f + max(-b, 0) for f, b in zip(first, begins, strict=True)]
                chosen = np.ravel_multi_index(offsets, self.size)
                choice[where] = np.where(part.max(-1) > 0, chosen, self.places) if self.positive else chosen
        return choice

    def element(self, inputs: Sequence[Access], index: Shape) -> Expr:
        x = inputs[0]
        nothing = const(self.places, "i32")
        padded = self.is_padded(x.shape, self.out)
        best: Expr | None = None
        chosen: Expr = nothing
        for number, (at, inside) in enumerate(self.taps(index, x.shape)):
            inside = inside if padded else None
            value = guarded(x(at), inside)
            if best is None:
                best, chosen = value, const(number, "i32") if inside is None else select(inside, const(number, "i32"), nothing)
                continue
            better = (best < value) | call("eq", chosen, nothing) if padded else best < value
            if inside is not None:
                better = better & inside
            best, chosen = select(better, value, best), select(better, const(number, "i32"), chosen)
        assert best is not None
        if self.positive:
            chosen = select(const(0, x.type) < best, chosen, nothing)
        return cast(chosen, "u8") if self.places <= 255 else chosen

    def above_zero(self) -> WindowChoice:
        """The same with `positive`."""
        return WindowChoice(self.axes, self.size, self.stride, self.low, self.out, True)

    def is_of(self, op: Any) -> bool:
        """Whether `op` takes the maximum of the same windows."""
        return isinstance(op, WindowFold) and op.combine == "max" and all(
            getattr(op, field) == getattr(self, field) for field in ("axes", "size", "stride", "low", "out")
        )  # fmt: skip


class WindowPick(Windowed):
    """What `values` holds at the chosen place of each window, 0 where none is chosen: see WindowChoice."""

    arguments = ("choice: T", "values: T2")
    results = ("y: T2",)
    cases = (
        Case(_CHOICE, (2, 4, 6, 3), **_HALVES, low=(0, 0)),
        Case(np.uint8([[[0, 4, 1], [6, 3, 2], [5, 1, 4], [2, 2, 0], [0, 1, 0]]]), (1, 5, 5), axes=(1, 2), size=(3, 2), stride=(1, 2),
             low=(1, 0)),
    )  # fmt: skip

    def infer(self, choice: TensorSpec, values: TensorSpec) -> TensorSpec:
        return TensorSpec(values.dtype, choice.dims)

    def reference(self, choice: Any, values: Any) -> Any:
        y = np.zeros(choice.shape, values.dtype)
        for place in np.ndindex(choice.shape):
            at = self._chosen(int(choice[place]), place, values.shape)
            if at is not None:
                y[place] = values[at]
        return y

    def element(self, inputs: Sequence[Access], index: Shape) -> Expr:
        choice, values = inputs
        chosen = cast(choice(index), "i32")
        found: Expr = const(0, values.type)
        for number, (at, inside) in enumerate(self.taps(index, values.shape)):
            found = select(call("eq", chosen, const(number, "i32")), guarded(values(at), inside), found)
        return found


class WindowRoute(Windowed):
    """dy of each window at its chosen place (see WindowChoice), 0 elsewhere, summed over the windows: the gradient of a maximum."""

    arguments = ("choice: T2", "dy: T")
    results = ("dx: T",)
    extents: Shape
    cases = (
        Case(_CHOICE, (2, 2, 3, 3), **_HALVES, low=(0, 0), extents=(4, 6)),
        Case(_CHOICE, (2, 2, 3, 3), **_HALVES, low=(0, 0), extents=(5, 7)),
        Case(np.uint8([[[0], [2], [1]]]), (1, 3, 1), axes=(1,), size=(3,), stride=(3,), low=(1,), extents=(7,)),
        Case(np.uint8([[[8, 4, 1], [9, 3, 2]]]), (1, 2, 3), axes=(1, 2), size=(3, 3), stride=(2, 2), low=(1, 0), extents=(3, 7)),
        Case(np.uint8(np.arange(16).reshape(4, 4) % 9), (4, 4), axes=(0, 1), size=(3, 3), stride=(1, 1), low=(1, 1), extents=(4, 4)),
        Case(np.uint8(np.ones((0, 2, 2))), (0, 2, 2), **_HALVES, low=(0, 0), extents=(4, 4)),
        Case(np.uint8([[[0, 1], [1, 2]]]), (1, 2, 2), axes=(1, 2), size=(1, 2), stride=(3, 3), low=(0, 0), extents=(5, 6)),
        Case(np.uint8(np.arange(256).reshape(4, 4, 16) % 5), (4, 4, 16), axes=(0, 1), size=(2, 2), stride=(2, 2), low=(0, 0),
             extents=(8, 8)),
    )  # fmt: skip

    def infer(self, choice: TensorSpec, dy: TensorSpec) -> TensorSpec:
        assert dy.dims is not None
        return TensorSpec(dy.dtype, _replaced(dy.dims, self.axes, self.extents))

    def reference(self, choice: Any, dy: Any) -> Any:
        dx = np.zeros([int(n) for n in _replaced(dy.shape, self.axes, self.extents)], dy.dtype)
        for place in np.ndindex(choice.shape):
            at = self._chosen(int(choice[place]), place, dx.shape)
            if at is not None:
                dx[at] += dy[place]
        return dx

    def element(self, inputs: Sequence[Access], index: Shape) -> Expr:
        choice, dy = inputs
        total: Expr | None = None
        for at, inside, number in self.holders(index, dy.shape):
            hit = call("eq", cast(guarded(choice(at), inside), "i32"), position(number, "i32"))
            if inside is not None:
                hit = hit & inside
            share = select(hit, guarded(dy(at), inside), const(0, dy.type))
            total = share if total is None else total + share
        assert total is not None
        return total


def _replaced(dims: Sequence[Any], axes: Sequence[int], sizes: Sequence[Any]) -> list[Any]:
    """A shape with other sizes along some of its axes."""
    found = list(dims)
    for axis, n in zip(axes, sizes, strict=True):
        found[axis] = n
    return found


def _window_last(x: Any, axes: Sequence[int]) -> Any:
    """The window's dimensions flattened into the last one."""
    kept = [a for a in range(x.ndim) if a not in axes]
    return np.transpose(x, (*kept, *axes)).reshape(*(x.shape[a] for a in kept), -1)
