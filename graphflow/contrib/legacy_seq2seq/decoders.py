"""Decoders: a cell that reads a list of inputs from a state that an encoder left, with or without attention to the encoder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphflow import nest
from graphflow.contrib.rnn.core_rnn_cell import _Linear
from graphflow.dtypes import float32
from graphflow.graph.build import convert_to_tensor
from graphflow.nn.convolution import conv2d
from graphflow.nn.cross_entropy import softmax
from graphflow.nn.embedding import embedding_lookup
from graphflow.ops.activation import tanh
from graphflow.ops.joining import concat, stack
from graphflow.ops.logic import cast
from graphflow.ops.matmul import xw_plus_b
from graphflow.ops.reductions import argmax, reduce_sum
from graphflow.ops.reshape import reshape
from graphflow.ops.shape import shape as shape_of
from graphflow.ops.source import stop_gradient, zeros
from graphflow.ops.variable_scope import get_variable, get_variable_scope, variable_scope


def argmax_and_embed(embedding: Any, output_projection: Any = None, update_embedding: bool = True) -> Callable[[Any, int], Any]:
    """A loop function that makes the next input of the last output: the embedding of its most probable symbol."""

    def loop_function(previous: Any, _: int) -> Any:
        if output_projection is not None:
            previous = xw_plus_b(previous, output_projection[0], output_projection[1])
        embedded = embedding_lookup(embedding, argmax(previous, 1))
        return embedded if update_embedding else stop_gradient(embedded)

    return loop_function


def check_projection(output_projection: Any, num_symbols: int, dtype: Any, weights: bool = True) -> None:
    """ValueError unless (weights, biases) can make logits of `num_symbols`."""
    if output_projection is None:
        return
    if weights:
        convert_to_tensor(output_projection[0], dtype=dtype).shape.assert_is_compatible_with([None, num_symbols])
    convert_to_tensor(output_projection[1], dtype=dtype).shape.assert_is_compatible_with([num_symbols])


def rnn_decoder(decoder_inputs, initial_state, cell, loop_function=None, scope=None):
    """Runs `cell` over a list of inputs [batch, depth]; gives the list of outputs and the last state.

    With `loop_function(previous_output, step)` all inputs but the first are what it gives.
    """
    with variable_scope(scope or "rnn_decoder"):
        state, outputs = initial_state, []
        for number, given in enumerate(decoder_inputs):
            if loop_function is not None and outputs:
                with variable_scope("loop_function", reuse=True):
                    given = loop_function(outputs[-1], number)
            if number > 0:
                get_variable_scope().reuse_variables()
            output, state = cell(given, state)
            outputs.append(output)
    return outputs, state


def embedding_rnn_decoder(decoder_inputs, initial_state, cell, num_symbols, embedding_size, output_projection=None, feed_previous=False,
                          update_embedding_for_previous=True, scope=None):  # fmt: skip
    """`rnn_decoder` on a list of numbers of symbols [batch]: rows of the variable embedding [num_symbols, embedding_size].

    With `feed_previous` only the first is read, and then the most probable symbol of each output, by `output_projection` (weights,
    biases) if that is given.
    """
    with variable_scope(scope or "embedding_rnn_decoder") as scope:
        check_projection(output_projection, num_symbols, scope.dtype)
        embedding = get_variable("embedding", [num_symbols, embedding_size])
        loop = argmax_and_embed(embedding, output_projection, update_embedding_for_previous) if feed_previous else None
        return rnn_decoder((embedding_lookup(embedding, i) for i in decoder_inputs), initial_state, cell, loop_function=loop)


class _Attention:
    """Heads that read `states` [batch, length, size] with a query (Vinyals et al. 2014, arXiv:1412.7449)."""

    def __init__(self, states: Any, heads: int, dtype: Any) -> None:
        length = states.shape[1].value
        self.length = shape_of(states)[1] if length is None else length
        self.size = states.shape[2].value
        self.dtype = dtype
        self.hidden = reshape(states, [-1, self.length, 1, self.size])
        self.features, self.v = [], []
        for head in range(heads):
            k = get_variable(f"AttnW_{head}", [1, 1, self.size, self.size], dtype=dtype)
            self.features.append(conv2d(self.hidden, k, [1, 1, 1, 1], "SAME"))
            self.v.append(get_variable(f"AttnV_{head}", [self.size], dtype=dtype))

    def read(self, query: Any) -> list[Any]:
        """What each head finds, [batch, size]."""
        if nest.is_nested(query):
            parts = nest.flatten(query)
            assert all(part.shape.ndims in (None, 2) for part in parts), "the cell's state must be made of [batch, size]"
            query = concat(parts, 1)
        found = []
        for head, (features, v) in enumerate(zip(self.features, self.v, strict=True)):
            with variable_scope(f"Attention_{head}"):
                y = cast(reshape(_Linear(query, self.size, True)(query), [-1, 1, 1, self.size]), self.dtype)
                scores = reduce_sum(v * tanh(features + y), [2, 3])
                weights = cast(softmax(cast(scores, float32)), self.dtype)
                mixed = reduce_sum(reshape(weights, [-1, self.length, 1, 1]) * self.hidden, [1, 2])
                found.append(reshape(mixed, [-1, self.size]))
        return found


def attention_decoder(decoder_inputs, initial_state, attention_states, cell, output_size=None, num_heads=1, loop_function=None, dtype=None,
                      scope=None, initial_state_attention=False):  # fmt: skip
    """`rnn_decoder` whose every step also reads `attention_states` [batch, length, size] by `num_heads` heads.

    Outputs have `output_size`, or the cell's. With `initial_state_attention` the first step already has what the initial state finds,
    else zeros.
    """
    if not decoder_inputs:
        raise ValueError("Must provide at least 1 input to attention decoder.")
    if num_heads < 1:
        raise ValueError("With less than 1 heads, use a non-attention decoder.")
    if attention_states.shape[2].value is None:
        raise ValueError(f"Shape[2] of attention_states must be known: {attention_states.shape}")
    output_size = cell.output_size if output_size is None else output_size
    with variable_scope(scope or "attention_decoder", dtype=dtype) as scope:
        dtype = scope.dtype
        batch_size = shape_of(decoder_inputs[0])[0]
        attention = _Attention(attention_states, num_heads, dtype)
        state, outputs = initial_state, []
        sizes = stack([batch_size, attention.size])
        found = [zeros(sizes, dtype=dtype) for _ in range(num_heads)]
        for one in found:
            one.set_shape([None, attention.size])
        if initial_state_attention:
            found = attention.read(initial_state)
        for number, given in enumerate(decoder_inputs):
            if number > 0:
                get_variable_scope().reuse_variables()
            if loop_function is not None and outputs:
                with variable_scope("loop_function", reuse=True):
                    given = loop_function(outputs[-1], number)
            depth = given.shape.with_rank(2)[1]
            if depth.value is None:
                raise ValueError(f"Could not infer input size from input: {given.name}")
            inputs = [cast(part, dtype) for part in (given, *found)]
            output, state = cell(_Linear(inputs, depth, True)(inputs), state)
            if number == 0 and initial_state_attention:
                with variable_scope(get_variable_scope(), reuse=True):
                    found = attention.read(state)
            else:
                found = attention.read(state)
            with variable_scope("AttnOutputProjection"):
                inputs = [cast(output, dtype), *found]
                outputs.append(_Linear(inputs, output_size, True)(inputs))
    return outputs, state


def embedding_attention_decoder(decoder_inputs, initial_state, attention_states, cell, num_symbols, embedding_size, num_heads=1,
                                output_size=None, output_projection=None, feed_previous=False, update_embedding_for_previous=True,
                                dtype=None, scope=None, initial_state_attention=False):  # fmt: skip
    """`attention_decoder` on a list of numbers of symbols [batch]; see `embedding_rnn_decoder`."""
    output_size = cell.output_size if output_size is None else output_size
    check_projection(output_projection, num_symbols, dtype, weights=False)
    with variable_scope(scope or "embedding_attention_decoder", dtype=dtype):
        embedding = get_variable("embedding", [num_symbols, embedding_size])
        loop = argmax_and_embed(embedding, output_projection, update_embedding_for_previous) if feed_previous else None
        inputs = [embedding_lookup(embedding, i) for i in decoder_inputs]
        return attention_decoder(
            inputs, initial_state, attention_states, cell, output_size=output_size, num_heads=num_heads, loop_function=loop,
            initial_state_attention=initial_state_attention,
        )  # fmt: skip
