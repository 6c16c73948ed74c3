"""Resource variables: `tf.Variable(..., use_resource=True)`, `tf.enable_resource_variables()`.

`w` makes the nodes `w/Initializer/...`, `w` (the handle), `w/IsInitialized/VarIsInitializedOp`, `w/Assign`, `w/Read/ReadVariableOp`.
Each use
reads the variable by an op of its own, and so sees the updates that are ordered before that use.
"""

from __future__ import annotations

from typing import Any

from graphflow.dtypes import DType, resource
from graphflow.graph.build import convert, convert_to_tensor, make, name_scope
from graphflow.graph.composite import IndexedSlices
from graphflow.graph.graph import get_default_graph
from graphflow.graph.operation import Operation
from graphflow.graph.scopes import colocate_with, control_dependencies, device, init_scope
from graphflow.graph.tensor import Tensor
from graphflow.ops.initial_values import guarded, initialized_value
from graphflow.ops.source import identity
from graphflow.ops.variables import Variable
from graphflow.shapes import TensorShape, as_shape


class ResourceVariable(Variable):
    """A variable behind a handle."""

    _handle_dtype = resource  # what graph.build knows it by

    def _build(
        self, initial: Any, dtype: DType | None, shape: Any, validate_shape: bool, name: str | None, caching_device: Any
    ) -> None:
        with init_scope(), name_scope(name, "Variable", [] if callable(initial) else [initial]) as scope:
            graph = get_default_graph()
            own = scope[:-1]
            with graph._attr_scope({"_class": (b"loc:@" + own.encode(),)}):
                with name_scope("Initializer"), device(None):
                    value = convert(initial() if callable(initial) else initial, dtype, "initial_value")
                if shape is not None and not value.shape.is_compatible_with(shape):
                    raise ValueError(
                        f"The initial value's shape ({value.shape}) is not compatible with the explicitly supplied `shape` argument "
                        f"({shape})."
                    )
                self._shape = value.shape if shape is None else as_shape(shape)
                self._dtype = value.dtype.base_dtype
                self._initial_value = value
                self._variable = make("VarHandleOp", dtype=self._dtype, shape=self._shape, shared_name=own, name=scope)
            with name_scope("IsInitialized"):
                self._is_initialized = make("VarIsInitializedOp", self._variable)
            with name_scope("Assign") as assign, colocate_with(None, ignore_existing=True), device(self._variable.device):
                self._initializer_op = make("AssignVariableOp", self._variable, guarded(own, value), name=assign)
            with name_scope("Read"), device(self._variable.device):
                self._snapshot = self._read()
            self._cached = None
            if caching_device is not None:
                with colocate_with(None, ignore_existing=True), device(caching_device):
                    self._cached = identity(self._snapshot)

    def _found(self) -> None:
        """Completes a variable whose operations were in the graph already: `_snapshot` may be a copy of what was read."""
        definition = self._variable.op.definition
        self._shape, self._dtype = definition.shape, definition.dtype  # type: ignore[attr-defined]
        self._cached = None if self._snapshot.op.type == "ReadVariableOp" else self._snapshot
        while self._snapshot.op.type != "ReadVariableOp":
            self._snapshot = self._snapshot.op.inputs[0]

    def _kept_value(self) -> Tensor:
        """The tensor of its value that was made with it."""
        return self._snapshot if self._cached is None else self._cached

    # -- what it is --------------------------------------------------------------------------------------------------------

    @property
    def handle(self) -> Tensor:
        """The tensor that names it."""
        return self._variable

    @property
    def create(self) -> Operation:
        """The operation that gives it its initial value."""
        return self._initializer_op

    @property
    def dtype(self) -> DType:
        """The type of its elements."""
        return self._dtype

    @property
    def shape(self) -> TensorShape:
        """Its shape."""
        return self._shape

    def get_shape(self) -> TensorShape:
        """Its shape."""
        return self._shape

    def set_shape(self, shape: Any) -> None:
        """Refused, as in TensorFlow."""
        raise NotImplementedError("ResourceVariable does not implement set_shape()")

    @property
    def _shared_name(self) -> str:
        return self._variable.op.name

    def _as_graph_element(self) -> Tensor:
        return self._snapshot

    def is_initialized(self, name: str | None = None) -> Tensor:
        """Whether it has a value in the session that runs this."""
        return make("VarIsInitializedOp", self._variable, name=name)  # type: ignore[no-any-return]

    def __copy__(self) -> ResourceVariable:
        return self

    def __deepcopy__(self, memo: Any) -> ResourceVariable:
        raise NotImplementedError("__deepcopy__() is only available when eager execution is enabled.")

    def __int__(self) -> int:
        raise TypeError("a variable of a graph has a value in a session only: int(session.run(variable))")

    # -- reading -----------------------------------------------------------------------------------------------------------

    def _read(self) -> Tensor:
        return make("ReadVariableOp", self._variable, dtype=self._dtype)  # type: ignore[no-any-return]

    def value(self) -> Tensor:
        """A tensor that reads it."""
        if self._cached is not None:
            return self._cached
        with colocate_with(None, ignore_existing=True), device(self._variable.device):
            return self._read()

    def read_value(self) -> Tensor:
        """A tensor that reads it at that point of the run (see control dependencies)."""
        with name_scope("Read"), device(self._variable.device):
            value = self._read()
        return identity(value)  # type: ignore[no-any-return]

    def initialized_value(self) -> Tensor:
        """Its value if it has been initialised, else its initial value; for initialising other variables."""
        return initialized_value(self.is_initialized, self.read_value, self._initializer_op.inputs[1])  # type: ignore[no-any-return]

    def sparse_read(self, indices: Any, name: str | None = None) -> Tensor:
        """The rows that `indices` name."""
        with name_scope("Gather" if name is None else name) as scope:
            value = make("ResourceGather", self._variable, indices, dtype=self._dtype, name=scope)
        return identity(value)  # type: ignore[no-any-return]

    def gather_nd(self, indices: Any, name: str | None = None) -> Tensor:
        """The slices at the positions that the last dimension of `indices` holds."""
        with name_scope("GatherNd" if name is None else name) as scope:
            value = make("ResourceGatherNd", self._variable, indices, dtype=self._dtype, name=scope)
        return identity(value)  # type: ignore[no-any-return]

    def eval(self, session: Any = None) -> Any:
        """Its value in the default session or the given one."""
        return self._snapshot.eval(session=session)

    # -- changing ----------------------------------------------------------------------------------------------------------

    def _changed(self, operation: Operation, read_value: bool = True) -> Any:
        return _Changed(self, operation) if read_value else operation

    def _arithmetic(self, kind: str, value: Any, name: str | None, read_value: bool) -> Any:
        with self._variable.graph.as_default(), control_dependencies([] if self._cached is None else [self._cached]):
            tensor = convert_to_tensor(value, dtype=self._dtype)
            if kind == "AssignVariableOp":
                self._shape.assert_is_compatible_with(tensor.shape)
            return self._changed(make(kind, self._variable, tensor, name=name), read_value)

    def assign(self, value: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True) -> Any:
        """Gives it a new value; the result stands for the variable after that."""
        return self._arithmetic("AssignVariableOp", value, name, read_value)

    def assign_add(self, delta: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True) -> Any:
        """Adds `delta`; the result stands for the variable after that."""
        return self._arithmetic("AssignAddVariableOp", delta, name, read_value)

    def assign_sub(self, delta: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True) -> Any:
        """Subtracts `delta`; the result stands for the variable after that."""
        return self._arithmetic("AssignSubVariableOp", delta, name, read_value)

    def _scatter(self, kind: str, sparse_delta: Any, use_locking: bool, name: str | None) -> Any:
        if not isinstance(sparse_delta, IndexedSlices):
            raise TypeError(f"sparse_delta is not IndexedSlices: {sparse_delta}")
        updates = convert_to_tensor(sparse_delta.values, self._dtype)
        return self._changed(make(kind, self._variable, sparse_delta.indices, updates, name=name))

    def _scatter_nd(self, kind: str, indices: Any, updates: Any, name: str | None) -> Any:
        return self._changed(make(kind, self._variable, indices, convert_to_tensor(updates, self._dtype), name=name))

    def _strided_slice_assign(self, begin: Any, end: Any, strides: Any, value: Any, name: str | None, masks: dict[str, int]) -> Any:
        tensor = convert_to_tensor(value, self._dtype)
        return self._changed(make("StridedSliceAssign", self._variable, begin, end, strides, tensor, name=name, **masks))

    # -- `w += x` is refused, as in TensorFlow: it would not change the variable ----------------------------------------------

    def __iadd__(self, other: Any) -> Any:
        raise RuntimeError(
            "Variable += value not supported. Use variable.assign_add(value) to modify the variable value and variable = variable + "
            "value to get a new Tensor object."
        )

    def __isub__(self, other: Any) -> Any:
        raise RuntimeError(
            "Variable -= value not supported. Use variable.assign_sub(value) to modify the variable value and variable = variable - "
            "value to get a new Tensor object."
        )

    def __imul__(self, other: Any) -> Any:
        raise RuntimeError(_refused("*"))

    def __itruediv__(self, other: Any) -> Any:
        raise RuntimeError(_refused("/"))

    def __ipow__(self, other: Any) -> Any:
        raise RuntimeError(_refused("**"))


def _refused(operator: str) -> str:
    return (
        f"Variable {operator}= value not supported. Use `var.assign(var {operator} value)` to modify the variable or `var = var "
        f"{operator} value` to get a new Tensor object."
    )


class _Changed(ResourceVariable):
    """A variable after an update: whatever reads it waits for that update."""

    def __init__(self, variable: ResourceVariable, operation: Operation) -> None:
        self.__dict__.update(variable.__dict__)
        self._operation = operation
        self._snapshot = self.value()

    @property
    def op(self) -> Operation:
        """The update."""
        return self._operation

    @property
    def name(self) -> str:
        """The name of the update."""
        return self._operation.name

    def value(self) -> Tensor:
        """A tensor that reads it after the update."""
        with control_dependencies([self._operation]):
            return self._read()

    read_value = value
