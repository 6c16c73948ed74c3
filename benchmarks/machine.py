"""What this machine can do: fused multiply-adds per second of one core and of all, and bytes per second from L2, L3 and DRAM.

The loops are built with the compiler's own IR builder, so the peak is the peak of code that graphflow could emit.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from typing import Any

import llvmlite.binding as llvm
import numpy as np

from graphflow.compiler.llvm.builder import FunctionBuilder, Reg, module

ACCUMULATORS = 24


def fma_loop(lanes: int) -> FunctionBuilder:
    """`count` rounds of independent multiply-adds on `lanes` floats."""
    b = FunctionBuilder("fma", [("ptr", "data"), ("i64", "count")])
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
    b = FunctionBuilder("read", [("ptr", "data"), ("i64", "count")])
    type_ = f"<{lanes} x float>"
    zero = b.constant(0.0, type_)
    with b.loop("i", b.i64(0), b.params[1], b.i64(8 * lanes), [zero] * 8) as loop:
        vectors = [
            b.load(type_, b.element(b.params[0], b.add(loop.index, b.i64(k * lanes)), "float")) for k in range(8)
        ]
        loop.carried = [b.binary("fadd", c, v) for c, v in zip(loop.carried, vectors, strict=True)]
    total: Reg = loop.results[0]
    for c in loop.results[1:]:
        total = b.binary("fadd", total, c)
    b.store(total, b.params[0])
    return b


def compile_functions(lanes: int) -> tuple[Any, dict[str, Any]]:
    """(engine to keep alive, name -> callable)."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    parsed = llvm.parse_assembly(module([fma_loop(lanes), read_loop(lanes)]))
    features = llvm.get_host_cpu_features().flatten()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features, opt=3, jit=True
    )
    engine = llvm.create_mcjit_compiler(parsed, machine)
    engine.finalize_object()
    types = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)
    return engine, {name: types(engine.get_function_address(name)) for name in ("fma", "read")}


def aligned(count: int) -> np.ndarray:
    raw = np.zeros(count + 16, np.float32)
    return raw[(-raw.ctypes.data % 64) // 4 :][:count]


def best(function: Any, address: int, count: int, seconds: float) -> float:
    """The shortest time of one call."""
    shortest, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        function(address, count)
        shortest = min(shortest, time.perf_counter() - start)
    return shortest


def together(threads: int, work: Any) -> float:
    """The longest time among threads that do `work()` at once (ctypes releases the interpreter lock)."""
    times = [0.0] * threads

    def body(k: int) -> None:
        times[k] = work()

    pool = [threading.Thread(target=body, args=(k,)) for k in range(threads)]
    for t in pool:
        t.start()
    for t in pool:
        t.join()
    return max(times)


def measure(seconds: float = 0.3) -> dict[str, float]:
    """GF/s of one core and of all, and GB/s from a 1 MB, a 16 MB and a 256 MB array of one core, and DRAM with all."""
    wide = "avx512f" in {k for k, v in llvm.get_host_cpu_features().items() if v}
    lanes = 16 if wide else 8
    keep, functions = compile_functions(lanes)
    threads = len(os.sched_getaffinity(0))
    rounds = 200_000
    flop = 2.0 * lanes * ACCUMULATORS * rounds
    scratch = [aligned(lanes * ACCUMULATORS) for _ in range(threads)]
    one = flop / best(functions["fma"], scratch[0].ctypes.data, rounds, seconds) / 1e9
    pick = iter(scratch)
    every = threads * flop / together(threads, lambda: best(functions["fma"], next(pick).ctypes.data, rounds, seconds)) / 1e9
    result = {"threads": float(threads), "lanes": float(lanes), "peak_core": one, "peak_all": every}
    for name, mib in (("l2", 1), ("l3", 16), ("dram", 256)):
        data = aligned(mib << 18)
        result[f"{name}_gbs"] = data.nbytes / best(functions["read"], data.ctypes.data, data.size, seconds) / 1e9
    half = data.size // threads // 128 * 128
    starts = iter([data.ctypes.data + 4 * half * k for k in range(threads)])
    result["dram_all_gbs"] = 4 * half * threads / together(threads, lambda: best(functions["read"], next(starts), half, seconds)) / 1e9
    del keep
    return result


if __name__ == "__main__":
    for key, value in measure().items():
        print(f"{key:14} {value:10.1f}")
