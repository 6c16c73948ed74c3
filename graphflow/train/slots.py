"""Slot variables: what an optimizer keeps beside a variable, named `w/Adam`, `w/Adam_1`, `w/Momentum`."""

from __future__ import annotations

from typing import Any

from graphflow.ops.initializers import zeros_initializer
from graphflow.ops.reshape import shape as shape_of
from graphflow.ops.resource_variable import ResourceVariable
from graphflow.ops.source import zeros
from graphflow.ops.variable_scope import get_variable, get_variable_scope, variable_scope
from graphflow.ops.variables import SaveSliceInfo, Variable


def _slot_variable(primary: Any, val: Any, validate_shape: bool, shape: Any, dtype: Any) -> Variable:
    scope = get_variable_scope()
    # A slot is never split, however the variable's scope splits its own.
    partitioner = scope.partitioner
    scope.set_partitioner(None)
    try:
        slot: Variable = get_variable(
            "", initializer=val, trainable=False, shape=shape if callable(val) else None, dtype=dtype, validate_shape=validate_shape,
            use_resource=isinstance(primary, ResourceVariable) or None,
        )  # fmt: skip
    finally:
        scope.set_partitioner(partitioner)
    info = primary._get_save_slice_info() if isinstance(primary, Variable) else None
    if info is not None:  # the slot of a part is the same part of the whole variable's slot
        own = slot.op.name[len(primary.op.name) :]
        slot._set_save_slice_info(SaveSliceInfo(info.full_name + own, info.full_shape, info.var_offset, info.var_shape))
    return slot


def create_slot(primary: Any, val: Any, name: str, colocate_with_primary: bool = True) -> Variable:
    """A slot of `primary` that begins as the tensor `val`."""
    with variable_scope(None, f"{primary.op.name}/{name}"):
        return _slot_variable(primary, val, val.get_shape().is_fully_defined(), None, None)


def create_slot_with_initializer(
    primary: Any, initializer: Any, shape: Any, dtype: Any, name: str, colocate_with_primary: bool = True
) -> Variable:
    """A slot of `primary` of the given shape and type that begins as `initializer` says."""
    with variable_scope(None, f"{primary.op.name}/{name}"):
        return _slot_variable(primary, initializer, shape.is_fully_defined(), shape, dtype)


def create_zeros_slot(primary: Any, name: str, dtype: Any = None, colocate_with_primary: bool = True) -> Variable:
    """A slot of `primary` of its shape that begins with zeros."""
    dtype = primary.dtype if dtype is None else dtype
    shape = primary.get_shape()
    if shape.is_fully_defined():
        return create_slot_with_initializer(primary, zeros_initializer(), shape, dtype.base_dtype, name, colocate_with_primary)
    begin = primary.initialized_value() if isinstance(primary, Variable) else primary
    return create_slot(primary, zeros(shape_of(begin), dtype=dtype.base_dtype), name, colocate_with_primary)
