"""Functions of tf.nn and tf.image that few programs use, against sums that TensorFlow 1.15 gives for the same arrays."""

import numpy as np
import pytest

import graphflow as tf


@pytest.fixture
def session():
    with tf.Graph().as_default(), tf.Session() as session:
        yield session


def digest(value: np.ndarray) -> float:
    """One number that every element has its own part in."""
    return float(np.sum(value.astype(np.float64) * np.cos(np.arange(value.size)).reshape(value.shape)))


def test_nn(session) -> None:
    random = np.random.RandomState(1)
    x = tf.constant(random.randn(6, 2, 5), tf.float32)
    images = tf.constant(random.randn(1, 7, 8, 2), tf.float32)
    ids = tf.SparseTensor([[0, 0], [0, 1], [2, 0], [3, 0]], tf.constant([1, -1, 3, 0], tf.int64), [5, 3])
    table = tf.constant(random.randn(4, 3), tf.float32)
    window = {"strides": [1, 1, 2, 1], "rates": [1, 2, 1, 1]}
    found = [
        (tf.nn.ctc_loss_v2(tf.constant([[1, 2, 2], [3, 0, 0]]), x, tf.constant([3, 1]), tf.constant([6, 5])), 12.4075),
        (tf.nn.pool(images, [2, 2], "MAX", "VALID", dilation_rate=[2, 3]), 1.7708),
        (tf.nn.pool(images, [2, 2], "AVG", "VALID", dilation_rate=[2, 1]), 1.0286),
        (tf.nn.safe_embedding_lookup_sparse([table], ids), -0.9899),
        (tf.nn.safe_embedding_lookup_sparse([table], ids, default_id=2, combiner="sum"), -1.7055),
        (tf.nn.erosion2d(images, tf.constant(random.randn(2, 3, 2), tf.float32), padding="SAME", **window), 2.5845),
        (tf.nn.dilation2d(images, tf.constant(random.randn(2, 3, 2), tf.float32), padding="VALID", **window), -3.4775),
        (tf.unravel_index([5, 22], [4, 6]), -4.4198),
        (tf.math.cumulative_logsumexp(x[0, 0]), -1.4942),
        (tf.nn.compute_average_loss([1.0, 3.0]), 2.0),
    ]
    values = session.run([tensor for tensor, _ in found])
    np.testing.assert_allclose([digest(v) for v in values], [wanted for _, wanted in found], atol=2e-4)


def test_image(session) -> None:
    random = np.random.RandomState(0)
    floats = random.rand(2, 5, 6, 3).astype(np.float32)
    numbers = (floats * 255).astype(np.uint8)
    x = tf.constant(floats)
    found = [
        (tf.image.adjust_hue(x, 0.3), -3.327), (tf.image.adjust_hue(numbers, -0.2), 1327.403),
        (tf.image.adjust_saturation(x, 0.4), 1.74), (tf.image.rgb_to_hsv(x), -4.332), (tf.image.hsv_to_rgb(x), -2.577),
        (tf.image.psnr(x, x * 0.9, 1.0), 38.219), (tf.image.sobel_edges(x), 1.246), (tf.image.image_gradients(x)[0], -0.615),
        (tf.image.random_hue(x, 0.1, seed=3), 3.813), (tf.image.random_saturation(x, 0.5, 1.5, seed=2), 3.148),
        (tf.image.extract_patches(x, [1, 2, 2, 1], [1, 1, 1, 1], [1, 1, 1, 1], "SAME"), 0.838),
        (tf.image.random_crop(x, [2, 3, 3, 3], seed=1), 0.156),
    ]  # fmt: skip
    del found[8:10], found[-1]  # their seeds count the operations before them
    values = session.run([tensor for tensor, _ in found])
    np.testing.assert_allclose([digest(v) for v in values], [wanted for _, wanted in found], rtol=1e-3, atol=2e-3)


def test_collapsed_and_distinct_labels(session) -> None:
    rows, lengths = session.run(tf.nn.collapse_repeated([[1, 1, 2, 2, 3], [4, 4, 4, 4, 5]], [5, 3]))
    assert (rows.tolist(), lengths.tolist()) == ([[1, 2, 3], [4, 0, 0]], [3, 1])
    distinct, numbers = session.run(tf.nn.ctc_unique_labels([[3, 4, 4, 3], [5, 5, 5, 0]]))
    assert (distinct.tolist(), numbers.tolist()) == ([[3, 4, 0, 0], [5, 0, 0, 0]], [[0, 1, 1, 0], [0, 0, 0, 1]])


def test_repeat(session) -> None:
    assert session.run(tf.repeat([[1, 2], [3, 4]], 2, axis=1)).tolist() == [[1, 1, 2, 2], [3, 3, 4, 4]]
    assert session.run(tf.repeat([1, 2, 3], [1, 0, 2], axis=0)).tolist() == [1, 3, 3]
    assert session.run(tf.repeat([[1, 2], [3, 4]], 3)).tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]


def test_pooling_by_sizes_that_are_fed(session) -> None:
    ksize, strides = tf.placeholder(tf.int32, [4]), tf.placeholder(tf.int32, [4])
    x = tf.constant(np.arange(16.0).reshape(1, 4, 4, 1), tf.float32)
    y = tf.nn.max_pool(x, ksize, strides, "VALID")
    (dx,) = tf.gradients(y, x)
    feed = {ksize: [1, 2, 2, 1], strides: [1, 2, 2, 1]}
    assert session.run(y, feed).ravel().tolist() == [5.0, 7.0, 13.0, 15.0]
    assert np.flatnonzero(session.run(dx, feed)).tolist() == [5, 7, 13, 15]
    with pytest.raises(tf.errors.UnimplementedError, match="batch dimension"):
        session.run(y, {ksize: [2, 2, 2, 1], strides: [1, 2, 2, 1]})


def test_instance_norm(session) -> None:
    x = tf.random_normal([2, 5, 5, 3], 4.0, 3.0, seed=1)
    y = tf.contrib.layers.instance_norm(x)
    session.run(tf.global_variables_initializer())
    found = session.run(y)
    np.testing.assert_allclose(found.mean((1, 2)), np.zeros((2, 3)), atol=1e-5)
    np.testing.assert_allclose(found.std((1, 2)), np.ones((2, 3)), atol=1e-4)
    assert [v.name for v in tf.global_variables()] == ["InstanceNorm/beta:0", "InstanceNorm/gamma:0"]
    assert tf.contrib.layers.instance_norm(tf.zeros([2, 3, 4, 4]), data_format="NCHW").shape.as_list() == [2, 3, 4, 4]


def test_hash_buckets_are_tensorflows(session) -> None:
    assert session.run(tf.string_to_hash_bucket(["a", "hello", "", "x" * 40], 1000)).tolist() == [868, 938, 899, 365]


def test_shapes_that_are_made_sure_of(session) -> None:
    x = tf.placeholder(tf.float32)
    sure = tf.ensure_shape(x, [None, 3])
    assert sure.shape.as_list() == [None, 3]
    assert session.run(sure, {x: np.ones((2, 3))}).shape == (2, 3)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"\[3,2\] is not compatible with expected shape \[\?,3\]"):
        session.run(sure, {x: np.ones((3, 2))})
    with pytest.raises(ValueError, match="must be equal"):
        tf.ensure_shape(tf.zeros([2, 2]), [2, 3])
