"""Initializers: objects that make the initial value of a variable from its shape and type."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow import dtypes
from graphflow.dtypes import DType, as_dtype
from graphflow.graph.build import make
from graphflow.graph.tensor import Tensor
from graphflow.ops import source

__all__ = [
    "constant_initializer",
    "glorot_normal_initializer",
    "glorot_uniform_initializer",
    "ones_initializer",
    "orthogonal_initializer",
    "random_normal_initializer",
    "random_uniform_initializer",
    "truncated_normal_initializer",
    "uniform_unit_scaling_initializer",
    "variance_scaling_initializer",
    "zeros_initializer",
]


def _float_type(dtype: Any) -> DType:
    dtype = as_dtype(dtype)
    if not dtype.is_floating:
        raise ValueError(f"Expected floating point type, got {dtype}.")
    return dtype


class Initializer:
    """Base of the initializers: called with a shape, it gives a tensor."""

    _shown: tuple[str, ...] = ()  # the attributes that get_config reports besides the type
    dtype: DType

    def __call__(self, shape: Sequence[int], dtype: Any = None, partition_info: Any = None) -> Tensor:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**{name: getattr(self, name) for name in self._shown}, "dtype": self.dtype.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Initializer:
        """An initializer from what get_config gave."""
        return cls(**config)


class Zeros(Initializer):
    """All zeros."""

    def __init__(self, dtype: Any = dtypes.float32) -> None:
        self.dtype = as_dtype(dtype)

    def __call__(self, shape: Sequence[int], dtype: Any = None, partition_info: Any = None) -> Tensor:
        return source.zeros(shape, dtype or self.dtype)


class Ones(Initializer):
    """All ones."""

    def __init__(self, dtype: Any = dtypes.float32) -> None:
        self.dtype = as_dtype(dtype)

    def __call__(self, shape: Sequence[int], dtype: Any = None, partition_info: Any = None) -> Tensor:
        return source.ones(shape, dtype or self.dtype)


class Constant(Initializer):
    """A number, or given values; too few are filled up with the last one."""

    _shown = ("value",)

    def __init__(self, value: Any = 0, dtype: Any = dtypes.float32, verify_shape: bool = False) -> None:
        if not (np.isscalar(value) or isinstance(value, (list, tuple, np.ndarray))):
            raise TypeError(
                f"Invalid type for initial value: {type(value)} (expected Python scalar, list or tuple of values, or "
                "numpy.ndarray)."
            )
        self.value = value
        self.dtype = as_dtype(dtype)
        self._verify_shape = verify_shape

    def __call__(
        self, shape: Sequence[int], dtype: Any = None, partition_info: Any = None, verify_shape: bool | None = None
    ) -> Tensor:
        verify = self._verify_shape if verify_shape is None else verify_shape
        return source.constant(self.value, dtype=dtype or self.dtype, shape=shape, verify_shape=verify)


class _Random(Initializer):
    """Base of the random initializers. The random ops are looked up when called: their module loads after this one."""

    seed: int | None

    @staticmethod
    def _normal(shape: Sequence[int], mean: Any, stddev: Any, dtype: Any, seed: int | None) -> Tensor:
        from graphflow.ops import random

        return random.random_normal(shape, mean, stddev, dtype, seed=seed)  # type: ignore[no-any-return]

    @staticmethod
    def _truncated(shape: Sequence[int], mean: Any, stddev: Any, dtype: Any, seed: int | None) -> Tensor:
        from graphflow.ops import random

        return random.truncated_normal(shape, mean, stddev, dtype, seed=seed)  # type: ignore[no-any-return]

    @staticmethod
    def _uniform(shape: Sequence[int], low: Any, high: Any, dtype: Any, seed: int | None) -> Tensor:
        from graphflow.ops import random

        return random.random_uniform(shape, low, high, dtype, seed=seed)  # type: ignore[no-any-return]


class RandomUniform(_Random):
    """Uniform in [minval, maxval)."""

    _shown = ("minval", "maxval", "seed")

    def __init__(self, minval: Any = 0, maxval: Any = None, seed: int | None = None, dtype: Any = dtypes.float32) -> None:
        self.minval = minval
        self.maxval = maxval
        self.seed = seed
        self.dtype = as_dtype(dtype)

    def __call__(self, shape: Sequence[int], dtype: Any = None, partition_info: Any = None) -> Tensor:
        return self._uniform(shape, self.minval, self.maxval, dtype or self.dtype, self.seed)


class RandomNormal(_Random):
    """Normally distributed."""

    _shown = ("mean", "stddev", "seed")

    def __init__(self, mean: Any = 0.0, stddev: Any = 1.0, seed: int | None = None, dtype: Any = dtypes.float32) -> None:
        self.mean = mean
        self.stddev = stddev
        self.seed = seed
        self.dtype = _float_type(dtype)

    def __call__(self, shape: Sequence[int], dtype: Any = None, partition_info: Any = None) -> Tensor:
        return self._normal(shape, self.mean, self.stddev, dtype or self.dtype, self.seed)


class TruncatedNormal(RandomNormal):
    """Normally distributed; values more than two deviations from the mean are drawn again."""

    def __call__(self, shape: Sequence[int], dtype: Any = None, partition_info: Any = None) -> Tensor:
        return self._truncated(shape, self.mean, self.stddev, dtype or self.dtype, self.seed)


class UniformUnitScaling(_Random):
    """Uniform, scaled so that a linear layer keeps its input's variance, times `factor`."""

    _shown = ("factor", "seed")

    def __init__(self, factor: float = 1.0, seed: int | None = None, dtype: Any = dtypes.float32) -> None:
        self.factor = factor
        self.seed = seed
        self.dtype = _float_type(dtype)

    def __call__(self, shape: Sequence[int], dtype: Any = None, partition_info: Any = None) -> Tensor:
        scale_shape = shape if partition_info is None else partition_info.full_shape
        input_size = max(math.prod(float(d) for d in scale_shape[:-1]), 1.0)
        limit = math.sqrt(3 / input_size) * self.factor
        return self._uniform(shape, -limit, limit, dtype or self.dtype, self.seed)


