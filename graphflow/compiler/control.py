"""Which operations of a graph a run needs, and which of them make up loops and branches.

TensorFlow's control flow is a dataflow graph of Switch, Merge, Enter, Exit and NextIteration. Seen from outside a loop all of it is one
thing, a `Frame`: it waits for what enters, and gives what exits. So `Needed` lists the operations on one level, with the Exits standing for
the loops; what is inside a loop is another level. What is conditional among the operations of a level is found by compiler/branches.py.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush
from typing import TypeVar

from graphflow.errors import InvalidArgumentError, OpError
from graphflow.graph.op import Kind
from graphflow.graph.operation import Operation
from graphflow.graph.tensor import Tensor

ENTERS = frozenset(("Enter", "RefEnter"))
EXITS = frozenset(("Exit", "RefExit"))
SWITCHES = frozenset(("Switch", "RefSwitch"))
MERGES = frozenset(("Merge", "RefMerge"))
NEXTS = frozenset(("NextIteration", "RefNextIteration"))

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
        self._ordered: list[Operation] | None = None  # what `operations` gave, while nothing more is needed
        self._begun = 0  # the first of those found that are in the order of their creation and wait for no others
        self._frame = frame
        self.controlled = False

    def copy(self) -> Needed:
        """The same operations, where there is no control flow among them. More may be needed of the copy."""
        twin = Needed(self.hidden, (), self._chosen)
        twin._seen, twin._found, twin._begun = self._seen.copy(), self._found.copy(), self._begun
        return twin

    def need(self, tensors: Iterable[Tensor], targets: Iterable[Operation]) -> None:
        """These tensors, and these operations, are needed too."""
        hidden, seen = self.hidden, self._seen
        self._ordered = None
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
                if t.op not in seen and t not in hidden:
                    stack.append(t.op)
            if op._control_inputs:
                stack.extend([c for c in self._control_inputs(op) if c not in seen])

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

    def _control_inputs(self, op: Operation) -> list[Operation]:
        """Operations to wait for; one whose results are all given has nothing left to do."""
        given = self.hidden.issuperset
        return [c for c in op._control_inputs if not c.outputs or not given(c.outputs)]

    def waits_for(self, op: Operation) -> Sequence[Operation]:
        """What an operation of this level follows."""
        if op.definition.type in EXITS:
            return list(self._before(op))
        hidden = self.hidden
        found = [t.op for t in op.inputs if t not in hidden]
        if op._control_inputs:
            found.extend(self._control_inputs(op))
        return found

    @property
    def in_any_order(self) -> Sequence[Operation]:
        """The operations."""
        self.settle()
        return self._found

    @property
    def operations(self) -> list[Operation]:
        """In order: as they were created, where that will do."""
        if self._ordered is None:
            self.settle()
            begun, more = self._found[: self._begun], sorted(self._found[self._begun :], key=_created)
            follows = not (begun and more and begun[-1]._id > more[0]._id)
            found = begun + more if follows else sorted(self._found, key=_created)
            if self._in_order(more if follows and not self.controlled else found):
                if not self.controlled:
                    self._found, self._begun = found, len(found)
                self._ordered = found
            else:
                self._ordered = topological(found, self.waits_for)
        return self._ordered

    @property
    def at_all_levels(self) -> list[Operation]:
        """The operations of this level and of the loops on it, as they were created."""
        found = dict.fromkeys(self.operations)
        for frame in self.frames.values():
            found.update(dict.fromkeys(frame.at_all_levels()))
        return sorted(found, key=_created)

    def _in_order(self, found: Sequence[Operation]) -> bool:
        """Whether each of these operations was created after all that it waits for, as nearly always."""
        if self.controlled:
            return all(before._id < op._id for op in found for before in self.waits_for(op))
        for op in found:  # perhaps more than it waits for, but this is quickly asked
            for tensor in op.inputs:
                if tensor.op._id >= op._id:
                    return False
            for before in op._control_inputs:
                if before._id >= op._id:
                    return False
        return True

    def settle(self) -> None:
        """Exits that were needed later may have drawn more into their loops, which needs more out here."""
        while self.frames:
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
    out, stuck = kahn({op: {b for b in waits_for(op) if b in inside} for op in ops}, _created)
    if stuck:
        raise cycle(stuck)
    return out


K = TypeVar("K", bound=Hashable)


def kahn(waits: Mapping[K, set[K]], rank: Callable[[K], int]) -> tuple[list[K], list[K]]:
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


def cycle(stuck: Sequence[Operation]) -> OpError:
    """The error of operations that wait for one another."""
    text = f"Graph is invalid, contains a cycle with {len(stuck)} nodes, one is {stuck[0].name}"
    return InvalidArgumentError(None, stuck[0], text)
