"""tf.layers.Layer: a function with variables of its own, made when it is first called."""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Callable
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from graphflow import nest
from graphflow.compat.tensor_util import is_tensor
from graphflow.dtypes import as_dtype, float32
from graphflow.graph.build import convert_to_tensor, name_scope
from graphflow.graph.collections import GraphKeys
from graphflow.graph.graph import get_default_graph
from graphflow.graph.traverse import reached_from
from graphflow.nn.cross_entropy import softmax
from graphflow.ops import activation, initializers
from graphflow.ops.logic import cast
from graphflow.ops.partitioned import PartitionedVariable
from graphflow.ops.shape import shape
from graphflow.ops.variable_scope import VariableScope, get_variable, variable_scope
from graphflow.ops.variables import VariableAggregation, VariableSynchronization, global_variables, trainable_variables
from graphflow.shapes import Dimension

_ACTIVATIONS: dict[str, Callable[..., Any]] = {
    "elu": activation.elu, "linear": lambda x: x, "relu": activation.relu, "selu": activation.selu, "sigmoid": activation.sigmoid,
    "softmax": softmax, "softplus": activation.softplus, "softsign": activation.softsign, "tanh": activation.tanh,
}  # fmt: skip

_INITIALIZERS: dict[str, Callable[[], Any]] = {
    "glorot_normal": initializers.glorot_normal_initializer, "glorot_uniform": initializers.glorot_uniform_initializer,
    "he_normal": lambda: initializers.variance_scaling_initializer(scale=2.0, mode="fan_in", distribution="truncated_normal"),
    "he_uniform": lambda: initializers.variance_scaling_initializer(scale=2.0, mode="fan_in", distribution="uniform"),
    "normal": lambda: initializers.random_normal_initializer(stddev=0.05), "ones": initializers.ones_initializer,
    "orthogonal": initializers.orthogonal_initializer, "random_normal": lambda: initializers.random_normal_initializer(stddev=0.05),
    "random_uniform": lambda: initializers.random_uniform_initializer(-0.05, 0.05),
    "truncated_normal": lambda: initializers.truncated_normal_initializer(stddev=0.05),
    "uniform": lambda: initializers.random_uniform_initializer(-0.05, 0.05), "zeros": initializers.zeros_initializer,
}  # fmt: skip


ZEROS, ONES = initializers.zeros_initializer(), initializers.ones_initializer()  # the defaults of layers


def _named(table: dict[str, Any], value: Any, what: str) -> Any:
    if isinstance(value, str):
        if value not in table:
            raise ValueError(f"Unknown {what}: {value}")
        return table[value]
    return value


def activation_of(value: Any) -> Callable[..., Any] | None:
    """An activation function given itself, by name, or not at all."""
    return _named(_ACTIVATIONS, value, "activation function")  # type: ignore[no-any-return]


def initializer_of(value: Any) -> Any:
    """An initializer given itself, as a class, by name, or not at all."""
    found = _named(_INITIALIZERS, value, "initializer")
    return found() if isinstance(value, str) or isinstance(found, type) else found


def tuple_of(value: Any, count: int, name: str) -> tuple[int, ...]:
    """An argument given as one integer or as `count` of them."""
    if isinstance(value, (int, np.integer)):
        return (int(value),) * count
    try:
        values = tuple(value)
        if len(values) != count:
            raise TypeError
        return tuple(int(v) for v in values)
    except (TypeError, ValueError):
        raise ValueError(f"The `{name}` argument must be a tuple of {count} integers. Received: {value}") from None


