"""The report's data: every line of machine code leads to a statement, a node, an operation and a line of the user's program."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphflow as tf
from graphflow.compiler.dump import CompiledReport
from graphflow.compiler.llvm.kernel import emit_kernel
from graphflow.compiler.llvm.marks import emit_marked, located_assembly, with_locations
from graphflow.compiler.lower import lower_traced
from graphflow.runtime.jit import default_jit
from graphflow.tools.recorder import Recorder, Signature, recording
from graphflow.tools.report import model_of, page_text
from graphflow.tools.report.assembly import kind_of, loop_depths, statistics
from graphflow.tools.report.model import Model
from tests.tools.nets import MACHINE


def small_net() -> tuple[tf.Session, Any, dict[Any, Any]]:
    x = tf.placeholder(tf.float32, [None, 20], name="x")
    y = tf.placeholder(tf.int64, [None], name="y")
    hidden = tf.layers.dense(x, 33, activation=tf.nn.tanh, name="hidden")
    logits = tf.layers.dense(hidden, 10, name="logits")
    loss = tf.losses.sparse_softmax_cross_entropy(y, logits)
    train = tf.train.MomentumOptimizer(0.1, 0.9).minimize(loss)
    session = tf.Session()
    session.run(tf.global_variables_initializer())
    return session, [loss, train], {x: np.random.RandomState(0).rand(7, 20), y: np.arange(7)}


@pytest.fixture(scope="module")
def recorder() -> Recorder:
    with recording(Recorder()) as found, tf.Graph().as_default():
        session, fetches, feed = small_net()
        for _ in range(3):
            session.run(fetches, feed)
    return found


@pytest.fixture(scope="module")
def model(recorder: Recorder) -> Model:
    return model_of("small", recorder.signatures, MACHINE)


def step_of(model: Model) -> dict[str, Any]:
    """The train step: the signature with most operations."""
    return max(model.data["signatures"], key=lambda s: len(s["ops"]))


def signature_of(recorder: Recorder) -> Signature:
    """The train step: the signature that needs most memory for what lives in it alone."""
    return max(recorder.signatures, key=lambda s: s.bound.placement.total)


def test_marks_and_locations_leave_the_code_as_it_is(recorder: Recorder) -> None:
    jit = default_jit()
    report: CompiledReport = signature_of(recorder).compiled.report
    for step in report.compiled.steps:
        lowered, provenance = lower_traced(step.group, jit.target)
        assert lowered.text == step.lowered.text
        marked = emit_marked(lowered.kernel, jit.target, provenance.node)
        plain = emit_kernel(lowered.kernel, jit.target)
        assert marked.text == plain and len(marked.owners) == len(plain.rstrip("\n").split("\n"))
        without, located = (located_assembly(jit.assembly(t)) for t in (plain, with_locations(plain)))
        assert [line.text for line in without] == [line.text for line in located]
        assert not any(line.line for line in without) and any(line.line for line in located)


def test_assembly_leads_to_llvm_to_the_loop_ir_to_an_operation_and_its_line(model: Model) -> None:
    step = step_of(model)
    names = [op[0] for op in step["ops"]]
    for kernel in step["kernels"]:
        code = json.loads(model.texts[step["codes"][kernel["code"]]["text"]])
        instructions = [line for line in code["asm"] if line[1]]
        assert len(instructions) > 0.6 * step["codes"][kernel["code"]]["instructions"], kernel["name"]
        for _, line, _ in instructions:
            assert 1 <= line <= len(code["llvm"])
        reached = {node for _, line, _ in instructions for node in [code["llvm"][line - 1][2]] if node >= 0}
        assert reached, kernel["name"]
        for node in reached:
            for op in kernel["nodes"][node]:
                assert names[op] in names and step["ops"][op][3] > 0, "an operation with a line of this file"
        statements = {s for _, s, _ in code["ir"] if s >= 0}
        written = {s for _, s, _ in code["llvm"] if s >= 0}
        assert written <= statements, "and what a statement makes is its own"
        stores = [s for text, s, _ in code["ir"] if s >= 0 and " = " in text and not text.split()[0].startswith(("%", "let", "var"))]
        assert set(stores) <= written


def test_an_exponential_is_of_the_operation_that_asked_for_it(model: Model) -> None:
    step = step_of(model)
    tanh = next(k for k, op in enumerate(step["ops"]) if op[1] == "Tanh")
    kernel = step["kernels"][step["ops"][tanh][8][0]]
    code = json.loads(model.texts[step["codes"][kernel["code"]]["text"]])
    node = next(n for n, ops in enumerate(kernel["nodes"]) if tanh in ops)
    own = [text for text, _, n in code["llvm"] if n == node]
    product = [text for text, _, n in code["llvm"] if kernel["kinds"][n] == "SumOfProducts"]
    assert any("fdiv" in text or "fma" in text for text in own) and len(own) > 5
    assert any("llvm.fma" in text or "fmul" in text for text in product)
    assert any("tanh(" in text and node in nodes for text, _, nodes in code["ir"])


def test_times_add_up_and_are_shared_out(model: Model, recorder: Recorder) -> None:
    for step in model.data["signatures"]:
        kernels = sum(k["seconds"] for k in step["kernels"])
        lines = sum(op[9] for op in step["ops"])
        assert 0 < kernels <= step["wall"] * 1.0001
        asked = sum(k["seconds"] for k in step["kernels"] if k["ops"])
        assert lines == pytest.approx(asked, rel=0.01), "a copy of a literal into a variable is made for no operation"


def test_memory_is_the_plan(model: Model, recorder: Recorder) -> None:
    step = step_of(model)
    memory, bound = step["memory"], signature_of(recorder).bound
    assert memory["total"] == bound.placement.total and max(memory["live"]) == memory["bound"] == memory["live"][memory["peak"]]
    assert [b["offset"] for b in memory["blocks"]] == list(bound.placement.offsets)
    assert any(len(b["values"]) > 1 for b in memory["blocks"]) or len(memory["blocks"]) < 4, "in-place reuse is told"
    assert {o["name"] for o in memory["outside"] if o["kind"] == "variable"} >= {"hidden/kernel", "logits/bias"}


def test_passes_say_what_they_did_and_by_which_rule(model: Model) -> None:
    passes = step_of(model)["passes"]
    assert [p["name"] for p in passes][:2] == ["capture", "fold_constants"] and all(p["why"] for p in passes)
    nodes = passes[0]["nodes"]
    for before, after in pairwise(passes):
        assert after["nodes"] == nodes - after["removed"] + after["added"]
        nodes = after["nodes"]
        told = any(after[what] for what in ("removed", "added", "changed", "grouped", "moved"))
        assert (after["text"] == before["text"]) == (not told)
    rules = {r["rule"]: (r["count"], r["examples"]) for p in passes for r in p["rules"]}
    assert rules["x op 1 -> x"][0] == 2 and "Mul" in rules["x op 1 -> x"][1][0]
    assert next(p for p in passes if p["name"] == "fuse")["grouped"] > 10


def test_the_file_carries_its_data_safely(model: Model) -> None:
    model.data["sources"].append({"name": "</script><script>bad()", "path": "", "lines": ["<!-- </script>"]})
    text = page_text(model)
    model.data["sources"].pop()
    inside = text.split('id="data">')[1].split("</script>")[0]
    assert json.loads(inside)["sources"][-1]["lines"] == ["<!-- </script>"]
    assert text.count("</script>") == len(model.texts) + 2


def test_notebooks_and_sessions_show_the_page(tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph:
        session, fetches, feed = small_net()
        options = tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE)
        session.run(fetches, feed, options=options, run_metadata=tf.RunMetadata())
        assert "&quot;hidden/Tanh&quot;" in graph._repr_html_() and graph._repr_html_().startswith("<iframe srcdoc=")
        tensor = graph.get_tensor_by_name("hidden/MatMul:0")._repr_html_()
        assert "&quot;hidden/MatMul&quot;" in tensor and "&quot;logits/MatMul&quot;" not in tensor
        assert "k0_" in session.compiled(fetches, feed)._repr_html_()
        session.report(str(tmp_path / "page.html"))
    data = json.loads((tmp_path / "page.html").read_text().split('id="data">')[1].split("</script>")[0])
    traced = [s for s in data["signatures"] if s["runs"]]
    assert len(traced) == 1 and traced[0]["laps"] and traced[0]["wall"] > 0


def test_instructions_are_told_apart() -> None:
    cases = {
        ("vfmadd231ps", "%zmm1, %zmm2, %zmm3"): "multiply-add", ("vmovups", "(%rax), %zmm0"): "load", ("vmovups", "%zmm0, (%rax)"): "store",
        ("vmovaps", "%zmm0, %zmm1"): "move", ("jl", ".LBB0_3"): "branch", ("vaddps", "%ymm0, %ymm1, %ymm2"): "arithmetic",
        ("leaq", "(%rax), %rcx"): "integer",
        ("vbroadcastss", "(%rax), %zmm1"): "shuffle", ("fmla", "v0.4s, v1.4s, v2.s[0]"): "multiply-add", ("ldr", "q0, [x0]"): "load",
        ("b.lt", ".LBB0_1"): "branch",
        ("vcvttps2dq", "%zmm0, %zmm1"): "convert", ("vcmpltps", "%zmm0, %zmm1, %k1"): "compare, mask",
        ("vpaddd", "%zmm0, %zmm1, %zmm2"): "vector integer", ("tdpbf16ps", "%tmm6, %tmm4, %tmm0"): "multiply-add",
        ("tileloadd", "(%rsi,%r14), %tmm4"): "load", ("tilestored", "%tmm1, 64(%r15,%rdx)"): "store",
    }  # fmt: skip
    assert {case: kind_of(*case) for case in cases} == cases
    text = "f:\n\tmovq %rax, %rbx\n.LBB0_1:\n.LBB0_2:\n"
    text += "\tvaddps %zmm1, %zmm2, %zmm3\n\tvmovups %zmm3, 8(%rsp)\n\tjne .LBB0_2\n\taddq $1, %rax\n\tjl .LBB0_1\n\tret"
    lines = located_assembly("\t.text\n" + text)
    assert loop_depths(lines) == [0, 0, 1, 2, 2, 2, 2, 1, 1, 0]
    found = statistics(lines)
    assert found["vector"] == 512 and found["stack"] == 1 and found["depth"] == 2
    assert found["registers"] == {"vector": 3, "general": 2, "mask": 0}
    assert found["inner"] == {"arithmetic": 1, "store": 1, "branch": 1} and found["instructions"] == 7


def test_operations_inside_loops_have_their_lines_and_times() -> None:
    with recording(Recorder()) as found, tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, [None, 8])
        last = tf.while_loop(lambda i, h: i < 4, lambda i, h: (i + 1, tf.tanh(h, name="squash")), [0, x])[1]
        for _ in range(3):
            session.run(last, {x: np.ones((300, 8))})
    step = step_of(model_of("loop", found.signatures, MACHINE))
    rows = {row[0]: row for row in step["ops"]}
    assert {"while/squash", "while/LoopCond", "while/NextIteration", "while/Exit_1"} <= rows.keys()
    _, kind, _, line, _, inputs, _, _, kernels, seconds, size = rows["while/squash"]
    assert kind == "Tanh" and line and inputs and kernels and seconds > 0 and size == 300 * 8 * 4
