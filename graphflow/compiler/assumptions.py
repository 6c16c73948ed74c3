"""What a node of a Program takes for granted of its sizes.

Where sizes are symbols, a Program may serve only some of their values: a slice must lie inside its operand, two operands of a join must
agree. What can be decided at capture is; the rest becomes a *guard* of the Program, a number that must not be negative in a run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from graphflow.compiler.program import Node
from graphflow.graph.op import Kind
from graphflow.kernel.affine import extrema
from graphflow.kernel.index import Index, IndexExpr, Maximum, Minimum, bounds


class Inexact(ValueError):
    """The sizes of a node agree for some values of the symbols only. `unequal`: pairs that must be equal; `negative`: what must not be
    negative."""

    def __init__(self, text: str, unequal: Sequence[tuple[Index, Index]] = (), negative: Sequence[IndexExpr] = ()) -> None:
        super().__init__(text)
        self.unequal = tuple(unequal)
        self.negative = tuple(negative)


def assumptions(node: Node) -> Iterator[Index]:
    """Sizes that must not be negative if the node is to read inside its operands. Raises Inexact where sizes must be equal and are not."""
    kind = node.op.kind
    for value in node.outputs:
        yield from value.shape
    if kind is Kind.ELEMENTWISE:
        shape = node.outputs[0].shape
        for value in node.inputs:
            if value.shape != shape:
                _repeats(node, reversed(value.shape), reversed(shape))
    elif kind is Kind.CONTRACTION:
        extents = node.op.extents  # type: ignore[attr-defined]
        if any(n == 0 for n in extents):
            return
        for value, forms in zip(node.inputs, (node.op.left, node.op.right), strict=True):  # type: ignore[attr-defined]
            for size, (terms, constant) in zip(value.shape, forms, strict=True):
                if len(terms) == 1 and terms[0][1] == 1 and constant == 0 and size == extents[terms[0][0]]:
                    continue  # the whole dimension, from beginning to end
                last: Index = constant
                for axis, c in terms:
                    last = last + (c * (extents[axis] - 1) if c > 0 else 0)
                yield size - 1 - last
    elif node.op.type == "View" and node.inputs[0].size != node.outputs[0].size:
        sizes = node.inputs[0].size, node.outputs[0].size
        raise Inexact(f"{node!r}: {sizes[0]} elements as {sizes[1]}", [sizes])
    elif node.op.type == "Expand":
        shape = node.op.shape  # type: ignore[attr-defined]
        _repeats(node, node.inputs[0].shape, [shape[a] for a in node.op.axes])  # type: ignore[attr-defined]
    elif node.op.type == "Halo":
        yield from (*node.op.low, *node.op.high)  # type: ignore[attr-defined]
    elif node.op.type == "Section":
        if any(n == 0 for n in node.outputs[0].shape):
            return
        for size, begin, count, step in zip(node.inputs[0].shape, node.op.begin, node.op.size, node.op.step, strict=True):  # type: ignore[attr-defined]
            last = begin + (count - 1) * step
            yield from (begin, size - 1 - begin) if step < 0 else (begin, size - count - begin if step == 1 else size - 1 - last)
            if step < 0:
                yield last
    elif node.op.type == "Join":
        axis = node.op.axis  # type: ignore[attr-defined]
        first = node.inputs[0].shape
        for value in node.inputs[1:]:
            unequal = [(d, first[a]) for a, d in enumerate(value.shape) if a != axis and d != first[a]]
            if unequal:
                raise Inexact(f"{node!r}: {value.shape} beside {first}", unequal)


def may_be_negative(size: Index) -> bool:
    """Whether some values of the symbols may make it negative, as far as can be seen."""
    low, _ = bounds(size)
    if low is not None and low >= 0:
        return False
    return all(may_be_negative(lower) for lower in _lower(size))


def _lower(size: Index) -> Iterator[Index]:
    """Expressions that `size` is not less than: an operand for a Minimum that is subtracted, or for a Maximum that is added."""
    if not isinstance(size, IndexExpr):
        return
    for factors, c in size.terms:
        if len(factors) == 1 and isinstance(factors[0], Minimum if c < 0 else Maximum):
            rest = size - IndexExpr(((factors, c),))
            yield rest + c * factors[0].left
            yield rest + c * factors[0].right
            return


def _repeats(node: Node, sizes: Iterable[Index], wanted: Iterable[Index]) -> None:
    """Raise Inexact where a size is neither the wanted one nor 1."""
    for size, other in zip(sizes, wanted, strict=False):
        if size != other and size != 1:
            broadcast = [(m.left, m.right) for m in extrema(other, Maximum)]
            raise Inexact(f"{node!r}: a size of {size} where {other} is needed", [(size, other), *broadcast])
