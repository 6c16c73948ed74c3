"""Session: runs parts of a graph, keeps the variables.

A run that has been seen before (the same fetches, feeds and shapes) costs one look-up and one native call.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np

from graphflow import errors
from graphflow.compiler.capture import Captured, Cut, Irregular, Stepwise
from graphflow.errors import OpError, describe
from graphflow.graph import sessions
from graphflow.graph.graph import GRAPHS, Graph, get_default_graph
from graphflow.graph.shown import Shown
from graphflow.ops.queue_state import Deadline
from graphflow.runtime.feeds import FeedSlot
from graphflow.runtime.fetches import Fetches, fetch_key, flat_feeds
from graphflow.runtime.handles import TensorHandle
from graphflow.runtime.messages import ConfigProto, RunMetadata
from graphflow.runtime.stages import Parts, Stage, Walks
from graphflow.runtime.steps import Engine, Step, uncollected

if TYPE_CHECKING:  # the compiler proper loads with the first run
    from graphflow.compiler.dump import CompiledReport
    from graphflow.compiler.plan import BoundPlan, CompiledProgram

__all__ = ["InteractiveSession", "Session"]

Array = np.ndarray[Any, Any]
ROUTES = 512  # kinds of runs that a session remembers
ADVICE = (  # what to check, by words of what went wrong
    ("You must feed a value", "Add it to feed_dict."),
    ("division by zero", "Check the divisor."),
    ("label value", "Check the labels and the width of the logits."),
    ("is not in [", "Check the indices."),
    ("does not index into", "Check the indices."),
)


class Route:
    """What a run with certain fetches and feeds does; made when they are first seen."""

    __slots__ = ("engine", "fetches", "handles", "parts", "positions", "runs", "slots", "staged", "step")

    def __init__(self, engine: Engine, walks: Walks, fetches: Any, feeds: Sequence[Any]) -> None:
        graph = engine.graph
        self.engine = engine
        self.slots = [FeedSlot(graph, feed) for feed in feeds]
        self.fetches = Fetches(graph, fetches)
        fed = {slot.tensor: n for n, slot in enumerate(self.slots)}
        named = [(n, t) for n, t in enumerate(self.fetches.tensors) if t.op.type == "GetSessionHandle" and t not in fed]
        self.handles = [(n, t.op.inputs[0].dtype) for n, t in named]
        # where each fetched tensor comes from: a result (>= 0) or a feed (< 0)
        wanted = [t for t in self.fetches.tensors if t not in fed]
        numbers = {t: n for n, t in enumerate(wanted)}
        self.positions = [numbers[t] if t in numbers else -1 - fed[t] for t in self.fetches.tensors]
        needed, self.staged = walks.needed(wanted, self.fetches.targets, set(fed))
        nothing = not wanted and not self.fetches.targets
        self.step = None if nothing else Step(engine, wanted, self.fetches.targets, list(fed), needed=needed)
        self.parts = Parts()
        self.runs = 0  # since the session last looked for what to forget

    def run(self, values: Sequence[Any]) -> Any:
        """The results for these feeds, in the form of the fetches."""
        self.runs += 1
        arrays = [slot.take(value) for slot, value in zip(self.slots, values)]
        step = self.step
        if step is None:
            results: list[Array] = []
        elif self.staged:
            results = self._in_parts(arrays)
        else:
            try:
                results = step.run(arrays)
            except (Cut, Irregular, Stepwise):
                self.staged = True
                results = self._in_parts(arrays)
        fetched = [_own(results[p] if p >= 0 else arrays[-1 - p]) for p in self.positions]
        for place, dtype in self.handles:
            fetched[place] = TensorHandle(fetched[place], dtype, self.engine.kept)
        return self.fetches.rebuild(fetched)

    def _in_parts(self, arrays: Sequence[Array]) -> list[Array]:
        assert self.step is not None
        values = {slot.tensor: array for slot, array in zip(self.slots, arrays, strict=True)}
        return Stage(self.engine, self.parts, values).run(self.step.fetches, self.step.targets)


def _own(array: Array) -> Any:
    """A result as TensorFlow gives it: numbers for tensors of rank 0."""
    return array if array.ndim else array[()]


class BaseSession:
    """The common part of Session and InteractiveSession."""

    def __init__(self, target: str = "", graph: Graph | None = None, config: Any = None) -> None:
        if graph is not None and not isinstance(graph, Graph):
            raise TypeError(f"graph must be a tf.Graph, but got {type(graph)}")
        if target is not None and not isinstance(target, (str, bytes)):
            hint = ""
            if isinstance(target, ConfigProto):
                hint = '. Did you do "Session(config)" instead of "Session(config=config)"?'
            raise TypeError(f"target must be a string, but got {type(target)}{hint}")
        if config is not None and not isinstance(config, ConfigProto):
            raise TypeError(f"config must be a tf.ConfigProto, but got {type(config)}")
        self._graph = get_default_graph() if graph is None else graph
        self._target = target.encode() if isinstance(target, str) else target
        self._config = ConfigProto() if config is None else config
        self._closed = False
        self._engine = Engine(self._graph)
        if self._config.operation_timeout_in_ms:
            self._engine.kept["deadline"] = self._engine.deadline = Deadline(self._config.operation_timeout_in_ms / 1000)
        self._walks = Walks()
        self._routes: dict[Any, Route] = {}
        self._partial: dict[str, Stage] = {}

    @property
    def graph(self) -> Graph:
        """The graph that it runs."""
        return self._graph

    @property
    def graph_def(self) -> Any:
        """The graph as a GraphDef."""
        return self._graph.as_graph_def(add_shapes=self._config.graph_options.infer_shapes)

    @property
    def sess_str(self) -> bytes | None:
        """The target it was made with."""
        return self._target

    def list_devices(self) -> list[DeviceAttributes]:
        """The devices: one CPU."""
        return [DeviceAttributes("/job:localhost/replica:0/task:0/device:CPU:0", "CPU", 268435456, 0)]

    def as_default(self) -> AbstractContextManager[Any]:
        """Makes this the default session of a block. Leaving the block does not close it."""
        return sessions.SESSIONS.controller(self)

    def close(self) -> None:
        """Gives back all memory. The session cannot be used any more."""
        if not self._closed:
            self._closed = True
            self._routes.clear()
            self._partial.clear()
            self._engine.close()

    # -- running -----------------------------------------------------------------------------------------------------------

    def run(self, fetches: Any, feed_dict: Mapping[Any, Any] | None = None, options: Any = None, run_metadata: Any = None) -> Any:
        """Computes `fetches` (tensors, operations, names, nested in lists, tuples and dicts) with tensors replaced as `feed_dict`
        says; the result has the form of `fetches`."""
        if run_metadata is not None and not isinstance(run_metadata, RunMetadata):
            raise TypeError(f"run_metadata must be a tf.RunMetadata, but got {type(run_metadata)}")
        route, values = self._route(fetches, feed_dict)
        if options is not None and options.timeout_in_ms:
            with self._engine.deadline.within(options.timeout_in_ms / 1000):
                return self._explaining(route.run, values)
        if run_metadata is not None and options is not None and options.trace_level:
            return self._explaining(self._run_traced, route, values, run_metadata)
        return self._explaining(route.run, values)

    def _run_traced(self, route: Route, values: Sequence[Any], run_metadata: RunMetadata) -> Any:
        """Runs, and says in `run_metadata` which kernels ran when."""
        from graphflow.runtime.trace import Trace  # needs the compiler

        trace = Trace()
        try:
            with self._engine.tracing(trace):
                return route.run(values)
        finally:
            run_metadata.Clear()
            run_metadata.step_stats = trace.step_stats()

    def _route(self, fetches: Any, feed_dict: Mapping[Any, Any] | None) -> tuple[Route, Sequence[Any]]:
        """The route for these fetches and feeds, and the fed values in its order."""
        self._check_usable()
        values: Sequence[Any] = ()
        feeds: tuple[Any, ...] = ()
        if feed_dict:
            feeds, values = tuple(feed_dict), list(feed_dict.values())
        try:
            key = (fetch_key(fetches), feeds)
            route = self._routes.get(key)
        except TypeError:  # something that cannot be hashed; it is refused below if it cannot be fetched
            key, route = None, None
        if route is not None:
            return route, values
        if feed_dict:
            pairs = flat_feeds(feed_dict)
            flat = tuple(f for f, _ in pairs)
            if flat != feeds:  # of sparse tensors, and of states carried from run to run, the parts are looked up like any tensors
                feeds, values = flat, [v for _, v in pairs]
                key = key and (key[0], feeds)
                route = self._routes.get(key)
                if route is not None:
                    return route, values
        return self._new_route(fetches, feeds, key), values

    def _new_route(self, fetches: Any, feeds: Sequence[Any], key: Any) -> Route:
        with self._graph.as_default(), uncollected():
            route = Route(self._engine, self._walks, fetches, feeds)
        if key is not None:
            if len(self._routes) >= ROUTES:
                self._forget()
            self._routes[key] = route
        return route

    def _forget(self) -> None:
        """Lets go of what a program that adds operations in its loop runs once and never again: plans and kernels, not the operations."""
        often = sorted((item for item in self._routes.items() if item[1].runs > 1), key=lambda item: item[1].runs)
        kept = often[-(ROUTES // 2) :]
        for _, route in kept:
            route.runs = 0
        self._routes = dict(kept)

    def _check_usable(self) -> None:
        if self._closed:
            raise RuntimeError("Attempted to use a closed Session.")
        if not self._graph._operations:
            raise RuntimeError("The Session graph is empty.  Add operations to the graph before calling run().")

    def _explaining(self, action: Callable[..., Any], *arguments: Any) -> Any:
        """What `action` gives; its errors name the operation and the user's line."""
        try:
            return action(*arguments)
        except OpError as error:
            raise self._explained(error) from None
        except ValueError as error:
            raise self._at_run_time(error) from None

    def _explained(self, error: OpError) -> OpError:
        """The error with the operation it is about, and the user's line."""
        op = error.op
        message = error.message
        if op is None:
            op = self._graph._by_name.get(message.partition(":")[0])
            if op is None:
                return error
            message = message[len(op.name) + 2 :].partition("\nCreated at ")[0]
        elif message.startswith(f"{op.type} '{op.name}': "):
            return error
        hint = next((advice for words, advice in ADVICE if words in message), "")
        return type(error)(op.node_def, op, describe(op, message, hint))

    def _at_run_time(self, error: ValueError) -> Exception:
        """A shape rule that fails only for the values of this run is an InvalidArgumentError about its operation."""
        op = getattr(error, "operation", None)
        if op is None:
            return error
        wrong = getattr(error, "at_run_time", "") or str(error.args[0]).rstrip(".")
        shapes = getattr(error, "shapes", ())
        if shapes and "shape" not in wrong.replace("both shapes", ""):
            wrong += f" with input shapes: {', '.join('[' + ','.join(map(str, s)) + ']' for s in shapes)}"
        return errors.op_error(errors.InvalidArgumentError, op, wrong, "Check the shapes that are fed.")

    def make_callable(self, fetches: Any, feed_list: Sequence[Any] | None = None, accept_options: bool = False) -> Callable[..., Any]:
        """A function that runs `fetches` with values for the tensors in `feed_list` as its arguments."""
        if feed_list is not None and not isinstance(feed_list, (list, tuple)):
            raise TypeError("`feed_list` must be a list or tuple.")
        self._check_usable()
        feeds = tuple(feed_list or ())
        route = self._new_route(fetches, feeds, None)

        def call(*values: Any, options: Any = None, run_metadata: Any = None) -> Any:
            if len(values) != len(feeds):
                raise ValueError(f"the callable takes {len(feeds)} values, got {len(values)}")
            self._check_usable()
            if run_metadata is not None and options is not None and options.trace_level:
                return self._explaining(self._run_traced, route, values, run_metadata)
            return self._explaining(route.run, values)

        return call

    def compiled(self, fetches: Any, feed_dict: Mapping[Any, Any] | None = None) -> Compilation:
        """How a run is compiled: its Program, kernels and plan, with a readable `repr`. Runs nothing. Raises ValueError where nothing is
        to be compiled, and for a run in several Programs with Python between them; `report` shows those once they have run."""
        route, values = self._route(fetches, feed_dict)
        if route.step is None:
            raise ValueError("these fetches are all fed: there is nothing to compile")
        arrays = [slot.take(value) for slot, value in zip(route.slots, values, strict=True)]
        try:
            compiled = route.step.compiled(arrays)
        except (Cut, Irregular, Stepwise) as error:
            raise ValueError(f"these fetches run as several Programs, not one: {error}. `session.report(path)` shows them all") from None
        launches = tuple(compiled.launches.values())
        return Compilation(compiled.captured, compiled.program, compiled.program.bind([a.shape for a in arrays]), launches)

    def report(self, path: str) -> None:
        """Writes a page (one HTML file, no network needed) of every run that this session has compiled: source lines, graph, passes,
        kernels with their code, memory; and times of those that were run with `tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE)`."""
        from graphflow.tools.report.notebook import session_report

        session_report(self, path)

    # -- partial runs ------------------------------------------------------------------------------------------------------

    def partial_run_setup(self, fetches: Any, feeds: Sequence[Any] | None = None) -> str:
        """Begins a run that takes its feeds and gives its fetches bit by bit; the result is its handle."""
        self._check_usable()
        Fetches(self._graph, fetches)
        for feed in feeds or ():
            self._graph.as_graph_element(feed, allow_operation=False)
        handle = f"partial_run_{len(self._partial)}"
        self._partial[handle] = Stage(self._engine, Parts(), {})
        return handle

    def partial_run(self, handle: str, fetches: Any, feed_dict: Mapping[Any, Any] | None = None) -> Any:
        """Continues such a run. What has been computed is not computed again."""
        self._check_usable()
        stage = self._partial[handle]
        wanted = Fetches(self._graph, fetches)
        for feed, value in flat_feeds(feed_dict or {}):
            slot = FeedSlot(self._graph, feed)
            stage.values[slot.tensor] = slot.take(value)
        results = self._explaining(stage.run, wanted.tensors, wanted.targets)
        return wanted.rebuild([_own(r) for r in results])