class VarianceScaling(_Random):
    """Random values whose variance is `scale` divided by the number of inputs, outputs, or their mean (`mode`)."""

    _shown = ("scale", "mode", "distribution", "seed")

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
        dtype: Any = dtypes.float32,
    ) -> None:
        if scale <= 0.0:
            raise ValueError("`scale` must be positive float.")
        if mode not in {"fan_in", "fan_out", "fan_avg"}:
            raise ValueError("Invalid `mode` argument:", mode)
        distribution = distribution.lower()
        if distribution not in {"normal", "uniform", "truncated_normal", "untruncated_normal"}:
            raise ValueError("Invalid `distribution` argument:", distribution)
        self.scale = scale
        self.mode = mode
        self.distribution = distribution
        self.seed = seed
        self.dtype = _float_type(dtype)

    def __call__(self, shape: Sequence[int], dtype: Any = None, partition_info: Any = None) -> Tensor:
        dtype = dtype or self.dtype
        fan_in, fan_out = fans(shape if partition_info is None else partition_info.full_shape)
        size = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2.0}[self.mode]
        scale = self.scale / max(1.0, size)
        if self.distribution in ("normal", "truncated_normal"):
            # 0.8796... is the deviation of a standard normal that is cut off at two deviations
            return self._truncated(shape, 0.0, math.sqrt(scale) / 0.87962566103423978, dtype, self.seed)
        if self.distribution == "untruncated_normal":
            return self._normal(shape, 0.0, math.sqrt(scale), dtype, self.seed)
        limit = math.sqrt(3.0 * scale)
        return self._uniform(shape, -limit, limit, dtype, self.seed)


def fans(shape: Sequence[Any]) -> tuple[int, int]:
    """The numbers of inputs and outputs of a unit of a layer with such weights."""
    if len(shape) < 1:
        return 1, 1
    if len(shape) == 1:
        return int(shape[0]), int(shape[0])
    field = math.prod(int(d) for d in shape[:-2])
    return int(shape[-2]) * field, int(shape[-1]) * field


