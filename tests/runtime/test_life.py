"""Acceptance from outside: what is compiled when, and sessions in long, interrupted, threaded and forked lives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphflow as tf
from graphflow.config import override
from graphflow.runtime import session as sessions
from graphflow.runtime.jit import counters

NET = """
import numpy as np
import graphflow as tf

x = tf.placeholder(tf.float32, [None, 144], name="x")
y = tf.placeholder(tf.int64, [None], name="y")
images = tf.reshape(x, [-1, 12, 12, 1])
images = tf.layers.max_pooling2d(tf.layers.conv2d(images, 6, 3, padding="same", activation=tf.nn.relu), 2, 2)
images = tf.layers.max_pooling2d(tf.layers.conv2d(images, 8, 3, activation=tf.nn.relu), 2, 2)
hidden = tf.nn.dropout(tf.layers.dense(tf.layers.flatten(images), 20, tf.nn.relu), 0.5)
logits = tf.layers.dense(hidden, 10)
loss = tf.losses.sparse_softmax_cross_entropy(labels=y, logits=logits)
train = tf.train.AdamOptimizer(1e-3).minimize(loss)
accuracy = tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), y), tf.float32))


def feeds(rows):
    random = np.random.RandomState(rows)
    return {x: random.rand(rows, 144).astype(np.float32), y: random.randint(0, 10, rows)}
"""


def net() -> dict[str, Any]:
    """A small net of the kind that the examples are, in a new default graph."""
    tf.reset_default_graph()
    names: dict[str, Any] = {}
    exec(NET, names)
    return names


def test_other_batch_sizes_compile_nothing(tmp_path: Path) -> None:
    with override(cache_dir=str(tmp_path)):
        n = net()
        with tf.Session() as session:
            before = counters.compiled
            session.run(tf.global_variables_initializer())
            session.run([n["loss"], n["train"]], n["feeds"](100))
            session.run(n["accuracy"], n["feeds"](100))
            assert counters.compiled > before, "the counter counts"
            first, programs = counters.snapshot(), session._engine.compiled_programs
            for rows in (37, 100, 1, 64):
                session.run([n["loss"], n["train"]], n["feeds"](rows))
            session.run(n["accuracy"], n["feeds"](10_000))
            if counters.snapshot() != first:  # a batch of one is a Program of its own where sizes of 1 mean something else
                session.run(n["accuracy"], n["feeds"](1))
            assert counters.compiled == first[0]
            assert session._engine.compiled_programs == programs


SECOND_PROCESS = (
    NET
    + """
from graphflow.runtime.jit import counters
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for rows in (100, 37):
        session.run([loss, train], feeds(rows))
    session.run(accuracy, feeds(50))
print(counters.compiled, counters.loaded_from_disk)
"""
)


def test_a_second_process_finds_every_kernel_on_disk(tmp_path: Path) -> None:
    def run() -> tuple[int, int]:
        environment = {**os.environ, "GRAPHFLOW_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(Path(tf.__file__).parent.parent)}
        done = subprocess.run([sys.executable, "-c", SECOND_PROCESS], capture_output=True, text=True, env=environment, timeout=120)
        assert done.returncode == 0, done.stderr
        compiled, loaded = done.stdout.split()
        return int(compiled), int(loaded)

    compiled, loaded = run()
    assert compiled > 5 and loaded == 0
    assert run() == (0, compiled)


def test_programs_that_add_operations_in_their_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """3,000 runs with new operations in between: what ran once is forgotten, what runs always is not."""
    monkeypatch.setattr(sessions, "ROUTES", 32)
    tf.reset_default_graph()
    x = tf.placeholder(tf.float32, [None, 4])
    v = tf.Variable(tf.zeros([4]))
    total = tf.reduce_sum(x * v)
    rows = np.ones((2, 4), np.float32)
    with tf.Session() as session:
        session.run(v.initializer)
        session.run(total, {x: rows})
        route = session._routes[(total, (x,))]
        for k in range(3000):
            if k % 15 == 0:
                session.run(v.assign(np.full(4, k, np.float32)))
            assert session.run(total, {x: rows}) == 8 * (k - k % 15)
        assert len(session._routes) <= 32
        assert session._routes[(total, (x,))] is route, "the main step is never compiled again"


LONG_STEP = """
import threading, os, signal, sys, time
import numpy as np
import graphflow as tf

