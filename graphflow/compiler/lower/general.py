"""Numbers that a kernel need not know become sizes, which it takes as arguments, so that groups which differ in them alone share a kernel.

    how many elements there are    where all loops go through memory from beginning to end: fills, copies, updates of small variables
    where a slice begins           where it is cut out of what lies in memory: the steps of an unrolled loop
    what an op says                in the attributes that it names as `run_time`: the seeds of random numbers

In a kernel of random numbers literals are read from memory, for the limits of an initializer come from the size of what it fills, and few
kernels are so long. All of these cost an addition or nothing. Other numbers decide how loops are cut and stay.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from graphflow.compiler.groups import Group, Shape, inlined, unit
from graphflow.compiler.lower.split import PERIOD
from graphflow.compiler.program import Node, Value
from graphflow.graph.op import Kind, Op, TensorSpec
from graphflow.kernel.index import Index, IndexExpr, symbol
from graphflow.ops.core import Expand, Iota, View

SECTIONS = 8  # slices in a group beyond which they keep their numbers: each is an argument
SLICED = (Shape.POINTWISE, Shape.ROWS, Shape.COLUMNS)
FLAT = frozenset(("View", "Copy"))  # movements that keep the order of all elements, whatever their number

Numbers = dict[str, tuple[int, int | None]]  # what stands for a number -> the number, and the most that it could be


def general(group: Group) -> tuple[Group, Numbers]:
    """The group with sizes in place of numbers, and what they are; values keep their ids."""
    numbers: Numbers = {}
    if group.form is Shape.POINTWISE:
        group = _any_count(group, numbers) or group
    if group.form in SLICED and not numbers:
        group = _any_place(group, numbers)
    if any(n.op.run_time for n in group.nodes):
        group = _any_literals(_any_attributes(group, numbers))
    return group, numbers


def _symbol(numbers: Numbers, number: int, high: int | None = None) -> IndexExpr:
    """What is to stand for `number`, which is from 0 to `high`."""
    name = f"#{len(numbers)}"
    numbers[name] = number, high
    return symbol(name, 0, high)


def _rebuilt(group: Group, values: Mapping[int, Value], ops: Mapping[int, Op], read: Sequence[Value] = ()) -> Group:
    """The group with some values and ops in place of others, by id of the value and number of the node, and more values to read."""

    def value(v: Value) -> Value:
        return values.get(v.id, v)

    nodes = [Node(ops.get(k, n.op), map(value, n.inputs), map(value, n.outputs), n.origins) for k, n in enumerate(group.nodes)]  # type: ignore[arg-type]
    root = None if group.root is None else nodes[group.nodes.index(group.root)]
    return Group(group.form, nodes, [*map(value, group.inputs), *read], [value(v) for v in group.outputs], root)


# -- how many elements there are ---------------------------------------------------------------------------------------------------


def _any_count(group: Group, numbers: Numbers) -> Group | None:
    """The group over vectors of any length, where all that it reads and writes of its outputs' size is gone through in order."""
    count = group.outputs[0].size
    if not isinstance(count, int) or count < 2 or any(v.size != count for v in group.outputs):
        return None
    made: dict[int, Value] = {}
    # Positions are taken in blocks (of random numbers, say) where it is known that these divide the length.
    blocks = math.gcd(count, PERIOD) if any(n.op.type == "Iota" for n in group.nodes) else 1
    length = _symbol(numbers, count // blocks) * blocks
    ops: dict[int, Op] = {}
    for number, node in enumerate(group.nodes):
        whole = [v.size == count for v in node.inputs]
        if node.outputs[0].size != count:
            if any(whole):
                break
            continue
        op = _of_vectors(node, whole, length)
        if op is None or not all(_as_vector(v, count, length, made) for v in (*node.inputs, *node.outputs)):
            break
        ops[number] = op
    else:
        return _rebuilt(group, made, ops)
    numbers.clear()
    return None


def _of_vectors(node: Node, whole: list[bool], length: Index) -> Op | None:
    """The op for vectors of this length; None where the order of the elements or their number matters to it."""
    op = node.op
    if op.kind is Kind.ELEMENTWISE:
        return op if all(w or len(v.shape) <= 1 and all(map(unit, v.shape)) for w, v in zip(whole, node.inputs, strict=True)) else None
    if op.type in FLAT:
        return View((length,)) if op.type == "View" else op
    if isinstance(op, Iota):
        return Iota((length,), 0, op.dtype) if len(op.shape) == 1 else None
    if isinstance(op, Expand):
        if whole[0]:
            return View((length,)) if list(op.axes) == sorted(op.axes) else None
        return Expand((length,), ()) if not node.inputs[0].shape else None
    return None


def _as_vector(value: Value, count: int, length: Index, made: dict[int, Value]) -> bool:
    """Note what replaces a value; False where it cannot be replaced: its contents are sizes."""
    if value.size != count or value.id in made:
        return True
    known = value.known
    if known is not None and known.dtype == object:
        return False
    if known is not None and inlined(value):
        made[value.id] = Value(value.id, value.dtype, (), known.reshape(-1)[:1].reshape(()))
    else:
        made[value.id] = Value(value.id, value.dtype, (length,))
    return True


# -- where a slice begins ----------------------------------------------------------------------------------------------------------


def _any_place(group: Group, numbers: Numbers) -> Group:
    """The group with its slices of what is in memory begun anywhere."""
    sections = [k for k, n in enumerate(group.nodes) if n.op.type == "Section"]
    if sections:
        makers = {v.id: n for n in group.nodes for v in n.outputs}
        sections = [k for k in sections if _in_memory(group.nodes[k].inputs[0], makers)]
    if not sections or len(sections) > SECTIONS:
        return group
    ops = {k: _begun_anywhere(group.nodes[k], numbers) for k in sections}
    return _rebuilt(group, {}, ops) if numbers else group


def _in_memory(value: Value, makers: Mapping[int, Node]) -> bool:
    """Whether a value is read from memory, maybe under another shape: then its elements' places need no division."""
    while value.id in makers and makers[value.id].op.type == "View":
        value = makers[value.id].inputs[0]
    return value.id not in makers and value.known is None


def _begun_anywhere(node: Node, numbers: Numbers) -> Op:
    op: Any = node.op
    begin: list[Index] = list(op.begin)
    for axis, (first, size, step, whole) in enumerate(zip(op.begin, op.size, op.step, node.inputs[0].shape, strict=True)):
        if isinstance(first, int) and isinstance(size, int) and isinstance(whole, int) and step == 1 and size < whole:
            begin[axis] = _symbol(numbers, first, whole - size)
    return type(op)(tuple(begin), op.size, op.step)  # type: ignore[no-any-return]


# -- what an op says ---------------------------------------------------------------------------------------------------------------


def _any_attributes(group: Group, numbers: Numbers) -> Group:
    """The group with its ops' `run_time` attributes as sizes. A 0 may have a meaning of its own, and no size is negative: both stay."""
    ops: dict[int, Op] = {}
    values: dict[int, Value] = {}
    for number, node in enumerate(group.nodes):
        op = node.op
        fields = {f: getattr(op, f) for f in op._fields}
        changed = {f: _symbol(numbers, fields[f]) for f in op.run_time if isinstance(fields[f], int) and fields[f] > 0}
        if changed:
            ops[number] = type(op)(**{**fields, **changed})
            if group.form is Shape.KERNEL:  # a shape may be what it says
                specs = ops[number].infer(*(v.spec for v in node.inputs))
                for value, spec in zip(node.outputs, (specs,) if isinstance(specs, TensorSpec) else specs, strict=True):
                    values[value.id] = Value(value.id, value.dtype, spec.dims, value.known)  # type: ignore[arg-type]
    return _rebuilt(group, values, ops) if ops else group


def _any_literals(group: Group) -> Group:
    """The group with its single literals read from memory."""
    if group.form is not Shape.POINTWISE:
        return group
    operands = (v for n in group.nodes for v in n.inputs)
    read = {v.id: Value(v.id, v.dtype, ()) for v in operands if v.known is not None and not v.shape and v.dtype.is_floating and inlined(v)}
    return _rebuilt(group, read, {}, tuple(read.values())) if read else group
