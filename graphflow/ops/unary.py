"""Functions of one number, element by element: roots, exponentials, trigonometry, rounding, tests for NaN."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from graphflow.dtypes import COMPLEX, FLOATING, SIGNED, int32, int64
from graphflow.graph.build import convert, make, name_scope
from graphflow.graph.composite import SparseTensor
from graphflow.graph.op import Case
from graphflow.kernel.expr import Expr, call, const, select
from graphflow.ops import complex_arithmetic
from graphflow.ops.broadcast import conjugate, like
from graphflow.ops.families import Elementwise

__all__ = [
    "abs", "digamma", "erf", "erfc", "exp", "expm1", "lgamma", "log", "log1p", "negative",
    "reciprocal", "rsqrt", "sign", "sqrt", "square",
]  # fmt: skip

SIGNED_NUMBERS = (*FLOATING, int32, int64)
INEXACT = (*FLOATING, *COMPLEX)
ANY = (Case((3, 5)), Case(()), Case((0, 3)), Case((65,)))
POSITIVE = (Case((3, 5), low=0.1), Case(()), Case((0, 3)), Case((65,), low=1e-3, high=80))
OPEN_UNIT = (Case((3, 5), low=-0.9, high=0.9), Case((), low=-0.9, high=0.9), Case((0,)), Case((65,), low=-0.95, high=0.95))


def unary(op: str, name: str, doc: str) -> Callable[..., Any]:
    """The public function of a one-operand op."""

    def function(x, name=None):
        return make(op, x, name=name)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


def also_sparse(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of one tensor that maps 0 to 0, for SparseTensors too: it is applied to the elements that are stored."""

    @wraps(function)
    def either(x, name=None):
        if isinstance(x, SparseTensor):
            return SparseTensor(x.indices, function(x.values, name), x.dense_shape)
        return function(x, name)

    return either


class Unary(Elementwise, abstract=True):
    """y = f(x). `numpy` names the reference, `function` the kernel's function (both may be overridden); `slope` is dy/dx. `of_complex`
    names the function of ops/complex_arithmetic.py where `types` has the complex ones."""

    arguments = ("x: T",)
    results = ("y: T",)
    types = {"T": FLOATING}
    cases = ANY
    numpy = ""
    function = ""
    of_complex = ""

    def reference(self, x: Any) -> Any:
        with np.errstate(all="ignore"):
            return getattr(np, self.numpy)(x)

    def on_parts(self, b: Any, *inputs: Any) -> Any:
        return getattr(complex_arithmetic, self.of_complex)(b, *inputs) if self.of_complex else super().on_parts(b, *inputs)

    def scalar(self, x: Expr) -> Expr:
        return call(self.function, x)

    def slope(self, x: Any, y: Any) -> Any:
        """dy/dx as a graph tensor."""
        raise NotImplementedError

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make("Mul", dy, self.slope(conjugate(node.inputs[0]), conjugate(node.outputs[0])), name="mul")]


class Neg(Unary):
    """-x"""

    types = {"T": (*FLOATING, *SIGNED, *COMPLEX)}
    linear = True
    numpy = "negative"
    function = "neg"
    symbolic = True

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make("Neg", dy)]


class Abs(Unary):
    """|x|"""

    types = {"T": (*FLOATING, *SIGNED)}
    cases = (*ANY, Case([-2.5, -0.0, 3.0], gradient=False))
    numpy = "abs"
    function = "abs"

    def slope(self, x: Any, y: Any) -> Any:
        return make("Sign", x)