class Compilation(Shown):
    """A compiled run: `captured` (with the Program), `program` (kernels and places), `plan` (for the given shapes), and
    `report`, which shows every stage as text."""

    def __init__(self, captured: Captured, program: CompiledProgram, plan: BoundPlan, launches: Sequence[Any] = ()) -> None:
        self.launches = launches  # of this program, with what was traced
        self.captured = captured
        self.program = program
        self.plan = plan
        self.report: CompiledReport = program.report

    def __repr__(self) -> str:
        return f"{len(self.captured.operations)} operations, {self.report!r}"


class DeviceAttributes:
    """A device that a session may use."""

    def __init__(self, name: str, device_type: str, memory_limit_bytes: int, incarnation: int) -> None:
        self.name = name
        self.device_type = device_type
        self.memory_limit_bytes = memory_limit_bytes
        self.incarnation = incarnation

    def __repr__(self) -> str:
        return f"_DeviceAttributes({self.name}, {self.device_type}, {self.memory_limit_bytes}, {self.incarnation})"


class Session(BaseSession):
    """Runs operations and computes tensors of a graph. As a context manager it is the default session, and is closed at the end."""

    def __init__(self, target: str = "", graph: Graph | None = None, config: Any = None) -> None:
        super().__init__(target, graph, config)
        self._entered: list[tuple[Any, Any]] = []

    def __enter__(self) -> Session:
        graph, session = GRAPHS.controller(self._graph), self.as_default()
        graph.__enter__()
        session.__enter__()
        self._entered.append((graph, session))
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        graph, session = self._entered.pop()
        session.__exit__(kind, error, trace)
        graph.__exit__(kind, error, trace)
        self.close()

    @staticmethod
    def reset(target: str, containers: Sequence[str] | None = None, config: Any = None) -> None:
        """Accepted; there are no shared resources."""


class InteractiveSession(BaseSession):
    """A session that makes itself the default one when it is made: `x.eval()` works from then on."""

    _open = 0

    def __init__(self, target: str = "", graph: Graph | None = None, config: Any = None) -> None:
        super().__init__(target, graph, config)
        if InteractiveSession._open:
            warnings.warn(
                "An interactive session is already active. This can cause out-of-memory errors in some cases. You must "
                "explicitly call `InteractiveSession.close()` to release resources held by the other session(s).",
                stacklevel=2,
            )
        InteractiveSession._open += 1
        sessions.SESSIONS.enforce_nesting = False
        self._default_graph = None if graph is None else GRAPHS.controller(graph)
        if self._default_graph is not None:
            GRAPHS.enforce_nesting = False
            self._default_graph.__enter__()
        self._default_session = self.as_default()
        self._default_session.__enter__()

    def close(self) -> None:
        """Gives back all memory and stops being the default session."""
        if self._closed:
            return
        super().close()
        InteractiveSession._open -= 1
        if self in sessions.SESSIONS.stack:
            self._default_session.__exit__(None, None, None)
        if self._default_graph is not None:
            self._default_graph.__exit__(None, None, None)
