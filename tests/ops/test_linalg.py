"""Decompositions of matrices: what they are of any matrix, and gradients that need symmetric changes."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as tf

R = np.random.RandomState(0)
MATRICES = {
    "batch": R.randn(2, 5, 3), "wide": R.randn(2, 3, 5), "complex": R.randn(4, 4) + 1j * R.randn(4, 4), "zeros": np.zeros((3, 2)),
    "rank 1": np.ones((4, 3)), "float32": R.randn(30, 20).astype(np.float32), "identity": np.eye(3),
}  # fmt: skip


def _adjoint(x: np.ndarray) -> np.ndarray:
    return np.conj(np.swapaxes(x, -1, -2))


def _close(x, y, like: np.ndarray) -> None:
    np.testing.assert_allclose(x, y, atol=1e-4 if like.dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("name", MATRICES)
def test_singular_values_and_vectors(name: str, full: bool) -> None:
    x = MATRICES[name]
    with tf.Graph().as_default(), tf.Session() as session:
        place = tf.placeholder(x.dtype, x.shape)
        s, u, v = session.run(tf.svd(place, full_matrices=full), {place: x})
    _close(s, np.linalg.svd(x, compute_uv=False), x)
    count = s.shape[-1]
    _close((u[..., :count] * s[..., None, :]) @ _adjoint(v[..., :count]), x, x)
    for q in (u, v):
        _close(_adjoint(q) @ q, np.broadcast_to(np.eye(q.shape[-1]), (*q.shape[:-2], q.shape[-1], q.shape[-1])), x)
        assert q.shape[-1] == (q.shape[-2] if full else count)


@pytest.mark.parametrize("name", ["complex", "identity", "float32", "rank 1"])
def test_eigenvalues_and_vectors(name: str) -> None:
    x = MATRICES[name]
    x = x[..., : min(x.shape[-2:]), : min(x.shape[-2:])]
    x = x + _adjoint(x)
    with tf.Graph().as_default(), tf.Session() as session:
        place = tf.placeholder(x.dtype, x.shape)
        e, v = session.run(tf.self_adjoint_eig(place), {place: x})
    _close(np.real(e), np.linalg.eigvalsh(x), x)
    _close(x @ v, v * e[..., None, :], x)


def test_orthogonal_initializer_is_tensorflows() -> None:
    """The numbers that TensorFlow 1.15 gives for this seed."""
    wanted = [[0.616907, -0.3345497, -0.5895256], [0.1075673, 0.4373831, -0.5901622], [0.1744102, 0.8345318, 0.0610599],
              [-0.7598922, -0.0181434, -0.548124]]  # fmt: skip
    with tf.Graph().as_default(), tf.Session() as session:
        np.testing.assert_allclose(session.run(tf.orthogonal_initializer(seed=3)([4, 3])), wanted, atol=1e-6)


def _slope_error(build, x: np.ndarray, symmetric: bool) -> float:
    with tf.Graph().as_default(), tf.Session() as session:
        place = tf.placeholder(x.dtype, x.shape)
        given = (place + tf.matrix_transpose(place)) * 0.5 if symmetric else place
        y = build(given)
        weights = np.asarray(R.randn(*y.shape.as_list()))
        (gradient,) = tf.gradients(tf.reduce_sum(y * weights), place)
        d, step = R.randn(*x.shape), 1e-6
        found = session.run(gradient, {place: x})
        up, down = (np.sum(weights * session.run(y, {place: x + sign * step * d})) for sign in (1, -1))
        return abs(np.sum(found * d) - (up - down) / (2 * step)) / max(1.0, np.abs(found * d).sum())


@pytest.mark.parametrize("build", [
    tf.cholesky, tf.self_adjoint_eigvals, lambda x: tf.abs(tf.self_adjoint_eig(x)[1]), lambda x: tf.linalg.logdet(x),
])  # fmt: skip
def test_gradients_of_symmetric_matrices(build) -> None:
    x = R.randn(4, 4)
    assert _slope_error(build, x @ x.T + np.diag([1.0, 2, 3, 4]), True) < 1e-6


@pytest.mark.parametrize("shape", [(4, 4), (3, 4), (5, 4)])
def test_gradients_of_singular_vectors(shape) -> None:
    assert _slope_error(lambda x: tf.abs(tf.svd(x)[1]), R.randn(*shape), False) < 1e-5
    assert _slope_error(lambda x: tf.abs(tf.svd(x)[2]), R.randn(*shape), False) < 1e-5


def test_least_squares() -> None:
    a, b = R.randn(6, 3), R.randn(6, 2)
    with tf.Graph().as_default(), tf.Session() as session:
        fast, slow = session.run([tf.matrix_solve_ls(a, b), tf.matrix_solve_ls(a, b, fast=False)])
    wanted = np.linalg.lstsq(a, b, rcond=None)[0]
    np.testing.assert_allclose(fast, wanted, atol=1e-10)
    np.testing.assert_allclose(slow, wanted, atol=1e-10)


def test_exponential() -> None:
    x = np.array([[[0.01, 0.02], [-0.03, 0.0]], [[3.0, 4.0], [-2.0, 9.0]]])
    with tf.Graph().as_default(), tf.Session() as session:
        found = session.run(tf.linalg.expm(tf.constant(x)))
    values, vectors = np.linalg.eig(x)
    wanted = np.real((vectors * np.exp(values)[..., None, :]) @ np.linalg.inv(vectors))
    np.testing.assert_allclose(found, wanted, rtol=1e-10)


def test_wrong_index_is_shown_with_its_place() -> None:
    refused = pytest.raises(tf.errors.InvalidArgumentError, match=r"indices\[1,0\] = 7 is not in")
    with tf.Graph().as_default(), tf.Session() as session, refused:
        indices = tf.placeholder(tf.int32, [2, 2])
        session.run(tf.gather(tf.zeros([3, 2]), indices), {indices: [[0, 1], [7, 2]]})
