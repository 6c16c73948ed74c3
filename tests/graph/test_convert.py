"""How Python values become tensors, and the types that operations take. Texts as TensorFlow 1.15 gives them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import graphflow as tf
from graphflow.graph.convert import constant_value, constant_value_as_shape
from graphflow.graph.literal import Literal, make_array


@pytest.fixture(autouse=True)
def graph() -> Iterator[Any]:
    with tf.Graph().as_default() as g:
        yield g


@pytest.mark.parametrize(
    ("value", "dtype", "shape", "expected", "found"),
    [
        (1, None, None, 1, "int32"),
        (2**40, None, None, 2**40, "int64"),
        (1.5, None, None, 1.5, "float32"),
        ([1, 2.5], None, None, [1, 2.5], "float32"),
        (True, None, None, True, "bool"),
        (np.arange(3), None, None, [0, 1, 2], "int64"),
        (np.float64(2), None, None, 2, "float64"),
        (-1, "uint8", None, 255, "uint8"),
        (3, tf.float64, None, 3, "float64"),
        ([1, 2, 3], None, [2, 2], [[1, 2], [3, 3]], "int32"),
        ("a", None, None, b"a", "string"),
        ([["a", b"b"]], None, None, [[b"a", b"b"]], "string"),
        ([], None, None, [], "float32"),
        ([tf.Dimension(3), 4], "int32", None, [3, 4], "int32"),
    ],
)
def test_constants(value: Any, dtype: Any, shape: Any, expected: Any, found: str) -> None:
    tensor = tf.constant(value, dtype, shape)
    assert tensor.dtype.name == found
    assert np.array_equal(constant_value(tensor), expected)
    assert tensor.shape.as_list() == list(np.shape(expected))


@pytest.mark.parametrize(
    ("value", "dtype", "error", "text"),
    [
        (None, None, ValueError, "None values not supported."),
        ([[1, 2], [3]], None, ValueError, r"Argument must be a dense tensor: \[\[1, 2\], \[3\]\] - got shape \[2\], but wanted \[2, 2\]."),
        ("a", tf.float32, TypeError, "Expected float32, got 'a' of type 'str' instead."),
        ([1.5], tf.int32, TypeError, "Expected int32, got 1.5 of type 'float' instead."),
        (1, tf.bool, TypeError, "Expected bool, got 1 of type 'int' instead."),
        (object(), None, TypeError, "Failed to convert object of type <class 'object'> to Tensor."),
    ],
)  # fmt: skip
def test_refused_constants(value: Any, dtype: Any, error: Any, text: str) -> None:
    with pytest.raises(error, match=text):
        tf.constant(value, dtype)


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="Too many elements provided. Needed at most 4, but received 5"):
        tf.constant([1, 2, 3, 4, 5], shape=[2, 2])
    with pytest.raises(TypeError, match=r"Expected Tensor's shape: \(2, 2\), got \(3,\)"):
        tf.constant([1, 2, 3], shape=[2, 2], verify_shape=True)


def test_constants_do_not_follow_the_callers_array() -> None:
    array = np.zeros(3, np.float32)
    tensor = tf.constant(array)
    array[:] = 9
    assert np.array_equal(constant_value(tensor), [0, 0, 0])


def test_lists_with_tensors_are_stacked(graph: Any) -> None:
    x = tf.placeholder(tf.float32, [], name="x")
    packed = tf.convert_to_tensor([[1.0, x], [x, 2]])
    assert packed.op.type == "Pack" and packed.shape.as_list() == [2, 2] and packed.name == "packed:0"
    with tf.Session() as session:
        assert np.array_equal(session.run(packed, {x: 7}), [[1, 7], [7, 2]])
        assert session.run(tf.convert_to_tensor([x, 3], tf.int32), {x: 7.5}).tolist() == [7, 3]
    with pytest.raises(TypeError, match="Cannot convert a list containing a tensor of dtype"):
        tf.convert_to_tensor([x, tf.constant(1.0, tf.float64)])
    with pytest.raises(TypeError, match="List of Tensors when single Tensor expected"):
        tf.constant([x])


def test_converting_checks_the_type() -> None:
    x = tf.placeholder(tf.float32, name="x")
    assert tf.convert_to_tensor(x, tf.float32) is x
    with pytest.raises(ValueError, match="Tensor conversion requested dtype int32 for Tensor with dtype float32: <tf.Tensor 'x:0'"):
        tf.convert_to_tensor(x, tf.int32)
    with pytest.raises(TypeError, match="Can't convert Operation 'x' to Tensor"):
        tf.convert_to_tensor(x.op)
    with pytest.raises(ValueError, match="Cannot convert a partially known TensorShape to a Tensor"):
        tf.convert_to_tensor(tf.TensorShape([None]))
    assert np.array_equal(constant_value(tf.convert_to_tensor(tf.TensorShape([2, 3]))), [2, 3])


def line(tensor: Any) -> str:
    return str(tensor.op.created_at)


def test_operand_types() -> None:
    a, b = tf.constant([1, 2, 3], name="a"), tf.constant([1.0], name="b")
    with pytest.raises(TypeError) as caught:
        tf.add(a, b, name="sum")
    where = f"test_convert.py:{caught.traceback[0].lineno + 1} in test_operand_types"
    text = str(caught.value)
    assert "Input 'y' of 'Add' Op has type float32 that does not match type int32 of argument 'x'." in text
    assert f"Created at {where}." in text and text.startswith("Add 'sum': ")
    with pytest.raises(TypeError, match="Value passed to parameter 'a' has DataType bool not in list of allowed values"):
        tf.matmul(tf.constant([[True]]), tf.constant([[True]]))


def test_shapes_that_cannot_work() -> None:
    x = tf.placeholder(tf.float32, [None, 3])
    with pytest.raises(ValueError) as caught:
        tf.add(x, tf.zeros([2, 4]), name="sum")
    where = f"test_convert.py:{caught.traceback[0].lineno + 1} in test_shapes_that_cannot_work"
    assert str(caught.value) == (
        "Add 'sum': Dimensions must be equal, but are 3 and 4 for 'sum' (op: 'Add') with input shapes: [?,3], [2,4].\n"
        f"Created at {where}. Check the shapes of its inputs."
    )


def test_known_contents() -> None:
    x = tf.placeholder(tf.float32, [None, 28, 28])
    shape = tf.shape(x)
    assert constant_value(shape) is None
    assert constant_value_as_shape(shape).as_list() == [None, 28, 28]
    assert constant_value_as_shape(tf.stack([shape[0], 784])).as_list() == [None, 784]
    assert tf.reshape(x, tf.stack([shape[0], 28 * 28])).shape.as_list() == [None, 784]
    assert tf.reshape(x, [-1, shape[1] * shape[2]]).shape.as_list() == [None, 784]
    assert np.array_equal(constant_value(tf.shape(tf.zeros([2, 3]))), [2, 3])
    assert constant_value(tf.constant(2) * 3) is None  # TensorFlow does not fold products here
    assert tf.zeros(tf.constant([2, 3]) * 2).shape.as_list() == [4, 6]  # but shape rules do


def test_folded_tensors_cannot_be_fed(graph: Any) -> None:
    tensor = tf.constant([2, 3])
    assert graph.is_feedable(tensor)
    constant_value(tensor)
    assert not graph.is_feedable(tensor)


def test_literals_compare_by_bits() -> None:
    def literal(value: Any, dtype: Any = None) -> Literal:
        return Literal(*make_array(value, dtype))

    assert literal([1.0, 2.0]) == literal(np.array([1.0, 2.0], np.float32))
    assert hash(literal([1.0, 2.0])) == hash(literal([1.0, 2.0]))
    assert literal(0.0) != literal(-0.0) and literal(float("nan")) == literal(float("nan"))
    assert literal([1, 2]) != literal([1, 2], "int64") and literal([[1, 2]]) != literal([1, 2])
    big = np.zeros(1000, np.float32)
    other = big.copy()
    other[1] = 1
    assert literal(big) != literal(other)
    assert literal(["a"]) == literal(["a"]) != literal(["b"])
