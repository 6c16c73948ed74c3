"""From fetches and fed arrays to results: capturing, compiling and binding what a run needs, once for each kind of run.

    Engine     a session's variables, arena and executor
    Step       one signature (fetches, targets, fed tensors); runs it for arrays of any shapes

Most signatures are one native plan. Where Python must run in between (host ops), or a size depends on data, a Stage runs the
parts one after the other.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from graphflow import dtypes, errors
from graphflow.compiler.capture import (
    Captured,
    Cut,
    Feed,
    Pattern,
    capture,
    needed_operations,
    static_pattern,
    symbolic_pattern,
)
from graphflow.config import options
from graphflow.graph.graph import Graph
from graphflow.graph.op import Effect, Kind
from graphflow.graph.operation import Operation
from graphflow.graph.printer import graph_text
from graphflow.graph.tensor import Tensor
from graphflow.runtime.storage import Storage
from graphflow.runtime.tracing import current

Array = np.ndarray[Any, Any]
KEPT = 64  # plans that a signature keeps bound


class Engine:
    """What the steps of one session share."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.storage = Storage()
        self.lock = threading.RLock()
        self.compiled_programs = 0
        self.bound_plans = 0
        self.trace: Any = current()  # a Trace where runs are to be noted
        self._executor: Any = None
        self._arena: Any = None

    @property
    def executor(self) -> Any:
        """The pool of workers that runs native plans; made at the first compilation."""
        if self._executor is None:
            from graphflow.runtime.executor import default_executor  # pulls in the code generator

            self._executor = default_executor()
        return self._executor

    @property
    def arena(self) -> Any:
        """The memory that all plans of the session use for intermediate values."""
        if self._arena is None:
            from graphflow.runtime.buffers import Arena

            self._arena = Arena()
        return self._arena

    def close(self) -> None:
        """Gives the session's memory back."""
        self.storage.release()
        if self._arena is not None:
            self._arena.release()

    def require(self, names: Sequence[str]) -> None:
        """Refuses a run that reads variables without a value."""
        initialized = self.storage.initialized_names
        for name in names:
            if name not in initialized and not name.startswith("random/"):
                op = self.graph._by_name.get(name)
                raise errors.op_error(
                    errors.FailedPreconditionError,
                    op,
                    f"Attempting to use uninitialized value {name}",
                    "Run its initializer first: sess.run(tf.global_variables_initializer()).",
                )


class Compiled:
    """A captured and compiled Program, its plans by shapes."""

    def __init__(self, engine: Engine, captured: Captured, program: Any) -> None:
        self.engine = engine
        self.captured = captured
        self.program = program
        self.launches: dict[Any, Any] = {}
        self.moves = -1
        self.arena_address = 0
        self.reads = tuple(s.name for s in program.states if s.reads)
        self.writes = tuple(s.name for s in program.states if s.writes)
        by_name = engine.graph._by_name
        self.shapes = [  # of variables whose shape the graph leaves open
            (s.name, s.shape)
            for s in program.states
            if s.reads and s.name in by_name and not by_name[s.name].outputs[0].shape.is_fully_defined()
        ]
        self.conditional = bool(captured.answers or self.shapes)

    def holds(self, sizes: Mapping[str, int] | None = None) -> bool:
        """Whether what capture was told of the variables is still so, and the Program may serve these values of its symbols."""
        storage = self.engine.storage
        return (
            (sizes is None or self.captured.fits(sizes))
            and all(storage.initialized(name) is answer for name, answer in self.captured.answers)
            and all(name in storage and storage[name].shape == shape for name, shape in self.shapes)
        )

    def run(self, arrays: Sequence[Array], shapes: Any) -> list[Array]:
        """The fetched values."""
        engine = self.engine
        storage = engine.storage
        with engine.lock:
            if self.moves != storage.moves or self.arena_address != engine.arena.address:
                self.launches.clear()
            launch = self.launches.get(shapes)
            if launch is None:
                launch = self._launch(shapes)
            if not storage.initialized_names.issuperset(self.reads):
                engine.require(self.reads)
            trace = engine.trace
            results: list[Array] = launch.run(arrays) if trace is None else launch.run_traced(arrays, trace)
            if self.writes:
                storage.initialized_names.update(self.writes)
        return results

    def _launch(self, shapes: Any) -> Any:
        from graphflow.runtime.launch import Launch

        engine = self.engine
        bound = self.program.bind(shapes)
        for name, shape, dtype in bound.states:
            if name in self.reads:
                if not name.startswith("random/"):
                    engine.require((name,))
                if name in engine.storage and engine.storage[name].shape != shape:
                    raise errors.op_error(
                        errors.InvalidArgumentError,
                        engine.graph._by_name.get(name),
                        f"its value has shape {engine.storage[name].shape}, this run was built for {shape}",
                    )
            engine.storage.prepare(name, shape, dtype)
        launch = Launch(bound, engine.storage, engine.executor, engine.arena)
        engine.bound_plans += 1
        if len(self.launches) >= KEPT:
            self.launches.pop(next(iter(self.launches)))
        self.moves = engine.storage.moves
        self.arena_address = engine.arena.address
        self.launches[shapes] = launch
        return launch


