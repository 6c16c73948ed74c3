"""What loops and branches carry and read.

    unused      a carried value that nobody looks at, inside or afterwards, is not carried: the record of a value of which the loop
                backwards only needs the shape
    hoist       what a loop computes from outside values alone is computed before it
    unset       an array of which a loop writes every row before anybody reads one needs no zeros to begin with
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from graphflow.compiler.passes.cleanup import cse
from graphflow.compiler.passes.rewrite import Rewriter, note, substituted
from graphflow.compiler.program import Input, Node, Program, Source, Value, assemble
from graphflow.compiler.regions import Body, Branch, Loop, Region, body_operands
from graphflow.graph.op import Effect, Kind
from graphflow.ops.array_rows import NewRows

# -- unused ----------------------------------------------------------------------------------------------------------------------------


def unused(program: Program) -> Program:
    """See the module's text."""
    if not any(isinstance(n.op, Region) for n in program.nodes):
        return program
    used = {v.id for v in (*program.outputs, *program.updates.values())}
    nodes: list[Node] = []
    for node in reversed(program.nodes):
        made = _trimmed(node, used) if isinstance(node.op, Region) else node
        nodes.append(made)
        used.update(v.id for v in made.inputs)
    nodes.reverse()
    if all(a is b for a, b in zip(nodes, program.nodes, strict=True)):
        return program
    return assemble(program.inputs, nodes, program.outputs, program.updates, program.symbols)


def _trimmed(node: Node, used: set[int]) -> Node:
    """The node without carried values, results and operands that nothing needs; `used`: ids of what is looked at afterwards."""
    op = node.op
    assert isinstance(op, Region)
    bodies = [b.program for b in op.bodies]
    results = [k for k, v in enumerate(node.outputs[op.carried :]) if v.id in used]
    wanted = [list(p.outputs) if isinstance(op, Loop) else [p.outputs[k] for k in results] for p in bodies]
    live = {k for k in range(op.carried) if node.outputs[k].id in used}
    while True:
        names = {f"c{k}" for k in live}
        cut = [assemble(p.inputs, p.nodes, outputs, {n: v for n, v in p.updates.items() if n in names}, p.symbols)
               for p, outputs in zip(bodies, wanted, strict=True)]  # fmt: skip
        read = [_read(p) for p in cut]
        found = {k for k in range(op.carried) if any(i.name == f"c{k}" and i.value.id in r for p, r in zip(cut, read, strict=True)
                                                     for i in p.inputs)}  # fmt: skip
        if found <= live:
            break
        live |= found
    given = [k for k in range(len(node.inputs) - 1 - op.carried)
             if any(i.name == f"g{k}" and i.value.id in r for p, r in zip(cut, read, strict=True) for i in p.inputs)]  # fmt: skip
    if len(live) == op.carried and len(given) == len(node.inputs) - 1 - op.carried and len(results) == len(node.outputs) - op.carried:
        return node
    carried = sorted(live)
    renamed = {f"c{k}": f"c{n}" for n, k in enumerate(carried)} | {f"g{k}": f"g{n}" for n, k in enumerate(given)}
    programs = [_renamed(p, renamed) for p in cut]
    inputs = [node.inputs[0], *(node.inputs[1 + k] for k in carried), *(node.inputs[1 + op.carried + k] for k in given)]
    outputs = [*(node.outputs[k] for k in carried), *(node.outputs[op.carried + k] for k in results)]
    return Node(_like(op, len(carried), programs), inputs, outputs, node.origins)


def _read(program: Program) -> set[int]:
    """Ids of the values that a body's nodes, outputs and updates use."""
    values = (*program.outputs, *program.updates.values(), *(v for n in program.nodes for v in n.inputs))
    return {v.id for v in values}


def _renamed(program: Program, names: Mapping[str, str]) -> Program:
    """A body whose inputs have other names; those that are not named are left out."""
    inputs = tuple(i if i.source is Source.CONSTANT else i._replace(name=names[i.name]) for i in program.inputs
                   if i.source is Source.CONSTANT or i.name in names)  # fmt: skip
    return program._replace(inputs=inputs, updates={names[n]: v for n, v in program.updates.items()})


def _like(op: Region, carried: int, programs: Sequence[Program]) -> Region:
    """The same kind of node around other bodies."""
    if isinstance(op, Loop):
        return Loop(carried, Body(programs[0]), op.trips)
    return Branch(carried, Body(programs[0]), Body(programs[1]))


# -- hoist -----------------------------------------------------------------------------------------------------------------------------

WORK = (Kind.ELEMENTWISE, Kind.REDUCTION, Kind.CONTRACTION, Kind.KERNEL)  # a movement costs nothing where it is read


def hoist(program: Program) -> Program:
    """See the module's text. What may fail stays: the loop may not go round at all."""
    hoisted = _with_loops(program, _hoisted)
    return program if hoisted is program else cse(hoisted)  # a loop and the one backwards compute the same


def _with_loops(program: Program, rewrite: Callable[[Rewriter, Node], Node]) -> Program:
    """The program with `rewrite` of each loop in its place, behind what that has written to the Rewriter."""
    if not any(isinstance(n.op, Loop) for n in program.nodes):
        return program
    b = Rewriter(program)
    changed = False
    for node in program.nodes:
        made = rewrite(b, node) if isinstance(node.op, Loop) else node
        changed |= made is not node
        b.nodes.append(made)
    return substituted(program, b.nodes, {}) if changed else program


