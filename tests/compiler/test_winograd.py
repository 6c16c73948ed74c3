"""Convolutions in fewer products than they are defined by, and their gradients: the matrices are right exactly, the kernels to rounding, in
every shape, on every machine and whatever the number of threads; and somebody who wants the plain sums gets them."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import graphflow as tf
from graphflow.compiler import lower
from graphflow.compiler.builder import ProgramBuilder
from graphflow.compiler.llvm.target import AVX512
from graphflow.compiler.lower import contraction, winograd
from graphflow.compiler.lower.filtering import FORMS, STEP, Matrix
from graphflow.compiler.pipeline import run_passes
from graphflow.compiler.program import Program
from graphflow.config import options, override
from graphflow.graph.op import REGISTRY
from graphflow.kernel.index import Index
from graphflow.kernel.nodes import Kernel
from tests.compiler.contract.cases import PLAIN, close, interpreted_and_native
from tests.compiler.support import BATCH, feed, inputs_for, run_groups, run_native
from tests.fuzzing import examples

SAME, VALID = {"padding": "SAME"}, {"padding": "VALID"}
CASES: dict[str, Any] = {  # image, window, channels, outputs, attributes
    "even": ((8, 6), 3, 8, 16, SAME),
    "odd": ((7, 9), 3, 16, 8, SAME),
    "no border": ((8, 11), 3, 9, 12, VALID),
    "wide border": ((5, 4), 3, 8, 8, {"padding": "EXPLICIT", "explicit_paddings": (0, 0, 2, 1, 0, 3, 0, 0)}),
    "five taps": ((6, 8), 5, 8, 16, SAME),
    "five taps, no border": ((9, 8), 5, 16, 8, VALID),
    "five taps over three pixels": ((3, 3), 5, 8, 8, SAME),
    "columns that fill no register": ((6, 6), 3, 11, 37, SAME),
}
KINDS = ("conv", "dx", "dw")


def conv(kind: str, attributes: Any) -> Any:
    name = {"conv": "Conv2D", "dx": "Conv2DBackpropInput", "dw": "Conv2DBackpropFilter"}[kind]
    return REGISTRY[name](strides=(1, 1, 1, 1), **attributes)


def program(kind: str, case: str, batch: Index = BATCH, type_: str = "float32") -> Program:
    """A convolution with a bias and a Relu, or a gradient with what usually stands behind it."""
    image, window, channels, outputs, attributes = CASES[case]
    b, op = ProgramBuilder(), conv(kind, attributes)
    size = [s.out for s in conv("dx", attributes).geometry(image, (window, window))]
    x, w = feed(b, "x", batch, *image, channels, dtype=type_), feed(b, "w", window, window, channels, outputs, dtype=type_)
    zero = b.constant(0, type_)
    if kind == "conv":
        found = b.maximum(b.add(b.apply(op, x, w), feed(b, "bias", outputs, dtype=type_)), zero)
    elif kind == "dx":
        dx = b.apply(op, b.constant([batch, *image, channels], "int32"), w, feed(b, "dy", batch, *size, outputs, dtype=type_))
        found = b.select(b.greater(x, zero), dx, zero)
    else:
        dw = b.apply(op, x, b.constant([window, window, channels, outputs], "int32"), feed(b, "dy", batch, *size, outputs, dtype=type_))
        found = b.sub(w, b.mul(b.constant(0.125, type_), dw))
    return b.finish([found], {"d0": ("x", 0)} if batch is BATCH else {})


def wanted(kind: str, case: str, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """The same by the op's reference."""
    op, (x, w) = conv(kind, CASES[case][-1]), (arrays["x"], arrays["w"])
    if kind == "conv":
        return np.maximum(op.reference(x, w) + arrays["bias"], 0)
    if kind == "dx":
        return np.where(x > 0, op.reference(np.array(x.shape), w, arrays["dy"]), 0)
    return w - 0.125 * op.reference(x, np.array(w.shape), arrays["dy"])


