"""Producers and batches. Orders and names are TensorFlow 1.15's for these seeds."""

import numpy as np
import pytest

import graphflow as tf


def everything(session, fetch):
    """All that a pipeline gives until its data are at their end."""
    session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
    coordinator = tf.train.Coordinator()
    threads = tf.train.start_queue_runners(session, coordinator)
    found = []
    with pytest.raises(tf.errors.OutOfRangeError):
        while True:
            found.append(session.run(fetch))
    coordinator.request_stop()
    coordinator.join(threads)
    return found


@pytest.fixture
def session():
    with tf.Graph().as_default(), tf.Session() as session:
        yield session


def test_epochs_in_tensorflows_order(session) -> None:
    tf.set_random_seed(7)
    rows = np.arange(20).reshape(10, 2).astype(np.float32)
    slices = tf.train.slice_input_producer([rows, np.arange(10)], num_epochs=2, shuffle=True, seed=3)
    values, numbers = tf.train.batch(slices, 4)
    assert values.shape.as_list() == [4, 2]
    found = everything(session, [values, numbers])
    assert np.concatenate([n for _, n in found]).tolist() == [3, 4, 2, 9, 8, 5, 1, 6, 7, 0, 2, 9, 6, 7, 1, 0, 8, 5, 3, 4]
    for v, n in found:
        np.testing.assert_array_equal(v, rows[n])


def test_strings_without_shuffling(session) -> None:
    name = tf.train.string_input_producer(["p", "q", "r"], shuffle=False, num_epochs=2).dequeue()
    assert everything(session, name) == [b"p", b"q", b"r", b"p", b"q", b"r"]
    with pytest.raises(ValueError, match="non-null"):
        tf.train.string_input_producer([])


def test_the_rest_is_a_smaller_batch(session) -> None:
    number = tf.train.range_input_producer(7, num_epochs=1, shuffle=False).dequeue()
    batches = everything(session, tf.train.batch({"n": number}, 3, allow_smaller_final_batch=True))
    assert [b["n"].tolist() for b in batches] == [[0, 1, 2], [3, 4, 5], [6]]


def test_padding(session) -> None:
    number = tf.train.range_input_producer(4, num_epochs=1, shuffle=False).dequeue()
    row = tf.fill([number + 1], number)
    padded = tf.train.batch([row], 2, dynamic_pad=True, shapes=[(None,)])
    assert [b.tolist() for b in everything(session, padded)] == [[[0, 0], [1, 1]], [[2, 2, 2, 0], [3, 3, 3, 3]]]


def test_shuffled_batches_lose_nothing(session) -> None:
    number = tf.train.range_input_producer(30, num_epochs=1, shuffle=False).dequeue()
    mixed = tf.train.shuffle_batch([number], 5, capacity=20, min_after_dequeue=10, seed=1)
    found = np.concatenate(everything(session, mixed)).tolist()
    assert sorted(found) == list(range(30))
    assert found != list(range(30))
    assert "shuffle_batch/fraction_over_10_of_10_full" in {o.name for o in session.graph.get_operations()}
    with pytest.raises(ValueError, match="capacity 5 must be bigger than min_after_dequeue 5"):
        tf.train.shuffle_batch([number], 5, capacity=5, min_after_dequeue=5)


def test_only_what_is_kept(session) -> None:
    number = tf.train.range_input_producer(10, num_epochs=1, shuffle=False).dequeue()
    even = tf.train.maybe_batch([number], tf.equal(number % 2, 0), 5)
    assert [b.tolist() for b in everything(session, even)] == [[0, 2, 4, 6, 8]]


def test_several_lists_join(session) -> None:
    numbers = [tf.train.range_input_producer(6, num_epochs=1, shuffle=False).dequeue() + 10 * k for k in range(2)]
    joined = tf.train.batch_join([[n] for n in numbers], 4)
    assert sorted(np.concatenate(everything(session, joined)).tolist()) == [*range(6), *range(10, 16)]


def test_shapes_must_be_known(session) -> None:
    with pytest.raises(ValueError, match="All shapes must be fully defined"):
        tf.train.batch([tf.placeholder(tf.float32, [None])], 2)
