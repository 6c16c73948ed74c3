"""Gradients that the program brings itself: `tf.RegisterGradient` and `Graph.gradient_override_map`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphflow.graph.op import REGISTRY
from graphflow.graph.operation import Operation

GradientFunction = Callable[..., Any]

_registered: dict[str, GradientFunction | None] = {}


def _register(name: str, function: GradientFunction | None) -> None:
    if name in _registered or (name in REGISTRY and REGISTRY[name].differentiable):
        raise KeyError(f"Registering two gradient with name '{name}'!")
    _registered[name] = function


class RegisterGradient:
    """A decorator: the function f(op, *gradients of the outputs) gives the gradients of the inputs of operations of that type."""

    def __init__(self, op_type: str) -> None:
        if not isinstance(op_type, str):
            raise TypeError("op_type must be a string")
        self._op_type = op_type

    def __call__(self, f: GradientFunction) -> GradientFunction:
        _register(self._op_type, f)
        return f


def NotDifferentiable(op_type: str) -> None:
    """No gradient flows through operations of that type."""
    if not isinstance(op_type, str):
        raise TypeError("op_type must be a string")
    _register(op_type, None)


NoGradient = NotDifferentiable


def gradient_function(op: Operation) -> GradientFunction | None:
    """f(op, *gradients of the outputs) for an operation; None where no gradient flows; LookupError for an unknown override."""
    name = op._extra.get("_gradient_op_type", op.type)
    if name in _registered:
        return _registered[name]
    if name == op.type:
        return op.definition.gradient if op.inputs and op.definition.differentiable else None
    if name in REGISTRY and REGISTRY[name].differentiable:
        return lambda node, *dy: REGISTRY[name].gradient(node.definition, node, *dy)
    raise LookupError(f"No gradient defined for operation '{op.name}' (op type: {op.type})")
