"""tf.contrib.losses: what sets these losses apart from those of tf.losses."""

import numpy as np
import pytest

import graphflow as tf

losses = tf.contrib.losses
PREDICTIONS = np.linspace(0.1, 0.9, 20, dtype=np.float32).reshape(4, 5)
LABELS = np.eye(5, dtype=np.float32)[:4]
SQUARES = (PREDICTIONS - LABELS) ** 2


def value(loss):
    with tf.Session() as session:
        return session.run(loss)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        (0.5, 0.5 * SQUARES.mean()),
        (0.0, 0.0),
        ([1.0, 0.0, 2.0, 1.0], (SQUARES.sum(1) * [1, 0, 2, 1]).sum() / 15),  # a weight for an example: three of them count, whatever it is
        ([[1.0], [0.0], [2.0], [1.0]], (SQUARES.sum(1) * [1, 0, 2, 1]).sum() / 15),
        ([0.0] * 4, 0.0),
        (LABELS + 1, (SQUARES * (LABELS + 1)).mean()),
    ],
)  # fmt: skip
def test_weights_of_fewer_dimensions_weigh_what_lies_below_them(weights, expected) -> None:
    loss = losses.mean_squared_error(tf.constant(PREDICTIONS), tf.constant(LABELS), weights=weights)
    np.testing.assert_allclose(value(loss), expected, rtol=1e-6)


def test_labels_in_a_column_are_flattened_and_examples_weighed() -> None:
    z = tf.constant(PREDICTIONS)
    rows = value(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=[1, 2, 3, 0], logits=z))
    found = value(losses.sparse_softmax_cross_entropy(z, tf.constant([[1], [2], [3], [0]]), weights=[1.0, 0.0, 2.0, 1.0]))
    np.testing.assert_allclose(found, rows @ [1, 0, 2, 1] / 3, rtol=1e-6)


def test_losses_are_collected_but_for_the_hinge_loss() -> None:
    with tf.Graph().as_default():
        z, y = tf.constant(PREDICTIONS), tf.constant(LABELS)
        hinge = losses.hinge_loss(z, y)
        kept = [losses.log_loss(z, y), losses.cosine_distance(z, y, dim=1), losses.mean_pairwise_squared_error(z, y)]
        assert losses.get_losses() == kept
        assert hinge.shape == (4, 5)
        total, parts = value([losses.get_total_loss(), kept])
        np.testing.assert_allclose(total, sum(parts), rtol=1e-6)


def test_a_weight_of_unknown_rank_is_refused() -> None:
    with pytest.raises(ValueError, match="weights.get_shape"):
        losses.absolute_difference(tf.constant(PREDICTIONS), tf.constant(LABELS), weights=tf.placeholder(tf.float32))
