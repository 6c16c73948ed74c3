"""The stages of a compilation as text: for `GRAPHFLOW_DUMP_TO`, for `session.compiled(...)`, for golden tests.

    00-graph.txt  01-capture.txt  02-fold_constants.txt …     the Program after every pass that changed it
    kernels/k3_dense_MatMul.kernel .ll .s                      loop IR, LLVM IR, assembly
    12-plan-100.txt                                            records, places and the memory table for the sizes of a bind
    graph.dot                                                  the kernels and the values between them, for Graphviz

Every line of a Program ends with the graph ops it came from and, for the last of them, the user's line.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from graphflow.compiler.groups import Group
from graphflow.compiler.passes.rewrite import Change
from graphflow.compiler.program import Node, Program, Source, Value
from graphflow.compiler.regions import Region
from graphflow.compiler.views import program_dot
from graphflow.graph.operation import Operation
from graphflow.graph.printer import graph_text
from graphflow.kernel.printer import body_text

if TYPE_CHECKING:
    from graphflow.compiler.calls import Step
    from graphflow.compiler.llvm.target import Target
    from graphflow.compiler.plan import BoundPlan, CompiledProgram


class Stage(NamedTuple):
    """One pass as it ran."""

    name: str
    seconds: float
    before: Program
    after: Program
    changes: tuple[Change, ...] = ()


def value_text(value: Value) -> str:
    """%3: float32[d0, 10]"""
    return f"%{value.id}: {value.dtype.name}[{', '.join(map(str, value.shape))}]"


def _operand(value: Value) -> str:
    known = value.known
    if known is not None and known.size == 1:
        element = known.reshape(-1)[0]
        return f"{element!s}" if known.dtype == object else f"{element:.9g}" if known.dtype.kind == "f" else str(element)
    return f"%{value.id}"


def node_text(node: Node) -> str:
    """One node without its origins: %4: float32[d0, 10] = AddV2 %2, %3"""
    attributes = repr(node.op)[len(node.op.type) :]
    attributes = "" if attributes == "()" else attributes
    operands = " ".join(["", ", ".join(map(_operand, node.inputs))]) if node.inputs else ""
    return f"{', '.join(map(value_text, node.outputs))} = {node.op.type}{attributes}{operands}"


def origin_text(node: Node) -> str:
    """Where a node came from: the graph ops' names, and the user's line of the last one."""
    if not node.origins:
        return ""
    names = list(dict.fromkeys(o.name for o in node.origins))
    shown = ", ".join(names[-3:]) if len(names) > 3 else ", ".join(names)
    more = f"{len(names) - 3} more, " if len(names) > 3 else ""
    return f"  # {more}{shown}" + (f" ({node.origins[-1].line})" if node.origins[-1].line else "")


def program_text(program: Program) -> str:
    """The whole Program."""
    lines = [f"size {name} = " + (f"axis {axis} of {source}" if source else f"{axis} or more")
             for name, (source, axis) in program.symbols.items()]  # fmt: skip
    for given in program.inputs:
        if given.source is Source.CONSTANT:
            if given.value.known is not None and given.value.known.size > 1:
                lines.append(f"{value_text(given.value)} = constant {_contents(given.value)}")
        else:
            lines.append(f"{value_text(given.value)} = {given.source.value} {given.name}")
    for node in program.nodes:
        lines.extend(_node_lines(node))
    lines.append("outputs " + ", ".join(map(_operand, program.outputs)))
    lines.extend(f"update {name} = {_operand(value)}" for name, value in program.updates.items())
    return "\n".join(lines) + "\n"


def _contents(value: Value) -> str:
    assert value.known is not None
    elements = [str(e) for e in value.known.reshape(-1)[:8]]
    return ", ".join(elements) + (", …" if value.known.size > 8 else "")


def _node_lines(node: Node) -> list[str]:
    if not isinstance(node, Group):
        return [node_text(node) + origin_text(node), *_body_lines(node)]
    if len(node.nodes) == 1:
        return [f"{node.form.value} {node_text(node.nodes[0])}{origin_text(node)}", *_body_lines(node.nodes[0])]
    head = f"{', '.join(map(value_text, node.outputs))} = {node.form.value} of {', '.join(f'%{v.id}' for v in node.inputs)}"
    return [head, *(f"    {node_text(n)}{origin_text(n)}" for n in node.nodes)]


def _body_lines(node: Node) -> Iterator[str]:
    """The Programs inside a loop or branch, one after the other. A body numbers its values by itself."""
    for number, body in enumerate(node.op.bodies if isinstance(node.op, Region) else ()):
        yield f"    body {number}"
        yield from (f"        {line}" for line in program_text(body.program).splitlines())


def node_count(program: Program) -> int:
    """Nodes, those inside groups counted."""
    return sum(len(n.nodes) if isinstance(n, Group) else 1 for n in program.nodes)


def kernel_text(step: Step) -> str:
    """Loop IR of a step's kernel, headed by its name and what it computes."""
    origins = "".join(f"# {o.name}{'  ' + o.line if o.line else ''}\n" for o in step.group.origins)
    if step.row is not None:
        row = step.row
        return f"{origins}{step.name}: row %{row.at.id} of %{row.array.id}, written or read where it lies\n"
    if step.lowered is None:
        return f"{origins}{step.name}: Python\n"
    return f"{origins}kernel {step.name}\n{body_text(step.lowered.kernel)}"


