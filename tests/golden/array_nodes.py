"""Nodes that array, convolution and layer functions build, one line a node. Real TensorFlow 1.15 writes golden/array_nodes.txt:

    /path/to/tensorflow-1.15/bin/python tests/golden/array_nodes.py > tests/golden/array_nodes.txt
"""


def reshaping(tf):
    x = tf.placeholder(tf.float32, [None, 784], name="x")
    a = tf.reshape(x, [-1, 28, 28, 1])
    tf.reshape(a, (-1, 784))
    tf.reshape(x, [tf.shape(x)[0], 28 * 28])
    tf.reshape(x, tf.stack([tf.shape(x)[0], -1]), name="r")
    tf.transpose(a, [0, 3, 1, 2])
    tf.transpose(x)
    tf.transpose(tf.placeholder(tf.float32))
    tf.expand_dims(x, 1)
    tf.expand_dims(x, -1, name="e")
    tf.squeeze(a, [3])
    tf.squeeze(a)
    tf.shape(x), tf.shape(tf.ones([2, 3])), tf.size(x), tf.rank(x), tf.size(tf.zeros([2, 3])), tf.rank(tf.placeholder(tf.float32))
    tf.reverse(x, [1])
    tf.shape_n([x, x])
    tf.broadcast_to(x, [2, 3, 784])


def slicing(tf):
    x = tf.placeholder(tf.float32, [None, 28, 28, 3], name="x")
    i = tf.placeholder(tf.int32, [], name="i")
    x[0], x[:, 1:], x[..., 0], x[:, tf.newaxis, 2:20:3, ::-1], x[-1, 0, 0, 0], x[tf.shape(x)[0] - 1]
    x[0:2, 1:-1], x[i], x[i : i + 2], x[0][1]
    tf.slice(x, [0, 0, 0, 0], [-1, 2, 2, 3])
    tf.strided_slice(x, [0], [1])
    for mode in ("CONSTANT", "REFLECT", "symmetric"):
        tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], mode)
    tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], constant_values=1)


def joining(tf):
    x = tf.placeholder(tf.float32, [None, 4], name="x")
    y = tf.placeholder(tf.float32, [None, 8], name="y")
    tf.concat([x, y], 1)
    tf.concat([x, y], axis=-1, name="c")
    tf.concat([x], 0)
    tf.stack([x, x])
    tf.stack([x, x], axis=1)
    tf.stack([1, 2, 3])
    tf.stack([tf.constant(1), 2])
    tf.unstack(x, axis=1)
    tf.split(y, 2, 1)
    tf.split(y, [1, 2, 5], 1)
    tf.split(value=y, num_or_size_splits=4, axis=1)
    tf.tile(x, [1, 2])


def products(tf):
    x, w, b = tf.placeholder(tf.float32, [None, 784]), tf.ones([784, 10]), tf.ones([10])
    _ = tf.matmul(x, w) + b
    tf.nn.bias_add(tf.matmul(x, w), b)
    tf.nn.xw_plus_b(x, w, b)
    tf.matmul(x, tf.ones([5, 784]), transpose_b=True)
    z = tf.placeholder(tf.float32, [None, 3, 4])
    tf.matmul(z, z, transpose_b=True)
    tf.tensordot(z, tf.ones([4, 5]), [[2], [0]])
    tf.tensordot(tf.ones([2, 3]), tf.ones([3, 4]), 1)
    tf.linalg.matvec(tf.ones([2, 3]), tf.ones([3]))
    tf.einsum("bij,jk->bik", z, tf.ones([4, 5]))
    tf.einsum("ij,ij->i", tf.ones([2, 3]), tf.ones([2, 3]))


