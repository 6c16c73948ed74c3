"""From a scheduled Program to one list of kernel calls, regions written out between jumps, and the memory of every value: the symbolic half
of memory planning.

    Loop                            Branch
      unless pred: go to end          unless pred: go to other
    again:                              calls of the true body
      calls of the body                 if pred: go to end
      if its pred: go to again      other:
    end:                                calls of the false body
                                    end:

Which memory a value is in is a matter of *roots*: a View shares its operand's memory, a kernel that changes an operand in place shares that
of the operand, what a body reads is the operand of its node, and the new value of a variable or of a carried value shares the old
one's where
every reader of the old one has finished by then; otherwise it is copied there at the end. Values that are computed are blocks of the arena,
alive from the call that makes them to the last one that reads them, in-place reuse included; what a loop reads from outside is alive until
it has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from graphflow.compiler.calls import ArenaBlock, JumpTo, Location, Measuring, RowAt, Step
from graphflow.compiler.groups import Group, Shape
from graphflow.compiler.lower import CannotFuse, Lowered
from graphflow.compiler.passes.fuse import explode
from graphflow.compiler.passes.rewrite import highest_id
from graphflow.compiler.plan import bytes_of
from graphflow.compiler.program import Input, Node, Program, Source, Value
from graphflow.compiler.regions import Branch, Loop, Region, body_operands
from graphflow.compiler.rows import RowUse, found_rows
from graphflow.compiler.schedule import changed_in_place
from graphflow.kernel.index import maximum, substitute, symbol
from graphflow.ops.core import Copy
from graphflow.ops.measured import Measured

WITHOUT_KERNEL = (Shape.ALIAS, Shape.HOST, Shape.REGION)
UNKNOWN_TRIPS = 16  # how often a loop is taken to go round where nothing is known of it: only the choice of threads depends on it


class Linear(NamedTuple):
    """The calls in order, where each value is (by id), the arena's blocks, scratch blocks by (step, buffer), and all literals."""

    steps: tuple[Step, ...]
    places: Mapping[int, Location]
    blocks: tuple[ArenaBlock, ...]
    scratch: Mapping[tuple[int, int], int]
    constants: tuple[Input, ...]


def linearise(program: Program, lower: Callable[[Group], Lowered], begin: Callable[[Lowered], None]) -> Linear:
    """See the module's text. `lower` gives the kernel of a group. `begin` is told of every kernel as soon as it is known that it will be
    called."""
    return _Writer(program, lower, begin).linear()


