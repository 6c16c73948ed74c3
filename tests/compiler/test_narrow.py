"""Loops that are shorter than a register, as the channels of small images: lanes that go on into the next pixel."""

import numpy as np
import pytest

from graphflow.compiler.builder import ProgramBuilder
from graphflow.compiler.llvm.kernel import emit_kernel
from graphflow.compiler.llvm.target import AVX2, AVX512, SSE2, target
from graphflow.compiler.lower import lower_group
from graphflow.compiler.pipeline import run_passes
from graphflow.config import options
from graphflow.kernel.nodes import Loop, Mode
from graphflow.ops.windowed import WindowChoice, WindowFold, WindowRoute, WindowSpread
from graphflow.runtime.interpreter import interpret
from tests.compiler.llvm import native
from tests.compiler.support import BATCH, feed, inputs_for, run_groups


def pool(channels, height=6, width=10, combine="max", size=(2, 2), stride=(2, 2), low=(0, 0), out=(3, 5)):
    b = ProgramBuilder()
    x = feed(b, "x", BATCH, height, width, channels)
    fold = WindowFold(axes=(1, 2), size=size, stride=stride, low=low, combine=combine, out=out)
    return b.finish([b.apply(fold, x)], {"d0": ("x", 0)})


def gradient(channels, height=6, width=8, size=(2, 2), sums=True):
    """The gradient of a pooled activation, and of the bias before it."""
    b = ProgramBuilder()
    x = feed(b, "x", BATCH, height, width, channels)
    dy = feed(b, "dy", BATCH, -(-height // size[0]), -(-width // size[1]), channels)
    windows = {"axes": (1, 2), "size": size, "stride": size, "low": (0, 0)}
    choice = b.apply(WindowChoice(**windows, out=dy.shape[1:3]), x)
    dx = b.apply(WindowRoute(**windows, extents=(height, width)), choice, dy)
    dz = b.select(b.greater(x, 0.0), dx, 0.0)
    return b.finish([dz, b.reduce("add", dz, (0, 1, 2))] if sums else [dz], {"d0": ("x", 0)})


def mean_gradient(channels):
    b = ProgramBuilder()
    dy = feed(b, "dy", BATCH, 3, 5, channels)
    spread = WindowSpread(axes=(1, 2), size=(2, 2), stride=(2, 2), low=(0, 0), extents=(6, 10), mean=True)
    return b.finish([b.apply(spread, dy)], {"d0": ("dy", 0)})


def affine(channels):
    """A row for each image beside each pixel, and numbers of channels beside those: read again and again."""
    b = ProgramBuilder()
    x, row = feed(b, "x", BATCH, 5, 9, channels), feed(b, "row", BATCH, 5, 9, 1)
    return b.finish([b.add(b.mul(x, row), feed(b, "scale", channels))], {"d0": ("x", 0)})


PROGRAMS = {
    "max": lambda c: pool(c),
    "max far apart": lambda c: pool(c, 9, 9, size=(2, 2), stride=(3, 4), out=(3, 2)),
    "max over borders": lambda c: pool(c, 5, 7, size=(3, 3), stride=(2, 2), low=(1, 1), out=(3, 4)),
    "mean": lambda c: pool(c, combine="mean"),
    "mean over borders": lambda c: pool(c, 5, 7, "mean", (2, 2), (2, 2), (0, 0), (3, 4)),
    "gradient": lambda c: gradient(c),
    "gradient without sums": lambda c: gradient(c, sums=False),
    "gradient, odd": lambda c: gradient(c, 7, 9, sums=False),
    "gradient of threes": lambda c: gradient(c, 6, 12, (2, 3)),
    "gradient of a mean": mean_gradient,
    "affine": affine,
}  # fmt: skip


def emitted(program, name, threads):
    def run(kernel, arrays, sizes):
        return native.run_native(kernel, arrays, sizes, name, threads)[0]

    inputs = inputs_for(program, 3, seed=1)
    return run_groups(run_passes(program, options()), inputs, target(name), run)[0], interpret(program, inputs)[0]


@pytest.mark.parametrize(("name", "channels"), [("native", 3), ("native", 6), ("avx2", 6), ("avx2", 10), ("sse2", 1), ("sse2", 3)])
@pytest.mark.parametrize("program", PROGRAMS)
def test_values(program, name, channels):
    for found, wanted in zip(*emitted(PROGRAMS[program](channels), name, 1), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("channels", [3, 6])
def test_the_number_of_threads_does_not_show(channels):
    one, two, four = (emitted(gradient(channels), "native", threads)[0] for threads in (1, 2, 4))
    for a, b, c in zip(one, two, four, strict=True):
        assert a.tobytes() == b.tobytes() == c.tobytes()


def lowered(program, machine):
    (node,) = run_passes(program, options()).nodes
    return lower_group(node, machine).kernel


def vector_loops(statements):
    for s in statements:
        if isinstance(s, Loop):
            yield from [s.extent] if s.mode is Mode.VECTOR else []
            yield from vector_loops(s.body)


@pytest.mark.parametrize(("channels", "machine", "extent"), [
    (6, AVX512, 30), (6, AVX2, 30), (3, SSE2, 15), (8, AVX512, 40), (8, AVX2, 8), (4, SSE2, 4), (16, AVX512, 16), (13, AVX512, 13),
])  # fmt: skip
def test_a_row_of_few_channels_is_one_loop(channels, machine, extent):
    assert list(vector_loops(lowered(pool(channels), machine).phases[0])) == [extent]


@pytest.mark.parametrize(("channels", "machine", "merges"), [(6, AVX512, True), (10, AVX512, False), (10, AVX2, True), (8, AVX2, False)])
def test_windows_that_neighbours_compute_again_merge_where_most_lanes_were_idle(channels, machine, merges):
    loops = list(vector_loops(lowered(gradient(channels, sums=False), machine).phases[0]))
    assert loops == [8 * channels if merges else channels]


@pytest.mark.parametrize("machine", [AVX512, AVX2, SSE2])
@pytest.mark.parametrize("program", ["max", "gradient without sums", "gradient of a mean", "affine"])
def test_nothing_is_gathered(program, machine):
    """Whole loads and permutations of them."""
    text = emit_kernel(lowered(PROGRAMS[program](6), machine), machine)
    assert "gather" not in text and "scatter" not in text and "shufflevector" in text
