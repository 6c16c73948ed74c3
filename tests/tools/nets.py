"""Programs whose reports the tests look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import graphflow as tf
from graphflow.tools.cli import run_program
from graphflow.tools.inspect import watched
from graphflow.tools.machine import Machine
from graphflow.tools.recorder import Recorder, recording
from graphflow.tools.report import model_of, write
from graphflow.tools.report.model import Model

# Fixed figures: what a test says of a page may not depend on how busy the machine is.
MACHINE = Machine(2, 16, 4e11, 2e11, 3e11, 6e10, 3e10, {"l2": 1 << 20, "l3": 32 << 20})


def recorded_cnn(steps: int = 2) -> Recorder:
    """mnist_cnn's train step, as its example has it, on the embedded digits."""
    program = Path(__file__).parents[2] / "examples" / "mnist_cnn.py"
    recorder, error = watched(run_program, str(program), ["--steps", str(steps), "--batch", "20"])
    assert error is None, error
    return recorder


def recorded_deep() -> Recorder:
    """A train step of 50 layers with name scopes."""
    with recording(Recorder()) as recorder, tf.Graph().as_default():
        x, y = tf.placeholder(tf.float32, [None, 16], name="x"), tf.placeholder(tf.float32, [None, 10], name="y")
        h = x
        for k in range(50):
            with tf.variable_scope(f"block{k // 5}"), tf.variable_scope(f"layer{k % 5}"):
                h = h + 0.1 * tf.layers.dense(h, 16, activation=tf.nn.relu)
        loss = tf.losses.softmax_cross_entropy(y, tf.layers.dense(h, 10, name="head"))
        train = tf.train.AdamOptimizer(1e-3).minimize(loss)
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            session.run([loss, train], {x: np.ones((8, 16), np.float32), y: np.eye(10, dtype=np.float32)[:8]})
    return recorder


def recorded_unrolled(steps: int = 45) -> Recorder:
    """A train step of some 3,500 nodes: a recurrent net unrolled by hand, without name scopes."""
    with recording(Recorder()) as recorder, tf.Graph().as_default():
        x = tf.placeholder(tf.float32, [None, steps, 4], name="x")
        w, u = (tf.Variable(tf.random_normal([12, 8], stddev=0.2)) for _ in range(2))
        h = tf.zeros([tf.shape(x)[0], 8])
        for k in range(steps):
            both = tf.concat([x[:, k, :], h], 1)
            gate = tf.sigmoid(tf.matmul(both, u))
            h = gate * h + (1.0 - gate) * tf.tanh(tf.matmul(both, w))
        loss = tf.reduce_mean(tf.square(h - 0.5))
        train = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            session.run([loss, train], {x: np.ones((4, steps, 4), np.float32)})
    return recorder


def report(recorder: Recorder, title: str, path: Path) -> tuple[Model, int]:
    """Write the page of what was recorded, the train step first; the model and the bytes of the file."""
    model = model_of(title, sorted(recorder.signatures, key=lambda s: -len(s.compiled.report.operations)), MACHINE)
    return model, write(model, str(path))
