"""optimize_loss: a training op from a loss and the name of an optimizer."""

from __future__ import annotations

from typing import Any

from graphflow import train
from graphflow.graph.build import convert, make
from graphflow.graph.collections import GraphKeys
from graphflow.graph.indexed_slices import IndexedSlices
from graphflow.graph.scopes import control_dependencies, get_collection
from graphflow.graph.tensor import Tensor
from graphflow.ops.clip import clip_by_global_norm
from graphflow.ops.initializers import constant_initializer
from graphflow.ops.random import truncated_normal
from graphflow.ops.source import identity
from graphflow.ops.variable_scope import get_variable, variable_scope
from graphflow.ops.variables import trainable_variables

OPTIMIZER_CLS_NAMES = {
    "Adagrad": train.AdagradOptimizer,
    "Adam": train.AdamOptimizer,
    "Ftrl": train.FtrlOptimizer,
    "Momentum": lambda learning_rate: train.MomentumOptimizer(learning_rate, momentum=0.9),
    "RMSProp": train.RMSPropOptimizer,
    "SGD": train.GradientDescentOptimizer,
}
OPTIMIZER_SUMMARIES = ["learning_rate", "loss", "gradients", "gradient_norm", "global_gradient_norm"]


def optimize_loss(loss, global_step, learning_rate, optimizer, gradient_noise_scale=None, gradient_multipliers=None,
                  clip_gradients=None, learning_rate_decay_fn=None, update_ops=None, variables=None, name=None, summaries=None,
                  colocate_gradients_with_ops=False, increment_global_step=True):  # fmt: skip
    """The loss, after a step of the optimizer (a name, a class, an instance, or a function of the learning rate).

    `summaries` is checked; no summaries are made.
    """
    loss = convert(loss)
    if loss.shape.ndims not in (0, None):
        raise ValueError(f"Expected scalar shape for {loss.name}, saw shape: {loss.shape}.")
    if global_step is None:
        global_step = train.get_global_step()
    else:
        train.assert_global_step(global_step)
    for summary in summaries or ():
        if summary not in OPTIMIZER_SUMMARIES:
            raise ValueError(f"Summaries should be one of [{', '.join(OPTIMIZER_SUMMARIES)}], you provided {summary}.")
    with variable_scope(name, "OptimizeLoss", [loss, global_step]):
        before = list(dict.fromkeys(get_collection(GraphKeys.UPDATE_OPS))) if update_ops is None else list(update_ops)
        if before:
            with control_dependencies(before):
                loss = identity(loss)
        rate = _learning_rate(learning_rate)
        if rate is not None and learning_rate_decay_fn is not None:
            if global_step is None:
                raise ValueError("global_step is required for learning_rate_decay_fn.")
            rate = learning_rate_decay_fn(rate, global_step)
        chosen = _optimizer(optimizer, rate)
        pairs = chosen.compute_gradients(
            loss, trainable_variables() if variables is None else variables, colocate_gradients_with_ops=colocate_gradients_with_ops
        )
        if gradient_noise_scale is not None:
            pairs = _with_noise(pairs, gradient_noise_scale)
        if gradient_multipliers is not None:
            pairs = [_multiplied(g, v, gradient_multipliers) for g, v in pairs]
        if isinstance(clip_gradients, float):
            gradients, kept = zip(*pairs, strict=True)
            pairs = list(zip(clip_by_global_norm(gradients, clip_gradients)[0], kept, strict=True))
        elif callable(clip_gradients):
            pairs = clip_gradients(pairs)
        elif clip_gradients is not None:
            raise ValueError(f"Unknown type {type(clip_gradients)} for clip_gradients")
        step = chosen.apply_gradients(pairs, global_step=global_step if increment_global_step else None, name="train")
        with control_dependencies([step]):
            return identity(loss, name="control_dependency")


def _learning_rate(value: Any) -> Any:
    if value is None or isinstance(value, Tensor) and value.shape.ndims == 0:
        return value
    if not isinstance(value, float):
        raise ValueError(f"Learning rate should be 0d Tensor or float. Got {value} of type {type(value)}")
    if value < 0.0:
        raise ValueError(f"Invalid learning_rate {value}.")
    return get_variable("learning_rate", [], trainable=False, initializer=constant_initializer(value))


def _optimizer(given: Any, rate: Any) -> train.Optimizer:
    if isinstance(given, train.Optimizer):
        return given
    if isinstance(given, str):
        if given not in OPTIMIZER_CLS_NAMES:
            raise ValueError(f"Optimizer name should be one of [{', '.join(OPTIMIZER_CLS_NAMES)}], you provided {given}.")
        make_one: Any = OPTIMIZER_CLS_NAMES[given]
    elif callable(given):
        make_one = given
    else:
        raise ValueError(f"Unrecognized optimizer: should be string, subclass of Optimizer, instance of subclass of Optimizer or "
                         f"function with one argument. Got {given}.")  # fmt: skip
    if rate is None and (isinstance(given, (str, type))):
        raise ValueError(f"Learning rate is None, but should be specified if optimizer is string or class ({given}).")
    made = make_one(rate) if rate is not None else make_one()
    if not isinstance(made, train.Optimizer):
        raise ValueError(f"Unrecognized optimizer: function should return subclass of Optimizer. Got {made}.")
    return made


def _with_noise(pairs: Any, scale: float) -> list[Any]:
    noisy = []
    for gradient, variable in pairs:
        if gradient is not None:
            shape = gradient.dense_shape if isinstance(gradient, IndexedSlices) else gradient.shape
            gradient = convert(gradient) + truncated_normal(shape) * scale
        noisy.append((gradient, variable))
    return noisy


def _multiplied(gradient: Any, variable: Any, factors: dict[Any, Any]) -> Any:
    factor = factors.get(variable, factors.get(variable.name)) if gradient is not None else None
    if factor is None:
        return gradient, variable
    factor = convert(factor, gradient.dtype.base_dtype)
    if isinstance(gradient, IndexedSlices):
        return IndexedSlices(make("Mul", gradient.values, factor), gradient.indices, gradient.dense_shape), variable
    return make("Mul", gradient, factor), variable
