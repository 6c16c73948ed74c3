"""`make bench-kernels`: what it measures is the contraction that its name says, and all of it. No speed is asserted."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest

import graphflow as tf
from benchmarks import kernels
from benchmarks.contractions import Convolution, Product, fixed, groups, request
from graphflow.compiler.groups import Shape
from graphflow.compiler.llvm.kernel import emit_kernel
from graphflow.compiler.llvm.target import AVX2, AVX512, target
from graphflow.config import override
from graphflow.kernel.index import evaluate
from graphflow.runtime.executor import Executor
from graphflow.runtime.jit import default_jit
from tests.compiler.contract.cases import assembly, machine_of
from tests.compiler.contract.test_code import innermost_loops

ROWS = [row for rows in groups().values() for row in rows]
SMALL = [
    Product("NN", 9, 7, 5, "m"), Product("TN", 9, 7, 5, "k"), Product("NT", 9, 7, 5, type="float64"),
    Convolution("conv", 2, 9, 3, 3, 4, 2, "SAME"), Convolution("dW", 2, 9, 3, 3, 4, 1, "VALID"),
    Convolution("dX", 2, 9, 3, 3, 4, 2, "VALID"),
]  # fmt: skip


@pytest.fixture(scope="module")
def executor():
    return Executor(default_jit(), threads=1)


def test_names_are_unique_within_a_group():
    for rows in groups().values():
        assert len({row.name for row in rows}) == len(rows) > 0


def test_the_rows_that_were_asked_for_are_there():
    assert {(r.kind, r.m) for r in groups()["square"]} == {(k, s) for k in ("NN", "TN", "NT") for s in (64, 128, 256, 512, 1024)}
    seen = {(r.window, r.inputs, r.stride, r.padding, r.kind) for r in groups()["sized"]}
    assert {(3, 16, 1, "SAME", "conv"), (1, 256, 2, "VALID", "dX"), (3, 128, 2, "SAME", "dW")} <= seen
    assert {r.columns for r in groups()["few"]} >= {1, 3, 6, 10, 16}
    assert Product("TN", 784, 512, 128, "k") in groups()["dense"]  # of mlp/128
    assert Product("NT", 128, 784, 512, "m") not in groups()["dense"]  # nobody wants the gradient of the images


@pytest.mark.parametrize("row", SMALL, ids=lambda row: row.name)
def test_a_measured_row_computes_its_contraction(row, executor):
    """The repeated calls leave the result that the same program has in a session."""
    measured = kernels.Measured(row, executor)
    assert measured.seconds(0.001) > 0
    with tf.Graph().as_default(), tf.Session() as session:
        expected = session.run(*row.build(tf))
    output = measured.arrays[-1]
    np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-5)
    assert np.any(output)


@pytest.mark.parametrize("row", [r for r in SMALL if r.kind != "dX"], ids=lambda row: row.name)
def test_flops_are_those_that_the_compiler_sees(row, executor):
    """A convolution's gradient of its images is several contractions where the stride is not 1."""
    (contraction,) = [step for step in kernels.Measured(row, executor).bound.compiled.steps if step.group.form is Shape.CONTRACTION]
    sizes = {name: getattr(row, row.batch) for name in contraction.lowered.symbols}
    assert row.flops == 2 * math.prod(evaluate(extent, sizes) for extent in contraction.group.root.op.extents)


STACK = re.compile(r"%[xyz]mm\d+.*\(%rsp\)|\(%rsp\).*%[xyz]mm\d+")
RESULT = re.compile(r"\s+vmov\w+\s+%[xyz]mm\d+, -?\d*\((?!%rsp)")  # what a loop around the innermost ones stores
SPILLED = ("dW 5x5x1x6 ",)  # three of its 25 sums wait on the stack; tiles of which none has to are a fifth slower


@pytest.mark.slow
@pytest.mark.parametrize("machine", [AVX512, AVX2], ids=lambda m: m.name)
def test_no_vector_of_an_inner_loop_goes_through_the_stack(machine):
    """In any kernel of the table, with the batch known and unknown."""
    here = target(machine.name)
    generator, loops = machine_of(here), 0
    for row in (*ROWS, *(fixed(row) for row in ROWS if row.batch)):
        with override(target=machine.name), tf.Graph().as_default(), tf.Session() as session:
            steps = session.compiled(*row.build(tf)).plan.compiled.steps
        for step in (s for s in steps if s.lowered is not None):
            code = assembly(emit_kernel(step.lowered.kernel, here), generator)
            inner = [loop for loop in innermost_loops(code) if not any(RESULT.match(line) for line in loop)]
            loops += len(inner)
            if not row.name.startswith(SPILLED) or machine is AVX2:
                assert not [line for loop in inner for line in loop if STACK.search(line)], row.name
    assert loops > 500


@pytest.mark.parametrize("row", SMALL, ids=lambda row: row.name)
def test_an_open_batch_is_open_and_a_fixed_one_is_not(row):
    def is_open(r) -> bool:
        with tf.Graph().as_default():
            return any(d is None for tensor in r.build(tf)[1] for d in tensor.shape.as_list())

    assert is_open(row) is bool(row.batch)
    assert not is_open(fixed(row))


def test_a_peer_is_told_all_it_needs():
    asked = json.loads(json.dumps(request(Convolution("dW", 2, 9, 3, 3, 4, 2, "SAME"))))
    assert asked["what"] == "Convolution" and asked["out"] == 5 and asked["stride"] == 2
    assert json.loads(json.dumps(request(SMALL[0])))["what"] == "Product"


def test_numpy_is_measured_on_products_only():
    assert kernels.numpy_seconds(SMALL[0], 0.001) > 0
    assert kernels.numpy_seconds(SMALL[3], 0.001) is None


def test_a_run_prints_a_table_and_writes_a_record(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(kernels, "groups", lambda: {"few": SMALL[:1], "other": SMALL[3:4]})
    monkeypatch.setattr(kernels.found, "peers", list)
    monkeypatch.setattr(kernels.found, "circumstances", lambda threads: {
        "cpu": "c", "code_for": "x", "cpus": 1, "threads": 1, "load": 0.0, "versions": {}, "machine": MACHINE, "core": MACHINE,
    })  # fmt: skip
    assert kernels.main(["--seconds", "0.001", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "NN 9x7x5" in printed and "rows f0" in printed and "-- other: 1 rows" in printed
    (path,) = tmp_path.glob("*-kernels-x.json")
    row = json.loads(path.read_text())["results"]["few"]["NN 9x7x5"]
    assert row["gflops"] > 0 and row["numpy"] > 0 and row["batch"] > 0 and row["lanes"] == 7 / 16
    with pytest.raises(SystemExit):
        kernels.main(["--only", "nothing like this"])


MACHINE = {"flops": 2e11, "lanes": 16, "l2": 1e11, "l3": 5e10, "dram": 1e10}
