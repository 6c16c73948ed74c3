"""Random ops draw TensorFlow's own numbers: compared with what TensorFlow 1.15 drew, recorded in golden/random.npz."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import graphflow as tf
from graphflow.config import override
from tests.golden.record_random import RUNS, drawn

GOLDEN = np.load(Path(__file__).parent.parent / "golden" / "random.npz")


@pytest.fixture(scope="module")
def found():
    return drawn(tf)


def test_the_golden_file_has_what_is_drawn(found) -> None:
    assert set(GOLDEN.files) == set(found)


@pytest.mark.parametrize("name", GOLDEN.files)
def test_numbers_are_tensorflows(found, name) -> None:
    wanted, got = GOLDEN[name], np.asarray(found[name])
    assert got.dtype == wanted.dtype and got.shape == wanted.shape
    if wanted.dtype.kind != "f" or "uniform" in name or "dropout" in name:
        np.testing.assert_array_equal(got, wanted)
    else:  # logarithm and sine may differ in the last place
        narrow = wanted.dtype != np.float64
        np.testing.assert_allclose(got, wanted, rtol=3e-6 if narrow else 1e-14, atol=1e-6 if narrow else 1e-15)


def test_runs_go_on_in_the_stream() -> None:
    assert RUNS > 1
    assert not np.array_equal(GOLDEN["uniform_float32_33_run0"], GOLDEN["uniform_float32_33_run1"])


def test_without_seeds_sessions_differ() -> None:
    with tf.Graph().as_default():
        x = tf.random_uniform([8])
        draws = []
        for _ in range(2):
            with tf.Session() as session:
                draws += [session.run(x), session.run(x)]
    assert len({d.tobytes() for d in draws}) == 4
    assert all((d >= 0).all() and (d < 1).all() for d in draws)


def test_a_run_time_size_draws_the_same_numbers() -> None:
    with tf.Graph().as_default():
        tf.set_random_seed(1)
        n = tf.placeholder(tf.float32, [None, 3])
        values = {f.__name__: f(tf.shape(n), seed=2) for f in (tf.random_uniform, tf.random_normal, tf.truncated_normal)}
        fixed = {f.__name__: f([5, 3], seed=2) for f in (tf.random_uniform, tf.random_normal, tf.truncated_normal)}
        with tf.Session() as session:
            a, b = session.run([values, fixed], {n: np.zeros((5, 3))})
            for name in a:
                np.testing.assert_array_equal(a[name], b[name], name)


def test_numbers_do_not_depend_on_the_number_of_threads() -> None:
    draws = []
    for threads in (1, 2):
        with override(threads=threads), tf.Graph().as_default():
            x = [tf.random_normal([100, 77], seed=3), tf.truncated_normal([100, 77], seed=3), tf.random_shuffle(tf.range(500), seed=3)]
            with tf.Session() as session:
                draws.append(session.run(x))
    for a, b in zip(*draws, strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_empty_range_of_integers_is_refused() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        high = tf.placeholder(tf.int32, [])
        x = tf.random_uniform([3], 5, high, tf.int32, seed=1)
        assert session.run(x, {high: 6}).tolist() == [5, 5, 5]
        with pytest.raises(tf.errors.InvalidArgumentError, match="Need minval < maxval"):
            session.run(x, {high: 5})
        assert session.run(x, {high: 6}).tolist() == [5, 5, 5]


def test_what_tensorflow_refuses_at_construction() -> None:
    with tf.Graph().as_default():
        with pytest.raises(ValueError, match="Must specify maxval for integer dtype tf.int32"):
            tf.random_uniform([3], dtype=tf.int32)
        with pytest.raises(ValueError, match="Invalid dtype tf.string"):
            tf.random_uniform([3], dtype=tf.string)


def test_stateless_ops_refuse_other_than_two_seeds() -> None:
    with pytest.raises(ValueError, match=r"seed must have shape \[2\], not \[3\]"):
        tf.random.stateless_uniform([4], [1, 2, 3])
    with pytest.raises(ValueError, match="Must specify maxval for integer dtype"):
        tf.random.stateless_uniform([4], [1, 2], dtype=tf.int32)
    with tf.Session() as session, pytest.raises(tf.errors.InvalidArgumentError, match="Need minval < maxval"):
        session.run(tf.random.stateless_uniform([4], [1, 2], 3, tf.placeholder_with_default(3, []), tf.int32))
