"""Decompositions of matrices: Cholesky, QR, eigenvalues, singular values, LU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.dtypes import INDEX, DType, int32
from graphflow.graph.build import make
from graphflow.graph.op import Case, TensorSpec
from graphflow.kernel.index import minimum
from graphflow.ops.diagonal import eye, matrix_band_part, matrix_diag, matrix_diag_part, matrix_set_diag
from graphflow.ops.families import Composite
from graphflow.ops.linalg.factor import CholeskyFactor, LuFactor, definite_matrices, random_matrices
from graphflow.ops.linalg.orthogonal import EigenRows, QrFactor, SingularRows
from graphflow.ops.linalg.shapes import TYPES, adjoint_of, in_order, matrix_dims, run, square_dims
from graphflow.ops.matmul import matmul
from graphflow.ops.reshape import expand_dims, matrix_transpose
from graphflow.ops.shape import shape
from graphflow.ops.sizes import Size, lift

_DEFINITE = definite_matrices(4, 4)


def _adjoint(x: Any) -> Any:
    return matrix_transpose(x, conjugate=True)


class Cholesky(Composite):
    """The lower triangular L with L L^H = input, of which the lower triangle is read. A matrix that is not positive definite fails the
    step."""

    arguments = ("input: T",)
    types = {"T": TYPES}
    cases = (
        # The gradient is that of symmetric changes, as TensorFlow's: tests/ops/test_linalg.py.
        Case(_DEFINITE, gradient=False), Case(definite_matrices(2, 3, 3), gradient=False), Case((0, 0), gradient=False),
        Case(_DEFINITE + np.triu(np.full((4, 4), 0.25j), 1) + np.tril(np.full((4, 4), -0.25j), -1), dtypes=("complex128",)),
        Case([[1.0, 2.0], [2.0, 1.0]], error=("InvalidArgumentError", "Cholesky decomposition was not successful")),
        Case((2, 3), error=("ValueError", "Dimensions must be equal, but are 2 and 3")),
    )  # fmt: skip

    def infer(self, input: TensorSpec) -> TensorSpec:
        return TensorSpec(input.dtype, square_dims(input))

    def reference(self, input: Any) -> Any:
        return CholeskyFactor().numpy_(input).astype(input.dtype)

    def decompose(self, b: Any, input: Any) -> Any:
        return run(b, CholeskyFactor(input.dtype.is_complex), input)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        factor = node.outputs[0]
        dims = shape(factor)
        inverse = make("MatrixTriangularSolve", factor, eye(dims[-1], batch_shape=dims[:-2], dtype=factor.dtype.base_dtype))
        middle = matmul(factor, dy, adjoint_a=True)
        middle = matrix_set_diag(middle, make("Mul", matrix_diag_part(middle), 0.5))
        middle = matrix_band_part(middle, -1, 0)
        dx = matmul(matmul(inverse, middle, adjoint_a=True), inverse)
        return [make("Mul", make("AddV2", dx, _adjoint(dx)), 0.5)]


class Qr(Composite):
    """Q with orthonormal columns and the upper triangular R with Q R = input."""

    arguments = ("input: T",)
    results = ("q: T", "r: T")
    types = {"T": TYPES}
    full_matrices: bool = False
    cases = (
        Case(random_matrices(5, 3)), Case(random_matrices(2, 3, 3)), Case(random_matrices(3, 5), gradient=False),
        Case(random_matrices(5, 3), full_matrices=True, gradient=False),
        Case(random_matrices(4, 3) + 1j * random_matrices(4, 3, seed=1), dtypes=("complex128",)),
    )  # fmt: skip

    def infer(self, input: TensorSpec) -> tuple[TensorSpec, TensorSpec]:
        dims = matrix_dims(input)
        if dims is None:
            return TensorSpec(input.dtype, None), TensorSpec(input.dtype, None)
        *batch, m, n = dims
        p: Size = m if self.full_matrices else lift(minimum, m, n)
        return TensorSpec(input.dtype, (*batch, m, p)), TensorSpec(input.dtype, (*batch, p, n))

    def reference(self, input: Any) -> Any:
        return QrFactor(self.full_matrices).numpy_(input)

    def decompose(self, b: Any, input: Any) -> Any:
        return run(b, QrFactor(self.full_matrices, input.dtype.is_complex), input)

    def gradient(self, node: Any, dq: Any, dr: Any) -> Sequence[Any]:
        q, r = node.outputs
        if q.dtype.is_complex:
            raise NotImplementedError(f"QrGrad not implemented for dtype: {q.dtype}")
        if r.shape.ndims is None or None in r.shape.as_list()[-2:]:
            raise NotImplementedError("QrGrad not implemented with dynamic shapes.")
        if r.shape.as_list()[-2] != r.shape.as_list()[-1]:
            raise NotImplementedError("QrGrad not implemented when ncols > nrows or full_matrices is true and ncols != nrows.")
        dq = make("ZerosLike", q) if dq is None else dq
        dr = make("ZerosLike", r) if dr is None else dr

        def divided(x: Any) -> Any:
            """x times the adjoint of r's inverse"""
            return _adjoint(make("MatrixTriangularSolve", r, _adjoint(x), lower=False))

        qdq, rdr = matmul(q, dq, adjoint_a=True), matmul(r, dr, adjoint_b=True)
        lower = matrix_band_part(qdq - _adjoint(qdq) + (rdr - _adjoint(rdr)), -1, 0)
        return [matmul(q, dr + divided(lower)) + divided(dq - matmul(q, qdq))]


