"""Every kind of contraction against index arithmetic in numpy, with one, two and four threads giving the same bits."""

from __future__ import annotations

import pytest

from graphflow.kernel.expr import load
from graphflow.kernel.index import symbol
from graphflow.kernel.nodes import Buffer, Contract, Role
from tests.compiler.contract.cases import (
    Case,
    Compiled,
    axes,
    check,
    conv,
    conv_filter,
    conv_input,
    depthwise,
    matmul,
    plain,
)  # fmt: skip

N, M = symbol("N", 0, None), symbol("M", 0, None)
MACHINES = ("native", "avx2", "sse2")


@pytest.mark.parametrize("kind", ["NN", "TN", "NT", "TT"])
@pytest.mark.parametrize("sizes", [(1, 1, 1), (5, 7, 3), (17, 33, 20), (16, 64, 16), (29, 10, 40), (3, 130, 9)], ids=str)
def test_products_in_all_transposes(kind: str, sizes: tuple[int, int, int]) -> None:
    check(matmul(*sizes, kind))


@pytest.mark.parametrize("machine", ["avx2", "sse2"])
@pytest.mark.parametrize("kind", ["NN", "TN", "NT", "TT"])
def test_products_on_narrower_machines(kind: str, machine: str) -> None:
    check(matmul(13, 23, 37, kind), machine=machine)


@pytest.mark.parametrize("sizes", [(0, 5, 3), (5, 0, 3), (5, 3, 0), (1, 1, 0)], ids=str)
def test_empty_extents(sizes: tuple[int, int, int]) -> None:
    check(matmul(*sizes))


@pytest.mark.parametrize("machine", MACHINES)
def test_rows_counted_at_run_time(machine: str) -> None:
    case = matmul(M, 70, 9)
    for rows in (0, 1, 2, 3, 6, 7, 13, 14, 15, 29, 43):
        check(case, {"M": rows}, machine, threads=(1, 2, 4) if rows == 29 else (1, 3))


@pytest.mark.parametrize("machine", MACHINES)
def test_columns_counted_at_run_time(machine: str) -> None:
    case = matmul(6, N, 5)
    for columns in (0, 1, 15, 16, 17, 50):
        check(case, {"N": columns}, machine, threads=(1, 3))


def test_everything_counted_at_run_time() -> None:
    k = symbol("K", 0, None)
    for kind in ("NN", "TN", "NT", "TT"):
        check(matmul(M, N, k, kind), {"M": 9, "N": 21, "K": 35})


@pytest.mark.parametrize("kind", ["NN", "NT"])
def test_reductions_counted_at_run_time(kind: str) -> None:
    case = matmul(7, 20, N, kind)
    for size in (0, 1, 15, 16, 40):
        check(case, {"N": size}, threads=(1, 2))


@pytest.mark.parametrize("type_", ["f64", "i32", "i64", "f16"])
@pytest.mark.parametrize("machine", MACHINES)
def test_element_types(type_: str, machine: str) -> None:
    check(matmul(13, 21, 18, "NN", type_), machine=machine)
    check(matmul(5, 6, 21, "NT", type_), machine=machine)


@pytest.mark.parametrize("kind", ["NN", "NT", "TN", "TT"])
def test_batches(kind: str) -> None:
    check(matmul(5, 9, 7, kind, batch=N), {"N": 3})
    check(matmul(5, 9, 7, kind, batch=4, shared=True))


@pytest.mark.parametrize("sizes", [(1, 300), (40, 300), (1, 7), (3, 16)], ids=str)
def test_matrix_by_vector(sizes: tuple[int, int]) -> None:
    rows, terms = sizes
    check(matmul(rows, 1, terms))
    check(matmul(1, rows, terms))
    check(matmul(1, rows, terms, "NT"))
    check(matmul(1, rows, terms, "NT"), machine="avx2", threads=(1, 2))


