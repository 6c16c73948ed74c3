"""What distributions have in common: names, shapes of samples, and what follows from what.

A distribution has parameters of a *batch* shape: one distribution for each of its elements. Samples have the shape
sample shape + batch shape + *event* shape, where the event shape is that of one outcome, [] for numbers.

A subclass says `_batch_shape`, `_batch_shape_tensor`, `_event_shape`, `_event_shape_tensor`, and what it can of the public methods with an
underscore before their names (`_sample_n` for sample); a density follows from its logarithm and the other way round, and so on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from graphflow.distributions.divergence import kl_divergence
from graphflow.dtypes import DType, int32
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.convert import constant_value
from graphflow.graph.tensor import Tensor
from graphflow.ops.joining import concat
from graphflow.ops.logic import equal
from graphflow.ops.reductions import reduce_prod
from graphflow.ops.reshape import reshape
from graphflow.ops.shape import shape
from graphflow.shapes import TensorShape, as_shape


class ReparameterizationType:
    """Whether gradients flow through samples to the parameters."""

    def __init__(self, rep_type: str) -> None:
        self._rep_type = rep_type

    def __repr__(self) -> str:
        return f"<Reparameterization Type: {self._rep_type}>"


FULLY_REPARAMETERIZED = ReparameterizationType("FULLY_REPARAMETERIZED")
NOT_REPARAMETERIZED = ReparameterizationType("NOT_REPARAMETERIZED")


def _lacking(name: str) -> Callable[..., Any]:
    def method(self: Distribution, *arguments: Any, **keywords: Any) -> Any:
        raise NotImplementedError(f"{name} is not implemented: {type(self).__name__}")

    return method


class Distribution:
    """Base of distributions."""

    def __init__(
        self, dtype: DType, reparameterization_type: ReparameterizationType, validate_args: bool, allow_nan_stats: bool,
        parameters: dict[str, Any] | None = None, graph_parents: Sequence[Tensor] | None = None, name: str | None = None,
    ) -> None:  # fmt: skip
        parents = list(graph_parents or ())
        for i, parent in enumerate(parents):
            if not isinstance(parent, Tensor):
                raise ValueError(f"Graph parent item {i} is not a Tensor; {parent}.")
        if not name or not name.endswith("/"):
            with name_scope(name or type(self).__name__) as name:
                pass
        self._dtype, self._name = dtype, name
        self._reparameterization_type = reparameterization_type
        self._validate_args, self._allow_nan_stats = validate_args, allow_nan_stats
        self._parameters, self._graph_parents = dict(parameters or {}), parents

    @property
    def name(self) -> str:
        """The name scope of its operations."""
        return self._name

    @property
    def dtype(self) -> DType:
        """The type of samples."""
        return self._dtype

    @property
    def parameters(self) -> dict[str, Any]:
        """The arguments that it was made with."""
        return {k: v for k, v in self._parameters.items() if k != "self" and not k.startswith("__")}

    @property
    def reparameterization_type(self) -> ReparameterizationType:
        """Whether gradients flow through samples."""
        return self._reparameterization_type

    @property
    def allow_nan_stats(self) -> bool:
        """Whether a statistic that is not defined is NaN, rather than an error."""
        return self._allow_nan_stats

    @property
    def validate_args(self) -> bool:
        """Whether runs check parameters and values."""
        return self._validate_args

    def copy(self, **override_parameters_kwargs):
        """The same distribution with some parameters changed."""
        return type(self)(**{**self.parameters, **override_parameters_kwargs})

    @contextmanager
    def _name_scope(self, name: str | None = None, values: Sequence[Any] = ()) -> Iterator[str]:
        with name_scope(self.name), name_scope(name, values=[*values, *self._graph_parents]) as scope:
            yield scope

    # -- shapes --------------------------------------------------------------------------------------------------------------

    _batch_shape_tensor = _lacking("batch_shape_tensor")
    _event_shape_tensor = _lacking("event_shape_tensor")

    def _batch_shape(self) -> TensorShape:
        return TensorShape(None)

    def _event_shape(self) -> TensorShape:
        return TensorShape(None)

    @property
    def batch_shape(self) -> TensorShape:
        """The shape of its parameters, as far as it is known."""
        return as_shape(self._batch_shape())

    @property
    def event_shape(self) -> TensorShape:
        """The shape of one outcome, as far as it is known."""
        return as_shape(self._event_shape())

    def batch_shape_tensor(self, name="batch_shape_tensor"):
        """The shape of its parameters: int32 vector."""
        with self._name_scope(name):
            if self.batch_shape.is_fully_defined():
                return convert_to_tensor(self.batch_shape.as_list(), int32, "batch_shape")
            return self._batch_shape_tensor()

    def event_shape_tensor(self, name="event_shape_tensor"):
        """The shape of one outcome: int32 vector."""
        with self._name_scope(name):
            if self.event_shape.is_fully_defined():
                return convert_to_tensor(self.event_shape.as_list(), int32, "event_shape")
            return self._event_shape_tensor()

    def is_scalar_event(self, name="is_scalar_event"):
        """Whether outcomes are numbers: bool scalar."""
        with self._name_scope(name):
            return convert_to_tensor(_is_scalar(self.event_shape, self.event_shape_tensor), name="is_scalar_event")

    def is_scalar_batch(self, name="is_scalar_batch"):
        """Whether it is one distribution, not a batch: bool scalar."""
        with self._name_scope(name):
            return convert_to_tensor(_is_scalar(self.batch_shape, self.batch_shape_tensor), name="is_scalar_batch")

    # -- samples -------------------------------------------------------------------------------------------------------------

    _sample_n = _lacking("sample_n")

    def sample(self, sample_shape=(), seed=None, name="sample"):
        """Draws: sample_shape + batch shape + event shape, of type `dtype`."""
        with self._name_scope(name, [sample_shape]):
            sample_shape = convert_to_tensor(sample_shape, int32, "sample_shape")
            sizes, number = _as_vector(sample_shape)
            draws = self._sample_n(number, seed)
            draws = reshape(draws, concat([sizes, shape(draws)[1:]], 0))
            known = constant_value(sizes)
            if known is not None:
                draws.set_shape(TensorShape(list(known)).concatenate(self.batch_shape).concatenate(self.event_shape))
            return draws

    # -- densities -----------------------------------------------------------------------------------------------------------

    _log_prob = _lacking("log_prob")
    _prob = _lacking("prob")
    _log_cdf = _lacking("log_cdf")
    _cdf = _lacking("cdf")
    _log_survival_function = _lacking("log_survival_function")
    _survival_function = _lacking("survival_function")
    _quantile = _lacking("quantile")

    def _of_value(self, name: str, value: Any, own: Callable[[Any], Any], other: Callable[[Any], Any] | None = None) -> Any:
        """own(value), or where a subclass lacks that other(value)."""
        with self._name_scope(name, [value]):
            value = convert_to_tensor(value, name="value", preferred_dtype=self.dtype)
            return _first(lambda: own(value), None if other is None else lambda: other(value))

    def log_prob(self, value, name="log_prob"):
        """The logarithm of the density at `value`, or of the probability of a discrete one."""
        return self._of_value(name, value, self._log_prob, lambda x: make("Log", self._prob(x)))

    def prob(self, value, name="prob"):
        """The density at `value`, or the probability of a discrete one."""
        return self._of_value(name, value, self._prob, lambda x: make("Exp", self._log_prob(x)))

    def log_cdf(self, value, name="log_cdf"):
        """The logarithm of P[X <= value]."""
        return self._of_value(name, value, self._log_cdf, lambda x: make("Log", self._cdf(x)))

    def cdf(self, value, name="cdf"):
        """P[X <= value]"""
        return self._of_value(name, value, self._cdf, lambda x: make("Exp", self._log_cdf(x)))

    def log_survival_function(self, value, name="log_survival_function"):
        """The logarithm of P[X > value]."""
        return self._of_value(name, value, self._log_survival_function, lambda x: make("Log1p", -self.cdf(x)))

    def survival_function(self, value, name="survival_function"):
        """P[X > value]"""
        return self._of_value(name, value, self._survival_function, lambda x: 1.0 - self.cdf(x))

    def quantile(self, value, name="quantile"):
        """The x for which P[X <= x] is `value`."""
        return self._of_value(name, value, self._quantile)

    # -- statistics ----------------------------------------------------------------------------------------------------------

    _entropy = _lacking("entropy")
    _mean = _lacking("mean")
    _variance = _lacking("variance")
    _stddev = _lacking("stddev")
    _covariance = _lacking("covariance")
    _mode = _lacking("mode")

    def entropy(self, name="entropy"):
        """The Shannon entropy in nats."""
        with self._name_scope(name):
            return self._entropy()

    def mean(self, name="mean"):
        """The mean."""
        with self._name_scope(name):
            return self._mean()

    def variance(self, name="variance"):
        """The mean squared deviation from the mean."""
        with self._name_scope(name):
            return _first(self._variance, lambda: make("Square", self._stddev()))

    def stddev(self, name="stddev"):
        """The square root of the variance."""
        with self._name_scope(name):
            return _first(self._stddev, lambda: make("Sqrt", self._variance()))

    def covariance(self, name="covariance"):
        """The covariance of the elements of an outcome."""
        with self._name_scope(name):
            return self._covariance()

    def mode(self, name="mode"):
        """The most probable outcome."""
        with self._name_scope(name):
            return self._mode()

    def cross_entropy(self, other, name="cross_entropy"):
        """The entropy of this distribution in the code of another: entropy + KL(self || other)."""
        with self._name_scope(name), name_scope(None, "cross_entropy"):
            return self.entropy() + kl_divergence(self, other, allow_nan_stats=self.allow_nan_stats)

    def kl_divergence(self, other, name="kl_divergence"):
        """KL(self || other), of the batch's shape."""
        with self._name_scope(name):
            return kl_divergence(self, other, allow_nan_stats=self.allow_nan_stats)

    def __repr__(self) -> str:
        return (
            f"<tfp.distributions.{type(self).__name__} '{self.name}' batch_shape={self.batch_shape} event_shape={self.event_shape} "
            f"dtype={self.dtype.name}>"
        )

    def __str__(self) -> str:
        known = [f", {what}={size}" for what, size in (("batch_shape", self.batch_shape), ("event_shape", self.event_shape))
                 if size.ndims is not None]  # fmt: skip
        return f'tfp.distributions.{type(self).__name__}("{self.name}"{"".join(known)}, dtype={self.dtype.name})'


def _first(own: Callable[[], Any], other: Callable[[], Any] | None) -> Any:
    """own(), or other() where a subclass lacks what own needs; if it lacks both, the error is own's."""
    try:
        return own()
    except NotImplementedError as lacking:
        if other is None:
            raise
        try:
            return other()
        except NotImplementedError:
            raise lacking from None


def _is_scalar(static: TensorShape, dynamic: Callable[[], Tensor]) -> Any:
    return equal(shape(dynamic())[0], 0) if static.ndims is None else static.ndims == 0


def _as_vector(sizes: Tensor) -> tuple[Tensor, Any]:
    """A number or vector of sizes as a vector, and their product."""
    known = constant_value(sizes)
    number = reduce_prod(sizes) if known is None else np.prod(known, dtype=np.int32)
    if sizes.shape.ndims == 0:
        sizes = reshape(sizes, [1]) if known is None else convert_to_tensor(np.array([known], np.int32), name="sample_shape")
    elif sizes.shape.ndims is None:
        sizes = reshape(sizes, [-1])
    elif sizes.shape.ndims != 1:
        raise ValueError("Input is neither scalar nor vector.")
    return sizes, number
