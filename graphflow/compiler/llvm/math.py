"""Exponential functions, logarithms and what is made of them, in vector code: exp, expm1, log, log1p, tanh, sigmoid.

Every formula runs on all lanes without branches and covers the whole range: subnormals, infinities, NaN. Largest
errors measured by tests/compiler/llvm/test_math_accuracy.py, in units in the last place: single precision 1 (tanh,
sigmoid 2), double precision 2. Other functions are in special.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, nan
from typing import NamedTuple

from graphflow.compiler.llvm.builder import vector
from graphflow.compiler.llvm.number import Num

LOG2_E = 1.4426950408889634


@dataclass(frozen=True)
class Format:
    """The numbers that depend on the precision. ln2 is split so that small multiples of its first part are exact."""

    mantissa: int
    bias: int
    shifter: float  # 1.5 * 2^mantissa: adding it rounds to a whole number and leaves that number in the low bits
    ln2: tuple[float, float]
    exp_range: tuple[float, float]
    exp_terms: tuple[float, ...]  # (e^r - 1 - r)/r^2, highest first
    tanh_limit: float
    half_sqrt2: int  # the bits of sqrt(1/2)
    tiny: float  # the least normal number


SINGLE = Format(
    23, 127, 12582912.0, (0.693359375, -2.12194440e-4), (-105.0, 89.0),
    (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1),
    10.0, 0x3F3504F3, 2.0**-126,
)  # fmt: skip
DOUBLE = Format(
    52, 1023, 6755399441055744.0, (6.93147180369123816490e-01, 1.90821492927058770002e-10), (-746.0, 710.0),
    (1 / 6227020800, 1 / 479001600, 1 / 39916800, 1 / 3628800, 1 / 362880, 1 / 40320, 1 / 5040, 1 / 720, 1 / 120,
     1 / 24, 1 / 6, 0.5),
    20.0, 0x3FE6A09E667F3BCD, 2.0**-1022,
)  # fmt: skip


def format_of(x: Num) -> Format:
    """The precision of a number."""
    return SINGLE if x.scalar == "float" else DOUBLE


def polynomial(x: Num, coefficients: Sequence[float]) -> Num:
    """Horner's rule, highest coefficient first."""
    total = x.like(coefficients[0])
    for c in coefficients[1:]:
        total = total.fma(x, c)
    return total


def power_of_two(n: Num) -> Num:
    """2^n as a float, for a whole n (in an integer register) within the exponent's range."""
    f = SINGLE if n.scalar == "i32" else DOUBLE
    return n.op("add", n.like(f.bias)).op("shl", n.like(f.mantissa)).floats()


class Reduced(NamedTuple):
    """n and r with x = n*ln2 + r, |r| <= ln2/2; `whole` is n as a float, `small` is e^r - 1."""

    n: Num
    whole: Num
    small: Num


def _reduced(x: Num, f: Format) -> Reduced:
    shifted = x.fma(LOG2_E, f.shifter)
    n = shifted.integers().op("sub", x.like(f.shifter).integers())
    whole = shifted - f.shifter
    r = whole.fma(-f.ln2[0], x)
    r = whole.fma(-f.ln2[1], r)
    return Reduced(n, whole, (r * r).fma(polynomial(r, f.exp_terms), r))


def _limited(x: Num, low: float, high: float) -> Num:
    """x within [low, high]; NaN stays."""
    x = (x > high).choose(high, x)
    return (x < low).choose(low, x)


def _estimates(x: Num) -> bool:
    """Whether there are instructions for estimates of such numbers."""
    return x.target.estimates and x.scalar == "float"


def _scaled(x: Num, by: Reduced) -> Num:
    """x * 2^n for |n| up to twice the exponent's range, rounded once."""
    n = by.n
    if _estimates(x):
        return x.times_power(by.whole)
    half = n.op("add", n.like(4096)).op("lshr", n.like(1)).op("sub", n.like(2048))
    return x * power_of_two(half) * power_of_two(n.op("sub", half))


def exp(x: Num) -> Num:
    f = format_of(x)
    e = _reduced(_limited(x, *f.exp_range), f)
    return _scaled(e.small + 1.0, e)


def expm1(x: Num) -> Num:
    """2^n*(e^r - 1) + (2^n - 1), halved on the way so that 2^n does not overflow before the result does."""
    f = format_of(x)
    e = _reduced(_limited(x, -40.0, f.exp_range[1]), f)
    scale = power_of_two(e.n.op("sub", e.n.like(1)))
    part = scale.fma(e.small, scale - 0.5)
    return x.compare("fcmp oeq", 0.0).choose(x, part + part)


def _split(x: Num, f: Format) -> tuple[Num, Num]:
    """k (as float) and m with x = m * 2^k, sqrt(1/2) <= m < sqrt(2), for normal positive x."""
    bits = x.integers()
    one = f.bias << f.mantissa
    moved = bits.op("add", bits.like(one - f.half_sqrt2))
    exponent = moved.op("lshr", bits.like(f.mantissa))
    # a small whole number in the low bits of `shifter` is that number added to it
    shifter = bits.like(0) | x.like(f.shifter).integers()
    k = exponent.op("add", shifter).floats() - (f.shifter + f.bias)
    m = (moved & bits.like((1 << f.mantissa) - 1)).op("add", bits.like(f.half_sqrt2)).floats()
    return k, m


