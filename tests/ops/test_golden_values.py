"""Ops and public functions give what TensorFlow 1.15 gave: tests/golden/described says the calls, tests/golden/ops.npz has the answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphflow as tf
from tests.golden.answers import Answers
from tests.golden.describe import Built, Call, dense, label, numbered
from tests.golden.described import FAMILIES, PROGRAMS

GOLDEN = Answers.load(Path(__file__).parent.parent / "golden" / "ops.npz")
PARTIAL = "Cannot convert a partially known TensorShape to a Tensor"
NEED_SIZES = {"nn.atrous_conv2d": PARTIAL, "nn.convolution": PARTIAL}  # TensorFlow asks for a dilated window's while it builds the graph
CALLS = {path: calls for path, calls in numbered(FAMILIES).items() if any(call.refuses is None for call in calls)}


def _recorded(path: str, every: bool) -> list[tuple[Call, str]]:
    """Calls of which TensorFlow's answer is known: with all their dtypes, or each with one, in turn."""
    found = []
    for call in CALLS[path]:
        dtypes = [dtype for dtype in call.dtypes if label(call, dtype) in GOLDEN.values]
        if dtypes and call.differs is None:
            found += [(call, dtype) for dtype in (dtypes if every else [dtypes[call.number % len(dtypes)]])]
    return found


def _shapes(call: Call, dtype: str) -> list[tuple[int, ...]]:
    return [() if array is None else array.shape for array in GOLDEN.values[label(call, dtype)]]


def _results(calls: list[tuple[Call, str]], sizes: str = "known") -> list[list[Any]]:
    """The results of all calls, from one run."""
    with tf.Graph().as_default():
        built = [Built(tf, call, dtype, sizes, shapes=_shapes(call, dtype)) for call, dtype in calls]
        fetches = [dense(tf, b.fetches) for b in built]
        feeds = {place: array for b in built for place, array in b.feeds.items()}
        variables = [v for b in built for v in b.variables]
        with tf.Session() as session:
            session.run(tf.variables_initializer(variables))
            wanted = [[f for f in of_call if f is not None] for of_call in fetches]
            found = session.run(wanted, feeds)
            after = [session.run(b.variables) for b in built]
    out = []
    for of_call, got, last in zip(fetches, found, after, strict=True):
        rest = iter(got)
        out.append([None if f is None else next(rest) for f in of_call] + list(last))
    return out


def _difference(got: Any, wanted: np.ndarray[Any, Any] | None, ulps: int, summed: bool, least: float = 0.0) -> str | None:
    """What is wrong with a result, if anything is. summed: it is made of terms that may be as large as its largest element and `least`."""
    if wanted is None or got is None:
        return None if got is wanted else f"is {got!r}, not {wanted!r}"
    got = np.asarray(got)
    if got.dtype != wanted.dtype or got.shape != wanted.shape:
        return f"is {got.dtype}{got.shape}, not {wanted.dtype}{wanted.shape}"
    if wanted.dtype.kind != "f":
        same = got == wanted
    else:
        with np.errstate(all="ignore"):
            same = (got == wanted) & ((np.signbit(got) == np.signbit(wanted)) | (ulps > 0)) | np.isnan(got) & np.isnan(wanted)
            if ulps:
                size = np.abs(np.where(np.isfinite(wanted), wanted, 0))
                if summed:
                    size = np.maximum(size, min(max(size.max(initial=0), least), 8))
                tiny = np.finfo(wanted.dtype).tiny
                same |= (np.abs(got - wanted) <= ulps * np.spacing(np.maximum(size, tiny)) + tiny) & np.isfinite(wanted)
    if same.all():
        return None
    at = tuple(int(i) for i in np.argwhere(~same)[0])
    return f"at {at} of {wanted.shape} is {got[at]!r}, not {wanted[at]!r} ({(~same).sum()} differ)"


def _differences(calls: list[tuple[Call, str]], sizes: str) -> list[str]:
    try:
        results = _results(calls, sizes)
    except Exception as error:
        if len(calls) == 1:
            return [f"{label(*calls[0])}: {type(error).__name__}: {error}"]
        return [text for one in calls for text in _differences([one], sizes)]  # to say which of them fail
    wrong = []
    for (call, dtype), got in zip(calls, results, strict=True):
        wanted = GOLDEN.values[label(call, dtype)]
        if len(got) < len(wanted):  # more: a gradient that TensorFlow does not have
            wrong.append(f"{label(call, dtype)}: {len(got)} results, not {len(wanted)}")
        for number, (g, w) in enumerate(zip(got, wanted, strict=False)):
            if text := _difference(g, w, max(call.ulps, 4 * (number > 0)), call.of_largest or number > 0):
                wrong.append(f"{label(call, dtype)}: result {number} {text}")
    return wrong


def test_there_is_an_answer_to_every_program_and_no_other() -> None:
    described = {label(call, dtype) for calls in CALLS.values() for call in calls for dtype in call.dtypes} | PROGRAMS.keys()
    assert GOLDEN.values.keys() <= described
    assert PROGRAMS.keys() <= GOLDEN.values.keys()
    assert len(GOLDEN.values) >= 1500


@pytest.mark.parametrize("path", CALLS)
def test_values_are_tensorflows(path: str) -> None:
    wrong = _differences(_recorded(path, every=False), "known")
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("sizes", ["known", "ranked"])
@pytest.mark.parametrize("path", CALLS)
def test_values_of_every_dtype_are_tensorflows(path: str, sizes: str) -> None:
    if sizes == "ranked" and path in NEED_SIZES:
        for one in _recorded(path, every=True):
            with pytest.raises(ValueError, match=NEED_SIZES[path]):
                _results([one], sizes)
        return
    wrong = _differences(_recorded(path, every=True), sizes)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", CALLS)
def test_a_dtype_that_tensorflow_does_not_take_is_refused(path: str) -> None:
    for call in CALLS[path]:
        for dtype in call.dtypes:
            text = GOLDEN.refusals.get(label(call, dtype), ["", "", ""])[2]
            if "not in list of allowed values" in text and call.refuses is None and call.differs is None:
                with tf.Graph().as_default(), pytest.raises(TypeError):
                    Built(tf, call, dtype)
                    pytest.fail(f"{label(call, dtype)} is taken")


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_print_tensorflows_numbers(name: str) -> None:
    with tf.Graph().as_default():
        found = PROGRAMS[name](tf)
    ulps = {"layers": 512, "optimizers": 64}.get(name.split("/")[0], 4)  # sums of squares over a batch; steps on top of each other
    wrong = [text for g, w in zip(found, GOLDEN.values[name], strict=True) if (text := _difference(g, w, ulps, True, least=1.0))]
    assert not wrong, "\n".join(wrong)
