"""Further cells: LSTM with normalised layers, cells found by search, and cells between plain and gated ones."""

from __future__ import annotations

from typing import Any

from graphflow.compat.logging import warn
from graphflow.contrib.layers.normalization import layer_norm
from graphflow.contrib.rnn.core_rnn_cell import _Linear
from graphflow.dtypes import float32
from graphflow.nn.dropout import dropout
from graphflow.ops.activation import relu, sigmoid, tanh
from graphflow.ops.initializers import constant_initializer, zeros_initializer
from graphflow.ops.joining import concat, split
from graphflow.ops.matmul import bias_add, matmul
from graphflow.ops.variable_scope import get_variable, get_variable_scope, variable_scope
from graphflow.rnn.base import LayerRNNCell, OneState, RNNCell
from graphflow.rnn.cells import BIAS, KERNEL, LSTMStateTuple


def normalized(inputs: Any, scope: str, gain: float, shift: float, dtype: Any = float32) -> Any:
    """inputs normalised over their last dimension, with the variables `scope`/gamma and `scope`/beta."""
    size = inputs.shape[-1:]
    with variable_scope(scope):
        get_variable("gamma", shape=size, initializer=constant_initializer(gain), dtype=dtype)
        get_variable("beta", shape=size, initializer=constant_initializer(shift), dtype=dtype)
    return layer_norm(inputs, reuse=True, scope=scope)


class LayerNormBasicLSTMCell(RNNCell):
    """LSTM whose gates and memory are normalised (Ba et al. 2016, arXiv:1607.06450), with dropout of what is written to the memory
    (Semeniuta et al. 2016, arXiv:1603.05118).

    Variables: kernel [depth + n, 4n], gamma and beta [n] in input, transform, forget, output and state; bias [4n] where
    `layer_norm` is False.
    """

    def __init__(self, num_units, forget_bias=1.0, input_size=None, activation=tanh, layer_norm=True, norm_gain=1.0, norm_shift=0.0,
                 dropout_keep_prob=1.0, dropout_prob_seed=None, reuse=None):  # fmt: skip
        super().__init__(_reuse=reuse)
        if input_size is not None:
            warn("%s: The input_size parameter is deprecated.", self)
        self._num_units = num_units
        self._activation = activation
        self._forget_bias = forget_bias
        self._keep_prob = dropout_keep_prob
        self._seed = dropout_prob_seed
        self._layer_norm = layer_norm
        self._norm_gain = norm_gain
        self._norm_shift = norm_shift

    @property
    def state_size(self):
        """An LSTMStateTuple of sizes."""
        return LSTMStateTuple(self._num_units, self._num_units)

    @property
    def output_size(self):
        """The number of units."""
        return self._num_units

    def _norm(self, inputs: Any, scope: str) -> Any:
        if not self._layer_norm:
            return inputs
        return normalized(inputs, scope, self._norm_gain, self._norm_shift, inputs.dtype)

    def call(self, inputs, state):
        """The output and the next state."""
        c, h = state
        args = concat([inputs, h], 1)
        gates = matmul(args, get_variable(KERNEL, [args.shape[-1], 4 * self._num_units], dtype=args.dtype))
        if not self._layer_norm:
            gates = bias_add(gates, get_variable(BIAS, [4 * self._num_units], dtype=args.dtype))
        i, j, f, o = split(value=gates, num_or_size_splits=4, axis=1)
        i, j, f, o = self._norm(i, "input"), self._norm(j, "transform"), self._norm(f, "forget"), self._norm(o, "output")
        g = self._activation(j)
        if not isinstance(self._keep_prob, float) or self._keep_prob < 1:
            g = dropout(g, self._keep_prob, seed=self._seed)
        new_c = self._norm(c * sigmoid(f + self._forget_bias) + sigmoid(i) * g, "state")
        new_h = self._activation(new_c) * sigmoid(o)
        return new_h, LSTMStateTuple(new_c, new_h)


def _known_depth(inputs_shape: Any) -> int:
    depth = inputs_shape.with_rank(2)[1].value
    if depth is None:
        raise ValueError("Could not infer input size from inputs.get_shape()[-1]")
    return int(depth)