@pytest.fixture
def preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer products, whatever they cost."""
    every = contraction.winograd
    monkeypatch.setattr(contraction, "winograd", lambda *arguments: [way._replace(cycles=-1.0) for way in every(*arguments)])
    monkeypatch.setattr(lower, "_known", {})


def is_minimal(kernel: Kernel) -> bool:
    return any(b.name == "w.data" for b in kernel.buffers)


def exact(matrix: Matrix) -> list[list[Fraction]]:
    return [[Fraction(value).limit_denominator(1000) for value in row] for row in matrix]


def times(matrix: list[list[Fraction]], vector: list[Fraction]) -> list[Fraction]:
    return [sum((a * b for a, b in zip(row, vector, strict=True)), Fraction()) for row in matrix]


@pytest.mark.parametrize("taps", FORMS)
def test_the_matrices_filter(taps: int) -> None:
    """In exact arithmetic, both ways round: two results of so many taps, so many results of two."""
    form = FORMS[taps]
    rng = np.random.default_rng(taps)
    for few, many, factors, results in ((taps, STEP, form.filter, form.result), (STEP, taps, form.error, form.gradient)):
        data, filter_ = ([Fraction(int(v)) for v in rng.integers(-9, 10, n)] for n in (STEP + taps - 1, few))
        products = [a * b for a, b in zip(times(exact(factors), filter_), times(exact(form.data), data), strict=True)]
        assert times(exact(results), products) == [sum(data[n + k] * filter_[k] for k in range(few)) for n in range(many)]


@pytest.mark.usefixtures("preferred")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CASES)
def test_results_are_those_of_the_plain_sums(case: str, kind: str) -> None:
    built = run_passes(program(kind, case), options()._replace(verify=2))
    arrays = inputs_for(built, 3)
    expected = wanted(kind, case, arrays)
    used = []

    def run(kernel: Kernel, given: Any, sizes: Any) -> Any:
        used.append(is_minimal(kernel))
        interpreted, native = interpreted_and_native(kernel, given, sizes, (1, 2, 4))
        close(native, expected)
        return interpreted

    (found,), _ = run_groups(built, arrays, PLAIN, run)
    close(found, expected)
    assert used == [True]


@pytest.mark.usefixtures("preferred")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("block", [(1, 5), (2, 1), (3, 2), (1, 3), (4, 2)])
def test_images_in_blocks(block: tuple[int, int], kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of so many rows and columns of tiles: the last ones may have fewer."""
    monkeypatch.setattr(winograd._Tiles, "_block", lambda self: block)
    for case in ("odd", "five taps, no border"):
        for batch in (BATCH, 1, 2):
            built = run_passes(program(kind, case, batch), options()._replace(verify=2))
            arrays = inputs_for(built, 2)
            (found,), _ = run_native(built, arrays, target=PLAIN)
            close(found, wanted(kind, case, arrays))


