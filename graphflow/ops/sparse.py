"""Sparse tensors and dense ones: filling in, and products. Numbers are computed natively; bookkeeping of indices is `sparse_index`'s."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from graphflow.dtypes import FLOATING, INDEX, NUMERIC, REAL, int64
from graphflow.errors import InvalidArgumentError
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.composite import SparseTensor, SparseTensorValue
from graphflow.graph.dims import merge_dims
from graphflow.graph.op import Case, TensorSpec
from graphflow.kernel.expr import Expr, as_index, call, const, position
from graphflow.kernel.expr import cast as cast_to
from graphflow.kernel.index import Index, product
from graphflow.kernel.nodes import Check, Mode
from graphflow.ops.families import Composite, Elementwise, HostOp, Kernelised, axes_tuple
from graphflow.ops.gather import gather, gather_nd
from graphflow.ops.logic import cast, where
from graphflow.ops.passing import Within
from graphflow.ops.ranges import range as range_of
from graphflow.ops.reductions import reduce_sum
from graphflow.ops.reshape import reshape, transpose
from graphflow.ops.rows import Replace, RowUpdate
from graphflow.ops.scatter import ScatterAdd
from graphflow.ops.scatter_nd import flat_positions
from graphflow.ops.segments import ScatterRows, filled, shares
from graphflow.ops.shape import shape, size
from graphflow.ops.sizes import contents, i32, need_rank, need_rank_at_most, shown
from graphflow.ops.source import constant, ones_like, zeros

__all__ = ["sparse_reduce_max", "sparse_reduce_sum", "sparse_tensor_dense_matmul", "sparse_tensor_to_dense", "sparse_to_dense"]


class InOrder(Elementwise):
    """`place`, the flat position of the number-th index, which must come after `previous`, the position of the one before."""

    core = True
    arguments = ("place: int64", "previous: int64", "number: int64")
    results = ("place: int64",)
    differentiable = False
    checks = (
        Check("InvalidArgumentError", "indices[{position}] = [{value}] is repeated"),
        Check("InvalidArgumentError", "indices[{position}] = [{value}] is out of order"),
    )
    cases = (Case(np.array([0, 3, 4]), np.array([-1, 0, 3]), np.arange(3)),)

    def reference(self, place: Any, previous: Any, number: Any) -> Any:
        if np.any(place <= previous):
            raise ValueError("the indices are repeated or out of order")
        return np.asarray(place)

    def scalar(self, place: Expr, previous: Expr, number: Expr) -> Expr:
        shown = (number << 32) | (place & 0x7FFFFFFF)
        outside = place < 0  # refused where it is used
        fresh = call("check", outside | call("ne", place, previous), shown, place, detail=0)
        return call("check", outside | (previous <= place), shown, fresh, detail=1)


class SparseToDense(Composite):
    """A tensor of output_shape that holds sparse_values at sparse_indices and default_value elsewhere. validate_indices: indices that are
    not sorted, or repeated, fail the step."""

    arguments = ("sparse_indices: Tindices", "output_shape: Tindices", "sparse_values: T", "default_value: T")
    results = ("dense: T",)
    types = {"Tindices": INDEX}
    validate_indices: bool = True
    cases = (
        Case(i32(1, 3), i32(5), (2,), np.float32(7), dtypes=("float32",)), Case(np.array([[0, 1], [1, 0]], np.int32), i32(2, 3), (2,), ()),
        Case(np.array(2, np.int32), i32(4), (), ()), Case(np.array([[2], [0]], np.int32), i32(3), (), (), validate_indices=False),
        Case(np.zeros((0, 2), np.int32), i32(2, 2), (0,), ()),
        Case(i32(3, 1), i32(5), (2,), (), error=("InvalidArgumentError", "indices[1] = [1] is out of order")),
        Case(i32(3, 3), i32(5), (2,), (), error=("InvalidArgumentError", "indices[1] = [3] is repeated")),
    )  # fmt: skip

    def infer(self, sparse_indices: TensorSpec, output_shape: TensorSpec, sparse_values: TensorSpec,
              default_value: TensorSpec) -> TensorSpec:  # fmt: skip
        need_rank(output_shape, 1, "output_shape should be a vector")
        need_rank_at_most(sparse_indices, 2)
        dims: Any = contents(output_shape)
        if dims is None and output_shape.dims is not None and isinstance(output_shape.dims[0], int):
            dims = [None] * output_shape.dims[0]
        return TensorSpec(sparse_values.dtype, dims)

    def reference(self, sparse_indices: Any, output_shape: Any, sparse_values: Any, default_value: Any) -> Any:
        dense = np.full([int(d) for d in output_shape], default_value, np.asarray(sparse_values).dtype)
        places = np.asarray(sparse_indices).reshape(-1, max(len(output_shape), 1))
        values = np.broadcast_to(sparse_values, len(places))
        for at, (place, value) in enumerate(zip(places.tolist(), values, strict=True)):
            if not all(0 <= p < d for p, d in zip(place, dense.shape, strict=True)):
                raise IndexError(f"indices[{at}] = {place} is out of bounds: need 0 <= index < {list(dense.shape)}")
            if self.validate_indices and at and place <= places[at - 1].tolist():
                raise ValueError(f"indices[{at}] = {place} is {'repeated' if place == places[at - 1].tolist() else 'out of order'}")
            dense[tuple(place)] = value
        return dense

    def decompose(self, b: Any, sparse_indices: Any, output_shape: Any, sparse_values: Any, default_value: Any) -> Any:
        if sparse_values.dtype.kernel_type is None:
            return b.apply(TextToDense(self.validate_indices), sparse_indices, output_shape, sparse_values, default_value)
        if default_value.shape:
            raise ValueError("default_value should be a scalar")
        dims = b.sizes(output_shape)
        count = sparse_indices.shape[0] if sparse_indices.shape else 1
        depth = sparse_indices.shape[1] if len(sparse_indices.shape) == 2 else 1
        if depth != len(dims):
            raise ValueError(f"output_shape has incorrect number of elements: {len(dims)} should be: {depth}")
        if sparse_values.shape not in ((), (count,)):
            raise ValueError(f"sparse_values has incorrect shape {shown(sparse_values.shape)}, should be [] or [{count}]")
        if depth == 1:
            places, named = b.cast(b.view(sparse_indices, (count,)), "int64"), "[{position}] = [{value}]"
        else:
            places, named = flat_positions(b, b.view(sparse_indices, (count, depth)), dims), "[{position}]"
        if self.validate_indices and count != 0:
            previous = b.join([b.constant([-1], "int64"), b.section(places, (0,), (count - 1,))], 0)
            places = b.apply(InOrder(), places, previous, b.iota((count,), 0, "int64"))
        empty = b.broadcast(default_value, (product(dims),))
        refusal = f"indices{named} is out of bounds: need 0 <= index < {shown(dims)}"
        (dense,) = b.apply(RowUpdate(Replace(), refusal), empty, b.broadcast(sparse_values, (count,)), places)
        return b.view(dense, dims)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        places, _, given, _ = node.inputs
        if places.shape.ndims is not None and places.shape.ndims < 2:
            places = reshape(places, [-1, 1])
        values = gather_nd(dy, places)
        rest = reduce_sum(dy) - reduce_sum(values)
        return [None, None, reduce_sum(values) if given.shape.ndims == 0 else values, rest]


class TextToDense(HostOp):
    """SparseToDense of strings, which no kernel can hold."""

    core = True
    arguments = SparseToDense.arguments
    results = SparseToDense.results
    validate_indices: bool

    def infer(self, *operands: TensorSpec) -> TensorSpec:
        return SparseToDense().infer(*operands)

    def run(self, *operands: Any) -> Any:
        try:
            return SparseToDense(self.validate_indices).reference(*operands)
        except (IndexError, ValueError) as error:
            raise InvalidArgumentError(None, None, str(error)) from None


class SparseRows(Kernelised):
    """y, of `rows` rows: for each i, in order, values[i] * x[k] is added to row m, where indices[i] is m, k; `turned`: k, m."""

    core = True
    arguments = ("indices: I", "values: T", "x: T")
    results = ("y: T",)
    types = {"T": FLOATING, "I": INDEX}
    rows: Index
    turned: bool = False
    cases = (
        Case(np.array([[0, 2], [1, 0], [1, 3], [1, 0]]), (4,), (4, 5), rows=2), Case(np.zeros((0, 2), np.int64), (0,), (4, 5), rows=2),
        Case(np.array([[0, 2], [1, 0]]), (2,), (2, 150), rows=4, turned=True),
        Case(np.array([[0, 2], [2, 0]]), (2,), (4, 5), rows=2,
             error=("InvalidArgumentError", "m (2) from index[1,0] out of bounds (>=2)")),
        Case(np.array([[0, 2], [-1, 4]]), (2,), (4, 5), rows=2,
             error=("InvalidArgumentError", "k (4) from index[1,1] out of bounds (>=4)")),
    )  # fmt: skip

    def infer(self, indices: TensorSpec, values: TensorSpec, x: TensorSpec) -> TensorSpec:
        assert x.dims is not None
        return TensorSpec(x.dtype, (self.rows, x.dims[1]))

    def reference(self, indices: Any, values: Any, x: Any) -> Any:
        y = np.zeros((int(self.rows), x.shape[1]), x.dtype)  # type: ignore[call-overload]
        m, k = indices.T[::-1] if self.turned else indices.T
        for name, found, extent, column in (("k", k, len(x), 1 - self.turned), ("m", m, len(y), int(self.turned))):
            for i in np.flatnonzero((found < 0) | (found >= extent)):
                raise IndexError(f"{name} ({found[i]}) from index[{i},{column}] out of bounds (>={extent})")
        np.add.at(y, m, values[:, None] * x[k])
        return y

    def lower(self, k: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        (indices, values, x), (y,) = inputs, outputs
        width = x.shape[1]
        filled(k, y, lambda _: const(0, y.type))
        parts = shares(width)
        with k.loop("part", parts, Mode.PARALLEL) as part, k.loop("i", values.shape[0]) as i:

            def number(name: str, column: int, size: Index) -> tuple[Expr, Expr]:
                found = k.let(name, cast_to(k.load(indices, (i, column)), "i64"))
                inside = call("le", const(0, "i64"), found) & (found < position(size))
                message = f"{name} ({{value}}) from index[{{position}},{column}] out of bounds (>={size})"
                return k.let(name, k.check("InvalidArgumentError", message, inside, position(i) << 32 | found & 0xFFFFFFFF, found)), inside

            source, known = number("k", 0 if self.turned else 1, x.shape[0])
            target, wanted = number("m", 1 if self.turned else 0, y.shape[0])
            factor = k.let("factor", k.load(values, i))
            begin, end = part * width // parts, (part + 1) * width // parts
            with k.when(known & wanted), k.loop("c", end - begin, Mode.VECTOR) as c:
                old, new = (as_index(row, 0, None) * width + begin + c for row in (target, source))
                k.store(y, old, k.load(y, old) + factor * k.load(x, new))


class SparseTensorDenseMatMul(Composite):
    """The product of a sparse matrix and a dense one; either may be transposed."""

    arguments = ("a_indices: Tindices", "a_values: T", "a_shape: int64", "b: T")
    results = ("product: T",)
    types = {"T": FLOATING, "Tindices": INDEX}
    adjoint_a: bool = False
    adjoint_b: bool = False
    cases = tuple(
        Case(np.array([[0, 2], [1, 0], [1, 3]]), (3,), np.array([2, 4]), (2 if a else 4, 5) if not b else (5, 2 if a else 4),
             adjoint_a=a, adjoint_b=b)
        for a in (False, True) for b in (False, True)
    )  # fmt: skip

    def infer(self, a_indices: TensorSpec, a_values: TensorSpec, a_shape: TensorSpec, b: TensorSpec) -> TensorSpec:
        for spec, rank in ((a_indices, 2), (a_values, 1), (a_shape, 1), (b, 2)):
            need_rank(spec, rank)
        dims = contents(a_shape) or [None, None]
        inner, outer = (dims[0], dims[1]) if self.adjoint_a else (dims[1], dims[0])
        if b.dims is None:
            return TensorSpec(a_values.dtype, (outer, None))
        deep, wide = (b.dims[1], b.dims[0]) if self.adjoint_b else b.dims
        if isinstance(inner, int) and isinstance(deep, int) and inner != deep:
            raise ValueError(f"Dimensions must be equal, but are {inner} and {deep}")
        return TensorSpec(a_values.dtype, (outer, wide))

    def reference(self, a_indices: Any, a_values: Any, a_shape: Any, b: Any) -> Any:
        a = np.zeros([int(d) for d in a_shape], a_values.dtype)
        np.add.at(a, tuple(a_indices.T), a_values)
        return (a.T if self.adjoint_a else a) @ (b.T if self.adjoint_b else b)

    def decompose(self, b: Any, a_indices: Any, a_values: Any, a_shape: Any, dense: Any) -> Any:
        rows = b.sizes(a_shape)[1 if self.adjoint_a else 0]
        dense = b.permute(dense, (1, 0)) if self.adjoint_b else dense
        return b.apply(SparseRows(rows, turned=self.adjoint_a), a_indices, a_values, dense)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        indices, values, dims, dense = node.inputs
        fields = {"adjoint_a": not self.adjoint_a}
        dense_dy = make("SparseTensorDenseMatMul", indices, values, dims, dy, **fields)
        if self.adjoint_b:
            dense_dy, dense = transpose(dense_dy), transpose(dense)
        row, column = (indices[:, 1], indices[:, 0]) if self.adjoint_a else (indices[:, 0], indices[:, 1])
        return [None, reduce_sum(gather(dy, row) * gather(dense, column), axis=1), None, dense_dy]


class SparseTensorDenseAdd(Composite):
    """The sum of a sparse tensor and a dense one."""

    arguments = ("a_indices: Tindices", "a_values: T", "a_shape: Tindices", "b: T")
    results = ("output: T",)
    types = {"T": NUMERIC, "Tindices": INDEX}
    cases = (
        Case(np.array([[0, 2], [1, 0], [1, 0]]), (3,), np.array([2, 4]), (2, 4)),
        Case(np.zeros((0, 1), np.int64), (0,), np.array([3]), (3,)),
        Case(np.array([[0, 4]]), (1,), np.array([2, 4]), (2, 4), error=("InvalidArgumentError", "invalid index on dimension 1")),
    )  # fmt: skip

    def infer(self, a_indices: TensorSpec, a_values: TensorSpec, a_shape: TensorSpec, b: TensorSpec) -> TensorSpec:
        need_rank(a_indices, 2)
        dims = contents(a_shape)
        if dims is not None and b.dims is not None:
            merge_dims(tuple(dims), b.dims)
        return TensorSpec(b.dtype, b.dims)

    def reference(self, a_indices: Any, a_values: Any, a_shape: Any, b: Any) -> Any:
        out = np.array(b)
        np.add.at(out, tuple(a_indices.T), a_values)
        return out

    def decompose(self, b: Any, a_indices: Any, a_values: Any, a_shape: Any, dense: Any) -> Any:
        count, rank = a_indices.shape
        columns = [b.section(a_indices, (0, axis), (count, 1)) for axis in range(rank)]
        refused = "Sparse tensor has some invalid index on dimension {}; dense tensor shape: " + shown(dense.shape)
        columns = [b.apply(Within(dense.shape[axis], text=refused.format(axis)), c) for axis, c in enumerate(columns)]
        places = flat_positions(b, b.join(columns, 1), dense.shape)
        return b.view(b.apply(RowUpdate(ScatterAdd()), b.view(dense, (product(dense.shape),)), a_values, places)[0], dense.shape)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [None, gather_nd(dy, node.inputs[0]), None, dy]


class SparseReduceSum(Composite):
    """The sums of the elements over some axes, dense."""

    arguments = ("input_indices: int64", "input_values: T", "input_shape: int64", "reduction_axes: int32")
    results = ("output: T",)
    types = {"T": REAL}
    keep_dims: bool = False
    combine: ClassVar[str] = "add"
    cases = tuple(
        Case(np.array([[0, 0, 2], [0, 1, 0], [2, 1, 0]]), (3,), np.array([3, 2, 4]), np.array(axes, np.int32), keep_dims=keep)
        for axes, keep in (([0], False), ([1, -1], True), ([0, 1, 2], False))
    )

    def infer(self, input_indices: TensorSpec, input_values: TensorSpec, input_shape: TensorSpec, reduction_axes: TensorSpec) -> TensorSpec:
        dims, axes = contents(input_shape), contents(reduction_axes)
        if dims is None or axes is None:
            return TensorSpec(input_values.dtype, None)
        reduced = axes_tuple(axes, len(dims))
        kept = [1 if k in reduced else d for k, d in enumerate(dims) if self.keep_dims or k not in reduced]
        return TensorSpec(input_values.dtype, kept)

    def reference(self, input_indices: Any, input_values: Any, input_shape: Any, reduction_axes: Any) -> Any:
        axes = axes_tuple(reduction_axes, len(input_shape))
        groups: dict[tuple[int, ...], Any] = {}
        fold = {"add": np.add, "max": np.maximum}[self.combine]
        for index, value in zip(input_indices.tolist(), input_values, strict=True):
            place = tuple(0 if k in axes else i for k, i in enumerate(index) if self.keep_dims or k not in axes)
            groups[place] = fold(groups[place], value) if place in groups else value
        dims = [1 if k in axes else int(d) for k, d in enumerate(input_shape) if self.keep_dims or k not in axes]
        out = np.zeros(dims, input_values.dtype)
        for place, value in groups.items():
            out[place] = value
        return out

    def decompose(self, b: Any, input_indices: Any, input_values: Any, input_shape: Any, reduction_axes: Any) -> Any:
        dims = b.sizes(input_shape)
        axes = axes_tuple(b.sizes(reduction_axes), len(dims))
        kept = [k for k in range(len(dims)) if k not in axes]
        count, rows = input_values.shape[0], product(dims[k] for k in kept)
        columns = [b.section(input_indices, (0, k), (count, 1)) for k in kept]
        if columns:
            places = flat_positions(b, b.join(columns, 1), [dims[k] for k in kept])
        else:
            places = b.broadcast(b.constant(0, "int64"), (count,))
        out = b.apply(ScatterRows(rows, self.combine, drop=False), input_values, places)
        if self.combine != "add":
            named = b.apply(ScatterRows(rows, "add", drop=False), b.broadcast(b.constant(1, "int32"), (count,)), places)
            out = b.select(b.greater(named, 0), out, 0)
        return b.view(out, [d if k in kept else 1 for k, d in enumerate(dims) if self.keep_dims or k in kept])

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        indices, _, dims, axes = node.inputs
        count = shape(dims)[0]
        marks = make("UnsortedSegmentMax", ones_like(axes), make("FloorMod", axes, count), count)
        reduced = make("Greater", marks, 0)
        kept = where(reduced, ones_like(dims), dims)
        return [None, gather_nd(reshape(dy, kept), indices * (1 - cast(reduced, int64))), None, None]


class SparseReduceMax(SparseReduceSum):
    """The largest of the elements over some axes, dense; 0 where there is none."""

    differentiable = False
    combine = "max"


def as_sparse(value: Any) -> SparseTensor:
    """A SparseTensor, or one made of a SparseTensorValue."""
    if isinstance(value, SparseTensorValue):
        return SparseTensor.from_value(value)
    if not isinstance(value, SparseTensor):
        raise TypeError("Input must be a SparseTensor.")
    return value


def sparse_to_dense(sparse_indices, output_shape, sparse_values, default_value=0, validate_indices=True, name=None):
    """A dense tensor of `output_shape` with `sparse_values` (a vector, or one for all) at `sparse_indices` and `default_value` elsewhere.

    sparse_indices: [n, rank], or [n] for a vector. validate_indices: they must be sorted, without repeats.
    """
    return make("SparseToDense", sparse_indices, output_shape, sparse_values, default_value, validate_indices=validate_indices, name=name)


def sparse_tensor_to_dense(sp_input, default_value=None, validate_indices=True, name=None):
    """The dense tensor that a SparseTensor stands for, `default_value` (0, or "") where it stores nothing."""
    given = as_sparse(sp_input)
    if default_value is None:
        default_value = zeros([], given.dtype)
    return sparse_to_dense(given.indices, given.dense_shape, given.values, default_value, validate_indices, name)


def sparse_tensor_dense_matmul(sp_a, b, adjoint_a=False, adjoint_b=False, name=None):
    """The product of a matrix that is a SparseTensor and a dense one, either transposed if asked for."""
    given = as_sparse(sp_a)
    with name_scope(name, "SparseTensorDenseMatMul", [given.indices, given.values, b]):
        b = convert_to_tensor(b, name="b")
        parts = (given.indices, given.values, given.dense_shape)
        return make("SparseTensorDenseMatMul", *parts, b, adjoint_a=adjoint_a, adjoint_b=adjoint_b)


def _reduced(kind: str, sp_input: Any, axis: Any, keepdims: Any, reduction_axes: Any, keep_dims: Any) -> Any:
    given = as_sparse(sp_input)
    axis = reduction_axes if axis is None else axis
    keepdims = bool(keep_dims if keepdims is None else keepdims)
    if axis is None:
        count = given.dense_shape.shape[0].value
        axis = range_of(0, size(given.dense_shape, name="Rank")) if count is None else constant(np.arange(count, dtype=np.int32))
    return make(kind, given.indices, given.values, given.dense_shape, axis, keep_dims=keepdims)


def sparse_reduce_sum(sp_input, axis=None, keepdims=None, reduction_axes=None, keep_dims=None):
    """The dense tensor of the sums over some axes (default: all)."""
    return _reduced("SparseReduceSum", sp_input, axis, keepdims, reduction_axes, keep_dims)


def sparse_reduce_max(sp_input, axis=None, keepdims=None, reduction_axes=None, keep_dims=None):
    """The dense tensor of the largest stored elements over some axes (default: all), 0 where none is stored."""
    return _reduced("SparseReduceMax", sp_input, axis, keepdims, reduction_axes, keep_dims)