class InputSpec:
    """What a layer asks of its input."""

    def __init__(self, dtype=None, shape=None, ndim=None, max_ndim=None, min_ndim=None, axes=None):
        self.dtype = None if dtype is None else as_dtype(dtype).name
        self.shape = shape
        self.ndim = ndim if shape is None else len(shape)
        self.max_ndim = max_ndim
        self.min_ndim = min_ndim
        self.axes = {int(k): v for k, v in (axes or {}).items()}

    def __repr__(self) -> str:
        names = ("dtype", "shape", "ndim", "max_ndim", "min_ndim", "axes")
        return f"InputSpec({', '.join(f'{n}={getattr(self, n)}' for n in names if getattr(self, n))})"

    def check(self, x: Any, layer: str) -> None:
        """Refuse an input that does not fit; ValueError with TensorFlow's words."""
        start = f"Input 0 of layer {layer} is incompatible with the layer: "
        found = x.dtype.base_dtype.name
        if self.dtype is not None and self.dtype != found:
            raise ValueError(f"{start}expected dtype={self.dtype}, found dtype={found}")
        rank = x.shape.ndims
        if rank is None:
            if self.ndim is not None or self.min_ndim is not None or self.max_ndim is not None:
                raise ValueError(f"{start}its rank is undefined, but the layer requires a defined rank.")
            return
        full = x.shape.as_list()
        if self.ndim is not None and rank != self.ndim:
            raise ValueError(f"{start}expected ndim={self.ndim}, found ndim={rank}. Full shape received: {full}")
        if self.max_ndim is not None and rank > self.max_ndim:
            raise ValueError(f"{start}expected max_ndim={self.max_ndim}, found ndim={rank}")
        if self.min_ndim is not None and rank < self.min_ndim:
            raise ValueError(f"{start}: expected min_ndim={self.min_ndim}, found ndim={rank}. Full shape received: {full}")
        if self.shape is not None and any(w not in (None, n) and n is not None for w, n in zip(self.shape, full, strict=True)):
            raise ValueError(f"{start}expected shape={self.shape}, found shape={full}")
        for axis, value in self.axes.items():
            size = value.value if isinstance(value, Dimension) else value
            if size is not None and full[axis] not in (size, None):
                raise ValueError(f"{start}expected axis {axis} of input shape to have value {size} but received input with shape {full}")


@cache
def _takes_scope(call: Callable[..., Any]) -> bool:
    """Whether a layer's `call` asks for the variable scope it runs in."""
    return "scope" in inspect.signature(call).parameters


_uids: WeakKeyDictionary[Any, dict[str, int]] = WeakKeyDictionary()


def _snake_case(name: str) -> str:
    """`MaxPooling2D` -> `max_pooling2d`"""
    spread = re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)).lower()
    return spread if spread[0] != "_" else "private" + spread


def _add_new(elements: list[Any], collection: str) -> None:
    held = get_default_graph().get_collection_ref(collection)
    for element in elements:
        if not any(element is h for h in held):
            held.append(element)


