"""The divisions and their rests. A zero integer divisor fails the step with TensorFlow's error; it never traps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.dtypes import COMPLEX, FLOATING, DType, float16, float32, float64, int8, int16, int32, int64, uint8, uint16
from graphflow.graph.build import convert, make, name_scope
from graphflow.graph.op import Case, TensorSpec
from graphflow.kernel.expr import FLOATS, Expr, call, const, select
from graphflow.kernel.nodes import Check
from graphflow.ops import complex_arithmetic
from graphflow.ops.arithmetic import DIVISIBLE, Binary, binary
from graphflow.ops.broadcast import conjugate, fit
from graphflow.ops.logic import cast

__all__ = [
    "div", "div_no_nan", "divide", "floor_div", "floordiv", "floormod", "mod", "realdiv", "truediv", "truncatediv",
    "truncatemod",
]  # fmt: skip

_DIVIDEND = np.array([7, -7, 6, -1, 0, 5])
_DIVISOR = np.array([2, 2, -3, -4, 5, -5])


_BY_ZERO = Check("InvalidArgumentError", "Integer division by zero")


def _integers(x: Expr, y: Expr, function: str) -> Expr:
    """An integer division that cannot trap: y = 0 fails the step; y = -1 (where the lowest integer has no quotient) becomes a negation."""
    y = call("check", call("ne", y, 0), const(0, "i64"), select(call("eq", y, 0), 1, y))
    if y.type.startswith("u"):
        return call(function, x, y)
    opposite = call("eq", y, -1)
    safe = select(opposite, 1, y)
    return select(opposite, const(0, x.type) if function in ("rem", "floormod") else -x, call(function, x, safe))


def _divisor_checked(y: Any) -> None:
    """The reference's form of the run-time check."""
    if np.asarray(y).dtype.kind in "iu" and np.any(np.equal(y, 0)):
        raise ZeroDivisionError(_BY_ZERO.message)


class Division(Binary, abstract=True):
    """Base of the divisions: a zero integer divisor fails the step."""

    types = {"T": DIVISIBLE}
    checks = (_BY_ZERO,)
    cases = (
        Case((3, 5), (5,), low=0.5), Case((), (33,), low=0.5), Case((0,), (1,)), Case(_DIVIDEND, _DIVISOR, gradient=False),
        Case([1, 2], [1, 0], dtypes=("int32", "int64"), error=("InvalidArgumentError", "Integer division by zero")),
    )  # fmt: skip


def _quotient_gradients(node: Any, dz: Any) -> Sequence[Any]:
    operands = node.inputs
    x, y = (conjugate(t) for t in operands)
    over = make("RealDiv", make("RealDiv", make("Neg", x), y), y)
    return fit(*operands, make("RealDiv", dz, y), make("Mul", dz, over))


class RealDiv(Binary):
    """x / y of floating-point numbers."""

    types = {"T": (*DIVISIBLE, *COMPLEX)}
    cases = (
        Case((3, 5), (5,), low=0.5), Case((2, 1), (33,), low=0.5), Case((0,), (1,)),
        Case([1.0, -1.0, 0.0], [0.0, 0.0, 0.0], dtypes=("float32",), gradient=False),
    )  # fmt: skip

    def infer(self, x: TensorSpec, y: TensorSpec) -> TensorSpec:
        if x.dtype not in (*FLOATING, *COMPLEX):
            raise TypeError(f"RealDiv divides floating-point numbers, not {x.dtype.name}; cast, or use floordiv")
        return super().infer(x, y)  # type: ignore[return-value]

    def reference(self, x: Any, y: Any) -> Any:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.divide(x, y)

    def scalar(self, x: Expr, y: Expr) -> Expr:
        return x / y

    def on_parts(self, b: Any, x: Any, y: Any) -> Any:
        return complex_arithmetic.quotient(b, x, y)

    def gradient(self, node: Any, dz: Any) -> Sequence[Any]:
        return _quotient_gradients(node, dz)


class Div(Division):
    """x / y, truncating toward zero on integers."""

    types = {"T": (*DIVISIBLE, *COMPLEX)}

    def reference(self, x: Any, y: Any) -> Any:
        _divisor_checked(y)
        if np.asarray(x).dtype.kind in "fc":
            return np.divide(x, y)
        return np.trunc(np.divide(x, y, dtype=np.float64)).astype(np.asarray(x).dtype)

    def scalar(self, x: Expr, y: Expr) -> Expr:
        return x / y if x.type in FLOATS else _integers(x, y, "div")

    def on_parts(self, b: Any, x: Any, y: Any) -> Any:
        return complex_arithmetic.quotient(b, x, y)

    def gradient(self, node: Any, dz: Any) -> Sequence[Any]:
        return _quotient_gradients(node, dz)


