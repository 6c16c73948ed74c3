"""tf.FIFOQueue and its kin: tensors handed from the threads that make them to those that use them, within a session."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from graphflow.dtypes import DType, as_dtype, int32, int64
from graphflow.graph.build import convert, convert_to_tensor, make, name_scope
from graphflow.graph.operation import Operation
from graphflow.graph.seeds import get_seed
from graphflow.graph.tensor import Tensor, known_contents
from graphflow.shapes import TensorShape, as_shape

__all__ = ["FIFOQueue", "PaddingFIFOQueue", "PriorityQueue", "QueueBase", "RandomShuffleQueue"]


def _as_types(dtypes: Any) -> list[DType]:
    return [as_dtype(t).base_dtype for t in (dtypes if isinstance(dtypes, (list, tuple)) else [dtypes])]


def _as_shapes(shapes: Any, count: int) -> list[TensorShape] | None:
    if shapes is None:
        return None
    if isinstance(shapes, TensorShape) or not isinstance(shapes, (list, tuple)) or not shapes or not _nested(shapes):
        shapes = [shapes]
    made = [as_shape(s) for s in shapes]
    if len(made) != count:
        raise ValueError(f"Queue shapes must have the same length as dtypes: {len(made)} shapes, {count} dtypes")
    return made


def _nested(shapes: Sequence[Any]) -> bool:
    return any(isinstance(s, (list, tuple, TensorShape)) for s in shapes)


def _as_names(names: Any, count: int) -> list[str] | None:
    if names is None:
        return None
    found = [names] if isinstance(names, str) else list(names)
    if len(found) != count:
        raise ValueError(f"List of names must have the same length as the list of dtypes: {len(found)} names, {count} dtypes")
    return found


class QueueBase:
    """A queue of tuples of tensors. `dtypes`: their types; `shapes`: TensorShapes, or None where they are free; `names`: with names, tuples
    are dicts. `queue_ref`: the tensor that stands for the queue."""

    def __init__(self, dtypes: Any, shapes: Any, names: Any, queue_ref: Tensor) -> None:
        self._dtypes = list(dtypes)
        self._shapes = [as_shape(s) for s in shapes] if shapes is not None else [TensorShape(None) for _ in self._dtypes]
        if len(self._shapes) != len(self._dtypes):
            raise ValueError("Queue shapes must have the same length as dtypes")
        if names is not None and len(names) != len(self._dtypes):
            raise ValueError("Queue names must have the same length as dtypes")
        self._names = names
        self._queue_ref = queue_ref

    @staticmethod
    def from_list(index: Any, queues: list[QueueBase]) -> QueueBase:
        """The queue of that number (an int32 tensor), chosen in each run. All hold tuples of the same types and names."""
        if not queues or not isinstance(queues, list) or not all(isinstance(q, QueueBase) for q in queues):
            raise TypeError("A list of queues expected")
        first = queues[0]
        if any(q.dtypes != first.dtypes for q in queues[1:]):
            raise TypeError("Queues do not have matching component dtypes.")
        if any(q.names != first.names for q in queues[1:]):
            raise TypeError("Queues do not have matching component names.")
        shapes = [_in_common(found) for found in zip(*(q.shapes for q in queues), strict=True)]
        chosen = make("HandleSelect", convert_to_tensor(index, int32), [q.queue_ref for q in queues])
        return QueueBase(first.dtypes, shapes, first.names, chosen)

    @property
    def queue_ref(self) -> Tensor:
        """The tensor that stands for the queue."""
        return self._queue_ref

    @property
    def name(self) -> str:
        """The name of its operation."""
        return self._queue_ref.op.name

    @property
    def dtypes(self) -> list[DType]:
        """The types of a tuple's components."""
        return self._dtypes

    @property
    def shapes(self) -> list[TensorShape]:
        """The shapes of a tuple's components."""
        return self._shapes

    @property
    def names(self) -> list[str] | None:
        """The names of a tuple's components, or None."""
        return self._names

    # -- in ------------------------------------------------------------------------------------------------------------------------

    def _components(self, vals: Any) -> list[Tensor]:
        if isinstance(vals, Mapping):
            if not self._names:
                raise ValueError("Queue must have names to enqueue a dictionary")
            if sorted(self._names, key=str) != sorted(vals, key=str):
                raise ValueError(f"Keys in dictionary to enqueue do not match names of Queue.  Dictionary: {sorted(vals)},Queue: {sorted(self._names)}")  # noqa: E501
            vals = [vals[name] for name in self._names]
        else:
            if self._names:
                raise ValueError("You must enqueue a dictionary in a Queue with names")
            if not isinstance(vals, (list, tuple)):
                vals = [vals]
        if len(vals) != len(self._dtypes):
            raise ValueError(f"a tuple of {len(self._dtypes)} components expected, but got {len(vals)}")
        return [convert(v, t, f"component_{n}") for n, (v, t) in enumerate(zip(vals, self._dtypes, strict=True))]

    def enqueue(self, vals: Any, name: str | None = None) -> Operation:
        """Puts one tuple in (a tensor, a list of them, or a dict if the queue has names); waits while the queue is full."""
        with name_scope(name, f"{self._own_name()}_enqueue", list(vals) if isinstance(vals, (list, tuple)) else None) as scope:
            tensors = self._components(vals)
            for tensor, shape in zip(tensors, self._shapes, strict=True):
                tensor.shape.assert_is_compatible_with(shape)
            return _operation(make("QueueEnqueueV2", self._queue_ref, tensors, name=scope))

    def enqueue_many(self, vals: Any, name: str | None = None) -> Operation:
        """Puts in one tuple for each row of the components."""
        with name_scope(name, f"{self._own_name()}_EnqueueMany", list(vals) if isinstance(vals, (list, tuple)) else None) as scope:
            tensors = self._components(vals)
            batch = tensors[0].shape.with_rank_at_least(1)[0]
            for tensor, shape in zip(tensors, self._shapes, strict=True):
                batch = batch.merge_with(tensor.shape.with_rank_at_least(1)[0])
                tensor.shape[1:].assert_is_compatible_with(shape)
            return _operation(make("QueueEnqueueManyV2", self._queue_ref, tensors, name=scope))

    # -- out -----------------------------------------------------------------------------------------------------------------------

    def _result(self, found: Any, lead: TensorShape) -> Any:
        tensors = list(found) if isinstance(found, (list, tuple)) else [found]
        for tensor, shape in zip(tensors, self._shapes, strict=True):
            tensor.set_shape(lead.concatenate(shape))
        if self._names:
            return dict(zip(self._names, tensors, strict=True))
        return tensors[0] if len(tensors) == 1 else tensors

    def dequeue(self, name: str | None = None) -> Any:
        """Takes one tuple out; waits for it. OutOfRangeError once the queue is closed and empty."""
        name = f"{self._own_name()}_Dequeue" if name is None else name
        return self._result(make("QueueDequeueV2", self._queue_ref, component_types=self._dtypes, name=name), TensorShape([]))

    def _dequeue(self, kind: str, n: Any, name: str) -> Any:
        found = make(kind, self._queue_ref, n, component_types=self._dtypes, name=name)
        first = found[0] if isinstance(found, (list, tuple)) else found
        known = known_contents(first.op.inputs[1])
        size = None if known is None or known.dtype == object or kind == "QueueDequeueUpToV2" else int(known)
        return self._result(found, TensorShape([size]))

    def dequeue_many(self, n: Any, name: str | None = None) -> Any:
        """Takes n tuples out and stacks each component; waits for all. The shapes must be known. OutOfRangeError once the queue is closed
        and holds fewer."""
        return self._dequeue("QueueDequeueManyV2", n, f"{self._own_name()}_DequeueMany" if name is None else name)

    def dequeue_up_to(self, n: Any, name: str | None = None) -> Any:
        """dequeue_many that, once the queue is closed, makes do with the tuples that are left."""
        return self._dequeue("QueueDequeueUpToV2", n, f"{self._own_name()}_DequeueUpTo" if name is None else name)

    # -- the queue itself ----------------------------------------------------------------------------------------------------------

    def close(self, cancel_pending_enqueues: bool = False, name: str | None = None) -> Operation:
        """Ends the enqueuing: later attempts fail; those that wait are finished first, or fail too if cancel_pending_enqueues."""
        name = f"{self._own_name()}_Close" if name is None else name
        return _operation(make("QueueCloseV2", self._queue_ref, cancel_pending_enqueues=bool(cancel_pending_enqueues), name=name))

    def is_closed(self, name: str | None = None) -> Tensor:
        """Whether it is closed."""
        name = f"{self._own_name()}_Is_Closed" if name is None else name
        return make("QueueIsClosedV2", self._queue_ref, name=name)  # type: ignore[no-any-return]

    def size(self, name: str | None = None) -> Tensor:
        """How many tuples it holds."""
        name = f"{self._own_name()}_Size" if name is None else name
        return make("QueueSizeV2", self._queue_ref, name=name)  # type: ignore[no-any-return]

    def _own_name(self) -> str:
        return self._queue_ref.op.name.split("/")[-1]


