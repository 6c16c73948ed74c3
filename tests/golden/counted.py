"""Programs on the rows that a mask keeps, of which there may be none, and what real TensorFlow 1.15 computes for them.

    TF1/bin/python tests/golden/counted.py tests/golden/counted.npz
"""

import sys
from collections import namedtuple

import numpy as np

MASKS = ([True, False, True], [False, False, False], [False, True, False])
X = np.random.RandomState(0).randn(3, 6).astype(np.float32)
IMAGES = np.random.RandomState(1).randn(3, 5, 5, 2).astype(np.float32)
NUMBERS = np.array([0, 1, 2], np.int32)
W = np.arange(24, dtype=np.float32).reshape(6, 4) / 24
FILTERS = np.random.RandomState(2).randn(3, 3, 2, 4).astype(np.float32)

Kept = namedtuple("Kept", "x i images")  # of X, NUMBERS and IMAGES
CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


@case
def sums(tf, kept):
    x = kept.x
    named = [tf.reduce_sum, tf.reduce_mean, tf.reduce_max, tf.reduce_min, tf.reduce_prod, tf.reduce_logsumexp]
    flags = [tf.reduce_any(x > 0, 0), tf.reduce_all(x > 0), tf.reduce_any(x > 0, 1)]
    return [r(x, axis) for r in named for axis in (None, 0, 1)] + flags + [tf.nn.l2_loss(x), tf.norm(x), tf.global_norm([x, x[:, 0]])]


@case
def normalized(tf, kept):
    x = kept.x
    return [tf.nn.softmax(x), tf.nn.softmax(x, axis=0), tf.nn.log_softmax(x), tf.nn.l2_normalize(x, 1), tf.nn.moments(x, [0])[1],
            tf.clip_by_norm(x, 1.0), tf.nn.top_k(x, 2)[0], tf.argmax(x, 1), tf.argmin(x, 1)]  # fmt: skip


@case
def losses(tf, kept):
    x, i = kept.x, kept.i
    return [tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels=x, logits=x)), tf.losses.huber_loss(x, x + 1),
            tf.losses.mean_squared_error(x, x + 1), tf.losses.sparse_softmax_cross_entropy(i, x), tf.math.in_top_k(x, i, 2),
            tf.math.confusion_matrix(i, i, 3)]  # fmt: skip


@case
def products(tf, kept):
    x = kept.x
    w = tf.constant(W)
    y = tf.matmul(x, w)
    return [y, tf.matmul(x, x, transpose_a=True), tf.matmul(x, x, transpose_b=True), tf.reduce_sum(tf.nn.relu(y + 1), 0),
            tf.matmul(x[tf.newaxis], x[tf.newaxis], transpose_a=True), tf.matmul(tf.reshape(x, [-1, 2, 3]), tf.reshape(x, [-1, 3, 2])),
            tf.einsum("ni,nj->ij", x, x), tf.tensordot(x, x, [[0], [0]]), tf.matmul(tf.reduce_sum(x, 0, keepdims=True), w),
            *tf.gradients(tf.reduce_sum(tf.square(y)), [w, x]), *tf.gradients(tf.reduce_mean(tf.square(y)), w)]  # fmt: skip


@case
def wide_products(tf, kept):
    """Sums over the rows in blocks: results too many to wait in registers."""
    wide = tf.tile(kept.x, [1, 100])
    return [tf.reduce_sum(tf.matmul(wide, wide[:, :80], transpose_a=True) + 1, 0)]


@case
def convolutions(tf, kept):
    images, filters = kept.images, tf.constant(FILTERS)
    strided = tf.nn.conv2d(images, filters, [1, 2, 2, 1], "SAME")
    pooled = tf.nn.avg_pool(images, [1, 2, 2, 1], [1, 2, 2, 1], "SAME")
    return [tf.nn.conv2d(images, filters, [1, 1, 1, 1], "SAME"), strided, *tf.gradients(strided, [filters, images]),
            *tf.gradients(tf.nn.conv2d(images, filters, [1, 1, 1, 1], "VALID"), [filters, images]), pooled, *tf.gradients(pooled, images),
            tf.nn.max_pool(images, [1, 2, 2, 1], [1, 2, 2, 1], "SAME"), tf.nn.depthwise_conv2d(images, filters, [1, 1, 1, 1], "SAME"),
            tf.image.resize_bilinear(images, [2, 2])]  # fmt: skip


@case
def arranged(tf, kept):
    x, i = kept.x, kept.i
    return [tf.concat([x, tf.ones([2, 6])], 0), tf.stack([x, x]), tf.tile(x, [2, 1]), tf.pad(x, [[1, 1], [0, 0]]), tf.reverse(x, [0]),
            tf.transpose(x), tf.reshape(x, [-1, 3]), tf.split(x, 2, 1)[0], x[:1], x[::2, 1:3], tf.size(x), tf.shape(x), tf.cumsum(x, 0),
            tf.cumprod(x, 1), tf.sort(x[:, 0]), tf.argsort(x[:, 0]), tf.range(tf.shape(x)[0]), tf.sequence_mask(i, 5)]  # fmt: skip


@case
def by_number(tf, kept):
    x, i = kept.x, kept.i
    w = tf.constant(W)
    taken = tf.gather(w, i)
    return [taken, tf.convert_to_tensor(tf.gradients(taken, w)[0]), tf.scatter_nd(i[:, tf.newaxis], x, [3, 6]), tf.segment_sum(x, i),
            tf.unsorted_segment_sum(x, i, 3), tf.unsorted_segment_mean(x, i, 3), tf.unsorted_segment_max(x, i, 3),
            tf.reduce_sum(tf.one_hot(i, 4), 0), tf.unique(i)[0], tf.unique_with_counts(i)[2], tf.where(x > 0),
            tf.bincount(i, minlength=3, maxlength=3), tf.dynamic_partition(x, i, 3)[0]]  # fmt: skip


@case
def loops(tf, kept):
    x = kept.x
    walked = tf.while_loop(lambda k, a: k < tf.shape(x)[0], lambda k, a: (k + 1, a + x[k]), [0, tf.zeros([6])])[1]
    return [tf.map_fn(lambda r: r * 2, x), tf.scan(lambda a, r: a + r, x, initializer=tf.zeros([6])), walked,
            tf.cond(tf.equal(tf.size(x), 0), lambda: tf.constant(7.0), lambda: tf.reduce_sum(x))]  # fmt: skip


def results(tf, name):
    """What a program's fetches are for each mask."""
    with tf.Graph().as_default():
        mask = tf.placeholder(tf.bool, [None])
        given = {tf.placeholder(a.dtype, [None] + list(a.shape[1:])): a for a in (X, NUMBERS, IMAGES)}
        fetches = CASES[name](tf, Kept(*[tf.boolean_mask(fed, mask) for fed in given]))
        with tf.Session() as session:
            runs = []
            for chosen in MASKS:
                feed = dict(given)
                feed[mask] = chosen
                runs.append(session.run(fetches, feed))
            return [np.asarray(value) for run in runs for value in run]


if __name__ == "__main__":
    import tensorflow

    np.savez_compressed(sys.argv[1], **{f"{name}/{k}": v for name in CASES for k, v in enumerate(results(tensorflow, name))})
