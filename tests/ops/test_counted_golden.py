"""Ops on the rows that a mask keeps, none of them among the runs, against what real TensorFlow 1.15 computed (tests/golden/counted.npz)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import graphflow as tf
from tests.golden import counted

GOLDEN = np.load(Path(counted.__file__).with_suffix(".npz"))


@pytest.mark.parametrize("name", sorted(counted.CASES))
def test_numbers_are_tensorflows(name: str) -> None:
    found = counted.results(tf, name)
    assert sum(key.startswith(name + "/") for key in GOLDEN.files) == len(found)
    for number, value in enumerate(found):
        wanted = GOLDEN[f"{name}/{number}"]
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
