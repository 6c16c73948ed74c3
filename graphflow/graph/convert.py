"""Values become tensors: `convert_to_tensor` and the register of conversions that other files add to."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphflow import dtypes
from graphflow.dtypes import DType, as_dtype
from graphflow.graph.graph import Graph, get_default_graph
from graphflow.graph.literal import Literal, make_array
from graphflow.graph.op import REGISTRY
from graphflow.graph.operation import Operation
from graphflow.graph.tensor import Tensor, known_contents
from graphflow.shapes import Dimension, TensorShape, unknown_shape

__all__ = [
    "convert_to_tensor",
    "register_tensor_conversion_function",
]

Conversion = Callable[..., Any]  # (value, dtype, name, as_ref) -> Tensor or NotImplemented

_NUMBERS = (int, float, np.generic, np.ndarray)
_registered: list[tuple[int, Any, Conversion]] = []
_cache: dict[type, list[Conversion]] = {}


def load_ops() -> None:
    """Registers all ops. The root package knows their modules; it loads them when first needed, which may be here."""
    sys.modules[__name__.partition(".")[0]]._load_top_level()


def constant_in(
    graph: Graph, value: Any, dtype: Any = None, shape: Any = None, name: str = "Const", verify_shape: bool = False
) -> Tensor:
    """A Const operation's output."""
    graph._check_not_finalized()
    if "Const" not in REGISTRY:
        load_ops()
    array, found = make_array(value, dtype, shape, verify_shape)
    definition = REGISTRY["Const"](Literal(array, found), found)
    name = name[:-1] if name.endswith("/") else graph.unique_name(name)
    return graph._create(definition, (), name, {}).outputs[0]


def register_tensor_conversion_function(base_type: Any, conversion_func: Conversion, priority: int = 100) -> None:
    """`conversion_func(value, dtype, name, as_ref)` converts values of `base_type`; lower priorities are tried first."""
    types = base_type if isinstance(base_type, tuple) else (base_type,)
    if not all(isinstance(t, type) for t in types):
        raise TypeError("base_type must be a type or a tuple of types.")
    if any(issubclass(t, _NUMBERS) for t in types):
        raise TypeError("Cannot register conversions for Python numeric types and NumPy scalars and arrays.")
    if not callable(conversion_func):
        raise TypeError("conversion_func must be callable.")
    _registered.append((priority, types, conversion_func))
    _registered.sort(key=lambda entry: entry[0])
    _cache.clear()


def _conversions(kind: type) -> list[Conversion]:
    found = _cache.get(kind)
    if found is None:
        found = [f for _, types, f in _registered if issubclass(kind, types)]
        _cache[kind] = found
    return found


def _constant_conversion(value: Any, dtype: Any = None, name: str | None = None, as_ref: bool = False) -> Tensor:
    return constant_in(get_default_graph(), value, dtype, name="Const" if name is None else name)


def convert(
    value: Any,
    dtype: Any = None,
    name: str | None = None,
    preferred_dtype: Any = None,
    as_ref: bool = False,
) -> Tensor:
    """`value` as a tensor of the default graph; TypeError or ValueError where it cannot be one of type `dtype`."""
    if dtype is not None:
        dtype = as_dtype(dtype)
    if isinstance(value, Tensor):
        if dtype is not None and not dtype.is_compatible_with(value._dtype):
            raise ValueError(
                f"Tensor conversion requested dtype {dtype.name} for Tensor with dtype {value._dtype.name}: {value!r}"
            )
        return value
    if isinstance(value, _NUMBERS):
        if dtype is None and preferred_dtype is not None:
            try:
                return _constant_conversion(value, preferred_dtype, name)
            except (TypeError, ValueError):
                pass
        return _constant_conversion(value, dtype, name)
    preferred = None if preferred_dtype is None else as_dtype(preferred_dtype)
    for conversion in _conversions(type(value)):
        result = None
        if dtype is None and preferred is not None:
            try:
                result = conversion(value, dtype=preferred, name=name, as_ref=as_ref)
            except (TypeError, ValueError):
                pass
            else:
                if result is not NotImplemented and result.dtype.base_dtype != preferred.base_dtype:
                    raise TypeError(
                        "convert_to_tensor did not convert to the preferred dtype: "
                        f"{result.dtype.base_dtype} vs {preferred.base_dtype} "
                    )
        if result is None:
            result = conversion(value, dtype=dtype, name=name, as_ref=as_ref)
        if result is NotImplemented:
            continue
        prefix = "" if name is None else f"{name}: "
        if not isinstance(result, Tensor):
            raise RuntimeError(
                f"{prefix}Conversion function {conversion!r} for type {type(value)} returned non-Tensor: {result!r}"
            )
        if dtype is not None and not dtype.is_compatible_with(result.dtype):
            raise RuntimeError(
                f"{prefix}Conversion function {conversion!r} for type {type(value)} returned incompatible dtype: "
                f"requested = {dtype.name}, actual = {result.dtype.name}"
            )
        return result
    prefix = "" if name is None else f"{name}: "
    raise TypeError(f"{prefix}Cannot convert {value!r} with type {type(value)} to Tensor: no conversion function registered.")


def convert_to_tensor(
    value: Any, dtype: Any = None, name: str | None = None, preferred_dtype: Any = None, dtype_hint: Any = None
) -> Tensor:
    """`value` as a tensor: numbers, arrays and nested lists become constants, variables their value, lists of tensors a stack."""
    return convert(value, dtype, name, dtype_hint if preferred_dtype is None else preferred_dtype)