class SelfAdjointEigV2(Composite):
    """The eigenvalues of Hermitian matrices, of which the lower triangle is read, in rising order, and their eigenvectors as columns. How
    an eigenvector is signed is left open."""

    arguments = ("input: T",)
    results = ("e: T", "v: T")
    types = {"T": TYPES}
    compute_v: bool = True
    cases = (
        Case(np.diag([1.0, 2.0, 4.0]), gradient=False), Case(_DEFINITE, compute_v=False), Case((0, 0), gradient=False),
        Case(np.array([[2, 1j], [-1j, 5]]), dtypes=("complex128",), compute_v=False),
    )  # fmt: skip

    def infer(self, input: TensorSpec) -> tuple[TensorSpec, TensorSpec]:
        dims = square_dims(input)
        vectors = TensorSpec(input.dtype, dims if self.compute_v else (0,))
        return TensorSpec(input.dtype, None if dims is None else dims[:-1]), vectors

    def reference(self, input: Any) -> Any:
        values, rows = EigenRows().numpy_(input)
        return values.astype(input.dtype), np.swapaxes(rows, -1, -2).astype(input.dtype) if self.compute_v else np.zeros(0, input.dtype)

    def decompose(self, b: Any, input: Any) -> Any:
        values, rows = run(b, EigenRows(input.dtype.is_complex), input)
        falling, rows = in_order(b, b.neg(values), rows)
        rank = len(input.shape)
        vectors = b.permute(rows, [*range(rank - 2), rank - 1, rank - 2]) if self.compute_v else b.constant(np.zeros(0), input.dtype)
        return b.cast(b.neg(falling), input.dtype), vectors

    def gradient(self, node: Any, de: Any, dv: Any) -> Sequence[Any]:
        e = node.outputs[0]
        v = node.outputs[1] if self.compute_v else make("SelfAdjointEigV2", node.inputs[0], compute_v=True)[1]
        inner = matrix_diag(make("ZerosLike", e) if de is None else de)
        if self.compute_v and dv is not None:
            distances = expand_dims(e, -2) - expand_dims(e, -1)
            f = matrix_set_diag(make("Reciprocal", distances), make("ZerosLike", e))
            inner = inner + f * matmul(v, dv, adjoint_a=True)
        dx = matmul(v, matmul(inner, v, adjoint_b=True))
        dx = matrix_band_part(dx + _adjoint(dx), -1, 0)  # only the lower triangle is read
        return [matrix_set_diag(dx, make("Mul", matrix_diag_part(dx), 0.5))]


