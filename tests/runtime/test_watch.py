"""GRAPHFLOW_DEBUG=nan: the first NaN or infinity is named with its operation, line, operands and run; nothing else changes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import graphflow as tf
from graphflow import config
from graphflow.errors import InvalidArgumentError


@pytest.fixture(autouse=True)
def graph() -> Iterator[None]:
    with tf.Graph().as_default():
        yield


def stopped(session: tf.Session, fetches: object, feed: dict[object, object]) -> str:
    with pytest.raises(InvalidArgumentError) as error:
        session.run(fetches, feed)
    return str(error.value)


def test_it_is_asked_for_by_name() -> None:
    assert config.read_environment({"GRAPHFLOW_DEBUG": "nan"}).watch_nan and not config.read_environment({"GRAPHFLOW_DEBUG": "nan"}).debug
    both = config.read_environment({"GRAPHFLOW_DEBUG": "1,nan"})
    assert both.watch_nan and both.debug and both.verify == 2
    assert not config.read_environment({"GRAPHFLOW_DEBUG": "1"}).watch_nan


def test_the_first_of_several_operations_in_one_kernel_is_named() -> None:
    x = tf.placeholder(tf.float32, [None], name="x")
    under = tf.subtract(x, 1.0, name="under")
    root = tf.sqrt(under, name="root")
    last = tf.multiply(tf.exp(root), 2.0, name="last")
    with config.override(watch_nan=True), tf.Session() as session:
        assert session.run(last, {x: [1.0, 2.0]})[0] == 2.0
        text = stopped(session, last, {x: [5.0, 0.5, 2.0, 0.25]})
    assert "Sqrt 'root'" in text and "2 NaN of 4 elements, the first at [1], in run 2" not in text, "another shape is another plan"
    assert "2 NaN of 4 elements, the first at [1], in run 1 of this step" in text
    assert "x:0: 0.25 to 5" in text and "Created at test_watch.py:" in text


def test_infinities_count_and_the_run_is_told() -> None:
    v = tf.Variable([1.0, 1e30], name="v")
    grow = tf.assign(v, v * 1e5, name="grow")
    with config.override(watch_nan=True), tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(grow)
        text = stopped(session, grow, {})
    assert "1 infinite of 2 elements, the first at [1], in run 2 of this step" in text
    assert "v: 100000 to 1e+35" in text, "what the variable held before the kernel overwrote it"


def test_a_large_product_is_named_by_its_result() -> None:
    a = tf.placeholder(tf.float32, [300, 300], name="a")
    product = tf.matmul(a, tf.ones([300, 300]), name="product")
    total = tf.reduce_sum(tf.nn.relu(product, name="positive"), name="total")
    with config.override(watch_nan=True), tf.Session() as session:
        text = stopped(session, total, {a: np.full((300, 300), 2e38, np.float32)})
    assert "'positive'" in text or "'product'" in text
    assert "infinite of 90,000 elements" in text and "a:0: 2e+38 to 2e+38" in text


def test_what_is_fed_is_named_before_anything_runs() -> None:
    x = tf.placeholder(tf.float32, [2, 2], name="given")
    v = tf.Variable(3.0)
    with config.override(watch_nan=True), tf.Session() as session:
        session.run(v.initializer)
        text = stopped(session, [tf.assign(v, 4.0), tf.reduce_sum(x)], {x: [[1.0, 2.0], [np.nan, 3.0]]})
        assert "Placeholder 'given'" in text and "what is fed has 1 NaN of 4 elements, the first at [1, 0]" in text
        assert session.run(v) == 3.0


def test_results_are_the_same_to_the_bit() -> None:
    tf.set_random_seed(3)
    x = tf.placeholder(tf.float32, [None, 30], name="x")
    hidden = tf.layers.dense(x, 50, activation=tf.nn.relu)
    loss = tf.reduce_mean(tf.square(tf.layers.dense(tf.nn.dropout(hidden, 0.5), 7)))
    train = tf.train.AdamOptimizer(0.01).minimize(loss)
    data = np.random.RandomState(1).rand(64, 30).astype(np.float32)
    losses = []
    for watch in (False, True):
        with config.override(watch_nan=watch), tf.Session() as session:
            session.run(tf.global_variables_initializer())
            seen = [session.run([loss, train], {x: data})[0] for _ in range(5)]
            losses.append(seen + list(session.run(tf.trainable_variables())[0].ravel()))
    assert losses[0] == losses[1]


def test_checks_of_kernels_still_speak() -> None:
    i = tf.placeholder(tf.int32, [None], name="i")
    taken = tf.gather(tf.constant([1.0, 2.0]), i, name="taken") * 2.0
    with config.override(watch_nan=True), tf.Session() as session:
        assert "is not in [0, 2)" in stopped(session, taken, {i: [0, 5]})
        np.testing.assert_array_equal(session.run(taken, {i: [1]}), [4.0])


def test_python_in_the_middle_is_looked_at_too() -> None:
    x = tf.placeholder(tf.float32, [3], name="x")
    made = tf.py_func(lambda a: np.log(a - 1, dtype=np.float32), [x * 1.0], tf.float32, name="made")
    with np.errstate(all="ignore"), config.override(watch_nan=True), tf.Session() as session:
        text = stopped(session, tf.exp(tf.reshape(made, [3]), name="after"), {x: [2.0, 3.0, 0.0]})
    assert "made" in text or "after" in text
    assert "1 NaN of 3 elements" in text
