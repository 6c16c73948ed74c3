"""tf.contrib.cudnn_rnn: TensorFlow's layers for recurrent nets on NVIDIA's library, here made of the cells that compute the same.

TensorFlow keeps the weights of such a layer in one opaque variable and writes them to checkpoints under the names that the cells would
have. Here they are those variables, so checkpoints go both ways.
"""

from __future__ import annotations

from typing import Any

from graphflow.contrib.rnn.fused import LSTMBlockCell
from graphflow.dtypes import float16, float32, float64
from graphflow.graph.build import convert_to_tensor
from graphflow.layers.base import InputSpec, Layer
from graphflow.layers.conditional import smart_cond
from graphflow.missing import names_of
from graphflow.nn.dropout import dropout_v2
from graphflow.ops.activation import relu, sigmoid, tanh
from graphflow.ops.initializers import constant_initializer, glorot_uniform_initializer, zeros_initializer
from graphflow.ops.joining import concat, split, stack
from graphflow.ops.matmul import bias_add, matmul
from graphflow.ops.shape import shape as shape_of
from graphflow.ops.source import zeros
from graphflow.ops.variable_scope import variable_scope
from graphflow.rnn.base import depth_of
from graphflow.rnn.cells import BIAS, KERNEL, BasicRNNCell, GRUCell, LSTMStateTuple
from graphflow.rnn.dynamic import bidirectional_dynamic_rnn, dynamic_rnn

__all__ = ["CudnnCompatibleGRUCell", "CudnnCompatibleLSTMCell", "CudnnGRU", "CudnnLSTM", "CudnnRNNRelu", "CudnnRNNTanh"]

UNIDIRECTIONAL, BIDIRECTIONAL = "unidirectional", "bidirectional"


class CudnnCompatibleLSTMCell(LSTMBlockCell):
    """The cell of CudnnLSTM: an LSTM without forget bias, clipping or peepholes."""

    def __init__(self, num_units, reuse=None):
        super().__init__(num_units, forget_bias=0, cell_clip=None, use_peephole=False, reuse=reuse, name="cudnn_compatible_lstm_cell")


class CudnnCompatibleGRUCell(GRUCell):
    """The cell of CudnnGRU: a GRU whose reset gate stands after the product.

        c = activation(inputs @ Wi + bi + r * (state @ Wh + bh))

    Variables: gates/kernel, gates/bias as in GRUCell, and kernel and bias in candidate/input_projection and
    candidate/hidden_projection.
    """

    def __init__(self, num_units, reuse=None, kernel_initializer=None):
        super().__init__(num_units, activation=None, reuse=reuse, kernel_initializer=kernel_initializer)

    def build(self, inputs_shape):
        """Makes the kernels and biases."""
        depth, units, given = depth_of(inputs_shape), self._num_units, self._bias_initializer
        ones, none = given or constant_initializer(1.0, dtype=self.dtype), given or zeros_initializer(dtype=self.dtype)
        self._gate_kernel = self.add_weight(f"gates/{KERNEL}", [depth + units, 2 * units], initializer=self._kernel_initializer)
        self._gate_bias = self.add_weight(f"gates/{BIAS}", [2 * units], initializer=ones)
        self._input_kernel, self._hidden_kernel = (
            self.add_weight(f"candidate/{part}_projection/{KERNEL}", [rows, units], initializer=self._kernel_initializer)
            for part, rows in (("input", depth), ("hidden", units))
        )
        self._input_bias, self._hidden_bias = (
            self.add_weight(f"candidate/{part}_projection/{BIAS}", [units], initializer=none) for part in ("input", "hidden")
        )
        self.built = True

    def call(self, inputs, state):
        """The output twice: it is the next state."""
        gates = sigmoid(bias_add(matmul(concat([inputs, state], 1), self._gate_kernel), self._gate_bias))
        r, u = split(value=gates, num_or_size_splits=2, axis=1)
        candidate = bias_add(matmul(inputs, self._input_kernel), self._input_bias)
        candidate += r * bias_add(matmul(state, self._hidden_kernel), self._hidden_bias)
        output = (1 - u) * self._activation(candidate) + u * state
        return output, output


