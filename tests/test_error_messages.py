"""The whole text of the errors that users meet: TensorFlow's class, and five parts: the op, what is wrong, the values, the user's line,
what to check. After each the session works, and no variable has changed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

import graphflow as tf
from graphflow import errors


class Model(NamedTuple):
    """A graph with something of everything, and a session in which `count` is 5."""

    session: Any
    x: Any
    y: Any
    rows: Any
    k: Any
    logits: Any
    count: Any
    step: Any
    line: int  # of `def build`


def build() -> tuple[Any, ...]:
    """The graph. Errors name these lines; the numbers count from the function's first one."""
    x = tf.placeholder(tf.float32, [None, 3], name="x")  # 2
    y = tf.placeholder(tf.float32, name="y")
    rows = tf.placeholder(tf.int32, [None], name="rows")
    k = tf.placeholder(tf.int32, [], name="k")  # 5
    logits = tf.placeholder(tf.float32, [None, 4], name="logits")
    count = tf.Variable(5, name="count")
    step = tf.assign_add(count, 1, name="step")
    tf.Variable(tf.zeros([3]), name="never")
    tf.floordiv(rows, k, name="quotient")  # 10
    tf.mod(rows, k, name="rest")
    tf.gather(tf.constant([1.0, 2.0, 3.0]), rows, name="chosen")
    tf.nn.sparse_softmax_cross_entropy_with_logits(labels=rows, logits=logits, name="loss")
    tf.add(x, y, name="sum")
    tf.matmul(x, y, name="product")  # 15
    tf.reshape(y, [2, -1], name="pairs")
    tf.concat([x, y], 0, name="both")
    return x, y, rows, k, logits, count, step


@pytest.fixture
def model() -> Iterator[Model]:
    tf.reset_default_graph()
    made = build()
    with tf.Session() as session:
        session.run(made[-2].initializer)
        yield Model(session, *made, inspect.getsourcelines(build)[1])


def refused(model: Model, run: Callable[[], Any], kind: type[Exception], text: str) -> None:
    """`run` raises exactly `kind` with exactly `text`, twice; <n> stands for a line of `build`. The session works afterwards."""
    for number in range(1, 20):
        text = text.replace(f"<{number}>", f"test_error_messages.py:{model.line + number} in build")
    for _ in range(2):
        with pytest.raises(kind) as caught:
            run()
        assert type(caught.value) is kind
        assert str(caught.value) == text
    assert model.session.run(model.count) == 5, "a failing step leaves variables as they were"
    assert model.session.run("sum:0", {model.x: [[1, 2, 3]], model.y: 1.0}).tolist() == [[2, 3, 4]]


