"""What a contraction looks like to a register tile: how far every axis moves every operand, with needless axes gone.

normalise   drops axes of extent 1 and fuses neighbours that are contiguous in every index, so that (kernel column, channel) of a
            convolution or (batch, row) of a product with a shared matrix become one long axis
Strides     coefficients of one axis in the left operand, the right operand and the first store
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from graphflow.kernel.affine import coefficient
from graphflow.kernel.expr import Load, Position, load, walk
from graphflow.kernel.expr import replace as replace_expr
from graphflow.kernel.index import Index, IndexExpr, substitute, symbol, symbols_of
from graphflow.kernel.nodes import Axis, Contract, Let, Stmt, Store


@dataclass(frozen=True)
class Strides:
    """How far one step along an axis moves each index, in elements."""

    left: Index
    right: Index
    out: Index

    def operand(self, side: int) -> Index:
        return self.right if side else self.left


def strides(contract: Contract, name: str) -> Strides:
    """The strides of axis `name`; offsets of a contraction are affine in its axes."""
    left, right = (coefficient(o.offset, name) for o in (contract.left, contract.right))
    if left is None or right is None:
        raise ValueError(f"an operand of a contraction is not affine in axis {name}: {contract.left.offset}, {contract.right.offset}")
    out = coefficient(first_store(contract).offset, name)
    return Strides(left, right, 0 if out is None else out)


def first_store(contract: Contract) -> Store:
    """The store that decides which axis the results run along."""
    for statement in contract.epilogue:
        if isinstance(statement, Store):
            return statement
    raise ValueError("the epilogue of a contraction stores nothing")


def fills(contract: Contract) -> list[Store]:
    """The stores of the epilogue where it reads nothing, so that they cannot be to memory that it has before it."""
    stores = [s for s in contract.epilogue if isinstance(s, Store)]
    read = {e.offset for s in contract.epilogue if isinstance(s, Let | Store) for e in walk(s.value) if isinstance(e, Load)}
    return [s for s in stores if s.offset not in read]


def indices(contract: Contract) -> Iterator[Index]:
    """Every index expression inside the contraction."""
    yield contract.left.offset
    yield contract.right.offset
    for statement in contract.epilogue:
        if isinstance(statement, Store):
            yield statement.offset
        if isinstance(statement, Store | Let):
            roots = [statement.value]
            if isinstance(statement, Store) and statement.guard is not None:
                roots.append(statement.guard)
            for root in roots:
                for e in walk(root):
                    if isinstance(e, Load):
                        yield e.offset
                    elif isinstance(e, Position):
                        yield e.index


def rewrite(contract: Contract, env: Mapping[str, Index]) -> Contract:
    """The contraction with axis names replaced inside every index; the axes themselves are left to the caller."""
    if not env:
        return contract

    def moved(e: Load) -> Load:
        return load(e.buffer, e.type, substitute(e.offset, env))

    return replace(contract, left=moved(contract.left), right=moved(contract.right), epilogue=rewrite_statements(contract.epilogue, env))


def rewrite_statements(statements: tuple[Stmt, ...], env: Mapping[str, Index]) -> tuple[Stmt, ...]:
    """An epilogue with index symbols replaced."""
    out: list[Stmt] = []
    for s in statements:
        if isinstance(s, Let):
            out.append(Let(s.name, replace_expr(s.value, env)))
        elif isinstance(s, Store):
            guard = None if s.guard is None else replace_expr(s.guard, env)
            out.append(Store(s.buffer, substitute(s.offset, env), replace_expr(s.value, env), guard))
        else:
            raise TypeError(f"the epilogue of a contraction holds Let and Store statements, not {type(s).__name__}")
    return tuple(out)


def axis_symbol(axis: Axis) -> IndexExpr:
    """The axis as an index, with its range."""
    return symbol(axis.name, 0, axis.extent - 1 if isinstance(axis.extent, int) else None)


def normalise(contract: Contract, apart: Collection[str] = ()) -> Contract:
    """An equal contraction with the fewest axes; those called `apart` stay as they are."""
    unit = {a.name for a in (*contract.free, *contract.reduced) if a.extent == 1 and a.start == 0}
    out = rewrite(contract, dict.fromkeys(unit, 0))
    names = {a.name for a in (*contract.free, *contract.reduced)}
    tied = set(apart)  # ... axes on which the steps of another one depend, and that one
    for axis in contract.reduced:
        on = (symbols_of(axis.extent) | symbols_of(axis.start)) & names
        tied |= {*on, axis.name} if on else set()
    free = _fuse_all(out, [a for a in contract.free if a.name not in unit], tied)
    reduced = _fuse_all(out, [a for a in contract.reduced if a.name not in unit], tied)
    env: dict[str, Index] = {}
    for axis, parts in (*free, *reduced):
        if len(parts) > 1:
            env.update(dict.fromkeys(parts, 0))
            env[axis.name] = axis_symbol(axis)
    return replace(rewrite(out, env), free=tuple(a for a, _ in free), reduced=tuple(a for a, _ in reduced))


def window_pair(contract: Contract) -> tuple[str, str] | tuple[()]:
    """(reduced axis, free axis) where some steps along one move an operand as far as one along the other, and the other operand does not
    move along the free one: neighbours along that read the same elements, some steps apart. Of several the pair whose steps are shortest;
    () if there is none."""
    tied = frozenset().union(*(symbols_of(a.extent) | symbols_of(a.start) for a in contract.reduced))
    found: list[tuple[int, tuple[str, str]]] = []
    moves = {a.name: strides(contract, a.name) for a in (*contract.free, *contract.reduced)}
    for axis in contract.reduced:
        if not isinstance(axis.extent, int) or axis.extent < 2 or axis.start != 0:
            continue
        for other in contract.free:
            for side in (0, 1):
                apart = abs(window_step(moves[axis.name], moves[other.name], side))
                if 0 < apart < axis.extent and other.name not in tied and other.extent != 1:
                    step = moves[axis.name].operand(side)
                    assert isinstance(step, int)
                    found.append((abs(step), (axis.name, other.name)))
    return min(found)[1] if found else ()


def window_step(reduced: Strides, free: Strides, side: int) -> int:
    """How many steps along a reduced axis move operand `side` as far as one along a free one, which must not move the other operand; 0 if
    none do."""
    own, move = reduced.operand(side), free.operand(side)
    if not isinstance(own, int) or not isinstance(move, int) or own == 0 or move % own or free.operand(1 - side) != 0:
        return 0
    return move // own


def window_rows(moves: Mapping[str, Strides], name: str, rows: Sequence[str]) -> tuple[str, int]:
    """Which of the axes `rows` shares elements with the reduced axis `name`, and how many steps along that it is worth; ("", 0) if none.
    `moves`: the strides of all axes."""
    found = ((row, window_step(moves[name], moves[row], side)) for row in rows if row for side in (0, 1))
    return next((pair for pair in found if pair[1]), ("", 0))


def _fuse_all(contract: Contract, axes: list[Axis], tied: set[str]) -> list[tuple[Axis, list[str]]]:
    """The axes after fusing all but the `tied` ones, each with the names it stands for. A fused axis keeps the name of its innermost
    part."""
    table = {a.name: [coefficient(i, a.name) for i in indices(contract)] for a in axes}
    groups: list[tuple[Axis, list[str]]] = [(a, [a.name]) for a in axes]
    changed = True
    while changed:
        changed = False
        for x in range(len(groups)):
            for y in range(len(groups)):
                outer, inner = groups[x][0], groups[y][0]
                if x == y or {outer.name, inner.name} & tied:
                    continue
                if _contiguous(table[outer.name], table[inner.name], inner.extent):
                    fused = Axis(inner.name, outer.extent * inner.extent)
                    groups[x] = (fused, [*groups[x][1], *groups[y][1]])
                    del groups[y]
                    changed = True
                    break
            if changed:
                break
    return groups


def _contiguous(outer: list[Index | None], inner: list[Index | None], extent: Index) -> bool:
    if any(c is None for c in (*outer, *inner)):
        return False
    return all(a == b * extent for a, b in zip(outer, inner, strict=True) if b is not None)
