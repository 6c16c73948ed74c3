"""Runs bound plans: one native call a step, in which every thread walks the same list of kernel calls."""

from __future__ import annotations

import ctypes
import struct
import threading
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from graphflow.config import options
from graphflow.runtime import driver
from graphflow.runtime.buffers import HEAD, Array, address, aligned
from graphflow.runtime.jit import Jit, default_jit
from graphflow.runtime.threads import SPIN, Pool

WORTH_A_THREAD = 4e-6  # seconds of work that pay for waking a thread and meeting it at the barriers
HOLD_LOCK = 20e-6  # seconds of work below which giving up the interpreter's lock costs more than it is worth


class Slot(NamedTuple):
    """An argument that is known at the run only: the address of array `number` of that run, plus `offset` bytes."""

    number: int
    offset: int = 0


class _Status:
    """The argument that is the address of the call's own status block."""

    def __repr__(self) -> str:
        return "STATUS"


STATUS = _Status()
Argument = int | Slot | _Status


class Call(NamedTuple):
    """One kernel with its arguments. Its phases are `functions`, all with the same arguments; threads meet after each but the last.

    parallel   for each phase whether all threads share it; otherwise `owner` runs it alone
    barrier    whether the next call needs what this one wrote (or may overwrite what it reads)
    """

    functions: Sequence[int]
    arguments: Sequence[Argument]
    parallel: Sequence[bool]
    barrier: bool = True
    owner: int = 0


class Failure(NamedTuple):
    """What a run-time check reported: which call of the plan, which of its kernel's checks, and the value it wants shown."""

    call: int
    check: int
    value: int


class Timing(NamedTuple):
    """When each thread entered and left each native record, in seconds since the first entry: start and end are [record, thread]
    (NaN where the thread had no part in it), and `calls[record]` is the number of the call it belongs to."""

    start: Array
    end: Array
    calls: Array


class NativePlan:
    """A list of calls in native form. Made by `Executor.plan`; run by one thread at a time (hold `lock` where there may be several).

    After a failed check no record behind the next barrier is executed, so a call that updates a variable must stand behind a barrier
    that follows every call that can fail, if a failed step is to leave variables alone.
    """

    def __init__(self, executor: Executor, calls: Sequence[Call], slots: int, cost: float, keep: Sequence[object], flush: bool) -> None:
        self.executor = executor
        self.lock = threading.Lock()
        self.cost = cost
        self.keep = tuple(keep)
        self.slots = slots
        self._pool = executor.pool
        self._build(calls)
        flushing, pool, head = int(flush), self._pool.address, HEAD
        self.threads = max(1, min(self._pool.threads, int(cost / WORTH_A_THREAD)))
        self._block = aligned((driver.PLAN_WORDS,), np.int64, 0)
        self._block[: driver.PLAN_HEAD + 1] = (
            address(self._records), len(self._records), self.threads, 0, flushing, pool, executor.walk, 0,
            address(self._table), address(self._patches), len(self._patches), head,
        )  # fmt: skip
        self._address = ctypes.c_void_p(address(self._block))
        self._enter = executor.enter_locked if self.threads == 1 and cost < HOLD_LOCK else executor.enter
        self._slots: Any = self._table.data
        self._pack = struct.Struct(f"={slots}q").pack_into
        self._wants_workers = self.threads > 1

    def _build(self, calls: Sequence[Call]) -> None:
        records: list[tuple[int, int, int, int]] = []
        owners: list[int] = []
        self._arguments = aligned((sum(len(call.arguments) for call in calls) + 1,), np.int64, 0)
        self._statuses = aligned((len(calls), 8), np.int64, 0)
        first, first_status = address(self._arguments), address(self._statuses)
        patches: list[tuple[int, int, int]] = []
        position = 0
        for number, call in enumerate(calls):
            block = first + position * driver.WORD
            status = 0
            for argument in call.arguments:
                if isinstance(argument, Slot):
                    if not 0 <= argument.number < self.slots:
                        raise ValueError(f"call {number} uses slot {argument.number}, the plan has {self.slots}")
                    patches.append((first + position * driver.WORD, argument.number, argument.offset))
                elif isinstance(argument, _Status):
                    status = first_status + number * 8 * driver.WORD
                    self._arguments[position] = status
                else:
                    self._arguments[position] = argument
                position += 1
            last = len(call.functions) - 1
            for phase, (function, parallel) in enumerate(zip(call.functions, call.parallel, strict=True)):
                flags = (driver.PARALLEL if parallel else 0) | call.owner << driver.OWNER_SHIFT
                if phase < last or (call.barrier and number < len(calls) - 1):  # all threads meet after the last one anyway
                    flags |= driver.BARRIER
                records.append((function, block, flags, status))
                owners.append(number)
        self._records = aligned((len(records), driver.RECORD_WORDS), np.int64)
        self._records[...] = np.array(records, np.int64).reshape(-1, driver.RECORD_WORDS)
        self._patches = aligned((len(patches), driver.PATCH_WORDS), np.int64)
        self._patches[...] = np.array(patches, np.int64).reshape(-1, driver.PATCH_WORDS)
        self._table = aligned((max(self.slots, 1),), np.int64, 0)
        self._owners = np.array(owners, np.int64)

    def run(self, arrays: Sequence[Array] = ()) -> Failure | None:
        """Run one step on the arrays of the slots (dense, of the right type and size: nothing is checked here)."""
        if self._wants_workers and not self._pool.running:
            self._pool.start()
        self._pack(self._slots, 0, *map(_handle, arrays))
        record = self._enter(self._address)
        return self._failure(record) if record else None

    def _failure(self, record: int) -> Failure:
        """Read the status block of the call that failed, and clean all of them for the next run."""
        call = int(self._owners[record - 1])
        check, value = (int(word) for word in self._statuses[call, :2])
        self._statuses.fill(0)
        return Failure(call, check - 1, value)

    def run_timed(self, arrays: Sequence[Array] = ()) -> tuple[Failure | None, Timing]:
        """`run`, and when every thread was in every record."""
        times = aligned((len(self._records), self._pool.threads, 2), np.int64, 0)
        self._block[driver.PLAN_WALK], self._block[driver.PLAN_TIMES] = self.executor.walk_timed, address(times)
        try:
            failure = self.run(arrays)
        finally:
            self._block[driver.PLAN_WALK], self._block[driver.PLAN_TIMES] = self.executor.walk, 0
        threads = int(self._block[driver.PLAN_USED])  # 1 where another thread's step had the workers
        ticks = times.reshape(-1, 2)[: len(self._records) * threads].reshape(-1, threads, 2)
        seconds = ticks / self.executor.ticks_per_second()
        seconds[ticks[..., 0] == 0] = np.nan
        if len(seconds) and not np.isnan(seconds).all():
            seconds -= np.nanmin(seconds)
        return failure, Timing(seconds[..., 0], seconds[..., 1], self._owners)