class Svd(Composite):
    """The singular values of matrices in falling order, and the left and right singular vectors as columns. How a pair of vectors is
    signed is left open."""

    arguments = ("input: T",)
    results = ("s: T", "u: T", "v: T")
    types = {"T": TYPES}
    compute_uv: bool = True
    full_matrices: bool = False
    cases = (
        Case(random_matrices(4, 3), compute_uv=False), Case(random_matrices(2, 3, 5), compute_uv=False),
        Case(random_matrices(3, 3) + 1j, compute_uv=False, dtypes=("complex128",)),
        Case(np.zeros((2, 3)), compute_uv=False, gradient=False),
    )  # fmt: skip

    def infer(self, input: TensorSpec) -> tuple[TensorSpec, ...]:
        dims = matrix_dims(input)
        if dims is None:
            unknown = TensorSpec(input.dtype, None)
            return unknown, unknown if self.compute_uv else TensorSpec(input.dtype, (0,)), unknown
        *batch, m, n = dims
        p: Size = lift(minimum, m, n)
        s = TensorSpec(input.dtype, (*batch, p))
        if not self.compute_uv:
            return s, TensorSpec(input.dtype, (0,)), TensorSpec(input.dtype, (0,))
        left, right = (m, n) if self.full_matrices else (p, p)
        return s, TensorSpec(input.dtype, (*batch, m, left)), TensorSpec(input.dtype, (*batch, n, right))

    def reference(self, input: Any) -> Any:
        if not self.compute_uv:
            empty = np.zeros(0, input.dtype)
            return np.linalg.svd(input, compute_uv=False).astype(input.dtype), empty, empty
        u, s, vh = np.linalg.svd(input, self.full_matrices)
        return s.astype(input.dtype), u, np.conj(np.swapaxes(vh, -1, -2))

    def decompose(self, b: Any, input: Any) -> Any:
        m, n = input.shape[-2:]
        if not (isinstance(m, int) and isinstance(n, int)):
            raise ValueError("the sizes of the matrices must be known to decompose them")  # capture takes the run's own sizes
        if m < n:  # the algorithm wants no more columns than rows: decompose the adjoint
            s, v, u = self._tall(b, adjoint_of(b, input))
        else:
            s, u, v = self._tall(b, input)
        return b.cast(s, input.dtype), u, v

    def _tall(self, b: Any, x: Any) -> tuple[Any, Any, Any]:
        """Singular values (real), left and right vectors of matrices with no more columns than rows."""
        rank, pairs = len(x.shape), x.dtype.is_complex
        m, n = x.shape[-2:]
        order = [*range(rank - 2), rank - 1, rank - 2]
        rows, turns, lengths = run(b, SingularRows(pairs), b.permute(x, order))
        if not self.compute_uv:
            empty = b.constant(np.zeros(0), x.dtype)
            return in_order(b, lengths)[0], empty, empty
        s, rows, turns = in_order(b, lengths, rows, turns)
        large = b.reduce("max", s, (rank - 2,), keepdims=True) if n else s
        bound = b.mul(large, float(np.finfo(s.dtype.as_numpy_dtype).eps) * m)
        null = b.view(b.less_equal(s, bound), (*s.shape[:-1], 1, n))
        u = b.permute(rows, order)
        divisor = b.select(null, b.constant(1, s.dtype), b.view(s, (*s.shape[:-1], 1, n)))
        u = b.select(null, b.constant(0, x.dtype), b.div(u, b.cast(divisor, x.dtype)))
        # Columns without a direction, and those that make the matrix square, come from the orthogonal complement of the others.
        basis, _ = run(b, QrFactor(self.full_matrices, pairs), u)
        first = b.section(basis, (0,) * rank, (*x.shape[:-2], m, n))
        rest = b.section(basis, (*(0,) * (rank - 1), n), (*x.shape[:-2], m, basis.shape[-1] - n))
        return s, b.join([b.select(null, first, u), rest], -1), b.permute(turns, order)

    def gradient(self, node: Any, ds: Any, du: Any, dv: Any) -> Sequence[Any]:
        x = node.inputs[0]
        s = node.outputs[0]
        inner = matrix_diag(make("ZerosLike", s) if ds is None else ds)
        if not self.compute_uv or (du is None and dv is None):
            _, u, v = make("Svd", x, compute_uv=True) if not self.compute_uv or self.full_matrices else node.outputs
            return [matmul(u, matmul(inner, v, adjoint_b=True))]
        if x.dtype.is_complex:
            raise NotImplementedError("SVD gradient is not implemented for complex types and compute_uv=True.")
        u, v = node.outputs[1:]
        m, n = x.shape.as_list()[-2:]
        if m is None or n is None:
            raise NotImplementedError("SVD gradient has not been implemented for input with unknown inner matrix shape.")
        du = make("ZerosLike", u) if du is None else du
        dv = make("ZerosLike", v) if dv is None else dv
        turned = m > n
        if turned:
            m, n, u, v, du, dv = n, m, v, u, dv, du
        if self.full_matrices and n - m > 1:
            raise NotImplementedError("svd gradient is not implemented for abs(m - n) > 1 when full_matrices is True")
        dx = self._wide_gradient(s, u, v, inner, du, dv, m, n)
        return [matrix_transpose(dx) if turned else dx]

    def _wide_gradient(self, s: Any, u: Any, v: Any, inner: Any, du: Any, dv: Any, m: int, n: int) -> Any:
        """Of an m by n matrix with m <= n (Giles, "An extended collection of matrix derivative results", and Townsend, "Differentiating
        the singular value decomposition"). Infinite where singular values are equal."""
        squares, values = make("Square", s), matrix_diag(s)
        dims = shape(s)
        ones = eye(dims[-1], batch_shape=dims[:-1], dtype=s.dtype.base_dtype)
        f = make("Reciprocal", expand_dims(squares, -2) - expand_dims(squares, -1) + ones)
        f = matrix_set_diag(f, make("ZerosLike", s))
        v1, dv1 = v[..., :, :m], dv[..., :, :m]
        fu, fv = f * matmul(u, du, adjoint_a=True), f * matmul(v1, dv1, adjoint_a=True)
        inner = inner + matmul(fu + _adjoint(fu), values) + matmul(values, fv + _adjoint(fv))
        first = matmul(u, matmul(inner, v1, adjoint_b=True))
        if m == n:
            return first
        turned = matrix_transpose(dv1)
        rest = turned - matmul(matmul(turned, v1), v1, adjoint_b=True)
        if self.full_matrices:
            v2, dv2 = v[..., :, m:n], dv[..., :, m:n]
            rest = rest - matmul(matmul(v1, dv2, adjoint_a=True), v2, adjoint_b=True)
        return first + matmul(matmul(u, matrix_diag(make("Reciprocal", s))), rest)


class Lu(Composite):
    """L and U of square matrices in one (the ones of L's diagonal left out), and the row of the input that stands in each of their rows. A
    matrix without an inverse fails the step."""

    arguments = ("input: T",)
    results = ("lu: T", "p: output_idx_type")
    types = {"T": TYPES, "output_idx_type": INDEX}
    differentiable = False
    output_idx_type: DType = int32
    cases = (Case(random_matrices(4, 4)), Case(random_matrices(2, 3, 3)), Case(random_matrices(3, 3) + 1j, dtypes=("complex128",)))

    def infer(self, input: TensorSpec) -> tuple[TensorSpec, TensorSpec]:
        dims = square_dims(input)
        return TensorSpec(input.dtype, dims), TensorSpec(self.output_idx_type, None if dims is None else dims[:-1])

    def reference(self, input: Any) -> Any:
        lu, rows, _ = LuFactor().numpy_(input)
        return lu, rows.astype(self.output_idx_type.as_numpy_dtype)

    def decompose(self, b: Any, input: Any) -> Any:
        lu, rows, _ = run(b, LuFactor(input.dtype.is_complex), input)
        return lu, b.cast(rows, self.output_idx_type)
