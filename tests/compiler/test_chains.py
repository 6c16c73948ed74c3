"""Chains of two calls (compiler/chains.py): which are made, that they change no bit of a result, and what is told of them."""

from __future__ import annotations

import random

import numpy as np
import pytest

import graphflow as tf
from graphflow.compiler import chains, plan
from graphflow.compiler.llvm.target import target
from graphflow.compiler.lower.shares import Share, Touch, uses_of
from graphflow.config import options
from graphflow.kernel.expr import as_index, cast, load
from graphflow.kernel.index import evaluate, floordiv, maximum, minimum, mod, symbol
from graphflow.kernel.nodes import Buffer, Kernel, Loop, Mode, Role, Store
from graphflow.tools.recorder import Recorder, recording

TILES = target(options().target).tiles  # what goes through matrix tiles is in no chain
without_tiles = pytest.mark.skipif(bool(TILES), reason="convolutions go through matrix tiles")


def convolve(x, name, size, channels, stride=1, padding="SAME"):
    before = int(x.shape[-1])
    rng = np.random.RandomState(size + channels)
    w = tf.Variable(rng.randn(size, size, before, channels).astype(np.float32) / size, name=name)
    bias = tf.Variable(rng.randn(channels).astype(np.float32), name=f"{name}_bias")
    return tf.nn.relu(tf.nn.conv2d(x, w, [1, stride, stride, 1], padding) + bias)


def pool(x, size=2, stride=2, padding="VALID"):
    return tf.nn.max_pool(x, [1, size, size, 1], [1, stride, stride, 1], padding)


def trained(net, shape, batch, threads=2, steps=2, fixed=False):
    """Losses and variables after some steps, and the plan of a step with what its calls took."""
    rng = np.random.RandomState(0)
    images = rng.rand(batch, *shape).astype(np.float32)
    recorder = Recorder()
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, [batch if fixed else None, *shape])
        features = tf.layers.flatten(net(x))
        w = tf.Variable(rng.randn(int(features.shape[1]), 10).astype(np.float32))
        loss = tf.reduce_mean(tf.square(tf.matmul(features, w)))
        train = tf.train.GradientDescentOptimizer(0.01).minimize(loss)
        with recording(recorder), tf.Session(config=tf.ConfigProto(intra_op_parallelism_threads=threads)) as session:
            session.run(tf.global_variables_initializer())
            losses = [session.run([loss, train], {x: images})[0] for _ in range(steps)]
            found = [*losses, *session.run(tf.trainable_variables())]
        return found, next(s for s in recorder.signatures if s.runs == steps)


