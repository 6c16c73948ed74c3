"""Python's operators on tensors, with TensorFlow's op types and names: `x + y` is an AddV2 called "add".

`install` is called once, when the ops are loaded; graph/tensor.py itself knows no op.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphflow.dtypes import string
from graphflow.graph.build import convert, make, name_scope
from graphflow.graph.tensor import Tensor
from graphflow.ops.arithmetic import pow
from graphflow.ops.division import div, floordiv, truediv
from graphflow.ops.logic import logical_xor
from graphflow.ops.matmul import matmul
from graphflow.ops.slicing import getitem
from graphflow.ops.unary import abs


def _op(op_type: str) -> Callable[..., Any]:
    def function(x: Any, y: Any, name: str | None = None) -> Any:
        return make(op_type, x, y, name=name)

    return function


def _sum(x: Any, y: Any, name: str | None = None) -> Any:
    return make("Add" if x.dtype.base_dtype == string else "AddV2", x, y, name=name)


_BINARY: dict[str, Callable[..., Any]] = {
    "add": _sum, "sub": _op("Sub"), "mul": _op("Mul"), "div": div, "truediv": truediv, "floordiv": floordiv, "mod": _op("FloorMod"),
    "pow": pow, "and": _op("LogicalAnd"), "or": _op("LogicalOr"), "xor": logical_xor, "matmul": matmul,
}  # fmt: skip
_COMPARISONS = {"lt": "Less", "le": "LessEqual", "gt": "Greater", "ge": "GreaterEqual"}


def _left(name: str, function: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """x.__op__(y): y becomes a tensor, of x's type where that is possible."""

    def operator(x: Any, y: Any) -> Any:
        with name_scope(None, name, [x, y]) as scope:
            if not isinstance(y, Tensor):
                try:
                    y = convert(y, name="y", preferred_dtype=x.dtype.base_dtype)
                except TypeError:
                    if hasattr(type(y), f"__r{name}__"):  # let y try with a tensor on its left
                        return NotImplemented
                    raise
            return function(x, y, name=scope)

    return operator


def _right(name: str, function: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """y.__rop__(x): x becomes a tensor of y's type."""

    def operator(y: Any, x: Any) -> Any:
        with name_scope(None, name, [x, y]) as scope:
            return function(convert(x, y.dtype.base_dtype, "x"), y, name=scope)

    return operator


def _comparison(op_type: str) -> Callable[[Any, Any], Any]:
    def operator(x: Any, y: Any, name: str | None = None) -> Any:
        return make(op_type, x, y, name=name)

    return operator


def _negated(x: Any, name: str | None = None) -> Any:
    return make("Neg", x, name=name)


def _inverted(x: Any, name: str | None = None) -> Any:
    return make("LogicalNot", x, name=name)


def install() -> None:
    """Puts the operators on Tensor."""
    methods: dict[str, Callable[..., Any]] = {"__neg__": _negated, "__abs__": abs, "__invert__": _inverted, "__getitem__": getitem}
    for name, function in _BINARY.items():
        methods[f"__{name}__"] = _left(name, function)
        methods[f"__r{name}__"] = _right(name, function)
    for name, op_type in _COMPARISONS.items():
        methods[f"__{name}__"] = _comparison(op_type)
    for name, method in methods.items():
        method.__name__ = name
        method.__qualname__ = f"Tensor.{name}"
        setattr(Tensor, name, method)


install()
