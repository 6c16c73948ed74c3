"""tf.graph_util: freezing gives the same numbers without variables; cutting keeps what is needed."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as tf


@pytest.fixture(autouse=True)
def fresh_graph():
    tf.reset_default_graph()


@pytest.mark.parametrize("use_resource", [False, True])
@pytest.mark.parametrize("binary", [False, True])
def test_a_frozen_graph_computes_the_same(use_resource: bool, binary: bool) -> None:
    x = tf.placeholder(tf.float32, [None, 2], name="x")
    w = tf.get_variable("w", initializer=tf.constant([[1.0], [2.0]]), use_resource=use_resource)
    tf.matmul(x, w, name="y")
    tf.square(x, name="unneeded")
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        frozen = tf.graph_util.convert_variables_to_constants(session, tf.get_default_graph().as_graph_def(), ["y"])
    if binary:
        frozen = tf.GraphDef.FromString(frozen.SerializeToString())
    assert {"y", "w", "x"} <= {n.name for n in frozen.node} and "unneeded" not in {n.name for n in frozen.node}
    with tf.Graph().as_default() as graph, tf.Session() as session:
        (y,) = tf.import_graph_def(frozen, return_elements=["y:0"], name="")
        np.testing.assert_array_equal(session.run(y, {graph.get_tensor_by_name("x:0"): [[3.0, 4.0]]}), [[11.0]])
        assert not [op for op in graph.get_operations() if op.type in ("VariableV2", "VarHandleOp", "ReadVariableOp")]


def test_training_nodes_are_spliced_out() -> None:
    x = tf.constant(1.0, name="x")
    tf.add(tf.identity(tf.check_numerics(x, "bad", name="check"), name="copy"), 1.0, name="y")
    with pytest.raises(AssertionError, match="nothing is not in graph"):
        tf.graph_util.extract_sub_graph(tf.get_default_graph().as_graph_def(), ["nothing"])
    tf.identity(x, name="alone")
    tf.negative(tf.get_default_graph().get_tensor_by_name("alone:0"), name="z")
    left = tf.graph_util.remove_training_nodes(tf.get_default_graph().as_graph_def(), protected_nodes=["check", "copy"])
    inputs = {n.name: list(n.input) for n in left.node}
    assert inputs["z"] == ["x"] and "alone" not in inputs and inputs["copy"] == ["check"]


def test_an_unknown_op_type_stands_in_a_graph_but_does_not_run() -> None:
    graph = tf.Graph()
    op = graph.create_op("Zork", [], [tf.float32], name="z")
    assert (op.type, op.outputs[0].dtype) == ("Zork", tf.float32) and "Zork" in str(op)
    with tf.Session(graph=graph) as session, pytest.raises(tf.errors.UnimplementedError, match="no op of type Zork"):
        session.run(op)
    with pytest.raises(tf.errors.NotFoundError, match="not registered 'Zork'"):
        graph.create_op("Zork", [])
    assert tf.constant(1.0).op.op_def.name == "Const"
