"""Variables in parts: their names and shapes, as one tensor, in checkpoints, with slots."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import graphflow as tf


@pytest.fixture(autouse=True)
def fresh_graph():
    tf.reset_default_graph()


def test_parts_have_the_names_and_shapes_of_tensorflow() -> None:
    with tf.variable_scope("s", partitioner=tf.fixed_size_partitioner(3)):
        v = tf.get_variable("v", [7, 2])
    assert [(p.name, p.shape.as_list()) for p in v] == [("s/v/part_0:0", [3, 2]), ("s/v/part_1:0", [2, 2]), ("s/v/part_2:0", [2, 2])]
    assert tf.convert_to_tensor(v).shape.as_list() == [7, 2]
    with tf.variable_scope("s", reuse=True):
        assert tf.get_variable("v") is v
        with pytest.raises(ValueError, match="specified shape"):
            tf.get_variable("v", [8, 2], partitioner=tf.fixed_size_partitioner(3))


@pytest.mark.parametrize("use_resource", [False, True])
def test_a_checkpoint_holds_the_whole(tmp_path: Path, use_resource: bool) -> None:
    value = np.arange(10, dtype=np.float32).reshape(5, 2)
    v = tf.get_variable("v", initializer=tf.constant(value), partitioner=tf.fixed_size_partitioner(2), use_resource=use_resource)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        path = tf.train.Saver().save(session, str(tmp_path / "m"))
        np.testing.assert_array_equal(session.run(tf.convert_to_tensor(v)), value)
    np.testing.assert_array_equal(tf.train.load_variable(path, "v"), value)
    tf.reset_default_graph()
    other = tf.get_variable("v", [5, 2], partitioner=tf.fixed_size_partitioner(3))
    with tf.Session() as session:
        tf.train.Saver([other]).restore(session, path)
        np.testing.assert_array_equal(session.run(tf.convert_to_tensor(other)), value)


def test_slots_are_parts_of_the_whole_slot() -> None:
    v = tf.get_variable("v", [4, 2], partitioner=tf.fixed_size_partitioner(2))
    optimizer = tf.train.MomentumOptimizer(0.1, 0.9)
    optimizer.minimize(tf.reduce_sum(tf.square(tf.convert_to_tensor(v))))
    info = optimizer.get_slot(list(v)[1], "momentum")._get_save_slice_info()
    assert (info.full_name, list(info.full_shape), list(info.var_offset)) == ("v/Momentum", [4, 2], [2, 0])


def test_what_cannot_be_split_is_refused() -> None:
    with pytest.raises(ValueError, match="only slice a variable along one dimension"):
        tf.get_variable("v", [4, 4], partitioner=lambda **_: [2, 2])
    with pytest.raises(ValueError, match="0 <= offset < shape"):
        tf.create_partitioned_variables([2, 3], [5, 1], tf.zeros([2, 3]))
    tf.get_variable("w", [2])
    with pytest.raises(ValueError, match="unpartitioned version"):
        tf.get_variable("w", [2], partitioner=tf.fixed_size_partitioner(2))
