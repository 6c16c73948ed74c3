"""Rows of arrays that need not be copied, because a kernel may write or read them where they lie.

    a = PutRow(array, x, i)     the kernel that makes x writes into row i of the array
    x = TakeRow(array, i)       the kernels that read x read row i of the array

In the body of a loop the row is another one each time. Its address is put into the arguments of those kernels as soon as `i` is known
(plan.RowAt); to them it is memory like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from graphflow.compiler.groups import Group, Shape
from graphflow.compiler.program import Node, Program, Value
from graphflow.compiler.schedule import Roots, changed_in_place
from graphflow.kernel.index import Index
from graphflow.kernel.nodes import Check
from graphflow.ops.array_rows import PutRow, TakeRow

NATIVE = (Shape.POINTWISE, Shape.ROWS, Shape.COLUMNS, Shape.CONTRACTION)


class RowUse(NamedTuple):
    """`value` is row `at` of `array` from before group number `position` on, so that `group`, which would copy it, is not called."""

    group: Group
    value: Value
    array: Value
    at: Value
    rows: Index
    check: Check
    position: int


def found_rows(program: Program, groups: Sequence[Group]) -> Mapping[int, RowUse]:
    """The groups of a body that copy rows and need not, by id()."""
    if not any(_put(g) or _taken(g) for g in groups):
        return {}
    about = _About(program, groups)
    found: dict[int, RowUse] = {}
    values: set[int] = set()
    for number, group in enumerate(groups):
        put, taken = _put(group), _taken(group)
        use = about.written(number, group, put) if put is not None else about.read(number, group, taken) if taken is not None else None
        if use is not None and use.value.id not in values:
            found[id(group)] = use
            values.add(use.value.id)
    return found


def _put(group: Group) -> Node | None:
    root = group.root
    return root if root is not None and isinstance(root.op, PutRow) and root.op.combine == "set" else None


def _taken(group: Group) -> Node | None:
    """The node of a group that does nothing but show a row."""
    if group.form is not Shape.POINTWISE or len(group.outputs) != 1 or any(n.op.type not in ("View", "TakeRow") for n in group.nodes):
        return None
    taken = [n for n in group.nodes if isinstance(n.op, TakeRow)]
    return taken[0] if len(taken) == 1 else None


class _About:
    """What must be known of a body: who makes and who reads each value's memory."""

    def __init__(self, program: Program, groups: Sequence[Group]) -> None:
        self.groups = groups
        self.views, self.memory = Roots(groups), Roots(groups, inplace=True)
        self.made = {v.id: k for k, g in enumerate(groups) for v in g.outputs if g.form is not Shape.ALIAS}
        self.readers: dict[int, list[int]] = {}
        for k, group in enumerate(groups):
            if group.form is not Shape.ALIAS:
                for value in group.inputs:
                    self.readers.setdefault(self.memory.root(value).id, []).append(k)
        self.given = {i.value.id for i in program.inputs}
        self.changed = {self.memory.root(old).id for g in groups for old, _ in changed_in_place(g)}
        self.ends = {self.memory.root(v).id for v in (*program.outputs, *program.updates.values())}
        self.results = {self.memory.root(v).id for v in program.outputs}

    def _since(self, index: Value) -> int | None:
        """The number of the first group that may rely on an index being computed."""
        if index.known is not None:
            return None
        root = self.views.root(index)
        return 0 if root.id in self.given else self.made[root.id] + 1 if root.id in self.made else None

    def written(self, number: int, group: Group, node: Node) -> RowUse | None:
        """For a group that puts a row into an array."""
        old, row, index = node.inputs
        array, value, since = self.memory.root(old), self.views.root(row), self._since(index)
        maker = self.made.get(value.id)
        if since is None or maker is None or maker < since or self.groups[maker].form not in NATIVE:
            return None
        if value.id in self.ends or value.id in self.changed or value.known is not None or value.dtype != array.dtype:
            return None
        if array.id not in self.given or self.readers[array.id] != [number] or array.id in self.results or array.known is not None:
            return None
        if not self._called(value, number):
            return None
        return self._use(group, node, value, array, index, since)

    def read(self, number: int, group: Group, node: Node) -> RowUse | None:
        """For a group that takes a row out of an array."""
        index, value = node.inputs[1], group.outputs[0]
        arrays = [v for v in group.inputs if v.id != index.id]
        since = self._since(index)
        if since is None or len(arrays) != 1 or all(v.id != index.id for v in group.inputs):
            return None
        array = self.memory.root(arrays[0])
        if array.id not in self.given or array.id in self.changed or array.known is not None or array.id in self.ends:
            return None
        if value.id in self.ends or value.id in self.changed or not self._called(value, -1):
            return None
        return self._use(group, node, value, array, index, since)

    def _called(self, value: Value, besides: int) -> bool:
        """Whether all that read a value are kernels, whose arguments can be changed."""
        return all(k == besides or self.groups[k].form in (*NATIVE, Shape.KERNEL) for k in self.readers.get(self.memory.root(value).id, ()))

    def _use(self, group: Group, node: Node, value: Value, array: Value, index: Value, since: int) -> RowUse:
        count = node.inputs[0].shape[0]
        name = node.origins[-1].name if node.origins else node.op.type
        check = Check(node.op.error, node.op.message(count), name)  # type: ignore[attr-defined]
        return RowUse(group, value, array, index, count, check, since)
