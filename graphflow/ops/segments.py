"""Sums over the rows that share a number: segment ops, and the gradients of gathers."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from graphflow.dtypes import COMPLEX, INDEX, REAL, int32, int64
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.op import Case, TensorSpec
from graphflow.kernel.expr import TYPES, as_index, call, cast, const, maximum, minimum, position, select
from graphflow.kernel.index import Index, ceildiv, product
from graphflow.kernel.index import minimum as smaller
from graphflow.kernel.nodes import Mode
from graphflow.ops.core import identity_of
from graphflow.ops.families import Composite, Kernelised, located
from graphflow.ops.parts import interleaved, paired
from graphflow.ops.sizes import Size, contents, i32, merge, merge_dims, need_rank, scalar

__all__ = [
    "segment_max", "segment_mean", "segment_min", "segment_prod", "segment_sum", "unsorted_segment_max",
    "unsorted_segment_mean", "unsorted_segment_min", "unsorted_segment_prod", "unsorted_segment_sqrt_n", "unsorted_segment_sum",
]  # fmt: skip

PARTS, SHARE = 8, 64  # so many threads at most share the columns of wide rows, so many for each: every one looks at all numbers
FILLED = 4096  # elements that a thread fills at a time


class ScatterRows(Kernelised):
    """y[s] = the rows x[i] with ids[i] = s, combined in order; the combiner's neutral element where there are none.

    drop: negative numbers are left out; without it they fail the step. pairs: of complex numbers, whose parts stand in the last
    dimension. shape: that of ids before they were made a vector, for the message about a wrong one.
    """

    core = True
    arguments = ("x: T", "ids: I")
    results = ("y: T",)
    types = {"I": INDEX}
    rows: Index
    combine: str
    drop: bool = True
    pairs: bool = False
    shape: tuple[Index, ...] = ()
    cases = (
        Case((5, 3), i32(1, 0, 1, 3, -1), rows=4, combine="add"), Case((4,), i32(0, 0, 2, 2), rows=3, combine="max"),
        Case((0, 3), np.zeros(0, np.int32), rows=2, combine="add"), Case((5, 17), i32(8, 0, 0, 8, 4), rows=9, combine="mul"),
        Case((5, 3, 2), i32(1, 0, 1, 3, -1), rows=4, combine="mul", pairs=True), Case((5, 201), i32(1, 0, 1, 3, -1), rows=4, combine="max"),
        Case((2, 3), i32(0, 4), rows=3, combine="add", error=("InvalidArgumentError", "is out of range [0, 3)")),
    )  # fmt: skip

    def infer(self, x: TensorSpec, ids: TensorSpec) -> TensorSpec:
        assert x.dims is not None
        return TensorSpec(x.dtype, (self.rows, *x.dims[1:]))

    def on_parts(self, b: Any, x: Any, ids: Any) -> Any:
        if self.combine in ("add", "sub"):
            return b.pair(*(b.apply(self, part, ids) for part in b.parts(x)))
        products = ScatterRows(self.rows, self.combine, self.drop, pairs=True)
        return b.make("Paired", b.apply(products, b.make("Interleaved", x), ids))

    def reference(self, x: Any, ids: Any) -> Any:
        if self.pairs:
            return interleaved(ScatterRows(self.rows, self.combine, self.drop).reference(paired(x), ids))
        from graphflow.dtypes import as_dtype

        if ids.size and (ids.max() >= self.rows or (not self.drop and ids.min() < 0)):
            raise IndexError(" ".join(self.problem))
        neutral = _neutral(self.combine, as_dtype(x.dtype).kernel_type or "f32")
        y = np.full((int(self.rows), *x.shape[1:]), neutral, x.dtype)  # type: ignore[arg-type]
        at = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}[self.combine].at
        kept = ids >= 0
        at(y, ids[kept], x[kept])
        return y

    @property
    def problem(self) -> tuple[str, str]:
        """What a wrong number is called, and what is wrong with it."""
        return ("segment_ids", f"is out of range [0, {self.rows})") if self.drop else ("indices", f"is not in [0, {self.rows})")

    def lower(self, k: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        (x, ids), (y,) = inputs, outputs
        rows, count, width = y.shape[0], x.shape[0], product(x.shape[1:])
        neutral = const(_neutral(self.combine, x.type), x.type)
        filled(k, y, lambda place: select(call("eq", position(place % 2), 0), neutral, 0) if self.pairs else neutral)
        parts = 1 if self.pairs else shares(width)
        with k.loop("part", parts, Mode.PARALLEL) as part, k.loop("i", count) as i:
            number = _row_of(k, ids, i, rows, self.problem, self.drop, self.shape)
            with k.when(call("le", const(0, "i64"), number) & (number < position(rows))):
                begin, end = part * width // parts, (part + 1) * width // parts
                old, new = as_index(number, 0, None) * width + begin, i * width + begin
                if self.pairs:
                    _multiply_pairs(k, y, old, x, new, width // 2)
                else:
                    with k.loop("c", end - begin, Mode.VECTOR) as c:
                        k.store(y, old + c, _combined(self.combine, k.load(y, old + c), k.load(x, new + c)))


def filled(k: Any, y: Any, value: Callable[[Index], Any]) -> None:
    """A phase in which all threads fill a buffer with the value of each place."""
    size = product(y.shape)
    with k.loop("block", ceildiv(size, FILLED), Mode.PARALLEL) as block:
        with k.loop("n", smaller(FILLED, size - block * FILLED), Mode.VECTOR) as n:
            k.store(y, block * FILLED + n, value(block * FILLED + n))
    k.next_phase()


def shares(width: Index) -> int:
    """Into how many shares the columns of scattered rows are cut, each of which looks at all numbers."""
    return max(1, min(width // SHARE, PARTS)) if isinstance(width, int) else PARTS


def _multiply_pairs(k: Any, y: Any, old: Index, x: Any, new: Index, count: Index) -> None:
    """Multiply complex numbers, two elements each, by others."""
    with k.loop("c", count) as c:
        a, b = (k.let("y", k.load(y, old + 2 * c + part)) for part in (0, 1))
        p, q = (k.let("x", k.load(x, new + 2 * c + part)) for part in (0, 1))
        k.store(y, old + 2 * c, a * p - b * q)
        k.store(y, old + 2 * c + 1, a * q + b * p)


def _row_of(k: Any, ids: Any, i: Index, rows: Index, problem: tuple[str, str], drop: bool, shape: tuple[Index, ...]) -> Any:
    """The checked number of the row that row i belongs to."""
    number = k.let("number", cast(k.load(ids, (i,)), "i64"))
    valid = number < position(rows)
    if not drop:
        valid = call("le", const(0, "i64"), number) & valid
    message, shown_value = located(*problem, number, i, shape or ids.shape, ids.type)
    return k.let("number", k.check("InvalidArgumentError", message, valid, shown_value, number))


def _neutral(combine: str, type_: str) -> Any:
    """What TensorFlow has for a segment without rows: the combiner's identity, but a finite number instead of an infinity."""
    number = identity_of(combine, type_)
    if TYPES[type_].kind != "f":
        return number
    limits = np.finfo(TYPES[type_])
    return float(np.clip(number, limits.min, limits.max))


