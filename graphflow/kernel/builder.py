"""Writing kernels by hand: loops are `with` blocks, sizes and checks are collected, names are made unique.

k = KernelBuilder("row_sum")
n = symbol("n")
x, y = k.input("x", "f32", (n, 10)), k.output("y", "f32", (n,))
with k.loop("i", n, Mode.PARALLEL) as i:
    total = k.var("total", const(0, "f32"))
    with k.loop("j", 10, Mode.VECTOR) as j:
        k.accumulate(total, "add", k.load(x, (i, j)))
    k.store(y, i, total)
kernel = k.build()
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from graphflow.kernel.expr import Expr, Load, Local, call, const, free_symbols, load, local, position
from graphflow.kernel.index import Index, IndexExpr, bounds, symbol, symbols_of
from graphflow.kernel.nodes import (
    Accumulate,
    Axis,
    Buffer,
    Check,
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
)  # fmt: skip

Place = Index | Sequence[Index]


class KernelBuilder:
    """Collects buffers, statements and checks; `build` makes the kernel."""

    def __init__(self, name: str, origin: Sequence[str] = ()) -> None:
        self.name = name
        self.origin = tuple(origin)
        self.buffers: list[Buffer] = []
        self.checks: list[Check] = []
        self.phases: list[tuple[Stmt, ...]] = []
        self._open: list[list[Stmt]] = [[]]
        self._bound: set[str] = set()
        self._names: dict[str, int] = {}
        self._sizes: dict[str, None] = {}

    # -- buffers -----------------------------------------------------------------------------------------------------

    def buffer(self, name: str, type_: str, shape: Sequence[Index], role: Role) -> Buffer:
        """Declare a buffer."""
        made = Buffer(name, type_, tuple(shape), role)
        for size in shape:
            self._note(size)
        self.buffers.append(made)
        return made

    def input(self, name: str, type_: str, shape: Sequence[Index]) -> Buffer:
        return self.buffer(name, type_, shape, Role.IN)

    def output(self, name: str, type_: str, shape: Sequence[Index]) -> Buffer:
        return self.buffer(name, type_, shape, Role.OUT)

    def inout(self, name: str, type_: str, shape: Sequence[Index]) -> Buffer:
        return self.buffer(name, type_, shape, Role.INOUT)

    def scratch(self, name: str, type_: str, shape: Sequence[Index]) -> Buffer:
        return self.buffer(name, type_, shape, Role.SCRATCH)

    # -- structure ---------------------------------------------------------------------------------------------------

    @contextmanager
    def loop(self, name: str, extent: Index, mode: Mode = Mode.SERIAL) -> Iterator[IndexExpr]:
        """for name in [0, extent); gives the loop variable."""
        self._note(extent)
        name = self.fresh(name)
        _, most = bounds(extent)
        self._bound.add(name)
        self._open.append([])
        yield symbol(name, 0, None if most is None else max(most - 1, 0))
        body = tuple(self._open.pop())
        self._add(Loop(name, extent, mode, body))

    @contextmanager
    def when(self, condition: Expr) -> Iterator[None]:
        """Statements that run where the condition holds."""
        self._note_expr(condition)
        self._open.append([])
        yield
        body = tuple(self._open.pop())
        self._add(If(condition, body))

    def next_phase(self) -> None:
        """What follows runs after all threads have finished what came before."""
        self.phases.append(tuple(self._open[0]))
        self._open[0] = []

    # -- statements --------------------------------------------------------------------------------------------------

    def load(self, buffer: Buffer, place: Place, guard: Expr | None = None) -> Load:
        """An element by its offset, or by one index for each dimension."""
        made = load(buffer.name, buffer.type, self.offset(buffer, place), guard)
        self._note_expr(made)
        return made

    def store(self, buffer: Buffer, place: Place, value: Expr, guard: Expr | None = None) -> None:
        offset = self.offset(buffer, place)
        self._note(offset)
        self._note_expr(value)
        if guard is not None:
            self._note_expr(guard)
        self._add(Store(buffer.name, offset, value, guard))

    def let(self, name: str, value: Expr) -> Local:
        """A name for a value."""
        name = self.fresh(name)
        self._note_expr(value)
        self._add(Let(name, value))
        return local(name, value.type)

    def var(self, name: str, value: Expr) -> Local:
        """A mutable local and its first value."""
        name = self.fresh(name)
        self._note_expr(value)
        self._add(Var(name, value))
        return local(name, value.type)

    def set(self, target: Local, value: Expr | float) -> None:
        value = value if isinstance(value, Expr) else const(value, target.type)
        self._note_expr(value)
        self._add(Set(target.name, value))

    def accumulate(self, target: Local, combine: str, value: Expr) -> None:
        """target = target `combine` value; allowed across the iterations of a vector loop."""
        self._note_expr(value)
        self._add(Accumulate(target.name, combine, value))

    def contract(
        self,
        free: Sequence[tuple[str, Index]],
        reduced: Sequence[tuple[str, Index]],
        left: Load,
        right: Load,
        epilogue: Sequence[Stmt],
    ) -> None:
        """A sum of products; the axes' names are the symbols used in the loads and the epilogue."""
        for name, extent in (*free, *reduced):
            self._bound.add(name)
            self._note(extent)
        axes = [tuple(Axis(name, extent) for name, extent in group) for group in (free, reduced)]
        self._add(Contract(axes[0], axes[1], left, right, tuple(epilogue)))

    def check(self, error: str, message: str, condition: Expr, shown: Expr, value: Expr, origin: str = "") -> Expr:
        """`value`; where `condition` is false the step fails with tf.errors.`error`, {value} in the message being
        `shown`.
        """
        self.checks.append(Check(error, message, origin))
        return call("check", condition, shown, value, detail=len(self.checks) - 1)

    def build(self) -> Kernel:
        """The finished kernel. Sizes are passed in order of their names."""
        if self._open[0] or not self.phases:
            self.next_phase()
        sizes = tuple(sorted(n for n in self._sizes if n not in self._bound))
        return Kernel(self.name, tuple(self.buffers), sizes, tuple(self.phases), tuple(self.checks), self.origin)

    # -- helpers -----------------------------------------------------------------------------------------------------

    def fresh(self, name: str) -> str:
        """`name`, or a variation of it that is not taken in this kernel."""
        n = self._names.get(name, 0)
        self._names[name] = n + 1
        return f"{name}_{n}" if n else name

    def offset(self, buffer: Buffer, place: Place) -> Index:
        """The flat offset of an element given by one index for each dimension."""
        if isinstance(place, int | IndexExpr):
            return place
        if len(place) != len(buffer.shape):
            raise ValueError(f"{buffer.name} has {len(buffer.shape)} dimensions, got {len(place)} indices")
        flat: Index = 0
        for size, index in zip(buffer.shape, place, strict=True):
            flat = flat * size + index
        return flat

    def position(self, index: Index, type_: str = "i64") -> Expr:
        """An index as data."""
        return position(index, type_)

    def _add(self, statement: Stmt) -> None:
        self._open[-1].append(statement)

    def _note(self, index: Index) -> None:
        for name in symbols_of(index):
            self._sizes[name] = None

    def _note_expr(self, e: Expr) -> None:
        for name in free_symbols(e):
            self._sizes[name] = None
