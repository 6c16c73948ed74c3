"""Distinct elements: unique, unique_with_counts, and the difference of two lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from graphflow.dtypes import DType, as_dtype, int32, int64
from graphflow.graph.build import make
from graphflow.graph.op import Case, TensorSpec
from graphflow.kernel.expr import as_index, call, cast, const, position, select
from graphflow.ops.families import Composite, Kernelised
from graphflow.ops.measured import Prefix
from graphflow.ops.radix import key_of, sort_row
from graphflow.ops.segments import ScatterRows
from graphflow.ops.sizes import need_rank

__all__ = ["setdiff1d", "unique", "unique_with_counts"]


class Distinct(Kernelised):
    """Of a vector: its distinct elements in order of first appearance, the place of each element's like among them, how often each of
    them appears, and how many there are. The first and the third result have the vector's size and are filled from the front. NaNs differ
    from each other."""

    core = True
    arguments = ("x: T",)
    results = ("y: T", "idx: int64", "counts: int64", "count: int64")
    cases = (
        Case(np.array([3, 1, 3, 7, 1, 1], np.int32)), Case(np.array([2.0, np.nan, -0.0, 0.0, np.nan, 2.0], np.float32)),
        Case(np.zeros(0, np.int32)), Case(np.arange(40, dtype=np.int32) % 7), Case(np.array([True, False, True])),
        Case(np.arange(2000, dtype=np.int32) ** 2 % 701 * 65537 - 9), Case((np.arange(50) % 11 - 5).astype(np.int64) << 40),
        Case(np.array([0.5, -0.0, np.nan, 0.0, 0.5], np.float16)), Case(np.array([200, 3, 200], np.uint8)),
    )  # fmt: skip

    def infer(self, x: TensorSpec) -> tuple[TensorSpec, ...]:
        return TensorSpec(x.dtype, x.dims), TensorSpec(int64, x.dims), TensorSpec(int64, x.dims), TensorSpec(int64, ())

    def reference(self, x: Any) -> Any:
        y, idx, counts = distinct(x)
        room = len(x) - len(y)
        return np.pad(y, (0, room)), idx, np.pad(counts, (0, room)), np.array(len(y))

    def lower(self, k: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        (x,), (y, idx, counts, count) = inputs, outputs
        width = x.shape[0]
        last = max(width - 1, 0) if isinstance(width, int) else None

        def at(place: Any) -> Any:
            return as_index(cast(place, "i64"), 0, last)

        first = k.scratch("first", "i32", (width,))  # for each element the first of its like
        places, begin = sort_row(k, lambda place: key_of(k.load(x, place)), width)
        with k.loop("zero", width) as i:
            k.store(counts, i, const(0, "i64"))
            k.store(y, i, const(0, x.type))
        leader = k.var("leader", const(0, "i32"))
        with k.loop("rank", width) as i:
            place = k.let("place", k.load(places, begin + i))
            same = call("eq", k.load(x, at(place)), k.load(x, at(leader)))
            k.set(leader, select(same & (position(i) > 0), leader, place))
            k.store(first, at(place), leader)
        found = k.var("found", const(0, "i64"))
        with k.loop("i", width) as i:
            mine = k.let("mine", k.load(first, i))
            fresh = k.let("fresh", call("eq", cast(mine, "i64"), position(i)))
            rank = k.let("number", select(fresh, found, k.load(idx, at(mine))))
            k.store(idx, i, rank)
            with k.when(fresh):
                k.store(y, at(rank), k.load(x, i))
            k.store(counts, at(rank), k.load(counts, at(rank)) + 1)
            k.set(found, select(fresh, found + 1, found))
        k.store(count, 0, found)


def distinct(x: Any) -> tuple[Any, Any, Any]:
    """The distinct elements of a vector in order of first appearance, the place of each element's like among them, their numbers."""
    values, first, inverse, counts = np.unique(x, return_index=True, return_inverse=True, return_counts=True, equal_nan=False)
    order = np.argsort(first)  # numpy sorts by value, TensorFlow by first appearance
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return values[order], rank[np.ravel(inverse)], counts[order].astype(np.int64)


