"""Traced runs: RunMetadata, the Chrome trace, and the table of `graphflow profile`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphflow as tf
from graphflow.runtime.timeline import Timeline
from graphflow.tools import cli
from graphflow.tools.doctor import _size


def traced() -> tuple[Any, Any, float]:
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, [None, 256], name="x")
        y = tf.matmul(x, tf.ones([256, 256]), name="product")
        z = tf.reduce_sum(tf.nn.relu(y), name="total")
        feed = {x: np.ones((64, 256), np.float32)}
        plain = session.run(z, feed)
        metadata = tf.RunMetadata()
        start = time.perf_counter()
        result = session.run(z, feed, options=tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE), run_metadata=metadata)
        wall = time.perf_counter() - start
        assert result == plain
        session.run(z, feed)
        untraced = tf.RunMetadata()
        session.run(z, feed, run_metadata=untraced)
        assert not untraced.step_stats.dev_stats
    return metadata, result, wall


def test_a_traced_run_names_its_operations() -> None:
    metadata, _, wall = traced()
    read = tf.RunMetadata.FromString(metadata.SerializeToString())
    (device,) = read.step_stats.dev_stats
    assert device.device.endswith("CPU:0")
    assert "total" in [n.node_name for n in device.node_stats]
    assert 0 < sum(n.all_end_rel_nanos for n in device.node_stats) < wall * 1e9


def test_the_chrome_trace_is_json() -> None:
    metadata, _, _ = traced()
    events = json.loads(Timeline(metadata.step_stats).generate_chrome_trace_format())["traceEvents"]
    calls = [e for e in events if e["ph"] == "X"]
    assert [e["args"]["name"] for e in calls].count("total") == 1
    assert all(e["dur"] > 0 for e in calls)


def test_profile_shows_kernels_by_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = tmp_path / "program.py"
    program.write_text("import graphflow as tf\ns = tf.Session()\nx = tf.placeholder(tf.float32, [4])\n"
                       "y = tf.exp(x, name='power')\nfor _ in range(5):\n    s.run(y, {x: [1, 2, 3, 4]})\n")  # fmt: skip
    from graphflow.tools import profile

    assert profile.main([str(program)], lambda path, arguments: exec(compile(program.read_text(), path, "exec"), {})) == 0
    table = capsys.readouterr().err
    assert "power" in table
    assert " 5 " in table


def test_cache_and_doctor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from graphflow.config import override

    folder = tmp_path / "objects" / "ab"
    folder.mkdir(parents=True)
    (folder / "cd.gfo").write_bytes(b"x" * 10)
    with override(cache_dir=str(tmp_path)):
        assert cli.main(["cache", "ls"]) == 0
        assert "abcd" in capsys.readouterr().out
        assert cli.main(["doctor"]) == 0
        held = (folder / "cd.gfo").stat().st_blocks * 512 or 10  # what it takes on the disk
        assert f"1 files, {_size(held)}" in capsys.readouterr().out
        assert cli.main(["cache", "clear"]) == 0
    assert not list(folder.iterdir())
    assert cli.main(["cache", "nonsense"]) == 2
