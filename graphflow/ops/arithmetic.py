"""Binary arithmetic with broadcasting: Add, Mul, the four divisions, powers, extrema."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphflow.dtypes import COMPLEX, FLOATING, NUMERIC, float16, float32, float64, int8, int16, int32, int64, string, uint8, uint16
from graphflow.graph.build import convert, make, name_scope
from graphflow.graph.dims import merge_dims
from graphflow.graph.indexed_slices import IndexedSlices
from graphflow.graph.op import Case, TensorSpec
from graphflow.kernel import expr, index
from graphflow.kernel.expr import FLOATS, Expr, call, const, select
from graphflow.kernel.nodes import Check
from graphflow.ops import complex_arithmetic
from graphflow.ops.broadcast import conjugate, fit
from graphflow.ops.families import Elementwise
from graphflow.shapes import as_shape

__all__ = [
    "accumulate_n", "add", "add_n", "atan2", "maximum", "minimum", "multiply", "pow", "scalar_mul",
    "squared_difference", "subtract",
]  # fmt: skip

ADDABLE = (float16, float32, float64, uint8, int8, int16, int32, int64, *COMPLEX)
DIVISIBLE = (float16, float32, float64, uint8, int8, uint16, int16, int32, int64)
COMPARABLE = (float16, float32, float64, int32, int64)
PAIRS = (
    Case((3, 5), (3, 5)), Case((3, 1), (5,)), Case((), (33,)), Case((0, 4), (1, 4)), Case((2, 1, 3), (4, 1)), Case((65,), (65,)),
)  # fmt: skip


def binary(op: str, name: str, doc: str) -> Callable[..., Any]:
    """The public function of a two-operand op."""

    def function(x, y, name=None):
        return make(op, x, y, name=name)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


class Binary(Elementwise, abstract=True):
    """z = f(x, y), broadcast, both operands and the result of one type."""

    arguments = ("x: T", "y: T")
    results = ("z: T",)


class Add(Binary):
    """x + y"""

    symbolic = True
    linear = True
    types = {"T": (*ADDABLE, string)}
    cases = PAIRS

    def reference(self, x: Any, y: Any) -> Any:
        return np.add(x, y)

    def scalar(self, x: Expr, y: Expr) -> Expr:
        return x + y

    def gradient(self, node: Any, dz: Any) -> Sequence[Any]:
        return fit(*node.inputs, dz, dz)


class AddV2(Add):
    """x + y; what the operator `+` builds."""

    types = {"T": ADDABLE}


class Sub(Binary):
    """x - y"""

    symbolic = True
    linear = True
    types = {"T": (*ADDABLE, uint16)}
    cases = PAIRS

    def reference(self, x: Any, y: Any) -> Any:
        return np.subtract(x, y)

    def scalar(self, x: Expr, y: Expr) -> Expr:
        return x - y

    def gradient(self, node: Any, dz: Any) -> Sequence[Any]:
        return fit(*node.inputs, dz, make("Neg", dz))


class Mul(Binary):
    """x * y"""

    symbolic = True
    types = {"T": (*DIVISIBLE, *COMPLEX)}
    cases = PAIRS

    def reference(self, x: Any, y: Any) -> Any:
        return np.multiply(x, y)

    def scalar(self, x: Expr, y: Expr) -> Expr:
        return x * y

    def on_parts(self, b: Any, x: Any, y: Any) -> Any:
        return complex_arithmetic.product(b, x, y)

    def gradient(self, node: Any, dz: Any) -> Sequence[Any]:
        x, y = node.inputs
        return fit(x, y, make("Mul", dz, conjugate(y)), make("Mul", conjugate(x), dz))


class MulNoNan(Binary):
    """x * y, and 0 where y is 0 whatever x is."""

    types = {"T": (float32, float64, *COMPLEX)}
    cases = (*PAIRS, Case([np.nan, np.inf, 2.0], [0.0, 0.0, 3.0], gradient=False))

    def reference(self, x: Any, y: Any) -> Any:
        with np.errstate(invalid="ignore"):
            return np.where(np.equal(y, 0), np.zeros((), x.dtype), np.multiply(x, y))

    def scalar(self, x: Expr, y: Expr) -> Expr:
        return select(call("eq", y, 0), 0, x * y)

    def on_parts(self, b: Any, x: Any, y: Any) -> Any:
        return b.select(complex_arithmetic.zero(b, y), 0, b.mul(x, y))

    def gradient(self, node: Any, dz: Any) -> Sequence[Any]:
        x, y = node.inputs
        return fit(x, y, make("MulNoNan", dz, conjugate(y)), make("MulNoNan", conjugate(x), dz))


_NEGATIVE_POWER = Check("InvalidArgumentError", "Integers to negative integer powers are not allowed")


class Pow(Binary):
    """x to the power y; negative powers of integers fail the step."""

    types = {"T": (*COMPARABLE, *COMPLEX)}
    checks = (_NEGATIVE_POWER,)
    cases = (
        Case((3, 5), (5,), low=0.5), Case([-2.0, -0.5, 0.0, 3.0], [3.0, 2.0, 0.0, -1.0], gradient=False),
        Case([2, -3, 7, 0], [10, 3, 0, 0], dtypes=("int32", "int64")), Case((0,), (1,)),
        Case([2], [-1], dtypes=("int32",), error=("InvalidArgumentError", "negative integer powers")),
    )  # fmt: skip

    def reference(self, x: Any, y: Any) -> Any:
        if np.asarray(x).dtype.kind == "i" and np.any(np.less(y, 0)):
            raise ValueError(_NEGATIVE_POWER.message)
        return np.power(x, y)

    def scalar(self, x: Expr, y: Expr) -> Expr:
        if x.type in FLOATS:
            return call("pow", x, y)
        y = call("check", call("le", const(0, y.type), y), const(0, "i64"), y)
        result: Expr = const(1, x.type)
        for bit in range(31 if x.type == "i32" else 63):
            result = select(call("ne", (y >> bit) & 1, 0), result * x, result)
            x = x * x
        return result

    def on_parts(self, b: Any, x: Any, y: Any) -> Any:
        return complex_arithmetic.power(b, x, y)

    def gradient(self, node: Any, dz: Any) -> Sequence[Any]:
        operands = node.inputs
        x, y, z = (conjugate(t) for t in (*operands, node.outputs[0]))
        gx = make("Mul", make("Mul", dz, y), make("Pow", x, make("Sub", y, 1)))
        # log only where it is real: 0 and negative bases have no slope in y
        mask = make("NotEqual", x, 0) if x.dtype.is_complex else make("Greater", x, 0)
        safe = make("Select", mask, x, make("OnesLike", x))
        log_x = make("Select", mask, make("Log", safe), make("ZerosLike", x))
        return fit(*operands, gx, make("Mul", make("Mul", dz, z), log_x))


def _are_sizes(x: Any, y: Any) -> bool:
    """Whether either operand holds run-time sizes."""
    return bool(np.asarray(x).dtype == object or np.asarray(y).dtype == object)


def _of_sizes(function: Callable[..., Any], x: Any, y: Any) -> Any:
    return np.frompyfunc(function, 2, 1)(np.asarray(x, object), np.asarray(y, object))


class Extremum(Binary, abstract=True):
    """Base of Maximum and Minimum: the gradient goes to the operand that was chosen, to x where they are equal."""

    types = {"T": COMPARABLE}
    cases = PAIRS
    chooses_x = ""

    def gradient(self, node: Any, dz: Any) -> Sequence[Any]:
        x, y = node.inputs
        chosen = make(self.chooses_x, x, y)
        zeros = make("ZerosLike", dz)
        return fit(x, y, make("Select", chosen, dz, zeros), make("Select", chosen, zeros, dz))


class Maximum(Extremum):
    """The larger of x and y."""

    chooses_x = "GreaterEqual"
    symbolic = True

    def reference(self, x: Any, y: Any) -> Any:
        return _of_sizes(index.maximum, x, y) if _are_sizes(x, y) else np.maximum(x, y)

    def scalar(self, x: Expr, y: Expr) -> Expr:
        return expr.maximum(x, y)


class Minimum(Extremum):
    """The smaller of x and y."""

    chooses_x = "LessEqual"
    symbolic = True

    def reference(self, x: Any, y: Any) -> Any:
        return _of_sizes(index.minimum, x, y) if _are_sizes(x, y) else np.minimum(x, y)

    def scalar(self, x: Expr, y: Expr) -> Expr:
        return expr.minimum(x, y)


class SquaredDifference(Binary):
    """(x - y) squared; of complex numbers times its conjugate"""

    types = {"T": (*COMPARABLE, *COMPLEX)}
    cases = PAIRS

    def reference(self, x: Any, y: Any) -> Any:
        difference = np.subtract(x, y)
        return difference * np.conj(difference)

    def scalar(self, x: Expr, y: Expr) -> Expr:
        return (x - y) * (x - y)

    def on_parts(self, b: Any, x: Any, y: Any) -> Any:
        re, im = b.parts(b.sub(x, y))
        return b.pair(b.add(b.square(re), b.square(im)), 0)

    def gradient(self, node: Any, dz: Any) -> Sequence[Any]:
        x, y = node.inputs
        gx = make("Mul", make("Mul", dz, 2), make("Sub", x, y))
        return fit(x, y, gx, make("Neg", gx))


class Atan2(Binary):
    """The angle of the point (x, y), where y comes first."""

    arguments = ("y: T", "x: T")
    types = {"T": FLOATING}
    cases = (Case((3, 5), (5,), low=0.25), Case([1.0, -1.0, 0.0, -1.0], [-1.0, -1.0, -1.0, 0.0], gradient=False))

    def reference(self, y: Any, x: Any) -> Any:
        return np.arctan2(y, x)

    def scalar(self, y: Expr, x: Expr) -> Expr:
        return call("atan2", y, x)

    def gradient(self, node: Any, dz: Any) -> Sequence[Any]:
        y, x = node.inputs
        scale = make("RealDiv", dz, make("AddV2", make("Square", x), make("Square", y)))
        return fit(y, x, make("Mul", x, scale), make("Mul", make("Neg", y), scale))


add = binary("Add", "add", "x + y, with broadcasting.")
subtract = binary("Sub", "subtract", "x - y, with broadcasting.")
multiply = binary("Mul", "multiply", "x * y, with broadcasting.")
maximum = binary("Maximum", "maximum", "The larger of x and y, with broadcasting.")
minimum = binary("Minimum", "minimum", "The smaller of x and y, with broadcasting.")
squared_difference = binary("SquaredDifference", "squared_difference", "(x - y) squared, with broadcasting.")


def multiply_no_nan(x, y, name=None):
    """x * y, and 0 where y is 0 whatever x is."""
    with name_scope(name, "multiply_no_nan", [x, y]) as scope:
        x = convert(x, name="x")
        return make("MulNoNan", x, convert(y, x.dtype.base_dtype, "y"), name=scope)


def pow(x, y, name=None):
    """x to the power y, with broadcasting."""
    with name_scope(name, "Pow", [x]) as scope:
        return make("Pow", x, y, name=scope)


def atan2(y, x, name=None):
    """The angle of the point (x, y), between -pi and pi."""
    return make("Atan2", y, x, name=name)


class AddN(Elementwise):
    """The sum of several tensors of one shape."""

    arguments = ("inputs: N*T",)
    results = ("sum: T",)
    types = {"T": (*NUMERIC, *COMPLEX)}
    linear = True
    cases = (Case((3, 5), (3, 5)), Case((), (), ()), Case((33,)), Case((0, 2), (0, 2)))

    def infer(self, *inputs: TensorSpec) -> TensorSpec:
        dims = inputs[0].dims
        for other in inputs[1:]:
            dims = merge_dims(dims, other.dims)
        return TensorSpec(inputs[0].dtype, dims)

    def reference(self, *inputs: Any) -> Any:
        return np.sum(np.stack(inputs), 0, dtype=np.asarray(inputs[0]).dtype)

    def scalar(self, *inputs: Expr) -> Expr:
        total = inputs[0]
        for x in inputs[1:]:
            total = total + x
        return total

    def gradient(self, node: Any, dz: Any) -> Sequence[Any]:
        return [dz] * len(node.inputs)


class AccumulateNV2(AddN):
    """The sum of several tensors of one shape."""

    shape: Any = None


def _summands(inputs: Any, what: str) -> list[Any]:
    if not inputs or not isinstance(inputs, (list, tuple)):
        raise ValueError(f"inputs must be a list of at least one {what} with the same dtype and shape")
    dtype = next((x.dtype.base_dtype for x in inputs if hasattr(x, "dtype") and hasattr(x, "graph")), None)
    return [convert(x, dtype) for x in inputs]


def add_n(inputs, name=None):
    """The sum of a list of tensors of one shape and type."""
    tensors = _summands(inputs, "Tensor/IndexedSlices")
    if len(tensors) == 1:
        return make("Identity", tensors[0], name=name) if name else tensors[0]
    return make("AddN", tensors, name=name)


def accumulate_n(inputs, shape=None, tensor_dtype=None, name=None):
    """The sum of a list of tensors of one shape and type; `shape` and `tensor_dtype` only check."""
    tensors = _summands(inputs, "Tensor")
    merged = as_shape(shape)
    for x in tensors:
        if x.dtype.base_dtype != tensors[0].dtype.base_dtype:
            raise ValueError("inputs must be a list of at least one Tensor with the same dtype and shape")
        merged = merged.merge_with(x.shape)
    if tensor_dtype is not None and tensor_dtype != tensors[0].dtype:
        raise TypeError(f"tensor_dtype is {tensor_dtype}, but input is of type {tensors[0].dtype}")
    if len(tensors) == 1:
        return tensors[0] if name is None else make("Identity", tensors[0], name=name)
    return make("AccumulateNV2", tensors, name=name, shape=merged.sizes)


def scalar_mul(scalar, x, name=None):
    """A scalar times a tensor or IndexedSlices."""
    scalar = convert(scalar, x.dtype.base_dtype, "scalar")
    if scalar.shape.ndims != 0:
        raise ValueError(f"Only scalar multiply works, got shape {scalar.shape}")
    if isinstance(x, IndexedSlices):
        return IndexedSlices(make("Mul", scalar, x.values, name=name), x.indices, x.dense_shape)
    return make("Mul", scalar, x, name=name)
