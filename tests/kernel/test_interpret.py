"""The interpreter against plain Python and numpy."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.kernel.builder import KernelBuilder
from graphflow.kernel.expr import Position, as_index, call, cast, const, load, local, position, within
from graphflow.kernel.index import maximum, minimum, symbol
from graphflow.kernel.interpret import KernelError, run
from graphflow.kernel.nodes import Axis, Buffer, Contract, Kernel, Mode, Role, Store
from graphflow.kernel.printer import text
from graphflow.kernel.verify import verify

n = symbol("n")


def test_parallel_rows_with_reduction_and_epilogue() -> None:
    k = KernelBuilder("rows")
    x, y = k.input("x", "f32", (n, 10)), k.output("y", "f32", (n,))
    with k.loop("i", n, Mode.PARALLEL) as i:
        total = k.var("total", const(2, "f32"))
        with k.loop("j", 10, Mode.VECTOR) as j:
            k.accumulate(total, "add", k.load(x, (i, j)))
        k.store(y, i, total * 2.0)
    data = np.random.default_rng(0).standard_normal((6, 10)).astype(np.float32)
    np.testing.assert_allclose(run(k.build(), {"x": data}, {"n": 6})["y"], (data.sum(1) + 2) * 2, rtol=1e-6)


@pytest.mark.parametrize("mode", [Mode.SERIAL, Mode.VECTOR])
def test_guards_conditionals_and_data_in_offsets(mode: Mode) -> None:
    k = KernelBuilder("mixed")
    ids, x, y = k.input("ids", "i64", (n,)), k.input("x", "f64", (5,)), k.inout("y", "f64", (n,))
    with k.loop("i", n, mode) as i:
        v = k.var("v", k.load(x, i - 1, within(i - 1, 5)))
        with k.when(call("lt", const(2, "i64"), k.load(ids, i))):
            k.set(v, k.load(x, as_index(k.load(ids, i), 0, 4)) * cast(position(i), "f64"))
        k.store(y, i, v, guard=call("ne", position(i), 3))
    x_, ids_, y_ = np.arange(5.0) + 1, np.array([0, 4, 3, 2, 1, 4, 0, 3]), np.full(8, -1.0)
    expected = y_.copy()
    for at in range(8):
        value = x_[at - 1] if 0 <= at - 1 < 5 else 0.0
        if ids_[at] > 2:
            value = x_[ids_[at]] * at
        if at != 3:
            expected[at] = value
    np.testing.assert_array_equal(run(k.build(), {"ids": ids_, "x": x_, "y": y_}, {"n": 8})["y"], expected)


def test_contraction_is_a_matrix_product_with_epilogue() -> None:
    k = KernelBuilder("dense")
    m, r, c = symbol("m"), symbol("r"), symbol("c")
    k.input("x", "f32", (n, 7)), k.input("w", "f32", (7, 4)), k.input("b", "f32", (4,)), k.output("y", "f32", (n, 4))
    result = local("acc", "f32") + load("b", "f32", c)
    k.contract(
        [("m", n), ("c", 4)],
        [("r", 7)],
        load("x", "f32", m * 7 + r),
        load("w", "f32", r * 4 + c),
        [Store("y", m * 4 + c, result)],
    )
    rng = np.random.default_rng(1)
    x, w, b = (rng.standard_normal(s).astype(np.float32) for s in ((3, 7), (7, 4), 4))
    np.testing.assert_allclose(run(k.build(), {"x": x, "w": w, "b": b}, {"n": 3})["y"], x @ w + b, rtol=1e-5)


def test_contraction_of_a_convolution_with_empty_batch() -> None:
    k = KernelBuilder("conv")
    b, o, f, t = (symbol(s) for s in "boft")
    k.input("x", "f32", (n, 8)), k.input("w", "f32", (3, 2)), k.output("y", "f32", (n, 6, 2))
    k.contract(
        [("b", n), ("o", 6), ("f", 2)],
        [("t", 3)],
        load("x", "f32", b * 8 + o + t),
        load("w", "f32", t * 2 + f),
        [Store("y", b * 12 + o * 2 + f, local("acc", "f32"))],
    )
    rng = np.random.default_rng(2)
    x, w = rng.standard_normal((2, 8)).astype(np.float32), rng.standard_normal((3, 2)).astype(np.float32)
    expected = np.array([[[(row[o_ : o_ + 3] * w[:, f_]).sum() for f_ in range(2)] for o_ in range(6)] for row in x])
    np.testing.assert_allclose(run(k.build(), {"x": x, "w": w}, {"n": 2})["y"], expected, rtol=1e-5)
    assert run(k.build(), {"x": x[:0], "w": w}, {"n": 0})["y"].shape == (0, 6, 2)


def test_contraction_over_the_part_of_a_window_that_meets_the_image() -> None:
    o, t = symbol("o", 0, 3), symbol("t", 0, 2)
    start = maximum(0, 1 - o)
    reduced = Axis("t", minimum(3, 5 - o) - start, start)
    sums = Contract((Axis("o", 4),), (reduced,), load("x", "f32", o + t), load("w", "f32", t), (Store("y", o, local("acc", "f32")),))
    buffers = Buffer("x", "f32", (6,), Role.IN), Buffer("w", "f32", (3,), Role.IN), Buffer("y", "f32", (4,), Role.OUT)
    kernel = Kernel("window", buffers, (), ((sums,),))
    verify(kernel)
    assert "max(-o + 1, 0) <= t < min(-o + 5, 3)" in text(kernel)
    x, w = np.array([np.nan, 1, 2, 3, 4, np.nan], np.float32), np.array([10, 100, 1000], np.float32)
    np.testing.assert_array_equal(run(kernel, {"x": x, "w": w})["y"], [2100, 3210, 4320, 430])


def test_failed_check_names_number_and_value() -> None:
    k = KernelBuilder("check")
    x, y = k.input("x", "i32", (n,)), k.output("y", "i32", (n,))
    k.check("OutOfRangeError", "never", const(True, "bool"), const(0, "i64"), const(0, "i32"))
    with k.loop("i", n, Mode.VECTOR) as i:
        divisor = k.load(x, i)
        fine = call("ne", divisor, 0)
        k.store(
            y,
            i,
            call(
                "div", const(12, "i32"), k.check("InvalidArgumentError", "zero at {value}", fine, position(i), divisor)
            ),
        )
    assert run(k.build(), {"x": np.array([3, 5], np.int32)}, {"n": 2})["y"].tolist() == [4, 2]
    with pytest.raises(KernelError, match="zero at 1") as failure:
        run(k.build(), {"x": np.array([3, 0], np.int32)}, {"n": 2})
    assert (failure.value.number, failure.value.shown) == (1, 1)


def test_access_outside_a_buffer_is_an_error() -> None:
    k = KernelBuilder("outside")
    x, y = k.input("x", "f32", (n,)), k.output("y", "f32", (n,))
    with k.loop("i", n) as i:
        k.store(y, i, k.load(x, i + 1))
    with pytest.raises(IndexError, match="outside buffer x"):
        run(k.build(), {"x": np.zeros(3, np.float32)}, {"n": 3})


def test_arrays_must_fit_their_buffers() -> None:
    k = KernelBuilder("fit")
    k.input("x", "f32", (n,))
    k.store(k.output("y", "f32", (1,)), 0, const(1, "f32"))
    kernel = k.build()
    with pytest.raises(ValueError, match="is read: it needs an array"):
        run(kernel, {}, {"n": 1})
    for wrong in (np.zeros(2, np.float32), np.zeros(1, np.float64), np.zeros((4,), np.float32)[::4]):
        if wrong.size == 1 and wrong.dtype == np.float32 and wrong.flags.c_contiguous:
            continue
        with pytest.raises(ValueError, match="buffer x of fit"):
            run(kernel, {"x": wrong}, {"n": 1})


def test_scratch_starts_as_garbage() -> None:
    k = KernelBuilder("scratch")
    t, y = k.scratch("t", "f32", (4,)), k.output("y", "f32", (4,))
    with k.loop("i", 4) as i:
        k.store(y, i, k.load(t, i))
    assert (run(k.build(), {})["y"] != 0).all()


def test_builder_rejects_wrong_rank_and_makes_names_unique() -> None:
    k = KernelBuilder("names")
    x = k.input("x", "f32", (2, 3))
    with pytest.raises(ValueError, match="has 2 dimensions, got 1"):
        k.load(x, (0,))
    assert k.let("a", k.load(x, (1, 2))).name == "a" and k.let("a", k.load(x, 5)).name == "a_1"
    assert k.load(x, (1, 2)) is k.load(x, 5)


def test_positions_of_loops_with_other_extents_are_not_confused() -> None:
    """Variables of loops share their names between kernels: what is known of a short loop says nothing about a long one."""
    short, long = symbol("i", 0, 3), symbol("i", 0, 99)
    kept = position(short)  # expressions that are alive are shared
    found = position(long)
    assert isinstance(kept, Position) and isinstance(found, Position)
    assert found.index % 4 != found.index and kept.index % 4 == kept.index
    assert position(symbol("i", 0, 99)) is found
    nested = position(long // 2 % 8)
    assert position(short // 2 % 8) is not nested and position(symbol("i", 0, 99) // 2 % 8) is nested
