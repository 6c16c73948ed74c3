"""What a run did and when: filled by launches while a session is traced, read as RunMetadata and by `graphflow profile`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from graphflow.compiler.plan import bytes_of
from graphflow.io.event_schema import StepStats
from graphflow.kernel.index import evaluate

DEVICE = "/job:localhost/replica:0/task:0/device:CPU:0"


class Span(NamedTuple):
    """One kernel of a run, or one call of Python. Times are seconds since the epoch; `busy` is the time that each thread spent in it.

    What stands in a loop was called `calls` times: it begins with the first of them, and the end is as if
    the others had followed at once."""

    name: str  # the operation whose result it gives
    type: str
    operations: tuple[str, ...]  # all that it computes
    kernel: str
    start: float
    end: float
    busy: tuple[float, ...]
    bytes: int  # read and written, each array once for every call
    calls: int


class Trace:
    """The spans of traced runs."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def python(self, launch: Any, number: int, start: float, end: float) -> None:
        """Notes a call of Python."""
        self._add(launch, number, start, end, (end - start,), 1)

    def native(self, launch: Any, timing: Any, start: float) -> None:
        """Notes the kernels of a run that began at `start`."""
        for number in np.unique(timing.calls):
            rows = timing.calls == number
            count, begins, busy = timing.times[rows], timing.start[rows], timing.busy[rows]
            if not count.any():  # a jump, or not reached: an earlier check failed
                continue
            first = float(np.nanmin(begins))
            last = max(float(np.nanmax(begins + busy)), first + float(busy.max(axis=1).sum()))
            self._add(launch, int(number), start + first, start + last, tuple(busy.sum(axis=0).tolist()), int(count.max()))

    def _add(self, launch: Any, number: int, start: float, end: float, busy: tuple[float, ...], calls: int) -> None:
        step = launch.bound.compiled.steps[number]
        group = step.group
        names = tuple(dict.fromkeys(o.name for o in group.origins))
        node = group.nodes[-1]
        name = node.origins[-1].name if node.origins else step.name
        sizes = launch.bound.sizes
        moved = calls * sum(evaluate(bytes_of(v), sizes) for v in dict.fromkeys((*group.inputs, *group.outputs)))
        kernel = "python" if step.lowered is None and step.row is None else step.name
        self.spans.append(Span(name, node.op.type, names, kernel, start, end, busy, moved, calls))

    def step_stats(self) -> StepStats:
        """The spans as TensorFlow's StepStats: a node for each, named after the operation whose result it gives."""
        stats = StepStats()
        device = stats.dev_stats.add(device=DEVICE)
        for span in self.spans:
            others = ", ".join(n for n in span.operations if n != span.name)
            label = f"{span.name} = {span.type}({others})" + (f" x {span.calls}" if span.calls > 1 else "")
            begin, length = int(span.start * 1e9), max(int((span.end - span.start) * 1e9), 1)
            micros = -(-length // 1000)
            device.node_stats.add(
                node_name=span.name, all_start_micros=begin // 1000, op_end_rel_micros=micros, all_end_rel_micros=micros,
                scheduled_micros=begin // 1000, timeline_label=label, all_start_nanos=begin,
                op_end_rel_nanos=length, all_end_rel_nanos=length, scheduled_nanos=begin,
            )  # fmt: skip
        return stats
