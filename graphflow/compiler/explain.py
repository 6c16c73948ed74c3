"""Whether two of the graph's operations are computed by one kernel and, where they are not, which rule keeps them apart.

    explain(report, "dense/MatMul", "dense/Relu")

The pass `fuse` is repeated on the Program that it was given, this time noting what it refuses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from graphflow.compiler.dump import CompiledReport, Stage
from graphflow.compiler.groups import Group, Shape
from graphflow.compiler.lower import CannotFuse, lower_group
from graphflow.compiler.passes.clusters import Clusters
from graphflow.compiler.passes.refusals import Refusal
from graphflow.compiler.program import Node, Origin, Program
from graphflow.graph.op import Kind


def explain(report: CompiledReport, first: str, second: str) -> str:
    """One or more sentences. Raises KeyError where the compiled part of the graph has no operation of such a name."""
    known = {op.name for op in report.operations} | {o.name for o in _origins(report.stages[0].before.nodes)}
    for name in (first, second):
        if name not in known:
            there = ", ".join(sorted(known)[:12]) + (", …" if len(known) > 12 else "")
            raise KeyError(f"no operation {name!r} in this run; there are {there}")
    here = [_kernels(report, name) for name in (first, second)]
    shared = [k for k in here[0] if k in here[1]]
    if shared:
        return f"fused: {first} and {second} are computed by {', '.join(shared)}"
    for name, kernels in zip((first, second), here, strict=True):
        if not kernels:
            return f"not fused: no kernel computes {name}: {_vanished(report.stages, name)}"
    places = f"not fused: {first} is computed by {', '.join(here[0])}, {second} by {', '.join(here[1])}"
    return f"{places}\n{_reason(report, first, second)}"


def _origins(nodes: Sequence[Node]) -> Iterator[Origin]:
    for node in nodes:
        yield from node.origins


def _named(node: Node, name: str) -> bool:
    return any(o.name == name for o in node.origins)


def _kernels(report: CompiledReport, name: str) -> list[str]:
    """Names of the kernels that compute (a part of) an operation."""
    return [s.name for s in report.compiled.steps if any(_named(n, name) for n in s.group.nodes)]


def _vanished(stages: Sequence[Stage], name: str) -> str:
    """Which pass left nothing of an operation, by which rule."""
    if not any(_named(n, name) for n in stages[0].before.nodes):
        return "capture turned it into sizes, literals, or the variable itself"
    for stage in stages:
        if any(_named(n, name) for n in stage.before.nodes) and not any(_named(n, name) for n in stage.after.nodes):
            rules = dict.fromkeys(c.rule or f"{c.node.op.type} is spelled differently" for c in stage.changes if _named(c.node, name))
            return f"the pass {stage.name} took it away" + (f" ({'; '.join(rules)})" if rules else ", nothing needs it")
    return "it is another name for memory that exists already: no code"


def _reason(report: CompiledReport, first: str, second: str) -> str:
    stage = next((s for s in report.stages if s.name == "fuse"), None)
    if stage is None:
        return "The pass fuse is switched off."
    program = stage.before
    a, b = ({k for k, n in enumerate(program.nodes) if _named(n, name)} for name in (first, second))
    taken_apart = _taken_apart(report, first, second)
    if taken_apart:
        return taken_apart
    for numbers, name in ((a, first), (b, second)):
        for k in numbers:
            kind = program.nodes[k].op.kind
            if kind is Kind.KERNEL:
                return f"Rule: {program.nodes[k].op.type} ({name}) writes a kernel of its own, which takes nothing in."
            if kind is Kind.HOST:
                return f"Rule: {program.nodes[k].op.type} ({name}) runs in Python."
    refusals: list[Refusal] = []
    clusters = Clusters(program, refusals)
    for exact in (True, False):
        sides = [numbers if exact else _company(clusters, numbers) for numbers in (a, b)]
        for one, other in (sides, sides[::-1]):
            for refusal in reversed(refusals):
                if one.intersection(refusal.nodes) and other.intersection(refusal.others) and not one & set(refusal.others):
                    return f"Rule: {refusal.reason}."
    for numbers, name in ((a, first), (b, second)):
        if numbers and numbers <= clusters.floating:
            return f"Rule: {name} only moves elements; it is written into whoever reads it, or makes memory that a sum of products reads."
    if not _neighbours(clusters, a, b):
        return "Rule: neither reads what the other computes, and fusion looks at an operation and its operands."
    return "Rule: each joined another operand's kernel first."


def _company(clusters: Clusters, numbers: set[int]) -> set[int]:
    """The nodes, and all that they are computed with."""
    found = set(numbers)
    for k in numbers:
        cluster = clusters.of[k]
        found.update(() if cluster is None else cluster.nodes)
    return found


def _neighbours(clusters: Clusters, a: set[int], b: set[int]) -> bool:
    sides = _company(clusters, a), _company(clusters, b)
    return any(clusters.reads[k] & other for one, other in (sides, sides[::-1]) for k in one if k not in clusters.floating)


def _taken_apart(report: CompiledReport, first: str, second: str) -> str:
    """Where fusion put both into a group that turned out to have no loop nest: what lowering said."""
    program: Program = report.stages[-1].after
    for group in program.nodes:
        if not isinstance(group, Group) or group.form in (Shape.ALIAS, Shape.HOST):
            continue
        if all(any(_named(n, name) for n in group.nodes) for name in (first, second)):
            try:
                lower_group(group, report.target)
            except CannotFuse as error:
                return f"Rule: the pass fuse put them together, but they have no common loop nest: {error}."
    return ""
