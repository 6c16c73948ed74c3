"""`graphflow profile PROGRAM.py [ARGS]`: runs a program and shows which kernels its time went to, and what keeps them from being faster."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from graphflow.tools.machine import Machine, available, measured
from graphflow.tools.recorder import Recorder, Signature, recording
from graphflow.tools.roofline import Standing, Work, standing, work_of_call

SHOWN = 30  # rows


class Row(NamedTuple):
    """One kernel of one compiled signature, summed over all runs."""

    signature: int
    name: str
    operations: int
    seconds: float
    calls: int
    threads: int
    work: Work  # of one call
    standing: Standing


def rows_of(signatures: Sequence[Signature], machine: Machine) -> list[Row]:
    """The kernels of several signatures, the longest first. Jumps are left out."""
    rows = []
    for number, signature in enumerate(signatures):
        for k, step in enumerate(signature.compiled.steps):
            calls = int(signature.times[k])
            if calls:
                work = work_of_call(step, signature.bound.sizes)
                seconds, threads = float(signature.seconds[k]), int(signature.threads[k])
                stand = standing(work, seconds / calls, threads, machine)
                names = len(dict.fromkeys(o.name for o in step.group.origins))
                rows.append(Row(number, _shown(step), names, seconds, calls, threads, work, stand))
    return sorted(rows, key=lambda row: -row.seconds)


def _shown(step: Any) -> str:
    origins = step.group.origins
    kind = "python" if step.lowered is None and step.row is None else step.name.split("_")[0]
    return f"{kind} {origins[-1].name if origins else step.name}"


def table(recorder: Recorder, machine: Machine, wall: float, shown: int = SHOWN) -> str:
    """The sums as a table, the longest first."""
    signatures = recorder.signatures
    rows = rows_of(signatures, machine)
    total = sum(row.seconds for row in rows)
    several = len(signatures) > 1
    lines = [
        f"{'time':>10} {'share':>6} {'calls':>8} {'mean':>10} {'GF/s':>7} {'GB/s':>7} {'roof':>6} {'bound':>7} {'thr':>3}"
        "  kernel and result"
        + (" (of signature)" if several else "")
    ]
    for row in rows[:shown]:
        mean = row.seconds / row.calls
        work, stand = row.work, row.standing
        arithmetic, traffic = (x / mean / 1e9 if mean else 0.0 for x in work)
        python = row.name.startswith("python")
        roof, bound = ("-", "python") if python else (f"{stand.share:.0%}", stand.bound)
        fused = f", {row.operations} operations" if row.operations > 1 else ""
        lines.append(
            f"{row.seconds * 1e3:>8.2f}ms {row.seconds / (total or 1):>6.1%} {row.calls:>8} {mean * 1e6:>8.1f}us "
            f"{arithmetic:>7.1f} {traffic:>7.1f} {roof:>6} {bound:>7} {row.threads:>3}  "
            f"{row.name}{fused}" + (f" (#{row.signature})" if several else "")
        )
    if len(rows) > shown:
        rest = sum(row.seconds for row in rows[shown:])
        lines.append(f"{rest * 1e3:>8.2f}ms {rest / (total or 1):>6.1%} {'':>8} {'':>10} {len(rows) - shown} more kernels")
    lines.append(f"{total * 1e3:>8.2f}ms in {len(rows)} kernels; the program took {wall * 1e3:.0f} ms, compiling and Python included")
    native = sum(s.wall for s in signatures)
    if native:
        lines.append(f"{native * 1e3:>8.2f}ms in native code: {total / native:.1%} of it in kernels, the rest between them")
    for number, signature in enumerate(signatures if several else ()):
        lines.append(f"  #{number}: {signature.runs} runs, {signature.wall * 1e3:.2f} ms, {len(signature.compiled.steps)} calls a run")
    lines.append(
        f"The machine, measured just now on {machine.threads} threads: {machine.flops / 1e9:.0f} GF/s, L2 {machine.l2 / 1e9:.0f}, "
        f"L3 {machine.l3 / 1e9:.0f}, DRAM {machine.dram / 1e9:.0f} GB/s. roof: share of what these allow for the kernel's work."
    )
    return "\n".join(lines)


def main(arguments: Sequence[str], run: Callable[[str, Sequence[str]], None]) -> int:
    """Runs the program with `run` and prints the table to the standard error, also where the program fails."""
    if not arguments or not os.path.exists(arguments[0]):
        print(f"graphflow profile: {f'no program {arguments[0]!r}' if arguments else 'which program?'}", file=sys.stderr)
        return 2
    start = time.perf_counter()
    with recording(Recorder()) as recorder:
        try:
            run(arguments[0], arguments[1:])
        finally:
            wall = time.perf_counter() - start
            print(table(recorder, measured(available()), wall), file=sys.stderr)
    return 0
