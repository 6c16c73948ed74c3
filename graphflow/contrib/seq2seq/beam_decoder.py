"""Decoding by beam search: the `beam_width` most probable sequences in place of one."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow import nest
from graphflow.compat.logging import warn
from graphflow.contrib.seq2seq.beam_search import (
    BeamSearchDecoderOutput,
    BeamSearchDecoderState,
    FinalBeamSearchDecoderOutput,
    attention_probs,
    beam_search_step,
    check_rank,
)
from graphflow.contrib.seq2seq.decoder import Decoder, check_output_layer, layer_output_size
from graphflow.contrib.seq2seq.helper import embedding_function
from graphflow.dtypes import bool as bool_dtype
from graphflow.dtypes import int32, int64
from graphflow.graph.build import convert_to_tensor, name_scope
from graphflow.graph.convert import constant_value
from graphflow.graph.scopes import control_dependencies
from graphflow.ops.assertions import Assert
from graphflow.ops.beams import gather_tree
from graphflow.ops.choose import sequence_mask
from graphflow.ops.control_flow.arrays import is_array
from graphflow.ops.control_flow.cond import cond
from graphflow.ops.gather import gather_nd, one_hot
from graphflow.ops.joining import concat, stack, tile
from graphflow.ops.logic import cast, equal, logical_and, logical_or, where
from graphflow.ops.ranges import range as range_of
from graphflow.ops.reductions import reduce_all, reduce_max
from graphflow.ops.reshape import expand_dims, reshape, transpose
from graphflow.ops.shape import shape as shape_of
from graphflow.ops.shape import size as size_of
from graphflow.ops.source import zeros
from graphflow.rnn.base import assert_like_rnncell
from graphflow.rnn.sequences import static_size
from graphflow.shapes import TensorShape


def _tiled(t: Any, multiplier: Any) -> Any:
    t = convert_to_tensor(t, name="t")
    sizes = shape_of(t)
    if not t.shape.ndims:
        raise ValueError("t must have statically known rank")
    batch = t.shape[0].value
    copies = tile(expand_dims(t, 1), [1, multiplier, *[1] * (t.shape.ndims - 1)])
    tiled = reshape(copies, concat(([sizes[0] * multiplier], sizes[1:]), 0))
    tiled.set_shape(TensorShape([None if batch is None else batch * multiplier]).concatenate(t.shape[1:]))
    return tiled


def tile_batch(t, multiplier, name=None):
    """Each row of a structure of tensors [batch, ...] `multiplier` times, one after another."""
    flat = nest.flatten(t)
    with name_scope(name, "tile_batch", [*flat, multiplier]):
        return nest.map_structure(lambda part: _tiled(part, multiplier), t)


def _in_order(t: Any, parent_ids: Any, lengths: Any) -> Any:
    """What was noted at each step, [time, batch * beam, ...], with every step's beams in the order of the last one's."""
    times, batch, width = (parent_ids.shape[k].value or shape_of(parent_ids)[k] for k in range(3))
    beams = tile(expand_dims(expand_dims(range_of(width), 0), 0), [times, batch, 1])
    longest = cast(reduce_max(lengths, axis=1), int32)
    ordered = gather_tree(step_ids=beams, parent_ids=parent_ids, max_sequence_lengths=longest, end_token=width + 1)
    inside = transpose(sequence_mask(lengths, maxlen=times), perm=[2, 0, 1])
    ordered = where(inside, x=ordered, y=beams)
    time_number = tile(reshape(range_of(times), [-1, 1, 1]), [1, batch, width])
    batch_number = transpose(tile(reshape(range_of(batch), [-1, 1, 1]), [1, times, width]), perm=[1, 0, 2])
    places = stack([time_number, batch_number, ordered], -1)
    sizes = shape_of(t)
    return reshape(gather_nd(reshape(t, [times, batch, width, -1]), places), sizes)


def _is_batch_by_beam(shape: TensorShape, batch_size: int | None, beam_width: int) -> bool:
    """Whether elements of a TensorArray can be [batch * beam, ...] or [batch, beam, ...], as far as is known."""
    first = shape[0].value
    second = shape[1].value if len(shape) > 1 else None
    if batch_size is None or first is None:
        return True
    wrong_split = second is not None and (first != batch_size or second != beam_width)
    if first == batch_size * beam_width and not wrong_split:
        return True
    warn(
        "TensorArray reordering expects elements to be reshapable to %s which is incompatible with the current shape %s. Consider "
        "setting reorder_tensor_arrays to False to disable TensorArray reordering during the beam search.",
        TensorShape([batch_size, beam_width, None]), shape,
    )  # fmt: skip
    return False


def _assert_batch_by_beam(t: Any, batch_size: Any, beam_width: int) -> Any:
    message = (
        "TensorArray reordering expects elements to be reshapable to [batch_size, beam_size, -1] which is incompatible with the dynamic "
        f"shape of {t.name} elements. Consider setting reorder_tensor_arrays to False to disable TensorArray reordering during the beam "
        "search."
    )
    sizes = shape_of(t)
    if t.shape.ndims == 2:
        return Assert(equal(sizes[1], batch_size * beam_width), [message])
    merged = equal(sizes[1], batch_size * beam_width)
    return Assert(logical_or(merged, logical_and(equal(sizes[1], batch_size), equal(sizes[2], beam_width))), [message])


class BeamSearchDecoder(Decoder):
    """Keeps the `beam_width` best sequences of each row, for `dynamic_decode`.

    embedding: a table, or a function from numbers [batch, beam] to vectors. start_tokens [batch], end_token: integers. initial_state: of
    the cell for batch * beam_width rows (see `tile_batch`). output_layer: makes logits of the cell's output. Scores are log
    probabilities divided by ((5 + length) / 6) ** length_penalty_weight, plus, where coverage_penalty_weight is not 0, a penalty for
    places of the memory that were attended to too little. reorder_tensor_arrays: put what the state's TensorArrays noted in the order of
    the final beams.
    """

    def __init__(self, cell, embedding, start_tokens, end_token, initial_state, beam_width, output_layer=None, length_penalty_weight=0.0,
                 coverage_penalty_weight=0.0, reorder_tensor_arrays=True):  # fmt: skip
        assert_like_rnncell("cell", cell)
        check_output_layer(output_layer)
        self._cell = cell
        self._output_layer = output_layer
        self._reorder_tensor_arrays = reorder_tensor_arrays
        self._beam_width = beam_width
        self._length_penalty_weight = length_penalty_weight
        self._coverage_penalty_weight = coverage_penalty_weight
        self._embedding_fn = embedding_function(embedding)
        tokens = convert_to_tensor(start_tokens, dtype=int32, name="start_tokens")
        if tokens.shape.ndims != 1:
            raise ValueError("start_tokens must be a vector")
        self._end_token = convert_to_tensor(end_token, dtype=int32, name="end_token")
        if self._end_token.shape.ndims != 0:
            raise ValueError("end_token must be a scalar")
        self._batch_size = size_of(start_tokens)
        self._initial_cell_state = nest.map_structure(self._split_part, initial_state, self._cell.state_size)
        self._start_tokens = tile(expand_dims(tokens, 1), [1, beam_width])
        self._start_inputs = self._embedding_fn(self._start_tokens)
        # At first all beams are the same: only one of them may go on.
        self._finished = one_hot(zeros([self._batch_size], int32), depth=beam_width, on_value=False, off_value=True, dtype=bool_dtype)

    @property
    def batch_size(self):
        """The number of start tokens."""
        return self._batch_size

    @property
    def tracks_own_finished(self):
        """True: beams change places."""
        return True

    @property
    def output_size(self):
        """A BeamSearchDecoderOutput of sizes."""
        width = TensorShape([self._beam_width])
        return BeamSearchDecoderOutput(scores=width, predicted_ids=width, parent_ids=width)

    @property
    def output_dtype(self):
        """A BeamSearchDecoderOutput of types; scores have that of the initial state."""
        dtype = nest.flatten(self._initial_cell_state)[0].dtype
        sizes = layer_output_size(self._cell.output_size, self._output_layer)
        return BeamSearchDecoderOutput(scores=nest.map_structure(lambda _: dtype, sizes), predicted_ids=int32, parent_ids=int32)

    def initialize(self, name=None):
        """One beam of each row begins."""
        dtype = nest.flatten(self._initial_cell_state)[0].dtype
        log_probs = one_hot(
            zeros([self._batch_size], int32), depth=self._beam_width, on_value=convert_to_tensor(0.0, dtype=dtype),
            off_value=convert_to_tensor(-np.inf, dtype=dtype), dtype=dtype,
        )  # fmt: skip
        attended = attention_probs(self._initial_cell_state, self._coverage_penalty_weight)
        state = BeamSearchDecoderState(
            cell_state=self._initial_cell_state, log_probs=log_probs, finished=self._finished,
            lengths=zeros([self._batch_size, self._beam_width], dtype=int64),
            accumulated_attention_probs=() if attended is None else attended,
        )  # fmt: skip
        return self._finished, self._start_inputs, state

    def step(self, time, inputs, state, name=None):
        """A step of the cell for all beams, and the best continuations."""
        with name_scope(name, "BeamSearchDecoderStep", [time, inputs, state]):
            inputs = nest.map_structure(lambda part: self._merged(part, part.shape[2:]), inputs)
            cell_state = nest.map_structure(self._merge_part, state.cell_state, self._cell.state_size)
            outputs, next_cell_state = self._cell(inputs, cell_state)
            outputs = nest.map_structure(lambda out: self._split(out, out.shape[1:]), outputs)
            next_cell_state = nest.map_structure(self._split_part, next_cell_state, self._cell.state_size)
            if self._output_layer is not None:
                outputs = self._output_layer(outputs)
            found, next_state = beam_search_step(
                time=time, logits=outputs, next_cell_state=next_cell_state, beam_state=state, batch_size=self._batch_size,
                beam_width=self._beam_width, end_token=self._end_token, length_penalty_weight=self._length_penalty_weight,
                coverage_penalty_weight=self._coverage_penalty_weight,
            )  # fmt: skip
            following = cond(
                reduce_all(next_state.finished), lambda: self._start_inputs, lambda: self._embedding_fn(found.predicted_ids)
            )
        return found, next_state, following, next_state.finished

    def finalize(self, outputs, final_state, sequence_lengths):
        """A FinalBeamSearchDecoderOutput, and the state with its TensorArrays read and in order."""
        longest = cast(reduce_max(final_state.lengths, axis=1), int32)
        predicted = gather_tree(outputs.predicted_ids, outputs.parent_ids, max_sequence_lengths=longest, end_token=self._end_token)
        if self._reorder_tensor_arrays:
            ordered = nest.map_structure(
                lambda part: self._in_order(part, outputs.parent_ids, final_state.lengths), final_state.cell_state
            )
            final_state = final_state._replace(cell_state=ordered)
        return FinalBeamSearchDecoderOutput(beam_search_decoder_output=outputs, predicted_ids=predicted), final_state

    def _in_order(self, part: Any, parent_ids: Any, lengths: Any) -> Any:
        if not is_array(part):
            return part
        if not part.element_shape.ndims:
            warn(
                "The TensorArray %s in the cell state is not amenable to sorting based on the beam search result. For a TensorArray to "
                "be sorted, its elements shape must be defined and have at least a rank of 1, but saw shape: %s",
                part.handle.name, part.element_shape,
            )  # fmt: skip
            return part
        if not _is_batch_by_beam(part.element_shape, constant_value(self._batch_size), self._beam_width):
            return part
        stacked = part.stack()
        with control_dependencies([_assert_batch_by_beam(stacked, self._batch_size, self._beam_width)]):
            return _in_order(stacked, parent_ids, lengths)

    # -- between [batch, beam, ...] and [batch * beam, ...] ---------------------------------------------------------------------

    def _merged(self, t: Any, size: Any) -> Any:
        sizes = shape_of(t)
        batch = constant_value(self._batch_size)
        merged = reshape(t, concat(([self._batch_size * self._beam_width], sizes[2:]), 0))
        rows = TensorShape([None if batch is None else batch * self._beam_width])
        merged.set_shape(rows.concatenate(TensorShape(static_size(size))))
        return merged

    def _split(self, t: Any, size: Any) -> Any:
        sizes = shape_of(t)
        split = reshape(t, concat(([self._batch_size, self._beam_width], sizes[1:]), 0))
        expected = TensorShape([constant_value(self._batch_size), self._beam_width]).concatenate(TensorShape(static_size(size)))
        if not split.shape.is_compatible_with(expected):
            raise ValueError(
                "Unexpected behavior when reshaping between beam width and batch size.  The reshaped tensor has shape: "
                f"{split.shape}.  We expected it to have shape (batch_size, beam_width, depth) == {expected}.  Perhaps you forgot to "
                "create a zero_state with batch_size=encoder_batch_size * beam_width?"
            )
        split.set_shape(expected)
        return split

    def _split_part(self, t: Any, size: Any) -> Any:
        if is_array(t):
            return t
        check_rank(t)
        return self._split(t, size) if t.shape.ndims >= 1 else t

    def _merge_part(self, t: Any, size: Any) -> Any:
        if is_array(t):
            return t
        check_rank(t)
        return self._merged(t, size) if t.shape.ndims >= 2 else t
