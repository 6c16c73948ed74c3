"""What each pass did: nodes removed, added and changed, by which rules, in which time."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from typing import Any

from graphflow.compiler.dump import CompiledReport, Stage, node_text, program_text
from graphflow.compiler.pipeline import PASSES
from graphflow.compiler.program import Node, Program
from graphflow.tools.report.walk import groups, leaves

WHY = {p.name: p.why for p in PASSES}
EXAMPLES = 4  # of a rule's work

Keep = Callable[[str], str]


def passes(report: CompiledReport, keep: Keep) -> list[dict[str, Any]]:
    """One row for capture and each pass. `keep` puts a text away and gives the key under which the page finds it; a pass that changed
    nothing has the key of the one before."""
    first = report.stages[0].before
    key = keep(program_text(first))
    rows: list[dict[str, Any]] = [{
        "name": "capture", "why": "the part of the graph that this run needs", "seconds": 0.0, "nodes": len(list(leaves(first.nodes))),
        "removed": 0, "added": 0, "changed": 0, "rules": [], "text": key,
    }]  # fmt: skip
    for stage in report.stages:
        if stage.after is not stage.before:
            key = keep(program_text(stage.after))
        rows.append({"name": stage.name, "why": WHY.get(stage.name, ""), "seconds": stage.seconds, "text": key, **_difference(stage)})
    return rows


def _difference(stage: Stage) -> dict[str, Any]:
    before, after = _by_result(stage.before), _by_result(stage.after)
    removed = [n for key, n in before.items() if key not in after]
    added = [n for key, n in after.items() if key not in before]
    changed = [n for key, n in after.items() if key in before and _spelled(n) != _spelled(before[key])]
    common = [key for key in after if key in before]
    rank = {key: k for k, key in enumerate(before)}
    grouped = sum(len(g.nodes) for g in groups(stage.after.nodes) if len(g.nodes) > 1) if not any(groups(stage.before.nodes)) else 0
    return {
        "moved": 0 if grouped else len(common) - _longest_rise([rank[key] for key in common]), "grouped": grouped,
        "nodes": len(after), "removed": len(removed), "added": len(added), "changed": len(changed), "rules": _rules(stage),
        "groups": sum(1 for _ in groups(stage.after.nodes)),
    }  # fmt: skip


def _longest_rise(numbers: list[int]) -> int:
    """Length of the longest increasing subsequence: what need not move for the order to change as it did."""
    tails: list[int] = []
    for number in numbers:
        place = bisect_left(tails, number)
        tails[place : place + 1] = [number]
    return len(tails)


def _by_result(program: Program) -> dict[tuple[int, ...], Node]:
    return {tuple(v.id for v in n.outputs): n for n in leaves(program.nodes)}


def _spelled(node: Node) -> tuple[Any, ...]:
    return node.op, tuple(v.id for v in node.inputs)


def _rules(stage: Stage) -> list[dict[str, Any]]:
    """The rules that replaced nodes, how often, and on what."""
    made = {v.id: n for n in leaves(stage.after.nodes) for v in n.outputs}
    named: dict[str, list[str]] = {}
    for change in stage.changes:
        operand = change.results and change.results[0].id in {v.id for v in change.node.inputs}
        new = made.get(change.results[0].id) if change.results and not operand else None
        rule = change.rule or f"{change.node.op.type} -> {'its operand' if new is None else new.op.type}"
        named.setdefault(rule, []).append(node_text(change.node) + (f"   {change.node.origins[-1].name}" if change.node.origins else ""))
    counts = Counter({rule: len(found) for rule, found in named.items()})
    return [{"rule": rule, "count": count, "examples": named[rule][:EXAMPLES]} for rule, count in counts.most_common()]
