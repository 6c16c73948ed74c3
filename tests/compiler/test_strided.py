"""Gradients of strided convolutions for their inputs: all phases are one kernel, which multiplies by no zeros and writes its result where
it belongs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphflow.compiler import lower
from graphflow.compiler.builder import ProgramBuilder
from graphflow.compiler.contract.cuts import lengths
from graphflow.compiler.groups import Group, Shape
from graphflow.compiler.lower.windows import combs_of, within_combs
from graphflow.compiler.pipeline import run_passes
from graphflow.compiler.program import Node, Program
from graphflow.config import options
from graphflow.graph.op import REGISTRY
from graphflow.kernel.index import Index
from graphflow.kernel.nodes import Contract, Kernel, Role, Store
from graphflow.ops.strided import phases
from graphflow.tools.step_limit import products
from tests.compiler.contract.cases import PLAIN, close, interpreted_and_native
from tests.compiler.support import BATCH, feed, inputs_for, run_groups, run_native

SAME, VALID = {"padding": "SAME"}, {"padding": "VALID"}
FIRST = {**SAME, "data_format": "NCHW"}
EXPLICIT = {"padding": "EXPLICIT", "explicit_paddings": (0, 0, 3, 1, 2, 0, 0, 0)}
CASES: dict[str, Any] = {  # image, window, strides, channels, outputs, attributes
    "3x3 /2": ((8, 10), (3, 3), (2, 2), 5, 7, SAME),
    "odd image": ((9, 7), (3, 3), (2, 2), 5, 7, SAME),
    "VALID": ((9, 10), (3, 3), (2, 2), 4, 6, VALID),
    "1x1 /2": ((6, 8), (1, 1), (2, 2), 16, 3, SAME),
    "DCGAN": ((8, 8), (5, 5), (2, 2), 3, 8, SAME),
    "whole taps": ((8, 8), (4, 4), (2, 2), 3, 4, SAME),
    "/3": ((10, 11), (4, 5), (3, 3), 3, 4, SAME),
    "stride wider than the window": ((11, 11), (2, 2), (3, 3), 3, 4, VALID),
    "two strides": ((9, 12), (3, 5), (2, 3), 3, 4, SAME),
    "one stride": ((9, 12), (3, 3), (1, 2), 3, 4, SAME),
    "channels first": ((8, 9), (3, 3), (2, 2), 4, 5, FIRST),
    "explicit": ((8, 9), (3, 4), (2, 2), 4, 5, EXPLICIT),
    "no taps": ((6, 8), (0, 1), (2, 2), 3, 4, SAME),
    "as many taps as steps": ((6, 9), (2, 3), (2, 3), 3, 4, SAME),
    "a row of words": ((9, 8), (3, 8), (1, 1), 1, 6, VALID),
    "every other row": ((9, 8), (3, 8), (2, 1), 2, 6, VALID),
    "the whole image": ((4, 5), (4, 5), (1, 1), 3, 4, VALID),
    "a window in the border": ((1, 2), (3, 4), (1, 2), 3, 4, SAME),
    "channels before words": ((9, 8), (3, 8), (1, 1), 1, 6, {**VALID, "data_format": "NCHW"}),
    "three dimensions": ((4, 5, 6), (2, 3, 3), (2, 2, 2), 2, 3, SAME),
}


def conv(case: str) -> Any:
    _, window, strides, _, _, attributes = CASES[case]
    first = attributes.get("data_format") == "NCHW"
    steps = (1, 1, *strides) if first else (1, *strides, 1)
    return REGISTRY["Conv2DBackpropInput" if len(window) == 2 else "Conv3DBackpropInputV2"](strides=steps, **attributes)


def arranged(case: str, batch: Index, spatial: Any, channels: int) -> list[Index]:
    return [batch, channels, *spatial] if CASES[case][-1].get("data_format") == "NCHW" else [batch, *spatial, channels]


def program(case: str, type_: str = "float32", batch: Index = BATCH) -> Program:
    """The gradient for the input, masked as that of a Relu before the convolution is."""
    image, window, _, channels, outputs, _ = CASES[case]
    b = ProgramBuilder()
    op = conv(case)
    shape = arranged(case, batch, image, channels)
    dy = feed(b, "dy", *arranged(case, batch, [s.out for s in op.geometry(image, window)], outputs), dtype=type_)
    w, x = feed(b, "w", *window, channels, outputs, dtype=type_), feed(b, "x", *shape, dtype=type_)
    zero = b.constant(0, type_)
    dx = b.apply(op, b.constant(shape, "int32"), w, dy)
    return b.finish([b.select(b.greater(x, zero), dx, zero)], {"d0": ("dy", 0)} if batch is BATCH else {})


def wanted(case: str, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """The same by the op's reference."""
    return np.where(arrays["x"] > 0, conv(case).reference(np.array(arrays["x"].shape), arrays["w"], arrays["dy"]), 0)


