"""Layout: transposes and reshapes sink into contractions, whose index maps can express them.

    contraction(Permute(x), y)        the map of x reordered
    contraction(View(x), y)           where the View only adds or drops sizes of 1
    Permute(contraction(x, y))        the free axes renumbered
    Section(contraction(x, y))        the part that is looked at is all that is computed
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphflow.compiler.groups import unit
from graphflow.compiler.passes.rewrite import Rewriter, rewrite, uses
from graphflow.compiler.program import Node, Program, Value
from graphflow.ops import core


def choose_layout(program: Program) -> Program:
    """See the module's text."""
    if not any(isinstance(n.op, core.SumOfProducts) for n in program.nodes):
        return program
    read: dict[int, int] = {}

    def only_reader(node: Node) -> bool:
        """Whether nothing else reads the operand of a node."""
        if not read:
            read.update(uses(program))
        return read[node.inputs[0].id] == 1

    def rule(b: Rewriter, node: Node, inputs: tuple[Value, ...]) -> Sequence[Value] | None:
        if isinstance(node.op, core.SumOfProducts):
            return _absorb(b, node.op, inputs)
        if isinstance(node.op, core.Permute):
            inner = b.maker(inputs[0])
            if inner is not None and isinstance(inner.op, core.SumOfProducts) and only_reader(node):
                return (b.apply(reordered(inner.op, node.op.perm), *inner.inputs),)
        if isinstance(node.op, core.Section):
            inner = b.maker(inputs[0])
            if inner is not None and isinstance(inner.op, core.SumOfProducts) and only_reader(node):
                narrow = _part(inner.op, node.op)
                return None if narrow is None else (b.apply(narrow, *inner.inputs),)
        return None

    return rewrite(program, rule, ("SumOfProducts", "Permute", "Section"))


def _absorb(b: Rewriter, op: core.SumOfProducts, inputs: tuple[Value, ...]) -> Sequence[Value] | None:
    operands: list[Value] = []
    maps: list[Any] = []
    changed = False
    for value, forms in zip(inputs, (op.left, op.right), strict=True):
        while True:
            node = b.maker(value)
            found = None if node is None else _through(node, forms)
            if found is None or node is None:
                break
            value, forms = node.inputs[0], found
            changed = True
        operands.append(value)
        maps.append(forms)
    if not changed:
        return None
    return (b.apply(core.SumOfProducts(op.extents, op.free, maps[0], maps[1]), *operands),)


def _through(node: Node, forms: Any) -> Any:
    """The index map for the operand of a movement, given that for its result; None where it is not affine."""
    if isinstance(node.op, core.Permute):
        out: list[Any] = [None] * len(forms)
        for form, axis in zip(forms, node.op.perm, strict=True):
            out[axis] = form
        return tuple(out)
    if isinstance(node.op, core.View) and node.inputs[0].known is None:
        source, shown = node.inputs[0].shape, node.op.shape
        if [d for d in source if not unit(d)] != [d for d in shown if not unit(d)]:
            return None
        left = iter([f for f, d in zip(forms, shown, strict=True) if not unit(d)])
        return tuple(((), 0) if unit(d) else next(left) for d in source)
    return None


def reordered(op: core.SumOfProducts, perm: tuple[int, ...]) -> core.SumOfProducts:
    """The contraction whose result axis i is the old axis perm[i]."""
    number = {old: new for new, old in enumerate(perm)}
    number.update((a, a) for a in range(op.free, len(op.extents)))

    def renamed(forms: Any) -> Any:
        return tuple((tuple(sorted((number[a], c) for a, c in terms)), constant) for terms, constant in forms)

    extents = (*(op.extents[p] for p in perm), *op.extents[op.free :])
    return core.SumOfProducts(extents, op.free, renamed(op.left), renamed(op.right))


def _part(op: core.SumOfProducts, section: core.Section) -> core.SumOfProducts | None:
    """The contraction that gives a section of what `op` gives; None where an operand would be read backwards or from a run-time place."""
    if any(not isinstance(begin, int) for begin in section.begin) or any(step < 1 for step in section.step):
        return None

    def shifted(forms: Any) -> Any:
        out = []
        for terms, constant in forms:
            for axis, coefficient in terms:
                constant += coefficient * section.begin[axis] if axis < op.free else 0
            out.append((tuple((a, c * section.step[a] if a < op.free else c) for a, c in terms), constant))
        return tuple(out)

    return core.SumOfProducts((*section.size, *op.extents[op.free :]), op.free, shifted(op.left), shifted(op.right))
