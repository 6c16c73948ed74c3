"""Slices whose begin is data: one Program for every begin, with TensorFlow's bounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphflow as tf

X = np.arange(30, dtype=np.float32).reshape(5, 6)


@pytest.fixture
def fed() -> Any:
    """A session's `run(tensors, i)`, x: float32[?, 6] = X and the int32 scalar i."""
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, [None, 6], name="x")
        i = tf.placeholder(tf.int32, [], name="i")

        def run(tensors: Any, number: int) -> Any:
            return session.run(tensors, {x: X, i: number})

        run.programs = lambda: session._engine.compiled_programs
        yield run, x, i


PARTS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any, int], Any]]] = {
    "row": (lambda x, i: x[i], lambda x, i: x[i]),
    "column": (lambda x, i: x[1:4, i], lambda x, i: x[1:4, i]),
    "element": (lambda x, i: x[i, i + 1], lambda x, i: x[i, i + 1]),
    "from the end": (lambda x, i: x[..., -1 - i], lambda x, i: x[..., -1 - i]),
    "new axis, step": (lambda x, i: x[tf.newaxis, i, ::-2], lambda x, i: x[None, i, ::-2]),
    "two rows": (lambda x, i: tf.slice(x, [i, 0], [2, 6]), lambda x, i: x[i : i + 2]),
    "window": (lambda x, i: tf.slice(x, [i, i + 1], [2, 3]), lambda x, i: x[i : i + 2, i + 1 : i + 4]),
    "rest of the other": (lambda x, i: tf.slice(x, tf.stack([i, 2]), [1, -1]), lambda x, i: x[i : i + 1, 2:]),
    "scaled": (lambda x, i: tf.slice(x, tf.stack([i * 2 - i, 0]), [1, 6]), lambda x, i: x[i : i + 1]),
}


@pytest.mark.parametrize("name", PARTS)
def test_one_program_for_every_begin(fed: Any, name: str) -> None:
    run, x, i = fed
    ours, numpys = PARTS[name]
    y = ours(x, i)
    dx = tf.gradients(tf.reduce_sum(y * y), x)[0]
    twice = tf.gradients(tf.reduce_sum(tf.gradients(tf.reduce_sum(y**3), x)[0] ** 2), x)[0]
    for number in (0, 1, 2):
        found, slope, second = run([y, dx, twice], number)
        np.testing.assert_array_equal(found, numpys(X, number))
        inside = np.zeros_like(X)
        where = numpys(np.arange(X.size).reshape(X.shape), number)
        inside.flat[where] = 1
        np.testing.assert_array_equal(slope, 2 * X * inside)
        np.testing.assert_allclose(second, 36 * X**3 * inside, rtol=1e-6)
    assert run.programs() == 1


@pytest.mark.parametrize(
    ("part", "number", "text"),
    [
        (lambda x, i: x[i], 5, "slice index 5 of dimension 0 out of bounds."),
        (lambda x, i: x[i], -6, "slice index -6 of dimension 0 out of bounds."),
        (lambda x, i: x[..., i], 6, "slice index 6 of dimension 1 out of bounds."),
        (lambda x, i: tf.slice(x, [i, 0], [2, 6]), 6, r"Expected begin\[0\] in \[0, 5\], but got 6"),
        (lambda x, i: tf.slice(x, [i, 0], [2, 6]), -1, r"Expected begin\[0\] in \[0, 5\], but got -1"),
        (lambda x, i: tf.slice(x, [0, i], [2, 4]), 4, r"Expected size\[1\] in \[0, 2\], but got 4"),
    ],
)
def test_a_begin_outside_fails_the_run(fed: Any, part: Any, number: int, text: str) -> None:
    run, x, i = fed
    y = part(x, i)
    with pytest.raises(tf.errors.InvalidArgumentError, match=text):
        run(y, number)
    run(y, 0)
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"{text}|Paddings must be non-negative"):
        run(tf.gradients(y, x)[0] + 0.0, number)


