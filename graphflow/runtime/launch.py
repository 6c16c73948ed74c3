"""A bound plan with a session's storage, ready to run."""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphflow import errors
from graphflow.compiler.plan import Argument, BoundPlan, HostArgument, HostCall
from graphflow.runtime.buffers import Arena, address, aligned_copy
from graphflow.runtime.executor import STATUS, Call, Executor, NativePlan, Slot

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
        self._stages: list[tuple[int, NativePlan | HostCall]] = []
        self._objects: dict[int, Array] = {}
        calls: list[Call] = []
        share = bound.cost / max(len(bound.calls), 1)
        slots = self._feeds + len(computed)
        for number, call in enumerate(bound.calls):
            if isinstance(call, HostCall):
                if calls:
                    self._stages.append((number - len(calls), executor.plan(calls, slots, share * len(calls), self._keep)))
                self._stages.append((number, call))
                calls = []
            else:
                code = compiled.codes[call.kernel]
                calls.append(Call(code.addresses, [self._argument(a) for a in call.arguments], call.parallel, call.barrier))
        if calls:
            self._stages.append((len(bound.calls) - len(calls), executor.plan(calls, slots, share * len(calls), self._keep)))

    def _argument(self, argument: Argument) -> Any:
        kind, value = argument
        if kind == "arena":
            return self._arena.address + value
        if kind == "size":
            return value
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
        for first, stage in self._stages:
            if isinstance(stage, HostCall):
                self._call_python(first, stage, arrays, made)
                continue
            failure = stage.run((*arrays, *made))
            if failure is not None:
                self._fail(first, failure)
        return self._results(made)

    def run_traced(self, arrays: Sequence[Array], trace: Any) -> list[Array]:
        """`run`, noting in a runtime.trace.Trace when each kernel ran."""
        made = [np.empty(shape, dtype) for shape, dtype in self._made]
        for first, stage in self._stages:
            start = time.time()
            if isinstance(stage, HostCall):
                self._call_python(first, stage, arrays, made)
                trace.python(self, first, start, time.time())
                continue
            failure, timing = stage.run_timed((*arrays, *made))
            trace.native(self, first, timing, start)
            if failure is not None:
                self._fail(first, failure)
        return self._results(made)

    def _results(self, made: list[Array]) -> list[Array]:
        if len(made) == len(self.bound.outputs):
            return made
        fresh = iter(made)
        return [next(fresh) if o.known is None else o.known.copy() for o in self.bound.outputs]

    def _call_python(self, number: int, call: HostCall, arrays: Sequence[Array], made: Sequence[Array]) -> None:
        """Run an op of Python on copies of its operands, and put its results where the rest looks for them."""

        def at(argument: HostArgument) -> Array:
            kind, number = argument.place
            if kind == "object":
                return self._objects[number].reshape(argument.shape)
            if kind == "arena":
                return self._arena.view(number, argument.shape, argument.dtype.as_numpy_dtype)
            source = {"feed": arrays, "state": self._states, "constant": self._constants}.get(kind)
            return (made[self._slot_of_output[number] - self._feeds] if source is None else source[number]).reshape(argument.shape)

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

    def _fail(self, first: int, failure: Any) -> None:
        """Raise what the failed check of a kernel says."""
        step = self.bound.compiled.steps[first + failure.call]
        check = step.checks[failure.check]
        origin = next((o for o in reversed(step.group.origins) if o.name == check.origin), None)
        message = check.message.replace("{value}", str(failure.value)).replace("{name}", check.origin)
        assert step.lowered is not None
        for name, symbol in zip(step.lowered.kernel.symbols, step.lowered.symbols, strict=True):
            message = re.sub(rf"\b{name}\b", str(self.bound.sizes[symbol]), message)
        place = f"\nCreated at {origin.line}." if origin is not None and origin.line else ""
        raise getattr(errors, check.error)(None, None, f"{check.origin}: {message}{place}")


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


def _own(contents: Array) -> Array:
    """A literal at an address that stays."""
    return aligned_copy(contents) if contents.dtype != object else contents
