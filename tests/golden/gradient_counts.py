"""For how many operations `tf.gradients` counts, by function and by what is known of the shapes. Real TensorFlow 1.15 writes
golden/gradient_counts.txt, one line a function: how far the number of operations goes on, with known shapes, with an unknown batch and with
unknown ranks ("-": TensorFlow refuses).

    /path/to/tensorflow-1.15/bin/python tests/golden/gradient_counts.py > tests/golden/gradient_counts.txt

Seeds of random ops that are made afterwards come from these numbers.
"""

import functools

BATCH = 4  # what is unknown in the second column


MATH = "abs square sqrt rsqrt exp log log1p tanh sigmoid erf sin asinh acosh sign reciprocal lgamma"
NN = "relu relu6 elu selu softplus softsign leaky_relu crelu softmax log_softmax l2_loss lrn"
BINARY = "add subtract multiply divide pow maximum minimum squared_difference floormod divide_no_nan xdivy xlogy igamma zeta"


def _unary(tf):
    for name in MATH.split():
        yield name, [[4, 6]], getattr(tf.math, name)
    for name in NN.split():
        yield "nn." + name, [[4, 6, 5, 3]], getattr(tf.nn, name)


def _binary(tf):
    shapes = {"same": ([4, 6], [4, 6]), "row": ([4, 6], [6]), "scalar": ([], [4, 6]), "column": ([4, 6], [4, 1]), "outer": ([4, 1], [1, 6])}
    for name in BINARY.split():
        for label, dims in shapes.items():
            yield f"{name} {label}", dims, getattr(tf.math, name)
    yield "atan2", ([4, 6], [4, 6]), tf.math.atan2
    yield "constant operand", [[4, 6]], lambda x: 2.0 * x + 1.0


def _reductions(tf):
    for name in ("sum", "mean", "max", "prod", "logsumexp"):
        function = getattr(tf, "reduce_" + name)
        for axis in (None, 0, -1, [0, 1]):
            for keep in (False, True):
                yield f"reduce_{name} {axis} {keep}", [[4, 6]], functools.partial(function, axis=axis, keepdims=keep)
    yield "shapes noted", [[4, 6]], lambda x: tf.reduce_sum(x * x[0], 0) + tf.reduce_sum(x * x[1], 0)
    yield "moments", [[4, 6]], lambda x: sum(tf.nn.moments(x, [0]))
    yield "l2_normalize", [[4, 6]], lambda x: tf.nn.l2_normalize(x, 1)


def _arrays(tf):
    one = [[4, 6]]
    yield "concat", [[4, 6], [4, 5]], lambda x, y: tf.concat([x, y, x], -1)
    yield "stack", [[4, 6], [4, 6]], lambda x, y: tf.stack([x, y])
    yield "unstack", one, lambda x: tf.unstack(x, 6, 1)[2]
    yield "split", one, lambda x: tf.split(x, 2, 1)[0]
    yield "slice", one, lambda x: x[:, 1:3]
    yield "gather", one, lambda x: tf.gather(x, [1, 2])
    yield "gather_nd", one, lambda x: tf.gather_nd(x, [[1, 2]])
    yield "where", [[4, 6], [4, 6]], lambda x, y: tf.where(x > 0, x, y)
    yield "where_v2", [[4, 6], [6]], lambda x, y: tf.where_v2(x > 0, x, y)
    yield "reshape", one, lambda x: tf.reshape(x, [-1])
    yield "transpose", one, lambda x: tf.transpose(x, [1, 0])
    yield "pad", one, lambda x: tf.pad(x, [[1, 1], [0, 2]])
    yield "cumsum", one, lambda x: tf.cumsum(x, 1)
    yield "fill", [[]], lambda x: tf.fill([2, 3], x)
    yield "trace", [[4, 4]], tf.trace
    yield "segment_mean", one, lambda x: tf.segment_mean(x, [0, 0, 1, 1])
    yield "unsorted_segment_sum", one, lambda x: tf.unsorted_segment_sum(x, [0, 0, 1, 1], 3)
    yield "clip_by_value", one, lambda x: tf.clip_by_value(x, -1.0, 1.0)
    yield "clip_by_norm", one, lambda x: tf.clip_by_norm(x, 1.0)
    yield "cond", one, lambda x: tf.cond(tf.placeholder(tf.bool, []), lambda: x * 2, lambda: tf.square(x))


