"""GRAPHFLOW_DEBUG=nan: looks at the result of every kernel and stops at the first NaN or infinity.

The plan is the one that runs otherwise, kernel for kernel and byte for byte; only pauses stand between its calls, at which the results of
the call before are looked at. What is found names the operation, the user's line, the ranges of what it read, and the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from graphflow import errors
from graphflow.compiler.calls import Argument, BoundCall, HostCall
from graphflow.compiler.groups import Group
from graphflow.compiler.lower import renamed_op
from graphflow.compiler.program import Node, Program, Value
from graphflow.kernel.expr import TYPES
from graphflow.kernel.index import Index, evaluate
from graphflow.kernel.nodes import Role
from graphflow.runtime.entries import Entry, Jump, Pause
from graphflow.runtime.interpreter import contents
from graphflow.runtime.launch import Launch

Array = np.ndarray[Any, Any]
REPEATED = 4_000_000  # points of a node's index space up to which it is computed once more in numpy to find which of several it was
READ = 8  # operands whose ranges a message gives


class WatchedLaunch(Launch):
    """A Launch that raises InvalidArgumentError where a kernel's result is not finite, before the next kernel runs. Variables that earlier
    kernels of the step have changed stay changed."""

    def __init__(self, *arguments: Any) -> None:
        self._places: list[tuple[str, int]] = []  # of the pauses by their number in the list: what they are for, and the call
        self._before: dict[int, Array] = {}  # contents that the call which runs next will overwrite, by value
        self._runs = 0
        super().__init__(*arguments)
        self._pauses = True
        self._names = dict(_names(self.bound.compiled.program))

    def _entries(self, threads: int) -> list[Entry]:
        plain = self._plain()
        made: list[Entry] = []
        starts: list[int] = []
        for number, entry in enumerate(plain):
            starts.append(len(made))
            if isinstance(self.bound.calls[number], BoundCall):
                made += [Pause(entry.weight), entry, Pause(entry.weight)]
                self._places += [("before", number), ("call", number), ("after", number)]
            else:
                made.append(entry)
                self._places.append(("host", number))
        starts.append(len(made))
        return [e._replace(target=starts[e.target]) if isinstance(e, Jump) else e for e in made]

    def run(self, arrays: Sequence[Array] = ()) -> list[Array]:
        self._runs += 1
        for given, array in zip(self.bound.compiled.feeds, arrays, strict=True):
            if _bad(array):
                name = given.name.rpartition(":")[0] or given.name
                raise errors.InvalidArgumentError(None, None, f"{name}: what is fed has {_count(array)}, in {self._when()}")
        return super().run(arrays)

    def run_traced(self, arrays: Sequence[Array], trace: Any) -> list[Array]:
        """`run`: between pauses there is nothing to be timed."""
        return self.run(arrays)

    def _when(self) -> str:
        return f"run {self._runs} of this step (GRAPHFLOW_DEBUG=nan)"

    def _fail(self, failure: Any) -> None:
        super()._fail(failure._replace(call=self._places[failure.call][1]))

    def _call_python(self, arrays: Sequence[Array], made: Sequence[Array], number: int) -> None:
        what, call = self._places[number]
        if what == "host":
            super()._call_python(arrays, made, call)
            self._look_at_python(arrays, made, call)
        elif what == "before":
            self._save(arrays, made, call)
        else:
            self._look(arrays, made, call)

    # -- memory ----------------------------------------------------------------------------------------------------------------------

    def _view(self, arrays: Sequence[Array], made: Sequence[Array], place: Argument, shape: Sequence[int], dtype: Any) -> Array:
        kind, value = place
        if kind == "arena":
            return self._arena.view(value, shape, dtype)
        if kind == "row":
            row = self.bound.rows[value]
            number = int(self._view(arrays, made, row.at, (), np.int64 if row.wide else np.int32))
            whole = self._view(arrays, made, row.place, (row.rows, row.size), np.uint8)
            return whole[number].view(dtype).reshape(shape)
        source = {"feed": arrays, "state": self._states, "constant": self._constants}.get(kind)
        found = made[self._slot_of_output[value] - self._feeds] if source is None else source[value]
        flat: Array = np.ascontiguousarray(found).reshape(-1).view(dtype)
        count = int(np.prod(shape))
        return flat[:count].reshape(shape)

    def _buffers(self, arrays: Sequence[Array], made: Sequence[Array], number: int) -> Iterator[tuple[int, Role, Array]]:
        """Value, role and contents of the buffers of a call that hold values."""
        step, call = self.bound.compiled.steps[number], self.bound.calls[number]
        assert step.lowered is not None and isinstance(call, BoundCall)
        now = self.sizes()
        sizes = step.lowered.sizes(now.__getitem__)
        for buffer, value, place in zip(step.lowered.kernel.buffers, step.lowered.values, call.arguments, strict=False):
            if value is not None:
                shape = [evaluate(d, sizes) for d in buffer.shape]
                yield value, buffer.role, self._view(arrays, made, place, shape, TYPES[buffer.type])

    def _save(self, arrays: Sequence[Array], made: Sequence[Array], number: int) -> None:
        """Copy what the call reads and overwrites: its ranges belong into the message."""
        buffers = list(self._buffers(arrays, made, number))
        written = [a for _, role, a in buffers if role is not Role.IN]
        self._before = {
            value: array.copy() for value, role, array in buffers
            if role is Role.INOUT or (role is Role.IN and any(np.may_share_memory(array, w) for w in written))
        }  # fmt: skip

    # -- looking ---------------------------------------------------------------------------------------------------------------------

    def _look(self, arrays: Sequence[Array], made: Sequence[Array], number: int) -> None:
        buffers = list(self._buffers(arrays, made, number))
        for value, role, array in buffers:
            if role is not Role.IN and _bad(array):
                read = {v: self._before.get(v, a) for v, r, a in buffers if r is not Role.OUT}
                self._stop(number, value, array, read)

    def _look_at_python(self, arrays: Sequence[Array], made: Sequence[Array], number: int) -> None:
        call = self.bound.calls[number]
        if not isinstance(call, HostCall):
            return
        node = self.bound.compiled.steps[number].group.nodes[0]

        def held(argument: Any) -> Array | None:
            if argument.place.kind == "object":
                return None
            shape = [evaluate(d, self.sizes()) for d in argument.shape]
            return self._view(arrays, made, argument.place, shape, argument.dtype.as_numpy_dtype)

        for value, argument in zip(node.outputs, call.outputs, strict=True):
            array = held(argument)
            if array is not None and _bad(array):
                operands = {v.id: a for v, a in zip(node.inputs, map(held, call.inputs), strict=True) if a is not None}
                self._stop(number, value.id, array, operands)

    def _stop(self, number: int, value: int, array: Array, read: Mapping[int, Array]) -> None:
        step = self.bound.compiled.steps[number]
        node, found = _first_bad(step.group, read, self.sizes()) or (_maker(step.group, value), array)
        name = node.origins[-1].name if node.origins else step.name
        line = node.origins[-1].line if node.origins else ""
        ranges = [f"  {self._names.get(v, f'%{v}')}: {_range(a)}" for v, a in list(read.items())[:READ]]
        text = [f"{name}: its result has {_count(found)}, in {self._when()}", f"Kernel {step.name} read", *ranges]
        if len(read) > READ:
            text.append(f"  and {len(read) - READ} more")
        raise errors.InvalidArgumentError(None, None, "\n".join(text) + (f"\nCreated at {line}." if line else ""))


def _names(program: Program) -> Iterator[tuple[int, str]]:
    """What values are called in messages: by the operation, variable or feed that gives them."""
    for given in program.inputs:
        if given.name:
            yield given.value.id, given.name
    for node in program.nodes:
        for part in getattr(node, "nodes", (node,)):
            for body in getattr(part.op, "bodies", ()):
                yield from _names(body.program)
            for value in part.outputs:
                if part.origins:
                    yield value.id, part.origins[-1].name


def _maker(group: Group, value: int) -> Node:
    """The node of a group that gives a value."""
    return next((n for n in group.nodes if any(v.id == value for v in n.outputs)), group.nodes[-1])


def _first_bad(group: Group, read: Mapping[int, Array], sizes: Mapping[str, int]) -> tuple[Node, Array] | None:
    """The first node of a group whose result is not finite while what it reads is, found with numpy; None where that would take long."""
    values: dict[int, Array] = dict(read)

    def operand(value: Value) -> Array:
        if value.id not in values and value.known is not None:
            values[value.id] = contents(value.known, value.dtype, sizes)
        return values[value.id].reshape([evaluate(d, sizes) for d in value.shape])

    try:
        for node in group.nodes:
            spaces: Sequence[Index] = getattr(node.op, "extents", ()) or node.outputs[0].shape
            if np.prod([float(evaluate(d, sizes)) for d in spaces]) > REPEATED:
                return None
            with np.errstate(all="ignore"):
                results = renamed_op(node.op, sizes).reference(*map(operand, node.inputs))
            for value, result in zip(node.outputs, results if isinstance(results, tuple) else (results,), strict=True):
                values[value.id] = np.asarray(result)
                if _bad(values[value.id]):
                    return node, values[value.id]
    except (ArithmeticError, AttributeError, KeyError, NotImplementedError, TypeError, ValueError):  # it needs more than its operands
        return None
    return None


def _bad(array: Array) -> bool:
    return array.dtype.kind in "fc" and not np.isfinite(array).all()


def _count(array: Array) -> str:
    """How many elements are not finite, and where the first one is."""
    flat = array.reshape(-1)
    wrong = np.flatnonzero(~np.isfinite(flat))
    nans = int(np.isnan(flat).sum())
    parts = [f"{n} {what}" for n, what in ((nans, "NaN"), (len(wrong) - nans, "infinite")) if n]
    where = ", ".join(map(str, np.unravel_index(int(wrong[0]), array.shape))) if array.ndim else ""
    return f"{' and '.join(parts)} of {array.size:,} elements" + (f", the first at [{where}]" if where else "")


def _range(array: Array) -> str:
    """Least and greatest element, and what is not finite."""
    if array.size == 0:
        return f"empty, {list(array.shape)}"
    if array.dtype.kind not in "fiu":
        return f"{array.dtype.name}{list(array.shape)}"
    finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    low_high = f"{finite.min():.6g} to {finite.max():.6g}" if finite.size else "nothing finite"
    return f"{low_high}, {array.dtype.name}{list(array.shape)}" + (f", {_count(array)}" if _bad(array) else "")
