"""Give every output and every new value of a variable memory of its own, by copies where it would share.

An output is the caller's own array: a fed value, a variable, or a value fetched twice cannot be handed out as it is. A variable that is
assigned the old value of another one must have a copy taken before that one is overwritten.
"""

from __future__ import annotations

from graphflow.compiler.passes.rewrite import Rewriter
from graphflow.compiler.program import Node, Program, Value, assemble
from graphflow.graph.op import Kind
from graphflow.ops import core
from graphflow.ops.parts import Interleaved, Paired


def settle(program: Program) -> Program:
    """See the module's text. What is known of the outputs of a run is handed out without having been in the plan's memory."""
    return _settle(program, False)


def settle_body(program: Program) -> Program:
    """The same for the body of a loop or branch, whose outputs go to memory in any case."""
    return _settle(program, True)


def _settle(program: Program, literals: bool) -> Program:
    b = Rewriter(program)
    b.nodes = list(program.nodes)
    owned: set[int] = set()
    inputs = {i.value.id for i in program.inputs}
    states = {i.name: i.value.id for i in program.inputs}

    def base(value: Value) -> int:
        node = b.maker(value)
        while node is not None:
            if node.op.type == "View" or node.op.kind is Kind.ALIAS:
                value = node.inputs[0]
            elif node.op.inplace and value in node.outputs[: len(node.op.inplace)]:
                value = node.inputs[node.op.inplace[node.outputs.index(value)]]
            else:
                break
            node = b.maker(value)
        return value.id

    def copy(value: Value) -> Value:
        origin = b.maker(value)
        if value.dtype.is_complex:
            if value.known is not None:
                value = b.constant(value.known, value.dtype)
            pairs = b.apply(Interleaved(), value)
            return b.apply(Paired(), copy(pairs))  # type: ignore[no-any-return]
        value = b.settled(value)
        made = b.value(value.dtype, value.shape)
        op = core.HostCopy() if value.dtype.kernel_type is None else core.Copy()
        b.nodes.append(Node(op, (value,), (made,), () if origin is None else origin.origins))
        return made

    outputs: list[Value] = []
    for value in program.outputs:
        if value.known is None or literals:
            if value.known is not None or base(value) in inputs or base(value) in owned:
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
    return assemble(program.inputs, b.nodes, outputs, updates, program.symbols)
