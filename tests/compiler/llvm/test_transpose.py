"""Copies that turn rows into columns, of all sizes and types: nothing beyond the edges is read or written."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.compiler.llvm.target import AVX512, target
from graphflow.kernel.expr import TYPES, load
from graphflow.kernel.index import Index, symbol
from graphflow.kernel.nodes import Buffer, Kernel, Loop, Mode, Role, Store
from tests.compiler.contract.cases import Native, aligned

ROWS, COLUMNS = symbol("R", 0, None), symbol("C", 0, None)
SIZES = [(1, 1), (3, 40), (4, 4), (5, 16), (16, 16), (16, 37), (20, 64), (33, 10), (48, 32), (61, 59), (0, 7), (130, 4)]


def transposition(rows: Index, columns: Index, type_: str) -> Kernel:
    """b[c, r] = a[r, c], in a place inside larger matrices."""
    r, c = symbol("r", 0, None), symbol("c", 0, None)
    store = Store("b", (c + 1) * (rows + 2) + r + 1, load("a", type_, (r + 1) * (columns + 2) + c + 1))
    loop = Loop("c", columns, Mode.PARALLEL, (Loop("r", rows, Mode.VECTOR, (store,)),))
    buffers = (Buffer("a", type_, (rows + 2, columns + 2), Role.IN), Buffer("b", type_, (columns + 2, rows + 2), Role.OUT))
    return Kernel("k", buffers, tuple(n for n, s in (("C", columns), ("R", rows)) if not isinstance(s, int)), ((loop,),))


def check(native: Native, rows: int, columns: int, type_: str, threads: int) -> None:
    a = aligned(np.arange((rows + 2) * (columns + 2)).reshape(rows + 2, columns + 2).astype(TYPES[type_]))
    b = aligned(np.full((columns + 2, rows + 2), 77, TYPES[type_]))
    wanted = b.copy()
    wanted[1:-1, 1:-1] = a[1:-1, 1:-1].T
    native.run({"a": a, "b": b}, {"R": rows, "C": columns}, threads)
    np.testing.assert_array_equal(b, wanted)


@pytest.mark.parametrize("machine", ["native", "avx2", "sse2"])
@pytest.mark.parametrize("type_", ["f32", "f64", "i32", "f16", "u8"])
def test_any_size(type_: str, machine: str) -> None:
    open_ = Native(transposition(ROWS, COLUMNS, type_), machine)
    for rows, columns in SIZES:
        fixed = Native(transposition(rows, columns, type_), machine)
        for threads in (1, 3):
            check(open_, rows, columns, type_, threads)
            check(fixed, rows, columns, type_, threads)


def test_edges_go_through_registers_where_there_are_masks() -> None:
    if not target("native").masks:
        pytest.skip("this machine cannot run AVX-512 code")
    assert "gather" not in Native(transposition(ROWS, 10, "f32"), AVX512).text
    assert "gather" in Native(transposition(ROWS, 3, "f32"), AVX512).text, "most of a block would be empty"
    assert "masked" not in Native(transposition(64, 32, "f32"), AVX512).text, "whole blocks"
