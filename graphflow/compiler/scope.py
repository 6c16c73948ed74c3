"""One level of a graph on its way into a Program: what each tensor stands for, and what each operation becomes.

Variables. A Program is functional: a variable's old value is an input, each update a new value, the last one goes to `updates`. What a
reader sees follows TensorFlow's reference variables on a CPU, where `v/read` is the variable's own memory:

- a reader sees every update that is ordered before it, by data or by control dependency, even through a `v/read` that is ordered before
  the update; an update that is not ordered before the reader comes after it;
- a fetched variable is looked at after everything else;
- updates that are not ordered among each other happen in the order in which they were created.

A loop or branch is a scope of its own inside another: what it reads from outside it gets as an input, and the variables that it updates it
carries (compiler/enclose.py).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from graphflow import dtypes
from graphflow.compiler.arrays import Array, Handle, Irregular, run_array_op
from graphflow.compiler.branches import Conditional, Guards, arrange
from graphflow.compiler.builder import DataDependent, ProgramBuilder
from graphflow.compiler.composed import compose
from graphflow.compiler.control import SWITCHES, Frame, Needed
from graphflow.compiler.measuring import FIRST_ROOM, Unmeasured
from graphflow.compiler.program import Origin, Source, Value
from graphflow.compiler.templates import Templates, situation
from graphflow.errors import InvalidArgumentError, UnimplementedError
from graphflow.graph.dims import taken_for_equal
from graphflow.graph.op import Kind, TensorSpec
from graphflow.graph.operation import Operation
from graphflow.graph.tensor import Tensor
from graphflow.kernel.index import Index, IndexExpr, symbol
from graphflow.ops.tensor_array_ops import array_of
from graphflow.ops.watching import AssertOp


class Cut(Exception):
    """These tensors must be computed before the rest can be captured. `contents`: what they hold decides what is captured; without it
    only their shapes do."""

    def __init__(self, tensors: Sequence[Tensor], contents: bool = True) -> None:
        super().__init__(f"the sizes of what follows depend on {', '.join(t.name for t in tensors)}")
        self.tensors = tuple(tensors)
        self.contents = contents


class Stepwise(Exception):
    """A loop that is no body of native code: Python has to take its iterations one after the other."""

    def __init__(self, frame: Frame, reason: str) -> None:
        super().__init__(reason)
        self.frame = frame


class Variables(Protocol):
    """What capture must know of the session's variables."""

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a variable's value; KeyError where it has none."""

    def reshaped(self, name: str, dims: tuple[int, ...]) -> bool:
        """Whether a variable's value has another shape than the graph says, as an assignment without validation gives it."""

    def initialized(self, name: str) -> bool:
        """Whether the session holds a value."""


ROOM = "room"  # the symbol of the size of arrays that grow


class Memory(NamedTuple):
    """A tensor that is a variable's own memory, or a handle of it. `name`: what the session calls the variable; handles of one shared name
    are of one variable. `spec`: what the graph says of its value."""

    name: str
    spec: TensorSpec

    def shape(self, variables: Variables) -> tuple[int, ...]:
        """The shape of its value."""
        dims = self.spec.dims
        if known(dims) and not variables.reshaped(self.name, dims):  # type: ignore[arg-type]
            return dims  # type: ignore[return-value]
        return variables.shape(self.name)


class Version(NamedTuple):
    """A variable after an update. `bit` marks the update in masks of what happened before."""

    bit: int
    value: Value


Entry = Value | Memory | Array | Handle
PLAIN = {Value}
HELD = {Value, Memory}


