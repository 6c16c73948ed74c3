"""The rules a kernel must keep, each with its message.

`verify` raises InvalidKernel with all broken rules. It never rejects a right kernel: offsets are judged only where
the ranges of the loops decide them, races only where an element does not depend on the loop whose iterations run at
the same time.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from graphflow.kernel.affine import coefficient
from graphflow.kernel.expr import (
    FLOATS,
    TYPES,
    Call,
    Const,
    Expr,
    Load,
    Local,
    Position,
    Value,
    free_symbols,
    values_in,
    walk,
)
from graphflow.kernel.functions import FUNCTIONS
from graphflow.kernel.index import Atom, Index, IndexExpr, product, substitute, symbols_of
from graphflow.kernel.nodes import (
    Accumulate,
    Buffer,
    Contract,
    If,
    Kernel,
    Let,
    Loop,
    Mode,
    Role,
    Set,
    Stmt,
    Store,
    Var,
)
from graphflow.kernel.printer import expr_text, index_text
from graphflow.kernel.ranges import Range, limits

COMBINES = frozenset(("add", "mul", "max", "min", "and", "or"))
ANY = frozenset(TYPES)
NUMBERS = ANY - {"bool"}
INTEGERS = NUMBERS - FLOATS
# What each function may be applied to (the second operand's type for select); functions not named here take floats
# only.
OPERANDS: dict[str, frozenset[str]] = {
    **dict.fromkeys(("add", "mul", "max", "min", "lt", "le", "eq", "ne", "select", "cast", "check"), ANY),
    **dict.fromkeys(("sub", "div", "floordiv", "floormod", "rem", "pow", "neg", "abs", "sign", "fma"), NUMBERS),
    **dict.fromkeys(("isnan", "isinf", "isfinite", "floor", "ceil", "rint", "trunc"), NUMBERS),
    **dict.fromkeys(("and", "or", "xor", "not"), INTEGERS | {"bool"}), **dict.fromkeys(("shl", "shr"), INTEGERS),
    "mulhi": frozenset(("u32",)), "bitcast_f32": frozenset(("u32", "i32")), "bitcast_u32": frozenset(("f32", "i32")),
    "bitcast_f64": frozenset(("u64", "i64")), "bitcast_u64": frozenset(("f64", "i64")),
}  # fmt: skip


class InvalidKernel(ValueError):
    """A kernel breaks rules; `problems` are the messages."""

    def __init__(self, kernel: Kernel, problems: Sequence[str]) -> None:
        super().__init__(f"kernel {kernel.name} is not valid:\n  " + "\n  ".join(problems))
        self.problems = list(problems)


def verify(kernel: Kernel) -> None:
    """Raise InvalidKernel unless the kernel keeps all rules."""
    found = problems(kernel)
    if found:
        raise InvalidKernel(kernel, found)


def problems(kernel: Kernel) -> list[str]:
    """The messages of all broken rules."""
    found = list(_header(kernel))
    filled: set[str] = set()
    for n, phase in enumerate(kernel.phases):
        check = _Phase(kernel, filled)
        check.phase(phase)
        found += [f"phase {n}: {message}" for message in check.found]
    found += [f"output {b.name} is never stored" for b in kernel.buffers if b.role is Role.OUT and b.name not in filled]
    return found


def _header(kernel: Kernel) -> Iterator[str]:
    if not re.fullmatch(r"[A-Za-z_$.][\w$.]*", kernel.name):
        yield f"the name {kernel.name!r} is not an LLVM identifier"
    names = [*(b.name for b in kernel.buffers), *kernel.symbols]
    for name in sorted({n for n in names if names.count(n) > 1}):
        yield f"two buffers or sizes are called {name}"
    for buffer in kernel.buffers:
        if buffer.type not in TYPES:
            yield f"buffer {buffer.name} has no element type called {buffer.type}"
        for size in buffer.shape:
            for name in sorted(symbols_of(size) - set(kernel.symbols)):
                yield f"the shape of buffer {buffer.name} uses {name}, which is not a size of the kernel"
    if not kernel.phases:
        yield "there is no phase"


class _Phase:
    """Walks one phase and collects messages."""

    def __init__(self, kernel: Kernel, filled: set[str]) -> None:
        self.kernel = kernel
        self.buffers: dict[str, Buffer] = {b.name: b for b in kernel.buffers}
        self.found: list[str] = []
        self.filled = filled  # buffers stored so far, in program order
        self.locals: dict[str, tuple[str, bool]] = {}  # name -> (type, mutable), those in scope
        self.loops: list[Loop] = []
        self.axes: dict[str, tuple[Index, Index]] = {}  # open loop variables, their first values and their last
        self.tied: dict[str, tuple[str, Index, Index]] = {}  # those of which begin and end depend on another, its name, and both
        self.ranges: dict[str, Range] = {}
        self.certain = True  # not inside a conditional
        self.guards: list[Expr] = []
        self.vector_outer: set[str] = set()  # locals declared outside the open vector loop
        self.judged: set[Expr] = set()

    def say(self, message: str) -> None:
        if message not in self.found:
            self.found.append(message)

    # -- structure ---------------------------------------------------------------------------------------------------

    def phase(self, statements: Sequence[Stmt]) -> None:
        planned = [s for s in statements if isinstance(s, Contract) and s.plan is not None]
        for s in statements:
            if isinstance(s, Loop) and s.mode is Mode.PARALLEL and len(statements) > 1:
                self.say(f"the parallel loop {s.var} is not the only statement of its phase")
        if planned and len(planned) < len(statements):
            self.say("a planned contraction stands beside statements that are none")
        for contract in planned:
            self.apart(contract, planned)
        self.block(statements)

    def apart(self, contract: Contract, others: Sequence[Contract]) -> None:
        """Contractions of one phase, which threads come to without waiting for each other, must not sum what another one makes."""
        stored = {s.buffer for other in others if other is not contract for s in other.epilogue if isinstance(s, Store)}
        for name in sorted({contract.left.buffer, contract.right.buffer} & stored):
            self.say(f"a contraction reads buffer {name}, which another one of the phase stores")

    def block(self, statements: Sequence[Stmt]) -> None:
        outer = dict(self.locals)
        for s in statements:
            match s:
                case Let(name, value) | Var(name, value):
                    self.expression(value)
                    self.declare(name, value.type, isinstance(s, Var))
                case Set() | Accumulate():
                    self.assign(s)
                case Store():
                    self.store(s)
                case If(condition, body):
                    self.condition(condition, "the condition of an if")
                    certain, self.certain = self.certain, False
                    self.guards.append(condition)
                    self.block(body)
                    self.guards.pop()
                    self.certain = certain
                case Loop():
                    self.loop(s)
                case Contract():
                    self.contract(s)
        self.locals = outer

    def declare(self, name: str, type_: str, mutable: bool) -> None:
        if name in self.axes or name in self.locals:  # blocks beside each other may have the same names
            self.say(f"the name {name} is assigned twice")
        self.locals[name] = (type_, mutable)

    def loop(self, s: Loop) -> None:
        if s.mode is Mode.PARALLEL and (self.loops or not self.certain):
            self.say(f"the parallel loop {s.var} is inside another statement")
        vector = self.open_vector()
        if vector is not None:
            if s.mode is not Mode.SERIAL:
                self.say(
                    f"the {s.mode.value} loop {s.var} is inside the vector loop {vector.var}; only serial loops may be"
                )
            if vector.var in symbols_of(s.extent) or any(True for _ in values_in(s.extent)):
                self.say(f"the extent of loop {s.var} differs between the lanes of {vector.var}")
        self.open_axis(s.var, s.extent)
        self.loops.append(s)
        saved = self.vector_outer
        if s.mode is Mode.VECTOR:
            self.vector_outer = set(self.locals)
            self.reductions(s)
        self.block(s.body)
        self.vector_outer = saved
        self.loops.pop()
        self.close_axis(s.var)

    def open_vector(self) -> Loop | None:
        return next((loop for loop in self.loops if loop.mode is Mode.VECTOR), None)

    def open_axis(self, name: str, extent: Index, start: Index = 0) -> None:
        if name in self.axes or name in self.kernel.symbols:
            self.say(f"the loop variable {name} has the name of another loop or size around it")
        self.symbols(extent, f"the extent of loop {name}")
        self.symbols(start, f"the beginning of loop {name}")
        low, high = limits(extent, self.ranges)
        if high is not None and high < 0:
            self.say(f"the extent of loop {name} is negative: {index_text(extent)}")
        first, last = start, start + extent - 1
        (least, _), (_, most) = limits(first, self.ranges), limits(last, self.ranges)
        if start != 0 and least is not None and most is not None:  # offsets are monotone in numbers, not in what depends on other loops
            on = (symbols_of(first) | symbols_of(last)) & self.axes.keys()
            if len(on) == 1:
                self.tied[name] = next(iter(on)), first, last
            first, last = least, most
        self.axes[name] = first, last
        self.ranges[name] = (least, None if most is None else max(most, 0))

    def close_axis(self, name: str) -> None:
        self.axes.pop(name, None)
        self.tied.pop(name, None)
        self.ranges.pop(name, None)

    def reductions(self, s: Loop) -> None:
        """Locals from outside a vector loop: accumulated in one way, not read or set in it."""
        combines: dict[str, str] = {}
        for x in _all(s.body):
            if isinstance(x, Accumulate) and x.name in self.vector_outer:
                first = combines.setdefault(x.name, x.combine)
                if first != x.combine:
                    self.say(f"{x.name} is accumulated in two ways in the vector loop {s.var}")
            if isinstance(x, Set) and x.name in self.vector_outer:
                self.say(
                    f"{x.name}, declared outside the vector loop {s.var}, is set in it; only accumulating is possible"
                )
        for x in _all(s.body):
            for root in _expressions(x):
                for e in walk(root):
                    if isinstance(e, Local) and e.name in combines:
                        self.say(f"{e.name} is read in the vector loop {s.var} that accumulates it")

    # -- statements --------------------------------------------------------------------------------------------------

    def assign(self, s: Set | Accumulate) -> None:
        self.expression(s.value)
        type_, mutable = self.locals.get(s.name, ("", False))
        if not type_:
            self.say(f"{s.name} is assigned where it is not declared")
        elif not mutable:
            self.say(f"{s.name} is a let and cannot change")
        elif s.value.type != type_:
            self.say(f"{s.name} is {type_} and is given {s.value.type}")
        if isinstance(s, Accumulate):
            if s.combine not in COMBINES:
                self.say(f"there is no way to combine called {s.combine}")
            elif type_ and type_ not in (INTEGERS | {"bool"} if s.combine in ("and", "or") else ANY):
                self.say(f"{s.name} is {type_}, which {s.combine} does not combine")

    def store(self, s: Store) -> None:
        self.expression(s.value)
        if s.guard is not None:
            self.condition(s.guard, f"the guard of the store to {s.buffer}")
        buffer = self.buffers.get(s.buffer)
        if buffer is None:
            self.say(f"there is no buffer called {s.buffer}")
            return
        if buffer.role is Role.IN:
            self.say(f"input {s.buffer} is stored to")
        if s.value.type != buffer.type:
            self.say(f"{s.value.type} is stored to {s.buffer}, whose elements are {buffer.type}")
        self.offset(buffer, s.offset, s.guard is None)
        for loop in self.loops:
            if loop.mode is Mode.SERIAL or loop.extent == 1:
                continue
            conditions = [*self.guards, *([s.guard] if s.guard is not None else [])]
            used = symbols_of(s.offset).union(*(free_symbols(c) for c in conditions))
            if loop.var not in used and not self.local_in(s.offset):
                place = f"{s.buffer}[{index_text(s.offset)}]"
                self.say(f"all iterations of the {loop.mode.value} loop {loop.var} store to {place}")
        self.filled.add(s.buffer)

    def local_in(self, index: Index) -> bool:
        """Whether an offset depends on a local: what that depends on is not followed."""
        return any(isinstance(e, Local) for root in values_in(index) for e in walk(root))

    def contract(self, s: Contract) -> None:
        if self.open_vector() is not None:
            self.say("a contraction is inside a vector loop")
        for side in (s.left, s.right):
            for axis in (*s.free, *s.reduced):
                if coefficient(side.offset, axis.name) is None:
                    self.say(f"{expr_text(side)} in a contraction is not affine in {axis.name}")
        if s.left.type != s.right.type:
            self.say(f"a contraction of {s.left.type} and {s.right.type}")
        for axis in (*s.free, *s.reduced):
            self.open_axis(axis.name, axis.extent, axis.start)
        self.expression(s.left)
        self.expression(s.right)
        for axis in s.reduced:
            self.close_axis(axis.name)
        before = dict(self.locals)
        self.locals["acc"] = (s.left.type, False)
        for x in s.epilogue:
            if not isinstance(x, Let | Store):
                self.say(f"the epilogue of a contraction has a {type(x).__name__}; it may have let and store")
        self.block(s.epilogue)
        self.locals = before
        for axis in s.free:
            self.close_axis(axis.name)

    # -- expressions -------------------------------------------------------------------------------------------------

    def condition(self, e: Expr, what: str) -> None:
        self.expression(e)
        if e.type != "bool":
            self.say(f"{what} is {e.type}, not bool")

    def expression(self, root: Expr) -> None:
        for e in walk(root):
            match e:
                case Const():
                    if e.type not in FLOATS and e.type != "bool":
                        self.constant(e)
                case Local(name=name):
                    type_, _ = self.locals.get(name, ("", False))
                    if not type_:
                        self.say(f"{name} is used where it is not declared")
                    elif type_ != e.type:
                        self.say(f"{name} is {type_} and is used as {e.type}")
                case Position(index=index):
                    self.symbols(index, "a position")
                    if e.type not in INTEGERS:
                        self.say(f"a position is {e.type}, not an integer")
                case Load():
                    self.load(e)
                case Call():
                    self.call(e)

    def constant(self, e: Const) -> None:
        bits, signed = TYPES[e.type].itemsize * 8, e.type.startswith("i")
        low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
        if not low <= e.value <= high:
            self.say(f"the constant {e.value} does not fit in {e.type}")

    def load(self, e: Load) -> None:
        buffer = self.buffers.get(e.buffer)
        if buffer is None:
            self.say(f"there is no buffer called {e.buffer}")
            return
        if e.type != buffer.type:
            self.say(f"{e.buffer}, whose elements are {buffer.type}, is loaded as {e.type}")
        if e.guard is not None and e.guard.type != "bool":
            self.say(f"the guard of a load of {e.buffer} is {e.guard.type}, not bool")
        if buffer.role in (Role.OUT, Role.SCRATCH) and e.buffer not in self.filled:
            self.say(f"{buffer.role.value} buffer {e.buffer} is loaded before anything is stored to it")
        self.offset(buffer, e.offset, e.guard is None)

    def call(self, e: Call) -> None:
        types = [a.type for a in e.arguments]
        if e.function != "cast" and e.function not in FUNCTIONS:
            self.say(f"there is no function called {e.function}")
            return
        if e.function == "check":
            if types[0] != "bool" or types[1] not in INTEGERS:
                self.say(f"check takes a bool and an integer to show, got {types[0]} and {types[1]}")
            if not 0 <= e.detail < len(self.kernel.checks):
                self.say(f"there is no check {e.detail}")
            return
        if e.function == "select" and types[0] != "bool":
            self.say(f"the condition of a select is {types[0]}, not bool")
        operand = types[1] if e.function == "select" else types[0]
        if operand not in OPERANDS.get(e.function, FLOATS):
            self.say(f"{e.function} is not defined for {operand}")
        if e.function not in ("cast", "select") and len(set(types)) > 1:
            self.say(f"{e.function} of mixed element types {', '.join(types)}")

    def symbols(self, index: Index, what: str) -> None:
        for name in sorted(symbols_of(index) - self.axes.keys() - set(self.kernel.symbols)):
            self.say(f"{what} uses {name}, which is no size and no loop around it")

    def offset(self, buffer: Buffer, offset: Index, always: bool) -> None:
        """Every value inside is an integer; the first and last offset that the loops reach are inside the buffer."""
        self.symbols(offset, f"an offset into {buffer.name}")
        for e in values_in(offset):
            self.expression(e)
            if e.type not in INTEGERS:
                self.say(f"an offset into {buffer.name} contains {e.type} data")
        if not (always and self.certain) or any(True for _ in values_in(offset)):
            return
        ends = self.extremes(offset)
        if ends is None:
            return
        first, last = ends
        _, below = limits(first, {})
        over, _ = limits(last - product(buffer.shape), {})
        if (below is not None and below < 0) or (over is not None and over >= 0):
            shape = ", ".join(map(index_text, buffer.shape))
            reach = f"reaches {index_text(first)} to {index_text(last)}"
            self.say(f"{buffer.name}[{index_text(offset)}] {reach}, outside of shape [{shape}]")

    def extremes(self, offset: Index) -> tuple[Index, Index] | None:
        """The least and greatest value over the open loops in terms of sizes; None where an offset is not monotone in
        some loop.
        """
        first, last = self.together(offset)
        for name in reversed(list(self.axes)):
            if name not in symbols_of(first) | symbols_of(last):
                continue
            start, end = self.axes[name]
            ends: list[Index] = []
            for value, up in ((first, False), (last, True)):
                step = coefficient(value, name)
                if step is None or any(_opaque(a, name) for a in _atoms(value)):
                    return None
                low, high = limits(step, self.ranges)
                rises, falls = low is not None and low >= 0, high is not None and high <= 0
                if not rises and not falls:
                    return None
                ends.append(substitute(value, {name: end if rises == up else start}))
            first, last = ends
        return first, last


    def together(self, offset: Index) -> tuple[Index, Index]:
        """The offset without each pair of loops of which one depends on the other, at the least and greatest that they contribute."""
        first = last = offset
        pairs = Counter(on for on, _, _ in self.tied.values())
        for name, (on, start, end) in self.tied.items():
            along, across = coefficient(offset, on), coefficient(offset, name)
            least, most = self.axes.get(on, ("", ""))
            if not (isinstance(along, int) and isinstance(across, int)) or not (isinstance(least, int) and isinstance(most, int)):
                continue
            if pairs[on] > 1:
                continue
            sums = []
            for n in range(least, most + 1):
                low, high = (substitute(x, {on: n}) for x in (start, end))
                if isinstance(low, int) and isinstance(high, int) and low <= high:
                    sums += [along * n + across * low, along * n + across * high]
            if sums:
                apart: dict[str, Index] = {on: 0, name: 0}
                first, last = substitute(first, apart) + min(sums), substitute(last, apart) + max(sums)
        return first, last


def _all(statements: Sequence[Stmt]) -> Iterator[Stmt]:
    for s in statements:
        yield s
        yield from _all(s.body if isinstance(s, Loop | If) else s.epilogue if isinstance(s, Contract) else ())


def _expressions(s: Stmt) -> tuple[Expr, ...]:
    match s:
        case Let() | Var() | Set() | Accumulate():
            return (s.value,)
        case Store():
            return (s.value, *([s.guard] if s.guard is not None else []), *values_in(s.offset))
        case If():
            return (s.condition,)
        case _:
            return ()


def _atoms(index: Index) -> Iterator[Atom]:
    if isinstance(index, IndexExpr):
        for factors, _ in index.terms:
            yield from factors


def _opaque(atom: Atom, name: str) -> bool:
    """Whether the variable is inside a quotient, remainder, extremum or data."""
    return (isinstance(atom, Value) or hasattr(atom, "left")) and name in atom.symbols()
