"""The workloads in JAX: one jitted step with donated state."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_platforms", "cpu")
relu = jax.nn.relu
tree_map = jax.tree_util.tree_map


def dense(x: Any, p: Any) -> Any:
    return x @ p[0] + p[1]


def conv(x: Any, p: Any, padding: str) -> Any:
    y = relu(jax.lax.conv_general_dilated(x, p[0], (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")) + p[1])
    return jax.lax.reduce_window(y, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "SAME")


def net(name: str) -> tuple[list[tuple[int, ...]], Any, str, float]:
    """Weight shapes, the function (parameters, x) -> logits, the optimizer and its rate."""
    if name == "softmax":
        return [(784, 10)], lambda p, x: dense(x, p[0]), "sgd", 0.5
    if name == "mlp":
        return [(784, 512), (512, 512), (512, 10)], lambda p, x: dense(relu(dense(relu(dense(x, p[0])), p[1])), p[2]), "adam", 1e-3
    if name == "lenet5":

        def lenet(p: Any, x: Any) -> Any:
            h = conv(conv(x.reshape(-1, 28, 28, 1), p[0], "VALID"), p[1], "VALID").reshape(-1, 256)
            return dense(relu(dense(relu(dense(h, p[2])), p[3])), p[4])

        return [(5, 5, 1, 6), (5, 5, 6, 16), (256, 120), (120, 84), (84, 10)], lenet, "sgd", 0.05
    if name == "mnistcnn":

        def mnistcnn(p: Any, x: Any) -> Any:
            h = conv(conv(x.reshape(-1, 28, 28, 1), p[0], "SAME"), p[1], "SAME").reshape(-1, 3136)
            return dense(relu(dense(h, p[2])), p[3])

        return [(5, 5, 1, 32), (5, 5, 32, 64), (3136, 1024), (1024, 10)], mnistcnn, "sgd", 0.05
    if name == "cifarcnn":

        def cifarcnn(p: Any, x: Any) -> Any:
            h = x.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
            for k in range(3):
                h = conv(h, p[k], "SAME")
            return dense(h.reshape(-1, 512), p[3])

        return [(3, 3, 3, 32), (3, 3, 32, 32), (3, 3, 32, 32), (512, 10)], cifarcnn, "adam", 1e-3
    if name in ("lstm", "lstmloop"):

        def lstm(p: Any, x: Any) -> Any:
            def cell(state: Any, xt: Any) -> Any:
                c, h = state
                i, j, f, o = jnp.split(dense(jnp.concatenate([xt, h], 1), p[0]), 4, 1)
                c = c * jax.nn.sigmoid(f + 1) + jax.nn.sigmoid(i) * jnp.tanh(j)
                return (c, jnp.tanh(c) * jax.nn.sigmoid(o)), 0

            zero = jnp.zeros((x.shape[0], 128))
            (_, h), _ = jax.lax.scan(cell, (zero, zero), x.reshape(-1, 28, 28).transpose(1, 0, 2))
            return dense(h, p[1])

        return [(156, 512), (128, 10)], lstm, "sgd", 0.05
    raise NotImplementedError(name)


def prepare(name: str, batch: int, images: Any, labels: Any, implementation: str, threads: int) -> Any:
    """(step(i), loss(), about(machine)) of one workload; NotImplementedError where it is not written for JAX."""
    shapes, logits, kind, rate = net(name)
    rng = np.random.RandomState(0)
    parameters = [(jnp.array(rng.randn(*s).astype(np.float32) * 0.1), jnp.zeros(s[-1])) for s in shapes]

    def loss(p: Any, x: Any, y: Any) -> Any:
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits(p, x)), y[:, None], 1))

    def sgd(state: Any, x: Any, y: Any) -> Any:
        p, *rest = state
        return (tree_map(lambda a, b: a - rate * b, p, jax.grad(loss)(p, x, y)), *rest)

    def adam(state: Any, x: Any, y: Any) -> Any:
        p, m, v, t = state
        g, t = jax.grad(loss)(p, x, y), t + 1
        m = tree_map(lambda a, b: 0.9 * a + 0.1 * b, m, g)
        v = tree_map(lambda a, b: 0.999 * a + 0.001 * b * b, v, g)
        scale = rate * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        return tree_map(lambda w, m, v: w - scale * m / (jnp.sqrt(v) + 1e-8), p, m, v), m, v, t

    update = jax.jit(sgd if kind == "sgd" else adam, donate_argnums=0)
    zeros = tree_map(jnp.zeros_like, parameters)
    state = (parameters,) if kind == "sgd" else (parameters, zeros, tree_map(jnp.copy, zeros), jnp.zeros(()))
    count = len(images) // batch

    def step(i: int) -> None:
        nonlocal state
        k = (i % count) * batch
        state = update(state, images[k : k + batch], labels[k : k + batch].astype(np.int32))
        jax.block_until_ready(state)

    return step, lambda: float(loss(state[0], images[:batch], labels[:batch].astype(np.int32))), lambda machine: {}