class Sign(Unary):
    """-1, 0 or 1; 0 for NaN; x / |x| or 0 of complex numbers."""

    types = {"T": (*SIGNED_NUMBERS, *COMPLEX)}
    cases = (*ANY, Case([-np.inf, -0.0, np.nan, 0.5], dtypes=("float32",), gradient=False))

    def reference(self, x: Any) -> Any:
        if np.iscomplexobj(x):
            return np.divide(x, np.abs(x), out=np.zeros_like(x), where=np.not_equal(x, 0))
        return (np.greater(x, 0).astype(np.int8) - np.less(x, 0).astype(np.int8)).astype(np.asarray(x).dtype)

    def scalar(self, x: Expr) -> Expr:
        return select(x > 0, const(1, x.type), select(x < 0, const(-1, x.type), const(0, x.type)))

    def on_parts(self, b: Any, x: Any) -> Any:
        size = complex_arithmetic.modulus(b, x)
        return complex_arithmetic.times(b, x, b.make("DivNoNan", b.constant(1, size.dtype), size))

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make("ZerosLike", node.inputs[0])]


class Reciprocal(Unary):
    """1 / x"""

    cases = (*POSITIVE, Case([0.0, -0.0, -4.0], gradient=False))
    numpy = "reciprocal"
    types = {"T": INEXACT}
    of_complex = "reciprocal"

    def scalar(self, x: Expr) -> Expr:
        return 1 / x

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make("ReciprocalGrad", node.outputs[0], dy)]


class Inv(Reciprocal):
    """1 / x; the older name of Reciprocal."""


class Square(Unary):
    """x * x"""

    types = {"T": (*SIGNED_NUMBERS, *COMPLEX)}
    numpy = "square"
    of_complex = "square"

    def scalar(self, x: Expr) -> Expr:
        return x * x

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make("Mul", dy, make("Mul", conjugate(node.inputs[0]), 2))]


class Sqrt(Unary):
    """The square root."""

    cases = POSITIVE
    numpy = "sqrt"
    types = {"T": INEXACT}
    of_complex = "root"
    function = "sqrt"

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make("SqrtGrad", node.outputs[0], dy)]


class Rsqrt(Unary):
    """1 / sqrt(x)"""

    cases = POSITIVE
    function = "rsqrt"
    types = {"T": INEXACT}
    of_complex = "reciprocal_root"

    def reference(self, x: Any) -> Any:
        with np.errstate(all="ignore"):
            return np.power(np.asarray(x, np.complex128 if np.iscomplexobj(x) else np.float64), -0.5).astype(np.asarray(x).dtype)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make("RsqrtGrad", node.outputs[0], dy)]


class Exp(Unary):
    """e to the power x"""

    cases = (*ANY, Case([-np.inf, -200.0, 0.0, 200.0, np.inf, np.nan], dtypes=("float32",), gradient=False))
    numpy = "exp"
    types = {"T": INEXACT}
    of_complex = "exponential"
    function = "exp"

    def slope(self, x: Any, y: Any) -> Any:
        return y


class Expm1(Unary):
    """e to the power x, less 1, exact near 0"""

    cases = (*ANY, Case([1e-7, -1e-7, 0.0], gradient=False))
    numpy = "expm1"
    types = {"T": INEXACT}
    of_complex = "exponential_less_1"
    function = "expm1"

    def slope(self, x: Any, y: Any) -> Any:
        return make("Exp", x)


class Log(Unary):
    """The natural logarithm."""

    cases = (*POSITIVE, Case([0.0, -1.0, np.inf], gradient=False))
    numpy = "log"
    types = {"T": INEXACT}
    of_complex = "logarithm"
    function = "log"

    def slope(self, x: Any, y: Any) -> Any:
        return make("Reciprocal", x)


class Log1p(Unary):
    """The natural logarithm of 1 + x, exact near 0"""

    cases = (*POSITIVE, Case([1e-7, -1e-7, 0.0, -1.0], gradient=False))
    numpy = "log1p"
    types = {"T": INEXACT}
    of_complex = "logarithm_of_1_plus"
    function = "log1p"

    def slope(self, x: Any, y: Any) -> Any:
        return make("Reciprocal", make("AddV2", like(x, 1), x))


def _each(function: Callable[[float], float], x: Any) -> Any:
    x = np.asarray(x)
    return np.array([function(float(v)) for v in x.ravel()], x.dtype).reshape(x.shape)


