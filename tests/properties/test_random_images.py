"""Random nets of images with the channels before rows and columns, beside the same Programs without the pass that moves them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import graphflow as tf
from graphflow.config import override
from tests.fuzzing import examples

LAYERS = ("conv", "strided", "pool", "average", "norm", "activation", "factors", "concat", "residual", "part", "depthwise", "means",
          "border", "lengths", "turned")  # fmt: skip


def layer(kind, h, draw):
    """The layer on a value [batch, channels, rows, columns]."""
    channels = int(h.shape[1])

    def weights(*shape):
        return tf.Variable((draw.standard_normal(shape) * 0.3).astype(np.float32))

    if kind in ("conv", "strided"):
        size, out, stride = draw.choice([1, 3, 5]), draw.choice([1, 4, 8, 9]), 2 if kind == "strided" else 1
        h = tf.nn.conv2d(h, weights(size, size, channels, out), [1, 1, stride, stride], "SAME", data_format="NCHW")
        return tf.nn.bias_add(h, weights(out), "NCHW")
    if kind == "pool":
        size = int(draw.choice([2, 3]))
        return tf.nn.max_pool(h, [1, 1, size, size], [1, 1, 2, 2], "SAME", "NCHW")
    if kind == "average":
        return tf.nn.avg_pool(h, [1, 1, 2, 2], [1, 1, 1, 1], "SAME", "NCHW")
    if kind == "norm":
        return tf.nn.fused_batch_norm(h, weights(channels) + 1, weights(channels), data_format="NCHW")[0]
    if kind == "activation":
        return (tf.nn.relu, tf.tanh, tf.nn.elu, tf.nn.leaky_relu)[draw.integers(4)](h)
    if kind == "factors":
        return h * weights(channels, 1, 1) + weights(1, int(h.shape[2]), 1)
    if kind == "concat":
        return tf.concat([h, tf.nn.relu(h) * 2], int(draw.choice([1, 2, 3])))
    if kind == "residual":
        return h + tf.nn.conv2d(h, weights(3, 3, channels, channels), [1, 1, 1, 1], "SAME", data_format="NCHW")
    if kind == "part":
        return h[:, int(channels > 1) :, :, ::-1]
    if kind == "depthwise":
        return tf.nn.depthwise_conv2d(h, weights(3, 3, channels, draw.choice([1, 2])), [1, 1, 1, 1], "SAME", data_format="NCHW")
    if kind == "means":
        return h - tf.reduce_mean(h, [2, 3], keepdims=True)
    if kind == "border":
        return tf.pad(h, [[0, 0], [0, 0], [1, 0], [0, 2]])
    if kind == "lengths":
        return h / (0.1 + tf.reduce_sum(h * h, 1, keepdims=True))
    return tf.transpose(tf.nn.relu(tf.transpose(h, [0, 2, 3, 1]) * weights(channels)), [0, 3, 1, 2])


def results(kinds, seed, off):
    """Loss, last image and all gradients of a net."""
    draw = np.random.default_rng(seed)
    shape = [int(draw.choice([1, 2, 3, 8, 10])), *map(int, draw.integers(6, 12, 2))]
    with override(passes_off=off), tf.Graph().as_default(), tf.Session() as session:
        x = h = tf.placeholder(tf.float32, [None, *shape])
        for kind in kinds:
            h = layer(kind, h, draw)
        y = tf.reduce_mean(h, [2, 3]) if draw.integers(2) else tf.reshape(h, [-1, int(np.prod(h.shape[1:]))])
        loss = tf.reduce_mean(tf.tanh(y) * tf.cast(tf.range(int(y.shape[1])), tf.float32))
        session.run(tf.global_variables_initializer())
        gradients = tf.gradients(loss, [x, *tf.trainable_variables()])
        return session.run([loss, h, *gradients], {x: draw.standard_normal([3, *shape]).astype(np.float32)})


@given(st.lists(st.sampled_from(LAYERS), min_size=1, max_size=6), st.integers(0, 1000))
@examples(25)
def test_values_do_not_depend_on_where_the_channels_are(kinds, seed):
    moved, left = (results(["conv", *kinds], seed, off) for off in (frozenset(), frozenset(("channels",))))
    for one, other in zip(moved, left, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=2e-4 * max(1, np.abs(other).max()))
