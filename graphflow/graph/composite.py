"""Values made of several tensors: IndexedSlices (a gradient of a gather) and SparseTensor, and what a run gives for them."""

from __future__ import annotations

from typing import Any, NamedTuple

from graphflow import dtypes
from graphflow.dtypes import DType
from graphflow.graph import sessions
from graphflow.graph.build import make, name_scope
from graphflow.graph.convert import constant_value, constant_value_as_shape, convert_to_tensor, register_tensor_conversion_function
from graphflow.graph.tensor import Tensor
from graphflow.shapes import TensorShape

__all__ = ["IndexedSlices", "SparseTensor", "SparseTensorValue"]


class IndexedSlicesValue(NamedTuple):
    """The arrays of an IndexedSlices."""

    values: Any
    indices: Any
    dense_shape: Any


class SparseTensorValue(NamedTuple):
    """The arrays of a SparseTensor."""

    indices: Any
    values: Any
    dense_shape: Any


class IndexedSlices:
    """Some slices of a larger tensor along its first axis: `dense[indices[i]] += values[i]`, everything else being zero."""

    def __init__(self, values: Tensor, indices: Tensor, dense_shape: Tensor | None = None) -> None:
        self.values = values
        self.indices = indices
        self.dense_shape = dense_shape

    @property
    def name(self) -> str:
        """The name of the values."""
        return self.values.name

    @property
    def dtype(self) -> DType:
        """The element type."""
        return self.values.dtype

    @property
    def op(self) -> Any:
        """The operation that gives the values."""
        return self.values.op

    @property
    def graph(self) -> Any:
        """The graph of the values."""
        return self.values.graph

    @property
    def device(self) -> str:
        """The device of the values."""
        return self.values.device

    @property
    def shape(self) -> TensorShape:
        """The shape of the dense tensor, as far as it is known."""
        return TensorShape(None) if self.dense_shape is None else constant_value_as_shape(self.dense_shape)

    @property
    def _components(self) -> list[Any]:
        return [t for t in (self.values, self.indices, self.dense_shape) if t is not None]

    @classmethod
    def _from_components(cls, components: Any) -> IndexedSlices:
        return cls(*components)

    def _shape_invariants(self, shape: TensorShape) -> list[TensorShape]:
        """The shapes of the parts, in loops that keep values of `shape`."""
        parts = [shape, TensorShape([shape.dims[0].value if shape.dims else None])]
        return parts if self.dense_shape is None else [*parts, TensorShape([shape.ndims])]

    def __neg__(self) -> IndexedSlices:
        return IndexedSlices(make("Neg", self.values), self.indices, self.dense_shape)

    def __str__(self) -> str:
        shape = "" if self.dense_shape is None else f", dense_shape={self.dense_shape}"
        return f"IndexedSlices(indices={self.indices}, values={self.values}{shape})"


class SparseTensor:
    """A tensor of which only some elements are stored: `values[i]` at the index `indices[i]` of a tensor of `dense_shape`."""

    def __init__(self, indices: Any, values: Any, dense_shape: Any) -> None:
        with name_scope(None, "SparseTensor", [indices, values, dense_shape]):
            self.indices = convert_to_tensor(indices, name="indices", dtype=dtypes.int64)
            self.values = convert_to_tensor(values, name="values")
            self.dense_shape = convert_to_tensor(dense_shape, name="dense_shape", dtype=dtypes.int64)
        indices_shape = self.indices.shape.with_rank(2)
        values_shape = self.values.shape.with_rank(1)
        shape_shape = self.dense_shape.shape.with_rank(1)
        indices_shape[0].merge_with(values_shape[0])
        indices_shape[1].merge_with(shape_shape[0])

    @classmethod
    def from_value(cls, sparse_tensor_value: Any) -> SparseTensor:
        """A SparseTensor from a SparseTensorValue."""
        value = sparse_tensor_value
        if isinstance(value, SparseTensor):
            return value
        if not isinstance(value, SparseTensorValue):
            raise TypeError(f"Neither a SparseTensor nor SparseTensorValue: {value}.")
        return cls(value.indices, value.values, value.dense_shape)

    @property
    def _components(self) -> list[Any]:
        return [self.indices, self.values, self.dense_shape]

    @classmethod
    def _from_components(cls, components: Any) -> SparseTensor:
        made = object.__new__(cls)  # around tensors that have the right types and shapes
        made.indices, made.values, made.dense_shape = components
        return made

    def _shape_invariants(self, shape: TensorShape) -> list[TensorShape]:
        """The shapes of the parts, in loops that keep a dense shape of shape `shape`."""
        rank = shape.with_rank(1).dims[0].value  # type: ignore[index]
        return [TensorShape([None, rank]), TensorShape([None]), TensorShape([rank])]

    @property
    def op(self) -> Any:
        """The operation that gives the values."""
        return self.values.op

    @property
    def dtype(self) -> DType:
        """The element type."""
        return self.values.dtype

    @property
    def graph(self) -> Any:
        """The graph of its tensors."""
        return self.values.graph

    @property
    def shape(self) -> TensorShape:
        """The shape of the whole, as far as it is known."""
        return constant_value_as_shape(self.dense_shape)

    def get_shape(self) -> TensorShape:
        """The shape of the whole, as far as it is known."""
        return self.shape

    def eval(self, feed_dict: Any = None, session: Any = None) -> SparseTensorValue:
        """Its value, computed by the default session or the given one."""
        indices, values, shape = sessions.evaluate(
            [self.indices, self.values, self.dense_shape], feed_dict, self.graph, session
        )
        return SparseTensorValue(indices, values, shape)

    def __str__(self) -> str:
        return f"SparseTensor(indices={self.indices}, values={self.values}, dense_shape={self.dense_shape})"


def _dense(value: IndexedSlices, dtype: Any = None, name: str | None = None, as_ref: bool = False) -> Tensor:
    """The dense tensor that an IndexedSlices stands for."""
    if dtype is not None and not dtypes.as_dtype(dtype).is_compatible_with(value.dtype):
        raise ValueError(
            f"Tensor conversion requested dtype {dtypes.as_dtype(dtype).name} for IndexedSlices with dtype {value.dtype.name}"
        )
    if value.dense_shape is None:
        raise ValueError(
            f"Tensor conversion requested for IndexedSlices without dense_shape: {value}"
        )
    rows = constant_value(value.dense_shape)
    count = make("StridedSlice", value.dense_shape, [0], [1], [1], shrink_axis_mask=1) if rows is None else int(rows[0])
    return make("UnsortedSegmentSum", value.values, value.indices, count, name=name)  # type: ignore[no-any-return]


register_tensor_conversion_function(IndexedSlices, _dense)
