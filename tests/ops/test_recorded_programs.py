"""Programs against what real TensorFlow 1.15 computed for them: samplers, sampled losses, CTC, embeddings and sparse tensors
(tests/golden/sequence.py); ops on the rows that a mask keeps, none of them among the runs (tests/golden/counted.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphflow as tf
from tests.golden import counted, sequence

GOLDEN = {module: np.load(Path(module.__file__).with_suffix(".npz")) for module in (sequence, counted)}
PROGRAMS = [pytest.param(module, name, id=name) for module in GOLDEN for name in sorted(module.CASES)]


@pytest.mark.parametrize(("module", "name"), PROGRAMS)
def test_numbers_are_tensorflows(module: Any, name: str) -> None:
    found, golden = module.results(tf, name), GOLDEN[module]
    assert sum(key.startswith(name + "/") for key in golden.files) == len(found)
    for number, value in enumerate(found):
        wanted = golden[f"{name}/{number}"]
        assert value.shape == wanted.shape and value.dtype == wanted.dtype, f"fetch {number}"
        if wanted.dtype.kind == "f":
            np.testing.assert_allclose(value, wanted, rtol=3e-5, atol=3e-5, err_msg=f"fetch {number}")
        else:
            np.testing.assert_array_equal(value, wanted, f"fetch {number}")


def test_the_extreme_of_nothing_is_refused() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        x, mask = tf.placeholder(tf.float32, [None, 6]), tf.placeholder(tf.bool, [None])
        best = tf.argmax(tf.boolean_mask(x, mask), 0, name="best")
        assert session.run(best, {x: np.eye(3, 6), mask: [False, True, True]}).tolist() == [0, 0, 1, 0, 0, 0]
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"'best': Reduction axis 0 is empty in shape \[0,6\]"):
            session.run(best, {x: np.eye(3, 6), mask: [False] * 3})
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"Reduction axis 0 is empty in shape \[0,6\]"):
            session.run(best, {x: np.zeros((0, 6)), mask: []})
