"""Queues' operations, called by Python between native parts: they wait, and what they hold stays in the session between runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.dtypes import DType, int32, resource
from graphflow.dtypes import bool as bool_
from graphflow.errors import InvalidArgumentError
from graphflow.graph.op import Effect, TensorSpec
from graphflow.ops.families import HostOp
from graphflow.ops.queue_state import Deadline, PaddingState, PriorityState, QueueState, ShuffleState
from graphflow.shapes import TensorShape, as_shape


class QueueOp(HostOp, abstract=True):
    """Python with an effect, of a queue."""

    effect = Effect.HOST


class KeptOp(QueueOp, abstract=True):
    """Python with what the session keeps under the name `shared_name`, or the operation's own; made when it is first asked for."""

    uses_kept = True
    knows_name = True
    family = ""  # of what shares a name; "": operations of this type alone
    container: str = ""
    shared_name: str = ""

    def new(self, name: str, deadline: Deadline) -> Any:
        """What is kept from now on."""
        raise NotImplementedError

    def check(self, found: Any) -> None:
        """Refuses what another operation made on other terms than this one's."""

    def found(self, kept: dict[Any, Any], name: str) -> Any:
        """What the session keeps for this operation."""
        own = self.shared_name or name
        key = (self.family or self.type, self.container, own)
        found = kept.get(key)
        if found is None:
            found = kept.setdefault(key, self.new(own, kept["deadline"]))
        self.check(found)
        return found


class HandleOp(KeptOp, abstract=True):
    """Gives the handle of what the session keeps."""

    results = ("handle: resource",)

    def infer(self) -> TensorSpec:
        return TensorSpec(resource, ())

    def run(self, kept: dict[Any, Any], name: str) -> Any:
        handle = np.empty((), object)
        handle[()] = self.found(kept, name)
        return handle


class _Queue(HandleOp, abstract=True):
    """A queue."""

    family = "queue"
    component_types: tuple[DType, ...]
    shapes: tuple[TensorShape, ...] = ()
    capacity: int = -1

    def terms(self) -> tuple[Any, ...]:
        """Capacity, types and shapes of the components."""
        given = map(as_shape, self.shapes or [None] * len(self.component_types))
        shapes = tuple(None if s.ndims is None else tuple(s.as_list()) for s in given)
        return self.capacity, tuple(t.name for t in self.component_types), shapes

    def state(self, *settings: Any) -> QueueState:
        """A new queue."""
        return QueueState(*settings)

    def new(self, name: str, deadline: Deadline) -> QueueState:
        return self.state(name, *self.terms(), deadline)

    def check(self, found: QueueState) -> None:
        if found.kind != self.type.removesuffix("V2"):
            raise InvalidArgumentError(None, None, f"Shared queue '{found.name}' is a {found.kind}")
        found.check_same(*self.terms())


class FIFOQueueV2(_Queue):
    """A queue, first in first out."""


class PaddingFIFOQueueV2(_Queue):
    """A queue of tuples whose components may differ in the sizes left open; several dequeued together are padded."""

    def state(self, *settings: Any) -> QueueState:
        return PaddingState(*settings)


class RandomShuffleQueueV2(_Queue):
    """A queue that gives its tuples in random order."""

    min_after_dequeue: int = 0
    seed: int = 0
    seed2: int = 0

    def state(self, *settings: Any) -> QueueState:
        return ShuffleState(self.min_after_dequeue, (self.seed, self.seed2), *settings)

    def check(self, found: Any) -> None:
        super().check(found)
        for what, had, wanted in (
            ("min_after_dequeue", found.least, self.min_after_dequeue), ("random seeds", found.seeds, (self.seed, self.seed2)),
        ):  # fmt: skip
            if had != wanted and not (what == "random seeds" and wanted == (0, 0)):
                raise InvalidArgumentError(None, None, f"Shared queue '{found.name}' has {what} {had} but requested {what} were {wanted}")


class PriorityQueueV2(_Queue):
    """A queue that gives the tuple with the smallest first component, an int64."""

    component_types: tuple[DType, ...] = ()

    def state(self, *settings: Any) -> QueueState:
        return PriorityState(*settings)


class QueueEnqueueV2(QueueOp):
    """Puts a tuple in; waits while the queue is full."""

    concurrent = True
    arguments = ("handle: resource", "components: list(Tcomponents)")
    results = ()
    timeout_ms: int = -1

    def infer(self, handle: TensorSpec, *components: TensorSpec) -> tuple[TensorSpec, ...]:
        return ()

    def run(self, handle: Any, *components: Any) -> Any:
        queue = handle.item()
        queue.check(components, False)
        queue.enqueue([tuple(np.array(c, c.dtype) for c in components)])
        return ()


