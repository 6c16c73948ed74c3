"""The pass `fuse`: the nodes of a Program become Groups, each one kernel or an alias.

`Clusters` decides what is computed together. Here every cluster gets the movements that it reads through, written into the group itself;
a movement whose result must exist in memory (an operand of a contraction, an output) gets a group of its own, a View becomes an alias.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from graphflow.compiler.groups import Group, Shape, beside, grouped, inlined, singleton
from graphflow.compiler.lower.overlap import overlapping
from graphflow.compiler.lower.pointwise import border_of
from graphflow.compiler.lower.windows import within_combs, within_windows
from graphflow.compiler.passes.clusters import Cluster, Clusters, Past
from graphflow.compiler.program import Node, Program, Value
from graphflow.graph.op import Effect, Kind
from graphflow.ops import core
from graphflow.ops.windowed import Windowed

INLINES = (Shape.POINTWISE, Shape.ROWS, Shape.COLUMNS, Shape.CONTRACTION)  # forms whose operands may be index arithmetic
REPEATS = frozenset(("Expand", "Take"))  # movements that read an element of their operand many times
ALONE: dict[Kind, Shape] = {Kind.KERNEL: Shape.KERNEL, Kind.HOST: Shape.HOST, Kind.REGION: Shape.REGION, Kind.ALIAS: Shape.ALIAS}
STANDING = frozenset(ALONE.values())


def fuse(program: Program, past: Past | None = None) -> Program:
    """Groups for all nodes. `past`: what is known of Programs that began alike."""
    if not program.nodes or Group in {*map(type, program.nodes)}:
        return program
    return _Grouping(program, past).result()


class _Draft:
    """A group being put together."""

    __slots__ = ("form", "nodes", "inputs", "outputs", "root")

    def __init__(self, form: Shape, root: Node | None) -> None:
        self.form = form
        self.nodes: dict[int, Node] = {}  # by node number
        self.inputs: dict[int, Value] = {}
        self.outputs: dict[int, Value] = {}
        self.root = root


class _Grouping:
    def __init__(self, program: Program, past: Past | None) -> None:
        self.program = program
        self.nodes = program.nodes
        self.clusters = Clusters(program, past=past)
        self.producer = self.clusters.producer
        self.drafts: dict[int, _Draft] = {}  # by id of cluster, or -1 - node number
        self._queue: list[int] = []

    def result(self) -> Program:
        for value in (*self.program.outputs, *self.program.updates.values()):
            self._need(value)
        for number, node in enumerate(self.nodes):
            if node.op.kind is Kind.HOST or node.op.effect is Effect.HOST:  # called whether or not its results are used
                self._draft(number)
                if node.op.kind is Kind.MOVEMENT:  # it is made for the sake of its checks
                    self._need(node.outputs[0])
        while self._queue:
            self._fill(self._queue.pop())
        self._join()
        self._absorb()
        self._borders()
        self._pair()
        groups = [self._group(d) for d in self.drafts.values()]
        return self.program._replace(nodes=tuple(ordered(groups)))

    def _need(self, value: Value) -> None:
        """`value` must exist in memory."""
        number = self.producer.get(value.id)
        if number is None or value.known is not None:
            return
        draft = self._draft(number)
        draft.outputs[value.id] = value

    def _draft(self, number: int) -> _Draft:
        cluster = self.clusters.of[number]
        key = -1 - number if cluster is None else id(cluster)
        draft = self.drafts.get(key)
        if draft is None:
            draft = self.drafts[key] = self._new(number, cluster)
            self._queue.append(key)
        return draft

    def _new(self, number: int, cluster: Cluster | None) -> _Draft:
        node = self.nodes[number]
        if cluster is not None:
            draft = _Draft(cluster.form, None)
            draft.nodes = {n: self.nodes[n] for n in cluster.nodes}
            if cluster.form is Shape.CONTRACTION:
                draft.root = next(n for n in draft.nodes.values() if n.op.kind is Kind.CONTRACTION)
        else:
            kind = node.op.kind
            form = ALONE.get(kind, Shape.ALIAS if node.op.type == "View" else Shape.POINTWISE)
            draft = _Draft(form, None if form is Shape.POINTWISE else node)
            draft.nodes = {number: node}
        return draft

    def _fill(self, key: int) -> None:
        """Find what a group reads, and write the movements it reads through into it."""
        draft = self.drafts[key]
        nodes, floating = draft.nodes, self.clusters.floating
        inlines = draft.form in INLINES
        for number in list(nodes):
            node = self.nodes[number]
            inline = inlines and node is not draft.root
            for value in node.inputs:
                maker = self.producer.get(value.id)
                if maker in nodes:
                    continue
                if value.known is not None or maker in floating:
                    self._read(draft, value, inline, node)
                else:
                    draft.inputs[value.id] = value
                    if maker is not None:
                        self._draft(maker).outputs[value.id] = value

    def _read(self, draft: _Draft, value: Value, inline: bool, reader: Node) -> None:
        stack = [(value, reader)]
        while stack:
            v, reader = stack.pop()
            if v.known is not None:
                if not (inline and inlined(v)):
                    draft.inputs[v.id] = v
                continue
            number = self.producer.get(v.id)
            if number in draft.nodes:
                continue
            if number is not None and inline and number in self.clusters.floating and _written_into(self.nodes[number], reader):
                node = draft.nodes[number] = self.nodes[number]
                stack.extend((operand, node) for operand in node.inputs)
                continue
            draft.inputs[v.id] = v
            self._need(v)

    def _readers(self) -> dict[int, int]:
        """How many groups read a value; what the Program gives out is read once more."""
        readers = dict.fromkeys((v.id for v in (*self.program.outputs, *self.program.updates.values())), 1)
        for draft in self.drafts.values():
            for v in draft.inputs:
                readers[v] = readers.get(v, 0) + 1
        return readers

    def _pair(self) -> None:
        """What finds the places of maxima over windows is computed with the maxima themselves: both look at the same elements."""
        for number, fold in self.clusters.kept.items():
            mine = self.drafts.get(id(self.clusters.of[number]))
            if mine is None or fold < 0:
                continue
            choice = self.nodes[number].outputs[0]
            for draft in self.drafts.values():
                outputs = [*draft.outputs.values(), choice]
                if draft.form is Shape.POINTWISE and fold in draft.nodes and (
                    all(v.shape == choice.shape for v in outputs) or border_of(draft.nodes.values(), outputs)
                ):
                    if not self._reaches(draft, mine):
                        draft.nodes.update(mine.nodes)
                        draft.outputs.update(mine.outputs)
                        del self.drafts[id(self.clusters.of[number])]
                    break

    def _reaches(self, draft: _Draft, other: _Draft) -> bool:
        """Whether what `draft` reads depends on a result of `other`."""
        makers = {v: d for d in self.drafts.values() for v in d.outputs}
        seen: set[int] = set()
        stack = [draft]
        while stack:
            for value in stack.pop().inputs:
                maker = makers.get(value)
                if maker is other:
                    return True
                if maker is not None and id(maker) not in seen:
                    seen.add(id(maker))
                    stack.append(maker)
        return False

    def _join(self) -> None:
        """A kernel stores its results side by side where only their concatenation is read."""
        readers: dict[int, int] = {}
        for key, draft in list(self.drafts.items()):
            if len(draft.nodes) > 1:
                continue
            (node,) = draft.nodes.values()
            if node.op.type != "Join" or len(draft.inputs) != len(node.inputs):
                continue
            readers = readers or self._readers()
            number = self.producer.get(node.inputs[0].id)
            maker = None if number is None else self.drafts.get(id(self.clusters.of[number]))
            if maker is None or not all(v.id in maker.outputs and readers[v.id] == 1 for v in node.inputs):
                continue
            if maker.form is Shape.CONTRACTION and maker.root is not None:
                fits = all(v.shape == maker.root.outputs[0].shape for v in node.inputs)
            else:
                fits = maker.form is Shape.POINTWISE and beside(node) and not any(n.op.type == "Join" for n in maker.nodes.values())
            if fits:
                for value in node.inputs:
                    del maker.outputs[value.id]
                maker.nodes.update(draft.nodes)
                maker.outputs.update(draft.outputs)
                del self.drafts[key]

    def _absorb(self) -> None:
        """A movement in memory computes its operand itself where nothing else needs that."""
        readers: dict[int, int] = {}
        of = self.clusters.of
        for key, draft in list(self.drafts.items()):
            if draft.form is not Shape.POINTWISE or key not in self.drafts or any(of[n] is not None for n in draft.nodes):
                continue
            if any(n.op.type in REPEATS for n in draft.nodes.values()):
                continue
            readers = readers or self._readers()
            for value in list(draft.inputs.values()):
                number = self.producer.get(value.id)
                cluster = None if number is None else self.clusters.of[number]
                if cluster is None or cluster.form is not Shape.POINTWISE or readers[value.id] != 1:
                    continue
                other = self.drafts[id(cluster)]
                if set(other.outputs) != {value.id} or cluster.weight > 12:
                    continue
                draft.nodes.update(other.nodes)
                del draft.inputs[value.id]
                draft.inputs.update(other.inputs)
                del self.drafts[id(cluster)]

    def _borders(self) -> None:
        """A contraction that may do without the border around its operand is told how it is made, where nothing else reads it."""
        readers: dict[int, int] = {}
        for draft in list(self.drafts.values()):
            if draft.form is not Shape.CONTRACTION or draft.root is None:
                continue
            for padded, unneeded in zip(draft.root.inputs, (_skipped, within_combs), strict=True):
                number = self.producer.get(padded.id, -1)
                maker = self.drafts.get(-1 - number)
                if maker is None or len(maker.nodes) > 1 or self.nodes[number].op.type != "Halo":
                    continue
                if not maker.inputs or list(draft.root.inputs).count(padded) > 1 or not unneeded(draft.root, self.nodes[number]):
                    continue
                readers = readers or self._readers()
                if readers[padded.id] == 1:
                    draft.nodes.update(maker.nodes)
                    del draft.inputs[padded.id], self.drafts[-1 - number]
                    draft.inputs.update(maker.inputs)

    def _group(self, draft: _Draft) -> Group:
        if draft.form in STANDING and draft.root is not None:
            return singleton(draft.root)
        nodes = tuple([draft.nodes[n] for n in sorted(draft.nodes)])
        outputs = tuple([draft.outputs[v] for v in sorted(draft.outputs)])
        return grouped(draft.form, nodes, tuple(draft.inputs.values()), outputs, draft.root)


def _written_into(movement: Node, reader: Node) -> bool:
    """Whether a movement may be index arithmetic in what reads it. A concatenation tests where it is, and windows that are read across the
    grain, or that read so, are gathered element by element."""
    if movement.op.type == "Join":
        return False
    across = any(isinstance(n.op, core.Permute) for n in (movement, reader))
    return not (across and any(isinstance(n.op, Windowed) for n in (movement, reader)))


def _skipped(root: Node, halo: Node) -> bool:
    """Whether a contraction may do without the border around its left operand."""
    return within_windows(root, halo) or bool(overlapping(root, halo))


def ordered(groups: Sequence[Group]) -> list[Group]:
    """Groups after what they need, otherwise in the order of their first nodes."""
    producer = {v.id: k for k, g in enumerate(groups) for v in g.outputs}
    waits: list[int] = []
    users: list[list[int]] = [[] for _ in groups]
    for k, group in enumerate(groups):
        needs = {producer[v.id] for v in group.inputs if v.id in producer}
        waits.append(len(needs))
        for n in needs:
            users[n].append(k)
    rank = [min([v.id for v in g.outputs], default=0) for g in groups]
    ready = [(rank[k], k) for k, w in enumerate(waits) if w == 0]
    heapq.heapify(ready)
    result: list[Group] = []
    while ready:
        _, k = heapq.heappop(ready)
        result.append(groups[k])
        for n in users[k]:
            waits[n] -= 1
            if waits[n] == 0:
                heapq.heappush(ready, (rank[n], n))
    if len(result) != len(groups):
        raise AssertionError("fusion made a circle of groups")
    return result


def explode(group: Group, first_id: int) -> list[Group]:
    """The nodes of a group that has no loop nest after all, each by itself. Values inside it become new ones: a movement may have been
    written into several groups."""
    keep = {v.id for v in group.outputs}
    env: dict[int, Value] = {}
    out: list[Group] = []
    for node in group.nodes:
        inputs = [env.get(v.id, v) for v in node.inputs]
        outputs = []
        for value in node.outputs:
            if value.id not in keep:
                env[value.id] = Value(first_id, value.dtype, value.shape, value.known)
                first_id += 1
            outputs.append(env.get(value.id, value))
        out.append(singleton(Node(node.op, inputs, outputs, node.origins)))
    return out
