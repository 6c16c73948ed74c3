"""The shortest time that a whole step could take on a machine: the roofline of each of its kernels, added up.

A kernel needs at least the longer of its arithmetic at the machine's peak and its memory traffic. Every operand is moved once, at the rate of
the level of memory in which it can still be: the one that holds what has been moved since the operand was last used (the stack distance of
Mattson, Gecsei, Slutz and Traiger, 1970, by whole operands). Steps follow each other, so a weight that a step touches once has been
through everything else in the meantime.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from graphflow.compiler.plan import Argument, BoundCall, BoundPlan
from graphflow.tools.machine import Machine
from graphflow.tools.roofline import kernel_sizes, traffic_of


class Limit(NamedTuple):
    """What one call must do: floating-point operations, bytes, and the seconds that either takes at least."""

    flops: float
    bytes: float
    compute: float
    memory: float

    @property
    def seconds(self) -> float:
        """No execution on this machine is shorter."""
        return max(self.compute, self.memory)


def limits_of(bound: BoundPlan, machine: Machine) -> list[Limit]:
    """For each call of a plan what one execution takes at least, all threads working on it. Jumps and calls of Python take no time."""
    works: list[tuple[float, list[tuple[Argument, float]]]] = []
    for step, call in zip(bound.compiled.steps, bound.calls, strict=True):
        if step.lowered is None or not isinstance(call, BoundCall):
            works.append((0.0, []))
            continue
        kernel = step.lowered.kernel
        flops, moved = traffic_of(kernel, kernel_sizes(step, bound.sizes))
        places = {b.name: argument for b, argument in zip(kernel.buffers, call.arguments, strict=False)}
        works.append((flops, [(places[name], count) for name, count in moved.items()]))
    last_use: dict[Argument, float] = {}
    for _ in range(2):  # the first round is the step before
        limits = []
        position = sum(last_use.values(), 0.0) and max(last_use.values())
        for flops, moves in works:
            memory = sum(count / machine.level(position - last_use.get(place, 0.0) + count)[1] for place, count in moves)
            moved_here = sum(count for _, count in moves)
            position += moved_here
            last_use.update((place, position) for place, _ in moves)
            limits.append(Limit(flops, moved_here, flops / machine.flops, memory))
    return limits


def step_limit(bound: BoundPlan, times: Sequence[float], machine: Machine) -> Limit:
    """The sum over a step in which call k is executed times[k] times. Its `seconds` is the sum of the calls' seconds."""
    calls = [(n, limit) for n, limit in zip(times, limits_of(bound, machine), strict=True)]
    return StepLimit(*(sum(n * limit[k] for n, limit in calls) for k in range(4)), sum(n * limit.seconds for n, limit in calls))


def about_run(session: Any, fetches: Any, feed_dict: Mapping[Any, Any], machine: Machine) -> dict[str, Any]:
    """Runs once and describes the run: its `limit_s`, `flops`, `bytes`, how many kernels and calls it has, how many threads it is given,
    and how large its arena is beside the lower bound."""
