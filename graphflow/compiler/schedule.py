"""The order of the groups, and what memory each value gets: the symbolic half of memory planning.

`order` is a list scheduler: of the groups that are ready it takes the one that leaves least memory alive, updates of variables as early as
they may. Constraints besides data: what overwrites a variable comes after every reader of the old value, and after every kernel whose
run-time check may fail the step, so that a failed step leaves variables alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from graphflow.compiler.groups import Group, Shape
from graphflow.compiler.lower import Lowered
from graphflow.compiler.plan import ArenaBlock, Location, bytes_of
from graphflow.compiler.program import Program, Source, Value
from graphflow.kernel.expr import TYPES
from graphflow.kernel.index import Index, IndexExpr, evaluate, maximum, product, substitute, symbol, symbols_of

WINDOW = 64  # candidates that are weighed at a time
TYPICAL = 128  # a run-time size, where an order must be chosen before it is known


def typical(index: Index) -> int:
    """A plausible number for a symbolic size."""
    if isinstance(index, IndexExpr):
        return max(evaluate(index, dict.fromkeys(symbols_of(index), TYPICAL)), 0)
    return index


class Roots:
    """Which memory each value is: a View shares its operand's."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self._of: dict[int, Value] = {}
        for group in groups:
            if group.form is Shape.ALIAS:
                self._of[group.outputs[0].id] = self.root(group.inputs[0])

    def root(self, value: Value) -> Value:
        return self._of.get(value.id, value)


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
    """Whether a kernel holds a run-time check."""
    return any(getattr(n.op, "checks", ()) or n.op.type == "Take" for n in group.nodes)


def order(program: Program, groups: Sequence[Group]) -> tuple[Group, ...]:
    """The groups that are kernels, in the order of their calls."""
    roots = Roots(groups)
    kernels = [g for g in groups if g.form is not Shape.ALIAS]
    reads = [{roots.root(v).id for v in g.inputs} for g in kernels]
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
    held, releases, failing = _held(program, roots, kernels, producer, readers)
    kept = {roots.root(v).id for v in (*program.outputs, *program.updates.values())}
    left = {root: len(users_) for root, users_ in readers.items()}
    size = {v.id: typical(bytes_of(v)) for g in kernels for v in g.outputs}
    updated = {roots.root(v).id for v in program.updates.values()}
    grown = [sum(size[v.id] for v in g.outputs if v.id not in updated) for g in kernels]

    def rank(k: int) -> tuple[bool, int, int]:
        """What frees memory first, most first; else the order of the program."""
        gain = grown[k]
        for root in reads[k]:
            if root in size and root not in kept and left[root] == 1:
                gain -= size[root]
        return gain > 0, min(gain, 0), k

    ready = [k for k, w in enumerate(waits) if w == 0]
    result: list[int] = []
    checks_left = len(failing)
    while ready:
        free = [k for k in ready[:WINDOW] if not held[k] and (checks_left == 0 or k not in releases.writers)]
        chosen = min(free or [k for k in ready if not held[k]] or ready, key=rank)
        ready.remove(chosen)
        result.append(chosen)
        if chosen in failing:
            checks_left -= 1
        for root in reads[chosen]:
            left[root] -= 1
        for k in releases.by_reader.get(chosen, ()):
            held[k] -= 1
        for k in users[chosen]:
            waits[k] -= 1
            if waits[k] == 0:
                ready.append(k)
    assert len(result) == len(kernels), "the groups depend on each other in a circle"
    return tuple(kernels[k] for k in result)


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
        for k in readers.get(states[name].id, ()):
            if k != writer:
                by_reader.setdefault(k, []).append(writer)
                held[writer] += 1
    failing = frozenset(k for k, g in enumerate(kernels) if can_fail(g)) - writers
    return held, Releases(frozenset(writers), by_reader), failing


