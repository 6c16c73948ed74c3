"""Sizes that depend on data: one Program for all counts, shapes of what is fetched, sizes without an operand, more than was expected."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as tf
from graphflow import errors


def programs(session: tf.Session) -> int:
    return session._engine.compiled_programs


def test_another_count_compiles_nothing() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        ids, data = tf.placeholder(tf.int32, [None]), tf.placeholder(tf.float32, [None, 3])
        y, idx = tf.unique(ids)
        summed = tf.unsorted_segment_sum(data, idx, tf.size(y))
        for chosen in ([4, 4, 1, 4], [0, 1, 2, 3], [5, 5, 5, 5]):
            rows = np.arange(12, dtype=np.float32).reshape(4, 3)
            found, sums = session.run([y, summed], {ids: chosen, data: rows})
            first = list(dict.fromkeys(chosen))
            assert found.tolist() == first
            np.testing.assert_array_equal(sums, [rows[np.array(chosen) == c].sum(0) for c in first])
        assert programs(session) == 1


def test_what_reads_nothing_that_was_counted_waits_for_the_size() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, [None])
        kept = tf.boolean_mask(x, x > 0)
        count = tf.size(kept)
        wanted = [tf.ones([count]) * 2, tf.range(count), tf.cast(count, tf.float32), tf.shape(kept), tf.reduce_mean(kept),
                  tf.zeros([2, count])]  # fmt: skip
        for values in ([1, -1, 3], [-1, -2, -3], [2, 2, 2]):
            twos, counted, number, dims, mean, zeros = session.run(wanted, {x: values})
            n = sum(v > 0 for v in values)
            assert twos.tolist() == [2] * n and counted.tolist() == list(range(n)) and number == n and dims.tolist() == [n]
            assert zeros.shape == (2, n)
            assert np.isnan(mean) if n == 0 else mean == np.mean([v for v in values if v > 0])
        assert programs(session) == 1


def test_the_gradient_goes_through_a_mask() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, [None, 2])
        kept = tf.boolean_mask(x, x[:, 0] > 0)
        (slope,) = tf.gradients(tf.reduce_mean(tf.square(kept)), x)
        found = session.run(slope, {x: [[1, 2], [-1, 5], [3, 4]]})
        np.testing.assert_allclose(found, [[0.5, 1], [0, 0], [1.5, 2]], rtol=1e-6)


def test_counted_sizes_inside_branches_and_loops() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        x, on = tf.placeholder(tf.int32, [None]), tf.placeholder(tf.bool, [])
        y, _ = tf.unique(x)
        doubled = tf.cond(on, lambda: y * 2 + tf.ones_like(y), lambda: -y)
        summed = tf.while_loop(lambda i, t: i < 3, lambda i, t: (i + 1, t + y + tf.range(tf.size(y))), [0, y])[1]
        inside = tf.cond(on, lambda: tf.size(tf.unique(x)[0]), lambda: -1)
        for values, flag in (([1, 1, 2], True), ([3, 4, 5], False), ([7, 7, 7], True)):
            distinct = np.array(list(dict.fromkeys(values)))
            a, b, c = session.run([doubled, summed, inside], {x: values, on: flag})
            np.testing.assert_array_equal(a, distinct * 2 + 1 if flag else -distinct)
            np.testing.assert_array_equal(b, 4 * distinct + 3 * np.arange(len(distinct)))
            assert c == (len(distinct) if flag else -1)


def test_more_segments_than_rows_begin_the_run_again() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        ids = tf.placeholder(tf.int32, [None])
        counter = tf.Variable(0)
        with tf.control_dependencies([counter.assign_add(1)]):
            summed = tf.segment_sum(tf.ones_like(ids), ids)
        session.run(counter.initializer)
        for chosen in ([0, 0, 1], [0, 7, 900], [0, 1, 1], [2, 3, 5000]):
            found = session.run([summed, counter], {ids: chosen})[0]
            np.testing.assert_array_equal(found, np.bincount(chosen))
        assert session.run(counter) == 4
        assert programs(session) <= 4


def test_a_stitch_with_gaps_is_filled_with_zeros() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        ids = tf.placeholder(tf.int32, [None])
        merged = tf.dynamic_stitch([ids], [tf.constant([1.0, 2.0])])
        assert session.run(merged, {ids: [9, 3]}).tolist() == [0, 0, 0, 2, 0, 0, 0, 0, 0, 1]


def test_wrong_parts_and_segments_are_refused() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        ids = tf.placeholder(tf.int32, [None])
        with pytest.raises(errors.InvalidArgumentError, match=r"partitions\[1\] = 2 is not in \[0, 2\)"):
            session.run(tf.dynamic_partition([1.0, 2.0], ids, 2), {ids: [0, 2]})
        with pytest.raises(errors.InvalidArgumentError, match="segment ids are not increasing"):
            session.run(tf.segment_sum([1.0, 2.0], ids), {ids: [1, 0]})


def test_an_embedding_of_other_ids_compiles_nothing() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        rows, values = tf.placeholder(tf.int64, [None, 2]), tf.placeholder(tf.int64, [None])
        table = tf.Variable(np.arange(20, dtype=np.float32).reshape(10, 2))
        sparse = tf.SparseTensor(rows, values, [3, 4])
        found = tf.nn.embedding_lookup_sparse(table, sparse, None, combiner="mean")
        train = tf.train.AdagradOptimizer(0.1).minimize(tf.reduce_sum(found))
        session.run(tf.global_variables_initializer())
        seen = []
        for ids in ([1, 1, 3, 4], [2, 5, 5, 5], [9, 8, 7, 6]):
            places = [[0, 0], [0, 1], [1, 0], [2, 3]]
            before = session.run(table)
            means, _ = session.run([found, train], {rows: places, values: ids})
            np.testing.assert_allclose(means, [before[ids[:2]].mean(0), before[ids[2]], before[ids[3]]], rtol=1e-6)
            seen.append(programs(session))
        assert seen[-1] == seen[0]


def test_what_is_known_while_compiling_is_counted_then() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        known = np.arange(7000) % 11
        y, _ = tf.unique(known)
        assert session.run([y, tf.zeros([tf.size(y)])])[1].shape == (11,)


def test_parts_of_two_tensors_that_are_cut_alike_are_equally_long() -> None:
    """As in tf.nn.embedding_lookup of a table in parts: what a part of the ids finds goes back by the same part of their places."""
    ids, data = tf.placeholder(tf.int32, [None]), tf.placeholder(tf.float32, [None])
    cut = tf.mod(ids, 2)
    rows, places = tf.dynamic_partition(data, cut, 2), tf.dynamic_partition(tf.range(tf.size(ids)), cut, 2)
    back = tf.dynamic_stitch(places, [tf.reshape(tf.stack([r, -r], 1), [-1, 2]) for r in rows])
    with tf.Session() as session:
        for n in (7, 3, 12):
            x = np.arange(n, dtype=np.float32) + 1
            np.testing.assert_array_equal(session.run(back, {ids: np.arange(n) * 3 % 5, data: x}), np.stack([x, -x], 1))
