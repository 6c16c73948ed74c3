"""Asks real TensorFlow 1.15 for the answers to all calls of tests/golden/described, from the repository's folder:

    /path/to/tensorflow-1.15/bin/python -m tests.golden.record_ops tests/golden/ops.npz [part of a path]

A dtype for which TensorFlow has no kernel is left out. Calls that are not valid run in a process of their own each, because TensorFlow
dies of some. With a part of a path only its calls are asked again.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import sys

import numpy as np

from tests.golden.answers import Answers
from tests.golden.describe import Built, dense, label, numbered
from tests.golden.described import FAMILIES, PROGRAMS

SECONDS = 20  # for a refusal
NO_KERNEL = ("No OpKernel was registered", "no supported kernel for CPU devices")


def value(tf, call, dtype):
    """What the call gives."""
    with tf.Graph().as_default(), tf.device("/cpu:0"):  # else what has no CPU kernel runs on TensorFlow's XLA device
        with tf.Session() as session:
            shapes = None
            if call.gradient:
                plain = Built(tf, call, dtype)
                if not plain.variables:
                    shapes = [f.shape for f in session.run(plain.fetches, plain.feeds)]
            built = Built(tf, call, dtype, shapes=shapes)
            fetches = dense(tf, built.fetches)
            if built.variables:
                session.run(tf.variables_initializer(built.variables))
            wanted = [f for f in fetches if f is not None]
            got = iter(session.run(wanted, built.feeds))
            found = [None if f is None else np.asarray(next(got)) for f in fetches]
            return found + [np.asarray(session.run(v)) for v in built.variables]


def refusal(tf, call, dtype, sizes):
    """Stage, class and text of the exception, or a result's stage "none"."""
    with tf.Graph().as_default(), tf.device("/cpu:0"):
        try:
            built = Built(tf, call, dtype, sizes, "constant" if sizes == "known" else "fed")
        except Exception as error:
            return ["build", type(error).__name__, str(error)[:400]]
        with tf.Session() as session:
            try:
                if built.variables:
                    session.run(tf.variables_initializer(built.variables))
                session.run(built.fetches, built.feeds)
            except Exception as error:
                return ["run", type(error).__name__, str(error).split("\n\nOriginal stack")[0][:400]]
    return ["none", "", ""]


def apart(work):
    """work()'s result from a process of its own; the way it ended where it died."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        os.write(write, pickle.dumps(work()))
        os._exit(0)
    os.close(write)
    data = b""
    while True:
        if not select.select([read], [], [], SECONDS)[0]:
            os.kill(child, signal.SIGKILL)
            break
        part = os.read(read, 65536)
        if not part:
            break
        data += part
    os.close(read)
    _, status = os.waitpid(child, 0)
    return pickle.loads(data) if data and status == 0 else ["died", "signal %d" % (status & 127), ""]


def main(path, part=""):
    import tensorflow as tf

    tf.logging.set_verbosity(tf.logging.ERROR)
    kept = Answers.load(path) if part else Answers({}, {})
    values = {name: v for name, v in kept.values.items() if part not in name}
    refusals = {name: r for name, r in kept.refusals.items() if part not in name}
    calls = [(call, dtype) for of_path in numbered(FAMILIES).values() for call in of_path for dtype in call.dtypes]
    for call, dtype in calls:  # all forks come before the first session's threads
        name = label(call, dtype)
        if part in name and call.refuses is not None:
            for sizes in ("known", "unknown"):
                found = refusals[name + "." + sizes] = apart(lambda call=call, dtype=dtype, sizes=sizes: refusal(tf, call, dtype, sizes))
                if call.refuses[sizes] and call.refuses[sizes] not in found[2]:
                    print("%s.%s: not %r but %s" % (name, sizes, call.refuses[sizes], found))
    for call, dtype in calls:
        name = label(call, dtype)
        if part in name and call.refuses is None:
            try:
                values[name] = value(tf, call, dtype)
            except Exception as error:
                if isinstance(error, TypeError):
                    refusals[name] = ["build", "TypeError", str(error)[:400]]
                if not isinstance(error, TypeError) and not any(words in str(error) for words in NO_KERNEL):
                    print("%s: %s: %s" % (name, type(error).__name__, str(error)[:300]))
    for name, program in PROGRAMS.items():
        if part in name:
            with tf.Graph().as_default():
                values[name] = [np.asarray(v) for v in program(tf)]
    Answers(values, refusals).save(path)
    print("%d values, %d refusals, %d bytes" % (len(values), len(refusals), os.path.getsize(path)))


if __name__ == "__main__":
    main(*sys.argv[1:])
