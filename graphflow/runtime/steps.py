"""From fetches and fed arrays to results: capturing, compiling and binding what a run needs, once for each kind of run.

    Engine     a session's variables, arena and executor
    Step       one signature (fetches, targets, fed tensors); runs it for arrays of any shapes

Most signatures are one native plan. For the others runtime/stages.py runs parts one after the other.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from graphflow import errors
from graphflow.compiler.beginnings import Beginnings
from graphflow.compiler.capture import (
    Captured,
    Cut,
    Feed,
    Irregular,
    Pattern,
    Stepwise,
    capture,
    static_pattern,
    symbolic_pattern,
)
from graphflow.compiler.control import Needed
from graphflow.compiler.passes.clusters import Past
from graphflow.compiler.presumptions import Presumption
from graphflow.compiler.templates import Templates
from graphflow.config import options
from graphflow.graph.graph import Graph
from graphflow.graph.operation import Operation
from graphflow.graph.tensor import Tensor
from graphflow.ops.queue_state import Deadline
from graphflow.runtime.storage import Storage
from graphflow.runtime.tracing import current

Array = np.ndarray[Any, Any]
REFUSALS = (Cut, Irregular, Stepwise)
KEPT = 64  # plans that a signature keeps bound
MANY = 20_000  # objects that a program leaves, which Python's search for garbage would take milliseconds to go through


class Engine:
    """What the steps of one session share."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.storage = Storage()
        self.templates = Templates()
        self.beginnings = Beginnings()
        self.past = Past()
        self.lock = threading.RLock()
        self.deadline = Deadline(None)
        self.kept: dict[Any, Any] = {"deadline": self.deadline}  # what host ops keep between runs: tensors by their handles, queues
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

    @contextmanager
    def tracing(self, trace: Any) -> Iterator[None]:
        """Runs in this block are noted in `trace`, and there only. No other thread runs meanwhile."""
        with self.lock:
            before, self.trace = self.trace, trace
            try:
                yield
            finally:
                self.trace = before

    def close(self) -> None:
        """Gives the session's memory back."""
        self.storage.release()
        for waited_for in list(self.kept.values()):
            if hasattr(waited_for, "cancel"):
                waited_for.cancel()
        self.kept.clear()
        if self._arena is not None:
            self._arena.release()

    def require(self, names: Sequence[str]) -> None:
        """Refuses a run that reads variables without a value."""
        initialized = self.storage.initialized_names
        for name in names:
            if name not in initialized and not name.startswith("random/"):
                op = self.graph._by_name.get(name)
                wrong = f"Attempting to use uninitialized value {name}"
                if op is None or not op.outputs[0].dtype._is_ref_dtype:
                    wrong = (
                        f"Error while reading resource variable {name} from Container: localhost. This could mean that the variable was "
                        f"uninitialized. Not found: Resource localhost/{name} does not exist"
                    )
                raise errors.op_error(
                    errors.FailedPreconditionError,
                    op,
                    wrong,
                    "Run its initializer first: sess.run(tf.global_variables_initializer()).",
                )


class Outgrown(Exception):
    """A variable's value no longer has the shape that a Program was compiled for, or sizes are not what was presumed of them."""

    def __init__(self, what: str, refuted: Sequence[Presumption] = ()) -> None:
        super().__init__(what)
        self.refuted = tuple(refuted)


class Overrun(Exception):
    """A size that depends on data is larger than the memory that was set aside for it. `changed`: whether the run had begun to change
    variables."""

    def __init__(self, symbol: str, size: int, changed: bool) -> None:
        super().__init__(f"{symbol} is {size}")
        self.symbol = symbol
        self.size = size
        self.changed = changed


