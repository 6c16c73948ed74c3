"""Row groups: reductions over the last axis (and perhaps others) with what feeds them and what follows from them, row by row.

A row is one point of the kept axes. Its kernel is a sequence of stages: a loop over the reduced axes that sums up everything that
depends on sums already known, then the scalars that follow. Softmax with cross-entropy and its gradient is one kernel of three stages:

    for each row (parallel):   m = max x      |  e = exp(x - m), s = sum e  |  loss = log s - sum ..., dx = (e/s - y) * dy

A value that is costly, or not exactly repeatable, and needed in two stages is kept in memory between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from graphflow.compiler.groups import unit
from graphflow.compiler.lower.nest import Axis, axes_of, innermost, merge, offsets_of, parallel_nest, renamed, share, tree
from graphflow.compiler.lower.pointwise import Phases, element, stores
from graphflow.compiler.lower.scope import CannotFuse, Reader, Scope
from graphflow.compiler.program import Node, Value
from graphflow.graph.op import Kind
from graphflow.kernel.affine import coefficient
from graphflow.kernel.expr import Expr, const, load, local
from graphflow.kernel.index import Index, ceildiv, maximum, minimum, product, symbol
from graphflow.kernel.nodes import Accumulate, Buffer, Let, Loop, Mode, Stmt, Store, Var
from graphflow.ops.core import identity_of
from graphflow.ops.families import ravel

PARTS = 32  # a reduction to one element is cut into this many parts, whatever the number of threads
SERIAL_BELOW = 8192  # elements of a whole reduction that one thread handles alone
FEW = 64  # rows, which go one by one
WIDE, STREAMS = 8192, 16  # columns that are enough for all threads, and how many rows of them are read side by side at most
REPEATABLE = frozenset((
    "Cast", "Add", "AddV2", "Sub", "Neg", "Maximum", "Minimum", "Select", "SelectV2", "Abs", "Relu", "Identity", "StopGradient",
    "Equal", "NotEqual", "Less", "LessEqual", "Greater", "GreaterEqual", "LogicalAnd", "LogicalOr", "LogicalNot", "ZerosLike", "OnesLike",
    "IsNan",
))  # fmt: skip


class Rows:
    """The analysis of a row group."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.nodes = scope.group.nodes
        self.reduces = [n for n in self.nodes if n.op.kind is Kind.REDUCTION]
        first = self.reduces[0]
        kept, reduced = split_shape(first)
        self.kept = tuple(d for d in kept if not unit(d))
        self.reduced = tuple(d for d in reduced if not unit(d))
        for other in self.reduces[1:]:
            k, r = split_shape(other)
            if tuple(d for d in k if not unit(d)) != self.kept or tuple(d for d in r if not unit(d)) != self.reduced:
                raise CannotFuse("reductions over different axes")
        self.rows = product(self.kept)
        self.columns = product(self.reduced)
        self.row_axes, self.row_index = axes_of(self.kept, "r")
        self.column_axes, self.column_index = axes_of(self.reduced, "c")
        self.row = ravel(self.row_index, self.kept)
        self.full_shape = self._full_shape(first)
        self.full_index = self.index_of(first)
        self.flat = ravel(self.full_index, self.full_shape)
        self.stage: dict[int, int] = {}
        for node in self.nodes:
            level = max((self.stage.get(v.id, 0) for v in node.inputs), default=0)
            for v in node.outputs:
                self.stage[v.id] = level + (1 if node.op.kind is Kind.REDUCTION else 0)
        self.stages = 1 + max(self.stage.get(n.inputs[0].id, 0) for n in self.reduces)
        self.row_outputs = [v for v in scope.group.outputs if v.size == self.rows]
        self.full_outputs = [v for v in scope.group.outputs if v.size == self.rows * self.columns and v not in self.row_outputs]
        if len(self.row_outputs) + len(self.full_outputs) != len(scope.group.outputs):
            raise CannotFuse("an output is neither a row's nor an element's")
        self.stages = max([self.stages, *(1 + self.stage.get(v.id, 0) for v in self.full_outputs)])

    def _full_shape(self, node: Node) -> tuple[Index, ...]:
        return node.inputs[0].shape

    def index_of(self, node: Node) -> tuple[Index, ...]:
        """The index into the operand of a reduction for the present row and column."""
        rows, columns = iter(self.row_index), iter(self.column_index)
        axes: Any = node.op.axes  # type: ignore[attr-defined]
        return tuple(0 if unit(d) else next(columns if a in axes else rows) for a, d in enumerate(node.inputs[0].shape))

    def is_row(self, value: Value) -> bool:
        return value.size == self.rows and value.size != self.rows * self.columns