def test_long_dot_product_is_cut_into_the_same_parts_for_any_number_of_threads() -> None:
    compiled = check(matmul(1, 1, 200_003), threads=(1, 2, 3, 8))
    assert len(compiled.kernel.phases) == 2


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    "case",
    [
        (2, 9, 10, 3, 3, 20),
        (N, 8, 12, 1, 5, 6),
        (1, 7, 7, 16, 1, 5),
        (2, 9, 9, 2, 3, 8, 2),
        (1, 11, 12, 3, 3, 4, 1, 2),
        (2, 12, 13, 4, 3, 7, 3),
    ],
    ids=str,
)
def test_convolutions(case: tuple[int, ...], machine: str) -> None:
    check(conv(*case), {"N": 3}, machine)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("case", [(2, 9, 10, 3, 3, 20), (N, 8, 12, 1, 5, 6), (3, 9, 9, 20, 3, 8, 2), (N, 6, 6, 17, 3, 33)], ids=str)
def test_filter_gradients(case: tuple[int, ...], machine: str) -> None:
    check(conv_filter(*case), {"N": 5}, machine)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("case", [(2, 5, 6, 3, 3, 20), (N, 8, 7, 16, 5, 6)], ids=str)
def test_input_gradients(case: tuple[int, ...], machine: str) -> None:
    check(conv_input(*case), {"N": 3}, machine)


@pytest.mark.parametrize("machine", MACHINES)
def test_depthwise(machine: str) -> None:
    check(depthwise(2, 6, 7, 20, 3), machine=machine)
    check(depthwise(N, 6, 7, 5, 3, 3), {"N": 2}, machine)


def test_few_results_of_a_long_reduction_are_summed_in_parts() -> None:
    compiled = check(conv_filter(N, 12, 12, 3, 3, 16), {"N": 37})
    again = check(conv_filter(N, 12, 12, 3, 3, 16), {"N": 3})
    assert len(compiled.kernel.phases) == len(again.kernel.phases) == 2


def test_parts_of_a_long_reduction_are_so_many_that_a_cache_holds_what_one_reads() -> None:
    """All tiles pass over a part before the next part's turn. No thread has more images than another where that can be."""
    parts = [Compiled(conv_filter(n, 34, 34, 3, 3, 32)).kernel.buffers[-1].shape[0] for n in (33, 50, 128)]
    assert parts == [17, 25, 64], "of two images each"
    check(conv_filter(96, 34, 34, 3, 3, 32), threads=(1, 2, 3))


def test_a_reduction_too_long_for_the_caches_goes_by_in_blocks() -> None:
    compiled = check(matmul(60, 80, 6000, "TN"), threads=(1, 3))
    plan = compiled.plan()
    assert plan.block is not None and plan.sums == "t.sums"
    case = conv_filter(N, 40, 40, 16, 3, 32)
    for images in (1, 5):
        check(case, {"N": images}, threads=(1, 2))


def test_sums_of_usually_few_steps_are_finished_in_registers_after_the_last_block() -> None:
    case = matmul(60, 80, N, "TN")
    plan = Compiled(case).plan()
    assert plan.block is not None and plan.inline, "100 steps, as an unknown size is taken to be, are few"
    for steps in (0, 1, plan.block[1], plan.block[1] + 1, 2 * plan.block[1] + 3):
        check(case, {"N": steps}, threads=(1, 2))


@pytest.mark.parametrize("rows", range(1, 31))
def test_every_tile_height(rows: int) -> None:
    check(matmul(rows, 19, 6), threads=(1,))


@pytest.mark.parametrize("columns", [1, 2, 3, 4, 5, 8, 9, 15, 16, 17, 31, 33, 48, 65, 80, 100, 127])
def test_every_panel_width(columns: int) -> None:
    check(matmul(4, columns, 6), threads=(1, 2))


def test_results_that_no_panel_can_be_copied_for() -> None:
    """One filter of one channel, in strides: the image lies across the results, and no other axis is there to share a copy of it."""
    free, f = axes(n=N, o=4)
    reduced, r = axes(k=2)
    left, right = load("x", "f32", f["n"] * 15 + f["o"] * 3 + r["k"]), load("w", "f32", 4 - 3 * r["k"])
    contract = Contract(free, reduced, left, right, plain("f32", f["n"] * 4 + f["o"]))
    buffers = Buffer("x", "f32", (N, 15), Role.IN), Buffer("w", "f32", (5,), Role.IN), Buffer("y", "f32", (N, 4), Role.OUT)
    check(Case(contract, buffers, ("N",)), {"N": 9})
