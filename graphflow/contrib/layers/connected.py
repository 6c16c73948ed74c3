"""Layers with weights: fully connected, convolutions and their transposes, embeddings, biases."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from graphflow import layers
from graphflow.contrib.framework.arg_scope import add_arg_scope
from graphflow.contrib.framework.variables import model_variable
from graphflow.contrib.layers.collections import as_model_variables, collect_output, collect_variable, variable_collections
from graphflow.contrib.layers.initializers import xavier_initializer
from graphflow.graph.build import convert
from graphflow.layers.base import ZEROS
from graphflow.nn.convolution import depthwise_conv2d
from graphflow.nn.embedding import embedding_lookup
from graphflow.ops.activation import elu as elu_function
from graphflow.ops.activation import relu as relu_function
from graphflow.ops.activation import relu6 as relu6_function
from graphflow.ops.distinct import unique as unique_of
from graphflow.ops.gather import gather
from graphflow.ops.joining import concat
from graphflow.ops.matmul import bias_add as nn_bias_add
from graphflow.ops.reshape import reshape
from graphflow.ops.shape import shape as shape_of
from graphflow.ops.variable_scope import variable_scope

XAVIER = xavier_initializer()  # the default of weights
_FORMATS = (None, "NWC", "NCW", "NHWC", "NCHW", "NDHWC", "NCDHW")


def layout(data_format: str | None) -> str:
    """NHWC and its like as tf.layers says it."""
    if data_format not in _FORMATS:
        raise ValueError(f"Invalid data_format: {data_format!r}")
    return "channels_first" if data_format and data_format.startswith("NC") else "channels_last"


def _weighted(default_name: str, inputs: Any, make_layer: Callable[..., Any], given: dict[str, Any], **fields: Any) -> Any:
    """A layer of tf.layers with variables called weights and biases, then normalizer and activation."""
    getter = as_model_variables(kernel="weights", bias="biases", depthwise_kernel="depthwise_weights",
                                pointwise_kernel="pointwise_weights")  # fmt: skip
    with variable_scope(given["scope"], default_name, [inputs], reuse=given["reuse"], custom_getter=getter) as scope:
        inputs = convert(inputs)
        made = make_layer(inputs)(
            activation=None, use_bias=bool(not given["normalizer_fn"] and given["biases_initializer"]),
            bias_initializer=given["biases_initializer"], bias_regularizer=given["biases_regularizer"], activity_regularizer=None,
            trainable=given["trainable"], name=scope.name, dtype=inputs.dtype.base_dtype, _scope=scope, _reuse=given["reuse"], **fields,
        )  # fmt: skip
        outputs = made.apply(inputs)
        for attribute, name in (
            ("kernel", "weights"), ("depthwise_kernel", "weights"), ("pointwise_kernel", "weights"), ("bias", "biases"),
        ):  # fmt: skip
            collect_variable(getattr(made, attribute, None), given["variables_collections"], name)
        return _finished(outputs, given, scope)


def _finished(outputs: Any, given: dict[str, Any], scope: Any) -> Any:
    """What a layer gives: normalized, through its activation, and noted in its collections."""
    if given["normalizer_fn"] is not None:
        outputs = given["normalizer_fn"](outputs, **(given["normalizer_params"] or {}))
    if given["activation_fn"] is not None:
        outputs = given["activation_fn"](outputs)
    return collect_output(given["outputs_collections"], scope.name, outputs)


@add_arg_scope
def fully_connected(inputs, num_outputs, activation_fn=relu_function, normalizer_fn=None, normalizer_params=None,
                    weights_initializer=XAVIER, weights_regularizer=None, biases_initializer=ZEROS, biases_regularizer=None, reuse=None,
                    variables_collections=None, outputs_collections=None, trainable=True, scope=None):  # fmt: skip
    """activation_fn(inputs @ weights + biases); with a normalizer_fn there are no biases."""
    if not isinstance(num_outputs, int):
        raise ValueError(f"num_outputs type should be one of [<class 'int'>], got {type(num_outputs)}.")
    return _weighted(
        "fully_connected", inputs, lambda x: layers.Dense, locals(), units=num_outputs, kernel_initializer=weights_initializer,
        kernel_regularizer=weights_regularizer,
    )  # fmt: skip


def _convolution_class(inputs: Any, rank: int | None) -> type:
    found = inputs.shape.ndims
    if rank is not None and rank + 2 != found:
        raise ValueError(f"Convolution expects input with rank {rank + 2}, got {found}")
    if found not in (3, 4, 5):
        raise ValueError("Convolution not supported for input with rank", found)
    return (layers.Conv1D, layers.Conv2D, layers.Conv3D)[found - 3]


@add_arg_scope
def convolution(inputs, num_outputs, kernel_size, stride=1, padding="SAME", data_format=None, rate=1, activation_fn=relu_function,
                normalizer_fn=None, normalizer_params=None, weights_initializer=XAVIER, weights_regularizer=None,
                biases_initializer=ZEROS, biases_regularizer=None, reuse=None, variables_collections=None, outputs_collections=None,
                trainable=True, scope=None, conv_dims=None):  # fmt: skip
    """A convolution in one, two or three dimensions, as the input's rank says; `rate` is the dilation."""
    return _weighted(
        "Conv", inputs, lambda x: _convolution_class(x, conv_dims), locals(), filters=num_outputs, kernel_size=kernel_size,
        strides=stride, padding=padding, data_format=layout(data_format), dilation_rate=rate, kernel_initializer=weights_initializer,
        kernel_regularizer=weights_regularizer,
    )  # fmt: skip