def convolutions(tf):
    x, w = tf.placeholder(tf.float32, [None, 28, 28, 1]), tf.ones([5, 5, 1, 32])
    tf.nn.conv2d(x, w, strides=[1, 1, 1, 1], padding="SAME")
    c = tf.nn.conv2d(x, w, [1, 2, 2, 1], "VALID", name="cc")
    tf.nn.conv2d(x, filters=w, strides=2, padding=[[0, 0], [1, 1], [2, 2], [0, 0]])
    tf.nn.max_pool(c, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="SAME")
    tf.nn.avg_pool(c, [1, 2, 2, 1], [1, 2, 2, 1], "VALID")
    tf.nn.max_pool2d(c, 2, 2, "VALID")
    tf.nn.max_pool1d(tf.ones([2, 8, 3]), 2, 2, "VALID")
    tf.nn.conv2d_transpose(c, w, [10, 28, 28, 1], [1, 2, 2, 1], "VALID")
    tf.nn.depthwise_conv2d(x, tf.ones([3, 3, 1, 2]), [1, 1, 1, 1], "SAME")
    tf.nn.separable_conv2d(x, tf.ones([3, 3, 1, 2]), tf.ones([1, 1, 2, 4]), [1, 1, 1, 1], "SAME")
    tf.nn.conv1d(tf.placeholder(tf.float32, [None, 10, 3]), tf.ones([3, 3, 4]), 1, "SAME")
    tf.nn.convolution(x, w, "SAME")
    tf.nn.max_pool(tf.transpose(x, [0, 3, 1, 2]), [1, 1, 2, 2], [1, 1, 2, 2], "VALID", data_format="NCHW")
    tf.nn.pool(x, [2, 2], "MAX", "SAME", strides=[2, 2])
    tf.nn.conv3d(tf.ones([1, 4, 4, 4, 2]), tf.ones([2, 2, 2, 2, 3]), [1, 1, 1, 1, 1], "SAME")
    tf.nn.lrn(x, 4)
    m, v = tf.nn.moments(x, [0])
    tf.nn.batch_normalization(x, m, v, tf.ones([1]), None, 1e-3)


def dilated_convolutions(tf):
    for x in (tf.placeholder(tf.float32, [None, 9, 8, 3]), tf.placeholder(tf.float32, [None, None, None, 3])):
        tf.nn.convolution(x, tf.ones([3, 3, 3, 4]), "SAME", dilation_rate=[2, 3])
        tf.nn.atrous_conv2d(x, tf.ones([3, 3, 3, 4]), 2, "VALID", name="a")
        tf.layers.conv2d(x, 4, 3, dilation_rate=2, padding="same", activation=tf.nn.relu)
        tf.nn.depthwise_conv2d(x, tf.ones([3, 3, 3, 2]), [1, 1, 1, 1], "SAME", rate=[2, 2])
    tf.nn.atrous_conv2d_transpose(tf.ones([2, 9, 8, 4]), tf.ones([3, 3, 5, 4]), [2, 9, 8, 5], 2, "SAME")
    tf.nn.convolution(tf.ones([2, 3, 9, 8]), tf.ones([3, 3, 3, 4]), "SAME", dilation_rate=[2, 2], data_format="NCHW")
    tf.layers.conv1d(tf.ones([2, 9, 3]), 4, 3, dilation_rate=2)
    tf.layers.conv3d(tf.ones([2, 9, 8, 7, 3]), 4, 3, dilation_rate=2)


def choosing(tf):
    x, i = tf.placeholder(tf.float32, [None, 10], name="x"), tf.placeholder(tf.int32, [None], name="i")
    tf.gather(x, i), tf.gather(x, i, axis=1), tf.gather_nd(x, tf.stack([i, i], 1))
    tf.one_hot(i, 10), tf.one_hot(i, 10, 1.0, 0.0, axis=0)
    tf.range(10), tf.range(tf.shape(x)[0]), tf.range(0, 10, 2), tf.range(0.0, 1.0, 0.1), tf.linspace(0.0, 1.0, 5)
    tf.nn.top_k(x, 3), tf.eye(3), tf.eye(3, 4), tf.eye(2, batch_shape=[3]), tf.diag([1.0, 2.0]), tf.diag_part(tf.ones([3, 3]))
    tf.matrix_band_part(tf.ones([3, 3]), -1, 0), tf.matrix_diag(tf.ones([3])), tf.trace(tf.ones([3, 3]))
    tf.sequence_mask(i, 5), tf.sequence_mask(i), tf.boolean_mask(x, tf.placeholder(tf.bool, [None])), tf.where(x > 0)
    tf.unsorted_segment_sum(x, i, 4), tf.segment_sum(x, i), tf.scatter_nd(tf.placeholder(tf.int32, [None, 1]), x, [5, 10])
    tf.cumsum(x, 1), tf.nn.embedding_lookup(tf.ones([5, 4]), i), tf.reverse_sequence(x, i, 1, 0), tf.unique(i)
    tf.space_to_depth(tf.ones([1, 4, 4, 1]), 2), tf.depth_to_space(tf.ones([1, 2, 2, 4]), 2)