def same(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def lenet(x):
    return pool(convolve(pool(convolve(x, "a", 5, 6)), "b", 5, 16))


def beside(x):
    """The second call of a chain reads what a call before it made and the first one does not touch."""
    w = tf.Variable(np.random.RandomState(1).randn(28 * 28, 12 * 12 * 6).astype(np.float32) / 28)
    made = tf.reshape(tf.matmul(tf.reshape(x, [-1, 28 * 28]), w), [-1, 12, 12, 6])
    with tf.control_dependencies([made]):
        x = tf.identity(x)
    return pool(convolve(x, "a", 5, 6, padding="VALID")) + made


NETS = {
    "lenet": (lenet, (28, 28, 1), 64),
    "lenet, valid": (lambda x: pool(convolve(x, "a", 5, 6, padding="VALID")), (28, 28, 1), 96),
    "few images": (lambda x: pool(convolve(x, "a", 3, 32)), (64, 64, 3), 10),
    "minimal filtering": (lambda x: pool(convolve(pool(convolve(x, "a", 3, 32)), "b", 3, 32)), (32, 32, 3), 48),
    "windows that overlap": (lambda x: pool(convolve(x, "a", 3, 16), 3, 2, "SAME"), (32, 32, 3), 48),
    "a product beside": (beside, (28, 28, 1), 96),
    "ten channels": (lambda x: pool(convolve(x, "a", 3, 10)), (32, 32, 2), 50),
}


@pytest.mark.parametrize("name", NETS)
def test_chains_change_no_bit(name, monkeypatch):
    net, shape, batch = NETS[name]
    results = [trained(net, shape, batch, threads) for threads in (1, 2, 3)]
    monkeypatch.setattr(plan, "WORTH", 1 << 60)
    plain, signature = trained(net, shape, batch)
    assert not signature.bound.links
    for found, _ in results:
        same(found, plain)


@without_tiles
def test_most_of_these_nets_have_chains():
    """Whether kernels are shared out alike is a matter of their plans, which differ from target to target."""
    linked = [name for name, net in NETS.items() if trained(*net)[1].bound.links]
    assert len(linked) > len(NETS) / 2, linked


@without_tiles
def test_the_activation_before_a_pool_passes_share_by_share():
    _, signature = trained(lenet, (28, 28, 1), 64)
    bound = signature.bound
    (n, (link, passed)), *_ = bound.links.items()
    first, second = (bound.compiled.steps[k].group for k in (n, n + 1))
    assert first.root is not None and any("Choice" in node.op.type for node in second.nodes)
    assert link.shares >= 8 and link.shares * link.stride == passed.size == 64 * 28 * 28 * 6 * 4
    text = signature.compiled.report.plan()
    assert f"(share by share with the next: {link.shares} shares, of {link.stride} bytes that pass)" in text


@without_tiles
def test_every_call_of_a_chain_is_timed():
    _, signature = trained(lenet, (28, 28, 1), 64, steps=5)
    for n in signature.bound.links:
        one, other = signature.seconds[n : n + 2]
        assert min(one, other) > 0
    assert sum(signature.seconds) <= signature.wall * 1.001
    laps = {lap.call for lap in signature.laps}
    assert {m for n in signature.bound.links for m in (n, n + 1)} <= laps


@without_tiles
def test_threads_that_find_no_room_of_their_own_use_the_whole():
    """Ten shares and thirteen threads."""
    net, shape, batch = NETS["few images"]
    few, signature = trained(net, shape, batch, threads=2)
    assert all(bound.link.shares == 10 for bound in signature.bound.links.values())
    same(trained(net, shape, batch, threads=13)[0], few)


@pytest.mark.parametrize(
    "net",
    [
        lambda x: pool(tf.reverse(convolve(x, "a", 3, 16), [0])),  # the last image first
        lambda x: pool(convolve(x, "a", 3, 16)[1:] - 1.0),
        lambda x: tf.nn.avg_pool(convolve(x, "a", 3, 16), [1, 2, 2, 1], [1, 2, 2, 1], "VALID"),  # the gradient asks for the activation
    ],
)
def test_other_nets(net, monkeypatch):
    found, _ = trained(net, (32, 32, 3), 48)
    monkeypatch.setattr(plan, "WORTH", 1 << 60)
    same(found, trained(net, (32, 32, 3), 48)[0])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_random_nets(seed, monkeypatch):
    chance = random.Random(seed)
    side, channels, batch = chance.choice((20, 24, 31, 32)), chance.choice((1, 3, 4)), chance.choice((16, 24, 33, 40, 64))
    layers = [
        (chance.choice((1, 3, 5)), chance.choice((5, 6, 8, 10, 16, 24, 32)), chance.choice((1, 1, 2)), chance.choice(("SAME", "VALID")),
         chance.choice((2, 3)), chance.choice((1, 2)), chance.choice(("SAME", "VALID")))
        for _ in range(chance.choice((1, 2)))
    ]  # fmt: skip

    def net(x):
        for n, (size, many, stride, padding, window, step, around) in enumerate(layers):
            x = pool(convolve(x, f"c{n}", size, many, stride, padding), window, step, around)
        return x

    monkeypatch.setattr(plan, "WORTH", 1 << 16)
    monkeypatch.setattr(chains, "SHARE_BYTES", chance.choice((8 << 10, 64 << 10)))
    fixed = chance.random() < 0.5
    found = [trained(net, (side, side, channels), batch, threads, fixed=fixed)[0] for threads in (1, 2, 4)]
    monkeypatch.setattr(plan, "WORTH", 1 << 60)
    plain = trained(net, (side, side, channels), batch, fixed=fixed)[0]
    for each in found:
        same(each, plain)


@pytest.mark.parametrize("seed", range(60))
def test_what_a_share_touches_lies_in_the_range_that_is_found(seed):
    chance = random.Random(seed)
    n = symbol("n")
    size, parts, many = chance.randint(1, 40), chance.randint(1, 9), chance.randint(1, 12)
    p, i, j, s = symbol("p"), symbol("i"), symbol("j"), symbol("s")
    step = floordiv(n + parts - 1, parts)
    length = maximum(0, minimum(step, n - step * p))
    width = chance.randint(1, 7)
    offset = chance.choice(
        (
            step * p * 70 + i * 70 + s,
            floordiv(p * 3 + i, 2) * 8 + mod(s, 5),
            mod(p + i, 4) * 100 + maximum(s - 2, 0) * 3 + j,
            (p + i) * 12 + 11 - j + minimum(s, 3),
        )
    )
    loops = (("i", 0, length), ("j", minimum(i, 2), 3), ("s", 0, width))
    share = Share((("p", parts), ("q", 2)), (Touch(4, True, offset, loops),))
    low, high = chains._touched((share,), {4}, True, {"n": size}, many)
    for v in range(many):
        units = range(2 * parts * v // many, 2 * parts * (v + 1) // many)
        found = [
            evaluate(offset, {"n": size, "p": unit // 2, "i": a, "j": b, "s": c})
            for unit in units
            for a in range(evaluate(length, {"n": size, "p": unit // 2}))
            for b in range(min(a, 2), min(a, 2) + 3)
            for c in range(width)
        ]
        assert all(low[v] <= x <= high[v] for x in found)
        if not units:
            assert low[v] > high[v]


def test_phases_that_are_not_shared_out_by_their_first_loop_are_not_looked_at():
    n, i, j = symbol("n"), symbol("i"), symbol("j")
    buffers = (Buffer("x", "f32", (n, 40, 40), Role.IN), Buffer("y", "f32", (n, 40, 40), Role.OUT))

    def shares(*statements, parallel=n):
        inner = Loop("i", 40, Mode.SERIAL, (Loop("j", 40, Mode.VECTOR, statements),))
        kernel = Kernel("k", buffers, ("n",), ((Loop("p", parallel, Mode.PARALLEL, (inner,)),),))
        (use,) = uses_of(kernel)
        assert use.touched == {0, 1}
        return use.shares

    p = symbol("p")
    straight = Store("y", 1600 * p + 40 * i + j, load("x", "f32", 1600 * p + 40 * i + j))
    (share,) = shares(straight)
    assert share.units == (("p", n),) and {t.buffer for t in share.touches} == {0, 1}
    turned = Store("y", 1600 * p + 40 * i + j, load("x", "f32", 1600 * p + i + 40 * j))
    assert shares(turned) is None, "threads share the blocks of a transposition"
    assert shares(straight, turned) is not None, "which this is not"
    lookup = as_index(cast(load("x", "f32", j), "i64"), 0, 39)
    assert shares(Store("y", 1600 * p + 40 * i + j, load("x", "f32", 1600 * p + lookup))) is None, "it depends on data"
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, [None])
        assert session.run(tf.tensordot(x, 2 * x, 1), {x: [1, 2, 3]}) == 28, "a contraction without a loop to share"
    simple = Kernel("k", buffers, ("n",), ((Loop("p", 1600 * n, Mode.PARALLEL, (Store("y", p, load("x", "f32", p)),)),),))
    assert uses_of(simple)[0].shares is None, "threads share whole vectors"


def test_shares_that_reach_into_others_are_not_linked():
    n, i, k = symbol("n"), symbol("i"), symbol("k")
    sizes = ({"n": 64}, {"n": 64})
    passed = chains.Passed(1, (0,), 64 * 100 * 4)

    def made(offset, extent):
        return (Share((("i", n),), (Touch(1, True, offset, (("k", 0, extent),)),)),)

    def read(offset, extent):
        return (Share((("i", n),), (Touch(0, False, offset, (("k", 0, extent),)),)),)

    def stride(a, b):
        return chains._stride(a, b, passed, sizes, 16)

    assert stride(made(100 * i + k, 100), read(100 * i + k, 100)) == 400
    assert stride(made(100 * i + k, 100), read(100 * i + k, 90)) == 400
    assert stride(made(100 * i + k, 100), read(100 * i + k, 101)) == 0, "into the next share"
    assert stride(made(100 * i + k, 100), read(maximum(100 * i + k - 1, 0), 100)) == 0, "into the one before"
    assert stride(made(100 * i + k, 100), read(6300 - 100 * i + k, 100)) == 0, "the other way round"
    assert stride(made(i + 64 * k, 100), read(i + 64 * k, 100)) == 0, "columns"


@without_tiles
@pytest.mark.parametrize("name", NETS)
def test_threads_meet_before_a_chain_wherever_either_call_asks_for_it(name, monkeypatch):
    monkeypatch.setattr(plan, "WORTH", 1 << 16)
    bound = trained(*NETS[name])[1].bound
    for n in bound.links:
        before = n - 1
        while before >= 0 and not bound.calls[before].barrier:
            read, written = bound._touched(before, bound.calls[before], {})
            for k in (n, n + 1):
                needs, makes = bound._touched(k, bound.calls[k], {})
                assert not (written.meets(needs) or written.meets(makes) or read.meets(makes))
            before -= 1
        assert bound.calls[n].barrier and bound.calls[n + 1].barrier
