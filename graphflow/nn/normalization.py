"""tf.nn's normalisations."""

from __future__ import annotations

import numpy as np

from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.ops.arguments import renamed
from graphflow.ops.logic import cast


def batch_normalization(x, mean, variance, offset, scale, variance_epsilon, name=None):
    """(x - mean) / sqrt(variance + variance_epsilon) * scale + offset; scale and offset may be None."""
    with name_scope(name, "batchnorm", [x, mean, variance, scale, offset]):
        inverse = make("Rsqrt", variance + variance_epsilon)
        if scale is not None:
            inverse *= scale
        return x * cast(inverse, x.dtype) + cast(offset - mean * inverse if offset is not None else -mean * inverse, x.dtype)


def fused_batch_norm(x, scale, offset, mean=None, variance=None, epsilon=0.001, data_format="NHWC", is_training=True, name=None):
    """Batch normalisation of images in one op; gives y and the batch's mean and variance."""
    x = convert_to_tensor(x, name="input")
    scale = convert_to_tensor(scale, name="scale")
    offset = convert_to_tensor(offset, name="offset")
    if is_training and (mean is not None or variance is not None):
        raise ValueError("Both 'mean' and 'variance' must be None if is_training is True.")
    if mean is None:
        mean = convert_to_tensor(np.zeros(0, np.float32))
    if variance is None:
        variance = convert_to_tensor(np.zeros(0, np.float32))
    # The least epsilon that every device's library takes; TensorFlow raises smaller ones to it.
    epsilon = max(epsilon, 1.001e-5)
    results = make(
        "FusedBatchNormV3", x, scale, offset, mean, variance, epsilon=float(epsilon), data_format=data_format,
        is_training=bool(is_training), name=name,
    )  # fmt: skip
    return results[:3]


def batch_norm_with_global_normalization(t=None, m=None, v=None, beta=None, gamma=None, variance_epsilon=None,
                                         scale_after_normalization=None, name=None, input=None, mean=None, variance=None):  # fmt: skip
    """Batch normalisation with given statistics."""
    t = renamed("input", input, "t", t)
    m = renamed("mean", mean, "m", m)
    v = renamed("variance", variance, "v", v)
    return batch_normalization(t, m, v, beta, gamma if scale_after_normalization else None, variance_epsilon, name)


def local_response_normalization(input, depth_radius=5, bias=1, alpha=1, beta=0.5, name=None):
    """x / (bias + alpha * sum of the squares of the channels at most depth_radius away) ** beta"""
    return make("LRN", input, depth_radius=int(depth_radius), bias=float(bias), alpha=float(alpha), beta=float(beta), name=name)


lrn = local_response_normalization
