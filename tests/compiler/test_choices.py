"""Where the maxima over windows are: bytes that are found with the maxima, which is all that their gradient reads."""

import numpy as np
import pytest

import graphflow as tf
from graphflow.kernel.nodes import Role

WAYS = [(2, 2, "VALID"), (2, 2, "SAME"), (3, 2, "VALID"), (3, 2, "SAME"), (3, 1, "SAME"), (2, 3, "SAME"), (3, 3, "VALID")]


def net(size, stride, padding, channels=6, data_format="NHWC", behind="conv"):
    """An activation, its maxima over windows and, `behind` them, a convolution, another activation or a sum; and gradients of all."""
    last = data_format == "NHWC"
    w = tf.Variable(np.random.RandomState(0).normal(size=(3, 3, 2, channels)).astype(np.float32))
    u = tf.Variable(np.random.RandomState(1).normal(size=(3, 3, channels, 4)).astype(np.float32))
    c = tf.Variable(np.full(channels, 0.1, np.float32))
    x = tf.placeholder(tf.float32, [None, 9, 12, 2] if last else [None, 2, 9, 12])
    h = tf.nn.conv2d(x, w, [1, 1, 1, 1], "SAME", data_format=data_format)
    h = tf.nn.relu(tf.nn.bias_add(h, c, data_format))
    ksize, strides = ([1, n, n, 1] if last else [1, 1, n, n] for n in (size, stride))
    y = tf.nn.max_pool(h, ksize, strides, padding, data_format)
    if behind == "conv":
        y = tf.nn.conv2d(y, u, [1, 1, 1, 1], "SAME", data_format=data_format)
    elif behind == "activation":
        y = tf.nn.tanh(y)
    loss = tf.reduce_sum(y * y)
    return x, h, loss, tf.gradients(loss, [w, c, h])


def image(x, batch=3):
    values = np.random.RandomState(2).randint(-3, 4, [batch, *x.shape.as_list()[1:]])  # whole numbers: many maxima are equal
    return values.astype(np.float32)


