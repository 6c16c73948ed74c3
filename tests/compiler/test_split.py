"""Loops cut into ranges, periods taken together, and sums of columns in registers: the same values, and the form that makes them fast."""

import numpy as np
import pytest

import graphflow as tf
from graphflow.compiler.builder import ProgramBuilder
from graphflow.compiler.llvm.kernel import emit_kernel
from graphflow.compiler.llvm.target import AVX512
from graphflow.compiler.lower import lower_group
from graphflow.compiler.pipeline import run_passes
from graphflow.compiler.program import Source
from graphflow.config import options
from graphflow.dtypes import float32, int64, uint32, uint64
from graphflow.kernel.expr import Call, walk
from graphflow.kernel.index import symbol
from graphflow.kernel.nodes import Loop, Mode, Store
from graphflow.kernel.printer import text
from graphflow.kernel.verify import verify
from graphflow.ops.random import PhiloxNumbers
from graphflow.ops.windowed import WindowChoice, WindowRoute
from tests.compiler.support import BATCH, check, feed, matmul, run_groups, run_native, same


def kernels(program):
    """The kernels of a Program, by the form of their groups."""
    done = run_passes(program, options())
    return {n.form.value: lower_group(n, AVX512) for n in done.nodes}


def everything(stmts):
    for s in stmts:
        yield s
        yield from everything(getattr(s, "body", ()))


def halo(channels=16, low=(0, 2, 1, 0), high=(0, 1, 2, 0)):
    b = ProgramBuilder()
    return b.finish([b.halo(feed(b, "x", BATCH, 9, 11, channels), low, high, 0.5)], {"d0": ("x", 0)})


def planes(channels, height=5, width=19, low=(0, 1, 2, 0), high=(0, 2, 1, 0)):
    """Colour planes as an image with a border: NCHW to NHWC."""
    b = ProgramBuilder()
    x = feed(b, "x", BATCH, channels, height, width)
    return b.finish([b.halo(b.mul(b.permute(x, (0, 2, 3, 1)), 0.5), low, high, 0.25)], {"d0": ("x", 0)})


def routed(b, x, dy, size):
    """The gradient of the maximum over windows that lie side by side."""
    windows = {"axes": (1, 2), "size": (size, size), "stride": (size, size), "low": (0, 0)}
    choice = b.apply(WindowChoice(**windows, out=dy.shape[1:3]), x)
    return b.apply(WindowRoute(**windows, extents=x.shape[1:3]), choice, dy)


