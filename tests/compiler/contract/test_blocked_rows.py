"""A long reduction goes in blocks, and the rows are known only at run time: the last tile overlaps the one before it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

import graphflow as tf
from graphflow.compiler.contract.cuts import dynamic_sizes, dynamic_tiles, priced_for
from graphflow.compiler.llvm.target import AVX512, Target
from graphflow.kernel.expr import load
from graphflow.kernel.index import symbol
from tests.compiler.contract.cases import PLAIN, Case, Compiled, aligned, check, conv_filter, inputs, matmul, sums

N = symbol("N", 0, None)


@pytest.fixture(scope="module")
def product() -> tuple[object, object, object, np.ndarray]:
    graph = tf.Graph()
    with graph.as_default():
        x = tf.placeholder(tf.float32, [None, 3136])
        weights = np.random.RandomState(0).randn(3136, 1024).astype(np.float32)
        y = tf.nn.relu(tf.matmul(x, tf.constant(weights)) + 1.0)
    return tf.Session(graph=graph), x, y, weights


@pytest.mark.parametrize("rows", [2, 13, 20, 37, 50, 97, 100, 101, 128])
def test_rows_that_two_tiles_share_are_summed_once(product: tuple, rows: int) -> None:
    session, x, y, weights = product
    values = np.random.RandomState(rows).randn(rows, 3136).astype(np.float32)
    wanted = np.maximum(values.astype(np.float64) @ weights + 1, 0)
    np.testing.assert_allclose(session.run(y, {x: values}), wanted, rtol=1e-4, atol=1e-3)


def check_rows(
    case: Case, most: int, numbers: Iterable[int], threads: Iterable[int] = (1, 2, 3), machine: str | Target = PLAIN
) -> Compiled:
    """Compile a product of N rows, and see that any number of rows gives the bits that as many of `most` have, whose sums are right."""
    compiled = Compiled(case, machine)
    full = inputs(case, {"N": most})
    compiled.run(full, {"N": most}, 1)
    expected, scale = sums(case, full, {"N": most})
    assert np.all(np.abs(full["y"] - expected) <= 16 * np.finfo(full["y"].dtype).eps * (scale + 1))
    for rows, many in itertools.product(numbers, threads):
        some = dict(full, a=aligned(full["a"][:rows]), y=aligned(np.full_like(full["y"][:rows], 77)))
        compiled.run(some, {"N": rows}, many)
        assert np.array_equal(some["y"], full["y"][:rows]), (rows, many)
    return compiled


@pytest.mark.parametrize("kind", ["NN", "NT"])
def test_any_number_of_rows_is_cut_into_tiles_that_give_the_same_bits(kind: str) -> None:
    check_rows(matmul(N, 64, 40, kind), 61, range(1, 61), threads=(1, 2))


WHOLE = [  # columns, steps, type
    (1024, 10, "f32"),  # the rows of the results lie whole pages apart
    (84, 10, "f32"),  # the last panel is half a register wide
    (500, 17, "f32"),
    (130, 3, "f32"),
    (200, 33, "f64"),
]


@pytest.mark.parametrize("machine", ["native", "avx2", "sse2"])
@pytest.mark.parametrize(("columns", "steps", "type_"), WHOLE)
def test_where_sums_are_short_tiles_go_along_the_rows(columns: int, steps: int, type_: str, machine: str) -> None:
    """The operand that lies across the lanes is transposed as a whole before."""
    check_rows(matmul(N, columns, steps, "NT", type_), 61, (*range(1, 16), 25, 27, 40, 60), machine=machine)


def test_which_operands_are_transposed_as_a_whole() -> None:
    def whole(case: Case) -> bool:
        packed = Compiled(case, AVX512).plan().packed
        return packed is not None and packed.whole

    assert whole(matmul(N, 1024, 10, "NT")) and whole(matmul(128, 512, 10, "NT"))
    assert not whole(matmul(N, 1024, 10, "NN")), "rows are read where they lie"
    assert not whole(matmul(N, 1024, 512, "NT")), "the sums are long, and the operand fills the cache"
    case = matmul(N, 1024, 10, "NT")
    (store,) = case.contract.epilogue
    added = replace(store, value=load("y", "f32", store.offset) + store.value)
    assert not whole(Case(replace(case.contract, epilogue=(added,)), case.buffers, case.symbols)), "tiles that overlap would add twice"


@pytest.mark.parametrize("machine", ["native", "avx2", "sse2"])
def test_the_first_of_few_tiles_copies_the_panel(machine: str) -> None:
    with priced_for({"N": 50}):
        compiled = check_rows(matmul(N, 1024, 1025), 41, (1, 4, 7, 12, 13, 14, 25, 27, 40), machine=machine)
    assert compiled.plan().packed.fused


def test_who_copies_a_panel() -> None:
    def fused(case: Case) -> bool:
        packed = Compiled(case, AVX512).plan().packed
        return packed is not None and packed.fused

    assert fused(matmul(N, 1024, 3136)) and fused(matmul(50, 1024, 3136))
    assert not fused(matmul(1024, 1024, 1024)), "so many tiles that one body of code less is worth more"
    assert not fused(matmul(N, 3136, 1024, "NT")), "what lies across is transposed before"


EMPTY = {"TN": matmul(64, 80, N, "TN"), "TT": matmul(300, 512, N, "TT"), "dW": conv_filter(N, 12, 12, 3, 3, 16)}


@pytest.mark.parametrize("name", EMPTY)
def test_a_reduction_of_no_steps_is_zero(name: str) -> None:
    check(EMPTY[name], {"N": 0}, threads=(1, 2))


def test_what_a_mask_leaves_nothing_of_sums_to_zero() -> None:
    """How many rows are left is known only inside the step."""
    with tf.Graph().as_default():
        x, mask = tf.placeholder(tf.float32, [None, 600]), tf.placeholder(tf.bool, [None])
        left = tf.boolean_mask(x, mask)
        product = tf.matmul(left, left[:, :80], transpose_a=True) + 1
        with tf.Session() as session:
            for kept in ([True, False, True], [False, False, False]):
                found = session.run(product, {x: np.ones((3, 600)), mask: kept})
                np.testing.assert_array_equal(found, np.full((600, 80), 1.0 + sum(kept), np.float32))


def covered_by(rows: int, sizes: tuple[int, ...]) -> tuple[int, int]:
    """How many rows the tiles for `rows` cover, and the height of the lowest of them."""
    tiles = dynamic_tiles(rows, sizes)
    return sum(height * count for height, count in tiles.items()), min(tiles)


@pytest.mark.parametrize("most", [28, 14, 13, 9, 8, 6, 5, 3, 2, 1])
def test_tiles_of_two_heights_cover_rows_evenly(most: int) -> None:
    for usual in (1, 2, 8, 16, 25, 32, 50, 64, 100, 128, 512):
        sizes = dynamic_sizes(most, usual)
        assert max(sizes) <= most and sizes[-1] == 1
        assert covered_by(usual, sizes)[0] == usual, "no row is computed twice at the usual batch size"
        assert sum(dynamic_tiles(usual, sizes).values()) == -(-usual // most), "nor are there more tiles than are needed"
        for rows in (*range(1, 300), 100_003):  # of many rows, most tiles are counted at once
            covered, lowest = covered_by(rows, sizes)
            assert covered - lowest < rows <= covered
