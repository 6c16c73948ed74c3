"""Samplers, sampled losses, CTC, embeddings and sparse tensors against what real TensorFlow 1.15 computed (tests/golden/sequence.npz)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import graphflow as tf
from tests.golden import sequence

GOLDEN = np.load(Path(sequence.__file__).with_suffix(".npz"))


@pytest.mark.parametrize("name", sorted(sequence.CASES))
def test_numbers_are_tensorflows(name: str) -> None:
    found = sequence.results(tf, name)
    assert sum(key.startswith(name + "/") for key in GOLDEN.files) == len(found)
    for number, value in enumerate(found):
        wanted = GOLDEN[f"{name}/{number}"]
        if wanted.dtype.kind == "f":
            np.testing.assert_allclose(value, wanted, rtol=3e-5, atol=3e-5, err_msg=f"fetch {number}")
        else:
            np.testing.assert_array_equal(value, wanted, f"fetch {number}")
