"""Diagonals and triangles of matrices, identity matrices, grids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.dtypes import COMPLEX, FLOATING, INDEX, as_dtype, bfloat16, float32, int32, int64
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.op import Case, TensorSpec
from graphflow.graph.tensor import Tensor
from graphflow.kernel.index import minimum, product
from graphflow.ops.families import Composite
from graphflow.ops.joining import concat, stack
from graphflow.ops.passing import Within
from graphflow.ops.reshape import reshape
from graphflow.ops.shape import size
from graphflow.ops.sizes import Dims, contents, lift, merge_dims, need_rank_at_least, scalar, shown
from graphflow.ops.source import ones, zeros

__all__ = ["diag", "diag_part", "eye", "matrix_band_part", "matrix_diag", "matrix_diag_part", "matrix_set_diag", "meshgrid", "trace"]


_WIDE = (*FLOATING, bfloat16, int32, int64, *COMPLEX)  # what Diag and DiagPart take


def _on_diagonal(b: Any, rows: Any, columns: Any) -> Any:
    """bool[rows, columns]: whether an element lies on the diagonal."""
    return b.equal(b.iota((rows, columns), 0, int32), b.iota((rows, columns), 1, int32))


class MatrixDiag(Composite):
    """Matrices with the last dimension on their diagonals and zeros elsewhere."""

    arguments = ("diagonal: T",)
    results = ("output: T",)
    cases = (Case((3,)), Case((2, 3)), Case((2, 0)))

    def infer(self, diagonal: TensorSpec) -> TensorSpec:
        need_rank_at_least(diagonal, 1, "diagonal must be at least 1-dim")
        return TensorSpec(diagonal.dtype, None if diagonal.dims is None else (*diagonal.dims, diagonal.dims[-1]))

    def reference(self, diagonal: Any) -> Any:
        y = np.zeros((*diagonal.shape, diagonal.shape[-1]), diagonal.dtype)
        for k in range(diagonal.shape[-1]):
            y[..., k, k] = diagonal[..., k]
        return y

    def decompose(self, b: Any, diagonal: Any) -> Any:
        n = diagonal.shape[-1]
        shape = (*diagonal.shape, n)
        mask = b.broadcast(_on_diagonal(b, n, n), shape)
        return b.select(mask, b.expand(diagonal, shape, range(len(shape) - 1)), b.constant(0, diagonal.dtype))

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make("MatrixDiagPart", dy)]


class MatrixDiagPart(Composite):
    """The diagonals of the matrices in the last two dimensions."""

    arguments = ("input: T",)
    results = ("diagonal: T",)
    cases = (Case((3, 3)), Case((2, 3, 4)), Case((4, 2)))

    def infer(self, input: TensorSpec) -> TensorSpec:
        need_rank_at_least(input, 2, "input must be at least 2-dim")
        if input.dims is None:
            return TensorSpec(input.dtype, None)
        return TensorSpec(input.dtype, (*input.dims[:-2], lift(minimum, *input.dims[-2:])))

    def reference(self, input: Any) -> Any:
        return np.array(np.diagonal(input, axis1=-2, axis2=-1))

    def decompose(self, b: Any, input: Any) -> Any:
        lead, (rows, columns) = input.shape[:-2], input.shape[-2:]
        masked = b.select(b.broadcast(_on_diagonal(b, rows, columns), input.shape), input, b.constant(0, input.dtype))
        total = b.reduce("add", masked, [len(lead) + 1])
        return b.section(total, (*(0 for _ in lead), 0), (*lead, minimum(rows, columns)))

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        x = node.inputs[0]
        return [make("MatrixSetDiag", make("ZerosLike", x), dy)]


class MatrixSetDiag(Composite):
    """The input with other diagonals."""

    arguments = ("input: T", "diagonal: T")
    results = ("output: T",)
    cases = (Case((3, 3), (3,)), Case((2, 3, 4), (2, 3)), Case((4, 2), (2,)))

    def infer(self, input: TensorSpec, diagonal: TensorSpec) -> TensorSpec:
        need_rank_at_least(input, 2, "input must be at least 2-dim")
        need_rank_at_least(diagonal, 1, "diagonal must be at least 1-dim")
        if input.dims is not None:
            rows, columns = input.dims[-2:]
            merge_dims((*input.dims[:-2], lift(minimum, rows, columns)), diagonal.dims)
        return TensorSpec(input.dtype, input.dims)

    def reference(self, input: Any, diagonal: Any) -> Any:
        y = np.array(input)
        for k in range(diagonal.shape[-1]):
            y[..., k, k] = diagonal[..., k]
        return y

    def decompose(self, b: Any, input: Any, diagonal: Any) -> Any:
        lead, (rows, columns) = input.shape[:-2], input.shape[-2:]
        high = (*(0 for _ in lead), rows - diagonal.shape[-1])
        column = b.halo(diagonal, (0,) * len(high), high)
        spread = b.expand(column, input.shape, range(len(input.shape) - 1))
        return b.select(b.broadcast(_on_diagonal(b, rows, columns), input.shape), spread, input)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make("MatrixSetDiag", dy, make("ZerosLike", node.inputs[1])), make("MatrixDiagPart", dy)]


class Diag(Composite):
    """A tensor of twice the rank, with the input on its diagonal: y[i.., i..] = x[i..]."""

    arguments = ("diagonal: T",)
    results = ("output: T",)
    types = {"T": _WIDE}
    cases = (Case((3,)), Case((2, 3)))

    def infer(self, diagonal: TensorSpec) -> TensorSpec:
        need_rank_at_least(diagonal, 1)
        return TensorSpec(diagonal.dtype, None if diagonal.dims is None else (*diagonal.dims, *diagonal.dims))

    def reference(self, diagonal: Any) -> Any:
        return np.diag(diagonal.ravel()).reshape(diagonal.shape * 2)

    def decompose(self, b: Any, diagonal: Any) -> Any:
        n = product(diagonal.shape)
        return b.view(MatrixDiag().decompose(b, b.view(diagonal, (n,))), (*diagonal.shape, *diagonal.shape))

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make("DiagPart", dy)]


class DiagPart(Composite):
    """The diagonal of a tensor of even rank: y[i..] = x[i.., i..]."""

    arguments = ("input: T",)
    results = ("diagonal: T",)
    types = {"T": _WIDE}
    cases = (Case((3, 3)), Case((2, 3, 2, 3)))

    def infer(self, input: TensorSpec) -> TensorSpec:
        if input.dims is not None and (len(input.dims) % 2 or not input.dims):
            raise ValueError(f"Input must have even and non-zero rank, input rank is {len(input.dims)}")
        if input.dims is not None:
            merge_dims(input.dims[: len(input.dims) // 2], input.dims[len(input.dims) // 2 :])
        return TensorSpec(input.dtype, None if input.dims is None else input.dims[: len(input.dims) // 2])

    def reference(self, input: Any) -> Any:
        half = input.shape[: input.ndim // 2]
        n = int(np.prod(half))
        return np.array(np.diagonal(input.reshape(n, n))).reshape(half)

    def decompose(self, b: Any, input: Any) -> Any:
        half = input.shape[: len(input.shape) // 2]
        n = product(half)
        return b.view(MatrixDiagPart().decompose(b, b.view(input, (n, n))), half)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make("Diag", dy)]


class MatrixBandPart(Composite):
    """The input with zeros outside a band: at most num_lower below and num_upper above the diagonal; negative: all of them."""

    arguments = ("input: T", "num_lower: Tindex", "num_upper: Tindex")
    results = ("band: T",)
    types = {"Tindex": INDEX}
    cases = (Case((4, 5), scalar(1), scalar(-1)), Case((2, 3, 3), scalar(-1), scalar(0)), Case((3, 3), scalar(0), scalar(0)))

    def infer(self, input: TensorSpec, num_lower: TensorSpec, num_upper: TensorSpec) -> TensorSpec:
        need_rank_at_least(input, 2)
        for name, spec, axis in (("num_lower", num_lower, -2), ("num_upper", num_upper, -1)):
            if spec.dims:
                raise ValueError(f"{name} must be scalar, got shape {shown(spec.dims)}")
            known, extent = contents(spec), None if input.dims is None else input.dims[axis]
            if known is not None and isinstance(known[0], int) and isinstance(extent, int) and known[0] > extent:
                side = "rows" if axis == -2 else "columns"
                raise ValueError(f"{name} must be negative or less or equal to number of {side} ({extent}) got: {known[0]}")
        return TensorSpec(input.dtype, input.dims)

    def reference(self, input: Any, num_lower: Any, num_upper: Any) -> Any:
        rows, columns = input.shape[-2:]
        lower, upper = (int(n) if n >= 0 else big for n, big in ((num_lower, rows), (num_upper, columns)))
        return np.triu(np.tril(input, upper), -lower).astype(input.dtype)

    def decompose(self, b: Any, input: Any, num_lower: Any, num_upper: Any) -> Any:
        rows, columns = input.shape[-2:]
        dtype = num_lower.dtype
        down = b.sub(b.iota((rows, columns), 0, dtype), b.iota((rows, columns), 1, dtype))
        least = int(np.iinfo(dtype.as_numpy_dtype).min)
        for name, extent, count in (("num_lower", rows, num_lower), ("num_upper", columns, num_upper)):
            what = "rows" if name == "num_lower" else "columns"
            text = f"{name} must be negative or less or equal to number of {what} ({extent}) got: {{value}}"
            checked = b.apply(Within(extent + 1, text=text, start=least), count)
            num_lower, num_upper = (checked, num_upper) if name == "num_lower" else (num_lower, checked)
        below = b.logical_or(b.less(num_lower, 0), b.less_equal(down, num_lower))
        above = b.logical_or(b.less(num_upper, 0), b.less_equal(b.neg(down), num_upper))
        return b.select(b.broadcast(b.logical_and(below, above), input.shape), input, b.constant(0, input.dtype))

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make("MatrixBandPart", dy, node.inputs[1], node.inputs[2]), None, None]


# -- public functions --------------------------------------------------------------------------------------------------------------


def _main_diagonal_only(k: Any) -> None:
    if k != 0:
        raise NotImplementedError("only the main diagonal (k = 0) is implemented")


def diag(diagonal, name=None):
    """A tensor of twice the rank, with the input on its diagonal."""
    return make("Diag", diagonal, name=name)


def diag_part(input, name=None):
    """The diagonal of a tensor of even rank."""
    return make("DiagPart", input, name=name)


def matrix_diag(diagonal, name="diag", k=0, num_rows=-1, num_cols=-1, padding_value=0):
    """Matrices with the last dimension on their diagonals."""
    _main_diagonal_only(k)
    return make("MatrixDiag", diagonal, name=name)


def matrix_diag_part(input, name="diag_part", k=0, padding_value=0):
    """The diagonals of the matrices in the last two dimensions."""
    _main_diagonal_only(k)
    return make("MatrixDiagPart", input, name=name)


def matrix_set_diag(input, diagonal, name="set_diag", k=0):
    """The input with other diagonals."""
    _main_diagonal_only(k)
    return make("MatrixSetDiag", input, diagonal, name=name)


def matrix_band_part(input, num_lower, num_upper, name=None):
    """The input with zeros outside a band around the diagonal."""
    low = convert_to_tensor(num_lower, name="num_lower") if isinstance(num_lower, Tensor) else np.int64(num_lower)
    high = convert_to_tensor(num_upper, name="num_upper") if isinstance(num_upper, Tensor) else np.int64(num_upper)
    return make("MatrixBandPart", input, low, high, name=name)


def trace(x, name=None):
    """The sum of the diagonal of the matrices in the last two dimensions."""
    with name_scope(name, "Trace", [x]) as name:
        return make("Sum", matrix_diag_part(convert_to_tensor(x, name="x")), [-1], keep_dims=False, name=name)


def eye(num_rows, num_columns=None, batch_shape=None, dtype=float32, name=None):
    """Identity matrices."""
    with name_scope(name, "eye", [num_rows, num_columns, batch_shape]):
        square = num_columns is None
        batch = [] if batch_shape is None else batch_shape
        num_columns = num_rows if num_columns is None else num_columns
        if isinstance(num_rows, Tensor) or isinstance(num_columns, Tensor):
            length: Any = make("Minimum", num_rows, num_columns)
        else:
            if not all(isinstance(n, (int, np.integer)) for n in (num_rows, num_columns)):
                raise TypeError("num_rows and num_columns must be positive integer values.")
            square = num_rows == num_columns
            length = int(min(num_rows, num_columns))
        if isinstance(batch, Tensor) or isinstance(length, Tensor):
            batch = convert_to_tensor(batch, name="shape", dtype=int32)
            lengths = concat((batch, [length]), axis=0)
            whole = None if square else concat((batch, [num_rows, num_columns]), axis=0)
        else:
            lengths = [*batch, length]
            whole = None if square else [*batch, num_rows, num_columns]
        diagonal = ones(lengths, dtype=as_dtype(dtype))
        if square:
            return matrix_diag(diagonal)
        return matrix_set_diag(zeros(whole, dtype=as_dtype(dtype)), diagonal)


def meshgrid(*args, **kwargs):
    """Coordinate arrays of a grid from its coordinates along each axis; indexing "xy" (default) or "ij"."""
    indexing = kwargs.pop("indexing", "xy")
    name = kwargs.pop("name", "meshgrid")
    if kwargs:
        raise TypeError(f"'{next(iter(kwargs))}' is an invalid keyword argument for this function")
    if indexing not in ("xy", "ij"):
        raise ValueError("indexing parameter must be either 'xy' or 'ij'")
    with name_scope(name, "meshgrid", args) as name:
        rank = len(args)

        def placed(axis: int) -> Dims:
            return tuple(-1 if a == axis else 1 for a in range(rank))

        output = [reshape(stack(x), placed(axis)) for axis, x in enumerate(args)]
        shapes = [size(x) for x in args]
        dtype = convert_to_tensor(args[0]).dtype.base_dtype
        if indexing == "xy" and rank > 1:
            output[0] = reshape(output[0], placed(1))
            output[1] = reshape(output[1], placed(0))
            shapes[0], shapes[1] = shapes[1], shapes[0]
        factor = ones(shapes, dtype)
        return [x * factor for x in output]
