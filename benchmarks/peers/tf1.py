"""The workloads as TensorFlow 1.x programs: runs under graphflow, TensorFlow 1.15 and TensorFlow 2 (compat.v1)."""

from __future__ import annotations

import os
from typing import Any


def load(implementation: str) -> Any:
    """The module that plays `tf`."""
    if implementation == "graphflow":
        import graphflow

        return graphflow
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if implementation == "tensorflow-xla":
        os.environ["TF_XLA_FLAGS"] = "--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit"
    import tensorflow.compat.v1 as tf

    tf.disable_v2_behavior()
    return tf


def lstm_cell(tf: Any, units: int) -> Any:
    """tf.nn.rnn_cell.BasicLSTMCell; where there is none (TensorFlow 2 with Keras 3), its equations in the form dynamic_rnn asks for."""
    try:
        return tf.nn.rnn_cell.BasicLSTMCell(units)
    except AttributeError:
        pass

    class Cell:
        state_size = (units, units)
        output_size = units

        def zero_state(self, batch: Any, dtype: Any) -> Any:
            return tf.zeros([batch, units], dtype), tf.zeros([batch, units], dtype)

        def __call__(self, x: Any, state: Any, scope: Any = None) -> Any:
            w = tf.get_variable("kernel", [x.shape[-1] + units, 4 * units])
            b = tf.get_variable("bias", [4 * units], initializer=tf.zeros_initializer())
            c, h = state
            i, j, f, o = tf.split(tf.matmul(tf.concat([x, h], 1), w) + b, 4, 1)
            c = c * tf.sigmoid(f + 1.0) + tf.sigmoid(i) * tf.tanh(j)
            h = tf.tanh(c) * tf.sigmoid(o)
            return h, (c, h)

    return Cell()


def build(tf: Any, name: str) -> Any:
    """(x, y, loss, optimizer); y takes class numbers."""
    x = tf.placeholder(tf.float32, [None, 3072 if name == "cifarcnn" else 784])
    y = tf.placeholder(tf.int64, [None])
    optimizer = tf.train.GradientDescentOptimizer(0.5 if name == "softmax" else 0.05)
    penalty = 0.0

    def weights(*shape: int) -> Any:
        return tf.Variable(tf.truncated_normal(shape, stddev=0.1)), tf.Variable(tf.zeros([shape[-1]]))

    def dense(h: Any, width: int, activation: Any = None) -> Any:
        w, b = weights(h.shape[-1].value, width)
        out = tf.matmul(h, w) + b
        return activation(out) if activation else out

    def conv(h: Any, size: int, channels: int, padding: str) -> Any:
        w, b = weights(size, size, h.shape[-1].value, channels)
        out = tf.nn.relu(tf.nn.conv2d(h, w, strides=[1, 1, 1, 1], padding=padding) + b)
        return tf.nn.max_pool(out, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="SAME")

    def normalise(h: Any) -> Any:
        n = h.shape[-1].value
        gamma, beta = tf.Variable(tf.ones([n])), tf.Variable(tf.zeros([n]))
        mean, variance = tf.nn.moments(h, [0])
        kept = [tf.Variable(tf.zeros([n]), trainable=False), tf.Variable(tf.ones([n]), trainable=False)]
        updates = [tf.assign(k, k * 0.99 + new * 0.01) for k, new in zip(kept, (mean, variance))]
        with tf.control_dependencies(updates):
            return tf.nn.batch_normalization(h, mean, variance, beta, gamma, 1e-3)

    if name == "softmax":
        logits = dense(x, 10)
    elif name == "mlp":
        logits = dense(dense(dense(x, 512, tf.nn.relu), 512, tf.nn.relu), 10)
        optimizer = tf.train.AdamOptimizer(1e-3)
    elif name == "mlpbn":
        h = tf.nn.dropout(normalise(dense(x, 512, tf.nn.relu)), rate=0.2)
        w, b = weights(512, 512)
        h = tf.nn.dropout(tf.nn.relu(normalise(tf.matmul(h, w) + b)), rate=0.2)
        logits, penalty, optimizer = dense(h, 10), 0.01 * tf.reduce_sum(w * w), tf.train.AdamOptimizer(1e-3)
    elif name == "lenet5":
        h = conv(conv(tf.reshape(x, [-1, 28, 28, 1]), 5, 6, "VALID"), 5, 16, "VALID")
        logits = dense(dense(dense(tf.reshape(h, [-1, 256]), 120, tf.nn.relu), 84, tf.nn.relu), 10)
    elif name == "mnistcnn":
        h = conv(conv(tf.reshape(x, [-1, 28, 28, 1]), 5, 32, "SAME"), 5, 64, "SAME")
        logits = dense(dense(tf.reshape(h, [-1, 3136]), 1024, tf.nn.relu), 10)
    elif name == "cifarcnn":
        h = tf.transpose(tf.reshape(x, [-1, 3, 32, 32]), [0, 2, 3, 1])
        for _ in range(3):
            h = conv(h, 3, 32, "SAME")
        logits, optimizer = dense(tf.reshape(h, [-1, 512]), 10), tf.train.AdamOptimizer(1e-3)
    elif name == "lstm":
        steps = tf.reshape(x, [-1, 28, 28])
        batch = tf.shape(x)[0]
        w, b = weights(156, 512)
        c, h = tf.zeros([batch, 128]), tf.zeros([batch, 128])
        for t in range(28):
            i, j, f, o = tf.split(tf.matmul(tf.concat([steps[:, t], h], 1), w) + b, 4, 1)
            c = c * tf.sigmoid(f + 1.0) + tf.sigmoid(i) * tf.tanh(j)
            h = tf.tanh(c) * tf.sigmoid(o)
        h.set_shape([None, 128])
        logits = dense(h, 10)
    elif name == "lstmloop":
        _, (_, h) = tf.nn.dynamic_rnn(lstm_cell(tf, 128), tf.reshape(x, [-1, 28, 28]), dtype=tf.float32)
        logits = dense(h, 10)
    else:
        raise ValueError(name)
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)) + penalty
    return x, y, loss, optimizer


def prepare(name: str, batch: int, images: Any, labels: Any, implementation: str, threads: int) -> Any:
    """(step(i), loss(), about(machine)) of one workload."""
    tf = load(implementation)
    with tf.Graph().as_default() as graph:
        tf.set_random_seed(0)
        x, y, loss, optimizer = build(tf, name)
        train = optimizer.minimize(loss)
        initializer = tf.global_variables_initializer()
    config = tf.ConfigProto(intra_op_parallelism_threads=threads, inter_op_parallelism_threads=1)
    session = tf.Session(graph=graph, config=config)
    session.run(initializer)
    count = len(images) // batch

    def step(i: int) -> None:
        k = (i % count) * batch
        session.run(train, {x: images[k : k + batch], y: labels[k : k + batch]})

    def about(machine: dict[str, Any]) -> dict[str, Any]:
        if implementation != "graphflow":
            return {}
        from graphflow.tools.machine import Machine
        from graphflow.tools.step_limit import about_run

        return about_run(session, train, {x: images[:batch], y: labels[:batch]}, Machine(**machine))

    return step, lambda: float(session.run(loss, {x: images[:batch], y: labels[:batch]})), about
