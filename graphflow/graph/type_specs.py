"""What is known of a value without having it: TensorSpec, SparseTensorSpec, IndexedSlicesSpec."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from graphflow import dtypes
from graphflow.dtypes import as_dtype
from graphflow.graph.build import convert_to_tensor
from graphflow.graph.composite import IndexedSlices, IndexedSlicesValue, SparseTensor, SparseTensorValue
from graphflow.graph.dims import broadcast_dims
from graphflow.graph.tensor import Tensor
from graphflow.shapes import TensorShape, as_shape

__all__ = ["IndexedSlicesSpec", "SparseTensorSpec", "TensorSpec", "TypeSpec"]


class TypeSpec:
    """The type of a value, and how it is taken apart into tensors. Compared by `_serialize`, a tuple of plain values, types and shapes."""

    value_type: ClassVar[Any]

    def _serialize(self) -> tuple[Any, ...]:
        raise NotImplementedError(f"{type(self).__name__}._serialize()")

    @classmethod
    def _deserialize(cls, serialization: Sequence[Any]) -> Any:
        return cls(*serialization)

    @property
    def _component_specs(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__}._component_specs()")

    def _to_components(self, value: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__}._to_components()")

    def _from_components(self, components: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__}._from_components()")

    def is_compatible_with(self, spec_or_value: Any) -> bool:
        """Whether a value, or the values of another spec, may be of this type."""
        other = spec_or_value if isinstance(spec_or_value, TypeSpec) else type_spec_from_value(spec_or_value)
        return type(self) is type(other) and _compatible(self._serialize(), other._serialize())

    def most_specific_compatible_type(self, other: Any) -> Any:
        """The narrowest spec that holds for the values of both. ValueError where there is none."""
        if type(self) is not type(other):
            raise ValueError(f"No TypeSpec is compatible with both {self} and {other}")
        return self._deserialize(_merged(self._serialize(), other._serialize()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TypeSpec) and type(self) is type(other) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> Any:
        return (type(self), _hashable(self._serialize()))

    def __reduce__(self) -> Any:
        return type(self), self._serialize()

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self._serialize()!r}"


def _hashable(value: Any) -> Any:
    """A stand-in that is compared by value: two shapes with unknown sizes are equal only if they are written alike."""
    if isinstance(value, TensorShape):
        return (TensorShape, None if value.ndims is None else tuple(value.as_list()))
    if isinstance(value, tuple):
        return tuple(map(_hashable, value))
    return (value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value


def _compatible(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(_compatible, a, b))
    if isinstance(a, (TypeSpec, TensorShape, dtypes.DType)):
        return a.is_compatible_with(b)
    return bool(np.all(a == b))


def _merged(a: Any, b: Any) -> Any:
    if type(a) is type(b):
        if isinstance(a, tuple) and len(a) == len(b):
            return tuple(map(_merged, a, b))
        if isinstance(a, TensorShape):
            return a.most_specific_compatible_shape(b)
        if isinstance(a, TypeSpec):
            return a.most_specific_compatible_type(b)
        if np.all(a == b):
            return a
    raise ValueError(f"Types are not compatible: {a!r} vs {b!r}")


class TensorSpec(TypeSpec):
    """The shape and type of a tensor, and a name for it."""

    value_type = Tensor

    def __init__(self, shape: Any, dtype: Any = dtypes.float32, name: str | None = None) -> None:
        self._shape = TensorShape(shape)
        self._dtype = as_dtype(dtype)
        self._name = name

    @classmethod
    def from_spec(cls, spec: Any, name: str | None = None) -> TensorSpec:
        """The same with another name."""
        return cls(spec.shape, spec.dtype, name or spec.name)

    @classmethod
    def from_tensor(cls, tensor: Any, name: str | None = None) -> TensorSpec:
        """The spec of a tensor, called as its operation unless a name is given."""
        if not isinstance(tensor, Tensor):
            raise ValueError("`tensor` should be a tf.Tensor")
        return TensorSpec(tensor.shape, tensor.dtype, name or tensor.op.name)

    @property
    def shape(self) -> TensorShape:
        """The shape."""
        return self._shape

    @property
    def dtype(self) -> dtypes.DType:
        """The type of the elements."""
        return self._dtype

    @property
    def name(self) -> str | None:
        """The name."""
        return self._name

    def is_compatible_with(self, spec_or_tensor: Any) -> bool:
        """Whether a tensor, or those of another spec, may have this type and shape."""
        other = spec_or_tensor
        fits = isinstance(other, (TensorSpec, Tensor)) and self._dtype.is_compatible_with(other.dtype)
        return fits and self._shape.is_compatible_with(other.shape)

    def most_specific_compatible_type(self, other: Any) -> TensorSpec:
        """The narrowest spec that holds for the tensors of both. ValueError where their types differ."""
        if type(self) is not type(other) or self._dtype != other.dtype:
            raise ValueError(f"Types are not compatible: {self!r} vs {other!r}")
        name = self._name if self._name == other.name else None
        return TensorSpec(self._shape.most_specific_compatible_shape(other.shape), self._dtype, name)

    def _serialize(self) -> tuple[Any, ...]:
        return (self._shape, self._dtype, self._name)

    @property
    def _component_specs(self) -> TensorSpec:
        return self

    def _to_components(self, value: Any) -> Tensor:
        wrong = f"Value {value!r} is not convertible to a tensor with dtype {self._dtype} and shape {self._shape}."
        try:
            tensor: Tensor = convert_to_tensor(value, self._dtype)
        except (TypeError, ValueError):
            raise ValueError(wrong) from None
        if not tensor.shape.is_compatible_with(self._shape):
            raise ValueError(wrong)
        return tensor

    def _from_components(self, components: Any) -> Any:
        return components

    def __repr__(self) -> str:
        return f"TensorSpec(shape={self.shape}, dtype={self.dtype!r}, name={self.name!r})"


class BoundedTensorSpec(TensorSpec):
    """A TensorSpec with the least and the greatest value, each of a shape that broadcasts to the tensor's."""

    def __init__(self, shape: Any, dtype: Any, minimum: Any, maximum: Any, name: str | None = None) -> None:
        super().__init__(shape, dtype, name)
        if minimum is None or maximum is None:
            raise ValueError(f"minimum and maximum must be provided; but saw '{minimum}' and '{maximum}'")
        self._bounds = []
        for what, value in (("minimum", minimum), ("maximum", maximum)):
            try:
                broadcast_dims(np.shape(value), self.shape.sizes)
            except ValueError as error:
                raise ValueError(f"{what} is not compatible with shape. Message: {error!r}.") from None
            array = np.array(value, dtype=self.dtype.as_numpy_dtype)
            array.setflags(write=False)
            self._bounds.append(array)

    @classmethod
    def from_spec(cls, spec: Any, name: str | None = None) -> BoundedTensorSpec:
        """The same, bounded by the range of its type where it has no bounds."""
        dtype = as_dtype(spec.dtype)
        low, high = getattr(spec, "minimum", dtype.min), getattr(spec, "maximum", dtype.max)
        return cls(spec.shape, dtype, low, high, name or spec.name)

    @property
    def minimum(self) -> Any:
        """The least value, an array that cannot be changed."""
        return self._bounds[0]

    @property
    def maximum(self) -> Any:
        """The greatest value, an array that cannot be changed."""
        return self._bounds[1]

    def _serialize(self) -> tuple[Any, ...]:
        return (self._shape, self._dtype, *self._bounds, self._name)

    def __repr__(self) -> str:
        base = super().__repr__()[len("TensorSpec(") : -1]
        return f"BoundedTensorSpec({base}, minimum={self.minimum!r}, maximum={self.maximum!r})"


