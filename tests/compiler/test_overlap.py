"""Gradients of convolutions for inputs of few channels: computed by overlap-add, in every way that there is, they are those of the op's
reference, whatever the number of threads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from graphflow.compiler import lower
from graphflow.compiler.builder import ProgramBuilder
from graphflow.compiler.contract import core
from graphflow.compiler.groups import Group
from graphflow.compiler.llvm.target import AVX512
from graphflow.compiler.lower import contraction
from graphflow.compiler.lower.overlap import PARTS, Priced
from graphflow.compiler.pipeline import run_passes
from graphflow.compiler.program import Program
from graphflow.config import options
from graphflow.graph.op import REGISTRY
from graphflow.kernel.index import Index
from graphflow.kernel.nodes import Kernel, Loop, Role
from tests.compiler.contract.cases import PLAIN, close, interpreted_and_native
from tests.compiler.support import BATCH, feed, inputs_for, run_groups, run_native

SAME, VALID = {"padding": "SAME"}, {"padding": "VALID"}
EXPLICIT = {"padding": "EXPLICIT", "explicit_paddings": (0, 0, 2, 1, 0, 3, 0, 0)}
CASES: dict[str, Any] = {  # image, window, channels, outputs, attributes
    "one channel": ((9, 8), (3, 3), 1, 8, SAME),
    "LeNet's second layer": ((12, 12), (5, 5), 6, 16, VALID),
    "wide": ((7, 9), (3, 3), 10, 5, SAME),
    "flat window": ((6, 9), (1, 5), 3, 4, VALID),
    "high window": ((9, 6), (4, 2), 3, 4, SAME),
    "gradient narrower than the window": ((6, 6), (5, 5), 3, 4, VALID),
    "dilated": ((9, 9), (3, 3), 3, 4, {**SAME, "dilations": (1, 2, 2, 1)}),
    "explicit": ((5, 6), (3, 4), 6, 3, EXPLICIT),
    "row by row": ((10, 30), (3, 2), 6, 3, SAME),
    "three dimensions": ((4, 5, 6), (2, 3, 2), 2, 3, SAME),
}


def conv(attributes: Any, rank: int = 2) -> Any:
    name = {2: "Conv2DBackpropInput", 3: "Conv3DBackpropInputV2"}[rank]
    return REGISTRY[name](strides=(1,) * (rank + 2), **attributes)


def program(case: str, type_: str = "float32", batch: Index = BATCH) -> Program:
    """The gradient for the input, masked as that of a Relu before the convolution is."""
    image, window, channels, outputs, attributes = CASES[case]
    b = ProgramBuilder()
    op = conv(attributes, len(window))
    sizes = b.constant([batch, *image, channels], "int32")
    dy = feed(b, "dy", batch, *(s.out for s in op.geometry(image, window)), outputs, dtype=type_)
    w, x = feed(b, "w", *window, channels, outputs, dtype=type_), feed(b, "x", batch, *image, channels, dtype=type_)
    zero = b.constant(0, type_)
    return b.finish([b.select(b.greater(x, zero), b.apply(op, sizes, w, dy), zero)], {"d0": ("dy", 0)} if batch is BATCH else {})


def wanted(case: str, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """The same by the op's reference."""
    _, window, _, _, attributes = CASES[case]
    dx = conv(attributes, len(window)).reference(np.array(arrays["x"].shape), arrays["w"], arrays["dy"])
    return np.where(arrays["x"] > 0, dx, 0)


