"""Walks a Program once, letting a rule replace nodes: what most passes are made of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

from graphflow.compiler.builder import ProgramBuilder
from graphflow.compiler.groups import Group
from graphflow.compiler.program import Node, Program, Value, assemble

if TYPE_CHECKING:
    import numpy as np

    from graphflow.dtypes import DType
    from graphflow.graph.op import Op
    from graphflow.kernel.index import Index

Rule = Callable[["Rewriter", Node, tuple[Value, ...]], "Sequence[Value] | None"]


class Rewriter(ProgramBuilder):
    """A builder that continues a Program's numbering. `maker(value)` is the (rewritten) node that gives a value."""

    def __init__(self, program: Program) -> None:
        super().__init__()
        self._program = program
        self._next = -1
        self.rule = ""  # what a rule that replaces a node calls itself
        self.types = {node.op.type for node in program.nodes}
        if self.types.isdisjoint(("Measured", "After")):
            return
        for node in program.nodes:
            if node.op.type == "Measured":
                self.measured[node.op.symbol] = node.outputs[0]  # type: ignore[attr-defined]
            elif node.op.type == "After":  # in the body of a loop or branch, of a size of the Program around it
                self.measured.setdefault(node.op.symbol, node.inputs[1])  # type: ignore[attr-defined]

    def value(self, dtype: DType, shape: Sequence[Index], known: np.ndarray[Any, Any] | None = None) -> Value:
        """A new value that nothing defines yet, numbered behind those of the Program."""
        if self._next < 0:
            self._next = 1 + highest_id(self._program)
        return super().value(dtype, shape, known)


class Change(NamedTuple):
    """A node that a rule replaced, and the values that took the place of its results."""

    node: Node
    results: tuple[Value, ...]
    rule: str


_journal: ContextVar[list[Change] | None] = ContextVar("journal", default=None)


def recorded(function: Callable[[Program], Program], program: Program) -> tuple[Program, tuple[Change, ...]]:
    """What a pass makes of a Program, and what its rules replaced."""
    journal: list[Change] = []
    token = _journal.set(journal)
    try:
        return function(program), tuple(journal)
    finally:
        _journal.reset(token)


def note(node: Node, results: Sequence[Value], rule: str) -> None:
    """A rule replaced `node`."""
    journal = _journal.get()
    if journal is not None:
        journal.append(Change(node, tuple(results), rule))


def highest_id(program: Program) -> int:
    """The largest value number in use. What nodes read is an input of the Program or made by a node; Groups also read literals."""
    ids = [i.value.id for i in program.inputs]
    ids += [v.id for node in program.nodes for v in node.outputs]
    if program.nodes and isinstance(program.nodes[0], Group):
        parts = [part for group in program.nodes for part in getattr(group, "nodes", ())]
        ids += [v.id for part in parts for v in (*part.inputs, *part.outputs)]
    return max(ids, default=-1)


def uses(program: Program) -> dict[int, int]:
    """How often each value is read, by id; what the Program gives out is read once more."""
    found: dict[int, int] = {}
    for value in (*program.outputs, *program.updates.values(), *[v for node in program.nodes for v in node.inputs]):
        found[value.id] = found.get(value.id, 0) + 1
    return found


def rewrite(program: Program, rule: Rule, types: Collection[str] | None = None) -> Program:
    """The Program with every node for which `rule(builder, node, inputs)` gives values replaced by them; the same object if there is none.
    `inputs` are the node's operands after replacement; a new value must have the type and shape of the one it stands for. `types`: of the
    ops that the rule looks at, where it does not look at all."""
    b = Rewriter(program)
    if types is not None and b.types.isdisjoint(types):
        return program
    nodes = b.nodes
    env: dict[Value, Value] = {}
    gone = env.keys()
    changed = False
    for node in program.nodes:
        inputs = node.inputs
        replaced = changed and not gone.isdisjoint(inputs)
        if replaced:
            inputs = tuple([env.get(v, v) for v in inputs])
        if types is None or node.op.type in types:
            b.origins = node.origins
            start = len(nodes)
            results = rule(b, node, inputs)
            if results is not None:
                changed = True
                note(node, results, b.rule)
                b.rule = ""
                for old, new in zip(node.outputs, results, strict=True):
                    if old.dtype != new.dtype or len(old.shape) != len(new.shape):
                        raise TypeError(f"a rule replaces {old!r} by {new!r}")
                    env[old] = new
                continue
            if len(nodes) > start:
                b.withdraw(start)
        nodes.append(with_inputs(node, inputs) if replaced else node)
    return substituted(program, nodes, env) if changed else program


def with_inputs(node: Node, inputs: tuple[Value, ...]) -> Node:
    """The node with operands of the same types in place of its own; the one that it has become before where that has these."""
    known = node.became
    if known is None or known.op is not node.op or known.inputs != inputs:
        alike = [v.shape for v in inputs] == [v.shape for v in node.inputs]
        known = node.became = Node(node.op, inputs, node.outputs, node.origins, node.inferred and alike)
    return known


def with_op(node: Node, op: Op) -> Node:
    """The node with another op for its own; the one that it has become before where that has this one."""
    known = node.became
    if known is None or known.op != op or known.inputs != node.inputs:
        known = node.became = Node(op, node.inputs, node.outputs, node.origins)
    return known


def substituted(program: Program, nodes: Sequence[Node], env: Mapping[Value, Value]) -> Program:
    """The Program with other nodes, its outputs and updates renamed by `env`; what nothing needs is left out."""
    outputs = [env.get(v, v) for v in program.outputs]
    updates = {name: env.get(v, v) for name, v in program.updates.items()}
    return assemble(program.inputs, nodes, outputs, updates, program.symbols)
