"""Loops cut into ranges where the conditions inside are decided, so that the middle of an image tests nothing.

    for i in 18: b[i] = 2 <= i < 16 ? a[i - 2] : 0  ->  for i in 2: b[i] = 0   for i in 14: b[i + 2] = a[i]   for i in 2: b[i + 16] = 0
    for i in 28: d[i] = i % 2 == best[i // 2] ? g[i // 2] : 0
                                                          ->  for i in 14: d[2*i] = best[i] == 0 ? ...   d[2*i + 1] = best[i] == 1 ? ...
    for i in 32: for c in 3: b[3*i + c] = a[32*c + i]   ->  for i in 32: b[3*i] = a[i]   b[3*i + 1] = a[i + 32]   b[3*i + 2] = a[i + 64]

The second form takes the steps of one period together: what they have in common is computed once. The third reads along the lanes what
would be gathered, and stores whole vectors of all (llvm/interleave.py). Only serial loops of known length are cut; what they hold keeps its
order from iteration to iteration up to the order in which a sum takes its terms, which is fixed here, not at run time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from graphflow.compiler.lower.narrow import fill
from graphflow.compiler.lower.nest import Axis, merge, offsets_of, renamed, tree
from graphflow.kernel.affine import coefficient
from graphflow.kernel.expr import Call, Const, Expr, Load, Local, Position, call, const, load, local, rebuild, select, walk
from graphflow.kernel.index import Index, IndexExpr, Pair, Quotient, Remainder, symbol, symbols_of
from graphflow.kernel.nodes import Accumulate, If, Let, Loop, Mode, Set, Stmt, Store, Var
from graphflow.kernel.ranges import Range, limits

if TYPE_CHECKING:
    from graphflow.compiler.llvm.target import Target

RANGES = 7  # most parts of one loop
LANES = 16  # shorter inner loops are not taken apart
PERIOD = 4  # most iterations that are taken together

# comparison -> (surely true, surely false) of the limits of left - right
_COMPARE: dict[str, tuple[Callable[[Any, Any], bool], Callable[[Any, Any], bool]]] = {
    "le": (lambda low, high: high is not None and high <= 0, lambda low, high: low is not None and low > 0),
    "lt": (lambda low, high: high is not None and high < 0, lambda low, high: low is not None and low >= 0),
    "eq": (lambda low, high: low == high == 0, lambda low, high: (low is not None and low > 0) or (high is not None and high < 0)),
}


def split(statements: Sequence[Stmt], target: Target) -> tuple[Stmt, ...]:
    """The same computation with loops cut; the statements themselves where nothing is gained. Loops too short for the target's registers
    merge with the ones around them, before they are cut and, where borders forbade it, afterwards."""
    statements = fill(statements, target)
    if not any(_splits(s) or _interleaved(s) is not s for s in _loops(statements)):
        return statements
    return fill(_block(statements, {}), target)


def blocked(axes: Sequence[Axis], body: Sequence[Stmt]) -> tuple[tuple[Axis, ...], tuple[Stmt, ...]]:
    """The loops of a nest and its straight-line body, the innermost loop's steps of one period taken together: the four random numbers of
    a block, say. The stores come last, those of one output side by side."""
    axes, env = merge(axes, offsets_of(body))
    stmts = tuple(renamed(s, env) for s in body)
    if not axes or not all(isinstance(s, Let | Store) for s in stmts):
        return axes, stmts
    last = axes[-1]
    found = _period(Loop(last.name, last.extent, Mode.VECTOR, stmts))
    if found is None or found[1] or found[0] not in (2, 4) or (isinstance(last.extent, int) and last.extent < LANES * found[0]):
        return axes, stmts
    period = found[0]
    count = last.extent // period
    if count * period - last.extent != 0:
        return axes, stmts
    name = f"{last.name}b{period}"
    at = symbol(name, 0, count - 1 if isinstance(count, int) else None) * period
    stmts = _together([tuple(renamed(x, {last.name: at + k}) for x in stmts) for k in range(period)])
    ranges: dict[str, Range] = {name: (0, count - 1 if isinstance(count, int) else None)}
    stmts = tuple(_settled(s, ranges) for s in stmts)
    outputs: dict[str, list[Stmt]] = {}
    for s in stmts:
        if isinstance(s, Store):
            outputs.setdefault(s.buffer, []).append(s)
    lets = [s for s in stmts if isinstance(s, Let)]
    return (*axes[:-1], Axis(name, count)), (*lets, *(s for stores in outputs.values() for s in stores))


def takes_blocks(axes: Sequence[Axis], body: Sequence[Stmt]) -> bool:
    """Whether the steps of a period of the innermost loop can be taken together."""
    return len(blocked(axes, body)[1]) > len(body)


def _loops(statements: Iterable[Stmt]) -> Iterator[Loop]:
    for s in statements:
        if isinstance(s, Loop):
            yield s
        if isinstance(s, Loop | If):
            yield from _loops(s.body)


def _splits(s: Loop) -> bool:
    return s.mode is Mode.SERIAL and isinstance(s.extent, int) and (_period(s) is not None or bool(_cuts(s)))


def _block(statements: Sequence[Stmt], ranges: Mapping[str, Range]) -> tuple[Stmt, ...]:
    out: list[Stmt] = []
    for s in statements:
        if isinstance(s, Loop):
            out += _loop(s, ranges)
        else:
            settled = _settled(s, ranges)
            if not (isinstance(settled, Store) and isinstance(settled.guard, Const)):  # a guard that never holds
                out.append(settled)
    return tuple(out)


def _inside(s: Loop, ranges: Mapping[str, Range]) -> Loop:
    """A loop that stays whole."""
    inner = Loop(s.var, s.extent, s.mode, _block(s.body, {**ranges, s.var: _reach(s, ranges)}))
    return _collapsed(inner) if s.mode is Mode.SERIAL else inner


def _loop(s: Loop, ranges: Mapping[str, Range]) -> list[Stmt]:
    if not _splits(s):
        return [_inside(s, ranges)]
    assert isinstance(s.extent, int)
    period, low = _period(s) or (1, 0)
    first = -low % period
    last = first + max(s.extent - first, 0) // period * period
    points = {0, s.extent, first, last}
    for cut in _cuts(s):
        points |= {first + (cut - first) // period * period, first - (first - cut) // period * period}
    kept = sorted(p for p in points if 0 <= p <= s.extent)
    if len(kept) - 1 > RANGES:
        return [_inside(s, ranges)]
    out: list[Stmt] = []
    for begin, end in pairwise(kept):
        together = period if (begin - first) % period == 0 and (end - begin) % period == 0 else 1
        out += _range(s, begin, (end - begin) // together, together, ranges)
    return out


def _range(s: Loop, begin: int, count: int, together: int, ranges: Mapping[str, Range]) -> list[Stmt]:
    """`count` times `together` iterations from `begin`."""
    name = f"{s.var}r{count}"  # a name stands for one range: expressions are shared by their texts
    at: Index = symbol(name, 0, count - 1) * together if count > 1 else 0
    copies = [tuple(renamed(x, {s.var: at + (begin + k)}) for x in s.body) for k in range(together)]
    if count > 1:
        ranges = {**ranges, name: (0, count - 1)}
    body = _block([_settled(x, ranges) for x in _together(copies)], ranges)
    return [_collapsed(Loop(name, count, Mode.SERIAL, body))] if count > 1 else list(body)


def _collapsed(s: Loop) -> Loop:
    """A loop and the only one inside it as one, where the memory they run through is contiguous."""
    inner = s.body[0]
    if len(s.body) != 1 or not isinstance(inner, Loop) or not isinstance(inner.extent, int) or not isinstance(s.extent, int):
        return s
    if not all(isinstance(x, Let | Store) for x in inner.body):
        return s
    axes, env = merge((Axis(s.var, s.extent), Axis(inner.var, inner.extent)), offsets_of(inner.body))
    if len(axes) != 1:
        return _interleaved(s)
    count = s.extent * inner.extent
    name = f"{inner.var}m{count}"
    env[inner.var] = symbol(name, 0, count - 1)
    return Loop(name, count, inner.mode, tuple(renamed(x, env) for x in inner.body))


def _interleaved(s: Loop) -> Loop:
    """A loop whose iterations write a few neighbours each, with all of these side by side and the lanes along the loop, where what is read
    lies along that."""
    inner = s.body[0]
    if len(s.body) != 1 or s.mode is not Mode.SERIAL or not isinstance(inner, Loop) or inner.mode is not Mode.VECTOR:
        return s
    few, many = inner.extent, s.extent
    if not (isinstance(few, int) and 1 < few <= PERIOD and isinstance(many, int) and many >= LANES):
        return s
    written = [x for x in inner.body if isinstance(x, Store)]
    if not all(isinstance(x, Let | Store) for x in inner.body) or any(x.guard is not None for x in written):
        return s
    places = [tuple(coefficient(x.offset, name) for name in (s.var, inner.var)) for x in written]
    read = [e.offset for x in inner.body if isinstance(x, Let | Store) for e in walk(x.value) if isinstance(e, Load)]
    if len(written) != 1 or places != [(few, 1)] or any(coefficient(i, s.var) not in (0, 1) for i in read):
        return s
    if all(coefficient(i, inner.var) in (0, 1) for i in read):
        return s  # vectors of a few neighbours do as well
    return Loop(s.var, many, Mode.VECTOR, _together([tuple(renamed(x, {inner.var: k}) for x in inner.body) for k in range(few)]))


def _together(copies: Sequence[tuple[Stmt, ...]]) -> tuple[Stmt, ...]:
    """Several iterations as one: their loops become common ones. What is the same in all of them is done once, and what they store is
    stored when all of them have read what they need: an output may then share memory with an input (lower/inplace.py)."""
    if len(copies) == 1:
        return copies[0]
    out: list[Stmt] = []
    names: list[dict[str, str]] = [{} for _ in copies]
    straight: list[list[Stmt]] = [[] for _ in copies]

    def flush() -> None:
        statements = [s for copy in straight for s in copy]
        out.extend(_stores_last(statements))
        for copy in straight:
            copy.clear()

    for at in zip(*copies, strict=True):
        row = [relabelled(s, names[k]) for k, s in enumerate(at)]
        first = row[0]
        if isinstance(first, Loop):
            flush()
            out.append(Loop(first.var, first.extent, first.mode, _together([s.body for s in row])))  # type: ignore[union-attr]
        elif all(s == first for s in row) and not isinstance(first, Accumulate):
            flush()
            out.append(first)
        else:
            for k, s in enumerate(row):
                if isinstance(s, Let):
                    names[k][s.name] = f"{s.name}_{k}"
                    s = Let(names[k][s.name], s.value)
                straight[k].append(s)
    flush()
    return tuple(out)


def _stores_last(statements: Sequence[Stmt]) -> Sequence[Stmt]:
    """Straight-line statements with what they add to sums joined and the stores at the end, where none reads what another one stores."""
    stored = {s.buffer for s in statements if isinstance(s, Store)}
    if not all(isinstance(s, Let | Accumulate | Store) for s in statements):
        return statements
    if any(isinstance(e, Load) and e.buffer in stored for root in _all(statements) for e in walk(root)):
        return statements
    return [*_joined([s for s in statements if not isinstance(s, Store)]), *(s for s in statements if isinstance(s, Store))]


def _joined(statements: Sequence[Stmt]) -> list[Stmt]:
    """Straight-line statements of which those that add to one sum are one, last: additions to a sum wait for each other, those of a tree
    of terms do not."""
    terms: dict[tuple[str, str], list[Expr]] = {}
    others: list[Stmt] = []
    for s in statements:
        if isinstance(s, Accumulate):
            terms.setdefault((s.name, s.combine), []).append(s.value)
        else:
            others.append(s)
    names = {name for name, _ in terms}
    if len(names) < len(terms) or any(isinstance(e, Local) and e.name in names for root in _all(statements) for e in walk(root)):
        return list(statements)
    return [*others, *(Accumulate(name, combine, tree(combine, values)) for (name, combine), values in terms.items())]


def relabelled(s: Stmt, names: Mapping[str, str]) -> Stmt:
    """A statement with locals renamed."""
    if not names:
        return s

    def leaf(e: Expr, again: Any) -> Expr | None:
        return local(names[e.name], e.type) if isinstance(e, Local) and e.name in names else None

    def of(e: Expr) -> Expr:
        return rebuild(e, leaf)

    match s:
        case Let() | Var():
            return type(s)(names.get(s.name, s.name), of(s.value))
        case Set():
            return Set(s.name, of(s.value))
        case Accumulate():
            return Accumulate(s.name, s.combine, of(s.value))
        case Store():
            return Store(s.buffer, s.offset, of(s.value), None if s.guard is None else of(s.guard))
        case If():
            return If(of(s.condition), tuple(relabelled(x, names) for x in s.body))
        case Loop():
            return Loop(s.var, s.extent, s.mode, tuple(relabelled(x, names) for x in s.body))
        case _:
            return s


# -- what a loop can be cut by ---------------------------------------------------------------------------------------------------


def _all(statements: Iterable[Stmt]) -> Iterator[Expr]:
    """Every expression in statements."""
    for s in statements:
        if isinstance(s, Let | Var | Set | Accumulate):
            yield s.value
        elif isinstance(s, Store):
            yield s.value
            if s.guard is not None:
                yield s.guard
        elif isinstance(s, If):
            yield s.condition
            yield from _all(s.body)
        elif isinstance(s, Loop):
            yield from _all(s.body)


def _cuts(s: Loop) -> set[int]:
    """Where a comparison of positions changes its mind."""
    found: set[int] = set()
    seen: set[int] = set()
    for root in _all(s.body):
        if id(root) in seen:
            continue
        for e in walk(root):
            if id(e) in seen:
                continue
            seen.add(id(e))
            difference = _difference(e)
            if difference is None or not isinstance(e, Call) or e.function == "eq":
                continue
            step = coefficient(difference, s.var)
            if not isinstance(step, int) or step == 0:
                continue
            rest = difference - symbol(s.var) * step
            if isinstance(rest, int):
                strict = e.function == "lt"
                if step > 0:
                    found.add(-(rest // step) if strict else -rest // step + 1)
                else:
                    found.add(rest // -step + 1 if strict else -(-rest // -step))
    return {c for c in found if isinstance(s.extent, int) and 0 < c < s.extent}


def _difference(e: Expr) -> Index | None:
    """left - right of a comparison of positions."""
    if not isinstance(e, Call) or e.function not in _COMPARE:
        return None
    sides: list[Index] = []
    for a in e.arguments:
        if isinstance(a, Position):
            sides.append(a.index)
        elif isinstance(a, Const) and isinstance(a.value, int) and a.type in ("i64", "i32", "u32"):
            sides.append(a.value)
        else:
            return None
    return sides[0] - sides[1]


def _period(s: Loop) -> tuple[int, int] | None:
    """(period, low) where all quotients and remainders of the loop variable are of (variable + low) by the period."""
    found: set[tuple[int, int]] = set()
    for index in offsets_of(s.body):
        if isinstance(index, IndexExpr):
            for factors, _ in index.terms:
                for atom in factors:
                    if not isinstance(atom, Pair) or s.var not in atom.symbols():
                        continue
                    if not isinstance(atom, Quotient | Remainder) or not isinstance(atom.right, int):
                        return None
                    rest = atom.left - symbol(s.var) if coefficient(atom.left, s.var) == 1 else None
                    if not isinstance(rest, int) or s.var in symbols_of(rest):
                        return None
                    found.add((atom.right, rest % atom.right))
    if len(found) != 1:
        return None
    period, low = found.pop()
    return (period, low) if period <= PERIOD else None


# -- conditions that are decided -------------------------------------------------------------------------------------------------


def _settled(s: Stmt, ranges: Mapping[str, Range]) -> Stmt:
    """A statement whose conditions are decided as far as the ranges of the loops do."""
    done: dict[int, Expr] = {}

    def of(e: Expr) -> Expr:
        if id(e) not in done:
            done[id(e)] = rebuild(e, lambda x, again: _decided(x, again, ranges))
        return done[id(e)]

    match s:
        case Let() | Var():
            return type(s)(s.name, of(s.value))
        case Set():
            return Set(s.name, of(s.value))
        case Accumulate():
            return Accumulate(s.name, s.combine, of(s.value))
        case Store():
            guard = None if s.guard is None else of(s.guard)
            return Store(s.buffer, s.offset, of(s.value), None if isinstance(guard, Const) and guard.value else guard)
        case If():
            return If(of(s.condition), tuple(_settled(x, ranges) for x in s.body))
        case Loop():
            inner = {**ranges, s.var: _reach(s, ranges)}
            return Loop(s.var, s.extent, s.mode, tuple(_settled(x, inner) for x in s.body))
        case _:
            return s


def _reach(s: Loop, ranges: Mapping[str, Range]) -> Range:
    """The range of a loop's variable."""
    _, most = limits(s.extent, ranges)
    return 0, None if most is None else max(most - 1, 0)


