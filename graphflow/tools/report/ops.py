"""The graph's operations as data: type, user's line, edges, the kernels that compute them, and their share of the time."""

from __future__ import annotations

import linecache
import os
from collections.abc import Mapping, Sequence
from typing import Any

from graphflow.compiler.dump import CompiledReport
from graphflow.graph.operation import Operation
from graphflow.graph.printer import tensor_type
from graphflow.kernel.index import evaluate
from graphflow.tools.report.walk import leaves, names, size_of
from graphflow.tools.roofline import COSTS


class Sources:
    """The user's files that made operations, as they are on disk."""

    def __init__(self) -> None:
        self.files: list[dict[str, Any]] = []
        self._numbers: dict[str, int] = {}

    def number(self, path: str) -> int:
        """The number of a file among `files`."""
        if path not in self._numbers:
            self._numbers[path] = len(self.files)
            text = [line.rstrip("\n") for line in linecache.getlines(path)]
            self.files.append({"name": os.path.basename(path), "path": path, "lines": text})
        return self._numbers[path]


class Table:
    """Texts by number, each kept once."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        """The number of `text`."""
        if text not in self._numbers:
            self._numbers[text] = len(self.texts)
            self.texts.append(text)
        return self._numbers[text]


def operations(report: CompiledReport, sizes: Mapping[str, int], seconds: Sequence[float], sources: Sources) -> dict[str, Any]:
    """The operations of one signature. Rows of `ops`: name, type, source file (-1: none), line, function, inputs [operation, output],
    control inputs, numbers of the types of the outputs, kernels, seconds, bytes of the results."""
    return rows_of(report.operations, *_kernels(report, sizes, seconds), _bytes(report, sizes), sources)


def rows_of(
    operations: Sequence[Operation], kernels: Mapping[str, list[int]], times: Mapping[str, float], sizes: Mapping[str, int],
    sources: Sources,
) -> dict[str, Any]:
    """The same of any operations, by their names: kernels, seconds, bytes."""
    ops = sorted(operations, key=lambda op: op._id)
    number = {op: k for k, op in enumerate(ops)}
    types = Table()
    rows = []
    for op in ops:
        file, line, function = _place(op, sources)
        inputs = [[number[t.op], t.value_index] for t in op.inputs if t.op in number]
        control = [number[c] for c in op._control_inputs if c in number]
        shown = [types.number(tensor_type(t)) for t in op.outputs]
        rows.append([op.name, op.type, file, line, function, inputs, control, shown, kernels.get(op.name, []),
                     times.get(op.name, 0.0), sizes.get(op.name, 0)])  # fmt: skip
    return {"ops": rows, "types": types.texts}


def _place(op: Operation, sources: Sources) -> tuple[int, int, str]:
    if not op._frames:
        return -1, 0, ""
    code, line = op._frames[-1]
    return sources.number(code.co_filename), line, "" if code.co_name == "<module>" else code.co_name


def _kernels(report: CompiledReport, sizes: Mapping[str, int], seconds: Sequence[float]) -> tuple[dict[str, list[int]], dict[str, float]]:
    """By operation: numbers of the kernels that compute it, and its share of their time, which is cut by how much each node computes."""
    kernels: dict[str, list[int]] = {}
    times: dict[str, float] = {}
    for k, step in enumerate(report.compiled.steps):
        weights = [(names(n), _weight(n, sizes)) for n in leaves(step.group.nodes)]
        total = sum(w for found, w in weights if found)
        for found, weight in weights:
            for name in found:
                if k not in kernels.setdefault(name, []):
                    kernels[name].append(k)
            if found and total:
                times[found[-1]] = times.get(found[-1], 0.0) + seconds[k] * weight / total
    return kernels, times


def _weight(node: Any, sizes: Mapping[str, int]) -> float:
    """Roughly how much a node computes."""
    try:
        extents = getattr(node.op, "extents", None)
        if extents is not None:
            work = 2.0
            for extent in extents:
                work *= evaluate(extent, sizes)
            return work
        elements = max((evaluate(v.size, sizes) for v in (*node.inputs, *node.outputs)), default=1)
        return float(elements) * COSTS.get(node.op.type.lower(), 1) + 1.0
    except (KeyError, TypeError):  # a size that is known only while a loop runs
        return 1.0


def _bytes(report: CompiledReport, sizes: Mapping[str, int]) -> dict[str, int]:
    """Bytes of the results by operation."""
    found: dict[str, int] = {}
    for node in leaves(report.stages[0].before.nodes):
        if node.origins:
            found[node.origins[-1].name] = sum(size_of(v, sizes) for v in node.outputs)
    return found
