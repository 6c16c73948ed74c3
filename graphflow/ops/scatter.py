"""Changing some rows, or some elements, of a variable.

Several updates of one row are combined first (`UnsortedSegmentSum` and its kin), then joined with the old row. Where rows are
replaced, the last update of a row counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from graphflow.dtypes import INDEX, NUMERIC
from graphflow.graph.build import make
from graphflow.graph.dims import merge_dims
from graphflow.graph.op import Case, Effect, TensorSpec
from graphflow.graph.tensor import Tensor
from graphflow.kernel.index import product
from graphflow.ops.families import Kernelised, StateUpdate
from graphflow.ops.segments import ScatterRows, flat_positions, place_rows
from graphflow.ops.sizes import i32

__all__ = [
    "scatter_add",
    "scatter_div",
    "scatter_max",
    "scatter_min",
    "scatter_mul",
    "scatter_nd_add",
    "scatter_nd_sub",
    "scatter_nd_update",
    "scatter_sub",
    "scatter_update",
]


class _Scatter(StateUpdate, abstract=True):
    """ref with `updates` at `indices`; the same shape as before."""

    arguments = ("ref: Ref(T)", "indices: Tindices", "updates: T")
    results = ("output_ref: Ref(T)",)
    types = {"T": NUMERIC, "Tindices": INDEX}
    effect = Effect.WRITES
    differentiable = False
    updates: ClassVar[tuple[int, ...]] = (0,)


class ScatterOnto(Kernelised):
    """`old` with the rows x[i] combined with its rows ids[i], one after the other. A number outside fails the step."""

    core = True
    arguments = ("old: T", "x: T", "ids: I")
    results = ("y: T",)
    types = {"I": INDEX}
    combine: str
    cases = (
        Case((4, 3), (5, 3), i32(1, 0, 1, 3, 1), combine="add"), Case((3,), (4,), i32(0, 0, 2, 2), combine="sub"),
        Case((2, 3), (0, 3), np.zeros(0, np.int32), combine="mul"), Case((9, 17), (5, 17), i32(8, 0, 0, 8, 4), combine="max"),
        Case((3, 3), (2, 3), i32(0, -1), combine="add", error=("InvalidArgumentError", "is not in [0, 3)")),
    )  # fmt: skip

    def infer(self, old: TensorSpec, x: TensorSpec, ids: TensorSpec) -> TensorSpec:
        return TensorSpec(old.dtype, old.dims)

    def reference(self, old: Any, x: Any, ids: Any) -> Any:
        if ids.size and not ((ids >= 0) & (ids < len(old))).all():
            raise IndexError(f"indices is not in [0, {len(old)})")
        y = np.array(old)
        ufunc = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "max": np.maximum, "min": np.minimum}[self.combine]
        for row, number in zip(x, ids, strict=True):
            y[number] = ufunc(y[number], row)
        return y

    def lower(self, k: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        (old, x, ids), (y,) = inputs, outputs
        message = f"indices = {{value}} is not in [0, {y.shape[0]})"
        place_rows(k, y, x, ids, self.combine, lambda at: k.load(old, at), message, drop=False)


class _ScatterRows(_Scatter, abstract=True):
    """`combine` puts each of the updates to its row, which is a number where one update serves all."""

    use_locking: bool = False
    combine: ClassVar[str] = ""

    def infer(self, ref: TensorSpec, indices: TensorSpec, updates: TensorSpec) -> TensorSpec:
        if ref.dims is not None and indices.dims is not None and updates.dims != ():
            merge_dims((*indices.dims, *ref.dims[1:]), updates.dims)
        return TensorSpec(ref.dtype, ref.dims)

    def decompose(self, b: Any, ref: Any, indices: Any, updates: Any) -> Any:
        flat = (ref.shape[0], product(ref.shape[1:]))
        rows = (indices.size, flat[1])
        updates = b.view(updates, rows) if updates.shape else b.broadcast(updates, rows)
        return b.view(self._changed(b, b.view(ref, flat), updates, b.view(indices, (indices.size,))), ref.shape)

    def _changed(self, b: Any, old: Any, rows: Any, numbers: Any) -> Any:
        return b.apply(ScatterOnto(self.combine), old, rows, numbers)


class ScatterAdd(_ScatterRows):
    """ref[indices[i]] += updates[i]"""

    combine = "add"


class ScatterSub(_ScatterRows):
    """ref[indices[i]] -= updates[i]"""

    combine = "sub"


class ScatterMul(_ScatterRows):
    """ref[indices[i]] *= updates[i]"""

    combine = "mul"


class ScatterDiv(_ScatterRows):
    """ref[indices[i]] /= updates[i]"""

    def _changed(self, b: Any, old: Any, rows: Any, numbers: Any) -> Any:
        return b.make("Div", old, b.apply(ScatterRows(old.shape[0], "mul", drop=False), rows, numbers))


class ScatterMin(_ScatterRows):
    """ref[indices[i]] = min(ref[indices[i]], updates[i])"""

    combine = "min"


class ScatterMax(_ScatterRows):
    """ref[indices[i]] = max(ref[indices[i]], updates[i])"""

    combine = "max"


def _replaced(b: Any, old: Any, numbers: Any, rows: Any) -> Any:
    """`old` (count, width) with the rows `rows` (n, width) at `numbers` (n): the last one where a number repeats."""
    given = b.iota(numbers.shape, 0, "int64")
    last = b.apply(ScatterRows(old.shape[0], "max", drop=False), given, numbers)  # very negative where none
    new = b.take(rows, b.maximum(last, 0), 0)
    named = b.expand(b.greater_equal(last, 0), old.shape, (0,))
    return b.select(named, new, old)


class ScatterUpdate(_ScatterRows):
    """ref[indices[i]] = updates[i]"""

    use_locking: bool = True

    def _changed(self, b: Any, old: Any, rows: Any, numbers: Any) -> Any:
        return old if numbers.size == 0 else _replaced(b, old, numbers, rows)


class ScatterNdAdd(_Scatter):
    """ref[indices[i]] += updates[i], where indices[i] holds a position of the leading axes."""

    use_locking: bool = False
    join: ClassVar[str] = "AddV2"

    def infer(self, ref: TensorSpec, indices: TensorSpec, updates: TensorSpec) -> TensorSpec:
        if ref.dims is not None and indices.dims is not None and isinstance(indices.dims[-1], int):
            merge_dims((*indices.dims[:-1], *ref.dims[indices.dims[-1] :]), updates.dims)
        return TensorSpec(ref.dtype, ref.dims)

    def decompose(self, b: Any, ref: Any, indices: Any, updates: Any) -> Any:
        shape = b.constant(ref.shape, indices.dtype)
        return b.make(self.join, ref, b.make("ScatterNd", indices, updates, shape))


class ScatterNdSub(ScatterNdAdd):
    """ref[indices[i]] -= updates[i]"""

    join = "Sub"


class ScatterNdUpdate(ScatterNdAdd):
    """ref[indices[i]] = updates[i]"""

    use_locking: bool = True

    def decompose(self, b: Any, ref: Any, indices: Any, updates: Any) -> Any:
        depth, lead = indices.shape[-1], indices.shape[:-1]
        count = product(lead)
        if count == 0:
            return ref
        width = product(ref.shape[depth:])
        old = b.view(ref, (product(ref.shape[:depth]), width))
        return b.view(_replaced(b, old, flat_positions(b, indices, ref.shape), b.view(updates, (count, width))), ref.shape)


# -- public functions ----------------------------------------------------------------------------------------------------------


def scatter_update(ref: Any, indices: Any, updates: Any, use_locking: bool = True, name: str | None = None) -> Tensor:
    """Replaces rows of a variable."""
    return make("ScatterUpdate", ref, indices, updates, use_locking=use_locking, name=name)  # type: ignore[no-any-return]


def scatter_add(ref: Any, indices: Any, updates: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
    """Adds to rows of a variable."""
    return make("ScatterAdd", ref, indices, updates, use_locking=use_locking, name=name)  # type: ignore[no-any-return]


def scatter_sub(ref: Any, indices: Any, updates: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
    """Subtracts from rows of a variable."""
    return make("ScatterSub", ref, indices, updates, use_locking=use_locking, name=name)  # type: ignore[no-any-return]


def scatter_mul(ref: Any, indices: Any, updates: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
    """Multiplies rows of a variable."""
    return make("ScatterMul", ref, indices, updates, use_locking=use_locking, name=name)  # type: ignore[no-any-return]


def scatter_div(ref: Any, indices: Any, updates: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
    """Divides rows of a variable."""
    return make("ScatterDiv", ref, indices, updates, use_locking=use_locking, name=name)  # type: ignore[no-any-return]


def scatter_min(ref: Any, indices: Any, updates: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
    """The lesser of rows of a variable and `updates`."""
    return make("ScatterMin", ref, indices, updates, use_locking=use_locking, name=name)  # type: ignore[no-any-return]


def scatter_max(ref: Any, indices: Any, updates: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
    """The greater of rows of a variable and `updates`."""
    return make("ScatterMax", ref, indices, updates, use_locking=use_locking, name=name)  # type: ignore[no-any-return]


def scatter_nd_add(ref: Any, indices: Any, updates: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
    """Adds to parts of a variable."""
    return make("ScatterNdAdd", ref, indices, updates, use_locking=use_locking, name=name)  # type: ignore[no-any-return]


def scatter_nd_sub(ref: Any, indices: Any, updates: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
    """Subtracts from parts of a variable."""
    return make("ScatterNdSub", ref, indices, updates, use_locking=use_locking, name=name)  # type: ignore[no-any-return]


def scatter_nd_update(ref: Any, indices: Any, updates: Any, use_locking: bool = True, name: str | None = None) -> Tensor:
    """Replaces parts of a variable."""
    return make("ScatterNdUpdate", ref, indices, updates, use_locking=use_locking, name=name)  # type: ignore[no-any-return]