a = tf.placeholder(tf.float32, [None, 700], name="a")
v = tf.Variable(0, name="v")
product = a
for _ in range(60):
    product = tf.tanh(tf.matmul(product, np.eye(700, dtype=np.float32)))
update = v.assign_add(1)
with tf.Session() as session:
    session.run(v.initializer)
    rows = np.ones((3000, 700), np.float32)
    session.run([product, update], {a: rows[:2]})
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        while True:
            session.run([product, update], {a: rows})
    except KeyboardInterrupt:
        pass
    before = session.run(v)
    session.run([product, update], {a: rows[:2]})
    assert session.run(v) == before + 1
    print("usable")
"""


def test_control_c_in_a_step() -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(tf.__file__).parent.parent)}
    done = subprocess.run([sys.executable, "-c", LONG_STEP], capture_output=True, text=True, env=environment, timeout=120)
    assert (done.returncode, done.stdout) == (0, "usable\n"), done.stderr


def test_two_threads_in_one_session() -> None:
    """Each gets its own results, for sizes that are bound meanwhile; no update is lost."""
    n = net()
    counter = tf.Variable(0)
    increment = counter.assign_add(1)
    doubled = n["x"] * 2.0
    wrong: list[Any] = []
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())

        def work(seed: int) -> None:
            for k in range(60):
                rows = np.full((1 + (k * seed) % 7, 144), seed * 1000 + k, np.float32)
                result, _ = session.run([doubled, increment], {n["x"]: rows})
                if not np.array_equal(result, rows * 2):
                    wrong.append((seed, k))
                if k % 10 == 0:
                    session.run(n["train"], n["feeds"](5 + seed))

        threads = [threading.Thread(target=work, args=(seed,)) for seed in (1, 2, 3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        assert wrong == []
        assert session.run(counter) == 180


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_goes_on(tmp_path: Path) -> None:
    n = net()
    with override(threads=2), tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run([n["loss"], n["train"]], n["feeds"](100))
        child = os.fork()
        if child == 0:
            status = 1
            try:
                loss, _ = session.run([n["loss"], n["train"]], n["feeds"](37))
                fresh = session.run(tf.constant(2.0) * 3.0)
                status = 0 if np.isfinite(loss) and fresh == 6.0 else 2
            finally:
                os._exit(status)
        end = time.monotonic() + 60
        while (found := os.waitpid(child, os.WNOHANG))[0] == 0:
            if time.monotonic() > end:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                pytest.fail("the child hangs")
            time.sleep(0.01)
        assert os.waitstatus_to_exitcode(found[1]) == 0
        loss, _ = session.run([n["loss"], n["train"]], n["feeds"](37))
        assert np.isfinite(loss)


@pytest.mark.parametrize("width", [3, 20, 24, 33])
@pytest.mark.parametrize("target", ["native", "avx2"])
def test_dropout_in_an_epilogue_draws_what_it_draws_alone(width: int, target: str) -> None:
    """A panel of columns of several vector widths: the positions of the random numbers are those of each width."""
    tf.reset_default_graph()
    x, w = tf.placeholder(tf.float32, [None, 8]), tf.placeholder(tf.float32, [8, width])
    product = tf.matmul(x, w)
    dropped = tf.nn.dropout(product, 0.5, seed=4)
    feeds = {x: np.ones((9, 8), np.float32), w: np.ones((8, width), np.float32)}
    found = []
    with override(target=target):
        for more in ({}, {product: np.full((9, width), 8, np.float32)}):  # fused into the matmul, and on its own
            with tf.Session() as session:
                found.append(session.run(dropped, {**feeds, **more}))
    assert set(np.unique(found[1])) == {0.0, 16.0}
    np.testing.assert_array_equal(found[0], found[1])
