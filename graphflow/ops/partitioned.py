"""Variables in parts: what `get_variable(..., partitioner=p)` gives.

The parts of `w` are the variables `w/part_0`, `w/part_1`, ... along one axis; as a tensor it is their concatenation, and in a checkpoint
they are slices of the one tensor `w`, so that a program that splits it otherwise can restore it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from graphflow.dtypes import DType, as_dtype
from graphflow.graph.build import make, name_scope
from graphflow.graph.convert import register_tensor_conversion_function
from graphflow.graph.scopes import control_dependencies
from graphflow.graph.tensor import Tensor
from graphflow.shapes import TensorShape


class PartitionInfo:
    """Where a part stands in the whole variable; initializers that depend on the whole's size read it."""

    def __init__(self, full_shape: Sequence[int], var_offset: Sequence[int]) -> None:
        for what, value in (("full_shape", full_shape), ("var_offset", var_offset)):
            if not isinstance(value, (tuple, list)):
                raise TypeError(f"`{what}` must be a sequence (like tuple or list) instead of {type(value)}")
        if len(var_offset) != len(full_shape):
            raise ValueError(f"Expected equal length, but var_offset is of length {len(var_offset)} while full_shape is of length "
                             f"{len(full_shape)}.")  # fmt: skip
        for offset, size in zip(var_offset, full_shape, strict=True):
            if not 0 <= offset < size:
                raise ValueError(f"Expected 0 <= offset < shape but found offset={offset}, shape={size} for var_offset={var_offset}, "
                                 f"full_shape={full_shape}")  # fmt: skip
        self.full_shape = full_shape
        self.var_offset = var_offset

    def single_offset(self, shape: Sequence[int]) -> int:
        """Where a part of that shape begins along the axis that is split; 0 where none is."""
        axis = self.single_slice_dim(shape)
        return 0 if axis is None else self.var_offset[axis]

    def single_slice_dim(self, shape: Sequence[int]) -> int | None:
        """The axis that is split into parts of that shape; None where none is, ValueError where several are."""
        if not isinstance(shape, (tuple, list)):
            raise TypeError(f"`shape` must be a sequence (like tuple or list) instead of {type(shape)}")
        if len(shape) != len(self.full_shape):
            raise ValueError(f"Expected equal length, but received shape={shape} of length {len(shape)} while self.full_shape="
                             f"{self.full_shape} is of length {len(self.full_shape)}.")  # fmt: skip
        for size, offset, full in zip(shape, self.var_offset, self.full_shape, strict=True):
            if offset + size > full:
                raise ValueError(
                    f"With self.var_offset={self.var_offset}, a partition of shape={shape} would exceed self.full_shape={self.full_shape}"
                )
        split = [axis for axis, (size, full) in enumerate(zip(shape, self.full_shape, strict=True)) if size != full]
        if len(split) > 1:
            raise ValueError(f"Cannot use single_slice_dim() with shape={shape} and self.full_shape={self.full_shape} since more than "
                             f"one dimension is sliced: {split}")  # fmt: skip
        return split[0] if split else None


def partitions_of(partitioner: Callable[..., Any], shape: TensorShape, dtype: DType) -> Sequence[int]:
    """In how many parts each axis is split. ValueError where the partitioner does not answer that."""
    if not shape.is_fully_defined():
        raise ValueError(f"Shape of a new partitioned variable must be fully defined, but instead was {shape}.")
    if not len(shape):
        raise ValueError(f"A partitioned Variable must have rank at least 1, shape: {shape}")
    parts = partitioner(shape=shape, dtype=dtype)
    if not isinstance(parts, Sequence):
        raise ValueError(f"Partitioner must return a sequence, but saw: {parts}")
    if len(parts) != len(shape):
        raise ValueError(f"Partitioner returned a partition list that does not match the Variable's rank: {parts} vs. {shape}")
    if any(p < 1 for p in parts):
        raise ValueError(f"Partitioner returned zero partitions for some axes: {parts}")
    if sum(p > 1 for p in parts) > 1:
        raise ValueError(f"Can only slice a variable along one dimension: shape: {shape}, partitioning: {parts}")
    return parts


def split_axis(partitions: Sequence[int]) -> int:
    """The axis that is split; 0 where none is."""
    return next((axis for axis, count in enumerate(partitions) if count > 1), 0)


def parts_of(full_shape: Sequence[int], partitions: Sequence[int]) -> Iterator[tuple[list[int], list[int]]]:
    """Offset and shape of each part. Where the axis does not divide evenly, the first parts are one longer."""
    axis = split_axis(partitions)
    size, longer = divmod(full_shape[axis], partitions[axis])
    offset = [0] * len(full_shape)
    for number in range(partitions[axis]):
        shape = list(full_shape)
        shape[axis] = size + (number < longer)
        yield list(offset), shape
        offset[axis] += shape[axis]


