"""Kernels are priced for the sizes of a program's first run, and right for every other."""

from __future__ import annotations

import re

import numpy as np
import pytest

import graphflow as tf
from graphflow.compiler import lower
from graphflow.compiler.builder import ProgramBuilder
from graphflow.compiler.llvm.kernel import emit_kernel
from graphflow.compiler.lower import lower_group, lower_traced
from graphflow.compiler.passes.fuse import fuse
from graphflow.compiler.pipeline import USUAL, usual_sizes
from graphflow.kernel.index import symbol
from graphflow.kernel.printer import body_text
from tests.compiler.support import AVX512, feed, matmul, mlp, state
from tests.compiler.test_notes import Pages


def product():
    """The group of x [batch, 512] by the transposed w [512, 512]."""
    b = ProgramBuilder()
    x, w = feed(b, "x", symbol("d0", 1), 512), state(b, "w", 512, 512)
    program = b.finish([matmul(b, x, w, transpose_w=True)], {"d0": ("x", 0)})
    (group,) = [g for g in fuse(program).nodes if g.root is not None]
    return group


def text(**usual):
    return lower_group(product(), AVX512, usual=usual).text


def test_the_first_run_decides_how_a_product_is_cut():
    assert text(d0=8) != text(d0=512)
    assert text(d0=100) == text()  # what is taken where nothing is known
    assert text(d0=16) == text(d0=16)
    assert text(d0=16) == text(d0=16, other=7)


def test_sizes_are_those_of_the_feeds_within_limits():
    program = mlp()
    least, most = USUAL
    assert usual_sizes(program, {"x": (100, 40), "y": (100, 10)}) == {"d0": 100}
    assert usual_sizes(program, {"x": (1, 40)}) == {"d0": least}
    assert usual_sizes(program, {"x": (10**6, 40)}) == {"d0": most}
    assert usual_sizes(program, {"y": (100, 10)}) == {}


def test_who_looks_sees_the_code_that_runs():
    group = product()
    low = lower_group(group, AVX512, usual={"d0": 16})
    assert body_text(lower_traced(group, AVX512)[0].kernel) == low.text
    assert lower_group(group, AVX512, usual={"d0": 512}) is low  # a group keeps its kernel


def test_notes_tell_first_runs_apart(monkeypatch):
    notes = Pages()
    texts = {}
    for _ in range(2):
        monkeypatch.setattr(lower, "_known", {})
        for size in (16, 512):
            low = lower_group(product(), AVX512, notes, {"d0": size})
            assert texts.setdefault(size, low.text) == low.text == body_text(low.kernel)
    assert len(notes) == 2


@pytest.mark.parametrize("first", [1, 30, 700])
@pytest.mark.parametrize("k", [10, 64, 300])
def test_other_sizes_give_right_results(first, k):
    """Tiles whose rows overlap, short and long reductions, epilogues that may run twice and such that may not."""
    rng = np.random.default_rng(k)
    w, c = rng.standard_normal((k, 96)).astype(np.float32), rng.standard_normal(96).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        x, r = tf.placeholder(tf.float32, [None, k]), tf.placeholder(tf.float32, [None, 96])
        plain, added = tf.nn.relu(tf.matmul(x, w) + c), tf.matmul(x, w) * 0.5 + r
        turned = tf.matmul(r, w, transpose_b=True)
        for rows in (first, 1, 2, 13, 14, 27, 41, 100, 701):
            a, b = rng.standard_normal((rows, k)).astype(np.float32), rng.standard_normal((rows, 96)).astype(np.float32)
            got = session.run([plain, added, turned], {x: a, r: b})
            exact = a.astype(np.float64) @ w
            for value, wanted in zip(got, (np.maximum(exact + c, 0), exact * 0.5 + b, b.astype(np.float64) @ w.T), strict=True):
                np.testing.assert_allclose(value, wanted, rtol=1e-4, atol=1e-4)


def test_a_short_sum_goes_to_the_epilogue_without_memory():
    """Of a product with an unknown number of rows: no loop over rows reads the sums of a tile again."""
    b = ProgramBuilder()
    x, w = feed(b, "x", symbol("d0", 1), 64), state(b, "w", 64, 96)
    program = b.finish([b.maximum(matmul(b, x, w), 0.0)], {"d0": ("x", 0)})
    (group,) = [g for g in fuse(program).nodes if g.root is not None]
    code = emit_kernel(lower_group(group, AVX512).kernel, AVX512)
    assert not re.search(r"\balloca\b", code)
