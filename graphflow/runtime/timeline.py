"""`tensorflow.python.client.timeline`: a traced run in the format that Chrome's and Perfetto's trace viewers read."""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["Timeline"]

_LABEL = re.compile(r"(.*) = (.*)\((.*)\)(?: x (\d+))?")


class Timeline:
    """`Timeline(run_metadata.step_stats).generate_chrome_trace_format()`."""

    def __init__(self, step_stats: Any, graph: Any = None) -> None:
        self._step_stats = step_stats

    def generate_chrome_trace_format(self, show_dataflow: bool = True, show_memory: bool = False) -> str:
        """The JSON text: one process for each device, lanes for what overlaps, arrows from an operation to those that name it."""
        events: list[dict[str, Any]] = []
        ends: dict[str, tuple[int, int, int]] = {}
        flows = 0
        for pid, device in enumerate(self._step_stats.dev_stats):
            name = f"{device.device} Compute"
            events.append({"name": "process_name", "ph": "M", "pid": pid, "args": {"name": name}})
            lanes: list[int] = []
            for node in sorted(device.node_stats, key=lambda n: int(n.all_start_micros)):
                start, length = node.all_start_micros, max(node.all_end_rel_micros, 1)
                lane = next((k for k, busy_until in enumerate(lanes) if busy_until <= start), len(lanes))
                lanes[lane:] = [start + length, *lanes[lane + 1 :]]
                own, op, inputs, calls = parse_label(node)
                arguments = {"name": own, "op": op, **{f"input{k}": i for k, i in enumerate(inputs)}}
                if calls > 1:
                    arguments["calls"] = calls
                events.append({"ph": "X", "cat": "Op", "name": op, "pid": pid, "tid": lane, "ts": start, "dur": length, "args": arguments})
                for source in inputs if show_dataflow else ():
                    if source in ends:
                        from_pid, from_lane, end = ends[source]
                        common = {"cat": "DataFlow", "name": source, "id": flows}
                        events.append({"ph": "s", **common, "pid": from_pid, "tid": from_lane, "ts": end})
                        events.append({"ph": "t", **common, "pid": pid, "tid": lane, "ts": start})
                        flows += 1
                ends[own] = (pid, lane, start + length)
        return json.dumps({"traceEvents": events}, indent=4, separators=(",", ": "))


def parse_label(node: Any) -> tuple[str, str, list[str], int]:
    """Name, operation, inputs and number of calls of a node, from its label: "name = Op(input, input)", in a loop "… x 100"."""
    match = _LABEL.match(node.timeline_label)
    if match is None:
        return node.node_name, node.node_name, [], 1
    name, op, inputs, calls = match.groups()
    return name, op, [i for i in inputs.split(", ") if i], int(calls or 1)
