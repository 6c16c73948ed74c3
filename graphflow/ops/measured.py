"""Sizes that depend on data, as symbols of a Program.

    count: int64[]  ── Measured("m0", limit) ──►  from here on the size m0 is known

A kernel counts, and Measured makes the count a size that later kernels are called with; nothing is captured or planned anew for another
count. `limit` is what it is expected not to exceed: memory is set aside for that many, and a run that needs more is begun again with
more. Whatever has m0 among its sizes must run after Measured. Most of it does anyway, because what it reads was made with the size; what
would not (ones of shape [m0]) reads an operand through After. `ProgramBuilder.measure` and `apply` see to both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.dtypes import DType, int64
from graphflow.graph.op import Access, Case, Effect, TensorSpec
from graphflow.kernel.expr import Expr, call, cast, const, position, select
from graphflow.kernel.index import Index, IndexExpr, symbols_of
from graphflow.ops.families import Elementwise, Kernelised, Movement, ravel

_TOO_MANY = 1 << 60
PREFIX = "m"  # of the symbols' names; sizes that are read off feeds are called s0, s1, …


def measured_in(index: Index) -> frozenset[str]:
    """The names of the sizes in `index` that depend on data."""
    return frozenset(name for name in symbols_of(index) if name.startswith(PREFIX)) if isinstance(index, IndexExpr) else frozenset()


class Measured(Kernelised):
    """Gives the symbol `symbol` the value `count`, at most `limit` as a rule. Its result is the count, to be waited for.

    tentative: a larger count is nothing unusual; what a run has changed before is put right for it. presumed: what the count is not to
    exceed, or to be where it is `exact`; any other is made larger than every limit.
    """

    core = True
    effect = Effect.READS  # not to be folded or shared: the size would have no value
    arguments = ("count: int64",)
    results = ("size: int64",)
    symbol: str
    limit: Index
    tentative: bool = False
    presumed: Index = -1
    exact: bool = False
    cases = (
        Case(np.array(3), symbol="m0", limit=5),
        Case(np.array(3), symbol="m0", limit=5, presumed=4), Case(np.array(5), symbol="m0", limit=5, presumed=5, exact=True),
    )

    def infer(self, count: TensorSpec) -> TensorSpec:
        return TensorSpec(int64, ())

    def reference(self, count: Any) -> Any:
        wrong = self.presumed != -1 and (count != self.presumed if self.exact else count > self.presumed)
        return np.asarray(_TOO_MANY if wrong else count, np.int64)

    def lower(self, k: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        count = k.load(inputs[0], 0)
        if self.presumed != -1:
            holds = call("eq" if self.exact else "le", count, position(self.presumed))
            count = select(holds, count, const(_TOO_MANY, "i64"))
        k.store(outputs[0], 0, count)


class After(Elementwise):
    """x, not before the size `symbol` is known."""

    core = True
    arguments = ("x: T", "size: int64")
    results = ("y: T",)
    linear = True
    symbol: str
    cases = (Case((3, 2), np.array(3), symbol="m0"),)

    def reference(self, x: Any, size: Any) -> Any:
        return np.array(x)

    def scalar(self, x: Expr, size: Expr) -> Expr:
        return x


class IotaAfter(Movement):
    """y[i..] = i[axis], not before the sizes in its shape are known."""

    core = True
    arguments = ("size: N*int64",)
    results = ("y: dtype",)
    shape: tuple[Index, ...]
    axis: int
    dtype: DType
    cases = (Case(np.array(3), shape=(3, 4), axis=1, dtype=int64),)

    def infer(self, *size: TensorSpec) -> TensorSpec:
        return TensorSpec(self.dtype, self.shape)

    def reference(self, *size: Any) -> Any:
        shape = tuple(int(n) for n in self.shape)  # type: ignore[arg-type]
        return np.broadcast_to(np.indices(shape, sparse=True)[self.axis], shape).astype(self.dtype.as_numpy_dtype)

    def element(self, inputs: Sequence[Access], index: tuple[Index, ...]) -> Expr:
        return cast(position(index[self.axis]), str(self.dtype.kernel_type))


class Numbers(Movement):
    """An integer tensor whose elements are sizes."""

    core = True
    arguments = ("size: N*int64",)
    results = ("y: dtype",)
    sizes: tuple[Index, ...]
    shape: tuple[int, ...]
    dtype: DType
    cases = (Case(np.array(3), sizes=(4, 3, 7, 9), shape=(2, 2), dtype=int64),)

    def infer(self, *size: TensorSpec) -> TensorSpec:
        return TensorSpec(self.dtype, self.shape)

    def reference(self, *size: Any) -> Any:
        return np.array(self.sizes, self.dtype.as_numpy_dtype).reshape(self.shape)

    def element(self, inputs: Sequence[Access], index: tuple[Index, ...]) -> Expr:
        at = position(ravel(index, self.shape))
        value = position(self.sizes[-1])
        for number, size in enumerate(self.sizes[:-1]):
            value = select(call("eq", at, const(number, "i64")), position(size), value)
        return cast(value, str(self.dtype.kernel_type))


class Prefix(Movement):
    """The first `rows` rows of x, which are at most as many as x has."""

    core = True
    arguments = ("x: T",)
    results = ("y: T",)
    rows: Index
    cases = (Case((5, 2), rows=3), Case((5,), rows=0))

    def infer(self, x: TensorSpec) -> TensorSpec:
        assert x.dims is not None
        return TensorSpec(x.dtype, (self.rows, *x.dims[1:]))

    def reference(self, x: Any) -> Any:
        return x[: int(self.rows)]  # type: ignore[arg-type]

    def element(self, inputs: Sequence[Access], index: tuple[Index, ...]) -> Expr:
        return inputs[0](index)
