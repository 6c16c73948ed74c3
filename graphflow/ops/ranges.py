"""Numbers in a row: range, linspace, and running sums and products."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.dtypes import COMPLEX, FLOATING, INDEX, REAL, float32, float64, int32, int64
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.op import Case, TensorSpec
from graphflow.kernel.expr import TYPES, Expr, call, const, exp, select
from graphflow.kernel.expr import maximum as maximum_of
from graphflow.kernel.expr import minimum as minimum_of
from graphflow.kernel.index import Index, IndexExpr, ceildiv, maximum, product
from graphflow.kernel.nodes import Mode
from graphflow.ops.broadcast import conjugate
from graphflow.ops.families import Composite, Kernelised
from graphflow.ops.joining import axis_of
from graphflow.ops.parts import interleaved, paired
from graphflow.ops.sizes import contents, need_rank, scalar, shown

__all__ = ["cumprod", "cumsum", "lin_space", "linspace", "range"]

_SMALL = 1 << 12  # a range up to this length is known element by element while the graph is built


class Range(Composite):
    """start, start + delta, ... up to but not including limit."""

    arguments = ("start: Tidx", "limit: Tidx", "delta: Tidx")
    results = ("output: Tidx",)
    types = {"Tidx": (int32, int64, float32, float64)}
    differentiable = False
    cases = (
        Case(scalar(0), scalar(10), scalar(3)), Case(scalar(5), scalar(-1), scalar(-2)), Case(scalar(3), scalar(3), scalar(1)),
        Case(np.float32(0), np.float32(1), np.float32(0.25)),
        Case(scalar(0), scalar(3), scalar(0), error=("ValueError", "Requires delta != 0")),
        Case(scalar(5), scalar(3), scalar(1), error=("ValueError", "Requires start <= limit when delta > 0")),
    )  # fmt: skip

    def _length(self, start: Any, limit: Any, delta: Any) -> Index:
        if not isinstance(delta, IndexExpr) and delta == 0:
            raise ValueError(f"Requires delta != 0, but got: {delta}")
        numbers = not any(isinstance(v, IndexExpr) for v in (start, limit, delta))
        if numbers and (limit - start) * (1 if delta > 0 else -1) < 0:
            relation = "start <= limit when delta > 0" if delta > 0 else "start >= limit when delta < 0"
            raise ValueError(f"Requires {relation}: {start}/{limit}")
        if isinstance(start, np.floating):
            return max(int(np.ceil((limit - start) / delta)), 0)  # in the numbers' own precision, as TensorFlow counts
        if isinstance(delta, IndexExpr):
            raise ValueError("the step of a range may not be a run-time size")
        span = limit - start if delta > 0 else start - limit
        return maximum(ceildiv(span, abs(int(delta))), 0) if isinstance(span, IndexExpr) else max(-(-int(span) // abs(int(delta))), 0)

    def _ends(self, *specs: TensorSpec) -> list[Any] | None:
        out = []
        for spec in specs:
            if spec.value is None:
                return None
            value = np.asarray(spec.value).ravel()[0]
            if value is None:
                return None
            out.append(_number(value))
        return out

    def infer(self, start: TensorSpec, limit: TensorSpec, delta: TensorSpec) -> TensorSpec:
        for name, spec in (("start", start), ("limit", limit), ("delta", delta)):
            need_rank(spec, 0, f"{name} must be a scalar")
        ends = self._ends(start, limit, delta)
        if ends is None:
            return TensorSpec(start.dtype, (None,))
        length = self._length(*ends)
        if isinstance(length, int) and length <= _SMALL and not any(isinstance(e, IndexExpr) for e in ends):
            first, _, step = (np.asarray(e, start.dtype.as_numpy_dtype) for e in ends)
            return TensorSpec(start.dtype, (length,), _ramp(first, step, length))
        return TensorSpec(start.dtype, (length,))

    def reference(self, start: Any, limit: Any, delta: Any) -> Any:
        count = self._length(*(_number(v[()]) for v in (start, limit, delta)))
        return _ramp(start, delta, count)  # type: ignore[arg-type]

    def decompose(self, b: Any, start: Any, limit: Any, delta: Any) -> Any:
        if b.boundless and limit.known is None and start.dtype.is_integer and delta.known is not None and delta.known.ravel()[0] == 1:
            first, step = _number(b.known(start).ravel()[0]), 1
            length = b.measure(b.sub(limit, start))
        else:
            first, last, step = (_number(b.known(v).ravel()[0]) for v in (start, limit, delta))
            length = self._length(first, last, step)
        ramp = b.iota((length,), 0, start.dtype)
        if start.dtype.is_floating:
            return b.apply(Scan("add", 0), b.select(b.make("Less", ramp, 1), start, delta))
        if not (isinstance(step, int) and step == 1):
            ramp = b.mul(ramp, delta)
        return ramp if isinstance(first, int) and first == 0 else b.add(ramp, start)


def _number(value: Any) -> Any:
    """A whole number as an int, a floating one with its precision, a size as it is."""
    return value.item() if isinstance(value, np.integer) else value


def _ramp(start: Any, delta: Any, count: int) -> np.ndarray[Any, Any]:
    """`count` numbers from start; floating ones by adding delta again and again, as TensorFlow rounds them."""
    if start.dtype.kind == "f":
        return np.cumsum(np.where(np.arange(count) < 1, start, delta), dtype=start.dtype)
    return (start + delta * np.arange(count, dtype=start.dtype)).astype(start.dtype)


class LinSpace(Composite):
    """`num` numbers at equal distances from start to stop, both included."""

    arguments = ("start: T", "stop: T", "num: Tidx")
    results = ("output: T",)
    types = {"T": FLOATING, "Tidx": INDEX}
    differentiable = False
    cases = (Case((), (), scalar(5)), Case((), (), scalar(1)))

    def infer(self, start: TensorSpec, stop: TensorSpec, num: TensorSpec) -> TensorSpec:
        for name, spec in (("start", start), ("stop", stop), ("num", num)):
            need_rank(spec, 0, f"{name} must be a scalar")
        count = contents(num)
        if count is not None and isinstance(count[0], int) and count[0] <= 0:
            raise ValueError(f"Requires num > 0: {count[0]}")
        return TensorSpec(start.dtype, (None if count is None else count[0],))

    def reference(self, start: Any, stop: Any, num: Any) -> Any:
        return np.linspace(float(start), float(stop), int(num)).astype(start.dtype)

    def decompose(self, b: Any, start: Any, stop: Any, num: Any) -> Any:
        (count,) = b.sizes(num)
        if isinstance(count, int) and count == 1:
            return b.view(start, (1,))
        gaps = b.cast(b.constant(count - 1, "int64"), start.dtype)
        ramp = b.iota((count,), 0, start.dtype)
        inner = b.add(start, b.mul(ramp, b.div(b.sub(stop, start), gaps)))
        return b.select(b.make("Less", ramp, gaps), inner, stop)  # the last one is `stop` exactly


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
        Case((0, 3), combine="add", axis=0), Case((4, 17), combine="add", axis=0),
        Case((3, 5), combine="logsumexp", axis=1, dtypes=("float32", "float64")),
        Case((4, 6), combine="logsumexp", axis=0, exclusive=True, low=-200, high=200, dtypes=("float32", "float64")),
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
        if self.combine == "logsumexp":
            y = np.logaddexp.accumulate(x.astype(np.float64), 0).astype(x.dtype)
        else:
            y = (np.cumsum if self.combine == "add" else np.cumprod)(x, 0, dtype=x.dtype)
        if self.exclusive and len(y):
            y = np.concatenate([np.full_like(y[:1], self.neutral(x.dtype)), y[:-1]])
        return np.moveaxis(y[::-1] if self.reverse else y, 0, self.axis)

    def neutral(self, dtype: Any) -> Any:
        """What an exclusive scan begins with."""
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

        def at(o: Index, i: Index, c: Index) -> Index:
            return (o * extent + (extent - 1 - i if self.reverse else i)) * inner + c

        # The sum so far stands in the result itself: the row before is read back, so that columns stay vectors.
        with k.loop("o", outer, Mode.PARALLEL) as o:
            with k.loop("first", minimum_one(extent)) as first, k.loop("c", inner, Mode.VECTOR) as c:
                k.store(y, at(o, first, c), neutral if self.exclusive else k.load(x, at(o, first, c)))
            with k.loop("i", maximum(extent - 1, 0)) as i, k.loop("c", inner, Mode.VECTOR) as c:
                value = k.load(x, at(o, i if self.exclusive else i + 1, c))
                before = k.load(y, at(o, i, c))
                k.store(y, at(o, i + 1, c), self.combined(before, value))


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

_ORDER = (int32, int64, float32, float64)


def range(start, limit=None, delta=1, dtype=None, name="range"):
    """start, start + delta, ... up to but not including limit; with one number, from 0 up to it."""
    if limit is None:
        start, limit = 0, start
    with name_scope(name, "Range", [start, limit, delta]) as name:
        start = convert_to_tensor(start, dtype=dtype, name="start")
        limit = convert_to_tensor(limit, dtype=dtype, name="limit")
        delta = convert_to_tensor(delta, dtype=dtype, name="delta")
        if dtype is None:
            widest = max((t.dtype.base_dtype for t in (start, limit, delta)), key=_ORDER.index)
            start, limit, delta = (
                t if t.dtype.base_dtype == widest else make("Cast", t, DstT=widest) for t in (start, limit, delta)
            )
        return make("Range", start, limit, delta, name=name)


def linspace(start, stop, num, name=None):
    """`num` numbers at equal distances from start to stop."""
    return make("LinSpace", start, stop, num, name=name)


lin_space = linspace


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