def _combined(combine: str, old: Any, new: Any) -> Any:
    if combine == "add":
        return old + new
    if combine == "sub":
        return old - new
    if combine == "mul":
        return old * new
    return maximum(old, new) if combine == "max" else minimum(old, new)


class UnsortedSegment(Composite, abstract=True):
    """Rows of data combined by the number that segment_ids gives each."""

    arguments = ("data: T", "segment_ids: Tindices", "num_segments: Tnumsegments")
    results = ("output: T",)
    types = {"T": (*REAL, *COMPLEX), "Tindices": INDEX, "Tnumsegments": INDEX}
    combine = "add"
    cases = (
        Case((5, 3), i32(1, 0, 1, 3, -1), scalar(4)), Case((2, 2, 3), np.array([[0, 1], [1, 1]], np.int32), scalar(2)),
        Case((4,), i32(0, 0, 2, 2), scalar(3)), Case((2, 3), i32(0, 0, 1), scalar(2), error=("ValueError", "must be equal")),
    )  # fmt: skip

    def infer(self, data: TensorSpec, segment_ids: TensorSpec, num_segments: TensorSpec) -> TensorSpec:
        need_rank(num_segments, 0, "num_segments should be a scalar")
        count = contents(num_segments)
        if data.dims is None or segment_ids.dims is None:
            return TensorSpec(data.dtype, None)
        shared = len(segment_ids.dims)
        merge_dims(data.dims[:shared], segment_ids.dims)
        if count is not None and isinstance(count[0], int) and count[0] < 0:
            raise ValueError(f"Input num_segments == {count[0]} must not be negative.")
        return TensorSpec(data.dtype, (None if count is None else count[0], *data.dims[shared:]))

    def _rows(self, count: Index, ids: tuple[Index, ...]) -> ScatterRows:
        return ScatterRows(count, self.combine, shape=ids)

    def reference(self, data: Any, segment_ids: Any, num_segments: Any) -> Any:
        rest = data.shape[segment_ids.ndim :]
        return self._rows(int(num_segments), segment_ids.shape).reference(data.reshape(segment_ids.size, *rest), segment_ids.ravel())

    def decompose(self, b: Any, data: Any, segment_ids: Any, num_segments: Any) -> Any:
        rest = data.shape[len(segment_ids.shape) :]
        (count,) = b.sizes(num_segments)
        rows, ids = b.view(data, (segment_ids.size, *rest)), b.view(segment_ids, (segment_ids.size,))
        return b.apply(self._rows(count, segment_ids.shape), rows, ids)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        data, ids, _ = node.inputs
        return [_spread(self.combine, data, ids, node.outputs[0], dy), None, None]