def plan_text(bound: BoundPlan) -> str:
    """Calls, places of the values, and the memory table."""
    compiled = bound.compiled
    lines = [f"sizes {', '.join(f'{k} = {v}' for k, v in bound.sizes.items()) or 'all static'}", "", "calls"]
    for number, (step, call) in enumerate(zip(compiled.steps, bound.calls, strict=True)):
        arguments = getattr(call, "arguments", ())
        shown = ", ".join(_argument(a) for a in arguments if a.kind != "status")
        meet = "" if getattr(call, "barrier", True) else "  (no barrier after it)"
        if number in bound.links:
            link = bound.links[number].link
            meet = f"  (share by share with the next: {link.shares} shares, of {link.stride} bytes that pass)"
        lines.append(f"  {number:3d} {step.name}({shown}){meet}")
    lines += ["", "memory (bytes: from offset, steps first..last, what it holds)"]
    for block, place, symbolic in zip(bound.blocks, bound.placement.offsets, compiled.blocks, strict=True):
        lines.append(f"  {block.size:10d} at {place:10d}  steps {block.first:3d}..{block.last:3d}  {symbolic.holds}")
    p = bound.placement
    ratio = p.total / p.bound if p.bound else 1.0
    lines += [
        f"arena {p.total} bytes ({p.method}), lower bound {p.bound} bytes, ratio {ratio:.3f}",
        f"without sharing {p.unplanned} bytes, {p.unplanned / p.total:.2f} times as much" if p.total else "nothing to place",
    ]
    return "\n".join(lines) + "\n"


def _argument(argument: Any) -> str:
    kind, number = argument
    return f"arena+{number}" if kind == "arena" else f"{number}" if kind == "size" else f"{kind} {number}"