FAILING_STEPS = {
    "division": (
        "quotient:0", {"rows": [1, 2], "k": 0}, "FloorDiv 'quotient': Integer division by zero.\nCreated at <10>. Check the divisor.",
    ),
    "remainder": (
        "rest:0", {"rows": [1, 2], "k": 0}, "FloorMod 'rest': Integer division by zero.\nCreated at <11>. Check the divisor.",
    ),
    "index": ("chosen:0", {"rows": [0, 7]}, "GatherV2 'chosen': indices[1] = 7 is not in [0, 3).\nCreated at <12>. Check the indices."),
    "negative": (
        "chosen:0", {"rows": [-1, 0]}, "GatherV2 'chosen': indices[0] = -1 is not in [0, 3).\nCreated at <12>. Check the indices."
    ),
    "label": (
        "loss/loss:0", {"rows": [0, 4], "logits": np.zeros((2, 4))},
        "SparseSoftmaxCrossEntropyWithLogits 'loss/loss': Received a label value of 4 which is outside the valid range of [0, 4).\n"
        "Created at <13>. Check the labels and the width of the logits.",
    ),
    "sizes": (
        "sum:0", {"x": np.zeros((2, 3)), "y": np.zeros(4)},
        "Add 'sum': Dimensions must be equal, but are 3 and 4 with input shapes: [2,3], [4].\n"
        "Created at <14>. Check the shapes that are fed.",
    ),
    "inner sizes": (
        "product:0", {"x": np.zeros((2, 3)), "y": np.zeros((4, 5))},
        "BatchMatMulV2 'product': Dimensions must be equal, but are 3 and 4 with input shapes: [2,3], [4,5].\n"
        "Created at <15>. Check the shapes that are fed.",
    ),
    "reshape": (
        "pairs:0", {"y": np.zeros(3)},
        "Reshape 'pairs': Dimension size must be evenly divisible by 2 but is 3: cannot reshape [3] to [-1, 2].\n"
        "Created at <16>. Check the shapes that are fed.",
    ),
    "concat": (
        "both:0", {"x": np.zeros((2, 3)), "y": np.zeros((2, 4))},
        "ConcatV2 'both': Dimension 1 in both shapes must be equal, but are 3 and 4 with input shapes: [2,3], [2,4], [].\n"
        "Created at <17>. Check the shapes that are fed.",
    ),
    "missing feed": (
        "sum:0", {"y": 1.0},
        "Placeholder 'x': You must feed a value for placeholder tensor 'x' with dtype float and shape [?,3].\n"
        "Created at <2>. Add it to feed_dict.",
    ),
    "missing feed without shape": (
        "pairs:0", {},
        "Placeholder 'y': You must feed a value for placeholder tensor 'y' with dtype float.\nCreated at <3>. Add it to feed_dict.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FAILING_STEPS)
def test_failing_steps(model: Model, case: str) -> None:
    fetch, values, text = FAILING_STEPS[case]
    feeds = {f"{name}:0": value for name, value in values.items()}
    refused(model, lambda: model.session.run([fetch, model.step], feeds), errors.InvalidArgumentError, text)


def test_a_variable_without_a_value(model: Model) -> None:
    text = (
        "VariableV2 'never': Attempting to use uninitialized value never.\n"
        "Created at <9>. Run its initializer first: sess.run(tf.global_variables_initializer())."
    )
    refused(model, lambda: model.session.run(["never:0", model.step]), errors.FailedPreconditionError, text)


FEEDS = {
    "wrong width": (
        lambda m: {m.x: np.zeros((2, 4))}, ValueError,
        "Placeholder 'x': Cannot feed value of shape (2, 4) for Tensor 'x:0', which has shape '(?, 3)'.\n"
        "Created at <2>. Feed an array of that shape, or give the placeholder another one.",
    ),
    "wrong rank": (
        lambda m: {m.x: np.zeros(3)}, ValueError,
        "Placeholder 'x': Cannot feed value of shape (3,) for Tensor 'x:0', which has shape '(?, 3)'.\n"
        "Created at <2>. Feed an array of that shape, or give the placeholder another one.",
    ),
    "no number": (
        lambda m: {m.x: "abc"}, ValueError,
        "Placeholder 'x': could not convert string to float: 'abc', feeding a str.\nCreated at <2>. It wants float32 of shape (?, 3).",
    ),
    "too large": (
        lambda m: {m.k: 2**40}, TypeError,
        "Placeholder 'k': Type of feed value 1099511627776 with type <class 'int'> is not compatible with Tensor type "
        "<class 'numpy.int32'>. Try explicitly setting the type of the feed tensor to a larger type (e.g. int64).\nCreated at <5>.",
    ),
    "unknown name": (
        lambda m: {"nope:0": 1}, TypeError,
        "Cannot interpret feed_dict key as Tensor: The name 'nope:0' refers to a Tensor which does not exist. "
        "The operation, 'nope', does not exist in the graph.",
    ),
    "an operation": (
        lambda m: {"x": 1}, TypeError,
        "Cannot interpret feed_dict key as Tensor: The name 'x' refers to an Operation, not a Tensor. "
        'Tensor names must be of the form "<op_name>:<output_index>".',
    ),
    "a number": (lambda m: {3: 1}, TypeError, "Cannot interpret feed_dict key as Tensor: Can not convert a int into a Tensor."),
    "a tensor as value": (
        lambda m: {m.k: m.k}, TypeError,
        "The value of a feed cannot be a tf.Tensor object. Acceptable feed values include Python scalars, strings, lists, numpy ndarrays, "
        'or TensorHandles. For reference, the tensor object was Tensor("k:0", shape=(), dtype=int32) which was passed to the feed with key '
        'Tensor("k:0", shape=(), dtype=int32).',
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FEEDS)
def test_feeds(model: Model, case: str) -> None:
    feeds, kind, text = FEEDS[case]
    fed = {model.x: [[1, 2, 3]], model.k: 1, **feeds(model)}
    refused(model, lambda: model.session.run([model.x, model.k, model.step], fed), kind, text)


def test_rows_of_different_lengths(model: Model) -> None:
    with pytest.raises(ValueError) as caught:  # the middle is numpy's text, which changes with its version
        model.session.run(model.x, {model.x: [[1, 2, 3], [1]]})
    message = str(caught.value)
    assert message.startswith("Placeholder 'x': setting an array element with a sequence.")
    assert message.endswith(f"Created at test_error_messages.py:{model.line + 2} in build. It wants float32 of shape (?, 3).")


FETCHES = {
    "tensor name": (
        "nope:0", ValueError,
        "Fetch argument 'nope:0' cannot be interpreted as a Tensor. (\"The name 'nope:0' refers to a Tensor which does not exist. "
        "The operation, 'nope', does not exist in the graph.\")",
    ),
    "output number": (
        "x:1", ValueError,
        "Fetch argument 'x:1' cannot be interpreted as a Tensor. (\"The name 'x:1' refers to a Tensor which does not exist. "
        "The operation, 'x', exists but only has 1 outputs.\")",
    ),
    "operation name": (
        "nope", ValueError,
        "Fetch argument 'nope' cannot be interpreted as a Tensor. (\"The name 'nope' refers to an Operation not in the graph.\")",
    ),
    "None": (None, TypeError, "Fetch argument None has invalid type <class 'NoneType'>"),
    "a number": (
        3, TypeError,
        "Fetch argument 3 has invalid type <class 'int'>, must be a string or Tensor. (Can not convert a int into a Tensor or Operation.)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FETCHES)
def test_fetches(model: Model, case: str) -> None:
    fetch, kind, text = FETCHES[case]
    refused(model, lambda: model.session.run(fetch), kind, text)


def test_another_graph(model: Model) -> None:
    with tf.Graph().as_default():
        foreign = tf.constant(1.0, name="foreign")
    shown = 'Tensor Tensor("foreign:0", shape=(), dtype=float32) is not an element of this graph.'
    text = f"Fetch argument <tf.Tensor 'foreign:0' shape=() dtype=float32> cannot be interpreted as a Tensor. ({shown})"
    refused(model, lambda: model.session.run(foreign), ValueError, text)
    text = f"Cannot interpret feed_dict key as Tensor: {shown}"
    refused(model, lambda: model.session.run(model.x, {foreign: 3.0}), TypeError, text)


def test_a_closed_session(model: Model) -> None:
    session = tf.Session()
    session.close()
    refused(model, lambda: session.run(model.count), RuntimeError, "Attempted to use a closed Session.")


def test_a_finalized_graph(model: Model) -> None:
    tf.get_default_graph().finalize()
    refused(model, lambda: tf.constant(3), RuntimeError, "Graph is finalized and cannot be modified.")


def test_an_empty_graph(model: Model) -> None:
    session = tf.Session(graph=tf.Graph())
    text = "The Session graph is empty.  Add operations to the graph before calling run()."
    refused(model, lambda: session.run("x:0"), RuntimeError, text)


def test_no_session(model: Model) -> None:
    model.session.__exit__(None, None, None)
    with pytest.raises(ValueError) as caught:
        model.count.eval()
    assert str(caught.value) == (
        "Cannot evaluate tensor using `eval()`: No default session is registered. "
        "Use `with sess.as_default()` or pass an explicit session to `eval(session=sess)`"
    )
    model.session.__enter__()


WHILE_BUILDING = {
    "matmul": (
        lambda: tf.matmul(tf.zeros([2, 3]), tf.zeros([4, 5]), name="bad"), ValueError,
        "MatMul 'bad': Dimensions must be equal, but are 3 and 4 for 'bad' (op: 'MatMul') with input shapes: [2,3], [4,5].",
        "Check the shapes of its inputs.",
    ),
    "add": (
        lambda: tf.zeros([2, 3]) + tf.zeros([4]), ValueError,
        "AddV2 'add': Dimensions must be equal, but are 3 and 4 for 'add' (op: 'AddV2') with input shapes: [2,3], [4].",
        "Check the shapes of its inputs.",
    ),
    "dtypes": (
        lambda: tf.add(tf.zeros([2]), tf.zeros([2], tf.int32), name="bad"), TypeError,
        "Add 'bad': Input 'y' of 'Add' Op has type int32 that does not match type float32 of argument 'x'.",
        "Convert with tf.cast or give the values another type.",
    ),
    "reshape": (
        lambda: tf.reshape(tf.zeros([2, 3]), [4], name="bad"), ValueError,
        "Reshape 'bad': Cannot reshape a tensor with 6 elements to shape [4] (4 elements) for 'bad' (op: 'Reshape') with input shapes: "
        "[2,3], [1].",
        "Check the shapes of its inputs.",
    ),
    "axis": (
        lambda: tf.reduce_sum(tf.zeros([2, 3]), 5, name="bad"), ValueError,
        "Sum 'bad': Invalid reduction dimension 5 for input with 2 dimensions. for 'bad' (op: 'Sum') with input shapes: [2,3], [].",
        "Check the shapes of its inputs.",
    ),
    "bias": (
        lambda: tf.nn.bias_add(tf.zeros([2, 3]), tf.zeros([4]), name="bad"), ValueError,
        "BiasAdd 'bad': Dimensions must be equal, but are 3 and 4 for 'bad' (op: 'BiasAdd') with input shapes: [2,3], [4].",
        "Check the shapes of its inputs.",
    ),
    "cross-entropy": (
        lambda: tf.nn.softmax_cross_entropy_with_logits_v2(labels=tf.zeros([3, 4]), logits=tf.zeros([2, 5]), name="bad"), ValueError,
        "SoftmaxCrossEntropyWithLogits 'bad': Dimensions must be equal, but are 2 and 3 for 'bad' (op: 'SoftmaxCrossEntropyWithLogits') "
        "with input shapes: [2,5], [3,4].",
        "Check the shapes of its inputs.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WHILE_BUILDING)
def test_building(case: str) -> None:
    make, kind, text, advice = WHILE_BUILDING[case]
    tf.reset_default_graph()
    with pytest.raises(kind) as caught:
        make()
    line = make.__code__.co_firstlineno
    assert str(caught.value) == f"{text}\nCreated at test_error_messages.py:{line} in <lambda>. {advice}"
    with tf.Session() as session:
        assert session.run(tf.constant(2) * 3) == 6, "the graph can still be built and run"
