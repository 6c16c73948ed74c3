"""Statements of the loop IR to instructions.

A VECTOR loop becomes a loop over whole vectors and a rest: one masked vector where the target has masks, else a
scalar loop. A sum that such a loop accumulates is kept in vectors (four of them where the body is so cheap that one
would wait for itself) and added up in a fixed order after the loop, so that the result does not depend on how the
work is shared. Mutable locals are SSA registers carried by loops.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import NamedTuple

from graphflow.compiler.llvm import functions
from graphflow.compiler.llvm.builder import LLVM_TYPES, SIZES, FunctionBuilder, Reg, mangle, split_vector, vector
from graphflow.compiler.llvm.expr import Expressions
from graphflow.compiler.llvm.interleave import interleaved, store_every
from graphflow.compiler.llvm.math import FUNCTIONS as FORMULAS
from graphflow.compiler.llvm.number import Num
from graphflow.compiler.llvm.periodic import emit_periods
from graphflow.compiler.llvm.scope import Placed
from graphflow.compiler.llvm.target import Target
from graphflow.compiler.llvm.transpose import transpose
from graphflow.kernel.expr import FLOATS, TYPES, Call, Expr, Load, Position, walk
from graphflow.kernel.index import Index, symbol
from graphflow.kernel.nodes import Accumulate, Contract, If, Kernel, Let, Loop, Mode, Set, Stmt, Store, Var
from graphflow.kernel.periods import VECTORS, period_of

Contraction = Callable[["Emitter", Contract], None]
UNROLL = 4
WAITING = 8  # registers of the target for each vector of a formula that is computed beside others
CHEAP = frozenset(("add", "sub", "mul", "fma", "max", "min", "abs", "neg", "cast", "select", "lt", "le", "and", "or"))


def inner(statement: Stmt) -> tuple[Stmt, ...]:
    """The statements inside a statement."""
    return (
        statement.body
        if isinstance(statement, Loop | If)
        else statement.epilogue
        if isinstance(statement, Contract)
        else ()
    )


def everything(statements: Iterable[Stmt]) -> Iterable[Stmt]:
    """The statements and all inside them, in order."""
    for statement in statements:
        yield statement
        yield from everything(inner(statement))


def written(statements: Iterable[Stmt]) -> frozenset[str]:
    """Buffers and mutable locals that change somewhere inside."""
    return frozenset(
        s.buffer if isinstance(s, Store) else s.name
        for s in everything(statements)
        if isinstance(s, Store | Set | Accumulate | Var)
    )


def expressions(statement: Stmt) -> tuple[Expr, ...]:
    """The expressions a statement evaluates itself."""
    match statement:
        case Let() | Var() | Set() | Accumulate():
            return (statement.value,)
        case Store():
            return (statement.value,) if statement.guard is None else (statement.value, statement.guard)
        case If():
            return (statement.condition,)
        case _:
            return ()


def period_in(statements: Iterable[Stmt], name: str) -> int:
    """The period of all indices in statements along a loop variable; 0 where one is not known to have any."""
    period = 1
    seen: set[Expr] = set()
    for statement in everything(statements):
        if isinstance(statement, Store):
            period = math.lcm(period, period_of(statement.offset, name))
        for root in expressions(statement):
            if root not in seen:
                for e in walk(root):
                    if e not in seen and isinstance(e, Load | Position):
                        period = math.lcm(period, period_of(e.offset if isinstance(e, Load) else e.index, name))
                    seen.add(e)
    return period


class _Vector(NamedTuple):
    """A vector loop: its lanes, the locals it accumulates, what it writes, and when it runs at all."""

    loop: Loop
    lanes: int
    names: list[str]
    writes: frozenset[str]
    occupied: Placed | None


class Emitter(Expressions):
    """Emits the statements of one phase. `contraction` expands Contract statements: it is built on this class, so it
    is handed in.
    """

    def __init__(
        self,
        builder: FunctionBuilder,
        kernel: Kernel,
        target: Target,
        contraction: Contraction,
        writes: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(builder, kernel, target, writes)
        self.contraction = contraction

    def run(self, statements: Sequence[Stmt]) -> None:
        """Emit statements at the present place and number of lanes."""
        done = 0
        while done < len(statements):
            done += self._run(statements[done:])

    def _run(self, statements: Sequence[Stmt]) -> int:
        """Emit the first of `statements`, and with it others that go together; how many that is."""
        statement = statements[0]
        match statement:
            case Let(name, value):
                self.set_local(name, self._value(self.renamed(value)))
            case Var(name, value):
                self.types[name] = value.type
                self.set_local(name, (self.wide(value), self.top))
            case Set(name, value):
                self.set_local(name, (self._masked(name, self._as_wide_as(name, value)), self.top))
            case Accumulate():
                self._accumulate(statement)
            case Store():
                together = interleaved(self, statements)
                if together:
                    store_every(self, together)
                    return len(together)
                self._store(statement)
            case If():
                self._if(statement)
            case Loop():
                if not transpose(self, statement):
                    self._loop(statement)
            case Contract():
                from graphflow.compiler.contract.emit import emit_contract  # an emitter of its own, built on this one

                emit_contract(self, statement)
        return 1

    # -- mutable locals ----------------------------------------------------------------------------------------------

    def _as_wide_as(self, name: str, value: Expr) -> Reg:
        lanes = split_vector(self.locals[name][0].type)[1]
        return self.wide(value) if lanes > 1 else self.value(value)

    def _masked(self, name: str, value: Reg) -> Reg:
        """The new value of a local, on active lanes only."""
        old = self.locals[name][0]
        return value if self.mask is None or split_vector(value.type)[1] == 1 else self.b.select(self.mask, value, old)

    def _accumulate(self, s: Accumulate) -> None:
        old = self.locals[s.name][0]
        new = self._combine(s.combine, self.types[s.name], old, self._as_wide_as(s.name, s.value))
        self.set_local(s.name, (self._masked(s.name, new), self.top))

    def _combine(self, combine: str, type_: str, a: Reg, b: Reg) -> Reg:
        first, second = (b, a) if combine in ("max", "min") else (a, b)  # a NaN in the accumulator stays
        return functions.apply(self.b, self.target, combine, type_, (first, second))

    def _carried(self, writes: frozenset[str]) -> list[str]:
        """The mutable locals of outer scopes that a body changes."""
        return [name for name in self.locals if name in writes]

    # -- conditionals ------------------------------------------------------------------------------------------------

    def _if(self, s: If) -> None:
        condition = self.value(s.condition)
        some, mask = condition, None
        if split_vector(condition.type)[1] > 1:
            mask = condition if self.mask is None else self.b.binary("and", self.mask, condition)
            some = Num(self.b, self.target, mask).any().reg
        writes = written(s.body)
        names = self._carried(writes)
        before = [self.locals[n][0] for n in names]
        point = self.b.point()
        body, after = self.b.label("if.then"), self.b.label("if.end")
        self.b.branch_if(some, body, after)
        self.b.start(body)
        self.push(point, writes, branch=True)
        if mask is not None:
            self.set_mask(mask)
        self.run(s.body)
        changed = [self.locals[n][0] for n in names]
        self.pop()
        last = self.b.block
        self.b.branch(after)
        self.b.start(after)
        for name, old, new in zip(names, before, changed, strict=True):
            text = f"phi {new.type} [ {new.ref}, %{last} ], [ {old.ref}, %{point.block} ]"
            self.set_local(name, (self.b.instruction(new.type, text, "merge"), self.top))
        self._forget(writes)

    def _forget(self, names: Iterable[str]) -> None:
        for name in names:
            self.written(name)

    # -- loops -------------------------------------------------------------------------------------------------------

    def _loop(self, s: Loop) -> None:
        extent = self.rename(s.extent)
        if s.mode is Mode.VECTOR:
            self._vector_loop(s, self.b.i64(0), extent)
        elif s.mode is Mode.PARALLEL:
            self._parallel_loop(s, extent)
        else:
            self._serial_loop(s, self.b.i64(0), self.index(s.extent), self._occupied(extent))

    def _occupied(self, extent: Index) -> Placed | None:
        """The condition under which a loop runs at all; None where the extent is known to be positive."""
        low, _ = self.limits(extent)
        if low is not None and low > 0:
            return None
        value, level = self._index(extent)
        with self.place(level):
            return self.b.compare("icmp sgt", value, self.b.i64(0)), level

    def _serial_loop(self, s: Loop, start: Reg, end: Reg, occupied: Placed | None) -> None:
        writes = written(s.body)
        names = self._carried(writes)
        with self.b.loop(_stem(s.var), start, end, self.b.i64(1), [self.locals[n][0] for n in names]) as loop:
            self.push(loop.point, writes, occupied=occupied)
            self.set_symbol(s.var, loop.index)
            self.set_range(s.var, self.rename(s.extent))
            self._take(names, loop.carried)
            self.run(s.body)
            loop.carried = [self.locals[n][0] for n in names]
            self.pop()
        self._take(names, loop.results)
        self._forget(writes)

    def _take(self, names: Sequence[str], registers: Sequence[Reg]) -> None:
        for name, register in zip(names, registers, strict=True):
            self.set_local(name, (register, self.top))

    def _parallel_loop(self, s: Loop, extent: Index) -> None:
        """This thread's contiguous share; a multiple of the vector width where the elements themselves are shared
        out.
        """
        b = self.b
        simple = not any(isinstance(x, Loop | Contract) for x in everything(s.body))
        lanes = self._choose_lanes(s.body, extent) if simple else 1
        total = self.index(extent)
        units = total if lanes == 1 else self.index((extent + (lanes - 1)) // lanes)
        first, last = (
            b.mul(b.binary("udiv", b.binary("mul", units, t), self.threads), b.i64(lanes))
            for t in (self.thread, b.binary("add", self.thread, b.i64(1)))
        )
        if lanes > 1:
            last = b.call("i64", "llvm.smin.i64", (last, total))
        share = self.thread, self.threads
        self.thread, self.threads = b.i64(0), b.i64(1)  # what is inside belongs to this thread alone
        if simple:
            self._vector_loop(s, first, extent, last)
        else:
            self._serial_loop(s, first, last, self._occupied(extent))
        self.thread, self.threads = share

    # -- vector loops ------------------------------------------------------------------------------------------------

    def _choose_lanes(self, body: Sequence[Stmt], extent: Index) -> int:
        """Lanes for the size of number that most of the work is done in, not more than the extent needs; those of two
        registers where they are all and there are loops inside. Integers of 64 bits count only where there is nothing
        else: they are positions. Every instruction of a function's formula waits for the one before it: several registers
        at a time, instruction by instruction, fill the time, which the machine does not find behind a whole formula.
        """
        work: Counter[int] = Counter()
        places: Counter[int] = Counter()
        seen: set[Expr] = set()
        for statement in everything(body):
            if isinstance(statement, Store):
                _count(self.buffers[statement.buffer].type, work, places)
            for root in expressions(statement):
                for e in walk(root):
                    if isinstance(e, Load | Call) and e not in seen:
                        seen.add(e)
                        compared = e.type == "bool" and isinstance(e, Call)
                        _count(e.children()[0].type if compared else e.type, work, places)
        sizes = work or places or Counter({8: 1})
        size = max(sizes, key=lambda n: (sizes[n], n))
        lanes = self.target.vector_bytes // size
        _, most = self.limits(extent)
        if most is not None and most < lanes:
            whole = most if self.target.masks else most + 1
            lanes = 1 << max(0, math.ceil(math.log2(max(whole, 1))) - (0 if self.target.masks else 1))
            lanes = max(1, lanes)
        if extent == 2 * lanes and any(isinstance(s, Loop) for s in body):
            lanes *= 2  # one pass of the loops inside serves both registers, and walks through memory without gaps
        chains = any(isinstance(e, Call) and e.function in FORMULAS for e in seen)
        if chains and not any(isinstance(s, Loop | Contract | If) for s in everything(body)):
            many = self.target.registers // WAITING
            lanes *= next((n for n in (many, many // 2) if extent % (n * lanes) == 0), 1)
        return lanes

    def _vector_loop(self, s: Loop, start: Reg, extent: Index, end: Reg | None = None) -> None:
        """The iterations from `start` to `end` (all of them where there is no `end`) in vectors, then the rest."""
        lanes = self._choose_lanes(s.body, extent)
        writes = written(s.body)
        occupied = self._occupied(extent)
        last, level = self._index(extent) if end is None else (end, self.top)
        if lanes == 1:
            self._serial_loop(s, start, last, occupied)
            return
        names = self._carried(writes)
        version = _Vector(s, lanes, names, writes, occupied)
        known = extent if isinstance(extent, int) and end is None else None
        period = period_in(s.body, s.var) if known is not None and not names else 1
        if period > 1 and math.lcm(period, lanes) <= VECTORS * lanes:
            emit_periods(self, s, lanes, math.lcm(period, lanes), writes)
            return
        combines = {x.name: x.combine for x in everything(s.body) if isinstance(x, Accumulate)}
        priors = [self.locals[n][0] for n in names]
        sums = [self._identity(combines[n], self.types[n], lanes) for n in names]
        parts = [sums]
        position = start
        if names and self._cheap(s.body) and (known is None or known >= UNROLL * lanes):
            with self.place(level):
                far = self._whole_end(start, last, UNROLL * lanes)
            results = self._pass(version, start, far, UNROLL, sums * UNROLL)
            parts = [results[n : n + len(names)] for n in range(0, len(results), len(names))]
            position = far
        with self.place(level):
            main = self._whole_end(start, last, lanes)
        if known is None or position.ref != main.ref:
            parts[0] = self._pass(version, position, main, 1, parts[0])
        exact = known is not None and known % lanes == 0
        if self.target.masks and not exact:
            parts[0] = self._pass(version, main, last, 0, parts[0])
        for n, name in enumerate(names):
            total = self._across(combines[name], self.types[name], [part[n] for part in parts])
            self.set_local(name, (self._combine(combines[name], self.types[name], priors[n], total), self.top))
        if not self.target.masks and not exact:
            self._serial_loop(s, main, last, occupied)
        self._forget(writes)

    def _pass(self, v: _Vector, start: Reg, end: Reg, count: int, sums: Sequence[Reg]) -> list[Reg]:
        """One version of a vector loop: `count` vectors at a time, or (0) the one that is not full, masked."""
        b, s, width = self.b, v.loop, len(v.names)
        stem = _stem(s.var) if count else _stem(s.var) + ".rest"
        with b.loop(stem, start, end, b.i64(max(count, 1) * v.lanes), sums) as loop:
            self.push(loop.point, v.writes, occupied=v.occupied)
            self.set_symbol(s.var, loop.index if count else start)  # the rest is one vector, its index known before
            self.set_range(s.var, self.rename(s.extent))
            self.set_vector(s.var, v.lanes)
            if not count:
                self.set_mask(b.first_lanes(b.sub(end, start), v.lanes))
            following: list[Reg] = []
            for n in range(max(count, 1)):
                with self.bind({s.var: symbol(s.var) + n * v.lanes} if n else {}) if count > 1 else nullcontext():
                    self._take(v.names, loop.carried[n * width : (n + 1) * width])
                    self.run(s.body)
                    following += [self.locals[name][0] for name in v.names]
            loop.carried = following
            self.pop()
        self._forget(v.writes)
        return loop.results

    def _whole_end(self, start: Reg, end: Reg, step: int) -> Reg:
        """Where the whole steps of a range end; `step` is a power of two."""
        b = self.b
        if start.ref == "0":
            if not end.ref.startswith("%"):
                return b.i64(int(end.ref) // step * step)
            return b.binary("and", end, b.i64(-step))
        return b.binary("add", start, b.binary("and", b.binary("sub", end, start), b.i64(-step)))

    def _cheap(self, body: Sequence[Stmt]) -> bool:
        """Whether a body is so short that its accumulators' latency would show."""
        calls = 0
        for statement in body:
            if not isinstance(statement, Accumulate | Let):
                return False
            for e in walk(statement.value):
                if isinstance(e, Call):
                    calls += 1
                    if e.function not in CHEAP:
                        return False
        return calls <= 12

    def _identity(self, combine: str, type_: str, lanes: int) -> Reg:
        """What leaves the other operand of a combination as it is."""
        if combine in ("add", "or"):
            value: float = 0
        elif combine == "mul":
            value = 1
        elif combine == "and":
            value = 1 if type_ == "bool" else -1
        elif type_ in FLOATS:
            value = -math.inf if combine == "max" else math.inf
        elif type_ == "bool":
            value = 0 if combine == "max" else 1
        else:
            bits, signed = TYPES[type_].itemsize * 8, type_.startswith("i")
            low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, -1)
            value = low if combine == "max" else high
        return self.b.constant(value, vector(LLVM_TYPES[type_], lanes))

    def _across(self, combine: str, type_: str, parts: Sequence[Reg]) -> Reg:
        """One scalar of several vectors: vectors in pairs, then halves of the vector."""
        parts = list(parts)
        while len(parts) > 1:
            parts = [self._combine(combine, type_, a, b) for a, b in zip(parts[::2], parts[1::2], strict=True)]
        value = parts[0]
        _, lanes = split_vector(value.type)
        while lanes > 1:
            half = lanes // 2
            low, high = (self._part(value, first, half) for first in (0, half))
            value, lanes = self._combine(combine, type_, low, high), half
        return value

    def _part(self, value: Reg, first: int, count: int) -> Reg:
        """`count` lanes of a vector."""
        scalar, _ = split_vector(value.type)
        if count == 1:
            return self.b.instruction(scalar, f"extractelement {value.type} {value.ref}, i64 {first}")
        return self.b.shuffle(value, range(first, first + count))

    # -- stores ------------------------------------------------------------------------------------------------------

    def _store(self, s: Store) -> None:
        b = self.b
        offset = self.rename(s.offset)
        guard = None if s.guard is None else self.value(s.guard)
        value = self.value(s.value)
        if self.lanes == 1:
            address = self.address(s.buffer, offset)[0]
            if guard is None:
                b.store(self._in_memory(value), address)
            else:
                with b.when(guard, "store"):
                    b.store(self._in_memory(value), address)
            self.written(s.buffer)
            return
        step = self.stride(offset)
        active = self._active(guard)
        value = self._in_memory(self.wide(s.value))
        if step == 1:
            b.store(value, self.address(s.buffer, self.first(offset))[0], mask=active)
        else:
            addresses = self.addresses(s.buffer, offset)[0]
            active = active or b.constant(True, f"<{self.lanes} x i1>")
            name = f"llvm.masked.scatter.{mangle(value.type)}.v{self.lanes}p0"
            b.declarations.add(f"declare void @{name}({value.type}, {addresses.type}, i32 immarg, {active.type})")
            align = SIZES[split_vector(value.type)[0]]
            operands = f"{value.type} {value.ref}, {addresses.type} {addresses.ref}, i32 {align}"
            b.emit(f"call void @{name}({operands}, {active.type} {active.ref})")
        self.written(s.buffer)

    def _in_memory(self, value: Reg) -> Reg:
        """Bits are stored as bytes."""
        scalar, lanes = split_vector(value.type)
        return self.b.convert("zext", value, vector("i8", lanes)) if scalar == "i1" else value


def _count(type_: str, work: Counter[int], places: Counter[int]) -> None:
    """Note one operation on a type. Half precision computes in single."""
    size = 4 if type_ == "f16" else TYPES[type_].itemsize
    (places if type_ in ("i64", "u64") else work)[size] += 1


def _stem(name: str) -> str:
    """A loop variable's name as part of a register's."""
    return "".join(c if c.isalnum() or c in "_." else "_" for c in name)
