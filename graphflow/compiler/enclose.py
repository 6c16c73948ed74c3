"""Loops and branches of a graph become nodes with bodies.

A branch whose predicate is known is no branch: the side that is taken stands where the node would be. Where the two sides give different
shapes, or something in one of them cannot be compiled, the predicate is computed first (a Cut) and then is known. A loop whose variables
change their shapes, or that holds what cannot be compiled, is left to Python (Stepwise).

A loop is turned round: its body computes the next values and then the condition on them, so that what both need is computed once and one
kernel may do both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from graphflow.compiler.arrays import Apart, Array, Grows, Irregular, Unborn
from graphflow.compiler.branches import Conditional, Guards, guards
from graphflow.compiler.builder import ProgramBuilder, is_symbolic
from graphflow.compiler.control import Frame, Needed, following, left_variable
from graphflow.compiler.program import Input, Node, Origin, Program, Source, Value, assemble
from graphflow.compiler.regions import Body, Branch, Loop, Region
from graphflow.compiler.scope import Cut, Entry, Memory, Scope, Stepwise
from graphflow.compiler.trips import trip_count
from graphflow.errors import OpError, UnimplementedError, describe
from graphflow.graph.context import contains
from graphflow.graph.operation import Operation
from graphflow.graph.tensor import Tensor
from graphflow.kernel.index import Index


class Differs(Exception):
    """What is computed inside does not fit outside: the shapes of two branches, of a loop variable and its next value."""


def _body_scope(scope: Scope) -> Scope:
    inside = Scope(ProgramBuilder(), scope.shared, scope)
    inside.b.measured.update((name, inside.given(size)) for name, size in scope.b.measured.items())
    return inside


def _inline_scope(scope: Scope) -> Scope:
    return Scope(scope.b, scope.shared, scope)


# -- branches ----------------------------------------------------------------------------------------------------------------------


def conditional(scope: Scope, item: Conditional, level: Needed, inner: Mapping[Operation, Guards], mask: int) -> int:
    """Runs a Conditional; bits of the updates that it makes."""
    predicate = scope.read(item.predicate, mask)
    if predicate.known is not None:
        return _taken(scope, item, level, inner, bool(predicate.known))
    try:
        return _branch(scope, item, level, inner, mask, predicate)
    except Cut as cut:
        # what another Conditional of this level gives has no value where its side is not taken
        outside = [t for t in cut.tensors if t in scope.values and item.always(t)]
        raise Cut(outside if outside and scope.outer is None else [item.predicate]) from None
    except (Differs, Irregular, Stepwise, UnimplementedError):
        raise Cut([item.predicate]) from None


def _taken(scope: Scope, item: Conditional, level: Needed, inner: Mapping[Operation, Guards], on: bool) -> int:
    """One side, in the scope itself."""
    before = scope.next_bit
    scope.run(level, item.sides[on], inner, item.crossing)
    for merge in item.merges:
        number = _side_inputs(merge, item)[on]
        scope.values[merge.outputs[0]] = scope.entry(merge.inputs[number])
        scope.values[merge.outputs[1]] = scope.b.constant(number, "int32")
    return (scope.next_bit - 1) & ~(before - 1)


def _side_inputs(merge: Operation, item: Conditional) -> tuple[int, int]:
    """Numbers of the inputs of a Merge that are alive where the predicate is false and where it is true."""
    first, second = map(item.side_of, merge.inputs)
    return (0, 1) if first == 0 or second == 1 else (1, 0)


def _branch(scope: Scope, item: Conditional, level: Needed, inner: Mapping[Operation, Guards], mask: int, predicate: Value) -> int:
    sides = [_body_scope(scope), _body_scope(scope)]
    shared, found = scope.shared, []
    before = shared.array_reads
    for inside, operations in zip(sides, item.sides, strict=True):
        shared.array_reads = dict(before)
        inside.run(level, operations, inner, item.crossing)
        found.append(shared.array_reads)
    shared.array_reads = {name: found[0].get(name, frozenset()) | found[1].get(name, frozenset()) for name in found[0] | found[1]}
    origins = tuple(Origin(op.name, op.created_at) for op in (item.merges[:1] or item.members[:1]))
    builder = _Enclosed(scope, sides, mask, origins)
    for merge in item.merges:
        numbers = _side_inputs(merge, item)
        entries = [inside.entry(merge.inputs[n]) for inside, n in zip(sides, numbers, strict=True)]
        scope.values[merge.outputs[1]] = _chosen_number(scope, predicate, numbers)
        if all(isinstance(e, Memory) and e == entries[0] for e in entries) and merge.outputs[0].dtype._is_ref_dtype:
            scope.values[merge.outputs[0]] = entries[0]
        else:
            builder.result(merge.outputs[0], entries)
    for tensor in item.crossing:
        on = item.side_of(tensor)
        assert on is not None
        entry = sides[on].entry(tensor)
        if isinstance(entry, Value) and entry.known is not None:  # sizes, above all
            scope.values[tensor] = scope.b.constant(entry.known, entry.dtype)
        elif isinstance(entry, Value):
            builder.partial(tensor, on, entry)
        else:
            scope.values[tensor] = entry if not isinstance(entry, Array) else _refuse(tensor)
    return builder.branch(predicate)


def _refuse(tensor: Tensor) -> Any:
    raise Differs(f"the array {tensor.name} is used outside the branch that makes it")


def _chosen_number(scope: Scope, predicate: Value, numbers: tuple[int, int]) -> Value:
    """The second result of a Merge; code only where something reads it."""
    return scope.b.select(predicate, scope.b.constant(numbers[1], "int32"), scope.b.constant(numbers[0], "int32"))


def _counting(array: Entry, elements: Value) -> Array:
    """An array, so many elements being in it."""
    assert isinstance(array, Array)
    return array._replace(elements=elements)


class _Result(NamedTuple):
    """What a node gives for a tensor: its value in each body, and what makes an entry of the node's output."""

    tensor: Tensor
    values: list[Value]
    entry: Callable[[Value], Entry]


