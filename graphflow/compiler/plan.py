"""CompiledProgram: kernels in order, with symbolic sizes. BoundPlan: the same for given sizes, every value at its place.

A value lives in one of these places: the array that is fed, the storage of a variable, a literal, an array made for the caller (an output),
or a block of the arena. A View is the memory of its operand. The new value of a variable is written into the variable's own storage
where every reader of the old one has finished; otherwise it waits in the arena and is copied at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from graphflow.compiler.calls import (
    STATUS,
    ArenaBlock,
    Argument,
    BoundCall,
    BoundJump,
    BoundLink,
    BoundMeasuring,
    BoundRow,
    HostArgument,
    HostCall,
    Location,
    OutputPlace,
    PlanCall,
    RowAt,
    State,
    Step,
    Touched,
)
from graphflow.compiler.chains import MOST_MOVED, WORTH, Passed, linked
from graphflow.compiler.groups import Shape
from graphflow.compiler.lower import Lowered
from graphflow.compiler.memory import Block, Placement, aligned, place
from graphflow.compiler.program import Input, Program, Source, Value
from graphflow.kernel.affine import largest
from graphflow.kernel.index import Index, evaluate, substitute, symbols_of
from graphflow.kernel.nodes import Role

KEPT = 64  # bound plans that are remembered


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
    """A CompiledProgram for given sizes: arena offsets, arguments of every call, shapes of the outputs; `links`: calls that run share by
    share with the next one."""

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

        candidates = {} if limits else self._links(number)
        self.blocks = tuple([Block(aligned(number(b.size)), *_life(b, candidates)) for b in compiled.blocks])
        self.placement: Placement = place(self.blocks)
        self.constants = tuple([filled(i, sizes) for i in compiled.constants])
        self.states = tuple([(s.name, tuple(map(number, s.shape)), s.dtype) for s in compiled.states])
        self._known_places: dict[int, Argument] = {}
        calls = [self._bound(n, step, number) for n, step in enumerate(compiled.steps)]
        self.rows = {call.number: call for call in calls if isinstance(call, BoundRow)}
        self.links = {n: link for n, link in candidates.items() if self._apart(calls, n, link)}  # by the number of the first call
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

    def _links(self, number: Callable[[Index], int]) -> dict[int, BoundLink]:
        """The calls that may run share by share with the next one, which alone reads what they make."""
        compiled = self.compiled
        targets = {step.jump.target for step in compiled.steps if step.jump is not None}
        found: dict[int, BoundLink] = {}
        for block, held in enumerate(compiled.blocks):
            n = held.first
            if held.last != n + 1 or n - 1 in found or n + 1 in found or n + 1 in targets or number(held.size) < WORTH:
                continue
            first, second = (compiled.steps[k].lowered for k in (n, n + 1))
            if first is None or second is None:
                continue
            place = Location("block", block)
            written, read = (
                tuple(k for k, v in enumerate(low.values) if v is not None and compiled.places[v] == place) for low in (first, second)
            )
            if len(written) != 1 or not 0 < len(read) <= MOST_MOVED:
                continue
            passed = Passed(written[0], read, number(held.size))
            link = linked(first, second, passed, (first.sizes(self.sizes.__getitem__), second.sizes(self.sizes.__getitem__)))
            if link is not None:
                found[n] = BoundLink(link, passed)
        return found

    def _apart(self, calls: Sequence[PlanCall], n: int, bound: BoundLink) -> bool:
        """Whether linked calls may run in any order but for what passes between them."""
        first, second = calls[n], calls[n + 1]
        assert isinstance(first, BoundCall) and isinstance(second, BoundCall)
        if any(a.kind in ("row", "measured") for a in (*first.arguments, *second.arguments)):
            return False
        link, lowered = bound.link, self.compiled.steps[n + 1].lowered
        assert lowered is not None
        early = lowered.uses[link.phases[1]].touched  # of the second call, before the meeting behind the first one
        if any(second.arguments[k].kind == "state" and lowered.kernel.buffers[k].role is Role.OUT for k in early):
            return False
        read, made = self._touched(n, first, {})
        wanted, written = self._touched(n + 1, second, {}, frozenset(bound.passed.read))
        kept = self._touched(n, first, {}, frozenset((bound.passed.written,)))[1]
        return not (written.meets(read) or written.meets(made) or kept.meets(wanted))

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
            after = out[n + 1] if n in self.links else None
            if isinstance(after, BoundCall):  # some of its work is done before the meeting behind this call
                for mine, its in zip((mine_in, mine_out), self._touched(n + 1, after, sizes), strict=True):
                    mine.add(its)
            before = out[n - 1] if n else None
            if isinstance(before, BoundCall):
                linked = n - 1 in self.links or n - 2 in self.links  # some of their work is done before or after its turn
                if linked or mine_in.meets(writes) or mine_out.meets(writes) or mine_out.meets(reads) or (failing and mine_out.updates):
                    reads, writes, failing = Touched(), Touched(), False
                else:
                    out[n - 1] = BoundCall(before.kernel, before.arguments, before.parallel, False)
            reads.add(mine_in)
            writes.add(mine_out)
            failing = failing or bool(self.compiled.steps[n].checks)
        return tuple(out)

    def _touched(
        self, n: int, call: BoundCall, known: dict[Any, list[int]], without: frozenset[int] = frozenset()
    ) -> tuple[Touched, Touched]:
        """Memory that a call reads and that it writes, but for the buffers `without`. `known`: sizes of the buffers of other calls."""
        step = self.compiled.steps[n]
        lowered, told = step.lowered, _told(step, call)
        assert lowered is not None
        sizes = known.get(told)
        if sizes is None:
            sizes = known[told] = self._buffer_sizes(lowered)
        reads, writes, read = Touched(), Touched(), Role.IN
        for number, (buffer, size, (kind, where)) in enumerate(zip(lowered.kernel.buffers, sizes, call.arguments, strict=False)):
            if number in without:
                continue
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


def _life(block: ArenaBlock, links: Container[int]) -> tuple[int, int]:
    """The first and the last step that need a block. Linked calls need at once what each of them does."""
    first, last = block.first, block.last
    return (first - 1 if first - 1 in links else first), (last + 1 if last in links else last)


def _told(step: Step, call: BoundCall) -> tuple[int, tuple[Argument, ...]]:
    """The kernel that a step calls, and what the call tells it of sizes."""
    assert step.lowered is not None
    return call.kernel, call.arguments[len(step.lowered.values) :]


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
