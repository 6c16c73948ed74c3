"""The order of the groups.

`order` is a list scheduler: of the groups that are ready and need no more memory than they free it takes the one that finds most of what it
reads in the caches, else the one that leaves least memory alive; updates of variables as early as they may. Constraints besides data: what
overwrites a variable comes after every reader of the old value, and after every kernel whose run-time check may fail the step, so that a
failed step leaves variables alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from graphflow.compiler.groups import Group, Shape
from graphflow.compiler.program import Program, Source, Value
from graphflow.graph.op import Effect
from graphflow.kernel.index import Index, IndexExpr, evaluate, symbols_of

WINDOW = 64  # candidates that are weighed at a time
TYPICAL = 128  # a run-time size, where an order must be chosen before it is known
NEAR = 2 << 20  # bytes that may be touched before what was touched earlier has left the caches
LITTLE = 1 / 32  # of what a kernel reads: sums take so little memory that it does not count


def typical(index: Index) -> int:
    """A plausible number for a symbolic size."""
    if isinstance(index, IndexExpr):
        return max(evaluate(index, dict.fromkeys(symbols_of(index), TYPICAL)), 0)
    return index


class Roots:
    """Which memory each value is: a View shares its operand's, and with `inplace` so does what a kernel makes by changing an operand."""

    def __init__(self, groups: Sequence[Group], inplace: bool = False) -> None:
        self._of: dict[int, Value] = {}
        for group in groups:
            if group.form is Shape.ALIAS:
                self._of[group.outputs[0].id] = self.root(group.inputs[0])
            elif inplace:
                self._of.update((new.id, self.root(old)) for old, new in changed_in_place(group))

    def root(self, value: Value) -> Value:
        return self._of.get(value.id, value)

    def of(self, values: Iterable[Value]) -> list[int]:
        """The numbers of several roots."""
        known = self._of
        return [known[v.id].id if v.id in known else v.id for v in values]


def changed_in_place(group: Group) -> list[tuple[Value, Value]]:
    """Pairs (operand, result) of a kernel that are one memory: the kernel changes the operand where it lies."""
    root = group.root
    if root is None or not root.op.inplace or group.form not in (Shape.KERNEL, Shape.REGION):
        return []
    return [(root.inputs[number], new) for number, new in zip(root.op.inplace, root.outputs, strict=False)]


def schedule(program: Program) -> Program:
    """The groups in the order of their calls; Views stand right after what they show."""
    groups: list[Group] = [n for n in program.nodes if isinstance(n, Group)]
    aliases: dict[int, list[Group]] = {}
    for group in groups:
        if group.form is Shape.ALIAS:
            aliases.setdefault(group.inputs[0].id, []).append(group)
    result: list[Group] = []
    placed: set[int] = set()

    def views(of: Sequence[Value]) -> None:
        for value in of:
            for alias in aliases.get(value.id, ()):
                if id(alias) not in placed:
                    placed.add(id(alias))
                    result.append(alias)
                    views(alias.outputs)

    views([i.value for i in program.inputs])
    for group in order(program, groups):
        result.append(group)
        views(group.outputs)
    if tuple(map(id, result)) == tuple(map(id, groups)):
        return program
    return program._replace(nodes=tuple(result))


def can_fail(group: Group) -> bool:
    """Whether a kernel, or one of those in a loop or branch, holds a run-time check."""
    if group.form is Shape.REGION:
        return any(can_fail(g) for body in group.nodes[0].op.bodies for g in body.program.nodes if isinstance(g, Group))  # type: ignore[attr-defined]
    if group.form is Shape.HOST:
        return group.nodes[0].op.effect is Effect.HOST
    return any(getattr(n.op, "checks", ()) or n.op.type in ("Take", "Measured") for n in group.nodes)


