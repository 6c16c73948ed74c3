"""Distributions of a coin and of a die."""

from __future__ import annotations

from typing import Any

from graphflow.distributions.base import NOT_REPARAMETERIZED, Distribution
from graphflow.distributions.divergence import RegisterKL
from graphflow.dtypes import bool as bool_
from graphflow.dtypes import int32, int64
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.nn.cross_entropy import sigmoid_cross_entropy_with_logits, sparse_softmax_cross_entropy_with_logits
from graphflow.ops.assertions import assert_equal, assert_less_equal, assert_near, assert_non_negative
from graphflow.ops.choose import sequence_mask
from graphflow.ops.joining import concat
from graphflow.ops.logic import cast, where
from graphflow.ops.random import random_uniform
from graphflow.ops.random_choice import multinomial
from graphflow.ops.reductions import argmax, reduce_sum
from graphflow.ops.reshape import reshape, transpose
from graphflow.ops.shape import rank, shape
from graphflow.ops.source import constant, identity, ones, ones_like, with_dependencies, zeros_like
from graphflow.shapes import TensorShape


def _both_forms(logits: Any, probs: Any, validate: bool, many: bool, name: str) -> tuple[Any, Any]:
    """Logits and probabilities from one of the two. `many`: of exclusive classes along the last axis, else of independent events."""
    with name_scope(name, values=[probs, logits]):
        if (probs is None) == (logits is None):
            raise ValueError("Must pass probs or logits, but not both.")
        given = "logits" if probs is None else "probs"
        value = convert_to_tensor(logits if probs is None else probs, name=given)
        if not value.dtype.is_floating:
            raise TypeError(f"{given} must having floating type.")
        if many and value.shape.ndims is not None and (value.shape.ndims < 1 or validate and (value.shape[-1].value or 2) < 2):
            raise ValueError("A categorical-distribution parameter must have at least 1 dimension, and at least 2 events.")
        if probs is None:
            return value, make("Softmax" if many else "Sigmoid", value, name="probs")
        if validate:
            value = _valid(value, many)
        with name_scope("logits"):
            logarithm = make("Log", value)
            return logarithm if many else logarithm - make("Log1p", -1.0 * value), value


def _valid(probs: Any, many: bool) -> Any:
    with name_scope("validate_probs"):
        one = constant(1.0, probs.dtype)
        checks = [assert_non_negative(probs)]
        if many:
            checks.append(assert_near(reduce_sum(probs, -1), one, message="probs does not sum to 1."))
        else:
            checks.append(assert_less_equal(probs, one, message="probs has components greater than 1."))
        return with_dependencies(checks, probs)


def _whole(event: Any, most: int | None = None) -> Any:
    """`event`, which a run checks to be whole, not negative, and at most `most`."""
    with name_scope("embed_check_casting_closed", values=[event]):
        checks = [assert_non_negative(event, message="Elements must be non-negative.")]
        if event.dtype.is_floating:
            checks.append(assert_equal(event, cast(cast(event, int64), event.dtype), message="Elements must be whole."))
        if most is not None:
            checks.append(assert_less_equal(event, most, message=f"Elements cannot exceed {most}."))
        return with_dependencies(checks, event)


class _OfLogits(Distribution):
    """Base of the two: made from logits or from probabilities."""

    @property
    def logits(self):
        """Logarithms of the odds, or of the classes' weights."""
        return self._logits

    @property
    def probs(self):
        """The probabilities."""
        return self._probs

    @classmethod
    def _param_shapes(cls, sample_shape: Any) -> dict[str, Any]:
        return {"logits": convert_to_tensor(sample_shape, dtype=int32)}

    def _event_shape_tensor(self) -> Any:
        return constant([], dtype=int32)

    def _event_shape(self) -> TensorShape:
        return TensorShape([])


class Bernoulli(_OfLogits):
    """1 with probability `probs` = sigmoid(logits), else 0."""

    def __init__(self, logits=None, probs=None, dtype=int32, validate_args=False, allow_nan_stats=True, name="Bernoulli"):
        given = {"logits": logits, "probs": probs, "dtype": dtype, "validate_args": validate_args, "allow_nan_stats": allow_nan_stats,
                 "name": name}  # fmt: skip
        with name_scope(name) as name:
            self._logits, self._probs = _both_forms(logits, probs, validate_args, False, name)
        super().__init__(dtype, NOT_REPARAMETERIZED, validate_args, allow_nan_stats, given, [self._logits, self._probs], name)

    def _batch_shape_tensor(self) -> Any:
        return shape(self._logits)

    def _batch_shape(self) -> TensorShape:
        return self._logits.shape

    def _sample_n(self, n: Any, seed: Any = None) -> Any:
        sizes = concat([[n], self.batch_shape_tensor()], 0)
        drawn = random_uniform(sizes, seed=seed, dtype=self.probs.dtype)
        return cast(make("Less", drawn, self.probs), self.dtype)

    def _log_prob(self, event: Any) -> Any:
        if self.validate_args:
            event = event if event.dtype is bool_ else _whole(event, 1)
        event, logits = cast(event, self.logits.dtype), self.logits
        if not (event.shape.is_fully_defined() and logits.shape.is_fully_defined() and event.shape == logits.shape):
            logits, event = ones_like(event) * logits, ones_like(logits) * event
        return -sigmoid_cross_entropy_with_logits(labels=event, logits=logits)

    def _entropy(self) -> Any:
        return -self.logits * (make("Sigmoid", self.logits) - 1) + make("Softplus", -self.logits)

    def _mean(self) -> Any:
        return identity(self.probs)

    def _variance(self) -> Any:
        return self._mean() * (1.0 - self.probs)

    def _mode(self) -> Any:
        return cast(self.probs > 0.5, self.dtype)


