"""Small checkpoints of both formats and a meta graph, written by real TensorFlow 1.15, and the nodes of its Savers:

    /path/to/tensorflow-1.15/bin/python tests/golden/record_checkpoints.py tests/golden/checkpoints

The values are those of `values()`.
"""

import os
import sys

import numpy as np

NUMBERS = (
    "float32", "float64", "float16", "int32", "int64", "int8", "uint8", "int16", "uint16", "bool", "complex64", "complex128",
)  # fmt: skip


def values():
    """Name -> value of every variable."""
    found = {name: np.arange(-2, 4).reshape(2, 3).astype(name) for name in NUMBERS}
    found["scalar"] = np.float32(3.25)
    found["empty"] = np.zeros((0, 4), np.float32)
    found["scope/parts"] = np.arange(21, dtype=np.float32).reshape(7, 3)
    found["string"] = np.array([b"ab", b"", b"c\x00d" * 60], object)
    found["word"] = np.array(b"alone", object)
    return found


def savers(tf):
    """Graphs with savers, by name: each gives the node list."""

    def plain():
        tf.Variable([[1.0, 2.0]], name="w")
        tf.Variable(3, name="b", dtype=tf.int64)
        tf.train.Saver()

    def sharded():
        tf.Variable([[1.0, 2.0]], name="w")
        with tf.device("/cpu:1"):
            tf.Variable(3, name="b")
        tf.train.Saver(sharded=True, reshape=True, name="zz")

    def several():
        w = tf.Variable([1.0, 2.0], name="w")
        tf.get_variable("v", [2, 3])
        tf.train.Saver({"other": w}, filename="here", restore_sequentially=True)
        tf.train.Saver([w], write_version=tf.train.SaverDef.V1)
        with tf.name_scope("scope"):
            tf.train.Saver(max_to_keep=1)

    return {"plain": plain, "sharded": sharded, "several": several}


def nodes(tf, build):
    """One line a node: name, type, inputs, control inputs, device."""
    with tf.Graph().as_default() as graph:
        build()
        lines = []
        for op in graph.get_operations():
            inputs = [t.name for t in op.inputs] + sorted("^" + c.name for c in op.control_inputs)
            lines.append("%s %s (%s) %s" % (op.name, op.type, ", ".join(inputs), op.device))
        return lines


def main(folder):
    import tensorflow as tf

    with open(os.path.join(folder, "savers.txt"), "w") as file:
        for name, build in sorted(savers(tf).items()):
            file.write("# %s\n%s\n" % (name, "\n".join(nodes(tf, build))))
    found = values()
    parts = found.pop("scope/parts")
    made = {name: tf.Variable(value, name=name) for name, value in sorted(found.items())}
    made["bfloat16"] = tf.Variable(tf.cast([1.5, 2.5], tf.bfloat16), name="bfloat16")
    with tf.variable_scope("scope", partitioner=tf.fixed_size_partitioner(3)):
        split = tf.get_variable("parts", parts.shape)
    x = tf.placeholder(tf.float32, [None, 3], name="x")
    y = tf.matmul(x, made["float32"], transpose_b=True, name="y")
    tf.add_to_collection("results", y)
    tf.add_to_collection("numbers", 7)
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        at = 0
        for part in split:
            rows = int(part.shape[0])
            part.load(parts[at : at + rows], sess)
            at += rows
        tf.train.Saver().save(sess, os.path.join(folder, "v2"), write_state=False)
        old = [v for v in tf.global_variables() if v.op.name not in ("bfloat16", "float16", "uint16", "complex128")]
        tf.train.Saver(old, write_version=tf.train.SaverDef.V1).save(
            sess, os.path.join(folder, "v1"), write_state=False, write_meta_graph=False
        )


if __name__ == "__main__":
    main(sys.argv[1])
