"""Which operations of a level run under which conditions.

An operation that depends on an output of a Switch runs only where the predicate chose that output, which is its *guard*; a Merge ends a
guard. All operations under one predicate, and the Merges that end it, are a Conditional.

    guards       the guards of every operation of a level
    arrange      a level as a list of operations, loops and Conditionals
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from graphflow.compiler.control import EXITS, MERGES, SWITCHES, Frame, Needed, cycle, kahn, of_exit
from graphflow.graph.operation import Operation
from graphflow.graph.tensor import Tensor

Guard = tuple[Tensor, bool]  # a predicate and the value under which something runs
Guards = frozenset[Guard]
ALWAYS: Guards = frozenset()


def guards(level: Needed, operations: Sequence[Operation]) -> dict[Operation, Guards]:
    """Under which predicates each operation runs."""
    found: dict[Operation, Guards] = {}
    for op in operations:
        if op.type in MERGES:
            found[op] = _merged([_of_tensor(t, found, level.hidden) for t in op.inputs])
            ended = merged_predicate(op, found, level.hidden)
            if ended is not None:
                found[op] -= {(ended, True), (ended, False)}
            for c in op._control_inputs:
                found[op] |= found.get(c, ALWAYS)
            continue
        mine: set[Guard] = set()
        if op.type in EXITS:
            for enter in level.frames[of_exit(op)].entering():
                for t in enter.inputs:
                    mine |= _of_tensor(t, found, level.hidden)
                for c in enter._control_inputs:
                    mine |= found.get(c, ALWAYS)
        else:
            for t in op.inputs:
                mine |= _of_tensor(t, found, level.hidden)
        for c in op._control_inputs:
            mine |= found.get(c, ALWAYS)
        found[op] = frozenset(mine) if mine else ALWAYS
    return found


def _of_tensor(tensor: Tensor, found: Mapping[Operation, Guards], hidden: set[Tensor]) -> Guards:
    if tensor in hidden:
        return ALWAYS
    mine = found.get(tensor.op, ALWAYS)
    if tensor.op.type in SWITCHES and tensor.op in found:
        predicate, on = decided_by(tensor.op, found, hidden)
        return mine | {(predicate, on if tensor.value_index else not on)}
    return mine


def decided_by(switch: Operation, found: Mapping[Operation, Guards], hidden: set[Tensor]) -> Guard:
    """What a Switch decides by: a predicate, and the value of it that sends data to output 1.

    All branches over one predicate are found by it, so it is taken from behind the Identities that tf.cond puts in between, and where a
    Switch (of a gradient) asks which input of a Merge was alive, it is the predicate of that Merge."""
    predicate, on = switch.inputs[1], True
    while predicate not in hidden or predicate.op.type == "Identity" and predicate.op.inputs[0] in hidden:
        op = predicate.op
        if op.type == "Identity":
            predicate = op.inputs[0]
        elif op.type == "LogicalNot":
            predicate, on = op.inputs[0], not on
        elif op.type == "Equal" and op.inputs[0].op.type in MERGES and op.inputs[0].value_index == 1 and op.inputs[0] not in hidden:
            asked = op.inputs[1].op.definition.contents() if op.inputs[1].op.type == "Const" else None
            merge = op.inputs[0].op
            ended = merged_predicate(merge, found, hidden)
            if asked is None or ended is None:
                break
            alive = (ended, True) in _of_tensor(merge.inputs[int(asked)], found, hidden)
            predicate, on = ended, on if alive else not on
        else:
            break
    return predicate, on


def _merged(sides: Sequence[Guards]) -> Guards:
    """The guards of a Merge: what its inputs have in common, and what does not contradict."""
    union = frozenset().union(*sides)
    ended = {p for p, on in union if (p, not on) in union}
    return frozenset(g for g in union if g[0] not in ended)


def merged_predicate(op: Operation, found: Mapping[Operation, Guards], hidden: set[Tensor]) -> Tensor | None:
    """The predicate that a Merge decides by; None where its inputs do not exclude each other."""
    sides = [_of_tensor(t, found, hidden) for t in op.inputs]
    for p, on in sorted(sides[0], key=lambda g: g[0].op._id):
        if len(sides) == 2 and (p, not on) in sides[1]:
            return p
    return _beside_given(op, sides, found, hidden)


def _beside_given(op: Operation, sides: Sequence[Guards], found: Mapping[Operation, Guards], hidden: set[Tensor]) -> Tensor | None:
    """The predicate of a Merge of which one input follows from what is given, computed by Python in an earlier part of the run, so that
    only the other input tells it: it is that of the first Switch met on the way back from there."""
    if len(sides) != 2:
        return None
    asked = sides[0] ^ sides[1]
    stack = [t for t, mine in zip(op.inputs, sides, strict=True) if mine & asked]
    seen = set(stack)
    while stack:
        tensor = stack.pop()
        if tensor in hidden or tensor.op not in found:
            continue
        if tensor.op.type in SWITCHES:
            predicate, on = decided_by(tensor.op, found, hidden)
            if (predicate, on if tensor.value_index else not on) in asked:
                return predicate
        behind = [*tensor.op.inputs, *(c.outputs[0] for c in tensor.op._control_inputs if c.outputs)]
        stack += [t for t in behind if t not in seen]
        seen.update(behind)
    return None


class Conditional:
    """Operations that run where `predicate` is false and where it is true, and the Merges that end them. `crossing`: tensors of theirs that
    other Conditionals over the same predicate read (the gradient's read what the forward's have computed)."""

    def __init__(self, predicate: Tensor, hidden: set[Tensor], found: Mapping[Operation, Guards], outer: Mapping[Operation, Guard]) -> None:
        """`found`: the guards of every operation of the level; `outer`: the outermost ones."""
        self.predicate = predicate
        self._found = found
        self._hidden = hidden
        self._outer = outer
        self.sides: tuple[list[Operation], list[Operation]] = ([], [])
        self.merges: list[Operation] = []
        self.crossing: dict[Tensor, None] = {}

    def side_of(self, tensor: Tensor) -> int | None:
        """The side on which a tensor has a value; None where it is none of the two."""
        op = tensor.op
        if op.type in SWITCHES:
            predicate, on = decided_by(op, self._found, self._hidden)
            if predicate is self.predicate:
                return int(on if tensor.value_index else not on)
        guard = self._outer.get(op)
        return int(guard[1]) if guard is not None and guard[0] is self.predicate else None

    def always(self, tensor: Tensor) -> bool:
        """Whether a tensor of this level has a value whichever sides are taken."""
        return not _of_tensor(tensor, self._found, self._hidden)

    @property
    def members(self) -> list[Operation]:
        """All operations."""
        return [*self.sides[0], *self.sides[1], *self.merges]


Item = Operation | Frame | Conditional


class Arranged(NamedTuple):
    """A level in order. `inner`: the guards that operations inside Conditionals have besides that of the Conditional."""

    items: list[Item]
    inner: dict[Operation, Guards]


def arrange(level: Needed, operations: Sequence[Operation], found: Mapping[Operation, Guards], wanted: Iterable[Tensor] = ()) -> Arranged:
    """Loops and branches as one item each. One predicate may give several Conditionals, where a later one needs what an earlier one gave
    (as gradients need it). `wanted`: tensors that are read outside of `operations`."""
    inner: dict[Operation, Guards] = {}
    outer: dict[Operation, Guard] = {}
    for op in operations:
        guard = _outermost(found[op], found, level.hidden)
        if guard is not None:
            outer[op] = guard
            inner[op] = found[op] - {guard}
    merging = {op: p for op in operations if op.type in MERGES and op not in outer
               for p in [merged_predicate(op, found, level.hidden)] if p is not None}  # fmt: skip
    for finely in (False, True):
        unit = _units(level, operations, found, outer, merging, finely)
        items, stuck = _in_order(level, operations, unit)
        if not stuck:
            break
    else:
        raise cycle([op for op in operations if id(unit[op]) in stuck])
    _note_crossing(level, operations, found, unit, merging, wanted)
    return Arranged(items, inner)


def _units(level: Needed, operations: Sequence[Operation], found: Mapping[Operation, Guards], outer: Mapping[Operation, Guard],
           merging: Mapping[Operation, Tensor], finely: bool) -> dict[Operation, Item]:  # fmt: skip
    """What each operation is a part of. `finely`: see `_stages`."""
    unit: dict[Operation, Item] = {}
    stages = _stages(level, operations, outer, merging, finely)
    conditionals: dict[tuple[Tensor, int], Conditional] = {}

    def conditional(predicate: Tensor, op: Operation) -> Conditional:
        key = (predicate, stages.get((predicate, op), 0))
        if key not in conditionals:
            conditionals[key] = Conditional(predicate, level.hidden, found, outer)
        return conditionals[key]

    for op in operations:
        if op in outer:
            predicate, on = outer[op]
            unit[op] = made = conditional(predicate, op)
            made.sides[on].append(op)
        elif op in merging:
            unit[op] = made = conditional(merging[op], op)
            made.merges.append(op)
        elif op.type in EXITS:
            unit[op] = level.frames[of_exit(op)]
        else:
            unit[op] = op
    return unit


def _note_crossing(level: Needed, operations: Sequence[Operation], found: Mapping[Operation, Guards], unit: Mapping[Operation, Item],
                   merging: Mapping[Operation, Tensor], wanted: Iterable[Tensor]) -> None:  # fmt: skip
    """What of each Conditional is read elsewhere, as tensors of its branches."""
    for op in operations:
        read = list(_read_by(level, op))
        if op.type in SWITCHES:
            read.append(decided_by(op, found, level.hidden)[0])
        for tensor in read:
            home = unit.get(tensor.op)
            if isinstance(home, Conditional) and home is not unit[op] and tensor.op not in merging:
                home.crossing[tensor] = None
    for tensor in wanted:
        home = unit.get(tensor.op)
        if isinstance(home, Conditional) and tensor.op not in merging:
            home.crossing[tensor] = None


def _read_by(level: Needed, op: Operation) -> Iterator[Tensor]:
    """The tensors that an operation reads; for an Exit those that enter its loop."""
    if op.type in EXITS:
        for enter in level.frames[of_exit(op)].entering():
            yield from enter.inputs
    else:
        yield from op.inputs


def _outermost(mine: Guards, found: Mapping[Operation, Guards], hidden: set[Tensor]) -> Guard | None:
    """The guard whose predicate is computed on this level; the earliest, where there are several."""
    if not mine:
        return None
    free = [g for g in mine if not _of_tensor(g[0], found, hidden)]
    return min(free, key=lambda g: (g[0].op._id, g[0].value_index)) if free else None


def _stages(level: Needed, operations: Sequence[Operation], outer: Mapping[Operation, Guard],
            merging: Mapping[Operation, Tensor], finely: bool) -> dict[tuple[Tensor, Operation], int]:  # fmt: skip
    """For a predicate and an operation how many Merges over that predicate lie before it. Left out where it is 0 for all.

    finely: Merges over any predicate count. The gradients of a product of two conditionals need what the other one gives.
    """
    found: dict[tuple[Tensor, Operation], int] = {}
    by_predicate: dict[Tensor, list[Operation]] = {}
    for op, predicate in merging.items():
        by_predicate.setdefault(predicate, []).append(op)
    last: dict[Tensor, int] = {}
    for op, (predicate, _) in outer.items():
        last[predicate] = max(last.get(predicate, -1), op._id)
    for op, predicate in merging.items():
        last[predicate] = max(last.get(predicate, -1), op._id)
    for predicate, merges in by_predicate.items():
        if not finely and min(m._id for m in merges) >= last[predicate]:
            continue
        depth: dict[Operation, int] = {}
        for op in operations:
            stage = max((depth.get(b, 0) for b in level.waits_for(op)), default=0)
            if stage:
                found[predicate, op] = stage
            depth[op] = stage + 1 if op in merging and (finely or merging[op] is predicate) else stage
    return found


def _in_order(level: Needed, operations: Sequence[Operation], unit: Mapping[Operation, Item]) -> tuple[list[Item], set[int]]:
    """The items, each after those it waits for, otherwise in the order of their first operations; ids of those that wait in a circle."""
    rank: dict[int, int] = {}
    items: dict[int, Item] = {}
    waits: dict[int, set[int]] = {}
    for number, op in enumerate(operations):
        item = unit[op]
        key = id(item)
        rank.setdefault(key, number)
        items.setdefault(key, item)
        before = [unit.get(b) for b in level.waits_for(op)]
        if isinstance(item, Conditional):
            before.append(unit.get(item.predicate.op))
        waits.setdefault(key, set()).update(id(other) for other in before if other is not None and other is not item)
    out, stuck = kahn(waits, rank.__getitem__)
    return [items[key] for key in out], set(stuck)