class Step:
    """One signature of a session: flat fetches, targets and fed tensors."""

    def __init__(
        self,
        engine: Engine,
        fetches: Sequence[Tensor],
        targets: Sequence[Operation],
        feeds: Sequence[Tensor],
        known: frozenset[Tensor] = frozenset(),
        done: frozenset[Operation] = frozenset(),
    ) -> None:
        self.engine = engine
        self.fetches = tuple(fetches)
        self.targets = tuple(targets)
        self.feeds = tuple(feeds)
        self.known = known  # fed tensors whose contents, not only shapes, decide what is captured
        self.done = done
        self._by_pattern: dict[Any, list[Compiled]] = {}
        self._by_shapes: dict[Any, Compiled] = {}

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        """The fetched values for these feeds. Raises Cut where a part must be computed first."""
        shapes = tuple([a.shape for a in arrays])
        compiled = self._by_shapes.get(shapes)
        if compiled is None or compiled.conditional and not compiled.holds():
            compiled = self.compiled(arrays)
        return compiled.run(arrays, shapes)

    def compiled(self, arrays: Sequence[Array]) -> Compiled:
        """The Program for feeds like these, compiled."""
        with self.engine.lock:
            feeds = [
                Feed(t, a.shape, a if t in self.known else None) for t, a in zip(self.feeds, arrays, strict=True)
            ]
            symbolic, static = symbolic_pattern(feeds), static_pattern(feeds)
            contents = tuple(a.tobytes() for t, a in zip(self.feeds, arrays, strict=True) if t in self.known)
            found = self._find((symbolic, contents), symbolic.values(feeds)) or self._find((static, contents), {})
            if found is None:
                found = self._compile(feeds, symbolic, static, contents)
            if not contents:
                self._by_shapes[tuple([a.shape for a in arrays])] = found
            return found

    def _find(self, key: Any, sizes: Mapping[str, int]) -> Compiled | None:
        return next((c for c in self._by_pattern.get(key, ()) if c.holds(sizes)), None)

    def _compile(self, feeds: Sequence[Feed], symbolic: Pattern, static: Pattern, contents: Any) -> Compiled:
        from graphflow.compiler.pipeline import compile_program
        from graphflow.runtime.jit import default_jit

        try:
            captured, pattern = self._capture(feeds, symbolic), symbolic
            if not captured.fits(symbolic.values(feeds)):
                captured, pattern = self._capture(feeds, static), static
        except (ValueError, TypeError):
            if symbolic == static:
                raise
            captured, pattern = self._capture(feeds, static), static
        names = [t.name for t in self.feeds if t not in self.known]
        chosen = options()
        text = graph_text(captured.operations) if chosen.dump_to else ""
        program = compile_program(captured.program, default_jit(), chosen, names, text)
        self.engine.compiled_programs += 1
        compiled = Compiled(self.engine, captured, program)
        self._by_pattern.setdefault((pattern, contents), []).append(compiled)
        return compiled

    def _capture(self, feeds: Sequence[Feed], pattern: Pattern) -> Captured:
        return capture(self.fetches, self.targets, feeds, pattern, self.engine.storage, self.done)


