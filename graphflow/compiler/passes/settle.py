"""Give every output and every new value of a variable memory of its own, by copies where it would share.

An output is the caller's own array: a fed value, a variable, or a value fetched twice cannot be handed out as it is. A variable that is
assigned the old value of another one must have a copy taken before that one is overwritten.
"""

from __future__ import annotations

from graphflow.compiler.passes.rewrite import Rewriter
from graphflow.compiler.program import Node, Program, Value
from graphflow.ops import core


def settle(program: Program) -> Program:
    """See the module's text."""
    b = Rewriter(program)
    b.nodes = list(program.nodes)
    owned: set[int] = set()
    inputs = {i.value.id for i in program.inputs}
    states = {i.name: i.value.id for i in program.inputs}

    def base(value: Value) -> int:
        node = b.producer(value)
        while node is not None and node.op.type == "View":
            value = node.inputs[0]
            node = b.producer(value)
        return value.id

    def copy(value: Value) -> Value:
        made = b.value(value.dtype, value.shape)
        origin = b.producer(value)
        op = core.HostCopy() if value.dtype.kernel_type is None else core.Copy()
        b.nodes.append(Node(op, (value,), (made,), () if origin is None else origin.origins))
        return made

    outputs: list[Value] = []
    for value in program.outputs:
        if value.known is None:
            if base(value) in inputs or base(value) in owned:
                value = copy(value)
            owned.add(base(value))
        outputs.append(value)
    updates: dict[str, Value] = {}
    for name, value in program.updates.items():
        root = base(value)
        if root != states.get(name) and (root in inputs or value.known is not None or root in owned):
            value = copy(value)
        owned.add(base(value))
        updates[name] = value
    if len(b.nodes) == len(program.nodes):
        return program
    return Program(program.inputs, tuple(b.nodes), tuple(outputs), updates, program.symbols)
