"""Gradients count for as many operations as TensorFlow 1.15's, so that random ops made after them draw the same numbers."""

from pathlib import Path

import numpy as np
import pytest

import graphflow as tf
from tests.golden import gradient_counts
from tests.golden.sections import sections

WANTED = sections(Path(gradient_counts.__file__).with_suffix(".txt").read_text().splitlines())


@pytest.mark.parametrize("group", WANTED)
def test_counts_are_tensorflows(group: str) -> None:
    for wanted, found in zip(WANTED[group], gradient_counts.lines(tf, group), strict=True):
        columns = zip(wanted.split(), found.split(), strict=True)  # what TensorFlow refuses ("-") may work here
        assert all(theirs in ("-", ours) for theirs, ours in columns), (wanted, found)


def test_a_second_net_begins_with_tensorflows_numbers() -> None:
    """Seeds that TensorFlow 1.15 gives the weights of two nets, the second made after the first one's optimizer."""
    with tf.Graph().as_default() as graph:
        tf.set_random_seed(1)
        x = tf.placeholder(tf.float32, [None, 3])
        for _ in range(2):
            loss = tf.losses.mean_squared_error(tf.ones([5, 2]), tf.layers.dense(tf.layers.batch_normalization(x, training=True), 2))
            tf.train.AdamOptimizer().minimize(loss)
        seeds = [op.get_attr("seed2") for op in graph.get_operations() if op.type == "RandomUniform"]
    assert seeds == [45, 286]


def test_a_block_counts_for_its_number_and_for_what_counts_apart() -> None:
    graph = tf.Graph()
    with graph.as_default():
        with graph._count.counting_for(5):
            tf.constant(1)
            with graph._count.counting_for(None, apart=True):
                tf.constant(2)
                with graph._count.counting_for(3):
                    tf.constant(3)
        assert graph._last_id == 5 + 1 + 3
        assert len({op._id for op in graph.get_operations()}) == 3
        np.testing.assert_array_equal(tf.Session().run(tf.constant([4])), [4])
