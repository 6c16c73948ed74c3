"""Numbers in a row: range and linspace."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.dtypes import FLOATING, INDEX, float32, float64, int32, int64
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.op import Case, TensorSpec
from graphflow.kernel.index import Index, IndexExpr, ceildiv, maximum
from graphflow.ops.families import Composite
from graphflow.ops.scans import Scan
from graphflow.ops.sizes import contents, need_rank, scalar

__all__ = ["lin_space", "linspace", "range"]

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
