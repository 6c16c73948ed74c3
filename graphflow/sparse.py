"""tf.sparse: tensors of which only some elements are stored."""

from graphflow.graph.composite import SparseTensor
from graphflow.missing import names_of
from graphflow.ops.accumulators import SparseConditionalAccumulator
from graphflow.ops.sparse import sparse_reduce_max as reduce_max
from graphflow.ops.sparse import sparse_reduce_sum as reduce_sum
from graphflow.ops.sparse import sparse_tensor_dense_matmul as sparse_dense_matmul
from graphflow.ops.sparse import sparse_tensor_to_dense as to_dense
from graphflow.ops.sparse_functions import expand_dims_of as expand_dims
from graphflow.ops.sparse_functions import eye, from_dense
from graphflow.ops.sparse_functions import sparse_add as add
from graphflow.ops.sparse_functions import sparse_concat as concat
from graphflow.ops.sparse_functions import sparse_fill_empty_rows as fill_empty_rows
from graphflow.ops.sparse_functions import sparse_maximum as maximum
from graphflow.ops.sparse_functions import sparse_merge as merge
from graphflow.ops.sparse_functions import sparse_minimum as minimum
from graphflow.ops.sparse_functions import sparse_placeholder as placeholder
from graphflow.ops.sparse_functions import sparse_reorder as reorder
from graphflow.ops.sparse_functions import sparse_reset_shape as reset_shape
from graphflow.ops.sparse_functions import sparse_reshape as reshape
from graphflow.ops.sparse_functions import sparse_retain as retain
from graphflow.ops.sparse_functions import sparse_slice as slice
from graphflow.ops.sparse_functions import sparse_split as split
from graphflow.ops.sparse_functions import sparse_to_indicator as to_indicator
from graphflow.ops.sparse_functions import sparse_transpose as transpose
from graphflow.ops.sparse_segments import sparse_segment_mean as segment_mean
from graphflow.ops.sparse_segments import sparse_segment_sqrt_n as segment_sqrt_n
from graphflow.ops.sparse_segments import sparse_segment_sum as segment_sum

__all__ = [
    "SparseConditionalAccumulator", "SparseTensor", "add", "concat", "expand_dims", "eye", "fill_empty_rows", "from_dense", "maximum",
    "merge", "minimum", "placeholder",
    "reduce_max", "reduce_sum", "reorder", "reset_shape", "reshape", "retain", "segment_mean", "segment_sqrt_n", "segment_sum", "slice",
    "sparse_dense_matmul", "split", "to_dense", "to_indicator", "transpose",
]  # fmt: skip

matmul = sparse_dense_matmul
globals()["__getattr__"] = names_of("sparse")