class _Writer:
    def __init__(self, program: Program, lower: Callable[[Group], Lowered], begin: Callable[[Lowered], None]) -> None:
        self.program = program
        self.lower = lower
        self.begin = begin
        self.steps: list[Step] = []
        self.constants: list[Input] = []
        self.places: dict[int, Location] = {}
        self.scratch: dict[tuple[int, int], int] = {}
        self._root: dict[int, Value] = {}
        self._last: dict[int, int] = {}  # the last step that needs the memory of a root
        self._made: dict[int, int] = {}  # the step that makes a root; regions do not count
        self._blocks: list[list[Any]] = []
        self._fresh = 1 + highest_id(program)
        self._weight = 1.0

    def linear(self) -> Linear:
        counts: dict[Source, int] = {}
        for given in self.program.inputs:
            if given.source is Source.CONSTANT:
                self._constant(given)
                continue
            number = counts[given.source] = counts.get(given.source, -1) + 1
            self.places[given.value.id] = Location(given.source.value, number)
        self._write(self.program, outside=True)
        for number, value in enumerate(self.program.outputs):
            if value.known is None:
                self.places[self.root(value).id] = Location("output", number)
        self._arena()
        for value_id, shared in self._root.items():
            root = self.root(shared)
            if root.id in self.places:
                self.places[value_id] = self.places[root.id]
        blocks = tuple(ArenaBlock(*b) for b in self._blocks)
        return Linear(tuple(self.steps), self.places, blocks, self.scratch, tuple(self.constants))

    # -- roots and their lives -----------------------------------------------------------------------------------------------------

    def root(self, value: Value) -> Value:
        """The value that stands for this one's memory."""
        found = self._root.get(value.id)
        while found is not None:
            value = found
            found = self._root.get(value.id)
        return value

    def _join(self, value: Value, other: Value) -> None:
        """From now on `value` is in the memory of `other`."""
        new, old = self.root(value), self.root(other)
        if new.id == old.id:
            return
        self._root[new.id] = old
        if new.id in self._last:
            self._need(old, self._last.pop(new.id))

    def _need(self, value: Value, step: int) -> None:
        root = self.root(value).id
        self._last[root] = max(self._last.get(root, -1), step)

    def _constant(self, given: Input) -> None:
        self.places[given.value.id] = Location("constant", len(self.constants))
        self.constants.append(given)

    # -- writing -------------------------------------------------------------------------------------------------------------------

    def _write(self, program: Program, outside: bool = False) -> None:
        """The calls of a Program, and what puts the new values of its STATE inputs into their memory."""
        begin = len(self.steps)
        groups, lowered, self._fresh = lower_all(program, self._fresh, self._begun if outside else self.lower)
        rows = {} if outside else found_rows(program, groups)
        for number, (group, low) in enumerate(zip(groups, lowered, strict=True)):
            for row in rows.values():
                if row.position == number:
                    self._row(row)
            if id(group) in rows:
                for old, new in changed_in_place(group):
                    self._join(new, old)
            elif group.form is Shape.ALIAS:
                self._join(group.outputs[0], group.inputs[0])
            elif group.form is Shape.REGION:
                self._region(group)
            else:
                if low is not None and not outside:
                    self.begin(low)
                self._call(group, low)
                if group.root is not None and isinstance(group.root.op, Measured):
                    self._measure(group, group.root.op)
        self._updates(program, begin, outside)

    def _begun(self, group: Group) -> Lowered:
        """The kernel of a group that will be called."""
        low = self.lower(group)
        self.begin(low)
        return low

    def _call(self, group: Group, low: Lowered | None, what: str = "") -> None:
        number = len(self.steps)
        for value in group.inputs:
            self._need(value, number)
        for old, new in changed_in_place(group):
            self._join(new, old)
        for value in group.outputs:
            if self.root(value) is value:
                self._made[value.id] = number
        self.steps.append(Step(number, group, low, None, self._weight, None, None, what))

    def _row(self, row: RowUse) -> None:
        """What puts the address of a row into the arguments of the calls that write or read it."""
        number = len(self.steps)
        known = sum(place.kind == "row" for place in self.places.values())
        self.places[row.value.id] = Location("row", known)
        group = Group(Shape.ALIAS, row.group.nodes, (row.array, row.at), ())
        for value in group.inputs:
            self._need(value, number)
        at = RowAt(known, row.array, row.at, row.rows, row.check)
        self.steps.append(Step(number, group, None, None, self._weight, None, at, "row"))

    def _measure(self, group: Group, op: Measured) -> None:
        """What puts a size that a kernel has counted into the arguments of later calls."""
        number, value = len(self.steps), group.outputs[0]
        self._need(value, number)
        measuring = Measuring(op.symbol, op.limit, value, op.tentative)
        self.steps.append(Step(number, group, None, None, self._weight, measuring, None, f"size_{op.symbol}"))

    def _jump(self, group: Group, value: Value, on: bool, target: int = -1) -> int:
        """A jump, its target to be set later where it is not given; the jump's number."""
        number = len(self.steps)
        self._need(value, number)
        kind = "branch" if isinstance(_op(group), Branch) else "loop"
        what = f"{kind}_{'if' if on else 'unless'}"
        self.steps.append(Step(number, group, None, JumpTo(value, on, target), self._weight, None, None, what))
        return number

    def _aim(self, jump: int) -> None:
        """Let a jump lead to what is written next."""
        step = self.steps[jump]
        assert step.jump is not None
        self.steps[jump] = step._replace(jump=step.jump._replace(target=len(self.steps)))

    def _region(self, group: Group) -> None:
        node = group.root
        assert node is not None
        op = _op(group)
        pred, weight = node.inputs[0], self._weight
        for old, new in changed_in_place(group):
            self._join(new, old)
        if isinstance(op, Loop):
            entry = self._jump(group, pred, False) if pred.known is None or not pred.known else -1
            again = len(self.steps)
            self._weight *= op.trips if isinstance(op.trips, int) and op.trips >= 0 else UNKNOWN_TRIPS
            body = self._enter(node, 0)
            self._write(body)
            self._jump(group, body.outputs[0], True, again)
            if entry >= 0:
                self._aim(entry)
        else:
            assert isinstance(op, Branch)
            results = node.outputs[op.carried :]
            other = self._jump(group, pred, False)
            ends = []
            for number in range(2):
                body = self._enter(node, number)
                self._write(body)
                for value, result in zip(body.outputs, results, strict=True):
                    self._join(value, result)
                if number == 0:
                    ends.append(self._jump(group, pred, True))
                    self._aim(other)
            for end in ends:
                self._aim(end)
        self._weight = weight
        for value in node.inputs:
            self._need(value, len(self.steps) - 1)

    def _enter(self, node: Node, number: int) -> Program:
        """A body of a node, its values numbered anew and its inputs the operands of the node."""
        op = node.op
        assert isinstance(op, Region)
        body = shifted(op.bodies[number].program, self._fresh)
        self._fresh = 1 + max(highest_id(body), self._fresh)
        operands = body_operands(node)
        for given in body.inputs:
            if given.source is Source.CONSTANT:
                self._constant(given)
            else:
                self._join(given.value, node.inputs[operands[number, given.name]])
        return body

    def _updates(self, program: Program, begin: int, outside: bool) -> None:
        """Give new values the memory of the old ones where that is safe; copy the others there at the end."""
        old_of = {i.name: i.value for i in program.inputs if i.source is Source.STATE}
        kept = {self.root(v).id for v in program.outputs if v.known is None}
        elsewhere = self._root
        read_last = {
            self.root(v).id if v.id in elsewhere else v.id: n for n, step in enumerate(self.steps) for v in step.group.inputs
        }  # fmt: skip
        copies: list[tuple[str, Value, Value]] = []
        for name, value in program.updates.items():
            old = old_of[name]
            root = self.root(value) if value.id in elsewhere else value
            memory = self.root(old).id if old.id in elsewhere else old.id
            if root.id == memory:
                continue
            made = self._made.get(root.id, -1)
            if made >= begin and root.id not in kept and read_last.get(memory, -1) <= made and self._free(self.steps[made], memory, root):
                self._join(value, old)
                read_last[memory] = max(read_last.get(memory, -1), read_last.get(root.id, -1))
            else:
                copies.append((name, value, old))
        for _, value, _ in copies:
            self._need(value, len(self.steps) + len(copies) - 1)
        for name, value, old in copies:
            group = _copy_group(value)
            self._join(group.outputs[0], old)
            self._call(group, self._begun(group), f"write_{name.replace('/', '_')}")

    def _free(self, maker: Step, memory: int, root: Value) -> bool:
        """Whether a memory that nothing reads afterwards may be written by the call that makes `root`."""
        elsewhere = self._root
        for v in maker.group.inputs:
            held = self.root(v).id if v.id in elsewhere else v.id
            if held == memory and not _may_share(maker.lowered, v.id, root.id):
                return False
        return True

    # -- the arena -----------------------------------------------------------------------------------------------------------------

    def _arena(self) -> None:
        """Blocks for what has no place yet: a new one, or the one of an operand that dies here and may be overwritten."""
        for number, step in enumerate(self.steps):
            group, low = step.group, step.lowered
            if step.jump is not None or step.measuring is not None or step.row is not None:
                continue
            taken: set[int] = set()
            for value in group.outputs:
                root = self.root(value)
                if root.id in self.places:
                    continue
                if value.dtype.kernel_type is None and not value.dtype.is_complex:
                    self.places[root.id] = Location("object", root.id)
                    continue
                last = max(self._last.get(root.id, number), number)
                block = self._dying(group, low, value, number, taken)
                if block is None:
                    block = len(self._blocks)
                    self._blocks.append([bytes_of(value), number, last, f"%{value.id}"])
                else:
                    taken.add(block)
                    entry = self._blocks[block]
                    entry[0] = maximum(entry[0], bytes_of(value))
                    entry[2] = max(entry[2], last)
                    entry[3] = f"{entry[3]} %{value.id}"
                self.places[root.id] = Location("block", block)
            for b, held in enumerate(() if low is None else low.values):
                if held is None and low is not None:
                    self.scratch[number, b] = len(self._blocks)
                    size = substitute(low.bytes[b], low.sizes(symbol))
                    self._blocks.append([size, number, number, f"scratch {low.kernel.buffers[b].name} of step {number}"])

    def _dying(self, group: Group, low: Lowered | None, value: Value, step: int, taken: set[int]) -> int | None:
        """The block of an operand that nothing needs after this step, and that its kernel may write `value` to."""
        for candidate in group.inputs:
            root = self.root(candidate)
            if self._last.get(root.id) != step:
                continue
            place = self.places.get(root.id)
            if place is None or place.kind != "block" or place.number in taken:
                continue
            if self._blocks[place.number][2] != step or not _may_share(low, candidate.id, value.id):
                continue
            if any(self.root(o).id == root.id and o.id != candidate.id for o in group.inputs):
                continue  # read under another shape as well
            return place.number
        return None


