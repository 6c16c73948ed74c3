"""tf.linalg: products, diagonals and norms of matrices."""

from graphflow.nn.moments import l2_normalize, normalize
from graphflow.ops.clip import global_norm
from graphflow.ops.diagonal import diag as tensor_diag
from graphflow.ops.diagonal import diag_part as tensor_diag_part
from graphflow.ops.diagonal import eye, trace
from graphflow.ops.diagonal import matrix_band_part as band_part
from graphflow.ops.diagonal import matrix_diag as diag
from graphflow.ops.diagonal import matrix_diag_part as diag_part
from graphflow.ops.diagonal import matrix_set_diag as set_diag
from graphflow.ops.matmul import matmul, matvec
from graphflow.ops.reductions import norm
from graphflow.ops.reshape import matrix_transpose
from graphflow.ops.reshape import matrix_transpose as transpose
from graphflow.ops.tensordot import einsum, tensordot

__all__ = [
    "band_part", "diag", "diag_part", "einsum", "eye", "global_norm", "l2_normalize", "matmul", "matrix_transpose", "matvec", "norm",
    "normalize", "set_diag", "tensor_diag", "tensor_diag_part", "tensordot", "trace", "transpose",
]  # fmt: skip
