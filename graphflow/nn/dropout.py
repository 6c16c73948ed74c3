"""Dropout: elements set to zero at random and the others scaled up, so that the expectation stays."""

from __future__ import annotations

import numbers
from typing import Any

from graphflow.graph.build import convert, name_scope
from graphflow.graph.convert import constant_value
from graphflow.ops.arguments import renamed
from graphflow.ops.logic import cast
from graphflow.ops.random import random_uniform
from graphflow.ops.shape import shape
from graphflow.shapes import TensorShape, as_shape


def dropout(x, keep_prob=None, noise_shape=None, seed=None, name=None, rate=None):
    """x with each element set to zero with probability `rate` (1 - keep_prob) and scaled by 1 / (1 - rate) else."""
    try:
        drop = 1.0 - keep_prob if keep_prob is not None else None
    except TypeError:
        raise ValueError(f"keep_prob must be a floating point number or Tensor (got {keep_prob!r})") from None
    rate = renamed("rate", rate, "keep_prob", drop)
    if rate is None:
        raise ValueError("You must provide a rate to dropout.")
    return dropout_v2(x, rate, noise_shape=noise_shape, seed=seed, name=name)


def dropout_v2(x, rate, noise_shape=None, seed=None, name=None):
    """x with each element set to zero with probability `rate` and scaled by 1 / (1 - rate) else."""
    with name_scope(name, "dropout", [x]):
        x = convert(x, name="x")
        if not x.dtype.is_floating:
            raise ValueError(f"x has to be a floating point tensor since it's going to be scaled. Got a {x.dtype} tensor instead.")
        if isinstance(rate, numbers.Real):
            if not 0 <= rate < 1:
                raise ValueError(f"rate must be a scalar tensor or a float in the range [0, 1), got {rate:g}")
            if rate == 0:
                return x
        rate = convert(rate, x.dtype, "rate")
        rate.shape.assert_has_rank(0)
        if constant_value(rate) == 0:
            return x
        drawn = random_uniform(_noise_shape(x, noise_shape), seed=seed, dtype=x.dtype)
        scale = 1 / (1 - rate)
        kept = drawn >= rate
        out = x * scale * cast(kept, x.dtype)
        out.set_shape(x.shape)
        return out


def _noise_shape(x: Any, noise_shape: Any) -> Any:
    """The shape of the random choice: sizes left open in `noise_shape` are x's."""
    if noise_shape is None:
        return shape(x)
    try:
        given = as_shape(noise_shape).sizes
    except (TypeError, ValueError):
        return noise_shape
    sizes = x.shape.sizes
    if sizes is not None and given is not None and len(sizes) == len(given):
        return TensorShape([s if g is None else g for s, g in zip(sizes, given, strict=True)])
    return noise_shape