class _CudnnRNN(Layer):
    """Layers of one kind of cell over inputs [time, batch, depth], or [batch, time, depth] without `time_major`.

    A call gives the outputs [time, batch, units * directions] and the last states: a tuple of tensors [layers * directions, batch, units],
    (h, c) for an LSTM and (h,) for the others. `dropout` is applied between layers while `training`.
    """

    def __init__(self, num_layers, num_units, input_mode="linear_input", direction=UNIDIRECTIONAL, dropout=0.0, seed=None, dtype=float32,
                 kernel_initializer=None, bias_initializer=None, name=None):  # fmt: skip
        super().__init__(dtype=dtype, name=name)
        if direction not in (UNIDIRECTIONAL, BIDIRECTIONAL):
            raise ValueError(f"Invalid direction: {direction}, expecting {UNIDIRECTIONAL} or {BIDIRECTIONAL}")
        if input_mode not in ("linear_input", "skip_input", "auto_select"):
            raise ValueError(f"Invalid input_mode: {input_mode}, expect one of linear_input, skip_input, auto_select")
        if dtype not in (float16, float32, float64):
            raise ValueError(f"Only support float16, float32, float64, provided {dtype}")
        self._num_layers = num_layers
        self._num_units = num_units
        self._input_mode = input_mode
        self._direction = direction
        self._dropout = dropout
        self._seed = seed
        self._kernel_initializer = kernel_initializer
        self._bias_initializer = bias_initializer
        self._input_size: int | None = None
        self._cells: list[Any] = []

    def _cell(self) -> Any:
        raise NotImplementedError

    @property
    def num_layers(self):
        """The number of layers."""
        return self._num_layers

    @property
    def num_units(self):
        """The number of units of each layer and direction."""
        return self._num_units

    @property
    def input_mode(self):
        """How inputs come in: by a product."""
        return self._input_mode

    @property
    def input_size(self):
        """The depth of the inputs."""
        if not self._input_size:
            raise ValueError("'input_size' is unknown since layer has not been built.")
        return self._input_size

    @property
    def direction(self):
        """unidirectional or bidirectional"""
        return self._direction

    @property
    def num_dirs(self):
        """The number of directions."""
        return 1 if self._direction == UNIDIRECTIONAL else 2

    @property
    def trainable_weights(self):
        """The variables of the cells."""
        return [w for cell in self._cells for w in cell.trainable_weights]

    def build(self, input_shape):
        """Makes the cells."""
        if input_shape.ndims != 3:
            raise ValueError(f"Expecting input_shape with 3 dims, got {input_shape.ndims}")
        self._input_size = input_shape[-1].value
        if self._input_size is None:
            raise ValueError("The last dimension of the inputs to `CudnnRNN` should be defined. Found `None`.")
        if self._input_mode == "skip_input" or (self._input_mode == "auto_select" and self._input_size == self._num_units):
            raise NotImplementedError(f"{type(self).__name__} with input_mode='skip_input', inputs without weights")
        self.input_spec = InputSpec(ndim=3, axes={-1: self._input_size})
        self._cells = [self._cell() for _ in range(self._num_layers * self.num_dirs)]
        self.built = True

    def state_shape(self, batch_size):
        """The shapes of the states."""
        return ([self._num_layers * self.num_dirs, batch_size, self._num_units],)

    def _first(self, initial_state: Any, number: int) -> Any:
        return initial_state[0][number]

    def _parts(self, state: Any) -> tuple[Any, ...]:
        return (state,)

    def call(self, inputs, initial_state=None, sequence_lengths=None, time_major=True, training=True):
        """The outputs and the last states."""
        if initial_state is not None and not isinstance(initial_state, tuple):
            raise TypeError(f"Invalid initial_state type: {initial_state}, expecting tuple.")
        outputs = convert_to_tensor(inputs, dtype=self.dtype)
        batch_size = shape_of(outputs)[1 if time_major else 0]
        if initial_state is None:
            initial_state = tuple(zeros(shape, dtype=self.dtype) for shape in self.state_shape(batch_size))
        initial_state = tuple(convert_to_tensor(part, dtype=self.dtype) for part in initial_state)
        initializer = self._kernel_initializer or glorot_uniform_initializer(seed=self._seed, dtype=self.dtype)
        last = []
        for layer in range(self._num_layers):
            if layer and self._dropout:
                outputs = self._dropped(outputs, training)
            given = {"sequence_length": sequence_lengths, "time_major": time_major}
            with variable_scope(self._scope, initializer=initializer, custom_getter=self._getter, auxiliary_name_scope=False):
                if self.num_dirs == 1:
                    outputs, state = dynamic_rnn(
                        self._cells[layer], outputs, initial_state=self._first(initial_state, layer),
                        scope=f"rnn/multi_rnn_cell/cell_{layer}", **given,
                    )  # fmt: skip
                    last.append(state)
                else:
                    forward, backward = self._cells[2 * layer : 2 * layer + 2]
                    pair, states = bidirectional_dynamic_rnn(
                        forward, backward, outputs, initial_state_fw=self._first(initial_state, 2 * layer),
                        initial_state_bw=self._first(initial_state, 2 * layer + 1),
                        scope=f"stack_bidirectional_rnn/cell_{layer}/bidirectional_rnn", **given,
                    )  # fmt: skip
                    outputs = concat(pair, 2)
                    last.extend(states)
        return outputs, tuple(stack(parts) for parts in zip(*(self._parts(state) for state in last), strict=True))

    def _getter(self, getter: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        """Biases begin as this layer says, whatever the cell's own default."""
        if name.endswith(BIAS):
            kwargs["initializer"] = self._bias_initializer or zeros_initializer(dtype=self.dtype)
        return getter(name, *args, **kwargs)

    def _dropped(self, outputs: Any, training: Any) -> Any:
        return smart_cond(training, lambda: dropout_v2(outputs, rate=self._dropout, seed=self._seed), lambda: outputs)


class CudnnLSTM(_CudnnRNN):
    """Layers of LSTM cells, without forget bias."""

    def _cell(self) -> Any:
        return CudnnCompatibleLSTMCell(self._num_units)

    def state_shape(self, batch_size):
        """The shapes of h and c."""
        return super().state_shape(batch_size) * 2

    def _first(self, initial_state: Any, number: int) -> Any:
        h, c = initial_state
        return LSTMStateTuple(c[number], h[number])

    def _parts(self, state: Any) -> tuple[Any, ...]:
        return (state.h, state.c)


class CudnnGRU(_CudnnRNN):
    """Layers of GRU cells, the reset gate after the product."""

    def _cell(self) -> Any:
        return CudnnCompatibleGRUCell(self._num_units)


class CudnnRNNTanh(_CudnnRNN):
    """Layers of plain cells with tanh."""

    def _cell(self) -> Any:
        return BasicRNNCell(self._num_units, activation=tanh)


class CudnnRNNRelu(_CudnnRNN):
    """Layers of plain cells with relu."""

    def _cell(self) -> Any:
        return BasicRNNCell(self._num_units, activation=relu)


globals()["__getattr__"] = names_of("contrib.cudnn_rnn")
