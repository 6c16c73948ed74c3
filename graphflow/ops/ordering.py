"""Order and counting: the n-th element, places in sorted rows, histograms, rolling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.dtypes import INDEX, REAL, DType, as_dtype, float32, float64, int32, int64
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.op import Case, TensorSpec
from graphflow.kernel.expr import as_index, cast, const, position, select
from graphflow.kernel.index import product
from graphflow.kernel.nodes import Mode
from graphflow.ops.families import Composite, Kernelised
from graphflow.ops.logic import cast as cast_to
from graphflow.ops.passing import Within
from graphflow.ops.reductions import reduce_max
from graphflow.ops.reshape import expand_dims, reshape
from graphflow.ops.segments import ScatterRows
from graphflow.ops.shape import shape
from graphflow.ops.sizes import contents, merge, merge_dims, need_rank, need_rank_at_least, need_rank_at_most, scalar

__all__ = ["bincount", "histogram_fixed_width", "histogram_fixed_width_bins", "roll", "searchsorted"]


class NthElement(Composite):
    """The n-th smallest element of each row, counted from 0; with `reverse` the n-th largest."""

    arguments = ("input: T", "n: int32")
    results = ("values: T",)
    types = {"T": REAL}
    reverse: bool = False
    cases = (
        Case((3, 7), scalar(2)), Case((2, 20), scalar(0)), Case((2, 2, 5), scalar(4), reverse=True), Case((6,), scalar(5)),
        Case((3, 2), scalar(2), error=("ValueError", "must have last dimension > n = 2")),
        Case((), scalar(0), error=("ValueError", "at least rank 1 but is rank 0")),
    )  # fmt: skip

    def infer(self, input: TensorSpec, n: TensorSpec) -> TensorSpec:
        need_rank_at_least(input, 1, "Input must be >= 1-D")
        if n.dims:
            raise ValueError(f"Dimension must be scalar but has rank {len(n.dims)}")
        number = contents(n)
        place = None if number is None else number[0]
        if isinstance(place, int) and place < 0:
            raise ValueError(f"Need n >= 0, got {place}: the dimension must be non-negative but is {place}")
        last = input.dims[-1] if input.dims else None
        if isinstance(place, int) and isinstance(last, int) and last <= place:
            raise ValueError(f"Input must have at least n+1 columns: it must have last dimension > n = {place} but is {last}")
        return TensorSpec(input.dtype, None if input.dims is None else input.dims[:-1])

    def reference(self, input: Any, n: Any) -> Any:
        ordered = np.sort(input, -1)
        return ordered[..., -1 - int(n) if self.reverse else int(n)]

    def decompose(self, b: Any, input: Any, n: Any) -> Any:
        (place,) = b.sizes(n)
        last = input.shape[-1]
        rank = last - 1 - place if not self.reverse else place  # in falling order
        values, _ = b.make("Largest", input, k=rank + 1)
        return b.view(b.section(values, (*(0 for _ in input.shape[:-1]), rank), (*input.shape[:-1], 1)), input.shape[:-1])

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        x = node.inputs[0]
        chosen = make("Cast", make("Equal", expand_dims(node.outputs[0], -1), x), DstT=dy.dtype.base_dtype)
        count = expand_dims(make("Sum", chosen, [-1]), -1)
        return [make("Mul", make("RealDiv", chosen, count), expand_dims(dy, -1)), None]


class Bound(Kernelised, abstract=True):
    """Base of LowerBound and UpperBound: how many elements of a sorted row are below (or not above) each value, by bisection."""

    arguments = ("sorted_inputs: T", "values: T")
    results = ("output: out_type",)
    types = {"T": REAL}
    differentiable = False
    out_type: DType = int32
    side = "left"
    cases = (
        Case(np.array([[1, 3, 3, 5], [0, 0, 1, 2]]), np.array([[0, 3, 4], [0, 2, 9]])), Case(np.zeros((2, 0)), (2, 3)),
        Case(np.sort(np.random.RandomState(0).rand(3, 33)), np.random.RandomState(1).rand(3, 5), out_type=int64),
    )  # fmt: skip

    def infer(self, sorted_inputs: TensorSpec, values: TensorSpec) -> TensorSpec:
        need_rank(sorted_inputs, 2)
        need_rank(values, 2)
        if sorted_inputs.dims is not None and values.dims is not None:
            merge(sorted_inputs.dims[0], values.dims[0])
        return TensorSpec(self.out_type, values.dims or (None, None))

    def reference(self, sorted_inputs: Any, values: Any) -> Any:
        found = [np.searchsorted(row, wanted, self.side) for row, wanted in zip(sorted_inputs, values, strict=True)]
        return np.array(found, self.out_type.as_numpy_dtype).reshape(values.shape)

    def lower(self, k: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        (rows, values), (y,) = inputs, outputs
        width, columns = rows.shape[-1], values.shape[-1]
        last = width - 1 if isinstance(width, int) else None
        with k.loop("place", product(values.shape), Mode.PARALLEL) as place:
            row = place // columns
            wanted = k.let("wanted", k.load(values, place))
            low, high = k.var("low", const(0, "i64")), k.var("high", position(width))
            # No row is longer than 2**63: a loop of fixed length needs no test for its end, and stands still when it is done.
            with k.loop("step", 63), k.when(low < high):
                middle = k.let("middle", (low + high) >> 1)
                element = k.let("element", k.load(rows, row * width + as_index(middle, 0, last)))
                further = k.let("further", element < wanted if self.side == "left" else element <= wanted)
                k.set(low, select(further, middle + 1, low))
                k.set(high, select(further, high, middle))
            k.store(y, place, cast(low, self.out_type.kernel_type))


class LowerBound(Bound):
    """How many elements of the sorted row are below each value."""


class UpperBound(Bound):
    """How many elements of the sorted row are not above each value."""

    side = "right"


class Bincount(Composite):
    """For each number below `size` how often arr holds it, or the sum of its weights; larger numbers are left out, negative ones fail the
    step."""

    arguments = ("arr: int32", "size: int32", "weights: T")
    results = ("bins: T",)
    types = {"T": (int32, int64, float32, float64)}
    differentiable = False
    cases = (
        Case(np.array([1, 1, 0, 5, 2]), scalar(4), np.zeros(0, np.float32)), Case(np.array([[2, 0], [2, 1]]), scalar(3), (2, 2)),
        Case(np.array([1, -1]), scalar(3), np.zeros(0, np.float32), error=("InvalidArgumentError", "Input arr must be non-negative!")),
    )  # fmt: skip

    def infer(self, arr: TensorSpec, size: TensorSpec, weights: TensorSpec) -> TensorSpec:
        need_rank(size, 0)
        count = contents(size)
        if count is not None and isinstance(count[0], int) and count[0] < 0:
            raise ValueError(f"size ({count[0]}) must be non-negative")
        return TensorSpec(weights.dtype, (None if count is None else count[0],))

    def reference(self, arr: Any, size: Any, weights: Any) -> Any:
        if np.any(np.less(arr, 0)):
            raise ValueError("Input arr must be non-negative!")
        kept = np.ravel(arr) < size
        chosen = np.ravel(weights)[kept].astype(np.float64) if weights.size else None
        return np.bincount(np.ravel(arr)[kept], chosen, int(size)).astype(weights.dtype)

    def decompose(self, b: Any, arr: Any, size: Any, weights: Any) -> Any:
        (count,) = b.sizes(size)
        arr = b.apply(Within(None, text="Input arr must be non-negative!"), b.view(arr, (arr.size,)))
        rows = b.broadcast(b.constant(1, weights.dtype), arr.shape) if weights.size == 0 else b.view(weights, arr.shape)
        numbers = b.select(b.less(arr, b.constant(count, int32)), arr, b.constant(-1, int32))
        return b.apply(ScatterRows(count, "add"), rows, numbers)


class HistogramFixedWidth(Composite):
    """How many values fall into each of nbins equal parts of value_range; what lies outside goes to the first or last one."""

    arguments = ("values: T", "value_range: T", "nbins: int32")
    results = ("out: dtype",)
    types = {"T": (int32, int64, float32, float64)}
    differentiable = False
    dtype: DType = int32
    cases = (
        Case([-1.0, 0.0, 1.5, 2.0, 5.0, 15.0], [0.0, 5.0], scalar(5), dtypes=("float32",)), Case((3, 9), [-1.0, 1.0], scalar(4)),
        Case((4,), [-1.0, 1.0], scalar(1), dtype=int64),
        Case((2, 2), [0.0, 0.0], scalar(3), error=("ValueError", "value_range should satisfy")),
    )  # fmt: skip

    def infer(self, values: TensorSpec, value_range: TensorSpec, nbins: TensorSpec) -> TensorSpec:
        count = contents(nbins)
        number = None if count is None else count[0]
        if isinstance(number, int) and number <= 0:
            raise ValueError(f"nbins should be a positive number, but got '{number}'")
        ends = value_range.value
        if ends is not None and None not in np.asarray(ends, object).ravel().tolist() and not ends[0] < ends[1]:
            raise ValueError(f"value_range should satisfy value_range[0] < value_range[1], but got '[{ends[0]}, {ends[1]}]'")
        return TensorSpec(self.dtype, (number,))

    def reference(self, values: Any, value_range: Any, nbins: Any) -> Any:
        low, high = (float(v) for v in value_range)
        bins = np.clip((np.ravel(values) - low) / ((high - low) / int(nbins)), 0, int(nbins) - 1).astype(np.int64)
        return np.bincount(bins, minlength=int(nbins)).astype(self.dtype.as_numpy_dtype)

    def decompose(self, b: Any, values: Any, value_range: Any, nbins: Any) -> Any:
        (count,) = b.sizes(nbins)
        wide = values.dtype if values.dtype.is_floating else float64
        ends = b.cast(value_range, wide)
        low, high = (b.view(b.section(ends, (n,), (1,)), ()) for n in (0, 1))
        number = b.cast(b.constant(count, int64), wide)
        step = b.div(b.sub(high, low), number)
        scaled = b.div(b.sub(b.cast(b.view(values, (values.size,)), wide), low), step)
        bins = b.cast(b.minimum(b.maximum(scaled, 0), b.sub(number, 1)), int32)
        return b.apply(ScatterRows(count, "add"), b.broadcast(b.constant(1, self.dtype), bins.shape), bins)


class Roll(Composite):
    """The elements moved along axes, those that leave at one end coming back at the other."""

    arguments = ("input: T", "shift: Tshift", "axis: Taxis")
    results = ("output: T",)
    types = {"Tshift": INDEX, "Taxis": INDEX}
    cases = (
        Case((2, 5), np.array(2), np.array(1)), Case((2, 5), np.array([1, -7]), np.array([0, 1])),
        Case((4,), np.array([1, 2]), np.array([0, -1])),
        Case((0, 3), np.array(1), np.array(0)),
        Case((2,), np.array(1), np.array(1), error=("InvalidArgumentError", "axis 1 is out of range")),
    )  # fmt: skip

    def infer(self, input: TensorSpec, shift: TensorSpec, axis: TensorSpec) -> TensorSpec:
        need_rank_at_least(input, 1, "input must be 1-D or higher")
        need_rank_at_most(shift, 1, "shift must be a scalar or a 1-D vector")
        need_rank_at_most(axis, 1, "axis must be a scalar or a 1-D vector")
        try:
            merge_dims(shift.dims, axis.dims)
        except ValueError as error:
            raise ValueError(f"{error}: shift and axis must have the same size") from None
        return TensorSpec(input.dtype, input.dims)

    def reference(self, input: Any, shift: Any, axis: Any) -> Any:
        return np.roll(input, tuple(np.ravel(shift)), tuple(int(a) for a in np.ravel(axis)))

    def decompose(self, b: Any, input: Any, shift: Any, axis: Any) -> Any:
        axes = []
        for a in b.known(axis).ravel():
            if not -len(input.shape) <= a < len(input.shape):
                raise ValueError(f"axis {a} is out of range")
            axes.append(int(a) % len(input.shape))
        steps = b.view(shift, (len(axes),))
        for number, a in enumerate(axes):
            size = input.shape[a]
            if isinstance(size, int) and size == 0:
                continue
            step = b.section(steps, (number,), (1,))
            place = b.iota((size,), 0, int64)
            source = b.make("FloorMod", b.sub(place, b.cast(step, int64)), b.constant(size, int64))
            input = b.take(input, source, a)
        return input

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make("Roll", dy, make("Neg", node.inputs[1]), node.inputs[2]), None, None]


# -- public functions --------------------------------------------------------------------------------------------------------------


def nth_element(input, n, reverse=False, name=None):
    """The n-th smallest element of each row [..., N], counted from 0; with `reverse` the n-th largest."""
    return make("NthElement", input, n, reverse=bool(reverse), name=name)


def searchsorted(sorted_sequence, values, side="left", out_type=int32, name=None):
    """Where in the sorted rows [..., N] the values [..., M] would be put in, before (left) or after (right) equal elements."""
    sequence, wanted = convert_to_tensor(sorted_sequence), convert_to_tensor(values)
    if side not in ("left", "right"):
        raise ValueError(f"side must be either 'right' or 'left'.  Saw: {side}.")
    rows, flat = (reshape(t, make("Pack", [-1, shape(t)[-1]])) for t in (sequence, wanted))
    kind = "LowerBound" if side == "left" else "UpperBound"
    return reshape(make(kind, rows, flat, out_type=as_dtype(out_type), name=name), shape(wanted))


def bincount(arr, weights=None, minlength=None, maxlength=None, dtype=int32):
    """How often each number 0, 1, ... stands in `arr`, or the sums of its weights; as many as the largest number asks for, at least
    minlength, at most maxlength. A negative number fails the run."""
    with name_scope("bincount"):
        arr = convert_to_tensor(arr, dtype=int32, name="arr")
        some = make("Greater", make("Prod", shape(arr), [0]), 0)
        count = cast_to(some, int32) * (reduce_max(arr) + 1)
        if minlength is not None:
            count = make("Maximum", convert_to_tensor(minlength, dtype=int32, name="minlength"), count)
        if maxlength is not None:
            count = make("Minimum", convert_to_tensor(maxlength, dtype=int32, name="maxlength"), count)
        if weights is not None:
            weights = convert_to_tensor(weights, name="weights")
            return make("UnsortedSegmentSum", weights, arr, count)
        return make("Bincount", arr, count, convert_to_tensor([], as_dtype(dtype)))


def histogram_fixed_width(values, value_range, nbins=100, dtype=int32, name=None):
    """How many values fall into each of `nbins` equal parts of value_range; what lies outside goes to the first or last one."""
    with name_scope(name, "histogram_fixed_width", [values, value_range, nbins]) as scope:
        return make("HistogramFixedWidth", values, value_range, nbins, dtype=as_dtype(dtype), name=scope)


def histogram_fixed_width_bins(values, value_range, nbins=100, dtype=int32, name=None):
    """For each value the number of its part of value_range."""
    with name_scope(name, "histogram_fixed_width_bins", [values, value_range, nbins]):
        values = convert_to_tensor(values, name="values")
        flat = reshape(values, [-1])
        ends = convert_to_tensor(value_range, name="value_range")
        count = cast_to(convert_to_tensor(nbins, dtype=int32, name="nbins"), values.dtype)
        scaled = (flat - ends[0]) / (ends[1] - ends[0])
        places = make("Floor", count * scaled, name="indices")
        places = make("Maximum", make("Minimum", places, count - 1), make("ZerosLike", count))
        return reshape(cast_to(places, int32), shape(values))


def roll(input, shift, axis, name=None):
    """The elements moved by `shift` places along `axis` (or several), those that leave at one end coming back at the other."""
    return make("Roll", input, shift, axis, name=name)
