"""How near a kernel comes to what the machine can do, and what keeps it from coming nearer.

The work of a call is counted on its loop IR: arithmetic by trip counts, memory by what its buffers hold (each counted once, as far as it is
touched). The roofline (Williams, Waterman, Patterson 2009) says how long that work must take at least: the longer of arithmetic at the peak
and bytes at the rate of the memory level in which they stay.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from graphflow.compiler.contract.cuts import lengths
from graphflow.compiler.llvm.stmt import expressions, inner
from graphflow.kernel.expr import FLOATS, TYPES, Call, Load, walk
from graphflow.kernel.index import Index, evaluate, product
from graphflow.kernel.nodes import Accumulate, Contract, Kernel, Loop, Role, Stmt, Store
from graphflow.tools.machine import Machine

# Floating-point operations of a call; what is not listed is one. Functions count what their vector code does.
COSTS = {
    "fma": 2, "exp": 14, "expm1": 20, "log": 18, "log1p": 24, "tanh": 20, "sigmoid": 18, "erf": 24, "erfc": 26, "pow": 34, "sin": 24,
    "cos": 24,
    "tan": 28, "asin": 20, "acos": 20, "atan": 20, "atan2": 24, "sinh": 24, "cosh": 24, "asinh": 28, "acosh": 28, "atanh": 26, "lgamma": 60,
    "rsqrt": 2, "cast": 0, "select": 0, "check": 0, "bitcast_f32": 0, "bitcast_u32": 0, "bitcast_f64": 0, "bitcast_u64": 0,
}  # fmt: skip
LATENCY = 5e-6  # seconds: a call as short as this spends its time on starting, loop edges and meeting the other threads
FAR = 0.25  # of the roofline
NOWHERE = 0.05  # of the roofline: neither arithmetic nor memory says anything about this call


class Work(NamedTuple):
    """Floating-point operations of a call, and the bytes that it reads and writes at least."""

    flops: float
    bytes: float


class Standing(NamedTuple):
    """A call beside the machine: `share` of the roofline (0..1; in matrix tiles beyond, for the peak is of multiply-adds), and what
    bounds it: "compute", "L2", "L3", "DRAM" or "latency"."""

    share: float
    bound: str


def work_of(kernel: Kernel, sizes: Mapping[str, int]) -> Work:
    """The work of one call. `sizes`: values of the kernel's symbols."""
    flops, moved = traffic_of(kernel, sizes)
    return Work(flops, sum(moved.values()))


def traffic_of(kernel: Kernel, sizes: Mapping[str, int]) -> tuple[float, dict[str, float]]:
    """Floating-point operations of one call, and the bytes that it reads and writes at least, buffer by buffer."""
    flops = 0.0
    touched: dict[str, float] = {}
    for phase in kernel.phases:
        for statement, times in _trips(phase, dict(sizes), 1.0):
            flops += times * _flops(statement)
            for buffer, count in _touches(statement).items():
                touched[buffer] = touched.get(buffer, 0.0) + times * count
            if isinstance(statement, Contract):
                terms = times * _product([a.extent for a in statement.free], sizes)
                terms *= math.prod(sum(n) / len(n) for n in (lengths(a, statement.free, sizes) for a in statement.reduced))
                flops += 2 * terms
                for load in (statement.left, statement.right):
                    touched[load.buffer] = touched.get(load.buffer, 0.0) + terms
    moved: dict[str, float] = {}
    for buffer in kernel.buffers:
        if buffer.role is not Role.SCRATCH and buffer.name in touched:
            held = evaluate(product(buffer.shape), sizes)
            moved[buffer.name] = min(held, touched[buffer.name]) * TYPES[buffer.type].itemsize * (2 if buffer.role is Role.INOUT else 1)
    return flops, moved


def _trips(statements: Sequence[Stmt], env: dict[str, int], times: float) -> Iterator[tuple[Stmt, float]]:
    """Every statement, and how often it runs. A loop whose extent depends on an outer one is counted as at that one's beginning."""
    for statement in statements:
        yield statement, times
        count = times
        if isinstance(statement, Loop):
            count *= max(_number(statement.extent, env), 0)
            env[statement.var] = 0
        elif isinstance(statement, Contract):
            count *= _product([a.extent for a in statement.free], env)
        yield from _trips(inner(statement), env, count)


def _number(index: Index, env: Mapping[str, int]) -> float:
    try:
        return float(evaluate(index, env))
    except (KeyError, TypeError):  # depends on data
        return 1.0


def _product(extents: Sequence[Index], env: Mapping[str, int]) -> float:
    result = 1.0
    for extent in extents:
        result *= _number(extent, env)
    return result


def _flops(statement: Stmt) -> float:
    total = 1.0 if isinstance(statement, Accumulate) and statement.value.type in FLOATS else 0.0
    for root in expressions(statement):
        for e in walk(root):
            if isinstance(e, Call) and (e.type in FLOATS or (e.arguments and e.arguments[0].type in FLOATS)):
                total += COSTS.get(e.function, 1)
    return total


def _touches(statement: Stmt) -> dict[str, int]:
    """Elements of each buffer that one execution of a statement reads or writes."""
    found: dict[str, int] = {}
    for root in expressions(statement):
        for e in walk(root):
            if isinstance(e, Load):
                found[e.buffer] = found.get(e.buffer, 0) + 1
    if isinstance(statement, Store):
        found[statement.buffer] = found.get(statement.buffer, 0) + 1
    return found


def work_of_call(step: Any, sizes: Mapping[str, int]) -> Work:
    """The work of a step of a compiled program whose sizes have these values."""
    return Work(0.0, 0.0) if step.lowered is None else work_of(step.lowered.kernel, kernel_sizes(step, sizes))


def kernel_sizes(step: Any, sizes: Mapping[str, int]) -> dict[str, int]:
    """The values of a step's kernel's symbols, where the sizes of its program have these."""
    found: dict[str, int] = step.lowered.sizes(sizes.__getitem__)
    return found


def standing(work: Work, seconds: float, threads: int, machine: Machine) -> Standing:
    """Where a call that took `seconds` stands."""
    if seconds <= 0:
        return Standing(0.0, "latency")
    peak = machine.flops if threads > 1 else machine.core_flops
    level, rate = machine.level(work.bytes)
    if threads < machine.threads:
        rate *= threads / machine.threads
    compute, memory = work.flops / peak, work.bytes / rate
    share = max(compute, memory) / seconds
    if share < NOWHERE or (share < FAR and seconds < LATENCY):
        return Standing(share, "latency")
    return Standing(share, "compute" if compute >= memory else level)
