"""Runs a kernel on numpy arrays: the second, independent statement of what the loop IR means.

PARALLEL and VECTOR loops become an axis of numpy arrays (their iterations may not depend on each other), SERIAL loops
run one by one. Every access is checked against its buffer, scratch memory starts as garbage, and a failed Check
raises `KernelError`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphflow.kernel.expr import TYPES, Call, Const, Expr, Load, Local, Position, Value, walk
from graphflow.kernel.functions import FUNCTIONS
from graphflow.kernel.index import (
    Atom,
    Index,
    IndexExpr,
    Maximum,
    Pair,
    Quotient,
    Remainder,
    Symbol,
    evaluate,
    symbols_of,
)
from graphflow.kernel.nodes import Accumulate, Contract, If, Kernel, Let, Loop, Mode, Role, Set, Stmt, Store, Var

Array = np.ndarray[Any, Any]


class KernelError(Exception):
    """A Check of the kernel failed: its number, and the value it shows."""

    def __init__(self, number: int, shown: int, message: str) -> None:
        super().__init__(message)
        self.number = number
        self.shown = shown


def run(kernel: Kernel, arrays: Mapping[str, Array], symbols: Mapping[str, int] | None = None) -> dict[str, Array]:
    """Run all phases. OUT and INOUT arrays are written in place; scratch buffers and OUT arrays not given are made.
    Returns all arrays.
    """
    sizes = dict(symbols or {})
    memory: dict[str, Array] = {}
    for buffer in kernel.buffers:
        shape = tuple(evaluate(d, sizes) for d in buffer.shape)
        dtype = TYPES[buffer.type]
        if buffer.name in arrays:
            array = arrays[buffer.name]
            if array.dtype != dtype or array.size != int(np.prod(shape)) or not array.flags.c_contiguous:
                raise ValueError(
                    f"buffer {buffer.name} of {kernel.name}: need a dense {dtype} array of shape {shape}, "
                    f"got {array.dtype}{array.shape}"
                )
        elif buffer.role in (Role.OUT, Role.SCRATCH):
            array = (
                np.frombuffer(b"\xa5" * (int(np.prod(shape)) * dtype.itemsize), dtype=np.uint8)
                .view(dtype)
                .reshape(shape)
                .copy()
            )
        else:
            raise ValueError(f"buffer {buffer.name} of {kernel.name} is read: it needs an array")
        memory[buffer.name] = array
    with np.errstate(all="ignore"):
        for phase in kernel.phases:
            _Run(kernel, {n: a.reshape(-1) for n, a in memory.items()}, sizes, _depth(phase)).block(phase)
    return memory


def _depth(statements: Sequence[Stmt]) -> int:
    """How many loops are nested inside each other, the axes of contractions included."""
    deepest = 0
    for s in statements:
        if isinstance(s, Loop):
            deepest = max(deepest, 1 + _depth(s.body))
        elif isinstance(s, If):
            deepest = max(deepest, _depth(s.body))
        elif isinstance(s, Contract):
            deepest = max(deepest, len(s.free) + len(s.reduced))
    return deepest


def _uses(statements: Sequence[Stmt], name: str) -> bool:
    """Whether the extent of a loop inside depends on the symbol `name`."""
    for s in statements:
        if isinstance(s, Loop) and (name in symbols_of(s.extent) or _uses(s.body, name)):
            return True
        if isinstance(s, If) and _uses(s.body, name):
            return True
        if isinstance(s, Contract) and any(name in symbols_of(i) for a in s.free + s.reduced for i in (a.start, a.extent)):
            return True
    return False


class _Run:
    """One phase. Every value is an array with one axis for each loop depth (of size 1 where it does not vary)."""

    def __init__(self, kernel: Kernel, memory: dict[str, Array], sizes: Mapping[str, int], depth: int) -> None:
        self.kernel = kernel
        self.memory = memory
        self.rank = depth
        self.symbols: dict[str, Array] = {n: self.scalar(v, np.int64) for n, v in sizes.items()}
        self.locals: dict[str, Array] = {}
        self.axes_at: dict[str, int] = {}  # how many axes were open where a Var was declared
        self.axes: list[int] = []  # the open vectorised axes and their sizes
        self.sizes: list[int] = []
        self.mask: Array = self.scalar(True, np.bool_)
        self.level = 0

    def scalar(self, value: Any, dtype: Any) -> Array:
        return np.full((1,) * self.rank, value, dtype=dtype)

    # -- statements --------------------------------------------------------------------------------------------------

    def block(self, statements: Sequence[Stmt]) -> None:
        for s in statements:
            match s:
                case Let(name, value):
                    self.locals[name] = self.value(value)
                case Var(name, value):
                    self.locals[name] = self.value(value)
                    self.axes_at[name] = len(self.axes)
                case Set(name, value):
                    self.locals[name] = self.chosen(self.value(value), self.locals[name])
                case Accumulate():
                    self.accumulate(s)
                case Store():
                    self.store(s)
                case If():
                    outer = self.mask
                    self.mask = outer & self.value(s.condition)
                    if self.mask.any():
                        self.block(s.body)
                    self.mask = outer
                case Loop():
                    self.loop(s)
                case Contract():
                    self.contract(s)

    def chosen(self, new: Array, old: Array) -> Array:
        return new if self.mask.all() else np.where(self.mask, new, old)

    def loop(self, s: Loop) -> None:
        extent = int(self.index(s.extent).reshape(-1)[0])
        self.level += 1
        if s.mode is Mode.SERIAL or _uses(s.body, s.var):
            for n in range(extent):
                self.symbols[s.var] = self.scalar(n, np.int64)
                self.block(s.body)
        else:
            self.open(s.var, extent, self.level - 1)
            self.block(s.body)
            self.close()
        self.level -= 1

    def open(self, name: str, extent: int, axis: int) -> None:
        shape = [1] * self.rank
        shape[axis] = extent
        self.symbols[name] = np.arange(extent, dtype=np.int64).reshape(shape)
        self.axes.append(axis)
        self.sizes.append(extent)

    def close(self) -> None:
        self.axes.pop()
        self.sizes.pop()

    def accumulate(self, s: Accumulate) -> None:
        value = self.value(s.value)
        old = self.locals[s.name]
        inner = self.axes[self.axes_at[s.name] :]
        ufunc = {
            "add": np.add,
            "mul": np.multiply,
            "max": np.maximum,
            "min": np.minimum,
            "and": np.bitwise_and,
            "or": np.bitwise_or,
        }[s.combine]
        if inner:
            shape = list(np.broadcast_shapes(value.shape, self.mask.shape))
            for axis, size in zip(self.axes, self.sizes, strict=True):
                shape[axis] = size
            full = np.broadcast_to(value, shape)
            where = np.broadcast_to(self.mask, shape)
            wide = np.float64 if value.dtype.kind == "f" and s.combine in ("add", "mul") else value.dtype
            identity = _identity(s.combine, value.dtype)
            total = ufunc.reduce(full, axis=tuple(inner), keepdims=True, where=where, initial=identity, dtype=wide)
            self.locals[s.name] = ufunc(old, total.astype(value.dtype))
        else:
            self.locals[s.name] = self.chosen(ufunc(old, value), old)

    def store(self, s: Store) -> None:
        buffer = self.memory[s.buffer]
        where = self.mask if s.guard is None else self.mask & self.value(s.guard)
        shape = list(where.shape)
        for axis, size in zip(self.axes, self.sizes, strict=True):
            shape[axis] = size
        where = np.broadcast_to(where, shape)
        offset = np.broadcast_to(self.index(s.offset), shape)[where]
        value = np.broadcast_to(self.value(s.value), shape)[where]
        self.check_range(s.buffer, offset)
        buffer[offset] = value

    def check_range(self, name: str, offset: Array) -> None:
        size = self.memory[name].size
        if offset.size and (offset.min() < 0 or offset.max() >= size):
            raise IndexError(
                f"{self.kernel.name}: offset {offset.min()}..{offset.max()} outside buffer {name} of {size} elements"
            )

    def contract(self, s: Contract) -> None:
        free, reduced = list(s.free), list(s.reduced)
        first = self.level
        outer = self.mask
        for n, axis in enumerate(free + reduced):
            extent = self.index(axis.extent)
            self.open(axis.name, int(extent.max(initial=0)), first + n)
            if extent.size > 1:  # the last part of a reduction that was cut may be shorter
                self.mask = self.mask & (self.symbols[axis.name] < extent)
            self.symbols[axis.name] = self.symbols[axis.name] + self.index(axis.start)
        left, right = (self.load(x) for x in (s.left, s.right))
        if self.mask is not outer:
            left = np.where(self.mask, left, left.dtype.type(0))
        self.mask = outer
        extents = self.sizes[-len(free) - len(reduced) :]
        for _ in reduced:
            self.close()
        summed = range(first + len(free), first + len(free) + len(reduced))
        wide = np.float64 if left.dtype.kind == "f" else left.dtype
        operands: list[Any] = []
        output = set()
        for x in (left, right):
            labels = [n for n in range(self.rank) if x.shape[n] != 1]
            operands += [x.reshape([x.shape[n] for n in labels]).astype(wide), labels]
            output |= set(labels)
        kept = sorted(output - set(summed))
        total = np.einsum(*operands, kept, optimize=True)
        repeats = 1
        for n, size in zip(summed, extents[len(free) :], strict=True):
            repeats *= size if n not in output else 1
        shape = [1] * self.rank
        for n, size in zip(kept, total.shape, strict=True):
            shape[n] = size
        self.locals["acc"] = (total * repeats).reshape(shape).astype(left.dtype)
        self.level += len(free)
        self.block(s.epilogue)
        self.level -= len(free)
        for _ in free:
            self.close()

    # -- expressions -------------------------------------------------------------------------------------------------

    def value(self, root: Expr) -> Array:
        done: dict[Expr, Array] = {}
        for e in walk(root):
            done[e] = self.node(e, done.__getitem__)
        return done[root]

    def node(self, e: Expr, visit: Any) -> Array:
        match e:
            case Const():
                return self.scalar(np.array(e.value).astype(TYPES[e.type]), TYPES[e.type])
            case Local():
                return self.locals[e.name]
            case Position():
                return self.index(e.index, visit).astype(TYPES[e.type])
            case Load():
                return self.load(e, visit)
            case Call(function="check"):
                return self.check(e, *(visit(a) for a in e.arguments))
            case Call(function="cast"):
                return convert(visit(e.arguments[0]), TYPES[e.type])
            case Call():
                result = apply(e.function, [visit(a) for a in e.arguments])
                return result.astype(TYPES[e.type], copy=False)
        raise TypeError(f"{e!r} is not an expression")

    def check(self, e: Call, condition: Array, shown: Array, value: Array) -> Array:
        where = np.broadcast_to(
            self.mask & ~condition, np.broadcast_shapes(condition.shape, self.mask.shape, shown.shape)
        )
        if where.any():
            number = int(np.broadcast_to(shown, where.shape)[where].reshape(-1)[0])
            check = self.kernel.checks[e.detail]
            raise KernelError(e.detail, number, check.message.replace("{value}", str(number)))
        return value

    def load(self, e: Load, visit: Any = None) -> Array:
        offset = self.index(e.offset, visit)
        active = self.mask
        guard = None
        if e.guard is not None:
            guard = (visit or self.value)(e.guard)
            active = active & guard
        shape = np.broadcast_shapes(offset.shape, active.shape) if not active.all() else offset.shape
        wide = np.broadcast_to(offset, shape)
        live = wide[np.broadcast_to(active, shape)] if not active.all() else wide
        self.check_range(e.buffer, live)
        memory = self.memory[e.buffer]
        if memory.size == 0:
            return np.zeros(offset.shape, memory.dtype)
        found = memory[np.clip(offset, 0, memory.size - 1)]
        return found if guard is None else np.where(guard, found, np.zeros((), memory.dtype))

    def index(self, index: Index, visit: Any = None) -> Array:
        if not isinstance(index, IndexExpr):
            return self.scalar(index, np.int64)
        total = self.scalar(0, np.int64)
        for factors, scale in index.terms:
            term = self.scalar(scale, np.int64)
            for atom in factors:
                term = term * self.atom(atom, visit)
            total = total + term
        return total

    def atom(self, atom: Atom, visit: Any) -> Array:
        if isinstance(atom, Symbol):
            return self.symbols[atom.name]
        if isinstance(atom, Value):
            return (visit or self.value)(atom.expr).astype(np.int64)
        assert isinstance(atom, Pair)
        left, right = self.index(atom.left, visit), self.index(atom.right, visit)
        if isinstance(atom, Quotient):
            return left // right
        if isinstance(atom, Remainder):
            return left % right
        return np.maximum(left, right) if isinstance(atom, Maximum) else np.minimum(left, right)


def _identity(combine: str, dtype: Any) -> Any:
    """What leaves the other operand of a combination as it is."""
    if combine in ("add", "or"):
        return dtype.type(0)
    if combine == "mul":
        return dtype.type(1)
    if combine == "and":
        return ~dtype.type(0)
    if dtype.kind == "f":
        return dtype.type(-np.inf if combine == "max" else np.inf)
    if dtype.kind == "b":
        return dtype.type(combine == "min")
    limits = np.iinfo(dtype)
    return dtype.type(limits.min if combine == "max" else limits.max)


# Where numpy's meaning is not defined, or is not TensorFlow's: division by zero is 0, shift counts are clamped, a
# power wraps around.
def apply(function: str, arguments: Sequence[Array]) -> Array:
    """The numpy meaning of a function of kernel.expr.FUNCTIONS, extended to all operands."""
    a = arguments[0]
    kind = a.dtype.kind
    with np.errstate(all="ignore"):
        if function == "floordiv" and kind == "f":
            return np.floor(a / arguments[1])
        if function in ("div", "rem", "floordiv", "floormod") and kind in "iu":
            return _divide(function, a, arguments[1])
        if function in ("shl", "shr"):
            count = np.clip(arguments[1], 0, a.dtype.itemsize * 8 - 1).astype(a.dtype)
            shifted: Array = (np.left_shift if function == "shl" else np.right_shift)(a, count)
            return shifted
        if function == "pow" and kind in "iu":
            return _integer_power(a, arguments[1])
        if kind == "b" and function in ("sub", "neg", "sign", "abs"):
            return np.logical_xor(*arguments) if function == "sub" else a
        result: Array = FUNCTIONS[function][2](*arguments)
        return result


def _divide(function: str, a: Array, b: Array) -> Array:
    safe = np.where(b == 0, b.dtype.type(1), b)
    if a.dtype.kind == "i":
        low = (b == -1) & (a == np.iinfo(a.dtype).min)
        safe = np.where(low, b.dtype.type(1), safe)
    truncated = function in ("div", "rem")
    zero = b == 0
    rest: Array = np.fmod(a, safe) if truncated else np.mod(a, safe)
    quotient = (a - rest) // safe if truncated else np.floor_divide(a, safe)
    result: Array = (
        np.where(zero, a.dtype.type(0), quotient) if function in ("div", "floordiv") else np.where(zero, a, rest)
    )
    return result


def _integer_power(a: Array, e: Array) -> Array:
    bits = a.dtype.itemsize * 8
    left = e.astype(f"u{a.dtype.itemsize}")
    result, base = np.ones(np.broadcast_shapes(a.shape, e.shape), a.dtype), a
    for n in range(bits):
        result = np.where((left >> left.dtype.type(n)) & left.dtype.type(1), result * base, result)
        base = base * base
    return result


def convert(x: Array, dtype: np.dtype[Any]) -> Array:
    """C's conversions; a float outside the integer's range gives the least number, truncated to the width, as x86
    does.
    """
    if dtype.kind == "b":
        bits: Array = x != 0
        return bits
    if x.dtype.kind != "f" or dtype.kind == "f":
        return x.astype(dtype)
    wide = x.astype(np.float64)
    if dtype == np.uint64:
        high = wide >= 2.0**63
        whole = _to_signed(np.where(high, wide - 2.0**63, wide), np.int64)
        return np.where(high, whole ^ np.int64(-(2**63)), whole).astype(np.uint64)
    return _to_signed(wide, np.int64 if dtype.itemsize == 8 or dtype == np.uint32 else np.int32).astype(dtype)


def _to_signed(x: Array, dtype: Any) -> Array:
    limit = 2.0 ** (np.iinfo(dtype).bits - 1)
    inside = (x >= -limit) & (x < limit)
    whole: Array = np.where(inside, np.where(inside, x, 0).astype(dtype), np.iinfo(dtype).min)
    return whole
