"""Partitioners for `get_variable`: functions of a shape that say in how many parts each axis is split."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from graphflow import dtypes
from graphflow.ops.variable_scope import get_partitioned_variable, variable_scope
from graphflow.shapes import TensorShape

__all__ = ["create_partitioned_variables", "fixed_size_partitioner", "min_max_variable_partitioner", "variable_axis_size_partitioner"]

Partitioner = Callable[..., list[int]]


def fixed_size_partitioner(num_shards: int, axis: int = 0) -> Partitioner:
    """Splits one axis into so many parts."""

    def partitioner(shape: TensorShape, **_: Any) -> list[int]:
        parts = [1] * len(shape)
        parts[axis] = min(num_shards, shape.dims[axis].value)  # type: ignore[index, type-var]
        return parts

    return partitioner


def variable_axis_size_partitioner(
    max_shard_bytes: int, axis: int = 0, bytes_per_string_element: int = 16, max_shards: int | None = None
) -> Partitioner:
    """Splits one axis so that no part takes more bytes."""
    if max_shard_bytes < 1 or bytes_per_string_element < 1:
        raise ValueError("Both max_shard_bytes and bytes_per_string_element must be positive.")
    if max_shards and max_shards < 1:
        raise ValueError("max_shards must be positive.")

    def partitioner(shape: Any, dtype: Any) -> list[int]:
        if not isinstance(shape, TensorShape):
            raise ValueError(f"shape is not a TensorShape: {shape}")
        if not shape.is_fully_defined():
            raise ValueError(f"shape is not fully defined: {shape}")
        if not isinstance(dtype, dtypes.DType):
            raise ValueError(f"dtype is not a DType: {dtype}")
        element = bytes_per_string_element if dtype.base_dtype is dtypes.string else dtype.size
        size: Any = shape.dims[axis].value  # type: ignore[index]
        slice_bytes = shape.num_elements() / size * element  # type: ignore[operator]
        shards = math.ceil(size / max(1, math.floor(max_shard_bytes / slice_bytes)))
        parts = [1] * len(shape)
        parts[axis] = min(max_shards, shards) if max_shards else shards
        return parts

    return partitioner


def min_max_variable_partitioner(
    max_partitions: int = 1, axis: int = 0, min_slice_size: int = 256 << 10, bytes_per_string_element: int = 16
) -> Partitioner:
    """Splits one axis into at most so many parts, none smaller than so many bytes."""

    def partitioner(shape: TensorShape, dtype: dtypes.DType) -> list[int]:
        if axis >= len(shape):
            raise ValueError(f"Can not partition variable along axis {axis} when shape is only {shape}")
        element = bytes_per_string_element if dtype.base_dtype is dtypes.string else dtype.size
        wanted = math.ceil(shape.num_elements() * element / min_slice_size)  # type: ignore[operator]
        parts = [1] * len(shape)
        parts[axis] = max(1, min(shape.dims[axis].value, max_partitions, wanted))  # type: ignore[index, type-var]
        return parts

    return partitioner


def create_partitioned_variables(
    shape: Sequence[int],
    slicing: Sequence[int],
    initializer: Any,
    dtype: Any = dtypes.float32,
    trainable: bool = True,
    collections: Sequence[str] | None = None,
    name: str | None = None,
    reuse: bool | None = None,
) -> list[Any]:
    """The parts of a variable of that shape, with `slicing[k]` parts along axis k (at most one of them more than 1)."""
    if len(shape) != len(slicing):
        raise ValueError(
            f"The 'shape' and 'slicing' of a partitioned Variable must have the length: shape: {shape}, slicing: {slicing}"
        )
    if len(shape) < 1:
        raise ValueError(f"A partitioned Variable must have rank at least 1: shape: {shape}")
    with variable_scope(name, "PartitionedVariable", reuse=reuse):
        return list(
            get_partitioned_variable(
                shape, dtype, initializer, lambda **_: slicing, trainable=trainable, collections=collections
            )
        )
