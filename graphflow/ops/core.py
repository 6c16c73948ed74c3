"""The core dialect: the few structural ops that every TF op becomes at capture. Sizes are attributes and may be symbolic (IndexExpr).

    View Permute Expand Section Halo Join Take Iota     movements: index arithmetic, free inside a fused group
    Reduce                                              one of add, mul, max, min, and, or over some axes
    SumOfProducts                                       every matrix product and convolution, as affine index maps

Elementwise TF ops are core ops too; ops with a kernel of their own (sorting, random numbers, scatters …) live with their families.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.dtypes import DType, int32
from graphflow.graph.op import Access, Case, Kind, Op, TensorSpec
from graphflow.kernel.expr import Expr, as_index, call, cast, const, guarded, position, select, within
from graphflow.kernel.index import Index
from graphflow.ops.families import Movement, located, ravel

Shape = tuple[Index, ...]


def _ints(values: Sequence[Index]) -> tuple[int, ...]:
    return tuple(int(v) for v in values)  # type: ignore[arg-type]


class Core(Movement, abstract=True):
    """Base of the movements: one input of any type, result of the same type."""

    core = True
    arguments = ("x: T",)
    results = ("y: T",)


class View(Core):
    """The same elements in row-major order under another shape."""

    shape: Shape
    symbolic = True
    cases = (Case((2, 6), shape=(3, 4)), Case((6,), shape=(1, 6, 1)), Case((0, 3), shape=(3, 0)), Case((), shape=(1,)))

    def infer(self, x: TensorSpec) -> TensorSpec:
        return TensorSpec(x.dtype, self.shape)

    def reference(self, x: Any) -> Any:
        return np.reshape(x, _ints(self.shape))

    def element(self, inputs: Sequence[Access], index: Shape) -> Expr:
        return inputs[0].flat(ravel(index, self.shape))


class Copy(Core):
    """The same elements in memory of their own: an output, or the new value of a variable."""

    symbolic = True
    cases = (Case((2, 3)), Case(()))

    def infer(self, x: TensorSpec) -> TensorSpec:
        return TensorSpec(x.dtype, x.dims)

    def reference(self, x: Any) -> Any:
        return np.array(x)

    def element(self, inputs: Sequence[Access], index: Shape) -> Expr:
        return inputs[0](index)


class HostCopy(Op):
    """A Copy of strings, which no kernel can hold."""

    core = True
    kind = Kind.HOST
    arguments = ("x: T",)
    results = ("y: T",)

    def infer(self, x: TensorSpec) -> TensorSpec:
        return TensorSpec(x.dtype, x.dims)

    def run(self, x: Any) -> Any:
        return np.array(x)


class Permute(Core):
    """y.shape[i] = x.shape[perm[i]]"""

    perm: tuple[int, ...]
    symbolic = True
    cases = (Case((2, 3, 5), perm=(2, 0, 1)), Case((17, 33), perm=(1, 0)), Case((), perm=()))

    def infer(self, x: TensorSpec) -> TensorSpec:
        assert x.dims is not None
        return TensorSpec(x.dtype, [x.dims[p] for p in self.perm])

    def reference(self, x: Any) -> Any:
        return np.transpose(x, self.perm)

    def element(self, inputs: Sequence[Access], index: Shape) -> Expr:
        source: list[Index] = [0] * len(index)
        for i, p in zip(index, self.perm, strict=True):
            source[p] = i
        return inputs[0](source)


class Expand(Core):
    """Broadcast: dimension i of x becomes dimension axes[i] of y; a size 1 there is repeated, all other dimensions of y repeat x."""

    shape: Shape
    axes: tuple[int, ...]
    cases = (Case((3, 1), shape=(3, 4), axes=(0, 1)), Case((4,), shape=(3, 4), axes=(1,)), Case((), shape=(5, 0), axes=()))

    def infer(self, x: TensorSpec) -> TensorSpec:
        return TensorSpec(x.dtype, self.shape)

    def reference(self, x: Any) -> Any:
        shape = [1] * len(self.shape)
        for size, axis in zip(np.shape(x), self.axes, strict=True):
            shape[axis] = size
        return np.broadcast_to(np.reshape(x, shape), _ints(self.shape))

    def element(self, inputs: Sequence[Access], index: Shape) -> Expr:
        x = inputs[0]
        return x([0 if size == 1 else index[a] for size, a in zip(x.shape, self.axes, strict=True)])


class Section(Core):
    """y[i] = x[begin + i*step] for i < size, in each dimension; steps may be negative."""

    begin: Shape
    size: Shape
    step: tuple[int, ...]
    symbolic = True
    cases = (
        Case((5, 7), begin=(1, 6), size=(3, 4), step=(1, -2)), Case((5,), begin=(2,), size=(0,), step=(1,)),
        Case((40,), begin=(3,), size=(33,), step=(1,)),
    )  # fmt: skip

    def infer(self, x: TensorSpec) -> TensorSpec:
        return TensorSpec(x.dtype, self.size)

    def reference(self, x: Any) -> Any:
        for axis, (b, n, s) in enumerate(zip(_ints(self.begin), _ints(self.size), self.step, strict=True)):
            x = np.take(x, b + s * np.arange(n), axis=axis)
        return x

    def element(self, inputs: Sequence[Access], index: Shape) -> Expr:
        return inputs[0]([b + i * s for b, i, s in zip(self.begin, index, self.step, strict=True)])


class Halo(Core):
    """x inside a border of `value`: low and high elements per dimension, and `interior` ones between neighbours. Low and high >= 0."""

    low: Shape
    high: Shape
    interior: tuple[int, ...]
    value: float = 0
    cases = (
        Case((3, 5), low=(1, 0), high=(2, 3), interior=(0, 0)), Case((4,), low=(0,), high=(1,), interior=(2,)),
        Case((2, 3), low=(0, 1), high=(0, 1), interior=(0, 0), value=-1.5), Case((0,), low=(2,), high=(1,), interior=(0,)),
    )  # fmt: skip

    def infer(self, x: TensorSpec) -> TensorSpec:
        assert x.dims is not None
        dims: list[Index] = []
        for size, low, high, gap in zip(x.dims, self.low, self.high, self.interior, strict=True):
            assert size is not None
            dims.append(low + high + size + (gap * (size - 1) if gap else 0))
        return TensorSpec(x.dtype, dims)

    def reference(self, x: Any) -> Any:
        out = np.full([int(d) for d in self.infer(TensorSpec(None, x.shape)).dims], self.value, x.dtype)  # type: ignore
        place = tuple(
            slice(low, low + (size - 1) * (gap + 1) + 1 if size else low, gap + 1)
            for low, size, gap in zip(_ints(self.low), x.shape, self.interior, strict=True)
        )
        out[place] = x
        return out

    def element(self, inputs: Sequence[Access], index: Shape) -> Expr:
        x = inputs[0]
        source: list[Index] = []
        inside: Expr | None = None
        for i, low, high, gap, size in zip(index, self.low, self.high, self.interior, x.shape, strict=True):
            if low == 0 and high == 0 and not gap:
                source.append(i)
                continue
            at = i - low
            parts = [within(at, size * (gap + 1) - gap)]
            if gap:
                parts.append(call("eq", position((at + (gap + 1) * low) % (gap + 1)), 0))
                at = at // (gap + 1)
            source.append(at)
            for part in parts:
                if part is not None:
                    inside = part if inside is None else inside & part
        value = guarded(x(source), inside)
        if inside is None:
            return value
        return select(inside, value, const(self.value, x.type))


class Join(Movement):
    """Concatenation along `axis`."""

    core = True
    arguments = ("xs: N*T",)
    results = ("y: T",)
    axis: int
    symbolic = True
    cases = (Case((2, 3), (2, 5), axis=1), Case((1, 4), (0, 4), (3, 4), axis=0))

    def infer(self, *xs: TensorSpec) -> TensorSpec:
        assert xs[0].dims is not None
        dims = list(xs[0].dims)
        dims[self.axis] = sum((x.dims[self.axis] for x in xs), start=0)  # type: ignore
        return TensorSpec(xs[0].dtype, dims)

    def reference(self, *xs: Any) -> Any:
        return np.concatenate(xs, self.axis)

    def element(self, inputs: Sequence[Access], index: Shape) -> Expr:
        start: Index = 0
        out: Expr | None = None
        for x in inputs:
            extent = x.shape[self.axis]
            at = (*index[: self.axis], index[self.axis] - start, *index[self.axis + 1 :])
            inside = within(at[self.axis], extent)
            value = guarded(x(at), inside)
            out = value if out is None or inside is None else select(inside, value, out)
            start = start + extent
        assert out is not None
        return out


class Take(Movement):
    """y[b.., i.., j..] = x[b.., indices[b.., i..], j..] along `axis`, the first `batch` dimensions shared. A wrong index fails the step;
    `inside`: there is none."""

    core = True
    arguments = ("x: T", "indices: I")
    results = ("y: T",)
    axis: int
    batch: int = 0
    inside: bool = False
    cases = (
        Case((5, 3), np.array([4, 0, 0]), axis=0), Case((3, 5), np.array([[1, 2], [4, 0]]), axis=1),
        Case((2, 4), np.array([[3], [0]]), axis=1, batch=1), Case((5, 3), np.zeros((0,), np.int32), axis=0),
        Case((5, 3), np.array([4, 0, 0]), axis=0, inside=True),
        Case((5, 3), np.array([5]), axis=0, error=("InvalidArgumentError", "is not in [0, 5)")),
    )  # fmt: skip

    def infer(self, x: TensorSpec, indices: TensorSpec) -> TensorSpec:
        assert x.dims is not None and indices.dims is not None
        return TensorSpec(x.dtype, (*x.dims[: self.axis], *indices.dims[self.batch :], *x.dims[self.axis + 1 :]))

    def reference(self, x: Any, indices: Any) -> Any:
        indices = np.asarray(indices, np.int64)  # beside symbolic sizes they come as objects
        if indices.size and (indices.min() < 0 or indices.max() >= x.shape[self.axis]):
            raise IndexError(f"indices is not in [0, {x.shape[self.axis]})")
        if not self.batch:
            return np.take(x, indices, self.axis)
        rows = [Take(self.axis - 1, self.batch - 1).reference(a, i) for a, i in zip(x, indices, strict=True)]
        return np.stack(rows) if rows else np.zeros((0, *x.shape[1 : self.axis], *indices.shape[1:], *x.shape[self.axis + 1 :]), x.dtype)

    def element(self, inputs: Sequence[Access], index: Shape) -> Expr:
        x, indices = inputs
        count = len(indices.shape) - self.batch
        chosen = cast(indices((*index[: self.batch], *index[self.axis : self.axis + count])), "i64")
        extent = x.shape[self.axis]
        upper = extent - 1 if isinstance(extent, int) else None
        if self.inside:
            return x((*index[: self.axis], as_index(chosen, 0, upper), *index[self.axis + count :]))
        valid = call("and", call("le", const(0, "i64"), chosen), call("lt", chosen, position(extent)))
        place = ravel((*index[: self.batch], *index[self.axis : self.axis + count]), indices.shape)
        message, shown = located("indices", f"is not in [0, {extent})", chosen, place, indices.shape, indices.type)
        at = (*index[: self.axis], as_index(select(valid, chosen, 0), 0, upper), *index[self.axis + count :])
        # The check stands around the guarded element: inside, the guard would keep it from failing.
        return x.check("InvalidArgumentError", message, valid, shown, guarded(x(at), valid))


class Iota(Movement):
    """y[i..] = i[axis], of numeric type `dtype`."""

    core = True
    arguments = ()
    results = ("y: dtype",)
    shape: Shape
    axis: int
    dtype: DType
    cases = (Case(shape=(3, 4), axis=1, dtype=int32), Case(shape=(33,), axis=0, dtype=int32))

    def infer(self) -> TensorSpec:
        return TensorSpec(self.dtype, self.shape)

    def reference(self) -> Any:
        shape = _ints(self.shape)
        ramp = np.arange(shape[self.axis]).reshape([-1 if a == self.axis else 1 for a in range(len(shape))])
        return np.broadcast_to(ramp, shape).astype(self.dtype.as_numpy_dtype)

    def element(self, inputs: Sequence[Access], index: Shape) -> Expr:
        return cast(position(index[self.axis]), self.dtype.kernel_type)


_REDUCERS = {
    "add": np.sum, "mul": np.prod, "max": np.max, "min": np.min, "and": np.all, "or": np.any,
}  # fmt: skip


class Reduce(Op):
    """Combine over `axes`, which disappear. An empty range gives the identity (-inf or the lowest integer for max, and so on)."""

    core = True
    kind = Kind.REDUCTION
    arguments = ("x: T",)
    results = ("y: T",)
    combine: str
    axes: tuple[int, ...]
    cases = (
        Case((3, 4), combine="add", axes=(0,)), Case((3, 4), combine="add", axes=(1,)), Case((2, 3, 4), combine="max", axes=(0, 2)),
        Case((33,), combine="mul", axes=(0,)), Case((7, 0), combine="add", axes=(1,)), Case((65, 17), combine="min", axes=(0, 1)),
        Case((5, 1000), combine="add", axes=(1,)), Case((1000, 5), combine="add", axes=(0,)), Case((2, 3), combine="add", axes=()),
    )  # fmt: skip

    def infer(self, x: TensorSpec) -> TensorSpec:
        assert x.dims is not None
        return TensorSpec(x.dtype, [d for a, d in enumerate(x.dims) if a not in self.axes])

    def on_parts(self, b: Any, x: Any) -> Any:
        if self.combine == "mul":
            return b.make("Paired", b.make("ProductOfPairs", b.make("Interleaved", x), axes=self.axes))
        return b.pair(*(b.apply(self, part) for part in b.parts(x)))

    def identity(self, type_: str) -> Any:
        """The value that changes nothing, for an element type."""
        return identity_of(self.combine, type_)

    def reference(self, x: Any) -> Any:
        reducer = _REDUCERS[self.combine]
        if self.combine in ("max", "min") and x.size == 0:
            from graphflow.dtypes import as_dtype

            shape = [d for a, d in enumerate(x.shape) if a not in self.axes]
            return np.full(shape, self.identity(as_dtype(x.dtype).kernel_type), x.dtype)
        if self.combine in ("add", "mul"):
            return reducer(x, axis=self.axes, dtype=x.dtype)  # type: ignore[operator]
        return reducer(x, axis=self.axes)  # type: ignore[operator]


def identity_of(combine: str, type_: str) -> Any:
    """The identity element of a combiner for an element type."""
    from graphflow.kernel.expr import TYPES

    if combine in ("add", "or"):
        return 0
    if combine in ("mul", "and"):
        return 1
    numpy_type = TYPES[type_]
    if numpy_type.kind == "f":
        return -np.inf if combine == "max" else np.inf
    if numpy_type.kind == "b":
        return combine == "min"
    info = np.iinfo(numpy_type)
    return int(info.min if combine == "max" else info.max)


# An operand's dimension as an affine form of the axes: ((axis number, coefficient), ...) and a constant.
Affine = tuple[tuple[tuple[int, int], ...], Index]


class SumOfProducts(Op):
    """y[free] = sum over reduced of left[...] * right[...], each operand indexed by affine forms of the axes.

    Axes are numbered free first, then reduced; `extents` holds all their sizes, `free` how many are free. left and right give, for each
    dimension of the operand, ((axis, coefficient), ...) and a constant. A matrix product has free axes 0 (m), 1 (n) and reduced axis 2 (k):

        left  = ((((0, 1),), 0), (((2, 1),), 0))          x[m, k]
        right = ((((2, 1),), 0), (((1, 1),), 0))          w[k, n]

    Convolution has n, oh, ow, oc free and kh, kw, ic reduced; left's second dimension is oh*stride + kh*dilation. Every index must lie
    inside its operand: padding is a Halo before. `inside` says where that is: (affine form, size) where products are zero unless the form
    is in [0, size). It changes no result. `minimal`: it may be computed in fewer products, and is rounded otherwise then.
    """

    core = True
    kind = Kind.CONTRACTION
    arguments = ("left: T", "right: T")
    results = ("y: T",)
    extents: Shape
    free: int
    left: tuple[Affine, ...]
    right: tuple[Affine, ...]
    inside: tuple[tuple[Affine, int], ...] = ()
    minimal: bool = False
    cases = (
        Case((3, 5), (5, 4), extents=(3, 4, 5), free=2, left=((((0, 1),), 0), (((2, 1),), 0)), right=((((2, 1),), 0), (((1, 1),), 0))),
        Case((7, 6), (2, 3), extents=(3, 2, 2, 3), free=2,
             left=((((0, 2), (2, 1)), 1), (((1, 1), (3, 2)), 0)), right=((((2, 1),), 0), (((3, 1),), 0))),
        Case((4, 0), (0, 2), extents=(4, 2, 0), free=2, left=((((0, 1),), 0), (((2, 1),), 0)), right=((((2, 1),), 0), (((1, 1),), 0))),
    )  # fmt: skip

    def infer(self, left: TensorSpec, right: TensorSpec) -> TensorSpec:
        return TensorSpec(left.dtype, self.extents[: self.free])

    def on_parts(self, b: Any, left: Any, right: Any) -> Any:
        (lr, li), (rr, ri) = b.parts(left), b.parts(right)
        return b.pair(b.sub(b.apply(self, lr, rr), b.apply(self, li, ri)), b.add(b.apply(self, lr, ri), b.apply(self, li, rr)))

    def reference(self, left: Any, right: Any) -> Any:
        extents = _ints(self.extents)
        rank = len(extents)

        def gather(x: Any, forms: tuple[Affine, ...]) -> Any:
            at = []
            for terms, constant in forms:
                total = np.full((1,) * rank, int(constant))  # type: ignore[arg-type]
                for axis, c in terms:
                    total = total + c * np.arange(extents[axis]).reshape([-1 if a == axis else 1 for a in range(rank)])
                at.append(total)
            return x[tuple(np.broadcast_arrays(*at))] if at else x

        wide = {"f": np.float64, "c": np.complex128}.get(left.dtype.kind, left.dtype)
        letters = "abcdefghijklmnopqrstuvwxyz"[:rank]
        operands, names = [], []
        for x, forms in ((left, self.left), (right, self.right)):
            g = gather(x, forms).astype(wide)
            g = np.reshape(g, (1,) * (rank - g.ndim) + g.shape)
            kept = [a for a in range(rank) if g.shape[a] != 1]
            operands.append(g.reshape([g.shape[a] for a in kept]))
            names.append("".join(letters[a] for a in kept))
        present = set("".join(names))
        result = np.einsum(f"{names[0]},{names[1]}->{''.join(c for c in letters[: self.free] if c in present)}", *operands)
        repeated = int(np.prod([extents[a] for a in range(self.free, rank) if letters[a] not in present]))
        result = result.reshape([extents[a] if letters[a] in present else 1 for a in range(self.free)]) * repeated
        return np.broadcast_to(result, extents[: self.free]).astype(left.dtype)
