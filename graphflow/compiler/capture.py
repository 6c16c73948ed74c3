"""From a Graph, fetches and feeds to a Program.

    Graph ops that the fetches reach ─ in order ─► Op.decompose ─► core and elementwise nodes over symbolic sizes

Sizes. A size of a feed that the graph leaves unknown becomes a symbol, and equal sizes share one ("the batch"), so that a Program serves
every batch size. Which sizes are equal is the *pattern* of the feeds and belongs to the Program's identity. Where symbols are not enough
(a broadcast that depends on the size, a shape rule that must decide) the Program is captured again with the sizes as plain numbers.

Variables. A Program is functional: a variable's old value is an input, each update a new value, the last one goes to `updates`. What a
reader sees follows TensorFlow's reference variables on a CPU, where `v/read` is the variable's own memory:

- a reader sees every update that is ordered before it, by data or by control dependency, even through a `v/read` that is ordered before
  the update; an update that is not ordered before the reader comes after it;
- a fetched variable is looked at after everything else;
- updates that are not ordered among each other happen in the order in which they were created.

Cuts. Where a size depends on data, or Python gives a result of unknown shape, `Cut` names the tensors that must be computed first; the
caller runs them and captures the rest with their values as feeds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from graphflow.compiler.assumptions import Inexact, assumptions, may_be_negative
from graphflow.compiler.builder import DataDependent, ProgramBuilder
from graphflow.compiler.program import Origin, Program, Source, Value
from graphflow.errors import InvalidArgumentError
from graphflow.graph.dims import taken_for_equal
from graphflow.graph.op import Kind
from graphflow.graph.operation import Operation
from graphflow.graph.tensor import Tensor
from graphflow.kernel.index import Index, IndexExpr, evaluate, symbol


class Feed(NamedTuple):
    """A fed tensor and the shape that this run feeds. `known`: its contents, where later sizes depend on them."""

    tensor: Tensor
    shape: tuple[int, ...]
    known: np.ndarray[Any, Any] | None = None


class Pattern(NamedTuple):
    """Which sizes of the feeds are symbols: per feed, per axis, a number or a symbol's name. Hashable: part of a Program's identity."""

    sizes: tuple[tuple[int | str, ...], ...]

    def values(self, feeds: Sequence[Feed]) -> dict[str, int]:
        """The symbols' values for these feeds."""
        out: dict[str, int] = {}
        for sizes, feed in zip(self.sizes, feeds, strict=True):
            for name, number in zip(sizes, feed.shape, strict=True):
                if isinstance(name, str):
                    out[name] = number
        return out


