"""make_template, partitioners, and the switches of TensorFlow 2."""

from __future__ import annotations

import pytest

import graphflow as tf


def test_templates_share_their_variables() -> None:
    with tf.Graph().as_default():
        scale = tf.make_template("scale", lambda x, by: x * tf.get_variable("w", [], initializer=tf.constant_initializer(by)), by=2.0)
        first, second = scale(tf.constant(1.0)), scale(tf.constant(5.0))
        assert [v.name for v in scale.variables] == ["scale/w:0"] and (first.name, second.name) == ("scale/mul:0", "scale_1/mul:0")
        other = tf.make_template("scale", lambda: tf.get_variable("w", []))
        assert other().name == "scale_1/w:0"
        early = tf.make_template("early", lambda: tf.get_variable("w", []), create_scope_now_=True)
        assert early.variable_scope.name == "early" and early() is early()
        wrong = tf.make_template("wrong", lambda: tf.Variable(1.0))
        wrong()
        with pytest.raises(ValueError, match="Trainable variable created when calling a template after the first time"):
            wrong()


def test_partitioners() -> None:
    shape = tf.TensorShape([10, 4])
    assert tf.fixed_size_partitioner(3)(shape=shape, dtype=tf.float32) == [3, 1]
    assert tf.variable_axis_size_partitioner(64)(shape=shape, dtype=tf.float32) == [3, 1]
    assert tf.min_max_variable_partitioner(4, 1, 40)(shape=shape, dtype=tf.float32) == [1, 4]
    with tf.Graph().as_default(), tf.variable_scope("a", partitioner=tf.fixed_size_partitioner(2)):
        assert [v.shape.as_list() for v in tf.get_variable("w", [4])] == [[2], [2]]


def test_modes() -> None:
    tf.disable_v2_behavior()
    tf.disable_resource_variables()
    assert not tf.executing_eagerly()
    with pytest.raises(NotImplementedError, match="tf.enable_eager_execution: graphflow runs TensorFlow 1 programs"):
        tf.enable_eager_execution()
