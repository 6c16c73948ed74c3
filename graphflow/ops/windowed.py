"""Core ops over windows: what pooling and its gradients are made of.

A window op unrolls its window into one expression per result element, so that it fuses with what stands before and after. Only
`MaxPoolScatter`, the gradient of the maximum, has a kernel of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product as combinations
from typing import Any

import numpy as np

from graphflow.graph.op import Access, Case, TensorSpec
from graphflow.kernel.expr import Expr, call, cast, const, guarded, maximum, position, select, within
from graphflow.kernel.index import Index, ceildiv, product
from graphflow.kernel.index import maximum as index_maximum
from graphflow.kernel.index import minimum as index_minimum
from graphflow.kernel.nodes import Mode
from graphflow.ops.core import identity_of
from graphflow.ops.families import Kernelised, Movement, ravel, unravel

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

    def starts(self, index: Sequence[Index]) -> list[Index]:
        """Where the windows of the given output positions begin, per pooled dimension."""
        return [i * s - low for i, s, low in zip(index, self.stride, self.low, strict=True)]

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
        dims = list(x.dims)
        for axis, n in zip(self.axes, self.out, strict=True):
            dims[axis] = n
        return TensorSpec(x.dtype, dims)

    def reference(self, x: Any) -> Any:
        shape = list(x.shape)
        for axis, n in zip(self.axes, self.out, strict=True):
            shape[axis] = int(n)  # type: ignore[arg-type]
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
        count = _count(begins, self.size, [x.shape[a] for a in self.axes]) if self.is_padded(x.shape) else product(self.size)
        return total / cast(position(count), x.type)

    def is_padded(self, extents: Shape) -> bool:
        """Whether some window reaches outside."""
        return any(
            not (isinstance(low, int) and low == 0 and within((n - 1) * s + k - 1, extents[a]) is None)
            for a, k, s, low, n in zip(self.axes, self.size, self.stride, self.low, self.out, strict=True)
        )


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
        dims = list(dy.dims)
        for axis, n in zip(self.axes, self.extents, strict=True):
            dims[axis] = n
        return TensorSpec(dy.dtype, dims)

    def reference(self, dy: Any) -> Any:
        shape = list(dy.shape)
        for axis, n in zip(self.axes, self.extents, strict=True):
            shape[axis] = int(n)  # type: ignore[arg-type]
        dx = np.zeros(shape, dy.dtype)
        for where, cut in self.numpy_windows(dx, [dy.shape[a] for a in self.axes]):
            count = max(int(np.prod([dx[cut].shape[a] for a in self.axes])), 1) if self.mean else 1
            share = dy[where] / count
            for axis in self.axes:
                share = np.expand_dims(share, axis)
            dx[cut] += share
        return dx

    def element(self, inputs: Sequence[Access], index: Shape) -> Expr:
        dy = inputs[0]
        padded = any(
            not (isinstance(low, int) and low == 0 and within((dy.shape[a] - 1) * s + k - 1, extent) is None)
            for a, k, s, low, extent in zip(self.axes, self.size, self.stride, self.low, self.extents, strict=True)
        )
        total: Expr | None = None
        for back in combinations(*(range(-(-k // s)) for k, s in zip(self.size, self.stride, strict=True))):
            at = list(index)
            inside: Expr | None = None
            for axis, j, k, s, low in zip(self.axes, back, self.size, self.stride, self.low, strict=True):
                at[axis] = (index[axis] + low) // s - j
                inside = _both(inside, within(at[axis], dy.shape[axis]))
                if (j + 1) * s > k:
                    inside = _both(inside, within((index[axis] + low) % s, k - j * s))
            value = guarded(dy(at), inside)
            if self.mean and padded:
                count = _count(self.starts([at[a] for a in self.axes]), self.size, self.extents)
                value = value / cast(position(index_maximum(count, 1)), dy.type)
            if inside is not None:
                value = select(inside, value, 0)
            total = value if total is None else total + value
        assert total is not None
        return total if padded or not self.mean else total / cast(position(product(self.size)), dy.type)


class WindowPick(Windowed):
    """What `values` holds where `x` has the first maximum of each window."""

    arguments = ("x: T", "values: T2")
    results = ("y: T2",)
    out: Shape
    cases = (
        Case((2, 4, 6, 3), (2, 4, 6, 3), **_HALVES, low=(0, 0), out=(2, 3)),
        Case((2, 5, 5), (2, 5, 5), axes=(1, 2), size=(3, 2), stride=(1, 2), low=(1, 0), out=(5, 3)),
    )  # fmt: skip

    def infer(self, x: TensorSpec, values: TensorSpec) -> TensorSpec:
        assert x.dims is not None
        dims = list(x.dims)
        for axis, n in zip(self.axes, self.out, strict=True):
            dims[axis] = n
        return TensorSpec(values.dtype, dims)

    def reference(self, x: Any, values: Any) -> Any:
        shape = list(x.shape)
        for axis, n in zip(self.axes, self.out, strict=True):
            shape[axis] = int(n)  # type: ignore[arg-type]
        y = np.zeros(shape, values.dtype)
        for where, cut in self.numpy_windows(x, [shape[a] for a in self.axes]):
            part, held = (_window_last(v[cut], self.axes) for v in (x, values))
            y[where] = np.take_along_axis(held, part.argmax(-1)[..., None], -1)[..., 0]
        return y

    def element(self, inputs: Sequence[Access], index: Shape) -> Expr:
        x, values = inputs
        best: Expr | None = None
        found: Expr | None = None
        seen: Expr | None = None  # whether an element inside has been met; None: surely
        for at, inside in self.taps(index, x.shape):
            value, held = guarded(x(at), inside), guarded(values(at), inside)
            if best is None or found is None:
                best, found, seen = value, held, inside
                continue
            better = best < value
            if seen is not None:
                better = better | call("not", seen)
            if inside is not None:
                better = better & inside
            best, found = select(better, value, best), select(better, held, found)
            if seen is not None:
                seen = None if inside is None else seen | inside
        assert found is not None
        return found


class WindowRoute(Windowed):
    """dy of each window where x has the window's first maximum, 0 elsewhere: the gradient of a maximum over windows that do not overlap.
    A movement, so that it is computed in whatever reads it: the gradient of an activation, the sums of a bias."""

    arguments = ("x: T", "dy: T")
    results = ("dx: T",)
    cases = (
        Case((2, 4, 6, 3), (2, 2, 3, 3), **_HALVES, low=(0, 0)), Case((2, 5, 7, 3), (2, 2, 3, 3), **_HALVES, low=(0, 0)),
        Case((2, 5, 7, 3), (2, 3, 4, 3), **_HALVES, low=(0, 0)), Case((1, 7, 4), (1, 3, 4), axes=(1,), size=(3,), stride=(3,), low=(1,)),
        Case((0, 4, 4, 2), (0, 2, 2, 2), **_HALVES, low=(0, 0)),
        Case((1, 5, 6, 2), (1, 2, 2, 2), axes=(1, 2), size=(1, 2), stride=(3, 3), low=(0, 0)),
        Case((3, 8, 8, 16), (3, 4, 4, 16), **_HALVES, low=(0, 0)),
    )  # fmt: skip

    def infer(self, x: TensorSpec, dy: TensorSpec) -> TensorSpec:
        return TensorSpec(x.dtype, x.dims)

    def reference(self, x: Any, dy: Any) -> Any:
        dx = np.zeros_like(x)
        for where, cut in self.numpy_windows(x, [dy.shape[a] for a in self.axes]):
            if x[cut].size:
                part, share = _window_last(x[cut], self.axes), _window_last(np.zeros_like(x[cut]), self.axes)
                np.put_along_axis(share, part.argmax(-1)[..., None], dy[where][..., None], -1)
                kept = [n for a, n in enumerate(x[cut].shape) if a not in self.axes]
                whole = share.reshape(*kept, *(x[cut].shape[a] for a in self.axes))
                order = [*(a for a in range(x.ndim) if a not in self.axes), *self.axes]
                dx[cut] = np.transpose(whole, np.argsort(order))
        return dx

    def element(self, inputs: Sequence[Access], index: Shape) -> Expr:
        x, dy = inputs
        window = list(index)
        exists: Expr | None = None
        number: Index = 0
        for axis, k, s, low in zip(self.axes, self.size, self.stride, self.low, strict=True):
            window[axis], offset = (index[axis] + low) // s, (index[axis] + low) % s
            number = number * k + offset
            exists = _both(_both(exists, within(window[axis], dy.shape[axis])), within(offset, k))
        best: Expr | None = None
        started = False
        chosen: Expr = const(-1, "i32")
        for tap, (at, inside) in enumerate(self.taps(tuple(window), x.shape)):
            value = guarded(x(at), inside)
            if best is None:
                best, chosen = value, const(tap, "i32") if inside is None else select(inside, const(tap, "i32"), chosen)
                started = inside is None  # the first element of the window is one of the input
                continue
            better = best < value if started else (best < value) | (chosen < 0)
            if inside is not None:
                better = better & inside
            best, chosen = select(better, value, best), select(better, const(tap, "i32"), chosen)
        hit = call("eq", chosen, position(number, "i32"))
        if exists is not None:
            hit = hit & exists
        return select(hit, guarded(dy(window), exists), const(0, x.type))


def _window_last(x: Any, axes: Sequence[int]) -> Any:
    """The window's dimensions flattened into the last one."""
    kept = [a for a in range(x.ndim) if a not in axes]
    return np.transpose(x, (*kept, *axes)).reshape(*(x.shape[a] for a in kept), -1)


