"""Attention mechanisms: how well each place of a memory [batch, time, depth] fits a query [batch, units].

A mechanism called with a query and its state gives the alignments [batch, time], which sum to one over time, and its next state, which is
the alignments again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from graphflow import nest
from graphflow.dtypes import as_dtype, float32, int32
from graphflow.graph.build import convert_to_tensor, name_scope
from graphflow.graph.scopes import control_dependencies
from graphflow.layers.base import Layer
from graphflow.layers.core import Dense
from graphflow.nn.cross_entropy import softmax
from graphflow.ops.activation import tanh
from graphflow.ops.assertions import assert_positive
from graphflow.ops.choose import sequence_mask
from graphflow.ops.gather import one_hot
from graphflow.ops.initializers import constant_initializer, ones_initializer, zeros_initializer
from graphflow.ops.joining import concat
from graphflow.ops.logic import where
from graphflow.ops.matmul import matmul
from graphflow.ops.reductions import argmax, reduce_sum
from graphflow.ops.reshape import expand_dims, reshape, squeeze
from graphflow.ops.shape import rank as rank_of
from graphflow.ops.shape import shape as shape_of
from graphflow.ops.source import ones, ones_like
from graphflow.ops.unary import rsqrt, square
from graphflow.ops.variable_scope import get_variable, variable_scope
from graphflow.rnn.base import zero_state_of

Probability = Callable[[Any, Any], Any]


class AttentionMechanism:
    """Base of attention mechanisms."""

    @property
    def alignments_size(self):
        """The number of places in the memory."""
        raise NotImplementedError

    @property
    def state_size(self):
        """The size of the state."""
        raise NotImplementedError


def _prepared(memory: Any, lengths: Any) -> Any:
    """The memory as tensors, zero past each row's length."""
    memory = nest.map_structure(lambda m: convert_to_tensor(m, name="memory"), memory)
    if lengths is not None:
        lengths = convert_to_tensor(lengths, name="memory_sequence_length")
    for m in nest.flatten(memory):
        if not m.shape[2:].is_fully_defined():
            raise ValueError(f"Expected memory {m.name} to have fully defined inner dims, but saw shape: {m.shape}")
    if lengths is None:
        return memory
    first = nest.flatten(memory)[0]
    mask = sequence_mask(lengths, maxlen=shape_of(first)[1], dtype=first.dtype)

    def masked(m: Any) -> Any:
        rank = rank_of(m) if m.shape.ndims is None else m.shape.ndims
        inner = ones(rank - 2, dtype=int32)
        return m * reshape(mask, concat((shape_of(mask), inner), 0))

    return nest.map_structure(masked, memory)


def _masked_score(score: Any, lengths: Any, value: Any) -> Any:
    """The score, `value` past each row's length."""
    if lengths is None:
        return score
    positive = assert_positive(lengths, message="All values in memory_sequence_length must be greater than zero.")
    with control_dependencies([positive]):
        mask = sequence_mask(lengths, maxlen=shape_of(score)[1])
    return where(mask, score, value * ones_like(score))


class BaseAttentionMechanism(AttentionMechanism):
    """A mechanism with a layer for queries and one that makes keys of the memory; either may be None.

    Subclasses have `_score(query)`. Past `memory_sequence_length` [batch] scores are `score_mask_value`, -infinity if not given.
    """

    def __init__(self, query_layer, memory, probability_fn, memory_sequence_length=None, memory_layer=None, score_mask_value=None,
                 custom_key_value_fn=None, name=None):  # fmt: skip
        for layer, what in ((query_layer, "query_layer"), (memory_layer, "memory_layer")):
            if layer is not None and not isinstance(layer, Layer):
                raise TypeError(f"{what} is not a Layer: {type(layer).__name__}")
        if not callable(probability_fn):
            raise TypeError(f"probability_fn must be callable, saw type: {type(probability_fn).__name__}")
        self._query_layer = query_layer
        self._memory_layer = memory_layer
        self.dtype = memory_layer.dtype
        self._name = name
        masked_value = as_dtype(self.dtype).as_numpy_dtype(-np.inf) if score_mask_value is None else score_mask_value
        self._probability_fn: Probability = lambda score, previous: probability_fn(
            _masked_score(score, memory_sequence_length, masked_value), previous
        )
        with name_scope(name, "BaseAttentionMechanismInit", nest.flatten(memory)):
            self._values = _prepared(memory, memory_sequence_length)
            self._keys = self._values if memory_layer is None else memory_layer(self._values)
            if custom_key_value_fn is not None:
                self._keys, self._values = custom_key_value_fn(self._keys, self._values)
            self._batch_size = self._keys.shape[0].value or shape_of(self._keys)[0]
            self._alignments_size = self._keys.shape[1].value or shape_of(self._keys)[1]

    @property
    def memory_layer(self):
        """The layer that makes the keys."""
        return self._memory_layer

    @property
    def query_layer(self):
        """The layer that queries go through."""
        return self._query_layer

    @property
    def values(self):
        """The memory, zero past each row's length."""
        return self._values

    @property
    def keys(self):
        """What queries are compared with, [batch, time, units]."""
        return self._keys

    @property
    def batch_size(self):
        """The batch size of the memory: an integer or a scalar tensor."""
        return self._batch_size

    @property
    def alignments_size(self):
        """The number of places in the memory: an integer or a scalar tensor."""
        return self._alignments_size

    @property
    def state_size(self):
        """That of the alignments."""
        return self._alignments_size

    def initial_alignments(self, batch_size, dtype):
        """Zeros [batch, time]."""
        return zero_state_of(self._alignments_size, batch_size, dtype)

    def initial_state(self, batch_size, dtype):
        """The initial alignments."""
        return self.initial_alignments(batch_size, dtype)

    def _score(self, query: Any) -> Any:
        raise NotImplementedError

    def __call__(self, query, state):
        """The alignments and the next state."""
        alignments = self._probability_fn(self._score(query), state)
        return alignments, alignments


