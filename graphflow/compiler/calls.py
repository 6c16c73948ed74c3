"""What plans are made of: steps of a CompiledProgram with symbolic sizes, calls of a BoundPlan with every value at its place."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np

from graphflow.compiler.chains import Link, Passed
from graphflow.compiler.groups import Group
from graphflow.compiler.lower import Lowered
from graphflow.compiler.program import Value
from graphflow.dtypes import DType
from graphflow.graph.op import Op
from graphflow.kernel.index import Index
from graphflow.kernel.nodes import Check

NO_WORD = re.compile(r"\W")


class State(NamedTuple):
    """A variable (or the position of a random op, "random/<op name>", uint64[2]) that the program touches. reads: its value at the start
    is used, so it must be initialised; writes: it has a new value afterwards."""

    name: str
    dtype: DType
    shape: tuple[Index, ...]
    reads: bool
    writes: bool


class Location(NamedTuple):
    """Where a value is: kind "feed" (number), "state" (number), "constant" (number), "output" (number), "block" (number), or "object": a
    Python object (strings) kept under the number for one run."""

    kind: str
    number: int


class JumpTo(NamedTuple):
    """Go on at step `target` where the bool scalar `value` is `on`."""

    value: Value
    on: bool
    target: int


class Measuring(NamedTuple):
    """The size `symbol`, from 0 to `limit`, gets the value of the int64 scalar `value`. `tentative`: a larger one is nothing unusual."""

    symbol: str
    limit: Index
    value: Value
    tentative: bool


class RowAt(NamedTuple):
    """The values at Location("row", number) are row `at` of `array`, which has `rows` rows. `check`: what is wrong with other numbers."""

    number: int
    array: Value
    at: Value
    rows: Index
    check: Check


class Step(NamedTuple):
    """One kernel call; without a kernel a jump, the measuring of a size, the finding of a row, or one call of Python. `weight`: how often
    it is expected to run. `what`: for people, where it is not what the group computes."""

    number: int
    group: Group
    lowered: Lowered | None
    jump: JumpTo | None = None
    weight: float = 1.0
    measuring: Measuring | None = None
    row: RowAt | None = None
    what: str = ""

    @property
    def name(self) -> str:
        """A name for people: the number, and the scope of what is computed."""
        what = self.what or next((NO_WORD.sub("_", o.name)[:60] for o in reversed(self.group.origins)), self.group.form.value)
        return f"k{self.number}_{what}"

    @property
    def checks(self) -> tuple[Check, ...]:
        """The run-time checks of the kernel."""
        if self.row is not None:
            return (self.row.check,)
        return () if self.lowered is None else self.lowered.kernel.checks

    @property
    def may_begin_again(self) -> bool:
        """Whether a run may turn out here to need more memory, or another Program."""
        return self.measuring is not None and self.measuring.tentative or any(c.error == "Overrun" for c in self.checks)


class ArenaBlock(NamedTuple):
    """A block with its symbolic size: bytes of what it holds in turn, from step `first` to step `last`."""

    size: Index
    first: int
    last: int
    holds: str


class Argument(NamedTuple):
    """One argument of a kernel call: kind "feed", "state", "constant", "output" or "arena" with a number or a byte offset, "size" with
    the number itself, "measured" with the number of a size that depends on data, "row" with that of a BoundRow, "status" with the address
    of the call's status block."""

    kind: str
    value: int


STATUS = Argument("status", 0)


class BoundCall(NamedTuple):
    """A kernel call with its arguments; `kernel` is the number of the kernel among CompiledProgram.kernels."""

    kernel: int
    arguments: tuple[Argument, ...]
    parallel: tuple[bool, ...]
    barrier: bool


class BoundLink(NamedTuple):
    """How a call and the next one run share by share, and what passes between them."""

    link: Link
    passed: Passed


class HostArgument(NamedTuple):
    """An operand or result of a call of Python: where it is, and what it looks like."""

    place: Argument
    shape: tuple[Index, ...]  # symbolic only in sizes that depend on data
    dtype: DType


class HostCall(NamedTuple):
    """A call of `op.run`."""

    op: Op
    inputs: tuple[HostArgument, ...]
    outputs: tuple[HostArgument, ...]


class BoundJump(NamedTuple):
    """Go on at call `target` where the byte at `place` is `on`, at the next call otherwise. `target` is a number among BoundPlan.calls, or
    their count: the end; it may lie ahead (a branch) or behind (a loop)."""

    place: Argument
    on: bool
    target: int


class BoundMeasuring(NamedTuple):
    """From here on the size `number` is what the int64 at `place` says, which must not be above `limit`."""

    place: Argument
    number: int
    limit: int


class BoundRow(NamedTuple):
    """From here on the argument Argument("row", number) is the address of the row of the array at `place` whose number is at `at` (an
    int64 if `wide`). It has `rows` rows of `size` bytes."""

    place: Argument
    at: Argument
    wide: bool
    rows: int
    size: int
    number: int


PlanCall = BoundCall | HostCall | BoundJump | BoundMeasuring | BoundRow


class OutputPlace(NamedTuple):
    """What a fetched tensor is: computed into a fresh array of this shape, or contents known already. `measured`: its sizes, where some of
    them depend on data; then `shape` is one that has room for all its elements."""

    shape: tuple[int, ...]
    dtype: DType
    known: np.ndarray[Any, Any] | None
    measured: tuple[Index, ...] | None = None


class Touched:
    """Memory: whole variables, feeds and outputs by kind and number, and parts of the arena from a byte to another."""

    __slots__ = ("whole", "spans")

    def __init__(self) -> None:
        self.whole: set[tuple[str, int]] = set()
        self.spans: list[tuple[int, int]] = []

    def add(self, other: Touched) -> None:
        """This and the other."""
        self.whole |= other.whole
        self.spans += other.spans

    @property
    def updates(self) -> bool:
        """Whether a variable is among it."""
        return any(kind == "state" for kind, _ in self.whole)

    def meets(self, other: Touched) -> bool:
        """Whether some byte belongs to both."""
        if not self.whole.isdisjoint(other.whole):
            return True
        for begin, end in self.spans:
            for first, last in other.spans:
                if begin < last and first < end:
                    return True
        return False
