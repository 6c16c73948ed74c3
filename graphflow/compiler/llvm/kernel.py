"""A whole kernel to one LLVM module: a function `NAME.phaseK(args, thread, threads)` for each phase."""

from __future__ import annotations

from graphflow.compiler.contract.emit import emit_contract
from graphflow.compiler.llvm.builder import FunctionBuilder, module
from graphflow.compiler.llvm.stmt import Emitter, written
from graphflow.compiler.llvm.target import Target
from graphflow.kernel.nodes import Contract, Kernel, Loop, Mode, Stmt


def emit_kernel(kernel: Kernel, target: Target) -> str:
    """LLVM IR text of the kernel for a target."""
    return module([emit_phase(kernel, n, target) for n in range(len(kernel.phases))])


def phase_name(kernel: Kernel, number: int) -> str:
    """The native function's name."""
    return f"{kernel.name}.phase{number}"


def shared(phase: tuple[Stmt, ...]) -> bool:
    """Whether all threads take part: the phase is one parallel loop, or contractions that need nothing of each other. Any other runs on
    thread 0."""
    if all(isinstance(s, Contract) for s in phase):
        return bool(phase)
    return len(phase) == 1 and isinstance(phase[0], Loop) and phase[0].mode is Mode.PARALLEL


def emit_phase(
    kernel: Kernel, number: int, target: Target, builder_type: type[FunctionBuilder] = FunctionBuilder,
    emitter_type: type[Emitter] = Emitter,
) -> FunctionBuilder:
    """One function of a kernel, written with these kinds of builder and emitter."""
    phase = kernel.phases[number]
    parameters = [("ptr", "args"), ("i64", "thread"), ("i64", "threads")]
    builder = builder_type(phase_name(kernel, number), parameters, target.attributes)
    if shared(phase):
        emitter_type(builder, kernel, target, emit_contract, written(phase)).run(phase)
        return builder
    with builder.when(builder.compare("icmp eq", builder.params[1], builder.i64(0)), "first"):
        emitter = emitter_type(builder, kernel, target, emit_contract, written(phase))
        emitter.thread, emitter.threads = builder.i64(0), builder.i64(1)
        emitter.run(phase)
    return builder
