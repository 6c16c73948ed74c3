"""`graphflow dump PROGRAM.py`: one stage of one compiled signature as text, for reading and for comparing.

    graphflow dump train.py                                  the Program after all passes
    graphflow dump train.py --after simplify                 ... after one; also "graph", "capture" and "plan"
    graphflow dump train.py --kernel k3 [--code llvm|asm]    a kernel's loop IR, LLVM IR or assembly
    graphflow dump train.py --explain dense/MatMul dense/Relu

The program runs to its end; what it prints goes to the standard error. Of several compiled signatures the one that ran most often is taken
(of those that ran equally often one that is fed, then the largest), or the one that `--signature` names by its number in the order in which
they first ran.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any

from graphflow.compiler.dump import CompiledReport, node_text, plan_text, program_text
from graphflow.compiler.explain import explain
from graphflow.compiler.program import Program
from graphflow.compiler.views import program_dot
from graphflow.tools.inspect import Run, checked, split_arguments, watched
from graphflow.tools.recorder import Signature


def _value(value: Any) -> dict[str, Any]:
    return {"id": value.id, "dtype": value.dtype.name, "shape": [d if isinstance(d, int) else str(d) for d in value.shape]}


def program_json(program: Program) -> dict[str, Any]:
    """A Program as data: inputs, nodes (those of a group inside it), outputs, updates."""

    def node(n: Any) -> dict[str, Any]:
        shown: dict[str, Any] = {"op": n.op.type, "outputs": [_value(v) for v in n.outputs], "inputs": [v.id for v in n.inputs]}
        inside = getattr(n, "nodes", None)
        if inside is not None:
            return {**shown, "op": n.form.value, "nodes": [node(part) for part in inside]}
        bodies = [program_json(body.program) for body in getattr(n.op, "bodies", ())]
        origins = [{"name": o.name, "line": o.line} for o in n.origins]
        return {**shown, "text": node_text(n), "origins": origins, **({"bodies": bodies} if bodies else {})}

    return {
        "sizes": {name: list(where) for name, where in program.symbols.items()},
        "inputs": [{"source": i.source.value, "name": i.name, "value": _value(i.value)} for i in program.inputs],
        "nodes": [node(n) for n in program.nodes], "outputs": [v.id for v in program.outputs],
        "updates": {name: v.id for name, v in program.updates.items()},
    }  # fmt: skip


def stage_of(report: CompiledReport, after: str) -> Program:
    """The Program after a pass; after all of them where no pass is named. KeyError for a pass that there is not."""
    if not after:
        return report.compiled.program  # type: ignore[no-any-return]
    if after == "capture":
        return report.stages[0].before
    for stage in report.stages:
        if stage.name == after:
            return stage.after
    raise KeyError(f"no pass {after!r}; there are graph, capture, {', '.join(s.name for s in report.stages)}, plan")


def rendered(report: CompiledReport, bound: Any, after: str, kernel: str, code: str, form: str) -> str:
    """The text that is asked for. ValueError for a stage that has no such form."""
    if kernel:
        texts = {"ir": report.kernel, "llvm": report.llvm, "asm": report.assembly}
        if form == "dot":
            raise ValueError("a kernel has no drawing: take --format text or json")
        text = texts[code](kernel)
        shown = {"kernel": kernel, "code": code, "lines": text.rstrip("\n").split("\n")}
        return text if form == "text" else json.dumps(shown, indent=1) + "\n"
    if after in ("graph", "plan"):
        if form == "dot":
            raise ValueError(f"--after {after} has no drawing: take a pass")
        text = report.graph if after == "graph" else plan_text(bound)
        return text if form == "text" else json.dumps({"stage": after, "lines": text.rstrip("\n").split("\n")}, indent=1) + "\n"
    program = stage_of(report, after)
    if form == "dot":
        return program_dot(program, {id(s.group): s.name for s in report.compiled.steps})
    return program_text(program) if form == "text" else json.dumps(program_json(program), indent=1) + "\n"


def explained(signatures: Sequence[Signature], first: str, second: str) -> str:
    """`explain` for the first signature that has both operations; KeyError where none has."""
    for signature in signatures[1:]:
        try:
            return explain(signature.compiled.report, first, second)
        except KeyError:
            continue
    return explain(signatures[0].compiled.report, first, second)


def main(arguments: Sequence[str], run: Run) -> int:
    """Entry point of `graphflow dump`."""
    parser = argparse.ArgumentParser(
        prog="graphflow dump", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("program", help="a TensorFlow 1.x program; its own arguments follow (after -- where they look like these)")
    parser.add_argument("--after", default="", metavar="PASS", help="graph, capture, a pass, or plan (default: after all passes)")
    parser.add_argument("--kernel", default="", metavar="NAME", help="a kernel, by its name or number (k3)")
    parser.add_argument("--code", choices=("ir", "llvm", "asm"), default="ir", help="which code of the kernel (default: loop IR)")
    parser.add_argument("--format", choices=("text", "dot", "json"), default="text")
    parser.add_argument("--explain", nargs=2, metavar=("OP", "OP"), help="whether one kernel computes both operations, and if not, why")
    parser.add_argument("--signature", type=int, metavar="N", help="which compiled signature, from 0 in the order of their first runs")
    parser.add_argument("-o", "--output", default="", help="a file instead of the standard output")
    args, rest = split_arguments(arguments, parser)
    with redirect_stdout(sys.stderr):
        recorder, error = watched(run, checked(parser, args.program), rest)
    if error is not None:
        raise error
    found = recorder.in_order
    if not found:
        print("graphflow dump: the program ran nothing that is compiled", file=sys.stderr)
        return 1
    if args.signature is not None and not 0 <= args.signature < len(found):
        parser.error(f"--signature {args.signature}: there are {len(found)}, numbered from 0")
    ranked = sorted(found, key=lambda s: (s.runs, bool(s.compiled.feeds), len(s.compiled.report.operations)), reverse=True)
    chosen = ranked[0] if args.signature is None else found[args.signature]
    report = chosen.compiled.report
    try:
        if args.explain:
            text = explained(ranked if args.signature is None else [chosen], *args.explain) + "\n"
        else:
            text = rendered(report, chosen.bound, args.after, args.kernel, args.code, args.format)
    except (KeyError, ValueError) as wrong:
        print(f"graphflow dump: {wrong.args[0]}", file=sys.stderr)
        return 2
    if args.output:
        with open(args.output, "w", encoding="utf-8") as file:
            file.write(text)
    else:
        sys.stdout.write(text)
    return 0
