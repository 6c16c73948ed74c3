"""Operations copied from templates: the Program is the one that making each of them anew gives."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as tf
from graphflow.compiler.builder import ProgramBuilder
from graphflow.compiler.capture import Feed, capture, symbolic_pattern
from graphflow.compiler.templates import Templates, situation
from graphflow.graph.op import REGISTRY
from graphflow.kernel.index import symbol
from graphflow.runtime.interpreter import interpret
from graphflow.runtime.storage import Storage
from tests.compiler.support import feed


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as g:
        yield g


class Forgetful(Templates):
    """Templates that are never found."""

    def get(self, key, default=None):
        return default


def shape_of(program):
    """A Program without the numbers of its values and the names of its operations."""
    numbers = {}

    def place(value):
        if value.known is not None:
            shared = numbers.setdefault(value.id, len(numbers))  # one literal in several places, or several equal ones
            return value.dtype, value.known.shape, str(value.known.tolist()), shared
        return numbers.setdefault(value.id, len(numbers)), value.dtype, value.shape

    for given in program.inputs:
        if given.value.known is None:
            place(given.value)
    nodes = [(n.op, tuple(map(place, n.inputs)), tuple(map(place, n.outputs)), n.inferred) for n in program.nodes]
    return nodes, [place(v) for v in program.outputs], {name: place(v) for name, v in program.updates.items()}


def layers():
    """Equal layers, an optimizer's updates, a product of a value with itself, a reshape by the batch size, and the gradients."""
    x = tf.placeholder(tf.float32, [None, 8], name="x")
    h = x
    for _ in range(3):
        w, b = tf.Variable(tf.ones([8, 8])), tf.Variable(tf.zeros([8]))
        h = tf.nn.relu(tf.matmul(h, w) + b)
        h = tf.reshape(h * h, [tf.shape(x)[0], 8]) * 0.5
    loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels=tf.nn.softmax(x), logits=h))
    return x, loss, tf.train.AdamOptimizer(0.1).minimize(loss)


def captured(x, fetches, targets, templates):
    feeds = [Feed(x, (5, 8))]
    return capture(fetches, targets, feeds, symbolic_pattern(feeds), Storage(), (), templates)


def test_the_program_is_the_same():
    x, loss, train = layers()
    plain, copied = (captured(x, [loss], [train], t) for t in (Forgetful(), Templates()))
    assert shape_of(plain.program) == shape_of(copied.program)
    assert plain.guards == copied.guards and plain.reads == copied.reads
    assert [n.origins for n in plain.program.nodes] == [n.origins for n in copied.program.nodes]


def test_another_capture_of_the_session_is_the_same_too():
    x, loss, train = layers()
    templates = Templates()
    captured(x, [loss], [train], templates)
    count = len(templates)
    more = loss + 1.0
    again, plain = (captured(x, [more], [train], t) for t in (templates, Forgetful()))
    assert shape_of(again.program) == shape_of(plain.program)
    assert count <= len(templates) <= count + 1


def test_equal_layers_are_made_once(monkeypatch):
    x, loss, train = layers()
    made = []
    decompose = REGISTRY["ApplyAdam"].decompose
    monkeypatch.setattr(REGISTRY["ApplyAdam"], "decompose", lambda self, b, *v: made.append(self) or decompose(self, b, *v))
    captured(x, [], [train], Templates())
    assert len(made) == 2  # of matrices and of biases, three each


def test_random_numbers_are_drawn_by_every_operation_for_itself():
    program = captured(tf.placeholder(tf.float32, [None, 8]), [tf.random.uniform([4]), tf.random.uniform([4])], [], Templates()).program
    assert len(program.updates) == 2


def test_results_are_those_of_the_session():
    x, loss, train = layers()
    rng = np.random.RandomState(0)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        names = [v.op.name for v in tf.global_variables()]
        state = dict(zip(names, session.run(tf.global_variables()), strict=True))
        values = {"x:0": rng.randn(5, 8).astype(np.float32)}
        expected, _ = interpret(captured(x, [loss + 2.0], [], Templates()).program, {**state, **values})
        np.testing.assert_allclose(session.run([loss + 2.0], {x: values["x:0"]}), expected, rtol=1e-5)


class TestWhatIsNotRemembered:
    def kept(self, op, *operands, look=None):
        """Whether a template is kept of an op on these operands of a new builder."""
        b, templates = ProgramBuilder(), Templates()
        values = [o(b) for o in operands]
        key = templates.key(b, op, values, None)
        if key is None:
            return False
        before = situation(b)
        results = b.apply(op, *values)
        if look is not None:
            look(b, values)
        templates.remember(key, b, before, values, results, ())
        return bool(templates)

    def test_plain_operations_are(self):
        assert self.kept(REGISTRY["AddV2"](), lambda b: feed(b, "x", 3), lambda b: feed(b, "y", 3))

    def test_what_asks_for_the_maker_of_an_operand(self):
        operands = lambda b: feed(b, "x", 3), lambda b: feed(b, "y", 3)
        assert not self.kept(REGISTRY["AddV2"](), *operands, look=lambda b, values: b.maker(values[0]))

    def test_large_contents(self):
        add, x = REGISTRY["AddV2"](), lambda b: feed(b, "x", 100)
        assert not self.kept(add, x, lambda b: b.constant(np.zeros(100, np.float32)))
        assert self.kept(add, x, lambda b: b.constant(np.zeros(1, np.float32)))

    def test_symbolic_contents_are_told_apart(self):
        fill, templates, shapes = REGISTRY["Fill"](), Templates(), []
        for sizes in ([symbol("n", 1), 2], [symbol("n", 1), 3], [symbol("n", 1), 2]):
            b = ProgramBuilder()
            operands = [b.constant(sizes), b.constant(1.0, "float32")]
            key, before = templates.key(b, fill, operands, None), situation(b)
            found = templates.get(key)
            if found is None:
                result = b.apply(fill, *operands)
                templates.remember(key, b, before, operands, result, ())
            else:
                result = found.copied(b, operands)
            shapes.append(result.shape)
        assert shapes == [(symbol("n", 1), 2), (symbol("n", 1), 3), (symbol("n", 1), 2)] and len(templates) == 2

    def test_equal_operands_are_told_from_different_ones(self):
        b, add, key_of = ProgramBuilder(), REGISTRY["AddV2"](), Templates().key
        x, y = feed(b, "x", 3), feed(b, "y", 3)
        assert key_of(b, add, [x, x], None) != key_of(b, add, [x, y], None) == key_of(b, add, [y, x], None)
        assert key_of(b, add, [x, b.constant(1.0, "float32")], None) != key_of(b, add, [x, b.constant(2.0, "float32")], None)