class TruncateDiv(Div):
    """Integer division toward zero."""

    types = {"T": DIVISIBLE}
    differentiable = False


class FloorDiv(Division):
    """Division rounded down."""

    differentiable = False
    symbolic = True

    def reference(self, x: Any, y: Any) -> Any:
        _divisor_checked(y)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.floor(np.divide(x, y)) if np.asarray(x).dtype.kind == "f" else np.floor_divide(x, y)

    def scalar(self, x: Expr, y: Expr) -> Expr:
        return call("floor", x / y) if x.type in FLOATS else _integers(x, y, "floordiv")


class FloorMod(Division):
    """The rest of division rounded down; it has y's sign."""

    types = {"T": (int32, int64, float16, float32, float64)}
    symbolic = True

    def reference(self, x: Any, y: Any) -> Any:
        _divisor_checked(y)
        return np.mod(x, y)

    def scalar(self, x: Expr, y: Expr) -> Expr:
        if x.type not in FLOATS:
            return _integers(x, y, "floormod")
        rest = call("rem", x, y)
        return select(call("and", call("ne", rest, 0), call("ne", rest < 0, y < 0)), rest + y, rest)

    def gradient(self, node: Any, dz: Any) -> Sequence[Any]:
        x, y = node.inputs
        return fit(x, y, dz, make("Mul", dz, make("Neg", make("FloorDiv", x, y))))


class Mod(Division):
    """The rest of division toward zero; it has x's sign."""

    types = {"T": (int32, int64, float16, float32, float64)}

    def reference(self, x: Any, y: Any) -> Any:
        _divisor_checked(y)
        return np.fmod(x, y)

    def scalar(self, x: Expr, y: Expr) -> Expr:
        return call("rem", x, y) if x.type in FLOATS else _integers(x, y, "rem")

    def gradient(self, node: Any, dz: Any) -> Sequence[Any]:
        x, y = node.inputs
        quotient = make("RealDiv", x, y)
        whole = make("Mul", make("Sign", quotient), make("Floor", make("Abs", quotient)))
        return fit(x, y, dz, make("Mul", dz, make("Neg", whole)))


class TruncateMod(Mod):
    """The rest of division toward zero; it has x's sign."""


class DivNoNan(Binary):
    """x / y, and 0 where y is 0."""

    types = {"T": (float16, float32, float64, *COMPLEX)}
    cases = (Case((3, 5), (5,), low=0.5), Case([1.0, 0.0, 4.0], [0.0, 0.0, 2.0], gradient=False))

    def reference(self, x: Any, y: Any) -> Any:
        return np.divide(x, y, out=np.zeros(np.broadcast(x, y).shape, x.dtype), where=np.not_equal(y, 0))

    def scalar(self, x: Expr, y: Expr) -> Expr:
        return select(call("eq", y, 0), 0, x / y)

    def on_parts(self, b: Any, x: Any, y: Any) -> Any:
        return b.select(complex_arithmetic.zero(b, y), 0, b.div(x, y))

    def gradient(self, node: Any, dz: Any) -> Sequence[Any]:
        operands = node.inputs
        x, y = (conjugate(t) for t in operands)
        over = make("DivNoNan", make("DivNoNan", make("Neg", x), y), y)
        return fit(*operands, make("DivNoNan", dz, y), make("Mul", dz, over))


def _nonzero(x: Any) -> Any:
    """1 where x is not 0, else 0, in x's type."""
    return make("Cast", make("NotEqual", x, 0), DstT=x.dtype.base_dtype)


class Xdivy(Binary):
    """x / y, and 0 where x is 0 whatever y is."""

    types = {"T": (*FLOATING, *COMPLEX)}
    cases = (Case((3, 5), (5,), low=0.5), Case([0.0, 0.0, 4.0], [0.0, np.nan, 2.0], gradient=False))

    def reference(self, x: Any, y: Any) -> Any:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(np.equal(x, 0), np.zeros((), x.dtype), np.divide(x, y))

    def scalar(self, x: Expr, y: Expr) -> Expr:
        return select(call("eq", x, 0), 0, x / y)

    def on_parts(self, b: Any, x: Any, y: Any) -> Any:
        return b.select(complex_arithmetic.zero(b, x), 0, b.div(x, y))

    def gradient(self, node: Any, dz: Any) -> Sequence[Any]:
        operands = node.inputs
        x, y = (conjugate(t) for t in operands)
        over_y = make("Xdivy", make("Neg", x), make("Square", y))
        return fit(*operands, make("Mul", make("Xdivy", _nonzero(x), y), dz), make("Mul", over_y, dz))


