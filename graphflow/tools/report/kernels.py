"""Kernels as data: what they compute, how long that takes, and their three listings with links between the lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from graphflow.compiler.dump import CompiledReport, kernel_text
from graphflow.compiler.groups import Group
from graphflow.compiler.llvm.marks import Owner, emit_marked, located_assembly, with_locations
from graphflow.compiler.llvm.stmt import expressions
from graphflow.compiler.lower import lower_traced, signature
from graphflow.compiler.lower.provenance import Provenance, nodes_of
from graphflow.compiler.plan import BoundPlan
from graphflow.compiler.program import Node
from graphflow.kernel.nodes import Kernel, Stmt
from graphflow.kernel.printer import index_text, owned_lines
from graphflow.tools.machine import Machine
from graphflow.tools.report.assembly import loop_depths, statistics
from graphflow.tools.report.walk import leaves, names
from graphflow.tools.roofline import standing, work_of_call

Keep = Callable[[str], str]


class Listings:
    """The code of kernels, made once for all that are the same but for their names."""

    def __init__(self, report: CompiledReport, keep: Keep) -> None:
        self.report = report
        self.keep = keep
        self.codes: list[dict[str, Any]] = []
        self._numbers: dict[Any, int] = {}

    def number(self, step: Any) -> int:
        """The number of a step's code among `codes`; -1 for Python and jumps."""
        if step.lowered is None:
            return -1
        key = (step.lowered.text, signature(step.group)[0])
        if key not in self._numbers:
            self._numbers[key] = len(self.codes)
            self.codes.append(self._code(step.group, step.lowered.kernel))
        return self._numbers[key]

    def _code(self, group: Group, kernel: Kernel) -> dict[str, Any]:
        try:
            lowered, provenance = lower_traced(group, self.report.target)
        except NotImplementedError:  # a kernel that is not lowered from a group
            lowered, provenance = None, Provenance()
        kernel = kernel if lowered is None else lowered.kernel
        place = {tuple(v.id for v in n.outputs): k for k, n in enumerate(leaves(group.nodes))}

        def number(node: Node | None) -> int:
            return -1 if node is None else place.get(tuple(v.id for v in node.outputs), -1)

        statements: dict[int, int] = {}
        ir = []
        for text, owner in owned_lines(kernel):
            if owner is None:
                ir.append([text, -1, []])
                continue
            found = [number(n) for n in nodes_of(provenance, owner, expressions(owner))]
            ir.append([text, statements.setdefault(id(owner), len(statements)), [n for n in dict.fromkeys(found) if n >= 0]])
        marked = emit_marked(kernel, self.report.target, provenance.node)
        llvm = [self._line(text, owner, statements, provenance, number)
                for text, owner in zip(marked.text.rstrip("\n").split("\n"), marked.owners, strict=False)]  # fmt: skip
        lines = located_assembly(self.report.assembly_of(with_locations(marked.text)))
        depths = loop_depths(lines)
        asm = [[line.text.replace("\t", " ").rstrip(), line.line, depth] for line, depth in zip(lines, depths, strict=True)]
        listing = json.dumps({"ir": ir, "llvm": llvm, "asm": asm}, separators=(",", ":"))
        return {"text": self.keep(listing), **statistics(lines), "lines": [len(ir), len(llvm), len(asm)]}

    @staticmethod
    def _line(
        text: str, owner: Owner, statements: dict[int, int], provenance: Provenance, number: Callable[[Node | None], int]
    ) -> list[Any]:
        statement: Stmt | None = owner.statement
        if statement is None:
            return [text, -1, -1]
        node = owner.node or provenance.maker(statement)
        return [text, statements.get(id(statement), -1), number(node)]


def _kind(step: Any) -> str:
    """What a call is: the form of its group, or what it does instead of computing."""
    if getattr(step, "jump", None) is not None:
        return "jump"
    if step.row is not None:
        return "row"
    return "python" if step.lowered is None else step.group.form.value  # type: ignore[no-any-return]


def kernels(report: CompiledReport, bound: BoundPlan, seconds: Sequence[float], times: Sequence[int], threads: Sequence[int],
            runs: int, machine: Machine, numbers: dict[str, int], keep: Keep) -> dict[str, Any]:  # fmt: skip
    """A row for each call, in order. `numbers`: of the graph's operations by name. `seconds`: means of the calls, 0 where it was not
    measured."""
    listings = Listings(report, keep)
    rows = []
    for k, step in enumerate(report.compiled.steps):
        work = work_of_call(step, bound.sizes)
        once = seconds[k] * runs / max(times[k], 1)
        stand = standing(work, once, max(int(threads[k]), 1), machine) if seconds[k] and step.lowered is not None else None
        nodes = [[numbers[n] for n in names(leaf) if n in numbers] for leaf in leaves(step.group.nodes)]
        kind = _kind(step)
        rows.append({
            "name": step.name, "form": kind, "nodes": nodes, "kinds": [leaf.op.type for leaf in leaves(step.group.nodes)],
            "ops": list(dict.fromkeys(n for found in nodes for n in found)), "seconds": seconds[k],
            "calls": round(times[k] / max(runs, 1), 2), "threads": int(threads[k]), "flops": work.flops, "bytes": work.bytes,
            "share": None if stand is None else stand.share, "bound": "" if stand is None else stand.bound, "code": listings.number(step),
            "buffers": [] if step.lowered is None else _buffers(step), "barrier": bool(getattr(bound.calls[k], "barrier", True)),
            "head": kernel_text(step).split("\n")[0] if step.lowered is None else "",
        })  # fmt: skip
    return {"kernels": rows, "codes": listings.codes}


def _buffers(step: Any) -> list[list[Any]]:
    """Name, type and shape, role, and the value that each buffer holds (-1: scratch)."""
    shown = []
    for buffer, value in zip(step.lowered.kernel.buffers, step.lowered.values, strict=True):
        shape = ", ".join(map(index_text, buffer.shape))
        shown.append([buffer.name, f"{buffer.type}[{shape}]", buffer.role.value, -1 if value is None else value])
    return shown