def convert_n(
    values: Any, dtype: Any = None, name: str | None = None, preferred_dtype: Any = None, as_ref: bool = False
) -> list[Tensor]:
    """A list of values as tensors, named `name_0`, `name_1`, ..."""
    if not isinstance(values, Sequence):
        raise TypeError("values must be a sequence.")
    return [
        convert(v, dtype, None if name is None else f"{name}_{i}", preferred_dtype, as_ref) for i, v in enumerate(values)
    ]


def _shape_conversion(value: TensorShape, dtype: Any = None, name: str | None = None, as_ref: bool = False) -> Tensor:
    if not value.is_fully_defined():
        raise ValueError(f"Cannot convert a partially known TensorShape to a Tensor: {value}")
    sizes = value.as_list()
    large = next((d for d in sizes if d is not None and d >= 2**31), 0)
    if dtype is None:
        dtype = dtypes.int64 if large else dtypes.int32
    elif dtype not in dtypes.INDEX:
        raise TypeError(f"Cannot convert a TensorShape to dtype: {dtype}")
    elif large and dtype == dtypes.int32:
        raise ValueError(f"Cannot convert a TensorShape to dtype int32; a dimension is too large ({large})")
    return constant_in(get_default_graph(), sizes, dtype, name="shape_as_tensor" if name is None else name)


def _dimension_conversion(value: Dimension, dtype: Any = None, name: str | None = None, as_ref: bool = False) -> Tensor:
    if value.value is None:
        raise ValueError(f"Cannot convert an unknown Dimension to a Tensor: {value}")
    if dtype is None:
        dtype = dtypes.int32
    elif dtype not in dtypes.INDEX:
        raise TypeError(f"Cannot convert a TensorShape to dtype: {dtype}")
    return constant_in(get_default_graph(), value.value, dtype, name="shape_as_tensor" if name is None else name)


def _operation_conversion(value: Operation, dtype: Any = None, name: str | None = None, as_ref: bool = False) -> Tensor:
    raise TypeError(f"Can't convert Operation '{value.name}' to Tensor")


register_tensor_conversion_function(Operation, _operation_conversion, 100)
register_tensor_conversion_function((list, tuple), _constant_conversion, 100)
register_tensor_conversion_function(TensorShape, _shape_conversion, 100)
register_tensor_conversion_function(Dimension, _dimension_conversion, 100)
register_tensor_conversion_function(object, _constant_conversion, 200)


# -- known contents --------------------------------------------------------------------------------------------------------

_STATIC = frozenset(("Const", "Range", "Cast", "Concat", "ConcatV2", "Pack", "Fill", "Equal", "NotEqual"))
_STATIC_OF_SHAPE = frozenset(("Shape", "Size", "Rank"))


def _is_static(tensor: Tensor) -> bool:
    kind = tensor.op.type
    if kind in _STATIC_OF_SHAPE:
        dims = tensor.op.inputs[0]._dims
        return dims is not None and (kind == "Rank" or None not in dims)
    if kind == "Fill":
        return tensor.shape.is_fully_defined() and _is_static(tensor.op.inputs[1])
    return kind in _STATIC and all(_is_static(t) for t in tensor.op.inputs)


def constant_value(tensor: Any, partial: bool = False) -> Any:
    """The contents of a tensor that does not depend on anything fed or random, as an array; None where they are not known.

    As in TensorFlow, a tensor whose contents were taken for constant can no longer be fed. partial: a stack of partly known
    scalars gives an object array with None for the unknown ones.
    """
    if not isinstance(tensor, Tensor):
        return None if hasattr(tensor, "_as_graph_element") else tensor
    if partial and tensor.op.type == "Pack" and tensor.op.get_attr("axis") == 0:
        parts = [constant_value(t, True) for t in tensor.op.inputs]
        value: Any = np.array(parts) if None not in [p if p is None else 0 for p in parts] else np.array(parts, object)
    else:
        value = known_contents(tensor) if _is_static(tensor) else None
    if value is not None:
        tensor.graph.prevent_feeding(tensor)
    return value


def constant_value_as_shape(tensor: Tensor) -> TensorShape:
    """The shape that a vector of sizes describes, as far as it is known; -1 stands for an unknown size."""
    if tensor.shape.ndims == 0:
        value = constant_value(tensor)
        if value is None or value != -1:
            what = "with unknown value" if value is None else f"value '{value}'"
            raise ValueError(
                f"Received a scalar {what} as shape; require a statically known scalar with value '-1' to describe an "
                "unknown shape."
            )
        return unknown_shape()
    shape = tensor.shape.with_rank(1)
    value = known_contents(tensor)
    if value is None:
        return unknown_shape(rank=shape.dims[0].value)  # type: ignore[index]
    return TensorShape([None if d is None or d < 0 else int(d) for d in value.tolist()])


def shape_argument(shape: Any, name: str = "shape") -> Tensor:
    """A `shape=` argument as a tensor: a shape, a list of sizes, Dimensions and tensors, or a tensor."""
    dtype: DType | None = None
    if isinstance(shape, (list, tuple)):
        if not shape:
            dtype = dtypes.int32
        else:
            shape = tuple(d.value if isinstance(d, Dimension) else d for d in shape)
    return convert(shape, dtype, name)
