"""Learning rates that change with the global step."""

from __future__ import annotations

import math
from typing import Any

from graphflow import dtypes
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.ops.control_flow.case import case
from graphflow.ops.control_flow.cond import cond
from graphflow.ops.logic import cast
from graphflow.ops.random import random_normal


def _progress(learning_rate: Any, global_step: Any, decay_steps: Any, factor: Any, staircase: bool) -> tuple[Any, Any, Any]:
    """The learning rate, `factor` of its type, and global_step / decay_steps, rounded down if `staircase`."""
    rate = convert_to_tensor(learning_rate, name="initial_learning_rate")
    steps, factor, step = (cast(v, rate.dtype) for v in (decay_steps, factor, global_step))
    passed = step / steps
    return rate, factor, make("Floor", passed) if staircase else passed


def exponential_decay(learning_rate: Any, global_step: Any, decay_steps: Any, decay_rate: Any, staircase: bool = False,
                      name: str | None = None) -> Any:  # fmt: skip
    """learning_rate * decay_rate ^ (global_step / decay_steps), with the exponent rounded down if `staircase`."""
    with name_scope(name or "ExponentialDecay") as scope:
        rate, base, passed = _progress(learning_rate, global_step, decay_steps, decay_rate, staircase)
        return make("Mul", rate, make("Pow", base, passed), name=scope)


def natural_exp_decay(learning_rate: Any, global_step: Any, decay_steps: Any, decay_rate: Any, staircase: bool = False,
                      name: str | None = None) -> Any:  # fmt: skip
    """learning_rate * exp(-decay_rate * global_step / decay_steps), with the quotient rounded down if `staircase`."""
    base = make("Exp", make("Neg", decay_rate))
    return exponential_decay(learning_rate, global_step, decay_steps, base, staircase, name)


def inverse_time_decay(learning_rate: Any, global_step: Any, decay_steps: Any, decay_rate: Any, staircase: bool = False,
                       name: str | None = None) -> Any:  # fmt: skip
    """learning_rate / (1 + decay_rate * global_step / decay_steps), with the quotient rounded down if `staircase`."""
    with name_scope(name or "InverseTimeDecay") as scope:
        rate, slope, passed = _progress(learning_rate, global_step, decay_steps, decay_rate, staircase)
        one = cast(convert_to_tensor(1, name="Const"), rate.dtype)
        return make("RealDiv", rate, make("Add", one, make("Mul", slope, passed)), name=scope)


def polynomial_decay(learning_rate: Any, global_step: Any, decay_steps: Any, end_learning_rate: Any = 0.0001, power: Any = 1.0,
                     cycle: bool = False, name: str | None = None) -> Any:  # fmt: skip
    """From learning_rate to end_learning_rate in decay_steps along (1 - t) ^ power; `cycle` starts over with a longer decay."""
    with name_scope(name or "PolynomialDecay") as scope:
        rate = convert_to_tensor(learning_rate, name="initial_learning_rate")
        end, exponent, step, steps = (cast(v, rate.dtype) for v in (end_learning_rate, power, global_step, decay_steps))
        if cycle:
            # The first cycle lasts decay_steps, at step 0 too, where the quotient would round up to none.
            steps = make("Mul", steps, cond(make("Equal", step, 0), lambda: 1.0, lambda: make("Ceil", step / decay_steps)))
        else:
            step = make("Minimum", step, decay_steps)
        passed = step / steps
        return make("Add", make("Mul", rate - end, make("Pow", 1 - passed, exponent)), end, name=scope)


def cosine_decay(learning_rate: Any, global_step: Any, decay_steps: Any, alpha: Any = 0.0, name: str | None = None) -> Any:
    """From learning_rate to alpha * learning_rate in decay_steps along half a cosine wave."""
    with name_scope(name or "CosineDecay"):
        rate = convert_to_tensor(learning_rate, name="initial_learning_rate")
        steps, step = (cast(v, rate.dtype) for v in (decay_steps, global_step))
        fraction = make("Minimum", step, steps) / steps
        decayed = 0.5 * (1.0 + make("Cos", convert_to_tensor(math.pi, name="Const") * fraction))
        return make("Mul", rate, (1 - alpha) * decayed + alpha)


def linear_cosine_decay(learning_rate: Any, global_step: Any, decay_steps: Any, num_periods: float = 0.5, alpha: float = 0.0,
                        beta: float = 0.001, name: str | None = None) -> Any:  # fmt: skip
    """A cosine of num_periods waves that a straight line pulls to (nearly) zero in decay_steps."""
    with name_scope(name or "LinearCosineDecay") as scope:
        rate = convert_to_tensor(learning_rate, name="initial_learning_rate")
        steps, periods, lift, floor, step = (cast(v, rate.dtype) for v in (decay_steps, num_periods, alpha, beta, global_step))
        step = make("Minimum", step, steps)
        line = (steps - step) / steps
        wave = 0.5 * (1.0 + make("Cos", convert_to_tensor(math.pi, name="Const") * (2.0 * periods * (step / steps))))
        return make("Mul", rate, (lift + line) * wave + floor, name=scope)


