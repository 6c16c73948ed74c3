"""Trigonometric functions and their inverses.

Sine and cosine of single precision are computed in it; the rest goes through double precision. Arguments too large for
the reduction here, which practically do not occur, go to the C library.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan, pi

from graphflow.compiler.llvm import math
from graphflow.compiler.llvm.builder import mangle
from graphflow.compiler.llvm.number import Num

Quadrant = Callable[[Num], tuple[Num, Num, Num]]
Waves = Callable[[Num, Num], tuple[Num, Num]]

# -- trigonometric ---------------------------------------------------------------------------------------------------

_PI_HALF = (1.57079632673412561417e00, 6.07710050630396597660e-11, 2.02226624879595063154e-21)
_SIN = (
    1.58969099521155010221e-10,
    -2.50507602534068634195e-08,
    2.75573137070700676789e-06,
    -1.98412698298579493134e-04,
    8.33333333332248946124e-03,
)
_COS = (
    -1.13596475577881948265e-11, 2.08757232129817482790e-09, -2.75573143513906633035e-07, 2.48015872894767294178e-05,
    -1.38888888888741095749e-03, 4.16666666666666019037e-02,
)  # fmt: skip
_FAR = 2.0**20  # from here on the reduction below would lose bits


def _quadrant(x: Num) -> tuple[Num, Num, Num]:
    """The number of the quarter turn nearest to x (integer), and the rest as a sum of two."""
    shifted = x * (2 / pi) + math.DOUBLE.shifter
    k = shifted - math.DOUBLE.shifter
    a = k.fma(-_PI_HALF[0], x)
    b, b_rest = math.product(k, x.like(_PI_HALF[1]))
    high = a - b
    low = ((a - high) - b) - b_rest
    low = k.fma(-_PI_HALF[2], low)
    rest = high + low
    return shifted.integers(), rest, (high - rest) + low


def waves(r: Num, tail: Num) -> tuple[Num, Num]:
    """sine and cosine for |r| <= pi/4."""
    z = r * r
    v = z * r
    sine = r - ((z * (0.5 * tail - v * math.polynomial(z, _SIN)) - tail) - v * -1.66666666666666324348e-01)
    half = 0.5 * z
    w = 1.0 - half
    cosine = w + (((1.0 - w) - half) + (z * (z * math.polynomial(z, _COS)) - r * tail))
    return sine, cosine


def _sin(x: Num) -> Num:
    return _sine(x, 0, "sin")


def _cos(x: Num) -> Num:
    return _sine(x, 1, "cos")


def _sine(x: Num, quarter: int, name: str) -> Num:
    """The sine of x + quarter*pi/2; single precision takes no detour where the target rounds a*b + c once."""
    if x.scalar == "double" or not x.target.fma:
        return math.in_double(lambda v: _turned(v, quarter, _quadrant, waves, _FAR, name))(x)
    return _turned(x, quarter, _single_quadrant, _single_waves, _SINGLE_FAR, name)


def _turned(x: Num, quarter: int, quadrant: Quadrant, wave: Waves, far: float, name: str) -> Num:
    n, r, tail = quadrant(x)
    sine, cosine = wave(r, tail)
    n = n.op("add", n.like(quarter))
    value = (n & 1).compare("icmp ne", 0).choose(cosine, sine)
    value = (n & 2).compare("icmp ne", 0).choose(-value, value)
    if not quarter:
        value = x.compare("fcmp oeq", 0.0).choose(x, value)
    return _or_library(x, value, name, far)


def _tan(x: Num) -> Num:
    n, r, tail = _quadrant(x)
    sine, cosine = waves(r, tail)
    odd = (n & 1).compare("icmp ne", 0)
    near = odd.choose(-cosine, sine) / odd.choose(sine, cosine)
    near = x.compare("fcmp oeq", 0.0).choose(x, near)
    far_sine, far_cosine = _or_library(x, sine, "sin", _FAR), _or_library(x, cosine, "cos", _FAR)
    return (x.abs() < _FAR).choose(near, far_sine / far_cosine)


def _or_library(x: Num, near: Num, name: str, limit: float) -> Num:
    """`near`, but the C library's function, lane by lane, where some argument is too large for the reduction. It
    practically never is.
    """

    def far() -> Num:
        b, wide, function = x.b, x.reg.type, f"llvm.{name}.{mangle(x.scalar)}"
        if x.lanes == 1:
            return Num(b, x.target, b.call(x.scalar, function, (x.reg,)))
        total = x.reg
        for lane in range(x.lanes):
            one = b.instruction(x.scalar, f"extractelement {wide} {x.reg.ref}, i64 {lane}")
            value = b.call(x.scalar, function, (one,))
            total = b.instruction(wide, f"insertelement {wide} {total.ref}, {x.scalar} {value.ref}, i64 {lane}")
        return Num(b, x.target, total)

    return near.unless(x.abs() >= limit, far)


# pi/2 in three parts for single precision, whose products with whole numbers are subtracted without rounding by fma
_SINGLE_PI_HALF = (1.57079637050628662109375, -4.371138828673793e-8, -1.7151245e-15)
_SINGLE_FAR = 2.0**16


def _single_quadrant(x: Num) -> tuple[Num, Num, Num]:
    shifted = x.fma(2 / pi, math.SINGLE.shifter)
    k = shifted - math.SINGLE.shifter
    r = x
    for part in _SINGLE_PI_HALF:
        r = k.fma(-part, r)
    return shifted.integers(), r, r.like(0.0)


def _single_waves(r: Num, _: Num) -> tuple[Num, Num]:
    z = r * r
    sine = (z * r).fma(math.polynomial(z, (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)), r)
    tail = (z * z) * math.polynomial(z, (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2))
    return sine, z.fma(-0.5, tail) + 1.0


# -- inverse trigonometric -------------------------------------------------------------------------------------------

_ATAN_P = (
    -8.750608600031904122785e-1,
    -1.615753718733365076637e1,
    -7.500855792314704667340e1,
    -1.228866684490136173410e2,
    -6.485021904942025371773e1,
)
_ATAN_Q = (
    1.0, 2.485846490142306297962e1, 1.650270098316988542046e2, 4.328810604912902668951e2, 4.853903996359136964868e2,
    1.945506571482613964425e2,
)  # fmt: skip
_LOST_PI = 1.2246467991473532e-16  # pi less its double


def _atan(x: Num) -> Num:
    a = x.abs()
    large, middle = a > 2.414213562373095, a > 0.66
    top = large.choose(a.like(-1.0), middle.choose(a - 1.0, a))
    bottom = large.choose(a, middle.choose(a + 1.0, a.like(1.0)))
    base = large.choose(a.like(pi / 2), middle.choose(a.like(pi / 4), a.like(0.0)))
    lost = large.choose(a.like(_LOST_PI / 2), middle.choose(a.like(_LOST_PI / 4), a.like(0.0)))
    r = top / bottom
    z = r * r
    value = (r * (z * math.polynomial(z, _ATAN_P) / math.polynomial(z, _ATAN_Q)) + r + lost) + base
    return value.copysign(x)


def _atan2(y: Num, x: Num) -> Num:
    ay, ax = y.abs(), x.abs()
    ratio = ay / ax
    ratio = (ay.compare("fcmp oeq", 0.0) & ax.compare("fcmp oeq", 0.0)).choose(0.0, ratio)
    ratio = (ay.compare("fcmp oeq", inf) & ax.compare("fcmp oeq", inf)).choose(1.0, ratio)
    angle = _atan(ratio)
    left = x.integers().compare("icmp slt", 0)
    value = left.choose(pi - (angle - _LOST_PI), angle).copysign(y)
    return x.compare("fcmp uno", y).choose(nan, value)


def _asin(x: Num) -> Num:
    return _atan2(x, ((1.0 - x) * (x + 1.0)).sqrt())


def _acos(x: Num) -> Num:
    half = _atan2((1.0 - x).sqrt(), (x + 1.0).sqrt())
    return half + half


FUNCTIONS: dict[str, Callable[..., Num]] = {
    "sin": _sin, "cos": _cos, **math.table((_tan, _atan, _atan2, _asin, _acos)),
}  # fmt: skip
