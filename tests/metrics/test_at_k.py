"""Metrics over the k best classes. The numbers are TensorFlow 1.15's for the same arrays, after two batches."""

import numpy as np

import graphflow as tf


def test_values_are_tensorflows() -> None:
    random = np.random.RandomState(3)
    with tf.Graph().as_default(), tf.Session() as session:
        scores, labels = tf.placeholder(tf.float32, [6, 7]), tf.placeholder(tf.int64, [6, 2])
        weights = tf.constant(np.arange(6) / 5.0, tf.float32)
        yes, chance = tf.cast(labels[:, 0] % 2, tf.bool), tf.sigmoid(scores[:, 0])
        chosen = tf.constant([[1, 2], [3, 4], [5, 6], [0, 1], [2, 3], [4, 5]], tf.int64)
        sparse = tf.SparseTensor([[0, 0], [0, 1], [2, 0], [5, 0]], tf.constant([1, 2, 3, 4], tf.int64), [6, 2])
        metrics = [
            tf.metrics.precision_at_k(labels, scores, 3), tf.metrics.recall_at_k(labels, scores, 3),
            tf.metrics.precision_at_k(labels, scores, 3, class_id=2, weights=weights),
            tf.metrics.recall_at_k(labels, scores, 2, class_id=4), tf.metrics.average_precision_at_k(labels, scores, 4),
            tf.metrics.average_precision_at_k(labels, scores, 4, weights=weights),
            tf.metrics.sensitivity_at_specificity(yes, chance, 0.6), tf.metrics.specificity_at_sensitivity(yes, chance, 0.6),
            tf.metrics.precision_at_top_k(labels, chosen), tf.metrics.recall_at_k(sparse, scores, 3),
        ]  # fmt: skip
        session.run(tf.local_variables_initializer())
        for _ in range(2):
            feed = {scores: random.randn(6, 7), labels: random.randint(0, 7, (6, 2))}
            updated = session.run([update for _, update in metrics], feed)
        wanted = [0.33333, 0.54545, 0.29412, 0.14286, 0.37847, 0.29861, 0.0, 0.11111, 0.16667, 0.375]
        np.testing.assert_allclose(updated, wanted, atol=1e-5)
        np.testing.assert_allclose(session.run([value for value, _ in metrics]), wanted, atol=1e-5)
        assert metrics[0][0].name == "precision_at_3:0"


def test_a_label_that_stands_twice_counts_once() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        recall = tf.metrics.recall_at_top_k(tf.constant([[1, 1, 2]], tf.int64), tf.constant([[1]], tf.int64))
        session.run(tf.local_variables_initializer())
        assert session.run(recall[1]) == 0.5
