"""The pass `turn`: what many products read across the grain is transposed once, before them and before the loops that they stand in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphflow as tf
from graphflow.compiler.builder import ProgramBuilder
from graphflow.compiler.passes import turn as turning
from graphflow.compiler.passes.turn import turn
from graphflow.compiler.program import Program
from graphflow.compiler.regions import Loop
from graphflow.config import override
from graphflow.graph.op import Kind
from graphflow.ops import core
from graphflow.runtime.interpreter import interpret
from tests.compiler.support import BATCH, feed, matmul

WIDE = 96


def _chain(products: int, width: int = WIDE, batch: Any = BATCH, transpose: bool = True) -> Program:
    """tanh(... tanh(x @ transpose(w)) @ transpose(w) ...)"""
    b = ProgramBuilder()
    x, w = feed(b, "x", batch, width), feed(b, "w", width, width)
    for _ in range(products):
        x = b.make("Tanh", matmul(b, x, w, transpose_w=transpose))
    return b.finish([x])


def _permuted(program: Program) -> list[core.Permute]:
    return [n.op for n in program.nodes if isinstance(n.op, core.Permute)]


def test_one_copy_serves_all_products() -> None:
    program = _chain(turning.PRODUCTS, batch=11)
    turned = turn(program)
    assert [p.perm for p in _permuted(turned)] == [(1, 0)]
    products = [n for n in turned.nodes if n.op.kind is Kind.CONTRACTION]
    assert all(n.op.right == ((((2, 1),), 0), (((1, 1),), 0)) for n in products)  # type: ignore[attr-defined]
    assert turn(turned) is turned
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((11, WIDE)).astype("f"), (rng.standard_normal((WIDE, WIDE)) / 8).astype("f")
    (before,), (after,) = (interpret(p, {"x": x, "w": w})[0] for p in (program, turned))
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("program", [
    _chain(turning.PRODUCTS - 1), _chain(9, transpose=False), _chain(9, width=32), _chain(9, batch=turning.ROWS - 1),
], ids=["few products", "along the grain", "small", "few rows"])  # fmt: skip
def test_where_it_would_not_pay(program: Program) -> None:
    assert turn(program) is program


def test_only_the_part_that_is_read_is_copied() -> None:
    b = ProgramBuilder()
    x, w = feed(b, "x", BATCH, 80), feed(b, "w", 100, 80)
    right = ((((1, 1),), 20), (((2, 1),), 0))
    parts = [b.contract(b.make("Tanh", x) if k else x, w, (BATCH, 80, 80), 2, ((((0, 1),), 0), (((2, 1),), 0)), right) for k in range(9)]
    program = b.finish(parts)
    (section,) = (n.op for n in turn(program).nodes if isinstance(n.op, core.Section))
    assert (section.begin, section.size) == ((20, 0), (80, 80))


def test_what_a_loop_is_given_is_turned_before_it_and_a_step_gives_the_same() -> None:
    """The gradient of a product in a loop multiplies by the transposed weights in every round."""
    rng = np.random.default_rng(1)
    X, W = rng.standard_normal((100, WIDE)).astype("f"), (rng.standard_normal((WIDE, WIDE)) / 8).astype("f")
    found = []
    for off in ((), ("turn",)):
        with override(passes_off=off), tf.Graph().as_default():
            x, w = tf.placeholder(tf.float32, [None, WIDE]), tf.placeholder(tf.float32, [WIDE, WIDE])
            y = tf.while_loop(lambda i, _: i < 6, lambda i, h, w=w: (i + 1, tf.tanh(tf.matmul(h, w))), [0, x])[1]
            fetches = tf.gradients(tf.reduce_sum(y), [x, w])
            with tf.Session() as session:
                found.append(session.run(fetches, {x: X, w: W}))
                stages = session.compiled(fetches, {x: X, w: W}).report.stages
        if not off:
            after = next(stage.after for stage in stages if stage.name == "turn")
            assert len(_permuted(after)) == 1
            inside = [_permuted(n.op.body.program) for n in after.nodes if isinstance(n.op, Loop)]
            assert inside == [[], []]
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)
