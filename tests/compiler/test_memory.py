"""Placement of blocks in the arena."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphflow.compiler.memory import ALIGN, NEAR, SLACK, Block, lower_bound, migrations, place
from tests.fuzzing import examples

ONE = st.tuples(st.integers(0, 40), st.integers(0, 30), st.integers(0, 12)).map(lambda b: Block(b[0] * ALIGN, b[1], b[1] + b[2]))
BLOCKS = st.lists(ONE, max_size=40)


@given(BLOCKS)
@examples(150)
def test_blocks_that_live_together_do_not_overlap(blocks):
    placement = place(blocks)
    for a in range(len(blocks)):
        assert placement.offsets[a] + blocks[a].size <= placement.total and placement.offsets[a] % ALIGN == 0
        for b in range(a):
            together = blocks[a].first <= blocks[b].last and blocks[b].first <= blocks[a].last
            low, high = sorted((placement.offsets[k], placement.offsets[k] + blocks[k].size) for k in (a, b))
            apart = low[1] <= high[0]
            assert not together or apart or 0 in (blocks[a].size, blocks[b].size)
    assert lower_bound(blocks) <= placement.total <= placement.unplanned


def test_a_chain_of_equal_blocks_takes_two():
    blocks = [Block(640, k, k + 1) for k in range(20)]
    placement = place(blocks)
    assert placement.total == placement.bound == 1280 and placement.unplanned == 12800


def test_the_best_of_several_orders_is_kept():
    blocks = [Block(64, 0, 9), Block(640, 0, 1), Block(320, 2, 3), Block(320, 2, 9), Block(640, 4, 5)]
    placement = place(blocks)
    assert placement.bound == lower_bound(blocks) == 64 + 320 + 640
    assert placement.total == placement.bound


def test_a_search_helps_where_every_greedy_order_wastes_memory():
    """The large blocks of mnist_cnn's train step, in units of its smallest."""
    sizes = [
        (32, 0, 27), (784, 1, 26), (324, 2, 24), (392, 3, 15), (98, 4, 16), (32, 6, 10), (32, 6, 17), (32, 6, 18), (1019, 6, 6),
        (98, 12, 13), (32, 12, 12), (392, 13, 24), (1003, 16, 16), (5, 17, 17), (648, 22, 23), (196, 23, 25), (24, 23, 23), (16, 24, 24),
        (784, 25, 27), (2, 27, 27),
    ]  # fmt: skip
    placement = place([Block(n * 12800, first, last) for n, first, last in sizes])
    assert "searched" in placement.method
    assert placement.total <= 1.01 * placement.bound
    assert place([Block(n * 12800, first, last) for n, first, last in sizes]) == placement, "the same every time"


def test_lines_that_another_thread_gets():
    whole, half = Block(1280, 0, 0), Block(640, 1, 1)
    assert migrations([whole, whole._replace(first=1, last=1)], [0, 0]) == 0  # each half stays with its thread
    assert migrations([whole, half], [0, 320]) == 0  # in the middle: so do these
    assert migrations([whole, half], [0, 0]) == 2 * 320  # the second half of it, and back again in the next step
    assert migrations([whole, half], [0, 1280]) == 0  # nothing is shared


@pytest.mark.parametrize("unit", [ALIGN, NEAR])
def test_a_small_arena_may_be_larger_for_lines_that_stay(unit):
    """There is room for the last two blocks where others were, the halves of which would go to the other thread."""
    blocks = [Block(n * unit, first, last) for n, first, last in [(1, 0, 1), (3, 1, 2), (2, 2, 2), (1, 3, 4)]]
    placement, small = place(blocks), unit == ALIGN
    assert (placement.total == placement.bound) is not small
    assert (migrations(blocks, placement.offsets) == 0) is small
    assert placement.total <= SLACK * placement.bound


def test_nothing_to_place():
    placement = place([])
    assert (placement.offsets, placement.total) == ((), 0)
