"""Parts of tensors: slice, strided_slice (`x[1:, ..., None]`) and their gradients."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from graphflow.dtypes import INDEX, as_dtype, int64
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.op import Case, Op, TensorSpec
from graphflow.graph.tensor import Tensor
from graphflow.kernel.index import Index, bounds, maximum, minimum
from graphflow.ops import positions
from graphflow.ops.families import Composite
from graphflow.ops.joining import concat, stack
from graphflow.ops.padding import pad
from graphflow.ops.reshape import reshape
from graphflow.ops.shape import rank, shape
from graphflow.ops.sizes import Size, contents, i32, need_rank, plus
from graphflow.ops.source import ones_like
from graphflow.shapes import Dimension

__all__ = [
    "newaxis",
    "slice",
    "strided_slice",
]


class Slice(Composite):
    """y[i] = input[begin + i] for i < size; a size of -1 means up to the end."""

    arguments = ("input: T", "begin: Index", "size: Index")
    results = ("output: T",)
    types = {"Index": INDEX}
    symbolic = True
    cases = (
        Case((5, 7), i32(1, 2), i32(3, -1)), Case((5, 7), i32(0, 0), i32(5, 7)), Case((4,), i32(2), i32(0)),
        Case((), np.zeros(0, np.int32), np.zeros(0, np.int32)),
        Case((4,), i32(2), i32(3), error=("ValueError", "Expected size")),
    )  # fmt: skip

    def _sizes(self, dims: Sequence[Size], begin: Sequence[Size], size: Sequence[Size]) -> tuple[Size, ...]:
        if not len(dims) == len(begin) == len(size):
            raise ValueError(f"Expected begin and size arguments to be 1-D tensors of size {len(dims)}, got {len(begin)} and {len(size)}")
        out: list[Size] = []
        for axis, (d, b, s) in enumerate(zip(dims, begin, size, strict=True)):
            rest = None if d is None or b is None else d - b
            if isinstance(b, int) and (b < 0 or (isinstance(d, int) and b > d)):
                raise ValueError(f"Expected begin[{axis}] in [0, {d}], but got {b}")
            if isinstance(s, int) and rest is not None and (s < -1 or (isinstance(rest, int) and s > rest)):
                raise ValueError(f"Expected size[{axis}] in [0, {rest}], but got {s}")
            out.append(rest if isinstance(s, int) and s < 0 else s)
        return tuple(out)

    def infer(self, input: TensorSpec, begin: TensorSpec, size: TensorSpec) -> TensorSpec:
        rank = None if input.dims is None else len(input.dims)
        starts, counts = contents(begin), contents(size)
        for operand in (begin, size):
            need_rank(operand, 1, "Expected begin and size arguments to be 1-D tensors")
            if rank is None and operand.dims is not None and isinstance(operand.dims[0], int):
                rank = operand.dims[0]
        if rank is None:
            return TensorSpec(input.dtype, None)
        unknown: list[Size] = [None] * rank
        dims = list(input.dims) if input.dims is not None else unknown
        return TensorSpec(input.dtype, self._sizes(dims, starts or unknown, unknown if counts is None else counts))

    def reference(self, input: Any, begin: Any, size: Any) -> Any:
        place = tuple(builtins.slice(int(b), None if s == -1 else int(b + s)) for b, s in zip(begin, size, strict=True))
        return np.array(input[place])

    def decompose(self, b: Any, input: Any, begin: Any, size: Any) -> Any:
        starts = positions.numbers(b, begin)
        counts = self._sizes(input.shape, [s.fixed for s in starts], [s.fixed for s in positions.numbers(b, size)])
        if None in counts:
            b.sizes(size), b.sizes(begin)  # one of them depends on data
        rank = len(counts)
        return positions.section(b, input, starts, counts, (1,) * rank, (positions.BEGIN,) * rank)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        x, begin, _ = node.inputs
        column = stack([rank(x), 1])
        before = reshape(begin, column)
        after = reshape(shape(x, out_type=begin.dtype) - shape(node.outputs[0], out_type=begin.dtype) - begin, column)
        return [pad(dy, concat([before, after], 1)), None, None]


class Part(NamedTuple):
    """What a strided slice takes of one input dimension. `shrink`: the dimension disappears. `entry`: where begin, end and stride stand."""

    begin: Size
    size: Size
    step: Size
    shrink: bool
    entry: int = -1


NEW_AXIS = "new axis"


class Spec(NamedTuple):
    """The masks of a strided slice."""

    begin_mask: int = 0
    end_mask: int = 0
    ellipsis_mask: int = 0
    new_axis_mask: int = 0
    shrink_axis_mask: int = 0

    def parts(self, dims: Sequence[Size], begin: Sequence[Size], end: Sequence[Size], strides: Sequence[Size]) -> list[Part | str]:
        """The slice, one entry per input dimension, with NEW_AXIS where the result gets a size of 1."""
        count = len(begin)
        takes = sum(1 for i in range(count) if not (self.new_axis_mask | self.ellipsis_mask) >> i & 1)
        out: list[Part | str] = []
        axis = 0
        spread = len(dims) - takes
        if bin(self.ellipsis_mask).count("1") > 1:
            raise ValueError("Multiple ellipses in slice spec not allowed")
        if spread < 0:
            raise ValueError(f"Index out of range using input dim {len(dims)}; input has only {len(dims)} dims")
        for i in range(count):
            if self.ellipsis_mask >> i & 1:
                # New axes after the ellipsis are not taken from the input, so the ellipsis always fills what is left.
                out.extend(Part(0, d, 1, False) for d in dims[axis : axis + spread])
                axis += spread
                spread = 0
            elif self.new_axis_mask >> i & 1:
                out.append(NEW_AXIS)
            else:
                out.append(self._part(i, axis, dims[axis], begin[i], end[i], strides[i])._replace(entry=i))
                axis += 1
        out.extend(Part(0, d, 1, False) for d in dims[axis:])
        return out

    def _part(self, i: int, axis: int, extent: Size, begin: Size, end: Size, step: Size) -> Part:
        if isinstance(step, int) and step == 0:
            raise ValueError(f"strides[{axis}] must be non-zero")
        if self.shrink_axis_mask >> i & 1:
            if isinstance(step, int) and step < 0:
                raise ValueError("only stride 1 allowed on non-range indexing.")
            start = _wrapped(begin, extent)
            if isinstance(start, int) and isinstance(extent, int) and not 0 <= start < extent:
                raise ValueError(f"slice index {begin} of dimension {axis} out of bounds.")
            return Part(start, 1, 1, True)
        if not isinstance(step, int):
            return Part(None, None, None, False)
        full_begin, full_end = bool(self.begin_mask >> i & 1), bool(self.end_mask >> i & 1)
        if step > 0:
            start = 0 if full_begin else _clamped(_wrapped(begin, extent), 0, extent)
            stop = extent if full_end else _clamped(_wrapped(end, extent), 0, extent)
            length = None if start is None or stop is None else maximum(stop - start, 0)
        else:
            start = plus(extent, -1) if full_begin else _clamped(_wrapped(begin, extent), -1, plus(extent, -1))
            stop = -1 if full_end else _clamped(_wrapped(end, extent), -1, plus(extent, -1))
            length = None if start is None or stop is None else maximum(start - stop, 0)
        size = None if length is None else (length + (abs(step) - 1)) // abs(step)
        return Part(start, size, step, False)


def _wrapped(position: Size, extent: Size) -> Size:
    """A position counted from the end where it is negative. A run-time position is taken for non-negative unless its range says not."""
    if position is None:
        return None
    _, high = bounds(position)
    if isinstance(position, int):
        return position if position >= 0 else plus(extent, position)
    return plus(extent, position) if high is not None and high < 0 else position


def _clamped(position: Size, low: int, high: Size) -> Size:
    if position is None or high is None:
        return None
    return minimum(maximum(position, low), high)


class Where:
    """The begin, end and strides of a strided slice, some of which depend on data."""

    def __init__(self, b: Any, begin: Any, end: Any, strides: Any) -> None:
        self.b = b
        self.operands = begin, end, strides
        self.begin, self.end, self.strides = (positions.numbers(b, v) for v in self.operands)

    def parts(self, masks: Spec, dims: Sequence[Size]) -> list[Part | str]:
        """The slice; the begin or the size of a part is None where it depends on data."""
        return masks.parts(dims, *([s.fixed for s in entries] for entries in (self.begin, self.end, self.strides)))

    def start(self, part: Part) -> positions.Sum:
        """Where a part begins."""
        return self.begin[part.entry] if part.begin is None else positions.Sum(part.begin)

    def width(self, masks: Spec, part: Part, wanted: Size, extent: Index) -> Index:
        """The size of a part whose ends depend on data: `wanted`, what its shape was set to, where the difference of the ends says so too
        and only the end of the tensor could cut it short, which the run refuses. Where only the end depends on data the run measures it.
        Cuts the Program here otherwise."""
        if part.step == 1 and part.begin is not None and self.b.boundless:
            return self._measured(part, extent)
        width = (self.end[part.entry] - self.begin[part.entry]).fixed
        open_ends = (masks.begin_mask | masks.end_mask) >> part.entry & 1
        if part.step != 1 or part.begin is not None or open_ends or not isinstance(width, int) or width != wanted:
            self.cut()
        assert isinstance(width, int)
        return width

    def _measured(self, part: Part, extent: Index) -> Index:
        b, begin = self.b, self.b.constant(part.begin, "int64")
        end, stop = self.b.constant(extent, "int64"), positions.element(self.b, self.end[part.entry])
        stop = b.select(b.less(stop, 0), b.add(stop, end), stop)
        count = b.sub(b.minimum(b.maximum(stop, begin), end), begin)
        return minimum(b.measure(count, extent), extent)

    def cut(self) -> None:
        """The operands are needed as numbers."""
        for operand in self.operands:
            self.b.sizes(operand)


def _set_shape(b: Any, parts: Sequence[Part | str]) -> Iterator[Size]:
    """For each part the size that the graph has for it, None where it has none."""
    dims = iter(b.expected or ())
    for part in parts:
        yield None if isinstance(part, Part) and part.shrink else next(dims, None)


def result_dims(parts: Sequence[Part | str]) -> tuple[Size, ...]:
    """The shape of a strided slice."""
    return tuple(1 if isinstance(p, str) else p.size for p in parts if isinstance(p, str) or not p.shrink)


def _numpy_index(masks: Spec, begin: Any, end: Any, strides: Any) -> tuple[Any, ...]:
    out: list[Any] = []
    for i in range(len(begin)):
        if masks.ellipsis_mask >> i & 1:
            out.append(Ellipsis)
        elif masks.new_axis_mask >> i & 1:
            out.append(None)
        elif masks.shrink_axis_mask >> i & 1:
            out.append(int(begin[i]))
        else:
            start = None if masks.begin_mask >> i & 1 else int(begin[i])
            out.append(builtins.slice(start, None if masks.end_mask >> i & 1 else int(end[i]), int(strides[i])))
    return tuple(out)


class Masked(Op, abstract=True):
    """Of a part of a tensor, by numpy's basic indexing: bit i of a mask says how entry i of begin, end and strides is meant."""

    types = {"Index": INDEX}
    begin_mask: int = 0
    end_mask: int = 0
    ellipsis_mask: int = 0
    new_axis_mask: int = 0
    shrink_axis_mask: int = 0

    @property
    def masks(self) -> Spec:
        """All five masks."""
        return Spec(self.begin_mask, self.end_mask, self.ellipsis_mask, self.new_axis_mask, self.shrink_axis_mask)