class Unique(Composite):
    """The distinct elements in order of their first appearance, and for each element the number of its like among them."""

    arguments = ("x: T",)
    results = ("y: T", "idx: out_idx")
    differentiable = False
    out_idx: DType = int32
    cases = (Case(np.array([3, 1, 3, 7, 1, 1], np.int32)), Case(np.zeros(0, np.int32), out_idx=int64))

    def infer(self, x: TensorSpec) -> tuple[TensorSpec, ...]:
        need_rank(x, 1)
        return TensorSpec(x.dtype, (None,)), TensorSpec(self.out_idx, x.dims)

    def reference(self, x: Any) -> Any:
        y, idx, _ = distinct(x)
        return y, idx.astype(self.out_idx.as_numpy_dtype)

    def decompose(self, b: Any, x: Any) -> Any:
        y, idx, _, count = b.apply(Distinct(), x)
        return b.apply(Prefix(b.measure(count, x.shape[0])), y), b.cast(idx, self.out_idx)


class UniqueWithCounts(Composite):
    """Unique, and how often each distinct element appears."""

    arguments = ("x: T",)
    results = ("y: T", "idx: out_idx", "count: out_idx")
    differentiable = False
    out_idx: DType = int32
    cases = Unique.cases

    def infer(self, x: TensorSpec) -> tuple[TensorSpec, ...]:
        need_rank(x, 1)
        return TensorSpec(x.dtype, (None,)), TensorSpec(self.out_idx, x.dims), TensorSpec(self.out_idx, (None,))

    def reference(self, x: Any) -> Any:
        y, idx, counts = distinct(x)
        return y, idx.astype(self.out_idx.as_numpy_dtype), counts.astype(self.out_idx.as_numpy_dtype)

    def decompose(self, b: Any, x: Any) -> Any:
        y, idx, counts, count = b.apply(Distinct(), x)
        front = Prefix(b.measure(count, x.shape[0]))
        return b.apply(front, y), b.cast(idx, self.out_idx), b.cast(b.apply(front, counts), self.out_idx)


class ListDiff(Composite):
    """The elements of x that are not in y, repetitions included, and their places in x."""

    arguments = ("x: T", "y: T")
    results = ("out: T", "idx: out_idx")
    differentiable = False
    out_idx: DType = int32
    cases = (
        Case(np.array([1, 2, 3, 2, 9], np.int32), np.array([3, 1, 1], np.int32)), Case(np.zeros(0, np.int32), np.array([3], np.int32)),
        Case(np.array([1.0, 4.0], np.float32), np.zeros(0, np.float32), out_idx=int64),
    )  # fmt: skip

    def infer(self, x: TensorSpec, y: TensorSpec) -> tuple[TensorSpec, ...]:
        need_rank(x, 1)
        need_rank(y, 1)
        return TensorSpec(x.dtype, (None,)), TensorSpec(self.out_idx, (None,))

    def reference(self, x: Any, y: Any) -> Any:
        places = np.flatnonzero(~np.isin(x, y)).astype(self.out_idx.as_numpy_dtype)
        return x[places], places

    def decompose(self, b: Any, x: Any, y: Any) -> Any:
        left, right = x.shape[0], y.shape[0]
        _, idx, _, _ = b.apply(Distinct(), b.join([x, y], 0))
        listed = b.broadcast(b.constant(1, "int32"), (right,))
        marks = b.apply(ScatterRows(left + right, "max"), listed, b.section(idx, (left,), (right,)))
        kept = b.less(b.take(marks, b.section(idx, (0,), (left,)), 0), 1)
        places = b.make("Where", kept)
        places = b.view(places, places.shape[:1])
        return b.take(x, places, 0), b.cast(places, self.out_idx)


# -- public functions --------------------------------------------------------------------------------------------------------------


class UniqueParts(NamedTuple):
    """What unique gives."""

    y: Any
    idx: Any


class UniqueCounted(NamedTuple):
    """What unique_with_counts gives."""

    y: Any
    idx: Any
    count: Any


class Difference(NamedTuple):
    """What setdiff1d gives."""

    out: Any
    idx: Any


def unique(x, out_idx=int32, name=None):
    """The distinct elements of a vector in order of appearance, and each element's place among them."""
    return UniqueParts(*make("Unique", x, out_idx=as_dtype(out_idx), name=name))


def unique_with_counts(x, out_idx=int32, name=None):
    """The distinct elements of a vector, each element's place among them, and how often each appears."""
    return UniqueCounted(*make("UniqueWithCounts", x, out_idx=as_dtype(out_idx), name=name))


def setdiff1d(x, y, index_dtype=int32, name=None):
    """The elements of the vector x that are not in the vector y, in order and with repetitions, and their places in x."""
    return Difference(*make("ListDiff", x, y, out_idx=as_dtype(index_dtype), name=name))
