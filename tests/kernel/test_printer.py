"""The text of kernels: what people read, and the key of the code cache."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from graphflow.kernel.builder import KernelBuilder
from graphflow.kernel.expr import as_index, call, cast, const, exp, load, local, maximum, position, select, within
from graphflow.kernel.index import maximum as larger
from graphflow.kernel.index import symbol
from graphflow.kernel.nodes import Axis, Contract, Kernel, Mode, Store
from graphflow.kernel.printer import body_text, expr_text, index_text, text

n, i, j, k = (symbol(name) for name in "nijk")


def softmax() -> Kernel:
    b = KernelBuilder("softmax", origin=["net/softmax"])
    x, y = b.input("x", "f32", (n, 10)), b.output("y", "f32", (n, 10))
    with b.loop("i", n, Mode.PARALLEL) as row:
        top = b.var("top", const(float("-inf"), "f32"))
        with b.loop("j", 10, Mode.VECTOR) as c:
            b.accumulate(top, "max", b.load(x, (row, c)))
        total = b.var("total", const(0, "f32"))
        with b.loop("j", 10, Mode.VECTOR) as c:
            b.accumulate(total, "add", exp(b.load(x, (row, c)) - top))
        with b.loop("j", 10, Mode.VECTOR) as c:
            b.store(y, (row, c), exp(b.load(x, (row, c)) - top) / total)
    return b.build()


def everything() -> Kernel:
    b = KernelBuilder("everything")
    ids, table, w = b.input("ids", "i32", (n,)), b.input("table", "f32", (7, 10)), b.inout("w", "f64", (n, 10))
    t = b.scratch("t", "bool", (n,))
    with b.loop("i", n, Mode.SERIAL) as at:
        raw = b.load(ids, at)
        fine = (raw >= 0) & (raw < 7)
        row = b.let(
            "row",
            b.check(
                "InvalidArgumentError",
                'indices = {value} is not in "table"',
                fine,
                cast(raw, "i64"),
                select(fine, raw, 0),
            ),
        )
        with b.when(call("eq", position(at % 3), 0)), b.loop("j", 10, Mode.VECTOR) as c:
            shared = exp(b.load(table, as_index(row, 0, 6) * 10 + c)) * 0.5
            b.store(w, (at, c), cast(shared * shared + shared, "f64"), guard=within(c - 2, 5))
        b.store(t, at, fine)
    b.next_phase()
    b.contract(
        [("m", n), ("c", 10)],
        [("r", 4)],
        load("table", "f32", symbol("m") * 4 + symbol("r")),
        load("table", "f32", symbol("r") * 10 + symbol("c")),
        [Store("w", symbol("m") * 10 + symbol("c"), cast(local("acc", "f32"), "f64"))],
    )
    return b.build()


SOFTMAX = """\
kernel softmax
  in x: f32[n, 10]
  out y: f32[n, 10]
  sizes n
phase 0
  parallel i < n
    var top: f32 = -inf
    vector j < 10
      top max= x[10*i + j]
    var total: f32 = 0.0
    vector j_1 < 10
      total add= exp(x[10*i + j_1] - top)
    vector j_2 < 10
      y[10*i + j_2] = exp(x[10*i + j_2] - top) / total
"""

EVERYTHING = """\
kernel everything
  in ids: i32[n]
  in table: f32[7, 10]
  inout w: f64[n, 10]
  scratch t: bool[n]
  sizes n
  check 0 InvalidArgumentError "indices = {value} is not in \\"table\\""
phase 0
  serial i < n
    %0: bool = (0:i32 <= ids[i]) & (ids[i] < 7:i32)
    let row: i32 = check0(%0, i64(ids[i]), select(%0, ids[i], 0:i32))
    if i64(mod(i, 3)) == 0:i64
      vector j < 10
        %1: f32 = exp(table[10*{row in 0..6} + j]) * 0.5
        w[10*i + j] = f64((%1 * %1) + %1) where (0:i64 <= i64(j - 2)) & (i64(j - 2) < 5:i64)
    t[i] = (0:i32 <= ids[i]) & (ids[i] < 7:i32)
