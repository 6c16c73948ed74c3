"""tf.ConditionalAccumulator and tf.SparseConditionalAccumulator."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import graphflow as tf


def test_a_mean_and_a_sum() -> None:
    for kind, expected in (("MEAN", [2.0, 3.0]), ("SUM", [6.0, 9.0])):
        with tf.Graph().as_default(), tf.Session() as session:
            accumulator = tf.ConditionalAccumulator(tf.float32, [2], reduction_type=kind)
            for gradient in ([1.0, 2.0], [2.0, 3.0], [3.0, 4.0]):
                session.run(accumulator.apply_grad(gradient))
            assert session.run(accumulator.num_accumulated()) == 3
            taken = accumulator.take_grad(2)
            assert taken.shape.as_list() == [2] and session.run(taken).tolist() == expected
            assert session.run(accumulator.num_accumulated()) == 0


def test_stale_gradients_are_left_out() -> None:
    with tf.Session() as session:
        accumulator = tf.ConditionalAccumulator(tf.float32, [])
        session.run(accumulator.apply_grad(1.0, local_step=0))
        session.run(accumulator.take_grad(1))
        session.run(accumulator.apply_grad(5.0, local_step=0))  # the accumulator is at step 1 now
        assert session.run(accumulator.num_accumulated()) == 0
        session.run(accumulator.set_global_step(7))
        session.run(accumulator.apply_grad(5.0, local_step=6))
        session.run(accumulator.apply_grad(4.0, local_step=7))
        assert session.run(accumulator.take_grad(1)) == 4


def test_taking_waits_and_a_closed_session_ends_it() -> None:
    accumulator = tf.ConditionalAccumulator(tf.float32, [])
    add, take, found = accumulator.apply_grad(3.0), accumulator.take_grad(2), []
    with tf.Session() as session:
        thread = threading.Thread(target=lambda: found.append(session.run(take)))
        thread.start()
        session.run(add)
        session.run(add)
        thread.join(20)
        assert found == [3.0]

        def taken() -> None:
            with pytest.raises(tf.errors.CancelledError, match="was cancelled"):
                session.run(take)
            found.append("cancelled")

        thread = threading.Thread(target=taken)
        thread.start()
        while not session.run(accumulator.num_accumulated()) and thread.is_alive() and threading.active_count() < 2:
            pass
    thread.join(20)
    assert found[1:] == ["cancelled"]


def test_rows_have_means_of_their_own() -> None:
    with tf.Session() as session:
        accumulator = tf.SparseConditionalAccumulator(tf.float32, [None, 2])
        session.run(accumulator.apply_grad([0, 2], np.array([[1, 1], [3, 3]], np.float32)))
        session.run(accumulator.apply_indexed_slices_grad(tf.IndexedSlices(tf.constant([[5.0, 7.0]]), tf.constant([2]))))
        found = session.run(accumulator.take_indexed_slices_grad(2))
        assert found.indices.tolist() == [0, 2] and found.values.tolist() == [[1, 1], [4, 5]] and found.dense_shape.tolist() == [-1, 2]


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="reduction_type"):
        tf.ConditionalAccumulator(tf.float32, reduction_type="Invalid")
    accumulator, rows = tf.ConditionalAccumulator(tf.float32, [2]), tf.SparseConditionalAccumulator(tf.float32, [2, 2])
    with pytest.raises(ValueError):
        accumulator.apply_grad([1.0])
    gradient = tf.placeholder(tf.float32)
    with tf.Session() as session:
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"expected \[2\], got \[3\]"):
            session.run(accumulator.apply_grad(gradient), {gradient: [1, 2, 3]})
        with pytest.raises(tf.errors.InvalidArgumentError, match="num_required must be positive"):
            session.run(accumulator.take_grad(0))
        for indices, values, text in (
            ([[0]], [[1.0, 2.0]], "Input indices should be vector"), ([0], 1.0, "Values cannot be 0-dimensional"),
            ([0, 1], [[1.0, 2.0]], "Expected 2 non-empty input values, got 1"), ([3], [[1.0, 2.0]], "index is 3 exceeded 2"),
            ([0], [[1.0]], "expected values dim 1 to be 2, got 1"),
        ):  # fmt: skip
            with pytest.raises(tf.errors.InvalidArgumentError, match=text):
                session.run(rows.apply_grad(indices, np.array(values, np.float32)))
