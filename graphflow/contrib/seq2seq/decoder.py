"""Decoding in a loop: a decoder says how each step goes, `dynamic_decode` runs it until all of the batch is finished."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import namedtuple
from contextlib import suppress
from typing import Any

from graphflow import nest
from graphflow.contrib.seq2seq.helper import Helper
from graphflow.dtypes import int32
from graphflow.graph.build import convert_to_tensor, name_scope
from graphflow.graph.convert import constant_value
from graphflow.graph.tensor import Tensor
from graphflow.layers.base import Layer
from graphflow.ops.control_flow.while_loop import while_loop
from graphflow.ops.logic import logical_not, logical_or, where
from graphflow.ops.reductions import reduce_all
from graphflow.ops.shape import shape as shape_of
from graphflow.ops.source import constant, fill, zeros_like
from graphflow.ops.tensor_array import TensorArray
from graphflow.ops.variable_scope import variable_scope
from graphflow.rnn.base import assert_like_rnncell, zero_state_of
from graphflow.rnn.sequences import cache_variables, transpose_batch_time
from graphflow.shapes import TensorShape


class Decoder(ABC):
    """How a loop of `dynamic_decode` begins and goes on. Sizes and types of outputs are structures alike."""

    @property
    def batch_size(self):
        """The batch size of the inputs: an integer or a scalar tensor."""
        raise NotImplementedError

    @property
    def output_size(self):
        """The sizes of what `step` puts out, without the batch."""
        raise NotImplementedError

    @property
    def output_dtype(self):
        """The types of what `step` puts out."""
        raise NotImplementedError

    @abstractmethod
    def initialize(self, name=None):
        """Called once before the loop: (finished [batch] of bool, first inputs, first state)."""
        raise NotImplementedError

    @abstractmethod
    def step(self, time, inputs, state, name=None):
        """(outputs, next state, next inputs, finished [batch])"""
        raise NotImplementedError

    def finalize(self, outputs, final_state, sequence_lengths):
        """Called after the loop, where a subclass has it: the outputs and the state to give."""
        raise NotImplementedError

    @property
    def tracks_own_finished(self):
        """Whether `finished` of `step` may turn false again, as where beams are reordered."""
        return False


def dynamic_decode(decoder, output_time_major=False, impute_finished=False, maximum_iterations=None, parallel_iterations=32,
                   swap_memory=False, scope=None, **kwargs):  # fmt: skip
    """Runs `decoder` until all of the batch is finished, or for `maximum_iterations`.

    Gives (outputs, last state, lengths [batch] int32); outputs [batch, time, ...], or [time, batch, ...] with `output_time_major`. With
    `impute_finished` the outputs of a finished row are zero and its state stays as it is. TypeError: `decoder` is no Decoder.
    """
    if not isinstance(decoder, Decoder):
        raise TypeError(f"Expected decoder to be type Decoder, but saw: {type(decoder)}")
    with variable_scope(scope, "decoder") as varscope:
        cache_variables(varscope)
        if maximum_iterations is not None:
            maximum_iterations = convert_to_tensor(maximum_iterations, dtype=int32, name="maximum_iterations")
            if maximum_iterations.shape.ndims != 0:
                raise ValueError("maximum_iterations must be a scalar")
        finished, inputs, state = decoder.initialize()
        zero_outputs = nest.map_structure(
            lambda size, dtype: zero_state_of(size, decoder.batch_size, dtype), decoder.output_size, decoder.output_dtype
        )
        if maximum_iterations is not None:
            finished = logical_or(finished, maximum_iterations <= 0)
        lengths = zeros_like(finished, dtype=int32)
        time = constant(0, dtype=int32)
        outputs = nest.map_structure(
            lambda size, dtype: TensorArray(dtype=dtype, size=0, dynamic_size=True, element_shape=_element(decoder.batch_size, size)),
            decoder.output_size, decoder.output_dtype,
        )  # fmt: skip

        def body(time: Any, outputs: Any, state: Any, inputs: Any, finished: Any, lengths: Any) -> Any:
            emitted, next_state, next_inputs, ended = decoder.step(time, inputs, state)
            next_finished = ended if decoder.tracks_own_finished else logical_or(ended, finished)
            lengths = where(logical_not(finished), fill(shape_of(lengths), time + 1), lengths)
            nest.assert_same_structure(state, next_state)
            nest.assert_same_structure(outputs, emitted)
            nest.assert_same_structure(inputs, next_inputs)
            if impute_finished:
                emitted = nest.map_structure(lambda out, zero: where(finished, zero, out), emitted, zero_outputs)
                next_state = nest.map_structure(lambda new, old: _unless(finished, new, old), next_state, state)
            outputs = nest.map_structure(lambda array, out: array.write(time, out), outputs, emitted)
            return time + 1, outputs, next_state, next_inputs, next_finished, lengths

        _, outputs, state, _, _, lengths = while_loop(
            lambda time, outputs, state, inputs, finished, lengths: logical_not(reduce_all(finished)), body,
            loop_vars=(time, outputs, state, inputs, finished, lengths), parallel_iterations=parallel_iterations,
            maximum_iterations=maximum_iterations, swap_memory=swap_memory,
        )  # fmt: skip
        outputs = nest.map_structure(lambda array: array.stack(), outputs)
        with suppress(NotImplementedError):  # most decoders have none
            outputs, state = decoder.finalize(outputs, state, lengths)
        if not output_time_major:
            outputs = nest.map_structure(transpose_batch_time, outputs)
    return outputs, state, lengths


def _unless(finished: Any, new: Any, old: Any) -> Any:
    """The next state, or the old one where a row is finished. Scalars and TensorArrays belong to no row."""
    if not isinstance(old, Tensor):
        return new
    new.set_shape(old.shape)
    return new if new.shape.ndims == 0 else where(finished, old, new)


def _element(batch_size: Any, size: Any) -> TensorShape | None:
    """The shape of one step's output, where the size is a shape with dimensions."""
    if not isinstance(size, TensorShape) or size.ndims == 0:
        return None
    return TensorShape([constant_value(convert_to_tensor(batch_size, name="batch_size"))]).concatenate(size)