class SparseTensorSpec(TypeSpec):
    """The dense shape and the type of a SparseTensor."""

    value_type = SparseTensor

    def __init__(self, shape: Any = None, dtype: Any = dtypes.float32) -> None:
        self._shape = as_shape(shape)
        self._dtype = as_dtype(dtype)

    @classmethod
    def from_value(cls, value: Any) -> SparseTensorSpec:
        """The spec of a SparseTensor or SparseTensorValue."""
        if isinstance(value, SparseTensor):
            return cls(value.shape, value.dtype)
        if isinstance(value, SparseTensorValue):
            return cls(np.asarray(value.dense_shape).tolist(), np.asarray(value.values).dtype)
        raise TypeError("Expected SparseTensor or SparseTensorValue")

    @property
    def shape(self) -> TensorShape:
        """The dense shape."""
        return self._shape

    @property
    def dtype(self) -> dtypes.DType:
        """The type of the elements."""
        return self._dtype

    def _serialize(self) -> tuple[Any, ...]:
        return (self._shape, self._dtype)

    @property
    def _component_specs(self) -> list[TensorSpec]:
        rank = self._shape.ndims
        return [TensorSpec([None, rank], dtypes.int64), TensorSpec([None], self._dtype), TensorSpec([rank], dtypes.int64)]

    def _to_components(self, value: Any) -> list[Any]:
        value = SparseTensor.from_value(value)
        return [value.indices, value.values, value.dense_shape]

    def _from_components(self, components: Any) -> Any:
        return (SparseTensorValue if _all_arrays(components) else SparseTensor)(*components)