def numeric(h, size, stride, padding, behind):
    """d loss / d h of `net` without a convolution, window by window."""
    spans = []
    for n in h.shape[1:3]:
        out = -(-n // stride) if padding == "SAME" else (n - size) // stride + 1
        low = max((out - 1) * stride + size - n, 0) // 2 if padding == "SAME" else 0
        spans.append([(max(k * stride - low, 0), min(k * stride - low + size, n)) for k in range(out)])
    found = np.zeros_like(h)
    for b, c in np.ndindex(h.shape[0], h.shape[3]):
        for top, bottom in spans[0]:
            for left, right in spans[1]:
                part = h[b, top:bottom, left:right, c]
                if not part.size:
                    continue
                row, column = np.unravel_index(part.argmax(), part.shape)
                best = part.max()
                squashed = np.tanh(best)
                found[b, top + row, left + column, c] += 2 * squashed * (1 - squashed**2) if behind == "activation" else 2 * best
    return found


@pytest.mark.parametrize("behind", ["sum", "activation"])
@pytest.mark.parametrize("data_format", ["NHWC", "NCHW"])
@pytest.mark.parametrize(("size", "stride", "padding"), WAYS)
def test_the_gradient_goes_to_the_first_maximum(size, stride, padding, data_format, behind):
    x, h, _, (_, _, dh) = net(size, stride, padding, data_format=data_format, behind=behind)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        activation, found = session.run([h, dh], {x: image(x)})
    order = (0, 2, 3, 1) if data_format == "NCHW" else (0, 1, 2, 3)
    wanted = numeric(np.transpose(activation, order), size, stride, padding, behind)
    np.testing.assert_allclose(np.transpose(found, order), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("size", "stride", "padding"), WAYS)
@pytest.mark.parametrize("channels", [3, 6, 16, 33])
def test_whole_steps_agree_with_their_parts(channels, size, stride, padding):
    """Where the maxima are not asked for, the gradient finds their places by itself."""
    x, h, loss, (_, dc, dh) = net(size, stride, padding, channels)
    values = np.random.RandomState(3).normal(size=image(x).shape)  # no maxima that rounding could take from one place to another
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        together = session.run([dc, dh, loss], {x: values})
        activation, coming = session.run([h, dh], {x: values})
    np.testing.assert_allclose(together[1], coming, rtol=1e-4, atol=1e-5 * abs(coming).max())
    np.testing.assert_allclose(together[0], (coming * (activation > 0)).sum((0, 1, 2)), rtol=1e-4, atol=1e-5 * abs(coming).sum())


def kernels(fetches, feed):
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        return [s.lowered.kernel for s in session.compiled(fetches, feed).report.compiled.steps if s.lowered is not None]


@pytest.mark.parametrize("size", [2, 3])
def test_the_gradient_reads_bytes_instead_of_the_activation(size):
    x, _, loss, (dw, dc, _) = net(size, 2, "SAME")
    made = kernels([loss, dw, dc], {x: image(x)})
    choosing = [k for k in made if any(b.type == "u8" and b.role is Role.OUT for b in k.buffers)]
    assert len(choosing) == 1
    outputs = [b.shape[1:3] for b in choosing[0].buffers if b.role is Role.OUT]
    assert len(outputs) == 2  # the maxima, where a border is put around them with that, and their places
    assert outputs[0] in ((5, 6), (7, 8))
    activation = [k for k in made if any(b.role is Role.IN and b.type == "f32" and b.shape[1:] == (9, 12, 6) for b in k.buffers)]
    readers = [k for k in activation if k is not choosing[0]]
    assert len(readers) <= 1  # what multiplies by the gradient of the activation, which has its shape


def test_a_maximum_that_is_not_taken_is_found_by_the_gradient():
    """Then nothing is kept."""
    x = tf.placeholder(tf.float32, [None, 8, 8, 16])
    dy = tf.placeholder(tf.float32, [None, 4, 4, 16])
    y = tf.nn.max_pool(x, [1, 2, 2, 1], [1, 2, 2, 1], "VALID")
    (dx,) = tf.gradients(y, x, dy)
    made = kernels(dx, {x: np.zeros((2, 8, 8, 16), np.float32), dy: np.ones((2, 4, 4, 16), np.float32)})
    assert len(made) == 1
    assert {b.type for b in made[0].buffers} == {"f32"}


def test_nan_and_infinities_stay_where_the_plain_ops_put_them():
    x = tf.placeholder(tf.float32, [1, 2, 6, 1])
    h = tf.nn.relu(x)
    y = tf.nn.max_pool(h, [1, 2, 2, 1], [1, 2, 2, 1], "VALID")
    (dx,) = tf.gradients(tf.reduce_sum(y), x)
    values = np.array([[np.nan, 1, np.inf, -1, -np.inf, -2], [2, 3, 5, np.inf, -3, -np.inf]], np.float32).reshape(1, 2, 6, 1)
    with tf.Session() as session:
        together, _ = session.run([dx, y], {x: values})
        alone = session.run(dx, {x: values})
    np.testing.assert_array_equal(together, alone)
    assert together[0, 0, 2, 0] == 1
    assert not together[0, :, 4:].any()  # nothing above zero
    assert not together[0, :, :2].any()  # the first place is that of what is no number, and that is not above zero


def test_large_windows_are_numbered_by_more_than_a_byte():
    x = tf.placeholder(tf.float32, [None, 300, 1, 2])
    y = tf.nn.max_pool(x, [1, 280, 1, 1], [1, 7, 1, 1], "VALID")
    (dx,) = tf.gradients(tf.reduce_sum(y * y), x)
    values = np.random.RandomState(0).normal(size=(2, 300, 1, 2)).astype(np.float32)
    values[0, 279, 0, 0] = values[1, 270, 0, 1] = 9
    with tf.Session() as session:
        _, found = session.run([y, dx], {x: values})
    wanted = np.zeros_like(values)
    for b, start, c in np.ndindex(2, 3, 2):
        part = values[b, start * 7 : start * 7 + 280, 0, c]
        wanted[b, start * 7 + part.argmax(), 0, c] += 2 * part.max()
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
