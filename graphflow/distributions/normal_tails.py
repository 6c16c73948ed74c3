"""The distribution function of the normal distribution, and its logarithm far into the tails."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphflow.dtypes import float32, float64
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.ops.logic import where_v2
from graphflow.ops.source import constant, zeros_like

# Between these, log(ndtr(x)) is computed as it stands; below, ndtr has too few digits, above, it is 1 up to rounding.
_BORDERS = {float32: (-10, 5), float64: (-20, 8)}


def _known(x: Any, name: str) -> Any:
    x = convert_to_tensor(x, name="x")
    if x.dtype not in _BORDERS:
        raise TypeError(f"{name}: x.dtype={x.dtype} is not float32 or float64")
    return x


def ndtr(x, name="ndtr"):
    """P[X <= x] for a normal X of mean 0 and deviation 1. x: float32 or float64, else TypeError."""
    with name_scope(name, values=[x]):
        return _ndtr(_known(x, "ndtr"))


def _ndtr(x: Any) -> Any:
    half_root = constant(0.5 * np.sqrt(2.0), dtype=x.dtype, name="half_sqrt_2")
    w = x * half_root
    z = make("Abs", w)
    near = make("Less", z, half_root)
    middle = 1.0 + make("Erf", w)
    right = make("Greater", w, 0.0)
    y = where_v2(near, middle, where_v2(right, 2.0 - make("Erfc", z), make("Erfc", z)))
    return 0.5 * y


def log_ndtr(x, series_order=3, name="log_ndtr"):
    """log(ndtr(x)); far to the left by an asymptotic series of `series_order` terms (relative error about 1e-6 at the border)."""
    if not isinstance(series_order, int):
        raise TypeError("series_order must be a Python integer.")
    if not 0 <= series_order <= 30:
        raise ValueError("series_order must be non-negative." if series_order < 0 else "series_order must be <= 30.")
    with name_scope(name, values=[x]):
        x = _known(x, "log_ndtr")
        low, high = (np.array(border, x.dtype.as_numpy_dtype) for border in _BORDERS[x.dtype])
        # Every branch gets arguments for which it is finite: a gradient through a branch not taken is 0 * inf otherwise.
        return where_v2(
            make("Greater", x, high), -_ndtr(-x),
            where_v2(
                make("Greater", x, low), make("Log", _ndtr(make("Maximum", x, low))), _log_left(make("Minimum", x, low), series_order)
            ),
        )  # fmt: skip


def _log_left(x: Any, order: int) -> Any:
    """-x**2 / 2 - log(-x) - log(2 pi) / 2 + log(1 - 1/x**2 + 3/x**4 - 15/x**6 ...)"""
    square = make("Square", x)
    scale = -0.5 * square - make("Log", -x) - 0.5 * math.log(2.0 * math.pi)
    if order == 0:
        return scale
    step = power = make("Square", x)
    even, odd = zeros_like(x), zeros_like(x)
    for n in range(1, order + 1):
        term = np.array(math.prod(range(2 * n - 1, 0, -2)), x.dtype.as_numpy_dtype) / power
        if n % 2:
            odd += term
        else:
            even += term
        power *= step
    return scale + make("Log", 1.0 + even - odd)