class StridedSlice(Masked, Composite):
    """The part."""

    arguments = ("input: T", "begin: Index", "end: Index", "strides: Index")
    results = ("output: T",)
    symbolic = True
    cases = (
        Case((5, 7), i32(1), i32(4), i32(2)), Case((5, 7), i32(0, -1), i32(0, 0), i32(1, -2), begin_mask=1, end_mask=1),
        Case((5, 7), i32(2, 0), i32(3, 0), i32(1, 1), shrink_axis_mask=1, begin_mask=2, end_mask=2),
        Case((2, 3, 4), i32(0, 1), i32(0, 2), i32(1, 1), ellipsis_mask=1, shrink_axis_mask=2),
        Case((3, 4), i32(0, 1), i32(0, 99), i32(1, 1), new_axis_mask=1), Case((6,), i32(4), i32(2), i32(1)),
        Case((3,), i32(3), i32(4), i32(1), shrink_axis_mask=1, error=("ValueError", "slice index 3 of dimension 0 out of bounds")),
        Case((3,), i32(0), i32(2), i32(0), error=("ValueError", "strides[0] must be non-zero")),
    )  # fmt: skip

    def infer(self, input: TensorSpec, begin: TensorSpec, end: TensorSpec, strides: TensorSpec) -> TensorSpec:
        for spec in (begin, end, strides):
            need_rank(spec, 1)
        counts = [s.dims[0] for s in (begin, end, strides) if s.dims is not None]
        known_counts = [n for n in counts if isinstance(n, int)]
        if len(set(known_counts)) > 1:
            raise ValueError(f"Expected begin, end, and strides to be 1D equal size tensors, but got sizes {counts}")
        count = known_counts[0] if known_counts else None
        if input.dims is None or count is None:
            return TensorSpec(input.dtype, None)
        unknown: list[Size] = [None] * count
        starts, ends, steps = (unknown if contents(s) is None else contents(s) for s in (begin, end, strides))
        return TensorSpec(input.dtype, result_dims(self.masks.parts(input.dims, starts, ends, steps)))  # type: ignore[arg-type]

    def reference(self, input: Any, begin: Any, end: Any, strides: Any) -> Any:
        picked = input[_numpy_index(self.masks, begin, end, strides)]
        if isinstance(picked, np.ndarray):
            return np.array(picked)
        out = np.empty((), input.dtype)
        out[()] = picked
        return out

    def decompose(self, b: Any, input: Any, begin: Any, end: Any, strides: Any) -> Any:
        where = Where(b, begin, end, strides)
        parts = where.parts(self.masks, input.shape)
        sizes = list(_set_shape(b, parts))
        for number, part in enumerate(parts):
            if isinstance(part, Part) and part.size is None:
                extent = input.shape[sum(isinstance(p, Part) for p in parts[:number])]
                parts[number] = part._replace(size=where.width(self.masks, part, sizes[number], extent))
        taken = [p for p in parts if isinstance(p, Part)]
        kinds = tuple(positions.INDEX if p.shrink else positions.RANGE for p in taken)
        starts = tuple(where.start(p) for p in taken)
        out = positions.section(b, input, starts, tuple(p.size for p in taken), tuple(p.step for p in taken), kinds)
        return b.view(out, result_dims(parts))

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        x, begin, end, strides = node.inputs
        dims = shape(x, out_type=begin.dtype)
        return [make("StridedSliceGrad", dims, begin, end, strides, dy, **self.masks._asdict()), None, None, None]


