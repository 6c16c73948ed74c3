"""`graphflow demo`: trains a small convolutional net on the embedded digits and shows what the compiler made of its training step."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from typing import Any

import graphflow as tf
from graphflow import config
from graphflow.data import digits

BATCH = 100
LONGEST = 120  # characters of a line about a kernel


def build() -> tuple[Any, ...]:
    """The net: placeholders for images and labels, the loss, the training step and the accuracy."""
    images = tf.placeholder(tf.float32, [None, 784], name="images")
    labels = tf.placeholder(tf.int64, [None], name="labels")
    layer = tf.reshape(images, [-1, 28, 28, 1])
    for filters in (16, 32):
        layer = tf.layers.conv2d(layer, filters, 5, padding="same", activation=tf.nn.relu)
        layer = tf.layers.max_pooling2d(layer, 2, 2)
    hidden = tf.layers.dense(tf.layers.flatten(layer), 128, activation=tf.nn.relu)
    logits = tf.layers.dense(hidden, 10, name="logits")
    loss = tf.losses.sparse_softmax_cross_entropy(labels=labels, logits=logits)
    step = tf.train.AdamOptimizer(1e-3).minimize(loss)
    accuracy = tf.reduce_mean(tf.cast(tf.equal(tf.argmax(logits, 1), labels), tf.float32))
    return images, labels, loss, step, accuracy


def show_kernels(compilation: Any) -> None:
    """One line for each kernel: the graph's operations that it computes."""
    steps = compilation.program.steps
    named = [list(dict.fromkeys(o.name for o in step.group.origins)) for step in steps]
    several = sum(len(names) > 1 for names in named)
    print(f"\nThe training step: {sum(map(len, named))} operations in {len(steps)} kernels, {several} of them fused from several")
    for number, names in enumerate(named):
        line = f"  k{number:<3} {' + '.join(names)}"
        print(line if len(line) <= LONGEST else f"{line[: LONGEST - 2]} …")


def show_memory(compilation: Any) -> None:
    """The plan's bytes beside what is possible."""
    placement = compilation.plan.placement
    ratio = placement.total / placement.bound if placement.bound else 1.0
    print(f"\nMemory for what lies between the kernels, at batch {BATCH}")
    print(f"  planned      {placement.total:>12,} bytes")
    print(f"  lower bound  {placement.bound:>12,} bytes (the plan is {ratio:.3f} of it)")
    print(f"  one by one   {placement.unplanned:>12,} bytes")


def run(steps: int) -> float:
    """Train and report; the test accuracy."""
    data = digits.read_data_sets(seed=1)
    tf.reset_default_graph()
    tf.set_random_seed(1)
    images, labels, loss, step, accuracy = build()
    print(f"A convolutional net on {data.train.num_examples} handwritten digits, {len(tf.get_default_graph().get_operations())} operations")
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        begin = time.perf_counter()
        for k in range(steps):
            batch = data.train.next_batch(BATCH)
            value, _ = session.run([loss, step], {images: batch[0], labels: batch[1]})
            if k == 0:
                first = time.perf_counter() - begin
                print(f"  first step, compiling: {first:.2f} s")
                begin = time.perf_counter()
            if k % -(-steps // 6) == 0 or k == steps - 1:
                print(f"  step {k:4d}  loss {value:.4f}")
        each = (time.perf_counter() - begin) / max(1, steps - 1)
        print(f"  every later step: {1000 * each:.2f} ms")
        result = float(session.run(accuracy, {images: data.test.images, labels: data.test.labels}))
        print(f"\nTest accuracy on {data.test.num_examples} digits it has not seen: {result:.4f}")
        compilation = session.compiled([loss, step], {images: batch[0], labels: batch[1]})
        show_kernels(compilation)
        show_memory(compilation)
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `graphflow demo`."""
    parser = argparse.ArgumentParser(prog="graphflow demo", description=__doc__)
    parser.add_argument("--steps", type=int, default=200, help="training steps (default: 200)")
    parser.add_argument("--dump", default="graphflow-dump", help="folder for the text of every stage (default: graphflow-dump)")
    args = parser.parse_args(arguments)
    if args.steps < 1:
        parser.error("--steps must be at least 1")
    folder = os.path.abspath(args.dump)
    with config.override(dump_to=folder):
        result = run(args.steps)
    print(f"\nEvery stage between the graph and the machine code, as text: {folder}")
    return 0 if result > 0.5 or args.steps < 100 else 1