class Layer:
    """Base of the layers: subclasses make variables in `build(input_shape)` and compute in `call(inputs)`.

    Variables live in a variable scope called like the layer; a second call uses them again.
    """

    def __init__(self, trainable=True, name=None, dtype=None, **kwargs):
        scope = kwargs.pop("_scope", None)
        self._reuse = kwargs.pop("_reuse", None)
        self._activity_regularizer = kwargs.pop("activity_regularizer", None)
        for ignored in ("autocast", "dynamic", "input_shape", "batch_input_shape", "batch_size", "weights", "input_dim"):
            kwargs.pop(ignored, None)
        if kwargs:
            raise TypeError(f"Keyword argument not understood: {next(iter(kwargs))}")
        self._trainable = trainable
        self._dtype = None if dtype is None else as_dtype(dtype).name
        self.built = False
        self.input_spec: InputSpec | None = None
        self._trainable_weights: list[Any] = []
        self._non_trainable_weights: list[Any] = []
        self._updates: list[Any] = []
        self._losses: list[Any] = []
        self._conditional: list[Any] = []  # those of the losses and updates that depend on inputs
        self._current_scope: Any = None
        self._inputs: Any = None
        self._outputs: Any = None
        self._set_name(name)
        self._scope: VariableScope | None = None
        if scope:
            with variable_scope(scope) as captured:
                self._scope = captured

    def _set_name(self, name: Any) -> None:
        base = name.name if isinstance(name, VariableScope) else name
        self._name = name
        if not name or isinstance(name, VariableScope):
            prefix = _snake_case(type(self).__name__)
            counts = _uids.setdefault(get_default_graph(), {})
            counts[prefix] = counts.get(prefix, 0) + 1
            self._name = f"{prefix}_{counts[prefix]}"
            base = base or prefix
        self._base_name = base

    def __deepcopy__(self, memo: dict[int, Any]) -> Layer:
        """A layer with settings of its own; what belongs to the graph (variables, tensors, scopes) is the same."""
        made = type(self).__new__(type(self))
        memo[id(self)] = made
        for key, value in self.__dict__.items():
            if isinstance(value, (VariableScope, variable_scope)):
                value = copy.copy(value)
            elif not any(is_tensor(part) for part in nest.flatten(value)):
                value = copy.deepcopy(value, memo)
            setattr(made, key, value)
        return made

    # -- what a layer has ------------------------------------------------------------------------------------------------------

    @property
    def name(self):
        """The layer's name."""
        return self._name

    @property
    def dtype(self):
        """The type of its variables, taken from the first input unless given."""
        return self._dtype

    @property
    def trainable(self):
        """Whether its variables are trained."""
        return self._trainable

    @trainable.setter
    def trainable(self, value):
        self._trainable = value

    @property
    def scope_name(self):
        """The name of its variable scope."""
        if not self._scope:
            raise ValueError(
                f'No name available for layer scope because the layer "{self._name}" has not been used yet. The scope name  is '
                "determined the first time the layer instance is called. You must therefore call the layer before querying `scope_name`."
            )
        return self._scope.name

    @property
    def trainable_weights(self):
        """The variables that are trained."""
        return list(self._trainable_weights) if self._trainable else []

    @property
    def non_trainable_weights(self):
        """The variables that are not trained."""
        return list(self._non_trainable_weights) if self._trainable else [*self._trainable_weights, *self._non_trainable_weights]

    @property
    def weights(self):
        """All its variables."""
        return self.trainable_weights + self.non_trainable_weights

    # By the property of the same object: subclasses that have other layers inside override one name, and both follow.
    trainable_variables = property(lambda self: self.trainable_weights, doc="The variables that are trained.")
    non_trainable_variables = property(lambda self: self.non_trainable_weights, doc="The variables that are not trained.")
    variables = property(lambda self: self.weights, doc="All its variables.")

    @property
    def updates(self):
        """Operations to run beside training."""
        return list(self._updates)

    @property
    def losses(self):
        """Regularisation losses."""
        return list(self._losses)

    def get_losses_for(self, inputs):
        """The losses that depend on the given inputs; None: those that depend on no input."""
        return self._those_for(inputs, self._losses)

    def get_updates_for(self, inputs):
        """The updates that depend on the given inputs; None: those that depend on no input."""
        return self._those_for(inputs, self._updates)

    def _those_for(self, inputs: Any, items: list[Any]) -> list[Any]:
        conditional = [item for item in items if any(item is c for c in self._conditional)]
        if inputs is None:
            return [item for item in items if not any(item is c for c in conditional)]
        reached = reached_from([_operation(x) for x in nest.flatten(inputs)])
        return [item for item in conditional if _operation(item) in reached]

    @property
    def activity_regularizer(self):
        """The regularizer of its outputs."""
        return self._activity_regularizer

    @property
    def input(self):
        """The input of the first call."""
        if self._inputs is None:
            raise AttributeError(f"Layer {self._name} is not connected, no input to return.")
        return self._inputs

    @property
    def output(self):
        """The output of the first call."""
        if self._outputs is None:
            raise AttributeError(f"Layer {self._name} has no inbound nodes.")
        return self._outputs

    def count_params(self):
        """The number of elements of all its variables."""
        if not self.built:
            raise ValueError(f"You tried to call `count_params` on {self._name}, but the layer isn't built.")
        return sum(int(np.prod(v.shape.as_list())) for v in self.weights)

    # -- for subclasses --------------------------------------------------------------------------------------------------------

    def build(self, input_shape):
        """Make the variables."""
        self.built = True

    def call(self, inputs, **kwargs):
        """What the layer computes."""
        return inputs

    def compute_output_shape(self, input_shape):
        """The shape of the output for an input's shape, where the layer can tell without being called."""
        raise NotImplementedError(f"{type(self).__name__} does not say its output's shape: give it a method compute_output_shape")

    def add_loss(self, losses, inputs=None):
        """Note losses of this layer: also in the collection REGULARIZATION_LOSSES."""
        given = losses if isinstance(losses, (list, tuple)) else [losses]
        made = [loss() if callable(loss) else loss for loss in given]
        made = [loss for loss in made if loss is not None]
        self._losses += made
        if inputs is not None:
            self._conditional += made
        _add_new(made, GraphKeys.REGULARIZATION_LOSSES)

    def add_update(self, updates, inputs=None):
        """Note operations to run beside training; the collection UPDATE_OPS gets them after the call."""
        for update in updates if isinstance(updates, (list, tuple)) else [updates]:
            made = update() if callable(update) else update
            self._updates.append(getattr(made, "op", made))
            if inputs is not None:
                self._conditional.append(self._updates[-1])

    def add_weight(
        self, name, shape, dtype=None, initializer=None, regularizer=None, trainable=None, constraint=None, use_resource=None,
        synchronization=VariableSynchronization.AUTO, aggregation=VariableAggregation.NONE, partitioner=None, **kwargs,
    ):  # fmt: skip
        """A variable `name` of this layer, made or found again."""
        for key in kwargs:
            if key != "experimental_autocast":
                raise TypeError("Unknown keyword argument:", key)
        if synchronization == VariableSynchronization.ON_READ:
            if trainable:
                raise ValueError(
                    "Synchronization value can be set to VariableSynchronization.ON_READ only for non-trainable variables. You have "
                    "specified trainable=True and synchronization=VariableSynchronization.ON_READ."
                )
            trainable = False
        trainable = True if trainable is None else trainable
        existing = list(global_variables())
        dtype = as_dtype(dtype or self.dtype or float32)
        self._set_scope(None)
        with variable_scope(self._scope, reuse=self.built or self._reuse, auxiliary_name_scope=False) as scope:
            self._current_scope = scope
            with name_scope(self._name_scope()):
                initializer = initializer_of(initializer)
                if initializer is None:
                    initializer = scope.initializer
                if initializer is None:
                    initializer = _INITIALIZERS["glorot_uniform" if dtype.is_floating else "zeros"]()
                variable = get_variable(
                    name, shape=shape, dtype=dtype, initializer=initializer, trainable=bool(trainable and self.trainable),
                    constraint=constraint, partitioner=partitioner, use_resource=bool(use_resource or scope.use_resource),
                    synchronization=synchronization, aggregation=aggregation,
                )  # fmt: skip
                parts = list(variable) if isinstance(variable, PartitionedVariable) else [variable]
                if regularizer is not None and not any(part is v for part in parts for v in existing):
                    for part in parts:
                        with name_scope(f"{name}/Regularizer"):
                            loss = regularizer(part)
                        self.add_loss([loss])
        trained = trainable and self.trainable and any(parts[0] is v for v in trainable_variables())
        (self._trainable_weights if trained else self._non_trainable_weights).append(variable)
        return variable

    add_variable = add_weight

    # -- calling ---------------------------------------------------------------------------------------------------------------

    def _name_scope(self) -> str:
        scope: str = self._current_scope.original_name_scope
        return scope

    def _set_scope(self, scope: Any = None) -> None:
        if self._scope is not None:
            return
        if self._reuse:
            with variable_scope(scope if scope is not None else self._base_name) as captured:
                self._scope = captured
        else:
            with variable_scope(scope, default_name=self._base_name) as captured:
                self._scope = captured

    def __call__(self, inputs, *args, **kwargs):
        self._set_scope(kwargs.pop("scope", None))
        inputs = _as_tensors(inputs)
        reuse = True if self.built else self._reuse
        with variable_scope(self._scope, reuse=reuse, auxiliary_name_scope=False) as scope:
            self._current_scope = scope
            if _takes_scope(type(self).call):
                kwargs["scope"] = scope
            first = nest.flatten(inputs)[0]
            if self.input_spec is not None:
                self.input_spec.check(first, self._name)
            with name_scope(self._name_scope()):
                if not self.built:
                    if self._dtype is None:
                        self._dtype = first.dtype.base_dtype.name
                    self.build(nest.map_structure(lambda x: getattr(x, "shape", None), inputs))
                    self.built = True
                outputs = self.call(inputs, *args, **kwargs)
                if outputs is None:
                    raise ValueError(
                        f"A layer's `call` method should return a Tensor or a list of Tensors, not None (layer: {self._name})."
                    )
                self._regularize_activity(outputs)
        if self._inputs is None:
            self._inputs, self._outputs = inputs, outputs
        _add_new(self._updates, GraphKeys.UPDATE_OPS)
        return outputs

    def _regularize_activity(self, outputs: Any) -> None:
        if self._activity_regularizer is None:
            return
        with name_scope("ActivityRegularizer"):
            for output in outputs if isinstance(outputs, (list, tuple)) else [outputs]:
                loss = self._activity_regularizer(output)
                self.add_loss(loss / cast(shape(output)[0], loss.dtype), inputs=output)

    def apply(self, inputs, *args, **kwargs):
        """The same as calling the layer."""
        return self(inputs, *args, **kwargs)


def _operation(item: Any) -> Any:
    return getattr(item, "op", item)


def _as_tensors(inputs: Any) -> Any:
    if nest.is_nested(inputs):
        return nest.map_structure(_as_tensors, inputs)
    foreign = isinstance(inputs, (np.ndarray, float, int)) or hasattr(inputs, "_as_graph_element")
    return convert_to_tensor(inputs) if foreign else inputs


def applied(kind: Callable[..., Any], arguments: dict[str, Any], *call_arguments: str) -> Any:
    """A layer made from the arguments of its functional form and called on `inputs`."""
    arguments = dict(arguments)
    inputs, reuse = arguments.pop("inputs"), arguments.pop("reuse", None)
    call = {name: arguments.pop(name) for name in call_arguments}
    return kind(**arguments, _reuse=reuse, _scope=arguments["name"])(inputs, **call)