class NASCell(LayerRNNCell):
    """The cell of Zoph & Le 2017, arXiv:1611.01578. The state is an LSTMStateTuple.

    Variables: recurrent_kernel [m, 8n], kernel [depth, 8n], bias [8n] with `use_bias`, projection_weights [n, num_proj] with
    `num_proj`; m is the size of the output.
    """

    _NAS_BASE = 8

    def __init__(self, num_units, num_proj=None, use_bias=False, reuse=None, **kwargs):
        super().__init__(_reuse=reuse, **kwargs)
        self._num_units = num_units
        self._num_proj = num_proj
        self._use_bias = use_bias
        self._output_size = num_units if num_proj is None else num_proj

    @property
    def state_size(self):
        """An LSTMStateTuple of sizes."""
        return LSTMStateTuple(self._num_units, self._output_size)

    @property
    def output_size(self):
        """num_proj, or the number of units."""
        return self._output_size

    def build(self, inputs_shape):
        """Makes the variables."""
        depth = _known_depth(inputs_shape)
        width = self._NAS_BASE * self._num_units
        self.recurrent_kernel = self.add_weight("recurrent_kernel", [self._output_size, width])
        self.kernel = self.add_weight("kernel", [depth, width])
        if self._use_bias:
            self.bias = self.add_weight("bias", [width], initializer=zeros_initializer)
        if self._num_proj is not None:
            self.projection_weights = self.add_weight("projection_weights", [self._num_units, self._num_proj])
        self.built = True

    def call(self, inputs, state):
        """The output and the next state."""
        c, m = state
        from_state, from_inputs = matmul(m, self.recurrent_kernel), matmul(inputs, self.kernel)
        if self._use_bias:
            from_state = bias_add(from_state, self.bias)
        s = split(axis=1, num_or_size_splits=self._NAS_BASE, value=from_state)
        x = split(axis=1, num_or_size_splits=self._NAS_BASE, value=from_inputs)
        a = [
            sigmoid(x[0] + s[0]), relu(x[1] + s[1]), sigmoid(x[2] + s[2]), relu(x[3] * s[3]),
            tanh(x[4] + s[4]), sigmoid(x[5] + s[5]), tanh(x[6] + s[6]), sigmoid(x[7] + s[7]),
        ]  # fmt: skip
        b = [tanh(a[0] * a[1]), tanh(a[2] + a[3]), tanh(a[4] * a[5]), sigmoid(a[6] + a[7])]
        new_c = tanh(b[0] + c) * b[1]
        new_m = tanh(new_c * tanh(b[2] + b[3]))
        if self._num_proj is not None:
            new_m = matmul(new_m, self.projection_weights)
        return new_m, LSTMStateTuple(new_c, new_m)


class UGRNNCell(OneState, RNNCell):
    """The update gate cell of Collins et al. 2017, arXiv:1611.09913: one gate says whether to keep the state or to compute.

        g, c = [inputs, state] @ kernel + bias
        output = state = sigmoid(g + forget_bias) * state + (1 - sigmoid(g + forget_bias)) * activation(c)
    """

    def __init__(self, num_units, initializer=None, forget_bias=1.0, activation=tanh, reuse=None):
        super().__init__(_reuse=reuse)
        self._num_units = num_units
        self._initializer = initializer
        self._forget_bias = forget_bias
        self._activation = activation
        self._linear = None

    def call(self, inputs, state):
        """The output twice: it is the next state."""
        _known_depth(inputs.shape)
        with variable_scope(get_variable_scope(), initializer=self._initializer):
            joined = concat([inputs, state], 1)
            if self._linear is None:
                self._linear = _Linear(joined, 2 * self._num_units, True)
            gate, computed = split(axis=1, num_or_size_splits=2, value=self._linear(joined))
            c = self._activation(computed)
            g = sigmoid(gate + self._forget_bias)
            output = g * state + (1.0 - g) * c
        return output, output


class IntersectionRNNCell(OneState, RNNCell):
    """The +RNN of Collins et al. 2017, arXiv:1611.09913: gates through time and through depth.

    Inputs must be as wide as the state; with `num_in_proj` they are projected to that width first.
    """

    def __init__(self, num_units, num_in_proj=None, initializer=None, forget_bias=1.0, y_activation=relu, reuse=None):
        super().__init__(_reuse=reuse)
        self._num_units = num_units
        self._initializer = initializer
        self._forget_bias = forget_bias
        self._num_input_proj = num_in_proj
        self._y_activation = y_activation
        self._linear1 = None
        self._linear2 = None

    def call(self, inputs, state):
        """The output and the next state."""
        depth, n = _known_depth(inputs.shape), self._num_units
        with variable_scope(get_variable_scope(), initializer=self._initializer):
            if depth != n:
                if not self._num_input_proj:
                    raise ValueError(
                        "Must have input size == output size for Intersection RNN. To fix, num_in_proj should be set to num_units "
                        "at cell init."
                    )
                with variable_scope("in_projection"):
                    if self._linear1 is None:
                        self._linear1 = _Linear(inputs, n, True)
                    inputs = self._linear1(inputs)
            joined = concat([inputs, state], 1)
            if self._linear2 is None:
                self._linear2 = _Linear(joined, 4 * n, True)
            gates = self._linear2(joined)
            time_gate, computed, depth_gate, passed = (gates[:, k * n : (k + 1) * n] for k in range(4))
            h = tanh(computed)
            y = self._y_activation(passed)
            through_time, through_depth = sigmoid(time_gate + self._forget_bias), sigmoid(depth_gate + self._forget_bias)
            new_state = through_time * state + (1.0 - through_time) * h
            return through_depth * inputs + (1.0 - through_depth) * y, new_state
