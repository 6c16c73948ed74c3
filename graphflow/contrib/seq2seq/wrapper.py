"""A cell that attends to a memory at each step."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence
from typing import Any

from graphflow import nest
from graphflow.contrib.framework.shape_checks import with_same_shape
from graphflow.contrib.seq2seq.attention import AttentionMechanism
from graphflow.dtypes import int32
from graphflow.graph.build import name_scope
from graphflow.graph.scopes import control_dependencies
from graphflow.graph.tensor import Tensor
from graphflow.layers.core import Dense
from graphflow.ops.assertions import assert_equal
from graphflow.ops.joining import concat
from graphflow.ops.matmul import matmul
from graphflow.ops.reshape import expand_dims, squeeze
from graphflow.ops.shape import shape as shape_of
from graphflow.ops.source import identity, zeros
from graphflow.ops.tensor_array import TensorArray
from graphflow.rnn.base import RNNCell, assert_like_rnncell, zero_state_of
from graphflow.shapes import TensorShape


class AttentionWrapperState(
    namedtuple(
        "AttentionWrapperState", ("cell_state", "attention", "time", "alignments", "alignment_history", "attention_state")
    )
):
    """The state of an AttentionWrapper; with several mechanisms the last three are tuples."""

    def clone(self, **kwargs):
        """The state with other parts, whose tensors must have the shapes of those in their place."""

        def same(old: Any, new: Any) -> Any:
            return with_same_shape(old, new) if isinstance(old, Tensor) and isinstance(new, Tensor) else new

        return nest.map_structure(same, self, self._replace(**kwargs))


def _attend(mechanism: Any, cell_output: Any, attention_state: Any, attention_layer: Any) -> tuple[Any, Any, Any]:
    """The attention, the alignments and the mechanism's next state."""
    alignments, next_state = mechanism(cell_output, state=attention_state)
    context = squeeze(matmul(expand_dims(alignments, 1), mechanism.values), [1])
    attention = context if attention_layer is None else attention_layer(concat([cell_output, context], 1))
    return attention, alignments, next_state


