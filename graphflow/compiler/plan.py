"""CompiledProgram: kernels in order, with symbolic sizes. BoundPlan: the same for given sizes, every value at its place.

A value lives in one of these places: the array that is fed, the storage of a variable, a literal, an array made for the caller (an output),
or a block of the arena. A View is the memory of its operand. The new value of a variable is written into the variable's own storage
where every reader of the old one has finished; otherwise it waits in the arena and is copied at the end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from graphflow.compiler.groups import Group, Shape
from graphflow.compiler.lower import Lowered
from graphflow.compiler.memory import Block, Placement, aligned, place
from graphflow.compiler.program import Input, Program, Source, Value
from graphflow.dtypes import DType
from graphflow.graph.op import Op
from graphflow.kernel.index import Index, evaluate, largest, substitute, symbols_of
from graphflow.kernel.nodes import Check, Role

KEPT = 64  # bound plans that are remembered
NO_WORD = re.compile(r"\W")


class State(NamedTuple):
    """A variable (or the position of a random op, "random/<op name>", uint64[2]) that the program touches. reads: its value at the start
    is used, so it must be initialised; writes: it has a new value afterwards."""

    name: str
    dtype: DType
    shape: tuple[Index, ...]
    reads: bool
    writes: bool


class Location(NamedTuple):
    """Where a value is: kind "feed" (number), "state" (number), "constant" (number), "output" (number), "block" (number), or "object": a
    Python object (strings) kept under the number for one run."""

    kind: str
    number: int


class JumpTo(NamedTuple):
    """Go on at step `target` where the bool scalar `value` is `on`."""

    value: Value
    on: bool
    target: int


class Measuring(NamedTuple):
    """The size `symbol`, from 0 to `limit`, gets the value of the int64 scalar `value`. `tentative`: a larger one is nothing unusual."""

    symbol: str
    limit: Index
    value: Value
    tentative: bool


class RowAt(NamedTuple):
    """The values at Location("row", number) are row `at` of `array`, which has `rows` rows. `check`: what is wrong with other numbers."""

    number: int
    array: Value
    at: Value
    rows: Index
    check: Check


class Step(NamedTuple):
    """One kernel call; without a kernel a jump, the measuring of a size, the finding of a row, or one call of Python. `weight`: how often
    it is expected to run. `what`: for people, where it is not what the group computes."""

    number: int
    group: Group
    lowered: Lowered | None
    jump: JumpTo | None = None
    weight: float = 1.0
    measuring: Measuring | None = None
    row: RowAt | None = None
    what: str = ""

    @property
    def name(self) -> str:
        """A name for people: the number, and the scope of what is computed."""
        what = self.what or next((NO_WORD.sub("_", o.name)[:60] for o in reversed(self.group.origins)), self.group.form.value)
        return f"k{self.number}_{what}"

    @property
    def checks(self) -> tuple[Check, ...]:
        """The run-time checks of the kernel."""
        if self.row is not None:
            return (self.row.check,)
        return () if self.lowered is None else self.lowered.kernel.checks

    @property
    def may_begin_again(self) -> bool:
        """Whether a run may turn out here to need more memory, or another Program."""
        return self.measuring is not None and self.measuring.tentative or any(c.error == "Overrun" for c in self.checks)


class ArenaBlock(NamedTuple):
    """A block with its symbolic size: bytes of what it holds in turn, from step `first` to step `last`."""

    size: Index
    first: int
    last: int
    holds: str


class Argument(NamedTuple):
    """One argument of a kernel call: kind "feed", "state", "constant", "output" or "arena" with a number or a byte offset, "size" with
    the number itself, "measured" with the number of a size that depends on data, "row" with that of a BoundRow, "status" with the address
    of the call's status block."""

    kind: str
    value: int


STATUS = Argument("status", 0)