@pytest.mark.usefixtures("preferred")
@pytest.mark.parametrize("batch", [BATCH, 1, 20])
def test_large_sums_are_shared_out_by_channels(batch: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the number of threads, the same bits."""
    monkeypatch.setattr(winograd, "PARTS_BYTES", 1)
    monkeypatch.setitem(CASES, "many channels", ((7, 6), 3, 64, 8, SAME))
    built = run_passes(program("dw", "many channels", batch), options()._replace(verify=2))
    arrays = inputs_for(built, 5)
    parts = []

    def run(kernel: Kernel, given: Any, sizes: Any) -> Any:
        parts.extend(b.shape[0] for b in kernel.buffers if b.name == "w.data")
        interpreted, native = interpreted_and_native(kernel, given, sizes, (1, 3, 16))
        close(native, wanted("dw", "many channels", arrays))
        return interpreted

    run_groups(built, arrays, PLAIN, run)
    assert parts == [4 if batch == 1 else 16]  # four groups of channels, and of the blocks at most four shares


@pytest.mark.usefixtures("preferred")
@pytest.mark.parametrize("machine", ["avx2", "sse2"])
@pytest.mark.parametrize("kind", KINDS)
def test_other_vectors(kind: str, machine: str) -> None:
    for case in ("odd", "five taps"):
        built = program(kind, case, 2)
        arrays = inputs_for(built)
        (found,), _ = run_native(built, arrays, target=machine)
        close(found, wanted(kind, case, arrays))


@pytest.mark.usefixtures("preferred")
@pytest.mark.parametrize("kind", KINDS)
def test_no_images(kind: str) -> None:
    built = program(kind, "even")
    arrays = inputs_for(built, 0)
    (found,), _ = run_native(built, arrays)
    np.testing.assert_array_equal(found, arrays["w"] if kind == "dw" else np.zeros(found.shape))


def kernels_of(fetch: Any, **changes: Any) -> list[Kernel]:
    with override(**changes), tf.Session() as session:
        steps = session.compiled(fetch).report.compiled.steps
    return [step.lowered.kernel for step in steps if step.lowered is not None]


def layer(size: int, channels: int, window: int, outputs: int, strides: int = 1, type_: Any = tf.float32, **rest: Any) -> Any:
    x = tf.ones([16, size, size, channels], type_) * tf.get_variable("scale", [], type_)
    w = tf.get_variable("w", [window, window, channels, outputs], type_)
    return tf.nn.conv2d(x, w, [1, strides, strides, 1], "SAME", **rest)


@pytest.mark.parametrize("name, minimal, options_", [
    ("3 x 3", True, (28, 32, 3, 64)), ("5 x 5", True, (14, 32, 5, 64)), ("1 x 1", False, (28, 32, 1, 64)),
    ("few channels", False, (28, 3, 3, 64)), ("strided", False, (28, 32, 3, 64, 2)), ("of doubles", False, (28, 32, 3, 64, 1, tf.float64)),
])  # fmt: skip
def test_it_is_done_where_it_is_cheaper(name: str, minimal: bool, options_: Any) -> None:
    with tf.Graph().as_default():
        fetch = layer(*options_)
        assert any(map(is_minimal, kernels_of(fetch, target=AVX512.name))) == minimal
        assert not any(map(is_minimal, kernels_of(fetch, target=AVX512.name, passes_off=("minimal",))))


def test_dilated_windows_are_summed_as_they_are() -> None:
    with tf.Graph().as_default():
        fetch = layer(28, 32, 3, 64, dilations=[1, 2, 2, 1])
        assert not any(map(is_minimal, kernels_of(fetch, target=AVX512.name)))


@pytest.mark.parametrize("window, most", [(3, 1.0), (5, 3.0)])
def test_rounding_errors_are_those_of_the_plain_sums(window: int, most: float) -> None:
    """Root mean squares beside float64: what the module's text says of them, with room for other data."""
    errors = []
    rng = np.random.default_rng(0)
    values = rng.standard_normal((4, 14, 14, 32)), rng.standard_normal((window, window, 32, 32)), rng.standard_normal((4, 14, 14, 32))
    for off in ((), ("minimal",)):
        found = {}
        for type_ in (tf.float32, tf.float64):
            with override(passes_off=off), tf.Graph().as_default(), tf.Session() as session:
                fed = [tf.placeholder(type_, v.shape) for v in values]
                y = tf.nn.conv2d(*fed[:2], 1, "SAME")
                found[type_] = session.run([y, *tf.gradients(y, fed[:2], fed[2])], dict(zip(fed, values, strict=True)))
        errors.append([np.sqrt(np.mean((a - b) ** 2)) for a, b in zip(found[tf.float32], found[tf.float64], strict=True)])
    assert all(0 < fewer <= most * plain for fewer, plain in zip(*errors, strict=True)), errors


@pytest.mark.usefixtures("preferred")
def test_small_integers_are_exact() -> None:
    """Whose products and quarters float32 holds."""
    rng = np.random.default_rng(0)
    x, w = rng.integers(-8, 9, (2, 8, 8, 16)), rng.integers(-8, 9, (3, 3, 16, 16))
    found = []
    for type_ in (tf.float32, tf.float64):
        with tf.Graph().as_default(), tf.Session() as session:
            fed = [tf.placeholder(type_, v.shape) for v in (x, w)]
            found.append(session.run(tf.nn.conv2d(*fed, 1, "SAME"), dict(zip(fed, (x, w), strict=True))))
    np.testing.assert_array_equal(*found)


sizes, channels = st.integers(3, 16), st.sampled_from([8, 9, 16, 17, 32, 40])


@pytest.mark.slow
@given(
    st.sampled_from([1, 2, 5, 20]), st.tuples(sizes, sizes), st.sampled_from([3, 5]), st.sampled_from(["SAME", "SAME", "VALID"]), channels,
    channels, st.sampled_from(["native", "native", "avx2", "sse2"]), st.tuples(st.integers(1, 4), st.integers(1, 8)),
)  # fmt: skip
@examples(60)
def test_random_convolutions(
    batch: int, image: Any, window: int, padding: str, inputs: int, outputs: int, target: str, block: tuple[int, int]
) -> None:
    """Beside float64, which is summed as it is defined."""
    assume(padding == "SAME" or min(image) >= window)
    found: dict[Any, list[np.ndarray]] = {}
    with pytest.MonkeyPatch.context() as patch:
        every = contraction.winograd
        patch.setattr(contraction, "winograd", lambda *arguments: [way._replace(cycles=-1.0) for way in every(*arguments)])
        patch.setattr(winograd._Tiles, "_block", lambda self: block)
        patch.setattr(lower, "_known", {})
        for type_ in (tf.float32, tf.float64):
            with override(target=target), tf.Graph().as_default(), tf.Session() as session:
                x, w = tf.placeholder(type_, [None, *image, inputs]), tf.placeholder(type_, [window, window, inputs, outputs])
                y = tf.nn.conv2d(x, w, 1, padding)
                dy = tf.placeholder(type_, y.shape)
                results = [y, *tf.gradients(y, [x, w], dy)]
                rng = np.random.default_rng(0)
                fed = {t: rng.standard_normal([t.shape.as_list()[0] or batch, *t.shape.as_list()[1:]]) for t in (x, w, dy)}
                found[type_] = session.run(results, fed)
    for some, wanted_ in zip(found[tf.float32], found[tf.float64], strict=True):
        np.testing.assert_allclose(some, wanted_, rtol=1e-4, atol=2e-5 * max(1, np.abs(wanted_).max()))
