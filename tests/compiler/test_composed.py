"""An optimizer's update is one node until it is lowered, and its kernel is the one of its steps."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as tf
from graphflow.compiler.builder import ProgramBuilder
from graphflow.compiler.capture import Feed, capture, symbolic_pattern
from graphflow.compiler.composed import Composed, compose, spelled_out
from graphflow.compiler.groups import Group
from graphflow.compiler.llvm.target import target
from graphflow.compiler.lower import lower_group, signature
from graphflow.compiler.pipeline import run_passes
from graphflow.compiler.verify import problems
from graphflow.config import options
from graphflow.ops.arithmetic import Maximum
from graphflow.runtime.interpreter import interpret
from graphflow.runtime.storage import Storage
from tests.compiler.support import feed

OPTIMIZERS = {
    "Adam": lambda: tf.train.AdamOptimizer(0.01),
    "Nesterov": lambda: tf.train.MomentumOptimizer(0.01, 0.9, use_nesterov=True),
    "centered RMSProp": lambda: tf.train.RMSPropOptimizer(0.01, centered=True, momentum=0.5),
    "Adadelta": lambda: tf.train.AdadeltaOptimizer(0.1),
    "descent": lambda: tf.train.GradientDescentOptimizer(0.1),
}


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as g:
        yield g


def captured(optimizer, layers=2):
    x = h = tf.placeholder(tf.float32, [None, 4], name="x")
    for _ in range(layers):
        h = tf.tanh(tf.matmul(h, tf.Variable(tf.ones([4, 4]))) + tf.Variable(tf.zeros([4])))
    train = optimizer().minimize(tf.reduce_sum(tf.square(h)))
    feeds = [Feed(x, (3, 4))]
    return capture([], [train], feeds, symbolic_pattern(feeds), Storage()).program


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_update_is_one_node(name):
    program = captured(OPTIMIZERS[name])
    updates = [n for n in program.nodes if isinstance(n.op, Composed)]
    assert len(updates) == 4
    assert not list(problems(program))
    assert {v.id for n in updates for v in n.outputs} <= {v.id for v in program.updates.values()}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_computes_what_its_steps_do(name):
    program = captured(OPTIMIZERS[name])
    steps = program._replace(nodes=tuple(spelled_out(program.nodes)))
    assert not list(problems(steps)) and len(steps.nodes) > len(program.nodes)
    rng = np.random.RandomState(3)
    values = {i.name: rng.uniform(0.1, 1, [3 if not isinstance(d, int) else d for d in i.value.shape]).astype(np.float32)
              for i in program.inputs if i.data is None}  # fmt: skip
    for one, other in zip(interpret(program, values)[1].values(), interpret(steps, values)[1].values(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_kernel_is_that_of_the_steps():
    program = run_passes(captured(OPTIMIZERS["Adam"]), options())
    groups = [g for g in program.nodes if isinstance(g, Group) and any(isinstance(n.op, Composed) for n in g.nodes)]
    assert groups
    for group in groups:
        steps = Group(group.form, spelled_out(group.nodes), group.inputs, group.outputs, group.root)
        assert signature(steps)[0] != signature(group)[0]
        assert lower_group(steps, target("native")).text == lower_group(group, target("native")).text


def test_what_optimizers_compute_of_single_numbers_is_computed_once():
    few, many = (captured(OPTIMIZERS["Adam"], layers) for layers in (1, 4))
    numbers = [sum(not n.outputs[0].shape for n in p.nodes if not isinstance(n.op, Composed)) for p in (few, many)]
    assert numbers[0] == numbers[1] > 0


class TestWhatStaysApart:
    def composed(self, make):
        b = ProgramBuilder()
        x, y = feed(b, "x", 3, 4), feed(b, "y", 3, 4)
        start = len(b.nodes)
        compose(b, start, [make(b, x, y)])
        return [n.op.type for n in b.nodes]

    def test_one_op(self):
        assert self.composed(lambda b, x, y: b.add(x, y)) == ["AddV2"]

    def test_what_something_else_lies_between(self):
        def make(b, x, y):
            total = b.add(x, y)
            return b.mul(total, b.reduce("add", b.sqrt(total), (0, 1)))

        assert self.composed(make) == ["AddV2", "Sqrt", "Reduce", "Mul"]

    def test_two_ops_do_not(self):
        assert self.composed(lambda b, x, y: b.mul(b.add(x, y), x)) == ["Composed"]


def test_the_text_tells_composed_ops_apart():
    """Kernels are known on disk by the text of their ops."""
    steps = ((Maximum(), (0, 1)), (Maximum(), (2, 1)))
    texts = {repr(Composed(arity, steps, given)) for arity, given in ((2, (2, 3)), (2, (3, 2)), (2, (3,)))}
    assert len(texts) == 3
    assert repr(Composed(2, steps, (3,))) == "Composed($2 = Maximum $0, $1; $3 = Maximum $2, $1 -> $3)"
