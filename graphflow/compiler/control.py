"""Which operations of a graph a run needs, and which of them make up loops and branches.

TensorFlow's control flow is a dataflow graph of Switch, Merge, Enter, Exit and NextIteration. Seen from outside a loop all of it is one
thing, a `Frame`: it waits for what enters, and gives what exits. So `Needed` lists the operations on one level, with the Exits standing for
the loops; what is inside a loop is another level. Branches are found among the operations of a level: an operation that depends on an
output of a Switch runs only where the predicate chose that output, which is its *guard*; a Merge ends a guard.

    Needed       operations of a level in an order in which each follows what it waits for
    guards       the guards of every operation of a level
    arrange      a level as a list of operations, loops and Conditionals
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush
from typing import NamedTuple, TypeVar

from graphflow.errors import InvalidArgumentError, OpError
from graphflow.graph.op import Kind
from graphflow.graph.operation import Operation
from graphflow.graph.tensor import Tensor

ENTERS = frozenset(("Enter", "RefEnter"))
EXITS = frozenset(("Exit", "RefExit"))
SWITCHES = frozenset(("Switch", "RefSwitch"))
MERGES = frozenset(("Merge", "RefMerge"))
NEXTS = frozenset(("NextIteration", "RefNextIteration"))

Guard = tuple[Tensor, bool]  # a predicate and the value under which something runs
Guards = frozenset[Guard]
ALWAYS: Guards = frozenset()
Chosen = Callable[[Operation], Sequence[Tensor]]


def is_loop_merge(op: Operation) -> bool:
    """Whether a Merge is the head of a loop variable."""
    return op.type in MERGES and bool(op.inputs) and op.inputs[0].op.type in ENTERS


def is_loop_switch(op: Operation) -> bool:
    """Whether a Switch sends a loop variable into the body or out of the loop."""
    return op.type in SWITCHES and op.inputs[1].op.type == "LoopCond"


class Frame:
    """One loop, as far as a run needs it. `variables` are the Merges of its loop variables, `enters` the Enters of what does not change."""

    def __init__(self, condition: Operation, chosen: Chosen) -> None:
        self.condition = condition
        self.variables: dict[Operation, None] = {}
        self.enters: dict[Operation, None] = {}
        self.exits: dict[Operation, None] = {}
        self._chosen = chosen
        self._level = Needed(set(), (), chosen, self)
        self._level.need([condition.inputs[0]], ())

    def leave_by(self, exit_: Operation) -> None:
        """`exit_` is needed, and so is what its variable is computed from."""
        self.exits[exit_] = None
        self.variable(left_variable(exit_))

    def variable(self, merge: Operation) -> None:
        """A loop variable is needed, by its Merge."""
        if merge not in self.variables:
            self.variables[merge] = None
            self._level.need([following(merge)], ())

    def settle(self) -> None:
        """Finds all that enters, also through loops inside this one."""
        self._level.settle()

    def at_all_levels(self) -> list[Operation]:
        """Every operation of the loop, also of the loops inside it."""
        edge = [self.condition, *self.entering(), *self.variables, *self.exits]
        switches = [_left(e) for e in self.exits]
        nexts = [m.inputs[1].op for m in self.variables]
        return [*edge, *switches, *nexts, *self._level.at_all_levels]

    def entering(self) -> list[Operation]:
        """Every Enter that is needed."""
        return [*(m.inputs[0].op for m in self.variables), *self.enters]

    def deciding(self) -> Needed:
        """What computes the condition, from the Merges."""
        level = Needed(set(), (), self._chosen, self)
        level.need([self.condition.inputs[0]], ())
        return level

    def computing(self) -> Needed:
        """What computes the next values of the variables."""
        level = Needed(set(), (), self._chosen, self)
        level.need([following(m) for m in self.variables], ())
        return level


def following(merge: Operation) -> Tensor:
    """What a loop variable is in the next iteration: the input of its NextIteration."""
    return merge.inputs[1].op.inputs[0]


def _left(exit_: Operation) -> Operation:
    """The Switch that an Exit comes from. tf.gradients may have put an Identity between: the gradients of a Merge wait for each other."""
    source = exit_.inputs[0].op
    while source.type == "Identity":
        source = source.inputs[0].op
    return source


def left_variable(exit_: Operation) -> Operation:
    """The Merge of the loop variable whose last value an Exit gives."""
    return _left(exit_).inputs[0].op


def of_exit(op: Operation) -> Operation:
    """The LoopCond of the loop that an Exit leaves."""
    return _left(op).inputs[1].op


class Needed:
    """The operations that must run on one level. `hidden` tensors are given, which hides what is behind them; operations in `done`
    have run;
    `chosen` gives the inputs that an operation really needs. `frame`: the loop whose inside this level is."""

    def __init__(self, hidden: set[Tensor], done: Iterable[Operation], chosen: Chosen, frame: Frame | None = None) -> None:
        self.hidden = hidden
        self.frames: dict[Operation, Frame] = {}
        self._chosen = chosen
        self._seen = set(done)
        self._found: list[Operation] = []
        self._frame = frame
        self.controlled = False

    def need(self, tensors: Iterable[Tensor], targets: Iterable[Operation]) -> None:
        """These tensors, and these operations, are needed too."""
        hidden, seen = self.hidden, self._seen
        stack = [t.op for t in tensors if t not in hidden] + list(targets)
        while stack:
            op = stack.pop()
            if op in seen:
                continue
            seen.add(op)
            if op.definition.kind is Kind.CONTROL:
                if self._at_border(op):
                    continue
                self.controlled = True
                if op.type in EXITS:
                    self._exit(op)
                    self._found.append(op)
                    stack.extend(b for b in self._before(op) if b not in seen)
                    continue
            self._found.append(op)
            for t in self._chosen(op):
                if t not in hidden and t.op not in seen:
                    stack.append(t.op)
            if op._control_inputs:
                stack.extend(c for c in self._control_inputs(op) if c not in seen)

    def _at_border(self, op: Operation) -> bool:
        """Whether it is where this level's own loop begins; what stands behind it belongs to the level around."""
        at_head = op.type in ENTERS or op.type in NEXTS or op.type == "LoopCond"
        if not (at_head or is_loop_merge(op) or (op.type in SWITCHES and is_loop_switch(op))):
            return False
        if self._frame is None:
            text = f"Operation '{op.name}' is inside a while loop: what it computes cannot be fetched or fed there"
            raise InvalidArgumentError(None, op, text)
        if op.type in ENTERS:
            self._frame.enters[op] = None
        elif op.type != "LoopCond":
            self._frame.variable(op if op.type in MERGES else op.inputs[0].op)
        return True

    def _exit(self, op: Operation) -> None:
        condition = of_exit(op)
        frame = self.frames.get(condition)
        if frame is None:
            frame = self.frames[condition] = Frame(condition, self._chosen)
        frame.leave_by(op)

    def _before(self, op: Operation) -> Iterator[Operation]:
        """What an operation waits for on this level: a loop for all that enters it."""
        if op.type in EXITS:
            for enter in self.frames[of_exit(op)].entering():
                yield from (t.op for t in enter.inputs if t not in self.hidden)
                yield from self._control_inputs(enter)
        else:
            yield from (t.op for t in self._chosen(op) if t not in self.hidden)
        yield from self._control_inputs(op)

    def _control_inputs(self, op: Operation) -> Iterator[Operation]:
        """Operations to wait for; one whose results are all given has nothing left to do."""
        return (c for c in op._control_inputs if not c.outputs or not all(t in self.hidden for t in c.outputs))

    def waits_for(self, op: Operation) -> Iterator[Operation]:
        """What an operation of this level follows."""
        if op.type in EXITS:
            yield from self._before(op)
            return
        yield from (t.op for t in op.inputs if t not in self.hidden)
        yield from self._control_inputs(op)

    @property
    def operations(self) -> list[Operation]:
        """In order: as they were created, where that will do."""
        self.settle()
        found = self._found
        found.sort(key=_created)
        if all(before._id < op._id for op in found for before in self._follows(op)):
            return found
        return topological(found, self.waits_for)

    @property
    def at_all_levels(self) -> list[Operation]:
        """The operations of this level and of the loops on it, as they were created."""
        found = dict.fromkeys(self.operations)
        for frame in self.frames.values():
            found.update(dict.fromkeys(frame.at_all_levels()))
        return sorted(found, key=_created)

    def _follows(self, op: Operation) -> Iterable[Operation]:
        """`waits_for`, perhaps more: the order of creation is right nearly always, and this is quickly asked."""
        if self.controlled or op._control_inputs:
            return self.waits_for(op)
        return [t.op for t in op.inputs]

    def settle(self) -> None:
        """Exits that were needed later may have drawn more into their loops, which needs more out here."""
        while True:
            count = len(self._found)
            for op in list(self._found):
                if op.type in EXITS:
                    self.need((), self._before(op))
            if len(self._found) == count:
                return


