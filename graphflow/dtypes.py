"""The element types of tensors: `tf.float32` and its fellows, and how Python, numpy and the kernels call them.

A *reference* type (`float32_ref`) is the type of a variable's own memory, as TensorFlow 1.x has it.
"""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from graphflow.missing import names_of

__all__ = [
    "QUANTIZED_DTYPES",
    "DType",
    "as_dtype",
    "bfloat16",
    "bool",
    "complex64",
    "complex128",
    "double",
    "float16",
    "float32",
    "float64",
    "half",
    "int8",
    "int16",
    "int32",
    "int64",
    "qint8",
    "qint16",
    "qint32",
    "quint8",
    "quint16",
    "resource",
    "string",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "variant",
]

_REF_OFFSET = 100


class DType:
    """One element type. There is one object per type; equality also takes whatever `as_dtype` takes."""

    __slots__ = ("_enum", "_is_ref", "_kind", "_size", "_twin", "as_numpy_dtype", "kernel_type", "name")
    _twin: DType

    def __init__(self, enum: int, name: str, numpy_type: Any, kernel_type: str | None, kind: str) -> None:
        self._enum = enum
        self.name = name
        self.as_numpy_dtype = numpy_type
        self.kernel_type = kernel_type
        self._is_ref = enum > _REF_OFFSET
        self._kind = kind
        self._size = 1 if name.startswith(("resource", "variant")) else int(np.dtype(numpy_type).itemsize)

    @property
    def _is_ref_dtype(self) -> builtins.bool:
        """True for the type of a variable's own memory."""
        return self._is_ref

    @property
    def _as_ref(self) -> DType:
        """The reference type of the same elements."""
        return self if self._is_ref else self._twin

    @property
    def base_dtype(self) -> DType:
        """The type without reference-ness."""
        return self._twin if self._is_ref else self

    @property
    def real_dtype(self) -> DType:
        """The type of the real part."""
        return {complex64: float32, complex128: float64}.get(self.base_dtype, self)

    @property
    def as_datatype_enum(self) -> int:
        """The number of this type in TensorFlow's `types.proto`."""
        return self._enum

    @property
    def is_numpy_compatible(self) -> builtins.bool:
        """Whether numpy arrays can hold it."""
        return self.base_dtype not in (resource, variant)

    @property
    def is_bool(self) -> builtins.bool:
        """Whether this is the boolean type."""
        return self._kind == "b"

    @property
    def is_integer(self) -> builtins.bool:
        """Whether this is a (not quantised) integer type."""
        return self._kind in "iu"

    @property
    def is_floating(self) -> builtins.bool:
        """Whether this is a real floating-point type."""
        return self._kind == "f"

    @property
    def is_complex(self) -> builtins.bool:
        """Whether this is a complex type."""
        return self._kind == "c"

    @property
    def is_quantized(self) -> builtins.bool:
        """Whether this is a quantised integer type."""
        return self._kind == "q"

    @property
    def is_unsigned(self) -> builtins.bool:
        """Whether this is an unsigned integer type."""
        return self._kind == "u"

    @property
    def min(self) -> Any:
        """The least value."""
        return self._limit("min", "minimum")

    @property
    def max(self) -> Any:
        """The greatest value."""
        return self._limit("max", "maximum")

    def _limit(self, which: str, word: str) -> Any:
        if self.base_dtype is bfloat16:
            bound = float.fromhex("0x1.FEp127")
            return bound if which == "max" else -bound
        if self.is_floating:
            return getattr(np.finfo(self.as_numpy_dtype), which)
        if self.is_integer:
            return getattr(np.iinfo(self.as_numpy_dtype), which)
        raise TypeError(f"Cannot find {word} value of {self}.")

    @property
    def limits(self) -> tuple[int, Any]:
        """The range that an image of this type uses: [0, 1] for floats, [0, max] for integers."""
        return (0, 1) if self.is_floating else (0, self.max)

    @property
    def size(self) -> int:
        """Bytes of one element; 1 where numpy has no such elements."""
        return self._size

    def is_compatible_with(self, other: Any) -> builtins.bool:
        """Whether a tensor of type `other` may go where this type is asked for: equal, or a reference to it."""
        other = as_dtype(other)
        return self._enum in (other._enum, other.base_dtype._enum)

    def __eq__(self, other: object) -> builtins.bool:
        if self is other:
            return True
        if other is None or isinstance(other, DType):
            return False
        try:
            return as_dtype(other) is self
        except TypeError:
            return False

    def __ne__(self, other: object) -> builtins.bool:
        return not self == other

    def __hash__(self) -> int:
        return self._enum

    def __int__(self) -> int:
        return self._enum

    def __str__(self) -> str:
        return f"<dtype: '{self.name}'>"

    def __repr__(self) -> str:
        return f"tf.{self.name}"

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return as_dtype, (self.name,)

    def __copy__(self) -> DType:
        return self

    def __deepcopy__(self, memo: Any) -> DType:
        return self


