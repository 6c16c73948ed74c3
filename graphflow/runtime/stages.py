"""Runs in parts: where Python must run in between (host ops), where a size depends on data, and where a loop cannot be compiled.

A Stage keeps the values that pass from one part to the next. What is between two calls of Python is one native plan. A loop that capture
refuses (`Stepwise`) is taken iteration by iteration, each of them a run in parts of its own over the same compiled steps; TensorArrays that
enter it are then kept by Python (runtime/dataflow_arrays.py).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

import numpy as np

from graphflow import dtypes, errors
from graphflow.compiler.branches import Guards, guards
from graphflow.compiler.capture import Cut, Irregular, Stepwise, needed_operations
from graphflow.compiler.control import EXITS, SWITCHES, Frame, Needed, following, left_variable, of_exit
from graphflow.graph.op import Effect, Kind, TensorSpec
from graphflow.graph.operation import Operation
from graphflow.graph.tensor import Tensor
from graphflow.ops.tensor_array_ops import TensorArrayOp, array_of
from graphflow.ops.watching import AssertOp
from graphflow.runtime.dataflow_arrays import run as run_array_op
from graphflow.runtime.steps import KEPT, Engine, Outgrown, Step

Array = np.ndarray[Any, Any]
T = TypeVar("T")

WALKS = 4  # sets of targets whose needs are remembered
INPUTS = attrgetter("inputs")
_COMPUTED = (Kind.ELEMENTWISE, Kind.MOVEMENT, Kind.KERNEL, Kind.COMPOSITE)


def runs_in_python(op: Operation) -> bool:
    """Whether a run stops for it: a host op, any op that makes strings of strings, which kernels cannot hold, or a variable of a type
    that they cannot hold. A host op without an effect whose results' sizes are known before it runs is part of the plan instead, and so is
    an Assert, which calls Python where it fails."""
    definition = op.definition
    kind = definition.kind
    if isinstance(definition, AssertOp):
        return any(t.dtype is dtypes.string and t.op.type != "Const" for t in op.inputs)
    if kind is Kind.HOST:
        return definition.effect is not Effect.PURE or not definition.sized
    if not op.outputs:
        return False
    if _unheld(op.outputs[0]):
        return True
    if definition.forwards:
        return any(_unheld(t) for t in op.inputs)
    if kind not in _COMPUTED:
        return False
    tensors = (*op.outputs, *op.inputs) if kind is Kind.ELEMENTWISE else op.outputs[:1]
    return dtypes.string in [t.dtype.base_dtype for t in tensors]


def any_in_python(operations: Sequence[Operation], given: Iterable[Tensor]) -> bool:
    """Whether a run stops for one of them. `given`: what they read besides each other's results."""
    kinds = {op.definition.kind for op in operations}
    types = {id(t._dtype): t._dtype for op in operations for t in op.outputs}  # DType's hash is slower
    types.update((id(t._dtype), t._dtype) for t in given)
    if Kind.HOST not in kinds and all(d.kernel_type is not None or d.is_complex or d is dtypes.resource for d in types.values()):
        return False  # quickly seen, and nearly always so
    return any(map(runs_in_python, operations))


class Walks:
    """What the targets of a session's runs need, the last used ones last: of a run that asks for a tensor more only what that needs besides
    is looked for."""

    def __init__(self) -> None:
        self._kept: dict[Any, tuple[int, Needed, bool]] = {}

    def needed(self, fetches: Sequence[Tensor], targets: Sequence[Operation], hidden: set[Tensor]) -> tuple[Needed, bool]:
        """The operations that a run needs; whether it stops for one of them."""
        if not targets:
            found = needed_operations(fetches, (), hidden, (), INPUTS)
            return found, any_in_python(found.in_any_order, hidden)
        key, altered = (tuple(targets), frozenset(hidden)), targets[0].graph._altered
        known = self._kept.pop(key, None)
        if known is None or known[0] != altered:
            found = needed_operations((), targets, hidden, (), INPUTS)
            if found.controlled:
                found.need(fetches, ())
                return found, any_in_python(found.in_any_order, hidden)
            known = altered, found, any_in_python(found.in_any_order, hidden)
        self._kept[key] = known
        if len(self._kept) > WALKS:
            del self._kept[next(iter(self._kept))]
        _, found, stops = known
        if fetches:
            count = len(found.in_any_order)
            found = found.copy()
            found.need(fetches, ())
            more = found.in_any_order[count:]
            stops = stops or any_in_python(more, [t for op in more for t in op.inputs])
        return found, stops


