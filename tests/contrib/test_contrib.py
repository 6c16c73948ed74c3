"""tf.contrib: layers with TensorFlow's nodes and variables, arg_scope, HParams, and what is not there."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

import graphflow as tf
from graphflow.contrib import layers
from graphflow.contrib.framework import arg_scope
from graphflow.contrib.training import HParams

NODES = gzip.decompress((Path(__file__).parent.parent / "golden" / "contrib_nodes.txt.gz").read_bytes()).decode().split("## ")[1:]
RECORDED = {part.split("\n", 1)[0]: part.split("\n", 1)[1].strip().splitlines() for part in NODES}


def _input(*dims):
    return tf.placeholder(tf.float32, dims, name="x")


def _conv():
    settings = {"activation_fn": None, "normalizer_fn": layers.batch_norm, "normalizer_params": {"is_training": True}}
    with arg_scope([layers.conv2d], **settings):
        layers.flatten(layers.max_pool2d(layers.conv2d(_input(None, 8, 8, 3), 4, 3), 2))


BUILD = {
    "fc": lambda: layers.fully_connected(_input(None, 8), 4, weights_regularizer=layers.l2_regularizer(0.1)),
    "conv": _conv,
    "bn2": lambda: layers.batch_norm(_input(None, 8), is_training=True),
    "bn4": lambda: layers.batch_norm(_input(None, 8, 8, 3), is_training=True, updates_collections=None, scale=True),
    "bnf": lambda: layers.batch_norm(_input(None, 8), is_training=False),
    "ln": lambda: layers.layer_norm(_input(None, 8)),
    "dropout": lambda: layers.dropout(_input(None, 8), 0.5),
    "embed": lambda: layers.embed_sequence(tf.placeholder(tf.int32, [None, 5], name="ids"), 20, 4),
    "stack": lambda: layers.stack(_input(None, 8), layers.fully_connected, [3, 4]),
}


@pytest.mark.parametrize("name", BUILD)
def test_nodes_are_tensorflows(name: str) -> None:
    tf.reset_default_graph()
    BUILD[name]()
    graph = tf.get_default_graph()
    found = [f"{op.type} {op.name}" for op in graph.get_operations()]
    found += [f"{key} {[v.name for v in tf.get_collection(key)]}" for key in sorted(graph.get_all_collection_keys())]
    assert found == RECORDED[name]


def test_optimize_loss_takes_a_step() -> None:
    tf.reset_default_graph()
    weight = tf.Variable(1.0)
    step = tf.train.get_or_create_global_step()
    train = layers.optimize_loss(tf.square(weight), step, 0.25, "SGD")
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert session.run(train) == 1.0
        assert session.run([weight, step]) == [0.5, 1]
    with pytest.raises(ValueError, match="Optimizer name should be one of"):
        layers.optimize_loss(tf.square(weight), step, 0.25, "Newton")


def test_batch_norm_by_hand_updates_at_once() -> None:
    tf.reset_default_graph()
    x = _input(None, 2)
    y = layers.batch_norm(x, decay=0.5, updates_collections=None)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        found = session.run(y, {x: [[0.0, 4.0], [2.0, 8.0]]})
        mean = session.run(tf.global_variables("BatchNorm/moving_mean")[0])
    np.testing.assert_allclose(found, [[-1, -1], [1, 1]], atol=1e-3)
    np.testing.assert_allclose(mean, [0.5, 3.0])


def test_arguments_given_by_position_win_over_the_scope() -> None:
    tf.reset_default_graph()
    with arg_scope([layers.fully_connected], num_outputs=3, activation_fn=None) as kept:
        assert layers.fully_connected(_input(None, 8), 5).shape.as_list() == [None, 5]
        assert layers.fully_connected(_input(None, 8)).shape.as_list() == [None, 3]
    with arg_scope(kept):
        assert layers.fully_connected(_input(None, 8)).op.type == "BiasAdd"
    with pytest.raises(ValueError, match="not decorated"), arg_scope([len], x=1):
        pass


def test_hyperparameters() -> None:
    h = HParams(rate=0.1, sizes=[1, 2], name="a", on=False)
    assert h.parse("rate=0.5,sizes=[3,4],on=true,sizes[1]=9").values() == {"rate": 0.5, "sizes": [3, 9], "name": "a", "on": True}
    with pytest.raises(ValueError, match="Unknown hyperparameter"):
        h.parse("speed=1")
    with pytest.raises(ValueError, match="Could not parse"):
        h.parse("rate=fast")


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda: tf.contrib.rnn.GridLSTMCell, "TensorFlow 1.15 has tf.contrib.rnn.GridLSTMCell, but graphflow does not have it yet"),
        (lambda: tf.LMDBReader, "TensorFlow 1.15 has tf.LMDBReader, but"),
        (lambda: tf.reduce_men, "has no attribute 'reduce_men'; the nearest name that is here: tf.reduce_mean"),
    ],
)
def test_what_is_missing_is_told_in_one_line(ask, told: str) -> None:
    with pytest.raises(AttributeError) as caught:
        ask()
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_the_sizes_of_variables_are_added_up_and_printed(capsys) -> None:
    from graphflow.contrib.slim import model_analyzer

    tf.reset_default_graph()
    x = tf.placeholder(tf.float32, [None, 3], name="x")
    w = tf.get_variable("w", [3, 2])
    tf.get_variable("s", [], tf.float64)
    tf.matmul(x, w, name="y")
    assert model_analyzer.analyze_vars(tf.global_variables(), print_info=True) == (7, 32)
    assert capsys.readouterr().out.splitlines() == [
        "---------", "Variables: name (type shape) [size]", "---------", "w:0 (float32_ref 3x2) [6, bytes: 24]",
        "s:0 (float64_ref ) [1, bytes: 8]", "Total size of variables: 7", "Total bytes of variables: 32",
    ]  # fmt: skip
    assert model_analyzer.analyze_ops(tf.get_default_graph(), print_info=True) == 50
    assert "y \t-> (float32 ?x2) [0]" in capsys.readouterr().out.splitlines()


def test_summaries_follow_what_a_tensor_is() -> None:
    tf.reset_default_graph()
    rectified = tf.nn.relu6(tf.placeholder(tf.float32, [None, 4], name="x"))
    total = tf.reduce_sum(rectified, name="total")
    assert layers.summarize_activation(rectified).op.type == "HistogramSummary"
    assert layers.summarize_tensor(total).op.name == "total_summary"
    assert layers.summarize_tensor(tf.constant("text")) is None
    made = [op.name for op in tf.get_default_graph().get_operations() if op.type.endswith("Summary")]
    assert made == ["Relu6/zeros", "Relu6/sixes", "Relu6/activation", "total_summary"]
    tf.add_to_collection(tf.GraphKeys.ACTIVATIONS, rectified)
    assert len(layers.summarize_activations("Relu")) == 1 and layers.summarize_activations("dense") == []


def test_class_numbers_are_widened_before_one_hot() -> None:
    tf.reset_default_graph()
    layers.one_hot_encoding(tf.placeholder(tf.int32, [2], name="n"), 3)
    assert [op.name for op in tf.get_default_graph().get_operations()][:2] == ["n", "OneHotEncoding/ToInt64"]


def test_a_separable_convolution_without_outputs_is_depthwise_only() -> None:
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, [None, 4, 4, 2])
        thirds = tf.constant_initializer(1 / 3)
        y = layers.separable_conv2d(x, None, 3, depth_multiplier=2, stride=2, padding="VALID", weights_initializer=thirds, scope="dw")
        normed = layers.separable_conv2d(x, None, [3, 3], normalizer_fn=layers.batch_norm, activation_fn=None, scope="mobile")
        assert [v.name for v in tf.trainable_variables()] == [
            "dw/depthwise_weights:0", "dw/biases:0", "mobile/depthwise_weights:0", "mobile/BatchNorm/beta:0",
        ]  # fmt: skip
        assert y.shape.as_list() == [None, 1, 1, 4] and normed.shape.as_list() == [None, 4, 4, 2]
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            values = np.stack([np.ones((1, 4, 4)), np.full((1, 4, 4), 2.0)], -1)
            np.testing.assert_allclose(session.run(y, {x: values})[0, 0, 0], [3, 3, 6, 6], rtol=1e-6)
