"""Matrix products, alone and in batches, and adding a bias to the last or the channel dimension."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.dtypes import COMPLEX, REAL, float16, float32, float64, int32, int64
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.op import Case, TensorSpec
from graphflow.kernel.index import Index
from graphflow.ops.broadcast import conjugate
from graphflow.ops.families import Composite
from graphflow.ops.reshape import expand_dims, reshape, squeeze
from graphflow.ops.sizes import Dims, Size, merge, need_rank, need_rank_at_least

__all__ = [
    "matmul",
]


MULTIPLIED = (float16, float32, float64, int32, int64, *COMPLEX)


def _term(axis: int) -> tuple[tuple[tuple[int, int], ...], Index]:
    """The affine form of a dimension that runs along one axis."""
    return ((axis, 1),), 0


class MatMul(Composite):
    """The product of two matrices, each of them transposed first if asked."""

    arguments = ("a: T", "b: T")
    results = ("product: T",)
    types = {"T": MULTIPLIED}
    transpose_a: bool = False
    transpose_b: bool = False
    cases = (
        Case((3, 5), (5, 4)), Case((5, 3), (5, 4), transpose_a=True), Case((3, 5), (4, 5), transpose_b=True),
        Case((5, 3), (4, 5), transpose_a=True, transpose_b=True), Case((4, 0), (0, 2)), Case((0, 3), (3, 2)), Case((33, 17), (17, 65)),
        Case((2, 3), (2, 3), error=("ValueError", "Dimensions must be equal, but are 3 and 2")),
    )  # fmt: skip

    def _sides(self, a: Dims, b: Dims) -> tuple[Size, Size, Size]:
        m, k = reversed(a) if self.transpose_a else a
        k2, n = reversed(b) if self.transpose_b else b
        return m, n, merge(k, k2)

    def infer(self, a: TensorSpec, b: TensorSpec) -> TensorSpec:
        need_rank(a, 2)
        need_rank(b, 2)
        m, n, _ = self._sides(a.dims or (None, None), b.dims or (None, None))
        return TensorSpec(a.dtype, (m, n))

    def reference(self, a: Any, b: Any) -> Any:
        wide = {"f": np.float64, "c": np.complex128}.get(a.dtype.kind, a.dtype)
        return np.dot((a.T if self.transpose_a else a).astype(wide), (b.T if self.transpose_b else b).astype(wide)).astype(a.dtype)

    def decompose(self, b: Any, left: Any, right: Any) -> Any:
        m, n, k = self._sides(left.shape, right.shape)
        left_map = (_term(2), _term(0)) if self.transpose_a else (_term(0), _term(2))
        right_map = (_term(1), _term(2)) if self.transpose_b else (_term(2), _term(1))
        return b.contract(left, right, (m, n, k), 2, left_map, right_map)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        a, b = (conjugate(t) for t in node.inputs)
        ta, tb = self.transpose_a, self.transpose_b
        if not ta:
            da = make("MatMul", dy, b, transpose_a=False, transpose_b=not tb)
        else:
            da = make("MatMul", b, dy, transpose_a=tb, transpose_b=True)
        if not tb:
            db = make("MatMul", a, dy, transpose_a=not ta, transpose_b=False)
        else:
            db = make("MatMul", dy, a, transpose_a=True, transpose_b=ta)
        return [da, db]


def _batch(x: Dims, y: Dims) -> Dims:
    """The broadcast of two batch shapes."""
    rank = max(len(x), len(y))
    pairs = zip((1,) * (rank - len(x)) + x, (1,) * (rank - len(y)) + y, strict=True)
    return tuple(b if isinstance(a, int) and a == 1 else a if isinstance(b, int) and b == 1 else merge(a, b) for a, b in pairs)


class BatchMatMulV2(Composite):
    """Products of the matrices in the last two dimensions; the dimensions before are broadcast."""

    arguments = ("x: T", "y: T")
    results = ("output: T",)
    types = {"T": MULTIPLIED}
    adj_x: bool = False
    adj_y: bool = False
    cases = (
        Case((2, 3, 5), (2, 5, 4)), Case((2, 5, 3), (2, 4, 5), adj_x=True, adj_y=True), Case((3, 5), (2, 5, 4)),
        Case((2, 1, 3, 5), (4, 5, 2)), Case((0, 3, 5), (0, 5, 4)),
        Case((2, 3, 5), (2, 4, 5), error=("ValueError", "Dimensions must be equal, but are 5 and 4")),
    )  # fmt: skip

    def _dims(self, x: Dims, y: Dims) -> tuple[Dims, Size, Size, Size]:
        m, k = reversed(x[-2:]) if self.adj_x else x[-2:]
        k2, n = reversed(y[-2:]) if self.adj_y else y[-2:]
        return _batch(x[:-2], y[:-2]), m, n, merge(k, k2)

    def infer(self, x: TensorSpec, y: TensorSpec) -> TensorSpec:
        need_rank_at_least(x, 2)
        need_rank_at_least(y, 2)
        if x.dims is None or y.dims is None:
            return TensorSpec(x.dtype, None)
        batch, m, n, _ = self._dims(x.dims, y.dims)
        return TensorSpec(x.dtype, (*batch, m, n))

    def reference(self, x: Any, y: Any) -> Any:
        wide = {"f": np.float64, "c": np.complex128}.get(x.dtype.kind, x.dtype)
        left = np.conj(np.swapaxes(x, -1, -2)) if self.adj_x else x
        right = np.conj(np.swapaxes(y, -1, -2)) if self.adj_y else y
        return np.matmul(left.astype(wide), right.astype(wide)).astype(x.dtype)

    def decompose(self, b: Any, x: Any, y: Any) -> Any:
        batch, m, n, k = self._dims(x.shape, y.shape)
        rank = len(batch)
        x = b.make("Conj", x) if self.adj_x and x.dtype.is_complex else x
        y = b.make("Conj", y) if self.adj_y and y.dtype.is_complex else y

        def batched(dims: Dims) -> tuple[Any, ...]:
            """The batch dimensions of an operand; a size of 1 that is repeated stays at index 0."""
            first = rank - len(dims)
            return tuple(((), 0) if isinstance(d, int) and d == 1 else _term(first + a) for a, d in enumerate(dims))

        rows, columns, inner = _term(rank), _term(rank + 1), _term(rank + 2)
        left = (*batched(x.shape[:-2]), *((inner, rows) if self.adj_x else (rows, inner)))
        right = (*batched(y.shape[:-2]), *((columns, inner) if self.adj_y else (inner, columns)))
        return b.contract(x, y, (*batch, m, n, k), rank + 2, left, right)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        x, y = node.inputs
        kind = type(self).__name__
        if not self.adj_x:
            dx = make(kind, dy, y, adj_x=False, adj_y=not self.adj_y)
        else:
            dx = make(kind, y, dy, adj_x=self.adj_y, adj_y=True)
        if not self.adj_y:
            dy_ = make(kind, x, dy, adj_x=not self.adj_x, adj_y=False)
        else:
            dy_ = make(kind, dy, x, adj_x=True, adj_y=self.adj_x)
        return [_unbatched(x, y, dx, 0), _unbatched(x, y, dy_, 1)]


def _unbatched(x: Any, y: Any, gradient: Any, which: int) -> Any:
    """The gradient of an operand whose batch dimensions were broadcast, summed to its own shape."""
    left, right = x.shape, y.shape
    if left.ndims is not None and right.ndims is not None and left.ndims == right.ndims:
        a, b = left.as_list()[:-2], right.as_list()[:-2]
        if a == b and None not in a:
            return gradient
    sx, sy = make("Shape", x), make("Shape", y)
    axes = make("BroadcastGradientArgs", _leading(sx), _leading(sy))[which]
    return make("Reshape", make("Sum", gradient, axes), (sx, sy)[which])


def _leading(shape: Any) -> Any:
    """All but the last two sizes."""
    return make("StridedSlice", shape, [0], [-2], [1], begin_mask=1)


class BatchMatMul(BatchMatMulV2):
    """Products of the matrices in the last two dimensions; the dimensions before are equal."""

    cases = (Case((2, 3, 5), (2, 5, 4)), Case((2, 5, 3), (2, 4, 5), adj_x=True, adj_y=True))


def _channel(data_format: str, rank: int) -> int:
    """The dimension that a bias belongs to."""
    return 1 if data_format == "NCHW" else rank - 1


class BiasAdd(Composite):
    """value + bias, the bias along the last dimension (NHWC) or the second (NCHW)."""

    arguments = ("value: T", "bias: T")
    results = ("output: T",)
    types = {"T": REAL}
    data_format: str = "NHWC"
    cases = (
        Case((2, 3), (3,)), Case((2, 3, 4, 5), (5,)), Case((2, 3, 4, 5), (3,), data_format="NCHW"), Case((0, 3), (3,)),
        Case((2, 3), (2,), error=("ValueError", "Dimensions must be equal, but are 3 and 2")),
        Case((3,), (3,), error=("ValueError", "Shape must be at least rank 2 but is rank 1")),
    )  # fmt: skip

    def infer(self, value: TensorSpec, bias: TensorSpec) -> TensorSpec:
        if self.data_format not in ("NHWC", "NCHW"):
            raise ValueError(f"Attr 'data_format' of 'BiasAdd' Op passed string '{self.data_format}' not in: \"NHWC\", \"NCHW\".")
        need_rank(bias, 1)
        need_rank_at_least(value, 3 if self.data_format == "NCHW" else 2)
        if value.dims is None:
            return TensorSpec(value.dtype, None)
        axis = _channel(self.data_format, len(value.dims))
        dims = list(value.dims)
        dims[axis] = merge(dims[axis], None if bias.dims is None else bias.dims[0])
        return TensorSpec(value.dtype, dims)

    def reference(self, value: Any, bias: Any) -> Any:
        axis = _channel(self.data_format, value.ndim)
        return value + bias.reshape([-1 if a == axis else 1 for a in range(value.ndim)])

    def decompose(self, b: Any, value: Any, bias: Any) -> Any:
        rank = len(value.shape)
        axis = _channel(self.data_format, rank)
        # Along the last dimension broadcasting aligns the bias by itself.
        return b.add(value, bias if axis == rank - 1 else b.view(bias, [bias.shape[0] if a == axis else 1 for a in range(axis, rank)]))

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [dy, make("BiasAddGrad", dy, data_format=self.data_format)]


class BiasAddV1(BiasAdd):
    """value + bias along the last dimension, of TensorFlow's first days."""

    data_format: str = "NHWC"
    cases = (Case((2, 3), (3,)),)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [dy, make("BiasAddGrad", dy)]


