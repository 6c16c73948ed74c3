"""Random valid graphs: with all passes, none, every prefix, on several targets and thread counts, against the numpy interpreter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import graphflow as tf
from graphflow.compiler import pipeline
from graphflow.compiler.pipeline import PASSES
from graphflow.compiler.program import Node
from graphflow.config import options, override
from graphflow.runtime.interpreter import interpret
from tests.fuzzing import examples
from tests.properties.graphs import Built, build

NUMBER = st.integers(0, 59)
RECIPE = st.lists(st.tuples(NUMBER, NUMBER, NUMBER, NUMBER), min_size=5, max_size=16)
ENDING = st.integers(0, 8)
BATCHES = (5, 1, 4)
# a row kernel whose second loop needs what its first one has given out
OUTPUT_READ_AGAIN = [
    (57, 33, 57, 30), (0, 40, 11, 7), (54, 50, 12, 36), (8, 30, 17, 41), (41, 42, 42, 22), (46, 8, 49, 56), (0, 53, 18, 31),
    (30, 23, 17, 42), (52, 56, 29, 20), (35, 27, 31, 13),
]  # fmt: skip
NONE = frozenset(p.name for p in PASSES)

bounded, many = examples(30), examples(120)


def run(built: Built, batches=BATCHES, **changes) -> list[np.ndarray]:
    """Everything that the graph gives for some batches one after the other, and the variables in the end."""
    results = []
    with override(**{"verify": 2, **changes}), tf.Session(graph=built.graph) as session:
        session.run(built.initializer)
        for batch in batches:
            values, _ = session.run([built.fetches, built.targets], built.arrays(batch, batch))
            results += values
        results += session.run(built.variables)
    return results


def expected(built: Built, batches=BATCHES) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """What the numpy interpreter gives, and how far each number is from sure: it moves so much where the inputs move by some ulps."""
    results, doubts = [], []
    with override(verify=2), tf.Session(graph=built.graph) as session:
        session.run(built.initializer)
        state = {v.op.name: session.run(v) for v in built.variables}
        moved = [dict(state), dict(state)]
        for batch in batches:
            feeds = built.arrays(batch, batch)
            program = session.compiled([built.fetches, built.targets], feeds).captured.program
            named = {t.name: a for t, a in feeds.items()}
            values, updates = interpret(program, {**named, **state})
            around = [interpret(program, _shaken({**named, **m}, k)) for k, m in enumerate(moved)]
            state.update(updates)
            for m, (_, new) in zip(moved, around, strict=True):
                m.update(new)
            results += values
            doubts += [_distance(v, [a[0][k] for a in around]) for k, v in enumerate(values)]
        for v in built.variables:
            results.append(state[v.op.name])
            doubts.append(_distance(results[-1], [m[v.op.name] for m in moved]))
    return results, doubts


def _shaken(inputs: dict, seed: int) -> dict:
    random = np.random.RandomState(seed)
    return {
        k: (a * (1 + random.uniform(-1, 1, a.shape) * 5e-7)).astype(a.dtype) if a.dtype.kind == "f" else a for k, a in inputs.items()
    }


def _distance(value: np.ndarray, others: list[np.ndarray]) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.max([np.abs(o.astype(np.float64) - value) for o in others], axis=0)


def close(found, wanted, doubts) -> None:
    """Equal up to rounding, where rounding may be as large as it is for the interpreter itself."""
    for a, b, doubt in zip(found, wanted, doubts, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        with np.errstate(all="ignore"):
            size = np.abs(b[np.isfinite(b)]).max(initial=1.0)
            fine = (np.abs(a.astype(np.float64) - b) <= 3e-5 * size + 40 * doubt) | (a == b) | ~np.isfinite(doubt)
        assert fine.all(), f"{a[~fine][:5]} instead of {b[~fine][:5]}, doubtful by {doubt[~fine][:5]}"


def check(built: Built, *variants: dict) -> None:
    """All variants give what the interpreter gives."""
    wanted, doubts = expected(built)
    for changes in variants:
        try:
            close(run(built, **changes), wanted, doubts)
        except AssertionError as error:
            raise AssertionError(f"with {changes}: {error}") from None


@given(RECIPE, ENDING, st.integers(1, len(PASSES) - 1), st.sampled_from(sorted(NONE)))
@example([(53, 5, 47, 11)], 4, 3, "cse")  # the gradient of gather along an inner axis: its sizes are known while capturing
@example(OUTPUT_READ_AGAIN, 5, 8, "cse")
@bounded
def test_passes_do_not_change_values(recipe, ending, limit, off):
    check(build(recipe, ending), {}, {"passes_off": NONE}, {"pass_limit": limit}, {"passes_off": frozenset((off,))})


def test_a_wrong_pass_is_found(monkeypatch):
    """What these tests would say if a pass exchanged the operands of every subtraction."""

    def wrong(program):
        nodes = [Node(n.op, n.inputs[::-1], n.outputs, n.origins) if n.op.type == "Sub" else n for n in program.nodes]
        return program._replace(nodes=tuple(nodes))

    built = build([(2, 0, 0, 1), (2, 5, 2, 1)], 0)
    check(built, {})
    monkeypatch.setattr(pipeline, "PASSES", (pipeline.Pass("wrong", wrong, "for this test"), *PASSES))
    with pytest.raises(AssertionError, match="instead of"):
        check(built, {})


@given(RECIPE, ENDING, st.sampled_from(("avx2", "sse2")))
@examples(15)
def test_targets_and_threads(recipe, ending, target):
    built = build(recipe, ending)
    check(built, {"target": target})
    for one, two in zip(run(built, threads=1), run(built, threads=2), strict=True):
        np.testing.assert_array_equal(one, two, "the same bits whatever the number of threads")


@pytest.mark.slow
@given(RECIPE, ENDING)
@example([(24, 0, 0, 1), (26, 29, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0), (29, 6, 1, 0)], 0)  # a product with one number, which is known
@many
def test_every_prefix_of_the_passes(recipe, ending):
    variants = [{"pass_limit": n} for n in range(len(PASSES) + 1)] + [{"passes_off": frozenset((name,))} for name in sorted(NONE)]
    check(build(recipe, ending), *variants, {"passes_off": NONE})


@pytest.mark.slow
@given(RECIPE, ENDING)
@many
def test_every_target(recipe, ending):
    built = build(recipe, ending)
    check(built, *({"target": target} for target in ("native", "avx2", "sse2")))
    for one, two in zip(run(built, threads=1), run(built, threads=2), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_batch_may_change_its_size_without_compiling():
    """One graph of all families: what a second batch size needs is bound, not compiled."""
    from graphflow.runtime.jit import counters

    built = build([(kind, kind * 7 + 3, kind * 5 + 1, kind * 3 + 2) for kind in range(19)], 2)
    with override(cache_dir=""), tf.Session(graph=built.graph) as session:
        session.run(built.initializer)
        session.run([built.fetches, built.targets], built.arrays(100))
        before = counters.snapshot()
        for batch in (37, 64, 500):
            session.run([built.fetches, built.targets], built.arrays(batch))
        assert counters.snapshot() == before
        assert options().cache_dir == ""
