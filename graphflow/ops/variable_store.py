"""The variables of a graph by name, as `get_variable` finds and makes them."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from graphflow import dtypes
from graphflow.dtypes import DType, as_dtype
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.collections import GraphKeys
from graphflow.graph.scopes import add_to_collection, colocate_with, init_scope
from graphflow.graph.tensor import Tensor
from graphflow.ops import initializers
from graphflow.ops.partitioned import PartitionedVariable, PartitionInfo, partitions_of, parts_of
from graphflow.ops.variables import SaveSliceInfo, Variable, VariableAggregation, VariableSynchronization
from graphflow.shapes import TensorShape, as_shape


class VariableStore:
    """The variables of a graph by their full names, and those in parts."""

    def __init__(self) -> None:
        self._vars: dict[str, Any] = {}
        self._partitioned: dict[str, PartitionedVariable] = {}

    def get_variable(self, name: str, custom_getter: Callable[..., Any] | None = None, **arguments: Any) -> Any:
        """The variable called `name`, made if need be; through `custom_getter` if there is one."""
        if custom_getter is None:
            return self._get(name, **arguments)
        if not callable(custom_getter):
            raise ValueError(f"Passed a custom_getter which is not callable: {custom_getter}")
        if arguments["trainable"] is None:
            arguments["trainable"] = arguments["synchronization"] != VariableSynchronization.ON_READ
        if not _takes(custom_getter, "constraint"):
            arguments.pop("constraint")
        return custom_getter(getter=self._get, name=name, **arguments)

    def _get(
        self,
        name: str,
        shape: Any = None,
        dtype: Any = dtypes.float32,
        initializer: Any = None,
        regularizer: Callable[[Any], Any] | None = None,
        reuse: Any = None,
        trainable: bool | None = None,
        collections: Sequence[str] | None = None,
        caching_device: Any = None,
        partitioner: Any = None,
        validate_shape: bool = True,
        use_resource: bool | None = None,
        constraint: Any = None,
        synchronization: Any = VariableSynchronization.AUTO,
        aggregation: Any = VariableAggregation.NONE,
    ) -> Any:
        """The variable, whole or in parts."""
        settings = {
            "regularizer": regularizer, "reuse": reuse, "trainable": trainable, "collections": collections,
            "caching_device": caching_device, "validate_shape": validate_shape, "use_resource": use_resource, "constraint": constraint,
            "synchronization": synchronization, "aggregation": aggregation,
        }  # fmt: skip
        dtype = as_dtype(dtype).base_dtype
        scalar = isinstance(shape, Sequence) and not shape
        if partitioner is not None and not scalar:
            if not callable(partitioner):
                raise ValueError(f"Partitioner must be callable, but received: {partitioner}")
            with name_scope(None):
                return self.get_partitioned(name, partitioner, shape, dtype, initializer, **settings)
        if reuse is True and partitioner is None and name in self._partitioned:
            return self.get_partitioned(name, None, shape, dtype, initializer, **settings)
        if f"{name}/part_0" in self._vars:
            raise ValueError(
                f"No partitioner was provided, but a partitioned version of the variable was found: {name}/part_0. Perhaps a "
                "variable of the same name was already created with partitioning?"
            )
        return self._single(name, shape, dtype, initializer, **settings)

    def get_partitioned(
        self, name: str, partitioner: Any, shape: Any, dtype: DType, initializer: Any, reuse: Any = None, **settings: Any
    ) -> PartitionedVariable:
        """The variable called `name` in parts, made if need be."""
        if name in self._vars:
            raise ValueError(
                f"A partitioner was provided, but an unpartitioned version of the variable was found: {name}.  Perhaps a variable of "
                "the same name was already created without partitioning?"
            )
        whole = as_shape(shape)
        if isinstance(initializer, Tensor):
            whole = whole.merge_with(initializer.shape)
        partitions = partitions_of(partitioner, whole, dtype) if not reuse or partitioner else None
        if name in self._partitioned:
            return self._found_partitioned(name, whole, dtype, partitions, reuse)
        if reuse is True or partitions is None:
            raise ValueError(
                f"PartitionedVariable {name} does not exist, or was not created with tf.get_variable(). Did you mean to set "
                "reuse=False or reuse=tf.AUTO_REUSE in VarScope?"
            )
        self._check_number_of_parts(name, max(partitions))
        sizes = whole.as_list()
        parts = []
        if isinstance(initializer, Tensor):
            dtype = initializer.dtype.base_dtype
        for number, (offset, part_shape) in enumerate(parts_of(sizes, partitions)):
            part_name = f"{name}/part_{number}"
            initial, own_shape, info = initializer, part_shape, PartitionInfo(sizes, offset)
            with name_scope(part_name + "/PartitionedInitializer"):
                if initializer is None:
                    initial = _default_initializer(name, dtype)
                elif not callable(initializer):
                    initial = make("Slice", convert_to_tensor(initializer, dtype=dtype), offset, part_shape)
                    own_shape = None
            with name_scope(None):
                part = self._single(part_name, own_shape, dtype, initial, reuse, info=info, **settings)
            part._set_save_slice_info(SaveSliceInfo(name, sizes, offset, part_shape))
            parts.append(part)
        found = self._partitioned[name] = PartitionedVariable(name, whole, dtype, parts, partitions)
        return found

    def _found_partitioned(
        self, name: str, shape: TensorShape, dtype: DType, partitions: Sequence[int] | None, reuse: Any
    ) -> PartitionedVariable:
        found = self._partitioned[name]
        if reuse is False:
            raise ValueError(
                f"Partitioned variable with name {name} already exists. Did you mean to set reuse=True or reuse=tf.AUTO_REUSE in "
                "VarScope?"
            )
        trying = f"Trying to reuse partitioned variable {name}, but specified"
        if not shape.is_compatible_with(found.get_shape()):
            raise ValueError(f"{trying} shape {shape} and found shape {found.get_shape()}.")
        if not dtype.is_compatible_with(found.dtype):
            raise ValueError(f"{trying} dtype {dtype.name} and found dtype {found.dtype.name}.")
        if partitions is not None and found._get_partitions() != partitions:
            raise ValueError(f"{trying} partitions {partitions} and found partitions {found._get_partitions()}.")
        return found

    def _check_number_of_parts(self, name: str, count: int) -> None:
        """Parts that were made one by one must be as many as there are now."""
        first = f"{name}/part_0"
        if first not in self._vars:
            return
        wrong = (
            "Partitioner returned a different partitioning than what was already found.  Partitioner returned "
            f"{count} shards, and shard {first} was found, but "
        )
        if f"{name}/part_{count - 1}" not in self._vars:
            raise ValueError(f"{wrong}{name}/part_{count - 1} was not.")
        if f"{name}/part_{count}" in self._vars:
            raise ValueError(f"{wrong}so was the extra shard {name}/part_{count}.")

    def _single(
        self,
        name: str,
        shape: Any,
        dtype: DType,
        initializer: Any,
        reuse: Any = None,
        regularizer: Callable[[Any], Any] | None = None,
        info: PartitionInfo | None = None,
        **settings: Any,
    ) -> Any:
        from_value = initializer is not None and not callable(initializer)
        if shape is not None and from_value:
            raise ValueError("If initializer is a constant, do not specify shape.")
        shape = as_shape(shape)
        if name in self._vars:
            return self._found(name, shape, dtype, reuse)
        if reuse is True:
            raise ValueError(
                f"Variable {name} does not exist, or was not created with tf.get_variable(). Did you mean to set "
                "reuse=tf.AUTO_REUSE in VarScope?"
            )
        if initializer is None:
            initializer = _default_initializer(name, dtype)
        variable = Variable(
            initial_value=initializer if from_value else _initial_value(initializer, shape, dtype, info),
            name=name,
            dtype=dtype if not from_value and shape.is_fully_defined() else None,
            **settings,
        )
        self._vars[name] = variable
        if regularizer is not None:
            with colocate_with(variable), name_scope(name + "/Regularizer/"), init_scope():
                loss = regularizer(variable)
            if loss is not None:
                add_to_collection(GraphKeys.REGULARIZATION_LOSSES, loss)
        return variable

    def _found(self, name: str, shape: TensorShape, dtype: DType, reuse: Any) -> Any:
        found = self._vars[name]
        if reuse is False:
            where = "".join(traceback.format_list(found.op.traceback[::-1][:5]))
            raise ValueError(
                f"Variable {name} already exists, disallowed. Did you mean to set reuse=True or reuse=tf.AUTO_REUSE in "
                f"VarScope? Originally defined at:\n\n{where}"
            )
        if not shape.is_compatible_with(found.shape):
            raise ValueError(
                f"Trying to share variable {name}, but specified shape {shape} and found shape {found.shape}."
            )
        if not dtype.is_compatible_with(found.dtype):
            raise ValueError(
                f"Trying to share variable {name}, but specified dtype {dtype.name} and found dtype {found.dtype.name}."
            )
        return found


def _takes(function: Callable[..., Any], name: str) -> bool:
    """Whether a function has a parameter `name` or takes any keyword."""
    if isinstance(function, initializers.Initializer):
        return _calls_take(type(function), name)
    parameters = inspect.signature(function).parameters.values()
    return any(p.name == name or p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)


@cache
def _calls_take(cls: type[initializers.Initializer], name: str) -> bool:
    """`_takes` of the instances of a class."""
    return _takes(cls.__call__, name)


def _default_initializer(name: str, dtype: DType) -> Any:
    if dtype.is_floating:
        return initializers.GlorotUniform()
    if dtype.is_integer or dtype.is_bool or dtype is dtypes.string:
        return initializers.Zeros()
    raise ValueError(f"An initializer for variable {name} of {dtype} is required")


def _initial_value(initializer: Any, shape: TensorShape, dtype: DType, info: PartitionInfo | None) -> Callable[[], Any]:
    """The function that makes the initial value."""
    if inspect.isclass(initializer):
        initializer = initializer()
    if shape.is_fully_defined():
        sizes = shape.as_list()
        if _takes(initializer, "partition_info"):
            return lambda: initializer(sizes, dtype=dtype, partition_info=info)
        return lambda: initializer(sizes, dtype=dtype)
    required = [
        p
        for p in inspect.signature(initializer).parameters.values()
        if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    ]
    if required:
        raise ValueError(
            "The initializer passed is not valid. It should be a callable with no arguments and the shape should not be "
            "provided or an instance of `tf.keras.initializers.*' and `shape` should be fully defined."
        )
    return initializer  # type: ignore[no-any-return]
