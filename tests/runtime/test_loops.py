"""Loops of a session: speed, interruption, failure, threads, host calls in them, and what a traced run shows."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

import numpy as np
import pytest

import graphflow as tf
from tests.effort import calls_of


def counting(limit: Any) -> Any:
    """(number of rounds, their number as a float) of a loop up to `limit`."""
    return tf.while_loop(lambda i, a: i < limit, lambda i, a: (i + 1, a + 1.0), [0, tf.constant(0.0, tf.float64)])


@pytest.fixture
def session() -> Any:
    with tf.Graph().as_default(), tf.Session() as made:
        yield made


def test_a_loop_is_one_program_that_stays_out_of_python(session: Any) -> None:
    limit = tf.placeholder(tf.int32, [])
    loop = counting(limit)
    for rounds in (0, 1, 10, 100_000):
        assert session.run(loop, {limit: rounds}) == (rounds, rounds)
    assert session._engine.compiled_programs == 1
    known = calls_of(lambda: session.run(loop, {limit: 1}))
    assert calls_of(lambda: session.run(loop, {limit: 1_000})) == known


def resident() -> int:
    """Bytes of memory that this process holds."""
    with open("/proc/self/statm") as counts:
        return int(counts.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="the memory of a process is read from /proc")
def test_a_loop_leaks_nothing(session: Any) -> None:
    limit = tf.placeholder(tf.int32, [])
    array = tf.TensorArray(tf.float32, 0, dynamic_size=True, element_shape=[64])
    body = lambda i, a, s: (i + 1, a.write(i % 50, s), s + 1.0)  # noqa: E731
    loops = [*counting(limit), tf.while_loop(lambda i, *_: i < tf.minimum(limit, 50), body, [0, array, tf.zeros([64])])[1].stack()]
    for _ in range(20):
        session.run(loops, {limit: 1000})
    before = resident()
    for _ in range(300):
        session.run(loops, {limit: 1000})
    assert resident() - before < 1 << 20


def test_control_c_in_an_endless_loop(session: Any) -> None:
    count = tf.Variable(0)
    endless = tf.while_loop(lambda i: i >= 0, lambda i: i * 0, [count + 0])
    step = count.assign_add(counting(3)[0])
    session.run(count.initializer)
    for run in (1, 2):
        timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        start = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            session.run(endless)
        assert time.monotonic() - start < 5
        timer.join()
        assert session.run(step) == 3 * run


def test_a_failure_in_a_loop_leaves_variables_alone(session: Any) -> None:
    x, limit = tf.placeholder(tf.float32, [None]), tf.placeholder(tf.int32, [])
    total = tf.while_loop(lambda i, a: i < limit, lambda i, a: (i + 1, a + x[i]), [0, 0.0])[1]
    kept = tf.Variable(5.0)
    update = kept.assign(total)
    session.run(kept.initializer)
    for rows in (3, 8):
        with pytest.raises(tf.errors.InvalidArgumentError, match=f"slice index {rows} of dimension 0 out of bounds"):
            session.run(update, {x: np.ones(rows), limit: 100})
        assert session.run(kept) == 5
    assert session.run(update, {x: np.ones(8), limit: 8}) == 8


def test_python_in_a_loop(session: Any) -> None:
    x = tf.placeholder(tf.float32, [])
    texts = tf.while_loop(lambda i, s: i < 4, lambda i, s: (i + 1, s + tf.strings.to_number(tf.as_string(i)) * x), [0, 0.0])[1]
    for scale in (1, 10):
        assert session.run(texts, {x: scale}) == 6 * scale


def test_loops_of_two_sessions_in_threads() -> None:
    wrong: list[Any] = []
    done: list[int] = []

    def work(seed: int) -> None:
        with tf.Graph().as_default(), tf.Session() as session:
            limit = tf.placeholder(tf.int32, [])
            w = tf.constant(np.eye(96, dtype=np.float32))
            body = lambda i, a: (i + 1, tf.matmul(a, w) + 1.0)  # noqa: E731
            loop = tf.while_loop(lambda i, a: i < limit, body, [0, tf.zeros([64, 96])])
            for run in range(15):
                rounds = seed * 50 + run
                if not (session.run(loop[1], {limit: rounds}) == rounds).all():
                    wrong.append((seed, run))
        done.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == [] and sorted(done) == [1, 2]


def test_a_traced_loop_shows_each_kernel_once(session: Any) -> None:
    limit = tf.placeholder(tf.int32, [])
    a = tf.while_loop(lambda i, a: i < limit, lambda i, a: (i + 1, tf.tanh(a, name="squashed")), [0, tf.ones([300])])[1]
    metadata = tf.RunMetadata()
    options = tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE)
    session.run(a, {limit: 70}, options=options, run_metadata=metadata)
    nodes = [n for n in metadata.step_stats.dev_stats[0].node_stats if "squashed" in n.timeline_label]
    assert len(nodes) == 1
    assert nodes[0].timeline_label.endswith(" x 70")
    assert nodes[0].all_end_rel_nanos > 0


def test_a_state_of_a_written_down_batch_size_beside_a_fed_one(session: Any) -> None:
    x = tf.placeholder(tf.float32, [None, 3])
    _, total = tf.while_loop(lambda i, h: i < 4, lambda i, h: (i + 1, tf.tanh(h + x)), [0, tf.zeros([2, 3])], shape_invariants=[
        tf.TensorShape([]), tf.TensorShape([None, 3])])  # fmt: skip
    expected = np.zeros((2, 3), np.float32)
    for _ in range(4):
        expected = np.tanh(expected + 0.5)
    given = {x: np.full((2, 3), 0.5)}
    np.testing.assert_allclose(session.run(total, given), expected, rtol=1e-6)
    assert "loop" in str(session.compiled(total, given))  # refuses what Python steps through
    assert session.run(total, {x: np.zeros((1, 3))}).shape == (2, 3)
