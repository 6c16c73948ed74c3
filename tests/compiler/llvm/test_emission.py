"""Emitted code against the interpreter: loops, masks, reductions, guards, checks, gathers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphflow.compiler.llvm.kernel import emit_kernel
from graphflow.compiler.llvm.target import target
from graphflow.kernel.builder import KernelBuilder
from graphflow.kernel.expr import TYPES, Expr, as_index, call, cast, const, exp, maximum, position, select, within
from graphflow.kernel.index import maximum as index_maximum
from graphflow.kernel.index import minimum as smaller
from graphflow.kernel.index import symbol
from graphflow.kernel.interpret import KernelError, run
from graphflow.kernel.nodes import Kernel, Mode
from tests.compiler.llvm.native import TARGETS, run_native

PARALLEL, SERIAL, VECTOR = Mode.PARALLEL, Mode.SERIAL, Mode.VECTOR
SIZES = [0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 130]
n = symbol("n")


def values(type_: str, shape: Any, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    dtype = TYPES[type_]
    if dtype.kind == "f":
        return (rng.standard_normal(shape) * 3).astype(dtype)
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    return rng.integers(0 if dtype.kind == "u" else -50, 60, shape).astype(dtype)


def compare(
    kernel: Kernel,
    arrays: Mapping[str, np.ndarray],
    sizes: Mapping[str, int],
    name: str,
    threads: int = 1,
    tolerance: float = 2e-6,
) -> None:
    expected = run(kernel, {k: v.copy() for k, v in arrays.items()}, sizes)
    got, status = run_native(kernel, arrays, sizes, name, threads)
    assert status == (0, 0)
    for buffer in kernel.buffers:
        if buffer.role.value in ("out", "inout"):
            if TYPES[buffer.type].kind == "f":
                slack = 2e-3 if buffer.type == "f16" else tolerance
                np.testing.assert_allclose(got[buffer.name], expected[buffer.name], rtol=slack, atol=slack * 10)
            else:
                np.testing.assert_array_equal(got[buffer.name], expected[buffer.name])


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("type_", sorted(TYPES))
def test_elementwise_over_types_and_sizes(type_: str, name: str) -> None:
    k = KernelBuilder("elementwise")
    x, y, z = k.input("x", type_, (n,)), k.input("y", type_, (n,)), k.output("z", type_, (n,))
    with k.loop("i", n, PARALLEL) as i:
        a, b = k.load(x, i), k.load(y, i)
        k.store(z, i, maximum(a, b) * a + b)
    kernel = k.build()
    for size in SIZES if type_ == "f32" else [0, 1, 17, 130]:
        for threads in (1, 3):
            compare(kernel, {"x": values(type_, size), "y": values(type_, size, 1)}, {"n": size}, name, threads)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("columns", [1, 2, 5, 10, 16, 37, 64, 100])
def test_static_rows_with_bias(columns: int, name: str) -> None:
    k = KernelBuilder("bias")
    x, b, y = k.input("x", "f32", (n, columns)), k.input("b", "f32", (columns,)), k.output("y", "f32", (n, columns))
    with k.loop("i", n, PARALLEL) as i, k.loop("j", columns, VECTOR) as j:
        k.store(y, (i, j), maximum(k.load(x, (i, j)) + k.load(b, j), 0.0))
    for rows in (0, 1, 4):
        compare(k.build(), {"x": values("f32", (rows, columns)), "b": values("f32", columns)}, {"n": rows}, name, 2)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("columns", [16, 32, 64, 100, 128])
def test_functions_of_several_registers_at_a_time(columns: int, name: str) -> None:
    """A formula is a chain: where the columns allow it, several vectors are taken through it side by side."""
    k = KernelBuilder("gates")
    x, y, z = k.input("x", "f32", (n, columns)), k.output("y", "f32", (n, columns)), k.output("z", "f32", (n,))
    with k.loop("i", n, PARALLEL) as i:
        total = k.var("total", const(0, "f32"))
        with k.loop("j", columns, VECTOR) as j:
            k.store(y, (i, j), call("tanh", k.load(x, (i, j))))
            k.accumulate(total, "add", exp(k.load(x, (i, j))))
        k.store(z, i, total)
    kernel = k.build()
    compare(kernel, {"x": values("f32", (5, columns))}, {"n": 5}, name, 2, tolerance=2e-5)
    described = target(name)
    lanes, many = described.lanes("f32"), described.registers // 8
    widest = max(w for w in (1, many // 2, many) if w and columns % (w * lanes) == 0 or w == 1)
    assert f"<{widest * lanes} x float>" in emit_kernel(kernel, described)
    assert f"<{2 * many * lanes} x float>" not in emit_kernel(kernel, described)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("type_", ["f32", "f64", "i32", "i64", "bool", "u8"])
def test_reductions(type_: str, name: str) -> None:
    combines = (
        ["and", "or"]
        if type_ == "bool"
        else ["add", "max", "min"] + ([] if TYPES[type_].kind == "f" else ["and", "or", "mul"])
    )
    m = symbol("m")
    k = KernelBuilder("reduce")
    x = k.input("x", type_, (n, m))
    outs = [k.output(f"y_{c}", type_, (n,)) for c in combines]
    with k.loop("i", n, PARALLEL) as i:
        for combine, out in zip(combines, outs, strict=True):
            v = k.var("v", const(0, type_))
            with k.loop("j", m, VECTOR) as j:
                k.accumulate(v, combine, k.load(x, (i, j)))
            k.store(out, i, v)
    kernel = k.build()
    for size in [0, 1, 7, 16, 17, 64, 65, 130, 200]:
        compare(kernel, {"x": values(type_, (3, size))}, {"n": 3, "m": size}, name, tolerance=2e-5)


@pytest.mark.parametrize("name", TARGETS)
def test_nan_travels_through_max_reduction(name: str) -> None:
    k = KernelBuilder("nan")
    x, y = k.input("x", "f32", (n,)), k.output("y", "f32", (1,))
    v = k.var("v", const(float("-inf"), "f32"))
    with k.loop("j", n, VECTOR) as j:
        k.accumulate(v, "max", k.load(x, j))
    k.store(y, 0, v)
    for size in (1, 40, 150):
        for place in {0, size // 2, size - 1}:
            data = values("f32", size)
            data[place] = np.nan
            got, _ = run_native(k.build(), {"x": data}, {"n": size}, name)
            assert np.isnan(got["y"][0]), (size, place)


@pytest.mark.parametrize("name", TARGETS)
def test_softmax_rows(name: str) -> None:
    columns = 21
    k = KernelBuilder("softmax")
    x, y = k.input("x", "f64", (n, columns)), k.output("y", "f64", (n, columns))
    with k.loop("i", n, PARALLEL) as i:
        top = k.var("top", const(float("-inf"), "f64"))
        with k.loop("j", columns, VECTOR) as j:
            k.accumulate(top, "max", k.load(x, (i, j)))
        total = k.var("total", const(0, "f64"))
        with k.loop("j", columns, VECTOR) as j:
            k.accumulate(total, "add", exp(k.load(x, (i, j)) - top))
        scale = k.let("scale", 1.0 / total)
        with k.loop("j", columns, VECTOR) as j:
            k.store(y, (i, j), exp(k.load(x, (i, j)) - top) * scale)
    compare(k.build(), {"x": values("f64", (5, columns))}, {"n": 5}, name, 2)


@pytest.mark.parametrize("name", TARGETS)
def test_column_sums_with_serial_loop_inside_vector_loop(name: str) -> None:
    columns = 19
    k = KernelBuilder("columns")
    x, y = k.input("x", "f32", (n, columns)), k.output("y", "f32", (columns,))
    with k.loop("j", columns, VECTOR) as j:
        total = k.var("total", const(0, "f32"))
        with k.loop("i", n) as i:
            k.accumulate(total, "add", k.load(x, (i, j)))
        k.store(y, j, total)
    for rows in (0, 1, 9):
        compare(k.build(), {"x": values("f32", (rows, columns))}, {"n": rows}, name)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("columns", [1, 2, 9, 17, 33, 34, 65])
def test_cut_numbers_do_not_touch_their_neighbours(columns: int, name: str) -> None:
    """Also where one of them is left over: that LLVM would store uncut (Builder.store). The memory around the last one is looked at."""
    k = KernelBuilder("cut")
    x, y = k.input("x", "f32", (n, columns)), k.output("y", "u8", (n, columns))
    with k.loop("i", n, PARALLEL) as i, k.loop("j", columns, VECTOR) as j:
        value = k.load(x, (i, j))
        few = select(value < 0, const(3, "i32"), const(1, "i32"))
        k.store(y, (i, j), cast(select(value < 1, few, const(2, "i32")), "u8"))
    compare(k.build(), {"x": values("f32", (3, columns))}, {"n": 3}, name)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("type_", ["f32", "u8", "i64", "bool"])
def test_pad_by_guard_transpose_by_gather_and_reverse(type_: str, name: str) -> None:
    rows, columns = 7, 22
    k = KernelBuilder("views")
    x = k.input("x", type_, (rows, columns))
    padded, turned, back = (
        k.output(m, type_, s) for m, s in (("p", (rows, columns + 4)), ("t", (columns, rows)), ("r", (rows, columns)))
    )
    with k.loop("i", rows, SERIAL) as i, k.loop("j", columns + 4, VECTOR) as j:
        k.store(padded, (i, j), k.load(x, i * columns + j - 2, guard=within(j - 2, columns)))
    with k.loop("c", columns, SERIAL) as c, k.loop("r", rows, VECTOR) as r:
        k.store(turned, (c, r), k.load(x, (r, c)))
    with k.loop("a", rows, SERIAL) as a, k.loop("b", columns, VECTOR) as b:
        k.store(back, (a, columns - 1 - b), k.load(x, (a, b)))
    compare(k.build(), {"x": values(type_, (rows, columns))}, {}, name)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("ids_type", ["i32", "i64"])
def test_embedding_rows_and_element_gather(ids_type: str, name: str) -> None:
    table_rows, width = 9, 18
    k = KernelBuilder("gather")
    table, ids = k.input("table", "f32", (table_rows, width)), k.input("ids", ids_type, (n,))
    rows, firsts = k.output("rows", "f32", (n, width)), k.output("firsts", "f32", (n,))
    message = "index {value} is not in range"

    def row(i: Any) -> Any:
        raw = k.load(ids, i)
        fine = call("le", const(0, ids_type), raw) & call("lt", raw, const(table_rows, ids_type))
        safe = select(fine, raw, const(0, ids_type))
        return as_index(k.check("InvalidArgumentError", message, fine, cast(raw, "i64"), safe), 0, table_rows - 1)

    with k.loop("i", n, PARALLEL) as i, k.loop("j", width, VECTOR) as j:
        k.store(rows, (i, j), k.load(table, row(i) * width + j))
    k.next_phase()
    with k.loop("i", n, PARALLEL) as i:
        k.store(firsts, i, k.load(table, row(i) * width))
    kernel = k.build()
    good = np.random.default_rng(0).integers(0, table_rows, 37).astype(TYPES[ids_type])
    data = {"table": values("f32", (table_rows, width)), "ids": good}
    compare(kernel, data, {"n": 37}, name, 2)
    bad = good.copy()
    bad[29] = 77
    _, status = run_native(kernel, {**data, "ids": bad}, {"n": 37}, name)
    assert status[0] in (1, 2) and status[1] == 77
    with pytest.raises(KernelError) as failure:
        run(kernel, {**data, "ids": bad}, {"n": 37})
    assert failure.value.number == 0 and failure.value.shown == 77 and "77" in str(failure.value)


@pytest.mark.parametrize("name", TARGETS)
def test_conditionals_under_masks(name: str) -> None:
    k = KernelBuilder("conditional")
    x, y, z = k.input("x", "f32", (n,)), k.inout("y", "f32", (n,)), k.output("z", "f32", (n,))
    with k.loop("i", n, VECTOR) as i:
        a = k.let("a", k.load(x, i))
        v = k.var("v", const(1, "f32"))
        with k.when(a > 0.0):
            k.store(y, i, a * k.load(y, i))
            k.set(v, a + 1.0)
            with k.when(a > 2.0):
                k.accumulate(v, "mul", a)
        k.store(z, i, v)
    for size in (1, 16, 37):
        compare(k.build(), {"x": values("f32", size), "y": values("f32", size, 2)}, {"n": size}, name)


@pytest.mark.parametrize("name", TARGETS)
def test_conditional_keeps_loads_inside_and_merges_scalars(name: str) -> None:
    k = KernelBuilder("scalar_if")
    x, y = k.input("x", "f32", (n,)), k.output("y", "f32", (2,))
    v = k.var("v", const(-1, "f32"))
    with k.when(call("lt", const(3, "i64"), position(n))):
        k.set(v, k.load(x, 3))
    k.store(y, 0, v)
    best = k.var("best", const(0, "i32"))
    top = k.var("top", const(float("-inf"), "f32"))
    with k.loop("i", n) as i, k.when(call("lt", top, k.load(x, i))):
        k.set(top, k.load(x, i))
        k.set(best, position(i, "i32"))
    k.store(y, 1, cast(best, "f32"))
    for size in (0, 3, 4, 20):
        compare(k.build(), {"x": values("f32", size)}, {"n": size}, name)


@pytest.mark.parametrize("name", TARGETS)
def test_positions_strides_and_divisions_of_the_vector_variable(name: str) -> None:
    k = KernelBuilder("positions")
    y, q, r, f = (k.output(m, t, (n,)) for m, t in (("y", "i64"), ("q", "i32"), ("r", "i64"), ("f", "f32")))
    x = k.input("x", "f32", (3 * n,))
    with k.loop("i", n, PARALLEL) as i:
        k.store(y, i, position(i * 3 + n))
        k.store(q, i, position((i + 5) // 7, "i32"))
        k.store(r, i, position((i * i) % 11 + index_maximum(i, n - i)))
        k.store(f, i, k.load(x, 3 * i + 1) + k.load(x, (i // 4) * 3))
    for size in (1, 16, 50):
        compare(k.build(), {"x": values("f32", 3 * size)}, {"n": size}, name, 2)


@pytest.mark.parametrize("name", TARGETS)
def test_scratch_between_phases_and_in_place_update(name: str) -> None:
    k = KernelBuilder("momentum")
    w, g, m, rate = (
        k.inout("w", "f32", (n,)),
        k.input("g", "f32", (n,)),
        k.inout("m", "f32", (n,)),
        k.input("rate", "f32", ()),
    )
    t = k.scratch("t", "f32", (n,))
    with k.loop("i", n, PARALLEL) as i:
        k.store(t, i, k.load(m, i) * 0.9 + k.load(g, i))
    k.next_phase()
    with k.loop("i", n, PARALLEL) as i:
        k.store(m, i, k.load(t, i))
        k.store(w, i, k.load(w, i) - k.load(rate, 0) * k.load(t, i))
    data = {
        "w": values("f32", 45),
        "g": values("f32", 45, 1),
        "m": values("f32", 45, 2),
        "rate": np.array(0.1, np.float32),
    }
    compare(k.build(), data, {"n": 45}, name, 3)


def test_stores_are_seen_by_later_loads_of_the_same_place() -> None:
    """A cached or hoisted value must not survive a store to its buffer."""
    k = KernelBuilder("reload")
    y = k.inout("y", "f32", (3,))
    k.store(y, 0, k.load(y, 0) + 1.0)
    k.store(y, 1, k.load(y, 0) + 1.0)
    with k.loop("i", 4):
        k.store(y, 2, k.load(y, 2) * 2.0 + k.load(y, 0))
    k.store(y, 0, k.load(y, 2))
    compare(k.build(), {"y": np.array([1, 2, 3], np.float32)}, {}, "native")


def test_parallel_result_does_not_depend_on_threads() -> None:
    k = KernelBuilder("threads")
    x, y = k.input("x", "f32", (n, 1000)), k.output("y", "f32", (n,))
    with k.loop("i", n, PARALLEL) as i:
        v = k.var("v", const(0, "f32"))
        with k.loop("j", 1000, VECTOR) as j:
            k.accumulate(v, "add", k.load(x, (i, j)))
        k.store(y, i, v)
    data = {"x": values("f32", (7, 1000))}
    results = [run_native(k.build(), data, {"n": 7}, threads=t)[0]["y"] for t in (1, 2, 5, 9)]
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


def test_text_of_code_is_the_same_in_another_process() -> None:
    """Object identities and hash seeds must not show in the code either."""
    code = (
        "from tests.kernel.test_printer import softmax; from graphflow.compiler.llvm.kernel import emit_kernel;"
        "from graphflow.compiler.llvm.target import target; import sys;"
        "from tests.compiler.llvm.test_emission import two_gathers;"
        "sys.stdout.write(emit_kernel(softmax(), target('avx512')) + emit_kernel(two_gathers(), target('avx2')))"
    )
    root = Path(__file__).parents[3]
    texts = {
        subprocess.run(
            [sys.executable, "-c", f"junk = [object() for _ in range({7 * seed})];" + code],
            cwd=root, env={"PYTHONHASHSEED": str(seed)}, capture_output=True, text=True, check=True,
        ).stdout
        for seed in (1, 2, 3, 4, 5)
    }  # fmt: skip
    assert len(texts) == 1 and "softmax.phase0" in texts.pop()


def two_gathers() -> Kernel:
    """An offset with two terms of data."""
    k = KernelBuilder("two")
    a, b, x = k.input("a", "i64", (n,)), k.input("b", "i64", (n,)), k.input("x", "f32", (10, 10))
    y = k.output("y", "f32", (n,))
    with k.loop("i", n, VECTOR) as i:
        k.store(y, i, k.load(x, (as_index(k.load(b, i), 0, 9), as_index(k.load(a, i), 0, 9))))
    return k.build()


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("first, second", [(0, 5), (5, 0), (20, 40)])
def test_what_one_loop_reads_ahead_says_nothing_to_the_next(name: str, first: int, second: int) -> None:
    """Both loops read the same element and look at it, before they begin and only if they run; one of them may not run."""
    k = KernelBuilder("siblings")
    at, table = k.input("at", "i64", ()), k.input("table", "f32", (4,))
    for size, way in (("n", SERIAL), ("m", VECTOR)):
        x, y = k.input(f"x_{size}", "f32", (symbol(size),)), k.output(f"y_{size}", "f32", (symbol(size),))
        with k.loop("i", symbol(size), way) as i:
            place = k.check("InvalidArgumentError", "far", k.load(at, 0) < 3, k.load(at, 0), k.load(at, 0))
            k.store(y, i, k.load(x, i) * k.load(table, 1) + cast(place, "f32"))
    arrays = {"x_n": values("f32", first), "x_m": values("f32", second), "at": np.array(2), "table": np.float32([1, 2, 3, 4])}
    sizes = {"n": first, "m": second}
    kernel = k.build()
    compare(kernel, arrays, sizes, name)
    _, status = run_native(kernel, arrays | {"at": np.array(7)}, sizes, name)
    assert status == (1 if first else 2, 7)


@pytest.mark.parametrize("name", TARGETS)
def test_two_terms_of_data_in_one_offset(name: str) -> None:
    rng = np.random.default_rng(5)
    data = {"a": rng.integers(0, 10, 37), "b": rng.integers(0, 10, 37), "x": values("f32", (10, 10))}
    compare(two_gathers(), data, {"n": 37}, name)


@pytest.mark.parametrize("name", TARGETS)
def test_chunks_of_a_flat_range(name: str) -> None:
    """What the lowering makes of long flat ranges: parallel chunks, the last one shorter."""
    k = KernelBuilder("chunks")
    x, y = k.input("x", "f32", (n,)), k.output("y", "f32", (n,))
    sums = k.output("sums", "f32", (4,))
    with k.loop("p", (n + 63) // 64, PARALLEL) as p, k.loop("i", smaller(64, n - p * 64), VECTOR) as i:
        k.store(y, p * 64 + i, k.load(x, p * 64 + i) * 2.0)
    k.next_phase()
    with k.loop("q", 4, PARALLEL) as q:
        total = k.var("total", const(0, "f32"))
        step = (n + 3) // 4
        with k.loop("i", index_maximum(smaller(step, n - q * step), 0), VECTOR) as i:
            k.accumulate(total, "add", k.load(x, q * step + i))
        k.store(sums, q, total)
    for size in (0, 1, 63, 64, 65, 300, 1000):
        compare(k.build(), {"x": values("f32", size)}, {"n": size}, name, 2, tolerance=1e-5)


def test_deep_expressions_do_not_exhaust_the_stack() -> None:
    k = KernelBuilder("deep")
    x, y = k.input("x", "f64", (n,)), k.output("y", "f64", (n,))
    with k.loop("i", n, VECTOR) as i:
        e: Expr = k.load(x, i)
        for step in range(3000):
            e = e * 0.5 + float(step % 7)
        k.store(y, i, e)
    compare(k.build(), {"x": values("f64", 9)}, {"n": 9}, "native")
