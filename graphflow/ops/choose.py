"""What depends on the values themselves: where, boolean_mask, and the largest elements (top_k)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import numpy as np

from graphflow.dtypes import REAL, as_dtype, int32, int64
from graphflow.dtypes import bool as bool_
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.op import Case, TensorSpec
from graphflow.kernel.expr import as_index, call, cast, const, position, select
from graphflow.kernel.index import Index, product
from graphflow.kernel.nodes import Mode
from graphflow.ops.core import identity_of
from graphflow.ops.families import Composite, Kernelised
from graphflow.ops.gather import gather
from graphflow.ops.joining import concat
from graphflow.ops.logic import where
from graphflow.ops.merging import sort_places
from graphflow.ops.reshape import expand_dims, reshape, squeeze
from graphflow.ops.shape import shape
from graphflow.ops.sizes import Dims, contents, need_rank, scalar, total
from graphflow.shapes import as_shape

__all__ = ["boolean_mask", "sequence_mask"]


class Places(Kernelised):
    """The positions where `flags` holds, one a row of `rows`, which is how many there are."""

    core = True
    arguments = ("flags: bool",)
    results = ("index: int64",)
    rows: Index
    cases = (
        Case(np.array([[True, False, True], [False, False, True]]), rows=3), Case(np.array([False, True]), rows=1),
        Case(np.array(True), rows=1), Case(np.zeros((0, 2), bool), rows=0),
    )  # fmt: skip

    def infer(self, flags: TensorSpec) -> TensorSpec:
        return TensorSpec(int64, (self.rows, flags.rank))

    def reference(self, flags: Any) -> Any:
        return np.argwhere(flags).astype(np.int64)

    def lower(self, k: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        (flags,), (index,) = inputs, outputs
        rank = len(flags.shape)
        found = k.var("found", const(0, "i64"))
        with ExitStack() as loops:
            here = [loops.enter_context(k.loop("i", extent)) for extent in flags.shape]
            loops.enter_context(k.when(k.load(flags, here)))
            row = as_index(found, 0, None)
            for axis, at in enumerate(here):
                k.store(index, row * rank + axis, position(at))
            k.set(found, found + 1)


class Where(Composite):
    """The positions of the elements that are not zero, one a row."""

    arguments = ("input: T",)
    results = ("index: int64",)
    differentiable = False
    cases = (Case(np.array([[0, 2, 0], [1, 0, 3]], np.int32)), Case(np.array([False, True])), Case(np.zeros((0, 2), np.float32)))

    def infer(self, input: TensorSpec) -> TensorSpec:
        return TensorSpec(int64, (None, input.rank))

    def reference(self, input: Any) -> Any:
        return np.argwhere(input).astype(np.int64)

    def decompose(self, b: Any, input: Any) -> Any:
        if not input.shape:
            raise ValueError("WhereOp : Unhandled input dimensions: 0")
        if input.dtype.is_complex:
            flags = b.logical_or(*(b.not_equal(part, 0) for part in b.parts(input)))
        else:
            flags = input if input.dtype.name == "bool" else b.not_equal(input, 0)
        count = b.reduce("add", b.cast(flags, "int64"), range(len(input.shape)))
        return b.apply(Places(b.measure(count, input.size)), flags)


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
        """Order the whole row, and keep the first k."""
        rows, width = product(x.shape[:-1]), x.shape[-1]
        last = max(width - 1, 0) if isinstance(width, int) else None

        def element(row: Any, place: Any) -> Any:
            return k.load(x, row * width + as_index(cast(place, "i64"), 0, last))

        def behind(row: Any, p: Any, q: Any) -> Any:
            return k.let("a", element(row, p)) < k.let("b", element(row, q))

        def keep(row: Any, places: Any) -> None:
            with k.loop("rank", self.k) as rank:
                place = k.let("place", k.load(places, row * width + rank))
                k.store(values, row * self.k + rank, element(row, place))
                k.store(indices, row * self.k + rank, place)

        sort_places(k, rows, width, behind, keep)

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
        width = shape(x)[-1]
        chosen = make("OneHot", node.outputs[1], width, make("Cast", 1, DstT=x.dtype.base_dtype),
                      make("Cast", 0, DstT=x.dtype.base_dtype), axis=-1)  # fmt: skip
        return [make("Sum", make("Mul", chosen, expand_dims(dvalues, -1)), [-2], keep_dims=False), None]


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
