"""What every recurrent cell is: a layer with a state."""

from __future__ import annotations

from typing import Any

from graphflow import nest
from graphflow.dtypes import as_dtype, int32
from graphflow.graph.build import convert_to_tensor, name_scope
from graphflow.graph.convert import constant_value
from graphflow.graph.tensor import Tensor
from graphflow.layers.base import Layer
from graphflow.ops.joining import concat
from graphflow.ops.reshape import expand_dims
from graphflow.ops.shape import shape as shape_of
from graphflow.ops.source import constant, zeros
from graphflow.ops.variable_scope import get_variable_scope, variable_scope
from graphflow.ops.variables import trainable_variables
from graphflow.shapes import TensorShape, as_shape

ASSERT_LIKE_RNNCELL_ERROR_REGEXP = "is not an RNNCell"


def _has(thing: Any, attribute: str) -> bool:
    # A property that raises NotImplementedError is there all the same, and says more when it is used than we could here.
    try:
        getattr(thing, attribute)
    except AttributeError:
        return False
    return True


def assert_like_rnncell(cell_name: str, cell: Any) -> None:
    """TypeError unless `cell` has what the drivers ask of a cell."""
    lacking = [f"'{name}' property is missing" for name in ("output_size", "state_size") if not _has(cell, name)]
    if not _has(cell, "get_initial_state") and not _has(cell, "zero_state"):
        lacking.append("either 'zero_state' or 'get_initial_state' method is required")
    if not callable(cell):
        lacking.append("is not callable")
    if lacking:
        raise TypeError(f"The argument {cell_name!r} ({cell}) is not an RNNCell: {', '.join(lacking)}.")


def check_floating(*dtypes: Any) -> None:
    """ValueError unless all are types that cells can compute with; None is a type not yet known."""
    for dtype in dtypes:
        if dtype is None:
            continue
        dtype = as_dtype(dtype)
        if not (dtype.is_floating or dtype.is_complex):
            raise ValueError(f"RNN cell only supports floating point inputs, but saw dtype: {dtype}")


def _part(size: Any, what: str) -> tuple[Any, list[int | None] | None]:
    """One part of a shape as a vector (None where it is not known) and as far as it is known statically."""
    if not isinstance(size, Tensor):
        static = as_shape(size)
        sizes = static.as_list() if static.ndims is not None else None
        return (constant(sizes, int32) if static.is_fully_defined() else None), sizes
    value = constant_value(size)
    known = None if value is None else [int(v) for v in value.reshape(-1)]
    if size.shape.ndims == 0:
        return expand_dims(size, 0), [None] if known is None else known
    if size.shape.ndims != 1:
        raise ValueError(f"{what} tensor must be either a scalar or vector, but saw tensor: {size}")
    return size, known


def batched_shape(prefix: Any, suffix: Any) -> Any:
    """The shape [*prefix, *suffix] as a tensor; each is an integer, a shape, or an integer tensor of rank 0 or 1."""
    first, _ = _part(prefix, "prefix")
    second, _ = _part(suffix, "suffix")
    if first is None or second is None:
        raise ValueError(f"Provided a prefix or suffix of None: {prefix} and {suffix}")
    return concat((first, second), 0)


def static_batched_shape(prefix: Any, suffix: Any) -> TensorShape:
    """The shape [*prefix, *suffix] as far as it is known. (Like TensorFlow's it leaves the parts in the graph: names and seeds of what
    comes later count them.)"""
    _, first = _part(prefix, "prefix")
    _, second = _part(suffix, "suffix")
    return TensorShape(first).concatenate(TensorShape(second))


def zero_state_of(state_size: Any, batch_size: Any, dtype: Any) -> Any:
    """Zeros [batch_size, *size] for every size in a structure of sizes."""

    def zero(size: Any) -> Any:
        made = zeros(batched_shape(batch_size, size), dtype=dtype)
        made.set_shape(static_batched_shape(batch_size, size))
        return made

    return nest.map_structure(zero, state_size)