class Compiled:
    """A captured and compiled Program, its plans by shapes."""

    def __init__(self, engine: Engine, captured: Captured, program: Any) -> None:
        self.engine = engine
        self.captured = captured
        self.program = program
        self.launches: dict[Any, Any] = {}
        self.moves = -1
        self.settled = -1  # the storage's `moves` at a run that found all it reads and noted all it writes: names are lost with a move only
        self.arena_address = 0
        # What is simplified away (x + 0) still reads: TensorFlow refuses it of a variable without a value.
        self.reads = tuple(dict.fromkeys((*captured.reads, *(s.name for s in program.states if s.reads))))
        self.writes = tuple(s.name for s in program.states if s.writes)
        self.shapes = [(s.name, s.shape) for s in program.states if s.reads and s.name in captured.unfixed]
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
                with uncollected():
                    launch = self._launch(shapes)
            moves = storage.moves
            if self.settled != moves and not storage.initialized_names.issuperset(self.reads):
                engine.require(self.reads)
            trace = engine.trace
            try:
                results: list[Array] = launch.run(arrays) if trace is None else launch.run_traced(arrays, trace)
            except Overrun as overrun:
                presumed = self.captured.presumed.get(overrun.symbol)
                if presumed is not None:
                    raise Outgrown(overrun.symbol, presumed) from None
                if overrun.changed:
                    wrong = f"there is no room for the size {overrun.size}, and the run has changed variables already"
                    raise errors.ResourceExhaustedError(None, None, wrong) from None
                self.program.make_room(overrun.symbol, overrun.size)
                self.launches.clear()
                return self.run(arrays, shapes)
            if self.settled != moves:
                storage.initialized_names.update(self.writes)
                self.settled = moves
        return results

    def _launch(self, shapes: Any) -> Any:
        if options().watch_nan:
            from graphflow.runtime.watch import WatchedLaunch as Launch
        else:
            from graphflow.runtime.launch import Launch

        engine = self.engine
        bound = self.program.bind(shapes)
        reads = frozenset(self.reads)
        for name, shape, dtype in bound.states:
            if name in reads:
                if not name.startswith("random/"):
                    engine.require((name,))
                if name in engine.storage and engine.storage[name].shape != shape:
                    raise Outgrown(name)
            engine.storage.prepare(name, shape, dtype)
        launch = Launch(bound, engine.storage, engine.executor, engine.arena)
        engine.bound_plans += 1
        if len(self.launches) >= KEPT:
            self.launches.pop(next(iter(self.launches)))
        self.moves = engine.storage.moves
        self.arena_address = engine.arena.address
        self.launches[shapes] = launch
        return launch


