"""Columns of results beyond those that fill whole registers, summed on their own beside the others."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import graphflow as tf
from graphflow.compiler import lower
from graphflow.compiler.builder import ProgramBuilder
from graphflow.compiler.contract.plan import Plan
from graphflow.compiler.groups import Group, Shape
from graphflow.compiler.llvm.target import AVX2, AVX512, SSE2, Target, target
from graphflow.compiler.lower import Lowered, contraction, lower_group
from graphflow.compiler.pipeline import run_passes
from graphflow.compiler.program import Program
from graphflow.config import options, override
from graphflow.kernel.nodes import Contract
from graphflow.runtime.interpreter import interpret
from tests.compiler.llvm import native
from tests.compiler.support import BATCH, feed, inputs_for, matmul, run_groups, state
from tests.compiler.test_borders import check


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lower, "_known", {})


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever columns could be summed apart, they are."""
    monkeypatch.setattr(contraction, "APART_WORTH", math.inf)


def layer(columns: int, inputs: int = 120, batch: Any = BATCH) -> Program:
    """A dense layer, and a step of gradient descent with momentum."""
    b = ProgramBuilder()
    x, g = feed(b, "x", batch, inputs), feed(b, "g", batch, columns)
    w, bias, slot = state(b, "w", inputs, columns), state(b, "bias", columns), state(b, "slot", inputs, columns)
    h = b.maximum(b.add(matmul(b, x, w), bias), 0.0)
    moved = b.add(b.mul(slot, 0.9), matmul(b, x, b.select(b.greater(h, 0.0), g, 0.0), transpose_x=True))
    b.updates["slot"], b.updates["w"] = moved, b.sub(w, b.mul(moved, 0.1))
    return b.finish([h], {"d0": ("x", 0)} if batch is BATCH else {})


def lowered(program: Program, machine: Target) -> list[Lowered]:
    nodes = run_passes(program, options()).nodes
    return [lower_group(g, machine) for g in nodes if isinstance(g, Group) and g.form is Shape.CONTRACTION]


def widths(kernel: Any) -> list[list[int]]:
    """Of each phase of contractions, how many columns each of them makes."""
    phases = [[s for s in phase if isinstance(s, Contract)] for phase in kernel.phases]
    return [[next(a.extent for a in s.free if a.name == "f1") for s in phase] for phase in phases if phase]


@pytest.mark.parametrize("name", native.TARGETS)
@pytest.mark.parametrize("columns", [17, 20, 23, 50, 84])
@pytest.mark.usefixtures("apart")
def test_values(columns: int, name: str) -> None:
    program = run_passes(layer(columns, 37), options())
    inputs = inputs_for(program, 9, seed=columns)

    def made(threads: int) -> Any:
        return run_groups(program, inputs, target(name), lambda k, a, s: native.run_native(k, a, s, name, threads)[0])

    (h,), updates = found = made(1)
    (expected,), moved = interpret(program, inputs)
    np.testing.assert_allclose(h, expected, rtol=2e-5, atol=2e-5)
    for variable, value in moved.items():
        np.testing.assert_allclose(updates[variable], value, rtol=2e-5, atol=2e-5)
    for threads in (2, 4):
        (again,), others = made(threads)
        assert again.tobytes() == found[0][0].tobytes() and all(others[n].tobytes() == updates[n].tobytes() for n in updates)


@pytest.mark.parametrize(("machine", "columns", "parts"), [
    (AVX512, 50, [48, 2]), (AVX512, 100, [96, 4]), (AVX512, 64, [64]), (AVX512, 10, [10]), (AVX512, 31, [31]),
    (AVX2, 50, [48, 2]), (AVX2, 56, [56]), (SSE2, 52, [52]),
])  # fmt: skip
def test_columns_beyond_whole_registers_are_summed_apart_where_they_are_few(machine: Target, columns: int, parts: list[int]) -> None:
    (forward, *_) = lowered(layer(columns, batch=128), machine)
    assert widths(forward.kernel) == [parts]


@pytest.mark.usefixtures("apart")
def test_variables_are_updated_in_place() -> None:
    """Each of the contractions reads and writes elements of its own."""
    for columns in (64, 50):
        *_, update = lowered(layer(columns), AVX512)
        assert len(update.kernel.phases[-1]) == (1 if columns == 64 else 2)
        names = [b.name for b in update.kernel.buffers]
        pairs = {(names[i], names[o]) for i, o in update.inplace}
        assert len({o for _, o in pairs}) == 2, pairs


@pytest.mark.parametrize("case", [
    ((9, 9), (5, 5), 1, "VALID", 1, 20, 50), ((9, 7), (3, 3), 1, "SAME", 1, 20, 36), ((8, 9), (3, 3), 2, "SAME", 1, 18, 24),
    ((8, 8), (5, 5), 2, "SAME", 1, 20, 50), ((6, 6), (1, 1), 1, "SAME", 1, 20, 17), ((7, 7), (3, 3), 1, "SAME", 2, 33, 19),
    ((5, 30), (3, 3), 1, "SAME", 1, 17, 40),
    # One channel: columns are positions of windows.
    ((9, 9), (7, 6), 1, "SAME", 2, 48, 1), ((9, 20), (3, 5), 1, "SAME", 1, 48, 1), ((9, 12), (3, 5), 1, "SAME", 1, 48, 1),
    ((9, 20), (3, 5), 1, "VALID", 1, 48, 1), ((5, 27), (3, 3), 2, "SAME", 1, 16, 1), ((27, 5), (5, 3), 1, "SAME", 1, 32, 1),
])  # fmt: skip
@pytest.mark.parametrize("name", native.TARGETS)
@pytest.mark.usefixtures("apart")
def test_convolutions_and_their_gradients(case: Any, name: str) -> None:
    with override(verify=2):
        check(3, *case, target=name)


@pytest.mark.usefixtures("apart")
def test_each_part_has_a_plan_that_the_step_shows() -> None:
    x, w = tf.placeholder("float32", [None, 100]), tf.placeholder("float32", [100, 20])
    with override(target="avx512"), tf.Session() as session:
        steps = session.compiled(tf.matmul(x, w), {x: np.zeros((64, 100)), w: np.zeros((100, 20))}).report.compiled.steps
    (phase,) = (p for s in steps if s.lowered is not None for p in s.lowered.kernel.phases)
    plans = [s.plan for s in phase if isinstance(s, Contract)]
    assert len(plans) == 2 and all(isinstance(p, Plan) for p in plans)
