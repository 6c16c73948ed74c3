"""Arrays that grow in a loop whose number of rounds only a run tells: compiled, with room that a run may find too small."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphflow as tf
from graphflow.compiler.measuring import FIRST_ROOM
from graphflow.runtime.dataflow import DataflowSession


def _growing(**settings: Any) -> Any:
    return tf.TensorArray(tf.float32, 0, dynamic_size=True, **settings)


def _same(session: Any, fetches: Any, feeds: dict[Any, Any]) -> list[Any]:
    found = session.run(fetches, feeds)
    wanted = DataflowSession(tf.get_default_graph()).run(fetches, feeds)
    for a, b in zip(found, wanted, strict=True):
        assert np.shape(a) == np.shape(b)
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    return list(found)


def test_values_and_gradients_for_any_number_of_rounds() -> None:
    """Two arrays of the program, and the records of the gradient, which grow as they do."""
    with tf.Graph().as_default(), tf.Session() as session:
        x, limit = tf.placeholder(tf.float32, [3]), tf.placeholder(tf.float32, [])

        def body(i: Any, a: Any, one: Any, two: Any) -> Any:
            a = a * 1.2 + tf.sin(x)
            return i + 1, a, one.write(i, a), two.write(i, a * 2.0)

        i, _, one, two = tf.while_loop(lambda i, a, *_: tf.reduce_sum(a) < limit, body, [0, x, _growing(), _growing()])
        y = tf.reduce_sum(tf.log(one.stack()) * two.stack()) * 1e-3
        fetches = [i, one.size(), y, tf.gradients(y, x)[0]]
        rounds = [_same(session, fetches, {x: [0.1, 0.2, 0.3], limit: most})[0] for most in (5.0, 100.0, 3e4)]
        assert rounds[0] < rounds[1] < FIRST_ROOM < rounds[2]
        assert session._engine.compiled_programs == 1


def test_a_run_that_begins_again_finds_variables_as_they_were() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        v, limit = tf.Variable(0.0), tf.placeholder(tf.int32, [])

        def body(i: Any, made: Any) -> Any:
            with tf.control_dependencies([tf.assign_add(v, 1.0)]):
                return i + 1, made.write(i, tf.random_uniform([2]))

        rows = tf.while_loop(lambda i, _: i < limit + tf.cast(v, tf.int32) * 0, body, [0, _growing()])[1].stack()
        session.run(v.initializer)
        total = 0
        for rounds in (3, 5 * FIRST_ROOM, 40 * FIRST_ROOM, 1):
            total += rounds
            assert session.run(rows, {limit: rounds}).shape == (rounds, 2)
            assert session.run(v) == total


def test_arrays_that_grow_at_different_paces() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        limit = tf.placeholder(tf.float32, [])

        def step(i: Any, every: Any, second: Any, kept: Any) -> Any:
            number = tf.cast(i, tf.float32)
            return i + 1, every.write(i, number), second.write(2 * i, number + 0.5), kept

        _, every, second, kept = tf.while_loop(lambda i, *_: tf.cast(i, tf.float32) < limit, step, [0, _growing(), _growing(), _growing()])
        _same(session, [every.stack(), every.size(), second.size(), kept.size(), second.read(4)], {limit: 6.5})


def test_growing_on_one_branch_only_and_in_a_loop_inside_a_loop() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        x, limit = tf.placeholder(tf.float32, []), tf.placeholder(tf.float32, [])

        def inner(a: Any) -> Any:
            return tf.while_loop(lambda b: b < limit, lambda b: tf.cond(b < 2.0, lambda: b * b + 1.0, lambda: b * 1.5), [a])

        def body(a: Any, s: Any) -> Any:
            return a + 0.75, s + tf.sin(inner(a)) * a

        y = tf.while_loop(lambda a, _: a < limit, body, [x, 0.0])[1]
        for most in (3.0, 20.0):
            _same(session, [y, tf.gradients(y, x)[0]], {x: 0.3, limit: most})


def test_an_index_that_no_array_has() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        limit = tf.placeholder(tf.int32, [])
        rows = tf.while_loop(lambda i, _: i * i < limit, lambda i, a: (i + 1, a.write(i - 2, 1.0)), [0, _growing()])[1].stack()
        with pytest.raises(tf.errors.InvalidArgumentError, match="Tried to write to index -2 but array is not resizeable"):
            session.run(rows, {limit: 9})
