"""Sizes inside branches that something outside of them needs, as gradients do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphflow as tf


@pytest.fixture(autouse=True)
def _fresh_graph() -> None:
    tf.reset_default_graph()


@pytest.mark.parametrize("training", [False, True])
def test_dropout_where_training_is_fed_and_the_batch_is_unknown(training: bool) -> None:
    x = tf.placeholder(tf.float32, [None, 4])
    flag = tf.placeholder(tf.bool)
    dropped = tf.layers.dropout(x, 0.5, training=flag, seed=3)
    (slope,) = tf.gradients(tf.reduce_sum(dropped), x)
    with tf.Session() as s:
        for rows in (3, 5):
            value, found = s.run([dropped, slope], {x: np.ones((rows, 4)), flag: training})
            np.testing.assert_array_equal(found, value)
            assert set(np.unique(value)) == ({0.0, 2.0} if training else {1.0})


@pytest.mark.parametrize("taken", [False, True])
def test_a_size_that_depends_on_data_inside_a_branch(taken: bool) -> None:
    x = tf.placeholder(tf.float32, [None])
    flag = tf.placeholder(tf.bool, [])
    total = tf.cond(flag, lambda: tf.reduce_sum(tf.square(tf.boolean_mask(x, x > 0.0))), lambda: tf.reduce_sum(x))
    (slope,) = tf.gradients(total, x)
    given = np.array([-1.0, 2.0, 3.0], np.float32)
    expected: Any = (13.0, [0.0, 4.0, 6.0]) if taken else (4.0, [1.0, 1.0, 1.0])
    with tf.Session() as s:
        value, found = s.run([total, slope], {x: given, flag: taken})
    assert value == expected[0]
    np.testing.assert_array_equal(found, expected[1])


def test_slices_of_a_branch_in_a_loop_may_have_other_sizes_in_each_iteration() -> None:
    table = tf.Variable(tf.ones([5, 2]))
    ids = tf.placeholder(tf.int32, [None])

    def body(i: Any, total: Any) -> Any:
        more = tf.cond(i < 2, lambda: tf.constant(1.0), lambda: tf.reduce_sum(tf.nn.embedding_lookup(table, ids)))
        return i + 1, total + more

    _, total = tf.while_loop(lambda i, _: i < 5, body, [0, 0.0])
    (slope,) = tf.gradients(total, table)
    with tf.Session() as s:
        s.run(tf.global_variables_initializer())
        value, found = s.run([total, tf.convert_to_tensor(slope)], {ids: [1, 3, 3]})
    assert value == 2 + 3 * 6
    np.testing.assert_array_equal(found, np.repeat([[0.0], [3.0], [0.0], [6.0], [0.0]], 2, axis=1))
