"""Random kernels, loops beside and inside each other, against the interpreter: what leaves a loop, what is remembered, what is masked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphflow.kernel.builder import KernelBuilder
from graphflow.kernel.expr import Expr, Local, as_index, cast, const, maximum, minimum, position, select
from graphflow.kernel.index import Index, IndexExpr, symbol
from graphflow.kernel.interpret import run
from graphflow.kernel.nodes import Kernel, Mode, Role
from tests.compiler.llvm.native import TARGETS, run_native
from tests.fuzzing import examples

SIZES = ("n", "m")
EXTENTS: tuple[Index, ...] = (*map(symbol, SIZES), 3, 6, 17)
TABLE = 8
COMBINES = ("add", "max", "min")


class RandomKernel:
    """A kernel made of `choices`, taken one by one; when they are used up all is 0, which ends every list of statements."""

    def __init__(self, choices: Sequence[int]) -> None:
        self.choices = list(reversed(choices))
        self.k = KernelBuilder("random")
        self.table = self.k.input("table", "f32", (TABLE,))
        self.long = {size: self.k.input(f"of_{size}", "f32", (symbol(size),)) for size in SIZES}
        self.picks = {size: self.k.input(f"picks_{size}", "i64", (symbol(size),)) for size in SIZES}
        self.state = self.k.inout("state", "f32", (TABLE,))
        self.loops: list[tuple[IndexExpr, Index, Mode]] = []
        self.values: list[Expr] = []  # locals and what they are made of
        self.sums: list[tuple[Local, str]] = []
        self.written: list[tuple[Any, Index, int]] = []  # (buffer, offset, how many loops were open)

    def choose(self, count: int) -> int:
        return self.choices.pop() % count if self.choices else 0

    def kernel(self) -> Kernel:
        for _ in range(1 + self.choose(2)):
            if self.choose(3) == 1:
                self.loop(Mode.PARALLEL)
            else:
                for _ in range(1 + self.choose(3)):
                    self.loop((Mode.SERIAL, Mode.VECTOR)[self.choose(2)])
            self.k.next_phase()
            self.written, self.values = [], []
        return self.k.build()

    # -- statements

    def loop(self, mode: Mode) -> None:
        extent = EXTENTS[self.choose(len(EXTENTS))]
        outer = (list(self.values), list(self.sums))
        made: list[tuple[Local, str]] = []
        if mode is not Mode.PARALLEL and self.choose(2):
            combine = COMBINES[self.choose(3)]
            made.append((self.k.var("sum", self.value(1)), combine))
        with self.k.loop("i", extent, mode) as i:
            self.loops.append((i, extent, mode))
            self.sums = (self.sums if mode is Mode.SERIAL else []) + made
            self.block()
            self.loops.pop()
        self.values, self.sums = outer[0] + [local for local, _ in made], outer[1]
        self.written = [w for w in self.written if w[2] <= len(self.loops)]
        if made:
            self.store(made[0][0])

    def block(self) -> None:
        for _ in range(1 + self.choose(3)):
            kind = self.choose(6)
            vector = any(mode is Mode.VECTOR for _, _, mode in self.loops)
            if kind == 1 and len(self.loops) < 3:
                self.loop(Mode.SERIAL if vector or self.choose(2) else Mode.VECTOR)
            elif kind == 2:
                self.values.append(self.k.let("t", self.value(2)))
            elif kind == 3 and self.sums:
                target, combine = self.sums[-1]
                self.k.accumulate(target, combine, self.value(2))
            elif kind == 4:
                with self.k.when(self.condition()):
                    before = list(self.values), list(self.written)
                    self.store(self.value(2))
                    self.values, self.written = before
            else:
                self.store(self.value(3))

    def store(self, value: Expr) -> None:
        """To the place of this iteration in a buffer of its own, or to the state, which serial loops of the first thread may share."""
        if all(mode is Mode.SERIAL for _, _, mode in self.loops) and self.choose(3) == 1:
            self.k.store(self.state, self.choose(TABLE), value)
            return
        shape = [extent for _, extent, _ in self.loops] or [1]
        place: Index = 0
        for i, extent, _ in self.loops:
            place = place * extent + i
        buffer = self.k.buffer(f"out{len(self.k.buffers)}", "f32", shape, Role.INOUT)
        self.k.store(buffer, place, value, self.condition() if self.choose(4) == 1 else None)
        self.written.append((buffer, place, len(self.loops)))

    # -- values

    def condition(self) -> Expr:
        if self.loops and self.choose(2):
            return position(self.loops[self.choose(len(self.loops))][0]) < self.choose(9)
        return self.value(1) > 0.1

    def index(self) -> Index:
        """A place in the table: known, counted, or read from memory."""
        kind = self.choose(4)
        if kind == 0 or not self.loops:
            return self.choose(TABLE)
        i, extent, _ = self.loops[self.choose(len(self.loops))]
        if kind == 1:
            return (i * (1 + self.choose(3)) + self.choose(3)) % TABLE
        size = next((s for s in SIZES if extent == symbol(s)), None)
        if kind == 2 or size is None:
            return i % 2 * 3
        pick = self.k.load(self.picks[size], i)
        if self.choose(2):
            pick = self.k.check("InvalidArgumentError", "{value}", pick < TABLE, pick, pick)
        return as_index(pick, 0, TABLE - 1)

    def leaf(self) -> Expr:
        kind = self.choose(7)
        if kind == 1 and self.values:
            return self.values[self.choose(len(self.values))]
        if kind == 2 and self.loops:
            return cast(position(self.loops[self.choose(len(self.loops))][0]), "f32") * 0.25
        if kind == 3:
            for i, extent, _ in self.loops:
                for size in SIZES:
                    if extent == symbol(size):
                        return self.k.load(self.long[size], i, self.condition() if self.choose(4) == 1 else None)
        if kind == 4:
            return self.k.load(self.state, self.choose(TABLE)) if not self.racing() else const(self.choose(5), "f32")
        if kind == 5 and self.written:
            buffer, place, _ = self.written[self.choose(len(self.written))]
            return self.k.load(buffer, place)
        if kind == 6:
            return const(self.choose(5) * 0.5, "f32")
        return self.k.load(self.table, self.index())

    def racing(self) -> bool:
        return any(mode is not Mode.SERIAL for _, _, mode in self.loops)

    def value(self, depth: int) -> Expr:
        if depth == 0:
            return self.leaf()
        kind = self.choose(6)
        if kind == 0:
            return self.leaf()
        a, b = self.value(depth - 1), self.value(depth - 1)
        if kind == 5:
            return select(self.condition(), a, b)
        return (a + b, a - b, a * 0.5 - b, maximum(a, b), minimum(a, b))[kind]


@pytest.mark.parametrize("name", TARGETS)
@given(st.lists(st.integers(0, 30), min_size=20, max_size=120), st.sampled_from([0, 1, 5, 16, 40]), st.sampled_from([0, 1, 7, 33]))
@examples(40)
def test_random_kernels(name: str, choices: list[int], n: int, m: int) -> None:
    kernel = RandomKernel(choices).kernel()
    sizes = {size: count for size, count in (("n", n), ("m", m)) if size in kernel.symbols}
    rng = np.random.default_rng(1)
    arrays: dict[str, np.ndarray] = {}
    for buffer in kernel.buffers:
        shape = tuple(size if isinstance(size, int) else {"n": n, "m": m}[str(size)] for size in buffer.shape)
        drawn = rng.integers(0, TABLE, shape) if buffer.type == "i64" else rng.standard_normal(shape).astype(np.float32)
        arrays[buffer.name] = drawn
    expected = run(kernel, {k: v.copy() for k, v in arrays.items()}, sizes)
    for threads in (1, 3):
        got, status = run_native(kernel, arrays, sizes, name, threads)
        assert status == (0, 0)
        for buffer in kernel.buffers:
            np.testing.assert_allclose(got[buffer.name], expected[buffer.name], rtol=1e-5, atol=1e-4, err_msg=buffer.name)
