"""tf.nn: layers of neural networks as functions, activations and losses with logits."""

from __future__ import annotations

import importlib
from typing import Any

from graphflow.missing import names_of
from graphflow.nn.averages import compute_average_loss, scale_regularization_loss
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
    conv3d_backprop_filter,
    conv3d_transpose,
    conv_transpose,
    convolution,
    depthwise_conv2d,
    depthwise_conv2d_native,
    depthwise_conv2d_native_backprop_filter,
    depthwise_conv2d_native_backprop_input,
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
from graphflow.nn.ctc import collapse_repeated, ctc_loss_v2, ctc_unique_labels
from graphflow.nn.dilated import with_space_to_batch
from graphflow.nn.dropout import dropout
from graphflow.nn.embedding import embedding_lookup, embedding_lookup_sparse, safe_embedding_lookup_sparse
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
from graphflow.nn.sampling import nce_loss, sampled_softmax_loss
from graphflow.ops.activation import crelu, elu, leaky_relu, relu, relu6, selu, sigmoid, softplus, softsign, tanh
from graphflow.ops.blocks import depth_to_space, space_to_batch, space_to_depth
from graphflow.ops.choose import top_k
from graphflow.ops.ctc import ctc_loss
from graphflow.ops.ctc_decoders import ctc_beam_search_decoder, ctc_beam_search_decoder_v2, ctc_greedy_decoder
from graphflow.ops.matmul import bias_add, relu_layer, xw_plus_b
from graphflow.ops.morphology import dilation2d, erosion2d
from graphflow.ops.reductions import l2_loss
from graphflow.ops.samplers import (
    all_candidate_sampler,
    compute_accidental_hits,
    fixed_unigram_candidate_sampler,
    learned_unigram_candidate_sampler,
    log_uniform_candidate_sampler,
    uniform_candidate_sampler,
)  # fmt: skip

conv3d_backprop_filter_v2 = conv3d_backprop_filter
depthwise_conv2d_backprop_filter = depthwise_conv2d_native_backprop_filter
depthwise_conv2d_backprop_input = depthwise_conv2d_native_backprop_input

__all__ = [
    "all_candidate_sampler",
    "atrous_conv2d",
    "atrous_conv2d_transpose",
    "avg_pool",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "avg_pool_v2",
    "batch_norm_with_global_normalization",
    "batch_normalization",
    "bias_add",
    "collapse_repeated",
    "compute_accidental_hits",
    "compute_average_loss",
    "conv1d",
    "conv1d_transpose",
    "conv2d",
    "conv2d_backprop_filter",
    "conv2d_backprop_input",
    "conv2d_transpose",
    "conv3d",
    "conv3d_backprop_filter",
    "conv3d_backprop_filter_v2",
    "conv3d_transpose",
    "conv_transpose",
    "convolution",
    "crelu",
    "ctc_beam_search_decoder",
    "ctc_beam_search_decoder_v2",
    "ctc_greedy_decoder",
    "ctc_loss",
    "ctc_loss_v2",
    "ctc_unique_labels",
    "depth_to_space",
    "depthwise_conv2d",
    "depthwise_conv2d_backprop_filter",
    "depthwise_conv2d_backprop_input",
    "depthwise_conv2d_native",
    "depthwise_conv2d_native_backprop_filter",
    "depthwise_conv2d_native_backprop_input",
    "dilation2d",
    "dropout",
    "elu",
    "embedding_lookup",
    "embedding_lookup_sparse",
    "erosion2d",
    "fixed_unigram_candidate_sampler",
    "fused_batch_norm",
    "in_top_k",
    "l2_loss",
    "l2_normalize",
    "leaky_relu",
    "learned_unigram_candidate_sampler",
    "local_response_normalization",
    "log_poisson_loss",
    "log_softmax",
    "log_uniform_candidate_sampler",
    "lrn",
    "max_pool",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "max_pool_v2",
    "max_pool_with_argmax",
    "moments",
    "nce_loss",
    "normalize_moments",
    "pool",
    "relu",
    "relu6",
    "relu_layer",
    "safe_embedding_lookup_sparse",
    "sampled_softmax_loss",
    "scale_regularization_loss",
    "selu",
    "separable_conv2d",
    "sigmoid",
    "sigmoid_cross_entropy_with_logits",
    "softmax",
    "softmax_cross_entropy_with_logits",
    "softmax_cross_entropy_with_logits_v2",
    "softplus",
    "softsign",
    "space_to_batch",
    "space_to_depth",
    "sparse_softmax_cross_entropy_with_logits",
    "sufficient_statistics",
    "swish",
    "tanh",
    "top_k",
    "uniform_candidate_sampler",
    "weighted_cross_entropy_with_logits",
    "weighted_moments",
    "with_space_to_batch",
    "xw_plus_b",
    "zero_fraction",
]  # fmt: skip

# Recurrent nets are made of layers, which are made of this namespace: they load when they are first used.
_RECURRENT = {
    "rnn_cell": "rnn_cell",
    **dict.fromkeys(("static_bidirectional_rnn", "static_rnn", "static_state_saving_rnn"), "static"),
    **dict.fromkeys(("bidirectional_dynamic_rnn", "dynamic_rnn", "raw_rnn"), "dynamic"),
}


_missing = names_of("nn")


def __getattr__(name: str) -> Any:
    if name not in _RECURRENT:
        return _missing(name)
    module = importlib.import_module(f"graphflow.rnn.{_RECURRENT[name]}")
    value = module if name == "rnn_cell" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *_RECURRENT})
