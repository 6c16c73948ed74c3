"""Putting tensors together and taking them apart: concat, split, stack, unstack, tile."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from graphflow.dtypes import INDEX, int32
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.dims import known_unequal
from graphflow.graph.op import Case, TensorSpec
from graphflow.kernel.index import Index
from graphflow.ops.families import Composite
from graphflow.ops.reshape import reshape
from graphflow.ops.shape import rank, shape, shape_n
from graphflow.ops.sizes import Dims, Size, array_of, contents, i32, merge, merge_dims, need_rank, plus, scalar, shown
from graphflow.shapes import Dimension

__all__ = [
    "concat",
    "parallel_stack",
    "split",
    "stack",
    "tile",
    "unstack",
]



def axis_of(value: Any, rank: int, name: str = "axis") -> int:
    """An axis as a non-negative number; ValueError where it is out of range."""
    axis = int(value)
    if not -rank <= axis < rank:
        raise ValueError(f"{name} {axis} is out of range: expected a value in [{-rank}, {rank})")
    return axis % rank


def _concat_dims(dims: Sequence[Dims | None], axis: int) -> Dims | None:
    known = [d for d in dims if d is not None]
    if not known:
        return None
    rank = len(known[0])
    for d in known:
        if len(d) != rank:
            raise ValueError(f"Shapes must be equal rank, but are {rank} and {len(d)}")
    if not -rank <= axis < rank:
        raise ValueError(f"Expected concatenating dimensions in the range [{-rank}, {rank}), but got {axis}")
    axis %= rank
    out = list(known[0])
    for d in known[1:]:
        for a in range(rank):
            if a != axis:
                try:
                    out[a] = merge(out[a], d[a])
                except ValueError as error:
                    raise ValueError(f"Dimension {a} in both shapes must be equal, but are {out[a]} and {d[a]}") from error
    length: Size = 0
    for sizes in dims:
        length = plus(length, None if sizes is None else sizes[axis])
    out[axis] = length
    return tuple(out)


class ConcatV2(Composite):
    """The tensors one after the other along `axis`."""

    arguments = ("values: N*T", "axis: Tidx")
    results = ("output: T",)
    types = {"Tidx": INDEX}
    symbolic = True
    cases = (
        Case((2, 3), (2, 5), scalar(1)), Case((1, 4), (0, 4), (3, 4), scalar(0)), Case((2, 3), (2, 1), scalar(-1)), Case((2, 3), scalar(0)),
        Case((2, 3), (3, 3), scalar(1), error=("ValueError", "Dimension 0 in both shapes must be equal, but are 2 and 3")),
    )  # fmt: skip

    def infer(self, *inputs: TensorSpec) -> TensorSpec:
        values, axis = inputs[:-1], contents(inputs[-1])
        need_rank(inputs[-1], 0, "axis tensor should be a scalar integer")
        if axis is None or axis[0] is None:
            rank = next((v.rank for v in values if v.rank is not None), None)
            for v in values:
                if v.rank not in (None, rank):
                    raise ValueError(f"Shapes must be equal rank, but are {rank} and {v.rank}")
            if rank == 0:
                raise ValueError("Can't concatenate scalars (use tf.stack instead)")
            return TensorSpec(values[0].dtype, None if rank is None else (None,) * rank)
        return TensorSpec(values[0].dtype, _concat_dims([v.dims for v in values], axis[0]))  # type: ignore[arg-type]

    def reference(self, *inputs: Any) -> Any:
        return np.concatenate(inputs[:-1], int(np.ravel(inputs[-1])[0]))

    def decompose(self, b: Any, *inputs: Any) -> Any:
        return b.join(inputs[:-1], axis_of(b.sizes(inputs[-1])[0], len(inputs[0].shape)))

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        values, axis = list(node.inputs)[:-1], node.inputs[-1]
        if len(values) == 1:
            return [dy, None]
        axis = axis % rank(values[0])
        dims = [shape(v) for v in values] if all(v.shape.is_fully_defined() for v in values) else shape_n(values)
        offsets = make("ConcatOffset", axis, *dims)
        return [*(make("Slice", dy, begin, size) for begin, size in zip(offsets, dims, strict=True)), None]


class ConcatOffset(Composite):
    """Where each of the concatenated shapes begins in the whole."""

    arguments = ("concat_dim: int32", "shape: N*int32")
    results = ("offset: N*int32",)
    differentiable = False
    cases = (Case(scalar(1), i32(2, 3), i32(2, 5)), Case(scalar(0), i32(4), i32(1), i32(2)))

    def _offsets(self, axis: int, shapes: Sequence[Sequence[Size]]) -> list[list[Size]]:
        out: list[list[Size]] = []
        start: Size = 0
        count = len(shapes[0])
        if not -count <= axis < count:
            raise ValueError(f"Concat dim is out of range: {axis} vs. {count}")
        axis %= count
        for number, s in enumerate(shapes):
            if len(s) != count:
                raise ValueError(f"input {number} should contain {count} elements, but got {len(s)}")
            if any(known_unequal(d, e) for a, (d, e) in enumerate(zip(shapes[0], s, strict=True)) if a != axis):
                mine, first = (" ".join(map(str, x)) for x in (s, shapes[0]))
                wrong = f"Input {number} has shape [{mine}] and doesn't match input 0 with shape [{first}]."
                raise ValueError(f"All dimensions except {axis} must match. {wrong}")
            out.append([start if a == axis else 0 for a in range(len(s))])
            start = plus(start, s[axis])
        return out

    def infer(self, concat_dim: TensorSpec, *shape: TensorSpec) -> tuple[TensorSpec, ...]:
        axis, sizes = contents(concat_dim), [contents(s) for s in shape]
        if any(s.dims is not None and len(s.dims) != 1 for s in shape):
            return tuple(TensorSpec(int32, s.dims) for s in shape)  # TensorFlow refuses them when it runs
        if axis is None or axis[0] is None or any(s is None for s in sizes):
            return tuple(TensorSpec(int32, s.dims) for s in shape)
        try:
            offsets = self._offsets(axis[0], sizes)  # type: ignore[arg-type]
        except ValueError:
            return tuple(TensorSpec(int32, s.dims) for s in shape)  # TensorFlow refuses them when it runs
        return tuple(TensorSpec(int32, (len(o),), array_of(o, int32)) for o in offsets)

    def reference(self, concat_dim: Any, *shape: Any) -> Any:
        out, start = [], 0
        for s in shape:
            offset = np.zeros(len(s), np.int32)
            offset[int(concat_dim)] = start
            start += s[int(concat_dim)]
            out.append(offset)
        return tuple(out)

    def decompose(self, b: Any, concat_dim: Any, *shape: Any) -> Any:
        axis = b.sizes(concat_dim)[0]
        if any(len(s.shape) != 1 for s in shape):
            raise ValueError("shape should be a vector")
        return tuple(b.constant(o, int32) for o in self._offsets(axis, [b.sizes(s) for s in shape]))  # type: ignore[arg-type]


def _sections(b: Any, value: Any, axis: int, lengths: Sequence[Index]) -> tuple[Any, ...]:
    """The consecutive parts of the given lengths along an axis."""
    out = []
    start: Index = 0
    for length in lengths:
        begin = tuple(start if a == axis else 0 for a in range(len(value.shape)))
        out.append(b.section(value, begin, tuple(length if a == axis else d for a, d in enumerate(value.shape))))
        start = start + length
    return tuple(out)


class Split(Composite):
    """`num_split` equal parts along `split_dim`."""

    arguments = ("split_dim: int32", "value: T")
    results = ("output: num_split*T",)
    num_split: int
    symbolic = True
    cases = (
        Case(scalar(1), (2, 6), num_split=3), Case(scalar(-2), (4, 2), num_split=2), Case(scalar(0), (3,), num_split=1),
        Case(scalar(0), (5,), num_split=2, error=("ValueError", "Number of ways to split should evenly divide the split dimension")),
    )  # fmt: skip

    def infer(self, split_dim: TensorSpec, value: TensorSpec) -> tuple[TensorSpec, ...]:
        if self.num_split < 1:
            raise ValueError(f"Attr 'num_split' of '{self.type}' Op passed {self.num_split} less than minimum 1.")
        need_rank(split_dim, 0)
        axis = contents(split_dim)
        if value.dims is None or axis is None or axis[0] is None:
            dims: Dims | None = None if value.dims is None else (None,) * len(value.dims)
        else:
            at = axis_of(axis[0], len(value.dims), "split_dim")
            dims = (*value.dims[:at], self._length(value.dims[at], at), *value.dims[at + 1 :])
        return (TensorSpec(value.dtype, dims),) * self.num_split

    def requires(self, split_dim: TensorSpec, value: TensorSpec) -> Iterable[Index]:
        axis = contents(split_dim)
        if axis is None or axis[0] is None or value.dims is None:
            return ()
        return (-(value.dims[axis_of(axis[0], len(value.dims))] % self.num_split),)  # type: ignore[operator]

    def _length(self, extent: Size, axis: int) -> Size:
        if isinstance(extent, int) and extent % self.num_split:
            raise ValueError(
                "Number of ways to split should evenly divide the split dimension, "
                f"but got split_dim {axis} (size = {extent}) and num_split {self.num_split}"
            )
        return None if extent is None else extent // self.num_split

    def reference(self, split_dim: Any, value: Any) -> Any:
        return tuple(np.split(value, self.num_split, int(split_dim)))

    def decompose(self, b: Any, split_dim: Any, value: Any) -> Any:
        axis = axis_of(b.sizes(split_dim)[0], len(value.shape))
        return _sections(b, value, axis, [self._length(value.shape[axis], axis)] * self.num_split)  # type: ignore[list-item]

    def gradient(self, node: Any, *dy: Any) -> Sequence[Any]:
        return [None, concat(filled(node, dy), node.inputs[0])]


def filled(node: Any, dy: Sequence[Any]) -> list[Any]:
    """The gradients of several results, zeros where a result is not used."""
    return [make("ZerosLike", y) if d is None else d for y, d in zip(node.outputs, dy, strict=True)]


class SplitV(Composite):
    """Parts of the given sizes along `split_dim`; one size may be -1: what is left."""

    arguments = ("value: T", "size_splits: Tlen", "split_dim: int32")
    results = ("output: num_split*T",)
    types = {"Tlen": INDEX}
    num_split: int
    symbolic = True
    cases = (
        Case((2, 6), i32(1, 2, 3), scalar(1), num_split=3), Case((7,), i32(2, -1), scalar(0), num_split=2),
        Case((3, 2), i32(0, 3), scalar(-2), num_split=2),
        Case((5,), i32(2, 2), scalar(0), num_split=2, error=("ValueError", "Determined shape must either match input")),
    )  # fmt: skip

    def _lengths(self, wanted: Sequence[Size], extent: Size) -> list[Size]:
        given: Size = 0
        numbers = [s for s in wanted if isinstance(s, int)]
        if numbers.count(-1) > 1:
            raise ValueError("size_splits can only have one -1")
        if any(s < -1 for s in numbers):
            raise ValueError(f"Split size at index {wanted.index(min(numbers))} must be >= 0. Got: {min(numbers)}")
        for s in wanted:
            if not (isinstance(s, int) and s == -1):
                given = plus(given, s)
        rest = None if extent is None or given is None else extent - given
        free = any(isinstance(s, int) and s == -1 for s in wanted)
        if isinstance(rest, int) and (rest < 0 or (rest and not free)):
            raise ValueError(
                "Determined shape must either match input shape along split_dim exactly if fully specified, or be less than the size of "
                f"the input along split_dim if not fully specified.  Got: {given} (input size {extent})"
            )
        return [rest if isinstance(s, int) and s == -1 else s for s in wanted]

    def infer(self, value: TensorSpec, size_splits: TensorSpec, split_dim: TensorSpec) -> tuple[TensorSpec, ...]:
        need_rank(split_dim, 0)
        need_rank(size_splits, 1)
        axis, wanted = contents(split_dim), contents(size_splits)
        if value.dims is None:
            return (TensorSpec(value.dtype, None),) * self.num_split
        if axis is None or axis[0] is None:
            return (TensorSpec(value.dtype, (None,) * len(value.dims)),) * self.num_split
        at = axis_of(axis[0], len(value.dims), "split_dim")
        if wanted is not None and len(wanted) != self.num_split:
            raise ValueError("Length of size_splits should be equal to num_outputs")
        lengths: list[Size] = [None] * self.num_split if wanted is None else self._lengths(wanted, value.dims[at])
        return tuple(TensorSpec(value.dtype, (*value.dims[:at], n, *value.dims[at + 1 :])) for n in lengths)

    def requires(self, value: TensorSpec, size_splits: TensorSpec, split_dim: TensorSpec) -> Iterable[Index]:
        axis, wanted = contents(split_dim), contents(size_splits)
        if axis is None or axis[0] is None or wanted is None or value.dims is None:
            return ()
        free = any(isinstance(s, int) and s == -1 for s in wanted)
        rest: Any = value.dims[axis_of(axis[0], len(value.dims))]
        for size in wanted:
            rest = rest - (0 if isinstance(size, int) and size == -1 else size)
        return (rest,) if free else (rest, -rest)

    def reference(self, value: Any, size_splits: Any, split_dim: Any) -> Any:
        axis = int(split_dim)
        sizes = [int(s) for s in size_splits]
        sizes = [value.shape[axis] - (sum(sizes) + 1) if s == -1 else s for s in sizes]
        return tuple(np.split(value, np.cumsum(sizes)[:-1], axis))

    def decompose(self, b: Any, value: Any, size_splits: Any, split_dim: Any) -> Any:
        axis = axis_of(b.sizes(split_dim)[0], len(value.shape))
        return _sections(b, value, axis, self._lengths(b.sizes(size_splits), value.shape[axis]))  # type: ignore[arg-type]

    def gradient(self, node: Any, *dy: Any) -> Sequence[Any]:
        return [concat(filled(node, dy), node.inputs[2]), None, None]


class Pack(Composite):
    """The tensors side by side along a new `axis`."""

    arguments = ("values: N*T",)
    results = ("output: T",)
    axis: int = 0
    symbolic = True
    cases = (
        Case((2, 3), (2, 3), axis=1), Case((), (), ()), Case((4,), axis=-1), Case((0, 2), (0, 2), axis=2),
        Case((2,), (3,), error=("ValueError", "Dimension 0 in both shapes must be equal, but are 2 and 3")),
    )  # fmt: skip

    def infer(self, *values: TensorSpec) -> TensorSpec:
        dims: Dims | None = None
        for v in values:
            try:
                dims = merge_dims(dims, v.dims)
            except ValueError as error:
                pairs = zip(dims or (), v.dims or (), strict=False)
                wrong = next(((a, x, y) for a, (x, y) in enumerate(pairs) if isinstance(x, int) and isinstance(y, int) and x != y), None)
                if wrong is None or dims is None or v.dims is None or len(dims) != len(v.dims):
                    raise
                raise ValueError(
                    f"Dimension {wrong[0]} in both shapes must be equal, but are {wrong[1]} and {wrong[2]}. Shapes are "
                    f"{shown(dims)} and {shown(v.dims)}."
                ) from error
        if dims is None:
            return TensorSpec(values[0].dtype, None)
        at = axis_of(self.axis, len(dims) + 1)
        return TensorSpec(values[0].dtype, (*dims[:at], len(values), *dims[at:]))

    def reference(self, *values: Any) -> Any:
        return np.stack(values, self.axis)

    def decompose(self, b: Any, *values: Any) -> Any:
        dims = values[0].shape
        at = axis_of(self.axis, len(dims) + 1)
        return b.join([b.view(v, (*dims[:at], 1, *dims[at:])) for v in values], at)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return unstack(dy, num=len(node.inputs), axis=self.axis)


class Unpack(Composite):
    """The `num` slices along `axis`."""

    arguments = ("value: T",)
    results = ("output: num*T",)
    num: int
    axis: int = 0
    symbolic = True
    cases = (
        Case((2, 3), num=2), Case((2, 3), num=3, axis=-1), Case((1,), num=1),
        Case((2, 3), num=3, error=("ValueError", "Dimension must be 3 but is 2")),
    )  # fmt: skip

    def infer(self, value: TensorSpec) -> tuple[TensorSpec, ...]:
        if value.dims is None:
            return (TensorSpec(value.dtype, None),) * self.num
        at = axis_of(self.axis, len(value.dims))
        extent = value.dims[at]
        if isinstance(extent, int) and extent != self.num:
            raise ValueError(f"Dimension must be {self.num} but is {extent}")
        return (TensorSpec(value.dtype, (*value.dims[:at], *value.dims[at + 1 :])),) * self.num

    def reference(self, value: Any) -> Any:
        return tuple(np.take(value, k, self.axis) if value.dtype != object else np.asarray(np.take(value, k, self.axis), object)
                     for k in range(self.num))  # fmt: skip

    def decompose(self, b: Any, value: Any) -> Any:
        at = axis_of(self.axis, len(value.shape))
        dims = (*value.shape[:at], *value.shape[at + 1 :])
        return tuple(b.view(part, dims) for part in _sections(b, value, at, [1] * self.num))

    def gradient(self, node: Any, *dy: Any) -> Sequence[Any]:
        return [make("Pack", *filled(node, dy), axis=self.axis)]


class Tile(Composite):
    """The input repeated `multiples[i]` times in dimension i."""

    arguments = ("input: T", "multiples: Tmultiples")
    results = ("output: T",)
    types = {"Tmultiples": INDEX}
    symbolic = True
    cases = (
        Case((2, 3), i32(2, 2)), Case((3,), i32(0)), Case((), np.zeros(0, np.int32)), Case((2, 1), i32(1, 5)),
        Case((2, 3), i32(2), error=("ValueError", "Shape must be rank 1 but is rank 2")),
    )  # fmt: skip

    def infer(self, input: TensorSpec, multiples: TensorSpec) -> TensorSpec:
        need_rank(multiples, 1, "Expected multiples to be 1-D")
        count = None if multiples.dims is None else multiples.dims[0]
        if input.dims is None:
            return TensorSpec(input.dtype, (None,) * count if isinstance(count, int) else None)
        if isinstance(count, int) and count != len(input.dims):
            raise ValueError(f"Shape must be rank {count} but is rank {len(input.dims)}")
        times = contents(multiples)
        if times is None:
            return TensorSpec(input.dtype, (None,) * len(input.dims))
        for m in times:
            if isinstance(m, int) and m < 0:
                raise ValueError(f"Expected multiples to be non-negative, but got {m}")
        return TensorSpec(input.dtype, [None if d is None or m is None else d * m for d, m in zip(input.dims, times, strict=True)])

    def reference(self, input: Any, multiples: Any) -> Any:
        return np.tile(input, [int(m) for m in multiples]) if input.ndim else np.array(input)

    def decompose(self, b: Any, input: Any, multiples: Any) -> Any:
        times = b.sizes(multiples)
        # Each dimension becomes (repeat, size); a repeat of 1 stays out so that it costs no loop.
        shape: list[Index] = []
        axes: list[int] = []
        for d, m in zip(input.shape, times, strict=True):
            if not (isinstance(m, int) and m == 1):
                shape.append(m)
            axes.append(len(shape))
            shape.append(d)
        return b.view(b.expand(input, tuple(shape), tuple(axes)), tuple(d * m for d, m in zip(input.shape, times, strict=True)))

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        x, multiples = node.inputs
        source = shape(x, out_type=multiples.dtype)
        split_shape = reshape(make("Transpose", make("Pack", multiples, source, axis=0), [1, 0]), [-1])
        pairs = x.shape.ndims
        repeats = make("Range", 0, make("Size", split_shape), 2) if pairs is None else list(range(0, 2 * pairs, 2))
        return [reshape(make("Sum", reshape(dy, split_shape), repeats, keep_dims=False), source), None]


# -- public functions --------------------------------------------------------------------------------------------------------------


def concat(values, axis, name="concat"):
    """The tensors one after the other along `axis`."""
    if not isinstance(values, (list, tuple)):
        values = [values]
    if len(values) == 1:
        with name_scope(name):
            convert_to_tensor(axis, name="concat_dim", dtype=int32).shape.assert_has_rank(0)
            return make("Identity", values[0], name=name)
    return make("ConcatV2", list(values), axis, name=name)


def split(value, num_or_size_splits, axis=0, num=None, name="split"):
    """The parts of `value` along `axis`: so many equal ones, or one for each of the given sizes."""
    if isinstance(num_or_size_splits, (int, np.integer, Dimension)):
        # TensorFlow makes this constant before it looks at the argument; later names count on it.
        convert_to_tensor(num_or_size_splits)
        return make("Split", axis, value, num_split=int(num_or_size_splits), name=name)
    sizes = convert_to_tensor(num_or_size_splits)
    if sizes.shape.ndims == 0:
        raise ValueError(
            "Rank-0 tensors are not supported as the num_or_size_splits argument to split. "
            f"Argument provided: {num_or_size_splits}"
        )
    if num is None:
        num = None if not sizes.shape.ndims else sizes.shape.as_list()[0]
        if num is None:
            raise ValueError(f"Cannot infer num from shape {num_or_size_splits}")
    return make("SplitV", value, sizes, axis, num_split=num, name=name)


def stack(values, axis=0, name="stack"):
    """Tensors of one shape side by side along a new `axis`."""
    if axis == 0:
        try:
            return convert_to_tensor(values, name=name)
        except (TypeError, ValueError):
            pass  # the list holds values of several types: Pack says what is wrong
    first = convert_to_tensor(values[0], name=name)
    if first.shape.ndims is not None:
        count = first.shape.ndims + 1
        if not -count <= axis < count:
            raise ValueError(f"axis = {axis} not in [{-count}, {count})")
    return make("Pack", list(values), axis=axis, name=name)


def parallel_stack(values, name="parallel_stack"):
    """Tensors of one shape side by side along a new first axis."""
    return make("Pack", list(values), axis=0, name=name)


def unstack(value, num=None, axis=0, name="unstack"):
    """The slices of `value` along `axis`, as a list."""
    if num is None:
        value = convert_to_tensor(value)
        dims = value.shape
        if dims.ndims is not None:
            if not -dims.ndims <= axis < dims.ndims:
                raise ValueError(f"axis = {axis} not in [{-dims.ndims}, {dims.ndims})")
            num = dims.as_list()[axis]
        if num is None:
            raise ValueError(f"Cannot infer num from shape {dims}")
    return make("Unpack", value, num=int(num), axis=axis, name=name)


def tile(input, multiples, name=None):
    """The input repeated multiples[i] times in dimension i."""
    return make("Tile", input, multiples, name=name)