class Cut(Exception):
    """These tensors must be computed before the rest can be captured."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        super().__init__(f"the sizes of what follows depend on {', '.join(t.name for t in tensors)}")
        self.tensors = tuple(tensors)


class Variables(Protocol):
    """What capture must know of the session's variables."""

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a variable that the graph leaves open."""

    def initialized(self, name: str) -> bool:
        """Whether the session holds a value."""


class Captured(NamedTuple):
    """A Program and how its inputs and outputs are called in the graph.

    reads: variables whose old value is used. answers: which variables capture found initialised or not where an op asked; with other
    answers the Program is another one. guards: sizes that must not be negative; for feeds with which one is, it is another one too.
    """

    program: Program
    feeds: tuple[Tensor, ...]
    fetches: tuple[Tensor, ...]
    reads: tuple[str, ...]
    answers: tuple[tuple[str, bool], ...]
    operations: tuple[Operation, ...]
    guards: tuple[IndexExpr, ...] = ()

    def fits(self, sizes: Mapping[str, int]) -> bool:
        """Whether the Program may serve these values of its symbols."""
        return all(evaluate(g, sizes) >= 0 for g in self.guards)


def symbolic_pattern(feeds: Sequence[Feed]) -> Pattern:
    """Sizes that the graph leaves unknown as symbols, equal ones shared. A 1 or 0 beside others stays a number: it may broadcast."""
    pairs = [(n, d) for f in feeds if f.known is None for n, d in zip(f.shape, _static(f.tensor, len(f.shape)), strict=True)]
    unknown = {n for n, d in pairs if d is None}
    fixed = {0, 1} if len(unknown) > 1 else {0}
    names: dict[int, str] = {}
    sizes = []
    for feed in feeds:
        row: list[int | str] = []
        for number, static in zip(feed.shape, _static(feed.tensor, len(feed.shape)), strict=True):
            if static is not None or number in fixed or feed.known is not None:
                row.append(number)
            else:
                row.append(names.setdefault(number, f"s{len(names)}"))
        sizes.append(tuple(row))
    return Pattern(tuple(sizes))


def static_pattern(feeds: Sequence[Feed]) -> Pattern:
    """Every size as a number."""
    return Pattern(tuple(f.shape for f in feeds))


def _static(tensor: Tensor, rank: int) -> tuple[int | None, ...]:
    dims = tensor._shape_tuple()
    return (None,) * rank if dims is None else dims


def capture(fetches: Sequence[Tensor], targets: Sequence[Operation], feeds: Sequence[Feed], pattern: Pattern,
            variables: Variables, done: Iterable[Operation] = ()) -> Captured:  # fmt: skip
    """The Program that computes `fetches` and runs `targets`.

    done: operations that an earlier part of the same run has executed; the tensors of theirs that are needed must be fed. Raises Cut, and
    what the shape rules raise.
    """
    return _Capture(feeds, pattern, variables, set(done)).run(fetches, targets)


def needed_operations(fetches: Sequence[Tensor], targets: Iterable[Operation], hidden: set[Tensor], done: Iterable[Operation],
                      chosen: Callable[[Operation], Sequence[Tensor]]) -> list[Operation]:  # fmt: skip
    """Every operation that must run, inputs before users. `hidden` tensors are fed, which hides what is behind them; `chosen` gives the
    inputs that an operation really needs."""
    seen = set(done)
    stack = [t.op for t in fetches if t not in hidden] + list(targets)
    found: list[Operation] = []
    while stack:
        op = stack.pop()
        if op in seen:
            continue
        seen.add(op)
        found.append(op)
        stack.extend(t.op for t in chosen(op) if t not in hidden)
        stack.extend(_control_inputs(op, hidden))
    found.sort(key=_created)
    return found if _is_ordered(found, hidden) else _topological(found, hidden)


def _created(op: Operation) -> int:
    return op._id


def _waits_for(op: Operation, hidden: set[Tensor]) -> Iterable[Operation]:
    yield from (t.op for t in op.inputs if t not in hidden)
    yield from _control_inputs(op, hidden)


def _control_inputs(op: Operation, hidden: set[Tensor]) -> Iterable[Operation]:
    """Operations to wait for; one whose results are all fed has nothing left to do."""
    return (c for c in op._control_inputs if not c.outputs or not all(t in hidden for t in c.outputs))


def _is_ordered(ops: Sequence[Operation], hidden: set[Tensor]) -> bool:
    return all(before._id < op._id for op in ops for before in _waits_for(op, hidden))


def _topological(ops: Sequence[Operation], hidden: set[Tensor]) -> list[Operation]:
    """Kahn's order, the earliest created first among those that are ready."""
    from heapq import heapify, heappop, heappush

    inside = set(ops)
    waiting = {op: {b for b in _waits_for(op, hidden) if b in inside} for op in ops}
    users: dict[Operation, list[Operation]] = {op: [] for op in ops}
    for op, before in waiting.items():
        for b in before:
            users[b].append(op)
    ready = [(op._id, op) for op, before in waiting.items() if not before]
    heapify(ready)
    out: list[Operation] = []
    left = {op: len(before) for op, before in waiting.items()}
    while ready:
        _, op = heappop(ready)
        out.append(op)
        for user in users[op]:
            left[user] -= 1
            if not left[user]:
                heappush(ready, (user._id, user))
    if len(out) < len(ops):
        stuck = next(op for op in ops if left[op])
        raise InvalidArgumentError(None, stuck, f"Graph is invalid, contains a cycle through {stuck.name}")
    return out


class _Memory(NamedTuple):
    """A tensor that is a variable's own memory."""

    variable: str


class _Version(NamedTuple):
    """A variable after an update. `bit` marks the update in masks of what happened before."""

    bit: int
    value: Value