def _operation(made: Any) -> Operation:
    return made if isinstance(made, Operation) else made.op  # type: ignore[no-any-return]


def _in_common(shapes: Sequence[TensorShape]) -> TensorShape:
    """A shape that all of them fit."""
    ranks = {s.ndims for s in shapes}
    if len(ranks) > 1 or None in ranks:
        return TensorShape(None)
    columns = zip(*(s.as_list() for s in shapes), strict=True)
    return TensorShape([sizes[0] if len(set(sizes)) == 1 else None for sizes in columns])


class FIFOQueue(QueueBase):
    """First in, first out. At most `capacity` tuples are in it; more wait outside."""

    def __init__(self, capacity: int, dtypes: Any, shapes: Any = None, names: Any = None, shared_name: str | None = None,
                 name: str = "fifo_queue") -> None:  # fmt: skip
        types = _as_types(dtypes)
        made, called = _as_shapes(shapes, len(types)), _as_names(names, len(types))
        handle = make("FIFOQueueV2", component_types=types, shapes=made or (), capacity=capacity, shared_name=shared_name or "", name=name)
        super().__init__(types, made, called, handle)


class PaddingFIFOQueue(QueueBase):
    """First in, first out, of tensors of known rank whose sizes may be None; dequeue_many pads the smaller ones with zeros at the end."""

    def __init__(self, capacity: int, dtypes: Any, shapes: Any, names: Any = None, shared_name: str | None = None,
                 name: str = "padding_fifo_queue") -> None:  # fmt: skip
        types = _as_types(dtypes)
        made, called = _as_shapes(shapes, len(types)), _as_names(names, len(types))
        if made is None:
            raise ValueError(f"When providing partial shapes, a list of shapes must be provided. Got {len(types)} dtypes and no shapes.")
        if any(s.ndims is None for s in made):
            raise ValueError(f"Shapes of a PaddingFIFOQueue must have a defined rank, got {shapes}.")
        handle = make("PaddingFIFOQueueV2", component_types=types, shapes=made, capacity=capacity, shared_name=shared_name or "", name=name)
        super().__init__(types, made, called, handle)


