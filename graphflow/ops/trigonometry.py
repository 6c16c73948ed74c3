"""Trigonometric and hyperbolic functions and their inverses, element by element."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphflow.graph.build import make
from graphflow.graph.op import Case
from graphflow.ops.broadcast import conjugate, like
from graphflow.ops.unary import ANY, INEXACT, OPEN_UNIT, Unary, unary

__all__ = [
    "acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "sin", "sinh", "tan",
]  # fmt: skip


class Sin(Unary):
    """The sine of an angle in radians."""

    cases = (*ANY, Case((65,), low=-100, high=100, gradient=False))
    numpy = "sin"
    types = {"T": INEXACT}
    of_complex = "sine"
    function = "sin"

    def slope(self, x: Any, y: Any) -> Any:
        return make("Cos", x)


class Cos(Unary):
    """The cosine of an angle in radians."""

    cases = (*ANY, Case((65,), low=-100, high=100, gradient=False))
    numpy = "cos"
    types = {"T": INEXACT}
    of_complex = "cosine"
    function = "cos"

    def slope(self, x: Any, y: Any) -> Any:
        return make("Neg", make("Sin", x))


class Tan(Unary):
    """The tangent of an angle in radians."""

    cases = (Case((3, 5), low=-1.2, high=1.2), Case(()), Case((0,)), Case((65,), low=-1.2, high=1.2))
    numpy = "tan"
    types = {"T": INEXACT}
    of_complex = "tangent"
    function = "tan"

    def slope(self, x: Any, y: Any) -> Any:
        return make("Square", make("Reciprocal", make("Cos", x)))


class Asin(Unary):
    """The angle whose sine is x."""

    cases = OPEN_UNIT
    numpy = "arcsin"
    function = "asin"

    def slope(self, x: Any, y: Any) -> Any:
        return make("Reciprocal", make("Sqrt", make("Sub", like(x, 1), make("Square", x))))


class Acos(Unary):
    """The angle whose cosine is x."""

    cases = OPEN_UNIT
    numpy = "arccos"
    function = "acos"

    def slope(self, x: Any, y: Any) -> Any:
        return make("Neg", make("Reciprocal", make("Sqrt", make("Sub", like(x, 1), make("Square", x)))))


class Atan(Unary):
    """The angle whose tangent is x."""

    numpy = "arctan"
    function = "atan"

    def slope(self, x: Any, y: Any) -> Any:
        return make("Reciprocal", make("Add", like(x, 1), make("Square", x)))


class Sinh(Unary):
    """The hyperbolic sine."""

    numpy = "sinh"
    types = {"T": INEXACT}
    of_complex = "hyperbolic_sine"
    function = "sinh"

    def slope(self, x: Any, y: Any) -> Any:
        return make("Cosh", x)


class Cosh(Unary):
    """The hyperbolic cosine."""

    numpy = "cosh"
    types = {"T": INEXACT}
    of_complex = "hyperbolic_cosine"
    function = "cosh"

    def slope(self, x: Any, y: Any) -> Any:
        return make("Sinh", x)


class Asinh(Unary):
    """The inverse of sinh."""

    cases = (*ANY, Case([-1e10, 1e-6, 1e10], gradient=False))
    numpy = "arcsinh"
    types = {"T": INEXACT}
    of_complex = "area_sine"
    function = "asinh"

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make("RealDiv", dy, make("Cosh", conjugate(node.outputs[0])), name="truediv")]


class Acosh(Unary):
    """The inverse of cosh."""

    cases = (Case((3, 5), low=1.1, high=4), Case((), low=1.1, high=4), Case((0,)), Case((65,), low=1.1, high=80))
    numpy = "arccosh"
    types = {"T": INEXACT}
    of_complex = "area_cosine"
    function = "acosh"

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make("RealDiv", dy, make("Sinh", conjugate(node.outputs[0])), name="truediv")]


class Atanh(Unary):
    """The inverse of tanh."""

    cases = OPEN_UNIT
    numpy = "arctanh"
    types = {"T": INEXACT}
    of_complex = "area_tangent"
    function = "atanh"

    def slope(self, x: Any, y: Any) -> Any:
        return make("Reciprocal", make("Sub", like(x, 1), make("Square", x)))


sin = unary("Sin", "sin", "The sine of x radians.")
cos = unary("Cos", "cos", "The cosine of x radians.")
tan = unary("Tan", "tan", "The tangent of x radians.")
asin = unary("Asin", "asin", "The angle whose sine is x.")
acos = unary("Acos", "acos", "The angle whose cosine is x.")
atan = unary("Atan", "atan", "The angle whose tangent is x.")
sinh = unary("Sinh", "sinh", "The hyperbolic sine of x.")
cosh = unary("Cosh", "cosh", "The hyperbolic cosine of x.")
asinh = unary("Asinh", "asinh", "The inverse of sinh at x.")
acosh = unary("Acosh", "acosh", "The inverse of cosh at x.")
atanh = unary("Atanh", "atanh", "The inverse of tanh at x.")
