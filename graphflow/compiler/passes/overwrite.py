"""Kernels that change an operand where it lies (`Op.inplace`) get one that is theirs: nobody else reads the old contents afterwards.

    v1 = RowStep(v0, ...)       v0 is a variable: its storage is changed, rows that are not named cost nothing
    a reader of v0              is called before the kernel, where it does not itself wait for the kernel
    ... else, or where v0 is a literal or a fed array:      c = Copy(v0); v1 = RowStep(c, ...)

The order that this takes for granted is kept by `schedule.order`.
"""

from __future__ import annotations

from collections.abc import Iterable

from graphflow.compiler.groups import Group, Shape, singleton
from graphflow.compiler.passes.rewrite import highest_id
from graphflow.compiler.program import Node, Program, Source, Value
from graphflow.compiler.schedule import Roots, changed_in_place
from graphflow.ops.core import Copy


def overwrite(program: Program) -> Program:
    """See the module's text."""
    groups = [n for n in program.nodes if isinstance(n, Group)]
    if not any(changed_in_place(g) for g in groups):
        return program
    views, memory = Roots(groups), Roots(groups, inplace=True)
    kept = _kept(program, views, memory)
    order = _Order(groups)
    fresh = 1 + highest_id(program)
    nodes: list[Node] = []
    for group in groups:
        copies: dict[int, Value] = {}  # by number of the operand
        for number, (old, _) in zip(_changed(group), changed_in_place(group), strict=False):
            readers = [g for g in order.readers(views.root(old)) if g is not group]
            twice = sum(memory.root(v).id == memory.root(old).id for v in group.inputs) > 1
            free = old.known is None and views.root(old).id not in kept and not twice
            if free and not any(order.reaches(group, g) or order.changes(g, old) for g in readers):
                order.put_before(group, readers)
                continue
            copies[number] = Value(fresh, old.dtype, old.shape)
            fresh += 1
            nodes.append(singleton(Node(Copy(), (old,), (copies[number],), group.origins)))
            order.copied.add((id(group), old.id))
        nodes.append(_reading(group, copies) if copies else group)
    return program._replace(nodes=tuple(nodes))


def _kept(program: Program, views: Roots, memory: Roots) -> set[int]:
    """The memory that must hold after the run what it holds now: fed arrays, literals, outputs, and what variables are to hold."""
    final = {name: views.root(v).id for name, v in program.updates.items()}
    given_ids = {i.value.id for i in program.inputs}
    kept = {views.root(v).id for v in program.outputs} | set(final.values())
    kept |= {memory.root(v).id for v in program.outputs} & given_ids  # an output has memory of its own
    for given in program.inputs:
        if given.source is not Source.STATE or given.name not in final:
            kept.add(given.value.id)
    return kept


def _changed(group: Group) -> tuple[int, ...]:
    """Numbers of the operands that a group changes."""
    return () if group.root is None else group.root.op.inplace


def _reading(group: Group, copies: dict[int, Value]) -> Group:
    """The group with the operands that it changes replaced by their copies."""
    assert group.root is not None
    inputs = [copies.get(number, v) for number, v in enumerate(group.root.inputs)]
    root = Node(group.root.op, inputs, group.outputs, group.root.origins)
    return Group(group.form, (root,), inputs, group.outputs, root)


class _Order:
    """Which group comes before which: by data, and by what `put_before` adds."""

    def __init__(self, groups: list[Group]) -> None:
        self._readers: dict[int, list[Group]] = {}
        self._after: dict[int, list[Group]] = {}
        self.copied: set[tuple[int, int]] = set()  # (id of a group, id of the operand that it changes a copy of)
        self._views = views = Roots(groups)
        for group in groups:
            if group.form is not Shape.ALIAS:
                for root in {views.root(v).id for v in group.inputs}:
                    self._readers.setdefault(root, []).append(group)

    def readers(self, value: Value) -> list[Group]:
        """The groups that read a value, also as a view of it."""
        return self._readers.get(value.id, [])

    def changes(self, group: Group, value: Value) -> bool:
        """Whether a group changes the memory of `value`, not a copy of it."""
        root = self._views.root(value).id
        return any(self._views.root(o).id == root and (id(group), o.id) not in self.copied for o, _ in changed_in_place(group))

    def _next(self, group: Group) -> Iterable[Group]:
        for value in group.outputs:
            yield from self.readers(value)
        yield from self._after.get(id(group), ())

    def reaches(self, first: Group, last: Group) -> bool:
        """Whether `last` must come after `first`."""
        seen: set[int] = set()
        stack = [first]
        while stack:
            group = stack.pop()
            if group is last:
                return True
            for other in self._next(group):
                if id(other) not in seen:
                    seen.add(id(other))
                    stack.append(other)
        return False

    def put_before(self, group: Group, readers: Iterable[Group]) -> None:
        """`readers` come before `group` from now on."""
        for reader in readers:
            self._after.setdefault(id(reader), []).append(group)
