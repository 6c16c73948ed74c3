"""Linear systems: inverses, solutions, determinants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.graph.build import make
from graphflow.graph.op import Case, TensorSpec
from graphflow.ops.diagonal import matrix_band_part
from graphflow.ops.families import Composite
from graphflow.ops.joining import concat
from graphflow.ops.linalg.factor import NOT_INVERTIBLE, LuFactor, TriangularSolution, random_matrices
from graphflow.ops.linalg.shapes import TYPES, adjoint_of, run, square_dims
from graphflow.ops.matmul import matmul
from graphflow.ops.reshape import reshape
from graphflow.ops.shape import shape
from graphflow.ops.sizes import Dims, merge, need_rank_at_least

_SQUARE = random_matrices(4, 4, shift=2)
_BATCH = random_matrices(2, 3, 3, shift=2)


def solved(b: Any, a: Any, rhs: Any, adjoint: bool, invalid: str) -> Any:
    """The X with a X = rhs, or a^H X = rhs, of program values; a matrix without an inverse fails the step with the message `invalid`."""
    a = adjoint_of(b, a) if adjoint else a
    pairs = a.dtype.is_complex
    lu, rows, _ = run(b, LuFactor(pairs), a)
    batch = len(a.shape) - 2
    moved = b.take(rhs, rows, batch, batch)
    return run(b, TriangularSolution(False, False, pairs, invalid), lu, run(b, TriangularSolution(True, True, pairs), lu, moved))


class MatrixInverse(Composite):
    """The inverses of square matrices, or of their adjoints. A matrix that has none fails the step."""

    arguments = ("input: T",)
    types = {"T": TYPES}
    adjoint: bool = False
    cases = (
        Case(_SQUARE), Case(_BATCH, adjoint=True), Case((0, 0)), Case(_SQUARE + 1j * random_matrices(4, 4, seed=3), dtypes=("complex128",)),
        Case([[1.0, 2.0], [2.0, 4.0]], error=("InvalidArgumentError", "Input is not invertible")),
        Case((2, 3), error=("ValueError", "Dimensions must be equal, but are 2 and 3")),
    )  # fmt: skip

    def infer(self, input: TensorSpec) -> TensorSpec:
        return TensorSpec(input.dtype, square_dims(input))

    def reference(self, input: Any) -> Any:
        return np.linalg.inv(np.conj(np.swapaxes(input, -1, -2)) if self.adjoint else input)

    def decompose(self, b: Any, input: Any) -> Any:
        n = input.shape[-1]
        eye = b.cast(b.equal(b.iota((n, n), 0, "int32"), b.iota((n, n), 1, "int32")), input.dtype)
        return solved(b, input, b.broadcast(eye, input.shape), self.adjoint, "Input is not invertible.")

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        y = node.outputs[0]
        if self.adjoint:
            return [make("Neg", matmul(matmul(y, dy, adjoint_b=True), y))]
        return [make("Neg", matmul(y, matmul(dy, y, adjoint_b=True), adjoint_a=True))]


def _signed(b: Any, input: Any) -> tuple[Any, Any]:
    """The pivots of program matrices, and the signs of the permutations."""
    lu, _, sign = run(b, LuFactor(input.dtype.is_complex), input)
    return b.make("MatrixDiagPart", lu), sign


def _times_inverse(a: Any, factor: Any) -> Any:
    """The gradient of (the logarithm of) a determinant: each batch element's factor times the inverse of the adjoint."""
    inverse = make("MatrixInverse", a, adjoint=True)
    return make("Mul", reshape(factor, concat([shape(factor), [1, 1]], 0)), inverse)


class MatrixDeterminant(Composite):
    """The determinants of square matrices."""

    arguments = ("input: T",)
    types = {"T": TYPES}
    cases = (Case(_SQUARE), Case(_BATCH), Case((0, 0), gradient=False), Case(_BATCH + 1j, dtypes=("complex128",)))

    def infer(self, input: TensorSpec) -> TensorSpec:
        dims = square_dims(input)
        return TensorSpec(input.dtype, None if dims is None else dims[:-2])

    def reference(self, input: Any) -> Any:
        return np.asarray(np.linalg.det(input), input.dtype)

    def decompose(self, b: Any, input: Any) -> Any:
        pivots, sign = _signed(b, input)
        whole = b.reduce("mul", pivots, (len(pivots.shape) - 1,))
        return b.mul(whole, b.cast(sign, whole.dtype))

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        y = node.outputs[0]
        return [_times_inverse(node.inputs[0], make("Mul", dy, make("Conj", y) if y.dtype.is_complex else y))]


