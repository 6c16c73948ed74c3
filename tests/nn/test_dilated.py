"""Dilated convolutions are plain ones over rearranged blocks; the operation with an attribute `dilations` says what comes out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphflow as tf


def _both(dims: list[int | None], padding: str, rate: list[int]) -> tuple[Any, Any, Any]:
    """The input, then results and gradients as TensorFlow's functions build them, and by the attribute."""
    x = tf.placeholder(tf.float32, dims)
    w = tf.constant(np.random.default_rng(1).standard_normal((3, 2, 3, 4)), tf.float32)
    blocks = tf.nn.convolution(x, w, padding, dilation_rate=rate)
    direct = tf.nn.conv2d(x, w, [1, 1, 1, 1], padding, dilations=[1, *rate, 1])
    return x, *([y, *tf.gradients(tf.reduce_sum(tf.sin(y)), [x, w])] for y in (blocks, direct))


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("dims", [[2, 9, 8, 3], [None, None, None, 3]], ids=["known", "unknown"])
def test_blocks_give_the_same_as_the_attribute(dims: list[int | None], padding: str) -> None:
    x, blocks, direct = _both(dims, padding, [2, 3])
    with tf.Session() as session:
        for sizes in ((2, 9, 8, 3),) if None not in dims else ((2, 9, 8, 3), (1, 10, 11, 3)):
            fed = {x: np.random.default_rng(2).standard_normal(sizes)}
            for ours, wanted in zip(session.run(blocks, fed), session.run(direct, fed), strict=True):
                np.testing.assert_allclose(ours, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_the_transpose_is_the_gradient(padding: str) -> None:
    w = tf.constant(np.random.default_rng(1).standard_normal((3, 2, 5, 4)), tf.float32)
    y = tf.nn.atrous_conv2d(tf.zeros([2, 9, 8, 5]), w, 2, padding)
    dy = tf.constant(np.random.default_rng(2).standard_normal(y.shape.as_list()), tf.float32)
    back = tf.nn.atrous_conv2d_transpose(dy, w, [2, 9, 8, 5], 2, padding)
    wanted = tf.gradients(y, y.op.inputs[0].op.inputs[0].op.inputs[0], dy)[0]
    with tf.Session() as session:
        np.testing.assert_allclose(*session.run([back, wanted]), rtol=1e-4, atol=1e-5)


def test_wrong_dilations_are_refused() -> None:
    x, w = tf.ones([2, 9, 8, 3]), tf.ones([3, 3, 3, 4])
    with pytest.raises(ValueError, match="strides > 1 not supported"):
        tf.nn.convolution(x, w, "SAME", strides=[2, 2], dilation_rate=[2, 2])
    with pytest.raises(ValueError, match="Invalid padding method 'FULL'"):
        tf.nn.convolution(x, w, "FULL", dilation_rate=[2, 2])
    with pytest.raises(ValueError, match="dilation_rate must be positive"):
        tf.nn.with_space_to_batch(x, [2, 0], "VALID", lambda blocks, count, padding: blocks)
