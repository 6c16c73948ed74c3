"""Graphs run op by op, with TensorFlow's dataflow semantics: frames, iterations and dead tensors. The oracle for control flow.

Every op has one activation per frame and iteration. It runs when all it waits for has arrived, and gives its results to those that wait for
them; where something that it takes is *dead* (stands on a branch that was not taken), its results are dead too. The ops of
`ops/control_flow/ops.py` differ:

    Switch         gives its input on one output and a dead tensor on the other
    Merge          runs as soon as one input is alive, and is dead only if all are (or the Enter that begins its loop)
    Enter          gives to the child frame: to iteration 0, or to all iterations
    NextIteration  gives to the next iteration; what is dead ends there
    Exit           gives to the parent frame; what is dead only when the frame has come to rest without a live one
    ControlTrigger runs even if what it waits for is dead

All other ops compute by their `reference`, so nothing here shares code with what compiles. Slow; for tests.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from graphflow.compiler.builder import DataDependent, ProgramBuilder
from graphflow.compiler.program import Source
from graphflow.dtypes import as_dtype
from graphflow.errors import FailedPreconditionError, InvalidArgumentError
from graphflow.graph.context import ENTERS, EXITS, MERGES, SWITCHES
from graphflow.graph.graph import Graph
from graphflow.graph.op import Effect, Kind
from graphflow.graph.operation import Operation
from graphflow.graph.tensor import Tensor
from graphflow.runtime import dataflow_arrays
from graphflow.runtime.fetches import Fetches
from graphflow.runtime.interpreter import interpret

Array = np.ndarray[Any, Any]


class _Dead:
    """The value of a tensor on a branch that was not taken."""

    def __repr__(self) -> str:
        return "DEAD"


DEAD = _Dead()


class Memory:
    """A variable's memory; the value of a reference tensor."""

    def __init__(self, op: Operation) -> None:
        self.op = op
        self.value: Array | None = None

    def read(self) -> Array:
        """Its contents."""
        if self.value is None:
            raise FailedPreconditionError(None, self.op, f"Attempting to use uninitialized value {self.op.name}")
        return self.value


class _Frame:
    """One execution of a loop, or of the whole graph."""

    def __init__(self, name: str, parent: _Frame | None, iteration: int) -> None:
        self.name = name
        self.parent, self.iteration = parent, iteration  # where its results go
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.started = 1  # iterations
        self.constants: list[tuple[Operation, tuple[Any, ...]]] = []
        self.children: dict[tuple[str, int], _Frame] = {}
        self.dead_exits: dict[Operation, None] = {}
        self.live_exits: set[Operation] = set()
        self.activations: dict[tuple[int, Operation], _Activation] = {}


class _Activation:
    """An op in one iteration of a frame, while it waits."""

    __slots__ = ("dead", "dead_inputs", "done", "pending", "values")

    def __init__(self, op: Operation, pending: int) -> None:
        self.pending = pending
        self.values: list[Any] = [None] * len(op.inputs)
        self.dead = False
        self.dead_inputs = 0
        self.done = False


