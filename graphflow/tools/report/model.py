"""Everything that the page shows, as plain data that JSON can hold. The view (view/) knows nothing else."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from typing import Any

from graphflow.compiler.dump import CompiledReport
from graphflow.graph.operation import Operation
from graphflow.tools.machine import Machine
from graphflow.tools.recorder import Signature
from graphflow.tools.report.kernels import kernels
from graphflow.tools.report.memory import memory
from graphflow.tools.report.ops import Sources, operations, rows_of
from graphflow.tools.report.passes import passes
from graphflow.tools.report.walk import leaves

FORMAT = 1
LAPS = 20_000  # of the time line


class Model:
    """`data` for the page at once; `texts` by key: long listings that are unpacked when they are looked at."""

    def __init__(self, title: str, machine: Machine | None) -> None:
        import graphflow

        self.machine = machine
        self.texts: dict[str, str] = {}
        self.sources = Sources()
        self.data: dict[str, Any] = {
            "format": FORMAT, "title": title, "version": graphflow.graphflow_version, "python": platform.python_version(),
            "machine": None if machine is None else machine._asdict(), "start": "#/0/overview",
            "sources": self.sources.files, "signatures": [],
        }  # fmt: skip

    def keep(self, text: str) -> str:
        """Put a long text away; equal texts are kept once."""
        key = hashlib.sha256(text.encode()).hexdigest()[:12]
        self.texts[key] = text
        return key

    def add_graph(self, title: str, ops: Sequence[Operation]) -> None:
        """Operations that nothing was compiled of."""
        nothing = {"total": 0, "bound": 0, "unplanned": 0, "method": "", "blocks": [], "live": [], "peak": 0, "outside": []}
        self.data["signatures"].append({
            "title": title, "cpu": "", "sizes": {}, "runs": 0, "wall": 0.0, **rows_of(ops, {}, {}, {}, self.sources), "kernels": [],
            "codes": [],
            "passes": [], "memory": nothing, "laps": [],
        })  # fmt: skip

    def add(self, signature: Signature) -> None:
        """One compiled signature with the times of its runs."""
        assert self.machine is not None
        report: CompiledReport = signature.compiled.report
        bound, mean = signature.bound, [float(x) for x in signature.mean]
        found = operations(report, bound.sizes, mean, self.sources)
        numbers = {row[0]: k for k, row in enumerate(found["ops"])}
        self.data["signatures"].append({
            "title": title_of(report), "cpu": f"{report.target.name}: {report.target.cpu}", "sizes": bound.sizes, "runs": signature.runs,
            "wall": signature.wall / max(signature.runs, 1), **found,
            **kernels(report, bound, mean, signature.times, signature.threads, signature.runs, self.machine, numbers, self.keep),
            "passes": passes(report, self.keep), "memory": memory(report, bound),
            "laps": [[lap.call, lap.thread, round(lap.start * 1e9), round(lap.end * 1e9), lap.times] for lap in signature.laps[:LAPS]],
        })  # fmt: skip


def model_of(title: str, signatures: Sequence[Signature], machine: Machine) -> Model:
    """The model of a program that ran these signatures."""
    model = Model(title, machine)
    for signature in signatures:
        model.add(signature)
    return model


def title_of(report: CompiledReport) -> str:
    """What a signature gives: the operations that are fetched, and how many variables it changes."""
    program = report.stages[0].before
    made = {v.id: n for n in leaves(program.nodes) for v in n.outputs}
    given = {i.value.id: i.name for i in program.inputs}
    shown = []
    for value in program.outputs:
        node = made.get(value.id)
        shown.append(node.origins[-1].name if node is not None and node.origins else given.get(value.id, "literal"))
    names = list(dict.fromkeys(shown))
    text = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    updates = len(program.updates)
    changed = f"{updates} variable{'s' * (updates != 1)} changed" if updates else ""
    return "; ".join(filter(None, (text, changed))) or "nothing"
