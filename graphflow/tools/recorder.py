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

from graphflow.runtime.trace import Trace
from graphflow.runtime.tracing import trace_everything

Array = np.ndarray[Any, Any]


class Lap(NamedTuple):
    """One thread's time in one call of a step: seconds since the step began. In a loop: from its first time on, `times` times."""

    call: int
    thread: int
    start: float
    end: float
    times: int


class Signature:
    """A compiled signature (fetches, feeds) and the times of its calls, summed over all runs with one binding of its sizes.

    seconds   for each call the time that it advanced the steps by: from when the call before it was done until it was done itself, waiting
              for its first thread left out. So they add up to no more than the steps, although calls may overlap on several threads.
    times     how often it was called
    threads   most threads that took part in it
    """

    def __init__(self, bound: Any) -> None:
        self.bound = bound
        self.compiled = bound.compiled
        count = len(bound.calls)
        self.runs = 0
        self.seconds = np.zeros(count)
        self.times = np.zeros(count, np.int64)
        self.threads = np.zeros(count, np.int64)
        self.wall = 0.0
        self._called: list[tuple[int, float, float]] = []  # calls of Python since the last run ended
        self._last: list[tuple[Array, Array, Array, Array]] = []  # of the last run: calls, and [call, thread] begin, end, times

    def python(self, number: int, start: float, end: float) -> None:
        """Notes a call of Python in the run that is going on."""
        self._called.append((number, start, end))

    def ran(self, timing: Any, start: float) -> None:
        """Notes a run that began at `start` and has just ended."""
        self.runs += 1
        self._last = []
        for number, begin, end in self._called:
            if begin >= start:  # an earlier one is of a run that failed
                self.seconds[number] += end - begin
                self.wall += end - begin
                self.times[number] += 1
                self.threads[number] = 1
                self._last.append((np.array([number]), np.array([[begin - start]]), np.array([[end - start]]), np.array([[1]])))
        self._called = []
        reached = timing.times.any(axis=1)
        if not reached.any():
            return
        begins, busy, times, calls = timing.start[reached], timing.busy[reached], timing.times[reached], timing.calls[reached]
        ends = begins + busy
        begin, end, often = np.nanmin(begins, axis=1), np.nanmax(ends, axis=1), times.max(axis=1)
        done = np.maximum.accumulate(end)
        before = np.concatenate(([0.0], done[:-1]))
        advanced = np.where(often > 1, busy.max(axis=1), np.maximum(end - np.maximum(begin, before), 0.0))
        np.add.at(self.seconds, calls, advanced)
        self.wall += max(float(done[-1]), float(advanced.sum()))
        most = np.zeros(len(self.times), np.int64)
        np.maximum.at(most, calls, often)
        self.times += most
        np.maximum.at(self.threads, calls, (times > 0).sum(axis=1))
        self._last.append((calls, begins, ends, times))

    @property
    def laps(self) -> list[Lap]:
        """The calls of the last run, thread by thread."""
        return [
            Lap(int(call), thread, float(start), float(end), int(count))
            for calls, *rows in self._last
            for call, row_begins, row_ends, row_times in zip(calls, *rows, strict=True)
            for thread, (start, end, count) in enumerate(zip(row_begins, row_ends, row_times, strict=True))
            if count
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
