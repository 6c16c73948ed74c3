"""Every function of the expression language, on every type, natively and in the interpreter: the same values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphflow.kernel.builder import KernelBuilder
from graphflow.kernel.expr import FLOATS, TYPES, Expr, call, cast, load
from graphflow.kernel.functions import FUNCTIONS
from graphflow.kernel.index import symbol
from graphflow.kernel.interpret import run
from graphflow.kernel.nodes import Kernel, Mode
from tests.compiler.llvm.native import TARGETS, run_native

ROUNDING = ["floor", "ceil", "rint", "trunc"]
ARITHMETIC = ["add", "sub", "mul", "fma", "neg", "abs", "sign", "max", "min", "lt", "le", "eq", "ne", "select"]
BITWISE = ["and", "or", "xor", "not"]
INTEGER = [*ARITHMETIC, *BITWISE, "div", "floordiv", "floormod", "rem", "shl", "shr", "pow"]
FLOATING = [
    *ARITHMETIC, *ROUNDING, "div", "floordiv", "floormod", "rem", "sqrt", "rsqrt", "isnan", "isinf", "isfinite",
    "exp", "log", "tanh", "sigmoid", "sin", "erf", "lgamma", "atan",
]  # fmt: skip
BOOLEAN = [*BITWISE, "eq", "ne", "select", "max", "min"]


def cases(type_: str) -> list[str]:
    extra = ["mulhi"] if type_ == "u32" else []
    return [*extra, *(FLOATING if type_ in FLOATS else BOOLEAN if type_ == "bool" else INTEGER)]


def edge_values(type_: str, count: int, seed: int) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    dtype = TYPES[type_]
    if dtype.kind == "b":
        return rng.random(count) < 0.5
    if dtype.kind == "f":
        out = (rng.standard_normal(count) * 4).astype(dtype)
        out[::7] = rng.choice(np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1, -2.5, 0.5, 1.5], dtype), len(out[::7]))
        return out
    info = np.iinfo(dtype)
    out = rng.integers(info.min, info.max, count, dtype=dtype, endpoint=True)
    out[::3] = rng.integers(0, 9, len(out[::3]))
    out[::5] = rng.choice(np.array([0, 1, info.min, info.max, (0 if info.min == 0 else -1)]), len(out[::5])).astype(
        dtype
    )
    return out


def one_kernel(type_: str, names: list[str], mode: Mode) -> Kernel:
    n = symbol("n")
    k = KernelBuilder("functions")
    a, b, c = (k.input(m, type_, (n,)) for m in "abc")
    choose = k.input("choose", "bool", (n,))
    results: list[tuple[str, Expr]] = []
    for name in names:
        x, y, z = (load(m, type_, symbol("i")) for m in "abc")
        operands = {1: (x,), 2: (x, y), 3: (x, y, z)}[FUNCTIONS[name][0]]
        if name == "select":
            operands = (load("choose", "bool", symbol("i")), x, y)
        results.append((name, call(name, *operands)))
    outs = [k.output(f"out_{name}", e.type, (n,)) for name, e in results]
    with k.loop("i", n, mode) as i:
        for out, (_, e) in zip(outs, results, strict=True):
            k.store(out, i, e)
    del a, b, c, choose
    return k.build()


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("mode", [Mode.VECTOR, Mode.SERIAL])
@pytest.mark.parametrize("type_", sorted(TYPES))
def test_functions_equal_interpreter(type_: str, mode: Mode, name: str) -> None:
    names = cases(type_)
    kernel = one_kernel(type_, names, mode)
    count = 131
    data = {m: edge_values(type_, count, seed) for seed, m in enumerate("abc")} | {
        "choose": edge_values("bool", count, 9)
    }
    expected = run(kernel, data, {"n": count})
    got, status = run_native(kernel, data, {"n": count}, name)
    assert status == (0, 0)
    for function in names:
        e, g = expected[f"out_{function}"], got[f"out_{function}"]
        if e.dtype.kind == "f":
            exact = function in (
                *ROUNDING,
                "add",
                "sub",
                "mul",
                "div",
                "neg",
                "abs",
                "sign",
                "max",
                "min",
                "select",
                "sqrt",
            )
            tolerance = 0 if exact else {2: 2e-3, 4: 2e-6, 8: 1e-13}[e.dtype.itemsize]
            np.testing.assert_allclose(g, e, rtol=tolerance, atol=tolerance, err_msg=function)
        else:
            np.testing.assert_array_equal(g, e, err_msg=function)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("source", sorted(TYPES))
def test_casts_equal_interpreter(source: str, name: str) -> None:
    n = symbol("n")
    for mode in (Mode.VECTOR, Mode.SERIAL):
        k = KernelBuilder("casts")
        x = k.input("x", source, (n,))
        outs = {t: k.output(f"to_{t}", t, (n,)) for t in TYPES}
        with k.loop("i", n, mode) as i:
            for t, out in outs.items():
                k.store(out, i, cast(k.load(x, i), t))
        data = {"x": edge_values(source, 85, 4)}
        if source in FLOATS:
            data["x"][40:60] = np.array(
                [3e9, -3e9, 1e19, -1e19, 65519.9, 65520, 6e-8, 3e-8, 2.0**31, -(2.0**31)] * 2
            ).astype(TYPES[source])
        expected = run(k.build(), data, {"n": 85})
        got, _ = run_native(k.build(), data, {"n": 85}, name)
        for t in TYPES:
            np.testing.assert_array_equal(got[f"to_{t}"], expected[f"to_{t}"], err_msg=f"{source} to {t}")


@pytest.mark.parametrize("name", TARGETS)
def test_bitcasts(name: str) -> None:
    n = symbol("n")
    k = KernelBuilder("bits")
    x, u, y = k.input("x", "f32", (n,)), k.output("u", "u32", (n,)), k.output("y", "f32", (n,))
    with k.loop("i", n, Mode.VECTOR) as i:
        bits = call("bitcast_u32", k.load(x, i))
        k.store(u, i, bits)
        k.store(y, i, call("bitcast_f32", bits ^ 0x80000000))
    data = {"x": edge_values("f32", 50, 1)}
    got, _ = run_native(k.build(), data, {"n": 50}, name)
    np.testing.assert_array_equal(got["u"], data["x"].view(np.uint32))
    np.testing.assert_array_equal(got["y"], -data["x"])


@pytest.mark.parametrize("name", TARGETS)
def test_integer_division_never_traps(name: str) -> None:
    """Also where inactive lanes of the tail read zero divisors."""
    n = symbol("n")
    for type_ in ("i32", "i64", "u8"):
        k = KernelBuilder("division")
        x, y, q, r = (
            k.input("x", type_, (n,)),
            k.input("y", type_, (n,)),
            k.output("q", type_, (n,)),
            k.output("r", type_, (n,)),
        )
        with k.loop("i", n, Mode.VECTOR) as i:
            k.store(q, i, call("div", k.load(x, i), k.load(y, i)))
            k.store(r, i, call("floormod", k.load(x, i), k.load(y, i)))
        least = np.iinfo(TYPES[type_]).min
        data = {
            "x": np.array([least, 7, 7, 5, 100], TYPES[type_]),
            "y": np.array([-1 if least else 1, 0, 2, 3, 7]).astype(TYPES[type_]),
        }
        got, _ = run_native(k.build(), data, {"n": 5}, name)
        np.testing.assert_array_equal(got["q"], [least, 0, 3, 1, 14])
        np.testing.assert_array_equal(got["r"], [0, 7, 1, 2, 2])


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("type_", ["f32", "f64"])
def test_rests_of_divisions_are_exact(type_: str, name: str) -> None:
    """Quotients that round to the next whole number, have more digits than their type or are infinite, and infinite divisors."""
    n = symbol("n")
    k = KernelBuilder("rests")
    x, y, r = k.input("x", type_, (n,)), k.input("y", type_, (n,)), k.output("r", type_, (n,))
    with k.loop("i", n, Mode.VECTOR) as i:
        k.store(r, i, call("rem", k.load(x, i), k.load(y, i)))
    rng = np.random.default_rng(0)
    divisors = rng.standard_normal(400).astype(TYPES[type_])
    whole = divisors * rng.integers(-9999, 9999, 400)
    sides = [np.nextafter(whole, side, dtype=TYPES[type_]) for side in (-np.inf, np.inf)]
    with np.errstate(all="ignore"):
        for above in (*sides, whole, whole * 1e5, whole * 1e30, np.inf * whole, divisors * 0.9):
            for below in (divisors, divisors / 0, divisors * 0, divisors * 1e-20):
                data = {"x": above.astype(TYPES[type_]), "y": below.astype(TYPES[type_])}
                got, _ = run_native(k.build(), data, {"n": 400}, name)
                np.testing.assert_array_equal(got["r"], np.fmod(data["x"], data["y"]))
