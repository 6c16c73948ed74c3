"""Cells that are one op, and nets that take a whole sequence at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from graphflow.dtypes import as_dtype
from graphflow.graph.build import convert_to_tensor, make
from graphflow.layers.base import InputSpec, Layer
from graphflow.ops.choose import sequence_mask
from graphflow.ops.gather import gather_nd, reverse_sequence
from graphflow.ops.initializers import constant_initializer
from graphflow.ops.joining import concat, stack, tile, unstack
from graphflow.ops.ranges import range as range_of
from graphflow.ops.reshape import expand_dims, reverse, transpose
from graphflow.ops.shape import shape as shape_of
from graphflow.ops.source import zeros
from graphflow.rnn.base import LayerRNNCell
from graphflow.rnn.cells import LSTMStateTuple
from graphflow.rnn.dynamic import dynamic_rnn
from graphflow.rnn.static import static_rnn


class _BlockLSTM:
    """The variables of a block LSTM and its step; the layer that has it gives `add_weight`."""

    def __init__(self, num_units: int, forget_bias: float, cell_clip: float | None, use_peephole: bool) -> None:
        self.num_units, self.forget_bias, self.use_peephole = num_units, forget_bias, use_peephole
        self.cell_clip = -1 if cell_clip is None else cell_clip

    def build(self, layer: Layer, depth: int) -> None:
        """Makes the variables."""
        n = self.num_units
        self.kernel = layer.add_weight("kernel", [depth + n, 4 * n])
        self.bias = layer.add_weight("bias", [4 * n], initializer=constant_initializer(0.0))
        if self.use_peephole:
            self.w_i, self.w_f, self.w_o = (layer.add_weight(f"w_{gate}_diag", [n]) for gate in "ifo")

    def step(self, inputs: Any, c: Any, h: Any) -> tuple[Any, Any]:
        """The next memory and output."""
        if self.use_peephole:
            peepholes = self.w_i, self.w_f, self.w_o
        else:
            peepholes = (zeros([self.num_units], dtype=self.kernel.dtype.base_dtype),) * 3
        _, c, _, _, _, _, h = make(
            "LSTMBlockCell", inputs, c, h, self.kernel, *peepholes, self.bias,
            forget_bias=self.forget_bias, cell_clip=self.cell_clip, use_peephole=self.use_peephole,
        )  # fmt: skip
        return c, h


class LSTMBlockCell(LayerRNNCell):
    """The LSTM of `tf.nn.rnn_cell.LSTMCell` with the arithmetic of TensorFlow's LSTMBlockCell op. The state is an LSTMStateTuple.

    Variables: kernel [depth + n, 4n], bias [4n], with peepholes w_i_diag, w_f_diag, w_o_diag [n].
    """

    def __init__(self, num_units, forget_bias=1.0, cell_clip=None, use_peephole=False, dtype=None, reuse=None, name="lstm_cell"):
        super().__init__(_reuse=reuse, dtype=dtype, name=name)
        self._block = _BlockLSTM(num_units, forget_bias, cell_clip, use_peephole)
        self.input_spec = InputSpec(ndim=2)

    @property
    def state_size(self):
        """An LSTMStateTuple of sizes."""
        return LSTMStateTuple(self._block.num_units, self._block.num_units)

    @property
    def output_size(self):
        """The number of units."""
        return self._block.num_units

    def build(self, inputs_shape):
        """Makes the variables."""
        if not inputs_shape[1].value:
            raise ValueError(f"Expecting inputs_shape[1] to be set: {inputs_shape}")
        self._block.build(self, inputs_shape[1].value)
        self.built = True

    def call(self, inputs, state):
        """The output and the next state."""
        if len(state) != 2:
            raise ValueError("Expecting state to be a tuple with length 2.")
        c, h = self._block.step(inputs, *state)
        return h, LSTMStateTuple(c, h)


class GRUBlockCell(LayerRNNCell):
    """The GRU of `tf.nn.rnn_cell.GRUCell` with other names of variables: w_ru, b_ru, w_c, b_c."""

    _NAMES = ("w_ru", "b_ru", "w_c", "b_c")

    def __init__(self, num_units=None, cell_size=None, reuse=None, name="gru_cell"):
        super().__init__(_reuse=reuse, name=name)
        if (cell_size is None) == (num_units is None):
            raise ValueError("Exactly one of num_units or cell_size must be provided.")
        self._cell_size = cell_size if num_units is None else num_units
        self.input_spec = InputSpec(ndim=2)

    @property
    def state_size(self):
        """The number of units."""
        return self._cell_size

    @property
    def output_size(self):
        """The number of units."""
        return self._cell_size

    def build(self, input_shape):
        """Makes the variables."""
        depth, n = input_shape[1].value, self._cell_size
        if depth is None:
            raise ValueError("Expecting input_size to be set.")
        gate_kernel, gate_bias, candidate_kernel, candidate_bias = self._NAMES
        self._gate_kernel = self.add_weight(gate_kernel, [depth + n, 2 * n])
        self._gate_bias = self.add_weight(gate_bias, [2 * n], initializer=constant_initializer(1.0))
        self._candidate_kernel = self.add_weight(candidate_kernel, [depth + n, n])
        self._candidate_bias = self.add_weight(candidate_bias, [n], initializer=constant_initializer(0.0))
        self.built = True

    def call(self, inputs, h_prev):
        """The output twice: it is the next state."""
        size = h_prev.shape.with_rank(2)[1]
        if size != self._cell_size:
            raise ValueError(f"Shape of h_prev[1] incorrect: cell_size {self._cell_size} vs {size}")
        kernels, biases = (self._gate_kernel, self._candidate_kernel), (self._gate_bias, self._candidate_bias)
        _, _, _, h = make("GRUBlockCell", inputs, h_prev, *kernels, *biases)
        return h, h


class GRUBlockCellV2(GRUBlockCell):
    """GRUBlockCell with the names of `tf.nn.rnn_cell.GRUCell`."""

    _NAMES = ("gates/kernel", "gates/bias", "candidate/kernel", "candidate/bias")


class LSTMBlockWrapper(Layer, ABC):
    """Base of LSTM layers on whole sequences [time, batch, depth]; subclasses run the cell in `_call_cell`."""

    @property
    @abstractmethod
    def num_units(self):
        """The number of units."""

    @abstractmethod
    def _call_cell(self, inputs, initial_cell_state, initial_output, dtype, sequence_length):
        """The memories and outputs of all steps, both [time, batch, num_units]."""

    def call(self, inputs, initial_state=None, dtype=None, sequence_length=None):
        """The outputs [time, batch, num_units], or a list of them where `inputs` is a list, and the last state, an LSTMStateTuple.

        Without `initial_state`, (memory, output), the net starts from zeros of type `dtype`. Outputs past a row's `sequence_length` are
        zero, and its last state is the one at its length.
        """
        is_list = isinstance(inputs, list)
        if is_list:
            inputs = stack(inputs)
        sizes = inputs.shape.with_rank(3)
        if not sizes[2].value:
            raise ValueError(f"Expecting inputs_shape[2] to be set: {sizes}")
        batch_size = shape_of(inputs)[1] if sizes[1].value is None else sizes[1].value
        time_len = shape_of(inputs)[0] if sizes[0].value is None else sizes[0].value
        if initial_state is None:
            if dtype is None:
                raise ValueError("Either initial_state or dtype needs to be specified")
            zero = zeros(stack([batch_size, self.num_units]), dtype=dtype)
            initial_state = zero, zero
        elif len(initial_state) != 2:
            raise ValueError("Expecting initial_state to be a tuple with length 2 or None")
        first_memory, first_output = initial_state
        dtype = first_memory.dtype if dtype is None else as_dtype(dtype)
        lengths = None if sequence_length is None else convert_to_tensor(sequence_length)
        memories, outputs = self._call_cell(inputs, first_memory, first_output, dtype, lengths)
        if lengths is None:
            last = LSTMStateTuple(memories[-1], outputs[-1])
        else:
            mask = transpose(sequence_mask(lengths, time_len, dtype=dtype), [1, 0])
            outputs *= tile(expand_dims(mask, [-1]), [1, 1, self.num_units])
            # State k stands at place k: the first state has place 0, so that a row of length 0 keeps it.
            where = stack([lengths, range_of(batch_size)], axis=1)
            last = LSTMStateTuple(
                gather_nd(concat([expand_dims(first_memory, [0]), memories], 0), where),
                gather_nd(concat([expand_dims(first_output, [0]), outputs], 0), where),
            )
        return unstack(outputs) if is_list else outputs, last


class _MemoryToo(LayerRNNCell):
    """A block LSTM whose output is (memory, output)."""

    def __init__(self, block: _BlockLSTM) -> None:
        super().__init__()
        self._block = block

    @property
    def state_size(self):
        """An LSTMStateTuple of sizes."""
        return LSTMStateTuple(self._block.num_units, self._block.num_units)

    output_size = state_size

    def call(self, inputs, state):
        """The next state twice."""
        new = LSTMStateTuple(*self._block.step(inputs, *state))
        return new, new


class LSTMBlockFusedCell(LSTMBlockWrapper):
    """An LSTM over a whole sequence, with the arithmetic and the variables of LSTMBlockCell."""

    def __init__(self, num_units, forget_bias=1.0, cell_clip=None, use_peephole=False, reuse=None, dtype=None, name="lstm_fused_cell"):
        super().__init__(_reuse=reuse, name=name, dtype=dtype)
        self._block = _BlockLSTM(num_units, forget_bias, cell_clip, use_peephole)
        self.input_spec = InputSpec(ndim=3)

    @property
    def num_units(self):
        """The number of units."""
        return self._block.num_units

    def build(self, input_shape):
        """Makes the variables."""
        self._block.build(self, input_shape[2].value)
        self.built = True

    def _call_cell(self, inputs, initial_cell_state=None, initial_output=None, dtype=None, sequence_length=None):
        first = LSTMStateTuple(initial_cell_state, initial_output)
        outputs, _ = dynamic_rnn(_MemoryToo(self._block), inputs, initial_state=first, dtype=dtype, time_major=True)
        return outputs.c, outputs.h


class FusedRNNCell(ABC):
    """A recurrent net that takes a whole sequence: [time, batch, depth] or a list of [batch, depth]."""

    @abstractmethod
    def __call__(self, inputs, initial_state=None, dtype=None, sequence_length=None, scope=None):
        """The outputs, as a list where `inputs` is one, and the last state."""


class FusedRNNCellAdaptor(FusedRNNCell):
    """A cell as a net on whole sequences, unrolled or in a loop."""

    def __init__(self, cell, use_dynamic_rnn=False):
        self._cell = cell
        self._use_dynamic_rnn = use_dynamic_rnn

    def __call__(self, inputs, initial_state=None, dtype=None, sequence_length=None, scope=None):
        is_list = isinstance(inputs, list)
        given = {"sequence_length": sequence_length, "initial_state": initial_state, "dtype": dtype, "scope": scope}
        if self._use_dynamic_rnn:
            outputs, state = dynamic_rnn(self._cell, stack(inputs) if is_list else inputs, time_major=True, **given)
            return unstack(outputs) if is_list else outputs, state
        outputs, state = static_rnn(self._cell, inputs if is_list else unstack(inputs), **given)
        return outputs if is_list else stack(outputs), state


class TimeReversedFusedRNN(FusedRNNCell):
    """A net on whole sequences that reads them backwards."""

    def __init__(self, cell):
        self._cell = cell

    def _reverse(self, sequence: Any, lengths: Any) -> Any:
        if isinstance(sequence, list):
            return list(reversed(sequence))
        return reverse(sequence, [0]) if lengths is None else reverse_sequence(sequence, lengths, 0, 1)

    def __call__(self, inputs, initial_state=None, dtype=None, sequence_length=None, scope=None):
        outputs, state = self._cell(
            self._reverse(inputs, sequence_length), initial_state=initial_state, dtype=dtype, sequence_length=sequence_length, scope=scope
        )
        return self._reverse(outputs, sequence_length), state
