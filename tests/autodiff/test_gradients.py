"""tf.gradients: the nodes it builds (as real TensorFlow 1.15 does), what it gives where, and its errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import graphflow as tf


@pytest.fixture(autouse=True)
def graph() -> Iterator[Any]:
    with tf.Graph().as_default() as g:
        yield g


def nodes(graph: Any) -> list[tuple[str, str, list[str]]]:
    return [(op.name, op.type, [t.name for t in op.inputs]) for op in graph.get_operations()]


def x_and_w() -> tuple[Any, Any]:
    return tf.placeholder(tf.float32, [None, 3], name="x"), tf.placeholder(tf.float32, [3, 4], name="w")


def test_the_nodes_are_tensorflows(graph: Any) -> None:
    x, w = x_and_w()
    dx, dw = tf.gradients(tf.tanh(tf.matmul(x, w)), [x, w])
    assert nodes(graph)[2:] == [
        ("MatMul", "MatMul", ["x:0", "w:0"]),
        ("Tanh", "Tanh", ["MatMul:0"]),
        ("gradients/Shape", "Shape", ["Tanh:0"]),
        ("gradients/grad_ys_0", "Const", []),
        ("gradients/Fill", "Fill", ["gradients/Shape:0", "gradients/grad_ys_0:0"]),
        ("gradients/Tanh_grad/TanhGrad", "TanhGrad", ["Tanh:0", "gradients/Fill:0"]),
        ("gradients/MatMul_grad/MatMul", "MatMul", ["gradients/Tanh_grad/TanhGrad:0", "w:0"]),
        ("gradients/MatMul_grad/MatMul_1", "MatMul", ["x:0", "gradients/Tanh_grad/TanhGrad:0"]),
    ]
    assert (dx.shape.as_list(), dw.shape.as_list()) == ([None, 3], [3, 4])


def test_a_static_shape_is_a_constant(graph: Any) -> None:
    w = tf.placeholder(tf.float32, [3, 4], name="w")
    tf.gradients(tf.tanh(w), w)
    assert graph.get_operation_by_name("gradients/Shape").type == "Const"


def test_the_second_call_has_a_scope_of_its_own(graph: Any) -> None:
    x = tf.placeholder(tf.float32, [2], name="x")
    first = tf.gradients(tf.tanh(x), x)[0]
    second = tf.gradients(tf.tanh(x), x)[0]
    assert (first.name, second.name) == ("gradients/Tanh_grad/TanhGrad:0", "gradients_1/Tanh_1_grad/TanhGrad:0")
    assert tf.gradients(tf.tanh(x), x, name="mine")[0].name == "mine/Tanh_2_grad/TanhGrad:0"


def test_shares_are_added_by_one_addn(graph: Any) -> None:
    x = tf.placeholder(tf.float32, [2], name="x")
    y = tf.tanh(x) + tf.sin(x) + tf.cos(x)
    gradient = tf.gradients(y, x)[0]
    assert (gradient.op.type, len(gradient.op.inputs), gradient.name) == ("AddN", 3, "gradients/AddN:0")


def test_what_does_not_depend_has_none_or_zeros() -> None:
    x, w = x_and_w()
    other = tf.placeholder(tf.float32, [5], name="other")
    assert tf.gradients(tf.matmul(x, w), [other, x])[0] is None
    zeros = tf.gradients(tf.matmul(x, w), other, unconnected_gradients="zero")[0]
    assert (zeros.op.type, zeros.shape.as_list()) == ("ZerosLike", [5])
    with pytest.raises(ValueError, match="Unknown value for unconnected_gradients: 'maybe'"):
        tf.gradients(x, x, unconnected_gradients="maybe")


def test_y_itself_begins_with_ones() -> None:
    x = tf.placeholder(tf.float32, [2], name="x")
    assert tf.gradients(x, x)[0].name == "gradients/Fill:0"


def test_integers_carry_no_gradient() -> None:
    x = tf.placeholder(tf.float32, [2], name="x")
    assert tf.gradients(tf.cast(tf.cast(x, tf.int32), tf.float32) * 2.0, x) == [None]


def test_stop_gradients_are_constants() -> None:
    a = tf.placeholder(tf.float32, [], name="a")
    b = a * 2.0
    free = tf.gradients(a + b, [a, b])
    held = tf.gradients(a + b, [a, b], stop_gradients=[a, b])
    assert free[0].op.type == "AddN"
    assert (held[0].op.type, held[1].op.type) != ("AddN", "AddN")
    assert tf.gradients(tf.stop_gradient(b), a) == [None]


def test_grad_ys_are_taken() -> None:
    x, w = x_and_w()
    y = tf.matmul(x, w)
    start = tf.placeholder(tf.float32, [None, 4], name="start")
    dw = tf.gradients(y, w, grad_ys=start)[0]
    assert dw.op.inputs[1].op.type == "Identity"
    assert dw.op.inputs[1].name == "gradients/grad_ys_0:0"
    with pytest.raises(ValueError, match="Passed 2 grad_ys for 1 ys"):
        tf.gradients(y, w, grad_ys=[start, start])


def test_gate_gradients_ties_an_operations_gradients(graph: Any) -> None:
    x, w = x_and_w()
    dx, dw = tf.gradients(tf.matmul(x, w), [x, w], gate_gradients=True)
    assert dx.name == "gradients/MatMul_grad/tuple/control_dependency:0"
    assert dw.name == "gradients/MatMul_grad/tuple/control_dependency_1:0"
    gate = graph.get_operation_by_name("gradients/MatMul_grad/tuple/group_deps")
    assert [op.name for op in gate.control_inputs] == ["gradients/MatMul_grad/MatMul", "gradients/MatMul_grad/MatMul_1"]
    assert dw.op.control_inputs == [gate]


def test_second_derivatives_can_be_taken() -> None:
    x = tf.placeholder(tf.float32, [2], name="x")
    first = tf.gradients(tf.tanh(x), x)[0]
    assert tf.gradients(first, x)[0].shape.as_list() == [2]


def test_a_gather_gives_indexed_slices_and_they_are_concatenated() -> None:
    w = tf.placeholder(tf.float32, [10, 3], name="w")
    a = tf.gather(w, [1, 2])
    one = tf.gradients(a, w)[0]
    assert isinstance(one, tf.IndexedSlices)
    two = tf.gradients(tf.reduce_sum(a) + tf.reduce_sum(tf.gather(w, [2, 3, 4])), w)[0]
    assert isinstance(two, tf.IndexedSlices)
    assert (two.values.op.type, two.values.shape.as_list(), two.indices.shape.as_list()) == ("ConcatV2", [5, 3], [5])


def test_a_registered_gradient_overrides(graph: Any) -> None:
    @tf.RegisterGradient("TestHalf")
    def half(op: Any, dy: Any) -> Any:
        return dy * 0.5

    x = tf.placeholder(tf.float32, [2], name="x")
    with graph.gradient_override_map({"Identity": "TestHalf"}):
        y = tf.identity(x)
    assert tf.gradients(y, x)[0].op.type == "Mul"
    with pytest.raises(KeyError, match="Registering two gradient with name 'TestHalf'!"):
        tf.RegisterGradient("TestHalf")(half)
    with graph.gradient_override_map({"Identity": "TestUnknown"}):
        z = tf.identity(x)
    with pytest.raises(LookupError, match=r"No gradient defined for operation 'Identity_1' \(op type: Identity\)"):
        tf.gradients(z, x)


def test_a_gradient_of_the_wrong_kind_is_told(graph: Any) -> None:
    tf.RegisterGradient("TestTooMany")(lambda op, dy: [dy, dy])
    tf.RegisterGradient("TestWrongShape")(lambda op, dy: tf.zeros([7]))
    x = tf.placeholder(tf.float32, [2], name="x")
    with graph.gradient_override_map({"Tanh": "TestTooMany", "Sin": "TestWrongShape"}):
        many, shape = tf.tanh(x), tf.sin(x)
    with pytest.raises(ValueError, match="Num gradients 2 generated for op"):
        tf.gradients(many, x)
    with pytest.raises(ValueError) as caught:
        tf.gradients(shape, x)
    assert str(caught.value) == (
        "Incompatible shapes between op input and calculated input gradient.  Forward operation: Sin.  Input index: 0. "
        "Original input shape: (2,).  Calculated input gradient shape: (7,)"
    )


def test_unused_outputs_count_as_zero(graph: Any) -> None:
    x = tf.placeholder(tf.float32, [4], name="x")
    first, _ = tf.split(x, 2)
    gradient = tf.gradients(first, x)[0]
    assert [t.op.type for t in gradient.op.inputs][:2] == ["Fill", "ZerosLike"]
    assert graph.get_operation_by_name("gradients/zeros_like").type == "ZerosLike"


def test_wrong_arguments_are_refused() -> None:
    x = tf.placeholder(tf.float32, [2], name="x")
    n = tf.placeholder(tf.string, [2], name="n")
    with pytest.raises(ValueError, match=r"Invalid aggregation_method specified 7\."):
        tf.gradients(x, x, aggregation_method=7)
    with pytest.raises(TypeError, match="must be numeric to obtain a default gradient"):
        tf.gradients(n, n, grad_ys=x)
