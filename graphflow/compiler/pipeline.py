"""The order of the passes, and from a Program to kernels with places for all values.

    compiled = compile_program(program, jit, options, feeds=names of the fed tensors in order)

`jit` is the runtime's Jit: `target`, and `compile_many(requests)` giving code for requests (key, make_text, functions).

    bound = compiled.bind(shapes)              shapes of the fed arrays, in the order of the feeds: milliseconds, compiles nothing
    compiled.states                            every variable (and random position) that is touched: plan.State
    compiled.report                            dump.CompiledReport: every stage as text

`runtime/launch.py` makes something that runs of a bound plan, the session's storage and an executor:

    launch = Launch(bound, storage, executor)  storage: State.name -> the array that holds it (dense, of the State's dtype and shape)
    results = launch.run(arrays)               one array per output of the Program, the caller's own; raises tf.errors.*
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from graphflow.compiler.dump import CompiledReport, Stage, write
from graphflow.compiler.groups import Group, Shape, singleton
from graphflow.compiler.lower import KERNEL_NAME, CannotFuse, Lowered, lower_group
from graphflow.compiler.passes.canonicalise import canonicalise
from graphflow.compiler.passes.cleanup import cse, dce, fold_constants
from graphflow.compiler.passes.fuse import explode, fuse
from graphflow.compiler.passes.layout import choose_layout
from graphflow.compiler.passes.rewrite import highest_id
from graphflow.compiler.passes.settle import settle
from graphflow.compiler.passes.simplify import simplify
from graphflow.compiler.plan import BoundPlan, CompiledProgram, Location, Parameters, Step
from graphflow.compiler.program import Node, Program, Source, Value
from graphflow.compiler.schedule import Memory, schedule
from graphflow.compiler.verify import verify, verify_plan
from graphflow.config import Options
from graphflow.kernel.nodes import Kernel
from graphflow.ops.core import Copy

CANONICAL, LAYOUT, OWNED, GROUPS, ORDER = "canonical spelling", "layout", "owned outputs", "groups", "order"


class Pass(NamedTuple):
    """A step of the pipeline. `required` passes cannot be switched off: what follows cannot work without them."""

    name: str
    function: Callable[[Program], Program]
    why: str
    requires: tuple[str, ...] = ()
    establishes: tuple[str, ...] = ()
    required: bool = False


PASSES: tuple[Pass, ...] = (
    Pass("fold_constants", fold_constants, "shows numbers and sizes to the algebra"),
    Pass("canonicalise", canonicalise, "one spelling per idea, so later tables stay short", establishes=(CANONICAL,)),
    Pass("simplify", simplify, "less to compute", requires=(CANONICAL,)),
    Pass("cse", cse, "equal values become one before fusion decides what to share"),
    Pass("dce", dce, "what simplification left unused must not be fused"),
    Pass("layout", choose_layout, "before fusion: what feeds a contraction is then read in place", establishes=(LAYOUT,)),
    Pass("settle", settle, "fusion must see the copies that outputs and variables need", establishes=(OWNED,), required=True),
    Pass("fuse", fuse, "one kernel for what belongs together", requires=(OWNED,), establishes=(GROUPS,), required=True),
    Pass("schedule", schedule, "an order that keeps little memory alive", requires=(GROUPS,), establishes=(ORDER,)),
)


def _check_order(passes: Sequence[Pass]) -> None:
    there: set[str] = set()
    for p in passes:
        missing = set(p.requires) - there
        if missing:
            raise ValueError(f"the pass {p.name} requires {', '.join(sorted(missing))}, which no pass before it establishes")
        there.update(p.establishes)


_check_order(PASSES)


def run_passes(program: Program, options: Options, watch: Callable[[Stage], None] | None = None) -> Program:
    """All passes that the options allow, in order."""
    if options.verify:
        verify(program, "capture")
    for number, p in enumerate(PASSES):
        off = p.name in options.passes_off or (options.pass_limit is not None and number >= options.pass_limit)
        if off and not p.required:
            continue
        if off and p.name == "fuse":
            before, program = program, program._replace(nodes=tuple(singleton(n) for n in program.nodes))
            continue
        start = time.perf_counter()
        before, program = program, p.function(program)
        if watch is not None:
            watch(Stage(p.name, time.perf_counter() - start, before, program))
        if options.verify > 1 and program is not before:
            verify(program, p.name)
    if options.verify == 1:
        verify(program, "all passes")
    return program


def compile_program(program: Program, jit: Any, options: Options, feeds: Sequence[str], graph: str = "") -> CompiledProgram:
    """Passes, lowering, native code. `graph`: text of the graph it was captured from, for the report and the dump."""
    collecting = gc.isenabled()
    gc.disable()  # nothing here makes garbage in cycles, and going through a whole process' objects takes as long as compiling
    try:
        return _compile(program, jit, options, feeds, graph)
    finally:
        if collecting:
            gc.enable()


def _compile(program: Program, jit: Any, options: Options, feeds: Sequence[str], graph: str) -> CompiledProgram:
    stages: list[Stage] = []
    program = run_passes(program, options, stages.append)
    program, lowered = lower_all(program, jit.target)
    groups = [n for n in program.nodes if isinstance(n, Group)]
    order = [g for g in groups if g.form is not Shape.ALIAS]
    memory = Memory(program, groups, order, lowered)
    steps = [Step(step_name(k, g), g, low) for k, (g, low) in enumerate(zip(order, lowered, strict=True))]
    numbers = {i.name: n for n, i in enumerate(i for i in program.inputs if i.source is Source.STATE)}
    places = dict(memory.places)
    for name, value in memory.copies:
        group, low = _copy_group(value, program)
        places[group.outputs[0].id] = Location("state", numbers[name])
        steps.append(Step(f"k{len(steps)}_write_{name.replace('/', '_')}", group, low))
    kernel_of, kernels = distinct([s.lowered for s in steps])
    codes = jit.compile_many([_request(text, k, jit.target) for text, k in kernels.items()]) if kernels else []
    given = {i.name: i for i in program.inputs if i.source is Source.FEED}
    parameters = Parameters(program, tuple(steps), places, memory.blocks, memory.scratch)
    compiled = CompiledProgram(parameters, kernel_of, codes, [given[name] for name in feeds])
    compiled.report = CompiledReport(compiled, stages, jit, graph)
    watchers: list[Callable[[BoundPlan], None]] = [verify_plan] if options.verify > 1 else []
    if options.dump_to:
        watchers.append(write(compiled.report, options.dump_to))
    compiled.on_bind = tuple(watchers)
    return compiled


def lower_all(program: Program, target: Any) -> tuple[Program, list[Lowered | None]]:
    """A kernel for every group that is one. A group that turns out to have no loop nest is taken apart."""
    nodes: list[Node] = []
    lowered: list[Lowered | None] = []
    waiting: list[Node] = list(reversed(program.nodes))
    fresh = 1 + highest_id(program)
    while waiting:
        group = waiting.pop()
        assert isinstance(group, Group)
        if group.form is not Shape.ALIAS:
            try:
                low = None if group.form is Shape.HOST else lower_group(group, target)
            except CannotFuse:
                if len(group.nodes) == 1:
                    raise
                parts = explode(group, fresh)
                fresh += sum(len(n.outputs) for n in group.nodes)
                waiting.extend(reversed(parts))
                continue
            lowered.append(low)
        nodes.append(group)
    return (program if len(nodes) == len(program.nodes) else program._replace(nodes=tuple(nodes))), lowered


def _copy_group(value: Value, program: Program) -> tuple[Group, Lowered]:
    """The kernel that puts a new value into its variable after everything else."""
    target = Value(-1 - value.id, value.dtype, value.shape)
    node = Node(Copy(), (value,), (target,))
    group = Group(Shape.POINTWISE, (node,), (value,), (target,))
    return group, lower_group(group, None)


def step_name(number: int, group: Group) -> str:
    """A kernel's name for people: its number and the scope of what it computes."""
    for origin in reversed(group.origins):
        return f"k{number}_" + "".join(c if c.isalnum() else "_" for c in origin.name)[:60]
    return f"k{number}_{group.form.value}"


def distinct(lowered: Sequence[Lowered | None]) -> tuple[list[int], dict[str, Kernel]]:
    """For each kernel its number among the distinct ones (-1 where there is none), and those by their text."""
    seen: dict[str, int] = {}
    found: dict[str, Kernel] = {}
    numbers = []
    for low in lowered:
        if low is not None and low.text not in seen:
            seen[low.text] = len(found)
            found[low.text] = low.kernel
        numbers.append(-1 if low is None else seen[low.text])
    return numbers, found


class Request(NamedTuple):
    """One kernel to compile, as the runtime's Jit wants it."""

    key: str
    make_text: Callable[[], str]
    functions: tuple[str, ...]


def _request(text: str, kernel: Kernel, target: Any) -> Request:
    def make_text() -> str:
        from graphflow.compiler.llvm.kernel import emit_kernel  # not needed where the code is cached

        return emit_kernel(kernel, target)

    functions = tuple(f"{KERNEL_NAME}.phase{n}" for n in range(len(kernel.phases)))
    return Request(text, make_text, functions)
