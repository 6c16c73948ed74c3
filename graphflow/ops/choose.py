"""What depends on the values themselves: where, boolean_mask, unique, and the largest elements (top_k)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from graphflow.dtypes import REAL, DType, as_dtype, int32, int64
from graphflow.dtypes import bool as bool_
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.op import Case, Kind, Op, TensorSpec
from graphflow.kernel.expr import as_index, call, cast, const, minimum, position, select
from graphflow.kernel.index import Index, product
from graphflow.kernel.nodes import Mode
from graphflow.ops.core import identity_of
from graphflow.ops.families import Composite, Kernelised
from graphflow.ops.gather import gather
from graphflow.ops.joining import concat
from graphflow.ops.logic import where
from graphflow.ops.reshape import expand_dims, reshape, squeeze
from graphflow.ops.shape import shape
from graphflow.ops.sizes import Dims, contents, need_rank, scalar, total
from graphflow.shapes import as_shape

__all__ = ["boolean_mask", "sequence_mask", "unique", "unique_with_counts"]


class Where(Op):
    """The positions of the elements that are not zero, one a row. How many there are depends on the data, so this runs between segments."""

    kind = Kind.HOST
    arguments = ("input: T",)
    results = ("index: int64",)
    differentiable = False

    def infer(self, input: TensorSpec) -> TensorSpec:
        return TensorSpec(int64, (None, input.rank))

    def run(self, input: Any) -> Any:
        return np.argwhere(input).astype(np.int64)


class Unique(Op):
    """The distinct elements in order of their first appearance, and for each element the number of its like among them."""

    kind = Kind.HOST
    arguments = ("x: T",)
    results = ("y: T", "idx: out_idx")
    differentiable = False
    out_idx: DType = int32

    def infer(self, x: TensorSpec) -> tuple[TensorSpec, ...]:
        need_rank(x, 1)
        return TensorSpec(x.dtype, (None,)), TensorSpec(self.out_idx, x.dims)

    def run(self, x: Any) -> Any:
        return _unique(x, self.out_idx)[:2]


class UniqueWithCounts(Op):
    """Unique, and how often each distinct element appears."""

    kind = Kind.HOST
    arguments = ("x: T",)
    results = ("y: T", "idx: out_idx", "count: out_idx")
    differentiable = False
    out_idx: DType = int32

    def infer(self, x: TensorSpec) -> tuple[TensorSpec, ...]:
        need_rank(x, 1)
        return TensorSpec(x.dtype, (None,)), TensorSpec(self.out_idx, x.dims), TensorSpec(self.out_idx, (None,))

    def run(self, x: Any) -> Any:
        return _unique(x, self.out_idx)


def _unique(x: Any, index_type: DType) -> tuple[Any, Any, Any]:
    values, first, inverse, counts = np.unique(x, return_index=True, return_inverse=True, return_counts=True)
    order = np.argsort(first)  # numpy sorts by value, TensorFlow by first appearance
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    numbers = index_type.as_numpy_dtype
    return values[order], rank[np.ravel(inverse)].astype(numbers), counts[order].astype(numbers)


FEW = 12  # elements up to which picking the next largest again and again is faster than sorting


class Largest(Kernelised):
    """The k largest elements of each row and their places, in falling order; of equal ones the first comes first."""

    core = True
    arguments = ("x: T",)
    results = ("values: T", "indices: int32")
    k: int
    cases = (Case((3, 7), k=3), Case((2, 5), k=5), Case(np.array([[1, 3, 3, 2]], np.int32), k=2), Case((0, 4), k=1), Case((2, 3), k=0),
             Case((2, 40), k=40), Case(np.tile(np.array([2, 7, 7, 1, 2], np.int32), 7), k=20))

    def infer(self, x: TensorSpec) -> tuple[TensorSpec, ...]:
        assert x.dims is not None
        dims = (*x.dims[:-1], self.k)
        return TensorSpec(x.dtype, dims), TensorSpec(int32, dims)

    def reference(self, x: Any) -> Any:
        order = np.argsort(-x.astype(np.float64), -1, kind="stable")[..., : self.k].astype(np.int32)
        return np.take_along_axis(x, order, -1), order

    def _sort(self, k: Any, x: Any, values: Any, indices: Any) -> None:
        """Merge the places of ever longer sorted runs, and keep the first k of the last one."""
        rows, width = product(x.shape[:-1]), x.shape[-1]
        places, merged = k.scratch("places", "i32", (rows, width)), k.scratch("merged", "i32", (rows, width))
        last = width - 1 if isinstance(width, int) else None
        end = position(width)

        def bounded(at: Any) -> Any:
            return as_index(minimum(at, end - 1), 0, last)

        with k.loop("row", rows, Mode.PARALLEL) as row:
            with k.loop("j", width, Mode.VECTOR) as j:
                k.store(places, row * width + j, position(j, "i32"))
            run = k.var("run", const(1, "i64"))
            with k.loop("pass", 63), k.when(run < end):
                left, right = k.var("left", const(0, "i64")), k.var("right", const(0, "i64"))
                middle, stop = k.var("middle", const(0, "i64")), k.var("stop", const(0, "i64"))
                with k.loop("t", width) as t:
                    here = position(t)
                    fresh = k.let("fresh", call("eq", here, stop))
                    k.set(left, select(fresh, here, left))
                    k.set(middle, select(fresh, minimum(here + run, end), middle))
                    k.set(right, select(fresh, middle, right))
                    k.set(stop, select(fresh, minimum(here + run * 2, end), stop))
                    p, q = (k.let(n, k.load(places, row * width + bounded(side))) for n, side in (("p", left), ("q", right)))
                    a, b = (k.let(n, k.load(x, row * width + as_index(cast(place, "i64"), 0, last))) for n, place in (("a", p), ("b", q)))
                    first = k.let("first", (left < middle) & ((right >= stop) | ~(a < b)))
                    k.store(merged, row * width + t, select(first, p, q))
                    k.set(left, select(first, left + 1, left))
                    k.set(right, select(first, right, right + 1))
                with k.loop("j", width, Mode.VECTOR) as j:
                    k.store(places, row * width + j, k.load(merged, row * width + j))
                k.set(run, run * 2)
            with k.loop("rank", self.k) as rank:
                place = k.let("place", k.load(places, row * width + rank))
                k.store(values, row * self.k + rank, k.load(x, row * width + as_index(cast(place, "i64"), 0, last)))
                k.store(indices, row * self.k + rank, place)

    def lower(self, k: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        (x,), (values, indices) = inputs, outputs
        width = x.shape[-1]
        if not isinstance(self.k, int) or self.k > FEW:
            self._sort(k, x, values, indices)
            return
        lowest, highest = (const(identity_of(c, x.type), x.type) for c in ("max", "min"))
        # Selection: the next element is the largest of those after the last one in the order (value falling, place rising).
        with k.loop("row", product(x.shape[:-1]), Mode.PARALLEL) as row:
            last = k.var("last", highest)
            place = k.var("place", const(-1, "i64"))
            with k.loop("rank", self.k) as rank:
                best = k.var("best", lowest)
                found = k.var("found", const(-1, "i64"))
                with k.loop("j", width) as j:
                    value = k.let("value", k.load(x, row * width + j))
                    here = position(j)
                    left = (value < last) | (call("eq", value, last) & (place < here))
                    better = k.let("better", left & ((best < value) | (found < 0)))
                    k.set(best, select(better, value, best))
                    k.set(found, select(better, here, found))
                k.set(last, best)
                k.set(place, found)
                k.store(values, row * self.k + rank, best)
                k.store(indices, row * self.k + rank, cast(found, "i32"))


class TopKV2(Composite):
    """The k largest elements along the last dimension and their places."""

    arguments = ("input: T", "k: int32")
    results = ("values: T", "indices: int32")
    types = {"T": REAL}
    sorted: bool = True
    cases = (
        Case((3, 7), scalar(3)), Case((2, 2, 5), scalar(1)), Case((6,), scalar(6)),
        Case((3, 2), scalar(3), error=("ValueError", "input must have last dimension >= k = 3 but is 2")),
    )  # fmt: skip

    def infer(self, input: TensorSpec, k: TensorSpec) -> tuple[TensorSpec, ...]:
        need_rank(k, 0)
        count = contents(k)
        if input.dims is None:
            return TensorSpec(input.dtype, None), TensorSpec(int32, None)
        if not input.dims:
            raise ValueError("Shape must be at least rank 1 but is rank 0")
        most = None if count is None else count[0]
        last = input.dims[-1]
        if isinstance(most, int) and most < 0:
            raise ValueError(f"Need k >= 0, got {most}")
        if isinstance(most, int) and isinstance(last, int) and last < most:
            raise ValueError(f"input must have last dimension >= k = {most} but is {last}")
        dims: Dims = (*input.dims[:-1], most)
        return TensorSpec(input.dtype, dims), TensorSpec(int32, dims)

    def requires(self, input: TensorSpec, k: TensorSpec) -> Iterable[Index]:
        return [input.dims[-1] - most for most in contents(k) or () if input.dims and most is not None]  # type: ignore[operator]

    def reference(self, input: Any, k: Any) -> Any:
        return Largest(int(k)).reference(input)

    def decompose(self, b: Any, input: Any, k: Any) -> Any:
        return b.apply(Largest(b.sizes(k)[0]), input)

    def gradient(self, node: Any, dvalues: Any, dindices: Any) -> Sequence[Any]:
        x = node.inputs[0]
        if dvalues is None:
            return [None, None]
        if x.shape.ndims is None:
            raise ValueError("the gradient of TopKV2 needs an input of known rank")
        dims = shape(x)
        width = dims[-1]
        chosen = make("OneHot", node.outputs[1], width, make("Cast", 1, DstT=x.dtype.base_dtype),
                      make("Cast", 0, DstT=x.dtype.base_dtype), axis=-1)  # fmt: skip
        return [make("Sum", make("Mul", chosen, expand_dims(dvalues, -1)), [x.shape.ndims - 1], keep_dims=False), None]


class TopK(NamedTuple):
    """What top_k gives."""

    values: Any
    indices: Any


# -- public functions --------------------------------------------------------------------------------------------------------------


def top_k(input, k=1, sorted=True, name=None):
    """The k largest elements along the last dimension and their places."""
    return TopK(*make("TopKV2", input, k, sorted=bool(sorted), name=name))


def boolean_mask(tensor, mask, name="boolean_mask", axis=None):
    """The slices of tensor (along `axis`) where mask holds."""
    with name_scope(name, values=[tensor, mask]):
        tensor = convert_to_tensor(tensor, name="tensor")
        mask = convert_to_tensor(mask, name="mask")
        count = mask.shape.ndims
        if count == 0:
            raise ValueError("mask cannot be scalar.")
        if count is None:
            raise ValueError(
                "Number of mask dimensions must be specified, even if some dimensions are None.  "
                "E.g. shape=[None] is ok, but shape=None is not."
            )
        axis = 0 if axis is None else int(axis)
        dims = tensor.shape
        dims[axis : axis + count].assert_is_compatible_with(mask.shape)
        leading = make("Prod", shape(tensor)[axis : axis + count], [0])
        tensor = reshape(tensor, concat([shape(tensor)[:axis], [leading], shape(tensor)[axis + count :]], 0))
        if dims.ndims is not None:
            sizes = dims.as_list()
            tensor.set_shape(as_shape([*sizes[:axis], total(sizes[axis : axis + count]), *sizes[axis + count :]]))
        return gather(tensor, squeeze(where(reshape(mask, [-1])), axis=[1]), axis=axis)


def unique(x, out_idx=int32, name=None):
    """The distinct elements of a vector in order of appearance, and each element's place among them."""
    return UniqueParts(*make("Unique", x, out_idx=as_dtype(out_idx), name=name))


