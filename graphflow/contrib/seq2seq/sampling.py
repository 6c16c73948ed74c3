"""Random numbers of decoders: coins and symbols, one for each row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphflow.dtypes import int32, int64
from graphflow.graph.build import convert_to_tensor, name_scope
from graphflow.ops.activation import sigmoid
from graphflow.ops.joining import concat
from graphflow.ops.logic import cast, equal, less
from graphflow.ops.padding import pad
from graphflow.ops.random import random_uniform
from graphflow.ops.random_choice import multinomial
from graphflow.ops.reductions import reduce_prod
from graphflow.ops.reshape import reshape, transpose
from graphflow.ops.shape import rank as rank_of
from graphflow.ops.shape import shape as shape_of

__all__ = ["bernoulli_sample", "categorical_sample"]


def _sampled(draw: Callable[[Any], Any], sample_shape: Any, name: str | None = None) -> Any:
    """Samples of the given shape from `draw(n)`, which gives n of them."""
    with name_scope(name, "call_sampler", values=[sample_shape]):
        sample_shape = convert_to_tensor(sample_shape, dtype=int32, name="sample_shape")
        # A scalar becomes a vector of one.
        missing = cast(equal(rank_of(sample_shape), 0), int32)
        sample_shape = reshape(sample_shape, pad(shape_of(sample_shape), paddings=[[missing, 0]], constant_values=1))
        samples = draw(reduce_prod(sample_shape))
        return reshape(samples, concat([sample_shape, shape_of(samples)[1:]], 0))


def bernoulli_sample(probs=None, logits=None, dtype=int32, sample_shape=(), seed=None):
    """1 or true with the given probabilities: `sample_shape` draws for each of them."""
    probs = sigmoid(logits, name="probs") if probs is None else convert_to_tensor(probs, name="probs")
    each = shape_of(probs)

    def draw(count: Any) -> Any:
        drawn = random_uniform(concat([[count], each], 0), seed=seed, dtype=probs.dtype)
        return cast(less(drawn, probs), dtype)

    return _sampled(draw, sample_shape)


def categorical_sample(logits, dtype=int32, sample_shape=(), seed=None):
    """Numbers of classes, with the probabilities softmax(logits), logits [..., classes]: `sample_shape` draws for each row."""
    logits = convert_to_tensor(logits, name="logits")
    classes = shape_of(logits)[-1]
    each = shape_of(logits)[:-1]

    def draw(count: Any) -> Any:
        rows = logits if logits.shape.ndims == 2 else reshape(logits, [-1, classes])
        drawn = multinomial(rows, count, seed=seed, output_dtype=int64 if logits.dtype.size > 4 else int32)
        return cast(reshape(transpose(drawn), concat([[count], each], 0)), dtype)

    return _sampled(draw, sample_shape)
