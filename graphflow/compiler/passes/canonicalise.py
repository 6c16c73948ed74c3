"""One spelling per idea, so that the tables of later passes stay short.

    Add -> AddV2, Div of floats -> RealDiv          a Reduce, Expand or Permute that only moves sizes of 1 -> View
    View of a View -> one View                      a movement that changes nothing -> its operand
    a literal on the left of a commutative op goes to the right
"""

from __future__ import annotations

from collections.abc import Sequence

from graphflow.compiler.groups import unit
from graphflow.compiler.passes.rewrite import Rewriter, rewrite
from graphflow.compiler.program import Node, Program, Value
from graphflow.ops import core

COMMUTATIVE = frozenset(("AddV2", "Mul", "Maximum", "Minimum", "Equal", "NotEqual", "LogicalAnd", "LogicalOr"))
SPELLING = {"Add": "AddV2"}
TYPES = COMMUTATIVE | SPELLING.keys() | {"Div", "View", "Reduce", "Expand", "Permute", "Section", "Join"}


def canonicalise(program: Program) -> Program:
    """See the module's text."""
    return rewrite(program, _rule, TYPES)


def _rule(b: Rewriter, node: Node, inputs: tuple[Value, ...]) -> Sequence[Value] | None:
    op = node.op
    name = op.type
    if name in SPELLING:
        return (b.make(SPELLING[name], *inputs),)
    if name == "Div" and inputs[0].dtype.is_floating:
        return (b.make("RealDiv", *inputs),)
    if name in COMMUTATIVE and inputs[0].known is not None and inputs[1].known is None:
        b.rule = "literal op x -> x op literal"
        return (b.apply(op, inputs[1], inputs[0]),)
    if isinstance(op, core.View):
        inner = b.maker(inputs[0])
        if inner is not None and inner.op.type == "View":
            return (b.view(inner.inputs[0], op.shape),)
        return (inputs[0],) if op.shape == inputs[0].shape else None
    if isinstance(op, core.Reduce):
        if all(unit(inputs[0].shape[a]) for a in op.axes):
            return (b.view(inputs[0], node.outputs[0].shape),)
    elif isinstance(op, core.Expand):
        if _longer(inputs[0]) == _longer(node.outputs[0]):
            return (b.view(inputs[0], op.shape),)
    elif isinstance(op, core.Permute):
        moved = [p for p in op.perm if not unit(inputs[0].shape[p])]
        if moved == sorted(moved):
            return (b.view(inputs[0], node.outputs[0].shape),)
        inner = b.maker(inputs[0])
        if inner is not None and isinstance(inner.op, core.Permute):
            return (b.permute(inner.inputs[0], [inner.op.perm[p] for p in op.perm]),)
    elif isinstance(op, core.Section):
        if op.size == inputs[0].shape and all(isinstance(x, int) and x == 0 for x in op.begin) and set(op.step) <= {1}:
            return (inputs[0],)
    elif isinstance(op, core.Join):
        parts = [v for v in inputs if not (isinstance(v.shape[op.axis], int) and v.shape[op.axis] == 0)]
        if len(parts) == 1:
            return (parts[0],)
        if 0 < len(parts) < len(inputs):
            return (b.join(parts, op.axis),)
    return None


def _longer(value: Value) -> list[object]:
    return [d for d in value.shape if not unit(d)]
