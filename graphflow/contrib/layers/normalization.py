"""Batch and layer normalisation."""

from __future__ import annotations

from typing import Any

from graphflow import layers
from graphflow.contrib.framework.arg_scope import add_arg_scope
from graphflow.contrib.framework.variables import model_variable
from graphflow.contrib.layers.collections import as_model_variables, collect_output, collect_variable, variable_collections
from graphflow.contrib.layers.connected import layout
from graphflow.dtypes import float16
from graphflow.graph.build import convert
from graphflow.graph.collections import GraphKeys
from graphflow.graph.scopes import add_to_collections, control_dependencies
from graphflow.layers.base import ONES, ZEROS
from graphflow.layers.conditional import constant_value, smart_cond
from graphflow.nn.moments import moments, weighted_moments
from graphflow.nn.normalization import batch_normalization, fused_batch_norm
from graphflow.ops.reshape import reshape
from graphflow.ops.shape import shape as shape_of
from graphflow.ops.source import constant, identity
from graphflow.ops.variable_scope import variable_scope
from graphflow.train.moving_averages import assign_moving_average


@add_arg_scope
def batch_norm(inputs, decay=0.999, center=True, scale=False, epsilon=0.001, activation_fn=None, param_initializers=None,
               param_regularizers=None, updates_collections=GraphKeys.UPDATE_OPS, is_training=True, reuse=None,
               variables_collections=None, outputs_collections=None, trainable=True, batch_weights=None, fused=None, data_format="NHWC",
               zero_debias_moving_mean=False, scope=None, renorm=False, renorm_clipping=None, renorm_decay=0.99,
               adjustment=None):  # fmt: skip
    """Values brought to mean 0 and variance 1 over the batch, then moved by beta and, if `scale`, scaled by gamma.

    The moving averages are updated by the ops in `updates_collections`, or at once where that is None.
    """
    if data_format not in ("NCHW", "NHWC"):
        raise ValueError("data_format has to be either NCHW or NHWC.")
    if renorm or adjustment is not None:
        raise NotImplementedError("batch normalisation with renorm or adjustment is not implemented")
    inputs = convert(inputs)
    rank = inputs.shape.ndims
    if rank is None:
        raise ValueError(f"Inputs {inputs.name} has undefined rank")
    fused = fused is not False and batch_weights is None and rank in (2, 4)
    plain = updates_collections == GraphKeys.UPDATE_OPS and not zero_debias_moving_mean and batch_weights is None
    given = locals()
    getter = None if fused and (rank == 2 or not plain) else as_model_variables()
    with variable_scope(scope, "BatchNorm", [inputs], reuse=reuse, custom_getter=getter) as opened:
        if plain and not (fused and rank == 2):
            outputs = _by_layer(opened, given)
        else:
            outputs = _by_hand(given)
        if activation_fn is not None:
            outputs = activation_fn(outputs)
        return collect_output(outputs_collections, opened.name, outputs)


def _by_layer(scope: Any, given: dict[str, Any]) -> Any:
    initializers, regularizers = given["param_initializers"] or {}, given["param_regularizers"] or {}
    layer = layers.BatchNormalization(
        axis=1 if layout(given["data_format"]) == "channels_first" else -1, momentum=given["decay"], epsilon=given["epsilon"],
        center=given["center"], scale=given["scale"], beta_initializer=initializers.get("beta", ZEROS),
        gamma_initializer=initializers.get("gamma", ONES), moving_mean_initializer=initializers.get("moving_mean", ZEROS),
        moving_variance_initializer=initializers.get("moving_variance", ONES), beta_regularizer=regularizers.get("beta"),
        gamma_regularizer=regularizers.get("gamma"), trainable=given["trainable"], name=scope.name, _scope=scope,
        _reuse=given["reuse"], fused=given["fused"],
    )  # fmt: skip
    outputs = layer.apply(given["inputs"], training=given["is_training"])
    for name in ("moving_mean", "moving_variance", "beta", "gamma"):
        collect_variable(getattr(layer, name), given["variables_collections"], name)
    return outputs


