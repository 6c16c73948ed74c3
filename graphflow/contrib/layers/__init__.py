"""tf.contrib.layers: layer functions with normalizers, regularizers and arg_scope."""

from graphflow.contrib.layers.connected import (
    bias_add,
    conv1d,
    conv2d,
    conv2d_transpose,
    conv3d,
    conv3d_transpose,
    convolution,
    convolution1d,
    convolution2d,
    convolution2d_transpose,
    convolution3d,
    convolution3d_transpose,
    elu,
    embed_sequence,
    embedding_lookup_unique,
    fully_connected,
    linear,
    relu,
    relu6,
    separable_conv2d,
    separable_convolution2d,
)
from graphflow.contrib.layers.initializers import variance_scaling_initializer, xavier_initializer, xavier_initializer_conv2d
from graphflow.contrib.layers.normalization import batch_norm, layer_norm
from graphflow.contrib.layers.optimizers import OPTIMIZER_CLS_NAMES, OPTIMIZER_SUMMARIES, optimize_loss
from graphflow.contrib.layers.regularizers import (
    apply_regularization,
    l1_l2_regularizer,
    l1_regularizer,
    l2_regularizer,
    sum_regularizer,
)
from graphflow.contrib.layers.shaping import (
    avg_pool2d,
    avg_pool3d,
    dropout,
    flatten,
    max_pool2d,
    max_pool3d,
    maxout,
    one_hot_encoding,
    repeat,
    softmax,
    stack,
    unit_norm,
)
from graphflow.missing import names_of

__all__ = [
    "OPTIMIZER_CLS_NAMES", "OPTIMIZER_SUMMARIES", "apply_regularization", "avg_pool2d", "avg_pool3d", "batch_norm", "bias_add", "conv1d",
    "conv2d", "conv2d_transpose", "conv3d", "conv3d_transpose", "convolution", "convolution1d", "convolution2d",
    "convolution2d_transpose", "convolution3d", "convolution3d_transpose", "dropout", "elu", "embed_sequence", "embedding_lookup_unique",
    "flatten", "fully_connected", "l1_l2_regularizer", "l1_regularizer", "l2_regularizer", "layer_norm", "linear", "max_pool2d",
    "max_pool3d", "maxout", "one_hot_encoding", "optimize_loss", "relu", "relu6", "repeat", "separable_conv2d",
    "separable_convolution2d", "softmax", "stack", "sum_regularizer", "unit_norm", "variance_scaling_initializer", "xavier_initializer",
    "xavier_initializer_conv2d",
]  # fmt: skip

globals()["__getattr__"] = names_of("contrib.layers")