def _spread(combine: str, data: Any, ids: Any, result: Any, dy: Any) -> Any:
    """The gradient of a segment op: each row's share of its segment's dy; nothing for the rows left out."""
    kept = make("GreaterEqual", ids, make("ZerosLike", ids))
    safe = make("Maximum", ids, make("ZerosLike", ids))
    taken = _rows_of(dy, safe)
    if combine in ("max", "min"):
        chosen = make("Equal", data, _rows_of(result, safe))
        shares = make("Cast", chosen, DstT=data.dtype.base_dtype)
        count = make("UnsortedSegmentSum", shares, ids, make("StridedSlice", make("Shape", dy), [0], [1], [1], shrink_axis_mask=1))
        taken = make("Mul", shares, make("RealDiv", taken, _rows_of(count, safe)))
    elif combine == "mul":
        taken = _share_of_product(data, ids, safe, result, dy)
    if data.shape.ndims is None or ids.shape.ndims is None:
        ones = make("Fill", make("Reshape", make("Sub", make("Rank", data), make("Rank", ids)), [1]), 1)
    else:
        ones = [1] * (data.shape.ndims - ids.shape.ndims)
    shape = make("ConcatV2", [make("Shape", ids), ones], 0) if ones != [] else make("Shape", ids)
    mask = make("LogicalAnd", make("Reshape", kept, shape), make("OnesLike", make("Equal", taken, taken)))
    return make("Select", mask, taken, make("ZerosLike", taken))


