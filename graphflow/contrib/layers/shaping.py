"""Layers without weights: pooling, dropout, flattening, one-hot vectors, stacks of layers."""

from __future__ import annotations

from typing import Any

from graphflow import layers
from graphflow.contrib.framework.arg_scope import add_arg_scope
from graphflow.contrib.layers.collections import as_model_variables, collect_output
from graphflow.contrib.layers.connected import layout
from graphflow.dtypes import int32
from graphflow.graph.build import convert, name_scope
from graphflow.nn.cross_entropy import softmax as nn_softmax
from graphflow.ops.gather import one_hot
from graphflow.ops.logic import to_int64
from graphflow.ops.reductions import norm, reduce_max
from graphflow.ops.reshape import reshape
from graphflow.ops.shape import shape as shape_of
from graphflow.ops.variable_scope import variable_scope


def _pooled(default_name: str, kind: Any, given: dict[str, Any]) -> Any:
    with name_scope(given["scope"], default_name, [given["inputs"]]) as scope:
        layer = kind(
            pool_size=given["kernel_size"], strides=given["stride"], padding=given["padding"], data_format=layout(given["data_format"]),
            _scope=scope,
        )  # fmt: skip
        return collect_output(given["outputs_collections"], scope, layer.apply(convert(given["inputs"])))


@add_arg_scope
def max_pool2d(inputs, kernel_size, stride=2, padding="VALID", data_format="NHWC", outputs_collections=None, scope=None):
    """The largest value of each window of an image."""
    return _pooled("MaxPool2D", layers.MaxPooling2D, locals())


@add_arg_scope
def avg_pool2d(inputs, kernel_size, stride=2, padding="VALID", data_format="NHWC", outputs_collections=None, scope=None):
    """The mean of each window of an image."""
    return _pooled("AvgPool2D", layers.AveragePooling2D, locals())


@add_arg_scope
def max_pool3d(inputs, kernel_size, stride=2, padding="VALID", data_format="NDHWC", outputs_collections=None, scope=None):
    """The largest value of each window of a volume."""
    return _pooled("MaxPool3D", layers.MaxPooling3D, locals())


@add_arg_scope
def avg_pool3d(inputs, kernel_size, stride=2, padding="VALID", data_format="NDHWC", outputs_collections=None, scope=None):
    """The mean of each window of a volume."""
    return _pooled("AvgPool3D", layers.AveragePooling3D, locals())


@add_arg_scope
def dropout(inputs, keep_prob=0.5, noise_shape=None, is_training=True, outputs_collections=None, scope=None, seed=None):
    """While training, elements kept with probability `keep_prob` and scaled up, the others 0."""
    with variable_scope(scope, "Dropout", [inputs], custom_getter=as_model_variables()) as opened:
        layer = layers.Dropout(rate=1 - keep_prob, noise_shape=noise_shape, seed=seed, name=opened.name, _scope=opened)
        return collect_output(outputs_collections, opened.name, layer.apply(convert(inputs), training=is_training))


@add_arg_scope
def flatten(inputs, outputs_collections=None, scope=None):
    """One row per example."""
    with name_scope(scope, "Flatten", [inputs]) as opened:
        return collect_output(outputs_collections, opened, layers.flatten(convert(inputs)))


@add_arg_scope
def one_hot_encoding(labels, num_classes, on_value=1.0, off_value=0.0, outputs_collections=None, scope=None):
    """One-hot rows of class numbers."""
    with name_scope(scope, "OneHotEncoding", [labels, num_classes]) as opened:
        labels = convert(labels)
        if labels.dtype.base_dtype == int32:
            labels = to_int64(labels)
        return collect_output(outputs_collections, opened, one_hot(labels, num_classes, on_value=on_value, off_value=off_value))


@add_arg_scope
def softmax(logits, scope=None):
    """Softmax over the last axis."""
    with variable_scope(scope, "softmax", [logits]):
        rows = reshape(logits, [-1, logits.shape.as_list()[-1]])
        predictions = reshape(nn_softmax(rows), shape_of(logits))
        predictions.set_shape(logits.shape)
        return predictions


@add_arg_scope
def maxout(inputs, num_units, axis=-1, scope=None):
    """The largest of each group of channels, `num_units` groups."""
    with variable_scope(scope, "MaxOut", [inputs]):
        inputs = convert(inputs)
        sizes = inputs.shape.as_list()
        channels = sizes[axis]
        if channels % num_units:
            raise ValueError(f"number of features({channels}) is not a multiple of num_units({num_units})")
        sizes = [-1 if n is None else n for n in sizes]
        sizes[axis] = num_units
        sizes.append(channels // num_units)
        return reduce_max(reshape(inputs, sizes), -1)


@add_arg_scope
def unit_norm(inputs, dim, epsilon=1e-7, scope=None):
    """Inputs divided by their length along an axis."""
    with variable_scope(scope, "UnitNorm", [inputs]):
        inputs = convert(inputs)
        return inputs / norm(inputs + epsilon, axis=dim, keepdims=True)


def _name_of(layer: Any, default: str) -> str:
    return getattr(layer, "__name__", None) or getattr(getattr(layer, "func", None), "__name__", None) or default


def repeat(inputs, repetitions, layer, *args, **kwargs):
    """The same layer several times in a row, in scopes conv_1, conv_2, …"""
    scope = kwargs.pop("scope", None)
    with variable_scope(scope, "Repeat", [inputs]):
        outputs = convert(inputs)
        scope = scope or _name_of(layer, "repeat")
        for number in range(repetitions):
            outputs = layer(outputs, *args, **kwargs, scope=f"{scope}_{number + 1}")
        return outputs


def stack(inputs, layer, stack_args, **kwargs):
    """A layer several times in a row, each time with other arguments, in scopes fc_1, fc_2, …"""
    scope = kwargs.pop("scope", None)
    if not isinstance(stack_args, (list, tuple)):
        raise ValueError("stack_args need to be a list or tuple")
    with variable_scope(scope, "Stack", [inputs]):
        outputs = convert(inputs)
        scope = scope or _name_of(layer, "stack")
        for number, values in enumerate(stack_args):
            values = values if isinstance(values, (list, tuple)) else [values]
            outputs = layer(outputs, *values, **kwargs, scope=f"{scope}_{number + 1}")
        return outputs
