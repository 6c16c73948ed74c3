"""Special functions that need a loop for each number: the incomplete gamma and beta functions, the Hurwitz zeta function, polygamma.

Each op writes its own kernel: one number after the other, in a loop that ends (by blocks, so that a test for the end costs little) when a
further term changes no digit. Sources: Moshier's Cephes, which TensorFlow uses, and Press et al., "Numerical Recipes", for the beta
function's continued fraction.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphflow.dtypes import float32, float64
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.dims import broadcast_dims
from graphflow.graph.op import Case, TensorSpec
from graphflow.kernel.expr import TYPES, Expr, call, const, exp, log, select
from graphflow.kernel.index import product
from graphflow.kernel.nodes import Mode
from graphflow.ops.broadcast import fit
from graphflow.ops.families import Kernelised, unravel
from graphflow.ops.unary import Digamma

__all__ = ["betainc", "igamma", "igammac", "lbeta", "polygamma", "zeta"]

BLOCKS, TERMS = 60, 40  # a series is given up after their product


class Function(Kernelised, abstract=True):
    """Base: a function of several numbers, broadcast; `value` writes one of its values."""

    types = {"T": (float32, float64)}

    def infer(self, *inputs: TensorSpec) -> TensorSpec:
        dims = inputs[0].dims
        for other in inputs[1:]:
            dims = broadcast_dims(dims, other.dims)
        return TensorSpec(inputs[0].dtype, dims)

    def number(self, *arguments: float) -> float:
        """The value by Python's own arithmetic."""
        raise NotImplementedError

    def value(self, k: Any, *arguments: Expr) -> Expr:
        """The value as written into the kernel `k`."""
        raise NotImplementedError

    def reference(self, *inputs: Any) -> Any:
        numbers = np.vectorize(lambda *x: self.number(*map(float, x)), otypes=[np.float64])
        return np.asarray(numbers(*inputs)).astype(np.asarray(inputs[0]).dtype)

    def lower(self, k: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        (y,) = outputs
        with k.loop("at", product(y.shape), Mode.PARALLEL) as at:
            index = unravel(at, y.shape)
            arguments = []
            for n, x in enumerate(inputs):
                own = index[len(index) - len(x.shape) :]
                place = [0 if isinstance(d, int) and d == 1 else i for d, i in zip(x.shape, own, strict=True)]
                arguments.append(k.let(f"x{n}", k.load(x, place)))
            k.store(y, at, self.value(k, *arguments))


def _repeat(k: Any, going: Any, step: Callable[[], None]) -> None:
    """`step` again and again while `going` (an i32 local that it clears) is set, at most BLOCKS * TERMS times."""
    with k.loop("block", BLOCKS), k.when(call("ne", going, 0)), k.loop("term", TERMS):
        step()


def _epsilon(type_: str) -> float:
    return float(np.finfo(TYPES[type_]).eps)


def _scale(a: Expr, x: Expr, shift: float) -> Expr:
    """x^a e^-x / gamma(a + shift)"""
    return exp(a * log(x) - x - call("lgamma", a + shift if shift else a))


def _series(k: Any, a: Expr, x: Expr) -> tuple[Expr, Expr]:
    """P(a, x) by its series, and the derivative by a; a and x positive."""
    sum_, slope = k.var("sum", const(1, x.type)), k.var("slope", const(0, x.type))
    term, harmonic, divisor = k.var("term", const(1, x.type)), k.var("harmonic", const(0, x.type)), k.var("divisor", a)
    going = k.var("going", const(1, "i32"))

    def step() -> None:
        k.set(divisor, divisor + 1)
        k.set(term, term * (x / divisor))
        k.set(harmonic, harmonic + 1 / divisor)
        k.set(sum_, sum_ + term)
        k.set(slope, slope - term * harmonic)
        k.set(going, select(term * (1 + harmonic) < sum_ * _epsilon(x.type), const(0, "i32"), going))

    _repeat(k, going, step)
    scale = k.let("scale", _scale(a, x, 1))
    value = k.let("lower", scale * sum_)
    return value, value * (log(x) - Digamma().scalar(a + 1)) + scale * slope


def _fraction(k: Any, a: Expr, x: Expr) -> Expr:
    """Q(a, x) = 1 - P(a, x) by Lentz's continued fraction, for x > a + 1."""
    tiny = 1e-30 if x.type == "f32" else 1e-300
    b = k.var("b", x + 1 - a)
    c, d = k.var("c", const(1 / tiny, x.type)), k.var("d", 1 / b)
    h, i = k.var("h", d), k.var("i", const(0, x.type))
    going = k.var("going", const(1, "i32"))

    def step() -> None:
        k.set(i, i + 1)
        over = k.let("over", i * (a - i))
        k.set(b, b + 2)
        new = k.let("new", over * d + b)
        k.set(d, 1 / select(call("abs", new) < tiny, const(tiny, x.type), new))
        other = k.let("other", b + over / c)
        k.set(c, select(call("abs", other) < tiny, const(tiny, x.type), other))
        k.set(h, h * (d * c))
        k.set(going, select(call("abs", d * c - 1) < _epsilon(x.type), const(0, "i32"), going))

    _repeat(k, going, step)
    return k.let("upper", _scale(a, x, 0) * h)


def _gamma_p(a: float, x: float) -> float:
    """P(a, x) in Python."""
    if math.isnan(a) or math.isnan(x) or x < 0 or a <= 0:
        return math.nan
    if x == 0:
        return 0.0
    if math.isinf(x):
        return 1.0
    term = total = 1.0
    n = a
    while term > 1e-17 * total:
        n += 1
        term *= x / n
        total += term
    return min(math.exp(a * math.log(x) - x - math.lgamma(a + 1)) * total, 1.0)


def _both_sides(k: Any, a: Expr, x: Expr) -> tuple[Expr, Expr, Expr]:
    """P and Q for positive a and x, each from the formula that is exact there, and whether the arguments are so."""
    fine = k.let("fine", (a > 0) & (x > 0) & (x < math.inf))
    a, x = k.let("a", select(fine, a, 1)), k.let("x", select(fine, x, 1))
    far = k.let("far", a + 1 < x)
    lower, _ = _series(k, a, select(far, a, x))
    upper = _fraction(k, a, select(far, x, a + 2))
    return k.let("p", select(far, 1 - upper, lower)), k.let("q", select(far, upper, 1 - lower)), fine


def _at_the_ends(a: Expr, x: Expr, fine: Expr, value: Expr, zero: float, infinity: float) -> Expr:
    """`value` where the arguments are fine, else the limits at x = 0 and infinity, else NaN."""
    rest = select(call("eq", x, math.inf), const(infinity, x.type), const(math.nan, x.type))
    ends = select((a > 0) & (x >= 0), select(call("eq", x, 0), const(zero, x.type), rest), const(math.nan, x.type))
    return select(fine, value, ends)


_GAMMA_CASES = (
    Case((3, 5), (5,), low=0.2, high=9), Case([0.5, 2.0, 30.0, 100.0], [0.0, np.inf, 25.0, 130.0], gradient=False),
    Case([-1.0, 1.0], [1.0, -1.0], gradient=False), Case((0,), (1,), low=1.0),
)  # fmt: skip


class Igamma(Function):
    """P(a, x), the lower regularised incomplete gamma function."""

    arguments = ("a: T", "x: T")
    results = ("z: T",)
    cases = _GAMMA_CASES

    def number(self, *arguments: float) -> float:
        return _gamma_p(*arguments)

    def value(self, k: Any, *arguments: Expr) -> Expr:
        a, x = arguments
        p, _, fine = _both_sides(k, a, x)
        return _at_the_ends(a, x, fine, p, 0, 1)

    def gradient(self, node: Any, dz: Any) -> Sequence[Any]:
        return _gamma_gradients(node, dz)


class Igammac(Function):
    """Q(a, x) = 1 - P(a, x), the upper regularised incomplete gamma function."""

    arguments = ("a: T", "x: T")
    results = ("z: T",)
    cases = _GAMMA_CASES

    def number(self, *arguments: float) -> float:
        return 1 - _gamma_p(*arguments)

    def value(self, k: Any, *arguments: Expr) -> Expr:
        a, x = arguments
        _, q, fine = _both_sides(k, a, x)
        return _at_the_ends(a, x, fine, q, 1, 0)

    def gradient(self, node: Any, dz: Any) -> Sequence[Any]:
        return _gamma_gradients(node, make("Neg", dz))


def _gamma_gradients(node: Any, dz: Any) -> Sequence[Any]:
    a, x = node.inputs
    density = make("Exp", (a - 1.0) * make("Log", x) - x - make("Lgamma", a))
    return fit(a, x, make("Mul", make("IgammaGradA", a, x), dz), make("Mul", density, dz))


class IgammaGradA(Function):
    """The derivative of P(a, x) by a."""

    arguments = ("a: T", "x: T")
    results = ("z: T",)
    differentiable = False
    cases = (Case((3, 5), (5,), low=0.2, high=9, tolerance=2e-4), Case([2.0, 0.5], [0.0, 3.0], tolerance=2e-4))

    def number(self, *arguments: float) -> float:
        a, x = arguments
        step = 1e-3 * max(a, 1e-2)
        p = [_gamma_p(a + n * step, x) for n in (-2, -1, 1, 2)]
        return (p[0] - 8 * p[1] + 8 * p[2] - p[3]) / (12 * step)

    def value(self, k: Any, *arguments: Expr) -> Expr:
        a, x = arguments
        fine = k.let("fine", (a > 0) & (x > 0) & (x < math.inf))
        _, slope = _series(k, k.let("a", select(fine, a, 1)), k.let("x", select(fine, x, 1)))
        return _at_the_ends(a, x, fine, slope, 0, 0)


# B(2k) / (2k)! inverted, of the Euler-Maclaurin formula.
_ZETA = (
    12.0, -720.0, 30240.0, -1209600.0, 47900160.0, -1.8924375803183791606e9, 7.47242496e10, -2.950130727918164224e12,
    1.1646782814350067249e14, -4.5979787224074726105e15, 1.8152105401943546773e17, -7.1661652561756670113e18,
)  # fmt: skip


class Zeta(Function):
    """The Hurwitz zeta function: the sum of (q + n)^-x for n = 0, 1, ..."""

    arguments = ("x: T", "q: T")
    results = ("z: T",)
    cases = (
        Case((3, 5), (5,), low=1.5, high=9, gradient=False, tolerance=1e-4),
        Case([1.0, 2.0, 0.5, 3.0], [1.0, -1.0, 1.0, -1.5], gradient=False),
        Case([2.0, 4.0], [0.25, 20.0], gradient=False),
    )  # fmt: skip

    def number(self, *arguments: float) -> float:
        x, q = arguments
        if x == 1:
            return math.inf
        if x < 1 or math.isnan(x + q):
            return math.nan
        if q <= 0 and (q == math.floor(q) or x != math.floor(x)):
            return math.inf if q == math.floor(q) else math.nan
        count = 60 + max(0, math.ceil(-q))
        total = sum((q + n) ** -x for n in range(count))
        end = q + count
        total += end ** (1 - x) / (x - 1) + end**-x / 2
        return total + x * end ** (-x - 1) / 12 - x * (x + 1) * (x + 2) * end ** (-x - 3) / 720

    def value(self, k: Any, *arguments: Expr) -> Expr:
        x, q = arguments
        whole = call("eq", q, call("floor", q))
        bad = (x < 1) | call("ne", x, x) | call("ne", q, q) | ((q <= 0) & ~whole & call("ne", x, call("floor", x)))
        pole = call("eq", x, 1) | ((q <= 0) & whole)
        fine = k.let("fine", ~(bad | pole))
        x, q = k.let("x", select(fine, x, 2)), k.let("q", select(fine, q, 1))
        a, sum_, count = k.var("a", q), k.var("sum", const(0, x.type)), k.var("count", const(0, "i32"))
        going = k.var("going", const(1, "i32"))

        def step() -> None:
            more = k.let("more", call("ne", going, 0))
            k.set(sum_, select(more, sum_ + _power(a, -x), sum_))
            k.set(a, select(more, a + 1, a))
            k.set(count, count + 1)
            k.set(going, select((count >= 10) & (a > 9), const(0, "i32"), going))

        _repeat(k, going, step)
        last = k.let("last", _power(a, -x))
        total = sum_ + last * a / (x - 1) + 0.5 * last
        factor, power = x, last / a
        for n, divisor in enumerate(_ZETA):
            total = total + factor * power / divisor
            factor = factor * (x + (2 * n + 1)) * (x + (2 * n + 2))
            power = power / (a * a)
        return select(fine, total, select(bad, const(math.nan, x.type), const(math.inf, x.type)))

    def gradient(self, node: Any, dz: Any) -> Sequence[Any]:
        x, q = node.inputs
        return [None, fit(x, q, None, make("Mul", make("Neg", x), make("Mul", make("Zeta", x + 1.0, q), dz)))[1]]


def _power(base: Expr, exponent: Expr) -> Expr:
    """base to a power, also of a negative base to a whole power."""
    size = call("pow", call("abs", base), exponent)
    half = exponent * 0.5
    return select((base < 0) & call("ne", half, call("floor", half)), -size, size)


class Polygamma(Function):
    """The a-th derivative of digamma, a = 0, 1, 2, ..."""

    arguments = ("a: T", "x: T")
    results = ("z: T",)
    cases = (
        Case([1.0, 2.0, 3.0], (4, 3), low=0.5, high=6, gradient=False, tolerance=1e-4),
        Case([0.0, 0.5], [1.5, 1.0], gradient=False, tolerance=1e-4),
    )

    def number(self, *arguments: float) -> float:
        a, x = arguments
        if a != math.floor(a) or a < 0:
            return math.nan
        if a == 0:
            return float(Digamma().reference(np.float64(x)))
        return (-1) ** int(a + 1) * math.gamma(a + 1) * Zeta().number(a + 1, x)

    def value(self, k: Any, *arguments: Expr) -> Expr:
        a, x = arguments
        valid = (a >= 0) & call("eq", a, call("floor", a))
        half = a * 0.5
        sign = select(call("eq", half, call("floor", half)), const(-1, a.type), const(1, a.type))
        higher = k.let("higher", sign * exp(call("lgamma", a + 1)) * Zeta().value(k, a + 1, x))
        zeroth = Digamma().scalar(x)
        return select(valid, select(call("eq", a, 0), zeroth, higher), const(math.nan, a.type))

    def gradient(self, node: Any, dz: Any) -> Sequence[Any]:
        a, x = node.inputs
        return [None, fit(a, x, None, make("Mul", dz, make("Polygamma", a + 1.0, x)))[1]]


class Betainc(Function):
    """I_x(a, b), the regularised incomplete beta function."""

    arguments = ("a: T", "b: T", "x: T")
    results = ("z: T",)
    cases = (
        Case((3, 5), (5,), np.linspace(0.05, 0.95, 5), low=0.3, high=6, gradient=False, tolerance=1e-4),
        Case([1.0, 2.0, -1.0, 1.0], [1.0, 3.0, 1.0, 1.0], [0.0, 1.0, 0.5, 1.5], gradient=False),
    )  # fmt: skip

    def number(self, *arguments: float) -> float:
        a, b, x = arguments
        if not (a > 0 and b > 0 and 0 <= x <= 1):
            return math.nan
        if x in (0.0, 1.0):
            return x
        if x > 0.5:
            return 1 - self.number(b, a, 1 - x)
        term, total = 1.0, 1 / a
        for n in range(1, 400):
            term *= (n - b) * x / n
            total += term / (a + n)
        return math.exp(a * math.log(x) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)) * total

    def value(self, k: Any, *arguments: Expr) -> Expr:
        a, b, x = arguments
        allowed = (a > 0) & (b > 0) & (x >= 0) & (x <= 1)
        inside = k.let("inside", allowed & (x > 0) & (x < 1))
        given = x
        a, b, x = k.let("a", select(inside, a, 1)), k.let("b", select(inside, b, 1)), k.let("x", select(inside, x, 0.5))
        turned = k.let("turned", x > (a + 1) / (a + b + 2))
        p, q, t = k.let("p", select(turned, b, a)), k.let("q", select(turned, a, b)), k.let("t", select(turned, 1 - x, x))
        scale = exp(call("lgamma", p + q) - call("lgamma", p) - call("lgamma", q) + p * log(t) + q * call("log1p", -t)) / p
        value = k.let("value", scale * self._fraction(k, p, q, t))
        return select(inside, select(turned, 1 - value, value), select(allowed, given, const(math.nan, x.type)))

    def _fraction(self, k: Any, a: Expr, b: Expr, x: Expr) -> Expr:
        """Lentz's evaluation of the continued fraction, which converges fast for x < (a + 1) / (a + b + 2)."""
        tiny = 1e-30 if x.type == "f32" else 1e-300

        def kept(v: Expr) -> Expr:
            return select(call("abs", v) < tiny, const(tiny, x.type), v)

        c, m = k.var("c", const(1, x.type)), k.var("m", const(0, x.type))
        d = k.var("d", 1 / kept(1 - (a + b) * x / (a + 1)))
        h, going = k.var("h", d), k.var("going", const(1, "i32"))

        def step() -> None:
            k.set(m, m + 1)
            even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
            odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
            for coefficient in (even, odd):
                over = k.let("over", coefficient)
                k.set(d, 1 / kept(1 + over * d))
                k.set(c, kept(1 + over / c))
                k.set(h, h * (d * c))
            k.set(going, select(call("abs", d * c - 1) < _epsilon(x.type), const(0, "i32"), going))

        _repeat(k, going, step)
        return k.let("h", h)

    def gradient(self, node: Any, dz: Any) -> Sequence[Any]:
        a, b, x = node.inputs
        scale = make("Lgamma", a + b) - make("Lgamma", a) - make("Lgamma", b)
        density = make("Exp", (a - 1.0) * make("Log", x) + (b - 1.0) * make("Log1p", -x) + scale)
        result = make("Mul", density, dz)
        return [None, None, fit(x, node.outputs[0], result, None)[0]]


def igamma(a, x, name=None):
    """P(a, x), the lower regularised incomplete gamma function, with broadcasting; NaN for a <= 0 or x < 0."""
    return make("Igamma", a, x, name=name)


def igammac(a, x, name=None):
    """Q(a, x) = 1 - P(a, x), with broadcasting."""
    return make("Igammac", a, x, name=name)


def zeta(x, q, name=None):
    """The Hurwitz zeta function: the sum of (q + n)^-x for n = 0, 1, ..., with broadcasting."""
    return make("Zeta", x, q, name=name)


def polygamma(a, x, name=None):
    """The a-th derivative of digamma at x; NaN where a is not 0, 1, 2, ..."""
    return make("Polygamma", a, x, name=name)


def betainc(a, b, x, name=None):
    """I_x(a, b), the regularised incomplete beta function, for x in [0, 1]."""
    return make("Betainc", a, b, x, name=name)


def lbeta(x, name=None):
    """The logarithm of the absolute value of the beta function of each row [..., K]: the sum of lgamma less lgamma of the sum."""
    with name_scope(name, "lbeta", [x]):
        x = convert_to_tensor(x, name="x")
        return make("Sum", make("Lgamma", x), [-1]) - make("Lgamma", make("Sum", x, [-1]))