def _share_of_product(data: Any, ids: Any, safe: Any, result: Any, dy: Any) -> Any:
    """dy times the product of the segment's other elements: product / element, or where the element is the segment's only 0, the product
    of the others; two zeros in a segment leave nothing."""
    count = make("StridedSlice", make("Shape", dy), [0], [1], [1], shrink_axis_mask=1)
    zero = make("Equal", data, make("ZerosLike", data))
    zeros = make("UnsortedSegmentSum", make("Cast", zero, DstT=int32), ids, count)
    dy = make("Select", make("Greater", zeros, make("OnesLike", zeros)), make("ZerosLike", dy), dy)
    others = make("UnsortedSegmentProd", make("Select", zero, make("OnesLike", data), data), ids, count)
    share = make("Select", zero, _rows_of(others, safe), make("RealDiv", _rows_of(result, safe), data))
    return make("Mul", _rows_of(dy, safe), share)


def _rows_of(values: Any, ids: Any) -> Any:
    return make("GatherV2", values, ids, 0)


class UnsortedSegmentSum(UnsortedSegment):
    """The sum of each segment's rows; 0 for one without."""


class UnsortedSegmentProd(UnsortedSegment):
    """The product of each segment's rows; 1 for one without."""

    combine = "mul"


class UnsortedSegmentMax(UnsortedSegment):
    """The largest of each segment's elements; the least number for one without."""

    combine = "max"
    types = {"T": REAL, "Tindices": INDEX, "Tnumsegments": INDEX}


class UnsortedSegmentMin(UnsortedSegment):
    """The least of each segment's elements; the largest number for one without."""

    combine = "min"
    types = {"T": REAL, "Tindices": INDEX, "Tnumsegments": INDEX}


def sorted_rows(ids: Any) -> int:
    """How many segments the sorted numbers `ids` make. ValueError, with TensorFlow's words, where they are not sorted or negative."""
    if not len(ids):
        return 0
    rows = int(ids[-1]) + 1
    if rows < 1:
        raise ValueError("segment ids must be >= 0")
    borders = np.flatnonzero(np.diff(ids))
    for place in (*borders.tolist(), len(ids) - 1):  # a segment's last row, as TensorFlow walks over them
        if place + 1 < len(ids) and ids[place] > ids[place + 1]:
            raise ValueError("segment ids are not increasing")
        if not 0 <= ids[place] < rows:
            raise ValueError(f"Segment id {ids[place]} out of range [0, {rows}), possibly because 'segment_ids' input is not sorted.")
    return rows


