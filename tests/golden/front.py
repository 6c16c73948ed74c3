"""Programs whose graphs were recorded from TensorFlow 1.15.5 (`front_NAME.txt` beside this file).

    /path/to/tensorflow1/bin/python tests/golden/front.py       records anew

Each program gets the module `tf`. A line of a record is one operation: name, type, inputs, control inputs, shapes, types, device,
colocation.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def names(tf):
    """Scopes, default names, constants made from operands, control dependencies, fills, slices."""
    x = tf.placeholder(tf.float32, [None, 784], name="x")
    tf.placeholder("float", [None, 10])
    w = tf.Variable(tf.zeros([784, 10]))
    b = tf.Variable(tf.zeros([10]), name="b")
    keep = tf.placeholder_with_default(1.0, shape=())
    tf.placeholder_with_default(tf.zeros([2, 3]), [None, 3], name="default")
    with tf.name_scope("s"):
        a = x + 1.0
        _ = 2 * a
        c = tf.constant([1, 2, 3], name="c")
        tf.zeros([100, 100])
        tf.ones([3], tf.int32)
        with tf.name_scope("s"):
            tf.identity(a)
        with tf.name_scope("s"):
            q = tf.identity(a)
    with tf.name_scope("s"):
        tf.identity(q)
    with tf.control_dependencies([a, q]):
        r = tf.identity(b)
        _ = r + 1.0
        tf.no_op()
        tf.group(a, c)
    tf.fill([2, 3], 1.5)
    tf.zeros_like(x)
    tf.ones_like(b)
    tf.ones_like(x)
    tf.zeros_like(b, dtype=tf.int32)
    tf.convert_to_tensor([1.0, keep])
    tf.stack([x, x])
    tf.tuple([a, b])
    tf.is_variable_initialized(w)
    with tf.device("/gpu:0"):
        tf.identity(x)
    tf.stop_gradient(a)
    _ = x[:, 1:3], x[0], b[1:3]
    _ = tf.matmul(x, w) + b
    _ = x < 1.0, -x, abs(x), x**2, x / 2.0, 1.0 - x, x // 2.0, x % 2.0


def variables(tf):
    """Every way to make a variable, initialisers, assignments."""
    w = tf.Variable(tf.zeros([784, 10]))
    b = tf.Variable([1.0, 2.0], name="b")
    tf.Variable(3, trainable=False)
    tf.Variable(lambda: tf.zeros([2]), name="function")
    with tf.device("/cpu:0"):
        placed = tf.Variable([1.0, 2.0], name="placed")
    tf.assign(w, w * 2.0)
    w.assign_add(tf.ones([784, 10]))
    tf.assign_sub(b, tf.ones([2]), name="less")
    placed.assign([3.0, 4.0])
    b.read_value()
    with tf.variable_scope("v") as scope:
        v = tf.get_variable("w", [3, 4], initializer=tf.zeros_initializer)
        tf.get_variable("w1", initializer=tf.constant([1.0, 2.0]))
        with tf.variable_scope("u", reuse=tf.AUTO_REUSE):
            tf.get_variable("w2", shape=[2], initializer=tf.constant_initializer(3.0), trainable=False)
            tf.get_variable("w2", shape=[2])
        tf.get_variable("r", [2, 2], initializer=tf.ones_initializer(), regularizer=lambda t: tf.identity(t) * 0.1)
    with tf.variable_scope(scope, reuse=True):
        _ = tf.get_variable("w", [3, 4]) * 2.0
    with tf.variable_scope("v"):
        tf.identity(v)
    for _ in range(2):
        with tf.variable_scope(None, "default"):
            tf.get_variable("k", [2], tf.int32)
    tf.global_variables_initializer()
    tf.local_variables_initializer()
    tf.global_variables_initializer()


def initializers(tf):
    """The nodes that random initialisers make, with their seeds."""
    tf.set_random_seed(7)
    for number, make in enumerate(
        (
            tf.random_normal_initializer(0.5, 2.0),
            tf.random_uniform_initializer(-1.0, 1.0, seed=3),
            tf.truncated_normal_initializer(stddev=0.1),
            tf.glorot_uniform_initializer(),
            tf.glorot_normal_initializer(seed=1),
            tf.variance_scaling_initializer(2.0, "fan_in", "untruncated_normal"),
            tf.uniform_unit_scaling_initializer(1.5),
            tf.initializers.he_normal(),
            tf.initializers.lecun_uniform(),
        )
    ):
        tf.get_variable("v%d" % number, [3, 3, 4, 8], initializer=make)
    tf.get_variable("default", [5, 7])
    tf.Variable(tf.random_normal([2, 3]))
    tf.Variable(tf.truncated_normal([2, 3], stddev=0.1))
    tf.Variable(tf.random_uniform([2, 3], -1.0, 1.0))


PROGRAMS = {"names": names, "variables": variables, "initializers": initializers}


def facts(tf, program):
    """One line for each operation that `program` makes."""
    lines = []
    graph = tf.Graph()
    with graph.as_default():
        program(tf)
    for op in graph.get_operations():
        attributes = dict(op.node_def.attr)
        fields = [
            op.name,
            op.type,
            [t.name for t in op.inputs],
            sorted(c.name for c in op.control_inputs),
            [str(t.shape) for t in op.outputs],
            [t.dtype.name for t in op.outputs],
            op.device,
            [c.decode() for c in op.get_attr("_class")] if "_class" in attributes else [],
            [op.get_attr(k) for k in ("seed", "seed2") if k in attributes],
        ]
        lines.append(" | ".join(str(f) for f in fields))
    return lines


def main():
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    tf.logging.set_verbosity(tf.logging.ERROR)
    for name, program in PROGRAMS.items():
        with open(os.path.join(HERE, "front_%s.txt" % name), "w") as out:
            out.write("\n".join(facts(tf, program)) + "\n")


if __name__ == "__main__":
    sys.exit(main())
