"""tf.contrib.framework: shapes that are checked now where they are known, and in the run where they are not."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.dtypes import int32
from graphflow.graph.build import convert_to_tensor, name_scope
from graphflow.graph.scopes import control_dependencies
from graphflow.graph.tensor import Tensor
from graphflow.ops.assertions import Assert
from graphflow.ops.logic import equal, logical_and, logical_or
from graphflow.ops.reductions import reduce_all
from graphflow.ops.reshape import reshape
from graphflow.ops.shape import rank as rank_of
from graphflow.ops.shape import shape as shape_of
from graphflow.ops.shape import size as size_of
from graphflow.ops.source import identity


def _assert_shape(expected: Any, tensor: Any) -> Any:
    """An operation that fails unless the tensor has the shape; -1 stands for any size."""
    with name_scope("assert_shape", values=[tensor]) as scope:
        actual = shape_of(tensor, name="actual")
        with name_scope("is_shape", values=[tensor]) as is_shape:
            with name_scope("is_rank", values=[tensor]) as is_rank:
                rank = equal(convert_to_tensor(size_of(expected), name="expected"), rank_of(tensor, name="actual"), name=is_rank)
            with name_scope("shape_tensor_equal", values=[expected, actual]) as all_equal:
                free = equal(expected, -1)
                sizes = logical_or(free, equal(expected, actual, "equal"), name="exclude_partial_shape")
                sizes = reduce_all(sizes, name=all_equal)
            right = logical_and(rank, sizes, name=is_shape)
        told = [f"Wrong shape for {tensor.name} [expected] [actual].", expected, actual]
        return Assert(right, told, name=scope)


def _as_vector(expected: Any, tensor: Any) -> Any:
    """The expected shape as an int32 vector, or the tensor that it is."""
    if isinstance(expected, Tensor):
        dtype, rank = expected.dtype.base_dtype, expected.shape.ndims
    else:
        given = np.asarray(expected) if len(expected) else np.zeros(0, np.int32)
        expected = given.astype(np.int32) if given.dtype == np.int64 else given
        dtype, rank = expected.dtype, expected.ndim
    if rank is not None and rank > 1:
        raise ValueError(f"Invalid rank {rank} for shape {expected} expected of tensor {tensor.name}.")
    if dtype != int32:
        raise ValueError(f"Invalid dtype {dtype} for shape {expected} expected of tensor {tensor.name}.")
    return expected


def with_shape(expected_shape, tensor):
    """The tensor, with a check that it has the shape: an integer vector or tensor, -1 for any size.

    ValueError where it is known not to; else the run fails with InvalidArgumentError. A tensor of one element passes as a scalar.
    """
    expected = _as_vector(expected_shape, tensor)
    dynamic = isinstance(expected, Tensor)
    scalar = not dynamic and len(expected) == 0
    if dynamic or not tensor.shape.is_fully_defined():
        with name_scope(f"{tensor.op.name}/", values=[tensor]):
            if scalar:
                return reshape(tensor, [])
            with control_dependencies([_assert_shape(expected, tensor)]):
                checked = identity(tensor)
            if not dynamic:
                checked.set_shape([None if size == -1 else int(size) for size in expected])
            return checked
    if not tensor.shape.is_compatible_with([int(size) for size in expected]):
        if scalar and tensor.shape.is_compatible_with([1]):
            with name_scope(f"{tensor.op.name}/", values=[tensor]):
                return reshape(tensor, [])
        raise ValueError(f"Invalid shape for tensor {tensor.name}, expected {expected}, got {tensor.shape}.")
    return tensor


def with_same_shape(expected_tensor, tensor):
    """The second tensor, with a check that it has the shape of the first."""
    with name_scope(f"{tensor.op.name}/", values=[expected_tensor, tensor]):
        known = expected_tensor.shape
        expected = known.as_list() if known.is_fully_defined() else shape_of(expected_tensor, name="expected_shape")
        return with_shape(expected, tensor)