class BiasAddGrad(Composite):
    """The sum over all dimensions but the bias's own."""

    arguments = ("out_backprop: T",)
    results = ("output: T",)
    types = {"T": REAL}
    data_format: str = "NHWC"
    cases = (Case((2, 3)), Case((2, 3, 4, 5)), Case((2, 3, 4, 5), data_format="NCHW"), Case((0, 3)))

    def infer(self, out_backprop: TensorSpec) -> TensorSpec:
        need_rank_at_least(out_backprop, 3 if self.data_format == "NCHW" else 2)
        dims = out_backprop.dims
        return TensorSpec(out_backprop.dtype, (None if dims is None else dims[_channel(self.data_format, len(dims))],))

    def reference(self, out_backprop: Any) -> Any:
        axis = _channel(self.data_format, out_backprop.ndim)
        return np.moveaxis(out_backprop, axis, 0).reshape(out_backprop.shape[axis], -1).sum(1, dtype=out_backprop.dtype)

    def decompose(self, b: Any, out_backprop: Any) -> Any:
        rank = len(out_backprop.shape)
        axis = _channel(self.data_format, rank)
        return b.reduce("add", out_backprop, [a for a in range(rank) if a != axis])

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        x = node.inputs[0]
        if self.data_format == "NHWC":
            return [make("Mul", make("OnesLike", x), dy)]
        if x.shape.ndims is None:
            ones = make("Fill", make("Reshape", make("Rank", x) - 2, [1]), 1)
            spread = make("Reshape", dy, make("ConcatV2", [[1, -1], ones], 0))
        else:
            spread = reshape(dy, [1, -1] + [1] * (x.shape.ndims - 2))
        return [make("Mul", make("OnesLike", x), spread)]


