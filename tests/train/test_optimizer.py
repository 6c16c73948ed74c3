"""Optimizers as graphs: names of slots and updates as real TensorFlow 1.15 makes them, the order of updates, and errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import graphflow as tf


@pytest.fixture(autouse=True)
def graph() -> Iterator[Any]:
    with tf.Graph().as_default() as g:
        yield g


def model() -> tuple[Any, Any, Any]:
    x = tf.placeholder(tf.float32, [None, 3], name="x")
    w = tf.Variable([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], name="w")
    b = tf.Variable([0.0, 0.0], name="b")
    return w, b, tf.reduce_sum(tf.square(tf.matmul(x, w) + b))


def inputs(op: Any) -> list[str]:
    return [t.name for t in op.inputs]


def test_gradient_descent(graph: Any) -> None:
    _, _, loss = model()
    step = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    assert (step.name, step.type) == ("GradientDescent", "NoOp")
    assert [op.name for op in step.control_inputs] == [
        "GradientDescent/update_w/ApplyGradientDescent",
        "GradientDescent/update_b/ApplyGradientDescent",
    ]
    update = step.control_inputs[0]
    assert inputs(update) == ["w:0", "GradientDescent/learning_rate:0", "gradients/MatMul_grad/tuple/control_dependency_1:0"]
    assert update.get_attr("use_locking") is False
    assert graph.get_collection(tf.GraphKeys.TRAIN_OP) == [step]


def test_adam(graph: Any) -> None:
    w, b, loss = model()
    optimizer = tf.train.AdamOptimizer(0.01)
    step = optimizer.minimize(loss)
    assert [v.name for v in tf.global_variables()][2:] == [
        "beta1_power:0", "beta2_power:0", "w/Adam:0", "w/Adam_1:0", "b/Adam:0", "b/Adam_1:0",
    ]  # fmt: skip
    assert optimizer.get_slot_names() == ["m", "v"]
    assert optimizer.get_slot(w, "m").name == "w/Adam:0"
    assert optimizer.get_slot(b, "v").name == "b/Adam_1:0"
    assert optimizer.get_slot(b, "nothing") is None
    assert [v.name for v in optimizer.variables()] == [
        "b/Adam:0", "b/Adam_1:0", "beta1_power:0", "beta2_power:0", "w/Adam:0", "w/Adam_1:0",
    ]  # fmt: skip
    assert not any("Adam" in v.name or "power" in v.name for v in tf.trainable_variables())
    update = graph.get_operation_by_name("Adam/update_w/ApplyAdam")
    assert inputs(update)[:9] == [
        "w:0", "w/Adam:0", "w/Adam_1:0", "beta1_power/read:0", "beta2_power/read:0",
        "Adam/learning_rate:0", "Adam/beta1:0", "Adam/beta2:0", "Adam/epsilon:0",
    ]  # fmt: skip
    assert [op.name for op in step.control_inputs] == [
        "Adam/update_w/ApplyAdam", "Adam/update_b/ApplyAdam", "Adam/Assign", "Adam/Assign_1",
    ]  # fmt: skip
    power = graph.get_operation_by_name("Adam/mul")
    assert {op.name for op in power.control_inputs} == {"Adam/update_w/ApplyAdam", "Adam/update_b/ApplyAdam"}


@pytest.mark.parametrize(
    ("optimizer", "slots", "operation"),
    [
        (lambda t: t.MomentumOptimizer(0.1, 0.9), {"momentum": "w/Momentum"}, "Momentum/update_w/ApplyMomentum"),
        (lambda t: t.AdagradOptimizer(0.1), {"accumulator": "w/Adagrad"}, "Adagrad/update_w/ApplyAdagrad"),
        (lambda t: t.RMSPropOptimizer(0.1), {"rms": "w/RMSProp", "momentum": "w/RMSProp_1"}, "RMSProp/update_w/ApplyRMSProp"),
        (
            lambda t: t.RMSPropOptimizer(0.1, centered=True, name="mine"),
            {"rms": "w/mine", "mg": "w/mine_1", "momentum": "w/mine_2"},
            "mine/update_w/ApplyCenteredRMSProp",
        ),
        (lambda t: t.AdadeltaOptimizer(), {"accum": "w/Adadelta", "accum_update": "w/Adadelta_1"}, "Adadelta/update_w/ApplyAdadelta"),
        (lambda t: t.FtrlOptimizer(0.1), {"accum": "w/Ftrl", "linear": "w/Ftrl_1"}, "Ftrl/update_w/ApplyFtrl"),
    ],
)
def test_slots(graph: Any, optimizer: Any, slots: dict[str, str], operation: str) -> None:
    w, _, loss = model()
    made = optimizer(tf.train)
    made.minimize(loss)
    assert made.get_slot_names() == sorted(slots)
    for slot, name in slots.items():
        assert made.get_slot(w, slot).op.name == name
        assert made.get_slot(w, slot).shape == w.shape
    assert graph.get_operation_by_name(operation) is not None


def test_a_second_minimize_keeps_the_slots() -> None:
    w, _, loss = model()
    optimizer = tf.train.MomentumOptimizer(0.1, 0.9)
    optimizer.minimize(loss)
    first = optimizer.get_slot(w, "momentum")
    assert optimizer.minimize(loss * 2.0).name == "Momentum_1"
    assert optimizer.get_slot(w, "momentum") is first


def test_slots_of_get_variable_carry_its_scope() -> None:
    with tf.variable_scope("layer"):
        w = tf.get_variable("w", [2], initializer=tf.zeros_initializer())
    with tf.name_scope("train"):
        step = tf.train.MomentumOptimizer(0.1, 0.9).minimize(tf.reduce_sum(w * w))
    assert step.name == "train/Momentum"
    assert [v.name for v in tf.global_variables()] == ["layer/w:0", "layer/w/Momentum:0"]


def test_global_step(graph: Any) -> None:
    _, _, loss = model()
    counter = tf.train.get_or_create_global_step()
    assert (counter.name, counter.dtype.base_dtype) == ("global_step:0", tf.int64)
    step = tf.train.GradientDescentOptimizer(0.1).minimize(loss, global_step=counter)
    assert (step.name, step.type) == ("GradientDescent", "AssignAdd")
    # As TensorFlow builds it: the number that is added waits for the updates, and the addition for the number.
    assert [op.name for op in step.inputs[1].op.control_inputs] == ["GradientDescent/update"]
    assert tf.train.get_global_step() is counter
    assert tf.train.get_or_create_global_step() is counter
    with pytest.raises(ValueError, match='"global_step" already exists'):
        tf.train.create_global_step()


def test_a_global_step_that_cannot_be_one_is_refused() -> None:
    tf.Variable(0.0, name="global_step")
    with pytest.raises(TypeError, match='Existing "global_step" does not have integer type'):
        tf.train.get_global_step()


def test_without_gradients_for_any_variable() -> None:
    w = tf.Variable([1.0], name="w")
    x = tf.placeholder(tf.float32, [1], name="x")
    with pytest.raises(ValueError) as caught:
        tf.train.GradientDescentOptimizer(0.1).minimize(tf.square(x), var_list=[w])
    assert str(caught.value) == (
        "No gradients provided for any variable, check your graph for ops that do not support gradients, between variables "
        "[\"<tf.Variable 'w:0' shape=(1,) dtype=float32_ref>\"] and loss Tensor(\"Square:0\", shape=(1,), dtype=float32)."
    )
    with pytest.raises(ValueError, match=r"^No gradients provided for any variable: "):
        tf.train.GradientDescentOptimizer(0.1).apply_gradients([(None, w)])
    with pytest.raises(ValueError, match=r"^No variables provided\.$"):
        tf.train.GradientDescentOptimizer(0.1).apply_gradients([])


def test_without_variables() -> None:
    x = tf.placeholder(tf.float32, [1], name="x")
    with pytest.raises(ValueError, match=r"^No variables to optimize\.$"):
        tf.train.GradientDescentOptimizer(0.1).minimize(x)


def test_variables_without_a_gradient_are_left_out() -> None:
    w, b, loss = model()
    alone = tf.Variable([1.0], name="alone")
    pairs = tf.train.GradientDescentOptimizer(0.1).compute_gradients(loss)
    assert [(g is None, v) for g, v in pairs] == [(False, w), (False, b), (True, alone)]
    step = tf.train.GradientDescentOptimizer(0.1).apply_gradients(pairs)
    assert len(step.control_inputs) == 2


def test_wrong_arguments_are_refused() -> None:
    w, _, loss = model()
    optimizer = tf.train.GradientDescentOptimizer(0.1)
    with pytest.raises(ValueError, match=r"Invalid type tf.int32 for count:0, expected: \["):
        optimizer.minimize(tf.placeholder(tf.int32, [], name="count"))
    with pytest.raises(NotImplementedError, match="Trying to optimize unsupported type"):
        optimizer.minimize(loss, var_list=["w"])
    with pytest.raises(ValueError, match="gate_gradients must be one of"):
        optimizer.minimize(loss, gate_gradients=3)
    with pytest.raises(ValueError, match="Must specify the optimizer name"):
        tf.train.GradientDescentOptimizer(0.1, name="")
    with pytest.raises(TypeError, match="Gradient must be convertible to a Tensor or IndexedSlices, or None"):
        optimizer.apply_gradients([(object(), w)])
    with pytest.raises(ValueError, match="initial_accumulator_value must be positive: 0.0"):
        tf.train.AdagradOptimizer(0.1, initial_accumulator_value=0.0)
    with pytest.raises(NotImplementedError, match="Trying to update a Tensor"):
        optimizer.apply_gradients([(loss, loss)])


def test_gate_graph_ties_all_gradients() -> None:
    _, _, loss = model()
    optimizer = tf.train.GradientDescentOptimizer(0.1)
    pairs = optimizer.compute_gradients(loss, gate_gradients=optimizer.GATE_GRAPH)
    assert len({tuple(op.name for op in g.op.control_inputs) for g, _ in pairs}) == 1
    assert all(g.op.type == "Identity" for g, _ in pairs)


def test_a_constraint_is_applied_after_the_update() -> None:
    w = tf.get_variable("w", [2], initializer=tf.zeros_initializer(), constraint=lambda v: tf.clip_by_value(v, 0.0, 1.0))
    step = tf.train.GradientDescentOptimizer(0.1).minimize(tf.reduce_sum(w * w))
    assert [op.type for op in step.control_inputs] == ["Assign"]


def test_an_optimizer_of_ones_own() -> None:
    class SignDescent(tf.train.Optimizer):
        def __init__(self) -> None:
            super().__init__(False, "SignDescent")

        def _apply_dense(self, grad: Any, var: Any) -> Any:
            return tf.assign_sub(var, tf.sign(grad) * 0.1)

    _, _, loss = model()
    step = SignDescent().minimize(loss)
    assert [op.type for op in step.control_inputs] == ["AssignSub", "AssignSub"]


def test_moving_averages(graph: Any) -> None:
    w, b, _ = model()
    averages = tf.train.ExponentialMovingAverage(0.9)
    update = averages.apply([w, b])
    assert update.name == "ExponentialMovingAverage"
    assert averages.average(w).name == "w/ExponentialMovingAverage:0"
    assert averages.average_name(b) == "b/ExponentialMovingAverage"
    assert graph.get_collection(tf.GraphKeys.MOVING_AVERAGE_VARIABLES) == [w, b]
    assert {name: v.name for name, v in averages.variables_to_restore().items()} == {
        "w/ExponentialMovingAverage": "w:0",
        "b/ExponentialMovingAverage": "b:0",
    }
    with pytest.raises(TypeError, match="The variables must be half, float, or double: n:0"):
        averages.apply([tf.Variable(1, name="n")])


def test_decays_have_tensorflows_names(graph: Any) -> None:
    step = tf.train.get_or_create_global_step()
    rate = tf.train.exponential_decay(0.1, step, 100, 0.5, staircase=True)
    assert (rate.name, rate.op.type, rate.op.inputs[1].name) == ("ExponentialDecay:0", "Mul", "ExponentialDecay/Pow:0")
    assert tf.train.polynomial_decay(0.1, step, 100).name == "PolynomialDecay:0"
    assert tf.train.inverse_time_decay(0.1, step, 100, 0.5).name == "InverseTimeDecay:0"
    with pytest.raises(ValueError, match="The length of boundaries should be 1 less than the length of values"):
        tf.train.piecewise_constant(step, [1, 2], [0.1, 0.2])
    with pytest.raises(ValueError, match="must have the same dtype as x"):
        tf.train.piecewise_constant(step, [1.0], [0.1, 0.2])
