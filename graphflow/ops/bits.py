"""Numbers as bits: bitwise logic, shifts, reinterpretation, the next floating-point number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.dtypes import COMPLEX, INTEGRAL, REAL, DType, as_dtype, float32, float64, int32, int64
from graphflow.graph.build import make
from graphflow.graph.dims import broadcast_dims, merge_dims
from graphflow.graph.op import Case, Kind, Op, TensorSpec
from graphflow.kernel.expr import TYPES, Expr, call, const, select
from graphflow.ops.arithmetic import Binary, binary
from graphflow.ops.broadcast import fit
from graphflow.ops.families import Composite
from graphflow.ops.unary import Unary, unary

__all__ = ["bitcast"]

_BITS = (
    Case(np.array([0, 1, 5, 12, 255]), np.array([7, 3, 6, 10, 255]), dtypes=("int32", "uint8", "int64")),
    Case(np.array([[3], [4]]), np.array([1, 2, 6]), dtypes=("int16", "uint32")),
)  # fmt: skip


class Bitwise(Binary, abstract=True):
    """Base of the logic on the bits of integers."""

    types = {"T": INTEGRAL}
    differentiable = False
    cases = _BITS
    numpy = ""
    function = ""

    def reference(self, x: Any, y: Any) -> Any:
        return getattr(np, self.numpy)(x, y)

    def scalar(self, x: Expr, y: Expr) -> Expr:
        return call(self.function, x, y)


class BitwiseAnd(Bitwise):
    """The bits that both have."""

    numpy, function = "bitwise_and", "and"


class BitwiseOr(Bitwise):
    """The bits that either has."""

    numpy, function = "bitwise_or", "or"


class BitwiseXor(Bitwise):
    """The bits that just one has."""

    numpy, function = "bitwise_xor", "xor"


class Shift(Binary, abstract=True):
    """Base of the shifts. A shift by a negative number counts as 0, one by the number of bits or more as the number of bits less 1, as
    TensorFlow has it, so that no processor's own rule shows."""

    types = {"T": INTEGRAL}
    differentiable = False
    cases = (
        Case(np.array([1, 5, 12, 100]), np.array([0, 3, 40, 7]), dtypes=("int32", "uint8")),
        Case(np.array([-8, -1]), np.array([1, 70]), dtypes=("int64", "int8")),
    )
    numpy = ""
    function = ""

    def reference(self, x: Any, y: Any) -> Any:
        bits = np.asarray(x).dtype.itemsize * 8
        return getattr(np, self.numpy)(x, np.clip(y, 0, bits - 1).astype(np.asarray(x).dtype))

    def scalar(self, x: Expr, y: Expr) -> Expr:
        last = TYPES[x.type].itemsize * 8 - 1
        y = select(y < 0, const(0, y.type), select(y < last, y, const(last, y.type)))
        return call(self.function, x, y)


class LeftShift(Shift):
    """The bits moved towards the higher ones."""

    numpy, function = "left_shift", "shl"


class RightShift(Shift):
    """The bits moved towards the lower ones; a negative number stays negative."""

    numpy, function = "right_shift", "shr"


class Invert(Unary):
    """Every bit turned round."""

    types = {"T": INTEGRAL}
    differentiable = False
    cases = (Case(np.array([0, 1, 5, 127]), dtypes=("int32", "uint8", "int8", "int64")),)
    numpy = "invert"
    function = "not"


