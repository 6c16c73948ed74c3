"""Nets whose images have the channels before rows and columns: computed as the same nets with the channels last."""

import numpy as np
import pytest

import graphflow as tf
from graphflow.compiler.passes.channels import _viewed
from graphflow.config import override
from tests.compiler.support import BATCH


def weights(*shape):
    seed = sum(d * 7**k for k, d in enumerate(shape))
    return tf.Variable(np.random.RandomState(seed).normal(size=shape, scale=0.2).astype(np.float32))


def conv(x, channels, size=3, stride=1, padding="SAME", data_format="NCHW"):
    last = data_format == "NHWC"
    w = weights(size, size, int(x.shape[3 if last else 1]), channels)
    y = tf.nn.conv2d(x, w, [1, stride, stride, 1] if last else [1, 1, stride, stride], padding, data_format=data_format)
    return tf.nn.bias_add(y, weights(channels), data_format)


def over(data_format, size):
    return [1, size, size, 1] if data_format == "NHWC" else [1, 1, size, size]


def plain(x, f):
    h = tf.nn.max_pool(tf.nn.relu(conv(x, 12, data_format=f)), over(f, 2), over(f, 2), "SAME", f)
    h = tf.nn.max_pool(tf.nn.relu(conv(h, 16, 5, data_format=f)), over(f, 3), over(f, 2), "VALID", f)
    return tf.nn.relu(conv(h, 8, 1, 1, "VALID", f))


def averaged(x, f):
    h = tf.nn.avg_pool(tf.tanh(conv(x, 10, data_format=f)), over(f, 3), over(f, 2), "SAME", f)
    return tf.nn.avg_pool(tf.nn.elu(conv(h, 8, data_format=f)), over(f, 2), over(f, 2), "VALID", f)


def normalised(x, f):
    h = x
    for channels in (12, 8):
        h = conv(h, channels, data_format=f)
        h, _, _ = tf.nn.fused_batch_norm(h, weights(channels), weights(channels), data_format=f)
        h = tf.nn.relu(h)
    return h


def residual(x, f):
    h = tf.nn.relu(conv(x, 12, data_format=f))
    return tf.nn.relu(conv(tf.nn.relu(conv(h, 12, data_format=f)), 12, data_format=f) + h)


def branches(x, f):
    h = tf.nn.relu(conv(x, 9, 1, data_format=f))
    parts = [conv(h, 4, 1, data_format=f), conv(h, 5, 3, data_format=f), tf.nn.max_pool(h, over(f, 3), [1] * 4, "SAME", f)]
    return tf.nn.relu(tf.concat(parts, 3 if f == "NHWC" else 1))


def gated(x, f):
    """Squeeze and excitation: means over images, which come back as factors of channels; and a part of the channels."""
    h = tf.nn.relu(conv(x, 12, data_format=f))
    axes = (1, 2) if f == "NHWC" else (2, 3)
    gate = tf.sigmoid(tf.matmul(tf.reduce_mean(h, axes), weights(12, 12)))
    gate = tf.reshape(gate, [-1, 1, 1, 12] if f == "NHWC" else [-1, 12, 1, 1])
    h = h * gate
    return h[:, :, 1:, 2:10] if f == "NHWC" else h[:, 2:10, :, 1:]


def depthwise(x, f):
    h = tf.nn.relu(conv(x, 8, data_format=f))
    return tf.nn.depthwise_conv2d(h, weights(3, 3, 8, 2), [1, 1, 1, 1], "SAME", data_format=f)


def up(x, f):
    h = tf.nn.relu(conv(x, 12, data_format=f))
    shape = [2, 18, 24, 9] if f == "NHWC" else [2, 9, 18, 24]
    return tf.nn.conv2d_transpose(h, weights(5, 5, 9, 12), shape, over(f, 2), "SAME", f)


NETS = {n.__name__: n for n in (plain, averaged, normalised, residual, branches, gated, depthwise, up)}