class Xlogy(Binary):
    """x * log(y), and 0 where x is 0 whatever y is."""

    types = {"T": (*FLOATING, *COMPLEX)}
    cases = (Case((3, 5), (5,), low=0.5), Case([0.0, 0.0, 4.0], [0.0, np.nan, 2.0], gradient=False))

    def reference(self, x: Any, y: Any) -> Any:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(np.equal(x, 0), np.zeros((), x.dtype), np.multiply(x, np.log(y)))

    def scalar(self, x: Expr, y: Expr) -> Expr:
        return select(call("eq", x, 0), 0, x * call("log", y))

    def on_parts(self, b: Any, x: Any, y: Any) -> Any:
        return b.select(complex_arithmetic.zero(b, x), 0, b.mul(x, b.log(y)))

    def gradient(self, node: Any, dz: Any) -> Sequence[Any]:
        operands = node.inputs
        x, y = (conjugate(t) for t in operands)
        return fit(*operands, make("Mul", make("Xlogy", _nonzero(x), y), dz), make("Mul", make("Xdivy", x, y), dz))


realdiv = binary("RealDiv", "realdiv", "x / y of floating-point numbers.")
truncatediv = binary("TruncateDiv", "truncatediv", "x / y of integers, rounded toward zero.")
floor_div = binary("FloorDiv", "floor_div", "x / y rounded down.")
floormod = binary("FloorMod", "floormod", "The rest of x / y rounded down; it has y's sign.")
mod = binary("FloorMod", "mod", "The rest of x / y rounded down; it has y's sign.")
truncatemod = binary("TruncateMod", "truncatemod", "The rest of x / y rounded toward zero; it has x's sign.")
xdivy = binary("Xdivy", "xdivy", "x / y, and 0 where x is 0 whatever y is.")
xlogy = binary("Xlogy", "xlogy", "x * log(y), and 0 where x is 0 whatever y is.")

_TRUE_QUOTIENT = {uint8: float32, int8: float32, uint16: float32, int16: float32, int32: float64, int64: float64}


def _same_type(x: Any, y: Any) -> DType:
    """The common element type of two tensors."""
    left, right = x.dtype.base_dtype, y.dtype.base_dtype
    if left != right:
        raise TypeError(f"x and y must have the same dtype, got {left!r} != {right!r}")
    return left


def truediv(x, y, name=None):
    """x / y as Python 3 divides: integers become floating-point numbers first."""
    with name_scope(name, "truediv", [x, y]) as scope:
        return make("RealDiv", *true_operands(convert(x, name="x"), convert(y, name="y")), name=scope)


def true_operands(x: Any, y: Any) -> tuple[Any, Any]:
    """Two tensors of one type as Python 3 divides them."""
    dtype = _same_type(x, y)
    wide = _TRUE_QUOTIENT.get(dtype)
    if wide is not None:
        return cast(x, wide), cast(y, wide)
    if not (dtype.is_floating or dtype.is_complex):
        raise TypeError(f"Invalid dtype {dtype!r} in __truediv__")
    return x, y


def div(x, y, name=None):
    """x / y as Python 2 divides: integers give an integer rounded down."""
    with name_scope(name, "div", [x, y]) as scope:
        x = convert(x, name="x")
        y = convert(y, x.dtype.base_dtype, "y")
        dtype = _same_type(x, y)
        return make("RealDiv" if dtype.is_floating or dtype.is_complex else "FloorDiv", x, y, name=scope)


def divide(x, y, name=None):
    """x / y with Python's operator, under a name of its choice."""
    return x / y if name is None else truediv(x, y, name)


def floordiv(x, y, name=None):
    """x / y rounded down."""
    with name_scope(name, "floordiv", [x, y]) as scope:
        return make("FloorDiv", x, y, name=scope)


def reciprocal_no_nan(x, name=None):
    """1 / x, and 0 where x is 0."""
    with name_scope(name, "reciprocal_no_nan", [x]) as scope:
        x = convert(x, name="x")
        return div_no_nan(convert(1, x.dtype.base_dtype, "one"), x, name=scope)


def div_no_nan(x, y, name=None):
    """x / y, and 0 where y is 0."""
    with name_scope(name, "div_no_nan", [x, y]) as scope:
        x = convert(x, name="x")
        y = convert(y, x.dtype.base_dtype, "y")
        _same_type(x, y)
        return make("DivNoNan", x, y, name=scope)