class Erf(Unary):
    """The error function."""

    cases = (*ANY, Case([-np.inf, -6.0, 1e-6, 6.0, np.inf], gradient=False))
    function = "erf"

    def reference(self, x: Any) -> Any:
        return _each(math.erf, x)

    def slope(self, x: Any, y: Any) -> Any:
        return make("Mul", like(x, 2 / math.sqrt(math.pi)), make("Exp", make("Neg", make("Square", x))), name="mul")


class Erfc(Unary):
    """1 - erf(x), exact where that is small"""

    cases = (*ANY, Case([-6.0, 3.0, 5.0], gradient=False))
    function = "erfc"

    def reference(self, x: Any) -> Any:
        return _each(math.erfc, x)

    def slope(self, x: Any, y: Any) -> Any:
        return make("Mul", like(x, -2 / math.sqrt(math.pi)), make("Exp", make("Neg", make("Square", x))), name="mul")


class Lgamma(Unary):
    """The logarithm of |gamma(x)|."""

    cases = (Case((3, 5), low=0.1, high=8), Case((), low=0.1), Case((0,)), Case([-0.5, -2.5, 0.5, 20.0], gradient=False))
    function = "lgamma"

    def reference(self, x: Any) -> Any:
        return _each(math.lgamma, x)

    def slope(self, x: Any, y: Any) -> Any:
        return make("Digamma", x)


class Digamma(Unary):
    """The derivative of lgamma."""

    cases = (Case((3, 5), low=0.1, high=8, gradient=False), Case([-0.5, 1e-3, 20.0, 1.0], gradient=False), Case((0,), gradient=False))

    def reference(self, x: Any) -> Any:
        def one(v: float) -> float:
            step = 1e-3
            return (  # a five-point difference of lgamma
                8 * (math.lgamma(v + step) - math.lgamma(v - step)) - math.lgamma(v + 2 * step) + math.lgamma(v - 2 * step)
            ) / (12 * step) if v > 0.01 else one(v + 1) - 1 / v

        return _each(one, x)

    def scalar(self, x: Expr) -> Expr:
        # Reflection makes the argument positive, ten steps of psi(s + 1) = psi(s) + 1/s make it large, then the asymptotic series.
        reflected = x <= 0
        s = select(reflected, 1 - x, x)
        rest: Expr = const(0, x.type)
        for _ in range(10):
            small = s < 10
            rest = select(small, rest + 1 / s, rest)
            s = select(small, s + 1, s)
        z = 1 / (s * s)
        series: Expr = const(0, x.type)
        for coefficient in (1 / 12, -691 / 32760, 1 / 132, -1 / 240, 1 / 252, -1 / 120, 1 / 12):
            series = (series + coefficient) * z
        value = call("log", s) - 0.5 / s - series - rest
        pole = call("eq", x, call("floor", x))
        other = value - math.pi / call("tan", math.pi * (x - call("rint", x)))  # x - floor(x) would round a small negative x away
        return select(reflected, select(pole, const(math.inf, x.type), other), value)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make("Mul", dy, make("Polygamma", like(node.inputs[0], 1), node.inputs[0]), name="mul")]


class UnaryGrad(Elementwise, abstract=True):
    """Base of the ops that give dx from y = f(x) and dy."""

    arguments = ("y: T", "dy: T")
    results = ("z: T",)
    types = {"T": INEXACT}
    cases = (Case((3, 5), (3, 5), low=0.25), Case((), ()), Case((0, 3), (0, 3)), Case((65,), (65,), low=0.25))


class ReciprocalGrad(UnaryGrad):
    """-dy * y * y"""

    def reference(self, y: Any, dy: Any) -> Any:
        return -(np.square(np.conj(y)) * dy)

    def scalar(self, y: Expr, dy: Expr) -> Expr:
        return -dy * y * y

    def on_parts(self, b: Any, y: Any, dy: Any) -> Any:
        return b.neg(b.mul(b.square(b.make("Conj", y)), dy))

    def gradient(self, node: Any, dz: Any) -> Sequence[Any]:
        y, dy = conjugate(node.inputs[0]), node.inputs[1]
        return [make("Mul", make("Mul", make("Mul", conjugate(dz), -2), dy), y), make("ReciprocalGrad", y, dz)]


