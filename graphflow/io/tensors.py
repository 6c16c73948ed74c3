"""Arrays as TensorProto messages and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow import dtypes
from graphflow.dtypes import DType, as_dtype
from graphflow.io.schema import TensorProto, TensorShapeDim, TensorShapeProto

Array = np.ndarray[Any, Any]

# The list field of a type, and the numpy type of its items where it is not the tensor's own.
FIELDS: dict[DType, tuple[str, Any]] = {
    dtypes.float32: ("float_val", None),
    dtypes.float64: ("double_val", None),
    dtypes.complex64: ("scomplex_val", np.float32),
    dtypes.complex128: ("dcomplex_val", np.float64),
    dtypes.bool: ("bool_val", None),
    dtypes.int64: ("int64_val", None),
    dtypes.uint32: ("uint32_val", None),
    dtypes.uint64: ("uint64_val", None),
    dtypes.float16: ("half_val", np.uint16),
    dtypes.bfloat16: ("half_val", np.uint16),
    **dict.fromkeys((dtypes.int32, dtypes.int16, dtypes.int8, dtypes.uint16, dtypes.uint8), ("int_val", None)),
    dtypes.qint8: ("int_val", np.int8),
    dtypes.quint8: ("int_val", np.uint8),
    dtypes.qint16: ("int_val", np.int16),
    dtypes.quint16: ("int_val", np.uint16),
    dtypes.qint32: ("int_val", np.int32),
}


def to_proto(array: Array, dtype: DType) -> TensorProto:
    """The message for an array: its memory where it has several elements, else a list."""
    proto = TensorProto(dtype=int(dtype), tensor_shape=TensorShapeProto(dim=[TensorShapeDim(size=n) for n in array.shape]))
    if dtype is dtypes.string:
        proto.string_val.extend(v.encode() if isinstance(v, str) else bytes(v) for v in array.ravel().tolist())
    elif array.size > 1:
        proto.tensor_content = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    elif array.size:
        name, items = FIELDS[dtype]
        flat = np.ascontiguousarray(array).reshape(-1)
        getattr(proto, name).extend((flat if items is None else flat.view(items)).tolist())
    return proto


def to_array(proto: TensorProto, shape: Sequence[int] | None = None) -> Array:
    """The array that a message holds. A list that is too short is filled up with its last element; what is wrong is a ValueError."""
    try:
        dtype = as_dtype(proto.dtype)
    except TypeError:
        raise ValueError(f"a tensor of type number {proto.dtype}") from None
    sizes = [d.size for d in proto.tensor_shape.dim] if shape is None else list(shape)
    if proto.tensor_shape.unknown_rank or any(n < 0 for n in sizes):
        raise ValueError(f"a tensor of the shape {sizes}")
    count = 1
    for n in sizes:
        count *= n
    if dtype is dtypes.string:
        given: Array = np.empty(len(proto.string_val), object)
        given[:] = list(proto.string_val)
        return _filled(given, count, b"").reshape(sizes)
    if dtype not in FIELDS:
        raise ValueError(f"a tensor of type {dtype.name}")
    numbers = np.dtype(dtype.as_numpy_dtype)
    if proto.tensor_content:
        if len(proto.tensor_content) != count * numbers.itemsize:
            raise ValueError(f"{len(proto.tensor_content)} bytes for {dtype.name} of shape {sizes}")
        return np.frombuffer(bytearray(proto.tensor_content), numbers.newbyteorder("<")).astype(numbers, copy=False).reshape(sizes)
    name, items = FIELDS[dtype]
    given = np.array(getattr(proto, name), np.int64 if name in ("int_val", "half_val") else items or numbers)
    if name in ("int_val", "half_val"):
        given = given.astype(items or numbers)
    if items is not None:
        given = given.view(numbers)
    return _filled(given, count, np.zeros((), numbers)[()]).reshape(sizes)


def _filled(given: Array, count: int, default: Any) -> Array:
    if len(given) > count:
        raise ValueError(f"{len(given)} elements for a tensor of {count}")
    if len(given) == count:
        return given
    if count > 1 << 34:
        raise ValueError(f"a tensor of {count} elements")
    out = np.empty(count, given.dtype)
    out[: len(given)] = given
    out[len(given) :] = given[-1] if len(given) else default
    return out
