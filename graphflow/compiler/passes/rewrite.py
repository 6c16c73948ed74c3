"""Walks a Program once, letting a rule replace nodes: what most passes are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import NamedTuple

from graphflow.compiler.builder import ProgramBuilder
from graphflow.compiler.program import Node, Program, Value, assemble

Rule = Callable[["Rewriter", Node, tuple[Value, ...]], "Sequence[Value] | None"]


class Rewriter(ProgramBuilder):
    """A builder that continues a Program's numbering. `producer(value)` is the (rewritten) node that gives a value."""

    def __init__(self, program: Program) -> None:
        super().__init__()
        self._next = 1 + highest_id(program)
        self._made: dict[int, Node] = {}
        self._seen = 0
        self.rule = ""  # what a rule that replaces a node calls itself
        for node in program.nodes:
            if node.op.type == "Measured":
                self.measured[node.op.symbol] = node.outputs[0]  # type: ignore[attr-defined]
            elif node.op.type == "After":  # in the body of a loop or branch, of a size of the Program around it
                self.measured.setdefault(node.op.symbol, node.inputs[1])  # type: ignore[attr-defined]

    def producer(self, value: Value) -> Node | None:
        """The node that defines `value`, None for an input or a literal."""
        while self._seen < len(self.nodes):
            node = self.nodes[self._seen]
            self._made.update((v.id, node) for v in node.outputs)
            self._seen += 1
        return self._made.get(value.id)


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
    """The largest value number in use."""
    ids = [i.value.id for i in program.inputs]
    ids += [v.id for n in program.nodes for v in (*n.inputs, *n.outputs)]
    ids += [v.id for n in program.nodes for part in getattr(n, "nodes", ()) for v in (*part.inputs, *part.outputs)]
    return max(ids, default=-1)


def rewrite(program: Program, rule: Rule) -> Program:
    """The Program with every node for which `rule(builder, node, inputs)` gives values replaced by them; the same object if there is none.
    `inputs` are the node's operands after replacement; a new value must have the type and shape of the one it stands for."""
    b = Rewriter(program)
    env: dict[int, Value] = {}
    changed = False
    for node in program.nodes:
        inputs = tuple([env.get(v.id, v) for v in node.inputs])
        b.origins = node.origins
        start = len(b.nodes)
        results = rule(b, node, inputs)
        if results is None:
            del b.nodes[start:]
            b.nodes.append(node if inputs == node.inputs else Node(node.op, inputs, node.outputs, node.origins))
            continue
        changed = True
        note(node, results, b.rule)
        b.rule = ""
        for old, new in zip(node.outputs, results, strict=True):
            if old.dtype != new.dtype or len(old.shape) != len(new.shape):
                raise TypeError(f"a rule replaces {old!r} by {new!r}")
            env[old.id] = new
    if not changed:
        return program
    return substituted(program, b.nodes, env)


def substituted(program: Program, nodes: Sequence[Node], env: Mapping[int, Value]) -> Program:
    """The Program with other nodes, its outputs and updates renamed by `env`; what nothing needs is left out."""
    outputs = [env.get(v.id, v) for v in program.outputs]
    updates = {name: env.get(v.id, v) for name, v in program.updates.items()}
    return assemble(program.inputs, nodes, outputs, updates, program.symbols)