class InvGrad(ReciprocalGrad):
    """-dy * y * y; the older name of ReciprocalGrad."""


class SqrtGrad(UnaryGrad):
    """dy / (2 y)"""

    def reference(self, y: Any, dy: Any) -> Any:
        return np.divide(np.multiply(dy, 0.5, dtype=np.asarray(dy).dtype), np.conj(y))

    def scalar(self, y: Expr, dy: Expr) -> Expr:
        return 0.5 * dy / y

    def on_parts(self, b: Any, y: Any, dy: Any) -> Any:
        return complex_arithmetic.times(b, b.div(dy, b.make("Conj", y)), 0.5)

    def gradient(self, node: Any, dz: Any) -> Sequence[Any]:
        ga = make("RealDiv", dz, node.inputs[0])
        return [make("Mul", make("Neg", conjugate(ga)), node.outputs[0]), make("Mul", ga, 0.5)]


class RsqrtGrad(UnaryGrad):
    """-dy * y^3 / 2"""

    def reference(self, y: Any, dy: Any) -> Any:
        wide = np.conj(y).astype(np.complex128 if np.iscomplexobj(y) else np.float64)
        return (np.power(wide, 3) * dy * -0.5).astype(np.asarray(y).dtype)

    def scalar(self, y: Expr, dy: Expr) -> Expr:
        return -0.5 * dy * (y * y * y)

    def on_parts(self, b: Any, y: Any, dy: Any) -> Any:
        y = b.make("Conj", y)
        return complex_arithmetic.times(b, b.mul(dy, b.mul(b.square(y), y)), -0.5)

    def gradient(self, node: Any, dz: Any) -> Sequence[Any]:
        y, dy = conjugate(node.inputs[0]), node.inputs[1]
        return [make("Mul", make("Mul", make("Mul", conjugate(dz), -1.5), dy), make("Square", y)), make("RsqrtGrad", y, dz)]


negative = also_sparse(unary("Neg", "negative", "-x"))
reciprocal = unary("Reciprocal", "reciprocal", "1 / x")
square = also_sparse(unary("Square", "square", "x * x"))
sqrt = also_sparse(unary("Sqrt", "sqrt", "The square root of x."))
rsqrt = unary("Rsqrt", "rsqrt", "1 / sqrt(x)")
exp = unary("Exp", "exp", "e to the power x.")
expm1 = unary("Expm1", "expm1", "e to the power x, less 1, exact near 0.")
log = unary("Log", "log", "The natural logarithm of x.")
log1p = unary("Log1p", "log1p", "The natural logarithm of 1 + x, exact near 0.")
erf = also_sparse(unary("Erf", "erf", "The error function of x."))
erfc = unary("Erfc", "erfc", "1 - erf(x), exact where that is small.")
lgamma = unary("Lgamma", "lgamma", "The logarithm of |gamma(x)|.")
digamma = unary("Digamma", "digamma", "The derivative of lgamma at x.")
sign = also_sparse(unary("Sign", "sign", "-1, 0 or 1 as x is negative, zero or positive."))


@also_sparse
def abs(x, name=None):
    """|x|; of complex numbers the modulus, a real tensor."""
    with name_scope(name, "Abs", [x]) as scope:
        x = convert(x, name="x")
        if x.dtype.is_complex:
            return make("ComplexAbs", x, Tout=x.dtype.real_dtype, name=scope)
        return make("Abs", x, name=scope)


def polyval(coeffs, x, name=None):
    """The polynomial with the given coefficients, highest power first, at x."""
    with name_scope(name, "polyval", [*coeffs, x]) as scope:
        x = convert(x, name="x")
        if len(coeffs) < 1:
            return make("ZerosLike", x, name=scope)
        terms = [convert(c, name=f"coeff_{k}") for k, c in enumerate(coeffs)]
        value = terms[0]
        for c in terms[1:]:
            value = c + value * x
        return value
