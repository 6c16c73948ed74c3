"""variable_scope and get_variable: sharing, names, defaults, and TensorFlow's texts where they refuse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import graphflow as tf


@pytest.fixture(autouse=True)
def graph() -> Iterator[Any]:
    with tf.Graph().as_default() as g:
        yield g


def test_sharing_by_name() -> None:
    with tf.variable_scope("a") as scope:
        w = tf.get_variable("w", [2])
    with tf.variable_scope("a", reuse=True):
        assert tf.get_variable("w", [2]) is w
    with tf.variable_scope(scope, reuse=True) as again:
        assert tf.get_variable("w") is w and again.reuse is True and again.name == "a"
    with tf.variable_scope("a", reuse=tf.AUTO_REUSE):
        assert tf.get_variable("w", [2]) is w
        assert tf.get_variable("new", [2]).name == "a/new:0"
    with tf.variable_scope("a"):
        tf.get_variable_scope().reuse_variables()
        assert tf.get_variable("w", [2]) is w
        with tf.variable_scope("inner") as inner:
            assert inner.reuse is True and inner.name == "a/inner"


def test_names_of_scopes_and_of_operations() -> None:
    with tf.variable_scope("a"):
        first = tf.constant(1.0)
    with tf.variable_scope("a") as scope:
        second = tf.constant(1.0)
        v = tf.get_variable("v", [])
        assert scope.original_name_scope == "a_1/"
    with tf.name_scope("other"), tf.variable_scope(scope):
        third = tf.constant(1.0)
        u = tf.get_variable("u", [])
    with tf.variable_scope(scope, auxiliary_name_scope=False), tf.name_scope(scope.original_name_scope):
        fourth = tf.constant(1.0)
    found = [t.name for t in (first, second, v, third, u, fourth)]
    assert found == ["a/Const:0", "a_1/Const:0", "a/v:0", "other/a/Const:0", "a/u:0", "a_1/Const_1:0"]


def test_default_names_are_made_unique() -> None:
    found = []
    for _ in range(2):
        with tf.variable_scope(None, "layer") as scope:
            found.append((scope.name, tf.get_variable("w", []).name))
    with tf.variable_scope("given", "layer") as scope:
        found.append((scope.name, ""))
    assert found == [("layer", "layer/w:0"), ("layer_1", "layer_1/w:0"), ("given", "")]


def test_one_scope_object_can_be_entered_again() -> None:
    scope = tf.variable_scope("a", reuse=tf.AUTO_REUSE)
    with scope:
        w = tf.get_variable("w", [])
    with scope:
        assert tf.get_variable("w", []) is w


def test_defaults_are_inherited() -> None:
    with tf.variable_scope("a", initializer=tf.constant_initializer(4.0), dtype=tf.float64, regularizer=lambda v: v * 0.5):
        with tf.variable_scope("b"):
            w = tf.get_variable("w", [2])
        plain = tf.get_variable("plain", [2], regularizer=tf.no_regularizer, dtype=tf.float32)
    assert w.dtype.base_dtype is tf.float64 and plain.dtype.base_dtype is tf.float32
    losses = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
    assert [t.op.name for t in losses] == ["a/b/w/Regularizer/mul"]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert session.run([w, losses[0]])[1].tolist() == [2, 2]


def test_custom_getters_wrap_each_other() -> None:
    calls = []

    def outer(getter: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        calls.append(("outer", name))
        return getter(name, *args, **kwargs)

    def inner(getter: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        calls.append(("inner", name))
        return getter(name + "_x", *args, **kwargs)

    with tf.variable_scope("a", custom_getter=outer), tf.variable_scope("b", custom_getter=inner):
        v = tf.get_variable("v", [])
    assert v.name == "a/b/v_x:0" and calls == [("inner", "a/b/v"), ("outer", "a/b/v_x")]


def test_collections_of_a_scope() -> None:
    with tf.variable_scope("a") as scope:
        w = tf.get_variable("w", [])
        local = tf.get_local_variable("l", [])
    tf.get_variable("w", [])
    assert scope.trainable_variables() == [w] == scope.global_variables() and scope.local_variables() == [local]


def test_variables_of_other_kinds() -> None:
    assert tf.get_variable("i", [2], tf.int32).initial_value.op.type == "Const"
    assert tf.get_variable("v", initializer=[1.0, 2.0]).shape.as_list() == [2]
    assert tf.get_variable("c", [2], initializer=lambda shape, dtype, partition_info: tf.ones(shape, dtype)).shape.as_list() == [2]
    assert tf.get_variable("n", initializer=lambda: tf.zeros([3])).shape.as_list() == [3]


def refused(error: Any, call: Any) -> str:
    with pytest.raises(error) as caught:
        call()
    return str(caught.value)


def test_refusals() -> None:
    w = tf.get_variable("w", [2])
    text = refused(ValueError, lambda: tf.get_variable("w", [2]))
    assert text.startswith(
        "Variable w already exists, disallowed. Did you mean to set reuse=True or reuse=tf.AUTO_REUSE in VarScope? "
        "Originally defined at:\n\n"
    )
    assert 'w = tf.get_variable("w", [2])' in text and w.name == "w:0"
    with tf.variable_scope(tf.get_variable_scope(), reuse=True):
        assert refused(ValueError, lambda: tf.get_variable("q", [2])) == (
            "Variable q does not exist, or was not created with tf.get_variable(). Did you mean to set reuse=tf.AUTO_REUSE in "
            "VarScope?"
        )
        assert refused(ValueError, lambda: tf.get_variable("w", [3])) == (
            "Trying to share variable w, but specified shape (3,) and found shape (2,)."
        )
        assert refused(ValueError, lambda: tf.get_variable("w", [2], tf.int32)) == (
            "Trying to share variable w, but specified dtype int32 and found dtype float32_ref."
        )
    assert refused(ValueError, lambda: tf.get_variable("s", [2], initializer=tf.constant([1.0]))) == (
        "If initializer is a constant, do not specify shape."
    )
    assert refused(ValueError, lambda: tf.get_variable("d", initializer=tf.constant(1.0), dtype=tf.int32)) == (
        "Initializer type '<dtype: 'float32'>' and explicit dtype '<dtype: 'int32'>' don't match."
    )
    assert "The initializer passed is not valid" in refused(ValueError, lambda: tf.get_variable("u", [None, 2]))
    assert refused(TypeError, lambda: tf.variable_scope(None)) == "If default_name is None then name_or_scope is required"
    assert refused(ValueError, lambda: tf.variable_scope("a", reuse=3)) == "The reuse parameter must be True or False or None."
    assert "cannot be used without a name_or_scope" in refused(
        ValueError, lambda: tf.variable_scope(None, "a", reuse=True).__enter__()
    )