def split_shape(node: Node) -> tuple[list[Index], list[Index]]:
    """Sizes of the kept and of the reduced axes of a reduction's operand."""
    axes: Any = node.op.axes  # type: ignore[attr-defined]
    shape = node.inputs[0].shape
    return [d for a, d in enumerate(shape) if a not in axes], [d for a, d in enumerate(shape) if a in axes]


def lower_rows(scope: Scope) -> Phases:
    """The phases of a row group."""
    rows = Rows(scope)
    whole = rows.rows == 1
    if whole and rows.stages == 1 and not (isinstance(rows.columns, int) and rows.columns <= SERIAL_BELOW):
        return _whole(scope, rows)
    axes, body = _merged_body(scope, rows)
    lanes = _lanes_take_rows(scope, rows, axes, body)
    if lanes is not None:
        return lanes
    total = rows.rows * rows.columns
    if whole or (isinstance(total, int) and total <= SERIAL_BELOW // 4):
        stmts: tuple[Stmt, ...] = tuple(body)
        for axis in reversed(axes):
            stmts = (Loop(axis.name, axis.extent, Mode.SERIAL, stmts),)
        return [stmts]
    return [share(axes, body)]


def lower_wide(scope: Scope) -> Phases | None:
    """The phases of a column group with so many columns that they are enough for all threads; None where there are fewer."""
    kept, reduced = (product(sizes) for sizes in split_shape(next(n for n in scope.group.nodes if n.op.kind is Kind.REDUCTION)))
    if not isinstance(kept, int) or kept < WIDE or not isinstance(reduced, int) or reduced > STREAMS:
        return None
    with suppress(CannotFuse):
        rows = Rows(scope)
        return _lanes_take_rows(scope, rows, *_merged_body(scope, rows)) if rows.stages == 1 else None
    return None


def _merged_body(scope: Scope, rows: Rows) -> tuple[tuple[Axis, ...], list[Stmt]]:
    """What is done for a row, and the loops over rows that remain around it."""
    body = _row_body(scope, rows)
    axes, env = merge(rows.row_axes, offsets_of(body))
    return axes, [renamed(s, env) for s in body]


def _lanes_take_rows(scope: Scope, rows: Rows, axes: tuple[Axis, ...], body: Sequence[Stmt]) -> Phases | None:
    """The phases where each lane sums up a row of its own; None where it had better not. Rows that stand side by side in memory are read
    as they lie; of short ones behind each other, a register of each column's elements is put together from as many as there are columns."""
    if rows.stages > 1 or rows.full_outputs or not axes or not isinstance(rows.columns, int):
        return None
    along, furthest = axes[-1], rows.columns if 2 * rows.columns <= scope.machine.lanes("f32") else 1
    if isinstance(along.extent, int) and along.extent < FEW:
        return None
    moves = [coefficient(offset, along.name) for offset in offsets_of(body)]
    loops = [s for s in body if isinstance(s, Loop)]
    if any(isinstance(s, Loop) for loop in loops for s in loop.body) or not all(isinstance(m, int) and 0 <= m <= furthest for m in moves):
        return None
    return [parallel_nest(axes, [replace(s, mode=Mode.SERIAL) if s in loops else s for s in body])]


def _row_body(scope: Scope, rows: Rows) -> list[Stmt]:
    reader = Reader(scope, rows.nodes)
    kept = _kept_between(scope, rows)
    body: list[Stmt] = []
    stored: set[int] = set()
    written: set[int] = set()
    for stage in range(rows.stages):
        inner: list[Stmt] = []
        for value, buffer in kept.items():
            if rows.stage.get(value.id, 0) == stage and value.id not in stored:
                expr = element(reader, value, rows.full_shape, rows.full_index)
                name = scope.name("t")
                inner += [Let(name, expr), Store(buffer.name, rows.flat, local(name, expr.type))]
                _fix_at(reader, value, rows.flat, local(name, expr.type))
                stored.add(value.id)
        sums = [n for n in rows.reduces if rows.stage.get(n.inputs[0].id, 0) == stage]
        accumulators = []
        for node in sums:
            name, type_ = scope.name("a", node), node.inputs[0].dtype.kernel_type
            assert type_ is not None
            combine: str = node.op.combine  # type: ignore[attr-defined]
            body.append(Var(name, const(identity_of(combine, type_), type_)))
            inner.append(Accumulate(name, combine, reader.at(node.inputs[0], rows.index_of(node))))
            accumulators.append((node.outputs[0], local(name, type_)))
        due = [v for v in rows.full_outputs if rows.stage.get(v.id, 0) == stage and v.id not in stored]
        if due:
            inner += stores(scope, reader, due, rows.full_shape, rows.full_index)
        if inner:
            body += innermost(rows.column_axes, inner)
        written_now = {v: scope.target(v) for v in due}  # their locals end with the loop
        for value, buffer in {**kept, **written_now}.items():
            if value in written_now or value.id in stored and rows.stage.get(value.id, 0) == stage:
                _fix_at(reader, value, rows.flat, load(buffer.name, buffer.type, rows.flat))
        for value, total in accumulators:
            _fix_row(reader, value, rows.row, total)
        body += _row_values(scope, rows, reader, stage + 1, written)
    return body


def _row_values(scope: Scope, rows: Rows, reader: Reader, stage: int, written: set[int]) -> list[Stmt]:
    """Scalars of the row that are known after `stage` loops: named, so that no later loop computes them again."""
    out: list[Stmt] = []
    for node in rows.nodes:
        for value in node.outputs:
            if rows.stage[value.id] <= stage and rows.is_row(value) and node.op.kind is Kind.ELEMENTWISE and value.id not in reader.fixed:
                expr = reader.flat(value, rows.row)
                name = scope.name("s")
                out.append(Let(name, expr))
                _fix_row(reader, value, rows.row, local(name, expr.type))
    for value in rows.row_outputs:
        if rows.stage.get(value.id, 0) <= stage and value.id not in written:
            out.append(Store(scope.target(value).name, rows.row, reader.flat(value, rows.row)))
            written.add(value.id)
    return out


def _fix_row(reader: Reader, value: Value, row: Index, expr: Expr) -> None:
    def fixed(at: Index) -> Expr:
        if at != row:
            raise CannotFuse(f"{value!r} is needed at {at}, the row is {row}")
        return expr

    reader.fix(value, fixed)


def _fix_at(reader: Reader, value: Value, flat: Index, expr: Expr) -> None:
    reader.fix(value, lambda at: expr if at == flat else None)


def _kept_between(scope: Scope, rows: Rows) -> dict[Value, Buffer]:
    """Full-size values that are needed in two stages and must or should not be computed twice, with the buffer they wait in."""
    producers = {v.id: n for n in rows.nodes for v in n.outputs}
    heavy: dict[int, bool] = {}
    for node in rows.nodes:
        costly = node.op.kind is Kind.ELEMENTWISE and node.op.type not in REPEATABLE
        for v in node.outputs:
            inherited = any(heavy.get(i.id, False) and not rows.is_row(i) for i in node.inputs)
            heavy[v.id] = node.op.kind is not Kind.REDUCTION and (costly or inherited)
    roots: list[list[Value]] = [[] for _ in range(rows.stages)]
    for node in rows.reduces:
        roots[rows.stage.get(node.inputs[0].id, 0)].append(node.inputs[0])
    for value in rows.full_outputs:
        roots[rows.stage.get(value.id, 0)].append(value)

    def closure(start: list[Value], stop: Any) -> list[Value]:
        seen: dict[int, Value] = {}
        stack = list(start)
        while stack:
            value = stack.pop()
            if value.id in seen or value.id not in producers or rows.is_row(value):
                continue
            seen[value.id] = value
            node = producers[value.id]
            if node.op.kind is not Kind.REDUCTION and not stop(value):
                stack.extend(node.inputs)
        return list(seen.values())

    first: dict[int, int] = {}
    for stage in range(rows.stages):
        for value in closure(roots[stage], lambda v: False):
            first.setdefault(value.id, stage)
    kept: dict[int, Value] = {}
    for stage in reversed(range(rows.stages)):
        for value in closure(roots[stage], lambda v, s=stage: heavy[v.id] and first[v.id] < s):
            if heavy[value.id] and first[value.id] < stage:
                kept[value.id] = value
    free = [v for v in rows.full_outputs if v.id not in kept]
    places: dict[Value, Buffer] = {}
    for value in kept.values():
        if scope.is_output(value):
            places[value] = scope.target(value)
            continue
        last = rows.stages - 1
        borrowed = next((v for v in free if v.dtype == value.dtype and rows.stage.get(v.id, 0) == last), None)
        if borrowed is not None:
            free.remove(borrowed)
            places[value] = scope.target(borrowed)
        else:
            type_ = value.dtype.kernel_type
            assert type_ is not None
            places[value] = scope.scratch(type_, rows.full_shape)
    return places


def _whole(scope: Scope, rows: Rows) -> Phases:
    """A long reduction to one element: parts in parallel, then their sum."""
    reader = Reader(scope, rows.nodes)
    names: list[str] = []
    variables: list[Stmt] = []
    inner: list[Stmt] = []
    partial: list[Buffer] = []
    for node in rows.reduces:
        type_ = node.inputs[0].dtype.kernel_type
        assert type_ is not None
        combine: str = node.op.combine  # type: ignore[attr-defined]
        names.append(scope.name("a", node))
        variables.append(Var(names[-1], const(identity_of(combine, type_), type_)))
        inner.append(Accumulate(names[-1], combine, reader.at(node.inputs[0], rows.index_of(node))))
        partial.append(scope.scratch(type_, (PARTS,)))
    if rows.full_outputs:
        inner += stores(scope, reader, rows.full_outputs, rows.full_shape, rows.full_index)
    axes, env = merge(rows.column_axes, offsets_of(inner))
    inner = [renamed(s, env) for s in inner]
    head = axes[0]
    part, step = symbol("p", 0, PARTS - 1), ceildiv(head.extent, PARTS)
    if len(axes) == 1:
        step = ceildiv(step, 64) * 64
    length = maximum(minimum(step, head.extent - part * step), 0)
    inner = [renamed(s, {head.name: part * step + symbol(head.name)}) for s in inner]
    loops = innermost((Axis(head.name, length), *axes[1:]), inner)
    ends = [Store(b.name, part, local(n, b.type)) for b, n in zip(partial, names, strict=True)]
    first: tuple[Stmt, ...] = (Loop("p", PARTS, Mode.PARALLEL, (*variables, *loops, *ends)),)
    for node, buffer in zip(rows.reduces, partial, strict=True):
        combine = node.op.combine  # type: ignore[attr-defined]
        _fix_row(reader, node.outputs[0], rows.row, tree(combine, [load(buffer.name, buffer.type, p) for p in range(PARTS)]))
    return [first, tuple(_row_values(scope, rows, reader, 1, set()))]
