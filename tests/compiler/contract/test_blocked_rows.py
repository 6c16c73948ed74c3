"""A long reduction goes in blocks, and the rows are known only at run time: the last tile overlaps the one before it."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as tf
from graphflow.compiler.contract.cuts import dynamic_sizes, dynamic_tiles
from graphflow.kernel.index import symbol
from tests.compiler.contract.cases import Compiled, aligned, check, conv_filter, inputs, matmul

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


@pytest.mark.parametrize("kind", ["NN", "NT"])
def test_any_number_of_rows_is_cut_into_tiles_that_give_the_same_bits(kind: str) -> None:
    compiled = Compiled(matmul(N, 64, 40, kind))
    most = inputs(matmul(N, 64, 40, kind), {"N": 61})
    compiled.run(most, {"N": 61}, 1)
    for rows in range(1, 61):
        for threads in (1, 2):
            some = dict(most, a=aligned(most["a"][:rows]), y=aligned(np.full((rows, 64), 77, np.float32)))
            compiled.run(some, {"N": rows}, threads)
            assert np.array_equal(some["y"], most["y"][:rows]), (rows, threads)


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
