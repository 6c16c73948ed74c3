"""Initializers whose spread follows from the number of inputs and outputs of a layer."""

from __future__ import annotations

import math
from typing import Any

from graphflow.dtypes import float32
from graphflow.ops.random import random_uniform, truncated_normal


def xavier_initializer(uniform=True, seed=None, dtype=float32):
    """Glorot's and Bengio's: variance 2 / (inputs + outputs)."""
    return variance_scaling_initializer(1.0, "FAN_AVG", uniform, seed, dtype)


xavier_initializer_conv2d = xavier_initializer


def variance_scaling_initializer(factor=2.0, mode="FAN_IN", uniform=False, seed=None, dtype=float32):
    """Variance factor / n, where n counts the inputs, the outputs, or is their mean."""
    if not dtype.is_floating:
        raise TypeError("Cannot create initializer for non-floating point type.")
    if mode not in ("FAN_IN", "FAN_OUT", "FAN_AVG"):
        raise TypeError(f"Unknown mode {mode} [FAN_IN, FAN_OUT, FAN_AVG]")

    def initializer(shape: Any, dtype: Any = dtype, partition_info: Any = None) -> Any:
        if not dtype.is_floating:
            raise TypeError("Cannot create initializer for non-floating point type.")
        sizes = [float(n) for n in shape]
        field = math.prod(sizes[:-2])
        inputs = field * sizes[-2 if len(sizes) > 1 else -1] if sizes else 1.0
        outputs = field * sizes[-1] if sizes else 1.0
        count = {"FAN_IN": inputs, "FAN_OUT": outputs, "FAN_AVG": (inputs + outputs) / 2.0}[mode]
        if uniform:
            limit = math.sqrt(3.0 * factor / count)
            return random_uniform(shape, -limit, limit, dtype, seed=seed)
        # 1.3 makes up for the tails that the truncated normal leaves out
        return truncated_normal(shape, 0.0, math.sqrt(1.3 * factor / count), dtype, seed=seed)

    return initializer
