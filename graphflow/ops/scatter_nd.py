"""scatter_nd: a tensor of zeros with parts added at given positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.dtypes import INDEX
from graphflow.graph.build import make
from graphflow.graph.op import Case, TensorSpec
from graphflow.kernel.index import Index, product
from graphflow.ops.families import Composite
from graphflow.ops.segments import ScatterRows
from graphflow.ops.sizes import Size, contents, i32, merge_dims, shown

__all__ = ["scatter_nd"]


def flat_positions(b: Any, indices: Any, dims: Sequence[Index]) -> Any:
    """The row that each position in the last dimension of `indices` has among the leading dimensions of `dims`, flat; -1 outside."""
    lead = indices.shape[:-1]
    flat: Any = b.broadcast(b.constant(0, "int64"), lead)
    inside: Any = b.broadcast(b.constant(True, "bool"), lead)
    for axis in range(indices.shape[-1]):
        part = b.cast(b.view(b.section(indices, (*(0 for _ in lead), axis), (*lead, 1)), lead), "int64")
        extent = b.constant(dims[axis], "int64")
        inside = b.make("LogicalAnd", inside, b.make("LogicalAnd", b.greater_equal(part, 0), b.make("Less", part, extent)))
        flat = b.add(b.mul(flat, extent), part)
    return b.view(b.select(inside, flat, b.constant(-1, "int64")), (product(lead),))


def check_parts(indices: TensorSpec, updates: TensorSpec, dims: Sequence[Size] | None, what: str) -> None:
    """Refuse updates that are not parts of a tensor of shape `dims` at `indices`, with TensorFlow's words. `what`: the tensor's name."""
    if not indices.dims or dims is None or updates.dims is None or not isinstance(indices.dims[-1], int):
        return
    if indices.dims[-1] > len(dims):
        raise ValueError(f"Must have indices.shape[-1] <= the rank of the {what}, but saw: {indices.dims[-1]} vs. {len(dims)}")
    if 0 in dims and 0 not in (*indices.dims, *updates.dims) and None not in (*indices.dims, *updates.dims):
        raise ValueError("Indices and updates specified for empty output shape")
    lead, inner = indices.dims[:-1], tuple(dims[indices.dims[-1] :])
    count = len(lead)
    for side, name, whole, part, wanted in (
        ("outer", "indices", indices.dims, updates.dims[:count], lead), ("inner", what, dims, updates.dims[count:], inner),
    ):  # fmt: skip
        try:
            merge_dims(part, wanted)
        except ValueError as error:
            raise ValueError(
                f"The {side} {len(wanted)} dimensions of {name}.shape={shown(whole)} must match the {side} {len(part)} dimensions of "
                f"updates.shape={shown(updates.dims)}: {error}"
            ) from None


class ScatterNd(Composite):
    """Zeros of the given shape, with updates[i] added at the position indices[i] holds."""

    arguments = ("indices: Tindices", "updates: T", "shape: Tindices")
    results = ("output: T",)
    types = {"Tindices": INDEX}
    cases = (
        Case(np.array([[4], [3], [1], [4]], np.int32), (4,), i32(8)), Case(np.array([[0, 1], [1, 0]], np.int32), (2, 3), i32(2, 2, 3)),
        Case(np.array([[0], [2]], np.int32), (2, 3), i32(3, 3)),
    )  # fmt: skip

    def infer(self, indices: TensorSpec, updates: TensorSpec, shape: TensorSpec) -> TensorSpec:
        dims = contents(shape)
        if dims is None and shape.dims is not None and isinstance(shape.dims[0], int):
            dims = [None] * shape.dims[0]
        check_parts(indices, updates, dims, "output")
        return TensorSpec(updates.dtype, dims)

    def reference(self, indices: Any, updates: Any, shape: Any) -> Any:
        y = np.zeros([int(d) for d in shape], updates.dtype)
        np.add.at(y, tuple(np.moveaxis(indices, -1, 0)), updates)
        return y

    def decompose(self, b: Any, indices: Any, updates: Any, shape: Any) -> Any:
        dims = b.sizes(shape)
        depth = indices.shape[-1]
        lead = indices.shape[:-1]
        if product(dims) == 0:
            if product(indices.shape) != 0:
                raise ValueError("Indices and updates specified for empty output")
            return b.broadcast(b.constant(0, updates.dtype), dims)
        rows = b.view(updates, (product(lead), product(dims[depth:])))
        return b.view(b.apply(ScatterRows(product(dims[:depth]), "add", drop=False), rows, flat_positions(b, indices, dims)), dims)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [None, make("GatherNd", dy, node.inputs[0]), None]


def scatter_nd(indices, updates, shape, name=None):
    """Zeros of the given shape, with `updates` added at `indices`."""
    return make("ScatterNd", indices, updates, shape, name=name)
