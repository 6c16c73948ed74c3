"""Choosing between two branches by a value that may be a Python bool or a tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.convert import constant_value
from graphflow.graph.tensor import Tensor


def constant_bool(value: Any) -> bool | None:
    """The value as a Python bool; None where only a run tells."""
    if isinstance(value, Tensor):
        found = constant_value(value)
        return None if found is None else bool(found)
    if hasattr(value, "_as_graph_element"):
        return None
    if isinstance(value, bool) or value in (0, 1):
        return bool(value)
    raise TypeError(f"`pred` must be a Tensor, or a Python bool, or 1 or 0. Found instead: {type(value)}")


def smart_cond(condition: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """true_fn() or false_fn(). Where only a run tells, both are built and their results chosen from; they must have no side effects."""
    known = constant_bool(condition)
    if known is not None:
        return true_fn() if known else false_fn()
    with name_scope("cond"):
        condition = convert_to_tensor(condition, name="pred")
        yes, no = true_fn(), false_fn()
        if isinstance(yes, (tuple, list)):
            return type(yes)(_chosen(condition, a, b) for a, b in zip(yes, no, strict=True))
        return _chosen(condition, yes, no)


def _chosen(condition: Any, yes: Any, no: Any) -> Any:
    yes = convert_to_tensor(yes)
    result = make("SelectV2", condition, yes, convert_to_tensor(no, dtype=yes.dtype.base_dtype), name="Merge")
    if result.shape.ndims is None or not result.shape.is_fully_defined():
        result.set_shape(yes.shape)
    return result
