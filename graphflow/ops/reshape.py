"""Shapes: reshape, transpose, expand_dims, squeeze, broadcast_to, reverse, and the ops that read a shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.dtypes import INDEX
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.op import Case, TensorSpec
from graphflow.kernel.index import floordiv
from graphflow.ops.arguments import renamed
from graphflow.ops.families import Composite
from graphflow.ops.shape import shape
from graphflow.ops.sizes import Size, contents, i32, need_rank, scalar, total

__all__ = [
    "broadcast_to",
    "expand_dims",
    "invert_permutation",
    "matrix_transpose",
    "reshape",
    "reverse",
    "reverse_v2",
    "squeeze",
    "transpose",
]


def target_shape(dims: Sequence[Size] | None, wanted: Sequence[Size] | None) -> tuple[Size, ...] | None:
    """The result shape of a reshape of `dims` to `wanted`, in which one -1 may stand for what is left."""
    if wanted is None:
        return None
    elements = None if dims is None else total(dims)
    free = [a for a, d in enumerate(wanted) if isinstance(d, int) and d == -1]
    if len(free) > 1:
        raise ValueError(f"Dimension {free[0]} and {free[1]} are both -1: only one size may be unknown")
    for a, d in enumerate(wanted):
        if isinstance(d, int) and d < -1:
            raise ValueError(f"Dimension {a} must be >= 0, got {d}")
    given = total([d for a, d in enumerate(wanted) if a not in free])
    if free:
        left = _rest(dims, elements, [d for a, d in enumerate(wanted) if a not in free], given)
        return tuple(left if a in free else d for a, d in enumerate(wanted))
    if isinstance(elements, int) and isinstance(given, int) and elements != given:
        shape = ",".join(map(str, wanted))
        raise ValueError(f"Cannot reshape a tensor with {elements} elements to shape [{shape}] ({given} elements)")
    if isinstance(elements, int) and given is None and wanted.count(None) == 1:
        known = total(d for d in wanted if d is not None)
        if isinstance(known, int) and known > 0 and elements % known == 0:
            return tuple(elements // known if d is None else d for d in wanted)
    return tuple(wanted)


def _rest(dims: Sequence[Size] | None, elements: Size, others: list[Size], given: Size) -> Size:
    if given is None or elements is None:
        # One unknown size may pass unchanged: [?, 28, 28] to [-1, 784] is [?, 784], so nothing more is known here.
        return None
    if isinstance(given, int) and given == 0:
        if isinstance(elements, int) and elements == 0:  # as if zeros were not there: [0, 6] to [0, -1, 3] is [0, 2, 3]
            return total(d for d in dims or () if d != 0) // total(d for d in others if d != 0)  # type: ignore[operator]
        raise ValueError("reshape cannot infer the missing input size for an empty tensor unless all specified input sizes are non-zero")
    if isinstance(elements, int) and isinstance(given, int) and elements % given:
        raise ValueError(
            f"Dimension size must be evenly divisible by {given} but is {elements}: cannot reshape {list(dims or ())} to "
            f"[-1, {', '.join(map(str, others))}]"
        )
    return floordiv(elements, given)


class Reshape(Composite):
    """The same elements in row-major order under the shape that the second input holds."""

    arguments = ("tensor: T", "shape: Tshape")
    results = ("output: T",)
    types = {"Tshape": INDEX}
    symbolic = True
    cases = (
        Case((2, 6), i32(3, 4)), Case((2, 6), i32(-1, 2)), Case((3, 0), i32(0, 7)), Case((1,), np.zeros(0, np.int32)),
        Case((), i32(1, 1)), Case((33,), i32(3, -1)),
        Case((2, 3), i32(4), error=("ValueError", "Cannot reshape a tensor with 6 elements to shape [4] (4 elements)")),
    )  # fmt: skip

    def infer(self, tensor: TensorSpec, shape: TensorSpec) -> TensorSpec:
        need_rank(shape, 1, "sizes input must be 1-D")
        wanted = contents(shape)
        if wanted is None and shape.dims is not None and len(shape.dims) == 1 and isinstance(shape.dims[0], int):
            return TensorSpec(tensor.dtype, (None,) * shape.dims[0])
        return TensorSpec(tensor.dtype, target_shape(tensor.dims, wanted))

    def reference(self, tensor: Any, shape: Any) -> Any:
        return np.reshape(tensor, [int(s) for s in np.ravel(shape)])

    def decompose(self, b: Any, tensor: Any, shape: Any) -> Any:
        return b.view(tensor, target_shape(tensor.shape, b.sizes(shape)))

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [reshape(dy, shape(node.inputs[0])), None]


class Transpose(Composite):
    """y.shape[i] = x.shape[perm[i]]"""

    arguments = ("x: T", "perm: Tperm")
    results = ("y: T",)
    types = {"Tperm": INDEX}
    symbolic = True
    cases = (
        Case((2, 3, 5), i32(2, 0, 1)), Case((17, 33), i32(1, 0)), Case((), np.zeros(0, np.int32)), Case((0, 3), i32(1, 0)),
        Case((2, 3), i32(0, 2), error=("ValueError", "perm dim")),
    )  # fmt: skip

    def infer(self, x: TensorSpec, perm: TensorSpec) -> TensorSpec:
        need_rank(perm, 1)
        order = contents(perm)
        if x.dims is None:
            return TensorSpec(x.dtype, None if order is None else (None,) * len(order))
        if order is None or None in order:
            return TensorSpec(x.dtype, (None,) * len(x.dims))
        return TensorSpec(x.dtype, [x.dims[p] for p in permutation(order, len(x.dims), complete=False)])

    def reference(self, x: Any, perm: Any) -> Any:
        return np.transpose(x, [int(p) for p in perm])

    def decompose(self, b: Any, x: Any, perm: Any) -> Any:
        return b.permute(x, permutation(b.sizes(perm), len(x.shape)))

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [transpose(dy, invert_permutation(node.inputs[1])), None]


class ConjugateTranspose(Transpose):
    """The complex conjugate of Transpose."""

    def reference(self, x: Any, perm: Any) -> Any:
        return np.conj(super().reference(x, perm))

    def decompose(self, b: Any, x: Any, perm: Any) -> Any:
        y = super().decompose(b, x, perm)
        return b.make("Conj", y) if y.dtype.is_complex else y

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make("ConjugateTranspose", dy, invert_permutation(node.inputs[1])), None]


def permutation(order: Sequence[Any], rank: int, complete: bool = True) -> tuple[int, ...]:
    """`order` as non-negative axes; ValueError where it is no permutation of them. Without `complete` an axis may be missing: TensorFlow
    refuses that when it runs."""
    if len(order) != rank:
        raise ValueError(f"Dimension must be {len(order)} but is {rank}: perm must have one entry per dimension of the input")
    axes = tuple(int(p) + rank if -rank <= int(p) < 0 else int(p) for p in order)
    if complete and any(int(p) < 0 for p in order):
        raise ValueError(f"{min(map(int, order))} is out of range [0 .. {rank})")
    for p in axes:
        if not 0 <= p < rank:
            raise ValueError(f"perm dim {p} is out of range of input rank {rank}")
    if complete and len(set(axes)) != rank:
        lost = min(set(range(rank)) - set(axes))
        raise ValueError(f"{lost} is missing from {{{','.join(map(str, order))}}}: perm names each dimension once")
    return axes


class ExpandDims(Composite):
    """A size of 1 put in at `dim`, counted in the result."""

    arguments = ("input: T", "dim: Tdim")
    results = ("output: T",)
    types = {"Tdim": INDEX}
    symbolic = True
    cases = (
        Case((2, 3), scalar(0)), Case((2, 3), scalar(-1)), Case((2, 3), scalar(1)), Case((), scalar(0)),
        Case((2, 3), scalar(4), error=("ValueError", "not in the interval [-3, 2]")),
    )  # fmt: skip

    def infer(self, input: TensorSpec, dim: TensorSpec) -> TensorSpec:
        axis = contents(dim)
        if dim.dims is not None and total(dim.dims) not in (None, 1):
            raise ValueError("'dim' must be a tensor with a single value")
        if input.dims is None:
            return TensorSpec(input.dtype, None)
        if axis is None or axis[0] is None:
            return TensorSpec(input.dtype, (None,) * (len(input.dims) + 1))
        return TensorSpec(input.dtype, _expanded(input.dims, axis[0]))

    def reference(self, input: Any, dim: Any) -> Any:
        return np.expand_dims(input, int(np.ravel(dim)[0]))

    def decompose(self, b: Any, input: Any, dim: Any) -> Any:
        return b.view(input, _expanded(input.shape, b.sizes(dim)[0]))

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [reshape(dy, shape(node.inputs[0])), None]


def _expanded(dims: Sequence[Size], axis: Any) -> tuple[Size, ...]:
    rank = len(dims)
    if not -rank - 1 <= axis <= rank:
        raise ValueError(f"dim {axis} not in the interval [{-rank - 1}, {rank}].")
    axis = axis % (rank + 1)
    return (*dims[:axis], 1, *dims[axis:])


class Squeeze(Composite):
    """Without the dimensions of size 1: all of them, or those of `squeeze_dims`."""

    arguments = ("input: T",)
    results = ("output: T",)
    squeeze_dims: tuple[int, ...] = ()
    symbolic = True
    cases = (
        Case((1, 3, 1)), Case((1, 3, 1), squeeze_dims=(0,)), Case((2, 1, 3), squeeze_dims=(-2,)), Case((1, 1)),
        Case((2, 3), squeeze_dims=(0,), error=("ValueError", "Can not squeeze dim[0], expected a dimension of 1, got 2")),
    )  # fmt: skip

    def _dims(self, dims: Sequence[Size]) -> tuple[Size, ...] | None:
        rank = len(dims)
        if not self.squeeze_dims:
            return None if None in dims else tuple(d for d in dims if not (isinstance(d, int) and d == 1))
        axes = set()
        for axis in self.squeeze_dims:
            if not -rank <= axis < rank:
                raise ValueError(f"squeeze_dims[{axis}] not in [{-rank},{rank}).")
            axes.add(axis % rank)
            size = dims[axis]
            if isinstance(size, int) and size != 1:
                raise ValueError(f"Can not squeeze dim[{axis % rank}], expected a dimension of 1, got {size}")
        return tuple(d for a, d in enumerate(dims) if a not in axes)

    def infer(self, input: TensorSpec) -> TensorSpec:
        return TensorSpec(input.dtype, None if input.dims is None else self._dims(input.dims))

    def reference(self, input: Any) -> Any:
        return np.squeeze(input, self.squeeze_dims) if self.squeeze_dims else np.squeeze(input)

    def decompose(self, b: Any, input: Any) -> Any:
        dims = self._dims(input.shape)
        if not all(isinstance(input.shape[a], int) for a in self.squeeze_dims or range(len(input.shape))):
            raise ValueError("which sizes are 1 is not known")  # capture takes the sizes as numbers then
        return b.view(input, dims)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [reshape(dy, shape(node.inputs[0]))]


class BroadcastTo(Composite):
    """The input repeated to the shape that the second input holds."""

    arguments = ("input: T", "shape: Tidx")
    results = ("output: T",)
    types = {"Tidx": INDEX}
    cases = (
        Case((3, 1), i32(2, 3, 4)), Case((), i32(3)), Case((4,), i32(0, 4)), Case((2, 1), i32(2, 1)),
        Case((3,), i32(4), error=("ValueError", "Incompatible shapes")),
    )  # fmt: skip

    def infer(self, input: TensorSpec, shape: TensorSpec) -> TensorSpec:
        need_rank(shape, 1)
        wanted = contents(shape)
        if wanted is None:
            known_rank = shape.dims is not None and isinstance(shape.dims[0], int)
            return TensorSpec(input.dtype, (None,) * shape.dims[0] if known_rank else None)  # type: ignore[operator,index]
        for size, want in zip(reversed(input.dims or ()), reversed(wanted), strict=False):
            if isinstance(size, int) and isinstance(want, int) and size not in (1, want):
                raise ValueError(f"Incompatible shapes: {list(input.dims or ())} vs. {wanted}")
        if input.dims is not None and len(input.dims) > len(wanted):
            raise ValueError(f"Rank of input ({len(input.dims)}) must be no greater than rank of output shape ({len(wanted)}).")
        return TensorSpec(input.dtype, wanted)

    def reference(self, input: Any, shape: Any) -> Any:
        return np.array(np.broadcast_to(input, [int(s) for s in shape]))

    def decompose(self, b: Any, input: Any, shape: Any) -> Any:
        return b.broadcast(input, b.sizes(shape))

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        x, wanted = node.inputs
        source = shape(x, out_type=wanted.dtype)
        axes = make("BroadcastGradientArgs", wanted, source)[1]
        return [reshape(make("Sum", dy, axes, keep_dims=True), source), None]


class ReverseV2(Composite):
    """The elements in opposite order along the axes that the second input holds."""

    arguments = ("tensor: T", "axis: Tidx")
    results = ("output: T",)
    types = {"Tidx": INDEX}
    symbolic = True
    cases = (
        Case((5, 3), i32(0)), Case((2, 3), i32(-1, 0)), Case((4,), np.zeros(0, np.int32)), Case((0, 2), i32(0)),
        Case((3,), i32(1), error=("ValueError", "out of valid range")),
    )  # fmt: skip

    def _axes(self, values: Sequence[Any], rank: int) -> tuple[int, ...]:
        for axis in values:
            if not -rank <= axis < rank:
                raise ValueError(f"'axis' = {axis} is out of valid range [{-rank}, {rank - 1}]")
        axes = tuple(int(a) % rank for a in values)
        if len(set(axes)) != len(axes):
            raise ValueError(f"axis {max(axes, key=axes.count)} specified more than once.")
        return axes

    def infer(self, tensor: TensorSpec, axis: TensorSpec) -> TensorSpec:
        need_rank(axis, 1)
        axes = contents(axis)
        if axes is not None and tensor.dims is not None and None not in axes:
            self._axes(axes, len(tensor.dims))
        return TensorSpec(tensor.dtype, tensor.dims)

    def reference(self, tensor: Any, axis: Any) -> Any:
        return np.flip(tensor, tuple(int(a) for a in axis)) if len(axis) else np.array(tensor)

    def decompose(self, b: Any, tensor: Any, axis: Any) -> Any:
        axes = self._axes(b.sizes(axis), len(tensor.shape))
        begin = tuple(d - 1 if a in axes else 0 for a, d in enumerate(tensor.shape))
        step = tuple(-1 if a in axes else 1 for a in range(len(tensor.shape)))
        return b.section(tensor, begin, tensor.shape, step)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [reverse(dy, node.inputs[1]), None]


class InvertPermutation(Composite):
    """y[x[i]] = i"""

    arguments = ("x: T",)
    results = ("y: T",)
    types = {"T": INDEX}
    differentiable = False
    symbolic = True
    cases = (Case(i32(2, 0, 1)), Case(np.zeros(0, np.int32)), Case(i32(0)))

    def infer(self, x: TensorSpec) -> TensorSpec:
        need_rank(x, 1)
        return TensorSpec(x.dtype, x.dims)

    def reference(self, x: Any) -> Any:
        out = np.full_like(x, -1)
        for place, value in enumerate(x.tolist()):
            if not 0 <= value < len(x):
                raise ValueError(f"{value} is not between 0 and {len(x)}")
            if out[value] >= 0:
                raise ValueError(f"{value} is duplicated in the input.")
            out[value] = place
        return out

    def decompose(self, b: Any, x: Any) -> Any:
        order = [int(v) for v in b.sizes(x)]
        return b.constant(self.reference(np.array(order, x.dtype.as_numpy_dtype)), x.dtype)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [None]


# -- public functions --------------------------------------------------------------------------------------------------------------


def reshape(tensor, shape, name=None):
    """The elements of `tensor`, in row-major order, under another shape; one size may be -1: what is left."""
    result = make("Reshape", tensor, shape, name=name)
    _set_static(result, shape)
    return result


def _set_static(result: Any, dims: Any) -> None:
    """Note what is known of a result from the sizes that the caller gave, tensors among them."""
    if isinstance(dims, (list, tuple)) and result.shape.ndims is None:
        result.set_shape([d if isinstance(d, int) and d >= 0 else None for d in dims])


def transpose(a, perm=None, name="transpose", conjugate=False):
    """The dimensions reordered: result dimension i is dimension perm[i] of `a`; without `perm`, the opposite order."""
    with name_scope(name, "transpose", [a]) as name:
        if perm is None or conjugate:
            a = convert_to_tensor(a, name="a")
        kind = "ConjugateTranspose" if conjugate and a.dtype.is_complex else "Transpose"
        if perm is not None:
            return make(kind, a, perm, name=name)
        if not a.shape.ndims:
            count = make("Rank", a)
            perm = (count - 1) - make("Range", 0, count, 1)
        else:
            perm = a.shape.ndims - 1 - np.arange(a.shape.ndims)
        result = make(kind, a, perm, name=name)
        if a.shape.dims is not None:
            result.set_shape(a.shape.as_list()[::-1])
        return result


def matrix_transpose(a, name="matrix_transpose", conjugate=False):
    """The last two dimensions exchanged."""
    with name_scope(name, values=[a]):
        a = convert_to_tensor(a, name="a")
        count = a.shape.ndims
        if count is None:
            rank = make("Rank", a)
            last = make("Pack", [rank - 1, rank - 2], axis=0)
            return transpose(a, perm=make("ConcatV2", [make("Range", 0, rank - 2, 1), last], 0), conjugate=conjugate)
        if count < 2:
            raise ValueError(f"Argument 'a' should be a (batch) matrix, with rank >= 2.  Found: {a.shape}")
        return transpose(a, perm=[*range(count - 2), count - 1, count - 2], conjugate=conjugate)


def expand_dims(input, axis=None, name=None, dim=None):
    """The input with a size of 1 put in at `axis`, counted in the result."""
    axis = renamed("axis", axis, "dim", dim)
    if axis is None:
        raise ValueError("Must specify an axis argument to tf.expand_dims()")
    return make("ExpandDims", input, axis, name=name)


def squeeze(input, axis=None, name=None, squeeze_dims=None):
    """The input without its dimensions of size 1: all of them, or those in `axis`."""
    axis = renamed("axis", axis, "squeeze_dims", squeeze_dims)
    if np.isscalar(axis):
        axis = [axis]
    return make("Squeeze", input, squeeze_dims=tuple(int(a) for a in axis or ()), name=name)


def broadcast_to(input, shape, name=None):
    """The input repeated to `shape`."""
    return make("BroadcastTo", input, shape, name=name)


def reverse(tensor, axis, name=None):
    """The elements in opposite order along the axes in `axis`."""
    return make("ReverseV2", tensor, axis, name=name)


reverse_v2 = reverse


def invert_permutation(x, name=None):
    """The inverse of a permutation: y[x[i]] = i."""
    return make("InvertPermutation", x, name=name)
