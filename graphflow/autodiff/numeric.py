"""Derivatives by finite differences, to check the symbolic ones against.

Comparing whole Jacobians costs an evaluation a number. A random projection costs two in all and misses a wrong gradient with probability
zero: with random weights u over the results and a random direction d in the inputs,

    (u . f(x + h d) - u . f(x - h d)) / 2h     must be     sum over inputs of  (gradient of u . f at x) . d
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Arrays = Sequence[np.ndarray]


def projected_difference(function: Callable[..., Arrays], inputs: Arrays, weights: Arrays, direction: Arrays, step: float) -> float:
    """The central difference of `weights . function` along `direction`, in float64."""

    def project(sign: float) -> float:
        moved = [x + sign * step * d for x, d in zip(inputs, direction, strict=True)]
        return float(sum(np.vdot(u, np.asarray(y, np.float64)) for u, y in zip(weights, function(*moved), strict=True)))

    return (project(1.0) - project(-1.0)) / (2.0 * step)


def gradient_error(function: Callable[..., Arrays], gradients: Callable[[Arrays, Arrays], Sequence[Any]], inputs: Arrays, seed: int = 0,
                   directions: int = 3, step: float = 1e-5) -> float:  # fmt: skip
    """How far `gradients` is from the derivative of `function`: the largest difference over some random projections, relative to the sizes
    that were added up (so that a derivative near zero is not held to digits that cancelled).

    function: float64 arrays -> list of float64 arrays. gradients(weights, inputs): the gradient of sum(weights . function) for each
    input, None for zero.
    """
    random = np.random.RandomState(seed)
    inputs = [np.asarray(x, np.float64) for x in inputs]
    shapes = [np.shape(y) for y in function(*inputs)]
    worst = 0.0
    for _ in range(directions):
        weights = [random.uniform(-1, 1, shape) for shape in shapes]
        direction = [random.uniform(-1, 1, x.shape) for x in inputs]
        measured = projected_difference(function, inputs, weights, direction, step)
        terms = [
            np.asarray(g, np.float64) * d for g, d in zip(gradients(weights, inputs), direction, strict=True) if g is not None
        ]
        stated = float(sum(t.sum() for t in terms))
        size = max(1.0, float(sum(np.abs(t).sum() for t in terms)))
        worst = max(worst, abs(stated - measured) / size)
    return worst
