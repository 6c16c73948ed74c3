"""Sorting along an axis, made of TopKV2."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.ops.shape import rank as rank_of
from graphflow.ops.shape import shape

__all__ = ["argsort", "sort"]


def sort(values: Any, axis: Any = -1, direction: str = "ASCENDING", name: str | None = None) -> Any:
    """The values in ascending or "DESCENDING" order along `axis`, a number that is known while the graph is built."""
    with name_scope(name, "sort", []):
        return _ordered(values, axis, direction, 0)


def argsort(values: Any, axis: Any = -1, direction: str = "ASCENDING", stable: bool = False, name: str | None = None) -> Any:
    """For each place in sorted order where its value stands along `axis`, as int32. Equal values keep their order, `stable` or not."""
    with name_scope(name, "argsort", []):
        return _ordered(values, axis, direction, 1)


def _ordered(values: Any, axis: Any, direction: str, result: int) -> Any:
    if direction not in ("ASCENDING", "DESCENDING"):
        raise ValueError(f"{direction} should be one of ASCENDING, DESCENDING")
    place = convert_to_tensor(axis, name="axis")
    known = place.spec.value
    if place.shape.ndims != 0 or known is None:
        raise ValueError("axis must be a constant scalar")
    values = convert_to_tensor(values, name="values")
    if direction == "DESCENDING":
        return _descending(values, int(known), result)
    ordered = _descending(-values, int(known), result)
    return ordered if result else -ordered


def _descending(values: Any, axis: int, result: int) -> Any:
    count, rank, known = shape(values)[axis], rank_of(values), values.shape.ndims
    if axis == -1 or axis + 1 == known:
        return make("TopKV2", values, count)[result]
    at: Any = axis if axis >= 0 else axis + (rank if known is None else known)
    if known is None:  # the sorted axis and the last change places
        order = make("ConcatV2", [make("Range", 0, at, 1), [rank - 1], make("Range", at + 1, rank - 1, 1), [at]], 0)
    else:
        places = np.arange(known, dtype=np.int64)
        places[[at, -1]] = known - 1, at
        order = convert_to_tensor(places.astype(np.int32), name="transposition")
    return make("Transpose", make("TopKV2", make("Transpose", values, order), count)[result], order)
