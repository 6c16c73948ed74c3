"""Random contractions with random epilogues, against the interpreter: what an epilogue reads may be anything of the result's place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphflow.kernel import interpret
from graphflow.kernel.expr import Expr, Load, load, local, maximum, position, select, sqrt
from graphflow.kernel.index import Index, evaluate, product, substitute, symbol
from graphflow.kernel.nodes import Axis, Buffer, Kernel, Let, Role, Stmt, Store
from tests.compiler.contract.cases import Case, Compiled, aligned, conv, conv_filter, conv_input, inputs, matmul
from tests.fuzzing import examples

N = symbol("N", 0, None)
small = st.integers(1, 40)
channels = st.sampled_from([1, 2, 3, 5, 8, 16, 17, 24])
places = st.integers(6, 12)

Builder = Callable[..., Case]

contractions = st.one_of(
    st.builds(matmul, st.one_of(small, st.just(N)), st.integers(1, 90), st.one_of(small, st.integers(200, 400)),
              st.sampled_from(["NN", "NT", "TN"])),
    st.builds(conv, st.sampled_from([2, N]), places, places, channels, st.sampled_from([1, 3, 5]), channels, st.sampled_from([1, 2])),
    st.builds(conv_filter, st.sampled_from([2, N]), places, places, channels, st.sampled_from([1, 3]), channels),
    st.builds(conv_input, st.sampled_from([2, N]), places, places, channels, st.sampled_from([1, 3]), channels),
)  # fmt: skip
recipes = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 4)), min_size=1, max_size=12)


def place(axis: Axis) -> Index:
    """The symbol of an axis."""
    return symbol(axis.name, 0, axis.extent - 1 if isinstance(axis.extent, int) else None)


def sources(case: Case) -> tuple[list[Load], list[Buffer]]:
    """What an epilogue may read at a result's place, and the buffers for it: an array like the results, the results' own memory, a vector
    for each axis, and both operands where the reduction begins."""
    contract = case.contract
    (store,) = contract.epilogue
    assert isinstance(store, Store)
    result = next(b for b in case.buffers if b.name == store.buffer)
    begin: dict[str, Index] = {a.name: 0 for a in contract.reduced}
    extra = [Buffer("like", result.type, result.shape, Role.IN)]
    found = [load("like", result.type, store.offset), load(result.name, result.type, store.offset)]
    for axis in contract.free:
        extra.append(Buffer(f"of_{axis.name}", result.type, (axis.extent,), Role.IN))
        found.append(load(f"of_{axis.name}", result.type, place(axis)))
    found += [load(o.buffer, o.type, substitute(o.offset, begin)) for o in (contract.left, contract.right)]
    return found, extra


def with_epilogue(case: Case, recipe: Sequence[tuple[int, int]]) -> Case:
    """The case with one step of the epilogue for each of the recipe; every third value is kept in a local."""
    contract = case.contract
    (store,) = contract.epilogue
    assert isinstance(store, Store)
    readable, extra = sources(case)
    steps: list[Stmt] = []
    value: Expr = local("acc", contract.left.type)
    for number, (which, how) in enumerate(recipe):
        x, axis = readable[which % len(readable)], contract.free[which % len(contract.free)]
        early = position(place(axis)) < 3
        value = (value + x, value * 0.5 - x, maximum(value, x), sqrt(value * value + x * x), select(early, value, x - value))[how]
        if number % 3 == 2:
            steps.append(Let(f"t{number}", value))
            value = local(f"t{number}", contract.left.type)
    steps.append(Store(store.buffer, store.offset, value))
    own = tuple(replace(b, role=Role.INOUT) if b.name == store.buffer else b for b in case.buffers)
    return replace(case, contract=replace(contract, epilogue=tuple(steps)), buffers=(*own, *extra))


@pytest.mark.slow
@examples(150)
@given(contractions, recipes, st.integers(1, 9), st.sampled_from(["native", "native", "avx2", "sse2"]))
def test_random_epilogues(plain: Case, recipe: list[tuple[int, int]], rows: int, machine: str) -> None:
    case = with_epilogue(plain, recipe)
    sizes = {"N": rows}
    arrays = inputs(case, sizes)
    kernel = Kernel("wanted", case.buffers, case.symbols, ((case.contract,),))
    given_sizes = dict.fromkeys(case.symbols, rows)
    wanted = interpret.run(kernel, {name: a.copy() for name, a in arrays.items()}, given_sizes)["y"]
    compiled = Compiled(case, machine)
    depth = evaluate(product([a.extent for a in case.contract.reduced]), sizes)
    for threads in (1, 3):
        got = {name: aligned(a) for name, a in arrays.items()}
        compiled.run(got, given_sizes, threads)
        np.testing.assert_allclose(got["y"].reshape(-1), wanted.reshape(-1), rtol=1e-4, atol=2e-5 * depth**0.5 + 1e-5)
