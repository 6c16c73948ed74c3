"""`make bench-operations`: every row is an operation that its name says. No speed is asserted."""

from __future__ import annotations

import json

import pytest

import graphflow as tf
from benchmarks import operations
from benchmarks.kernels import Measured
from benchmarks.operations import Operation, groups
from graphflow.runtime.executor import Executor
from graphflow.runtime.jit import default_jit


def test_names_are_unique_within_a_group():
    for rows in groups().values():
        assert len({row.name for row in rows}) == len(rows) > 0


@pytest.mark.parametrize("row", [row for rows in groups().values() for row in rows], ids=lambda row: row.name)
def test_every_row_is_a_program(row):
    """Of operands of the shapes that it says, and of the same sizes in whatever order PyTorch has them."""
    with tf.Graph().as_default():
        fetch, feed = row.build(tf)
        assert [t.shape.as_list() for t in feed] == [list(a.shape) for a in row.arrays()] and fetch is not None
    for described in row.inputs:
        ours, *theirs = (sorted(part.split()[-1].split("x")) for part in described.split("|"))
        assert all(ours == other for other in theirs)


def test_a_gradient_is_measured_with_its_operands():
    measured = Measured(operations.pool("max", 2, 2)[1], Executor(default_jit(), threads=1))
    assert [a.shape for a in measured.arrays] == [(32, 28, 28, 20), (32, 14, 14, 20), (32, 28, 28, 20)] and measured.calls == 1


def test_branches_are_measured():
    row = Operation("branch", "tf.cond(tf.reduce_sum(a) > 0, lambda: a + 1, lambda: a * 2)", ("f 3x4",))
    assert Measured(row, Executor(default_jit(), threads=1)).seconds(0.001) > 0


def test_figures():
    row = Operation("half", "a * 0.5", ("f 100x100",))
    measured = Measured(row, Executor(default_jit(), threads=1))
    machine = {"l2": 2e11, "l3": 1e11, "dram": 3e10, "sizes": {"l2": 1 << 20, "l3": 1 << 25}}
    figures = operations.figures_of(measured, 1e-6, machine, 3e-6)
    assert figures == pytest.approx({"us": 1, "gbs": 80, "share": 0.4, "calls": 1, "torch": 3} | {"level": "l2"})


def test_a_run_writes_its_record(tmp_path, capsys):
    assert operations.main(["--only", "sum of three", "--seconds", "0.001", "--out", str(tmp_path)]) == 0
    (record,) = tmp_path.glob("*-operations-*.json")
    figures = json.loads(record.read_text())["results"]["reductions"]["sum of three"]
    assert figures["us"] > 0 and figures["calls"] == 1 and "sum of three" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        operations.main(["--only", "nothing of the kind"])
