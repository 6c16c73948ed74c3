"""Contractions in matrix tiles: right to the last bits of single precision, whatever the sizes, strides and values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from graphflow.compiler.contract import matrix_plan
from graphflow.compiler.llvm.target import target
from graphflow.kernel.index import symbol
from tests.compiler.contract import cases
from tests.compiler.contract.cases import Case, Compiled, aligned, conv, conv_filter, conv_input, inputs, matmul, sums

pytestmark = pytest.mark.skipif(not target().tiles, reason="this machine has no matrix tiles (AMX)")


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Matrix tiles cost nothing, so that every contraction that fits them is done by them."""
    monkeypatch.setattr(matrix_plan, "cycles", lambda shape, plan: -1.0)


def check(case: Case, sizes: Mapping[str, int] | None = None, threads: Sequence[int] = (1, 2, 4)) -> Compiled:
    return cases.check(case, sizes, "native", threads)


def in_tiles(compiled: Compiled) -> bool:
    return compiled.plan().matrix is not None


@pytest.mark.parametrize("kind", ["NN", "NT", "TN", "TT"])
@pytest.mark.parametrize("size", [(32, 32, 32), (2, 3, 5), (33, 31, 65), (128, 96, 129), (200, 300, 40), (17, 530, 257), (300, 16, 20)])
def test_products(kind: str, size: tuple[int, int, int]) -> None:
    assert in_tiles(check(matmul(*size, kind=kind)))


@pytest.mark.parametrize("kind", ["NN", "NT", "TN", "TT"])
@pytest.mark.parametrize("count", [1, 63, 64, 130])
def test_sizes_known_at_run_time(kind: str, count: int) -> None:
    n = symbol("n", 0)
    assert in_tiles(check(matmul(n, 70, 66, kind), {"n": count}))
    assert in_tiles(check(matmul(70, 66, n, kind), {"n": count}))


@pytest.mark.parametrize("split", ["rows", "panels"])
def test_both_ways_to_share(split: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix_plan, "cycles", lambda shape, plan: float(plan.split != split))
    compiled = check(matmul(150, 530, 90))
    assert compiled.plan().split == split


def test_convolutions_by_their_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix_plan, "covered", lambda shape, plan: 0)
    n = symbol("n", 0)
    assert in_tiles(check(conv(n, 10, 9, 32, 3, 40), {"n": 3}))
    assert in_tiles(check(conv(2, 11, 11, 16, 3, 33, stride=2)))
    assert in_tiles(check(conv(3, 7, 7, 48, 1, 50)))
    assert in_tiles(check(conv_filter(n, 9, 9, 32, 3, 40), {"n": 3}))
    assert in_tiles(check(conv_input(n, 9, 8, 32, 3, 48), {"n": 2}))


IMAGES = {
    "a row of several tiles": (conv(7, 10, 21, 32, 3, 40), {}),
    "any number of images": (conv(symbol("b", 0), 12, 12, 32, 3, 64), {"b": 5}),
    "few images": (conv(symbol("b", 0), 12, 12, 32, 3, 64), {"b": 3}),
    "stride 2": (conv(5, 13, 15, 32, 3, 33, stride=2), {}),
    "dilated": (conv(5, 13, 15, 32, 3, 33, dilation=2), {}),
    "an odd number of tiles": (conv(5, 5, 18, 64, 3, 17), {}),
    "more columns than are at hand": (conv(4, 7, 7, 32, 2, 300), {}),
    "to the input": (conv_input(symbol("b", 0), 9, 8, 32, 3, 64), {"b": 6}),
    "one channel more would not fit": (conv(4, 7, 7, 96, 2, 48), {}),
}


@pytest.mark.parametrize("name", list(IMAGES))
def test_convolutions_by_images(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix_plan, "image_cycles", lambda shape, plan: -2.0)
    assert check(*IMAGES[name]).plan().matrix.covered


