"""Complex tensors: memory at the borders, gradients by TensorFlow's conjugation rule, Fourier transforms."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as tf

R = np.random.RandomState(0)


def _drawn(*shape: int) -> np.ndarray:
    return R.uniform(0.5, 2, shape) + 1j * R.uniform(-1, 1, shape)


def test_feeds_variables_constants_and_fetches_are_complex_arrays() -> None:
    a = _drawn(2, 3).astype(np.complex64)
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.complex64, [None, 3])
        v = tf.Variable(tf.constant([1 + 2j, 3]))
        session.run(v.initializer)
        same, turned, constant, value = session.run([x, tf.transpose(x), tf.constant(a), v], {x: a})
        assert same.dtype == np.complex64 and value.dtype == np.complex128
        np.testing.assert_array_equal(same, a)
        np.testing.assert_array_equal(turned, a.T)
        np.testing.assert_array_equal(constant, a)
        np.testing.assert_array_equal(session.run(tf.assign_add(v, [1j, 1])), [1 + 3j, 4])
        np.testing.assert_array_equal(session.run(v), [1 + 3j, 4])


def test_parts_keep_the_sign_of_zero() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        assert np.signbit(session.run(tf.conj(tf.constant(-2 + 0j))).imag)


FUNCTIONS = {
    "mul": lambda x: x * (2 - 1j) * x, "div": lambda x: (1 + 1j) / x, "exp": tf.exp, "log": tf.log, "sqrt": tf.sqrt, "rsqrt": tf.rsqrt,
    "tanh": tf.tanh, "sigmoid": tf.sigmoid, "sin": tf.sin, "pow": lambda x: tf.pow(x, 2 + 1j), "abs": tf.abs, "angle": tf.angle,
    "real": tf.real, "imag": tf.imag, "conj": tf.conj, "matmul": lambda x: tf.matmul(x, x, adjoint_b=True), "prod": tf.reduce_prod,
    "cumprod": tf.cumprod, "mean": tf.reduce_mean, "square": tf.square, "fft": tf.fft, "ifft2d": tf.ifft2d,
    "gather": lambda x: tf.gather(x, [1, 1]),
    "inverse": lambda x: tf.matrix_inverse(x[:, :2]), "transpose": lambda x: tf.transpose(x, conjugate=True),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradient_is_the_finite_difference(name: str) -> None:
    """With w the gradient of the result, Re(conj(g) d) is the change of Re(conj(w) y) along d."""
    x = _drawn(2, 3)
    with tf.Graph().as_default(), tf.Session() as session:
        place = tf.placeholder(tf.complex128, x.shape)
        y = FUNCTIONS[name](place)
        shape = session.run(tf.shape(y), {place: x})
        w = np.asarray(R.randn(*shape) + (1j * R.randn(*shape) if y.dtype.is_complex else 0), y.dtype.as_numpy_dtype)
        gradient = tf.convert_to_tensor(tf.gradients(y, place, grad_ys=tf.constant(w))[0])
        found = session.run(gradient, {place: x})
        d, step = _drawn(2, 3), 1e-6
        measured = [session.run(y, {place: x + sign * step * d}) for sign in (1, -1)]
        wanted = np.real(np.vdot(w, measured[0] - measured[1])) / (2 * step)
        assert np.real(np.vdot(found, d)) == pytest.approx(wanted, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("length", [1, 2, 30, 37, 64, 97, 202, 1000])
def test_fourier_transform_of_any_length(length: int) -> None:
    x = _drawn(3, length)
    with tf.Graph().as_default(), tf.Session() as session:
        place = tf.placeholder(tf.complex128, [None, length])
        there, back = session.run([tf.fft(place), tf.ifft(tf.fft(place))], {place: x})
    np.testing.assert_allclose(there, np.fft.fft(x), atol=1e-11 * length)
    np.testing.assert_allclose(back, x, atol=1e-12 * length)
