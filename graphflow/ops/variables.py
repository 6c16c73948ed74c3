"""tf.Variable: a name, an initial value, the memory and the operations around it.

`tf.Variable(v, name="w")` makes the nodes `w/initial_value` (where v is not a tensor yet), `w`, `w/Assign` and `w/read`, as
TensorFlow does; `get_variable` and `Variable(lambda: ...)` put the initial value's nodes under `w/Initializer/`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from graphflow.dtypes import DType, as_dtype, resource
from graphflow.graph import sessions
from graphflow.graph.build import convert, make, name_scope
from graphflow.graph.collections import GraphKeys
from graphflow.graph.composite import IndexedSlices
from graphflow.graph.convert import register_tensor_conversion_function
from graphflow.graph.graph import Graph, get_default_graph
from graphflow.graph.operation import Operation
from graphflow.graph.scopes import add_to_collections, colocate_with, device, get_collection, init_scope
from graphflow.graph.tensor import Reference, Tensor
from graphflow.ops import state
from graphflow.ops.initial_values import guarded, initialized_value
from graphflow.ops.slicing import getitem
from graphflow.ops.source import group, identity, no_op
from graphflow.ops.variable_kinds import SaveSliceInfo, VariableAggregation, VariableMaker, VariableSynchronization
from graphflow.shapes import TensorShape

__all__ = [
    "Variable",
    "all_variables",
    "global_variables",
    "global_variables_initializer",
    "initialize_all_variables",
    "initialize_local_variables",
    "initialize_variables",
    "local_variables",
    "local_variables_initializer",
    "model_variables",
    "moving_average_variables",
    "trainable_variables",
    "variables_initializer",
]


class Variable(metaclass=VariableMaker):
    """A tensor that keeps its value from run to run, until an assignment changes it.

    Used as an operand it stands for its value at that time in the run. It must be initialised before it is read.
    """

    __array_priority__ = 100
    SaveSliceInfo = SaveSliceInfo

    def __init__(
        self,
        initial_value: Any = None,
        trainable: bool | None = None,
        collections: Iterable[str] | None = None,
        validate_shape: bool = True,
        caching_device: Any = None,
        name: str | None = None,
        variable_def: Any = None,
        dtype: Any = None,
        expected_shape: Any = None,
        import_scope: str | None = None,
        constraint: Callable[[Any], Any] | None = None,
        use_resource: bool | None = None,
        synchronization: Any = VariableSynchronization.AUTO,
        aggregation: Any = VariableAggregation.NONE,
        shape: Any = None,
    ) -> None:
        if variable_def is not None:
            if initial_value is not None:
                raise ValueError("variable_def and initial_value are mutually exclusive.")
            from graphflow.ops.variable_protos import variable_from_proto  # it builds on this module

            variable_from_proto(variable_def, import_scope, self)
            return
        if initial_value is None:
            raise ValueError("initial_value must be specified.")
        if collections is None:
            collections = [GraphKeys.GLOBAL_VARIABLES]
        if not isinstance(collections, (list, tuple, set)):
            raise ValueError(
                f"collections argument to Variable constructor must be a list, tuple, or set. Got {collections} of type "
                f"{type(collections)}"
            )
        if constraint is not None and not callable(constraint):
            raise ValueError("The `constraint` argument must be a callable.")
        self._synchronization = _member(VariableSynchronization, synchronization, "synchronization", name)
        self._aggregation = _member(VariableAggregation, aggregation, "aggregation", name)
        self._trainable = (
            self._synchronization is not VariableSynchronization.ON_READ if trainable is None else bool(trainable)
        )
        if self._trainable and GraphKeys.TRAINABLE_VARIABLES not in collections:
            collections = [*collections, GraphKeys.TRAINABLE_VARIABLES]
        self._graph_key = get_default_graph()._graph_key
        self._constraint = constraint
        self._caching_device = caching_device
        self._save_slice_info: SaveSliceInfo | None = None
        self._build(initial_value, None if dtype is None else as_dtype(dtype), shape, validate_shape, name, caching_device)
        add_to_collections(collections, self)

    def _build(
        self, initial: Any, dtype: DType | None, shape: Any, validate_shape: bool, name: str | None, caching_device: Any
    ) -> None:
        with init_scope(), name_scope(name, "Variable", [] if callable(initial) else [initial]) as scope:
            graph = get_default_graph()
            with ExitStack() as stack:
                if callable(initial):
                    stack.enter_context(graph._attr_scope({"_class": (b"loc:@" + scope[:-1].encode(),)}))
                    with name_scope("Initializer"), device(None):
                        value = convert(initial(), dtype, "initial_value")
                else:
                    value = convert(initial, dtype, "initial_value")
                if shape is None:
                    shape = value.shape if validate_shape else None
                self._initial_value = value
                self._variable: Tensor = make(
                    "VariableV2", shape=TensorShape(shape), dtype=value.dtype.base_dtype, name=scope
                )
            if validate_shape and not value.shape.is_fully_defined():
                raise ValueError(f"initial_value must have a shape specified: {value}")
            assigned = state.assign(self._variable, guarded(scope, value), validate_shape=validate_shape)
            self._initializer_op = assigned.op
            with colocate_with(self._variable.op) if caching_device is None else device(caching_device):
                self._snapshot = identity(self._variable, name="read")

    # -- what it is --------------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name of its memory: "w:0"."""
        return self._variable.name

    @property
    def _shared_name(self) -> str:
        return self._variable.op.name

    @property
    def dtype(self) -> DType:
        """The reference type of its elements."""
        return self._variable.dtype

    @property
    def shape(self) -> TensorShape:
        """Its shape."""
        return self._variable.shape

    def get_shape(self) -> TensorShape:
        """Its shape."""
        return self._variable.shape

    def set_shape(self, shape: Any) -> None:
        """Adds knowledge of the shape."""
        self._variable.set_shape(shape)
        self._snapshot.set_shape(shape)

    @property
    def op(self) -> Operation:
        """The operation that stands for its memory."""
        return self._variable.op

    @property
    def graph(self) -> Graph:
        """Its graph."""
        return self._variable.graph

    @property
    def device(self) -> str:
        """The device that the program asked for."""
        return self._variable.device

    @property
    def trainable(self) -> bool:
        """Whether optimizers change it by default."""
        return self._trainable

    @property
    def synchronization(self) -> VariableSynchronization:
        """As given."""
        return self._synchronization

    @property
    def aggregation(self) -> VariableAggregation:
        """As given."""
        return self._aggregation

    @property
    def constraint(self) -> Callable[[Any], Any] | None:
        """The projection that optimizers apply after an update."""
        return self._constraint

    @property
    def initializer(self) -> Operation:
        """The operation that gives it its initial value."""
        return self._initializer_op

    @property
    def initial_value(self) -> Tensor:
        """The tensor with its initial value."""
        return self._initial_value

    def __repr__(self) -> str:
        return f"<tf.Variable '{self.name}' shape={self.shape} dtype={self.dtype.name}>"

    def _as_graph_element(self) -> Tensor:
        return self._variable

    def _ref(self) -> Tensor:
        return self._variable

    def experimental_ref(self) -> Reference:
        """A hashable stand-in that compares by identity."""
        return Reference(self)

    def to_proto(self, export_scope: str | None = None) -> Any:
        """The VariableDef that names its operations; None where it is not in the scope."""
        from graphflow.ops.variable_protos import variable_to_proto

        return variable_to_proto(self, export_scope)

    @staticmethod
    def from_proto(variable_def: Any, import_scope: str | None = None) -> Variable:
        """The variable whose operations are in the graph already."""
        return Variable(variable_def=variable_def, import_scope=import_scope)

    def _set_save_slice_info(self, save_slice_info: SaveSliceInfo) -> None:
        self._save_slice_info = save_slice_info

    def _get_save_slice_info(self) -> SaveSliceInfo | None:
        return self._save_slice_info

    def __iter__(self) -> Any:
        raise TypeError("'Variable' object is not iterable.")

    def _kept_value(self) -> Tensor:
        """The tensor of its value that was made with it."""
        return self._snapshot

    # -- reading -----------------------------------------------------------------------------------------------------------

    def value(self) -> Tensor:
        """The tensor `w/read` that holds its value."""
        return self._snapshot

    def read_value(self) -> Tensor:
        """A new tensor that reads it at that point of the run (see control dependencies)."""
        return identity(self._variable, name="read")

    def initialized_value(self) -> Tensor:
        """Its value if it has been initialised, else its initial value; for initialising other variables."""
        initial = self._initializer_op.inputs[1]  # safe where it reads other variables
        asked = partial(state.is_variable_initialized, self._variable)
        return initialized_value(asked, self.read_value, initial)  # type: ignore[no-any-return]

    def eval(self, session: Any = None) -> Any:
        """Its value in the default session or the given one."""
        return self._variable.eval(session=session)

    def load(self, value: Any, session: Any = None) -> None:
        """Gives it the value of an array in a session, without adding to the graph."""
        session = session or sessions.get_default_session()
        if session is None:
            raise ValueError("Either session argument should be provided or default session should be established")
        session.run(self.initializer, {self.initializer.inputs[1]: value})

    # -- changing ----------------------------------------------------------------------------------------------------------

    def assign(self, value: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True) -> Any:
        """An operation that gives it a new value; the result is the variable after that."""
        result = state.assign(self._variable, value, use_locking=use_locking, name=name)
        return result if read_value else result.op

    def assign_add(self, delta: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True) -> Any:
        """An operation that adds `delta`; the result is the variable after that."""
        result = state.assign_add(self._variable, delta, use_locking=use_locking, name=name)
        return result if read_value else result.op

    def assign_sub(self, delta: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True) -> Any:
        """An operation that subtracts `delta`; the result is the variable after that."""
        result = state.assign_sub(self._variable, delta, use_locking=use_locking, name=name)
        return result if read_value else result.op

    def count_up_to(self, limit: int) -> Tensor:
        """What it held before it was increased by one; OutOfRangeError once it holds `limit`."""
        from graphflow.ops.passing import count_up_to  # it stands on the variables' ops

        return count_up_to(self, limit)  # type: ignore[no-any-return]

    def _scatter(self, kind: str, sparse_delta: Any, use_locking: bool, name: str | None) -> Tensor:
        if not isinstance(sparse_delta, IndexedSlices):
            raise TypeError(f"sparse_delta is not IndexedSlices: {sparse_delta}")
        return make(  # type: ignore[no-any-return]
            kind, self._variable, sparse_delta.indices, sparse_delta.values, use_locking=use_locking, name=name
        )

    def scatter_add(self, sparse_delta: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
        """Adds the slices of an IndexedSlices to its rows."""
        return self._scatter("ScatterAdd", sparse_delta, use_locking, name)

    def scatter_sub(self, sparse_delta: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
        """Subtracts the slices of an IndexedSlices from its rows."""
        return self._scatter("ScatterSub", sparse_delta, use_locking, name)

    def scatter_mul(self, sparse_delta: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
        """Multiplies its rows by the slices of an IndexedSlices."""
        return self._scatter("ScatterMul", sparse_delta, use_locking, name)

    def scatter_div(self, sparse_delta: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
        """Divides its rows by the slices of an IndexedSlices."""
        return self._scatter("ScatterDiv", sparse_delta, use_locking, name)

    def scatter_min(self, sparse_delta: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
        """The lesser of its rows and the slices of an IndexedSlices."""
        return self._scatter("ScatterMin", sparse_delta, use_locking, name)

    def scatter_max(self, sparse_delta: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
        """The greater of its rows and the slices of an IndexedSlices."""
        return self._scatter("ScatterMax", sparse_delta, use_locking, name)

    def scatter_update(self, sparse_delta: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
        """Replaces its rows by the slices of an IndexedSlices."""
        return self._scatter("ScatterUpdate", sparse_delta, use_locking, name)

    def _scatter_nd(self, kind: str, indices: Any, updates: Any, name: str | None) -> Tensor:
        return make(kind, self._variable, indices, updates, use_locking=True, name=name)  # type: ignore[no-any-return]

    def scatter_nd_add(self, indices: Any, updates: Any, name: str | None = None) -> Tensor:
        """Adds `updates` at `indices`."""
        return self._scatter_nd("ScatterNdAdd", indices, updates, name)

    def scatter_nd_sub(self, indices: Any, updates: Any, name: str | None = None) -> Tensor:
        """Subtracts `updates` at `indices`."""
        return self._scatter_nd("ScatterNdSub", indices, updates, name)

    def scatter_nd_update(self, indices: Any, updates: Any, name: str | None = None) -> Tensor:
        """Puts `updates` at `indices`."""
        return self._scatter_nd("ScatterNdUpdate", indices, updates, name)

    def __getitem__(self, spec: Any) -> Tensor:
        """A part of its value, as numpy's basic indexing; `w[1:3].assign(x)` changes that part."""
        return getitem(self.value(), spec, self)  # type: ignore[no-any-return]

    def _strided_slice_assign(self, begin: Any, end: Any, strides: Any, value: Any, name: str | None, masks: dict[str, int]) -> Any:
        return make("StridedSliceAssign", self._variable, begin, end, strides, value, name=name, **masks)

    # -- `w += x` makes a tensor, as in TensorFlow -----------------------------------------------------------------------------

    def __iadd__(self, other: Any) -> Any:
        return self + other

    def __isub__(self, other: Any) -> Any:
        return self - other

    def __imul__(self, other: Any) -> Any:
        return self * other

    def __itruediv__(self, other: Any) -> Any:
        return self / other

    def __ipow__(self, other: Any) -> Any:
        return self**other


def _delegate(operator: str) -> Callable[..., Any]:
    """A variable's operator: the tensor's, on its value. Looked up when used, because the tensor's are filled in later."""

    def run(self: Variable, *args: Any) -> Any:
        return getattr(Tensor, operator)(self.value(), *args)

    run.__name__ = operator
    return run


for _operator in Tensor.OVERLOADABLE_OPERATORS - {"__eq__", "__ne__", "__getitem__"}:
    setattr(Variable, _operator, _delegate(_operator))


def _member(kind: type[enum.Enum], value: Any, what: str, name: str | None) -> Any:
    try:
        return kind(0) if value is None else kind(value.value if isinstance(value, enum.Enum) else value)
    except ValueError:
        raise ValueError(f"Invalid variable {what} mode: {value} for variable: {name}") from None


def _variable_conversion(value: Variable, dtype: Any = None, name: str | None = None, as_ref: bool = False) -> Tensor:
    if dtype is not None and as_dtype(dtype) is resource and value._ref().dtype is resource:
        return value._ref()
    if dtype is not None and not as_dtype(dtype).is_compatible_with(value.dtype):
        raise ValueError(
            f"Incompatible type conversion requested to type '{as_dtype(dtype).name}' for variable of type '{value.dtype.name}'"
        )
    return value._ref() if as_ref else value.value()


register_tensor_conversion_function(Variable, _variable_conversion)


# -- all variables -------------------------------------------------------------------------------------------------------------


def global_variables(scope: str | None = None) -> list[Any]:
    """The variables that are shared between runs and saved."""
    return get_collection(GraphKeys.GLOBAL_VARIABLES, scope)


def local_variables(scope: str | None = None) -> list[Any]:
    """Variables that are not saved: counters of metrics and epochs."""
    return get_collection(GraphKeys.LOCAL_VARIABLES, scope)


def model_variables(scope: str | None = None) -> list[Any]:
    """Variables that the model's inference needs."""
    return get_collection(GraphKeys.MODEL_VARIABLES, scope)


def trainable_variables(scope: str | None = None) -> list[Any]:
    """The variables that optimizers change by default."""
    return get_collection(GraphKeys.TRAINABLE_VARIABLES, scope)


def moving_average_variables(scope: str | None = None) -> list[Any]:
    """The variables that have moving averages."""
    return get_collection(GraphKeys.MOVING_AVERAGE_VARIABLES, scope)


def variables_initializer(var_list: Sequence[Any], name: str = "init") -> Operation:
    """An operation that gives the variables their initial values."""
    return group(*[v.initializer for v in var_list], name=name) if var_list else no_op(name=name)


def global_variables_initializer() -> Operation:
    """An operation that initialises all global variables."""
    return variables_initializer(global_variables())


def local_variables_initializer() -> Operation:
    """An operation that initialises all local variables."""
    return variables_initializer(local_variables())


all_variables = global_variables
initialize_variables = variables_initializer
initialize_all_variables = global_variables_initializer
initialize_local_variables = local_variables_initializer