class IndexedSlicesSpec(TypeSpec):
    """The dense shape and the types of an IndexedSlices; `dense_shape_dtype` None: it has no dense_shape."""

    value_type = IndexedSlices

    def __init__(
        self,
        shape: Any = None,
        dtype: Any = dtypes.float32,
        indices_dtype: Any = dtypes.int64,
        dense_shape_dtype: Any = None,
        indices_shape: Any = None,
    ) -> None:
        self._shape = as_shape(shape)
        self._values_dtype = as_dtype(dtype)
        self._indices_dtype = as_dtype(indices_dtype)
        self._dense_shape_dtype = None if dense_shape_dtype is None else as_dtype(dense_shape_dtype)
        self._indices_shape = as_shape(indices_shape).with_rank(1)

    def _serialize(self) -> tuple[Any, ...]:
        return (self._shape, self._values_dtype, self._indices_dtype, self._dense_shape_dtype, self._indices_shape)

    @property
    def _component_specs(self) -> tuple[TensorSpec, ...]:
        values = self._indices_shape.concatenate(self._shape[1:])
        specs = (TensorSpec(values, self._values_dtype), TensorSpec(self._indices_shape, self._indices_dtype))
        if self._dense_shape_dtype is None:
            return specs
        return (*specs, TensorSpec([self._shape.ndims], self._dense_shape_dtype))

    def _to_components(self, value: Any) -> tuple[Any, ...]:
        parts = (value.values, value.indices)
        return parts if value.dense_shape is None else (*parts, value.dense_shape)

    def _from_components(self, components: Any) -> Any:
        if _all_arrays(components):
            return IndexedSlicesValue(*components, *([None] * (3 - len(components))))
        return IndexedSlices(*components)


def _all_arrays(components: Sequence[Any]) -> bool:
    return all(isinstance(c, np.ndarray) for c in components)


def type_spec_from_value(value: Any) -> TypeSpec:
    """The spec of a tensor, a value made of tensors, or anything that becomes a tensor. TypeError for anything else."""
    if isinstance(value, (SparseTensor, SparseTensorValue)):
        return SparseTensorSpec.from_value(value)
    if isinstance(value, IndexedSlices):
        shape_dtype = None if value.dense_shape is None else value.dense_shape.dtype
        return IndexedSlicesSpec(value.shape, value.dtype, value.indices.dtype, shape_dtype, value.indices.shape)
    if isinstance(value, (Tensor, np.ndarray)):
        return TensorSpec(value.shape, value.dtype)
    try:
        tensor = convert_to_tensor(value)
    except (ValueError, TypeError):
        raise TypeError(f"Could not build a TypeSpec for {value!r} with type {type(value).__name__}") from None
    return TensorSpec(tensor.shape, tensor.dtype)
