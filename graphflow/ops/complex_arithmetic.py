"""Functions of complex numbers in terms of real ones: what `Op.on_parts` of the arithmetic ops builds.

Each takes a ProgramBuilder and complex Values and gives a complex Value. Formulas avoid intermediate overflow where the textbook form has
it; branch cuts are C's: continuous with the sign of a zero imaginary part.

Source: Kahan, "Branch cuts for complex elementary functions" (1987).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def is_real(x: Any) -> bool:
    """Whether x is known to have no imaginary part: a number that the program multiplies with or divides by."""
    return x.known is not None and not np.any(np.imag(x.known))


def product(b: Any, x: Any, y: Any) -> Any:
    """x * y"""
    if is_real(y):
        return times(b, x, b.parts(y)[0])
    if is_real(x):
        return times(b, y, b.parts(x)[0])
    (xr, xi), (yr, yi) = b.parts(x), b.parts(y)
    return b.pair(b.sub(b.mul(xr, yr), b.mul(xi, yi)), b.add(b.mul(xr, yi), b.mul(xi, yr)))


def square(b: Any, x: Any) -> Any:
    """x * x"""
    re, im = b.parts(x)
    return b.pair(b.sub(b.square(re), b.square(im)), b.mul(b.mul(re, im), 2))


def quotient(b: Any, x: Any, y: Any) -> Any:
    """x / y, the divisor scaled to about 1 first."""
    (xr, xi), (yr, yi) = b.parts(x), b.parts(y)
    if is_real(y):
        return b.pair(b.div(xr, yr), b.div(xi, yr))
    scale = b.make("Reciprocal", b.maximum(b.abs(yr), b.abs(yi)))
    dr, di = b.mul(yr, scale), b.mul(yi, scale)
    over = b.div(scale, b.add(b.square(dr), b.square(di)))
    re = b.mul(b.add(b.mul(xr, dr), b.mul(xi, di)), over)
    return b.pair(re, b.mul(b.sub(b.mul(xi, dr), b.mul(xr, di)), over))


def modulus(b: Any, x: Any) -> Any:
    """|x|, a real Value."""
    re, im = (b.abs(p) for p in b.parts(x))
    large, small = b.maximum(re, im), b.minimum(re, im)
    infinite = b.logical_or(b.make("IsInf", re), b.make("IsInf", im))
    safe = b.select(b.equal(large, 0), 1, large)
    value = b.mul(large, b.sqrt(b.add(b.square(b.div(small, safe)), 1)))
    return b.select(infinite, math.inf, value)


def argument(b: Any, x: Any) -> Any:
    """The angle of x, a real Value."""
    re, im = b.parts(x)
    return b.make("Atan2", im, re)


def conjugate(b: Any, x: Any) -> Any:
    """The complex conjugate."""
    re, im = b.parts(x)
    return b.pair(re, b.neg(im))


def zero(b: Any, x: Any) -> Any:
    """Whether x is 0, a bool Value."""
    re, im = b.parts(x)
    return b.logical_and(b.equal(re, 0), b.equal(im, 0))


def plus(b: Any, x: Any, number: float) -> Any:
    """x + a real number"""
    re, im = b.parts(x)
    return b.pair(b.add(re, number), im)


def times(b: Any, x: Any, number: Any) -> Any:
    """x * a real number or Value"""
    re, im = b.parts(x)
    return b.pair(b.mul(re, number), b.mul(im, number))


def exponential(b: Any, x: Any) -> Any:
    """e to the power x"""
    re, im = b.parts(x)
    size = b.exp(re)
    return b.pair(b.mul(size, b.make("Cos", im)), b.mul(size, b.make("Sin", im)))


def exponential_less_1(b: Any, x: Any) -> Any:
    """e to the power x, less 1, exact near 0: expm1(a) cos(b) - 2 sin(b/2)^2 is its real part."""
    re, im = b.parts(x)
    half = b.make("Sin", b.mul(im, 0.5))
    real = b.sub(b.mul(b.make("Expm1", re), b.make("Cos", im)), b.mul(b.square(half), 2))
    return b.pair(real, b.mul(b.exp(re), b.make("Sin", im)))


def logarithm(b: Any, x: Any) -> Any:
    """The principal logarithm."""
    return b.pair(b.log(modulus(b, x)), argument(b, x))


def logarithm_of_1_plus(b: Any, x: Any) -> Any:
    """log(1 + x), exact near 0."""
    re, im = b.parts(x)
    beyond = b.add(b.mul(re, b.add(re, 2)), b.square(im))  # |1 + x|^2 - 1
    return b.pair(b.mul(b.log1p(beyond), 0.5), b.make("Atan2", im, b.add(re, 1)))


def root(b: Any, x: Any) -> Any:
    """The principal square root."""
    re, im = b.parts(x)
    half = b.sqrt(b.mul(b.add(modulus(b, x), b.abs(re)), 0.5))
    other = b.select(b.equal(half, 0), 0, b.div(im, b.mul(b.select(b.equal(half, 0), 1, half), 2)))
    right = b.greater_equal(re, 0)
    signed = b.select(b.less(b.make("Atan2", im, 1), 0), b.neg(half), half)
    return b.pair(b.select(right, half, b.abs(other)), b.select(right, other, signed))


def reciprocal(b: Any, x: Any) -> Any:
    """1 / x"""
    return quotient(b, b.pair(b.constant(1, x.dtype.real_dtype), 0), x)


def reciprocal_root(b: Any, x: Any) -> Any:
    """1 / sqrt(x)"""
    return reciprocal(b, root(b, x))


def power(b: Any, x: Any, y: Any) -> Any:
    """x to the power y: exp(y log x), 1 where y is 0, and 0 where x is 0 and y is not."""
    raised = exponential(b, product(b, y, logarithm(b, x)))
    re, im = b.parts(raised)
    none, one = zero(b, x), zero(b, y)
    return b.pair(b.select(one, 1, b.select(none, 0, re)), b.select(b.logical_or(one, none), 0, im))


def sine(b: Any, x: Any) -> Any:
    """sin x"""
    re, im = b.parts(x)
    return b.pair(b.mul(b.make("Sin", re), b.make("Cosh", im)), b.mul(b.make("Cos", re), b.make("Sinh", im)))


def cosine(b: Any, x: Any) -> Any:
    """cos x"""
    re, im = b.parts(x)
    return b.pair(b.mul(b.make("Cos", re), b.make("Cosh", im)), b.neg(b.mul(b.make("Sin", re), b.make("Sinh", im))))


def turned(b: Any, x: Any) -> Any:
    """i x"""
    re, im = b.parts(x)
    return b.pair(b.neg(im), re)


def turned_back(b: Any, x: Any) -> Any:
    """x / i"""
    re, im = b.parts(x)
    return b.pair(im, b.neg(re))


def hyperbolic_sine(b: Any, x: Any) -> Any:
    """sinh x"""
    re, im = b.parts(x)
    return b.pair(b.mul(b.make("Sinh", re), b.make("Cos", im)), b.mul(b.make("Cosh", re), b.make("Sin", im)))


def hyperbolic_cosine(b: Any, x: Any) -> Any:
    """cosh x"""
    re, im = b.parts(x)
    return b.pair(b.mul(b.make("Cosh", re), b.make("Cos", im)), b.mul(b.make("Sinh", re), b.make("Sin", im)))


def hyperbolic_tangent(b: Any, x: Any) -> Any:
    """tanh x (Kahan). Beyond 20 the real part is 1 to the last digit of any type and its sinh might overflow."""
    re, im = b.parts(x)
    s = b.make("Sinh", b.maximum(b.minimum(re, 20), -20))
    t = b.make("Tan", im)
    beta = b.add(b.square(t), 1)
    over = b.add(b.mul(beta, b.square(s)), 1)
    real = b.mul(b.mul(beta, s), b.sqrt(b.add(b.square(s), 1)))
    return b.pair(b.div(real, over), b.div(t, over))


def tangent(b: Any, x: Any) -> Any:
    """tan x"""
    return turned_back(b, hyperbolic_tangent(b, turned(b, x)))


def area_sine(b: Any, x: Any) -> Any:
    """asinh x"""
    return turned_back(b, arc_sine(b, turned(b, x)))


def _one_minus(b: Any, x: Any) -> Any:
    re, im = b.parts(x)
    return b.pair(b.sub(1, re), b.neg(im))


def arc_sine(b: Any, x: Any) -> Any:
    """asin x (Kahan)"""
    below, above = root(b, _one_minus(b, x)), root(b, plus(b, x, 1))
    (re, _), (br, bi), (ar, ai) = b.parts(x), b.parts(below), b.parts(above)
    angle = b.make("Atan2", re, b.sub(b.mul(br, ar), b.mul(bi, ai)))
    return b.pair(angle, b.make("Asinh", b.sub(b.mul(br, ai), b.mul(bi, ar))))


def area_cosine(b: Any, x: Any) -> Any:
    """acosh x (Kahan)"""
    below, above = root(b, plus(b, x, -1)), root(b, plus(b, x, 1))
    (br, bi), (ar, ai) = b.parts(below), b.parts(above)
    return b.pair(b.make("Asinh", b.add(b.mul(br, ar), b.mul(bi, ai))), b.mul(b.make("Atan2", bi, ar), 2))


def area_tangent(b: Any, x: Any) -> Any:
    """atanh x: (log(1 + x) - log(1 - x)) / 2"""
    re, im = b.parts(x)
    (pr, pi), (mr, mi) = b.parts(logarithm_of_1_plus(b, x)), b.parts(logarithm_of_1_plus(b, b.pair(b.neg(re), b.neg(im))))
    return b.pair(b.mul(b.sub(pr, mr), 0.5), b.mul(b.sub(pi, mi), 0.5))


def logistic(b: Any, x: Any) -> Any:
    """1 / (1 + exp(-x)) = (1 + tanh(x / 2)) / 2"""
    re, im = b.parts(hyperbolic_tangent(b, times(b, x, 0.5)))
    return b.pair(b.mul(b.add(re, 1), 0.5), b.mul(im, 0.5))
