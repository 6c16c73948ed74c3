"""Programs with branches, loops and TensorArrays that TensorFlow refuses: the same classes, texts that say why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphflow as tf
from tests.control_flow.support import BOTH, session


@pytest.fixture(autouse=True)
def _fresh_graph() -> None:
    tf.reset_default_graph()


def _pred() -> Any:
    return tf.placeholder(tf.bool, [], name="p")


def _leak_loop() -> Any:
    kept = []
    tf.while_loop(lambda i: i < 3, lambda i: kept.append(i * 2) or i + 1, [tf.constant(0)])
    return kept[0] + 1


BUILDING: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "python bool": (lambda: tf.cond(True, lambda: 1, lambda: 2), TypeError, "pred must not be a Python bool"),
    "no branch": (lambda: tf.cond(_pred(), lambda: 1), TypeError, "false_fn argument required"),
    "not callable": (lambda: tf.cond(_pred(), 1, lambda: 2), TypeError, "true_fn must be callable"),
    "no result": (lambda: tf.cond(_pred(), lambda: None, lambda: 2), ValueError, "true_fn must have a return value"),
    "branch types": (lambda: tf.cond(_pred(), lambda: 1, lambda: 2.0), ValueError, "must have the same type: int32, float32"),
    "branch structures": (lambda: tf.cond(_pred(), lambda: [1, 2], lambda: [1]), ValueError, "Incompatible return values"),
    "branch sequences": (lambda: tf.cond(_pred(), lambda: [1, 2], lambda: (1, 2)), TypeError, "Incompatible return types"),
    "no loop variables": (lambda: tf.while_loop(lambda: True, lambda: 1, []), ValueError, "No loop variables provided"),
    "loop shapes": (
        lambda: tf.while_loop(lambda a: True, lambda a: tf.concat([a, a], 0), [tf.ones([2])]), ValueError,
        r"enters the loop with shape \(2,\), but has shape \(4,\)",
    ),
    "loop invariant": (
        lambda: tf.while_loop(lambda a: True, lambda a: a, [tf.ones([2])], shape_invariants=[tf.TensorShape([3])]), ValueError,
        "The shape invariant specified for",
    ),
    "loop structure": (
        lambda: tf.while_loop(lambda a, b: True, lambda a, b: [a], [tf.ones([2]), tf.ones([2])]), ValueError, "same number of elements",
    ),
    "loop types": (lambda: tf.while_loop(lambda a: True, lambda a: tf.cast(a, tf.int32), [tf.ones([2])]), TypeError, "float32"),
    "maximum": (
        lambda: tf.while_loop(lambda a: True, lambda a: a, [1], maximum_iterations=[1, 2]), ValueError,
        "maximum_iterations must be a scalar",
    ),
    "out of a loop": (_leak_loop, ValueError, "Cannot use 'while/mul' as input to 'add' because 'while/mul' is in a while loop"),
    "case of numbers": (lambda: tf.case([(1, lambda: 1)]), TypeError, "pred must be a Tensor"),
    "map of scalars": (lambda: tf.map_fn(lambda a: a, 1), ValueError, "1\\+ dimensional Tensor"),
    "array element": (
        lambda: tf.TensorArray(tf.float32, 3, element_shape=[2]).write(0, [1.0]), ValueError,
        r"Inconsistent shapes: saw \(1,\) but expected",
    ),
    "array size": (lambda: tf.TensorArray(tf.float32), ValueError, "Size must be provided"),
}  # fmt: skip


@pytest.mark.parametrize("name", BUILDING)
def test_building_is_refused(name: str) -> None:
    build, error, text = BUILDING[name]
    with pytest.raises(error, match=text):
        build()


def _array(**settings: Any) -> Any:
    return tf.TensorArray(tf.float32, 3, **settings)


def _read_again() -> Any:
    array = _array().write(1, 1.0)
    with tf.control_dependencies([array.read(1)]):
        return array.read(1)


def _summed(element: Callable[[Any, Any], Any], count: int) -> Any:
    array = _array().unstack([1.0, 2.0, 3.0])
    return tf.while_loop(lambda i, _: i < count, lambda i, s: (i + 1, s + element(array, i)), [0, 0.0])[1]


RUNNING: dict[str, tuple[Callable[[], Any], str]] = {
    "read past the end": (lambda: _array().read(3), "Tried to read from index 3 but array size is: 3"),
    "read before write": (lambda: _array().read(1), "Could not read from TensorArray index 1"),
    "write past the end": (lambda: _array().write(3, 1.0).flow, "Tried to write to index 3 but array is not resizeable and size is: 3"),
    "written twice": (lambda: _array().write(1, 1.0).write(1, 2.0).flow, "it has already been written to"),
    "read twice": (_read_again, "Could not read index 1 twice"),
    "pieces": (lambda: _array(infer_shape=False).split([1.0, 2.0, 3.0], [1, 2]).flow, "size is not equal to the size of lengths"),
    "rows": (
        lambda: _array().scatter([0, 5], [1.0, 2.0]).flow,
        "Max scatter index must be < array size|Tried to write to index 5 but array is not resizeable and size is: 3",
    ),
    "read past the end in a loop": (lambda: _summed(lambda a, i: a.read(i), 5), "Tried to read from index 3 but array size is: 3"),
    "read again in a loop": (lambda: _summed(lambda a, i: a.read(0), 2), "Could not read index 0 twice"),
    "written again in a loop": (
        lambda: tf.while_loop(lambda i, a: i < 2, lambda i, a: (i + 1, a.write(0, 1.0)), [0, _array()])[1].stack(),
        "Could not write to TensorArray index 0 because it has already been written to",
    ),
}  # fmt: skip


@BOTH
@pytest.mark.parametrize("name", RUNNING)
def test_running_is_refused(name: str, executor: str) -> None:
    build, text = RUNNING[name]
    with pytest.raises(tf.errors.InvalidArgumentError, match=text):
        session(executor).run(build())


@BOTH
def test_unwritten_elements_of_known_shape_are_zeros(executor: str) -> None:
    array = tf.TensorArray(tf.float32, 3, element_shape=[2]).write(1, [1.0, 2.0])
    np.testing.assert_array_equal(session(executor).run(array.stack()), [[0, 0], [1, 2], [0, 0]])


def test_what_stands_in_a_branch_cannot_be_fetched() -> None:
    inside = []
    tf.cond(_pred(), lambda: inside.append(tf.constant(1.0) * 2.0) or inside[0], lambda: tf.constant(0.0))
    with pytest.raises(ValueError, match="marked as not fetchable"):
        tf.Session().run(inside[0], {"p:0": False})


def test_second_order_through_loops() -> None:
    x = tf.placeholder(tf.float64, [2], name="x")
    first = tf.gradients(tf.scan(lambda a, b: a * b * b, x), x)[0]
    second = tf.gradients(tf.reduce_sum(first), x)[0]
    run, at, h = session("dataflow"), np.array([0.7, 1.3]), 1e-6
    slopes = [(run.run(first, {x: at + e}) - run.run(first, {x: at - e})).sum() / (2 * h) for e in np.eye(2) * h]
    np.testing.assert_allclose(run.run(second, {x: at}), slopes, rtol=1e-6)


def test_second_order_through_a_conditional_in_a_loop_is_refused() -> None:
    x = tf.placeholder(tf.float32, [2])
    y = tf.while_loop(lambda i, a: i < 3, lambda i, a: (i + 1, tf.cond(i < 1, lambda: a * a, lambda: tf.sin(a))), [0, x])[1]
    first = tf.gradients(y, x)[0]
    with pytest.raises(TypeError, match="Second-order gradient for while loops not supported"):
        tf.gradients(first, x)


def _contexts(graph: Any) -> dict[str, str]:
    return {op.name: str(op._get_control_flow_context()) for op in graph.get_operations()}


def test_contexts_survive_a_meta_graph() -> None:
    x, p = tf.placeholder(tf.float32, [2], name="x"), _pred()
    y = tf.cond(p, lambda: tf.while_loop(lambda i, a: i < 3, lambda i, a: (i + 1, a * a), [0, x])[1], lambda: x * 2.0)
    tf.identity(y, name="y")
    before = _contexts(tf.get_default_graph())
    meta = tf.train.export_meta_graph()
    with tf.Graph().as_default() as graph:
        tf.train.import_meta_graph(meta)
        assert _contexts(graph) == before
        x, y = graph.get_tensor_by_name("x:0"), graph.get_tensor_by_name("y:0")
        slope = tf.gradients(y, x)[0]
        assert session("dataflow").run(slope, {x: [1.0, 2.0], "p:0": True}).tolist() == [8.0, 1024.0]
        assert session("dataflow").run(slope, {x: [1.0, 2.0], "p:0": False}).tolist() == [2.0, 2.0]
