"""Running sums, products and logs of sums of exponentials along an axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.dtypes import COMPLEX, FLOATING, INDEX, REAL
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.op import Case, TensorSpec
from graphflow.kernel.expr import TYPES, Expr, call, const, exp, select
from graphflow.kernel.expr import maximum as maximum_of
from graphflow.kernel.expr import minimum as minimum_of
from graphflow.kernel.index import Index, maximum, product
from graphflow.kernel.nodes import Mode
from graphflow.ops.broadcast import conjugate
from graphflow.ops.families import Composite, Kernelised
from graphflow.ops.joining import axis_of
from graphflow.ops.parts import interleaved, paired
from graphflow.ops.sizes import scalar, shown

__all__ = ["cumprod", "cumsum"]

TOGETHER = 4  # rows of a scan: more would fall into the same sets of the cache


class Scan(Kernelised):
    """The running sum ("add"), product ("mul") or log of the sum of exponentials ("logsumexp") along `axis`; `exclusive` leaves each
    element's own value out.

    pairs: of complex numbers, whose parts stand in the last dimension.
    """

    core = True
    arguments = ("x: T",)
    results = ("y: T",)
    combine: str
    axis: int
    exclusive: bool = False
    reverse: bool = False
    pairs: bool = False
    cases = (
        Case((3, 5), combine="add", axis=1), Case((3, 5), combine="add", axis=0, exclusive=True),
        Case((2, 4, 3), combine="mul", axis=1, reverse=True), Case((7,), combine="mul", axis=0, exclusive=True, reverse=True),
        Case((0, 3), combine="add", axis=0), Case((4, 17), combine="add", axis=0), Case((3, 7, 5), combine="add", axis=2, reverse=True),
        Case((16, 9), combine="mul", axis=1, exclusive=True), Case((9, 0), combine="add", axis=1),
        Case((3, 5), combine="logsumexp", axis=1, dtypes=("float32", "float64")),
        Case((4, 6), combine="logsumexp", axis=0, exclusive=True, low=-200, high=200, dtypes=("float32", "float64")),
        Case(np.array([[-np.inf, -np.inf, 2.0]] * 5), combine="logsumexp", axis=1, dtypes=("float32", "float64")),
        Case(np.array([[-np.inf], [-np.inf], [2.0]] * 2), combine="logsumexp", axis=0, dtypes=("float32",)),
        Case(np.array([[-np.inf, 1.0], [-np.inf, -np.inf]]), combine="logsumexp", axis=0, dtypes=("float32", "float64")),
        Case((3, 5, 2), combine="mul", axis=1, pairs=True), Case((4, 2), combine="mul", axis=0, pairs=True, exclusive=True, reverse=True),
    )  # fmt: skip

    def infer(self, x: TensorSpec) -> TensorSpec:
        return TensorSpec(x.dtype, x.dims)

    def on_parts(self, b: Any, x: Any) -> Any:
        if self.combine == "add":
            return b.pair(*(b.apply(self, part) for part in b.parts(x)))
        scan = Scan(self.combine, self.axis, self.exclusive, self.reverse, pairs=True)
        return b.make("Paired", b.apply(scan, b.make("Interleaved", x)))

    def reference(self, x: Any) -> Any:
        if self.pairs:
            return interleaved(Scan(self.combine, self.axis, self.exclusive, self.reverse).reference(paired(x)))
        x = np.moveaxis(x, self.axis, 0)
        x = x[::-1] if self.reverse else x
        x = np.concatenate([np.full((1, *x.shape[1:]), self.neutral(x.dtype), x.dtype), x])
        if self.combine == "logsumexp":
            y = np.logaddexp.accumulate(x.astype(np.float64), 0).astype(x.dtype)
        else:
            y = (np.cumsum if self.combine == "add" else np.cumprod)(x, 0, dtype=x.dtype)
        y = y[:-1] if self.exclusive else y[1:]
        return np.moveaxis(y[::-1] if self.reverse else y, 0, self.axis)

    def neutral(self, dtype: Any) -> Any:
        """What a scan begins with; an inclusive one of logarithms shows it where they are -inf, as TensorFlow's does."""
        return np.finfo(dtype).min if self.combine == "logsumexp" else self.combine == "mul"

    def combined(self, before: Expr, value: Expr) -> Expr:
        """The next element of the scan."""
        if self.combine != "logsumexp":
            return before + value if self.combine == "add" else before * value
        low, high = minimum_of(before, value), maximum_of(before, value)
        # equal infinities have no difference
        return select(call("eq", low, high), high + math.log(2), high + call("log1p", exp(low - high)))

    def _lower_pairs(self, k: Any, x: Any, y: Any, outer: Index, extent: Index, inner: Index) -> None:
        with k.loop("o", outer, Mode.PARALLEL) as o, k.loop("c", inner) as c:
            re, im = k.var("re", const(1, x.type)), k.var("im", const(0, x.type))
            with k.loop("i", extent) as i:
                at = ((o * extent + (extent - 1 - i if self.reverse else i)) * inner + c) * 2
                xr, xi = k.let("xr", k.load(x, at)), k.let("xi", k.load(x, at + 1))
                pr, pi = k.let("pr", re * xr - im * xi), k.let("pi", re * xi + im * xr)
                k.store(y, at, re if self.exclusive else pr)
                k.store(y, at + 1, im if self.exclusive else pi)
                k.set(re, pr)
                k.set(im, pi)

    def lower(self, k: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        (x,), (y,) = inputs, outputs
        outer, extent, inner = product(x.shape[: self.axis]), x.shape[self.axis], product(x.shape[self.axis + 1 :])
        if self.pairs:
            self._lower_pairs(k, x, y, outer, extent, inner // 2)
            return
        neutral = const(self.neutral(TYPES[x.type]), x.type)
        if inner == 1:
            self._lower_rows(k, x, y, outer, extent, neutral)
            return

        def at(o: Index, i: Index, c: Index) -> Index:
            return (o * extent + (extent - 1 - i if self.reverse else i)) * inner + c

        # The sum so far stands in the result itself: the row before is read back, so that columns stay vectors.
        with k.loop("o", outer, Mode.PARALLEL) as o:
            with k.loop("first", minimum_one(extent)) as first, k.loop("c", inner, Mode.VECTOR) as c:
                k.store(y, at(o, first, c), neutral if self.exclusive else self.combined(neutral, k.load(x, at(o, first, c))))
            with k.loop("i", maximum(extent - 1, 0)) as i, k.loop("c", inner, Mode.VECTOR) as c:
                value = k.load(x, at(o, i if self.exclusive else i + 1, c))
                before = k.load(y, at(o, i, c))
                k.store(y, at(o, i + 1, c), self.combined(before, value))

    def _lower_rows(self, k: Any, x: Any, y: Any, rows: Index, extent: Index, neutral: Expr) -> None:
        """Along rows. Each element waits for the one before it, so that several rows go side by side."""

        def scan(row: Index, many: int) -> None:
            sums = [k.var("sum", neutral) for _ in range(many)]
            with k.loop("i", extent) as i:
                for n, before in enumerate(sums):
                    at = (row + n) * extent + (extent - 1 - i if self.reverse else i)
                    after = k.let("after", self.combined(before, k.load(x, at)))
                    k.store(y, at, before if self.exclusive else after)
                    k.set(before, after)

        whole = rows // TOGETHER
        with k.loop("block", whole, Mode.PARALLEL) as block:
            scan(block * TOGETHER, TOGETHER)
        if (left := rows - whole * TOGETHER) != 0:
            k.next_phase()
            with k.loop("row", left, Mode.PARALLEL) as row:
                scan(whole * TOGETHER + row, 1)


def minimum_one(extent: Index) -> Index:
    """1, or 0 for an empty dimension."""
    return extent - maximum(extent - 1, 0)


class Cumulative(Composite, abstract=True):
    """The running combination along an axis that the second operand holds."""

    arguments = ("x: T", "axis: Tidx")
    results = ("out: T",)
    types = {"T": (*REAL, *COMPLEX), "Tidx": INDEX}
    exclusive: bool = False
    reverse: bool = False
    combine = "add"
    cases = (
        Case((3, 5), scalar(1)), Case((3, 5), scalar(0), exclusive=True), Case((2, 4, 3), scalar(-2), reverse=True),
        Case((7,), scalar(0), exclusive=True, reverse=True),
    )  # fmt: skip

    def infer(self, x: TensorSpec, axis: TensorSpec) -> TensorSpec:
        return TensorSpec(x.dtype, x.dims)

    def _scan(self, rank: int, axis: Any) -> Scan:
        try:
            number = axis_of(axis, rank)
        except ValueError:
            raise ValueError(f"Expected scan axis in the range [{-rank}, {rank}), but got {int(axis)}") from None
        return Scan(self.combine, number, self.exclusive, self.reverse)

    def reference(self, x: Any, axis: Any) -> Any:
        return self._scan(x.ndim, axis).reference(x)

    def decompose(self, b: Any, x: Any, axis: Any) -> Any:
        if axis.shape:
            raise ValueError(f"axis must be a scalar, not {shown(axis.shape)}")
        return b.apply(self._scan(len(x.shape), b.sizes(axis)[0]), x)


class Cumsum(Cumulative):
    """The running sum."""

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make("Cumsum", dy, node.inputs[1], exclusive=self.exclusive, reverse=not self.reverse), None]


class Cumprod(Cumulative):
    """The running product."""

    combine = "mul"

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        x, axis = node.inputs
        products = make("Cumprod", x, axis, exclusive=self.exclusive, reverse=self.reverse)
        sums = make("Cumsum", make("Mul", conjugate(products), dy), axis, exclusive=self.exclusive, reverse=not self.reverse)
        return [make("RealDiv", sums, conjugate(x)), None]


class CumulativeLogsumexp(Cumulative):
    """The running log of the sum of exponentials."""

    types = {"T": FLOATING, "Tidx": INDEX}
    combine = "logsumexp"
    # The first element of an exclusive scan is a constant of the order of the largest number: differences around it say nothing.
    cases = tuple(Case(*case.inputs, **case.fields, gradient="exclusive" not in case.fields) for case in Cumulative.cases)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        (x, axis), (y,) = node.inputs, node.outputs
        lowest = make("Fill", make("Shape", dy), convert_to_tensor(dy.dtype.min, dy.dtype))
        none = make("ZerosLike", dy)

        def share(sign: str, log_of: Any) -> Any:
            logs = make("Select", make(sign, dy, none), make("Log", log_of), lowest)
            back = make("CumulativeLogsumexp", make("Sub", logs, y), axis, exclusive=self.exclusive, reverse=not self.reverse)
            return make("Exp", make("Add", back, x))

        return [make("Sub", share("Greater", dy), share("Less", make("Neg", dy))), None]


# -- public functions --------------------------------------------------------------------------------------------------------------


def cumsum(x, axis=0, exclusive=False, reverse=False, name=None):
    """The running sum along `axis`; `exclusive` begins with 0, `reverse` runs from the end."""
    with name_scope(name, "Cumsum", [x]) as name:
        return make("Cumsum", convert_to_tensor(x, name="x"), axis, exclusive=bool(exclusive), reverse=bool(reverse), name=name)


def cumprod(x, axis=0, exclusive=False, reverse=False, name=None):
    """The running product along `axis`; `exclusive` begins with 1, `reverse` runs from the end."""
    with name_scope(name, "Cumprod", [x]) as name:
        return make("Cumprod", convert_to_tensor(x, name="x"), axis, exclusive=bool(exclusive), reverse=bool(reverse), name=name)


def cumulative_logsumexp(x, axis=0, exclusive=False, reverse=False, name=None):
    """The running log(sum(exp(x))) along an axis. An `exclusive` one leaves each element's own value out and begins with the smallest
    number of the type."""
    with name_scope(name, "CumulativeLogsumexp", [x]) as name:
        x = convert_to_tensor(x, name="x")
        return make("CumulativeLogsumexp", x, axis, exclusive=bool(exclusive), reverse=bool(reverse), name=name)
