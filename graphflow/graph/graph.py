"""Graph: the mutable, named, partly shaped thing that a program builds, and the stack of default graphs."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from graphflow.config import options
from graphflow.dtypes import as_dtype
from graphflow.errors import NotFoundError
from graphflow.graph import devices, threads
from graphflow.graph.context import ControlFlowContext, check_inputs
from graphflow.graph.control import ControlDependencies
from graphflow.graph.counting import OperationCount
from graphflow.graph.foreign import foreign_op
from graphflow.graph.lookup import by_text
from graphflow.graph.nodedef import GraphDef, VersionDef
from graphflow.graph.op import REGISTRY, Op
from graphflow.graph.operation import Operation
from graphflow.graph.places import infer, user_frames
from graphflow.graph.protobuf import attr_from_proto
from graphflow.graph.sessions import DefaultStack
from graphflow.graph.shown import Shown
from graphflow.graph.tensor import Tensor
from graphflow.io.schema import AttrValue

__all__ = ["Graph", "get_default_graph", "reset_default_graph"]

_VALID_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/-]*\Z").match
_VALID_SCOPE = re.compile(r"[A-Za-z0-9_.\\/-]*\Z").match
_UNIQUE = itertools.count(1)


class Graph(Shown):
    """Operations and tensors under unique names, with collections and the scopes that new operations fall under."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._operations: list[Operation] = []
        self._by_name: dict[str, Operation] = {}
        self._count = OperationCount()
        self._version = self._altered = 0  # the last operation's number; times that something was changed, rather than added
        self._names_in_use: dict[str, int] = {}
        self._scopes = threads.Scopes()
        self._control_stack: list[ControlDependencies] = []
        self._gradient_call = ""  # the scope of the call of tf.gradients under way
        self._device_stack: list[Any] = []
        self._colocation_stack: list[Operation] = []
        self._collections: dict[Any, list[Any]] = {}
        self._seed: int | None = None
        self._attr_scopes: dict[str, Any] = {}
        self._gradient_overrides: dict[str, str] = {}
        self._finalized = False
        self._unfeedable: set[Tensor] = set()
        self._unfetchable: set[Operation] = set()
        self._container = ""
        self._variable_creators: tuple[Any, ...] = ()
        self._graph_key = f"grap-key-{next(_UNIQUE)}/"
        self._keep_tracebacks = options().debug

    _name_stack: str | None = threads.of_thread("_scopes", "_name_stack")
    _control_flow_context: ControlFlowContext | None = threads.of_thread("_scopes", "_control_flow_context")

    # -- making operations -------------------------------------------------------------------------------------------------

    def _next_id(self) -> int:
        return self._count.next_id()

    @property
    def _last_id(self) -> int:
        """How many operations TensorFlow would have made by now; op seeds are derived from it."""
        return self._count.total

    def switch_to_thread_local(self) -> None:
        """From now on the scopes (of names, devices, control dependencies, colocation) that a thread enters are its own."""
        threads.switch(self)

    def _check_not_finalized(self) -> None:
        if self._finalized:
            raise RuntimeError("Graph is finalized and cannot be modified.")

    def _create(
        self, definition: Op, inputs: Sequence[Tensor], name: str, bound: dict[str, Any], refs: Sequence[bool] = ()
    ) -> Operation:
        """A new operation called exactly `name`. refs: which results are a variable's own memory."""
        if not _VALID_NAME(name):
            raise ValueError(f"'{name}' is not a valid node name")
        if name in self._by_name:
            raise ValueError(f"Duplicate node name in graph: '{name}'")
        check_inputs(definition.type, name, self._scopes._control_flow_context, inputs)
        frames = user_frames(None if self._keep_tracebacks else 1)
        specs = infer(definition, inputs, name, frames)
        control = self._control_inputs_for(inputs) if self._control_stack else ()
        with self._lock:
            operation = Operation(self, definition, name, inputs, control, bound, frames)
            for number, spec in enumerate(specs):
                dtype = spec.dtype._as_ref if refs and refs[number] else spec.dtype
                tensor = Tensor(operation, number, dtype, spec.dims)  # type: ignore[arg-type]
                if spec.value is not None:
                    tensor._value = spec.value
                operation.outputs.append(tensor)
            self._operations.append(operation)
            self._by_name[name] = operation
            self._version = operation._id
        self._note_as_seen(operation)
        self._mark(operation)
        return operation

    def _note_as_seen(self, operation: Operation) -> None:
        """What is made in a `control_dependencies` block waits for them, and so does all that takes it as an input."""
        for controller in self._control_stack:
            controller._seen.add(operation)

    def _mark(self, operation: Operation) -> None:
        """Puts the scopes' marks on a new operation: device, colocation, attributes."""
        if self._attr_scopes:
            for key, value in self._attr_scopes.items():
                value = value(operation.node_def) if callable(value) else value
                if value is not None:
                    operation._extra.setdefault(key, value)
        if self._gradient_overrides and operation.type in self._gradient_overrides:
            operation._extra["_gradient_op_type"] = self._gradient_overrides[operation.type]
        if self._device_stack:
            operation._device = devices.resolve(self._device_stack, operation)
        if self._colocation_stack:
            groups = {g for op in self._colocation_stack for g in op.colocation_groups()}
            operation._device = self._colocation_stack[-1]._device or operation._device
            operation._extra["_class"] = tuple(sorted(groups))
        if self._container and "container" in operation.definition._fields and not operation.get_attr("container"):
            operation._extra["container"] = self._container
        context = self._scopes._control_flow_context
        if context is not None:
            operation._control_flow_context = context
            context.AddOp(operation)

    def _control_inputs_for(self, inputs: Iterable[Tensor]) -> list[Operation]:
        input_ops = {t.op for t in inputs}
        found: dict[Operation, None] = {}
        for controller in self._control_stack:
            if controller._seen.isdisjoint(input_ops):  # else an input waits already
                for op in controller.control_inputs:
                    if op not in input_ops:
                        found[op] = None
        return list(found)

    def create_op(
        self,
        op_type: str,
        inputs: Sequence[Tensor],
        dtypes: Any = None,
        input_types: Any = None,
        name: str | None = None,
        attrs: Mapping[str, Any] | None = None,
        op_def: Any = None,
        compute_shapes: bool = True,
        compute_device: bool = True,
    ) -> Operation:
        """A new operation from tensors and attributes, as TensorFlow's low-level call makes it. `dtypes`, the types of its results, are
        needed only for a type that graphflow does not know; such an operation cannot be run."""
        self._check_not_finalized()
        for number, tensor in enumerate(inputs):
            if not isinstance(tensor, Tensor):
                raise TypeError(f"Input #{number} is not a tensor: {tensor}")
        attrs = dict(attrs or {})
        refs: tuple[bool, ...] = ()
        if op_type in REGISTRY:
            cls = REGISTRY[op_type]
            definition: Op = cls(**{k: v for k, v in attrs.items() if k in cls._fields})
            attrs = {k: v for k, v in attrs.items() if k not in cls._fields}
        elif dtypes is None:
            raise NotFoundError(None, None, f"Op type not registered '{op_type}' in graphflow.")
        else:
            kinds = tuple(map(as_dtype, dtypes))
            definition, refs = foreign_op(op_type, kinds), tuple(d._is_ref_dtype for d in kinds)
        name = name or op_type
        name = name[:-1] if name.endswith("/") else self.unique_name(name)
        return self._create(definition, list(inputs), name, attrs, refs)

    # -- names -------------------------------------------------------------------------------------------------------------

    def unique_name(self, name: str, mark_as_used: bool = True) -> str:
        """`name` under the current scope, with a number added if it is taken (upper and lower case count as the same)."""
        if self._scopes._name_stack:
            name = f"{self._scopes._name_stack}/{name}"
        key = name.lower()
        used = self._names_in_use
        with self._lock:
            number = used.get(key, 0)
            if mark_as_used:
                used[key] = number + 1
            if number:
                base = key
                while key in used:
                    key = f"{base}_{number}"
                    number += 1
                if mark_as_used:
                    used[key] = 1
                name = f"{name}_{number - 1}"
        return name

    def _is_scope_name(self, name: str) -> bool:
        return bool(_VALID_SCOPE(name) if self._scopes._name_stack else _VALID_NAME(name))

    @contextmanager
    def name_scope(self, name: str | None) -> Iterator[str]:
        """Puts `name/` before the names of new operations. A name that ends in a slash is re-entered; None or "" leaves all scopes."""
        if name:
            if isinstance(name, bytes):
                name = name.decode()
            if not self._is_scope_name(name):
                raise ValueError(f"'{name}' is not a valid scope name")
        before = self._scopes._name_stack
        if not name:
            after = None
        elif name[-1] == "/":
            after = name[:-1]
        else:
            after = self.unique_name(name)
        self._scopes._name_stack = after
        try:
            yield "" if after is None else after + "/"
        finally:
            self._scopes._name_stack = before

    def get_name_scope(self) -> str | None:
        """The current name scope, without a slash at its end."""
        return self._name_stack

    # -- looking up --------------------------------------------------------------------------------------------------------

    def as_graph_element(self, obj: Any, allow_tensor: bool = True, allow_operation: bool = True) -> Any:
        """The tensor or operation of this graph that `obj` is, names or stands for."""
        if allow_tensor and allow_operation:
            wanted = "Tensor or Operation"
        elif allow_tensor:
            wanted = "Tensor"
        elif allow_operation:
            wanted = "Operation"
        else:
            raise ValueError("allow_tensor and allow_operation can't both be False.")
        convert = getattr(obj, "_as_graph_element", None)
        if callable(convert):
            obj = convert()
        if isinstance(obj, (str, bytes)):
            return by_text(self._by_name, obj if isinstance(obj, str) else obj.decode(), allow_tensor, allow_operation, wanted)
        if isinstance(obj, Tensor) and allow_tensor:
            if obj.graph is not self:
                raise ValueError(f"Tensor {obj} is not an element of this graph.")
            return obj
        if isinstance(obj, Operation) and allow_operation:
            if obj.graph is not self:
                raise ValueError(f"Operation {obj} is not an element of this graph.")
            return obj
        raise TypeError(f"Can not convert a {type(obj).__name__} into a {wanted}.")

    def get_operations(self) -> list[Operation]:
        """All operations in the order of their making."""
        return list(self._operations)

    def get_operation_by_name(self, name: str) -> Operation:
        """The operation called `name`."""
        if not isinstance(name, str):
            raise TypeError(f"Operation names are strings (or similar), not {type(name).__name__}.")
        return self.as_graph_element(name, allow_tensor=False)  # type: ignore[no-any-return]

    def get_tensor_by_name(self, name: str) -> Tensor:
        """The tensor called `name` ("op:0")."""
        if not isinstance(name, str):
            raise TypeError(f"Tensor names are strings (or similar), not {type(name).__name__}.")
        return self.as_graph_element(name, allow_operation=False)  # type: ignore[no-any-return]

    # -- state -------------------------------------------------------------------------------------------------------------

    @property
    def version(self) -> int:
        """Grows with every operation."""
        return self._version

    @property
    def graph_def_versions(self) -> VersionDef:
        """The versions written into a GraphDef."""
        return VersionDef()

    @property
    def seed(self) -> int | None:
        """The graph-level random seed."""
        return self._seed

    @seed.setter
    def seed(self, seed: int | None) -> None:
        self._seed = seed

    @property
    def finalized(self) -> bool:
        """Whether the graph refuses new operations."""
        return self._finalized

    def finalize(self) -> None:
        """Refuses new operations from now on."""
        self._finalized = True

    def _unsafe_unfinalize(self) -> None:
        self._finalized = False

    @property
    def building_function(self) -> bool:
        """Whether this is the body of a function."""
        return False

    def as_default(self) -> AbstractContextManager[Graph]:
        """Makes this the default graph for a block."""
        return GRAPHS.controller(self)

    def as_graph_def(self, from_version: int | None = None, add_shapes: bool = False) -> GraphDef:
        """The graph as a GraphDef, control inputs sorted by name; with `from_version`, only the operations made after that version."""
        nodes = []
        for op in self._operations:
            if from_version is not None and op._id <= from_version:
                continue
            node = op.node_def
            node.input[len(op.inputs) :] = sorted(node.input[len(op.inputs) :])
            if add_shapes:
                node.attr["_output_shapes"] = tuple(t.shape for t in op.outputs)
            nodes.append(node)
        return GraphDef(nodes, self.graph_def_versions)

    # -- collections -------------------------------------------------------------------------------------------------------

    def add_to_collection(self, name: Any, value: Any) -> None:
        """Appends `value` to a collection."""
        self._check_not_finalized()
        self._collections.setdefault(name, []).append(value)

    def add_to_collections(self, names: Any, value: Any) -> None:
        """Appends `value` to several collections."""
        for name in (names,) if isinstance(names, str) else dict.fromkeys(names):
            self.add_to_collection(name, value)

    def get_collection_ref(self, name: Any) -> list[Any]:
        """The collection itself, made if there is none."""
        return self._collections.setdefault(name, [])

    def get_collection(self, name: Any, scope: str | None = None) -> list[Any]:
        """A copy of a collection; with `scope`, its items whose name matches that regular expression at the start."""
        items = self._collections.get(name, ())
        if scope is None:
            return list(items)
        match = re.compile(scope).match
        return [item for item in items if hasattr(item, "name") and match(item.name)]

    @property
    def collections(self) -> list[Any]:
        """The names of all collections."""
        return list(self._collections)

    def get_all_collection_keys(self) -> list[str]:
        """The names of all collections."""
        return [k for k in self._collections if isinstance(k, str)]

    def clear_collection(self, name: Any) -> None:
        """Empties a collection."""
        self._check_not_finalized()
        self._collections.pop(name, None)

    # -- scopes of new operations ------------------------------------------------------------------------------------------

    def control_dependencies(self, control_inputs: Iterable[Any] | None) -> ControlDependencies:
        """New operations in the block wait for `control_inputs`; None forgets the outer ones."""
        if control_inputs is None:
            return ControlDependencies(self, None)
        current = {op for controller in self._control_stack for op in controller.control_inputs}
        found = []
        for item in control_inputs:
            named = isinstance(item, (Tensor, Operation, str, bytes))
            if not named and (not hasattr(item, "_as_graph_element") or hasattr(item, "_handle_dtype")):
                item = getattr(item, "op", item)  # IndexedSlices and the like; a resource variable is not read for that
            element = self.as_graph_element(item)
            op = element.op if isinstance(element, Tensor) else element
            if op not in current:
                found.append(op)
                current.add(op)
        return ControlDependencies(self, found)

    @contextmanager
    def device(self, device_name_or_function: Any) -> Iterator[None]:
        """Marks new operations with a device."""
        if isinstance(device_name_or_function, str):
            devices.DeviceSpec.from_string(device_name_or_function)  # refuse a malformed one here
        before = self._device_stack
        self._device_stack = entered = [*before, device_name_or_function]
        try:
            yield
        finally:
            if self._device_stack is not entered:
                raise RuntimeError("Exiting device scope without proper scope nesting.")
            self._device_stack = before

    @contextmanager
    def colocate_with(self, op: Any, ignore_existing: bool = False) -> Iterator[None]:
        """Marks new operations to be placed with `op`."""
        if op is None and not ignore_existing:
            raise ValueError("Trying to reset colocation (op is None) but ignore_existing is not True")
        if op is not None and not isinstance(op, Operation):
            op = op.op
        before, device_before = self._colocation_stack, self._device_stack
        self._colocation_stack = [*([] if ignore_existing else before), *([] if op is None else [op])]
        self._device_stack = []
        try:
            yield
        finally:
            self._colocation_stack, self._device_stack = before, device_before

    @contextmanager
    def container(self, container_name: str) -> Iterator[str]:
        """Marks new stateful operations with a resource container."""
        before, self._container = self._container, container_name
        try:
            yield container_name
        finally:
            self._container = before

    @contextmanager
    def gradient_override_map(self, op_type_map: Mapping[str, str]) -> Iterator[None]:
        """Operations of the given types get their gradient from another registered name."""
        if not isinstance(op_type_map, dict) or not all(isinstance(k, str) and isinstance(v, str) for k, v in op_type_map.items()):
            raise TypeError("op_type_map must be a dictionary mapping strings to strings")
        before = self._gradient_overrides
        self._gradient_overrides = {**before, **op_type_map}
        try:
            yield
        finally:
            self._gradient_overrides = before

    @contextmanager
    def _attr_scope(self, attr_map: Mapping[str, Any]) -> Iterator[None]:
        before = self._attr_scopes
        attr_map = {k: attr_from_proto(v) if isinstance(v, AttrValue) else v for k, v in attr_map.items()}
        self._attr_scopes = {k: v for k, v in {**before, **attr_map}.items() if v is not None}
        try:
            yield
        finally:
            self._attr_scopes = before

    def _get_control_flow_context(self) -> ControlFlowContext | None:
        return self._control_flow_context

    def _set_control_flow_context(self, context: ControlFlowContext | None) -> None:
        self._control_flow_context = context

    # -- feeding and fetching ----------------------------------------------------------------------------------------------

    def prevent_feeding(self, tensor: Tensor) -> None:
        """Refuses feeds of `tensor`."""
        self._unfeedable.add(tensor)

    def is_feedable(self, tensor: Tensor) -> bool:
        """Whether `tensor` may be fed."""
        return tensor not in self._unfeedable

    def prevent_fetching(self, op: Operation) -> None:
        """Refuses fetches of `op` and its outputs."""
        self._unfetchable.add(op)

    def is_fetchable(self, tensor_or_op: Any) -> bool:
        """Whether it may be fetched."""
        return (tensor_or_op.op if isinstance(tensor_or_op, Tensor) else tensor_or_op) not in self._unfetchable


class _GraphStack(DefaultStack[Graph]):
    """Default graphs; at the bottom stands one that is made when it is first asked for, and shared by all threads."""

    bottom: Graph | None = None


GRAPHS = _GraphStack()


def get_default_graph() -> Graph:
    """The default graph of this thread."""
    if GRAPHS.stack:
        return GRAPHS.stack[-1]
    if _GraphStack.bottom is None:
        _GraphStack.bottom = Graph()
    return _GraphStack.bottom


def reset_default_graph() -> None:
    """Replaces the global default graph with an empty one."""
    if GRAPHS.stack:
        raise AssertionError(
            "Do not use tf.reset_default_graph() to clear nested graphs. If you need a cleared graph, exit the nesting and "
            "create a new graph."
        )
    _GraphStack.bottom = None


