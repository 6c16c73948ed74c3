"""Encoders and decoders together, on lists of inputs: the models of TensorFlow's first translation tutorial."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

from graphflow import nest
from graphflow.contrib.legacy_seq2seq.decoders import (
    argmax_and_embed,
    check_projection,
    embedding_attention_decoder,
    embedding_rnn_decoder,
    rnn_decoder,
)
from graphflow.contrib.rnn.core_rnn_cell import EmbeddingWrapper, OutputProjectionWrapper
from graphflow.dtypes import float32
from graphflow.nn.embedding import embedding_lookup
from graphflow.ops.control_flow.cond import cond
from graphflow.ops.joining import concat
from graphflow.ops.reshape import reshape
from graphflow.ops.shape import shape as shape_of
from graphflow.ops.variable_scope import get_variable, get_variable_scope, variable_scope
from graphflow.rnn.base import RNNCell
from graphflow.rnn.static import static_rnn


def basic_rnn_seq2seq(encoder_inputs, decoder_inputs, cell, dtype=float32, scope=None):
    """A copy of `cell` reads the encoder's list of inputs; `cell` the decoder's, from its last state. Gives outputs and state."""
    with variable_scope(scope or "basic_rnn_seq2seq"):
        _, state = static_rnn(copy.deepcopy(cell), encoder_inputs, dtype=dtype)
        return rnn_decoder(decoder_inputs, state, cell)


def tied_rnn_seq2seq(encoder_inputs, decoder_inputs, cell, loop_function=None, dtype=float32, scope=None):
    """One cell, with the same variables, reads the encoder's list of inputs and then the decoder's."""
    with variable_scope("combined_tied_rnn_seq2seq"):
        scope = scope or "tied_rnn_seq2seq"
        _, state = static_rnn(cell, encoder_inputs, dtype=dtype, scope=scope)
        get_variable_scope().reuse_variables()
        return rnn_decoder(decoder_inputs, state, cell, loop_function=loop_function, scope=scope)


Decoded = tuple[list[Any], Any]


def _decoded(feed_previous: Any, decoder: Callable[[bool, bool], Decoded], count: int, state_like: Callable[[], Any]) -> Decoded:
    """decoder(feed_previous, update_embedding): `count` outputs and a state like `state_like()`. Where feed_previous is a tensor both
    forms are built, with the same variables, and the run takes one; the embedding of what is fed back then gets no gradient."""
    if isinstance(feed_previous, bool):
        return decoder(feed_previous, True)

    def branch(feeds: bool) -> list[Any]:
        with variable_scope(get_variable_scope(), reuse=None if feeds else True):
            outputs, state = decoder(feeds, False)
            return outputs + nest.flatten(state)

    made = cond(feed_previous, lambda: branch(True), lambda: branch(False))
    return made[:count], nest.pack_sequence_as(state_like(), made[count:])


def embedding_rnn_seq2seq(encoder_inputs, decoder_inputs, cell, num_encoder_symbols, num_decoder_symbols, embedding_size,
                          output_projection=None, feed_previous=False, dtype=None, scope=None):  # fmt: skip
    """`basic_rnn_seq2seq` on lists of numbers of symbols [batch], each side with its own embedding.

    Outputs are logits, or with `output_projection` (weights, biases) what it projects. `feed_previous`, a bool or a bool tensor: feed
    the decoder its own last symbol.
    """
    with variable_scope(scope or "embedding_rnn_seq2seq") as scope:
        if dtype is not None:
            scope.set_dtype(dtype)
        else:
            dtype = scope.dtype
        encoder = EmbeddingWrapper(copy.deepcopy(cell), embedding_classes=num_encoder_symbols, embedding_size=embedding_size)
        _, encoded = static_rnn(encoder, encoder_inputs, dtype=dtype)
        if output_projection is None:
            cell = OutputProjectionWrapper(cell, num_decoder_symbols)

        def decoder(feeds: bool, update: bool) -> Decoded:
            return embedding_rnn_decoder(  # type: ignore[no-any-return]
                decoder_inputs, encoded, cell, num_decoder_symbols, embedding_size, output_projection=output_projection,
                feed_previous=feeds, update_embedding_for_previous=update,
            )  # fmt: skip

        return _decoded(feed_previous, decoder, len(decoder_inputs), lambda: encoded)


def _batch_size(inputs: Sequence[Any]) -> Any:
    static = inputs[0].shape[0]
    for tensor in inputs[1:]:
        static.merge_with(tensor.shape[0])
    return shape_of(inputs[0])[0] if static.value is None else static.value


def embedding_tied_rnn_seq2seq(encoder_inputs, decoder_inputs, cell, num_symbols, embedding_size, num_decoder_symbols=None,
                               output_projection=None, feed_previous=False, dtype=None, scope=None):  # fmt: skip
    """`tied_rnn_seq2seq` on lists of numbers of symbols [batch], both sides with one embedding."""
    with variable_scope(scope or "embedding_tied_rnn_seq2seq", dtype=dtype) as scope:
        dtype = scope.dtype
        check_projection(output_projection, num_symbols, dtype)
        embedding = get_variable("embedding", [num_symbols, embedding_size], dtype=dtype)
        sources = [embedding_lookup(embedding, x) for x in encoder_inputs]
        targets = [embedding_lookup(embedding, x) for x in decoder_inputs]
        if output_projection is None:
            cell = OutputProjectionWrapper(cell, num_symbols if num_decoder_symbols is None else num_decoder_symbols)

        def decoder(feeds: bool, update: bool) -> Decoded:
            loop = argmax_and_embed(embedding, output_projection, update) if feeds else None
            return tied_rnn_seq2seq(sources, targets, cell, loop_function=loop, dtype=dtype)  # type: ignore[no-any-return]

        return _decoded(feed_previous, decoder, len(decoder_inputs), lambda: cell.zero_state(_batch_size(encoder_inputs), dtype))


def embedding_attention_seq2seq(encoder_inputs, decoder_inputs, cell, num_encoder_symbols, num_decoder_symbols, embedding_size,
                                num_heads=1, output_projection=None, feed_previous=False, dtype=None, scope=None,
                                initial_state_attention=False):  # fmt: skip
    """`embedding_rnn_seq2seq` whose decoder attends to the encoder's outputs (Bahdanau et al. 2014, arXiv:1409.0473)."""
    with variable_scope(scope or "embedding_attention_seq2seq", dtype=dtype) as scope:
        dtype = scope.dtype
        encoder = EmbeddingWrapper(copy.deepcopy(cell), embedding_classes=num_encoder_symbols, embedding_size=embedding_size)
        outputs, encoded = static_rnn(encoder, encoder_inputs, dtype=dtype)
        attention_states = concat([reshape(e, [-1, 1, cell.output_size]) for e in outputs], 1)
        output_size = None
        if output_projection is None:
            cell = OutputProjectionWrapper(cell, num_decoder_symbols)
            output_size = num_decoder_symbols

        def decoder(feeds: bool, update: bool) -> Decoded:
            return embedding_attention_decoder(  # type: ignore[no-any-return]
                decoder_inputs, encoded, attention_states, cell, num_decoder_symbols, embedding_size, num_heads=num_heads,
                output_size=output_size, output_projection=output_projection, feed_previous=feeds, update_embedding_for_previous=update,
                initial_state_attention=initial_state_attention,
            )  # fmt: skip

        return _decoded(feed_previous, decoder, len(decoder_inputs), lambda: encoded)


