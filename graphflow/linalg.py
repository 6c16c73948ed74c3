"""tf.linalg: products, decompositions, solutions, diagonals and norms of matrices."""

from graphflow.missing import names_of
from graphflow.nn.moments import l2_normalize, normalize
from graphflow.ops.clip import global_norm
from graphflow.ops.diagonal import diag as tensor_diag
from graphflow.ops.diagonal import diag_part as tensor_diag_part
from graphflow.ops.diagonal import eye, trace
from graphflow.ops.diagonal import matrix_band_part as band_part
from graphflow.ops.diagonal import matrix_diag as diag
from graphflow.ops.diagonal import matrix_diag_part as diag_part
from graphflow.ops.diagonal import matrix_set_diag as set_diag
from graphflow.ops.linalg.exponential import expm
from graphflow.ops.linalg.functions import (
    adjoint,
    cholesky,
    cholesky_solve,
    logdet,
    lu,
    matrix_rank,
    pinv,
    qr,
    slogdet,
    svd,
)
from graphflow.ops.linalg.functions import matrix_determinant as det
from graphflow.ops.linalg.functions import matrix_inverse as inv
from graphflow.ops.linalg.functions import matrix_solve as solve
from graphflow.ops.linalg.functions import matrix_solve_ls as lstsq
from graphflow.ops.linalg.functions import matrix_triangular_solve as triangular_solve
from graphflow.ops.linalg.functions import self_adjoint_eig as eigh
from graphflow.ops.linalg.functions import self_adjoint_eigvals as eigvalsh
from graphflow.ops.matmul import matmul, matvec
from graphflow.ops.reductions import norm
from graphflow.ops.reshape import matrix_transpose
from graphflow.ops.reshape import matrix_transpose as transpose
from graphflow.ops.tensordot import einsum, tensordot

__all__ = [
    "adjoint", "band_part", "cholesky", "cholesky_solve", "det", "diag", "diag_part", "eigh", "eigvalsh", "einsum", "expm", "eye",
    "global_norm", "inv", "l2_normalize", "logdet", "lstsq", "lu", "matmul", "matrix_rank", "matrix_transpose", "matvec", "norm",
    "normalize", "pinv", "qr", "set_diag", "slogdet", "solve", "svd", "tensor_diag", "tensor_diag_part", "tensordot", "trace",
    "transpose", "triangular_solve",
]  # fmt: skip

globals()["__getattr__"] = names_of("linalg")