class _Enclosed:
    """A node with bodies being put together. What bodies update is carried: variables, the positions of random ops."""

    def __init__(self, scope: Scope, bodies: Sequence[Scope], mask: int, origins: tuple[Origin, ...]) -> None:
        self.scope = scope
        self.bodies = bodies
        self.mask = mask
        self.origins = origins
        self.carried: list[tuple[Value, list[Value | None], list[Value | None]]] = []  # outside, input and new value in each body
        self.results: list[_Result] = []
        self._after: list[Callable[[Value], None]] = []  # what becomes of each carried value's new contents outside
        self.bits = 0

    def result(self, tensor: Tensor, entries: Sequence[Entry]) -> None:
        """A tensor that every body gives."""
        if any(isinstance(e, Array) and e.handle.room for e in entries):
            entries = [e.roomy(inside) if isinstance(e, Array) else e for e, inside in zip(entries, self.bodies, strict=True)]
        arrays = [e for e in entries if isinstance(e, Array)]
        if arrays:
            arrays = [a for a in arrays if a.element is not None] or arrays
            entries = [arrays[0]._replace(value=None, rows=()) if e is not arrays[0] and not (isinstance(e, Array) and e.value) else e
                       for e in entries]  # fmt: skip
        values = [inside.value_of(e, -1) for inside, e in zip(self.bodies, entries, strict=True)]
        first = values[0]
        if any(v.dtype != first.dtype or v.shape != first.shape for v in values):
            raise Differs(f"{tensor.name} is {values!r}")
        if first.dtype.kernel_type is None and not first.dtype.is_complex:
            raise UnimplementedError(None, tensor.op, f"a branch that gives a tensor of type {first.dtype.name}")
        like = arrays[0] if arrays else None
        self.results.append(_Result(tensor, values, lambda v: v if like is None else like._replace(value=v, rows=(), elements=None)))
        if like is not None and like.elements is not None:
            counts = [e.elements for e in entries if isinstance(e, Array) and e.elements is not None]
            if len(counts) < len(entries):
                raise Differs(f"{tensor.name} is an array on one branch only")
            self.results.append(_Result(tensor, counts, lambda v: _counting(self.scope.values[tensor], v)))

    def partial(self, tensor: Tensor, number: int, value: Value) -> None:
        """A tensor that one body gives and that is only looked at where it ran; in the other it is zeros."""
        values = []
        for k, inside in enumerate(self.bodies):
            zero = inside.b.constant(False if value.dtype.name == "bool" else 0, value.dtype) if k != number else None
            values.append(value if zero is None else inside.b.broadcast(zero, value.shape))
        self.results.append(_Result(tensor, values, lambda v: v))

    def carry(self, outside: Value, inputs: list[Value | None], new: list[Value | None], after: Callable[[Value], None]) -> None:
        """A value that the bodies change; `after` is told what it is outside once the node has run."""
        self.carried.append((outside, inputs, new))
        self._after.append(after)

    def _carry_updates(self) -> None:
        scope = self.scope
        memories = {name: m for body in self.bodies for name, m in body.memories.items()}
        for name in dict.fromkeys(n for body in self.bodies for n in body.versions):
            new = [body.versions[name][-1].value if name in body.versions else None for body in self.bodies]
            outside = scope.version(memories[name], -1)
            self.carry(outside, [body.initial.get(name) for body in self.bodies], new, lambda v, name=name: self._updated(name, v))  # type: ignore[misc]
        for name in dict.fromkeys(n for body in self.bodies for n in body.b.updates):
            new = [body.b.updates.get(name) for body in self.bodies]
            inputs = [body.b.state_input(name) for body in self.bodies]
            like = next(v for v in inputs if v is not None)
            outside = scope.b.state(name, like.dtype, like.shape)
            self.carry(outside, inputs, new, lambda v, name=name: scope.b.updates.__setitem__(name, v))  # type: ignore[misc]

    def _updated(self, name: str, value: Value) -> None:
        self.bits |= self.scope.updated(name, value)

    def _programs(self, outputs: Sequence[Sequence[Value]]) -> tuple[list[Program], list[Value]]:
        """The bodies, and what they read from outside."""
        given: dict[tuple[int, int], Value] = {}  # by id, and number among the inputs that are this value
        inputs_of: list[list[Input]] = []
        for k, body in enumerate(self.bodies):
            reads = list(body.reads)
            reads += [(self.scope.version(m, self.mask), body.initial[n]) for n, m in body.memories.items()
                      if n not in body.versions and n in body.initial]  # fmt: skip
            inputs = [Input(Source.STATE, f"c{n}", v) for n, (_, vs, _) in enumerate(self.carried) for v in [vs[k]] if v is not None]
            counts: dict[int, int] = {}
            for outer, inside in reads:
                counts[outer.id] = number = counts.get(outer.id, -1) + 1
                given[outer.id, number] = outer
                inputs.append(Input(Source.FEED, f"{outer.id}.{number}", inside))
            inputs_of.append(inputs)
        programs = []
        for k, body in enumerate(self.bodies):
            updates = {f"c{n}": new for n, (_, _, vs) in enumerate(self.carried) for new in [vs[k]] if new is not None}
            programs.append(assemble(inputs_of[k], body.b.nodes, outputs[k], updates, self.scope.shared.symbols))
        read = [{v.id for n in p.nodes for v in n.inputs} | {v.id for v in (*p.outputs, *p.updates.values())} for p in programs]
        used = {i.name for k, p in enumerate(programs) for i in p.inputs if i.value.id in read[k]}
        kept = [key for key in given if f"{key[0]}.{key[1]}" in used]
        names = {f"{key[0]}.{key[1]}": f"g{n}" for n, key in enumerate(kept)}
        named = []
        for program in programs:
            inputs = [i._replace(name=names[i.name]) if i.source is Source.FEED else i
                      for i in program.inputs if i.source is not Source.FEED or i.name in names]  # fmt: skip
            named.append(program._replace(inputs=tuple(inputs)))
        return named, [given[key] for key in kept]

    def branch(self, predicate: Value) -> int:
        """The node of a branch; bits of its updates."""
        self._carry_updates()
        outputs = [[r.values[k] for r in self.results] for k in range(2)]
        programs, given = self._programs(outputs)
        if not self.results and not self.carried and not any(p.nodes for p in programs):
            return 0
        shapes = [r.values[0] for r in self.results]
        op = Branch(len(self.carried), Body(programs[1]), Body(programs[0]))
        made = self._node(op, predicate, given, shapes)
        for result, value in zip(self.results, made, strict=True):
            self.scope.values[result.tensor] = result.entry(value)
            self.scope.producers.setdefault(value.id, result.tensor)
        return self.bits

    def loop(self, first: Value, goes_on: Value, trips: Index) -> int:
        """The node of a loop; bits of its updates."""
        self._carry_updates()
        (program,), given = self._programs([[goes_on]])
        self._node(Loop(len(self.carried), Body(program), trips), first, given, ())
        return self.bits

    def _node(self, op: Region, predicate: Value, given: Sequence[Value], results: Sequence[Value]) -> list[Value]:
        b = self.scope.b
        outside = [value for value, _, _ in self.carried]
        outputs = [b.value(v.dtype, v.shape) for v in (*outside, *results)]
        b.nodes.append(Node(op, (predicate, *outside, *given), outputs, self.origins))
        for after, value in zip(self._after, outputs, strict=False):
            after(value)
        return outputs[len(outside) :]