def _by_hand(given: dict[str, Any]) -> Any:
    """The cases that the layer does not cover: rows as they are, other collections of updates, weights, unbiased averages."""
    inputs, first = given["inputs"], given["data_format"] == "NCHW"
    rank, shape = inputs.shape.ndims, inputs.shape
    axis = 1 if first else rank - 1
    channels = shape.as_list()[axis]
    if channels is None:
        raise ValueError(f"Inputs {inputs.name} has undefined `C` dimension {shape}.")
    if given["fused"] and rank == 2:
        inputs = reshape(inputs, [-1, channels, 1, 1] if first else [-1, 1, 1, channels])

    def parameter(name: str, initializer: Any, trainable: bool) -> Any:
        return model_variable(
            name, [channels], inputs.dtype.base_dtype, (given["param_initializers"] or {}).get(name, initializer),
            (given["param_regularizers"] or {}).get(name) if trainable else None, trainable and given["trainable"],
            variable_collections(given["variables_collections"], name),
        )  # fmt: skip

    beta = parameter("beta", ZEROS, True) if given["center"] else constant(0.0, inputs.dtype.base_dtype, [channels])
    gamma = parameter("gamma", ONES, True) if given["scale"] else constant(1.0, inputs.dtype.base_dtype, [channels])
    average_mean, average_variance = parameter("moving_mean", ZEROS, False), parameter("moving_variance", ONES, False)
    averages = average_mean, average_variance
    outputs = (_fused if given["fused"] else _spread)(inputs, gamma, beta, averages, given, axis)
    original = given["inputs"]
    outputs.set_shape(inputs.shape)
    if outputs.shape.ndims != original.shape.ndims:
        outputs = reshape(outputs, shape_of(original))
    outputs.set_shape(original.shape)
    return outputs


def _fused(inputs: Any, gamma: Any, beta: Any, averages: Any, given: dict[str, Any], axis: int) -> Any:
    training, settings = given["is_training"], {"epsilon": given["epsilon"], "data_format": given["data_format"]}
    outputs, mean, variance = smart_cond(
        training,
        lambda: fused_batch_norm(inputs, gamma, beta, **settings),
        lambda: fused_batch_norm(inputs, gamma, beta, mean=averages[0], variance=averages[1], is_training=False, **settings),
    )
    if constant_value(training) is False:
        return outputs
    if given["updates_collections"] is not None:
        _update_later(averages, (mean, variance), given)
        return outputs

    def updated() -> Any:
        with control_dependencies(_moved(averages, (mean, variance), given)):
            return identity(outputs)

    return smart_cond(training, updated, lambda: outputs)


def _moved(averages: Any, values: Any, given: dict[str, Any]) -> tuple[Any, Any]:
    """The moving averages after a step towards `values`."""
    mean = assign_moving_average(averages[0], values[0], given["decay"], zero_debias=given["zero_debias_moving_mean"])
    return mean, assign_moving_average(averages[1], values[1], given["decay"], zero_debias=False)


def _update_later(averages: Any, values: Any, given: dict[str, Any]) -> None:
    for update in smart_cond(given["is_training"], lambda: _moved(averages, values, given), lambda: averages):
        add_to_collections(given["updates_collections"], update)


def _spread(inputs: Any, gamma: Any, beta: Any, averages: Any, given: dict[str, Any], axis: int) -> Any:
    rank, training = inputs.shape.ndims, given["is_training"]
    mean, variance = averages
    if constant_value(training) is not False:
        mean, variance = _batch_moments(inputs, given, axis)
        if given["updates_collections"] is None:
            batch = mean, variance

            def updated() -> Any:
                with control_dependencies(_moved(averages, batch, given)):
                    return identity(batch[0]), identity(batch[1])

            mean, variance = smart_cond(training, updated, lambda: averages)
        else:
            batch = mean, variance
            _update_later(averages, batch, given)
            mean, variance = smart_cond(training, lambda: batch, lambda: averages)
    if axis != rank - 1:
        wide = [-1 if a == axis else 1 for a in range(rank)]
        mean, variance, beta, gamma = (reshape(v, wide) for v in (mean, variance, beta, gamma))
    return batch_normalization(inputs, mean, variance, beta, gamma, given["epsilon"])


