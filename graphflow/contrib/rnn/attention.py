"""Cells around cells: attention over the last outputs, and highways past a cell."""

from __future__ import annotations

from typing import Any

from graphflow import nest
from graphflow.compat.logging import warn
from graphflow.contrib.rnn.core_rnn_cell import _Around, _Linear
from graphflow.nn.convolution import conv2d
from graphflow.nn.cross_entropy import softmax
from graphflow.ops.activation import sigmoid, tanh
from graphflow.ops.initializers import constant_initializer
from graphflow.ops.joining import concat
from graphflow.ops.matmul import xw_plus_b
from graphflow.ops.reductions import reduce_sum
from graphflow.ops.reshape import expand_dims, reshape
from graphflow.ops.slicing import slice as slice_of
from graphflow.ops.variable_scope import get_variable, variable_scope
from graphflow.rnn.base import RNNCell, assert_like_rnncell


class AttentionCellWrapper(RNNCell):
    """A cell with attention over its last `attn_length` outputs (Cheng et al. 2016, arXiv:1601.06733).

    The state is (the cell's, the attention [batch, attn_size], the outputs [batch, attn_size * attn_length]); with
    `state_is_tuple=False` the three side by side.
    """

    def __init__(self, cell, attn_length, attn_size=None, attn_vec_size=None, input_size=None, state_is_tuple=True, reuse=None):
        super().__init__(_reuse=reuse)
        assert_like_rnncell("cell", cell)
        if nest.is_nested(cell.state_size) and not state_is_tuple:
            raise ValueError(
                f"Cell returns tuple of states, but the flag state_is_tuple is not set. State size is: {cell.state_size}"
            )
        if attn_length <= 0:
            raise ValueError(f"attn_length should be greater than zero, got {attn_length}")
        if not state_is_tuple:
            warn("%s: Using a concatenated state is slower and will soon be deprecated.  Use state_is_tuple=True.", self)
        self._state_is_tuple = state_is_tuple
        self._cell = cell
        self._attn_length = attn_length
        self._attn_size = cell.output_size if attn_size is None else attn_size
        self._attn_vec_size = self._attn_size if attn_vec_size is None else attn_vec_size
        self._input_size = input_size
        self._linear1 = self._linear2 = self._linear3 = None

    @property
    def state_size(self):
        """The sizes of the three parts, or their sum."""
        sizes = (self._cell.state_size, self._attn_size, self._attn_size * self._attn_length)
        return sizes if self._state_is_tuple else sum(sizes)

    @property
    def output_size(self):
        """The size of the attention."""
        return self._attn_size

    def _parts(self, state: Any) -> Any:
        if self._state_is_tuple:
            return state
        first, size = self._cell.state_size, self._attn_size
        return (
            slice_of(state, [0, 0], [-1, first]), slice_of(state, [0, first], [-1, size]),
            slice_of(state, [0, first + size], [-1, size * self._attn_length]),
        )  # fmt: skip

    def call(self, inputs, state):
        """The output and the next state."""
        state, attention, held = self._parts(state)
        held = reshape(held, [-1, self._attn_length, self._attn_size])
        depth = inputs.shape.as_list()[1] if self._input_size is None else self._input_size
        if self._linear1 is None:
            self._linear1 = _Linear([inputs, attention], depth, True)
        inputs = self._linear1([inputs, attention])
        cell_output, new_state = self._cell(inputs, state)
        query = concat(nest.flatten(new_state), 1) if self._state_is_tuple else new_state
        new_attention, kept = self._attention(query, held)
        with variable_scope("attn_output_projection"):
            if self._linear2 is None:
                self._linear2 = _Linear([cell_output, new_attention], self._attn_size, True)
            output = self._linear2([cell_output, new_attention])
        held = reshape(concat([kept, expand_dims(output, 1)], 1), [-1, self._attn_length * self._attn_size])
        new_state = (new_state, new_attention, held)
        return output, new_state if self._state_is_tuple else concat(list(new_state), 1)

    def _attention(self, query: Any, held: Any) -> tuple[Any, Any]:
        """What the query finds among the outputs held, and those without the oldest."""
        with variable_scope("attention"):
            k = get_variable("attn_w", [1, 1, self._attn_size, self._attn_vec_size])
            v = get_variable("attn_v", [self._attn_vec_size])
            hidden = reshape(held, [-1, self._attn_length, 1, self._attn_size])
            features = conv2d(hidden, k, [1, 1, 1, 1], "SAME")
            if self._linear3 is None:
                self._linear3 = _Linear(query, self._attn_vec_size, True)
            y = reshape(self._linear3(query), [-1, 1, 1, self._attn_vec_size])
            weights = softmax(reduce_sum(v * tanh(features + y), [2, 3]))
            found = reduce_sum(reshape(weights, [-1, self._attn_length, 1, 1]) * hidden, [1, 2])
            return reshape(found, [-1, self._attn_size]), slice_of(held, [0, 1, 0], [-1, -1, -1])


class HighwayWrapper(_Around):
    """A cell whose inputs pass by it as far as a gate lets them (Srivastava et al. 2015, arXiv:1505.00387).

        gate = sigmoid(inputs @ carry_w + carry_b)
        output = inputs * gate + cell_output * (1 - gate)
    """

    def __init__(self, cell, couple_carry_transform_gates=True, carry_bias_init=1.0):
        super().__init__(cell, None)
        self._couple_carry_transform_gates = couple_carry_transform_gates
        self._carry_bias_init = carry_bias_init

    def _gate(self, inputs: Any, name: str, bias: float) -> Any:
        depth = inputs.shape.with_rank(2)[1].value
        weights = get_variable(f"{name}_w", [depth, depth])
        offsets = get_variable(f"{name}_b", [depth], initializer=constant_initializer(bias))
        return sigmoid(xw_plus_b(inputs, weights, offsets))

    def _highway(self, inputs: Any, output: Any) -> Any:
        carry = self._gate(inputs, "carry", self._carry_bias_init)
        if self._couple_carry_transform_gates:
            transform = 1 - carry
        else:
            transform = self._gate(inputs, "transform", -self._carry_bias_init)
        return inputs * carry + output * transform

    def __call__(self, inputs, state, scope=None):
        outputs, new_state = self._cell(inputs, state, scope=scope)
        nest.assert_same_structure(inputs, outputs)
        nest.map_structure(lambda i, o: i.shape.assert_is_compatible_with(o.shape), inputs, outputs)
        return nest.map_structure(self._highway, inputs, outputs), new_state


class CompiledWrapper(_Around):
    """The cell itself: here every graph is compiled."""

    def __init__(self, cell, compile_stateful=False):
        super().__init__(cell, None)

    def __call__(self, inputs, state, scope=None):
        return self._cell(inputs, state, scope=scope)