class _Capture:
    def __init__(self, feeds: Sequence[Feed], pattern: Pattern, variables: Variables, done: set[Operation]) -> None:
        self.b = ProgramBuilder()
        self.variables = variables
        self.answers: dict[str, bool] = {}
        self.done = done
        self.values: dict[Tensor, Value | _Memory] = {}
        self.initial: dict[str, Value] = {}
        self.versions: dict[str, list[_Version]] = {}
        self.before: dict[Operation, int] = {}  # updates ordered before (or at) an operation, one bit each
        self.next_bit = 1
        self.guards: list[IndexExpr] = []
        self.symbols: dict[str, tuple[str, int]] = {}
        self.producers: dict[int, Tensor] = {}
        self.fed = tuple(f.tensor for f in feeds)
        for feed, sizes in zip(feeds, pattern.sizes, strict=True):
            self._enter(feed, sizes)

    def _enter(self, feed: Feed, sizes: tuple[int | str, ...]) -> None:
        dims: list[Index] = []
        for axis, size in enumerate(sizes):
            if isinstance(size, str):
                self.symbols.setdefault(size, (feed.tensor.name, axis))
                dims.append(symbol(size, 1))
            else:
                dims.append(size)
        if feed.known is not None:
            self.values[feed.tensor] = self.b.constant(feed.known, feed.tensor.dtype.base_dtype)
        else:
            self.values[feed.tensor] = self.b.input(Source.FEED, feed.tensor.name, feed.tensor.dtype.base_dtype, dims)

    def run(self, fetches: Sequence[Tensor], targets: Sequence[Operation]) -> Captured:
        hidden = set(self.fed)
        ops = needed_operations(fetches, targets, hidden, self.done, self._chosen)
        for op in ops:
            mask = 0
            for other in _waits_for(op, hidden):
                mask |= self.before.get(other, 0)
            self.before[op] = mask
            self.b.origins = (Origin(op.name, op.created_at),)
            try:
                self._operation(op, mask)
            except ValueError as error:
                error.operation = op  # type: ignore[attr-defined]  # the session names it, with what it was given
                given = [self.values.get(t) for t in op.inputs]
                error.shapes = [v.shape for v in given if isinstance(v, Value)]  # type: ignore[attr-defined]
                raise
        outputs = [self._read(tensor, -1) for tensor in fetches]
        for name, versions in self.versions.items():
            self.b.updates[name] = versions[-1].value
        program = self.b.finish(outputs, self.symbols)
        guards = self._guards(program, ops)
        used = {v.id for n in program.nodes for v in n.inputs} | {v.id for v in program.outputs}
        moved = {v.id: name for name, v in program.updates.items()}
        reads = [n for n, v in self.initial.items() if v.id in used or moved.get(v.id, n) != n]
        return Captured(program, self.fed, tuple(fetches), tuple(reads), tuple(self.answers.items()), tuple(ops), guards)

    def _guards(self, program: Program, ops: Sequence[Operation]) -> tuple[IndexExpr, ...]:
        """What the Program takes for granted of its symbols."""
        guards: dict[IndexExpr, None] = {}
        for node in program.nodes:
            try:
                for size in assumptions(node):
                    if isinstance(size, IndexExpr):
                        guards[size] = None
                    elif size < 0:
                        wrong = any(size in v.shape for v in node.outputs)
                        raise Inexact(f"Dimension {size} must be >= 0" if wrong else f"{node!r}: a position of {size}")
            except Inexact as error:
                name = node.origins[-1].name if node.origins else ""
                error.operation = next((op for op in ops if op.name == name), None)  # type: ignore[attr-defined]
                raise
        return tuple(g for g in dict.fromkeys((*self.guards, *guards)) if may_be_negative(g))

    # -- one operation -----------------------------------------------------------------------------------------------------------

    def _operation(self, op: Operation, mask: int) -> None:
        definition = op.definition
        kind = definition.kind
        if kind is Kind.SOURCE:
            if definition.asks:
                self._answer(op, mask)
            else:
                self._source(op)
            return
        if definition.forwards and op.inputs and isinstance(self.values.get(op.inputs[0]), _Memory):
            self.values[op.outputs[0]] = self.values[op.inputs[0]]
            return
        if not getattr(definition, "validate_shape", True):
            self._reshape(op, mask)
        # an update continues from the latest one, ordered or not: none may be lost
        operands = [self._read(t, -1 if k in definition.updates else mask) for k, t in enumerate(op.inputs)]
        specs = [v.spec for v in operands]
        with taken_for_equal() as equal:
            if kind in (Kind.COMPOSITE, Kind.STATE):
                definition.infer(*specs)  # refuses operands that decompose() counts on being right
            self.guards += [size for size in definition.requires(*specs) if isinstance(size, IndexExpr)]
            try:
                results = self.b.apply(definition, *operands)
            except DataDependent as error:
                raise Cut([self._graph_tensor(error.value, op)]) from None
        self.guards += [size for size in equal if isinstance(size, IndexExpr)]
        if kind is Kind.STATE:
            self._update(op, results if isinstance(results, tuple) else (results,))
            return
        found = results if isinstance(results, (tuple, list)) else (results,)
        for tensor, value in zip(op.outputs, found, strict=True):
            if kind is Kind.HOST and not all(isinstance(d, (int, IndexExpr)) for d in value.shape):
                raise Cut(op.outputs)
            self.values[tensor] = value
            self.producers.setdefault(value.id, tensor)

    def _reshape(self, op: Operation, mask: int) -> None:
        """An assignment that may give a variable of unknown shape another one: the old value, which it ignores, gets the new shape."""
        memory = self.values[op.inputs[0]]
        if isinstance(memory, _Memory) and memory.variable not in self.initial and not op.inputs[0].shape.is_fully_defined():
            value = self._read(op.inputs[1], mask)
            self.initial[memory.variable] = self.b.input(Source.STATE, memory.variable, value.dtype, value.shape)

    def _source(self, op: Operation) -> None:
        if not op.outputs:
            return
        tensor = op.outputs[0]
        if tensor.dtype._is_ref_dtype:
            self.values[tensor] = _Memory(op.name)
            return
        contents = op.definition.contents()
        if contents is None:
            shape = tensor.shape
            raise InvalidArgumentError(
                None, op, f"You must feed a value for placeholder tensor '{op.name}' with dtype {_type_name(tensor)}"
                + ("" if shape.ndims is None else f" and shape [{','.join('?' if d is None else str(d) for d in shape.as_list())}]"),
            )  # fmt: skip
        self.values[tensor] = self.b.constant(contents, tensor.dtype)

    def _chosen(self, op: Operation) -> Sequence[Tensor]:
        """The inputs that are needed: a variable, or what stands in for one without a value."""
        if op.definition.asks and len(op.inputs) == 2:
            return op.inputs[:1] if self._initialized(op.inputs[0]) else op.inputs[1:]
        return op.inputs

    def _initialized(self, reference: Tensor) -> bool:
        name = _owner(reference)
        if name not in self.answers:
            self.answers[name] = self.variables.initialized(name)
        return self.answers[name]

    def _answer(self, op: Operation, mask: int) -> None:
        if len(op.inputs) == 1:
            written = any(v.bit & mask for v in self.versions.get(_owner(op.inputs[0]), ()))
            known = np.array(written or self._initialized(op.inputs[0]))
            self.values[op.outputs[0]] = self.b.constant(known, op.outputs[0].dtype)
        else:
            (tensor,) = self._chosen(op)
            self.values[op.outputs[0]] = self.values[tensor]

    def _graph_tensor(self, value: Value, user: Operation) -> Tensor:
        """The graph tensor that is `value`, or the input of `user` that it was made from."""
        found = self.producers.get(value.id)
        if found is not None:
            return found
        for tensor in user.inputs:
            entry = self.values.get(tensor)
            if isinstance(entry, Value) and (entry is value or entry.known is None):
                return tensor
        return user.inputs[0]

    # -- variables ---------------------------------------------------------------------------------------------------------------

    def _read(self, tensor: Tensor, mask: int) -> Value:
        """The value of a tensor for a reader that comes after the updates in `mask`."""
        entry = self.values[tensor]
        return entry if isinstance(entry, Value) else self._version(entry.variable, mask)

    def _version(self, name: str, mask: int) -> Value:
        current = self.initial.get(name)
        if current is None:
            current = self.initial[name] = self._first(name)
        for version in self.versions.get(name, ()):
            if version.bit & mask:
                current = version.value
        return current

    def _first(self, name: str) -> Value:
        tensor = self._variable_tensor(name)
        dims = tensor._shape_tuple()
        if dims is None or None in dims:
            dims = self.variables.shape(name)
        return self.b.input(Source.STATE, name, tensor.dtype.base_dtype, dims)  # type: ignore[arg-type]

    def _variable_tensor(self, name: str) -> Tensor:
        return next(t for t, v in self.values.items() if isinstance(v, _Memory) and t.op.name == name)

    def _update(self, op: Operation, results: Sequence[Any]) -> None:
        definition = op.definition
        changed = definition.updates
        names = []
        for position in changed:
            memory = self.values[op.inputs[position]]
            assert isinstance(memory, _Memory), (op, position)
            names.append(memory.variable)
        for name, value in zip(names, results, strict=False):
            self.versions.setdefault(name, []).append(_Version(self.next_bit, value))
        self.before[op] |= self.next_bit
        self.next_bit <<= 1
        rest = iter(results[len(changed) :])
        for tensor in op.outputs:
            if tensor.dtype._is_ref_dtype:
                self.values[tensor] = _Memory(names[0])
            else:
                self.values[tensor] = next(rest)


def _owner(reference: Tensor) -> str:
    """The name of the variable that a reference tensor leads back to."""
    op = reference.op
    while op.inputs:
        op = op.inputs[op.definition.updates[0] if op.definition.updates else 0].op
    return op.name


def _type_name(tensor: Tensor) -> str:
    """The dtype as TensorFlow's C++ code prints it."""
    name = tensor.dtype.base_dtype.name
    return {"float32": "float", "float64": "double", "float16": "half"}.get(name, name)
