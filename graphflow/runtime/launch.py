"""A bound plan with a session's storage, ready to run."""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NoReturn

import numpy as np

from graphflow import errors
from graphflow.compiler.calls import Argument, BoundCall, BoundJump, BoundMeasuring, BoundRow, HostArgument, HostCall
from graphflow.compiler.plan import BoundPlan, cost_of
from graphflow.kernel.index import evaluate
from graphflow.kernel.nodes import Check
from graphflow.runtime import layout
from graphflow.runtime.buffers import Arena, address, aligned_copy
from graphflow.runtime.entries import NOTHING, STATUS, Call, Chain, Entry, Find, Jump, Link, Measure, Pause, Row, Size, Slot
from graphflow.runtime.executor import Executor, Failure, NativePlan, Timing
from graphflow.runtime.steps import Overrun

Array = np.ndarray[Any, Any]


class Launch:
    """Runs one plan again and again. `storage` holds the variables' arrays by name; they must stay where they are."""

    def __init__(self, bound: BoundPlan, storage: Mapping[str, Array], executor: Executor, arena: Arena | None = None) -> None:
        check_room(bound)
        self.bound = bound
        compiled = bound.compiled
        self._arena = arena if arena is not None else Arena()
        self._arena.reserve(bound.placement.total)
        self._constants = [_own(c) for c in bound.constants]
        self._states = [storage[name] for name, _, _ in bound.states]
        for (name, shape, dtype), array in zip(bound.states, self._states, strict=True):
            if array.shape != shape or array.dtype != dtype.as_numpy_dtype or not array.flags.c_contiguous:
                raise ValueError(f"the storage of {name} is {array.dtype}{array.shape}, the plan needs {dtype.name}{shape}")
        self._feeds = len(compiled.feeds)
        computed = [k for k, o in enumerate(bound.outputs) if o.known is None]
        self._slot_of_output = {k: self._feeds + n for n, k in enumerate(computed)}
        self._made = [(bound.outputs[k].shape, np.dtype(bound.outputs[k].dtype.as_numpy_dtype)) for k in computed]
        self._keep = (self._arena.block, *self._constants, *self._states, *compiled.codes)
        self._objects: dict[int, Array] = {}
        self._delicate = self._changed_while_growing()
        self._saved: list[tuple[Array, Array]] = []
        self.traced: tuple[Timing, float, list[tuple[int, float, float]]] | None = None
        self._plan: NativePlan | None = None
        self._pauses = any(isinstance(call, HostCall) for call in bound.calls)
        if bound.calls:
            self._plan = executor.plan(self._entries(executor.threads), self._feeds + len(computed), bound.cost, self._keep)

    def _entries(self, threads: int) -> list[Entry]:
        """`_plain`, linked calls in chains. What passes between them is kept by as many threads as it has room for."""
        entries = self._plain()
        for n, (link, passed) in self.bound.links.items():
            pair = entries[n], entries[n + 1]
            assert isinstance(pair[0], Call) and isinstance(pair[1], Call)
            if max(len(call.arguments) for call in pair) > layout.Link.MOST_WORDS:
                continue
            near = threads * link.stride <= passed.size
            moved = [[(k, link.stride) for k in buffers if near] for buffers in ((passed.written,), passed.read)]
            links = [
                Link(call.functions[phase], call.arguments, some) for call, phase, some in zip(pair, link.phases, moved, strict=True)
            ]
            for number, (call, phase) in enumerate(zip(pair, link.phases, strict=True)):
                functions = list(call.functions)
                functions[phase] = Chain(links, link.shares) if number == link.late else NOTHING
                entries[n + number] = call._replace(functions=functions)
        return entries

    def _plain(self) -> list[Entry]:
        """The calls as the executor takes them, with what it must know to choose the number of threads."""
        bound = self.bound
        straight = all(isinstance(call, (BoundCall, BoundMeasuring)) for call in bound.calls)
        entries: list[Entry] = []
        for step, call in zip(bound.compiled.steps, bound.calls, strict=True):
            if isinstance(call, BoundCall):
                addresses = bound.compiled.codes[call.kernel].addresses
                cost = None if straight else cost_of(step, bound.number)
                arguments = [self._argument(a) for a in call.arguments]
                entries.append(Call(addresses, arguments, call.parallel, call.barrier, cost=cost, weight=step.weight))
            elif isinstance(call, BoundJump):
                entries.append(Jump(self._argument(call.place), call.on, call.target, step.weight))
            elif isinstance(call, BoundMeasuring):
                entries.append(Measure(self._argument(call.place), call.number, call.limit, step.weight))
            elif isinstance(call, BoundRow):
                place, index, *about = call
                entries.append(Find(self._argument(place), self._argument(index), *about, step.weight))
            else:
                entries.append(Pause(step.weight))
        return entries

    def _argument(self, argument: Argument) -> Any:
        kind, value = argument
        if kind == "arena":
            return self._arena.address + value
        if kind == "size":
            return value
        if kind == "measured":
            return Size(value)
        if kind == "row":
            return Row(value)
        if kind == "feed":
            return Slot(value)
        if kind == "output":
            return Slot(self._slot_of_output[value])
        if kind == "state":
            return address(self._states[value])
        if kind == "constant":
            return address(self._constants[value])
        return STATUS

    def run(self, arrays: Sequence[Array] = ()) -> list[Array]:
        """The outputs for these feeds: dense arrays of the right type and of the shapes that were bound."""
        made = [np.empty(shape, dtype) for shape, dtype in self._made]
        if self._delicate:
            self._save()
        if self._plan is not None:
            failure = self._plan.run((*arrays, *made), partial(self._call_python, arrays, made) if self._pauses else None)
            if failure is not None:
                self._fail(failure)
        return self._results(made)

    def run_traced(self, arrays: Sequence[Array], trace: Any) -> list[Array]:
        """`run`, noting in a runtime.trace.Trace when each kernel ran. `traced` keeps the last run's times for `session.report`."""
        made = [np.empty(shape, dtype) for shape, dtype in self._made]
        if self._delicate:
            self._save()
        if self._plan is not None:
            called: list[tuple[int, float, float]] = []

            def python(number: int) -> None:
                begin = time.time()
                self._call_python(arrays, made, number)
                called.append((number, begin, time.time()))
                trace.python(self, *called[-1])

            start = time.time()
            failure, timing = self._plan.run_timed((*arrays, *made), python if self._pauses else None)
            self.traced = timing, start, called
            trace.native(self, timing, start)
            if failure is not None:
                self._fail(failure)
        return self._results(made)

    def _results(self, made: list[Array]) -> list[Array]:
        if self.bound.measured:
            sizes = self.sizes()
            computed = (o for o in self.bound.outputs if o.known is None)
            made = [a if o.measured is None else _filled(a, [evaluate(d, sizes) for d in o.measured])
                    for a, o in zip(made, computed, strict=True)]  # fmt: skip
        if len(made) == len(self.bound.outputs):
            return made
        fresh = iter(made)
        return [next(fresh) if o.known is None else o.known.copy() for o in self.bound.outputs]

    def sizes(self) -> dict[str, int]:
        """The sizes of the last run, or of the present one as far as they are known."""
        if self._plan is None or not self.bound.measured:
            return self.bound.sizes
        return {**self.bound.sizes, **dict(zip(self.bound.measured, self._plan.sizes.tolist(), strict=True))}

    def _call_python(self, arrays: Sequence[Array], made: Sequence[Array], number: int) -> None:
        """Run the op of Python that is call `number` on copies of its operands, and put its results where the rest looks for them."""
        call = self.bound.calls[number]
        assert isinstance(call, HostCall)
        sizes = self.sizes()

        def at(argument: HostArgument) -> Array:
            kind, value = argument.place
            shape = [evaluate(d, sizes) for d in argument.shape]
            if kind == "object":
                return self._objects[value].reshape(shape)
            if kind == "arena":
                return self._arena.view(value, shape, argument.dtype.as_numpy_dtype)
            source = {"feed": arrays, "state": self._states, "constant": self._constants}.get(kind)
            held = made[self._slot_of_output[value] - self._feeds] if source is None else source[value]
            return held.reshape(-1)[: math.prod(shape)].reshape(shape)

        try:
            results = call.op.run(*[at(a).copy() for a in call.inputs])
        except errors.OpError as error:
            origins = self.bound.compiled.steps[number].group.origins
            if error.op is not None or not origins:
                raise
            raise type(error)(None, None, f"{origins[-1].name}: {error.message}") from None
        many = results if isinstance(results, (tuple, list)) else (results,)
        if not call.outputs:
            return
        for argument, result in zip(call.outputs, many, strict=True):
            if argument.place.kind == "object":
                self._objects[argument.place.value] = np.asarray(result, object)
            else:
                at(argument)[...] = result

    def _changed_while_growing(self) -> list[Array]:
        """The variables that change before it is certain that arrays which grow have had room enough, and that sizes are what was presumed:
        a run that begins again needs what they were."""
        compiled = self.bound.compiled
        last = max((n for n, s in enumerate(compiled.steps) if s.may_begin_again), default=-1)
        for number, step in enumerate(compiled.steps):
            if step.jump is not None and step.jump.target <= last < number:
                last = number
        places = [compiled.places[v.id] for s in compiled.steps[: last + 1] if s.lowered is not None for v in s.group.outputs]
        return [self._states[n] for n in sorted({p.number for p in places if p.kind == "state"})]

    def _save(self) -> None:
        self._saved = [(array, array.copy()) for array in self._delicate]

    def _restore(self) -> None:
        """Variables are again what they were before this run."""
        for array, before in self._saved:
            array[...] = before

    def _changed_before(self, call: int) -> bool:
        """Whether calls before this one change variables."""
        places = self.bound.compiled.places
        return any(places[v.id].kind == "state" for s in self.bound.compiled.steps[:call] if s.lowered is not None for v in s.group.outputs)

    def _fail(self, failure: Failure) -> None:
        """Raise what the failed check of a kernel says."""
        step = self.bound.compiled.steps[failure.call]
        if step.measuring is not None:
            self._fail_size(step, failure)
        check = step.checks[failure.check]
        if check.error == "Overrun":
            self._fail_growth(check, failure.value)
        origin = next((o for o in reversed(step.group.origins) if o.name == check.origin), None)
        message, value = check.message, failure.value
        sizes = self.sizes()
        low = step.lowered  # a row is looked for without a kernel, so that its sizes have the Program's names
        for name, size in (sizes if low is None else low.sizes(sizes.__getitem__)).items():
            message = re.sub(rf"\b{name}\b", str(size), message)
        where = re.search(r"{position( in ([\d,]*))?}", message)
        if where is not None:
            dims = [int(d) for d in (where[2] or "").split(",") if d]
            shown = ",".join(map(str, np.unravel_index(value >> 32, dims))) if dims else str(value >> 32)
            message = message.replace(where[0], shown)
            value = (value + (1 << 31)) % (1 << 32) - (1 << 31)
        message = message.replace("{value}", str(value)).replace("{name}", check.origin)
        place = f"\nCreated at {origin.line}." if origin is not None and origin.line else ""
        raise getattr(errors, check.error)(None, None, f"{check.origin}: {message}{place}")

    def _fail_size(self, step: Any, failure: Failure) -> NoReturn:
        """A size that depends on data is negative, or larger than its memory."""
        if failure.value < 0:
            name = step.group.origins[-1].name if step.group.origins else step.measuring.symbol
            raise errors.InvalidArgumentError(None, None, f"{name}: a size of {failure.value}, which must be >= 0")
        changed = not step.measuring.tentative and self._changed_before(failure.call)
        if step.measuring.tentative:
            self._restore()
        raise Overrun(step.measuring.symbol, failure.value, changed)

    def _fail_growth(self, check: Check, index: int) -> NoReturn:
        """An array that grows was written to past its memory, or before its begin."""
        if index >= 0:
            self._restore()
            raise Overrun(check.message, index + 1, False)
        size = f"array is not resizeable and size is: {self.sizes()[check.message]}"
        raise errors.InvalidArgumentError(None, None, f"{check.origin}: Tried to write to index {index} but {size}")


def check_room(bound: BoundPlan) -> None:
    """Refuse a plan that cannot run in the machine's memory, before anything is allocated: the system would hand out the addresses
    and end the process when they are written to."""
    limit = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 1 << 47
    total = bound.placement.total
    for output in bound.outputs:
        count = math.prod(output.shape)
        if count >= 1 << 63:
            raise errors.InvalidArgumentError(None, None, f"Shape {list(output.shape)} has too many elements")
        total += count * output.dtype.size
        if total > limit:
            shape = ",".join(map(str, output.shape))
            text = f"OOM when allocating tensor with shape[{shape}] and type {output.dtype.name} on the CPU"
            raise errors.ResourceExhaustedError(None, None, text)
    if total > limit:
        raise errors.ResourceExhaustedError(None, None, f"OOM when allocating {total} bytes for the values of this run on the CPU")


def _filled(array: Array, shape: Sequence[int]) -> Array:
    """The part of an array that a run has filled. Memory that would mostly lie idle behind it is given back."""
    part = array[: math.prod(shape)].reshape(shape)
    return part.copy() if part.size < array.size // 2 else part


def _own(contents: Array) -> Array:
    """A literal at an address that stays."""
    return aligned_copy(contents) if contents.dtype != object else contents
