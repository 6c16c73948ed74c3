"""Array ops in sessions: run-time sizes, sizes that depend on data, and what a wrong run says."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as tf

DATA = np.arange(12, dtype=np.float32).reshape(4, 3)


@pytest.fixture
def session():
    with tf.Graph().as_default(), tf.Session() as s:
        yield s


@pytest.fixture
def x(session):
    return tf.placeholder(tf.float32, [None, 3])


@pytest.mark.parametrize(
    "key",
    [
        0, -1, slice(1, None), slice(None, None, -1), slice(1, 100), slice(-3, -1), slice(9, None), (slice(None), 1), (Ellipsis, 0),
        (None, 2), (slice(None, None, 2), slice(None, 0, -1)), (1, 2), (slice(2, 1),),
    ],
)  # fmt: skip
@pytest.mark.parametrize("rows", [3, 4])
def test_indexing_is_numpys(session, x, key, rows) -> None:
    data = DATA[:rows]
    found = session.run(x[key], {x: data})
    np.testing.assert_array_equal(found, data[key])
    assert np.shape(found) == data[key].shape


def test_indices_may_be_tensors(session, x) -> None:
    i = tf.placeholder(tf.int32, [])
    for at in (0, 2, 1):
        np.testing.assert_array_equal(session.run(x[i], {x: DATA, i: at}), DATA[at])
        np.testing.assert_array_equal(session.run(x[i : i + 2], {x: DATA, i: at}), DATA[at : at + 2])


WRONG = {
    "slice index 4 of dimension 0 out of bounds": lambda x: x[4],
    "slice index -5 of dimension 0 out of bounds": lambda x: x[-5],
    "Expected size[0] in [0, 4], but got 5": lambda x: tf.slice(x, [0, 0], [5, 1]),
    "Dimension size must be evenly divisible by 5 but is 12": lambda x: tf.reshape(x, [-1, 5]),
    "Cannot reshape a tensor with 12 elements to shape [5,3] (15 elements)": lambda x: tf.reshape(x, [5, 3]),
    "Number of ways to split should evenly divide the split dimension, but got split_dim 0 (size = 4)": lambda x: tf.split(x, 3, 0),
    "Determined shape must either match input shape": lambda x: tf.split(x, [1, 2], 0),
    "Can not squeeze dim[0], expected a dimension of 1, got 4": lambda x: tf.squeeze(x, [0]),
    "paddings must be less than the dimension size: 4, 0 vs 4": lambda x: tf.pad(x, [[4, 0], [0, 0]], "REFLECT"),
    "Dimensions must be equal, but are 3 and 4": lambda x: tf.matmul(x, x),
    "indices[1] = 4 is not in [0, 4)": lambda x: tf.gather(x, [0, 4]),
    "input must have last dimension >= k = 5 but is 4": lambda x: tf.nn.top_k(tf.transpose(x), 5),
}


@pytest.mark.parametrize("text", WRONG)
def test_wrong_sizes_are_refused_and_the_session_goes_on(session, x, text) -> None:
    result = WRONG[text](x)
    with pytest.raises(tf.errors.InvalidArgumentError) as raised:
        session.run(result, {x: DATA})
    assert text in str(raised.value)
    assert session.run(tf.reduce_sum(x), {x: DATA}) == DATA.sum()


@pytest.mark.parametrize("key", ["a", 1.5, [0.5], np.array([1, 2])])
def test_what_is_no_index_is_refused(x, key) -> None:
    with pytest.raises(TypeError, match="Only integers, slices"):
        x[key]


def test_shapes_of_run_time_sizes(session, x) -> None:
    shape = tf.shape(x)
    target = tf.reshape(x, [shape[0] * 3, 1])
    assert target.shape.as_list() == [None, 1]
    for rows in (4, 2):
        assert session.run([shape, tf.size(x), tf.rank(x), target], {x: DATA[:rows]})[:3] == [pytest.approx([rows, 3]), rows * 3, 2]
        assert session.run(target, {x: DATA[:rows]}).shape == (rows * 3, 1)
        np.testing.assert_array_equal(session.run(tf.range(shape[0]), {x: DATA[:rows]}), np.arange(rows))
        np.testing.assert_array_equal(session.run(tf.tile(x[:, :1], [2, shape[0]]), {x: DATA[:rows]}), np.tile(DATA[:rows, :1], [2, rows]))


def test_masks(session, x) -> None:
    rows, elements, places = tf.boolean_mask(x, x[:, 0] > 2), x[x > 4], tf.where(x > 4)
    for data in (DATA, DATA[::-1], -DATA):
        np.testing.assert_array_equal(session.run(rows, {x: data}), data[data[:, 0] > 2])
        np.testing.assert_array_equal(session.run(elements, {x: data}), data[data > 4])
        np.testing.assert_array_equal(session.run(places, {x: data}), np.argwhere(data > 4))
        np.testing.assert_allclose(session.run(tf.reduce_sum(rows, 0), {x: data}), data[data[:, 0] > 2].sum(0))


def test_gradient_through_a_mask(session, x) -> None:
    (slope,) = tf.gradients(tf.reduce_sum(tf.boolean_mask(x, x[:, 0] > 2) ** 2), x)
    found = session.run(tf.convert_to_tensor(slope), {x: DATA})
    np.testing.assert_allclose(found, np.where(DATA[:, :1] > 2, 2 * DATA, 0))


def test_unique_is_in_order_of_appearance(session) -> None:
    i = tf.placeholder(tf.int32, [None])
    values, places, counts = tf.unique_with_counts(i)
    found = session.run([values, places, counts], {i: [7, 1, 7, 5, 1, 7]})
    assert [f.tolist() for f in found] == [[7, 1, 5], [0, 1, 0, 2, 1, 0], [3, 2, 1]]
    assert session.run(tf.unique(i).y, {i: []}).shape == (0,)


def test_segments_whose_number_depends_on_data(session, x) -> None:
    i = tf.placeholder(tf.int32, [None])
    sums, means = tf.segment_sum(x, i), tf.segment_mean(x, i)
    np.testing.assert_allclose(session.run(sums, {x: DATA, i: [0, 0, 2, 2]}), [DATA[:2].sum(0), np.zeros(3), DATA[2:].sum(0)])
    np.testing.assert_allclose(session.run(means, {x: DATA, i: [0, 0, 0, 1]}), [DATA[:3].mean(0), DATA[3]])


def test_gather_has_a_sparse_gradient(session) -> None:
    table = tf.Variable(np.ones((5, 2), np.float32))
    ids = tf.placeholder(tf.int32, [None])
    loss = tf.reduce_sum(tf.gather(table, ids) * 3.0)
    (slope,) = tf.gradients(loss, table)
    assert isinstance(slope, tf.IndexedSlices)
    step = tf.train.GradientDescentOptimizer(1.0).minimize(loss)
    session.run(tf.global_variables_initializer())
    session.run(step, {ids: [1, 3, 1]})
    np.testing.assert_allclose(session.run(table)[:, 0], [1, -5, 1, -2, 1])


@pytest.mark.parametrize("strategy", ["mod", "div"])
def test_a_table_in_parts(session, strategy) -> None:
    whole = np.arange(14, dtype=np.float32).reshape(7, 2)
    parts = [whole[k::3] for k in range(3)] if strategy == "mod" else [whole[:3], whole[3:5], whole[5:]]
    ids = np.array([[0, 6], [3, 4], [2, 5]])
    found = session.run(tf.nn.embedding_lookup([tf.constant(p) for p in parts], ids, partition_strategy=strategy))
    np.testing.assert_array_equal(found, whole[ids])


def test_einsum_and_tensordot_are_numpys(session, x) -> None:
    cube = tf.placeholder(tf.float32, [None, 3, 2])
    data = np.random.RandomState(0).rand(4, 3, 2).astype(np.float32)
    feed = {x: DATA, cube: data}
    for equation, tensors, arrays in (
        ("ij,kj->ik", (x, x), (DATA, DATA)), ("ij,ijk->ik", (x, cube), (DATA, data)), ("ijk->kj", (cube,), (data,)),
        ("ijk,lj,lj->ik", (cube, x, x), (data, DATA, DATA)), ("...j,j->...", (x, tf.ones([3])), (DATA, np.ones(3))),
    ):  # fmt: skip
        found = session.run(tf.einsum(equation, *tensors), feed)
        np.testing.assert_allclose(found, np.einsum(equation, *arrays), rtol=1e-5, err_msg=equation)
    np.testing.assert_allclose(session.run(tf.tensordot(cube, x, [[1], [1]]), feed), np.tensordot(data, DATA, [[1], [1]]), rtol=1e-5)
    np.testing.assert_allclose(session.run(tf.tensordot(x, cube[0], 1), feed), np.tensordot(DATA, data[0], 1), rtol=1e-5)


def test_sequence_masks_and_grids(session) -> None:
    lengths = tf.placeholder(tf.int32, [None])
    np.testing.assert_array_equal(session.run(tf.sequence_mask(lengths), {lengths: [1, 3]}), [[1, 0, 0], [1, 1, 1]])
    for indexing in ("xy", "ij"):
        found = session.run(tf.meshgrid([1, 2], [3, 4, 5], indexing=indexing))
        np.testing.assert_array_equal(found, np.meshgrid([1, 2], [3, 4, 5], indexing=indexing))


def test_the_first_of_equal_maxima_gets_the_gradient(session) -> None:
    images = tf.placeholder(tf.float32, [None, 3, 3, 1])
    apart = tf.gradients(tf.nn.max_pool(images, 2, 2, "SAME"), images)[0]
    overlapping = tf.gradients(tf.nn.max_pool(images, 3, 1, "SAME"), images)[0]
    found = session.run([apart, overlapping], {images: np.ones((2, 3, 3, 1))})
    np.testing.assert_array_equal(found[0][1, :, :, 0], [[1, 0, 1], [0, 0, 0], [1, 0, 1]])
    np.testing.assert_array_equal(found[1][0, :, :, 0], [[4, 2, 0], [2, 1, 0], [0, 0, 0]])


@pytest.mark.parametrize("height, width", [(4, 5), (7, 3), (2, 2)])
def test_images_of_run_time_size(session, height, width) -> None:
    images = tf.placeholder(tf.float32, [None, None, None, 2])
    data = np.random.RandomState(1).rand(2, height, width, 2).astype(np.float32)
    y = tf.nn.conv2d(images, tf.ones([3, 3, 2, 1]), 2, "SAME")
    low = [((-(-n // 2) - 1) * 2 + 3 - n) // 2 for n in (height, width)]
    padded = np.pad(data.sum(-1), [(0, 0), (low[0], 3), (low[1], 3)])
    wanted = [[padded[:, i : i + 3, j : j + 3].sum((1, 2)) for j in range(0, width, 2)] for i in range(0, height, 2)]
    np.testing.assert_allclose(session.run(y, {images: data})[..., 0], np.transpose(wanted, (2, 0, 1)), rtol=1e-5)
    slope = tf.gradients(tf.nn.avg_pool(images, 2, 2, "SAME"), images)[0]
    assert session.run(tf.reduce_sum(slope), {images: data}) == pytest.approx(2 * 2 * -(-height // 2) * -(-width // 2))


def test_what_python_gives_with_strides_is_read_as_it_is(session) -> None:
    # np.argwhere gives a transposed array: what is computed of it natively must see the same elements
    x = tf.placeholder(tf.bool, [2, 3])
    mask = np.array([[True, True, True], [True, False, False]])
    np.testing.assert_array_equal(session.run(tf.where(x) * 2, {x: mask}), 2 * np.argwhere(mask))
    filled = tf.scatter_nd(tf.where(x), [1, 2, 3, 4], tf.constant([2, 3], tf.int64))
    np.testing.assert_array_equal(session.run(filled, {x: mask}), [[1, 2, 3], [4, 0, 0]])
