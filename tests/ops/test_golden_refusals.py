"""What TensorFlow 1.15 refuses is refused with its exception class and words: see tests/golden/described/refusals.py."""

from __future__ import annotations

import pytest

import graphflow as tf
from tests.golden.describe import Built, Call, label, numbered
from tests.golden.described import FAMILIES
from tests.ops.test_golden_values import GOLDEN

CASES = {
    f"{label(call, call.dtypes[0])}.{sizes}": (call, sizes)
    for calls in numbered(FAMILIES).values()
    for call in calls
    if call.refuses is not None
    for sizes in ("known", "unknown")
}


def _refusal(call: Call, sizes: str) -> tuple[str, Exception | None]:
    """When, and how, a call fails."""
    stage = "build"
    with tf.Graph().as_default():
        try:
            built = Built(tf, call, call.dtypes[0], sizes, "constant" if sizes == "known" else "fed")
            stage = "run"
            with tf.Session() as session:
                session.run(tf.variables_initializer(built.variables))
                session.run(built.fetches, built.feeds)
        except Exception as error:
            return stage, error
    return "none", None


def test_there_are_enough() -> None:
    assert sum(call.refuses[sizes] is not None for call, sizes in CASES.values()) >= 300
    assert CASES.keys() <= GOLDEN.refusals.keys()


@pytest.mark.parametrize("name", CASES)
def test_a_call_is_refused_as_by_tensorflow(name: str) -> None:
    call, sizes = CASES[name]
    found, error = _refusal(call, sizes)
    words = call.refuses[sizes]
    if words is None:  # then it is enough that the process lives
        return
    stage, kind, text = GOLDEN.refusals[name]
    assert words in text
    assert error is not None, f"taken, but TensorFlow says: {text}"
    assert words in str(error)
    # What TensorFlow's kernels find in the run may be found while building already.
    early = [("build", "ValueError"), ("build", kind)] if stage == "run" else []
    assert (found, type(error).__name__) in {(stage, kind), *early}, str(error)
