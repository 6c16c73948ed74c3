"""tf.custom_gradient: the given gradient is taken, also for variables; misuse is refused."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as tf


@pytest.fixture(autouse=True)
def fresh_graph():
    tf.reset_default_graph()


def test_the_given_gradient_is_taken() -> None:
    @tf.custom_gradient
    def log1pexp(x):
        e = tf.exp(x)
        return tf.log(1.0 + e), lambda dy: dy * (1.0 - 1.0 / (1.0 + e))

    x = tf.constant(100.0, tf.float64)
    y = log1pexp(x)
    with tf.Session() as session:
        assert session.run(tf.gradients(y, x)[0]) == 1.0  # NaN without the function


def test_gradients_of_variables() -> None:
    @tf.custom_gradient
    def scaled(x):
        v = tf.get_variable("v", initializer=4.0)

        def grad(dy, variables):
            return dy * 7.0, [dy * 3.0 for _ in variables]

        return x * v, grad

    x = tf.constant(2.0)
    with tf.variable_scope("s", use_resource=True):
        y = scaled(x)
    found = tf.gradients(y, [x, tf.global_variables()[0]])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert session.run([y, *found]) == [8.0, 7.0, 3.0]


def test_reference_variables_are_refused() -> None:
    @tf.custom_gradient
    def f(x):
        return x * tf.get_variable("v", []), lambda dy: dy

    with pytest.raises(TypeError, match="ResourceVariable"):
        f(tf.constant(1.0))


def test_passing_through_and_recomputing() -> None:
    x = tf.constant([1.4, -2.6])
    with tf.variable_scope("s", use_resource=True):  # without it TensorFlow refuses functions that may be given variables
        (through,) = tf.gradients(tf.grad_pass_through(tf.round)(x), x)
        (again,) = tf.gradients(tf.recompute_grad(lambda t: tf.square(tf.sin(t)))(x), x)
    with tf.Session() as session:
        np.testing.assert_array_equal(session.run(through), [1.0, 1.0])
        np.testing.assert_allclose(session.run(again), np.sin(2 * np.array([1.4, -2.6])), rtol=1e-5)
