"""The order of the passes, and from a Program to kernels with places for all values.

    compiled = compile_program(program, jit, options, feeds=names of the fed tensors in order)

`jit` is the runtime's Jit: `target`, `compile_many(requests)` giving code for requests (key, make_text, functions), `begin(request)`
announcing one of them, and `notes`, what is kept of kernels between processes.

    bound = compiled.bind(shapes)              shapes of the fed arrays, in the order of the feeds: milliseconds, compiles nothing
    compiled.states                            every variable (and random position) that is touched: plan.State
    compiled.report                            dump.CompiledReport: every stage as text

`runtime/launch.py` makes something that runs of a bound plan, the session's storage and an executor:

    launch = Launch(bound, storage, executor)  storage: State.name -> the array that holds it (dense, of the State's dtype and shape)
    results = launch.run(arrays)               one array per output of the Program, the caller's own; raises tf.errors.*
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

from graphflow.compiler.dump import CompiledReport, Stage, write
from graphflow.compiler.groups import singleton
from graphflow.compiler.linear import announce, linearise
from graphflow.compiler.lower import KERNEL_NAME, Lowered, lower_group
from graphflow.compiler.passes.borders import note_borders
from graphflow.compiler.passes.canonicalise import canonicalise
from graphflow.compiler.passes.channels import channels_last
from graphflow.compiler.passes.cleanup import cse, dce, fold_constants
from graphflow.compiler.passes.clusters import Past
from graphflow.compiler.passes.fuse import fuse
from graphflow.compiler.passes.gather import gather_sums
from graphflow.compiler.passes.layout import choose_layout
from graphflow.compiler.passes.loops import hoist, unset, unused
from graphflow.compiler.passes.minimal import allow_minimal
from graphflow.compiler.passes.overwrite import overwrite
from graphflow.compiler.passes.rewrite import recorded
from graphflow.compiler.passes.settle import settle, settle_body
from graphflow.compiler.passes.simplify import simplify
from graphflow.compiler.passes.turn import turn
from graphflow.compiler.plan import BoundPlan, CompiledProgram, Parameters
from graphflow.compiler.program import Program, Source
from graphflow.compiler.regions import Region, in_bodies
from graphflow.compiler.schedule import schedule
from graphflow.compiler.verify import verify, verify_plan
from graphflow.config import Options
from graphflow.graph.operation import Operation

USUAL = 8, 512  # sizes that plans are priced for: smaller and larger first runs may be followed by others
CANONICAL, LAYOUT, OWNED, GROUPS, PLACES, ORDER = "canonical spelling", "layout", "owned outputs", "groups", "places", "order"


class Pass(NamedTuple):
    """A step of the pipeline. `required` passes cannot be switched off: what follows cannot work without them."""

    name: str
    function: Callable[[Program], Program]
    why: str
    requires: tuple[str, ...] = ()
    establishes: tuple[str, ...] = ()
    required: bool = False
    inner: Callable[[Program], Program] | None = None  # for the bodies of loops and branches; None: `function` as well

    def everywhere(self, program: Program) -> Program:
        """The pass on a Program, and on the bodies inside it."""
        return self._bodies(self.function(program))

    def _bodies(self, program: Program) -> Program:
        inner = self.inner or self.function
        return in_bodies(program, lambda body: self._bodies(inner(body)))


PASSES: tuple[Pass, ...] = (
    Pass("fold_constants", fold_constants, "shows numbers and sizes to the algebra"),
    Pass("canonicalise", canonicalise, "one spelling per idea, so later tables stay short", establishes=(CANONICAL,)),
    Pass("simplify", simplify, "less to compute", requires=(CANONICAL,)),
    Pass("cse", cse, "equal values become one before fusion decides what to share"),
    Pass("unused", unused, "records that no loop backwards reads are not written"),
    Pass("hoist", hoist, "before fusion, which would write it into the loop's kernels"),
    Pass("unset", unset, "after cse, which would make one memory of all"),
    Pass("dce", dce, "what simplification left unused must not be fused"),
    Pass("channels", channels_last, "before layout, which has contractions read through the transpositions that are left"),
    Pass("gather_sums", gather_sums, "before fusion: a product takes the sum of those before it into its epilogue"),
    Pass("layout", choose_layout, "before fusion: what feeds a contraction is then read in place", establishes=(LAYOUT,)),
    Pass("turn", turn, "after layout, which has products read what is transposed where it lies", requires=(LAYOUT,)),
    Pass("borders", note_borders, "after layout and turn, whose maps of the operands are the last", requires=(LAYOUT,)),
    Pass("minimal", allow_minimal, "after layout: which axes are channels and which positions is settled then", requires=(LAYOUT,)),
    Pass("settle", settle, "fusion must see the copies that outputs and variables need", establishes=(OWNED,), required=True,
         inner=settle_body),
    Pass("fuse", fuse, "one kernel for what belongs together", requires=(OWNED,), establishes=(GROUPS,), required=True),
    Pass("overwrite", overwrite, "what is changed in place has no later reader", requires=(GROUPS,), establishes=(PLACES,), required=True),
    Pass("schedule", schedule, "readers before what changes their operands, little memory alive", requires=(PLACES,), establishes=(ORDER,),
         required=True),
)


def _check_order(passes: Sequence[Pass]) -> None:
    there: set[str] = set()
    for p in passes:
        missing = set(p.requires) - there
        if missing:
            raise ValueError(f"the pass {p.name} requires {', '.join(sorted(missing))}, which no pass before it establishes")
        there.update(p.establishes)


_check_order(PASSES)


def run_passes(program: Program, options: Options, watch: Callable[[Stage], None] | None = None, past: Past | None = None,
               ready: Callable[[Program], None] | None = None) -> Program:  # fmt: skip
    """All passes that the options allow, in order. `past`: of this session's Programs. `ready` is told of the Program as soon as it has the
    groups that will be kernels, while their order is yet to be found."""
    if options.verify > 1:
        verify(program, "capture", thorough=True)
    regions = any(isinstance(n.op, Region) for n in program.nodes)
    for number, p in enumerate(PASSES):
        off = p.name in options.passes_off or (options.pass_limit is not None and number >= options.pass_limit)
        if off and not p.required:
            continue
        if p.name == "fuse" and off:
            p = p._replace(function=unfused)
        elif p.name == "fuse" and not regions:
            p = p._replace(function=partial(fuse, past=past))
        start = time.perf_counter()
        before = program
        program, changes = recorded(p.everywhere if regions else p.function, program)
        if watch is not None:
            watch(Stage(p.name, time.perf_counter() - start, before, program, changes))
        if options.verify > 1 and program is not before:
            verify(program, p.name, thorough=True)
        if ready is not None and PLACES in p.establishes:
            ready(program)
    if options.verify == 1:
        verify(program, "all passes")
    return program


def unfused(program: Program) -> Program:
    """A group for each node: what there is instead of fusion."""
    return program._replace(nodes=tuple(singleton(n) for n in program.nodes))


def compile_program(
    program: Program, jit: Any, options: Options, feeds: Sequence[str], operations: Sequence[Operation] = (),
    shapes: Sequence[Sequence[int]] | None = None, past: Past | None = None,
) -> CompiledProgram:  # fmt: skip
    """Passes, lowering, native code. `operations`: those that it was captured from, for the report and the dump. `shapes`: of the feeds of
    the first run, whose plan is bound while other threads generate code, and which kernels are priced for. `past`: of this session's
    Programs."""
    requests: dict[str, Request] = {}

    def begin(low: Lowered) -> None:
        """Has a kernel compiled on another thread from now on."""
        if low.text not in requests:
            requests[low.text] = request = _request(low, jit.target)
            jit.begin(request)

    usual = {} if shapes is None else usual_sizes(program, dict(zip(feeds, shapes, strict=True)))
    writing = partial(lower_group, target=jit.target, notes=jit.notes, usual=usual)
    stages: list[Stage] = []
    program = run_passes(program, options, stages.append, past, lambda grouped: announce(grouped, writing, begin))
    linear = linearise(program, writing, begin)
    steps = linear.steps
    kernel_of, kernels = distinct([s.lowered for s in steps])
    given = {i.name: i for i in program.inputs if i.source is Source.FEED}
    parameters = Parameters(program, *linear)
    compiled = CompiledProgram(parameters, kernel_of, [given[name] for name in feeds])
    compiled.report = CompiledReport(compiled, stages, jit, operations)
    watchers: list[Callable[[BoundPlan], None]] = [verify_plan] if options.verify > 1 else []
    if options.dump_to:
        watchers.append(write(compiled.report, options.dump_to))
    compiled.on_bind = tuple(watchers)
    if shapes is not None:
        compiled.bind(shapes)
    compiled.codes = tuple(jit.compile_many([requests[low.text] for low in kernels])) if kernels else ()
    return compiled


def usual_sizes(program: Program, shapes: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """What kernels take the symbols of a Program to be where that makes a difference to speed: the sizes of its first run, within USUAL."""
    least, most = USUAL
    return {n: min(max(int(shapes[feed][axis]), least), most) for n, (feed, axis) in program.symbols.items() if feed in shapes}


def distinct(lowered: Sequence[Lowered | None]) -> tuple[list[int], list[Lowered]]:
    """For each kernel its number among the distinct ones (-1 where there is none), and the first of each of those."""
    seen: dict[str, int] = {}
    found: list[Lowered] = []
    numbers = []
    for low in lowered:
        if low is not None and low.text not in seen:
            seen[low.text] = len(found)
            found.append(low)
        numbers.append(-1 if low is None else seen[low.text])
    return numbers, found


class Request(NamedTuple):
    """One kernel to compile, as the runtime's Jit wants it."""

    key: str
    make_text: Callable[[], str]
    functions: tuple[str, ...]


def _request(low: Lowered, target: Any) -> Request:
    def make_text() -> str:
        from graphflow.compiler.llvm.kernel import emit_kernel  # not needed where the code is cached

        return emit_kernel(low.kernel, target)

    return Request(low.text, make_text, _functions(len(low.parallel)))


@lru_cache(maxsize=64)
def _functions(phases: int) -> tuple[str, ...]:
    """The names of a kernel's functions."""
    return tuple(f"{KERNEL_NAME}.phase{n}" for n in range(phases))