_COMPUTED = (Kind.ELEMENTWISE, Kind.MOVEMENT, Kind.KERNEL, Kind.COMPOSITE)


def runs_in_python(op: Operation) -> bool:
    """Whether a run stops for it: a host op, any op that makes strings of strings, which kernels cannot hold, or a variable of a type
    that they cannot hold. A host op without an effect whose results' sizes are known before it runs is part of the plan instead."""
    kind = op.definition.kind
    if kind is Kind.HOST:
        return op.definition.effect is not Effect.PURE or not op.definition.sized
    if not op.outputs:
        return False
    if _unheld(op.outputs[0]):
        return True
    if op.definition.forwards:
        return any(_unheld(t) for t in op.inputs)
    return kind in _COMPUTED and op.outputs[0].dtype is dtypes.string


def _unheld(tensor: Tensor) -> bool:
    """Whether it is a variable's memory, of a type that kernels do not know: strings, complex numbers, bfloat16, quantised numbers."""
    return tensor.dtype._is_ref_dtype and tensor.dtype.kernel_type is None


def _independent(needed: Sequence[Operation], hosts: Sequence[Operation]) -> list[Operation]:
    """Those of `hosts` that wait for none of the others. `needed` is in an order in which ops follow what they wait for."""
    behind = set(hosts)
    for op in needed:
        if op not in behind and any(t.op in behind for t in op.inputs) or any(c in behind for c in op._control_inputs):
            behind.add(op)
    return [op for op in hosts if not any(t.op in behind for t in op.inputs) and not any(c in behind for c in op._control_inputs)]