def _created(op: Operation) -> int:
    return op._id


def topological(ops: Sequence[Operation], waits_for: Callable[[Operation], Iterable[Operation]]) -> list[Operation]:
    """Kahn's order, the earliest created first among those that are ready."""
    inside = set(ops)
    out, stuck = _kahn({op: {b for b in waits_for(op) if b in inside} for op in ops}, _created)
    if stuck:
        raise _cycle(stuck)
    return out


K = TypeVar("K", bound=Hashable)


def _kahn(waits: Mapping[K, set[K]], rank: Callable[[K], int]) -> tuple[list[K], list[K]]:
    """(the keys, each after those it waits for, the lowest rank first among those that are ready; those that wait for one another)."""
    users: dict[K, list[K]] = {key: [] for key in waits}
    for key, before in waits.items():
        for b in before:
            users[b].append(key)
    left = {key: len(before) for key, before in waits.items()}
    keys = list(waits)
    ready = [(rank(key), n) for n, key in enumerate(keys) if not left[key]]
    numbers = {key: n for n, key in enumerate(keys)}
    heapify(ready)
    out: list[K] = []
    while ready:
        key = keys[heappop(ready)[1]]
        out.append(key)
        for user in users[key]:
            left[user] -= 1
            if not left[user]:
                heappush(ready, (rank(user), numbers[user]))
    return out, [key for key in keys if left[key]]


