"""Variables as VariableDef messages, which name the operations that a variable consists of, and back."""

from __future__ import annotations

from typing import Any

from graphflow.dtypes import resource
from graphflow.graph.graph import get_default_graph
from graphflow.io.schema import SaveSliceInfoDef, VariableDef
from graphflow.ops.resource_variable import ResourceVariable
from graphflow.ops.variables import SaveSliceInfo, Variable, VariableAggregation, VariableSynchronization


def strip_scope(name: str, scope: str | None) -> str:
    """A name as seen from inside a scope."""
    if not scope:
        return name
    prefix = scope.rstrip("/") + "/"
    mark = next((m for m in ("^", "loc:@") if name.startswith(m)), "")
    return mark + name[len(mark) :].removeprefix(prefix)


def prepend_scope(name: str, scope: str | None) -> str:
    """A name from inside a scope as seen from outside."""
    return f"{scope.rstrip('/')}/{name}" if scope else name


def variable_to_proto(variable: Any, export_scope: str | None = None) -> VariableDef | None:
    """The message for a variable; None where it is not in the scope."""
    if export_scope is not None and not variable._variable.name.startswith(export_scope):
        return None
    proto = VariableDef(
        variable_name=strip_scope(variable._variable.name, export_scope),
        initializer_name=strip_scope(variable.initializer.name, export_scope),
        snapshot_name=strip_scope(variable._kept_value().name, export_scope),
        is_resource=variable._variable.dtype is resource,
        trainable=variable.trainable,
        synchronization=variable.synchronization.value,
        aggregation=variable.aggregation.value,
    )
    if variable._initial_value is not None:
        proto.initial_value_name = strip_scope(variable._initial_value.name, export_scope)
    info = variable._get_save_slice_info()
    if info is not None:
        proto.save_slice_info_def = SaveSliceInfoDef(
            full_name=info.full_name, full_shape=info.full_shape, var_offset=info.var_offset, var_shape=info.var_shape
        )
    return proto


def variable_from_proto(proto: VariableDef, import_scope: str | None = None, into: Any = None) -> Any:
    """The variable whose operations are in the default graph already; `into` is the object that becomes it."""
    graph = get_default_graph()

    def element(name: str) -> Any:
        return graph.as_graph_element(prepend_scope(name, import_scope))

    kind = ResourceVariable if proto.is_resource else Variable
    self: Any = kind.__new__(kind) if into is None else into
    self._variable = element(proto.variable_name)
    self._initializer_op = element(proto.initializer_name)
    self._snapshot = element(proto.snapshot_name)
    self._initial_value = element(proto.initial_value_name) if proto.initial_value_name else None
    self._trainable = proto.trainable
    self._synchronization = VariableSynchronization(proto.synchronization)
    self._aggregation = VariableAggregation(proto.aggregation)
    self._graph_key = graph._graph_key
    self._constraint = self._caching_device = None
    self._save_slice_info = None
    if proto.HasField("save_slice_info_def"):
        info = proto.save_slice_info_def
        self._save_slice_info = SaveSliceInfo(
            prepend_scope(info.full_name, import_scope), list(info.full_shape), list(info.var_offset), list(info.var_shape)
        )
    if proto.is_resource:
        self._found()
    return self