class Stage:
    """Runs a signature in parts, keeping the values that pass from one part to the next. Serves one run (or one partial run)."""

    def __init__(self, engine: Engine, steps: dict[Any, Step], values: dict[Tensor, Array]) -> None:
        self.engine = engine
        self.steps = steps
        self.values = values
        self.known: set[Tensor] = set()
        self.done: set[Operation] = set()

    def run(self, fetches: Sequence[Tensor], targets: Sequence[Operation]) -> list[Array]:
        """The values of `fetches` after running `targets`."""
        whole = set(self._needed(fetches, targets))
        self._evaluate(fetches, targets, whole)
        return [self.values[t] for t in fetches]

    def _needed(self, fetches: Sequence[Tensor], targets: Sequence[Operation]) -> list[Operation]:
        return needed_operations(fetches, targets, set(self.values), self.done, self._chosen)

    def _chosen(self, op: Operation) -> Sequence[Tensor]:
        """The inputs that are needed: of a variable and what stands in for it, one."""
        if op.definition.asks and len(op.inputs) == 2:
            return op.inputs[:1] if self.engine.storage.initialized(op.inputs[0].op.name) else op.inputs[1:]
        return op.inputs[1:] if op.type == "Assign" and _unheld(op.inputs[0]) else op.inputs

    def _evaluate(self, fetches: Sequence[Tensor], targets: Sequence[Operation], whole: set[Operation]) -> None:
        while True:
            needed = self._needed(fetches, targets)
            hosts = [op for op in needed if runs_in_python(op)]
            if not hosts:
                break
            ready = _independent(needed, hosts)
            if len(ready) > 1:  # what several of them need is computed together, once
                inputs = [t for op in ready for t in self._chosen(op) if t not in self.values]
                waited = [c for op in ready for c in op._control_inputs if c not in self.done]
                if inputs or waited:
                    self._evaluate(tuple(dict.fromkeys(inputs)), tuple(dict.fromkeys(waited)), whole)
            together = [op for op in ready if op.definition.concurrent]
            for host in ready:
                if len(together) < 2 or host not in together:
                    self._host(host, whole)
            if len(together) > 1:  # they may wait for each other, as TensorFlow's may
                with ThreadPoolExecutor(len(together)) as pool:
                    for future in [pool.submit(self._host, host, whole) for host in together]:
                        future.result()
        missing = [t for t in fetches if t not in self.values]
        left = [op for op in targets if op not in self.done]
        if missing or left:
            self._native(missing, left, needed, whole)

    def _host(self, op: Operation, whole: set[Operation]) -> None:
        """Calls Python, after everything that the operation waits for."""
        self._evaluate(self._chosen(op), op._control_inputs, whole)
        definition = op.definition
        if definition.kind in (Kind.SOURCE, Kind.STATE):
            self._memory(op)
            return
        call = definition.run if definition.kind is Kind.HOST else definition.reference
        try:
            results = call(*[self.values[t] for t in op.inputs])
        except errors.OpError as error:
            raise type(error)(op.node_def, op, errors.describe(op, error.message)) from None
        found = results if isinstance(results, (tuple, list)) else (results,)
        if op.outputs:
            self.values.update((t, np.asarray(r)) for t, r in zip(op.outputs, found, strict=True))
        self.done.add(op)

    def _memory(self, op: Operation) -> None:
        """Reads or assigns a variable that no kernel can hold."""
        storage = self.engine.storage
        if op.definition.kind is Kind.SOURCE:
            self.engine.require((op.name,))
            self.values[op.outputs[0]] = storage[op.name].copy()
        elif op.type == "Assign" and not op.inputs[0].op.inputs:
            variable, value = op.inputs[0], self.values[op.inputs[1]]
            if getattr(op.definition, "validate_shape", True) and not variable.shape.is_compatible_with(value.shape):
                wrong = f"Assign requires shapes of both tensors to match. lhs shape= {variable.shape} rhs shape= {list(value.shape)}"
                raise errors.op_error(errors.InvalidArgumentError, op, wrong)
            storage.assign(variable.op.name, value)
            self.values[variable] = self.values[op.outputs[0]] = value
        else:
            wrong = f"graphflow does not update variables of type {op.outputs[0].dtype.base_dtype.name} in place"
            raise errors.op_error(errors.UnimplementedError, op, wrong, "Use tf.assign.")
        self.done.add(op)

    def _native(
        self, fetches: Sequence[Tensor], targets: Sequence[Operation], needed: Sequence[Operation], whole: set[Operation]
    ) -> None:
        """Runs one part. What later parts need of random numbers and updates is kept: those ops must not run again."""
        part = set(needed)
        once = [op for op in needed if op.definition.effect is Effect.RANDOM or op.definition.kind is Kind.STATE]
        later = [t for op in once for t in op.outputs if any(c in whole and c not in part for c in t._consumers)]
        wanted = tuple(dict.fromkeys([*fetches, *later]))
        feeds = tuple(self.values)
        key = (wanted, tuple(targets), feeds, frozenset(self.known), frozenset(self.done))
        step = self.steps.get(key)
        if step is None:
            step = Step(self.engine, wanted, targets, feeds, key[3], key[4])
            if len(self.steps) < KEPT:
                self.steps[key] = step
        arrays = [self.values[t] for t in feeds]
        try:
            compiled = step.compiled(arrays)
        except Cut as cut:
            first = [t for t in cut.tensors if t not in self.values]
            if first:
                self._evaluate(first, (), whole)
            self.known.update(cut.tensors)
            self._evaluate(fetches, targets, whole)
            return
        plain = [a for t, a in zip(feeds, arrays, strict=True) if t not in self.known]
        results = compiled.run(plain, tuple([a.shape for a in plain]))
        self.values.update(zip(wanted, results, strict=True))
        self.done.update(once)
        self.done.update(targets)
