"""Inputs that TensorFlow refuses are refused with its exception class and the substance of its words, and the session goes on working."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphflow as tf

F, I, L = np.float32, np.int32, np.int64
INVALID = "InvalidArgumentError"
FED: dict[Any, Any] = {}


def fed(value: Any, dtype: Any = F) -> Any:
    """A placeholder of unknown shape that the run feeds: nothing is known of it while building."""
    array = np.asarray(value, dtype)
    x = tf.placeholder(tf.as_dtype(array.dtype))
    FED[x] = array
    return x


def images(*shape: int) -> Any:
    return fed(np.ones(shape))


# what is run, the exception's class, a part of its text
AT_RUN_TIME: list[tuple[Callable[[], Any], str, str]] = [
    (lambda: tf.matmul(images(2, 3), images(4, 5)), INVALID, "3 and 4"),
    (lambda: tf.matmul(images(2, 4), images(3, 5)), INVALID, "4 and 3"),
    (lambda: fed([1, 2]) + fed([1, 2, 3]), INVALID, "2 and 3"),
    (lambda: tf.placeholder(tf.float32, [2]) * 1, INVALID, "You must feed a value for placeholder tensor"),
    (lambda: fed([1, 2], I) // fed([0, 1], I), INVALID, "Integer division by zero"),
    (lambda: fed([1, 2], I) % fed([0, 1], I), INVALID, "Integer division by zero"),
    (lambda: tf.gather(fed([1, 2]), fed([5], I)), INVALID, "= 5 is not in [0, 2)"),
    (lambda: tf.gather(fed([1, 2]), fed([-1], I)), INVALID, "= -1 is not in [0, 2)"),
    (lambda: tf.gather_nd(fed([1, 2]), fed([[5]], I)), INVALID, "indices[0] = [5] does not index into param shape [2]"),
    (lambda: tf.scatter_nd(fed([[9]], I), fed([1]), [2]), INVALID, "is not in [0, 2)"),
    (lambda: tf.scatter_nd(fed([[0, 4]], I), fed([1]), [2, 3]), INVALID, "is not in [0, 6)"),
    (lambda: tf.scatter_nd(fed([[0]], I), images(2), [2]), INVALID, "must match"),
    (lambda: tf.reshape(fed([1, 2, 3]), fed([4], I)), INVALID, "3 elements"),
    (lambda: tf.reshape(fed([1, 2, 3]), fed([-1, -1], I)), INVALID, "both -1"),
    (lambda: tf.reshape(fed([1, 2, 3]), fed([2, -1], I)), INVALID, "divisible by 2"),
    (lambda: tf.reshape(fed([1, 2, 3]), fed([2**40, 2**40], L)), INVALID, "1099511627776,1099511627776"),
    (lambda: tf.fill(fed([-3], I), 1.0), INVALID, "-3"),
    (lambda: tf.fill(fed([2**40], L), 1.0), "ResourceExhaustedError", "OOM when allocating tensor with shape[1099511627776]"),
    (lambda: tf.fill(fed([2**40, 2**40], L), 1.0), INVALID, "too many elements"),
    (lambda: tf.tile(fed([1, 2]), fed([2**40], L)), "ResourceExhaustedError", "OOM when allocating tensor"),
    (lambda: tf.range(fed(2**60, L)), "ResourceExhaustedError", "OOM when allocating tensor"),
    (lambda: tf.random_normal(fed([2**40], L)), "ResourceExhaustedError", "OOM when allocating tensor"),
    (lambda: tf.random_normal(fed([-2], I)), INVALID, "Dimension -2 must be >= 0"),
    (lambda: tf.range(fed(1, I), fed(5, I), fed(0, I)), INVALID, "Requires delta != 0"),
    (lambda: tf.linspace(0.0, 1.0, fed(0, I)), INVALID, "Requires num > 0: 0"),
    (lambda: tf.nn.conv2d(images(1, 1, 1, 1), images(3, 3, 1, 1), [1, 1, 1, 1], "VALID"), INVALID, "subtracting 3 from 1"),
    (lambda: tf.reduce_sum(fed([1, 2]), fed(7, I)), INVALID, "Invalid reduction dimension"),
    (lambda: tf.transpose(images(3, 4), fed([1, -1], I)), INVALID, "-1 is out of range [0 .. 2)"),
    (lambda: tf.strided_slice(images(3, 4), fed([0], I), fed([1, 2], I), fed([1, 1], I)), INVALID, "1D equal size tensors"),
    (lambda: tf.reverse_sequence(images(3, 4), fed([1, -1, 2], I), seq_axis=1), INVALID, "-1 is not in"),
    (lambda: tf.matrix_band_part(images(3, 4), fed(4, L), fed(0, L)), INVALID, "num_lower must be negative or less or equal"),
    (lambda: tf.where(fed(True, bool)), INVALID, "Unhandled input dimensions: 0"),
    (lambda: tf.unique(images(2, 2)), INVALID, "rank 1 but is rank 2"),
    (lambda: tf.nn.sparse_softmax_cross_entropy_with_logits(labels=fed([0], I), logits=images(1, 0)), INVALID, "at least one class"),
    (lambda: tf.random_uniform(fed([2**40, 2**40], L)), INVALID, "more than 2**63 - 1 elements"),
    (lambda: tf.nn.max_pool(images(1, 4, 4, 1), [1, 2, 2, 1], [2, 1, 1, 1], "VALID"), "UnimplementedError", "batch dimension"),
    (lambda: tf.unravel_index(fed([6], I), fed([2, 3], I)), INVALID, "index 6 is out of bound"),
    (lambda: tf.argmax(fed([]), 0), INVALID, "Reduction axis 0 is empty in shape [0]"),
    (lambda: tf.argmax(fed([1]), fed(3, I)), INVALID, "(3) must be in the range [-1, 1)"),
    (lambda: tf.concat([images(2, 3), images(2, 4)], 0), INVALID, "Dimension 1 in both shapes must be equal"),
    (lambda: tf.concat([images(2, 3), images(2, 3)], fed(5, I)), INVALID, "[-2, 2), but got 5"),
    (lambda: tf.split(fed([1, 2]), 3), INVALID, "Number of ways to split should evenly divide the split dimension"),
    (lambda: tf.split(fed([1, 2]), fed([1, 3], I), num=2), INVALID, "split_dim"),
    (lambda: tf.nn.sparse_softmax_cross_entropy_with_logits(labels=fed([7], I), logits=images(1, 3)), INVALID,
     "Received a label value of 7 which is outside the valid range of [0, 3)"),
    (lambda: tf.nn.softmax_cross_entropy_with_logits(labels=images(2, 3), logits=images(2, 4)), INVALID, "must be equal"),
    (lambda: tf.one_hot([1], fed(-2, I)), INVALID, "depth must be non-negative, got: -2"),
    (lambda: tf.nn.top_k(fed([1, 2]), 5)[0], INVALID, "k = 5"),
    (lambda: tf.nn.top_k(fed([1, 2]), fed(-7, I))[0], INVALID, "Need k >= 0, got -7"),
    (lambda: tf.strided_slice(fed([1, 2]), [0], [1], fed([0], I)), INVALID, "strides[0] must be non-zero"),
    (lambda: fed([1, 2])[5], INVALID, "slice index 5 of dimension 0 out of bounds"),
    (lambda: tf.slice(fed([1, 2]), fed([5], I), [1]), INVALID, "Expected begin[0] in [0, 2], but got 5"),
    (lambda: tf.slice(fed([1, 2]), fed([1], I), fed([4], I)), INVALID, "Expected size[0] in [0, 1], but got 4"),
    (lambda: tf.tile(fed([1, 2]), fed([-1], I)), INVALID, "got -1"),
    (lambda: tf.pad(fed([1, 2]), fed([[-1, 0]], I)), INVALID, "Paddings must be non-negative"),
    (lambda: tf.segment_sum(fed([1, 2]), fed([1, 0], I)), INVALID, "segment ids are not increasing"),
    (lambda: tf.segment_sum(fed([1, 2]), fed([-1, 0], I)), INVALID, "Segment id -1 out of range [0, 1)"),
    (lambda: tf.segment_sum(fed([1, 2]), fed([0, 2**40], L)), "ResourceExhaustedError", "OOM when allocating tensor"),
    (lambda: tf.segment_sum(images(4, 4), fed([0, 1], I)), INVALID, "segment_ids should be the same size as dimension 0 of input"),
    (lambda: tf.unsorted_segment_sum(fed([1, 2]), fed([0, 9], I), 2), INVALID, "segment_ids[1] = 9 is out of range [0, 2)"),
    (lambda: tf.unsorted_segment_sum(fed([1, 2]), fed([0, 1], I), fed(-3, I)), INVALID, "must not be negative"),
    (lambda: tf.transpose(images(2, 2), fed([0, 0], I)), INVALID, "perm"),
    (lambda: tf.transpose(images(2, 2), fed([0, 5], I)), INVALID, "5 is out of range"),
    (lambda: tf.expand_dims(fed([1, 2]), fed(5, I)), INVALID, "5 not in the interval [-2, 1]"),
    (lambda: tf.squeeze(fed([1, 2]), [0]), INVALID, "expected a dimension of 1, got 2"),
    (lambda: tf.space_to_depth(images(1, 3, 3, 1), 2), INVALID, "divisible by 2"),
    (lambda: tf.broadcast_to(fed([1, 2, 3]), fed([2, 2], I)), INVALID, "Incompatible shapes"),
    (lambda: tf.matrix_diag(fed(1)), INVALID, "rank"),
    (lambda: tf.nn.bias_add(images(2, 3), fed([1, 2])), INVALID, "3 and 2"),
    (lambda: tf.Variable([1.0, 2.0]) * 2, "FailedPreconditionError", "Attempting to use uninitialized value"),
]  # fmt: skip

WHILE_BUILDING: list[tuple[Callable[[], Any], str]] = [
    (lambda: tf.matmul(np.ones((2, 3), F), np.ones((4, 5), F)), "Dimensions must be equal, but are 3 and 4"),
    (lambda: tf.constant([1, 2]) + tf.constant([1, 2, 3]), "Dimensions must be equal, but are 2 and 3"),
    (lambda: tf.reshape([1, 2, 3], [4]), "Cannot reshape a tensor with 3 elements to shape [4] (4 elements)"),
    (lambda: tf.nn.conv2d(np.ones((1, 4, 4, 1), F), np.ones((2, 2, 1, 1), F), [1, 0, 0, 1], "VALID"), "larger than 0"),
    (lambda: tf.nn.conv2d(np.ones((1, 2, 2, 1), F), np.ones((3, 3, 1, 1), F), [1, 1, 1, 1], "VALID"), "subtracting 3 from 2"),
    (lambda: tf.nn.max_pool(np.ones((1, 4, 4, 1), F), [1, 0, 0, 1], [1, 1, 1, 1], "VALID"), "ksize"),
    (lambda: tf.reduce_sum([1.0, 2.0], 7), "Invalid reduction dimension 7 for input with 1 dimensions"),
    (lambda: tf.range(1, 5, 0), "Requires delta != 0"),
    (lambda: tf.constant([1, 2])[5], "slice index 5 of dimension 0 out of bounds"),
    (lambda: tf.space_to_depth(np.ones((1, 2, 2, 1), F), 1), "less than minimum 2"),
    (lambda: tf.split(list(range(10)), [2, 2, 6], num=4), "Length of size_splits should be equal to num_outputs"),
    (lambda: tf.pad(np.ones((1, 2), F), np.ones((2, 1), I)), "Dimension must be 2 but is 1"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _graph() -> Any:
    tf.reset_default_graph()
    FED.clear()


def _text(number: int) -> str:
    return f"line{number}"


@pytest.mark.parametrize("number", range(len(AT_RUN_TIME)), ids=_text)
def test_a_run_refuses(number: int) -> None:
    build, kind, words = AT_RUN_TIME[number]
    with tf.Session() as session:
        fetch = build()
        for _ in range(2):  # refused again, not served from a cache
            with pytest.raises(getattr(tf.errors, kind)) as caught:
                session.run(fetch, dict(FED))
            assert type(caught.value).__name__ == kind
            assert words in str(caught.value)
        assert session.run(tf.constant(3) + 4) == 7


@pytest.mark.parametrize("number", range(len(WHILE_BUILDING)), ids=_text)
def test_building_refuses(number: int) -> None:
    build, words = WHILE_BUILDING[number]
    with pytest.raises(ValueError) as caught:
        build()
    assert words in str(caught.value)
    with tf.Session() as session:
        assert session.run(tf.constant(3) + 4) == 7


@pytest.mark.parametrize("table", ["scatter_update", "scatter_add", "scatter_nd_update"])
@pytest.mark.parametrize("row", [9, -1])
def test_scatter_outside_of_a_variable(table: str, row: int) -> None:
    v = tf.Variable([1.0, 2.0])
    position = tf.placeholder(tf.int32)
    update = getattr(tf, table)(v, position, [5.0])
    with tf.Session() as session:
        session.run(v.initializer)
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"is not in \[0, 2\)|does not index into shape \[2\]"):
            session.run(update, {position: [[row]] if "nd" in table else [row]})
        assert session.run(update, {position: [[1]] if "nd" in table else [1]})[0] == 1.0


def test_values_that_are_no_errors() -> None:
    cases: list[tuple[Any, Any]] = [
        (fed([-(2**31)], I) // fed([-1], I), [-(2**31)]),
        (tf.floormod(fed([-(2**31)], I), fed([-1], I)), [0]),
        (fed([1.0, 0.0]) / fed([0.0, 0.0]), [np.inf, np.nan]),
        (tf.reduce_max(fed([])), -np.inf),
        (tf.nn.conv2d(images(1, 2, 2, 1), images(3, 3, 1, 1), [1, 1, 1, 1], "VALID"), np.zeros((1, 0, 0, 1))),
        (tf.cast(fed([np.nan, np.inf, -np.inf, 1e20]), tf.int32), [-(2**31)] * 4),
        (tf.unsorted_segment_max(fed([1, 2]), fed([0, 0], I), 2), [2.0, np.finfo(F).min]),
        (tf.reshape(images(0, 6), [0, -1, 3]), np.zeros((0, 2, 3))),
    ]
    with tf.Session() as session:
        for value, expected in cases:
            np.testing.assert_array_equal(session.run(value, FED), expected)


def test_shapes_that_agree_by_chance_once_are_checked_each_time() -> None:
    """Sizes that a Program takes to be equal, or large enough, are looked at for every feed that it serves."""
    x, w = tf.placeholder(tf.float32), tf.placeholder(tf.float32)
    product, third, thirds = tf.matmul(x, w), x[2], tf.split(x, 3)
    with tf.Session() as session:
        for rows in (6, 3):
            assert session.run(product, {x: np.ones((rows, 2)), w: np.ones((2, 5))}).shape == (rows, 5)
            assert session.run(third, {x: np.ones((rows, 2))}).shape == (2,)
            assert session.run(thirds, {x: np.ones((rows, 2))})[0].shape == (rows // 3, 2)
        for fetch, wrong in ((third, 2), (thirds, 4)):
            with pytest.raises(tf.errors.InvalidArgumentError):
                session.run(fetch, {x: np.ones((wrong, 2))})
        with pytest.raises(tf.errors.InvalidArgumentError):
            session.run(product, {x: np.ones((6, 2)), w: np.ones((3, 5))})


def test_a_fed_tensor_that_others_wait_for_is_not_computed() -> None:
    x = tf.placeholder(tf.int32, [])
    with tf.control_dependencies([x]):
        five = tf.constant(5)
    with tf.Session() as session:
        assert session.run(x * five, {x: 2}) == 10
        with pytest.raises(tf.errors.InvalidArgumentError, match="You must feed a value"):
            session.run(five)