class DataflowSession:
    """Runs fetches of a graph, keeping variables from run to run."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._memories: dict[Operation, Memory] = {}

    def run(self, fetches: Any, feed_dict: Mapping[Any, Any] | None = None) -> Any:
        """The values of the fetches, in their structure. Fetching what is dead is an InvalidArgumentError."""
        wanted = Fetches(self.graph, fetches)
        feeds = {}
        for key, value in (feed_dict or {}).items():
            tensor = self.graph.as_graph_element(key, allow_operation=False)
            feeds[tensor] = np.asarray(value, tensor.dtype.as_numpy_dtype)
        run = _Run(self._memories, feeds, [t.op for t in wanted.tensors if t not in feeds] + wanted.targets)
        run.execute()
        return wanted.rebuild([self._fetched(run, t, feeds) for t in wanted.tensors])

    def _fetched(self, run: _Run, tensor: Tensor, feeds: Mapping[Tensor, Array]) -> Array:
        value = feeds[tensor] if tensor in feeds else run.results.get(tensor, DEAD)
        if value is DEAD:
            text = f"Retval[0] does not have value: {tensor.name} stands on a branch that was not taken"
            raise InvalidArgumentError(None, tensor.op, text)
        return np.array(value.read() if isinstance(value, Memory) else value)


class _Run:
    """One run."""

    def __init__(self, memories: dict[Operation, Memory], feeds: Mapping[Tensor, Array], targets: Iterable[Operation]) -> None:
        self._memories = memories
        self._feeds = feeds
        self._targets = set(targets)
        self._ops = _needed(targets, feeds)
        self._pending: dict[Operation, int] = {}
        self._data_users: dict[Tensor, list[tuple[Operation, int]]] = {}
        self._control_users: dict[Operation, list[Operation]] = {}
        for op in self._ops:
            count = len(op.control_inputs)
            for slot, tensor in enumerate(op.inputs):
                if tensor not in feeds:
                    self._data_users.setdefault(tensor, []).append((op, slot))
                    count += 1
            for other in op.control_inputs:
                self._control_users.setdefault(other, []).append(op)
            self._pending[op] = count
        self._ready: deque[tuple[Operation, _Frame, int]] = deque()
        self._root = _Frame("", None, 0)
        self.results: dict[Tensor, Any] = {}

    def execute(self) -> None:
        """Runs until nothing is left to be run."""
        for op in self._ops:
            if not self._pending[op]:
                self._activation(op, self._root, 0)
                self._ready.append((op, self._root, 0))
        while True:
            while self._ready:
                self._fire(*self._ready.popleft())
            frame = self._resting()
            if frame is None:
                return
            exits = [op for op in frame.dead_exits if op not in frame.live_exits]
            frame.dead_exits = {}
            for op in exits:
                assert frame.parent is not None
                self._give(op, frame.parent, frame.iteration, (DEAD,), True)

    def _resting(self) -> _Frame | None:
        """The innermost frame with dead exits that nobody has heard of."""
        found: list[_Frame] = []
        todo = [self._root]
        while todo:
            frame = todo.pop()
            todo += frame.children.values()
            if any(op not in frame.live_exits for op in frame.dead_exits):
                found.append(frame)
        return max(found, key=lambda f: f.depth, default=None)

    def _activation(self, op: Operation, frame: _Frame, iteration: int) -> _Activation:
        found = frame.activations.get((iteration, op))
        if found is None:
            found = frame.activations[iteration, op] = _Activation(op, self._pending[op])
            for slot, tensor in enumerate(op.inputs):
                if tensor in self._feeds:
                    found.values[slot] = self._feeds[tensor]
        return found

    # -- firing ------------------------------------------------------------------------------------------------------------

    def _fire(self, op: Operation, frame: _Frame, iteration: int) -> None:
        activation = frame.activations[iteration, op]
        kind = op.type
        dead = activation.dead and kind != "ControlTrigger"
        if dead:
            outputs: tuple[Any, ...] = (DEAD,) * len(op.outputs)
        else:
            outputs = self._outputs(op, activation.values)
        if frame is self._root and op in self._targets and kind not in ENTERS:
            self.results.update(zip(op.outputs, outputs, strict=True))
        activation.values = []
        if kind in ENTERS:
            self._enter(op, frame, iteration, outputs, dead)
        elif kind in EXITS:
            if dead:
                frame.dead_exits[op] = None
                return
            frame.live_exits.add(op)
            assert frame.parent is not None
            self._give(op, frame.parent, frame.iteration, outputs, dead)
        elif kind in ("NextIteration", "RefNextIteration"):
            if not dead:
                self._start(frame, iteration + 1)
                self._give(op, frame, iteration + 1, outputs, dead)
        else:
            self._give(op, frame, iteration, outputs, dead)

    def _enter(self, op: Operation, frame: _Frame, iteration: int, outputs: tuple[Any, ...], dead: bool) -> None:
        definition: Any = op.definition
        key = definition.frame_name, iteration
        child = frame.children.get(key)
        if child is None:
            child = frame.children[key] = _Frame(definition.frame_name, frame, iteration)
        if definition.is_constant:
            child.constants.append((op, outputs))
            for started in range(child.started):
                self._give(op, child, started, outputs, dead)
        else:
            self._give(op, child, 0, outputs, dead)

    def _start(self, frame: _Frame, iteration: int) -> None:
        while frame.started <= iteration:
            frame.started += 1
            for op, outputs in frame.constants:
                self._give(op, frame, frame.started - 1, outputs, outputs[0] is DEAD)

    def _give(self, op: Operation, frame: _Frame, iteration: int, outputs: tuple[Any, ...], dead: bool) -> None:
        """Hands the results of an op, and the fact that it ran, to those that wait for them."""
        if frame is self._root and op in self._targets and op.type in EXITS:
            self.results.update(zip(op.outputs, outputs, strict=True))
        for tensor, value in zip(op.outputs, outputs, strict=True):
            for user, slot in self._data_users.get(tensor, ()):
                activation = self._activation(user, frame, iteration)
                if activation.done:  # a Merge that has one input already
                    continue
                activation.pending -= 1
                if value is DEAD:
                    activation.dead_inputs += 1
                    if user.type not in MERGES or op.type in ENTERS:
                        activation.dead = True
                elif user.type not in MERGES or not any(v is not None for v in activation.values):
                    activation.values[slot] = value
                self._maybe_ready(user, frame, iteration, activation)
        for user in self._control_users.get(op, ()):
            activation = self._activation(user, frame, iteration)
            activation.pending -= 1
            activation.dead = activation.dead or (dead and user.type not in MERGES)
            self._maybe_ready(user, frame, iteration, activation)

    def _maybe_ready(self, op: Operation, frame: _Frame, iteration: int, activation: _Activation) -> None:
        if activation.done:
            return
        if op.type in MERGES:
            waiting = len(op.inputs) - activation.dead_inputs - sum(v is not None for v in activation.values)
            if activation.pending > waiting:  # for a control input
                return
            alive = any(v is not None for v in activation.values)
            activation.dead = not alive and (activation.dead or activation.dead_inputs == len(op.inputs))
            if not alive and not activation.dead:
                return
        elif activation.pending:
            return
        activation.done = True
        self._ready.append((op, frame, iteration))

    # -- computing ---------------------------------------------------------------------------------------------------------

    def _outputs(self, op: Operation, values: Sequence[Any]) -> tuple[Any, ...]:
        definition, kind = op.definition, op.type
        if kind in MERGES:
            chosen = next(k for k, v in enumerate(values) if v is not None)
            return values[chosen], np.int32(chosen)
        if kind in SWITCHES:
            return (DEAD, values[0]) if bool(self._read(values[1])) else (values[0], DEAD)
        if definition.kind is Kind.CONTROL and not kind.startswith("TensorArray"):
            return tuple(values)  # Enter, Exit, NextIteration, LoopCond; nothing for ControlTrigger
        if kind == "VariableV2":
            if op not in self._memories:
                self._memories[op] = Memory(op)
            return (self._memories[op],)
        if kind == "RefIdentity":
            return (values[0],)
        if definition.kind is Kind.STATE:
            return self._update(op, values)
        if kind == "IsVariableInitialized":
            return (np.bool_(values[0].value is not None),)
        values = [self._read(v) for v in values]
        if definition.kind is Kind.CONTROL:
            return dataflow_arrays.run(op, values)
        if kind == "NoOp":
            return ()
        if definition.kind is Kind.SOURCE:
            contents = definition.contents()
            if contents is None:
                raise InvalidArgumentError(
                    None, op, f"You must feed a value for placeholder tensor '{op.name}' with dtype {op.outputs[0].dtype.name}"
                )
            return (contents,)
        if definition.effect is Effect.RANDOM:
            raise NotImplementedError(f"{op.name}: random numbers come from the session; feed {op.outputs[0].name}")
        with np.errstate(all="ignore"):
            found = definition.run(*values) if definition.kind is Kind.HOST else definition.reference(*values)
        results = found if isinstance(found, tuple) else () if not op.outputs else (found,)
        return tuple(self._checked(t, r) for t, r in zip(op.outputs, results, strict=True))

    def _read(self, value: Any) -> Any:
        return value.read() if isinstance(value, Memory) else value

    def _checked(self, tensor: Tensor, result: Any) -> Any:
        """A result, once it is what the graph says."""
        array = np.asarray(result)
        typed = tensor.dtype.kernel_type is None or array.dtype == tensor.dtype.as_numpy_dtype
        if not typed or not tensor.shape.is_compatible_with(array.shape):
            raise TypeError(f"{tensor!r}: the reference gives {array.dtype}{list(array.shape)}")
        return array

    def _update(self, op: Operation, values: Sequence[Any]) -> tuple[Any, ...]:
        """An op that changes variables, through what it is made of."""
        if op.type == "Assign":  # the variable may have no value yet
            new = [np.array(self._read(values[1]))]
        else:
            new = _composed(op.definition, [np.asarray(self._read(v)) for v in values])
        for slot, array in zip(op.definition.updates, new, strict=True):
            values[slot].value = array
        return tuple(values[: len(op.outputs)])


def _composed(definition: Any, arrays: Sequence[Array]) -> list[Array]:
    """The new values that a state op's decomposition gives, by the interpreter of Programs."""
    for literal in (False, True):  # operands that are sizes must be known
        b = ProgramBuilder()
        given = {}
        values = []
        for slot, array in enumerate(arrays):
            dtype = as_dtype(array.dtype)
            if literal and slot not in definition.updates:
                values.append(b.constant(array, dtype))
            else:
                values.append(b.input(Source.FEED, f"x{slot}", dtype, array.shape))
                given[f"x{slot}"] = array
        try:
            results = definition.decompose(b, *values)
        except DataDependent:
            continue
        outputs, _ = interpret(b.finish(list(results) if isinstance(results, tuple) else [results]), given)
        return outputs
    raise TypeError(f"{definition!r} cannot be taken apart")


def _needed(targets: Iterable[Operation], feeds: Mapping[Tensor, Array]) -> list[Operation]:
    """The operations that the targets wait for, in the order of their making."""
    found: set[Operation] = set()
    todo = list(targets)
    while todo:
        op = todo.pop()
        if op not in found:
            found.add(op)
            todo += [t.op for t in op.inputs if t not in feeds]
            todo += op.control_inputs
    return sorted(found, key=lambda op: op._id)
