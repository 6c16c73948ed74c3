"""What the executor is given to run: a list of calls, jumps, measurings and pauses (runtime/layout.py has their native form)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Slot(NamedTuple):
    """An argument that is known at the run only: the address of array `number` of that run, plus `offset` bytes."""

    number: int
    offset: int = 0


class Status:
    """The argument that is the address of the call's own status block."""

    def __repr__(self) -> str:
        return "STATUS"


STATUS = Status()


class Size(NamedTuple):
    """An argument that is known only in the middle of a run: the size `number`, which a Measure before the call gives its value."""

    number: int


class Row(NamedTuple):
    """An argument that changes in a run: the address of the row that the Find `number` has found last."""

    number: int


Argument = int | Slot | Size | Row | Status


NOTHING = 0  # the function of a phase that is done in another call's chain


class Link(NamedTuple):
    """A phase of a kernel in a Chain. moved: arguments that are addresses of buffers of which each thread has a share of its own, with the
    bytes of a share."""

    function: int
    arguments: Sequence[Argument]
    moved: Sequence[tuple[int, int]] = ()


class Chain(NamedTuple):
    """A phase that is phases of two calls: a thread does a share of the first, the same share of the second, then its next share. The
    second needs of the first only what the same share has made. In the other call NOTHING stands for its phase."""

    links: Sequence[Link]
    shares: int


class Call(NamedTuple):
    """One kernel with its arguments. Its phases are `functions`, all with the same arguments; threads meet after each but the last.

    parallel   for each phase whether all threads share it; otherwise `owner` runs it alone
    barrier    whether the next call needs what this one wrote (or may overwrite what it reads)
    cost       estimated seconds of one execution on one thread; None: an equal part of the plan's
    weight     how often it is expected to run in a step
    """

    functions: Sequence[int | Chain]
    arguments: Sequence[Argument]
    parallel: Sequence[bool]
    barrier: bool = True
    owner: int = 0
    cost: float | None = None
    weight: float = 1.0


class Jump(NamedTuple):
    """Go on at entry `target` of the list (its length is the end) where the byte at `place` is not zero, with `on` false where it is zero;
    otherwise at the next entry. Threads meet here, so what stands before needs no barrier. A failed step goes to the end."""

    place: int | Slot
    on: bool
    target: int
    weight: float = 1.0


class Measure(NamedTuple):
    """From here on the size `number` is what the int64 at `place` says. The step fails where that is above `limit`."""

    place: int | Slot
    number: int
    limit: int
    weight: float = 1.0


class Find(NamedTuple):
    """From here on the row `number` is the one of the array at `place` whose number stands at `at` (an int64 where `wide`, else an
    int32). A number that is not below `rows` fails the step: check 0, which shows it. `size`: bytes of a row."""

    place: int | Slot
    at: int | Slot
    wide: bool
    rows: int
    size: int
    number: int
    weight: float = 1.0


class Pause(NamedTuple):
    """Return to Python, which does something at this place. Threads have met before it and meet after it."""

    weight: float = 1.0


Entry = Call | Jump | Measure | Find | Pause