# -- public functions --------------------------------------------------------------------------------------------------------------


def matmul(a, b, transpose_a=False, transpose_b=False, adjoint_a=False, adjoint_b=False, a_is_sparse=False, b_is_sparse=False, name=None):
    """The product of two matrices, or of the matrices in the last two dimensions of two tensors."""
    with name_scope(name, "MatMul", [a, b]) as name:
        if transpose_a and adjoint_a:
            raise ValueError("Only one of transpose_a and adjoint_a can be True.")
        if transpose_b and adjoint_b:
            raise ValueError("Only one of transpose_b and adjoint_b can be True.")
        a = convert_to_tensor(a, name="a")
        b = convert_to_tensor(b, name="b")
        turn_a, turn_b = bool(transpose_a or adjoint_a), bool(transpose_b or adjoint_b)
        if any(x.shape.ndims is None or x.shape.ndims > 2 for x in (a, b)) and not (a_is_sparse or b_is_sparse):
            a, b = (conjugate(a) if transpose_a else a), (conjugate(b) if transpose_b else b)
            return make("BatchMatMulV2", a, b, adj_x=turn_a, adj_y=turn_b, name=name)
        a, b = (conjugate(a) if adjoint_a else a), (conjugate(b) if adjoint_b else b)
        return make("MatMul", a, b, transpose_a=turn_a, transpose_b=turn_b, name=name)


