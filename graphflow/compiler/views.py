"""Views of a compilation as networkx graphs: for people, for tests and for verify mode. Nothing on the way of a step builds one.

    program_view    nodes and inputs of a Program, and the values that go from one to the other
    interference    blocks of the arena, joined where they are alive at the same time
    program_dot     a Program as text for Graphviz: `dot -Tsvg graph.dot`
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from graphflow.compiler.groups import Group, Shape
from graphflow.compiler.memory import Block
from graphflow.compiler.program import Node, Program, Source, Value
from graphflow.graph.op import Effect, Kind

if TYPE_CHECKING:
    from graphflow.compiler.plan import BoundPlan

SHOWN = 6  # ops of a group that its box lists
OUTLINE = {"input": "ellipse", "node": "box", "output": "ellipse, peripheries=2"}
FILL = {
    Shape.CONTRACTION: "#f7d9c4", Shape.ROWS: "#cfe6d0", Shape.COLUMNS: "#d8ecc0", Shape.POINTWISE: "#d3e3f3", Shape.KERNEL: "#e6d6ef",
    Shape.ALIAS: "#f2f2f2", Shape.HOST: "#f3d0d0", Shape.REGION: "#fbeebc",
}  # fmt: skip


def program_view(program: Program) -> Any:
    """A networkx.MultiDiGraph. Its nodes are the numbers of the Program's nodes (`node`), and texts for the rest: "feed x", "state w",
    "constant %3" (`input`), "output 0", "update w". An edge carries the `value` that goes along it."""
    import networkx  # only those who reason about graphs pay for its import

    view = networkx.MultiDiGraph()
    maker: dict[int, int | str] = {}
    for given in program.inputs:
        name = f"%{given.value.id}" if given.source is Source.CONSTANT else given.name
        maker[given.value.id] = key = f"{given.source.value} {name}"
        view.add_node(key, kind="input", input=given)
    for number, node in enumerate(program.nodes):
        view.add_node(number, kind="node", node=node)
        maker.update((v.id, number) for v in node.outputs)
    wanted: list[tuple[int | str, Sequence[Value]]] = [(n, node.inputs) for n, node in enumerate(program.nodes)]
    wanted += [(f"output {n}", (value,)) for n, value in enumerate(program.outputs)]
    wanted += [(f"update {name}", (value,)) for name, value in program.updates.items()]
    for user, values in wanted:
        if isinstance(user, str):
            view.add_node(user, kind="output")
        for value in values:
            if value.id in maker:  # a small literal is known where it is used, and made nowhere
                view.add_edge(maker[value.id], user, value=value)
    return view


def unneeded(program: Program) -> list[Node]:
    """Nodes on which no output and no update depends, and no call of Python and no check."""
    import networkx

    view = program_view(program)
    needed: set[int | str] = set()
    for key, kind in list(view.nodes(data="kind")):
        if kind == "output" or (kind == "node" and _acts(view.nodes[key]["node"])):
            needed |= {key, *networkx.ancestors(view, key)}
    return [node for number, node in enumerate(program.nodes) if number not in needed]


def _acts(node: Node) -> bool:
    """Whether it does something besides giving its results."""
    return any(n.op.kind is Kind.HOST or n.op.effect is Effect.HOST for n in getattr(node, "nodes", (node,)))


def interference(blocks: Sequence[Block]) -> Any:
    """A networkx.Graph of the numbers of the blocks (`size`), by their first steps, with an edge where two are needed at one step."""
    import networkx

    view = networkx.Graph()
    alive: list[int] = []
    for number in sorted(range(len(blocks)), key=lambda k: blocks[k].first):
        block = blocks[number]
        alive = [k for k in alive if blocks[k].last >= block.first]
        view.add_node(number, size=block.size)
        view.add_edges_from((k, number) for k in alive)
        alive.append(number)
    return view


def heaviest_clique(blocks: Sequence[Block]) -> int:
    """The most bytes that are needed together, by the cliques of the interference graph: a second road to `memory.lower_bound`. Blocks
    live for intervals, so a block's neighbours that came before it make a clique with it, and every maximal clique is one of these."""
    view = interference(blocks)
    rank = {number: n for n, number in enumerate(view.nodes)}
    return max((blocks[k].size + sum(blocks[j].size for j in view.adj[k] if rank[j] < rank[k]) for k in view.nodes), default=0)


def collisions(blocks: Sequence[Block], offsets: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Pairs of blocks that are alive together and share bytes: none in a valid placement."""
    for a, b in interference(blocks).edges:
        start, end = max(offsets[a], offsets[b]), min(offsets[a] + blocks[a].size, offsets[b] + blocks[b].size)
        if start < end:
            yield min(a, b), max(a, b)


def plan_problems(bound: BoundPlan) -> Iterator[str]:
    """What is wrong with a bound plan: kernels that nothing needs, values in each other's way."""
    for node in unneeded(bound.compiled.program):
        yield f"nothing needs what is computed by {node!r}"
    placement, symbolic = bound.placement, bound.compiled.blocks
    for a, b in collisions(bound.blocks, placement.offsets):
        yield f"the memory of {symbolic[a].holds} and of {symbolic[b].holds} overlaps while both are needed"
    for number, (block, offset) in enumerate(zip(bound.blocks, placement.offsets, strict=True)):
        if offset < 0 or offset + block.size > placement.total:
            yield f"the memory of {symbolic[number].holds} is outside the arena of {placement.total} bytes"
    most = heaviest_clique(bound.blocks)
    if placement.bound != most:
        yield f"the lower bound {placement.bound} is not the most that is needed together, {most}"


def program_dot(program: Program, names: Mapping[int, str] | None = None) -> str:
    """Text for Graphviz: a box for every node or kernel, the values on the arrows. `names`: names of kernels by id() of their group."""
    view = program_view(program)
    literals = [f"constant %{i.value.id}" for i in program.inputs if i.source is Source.CONSTANT]
    view.remove_nodes_from([key for key in literals if not view.degree(key)])  # written into the kernels that use them
    lines = ["digraph program {", "  rankdir=TB;"]
    lines += [f'  {part} [fontname="Helvetica", fontsize={points}];' for part, points in (("node", 10), ("edge", 8))]
    number_of = {key: f"n{number}" for number, key in enumerate(view.nodes)}
    for key, data in view.nodes(data=True):
        style = f"shape={OUTLINE[data['kind']]}"
        label = str(key)
        if data["kind"] == "node":
            label = _label(data["node"], (names or {}).get(id(data["node"]), ""))
            if isinstance(data["node"], Group):
                style += f', style=filled, fillcolor="{FILL[data["node"].form]}"'
        lines.append(f"  {number_of[key]} [label={_quoted(label)}, {style}];")
    for start, end, value in view.edges(data="value"):
        text = f"{value.dtype.name}[{', '.join(map(str, value.shape))}]"
        lines.append(f"  {number_of[start]} -> {number_of[end]} [label={_quoted(text)}];")
    return "\n".join([*lines, "}"]) + "\n"


def _label(node: Node, name: str) -> str:
    if not isinstance(node, Group):
        return node.op.type
    ops = [n.op.type for n in node.nodes]
    shown = ", ".join(ops[:SHOWN]) + (f", {len(ops) - SHOWN} more" if len(ops) > SHOWN else "")
    return "\n".join(filter(None, (name, node.form.value, shown)))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