class BoundCall(NamedTuple):
    """A kernel call with its arguments; `kernel` is the number of the kernel among CompiledProgram.kernels."""

    kernel: int
    arguments: tuple[Argument, ...]
    parallel: tuple[bool, ...]
    barrier: bool


class HostArgument(NamedTuple):
    """An operand or result of a call of Python: where it is, and what it looks like."""

    place: Argument
    shape: tuple[Index, ...]  # symbolic only in sizes that depend on data
    dtype: DType


class HostCall(NamedTuple):
    """A call of `op.run`."""

    op: Op
    inputs: tuple[HostArgument, ...]
    outputs: tuple[HostArgument, ...]


class BoundJump(NamedTuple):
    """Go on at call `target` where the byte at `place` is `on`, at the next call otherwise. `target` is a number among BoundPlan.calls, or
    their count: the end; it may lie ahead (a branch) or behind (a loop)."""

    place: Argument
    on: bool
    target: int


class BoundMeasuring(NamedTuple):
    """From here on the size `number` is what the int64 at `place` says, which must not be above `limit`."""

    place: Argument
    number: int
    limit: int


class BoundRow(NamedTuple):
    """From here on the argument Argument("row", number) is the address of the row of the array at `place` whose number is at `at` (an
    int64 if `wide`). It has `rows` rows of `size` bytes."""

    place: Argument
    at: Argument
    wide: bool
    rows: int
    size: int
    number: int


PlanCall = BoundCall | HostCall | BoundJump | BoundMeasuring | BoundRow


class OutputPlace(NamedTuple):
    """What a fetched tensor is: computed into a fresh array of this shape, or contents known already. `measured`: its sizes, where some of
    them depend on data; then `shape` is one that has room for all its elements."""

    shape: tuple[int, ...]
    dtype: DType
    known: np.ndarray[Any, Any] | None
    measured: tuple[Index, ...] | None = None


class Parameters(NamedTuple):
    """Everything that a CompiledProgram is made of."""

    program: Program
    steps: tuple[Step, ...]
    places: Mapping[int, Location]
    blocks: tuple[ArenaBlock, ...]
    scratch: Mapping[tuple[int, int], int]  # (step, buffer) -> block
    constants: tuple[Input, ...]


class CompiledProgram:
    """See the module's text. `codes` are the runtime's handles of the kernels, one per distinct kernel, once there is code."""

    def __init__(self, parameters: Parameters, kernel_of: Sequence[int], feeds: Sequence[Input]) -> None:
        self.program, self.steps, self.places, self.blocks, self.scratch, self.constants = parameters
        self.kernel_of = tuple(kernel_of)
        self.codes: tuple[Any, ...] = ()
        self.feeds = tuple(feeds)
        updates = self.program.updates
        read = {v.id for s in self.steps for v in s.group.inputs} | {v.id for v in self.program.outputs}
        self.states = tuple(
            State(i.name, i.value.dtype, i.value.shape, i.value.id in read, i.name in updates)
            for i in self.program.inputs if i.source is Source.STATE
        )  # fmt: skip
        self.parallel = {k: s.lowered.parallel for k, s in zip(self.kernel_of, self.steps, strict=True) if s.lowered is not None}
        self.bound: list[BoundPlan] = []
        self.report: Any = None  # dump.CompiledReport
        self.on_bind: tuple[Callable[[BoundPlan], None], ...] = ()
        self.room: dict[str, int] = {}  # of sizes that have turned out larger than their limits
        self._by_shapes: dict[tuple[tuple[int, ...], ...], BoundPlan] = {}

    def make_room(self, symbol: str, size: int) -> None:
        """From now on plans have memory for twice this size."""
        self.room[symbol] = 2 * size
        self.bound.clear()
        self._by_shapes.clear()

    def symbol_values(self, shapes: Sequence[Sequence[int]]) -> dict[str, int]:
        """The sizes that the shapes of the feeds give."""
        by_name = {f.name: shape for f, shape in zip(self.feeds, shapes, strict=True)}
        found = {name: int(by_name[source][axis]) for name, (source, axis) in self.program.symbols.items() if source}
        rooms = {name: max(first, self.room.get(name, 0)) for name, (source, first) in self.program.symbols.items() if not source}
        return {**found, **rooms}

    def bind(self, shapes: Sequence[Sequence[int]]) -> BoundPlan:
        """The plan for these shapes of the feeds."""
        key = tuple(tuple(s) for s in shapes)
        bound = self._by_shapes.get(key)
        if bound is None:
            bound = self._by_shapes[key] = BoundPlan(self, self.symbol_values(key))
            self.bound.append(bound)
            if len(self.bound) > KEPT:
                self.bound.pop(0)
                self._by_shapes.pop(next(iter(self._by_shapes)))
            for watch in self.on_bind:
                watch(bound)
        return bound


