"""Clipping: to a range, to a norm, to a global norm. Compositions, node for node as TensorFlow builds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphflow.dtypes import float32
from graphflow.graph.build import convert, make, name_scope
from graphflow.graph.indexed_slices import IndexedSlices
from graphflow.graph.scopes import colocate_with
from graphflow.ops.logic import cast, where
from graphflow.ops.ranges import range
from graphflow.ops.reductions import reduce
from graphflow.ops.shape import rank, size
from graphflow.ops.source import identity, ones_like

__all__ = [
    "clip_by_average_norm", "clip_by_global_norm", "clip_by_norm", "clip_by_value", "global_norm",
]  # fmt: skip


def _values(t: Any, name: str) -> Any:
    return convert(t.values if isinstance(t, IndexedSlices) else t, name=name)


def _as_given(t: Any, clipped: Any) -> Any:
    return IndexedSlices(clipped, t.indices, t.dense_shape) if isinstance(t, IndexedSlices) else clipped


def clip_by_value(t, clip_value_min, clip_value_max, name=None):
    """t with elements below or above the range replaced by its ends."""
    with name_scope(name, "clip_by_value", [t, clip_value_min, clip_value_max]) as scope:
        values = _values(t, "t")
        capped = make("Minimum", values, clip_value_max)
        values.shape.merge_with(capped.shape)  # refuses bounds that would broadcast t to a larger shape
        clipped = make("Maximum", capped, clip_value_min, name=scope)
        values.shape.merge_with(clipped.shape)
    return _as_given(t, clipped)


def clip_by_norm(t, clip_norm, axes=None, name=None):
    """t scaled down so that its L2 norm (along `axes`) is at most `clip_norm`."""
    with name_scope(name, "clip_by_norm", [t, clip_norm]) as scope:
        values = _values(t, "t")
        total = reduce("Sum", values * values, axes, True)
        positive = total > 0
        safe = where(positive, total, ones_like(total))  # the root of 0 would make the gradient NaN
        length = where(positive, make("Sqrt", safe), total)
        scaled = values * clip_norm
        values.shape.merge_with(scaled.shape)
        return _as_given(t, identity(scaled / make("Maximum", length, clip_norm), name=scope))


def _listed(t_list: Any) -> list[Any]:
    if not isinstance(t_list, Sequence) or isinstance(t_list, str):
        raise TypeError("t_list should be a sequence")
    return list(t_list)


def global_norm(t_list, name=None):
    """The L2 norm of all elements of a list of tensors together."""
    items = _listed(t_list)
    with name_scope(name, "global_norm", items):
        values = [t if t is None else _values(t, f"t_{i}") for i, t in enumerate(items)]
        halves = []
        for v in values:
            if v is not None:
                with colocate_with(v):
                    halves.append(make("L2Loss", v))
        half = reduce("Sum", make("Pack", halves, axis=0, name="stack"), None, False)
        return make("Sqrt", half * convert(2.0, half.dtype), name="global_norm")


def clip_by_global_norm(t_list, clip_norm, use_norm=None, name=None):
    """The tensors of a list scaled down together so that their global norm is at most `clip_norm`; and that norm."""
    items = _listed(t_list)
    if use_norm is None:
        use_norm = global_norm(items, name)
    with name_scope(name, "clip_by_global_norm", [*items, clip_norm]) as scope:
        scale = clip_norm * make("Minimum", 1.0 / use_norm, convert(1.0, use_norm.dtype) / clip_norm)
        scale = where(make("IsFinite", use_norm), scale, convert(float("nan"), use_norm.dtype))
        values = [t if t is None else _values(t, f"t_{i}") for i, t in enumerate(items)]
        clipped: list[Any] = []
        for i, (t, v) in enumerate(zip(items, values, strict=True)):
            if v is None:
                clipped.append(None)
                continue
            with colocate_with(v):
                clipped.append(_as_given(t, identity(v * scale, name=f"{scope}_{i}")))
    return clipped, use_norm


def clip_by_average_norm(t, clip_norm, name=None):
    """t scaled down so that its L2 norm divided by its number of elements is at most `clip_norm`."""
    with name_scope(name, "clip_by_average_norm", [t, clip_norm]) as scope:
        t = convert(t, name="t")
        count = cast(size(t), float32)
        inverse = make("Rsqrt", make("Sum", t * t, range(0, rank(t))))
        return identity(t * clip_norm * make("Minimum", inverse * count, convert(1.0) / clip_norm), name=scope)