class SegmentCount(Kernelised):
    """`sorted_rows` of ids that depend on data."""

    core = True
    arguments = ("ids: I",)
    results = ("count: int64",)
    types = {"I": INDEX}
    checks: ClassVar[tuple[str, ...]] = ("ids",)
    cases = (
        Case(i32(0, 0, 1, 3, 3)), Case(i32()), Case(i32(0, 2, 1), error=("InvalidArgumentError", "segment ids are not increasing")),
        Case(i32(0, -1), error=("InvalidArgumentError", "segment ids must be >= 0")),
        Case(i32(-2, -2), error=("InvalidArgumentError", "segment ids must be >= 0")),
        Case(i32(-1, 0), error=("InvalidArgumentError", "Segment id -1 out of range [0, 1), possibly because")),
    )  # fmt: skip

    def infer(self, ids: TensorSpec) -> TensorSpec:
        return TensorSpec(int64, ())

    def reference(self, ids: Any) -> Any:
        try:
            return np.array(sorted_rows(ids))
        except ValueError as error:
            raise IndexError(str(error)) from None

    def lower(self, k: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        (ids,), (count,) = inputs, outputs
        width = ids.shape[0]
        end = max(width - 1, 0) if isinstance(width, int) else None
        k.store(count, 0, const(0, "i64"))
        with k.loop("i", width) as i:
            def at(place: Any) -> Any:
                return cast(k.load(ids, as_index(minimum(place, position(width) - 1), 0, end)), "i64")

            rows = k.let("rows", at(position(width) - 1) + 1)
            here, after = k.let("here", at(position(i))), k.let("after", at(position(i) + 1))
            rows = k.let("rows", k.check("InvalidArgumentError", "segment ids must be >= 0", const(0, "i64") < rows, rows, rows))
            here = k.let("here", k.check("InvalidArgumentError", "segment ids are not increasing", call("le", here, after), here, here))
            ends = ~call("eq", here, after) | call("eq", position(i) + 1, position(width))
            inside = call("le", const(0, "i64"), here) & (here < rows)
            message = "Segment id {value} out of range [0, {position}), possibly because 'segment_ids' input is not sorted."
            k.let("here", k.check("InvalidArgumentError", message, ~ends | inside, (rows << 32) | (here & 0xFFFFFFFF), here))
            k.store(count, 0, rows)


class Segment(Composite, abstract=True):
    """Rows of data combined by segment_ids, which are sorted; the last one says how many segments there are."""

    arguments = ("data: T", "segment_ids: Tindices")
    results = ("output: T",)
    types = {"T": (*REAL, *COMPLEX), "Tindices": INDEX}
    combine = "add"
    cases = (Case((5, 3), i32(0, 0, 1, 3, 3)), Case((3,), i32(0, 0, 0)))

    def infer(self, data: TensorSpec, segment_ids: TensorSpec) -> TensorSpec:
        ids = contents(segment_ids)
        count: Size = None if ids is None or None in ids else 1 + max((int(i) for i in ids), default=-1)  # type: ignore[arg-type]
        need_rank(segment_ids, 1)
        return TensorSpec(data.dtype, None if data.dims is None else (count, *data.dims[1:]))

    def reference(self, data: Any, segment_ids: Any) -> Any:
        rows = int(segment_ids[-1]) + 1 if len(segment_ids) else 0
        y = np.full((rows, *data.shape[1:]), self.combine == "mul", data.dtype)
        fold = {"add": np.sum, "mul": np.prod, "max": np.max, "min": np.min, "mean": np.mean}[self.combine]
        for s in range(rows):
            if (segment_ids == s).any():
                y[s] = fold(data[segment_ids == s], axis=0)
        return y

    def decompose(self, b: Any, data: Any, segment_ids: Any) -> Any:
        try:
            merge(data.shape[0], segment_ids.shape[0])
        except ValueError:
            raise ValueError("segment_ids should be the same size as dimension 0 of input") from None
        ids = segment_ids.known
        if ids is None:
            # As a rule no more segments than rows; where there are more, some have none.
            rows, full = b.measure(b.apply(SegmentCount(), segment_ids), segment_ids.shape[0]), False
        else:
            rows, full = sorted_rows(ids), not len(ids) or (ids[0] == 0 and (np.diff(ids) < 2).all())  # no segment without rows
        y = b.apply(ScatterRows(rows, "add" if self.combine == "mean" else self.combine), data, segment_ids)
        if self.combine == "add" or (full and self.combine != "mean"):
            return y
        ones = b.broadcast(b.constant(1, data.dtype.real_dtype), segment_ids.shape)
        counts = b.view(b.apply(ScatterRows(rows, "add"), ones, segment_ids), (rows, *(1 for _ in data.shape[1:])))
        if self.combine == "mean":
            divisors = b.cast(b.maximum(counts, 1), data.dtype)
            return b.make("TruncateDiv" if data.dtype.is_integer else "RealDiv", y, divisors)
        empty = b.constant(int(self.combine == "mul"), data.dtype)  # what a segment without rows holds
        return b.select(b.broadcast(b.make("Greater", counts, 0), y.shape), y, b.broadcast(empty, y.shape))

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        data, ids = node.inputs
        if self.combine != "mean":
            return [_spread(self.combine, data, ids, node.outputs[0], dy), None]
        ones = make("OnesLike", make("Cast", ids, DstT=data.dtype.base_dtype))
        count = make("SegmentSum", ones, ids)
        shape = make("Shape", ids)
        for _ in range((data.shape.ndims or 1) - 1):
            shape = make("ConcatV2", [shape, [1]], 0)
        return [make("RealDiv", _rows_of(dy, ids), make("Reshape", _rows_of(count, ids), shape)), None]


class SegmentSum(Segment):
    """The sum of each segment's rows."""


class SegmentProd(Segment):
    """The product of each segment's rows."""

    combine = "mul"


class SegmentMax(Segment):
    """The largest of each segment's elements."""

    combine = "max"
    types = {"T": REAL, "Tindices": INDEX}


class SegmentMin(Segment):
    """The least of each segment's elements."""

    combine = "min"
    types = {"T": REAL, "Tindices": INDEX}


class SegmentMean(Segment):
    """The mean of each segment's rows."""

    combine = "mean"


# -- public functions --------------------------------------------------------------------------------------------------------------


def unsorted_segment_sum(data, segment_ids, num_segments, name=None):
    """The sum of the rows of each segment."""
    return make("UnsortedSegmentSum", data, segment_ids, num_segments, name=name)


def unsorted_segment_prod(data, segment_ids, num_segments, name=None):
    """The product of the rows of each segment."""
    return make("UnsortedSegmentProd", data, segment_ids, num_segments, name=name)


def unsorted_segment_max(data, segment_ids, num_segments, name=None):
    """The largest element of each segment."""
    return make("UnsortedSegmentMax", data, segment_ids, num_segments, name=name)


def unsorted_segment_min(data, segment_ids, num_segments, name=None):
    """The least element of each segment."""
    return make("UnsortedSegmentMin", data, segment_ids, num_segments, name=name)


def _counts(data: Any, segment_ids: Any, num_segments: Any) -> Any:
    """How many rows each segment has, at least 1, ready to divide by."""
    ones = make("OnesLike", make("Cast", segment_ids, DstT=data.dtype.base_dtype))
    count = unsorted_segment_sum(ones, segment_ids, num_segments)
    shape = convert_to_tensor([num_segments] + [1] * (data.shape.ndims - segment_ids.shape.ndims))
    return make("Maximum", make("Reshape", count, shape), 1)


def unsorted_segment_mean(data, segment_ids, num_segments, name=None):
    """The mean of the rows of each segment; 0 for one without."""
    with name_scope(name, "UnsortedSegmentMean"):
        data, segment_ids = convert_to_tensor(data), convert_to_tensor(segment_ids)
        count = _counts(data, segment_ids, num_segments)
        return unsorted_segment_sum(data, segment_ids, num_segments) / count


def unsorted_segment_sqrt_n(data, segment_ids, num_segments, name=None):
    """The sum of the rows of each segment divided by the square root of their number."""
    with name_scope(name, "UnsortedSegmentSqrtN"):
        data, segment_ids = convert_to_tensor(data), convert_to_tensor(segment_ids)
        count = _counts(data, segment_ids, num_segments)
        return unsorted_segment_sum(data, segment_ids, num_segments) / make("Sqrt", count)


def segment_sum(data, segment_ids, name=None):
    """The sum of the rows of each segment; segment_ids are sorted."""
    return make("SegmentSum", data, segment_ids, name=name)


def segment_prod(data, segment_ids, name=None):
    """The product of the rows of each segment; segment_ids are sorted."""
    return make("SegmentProd", data, segment_ids, name=name)


def segment_max(data, segment_ids, name=None):
    """The largest element of each segment; segment_ids are sorted."""
    return make("SegmentMax", data, segment_ids, name=name)


def segment_min(data, segment_ids, name=None):
    """The least element of each segment; segment_ids are sorted."""
    return make("SegmentMin", data, segment_ids, name=name)


def segment_mean(data, segment_ids, name=None):
    """The mean of the rows of each segment; segment_ids are sorted."""
    return make("SegmentMean", data, segment_ids, name=name)