def _of_rank(rank: int, name: str) -> Callable[..., Any]:
    def function(inputs, num_outputs, kernel_size, stride=1, padding="SAME", data_format=None, rate=1, activation_fn=relu_function,
                 normalizer_fn=None, normalizer_params=None, weights_initializer=XAVIER, weights_regularizer=None,
                 biases_initializer=ZEROS, biases_regularizer=None, reuse=None, variables_collections=None, outputs_collections=None,
                 trainable=True, scope=None):  # fmt: skip
        arguments = {**locals(), "conv_dims": rank}
        del arguments["rank"]
        return convolution(**arguments)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"A convolution in {rank} dimension{'s' * (rank > 1)}; `rate` is the dilation."
    return add_arg_scope(function)


convolution1d = conv1d = _of_rank(1, "convolution1d")
convolution2d = conv2d = _of_rank(2, "convolution2d")
convolution3d = conv3d = _of_rank(3, "convolution3d")


@add_arg_scope
def convolution2d_transpose(inputs, num_outputs, kernel_size, stride=1, padding="SAME", data_format="NHWC", activation_fn=relu_function,
                            normalizer_fn=None, normalizer_params=None, weights_initializer=XAVIER, weights_regularizer=None,
                            biases_initializer=ZEROS, biases_regularizer=None, reuse=None, variables_collections=None,
                            outputs_collections=None, trainable=True, scope=None):  # fmt: skip
    """The transpose of a convolution of images."""
    if data_format not in ("NCHW", "NHWC"):
        raise ValueError("data_format has to be either NCHW or NHWC.")
    return _weighted(
        "Conv2d_transpose", inputs, lambda x: layers.Conv2DTranspose, locals(), filters=num_outputs, kernel_size=kernel_size,
        strides=stride, padding=padding, data_format=layout(data_format), kernel_initializer=weights_initializer,
        kernel_regularizer=weights_regularizer,
    )  # fmt: skip


@add_arg_scope
def convolution3d_transpose(inputs, num_outputs, kernel_size, stride=1, padding="SAME", data_format="NDHWC",
                            activation_fn=relu_function, normalizer_fn=None, normalizer_params=None, weights_initializer=XAVIER,
                            weights_regularizer=None, biases_initializer=ZEROS, biases_regularizer=None, reuse=None,
                            variables_collections=None, outputs_collections=None, trainable=True, scope=None):  # fmt: skip
    """The transpose of a convolution of volumes."""
    if data_format not in ("NCDHW", "NDHWC"):
        raise ValueError("data_format has to be either NCDHW or NDHWC.")
    return _weighted(
        "Conv3d_transpose", inputs, lambda x: layers.Conv3DTranspose, locals(), filters=num_outputs, kernel_size=kernel_size,
        strides=stride, padding=padding, data_format=layout(data_format), kernel_initializer=weights_initializer,
        kernel_regularizer=weights_regularizer,
    )  # fmt: skip


conv2d_transpose, conv3d_transpose = convolution2d_transpose, convolution3d_transpose


@add_arg_scope
def separable_convolution2d(inputs, num_outputs, kernel_size, depth_multiplier=1, stride=1, padding="SAME", data_format="NHWC", rate=1,
                            activation_fn=relu_function, normalizer_fn=None, normalizer_params=None, weights_initializer=XAVIER,
                            pointwise_initializer=None, weights_regularizer=None, biases_initializer=ZEROS, biases_regularizer=None,
                            reuse=None, variables_collections=None, outputs_collections=None, trainable=True, scope=None):  # fmt: skip
    """A convolution of each channel by itself, then one that mixes channels, without which `num_outputs` is None."""
    if data_format not in ("NCHW", "NHWC"):
        raise ValueError("data_format has to be either NCHW or NHWC.")
    if num_outputs is None:
        return _depthwise(inputs, kernel_size, stride, rate, weights_initializer, weights_regularizer, locals())
    return _weighted(
        "SeparableConv2d", inputs, lambda x: layers.SeparableConv2D, locals(), filters=num_outputs, kernel_size=kernel_size,
        strides=stride, padding=padding, data_format=layout(data_format), dilation_rate=rate, depth_multiplier=depth_multiplier,
        depthwise_initializer=weights_initializer, pointwise_initializer=pointwise_initializer or weights_initializer,
        depthwise_regularizer=weights_regularizer, pointwise_regularizer=weights_regularizer,
    )  # fmt: skip