def _op(group: Group) -> Region:
    assert group.root is not None and isinstance(group.root.op, Region)
    return group.root.op


def _may_share(lowered: Lowered | None, given: int, made: int) -> bool:
    """Whether an input and an output of a kernel, by their values' ids, may be one memory."""
    if lowered is not None:
        held = lowered.values
        for i, o in lowered.inplace:
            if held[o] == made and held[i] == given:
                return True
    return False


def _copy_group(value: Value) -> Group:
    """What puts a new value into its variable after everything else."""
    target = Value(-1 - value.id, value.dtype, value.shape)
    node = Node(Copy(), (value,), (target,))
    return Group(Shape.POINTWISE, (node,), (value,), (target,))


def lower_all(program: Program, fresh: int, lower: Callable[[Group], Lowered]) -> tuple[list[Group], list[Lowered | None], int]:
    """The groups, and a kernel for every one that is computed by one, which `lower` gives. A group that turns out to have no loop nest is
    taken apart, its inner values numbered from `fresh`; what is free after that."""
    groups: list[Group] = []
    lowered: list[Lowered | None] = []
    waiting: list[Node] = list(reversed(program.nodes))
    while waiting:
        group = waiting.pop()
        assert isinstance(group, Group)
        low = None
        if group.form not in WITHOUT_KERNEL:
            try:
                low = lower(group)
            except CannotFuse:
                if len(group.nodes) == 1:
                    raise
                parts = explode(group, fresh)
                fresh += sum(len(n.outputs) for n in group.nodes)
                waiting.extend(reversed(parts))
                continue
        groups.append(group)
        lowered.append(low)
    return groups, lowered, fresh