class RNNCell(Layer):
    """Base of cells: `output, next_state = cell(input, state)`.

    Subclasses have the properties `state_size` and `output_size` (integers, shapes, or structures of them) and compute in
    `call(inputs, state)`, which may make variables by `tf.get_variable`: they stand in the scope of the cell's name and are used
    again by every further call.
    """

    def __init__(self, trainable=True, name=None, dtype=None, **kwargs):
        super().__init__(trainable=trainable, name=name, dtype=dtype, **kwargs)
        self._is_tf_rnn_cell = True

    def __call__(self, inputs, state, scope=None):
        """The output [batch, output_size] and the next state, for inputs [batch, depth] and a state as `state_size` says.

        `scope` is the variable scope to make variables in, in place of one called like the class.
        """
        if scope is not None:
            with variable_scope(scope, custom_getter=self._rnn_get_variable) as scope:
                return super().__call__(inputs, state, scope=scope)
        # The first call's scope is entered again by the later ones, wherever they stand: they share its variables.
        first = getattr(self, "_rnncell_scope", None)
        if first is None:
            first = self._rnncell_scope = variable_scope(get_variable_scope(), custom_getter=self._rnn_get_variable)
        with first:
            return super().__call__(inputs, state)

    def _rnn_get_variable(self, getter, *args, **kwargs):
        """Notes the variables that `call` makes by get_variable."""
        variable = getter(*args, **kwargs)
        trained = any(variable is v for v in trainable_variables())
        held = self._trainable_weights if trained else self._non_trainable_weights
        if all(variable is not v for v in held):
            held.append(variable)
        return variable

    @property
    def state_size(self):
        """The size of the state: an integer, a shape, or a structure of them."""
        raise NotImplementedError("Abstract method")

    @property
    def output_size(self):
        """The size of the output: an integer or a shape."""
        raise NotImplementedError("Abstract method")

    def build(self, _):
        """Nothing: variables are made in `call`. (`built` stays False until the first call is over.)"""

    def get_initial_state(self, inputs=None, batch_size=None, dtype=None):
        """The zero state for `inputs` [batch, ...], or for a batch size and a type."""
        if inputs is not None:
            inputs = convert_to_tensor(inputs, name="inputs")
            batch = inputs.shape.dims[0].value
            if batch_size is not None:
                given = constant_value(batch_size) if isinstance(batch_size, Tensor) else batch_size
                if batch != given:
                    raise ValueError(
                        "batch size from input tensor is different from the input param. Input tensor batch: "
                        f"{batch}, batch_size: {batch_size}"
                    )
            if dtype is not None and inputs.dtype != dtype:
                raise ValueError(
                    f"dtype from input tensor is different from the input param. Input tensor dtype: {inputs.dtype}, dtype: {dtype}"
                )
            batch_size = batch or shape_of(inputs)[0]
            dtype = inputs.dtype
        if batch_size is None or dtype is None:
            raise ValueError(
                f"batch_size and dtype cannot be None while constructing initial state: batch_size={batch_size}, dtype={dtype}"
            )
        return self.zero_state(batch_size, dtype)

    def zero_state(self, batch_size, dtype):
        """Zeros [batch_size, size] for every size in `state_size`."""
        with name_scope(type(self).__name__ + "ZeroState", values=[batch_size]):
            return zero_state_of(self.state_size, batch_size, dtype)


class OneState:
    """Of a cell whose state is as wide as its output: `_num_units`."""

    _num_units: int

    @property
    def state_size(self):
        """The number of units."""
        return self._num_units

    @property
    def output_size(self):
        """The number of units."""
        return self._num_units


class LayerRNNCell(RNNCell):
    """A cell that makes its variables in `build`, like any layer."""

    def __call__(self, inputs, state, scope=None, *args, **kwargs):
        return Layer.__call__(self, inputs, state, *args, scope=scope, **kwargs)


def depth_of(inputs_shape: Any) -> int:
    """The last size of an input's shape; ValueError where it is not known."""
    depth = as_shape(inputs_shape)[-1].value
    if depth is None:
        raise ValueError(f"Expected inputs.shape[-1] to be known, saw shape: {inputs_shape}")
    return int(depth)
