"""Scalar expressions of the loop IR: what one element of a result is, in terms of elements of buffers.

An expression is interned: equal expressions are the same object, so `is` compares them, a dictionary keyed by them shares work,
and a DAG never unfolds into a tree. The interpreter, the LLVM emitter, the printer, the cost model and fusion all read this one form.
An element type is one of the names in `TYPES`; "bool" computes as one bit and is stored as one byte.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from hashlib import blake2b
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

import numpy as np

from graphflow.kernel.functions import FUNCTIONS
from graphflow.kernel.index import Atom, Index, IndexExpr, Pair, bounds, map_atoms, promises, substitute, symbols_of

TYPES: dict[str, np.dtype[Any]] = {
    "f32": np.dtype(np.float32), "f64": np.dtype(np.float64), "f16": np.dtype(np.float16),
    "i8": np.dtype(np.int8), "i16": np.dtype(np.int16), "i32": np.dtype(np.int32), "i64": np.dtype(np.int64),
    "u8": np.dtype(np.uint8), "u16": np.dtype(np.uint16), "u32": np.dtype(np.uint32), "u64": np.dtype(np.uint64),
    "bool": np.dtype(np.bool_),
}  # fmt: skip
FLOATS = frozenset(("f16", "f32", "f64"))


class Expr:
    """Base of all expressions; `type` is the element type. Build with the functions below, never with the constructors."""

    __slots__ = ("type", "__weakref__")
    type: str

    def children(self) -> tuple[Expr, ...]:
        return ()

    def __add__(self, other: Expr | float) -> Expr:
        return call("add", self, other)

    def __radd__(self, other: float) -> Expr:
        return call("add", other, self)

    def __sub__(self, other: Expr | float) -> Expr:
        return call("sub", self, other)

    def __rsub__(self, other: float) -> Expr:
        return call("sub", other, self)

    def __mul__(self, other: Expr | float) -> Expr:
        return call("mul", self, other)

    def __rmul__(self, other: float) -> Expr:
        return call("mul", other, self)

    def __truediv__(self, other: Expr | float) -> Expr:
        return call("div", self, other)

    def __rtruediv__(self, other: float) -> Expr:
        return call("div", other, self)

    def __neg__(self) -> Expr:
        return call("neg", self)

    def __lt__(self, other: Expr | float) -> Expr:
        return call("lt", self, other)

    def __le__(self, other: Expr | float) -> Expr:
        return call("le", self, other)

    def __gt__(self, other: Expr | float) -> Expr:
        return call("lt", other, self)

    def __ge__(self, other: Expr | float) -> Expr:
        return call("le", other, self)

    def __and__(self, other: Expr | int) -> Expr:
        return call("and", self, other)

    def __or__(self, other: Expr | int) -> Expr:
        return call("or", self, other)

    def __xor__(self, other: Expr | int) -> Expr:
        return call("xor", self, other)

    def __invert__(self) -> Expr:
        return call("not", self)

    def __lshift__(self, other: Expr | int) -> Expr:
        return call("shl", self, other)

    def __rshift__(self, other: Expr | int) -> Expr:
        return call("shr", self, other)

    def __bool__(self) -> bool:
        raise TypeError("an expression has no truth value while the kernel is being built; use select()")


class Const(Expr):
    """A literal. `value` is a Python bool, int or float (inf and nan allowed)."""

    __slots__ = ("value",)
    value: Any


class Load(Expr):
    """Element `offset` (in elements) of a buffer; 0 where `guard` is given and false, and then memory is not touched."""

    __slots__ = ("buffer", "offset", "guard")
    buffer: str
    offset: Index
    guard: Expr | None

    def children(self) -> tuple[Expr, ...]:
        return (() if self.guard is None else (self.guard,)) + tuple(values_in(self.offset))


class Position(Expr):
    """The value of an index expression, as an integer of `type` ("i64" or "i32")."""

    __slots__ = ("index",)
    index: Index

    def children(self) -> tuple[Expr, ...]:
        return tuple(values_in(self.index))


class Local(Expr):
    """The present value of a named local of the kernel: a Let, a Var, or the sum handed to a contraction's epilogue."""

    __slots__ = ("name",)
    name: str