@RegisterKL(Bernoulli, Bernoulli)
def _coin_from_coin(a: Bernoulli, b: Bernoulli, name: str | None = None) -> Any:
    with name_scope(name, "kl_bernoulli_bernoulli", [a.logits, b.logits]):
        failure = make("Softplus", -b.logits) - make("Softplus", -a.logits)
        success = make("Softplus", b.logits) - make("Softplus", a.logits)
        return make("Sigmoid", a.logits) * failure + make("Sigmoid", -a.logits) * success


class Categorical(_OfLogits):
    """Class number k with probability probs[..., k] = softmax(logits)[..., k]."""

    def __init__(self, logits=None, probs=None, dtype=int32, validate_args=False, allow_nan_stats=True, name="Categorical"):
        given = {"logits": logits, "probs": probs, "dtype": dtype, "validate_args": validate_args, "allow_nan_stats": allow_nan_stats,
                 "name": name}  # fmt: skip
        with name_scope(name, values=[logits, probs]) as name:
            self._logits, self._probs = _both_forms(logits, probs, validate_args, True, name)
            static = self._logits.shape.with_rank_at_least(1)
            if static.ndims is not None:
                self._batch_rank = convert_to_tensor(static.ndims - 1, dtype=int32, name="batch_rank")
            else:
                with name_scope("batch_rank"):
                    self._batch_rank = rank(self._logits) - 1
            sizes = shape(self._logits, name="logits_shape")
            if static.ndims is not None and static[-1].value is not None:
                self._event_size = convert_to_tensor(static[-1].value, dtype=int32, name="event_size")
            else:
                with name_scope("event_size"):
                    self._event_size = sizes[self._batch_rank]
            if static[:-1].is_fully_defined():
                self._batch_sizes = constant(static[:-1].as_list(), dtype=int32, name="batch_shape")
            else:
                with name_scope("batch_shape"):
                    self._batch_sizes = sizes[:-1]
        super().__init__(dtype, NOT_REPARAMETERIZED, validate_args, allow_nan_stats, given, [self._logits, self._probs], name)

    @property
    def event_size(self):
        """The number of classes: int32 scalar."""
        return self._event_size

    def _batch_shape_tensor(self) -> Any:
        return identity(self._batch_sizes)

    def _batch_shape(self) -> TensorShape:
        return self.logits.shape[:-1]

    def _sample_n(self, n: Any, seed: Any = None) -> Any:
        rows = self.logits if self.logits.shape.ndims == 2 else reshape(self.logits, [-1, self.event_size])
        drawn = multinomial(rows, n, seed=seed, output_dtype=int64 if self.dtype.size > 4 else int32)
        return cast(reshape(transpose(drawn), concat([[n], self.batch_shape_tensor()], 0)), self.dtype)

    def _fitted(self, event: Any, parameters: Any) -> tuple[Any, Any]:
        """Class numbers and parameters, broadcast to one batch shape."""
        event = convert_to_tensor(event, name="k")
        if self.validate_args:
            event = _whole(event)
        if event.dtype.is_floating:
            event = cast(event, int32)
        elif not event.dtype.is_integer:
            raise TypeError(f"`value` should have integer `dtype` or `self.dtype` ({self.dtype})")
        batch = parameters.shape[:-1]
        if not (batch.is_fully_defined() and event.shape.is_fully_defined() and batch == event.shape):
            parameters *= ones_like(event[..., None], dtype=parameters.dtype)
            event *= ones(shape(parameters)[:-1], dtype=event.dtype)
            if parameters.shape.ndims is not None:
                event.set_shape(parameters.shape[:-1])
        return event, parameters

    def _log_prob(self, k: Any) -> Any:
        k, logits = self._fitted(k, self.logits)
        return -sparse_softmax_cross_entropy_with_logits(labels=k, logits=logits)

    def _cdf(self, k: Any) -> Any:
        k, probs = self._fitted(k, self.probs)
        rows = reshape(probs, (-1, self._event_size))
        numbers = reshape(k, [-1])
        below = where(sequence_mask(numbers, self._event_size), rows, zeros_like(rows))
        return reshape(reduce_sum(below, axis=-1), shape(k))

    def _entropy(self) -> Any:
        return -reduce_sum(make("LogSoftmax", self.logits) * self.probs, axis=-1)

    def _mode(self) -> Any:
        mode = cast(argmax(self.logits, axis=self._batch_rank), self.dtype)
        mode.set_shape(self.batch_shape)
        return mode


@RegisterKL(Categorical, Categorical)
def _die_from_die(a: Categorical, b: Categorical, name: str | None = None) -> Any:
    with name_scope(name, "kl_categorical_categorical", [a.logits, b.logits]):
        difference = make("LogSoftmax", a.logits) - make("LogSoftmax", b.logits)
        return reduce_sum(make("Softmax", a.logits) * difference, axis=-1)
