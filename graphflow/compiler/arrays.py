"""TensorArrays in a Program: a TensorArray is one tensor that holds all its elements, and its flow stands for that tensor.

    TensorArrayV3     nothing yet: zeros, once the shape of the elements is known
    write             PutRow, which the memory plan lets happen in place
    read              Take
    unstack, stack    the tensor itself, where the indices are 0, 1, 2, …

An array of gradients adds up what is written to one element. Where it begins with zeros, writes to it are kept as a list, so that adding it
to another one touches the rows that were written, not all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from graphflow.compiler.program import Value
from graphflow.dtypes import DType, native_name
from graphflow.errors import InvalidArgumentError, UnimplementedError
from graphflow.graph.operation import Operation
from graphflow.kernel.index import Index, IndexExpr, product
from graphflow.ops.array_rows import PutRow, TakeRow
from graphflow.ops.tensor_array_ops import name_of

if TYPE_CHECKING:
    from graphflow.compiler.builder import ProgramBuilder
    from graphflow.compiler.scope import Scope


class Unborn(Exception):
    """The elements of an array, which was made outside a loop, turn out in it to have this shape. `key`: the array's name, or the
    Merge of a
    loop variable that was a number and turns out to be an array."""

    def __init__(self, key: object, array: Array) -> None:
        super().__init__(f"{key} has elements of shape {array.element}")
        self.key = key
        self.array = array


class Grows(Exception):
    """An array that a loop carries turns out to grow in it."""


class Apart(Exception):
    """Arrays that had equally many elements before a loop grow differently in it. `groups`: those that may still be taken to grow together,
    by their loop variables."""

    def __init__(self, groups: Mapping[Operation, int]) -> None:
        super().__init__("arrays grow differently")
        self.groups = groups


class Irregular(Exception):
    """An array whose elements are no one tensor (of different shapes, of strings, growing where only a run tells how far), or that is used
    in a way that TensorFlow refuses: Python has to keep it."""

    def __init__(self, made: Operation, reason: str) -> None:
        super().__init__(f"TensorArray {name_of(made)}: {reason}")
        self.made = made


class Handle(NamedTuple):
    """Which array is meant: what TensorArrayV3 (`made`) or TensorArrayGradV3 gives. `adds`: it holds gradients."""

    made: Operation
    name: str
    dtype: DType
    size: Index
    element: tuple[Index, ...] | None
    dynamic: bool
    adds: bool
    pieces: Index | None = None  # how many elements a split has written
    room: str = ""  # the symbol of its size, where it may grow for as long as a loop goes round


class Array(NamedTuple):
    """An array at one moment. `element`: the shape of its elements, None where nothing tells it yet. `value`: all elements; None for zeros.
    `rows`: (index, element) of what has been added to it since, where `value` is None."""

    handle: Handle
    element: tuple[Index, ...] | None
    value: Value | None = None
    rows: tuple[tuple[Value, Value], ...] = ()
    written: frozenset[int] = frozenset()  # the elements that are known to have been written
    elements: Value | None = None  # how many elements it has, where its size is a room for more

    @property
    def name(self) -> str:
        return self.handle.name

    @property
    def dtype(self) -> DType:
        return self.handle.dtype

    @property
    def shape(self) -> tuple[Index, ...]:
        """Of all elements together."""
        if self.element is None:
            raise Irregular(self.handle.made, "nothing tells the shape of its elements")
        return (self.handle.size, *self.element)

    def contents(self, b: ProgramBuilder) -> Value:
        """All elements in one tensor."""
        if self.value is not None:
            return self.value
        out = b.broadcast(b.constant(False if self.dtype.name == "bool" else 0, self.dtype), self.shape)
        for index, row in self.rows:
            out = put_row(b, self, out, index, row)
        return out

    def settled(self, b: ProgramBuilder) -> Array:
        """The same array without a list of rows."""
        return self._replace(value=self.contents(b), rows=()) if self.rows else self

    def roomy(self, scope: Scope) -> Array:
        """The same array with room for as many elements as a run may need."""
        size, b = self.handle.size, scope.b
        if self.handle.room or not self.handle.dynamic:
            return self
        if not isinstance(size, int) or not scope.shared.grows:
            raise Irregular(self.handle.made, "of a size that only a run tells, it grows in a loop")
        room = scope.shared.room(size)
        value = self.value
        if value is not None:
            value = b.halo(value, (0,) * len(value.shape), (room - size, *(0 for _ in value.shape[1:])))
        return self._replace(handle=self.handle._replace(size=room, room=str(room)), value=value, elements=b.constant(size, "int32"))

    def born(self, unborn: Unborn) -> Array:
        """With the shape of the elements, where it is this array that was found to have it."""
        return self._replace(element=unborn.array.element) if self.element is None and unborn.key == self.name else self


def put_row(b: ProgramBuilder, array: Array, old: Value, index: Value, row: Value) -> Value:
    """`old` with the element at `index` replaced by, or for gradients increased by, `row`."""
    size = array.handle.size
    width = product(row.shape)
    combine = "add" if array.handle.adds else "set"
    flat = b.apply(PutRow(combine, name_of(array.handle.made), array.handle.room), b.view(old, (size, width)), b.view(row, (width,)), index)
    return b.view(flat, old.shape)


def _is_range(b: ProgramBuilder, value: Value, size: Index) -> bool:
    """Whether a value is 0, 1, 2, …, size - 1."""
    if value.shape != (size,):
        return False
    if value.known is not None:
        return list(value.known) == list(range(len(value.known)))
    maker = b.maker(value)
    return maker is not None and maker.op.type in ("Iota", "IotaAfter")


def run_array_op(scope: Scope, op: Operation, mask: int) -> None:
    """An operation on a TensorArray, or one that has the flow of an array among its inputs."""
    rule = _RULES.get(op.type, _flow_as_number)
    rule(scope, op, mask)


Rule = Callable[["Scope", Operation, int], None]


def _made(scope: Scope, op: Operation, mask: int) -> None:
    from graphflow.compiler.scope import Cut

    definition: Any = op.definition
    size = scope.read(op.inputs[0], mask)
    if size.known is not None:
        (count,) = scope.b.sizes(size)
    elif scope.b.boundless and not definition.dynamic_size:
        count = scope.b.measure(size)
        scope.shared.measuring.append(op)
    else:
        raise Cut([scope.origin_of(size, op)])
    shape = definition.element_shape
    element = tuple(shape.as_list()) if shape.is_fully_defined() else None
    if definition.dtype.kernel_type is None and not definition.dtype.is_complex:
        raise Irregular(op, f"elements of type {definition.dtype.name}")
    handle = Handle(op, op.name, definition.dtype, count, element, definition.dynamic_size, False)
    scope.values[op.outputs[0]] = handle
    scope.values[op.outputs[1]] = Array(handle, element)


def _gradients(scope: Scope, op: Operation, mask: int) -> None:
    forward = scope.entry(op.inputs[0])
    flow = scope.entry(op.inputs[1])
    if not isinstance(forward, Handle):
        raise UnimplementedError(None, op, "the gradients of an array that nothing tells")
    element = flow.element if isinstance(flow, Array) else forward.element
    size = flow.handle.size if isinstance(flow, Array) else forward.size
    pieces = flow.handle.pieces if isinstance(flow, Array) else forward.pieces
    name = f"{forward.name}@{op.definition.source}"  # type: ignore[attr-defined]
    room = ""
    untouched = not isinstance(flow, Array) or (flow.value is None and not flow.rows and not flow.handle.adds)
    if forward.dynamic and untouched:  # it is made in a loop, and here once more without what the loop has written into it
        if not isinstance(size, int) or not scope.shared.grows:
            raise Irregular(forward.made, "of a size that only a run tells, it has gradients in a loop")
        size = scope.shared.room(size)
        room = str(size)
    handle = Handle(forward.made, name, forward.dtype, size, element, False, True, pieces, room)
    if isinstance(flow, Array) and flow.handle.adds:
        scope.values[op.outputs[0]] = flow.handle
        scope.values[op.outputs[1]] = flow
    else:
        scope.values[op.outputs[0]] = handle
        scope.values[op.outputs[1]] = Array(handle, element)


def _array(scope: Scope, op: Operation) -> Array:
    """The array that an operation works on: its flow. An array of gradients begins with the flow of the array that it belongs to, as
    zeros."""
    found = scope.entry(op.inputs[-1])
    handle = scope.entry(op.inputs[0])
    if not isinstance(handle, Handle):
        raise UnimplementedError(None, op, f"{op.type} '{op.name}': the array is not known here")
    if not isinstance(found, Array):
        return Array(handle, handle.element)
    return Array(handle, found.element) if handle.adds and not found.handle.adds else found


def _fitting(array: Array, element: Sequence[Index]) -> Array:
    """The array, its elements being of this shape."""
    if array.element is None:
        born = array._replace(element=tuple(element))
        if array.value is None and not array.rows:
            return born
        raise Unborn(array.name, born)
    if tuple(element) != array.element:
        raise Irregular(array.handle.made, f"an element of shape {list(element)} beside those of shape {list(array.element)}")
    return array


def _write(scope: Scope, op: Operation, mask: int) -> None:
    b = scope.b
    array = _array(scope, op)
    index, row = scope.read(op.inputs[1], mask), scope.read(op.inputs[2], mask)
    array = _fitting(array, row.shape)
    array = _grown(scope, array, index)
    if index.known is not None and not array.handle.adds:
        if index.known.dtype != object and int(index.known) in array.written:
            raise Irregular(array.handle.made, "an element is written twice")
        scope.shared.places.append((b, array.handle.made))
        array = array._replace(written=array.written | {int(index.known)} if index.known.dtype != object else array.written)
    if array.handle.adds and array.value is None:
        scope.values[op.outputs[0]] = array._replace(rows=(*array.rows, (index, row)))
        return
    scope.values[op.outputs[0]] = array._replace(value=put_row(b, array, array.contents(b), index, row))


def _grown(scope: Scope, array: Array, index: Value) -> Array:
    """A dynamic array made long enough for an index."""
    if not array.handle.dynamic:
        return array
    b, known, size = scope.b, index.known, array.handle.size
    if known is None or known.dtype == object or not isinstance(size, int) or known < 0:
        array = array.roomy(scope)
        assert array.elements is not None
        return array._replace(elements=scope.longer(array.elements, index))
    wanted = int(known) + 1
    if wanted <= size:
        return array
    value = array.value
    if value is not None:
        assert array.element is not None
        value = b.halo(value, (0,) * len(value.shape), (wanted - size, *(0 for _ in array.element)))
    return array._replace(handle=array.handle._replace(size=wanted), value=value)


def _read(scope: Scope, op: Operation, mask: int) -> None:
    b = scope.b
    array = _array(scope, op)
    _typed(array, op)
    index = scope.read(op.inputs[1], mask)
    _note_read(scope, array, index)
    whole = array.contents(b)
    element = array.shape[1:]
    width = product(element)
    row = b.apply(TakeRow(name_of(array.handle.made)), b.view(whole, (array.handle.size, width)), index)
    scope.values[op.outputs[0]] = b.view(row, element)


def _note_read(scope: Scope, array: Array, index: Value | None) -> None:
    """Where elements are cleared once they are read, those that are known to be read twice make the array irregular. index: None for
    all."""
    if array.handle.adds or not array.handle.made.definition.clear_after_read:  # type: ignore[attr-defined]
        return
    seen = scope.shared.array_reads.get(array.name, frozenset())
    if index is None:
        if seen:
            raise Irregular(array.handle.made, "elements are read twice")
        scope.shared.places.append((scope.b, array.handle.made))
        scope.shared.array_reads[array.name] = frozenset((-1,))
    elif index.known is not None and index.known.dtype != object:
        if -1 in seen or int(index.known) in seen:
            raise Irregular(array.handle.made, "an element is read twice")
        scope.shared.places.append((scope.b, array.handle.made))
        scope.shared.array_reads[array.name] = seen | {int(index.known)}


def _typed(array: Array, op: Operation) -> None:
    """Refuses an op that reads another type than the array holds."""
    wanted = op.definition.dtype  # type: ignore[attr-defined]
    if wanted != array.dtype:
        wrong = f"TensorArray dtype is {native_name(array.dtype)} but Op requested dtype {native_name(wanted)}."
        raise InvalidArgumentError(None, op, f"TensorArray {name_of(array.handle.made)}: {wrong}")


def _gather(scope: Scope, op: Operation, mask: int) -> None:
    b = scope.b
    array = _array(scope, op)
    _typed(array, op)
    indices = scope.read(op.inputs[1], mask)
    if array.element is None:
        shape = op.definition.element_shape  # type: ignore[attr-defined]
        if not shape.is_fully_defined():
            raise Irregular(array.handle.made, "it is stacked, but nothing tells the shape of its elements")
        array = array._replace(element=tuple(shape.as_list()))
    everything = _is_range(b, indices, array.handle.size)
    if everything:
        _note_read(scope, array, None)
    whole = array.contents(b)
    if array.elements is not None and indices.shape:
        whole = b.when_certain(whole, indices.shape[0])
    scope.values[op.outputs[0]] = whole if everything else b.take(whole, indices, 0)


def _scatter(scope: Scope, op: Operation, mask: int) -> None:
    b = scope.b
    array = _array(scope, op)
    indices, rows = scope.read(op.inputs[1], mask), scope.read(op.inputs[2], mask)
    array = _fitting(array, rows.shape[1:])
    count = rows.shape[0]
    if array.handle.dynamic and not (array.value is None and array.handle.size == 0 and _is_range(b, indices, count)):
        raise Irregular(array.handle.made, "of dynamic size, its elements are scattered")
    if array.handle.dynamic:
        array = array._replace(handle=array.handle._replace(size=count))
    fresh = array.value is None and not array.rows
    if fresh and _is_range(b, indices, array.handle.size):
        scope.values[op.outputs[0]] = array._replace(value=rows)
        return
    if array.handle.adds and _is_range(b, indices, array.handle.size):
        scope.values[op.outputs[0]] = array._replace(value=b.add(array.contents(b), rows), rows=())
        return
    if array.handle.adds and not isinstance(count, int) and _is_range(b, indices, count) and isinstance(array.handle.size, IndexExpr):
        rows = b.halo(rows, (0,) * len(rows.shape), (array.handle.size - count, *(0 for _ in rows.shape[1:])))
        scope.values[op.outputs[0]] = array._replace(value=rows if fresh else b.add(array.contents(b), rows), rows=())
        return
    if not isinstance(count, int):
        raise Irregular(array.handle.made, "a number of rows that only a run tells")
    value = array.contents(b)
    for k in range(count):
        at = b.view(b.section(indices, (k,), (1,)), ())
        row = b.view(b.section(rows, (k, *(0 for _ in rows.shape[1:])), (1, *rows.shape[1:])), rows.shape[1:])
        value = put_row(b, array, value, at, row)
    scope.values[op.outputs[0]] = array._replace(value=value, rows=())


def _concat(scope: Scope, op: Operation, mask: int) -> None:
    b = scope.b
    array = _array(scope, op)
    if array.element is None or not array.element or array.elements is not None:
        raise Irregular(array.handle.made, "its elements are joined, but are no vectors")
    _note_read(scope, array, None)
    whole = array.contents(b)
    size, first = array.handle.size, array.element[0]
    if array.handle.adds and array.handle.pieces is not None:
        size = array.handle.pieces
        whole = b.section(whole, (0,) * len(whole.shape), (size, *array.element))
    scope.values[op.outputs[0]] = b.view(whole, (size * first, *array.element[1:]))
    scope.values[op.outputs[1]] = b.broadcast(b.constant(first, "int64"), (size,))


def _split(scope: Scope, op: Operation, mask: int) -> None:
    b = scope.b
    array = _array(scope, op)
    value, lengths = scope.read(op.inputs[1], mask), scope.read(op.inputs[2], mask)
    if len(lengths.shape) != 1 or not value.shape or (not array.handle.dynamic and lengths.shape[0] != array.handle.size):
        raise Irregular(array.handle.made, "what is split, and into which pieces, does not fit")
    size = lengths.shape[0]
    known = lengths.known
    pieces = None if known is None else {e if not hasattr(e, "item") else e.item() for e in known.ravel()}
    if pieces is None or len(pieces) != 1:
        raise Irregular(array.handle.made, "pieces of different lengths")
    element = (pieces.pop(), *value.shape[1:])
    if size * element[0] != value.shape[0]:
        raise Irregular(array.handle.made, "the pieces are not what is split")
    handle = array.handle._replace(size=size, pieces=array.handle.pieces if array.handle.adds else size)
    array = _fitting(array._replace(handle=handle), element)
    rows = b.view(value, (size, *element))
    whole = rows if array.value is None and not array.rows else b.add(array.contents(b), rows)
    scope.values[op.outputs[0]] = array._replace(value=whole, rows=())


def _size(scope: Scope, op: Operation, mask: int) -> None:
    array = _array(scope, op)
    scope.values[op.outputs[0]] = scope.b.constant(array.handle.size, "int32") if array.elements is None else scope.counted(array)


def _close(scope: Scope, op: Operation, mask: int) -> None:
    return


def _pass_on(scope: Scope, op: Operation, mask: int) -> None:
    scope.values[op.outputs[0]] = scope.entry(op.inputs[0])


def _sum(scope: Scope, op: Operation, mask: int) -> None:
    """Sums of flows: sums of arrays of gradients. A number among them is a flow that stands for nothing."""
    b = scope.b
    arrays = [e for e in map(scope.entry, op.inputs) if isinstance(e, Array)]
    total = arrays[0]
    for array in arrays[1:]:
        if total.value is None and not total.rows:
            total = array
        elif array.value is None:
            if total.value is None:
                total = total._replace(rows=(*total.rows, *array.rows))
            else:
                value = total.value
                for index, row in array.rows:
                    value = put_row(b, array, value, index, row)
                total = total._replace(value=value)
        elif total.value is None:
            value = array.value
            for index, row in total.rows:
                value = put_row(b, total, value, index, row)
            total = array._replace(value=value)
        else:
            total = total._replace(value=b.add(total.value, array.value))
    scope.values[op.outputs[0]] = total


def _flow_as_number(scope: Scope, op: Operation, mask: int) -> None:
    """Any other operation sees of a flow that it is a float scalar."""
    b = scope.b
    operands = [b.constant(0, "float32") if isinstance(e, Array) else scope.value_of(e, mask) for e in map(scope.entry, op.inputs)]
    results = b.apply(op.definition, *operands)
    many = results if isinstance(results, tuple) else (results,)
    for tensor, value in zip(op.outputs, many, strict=True):
        scope.values[tensor] = value


_RULES: dict[str, Rule] = {
    "TensorArrayV3": _made, "TensorArrayGradV3": _gradients, "TensorArrayWriteV3": _write, "TensorArrayReadV3": _read,
    "TensorArrayGatherV3": _gather, "TensorArrayScatterV3": _scatter, "TensorArrayConcatV3": _concat, "TensorArraySplitV3": _split,
    "TensorArraySizeV3": _size, "TensorArrayCloseV3": _close, "Identity": _pass_on, "StopGradient": _pass_on, "PreventGradient": _pass_on,
    "AddN": _sum, "Add": _sum, "AddV2": _sum,
}  # fmt: skip