def order(program: Program, groups: Sequence[Group]) -> tuple[Group, ...]:
    """The groups that are kernels, in the order of their calls."""
    roots = Roots(groups)
    kernels = [g for g in groups if g.form is not Shape.ALIAS]
    reads = [set(roots.of(g.inputs)) for g in kernels]
    producer = {v.id: k for k, g in enumerate(kernels) for v in g.outputs}
    readers: dict[int, list[int]] = {}
    users: list[list[int]] = [[] for _ in kernels]
    waits = [0] * len(kernels)
    for k, needed in enumerate(reads):
        for root in needed:
            readers.setdefault(root, []).append(k)
        for n in {producer[root] for root in needed if root in producer}:
            users[n].append(k)
            waits[k] += 1
    for k, group in enumerate(kernels):
        for old, _ in changed_in_place(group):
            before = {r for r in readers[roots.root(old).id] if r != k and k not in users[r]}
            for r in before:
                users[r].append(k)
            waits[k] += len(before)
    held, releases, failing = _held(program, roots, kernels, producer, readers)
    updated = set(roots.of(program.updates.values()))
    kept = updated.union(roots.of(program.outputs))
    left = {root: len(users_) for root, users_ in readers.items()}
    size = {v.id: typical(v.size) * v.dtype.size for g in kernels for v in g.outputs}
    grown = [sum([size[v.id] for v in g.outputs if v.id not in updated]) for g in kernels]
    caches = Caches(roots, kernels, reads, readers, size)
    near, wanted = caches.near, caches.wanted
    parts = [bytes_ or 1 for bytes_ in wanted]
    done = [False] * len(kernels)

    def rank(k: int) -> tuple[bool, int, int]:
        """What frees memory first, most first; else the order of the program."""
        return grown[k] > LITTLE * wanted[k], min(grown[k], 0), k

    def read_once_more(root: int) -> None:
        """The one that has yet to read `root` gives its memory free."""
        if root in size and root not in kept:
            for k in readers[root]:
                if not done[k]:
                    grown[k] -= size[root]
                    ranks[k] = rank(k)

    ranks = [rank(k) for k in range(len(kernels))]
    for root, times in left.items():
        if times == 1:
            read_once_more(root)
    ready = [k for k, w in enumerate(waits) if w == 0]
    result: list[int] = []
    checks_left = len(failing)
    while ready:
        free = [k for k in ready[:WINDOW] if not held[k]]
        if checks_left:
            free = [k for k in free if k not in releases.writers]
        free = free or [k for k in ready if not held[k]] or ready
        settled = [k for k in free if not ranks[k][0]]
        if len(settled) > 1:  # the one that finds most of what it reads in the caches; else the order of the program
            shares = [near[k] / parts[k] for k in settled]
            most = max(shares)
            chosen = min([k for k, share in zip(settled, shares, strict=True) if share == most])
        else:
            chosen = min(free, key=ranks.__getitem__)
        caches.call(chosen)
        ready.remove(chosen)
        result.append(chosen)
        done[chosen] = True
        if chosen in failing:
            checks_left -= 1
        for root in reads[chosen]:
            left[root] -= 1
            if left[root] == 1:
                read_once_more(root)
        for k in releases.by_reader.get(chosen, ()):
            held[k] -= 1
        for k in users[chosen]:
            waits[k] -= 1
            if waits[k] == 0:
                ready.append(k)
    assert len(result) == len(kernels), "the groups depend on each other in a circle"
    return tuple(kernels[k] for k in result)


class Caches:
    """What was touched so lately that it is near. `wanted`: the bytes that each kernel reads, `near`: those of them that are near.
    `made`: the bytes of results by number."""

    def __init__(self, roots: Roots, kernels: Sequence[Group], reads: Sequence[Collection[int]], readers: Mapping[int, Sequence[int]],
                 made: Mapping[int, int]) -> None:  # fmt: skip
        self._reads = reads
        self._readers = readers
        self._results = [[v.id for v in g.outputs] for g in kernels]
        self._size = dict(made)
        for group in kernels:
            for v, root in zip(group.inputs, roots.of(group.inputs), strict=True):
                if root not in self._size:
                    self._size[root] = typical(v.size) * v.dtype.size
        self.wanted = [sum([self._size[root] for root in needed]) for needed in reads]
        self.near = [0] * len(kernels)
        self._moved = 0
        self._touched: dict[int, int] = {}  # what is near, and how much had been moved when it was touched last
        self._touches: deque[tuple[int, int]] = deque()  # every time that something was, as far back as something near

    def call(self, k: int) -> None:
        """A kernel reads its operands and makes its results."""
        size, touched = self._size, self._touched
        self._moved += self.wanted[k] + sum([size[v] for v in self._results[k]])
        for value in (*self._reads[k], *self._results[k]):
            if value not in touched:
                self._count(value, size[value])
            touched[value] = self._moved
            self._touches.append((self._moved, value))
        while self._touches and self._touches[0][0] <= self._moved - NEAR:
            when, value = self._touches.popleft()
            if self._touched.get(value) == when:
                del self._touched[value]
                self._count(value, -self._size[value])

    def _count(self, value: int, more: int) -> None:
        near = self.near
        for k in self._readers.get(value, ()):
            near[k] += more


class Releases(NamedTuple):
    """`writers`: kernels that write a variable. `by_reader`: the writers that may go on once a kernel has read the old value."""

    writers: frozenset[int]
    by_reader: dict[int, list[int]]


def _held(program: Program, roots: Roots, kernels: Sequence[Group], producer: Mapping[int, int],
          readers: Mapping[int, Sequence[int]]) -> tuple[list[int], Releases, frozenset[int]]:  # fmt: skip
    """For each kernel how many readers of old values it should wait for, who they are, and the kernels that can fail. These are wishes:
    where they cannot be met the new value waits in the arena (see Memory)."""
    held = [0] * len(kernels)
    by_reader: dict[int, list[int]] = {}
    writers: set[int] = set()
    states = {i.name: i.value for i in program.inputs if i.source is Source.STATE}
    for name, value in program.updates.items():
        writer = producer.get(roots.root(value).id)
        if writer is None or name not in states:
            continue
        writers.add(writer)
        if changed_in_place(kernels[writer]):
            continue  # it waits for the readers in any case
        for k in readers.get(states[name].id, ()):
            if k != writer:
                by_reader.setdefault(k, []).append(writer)
                held[writer] += 1
    writers.update(k for k, g in enumerate(kernels) if changed_in_place(g))
    failing = frozenset(k for k, g in enumerate(kernels) if can_fail(g)) - writers
    return held, Releases(frozenset(writers), by_reader), failing