class PartitionedVariable:
    """Several variables that together are one. Iterating gives the parts; where a tensor is wanted it is their concatenation."""

    def __init__(self, name: str, shape: Any, dtype: Any, variable_list: Sequence[Any], partitions: Sequence[int]) -> None:
        if not isinstance(variable_list, (list, tuple)):
            raise TypeError(f"variable_list is not a list or tuple: {variable_list}")
        if not isinstance(partitions, (list, tuple)):
            raise TypeError(f"partitions is not a list or tuple: {partitions}")
        if not all(p >= 1 for p in partitions):
            raise ValueError(f"partition values must be positive: {partitions}")
        if not variable_list:
            raise ValueError("variable_list may not be empty")
        infos = [v._get_save_slice_info() for v in variable_list]
        if None in infos:
            raise ValueError(f"All variables must have a save_slice_info available: {[v.name for v in variable_list]}")
        if len(shape) != len(partitions):
            raise ValueError(f"len(shape) != len(partitions): {shape} vs. {partitions}")
        if any(info.full_shape != shape for info in infos):
            raise ValueError(
                f"All variables' full shapes must match shape: {shape}; but full shapes were: {[info.full_shape for info in infos]}"
            )
        self._variable_list = sorted(variable_list, key=lambda v: v._get_save_slice_info().var_offset)
        self._name = name
        self._shape = shape
        self._dtype = dtype
        self._partitions = partitions

    @property
    def name(self) -> str:
        """Its name, without an output number."""
        return self._name

    @property
    def dtype(self) -> Any:
        """The type of its elements."""
        return self._dtype

    @property
    def shape(self) -> Any:
        """The shape of the whole."""
        return self._shape

    def get_shape(self) -> Any:
        """The shape of the whole."""
        return self._shape

    def __iter__(self) -> Iterator[Any]:
        return iter(self._variable_list)

    def __len__(self) -> int:
        axes = self._partition_axes()
        if len(axes) > 1:
            raise ValueError(f"Cannot get a length for {len(axes)} > 1 partition axes")
        return len(self._variable_list)

    def _get_variable_list(self) -> list[Any]:
        return self._variable_list

    def _get_partitions(self) -> Sequence[int]:
        return self._partitions

    def _partition_axes(self) -> list[int]:
        return [axis for axis, count in enumerate(self._partitions) if count > 1] or [0]

    def _single_axis(self, what: str) -> int:
        axes = self._partition_axes()
        if len(axes) > 1:
            raise NotImplementedError(f"Cannot {what} along more than one dimension: {axes}.  Multi-axis partition is not supported")
        return axes[0]

    def _concat(self) -> Tensor:
        if len(self._variable_list) == 1:
            with name_scope(None):
                return make("Identity", self._variable_list[0], name=self._name)  # type: ignore[no-any-return]
        axis = self._single_axis("concatenate")
        with name_scope(self._name + "/ConcatPartitions/"):
            whole = make("ConcatV2", self._variable_list, axis, name="concat")
        with name_scope(None):
            return make("Identity", whole, name=self._name)  # type: ignore[no-any-return]

    def as_tensor(self) -> Tensor:
        """The whole as one tensor."""
        with control_dependencies(None):
            return self._concat()

    # -- changing ----------------------------------------------------------------------------------------------------------

    def _each(self, method: str, value: Any, use_locking: bool, name: str | None, read_value: bool) -> list[Any]:
        axis = self._single_axis("do assign action")
        if isinstance(value, PartitionedVariable):
            parts = list(value)
        elif isinstance(value, list):
            parts = value
            assert len(parts) == len(self._variable_list)
        else:
            sizes = [v.shape.as_list()[axis] for v in self._variable_list]
            parts = make("SplitV", value, sizes, axis, num_split=len(sizes), name="split")
        return [
            getattr(variable, method)(part, use_locking=use_locking, name=name, read_value=read_value)
            for variable, part in zip(self._variable_list, parts, strict=True)
        ]

    def assign(self, value: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True) -> list[Any]:
        """Operations that give the parts new values: those of a tensor of the whole's shape, or of a list."""
        return self._each("assign", value, use_locking, name, read_value)

    def assign_add(self, value: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True) -> list[Any]:
        """Operations that add to the parts."""
        return self._each("assign_add", value, use_locking, name, read_value)

    def assign_sub(self, value: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True) -> list[Any]:
        """Operations that subtract from the parts."""
        return self._each("assign_sub", value, use_locking, name, read_value)


def _conversion(value: PartitionedVariable, dtype: Any = None, name: str | None = None, as_ref: bool = False) -> Tensor:
    if dtype is not None and not as_dtype(dtype).is_compatible_with(value.dtype):
        raise ValueError(
            f"Incompatible type conversion requested to type '{as_dtype(dtype).name}' for variable of type '{value.dtype.name}'"
        )
    if as_ref:
        raise NotImplementedError("PartitionedVariable doesn't support being used as a reference.")
    return value.as_tensor()


register_tensor_conversion_function(PartitionedVariable, _conversion)
