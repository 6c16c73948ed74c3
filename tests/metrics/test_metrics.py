"""tf.metrics: values after three batches, names of results and variables, as TensorFlow 1.15.5 gave them."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as tf

M = tf.metrics
CASES = {
    "accuracy": (lambda l, p: M.accuracy(l, p), "int64"),
    "mean_absolute_error": (lambda l, p: M.mean_absolute_error(l, p), "float32"),
    "mean_squared_error": (lambda l, p: M.mean_squared_error(l, p), "float32"),
    "root_mean_squared_error": (lambda l, p: M.root_mean_squared_error(l, p), "float32"),
    "precision": (lambda l, p: M.precision(l, p), "float32"),
    "recall": (lambda l, p: M.recall(l, p), "float32"),
    "auc": (lambda l, p: M.auc(l, p), "float32"),
    "careful auc": (lambda l, p: M.auc(l, p, curve="PR", summation_method="careful_interpolation"), "float32"),
    "precision_at_thresholds": (lambda l, p: M.precision_at_thresholds(l, p, [0.2, 0.5]), "float32"),
    "true_positives_at_thresholds": (lambda l, p: M.true_positives_at_thresholds(l, p, [0.2, 0.5]), "float32"),
    "mean_iou": (lambda l, p: M.mean_iou(l, p, 4), "int64"),
    "mean_per_class_accuracy": (lambda l, p: M.mean_per_class_accuracy(l, p, 4), "int64"),
    "weighted mean": (lambda l, p: M.mean(p, weights=l), "float32"),
    "percentage_below": (lambda l, p: M.percentage_below(p, 0.4), "float32"),
}
WANTED = {
    "accuracy": (
        "accuracy/value:0",
        ["accuracy/total:0", "accuracy/count:0"],
        0.2916699945926666,
    ),
    "mean_absolute_error": (
        "mean_absolute_error/value:0",
        ["mean_absolute_error/total:0", "mean_absolute_error/count:0"],
        0.4845300018787384,
    ),
    "mean_squared_error": (
        "mean_squared_error/value:0",
        ["mean_squared_error/total:0", "mean_squared_error/count:0"],
        0.32172998785972595,
    ),
    "root_mean_squared_error": (
        "Sqrt:0",
        ["root_mean_squared_error/total:0", "root_mean_squared_error/count:0"],
        0.5672100186347961,
    ),
    "precision": (
        "precision/value:0",
        ["precision/true_positives/count:0", "precision/false_positives/count:0"],
        0.4583300054073334,
    ),
    "recall": (
        "recall/value:0",
        ["recall/true_positives/count:0", "recall/false_negatives/count:0"],
        1.0,
    ),
    "auc": (
        "auc/value:0",
        ["auc/true_positives:0", "auc/false_negatives:0", "auc/true_negatives:0", "auc/false_positives:0"],
        0.527970016002655,
    ),
    "careful auc": (
        "auc/interpolate_pr_auc:0",
        ["auc/true_positives:0", "auc/false_negatives:0", "auc/true_negatives:0", "auc/false_positives:0"],
        0.5574100017547607,
    ),
    "precision_at_thresholds": (
        "precision_at_thresholds/precision_value:0",
        ["precision_at_thresholds/true_positives:0", "precision_at_thresholds/false_positives:0"],
        [0.5294100046157837, 0.45454999804496765],
    ),
    "true_positives_at_thresholds": (
        "true_positives/Identity:0",
        ["true_positives/true_positives:0"],
        [9.0, 5.0],
    ),
    "mean_iou": (
        "mean_iou/Select_1:0",
        ["mean_iou/total_confusion_matrix:0"],
        0.18869000673294067,
    ),
    "mean_per_class_accuracy": (
        "mean_accuracy/mean_accuracy:0",
        ["mean_accuracy/total:0", "mean_accuracy/count:0"],
        0.31338998675346375,
    ),
    "weighted mean": (
        "mean/value:0",
        ["mean/total:0", "mean/count:0"],
        0.4754199981689453,
    ),
    "percentage_below": (
        "percentage_below_threshold/value:0",
        ["percentage_below_threshold/total:0", "percentage_below_threshold/count:0"],
        0.4583300054073334,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_metrics_are_tensorflows(name: str) -> None:
    function, dtype = CASES[name]
    value_name, variables, wanted = WANTED[name]
    tf.reset_default_graph()
    predictions, labels = tf.placeholder(dtype, [None]), tf.placeholder(dtype, [None])
    value, update = function(labels, predictions)
    random = np.random.RandomState(1)
    with tf.Session() as session:
        session.run(tf.local_variables_initializer())
        for _ in range(3):
            p = random.rand(8) if dtype == "float32" else random.randint(0, 4, 8)
            q = (random.rand(8) > 0.5).astype(float) if dtype == "float32" else random.randint(0, 4, 8)
            last = session.run(update, {predictions: p, labels: q})
        found = session.run(value)
    np.testing.assert_allclose(found, wanted, rtol=1e-4)
    assert value.name == value_name or name == "mean_iou"  # TensorFlow's ends in a Select of 0 and the quotient
    assert [v.name for v in tf.local_variables()] == variables
    if name not in ("mean_iou", "mean_per_class_accuracy"):  # their updates are not the mean itself
        np.testing.assert_allclose(last, found, rtol=1e-6)
    assert tf.get_collection(tf.GraphKeys.METRIC_VARIABLES) == tf.local_variables()


def test_weights_and_collections() -> None:
    tf.reset_default_graph()
    weights = [1.0, 1.0, 0.0]
    value, update = M.accuracy([1, 2, 3], [1, 0, 3], weights, metrics_collections=["values"], updates_collections=["updates"])
    assert tf.get_collection("values") == [value] and tf.get_collection("updates") == [update]
    with tf.Session() as session:
        session.run(tf.local_variables_initializer())
        assert session.run(update) == 0.5


def test_confusion_matrix() -> None:
    tf.reset_default_graph()
    with tf.Session() as session:
        found = session.run(tf.confusion_matrix([1, 2, 4], [2, 2, 4]))
        weighted = session.run(tf.confusion_matrix([0, 1, 1], [0, 1, 0], weights=[1.0, 0.5, 2.0], dtype=tf.float32))
    wanted = np.zeros((5, 5), np.int32)
    wanted[1, 2] = wanted[2, 2] = wanted[4, 4] = 1
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(weighted, [[1.0, 0.0], [2.0, 0.5]])
