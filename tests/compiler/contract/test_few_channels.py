"""Convolutions whose results have fewer channels than a register has lanes: steps of a reduction beside each other, results interleaved."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from graphflow.compiler.llvm.builder import FunctionBuilder, Reg
from graphflow.compiler.llvm.target import AVX512, target
from graphflow.compiler.llvm.transpose import weaving, woven
from graphflow.kernel.expr import load, local, maximum, position
from graphflow.kernel.index import symbol
from graphflow.kernel.nodes import Buffer, Role, Store
from tests.compiler.contract.cases import Case, Compiled, check, conv, conv_filter, inputs, matmul, sums

N = symbol("N", 0, None)
FOLDED = [
    (conv_filter(N, 28, 28, 1, 5, 6), {"N": 9}),  # two steps in each column's lanes
    (conv_filter(N, 18, 18, 1, 3, 3), {"N": 11}),  # four, and windows
    (conv_filter(5, 18, 20, 1, 3, 8, type_="f64"), {}),
    (conv_filter(N, 16, 18, 4, 3, 6), {"N": 5}),  # the steps of no operand lie side by side for all columns
    (matmul(37, 2, 64), {}),
]
WOVEN = [
    (conv(N, 28, 28, 1, 5, 6), {"N": 3}),  # pairs, then three rows
    (conv(N, 14, 19, 1, 3, 3), {"N": 2}),  # the last register of a row has lanes that do not exist
    (conv(3, 12, 12, 1, 5, 8, type_="f64"), {}),
    (conv(2, 20, 20, 1, 3, 5), {}),
    (conv(2, 11, 34, 1, 3, 7), {}),
]


@pytest.mark.parametrize("machine", ["native", "avx2", "sse2"])
@pytest.mark.parametrize("number", range(len(FOLDED + WOVEN)))
def test_few_channels(number: int, machine: str) -> None:
    case, sizes = (FOLDED + WOVEN)[number]
    check(case, sizes, machine)


@pytest.mark.parametrize("columns", [3, 6])
def test_steps_with_gaps_between_them(columns: int) -> None:
    """The columns are some of a wider matrix's, so that their steps are no piece of memory."""
    case = matmul(N, columns, 64)
    k, j = symbol("k", 0, 63), symbol("j", 0, columns - 1)
    right = load("w", "f32", k * 9 + j)
    buffers = tuple(replace(b, shape=(64, 9)) if b.name == "w" else b for b in case.buffers)
    case = Case(replace(case.contract, right=right), buffers, case.symbols)
    host = target("native")
    compiled = check(case, {"N": 61}, AVX512 if host.masks else host)
    assert compiled.plan().fold or not host.masks


def test_columns_that_leave_lanes_empty_share_a_register_with_further_steps() -> None:
    assert Compiled(conv_filter(N, 28, 28, 1, 5, 6), AVX512).plan().fold == ("ow", 2)
    assert Compiled(conv_filter(N, 18, 18, 1, 3, 3), AVX512).plan().abreast == 4
    assert Compiled(conv_filter(N, 28, 28, 1, 5, 16), AVX512).plan().fold is None, "these fill a register"
    assert Compiled(conv_filter(N, 27, 27, 1, 5, 6), AVX512).plan().fold is None, "an odd number of steps would leave one"


def test_narrow_results_are_interleaved() -> None:
    plan = Compiled(conv(N, 28, 28, 1, 5, 6), AVX512).plan()
    assert plan.woven
    assert (plan.vector, plan.rows, plan.sub) == ("ow", "oh", "oc")


@pytest.mark.parametrize("machine", ["native", "avx2"])
def test_an_interleaved_epilogue(machine: str) -> None:
    """What differs from channel to channel, and from place to place, and a second store."""
    case = conv(N, 14, 20, 1, 3, 6)
    n, oh, ow, oc = (symbol(s, 0, e) for s, e in (("n", None), ("oh", 11), ("ow", 17), ("oc", 5)))
    at = ((n * 12 + oh) * 18 + ow) * 6 + oc
    acc = local("acc", "f32")
    epilogue = (
        Store("y", at, maximum(acc + load("bias", "f32", oc) + load("row", "f32", ow), 0)),
        Store("z", at, acc * position(ow * 6 + oc, "f32")),
    )
    buffers = (Buffer("bias", "f32", (6,), Role.IN), Buffer("row", "f32", (18,), Role.IN), Buffer("z", "f32", (N, 12, 18, 6), Role.OUT))
    case = Case(replace(case.contract, epilogue=epilogue), (*case.buffers, *buffers), case.symbols)
    compiled = Compiled(case, machine)
    assert compiled.plan().woven
    arrays = inputs(case, {"N": 3})
    want, _ = sums(case, arrays, {"N": 3})
    compiled.run(arrays, {"N": 3}, 2)
    np.testing.assert_allclose(arrays["y"], np.maximum(want + arrays["bias"] + arrays["row"][:, None], 0), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(arrays["z"], want * np.arange(108).reshape(18, 6), rtol=1e-4, atol=1e-3)


def test_an_epilogue_that_reads_what_lies_beside_its_result_is_not_interleaved() -> None:
    """Neighbours along the lanes would read elements six apart, each alone."""
    case = conv(N, 28, 28, 1, 5, 6)
    n, oh, ow, oc = (symbol(s, 0, e) for s, e in (("n", None), ("oh", 23), ("ow", 23), ("oc", 5)))
    at = ((n * 24 + oh) * 24 + ow) * 6 + oc
    added = replace(case.contract, epilogue=(Store("y", at, local("acc", "f32") + load("z", "f32", at)),))
    case = Case(added, (*case.buffers, Buffer("z", "f32", (N, 24, 24, 6), Role.IN)), case.symbols)
    assert not Compiled(case, AVX512).plan().woven


@pytest.mark.parametrize("lanes", [4, 8, 16])
@pytest.mark.parametrize("rows", range(1, 20))
def test_weaving_takes_as_many_shuffles_as_its_price_says(rows: int, lanes: int) -> None:
    b = FunctionBuilder("f", [])
    out = woven(b, [Reg(f"<{lanes} x float>", f"%r{n}") for n in range(rows)])
    assert len(out) == rows
    assert str(b.finish()).count("shufflevector") == weaving(rows, lanes)
