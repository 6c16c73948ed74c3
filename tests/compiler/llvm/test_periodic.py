"""Vector loops over several short rows at once, against the interpreter: patterns of all kinds, and nothing touched beyond them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphflow.kernel.builder import KernelBuilder
from graphflow.kernel.expr import as_index, cast, load, position
from graphflow.kernel.index import symbol
from graphflow.kernel.interpret import run
from graphflow.kernel.nodes import Mode
from graphflow.kernel.periods import period_of
from tests.compiler.llvm.native import TARGETS, run_native
from tests.fuzzing import examples

TYPES = {"f32": np.float32, "f64": np.float64, "i8": np.int8}


def short_rows(few, rows, far, step, divisor, type_):
    """y[r, m] = x[r, far * (row of m // divisor) + step * (place of m in its row)] + the row's number, also added up over r."""
    k = KernelBuilder("short")
    n = symbol("n")
    width = far * ((rows - 1) // divisor) + step * (few - 1) + 1
    x, y = k.input("x", type_, (n, width)), k.output("y", type_, (n, rows * few))
    total = k.output("total", type_, (rows * few,))
    with k.loop("r", n) as r, k.loop("m", rows * few, Mode.VECTOR) as m:
        value = k.load(x, r * width + far * (m // few // divisor) + step * (m % few))
        k.store(y, r * (rows * few) + m, value + cast(position(m // few), type_))
    k.next_phase()
    with k.loop("m", rows * few, Mode.VECTOR) as m:
        sums = k.var("sums", cast(position(m % few), type_))
        with k.loop("r", n) as r:
            k.accumulate(sums, "add", k.load(x, r * width + far * (m // few // divisor) + step * (m % few)))
        k.store(total, m, sums)
    return k.build(), width


@examples(10)
@given(st.integers(1, 12), st.integers(1, 11), st.integers(0, 40), st.integers(0, 3), st.integers(1, 3), st.sampled_from(list(TYPES)))
def test_random_patterns(few, rows, far, step, divisor, type_):
    kernel, width = short_rows(few, rows, far, step, divisor, type_)
    given_x = np.arange(2 * width).reshape(2, width) % 100
    arrays = {"x": given_x.astype(TYPES[type_])}
    wanted = run(kernel, arrays, {"n": 2})
    for name in TARGETS:
        found, _ = run_native(kernel, arrays, {"n": 2}, name)
        assert all((found[b] == wanted[b]).all() for b in ("y", "total")), name


@pytest.mark.parametrize(("index", "period"), [
    (lambda m: 5 * m + 3, 1), (lambda m: m // 6, 6), (lambda m: 12 * (m // 6 // 2) + m % 6, 12), (lambda m: (m % 4) * 2 + (m + 1) // 6, 12),
    (lambda m: (m + symbol("n")) // 6, 0), (lambda m: m // symbol("n"), 0), (lambda m: symbol("n") // 6, 1),
    (lambda m: as_index(load("x", "i64", m)) * 6 + m % 6, 0), (lambda m: as_index(load("x", "i64", symbol("n"))) * 6 + m % 6, 6),
])  # fmt: skip
def test_periods(index, period):
    assert period_of(index(symbol("m", 0, 99)), "m") == period
