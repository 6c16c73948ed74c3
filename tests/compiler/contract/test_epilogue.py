"""Epilogues: what a contraction does with its sums before they reach memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from graphflow.kernel.expr import Expr, cast, load, local, maximum, position, select, sqrt
from graphflow.kernel.index import symbol
from graphflow.kernel.nodes import Buffer, Let, Role, Store
from tests.compiler.contract.cases import Case, Compiled, aligned, conv, inputs, matmul, sums

N = symbol("N", 0, None)


def acc(type_: str = "f32") -> Expr:
    return local("acc", type_)


def with_epilogue(case: Case, statements: tuple[Store | Let, ...], *buffers: Buffer) -> Case:
    return replace(case, contract=replace(case.contract, epilogue=statements), buffers=(*case.buffers, *buffers))


@pytest.mark.parametrize("machine", ["native", "avx2", "sse2"])
@pytest.mark.parametrize("rows", [N, 37])
def test_bias_and_relu(machine: str, rows: object) -> None:
    case = matmul(rows, 21, 30)  # type: ignore[arg-type]
    i, j = symbol("i", 0, None), symbol("j", 0, 20)
    case = with_epilogue(case, (Store("y", i * 21 + j, maximum(acc() + load("bias", "f32", j), 0)),), Buffer("bias", "f32", (21,), Role.IN))
    compiled = Compiled(case, machine)
    arrays = inputs(case, {"N": 37})
    want, _ = sums(case, arrays, {"N": 37})
    compiled.run(arrays, {"N": 37}, 2)
    np.testing.assert_allclose(arrays["y"], np.maximum(want + arrays["bias"], 0), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("machine", ["native", "avx2"])
def test_several_outputs_and_updates_in_place_happen_once(machine: str) -> None:
    """An optimizer in the epilogue: reads and writes of state must happen exactly once per element, whatever tiles overlap."""
    case = matmul(N, 21, 30)
    i, j = symbol("i", 0, None), symbol("j", 0, 20)
    at = i * 21 + j
    m, v, w = (load(name, "f32", at) for name in ("m", "v", "p"))
    case = with_epilogue(
        case,
        (
            Let("g", acc() * 0.1),
            Let("m1", m * 0.9 + local("g", "f32") * 0.1),
            Let("v1", v * 0.99 + local("g", "f32") * local("g", "f32") * 0.01),
            Store("m", at, local("m1", "f32")),
            Store("v", at, local("v1", "f32")),
            Store("p", at, w - local("m1", "f32") / (sqrt(local("v1", "f32")) + 0.001)),
            Store("y", at, acc()),
        ),
        *(Buffer(name, "f32", (N, 21), Role.INOUT) for name in ("m", "v", "p")),
    )
    compiled = Compiled(case, machine)
    for rows in (1, 2, 9, 13, 27, 30):
        sizes = {"N": rows}
        arrays = inputs(case, sizes)
        arrays["v"] = aligned(np.abs(arrays["v"]))
        before = {name: a.copy() for name, a in arrays.items()}
        want, _ = sums(case, arrays, sizes)
        compiled.run(arrays, sizes, 3)
        g = want * 0.1
        m1 = before["m"] * 0.9 + g * 0.1
        v1 = before["v"] * 0.99 + g * g * 0.01
        np.testing.assert_allclose(arrays["m"], m1, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(arrays["v"], v1, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(arrays["p"], before["p"] - m1 / (np.sqrt(v1) + 0.001), rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(arrays["y"], want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("machine", ["native", "avx2"])
def test_epilogue_that_depends_on_the_position(machine: str) -> None:
    case = conv(N, 8, 9, 3, 3, 10)
    n, oh, ow, oc = (symbol(s, 0, e) for s, e in (("n", None), ("oh", 5), ("ow", 6), ("oc", 9)))
    at = ((n * 6 + oh) * 7 + ow) * 10 + oc
    value = select(position(ow) < 3, acc() + cast(position(oc), "f32"), acc() * load("mask", "f32", at))
    case = with_epilogue(case, (Store("y", at, value),), Buffer("mask", "f32", (N, 6, 7, 10), Role.IN))
    compiled = Compiled(case, machine)
    sizes = {"N": 3}
    arrays = inputs(case, sizes)
    want, _ = sums(case, arrays, sizes)
    want = want.reshape(3, 6, 7, 10)
    compiled.run(arrays, sizes, 2)
    expected = np.where(np.arange(7)[:, None] < 3, want + np.arange(10), want * arrays["mask"])
    np.testing.assert_allclose(arrays["y"], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("machine", ["native", "avx2", "sse2"])
@pytest.mark.parametrize("rows", [1, 95, 96, 200])
def test_bias_of_columns_whose_panels_may_all_be_narrow(machine: str, rows: int) -> None:
    """The vectors run along the batch: whole panels first, none where it is small, then the rest, which needs the bias just as well."""
    case = conv(N, 7, 6, 1, 1, 1, 2)
    n, oh, ow = symbol("n", 0, None), symbol("oh", 0, 3), symbol("ow", 0, 2)
    store = Store("y", (n * 4 + oh) * 3 + ow, acc() + load("bias", "f32", oh))
    compiled = Compiled(with_epilogue(case, (store,), Buffer("bias", "f32", (4,), Role.IN)), machine)
    arrays = inputs(case, {"N": rows}) | {"bias": aligned(np.float32([1, 2, 3, 4]))}
    want, _ = sums(case, arrays, {"N": rows})
    compiled.run(arrays, {"N": rows}, 2)
    np.testing.assert_allclose(arrays["y"], want + arrays["bias"][:, None, None], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("machine", ["native", "avx2", "sse2"])
@pytest.mark.parametrize("m, n, k", [(7, 10, 300), (37, 90, 64), (33, 5, 16)])
def test_epilogue_that_reads_an_operand(machine: str, m: int, n: int, k: int) -> None:
    """The row's own first element, at an address that the tile's first row had too; long enough to be a loop over the rows."""
    case = matmul(m, n, k)
    i, j = symbol("i", 0, m - 1), symbol("j", 0, n - 1)
    value = acc()
    for _ in range(12):
        value = sqrt(value * value + load("a", "f32", i * k) * load("a", "f32", i * k))
    compiled = Compiled(with_epilogue(case, (Store("y", i * n + j, value),)), machine)
    arrays = inputs(case, {})
    want, _ = sums(case, arrays, {})
    compiled.run(arrays, {}, 2)
    first = arrays["a"].reshape(m, k)[:, :1]
    np.testing.assert_allclose(arrays["y"].reshape(m, n), np.sqrt(want.reshape(m, n) ** 2 + 12 * first**2), rtol=1e-4, atol=1e-4)


def test_results_stored_transposed() -> None:
    case = matmul(19, 21, 30)
    i, j = symbol("i", 0, 18), symbol("j", 0, 20)
    case = replace(case, contract=replace(case.contract, epilogue=(Store("y", j * 19 + i, acc()),)))
    arrays = inputs(case, {})
    want, _ = sums(case, arrays, {})
    Compiled(case).run(arrays, {}, 2)
    np.testing.assert_allclose(arrays["y"].reshape(21, 19), want.T, rtol=1e-4, atol=1e-4)


def test_results_scattered() -> None:
    """No axis of the results lies in neighbouring elements."""
    case = matmul(9, 11, 13)
    i, j = symbol("i", 0, 8), symbol("j", 0, 10)
    case = replace(
        case, contract=replace(case.contract, epilogue=(Store("y", i * 33 + j * 3, acc()),)),
        buffers=(*case.buffers[:2], Buffer("y", "f32", (9, 11, 3), Role.OUT)),
    )  # fmt: skip
    arrays = inputs(case, {})
    want, _ = sums(case, arrays, {})
    Compiled(case).run(arrays, {}, 2)
    np.testing.assert_allclose(arrays["y"][..., 0], want, rtol=1e-4, atol=1e-4)
    assert (arrays["y"][..., 1:] == 77).all()