def test_images_that_terms_cannot_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix_plan, "image_cycles", lambda shape, plan: -2.0)
    case = conv(4, 8, 8, 32, 3, 40)
    arrays = inputs(case, {})
    arrays["x"][1, 2, 3, 4], arrays["x"][2, 7, 7, 31], arrays["x"][3] = np.inf, np.nan, 1e-36
    with np.errstate(invalid="ignore"):
        want, scale = sums(case, arrays, {})
    got = run(case, arrays).reshape(want.shape)
    finite = np.isfinite(want)
    assert 0 < (~finite).sum() < want[1:3].size
    np.testing.assert_array_equal(got[~finite], want[~finite])
    assert (np.abs(got[finite] - want[finite]) <= 1e-6 * scale[finite]).all()


def test_the_terms_of_many_rows_are_copied_again() -> None:
    """More rows, columns and steps than are at hand at once."""
    check(matmul(2 * matrix_plan.ROWS + 5, matrix_plan.COLUMNS + 40, 3 * matrix_plan.STEPS + 7), threads=(1, 2))


def run(case: Case, arrays: dict[str, np.ndarray]) -> np.ndarray:
    compiled = Compiled(case, "native")
    assert in_tiles(compiled)
    out = dict(arrays, y=aligned(np.full_like(arrays["y"], 77)))
    compiled.run(out, {}, 2)
    return out["y"]


@pytest.mark.parametrize("kind", ["NN", "NT", "TN", "TT"])
def test_as_accurate_as_single_precision(kind: str) -> None:
    """Errors as a share of the sum of the products' sizes, against numpy's product in single precision."""
    case = matmul(96, 96, 512, kind)
    arrays = inputs(case, {})
    want, scale = sums(case, arrays, {})
    a, w = (arrays[k].T if transposed == "T" else arrays[k] for k, transposed in zip(("a", "w"), kind, strict=True))
    ours, theirs = (np.abs(y.astype(np.float64) - want) / scale for y in (run(case, arrays), a @ w))
    assert ours.max() <= 2 * theirs.max()
    assert np.sqrt((ours**2).mean()) <= 1.5 * np.sqrt((theirs**2).mean())


@pytest.mark.parametrize("kind", ["NN", "NT", "TN", "TT"])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, np.float32(3.4e38), np.float32(1e-30), np.float32(1e-36), np.float32(2e-38)])
def test_values_that_terms_cannot_hold(kind: str, value: float) -> None:
    """A row of `a` with such values: infinities and overflow as multiply-adds give them, small numbers with all their digits."""
    case = matmul(40, 50, 37, kind)
    arrays = inputs(case, {})
    a, w = arrays["a"], arrays["w"]
    w[...] = np.abs(w) + 1
    row = a[3] if kind[0] == "N" else a[:, 3]
    row[...] = value if np.isfinite(value) else row
    row[5] = value
    with np.errstate(all="ignore"):
        want = (a.T if kind[0] == "T" else a).astype(np.float64) @ (w.T if kind[1] == "T" else w).astype(np.float64)
        want = want.astype(np.float32)
    got = run(case, arrays)
    normal = np.abs(want[3]) > np.finfo(np.float32).tiny
    np.testing.assert_allclose(got[3][normal], want[3][normal], rtol=1e-5)
    others = np.arange(40) != 3
    np.testing.assert_allclose(got[others], want[others], rtol=1e-4, atol=1e-4)


def test_zeros_stay_zeros() -> None:
    case = matmul(64, 64, 64)
    arrays = inputs(case, {})
    arrays["a"][...] = 0
    assert not run(case, arrays).any()


def test_other_targets_have_no_tiles() -> None:
    assert not in_tiles(cases.check(matmul(96, 96, 96), machine="avx512"))


def filters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradients of filters image by image cost less than nothing."""
    monkeypatch.setattr(matrix_plan, "sum_cycles", lambda *arguments: -2.0)


def summed(compiled: Compiled) -> bool:
    """Whether a filter's gradient is summed image by image."""
    return in_tiles(compiled) and compiled.plan().matrix.parts > 0


