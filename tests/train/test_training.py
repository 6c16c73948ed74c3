"""Training steps through the session: every optimizer against real TensorFlow's numbers, counters, decays, averages."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphflow as tf
from tests.golden import optimizers as golden

GOLDEN = json.loads((Path(golden.__file__).parent / "optimizers.json").read_text())


@pytest.fixture(autouse=True)
def graph() -> Iterator[Any]:
    with tf.Graph().as_default() as g:
        yield g


@pytest.mark.parametrize("case", sorted(GOLDEN))
def test_three_steps_are_tensorflows(case: str) -> None:
    name, _, sparse = case.partition("/")
    found = golden.run(tf, name, bool(sparse))
    assert sorted(found) == sorted(GOLDEN[case])
    for key, wanted in GOLDEN[case].items():
        np.testing.assert_allclose(found[key], np.array(wanted, np.float32), rtol=1e-5, atol=1e-6, err_msg=key)


def test_the_loss_falls_and_the_counter_counts() -> None:
    x = tf.placeholder(tf.float32, [None, 2])
    y = tf.placeholder(tf.float32, [None, 1])
    w = tf.Variable(tf.zeros([2, 1]))
    b = tf.Variable(tf.zeros([1]))
    loss = tf.reduce_mean(tf.square(tf.matmul(x, w) + b - y))
    counter = tf.train.get_or_create_global_step()
    rate = tf.train.exponential_decay(0.5, counter, 10, 0.5, staircase=True)
    step = tf.train.GradientDescentOptimizer(rate).minimize(loss, global_step=counter)
    random = np.random.RandomState(0)
    points = random.uniform(-1, 1, (64, 2))
    values = points @ [[2.0], [-3.0]] + 0.5
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        first = sess.run(loss, {x: points, y: values})
        rates = [sess.run([rate, step], {x: points, y: values})[0] for _ in range(40)]
        assert tf.train.global_step(sess, counter) == 40
        assert sess.run(loss, {x: points, y: values}) < first / 50
        np.testing.assert_allclose(rates[::10], [0.5, 0.25, 0.125, 0.0625], rtol=1e-6)


def test_decays_follow_their_formulas() -> None:
    step = tf.placeholder(tf.int64, [])
    train = tf.train
    rates = {
        "exponential": (train.exponential_decay(0.1, step, 10, 0.5), lambda s: 0.1 * 0.5 ** (s / 10)),
        "natural": (train.natural_exp_decay(0.1, step, 10, 0.5), lambda s: 0.1 * np.exp(-0.5 * s / 10)),
        "inverse": (train.inverse_time_decay(0.1, step, 10, 0.5), lambda s: 0.1 / (1 + 0.5 * s / 10)),
        "polynomial": (
            train.polynomial_decay(0.1, step, 10, 0.01, power=2.0),
            lambda s: (0.1 - 0.01) * (1 - min(s, 10) / 10) ** 2 + 0.01,
        ),
        "cycle": (
            train.polynomial_decay(0.1, step, 10, 0.01, cycle=True),
            lambda s: (0.1 - 0.01) * (1 - s / (10 * max(1, np.ceil(s / 10)))) + 0.01,
        ),
        "cosine": (train.cosine_decay(0.1, step, 10, 0.2), lambda s: 0.1 * (0.8 * 0.5 * (1 + np.cos(np.pi * min(s, 10) / 10)) + 0.2)),
        "linear_cosine": (
            train.linear_cosine_decay(0.1, step, 10),
            lambda s: 0.1 * ((1 - min(s, 10) / 10) * 0.5 * (1 + np.cos(np.pi * min(s, 10) / 10)) + 0.001),
        ),
        "piecewise": (
            train.piecewise_constant(step, [5, 12], [0.1, 0.01, 0.001]),
            lambda s: 0.1 if s <= 5 else 0.01 if s <= 12 else 0.001,
        ),
    }
    with tf.Session() as sess:
        for s in (0, 1, 5, 6, 10, 12, 13, 25):
            found = sess.run({name: rate for name, (rate, _) in rates.items()}, {step: s})
            for name, (_, formula) in rates.items():
                np.testing.assert_allclose(found[name], formula(s), rtol=2e-5, err_msg=f"{name} at {s}")


def test_rates_with_branches_are_tensorflows_nodes(graph: Any) -> None:
    step = tf.train.get_or_create_global_step()
    tf.train.piecewise_constant(step, [10, 20], [1.0, 0.5, 0.2])
    tf.train.polynomial_decay(0.1, step, 7, cycle=True)
    names = {op.name: op.type for op in graph.get_operations()}
    merges = {f"PiecewiseConstant/case/{'cond/' * n}Merge" for n in (1, 2, 3)} | {"PolynomialDecay/cond/Merge"}
    assert merges | {"PiecewiseConstant/case/Assert/AssertGuard/Merge"} == {n for n, kind in names.items() if kind == "Merge"}
    assert names["PiecewiseConstant/and"] == "LogicalAnd" and names["PolynomialDecay/cond/truediv"] == "RealDiv"


def test_a_program_may_begin_with_any_namespace() -> None:
    """Whatever brings in the first op brings in the operators of its results, and the ops of its gradient."""
    program = "import graphflow as tf; step = tf.train.get_or_create_global_step(); print((step <= step).op.type)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "LessEqual\n"


def test_moving_averages_follow_their_variables() -> None:
    w = tf.Variable([1.0, 2.0], name="w")
    counter = tf.Variable(0, trainable=False)
    averages = tf.train.ExponentialMovingAverage(0.9, num_updates=counter)
    add = tf.assign_add(w, [1.0, 1.0])
    with tf.control_dependencies([add]):
        update = averages.apply([w])
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        expected = np.array([1.0, 2.0])
        value = np.array([1.0, 2.0])
        for _ in range(3):
            sess.run(update)
            value += 1.0
            decay = min(0.9, 1.0 / 10.0)
            expected = decay * expected + (1 - decay) * value
            np.testing.assert_allclose(sess.run(averages.average(w)), expected, rtol=1e-6)


def test_gradients_can_be_changed_before_they_are_applied() -> None:
    w = tf.Variable([3.0, -4.0])
    optimizer = tf.train.GradientDescentOptimizer(1.0)
    pairs = optimizer.compute_gradients(tf.reduce_sum(tf.square(w)))
    step = optimizer.apply_gradients([(tf.clip_by_value(g, -1.0, 1.0), v) for g, v in pairs])
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        sess.run(step)
        assert sess.run(w).tolist() == [2.0, -3.0]


def test_a_constraint_holds_after_each_step() -> None:
    w = tf.get_variable("w", [2], initializer=tf.constant_initializer([0.1, 5.0]), constraint=lambda v: tf.clip_by_value(v, 0.0, 1.0))
    step = tf.train.GradientDescentOptimizer(0.5).minimize(tf.reduce_sum(w))
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        sess.run(step)
        assert sess.run(w).tolist() == [0.0, 1.0]
