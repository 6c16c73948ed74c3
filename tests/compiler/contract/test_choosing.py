"""The register tiles that are chosen: the cheapest of all candidates, though most are never priced."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from graphflow.compiler.contract import blocking, schedule_contract
from graphflow.compiler.contract.blocking import Candidate, Choice
from graphflow.compiler.contract.shape import Shape
from graphflow.compiler.llvm.target import AVX2, AVX512, SSE2, Target
from graphflow.kernel.index import symbol
from tests.compiler.contract.cases import Case, conv, conv_filter, matmul

N = symbol("N", 0, None)
CASES = {
    "square": matmul(64, 64, 64),
    "large": matmul(512, 784, 512),
    "batch": matmul(N, 512, 784),
    "transposed": matmul(N, 784, 512, "NT"),
    "gradient": matmul(784, 512, N, "TN"),
    "both transposed": matmul(96, 40, 200, "TT"),
    "few columns": matmul(N, 10, 84),
    "many matrices": matmul(N, 33, 65, batch=12),
    "double": matmul(100, 100, 100, type_="f64"),
    "convolution": conv(N, 16, 16, 32, 3, 64),
    "stride": conv(8, 17, 17, 6, 3, 16, stride=2),
    "few channels": conv(N, 28, 28, 1, 5, 6),
    "filter's gradient": conv_filter(N, 14, 14, 6, 5, 16),
    "folded": conv_filter(N, 28, 28, 1, 5, 6),
}


def scheduled(case: Case, machine: Target, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """How many candidates there were, and how many were priced; those that were not are compared here."""
    cheapest, price = blocking._cheapest, blocking._priced
    asked = priced = 0

    def counted(shape: Shape, plan: blocking.Plan) -> Choice:
        nonlocal priced
        priced += 1
        return price(shape, plan)

    def compared(shape: Shape, candidates: Iterable[Candidate]) -> Choice:
        nonlocal asked
        given = list(candidates)
        asked += len(given)
        every = [price(shape, replace(c.base, **c.changes)) for c in given]
        assert all(c.floor <= choice.cycles for c, choice in zip(given, every, strict=True))
        found = cheapest(shape, given)
        assert found == min(every, key=lambda c: c.cycles)
        return found

    monkeypatch.setattr(blocking, "_priced", counted)
    monkeypatch.setattr(blocking, "_cheapest", compared)
    schedule_contract(case.contract, machine)
    return asked, priced


@pytest.mark.parametrize("machine", [AVX512, AVX2, SSE2], ids=["avx512", "avx2", "sse2"])
@pytest.mark.parametrize("name", CASES)
def test_the_cheapest_of_all_candidates_is_chosen(name: str, machine: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, priced = scheduled(CASES[name], machine, monkeypatch)
    assert 0 < priced <= asked


def test_candidates_that_cannot_win_are_not_priced(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, priced = scheduled(CASES["filter's gradient"], AVX512, monkeypatch)
    assert priced < asked * 3 / 4


def test_a_plan_but_for_some_fields_is_what_dataclasses_make_of_it() -> None:
    choice = blocking.choose(CASES["square"].contract, AVX512)
    assert choice is not None
    plan = choice.plan
    before = repr(plan), hash(plan)
    changes = {"split": "panels", "runs": ((0, 2, 48),), "packed": None}
    other = plan.varied(**changes)
    assert other == replace(plan, **changes) != plan
    assert (other.split, other.runs, other.vector) == ("panels", ((0, 2, 48),), plan.vector)
    assert (repr(plan), hash(plan)) == before