class Executor:
    """Makes and runs plans with one pool of workers."""

    def __init__(
        self,
        jit: Jit,
        threads: int | None = None,
        *,
        spin: float = SPIN,
        parking: str = "auto",
        back_off: bool = True,
        flush_denormals: bool = True,
    ) -> None:
        """`threads` is the caller's thread and the workers; None takes the options'. `spin`: seconds a worker waits awake for the next
        step. `parking`: how it sleeps then ("auto", "futex", "pipe"). `back_off`: leave the workers out where other processes take
        their cores. `flush_denormals`: treat denormal floats as zero inside kernels, as TensorFlow does."""
        self.jit = jit
        self.flush_denormals = flush_denormals
        self.pool = Pool(jit, threads, spin, parking, back_off)
        code = self.pool.code
        self.walk, self.walk_timed = code["graphflow.walk"], code["graphflow.walk_timed"]
        enter = code["graphflow.enter"]
        self.enter: Any = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(enter)
        self.enter_locked: Any = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(enter)
        self._ticks_per_second = 0.0

    @property
    def threads(self) -> int:
        """How many threads a plan may use, the caller's included."""
        return self.pool.threads

    def plan(
        self, calls: Sequence[Call], slots: int = 0, cost: float = 1.0, keep: Sequence[object] = (), flush: bool | None = None
    ) -> NativePlan:
        """The native form of `calls`.

        slots   how many arrays a run is given
        cost    estimated seconds of one run on one thread: short plans run on the calling thread only
        keep    objects that the addresses among the arguments belong to: Code, arenas, constants
        flush   whether denormal floats count as zero; the executor's setting where it is None
        """
        return NativePlan(self, calls, slots, cost, keep, self.flush_denormals if flush is None else flush)

    def run(self, plan: NativePlan, arrays: Sequence[Array] = ()) -> Failure | None:
        """Run one step of `plan`."""
        return plan.run(arrays)

    def close(self) -> None:
        """Send the workers away. Plans stay usable: the next one that is worth threads starts new workers."""
        self.pool.stop()

    def ticks_per_second(self) -> float:
        """The rate of the clock that `run_timed` reads, measured once."""
        if not self._ticks_per_second:
            start, first = time.perf_counter(), self.pool.clock(0)
            while (elapsed := time.perf_counter() - start) < 2e-3:
                pass
            self._ticks_per_second = (self.pool.clock(0) - first) / elapsed
        return self._ticks_per_second


@lru_cache(maxsize=4)
def _executor_for(jit: Jit, threads: int) -> Executor:
    return Executor(jit, threads)


def default_executor() -> Executor:
    """The executor of the options in force; the same one every time."""
    return _executor_for(default_jit(), options().threads)


_handle = id if HEAD >= 0 else address