def cosine_decay_restarts(learning_rate: Any, global_step: Any, first_decay_steps: Any, t_mul: Any = 2.0, m_mul: Any = 1.0,
                          alpha: Any = 0.0, name: str | None = None) -> Any:  # fmt: skip
    """cosine_decay again and again (SGDR, Loshchilov and Hutter 2016): each period t_mul times as long as the one before, from m_mul times
    its learning rate."""
    with name_scope(name or "SGDRDecay") as scope:
        rate = convert_to_tensor(learning_rate, name="initial_learning_rate")
        first, floor, longer, lower = (cast(v, rate.dtype) for v in (first_decay_steps, alpha, t_mul, m_mul))
        passed = cast(global_step, rate.dtype) / first

        def equal_periods() -> tuple[Any, Any]:
            restarts = make("Floor", passed)
            return restarts, passed - restarts

        def growing_periods() -> tuple[Any, Any]:
            restarts = make("Floor", make("Log", 1.0 - passed * (1.0 - longer)) / make("Log", longer))
            begun = (1.0 - longer**restarts) / (1.0 - longer)
            return restarts, (passed - begun) / longer**restarts

        restarts, fraction = cond(make("Equal", longer, 1.0), equal_periods, growing_periods)
        wave = 0.5 * lower**restarts * (1.0 + make("Cos", convert_to_tensor(math.pi, name="Const") * fraction))
        return make("Mul", rate, (1 - floor) * wave + floor, name=scope)


def noisy_linear_cosine_decay(learning_rate: Any, global_step: Any, decay_steps: Any, initial_variance: float = 1.0,
                              variance_decay: float = 0.55, num_periods: float = 0.5, alpha: float = 0.0, beta: float = 0.001,
                              name: str | None = None) -> Any:  # fmt: skip
    """linear_cosine_decay with noise on the straight line, of variance initial_variance / (1 + global_step) ^ variance_decay."""
    with name_scope(name or "NoisyLinearCosineDecay") as scope:
        rate = convert_to_tensor(learning_rate, name="initial_learning_rate")
        numbers = (decay_steps, initial_variance, variance_decay, num_periods, alpha, beta, global_step)
        steps, variance, power, periods, lift, floor, step = (cast(v, rate.dtype) for v in numbers)
        step = make("Minimum", step, steps)
        line = (steps - step) / steps
        deviation = make("Sqrt", variance / make("Pow", 1.0 + step, power))
        line = line + random_normal(line.shape, stddev=deviation)
        wave = 0.5 * (1.0 + make("Cos", convert_to_tensor(math.pi, name="Const") * (2.0 * periods * (step / steps))))
        return make("Mul", rate, (lift + line) * wave + floor, name=scope)


def piecewise_constant(x: Any, boundaries: Any, values: Any, name: str | None = None) -> Any:
    """values[0] up to and with boundaries[0], then values[1] up to boundaries[1], ..., and the last value after the last boundary."""
    if len(boundaries) != len(values) - 1:
        raise ValueError("The length of boundaries should be 1 less than the length of values")
    limits = [convert_to_tensor(b) for b in boundaries]
    chosen = [convert_to_tensor(v) for v in values]
    step = convert_to_tensor(x)
    limits = [_comparable(b, step) for b in limits]
    for v in chosen[1:]:
        if v.dtype.base_dtype != chosen[0].dtype.base_dtype:
            raise ValueError(f"Values must have elements all with the same dtype ({chosen[0].dtype.base_dtype} vs {v.dtype.base_dtype}).")
    with name_scope(name or "PiecewiseConstant"):
        pairs = [(step <= limits[0], lambda: chosen[0]), (step > limits[-1], lambda: chosen[-1])]
        for low, high, value in zip(limits[:-1], limits[1:], chosen[1:-1], strict=True):
            between = (step > low) & (step <= high)
            pairs.append((between, lambda value=value: value))
        return case(pairs, lambda: chosen[0], exclusive=True)


def _comparable(boundary: Any, step: Any) -> Any:
    kind, wanted = boundary.dtype.base_dtype, step.dtype.base_dtype
    if kind == wanted:
        return boundary
    if kind == dtypes.int32 and wanted == dtypes.int64:
        return cast(boundary, wanted)
    raise ValueError(f"Boundaries ({kind}) must have the same dtype as x ({wanted}).")


piecewise_constant_decay = piecewise_constant