class Shared:
    """What all scopes of a capture have in common. `templates`: what equal operations became before."""

    def __init__(self, variables: Variables, templates: Templates | None = None, grows: bool = True) -> None:
        self.variables = variables
        self.grows = grows  # whether arrays may grow in loops
        self.templates = Templates() if templates is None else templates
        self.answers: dict[str, bool] = {}
        self.symbols: dict[str, tuple[str, int]] = {}  # where the size of each name is read
        self.guards: list[IndexExpr] = []
        self.measuring: list[Operation] = []  # those whose results have sizes that depend on data
        self.places: list[tuple[ProgramBuilder, Operation]] = []  # where elements of which TensorArrays are written, or read and cleared
        self.array_reads: dict[str, frozenset[int]] = {}  # of TensorArrays by name, the elements that are known to be read; -1 for all

    def room(self, least: int) -> IndexExpr:
        """The size of arrays that grow: memory for that many elements, more where a run turns out to need them."""
        _, before = self.symbols.get(ROOM, ("", FIRST_ROOM))
        self.symbols[ROOM] = "", max(before, 2 * least)
        found = symbol(ROOM, 1)
        assert isinstance(found, IndexExpr)
        return found

    def initialized(self, reference: Tensor) -> bool:
        """Whether the variable behind a reference has a value; the answer belongs to the Program's identity."""
        name = stored_name(owner(reference))
        if name not in self.answers:
            self.answers[name] = self.variables.initialized(name)
        return self.answers[name]