def groups(built: Program) -> list[Group]:
    nodes = run_passes(built, options()._replace(verify=2)).nodes
    return [g for g in nodes if isinstance(g, Group) and g.form is not Shape.ALIAS]


def sums(built: Program) -> Node:
    (root,) = [g.root for g in groups(built) if g.form is Shape.CONTRACTION]
    assert root is not None
    return root


@pytest.mark.parametrize("case", CASES)
def test_kernels_give_the_reference_on_any_number_of_threads(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lower, "_known", {})
    built = run_passes(program(case), options()._replace(verify=2))
    arrays = inputs_for(built, 2)
    expected = wanted(case, arrays)

    def run(kernel: Kernel, given: Any, sizes: Any) -> Any:
        interpreted, native = interpreted_and_native(kernel, given, sizes, (1, 3))
        close(native, next(interpreted[b.name] for b in kernel.buffers if b.role is Role.OUT))
        return interpreted

    (found,), _ = run_groups(built, arrays, PLAIN, run)
    close(found, expected)


@pytest.mark.parametrize("machine", ["native", "avx2", "sse2"])
@pytest.mark.parametrize("type_", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_compiled(case: str, type_: str, machine: str) -> None:
    for batch in (1, 3):
        built = program(case, type_, batch)
        arrays = inputs_for(built)
        (found,), _ = run_native(built, arrays, target=machine)
        close(found, wanted(case, arrays))


@pytest.mark.parametrize("batch", [0, 1, 2, 17])
def test_any_number_of_images(batch: int) -> None:
    built = program("3x3 /2")
    arrays = inputs_for(built, batch)
    (found,), _ = run_native(built, arrays)
    close(found, wanted("3x3 /2", arrays))


@pytest.mark.parametrize("case", ["3x3 /2", "DCGAN", "1x1 /2"])
def test_phases_are_one_kernel_with_the_mask(case: str) -> None:
    """No phase is computed apart and put into its place afterwards; the filter's border is not made."""
    kernels_of = groups(program(case))
    last = kernels_of[-1]
    assert {"SumOfProducts", "Greater", "SelectV2"} <= {n.op.type for n in last.nodes}
    assert [n.op.type for g in kernels_of[:-1] for n in g.nodes] in ([], ["Halo"])  # the gradient's border
    low = lower.lower_group(last, PLAIN)
    contracts = [s for phase in low.kernel.phases for s in phase if isinstance(s, Contract)]
    assert len(contracts) == (1 if case == "1x1 /2" else 4) and all(low.parallel)
    (out,) = (b.name for b in low.kernel.buffers if b.role is Role.OUT)
    assert sum(isinstance(s, Store) and s.buffer == out for c in contracts for s in c.epilogue) == 4, "pixels without a tap too"


def test_as_many_products_as_the_convolution() -> None:
    """Each phase has its own taps: 4, 2, 2 and 1 of nine, and fewer where they reach into the border."""
    built = program("3x3 /2", batch=1)
    last = groups(built)[-1]
    kernel = lower.lower_group(last, PLAIN).kernel
    contracts = [s for phase in kernel.phases for s in phase if isinstance(s, Contract)]
    counts = sorted(np.prod([max(lengths(a, c.free)) for a in c.reduced]) // 7 for c in contracts)
    assert counts == [1, 2, 2, 4]
    assert products(sums(built).op, {}) == 4 * 5 * 3 * 3 * 5 * 7
    assert products(sums(program("1x1 /2", batch=1)).op, {}) == 3 * 4 * 16 * 3


@pytest.mark.parametrize("case", ["a row of words", "every other row", "the whole image"])
def test_each_position_under_a_single_window_meets_one_tap(case: str) -> None:
    """The gradient of a filter as wide as a word's vector is no sum over the width, nor a kernel for each place in it."""
    (height, width), window, (down, _), channels, outputs, _ = CASES[case]
    (group,) = (g for g in groups(program(case, batch=2)) if g.form is Shape.CONTRACTION)
    contracts = [s for phase in lower.lower_group(group, PLAIN).kernel.phases for s in phase if isinstance(s, Contract)]
    assert len(contracts) == down
    assert products(sums(program(case, batch=2)).op, {}) <= 2 * height * width * channels * window[0] * outputs


def test_rows_that_the_windows_do_not_reach_are_not_summed() -> None:
    """Of ten columns, windows of three at a step of two cover nine; nor does the phase between the taps sum beyond the last window."""
    (group,) = (g for g in groups(program("VALID")) if g.form is Shape.CONTRACTION)
    low = lower.lower_group(group, PLAIN)
    contracts = [s for phase in low.kernel.phases for s in phase if isinstance(s, Contract)]
    extents = [{a.name: a.extent for a in c.free} for c in contracts]
    assert sorted((e["f1"], e["f3"]) for e in extents) == [(4, 4), (4, 5), (5, 4), (5, 5)]
    assert len(low.kernel.phases) > len(contracts), "the others are zeros"


def test_where_the_taps_of_a_phase_are() -> None:
    """Position i of dx meets the taps k with (i + low - k) divisible by the stride."""
    for kernel in range(1, 8):
        for stride in range(1, 5):
            for low in range(7):
                p = phases(kernel, stride, low)
                for i in range(12):
                    q, r = divmod(i + p.cut, stride)
                    met = {(p.first + p.turn * r + stride * t, q + p.ahead + p.late * r - t) for t in range(p.taps)}
                    assert {(k, at) for k, at in met if k < kernel} == {(k, (i + low - k) // stride) for k in range(kernel)
                                                                       if (i + low - k) % stride == 0}  # fmt: skip
                    assert min(k for k, _ in met) >= 0


def test_a_border_that_others_read_is_made() -> None:
    """The padded filter is fetched as well."""
    b = ProgramBuilder()
    dy = b.halo(feed(b, "dy", 2, 4, 8), (0, 1, 0), (0, 0, 0))
    w = b.halo(feed(b, "w", 3, 5, 8), (0, 0, 0), (1, 0, 0))
    left = ((((0, 1),), 0), (((1, 1), (4, 1)), 0), (((5, 1),), 0))
    right = ((((2, 1), (4, -2)), 2), (((3, 1),), 0), (((5, 1),), 0))
    built = b.finish([b.contract(dy, w, (2, 4, 2, 5, 2, 8), 4, left, right), w], {})
    (halo,) = (n for n in built.nodes if n.outputs[0] is w)
    root = sums(built)
    (comb,) = combs_of(root.op)
    assert (comb.row, comb.tap, comb.turn, comb.step, comb.size) == (2, 4, 1, 2, 3) and within_combs(root, halo)
    assert [[n.op.type for n in g.nodes] for g in groups(built)].count(["Halo"]) == 2
    arrays = inputs_for(built)
    (found, padded), _ = run_native(built, arrays)
    np.testing.assert_array_equal(padded[:3], arrays["w"])
    dx = np.zeros((2, 10, 5))
    for k in range(3):
        dx[:, k : k + 8 : 2] += arrays["dy"] @ arrays["w"][k].T
    close(found.reshape(2, 8, 5), dx[:, :8].astype(np.float32))
