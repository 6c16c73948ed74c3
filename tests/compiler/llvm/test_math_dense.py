"""exp, log, tanh, sigmoid and erf over all of float32: an even sample of its bit patterns, for each instruction set, within 2 units in the
last place of float64 references. Denormal numbers, infinities and NaN are among the samples of every stride, and asked for by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from tests.compiler.llvm.native import TARGETS
from tests.compiler.llvm.test_math_accuracy import Array, evaluate, units

LIMIT = 2.0
CHUNK = 1 << 20


def _erf(x: Array) -> Array:
    """By math.erf where it is neither x * 2/sqrt(pi) nor 1 to all digits of float32."""
    found = np.where(np.abs(x) < 1e-5, x * (2 / math.sqrt(math.pi)), np.copysign(1.0, x))
    middle = (np.abs(x) >= 1e-5) & (np.abs(x) < 4.2)
    found[middle] = [math.erf(v) for v in x[middle]]
    found[np.isnan(x)] = np.nan
    return found


def _sigmoid(x: Array) -> Array:
    z = np.exp(-np.abs(x))
    return np.where(x < 0, z, 1.0) / (1 + z)


REFERENCES: dict[str, Callable[[Array], Array]] = {"exp": np.exp, "log": np.log, "tanh": np.tanh, "sigmoid": _sigmoid, "erf": _erf}


def every(stride: int) -> Iterator[Array]:
    """Float32 numbers: every `stride`th bit pattern, some at a time."""
    for start in range(0, 1 << 32, stride * CHUNK):
        yield np.arange(start, min(start + stride * CHUNK, 1 << 32), stride, dtype=np.uint64).astype(np.uint32).view(np.float32)


def edges() -> Array:
    """Numbers beside the places where results change their nature, and special ones."""
    info = np.finfo(np.float32)
    middles = [0.0, info.tiny, info.tiny / 8, info.max, 1, 0.5, 2, 88.72284, -87.33655, -103.9, 0.6931472, 9.01, 4.0, 1e-4, math.sqrt(0.5)]
    centre = np.array([s * m for m in middles for s in (1, -1)], np.float32).view(np.uint32)
    near = (centre[:, None] + np.arange(-200, 201, dtype=np.int64)).astype(np.uint32).ravel().view(np.float32)
    return np.concatenate([near, np.array([np.inf, -np.inf, np.nan, info.smallest_subnormal, -info.smallest_subnormal], np.float32)])


def worst(function: str, name: str, samples: Iterator[Array]) -> tuple[float, np.float32]:
    """The largest error in units in the last place, and where it is."""
    found = (0.0, np.float32(0))
    for x in samples:
        with np.errstate(all="ignore"):
            errors = units(evaluate(function, x, name=name), REFERENCES[function](x.astype(np.float64)))
        position = int(np.argmax(errors))
        found = max(found, (float(errors[position]), x[position]), key=lambda pair: pair[0])
    return found


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("function", REFERENCES)
def test_edges(function: str, name: str) -> None:
    error, x = worst(function, name, iter([edges()]))
    assert error <= LIMIT, f"{function}({x!r}): {error:.2f} units"


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("function", REFERENCES)
def test_sampled(function: str, name: str) -> None:
    error, x = worst(function, name, every(40_009 if function == "erf" else 10_007))
    assert error <= LIMIT, f"{function}({x!r}): {error:.2f} units"


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("function", REFERENCES)
def test_sampled_densely(function: str, name: str) -> None:
    error, x = worst(function, name, every(1_009 if function == "erf" else 127))
    assert error <= LIMIT, f"{function}({x!r}): {error:.2f} units"


def test_the_samples_have_every_kind_of_number() -> None:
    x = np.concatenate(list(every(40_009)))
    tiny = np.finfo(np.float32).tiny
    assert np.isnan(x).any() and ((x != 0) & (np.abs(x) < tiny)).sum() > 100 and (x < -1e30).any() and (x > 1e30).any()
    assert not np.isfinite(edges()).all() and (edges() == 0).any()
