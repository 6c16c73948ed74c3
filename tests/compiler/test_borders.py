"""Borders of zeros around images: contractions do not multiply by those that lie above and below, and give the same results."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import graphflow as tf
from graphflow.compiler.contract.plan import Plan
from graphflow.config import override
from graphflow.kernel.nodes import Contract
from tests.fuzzing import examples

PADDED = {  # image, window, strides, padding, dilation, channels
    "same": ((9, 7), (3, 3), 1, "SAME", 1),
    "wide": ((8, 8), (5, 5), 1, "SAME", 1),
    "even window": ((6, 6), (4, 2), 1, "SAME", 1),
    "strides": ((9, 9), (5, 5), 2, "SAME", 1),
    "dilated": ((9, 9), (3, 3), 1, "SAME", 2),
    "valid": ((8, 8), (5, 5), 1, "VALID", 1),
    "window larger than the image": ((3, 3), (7, 7), 1, "SAME", 1),
    "one tap for each row": ((4, 9), (2, 7), 3, "VALID", 1, 16, 16),
    "the same tap for all rows": ((2, 4), (3, 2), 1, "SAME", 2, 20, 3),
    "tiles without a border between those that read it": ((5, 60), (3, 3), 1, "SAME", 1, 16, 32),
    "strides, several tiles": ((4, 90), (3, 5), 2, "SAME", 1, 32, 16),
    "border on one side": ((6, 6), (2, 2), 1, "SAME", 1, 16, 32),  # its gradient copies the filter first
}


PLAIN_SUMS = ("minimal",)  # of some of these convolutions in fewer products test_winograd.py is the test


def layer(
    image: Any, window: Any, strides: int, padding: str, dilation: int, inputs: int = 3, outputs: int = 32
) -> tuple[Any, Any, dict[str, Any]]:
    """Images, filters, and the convolution with both gradients."""
    x, w = tf.placeholder("float32", [None, *image, inputs]), tf.placeholder("float32", [*window, inputs, outputs])
    y = tf.nn.conv2d(x, w, [1, strides, strides, 1], padding, dilations=[1, dilation, dilation, 1])
    dy = tf.cos(tf.reshape(tf.cast(tf.range(tf.size(y)), "float32"), tf.shape(y)))
    dx, dw = tf.gradients(y, [x, w], dy)
    return x, w, {"y": y, "dx": dx, "dw": dw}


def plain(x: np.ndarray, w: np.ndarray, strides: int, padding: str, dilation: int) -> dict[str, np.ndarray]:
    """The same in numpy, over a padded image."""
    taps = [(k - 1) * dilation + 1 for k in w.shape[:2]]
    out = [-(-n // strides) if padding == "SAME" else (n - t) // strides + 1 for n, t in zip(x.shape[1:3], taps, strict=True)]
    room = [max((o - 1) * strides + t - n, 0) if padding == "SAME" else 0 for o, t, n in zip(out, taps, x.shape[1:3], strict=True)]
    padded = np.pad(x.astype(float), [(0, 0), *((r // 2, r - r // 2) for r in room), (0, 0)])
    y = np.zeros((len(x), *out, w.shape[-1]))
    dy = np.cos(np.arange(y.size, dtype=np.float32)).reshape(y.shape).astype(float)
    dx, dw = np.zeros_like(padded), np.zeros(w.shape)
    for i, j in np.ndindex(*w.shape[:2]):
        at = np.s_[:, i * dilation :: strides, j * dilation :: strides]
        rows, columns = (slice(o) for o in out)
        part = padded[at][:, rows, columns]
        y += part @ w[i, j]
        dw[i, j] = np.einsum("nabc,nabd->cd", part, dy)
        dx[at][:, rows, columns] += dy @ w[i, j].T
    top, left = (r // 2 for r in room)
    return {"y": y, "dx": dx[:, top : top + x.shape[1], left : left + x.shape[2]], "dw": dw}


def check(batch: int, image: Any, window: Any, *rest: Any, **options: Any) -> None:
    """A convolution and its gradients are those over a padded image."""
    rng = np.random.default_rng(0)
    with override(passes_off=PLAIN_SUMS, **options), tf.Graph().as_default(), tf.Session() as session:
        x, w, results = layer(image, window, *rest)
        shapes = {x: (batch, *image, w.shape[2].value), w: w.shape.as_list()}
        values = {t: rng.standard_normal(shape, np.float32) for t, shape in shapes.items()}
        found = session.run(results, values)
    for what, expected in plain(values[x], values[w], *rest[:3]).items():
        atol = 2e-5 * max(1, np.abs(expected).max(initial=0))
        np.testing.assert_allclose(found[what], expected, rtol=1e-4, atol=atol, err_msg=what)


@pytest.mark.parametrize("name", PADDED)
def test_results_are_those_of_the_padded_image(name: str) -> None:
    check(3, *PADDED[name])


@pytest.mark.parametrize("strides", [1, 2])
def test_a_border_that_nothing_reads_is_not_made(strides: int) -> None:
    """Taps above and below are left out by loops that begin and end as they do, those at the sides by tiles of their own."""
    made = []
    for off in ((), ("borders",)):
        with override(target="avx512", verify=2, passes_off=(*PLAIN_SUMS, *off)), tf.Graph().as_default(), tf.Session() as session:
            x, w, results = layer((28, 28), (3, 3), strides, "SAME", 1, 32)
            steps = session.compiled(results["y"], {x: np.zeros((2, 28, 28, 32)), w: np.zeros((3, 3, 32, 32))}).report.compiled.steps
        shapes = [b.shape for s in steps if s.lowered is not None for b in s.lowered.kernel.buffers]
        made.append(any(set(shape[1:]) & {29, 30} for shape in shapes))
    assert made == [False, True]


def test_equal_windows_with_other_borders_are_other_kernels() -> None:
    """Both gradients have 3x3 results under 2x2 windows: the one reaches over all edges, the other over two."""
    for padding in ("VALID", "SAME"):
        check(1, (3, 3), (2, 2), 1, padding, 1, 16, 2)


sizes, channels = st.integers(1, 16), st.sampled_from([1, 2, 3, 6, 16, 17, 20, 32, 48])


@pytest.mark.slow
@given(
    st.sampled_from([1, 2, 5, 30]), st.tuples(sizes, sizes), st.tuples(st.integers(1, 7), st.integers(1, 7)),
    st.sampled_from([(1, 1), (1, 1), (2, 1), (3, 1), (1, 2)]), st.sampled_from(["SAME", "SAME", "VALID"]), channels, channels,
    st.sampled_from(["native", "native", "avx2", "sse2"]),
)  # fmt: skip
@examples(60)
def test_random_convolutions(
    batch: int, image: Any, window: Any, steps: Any, padding: str, inputs: int, outputs: int, target: str
) -> None:
    strides, dilation = steps
    assume(padding == "SAME" or all((k - 1) * dilation < n for k, n in zip(window, image, strict=True)))
    check(batch, image, window, strides, padding, dilation, inputs, outputs, target=target)


def sums(fetch: Any, feeds: dict[Any, np.ndarray]) -> list[Contract]:
    """The contractions of a fetch."""
    with tf.Session() as session:
        steps = session.compiled(fetch, feeds).report.compiled.steps
    kernels = [s.lowered.kernel for s in steps if s.lowered is not None]
    return [s for k in kernels for phase in k.phases for s in phase if isinstance(s, Contract)]


def test_rows_of_the_border_are_left_out() -> None:
    x, w, results = layer((14, 14), (5, 5), 1, "SAME", 1)
    feeds = {x: np.zeros((2, 14, 14, 3), np.float32), w: np.zeros((5, 5, 3, 32), np.float32)}
    (forward,) = sums(results["y"], feeds)
    axis = next(a for a in forward.reduced if a.start != 0)
    assert str(axis.start) == "max(-f1 + 2, 0)"
    assert str(axis.start + axis.extent) == "min(-f1 + 16, 5)"


def test_columns_of_the_border_are_left_out() -> None:
    x, w, results = layer((14, 28), (5, 5), 1, "SAME", 1, 32)
    feeds = {x: np.zeros((2, 14, 28, 32), np.float32), w: np.zeros((5, 5, 32, 32), np.float32)}
    with override(target="avx512", passes_off=PLAIN_SUMS):
        (forward,) = sums(results["y"], feeds)
        plan = forward.plan
        assert isinstance(plan, Plan) and plan.window == ("k5", 5) and plan.rows == "f2"
        assert plan.spans == ((2, 5), (1, 5), *[(0, 5)] * 24, (0, 4), (0, 3))
        assert all(tiles == 1 for first, tiles, height in plan.runs if first < 2 or first + tiles * height > 26)
    with override(passes_off=(*PLAIN_SUMS, "borders")):
        (forward,) = sums(results["y"], feeds)
        assert isinstance(forward.plan, Plan) and not forward.plan.spans


def test_what_would_be_one_loop_is_taken_apart_where_that_spares_a_copy() -> None:
    """Under a window of one column the rows of an image follow each other, all places in one loop, but for the border above and below."""
    x, w, results = layer((8, 8), (3, 1), 1, "SAME", 2)
    feeds = {x: np.zeros((2, 8, 8, 3), np.float32), w: np.zeros((3, 1, 3, 32), np.float32)}
    (forward,) = sums(results["y"], feeds)
    assert [a.extent for a in forward.free[1:]] == [8, 8, 32]
    assert any(a.start != 0 for a in forward.reduced) and forward.left.buffer != "w.padded"