class Call(Expr):
    """A function of FUNCTIONS applied to arguments. `detail` is the check number of "check", else 0."""

    __slots__ = ("function", "arguments", "detail")
    function: str
    arguments: tuple[Expr, ...]
    detail: int

    def children(self) -> tuple[Expr, ...]:
        return self.arguments


_interned: WeakValueDictionary[tuple[Any, ...], Expr] = WeakValueDictionary()


def _intern(cls: type[Any], type_: str, **fields: Any) -> Any:
    key: tuple[Any, ...] = (cls, type_, *map(_identity, fields.values()))
    found = _interned.get(key)
    if found is None:
        found = cls()
        found.type = type_
        for name, value in fields.items():
            setattr(found, name, value)
        _interned[key] = found
    return found


def _identity(field: Any) -> Hashable:
    """What must be equal for two fields to be one. Loops of different kernels share the names of their variables: an index that was shared
    by its text alone would bring the bounds of another kernel's loop."""
    if isinstance(field, IndexExpr):
        return field, promises(field)
    if isinstance(field, Expr):
        return id(field)
    return tuple(map(id, field)) if isinstance(field, tuple) else field


def const(value: Any, type_: str) -> Const:
    """A literal of the given type. Zeros of both signs, and NaN, are distinct literals."""
    value = bool(value) if type_ == "bool" else float(value) if type_ in FLOATS else int(value)
    key = (Const, type_, repr(value))
    found = _interned.get(key)
    if found is None:
        found = Const()
        found.type, found.value = type_, value
        _interned[key] = found
    assert isinstance(found, Const)
    return found


def load(buffer: str, type_: str, offset: Index, guard: Expr | None = None) -> Load:
    """One element of a buffer."""
    out: Load = _intern(Load, type_, buffer=buffer, offset=offset, guard=guard)
    return out


def position(index: Index, type_: str = "i64") -> Expr:
    """The value of an index expression as data."""
    if isinstance(index, int):
        return const(index, type_)
    if type_ == "i64" and len(index.terms) == 1 and index.terms[0][1] == 1 and len(index.terms[0][0]) == 1:
        atom = index.terms[0][0][0]
        if isinstance(atom, Value):
            return cast(atom.expr, "i64")
    out: Position = _intern(Position, type_, index=index)
    return out


def local(name: str, type_: str) -> Local:
    """A reference to a local."""
    out: Local = _intern(Local, type_, name=name)
    return out


_digests: WeakKeyDictionary[Expr, str] = WeakKeyDictionary()


def _digest(root: Expr) -> str:
    """A short text that is equal for equal expressions, in every process."""
    found = _digests.get(root)
    if found is not None:
        return found
    for e in walk(root):
        if e not in _digests:
            parts: list[object] = [type(e).__name__, e.type]
            match e:
                case Const():
                    parts.append(e.value)
                case Load():
                    parts += [e.buffer, e.offset, e.guard is not None and _digests[e.guard]]
                case Position():
                    parts.append(e.index)
                case Local():
                    parts.append(e.name)
                case Call():
                    parts += [e.function, e.detail, *(_digests[a] for a in e.arguments)]
            _digests[e] = blake2b(repr(parts).encode(), digest_size=12).hexdigest()
    return _digests[root]


class Value(Atom):
    """An integer computed from data, used inside an index expression: table[ids[i]*width + j]."""

    __slots__ = ("expr",)
    data = True

    def __init__(self, expr: Expr, lower: int | None, upper: int | None) -> None:
        self.expr = expr
        self.key = f"value#{_digest(expr)}[{lower},{upper}]"  # says nothing of identities: it orders terms in texts
        self.bounds = (lower, upper)

    def substitute(self, env: Mapping[str, Index]) -> Index:
        return as_index(replace(self.expr, env), *self.bounds)

    def evaluate(self, env: Mapping[str, int]) -> int:
        raise TypeError("an index that depends on data cannot be evaluated without the data")

    def symbols(self) -> frozenset[str]:
        return free_symbols(self.expr)

    def promises(self) -> Hashable:
        return id(self.expr), self.bounds


