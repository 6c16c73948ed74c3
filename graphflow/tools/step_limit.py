"""The shortest time that a whole step could take on a machine: the roofline of each of its kernels, added up.

A kernel needs at least the longer of its arithmetic at the machine's peak and its memory traffic. Every operand is moved once, at the rate
of the level of memory in which it can still be: the one that holds what has been moved since the operand was last used (the stack distance
of Mattson, Gecsei, Slutz and Traiger, 1970, by whole operands). Steps follow each other: between two uses of a weight that a step touches
once lies all that a step moves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from graphflow.compiler.calls import Argument, BoundCall
from graphflow.compiler.groups import Shape
from graphflow.compiler.lower.windows import combs_of
from graphflow.compiler.plan import BoundPlan
from graphflow.kernel.index import evaluate
from graphflow.tools.machine import Machine
from graphflow.tools.roofline import kernel_sizes, traffic_of


class Limit(NamedTuple):
    """Floating-point operations, bytes moved, and the seconds that no execution on the machine can be shorter than."""

    flops: float
    bytes: float
    seconds: float


def limits_of(bound: BoundPlan, machine: Machine) -> list[Limit]:
    """For each call of a plan the limit of one execution by all threads. Jumps and calls of Python have none.

    A contraction counts the products that it is defined by (see `products`), not those of padded columns that its kernel may do besides.
    What stands in a loop is taken to be executed once between its neighbours.
    """
    works: list[tuple[float, list[tuple[Argument, float]]]] = []
    for step, call in zip(bound.compiled.steps, bound.calls, strict=True):
        if step.lowered is None or not isinstance(call, BoundCall):
            works.append((0.0, []))
            continue
        flops, moved = traffic_of(step.lowered.kernel, kernel_sizes(step, bound.sizes))
        if step.group.form is Shape.CONTRACTION and step.group.root is not None:
            flops = 2.0 * products(step.group.root.op, bound.sizes)
        places = {b.name: argument for b, argument in zip(step.lowered.kernel.buffers, call.arguments, strict=False)}
        works.append((flops, [(places[name], count) for name, count in moved.items()]))
    limits: list[Limit] = []
    last_use: dict[Argument, float] = {}
    position = 0.0  # bytes moved so far
    for _ in range(2):  # the first round is the step before
        limits = []
        for flops, moves in works:
            memory = sum(count / machine.level(position - last_use.get(place, -math.inf) + count)[1] for place, count in moves)
            total = sum(count for _, count in moves)
            position += total
            last_use.update((place, position) for place, _ in moves)
            limits.append(Limit(flops, total, max(flops / machine.flops, memory)))
    return limits


def products(op: Any, sizes: Mapping[str, int]) -> float:
    """How many products a contraction (core.SumOfProducts) is defined by. Under windows over a border of zeros each element inside meets
    each step of the window once at most: so the gradient of a convolution for its input counts as many as the convolution. Each tap of a
    comb belongs to one row."""
    count = float(math.prod(evaluate(extent, sizes) for extent in op.extents))
    combs = combs_of(op)
    for comb in combs:
        count *= 1 if comb.size is None else comb.size / (op.extents[comb.row] * op.extents[comb.tap])
    phases = {comb.row for comb in combs}
    for (terms, _), size in op.inside:
        for row in (axis for axis, _ in terms if axis < op.free and axis not in phases):
            count *= min(1.0, size / max(1, evaluate(op.extents[row], sizes)))
    return count


def step_limit(bound: BoundPlan, times: Sequence[float], machine: Machine) -> Limit:
    """The sum over a step in which call k is executed times[k] times."""
    calls = list(zip(times, limits_of(bound, machine), strict=True))
    return Limit(*(sum(n * limit[part] for n, limit in calls) for part in range(3)))


def about_run(session: Any, fetches: Any, feed_dict: Mapping[Any, Any], machine: Machine) -> dict[str, Any]:
    """Runs once and describes the run: `limit` of the step, its `calls` and how many `kernels` they are, and
    `arena` with the lower bound of its bytes, `arena_bound`. A run in parts is described by the part that takes longest at least."""
    from graphflow.tools.recorder import Recorder

    recorder = Recorder()
    with session._engine.tracing(recorder):
        session.run(fetches, feed_dict)
    limit, signature = max(((step_limit(s.bound, s.times, machine), s) for s in recorder.signatures), key=lambda pair: pair[0].seconds)
    bound = signature.bound
    return {
        "limit": {name: float(number) for name, number in limit._asdict().items()}, "calls": int(signature.times.sum()),
        "kernels": len(bound.compiled.codes), "arena": bound.placement.total, "arena_bound": bound.placement.bound,
    }  # fmt: skip
