"""Runs kernels natively in tests, straight through llvmlite: no session, no cache."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from functools import cache
from typing import Any

import llvmlite.binding as llvm
import numpy as np

from graphflow.compiler.llvm.kernel import emit_kernel, phase_name
from graphflow.compiler.llvm.target import Target, target
from graphflow.kernel.expr import TYPES
from graphflow.kernel.index import evaluate
from graphflow.kernel.nodes import Kernel
from graphflow.kernel.verify import verify

TARGETS = ["native", "avx2", "sse2"]


@cache
def _machine(name: str) -> llvm.TargetMachine:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    t = target(name)
    return llvm.Target.from_triple(t.triple).create_target_machine(cpu=t.cpu, features=t.features, opt=2, jit=True)


def compile_text(text: str, name: str = "native") -> Any:
    """An engine that holds the machine code of LLVM IR text."""
    module = llvm.parse_assembly(text)
    module.verify()
    t = target(name)
    module.triple = t.triple
    module.data_layout = str(_machine(name).target_data)
    machine = llvm.Target.from_triple(t.triple).create_target_machine(cpu=t.cpu, features=t.features, opt=2, jit=True)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    return engine


def run_native(
    kernel: Kernel,
    arrays: Mapping[str, np.ndarray],
    symbols: Mapping[str, int] | None = None,
    name: str = "native",
    threads: int = 1,
) -> tuple[dict[str, np.ndarray], tuple[int, int]]:
    """All arrays after the kernel (inputs are copied), and the status block's (check number + 1, shown)."""
    verify(kernel)
    described: Target = target(name)
    engine = compile_text(emit_kernel(kernel, described), name)
    sizes = dict(symbols or {})
    memory = {}
    for buffer in kernel.buffers:
        shape = tuple(evaluate(d, sizes) for d in buffer.shape)
        given = arrays.get(buffer.name)
        memory[buffer.name] = guarded(given if given is not None else np.zeros(shape, TYPES[buffer.type]))
    status = np.zeros(4, np.int64)
    addresses = [memory[b.name][0].ctypes.data for b in kernel.buffers] + [sizes[s] for s in kernel.symbols]
    arguments = np.array([*addresses, status.ctypes.data], np.int64)
    for n in range(len(kernel.phases)):
        address = engine.get_function_address(phase_name(kernel, n))
        function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(address)
        for thread in range(threads):
            function(arguments.ctypes.data, thread, threads)
    for name_, (array, whole, start) in memory.items():
        edge = whole.copy()
        edge[start : start + array.nbytes] = 0xC3
        assert (edge == 0xC3).all(), f"memory around {name_} was written"
    return {n: a for n, (a, _, _) in memory.items()}, (int(status[0]), int(status[1]))


def guarded(array: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """A copy of an array with known bytes before and after it."""
    margin = 256
    whole = np.full(array.nbytes + 2 * margin, 0xC3, np.uint8)
    start = margin - whole.ctypes.data % 64
    inner = whole[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    inner[...] = array
    return inner, whole, start