class UniqueParts(NamedTuple):
    """What unique gives."""

    y: Any
    idx: Any


class UniqueCounted(NamedTuple):
    """What unique_with_counts gives."""

    y: Any
    idx: Any
    count: Any


def unique_with_counts(x, out_idx=int32, name=None):
    """The distinct elements of a vector, each element's place among them, and how often each appears."""
    return UniqueCounted(*make("UniqueWithCounts", x, out_idx=as_dtype(out_idx), name=name))


def sequence_mask(lengths, maxlen=None, dtype=bool_, name=None):
    """True at the first lengths[i] positions of row i."""
    with name_scope(name, "SequenceMask", [lengths, maxlen]):
        lengths = convert_to_tensor(lengths)
        if maxlen is None:
            axes = convert_to_tensor(np.arange(lengths.shape.ndims or 0, dtype=np.int32))
            maxlen = make("Max", lengths, axes, keep_dims=False)
            maxlen = make("Maximum", convert_to_tensor(0, maxlen.dtype), maxlen)
        else:
            maxlen = convert_to_tensor(maxlen)
        if maxlen.shape.ndims not in (None, 0):
            raise ValueError("maxlen must be scalar for sequence_mask")
        base = maxlen.dtype.base_dtype
        row = make("Range", convert_to_tensor(0, base), maxlen, convert_to_tensor(1, base))
        column = expand_dims(lengths, -1)
        result = row < make("Cast", column, DstT=base)
        wanted = result.dtype if dtype is None else as_dtype(dtype).base_dtype
        return result if result.dtype.base_dtype == wanted else make("Cast", result, DstT=wanted)