def matvec(a, b, transpose_a=False, adjoint_a=False, a_is_sparse=False, b_is_sparse=False, name=None):
    """The product of a matrix and a vector, in batches."""
    with name_scope(name, "MatVec", [a, b]) as name:
        product = matmul(a, expand_dims(b, axis=-1), transpose_a, False, adjoint_a, False, a_is_sparse, b_is_sparse)
        return squeeze(product, axis=-1)


def bias_add(value, bias, data_format=None, name=None):
    """value + bias, the bias along the channel dimension."""
    with name_scope(name, "BiasAdd", [value, bias]) as name:
        if data_format is not None:
            if data_format.startswith("NC"):
                data_format = "NCHW"
            elif data_format.startswith("N") and data_format.endswith("C"):
                data_format = "NHWC"
            else:
                raise ValueError("data_format must be of the form `N...C` or `NC...`")
        value = convert_to_tensor(value, name="input")
        bias = convert_to_tensor(bias, dtype=value.dtype.base_dtype, name="bias")
        return make("BiasAdd", value, bias, data_format=data_format or "NHWC", name=name)


def xw_plus_b(x, weights, biases, name=None):
    """matmul(x, weights) + biases"""
    with name_scope(name, "xw_plus_b", [x, weights, biases]) as name:
        x = convert_to_tensor(x, name="x")
        weights = convert_to_tensor(weights, name="weights")
        biases = convert_to_tensor(biases, name="biases")
        return bias_add(matmul(x, weights), biases, name=name)


def relu_layer(x, weights, biases, name=None):
    """relu(matmul(x, weights) + biases)"""
    with name_scope(name, "relu_layer", [x, weights, biases]) as name:
        x = convert_to_tensor(x, name="x")
        weights = convert_to_tensor(weights, name="weights")
        biases = convert_to_tensor(biases, name="biases")
        return make("Relu", bias_add(matmul(x, weights), biases), name=name)