class GlorotUniform(VarianceScaling):
    """Uniform, with variance 2 / (inputs + outputs); the default of `get_variable`."""

    _shown = ("seed",)

    def __init__(self, seed: int | None = None, dtype: Any = dtypes.float32) -> None:
        super().__init__(1.0, "fan_avg", "uniform", seed, dtype)


class GlorotNormal(VarianceScaling):
    """Truncated normal, with variance 2 / (inputs + outputs)."""

    _shown = ("seed",)

    def __init__(self, seed: int | None = None, dtype: Any = dtypes.float32) -> None:
        super().__init__(1.0, "fan_avg", "truncated_normal", seed, dtype)


class Orthogonal(_Random):
    """A matrix with orthonormal rows or columns, times `gain`, in the given shape."""

    _shown = ("gain", "seed")

    def __init__(self, gain: float = 1.0, seed: int | None = None, dtype: Any = dtypes.float32) -> None:
        self.gain = gain
        self.seed = seed
        self.dtype = _float_type(dtype)

    def __call__(self, shape: Sequence[int], dtype: Any = None, partition_info: Any = None) -> Tensor:
        dtype = dtype or self.dtype
        if len(shape) < 2:
            raise ValueError("The tensor to initialize must be at least two-dimensional")
        rows, columns = math.prod(int(d) for d in shape[:-1]), int(shape[-1])
        flat = (columns, rows) if rows < columns else (rows, columns)
        q, r = make("Qr", self._normal(flat, 0.0, 1.0, dtype, self.seed), full_matrices=False)
        q = make("Mul", q, make("Sign", make("DiagPart", r)), name="mul")
        if rows < columns:
            q = make("Transpose", q, [1, 0], name="transpose")
        return self.gain * make("Reshape", q, list(shape))  # type: ignore[no-any-return]


class Identity(Initializer):
    """The identity matrix, times `gain`."""

    _shown = ("gain",)

    def __init__(self, gain: float = 1.0, dtype: Any = dtypes.float32) -> None:
        self.gain = gain
        self.dtype = _float_type(dtype)

    def __call__(self, shape: Sequence[int], dtype: Any = None, partition_info: Any = None) -> Tensor:
        full = [int(d) for d in (shape if partition_info is None else partition_info.full_shape)]
        if len(full) != 2:
            raise ValueError("Identity matrix initializer can only be used for 2D matrices.")
        numpy_type = as_dtype(dtype or self.dtype).as_numpy_dtype
        eye = source.constant(np.eye(*full, dtype=numpy_type) * numpy_type(self.gain), name="eye")
        if partition_info is None:
            return eye
        return make("Slice", eye, partition_info.var_offset, list(shape))  # type: ignore[no-any-return]


zeros_initializer = Zeros
ones_initializer = Ones
constant_initializer = Constant
random_uniform_initializer = RandomUniform
random_normal_initializer = RandomNormal
truncated_normal_initializer = TruncatedNormal
uniform_unit_scaling_initializer = UniformUnitScaling
variance_scaling_initializer = VarianceScaling
glorot_uniform_initializer = GlorotUniform
glorot_normal_initializer = GlorotNormal
orthogonal_initializer = Orthogonal
identity_initializer = Identity


def lecun_normal(seed: int | None = None) -> VarianceScaling:
    """Truncated normal, with variance 1 / inputs."""
    return VarianceScaling(1.0, "fan_in", "truncated_normal", seed)


def lecun_uniform(seed: int | None = None) -> VarianceScaling:
    """Uniform, with variance 1 / inputs."""
    return VarianceScaling(1.0, "fan_in", "uniform", seed)


def he_normal(seed: int | None = None) -> VarianceScaling:
    """Truncated normal, with variance 2 / inputs."""
    return VarianceScaling(2.0, "fan_in", "truncated_normal", seed)


def he_uniform(seed: int | None = None) -> VarianceScaling:
    """Uniform, with variance 2 / inputs."""
    return VarianceScaling(2.0, "fan_in", "uniform", seed)