class LogMatrixDeterminant(Composite):
    """The sign of determinants (of complex ones the direction) and the logarithm of their absolute values."""

    arguments = ("input: T",)
    results = ("sign: T", "log_abs_determinant: T")
    types = {"T": TYPES}
    cases = (Case(_SQUARE), Case(_BATCH), Case((0, 0), gradient=False), Case(_BATCH + 1j, dtypes=("complex128",)))

    def infer(self, input: TensorSpec) -> tuple[TensorSpec, TensorSpec]:
        dims = square_dims(input)
        spec = TensorSpec(input.dtype, None if dims is None else dims[:-2])
        return spec, spec

    def reference(self, input: Any) -> Any:
        sign, log = np.linalg.slogdet(input)
        return np.asarray(sign, input.dtype), np.asarray(log, input.dtype)

    def decompose(self, b: Any, input: Any) -> Any:
        pivots, sign = _signed(b, input)
        axis = (len(pivots.shape) - 1,)
        sizes = b.make("ComplexAbs", pivots, Tout=pivots.dtype.real_dtype) if input.dtype.is_complex else b.abs(pivots)
        direction = b.mul(b.reduce("mul", b.sign(pivots), axis), b.cast(sign, input.dtype))
        return direction, b.cast(b.reduce("add", b.log(sizes), axis), input.dtype)

    def gradient(self, node: Any, dsign: Any, dlog: Any) -> Sequence[Any]:
        return [None if dlog is None else _times_inverse(node.inputs[0], dlog)]


class Solution(Composite, abstract=True):
    """Base of the ops that solve matrix X = rhs."""

    arguments = ("matrix: T", "rhs: T")
    types = {"T": TYPES}

    def infer(self, matrix: TensorSpec, rhs: TensorSpec) -> TensorSpec:
        need_rank_at_least(rhs, 2)
        dims = square_dims(matrix)
        if dims is None or rhs.dims is None:
            return TensorSpec(rhs.dtype, None)
        if len(dims) != len(rhs.dims):
            raise ValueError(f"Shapes must be equal rank, but are {len(dims) - 2} and {len(rhs.dims) - 2}")
        lead: Dims = tuple(merge(p, q) for p, q in zip(dims[:-1], rhs.dims[:-1], strict=True))
        return TensorSpec(rhs.dtype, (*lead, rhs.dims[-1]))

    def gradient(self, node: Any, dx: Any) -> Sequence[Any]:
        matrix, x = node.inputs[0], node.outputs[0]
        adjoint: bool = self.adjoint  # type: ignore[attr-defined]
        db = make(self.type, matrix, dx, **{**{f: getattr(self, f) for f in self._fields}, "adjoint": not adjoint})
        outer = matmul(x, db, adjoint_b=True) if adjoint else matmul(db, x, adjoint_b=True)
        return [self.kept(make("Neg", outer)), db]

    def kept(self, dmatrix: Any) -> Any:
        """The part of the matrix's gradient that belongs to elements the op reads."""
        return dmatrix


class MatrixSolve(Solution):
    """The X with matrix X = rhs, or matrix^H X = rhs. A matrix without an inverse fails the step."""

    adjoint: bool = False
    cases = (
        Case(_SQUARE, (4, 3)), Case(_BATCH, (2, 3, 1), adjoint=True), Case((0, 0), (0, 2)),
        Case(_SQUARE + 1j, _SQUARE[:, :2] - 2j, dtypes=("complex128",), adjoint=True),
        Case(np.zeros((2, 2)), (2, 1), error=("InvalidArgumentError", "Input matrix is not invertible")),
        Case((2, 2), (3, 1), error=("ValueError", "Dimensions must be equal, but are 2 and 3")),
    )  # fmt: skip

    def reference(self, matrix: Any, rhs: Any) -> Any:
        return np.linalg.solve(np.conj(np.swapaxes(matrix, -1, -2)) if self.adjoint else matrix, rhs)

    def decompose(self, b: Any, matrix: Any, rhs: Any) -> Any:
        return solved(b, matrix, rhs, self.adjoint, NOT_INVERTIBLE)


class MatrixTriangularSolve(Solution):
    """The X with matrix X = rhs, or matrix^H X = rhs, of which the lower (or upper) triangle is read. A zero on the diagonal fails the
    step."""

    lower: bool = True  # type: ignore[assignment]
    adjoint: bool = False
    cases = (
        Case(_SQUARE, (4, 3)), Case(_BATCH, (2, 3, 2), adjoint=True), Case(_SQUARE, (4, 1), lower=False),
        Case(_SQUARE, (4, 1), lower=False, adjoint=True),
        Case(_SQUARE + 1j, _SQUARE[:, :2] - 2j, dtypes=("complex128",), adjoint=True),
        Case(np.zeros((2, 2)), (2, 1), error=("InvalidArgumentError", "Input matrix is not invertible")),
    )  # fmt: skip

    def reference(self, matrix: Any, rhs: Any) -> Any:
        triangle = np.tril(matrix) if self.lower else np.triu(matrix)
        return np.linalg.solve(np.conj(np.swapaxes(triangle, -1, -2)) if self.adjoint else triangle, rhs)

    def decompose(self, b: Any, matrix: Any, rhs: Any) -> Any:
        a = adjoint_of(b, matrix) if self.adjoint else matrix
        return run(b, TriangularSolution(bool(self.lower) != self.adjoint, False, a.dtype.is_complex), a, rhs)

    def kept(self, dmatrix: Any) -> Any:
        return matrix_band_part(dmatrix, -1, 0) if self.lower else matrix_band_part(dmatrix, 0, -1)