def _dense(units: int, name: str, dtype: Any) -> Dense:
    return Dense(units, name=name, use_bias=False, dtype=dtype)


def _of_score_only(probability_fn: Any) -> Probability:
    function = probability_fn or softmax
    return lambda score, _: function(score)


def luong_score(query: Any, keys: Any, scale: Any) -> Any:
    """keys · query, times `scale` if there is one."""
    depth, units = query.shape[-1], keys.shape[-1]
    if depth != units:
        raise ValueError(
            f"Incompatible or unknown inner dimensions between query and keys.  Query ({query}) has units: {depth}.  Keys ({keys}) have "
            f"units: {units}.  Perhaps you need to set num_units to the keys' dimension ({units})?"
        )
    score = squeeze(matmul(expand_dims(query, 1), keys, transpose_b=True), [1])
    return score if scale is None else scale * score


def luong_scale(wanted: bool, dtype: Any) -> Any:
    """The variable attention_g, a scalar, where it is wanted."""
    return get_variable("attention_g", dtype=dtype, initializer=ones_initializer, shape=()) if wanted else None


class LuongAttention(BaseAttentionMechanism):
    """Multiplicative attention (Luong et al. 2015, arXiv:1508.04025): score = keys · query, with `scale` times a variable.

    Queries must be as wide as the keys. Variables: memory_layer/kernel [depth, num_units], attention_g [].
    """

    def __init__(self, num_units, memory, memory_sequence_length=None, scale=False, probability_fn=None, score_mask_value=None, dtype=None,
                 custom_key_value_fn=None, name="LuongAttention"):  # fmt: skip
        super().__init__(
            query_layer=None, memory_layer=_dense(num_units, "memory_layer", dtype or float32), memory=memory,
            probability_fn=_of_score_only(probability_fn), memory_sequence_length=memory_sequence_length,
            score_mask_value=score_mask_value, custom_key_value_fn=custom_key_value_fn, name=name,
        )  # fmt: skip
        self._num_units = num_units
        self._scale = scale

    def _score(self, query: Any) -> Any:
        with variable_scope(None, "luong_attention", [query]):
            return luong_score(query, self._keys, luong_scale(self._scale, query.dtype))


def bahdanau_score(query: Any, keys: Any, num_units: int, normalize: bool, dtype: Any) -> Any:
    """v · tanh(keys + query), with the variables attention_v [units] and, normalised, attention_g [] and attention_b [units]."""
    v = get_variable("attention_v", [num_units], dtype=dtype)
    if not normalize:
        return reduce_sum(v * tanh(keys + expand_dims(query, 1)), [2])
    start = constant_initializer(math.sqrt(1.0 / num_units))
    g = get_variable("attention_g", dtype=dtype, initializer=start, shape=())
    b = get_variable("attention_b", [num_units], dtype=dtype, initializer=zeros_initializer())
    query = expand_dims(query, 1)
    normed = g * v * rsqrt(reduce_sum(square(v)))
    return reduce_sum(normed * tanh(keys + query + b), [2])


class BahdanauAttention(BaseAttentionMechanism):
    """Additive attention (Bahdanau et al. 2014, arXiv:1409.0473): score = v · tanh(keys + query_layer(query)).

    With `normalize` v has a length of its own (Salimans & Kingma 2016, arXiv:1602.07868). Variables: query_layer/kernel,
    memory_layer/kernel [depth, num_units], attention_v [num_units], attention_g [], attention_b [num_units].
    """

    def __init__(self, num_units, memory, memory_sequence_length=None, normalize=False, probability_fn=None, score_mask_value=None,
                 dtype=None, custom_key_value_fn=None, name="BahdanauAttention"):  # fmt: skip
        dtype = dtype or float32
        super().__init__(
            query_layer=_dense(num_units, "query_layer", dtype), memory_layer=_dense(num_units, "memory_layer", dtype), memory=memory,
            probability_fn=_of_score_only(probability_fn), custom_key_value_fn=custom_key_value_fn,
            memory_sequence_length=memory_sequence_length, score_mask_value=score_mask_value, name=name,
        )  # fmt: skip
        self._num_units = num_units
        self._normalize = normalize

    def _score(self, query: Any) -> Any:
        with variable_scope(None, "bahdanau_attention", [query]):
            processed = self.query_layer(query)
            return bahdanau_score(processed, self._keys, self._num_units, self._normalize, query.dtype)


def hardmax(logits, name=None):
    """1 at the largest of each row's logits, 0 elsewhere."""
    with name_scope(name, "Hardmax", [logits]):
        logits = convert_to_tensor(logits, name="logits")
        depth = shape_of(logits)[-1] if logits.shape[-1].value is None else logits.shape[-1].value
        return one_hot(argmax(logits, -1), depth, dtype=logits.dtype)
