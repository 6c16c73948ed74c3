"""What this machine can do: fused multiply-adds per second of one core and of all, bytes per second from each level of memory, and how long
a cache line takes from one core to another and back.

The loops are built with the compiler's own IR builder, so the peak is the peak of code that graphflow could emit.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from graphflow.compiler.llvm.builder import FunctionBuilder, Reg, module
from graphflow.compiler.llvm.target import target
from graphflow.config import options
from graphflow.runtime.buffers import address, aligned
from graphflow.runtime.jit import default_jit
from graphflow.runtime.walk import Native

ACCUMULATORS = 24
SAMPLES = {"l2": 1 << 20, "l3": 16 << 20, "dram": 256 << 20}  # bytes that are read again and again; a smaller level is not counted
FUNCTIONS = ("graphflow.peak.fma", "graphflow.peak.read", "graphflow.peak.hand")
ROUNDS = 20_000
HANDED, HANDINGS = 500, 20  # times that a line is handed over and back in one measurement, and measurements


class Machine(NamedTuple):
    """Rates of `threads` threads together: floating-point operations a second, and bytes a second out of each level of memory.
    `sizes`: bytes of the levels, for one core where each has its own. `lanes`: float32 numbers in a vector. `handing`: seconds for a cache
    line from one core to another and back, 0 for one thread: hosts move the cores of a virtual machine closer or further apart."""

    threads: int
    lanes: int
    flops: float
    core_flops: float
    l2: float
    l3: float
    dram: float
    sizes: dict[str, int]
    handing: float = 0.0

    def level(self, working_set: float) -> tuple[str, float]:
        """Where that many bytes stay between two uses, and the rate of that level: "L2", "L3" or "DRAM"."""
        if working_set <= self.sizes["l2"] * self.threads:
            return "L2", self.l2
        return ("L3", self.l3) if working_set <= self.sizes["l3"] else ("DRAM", self.dram)


def fma_loop(lanes: int) -> FunctionBuilder:
    """`count` rounds of independent multiply-adds on `lanes` floats."""
    b = FunctionBuilder(FUNCTIONS[0], [("ptr", "data"), ("i64", "count")])
    type_ = f"<{lanes} x float>"
    x = b.load(type_, b.params[0])
    start = [b.load(type_, b.element(b.params[0], b.i64(k * lanes), "float")) for k in range(ACCUMULATORS)]
    with b.loop("i", b.i64(0), b.params[1], b.i64(1), start) as loop:
        loop.carried = [b.fma(x, x, c) for c in loop.carried]
    for k, c in enumerate(loop.results):
        b.store(c, b.element(b.params[0], b.i64(k * lanes), "float"))
    return b


def read_loop(lanes: int) -> FunctionBuilder:
    """Read `count` floats in steps of eight vectors."""
    b = FunctionBuilder(FUNCTIONS[1], [("ptr", "data"), ("i64", "count")])
    type_ = f"<{lanes} x float>"
    with b.loop("i", b.i64(0), b.params[1], b.i64(8 * lanes), [b.constant(0.0, type_)] * 8) as loop:
        vectors = [b.load(type_, b.element(b.params[0], b.add(loop.index, b.i64(k * lanes)), "float")) for k in range(8)]
        loop.carried = [b.binary("fadd", c, v) for c, v in zip(loop.carried, vectors, strict=True)]
    total: Reg = loop.results[0]
    for c in loop.results[1:]:
        total = b.binary("fadd", total, c)
    b.store(total, b.params[0])
    return b


def hand_loop() -> FunctionBuilder:
    """Two threads add to one word in turn, `count` times each: `data` holds its address and the number that the thread begins at."""
    b = Native("", FUNCTIONS[2], [("ptr", "data"), ("i64", "count")])
    line, first = b.get(b.params[0], 0, "ptr"), b.get(b.params[0], 1)
    with b.loop("i", b.i64(0), b.params[1], b.i64(1)) as loop:
        mine = b.add(b.mul(loop.index, b.i64(2)), first)
        wait, go = b.label("wait"), b.label("go")
        b.branch(wait)
        b.start(wait)
        b.branch_if(b.compare("icmp eq", b.get_atomic(line, "acquire"), mine), go, wait)
        b.start(go)
        b.put_atomic(line, b.add(mine, b.i64(1)), "release")
    return b


def _times(function: Any, where: int, count: int, seconds: float) -> list[float]:
    """How long each of several calls took: of as many as fit into `seconds`, of one at least."""
    found, end = [], time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        function(where, count)
        now = time.perf_counter()
        found.append(now - start)
        if now > end:
            return found


def _together(threads: int, work: Callable[[], float]) -> float:
    """The longest time among threads that do `work()` at once (ctypes releases the interpreter's lock)."""
    times = [0.0] * threads

    def body(k: int) -> None:
        times[k] = work()

    pool = [threading.Thread(target=body, args=(k,)) for k in range(threads)]
    for t in pool:
        t.start()
    for t in pool:
        t.join()
    return max(times)


def cache_sizes(root: str = "/sys/devices/system/cpu/cpu0/cache") -> dict[str, int]:
    """Bytes of the second and third level cache, as the system tells; usual sizes where it does not."""
    found = {"l2": 1 << 20, "l3": 16 << 20}
    for index in sorted(Path(root).glob("index*")):
        try:
            level, size = (index / "level").read_text().strip(), (index / "size").read_text().strip()
            found[f"l{level}"] = int(size[:-1]) << {"K": 10, "M": 20}[size[-1]]
        except (OSError, ValueError, KeyError):
            continue
    return {"l2": found["l2"], "l3": max(found["l3"], found["l2"])}


def _loops() -> tuple[int, Any, Any, Any]:
    """Floats in a vector, and the three loops in machine code."""
    lanes = target(options().target).vector_bytes // 4

    def text() -> str:
        return module([fma_loop(lanes), read_loop(lanes), hand_loop()])

    code = default_jit().compile(f"machine's peak, {lanes} lanes", text, FUNCTIONS)
    types = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)
    fma, read, hand = (types(code[name]) for name in FUNCTIONS)
    return lanes, fma, read, hand


