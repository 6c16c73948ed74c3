"""Programs compiled and run: any set of passes gives the same values; sizes are bound without compiling."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphflow import errors
from graphflow.compiler.builder import ProgramBuilder
from graphflow.compiler.llvm.target import target
from graphflow.compiler.memory import NEAR, SLACK
from graphflow.compiler.pipeline import PASSES, compile_program, run_passes
from graphflow.config import options
from graphflow.runtime.interpreter import interpret
from graphflow.runtime.jit import Jit, counters, default_jit
from tests.compiler.support import (
    BATCH,
    check,
    feed,
    inputs_for,
    matmul,
    mlp,
    random_program,
    run_groups,
    run_native,
    same,
    state,
)  # fmt: skip
from tests.effort import calls_of
from tests.fuzzing import examples


@given(st.integers(1000, 10**6), st.integers(0, len(PASSES)))
@examples(60)
def test_every_prefix_of_the_passes_gives_the_same_values(seed, limit):
    program = random_program(seed)
    inputs = inputs_for(program, seed=seed)
    grouped = run_passes(program, options()._replace(verify=2, pass_limit=limit))
    same(run_groups(grouped, inputs), interpret(program, inputs), 2e-4)


@pytest.mark.parametrize("off", [p.name for p in PASSES])
def test_every_pass_can_be_left_out(off):
    check(mlp(), tolerance=1e-4, passes_off=frozenset((off,)))


def test_random_programs_natively():
    for seed in range(8):
        program = random_program(seed)
        inputs = inputs_for(program, seed=seed)
        same(run_native(program, inputs), interpret(program, inputs), 2e-4)


def test_another_batch_size_compiles_nothing():
    program = mlp()
    feeds = ["x", "y"]
    compiled = compile_program(program, default_jit(), options(), feeds)
    before = counters.compiled
    for batch in (7, 1, 33, 1000):
        inputs = inputs_for(program, batch)
        same(run_native(program, inputs, compiled), interpret(program, inputs), 2e-4)
    assert counters.compiled == before


def test_kernels_are_begun_before_their_order_is_sought(monkeypatch):
    begun, program = [], mlp()
    whole = compile_program(program, default_jit(), options(), ["x", "y"])
    monkeypatch.setattr(Jit, "begin", lambda jit, request: begun.append(request.key))
    monkeypatch.setattr("graphflow.compiler.schedule.order", lambda *asked: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        compile_program(program, default_jit(), options(), ["x", "y"])
    assert sorted(begun) == sorted({step.lowered.text for step in whole.steps if step.lowered is not None})


def test_training_goes_on_in_place():
    program = mlp(batch=16)
    inputs = inputs_for(program)
    expected = dict(inputs)
    for _ in range(3):
        _, updates = interpret(program, expected)
        expected.update(updates)
    found = dict(inputs)
    for _ in range(3):
        _, updates = run_native(program, found)
        found.update(updates)
    for name in updates:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-5)


def test_two_variables_change_places():
    b = ProgramBuilder()
    v, w = state(b, "v", 50), state(b, "w", 50)
    b.updates.update({"v": w, "w": v})
    check(b.finish([b.add(v, w)]))


def test_an_update_waits_for_every_reader_of_the_old_value():
    b = ProgramBuilder()
    x, w = feed(b, "x", BATCH, 8), state(b, "w", 8, 8)
    y = matmul(b, x, w)
    b.updates["w"] = b.mul(w, 2.0)
    z = matmul(b, b.tanh(y), w)
    program = b.finish([z], {"d0": ("x", 0)})
    check(program)
    compiled = compile_program(program, default_jit(), options(), ["x"])
    writers = [n for n, s in enumerate(compiled.steps) if any(compiled.places[v.id].kind == "state" for v in s.group.outputs)]
    assert writers == [len(compiled.steps) - 1], "written in place, by the last kernel"


def test_an_update_that_its_own_readers_need_is_copied_at_the_end():
    b = ProgramBuilder()
    v = state(b, "v", 4, 4)
    b.updates["v"] = new = b.permute(v, (1, 0))  # in place it would read what it has written
    check(b.finish([b.add(b.exp(new), v)]))


def test_outputs_are_the_callers_own():
    b = ProgramBuilder()
    x, v = feed(b, "x", 4), state(b, "v", 4)
    program = b.finish([x, v, b.view(b.exp(x), (2, 2)), b.constant([1, 2], "int32")])
    inputs = inputs_for(program)
    outputs, _ = run_native(program, inputs)
    assert not any(np.shares_memory(o, i) for o in outputs for i in inputs.values())
    same((outputs, {}), interpret(program, inputs))


def test_sizes_as_outputs_and_operands():
    b = ProgramBuilder()
    x = feed(b, "x", BATCH, 3)
    shape = b.constant(x.shape, "int32")
    mean = b.div(b.reduce("add", x, (0,)), b.cast(b.view(b.section(shape, (0,), (1,)), ()), "float32"))
    check(b.finish([shape, mean], {"d0": ("x", 0)}), batch=9)


def test_an_empty_batch():
    b = ProgramBuilder()
    x, w = feed(b, "x", BATCH, 3), feed(b, "w", 3, 5)
    program = b.finish([matmul(b, x, w), b.reduce("add", x, (0,)), b.reduce("max", x, (1,)), b.exp(x)], {"d0": ("x", 0)})
    check(program, batch=0)


def test_long_reductions():
    b = ProgramBuilder()
    x = feed(b, "x", 300, 70)
    program = b.finish([b.reduce("add", x, (0, 1)), b.reduce("add", x, (0,)), b.reduce("max", x, (1,)), b.mul(x, 2.0)])
    check(program, tolerance=1e-3)


def test_a_failing_check_leaves_variables_alone():
    b = ProgramBuilder()
    x, v = feed(b, "x", 4, dtype="int32"), state(b, "v", 4, dtype="int32")
    b.updates["v"] = b.add(v, 1)
    program = b.finish([b.floordiv(b.constant(7, "int32"), x)])
    inputs = {"x": np.array([1, 0, 2, 3], np.int32), "v": np.arange(4, dtype=np.int32)}
    feeds = ["x"]
    compiled = compile_program(program, default_jit(), options(), feeds)
    from graphflow.runtime.buffers import aligned_copy
    from graphflow.runtime.executor import default_executor
    from graphflow.runtime.launch import Launch

    storage = {"v": aligned_copy(inputs["v"])}
    launch = Launch(compiled.bind([(4,)]), storage, default_executor())
    with pytest.raises(errors.InvalidArgumentError, match="[Dd]ivision by zero"):
        launch.run([inputs["x"]])
    assert storage["v"].tolist() == [0, 1, 2, 3]
    (out,) = launch.run([np.ones(4, np.int32)])
    assert out.tolist() == [7] * 4 and storage["v"].tolist() == [1, 2, 3, 4]


def test_the_plan_stays_near_its_lower_bound():
    program = mlp(width=300, inputs=400)
    compiled = compile_program(program, default_jit(), options(), ["x", "y"])
    for batch in (1, 100, 10000):
        placement = compiled.bind([(batch, 400), (batch, 10)]).placement
        assert placement.bound <= placement.total <= (1.05 if placement.bound > NEAR else SLACK) * placement.bound


def test_report_and_dump(tmp_path):
    program = mlp()
    compiled = compile_program(program, default_jit(), options()._replace(dump_to=str(tmp_path), verify=2), ["x", "y"])
    compiled.bind([(5, 40), (5, 10)])
    report = compiled.report
    assert "9 kernel calls" in repr(report) and "lower bound" in repr(report)
    assert "contraction" in report.program and report.after("capture").count("SumOfProducts") == 5
    assert report.kernel("k0").startswith("kernel k0_") and "define" in report.llvm("k2") and "ret" in report.assembly("k2")
    assert "arena" in report.plan() and "sizes d0 = 5" in report.plan()
    (folder,) = os.listdir(tmp_path)
    files = sorted(os.listdir(tmp_path / folder))
    assert files[0] == "01-capture.txt" and files[-3:] == ["graph.dot", "kernels", "summary.txt"]
    assert any(f.endswith("-plan-5.txt") for f in files)
    fused = next(f for f in files if f.endswith("-fuse.txt"))
    assert (tmp_path / folder / fused).read_text().startswith("# pass fuse: ")
    kernels = os.listdir(tmp_path / folder / "kernels")
    assert {f.rsplit(".", 1)[1] for f in kernels} == {"kernel", "ll", "s"}


def test_the_work_of_the_passes_is_linear():
    def effort(layers: int) -> float:
        b = ProgramBuilder()
        x = feed(b, "x", BATCH, 16)
        value = x
        for _ in range(layers):
            value = b.tanh(b.add(b.mul(value, 1.01), x))
        program = b.finish([value], {"d0": ("x", 0)})
        return calls_of(lambda: run_passes(program, options()._replace(verify=0))) / len(program.nodes)

    effort(10)
    few = effort(100)
    assert effort(500) < 1.15 * few


def test_strings_pass_through():
    b = ProgramBuilder()
    s, x = feed(b, "s", 2, dtype="string"), feed(b, "x", 3)
    program = b.finish([s, b.exp(x), b.constant(np.array([b"literal"], object), "string"), s])
    inputs = {"s": np.array([b"a", b"bc"], object), "x": np.zeros(3, np.float32)}
    outputs, _ = run_native(program, inputs)
    assert outputs[0].tolist() == outputs[3].tolist() == [b"a", b"bc"] and outputs[2].tolist() == [b"literal"]
    assert outputs[1].tolist() == [1, 1, 1] and outputs[0] is not inputs["s"]


@pytest.mark.parametrize("name", ["avx2", "sse2"])
def test_narrower_targets(name):
    jit = Jit(target(name), "")
    for program, batch in ((mlp(width=33, inputs=41), 7), *((random_program(seed), 7) for seed in range(4))):
        inputs = inputs_for(program, batch)
        same(run_native(program, inputs, jit=jit), interpret(program, inputs), 3e-4)
