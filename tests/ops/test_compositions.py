"""What is composed of ops has the values it should have: clipping, moments, norms, cross-entropies and tf.losses."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as tf

RANDOM = np.random.RandomState(3)
X = RANDOM.uniform(-2, 2, (4, 3))
Y = RANDOM.uniform(0, 1, (4, 3))
PROBABILITIES = Y / Y.sum(1, keepdims=True)
LABELS = np.array([2, 0, 1, 1])


def log_softmax(x):
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def run(build, *arrays, sizes=None):
    """The value of build(placeholders) for float64 or integer arrays; all sizes unknown while building unless given."""
    with tf.Graph().as_default(), tf.Session() as session:
        places = [tf.placeholder(a.dtype, [None] * a.ndim if sizes is None else a.shape) for a in arrays]
        return session.run(build(*places), dict(zip(places, arrays, strict=True)))


SIGMOID_LOSS = np.maximum(X, 0) - X * Y + np.log1p(np.exp(-np.abs(X)))
CASES = {
    "clip_by_value": (lambda x: tf.clip_by_value(x, -0.5, 1.0), (X,), np.clip(X, -0.5, 1)),
    "clip_by_norm": (lambda x: tf.clip_by_norm(x, 1.5), (X,), X * 1.5 / np.sqrt((X**2).sum())),
    "clip_by_norm under the bound": (lambda x: tf.clip_by_norm(x, 99.0), (X,), X),
    "clip_by_norm along an axis": (lambda x: tf.clip_by_norm(x, 0.1, axes=[1]), (X,), X * 0.1 / np.sqrt((X**2).sum(1, keepdims=True))),
    "clip_by_global_norm": (
        lambda x, y: tf.clip_by_global_norm([x, y], 0.7)[0][1], (X, Y), Y * 0.7 / np.sqrt((X**2).sum() + (Y**2).sum()),
    ),
    "moments": (lambda x: tf.stack(tf.nn.moments(x, [0])), (X,), np.stack([X.mean(0), X.var(0)])),
    "weighted_moments": (
        lambda x, y: tf.stack(tf.nn.weighted_moments(x, [0, 1], y)), (X, Y),
        np.stack([np.average(X, weights=Y), np.average((X - np.average(X, weights=Y)) ** 2, weights=Y)]),
    ),
    "l2_normalize": (lambda x: tf.nn.l2_normalize(x, 1), (X,), X / np.linalg.norm(X, axis=1, keepdims=True)),
    "norm 1": (lambda x: tf.norm(x, 1, axis=0), (X,), np.abs(X).sum(0)),
    "norm inf": (lambda x: tf.norm(x, np.inf), (X,), np.abs(X).max()),
    "norm 3": (lambda x: tf.norm(x, 3, axis=1), (X,), (np.abs(X) ** 3).sum(1) ** (1 / 3)),
    "logsumexp": (lambda x: tf.reduce_logsumexp(x * 1000, 1), (X,), (X * 1000).max(1)),
    "reduce_std": (lambda x: tf.math.reduce_std(x, 1), (X,), X.std(1)),
    "softmax along axis 0": (lambda x: tf.nn.softmax(x, axis=0), (X,), np.exp(log_softmax(X.T)).T),
    "dense cross-entropy": (
        lambda x, p: tf.nn.softmax_cross_entropy_with_logits_v2(labels=p, logits=x), (X, PROBABILITIES),
        -(PROBABILITIES * log_softmax(X)).sum(1),
    ),
    "sparse cross-entropy": (
        lambda x, n: tf.nn.sparse_softmax_cross_entropy_with_logits(labels=n, logits=x), (X, LABELS), -log_softmax(X)[range(4), LABELS],
    ),
    "sparse cross-entropy of sequences": (
        lambda x, n: tf.nn.sparse_softmax_cross_entropy_with_logits(labels=n, logits=x), (X[None], LABELS[None]),
        -log_softmax(X)[range(4), LABELS][None],
    ),
    "sigmoid cross-entropy": (lambda x, y: tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=x), (X, Y), SIGMOID_LOSS),
    "weighted cross-entropy": (
        lambda x, y: tf.nn.weighted_cross_entropy_with_logits(y, x, 2.5), (X, Y),
        -(2.5 * Y * np.log(1 / (1 + np.exp(-X))) + (1 - Y) * np.log(1 - 1 / (1 + np.exp(-X)))),
    ),
    "mean squared error": (lambda x, y: tf.losses.mean_squared_error(y, x), (X, Y), ((X - Y) ** 2).mean()),
    "softmax loss with smoothing": (
        lambda x, p: tf.losses.softmax_cross_entropy(p, x, label_smoothing=0.3), (X, PROBABILITIES),
        -((0.7 * PROBABILITIES + 0.1) * log_softmax(X)).sum(1).mean(),
    ),
    "sparse softmax loss": (
        lambda x, n: tf.losses.sparse_softmax_cross_entropy(n, x), (X, LABELS), -log_softmax(X)[range(4), LABELS].mean(),
    ),
    "sigmoid loss": (lambda x, y: tf.losses.sigmoid_cross_entropy(y, x), (X, Y), SIGMOID_LOSS.mean()),
    "absolute difference": (lambda x, y: tf.losses.absolute_difference(y, x), (X, Y), np.abs(X - Y).mean()),
    "hinge loss": (lambda x, y: tf.losses.hinge_loss(y, x), (X, np.round(Y)), np.maximum(0, 1 - (2 * np.round(Y) - 1) * X).mean()),
    "huber loss": (
        lambda x, y: tf.losses.huber_loss(y, x, delta=0.5), (X, Y),
        np.where(np.abs(X - Y) <= 0.5, 0.5 * (X - Y) ** 2, 0.5 * np.abs(X - Y) - 0.125).mean(),
    ),
    "log loss": (lambda y, p: tf.losses.log_loss(p, y), (Y, np.round(Y)), -np.log(np.where(np.round(Y) > 0, Y, 1 - Y) + 1e-7).mean()),
    "cosine distance": (lambda x, y: tf.losses.cosine_distance(y, x, axis=1), (X, Y), (1 - (X * Y).sum(1)).mean()),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_values(name) -> None:
    build, arrays, wanted = CASES[name]
    single = "loss" in name or "error" in name or "difference" in name or "distance" in name  # tf.losses compute in float32
    sizes = (4, 3) if name == "norm 3" else None
    np.testing.assert_allclose(run(build, *arrays, sizes=sizes), wanted, rtol=2e-6 if single else 1e-9, atol=1e-7 if single else 1e-12)


def test_weights_and_reductions() -> None:
    weights = np.array([[1.0], [0.0], [2.0], [0.0]])
    errors = (X - Y) ** 2 * weights
    for reduction, wanted in (
        ("weighted_sum", errors.sum()), ("weighted_mean", errors.sum() / (3 * weights.sum())), ("none", errors),
        ("weighted_sum_over_batch_size", errors.mean()), ("weighted_sum_by_nonzero_weights", errors.sum() / 6),
    ):  # fmt: skip
        found = run(lambda x, y, w, r=reduction: tf.losses.mean_squared_error(y, x, w, reduction=r), X, Y, weights)
        np.testing.assert_allclose(found, wanted, rtol=2e-6, err_msg=reduction)


def test_losses_are_collected() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        a = tf.losses.mean_squared_error([1.0], [3.0])
        b = tf.losses.absolute_difference([1.0], [3.0], loss_collection=None)
        tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, tf.constant(0.5))
        assert tf.losses.get_losses() == [a]
        assert session.run([tf.losses.get_total_loss(), tf.losses.get_regularization_loss(), b]) == [4.5, 0.5, 2.0]


def test_weights_of_a_wrong_shape_are_refused() -> None:
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, [4, 3])
        with pytest.raises(ValueError, match=r"weights can not be broadcast to values. values.rank=2. weights.rank=1"):
            tf.losses.mean_squared_error(x, x, weights=tf.zeros([4]))
        with pytest.raises(ValueError, match="weights can not be broadcast to values. Mismatch at dim 0"):
            tf.losses.mean_squared_error(x, x, weights=tf.zeros([2, 3]))


def test_dropout_keeps_the_expectation_and_its_mask() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.ones([200, 100])
        y = tf.nn.dropout(x, rate=0.25, noise_shape=[200, 1], seed=1)
        (slope,) = tf.gradients(y, x)
        value, gradient = session.run([y, slope])
        assert set(np.unique(value)) == {0.0, np.float32(1 / 0.75)}
        np.testing.assert_array_equal(value, gradient)  # forward and backward draw the same mask
        assert (value == value[:, :1]).all()
        assert abs(value.mean() - 1) < 0.1
        assert tf.nn.dropout(x, 1.0) is x