class StridedSliceGrad(Masked, Composite):
    """Zeros of the given shape, with dy where StridedSlice would read."""

    arguments = ("shape: Index", "begin: Index", "end: Index", "strides: Index", "dy: T")
    results = ("output: T",)
    cases = (
        Case(i32(5, 7), i32(1), i32(4), i32(2), (2, 7)),
        Case(i32(5, 7), i32(0, -1), i32(0, 0), i32(1, -2), (5, 3), begin_mask=1, end_mask=1),
        Case(i32(5, 7), i32(2), i32(3), i32(1), (7,), shrink_axis_mask=1),
        Case(i32(3, 4), i32(0, 1), i32(0, 99), i32(1, 1), (1, 2, 4), new_axis_mask=1), Case(i32(6), i32(4), i32(2), i32(1), (0,)),
        Case(i32(6), i32(5), i32(0), i32(-3), (2,)),
    )  # fmt: skip

    def infer(self, shape: TensorSpec, begin: TensorSpec, end: TensorSpec, strides: TensorSpec, dy: TensorSpec) -> TensorSpec:
        dims = contents(shape)
        if dims is None and shape.dims is not None and isinstance(shape.dims[0], int):
            dims = [None] * shape.dims[0]
        return TensorSpec(dy.dtype, dims)

    def reference(self, shape: Any, begin: Any, end: Any, strides: Any, dy: Any) -> Any:
        out = np.zeros([int(s) for s in shape], dy.dtype)
        out[_numpy_index(self.masks, begin, end, strides)] = dy
        return out

    def decompose(self, b: Any, shape: Any, begin: Any, end: Any, strides: Any, dy: Any) -> Any:
        dims = b.sizes(shape)
        where = Where(b, begin, end, strides)
        given = iter(dy.shape)
        parts: list[Part] = []
        for p in where.parts(self.masks, dims):
            size = 1 if isinstance(p, Part) and p.shrink else next(given)
            if isinstance(p, Part):
                if (p.begin is None or p.size is None) and p.step != 1:
                    where.cut()
                parts.append(p._replace(size=size) if p.size is None else p)
        out = b.view(dy, tuple(p.size for p in parts))
        if any(p.step < 0 for p in parts):
            turned = tuple(p.size - 1 if p.step < 0 else 0 for p in parts)
            out = b.section(out, turned, out.shape, tuple(-1 if p.step < 0 else 1 for p in parts))
        low, high = [], []
        for p, extent in zip(parts, dims, strict=True):
            empty = isinstance(p.size, int) and p.size == 0
            first = where.start(p)
            if empty:
                first = positions.Sum(0)
            elif p.step < 0:
                first += positions.Sum((p.size - 1) * p.step)
            gap = abs(p.step) - 1
            low.append(first)
            high.append(positions.Sum(extent - (p.size + (gap * (p.size - 1) if gap else 0))) - first)
        kinds = tuple(positions.INDEX if p.shrink else positions.CLAMPED for p in parts)
        return positions.halo(b, out, low, high, tuple(abs(p.step) - 1 for p in parts), kinds)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        _, begin, end, strides, _ = node.inputs
        return [None, None, None, None, make("StridedSlice", dy, begin, end, strides, **self.masks._asdict())]