def as_index(expr: Expr, lower: int | None = None, upper: int | None = None) -> Index:
    """An integer expression as an index. The bounds are a promise of the caller: clamp or check first."""
    if isinstance(expr, Const):
        return int(expr.value)
    if isinstance(expr, Position):
        return expr.index
    return IndexExpr((((Value(expr, lower, upper),), 1),))


def values_in(index: Index) -> Iterator[Expr]:
    """Data expressions used inside an index expression."""
    if isinstance(index, IndexExpr):
        for factors, _ in index.terms:
            for atom in factors:
                if atom.data:
                    yield from _values_of_atom(atom)


def _values_of_atom(atom: Atom) -> Iterator[Expr]:
    if isinstance(atom, Value):
        yield atom.expr
    for side in ("left", "right"):
        yield from values_in(getattr(atom, side, 0))


def call(function: str, *arguments: Expr | float, detail: int = 0) -> Expr:
    """Apply a function; Python numbers take the type of the expression beside them."""
    arity, rule, _ = FUNCTIONS[function]
    typed = [a for a in arguments if isinstance(a, Expr)]
    if len(arguments) != arity or not typed:
        raise TypeError(f"{function} takes {arity} expressions, got {arguments}")
    shared = typed[-1].type if function == "select" else typed[0].type
    args = tuple(a if isinstance(a, Expr) else const(a, shared) for a in arguments)
    types = {a.type for a in (args[1:] if function == "select" else () if function == "check" else args)}
    if len(types) > 1:
        raise TypeError(f"{function} of mixed element types {', '.join(a.type for a in args)}")
    if function == "select":
        if isinstance(args[0], Const):
            return args[1] if args[0].value else args[2]
        if args[1] is args[2]:
            return args[1]
    result = args[0].type if rule == "same" else args[1].type if rule == "second" else args[2].type if rule == "third" else rule
    out: Call = _intern(Call, result, function=function, arguments=args, detail=detail)
    return out


def cast(x: Expr, type_: str) -> Expr:
    """Conversion as C does it: toward zero from float to integer, x != 0 to bool. Out of range: the platform's value, never a trap."""
    if x.type == type_:
        return x
    if isinstance(x, Const) and not (x.type in FLOATS and type_ not in FLOATS):
        return const(x.value, type_)
    out: Call = _intern(Call, type_, function="cast", arguments=(x,), detail=0)
    return out


def select(condition: Expr, yes: Expr | float, no: Expr | float) -> Expr:
    """`yes` where the condition holds, else `no`; both are evaluated."""
    return call("select", condition, yes, no)


def maximum(a: Expr, b: Expr | float) -> Expr:
    return call("max", a, b)


def minimum(a: Expr, b: Expr | float) -> Expr:
    return call("min", a, b)


def exp(x: Expr) -> Expr:
    return call("exp", x)


def log(x: Expr) -> Expr:
    return call("log", x)


def sqrt(x: Expr) -> Expr:
    return call("sqrt", x)


def tanh(x: Expr) -> Expr:
    return call("tanh", x)


def walk(root: Expr) -> Iterator[Expr]:
    """Every expression below `root`, each once, operands before their users."""
    seen: set[int] = set()
    stack: list[tuple[Expr, bool]] = [(root, False)]
    while stack:
        e, done = stack.pop()
        if done:
            yield e
        elif id(e) not in seen:
            seen.add(id(e))
            below = e.children()
            if not below:
                yield e
                continue
            stack.append((e, True))
            stack += [(c, False) for c in reversed(below)]