def dense_layers(tf):
    x = tf.placeholder(tf.float32, [None, 784], name="x")
    h = tf.layers.dense(x, 300, activation=tf.nn.relu, name="hidden1")
    h = tf.layers.dense(h, 100, tf.nn.elu, kernel_initializer=tf.truncated_normal_initializer(stddev=0.1))
    tf.layers.dense(h, 10, use_bias=False)
    with tf.variable_scope("s"):
        tf.layers.dense(x, 4)
    with tf.variable_scope("s", reuse=True):
        tf.layers.dense(x, 4, name="dense")
    layer = tf.layers.Dense(5, name="L")
    layer(x)
    layer(x)
    tf.layers.dropout(h, 0.4, training=True)
    tf.layers.dropout(h, 0.4)
    tf.layers.flatten(tf.placeholder(tf.float32, [None, 7, 7, 64]))
    tf.layers.dense(tf.placeholder(tf.float32, [None, 5, 8]), 3)
    tf.layers.dense(x, 3, kernel_regularizer=lambda w: tf.nn.l2_loss(w), activity_regularizer=lambda y: tf.reduce_sum(y))


def convolution_layers(tf):
    x = tf.placeholder(tf.float32, [None, 28, 28, 1], name="x")
    c = tf.layers.conv2d(x, 32, [5, 5], padding="same", activation=tf.nn.relu)
    p = tf.layers.max_pooling2d(c, [2, 2], 2)
    c = tf.layers.conv2d(p, 64, 3, strides=2, name="c2")
    tf.layers.average_pooling2d(c, 2, 2)
    tf.layers.separable_conv2d(p, 8, 3)
    tf.layers.conv2d_transpose(p, 8, 3, strides=2, padding="same")
    tf.layers.conv2d_transpose(p, 8, 3, strides=2)
    s = tf.placeholder(tf.float32, [None, 10, 3])
    tf.layers.conv1d(s, 4, 3)
    tf.layers.max_pooling1d(s, 2, 2)
    tf.layers.conv2d(tf.transpose(x, [0, 3, 1, 2]), 4, 3, data_format="channels_first")


def batch_normalization_layers(tf):
    x = tf.placeholder(tf.float32, [None, 8, 8, 3], name="x")
    tf.layers.batch_normalization(x, training=True)
    tf.layers.batch_normalization(x)
    tf.layers.batch_normalization(tf.placeholder(tf.float32, [None, 10]), training=True)
    tf.layers.batch_normalization(tf.placeholder(tf.float32, [None, 10]), name="b", momentum=0.9)
    tf.layers.batch_normalization(x, training=True, scale=False, center=False)


PROGRAMS = (
    reshaping, slicing, joining, products, convolutions, dilated_convolutions, choosing, dense_layers, convolution_layers,
    batch_normalization_layers,
)  # fmt: skip


def lines(tf):
    """The nodes of every program: type, name, inputs and shapes."""
    out = []
    for program in PROGRAMS:
        out.append("# " + program.__name__)
        with tf.Graph().as_default() as graph:
            program(tf)
        for op in graph.get_operations():
            inputs = ", ".join(t.name for t in op.inputs)
            # TensorFlow says nothing about the shape of FusedBatchNormV3's sixth result, which has no meaning on a CPU.
            shapes = " ".join(str(t.shape).replace(" ", "") for t in op.outputs[:5])
            out.append("%s %s(%s) %s" % (op.type, op.name, inputs, shapes))
    return out


if __name__ == "__main__":
    import tensorflow

    print("\n".join(lines(tensorflow)))
