"""Code for 64-bit ARM: generated wherever LLVM can, and run where an emulator is installed."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from graphflow.compiler.contract import schedule_contract
from graphflow.compiler.llvm.target import NEON
from graphflow.compiler.lower import lower_group
from graphflow.compiler.passes.fuse import fuse
from graphflow.kernel.builder import KernelBuilder
from graphflow.kernel.expr import call, load
from graphflow.kernel.nodes import Kernel, Mode
from tests.compiler.contract import cases
from tests.compiler.llvm.emulated import assembly, run_emulated, tools
from tests.compiler.llvm.test_math_accuracy import correct, everywhere, scalar, units
from tests.compiler.support import inputs_for, mlp, run_groups

N = cases.symbol("N", 0, None)
CONTRACTIONS = {
    "NN": (cases.matmul(N, 37, 20), {"N": 13}), "TN": (cases.matmul(20, 9, N, "TN"), {"N": 13}), "NT": (cases.matmul(11, 24, 30, "NT"), {}),
    "f64": (cases.matmul(9, 10, 11, type_="f64"), {}), "convolution": (cases.conv(N, 9, 9, 3, 3, 8), {"N": 2}),
    "filter": (cases.conv_filter(2, 8, 8, 3, 3, 8), {}), "depthwise": (cases.depthwise(2, 6, 6, 5, 3), {}),
}  # fmt: skip


def contraction(case: cases.Case) -> Kernel:
    schedule = schedule_contract(case.contract, NEON)
    return Kernel("k", (*case.buffers, *schedule.scratch), case.symbols, schedule.phases)


def elementwise(function: str, count: int, type_: str) -> Kernel:
    b = KernelBuilder("k")
    x, y = b.input("x", type_, (count,)), b.output("y", type_, (count,))
    with b.loop("i", count, Mode.VECTOR) as i:
        b.store(y, i, call(function, load(x.name, type_, i)))
    return b.build()


@pytest.mark.parametrize("case", [c for c, _ in CONTRACTIONS.values()], ids=list(CONTRACTIONS))
def test_contractions_are_vector_code(case):
    """Loops of multiply-adds on whole registers."""
    blocks = re.findall(r"^(\.LBB\w+):(.*?)(?=^\.L)", assembly(contraction(case)), re.M | re.S)
    loops = [body[: body.rindex(label)] for label, body in blocks if label in body]  # up to the jump back
    assert any(re.search(r"\bfmla\tv\d+\.(4s|2d)", body) for body in loops)


def test_every_kernel_of_a_train_step_is_generated():
    """All groups of a training step, as vector code without a call of a library's function."""
    texts = [assembly(lower_group(group, NEON).kernel) for group in fuse(mlp()).nodes if group.form.value != "alias"]
    assert all(re.search(r"\tv\d+\.4s", text) for text in texts)
    assert not any(re.search(r"\bbl\t(?!k\.)", text) for text in texts)


@pytest.mark.parametrize("name", CONTRACTIONS)
def test_contractions_run(name):
    tools()
    case, sizes = CONTRACTIONS[name]
    arrays = cases.inputs(case, sizes)
    found = run_emulated(contraction(case), arrays, sizes)["y"]
    total, size = cases.sums(case, arrays, sizes)
    assert np.all(np.abs(found.ravel() - total.ravel()) <= 1e-6 * size.ravel() + 1e-30)


@pytest.mark.parametrize("type_", ["f32", "f64"])
@pytest.mark.parametrize("function", ["exp", "log", "tanh", "sigmoid", "erf"])
def test_functions_run(function, type_):
    """As near to exact results as on other machines."""
    tools()
    x = everywhere(np.float32 if type_ == "f32" else np.float64, 3000)
    got = run_emulated(elementwise(function, x.size, type_), {"x": x})["y"]
    with np.errstate(all="ignore"):
        wide = x.astype(np.float64 if type_ == "f32" else np.longdouble)
        errors = units(got, scalar(math.erf)(x) if function == "erf" else correct(function, wide))
    assert errors.max() <= (2 if type_ == "f32" else 3), x[errors.argmax()]


def test_a_train_step_runs():
    """Loss and new weights are those of the kernel interpreter."""
    tools()
    program = fuse(mlp())
    inputs = inputs_for(program)
    expected, got = run_groups(program, inputs, NEON), run_groups(program, inputs, NEON, run_emulated)
    np.testing.assert_allclose(got[0][0], expected[0][0], rtol=1e-5)
    for name, value in expected[1].items():
        np.testing.assert_allclose(got[1][name], value, rtol=1e-4, atol=1e-6, err_msg=name)