def pooled(channels=16, height=8, width=12, size=2):
    """The gradients of a pooled activation and of the bias before it."""
    b = ProgramBuilder()
    x = feed(b, "x", BATCH, height, width, channels)
    dy = feed(b, "dy", BATCH, -(-height // size), -(-width // size), channels)
    h = b.maximum(x, 0.0)
    dx = routed(b, h, dy, size)
    dz = b.select(b.greater(h, 0.0), dx, 0.0)
    return b.finish([dz, b.reduce("add", dz, (0, 1, 2))], {"d0": ("x", 0)})


def test_the_middle_of_a_halo_tests_nothing():
    text = kernels(halo())["pointwise"].text
    assert "select" not in text and "if" not in text.split("phase 0")[1]


@pytest.mark.parametrize("channels", [1, 3, 16, 33])
def test_halo(channels):
    check(halo(channels), batch=3)
    check(halo(channels, (1, 0, 3, 0), (0, 2, 0, 1)), batch=2)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("width", [15, 16, 19, 40])
def test_planes_to_an_image(channels, width):
    check(planes(channels, 5, width), batch=3)
    check(planes(channels, 5, width, (0, 0, 0, 0), (0, 0, 1, 0)), batch=2)


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_a_few_planes_are_read_along_their_rows_and_stored_side_by_side(channels):
    (kernel,) = kernels(planes(channels)).values()
    loops = [s for s in everything(kernel.kernel.phases[0]) if isinstance(s, Loop) and s.mode is Mode.VECTOR and s.extent == 19]
    assert [len(s.body) for s in loops] == [channels]
    assert "gather" not in emit_kernel(kernel.kernel, AVX512)


@pytest.mark.parametrize(("height", "width", "size"), [(8, 12, 2), (7, 9, 2), (9, 12, 3), (10, 8, 4), (12, 11, 5)])
@pytest.mark.parametrize("channels", [6, 16, 40])
def test_gradient_of_a_pooled_activation(channels, height, width, size):
    program = pooled(channels, height, width, size)
    check(program, batch=17, tolerance=2e-4)
    rng = np.random.default_rng(1)
    shapes = {i.name: [d if isinstance(d, int) else 5 for d in i.value.shape] for i in program.inputs}
    inputs = {name: rng.uniform(-1, 1, shape).astype(np.float32) for name, shape in shapes.items()}
    same(run_groups(run_passes(program, options()), inputs), run_native(program, inputs), 2e-4)


def test_a_pooled_gradient_is_one_kernel_without_divisions():
    low = kernels(pooled())["columns"]
    assert low.text.count("add=") == 1, "a window's gradients are added up before they are added to the sum, for which the next one waits"
    first = low.kernel.phases[0]
    batch = low.kernel.buffers[0].shape[0]
    stores = [s for s in everything(first) if isinstance(s, Store) and low.kernel.buffer(s.buffer).shape[0] == batch]
    assert len(stores) == 4  # a window at a time
    vector = [s for s in everything(first) if isinstance(s, Loop) and s.mode is Mode.VECTOR]
    assert any(type(s).__name__ == "Var" for loop in vector for s in loop.body)  # sums in registers
    assert all("mod(" not in str(s.offset) for s in stores)


@pytest.mark.parametrize(("channels", "height", "shares"), [(16, 8, True), (48, 8, True), (6, 8, False), (16, 9, False)])
def test_a_pooled_gradient_overwrites_the_activation(channels, height, shares):
    """Window by window; not where lanes are masked, nor where windows at the border stand in a loop of their own."""
    b = ProgramBuilder()
    x, w = feed(b, "x", BATCH, 20), feed(b, "w", 20, height * 12 * channels)
    dy = feed(b, "dy", BATCH, -(-height // 2), 6, channels)
    h = b.view(b.maximum(matmul(b, x, w), 0.0), (BATCH, height, 12, channels))
    dx = routed(b, h, dy, 2)
    dz = b.select(b.greater(h, 0.0), dx, 0.0)
    program = b.finish([b.mul(dz, 2.0), b.reduce("add", dz, (0, 1, 2))], {"d0": ("x", 0)})
    low = kernels(program)["columns"]
    assert any(low.kernel.buffers[o].shape[1:] == (height, 12, channels) for _, o in low.inplace) is shares
    check(program, batch=17, tolerance=2e-4)


@pytest.mark.parametrize("kind", ["uniform", "normal", "bits"])
@pytest.mark.parametrize("columns", [64, 100, 102, 7])
def test_random_numbers_by_blocks(kind, columns):
    """However elements are taken together, an element has the number of its position."""
    b = ProgramBuilder()
    x = feed(b, "x", BATCH, columns)
    key, taken = (b.constant(np.array(v, np.uint64), uint64) for v in (5, 2**32 - 3))
    op = PhiloxNumbers(kind, uint32 if kind == "bits" else float32, 3, 4)
    numbers = b.view(b.apply(op, b.iota((BATCH * columns,), 0, int64), key, taken), (BATCH, columns))
    program = b.finish([numbers, b.add(b.cast(numbers, float32), x)], {"d0": ("x", 0)})
    rng = np.random.default_rng(0)
    for rows in (1, 9, 64):
        inputs = {"x": rng.uniform(-1, 1, (rows, columns)).astype(np.float32)}
        (found, shifted), _ = run_native(program, inputs)
        wanted = op.reference(np.arange(rows * columns), 5, 2**32 - 3).reshape(rows, columns)
        np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=2e-6)
        np.testing.assert_allclose(shifted, found.astype(np.float32) + inputs["x"], rtol=2e-5, atol=2e-6)


def test_blocks_of_random_numbers_need_not_lie_in_one_row():
    """Of fifty columns no four times a whole number stand in a row, but in fifty rows."""
    b = ProgramBuilder()
    x = feed(b, "x", BATCH, 50, 50)
    key, taken = (b.constant(np.array(v, np.uint64), uint64) for v in (5, 6))
    numbers = b.apply(PhiloxNumbers("uniform", float32, 3, 4), b.iota((BATCH * 2500,), 0, int64), key, taken)
    program = b.finish([b.mul(b.view(numbers, (BATCH, 50, 50)), x)], {"d0": ("x", 0)})
    stores = [s for s in everything(kernels(program)["pointwise"].kernel.phases[0]) if isinstance(s, Store)]
    assert len(stores) == 4
    check(program, batch=3)


def test_a_block_of_random_numbers_is_computed_once():
    b = ProgramBuilder()
    key, taken = (b.constant(np.array(v, np.uint64), uint64) for v in (5, 6))
    state = b.input(Source.FEED, "x", float32, (64, 64))
    numbers = b.apply(PhiloxNumbers("uniform", float32, 3, 4), b.iota((4096,), 0, int64), key, taken)
    low = kernels(b.finish([b.add(b.view(numbers, (64, 64)), state)]))["pointwise"]
    stores = [s for s in everything(low.kernel.phases[0]) if isinstance(s, Store)]
    products = {e for s in stores for e in walk(s.value) if isinstance(e, Call) and e.function == "mulhi"}
    assert len(stores) == 4 and len(products) <= 20  # two for each of ten rounds


@pytest.mark.parametrize("columns", [16, 32, 200, 1024])
@pytest.mark.parametrize("rows", [1, 5, 130, 700])
def test_sums_of_columns(rows, columns):
    b = ProgramBuilder()
    x = feed(b, "x", BATCH, columns)
    y = b.mul(x, 2.0)
    program = b.finish([b.reduce("add", y, (0,)), b.reduce("max", x, (0,)), y], {"d0": ("x", 0)})
    check(program, batch=rows, tolerance=2e-4)


def test_kernels_are_remembered_with_their_own_sizes():
    """Two programs that differ in the name of a size inside a literal alone."""
    for name in ("d0", "s0"):
        n = symbol(name, 1)
        b = ProgramBuilder()
        x = feed(b, "x", n, 2)
        known = np.empty(2, object)
        known[:] = [0, n * 256]
        y = feed(b, "y", 2, dtype="int64")
        program = b.finish([b.add(y, b.constant(known, int64)), b.add(x, 1.0)], {name: ("x", 0)})
        inputs = {"x": np.zeros((3, 2), np.float32), "y": np.array([1, 2], np.int64)}
        (found, _), _ = run_native(program, inputs)
        assert found.tolist() == [1, 770]


@pytest.mark.parametrize("size", [8, 13])
def test_a_pool_s_gradient_with_its_sum_for_a_bias_is_a_right_kernel(size):
    """Pixels at the edge of an odd image belong to smaller windows: they have loops of their own, beside those of the others."""
    w = np.random.default_rng(0).standard_normal((3, 3, 2, 32)).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, [None, size, size, 2])
        bias = tf.Variable(tf.zeros([32]))
        h = tf.nn.relu(tf.nn.conv2d(x, w, [1, 1, 1, 1], "SAME") + bias)
        pooled = tf.nn.max_pool(h, [1, 2, 2, 1], [1, 2, 2, 1], "SAME")
        (g,) = tf.gradients(tf.reduce_sum(pooled * pooled), [bias])
        session.run(bias.initializer)
        given = {x: np.random.default_rng(1).standard_normal((3, size, size, 2)).astype(np.float32)}
        found, values = session.run([g, pooled], given)
        lowered = [s.lowered for s in session.compiled(g, given).plan.compiled.steps]
    for low in lowered:
        if low is not None:
            verify(low.kernel)
    np.testing.assert_allclose(found, 2 * values.sum((0, 1, 2)), rtol=1e-4)


@pytest.mark.parametrize("order", [(0, 2, 3, 1), (0, 3, 1, 2), (0, 2, 1, 3)])
@pytest.mark.parametrize("batch", [2, BATCH])
def test_channels_change_places_with_pixels_through_registers(batch, order):
    """However few images there are: their loop and another one are not made one, which would hide which way the rows lie."""
    b = ProgramBuilder()
    x = feed(b, "x", batch, 20, 16, 36)
    program = b.finish([b.permute(x, order)], {"d0": ("x", 0)} if batch is BATCH else {})
    (low,) = kernels(program).values()
    assert "gather" not in emit_kernel(low.kernel, AVX512)
    check(program, batch=3)


@pytest.mark.parametrize("batch", [2, BATCH])
def test_rows_that_are_looked_up_and_put_beside_others_are_copied_whole(batch):
    """Embeddings of several words in a row, and some numbers: the places of the row are not divided to find the word."""
    b = ProgramBuilder()
    ids, table, others = feed(b, "x", batch, 6, dtype="int32"), feed(b, "t", 30, 16), feed(b, "o", batch, 5)
    rows = b.view(b.take(table, ids, 0), (batch, 96))
    program = b.finish([b.join([rows, others], 1)], {"d0": ("x", 0)} if batch is BATCH else {})
    (low,) = kernels(program).values()
    assert "div(" not in text(low.kernel)
    rng = np.random.default_rng(0)
    inputs = {"x": rng.integers(0, 30, (2, 6)).astype(np.int32)}
    inputs |= {name: rng.uniform(-1, 1, shape).astype(np.float32) for name, shape in (("t", (30, 16)), ("o", (2, 5)))}
    (found,), _ = run_native(program, inputs)
    np.testing.assert_array_equal(found, np.concatenate([inputs["t"][inputs["x"]].reshape(2, 96), inputs["o"]], 1))