@contextmanager
def uncollected() -> Iterator[None]:
    """Without Python's search for garbage in cycles: finding what is needed, capture, passes and binding make none, and going through a
    whole process' objects takes as long as they do. Nor is what a large program leaves searched right afterwards, as new objects are."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            if gc.get_count()[0] > MANY and not gc.get_freeze_count():
                gc.freeze()
                gc.unfreeze()  # which makes all objects old ones, those too that somebody has frozen
            gc.enable()


def _without_traceback(refused: Cut | Irregular | Stepwise) -> Cut | Irregular | Stepwise:
    """The same once more: a traceback would keep the values of the run that it was raised in."""
    again = type(refused).__new__(type(refused))
    again.args = refused.args
    again.__dict__.update(refused.__dict__)
    return again


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
        needed: Needed | None = None,
    ) -> None:
        self.engine = engine
        self.fetches = tuple(fetches)
        self.targets = tuple(targets)
        self.feeds = tuple(feeds)
        self.known = known  # fed tensors whose contents, not only shapes, decide what is captured
        self.done = done
        self._needed = needed  # what the first capture may take for granted that it needs
        self._by_pattern: dict[Any, list[Compiled]] = {}
        self._by_shapes: dict[Any, Compiled] = {}
        self._refuted: set[Presumption] = set()
        self._refused: dict[Any, Cut | Irregular | Stepwise] = {}  # what is run in parts need not be captured again to find that out

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        """The fetched values for these feeds. Raises Cut where a part must be computed first."""
        shapes = tuple([a.shape for a in arrays])
        compiled = self._ready(shapes) or self.compiled(arrays)
        try:
            return compiled.run(arrays, shapes)
        except Outgrown as outgrown:
            self.forget(outgrown)
        return self.run(arrays)

    def forget(self, outgrown: Outgrown) -> None:
        """Drops what was compiled for what is no longer so."""
        with self.engine.lock:
            self._refuted.update(outgrown.refuted)
            self._by_pattern.clear()
            self._by_shapes.clear()
            self._refused.clear()

    def compiled(self, arrays: Sequence[Array]) -> Compiled:
        """The Program for feeds like these, compiled."""
        shapes = tuple([a.shape for a in arrays])
        found = self._ready(shapes)
        if found is not None:
            return found
        with self.engine.lock:
            feeds = [
                Feed(t, a.shape, a if t in self.known else None) for t, a in zip(self.feeds, arrays, strict=True)
            ]
            symbolic, leading, static = symbolic_pattern(feeds), symbolic_pattern(feeds, leading=True), static_pattern(feeds)
            patterns = tuple(dict.fromkeys((symbolic, leading, static)))
            contents = tuple(a.tobytes() for t, a in zip(self.feeds, arrays, strict=True) if t in self.known)
            found = next((c for p in patterns if (c := self._find((p, contents), p.values(feeds)))), None)
            if found is None:
                before = self._refused.get((symbolic, contents)) or self._refused.get((static, contents))
                if before is not None:
                    raise _without_traceback(before)
                try:
                    with uncollected():
                        found = self._compile(feeds, patterns, contents)
                except REFUSALS as refused:
                    if len(self._refused) < KEPT:  # with other sizes a loop may be compiled yet: see _compile
                        self._refused[symbolic if isinstance(refused, Cut) else static, contents] = _without_traceback(refused)
                    raise
            if not contents:
                self._by_shapes[shapes] = found
            return found

    def _ready(self, shapes: Any) -> Compiled | None:
        """What served feeds of these shapes before, if it still may."""
        found = self._by_shapes.get(shapes)
        return None if found is None or found.conditional and not found.holds() else found

    def _find(self, key: Any, sizes: Mapping[str, int]) -> Compiled | None:
        return next((c for c in self._by_pattern.get(key, ()) if c.holds(sizes)), None)

    def _compile(self, feeds: Sequence[Feed], patterns: Sequence[Pattern], contents: Any) -> Compiled:
        """The Program with the first of these patterns, from symbols to numbers, that it can be captured with."""
        from graphflow.compiler.pipeline import compile_program
        from graphflow.runtime.jit import default_jit

        refused: Cut | Irregular | Stepwise | None = None
        for pattern in patterns:
            last = pattern is patterns[-1]
            try:
                captured = self._capture(feeds, pattern)
                if last or captured.fits(pattern.values(feeds)):
                    break
            except (ValueError, TypeError, *REFUSALS) as error:
                # A loop may begin with a state of a written-down batch size and go on with one of the fed size: equal, but for symbols.
                if isinstance(error, (Irregular, Stepwise)):
                    refused = refused or _without_traceback(error)
                if last or isinstance(error, Cut):
                    raise (refused or error) from None
        given = [f for f in feeds if f.known is None]
        names, shapes = [f.tensor.name for f in given], [f.shape for f in given]
        past = self.engine.past
        program = compile_program(captured.program, default_jit(), options(), names, captured.operations, shapes, past)
        self.engine.compiled_programs += 1
        compiled = Compiled(self.engine, captured, program)
        self._by_pattern.setdefault((pattern, contents), []).append(compiled)
        return compiled

    def _capture(self, feeds: Sequence[Feed], pattern: Pattern) -> Captured:
        engine, needed, self._needed = self.engine, self._needed, None
        return capture(
            self.fetches, self.targets, feeds, pattern, engine.storage, self.done, engine.templates, self._refuted, engine.beginnings,
            needed,
        )  # fmt: skip