class BoundPlan:
    """A CompiledProgram for given sizes: arena offsets, arguments of every call, shapes of the outputs."""

    def __init__(self, compiled: CompiledProgram, sizes: Mapping[str, int]) -> None:
        self.compiled = compiled
        limits: dict[str, int] = {}  # of the sizes that depend on data
        for step in compiled.steps:
            if step.measuring is not None:
                symbol = step.measuring.symbol
                limits[symbol] = max(largest(step.measuring.limit, sizes, limits), compiled.room.get(symbol, 0))
        self.sizes = {**sizes, **limits}
        self.measured = tuple(limits)
        known: dict[Any, int] = {}

        def number(index: Index) -> int:
            """A size, the most that it can be if it depends on data."""
            if isinstance(index, int):
                return index
            found = known.get(index)
            if found is None:
                found = known[index] = largest(index, sizes, limits)
            return found

        self.number = number

        self.blocks = tuple([Block(aligned(number(b.size)), b.first, b.last) for b in compiled.blocks])
        self.placement: Placement = place(self.blocks)
        self.constants = tuple([filled(i, sizes) for i in compiled.constants])
        self.states = tuple([(s.name, tuple(map(number, s.shape)), s.dtype) for s in compiled.states])
        self._known_places: dict[int, Argument] = {}
        calls = [self._bound(n, step, number) for n, step in enumerate(compiled.steps)]
        self.rows = {call.number: call for call in calls if isinstance(call, BoundRow)}
        self.calls = self._with_barriers(calls)
        outputs = []
        for value in compiled.program.outputs:
            data = None if value.known is None else filled(Input(Source.CONSTANT, "", value, value.known), sizes)
            sizes_ = self._run_time(value.shape)
            if sizes_ is None:
                outputs.append(OutputPlace(tuple(map(number, value.shape)), value.dtype, data))
            else:
                outputs.append(OutputPlace((number(value.size),), value.dtype, data, sizes_))
        self.outputs = tuple(outputs)
        self.cost = self._cost(number)

    def _cost(self, number: Callable[[Index], int]) -> float:
        """A rough guess of a run's seconds on one thread: calls of one kernel with the same sizes cost the same."""
        costs: dict[Any, float] = {}
        total = 0.0
        for step, call in zip(self.compiled.steps, self.calls, strict=True):
            if isinstance(call, BoundCall):
                told = _told(step, call)
                cost = costs.get(told)
                if cost is None:
                    cost = costs[told] = cost_of(step, number)
                total += step.weight * cost
            elif step.jump is None:
                total += step.weight * cost_of(step, number)
        return total

    def _run_time(self, shape: Sequence[Index]) -> tuple[Index, ...] | None:
        """A shape with symbols for the sizes that depend on data only; None where there are none."""
        if not self.measured or all(symbols_of(d).isdisjoint(self.measured) for d in shape):
            return None
        fixed: dict[str, Index] = {k: v for k, v in self.sizes.items() if k not in self.measured}
        return tuple(substitute(d, fixed) for d in shape)

    def _bound(self, n: int, step: Step, number: Callable[[Index], int]) -> PlanCall:
        if step.jump is not None:
            return BoundJump(self._place(step.jump.value.id), step.jump.on, step.jump.target)
        if step.measuring is not None:
            symbol = step.measuring.symbol
            return BoundMeasuring(self._place(step.measuring.value.id), self.measured.index(symbol), self.sizes[symbol])
        if step.row is not None:
            return self._row(step.row, number)
        return self._host(step, number) if step.lowered is None else self._call(n, step, step.lowered)

    def _row(self, row: RowAt, number: Callable[[Index], int]) -> BoundRow:
        rows, whole = number(row.rows), number(bytes_of(row.array))
        place, at = self._place(row.array.id), self._place(row.at.id)
        return BoundRow(place, at, row.at.dtype.size == 8, rows, whole // max(rows, 1), row.number)

    def _call(self, n: int, step: Step, lowered: Lowered) -> BoundCall:
        arguments: list[Argument] = []
        known = self._known_places
        for b, held in enumerate(lowered.values):
            if held is None:
                arguments.append(Argument("arena", self.placement.offsets[self.compiled.scratch[n, b]]))
            else:
                arguments.append(known.get(held) or self._place(held))
        for symbol in lowered.symbols:
            if self.measured and symbol in self.measured:
                arguments.append(Argument("measured", self.measured.index(symbol)))
            else:
                arguments.append(Argument("size", symbol if isinstance(symbol, int) else self.sizes[symbol]))
        arguments.append(STATUS)
        kernel = self.compiled.kernel_of[n]
        return BoundCall(kernel, tuple(arguments), self.compiled.parallel[kernel], True)

    def _place(self, value_id: int) -> Argument:
        kind, number = self.compiled.places[value_id]
        place = Argument("arena", self.placement.offsets[number]) if kind == "block" else Argument(kind, number)
        self._known_places[value_id] = place
        return place

    def _host(self, step: Step, number: Callable[[Index], int]) -> HostCall:
        node = step.group.nodes[0]

        def argument(value: Value) -> HostArgument:
            shape = self._run_time(value.shape) or tuple(number(d) for d in value.shape)
            return HostArgument(self._place(value.id), shape, value.dtype)

        return HostCall(node.op, tuple(map(argument, node.inputs)), tuple(map(argument, node.outputs)))

    def _with_barriers(self, calls: Sequence[PlanCall]) -> tuple[PlanCall, ...]:
        """Threads meet after a call only where the next one touches what calls since the last meeting wrote, or writes what they read, and
        before jumps and calls of Python."""
        out = list(calls)
        reads, writes = Touched(), Touched()
        failing = False
        sizes: dict[Any, list[int]] = {}  # of the buffers, by kernel and what it is told of sizes
        for n, call in enumerate(out):
            if not isinstance(call, BoundCall):
                reads, writes, failing = Touched(), Touched(), False
                continue
            mine_in, mine_out = self._touched(n, call, sizes)
            before = out[n - 1] if n else None
            if isinstance(before, BoundCall):
                if mine_in.meets(writes) or mine_out.meets(writes) or mine_out.meets(reads) or (failing and mine_out.updates):
                    reads, writes, failing = Touched(), Touched(), False
                else:
                    out[n - 1] = BoundCall(before.kernel, before.arguments, before.parallel, False)
            reads.add(mine_in)
            writes.add(mine_out)
            failing = failing or bool(self.compiled.steps[n].checks)
        return tuple(out)

    def _touched(self, n: int, call: BoundCall, known: dict[Any, list[int]]) -> tuple[Touched, Touched]:
        """Memory that a call reads and that it writes. `known`: sizes of the buffers of other calls."""
        step = self.compiled.steps[n]
        lowered, told = step.lowered, _told(step, call)
        assert lowered is not None
        sizes = known.get(told)
        if sizes is None:
            sizes = known[told] = self._buffer_sizes(lowered)
        reads, writes, read = Touched(), Touched(), Role.IN
        for buffer, size, (kind, where) in zip(lowered.kernel.buffers, sizes, call.arguments, strict=False):
            mine = reads if buffer.role is read else writes
            if kind == "row":
                whole = self.rows[where]
                (kind, where), size = whole.place, whole.rows * whole.size
            if kind == "arena":
                mine.spans.append((where, where + size))
            elif kind != "constant":
                mine.whole.add((kind, where))
        return reads, writes

    def _buffer_sizes(self, lowered: Lowered) -> list[int]:
        """The bytes of a kernel's buffers, at most."""
        sizes = lowered.sizes(self.sizes.__getitem__)
        if not self.measured:
            return [size if isinstance(size, int) else evaluate(size, sizes) for size in lowered.bytes]
        limits = {k: sizes[k] for k, s in zip(sizes, lowered.symbols, strict=True) if s in self.measured}
        env = {k: v for k, v in sizes.items() if k not in limits}
        return [size if isinstance(size, int) else largest(size, env, limits) for size in lowered.bytes]


def _told(step: Step, call: BoundCall) -> tuple[int, tuple[Argument, ...]]:
    """The kernel that a step calls, and what the call tells it of sizes."""
    assert step.lowered is not None
    return call.kernel, call.arguments[len(step.lowered.values) :]


class Touched:
    """Memory: whole variables, feeds and outputs by kind and number, and parts of the arena from a byte to another."""

    __slots__ = ("whole", "spans")

    def __init__(self) -> None:
        self.whole: set[tuple[str, int]] = set()
        self.spans: list[tuple[int, int]] = []

    def add(self, other: Touched) -> None:
        """This and the other."""
        self.whole |= other.whole
        self.spans += other.spans

    @property
    def updates(self) -> bool:
        """Whether a variable is among it."""
        return any(kind == "state" for kind, _ in self.whole)

    def meets(self, other: Touched) -> bool:
        """Whether some byte belongs to both."""
        if not self.whole.isdisjoint(other.whole):
            return True
        for begin, end in self.spans:
            for first, last in other.spans:
                if begin < last and first < end:
                    return True
        return False


def filled(given: Input, sizes: Mapping[str, int]) -> np.ndarray[Any, Any]:
    """A literal's contents, sizes put in."""
    data = given.data
    assert data is not None
    if data.dtype != object or given.value.dtype.kernel_type is None:
        return np.asarray(data, order="C")  # ascontiguousarray would give a scalar an axis
    numbers = [evaluate(e, sizes) for e in data.ravel()]
    result: np.ndarray[Any, Any] = np.array(numbers, given.value.dtype.as_numpy_dtype).reshape(data.shape)
    return result


def bytes_of(value: Value) -> Index:
    """The memory a value takes."""
    return value.size * value.dtype.size


def cost_of(step: Step, number: Any) -> float:
    """A rough guess of one call's seconds on one thread."""
    if step.group.form is Shape.CONTRACTION and step.group.root is not None:
        extents: Any = step.group.root.op.extents  # type: ignore[attr-defined]
        total = 2.0
        for e in extents:
            total *= number(e)
        return total / 1.5e11 + 1e-7
    if step.row is not None:
        return 1e-7
    touched: Sequence[Value] = (*step.group.inputs, *step.group.outputs)
    root = step.group.root
    if root is not None and root.op.inplace:  # of what is changed in place only some rows
        touched = [v for k, v in enumerate(root.inputs) if k not in root.op.inplace]
    elements = max([number(v.size) for v in touched], default=1)
    work = sum([2 if op.type not in EXPENSIVE else 12 for n in step.group.nodes for op in n.op.elementary])
    return float(elements) * work / 1.6e10 + 1e-7


EXPENSIVE = frozenset(("Exp", "Log", "Tanh", "Sigmoid", "Pow", "Erf", "Sin", "Cos", "Softplus", "Log1p", "Expm1"))
