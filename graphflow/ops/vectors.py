"""Cross products, indices taken apart, and repeated elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.dtypes import INDEX, REAL, int32
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.dims import merge_dims
from graphflow.graph.op import Case, TensorSpec
from graphflow.kernel.index import product
from graphflow.ops.choose import boolean_mask, sequence_mask
from graphflow.ops.families import Composite
from graphflow.ops.logic import cast
from graphflow.ops.passing import Within
from graphflow.ops.reductions import reduce_max
from graphflow.ops.reshape import expand_dims, reshape
from graphflow.ops.shape import shape
from graphflow.ops.sizes import need_rank, need_rank_at_least

__all__ = ["cross", "repeat", "unravel_index"]


class Cross(Composite):
    """The cross product of the vectors of three elements in the last dimension."""

    arguments = ("a: T", "b: T")
    results = ("product: T",)
    types = {"T": REAL}
    cases = (
        Case((4, 3), (4, 3)), Case((3,), (3,)), Case((0, 3), (0, 3)),
        Case((2, 4), (2, 4), error=("ValueError", "Dimension must be 3 but is 4")),
    )  # fmt: skip

    def infer(self, a: TensorSpec, b: TensorSpec) -> TensorSpec:
        need_rank_at_least(a, 1)
        dims = merge_dims(a.dims, b.dims)
        if dims is not None and isinstance(dims[-1], int) and dims[-1] != 3:
            raise ValueError(f"Dimension must be 3 but is {dims[-1]}")
        return TensorSpec(a.dtype, dims)

    def reference(self, a: Any, b: Any) -> Any:
        return np.cross(a.astype(np.float64), b.astype(np.float64)).astype(a.dtype)

    def decompose(self, b: Any, *operands: Any) -> Any:
        x, y = operands

        def turned(v: Any, by: int) -> Any:
            return b.take(v, b.constant([(n + by) % 3 for n in range(3)], int32), len(v.shape) - 1)

        return b.sub(b.mul(turned(x, 1), turned(y, 2)), b.mul(turned(x, 2), turned(y, 1)))

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        u, v = node.inputs
        return [make("Cross", v, dy), make("Cross", dy, u)]


class UnravelIndex(Composite):
    """The coordinates, one a row, of flat positions in a tensor of the sizes `dims`."""

    arguments = ("indices: Tidx", "dims: Tidx")
    results = ("output: Tidx",)
    types = {"Tidx": INDEX}
    differentiable = False
    cases = (
        Case(np.array([22, 41, 37]), np.array([7, 6])), Case(np.array(5), np.array([2, 3])), Case(np.zeros(0, np.int64), np.array([2, 3])),
        Case(np.array([6]), np.array([2, 3]), error=("InvalidArgumentError", "index 6 is out of bound")),
    )  # fmt: skip

    def infer(self, indices: TensorSpec, dims: TensorSpec) -> TensorSpec:
        need_rank(dims, 1)
        if indices.rank not in (None, 0, 1):
            raise ValueError(f"The indices can only be scalar or vector, got rank {indices.rank}")
        count = None if dims.dims is None else dims.dims[0]
        return TensorSpec(indices.dtype, None if indices.dims is None else (count, *indices.dims))

    def reference(self, indices: Any, dims: Any) -> Any:
        return np.stack(np.unravel_index(indices, tuple(int(d) for d in dims))).astype(indices.dtype)

    def decompose(self, b: Any, indices: Any, dims: Any) -> Any:
        sizes = b.sizes(dims)
        checked = b.apply(Within(product(sizes), text="index {value} is out of bound as with dims"), indices)
        column = (len(sizes), *(1 for _ in indices.shape))
        steps = b.view(b.constant([product(sizes[n + 1 :]) for n in range(len(sizes))], indices.dtype), column)
        whole = (len(sizes), *indices.shape)
        quotient = b.floordiv(b.broadcast(checked, whole), b.broadcast(steps, whole))
        return b.make("FloorMod", quotient, b.broadcast(b.view(dims, column), whole))


# -- public functions --------------------------------------------------------------------------------------------------------------


def cross(a, b, name=None):
    """The cross product of vectors of three elements, which lie along the last dimension."""
    return make("Cross", a, b, name=name)


def unravel_index(indices, dims, name=None):
    """The coordinates [len(dims), len(indices)] of flat positions in a tensor of the sizes `dims`."""
    return make("UnravelIndex", indices, dims, name=name)


def repeat(input, repeats, axis=None, name=None):
    """Each element `repeats` times along `axis`, or each of the flattened input (axis=None). repeats: a number, or one for each."""
    with name_scope(name, "Repeat", [input, repeats]):
        data = convert_to_tensor(input, name="input")
        if axis is None:
            data, axis = reshape(data, [-1]), 0
        counts = convert_to_tensor(repeats, name="repeats")
        counts = counts if counts.dtype in INDEX else cast(counts, int32)
        rank = data.shape.ndims
        if rank is None or counts.shape.ndims is None:
            raise ValueError("repeat takes an input and repeats of known rank")
        if not -rank <= axis < rank:
            raise ValueError(f"axis {axis} is out of range for an input of rank {rank}")
        axis %= rank
        if counts.shape.ndims > 1:
            raise ValueError(f"repeats must be a number or a vector, got rank {counts.shape.ndims}")
        sizes = shape(data, out_type=counts.dtype)
        if counts.shape.ndims == 1 and counts.shape.as_list() == [1]:
            counts = reshape(counts, [])
        longest = counts if counts.shape.ndims == 0 else reduce_max(counts)
        multiples = make("Pack", [*[1] * (axis + 1), cast(longest, int32), *[1] * (rank - axis - 1)])
        spread = make("Tile", expand_dims(data, axis + 1), multiples)
        if counts.shape.ndims == 0:
            whole = make("ConcatV2", [sizes[:axis], reshape(sizes[axis] * counts, [1]), sizes[axis + 1 :]], 0)
            return reshape(spread, whole)
        kept = sequence_mask(counts, cast(longest, counts.dtype))
        return boolean_mask(spread, kept, axis=axis)