def _cycle(stuck: Sequence[Operation]) -> OpError:
    text = f"Graph is invalid, contains a cycle with {len(stuck)} nodes, one is {stuck[0].name}"
    return InvalidArgumentError(None, stuck[0], text)


# -- branches ----------------------------------------------------------------------------------------------------------------------


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
    unit: dict[Operation, Item] = {}
    inner: dict[Operation, Guards] = {}
    outer: dict[Operation, Guard] = {}
    for op in operations:
        guard = _outermost(found[op], found, level.hidden)
        if guard is not None:
            outer[op] = guard
            inner[op] = found[op] - {guard}
    merging = {op: p for op in operations if op.type in MERGES and op not in outer
               for p in [merged_predicate(op, found, level.hidden)] if p is not None}  # fmt: skip
    stages = _stages(level, operations, outer, merging)
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
    return Arranged(_in_order(level, operations, unit), inner)


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
            merging: Mapping[Operation, Tensor]) -> dict[tuple[Tensor, Operation], int]:  # fmt: skip
    """For a predicate and an operation how many Merges over that predicate lie before it. Left out where it is 0 for all."""
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
        if min(m._id for m in merges) >= last[predicate]:
            continue
        depth: dict[Operation, int] = {}
        for op in operations:
            stage = max((depth.get(b, 0) for b in level.waits_for(op)), default=0)
            if stage:
                found[predicate, op] = stage
            depth[op] = stage + 1 if merging.get(op) is predicate else stage
    return found


def _in_order(level: Needed, operations: Sequence[Operation], unit: Mapping[Operation, Item]) -> list[Item]:
    """The items, each after those it waits for, otherwise in the order of their first operations."""
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
    out, stuck = _kahn(waits, rank.__getitem__)
    if stuck:
        raise _cycle([op for op in operations if id(unit[op]) in set(stuck)])
    return [items[key] for key in out]
