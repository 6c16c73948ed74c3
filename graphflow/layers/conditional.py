"""Choosing between two branches by a value that may be a Python bool, a variable or a tensor."""

from __future__ import annotations

from graphflow.ops.control_flow.case import smart_cond
from graphflow.ops.control_flow.case import smart_constant_value as constant_value

__all__ = ["constant_value", "smart_cond"]
