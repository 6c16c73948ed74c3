"""Sparse tensors with dense ones, element by element: the sum, product and quotient at the elements that are stored, and Python's `*` and
`/` on a SparseTensor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphflow.dtypes import NUMERIC
from graphflow.errors import InvalidArgumentError
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.composite import SparseTensor
from graphflow.graph.op import Case, TensorSpec
from graphflow.kernel.index import product
from graphflow.ops.division import true_operands
from graphflow.ops.families import Composite
from graphflow.ops.gather import gather_nd
from graphflow.ops.joining import concat
from graphflow.ops.passing import Within
from graphflow.ops.reductions import reduce_sum
from graphflow.ops.scatter_nd import flat_positions
from graphflow.ops.shape import shape, size
from graphflow.ops.sizes import need_rank, shown
from graphflow.ops.source import ones, zeros_like

REFUSED = "SparseDenseBinaryOpShared broadcasts dense to sparse only; got incompatible shapes"


class SparseDenseCwise(Composite, abstract=True):
    """What the stored elements of a sparse tensor are with those of a dense one at their places. The dense one is broadcast to the sparse
    one's shape, never the other way round."""

    arguments = ("sp_indices: int64", "sp_values: T", "sp_shape: int64", "dense: T")
    results = ("output: T",)
    types = {"T": NUMERIC}
    cases = (
        Case(np.array([[0, 2], [1, 0], [1, 3]]), (3,), np.array([2, 4]), (2, 4)),
        Case(np.array([[0, 2], [1, 0], [1, 3]]), (3,), np.array([2, 4]), (4,)),
        Case(np.array([[0, 2], [1, 0], [1, 3]]), (3,), np.array([2, 4]), (2, 1)),
        Case(np.array([[0, 2], [1, 0], [1, 3]]), (3,), np.array([2, 4]), ()),
        Case(np.zeros((0, 1), np.int64), (0,), np.array([3]), (3,)),
        Case(np.array([[0, 2]]), (1,), np.array([2, 4]), (2, 3), error=("InvalidArgumentError", REFUSED)),
        Case(np.array([[0, 4]]), (1,), np.array([2, 4]), (2, 4), error=("InvalidArgumentError", "is 4 in dimension 1")),
        Case(np.array([[2]]), (1,), np.array([4]), (2, 4), error=("InvalidArgumentError", REFUSED)),
    )  # fmt: skip
    function = ""
    numpy_function: Any = None

    def infer(self, sp_indices: TensorSpec, sp_values: TensorSpec, sp_shape: TensorSpec, dense: TensorSpec) -> TensorSpec:
        need_rank(sp_indices, 2)
        need_rank(sp_values, 1)
        return TensorSpec(sp_values.dtype, sp_values.dims)

    def reference(self, sp_indices: Any, sp_values: Any, sp_shape: Any, dense: Any) -> Any:
        self._check([int(d) for d in sp_shape], dense.shape)
        whole = np.broadcast_to(dense, [int(d) for d in sp_shape])
        return type(self).numpy_function(sp_values, whole[tuple(sp_indices.T)]).astype(sp_values.dtype)

    @staticmethod
    def _check(whole: Sequence[Any], dense: Sequence[Any]) -> None:
        """Refuse sizes, as far as they are known, that do not fit."""
        pairs = zip(reversed(whole), reversed(dense), strict=False)
        if len(dense) > len(whole) or any(isinstance(n, int) and isinstance(m, int) and m not in (1, n) for n, m in pairs):
            shapes = " vs. ".join(f"[{','.join(map(str, dims))}]" for dims in (whole, dense))
            raise InvalidArgumentError(None, None, f"{REFUSED}: {shapes}")

    def decompose(self, b: Any, sp_indices: Any, sp_values: Any, sp_shape: Any, dense: Any) -> Any:
        count, rank = sp_indices.shape
        self._check(b.sizes(sp_shape) if sp_shape.known is not None else [None] * rank, dense.shape)
        if not dense.shape:
            return getattr(b, self.function)(sp_values, dense)
        columns = []
        for axis, extent in enumerate(dense.shape, rank - len(dense.shape)):
            column = b.section(sp_indices, (0, axis), (count, 1))
            if extent == 1:
                columns.append(b.mul(column, 0))
                continue
            text = f"{REFUSED}: dimension {axis} of the sparse tensor is not {shown((extent,))}, that of the dense one"
            nothing = b.apply(Within(1, text=text), b.sub(b.section(sp_shape, (axis,), (1,)), b.constant([extent], "int64")))
            text = f"indices[{{position}}] is {{value}} in dimension {axis}, which is not in {shown((extent,))}"
            columns.append(b.add(b.apply(Within(extent, text=text), column), nothing))
        places = flat_positions(b, b.join(columns, 1), dense.shape)
        return getattr(b, self.function)(sp_values, b.take(b.view(dense, (product(dense.shape),)), places, 0))

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        indices, values, dims, dense = node.inputs
        if dense.shape.ndims == 0:
            dx, ddense = self.parts(values, dense, dy)
            return [None, dx, None, reduce_sum(ddense)]
        # The places in the dense tensor: along dimensions in which that is broadcast, 0.
        own = shape(dense, out_type=dims.dtype)
        more = size(dims) - size(own)
        scaling = make("FloorDiv", dims, concat([ones([more], dims.dtype), own], 0))
        places = make("FloorDiv", indices, scaling)[:, more:]
        dx, ddense = self.parts(values, gather_nd(dense, places), dy)
        return [None, dx, None, make("SparseTensorDenseAdd", places, ddense, own, zeros_like(dense))]

    def parts(self, x: Any, y: Any, dy: Any) -> tuple[Any, Any]:
        """The gradients for x and y, of which each element meets the other's."""
        raise NotImplementedError


class SparseDenseCwiseAdd(SparseDenseCwise):
    """The sum at stored elements."""

    function, numpy_function = "add", np.add
    differentiable = False


class SparseDenseCwiseMul(SparseDenseCwise):
    """The product at stored elements."""

    function, numpy_function = "mul", np.multiply

    def parts(self, x: Any, y: Any, dy: Any) -> tuple[Any, Any]:
        return dy * y, dy * x


class SparseDenseCwiseDiv(SparseDenseCwise):
    """The quotient at stored elements."""

    function, numpy_function = "div", np.divide

    def parts(self, x: Any, y: Any, dy: Any) -> tuple[Any, Any]:
        return dy / y, dy * (-x / (y * y))


def _operator(name: str, op_type: str, operands: Callable[[Any, Any], tuple[Any, Any]] | None = None) -> Callable[[Any, Any], SparseTensor]:
    """`operands`: makes others of the stored elements and the dense tensor."""

    def operator(sp_x: Any, y: Any) -> SparseTensor:
        with name_scope(None, name, [sp_x, y]) as scope:
            values, y = sp_x.values, convert_to_tensor(y, dtype=sp_x.dtype.base_dtype, name="y")
            if operands is not None:
                values, y = operands(values, y)
            return SparseTensor(sp_x.indices, make(op_type, sp_x.indices, values, sp_x.dense_shape, y, name=scope), sp_x.dense_shape)

    return operator


SparseTensor.__mul__ = _operator("mul", "SparseDenseCwiseMul")
SparseTensor.__div__ = _operator("div", "SparseDenseCwiseDiv")
SparseTensor.__truediv__ = _operator("truediv", "SparseDenseCwiseDiv", true_operands)
