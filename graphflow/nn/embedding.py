"""Rows of tables chosen by number: embedding_lookup, also over a table in several parts."""

from __future__ import annotations

from typing import Any

from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.ops.clip import clip_by_norm
from graphflow.ops.gather import gather
from graphflow.ops.logic import cast, where


def _clipped(rows: Any, ids: Any, max_norm: float | None) -> Any:
    if max_norm is None:
        return rows
    return clip_by_norm(rows, max_norm, axes=list(range(ids.shape.ndims, rows.shape.ndims)))


def embedding_lookup(params, ids, partition_strategy="mod", name=None, validate_indices=True, max_norm=None):
    """The rows of the table `params` that `ids` name. A list of tables is one table, row i in part i % n ("mod") or in order ("div")."""
    if params is None:
        raise ValueError("params must be specified")
    if isinstance(params, (list, tuple)) and not params:
        raise ValueError("Need at least one param")
    parts = list(params) if isinstance(params, (list, tuple)) else [params]
    with name_scope(name, "embedding_lookup", [*parts, ids]) as name:
        parts = [convert_to_tensor(p, name=f"params_{k}") for k, p in enumerate(parts)]
        ids = convert_to_tensor(ids, name="ids")
        if len(parts) == 1:
            return make("Identity", _clipped(gather(parts[0], ids, name=name), ids, max_norm))
        if partition_strategy not in ("mod", "div"):
            raise ValueError(f"Unrecognized partition strategy: {partition_strategy}")
        part, row = _place(parts, ids, partition_strategy)
        result = None
        for number, table in enumerate(parts):
            here = make("Equal", part, cast(number, part.dtype))
            rows = gather(table, where(here, row, row * 0))
            mask = make("Reshape", cast(here, rows.dtype), make("ConcatV2", [make("Shape", ids), [1] * (table.shape.ndims - 1)], 0))
            result = rows * mask if result is None else result + rows * mask
        return _clipped(make("Identity", result, name=name), ids, max_norm)


def _place(parts: list[Any], ids: Any, strategy: str) -> tuple[Any, Any]:
    """Which part each id is in, and its row there."""
    count = cast(len(parts), ids.dtype)
    if strategy == "mod":
        return ids % count, ids // count
    total = sum(int(p.shape.as_list()[0]) for p in parts)
    share, extras = total // len(parts), total % len(parts)
    part = make("Maximum", ids // (share + 1), (ids - extras) // share)
    return part, where(part < extras, ids % (share + 1), (ids - extras) % share)
