"""What the compiler does about loops: records that nobody reads, work that does not change, arrays without zeros, rows where they lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphflow as tf
from graphflow.compiler.pipeline import PASSES
from graphflow.compiler.regions import Loop, every_node
from graphflow.config import override
from graphflow.runtime.dataflow import DataflowSession

X = np.linspace(-1, 1, 15, dtype=np.float32).reshape(5, 3)
W = np.linspace(0.5, -0.4, 9, dtype=np.float32).reshape(3, 3)


def _inputs() -> tuple[Any, Any]:
    return tf.placeholder(tf.float32, [5, 3]), tf.placeholder(tf.float32, [3, 3])


def _scanned(x: Any, body: Any, steps: int = 5) -> Any:
    """[steps, 3]: the states of body(state, row) over the rows of x."""
    rows, states = tf.TensorArray(tf.float32, 5).unstack(x), tf.TensorArray(tf.float32, 5, element_shape=[3])

    def step(i: Any, state: Any, made: Any) -> Any:
        state = body(state, rows.read(i))
        return i + 1, state, made.write(i, state)

    return tf.while_loop(lambda i, *_: i < steps, step, [0, tf.zeros([3]), states])[2].stack()


def _compared(fetches: Any, feeds: dict[Any, Any]) -> Any:
    """What a session compiles for the fetches, after comparing its results with the dataflow executor's."""
    with tf.Session() as session:
        found = session.run(fetches, feeds)
        wanted = DataflowSession(tf.get_default_graph()).run(fetches, feeds)
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-6)
        return session.compiled(fetches, feeds).program


def _after(program: Any, name: str) -> Any:
    return next(stage.after for stage in program.report.stages if stage.name == name)


def _types(program: Any) -> list[str]:
    return [part.op.type for node in every_node(program) for part in getattr(node, "nodes", (node,))]


def test_a_record_of_which_only_the_shape_is_needed_is_not_written() -> None:
    """The gradients of sums ask for shapes only; that of a BasicLSTMCell needs the number of each step and seven values."""
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, [None, 5, 3])
        with tf.variable_scope("net", initializer=tf.constant_initializer(0.1)):
            y, _ = tf.nn.dynamic_rnn(tf.nn.rnn_cell.BasicLSTMCell(4), x, dtype=tf.float32)
        gradients = tf.gradients(tf.reduce_sum(y), tf.trainable_variables())
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            program = session.compiled(gradients, {x: X.reshape(1, 5, 3)}).program
        written = [_types(_after(program, name)).count("PutRow") for name in ("cse", "unused")]
        assert written[0] > written[1] == 8


def test_what_does_not_change_is_computed_before_the_loop() -> None:
    with tf.Graph().as_default():
        x, w = _inputs()
        y = _scanned(x, lambda state, row: tf.tanh(row + tf.reshape(tf.matmul(state[None], tf.matmul(w, tf.exp(w * 0.5 + W))), [3])))
        program = _compared([y], {x: X, w: W})
        (loop,) = (n for n in _after(program, "hoist").nodes if isinstance(n.op, Loop))
        inside = [n.op.type for n in loop.op.body.program.nodes]
        outside = [n.op.type for n in _after(program, "hoist").nodes]
        assert inside.count("SumOfProducts") == 1 and "Exp" not in inside
        assert outside.count("SumOfProducts") == 1 and "Exp" in outside


def test_what_may_fail_stays_in_a_loop_that_may_not_go_round() -> None:
    with tf.Graph().as_default():
        x, _ = _inputs()
        n, at = tf.placeholder(tf.int32, []), tf.placeholder(tf.int32, [])
        y = tf.while_loop(lambda i, a: i < n, lambda i, a: (i + 1, a + tf.gather(x, at)), [0, tf.zeros([3])])[1]
        with tf.Session() as session:
            np.testing.assert_array_equal(session.run(y, {x: X, n: 0, at: 9}), np.zeros(3))
            np.testing.assert_array_equal(session.run(y, {x: X, n: 2, at: 1}), X[1] * 2)
            with pytest.raises(tf.errors.InvalidArgumentError, match="9"):
                session.run(y, {x: X, n: 1, at: 9})


@pytest.mark.parametrize("steps", [5, 3])
def test_only_an_array_that_is_filled_has_no_zeros_to_begin_with(steps: int) -> None:
    with tf.Graph().as_default():
        x, _ = _inputs()
        y = _scanned(x, lambda state, row: state * 0.5 + row, steps)
        program = _compared([y], {x: X})
        assert ("NewRows" in _types(program.program)) == (steps == 5)


def test_rows_are_written_and_read_where_they_lie() -> None:
    with tf.Graph().as_default():
        x, w = _inputs()
        y = _scanned(x, lambda state, row: tf.tanh(tf.reshape(tf.matmul((state * row)[None], w), [3])))
        program = _compared([y, *tf.gradients(tf.reduce_sum(y * y), [x, w])], {x: X, w: W})
        assert sum(step.row is not None for step in program.steps) >= 2
        many = _compared([y], {x: X, w: W})
        with override(threads=1):
            alone = _compared([y], {x: X, w: W})
        assert len(many.steps) == len(alone.steps)


@pytest.mark.parametrize(("begin", "text"), [(3, "write to index 5"), (-1, "write to index -1")])
def test_a_row_that_is_not_there(begin: int, text: str) -> None:
    with tf.Graph().as_default():
        x, start = tf.placeholder(tf.float32, [5, 3]), tf.placeholder(tf.int32, [])
        array = tf.TensorArray(tf.float32, 5, element_shape=[3])
        body = lambda i, a, s: (i + 1, a.write(i, tf.tanh(s + x[0])), s + 1.0)  # noqa: E731
        y = tf.while_loop(lambda i, a, s: i < start + 4, body, [start, array, tf.zeros([3])])[1].stack()
        with tf.Session() as session:
            with pytest.raises(tf.errors.InvalidArgumentError, match=f"Tried to {text} but array is not resizeable and size is: 5"):
                session.run(y, {x: X, start: begin})
            assert session.run(y, {x: X, start: 1})[1, 0] == np.tanh(X[0, 0])


def test_gradients_of_a_shared_weight_are_gathered_in_one_place() -> None:
    with tf.Graph().as_default():
        x, w = _inputs()
        h = x
        for _ in range(4):
            h = tf.tanh(tf.matmul(h, w))
        program = _compared([h, tf.gradients(h, w)[0]], {x: X, w: W})
        assert "AddN" in _types(_after(program, "dce")) and "AddN" not in _types(_after(program, "gather_sums"))


def test_only_the_part_of_a_product_that_is_looked_at_is_computed() -> None:
    with tf.Graph().as_default():
        x, w = _inputs()
        program = _compared([tf.matmul(x, w)[1:5:2, 1:]], {x: X, w: W})
        (product,) = (n for n in _after(program, "layout").nodes if n.op.type == "SumOfProducts")
        assert product.outputs[0].shape == (2, 2)
        assert "Section" not in _types(program.program)


def test_the_passes_for_loops_can_be_left_out() -> None:
    names = {"unused", "hoist", "unset", "gather_sums"}
    assert names <= {p.name for p in PASSES}
    with override(passes_off=frozenset(names)), tf.Graph().as_default():
        x, w = _inputs()
        y = _scanned(x, lambda state, row: tf.tanh(row + tf.reshape(tf.matmul(state[None], w), [3])))
        _compared([y, *tf.gradients(y, [x, w])], {x: X, w: W})
