"""Details of functions that take more than dense tensors of known shape, each as TensorFlow 1.15.5 does it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphflow as tf

COMPLEX = np.array([0.3 + 0.7j, 1.2 - 0.4j])
SLOPE, SECOND = np.array([1 + 0.5j, 0.2 - 0.7j]), np.array([0.5 - 0.2j, -0.3 + 0.8j])
# The gradients of gradients of complex functions at COMPLEX, seeded with SLOPE and then SECOND, by TensorFlow.
CURVED = {
    "reciprocal": [-0.987125 - 2.541105j, -0.308125 + 0.531875j], "rsqrt": [-0.727474 - 0.516416j, -0.164208 + 0.200609j],
    "sigmoid": [-0.064447 + 0.011494j, 0.064904 - 0.002914j], "tanh": [-1.45585 - 0.495714j, 0.28388 - 0.20599j],
}  # fmt: skip


def run(value: Any, feeds: Any = None) -> Any:
    with tf.Session() as session:
        return session.run(value, feeds)


@pytest.mark.parametrize("name", CURVED)
def test_second_derivatives_of_complex_functions(name: str) -> None:
    x = tf.constant(COMPLEX)
    (first,) = tf.gradients(getattr(tf, name)(x), x, grad_ys=tf.constant(SLOPE))
    (second,) = tf.gradients(first, x, grad_ys=tf.constant(SECOND))
    np.testing.assert_allclose(run(second), CURVED[name], atol=2e-6)


def test_strings_are_compared_and_joined() -> None:
    given = tf.placeholder(tf.string, [None])
    found = run([tf.equal(given, "a"), tf.not_equal(given, ["a", "c"]), given + "x", tf.add("q", given)], {given: ["a", "b"]})
    assert [x.tolist() for x in found] == [[True, False], [False, True], [b"ax", b"bx"], [b"qa", b"qb"]]
    assert run(tf.cond(tf.equal(given, "a")[0], lambda: 1, lambda: 2), {given: ["b"]}) == 2
    assert run(tf.constant(b"ends in\0")) == b"ends in\0"


def test_functions_of_sparse_tensors() -> None:
    sparse = tf.SparseTensor([[0, 1], [2, 0]], [-4.0, 9.0], [3, 2])
    for function, values in ((tf.abs, [4, 9]), (tf.negative, [4, -9]), (tf.square, [16, 81]), (tf.sign, [-1, 1])):
        found = run(function(sparse))
        assert found.values.tolist() == values and found.dense_shape.tolist() == [3, 2]
    assert run([tf.shape(sparse), tf.size(sparse), tf.rank(sparse)])[1:] == [6, 2]
    assert run(tf.cast(sparse, tf.int32)).values.tolist() == [-4, 9]


@pytest.mark.parametrize("rank", [None, 3])
@pytest.mark.parametrize("fed", [True, False])
def test_tensordot_of_what_is_known_in_the_run_only(rank: int | None, fed: bool) -> None:
    dims = None if rank is None else [None] * rank
    a, b, axes = tf.placeholder(tf.float64, dims), tf.placeholder(tf.float64, dims), tf.placeholder(tf.int32)
    left, right = np.random.RandomState(0).rand(2, 3, 4), np.random.RandomState(1).rand(4, 3, 5)
    feeds = {a: left, b: right, **({axes: [[1, 2], [1, 0]]} if fed else {})}
    product = tf.tensordot(a, b, axes if fed else [[1, -1], [1, 0]])
    found = run([product, *tf.gradients(product, [a, b])], feeds)
    np.testing.assert_allclose(found[0], np.tensordot(left, right, [[1, 2], [1, 0]]))
    assert found[1].shape == left.shape and found[2].shape == right.shape


def test_gather_nd_with_batches_of_unknown_rank() -> None:
    values, places = np.random.RandomState(0).rand(3, 2, 2, 4), np.random.RandomState(1).randint(0, 2, (3, 2, 5, 1))
    fed = tf.placeholder(tf.int32)
    for indices, batch in ((tf.constant(places), 2), (tf.constant(places), tf.constant([2])), (fed, 2)):
        found = run(tf.gather_nd(values, indices, batch_dims=batch), {fed: places})
        np.testing.assert_array_equal(found, np.stack([[values[i, j, places[i, j, :, 0]] for j in range(2)] for i in range(3)]))
    for wrong in (-1, 4, 7):
        with pytest.raises(ValueError):
            tf.gather_nd(values, places, batch_dims=wrong)


def test_assert_shapes() -> None:
    x, y = tf.placeholder(tf.float32, [None, 2]), tf.placeholder(tf.float32, [None, 3])
    check = tf.debugging.assert_shapes([(x, ("N", 2)), (y, ("N", "D")), (tf.constant(5.0), ()), (tf.ones([4, 3]), ("*", "D"))])
    run(check, {x: np.ones((3, 2)), y: np.ones((3, 3))})
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"must have size"):
        run(check, {x: np.ones((3, 2)), y: np.ones((2, 3))})
    for shapes, text in (
        ([(tf.ones([3, 2]), ("N", "Q")), (tf.ones([2, 3]), ("N", "D"))], "dimension 0 must have size 3.  Received size 2"),
        ([(tf.ones([3, 2]), (4, None))], "Specified explicitly.  Tensor .* dimension 0 must have size 4"),
        ([(tf.ones([3, 2]), ("N",))], "must have rank in"), ([(tf.ones([3]), 3)], "must be an iterable"),
        ([(tf.ones([3]), ("N", "*"))], "only allowed as the first entry"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=text):
            tf.debugging.assert_shapes(shapes)


def test_check_numerics_of_a_graph_with_branches() -> None:
    with tf.Graph().as_default():
        tf.cond(tf.placeholder(tf.bool, []), lambda: tf.constant(1.0), lambda: tf.constant(2.0))
        with pytest.raises(ValueError, match="not compatible with TensorFlow control flow"):
            tf.add_check_numerics_ops()


def test_a_host_operation_refuses_shapes_that_only_the_run_knows() -> None:
    given = tf.placeholder(tf.string)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Shape must be rank 0 but is rank 1"):
        run(tf.read_file(given), {given: ["a", "b"]})
