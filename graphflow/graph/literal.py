"""Arrays as attributes: what a Const holds, and how Python values become arrays by TensorFlow's rules."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from graphflow import dtypes
from graphflow.dtypes import DType, as_dtype
from graphflow.graph.tensor import Tensor
from graphflow.shapes import Dimension, TensorShape

Array = np.ndarray[Any, Any]


class Literal:
    """An array that nobody writes to, compared by contents and hashed cheaply, so that ops which hold it compare by value."""

    __slots__ = ("_hash", "array", "dtype")

    def __init__(self, array: Array, dtype: DType) -> None:
        self.array = array
        self.dtype = dtype
        self._hash: int | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return tuple(self.array.shape)

    def __hash__(self) -> int:
        if self._hash is None:
            flat = self.array.ravel()
            sample = flat if flat.size <= 32 else flat[:: flat.size // 16]  # equality looks at the rest
            key: Any = tuple(sample.tolist()) if flat.dtype == object else sample.tobytes()
            self._hash = hash((self.dtype, self.array.shape, key))
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Literal) or self.dtype is not other.dtype or self.array.shape != other.array.shape:
            return False
        if self.array is other.array:
            return True
        if self.array.dtype == object:
            return bool(np.array_equal(self.array, other.array))
        return self.array.tobytes() == other.array.tobytes()  # bits, so that -0.0 is not 0.0 and NaN equals itself

    def __repr__(self) -> str:
        if self.array.size <= 8:
            return repr(self.array.tolist())
        return f"{self.dtype.name}{list(self.array.shape)}"


def flatten(values: Any) -> Iterator[Any]:
    """The leaves of nested lists, tuples and dicts (by sorted keys)."""
    if isinstance(values, (list, tuple)):
        for v in values:
            yield from flatten(v)
    elif isinstance(values, dict):
        for k in sorted(values):
            yield from flatten(values[k])
    else:
        yield values


_LEAVES: dict[str, tuple[type, ...]] = {
    "i": (numbers.Integral, np.integer, Dimension),
    "u": (numbers.Integral, np.integer, Dimension),
    "f": (numbers.Real, np.integer, np.floating),
    "c": (numbers.Complex, np.number),
    "o": (str, bytes),
    "b": (bool,),
}


def _check_leaves(values: Any, dtype: DType | None) -> None:
    allowed = None if dtype is None else _LEAVES.get(dtype._kind)
    if allowed is None:
        if isinstance(values, (Tensor, list, tuple)) and any(isinstance(v, Tensor) for v in flatten(values)):
            raise TypeError("List of Tensors when single Tensor expected")
        return
    assert dtype is not None
    for v in flatten(values):
        if not isinstance(v, allowed):
            raise TypeError(f"Expected {dtype.name}, got {v!r} of type '{type(v).__name__}' instead.")


def _dense_shape(values: Any) -> list[int]:
    """The shape that the first elements of nested lists suggest."""
    if not isinstance(values, (list, tuple)):
        return []
    return [len(values), *(_dense_shape(values[0]) if values else [])]


def _as_bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    raise TypeError(f"Expected binary or unicode string, got {value!r}")


def to_bytes(array: Array) -> Array:
    """A string array as an object array of bytes, as tensors hold strings."""
    out = np.empty(array.shape, object)
    flat = out.ravel()
    flat[:] = [_as_bytes(v) for v in array.astype(object).ravel()]
    result: Array = flat.reshape(array.shape)
    return result


def _nested(values: Any, dtype: DType | None) -> Array:
    """Python numbers and nested lists as an array."""
    numpy_type = None if dtype is None or not dtype.is_numpy_compatible else dtype.as_numpy_dtype
    try:
        if dtype is not None and dtype.is_quantized:
            return np.array(np.array(values), dtype=dtype.as_numpy_dtype)
        array = np.array(values, dtype=numpy_type)
        if array.dtype.kind in "SU":
            array = np.array(values, dtype=object)  # numpy's own strings lose the NULs at their ends
    except OverflowError:
        array = np.array(values).astype(numpy_type)  # out-of-range integers wrap around
    except ValueError:
        if isinstance(values, (str, bytes)):
            raise
        array = np.array(values, dtype=object)
    if list(array.shape) != _dense_shape(values):
        got, wanted = list(array.shape), _dense_shape(values)
        raise ValueError(f"Argument must be a dense tensor: {values} - got shape {got}, but wanted {wanted}.")
    if dtype is None:
        if array.dtype == np.float64:
            return array.astype(np.float32)
        if array.dtype == np.int64:
            small = array.astype(np.int32)
            return small if np.array_equal(small, array) else array
    return array


def make_array(
    values: Any, dtype: Any = None, shape: Iterable[Any] | None = None, verify_shape: bool = False
) -> tuple[Array, DType]:
    """`values` as a constant's array and type, by TensorFlow's rules.

    Python floats become float32 and integers int32 (int64 where they do not fit) unless `dtype` says otherwise; arrays keep
    their type. With `shape`, too few values are filled up with the last one.
    """
    if type(values) is float and shape is None and (dtype is None or dtype is dtypes.float32):
        return np.array(values, np.float32), dtypes.float32
    wanted = None if dtype is None else as_dtype(dtype).base_dtype
    if hasattr(values, "__array__") and not isinstance(values, (np.ndarray, np.generic, type, Tensor)):
        values = np.asarray(values)
    if isinstance(values, (np.ndarray, np.generic)):
        array = np.asarray(values)
        if wanted is not None and wanted.is_numpy_compatible and array.dtype != wanted.as_numpy_dtype:
            array = array.astype(wanted.as_numpy_dtype)
        else:
            array = array.copy()  # the caller may go on writing to his
    elif values is None:
        raise ValueError("None values not supported.")
    elif shape is not None and TensorShape(shape).num_elements() == 0:
        sizes: Any = TensorShape(shape).as_list()
        array = np.empty(sizes, np.float32 if wanted is None else wanted.as_numpy_dtype)  # whatever the values
    else:
        _check_leaves(values, wanted)
        array = _nested(values, wanted)
    found = wanted if wanted is not None and wanted.is_quantized else as_dtype(array.dtype)
    if wanted is not None and wanted is not found:
        raise TypeError(f"Incompatible types: {wanted} vs. {array.dtype}. Value is {values}")
    if found is dtypes.string:
        try:
            array = to_bytes(array)
        except TypeError:
            raise TypeError(
                f"Failed to convert object of type {type(values)} to Tensor. Contents: {values}. "
                "Consider casting elements to a supported type."
            ) from None
    elif not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if shape is not None:
        array = _shaped(array, [int(d) for d in TensorShape(shape).as_list()], verify_shape)  # type: ignore[arg-type]
    return np.ascontiguousarray(array) if array.ndim else array, found


def _shaped(array: Array, shape: Sequence[int], verify: bool) -> Array:
    if verify and array.shape != tuple(shape):
        raise TypeError(f"Expected Tensor's shape: {tuple(shape)}, got {array.shape}.")
    size = int(np.prod(shape, dtype=np.int64))
    if array.size > size:
        raise ValueError(f"Too many elements provided. Needed at most {size}, but received {array.size}")
    flat = array.ravel()
    if flat.size == 1:
        return np.full(shape, flat[0], array.dtype)  # large ones are written once only
    if flat.size < size:
        last = flat[-1:] if flat.size else np.zeros(1, array.dtype)
        flat = np.concatenate([flat, np.repeat(last, size - flat.size)])
    return flat.reshape(shape)