def assertion(scope: Scope, op: Operation, mask: int) -> int:
    """Runs an Assert: Python is called where the condition does not hold, and only there. One that is known to fail does so at once, before
    what it should have kept from happening fails less clearly."""
    condition = scope.read(op.inputs[0], mask)
    if condition.known is not None and bool(condition.known):
        return 0
    data = [scope.read(t, mask).known for t in op.inputs]
    if scope.outer is None and all(known is not None and not is_symbolic(known) for known in data):
        try:
            op.definition.run(*data)
        except OpError as error:
            raise type(error)(op.node_def, op, describe(op, error.message)) from None
    sides = [_body_scope(scope), _body_scope(scope)]
    failing = sides[0].b
    failing.origins = origins = (Origin(op.name, op.created_at),)
    failing.apply(op.definition, *[sides[0].read(t, -1) for t in op.inputs])
    return _Enclosed(scope, sides, mask, origins).branch(condition)


# -- loops -------------------------------------------------------------------------------------------------------------------------


def loop(scope: Scope, frame: Frame, mask: int) -> int:
    """Runs a loop; bits of the updates that it makes. Raises Stepwise where Python has to run it."""
    try:
        return _rolled(scope, frame, mask)
    except (Differs, Irregular, Stepwise, UnimplementedError) as error:  # Stepwise: a loop inside this one
        raise Stepwise(frame, str(error)) from None
    except Cut as cut:
        known = [t for t in cut.tensors if t in scope.values]
        if known and scope.outer is None:
            raise Cut(known) from None
        raise Stepwise(frame, str(cut)) from None


