"""What depends on the values themselves: where, boolean_mask, and the largest elements (top_k)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import numpy as np

from graphflow.dtypes import REAL, as_dtype, int32, int64
from graphflow.dtypes import bool as bool_
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.op import Case, TensorSpec
from graphflow.kernel.expr import Expr, as_index, call, cast, const, position, select
from graphflow.kernel.index import Index, ceildiv, minimum, product
from graphflow.kernel.nodes import Mode
from graphflow.ops.families import Composite, Kernelised
from graphflow.ops.gather import gather
from graphflow.ops.joining import concat
from graphflow.ops.logic import where
from graphflow.ops.radix import key_of, sort_row
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
            # Whatever the flag says, the next row is written: what holds no flag is written over. A branch would be guessed wrong.
            room = found < position(self.rows)
            for axis, at in enumerate(here):
                k.store(index, as_index(found, 0, None) * rank + axis, position(at), room)
            k.set(found, found + cast(k.load(flags, here), "i64"))


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


NARROW = 64  # elements of a row up to which comparing each with each is fastest, unless only the largest is wanted
FEW = 12  # elements that are picked one by one from a row of any width; of a wide one, as many as a BLOCK goes into it
BLOCK = 64  # elements of which the largest is kept
PARTS = 32  # of the rows, each with scratch memory for one


@contextmanager
def _each(k: Any, rows: Index) -> Iterator[tuple[Index, Index]]:
    """The rows, and the part that each is in."""
    share = ceildiv(rows, PARTS)
    with k.loop("part", PARTS, Mode.PARALLEL) as part, k.loop("turn", share) as turn:
        row = part * share + turn
        with k.when(position(row) < position(rows)):
            yield row, part


class Largest(Kernelised):
    """The k largest elements of each row and their places, in falling order; of equal ones the first comes first. NaNs come before all."""

    core = True
    arguments = ("x: T",)
    results = ("values: T", "indices: int32")
    k: int
    cases = (Case((3, 7), k=3), Case((2, 5), k=5), Case(np.array([[1, 3, 3, 2]], np.int32), k=2), Case((0, 4), k=1), Case((2, 3), k=0),
             Case((2, 40), k=40), Case(np.tile(np.array([2, 7, 7, 1, 2], np.int32), 7), k=20), Case((3, 70), k=70), Case((2, 300), k=5),
             Case(np.tile(np.array([2, 7, 7, 1, -(2**31)], np.int32), 26), k=8), Case((np.arange(300) % 77 - 5) << 40, k=100),
             Case(np.array([0.5, -np.inf, 0.0, -0.0, np.inf] * 30, np.float32), k=12), Case((np.arange(90) % 7).astype(np.uint8), k=80))

    def infer(self, x: TensorSpec) -> tuple[TensorSpec, ...]:
        assert x.dims is not None
        dims = (*x.dims[:-1], self.k)
        return TensorSpec(x.dtype, dims), TensorSpec(int32, dims)

    def reference(self, x: Any) -> Any:
        # -inf, the smallest integer and unsigned ones have no negatives
        order = x.shape[-1] - 1 - np.argsort(x[..., ::-1], -1, kind="stable")[..., ::-1][..., : self.k].astype(np.int32)
        return np.take_along_axis(x, order, -1), order

    def lower(self, k: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        (x,), (values, indices) = inputs, outputs
        rows, width = product(x.shape[:-1]), x.shape[-1]
        last = max(width - 1, 0) if isinstance(width, int) else None

        def key(row: Index, place: Index) -> Expr:
            return key_of(k.load(x, row * width + place))

        def keep(row: Index, rank: Index, place: Expr) -> None:
            k.store(values, row * self.k + rank, k.load(x, row * width + as_index(cast(place, "i64"), 0, last)))
            k.store(indices, row * self.k + rank, place)

        if isinstance(width, int) and width <= NARROW and self.k != 1:
            self._compare(k, key, rows, width, keep)
        elif isinstance(self.k, int) and self.k <= max(FEW, width // BLOCK if isinstance(width, int) else 0):
            self._pick(k, key, rows, width, keep)
        else:
            with _each(k, rows) as (row, part):
                places, begin = sort_row(k, lambda place: call("not", key(row, place)), width, part, PARTS)
                with k.loop("rank", self.k) as rank:
                    keep(row, rank, k.let("place", k.load(places, begin + rank)))

    def _compare(self, k: Any, key: Any, rows: Index, width: int, keep: Any) -> None:
        """An element's rank is how many others come before it."""
        kind = key(0, 0).type
        keys = k.scratch("keys", kind, (PARTS, width))
        ranks, order = (k.scratch(name, "i32", (PARTS, width)) for name in ("ranks", "order"))
        with _each(k, rows) as (row, part):
            with k.loop("j", width, Mode.VECTOR) as j:
                k.store(keys, (part, j), key(row, j))
            with k.loop("j", width, Mode.VECTOR) as j:
                mine = k.let("mine", k.load(keys, (part, j)))
                rank = k.var("rank", const(0, "i32"))
                with k.loop("i", width) as i:
                    other = k.let("other", k.load(keys, (part, i)))
                    k.set(rank, rank + cast((mine < other) | (call("eq", mine, other) & (position(i) < position(j))), "i32"))
                k.store(ranks, (part, j), rank)
            with k.loop("j", width) as j:
                rank = k.let("rank", k.load(ranks, (part, j)))
                k.store(order, (part, as_index(cast(rank, "i64"), 0, width - 1)), position(j, "i32"))
            with k.loop("rank", self.k) as rank:
                keep(row, rank, k.let("place", k.load(order, (part, rank))))

    def _pick(self, k: Any, key: Any, rows: Index, width: Index, keep: Any) -> None:
        """Of each block of a row the largest element is known: the next one is the largest of these, and its block's next is looked for."""
        kind, nowhere = key(0, 0).type, const((1 << 31) - 1, "i32")
        blocks = ceildiv(width, BLOCK)
        most = blocks - 1 if isinstance(blocks, int) else None
        keys, places = k.scratch("keys", kind, (PARTS, blocks)), k.scratch("places", "i32", (PARTS, blocks))

        def best(many: Index, key_at: Any, place_at: Any, among: Any = lambda n: const(True, "bool")) -> tuple[Expr, Expr]:
            """Of `many` elements the largest key and the first place that has it; `among`: whether an element counts."""
            largest = k.var("largest", const(0, kind))
            with k.loop("n", many, Mode.VECTOR) as n:
                k.accumulate(largest, "max", select(among(n), key_at(n), const(0, kind)))
            first = k.var("first", nowhere)
            with k.loop("n", many, Mode.VECTOR) as n:
                k.accumulate(first, "min", select(among(n), select(call("eq", key_at(n), largest), place_at(n), nowhere), nowhere))
            return largest, first

        def of_block(row: Index, part: Index, block: Index, among: Any = lambda n: const(True, "bool")) -> None:
            begin, many = block * BLOCK, minimum(width - block * BLOCK, BLOCK)
            largest, first = best(
                many, lambda n: key(row, begin + n), lambda n: position(begin + n, "i32"), lambda n: among(begin + n)
            )
            k.store(keys, (part, block), largest)
            k.store(places, (part, block), first)

        with _each(k, rows) as (row, part):
            with k.loop("block", blocks) as block:
                of_block(row, part, block)
            with k.loop("rank", self.k) as rank:
                largest, place = best(blocks, lambda n: k.load(keys, (part, n)), lambda n: k.load(places, (part, n)))
                keep(row, rank, place)

                def behind(n: Index) -> Expr:
                    mine = key(row, n)
                    return (mine < largest) | (call("eq", mine, largest) & (place < position(n, "i32")))

                of_block(row, part, as_index(call("floordiv", cast(place, "i64"), BLOCK), 0, most), behind)


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