class Scope:
    """See the module's text. `outer`: the scope around. A scope with a builder of its own is a body; one with the builder of the scope
    around only has tensors of its own."""

    def __init__(self, builder: ProgramBuilder, shared: Shared, outer: Scope | None = None) -> None:
        self.b = builder
        self.shared = shared
        self.outer = outer
        self.values: dict[Tensor, Entry] = {}
        self.initial: dict[str, Value] = {}
        self.versions: dict[str, list[Version]] = {}
        self.before: dict[Operation, int] = {}  # updates ordered before (or at) an operation, one bit each
        self.next_bit = 1
        self.producers: dict[int, Tensor] = {}
        self.memories: dict[str, Memory] = {}  # the variables that are touched
        self.reads: list[tuple[Value, Value]] = []  # values of the scope around, and the inputs that they are here
        self._inside: dict[int, Value] = {}  # what they are here, by id
        self._longer: dict[tuple[int, int], Value] = {}  # numbers of elements after a write, by ids of the number before and the index
        self._counted: dict[int, Index] = {}  # numbers of elements as sizes, by id

    # -- levels ------------------------------------------------------------------------------------------------------------------

    def run(
        self, level: Needed, operations: Iterable[Operation], guards: Mapping[Operation, Guards], wanted: Iterable[Tensor] = ()
    ) -> None:
        """Everything that `operations`, part of a level, compute. `guards`: empty where the level has no control flow. `wanted`: tensors of
        branches that are read elsewhere on the level."""
        from graphflow.compiler import enclose  # only programs with loops and branches need it

        operations = list(operations)
        if not guards:
            for op in operations:
                self._run_one(op, self._mask(level, (op,)) if self.next_bit > 1 else 0)
            return
        arranged = arrange(level, operations, guards, wanted)
        for item in arranged.items:
            if isinstance(item, Conditional):
                mask = self._mask(level, item.members)
                self._mark(item.members, mask, enclose.conditional(self, item, level, arranged.inner, mask))
            elif isinstance(item, Frame):
                exits = list(item.exits)
                mask = self._mask(level, exits)
                self._mark(exits, mask, enclose.loop(self, item, mask))
            else:
                self._run_one(item, self._mask(level, [item]))

    def _mask(self, level: Needed, operations: Sequence[Operation]) -> int:
        mask = 0
        if self.next_bit > 1:  # something has been updated
            for op in operations:
                for other in level.waits_for(op):
                    mask |= self.before.get(other, 0)
        return mask

    def _mark(self, operations: Iterable[Operation], mask: int, updates: int) -> None:
        for op in operations:
            self.before[op] = mask | updates

    def _run_one(self, op: Operation, mask: int) -> None:
        if mask:
            self.before[op] = mask
        try:
            self._operation(op, mask)
        except ValueError as error:
            if not hasattr(error, "operation"):
                error.operation = op  # type: ignore[attr-defined]  # the session names it, with what it was given
                given = [self.values.get(t) for t in op.inputs]
                error.shapes = [v.shape for v in given if isinstance(v, Value)]  # type: ignore[attr-defined]
            raise
        except UnimplementedError as error:
            if error.op is not None:
                raise
            raise UnimplementedError(op.node_def, op, error.message) from None

    # -- tensors -----------------------------------------------------------------------------------------------------------------

    def entry(self, tensor: Tensor) -> Entry:
        """What a tensor stands for."""
        found = self.values.get(tensor)
        if found is None:
            if self.outer is None:
                made = array_of(tensor) if tensor.dtype is dtypes.resource else None
                if made is not None and made.type == "TensorArrayV3":
                    raise Irregular(made, "Python keeps it")
                text = f"Retval[0] does not have value: '{tensor.name}' is in a branch that is not taken"
                raise InvalidArgumentError(None, tensor.op, text)
            found = self.values[tensor] = self.brought_in(tensor)
        return found

    def brought_in(self, tensor: Tensor) -> Entry:
        """What a tensor of the scope around is in this one."""
        assert self.outer is not None
        entry = self.outer.entry(tensor)
        if self.b is self.outer.b or isinstance(entry, (Memory, Handle)):
            return entry
        if isinstance(entry, Array):
            if entry.rows:
                entry = self.outer.values[tensor] = entry.settled(self.outer.b)
            elements = None if entry.elements is None else self.given(entry.elements)
            return entry._replace(value=None if entry.value is None else self.given(entry.value), elements=elements)
        value = self.given(entry)
        self.producers.setdefault(value.id, tensor)
        return value

    def given(self, value: Value) -> Value:
        """What a value of the scope around is in this one."""
        found = self._inside.get(value.id)
        if found is None:
            if value.known is not None:
                found = self.b.constant(value.known, value.dtype)
            elif value.dtype.kernel_type is None and not value.dtype.is_complex:
                raise UnimplementedError(None, None, f"a loop or branch that reads a tensor of type {value.dtype.name} from outside")
            else:
                found = self.b.input(Source.FEED, f"given {value.id}", value.dtype, value.shape)
                self.reads.append((value, found))
            self._inside[value.id] = found
        return found

    def read(self, tensor: Tensor, mask: int) -> Value:
        """The value of a tensor for a reader that comes after the updates in `mask`."""
        return self.value_of(self.entry(tensor), mask)

    def value_of(self, entry: Entry, mask: int) -> Value:
        """The same for what a tensor stands for. An array is read as all its elements."""
        if isinstance(entry, Value):
            return entry
        if isinstance(entry, Memory):
            return self.version(entry, mask)
        if isinstance(entry, Array):
            return entry.contents(self.b)
        return self.b.constant(np.zeros(2, np.int32), "int32")  # a handle: nothing looks at it

    def longer(self, count: Value, index: Value) -> Value:
        """How many elements an array has after a write."""
        key = count.id, index.id
        if key not in self._longer:
            self._longer[key] = self.b.maximum(count, self.b.add(self.b.cast(index, "int32"), 1))
        return self._longer[key]

    def counted(self, array: Array) -> Value:
        """How many elements an array with room for more has; on the outermost level as a size."""
        assert array.elements is not None
        if not self.b.measures:
            return array.elements
        if array.elements.id not in self._counted:
            self._counted[array.elements.id] = self.b.measure(array.elements, array.handle.size)
        return self.b.constant(self._counted[array.elements.id], "int32")

    # -- one operation -----------------------------------------------------------------------------------------------------------

    def _operation(self, op: Operation, mask: int) -> None:
        definition = op.definition
        kind = definition.kind
        if kind is Kind.SOURCE:
            if definition.asks:
                self._answer(op, mask)
            else:
                self._source(op)
            return
        values = self.values
        operands: list[Any] = [values.get(t) for t in op.inputs]
        types = {*map(type, operands)}
        plain = types <= PLAIN
        if not plain and definition.forwards and type(operands[0]) is Memory:
            values[op.outputs[0]] = operands[0]
            return
        self.b.origins = (Origin(op.name, op.created_at),)
        if kind is Kind.CONTROL:
            self._control(op, mask)
            return
        if not types <= HELD:
            first = self.entry(op.inputs[0])
            if definition.forwards and isinstance(first, Memory):
                values[op.outputs[0]] = first
                return
            if not isinstance(first, (Array, Handle)):
                operands = [self.entry(t) if entry is None else entry for t, entry in zip(op.inputs, operands, strict=True)]
            if isinstance(first, (Array, Handle)) or Array in {*map(type, operands)}:
                run_array_op(self, op, mask)
                return
        if kind is Kind.HOST and isinstance(definition, AssertOp):
            self._assert(op, mask)
            return
        if not plain:  # an update continues from the latest one, ordered or not: none may be lost
            if not getattr(definition, "validate_shape", True):
                self._reshape(op, mask)
            updates = definition.updates
            operands = [
                entry if type(entry) is Value else self.value_of(entry, -1 if k in updates else mask) for k, entry in enumerate(operands)
            ]
        self.b.expected = op.outputs[0]._dims if op.outputs else None
        key = self.shared.templates.key(self.b, definition, operands, self.b.expected)
        template = None if key is None else self.shared.templates.get(key)
        if template is None:
            results = self._made(op, operands, key)
        else:
            results = template.copied(self.b, operands)
            self.shared.guards += template.guards
        if kind is Kind.STATE:
            self._update(op, results if isinstance(results, tuple) else (results,))
            return
        if isinstance(results, Value):
            (tensor,) = op.outputs
            values[tensor] = results
            self.producers.setdefault(results.id, tensor)
            return
        for tensor, value in zip(op.outputs, results, strict=True):
            values[tensor] = value
            self.producers.setdefault(value.id, tensor)

    def _made(self, op: Operation, operands: Sequence[Value], key: Hashable | None) -> Any:
        """What an operation gives for these operands. `key`: where it may be remembered."""
        definition = op.definition
        kind, specs, before, guards = definition.kind, [v.spec for v in operands], situation(self.b), len(self.shared.guards)
        if kind is Kind.HOST and not _sized(definition.infer(*specs)):
            raise Cut(op.outputs, contents=False)
        with taken_for_equal() as equal:
            if kind in (Kind.COMPOSITE, Kind.STATE):
                definition.infer(*specs)  # refuses operands that decompose() counts on being right
            self.shared.guards += [size for size in definition.requires(*specs) if isinstance(size, IndexExpr)]
            sizes = len(self.b.measured)
            try:
                results = self.b.apply(definition, *operands)
            except DataDependent as error:
                raise Cut([self.origin_of(error.value, op)]) from None
            except Unmeasured:
                raise Cut(op.outputs, contents=False) from None
            if kind is Kind.STATE and isinstance(results, (tuple, Value)):
                compose(self.b, before.nodes, results if isinstance(results, tuple) else (results,))
        self.shared.guards += [size for size in equal if isinstance(size, IndexExpr)]
        if len(self.b.measured) > sizes:
            self.shared.measuring.append(op)
        if key is not None:
            results = self.shared.templates.remember(key, self.b, before, operands, results, self.shared.guards[guards:])
        return results

    def _assert(self, op: Operation, mask: int) -> None:
        from graphflow.compiler import enclose

        enclose.assertion(self, op, mask)

    def _control(self, op: Operation, mask: int) -> None:
        if op.type in SWITCHES:
            self.values[op.outputs[0]] = self.values[op.outputs[1]] = self.entry(op.inputs[0])
        elif op.type.startswith("TensorArray"):
            run_array_op(self, op, mask)
        elif op.type != "ControlTrigger":
            raise UnimplementedError(None, op, f"{op.type} '{op.name}': control flow that no tf.cond or tf.while_loop makes")

    def _reshape(self, op: Operation, mask: int) -> None:
        """An assignment that may give a variable another shape: the old value, which it ignores, gets the new shape."""
        memory = self.entry(op.inputs[0])
        if not isinstance(memory, Memory):
            return
        value = self.read(op.inputs[1], mask)
        old = self.initial.get(memory.name)
        if old is None:
            self.initial[memory.name] = self.b.input(Source.STATE, memory.name, value.dtype, value.shape)
        elif old.shape != value.shape:  # both have the variable's memory
            raise ValueError(
                f"the value of '{memory.name}' has shape {list(old.shape)} and cannot get shape {list(value.shape)} in a run that reads it"
            )

    def _source(self, op: Operation) -> None:
        if not op.outputs:
            return
        tensor = op.outputs[0]
        if op.definition.variable:
            self.values[tensor] = Memory(stored_name(op), tensor.spec.contents)
            return
        contents = op.definition.contents()
        if contents is None:
            shape = tensor.shape
            raise InvalidArgumentError(
                None, op, f"You must feed a value for placeholder tensor '{op.name}' with dtype {dtypes.native_name(tensor.dtype)}"
                + ("" if shape.ndims is None else f" and shape [{','.join('?' if d is None else str(d) for d in shape.as_list())}]"),
            )  # fmt: skip
        self.values[tensor] = self.b.constant(contents, tensor.dtype)

    def _answer(self, op: Operation, mask: int) -> None:
        written = any(v.bit & mask for v in self.versions.get(stored_name(owner(op.inputs[0])), ()))
        known = np.array(written or self.shared.initialized(op.inputs[0]))
        self.values[op.outputs[0]] = self.b.constant(known, op.outputs[0].dtype)

    def origin_of(self, value: Value, user: Operation) -> Tensor:
        """The graph tensor that is `value`, or the input of `user` that it was made from."""
        found = self.producers.get(value.id)
        if found is not None:
            return found
        operands = {t: entry for t in user.inputs if isinstance(entry := self.values.get(t), Value)}
        exact = [t for t, entry in operands.items() if entry is value]
        unknown = [t for t, entry in operands.items() if entry.known is None]
        return [*exact, *unknown, user.inputs[0]][0]

    # -- variables ---------------------------------------------------------------------------------------------------------------

    def version(self, memory: Memory, mask: int) -> Value:
        """What a variable holds for a reader that comes after the updates in `mask`."""
        if self.outer is not None and self.b is self.outer.b:
            return self.outer.version(memory, -1)
        name = memory.name
        self.memories[name] = memory
        current = self.initial.get(name)
        if current is None:
            current = self.initial[name] = self._first(memory)
        for version in self.versions.get(name, ()):
            if version.bit & mask:
                current = version.value
        return current

    def _first(self, memory: Memory) -> Value:
        if self.outer is not None:
            value = self.outer.version(memory, -1)
            return self.b.input(Source.STATE, memory.name, value.dtype, value.shape)
        return self.b.input(Source.STATE, memory.name, memory.spec.dtype, memory.shape(self.shared.variables))

    def updated(self, name: str, value: Value) -> int:
        """Notes a variable's new value; the bit that marks the update."""
        bit = self.next_bit
        self.versions.setdefault(name, []).append(Version(bit, value))
        self.next_bit <<= 1
        return bit

    def _update(self, op: Operation, results: Sequence[Any]) -> None:
        changed = op.definition.updates
        bits = 0
        memories = [self.entry(op.inputs[position]) for position in changed]
        for memory, value in zip(memories, results, strict=False):
            assert isinstance(memory, Memory), op
            bits |= self.updated(memory.name, value)
        self.before[op] = self.before.get(op, 0) | bits
        rest = iter(results[len(changed) :])
        for tensor in op.outputs:
            self.values[tensor] = memories[0] if tensor.dtype._is_ref_dtype else next(rest)


def known(dims: Any) -> bool:
    """Whether a shape is wholly known."""
    return dims is not None and None not in dims


def stored_name(variable: Operation) -> str:
    """Under which name the session keeps the value of a variable."""
    if variable.outputs[0].dtype._is_ref_dtype:
        return variable.name
    return variable.definition.shared_name or variable.name  # type: ignore[attr-defined]


def _sized(results: TensorSpec | tuple[TensorSpec, ...]) -> bool:
    """Whether all sizes of these results are known."""
    specs = results if isinstance(results, tuple) else (results,)
    return all(s.dims is not None and all(isinstance(d, (int, IndexExpr)) for d in s.dims) for s in specs)


def owner(reference: Tensor) -> Operation:
    """The operation of the variable that a reference tensor leads back to."""
    op = reference.op
    while op.inputs:
        op = op.inputs[op.definition.updates[0] if op.definition.updates else 0].op
    return op
