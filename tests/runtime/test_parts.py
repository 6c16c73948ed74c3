"""Runs in parts: what was found out about a signature in its first run is not found out again."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import graphflow as tf
from graphflow.runtime import stages, steps


@pytest.fixture
def work(monkeypatch) -> list[str]:
    """The captures, and searches for what is needed, as they happen."""
    seen: list[str] = []

    def count(module, name: str) -> None:
        original = getattr(module, name)

        def counted(*arguments, **named):
            seen.append(name)
            return original(*arguments, **named)

        monkeypatch.setattr(module, name, counted)

    count(steps, "capture")
    count(stages, "needed_operations")
    return seen


def test_later_runs_capture_nothing_and_look_for_nothing(work) -> None:
    x = tf.placeholder(tf.float32, [None])
    count = tf.py_func(lambda v: np.int32(len(v) // 2), [x], tf.int32)
    rows = tf.reshape(x, tf.stack([count, 2])) * 2.0  # its shape is known only when Python has run
    with tf.Session() as session:
        np.testing.assert_array_equal(session.run(rows, {x: np.arange(6.0)}), 2 * np.arange(6.0).reshape(3, 2))
        assert work
        work.clear()
        np.testing.assert_array_equal(session.run(rows, {x: np.ones(6)}), np.full((3, 2), 2.0))
        assert work == []
        np.testing.assert_array_equal(session.run(rows, {x: np.arange(4.0)}), 2 * np.arange(4.0).reshape(2, 2))


def test_a_loop_that_python_steps_is_examined_once(work) -> None:
    words = tf.TensorArray(tf.string, 3)
    _, words = tf.while_loop(lambda k, w: k < 3, lambda k, w: (k + 1, w.write(k, tf.as_string(k))), (0, words))
    joined = tf.reduce_join(words.stack())
    with tf.Session() as session:
        assert session.run(joined) == b"012"
        work.clear()
        assert session.run(joined) == b"012"
        assert "capture" not in work


def test_what_is_remembered_keeps_no_values_of_a_run() -> None:
    kept: list[weakref.ref[np.ndarray]] = []

    def doubled(v):
        out = np.repeat(v, 2)
        kept.append(weakref.ref(out))
        return out

    x = tf.placeholder(tf.float32, [None])
    between = tf.py_func(doubled, [x], tf.float32)  # only Python sees it
    count = tf.py_func(lambda v: np.int32(len(v) // 2), [between], tf.int32)
    rows = tf.reshape(x, tf.stack([count, 1])) + 1.0
    with tf.Session() as session:
        for _ in range(2):
            session.run(rows, {x: np.arange(3, dtype=np.float32)})
        gc.collect()
        assert [ref() for ref in kept] == [None, None]
