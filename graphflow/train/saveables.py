"""What a Saver saves, and the operations for it: node for node those of TensorFlow.

    save/filename, save/Const                     the prefix, which is fed
    save/SaveV2, save/control_dependency          writing
    save/RestoreV2, save/Assign..., save/restore_all
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from graphflow.graph.build import convert, make, name_scope
from graphflow.graph.collections import GraphKeys
from graphflow.graph.devices import DeviceSpec
from graphflow.graph.scopes import control_dependencies, device, get_collection
from graphflow.graph.tensor import Tensor
from graphflow.io.schema import SaverDef
from graphflow.ops.partitioned import PartitionedVariable
from graphflow.ops.reshape import reshape
from graphflow.ops.resource_variable import ResourceVariable
from graphflow.ops.shape import shape
from graphflow.ops.source import constant, group, identity, placeholder_with_default, with_dependencies
from graphflow.ops.state import assign
from graphflow.ops.variables import Variable

_VARIABLE_OPS = ("Variable", "VariableV2", "AutoReloadVariable")


class SaveSpec:
    """One tensor of a checkpoint: its name there, and which part of that it is ("" for the whole)."""

    def __init__(self, tensor: Any, slice_spec: str, name: str, dtype: Any = None, device: str | None = None) -> None:
        self._tensor = tensor
        self.slice_spec = slice_spec
        self.name = name
        self.dtype = tensor.dtype if dtype is None else dtype
        self.device = getattr(tensor, "device", "") if device is None else device

    @property
    def tensor(self) -> Any:
        """The tensor to save."""
        return self._tensor() if callable(self._tensor) else self._tensor


class SaveableObject:
    """Something that is saved as one or more tensors. Subclasses say how it is restored."""

    def __init__(self, op: Any, specs: Sequence[SaveSpec], name: str) -> None:
        self.op = op
        self.specs = specs
        self.name = name

    @property
    def device(self) -> str:
        """Where it is."""
        return self.specs[0].device

    def restore(self, restored_tensors: Sequence[Any], restored_shapes: Sequence[Any] | None) -> Any:
        """The operation that gives it the tensors from a checkpoint."""
        raise NotImplementedError


class VariableSaveable(SaveableObject):
    """A variable, saved as one tensor or as a part of one."""

    def __init__(self, var: Any, slice_spec: str, name: str) -> None:
        super().__init__(var, [SaveSpec(var, slice_spec, name, dtype=var.dtype)], name)

    def restore(self, restored_tensors: Sequence[Any], restored_shapes: Sequence[Any] | None) -> Any:
        value = restored_tensors[0]
        if restored_shapes is not None:
            value = reshape(value, restored_shapes[0])
        whole = restored_shapes is None and self.op.get_shape().is_fully_defined()
        return assign(self.op, value, validate_shape=whole)


class ResourceVariableSaveable(SaveableObject):
    """A resource variable. A part of a variable is read when it is saved, a whole one was read when it was made."""

    def __init__(self, var: Any, slice_spec: str, name: str) -> None:
        place = var.device

        def read() -> Tensor:
            with device(place):
                value = var.read_value()
            with device("/device:CPU:0"):
                return identity(value)  # type: ignore[no-any-return]

        tensor = read if slice_spec else var._as_graph_element()
        super().__init__(var, [SaveSpec(tensor, slice_spec, name, dtype=var.dtype, device=place)], name)

    def restore(self, restored_tensors: Sequence[Any], restored_shapes: Sequence[Any] | None) -> Any:
        value = restored_tensors[0]
        if restored_shapes is not None:
            value = reshape(value, restored_shapes[0])
        with device(self.op.device):
            value = identity(value)
        value.set_shape(self.op.get_shape())
        return make("AssignVariableOp", self.op._ref(), value)


def _variable_saveable(variable: Any, slice_spec: str, name: str) -> SaveableObject:
    kind = ResourceVariableSaveable if isinstance(variable, ResourceVariable) else VariableSaveable
    return kind(variable, slice_spec, name)


def all_saveable_objects(scope: str | None = None) -> list[Any]:
    """What a Saver saves that is not told what."""
    return [*get_collection(GraphKeys.GLOBAL_VARIABLES, scope), *get_collection(GraphKeys.SAVEABLE_OBJECTS, scope)]


def _reference(value: Any, wrong: str) -> Tensor:
    tensor = convert(value, as_ref=True)
    if tensor.op.type not in _VARIABLE_OPS:
        raise TypeError(f"{wrong}: {tensor}")
    return tensor


def op_list_to_dict(op_list: Any) -> dict[str, Any]:
    """Names -> what is saved under them; the parts of a variable together."""
    if not isinstance(op_list, (list, tuple, set)):
        raise TypeError(f"Variables to save should be passed in a dict or a list: {op_list}")
    found: dict[str, Any] = {}
    for item in sorted(op_list, key=lambda v: v.name):
        info = item._get_save_slice_info() if isinstance(item, Variable) else None
        if isinstance(item, SaveableObject):
            found[item.name] = item
        elif info is not None:
            others = found.setdefault(info.full_name, [])
            if not isinstance(others, list):
                raise ValueError(f"Mixing slices and non-slices with the same name: {info.full_name}")
            others.append(item)
        else:
            if isinstance(item, PartitionedVariable):
                saved, name = item, item.name
            elif isinstance(item, ResourceVariable):
                saved, name = item, item._shared_name
            else:
                saved = _reference(item, "Variable to save is not a Variable")
                name = saved.op.name
            if name in found:
                raise ValueError(f"At least two variables have the same name: {name}")
            found[name] = saved
    return found


def _saveables_for(item: Any, name: Any) -> Iterator[SaveableObject]:
    if not isinstance(name, str):
        raise TypeError(
            f"names_to_saveables must be a dict mapping string names to trackable operations. Name is not a string: {name}"
        )
    if isinstance(item, SaveableObject):
        yield item
    elif isinstance(item, (list, tuple, PartitionedVariable)):
        full_name = None
        for variable in item:
            if not isinstance(variable, Variable):
                raise ValueError(f"Slices must all be Variables: {variable}")
            info = variable._get_save_slice_info()
            if info is None:
                raise ValueError(f"Slices must all be slices: {variable}")
            if full_name not in (None, info.full_name):
                raise ValueError(f"Slices must all be from the same tensor: {full_name} != {info.full_name}")
            full_name = info.full_name
            yield _variable_saveable(variable, info.spec, name)
    elif isinstance(item, ResourceVariable):
        yield ResourceVariableSaveable(item, "", name)
    else:
        wrong = "names_to_saveables must be a dict mapping string names to Tensors/Variables. Not a variable"
        yield VariableSaveable(_reference(item, wrong), "", name)


def saveables(items: Any) -> list[SaveableObject]:
    """What a list, or a dict from names, of variables says, by name. ValueError where something has two names."""
    named: Mapping[str, Any] = items if isinstance(items, dict) else op_list_to_dict(items)
    found: list[SaveableObject] = []
    for name in sorted(named):
        for saveable in _saveables_for(named[name], name):
            if any(saveable.op is other.op for other in found):
                raise ValueError(f"The same saveable will be restored with two names: {saveable.name}")
            found.append(saveable)
    return found


def _on_cpu(place: str) -> str:
    spec = DeviceSpec.from_string(place)
    return DeviceSpec(job=spec.job, replica=spec.replica, task=spec.task, device_type="CPU", device_index=0).to_string()


class BaseSaverBuilder:
    """Makes the operations of a Saver, with one RestoreV2 for each tensor. Programs derive from it to save in their own way."""

    SaveSpec = SaveSpec
    SaveableObject = SaveableObject
    VariableSaveable = VariableSaveable

    def __init__(self, write_version: int = SaverDef.V2) -> None:
        self._write_version = write_version

    def save_op(self, filename_tensor: Any, saveables: Sequence[SaveableObject]) -> Any:
        """The operation that writes."""
        specs = [spec for saveable in saveables for spec in saveable.specs]
        names, parts, tensors = [s.name for s in specs], [s.slice_spec for s in specs], [s.tensor for s in specs]
        if self._write_version == SaverDef.V1:
            values = [t.value() if isinstance(t, Variable) else t for t in tensors]
            return make("SaveSlices", filename_tensor, names, parts, values, name="save")
        if self._write_version == SaverDef.V2:
            return make("SaveV2", filename_tensor, names, parts, [t._ref() if isinstance(t, Variable) else t for t in tensors])
        raise RuntimeError(f"Unexpected write_version: {self._write_version}")

    def restore_op(self, filename_tensor: Any, saveable: SaveableObject, preferred_shard: int) -> list[Any]:
        """The tensors of one saveable, read."""
        found = []
        for spec in saveable.specs:
            found += make("RestoreV2", filename_tensor, [spec.name], [spec.slice_spec], dtypes=(spec.dtype.base_dtype,))
        return found

    def bulk_restore(
        self, filename_tensor: Any, saveables: Sequence[SaveableObject], preferred_shard: int, restore_sequentially: bool
    ) -> list[Any]:
        """The tensors of all saveables, read."""
        found = []
        for saveable in saveables:
            with device(_on_cpu(saveable.device) if saveable.device else None):
                found += self.restore_op(filename_tensor, saveable, preferred_shard)
        return found

    def sharded_filename(self, filename_tensor: Any, shard: int, num_shards: Any) -> Any:
        """The name of one part of a checkpoint."""
        return make("ShardedFilename", filename_tensor, shard, num_shards)

    def _add_save(self, filename: Any, saveables: Sequence[SaveableObject]) -> Any:
        return with_dependencies([self.save_op(filename, saveables)], filename)

    def _add_sharded_save(self, prefix: Any, per_device: Sequence[tuple[str, list[SaveableObject]]]) -> Any:
        joined = self._write_version == SaverDef.V2  # the parts of a V1 checkpoint stay apart
        base = make("StringJoin", [prefix, f"_temp_{uuid.uuid4().hex}/part"]) if joined else prefix
        shards = constant(len(per_device), name="num_shards")
        names, saves = [], []
        for number, (place, group_) in enumerate(per_device):
            with device(_on_cpu(place)):
                names.append(self.sharded_filename(base, number, shards))
                saves.append(self._add_save(names[-1], group_))
        with control_dependencies([save.op for save in saves]), device(_on_cpu(per_device[-1][0])):
            if not joined:
                return make("ShardedFilespec", prefix, shards)
            merge = make("MergeV2Checkpoints", names, prefix, delete_old_dirs=True)
            with control_dependencies([merge]):
                return identity(prefix)

    def _add_restore(
        self,
        filename: Any,
        saveables: Sequence[SaveableObject],
        sequentially: bool,
        reshaped: bool,
        preferred_shard: int = -1,
        name: str = "restore_all",
    ) -> Any:
        tensors = iter(self.bulk_restore(filename, saveables, preferred_shard, sequentially))
        assigns = []
        for saveable in saveables:
            shapes: list[Any] | None = None
            if reshaped:
                own = [spec.tensor for spec in saveable.specs]
                shapes = [t.get_shape() if t.get_shape().is_fully_defined() else shape(t) for t in own]
            assigns.append(saveable.restore([next(tensors) for _ in saveable.specs], shapes))
        return group(*assigns, name=name)

    def _add_sharded_restore(
        self, filename: Any, per_device: Sequence[tuple[str, list[SaveableObject]]], sequentially: bool, reshaped: bool
    ) -> Any:
        parts = []
        for number, (place, group_) in enumerate(per_device):
            with device(place):
                parts.append(self._add_restore(filename, group_, sequentially, reshaped, number, "restore_shard"))
        return group(*parts, name="restore_all")

    def build(
        self,
        names_to_saveables: Any,
        reshape: bool = False,
        sharded: bool = False,
        max_to_keep: int | None = 5,
        keep_checkpoint_every_n_hours: float = 10000.0,
        name: str | None = None,
        restore_sequentially: bool = False,
        filename: str | None = "model",
    ) -> SaverDef:
        """Adds the operations to the graph; the result says what they are called."""
        found = saveables(names_to_saveables)
        with name_scope(name, "save", [saveable.op for saveable in found]):
            prefix = placeholder_with_default(filename or "model", shape=(), name="filename")
            prefix = placeholder_with_default(prefix, shape=(), name="Const")
            if sharded:
                per_device: dict[str, list[SaveableObject]] = {}
                for saveable in found:
                    places = {DeviceSpec.from_string(spec.tensor.device).to_string() for spec in saveable.specs}
                    if len(places) != 1:
                        raise ValueError(f"All tensors of a saveable object must be on the same device: {saveable.name}")
                    per_device.setdefault(places.pop(), []).append(saveable)
                groups = sorted(per_device.items(), key=lambda pair: pair[0])
                save = self._add_sharded_save(prefix, groups)
                restore = self._add_sharded_restore(prefix, groups, restore_sequentially, reshape)
            else:
                save = self._add_save(prefix, found)
                restore = self._add_restore(prefix, found, restore_sequentially, reshape)
        return SaverDef(
            filename_tensor_name=prefix.name,
            save_tensor_name=save.name,
            restore_op_name=restore.name,
            max_to_keep=max_to_keep or 0,
            sharded=sharded,
            keep_checkpoint_every_n_hours=keep_checkpoint_every_n_hours,
            version=self._write_version,
        )


class BulkSaverBuilder(BaseSaverBuilder):
    """One RestoreV2 reads everything: all is checked before any variable changes."""

    def bulk_restore(
        self, filename_tensor: Any, saveables: Sequence[SaveableObject], preferred_shard: int, restore_sequentially: bool
    ) -> list[Any]:
        """The tensors of all saveables, read."""
        specs = [spec for saveable in saveables for spec in saveable.specs]
        with device("cpu:0"):
            kinds = tuple(spec.dtype.base_dtype for spec in specs)
            found: list[Any] = make("RestoreV2", filename_tensor, [s.name for s in specs], [s.slice_spec for s in specs], dtypes=kinds)
        return found


