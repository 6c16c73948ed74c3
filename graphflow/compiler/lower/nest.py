"""Loop nests: which loops there are, which of them merge, which runs in parallel and which on vector lanes.

A nest is first written with one loop for every dimension. Two neighbouring loops merge into one where every offset in the body runs through
both as if they were one dimension; that is read off the coefficients of the offsets, so it needs no analysis of the ops.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from graphflow.compiler.llvm.transpose import recognise
from graphflow.kernel import nodes
from graphflow.kernel.affine import coefficient
from graphflow.kernel.expr import Expr, Load, Position, call, replace, walk
from graphflow.kernel.index import Index, IndexExpr, Quotient, Remainder, ceildiv, minimum, product, substitute, symbol, symbols_of
from graphflow.kernel.nodes import Accumulate, If, Let, Loop, Mode, Set, Stmt, Store, Var, over
from graphflow.ops.families import unravel

CHUNK = 2048  # elements that one step of a parallel loop over a flat range takes
SERIAL_BELOW = 4096  # elements below which threads are not asked
BLOCK = 16  # rows and columns that are turned at a time


class Axis(NamedTuple):
    """One loop to be."""

    name: str
    extent: Index


def axes_of(shape: Sequence[Index], prefix: str) -> tuple[tuple[Axis, ...], tuple[Index, ...]]:
    """A loop for every dimension that is not 1, and the index they make."""
    loops: list[Axis] = []
    index: list[Index] = []
    for number, extent in enumerate(shape):
        if isinstance(extent, int) and extent == 1:
            index.append(0)
            continue
        name = f"{prefix}{number}"
        loops.append(Axis(name, extent))
        index.append(symbol(name, 0, extent - 1 if isinstance(extent, int) else None))
    return tuple(loops), tuple(index)


def indices_in(exprs: Iterable[Expr]) -> Iterator[Index]:
    """Every index expression that the expressions use."""
    seen: set[int] = set()
    for root in exprs:
        if id(root) in seen:
            continue
        for e in walk(root):
            if id(e) not in seen:
                seen.add(id(e))
                if isinstance(e, Load):
                    yield e.offset
                elif isinstance(e, Position):
                    yield e.index


def broken(exprs: Iterable[Expr]) -> int:
    """How many offsets need a division: the fewer, the better the loops fit the data."""
    count = 0
    for index in indices_in(exprs):
        if isinstance(index, IndexExpr) and any(isinstance(a, (Quotient, Remainder)) for factors, _ in index.terms for a in factors):
            count += 1
    return count


def merge(axes: Sequence[Axis], offsets: Iterable[Index]) -> tuple[tuple[Axis, ...], dict[str, Index]]:
    """Merge neighbours where all offsets allow it. Gives the loops that remain and what replaces the names of those that do not."""
    todo: list[Index] = list(dict.fromkeys(o for o in offsets if isinstance(o, IndexExpr)))
    out: list[Axis] = []
    env: dict[str, Index] = {}
    for axis in axes:
        if out and _mergeable(out[-1], axis, todo):
            before = out.pop()
            merged = Axis(axis.name, before.extent * axis.extent)
            env[before.name] = 0
            upper = merged.extent - 1 if isinstance(merged.extent, int) else None
            env[axis.name] = symbol(axis.name, 0, upper)
            todo = list(dict.fromkeys(substitute(o, {before.name: 0}) for o in todo))
            out.append(merged)
        else:
            out.append(axis)
    return tuple(out), env


def _mergeable(outer: Axis, inner: Axis, offsets: Sequence[Index]) -> bool:
    for offset in offsets:
        a, b = coefficient(offset, outer.name), coefficient(offset, inner.name)
        if a is None or b is None or a != b * inner.extent:
            return False
        if a != 0 and {outer.name, inner.name} & (symbols_of(a) | symbols_of(b)):
            return False
    return True


def renamed(stmt: Stmt, env: Mapping[str, Index]) -> Stmt:
    """A statement with index symbols replaced."""
    if not env:
        return stmt
    if isinstance(stmt, Store):
        guard = None if stmt.guard is None else replace(stmt.guard, env)
        return Store(stmt.buffer, substitute(stmt.offset, env), replace(stmt.value, env), guard)
    if isinstance(stmt, (Let, Var, Set)):
        return type(stmt)(stmt.name, replace(stmt.value, env))
    if isinstance(stmt, Accumulate):
        return Accumulate(stmt.name, stmt.combine, replace(stmt.value, env))
    if isinstance(stmt, If):
        return If(replace(stmt.condition, env), tuple(renamed(s, env) for s in stmt.body))
    if isinstance(stmt, Loop):
        return Loop(stmt.var, substitute(stmt.extent, env), stmt.mode, tuple(renamed(s, env) for s in stmt.body))
    raise TypeError(f"cannot rename inside {type(stmt).__name__}")


def offsets_of(stmts: Iterable[Stmt]) -> Iterator[Index]:
    """Every index expression in statements."""
    for stmt in stmts:
        if isinstance(stmt, Store):
            yield stmt.offset
            yield from indices_in([stmt.value] if stmt.guard is None else [stmt.value, stmt.guard])
        elif isinstance(stmt, (Let, Var, Set, Accumulate)):
            yield from indices_in([stmt.value])
        elif isinstance(stmt, If):
            yield from indices_in([stmt.condition])
            yield from offsets_of(stmt.body)
        elif isinstance(stmt, Loop):
            yield stmt.extent
            yield from offsets_of(stmt.body)


def innermost(axes: Sequence[Axis], body: Sequence[Stmt]) -> tuple[Stmt, ...]:
    """Loops one inside the other, the last on vector lanes; they merge where they can."""
    axes, env = merge(axes, offsets_of(body))
    stmts: tuple[Stmt, ...] = tuple(renamed(s, env) for s in body)
    mode = Mode.VECTOR
    for axis in reversed(axes):
        stmts = (Loop(axis.name, axis.extent, mode, stmts),)
        mode = Mode.SERIAL
    return stmts


def parallel_nest(axes: Sequence[Axis], body: Sequence[Stmt]) -> tuple[Stmt, ...]:
    """A phase that runs `body` for every point of the axes: threads share the outer ones, lanes take the last."""
    axes, env = merge(axes, offsets_of(body))
    stmts: tuple[Stmt, ...] = tuple(renamed(s, env) for s in body)
    total = product(a.extent for a in axes)
    if not axes:
        return stmts
    small = isinstance(total, int) and total <= SERIAL_BELOW
    last = axes[-1]
    if len(axes) == 1 and not small:
        part = symbol("p")
        inner = symbol(last.name, 0, CHUNK - 1)
        length = CHUNK if isinstance(last.extent, int) and last.extent % CHUNK == 0 else minimum(CHUNK, last.extent - part * CHUNK)
        stmts = tuple(renamed(s, {last.name: part * CHUNK + inner}) for s in stmts)
        return (Loop("p", ceildiv(last.extent, CHUNK), Mode.PARALLEL, (Loop(last.name, length, Mode.VECTOR, stmts),)),)
    stmts = (Loop(last.name, last.extent, Mode.VECTOR, stmts),)
    if small:
        for axis in reversed(axes[:-1]):
            stmts = (Loop(axis.name, axis.extent, Mode.SERIAL, stmts),)
        return stmts
    (loop,) = turned = over([nodes.Axis(*axis) for axis in axes], stmts[0].body)
    assert isinstance(loop, Loop)
    copy = recognise(loop)  # threads share out blocks of rows and columns then, for which every loop must be there
    if copy is not None and all(not isinstance(x.extent, int) or x.extent >= BLOCK for x in (copy.read, copy.write)):
        return turned
    return share(axes[:-1], stmts)


def share(axes: Sequence[Axis], body: Sequence[Stmt]) -> tuple[Stmt, ...]:
    """A parallel loop over the first axis where it is long enough, over the product of as many as it takes otherwise."""
    if not axes:
        return tuple(body)
    stmts: tuple[Stmt, ...] = tuple(body)
    count: Index = axes[0].extent
    taken = 1
    while taken < len(axes) and isinstance(count, int) and count < 64:
        count = count * axes[taken].extent
        taken += 1
    for axis in reversed(axes[taken:]):
        stmts = (Loop(axis.name, axis.extent, Mode.SERIAL, stmts),)
    if taken == 1:
        return (Loop(axes[0].name, count, Mode.PARALLEL, stmts),)
    part = symbol("p", 0, count - 1 if isinstance(count, int) else None)
    index = unravel(part, tuple(a.extent for a in axes[:taken]))
    env = {a.name: i for a, i in zip(axes, index, strict=False)}
    return (Loop("p", count, Mode.PARALLEL, tuple(renamed(s, env) for s in stmts)),)


def tree(combine: str, terms: list[Expr]) -> Expr:
    """Terms combined pairwise in a fixed order."""
    while len(terms) > 1:
        terms = [call(combine, *terms[k : k + 2]) if k + 1 < len(terms) else terms[k] for k in range(0, len(terms), 2)]
    return terms[0]