def _nets(tf):
    image = [[4, 6, 5, 3]]
    yield "matmul", [[4, 6], [6, 3]], tf.matmul
    yield "batch matmul", [[4, 6, 6], [4, 6, 6]], tf.matmul
    yield "tensordot", [[4, 6, 5], [5, 3]], lambda x, y: tf.tensordot(x, y, 1)
    yield "bias_add", [[4, 6], [6]], tf.nn.bias_add
    yield "embedding_lookup", [[9, 6]], lambda x: tf.nn.embedding_lookup(x, tf.placeholder(tf.int32, [None, 5]))
    yield "conv2d", [*image, [3, 3, 3, 4]], lambda x, w: tf.nn.conv2d(x, w, [1, 2, 2, 1], "SAME")
    yield "max_pool", image, lambda x: tf.nn.max_pool(x, [1, 2, 2, 1], [1, 2, 2, 1], "SAME")
    yield "dropout", [[4, 6]], lambda x: tf.nn.dropout(x, tf.placeholder(tf.float32))
    yield "batch_normalization", [[4, 6]], lambda x: tf.layers.batch_normalization(x, training=tf.placeholder(tf.bool))
    yield "resize_bilinear", image, lambda x: tf.image.resize_bilinear(x, [12, 10])
    yield "resize_nearest_neighbor", image, lambda x: tf.image.resize_nearest_neighbor(x, [12, 10])
    for name in ("mean_squared_error", "log_loss", "huber_loss", "sigmoid_cross_entropy", "softmax_cross_entropy"):
        yield name, [[4, 6], [4, 6]], getattr(tf.losses, name)
    for cell in ("BasicRNNCell", "BasicLSTMCell", "GRUCell"):
        yield cell, [[4, 6, 5]], functools.partial(_unrolled, tf, cell)
        yield "dynamic " + cell, [[4, 6, 5]], functools.partial(_dynamic, tf, cell)
    yield "while_loop", [[4, 6], [6, 6]], functools.partial(_loop, tf)


def _unrolled(tf, cell, x):
    return tf.nn.static_rnn(getattr(tf.nn.rnn_cell, cell)(3), tf.unstack(x, 6, 1), dtype=tf.float32)[0][-1]


def _dynamic(tf, cell, x):
    lengths = tf.placeholder(tf.int32, [None])
    return tf.nn.dynamic_rnn(getattr(tf.nn.rnn_cell, cell)(3), x, sequence_length=lengths, dtype=tf.float32)[0]


def _loop(tf, x, w):
    x.set_shape([None, 6]), w.set_shape([6, 6])
    return tf.while_loop(lambda i, a: i < 3, lambda i, a: (i + 1, tf.tanh(tf.matmul(a, w))), [0, x])[1]


def _placeholder(tf, mode, dims):
    if mode == "unknown":
        return tf.placeholder(tf.float32, None)
    return tf.placeholder(tf.float32, [None if mode == "batch" and axis == 0 and d == BATCH else d for axis, d in enumerate(dims)])


def count(tf, mode, dims, function):
    """By how much the number of operations grows when `function` of placeholders is differentiated; "-" where it cannot be."""
    with tf.Graph().as_default() as graph:
        try:
            xs = [_placeholder(tf, mode, d) for d in dims]
            y = function(*xs)
            before = graph._last_id
            tf.gradients(y, xs + tf.trainable_variables())
        except (ValueError, TypeError, LookupError):
            return "-"
        return str(graph._last_id - before)


GROUPS = {"unary": _unary, "binary": _binary, "reductions": _reductions, "arrays": _arrays, "nets": _nets}


def lines(tf, group):
    """"function: known batch unknown" for each function of a group."""
    for name, dims, function in GROUPS[group](tf):
        yield f"{name}: " + " ".join(count(tf, mode, dims, function) for mode in ("known", "batch", "unknown"))


if __name__ == "__main__":
    import tensorflow

    for group in GROUPS:
        print("\n".join([f"# {group}", *lines(tensorflow, group)]))