class QueueEnqueueManyV2(QueueEnqueueV2):
    """Puts in one tuple for each row of the components."""

    def run(self, handle: Any, *components: Any) -> Any:
        queue = handle.item()
        queue.check(components, True)
        queue.enqueue([tuple(np.array(c[row], c.dtype) for c in components) for row in range(len(components[0]))])
        return ()


class QueueDequeueV2(QueueOp):
    """Takes a tuple out; waits for one."""

    concurrent = True
    arguments = ("handle: resource",)
    results = ("components: list(component_types)",)
    component_types: tuple[DType, ...]
    timeout_ms: int = -1

    def infer(self, handle: TensorSpec) -> tuple[TensorSpec, ...]:
        return tuple(TensorSpec(t, None) for t in self.component_types)

    def run(self, handle: Any) -> Any:
        return handle.item().dequeue(1)[0]


class QueueDequeueManyV2(QueueOp):
    """Takes n tuples out and stacks each component."""

    concurrent = True
    arguments = ("handle: resource", "n: int32")
    results = ("components: list(component_types)",)
    component_types: tuple[DType, ...]
    timeout_ms: int = -1
    fewer = False

    def infer(self, handle: TensorSpec, n: TensorSpec) -> tuple[TensorSpec, ...]:
        return tuple(TensorSpec(t, None) for t in self.component_types)

    def run(self, handle: Any, n: Any) -> Any:
        queue, count = handle.item(), int(n)
        padded = isinstance(queue, PaddingState)
        if count < 0:
            raise InvalidArgumentError(None, None, f"Dequeue{'UpTo' if self.fewer else 'Many'} requested {count} < 0 elements")
        if any(s is None or not padded and None in s for s in queue.shapes):
            wrong = f"{queue.kind}'s DequeueMany and DequeueUpTo require the components to have specified shapes."
            raise InvalidArgumentError(None, None, wrong)
        rows = queue.dequeue(count, self.fewer)
        columns = []
        for number, (kind, shape) in enumerate(zip(self.component_types, queue.shapes, strict=True)):
            parts = [row[number] for row in rows]
            columns.append(_stacked(parts, kind, shape))
        return tuple(columns)


class QueueDequeueUpToV2(QueueDequeueManyV2):
    """The same, of which fewer than n will do once the queue is closed."""

    fewer = True


def _stacked(parts: Sequence[Any], kind: DType, shape: Sequence[int | None]) -> Any:
    """Arrays stacked, smaller ones padded at the end of each dimension with zeros or empty strings."""
    whole = [max((p.shape[d] for p in parts), default=0) if n is None else n for d, n in enumerate(shape)]
    strings = kind.name == "string"
    out = np.empty((len(parts), *whole), object) if strings else np.zeros((len(parts), *whole), kind.as_numpy_dtype)
    if strings:
        out[...] = b""
    for row, part in zip(out, parts, strict=True) if whole else ():
        row[tuple(map(slice, part.shape))] = part
    if not whole:
        for place, part in enumerate(parts):
            out[place] = part[()]
    return out


class QueueCloseV2(QueueOp):
    """Ends the enqueuing. What waits to be put in is put in first, or cancelled."""

    concurrent = True
    arguments = ("handle: resource",)
    results = ()
    cancel_pending_enqueues: bool = False

    def infer(self, handle: TensorSpec) -> tuple[TensorSpec, ...]:
        return ()

    def run(self, handle: Any) -> Any:
        handle.item().close(self.cancel_pending_enqueues)
        return ()


class QueueSizeV2(QueueOp):
    """How many tuples are in the queue."""

    arguments = ("handle: resource",)
    results = ("size: int32",)

    def infer(self, handle: TensorSpec) -> TensorSpec:
        return TensorSpec(int32, ())

    def run(self, handle: Any) -> Any:
        return np.array(handle.item().size(), np.int32)


class QueueIsClosedV2(QueueOp):
    """Whether the queue is closed."""

    arguments = ("handle: resource",)
    results = ("is_closed: bool",)

    def infer(self, handle: TensorSpec) -> TensorSpec:
        return TensorSpec(bool_, ())

    def run(self, handle: Any) -> Any:
        return np.array(handle.item().closed)


class HandleSelect(QueueOp):
    """The handle of that number."""

    arguments = ("index: int32", "inputs: N*resource")
    results = ("output: resource",)

    def infer(self, index: TensorSpec, *inputs: TensorSpec) -> TensorSpec:
        return TensorSpec(resource, ())

    def run(self, index: Any, *inputs: Any) -> Any:
        if not 0 <= index < len(inputs):
            raise InvalidArgumentError(None, None, f"index {int(index)} is not in [0, {len(inputs)})")
        return inputs[int(index)]
