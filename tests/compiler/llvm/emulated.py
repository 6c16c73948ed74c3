"""Runs kernels that were compiled for 64-bit ARM, on any Linux: as a static program of their own under qemu.

The program has no library: its `_start` reads the memory of all buffers from the standard input, calls the phases, and writes the memory to
the standard output.
"""

from __future__ import annotations

import functools
import math
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
import pytest

from graphflow.compiler.llvm.kernel import emit_kernel, phase_name
from graphflow.compiler.llvm.target import NEON
from graphflow.kernel.expr import TYPES
from graphflow.kernel.index import evaluate
from graphflow.kernel.nodes import Kernel

BINUTILS = ("aarch64-linux-gnu-as", "aarch64-linux-gnu-ld")
EMULATORS = ("qemu-aarch64-static", "qemu-aarch64")
LINE = 64

START = """
    .text
    .global _start
_start:
    mov x8, #63             // read
    mov x0, #0
    bl transfer
{calls}
    mov x8, #64             // write
    mov x0, #1
    bl transfer
    mov x8, #93             // exit
    mov x0, #0
    svc #0
transfer:                   // all of the memory, by system call x8 on file x0
    mov x4, x0
    ldr x1, =memory
    ldr x2, ={size}
again:
    mov x0, x4
    svc #0
    cmp x0, #1
    b.lt over
    add x1, x1, x0
    subs x2, x2, x0
    b.gt again
over:
    ret
    .ltorg
    .data
    .balign 8
arguments:
    .quad {words}
    .bss
    .balign 64
memory:
    .skip {size}
"""
CALL = """
    ldr x0, =arguments
    mov x1, #0
    mov x2, #1
    bl {phase}
"""


@functools.cache
def machine() -> llvm.TargetMachine:
    """LLVM's code generator for 64-bit ARM; skips the test where this LLVM has none."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    try:
        found = llvm.Target.from_triple(NEON.triple)
    except RuntimeError as error:
        pytest.skip(f"llvmlite has no code generator for {NEON.triple}: {error}")
    return found.create_target_machine(cpu=NEON.cpu, features=NEON.features, opt=3, reloc="pic", codemodel="small")


def tools() -> tuple[str, str, str]:
    """(assembler, linker, emulator); skips the test where one is missing."""
    assembler, linker = map(shutil.which, BINUTILS)
    emulator = next(filter(None, map(shutil.which, EMULATORS)), None)
    if assembler is None or linker is None:
        pytest.skip(f"{' and '.join(BINUTILS)} are not installed: apt-get install binutils-aarch64-linux-gnu")
    if emulator is None:
        pytest.skip(f"none of the emulators {', '.join(EMULATORS)} is installed: apt-get install qemu-user-static")
    return assembler, linker, emulator


def generated(text: str) -> llvm.ModuleRef:
    """A module for 64-bit ARM, verified."""
    module = llvm.parse_assembly(text)
    module.triple = NEON.triple
    module.data_layout = str(machine().target_data)
    module.verify()
    return module


def assembly(kernel: Kernel) -> str:
    """What the code generator makes of a kernel."""
    return str(machine().emit_assembly(generated(emit_kernel(kernel, NEON))))


def run_emulated(kernel: Kernel, arrays: Mapping[str, np.ndarray], sizes: Mapping[str, int] | None = None) -> dict[str, np.ndarray]:
    """All arrays after the kernel, run by one thread."""
    assembler, linker, emulator = tools()
    sizes = dict(sizes or {})
    places, memory, end = {}, [], 0
    for buffer in kernel.buffers:
        shape = tuple(evaluate(d, sizes) for d in buffer.shape)
        array = np.zeros(shape, TYPES[buffer.type])
        if buffer.name in arrays:
            array[...] = arrays[buffer.name]
        places[buffer.name] = end, array.dtype, shape
        memory.append(array.tobytes().ljust(-(-max(array.nbytes, 1) // LINE) * LINE, b"\0"))
        end += len(memory[-1])
    status, end = end, end + LINE
    memory.append(bytes(LINE))
    words = [f"memory + {offset}" for offset, _, _ in places.values()] + [str(sizes[s]) for s in kernel.symbols] + [f"memory + {status}"]
    calls = "".join(CALL.format(phase=phase_name(kernel, n)) for n in range(len(kernel.phases)))
    start = START.format(size=end, words=", ".join(words), calls=calls)
    with tempfile.TemporaryDirectory() as folder:
        source, objects, program = Path(folder, "start.s"), [f"{folder}/start.o", f"{folder}/kernel.o"], f"{folder}/program"
        source.write_text(start)  # as text: llvmlite has LLVM's assembler for its own machine only
        subprocess.run([assembler, "-o", objects[0], str(source)], check=True, capture_output=True, text=True)
        Path(objects[1]).write_bytes(machine().emit_object(generated(emit_kernel(kernel, NEON))))
        subprocess.run([linker, "-static", "-o", program, *objects], check=True, capture_output=True, text=True)
        done = subprocess.run([emulator, program], input=b"".join(memory), capture_output=True, timeout=120)
    assert done.returncode == 0 and len(done.stdout) == end, (done.returncode, len(done.stdout), done.stderr[-300:])
    assert not any(done.stdout[status:]), "a run-time check failed"
    return {
        name: np.frombuffer(done.stdout, dtype, math.prod(shape), offset).reshape(shape).copy()
        for name, (offset, dtype, shape) in places.items()
    }
