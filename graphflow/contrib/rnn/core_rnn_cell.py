"""Cells that embed or project what another cell gets or gives, and the linear map that many cells of tf.contrib.rnn share."""

from __future__ import annotations

import math
from typing import Any

from graphflow import nest
from graphflow.compat.logging import warn
from graphflow.dtypes import int32
from graphflow.graph.build import name_scope
from graphflow.graph.scopes import device
from graphflow.nn.embedding import embedding_lookup
from graphflow.ops.initializers import constant_initializer, random_uniform_initializer
from graphflow.ops.joining import concat
from graphflow.ops.matmul import bias_add, matmul
from graphflow.ops.reshape import reshape
from graphflow.ops.source import constant
from graphflow.ops.variable_scope import get_variable, get_variable_scope, variable_scope
from graphflow.rnn.base import RNNCell, assert_like_rnncell
from graphflow.rnn.cells import BIAS, KERNEL, BasicLSTMCell, BasicRNNCell, GRUCell, LSTMCell, LSTMStateTuple
from graphflow.rnn.wrappers import DeviceWrapper, DropoutWrapper, MultiRNNCell, ResidualWrapper

__all__ = [
    "BasicLSTMCell", "BasicRNNCell", "DeviceWrapper", "DropoutWrapper", "EmbeddingWrapper", "GRUCell", "InputProjectionWrapper",
    "LSTMCell", "LSTMStateTuple", "MultiRNNCell", "OutputProjectionWrapper", "RNNCell", "ResidualWrapper",
]  # fmt: skip


def _rows(args: list[Any]) -> int:
    """The sizes of all [batch, n] together."""
    shapes = [a.shape for a in args]
    for shape in shapes:
        if shape.ndims != 2:
            raise ValueError(f"linear is expecting 2D arguments: {shapes}")
        if shape[1].value is None:
            raise ValueError(f"linear expects shape[1] to be provided for shape {shape}, but saw {shape[1]}")
    return sum(shape[1].value for shape in shapes)


def _listed(args: Any) -> list[Any]:
    if args is None or (nest.is_nested(args) and not args):
        raise ValueError("`args` must be specified")
    return list(args) if nest.is_nested(args) else [args]


def _biases(scope: Any, output_size: int, dtype: Any, initializer: Any) -> Any:
    with variable_scope(scope) as inner:
        inner.set_partitioner(None)
        return get_variable(BIAS, [output_size], dtype=dtype, initializer=initializer or constant_initializer(0.0, dtype=dtype))


class _Linear:
    """concat(args) @ kernel [+ bias], args [batch, n]; the variables are made at once, in the current scope."""

    def __init__(self, args, output_size, build_bias, bias_initializer=None, kernel_initializer=None):
        self._build_bias = build_bias
        self._is_sequence = nest.is_nested(args)
        args = _listed(args)
        rows, dtype = _rows(args), args[0].dtype
        with variable_scope(get_variable_scope()) as scope:
            self._weights = get_variable(KERNEL, [rows, output_size], dtype=dtype, initializer=kernel_initializer)
            if build_bias:
                self._biases = _biases(scope, output_size, dtype, bias_initializer)

    def __call__(self, args):
        args = args if self._is_sequence else [args]
        joined = args[0] if len(args) == 1 else concat(args, constant(1, int32))
        result = matmul(joined, self._weights)
        return bias_add(result, self._biases) if self._build_bias else result


def _linear(args, output_size, bias, bias_initializer=None, kernel_initializer=None):
    """concat(args) @ kernel [+ bias] with variables of the current scope, found or made."""
    args = _listed(args)
    rows, dtype = _rows(args), args[0].dtype
    with variable_scope(get_variable_scope()) as scope:
        weights = get_variable(KERNEL, [rows, output_size], dtype=dtype, initializer=kernel_initializer)
        result = matmul(args[0] if len(args) == 1 else concat(args, 1), weights)
        return bias_add(result, _biases(scope, output_size, dtype, bias_initializer)) if bias else result


class _Around(RNNCell):
    """A cell whose `call` uses another cell, with that cell's state."""

    def __init__(self, cell: Any, reuse: Any) -> None:
        super().__init__(_reuse=reuse)
        assert_like_rnncell("cell", cell)
        self._cell = cell

    @property
    def state_size(self):
        """That of the cell inside."""
        return self._cell.state_size

    @property
    def output_size(self):
        """That of the cell inside."""
        return self._cell.output_size

    def zero_state(self, batch_size, dtype):
        """The zero state of the cell inside."""
        with name_scope(type(self).__name__ + "ZeroState", values=[batch_size]):
            return self._cell.zero_state(batch_size, dtype)


class EmbeddingWrapper(_Around):
    """A cell on numbers [batch] or [batch, 1] in place of vectors: rows of the variable embedding [classes, size]."""

    def __init__(self, cell, embedding_classes, embedding_size, initializer=None, reuse=None):
        super().__init__(cell, reuse)
        if embedding_classes <= 0 or embedding_size <= 0:
            raise ValueError(f"Both embedding_classes and embedding_size must be > 0: {embedding_classes}, {embedding_size}.")
        self._embedding_classes = embedding_classes
        self._embedding_size = embedding_size
        self._initializer = initializer

    def call(self, inputs, state):
        """The cell's output and next state."""
        with device("/cpu:0"):
            bound = math.sqrt(3)  # uniform numbers in [-bound, bound] have the variance 1
            initializer = self._initializer or get_variable_scope().initializer or random_uniform_initializer(-bound, bound)
            dtype = (state[0] if isinstance(state, tuple) else state).dtype
            table = get_variable("embedding", [self._embedding_classes, self._embedding_size], initializer=initializer, dtype=dtype)
            return self._cell(embedding_lookup(table, reshape(inputs, [-1])), state)


class InputProjectionWrapper(_Around):
    """A cell on inputs @ kernel + bias, [batch, num_proj]."""

    def __init__(self, cell, num_proj, activation=None, input_size=None, reuse=None):
        super().__init__(cell, reuse)
        if input_size is not None:
            warn("%s: The input_size parameter is deprecated.", self)
        self._num_proj = num_proj
        self._activation = activation
        self._linear = None

    def call(self, inputs, state):
        """The cell's output and next state."""
        if self._linear is None:
            self._linear = _Linear(inputs, self._num_proj, True)
        projected = self._linear(inputs)
        return self._cell(self._activation(projected) if self._activation else projected, state)


class OutputProjectionWrapper(_Around):
    """A cell with the output cell_output @ kernel + bias, [batch, output_size]."""

    def __init__(self, cell, output_size, activation=None, reuse=None):
        super().__init__(cell, reuse)
        if output_size < 1:
            raise ValueError(f"Parameter output_size must be > 0: {output_size}.")
        self._output_size = output_size
        self._activation = activation
        self._linear = None

    @property
    def output_size(self):
        """The size after the projection."""
        return self._output_size

    def call(self, inputs, state):
        """The projected output and the cell's next state."""
        output, state = self._cell(inputs, state)
        if self._linear is None:
            self._linear = _Linear(output, self._output_size, True)
        projected = self._linear(output)
        return self._activation(projected) if self._activation else projected, state