class RandomShuffleQueue(QueueBase):
    """Gives its tuples in random order. Until it is closed at least `min_after_dequeue` of them stay in it, for the mixing."""

    def __init__(self, capacity: int, min_after_dequeue: int, dtypes: Any, shapes: Any = None, names: Any = None, seed: int | None = None,
                 shared_name: str | None = None, name: str = "random_shuffle_queue") -> None:  # fmt: skip
        types = _as_types(dtypes)
        made, called = _as_shapes(shapes, len(types)), _as_names(names, len(types))
        seed1, seed2 = get_seed(seed)
        if seed1 is None and seed2 is None:
            seed1, seed2 = 0, 0
        elif seed is None and shared_name is not None:
            # Operations that share a queue must agree, wherever in the graph they stand: TensorFlow derives the second seed from the name.
            seed2 = int(hashlib.md5(f"{seed1}{shared_name}".encode(), usedforsecurity=False).hexdigest()[:8], 16) & 0x7FFFFFFF
        handle = make(
            "RandomShuffleQueueV2", component_types=types, shapes=made or (), capacity=capacity, min_after_dequeue=min_after_dequeue,
            seed=seed1 or 0, seed2=seed2 or 0, shared_name=shared_name or "", name=name,
        )  # fmt: skip
        super().__init__(types, made, called, handle)


class PriorityQueue(QueueBase):
    """Gives the tuple with the smallest priority first: an int64 that stands before the components of `types`."""

    def __init__(self, capacity: int, types: Any, shapes: Any = None, names: Any = None, shared_name: str | None = None,
                 name: str = "priority_queue") -> None:  # fmt: skip
        kinds = _as_types(types)
        made = _as_shapes(shapes, len(kinds))
        handle = make(
            "PriorityQueueV2", component_types=[int64, *kinds], shapes=[TensorShape([]), *(made or [TensorShape(None)] * len(kinds))],
            capacity=capacity, shared_name=shared_name or "", name=name,
        )  # fmt: skip
        whole = [TensorShape([]), *made] if made is not None else [TensorShape([]), *[TensorShape(None)] * len(kinds)]
        super().__init__([int64, *kinds], whole, _as_names(names, len(kinds) + 1) if names is not None else None, handle)