_BY_KEY: dict[Any, DType] = {}


def _define(enum: int, name: str, numpy_type: Any, kernel_type: str | None, kind: str) -> DType:
    base = DType(enum, name, numpy_type, kernel_type, kind)
    ref = DType(enum + _REF_OFFSET, name + "_ref", numpy_type, kernel_type, kind)
    base._twin, ref._twin = ref, base
    for dtype in (base, ref):
        _BY_KEY[dtype.name] = _BY_KEY[dtype._enum] = dtype
    return base


def _record(name: str, numpy_type: Any) -> np.dtype[Any]:
    """numpy's stand-in for a type that it does not have: a record with one field."""
    return np.dtype([(name, numpy_type)])


float32 = _define(1, "float32", np.float32, "f32", "f")
float64 = _define(2, "float64", np.float64, "f64", "f")
int32 = _define(3, "int32", np.int32, "i32", "i")
uint8 = _define(4, "uint8", np.uint8, "u8", "u")
int16 = _define(5, "int16", np.int16, "i16", "i")
int8 = _define(6, "int8", np.int8, "i8", "i")
string = _define(7, "string", np.object_, None, "o")
complex64 = _define(8, "complex64", np.complex64, None, "c")
int64 = _define(9, "int64", np.int64, "i64", "i")
bool = _define(10, "bool", np.bool_, "bool", "b")
qint8 = _define(11, "qint8", _record("qint8", np.int8), None, "q")
quint8 = _define(12, "quint8", _record("quint8", np.uint8), None, "q")
qint32 = _define(13, "qint32", _record("qint32", np.int32), None, "q")
bfloat16 = _define(14, "bfloat16", type("bfloat16", (), {"dtype": _record("bfloat16", np.uint16)}), None, "f")
qint16 = _define(15, "qint16", _record("qint16", np.int16), None, "q")
quint16 = _define(16, "quint16", _record("quint16", np.uint16), None, "q")
uint16 = _define(17, "uint16", np.uint16, "u16", "u")
complex128 = _define(18, "complex128", np.complex128, None, "c")
float16 = _define(19, "float16", np.float16, "f16", "f")
resource = _define(20, "resource", np.object_, None, "o")
variant = _define(21, "variant", np.object_, None, "o")
uint32 = _define(22, "uint32", np.uint32, "u32", "u")
uint64 = _define(23, "uint64", np.uint64, "u64", "u")
half = float16
double = float64

_BY_KEY.update({"half": float16, "half_ref": float16._as_ref, "float": float32, "float_ref": float32._as_ref,
                "double": float64, "double_ref": float64._as_ref})  # fmt: skip
_BY_KEY.update({bfloat16.as_numpy_dtype: bfloat16, float: float32, builtins.bool: bool, object: string})

BASE = tuple(_BY_KEY[n] for n in range(1, 24))
FLOATING = (float16, float32, float64)
SIGNED = (int8, int16, int32, int64)
INTEGRAL = (*SIGNED, uint8, uint16, uint32, uint64)
COMPLEX = (complex64, complex128)
REAL = (*FLOATING, *INTEGRAL)
NUMERIC = REAL  # every type that kernels compute with; complex numbers are not among them
ALL = BASE
QUANTIZED_DTYPES = frozenset(r for d in BASE if d.is_quantized for r in (d, d._as_ref))
INDEX = (int32, int64)

_BY_NUMPY: dict[Any, DType] = {
    np.dtype(d.as_numpy_dtype): d for d in BASE if d.as_numpy_dtype is not np.object_
}
_BY_NUMPY[np.dtype(np.object_)] = string


def native_name(dtype: DType) -> str:
    """The dtype as TensorFlow's C++ code calls it in its messages."""
    name = dtype.base_dtype.name
    return {"float32": "float", "float64": "double", "float16": "half"}.get(name, name)


def as_dtype(type_value: Any) -> DType:
    """The DType that `type_value` means: its name or number, a numpy type or dtype, or `float`, `bool` or `object`."""
    if isinstance(type_value, DType):
        return type_value
    try:
        found = _BY_KEY.get(type_value)
    except TypeError:
        found = None
    if found is not None:
        return found
    if isinstance(type_value, np.dtype):
        if type_value.kind in "SU":
            return string
        found = _BY_NUMPY.get(type_value.newbyteorder("="))
    elif isinstance(type_value, type) and issubclass(type_value, np.generic):
        found = string if issubclass(type_value, (np.str_, np.bytes_)) else _BY_NUMPY.get(np.dtype(type_value))
    if found is None:
        raise TypeError(f"Cannot convert value {type_value!r} to a TensorFlow DType.")
    return found

globals()["__getattr__"] = names_of("dtypes", aliases=True)