def _decided(e: Expr, again: Any, ranges: Mapping[str, Range]) -> Expr | None:
    if isinstance(e, Load) and e.guard is not None:
        guard = again(e.guard)
        if isinstance(guard, Const):
            return load(e.buffer, e.type, e.offset) if guard.value else const(0, e.type)
        return load(e.buffer, e.type, e.offset, guard)
    if not isinstance(e, Call):
        return None
    if e.function in _COMPARE:
        difference = _difference(e)
        if difference is None:
            return _one_of(call("eq", *map(again, e.arguments))) if e.function == "eq" else None
        low, high = limits(difference, ranges)
        yes, no = _COMPARE[e.function]
        return const(True, "bool") if yes(low, high) else const(False, "bool") if no(low, high) else None
    if e.function in ("and", "or") and e.type == "bool":
        a, b = map(again, e.arguments)
        for one, other in ((a, b), (b, a)):
            if isinstance(one, Const):
                return other if bool(one.value) is (e.function == "and") else one
        return call(e.function, a, b)
    if e.function == "not" and e.type == "bool":
        a = again(e.arguments[0])
        return const(not a.value, "bool") if isinstance(a, Const) else call("not", a)
    if e.function == "select":
        condition = again(e.arguments[0])
        if isinstance(condition, Const):
            return again(e.arguments[1 if condition.value else 2])  # type: ignore[no-any-return]
        return select(condition, again(e.arguments[1]), again(e.arguments[2]))
    return None


def _one_of(e: Expr) -> Expr:
    """An equation that never holds where the left side is one of a few numbers, none of which is the right one."""
    if isinstance(e, Call) and e.function == "eq":
        few, number = _few(e.arguments[0]), e.arguments[1]
        if isinstance(number, Const) and few and number.value not in few:
            return const(False, "bool")
    return e


def _few(e: Expr) -> set[Any]:
    """The numbers of which `e` is one; none where that is not known."""
    if isinstance(e, Const):
        return {e.value}
    if isinstance(e, Call) and e.function == "select":
        yes, no = map(_few, e.arguments[1:])
        return yes | no if yes and no else set()
    return set()