_LOG_SINGLE = (
    7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
    2.0000714765e-1,
    -2.4999993993e-1, 3.3333331174e-1,
)  # fmt: skip
_LOG_DOUBLE = (
    1.479819860511658591e-01, 1.531383769920937332e-01, 1.818357216161805012e-01, 2.222219843214978396e-01,
    2.857142874366239149e-01,
    3.999999999940941908e-01, 6.666666666666735130e-01,
)  # fmt: skip


def _log_parts(k: Num, f: Num, more: Num | None, form: Format) -> Num:
    """k*ln2 + log(1 + f) (+ a small correction), -0.3 < f < 0.42."""
    square = f * f
    low = k * form.ln2[1] if more is None else k.fma(form.ln2[1], more)
    if form is SINGLE:
        tail = (f * square).fma(polynomial(f, _LOG_SINGLE), low)
        return k.fma(form.ln2[0], f + square.fma(-0.5, tail))
    s = f / (f + 2.0)
    z = s * s
    rest = z * polynomial(z, _LOG_DOUBLE)
    half = 0.5 * square
    return k * form.ln2[0] - ((half - s.fma(half + rest, low)) - f)


def log(x: Num) -> Num:
    form = format_of(x)
    small = x < form.tiny
    lift = 2.0 ** (form.mantissa + 2)
    k, m = _split(small.choose(x * lift, x), form)
    k = k - small.choose(k.like(float(form.mantissa + 2)), k.like(0.0))
    return _log_edges(x, _log_parts(k, m - 1.0, None, form))


def _log_edges(x: Num, inside: Num) -> Num:
    """The logarithm's values where the argument is not positive and finite."""
    result = (x < inf).choose(inside, x)  # infinity and NaN are their own logarithms
    result = (x < 0.0).choose(nan, result)
    return x.compare("fcmp oeq", 0.0).choose(-inf, result)


def log1p(x: Num) -> Num:
    """log of u = 1 + x, corrected by what u lost: log(u + c) = log(u) + c/u."""
    form = format_of(x)
    u = x + 1.0
    lost = (x < 1.0).choose(x - (u - 1.0), 1.0 - (u - x))
    k, m = _split(u, form)
    inside = _log_parts(k, m - 1.0, lost / u, form)
    return x.compare("fcmp oeq", 0.0).choose(x, _log_edges(u, inside))


def _quotient(top: Num, bottom: Num, lost: Num) -> Num:
    """top / (bottom + lost), where `lost` is what the sum `bottom` lost when it was rounded: a step of Newton's method, which is shorter
    than a division."""
    estimate = bottom.reciprocal()
    quotient = top * estimate
    return quotient.fma(-lost, quotient.fma(-bottom, top)).fma(estimate, quotient)


def tanh(x: Num) -> Num:
    """t/(t + 2) with t = e^2|x| - 1; by divisions 1 - 2/(t + 2) where that is near 1. What the sum lost is made good where it counts."""
    f = format_of(x)
    size = x.abs()
    size = (size > f.tanh_limit).choose(f.tanh_limit, size)
    if x.scalar == "double":
        t = expm1(size + size)
        return (t / (t + 2.0)).copysign(x)
    e = _reduced(size + size, f)
    scale = power_of_two(e.n)
    t = scale.fma(e.small, scale - 1.0)
    bottom = t + 2.0
    lost = t - (bottom - 2.0)
    if _estimates(x):
        return _quotient(t, bottom, lost).copysign(x)
    near = t < 2.0
    quotient = near.choose(t, 2.0) / bottom
    return near.choose((quotient * lost).fma(quotient * 0.5 - 0.5, quotient), 1.0 - quotient).copysign(x)


def sigmoid(x: Num) -> Num:
    """From z = e^-|x|, which cannot overflow: z/(1 + z) or 1/(1 + z), corrected by what the sum lost."""
    f = format_of(x)
    size = -x.abs()
    e = _reduced((size < f.exp_range[0]).choose(f.exp_range[0], size), f)
    z = _scaled(e.small + 1.0, e)
    bottom = z + 1.0
    lost = z - (bottom - 1.0)
    below = x < 0.0
    if _estimates(x):
        return _quotient(below.choose(z, 1.0), bottom, lost)
    quotient = below.choose(z, 1.0) / bottom
    return (quotient * lost).fma(-below.choose(1.0 - quotient, quotient), quotient)


def in_double(formula: Callable[..., Num]) -> Callable[..., Num]:
    """The formula for numbers of either precision."""

    def function(*numbers: Num) -> Num:
        type_ = numbers[0].reg.type
        wide = vector("double", numbers[0].lanes)
        result = formula(*(n.convert("fpext", wide) for n in numbers))
        return result.convert("fptrunc", type_)

    return function


def table(formulas: Sequence[Callable[..., Num]]) -> dict[str, Callable[..., Num]]:
    """Each formula under its name, for both precisions."""
    return {formula.__name__.lstrip("_"): in_double(formula) for formula in formulas}


def product(a: Num, b: Num) -> tuple[Num, Num]:
    """a*b as a rounded product and what it lacks."""
    product = a * b
    if a.target.fma:
        return product, a.fma(b, -product)
    parts = []
    for x in (a, b):  # halves of 26 bits, whose products are exact
        high = (x.integers() & -(1 << 27)).floats()
        parts.append((high, x - high))
    (ah, al), (bh, bl) = parts
    return product, ((ah * bh - product) + ah * bl + al * bh) + al * bl


FUNCTIONS: dict[str, Callable[..., Num]] = {
    "exp": exp, "expm1": expm1, "log": log, "log1p": log1p, "tanh": tanh, "sigmoid": sigmoid,
}  # fmt: skip