def _batch_moments(inputs: Any, given: dict[str, Any], axis: int) -> Any:
    """Mean and variance over the batch and the positions, [channels] each."""
    rank, last = inputs.shape.ndims, axis == inputs.shape.ndims - 1
    axes = [a for a in range(rank) if a != axis]
    if given["batch_weights"] is None:
        found = moments(inputs, axes, keep_dims=not last)
    else:
        found = weighted_moments(inputs, axes, reshape(given["batch_weights"], [-1] + [1] * (rank - 1)), keep_dims=not last)
    return found if last else tuple(reshape(v, [-1]) for v in found)


@add_arg_scope
def layer_norm(inputs, center=True, scale=True, activation_fn=None, reuse=None, variables_collections=None, outputs_collections=None,
               trainable=True, begin_norm_axis=1, begin_params_axis=-1, scope=None):  # fmt: skip
    """Each example brought to mean 0 and variance 1, then moved by beta and scaled by gamma."""
    with variable_scope(scope, "LayerNorm", [inputs], reuse=reuse) as opened:
        inputs = convert(inputs)
        rank, dtype = inputs.shape.ndims, inputs.dtype.base_dtype
        if rank is None:
            raise ValueError(f"Inputs {inputs.name} has undefined rank.")
        begin_norm_axis += rank if begin_norm_axis < 0 else 0
        if begin_params_axis >= rank or begin_norm_axis >= rank:
            raise ValueError(
                f"begin_params_axis ({begin_params_axis}) and begin_norm_axis ({begin_norm_axis}) must be < rank(inputs) ({rank})"
            )
        sizes = inputs.shape[begin_params_axis:]
        if not sizes.is_fully_defined():
            raise ValueError(f"Inputs {inputs.name}: shape(inputs)[{begin_params_axis}:] is not fully defined: {inputs.shape}")

        def parameter(name: str, initializer: Any) -> Any:
            kept = variable_collections(variables_collections, name)
            return model_variable(name, sizes, dtype, initializer, collections=kept, trainable=trainable)

        beta = parameter("beta", ZEROS) if center else None
        gamma = parameter("gamma", ONES) if scale else None
        mean, variance = moments(inputs, list(range(begin_norm_axis, rank)), keep_dims=True)
        outputs = batch_normalization(inputs, mean, variance, beta, gamma, 1e-3 if dtype == float16 else 1e-12)
        outputs.set_shape(inputs.shape)
        if activation_fn is not None:
            outputs = activation_fn(outputs)
        return collect_output(outputs_collections, opened.name, outputs)


@add_arg_scope
def instance_norm(inputs, center=True, scale=True, epsilon=1e-6, activation_fn=None, param_initializers=None, reuse=None,
                  variables_collections=None, outputs_collections=None, trainable=True, data_format="NHWC", scope=None):  # fmt: skip
    """Each channel of each example brought to mean 0 and variance 1, then moved by beta and scaled by gamma.

    Ulyanov et al., "Instance Normalization: The Missing Ingredient for Fast Stylization", 2016.
    """
    inputs = convert(inputs)
    rank, dtype = inputs.shape.ndims, inputs.dtype.base_dtype
    if rank is None:
        raise ValueError(f"Inputs {inputs.name} has undefined rank.")
    if data_format not in ("NCHW", "NHWC"):
        raise ValueError("data_format has to be either NCHW or NHWC.")
    with variable_scope(scope, "InstanceNorm", [inputs], reuse=reuse) as opened:
        axis = 1 if data_format == "NCHW" else rank - 1
        sizes = inputs.shape[axis : axis + 1]
        if not sizes.is_fully_defined():
            raise ValueError(f"Inputs {inputs.name} has undefined channels dimension {sizes}.")
        initializers = param_initializers or {}

        def parameter(name: str, initializer: Any) -> Any:
            kept = variable_collections(variables_collections, name)
            made = model_variable(name, sizes, dtype, initializers.get(name, initializer), collections=kept, trainable=trainable)
            return reshape(made, [1, sizes[0].value, *[1] * (rank - 2)]) if data_format == "NCHW" else made

        beta = parameter("beta", ZEROS) if center else None
        gamma = parameter("gamma", ONES) if scale else None
        mean, variance = moments(inputs, [a for a in range(1, rank) if a != axis], keep_dims=True)
        outputs = batch_normalization(inputs, mean, variance, beta, gamma, epsilon, name="instancenorm")
        outputs.set_shape(inputs.shape)
        if activation_fn is not None:
            outputs = activation_fn(outputs)
        return collect_output(outputs_collections, opened.name, outputs)