class Bitcast(Op):
    """The same memory as elements of another type (field `type_`, TensorFlow's attribute "type"). A smaller type adds a dimension, a
    larger one takes the last one away."""

    kind = Kind.ALIAS
    arguments = ("input: T",)
    results = ("output: type_",)
    types = {"T": (*REAL, *COMPLEX)}
    differentiable = False
    type_: DType
    cases = (
        Case((3, 5), dtypes=("float32",), type_=int32), Case((2, 3), dtypes=("int64",), type_=float64),
        Case((4, 2), dtypes=("int32",), type_=int64),
        Case((3,), dtypes=("float64",), type_=int32), Case((), dtypes=("float32",), type_=int32),
        Case((3, 3), dtypes=("int32",), type_=int64, error=("ValueError", "needs a last dimension of 2")),
    )  # fmt: skip

    def infer(self, input: TensorSpec) -> TensorSpec:
        before, after = input.dtype.size, self.type_.size
        if input.dims is None:
            return TensorSpec(self.type_, None)
        if before > after:
            return TensorSpec(self.type_, (*input.dims, before // after))
        if before == after:
            return TensorSpec(self.type_, input.dims)
        last = input.dims[-1] if input.dims else 1
        if isinstance(last, int) and last * before != after:
            needed = f"that needs a last dimension of {after // before}"
            raise ValueError(f"Cannot bitcast from {input.dtype.name} to {self.type_.name}: {needed}")
        return TensorSpec(self.type_, input.dims[:-1])

    def reference(self, input: Any) -> Any:
        flat = np.ascontiguousarray(input).reshape(-1).view(self.type_.as_numpy_dtype)
        dims = self.infer(TensorSpec(as_dtype(np.asarray(input).dtype), np.shape(input))).dims
        return flat.reshape(dims)


class NextAfter(Composite):
    """The floating-point number next to x1 in the direction of x2."""

    arguments = ("x1: T", "x2: T")
    types = {"T": (float64, float32)}
    cases = (
        Case((3, 5), (5,)), Case([0.0, 0.0, -0.0, 1.0, -1.0, np.inf, 1e-45], [1.0, -1.0, 0.0, 1.0, 0.0, 0.0, -1.0], dtypes=("float32",),
             gradient=False),
        Case([np.nan, 1.0], [1.0, np.nan], gradient=False),
    )  # fmt: skip

    def infer(self, x1: TensorSpec, x2: TensorSpec) -> TensorSpec:
        return TensorSpec(x1.dtype, broadcast_dims(x1.dims, x2.dims))

    def reference(self, x1: Any, x2: Any) -> Any:
        return np.nextafter(x1, x2)

    def decompose(self, b: Any, x1: Any, x2: Any) -> Any:
        bits_type = int64 if x1.dtype == float64 else int32
        bits = b.make("Bitcast", x1, type_=bits_type)
        # The bits of a number away from zero count up as its absolute value grows.
        away = b.equal(b.less(x1, x2), b.less(b.constant(0, x1.dtype), x1))
        step = b.make("Bitcast", b.select(away, b.add(bits, 1), b.sub(bits, 1)), type_=x1.dtype)
        smallest = float(np.finfo(x1.dtype.as_numpy_dtype).smallest_subnormal)
        least = b.select(b.less(b.constant(0, x1.dtype), x2), b.constant(smallest, x1.dtype), b.constant(-smallest, x1.dtype))
        moved = b.select(b.equal(x1, 0), least, step)
        nothing = b.logical_or(b.make("IsNan", x1), b.make("IsNan", x2))
        return b.select(nothing, b.add(x1, x2), b.select(b.equal(x1, x2), x2, moved))

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return fit(*node.inputs, dy, make("ZerosLike", dy))


class ApproximateEqual(Binary):
    """Whether |x - y| < tolerance; the shapes are equal."""

    results = ("z: bool",)
    types = {"T": REAL}
    differentiable = False
    tolerance: float = 1e-5
    cases = (Case([1.0, 2.0, 3.0], [1.000001, 2.1, 3.0]), Case((2, 3), (2, 3), tolerance=1.0))

    def infer(self, x: TensorSpec, y: TensorSpec) -> TensorSpec:
        spec = TensorSpec(x.dtype, merge_dims(x.dims, y.dims))
        return super().infer(spec, spec)  # type: ignore[return-value]

    def reference(self, x: Any, y: Any) -> Any:
        return np.less(np.abs(np.subtract(x, y)), np.asarray(self.tolerance, np.asarray(x).dtype))

    def scalar(self, x: Expr, y: Expr) -> Expr:
        return select(x < y, y - x, x - y) < const(self.tolerance, x.type)  # no sign to lose with unsigned numbers


bitwise_and = binary("BitwiseAnd", "bitwise_and", "The bits that both integers have, with broadcasting.")
bitwise_or = binary("BitwiseOr", "bitwise_or", "The bits that either integer has, with broadcasting.")
bitwise_xor = binary("BitwiseXor", "bitwise_xor", "The bits that just one of the integers has, with broadcasting.")
left_shift = binary("LeftShift", "left_shift", "The bits of x moved by y towards the higher ones, with broadcasting.")
right_shift = binary("RightShift", "right_shift", "The bits of x moved by y towards the lower ones, with broadcasting.")
invert = unary("Invert", "invert", "Every bit of x turned round.")


def nextafter(x1, x2, name=None):
    """The floating-point number next to x1 in the direction of x2, with broadcasting."""
    return make("NextAfter", x1, x2, name=name)


def approximate_equal(x, y, tolerance=1e-05, name=None):
    """Whether |x - y| < tolerance, element by element."""
    return make("ApproximateEqual", x, y, tolerance=float(tolerance), name=name)


def bitcast(input, type, name=None):
    """The same memory as elements of another type. A smaller type adds a dimension, a larger one takes the last one away."""
    return make("Bitcast", input, type_=as_dtype(type), name=name)
