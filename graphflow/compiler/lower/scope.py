"""What lowering one group needs: its buffers, checks, and how any element of any of its values is computed.

`Reader.at(value, index)` is the heart: an element of a value that lives in memory is a load, an element of a value inside the group is its
op's scalar expression (or, for a movement, an element of the operand at another index), built on the spot. Expressions are interned, so
reading the same element twice costs nothing in the kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from graphflow.compiler.groups import Group, uniform, unit
from graphflow.compiler.lower.provenance import Provenance
from graphflow.compiler.program import Node, Value
from graphflow.graph.op import Kind
from graphflow.kernel.expr import Call, Expr, Local, cast, const, load, local, position, rebuild
from graphflow.kernel.expr import call as call_
from graphflow.kernel.index import Index, IndexExpr
from graphflow.kernel.nodes import Buffer, Check, Role
from graphflow.ops.families import ravel, unravel

if TYPE_CHECKING:
    from graphflow.compiler.llvm.target import Target

Indices = tuple[Index, ...]


class CannotFuse(Exception):
    """The group has no loop nest of the kind it was meant for."""


class Scope:
    """The buffers and checks of one kernel under construction for a machine."""

    def __init__(self, group: Group, machine: Target, provenance: Provenance | None = None) -> None:
        self.group = group
        self.machine = machine
        self.provenance = provenance  # where somebody wants to know what came from where
        self.buffers: list[Buffer] = []
        self.values: list[Value | None] = []  # what each buffer holds; None for scratch
        self.checks: list[Check] = []
        self._numbers: dict[tuple[str, str, str], int] = {}
        self._names = 0
        self._in: dict[int, Buffer] = {}
        self._out: dict[int, Buffer] = {}
        for value in group.inputs:
            if value.id not in self._in:
                self._in[value.id] = self._add(value, value.shape, _type(value), Role.IN)
        for value in group.outputs:
            self._out[value.id] = self._add(value, value.shape, _type(value), Role.OUT)
        if provenance is not None:
            provenance.root = group.root
            makers = {v.id: n for n in group.nodes for v in n.outputs}
            for value in group.outputs:
                provenance.note_buffer(self._out[value.id].name, makers[value.id])

    def _add(self, value: Value | None, shape: Indices, type_: str, role: Role) -> Buffer:
        buffer = Buffer(f"b{len(self.buffers)}", type_, shape, role)
        self.buffers.append(buffer)
        self.values.append(value)
        return buffer

    def source(self, value: Value) -> Buffer:
        """The buffer that an input of the group is read from."""
        if value.id not in self._in:
            raise CannotFuse(f"{value!r} is not an input of the group")
        return self._in[value.id]

    def target(self, value: Value) -> Buffer:
        """The buffer of an output."""
        return self._out[value.id]

    def is_output(self, value: Value) -> bool:
        return value.id in self._out

    def scratch(self, type_: str, shape: Indices) -> Buffer:
        """A buffer private to one run of the kernel."""
        return self._add(None, shape, type_, Role.SCRATCH)

    def name(self, prefix: str, maker: Node | None = None) -> str:
        """A new local's name; the local is to hold the result of `maker`."""
        self._names += 1
        name = f"{prefix}{self._names - 1}"
        if maker is not None and self.provenance is not None:
            self.provenance.note_local(name, maker)
        return name

    def adopt(self, buffers: Sequence[Buffer]) -> None:
        """Append scratch buffers that somebody else named."""
        for buffer in buffers:
            self.buffers.append(buffer)
            self.values.append(None)

    def check(self, node: Node, error: str, message: str, condition: Expr, shown: Expr, value: Expr) -> Expr:
        """`value`; the step fails where `condition` is false."""
        name = node.origins[-1].name if node.origins else node.op.type
        key = (error, message, name)
        if key not in self._numbers:
            self._numbers[key] = len(self.checks)
            self.checks.append(Check(error, message, name))
        return call_("check", condition, cast(shown, "i64"), value, detail=self._numbers[key])


class Access:
    """One operand of a movement or an elementwise op: graph.op.Access."""

    __slots__ = ("reader", "value", "node", "shape", "type")

    def __init__(self, reader: Reader, value: Value, node: Node) -> None:
        self.reader = reader
        self.value = value
        self.node = node
        self.shape = value.shape
        self.type = _type(value)

    def __call__(self, index: Sequence[Index]) -> Expr:
        return self.reader.at(self.value, tuple(index))

    def flat(self, offset: Index) -> Expr:
        return self.reader.flat(self.value, offset)

    def check(self, error: str, message: str, condition: Expr, shown: Expr, value: Expr) -> Expr:
        return self.reader.scope.check(self.node, error, message, condition, shown, value)


Fixed = Callable[[Index], Expr | None]


