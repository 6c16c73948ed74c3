"""Sparse tensors among those that tf.train.batch puts into its queue: the queue holds their numbers (see ops/sparse_maps.py)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphflow.dtypes import int64
from graphflow.graph.build import make
from graphflow.graph.composite import SparseTensor
from graphflow.ops.queues import QueueBase
from graphflow.ops.source import with_dependencies


def queue_dtype(value: Any) -> Any:
    """The type of what stands for a value in a queue."""
    return int64 if isinstance(value, SparseTensor) else value.dtype.base_dtype


def _map_name(queue: QueueBase, column: int) -> str:
    return f"{queue.queue_ref.op.name}_sparse_{column}"


def stored(values: Sequence[Any], queue: QueueBase, many: bool) -> list[Any]:
    """The values with a number for each sparse one (many: a vector of one for each row)."""
    kind = "AddManySparseToTensorsMap" if many else "AddSparseToTensorsMap"
    return [
        make(kind, *v._components, shared_name=_map_name(queue, column)) if isinstance(v, SparseTensor) else v
        for column, v in enumerate(values)
    ]


def restored(found: Any, given: Sequence[Any], queue: QueueBase, many: bool) -> list[Any]:
    """What was dequeued, with the sparse tensors for their numbers. A run takes all of them, whichever it asks for."""
    columns = list(found) if isinstance(found, (list, tuple)) else [found]
    for column, value in enumerate(given):
        if isinstance(value, SparseTensor):
            parts = make("TakeManySparseFromTensorsMap", columns[column], dtype=value.dtype, shared_name=_map_name(queue, column))
            rank = value.dense_shape.shape.as_list()[0] if value.dense_shape.shape.ndims else None
            if rank is not None:
                width = rank if many else rank + 1
                parts[0].set_shape([None, width])
                parts[2].set_shape([width])
            columns[column] = SparseTensor(*parts)
    taken = [c.values if isinstance(c, SparseTensor) else c for c in columns]
    if taken == columns:
        return columns
    return [
        SparseTensor(*(with_dependencies(taken, part) for part in c._components)) if isinstance(c, SparseTensor)
        else with_dependencies(taken, c)
        for c in columns
    ]  # fmt: skip
