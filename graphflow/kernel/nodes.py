"""The loop IR. A kernel is straight-line statements and counted loops over flat, dense buffers.

    Kernel    ::= name, Buffer*, symbol*, Phase+, Check*
    Phase     ::= Stmt*                      one native function; all threads meet at a barrier after each phase
    Stmt      ::= Loop(var, extent, mode, Stmt*)
                | Let(name, Expr)            an immutable local
                | Var(name, Expr)            a mutable local and its first value
                | Set(name, Expr)
                | Accumulate(name, combine, Expr)
                | Store(buffer, offset, Expr, guard?)
                | If(Expr, Stmt*)
                | Contract(...)              a sum of products, expanded by compiler/contract
    mode      ::= PARALLEL | SERIAL | VECTOR
    combine   ::= add | mul | max | min | and | or

A phase begins with at most one PARALLEL loop, which must be its only statement: threads take equal static shares of its range. Planned
contractions stand in a phase of their own, several where they need nothing of each other, and share themselves out. Any other phase runs
on thread 0 only. A VECTOR loop's body runs on all lanes at once, its tail masked; loops inside it are SERIAL and run equally often in all
lanes (sums over rows with the columns in lanes). An Accumulate into a Var declared outside it becomes a vector accumulator that is
combined by a fixed tree after the loop, so results do not depend on the thread count. Buffers are row-major and dense; every offset is in
elements.

Native form of a phase: `void name.phaseK(i64 *args, i64 thread, i64 threads)`, where args holds the address of each buffer in order,
then the value of each symbol in order, then the address of the status block: i64[4] {check number + 1 or 0, shown value, free, free}.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from graphflow.kernel.expr import Expr, Load, const
from graphflow.kernel.index import Index


class Mode(Enum):
    PARALLEL = "parallel"
    SERIAL = "serial"
    VECTOR = "vector"


class Role(Enum):
    IN = "in"  # read only
    OUT = "out"  # every element is written, none is read before that
    INOUT = "inout"  # updated in place
    SCRATCH = "scratch"  # private to one run of the kernel, contents undefined at the start


@dataclass(frozen=True)
class Buffer:
    """A dense row-major array. `type` is an element type of kernel.expr.TYPES."""

    name: str
    type: str
    shape: tuple[Index, ...]
    role: Role


@dataclass(frozen=True)
class Let:
    name: str
    value: Expr


@dataclass(frozen=True)
class Var:
    name: str
    value: Expr


@dataclass(frozen=True)
class Set:
    name: str
    value: Expr


@dataclass(frozen=True)
class Accumulate:
    name: str
    combine: str
    value: Expr


@dataclass(frozen=True)
class Store:
    buffer: str
    offset: Index
    value: Expr
    guard: Expr | None = None


@dataclass(frozen=True)
class If:
    condition: Expr
    body: tuple[Stmt, ...]


@dataclass(frozen=True)
class Loop:
    """for var in [0, extent)"""

    var: str
    extent: Index
    mode: Mode
    body: tuple[Stmt, ...]


@dataclass(frozen=True)
class Axis:
    """One loop of a contraction: `extent` steps from `start` on. Those of a reduced axis may depend on free axes."""

    name: str
    extent: Index
    start: Index = 0


@dataclass(frozen=True)
class Contract:
    """acc[free] = sum over `reduced` of left * right; then the epilogue, once for every point of `free`.

    `left` and `right` are plain loads whose offsets are affine in the axes' names (a matrix product, a convolution or one of its
    gradients differ in these maps only). The epilogue is Let and Store statements over the free axes; `Local("acc")` is the sum.
    `plan` is the tiling chosen by compiler/contract (None until then); it never changes the meaning.
    """

    free: tuple[Axis, ...]
    reduced: tuple[Axis, ...]
    left: Load
    right: Load
    epilogue: tuple[Stmt, ...]
    plan: object | None = None

    def of_nothing(self) -> tuple[Stmt, ...]:
        """What stands for a point of `free` where there is nothing to sum."""
        return (Let("acc", const(0, self.left.type)), *self.epilogue)


Stmt = Loop | Let | Var | Set | Accumulate | Store | If | Contract


def over(axes: Sequence[Axis], body: Sequence[Stmt]) -> tuple[Stmt, ...]:
    """A phase that runs `body` for every point of the axes: threads share the outermost, lanes take the innermost."""
    stmts = tuple(body)
    for n, axis in enumerate(reversed(axes)):
        mode = Mode.PARALLEL if n == len(axes) - 1 else Mode.VECTOR if n == 0 else Mode.SERIAL
        stmts = (Loop(axis.name, axis.extent, mode, stmts),)
    return stmts


@dataclass(frozen=True)
class Check:
    """A run-time condition. `error` is the tf.errors class name; `message` may hold {value} (the shown value) and {name} (the op). Where it
    holds {position} too, the shown value is two: position * 2**32 + value modulo 2**32. {position in 3,d0} is shown as the index that
    has that row-major position in those sizes."""

    error: str
    message: str
    origin: str = ""


@dataclass(frozen=True)
class Kernel:
    """One fused group. `origin` names the graph ops it computes; it is not part of the kernel's identity."""

    name: str
    buffers: tuple[Buffer, ...]
    symbols: tuple[str, ...]
    phases: tuple[tuple[Stmt, ...], ...]
    checks: tuple[Check, ...] = ()
    origin: tuple[str, ...] = ()

    def buffer(self, name: str) -> Buffer:
        return next(b for b in self.buffers if b.name == name)
