"""Updates of some rows in place: only named rows are touched, readers of the old contents see them, failures change nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphflow as tf

START = np.arange(12, dtype=np.float32).reshape(4, 3)


@pytest.fixture
def session() -> Any:
    with tf.Graph().as_default(), tf.Session() as session:
        yield session


def variable(session: Any, value: Any = START) -> Any:
    made = tf.Variable(value)
    session.run(made.initializer)
    return made


def kernels(session: Any, fetches: Any, feed: Any = None) -> str:
    return str(session.compiled(fetches, feed))


def test_a_scatter_is_one_kernel_on_the_variables_memory(session: Any) -> None:
    v = variable(session)
    update = tf.scatter_add(v, [2, 0, 2], np.ones((3, 3), np.float32)).op
    assert "1 kernel calls" in kernels(session, update)
    session.run(update)
    assert np.array_equal(session.run(v), START + np.array([1, 0, 2, 0])[:, None])


def test_a_reader_ordered_before_sees_the_old_rows(session: Any) -> None:
    v = variable(session)
    before = v.read_value() * 2
    with tf.control_dependencies([before]):
        after = tf.scatter_sub(v, [1], [[1.0, 1.0, 1.0]])
    old, new = session.run([before, after])
    assert np.array_equal(old, START * 2)
    assert np.array_equal(new[1], START[1] - 1)


def test_the_old_value_beside_the_new_one_is_copied(session: Any) -> None:
    v = variable(session)
    old = v + 0.0
    new = tf.scatter_update(v, [3], [[7.0, 7.0, 7.0]])
    with tf.control_dependencies([old]):
        difference = new - old
    found, kept = session.run([difference, v])
    assert kept[3].tolist() == [7, 7, 7]
    assert np.array_equal(found, kept - START) or not found.any()


def test_another_variable_that_was_assigned_keeps_its_value(session: Any) -> None:
    a, b = variable(session), variable(session, START * 0)
    copied = b.assign(a)
    with tf.control_dependencies([copied]):
        changed = tf.scatter_add(b, [0], [[1.0, 1.0, 1.0]])
    session.run(changed)
    assert np.array_equal(session.run(a), START)
    assert np.array_equal(session.run(b)[0], START[0] + 1)


def test_a_wrong_index_changes_nothing(session: Any) -> None:
    v, ids = variable(session), tf.placeholder(tf.int32, [None])
    update = tf.scatter_add(v, ids, 1.0)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"indices\[1\] = 4 is not in \[0, 4\)"):
        session.run(update, {ids: [0, 4]})
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"indices\[0\] = -1 is not in \[0, 4\)"):
        session.run(update, {ids: [-1, 1]})
    assert np.array_equal(session.run(v), START)


def test_a_number_of_ids_that_was_not_seen_before(session: Any) -> None:
    v, ids = variable(session), tf.placeholder(tf.int32, [None])
    update = tf.scatter_add(v, ids, 1.0).op
    for n in (1, 3, 0, 5):
        session.run(update, {ids: np.zeros(n, np.int32)})
    assert session.run(v)[0].tolist() == [9, 10, 11]