# -- public functions --------------------------------------------------------------------------------------------------------------


def slice(input_, begin, size, name=None):
    """The part of `input_` that begins at `begin` and has the given sizes; a size of -1 goes to the end."""
    return make("Slice", input_, begin, size, name=name)


def strided_slice(input_, begin, end, strides=None, begin_mask=0, end_mask=0, ellipsis_mask=0, new_axis_mask=0,
                  shrink_axis_mask=0, var=None, name=None):  # fmt: skip
    """numpy's basic indexing, in numbers: bit i of a mask says how entry i of begin, end and strides is meant."""
    if strides is None:
        strides = ones_like(begin)
    masks = {"begin_mask": int(begin_mask), "end_mask": int(end_mask), "ellipsis_mask": int(ellipsis_mask),
             "new_axis_mask": int(new_axis_mask), "shrink_axis_mask": int(shrink_axis_mask)}  # fmt: skip
    part = make("StridedSlice", input_, begin, end, strides, name=name, **masks)

    def assign(val: Any, name: str | None = name and f"{name}_assign") -> Any:
        """Gives this part of the variable a new value; the result is the variable after that."""
        if var is None:
            raise ValueError("Sliced assignment is only supported for variables")
        return var._strided_slice_assign(begin, end, strides, val, name, masks)

    part.assign = assign
    return part