def layer_output_size(size: Any, layer: Layer | None) -> Any:
    """The size of a cell's output after `layer`, both without the batch."""
    if layer is None:
        return size
    whole = nest.map_structure(lambda s: TensorShape([None]).concatenate(s), size)
    return nest.map_structure(lambda s: s[1:], layer.compute_output_shape(whole))


def check_output_layer(layer: Any) -> None:
    """TypeError unless it is a layer or None."""
    if layer is not None and not isinstance(layer, Layer):
        raise TypeError(f"output_layer must be a Layer, received: {type(layer)}")


class BasicDecoderOutput(namedtuple("BasicDecoderOutput", ("rnn_output", "sample_id"))):
    """What a BasicDecoder puts out: the cell's output, after the output layer, and what was sampled from it."""


class BasicDecoder(Decoder):
    """A cell whose output goes through an optional layer; a Helper samples from that and makes the next input."""

    def __init__(self, cell, helper, initial_state, output_layer=None):
        assert_like_rnncell("cell", cell)
        if not isinstance(helper, Helper):
            raise TypeError(f"helper must be a Helper, received: {type(helper)}")
        check_output_layer(output_layer)
        self._cell = cell
        self._helper = helper
        self._initial_state = initial_state
        self._output_layer = output_layer

    @property
    def batch_size(self):
        """The helper's batch size."""
        return self._helper.batch_size

    @property
    def output_size(self):
        """A BasicDecoderOutput of sizes."""
        return BasicDecoderOutput(layer_output_size(self._cell.output_size, self._output_layer), self._helper.sample_ids_shape)

    @property
    def output_dtype(self):
        """A BasicDecoderOutput of types; the cell's output has that of the initial state."""
        dtype = nest.flatten(self._initial_state)[0].dtype
        sizes = layer_output_size(self._cell.output_size, self._output_layer)
        return BasicDecoderOutput(nest.map_structure(lambda _: dtype, sizes), self._helper.sample_ids_dtype)

    def initialize(self, name=None):
        """The helper's beginning, and the initial state."""
        return (*self._helper.initialize(), self._initial_state)

    def step(self, time, inputs, state, name=None):
        """A step of the cell, then of the helper."""
        with name_scope(name, "BasicDecoderStep", [time, inputs, state]):
            outputs, cell_state = self._cell(inputs, state)
            if self._output_layer is not None:
                outputs = self._output_layer(outputs)
            sample_ids = self._helper.sample(time=time, outputs=outputs, state=cell_state)
            finished, next_inputs, next_state = self._helper.next_inputs(
                time=time, outputs=outputs, state=cell_state, sample_ids=sample_ids
            )
        return BasicDecoderOutput(outputs, sample_ids), next_state, next_inputs, finished
