"""The workers of the executor: how many, how they start and sleep, and how they survive fork and the end of the interpreter.

A worker is a Python thread that enters native code at once and stays there (runtime/driver.py), without the interpreter's lock. Between
two steps it spins for a fraction of a millisecond and then sleeps in the kernel, so that an idle process costs nothing. Workers start with
the first plan that is worth them. They are sent away before the process forks and before the interpreter ends; whoever runs a plan
afterwards gets new ones, or none.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import sys
import threading
import time
from weakref import WeakSet

import numpy as np

from graphflow.config import options
from graphflow.runtime import driver, layout
from graphflow.runtime.buffers import address, aligned
from graphflow.runtime.jit import Jit
from graphflow.runtime.room import start_thread

SPIN = 200e-6  # seconds a worker waits awake for the next step: what a wake can cost, and what a program takes to prepare a step
PATIENCE = 5e-6  # seconds a thread waits awake at a barrier
LONGEST_REST = 63  # steps that a plan is run alone at a time where other processes have the cores
STOP_PATIENCE = 2.0  # seconds that fork and exit wait for a running step
STOP_ATTEMPT = 100  # pauses between two looks at the clock


class Pool:
    """The caller's thread and `threads` - 1 workers. One step at a time has the workers; another thread's step then runs alone."""

    def __init__(self, jit: Jit, threads: int | None = None, spin: float = SPIN, parking: str = "auto", back_off: bool = True) -> None:
        wanted = options().threads if threads is None else threads
        triple = jit.target.triple
        self.parking = _choose_parking(parking, layout.architecture(triple))
        self.threads = min(wanted, layout.MAX_THREADS) if self.parking != layout.Pool.PARK_NEVER else 1
        self.code = jit.compile(driver.driver_key(triple), lambda: driver.driver_text(triple), driver.FUNCTIONS)
        self.running = False
        self._lock = threading.Lock()
        self._worker = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(self.code["graphflow.worker"])
        self._stop = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(self.code["graphflow.stop"])
        clock = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(self.code["graphflow.pauses"])
        self.clock = clock
        self.block = aligned((layout.Pool.THREADS + self.threads * layout.Pool.THREAD_WORDS,), np.int64, 0)
        self.address = address(self.block)
        self._files: list[int] = []
        pauses_per_second = _measure_pauses(clock)
        self.block[layout.Pool.PAUSES] = max(1, int(spin * pauses_per_second))
        self.block[layout.Pool.PATIENCE] = max(1, int(PATIENCE * pauses_per_second))
        self.block[layout.Pool.LONGEST_REST] = LONGEST_REST if back_off else 0
        self._link_system()
        _pools.add(self)

    def start(self) -> None:
        """Create the workers, unless they are there. Where the system refuses threads there are fewer, or none."""
        with self._lock:
            if self.running or _ending:
                return
            self.running = True
            if self.parking == layout.Pool.PARK_PIPE:
                self._open_files()
            started = 0
            for thread in range(1, self.threads):
                try:
                    start_thread(self._live, thread)
                except RuntimeError:
                    break
                started += 1
            self.block[layout.Pool.WORKERS] = started

    def stop(self, patience: float | None = None) -> bool:
        """Send the workers away and wait for that; False where a step kept them busy for too long. They come back when needed."""
        end = time.monotonic() + (STOP_PATIENCE if patience is None else patience)
        with self._lock:
            workers, self.block[layout.Pool.WORKERS] = self.workers, 0  # from now on steps run alone
            while self.running and not self._stop(self.address, workers, STOP_ATTEMPT):
                if time.monotonic() > end:
                    self.block[layout.Pool.WORKERS] = workers
                    return False
                time.sleep(1e-4)
            self.running = False
            self._close_files()
            return True

    @property
    def workers(self) -> int:
        """How many workers there are now."""
        return int(self.block[layout.Pool.WORKERS])

    def _live(self, thread: int) -> None:
        self._worker(self.address, thread)

    def _link_system(self) -> None:
        """Tell the native code where the system's functions are."""
        if self.parking == layout.Pool.PARK_NEVER:
            return
        libc = ctypes.CDLL(None)
        wait, wake = ("syscall", "syscall") if self.parking == layout.Pool.PARK_FUTEX else ("read", "write")
        for word, name in ((layout.Pool.YIELD, "sched_yield"), (layout.Pool.WAIT, wait), (layout.Pool.WAKE, wake)):
            self.block[word] = ctypes.cast(getattr(libc, name), ctypes.c_void_p).value
        self.block[layout.Pool.PARKING] = self.parking

    def _open_files(self) -> None:
        for thread in range(1, self.threads):
            wait, wake = os.pipe()
            os.set_blocking(wake, False)  # a wake too many must not stop the caller
            line = layout.Pool.THREADS + thread * layout.Pool.THREAD_WORDS
            self.block[line + layout.Pool.JOB_WAIT_FILE], self.block[line + layout.Pool.JOB_WAKE_FILE] = wait, wake
            self._files += [wait, wake]

    def _close_files(self) -> None:
        while self._files:
            os.close(self._files.pop())

    def _reset(self) -> None:
        """In the child of a fork, where no worker lives and a step may have been cut off anywhere."""
        self._lock = threading.Lock()
        self.running = False
        self._close_files()
        self.block[layout.Pool.WORKERS] = self.block[layout.Pool.BUSY] = 0
        self.block[layout.Pool.THREADS :].fill(0)


def _choose_parking(wanted: str, machine: str) -> int:
    """How workers sleep: "futex", "pipe" (any POSIX system), or "auto", the best there is."""
    if os.name != "posix":
        return layout.Pool.PARK_NEVER  # no native way to sleep is known here: the caller works alone
    futex = sys.platform == "linux" and sys.byteorder == "little" and machine in layout.FUTEX_CALL
    if wanted == "pipe" or not futex:
        return layout.Pool.PARK_PIPE
    return layout.Pool.PARK_FUTEX


def _measure_pauses(clock: ctypes._FuncPointer) -> float:
    """Pauses a second: a pause takes from one to 140 cycles, depending on the CPU. The best of some attempts, 0.1 ms in all."""
    best = float("inf")
    for _ in range(4):
        start = time.perf_counter()
        clock(500)
        best = min(best, time.perf_counter() - start)
    return 500 / best


# -- the life of the process ---------------------------------------------------------------------------------------------------------

_pools: WeakSet[Pool] = WeakSet()
_ending = False


def _before_fork() -> None:
    for pool in list(_pools):
        pool.stop()


def _after_fork_in_child() -> None:
    for pool in list(_pools):
        pool._reset()


def _at_exit() -> None:
    """The interpreter takes its memory apart after this: nobody may be running in it."""
    global _ending
    _ending = True
    for pool in list(_pools):
        pool.stop()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)
