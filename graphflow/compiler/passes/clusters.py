"""Which nodes are computed together: the decisions of the pass `fuse`.

Nodes that compute (elementwise, reductions, contractions) are taken in order; each joins the cluster of one of its operands where the loop
nest of that cluster can carry it and no circle of clusters arises, and then draws further clusters of its operands in. Movements belong to
no cluster: they are index arithmetic in whoever reads them.

    contraction   + elementwise ops on its result: bias, activation, mask, the update of a variable
    rows          reductions over the last axis with all that feeds them and follows from them: softmax, cross-entropy, its gradient
    columns       reductions that keep the last axis, those over one index space together; what follows from the sums
    pointwise     everything else

A node's cluster depends on the nodes before it only, until siblings are merged at the end. So where a Program begins with the nodes of an
earlier one (see compiler/beginnings.py) its clusters go on from a copy of what that one's were there: `Past`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from graphflow.compiler.groups import Shape, beside, floating, inlined, kept, reduction_form, unit
from graphflow.compiler.passes import refusals
from graphflow.compiler.passes.refusals import NODES, OPERANDS, Refusal
from graphflow.compiler.program import Node, Program, Value
from graphflow.graph.op import Kind
from graphflow.kernel.index import Index, product

WHOLE = 8192  # elements up to which what follows from a sum of everything is done by one thread, in the same kernel
KEPT = 2  # beginnings of a session
WORTH = 16  # nodes, fewer of which are looked at as quickly as they are copied
PREFERENCE = {Shape.CONTRACTION: 0, Shape.ROWS: 1, Shape.COLUMNS: 2, Shape.POINTWISE: 3}

Dims = tuple[Index, ...]

NONE: frozenset[int] = frozenset()
IN_BLOCKS = frozenset(("PhiloxNumbers",))  # ops that make several neighbouring elements at once, in loops over elements in their order


def longer(shape: Iterable[Index]) -> Dims:
    """The sizes that are not 1."""
    return tuple([d for d in shape if not unit(d)])


class Cluster:
    """Nodes by number. `dims`: the index space; `kept` and `reduced`: its parts, for rows and columns; `space`: shape and axes of columns.
    `after`: nodes that depend on a sum of this cluster. `before`: numbers of all nodes whose results it reads. `flat`: nothing in it is
    broadcast, so that it may run over any other index space with as many points. `operands`: what it read when it had so many nodes.
    `weight`: how many ops its nodes consist of."""

    __slots__ = ("form", "nodes", "dims", "kept", "reduced", "space", "after", "before", "first", "flat", "operands", "weight")

    def __init__(self, form: Shape, node: int, dims: Dims, before: Iterable[int], flat: bool = False, weight: int = 1) -> None:
        self.form = form
        self.nodes = [node]
        self.weight = weight
        self.dims = dims
        self.kept: Dims = ()
        self.reduced: Dims = ()
        self.space: Any = None
        self.after: set[int] = set()
        self.before = set(before)
        self.first = node
        self.flat = flat
        self.operands: tuple[int, frozenset[int]] = (0, frozenset())

    def copy(self) -> Cluster:
        """The same nodes, to be joined by others."""
        twin = Cluster(self.form, self.first, self.dims, self.before, self.flat, self.weight)
        twin.nodes = self.nodes.copy()
        twin.kept, twin.reduced, twin.space = self.kept, self.reduced, self.space
        twin.after = self.after.copy()
        twin.operands = self.operands
        return twin


class Begun(NamedTuple):
    """Where the clusters of a Program stood behind its first nodes: see the attributes of Clusters."""

    nodes: tuple[Node, ...]
    near: list[frozenset[int]]
    far: list[frozenset[int]]
    reads: list[frozenset[int]]
    needs: list[frozenset[int]]
    shown: dict[int, tuple[frozenset[int], frozenset[int]]]
    of: list[Cluster | None]

    def copy(self) -> Begun:
        """The same, to be continued."""
        twins = {id(c): c.copy() for c in self.of if c is not None}
        of = [None if c is None else twins[id(c)] for c in self.of]
        near, far, reads, needs = [lists.copy() for lists in (self.near, self.far, self.reads, self.needs)]
        return Begun(self.nodes, near, far, reads, needs, self.shown.copy(), of)


class Past:
    """The beginnings that Programs of a session had in common, the last used ones last."""

    def __init__(self) -> None:
        self._before: tuple[Node, ...] = ()  # the nodes of the last Program
        self._kept: list[Begun] = []

    def recall(self, nodes: tuple[Node, ...]) -> tuple[Begun, int]:
        """The most that is known of a Program with these nodes; and behind how many of them others may want to go on: that many it shares
        with the one before, though what is known ends earlier. -1 where there are no such."""
        before, self._before = self._before, nodes
        shared = next((k for k, (a, b) in enumerate(zip(before, nodes, strict=False)) if a is not b), min(len(before), len(nodes)))
        fits = [begun for begun in self._kept if nodes[: len(begun.nodes)] == begun.nodes]
        if not fits:
            return Begun((), [], [], [], [], {}, []), shared if shared >= WORTH else -1
        found = max(fits, key=lambda begun: len(begun.nodes))
        self._kept.remove(found)
        self._kept.append(found)
        return found.copy(), shared if shared >= len(found.nodes) + WORTH else -1

    def keep(self, begun: Begun) -> None:
        """Others may want to go on here."""
        self._kept.append(begun)
        del self._kept[:-KEPT]


class Clusters:
    """The clusters of a Program; `of[k]` is the cluster of node k, None for movements and for ops that stand alone. `refusals`: what was
    not taken in and why, where that is asked for."""

    def __init__(self, program: Program, refusals: list[Refusal] | None = None, past: Past | None = None) -> None:
        self.refusals = refusals
        self.nodes = program.nodes
        self.producer: dict[int, int] = {v.id: k for k, n in enumerate(self.nodes) for v in n.outputs}
        self.kept = kept(self.nodes)
        self.floating = floating(self.nodes, self.kept)
        begun, fork = (Past() if past is None else past).recall(self.nodes)
        # By node: the computing nodes whose results it sees element by element in place, those seen elsewhere (through a permutation, a
        # slice, a gather), all of them, ids of the values that it needs in memory or computed, and its cluster. By id of a value, `_shown`:
        # what whoever reads it sees in place, and elsewhere.
        start = len(begun.nodes)
        _, self.near, self.far, self.reads, self._needs, self._shown, self.of = begun
        for k, node in enumerate(self.nodes[start:], start):
            if k == fork and past is not None:
                past.keep(self._begun(k))
            self._look(k, node)
            self._join(k, node)
        self._siblings()
        self._parts()

    def _begun(self, count: int) -> Begun:
        """A copy of what is known when it is known of `count` nodes."""
        return Begun(self.nodes[:count], self.near, self.far, self.reads, self._needs, self._shown, self.of).copy()

    # -- what depends on what ------------------------------------------------------------------------------------------------------

    def _look(self, number: int, node: Node) -> None:
        """What a node sees."""
        shown = self._shown
        found = [shown[v.id] for v in node.inputs if v.id in shown]
        near, far = found[0] if found else (NONE, NONE)
        if len(found) > 1:
            near = near.union(*[here for here, _ in found[1:]])
            far = far.union(*[there for _, there in found[1:]])
        self.near.append(near)
        self.far.append(far)
        self.reads.append(near | far if far else near)
        self._needs.append(frozenset([v.id for v in node.inputs if v.known is None or not inlined(v)]))
        if number not in self.floating:
            result = frozenset((number,)), NONE
        elif aligned(node):
            result = near, far
        else:
            result = NONE, near | far
        for value in node.outputs:
            if value.known is None:
                shown[value.id] = result

    def depends(self, starts: Iterable[int], on: Cluster) -> bool:
        """Whether one of the nodes `starts`, outside the cluster, depends on it."""
        seen: set[int] = set()
        stack = list(starts)
        while stack:
            number = stack.pop()
            cluster = self.of[number]
            if cluster is on:
                return True
            key = id(cluster) if cluster is not None else -1 - number
            if key in seen:
                continue
            seen.add(key)
            if cluster is None:
                if number > on.first:
                    stack.extend(self.reads[number])
            elif max(cluster.nodes[-1], number) > on.first:
                stack.extend([n for n in cluster.before if self.of[n] is not cluster])
        return False

    def _refuse(self, nodes: Iterable[int], cluster: Cluster | None, reason: str) -> bool:
        """Note that `nodes` are not computed with `cluster`."""
        if self.refusals is not None and cluster is not None:
            self.refusals.append(Refusal(tuple(nodes), tuple(cluster.nodes), reason))
        return False

    # -- joining -------------------------------------------------------------------------------------------------------------------

    def _join(self, number: int, node: Node) -> None:
        """Find a cluster for a node."""
        self.of.append(None)
        if number in self.floating:
            return
        kind = node.op.kind
        if kind is Kind.ELEMENTWISE:
            self._elementwise(number, node)
        elif kind is Kind.REDUCTION:
            self._reduction(number, node)
        elif kind is Kind.CONTRACTION:
            for n in self.reads[number]:
                self._refuse((number,), self.of[n], refusals.CONTRACTED)
            self.of[number] = Cluster(Shape.CONTRACTION, number, longer(node.outputs[0].shape), self.reads[number])
        elif kind is Kind.MOVEMENT:
            self.of[number] = Cluster(Shape.POINTWISE, number, longer(node.outputs[0].shape), self.reads[number])

    def _elementwise(self, number: int, node: Node) -> None:
        reads = self.reads[number]
        dims = longer(node.outputs[0].shape)
        flat = self._flat(node)
        candidates = {id(cluster): cluster for n in reads if (cluster := self.of[n]) is not None}
        ranked = list(candidates.values())
        if len(ranked) > 1:
            ranked.sort(key=lambda c: (PREFERENCE[c.form], -c.nodes[-1]))
        home: Cluster | None = None
        for cluster in ranked:
            if home is None:
                obstacle = self._obstacle(cluster, number, dims, flat) or (refusals.BETWEEN if self._circle(cluster, reads) else "")
                if obstacle:
                    self._refuse((number,), cluster, obstacle)
                else:
                    if cluster.form is Shape.POINTWISE:
                        cluster.dims = dims if cluster.flat else cluster.dims
                        cluster.flat = cluster.flat and flat
                    self._add(cluster, number, reads)
                    home = cluster
            elif cluster.form is Shape.POINTWISE:
                self._absorb(home, cluster)
            else:
                self._refuse((number,), cluster, refusals.TAKEN)
        if home is None:
            home = self.of[number] = Cluster(Shape.POINTWISE, number, dims, reads, flat, len(node.op.elementary))
            for cluster in ranked:
                if cluster.form is Shape.POINTWISE:
                    self._absorb(home, cluster)

    def _flat(self, node: Node) -> bool:
        """Whether the node takes nothing but elements at its own row-major position, and single numbers."""
        out = node.outputs[0]
        for v in node.inputs:
            if (v.shape == out.shape or v.size == out.size) and self._in_order(v):
                continue
            if v.shape and not inlined(v) and not all(map(unit, v.shape)):
                return False
        return True

    def _in_order(self, value: Value) -> bool:
        """Whether element k of `value` can be had without dividing k."""
        number = self.producer.get(value.id)
        while number is not None and number in self.floating:
            node = self.nodes[number]
            if node.op.type == "Iota":
                return len(node.outputs[0].shape) == 1
            if node.op.type not in ("View", "Copy"):
                return False
            number = self.producer.get(node.inputs[0].id)
        return True

    def _reduction(self, number: int, node: Node) -> None:
        near, reads = self.near[number], self.reads[number]
        shape = node.inputs[0].shape
        axes: Any = node.op.axes  # type: ignore[attr-defined]
        form = reduction_form(node)
        kept = longer(d for a, d in enumerate(shape) if a not in axes)
        reduced = longer(d for a, d in enumerate(shape) if a in axes)
        home: Cluster | None = None
        for n in near:
            cluster = self.of[n]
            if cluster is None:
                continue
            if not self._in_place(cluster, (number,)):
                self._refuse((number,), cluster, refusals.ELSEWHERE)
                continue
            if self._circle(cluster, reads):
                self._refuse((number,), cluster, refusals.BETWEEN)
                continue
            if cluster.dims != longer(shape):
                if not cluster.flat or cluster.form is not Shape.POINTWISE or product(cluster.dims) != product(shape):
                    self._refuse((number,), cluster, refusals.SPACES)
                    continue
                cluster.dims = longer(shape)
            if cluster.form is form and (cluster.kept, cluster.reduced) == (kept, reduced):
                if form is Shape.COLUMNS and (near & cluster.after or cluster.space != (shape, axes)):
                    self._refuse((number,), cluster, refusals.WAITS if near & cluster.after else refusals.AXES)
                    continue
                if form is Shape.ROWS and not kept and near & cluster.after and not small(cluster.dims):
                    self._refuse((number,), cluster, refusals.WAITS)
                    continue
                self._add(cluster, number, reads)
                home = cluster
            elif cluster.form is Shape.POINTWISE:
                obstacle = refusals.FULL if cluster.weight >= NODES else refusals.BLOCKS if self._in_blocks(cluster.nodes) else ""
                if obstacle:
                    self._refuse((number,), cluster, obstacle)
                else:
                    self._add(cluster, number, reads)
                    cluster.form = form
                    home = cluster
            else:
                self._refuse((number,), cluster, refusals.AXES if cluster.form is form else refusals.REDUCED)
            if home is not None:
                break
        if home is None:
            home = self.of[number] = Cluster(form, number, longer(shape), reads)
        home.kept, home.reduced = kept, reduced
        home.space = (shape, axes) if home.space is None else home.space
        home.after.add(number)

    def _obstacle(self, cluster: Cluster, number: int, dims: Dims, flat: bool) -> str:
        """Why the loop nest of `cluster` cannot carry the elementwise node; "" where it can."""
        if cluster.weight + len(self.nodes[number].op.elementary) > NODES:
            return refusals.FULL
        if not self._in_place(cluster, (number,)):
            return refusals.ELSEWHERE
        if self._crowded(self._operands(cluster), self._needs[number]):
            return refusals.CROWDED
        if dims not in (cluster.dims, cluster.kept) and product(dims) == product(cluster.dims):
            if cluster.form is Shape.POINTWISE and cluster.flat:
                return ""
            dims = cluster.dims if flat else dims
        if cluster.form in (Shape.POINTWISE, Shape.CONTRACTION):
            return "" if dims == cluster.dims else refusals.SPACES
        if self._in_blocks((number,)):
            return refusals.BLOCKS
        follows = not self.near[number].isdisjoint(cluster.after)
        if cluster.form is Shape.COLUMNS:
            if follows:
                return "" if dims == cluster.kept else refusals.WAITS
            return "" if dims in (cluster.dims, cluster.kept) else refusals.SPACES
        if dims == cluster.dims:
            return "" if cluster.kept or not follows or small(cluster.dims) else refusals.WAITS
        return "" if dims == cluster.kept else refusals.SPACES

    def _in_place(self, cluster: Cluster, numbers: Iterable[int]) -> bool:
        """Whether these nodes see the cluster's values only where they stand."""
        for number in numbers:
            for n in self.far[number]:
                if self.of[n] is cluster:
                    return False
        return True

    def _operands(self, cluster: Cluster) -> frozenset[int]:
        known, found = cluster.operands
        if known != len(cluster.nodes):
            mine = set(cluster.nodes)
            found = frozenset([v for n in cluster.nodes for v in self._needs[n] if self.producer.get(v) not in mine])
            cluster.operands = len(cluster.nodes), found
        return found

    def _circle(self, cluster: Cluster, reads: Iterable[int]) -> bool:
        """Whether something outside the cluster lies between it and a node with these operands."""
        of = self.of
        outside = [n for n in reads if of[n] is not cluster]
        return bool(outside) and self.depends(outside, cluster)

    @staticmethod
    def _crowded(some: frozenset[int], others: frozenset[int]) -> bool:
        """Whether a kernel would read too many values."""
        return len(some) + len(others) > OPERANDS and len(some | others) > OPERANDS

    def _add(self, cluster: Cluster, number: int, reads: frozenset[int]) -> None:
        """Let `number`, whose results nothing in the cluster reads, belong to it."""
        outside = [v for v in self._needs[number] if (maker := self.producer.get(v)) is None or self.of[maker] is not cluster]
        cluster.operands = len(cluster.nodes) + 1, self._operands(cluster).union(outside)
        cluster.nodes.append(number)
        cluster.weight += len(self.nodes[number].op.elementary)
        cluster.before |= reads
        self.of[number] = cluster
        if not self.near[number].isdisjoint(cluster.after):
            cluster.after.add(number)

    def _absorb(self, home: Cluster, other: Cluster) -> bool:
        """Draw a pointwise cluster into `home` if that is possible."""
        if other is home:
            return False
        obstacle = self._apart(home, other)
        if obstacle:
            return self._refuse(home.nodes, other, obstacle)
        if home.form is Shape.POINTWISE:
            home.dims = other.dims if home.flat else home.dims
            home.flat = home.flat and other.flat
        self._merge(home, other)
        return True

    def _apart(self, home: Cluster, other: Cluster) -> str:
        """Why a pointwise cluster cannot be drawn into `home`."""
        if home.weight + other.weight > NODES:
            return refusals.FULL
        if len(self._operands(home)) > OPERANDS + NODES:  # more than the other's nodes could give
            return refusals.CROWDED
        sums = home.form in (Shape.ROWS, Shape.COLUMNS)
        if sums and self._in_blocks(other.nodes):
            return refusals.BLOCKS
        row = sums and other.dims == home.kept
        if other.dims != home.dims and not row:
            if product(other.dims) != product(home.dims) or not (other.flat or (home.flat and home.form is Shape.POINTWISE)):
                return refusals.SPACES
        if not self._in_place(home, other.nodes) or not self._in_place(other, home.nodes):
            return refusals.ELSEWHERE
        outside_home = [n for n in home.before if self.of[n] is not home and self.of[n] is not other]
        outside_other = [n for n in other.before if self.of[n] is not home and self.of[n] is not other]
        if self.depends(outside_home, other) or self.depends(outside_other, home):
            return refusals.BETWEEN
        if self._crowded(self._operands(home), self._operands(other)):
            return refusals.CROWDED
        return ""

    def _in_blocks(self, numbers: Iterable[int]) -> bool:
        """Whether one of these nodes makes several elements at once."""
        return any(self.nodes[n].op.type in IN_BLOCKS for n in numbers)

    def _follows(self, some: Cluster, others: Cluster) -> bool:
        """Whether one of the two reads a sum of the other."""
        return any(not self.near[n].isdisjoint(b.after) for a, b in ((some, others), (others, some)) if b.after for n in a.nodes)

    def _merge(self, home: Cluster, other: Cluster) -> None:
        home.nodes = sorted((*home.nodes, *other.nodes))
        home.weight += other.weight
        home.before |= other.before
        home.after |= other.after
        home.first = min(home.first, other.first)
        for n in other.nodes:
            self.of[n] = home
        if home.after:
            for n in home.nodes:
                if not self.near[n].isdisjoint(home.after):
                    home.after.add(n)

    def _siblings(self) -> None:
        """Merge reductions over one index space that read the same values and do not depend on each other."""
        by_operand: dict[Any, list[Cluster]] = {}
        for cluster in {id(c): c for c in self.of if c is not None}.values():
            if cluster.form in (Shape.ROWS, Shape.COLUMNS):
                for value in sorted(self._operands(cluster)):
                    space = cluster.space if cluster.form is Shape.COLUMNS else None
                    by_operand.setdefault((value, cluster.form, cluster.dims, cluster.kept, space), []).append(cluster)
        for together in by_operand.values():
            for other in together[1:]:
                home = self.of[together[0].nodes[0]]
                other_now = self.of[other.nodes[0]]
                if home is None or other_now is None or home is other_now or home.weight + other_now.weight > NODES:
                    continue
                if self.depends((n for n in home.before if self.of[n] not in (home, other_now)), other_now):
                    continue
                if self.depends((n for n in other_now.before if self.of[n] not in (home, other_now)), home):
                    continue
                if home.form is Shape.COLUMNS and self._follows(home, other_now):
                    continue
                if not self._in_place(home, other_now.nodes) or not self._in_place(other_now, home.nodes):
                    continue  # one reads the other's results through a movement, which would be a circle
                if self._crowded(self._operands(home), self._operands(other_now)):
                    continue
                self._merge(home, other_now)

    def _parts(self) -> None:
        """Merge what computes the parts of a concatenation that one kernel can store."""
        for node in self.nodes:
            if node.op.type != "Join" or not beside(node):
                continue
            makers = [self.producer.get(v.id, -1) for v in node.inputs]
            dims = longer(node.inputs[0].shape)
            clusters = [self.of[n] for n in makers if n >= 0]
            if len(clusters) < len(makers) or any(c is None or c.form is not Shape.POINTWISE or c.dims != dims for c in clusters):
                continue
            for n in makers[1:]:
                home, other = self.of[makers[0]], self.of[n]
                if home is not None and other is not None:
                    self._absorb(home, other)


def aligned(node: Node) -> bool:
    """Whether a movement leaves the elements in their order, or repeats them along further axes."""
    if node.op.kind is Kind.ELEMENTWISE:
        return True
    return node.op.type in ("View", "Expand", "Copy", "Iota")


def small(dims: Sequence[Index]) -> bool:
    """Whether an index space is so small that one thread may do it."""
    total = product(dims)
    return isinstance(total, int) and total <= WHOLE
