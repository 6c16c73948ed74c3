"""Convolutions that may be computed in fewer products than they are defined by, and their gradients: Winograd's minimal filtering.

Whether one is, the lowering decides by what it costs (lower/winograd.py). It is rounded otherwise then, so this is a pass: without it,
`GRAPHFLOW_PASSES_OFF=minimal`, every contraction is the sum that it is defined by.
"""

from __future__ import annotations

from graphflow.compiler.lower.filtering import roles_of
from graphflow.compiler.passes.rewrite import with_op
from graphflow.compiler.program import Node, Program
from graphflow.ops import core


def allow_minimal(program: Program) -> Program:
    """See the module's text."""
    nodes = tuple(_allowed(n) if isinstance(n.op, core.SumOfProducts) else n for n in program.nodes)
    return program if all(a is b for a, b in zip(nodes, program.nodes, strict=True)) else program._replace(nodes=nodes)


def _allowed(node: Node) -> Node:
    op, operand = node.op, node.inputs[0]
    assert isinstance(op, core.SumOfProducts)
    if op.minimal or operand.dtype.kernel_type != "f32" or roles_of(op, (0,) * len(operand.shape), operand.shape) is None:
        return node
    return with_op(node, core.SumOfProducts(op.extents, op.free, op.left, op.right, op.inside, True))