def _listed(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


_TILE = (
    "Are you using the BeamSearchDecoder?  You may need to tile your {} via the tf.contrib.seq2seq.tile_batch function with argument "
    "multiple=beam_width."
)


class AttentionWrapper(RNNCell):
    """A cell that gets its input joined with the attention of the step before, and whose output asks one or several mechanisms.

    attention_layer_size: the attention is a Dense layer of [cell output, context], without it the context. cell_input_fn(inputs,
    attention): what the cell reads. output_attention: whether the output is the attention (Luong) or the cell's own (Bahdanau).
    alignment_history: keep the alignments of all steps, as a TensorArray in the state. initial_cell_state: what zero_state gives the
    cell. attention_fn(mechanism, cell_output, state, layer): in place of the built-in step.
    """

    def __init__(self, cell, attention_mechanism, attention_layer_size=None, alignment_history=False, cell_input_fn=None,
                 output_attention=True, initial_cell_state=None, name=None, attention_layer=None, attention_fn=None,
                 dtype=None):  # fmt: skip
        super().__init__(name=name, dtype=dtype)
        assert_like_rnncell("cell", cell)
        self._is_multi = isinstance(attention_mechanism, (list, tuple))
        mechanisms = _listed(attention_mechanism)
        for mechanism in mechanisms:
            if not isinstance(mechanism, AttentionMechanism):
                what = "contain only instances of AttentionMechanism" if self._is_multi else (
                    "be an AttentionMechanism or list of multiple AttentionMechanism instances"
                )  # fmt: skip
                raise TypeError(f"attention_mechanism must {what}, saw type: {type(mechanism).__name__}")
        if cell_input_fn is not None and not callable(cell_input_fn):
            raise TypeError(f"cell_input_fn must be callable, saw type: {type(cell_input_fn).__name__}")
        self._cell = cell
        self._attention_mechanisms = mechanisms
        self._cell_input_fn = cell_input_fn or (lambda inputs, attention: concat([inputs, attention], -1))
        self._output_attention = output_attention
        self._alignment_history = alignment_history
        self._attention_fn = attention_fn or _attend
        self._attention_layers, self._attention_layer_size = self._layers(attention_layer_size, attention_layer)
        with name_scope(name, "AttentionWrapperInit"):
            self._initial_cell_state = None
            if initial_cell_state is not None:
                last = nest.flatten(initial_cell_state)[-1]
                batch_size = last.shape[0].value or shape_of(last)[0]
                message = (
                    f"When constructing AttentionWrapper {self._base_name}: Non-matching batch sizes between the memory (encoder "
                    f"output) and initial_cell_state.  {_TILE.format('initial state')}"
                )
                with control_dependencies(self._batch_size_checks(batch_size, message)):
                    self._initial_cell_state = nest.map_structure(
                        lambda s: identity(s, name="check_initial_cell_state"), initial_cell_state
                    )

    def _layers(self, sizes: Any, layers: Any) -> tuple[tuple[Any, ...] | None, int]:
        """The attention layers, and the size of all attentions together."""
        mechanisms = self._attention_mechanisms
        if sizes is not None and layers is not None:
            raise ValueError("Only one of attention_layer_size and attention_layer should be set")
        if sizes is not None:
            sizes = _listed(sizes)
            _check_count("attention_layer_size", "integer", sizes, mechanisms)
            made = tuple(
                Dense(size, name="attention_layer", use_bias=False, dtype=mechanism.dtype)
                for size, mechanism in zip(sizes, mechanisms, strict=True)
            )
            return made, sum(sizes)
        depths = [mechanism.values.shape[-1].value for mechanism in mechanisms]
        if layers is None:
            return None, sum(depths)
        layers = _listed(layers)
        _check_count("attention_layer", "layer", layers, mechanisms)
        outputs = [
            layer.compute_output_shape([None, self._cell.output_size + depth])[-1].value
            for layer, depth in zip(layers, depths, strict=True)
        ]
        return layers, sum(outputs)

    def _batch_size_checks(self, batch_size: Any, message: str) -> list[Any]:
        return [assert_equal(batch_size, mechanism.batch_size, message=message) for mechanism in self._attention_mechanisms]

    def _item_or_tuple(self, values: Any) -> Any:
        values = tuple(values)
        return values if self._is_multi else values[0]

    @property
    def output_size(self):
        """The size of the attention, or of the cell's output."""
        return self._attention_layer_size if self._output_attention else self._cell.output_size

    @property
    def state_size(self):
        """An AttentionWrapperState of sizes."""
        mechanisms = self._attention_mechanisms
        return AttentionWrapperState(
            cell_state=self._cell.state_size,
            time=TensorShape([]),
            attention=self._attention_layer_size,
            alignments=self._item_or_tuple(m.alignments_size for m in mechanisms),
            attention_state=self._item_or_tuple(m.state_size for m in mechanisms),
            alignment_history=self._item_or_tuple(m.alignments_size if self._alignment_history else () for m in mechanisms),
        )

    def zero_state(self, batch_size, dtype):
        """The state to start from; the batch size must be that of the memories."""
        with name_scope(type(self).__name__ + "ZeroState", values=[batch_size]):
            cell_state = self._initial_cell_state
            if cell_state is None:
                cell_state = self._cell.get_initial_state(batch_size=batch_size, dtype=dtype)
            message = (
                f"When calling zero_state of AttentionWrapper {self._base_name}: Non-matching batch sizes between the memory (encoder "
                "output) and the requested batch size.  Are you using the BeamSearchDecoder?  If so, make sure your encoder output has "
                "been tiled to beam_width via tf.contrib.seq2seq.tile_batch, and the batch_size= argument passed to zero_state is "
                "batch_size * beam_width."
            )
            with control_dependencies(self._batch_size_checks(batch_size, message)):
                cell_state = nest.map_structure(lambda s: identity(s, name="checked_cell_state"), cell_state)
            alignments = [m.initial_alignments(batch_size, dtype) for m in self._attention_mechanisms]
            return AttentionWrapperState(
                cell_state=cell_state,
                time=zeros([], dtype=int32),
                attention=zero_state_of(self._attention_layer_size, batch_size, dtype),
                alignments=self._item_or_tuple(alignments),
                attention_state=self._item_or_tuple(m.initial_state(batch_size, dtype) for m in self._attention_mechanisms),
                alignment_history=self._item_or_tuple(
                    TensorArray(dtype, size=0, dynamic_size=True, element_shape=one.shape) if self._alignment_history else ()
                    for one in alignments
                ),
            )

    def call(self, inputs, state):
        """The output and the next state."""
        if not isinstance(state, AttentionWrapperState):
            raise TypeError(f"Expected state to be instance of AttentionWrapperState. Received type {type(state)} instead.")
        cell_output, cell_state = self._cell(self._cell_input_fn(inputs, state.attention), state.cell_state)
        batch_size = cell_output.shape[0].value or shape_of(cell_output)[0]
        message = (
            f"When applying AttentionWrapper {self.name}: Non-matching batch sizes between the memory (encoder output) and the query "
            f"(decoder output).  {_TILE.format('memory input')}"
        )
        with control_dependencies(self._batch_size_checks(batch_size, message)):
            cell_output = identity(cell_output, name="checked_cell_output")
        states = state.attention_state if self._is_multi else [state.attention_state]
        histories = state.alignment_history if self._is_multi else [state.alignment_history]
        attentions, alignments, next_states, next_histories = [], [], [], []
        for number, mechanism in enumerate(self._attention_mechanisms):
            layer = self._attention_layers[number] if self._attention_layers else None
            attention, alignment, next_state = self._attention_fn(mechanism, cell_output, states[number], layer)
            attentions.append(attention)
            alignments.append(alignment)
            next_states.append(next_state)
            next_histories.append(histories[number].write(state.time, alignment) if self._alignment_history else ())
        attention = concat(attentions, 1)
        following = AttentionWrapperState(
            time=state.time + 1,
            cell_state=cell_state,
            attention=attention,
            attention_state=self._item_or_tuple(next_states),
            alignments=self._item_or_tuple(alignments),
            alignment_history=self._item_or_tuple(next_histories),
        )
        return attention if self._output_attention else cell_output, following


def _check_count(name: str, what: str, given: Sequence[Any], mechanisms: Sequence[Any]) -> None:
    if len(given) != len(mechanisms):
        raise ValueError(
            f"If provided, {name} must contain exactly one {what} per attention_mechanism, saw: {len(given)} vs {len(mechanisms)}"
        )
