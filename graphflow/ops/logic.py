"""Comparisons, logic, choice and conversion: Equal, LogicalAnd, Select, Cast."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphflow.dtypes import (
    COMPLEX,
    FLOATING,
    REAL,
    DType,
    as_dtype,
    bfloat16,
    complex64,
    complex128,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    string,
    uint8,
    uint32,
    uint64,
)
from graphflow.dtypes import bool as bool_
from graphflow.graph.build import convert, make, name_scope
from graphflow.graph.composite import SparseTensor
from graphflow.graph.dims import merge_dims
from graphflow.graph.indexed_slices import IndexedSlices
from graphflow.graph.op import Case, TensorSpec
from graphflow.graph.tensor import Tensor
from graphflow.kernel import expr
from graphflow.kernel.expr import Expr, call, select
from graphflow.ops.arithmetic import binary
from graphflow.ops.broadcast import fit
from graphflow.ops.families import Composite, Elementwise
from graphflow.ops.source import zeros_like
from graphflow.ops.unary import unary

__all__ = [
    "cast",
    "equal",
    "greater",
    "greater_equal",
    "less",
    "less_equal",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "not_equal",
    "saturate_cast",
    "to_bfloat16",
    "to_complex64",
    "to_complex128",
    "to_double",
    "to_float",
    "to_int32",
    "to_int64",
    "where",
    "where_v2",
]  # fmt: skip

EQUATABLE = (float16, float32, float64, uint8, int8, int16, int32, int64, string, bool_, *COMPLEX)
_PAIRS = (Case((3, 5), (5,)), Case((), (33,)), Case((0, 4), (1, 4)), Case([1, 2, 3, -1], [1, 3, 2, -1]))
_FLAGS = np.array([[True, False, True], [False, False, True]])


class Comparison(Elementwise, abstract=True):
    """z = x ? y, broadcast; never true beside NaN, except NotEqual."""

    arguments = ("x: T", "y: T")
    results = ("z: bool",)
    types = {"T": REAL}
    differentiable = False
    cases = (*_PAIRS, Case([np.nan, 1.0, np.inf], [np.nan, np.nan, np.inf], dtypes=("float32",)))


class Equal(Comparison):
    """x == y"""

    types = {"T": EQUATABLE}

    def reference(self, x: Any, y: Any) -> Any:
        return np.equal(x, y)

    def scalar(self, x: Expr, y: Expr) -> Expr:
        return call("eq", x, y)

    def on_parts(self, b: Any, x: Any, y: Any) -> Any:
        (xr, xi), (yr, yi) = b.parts(x), b.parts(y)
        return b.logical_and(b.equal(xr, yr), b.equal(xi, yi))


class NotEqual(Comparison):
    """x != y"""

    types = {"T": EQUATABLE}

    def reference(self, x: Any, y: Any) -> Any:
        return np.not_equal(x, y)

    def scalar(self, x: Expr, y: Expr) -> Expr:
        return call("ne", x, y)

    def on_parts(self, b: Any, x: Any, y: Any) -> Any:
        (xr, xi), (yr, yi) = b.parts(x), b.parts(y)
        return b.logical_or(b.not_equal(xr, yr), b.not_equal(xi, yi))


class Less(Comparison):
    """x < y"""

    def reference(self, x: Any, y: Any) -> Any:
        return np.less(x, y)

    def scalar(self, x: Expr, y: Expr) -> Expr:
        return x < y


class LessEqual(Comparison):
    """x <= y"""

    def reference(self, x: Any, y: Any) -> Any:
        return np.less_equal(x, y)

    def scalar(self, x: Expr, y: Expr) -> Expr:
        return x <= y


class Greater(Comparison):
    """x > y"""

    def reference(self, x: Any, y: Any) -> Any:
        return np.greater(x, y)

    def scalar(self, x: Expr, y: Expr) -> Expr:
        return x > y


class GreaterEqual(Comparison):
    """x >= y"""

    def reference(self, x: Any, y: Any) -> Any:
        return np.greater_equal(x, y)

    def scalar(self, x: Expr, y: Expr) -> Expr:
        return x >= y


class LogicalAnd(Elementwise):
    """x and y"""

    arguments = ("x: bool", "y: bool")
    results = ("z: bool",)
    differentiable = False
    cases = (Case(_FLAGS, _FLAGS[::-1]), Case(_FLAGS, True), Case(_FLAGS, _FLAGS[:, :1]))

    def reference(self, x: Any, y: Any) -> Any:
        return np.logical_and(x, y)

    def scalar(self, x: Expr, y: Expr) -> Expr:
        return call("and", x, y)


class LogicalOr(Elementwise):
    """x or y"""

    arguments = ("x: bool", "y: bool")
    results = ("z: bool",)
    differentiable = False
    cases = LogicalAnd.cases

    def reference(self, x: Any, y: Any) -> Any:
        return np.logical_or(x, y)

    def scalar(self, x: Expr, y: Expr) -> Expr:
        return call("or", x, y)


class LogicalNot(Elementwise):
    """not x"""

    arguments = ("x: bool",)
    results = ("y: bool",)
    differentiable = False
    cases = (Case(_FLAGS), Case(True))

    def reference(self, x: Any) -> Any:
        return np.logical_not(x)

    def scalar(self, x: Expr) -> Expr:
        return call("not", x)


class Select(Composite):
    """t where the condition holds, else e. The condition has their shape, or is a scalar, or a vector that chooses whole rows."""

    symbolic = True
    arguments = ("condition: bool", "t: T", "e: T")
    cases = (
        Case(_FLAGS, (2, 3), (2, 3)), Case(True, (2, 3), (2, 3), gradient=False), Case(np.array([True, False]), (2, 3, 2), (2, 3, 2)),
        Case(False, (), ()), Case(np.zeros((0,), bool), (0, 3), (0, 3)),
    )  # fmt: skip

    def infer(self, condition: TensorSpec, t: TensorSpec, e: TensorSpec) -> TensorSpec:
        dims = merge_dims(t.dims, e.dims)
        if condition.dims is not None and dims is not None and len(condition.dims) != 0:
            if len(condition.dims) == 1 and len(dims) != 1:
                if not dims:
                    raise ValueError("Shapes must be equal rank, but are 1 and 0")
                dims = (*(merge_dims(condition.dims, dims[:1]) or ()), *dims[1:])
            else:
                dims = merge_dims(dims, condition.dims)
        return TensorSpec(t.dtype, dims)

    def reference(self, condition: Any, t: Any, e: Any) -> Any:
        condition = np.reshape(condition, np.shape(condition) + (1,) * (np.ndim(t) - np.ndim(condition)))
        return np.where(condition, t, e)

    def decompose(self, b: Any, condition: Any, t: Any, e: Any) -> Any:
        if len(condition.shape) == 1 and len(t.shape) > 1:
            condition = b.view(condition, (*condition.shape, *(1,) * (len(t.shape) - 1)))
        return b.make("SelectV2", condition, t, e)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        condition, t, _ = node.inputs
        zeros = zeros_like(t)
        return [None, make("Select", condition, dy, zeros), make("Select", condition, zeros, dy)]


class SelectV2(Elementwise):
    """t where the condition holds, else e; all three broadcast."""

    symbolic = True
    linear = True
    arguments = ("condition: bool", "t: T", "e: T")
    cases = (Case(_FLAGS, (2, 3), (2, 3)), Case(_FLAGS, (3,), ()), Case(True, (2, 1), (3,)), Case(np.zeros((0,), bool), (1,), ()))

    def reference(self, condition: Any, t: Any, e: Any) -> Any:
        return np.where(condition, t, e)

    def scalar(self, condition: Expr, t: Expr, e: Expr) -> Expr:
        return select(condition, t, e)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        condition, t, e = node.inputs
        zeros = make("ZerosLike", dy)
        out = node.outputs[0]
        gt, _ = fit(t, out, make("SelectV2", condition, dy, zeros), None)
        ge, _ = fit(e, out, make("SelectV2", condition, zeros, dy), None)
        return [None, gt, ge]


class Cast(Elementwise):
    """x as another type: floats to integers toward zero, anything to bool by x != 0, complex numbers to their real part.
    `Truncate` is accepted and has no effect."""

    arguments = ("x: SrcT",)
    results = ("y: DstT",)
    DstT: DType
    Truncate: bool = False
    symbolic = True
    cases = (
        Case((3, 5), DstT=float32, low=-90, high=90), Case((65,), DstT=int32, low=-90, high=90), Case((), DstT=float64),
        Case([0, 1, 2], DstT=bool_), Case([True, False], DstT=float32, gradient=False), Case([True, False], DstT=int64),
        Case((0, 2), DstT=float16), Case((33,), DstT=uint8, low=0, high=250), Case([3, -4], DstT=float32, dtypes=("int64", "int8")),
    )  # fmt: skip

    def infer(self, x: TensorSpec) -> TensorSpec:
        return TensorSpec(self.DstT, x.dims)

    def reference(self, x: Any) -> Any:
        x = np.asarray(x)
        if x.dtype == object and self.DstT.is_integer:
            return x
        if x.dtype == object and any(v is None for v in x.ravel().tolist()):
            raise TypeError("an unknown size has no value as a float")  # numpy would make it NaN
        if np.iscomplexobj(x) and not (self.DstT.is_complex or self.DstT == bool_):
            x = x.real
        with np.errstate(invalid="ignore", over="ignore"):
            if x.dtype.kind == "f" and self.DstT.is_integer:  # by way of the processor's own conversions, as TensorFlow
                wide = np.int64 if self.DstT in (int64, uint32, uint64) else np.int32
                return x.astype(wide).astype(self.DstT.as_numpy_dtype)
            return x.astype(self.DstT.as_numpy_dtype)

    def scalar(self, x: Expr) -> Expr:
        target = self.DstT.kernel_type
        assert target is not None
        if target == "bool":
            return x if x.type == "bool" else call("ne", x, 0)
        return expr.cast(x, target)

    def on_parts(self, b: Any, x: Any) -> Any:
        re, im = b.parts(x)
        if self.DstT.is_complex:
            return b.pair(b.cast(re, self.DstT.real_dtype), b.cast(im, self.DstT.real_dtype))
        return b.logical_or(b.cast(re, bool_), b.cast(im, bool_)) if self.DstT == bool_ else b.cast(re, self.DstT)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        source = node.inputs[0].dtype.base_dtype
        if source in (*FLOATING, *COMPLEX) and dy.dtype.base_dtype in (*FLOATING, *COMPLEX):
            return [make("Cast", dy, DstT=source)]
        return [None]


equal = binary("Equal", "equal", "x == y, element by element, with broadcasting.")
not_equal = binary("NotEqual", "not_equal", "x != y, element by element, with broadcasting.")
less = binary("Less", "less", "x < y, element by element, with broadcasting.")
less_equal = binary("LessEqual", "less_equal", "x <= y, element by element, with broadcasting.")
greater = binary("Greater", "greater", "x > y, element by element, with broadcasting.")
greater_equal = binary("GreaterEqual", "greater_equal", "x >= y, element by element, with broadcasting.")
logical_and = binary("LogicalAnd", "logical_and", "x and y, element by element.")
logical_or = binary("LogicalOr", "logical_or", "x or y, element by element.")
logical_not = unary("LogicalNot", "logical_not", "not x, element by element.")


def logical_xor(x, y, name="LogicalXor"):
    """Whether just one of x and y is true."""
    either = make("LogicalOr", x, y)
    return make("LogicalAnd", either, make("LogicalNot", make("LogicalAnd", x, y)), name=name)


def where(condition, x=None, y=None, name=None):
    """x where the condition holds, else y; without x and y, the indices at which it holds."""
    if x is None and y is None:
        with name_scope(name, "Where", [condition]) as scope:
            return make("Where", convert(condition, preferred_dtype=bool_, name="condition"), name=scope)
    if x is None or y is None:
        raise ValueError("x and y must both be non-None or both be None.")
    return make("Select", condition, x, y, name=name)


def where_v2(condition, x=None, y=None, name=None):
    """As `where`, with all three broadcast."""
    if x is None and y is None:
        return where(condition, name=name)
    if x is None or y is None:
        raise ValueError("x and y must both be non-None or both be None.")
    return make("SelectV2", condition, x, y, name=name)


def cast(x, dtype, name=None):
    """x as another element type; x itself where it has that type."""
    base = as_dtype(dtype).base_dtype
    if (isinstance(x, Tensor) or hasattr(x, "_handle_dtype")) and x.dtype == base:  # a resource variable stays one
        return x
    with name_scope(name, "Cast", [x]) as scope:
        if isinstance(x, IndexedSlices):
            return IndexedSlices(cast(x.values, base, name=scope), x.indices, x.dense_shape)
        if isinstance(x, SparseTensor):
            return SparseTensor(x.indices, cast(x.values, base, name=scope), x.dense_shape)
        x = convert(x, name="x")
        return x if x.dtype.base_dtype == base else make("Cast", x, DstT=base, name=scope)


def saturate_cast(value, dtype, name=None):
    """As `cast`, with numbers outside the new type's range replaced by its ends."""
    with name_scope(name, "saturate_cast", [value]) as scope:
        value = convert(value, name="value")
        base = as_dtype(dtype).base_dtype
        if value.dtype.min < base.min:
            value = make("Maximum", value, convert(base.min, value.dtype, "min"))
        if value.dtype.max > base.max:
            value = make("Minimum", value, convert(base.max, value.dtype, "max"))
        return cast(value, base, name=scope)


def _to(function: str, dtype: DType, default: str) -> Callable[..., Any]:
    def convert_to(x, name=default):
        return cast(x, dtype, name=name)

    convert_to.__name__ = convert_to.__qualname__ = function
    convert_to.__doc__ = f"x as {dtype.name}."
    return convert_to


to_float = _to("to_float", float32, "ToFloat")
to_bfloat16 = _to("to_bfloat16", bfloat16, "ToBFloat16")
to_complex64 = _to("to_complex64", complex64, "ToComplex64")
to_complex128 = _to("to_complex128", complex128, "ToComplex128")
to_double = _to("to_double", float64, "ToDouble")
to_int32 = _to("to_int32", int32, "ToInt32")
to_int64 = _to("to_int64", int64, "ToInt64")
