"""The cells of tf.nn.rnn_cell: plain, gated (GRU) and long short-term memory (LSTM)."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

from graphflow import nest
from graphflow.compat.logging import warn
from graphflow.dtypes import int32
from graphflow.layers.base import InputSpec, activation_of, initializer_of
from graphflow.ops.activation import sigmoid, tanh
from graphflow.ops.arithmetic import add, multiply
from graphflow.ops.clip import clip_by_value
from graphflow.ops.initializers import constant_initializer, zeros_initializer
from graphflow.ops.joining import concat, split
from graphflow.ops.matmul import bias_add, matmul
from graphflow.ops.partitioners import fixed_size_partitioner
from graphflow.ops.slicing import slice as slice_of
from graphflow.ops.source import constant
from graphflow.rnn.base import LayerRNNCell, OneState, check_floating, depth_of

KERNEL, BIAS = "kernel", "bias"


def check_inputs(inputs: Any, state: Any) -> None:
    """ValueError unless inputs and state are of types that cells can compute with."""
    check_floating(*(t.dtype for t in nest.flatten([inputs, state])))


class _Cell(OneState, LayerRNNCell):
    """A cell of `num_units` on inputs [batch, depth], with an activation."""

    def __init__(self, num_units: Any, activation: Any, reuse: Any, name: Any, dtype: Any, kwargs: dict[str, Any]) -> None:
        super().__init__(_reuse=reuse, name=name, dtype=dtype, **kwargs)
        check_floating(self.dtype)
        self.input_spec = InputSpec(ndim=2)
        self._num_units = num_units
        self._activation = activation_of(activation) if activation else tanh

    def _depth(self, inputs_shape: Any) -> int:
        depth = depth_of(inputs_shape)
        check_floating(self.dtype)
        return depth


class BasicRNNCell(_Cell):
    """output = state = activation([inputs, state] @ kernel + bias)

    Variables: kernel [depth + num_units, num_units], bias [num_units].
    """

    def __init__(self, num_units, activation=None, reuse=None, name=None, dtype=None, **kwargs):
        super().__init__(num_units, activation, reuse, name, dtype, kwargs)

    def build(self, inputs_shape):
        """Makes kernel and bias."""
        units = self._num_units
        self._kernel = self.add_weight(KERNEL, [self._depth(inputs_shape) + units, units])
        self._bias = self.add_weight(BIAS, [units], initializer=zeros_initializer(dtype=self.dtype))
        self.built = True

    def call(self, inputs, state):
        """The output twice: it is the next state."""
        check_inputs(inputs, state)
        output = self._activation(bias_add(matmul(concat([inputs, state], 1), self._kernel), self._bias))
        return output, output


class GRUCell(_Cell):
    """Gated recurrent unit (Cho et al. 2014, arXiv:1406.1078), with the reset gate before the product.

        r, u = sigmoid([inputs, state] @ gates/kernel + gates/bias)
        c = activation([inputs, r * state] @ candidate/kernel + candidate/bias)
        output = state = u * state + (1 - u) * c

    Variables: gates/kernel [depth + n, 2n], gates/bias [2n] (ones at first), candidate/kernel [depth + n, n], candidate/bias [n].
    """

    def __init__(self, num_units, activation=None, reuse=None, kernel_initializer=None, bias_initializer=None, name=None, dtype=None,
                 **kwargs):  # fmt: skip
        super().__init__(num_units, activation, reuse, name, dtype, kwargs)
        self._kernel_initializer = initializer_of(kernel_initializer)
        self._bias_initializer = initializer_of(bias_initializer)

    def build(self, inputs_shape):
        """Makes the kernels and biases."""
        rows, units, given = self._depth(inputs_shape) + self._num_units, self._num_units, self._bias_initializer
        ones, zeros = given or constant_initializer(1.0, dtype=self.dtype), given or zeros_initializer(dtype=self.dtype)
        self._gate_kernel = self.add_weight(f"gates/{KERNEL}", [rows, 2 * units], initializer=self._kernel_initializer)
        self._gate_bias = self.add_weight(f"gates/{BIAS}", [2 * units], initializer=ones)
        self._candidate_kernel = self.add_weight(f"candidate/{KERNEL}", [rows, units], initializer=self._kernel_initializer)
        self._candidate_bias = self.add_weight(f"candidate/{BIAS}", [units], initializer=zeros)
        self.built = True

    def call(self, inputs, state):
        """The output twice: it is the next state."""
        check_inputs(inputs, state)
        gates = sigmoid(bias_add(matmul(concat([inputs, state], 1), self._gate_kernel), self._gate_bias))
        r, u = split(value=gates, num_or_size_splits=2, axis=1)
        candidate = bias_add(matmul(concat([inputs, r * state], 1), self._candidate_kernel), self._candidate_bias)
        c = self._activation(candidate)
        output = u * state + (1 - u) * c
        return output, output


class LSTMStateTuple(namedtuple("LSTMStateTuple", ("c", "h"))):
    """The state of an LSTM: the memory `c`, then the output `h`."""

    __slots__ = ()

    @property
    def dtype(self):
        """The type of both; TypeError where they differ."""
        if self.c.dtype != self.h.dtype:
            raise TypeError(f"Inconsistent internal state: {self.c.dtype} vs {self.h.dtype}")
        return self.c.dtype


class BasicLSTMCell(_Cell):
    """Long short-term memory (Zaremba et al. 2014, arXiv:1409.2329).

        i, j, f, o = [inputs, h] @ kernel + bias
        c = c * sigmoid(f + forget_bias) + sigmoid(i) * activation(j)
        output = h = activation(c) * sigmoid(o)

    Variables: kernel [depth + n, 4n], bias [4n]. The state is an LSTMStateTuple, or with `state_is_tuple=False` [batch, 2n].
    """

    def __init__(self, num_units, forget_bias=1.0, state_is_tuple=True, activation=None, reuse=None, name=None, dtype=None, **kwargs):
        super().__init__(num_units, activation, reuse, name, dtype, kwargs)
        if not state_is_tuple:
            warn("%s: Using a concatenated state is slower and will soon be deprecated.  Use state_is_tuple=True.", self)
        self._forget_bias = forget_bias
        self._state_is_tuple = state_is_tuple

    @property
    def state_size(self):
        """An LSTMStateTuple of sizes, or both together."""
        units = self._num_units
        return LSTMStateTuple(units, units) if self._state_is_tuple else 2 * units

    def build(self, inputs_shape):
        """Makes kernel and bias."""
        units = self._num_units
        self._kernel = self.add_weight(KERNEL, [self._depth(inputs_shape) + units, 4 * units])
        self._bias = self.add_weight(BIAS, [4 * units], initializer=zeros_initializer(dtype=self.dtype))
        self.built = True

    def call(self, inputs, state):
        """The output and the next state."""
        check_inputs(inputs, state)
        one = constant(1, int32)
        c, h = state if self._state_is_tuple else split(value=state, num_or_size_splits=2, axis=one)
        gates = bias_add(matmul(concat([inputs, h], 1), self._kernel), self._bias)
        i, j, f, o = split(value=gates, num_or_size_splits=4, axis=one)
        forget_bias = constant(self._forget_bias, dtype=f.dtype)
        new_c = add(multiply(c, sigmoid(add(f, forget_bias))), multiply(sigmoid(i), self._activation(j)))
        new_h = multiply(self._activation(new_c), sigmoid(o))
        return new_h, LSTMStateTuple(new_c, new_h) if self._state_is_tuple else concat([new_c, new_h], 1)


class LSTMCell(_Cell):
    """Long short-term memory with all its options (Hochreiter & Schmidhuber 1997; Sak et al. 2014 for peepholes and projection).

        i, j, f, o = [inputs, m] @ kernel + bias
        c = sigmoid(f + forget_bias [+ w_f_diag * c]) * c + sigmoid(i [+ w_i_diag * c]) * activation(j)
        output = m = sigmoid(o [+ w_o_diag * c]) * activation(c) [@ projection/kernel]

    `cell_clip` and `proj_clip` bound c and the projected output to [-clip, clip]. With `num_proj` the output, and the second part
    of the state, have that size. `num_unit_shards` and `num_proj_shards` split the kernels by rows.
    """

    def __init__(self, num_units, use_peepholes=False, cell_clip=None, initializer=None, num_proj=None, proj_clip=None,
                 num_unit_shards=None, num_proj_shards=None, forget_bias=1.0, state_is_tuple=True, activation=None, reuse=None, name=None,
                 dtype=None, **kwargs):  # fmt: skip
        super().__init__(num_units, activation, reuse, name, dtype, kwargs)
        if not state_is_tuple:
            warn("%s: Using a concatenated state is slower and will soon be deprecated.  Use state_is_tuple=True.", self)
        self._use_peepholes = use_peepholes
        self._cell_clip = cell_clip
        self._initializer = initializer_of(initializer)
        self._num_proj = num_proj
        self._proj_clip = proj_clip
        self._num_unit_shards = num_unit_shards
        self._num_proj_shards = num_proj_shards
        self._forget_bias = forget_bias
        self._state_is_tuple = state_is_tuple
        self._output_size = num_proj or num_units

    @property
    def state_size(self):
        """An LSTMStateTuple of sizes, or both together."""
        sizes = LSTMStateTuple(self._num_units, self._output_size)
        return sizes if self._state_is_tuple else sum(sizes)

    @property
    def output_size(self):
        """num_proj, or the number of units."""
        return self._output_size

    def build(self, inputs_shape):
        """Makes kernel and bias, and what peepholes and projection need."""
        depth, units = self._depth(inputs_shape), self._num_units
        self._kernel = self.add_weight(
            KERNEL, [depth + (units if self._num_proj is None else self._num_proj), 4 * units], initializer=self._initializer,
            partitioner=_shards(self._num_unit_shards),
        )  # fmt: skip
        self._bias = self.add_weight(BIAS, [4 * units], initializer=zeros_initializer(dtype=self.dtype))
        if self._use_peepholes:
            self._w_f_diag, self._w_i_diag, self._w_o_diag = (
                self.add_weight(name, [units], initializer=self._initializer) for name in ("w_f_diag", "w_i_diag", "w_o_diag")
            )
        if self._num_proj is not None:
            self._proj_kernel = self.add_weight(
                f"projection/{KERNEL}", [units, self._num_proj], initializer=self._initializer, partitioner=_shards(self._num_proj_shards)
            )
        self.built = True

    def _halves(self, state: Any) -> tuple[Any, Any]:
        if self._state_is_tuple:
            c, m = state
            return c, m
        units = self._num_units
        width = units if self._num_proj is None else self._num_proj
        return slice_of(state, [0, 0], [-1, units]), slice_of(state, [0, units], [-1, width])

    def call(self, inputs, state):
        """The output and the next state."""
        check_inputs(inputs, state)
        c_prev, m_prev = self._halves(state)
        if inputs.shape.with_rank(2)[1].value is None:
            raise ValueError("Could not infer input size from inputs.get_shape()[-1]")
        gates = bias_add(matmul(concat([inputs, m_prev], 1), self._kernel), self._bias)
        i, j, f, o = split(value=gates, num_or_size_splits=4, axis=1)
        if self._use_peepholes:
            kept = sigmoid(f + self._forget_bias + self._w_f_diag * c_prev) * c_prev
            c = kept + sigmoid(i + self._w_i_diag * c_prev) * self._activation(j)
        else:
            kept = sigmoid(f + self._forget_bias) * c_prev
            c = kept + sigmoid(i) * self._activation(j)
        if self._cell_clip is not None:
            c = clip_by_value(c, -self._cell_clip, self._cell_clip)
        m = sigmoid(o + self._w_o_diag * c if self._use_peepholes else o) * self._activation(c)
        if self._num_proj is not None:
            m = matmul(m, self._proj_kernel)
            if self._proj_clip is not None:
                m = clip_by_value(m, -self._proj_clip, self._proj_clip)
        return m, LSTMStateTuple(c, m) if self._state_is_tuple else concat([c, m], 1)


def _shards(count: int | None) -> Any:
    return None if count is None else fixed_size_partitioner(count)
