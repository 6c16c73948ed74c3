"""Variables of strings, which no kernel holds, inside branches."""

from __future__ import annotations

import pytest

import graphflow as tf


@pytest.fixture(autouse=True)
def _fresh_graph() -> None:
    tf.reset_default_graph()


def test_a_branch_reads_a_variable_of_strings() -> None:
    word, flag = tf.Variable("yes"), tf.placeholder(tf.bool)
    said = tf.cond(flag, word.read_value, lambda: tf.string_join([tf.constant("n"), "o"]))
    with tf.Session() as s:
        s.run(word.initializer)
        assert [s.run(said, {flag: f}) for f in (True, False)] == [b"yes", b"no"]


def test_a_variable_of_strings_begins_as_another_one() -> None:
    first = tf.Variable("one")
    second = tf.Variable(first.initialized_value())
    with tf.Session() as s:
        s.run(tf.global_variables_initializer())
        assert s.run(second) == b"one"
        s.run(first.assign("two"))
        s.run(second.initializer)
        assert s.run(second) == b"two"
