"""Algebra, as a table: each rule says which ops it looks at and what they become, or None.

Rules keep IEEE meaning: nothing here loses a NaN or an infinity, and no rule changes rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import frexp
from typing import Any

from graphflow.compiler.groups import uniform
from graphflow.compiler.passes.rewrite import Rewriter, rewrite
from graphflow.compiler.program import Node, Program, Value
from graphflow.ops import core
from graphflow.ops.windowed import WindowChoice, WindowRoute

Values = tuple[Value, ...]
Rule = Callable[[Rewriter, Node, Values], Any]


def literal(b: Rewriter, value: Value) -> Any:
    """The number that every element of `value` is, if that is known; looks through broadcasts and views."""
    while value.known is None:
        node = b.maker(value)
        if node is None or node.op.type not in ("Expand", "View"):
            return None
        value = node.inputs[0]
    return uniform(value.known)


def _shaped(node: Node, value: Value) -> Value | None:
    """`value` where it already has the shape of the node's result."""
    return value if value.shape == node.outputs[0].shape else None


def neutral(element: float, sides: Sequence[int]) -> Rule:
    """x op element -> x, for the element on the given sides."""

    def rule(b: Rewriter, node: Node, inputs: Values) -> Any:
        for side in sides:
            number = literal(b, inputs[side])
            if number == element and not isinstance(number, bool):
                return _shaped(node, inputs[1 - side])
        return None

    rule.__doc__ = f"x op {element:g} -> x"
    return rule


def same(b: Rewriter, node: Node, inputs: Values) -> Any:
    """x op x -> x"""
    return inputs[0] if inputs[0] is inputs[1] else None


def twice(b: Rewriter, node: Node, inputs: Values) -> Any:
    """op(op(x)) -> x"""
    inner = b.maker(inputs[0])
    return inner.inputs[0] if inner is not None and inner.op.type == node.op.type else None


def again(b: Rewriter, node: Node, inputs: Values) -> Any:
    """op(op(x)) -> op(x)"""
    inner = b.maker(inputs[0])
    return inputs[0] if inner is not None and inner.op.type == node.op.type else None


def power(b: Rewriter, node: Node, inputs: Values) -> Any:
    """x^1 -> x, x^2 -> x * x, x^3 -> x * (x * x), x^0.5 -> sqrt(x), x^-0.5 -> 1 / sqrt(x), x^-1 -> 1 / x"""
    exponent = literal(b, inputs[1])
    if _shaped(node, inputs[0]) is None or isinstance(exponent, bool) or not inputs[0].dtype.is_floating:
        return None
    if exponent == 1:
        return inputs[0]
    if exponent == 3:
        return b.make("Mul", inputs[0], b.make("Square", inputs[0]))
    simpler = {2: "Square", 0.5: "Sqrt", -0.5: "Rsqrt", -1: "Reciprocal"}.get(exponent)
    return b.make(simpler, inputs[0]) if simpler else None


def add_negative(b: Rewriter, node: Node, inputs: Values) -> Any:
    """x + (-y) -> x - y"""
    for side in (1, 0):
        inner = b.maker(inputs[side])
        if inner is not None and inner.op.type == "Neg":
            return b.make("Sub", inputs[1 - side], inner.inputs[0])
    return None


def subtract_negative(b: Rewriter, node: Node, inputs: Values) -> Any:
    """x - (-y) -> x + y"""
    inner = b.maker(inputs[1])
    return b.make("AddV2", inputs[0], inner.inputs[0]) if inner is not None and inner.op.type == "Neg" else None


def divide_by_power_of_two(b: Rewriter, node: Node, inputs: Values) -> Any:
    """x / 2^k -> x * 2^-k, which is exact"""
    by = literal(b, inputs[1])
    if not isinstance(by, float) or by == 0 or abs(by) > 2.0**60 or abs(by) < 2.0**-60:
        return None
    mantissa, _ = frexp(by)
    if abs(mantissa) != 0.5 or inputs[1].known is None:
        return None
    return b.make("Mul", inputs[0], b.constant(inputs[1].known.dtype.type(1) / inputs[1].known, inputs[1].dtype))


def expanded_operand(b: Rewriter, node: Node, inputs: Values) -> Any:
    """An operand broadcast in full where the op broadcasts by itself: take what was broadcast."""
    shape = node.outputs[0].shape
    for side, value in enumerate(inputs):
        inner = b.maker(value)
        if inner is None or not isinstance(inner.op, core.Expand):
            continue
        if inner.op.axes != tuple(range(len(shape) - len(inner.inputs[0].shape), len(shape))):
            continue
        if any(v.shape == shape for k, v in enumerate(inputs) if k != side):
            return b.apply(node.op, *inputs[:side], inner.inputs[0], *inputs[side + 1 :])
    return None


def select_literal(b: Rewriter, node: Node, inputs: Values) -> Any:
    """A choice that is known"""
    chosen = literal(b, inputs[0])
    return None if chosen is None else _shaped(node, inputs[1 if chosen else 2])


def positive_choice(b: Rewriter, node: Node, inputs: Values) -> Any:
    """Relu'(route(choice(x), dy), x) -> route(positive choice(x), dy)"""
    routed = b.maker(inputs[0])
    chosen = b.maker(routed.inputs[0]) if routed is not None and isinstance(routed.op, WindowRoute) else None
    if routed is None or chosen is None or not isinstance(chosen.op, WindowChoice) or chosen.inputs[0] is not inputs[1]:
        return None
    return b.apply(routed.op, b.apply(chosen.op.above_zero(), inputs[1]), routed.inputs[1])


RULES: dict[str, tuple[Rule, ...]] = {
    "AddV2": (neutral(0, (0, 1)), add_negative, expanded_operand),
    "Sub": (neutral(0, (1,)), subtract_negative, expanded_operand),
    "Mul": (neutral(1, (0, 1)), expanded_operand),
    "RealDiv": (neutral(1, (1,)), divide_by_power_of_two, expanded_operand),
    "Maximum": (same, expanded_operand),
    "Minimum": (same, expanded_operand),
    "LogicalAnd": (same,),
    "LogicalOr": (same,),
    "LogicalNot": (twice,),
    "Neg": (twice,),
    "Abs": (again,),
    "Relu": (again,),
    "Pow": (power, expanded_operand),
    "Select": (select_literal,),
    "SelectV2": (select_literal,),
    "ReluGrad": (positive_choice,),
}  # fmt: skip


def simplify(program: Program) -> Program:
    """Apply the table."""
    return rewrite(program, _rule, RULES)


def _rule(b: Rewriter, node: Node, inputs: Values) -> Sequence[Value] | None:
    for rule in RULES[node.op.type]:
        result = rule(b, node, inputs)
        if result is not None:
            b.rule = (rule.__doc__ or "").strip()
            return (result,)
    return None
