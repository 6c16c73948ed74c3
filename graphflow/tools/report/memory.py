"""The arena over the schedule: blocks at their offsets, what each holds in turn, the peak and who holds it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from graphflow.compiler.dump import CompiledReport
from graphflow.compiler.plan import BoundPlan
from graphflow.tools.report.walk import groups, names


def memory(report: CompiledReport, bound: BoundPlan) -> dict[str, Any]:
    """The blocks with their bytes, offsets and steps; `values` are [value, operation's name, first step] in the order in which they share
    the block: each but the first overwrites the one before in place."""
    placement, steps = bound.placement, len(report.compiled.steps)
    made = _made(report)
    blocks = []
    for block, symbolic, offset in zip(bound.blocks, report.compiled.blocks, placement.offsets, strict=True):
        values = []
        for number in map(int, re.findall(r"%(\d+)", symbolic.holds)):
            name, step = made.get(number, ("", block.first))
            values.append([number, name, min(max(step, block.first), block.last)])
        scratch = not values
        if scratch:
            values = [[-1, symbolic.holds, block.first]]
        blocks.append({
            "size": block.size, "offset": offset, "first": block.first, "last": block.last, "values": values, "scratch": scratch,
        })  # fmt: skip
    live = list(_live(blocks, steps))
    peak = max(range(steps), key=live.__getitem__, default=0)
    outside = [{"kind": "variable", "name": name, "size": _bytes(shape, dtype)} for name, shape, dtype in bound.states]
    made_outside = [(n, o) for n, o in enumerate(bound.outputs) if o.known is None]
    outside += [{"kind": "result", "name": f"output {n}", "size": _bytes(o.shape, o.dtype)} for n, o in made_outside]
    return {
        "total": placement.total, "bound": placement.bound, "unplanned": placement.unplanned, "method": placement.method, "blocks": blocks,
        "live": live, "peak": peak, "outside": sorted(outside, key=lambda o: -o["size"]),
    }  # fmt: skip


def _made(report: CompiledReport) -> dict[int, tuple[str, int]]:
    """By value: the operation that gives it, and its step."""
    found: dict[int, tuple[str, int]] = {}
    for group in groups(report.compiled.program.nodes):
        for value in group.outputs:
            found[value.id] = (names(group)[-1] if group.origins else "", 0)
    for number, step in enumerate(report.compiled.steps):
        makers = {v.id: n for n in step.group.nodes for v in n.outputs}
        for value in step.group.outputs:
            node = makers.get(value.id, step.group)
            found[value.id] = (names(node)[-1] if node.origins else "", number)
    return found


def _live(blocks: list[dict[str, Any]], steps: int) -> Iterator[int]:
    change = [0] * (steps + 2)
    for block in blocks:
        change[block["first"]] += block["size"]
        change[min(block["last"], steps) + 1] -= block["size"]
    total = 0
    for step in range(steps):
        total += change[step]
        yield total


def _bytes(shape: tuple[int, ...], dtype: Any) -> int:
    size = int(dtype.size or 8)
    for d in shape:
        size *= d
    return size
