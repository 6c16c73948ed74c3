"""tf.nn: layers of neural networks as functions, activations and losses with logits."""

from graphflow.nn.convolution import (
    atrous_conv2d,
    atrous_conv2d_transpose,
    conv1d,
    conv1d_transpose,
    conv2d,
    conv2d_backprop_filter,
    conv2d_backprop_input,
    conv2d_transpose,
    conv3d,
    conv3d_transpose,
    conv_transpose,
    convolution,
    depthwise_conv2d,
    depthwise_conv2d_native,
    separable_conv2d,
)  # fmt: skip
from graphflow.nn.cross_entropy import (
    in_top_k,
    log_poisson_loss,
    log_softmax,
    sigmoid_cross_entropy_with_logits,
    softmax,
    softmax_cross_entropy_with_logits,
    softmax_cross_entropy_with_logits_v2,
    sparse_softmax_cross_entropy_with_logits,
    weighted_cross_entropy_with_logits,
)  # fmt: skip
from graphflow.nn.dropout import dropout
from graphflow.nn.embedding import embedding_lookup
from graphflow.nn.moments import (
    l2_normalize,
    moments,
    normalize_moments,
    sufficient_statistics,
    swish,
    weighted_moments,
    zero_fraction,
)  # fmt: skip
from graphflow.nn.normalization import (
    batch_norm_with_global_normalization,
    batch_normalization,
    fused_batch_norm,
    local_response_normalization,
    lrn,
)  # fmt: skip
from graphflow.nn.pooling import (
    avg_pool,
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    avg_pool_v2,
    max_pool,
    max_pool1d,
    max_pool2d,
    max_pool3d,
    max_pool_v2,
    max_pool_with_argmax,
    pool,
)  # fmt: skip
from graphflow.ops.activation import crelu, elu, leaky_relu, relu, relu6, selu, sigmoid, softplus, softsign, tanh
from graphflow.ops.blocks import depth_to_space, space_to_batch, space_to_depth
from graphflow.ops.choose import top_k
from graphflow.ops.matmul import bias_add, relu_layer, xw_plus_b
from graphflow.ops.reductions import l2_loss

__all__ = [
    "atrous_conv2d", "atrous_conv2d_transpose", "avg_pool", "avg_pool1d", "avg_pool2d", "avg_pool3d", "avg_pool_v2",
    "batch_norm_with_global_normalization", "batch_normalization", "bias_add", "conv1d", "conv1d_transpose", "conv2d",
    "conv2d_backprop_filter", "conv2d_backprop_input", "conv2d_transpose", "conv3d", "conv3d_transpose",
    "conv_transpose", "convolution", "crelu", "depth_to_space", "depthwise_conv2d", "depthwise_conv2d_native",
    "dropout", "elu", "embedding_lookup", "fused_batch_norm", "in_top_k", "l2_loss", "l2_normalize", "leaky_relu",
    "local_response_normalization", "log_poisson_loss", "log_softmax", "lrn", "max_pool", "max_pool1d", "max_pool2d",
    "max_pool3d", "max_pool_v2", "max_pool_with_argmax", "moments", "normalize_moments", "pool", "relu", "relu6",
    "relu_layer", "selu", "separable_conv2d", "sigmoid", "sigmoid_cross_entropy_with_logits", "softmax",
    "softmax_cross_entropy_with_logits", "softmax_cross_entropy_with_logits_v2", "softplus", "softsign",
    "space_to_batch", "space_to_depth", "sparse_softmax_cross_entropy_with_logits", "sufficient_statistics", "swish",
    "tanh", "top_k", "weighted_cross_entropy_with_logits", "weighted_moments", "xw_plus_b", "zero_fraction",
]  # fmt: skip