class Reader:
    """Elements of the values of a group. `fixed` overrides values whose elements are at hand: a function of the row-major position, None
    where that element is not at hand after all."""

    def __init__(self, scope: Scope, nodes: Sequence[Node]) -> None:
        self.scope = scope
        self.producers: dict[int, tuple[Node, int]] = {v.id: (n, k) for n in nodes for k, v in enumerate(n.outputs)}
        self.fixed: dict[int, Fixed] = {}
        self._memo: dict[tuple[int, bool, Any], Expr] = {}

    def fix(self, value: Value, how: Fixed) -> None:
        """From now on elements of `value` are given by `how`."""
        self.fixed[value.id] = how
        self._memo.clear()

    def at(self, value: Value, index: Indices) -> Expr:
        """The element at `index`."""
        key = (value.id, False, index)
        found = self._memo.get(key)
        if found is None:
            found = self._memo[key] = self._at(value, index)
        return found

    def flat(self, value: Value, offset: Index) -> Expr:
        """The element at row-major position `offset`."""
        key = (value.id, True, offset)
        found = self._memo.get(key)
        if found is None:
            found = self._memo[key] = self._flat(value, offset)
        return found

    def _at(self, value: Value, index: Indices) -> Expr:
        if value.id in self.fixed:
            ready = self.fixed[value.id](ravel(index, value.shape))
            if ready is not None:
                return ready
        literal = _literal(value)
        if literal is not None:
            return literal
        if value.id not in self.producers:
            return load(self.scope.source(value).name, _type(value), ravel(index, value.shape))
        node, number = self.producers[value.id]
        if node.op.kind is Kind.ELEMENTWISE:
            arguments = [self.at(v, _broadcast_index(v.shape, value.shape, index)) for v in node.inputs]
            results = self.scalar(node, arguments)
            for k, v in enumerate(node.outputs):
                self._memo[(v.id, False, index)] = results[k]
            return results[number]
        if node.op.kind is Kind.MOVEMENT:
            moved = self.typed(node.op.element([Access(self, v, node) for v in node.inputs], index), value)
            if self.scope.provenance is not None:
                self.scope.provenance.note(node, (moved,))
            return moved
        raise CannotFuse(f"{node.op!r} is read before it is there")

    def _flat(self, value: Value, offset: Index) -> Expr:
        if value.id in self.fixed:
            ready = self.fixed[value.id](offset)
            if ready is not None:
                return ready
        literal = _literal(value)
        if literal is not None:
            return literal
        if value.id not in self.producers:
            return load(self.scope.source(value).name, _type(value), offset)
        node, number = self.producers[value.id]
        if node.op.kind is Kind.ELEMENTWISE and all(v.shape == value.shape or all(map(unit, v.shape)) for v in node.inputs):
            arguments = [self.flat(v, offset if v.shape == value.shape else 0) for v in node.inputs]
            results = self.scalar(node, arguments)
            for k, v in enumerate(node.outputs):
                self._memo[(v.id, True, offset)] = results[k]
            return results[number]
        if node.op.type == "View":
            return self.flat(node.inputs[0], offset)
        return self.at(value, unravel(offset, value.shape))

    def scalar(self, node: Node, arguments: Sequence[Expr]) -> tuple[Expr, ...]:
        """The elements of an elementwise node's results. An op that declares `checks` numbers them from 0; here they get their numbers in
        the kernel."""
        declared = getattr(node.op, "checks", ())
        if not declared:
            results = node.op.scalar(*arguments)
            many = results if isinstance(results, tuple) else (results,)
        else:
            places = [local(f"argument{k}", a.type) for k, a in enumerate(arguments)]
            results = node.op.scalar(*places)
            meant = dict(zip(places, arguments, strict=True))

            def leaf(e: Expr, again: Callable[[Expr], Expr]) -> Expr | None:
                if isinstance(e, Local):
                    return meant[e]
                if isinstance(e, Call) and e.function == "check":
                    check = declared[e.detail]
                    return self.scope.check(node, check.error, check.message, *map(again, e.arguments))
                return None

            many = tuple(rebuild(r, leaf) for r in (results if isinstance(results, tuple) else (results,)))
        if self.scope.provenance is not None:
            self.scope.provenance.note(node, many)
        return tuple(self.typed(r, v) for r, v in zip(many, node.outputs, strict=True))

    @staticmethod
    def typed(expr: Expr, value: Value) -> Expr:
        wanted = _type(value)
        if expr.type != wanted:
            raise TypeError(f"the element expression of {value!r} is of type {expr.type}, not {wanted}")
        return expr


def _literal(value: Value) -> Expr | None:
    if value.known is None:
        return None
    element = uniform(value.known)
    if element is None:
        return None
    if isinstance(element, IndexExpr):
        return cast(position(element), _type(value))
    return const(element, _type(value))


def _broadcast_index(shape: Indices, result: Indices, index: Indices) -> Indices:
    """The index into an operand of `shape` that is broadcast to `result`."""
    if shape == result:
        return index
    cut = len(result) - len(shape)
    return tuple(0 if unit(d) else i for d, i in zip(shape, index[cut:], strict=True))


def _type(value: Value) -> str:
    type_ = value.dtype.kernel_type
    if type_ is None:
        raise TypeError(f"tensors of type {value.dtype.name} are not computed by kernels")
    return type_