def _rolled(scope: Scope, frame: Frame, mask: int) -> int:
    variables = list(frame.variables)
    initial = [_loop_entry(scope, merge, mask) for merge in variables]
    deciding = frame.deciding()
    first = _decision(_inline_scope(scope), frame, deciding, dict(zip(variables, initial, strict=True)))
    if first.known is not None and not first.known:
        _leave(scope, frame, dict(zip(variables, initial, strict=True)))
        return 0
    read = dict(scope.shared.array_reads)
    groups: Mapping[Operation, int] = {}
    for _ in range(3 + len(variables)):
        try:
            return _Rolled(scope, frame, mask, variables, initial, deciding, groups).run(first)
        except Grows:
            scope.shared.array_reads = dict(read)
            initial = [entry.roomy(scope) if isinstance(entry, Array) else entry for entry in initial]
        except Apart as apart:
            scope.shared.array_reads = dict(read)
            groups = apart.groups
        except Unborn as unborn:
            scope.shared.array_reads = dict(read)
            initial = [_born(merge, entry, unborn) for merge, entry in zip(variables, initial, strict=True)]
    raise Differs("the arrays of the loop have elements of no one shape")


def _born(merge: Operation, entry: Entry, unborn: Unborn) -> Entry:
    """What a loop variable is to begin with, after the body has shown more of it."""
    return unborn.array if unborn.key is merge else entry.born(unborn) if isinstance(entry, Array) else entry


