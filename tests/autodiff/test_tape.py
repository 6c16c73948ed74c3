"""tf.GradientTape in graphs."""

import numpy as np
import pytest

import graphflow as tf


@pytest.fixture
def session():
    with tf.Graph().as_default(), tf.Session() as session:
        yield session


def test_gradients_of_what_is_watched(session) -> None:
    x, y = tf.constant([1.0, 2.0]), tf.constant(3.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        z = tf.reduce_sum(x * x) * y
    found = tape.gradient(z, {"x": x, "y": y})
    assert found["y"] is None
    np.testing.assert_allclose(session.run(found["x"]), [6.0, 12.0])
    with pytest.raises(RuntimeError, match="only be called once"):
        tape.gradient(z, x)


def test_what_was_made_before_is_constant(session) -> None:
    x = tf.constant(3.0)
    before = x * x
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        inside = x * x
        with tape.stop_recording():
            apart = x * x
        total = before + inside * 10.0 + apart
    assert session.run(tape.gradient(total, x)) == 60.0
    assert tape.gradient(before, x) is None
    assert session.run(tape.gradient(before, x, unconnected_gradients="zero")) == 0.0


@pytest.mark.parametrize("resource", [True, False])
def test_variables_are_watched_by_themselves(session, resource: bool) -> None:
    v = tf.get_variable("v", initializer=[1.0, 2.0], use_resource=resource)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(v * v)
    with tf.GradientTape(watch_accessed_variables=False) as other:
        again = tf.reduce_sum(v * v)
    session.run(tf.global_variables_initializer())
    assert tape.watched_variables() == (v,)
    assert session.run(tape.gradient(loss, [v]))[0].tolist() == [2.0, 4.0]
    assert other.gradient(again, v) is None


def test_gradients_of_gradients(session) -> None:
    x = tf.constant([2.0, 3.0])
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = x * x * x
        first = inner.gradient(y, x)
    second = outer.gradient(first, x)
    np.testing.assert_allclose(session.run([first, second]), [[12.0, 27.0], [12.0, 18.0]])


def test_output_gradients_and_several_targets(session) -> None:
    x = tf.constant([1.0, 2.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        ys = [x * 2.0, x * x]
    starts = [tf.constant([1.0, 1.0]), tf.constant([10.0, 1.0])]
    np.testing.assert_allclose(session.run(tape.gradient(ys, x, output_gradients=starts)), [22.0, 6.0])


def test_jacobians(session) -> None:
    x = tf.constant([1.0, 2.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.stack([x[0] * x[1], x[0], x[1] * x[1]])
    np.testing.assert_allclose(session.run(tape.jacobian(y, x)), [[2.0, 1.0], [1.0, 0.0], [0.0, 4.0]])
    rows = tf.placeholder(tf.float32, [None, 2])
    with tf.GradientTape() as tape:
        tape.watch(rows)
        squares = rows * rows
    found = session.run(tape.batch_jacobian(squares, rows), {rows: [[1.0, 2.0], [3.0, 4.0]]})
    np.testing.assert_allclose(found, [[[2.0, 0.0], [0.0, 4.0]], [[6.0, 0.0], [0.0, 8.0]]])


def test_a_persistent_tape_records_its_own_gradients(session) -> None:
    x = tf.constant([2.0, 3.0])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * x * x
        first = tape.gradient(y, x)
    np.testing.assert_allclose(session.run(tape.gradient(first, x)), [12.0, 18.0])
