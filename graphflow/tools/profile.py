"""`graphflow profile PROGRAM.py [ARGS]`: runs a program and shows which kernels its time went to."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from graphflow.runtime.trace import Trace
from graphflow.runtime.tracing import trace_everything

SHOWN = 30  # rows


class Totals:
    """What the calls of one kernel, for one result, add up to."""

    def __init__(self, span: Any) -> None:
        self.kernel, self.name, self.operations = span.kernel, span.name, span.operations
        self.calls, self.seconds, self.bytes, self.threads = 0, 0.0, 0, 0

    def add(self, span: Any) -> None:
        """Takes over one call."""
        self.calls += 1
        self.seconds += span.end - span.start
        self.bytes += span.bytes
        self.threads = max(self.threads, sum(b > 0 for b in span.busy))


class Profile(Trace):
    """A trace that keeps sums instead of spans: a program may make millions of calls."""

    def __init__(self) -> None:
        super().__init__()
        self.totals: dict[tuple[str, str], Totals] = {}

    def _add(self, launch: Any, number: int, start: float, end: float, busy: tuple[float, ...]) -> None:
        super()._add(launch, number, start, end, busy)
        span = self.spans.pop()
        key = (span.kernel, span.name)
        if key not in self.totals:
            self.totals[key] = Totals(span)
        self.totals[key].add(span)


def table(profile: Profile, wall: float, shown: int = SHOWN) -> str:
    """The sums as a table, the longest first."""
    rows = sorted(profile.totals.values(), key=lambda t: -t.seconds)
    total = sum(t.seconds for t in rows)
    lines = [f"{'time':>10} {'share':>6} {'calls':>8} {'mean':>10} {'GB/s':>7} {'thr':>3}  kernel: result (operations)"]
    for t in rows[:shown]:
        rate = t.bytes / t.seconds / 1e9 if t.seconds else 0.0
        fused = "" if len(t.operations) <= 1 else f" ({len(t.operations)} operations)"
        lines.append(
            f"{t.seconds * 1e3:>8.2f}ms {t.seconds / (total or 1):>6.1%} {t.calls:>8} {t.seconds / t.calls * 1e6:>8.1f}us {rate:>7.1f} "
            f"{t.threads:>3}  {t.kernel}: {t.name}{fused}"
        )
    if len(rows) > shown:
        rest = sum(t.seconds for t in rows[shown:])
        lines.append(f"{rest * 1e3:>8.2f}ms {rest / (total or 1):>6.1%} {'':>8} {'':>10} {'':>7} {'':>3}  {len(rows) - shown} more")
    lines.append(f"{total * 1e3:>8.2f}ms in {len(rows)} kernels; the program took {wall * 1e3:.0f} ms, compiling and Python included")
    return "\n".join(lines)


def main(arguments: Sequence[str], run: Callable[[str, Sequence[str]], None]) -> int:
    """Runs the program with `run` and prints the table to the standard error, also where the program fails."""
    if not arguments or not os.path.exists(arguments[0]):
        print(f"graphflow profile: {f'no program {arguments[0]!r}' if arguments else 'which program?'}", file=sys.stderr)
        return 2
    profile = Profile()
    trace_everything(profile)
    start = time.perf_counter()
    try:
        run(arguments[0], arguments[1:])
    finally:
        trace_everything(None)
        print(table(profile, time.perf_counter() - start), file=sys.stderr)
    return 0