class MaxPoolScatter(Kernelised):
    """dy of each window, added to where x has the window's first maximum. Channels are last: x is (n, spatial..., c).

    Windows that do not overlap are one pass that writes each input element once. Overlapping ones are two: the place of the first
    maximum of every window, then each input element sums the windows that chose it. No pass needs zeros to begin with or atomics.
    """

    core = True
    arguments = ("x: T", "dy: T")
    results = ("dx: T",)
    size: tuple[int, ...]
    stride: tuple[int, ...]
    low: Shape
    cases = (
        Case((2, 4, 6, 3), (2, 2, 3, 3), size=(2, 2), stride=(2, 2), low=(0, 0)),
        Case((2, 5, 7, 3), (2, 2, 3, 3), size=(2, 2), stride=(2, 2), low=(0, 0)),
        Case((1, 5, 6, 17), (1, 3, 3, 17), size=(3, 3), stride=(2, 2), low=(1, 0)),
        Case((2, 4, 4, 1), (2, 4, 4, 1), size=(3, 3), stride=(1, 1), low=(1, 1)),
        Case((1, 7, 4), (1, 3, 4), size=(3,), stride=(3,), low=(1,)),
        Case((0, 4, 4, 2), (0, 2, 2, 2), size=(2, 2), stride=(2, 2), low=(0, 0)),
        Case((1, 5, 6, 2), (1, 2, 2, 2), size=(1, 2), stride=(3, 3), low=(0, 0)),
        Case((1, 4, 4, 4, 3), (1, 2, 2, 2, 3), size=(2, 2, 2), stride=(2, 2, 2), low=(0, 0, 0)),
    )  # fmt: skip

    def infer(self, x: TensorSpec, dy: TensorSpec) -> TensorSpec:
        return TensorSpec(x.dtype, x.dims)

    def reference(self, x: Any, dy: Any) -> Any:
        dx = np.zeros_like(x)
        spatial = x.shape[1:-1]
        for place in np.ndindex(dy.shape):
            begin = [o * s - int(low) for o, s, low in zip(place[1:-1], self.stride, self.low, strict=True)]  # type: ignore[arg-type]
            cut = tuple(slice(max(a, 0), max(min(a + k, e), 0)) for a, k, e in zip(begin, self.size, spatial, strict=True))
            window = x[(place[0], *cut, place[-1])]
            if window.size:
                first = np.unravel_index(int(np.argmax(window)), window.shape)
                dx[(place[0], *(c.start + f for c, f in zip(cut, first, strict=True)), place[-1])] += dy[place]
        return dx

    def lower(self, k: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        x, dy = inputs
        (dx,) = outputs
        if all(size <= stride for size, stride in zip(self.size, self.stride, strict=True)):
            self._disjoint(k, x, dy, dx)
        else:
            self._overlapping(k, x, dy, dx)

    def _choose(self, k: Any, x: Any, image: Index, window: Sequence[Index], channel: Index) -> tuple[Any, list[tuple[Shape, Expr | None]]]:
        """The number of the first maximum of a window among its elements (-1: none inside), and the elements' places."""
        spatial = x.shape[1:-1]
        places: list[tuple[Shape, Expr | None]] = []
        best: Any = None
        chosen: Any = None
        for number, offsets in enumerate(combinations(*(range(n) for n in self.size))):
            at = tuple(w * s + o - low for w, s, o, low in zip(window, self.stride, offsets, self.low, strict=True))
            inside: Expr | None = None
            for a, extent in zip(at, spatial, strict=True):
                inside = _both(inside, within(a, extent))
            places.append((at, inside))
            value = k.let("value", k.load(x, (image, *at, channel), inside))
            if best is None:
                best = value
                chosen = const(0, "i32") if inside is None else select(inside, const(0, "i32"), const(-1, "i32"))
                continue
            better = best < value
            if places[0][1] is not None:
                better = better | (chosen < 0)
            if inside is not None:
                better = better & inside
            better = k.let("better", better)
            best = k.let("best", select(better, value, best))
            chosen = k.let("chosen", select(better, const(number, "i32"), chosen))
        return chosen, places

    def _disjoint(self, k: Any, x: Any, dy: Any, dx: Any) -> None:
        spatial, windows = x.shape[1:-1], dy.shape[1:-1]
        blocks = tuple(ceildiv(extent + low, s) for extent, low, s in zip(spatial, self.low, self.stride, strict=True))
        rows = (x.shape[0], *blocks[:-1])
        zero = const(0, x.type)
        with k.loop("row", product(rows), Mode.PARALLEL) as row:
            image, *outer = unravel(row, rows)
            with k.loop("block", blocks[-1]) as inner:
                block = (*outer, inner)
                with k.loop("c", x.shape[-1], Mode.VECTOR) as c:
                    exists: Expr | None = None
                    for at, count in zip(block, windows, strict=True):
                        exists = _both(exists, within(at, count))
                    chosen, _ = self._choose(k, x, image, block, c)
                    gradient = k.let("gradient", k.load(dy, (image, *block, c), exists))
                    for offsets in combinations(*(range(s) for s in self.stride)):
                        at = tuple(b * s + o - low for b, s, o, low in zip(block, self.stride, offsets, self.low, strict=True))
                        inside: Expr | None = None
                        for a, extent in zip(at, spatial, strict=True):
                            inside = _both(inside, within(a, extent))
                        held = all(o < size for o, size in zip(offsets, self.size, strict=True))
                        number = int(ravel(offsets, self.size)) if held else -1  # type: ignore[arg-type]
                        share = select(call("eq", chosen, number), gradient, zero) if held else zero
                        k.store(dx, (image, *at, c), share, inside)

    def _overlapping(self, k: Any, x: Any, dy: Any, dx: Any) -> None:
        spatial, windows = x.shape[1:-1], dy.shape[1:-1]
        place = k.scratch("place", "i32", dy.shape)
        rows = (x.shape[0], *windows[:-1])
        with k.loop("row", product(rows), Mode.PARALLEL) as row:
            image, *outer = unravel(row, rows)
            with k.loop("window", windows[-1]) as inner, k.loop("c", x.shape[-1], Mode.VECTOR) as c:
                chosen, _ = self._choose(k, x, image, (*outer, inner), c)
                k.store(place, (image, *outer, inner, c), chosen)
        k.next_phase()
        rows = (x.shape[0], *spatial[:-1])
        backs = list(combinations(*(range(-(-n // s)) for n, s in zip(self.size, self.stride, strict=True))))
        with k.loop("row", product(rows), Mode.PARALLEL) as row:
            image, *outer = unravel(row, rows)
            with k.loop("column", spatial[-1]) as column, k.loop("c", x.shape[-1], Mode.VECTOR) as c:
                total: Expr = const(0, x.type)
                for back in backs:
                    at: list[Index] = []
                    number: Index = 0
                    inside: Expr | None = None
                    for i, j, n, s, low, count in zip((*outer, column), back, self.size, self.stride, self.low, windows, strict=True):
                        window = (i + low) // s - j
                        offset = (i + low) % s + j * s
                        inside = _both(_both(inside, within(window, count)), within(offset, n))
                        at.append(window)
                        number = number * n + offset
                    hit = call("eq", k.load(place, (image, *at, c), inside), position(number, "i32"))
                    if inside is not None:
                        hit = hit & inside
                    total = total + select(hit, k.load(dy, (image, *at, c), inside), const(0, x.type))
                k.store(dx, (image, *outer, column, c), total)
