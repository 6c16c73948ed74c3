"""The public functions of linear algebra."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np

from graphflow.dtypes import as_dtype, complex128, float32, int32
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.ops.complex_numbers import real
from graphflow.ops.diagonal import eye, matrix_diag_part
from graphflow.ops.logic import cast
from graphflow.ops.matmul import matmul
from graphflow.ops.reductions import reduce_max, reduce_sum
from graphflow.ops.reshape import matrix_transpose
from graphflow.ops.shape import shape

__all__ = [
    "cholesky", "cholesky_solve", "matrix_determinant", "matrix_inverse", "matrix_solve", "matrix_solve_ls", "matrix_triangular_solve",
    "qr", "self_adjoint_eig", "self_adjoint_eigvals", "svd",
]  # fmt: skip

_Qr = namedtuple("Qr", "q r")
_Lu = namedtuple("Lu", "lu p")
_LogMatrixDeterminant = namedtuple("LogMatrixDeterminant", "sign log_abs_determinant")


def cholesky(input, name=None):
    """The lower triangular L with L L^H = input, of shape [..., M, M], Hermitian and positive definite; only its lower triangle is read.

    Raises InvalidArgumentError in a run where a matrix is not positive definite.
    """
    return make("Cholesky", input, name=name)


def cholesky_solve(chol, rhs, name=None):
    """The X with A X = rhs, from the Cholesky factor of A."""
    with name_scope(name, "cholesky_solve", [chol, rhs]):
        y = make("MatrixTriangularSolve", chol, rhs, adjoint=False, lower=True)
        return make("MatrixTriangularSolve", chol, y, adjoint=True, lower=True)


def matrix_inverse(input, adjoint=False, name=None):
    """The inverses of square matrices [..., M, M], or of their adjoints. Raises InvalidArgumentError in a run where there is none."""
    return make("MatrixInverse", input, adjoint=bool(adjoint), name=name)


def matrix_determinant(input, name=None):
    """The determinants of square matrices [..., M, M], shape [...]."""
    return make("MatrixDeterminant", input, name=name)


def slogdet(input, name=None):
    """The signs of determinants and the logarithms of their absolute values."""
    return _LogMatrixDeterminant(*make("LogMatrixDeterminant", input, name=name))


def logdet(matrix, name=None):
    """The logarithm of the determinant of Hermitian positive definite matrices."""
    with name_scope(name, "logdet", [matrix]):
        diagonal = matrix_diag_part(cholesky(matrix))
        return 2.0 * reduce_sum(make("Log", real(diagonal)), axis=[-1])


def matrix_solve(matrix, rhs, adjoint=False, name=None):
    """The X with matrix X = rhs (adjoint: matrix^H X = rhs); shapes [..., M, M] and [..., M, K]."""
    return make("MatrixSolve", matrix, rhs, adjoint=bool(adjoint), name=name)


def matrix_triangular_solve(matrix, rhs, lower=True, adjoint=False, name=None):
    """The X with matrix X = rhs (adjoint: matrix^H X = rhs) for triangular matrices; the other triangle is not read."""
    return make("MatrixTriangularSolve", matrix, rhs, lower=bool(lower), adjoint=bool(adjoint), name=name)


def qr(input, full_matrices=False, name=None):
    """Q with orthonormal columns and the upper triangular R with Q R = input."""
    return _Qr(*make("Qr", input, full_matrices=bool(full_matrices), name=name))


def lu(input, output_idx_type=int32, name=None):
    """L and U of square matrices in one, and the permutation of the rows."""
    return _Lu(*make("Lu", input, output_idx_type=as_dtype(output_idx_type), name=name))


def self_adjoint_eig(tensor, name=None):
    """The eigenvalues of Hermitian matrices in rising order, and the eigenvectors as columns; only the lower triangles are read."""
    return make("SelfAdjointEigV2", tensor, compute_v=True, name=name)


def self_adjoint_eigvals(tensor, name=None):
    """The eigenvalues of Hermitian matrices in rising order."""
    return make("SelfAdjointEigV2", tensor, compute_v=False, name=name)[0]


def svd(tensor, full_matrices=False, compute_uv=True, name=None):
    """The singular values in falling order (s), and unless compute_uv is False the left and right singular vectors (u, v) as columns:
    tensor = u diag(s) v^H."""
    s, u, v = make("Svd", tensor, compute_uv=bool(compute_uv), full_matrices=bool(full_matrices), name=name)
    return (real(s), u, v) if compute_uv else real(s)


def adjoint(matrix, name=None):
    """The conjugate transposes of the matrices in the last two dimensions."""
    with name_scope(name, "adjoint", [matrix]):
        return matrix_transpose(convert_to_tensor(matrix, name="matrix"), conjugate=True)


def _gramian_factor(matrix: Any, l2_regularizer: Any, tall: bool) -> Any:
    """The Cholesky factor of matrix^H matrix (or matrix matrix^H) + l2_regularizer."""
    gramian = matmul(matrix, matrix, adjoint_a=tall, adjoint_b=not tall)
    if hasattr(l2_regularizer, "graph") or l2_regularizer != 0:
        dims = shape(matrix)
        identity = eye(dims[-1 if tall else -2], batch_shape=dims[:-2], dtype=matrix.dtype.base_dtype)
        gramian = gramian + cast(l2_regularizer, matrix.dtype) * identity
    return cholesky(gramian)


def matrix_solve_ls(matrix, rhs, l2_regularizer=0.0, fast=True, name=None):
    """The least squares solutions of matrix X = rhs; of several the shortest. `l2_regularizer` is added to the normal equations; without
    `fast` they are not formed, and matrices without full rank are solved too."""
    with name_scope(name, "matrix_solve_ls", [matrix, rhs, l2_regularizer]):
        matrix = convert_to_tensor(matrix, name="matrix")
        rhs = convert_to_tensor(rhs, matrix.dtype.base_dtype, name="rhs")
        regular = hasattr(l2_regularizer, "graph") or l2_regularizer != 0
        if matrix.dtype.base_dtype == complex128 and regular:
            raise NotImplementedError(
                "matrix_solve_ls is currently disabled for complex128 and l2_regularizer != 0 due to poor accuracy."
            )
        rows, columns = matrix.shape.as_list()[-2:] if matrix.shape.ndims else (None, None)
        if not fast or rows is None or columns is None:
            return _shortest_solution(matrix, rhs)
        if rows >= columns:
            return cholesky_solve(_gramian_factor(matrix, l2_regularizer, True), matmul(matrix, rhs, adjoint_a=True))
        return matmul(matrix, cholesky_solve(_gramian_factor(matrix, l2_regularizer, False), rhs), adjoint_a=True)


def _shortest_solution(matrix: Any, rhs: Any) -> Any:
    """By way of singular values, those that are next to nothing left out."""
    s, u, v = make("Svd", matrix)
    sizes = real(s)
    bound = reduce_max(sizes, axis=-1, keepdims=True) * (float(np.finfo(sizes.dtype.as_numpy_dtype).eps) * 10)
    inverse = make("SelectV2", sizes > bound, make("Reciprocal", sizes), make("ZerosLike", sizes))
    inverse = cast(make("ExpandDims", inverse, -1), matrix.dtype)
    return matmul(v, inverse * matmul(u, rhs, adjoint_a=True))


def pinv(a, rcond=None, validate_args=False, name=None):
    """The Moore-Penrose inverses; singular values below rcond times the largest count as 0."""
    with name_scope(name or "pinv"):
        a = convert_to_tensor(a, name="a")
        if not a.dtype.is_floating:
            raise TypeError("Input `a` must have `float`-like `dtype` " f"(saw {a.dtype.name}).")
        if a.shape.ndims is not None and a.shape.ndims < 2:
            raise ValueError(f"Input `a` must have at least 2 dimensions (saw: {a.shape.ndims}).")
        dtype = a.dtype.base_dtype
        if rcond is None:
            sizes = [d for d in a.shape.as_list()[-2:]] if a.shape.ndims else [None, None]
            longest = max(sizes) if None not in sizes else cast(make("Max", shape(a)[-2:], [0]), dtype)
            rcond = 10.0 * longest * float(np.finfo(dtype.as_numpy_dtype).eps)
        rcond = convert_to_tensor(rcond, dtype=dtype, name="rcond")
        s, u, v = make("Svd", a)
        cutoff = rcond * reduce_max(s, axis=-1)
        s = make("SelectV2", s > make("ExpandDims", cutoff, -1), s, make("Fill", shape(s), np.array(np.inf, dtype.as_numpy_dtype)))
        result = matmul(v / make("ExpandDims", s, -2), u, adjoint_b=True)
        if a.shape.ndims is not None:
            result.set_shape([*a.shape.as_list()[:-2], a.shape.as_list()[-1], a.shape.as_list()[-2]])
        return result


def matrix_rank(a, tol=None, validate_args=False, name=None):
    """How many singular values are above tol (by default the largest times the size times the type's epsilon)."""
    with name_scope(name or "matrix_rank"):
        a = convert_to_tensor(a, dtype_hint(a), name="a")
        s = svd(a, compute_uv=False)
        if tol is None:
            sizes = a.shape.as_list()[-2:] if a.shape.ndims else [None, None]
            longest = float(max(sizes)) if None not in sizes else cast(make("Max", shape(a)[-2:], [0]), a.dtype)
            tol = float(np.finfo(a.dtype.as_numpy_dtype).eps) * longest * reduce_max(s, axis=-1, keepdims=True)
        return reduce_sum(cast(s > tol, "int32"), axis=-1)


def dtype_hint(a: Any) -> Any:
    """float32 for Python numbers, nothing for what has a type."""
    return None if hasattr(a, "dtype") else float32
