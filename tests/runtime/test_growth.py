"""What compiling costs grows with what is new: distinct kernels, not nodes; added operations, not the graph. Counted, not timed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import graphflow as tf
from graphflow.compiler import lower
from graphflow.config import override
from graphflow.runtime.jit import counters, default_jit
from tests.effort import calls_of

ROOT = Path(__file__).parents[2]


def train_step(layers, width=16):
    x = h = tf.placeholder(tf.float32, [None, width])
    for _ in range(layers):
        h = tf.nn.relu(tf.matmul(h, tf.Variable(tf.ones([width, width]))) + tf.Variable(tf.zeros([width])))
    loss = tf.reduce_mean(tf.square(h))
    return x, loss, tf.train.AdamOptimizer(0.1).minimize(loss)


@pytest.mark.parametrize("layers", [4, 20])
def test_equal_layers_share_their_kernels(layers):
    with tf.Graph().as_default(), tf.Session() as session:
        x, _, train = train_step(layers)
        compiled = session.compiled(train, {x: np.ones((5, 16), np.float32)})
    assert len(compiled.program.steps) >= 4 * layers - 2
    assert len(compiled.program.codes) <= 12  # those of the first, an inner and the last layer, and of the loss


def unrolled(steps):
    """A net whose cell is written out for every step, each of which reads its own part of the input."""
    x = tf.placeholder(tf.float32, [None, 12, 8])
    w = tf.Variable(tf.ones([24, 16]))
    h = tf.zeros([tf.shape(x)[0], 16])
    for t in range(steps):
        h = tf.tanh(tf.matmul(tf.concat([x[:, t, :], h], 1), w))
    loss = tf.reduce_mean(tf.square(h))
    return x, tf.train.GradientDescentOptimizer(0.1).minimize(loss)


def test_the_steps_of_an_unrolled_net_share_their_kernels():
    kernels = []
    for steps in (4, 12):
        with tf.Graph().as_default(), tf.Session() as session:
            x, train = unrolled(steps)
            kernels.append(len(session.compiled(train, {x: np.ones((5, 12, 8), np.float32)}).program.codes))
    assert kernels[0] == kernels[1]


def test_no_kernel_is_generated_that_is_not_called():
    """A loop's rows are read and written in place: their groups are lowered, but there is nothing to call."""
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, [None, 7, 5])
        outputs, _ = tf.nn.dynamic_rnn(tf.nn.rnn_cell.BasicLSTMCell(9), x, dtype=tf.float32)
        train = tf.train.GradientDescentOptimizer(0.1).minimize(tf.reduce_mean(tf.square(outputs)))
        session.compiled(train, {x: np.ones((3, 7, 5), np.float32)})
    assert not default_jit()._begun


def test_variables_of_any_size_are_initialised_by_the_same_kernels():
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(3)
        h = tf.placeholder(tf.float32, [None, 8])
        for width in (40, 20, 36):
            h = tf.layers.dense(h, width)
        compiled = session.compiled(tf.global_variables_initializer())
    assert len(compiled.program.steps) == 9 and len(compiled.program.codes) == 3  # uniform weights, zeros, and the streams' positions


def test_an_added_operation_lowers_and_compiles_nothing_that_is_known(monkeypatch):
    with override(cache_dir=""), tf.Graph().as_default(), tf.Session() as session:
        x, loss, train = train_step(2)
        session.run(tf.global_variables_initializer())
        feed = {x: np.ones((5, 16), np.float32)}
        session.run([train, loss + 1.0], feed)
        lowered, before = [], counters.snapshot()
        real = lower._lower
        monkeypatch.setattr(lower, "_lower", lambda *a: lowered.append(a) or real(*a))
        session.run([train, loss + 1.0], feed)  # another operation, of the same kind
        assert counters.snapshot()[:2] == before[:2] and not lowered
        session.run([train, loss + 2.0], feed)
        assert len(lowered) == 1


def effort_of_an_added_operation(layers):
    with tf.Graph().as_default(), tf.Session() as session:
        x, loss, train = train_step(layers)
        session.run(tf.global_variables_initializer())
        feed = {x: np.ones((5, 16), np.float32)}
        session.run([train, loss + 1.0], feed)  # lowers and compiles what is needed
        return calls_of(lambda: session.run([train, loss + 1.0], feed))


def test_an_added_operation_costs_little_for_each_layer():
    """Twice as much before an optimizer's update was one node of a Program."""
    few, more = map(effort_of_an_added_operation, (4, 8))
    assert few < 40_000
    assert (more - few) / 4 < 9_000


PROGRAM = """
import sys
import numpy as np
import graphflow as tf
from graphflow.compiler import lower
from graphflow.config import override
from graphflow.runtime.jit import counters
real, lowered = lower._lower, []
lower._lower = lambda *a: lowered.append(a) or real(*a)
x = tf.placeholder(tf.float32, [None, 8])
w = tf.Variable(tf.ones([8, 8]))
train = tf.train.GradientDescentOptimizer(0.1).minimize(tf.reduce_mean(tf.square(tf.nn.relu(tf.matmul(x, w)))))
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for batch in (3, 5):
        session.run(train, {x: np.ones((batch, 8), np.float32)})
    print(len(lowered), *counters.snapshot(), float(session.run(tf.reduce_sum(w))))
"""


def test_a_second_process_lowers_and_compiles_nothing(tmp_path):
    def run():
        environment = {"GRAPHFLOW_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
        done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment, timeout=120)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout.split()

    first, second = run(), run()
    assert int(first[0]) > 0 and int(first[1]) > 0
    assert second[:2] == ["0", "0"] and int(second[2]) >= int(first[1])
    assert first[-1] == second[-1]
