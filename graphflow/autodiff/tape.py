"""tf.GradientTape in a graph: gradients through the operations that were made while the tape recorded, of what it watched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from graphflow import nest
from graphflow.autodiff.gradients import UnconnectedGradients, gradients
from graphflow.graph.build import convert_to_tensor, make
from graphflow.graph.graph import get_default_graph
from graphflow.graph.operation import Operation
from graphflow.graph.tensor import Tensor
from graphflow.ops.joining import stack
from graphflow.ops.reductions import reduce_sum
from graphflow.ops.reshape import reshape
from graphflow.ops.shape import shape
from graphflow.ops.source import zeros_like
from graphflow.ops.variables import Variable


def _reads_of(variable: Any) -> list[Operation]:
    """The operations that give a variable's value."""
    return [op for op in variable.op.outputs[0].consumers() if op.type in ("Identity", "ReadVariableOp")]


class GradientTape:
    """Records operations of the default graph in a `with` block.

    persistent: gradients may be asked for several times. watch_accessed_variables: trainable variables are watched without being told.
    """

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True) -> None:
        self._persistent = persistent
        self._watches_variables = watch_accessed_variables
        self._graph: Any = None
        self._spans: list[tuple[int, int]] = []  # numbers of operations: after the first, up to the second
        self._since: int | None = None
        self._watched: list[Any] = []
        self._used = False

    def __enter__(self) -> GradientTape:
        if self._since is not None:
            raise ValueError("Tape is already recording.")
        self._start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._since is not None:
            self._stop()

    def _start(self) -> None:
        self._graph = get_default_graph()
        self._since = self._graph._count.made

    def _stop(self) -> None:
        assert self._since is not None
        self._spans.append((self._since, self._graph._count.made))
        self._since = None

    def _recorded(self, op: Operation) -> bool:
        return any(first < op._id <= last for first, last in self._spans) or self._since is not None and op._id > self._since

    def watch(self, tensor: Any) -> None:
        """Gradients of this tensor, or of those of a list, may be asked for."""
        self._watched += nest.flatten(tensor)

    @contextmanager
    def stop_recording(self) -> Iterator[None]:
        """What is made in this block is a constant to the tape."""
        if self._since is None:
            raise RuntimeError("Trying to exit a tape which is not active.")
        self._stop()
        try:
            yield
        finally:
            self._start()

    def reset(self) -> None:
        """Forgets what was recorded and watched."""
        self._spans, self._watched = [], []
        if self._since is not None:
            self._start()

    def watched_variables(self) -> tuple[Any, ...]:
        """The variables that it watches: those that it was told of, and the trainable ones that recorded operations read."""
        found = [w for w in self._watched if isinstance(w, Variable)]
        if self._watches_variables and self._graph is not None:
            found += [v for v in self._graph.get_collection("trainable_variables") if self._reads(v)]
        return tuple(dict.fromkeys(found))

    def _reads(self, variable: Any) -> bool:
        memory = variable.op.outputs[0]
        users = [op for t in (memory, *(read.outputs[0] for read in _reads_of(variable))) for op in t.consumers()]
        return any(map(self._recorded, users))

    def _is_watched(self, source: Any) -> bool:
        if any(w is source for w in self._watched):
            return True
        return self._watches_variables and isinstance(source, Variable) and bool(source.trainable)

    def _constants(self, targets: list[Any]) -> list[Tensor]:
        """What recorded operations read of those that were not recorded."""
        found: dict[Tensor, None] = {}
        stack_ = [t.op for t in targets]
        seen = set(stack_)
        while stack_:
            op = stack_.pop()
            for tensor in op.inputs if self._recorded(op) else ():
                if not self._recorded(tensor.op):
                    found[tensor] = None
                elif tensor.op not in seen:
                    seen.add(tensor.op)
                    stack_.append(tensor.op)
        return list(found)

    def gradient(self, target: Any, sources: Any, output_gradients: Any = None,
                 unconnected_gradients: str = UnconnectedGradients.NONE) -> Any:  # fmt: skip
        """d sum(target) / d source for each of `sources`, in their form; None (or zeros) for those that are not watched or lead to none.

        RuntimeError where a tape that is not persistent is used a second time.
        """
        if self._used and not self._persistent:
            raise RuntimeError("GradientTape.gradient can only be called once on non-persistent tapes.")
        self._used = True
        if self._since is not None and not self._persistent:
            self._stop()
        targets = [convert_to_tensor(t) for t in nest.flatten(target)]
        flat = nest.flatten(sources)
        watched = [s for s in flat if self._is_watched(s)]
        starts = None if output_gradients is None else [g if g is None else convert_to_tensor(g) for g in nest.flatten(output_gradients)]
        live = [t for t in targets if self._recorded(t.op) or any(t is s for s in watched)]
        found: list[Any] = []
        if watched and live:
            if starts is not None:
                starts = [g for t, g in zip(targets, starts, strict=True) if any(t is kept for kept in live)]
            wanted = {s.op for s in watched} | {read for s in watched if isinstance(s, Variable) for read in _reads_of(s)}
            stops = [t for t in self._constants(live) if t.op not in wanted]
            found = gradients(live, watched, starts, stop_gradients=stops, unconnected_gradients=UnconnectedGradients.NONE)
        by_source = {id(s): g for s, g in zip(watched, found or [None] * len(watched), strict=True)}
        results = [by_source.get(id(s)) for s in flat]
        if unconnected_gradients == UnconnectedGradients.ZERO:
            results = [zeros_like(s) if g is None else g for s, g in zip(flat, results, strict=True)]
        return nest.pack_sequence_as(sources, results)

    def _rows(self, source: Any, parts: list[Any], unconnected: str) -> list[Any]:
        """The gradients of several parts of a target."""
        before, self._persistent = self._persistent, True
        try:
            return [self.gradient(part, source, unconnected_gradients=unconnected) for part in parts]
        finally:
            self._persistent = before

    def jacobian(self, target: Any, sources: Any, unconnected_gradients: str = UnconnectedGradients.NONE,
                 parallel_iterations: int | None = None, experimental_use_pfor: bool = True) -> Any:  # fmt: skip
        """d target / d source, [*target.shape, *source.shape], for each of `sources`. The target's shape must be known: there is one
        gradient for each element of it. The last two arguments change nothing."""
        target = convert_to_tensor(target)
        count = target.shape.num_elements()
        if count is None:
            raise ValueError(f"jacobian takes a target of known shape, got {target.shape}")
        flat = self._take(lambda: [reshape(target, [-1])[n] for n in range(count)])
        flat_sources = nest.flatten(sources)
        rows = self._rows(flat_sources, flat, unconnected_gradients)
        results = []
        for number, source in enumerate(flat_sources):
            column = [row[number] for row in rows]
            if any(g is None for g in column):
                results.append(None)
                continue
            whole = make("ConcatV2", [target.shape.as_list(), shape(source)], 0) if target.shape.ndims else shape(source)
            results.append(reshape(stack([convert_to_tensor(g) for g in column]), whole))
        return nest.pack_sequence_as(sources, results)

    def batch_jacobian(self, target: Any, source: Any, unconnected_gradients: str = UnconnectedGradients.NONE,
                       parallel_iterations: int | None = None, experimental_use_pfor: bool = True) -> Any:  # fmt: skip
        """For each row b of the batch d target[b] / d source[b], [batch, *target.shape[1:], *source.shape[1:]]. Rows must not depend on
        those of other b. The shape of the target's rows must be known."""
        target, source = convert_to_tensor(target), source if isinstance(source, (Tensor, Variable)) else convert_to_tensor(source)
        row = target.shape[1:]
        count = row.num_elements()
        if count is None:
            raise ValueError(f"batch_jacobian takes a target whose rows have a known shape, got {target.shape}")
        if target.shape[0].value is not None and source.shape[0].value not in (None, target.shape[0].value):
            raise ValueError(f"Need first dimension of target shape ({target.shape}) and source shape ({source.shape}) to match.")
        parts = self._take(lambda: [reduce_sum(reshape(target, [-1, count])[:, n]) for n in range(count)])
        rows = self._rows(source, parts, unconnected_gradients)
        if any(g is None for g in rows):
            return None
        sizes = shape(source)
        whole = make("ConcatV2", [sizes[:1], convert_to_tensor(row.as_list(), "int32"), sizes[1:]], 0)
        return reshape(stack(rows, axis=1), whole)

    def _take(self, build: Any) -> Any:
        """Parts of a target, recorded: the tape has stopped, and they belong to it all the same."""
        if self._since is not None:
            return build()
        self._start()
        try:
            return build()
        finally:
            self._stop()