FILTERS = {
    "pieces that go on from line to line": (conv_filter(5, 9, 9, 32, 3, 40), {}),
    "pieces of two lines": (conv_filter(2, 18, 18, 16, 3, 32), {}),
    "the last piece of one line only": (conv_filter(3, 7, 36, 16, 3, 32), {}),
    "any number of images": (conv_filter(symbol("b", 0), 11, 10, 16, 5, 64), {"b": 5}),
    "an image for each part": (conv_filter(symbol("b", 0), 9, 9, 32, 3, 40), {"b": 8}),
    "one image": (conv_filter(symbol("b", 0), 9, 9, 32, 3, 40), {"b": 1}),
    "no image": (conv_filter(symbol("b", 0), 9, 9, 32, 3, 40), {"b": 0}),
    "an odd number of tiles": (conv_filter(4, 8, 12, 16, 3, 17), {}),
    "runs that do not fill tiles": (conv_filter(3, 14, 14, 6, 5, 16), {}),
    "one channel": (conv_filter(3, 12, 9, 1, 3, 33), {}),
    "stride 2": (conv_filter(5, 13, 15, 32, 3, 33, stride=2), {}),
    "more columns than are at hand": (conv_filter(3, 6, 6, 48, 2, 290), {}),
}


@pytest.mark.parametrize("name", list(FILTERS))
def test_gradients_of_filters_by_images(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    filters(monkeypatch)
    assert summed(check(*FILTERS[name]))


@pytest.mark.parametrize(("images", "height", "room", "bands", "together"), [(3, 14, 2300, 3, 1), (3, 9, 2300, 7, 2), (17, 9, 6400, 1, 2)])
def test_bands_of_images(images: int, height: int, room: int, bands: int, together: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A band may be a part of an image, and several at hand together may be of more than one."""
    filters(monkeypatch)
    monkeypatch.setattr(matrix_plan, "PART_TERMS", room)
    compiled = check(conv_filter(symbol("b", 0), height, 11, 16, 3, 32), {"b": images})
    assert summed(compiled)
    assert (compiled.plan().matrix.bands, compiled.plan().matrix.together) == (bands, together)


def test_a_gradient_of_a_filter_is_as_accurate_as_single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    filters(monkeypatch)
    case = conv_filter(16, 12, 12, 16, 3, 32)
    arrays = inputs(case, {})
    want, scale = sums(case, arrays, {})
    windows = np.lib.stride_tricks.sliding_window_view(arrays["x"], (3, 3), (1, 2)).transpose(4, 5, 3, 0, 1, 2).reshape(-1, 1600)
    theirs = np.abs((windows @ arrays["d"].reshape(1600, 32)).reshape(want.shape) - want) / scale
    ours = np.abs(run(case, arrays).reshape(want.shape) - want) / scale
    assert ours.max() <= 2 * theirs.max()
    assert np.sqrt((ours**2).mean()) <= 1.5 * np.sqrt((theirs**2).mean())


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, np.float32(3e38), np.float32(1e-36)])
def test_a_gradient_of_a_filter_that_terms_cannot_hold(value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such values in one channel of all images, and in one pixel that no window but the last one reaches."""
    filters(monkeypatch)
    case = conv_filter(4, 8, 8, 16, 3, 40)
    arrays = inputs(case, {})
    arrays["d"] = aligned(np.abs(arrays["d"]) + 1)
    arrays["x"][..., 4] = value if np.isfinite(value) else arrays["x"][..., 4]
    arrays["x"][1, 2, 3, 4], arrays["x"][2, 7, 7, 9] = value, value
    with np.errstate(invalid="ignore", over="ignore"):
        want, scale = sums(case, arrays, {})
        want = want.astype(np.float32)
    got = run(case, arrays).reshape(want.shape)
    finite = np.isfinite(want)
    np.testing.assert_array_equal(got[~finite], want[~finite])
    assert (np.abs(got[finite] - want[finite]) <= 1e-6 * scale[finite]).all()
    assert finite.sum() >= want.size - want[:, :, [4]].size - 40