def peak_flops(threads: int, seconds: float, of: Callable[[list[float]], float] = min) -> float:
    """What the cores do now, in floating-point operations a second: clocks change with what goes on around. `of`: which of the times counts
    that a tenth of a millisecond's work takes again and again; a program that runs just now meets their median. Takes `seconds`."""
    lanes, fma, _, _ = _loops()
    scratch = [aligned((lanes * ACCUMULATORS,), np.float32, 0) for _ in range(threads)]
    turns: Iterator[Any] = iter(scratch)
    once = _together(threads, lambda: of(_times(fma, address(next(turns)), ROUNDS, seconds)))
    return threads * 2.0 * lanes * ACCUMULATORS * ROUNDS / once


def handing(threads: int) -> float:
    """Seconds for a cache line from one core to another and back, the least of several measurements; 0 for one thread. Takes 5 ms, and as
    long as the system keeps one of two threads waiting."""
    if min(threads, available()) < 2:
        return 0.0
    *_, hand = _loops()
    lines = aligned((HANDINGS, 8), np.int64, 0)  # one of its own for each measurement: a thread may be late for it
    turns = iter((0, 1))

    def work() -> float:
        first, least = next(turns), float("inf")
        for k in range(HANDINGS):
            data = np.array([address(lines) + 64 * k, first], np.int64)
            start = time.perf_counter()
            hand(address(data), HANDED)
            least = min(least, time.perf_counter() - start)
        return least

    return _together(2, work) / HANDED


def measure(threads: int, seconds: float = 0.1) -> Machine:
    """Measures for `threads` threads; takes about eight times `seconds`."""
    lanes, _, read, _ = _loops()
    one, every = peak_flops(1, seconds), peak_flops(threads, seconds)
    sizes = cache_sizes()
    rates: dict[str, float] = {}
    for name, size in SAMPLES.items():
        size = min(size, sizes[name] // 2) if name in sizes else size
        count = size // 4 // threads // (8 * lanes) * (8 * lanes) if name == "dram" else size // 4 // (8 * lanes) * (8 * lanes)
        whole = aligned((count * (1 if name == "l3" else threads),), np.float32, 0)
        starts = iter([address(whole) + (0 if name == "l3" else 4 * count * k) for k in range(threads)])
        rates[name] = 4.0 * count * threads / _together(threads, lambda s=starts, n=count: min(_times(read, next(s), n, seconds)))  # type: ignore[misc]
    return Machine(threads, lanes, every, one, rates["l2"], rates["l3"], rates["dram"], sizes, handing(threads))


@lru_cache(maxsize=4)
def measured(threads: int) -> Machine:
    """`measure`, once in a process."""
    return measure(threads)


def available() -> int:
    """CPUs that may be used."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