def one2many_rnn_seq2seq(encoder_inputs, decoder_inputs_dict, enc_cell, dec_cells_dict, num_encoder_symbols, num_decoder_symbols_dict,
                         embedding_size, feed_previous=False, dtype=None, scope=None):  # fmt: skip
    """One encoder and several decoders, by name: dicts of their inputs, cells and numbers of symbols. Gives dicts of outputs and
    states."""
    if not isinstance(enc_cell, RNNCell):
        raise TypeError(f"enc_cell is not an RNNCell: {type(enc_cell)}")
    if set(dec_cells_dict) != set(decoder_inputs_dict):
        raise ValueError("keys of dec_cells_dict != keys of decoder_inputs_dict")
    for cell in dec_cells_dict.values():
        if not isinstance(cell, RNNCell):
            raise TypeError(f"dec_cell is not an RNNCell: {type(cell)}")
    outputs, states = {}, {}
    with variable_scope(scope or "one2many_rnn_seq2seq", dtype=dtype) as scope:
        encoder = EmbeddingWrapper(enc_cell, embedding_classes=num_encoder_symbols, embedding_size=embedding_size)
        _, encoded = static_rnn(encoder, encoder_inputs, dtype=scope.dtype)
        for name, inputs in decoder_inputs_dict.items():
            symbols = num_decoder_symbols_dict[name]
            with variable_scope(f"one2many_decoder_{name}"):
                cell = OutputProjectionWrapper(dec_cells_dict[name], symbols)

                def decoder(feeds: bool, _: bool, inputs: Any = inputs, cell: Any = cell, symbols: int = symbols) -> Decoded:
                    return embedding_rnn_decoder(  # type: ignore[no-any-return]
                        inputs, encoded, cell, symbols, embedding_size, feed_previous=feeds
                    )

                outputs[name], states[name] = _decoded(feed_previous, decoder, len(inputs), lambda: encoded)
    return outputs, states