def test_a_range_cut_short_by_the_end(fed: Any) -> None:
    """The size of x[i : i + 2] depends on i after all: a Program for each. With its shape set it is two rows or an error."""
    run, x, i = fed
    plain, promised = x[i : i + 2], x[i : i + 2]
    promised.set_shape([2, 6])
    for number in (0, 3, 4, 5, -3, -2, -1):
        np.testing.assert_array_equal(run(plain, number), X[number : number + 2])
    before = run.programs()
    slope = tf.gradients(tf.reduce_sum(promised), x)[0]
    for number in (0, 3, -5, -4, -3):
        found, rows = run([promised, slope], number)
        np.testing.assert_array_equal(found, X[number : number + 2])
        np.testing.assert_array_equal(rows[:, 0], np.isin(np.arange(5), [number % 5, number % 5 + 1]))
    for number in (4, -1, -6):
        with pytest.raises(tf.errors.InvalidArgumentError, match=f"begins at {number} has not the 2 elements"):
            run(promised, number)
    assert run.programs() == before + 2


def test_the_windows_of_a_language_model_s_reader(fed: Any) -> None:
    """As the PTB tutorial cuts its text: the ends are products, and the shape is set."""
    run, x, i = fed
    words = tf.strided_slice(x, [0, i * 2], [5, (i + 1) * 2])
    words.set_shape([5, 2])
    following = tf.strided_slice(x, [0, i * 2 + 1], [5, (i + 1) * 2 + 1])
    following.set_shape([5, 2])
    for number in (0, 1):
        found, after = run([words, following], number)
        np.testing.assert_array_equal(found, X[:, 2 * number : 2 * number + 2])
        np.testing.assert_array_equal(after, X[:, 2 * number + 1 : 2 * number + 3])
    assert run.programs() == 1


def test_a_random_crop_is_one_program(fed: Any) -> None:
    run, x, _ = fed
    crop = tf.random_crop(tf.reshape(x, [5, 6]), [2, 3], seed=4)
    corners = {float(run(crop, 0)[0, 0]) for _ in range(30)}
    assert len(corners) > 5 and corners <= set(X[:4, :4].ravel())
    assert run.programs() == 1


def test_the_gradient_of_a_range_of_another_size_each_time(fed: Any) -> None:
    run, x, i = fed
    slope = tf.gradients(tf.reduce_sum(x[i:, :i] ** 2), x)[0]
    for number in (0, 1, 2, 4):
        wanted = np.zeros_like(X)
        wanted[number:, :number] = 2 * X[number:, :number]
        np.testing.assert_array_equal(run(slope, number), wanted)


def test_a_begin_that_is_computed_and_complex_numbers(fed: Any) -> None:
    run, x, i = fed
    at = tf.cast(x[0, 2], tf.int32)  # 2
    z = tf.complex(x, -x)
    row, part = run([x[at + i], tf.slice(z, tf.stack([at, i]), [2, 1])], 1)
    np.testing.assert_array_equal(row, X[3])
    np.testing.assert_array_equal(part, (X - 1j * X)[2:4, 1:2])
    assert run.programs() == 1


def test_borders_shared_by_data(fed: Any) -> None:
    run, x, i = fed
    wide = tf.pad(x, [[i, 3 - i], [0, 1]], constant_values=7.0)
    back = tf.gradients(wide**2, x)[0]
    for number in (0, 1, 3):
        found, slope = run([wide, back], number)
        np.testing.assert_array_equal(found, np.pad(X, [(number, 3 - number), (0, 1)], constant_values=7))
        np.testing.assert_array_equal(slope, 2 * X)
    assert run.programs() == 1
    with pytest.raises(tf.errors.InvalidArgumentError, match="Paddings must be non-negative"):
        run(wide, 4)
    np.testing.assert_array_equal(run(tf.pad(x, [[i, 0], [0, 0]]), 2), np.pad(X, [(2, 0), (0, 0)]))


def test_a_thousand_runs_compile_once(fed: Any) -> None:
    run, x, i = fed
    y = tf.tanh(x[i] + 1.0)
    for number in range(1000):
        run(y, number % 5)
    assert run.programs() == 1
