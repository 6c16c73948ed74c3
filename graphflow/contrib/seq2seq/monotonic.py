"""Monotonic attention (Raffel et al. 2017, arXiv:1704.00784): the place attended to only moves forward."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from graphflow.contrib.seq2seq.attention import BaseAttentionMechanism, _dense, bahdanau_score, luong_scale, luong_score
from graphflow.dtypes import float32, int32
from graphflow.graph.build import convert_to_tensor, name_scope
from graphflow.ops.activation import sigmoid
from graphflow.ops.clip import clip_by_value
from graphflow.ops.functional import scan
from graphflow.ops.gather import one_hot
from graphflow.ops.joining import concat
from graphflow.ops.logic import cast
from graphflow.ops.random import random_normal
from graphflow.ops.reshape import reshape, transpose
from graphflow.ops.scans import cumprod, cumsum
from graphflow.ops.shape import shape as shape_of
from graphflow.ops.source import ones, zeros
from graphflow.ops.unary import exp, log
from graphflow.ops.variable_scope import get_variable, variable_scope


def safe_cumprod(x, *args, **kwargs):
    """tf.cumprod of x in [0, 1] by sums of logarithms: its gradient is finite where x is 0. Takes the arguments of tf.cumsum."""
    with name_scope(None, "SafeCumprod", [x]):
        x = convert_to_tensor(x, name="x")
        tiny = np.finfo(x.dtype.as_numpy_dtype).tiny
        return exp(cumsum(log(clip_by_value(x, tiny, 1)), *args, **kwargs))


def monotonic_attention(p_choose_i, previous_attention, mode):
    """The attention [batch, time] after that of the step before, for the probability of choosing each place.

    mode: "recursive" is exact, by a loop over the places; "parallel" by cumulative sums and products, less exact where the
    probabilities are near 1; "hard" is for probabilities that are all 0 or 1.
    """
    p_choose_i = convert_to_tensor(p_choose_i, name="p_choose_i")
    previous_attention = convert_to_tensor(previous_attention, name="previous_attention")
    if mode == "recursive":
        batch_size = p_choose_i.shape[0].value or shape_of(p_choose_i)[0]
        shifted = concat([ones((batch_size, 1)), 1 - p_choose_i[:, :-1]], 1)
        places = scan(
            lambda x, yz: reshape(yz[0] * x + yz[1], (batch_size,)), [transpose(shifted), transpose(previous_attention)],
            zeros((batch_size,)),
        )  # fmt: skip
        return p_choose_i * transpose(places)
    if mode == "parallel":
        passed = safe_cumprod(1 - p_choose_i, axis=1, exclusive=True)
        return p_choose_i * passed * cumsum(previous_attention / clip_by_value(passed, 1e-10, 1.0), axis=1)
    if mode == "hard":
        p_choose_i *= cumsum(previous_attention, axis=1)
        return p_choose_i * cumprod(1 - p_choose_i, axis=1, exclusive=True)
    raise ValueError("mode must be 'recursive', 'parallel', or 'hard'.")


def monotonic_probability_fn(score, previous_alignments, sigmoid_noise, mode, seed=None):
    """`monotonic_attention` with the probabilities sigmoid(score), with noise of that size in the score; hard where mode is "hard"."""
    if sigmoid_noise > 0:
        noise = random_normal(shape_of(score), dtype=score.dtype, seed=seed)
        score += sigmoid_noise * noise
    chosen = cast(score > 0, score.dtype) if mode == "hard" else sigmoid(score)
    return monotonic_attention(chosen, previous_alignments, mode)


class _Monotonic(BaseAttentionMechanism):
    """A mechanism that begins at the first place, with the variable attention_score_bias [] added to its scores."""

    def __init__(self, score_bias_init: Any, sigmoid_noise: float, seed: int | None, mode: str, **given: Any) -> None:
        function = functools.partial(monotonic_probability_fn, sigmoid_noise=sigmoid_noise, mode=mode, seed=seed)
        super().__init__(probability_fn=function, **given)
        self._score_bias_init = score_bias_init

    def initial_alignments(self, batch_size, dtype):
        """1 at the first place, [batch, time]."""
        return one_hot(zeros((batch_size,), dtype=int32), self._alignments_size, dtype=dtype)

    def _biased(self, score: Any, dtype: Any) -> Any:
        return score + get_variable("attention_score_bias", dtype=dtype, initializer=self._score_bias_init)


class BahdanauMonotonicAttention(_Monotonic):
    """Monotonic attention with the score of BahdanauAttention and a bias."""

    def __init__(self, num_units, memory, memory_sequence_length=None, normalize=False, score_mask_value=None, sigmoid_noise=0.0,
                 sigmoid_noise_seed=None, score_bias_init=0.0, mode="parallel", dtype=None, name="BahdanauMonotonicAttention"):  # fmt: skip
        dtype = dtype or float32
        super().__init__(
            score_bias_init, sigmoid_noise, sigmoid_noise_seed, mode, query_layer=_dense(num_units, "query_layer", dtype),
            memory_layer=_dense(num_units, "memory_layer", dtype), memory=memory, memory_sequence_length=memory_sequence_length,
            score_mask_value=score_mask_value, name=name,
        )  # fmt: skip
        self._num_units = num_units
        self._normalize = normalize

    def _score(self, query: Any) -> Any:
        with variable_scope(None, "bahdanau_monotonic_attention", [query]):
            processed = self.query_layer(query)
            score = bahdanau_score(processed, self._keys, self._num_units, self._normalize, query.dtype)
            return self._biased(score, processed.dtype)


class LuongMonotonicAttention(_Monotonic):
    """Monotonic attention with the score of LuongAttention and a bias."""

    def __init__(self, num_units, memory, memory_sequence_length=None, scale=False, score_mask_value=None, sigmoid_noise=0.0,
                 sigmoid_noise_seed=None, score_bias_init=0.0, mode="parallel", dtype=None, name="LuongMonotonicAttention"):  # fmt: skip
        super().__init__(
            score_bias_init, sigmoid_noise, sigmoid_noise_seed, mode, query_layer=None,
            memory_layer=_dense(num_units, "memory_layer", dtype or float32), memory=memory,
            memory_sequence_length=memory_sequence_length, score_mask_value=score_mask_value, name=name,
        )  # fmt: skip
        self._num_units = num_units
        self._scale = scale

    def _score(self, query: Any) -> Any:
        with variable_scope(None, "luong_monotonic_attention", [query]):
            score = luong_score(query, self._keys, luong_scale(self._scale, query.dtype))
            return self._biased(score, query.dtype)