def _loop_entry(scope: Scope, merge: Operation, mask: int) -> Entry:
    """What a loop variable is to begin with."""
    entry = scope.entry(merge.inputs[0].op.inputs[0])
    if isinstance(entry, Memory) and not merge.outputs[0].dtype._is_ref_dtype:
        return scope.read(merge.inputs[0].op.inputs[0], mask)
    return entry


def _decision(scope: Scope, frame: Frame, deciding: Needed, values: Mapping[Operation, Entry]) -> Value:
    """The condition of a loop for these values of its variables."""
    _place(scope, frame, deciding, values)
    operations = deciding.operations
    scope.run(deciding, operations, guards(deciding, operations) if deciding.controlled else {})
    if scope.versions:
        raise Differs("the condition of a loop updates a variable")
    return scope.read(frame.condition.inputs[0], -1)


def _place(scope: Scope, frame: Frame, level: Needed, values: Mapping[Operation, Entry]) -> None:
    """Puts the values of the loop variables, and what does not change, where the operations of the loop look for them."""
    assert scope.outer is not None
    for merge, entry in values.items():
        scope.values[merge.outputs[0]] = entry
    for switch in frame.condition.outputs[0]._consumers:
        variable = switch.inputs[0].op
        if variable in values:
            scope.values[switch.outputs[0]] = scope.values[switch.outputs[1]] = values[variable]
    for enter in frame.enters:
        scope.values[enter.outputs[0]] = scope.brought_in(enter.inputs[0])


def _leave(scope: Scope, frame: Frame, values: Mapping[Operation, Entry]) -> None:
    for exit_ in frame.exits:
        scope.values[exit_.outputs[0]] = values[left_variable(exit_)]