class CompiledReport:
    """Everything about one compiled signature, to look at; `operations` are those that it was captured from. `print(report)` shows the
    kernels and the memory; `report.stages`, `report.program`, `report.dot`, `report.kernel(name)`, `report.llvm(name)`,
    `report.assembly(name)` and `report.plan()` show the rest."""

    def __init__(self, compiled: CompiledProgram, stages: Sequence[Stage], jit: Any, operations: Sequence[Operation] = ()) -> None:
        self.compiled = compiled
        self.stages = tuple(stages)
        self.operations = tuple(operations)
        self._jit = jit

    @property
    def target(self) -> Target:
        """What the code is for."""
        return self._jit.target  # type: ignore[no-any-return]

    @property
    def graph(self) -> str:
        """The graph's operations that it was captured from."""
        return graph_text(self.operations) if self.operations else ""

    @property
    def program(self) -> str:
        """The Program after all passes."""
        return program_text(self.compiled.program)

    @property
    def dot(self) -> str:
        """The kernels and the values between them, as text for Graphviz."""
        return program_dot(self.compiled.program, {id(s.group): s.name for s in self.compiled.steps})

    @property
    def kernels(self) -> tuple[str, ...]:
        """Names of the kernel calls in order."""
        return tuple(s.name for s in self.compiled.steps)

    def after(self, name: str) -> str:
        """The Program after a pass (or "capture")."""
        for stage in self.stages:
            if name == "capture":
                return program_text(stage.before)
            if stage.name == name:
                return program_text(stage.after)
        raise KeyError(f"no pass {name!r}; there are capture, {', '.join(s.name for s in self.stages)}")

    def _step(self, name: str) -> Step:
        for step in self.compiled.steps:
            if name in (step.name, step.name.split("_")[0]):
                return step
        raise KeyError(f"no kernel {name!r}; there are {', '.join(self.kernels)}")

    def kernel(self, name: str) -> str:
        """Loop IR of a kernel."""
        return kernel_text(self._step(name))

    def llvm(self, name: str) -> str:
        """LLVM IR of a kernel."""
        from graphflow.compiler.llvm.kernel import emit_kernel  # only wanted where code is shown

        lowered = self._step(name).lowered
        return "" if lowered is None else emit_kernel(lowered.kernel, self._jit.target)

    def assembly(self, name: str) -> str:
        """Machine code of a kernel as text."""
        text = self.llvm(name)
        return self.assembly_of(text) if text else ""

    def assembly_of(self, llvm: str) -> str:
        """What the code generator makes of a module's text."""
        return str(self._jit.assembly(llvm))

    def plan(self, *shapes: Sequence[int]) -> str:
        """The plan for feeds of these shapes; without shapes that of the last bind."""
        return plan_text(self.compiled.bind(shapes) if shapes or not self.compiled.bound else self.compiled.bound[-1])

    def __repr__(self) -> str:
        compiled = self.compiled
        lines = [f"{len(compiled.steps)} kernel calls, {len(compiled.parallel)} distinct kernels"]
        for step in compiled.steps:
            names = list(dict.fromkeys(o.name for o in step.group.origins))
            lines.append(f"  {step.name}: {step.group.form.value} of {', '.join(names[:4])}{', …' if len(names) > 4 else ''}")
        for bound in compiled.bound[-1:]:
            lines.append(f"  arena for {', '.join(f'{k} = {v}' for k, v in bound.sizes.items()) or 'static sizes'}: {bound.placement!r}")
        for s in self.stages:
            if s.after is not s.before:
                lines.append(f"  {s.name}: {s.seconds * 1e3:.2f} ms, {node_count(s.before)} -> {node_count(s.after)} nodes")
        return "\n".join(lines)


_number = 0


def write(report: CompiledReport, folder: str) -> Callable[[BoundPlan], None]:
    """Write a compilation as files into a new numbered folder below `folder`. Returns what writes the plan once sizes are bound."""
    global _number
    _number += 1
    place = os.path.join(folder, f"{os.getpid()}-{_number:03d}")
    os.makedirs(os.path.join(place, "kernels"), exist_ok=True)

    def put(name: str, text: str) -> None:
        with open(os.path.join(place, name), "w", encoding="utf-8") as file:
            file.write(text)

    if report.graph:
        put("00-graph.txt", report.graph)
    if report.stages:
        put("01-capture.txt", program_text(report.stages[0].before))
    number = 2
    for stage in report.stages:
        if stage.after is stage.before:
            continue
        change = node_count(stage.after) - node_count(stage.before)
        head = f"# pass {stage.name}: {stage.seconds * 1e3:.3f} ms, {node_count(stage.after)} nodes ({change:+d})\n"
        put(f"{number:02d}-{stage.name}.txt", head + program_text(stage.after))
        number += 1
    shown: dict[int, str] = {}
    for step, kernel in zip(report.compiled.steps, report.compiled.kernel_of, strict=True):
        put(f"kernels/{step.name}.kernel", kernel_text(step) + (f"# the same code as {shown[kernel]}\n" if kernel in shown else ""))
        if kernel not in shown and step.lowered is not None:
            shown[kernel] = step.name
            put(f"kernels/{step.name}.ll", report.llvm(step.name))
            put(f"kernels/{step.name}.s", report.assembly(step.name))
    put("graph.dot", report.dot)
    put("summary.txt", f"{time.strftime('%Y-%m-%d %H:%M:%S')}\n{report!r}\n")

    def plan(bound: BoundPlan) -> None:
        sizes = "-".join(str(v) for v in bound.sizes.values()) or "static"
        put(f"{number:02d}-plan-{sizes}.txt", plan_text(bound))

    return plan