def step(net, data_format, channels=3):
    """Loss, result and all gradients of a net, with the image that it gets, batch of 2, 9 x 12."""
    tf.reset_default_graph()
    values = np.random.RandomState(5).normal(size=(2, 9, 12, channels)).astype(np.float32)
    if data_format == "NCHW":
        values = np.ascontiguousarray(np.transpose(values, (0, 3, 1, 2)))
    x = tf.placeholder(tf.float32, [None, *values.shape[1:]])
    y = net(x, data_format)
    loss = tf.reduce_sum(y * y * 0.1)
    return [loss, y, *tf.gradients(loss, [*tf.trainable_variables(), x])], {x: values}


def run(fetches, feed):
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        return session.run(fetches, feed), session.compiled(fetches, feed).report


def transposed(a):
    return np.transpose(a, (0, 2, 3, 1))


@pytest.mark.parametrize("channels", [1, 3, 8, 16])
@pytest.mark.parametrize("net", NETS)
def test_values_are_those_of_the_net_with_the_channels_last(net, channels):
    first, _ = run(*step(NETS[net], "NCHW", channels))
    last, _ = run(*step(NETS[net], "NHWC", channels))
    first[1], first[-1] = transposed(first[1]), transposed(first[-1])
    for one, other in zip(first, last, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-5 * max(1, np.abs(other).max()))


@pytest.mark.parametrize("net", NETS)
def test_values_are_those_of_the_program_as_it_stands(net):
    moved, _ = run(*step(NETS[net], "NCHW"))
    with override(passes_off=frozenset(("channels",))):
        left, _ = run(*step(NETS[net], "NCHW"))
    for one, other in zip(moved, left, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-5 * max(1, np.abs(other).max()))


@pytest.mark.parametrize("net", NETS)
def test_nothing_is_transposed_inside(net):
    """Only the result, where it leaves as the program has it."""
    (loss, result, *gradients), feed = step(NETS[net], "NCHW")
    for fetches, moves in (([loss, *gradients[:-1]], 0), ([result], 1)):
        _, report = run(fetches, feed)
        assert report.after("layout").count(" = Permute(") == moves


@pytest.mark.parametrize(("source", "order", "shape", "wanted"), [
    ((BATCH, 8, 2, 9, 12), (0, 3, 4, 1, 2), (BATCH, 16, 9, 12), (0, 2, 3, 1)),  # merged
    ((BATCH, 16, 9, 12), (0, 2, 3, 1), (BATCH, 8, 2, 9, 12), (0, 3, 4, 1, 2)),  # cut
    ((BATCH, 16, 1, 9, 12), (0, 3, 4, 1, 2), (BATCH, 16, 9, 12), (0, 2, 3, 1)),
    ((BATCH, 9, 9, 2, 12, 2), (0, 2, 3, 4, 5, 1), (BATCH, 9, 18, 24), (0, 2, 3, 1)),
    ((BATCH, 16, 9, 12), (0, 2, 3, 1), (BATCH, 1, 16, 9, 12), (0, 3, 4, 2, 1)),
    ((BATCH, 16, 9, 12), (0, 2, 3, 1), (BATCH, 16 * 9 * 12), None),
    ((BATCH, 16, 9, 12), (0, 2, 3, 1), (BATCH, 16, 12, 9), (0, 2, 3, 1)),
    ((BATCH, 16, 9, 12), (0, 2, 3, 1), (BATCH, 18, 8, 12), None),
])  # fmt: skip
def test_other_shapes_of_images(source, order, shape, wanted):
    found = _viewed(source, order, shape)
    assert found == wanted
    if found is not None:
        sizes = [3 if d is BATCH else d for d in source]
        values = np.arange(np.prod(sizes)).reshape(sizes)
        to = [3 if d is BATCH else d for d in shape]
        there = np.transpose(values, order).reshape([to[a] for a in found])
        np.testing.assert_array_equal(there, np.transpose(values.reshape(to), found))