separable_conv2d = separable_convolution2d


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


def _depthwise(inputs: Any, kernel_size: Any, stride: Any, rate: Any, initializer: Any, regularizer: Any, given: dict[str, Any]) -> Any:
    """A convolution of each channel by itself, with biases or a normalizer, and an activation."""
    getter = as_model_variables(bias="biases", depthwise_kernel="depthwise_weights")
    with variable_scope(given["scope"], "SeparableConv2d", [inputs], reuse=given["reuse"], custom_getter=getter) as scope:
        inputs = convert(inputs)
        dtype, data_format = inputs.dtype.base_dtype, given["data_format"]
        channels, multiplier = inputs.shape.as_list()[1 if data_format == "NCHW" else 3], given["depth_multiplier"]
        collections, trainable = given["variables_collections"], given["trainable"]
        weights = model_variable(
            "depthwise_weights", [*_pair(kernel_size), channels, multiplier], dtype, initializer, regularizer, trainable,
            variable_collections(collections, "weights"),
        )  # fmt: skip
        strides = [1, 1, *_pair(stride)] if data_format == "NCHW" else [1, *_pair(stride), 1]
        outputs = depthwise_conv2d(inputs, weights, strides, given["padding"], rate=_pair(rate), data_format=data_format)
        if given["normalizer_fn"] is None and given["biases_initializer"] is not None:
            biases = model_variable(
                "biases", [multiplier * channels], dtype, given["biases_initializer"], given["biases_regularizer"], trainable,
                variable_collections(collections, "biases"),
            )  # fmt: skip
            outputs = nn_bias_add(outputs, biases, data_format=data_format)
        return _finished(outputs, given, scope)


@add_arg_scope
def bias_add(inputs, activation_fn=None, initializer=ZEROS, regularizer=None, reuse=None, variables_collections=None,
             outputs_collections=None, trainable=True, data_format="NHWC", scope=None):  # fmt: skip
    """Inputs plus a bias for each channel."""
    if data_format not in ("NCHW", "NHWC"):
        raise ValueError("data_format has to be either NCHW or NHWC.")
    with variable_scope(scope, "BiasAdd", [inputs], reuse=reuse) as opened:
        inputs = convert(inputs)
        channels = inputs.shape.as_list()[1 if data_format == "NCHW" else -1]
        if channels is None:
            raise ValueError("`C` dimension must be known but is None")
        biases = model_variable(
            "biases", [channels], inputs.dtype.base_dtype, initializer, regularizer, trainable,
            variable_collections(variables_collections, "biases"),
        )  # fmt: skip
        outputs = nn_bias_add(inputs, biases, data_format=data_format)
        if activation_fn is not None:
            outputs = activation_fn(outputs)
        return collect_output(outputs_collections, opened.name, outputs)


def embedding_lookup_unique(params, ids, partition_strategy="mod", name=None):
    """embedding_lookup that looks each different id up once."""
    ids = convert(ids)
    distinct, positions = unique_of(reshape(ids, [-1]))
    rows = gather(embedding_lookup(params, distinct, partition_strategy), positions)
    width = shape_of(rows)[1:]
    result = reshape(rows, concat([shape_of(ids), width], 0), name=name)
    result.set_shape(ids.shape.concatenate(rows.shape[1:]))
    return result


def embed_sequence(ids, vocab_size=None, embed_dim=None, unique=False, initializer=None, regularizer=None, trainable=True, scope=None,
                   reuse=None):  # fmt: skip
    """Rows of a table of `vocab_size` x `embed_dim` for the ids of sequences."""
    if not (reuse or (vocab_size and embed_dim)):
        raise ValueError(
            f"Must specify vocab size and embedding dimension when not reusing. Got vocab_size={vocab_size} and embed_dim={embed_dim}"
        )
    with variable_scope(scope, "EmbedSequence", [ids], reuse=reuse):
        table = None if vocab_size is None or embed_dim is None else [vocab_size, embed_dim]
        embeddings = model_variable("embeddings", table, initializer=initializer, regularizer=regularizer, trainable=trainable)
        return embedding_lookup_unique(embeddings, ids) if unique else embedding_lookup(embeddings, ids)


elu = functools.partial(fully_connected, activation_fn=elu_function)
relu = functools.partial(fully_connected, activation_fn=relu_function)
relu6 = functools.partial(fully_connected, activation_fn=relu6_function)
linear = functools.partial(fully_connected, activation_fn=None)
