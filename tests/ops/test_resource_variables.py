"""Resource variables: nodes as TensorFlow 1.15 builds them, reads and updates in order, optimizers, errors; handles of kept tensors."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as tf


@pytest.fixture(autouse=True)
def fresh_graph():
    tf.reset_default_graph()


def nodes() -> list[tuple[str, str]]:
    return [(op.name, op.type) for op in tf.get_default_graph().get_operations()]


def test_the_nodes_are_those_of_tensorflow() -> None:
    v = tf.Variable([1.0, 2.0], name="v", use_resource=True)
    v + 1.0
    assert nodes() == [  # written by TensorFlow 1.15.5
        ("v/Initializer/initial_value", "Const"), ("v", "VarHandleOp"), ("v/IsInitialized/VarIsInitializedOp", "VarIsInitializedOp"),
        ("v/Assign", "AssignVariableOp"), ("v/Read/ReadVariableOp", "ReadVariableOp"), ("ReadVariableOp", "ReadVariableOp"),
        ("add/y", "Const"), ("add", "AddV2"),
    ]  # fmt: skip
    assert repr(v) == "<tf.Variable 'v:0' shape=(2,) dtype=float32>"


def test_a_read_sees_the_updates_ordered_before_it() -> None:
    v = tf.Variable(1.0, use_resource=True)
    before = v.read_value()
    with tf.control_dependencies([before]):
        added = v.assign_add(10.0)
    with tf.control_dependencies([added.op]):
        after = v.read_value()
    with tf.Session() as session:
        session.run(v.initializer)
        assert session.run([before, after]) == [1.0, 11.0]  # a reference variable's identity would show 11 twice
        assert session.run(added) == 21.0


def test_enabling_them_and_creators() -> None:
    tf.enable_resource_variables()
    try:
        assert tf.Variable(1.0).op.type == "VarHandleOp"
    finally:
        tf.disable_resource_variables()
    assert tf.Variable(1.0).op.type == "VariableV2"
    made = []

    def creator(following, **kwargs):
        made.append(kwargs["name"])
        return following(**kwargs)

    with tf.variable_creator_scope(creator):
        tf.get_variable("w", [2])
    assert made == ["w"]


@pytest.mark.parametrize("make_optimizer", [
    lambda: tf.train.GradientDescentOptimizer(0.1), lambda: tf.train.MomentumOptimizer(0.1, 0.9), lambda: tf.train.AdamOptimizer(0.1),
    lambda: tf.train.RMSPropOptimizer(0.1), lambda: tf.train.FtrlOptimizer(0.1), lambda: tf.train.AdagradOptimizer(0.1),
])  # fmt: skip
@pytest.mark.parametrize("sparse", [False, True])
def test_optimizers_do_the_same_to_both_kinds(make_optimizer, sparse: bool) -> None:
    values = []
    for use_resource in (False, True):
        tf.reset_default_graph()
        v = tf.get_variable("v", initializer=tf.constant([[1.0, -2.0], [3.0, 0.5]]), use_resource=use_resource)
        rows = tf.gather(v, [1, 1]) if sparse else tf.convert_to_tensor(v)
        train = make_optimizer().minimize(tf.reduce_sum(tf.square(rows)))
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            for _ in range(3):
                session.run(train)
            values.append(session.run(v))
    np.testing.assert_allclose(values[1], values[0], rtol=1e-6)
    assert not np.allclose(values[0], [[1.0, -2.0], [3.0, 0.5]])


def test_wrong_uses_are_refused() -> None:
    v = tf.Variable([1.0, 2.0], name="v", use_resource=True)
    with pytest.raises(ValueError):
        v.assign([1.0, 2.0, 3.0])
    with pytest.raises(RuntimeError, match="assign_add"):
        v += 1.0
    with tf.Session() as session, pytest.raises(tf.errors.FailedPreconditionError, match="resource variable v from Container"):
        session.run(v)


def test_a_meta_graph_keeps_the_kind() -> None:
    v = tf.Variable(3.0, name="v", use_resource=True)
    meta = tf.train.export_meta_graph()
    with tf.Graph().as_default():
        tf.train.import_meta_graph(meta)
        (found,) = tf.global_variables()
        with tf.Session() as session:
            session.run(found.initializer)
            assert session.run(found * 2.0) == 6.0
        assert type(found) is type(v) and found.shape == v.shape


def test_tensors_stay_in_a_session_as_long_as_their_handles() -> None:
    x = tf.placeholder(tf.float32, [2])
    keep = tf.get_session_handle(x * 2.0)
    with tf.Session() as session:
        handle = session.run(keep, {x: [1.0, 2.0]})
        np.testing.assert_array_equal(session.run(x + 1.0, {x: handle}), [3.0, 5.0])
        place, tensor = tf.get_session_tensor(handle.handle, tf.float32)
        np.testing.assert_array_equal(session.run(tensor, {place: handle.handle}), [2.0, 4.0])
        name = handle.handle
        handle.delete()
        with pytest.raises(tf.errors.InvalidArgumentError, match="not in the session store"):
            session.run(tensor, {place: name})
        with pytest.raises(TypeError, match="deleted"):
            handle.eval()
