"""The nodes that public functions build, one line a node. Run by real TensorFlow 1.15 it writes golden/op_nodes.txt:

    /path/to/tensorflow-1.15/bin/python tests/golden/op_nodes.py > tests/golden/op_nodes.txt
"""

from __future__ import annotations


def calls(tf):
    """Calls by name; each is made in a graph of its own that holds the same placeholders."""
    nn, losses = tf.nn, tf.losses

    def places():
        return {
            "x": tf.placeholder(tf.float32, [None, 3], name="x"), "s": tf.placeholder(tf.float32, [4, 3], name="s"),
            "u": tf.placeholder(tf.float32, name="u"), "i": tf.placeholder(tf.int32, [2], name="i"),
            "b": tf.placeholder(tf.bool, [4, 3], name="b"), "labels": tf.placeholder(tf.int64, [None], name="labels"),
            "row": tf.placeholder(tf.int32, [4], name="row"), "column": tf.placeholder(tf.int32, [4, 1], name="column"),
            "w": tf.placeholder(tf.float32, [4, 1], name="w"), "k": tf.placeholder(tf.float32, [], name="k"),
        }  # fmt: skip

    made = {
        "operators": lambda p: [1 - (p["x"] * 2.0 + 1), (p["x"] / 3) ** 2, abs(-p["x"]) > 1.0, p["x"][0], p["x"][:, 1:]],
        "integer operators": lambda p: [p["i"] / 2, p["i"] // 2, p["i"] % 2, 3 - p["i"], 5 / p["i"], 7 // p["i"], 7 % p["i"], 2 ** p["i"]],
        "logical operators": lambda p: [p["b"] & p["b"], p["b"] | p["b"], p["b"] ^ p["b"], ~p["b"], tf.logical_xor(p["b"], p["b"])],
        "arithmetic": lambda p: [
            tf.add(p["x"], 1), tf.subtract(p["x"], p["x"]), tf.multiply(2.0, p["x"]), tf.div(p["i"], 2), tf.divide(p["x"], 2.0),
            tf.divide(p["x"], 2.0, name="named"), tf.maximum(p["x"], 0.5), tf.pow(p["x"], 2.0), tf.squared_difference(p["x"], 1.0),
            tf.floordiv(p["x"], 2.0), tf.mod(p["i"], 2), tf.add_n([p["x"], p["x"]]), tf.accumulate_n([p["s"], p["s"]]),
            tf.scalar_mul(2.0, p["x"]), tf.div_no_nan(p["x"], 2.0), tf.atan2(p["x"], p["x"]), tf.tanh(1.0), tf.round(p["x"]),
        ],
        "choice": lambda p: [
            tf.equal(p["x"], 0.0), tf.where(p["b"], p["s"], p["s"]), tf.cast(p["x"], tf.int32), tf.to_float(p["i"]),
            tf.saturate_cast(p["x"], tf.uint8), tf.clip_by_value(p["x"], 0.0, 1.0),
        ],
        "reductions": lambda p: [
            tf.reduce_sum(p["x"]), tf.reduce_mean(p["x"], 1), tf.reduce_max(p["x"], [0], keep_dims=True), tf.reduce_sum(p["u"]),
            tf.reduce_prod(p["x"], reduction_indices=1), tf.reduce_logsumexp(p["x"], 1), tf.reduce_all(p["b"]), tf.count_nonzero(p["x"]),
            tf.argmax(p["x"], 1), tf.argmin(p["x"]), nn.l2_loss(p["x"]), tf.norm(p["x"]), tf.norm(p["x"], axis=1), tf.cumsum(p["x"], 1),
            tf.math.reduce_std(p["x"], 0),
        ],
        "reductions of what is no tensor": lambda p: [
            tf.reduce_mean(tf.Variable(tf.zeros([2, 3]), name="v")), tf.reduce_sum([1.0, 2.0]), tf.reduce_mean(3.0),
            tf.reduce_sum(tf.get_variable("r", [2, 3], use_resource=True)), tf.reduce_max([p["s"], p["s"]]), tf.reduce_logsumexp(p["s"]),
        ],
        "moving averages": lambda p: tf.train.ExponentialMovingAverage(0.9, tf.Variable(0, trainable=False, name="step")).apply(
            [tf.Variable(tf.truncated_normal([2]), name="v"), tf.get_variable("r", [2, 3], use_resource=True)]
        ),
        "initial values that read variables": lambda p: tf.Variable(tf.Variable([1.0], name="v") * 2.0, name="w"),
        "activations": lambda p: [
            tf.sigmoid(p["x"]), nn.relu(p["x"]), nn.relu6(p["x"]), nn.leaky_relu(p["x"]), nn.crelu(p["x"]), tf.log_sigmoid(p["x"]),
            nn.softplus(p["x"]), nn.elu(p["x"]), nn.softmax(p["x"]), nn.log_softmax(p["x"]), nn.softmax(p["s"], 0),
        ],
        "softmax cross entropy": lambda p: nn.softmax_cross_entropy_with_logits(labels=p["s"], logits=p["s"]),
        "softmax cross entropy v2": lambda p: nn.softmax_cross_entropy_with_logits_v2(labels=p["x"], logits=p["x"]),
        "softmax cross entropy on axis 0": lambda p: nn.softmax_cross_entropy_with_logits_v2(labels=p["s"], logits=p["s"], axis=0),
        "sparse cross entropy of sequences": lambda p: nn.sparse_softmax_cross_entropy_with_logits(
            labels=tf.placeholder(tf.int32, [None, 5]), logits=tf.placeholder(tf.float32, [None, 5, 3])
        ),
        "sparse cross entropy": lambda p: [
            nn.sparse_softmax_cross_entropy_with_logits(labels=p["labels"], logits=p["x"]),
            nn.sparse_softmax_cross_entropy_with_logits(labels=[1, 2, 0, 1], logits=p["s"]),
        ],
        "other cross entropies": lambda p: [
            nn.sigmoid_cross_entropy_with_logits(labels=p["x"], logits=p["x"]), nn.weighted_cross_entropy_with_logits(p["x"], p["x"], 2.0),
            nn.log_poisson_loss(p["x"], p["x"], True), nn.in_top_k(p["x"], p["labels"], 2),
        ],
        "dropout": lambda p: [nn.dropout(p["x"], 0.5), nn.dropout(p["s"], rate=0.25, seed=5), nn.dropout(p["x"], p["k"])],
        "moments": lambda p: [
            nn.moments(p["x"], [0]), nn.moments(p["s"], [0, 1], keep_dims=True), nn.l2_normalize(p["x"], 1),
            nn.weighted_moments(p["x"], [0], p["x"]), nn.sufficient_statistics(p["s"], [0]),
        ],
        "clipping": lambda p: [
            tf.clip_by_norm(p["x"], 5.0), tf.clip_by_global_norm([p["x"], p["s"], None], 5.0), tf.clip_by_average_norm(p["x"], 5.0),
        ],
        "random": lambda p: [
            tf.random_normal([3, 4]), tf.random_uniform(tf.shape(p["x"]), -1, 1), tf.random_uniform([2], 0, 10, tf.int32),
            tf.truncated_normal([2, 3], stddev=0.1), tf.random_shuffle(p["x"]), tf.multinomial(p["x"], 3),
        ],
        "mean squared error": lambda p: losses.mean_squared_error(p["s"], p["s"]),
        "mean squared error of unknown size": lambda p: losses.mean_squared_error(p["x"], p["x"]),
        "mean squared error with weights": lambda p: losses.mean_squared_error(p["s"], p["s"], weights=p["w"]),
        "softmax loss": lambda p: losses.softmax_cross_entropy(p["x"], p["x"], label_smoothing=0.1),
        "sparse softmax loss": lambda p: losses.sparse_softmax_cross_entropy(p["labels"], p["x"]),
        "sparse softmax loss of a column": lambda p: losses.sparse_softmax_cross_entropy(p["column"], p["s"]),
        "sigmoid loss": lambda p: losses.sigmoid_cross_entropy(p["s"], p["s"], label_smoothing=0.1),
        "other losses": lambda p: [
            losses.absolute_difference(p["s"], p["s"], weights=0.5, reduction="weighted_sum"), losses.hinge_loss(p["s"], p["s"]),
            losses.huber_loss(p["s"], p["s"]), losses.log_loss(p["s"], p["s"]), losses.cosine_distance(p["s"], p["s"], axis=1),
            losses.mean_pairwise_squared_error(p["s"], p["s"]), losses.get_total_loss(), losses.get_regularization_loss(),
        ],
        "loss reductions": lambda p: [
            losses.compute_weighted_loss(p["s"], reduction=r)
            for r in ("none", "weighted_sum", "weighted_mean", "weighted_sum_over_batch_size", "weighted_sum_by_nonzero_weights")
        ],
    }  # fmt: skip
    return places, made


def lines(tf):
    """The nodes of every call: type, name, inputs, control inputs, and the seeds of random ops."""
    out = []
    places, made = calls(tf)
    for name, call in made.items():
        out.append(f"# {name}")
        with tf.Graph().as_default() as graph:
            tf.set_random_seed(3)
            given = places()
            call(given)
            for op in graph.get_operations()[len(given) :]:
                control = "".join(f" ^{c.name}" for c in op.control_inputs)
                seeds = f" seeds {op.get_attr('seed')} {op.get_attr('seed2')}" if "Random" in op.type or "Truncated" in op.type else ""
                out.append(f"{op.type} {op.name}({', '.join(t.name for t in op.inputs)}){control}{seeds}")
    return out


if __name__ == "__main__":
    import tensorflow

    print("\n".join(lines(tensorflow)))