phase 1
  contract m < n, c < 10 over r < 4
    acc = sum table[4*m + r] * table[10*r + c]
    w[10*m + c] = f64(acc)
"""


@pytest.mark.parametrize(
    ("kernel", "expected"), [(softmax(), SOFTMAX), (everything(), EVERYTHING)], ids=["softmax", "everything"]
)
def test_golden(kernel: Kernel, expected: str) -> None:
    assert text(kernel) == expected


def test_text_is_the_same_in_another_process() -> None:
    """Identities of objects and hash seeds must not show: the text is the key of the disk cache."""
    code = "import tests.kernel.test_printer as t, sys; sys.stdout.write(t.text(t.everything()))"
    root = Path(__file__).parents[2]
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=root,
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == EVERYTHING


def test_order_of_construction_does_not_show() -> None:
    ids = [load("a", "i64", i), load("b", "i64", i)]
    first = as_index(ids[0], 0, 3) * 2 + as_index(ids[1], 0, 3) * 2
    junk = [load("a", "i64", i + extra) for extra in range(50)]
    second = as_index(load("b", "i64", i), 0, 3) * 2 + as_index(load("a", "i64", i), 0, 3) * 2
    assert index_text(first) == index_text(second) == "2*{a[i] in 0..3} + 2*{b[i] in 0..3}"
    assert junk


def test_what_changes_code_changes_text_and_origin_does_not() -> None:
    base = softmax()
    assert body_text(base) == body_text(dataclasses.replace(base, name="other", origin=("elsewhere",)))
    seen = {body_text(base)}
    buffers = base.buffers
    for changed in (
        dataclasses.replace(base, buffers=(dataclasses.replace(buffers[0], type="f64"), buffers[1])),
        dataclasses.replace(base, buffers=(dataclasses.replace(buffers[0], shape=(n, 11)), buffers[1])),
        dataclasses.replace(base, phases=base.phases * 2),
        dataclasses.replace(base, symbols=("n", "m")),
    ):
        assert body_text(changed) not in seen
        seen.add(body_text(changed))


def test_literals_keep_sign_type_and_precision() -> None:
    shown = [
        expr_text(const(v, t))
        for v, t in ((0.0, "f32"), (-0.0, "f32"), (float("nan"), "f64"), (0.1, "f16"), (True, "bool"), (-3, "i8"))
    ]
    assert shown == ["0.0", "-0.0", "nan:f64", "0.1:f16", "true", "-3:i8"]


def test_operators_are_bracketed_as_they_nest() -> None:
    x, y = load("x", "f32", 0), load("y", "f32", 0)
    assert expr_text((x + y) * (x - y * 2.0)) == "(x[0] + y[0]) * (x[0] - (y[0] * 2.0))"
    assert expr_text(maximum(-x, y + 1.0)) == "max(neg(x[0]), y[0] + 1.0)"
    assert expr_text(load("x", "f32", i, within(i - 1, 4))) == "x[i where (0:i64 <= i64(i - 1)) & (i64(i - 1) < 4:i64)]"


def test_index_text_orders_terms_and_shows_divisions() -> None:
    assert index_text((i + 7) // 3 * 5 + n * j * 2 - k - 4) == "2*j*n + 5*div(i + 1, 3) - k + 6"
    assert index_text(larger(n, i - 1) % 7) == "mod(max(i - 1, n), 7)"
    assert index_text(5) == "5"


def test_planned_contraction_shows_its_plan() -> None:
    unplanned = Contract(
        (Axis("m", n),), (Axis("r", 4),), load("x", "f32", symbol("r")), load("y", "f32", symbol("m")), ()
    )
    b = KernelBuilder("c")
    b.phases.append((unplanned,))
    b._sizes["n"] = None
    plain = b.build()
    planned = dataclasses.replace(plain, phases=((dataclasses.replace(unplanned, plan="6x64"),),))
    assert "plan '6x64'" in text(planned) and "plan" not in text(plain)