def free_symbols(root: Expr) -> frozenset[str]:
    """Names of the index symbols (loop variables, run-time sizes) that the value depends on."""
    found: set[str] = set()
    for e in walk(root):
        if isinstance(e, Load):
            found |= symbols_of(e.offset)
        elif isinstance(e, Position):
            found |= symbols_of(e.index)
    return frozenset(found)


def rebuild(root: Expr, leaf: Callable[[Expr, Callable[[Expr], Expr]], Expr | None]) -> Expr:
    """A copy in which `leaf(e, again)` may replace any expression; None keeps it and rebuilds its operands."""
    done: dict[int, Expr] = {}

    def visit(e: Expr) -> Expr:
        found = done.get(id(e))
        if found is not None:
            return found
        out = leaf(e, visit)
        if out is None:
            if isinstance(e, Call):
                out = _intern(Call, e.type, function=e.function, arguments=tuple(map(visit, e.arguments)), detail=e.detail)
            elif isinstance(e, Load) and e.guard is not None:
                out = load(e.buffer, e.type, e.offset, visit(e.guard))
            else:
                out = e
        assert out is not None
        done[id(e)] = out
        return out

    return visit(root)


def replace(root: Expr, env: Mapping[str, Index]) -> Expr:
    """`root` with index symbols replaced."""

    def leaf(e: Expr, again: Callable[[Expr], Expr]) -> Expr | None:
        if isinstance(e, Load):
            return load(e.buffer, e.type, substitute(e.offset, env), None if e.guard is None else again(e.guard))
        if isinstance(e, Position):
            return position(substitute(e.index, env), e.type)
        return None

    return rebuild(root, leaf) if env else root


def within(index: Index, extent: Index) -> Expr | None:
    """The condition 0 <= index < extent, or None where it always holds."""
    low, _ = bounds(index)
    _, rest = bounds(index - extent)
    parts: list[Expr] = []
    if low is None or low < 0:
        parts.append(call("le", const(0, "i64"), position(index)))
    if rest is None or rest >= 0:
        parts.append(call("lt", position(index), position(extent)))
    return None if not parts else parts[0] if len(parts) == 1 else parts[0] & parts[1]


def guarded(root: Expr, condition: Expr | None) -> Expr:
    """`root` made safe to evaluate where `condition` is false: its loads touch no memory there and its checks cannot fail."""
    if condition is None:
        return root
    done: dict[int, Index] = {}

    def index(i: Index, again: Callable[[Expr], Expr]) -> Index:
        if not any(True for _ in values_in(i)):
            return i
        if id(i) not in done:
            atoms = {a.key: as_index(again(a.expr), *a.bounds) for a in value_atoms(i)}
            done[id(i)] = _swap(i, atoms)
        return done[id(i)]

    def leaf(e: Expr, again: Callable[[Expr], Expr]) -> Expr | None:
        if isinstance(e, Load):
            guard = condition if e.guard is None else call("and", condition, again(e.guard))
            return load(e.buffer, e.type, index(e.offset, again), guard)
        if isinstance(e, Position):
            return position(index(e.index, again), e.type)
        if isinstance(e, Call) and e.function == "check":
            holds, shown, value = map(again, e.arguments)
            return call("check", call("or", holds, call("not", condition)), shown, value, detail=e.detail)
        return None

    return rebuild(root, leaf)


def value_atoms(index: Index) -> Iterator[Value]:
    """The data-dependent atoms of an index expression, also below quotients."""
    if isinstance(index, IndexExpr):
        for factors, _ in index.terms:
            for atom in factors:
                if isinstance(atom, Value):
                    yield atom
                for side in ("left", "right"):
                    yield from value_atoms(getattr(atom, side, 0))


def _swap(index: Index, new: Mapping[str, Index]) -> Index:
    """`index` with the data-dependent atoms of the given keys replaced."""

    def replaced(atom: Atom) -> Index:
        if atom.key in new:
            return new[atom.key]
        if isinstance(atom, Pair):
            return type(atom).build(_swap(atom.left, new), _swap(atom.right, new))
        return IndexExpr((((atom,), 1),))

    return map_atoms(index, replaced)
