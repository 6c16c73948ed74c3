"""Rows as sets: the last dimension of a tensor, dense or sparse, holds the elements of one set for each of the leading indices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.dtypes import as_dtype, int8, int16, int32, int64, string, uint8, uint16
from graphflow.graph.build import convert_to_tensor, make
from graphflow.graph.composite import SparseTensor, SparseTensorValue
from graphflow.graph.op import TensorSpec
from graphflow.ops.families import HostOp
from graphflow.ops.sizes import need_rank, need_rank_at_least
from graphflow.ops.sparse import as_sparse
from graphflow.ops.text import refused

__all__ = ["convert_to_tensor_or_sparse_tensor"]

ELEMENTS = (int8, int16, int32, int64, uint8, uint16, string)
Groups = dict[tuple[int, ...], set[Any]]
_COMBINED = {
    "a-b": lambda a, b: a - b, "b-a": lambda a, b: b - a, "intersection": lambda a, b: a & b, "union": lambda a, b: a | b,
}  # fmt: skip


def _of_dense(values: Any) -> tuple[Groups, list[int]]:
    """The sets of a dense tensor by their leading indices, and the leading sizes."""
    lead = values.shape[:-1]
    return {at: set(values[at].tolist()) for at in np.ndindex(*lead)}, list(lead)


def _of_sparse(indices: Any, values: Any, shape: Any, ordered: bool) -> tuple[Groups, list[int]]:
    """The sets of a sparse tensor. ordered: its indices must be in row-major order, without repeats."""
    rows = [tuple(row) for row in indices.tolist()]
    groups: Groups = {}
    for number, (row, value) in enumerate(zip(rows, values.tolist(), strict=True)):
        if any(not 0 <= i < n for i, n in zip(row, shape.tolist(), strict=True)):
            raise refused(f"indices[{number}] = {list(row)} is out of bounds: need 0 <= index < {shape.tolist()}")
        if ordered and number and row <= rows[number - 1]:
            how = "repeated" if row == rows[number - 1] else "out of order"
            raise refused(f"indices[{number}] = {list(row)} is {how}. Many sparse ops require sorted indices.")
        groups.setdefault(row[:-1], set()).add(value)
    return groups, shape.tolist()[:-1]


def _parts(groups: Groups, lead: Sequence[int], dtype: Any) -> tuple[Any, Any, Any]:
    """Indices, values and shape of a sparse tensor with those sets, each in rising order."""
    listed = [(at, sorted(groups[at])) for at in sorted(groups)]
    indices = [(*at, place) for at, members in listed for place in range(len(members))]
    values = np.empty(len(indices), dtype)
    values[:] = [member for _, members in listed for member in members]
    longest = max((len(members) for _, members in listed), default=0)
    return np.array(indices, np.int64).reshape(len(indices), len(lead) + 1), values, np.array([*lead, longest], np.int64)


class SetSize(HostOp):
    """How many elements each set has."""

    arguments = ("set_indices: int64", "set_values: T", "set_shape: int64")
    results = ("size: int32",)
    types = {"T": ELEMENTS}
    validate_indices: bool = True

    def infer(self, set_indices: TensorSpec, set_values: TensorSpec, set_shape: TensorSpec) -> TensorSpec:
        need_rank(set_shape, 1)
        return TensorSpec(int32, None)

    def run(self, *parts: Any) -> Any:
        groups, lead = _of_sparse(*parts, self.validate_indices)
        sizes = np.zeros(lead, np.int32)
        for at, members in groups.items():
            sizes[at] = len(members)
        return sizes


class _SetOperation(HostOp, abstract=True):
    """A set made of two, for each of the leading indices, which both have in common."""

    results = ("result_indices: int64", "result_values: T", "result_shape: int64")
    types = {"T": ELEMENTS}
    set_operation: str
    validate_indices: bool = True

    def infer(self, *operands: TensorSpec) -> tuple[TensorSpec, ...]:
        if self.set_operation not in _COMBINED:
            raise ValueError(f"Invalid set_operation {self.set_operation}")
        ranks = self.ranks(*operands)
        known = [rank for rank in ranks if rank is not None]
        if len(set(known)) > 1:
            raise ValueError(f"Ranks do not match: {known[0]} vs. {known[1]}")
        rank = known[0] if known else None
        values = TensorSpec(next(s.dtype for s, a in zip(operands, self.arguments, strict=True) if a.endswith(": T")), (None,))
        return TensorSpec(int64, (None, rank)), values, TensorSpec(int64, (rank,))

    def ranks(self, *operands: TensorSpec) -> list[int | None]:
        """The ranks of both tensors, None where unknown."""
        raise NotImplementedError

    def sets(self, *operands: Any) -> list[tuple[Groups, list[int]]]:
        """The sets of both, and their leading sizes."""
        raise NotImplementedError

    def run(self, *operands: Any) -> Any:
        (left, lead), (right, other) = self.sets(*operands)
        if lead != other:
            raise refused(f"Mismatched group shapes: {lead} vs. {other}")
        combine = _COMBINED[self.set_operation]
        groups = {at: combine(left.get(at, set()), right.get(at, set())) for at in left.keys() | right.keys()}
        dtype = next(x.dtype for x, a in zip(operands, self.arguments, strict=True) if a.endswith(": T"))
        return _parts(groups, lead, dtype)


def _rank_of_dense(spec: TensorSpec) -> int | None:
    need_rank_at_least(spec, 2)
    return spec.rank


def _rank_of_shape(spec: TensorSpec) -> int | None:
    need_rank(spec, 1)
    rank = spec.dims[0] if spec.dims is not None else None
    return rank if isinstance(rank, int) else None


class DenseToDenseSetOperation(_SetOperation):
    """Of two dense tensors."""

    arguments = ("set1: T", "set2: T")

    def ranks(self, *operands: TensorSpec) -> list[int | None]:
        return [_rank_of_dense(spec) for spec in operands]

    def sets(self, *operands: Any) -> list[tuple[Groups, list[int]]]:
        return [_of_dense(x) for x in operands]


class DenseToSparseSetOperation(_SetOperation):
    """Of a dense tensor and a sparse one."""

    arguments = ("set1: T", "set2_indices: int64", "set2_values: T", "set2_shape: int64")

    def ranks(self, *operands: TensorSpec) -> list[int | None]:
        return [_rank_of_dense(operands[0]), _rank_of_shape(operands[3])]

    def sets(self, *operands: Any) -> list[tuple[Groups, list[int]]]:
        return [_of_dense(operands[0]), _of_sparse(*operands[1:], self.validate_indices)]


class SparseToSparseSetOperation(_SetOperation):
    """Of two sparse tensors."""

    arguments = ("set1_indices: int64", "set1_values: T", "set1_shape: int64", "set2_indices: int64", "set2_values: T",
                 "set2_shape: int64")  # fmt: skip

    def ranks(self, *operands: TensorSpec) -> list[int | None]:
        return [_rank_of_shape(operands[2]), _rank_of_shape(operands[5])]

    def sets(self, *operands: Any) -> list[tuple[Groups, list[int]]]:
        return [_of_sparse(*operands[at : at + 3], self.validate_indices) for at in (0, 3)]


# -- public functions --------------------------------------------------------------------------------------------------------------


def convert_to_tensor_or_sparse_tensor(value, dtype=None, name=None):
    """A SparseTensor as it is, or what `convert_to_tensor` makes of another value. RuntimeError where a SparseTensor has not the type."""
    if isinstance(value, SparseTensorValue):
        value = as_sparse(value)
    if not isinstance(value, SparseTensor):
        return convert_to_tensor(value, dtype=dtype, name=name)
    if dtype is not None and not as_dtype(dtype).is_compatible_with(value.dtype):
        raise RuntimeError(f"Sparse dtype: requested = {dtype}, actual = {value.dtype}")
    return value


def _checked(a: Any, b: Any) -> tuple[Any, Any, bool]:
    """Both operands as tensors, and whether they changed places: a dense one comes first."""
    a = convert_to_tensor_or_sparse_tensor(a, name="a")
    if a.dtype.base_dtype not in ELEMENTS:
        raise TypeError(f"'a' invalid dtype {a.dtype}.")
    b = convert_to_tensor_or_sparse_tensor(b, name="b")
    if b.dtype.base_dtype != a.dtype.base_dtype:
        raise TypeError(f"Types don't match, {a.dtype} vs {b.dtype}.")
    flipped = isinstance(a, SparseTensor) and not isinstance(b, SparseTensor)
    return (b, a, True) if flipped else (a, b, False)


def _combined(a: Any, b: Any, operation: str, validate_indices: bool) -> SparseTensor:
    kinds = ["Sparse" if isinstance(x, SparseTensor) else "Dense" for x in (a, b)]
    operands = [t for x in (a, b) for t in (x._components if isinstance(x, SparseTensor) else [x])]
    fields = {"set_operation": operation, "validate_indices": validate_indices}
    return SparseTensor(*make(f"{kinds[0]}To{kinds[1]}SetOperation", *operands, **fields))


def set_size(a, validate_indices=True):
    """How many different elements stand in each row [..., N] of a SparseTensor (int32)."""
    a = convert_to_tensor_or_sparse_tensor(a, name="a")
    if not isinstance(a, SparseTensor):
        raise TypeError(f"Expected `SparseTensor`, got {a}.")
    if a.values.dtype.base_dtype not in ELEMENTS:
        raise TypeError(f"Invalid dtype {a.values.dtype}.")
    return make("SetSize", *a._components, validate_indices=validate_indices)


def set_intersection(a, b, validate_indices=True):
    """What the rows [..., N] and [..., M] of two tensors have in common, as a SparseTensor with rising elements in each row. The operands
    are tensors or SparseTensors of integers or strings with the same leading sizes; validate_indices: sparse ones must be in order."""
    a, b, _ = _checked(a, b)
    return _combined(a, b, "intersection", validate_indices)


def set_difference(a, b, aminusb=True, validate_indices=True):
    """What the rows of a have and those of b have not (or the other way), as `set_intersection`."""
    a, b, flipped = _checked(a, b)
    return _combined(a, b, "a-b" if aminusb != flipped else "b-a", validate_indices)


def set_union(a, b, validate_indices=True):
    """What the rows of either have, as `set_intersection`."""
    a, b, _ = _checked(a, b)
    return _combined(a, b, "union", validate_indices)
