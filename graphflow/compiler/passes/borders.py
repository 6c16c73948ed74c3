"""Borders of zeros that a contraction reads: it is told where they are, so that it need not multiply by them.

    contraction(Halo(x), y)        inside: for each dimension with a border, the index that x has there, and how long x is

With a 5x5 window that may hang over the edge of a 14x14 image a twelfth of the rows that it meets are border; in the gradient for the input
of a convolution without padding, 5x5 over 8x8, a third. Which products are left out the lowering decides (lower/contraction.py).
"""

from __future__ import annotations

from graphflow.compiler.passes.rewrite import with_op
from graphflow.compiler.program import Node, Program
from graphflow.ops import core


def note_borders(program: Program) -> Program:
    """See the module's text."""
    halos = {n.outputs[0].id: n for n in program.nodes if isinstance(n.op, core.Halo) and n.op.value == 0}
    if not halos:
        return program
    nodes = tuple(_told(n, halos) if isinstance(n.op, core.SumOfProducts) else n for n in program.nodes)
    return program if all(a is b for a, b in zip(nodes, program.nodes, strict=True)) else program._replace(nodes=nodes)


def _told(node: Node, halos: dict[int, Node]) -> Node:
    op = node.op
    assert isinstance(op, core.SumOfProducts)
    inside = []
    for value, forms in zip(node.inputs, (op.left, op.right), strict=True):
        halo = halos.get(value.id)
        if halo is None:
            continue
        assert isinstance(halo.op, core.Halo)
        sizes = zip(forms, halo.op.low, halo.op.high, halo.op.interior, halo.inputs[0].shape, strict=True)
        for (terms, constant), low, high, gap, size in sizes:
            if (low, high) != (0, 0) and isinstance(low, int) and isinstance(size, int) and size > 0:
                inside.append(((terms, constant - low), (size - 1) * (gap + 1) + 1))
    return with_op(node, core.SumOfProducts(op.extents, op.free, op.left, op.right, tuple(inside), op.minimal)) if inside else node
