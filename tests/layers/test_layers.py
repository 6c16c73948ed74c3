"""tf.layers: variables, names, sharing, collections, and what the layers compute."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as tf


@pytest.fixture
def session():
    with tf.Graph().as_default(), tf.Session() as s:
        yield s


def names(variables):
    return [v.name for v in variables]


def started(session):
    session.run(tf.global_variables_initializer())
    return session


def test_variables_are_called_as_tensorflow_calls_them(session) -> None:
    x = tf.placeholder(tf.float32, [None, 8, 8, 3])
    h = tf.layers.conv2d(x, 4, 3)
    h = tf.layers.batch_normalization(h, training=True)
    h = tf.layers.conv2d(h, 4, 3, name="second")
    h = tf.layers.separable_conv2d(h, 2, 3)
    tf.layers.dense(tf.layers.flatten(h), 5)
    tf.layers.dense(tf.layers.flatten(h), 5, use_bias=False)
    assert names(tf.global_variables()) == [
        "conv2d/kernel:0", "conv2d/bias:0", "batch_normalization/gamma:0", "batch_normalization/beta:0",
        "batch_normalization/moving_mean:0", "batch_normalization/moving_variance:0", "second/kernel:0", "second/bias:0",
        "separable_conv2d/depthwise_kernel:0", "separable_conv2d/pointwise_kernel:0", "separable_conv2d/bias:0",
        "dense/kernel:0", "dense/bias:0", "dense_1/kernel:0",
    ]  # fmt: skip
    assert "batch_normalization/moving_mean:0" not in names(tf.trainable_variables())


def test_reuse_shares_variables(session) -> None:
    x = tf.placeholder(tf.float32, [None, 3])
    first = tf.layers.dense(x, 4, name="d")
    second = tf.layers.dense(x, 4, name="d", reuse=True)
    layer = tf.layers.Dense(4)
    third, fourth = layer(x), layer.apply(x)
    assert names(tf.global_variables()) == ["d/kernel:0", "d/bias:0", "dense/kernel:0", "dense/bias:0"]
    found = started(session).run([first, second, third, fourth], {x: np.ones((2, 3))})
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[2], found[3])
    assert names(layer.trainable_weights) == ["dense/kernel:0", "dense/bias:0"] and layer.count_params() == 16


def test_a_second_layer_of_one_name_needs_reuse(session) -> None:
    x = tf.placeholder(tf.float32, [None, 3])
    tf.layers.dense(x, 4, name="d")
    with pytest.raises(ValueError, match="Variable d/kernel already exists, disallowed"):
        tf.layers.dense(x, 4, name="d")
    with tf.variable_scope("outer", reuse=tf.AUTO_REUSE):
        tf.layers.dense(x, 4, name="d")
        tf.layers.dense(x, 4, name="d")
    assert "outer/d/kernel:0" in names(tf.global_variables())


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_values(session, kind) -> None:
    random = np.random.RandomState(0)
    if kind == "dense":
        x, data = tf.placeholder(tf.float32, [None, 3]), random.rand(5, 3)
        y = tf.layers.dense(x, 4, "relu", bias_initializer=tf.constant_initializer(0.25))
        wanted = lambda w, b: np.maximum(data @ w + b, 0)  # noqa: E731
    else:
        x, data = tf.placeholder(tf.float32, [None, 4, 4, 3]), random.rand(5, 4, 4, 3)
        y = tf.layers.conv2d(x, 4, 1, 2, activation=tf.nn.relu, bias_initializer="ones")
        wanted = lambda w, b: np.maximum(data[:, ::2, ::2] @ w[0, 0] + b, 0)  # noqa: E731
    started(session)
    w, b = session.run(tf.trainable_variables())
    np.testing.assert_allclose(session.run(y, {x: data}), wanted(w, b), rtol=1e-5, atol=1e-6)  # the weights are drawn anew each time


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_transposed_convolution_is_the_gradient_of_the_convolution(session, padding, stride) -> None:
    x = tf.placeholder(tf.float32, [None, 4, 5, 2])
    y = tf.layers.conv2d_transpose(x, 3, 3, stride, padding=padding, use_bias=False)
    (kernel,) = tf.global_variables()
    image = tf.zeros([2, *y.shape.as_list()[1:]])
    forward = tf.nn.conv2d(image, kernel, stride, padding.upper())
    (slope,) = tf.gradients(forward, image, grad_ys=x)
    found = started(session).run([y, slope], {x: np.random.RandomState(0).rand(2, 4, 5, 2)})
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5, atol=1e-5)


def test_batch_normalization_trains_and_follows(session) -> None:
    x = tf.placeholder(tf.float32, [None, 2, 2, 3])
    training = tf.placeholder(tf.bool, [])
    layer = tf.layers.BatchNormalization(momentum=0.9)
    switched = layer(x, training=training)
    assert [op.type for op in tf.get_collection(tf.GraphKeys.UPDATE_OPS)] == ["AssignSub", "AssignSub"]
    data = np.random.RandomState(0).rand(8, 2, 2, 3).astype(np.float32) * 3
    mean, variance = data.mean((0, 1, 2)), data.var((0, 1, 2))
    started(session)
    found = session.run(switched, {x: data, training: True})
    np.testing.assert_allclose(found, (data - mean) / np.sqrt(variance + 1e-3), rtol=1e-4, atol=1e-5)
    session.run(tf.get_collection(tf.GraphKeys.UPDATE_OPS), {x: data, training: True})
    np.testing.assert_allclose(session.run(layer.moving_mean), 0.1 * mean, rtol=1e-4)
    unbiased = variance * 32 / 31
    np.testing.assert_allclose(session.run(layer.moving_variance), 0.9 + 0.1 * unbiased, rtol=1e-4)
    still = session.run([layer.moving_mean, layer.moving_variance])
    session.run(tf.get_collection(tf.GraphKeys.UPDATE_OPS), {x: data, training: False})
    np.testing.assert_allclose(session.run([layer.moving_mean, layer.moving_variance]), still)
    found = session.run(switched, {x: data, training: False})
    np.testing.assert_allclose(found, (data - still[0]) / np.sqrt(still[1] + 1e-3), rtol=1e-4, atol=1e-5)


def test_batch_normalization_of_vectors_uses_the_plain_variance(session) -> None:
    x = tf.placeholder(tf.float32, [None, 3])
    y = tf.layers.batch_normalization(x, training=True, momentum=0.5)
    data = np.random.RandomState(0).rand(8, 3).astype(np.float32)
    started(session).run([y, *tf.get_collection(tf.GraphKeys.UPDATE_OPS)], {x: data})
    moving = next(v for v in tf.global_variables() if "moving_variance" in v.name)
    np.testing.assert_allclose(session.run(moving), 0.5 + 0.5 * data.var(0), rtol=1e-4)


def test_dropout_only_while_training(session) -> None:
    x, training = tf.placeholder(tf.float32, [None, 100]), tf.placeholder(tf.bool, [])
    y = tf.layers.dropout(x, 0.25, training=training, seed=3)
    data = np.ones((20, 100), np.float32)
    np.testing.assert_array_equal(session.run(y, {x: data, training: False}), data)
    found = session.run(y, {x: data, training: True})
    assert set(np.unique(found.round(4))) == {0.0, np.float32(1.3333)} and 0.2 < (found == 0).mean() < 0.3
    assert tf.layers.dropout(x, 0.25).op.type == "Identity"


def test_poolings(session) -> None:
    x = tf.placeholder(tf.float32, [None, 4, 6, 2])
    data = np.random.RandomState(0).rand(3, 4, 6, 2).astype(np.float32)
    blocks = data.reshape(3, 2, 2, 3, 2, 2)
    np.testing.assert_allclose(session.run(tf.layers.max_pooling2d(x, 2, 2), {x: data}), blocks.max((2, 4)))
    np.testing.assert_allclose(session.run(tf.layers.average_pooling2d(x, 2, 2), {x: data}), blocks.mean((2, 4)), rtol=1e-6)
    first = tf.layers.max_pooling2d(x, 2, 2, data_format="channels_first")
    assert first.shape.as_list() == [None, 4, 3, 1]
    row = tf.placeholder(tf.float32, [None, 6, 2])
    found = session.run(tf.layers.max_pooling1d(row, 2, 2), {row: data[:, 0]})
    np.testing.assert_allclose(found, data[:, 0].reshape(3, 3, 2, 2).max(2))


def test_losses_of_regularizers_are_collected_once(session) -> None:
    x = tf.placeholder(tf.float32, [None, 3])
    layer = tf.layers.Dense(4, kernel_regularizer=lambda w: 0.5 * tf.reduce_sum(w**2), activity_regularizer=tf.reduce_sum)
    y = layer(x)
    losses = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
    assert losses == layer.losses and [l.op.name.split("/")[1] for l in losses] == ["kernel", "ActivityRegularizer"]
    data = np.ones((5, 3), np.float32)
    weights, found, outputs = started(session).run([layer.kernel, losses, y], {x: data})
    rounding = 1e-6 * np.abs(outputs).sum() / 5  # outputs of either sign may sum to nearly nothing
    np.testing.assert_allclose(found, [0.5 * (weights**2).sum(), outputs.sum() / 5], rtol=1e-5, atol=rounding)
    tf.layers.dense(x, 4, name=layer.scope_name, reuse=True, kernel_regularizer=lambda w: tf.reduce_sum(w))
    assert len(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)) == 2


REFUSED = {
    "expected min_ndim=2, found ndim=1. Full shape received: [3]": lambda: tf.layers.dense(tf.ones([3]), 2),
    "expected ndim=4, found ndim=3": lambda: tf.layers.conv2d(tf.ones([2, 3, 4]), 2, 3),
    "The last dimension of the inputs to `Dense` should be defined. Found `None`.":
        lambda: tf.layers.dense(tf.placeholder(tf.float32, [3, None]), 2),
    "The channel dimension of the inputs should be defined. Found `None`.":
        lambda: tf.layers.conv2d(tf.placeholder(tf.float32, [None] * 4), 2, 3),
    "The `kernel_size` argument must be a tuple of 2 integers. Received: (1, 2, 3)": lambda: tf.layers.Conv2D(3, (1, 2, 3)),
    "Negative dimension size caused by subtracting 5 from 3": lambda: tf.layers.conv2d(tf.ones([1, 3, 3, 1]), 2, 5),
    "Unknown activation function: reluu": lambda: tf.layers.Dense(3, "reluu"),
    "Argument `strides` must not be None.": lambda: tf.layers.MaxPooling2D(2, None),
}  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_what_does_not_fit_is_refused(session, text) -> None:
    with pytest.raises(ValueError) as raised:
        REFUSED[text]()
    assert text in str(raised.value)


def test_layers_of_ones_own(session) -> None:
    class Scaled(tf.layers.Layer):
        def build(self, input_shape):
            self.factor = self.add_weight("factor", input_shape[1:], initializer=tf.constant_initializer(2.0))
            super().build(input_shape)

        def call(self, inputs, power=1):
            return (inputs * self.factor) ** power

    x = tf.placeholder(tf.float32, [None, 3])
    layer = Scaled()
    y = layer(x, power=2)
    assert names(layer.weights) == ["scaled/factor:0"] and layer.name == "scaled_1"
    np.testing.assert_allclose(started(session).run(y, {x: np.ones((1, 3))}), [[4, 4, 4]])