class Memory:
    """Places of all values for a schedule: `places` by value id, `blocks` of the arena, `scratch` blocks by (step, buffer), and the updates
    that need a copy at the end (variable name, value)."""

    def __init__(self, program: Program, groups: Sequence[Group], steps: Sequence[Group], lowered: Sequence[Lowered | None]) -> None:
        self.roots = Roots(groups)
        self.places: dict[int, Location] = {}
        self.scratch: dict[tuple[int, int], int] = {}
        self.copies: list[tuple[str, Value]] = []
        self._blocks: list[list[object]] = []
        self._last: dict[int, int] = {}
        counts: dict[Source, int] = {}
        state_number: dict[str, int] = {}
        for given in program.inputs:
            n = counts[given.source] = counts.get(given.source, -1) + 1
            self.places[given.value.id] = Location(given.source.value, n)
            if given.source is Source.STATE:
                state_number[given.name] = n
        for number, value in enumerate(program.outputs):
            if value.known is None:
                self.places[self.roots.root(value).id] = Location("output", number)
        for step, group in enumerate(steps):
            for value in group.inputs:
                self._last[self.roots.root(value).id] = step
        self._updates(program, steps, lowered, state_number)
        self._arena(steps, lowered)
        for group in groups:
            if group.form is Shape.ALIAS:
                root = self.roots.root(group.outputs[0])
                self.places[group.outputs[0].id] = self.places[root.id]
        self.blocks = tuple(ArenaBlock(*b) for b in self._blocks)  # type: ignore[arg-type]

    def _updates(self, program: Program, steps: Sequence[Group], lowered: Sequence[Lowered | None], number: Mapping[str, int]) -> None:
        """Give new values the storage of their variables where that is safe."""
        made = {v.id: (step, k) for step, g in enumerate(steps) for k, v in enumerate(g.outputs)}
        old = {i.name: i.value for i in program.inputs if i.source is Source.STATE}
        for name, value in program.updates.items():
            root = self.roots.root(value)
            if root.id not in made or root.id in self.places:
                if not (name in old and root.id == old[name].id):
                    self.copies.append((name, value))
                continue
            step, _ = made[root.id]
            last = self._last.get(old[name].id, -1)
            shared = _shared(lowered[step])
            reads = [v for v in steps[step].inputs if self.roots.root(v).id == old[name].id]
            if last < step or (last == step and all((v.id, root.id) in shared for v in reads)):
                self.places[root.id] = Location("state", number[name])
            else:
                self.copies.append((name, value))

    def _arena(self, steps: Sequence[Group], lowered: Sequence[Lowered | None]) -> None:
        """Blocks for everything else: a new one, or the one of an input that dies here and may be overwritten."""
        for _, value in self.copies:
            self._last[self.roots.root(value).id] = len(steps) + len(self.copies) - 1
        for step, (group, low) in enumerate(zip(steps, lowered, strict=True)):
            shared = _shared(low)
            taken: set[int] = set()
            for value in group.outputs:
                if value.id in self.places:
                    continue
                if value.dtype.kernel_type is None:
                    self.places[value.id] = Location("object", value.id)
                    continue
                last = self._last.get(value.id, step)
                block = self._dying(group, value, step, shared, taken)
                if block is None:
                    block = len(self._blocks)
                    self._blocks.append([bytes_of(value), step, last, f"%{value.id}"])
                else:
                    taken.add(block)
                    entry = self._blocks[block]
                    entry[0] = maximum(entry[0], bytes_of(value))  # type: ignore[arg-type]
                    entry[2] = max(entry[2], last)  # type: ignore[call-overload]
                    entry[3] = f"{entry[3]} %{value.id}"
                self.places[value.id] = Location("block", block)
            for b, held in enumerate(() if low is None else low.values):
                if held is None and low is not None:
                    buffer = low.kernel.buffers[b]
                    env = dict(zip(low.kernel.symbols, low.symbols, strict=True))
                    size = _renamed(product(buffer.shape), env) * TYPES[buffer.type].itemsize
                    self.scratch[step, b] = len(self._blocks)
                    self._blocks.append([size, step, step, f"scratch {buffer.name} of step {step}"])

    def _dying(self, group: Group, value: Value, step: int, shared: Sequence[tuple[int | None, int | None]], taken: set[int]) -> int | None:
        for candidate in group.inputs:
            root = self.roots.root(candidate)
            place = self.places.get(root.id)
            if place is None or place.kind != "block" or place.number in taken or self._last.get(root.id) != step:
                continue
            if self._blocks[place.number][2] != step or (candidate.id, value.id) not in shared:
                continue
            if any(self.roots.root(o).id == root.id and o.id != candidate.id for o in group.inputs):
                continue  # read under another shape as well
            return place.number
        return None


def _shared(lowered: Lowered | None) -> list[tuple[int | None, int | None]]:
    """Pairs of values (input, output) that may be one memory."""
    if lowered is None:
        return []
    return [(lowered.values[i], lowered.values[o]) for i, o in lowered.inplace]


def _renamed(index: Index, env: Mapping[str, str]) -> Index:
    return substitute(index, {k: symbol(v) for k, v in env.items()})