def _hoisted(b: Rewriter, node: Node) -> Node:
    """The loop without what does not change in it, which is written before it."""
    op = node.op
    assert isinstance(op, Loop)
    body = op.body.program
    operands = body_operands(node)
    outside = {i.value.id: node.inputs[operands[0, i.name]] for i in body.inputs if i.source is Source.FEED}
    invariant = set(outside)
    moved: list[Node] = []
    for inner in body.nodes:
        still = inner.op.effect is Effect.PURE and not getattr(inner.op, "checks", ()) and inner.op.type != "Take"
        if still and inner.op.kind in (*WORK, Kind.MOVEMENT) and all(v.known is not None or v.id in invariant for v in inner.inputs):
            invariant.update(v.id for v in inner.outputs)
            moved.append(inner)
    worth = _worth_moving(moved)
    if not worth:
        return node
    env = dict(outside)
    for inner in worth:
        for literal in inner.inputs:  # a body numbers its values by itself
            if literal.id not in env:
                env[literal.id] = b.value(literal.dtype, literal.shape, literal.known)
        results = [b.value(v.dtype, v.shape, v.known) for v in inner.outputs]
        b.nodes.append(Node(inner.op, [env[v.id] for v in inner.inputs], results, inner.origins))
        env.update((old.id, new) for old, new in zip(inner.outputs, results, strict=True))
        note(inner, results, "does not change in the loop")
    gone = {id(n) for n in worth}
    rest = [n for n in body.nodes if id(n) not in gone]
    needed = {v.id for v in (*body.outputs, *body.updates.values(), *(v for n in rest for v in n.inputs))}
    fresh = [v for n in worth for v in n.outputs if v.id in needed]
    count = len(node.inputs) - 1 - op.carried
    inputs = [*body.inputs, *(Input(Source.FEED, f"g{count + k}", v) for k, v in enumerate(fresh))]
    inside = assemble(inputs, rest, body.outputs, body.updates, body.symbols)
    operands_ = (*node.inputs, *(env[v.id] for v in fresh))
    return Node(Loop(op.carried, Body(inside), op.trips), operands_, node.outputs, node.origins)


def _worth_moving(moved: Sequence[Node]) -> list[Node]:
    """Those of the nodes that compute, and the movements that these read."""
    needed: set[int] = set()
    worth: list[Node] = []
    for node in reversed(moved):
        if node.op.kind in WORK or any(v.id in needed for v in node.outputs):
            worth.append(node)
            needed.update(v.id for v in node.inputs)
    worth.reverse()
    return worth


# -- unset -----------------------------------------------------------------------------------------------------------------------------


def unset(program: Program) -> Program:
    """See the module's text."""
    return _with_loops(program, _unset)


def _unset(b: Rewriter, node: Node) -> Node:
    """The loop on arrays that nobody has filled, where it fills them itself."""
    inputs = list(node.inputs)
    for k in _filled(node):
        old = inputs[1 + k]
        maker = b.maker(old)
        if old.known is not None or maker is not None and maker.op.type == "Expand" and maker.inputs[0].known is not None:
            inputs[1 + k] = b.value(old.dtype, old.shape)
            b.nodes.append(Node(NewRows(old.shape, old.dtype), (), (inputs[1 + k],), node.origins))
    return node if tuple(inputs) == node.inputs else Node(node.op, inputs, node.outputs, node.origins)


def _filled(node: Node) -> list[int]:
    """Numbers of the carried arrays of which a loop does nothing but write row after row, all of them."""
    op = node.op
    assert isinstance(op, Loop)
    body = op.body.program
    producer = {v.id: n for n in body.nodes for v in n.outputs}
    readers: dict[int, int] = {}
    for value in (*body.outputs, *body.updates.values(), *(v for n in body.nodes for v in n.inputs)):
        readers[value.id] = readers.get(value.id, 0) + 1
    names = {i.name: i.value for i in body.inputs if i.source is Source.STATE}

    def counts(value: Value) -> bool:
        """Whether a value is 0, 1, 2, … in the iterations."""
        name = next((n for n, v in names.items() if v.id == value.id), None)
        if name is None:
            return False
        begin, step = node.inputs[1 + int(name[1:])].known, producer.get(body.updates[name].id)
        if begin is None or step is None or step.op.type != "AddV2" or begin.shape != () or begin.dtype == object or int(begin) != 0:
            return False
        others = [v for v in step.inputs if v.id != value.id]
        return len(others) == 1 and others[0].known is not None and others[0].known.reshape(-1)[0] == 1

    found = []
    for name, array in names.items():
        value, inner, single = body.updates[name], array, readers.get(array.id) == 1
        writer = producer.get(value.id)
        while writer is not None and writer.op.type == "View":
            single = single and readers[value.id] == 1
            value = writer.inputs[0]
            writer = producer.get(value.id)
        if writer is None or not single or readers[value.id] != 1 or writer.op.type != "PutRow" or writer.op.combine != "set":  # type: ignore[attr-defined]
            continue
        old, _, index = writer.inputs
        while old.id != inner.id and (maker := producer.get(old.id)) is not None and maker.op.type == "View" and readers[old.id] == 1:
            old = maker.inputs[0]
        if old.id == inner.id and counts(index) and op.trips == array.shape[0]:
            found.append(int(name[1:]))
    return found