def fits_in_plan(op: Operation) -> bool:
    """Whether a host op may be called from within a plan: what it gives has a known size, and it waits for nobody, because a run holds what
    others need to compile and to bind. Inside a branch it is, because only the plan knows whether the branch is taken."""
    definition = op.definition
    if definition.kind is not Kind.HOST or definition.uses_kept or definition.concurrent:
        return False
    return definition.sized or not op.outputs


def _unheld(tensor: Tensor) -> bool:
    """Whether it is a variable's memory, of a type that kernels do not know: strings, bfloat16, quantised numbers."""
    return tensor.dtype._is_ref_dtype and tensor.dtype.kernel_type is None and not tensor.dtype.is_complex


def _independent(needed: Sequence[Operation], hosts: Sequence[Operation]) -> list[Operation]:
    """Those of `hosts` that wait for none of the others. `needed` is in an order in which ops follow what they wait for."""
    behind = set(hosts)
    for op in needed:
        if op not in behind and any(t.op in behind for t in op.inputs) or any(c in behind for c in op._control_inputs):
            behind.add(op)
    return [op for op in hosts if not any(t.op in behind for t in op.inputs) and not any(c in behind for c in op._control_inputs)]


def _check_shapes(op: Operation, operands: Sequence[Any]) -> None:
    """Refuses what the shape rule could not when the graph was made, because the shapes were not known."""
    if all(t._dims is not None and None not in t._dims for t in op.inputs):
        return
    try:
        op.definition.infer(*(TensorSpec(t.dtype, np.shape(x)) for t, x in zip(op.inputs, operands, strict=True)))
    except ValueError as error:
        raise errors.InvalidArgumentError(op.node_def, op, errors.describe(op, str(error))) from None


def _passes_handle(arrays: Collection[Operation], op: Operation) -> bool:
    """Whether it hands on the handle of an array that Python keeps, which no plan can hold."""
    if not arrays or op.type not in SWITCHES and not op.definition.forwards:
        return False
    return op.outputs[0].dtype is dtypes.resource and array_of(op.inputs[0]) in arrays


def _chosen(arrays: Collection[Operation], op: Operation) -> Sequence[Tensor]:
    """The inputs that are needed. Whether a variable has a value is known without it; of a handle, Python sends on only itself."""
    if op.definition.asks:
        return ()
    if _passes_handle(arrays, op):
        return op.inputs[:1]
    return op.inputs[1:] if op.definition.overwrites and _unheld(op.inputs[0]) else op.inputs


def _in_python(arrays: Collection[Operation], op: Operation) -> bool:
    """Whether Python runs it, where it keeps these arrays."""
    if isinstance(op.definition, TensorArrayOp):
        return bool(arrays) and (op if op.type == "TensorArrayV3" else array_of(op.inputs[0])) in arrays
    return _passes_handle(arrays, op) or runs_in_python(op)


class Level(NamedTuple):
    """What is needed for some tensors and operations, where some others are there already."""

    needed: Needed
    operations: Sequence[Operation]
    hosts: Sequence[Operation]  # those of them that Python runs
    around: Mapping[Operation, Guards]  # the branches that these stand in


class Parts:
    """What the runs of one signature in parts have in common: compiled steps, what is needed where, and the same of its loops."""

    def __init__(self) -> None:
        self.steps: dict[Any, Step] = {}
        self.levels: dict[Any, Level] = {}
        self.loops: dict[Operation, Parts] = {}

    def every_step(self) -> Iterator[Step]:
        """The compiled steps, those of its loops too."""
        yield from self.steps.values()
        for inner in self.loops.values():
            yield from inner.every_step()