newaxis = None
_INDEX_ERROR = (
    "Only integers, slices (`:`), ellipsis (`...`), tf.newaxis (`None`) and scalar tf.int32/tf.int64 tensors are valid indices, got {!r}"
)


def _check_index(index: Any) -> None:
    if isinstance(index, (int, np.integer, Dimension)) and not isinstance(index, bool):
        return
    dtype = getattr(index, "dtype", None)
    if dtype is None or as_dtype(dtype).base_dtype not in INDEX or (index.shape and len(index.shape) == 1):
        raise TypeError(_INDEX_ERROR.format(index))


def getitem(tensor: Any, spec: Any, variable: Any = None) -> Any:
    """`tensor[spec]`, as numpy's basic indexing; a boolean tensor or array as the index is a mask."""
    if isinstance(spec, bool) or (isinstance(spec, (Tensor, np.ndarray)) and as_dtype(spec.dtype).base_dtype.is_bool):
        from graphflow.ops.choose import boolean_mask  # stands above this file

        return boolean_mask(tensor, spec)
    if not isinstance(spec, (list, tuple)):
        spec = [spec]
    begin: list[Any] = []
    end: list[Any] = []
    strides: list[Any] = []
    masks = {"begin_mask": 0, "end_mask": 0, "ellipsis_mask": 0, "new_axis_mask": 0, "shrink_axis_mask": 0}
    for number, entry in enumerate(spec):
        first: Any = 0
        last: Any = 0
        step: Any = 1
        if isinstance(entry, builtins.slice):
            if entry.start is None or (not isinstance(entry.start, Tensor) and entry.start == sys.maxsize):
                masks["begin_mask"] |= 1 << number
            else:
                _check_index(entry.start)
                first = entry.start
            if entry.stop is None or (not isinstance(entry.stop, Tensor) and entry.stop == sys.maxsize):
                masks["end_mask"] |= 1 << number
            else:
                _check_index(entry.stop)
                last = entry.stop
            if entry.step is not None:
                _check_index(entry.step)
                step = entry.step
        elif entry is Ellipsis:
            masks["ellipsis_mask"] |= 1 << number
        elif entry is None:
            masks["new_axis_mask"] |= 1 << number
        else:
            _check_index(entry)
            first, last = entry, entry + 1
            masks["shrink_axis_mask"] |= 1 << number
        begin.append(first)
        end.append(last)
        strides.append(step)
    with name_scope(None, "strided_slice", [tensor, *begin, *end, *strides]) as name:
        if begin:
            packed = [stack(begin), stack(end), stack(strides)]
            if any(p.dtype == int64 for p in packed):
                packed = [p if p.dtype == int64 else make("Cast", p, DstT=int64) for p in packed]
        else:
            packed = [convert_to_tensor(np.zeros(0, np.int32))] * 3
        return strided_slice(tensor, *packed, **masks, var=variable, name=name)
