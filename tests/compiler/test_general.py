"""Groups that differ in numbers only: one kernel, and the values of each."""

import numpy as np
import pytest

from graphflow.compiler.builder import ProgramBuilder
from graphflow.compiler.llvm.target import AVX512
from graphflow.compiler.lower import lower_group
from graphflow.compiler.lower.general import general
from graphflow.compiler.pipeline import run_passes
from graphflow.compiler.program import Source
from graphflow.config import options
from graphflow.dtypes import float32, int64, uint64
from graphflow.ops.random import PhiloxNumbers, TruncatedNumbers
from tests.compiler.support import BATCH, check, feed, run_native


def lowered(program):
    """The kernels of a Program, in order."""
    done = run_passes(program, options()._replace(verify=2))
    return [lower_group(n, AVX512) for n in done.nodes if n.form.value != "alias"]


def updated(*shape):
    b = ProgramBuilder()
    w, g = feed(b, "w", *shape), feed(b, "g", *shape)
    return b.finish([b.sub(w, b.mul(b.square(g), 0.1))])


def slice_of(begin, rows=BATCH):
    b = ProgramBuilder()
    x = b.view(feed(b, "x", rows, 12), (rows, 4, 3))
    return b.finish([b.tanh(b.view(b.section(x, (0, begin, 0), (rows, 1, 3)), (rows, 3)))], {"d0": ("x", 0)} if rows is BATCH else {})


def filled(count, seed, high, distribution="uniform"):
    b = ProgramBuilder()
    numbers = b.apply(PhiloxNumbers(distribution, float32, seed, 7), b.iota((count,), 0, int64), *stream(b))
    return b.finish([b.mul(b.view(numbers, (count // 4, 4)), high)])


def stream(b):
    """The key and the position of a stream of random numbers."""
    state = b.input(Source.FEED, "state", uint64, (2,))
    return tuple(b.view(b.section(state, (k,), (1,)), ()) for k in (0, 1))


@pytest.mark.parametrize("shapes", [((5,), (3, 4, 5), (4096,)), ((2,), (1, 7), (300, 3))])
def test_what_goes_through_memory_in_order_has_one_kernel_for_all_sizes(shapes):
    kernels = [lowered(updated(*shape)) for shape in shapes]
    assert len({low.text for lows in kernels for low in lows}) == 1
    for shape, (low,) in zip(shapes, kernels, strict=True):
        assert low.symbols == (int(np.prod(shape)),) and low.sizes(dict.__getitem__) == {"d0": int(np.prod(shape))}
        check(updated(*shape))


def test_slices_that_begin_elsewhere_have_one_kernel():
    kernels = [low for begin in range(4) for low in lowered(slice_of(begin))]
    assert len(kernels) == 4 and len({low.text for low in kernels}) == 1
    assert "div" not in kernels[0].text and "mod" not in kernels[0].text
    assert [low.symbols[-1] for low in kernels] == [0, 1, 2, 3]
    for begin in range(4):
        check(slice_of(begin), batch=3)


def test_a_slice_can_begin_only_where_it_fits():
    """What a size is at most is said by its name, and with it by the kernel's text."""
    assert lowered(slice_of(1))[0].kernel.symbols[-1].endswith("to3")
    b = ProgramBuilder()
    longer = b.finish([b.tanh(b.section(feed(b, "x", BATCH, 5, 3), (0, 1, 0), (BATCH, 1, 3)))], {"d0": ("x", 0)})
    assert lowered(longer)[0].kernel.symbols[-1].endswith("to4")


def test_a_slice_of_a_border_keeps_its_place():
    b = ProgramBuilder()
    x = b.halo(feed(b, "x", BATCH, 9), (0, 2), (0, 2), 1.0)
    program = b.finish([b.section(x, (0, 1), (BATCH, 5))], {"d0": ("x", 0)})
    (group,) = run_passes(program, options()).nodes
    assert general(group)[1] == {}
    check(program, batch=4)


def test_what_is_not_read_in_order_keeps_its_size():
    b = ProgramBuilder()
    program = b.finish([b.tanh(b.permute(feed(b, "x", 6, 8), (1, 0)))])
    (group,) = run_passes(program, options()).nodes
    assert general(group) == (group, {})

    b = ProgramBuilder()
    program = b.finish([b.add(feed(b, "x", 6, 8), feed(b, "y", 8))])
    (group,) = run_passes(program, options()).nodes
    assert general(group) == (group, {})


def test_random_numbers_of_any_seed_range_and_size_have_one_kernel():
    kernels = [lowered(filled(*what))[0] for what in ((400, 3, 0.5), (4096, 4, 0.25), (300, 2**40 + 1, 2.0))]
    assert len({low.text for low in kernels}) == 1
    assert kernels[0].text.count("] = ") == 4  # the numbers of a block are taken together


@pytest.mark.parametrize(("count", "seed"), [(64, 3), (12, -5), (5000, 2**40 + 1)])
def test_random_numbers(count, seed):
    state = {"state": np.array([9, 2**32 - 3], np.uint64)}
    for kind in ("uniform", "normal"):
        (found,), _ = run_native(filled(count, seed, 0.5, kind), state)
        wanted = PhiloxNumbers(kind, float32, seed, 7).reference(np.arange(count), 9, 2**32 - 3)
        np.testing.assert_allclose(found.ravel(), 0.5 * wanted, rtol=2e-5, atol=2e-6)


def test_truncated_numbers():
    texts = set()
    for count, seed in ((33, 3), (1, 8), (700, 2)):
        b = ProgramBuilder()
        op = TruncatedNumbers(count, float32, seed, 7)
        program = b.finish([b.apply(op, *stream(b))])
        texts |= {low.text for low in lowered(program) if "serial attempt" in low.text}
        (found,), _ = run_native(program, {"state": np.array([9, 5], np.uint64)})
        np.testing.assert_allclose(found, op.reference(9, 5), rtol=2e-5, atol=2e-6)
    assert len(texts) == 1
