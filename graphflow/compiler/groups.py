"""Fusion groups: what becomes one kernel, or nothing at all.

After the pass `fuse` the nodes of a Program are Groups. A Group is a Node whose op says what kind of loop nest it will be and which holds
its own little program; its inputs and outputs are the values that exist in memory.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from enum import Enum
from typing import Any

import numpy as np

from graphflow.compiler.program import Node, Origin, Value
from graphflow.graph.op import Kind, Op, TensorSpec
from graphflow.kernel.index import Index
from graphflow.ops.windowed import WindowChoice, WindowRoute

LANES = 16  # of the widest vectors, in elements of four bytes


class Shape(Enum):
    """The loop nest of a group."""

    POINTWISE = "pointwise"  # elementwise ops and movements over one index space
    ROWS = "rows"  # reductions whose last axis is reduced, and everything fused around them, row by row
    COLUMNS = "columns"  # reductions whose last axis is kept
    CONTRACTION = "contraction"  # one sum of products and its epilogue
    KERNEL = "kernel"  # an op that writes its own kernel
    ALIAS = "alias"  # a View: the same memory under another shape or type, no code
    HOST = "host"  # a call of Python
    REGION = "region"  # a loop or a branch: calls between jumps

    __hash__ = object.__hash__  # see graph.op.Kind


class Fused(Op, abstract=True):
    """The op of a Group: known by its kind alone."""

    kind = Kind.KERNEL
    core = True
    form: Shape

    def infer(self, *inputs: TensorSpec) -> TensorSpec | tuple[TensorSpec, ...]:
        raise TypeError("a group's outputs are those of its nodes")


class Group(Node):
    """Nodes that are computed together. `root` is the contraction or the op with its own kernel, if there is one. `lowered` and `usual`:
    see lower.lower_group; `sound`: see verify.py."""

    __slots__ = ("nodes", "form", "root", "lowered", "usual", "sound")

    def __init__(self, form: Shape, nodes: Sequence[Node], inputs: Sequence[Value], outputs: Sequence[Value],
                 root: Node | None = None) -> None:  # fmt: skip
        super().__init__(_OPS[form], inputs, outputs)
        self.nodes = tuple(nodes)
        self.form = form
        self.root = root
        self.lowered: Any = None
        self.usual: Mapping[str, int] = {}
        self.sound = False

    @property
    def origins(self) -> tuple[Origin, ...]:
        """The graph ops that its nodes stand for; found when somebody asks, which no run does."""
        if not self._origins:
            self._origins = tuple(dict.fromkeys([origin for node in self.nodes for origin in node.origins]))
        return self._origins

    def __repr__(self) -> str:
        results = ", ".join(map(repr, self.outputs))
        if len(self.nodes) == 1:
            return f"{results} = {self.form.value} {self.nodes[0].op!r}({', '.join(f'%{v.id}' for v in self.nodes[0].inputs)})"
        head = f"{results} = {self.form.value}({', '.join(f'%{v.id}' for v in self.inputs)})"
        return head + " {\n" + "\n".join(f"    {n!r}" for n in self.nodes) + "\n}"


_OPS: dict[Shape, Fused] = {form: Fused(form) for form in Shape}


def grouped(form: Shape, nodes: tuple[Node, ...], inputs: tuple[Value, ...], outputs: tuple[Value, ...], root: Node | None) -> Group:
    """The group of these nodes. Where it was in an earlier Program it is that one, with what has been found out of it since: Programs that
    begin alike have most of their groups in common."""
    known: Group | None = nodes[-1].group
    if known is None or (known.nodes, known.inputs, known.outputs, known.form, known.root) != (nodes, inputs, outputs, form, root):
        known = nodes[-1].group = Group(form, nodes, inputs, outputs, root)
    return known


def singleton(node: Node) -> Group:
    """A group of one node."""
    kind = node.op.kind
    inputs = tuple(dict.fromkeys(v for v in node.inputs if not inlined(v)))
    if kind is Kind.HOST:
        return grouped(Shape.HOST, (node,), node.inputs, node.outputs, node)
    if kind is Kind.CONTRACTION:
        return grouped(Shape.CONTRACTION, (node,), tuple(dict.fromkeys(node.inputs)), node.outputs, node)  # reads memory, no literals
    if kind is Kind.REGION:
        return grouped(Shape.REGION, (node,), node.inputs, node.outputs, node)
    if kind is Kind.KERNEL:
        return grouped(Shape.KERNEL, (node,), node.inputs, node.outputs, node)
    if kind is Kind.REDUCTION:
        return grouped(reduction_form(node), (node,), inputs, node.outputs, None)
    if kind is Kind.ALIAS or (node.op.type == "View" and node.inputs[0].known is None):
        return grouped(Shape.ALIAS, (node,), inputs, node.outputs, node)
    return grouped(Shape.POINTWISE, (node,), inputs, node.outputs, None)


def reduction_form(node: Node) -> Shape:
    """ROWS or COLUMNS, by whether the last axis (that is longer than 1) is reduced."""
    shape = node.inputs[0].shape
    axes: Any = node.op.axes  # type: ignore[attr-defined]
    longer = [a for a, d in enumerate(shape) if not (isinstance(d, int) and d == 1)]
    return Shape.ROWS if not longer or longer[-1] in axes or not any(a in axes for a in longer) else Shape.COLUMNS


def inlined(value: Value) -> bool:
    """Whether a known value is written into the kernel instead of being read from a buffer."""
    if value.known is None:
        return False
    if value.inline is None:
        value.inline = uniform(value.known) is not None
    return value.inline


def floating(nodes: Sequence[Node], held: Container[int]) -> frozenset[int]:
    """Numbers of the nodes that belong to no group but are written into every one that reads them: movements, and arithmetic on single
    literals (broadcast or not). Not among them are the gradient of a maximum over windows, which costs more than reading it, and the places
    of the maxima that are `held`: see `kept`."""
    found: set[int] = set()
    light: set[int] = set()  # values that are one literal number everywhere
    for number, node in enumerate(nodes):
        op = node.op
        movement = op.kind is Kind.MOVEMENT and not isinstance(op, WindowRoute) and number not in held
        same = (movement or op.kind is Kind.ELEMENTWISE) and bool(node.inputs) and op.type not in BORDERS
        if same:
            for value in node.inputs:
                if value.id not in light and not inlined(value):
                    same = False
                    break
        if same:
            light.update([v.id for v in node.outputs])
        if same or movement:
            found.add(number)
    return frozenset(found)


def kept(nodes: Sequence[Node]) -> dict[int, int]:
    """Numbers of the nodes that find the places of maxima over windows and whose results, a byte for every window, are read from memory:
    where windows overlap, for each element lies in several; and where the maxima themselves are taken, with the number of the node that
    does that. The gradient then needs no more of the input, which may be the largest activation of a net. Any other choice is made by what
    reads it."""
    found: dict[int, int] = {}
    for number, node in enumerate(nodes):
        op = node.op
        if isinstance(op, WindowChoice):
            value = node.inputs[0]
            folds = (k for k, n in enumerate(nodes[:number]) if n.inputs and n.inputs[0] is value and op.is_of(n.op))
            fold = next(folds, -1)
            if fold >= 0 or op.overlap():
                found[number] = fold
    return found


UNIFORM_LIMIT = 1 << 16  # elements: beyond, looking through all of them would take longer than reading them from a buffer
BORDERS = frozenset(("Halo", "Join", "Take"))  # movements of one literal that may give several


def uniform(known: np.ndarray[Any, Any]) -> Any:
    """The one element (number or IndexExpr) that all of `known` consists of; None if there is none."""
    if known.size == 0:
        return 0
    if known.size > UNIFORM_LIMIT:
        return None
    if known.size == 1:
        return known.item()
    first: Any = known.flat[0]
    if known.dtype == object:
        if any(e != first for e in known.ravel()):
            return None
    elif not np.array_equal(known, np.broadcast_to(first, known.shape)):
        return None
    elif known.dtype.kind == "f" and np.ptp(np.signbit(known).astype(np.int8)):
        return None  # zeros of both signs
    if isinstance(first, np.generic):
        return first.item()
    return first


def unit(size: Index) -> bool:
    """Whether a dimension is statically 1."""
    return isinstance(size, int) and size == 1


def beside(join: Node) -> bool:
    """Whether one loop nest can store the parts of a concatenation: they have one shape, and rows that fill vectors."""
    shape = join.inputs[0].shape
    return all(v.shape == shape for v in join.inputs) and isinstance(shape[-1], int) and shape[-1] >= LANES