def way(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have contractions computed in this one of the ways to do it by overlap-add, or with a border for -1, or within it for -2 (where no
    plan leaves out the border, with one all the same)."""
    every, bordered = contraction.overlap_adds, contraction._bordered

    def one(*arguments: Any) -> Iterator[Priced]:
        yield from (a._replace(cycles=-1.0) for n, a in enumerate(every(*arguments)) if n == number)

    def other(*arguments: Any) -> list[Priced]:
        ways = list(bordered(*arguments))
        return [w for w in ways if any(b.name == contraction.PADDED for b in w.scratch) == (number == -1)] or ways

    monkeypatch.setattr(contraction, "overlap_adds", one)
    monkeypatch.setattr(contraction, "_bordered", other)
    monkeypatch.setattr(lower, "_known", {})
    monkeypatch.setattr(core, "SUNNY_COVE", core.ZEN5)  # there is a plan with a border in every case


def scratch(kernel: Kernel) -> set[str]:
    return {b.name for b in kernel.buffers if b.role is Role.SCRATCH}


WAYS = [(case, number) for case, (_, window, *_) in CASES.items() for number in range(-2, sum(k > 1 for k in window))]


@pytest.mark.parametrize("case, number", WAYS)
def test_every_way_gives_the_same(case: str, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    way(number, monkeypatch)
    built = run_passes(program(case), options()._replace(verify=2))
    arrays = inputs_for(built, 2)
    expected = wanted(case, arrays)
    used = []

    def run(kernel: Kernel, given: Any, sizes: Any) -> Any:
        used.append(scratch(kernel))
        interpreted, native = interpreted_and_native(kernel, given, sizes, (1, 4))
        close(native, expected)
        return interpreted

    (found,), _ = run_groups(built, arrays, PLAIN, run)
    close(found, expected)
    (names,) = used
    assert ("w.terms" in names) == (number >= 0)
    assert "w.padded" in names if number == -1 else number < 0 or "w.padded" not in names


@pytest.mark.parametrize("machine", ["avx2", "sse2"])
@pytest.mark.parametrize("type_", ["float32", "float64"])
@pytest.mark.parametrize("case", ["LeNet's second layer", "one channel", "explicit"])
def test_other_vectors(case: str, type_: str, machine: str) -> None:
    for batch in (1, 3):
        built = program(case, type_, batch)
        arrays = inputs_for(built)
        (found,), _ = run_native(built, arrays, target=machine)
        close(found, wanted(case, arrays))


@pytest.mark.parametrize("batch", [0, 1, 2, 17, 40])
def test_any_number_of_images(batch: int) -> None:
    built = program("LeNet's second layer")
    arrays = inputs_for(built, batch)
    (found,), _ = run_native(built, arrays)
    close(found, wanted("LeNet's second layer", arrays))


def test_an_infinity_touches_its_window_only() -> None:
    built = program("LeNet's second layer")
    arrays = inputs_for(built, 2)
    arrays["x"][...] = 1
    arrays["dy"][1, 3, 2, 5] = np.inf
    arrays["dy"][0, 7, 7, 0] = np.nan
    (found,), _ = run_native(built, arrays)
    finite = np.ones(found.shape, bool)
    finite[1, 3:8, 2:7] = finite[0, 7:, 7:] = False
    np.testing.assert_array_equal(np.isfinite(found), finite)
    expected = wanted("LeNet's second layer", arrays)
    close(found[finite], expected[finite])


def test_no_border_is_made() -> None:
    """One kernel for border, sum and mask; what LeNet's second layer wants of its input is added up where windows overlap."""
    groups = run_passes(program("LeNet's second layer"), options()._replace(verify=2)).nodes
    (group,) = (g for g in groups if isinstance(g, Group))
    assert {n.op.type for n in group.nodes} >= {"Halo", "SumOfProducts", "Greater", "SelectV2"}
    kernel = lower.lower_group(group, AVX512).kernel
    assert scratch(kernel) == {"w.filter", "w.terms"}
    (parts,) = kernel.phases[-1]
    assert isinstance(parts, Loop) and parts.extent == PARTS


def test_a_border_that_others_read_stays() -> None:
    """The padded gradient is fetched as well: it must be in memory, and the contraction reads it there."""
    b = ProgramBuilder()
    padded = b.halo(feed(b, "dy", BATCH, 8, 8, 16), (0, 4, 4, 0), (0, 4, 4, 0))
    w = feed(b, "w", 5, 5, 6, 16)
    left = ((((0, 1),), 0), (((1, 1), (4, 1)), 0), (((2, 1), (5, 1)), 0), (((6, 1),), 0))
    right = ((((4, -1),), 4), (((5, -1),), 4), (((3, 1),), 0), (((6, 1),), 0))
    dx = b.contract(padded, w, (BATCH, 12, 12, 6, 5, 5, 16), 4, left, right)
    built = b.finish([padded, dx], {"d0": ("dy", 0)})
    groups = run_passes(built, options()._replace(verify=2)).nodes
    assert sorted(len(g.nodes) for g in groups if isinstance(g, Group)) == [1, 1]
    arrays = inputs_for(built, 3)
    _, found = run_native(built, arrays)[0]
    close(found, conv(VALID).reference(np.array([3, 12, 12, 6]), arrays["w"], arrays["dy"]))
