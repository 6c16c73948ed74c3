"""Distributions of real numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphflow.distributions.base import FULLY_REPARAMETERIZED, Distribution
from graphflow.distributions.divergence import RegisterKL
from graphflow.distributions.normal_tails import log_ndtr, ndtr
from graphflow.dtypes import int32
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.scopes import control_dependencies
from graphflow.ops.assertions import assert_less, assert_positive, assert_same_float_dtype
from graphflow.ops.joining import concat
from graphflow.ops.logic import logical_or, where_v2
from graphflow.ops.random import random_normal, random_uniform
from graphflow.ops.random_rates import random_gamma
from graphflow.ops.shape import broadcast_dynamic_shape, broadcast_static_shape, shape
from graphflow.ops.source import constant, fill, identity, ones, ones_like, with_dependencies, zeros, zeros_like
from graphflow.shapes import TensorShape


class _TwoParameters(Distribution):
    """Base of distributions of numbers by two parameters that broadcast."""

    _NAMES: tuple[str, str]

    def _keep(self, first: Any, second: Any) -> None:
        """Makes the parameters tensors of their names."""
        pair = [identity(value, name=name) for name, value in zip(self._NAMES, (first, second), strict=True)]
        assert_same_float_dtype(pair)
        self._first, self._second = pair

    def _settle(self, parameters: dict[str, Any], validate_args: bool, allow_nan_stats: bool, name: str) -> None:
        Distribution.__init__(
            self, self._first.dtype, FULLY_REPARAMETERIZED, validate_args, allow_nan_stats, parameters, [self._first, self._second], name
        )

    @classmethod
    def _param_shapes(cls, sample_shape: Any) -> dict[str, Any]:
        sizes = convert_to_tensor(sample_shape, dtype=int32)
        return dict.fromkeys(cls._NAMES, sizes)

    def _batch_shape_tensor(self) -> Any:
        return broadcast_dynamic_shape(shape(self._first), shape(self._second))

    def _batch_shape(self) -> TensorShape:
        return broadcast_static_shape(self._first.shape, self._second.shape)

    def _event_shape_tensor(self) -> Any:
        return constant([], dtype=int32)

    def _event_shape(self) -> TensorShape:
        return TensorShape([])

    def _sizes(self, n: Any) -> Any:
        """The shape of n samples."""
        return concat([[n], self.batch_shape_tensor()], 0)


class _Located(_TwoParameters):
    """Base of distributions that are moved by `loc` and stretched by `scale`."""

    _NAMES = ("loc", "scale")

    def __init__(self, loc: Any, scale: Any, validate_args: bool, allow_nan_stats: bool, name: str) -> None:
        given = {"loc": loc, "scale": scale, "validate_args": validate_args, "allow_nan_stats": allow_nan_stats, "name": name}
        with name_scope(name, values=[loc, scale]) as name:
            with control_dependencies([assert_positive(scale)] if validate_args else []):
                self._keep(loc, scale)
            self._settle(given, validate_args, allow_nan_stats, name)

    @property
    def loc(self):
        """Where the middle is."""
        return self._first

    @property
    def scale(self):
        """How wide it is."""
        return self._second

    def _log_prob(self, x: Any) -> Any:
        return self._log_unnormalized_prob(x) - self._log_normalization()

    def _mode(self) -> Any:
        return self._mean()


class Normal(_Located):
    """exp(-((x - loc) / scale)**2 / 2) / (scale * sqrt(2 pi)). scale > 0."""

    def __init__(self, loc, scale, validate_args=False, allow_nan_stats=True, name="Normal"):
        super().__init__(loc, scale, validate_args, allow_nan_stats, name)

    def _sample_n(self, n: Any, seed: Any = None) -> Any:
        drawn = random_normal(shape=self._sizes(n), mean=0.0, stddev=1.0, dtype=self.loc.dtype, seed=seed)
        return drawn * self.scale + self.loc

    def _z(self, x: Any) -> Any:
        with name_scope("standardize", values=[x]):
            return (x - self.loc) / self.scale

    def _log_unnormalized_prob(self, x: Any) -> Any:
        return -0.5 * make("Square", self._z(x))

    def _log_normalization(self) -> Any:
        return 0.5 * math.log(2.0 * math.pi) + make("Log", self.scale)

    def _log_cdf(self, x: Any) -> Any:
        return log_ndtr(self._z(x))

    def _cdf(self, x: Any) -> Any:
        return ndtr(self._z(x))

    def _log_survival_function(self, x: Any) -> Any:
        return log_ndtr(-self._z(x))

    def _survival_function(self, x: Any) -> Any:
        return ndtr(-self._z(x))

    def _entropy(self) -> Any:
        scale = self.scale * ones_like(self.loc)
        return 0.5 * math.log(2.0 * math.pi * math.e) + make("Log", scale)

    def _mean(self) -> Any:
        return self.loc * ones_like(self.scale)

    def _stddev(self) -> Any:
        return self.scale * ones_like(self.loc)


@RegisterKL(Normal, Normal)
def _normal_from_normal(a: Normal, b: Normal, name: str | None = None) -> Any:
    with name_scope(name, "kl_normal_normal", [a.loc, b.loc]):
        one, two, half = (constant(number, dtype=a.dtype) for number in (1, 2, 0.5))
        square_a, square_b = make("Square", a.scale), make("Square", b.scale)
        ratio = square_a / square_b
        return make("SquaredDifference", a.loc, b.loc) / (two * square_b) + half * (ratio - one - make("Log", ratio))


class Laplace(_Located):
    """exp(-|x - loc| / scale) / (2 scale). scale > 0."""

    def __init__(self, loc, scale, validate_args=False, allow_nan_stats=True, name="Laplace"):
        super().__init__(loc, scale, validate_args, allow_nan_stats, name)

    def _sample_n(self, n: Any, seed: Any = None) -> Any:
        sizes = self._sizes(n)
        number = self.dtype.as_numpy_dtype
        least = np.nextafter(number(-1.0), number(0.0))  # the logarithm of 0 must not be asked for
        drawn = random_uniform(shape=sizes, minval=least, maxval=1.0, dtype=self.dtype, seed=seed)
        return self.loc - self.scale * make("Sign", drawn) * make("Log1p", -make("Abs", drawn))

    def _z(self, x: Any) -> Any:
        return (x - self.loc) / self.scale

    def _log_unnormalized_prob(self, x: Any) -> Any:
        return -make("Abs", self._z(x))

    def _log_normalization(self) -> Any:
        return math.log(2.0) + make("Log", self.scale)

    def _cdf(self, x: Any) -> Any:
        z = self._z(x)
        return 0.5 + 0.5 * make("Sign", z) * (1.0 - make("Exp", -make("Abs", z)))

    def _log_cdf(self, x: Any) -> Any:
        return _log_cdf_laplace(self._z(x))

    def _log_survival_function(self, x: Any) -> Any:
        return _log_cdf_laplace(-self._z(x))

    def _entropy(self) -> Any:
        scale = self.scale + zeros_like(self.loc)
        return math.log(2.0) + 1.0 + make("Log", scale)

    def _mean(self) -> Any:
        return self.loc + zeros_like(self.scale)

    def _stddev(self) -> Any:
        return math.sqrt(2.0) * self.scale + zeros_like(self.loc)


def _log_cdf_laplace(z: Any) -> Any:
    with name_scope("log_cdf_laplace", values=[z]):
        left = -math.log(2.0) + z
        right = make("Log1p", -0.5 * make("Exp", -make("Abs", z)))
        return where_v2(z < 0.0, left, right)


class Uniform(_TwoParameters):
    """1 / (high - low) on [low, high). low < high."""

    _NAMES = ("low", "high")

    def __init__(self, low=0.0, high=1.0, validate_args=False, allow_nan_stats=True, name="Uniform"):
        given = {"low": low, "high": high, "validate_args": validate_args, "allow_nan_stats": allow_nan_stats, "name": name}
        with name_scope(name, values=[low, high]) as name:
            checks = [assert_less(low, high, message="uniform not defined when low >= high.")] if validate_args else []
            with control_dependencies(checks):
                self._keep(low, high)
        self._settle(given, validate_args, allow_nan_stats, name)

    @property
    def low(self):
        """The least number."""
        return self._first

    @property
    def high(self):
        """What all numbers are below."""
        return self._second

    def range(self, name="range"):
        """high - low"""
        with self._name_scope(name):
            return self.high - self.low

    def _sample_n(self, n: Any, seed: Any = None) -> Any:
        drawn = random_uniform(shape=self._sizes(n), dtype=self.dtype, seed=seed)
        return self.low + self.range() * drawn

    def _prob(self, x: Any) -> Any:
        x = x * ones(self.batch_shape_tensor(), dtype=x.dtype)
        inside = where_v2(logical_or(x < self.low, x >= self.high), zeros_like(x), ones_like(x) / self.range())
        return where_v2(make("IsNan", x), x, inside)

    def _cdf(self, x: Any) -> Any:
        sizes = broadcast_dynamic_shape(shape(x), self.batch_shape_tensor())
        nothing, everything = zeros(sizes, dtype=self.dtype), ones(sizes, dtype=self.dtype)
        wide = x * everything
        below = where_v2(x < self.low, nothing, (wide - self.low) / self.range())
        return where_v2(x >= self.high, everything, below)

    def _entropy(self) -> Any:
        return make("Log", self.range())

    def _mean(self) -> Any:
        return (self.low + self.high) / 2.0

    def _variance(self) -> Any:
        return make("Square", self.range()) / 12.0

    def _stddev(self) -> Any:
        return self.range() / math.sqrt(12.0)


class Gamma(_TwoParameters):
    """x**(concentration - 1) * exp(-x rate) * rate**concentration / gamma(concentration) for x > 0. Both parameters > 0."""

    _NAMES = ("concentration", "rate")

    def __init__(self, concentration, rate, validate_args=False, allow_nan_stats=True, name="Gamma"):
        given = {"concentration": concentration, "rate": rate, "validate_args": validate_args, "allow_nan_stats": allow_nan_stats,
                 "name": name}  # fmt: skip
        with name_scope(name, values=[concentration, rate]) as name:
            with control_dependencies([assert_positive(concentration), assert_positive(rate)] if validate_args else []):
                self._keep(concentration, rate)
        self._settle(given, validate_args, allow_nan_stats, name)

    @property
    def concentration(self):
        """The shape parameter, alpha."""
        return self._first

    @property
    def rate(self):
        """The inverse scale, beta."""
        return self._second

    def _sample_n(self, n: Any, seed: Any = None) -> Any:
        return random_gamma(shape=[n], alpha=self.concentration, beta=self.rate, dtype=self.dtype, seed=seed)

    def _checked(self, x: Any) -> Any:
        assert_same_float_dtype([x], self.dtype)
        return with_dependencies([assert_positive(x)], x) if self.validate_args else x

    def _log_prob(self, x: Any) -> Any:
        x = self._checked(x)
        grown = make("Xlogy", self.concentration - 1.0, x) - self.rate * x
        return grown - (make("Lgamma", self.concentration) - self.concentration * make("Log", self.rate))

    def _cdf(self, x: Any) -> Any:
        return make("Igamma", self.concentration, self.rate * self._checked(x))

    def _entropy(self) -> Any:
        a = self.concentration
        return a - make("Log", self.rate) + make("Lgamma", a) + (1.0 - a) * make("Digamma", a)

    def _mean(self) -> Any:
        return self.concentration / self.rate

    def _variance(self) -> Any:
        return self.concentration / make("Square", self.rate)

    def _stddev(self) -> Any:
        return make("Sqrt", self.concentration) / self.rate

    def _mode(self) -> Any:
        mode = (self.concentration - 1.0) / self.rate
        if self.allow_nan_stats:
            nan = fill(self.batch_shape_tensor(), np.array(np.nan, self.dtype.as_numpy_dtype), name="nan")
            return where_v2(self.concentration > 1.0, mode, nan)
        defined = assert_less(ones([], self.dtype), self.concentration, message="mode not defined when any concentration <= 1")
        return with_dependencies([defined], mode)


@RegisterKL(Gamma, Gamma)
def _gamma_from_gamma(a: Gamma, b: Gamma, name: str | None = None) -> Any:
    with name_scope(name, "kl_gamma_gamma", [a.concentration, a.rate, b.concentration, b.rate]):
        return (
            (a.concentration - b.concentration) * make("Digamma", a.concentration)
            + make("Lgamma", b.concentration) - make("Lgamma", a.concentration)
            + b.concentration * make("Log", a.rate) - b.concentration * make("Log", b.rate)
            + a.concentration * (b.rate / a.rate - 1.0)
        )  # fmt: skip


class Exponential(Gamma):
    """rate * exp(-rate * x) for x >= 0. rate > 0."""

    def __init__(self, rate, validate_args=False, allow_nan_stats=True, name="Exponential"):
        given = {"rate": rate, "validate_args": validate_args, "allow_nan_stats": allow_nan_stats, "name": name}
        with name_scope(name, values=[rate]) as name:
            own = convert_to_tensor(rate, name="rate")
        super().__init__(ones([], dtype=own.dtype), own, validate_args, allow_nan_stats, name)
        self._parameters = given

    @classmethod
    def _param_shapes(cls, sample_shape: Any) -> dict[str, Any]:
        return {"rate": convert_to_tensor(sample_shape, dtype=int32)}

    def _log_survival_function(self, value: Any) -> Any:
        return self._log_prob(value) - make("Log", self.rate)

    def _sample_n(self, n: Any, seed: Any = None) -> Any:
        sizes = concat([[n], shape(self.rate)], 0)
        least = np.finfo(self.dtype.as_numpy_dtype).tiny  # the logarithm of 0 must not be asked for
        drawn = random_uniform(sizes, minval=least, maxval=1.0, seed=seed, dtype=self.dtype)
        return -make("Log", drawn) / self.rate