def announce(program: Program, lower: Callable[[Group], Lowered], begin: Callable[[Lowered], None]) -> None:
    """Tells `begin` of the kernels of the groups, in whatever order they are called later; those of loops and branches not among them."""
    for group in program.nodes:
        assert isinstance(group, Group)
        if group.form not in WITHOUT_KERNEL:
            try:
                begin(lower(group))
            except CannotFuse:  # lower_all takes it apart
                continue


def shifted(program: Program, by: int) -> Program:
    """The same Program with all values numbered higher. Bodies of its nodes keep their own numbers."""
    made: dict[int, Value] = {}

    def value(v: Value) -> Value:
        if v.id not in made:
            made[v.id] = Value(v.id + by, v.dtype, v.shape, v.known)
        return made[v.id]

    def node(n: Node) -> Node:
        inputs, outputs = [value(v) for v in n.inputs], [value(v) for v in n.outputs]
        if not isinstance(n, Group):
            return Node(n.op, inputs, outputs, n.origins)
        parts = {id(p): node(p) for p in n.nodes}
        return Group(n.form, tuple(parts.values()), inputs, outputs, None if n.root is None else parts[id(n.root)])

    return Program(
        tuple(i._replace(value=value(i.value)) for i in program.inputs), tuple(map(node, program.nodes)),
        tuple(map(value, program.outputs)), {k: value(v) for k, v in program.updates.items()}, program.symbols,
    )  # fmt: skip
