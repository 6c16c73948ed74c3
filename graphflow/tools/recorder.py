"""Watches a program run: every compiled signature that runs, how often, and how long each of its kernels took.

    recorder = Recorder()
    with recording(recorder):
        run_program(...)
    for signature in recorder.signatures: ...
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from graphflow.runtime import layout
from graphflow.runtime.executor import Timing
from graphflow.runtime.trace import Trace
from graphflow.runtime.tracing import trace_everything

Array = np.ndarray[Any, Any]

PENDING = 1 << 21  # bytes of ticks that a signature keeps before it adds them up


class Lap(NamedTuple):
    """One thread's time in one call of a step: seconds since the step began. In a loop: from its first time on, `times` times."""

    call: int
    thread: int
    start: float
    end: float
    times: int


class Signature:
    """A compiled signature (fetches, feeds) and the times of its calls, summed over all runs with one binding of its sizes.

    A run only leaves its ticks here. They are added up when someone asks, or when they have become many: what a run pays for being
    watched stays small beside the shortest steps.
    """

    def __init__(self, bound: Any) -> None:
        self.bound = bound
        self.compiled = bound.compiled
        count = len(bound.calls)
        self.runs = 0
        self._seconds = np.zeros(count)
        self._times = np.zeros(count, np.int64)
        self._threads = np.zeros(count, np.int64)
        self._wall = 0.0
        self._called: list[tuple[int, float, float]] = []  # calls of Python since the last run ended
        self._pending: list[Timing] = []  # of runs that are not yet in the sums, `_most` at most
        self._most = 1
        self._last: tuple[Timing, float, list[tuple[int, float, float]]] | None = None  # the last run: its begin, its calls of Python

    def python(self, number: int, start: float, end: float) -> None:
        """Notes a call of Python in the run that is going on."""
        self._called.append((number, start, end))

    def ran(self, timing: Timing, start: float) -> None:
        """Notes a run that began at `start` and has just ended."""
        self.runs += 1
        self._last = timing, start, self._python_since(start) if self._called else []
        self._pending.append(timing)
        if len(self._pending) >= self._most:
            self._add_up()

    def _python_since(self, start: float) -> list[tuple[int, float, float]]:
        """The calls of Python in a run that began at `start`, taken into the sums."""
        called = [call for call in self._called if call[1] >= start]  # an earlier one is of a run that failed
        for number, begin, end in called:
            self._seconds[number] += end - begin
            self._wall += end - begin
            self._times[number] += 1
            self._threads[number] = 1
        self._called = []
        return called

    def _add_up(self) -> None:
        """Takes the pending runs into the sums, all at once: arrays are [run, record, thread], then [run, record]."""
        if not self._pending:
            return
        timing, ticks = self._pending[-1], np.stack([t.ticks for t in self._pending]).swapaxes(1, 2)
        moves = [t.moved for t in self._pending]
        self._most = 1 + PENDING // (1 + timing.ticks.nbytes)
        self._pending = []
        count = ticks[..., layout.Times.CALLS]
        first = np.where(count > 0, ticks[..., layout.Times.FIRST] / timing.rate, np.inf)
        busy = ticks[..., layout.Times.TOTAL] / timing.rate
        begin, end = first.min(axis=2), np.where(count > 0, first + busy, -np.inf).max(axis=2)
        often = count.max(axis=2)
        reached = often > 0
        started = begin.min(axis=1, keepdims=True)
        done = np.maximum.accumulate(end, axis=1)
        before = np.maximum(np.concatenate((started, done[:, :-1]), axis=1), begin, where=reached, out=np.zeros_like(begin))
        advanced = np.where(often > 1, busy.max(axis=2), np.maximum(np.subtract(end, before, where=reached, out=np.zeros_like(end)), 0.0))
        for run, each in enumerate(moves):
            for chain, other, part in each:
                moved = advanced[run, chain] * part.sum() / max(ticks[run, chain, :, layout.Times.TOTAL].sum(), 1)
                advanced[run, chain] -= moved
                advanced[run, other] += moved
        ran = reached.any(axis=1)
        self._wall += float(np.maximum(done[ran, -1] - started[ran, 0], advanced[ran].sum(axis=1)).sum())
        heads = np.flatnonzero(np.diff(timing.calls, prepend=-1))  # the first record of each call
        calls = timing.calls[heads]
        self._seconds[calls] += np.add.reduceat(advanced.sum(axis=0), heads)
        self._times[calls] += np.maximum.reduceat(often, heads, axis=1).sum(axis=0)
        took_part = np.maximum.reduceat((count > 0).sum(axis=2).max(axis=0), heads)
        self._threads[calls] = np.maximum(self._threads[calls], took_part)

    @property
    def seconds(self) -> Array:
        """For each call the time that it advanced the steps by: from when the call before it was done until it was done itself, waiting
        for its first thread left out. So they add up to no more than the steps, although calls may overlap on several threads."""
        self._add_up()
        return self._seconds

    @property
    def times(self) -> Array:
        """How often each call was made."""
        self._add_up()
        return self._times

    @property
    def threads(self) -> Array:
        """Most threads that took part in each call."""
        self._add_up()
        return self._threads

    @property
    def wall(self) -> float:
        """Seconds of all runs."""
        self._add_up()
        return self._wall

    @property
    def laps(self) -> list[Lap]:
        """The calls of the last run, thread by thread."""
        if self._last is None:
            return []
        timing, start, called = self._last
        return [Lap(number, 0, begin - start, end - start, 1) for number, begin, end in called] + [
            Lap(int(timing.calls[record]), thread, begin, begin + busy, times)
            for record, row in enumerate(zip(timing.start.tolist(), timing.busy.tolist(), timing.times.tolist(), strict=True))
            for thread, (begin, busy, times) in enumerate(zip(*row, strict=True))
            if times
        ]

    @property
    def mean(self) -> Array:
        """Mean seconds that each call takes in a run, all its rounds together."""
        return self.seconds / max(self.runs, 1)


class Recorder(Trace):
    """A trace that keeps sums by signature instead of spans: a program may make millions of calls."""

    def __init__(self) -> None:
        super().__init__()
        self._signatures: dict[int, Signature] = {}

    @property
    def signatures(self) -> list[Signature]:
        """Those that ran, the one that took longest first."""
        return sorted(self._signatures.values(), key=lambda s: -s.wall)

    @property
    def in_order(self) -> list[Signature]:
        """Those that ran, in the order of their first runs."""
        return list(self._signatures.values())

    def of(self, launch: Any) -> Signature:
        """The signature of a launch."""
        signature = self._signatures.get(id(launch.bound))
        if signature is None:
            signature = self._signatures[id(launch.bound)] = Signature(launch.bound)
        return signature

    def python(self, launch: Any, number: int, start: float, end: float) -> None:
        self.of(launch).python(number, start, end)

    def native(self, launch: Any, timing: Any, start: float) -> None:
        self.of(launch).ran(timing, start)


@contextmanager
def recording(recorder: Recorder) -> Iterator[Recorder]:
    """Sessions that are made in the block note their runs in `recorder`."""
    trace_everything(recorder)
    try:
        yield recorder
    finally:
        trace_everything(None)
