"""How near the contraction kernels come to the machine's peak, on one thread.

    python -m benchmarks.kernels [--only TEXT] [--seconds 0.1]

For every shape: microseconds, GF/s, the share of the measured multiply-add peak (where the columns are few: of the lanes they fill), and
NumPy's GF/s for matrix products (set OPENBLAS_NUM_THREADS=1), all best of many. The tiling that was chosen stands at the end of the line.
"""

from __future__ import annotations

import argparse
import ctypes
import math
import os
import time
from collections.abc import Callable, Iterator

import llvmlite.binding as llvm
import numpy as np

from graphflow.compiler.llvm.builder import FunctionBuilder, module, vector
from graphflow.compiler.llvm.target import target
from graphflow.kernel.index import evaluate, symbol
from graphflow.kernel.nodes import Contract
from tests.compiler.contract.cases import Case, Compiled, conv, conv_filter, conv_input, depthwise, inputs, matmul

N = symbol("N", 0, None)


def best(action: Callable[[], None], seconds: float) -> float:
    """Seconds of one call: the least of many short bursts, in the time of this thread, so that other processes count less."""
    action()
    began = time.thread_time()
    action()
    burst = max(1, int(0.001 / max(time.thread_time() - began, 1e-7)))
    least, end = math.inf, time.thread_time() + seconds
    while True:
        began = time.thread_time()
        for _ in range(burst):
            action()
        now = time.thread_time()
        least = min(least, (now - began) / burst)
        if now > end:
            return least


def peak(seconds: float) -> float:
    """Multiply-add GF/s of one core: independent chains of multiply-adds on registers."""
    machine = target("native")
    lanes, chains, rounds = machine.lanes("f32"), 12, 20_000
    b = FunctionBuilder("peak", [("ptr", "data")], machine.attributes)
    start = [b.load(vector("float", lanes), b.element(b.params[0], b.i64(n * lanes), "float")) for n in range(chains)]
    with b.loop("i", b.i64(0), b.i64(rounds), b.i64(1), start) as loop:
        loop.carried = [b.fma(start[0], start[0], sum_) for sum_ in loop.carried]
    for n, value in enumerate(loop.results):
        b.store(value, b.element(b.params[0], b.i64(n * lanes), "float"))
    made = llvm.Target.from_triple(machine.triple).create_target_machine(cpu=machine.cpu, features=machine.features, opt=3)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(module([b])), made)
    engine.finalize_object()
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(engine.get_function_address("peak"))
    memory = np.zeros(chains * lanes, np.float32)
    address = memory.ctypes.data
    return 2 * lanes * chains * rounds / best(lambda: function(address), seconds) / 1e9


def shapes() -> Iterator[tuple[str, Case, dict[str, int], int]]:
    """Name, contraction, run-time sizes, and how many columns the results have (0: as many as there are lanes)."""
    for size in (64, 128, 256, 512, 1024):
        for kind in ("NN", "TN", "NT"):
            yield f"{kind} {size}x{size}x{size}", matmul(size, size, size, kind), {}, 0
    for batch in (32, 100, 128):
        yield f"NN {batch}x784x512", matmul(N, 512, 784), {"N": batch}, 0
        yield f"TN 784x{batch}x512", matmul(784, 512, N, "TN"), {"N": batch}, 0
        yield f"NT {batch}x512x784", matmul(N, 784, 512, "NT"), {"N": batch}, 0
        yield f"NN {batch}x512x512", matmul(N, 512, 512), {"N": batch}, 0
        yield f"NN {batch}x512x10", matmul(N, 10, 512), {"N": batch}, 10
        yield f"TN 512x{batch}x10", matmul(512, 10, N, "TN"), {"N": batch}, 10
    yield "NN 128x120x84", matmul(N, 84, 120), {"N": 128}, 0
    for name, n, h, ic, k, oc in (
        ("5x5x1x32 @28", 32, 32, 1, 5, 32), ("5x5x32x64 @14", 32, 18, 32, 5, 64), ("3x3x3x32 @32", 16, 34, 3, 3, 32),
        ("3x3x32x32 @32", 16, 34, 32, 3, 32), ("3x3x32x32 @16", 16, 18, 32, 3, 32), ("3x3x32x32 @8", 16, 10, 32, 3, 32),
        ("5x5x1x6 @24", 32, 28, 1, 5, 6), ("5x5x6x16 @8", 32, 12, 6, 5, 16),
    ):  # fmt: skip
        inner = h - k + 1
        yield f"conv {name}", conv(N, h, h, ic, k, oc), {"N": n}, oc
        yield f"dW {name}", conv_filter(N, h, h, ic, k, oc), {"N": n}, oc
        yield f"dX {name}", conv_input(N, inner, inner, ic, k, oc), {"N": n}, ic
    yield "depthwise 3x3x64 @16", depthwise(N, 18, 18, 64, 3), {"N": 16}, 0


def numpy_seconds(case: Case, arrays: dict[str, np.ndarray], seconds: float) -> float | None:
    """The same matrix product by NumPy; None for other contractions."""
    contract = case.contract
    if len(contract.free) != 2 or len(contract.reduced) != 1:
        return None
    rows, columns = arrays["y"].shape
    left = arrays["a"] if arrays["a"].shape[0] == rows else arrays["a"].T
    right = arrays["w"] if arrays["w"].shape[1] == columns else arrays["w"].T
    return best(lambda: np.matmul(left, right, out=arrays["y"]), seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default="", help="shapes whose name holds this text")
    parser.add_argument("--seconds", type=float, default=0.1, help="spent on each measurement")
    options = parser.parse_args()
    top = peak(options.seconds)
    print(f"peak {top:.0f} GF/s on one core; NumPy with OPENBLAS_NUM_THREADS={os.environ.get('OPENBLAS_NUM_THREADS', 'unset')}")
    print(f"{'shape':26s} {'us':>9s} {'GF/s':>6s} {'peak':>5s} {'NumPy':>6s}  tiling")
    for name, case, sizes, columns in shapes():
        if options.only not in name:
            continue
        compiled = Compiled(case)
        arrays = inputs(case, sizes)
        block, held = compiled.block(arrays, sizes)
        address = ctypes.addressof(block)

        def once(phases: list[Callable[..., None]] = compiled.phases, address: int = address) -> None:
            for phase in phases:
                phase(address, 0, 1)

        work = 2 * math.prod(evaluate(a.extent, sizes) for a in (*case.contract.free, *case.contract.reduced)) / 1e9
        seconds = best(once, options.seconds)
        lanes = compiled.target.lanes("f32")
        cap = columns / (math.ceil(columns / lanes) * lanes) if columns else 1.0
        other = numpy_seconds(case, arrays, options.seconds)
        steps = [repr(s.plan) if isinstance(s, Contract) else "copy or sum" for phase in compiled.kernel.phases for s in phase[:1]]
        print(
            f"{name:26s} {seconds * 1e6:9.1f} {work / seconds:6.1f} {work / seconds / top / cap:5.0%} "
            f"{'' if other is None else f'{work / other:6.1f}':>6s}  {' | '.join(steps)}",
            flush=True,
        )
        del held


if __name__ == "__main__":
    main()
