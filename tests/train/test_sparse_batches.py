"""tf.train.batch of sparse tensors, and threads that wait for room inside a branch."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as tf


def counted(limit: int) -> tf.Tensor:
    variable = tf.Variable(np.int64(0), collections=[tf.GraphKeys.LOCAL_VARIABLES])
    return variable.count_up_to(limit)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("many", [False, True])
def test_rows_of_a_batch_are_what_was_put_in(shuffle: bool, many: bool) -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        number = counted(8)
        row = tf.SparseTensor(tf.stack([[number], [number + 1]]), tf.stack([number, -number]), tf.stack([number + 2]))
        given = [number, row]
        if many:
            row = tf.SparseTensor(tf.pad(row.indices, [[0, 0], [1, 0]]), row.values, tf.concat([[1], row.dense_shape], 0))
            given = [tf.expand_dims(number, 0), row]
        if shuffle:
            batch = tf.train.shuffle_batch(given, 4, 20, 2, enqueue_many=many)
        else:
            batch = tf.train.batch(given, 4, enqueue_many=many)
        assert batch[1].indices.shape.as_list() == [None, 2]
        session.run(tf.local_variables_initializer())
        coordinator = tf.train.Coordinator()
        threads = tf.train.start_queue_runners(session, coordinator)
        seen = []
        for _ in range(2):
            numbers, rows = session.run(batch)
            seen += numbers.tolist()
            assert rows.dense_shape.tolist() == [4, max(numbers) + 2]
            dense = np.zeros(rows.dense_shape, np.int64)
            dense[tuple(rows.indices.T)] = rows.values
            for n, found in zip(numbers, dense, strict=True):
                assert found[n] == n and found[n + 1] == -n
        assert sorted(seen) == list(range(8))
        with pytest.raises(tf.errors.OutOfRangeError):
            session.run(batch)
        coordinator.request_stop()
        coordinator.join(threads)


def test_threads_that_wait_for_room_block_nobody() -> None:
    with tf.Graph().as_default(), tf.Session(config=tf.ConfigProto(operation_timeout_in_ms=20_000)) as session:
        number = counted(40)
        batch = tf.train.maybe_batch([number], tf.equal(number % 2, 0), 4, num_threads=4, capacity=4)
        session.run(tf.local_variables_initializer())
        coordinator = tf.train.Coordinator()
        threads = tf.train.start_queue_runners(session, coordinator)
        seen = [n for _ in range(5) for n in session.run(batch).tolist()]
        assert sorted(seen) == list(range(0, 40, 2))
        coordinator.request_stop()
        coordinator.join(threads)


def test_lists_must_agree() -> None:
    sparse = tf.SparseTensor([[0]], [1], [1])
    with pytest.raises(ValueError, match="Inconsistent SparseTensors list"):
        tf.train.batch_join([[sparse], [tf.constant(1)]], 2)
    with pytest.raises(ValueError, match="same keys"):
        tf.train.batch_join([{"a": 1}, {"b": 1}], 2)
