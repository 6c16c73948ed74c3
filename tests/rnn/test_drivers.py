"""What the functions that run cells promise: lengths, carried states, errors."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as tf

BATCH, TIME, DEPTH, UNITS = 3, 5, 4, 6
LENGTHS = np.array([2, 5, 0], np.int32)
X = np.random.RandomState(0).normal(size=(BATCH, TIME, DEPTH)).astype(np.float32)


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as made:
        yield made


def run(fetches, feed_dict=None):
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        return session.run(fetches, feed_dict)


def test_a_loop_with_lengths_computes_bit_for_bit_what_the_unrolled_cell_does() -> None:
    x, lengths = tf.placeholder(tf.float32, [None, TIME, DEPTH]), tf.placeholder(tf.int32, [None])
    cell = tf.nn.rnn_cell.LSTMCell(UNITS)
    looped, state = tf.nn.dynamic_rnn(cell, x, lengths, dtype=tf.float32)
    unrolled, carried = [], cell.zero_state(tf.shape(x)[0], tf.float32)
    for step in range(TIME):
        with tf.variable_scope("rnn", reuse=True):
            output, carried = cell(x[:, step], carried)
        unrolled.append((output, carried))
    outputs, last, steps = run([looped, state, unrolled], {x: X, lengths: LENGTHS})
    for row, length in enumerate(LENGTHS):
        for step in range(TIME):
            wanted = steps[step][0][row] if step < length else np.zeros(UNITS, np.float32)
            np.testing.assert_array_equal(outputs[row, step], wanted)
        for part in range(2):
            wanted = steps[length - 1][1][part][row] if length else np.zeros(UNITS, np.float32)
            np.testing.assert_array_equal(last[part][row], wanted)


def test_another_length_and_batch_go_through_the_same_loop() -> None:
    x = tf.placeholder(tf.float32, [None, None, DEPTH])
    outputs, state = tf.nn.dynamic_rnn(tf.nn.rnn_cell.GRUCell(UNITS), x, dtype=tf.float32)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        whole, _ = session.run([outputs, state], {x: X})
        part, last = session.run([outputs, state], {x: X[:2, :3]})
        assert session._engine.compiled_programs == 2  # the initializer, and one for all lengths and batches
    np.testing.assert_allclose(part, whole[:2, :3], rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(last, part[:, -1])


def test_a_carried_state_continues_the_sequence() -> None:
    x = tf.placeholder(tf.float32, [BATCH, None, DEPTH])
    cell = tf.nn.rnn_cell.MultiRNNCell([tf.nn.rnn_cell.LSTMCell(UNITS), tf.nn.rnn_cell.GRUCell(2)])
    start = cell.zero_state(BATCH, tf.float32)
    outputs, state = tf.nn.dynamic_rnn(cell, x, initial_state=start)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        whole = session.run(outputs, {x: X})
        first, carried = session.run([outputs, state], {x: X[:, :2]})
        rest = session.run(outputs, {x: X[:, 2:], start: carried})
    assert isinstance(carried[0], tf.nn.rnn_cell.LSTMStateTuple)
    np.testing.assert_allclose(np.concatenate([first, rest], 1), whole, rtol=1e-5, atol=1e-6)


def test_gradients_reach_the_initial_state_of_a_loop() -> None:
    x = tf.constant(X)
    start = tf.placeholder(tf.float32, [BATCH, UNITS])
    cell = tf.nn.rnn_cell.GRUCell(UNITS)
    _, looped = tf.nn.dynamic_rnn(cell, x, initial_state=start)
    with tf.variable_scope(tf.get_variable_scope(), reuse=True):
        _, unrolled = tf.nn.static_rnn(cell, tf.unstack(x, axis=1), initial_state=start)
    gradients = [tf.gradients(tf.reduce_sum(state**2), start)[0] for state in (looped, unrolled)]
    by_loop, by_steps = run(gradients, {start: np.full((BATCH, UNITS), 0.3, np.float32)})
    np.testing.assert_allclose(by_loop, by_steps, rtol=1e-4, atol=1e-6)
    assert np.abs(by_loop).max() > 1e-4


def test_a_saved_state_is_read_and_left_in_variables() -> None:
    class Saver:
        def state(self, name):
            return tf.get_variable(name, [BATCH, UNITS], initializer=tf.zeros_initializer(), trainable=False)

        def save_state(self, name, value):
            with tf.variable_scope(tf.get_variable_scope(), reuse=True):
                return tf.assign(tf.get_variable(name, [BATCH, UNITS]), value)

    cell = tf.nn.rnn_cell.GRUCell(UNITS)
    outputs, _ = tf.nn.static_state_saving_rnn(cell, tf.unstack(tf.constant(X), axis=1), Saver(), "state")
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        first = session.run(outputs[-1])
        second = session.run(outputs[-1])
    assert np.abs(first - second).max() > 1e-3


def test_what_is_no_cell_is_told_what_it_lacks() -> None:
    with pytest.raises(TypeError, match="is not an RNNCell: 'output_size' property is missing, 'state_size' property is missing"):
        tf.nn.dynamic_rnn(lambda x, s: (x, s), tf.constant(X), dtype=tf.float32)


@pytest.mark.parametrize(
    ("build", "error", "told"),
    [
        (lambda c: tf.nn.dynamic_rnn(c, tf.constant(X)), ValueError, "If there is no initial_state, you must give a dtype"),
        (lambda c: tf.nn.static_rnn(c, [tf.constant(X[:, 0])]), ValueError, "dtype must be specified"),
        (lambda c: tf.nn.static_rnn(c, [], dtype=tf.float32), ValueError, "inputs must not be empty"),
        (lambda c: tf.nn.static_rnn(c, tf.constant(X), dtype=tf.float32), TypeError, "inputs must be a sequence"),
        (lambda c: tf.nn.dynamic_rnn(c, tf.constant(X), [[1]], dtype=tf.float32), ValueError, "must be a vector of length batch_size"),
        (lambda c: tf.nn.dynamic_rnn(c, tf.placeholder(tf.float32, [2, 3, None]), dtype=tf.float32), ValueError, "Input size"),
        (lambda c: c(tf.zeros([2, 3], tf.int32), tf.zeros([2, UNITS], tf.int32)), ValueError, "only supports floating point inputs"),
        (lambda c: c(tf.zeros([2, 3, 4]), tf.zeros([2, UNITS])), ValueError, "expected ndim=2, found ndim=3"),
        (lambda c: tf.nn.rnn_cell.MultiRNNCell([]), ValueError, "at least one cell"),
        (lambda c: tf.nn.rnn_cell.DropoutWrapper(c, 1.5), ValueError, "input_keep_prob must be between 0 and 1"),
        (lambda c: tf.nn.raw_rnn(c, 3), TypeError, "loop_fn must be a callable"),
        (lambda c: tf.contrib.seq2seq.dynamic_decode(c), TypeError, "Expected decoder to be type Decoder"),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused(build, error, told) -> None:
    with pytest.raises(error, match=told):
        build(tf.nn.rnn_cell.GRUCell(UNITS))


def test_a_wrong_number_of_lengths_fails_the_run() -> None:
    lengths = tf.placeholder(tf.int32, [None])
    outputs, _ = tf.nn.dynamic_rnn(tf.nn.rnn_cell.GRUCell(UNITS), tf.constant(X), lengths, dtype=tf.float32)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Expected shape for Tensor"):
        run(outputs, {lengths: [1, 2]})


def test_a_cell_used_twice_shares_its_variables_and_lists_them() -> None:
    cell = tf.nn.rnn_cell.MultiRNNCell([tf.nn.rnn_cell.GRUCell(UNITS), tf.nn.rnn_cell.BasicLSTMCell(2)])
    state = cell.zero_state(BATCH, tf.float32)
    for _ in range(2):
        _, state = cell(tf.constant(X[:, 0]), state)
    assert [v.op.name for v in cell.trainable_variables] == [v.op.name for v in tf.trainable_variables()]
    assert len(cell.weights) == 6


def test_cudnn_layers_are_made_of_cells_whose_names_are_those_of_checkpoints() -> None:
    layer = tf.contrib.cudnn_rnn.CudnnLSTM(2, UNITS, direction="bidirectional")
    outputs, (h, c) = layer(tf.constant(X.transpose(1, 0, 2)), training=False)
    names = [v.op.name for v in layer.trainable_variables]
    assert names[0] == "cudnn_lstm/stack_bidirectional_rnn/cell_0/bidirectional_rnn/fw/cudnn_compatible_lstm_cell/kernel"
    assert [value.shape for value in run([outputs, h, c])] == [(TIME, BATCH, 2 * UNITS), (4, BATCH, UNITS), (4, BATCH, UNITS)]


def test_cells_can_be_copied() -> None:
    import copy

    cell = tf.nn.rnn_cell.GRUCell(UNITS)
    other = copy.deepcopy(cell)
    cell(tf.constant(X[:, 0]), cell.zero_state(BATCH, tf.float32))
    assert cell.built and not other.built


def test_a_block_cell_is_one_operation_of_the_graph() -> None:
    with tf.Graph().as_default() as graph:
        x = tf.placeholder(tf.float32, [None, 5])
        for cell in (tf.contrib.rnn.LSTMBlockCell(3), tf.contrib.rnn.GRUBlockCellV2(3)):
            cell(x, cell.zero_state(2, tf.float32))
        names = [op.name for op in graph.get_operations() if op.type.endswith("BlockCell")]
        assert names == ["lstm_cell/LSTMBlockCell", "gru_cell/GRUBlockCell"]
