"""Rounding to whole numbers, and the tests for NaN and infinity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.graph.build import convert, make
from graphflow.graph.op import Case
from graphflow.kernel.expr import FLOATS, Expr, call
from graphflow.ops.unary import ANY, SIGNED_NUMBERS, Unary, unary

__all__ = [
    "ceil", "floor", "is_finite", "is_inf", "is_nan", "rint", "round",
]  # fmt: skip


class Rounding(Unary, abstract=True):
    """Base of the functions that are flat almost everywhere: no gradient flows."""

    cases = (*ANY, Case([-2.5, -1.5, -0.5, -0.0, 0.5, 1.5, 2.5, np.inf, 1e10], gradient=False))

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [None]


class Floor(Rounding):
    """The largest whole number that is not above x."""

    numpy = "floor"
    function = "floor"


class Ceil(Rounding):
    """The smallest whole number that is not below x."""

    numpy = "ceil"
    function = "ceil"


class Rint(Rounding):
    """The nearest whole number, the even one of two."""

    numpy = "rint"
    function = "rint"


class Round(Rounding):
    """The nearest whole number, the even one of two; integers stay as they are."""

    types = {"T": SIGNED_NUMBERS}
    cases = (*ANY, Case([-2.5, -1.5, 0.5, 1.5, 2.5], dtypes=("float32", "float64"), gradient=False))
    numpy = "round"

    def scalar(self, x: Expr) -> Expr:
        return call("rint", x) if x.type in FLOATS else x


class Test(Unary, abstract=True):
    """Base of the tests of one number."""

    results = ("y: bool",)
    differentiable = False
    cases = (Case((3, 5)), Case([np.nan, np.inf, -np.inf, 0.0, 65504.0]), Case((0,)))


class IsNan(Test):
    """Whether x is not a number."""

    numpy = "isnan"
    function = "isnan"


class IsInf(Test):
    """Whether x is an infinity."""

    numpy = "isinf"
    function = "isinf"


class IsFinite(Test):
    """Whether x is neither an infinity nor NaN."""

    numpy = "isfinite"
    function = "isfinite"


floor = unary("Floor", "floor", "The largest whole number that is not above x.")
ceil = unary("Ceil", "ceil", "The smallest whole number that is not below x.")
rint = unary("Rint", "rint", "The whole number nearest to x, the even one of two.")
is_nan = unary("IsNan", "is_nan", "Whether x is not a number.")
is_inf = unary("IsInf", "is_inf", "Whether x is an infinity.")
is_finite = unary("IsFinite", "is_finite", "Whether x is neither an infinity nor NaN.")


def round(x, name=None):
    """The whole number nearest to x, the even one of two; integers are given back as they are."""
    x = convert(x, name="x")
    return x if x.dtype.is_integer else make("Round", x, name=name)
