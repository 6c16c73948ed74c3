"""A real TensorBoard reads what FileWriter writes: its HTTP interface is asked for scalars, histograms, images, graph and run metadata."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphflow as tf

RUN = "."


def command() -> str:
    """TensorBoard's program, or the reason to skip."""
    beside = Path(sys.executable).with_name("tensorboard")
    found = os.environ.get("GRAPHFLOW_TEST_TENSORBOARD") or (str(beside) if beside.exists() else shutil.which("tensorboard"))
    if not found:
        pytest.skip("no TensorBoard: pip install -e '.[tensorboard]', or say where in GRAPHFLOW_TEST_TENSORBOARD")
    return found


def write(folder: Path) -> None:
    """A few steps of training, with everything that TensorBoard shows."""
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, [None, 4], name="x")
        hidden = tf.layers.dense(x, 3, name="hidden")
        loss = tf.reduce_mean(tf.square(hidden), name="loss")
        tf.summary.scalar("training_loss", loss)
        tf.summary.histogram("weights", hidden)
        tf.summary.image("picture", tf.reshape(x, [-1, 2, 2, 1]))
        merged, train = tf.summary.merge_all(), tf.train.GradientDescentOptimizer(0.1).minimize(loss)
        session.run(tf.global_variables_initializer())
        with tf.summary.FileWriter(str(folder), session.graph) as writer:
            for step in range(5):
                options, metadata = tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE), tf.RunMetadata()
                text, _ = session.run([merged, train], {x: np.ones((2, 4), np.float32)}, options=options, run_metadata=metadata)
                writer.add_summary(text, step)
            writer.add_run_metadata(metadata, "step 4", 4)


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program, folder = command(), tmp_path_factory.mktemp("events")
    write(folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = [program, "--logdir", str(folder), "--host", "127.0.0.1", "--port", str(port), "--load_fast=false"]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}  # TensorBoard looks for a TensorFlow
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment) as process:
        address = f"http://127.0.0.1:{port}/data"
        try:
            for _ in range(240):
                try:
                    if RUN in json.loads(get(f"{address}/runs")):
                        break
                except (urllib.error.URLError, ConnectionError):
                    pass
                assert process.poll() is None, "TensorBoard ended"
                time.sleep(0.25)
            yield address
        finally:
            process.terminate()


def get(url: str, **query: Any) -> bytes:
    text = f"{url}?{urllib.parse.urlencode(query)}" if query else url
    with urllib.request.urlopen(text, timeout=20) as answer:
        body: bytes = answer.read()
    return body


@pytest.mark.slow
def test_scalars_histograms_and_images(board: str) -> None:
    scalars = json.loads(get(f"{board}/plugin/scalars/scalars", run=RUN, tag="training_loss"))
    assert [step for _, step, _ in scalars] == [0, 1, 2, 3, 4] and scalars[0][2] > scalars[-1][2]
    histograms = json.loads(get(f"{board}/plugin/histograms/histograms", run=RUN, tag="weights"))
    assert len(histograms) == 5 and sum(count for _, _, count in histograms[0][2]) == pytest.approx(6)
    tags = json.loads(get(f"{board}/plugin/images/tags"))
    assert any("picture" in tag for tag in tags[RUN])


@pytest.mark.slow
def test_the_graph_with_its_scopes_and_times_of_nodes(board: str) -> None:
    graph = get(f"{board}/plugin/graphs/graph", run=RUN, large_attrs_key="_too_large").decode()
    assert 'name: "hidden/MatMul"' in graph and 'name: "loss"' in graph
    times = get(f"{board}/plugin/graphs/run_metadata", run=RUN, tag="step 4").decode()
    timed = set(re.findall(r'node_name: "(.*?)"', times))
    assert timed and timed <= set(re.findall(r'name: "(.*?)"', graph)), "each time belongs to a node of the graph"
    assert "all_end_rel_micros" in times
