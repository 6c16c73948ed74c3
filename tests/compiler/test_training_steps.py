"""What the compiler makes of the courses' training steps: which kernels there are, and what each of them carries.

No machine code is made; the groups of the compiled Program are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import pytest

import graphflow as tf
from graphflow.compiler.capture import Feed, capture, symbolic_pattern
from graphflow.compiler.groups import Group, Shape
from graphflow.compiler.llvm.target import AVX512, Target
from graphflow.compiler.pipeline import compile_program
from graphflow.config import Options
from graphflow.graph.op import Kind
from graphflow.runtime.storage import Storage

SMALL = 64  # elements: what is no longer is a step counter or a power of beta


class NoCode:
    """Stands for the Jit where nothing is run."""

    target: Target = AVX512
    notes: None = None

    def begin(self, request: Any) -> None:
        pass

    def compile_many(self, requests: Sequence[Any]) -> list[None]:
        return [None for _ in requests]


def weights(*shape: int) -> tuple[Any, Any]:
    return tf.Variable(tf.ones(shape), name="w"), tf.Variable(tf.zeros([shape[-1]]), name="b")


def dense(h: Any, width: int) -> Any:
    w, b = weights(h.shape[-1].value, width)
    return tf.matmul(h, w) + b


def conv(h: Any, size: int, channels: int, padding: str) -> Any:
    w, b = weights(size, size, h.shape[-1].value, channels)
    return tf.nn.max_pool(tf.nn.relu(tf.nn.conv2d(h, w, [1, 1, 1, 1], padding) + b), [1, 2, 2, 1], [1, 2, 2, 1], "SAME")


def mlp(x: Any) -> Any:
    return dense(tf.nn.relu(dense(tf.nn.relu(dense(x, 512)), 512)), 10)


def mnist_cnn(x: Any) -> Any:
    h = conv(conv(tf.reshape(x, [-1, 28, 28, 1]), 5, 32, "SAME"), 5, 64, "SAME")
    return dense(tf.nn.relu(dense(tf.reshape(h, [-1, 3136]), 1024)), 10)


def lenet5(x: Any) -> Any:
    h = conv(conv(tf.reshape(x, [-1, 28, 28, 1]), 5, 6, "VALID"), 5, 16, "VALID")
    return dense(tf.nn.relu(dense(tf.nn.relu(dense(tf.reshape(h, [-1, 256]), 120)), 84)), 10)


NETS = {"mlp": mlp, "mnist_cnn": mnist_cnn, "lenet5": lenet5}
OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "descent": lambda: tf.train.GradientDescentOptimizer(0.1),
    "momentum": lambda: tf.train.MomentumOptimizer(0.1, 0.9),
    "adam": lambda: tf.train.AdamOptimizer(0.001),
}


@cache
def groups(net: str, optimizer: str) -> tuple[Group, ...]:
    """The groups of a training step on 16 images."""
    with tf.Graph().as_default():
        x, y = tf.placeholder(tf.float32, [None, 784], name="x"), tf.placeholder(tf.int64, [None], name="y")
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=NETS[net](x), name="xent"))
        train = OPTIMIZERS[optimizer]().minimize(loss)
        feeds = [Feed(x, (16, 784), None), Feed(y, (16,), None)]
        captured = capture([], [train], feeds, symbolic_pattern(feeds), Storage(), frozenset())
        compiled = compile_program(captured.program, NoCode(), Options(verify=2), [x.name, y.name], captured.operations)
    return tuple(step.group for step in compiled.steps)


def names(group: Group) -> set[str]:
    return {o.name for o in group.origins}


@pytest.mark.parametrize("net", NETS)
def test_no_elementwise_kernel_stands_alone(net: str) -> None:
    for group in groups(net, "descent"):
        large = any(not isinstance(v.size, int) or v.size > SMALL for v in group.outputs)
        if group.form is Shape.POINTWISE and large:
            assert not all(n.op.kind is Kind.ELEMENTWISE for n in group.nodes), f"{group} could go with its producer or its consumer"


@pytest.mark.parametrize("net", NETS)
def test_bias_and_activation_go_with_every_product(net: str) -> None:
    """What a forward product is followed by is computed in its epilogue."""
    forward = [g for g in groups(net, "descent") if g.form is Shape.CONTRACTION and not any("gradients" in n for n in names(g))]
    assert len(forward) == {"mlp": 3, "mnist_cnn": 4, "lenet5": 5}[net]
    kinds = [{n.op.type for n in g.nodes} for g in forward]
    assert all({"SumOfProducts", "AddV2"} <= k for k in kinds)
    assert sum("Relu" in k for k in kinds) == len(forward) - 1


@pytest.mark.parametrize("net", NETS)
def test_cross_entropy_and_its_gradient_are_one_kernel(net: str) -> None:
    holding = [g for g in groups(net, "descent") if any(n.op.type in ("Exp", "Log", "LogSoftmax", "Softmax") for n in g.nodes)]
    assert len(holding) == 1
    assert holding[0].form is Shape.ROWS
    assert any("xent" in name and name.startswith("gradients/") for name in names(holding[0]))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("net", NETS)
def test_no_gradient_of_a_weight_is_stored(net: str, optimizer: str) -> None:
    """Where nothing else reads it, the sum goes from the registers into the update: the weight and its slots are all that is written."""
    kept = {"descent": 1, "momentum": 2, "adam": 3}[optimizer]
    layers = {"mlp": 3, "mnist_cnn": 4, "lenet5": 5}[net]
    updates = [g for g in groups(net, optimizer) if g.form is Shape.CONTRACTION and any("/update_w" in n for n in names(g))]
    assert len(updates) == layers
    assert all(len(g.outputs) == kept for g in updates)


@pytest.mark.parametrize("net", NETS)
def test_channels_stay_where_they_are(net: str) -> None:
    """No kernel moves the axes of an image or of a matrix."""
    for group in groups(net, "descent"):
        assert not any(n.op.type in ("Permute", "Copy") for n in group.nodes), group