class _Rolled:
    """A loop as a node."""

    def __init__(
        self, scope: Scope, frame: Frame, mask: int, variables: Sequence[Operation], initial: Sequence[Entry], deciding: Needed,
        groups: Mapping[Operation, int],
    ) -> None:  # fmt: skip
        self.scope = scope
        self.frame = frame
        self.variables = variables
        self.initial = initial
        self.deciding = deciding
        self.inside = _body_scope(scope)
        condition = frame.condition
        self.enclosed = _Enclosed(scope, [self.inside], mask, (Origin(condition.name, condition.created_at),))
        self.inputs: dict[Operation, Value] = {}
        self.groups = groups
        self.counts: dict[Any, tuple[Value, Value]] = {}  # numbers of elements, before the loop and in its body

    def run(self, first: Value) -> int:
        inside, frame = self.inside, self.frame
        entries = {merge: self._begin(merge, entry) for merge, entry in zip(self.variables, self.initial, strict=True)}
        computing = frame.computing()
        _place(inside, frame, computing, entries)
        operations = computing.operations
        inside.run(computing, operations, guards(computing, operations) if computing.controlled else {})
        following_ = {merge: self._next(merge, entries[merge]) for merge in self.variables}
        after = _inline_scope(inside)
        goes_on = _decision(after, frame, self.deciding, following_)
        trips = trip_count(inside.b, goes_on, [(self.inputs[m], e, following_[m]) for m, e in
                                                      zip(self.variables, self.initial, strict=True) if m in self.inputs])  # fmt: skip
        if trips not in (0, 1):
            self._refuse_one_place()
        leaving: dict[Operation, Entry] = {}
        for merge, entry in zip(self.variables, self.initial, strict=True):
            self._carry(merge, entry, entries[merge], following_[merge], leaving)
        self._carry_counts(entries, following_, leaving)
        bits = self.enclosed.loop(first, goes_on, trips)
        _leave(self.scope, frame, leaving)
        return bits

    def _refuse_one_place(self) -> None:
        """The second iteration fails where the first has written, or read and cleared, the same element of an array from outside."""
        context = self.frame.condition._control_flow_context
        for b, made in self.scope.shared.places:
            if b is self.inside.b and not contains(context, made._control_flow_context):
                raise Irregular(made, "every iteration writes or reads one element")

    def _begin(self, merge: Operation, entry: Entry) -> Entry:
        """A loop variable in the body."""
        b = self.inside.b
        if isinstance(entry, Value):
            if entry.dtype.kernel_type is None and not entry.dtype.is_complex:
                raise UnimplementedError(None, merge, f"a loop variable of type {entry.dtype.name}")
            self.inputs[merge] = b.input(Source.STATE, f"variable {merge.name}", entry.dtype, entry.shape)
            return self.inputs[merge]
        if isinstance(entry, Array) and entry.element is not None:
            self.inputs[merge] = b.input(Source.STATE, f"variable {merge.name}", entry.dtype, entry.shape)
            elements = None if entry.elements is None else self._count(merge, entry.elements)
            return entry._replace(value=self.inputs[merge], elements=elements)
        return entry

    def _count(self, merge: Operation, before: Value) -> Value:
        """How many elements an array has in the body. Arrays that had equally many before are taken to grow together."""
        key = before.id, self.groups.get(merge, 0)
        if key not in self.counts:
            self.counts[key] = before, self.inside.b.input(Source.STATE, f"elements {merge.name}", before.dtype, ())
        return self.counts[key][1]

    def _carry_counts(
        self, entries: Mapping[Operation, Entry], following_: Mapping[Operation, Entry], leaving: dict[Operation, Entry]
    ) -> None:
        after: dict[Any, Value] = {}
        members: dict[Any, list[Operation]] = {}
        kinds: dict[tuple[Any, int], int] = {}
        groups: dict[Operation, int] = {}
        for merge, entry in entries.items():
            if not isinstance(entry, Array) or entry.elements is None:
                continue
            key = next(k for k, (_, inside) in self.counts.items() if inside is entry.elements)
            grown = following_[merge]
            assert isinstance(grown, Array) and grown.elements is not None
            new = grown.elements
            after.setdefault(key, new)
            members.setdefault(key, []).append(merge)
            groups[merge] = kinds.setdefault((key, new.id), len(kinds))
        if len(kinds) > len(after):
            raise Apart(groups)
        for key, (before, inside) in self.counts.items():

            def left(value: Value, merges: Sequence[Operation] = tuple(members.get(key, ()))) -> None:
                for merge in merges:
                    leaving[merge] = _counting(leaving[merge], value)

            self.enclosed.carry(before, [inside], [after[key]], left)

    def _next(self, merge: Operation, entry: Entry) -> Entry:
        """What a loop variable is after an iteration; Differs where it is another kind of thing."""
        found = self.inside.entry(following(merge))
        if isinstance(entry, Value) and isinstance(found, Array):  # the gradient of a flow: 0 to begin with
            raise Unborn(merge, Array(found.handle, found.element))
        if isinstance(entry, Value):
            value = self.inside.value_of(found, -1)
            if value.dtype != entry.dtype or value.shape != entry.shape:
                raise Differs(f"the loop variable {merge.inputs[0].op.inputs[0].name} is {entry!r}, after an iteration {value!r}")
            return value
        if isinstance(entry, Array):
            if not isinstance(found, Array):
                raise Differs(f"the loop variable {merge.name} is an array, after an iteration {found!r}")
            if found.element is not None and entry.element is None:
                raise Unborn(entry.name, found)
            if found.handle.room and not entry.handle.room:
                raise Grows
            if found.shape != entry.shape:
                raise Differs(f"the array {entry.name} grows in a loop")
            return found
        if found != entry:
            raise Differs(f"the loop variable {merge.name} changes what it refers to")
        return found

    def _carry(self, merge: Operation, initial: Entry, entry: Entry, after: Entry, leaving: dict[Operation, Entry]) -> None:
        inside = self.inputs.get(merge)
        if inside is None:
            leaving[merge] = initial
            return
        outside = self.scope.value_of(initial, -1)
        new = self.inside.value_of(after, -1)
        if new is inside:  # it does not change: as good as something from outside
            self.inside.reads.append((outside, inside))
            leaving[merge] = initial
            return

        def left(value: Value) -> None:
            leaving[merge] = initial._replace(value=value) if isinstance(initial, Array) else value

        self.enclosed.carry(outside, [inside], [new], left)
