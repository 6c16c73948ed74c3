"""Each rule of the kernel verifier fires on a kernel that breaks it, and on none that does not."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest

from graphflow.kernel.builder import KernelBuilder
from graphflow.kernel.expr import Call, Expr, as_index, call, cast, const, load, local, position, select, within
from graphflow.kernel.index import Index, symbol
from graphflow.kernel.nodes import (
    Accumulate,
    Axis,
    Buffer,
    Contract,
    If,
    Kernel,
    Let,
    Loop,
    Mode,
    Role,
    Set,
    Stmt,
    Store,
    Var,
)
from graphflow.kernel.verify import InvalidKernel, problems, verify

P, S, V = Mode.PARALLEL, Mode.SERIAL, Mode.VECTOR
n, i, j = symbol("n"), symbol("i"), symbol("j")
X = Buffer("x", "f32", (n, 10), Role.IN)
IDS = Buffer("ids", "i64", (n,), Role.IN)
Y = Buffer("y", "f32", (n, 10), Role.OUT)
T = Buffer("t", "f32", (n,), Role.SCRATCH)
W = Buffer("w", "f32", (10,), Role.INOUT)
x_ij = load("x", "f32", i * 10 + j)
zero, one = const(0, "f32"), const(1, "f32")


def kernel(*statements: Stmt, phases: Sequence[tuple[Stmt, ...]] = (), checks: int = 0) -> Kernel:
    """A kernel with these statements; y is stored in a second phase so that only the rule in question is broken."""
    fill = (Loop("f", n * 10, V, (Store("y", symbol("f"), zero),)),)
    builder = KernelBuilder("k")
    for _ in range(checks):
        builder.check("InvalidArgumentError", "no", const(True, "bool"), const(0, "i64"), zero)
    return Kernel("k", (X, IDS, Y, T, W), ("n",), (statements, *phases, fill), tuple(builder.checks))


def nest(*body: Stmt, outer: Mode = P, inner: Mode = V) -> Loop:
    return Loop("i", n, outer, (Loop("j", 10, inner, body),))


GOOD: dict[str, Kernel] = {
    "the same name in loops beside each other": kernel(
        Loop("i", n, S, (Let("a", zero), Store("y", i * 10, local("a", "f32")))),
        Loop("i", n, S, (Let("a", one), Store("y", i * 10 + 1, local("a", "f32")))),
    ),
    "store": kernel(nest(Store("y", i * 10 + j, x_ij))),
    "reduction": kernel(
        Loop(
            "i",
            n,
            P,
            (Var("s", zero), Loop("j", 10, V, (Accumulate("s", "add", x_ij),)), Store("t", i, local("s", "f32"))),
        )
    ),
    "serial loop inside vector loop": kernel(
        Loop(
            "j",
            10,
            V,
            (Var("s", zero), Loop("i", n, S, (Accumulate("s", "add", x_ij),)), Store("w", j, local("s", "f32"))),
        )
    ),
    "guarded outside": kernel(nest(Store("y", i * 10 + j, load("x", "f32", i * 10 + j - 3, within(j - 3, 10))))),
    "store behind a condition": kernel(Loop("i", n, P, (Store("w", 0, zero, call("eq", position(i), 0)),))),
    "gather": kernel(Loop("i", n, P, (Store("t", i, load("w", "f32", as_index(load("ids", "i64", i), 0, 9))),))),
    "contraction": kernel(
        Contract(
            (Axis("i", n), Axis("j", 10)),
            (Axis("k", 10),),
            load("x", "f32", i * 10 + symbol("k")),
            load("x", "f32", j * 10 + symbol("k")),
            (Let("r", call("max", local("acc", "f32"), 0)), Store("y", i * 10 + j, local("r", "f32"))),
        )
    ),
}


LEFT = i * 10 + symbol("k")


def contraction(
    left: Index = LEFT, epilogue: Sequence[Stmt] = (Store("y", i * 10 + j, local("acc", "f32")),)
) -> Contract:
    return Contract(
        (Axis("i", n), Axis("j", 10)),
        (Axis("k", 10),),
        load("x", "f32", left),
        load("x", "f32", symbol("k")),
        tuple(epilogue),
    )


def broken_call(function: str, type_: str, *arguments: Expr, detail: int = 0) -> Expr:
    e = Call()
    e.type, e.function, e.arguments, e.detail = type_, function, arguments, detail
    return e


BAD: dict[str, tuple[Kernel, str]] = {
    "two buffers": (dataclasses.replace(kernel(), buffers=(X, X, Y)), "two buffers or sizes are called x"),
    "bad name": (dataclasses.replace(kernel(), name="a b"), "not an LLVM identifier"),
    "element type": (
        dataclasses.replace(kernel(), buffers=(X, Y, Buffer("z", "f8", (), Role.IN))),
        "no element type called f8",
    ),
    "shape symbol": (dataclasses.replace(kernel(), symbols=()), "uses n, which is not a size"),
    "no phase": (dataclasses.replace(kernel(), phases=()), "there is no phase"),
    "output not stored": (dataclasses.replace(kernel(), phases=((),)), "output y is never stored"),
    "parallel beside another": (
        kernel(Store("w", 0, zero), nest(Store("y", i * 10 + j, x_ij))),
        "not the only statement",
    ),
    "parallel inside": (
        kernel(nest(Store("y", i * 10 + j, x_ij), outer=S, inner=P)),
        "the parallel loop j is inside another statement",
    ),
    "vector inside vector": (
        kernel(nest(Store("y", i * 10 + j, x_ij), outer=V)),
        "the vector loop j is inside the vector loop i",
    ),
    "ragged loop in lanes": (
        kernel(Loop("j", 10, V, (Loop("i", j, S, (Store("w", j, zero),)),))),
        "the extent of loop i differs between the lanes of j",
    ),
    "shadowed loop": (
        kernel(Loop("i", n, S, (Loop("i", 10, V, (Store("w", i, zero),)),))),
        "has the name of another loop",
    ),
    "unknown symbol": (kernel(Store("w", symbol("q"), zero)), "an offset into w uses q"),
    "negative extent": (kernel(Loop("i", -1 - n, S, ())), "is negative"),
    "name of a block around": (
        kernel(Let("a", zero), Loop("i", n, S, (Let("a", one), Store("y", i * 10, local("a", "f32"))))),
        "the name a is assigned twice",
    ),
    "name twice": (kernel(Let("a", zero), Let("a", one)), "the name a is assigned twice"),
    "use before": (kernel(Store("w", 0, local("a", "f32"))), "a is used where it is not declared"),
    "out of scope": (
        kernel(If(const(True, "bool"), (Let("a", zero),)), Store("w", 0, local("a", "f32"))),
        "a is used where it is not declared",
    ),
    "local's type": (
        kernel(Let("a", const(0, "i32")), Store("w", 0, local("a", "f32"))),
        "a is i32 and is used as f32",
    ),
    "set a let": (kernel(Let("a", zero), Set("a", one)), "a is a let and cannot change"),
    "set unknown": (kernel(Set("a", one)), "a is assigned where it is not declared"),
    "set other type": (kernel(Var("a", zero), Set("a", const(1, "i32"))), "a is f32 and is given i32"),
    "unknown combine": (kernel(Var("a", zero), Accumulate("a", "mean", one)), "no way to combine called mean"),
    "combine type": (kernel(Var("a", zero), Accumulate("a", "or", one)), "which or does not combine"),
    "set in vector": (
        kernel(Var("a", zero), Loop("j", 10, V, (Set("a", load("w", "f32", j)),))),
        "only accumulating is possible",
    ),
    "read in vector": (
        kernel(Var("a", zero), Loop("j", 10, V, (Accumulate("a", "add", one), Store("w", j, local("a", "f32"))))),
        "a is read in the vector loop j",
    ),
    "two combines": (
        kernel(Var("a", zero), Loop("j", 10, V, (Accumulate("a", "add", one), Accumulate("a", "mul", one)))),
        "accumulated in two ways",
    ),
    "store to input": (kernel(Store("x", 0, zero)), "input x is stored to"),
    "store to nothing": (kernel(Store("z", 0, zero)), "no buffer called z"),
    "load of nothing": (kernel(Store("w", 0, load("z", "f32", 0))), "no buffer called z"),
    "store type": (kernel(Store("w", 0, const(1, "i32"))), "i32 is stored to w"),
    "load type": (kernel(Store("w", 0, load("x", "f16", 0))), "is loaded as f16"),
    "scratch before store": (kernel(Store("w", 0, load("t", "f32", 0))), "scratch buffer t is loaded before"),
    "output before store": (kernel(Store("w", 0, load("y", "f32", 0))), "out buffer y is loaded before"),
    "condition type": (kernel(If(one, ())), "the condition of an if is f32"),
    "guard type": (kernel(Store("w", 0, zero, one)), "the guard of the store to w is f32"),
    "load guard type": (kernel(Store("w", 0, load("x", "f32", 0, one))), "the guard of a load of x is f32"),
    "beyond the end": (kernel(nest(Store("y", i * 10 + j + 1, x_ij))), "y[10*i + j + 1] reaches 1 to 10*n, outside"),
    "before the start": (kernel(nest(Store("y", i * 10 + j, load("x", "f32", i * 10 + j - 1)))), "reaches -1 to"),
    "static overrun": (kernel(Loop("j", 11, V, (Store("w", j, zero),))), "w[j] reaches 0 to 10"),
    "parallel race": (
        kernel(nest(Store("w", j, x_ij), inner=S)),
        "all iterations of the parallel loop i store to w[j]",
    ),
    "lanes race": (kernel(nest(Store("t", i, x_ij), outer=S)), "all iterations of the vector loop j store to t[i]"),
    "float offset": (kernel(Store("w", as_index(load("x", "f32", 0), 0, 9), zero)), "contains f32 data"),
    "exp of integer": (
        kernel(Store("w", 0, cast(broken_call("exp", "i32", const(1, "i32")), "f32"))),
        "exp is not defined for i32",
    ),
    "mixed types": (
        kernel(Store("w", 0, broken_call("add", "f32", one, const(1, "i32")))),
        "add of mixed element types",
    ),
    "select condition": (
        kernel(Store("w", 0, broken_call("select", "f32", one, one, zero))),
        "the condition of a select is f32",
    ),
    "unknown function": (kernel(Store("w", 0, broken_call("sinc", "f32", one))), "no function called sinc"),
    "constant too large": (
        kernel(Store("w", 0, cast(call("add", load("ids", "i64", 0), const(1 << 70, "i64")), "f32"))),
        "does not fit in i64",
    ),
    "position type": (kernel(Store("w", 0, position(n * 2, "f32"))), "a position is f32"),
    "check number": (
        kernel(
            Store("w", 0, call("check", call("lt", zero, load("w", "f32", 0)), position(n), zero, detail=3)), checks=1
        ),
        "there is no check 3",
    ),
    "check operands": (
        kernel(Store("w", 0, call("check", one, position(n), zero)), checks=1),
        "check takes a bool and an integer",
    ),
    "contraction not affine": (kernel(contraction(left=i * 10 + symbol("k") * symbol("k"))), "is not affine in k"),
    "contraction epilogue": (
        kernel(contraction(epilogue=(Var("v", zero),))),
        "the epilogue of a contraction has a Var",
    ),
    "contraction in lanes": (kernel(Loop("q", 4, V, (contraction(),))), "a contraction is inside a vector loop"),
    "contraction's reduced axis outside": (
        kernel(contraction(epilogue=(Store("y", symbol("k"), zero),))),
        "an offset into y uses k",
    ),
    "planned contraction beside another": (
        kernel(dataclasses.replace(contraction(), plan="any"), Store("w", 0, zero)),
        "a planned contraction stands beside statements that are none",
    ),
    "contraction of what another one of the phase makes": (
        kernel(*(dataclasses.replace(contraction(epilogue=(Store(b, i * 10 + j, local("acc", "f32")),)), plan="any") for b in ("y", "x"))),
        "a contraction reads buffer x, which another one of the phase stores",
    ),
    "contraction of two types": (
        kernel(dataclasses.replace(contraction(), right=load("ids", "i64", symbol("k")))),
        "a contraction of f32 and i64",
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_right_kernels_pass(name: str) -> None:
    verify(GOOD[name])


@pytest.mark.parametrize("name", BAD)
def test_rule_fires(name: str) -> None:
    bad, message = BAD[name]
    found = problems(bad)
    assert any(message in problem for problem in found), found


@pytest.mark.parametrize("name", [n for n in BAD if n not in ("no phase", "shape symbol")])
def test_only_that_rule_fires(name: str) -> None:
    """A message that comes with every kernel says nothing."""
    assert len(problems(BAD[name][0])) <= 2, problems(BAD[name][0])


def test_all_problems_are_raised_at_once() -> None:
    with pytest.raises(InvalidKernel) as raised:
        verify(kernel(Store("x", 0, zero), Store("z", 0, zero)))
    assert len(raised.value.problems) == 2 and "kernel k is not valid" in str(raised.value)


def test_select_of_integers_and_guards_with_locals_pass() -> None:
    k = KernelBuilder("k")
    ids, out = k.input("ids", "i32", (n,)), k.output("out", "f32", (n,))
    with k.loop("i", n, V) as at:
        row = k.let("row", select(k.load(ids, at) < 0, const(0, "i32"), k.load(ids, at)))
        k.store(out, as_index(row, 0, None), one)
    verify(k.build())
