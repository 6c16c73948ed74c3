"""The rarer functions: powers, hyperbolic functions and their inverses, erf, erfc, lgamma.

All formulas but that of erf are in double precision; single precision goes through it and is rounded once at the end,
which costs two vectors for one and leaves an error of half a unit.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, log, nan, pi

from graphflow.compiler.llvm import angles, math
from graphflow.compiler.llvm.builder import vector
from graphflow.compiler.llvm.number import Num

# -- powers ----------------------------------------------------------------------------------------------------------


def power(x: Num, y: Num) -> Num:
    """e^(y*log|x|), the logarithm in two registers where the result is in double precision; then C's many special
    cases.
    """
    if x.scalar == "float":
        wide = vector("double", x.lanes)
        a, b = x.convert("fpext", wide), y.convert("fpext", wide)
        return _power_cases(a, b, math.exp(b * math.log(a.abs()))).convert("fptrunc", x.reg.type)
    high, low = _long_log(x.abs())
    product, rest = math.product(y, high)
    rest = y.fma(low, rest)
    near = math.exp(product)
    return _power_cases(x, y, (near < inf).choose(near.fma(rest, near), near))


def _long_log(x: Num) -> tuple[Num, Num]:
    """log of a positive number as a sum of two."""
    small = x < math.DOUBLE.tiny
    k, m = math._split(small.choose(x * 2.0**54, x), math.DOUBLE)
    k = k - small.choose(k.like(54.0), k.like(0.0))
    f = m - 1.0
    t = m + 1.0
    t_rest = f - (t - 2.0)
    s = f / t
    p, p_rest = math.product(s, t)
    s_rest = ((f - p) - p_rest - s * t_rest) / t
    z = s * s
    series = z * math.polynomial(z, [2 / n for n in range(23, 1, -2)])  # log(m) = 2s + s*(2/3 z + 2/5 z^2 + ...)
    tail = s.fma(series, 2.0 * s_rest)
    high = k * math.DOUBLE.ln2[0]
    two = s + s
    total = high + two
    lost = (k.compare("fcmp oeq", 0.0)).choose(k.like(0.0), (high - total) + two)
    tail = lost + k.fma(math.DOUBLE.ln2[1], tail)
    result = total + tail
    return result, (total - result) + tail


def _power_cases(x: Num, y: Num, inside: Num) -> Num:
    size, one = x.abs(), x.like(1.0)
    never = (x.like(0.0), x.like(inf))
    to_zero = (size < 1.0).op("xor", y < 0.0)  # of a base of 0 or infinity, or an infinite exponent
    extreme = size.compare("fcmp oeq", 0.0) | size.compare("fcmp oeq", inf) | y.abs().compare("fcmp oeq", inf)
    result = extreme.choose(to_zero.choose(*never), inside)
    result = (size.compare("fcmp oeq", 1.0) & y.abs().compare("fcmp oeq", inf)).choose(one, result)
    whole = y.trunc().compare("fcmp oeq", y)
    half = y * 0.5
    odd = whole & half.trunc().compare("fcmp une", half) & (y.abs() < inf)
    negative = x.integers().compare("icmp slt", 0)
    result = (negative & odd).choose(-result, result)
    root = (x < 0.0) & whole.invert() & (size < inf)
    result = root.choose(nan, result)
    result = x.compare("fcmp uno", y).choose(nan, result)
    return (y.compare("fcmp oeq", 0.0) | x.compare("fcmp oeq", 1.0)).choose(one, result)


# -- hyperbolic ------------------------------------------------------------------------------------------------------


def _sinh(x: Num) -> Num:
    a = x.abs()
    t = math.expm1((a > 30.0).choose(30.0, a))
    near = 0.5 * (t + t / (t + 1.0))
    root = math.exp(0.5 * a)
    return (a > 22.0).choose((0.5 * root) * root, near).copysign(x)


def _cosh(x: Num) -> Num:
    a = x.abs()
    root = math.exp(0.5 * a)
    t = math.exp((a > 30.0).choose(30.0, a))
    return (a > 22.0).choose((0.5 * root) * root, 0.5 * t + 0.5 / t)


def _asinh(x: Num) -> Num:
    a = x.abs()
    small = (a > 2.0**28).choose(1.0, a)
    square = small * small
    near = math.log1p(small + square / (1.0 + (square + 1.0).sqrt()))
    return (a > 2.0**28).choose(math.log(a) + log(2), near).copysign(x)


def _acosh(x: Num) -> Num:
    t = (x > 2.0**28).choose(1.0, x - 1.0)
    near = math.log1p(t + (t * (t + 2.0)).sqrt())
    return (x > 2.0**28).choose(math.log(x) + log(2), (x < 1.0).choose(nan, near))


def _atanh(x: Num) -> Num:
    a = x.abs()
    return (0.5 * math.log1p((a + a) / (1.0 - a))).copysign(x)


# -- error function and gamma ----------------------------------------------------------------------------------------

_NEAR_P = (
    -2.37630166566501626084e-05,
    -5.77027029648944159157e-03,
    -2.84817495755985104766e-02,
    -3.25042107247001499370e-01,
    1.28379167095512558561e-01,
)
_NEAR_Q = (
    -3.96022827877536812320e-06, 1.32494738004321644526e-04, 5.08130628187576562776e-03, 6.50222499887672944485e-02,
    3.97917223959155352819e-01, 1.0,
)  # fmt: skip
_ONE_P = (
    -2.16637559486879084300e-03, 3.54783043256182359371e-02, -1.10894694282396677476e-01, 3.18346619901161753674e-01,
    -3.72207876035701323847e-01, 4.14856118683748331666e-01, -2.36211856075265944077e-03,
)  # fmt: skip
_ONE_Q = (
    1.19844998467991074170e-02, 1.36370839120290507362e-02, 1.26171219808761642112e-01, 7.18286544141962662868e-02,
    5.40397917702171048937e-01, 1.06420880400844228286e-01, 1.0,
)  # fmt: skip
_MID_P = (
    -9.81432934416914548592e00, -8.12874355063065934246e01, -1.84605092906711035994e02, -1.62396669462573470355e02,
    -6.23753324503260060396e01, -1.05586262253232909814e01, -6.93858572707181764372e-01, -9.86494403484714822705e-03,
)  # fmt: skip
_MID_Q = (
    -6.04244152148580987438e-02, 6.57024977031928170135e00, 1.08635005541779435134e02, 4.29008140027567833386e02,
    6.45387271733267880336e02, 4.34565877475229228821e02, 1.37657754143519042600e02, 1.96512716674392571292e01, 1.0,
)  # fmt: skip
_FAR_P = (
    -4.83519191608651397019e02, -1.02509513161107724954e03, -6.37566443368389627722e02, -1.60636384855821916062e02,
    -1.77579549177547519889e01, -7.99283237680523006574e-01, -9.86494292470009928597e-03,
)  # fmt: skip
_FAR_Q = (
    -2.24409524465858183362e01, 4.74528541206955367215e02, 2.55305040643316442583e03, 3.19985821950859553908e03,
    1.53672958608443695994e03, 3.25792512996573918826e02, 3.03380607434824582924e01, 1.0,
)  # fmt: skip
_ERX = 8.45062911510467529297e-01


def _erf_parts(x: Num) -> tuple[Num, Num, Num]:
    """For |x|: erf(x)/x - 1 (below 0.84375), erf - erx (to 1.25), erfc (above)."""
    a = x.abs()
    z = x * x
    near = math.polynomial(z, _NEAR_P) / math.polynomial(z, _NEAR_Q)
    s = a - 1.0
    one = math.polynomial(s, _ONE_P) / math.polynomial(s, _ONE_Q)
    t = (a > 28.0).choose(28.0, a)
    w = 1.0 / (t * t)
    mid = t < 1 / 0.35
    p = mid.choose(math.polynomial(w, _MID_P), math.polynomial(w, _FAR_P))
    q = mid.choose(math.polynomial(w, _MID_Q), math.polynomial(w, _FAR_Q))
    short = (t.integers() & -(1 << 32)).floats()  # its square is exact
    far = math.exp(-short * short - 0.5625) * math.exp((short - t) * (short + t) + p / q) / t
    return near, one, far


_SINGLE_NEAR = (-5.96761703e-4, 4.99119423e-3, -2.67681349e-2, 1.12819925e-1, -3.76125336e-1, 1.28379166e-1)
_SINGLE_FAR = (
    -1.72853470e-5,
    3.83197126e-4,
    -3.88396438e-3,
    2.42546219e-2,
    -1.06777877e-1,
    -6.34846687e-1,
    -1.28717512e-1,
)


def erf(x: Num) -> Num:
    """In single precision the outer part is 1 - e^p(|x|)."""
    if x.scalar == "double":
        return _erf_double(x)
    size = x.abs()
    near = math.polynomial(x * x, _SINGLE_NEAR).fma(x, x)
    t = (size > 4.0).choose(4.0, size)
    far = (1.0 - math.exp(math.polynomial(t, _SINGLE_FAR).fma(t, -t))).copysign(x)
    return (size > 0.927734375).choose(far, near)


def _erf_double(x: Num) -> Num:
    near, one, far = _erf_parts(x)
    a = x.abs()
    above = (a < 1.25).choose(one + _ERX, 1.0 - far).copysign(x)
    return (a < 0.84375).choose(x + x * near, x.compare("fcmp uno", x).choose(x, above))


def _erfc(x: Num) -> Num:
    near, one, far = _erf_parts(x)
    a = x.abs()
    low = (x < 0.25).choose(1.0 - (x + x * near), 0.5 - ((x - 0.5) + x * near))
    middle = (x < 0.0).choose(1.0 + (one + _ERX), (1.0 - _ERX) - one)
    outer = (x < 0.0).choose(2.0 - far, far)
    value = (a < 0.84375).choose(low, (a < 1.25).choose(middle, outer))
    return x.compare("fcmp uno", x).choose(x, value)


_STIRLING = (-1 / 360360 * 691, 1 / 1188, -1 / 1680, 1 / 1260, -1 / 360, 1 / 12)


def _lgamma(x: Num) -> Num:
    """Stirling's series, after a shift beyond 8; below 1/2 by reflection."""
    low = x < 0.5
    z = low.choose(1.0 - x, x)
    product = z.like(1.0)
    for _ in range(8):
        short = z < 8.0
        product = short.choose(product * z, product)
        z = short.choose(z + 1.0, z)
    w = 1.0 / z
    series = math.polynomial(w * w, _STIRLING) * w
    value = ((z - 0.5) * (math.log(z) - 1.0) - 0.5) + 0.5 * log(2 * pi) + series - math.log(product)
    value = z.compare("fcmp oeq", inf).choose(inf, value)
    a = x.abs()
    turn = a - a.floor()
    turn = (turn > 0.5).choose(1.0 - turn, turn)
    sine, _ = angles.waves(turn * pi, turn.like(0.0))
    _, cosine = angles.waves((0.5 - turn) * pi, turn.like(0.0))
    wave = (turn < 0.25).choose(sine, cosine)
    mirrored = log(pi) - math.log(wave) - value
    mirrored = turn.compare("fcmp oeq", 0.0).choose(inf, mirrored)
    result = low.choose(mirrored, value)
    return x.compare("fcmp oeq", -inf).choose(inf, result)


FUNCTIONS: dict[str, Callable[..., Num]] = {
    "pow": power, "erf": erf,
    **math.table((_sinh, _cosh, _asinh, _acosh, _atanh, _erfc, _lgamma)),
}  # fmt: skip
