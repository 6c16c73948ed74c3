"""What a run did and when: filled by launches while a session is traced, read as RunMetadata and by `graphflow profile`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from graphflow.compiler.plan import bytes_of
from graphflow.io.event_schema import StepStats
from graphflow.kernel.index import evaluate

DEVICE = "/job:localhost/replica:0/task:0/device:CPU:0"


class Span(NamedTuple):
    """One call of a kernel, or of Python. Times are seconds since the epoch; `busy` is the time that each thread spent in it."""

    name: str  # the operation whose result it gives
    type: str
    operations: tuple[str, ...]  # all that it computes
    kernel: str
    start: float
    end: float
    busy: tuple[float, ...]
    bytes: int  # read and written, each array once


class Trace:
    """The spans of traced runs."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def python(self, launch: Any, number: int, start: float, end: float) -> None:
        """Notes a call of Python."""
        self._add(launch, number, start, end, (end - start,))

    def native(self, launch: Any, first: int, timing: Any, start: float) -> None:
        """Notes the kernels of a native plan, whose first one is the launch's step `first`."""
        for call in np.unique(timing.calls):
            rows = timing.calls == call
            begins, ends = timing.start[rows], timing.end[rows]
            if np.isnan(begins).all():  # not reached: an earlier check failed
                continue
            busy = tuple(np.nansum(ends - begins, axis=0).tolist())
            self._add(launch, first + int(call), start + float(np.nanmin(begins)), start + float(np.nanmax(ends)), busy)

    def _add(self, launch: Any, number: int, start: float, end: float, busy: tuple[float, ...]) -> None:
        step = launch.bound.compiled.steps[number]
        group = step.group
        names = tuple(dict.fromkeys(o.name for o in group.origins))
        node = group.nodes[-1]
        name = node.origins[-1].name if node.origins else step.name
        sizes = launch.bound.sizes
        moved = sum(evaluate(bytes_of(v), sizes) for v in dict.fromkeys((*group.inputs, *group.outputs)))
        kernel = "python" if step.lowered is None else step.name
        self.spans.append(Span(name, node.op.type, names, kernel, start, end, busy, moved))

    def step_stats(self) -> StepStats:
        """The spans as TensorFlow's StepStats: one node for each call, named after the operation whose result it gives."""
        stats = StepStats()
        device = stats.dev_stats.add(device=DEVICE)
        for span in self.spans:
            others = ", ".join(n for n in span.operations if n != span.name)
            begin, length = int(span.start * 1e9), max(int((span.end - span.start) * 1e9), 1)
            micros = -(-length // 1000)
            device.node_stats.add(
                node_name=span.name, all_start_micros=begin // 1000, op_end_rel_micros=micros, all_end_rel_micros=micros,
                scheduled_micros=begin // 1000, timeline_label=f"{span.name} = {span.type}({others})", all_start_nanos=begin,
                op_end_rel_nanos=length, all_end_rel_nanos=length, scheduled_nanos=begin,
            )  # fmt: skip
        return stats