def _remembered(table: dict[Any, T], key: Any, make: Callable[[], T]) -> T:
    """What the table has for a key, made where there is nothing; it keeps a limited number of them."""
    found = table.get(key)
    if found is None:
        found = make()
        if len(table) < KEPT:
            table[key] = found
    return found


class Stage:
    """Runs a signature in parts, keeping the values that pass from one part to the next. Serves one run (or one partial run), or one
    iteration of a loop. `arrays`: the TensorArrays that Python keeps, by the operations that make them."""

    def __init__(self, engine: Engine, parts: Parts, values: dict[Tensor, Any], arrays: Iterable[Operation] = ()) -> None:
        self.engine = engine
        self.parts = parts
        self.values = values
        self.arrays = set(arrays)
        self.known: set[Tensor] = set()
        self.done: set[Operation] = set()

    def run(self, fetches: Sequence[Tensor], targets: Sequence[Operation], then: Sequence[Tensor] = ()) -> list[Array]:
        """The values of `fetches` after running `targets`. `then`: what the next call asks for."""
        level = self._level((*fetches, *then), targets)
        whole = {*level.operations, *(enter for frame in level.needed.frames.values() for enter in frame.entering())}
        self._evaluate(fetches, targets, whole)
        return [self.values[t] for t in fetches]

    def _level(self, fetches: Sequence[Tensor], targets: Sequence[Operation]) -> Level:
        hidden, done, arrays = frozenset(self.values), frozenset(self.done), frozenset(self.arrays)

        def found() -> Level:  # it takes no method of this stage: what is remembered must not keep the values of a run
            needed = needed_operations(fetches, targets, set(hidden), done, partial(_chosen, arrays))
            hosts = [op for op in needed.operations if _in_python(arrays, op)]
            around = guards(needed, needed.operations) if hosts and needed.controlled else {}
            return Level(needed, needed.operations, hosts, around)

        return _remembered(self.parts.levels, (tuple(fetches), tuple(targets), hidden, done, arrays), found)

    def _evaluate(self, fetches: Sequence[Tensor], targets: Sequence[Operation], whole: set[Operation]) -> None:
        while True:
            _, needed, hosts, around = self._level(fetches, targets)
            if around:
                hosts = self._alive(hosts, around, {t.op for t in fetches}, whole)
            if not hosts:
                break
            ready = _independent(needed, hosts)
            if len(ready) > 1:  # what several of them need is computed together, once
                inputs = [t for op in ready for t in _chosen(self.arrays, op) if t not in self.values]
                waited = [c for op in ready for c in op._control_inputs if c not in self.done]
                if inputs or waited:
                    self._evaluate(tuple(dict.fromkeys(inputs)), tuple(dict.fromkeys(waited)), whole)
            together = [op for op in ready if op.definition.concurrent]
            for host in ready:
                if len(together) < 2 or host not in together:
                    self._host(host, whole)
            if len(together) > 1:  # they may wait for each other, as TensorFlow's may
                with ThreadPoolExecutor(len(together)) as pool:
                    for future in [pool.submit(self._host, host, whole) for host in together]:
                        future.result()
        missing = [t for t in fetches if t not in self.values]
        left = [op for op in targets if op not in self.done]
        if missing or left:
            self._native(missing, left, needed, whole)

    def _alive(
        self, hosts: Sequence[Operation], guarded: Mapping[Operation, Guards], asked: set[Operation], whole: set[Operation]
    ) -> list[Operation]:
        """Those of `hosts` that are to be called now. Inside branches calls belong to the plan; for one that cannot be part of a plan the
        predicates around it are computed first. A variable, and a Switch of one, waits until it is `asked` for: it may have no value."""
        alive = []
        for host in hosts:
            waits = host.type in SWITCHES or host.definition.kind is Kind.SOURCE
            if waits and host not in asked and _unheld(host.outputs[0]):
                continue
            around = sorted(guarded[host], key=lambda g: g[0].op._id)
            if around and fits_in_plan(host):
                continue
            taken = True
            for predicate, on in around:
                if predicate not in self.values:
                    self._evaluate((predicate,), (), whole)
                self.known.add(predicate)
                taken = bool(self.values[predicate]) == on
                if not taken:
                    break
            if taken and host not in self.done:
                alive.append(host)
        return alive

    def _host(self, op: Operation, whole: set[Operation]) -> None:
        """Calls Python, after everything that the operation waits for. Nothing where another one has waited for this one."""
        if op in self.done:
            return
        self._evaluate(_chosen(self.arrays, op), op._control_inputs, whole)
        definition = op.definition
        if definition.kind in (Kind.SOURCE, Kind.STATE):
            self._memory(op)
            return
        if op.type in SWITCHES or _passes_handle(self.arrays, op):  # what is not taken is not looked at
            self.values.update(dict.fromkeys(op.outputs, self.values[op.inputs[0]]))
            self.done.add(op)
            return
        operands: list[Any] = [self.values[t] for t in op.inputs]
        if isinstance(definition, TensorArrayOp):
            self.values.update(zip(op.outputs, run_array_op(op, operands), strict=True))
            self.done.add(op)
            return
        _check_shapes(op, operands)
        call = definition.run if definition.kind is Kind.HOST else definition.reference
        if definition.knows_name:
            operands.insert(0, op.name)
        if definition.uses_kept:
            operands.insert(0, self.engine.kept)
        try:
            results = call(*operands)
        except errors.OpError as error:
            raise type(error)(op.node_def, op, errors.describe(op, error.message)) from None
        found = results if isinstance(results, (tuple, list)) else (results,)
        if op.outputs:
            self.values.update((t, np.asarray(r)) for t, r in zip(op.outputs, found, strict=True))
        self.done.add(op)

    def _memory(self, op: Operation) -> None:
        """Reads or assigns a variable that no kernel can hold."""
        storage = self.engine.storage
        if op.definition.kind is Kind.SOURCE:
            self.engine.require((op.name,))
            self.values[op.outputs[0]] = storage[op.name].copy()
        elif op.definition.overwrites and not op.inputs[0].op.inputs:
            variable, value = op.inputs[0], self.values[op.inputs[1]]
            if getattr(op.definition, "validate_shape", True) and not variable.shape.is_compatible_with(value.shape):
                wrong = f"Assign requires shapes of both tensors to match. lhs shape= {variable.shape} rhs shape= {list(value.shape)}"
                raise errors.op_error(errors.InvalidArgumentError, op, wrong)
            storage.assign(variable.op.name, value)
            self.values[variable] = self.values[op.outputs[0]] = value
        else:
            wrong = f"graphflow does not update variables of type {op.outputs[0].dtype.base_dtype.name} in place"
            raise errors.op_error(errors.UnimplementedError, op, wrong, "Use tf.assign.")
        self.done.add(op)

    def _read_later(self, part: set[Operation], once: Sequence[Operation], whole: set[Operation]) -> set[Tensor]:
        """What operations outside this part read of it, also through operations of it that they compute once more."""
        kept = set(once)
        read: set[Tensor] = set()
        stack = [op for op in whole if op not in part and op not in self.done]
        seen = set(stack)
        while stack:
            for tensor in stack.pop().inputs:
                if tensor.op in part:
                    read.add(tensor)
                    if tensor.op not in kept and tensor.op not in seen:
                        seen.add(tensor.op)
                        stack.append(tensor.op)
        return read

    def _native(
        self, fetches: Sequence[Tensor], targets: Sequence[Operation], needed: Sequence[Operation], whole: set[Operation]
    ) -> None:
        """Runs one part. What later parts need of random numbers, updates and targets is kept: those ops do not run again."""
        part = set(needed)
        once = [op for op in needed if op.definition.effect is Effect.RANDOM or op.definition.kind is Kind.STATE or op in targets]
        read = self._read_later(part, once, whole) if once else set()
        later = [t for op in once for t in op.outputs if t in read]
        wanted = tuple(dict.fromkeys([*fetches, *later]))
        feeds = tuple(t for t, value in self.values.items() if isinstance(value, (np.ndarray, np.generic)))
        key = (wanted, tuple(targets), feeds, frozenset(self.known), frozenset(self.done))
        step = _remembered(self.parts.steps, key, lambda: Step(self.engine, wanted, targets, feeds, key[3], key[4]))
        # Native code reads dense memory; what Python gives may be a view with strides (np.argwhere gives a transpose).
        arrays = [np.asarray(self.values[t], order="C") for t in feeds]
        try:
            compiled = step.compiled(arrays)
        except Stepwise as refused:
            self._frame(refused.frame, whole)
            self._evaluate(fetches, targets, whole)
            return
        except Irregular as array:
            if array.made in self.arrays:  # it is kept by Python already, and yet a plan asks for it
                raise errors.op_error(errors.UnimplementedError, array.made, str(array)) from None
            self.arrays.add(array.made)
            self._evaluate(fetches, targets, whole)
            return
        except Cut as cut:
            first = [t for t in cut.tensors if t not in self.values]
            if first:
                self._evaluate(first, (), whole)
            if cut.contents:
                self.known.update(cut.tensors)
            self._evaluate(fetches, targets, whole)
            return
        plain = [a for t, a in zip(feeds, arrays, strict=True) if t not in self.known]
        shapes = tuple([a.shape for a in plain])
        try:
            results = compiled.run(plain, shapes)
        except Outgrown as outgrown:
            step.forget(outgrown)
            self._evaluate(fetches, targets, whole)
            return
        self.values.update(zip(wanted, results, strict=True))
        self.done.update(once)
        self.done.update(targets)

    # -- loops in Python ---------------------------------------------------------------------------------------------------------------

    def _frame(self, refused: Frame, whole: set[Operation]) -> None:
        """Runs a loop, one iteration after the other, for everything that the whole run needs of it."""
        frame = Frame(refused.condition, partial(_chosen, frozenset(self.arrays)))
        for exit_ in dict.fromkeys((*refused.exits, *(op for op in whole if op.type in EXITS and of_exit(op) is refused.condition))):
            frame.leave_by(exit_)
        frame.settle()
        enters = frame.entering()
        made = {array_of(e.inputs[0]) for e in enters if e.inputs[0].dtype is dtypes.resource} - {None}
        self.arrays |= made
        inputs = [e.inputs[0] for e in enters if e.inputs[0] not in self.values]
        waited = [c for e in enters for c in e._control_inputs if c not in self.done]
        self._evaluate(tuple(dict.fromkeys(inputs)), tuple(dict.fromkeys(waited)), whole)
        given = {e.outputs[0]: self.values[e.inputs[0]] for e in frame.enters}
        handles = [e for e in frame.enters if e.outputs[0].dtype is dtypes.resource]  # no plan can be given one
        variables = list(frame.variables)
        values = [self.values[m.inputs[0].op.inputs[0]] for m in variables]
        switches = {s.inputs[0].op: s for s in frame.condition.outputs[0]._consumers if s.type in SWITCHES}
        condition, following_ = frame.condition.inputs[0], [following(m) for m in variables]
        parts = self.parts.loops.setdefault(frame.condition, Parts())
        while True:
            inside: dict[Tensor, Any] = dict(given)
            for merge, value in zip(variables, values, strict=True):
                inside[merge.outputs[0]] = value
                inside[merge.outputs[1]] = np.int32(0)
                if merge in switches:
                    inside.update(dict.fromkeys(switches[merge].outputs, value))
            iteration = Stage(self.engine, parts, inside, self.arrays)
            iteration.done.update(handles)
            (holds,) = iteration.run([condition], (), following_)
            if not holds:
                break
            values = iteration.run(following_, ())
            self.arrays |= iteration.arrays
        for exit_ in frame.exits:
            self.values[exit_.outputs[0]] = values[variables.index(left_variable(exit_))]
