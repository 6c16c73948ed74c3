"""Kernels on threads whose stacks are small."""

from __future__ import annotations

import resource
import subprocess
import sys
import threading

import pytest

from graphflow.runtime.room import apart, cramped

PROGRAM = """
import threading
import numpy as np
import graphflow as tf

x = tf.placeholder(tf.float32, [None, 512])
y = tf.matmul(x, tf.Variable(tf.random_normal([512, 512], seed=1)))
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    seen = [session.run(y, {x: np.ones((128, 512))})]
    threading.stack_size(64 << 10)
    def again():
        seen.append(session.run(y, {x: np.ones((128, 512))}))
        try:
            session.run(y, {x: np.ones((128, 511))})
        except ValueError as error:
            seen.append(str(error))
    thread = threading.Thread(target=again)
    thread.start()
    thread.join()
print((seen[0] == seen[1]).all(), seen[2])
"""


@pytest.mark.slow
def test_a_thread_with_a_small_stack_runs_steps() -> None:
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("True ") and "Cannot feed value of shape (128, 511)" in result.stdout


@pytest.mark.slow
def test_steps_run_under_a_low_limit() -> None:
    """The limit is that of the main thread too, and of threads for which the program chooses nothing."""
    program = PROGRAM.replace("    threading.stack_size(64 << 10)\n", "")
    assert program != PROGRAM

    def low() -> None:
        resource.setrlimit(resource.RLIMIT_STACK, (512 << 10, resource.getrlimit(resource.RLIMIT_STACK)[1]))

    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, preexec_fn=low)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("True ")


def test_threads_are_told_apart() -> None:
    small = 128 << 10
    usual = threading.stack_size(small)
    seen = []
    try:
        thread = threading.Thread(target=lambda: seen.append((cramped(small), apart(cramped, small))))
        thread.start()
        thread.join()
        assert not cramped(small)
        assert threading.stack_size(usual) == small
    finally:
        threading.stack_size(usual)
    assert seen == [(True, False)]


def test_errors_come_back() -> None:
    with pytest.raises(ZeroDivisionError):
        apart(lambda: 1 / 0)
    assert apart(divmod, 7, 2) == (3, 1)
