"""Assignments that change a variable's shape, and variables of strings: memory is made anew, nothing is written past its end."""

import numpy as np
import pytest

import graphflow as tf


@pytest.fixture
def session():
    with tf.Graph().as_default(), tf.Session() as session:
        yield session


def test_first_value_of_another_shape(session) -> None:
    variable = tf.Variable([1])
    session.run(tf.assign(variable, tf.fill([200, 300], 7), validate_shape=False).op)
    assert session.run(variable).shape == (200, 300)
    assert session.run(variable + 1)[199, 299] == 8


def test_programs_compiled_for_the_old_shape_are_compiled_again(session) -> None:
    variable = tf.Variable([1.0])
    twice = variable * 2.0
    new = tf.placeholder(tf.float32)
    assign = tf.assign(variable, new, validate_shape=False)
    session.run(variable.initializer)
    assert session.run(twice) == [2.0]
    for value in ([[1.0, 2.0], [3.0, 4.0]], [5.0] * 1000, 6.0, [7.0]):
        np.testing.assert_array_equal(session.run(assign, {new: value}), np.asarray(value, np.float32))
        np.testing.assert_array_equal(session.run(twice), 2 * np.asarray(value, np.float32))
    session.run(variable.initializer)
    assert session.run(twice) == [2.0]


def test_reading_and_reshaping_in_one_run_is_refused(session) -> None:
    variable = tf.Variable([1.0])
    twice = variable * 2.0
    with tf.control_dependencies([twice]):
        assign = tf.assign(variable, tf.zeros([3, 2]), validate_shape=False)
    session.run(variable.initializer)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"has shape \[1\] and cannot get shape \[3, 2\] in a run that reads it"):
        session.run([twice, assign])
    assert session.run(variable) == [1.0]


def test_reads_that_simplify_away_still_need_a_value(session) -> None:
    variable = tf.Variable([1])
    with pytest.raises(tf.errors.FailedPreconditionError):
        session.run(tf.assign_add(variable, [0]))


def test_rows_of_strings(session) -> None:
    handle = tf.get_variable("words", initializer=tf.constant([["a"], ["c"]]), use_resource=True)
    session.run(handle.initializer)
    assert session.run(tf.scatter_update(handle, [0], [["b"]])).tolist() == [[b"b"], [b"c"]]
    assert session.run(handle).tolist() == [[b"b"], [b"c"]]
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"indices\[0\] = 5 is not in \[0, 2\)"):
        session.run(tf.scatter_update(handle, [5], [["b"]]))
