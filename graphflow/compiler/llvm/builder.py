"""A typed builder of LLVM IR text.

Kernels are written as text directly because that is what LLVM parses and what people read: building llvmlite.ir
objects first costs five times as much Python time and prints the same text. Every method checks its operand types, so
that a malformed kernel fails here, with a Python traceback, and not in LLVM's parser.

    b = FunctionBuilder("axpy", [("ptr", "args"), ("i64", "thread"), ("i64", "threads")])
    with b.loop("i", b.i64(0), n, b.i64(16)) as i:
        b.store(b.binary("fadd", x, y), b.element(out, i, "float"))
    text = b.finish()

"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

LLVM_TYPES = {
    "f16": "half", "f32": "float", "f64": "double", "i8": "i8", "i16": "i16", "i32": "i32", "i64": "i64",
    "u8": "i8", "u16": "i16", "u32": "i32", "u64": "i64", "bool": "i1",
}  # fmt: skip
SIZES = {"half": 2, "float": 4, "double": 8, "i1": 1, "i8": 1, "i16": 2, "i32": 4, "i64": 8, "ptr": 8}


def vector(type_: str, lanes: int) -> str:
    """The LLVM type of `lanes` values; the scalar type where lanes is 1."""
    return type_ if lanes == 1 else f"<{lanes} x {type_}>"


def split_vector(type_: str) -> tuple[str, int]:
    """("float", 16) of "<16 x float>", ("float", 1) of "float"."""
    if type_.startswith("<"):
        lanes, _, scalar = type_[1:-1].partition(" x ")
        return scalar, int(lanes)
    return type_, 1


@dataclass(frozen=True)
class Reg:
    """An SSA value: its LLVM type and how it is spelled as an operand."""

    type: str
    ref: str

    @property
    def known(self) -> int | None:
        """The number where it is a literal integer."""
        return int(self.ref) if self.ref.lstrip("-").isdigit() else None


def literal(value: float | int | bool, type_: str) -> str:
    """How a number is spelled as a constant of a scalar LLVM type."""
    if type_ == "i1":
        return "true" if value else "false"
    if type_ in ("float", "double"):
        number = float(value)
        if type_ == "float":  # LLVM wants the double that equals the rounded float; overflow becomes infinity
            try:
                number = struct.unpack("f", struct.pack("f", number))[0]
            except OverflowError:
                number = float("inf") if number > 0 else float("-inf")
        return f"0x{struct.unpack('<Q', struct.pack('<d', number))[0]:016X}"
    if type_ == "half":
        return f"0xH{struct.unpack('<H', struct.pack('<e', float(value)))[0]:04X}"
    return str(int(value))


class Point:
    """A place in a function that more code can be put into later: where loop-invariant values go."""

    __slots__ = ("lines", "block")

    def __init__(self, block: str) -> None:
        self.lines: list[str | Point] = []
        self.block = block


def _flatten(lines: Sequence[str | Point]) -> Iterator[str]:
    for line in lines:
        if isinstance(line, Point):
            yield from _flatten(line.lines)
        else:
            yield line


@lru_cache(maxsize=1024)
def _chosen(lanes: tuple[int, ...]) -> str:
    """The lanes of a shuffle as LLVM writes them."""
    return f"<{len(lanes)} x i32> <" + ", ".join("i32 poison" if n < 0 else f"i32 {n}" for n in lanes) + ">"


class FunctionBuilder:
    """One function `void name(params)`; instructions go to the current block."""

    def __init__(self, name: str, params: Sequence[tuple[str, str]], attributes: str = "nounwind") -> None:
        self.name = name
        self.params = [Reg(t, f"%{n}") for t, n in params]
        self.attributes = attributes
        self.declarations: set[str] = set()
        self._lines: list[str | Point] = ["entry:"]
        self._entry_allocas: list[str] = []
        self._counter = 0
        self._labels: dict[str, int] = {}
        self.block = "entry"

    # -- names and constants
    # ---------------------------------------------------------------------------------------------------

    def fresh(self, stem: str = "v") -> str:
        """A new register name; the stem survives in the dump."""
        self._counter += 1
        return f"%{stem}.{self._counter}"

    def label(self, stem: str) -> str:
        """A new block label."""
        n = self._labels.get(stem, 0)
        self._labels[stem] = n + 1
        return f"{stem}.{n}" if n else stem

    def constant(self, value: float | int | bool, type_: str) -> Reg:
        """A literal; splat where `type_` is a vector."""
        scalar, lanes = split_vector(type_)
        text = literal(value, scalar)
        if lanes == 1:
            return Reg(type_, text)
        if not value and not (scalar in ("float", "double", "half") and str(value).startswith("-")):
            return Reg(type_, "zeroinitializer")
        return Reg(type_, f"splat ({scalar} {text})")

    def i64(self, value: int) -> Reg:
        return Reg("i64", str(value))

    # -- plumbing ----------------------------------------------------------------------------------------------------

    def emit(self, line: str) -> None:
        """One raw line in the current block."""
        self._lines.append("  " + line)

    def comment(self, text: str) -> None:
        self._lines.append("  ; " + text)

    def instruction(self, type_: str, text: str, stem: str = "v") -> Reg:
        """A raw instruction with a result."""
        ref = self.fresh(stem)
        self._lines.append(f"  {ref} = {text}")
        return Reg(type_, ref)

    def start(self, label: str) -> None:
        """Begin the block `label`; the previous one must have ended with a branch."""
        self._lines.append(f"{label}:")
        self.block = label

    def branch(self, label: str) -> None:
        self.emit(f"br label %{label}")

    def branch_if(self, condition: Reg, yes: str, no: str) -> None:
        assert condition.type == "i1", condition
        self.emit(f"br i1 {condition.ref}, label %{yes}, label %{no}")

    def point(self) -> Point:
        """A place here, to be filled through `at`. Whatever follows must begin with an instruction that ends the
        block, or not care in which block it stands (no phi may name the block that was current before the point).
        """
        made = Point(self.block)
        self._lines.append(made)
        return made

    @contextmanager
    def at(self, point: Point) -> Iterator[None]:
        """Emit into `point` instead of the present place. Values made there dominate everything after it."""
        lines, block = self._lines, self.block
        self._lines, self.block = point.lines, point.block
        yield
        point.block = self.block
        self._lines, self.block = lines, block

    # -- arithmetic --------------------------------------------------------------------------------------------------
    # ---------------

    def binary(self, opcode: str, a: Reg, b: Reg, stem: str = "v") -> Reg:
        """`opcode` may carry flags: "fadd contract", "add nsw"."""
        assert a.type == b.type, (opcode, a, b)
        return self.instruction(a.type, f"{opcode} {a.type} {a.ref}, {b.ref}", stem)

    def compare(self, opcode: str, a: Reg, b: Reg) -> Reg:
        """`opcode` is "icmp slt", "fcmp olt", …; the result has i1 lanes."""
        assert a.type == b.type, (opcode, a, b)
        _, lanes = split_vector(a.type)
        return self.instruction(vector("i1", lanes), f"{opcode} {a.type} {a.ref}, {b.ref}", "c")

    def convert(self, opcode: str, a: Reg, type_: str) -> Reg:
        """A conversion: "sext", "trunc", "sitofp", "bitcast", …"""
        return a if a.type == type_ else self.instruction(type_, f"{opcode} {a.type} {a.ref} to {type_}")

    def select(self, condition: Reg, yes: Reg, no: Reg) -> Reg:
        assert yes.type == no.type, (yes, no)
        return self.instruction(
            yes.type, f"select {condition.type} {condition.ref}, {yes.type} {yes.ref}, {no.type} {no.ref}"
        )

    def add(self, a: Reg, b: Reg) -> Reg:
        """Integer sum with the trivial cases folded."""
        if a.ref == "0":
            return b
        if b.ref == "0":
            return a
        if a.known is not None and b.known is not None:
            return Reg(a.type, str(a.known + b.known))
        return self.binary("add nsw", a, b, "i")

    def sub(self, a: Reg, b: Reg) -> Reg:
        """Integer difference with the trivial cases folded."""
        if b.ref == "0":
            return a
        if a.known is not None and b.known is not None:
            return Reg(a.type, str(a.known - b.known))
        return self.binary("sub", a, b)

    def mul(self, a: Reg, b: Reg) -> Reg:
        """Integer product with the trivial cases folded."""
        for x, y in ((a, b), (b, a)):
            if x.ref == "0":
                return x
            if x.ref == "1":
                return y
        if a.ref.isdigit() and b.ref.isdigit():
            return Reg(a.type, str(int(a.ref) * int(b.ref)))
        return self.binary("mul nsw", a, b, "i")

    def call(self, type_: str, function: str, arguments: Sequence[Reg], attributes: str = "") -> Reg:
        """Call `function` (without @) and declare it. Type "void" gives a Reg that must not be used."""
        types = ", ".join(a.type for a in arguments)
        self.declarations.add(f"declare {type_} @{function}({types})")
        text = f"call {type_} @{function}({', '.join(f'{a.type} {a.ref}' for a in arguments)}){attributes}"
        if type_ == "void":
            self.emit(text)
            return Reg("void", "")
        return self.instruction(type_, text)

    def fma(self, a: Reg, b: Reg, c: Reg) -> Reg:
        """a*b + c rounded once."""
        assert a.type == b.type == c.type, (a, b, c)
        return self.call(a.type, f"llvm.fma.{mangle(a.type)}", (a, b, c))

    def splat(self, a: Reg, lanes: int) -> Reg:
        """`a` in every lane."""
        if lanes == 1:
            return a
        type_ = vector(a.type, lanes)
        if not a.ref.startswith("%"):
            return Reg(type_, "zeroinitializer" if a.ref == literal(0, a.type) else f"splat ({a.type} {a.ref})")
        one = self.instruction(type_, f"insertelement {type_} poison, {a.type} {a.ref}, i64 0")
        return self.instruction(
            type_, f"shufflevector {type_} {one.ref}, {type_} poison, <{lanes} x i32> zeroinitializer", "b"
        )

    def mask(self, lanes: Sequence[bool]) -> Reg:
        """A constant vector of bits."""
        return Reg(vector("i1", len(lanes)), "<" + ", ".join(f"i1 {'true' if lane else 'false'}" for lane in lanes) + ">")

    def first_lanes(self, count: Reg, lanes: int) -> Reg:
        """The mask of the first `count` lanes: all where there are fewer, none where it is negative. With more than 16 lanes they are
        counted in bytes, and `count` must fit."""
        if count.known is not None:
            return self.mask([n < count.known for n in range(lanes)])
        type_ = "i32" if lanes <= 16 else "i8"
        wide = self.splat(self.convert("trunc", count, type_), lanes)
        return self.compare("icmp slt", Reg(wide.type, "<" + ", ".join(f"{type_} {n}" for n in range(lanes)) + ">"), wide)

    def shuffle(self, a: Reg, lanes: Sequence[int], other: Reg | None = None) -> Reg:
        """A vector of the given lanes of `a`, after which those of `other` are counted; -1: any."""
        scalar, _ = split_vector(a.type)
        text = f"shufflevector {a.type} {a.ref}, {a.type} {other.ref if other else 'poison'}, {_chosen(tuple(lanes))}"
        return self.instruction(f"<{len(lanes)} x {scalar}>", text, "t")  # of one lane too

    # -- memory ------------------------------------------------------------------------------------------------------
    # ------------------

    def element(self, base: Reg, index: Reg, type_: str) -> Reg:
        """Address of element `index` (i64) of an array of scalar `type_`."""
        if index.ref == "0":
            return base
        return self.instruction("ptr", f"getelementptr inbounds {type_}, ptr {base.ref}, i64 {index.ref}", "p")

    def load(self, type_: str, address: Reg, align: int = 0, mask: Reg | None = None, tail: str = "") -> Reg:
        """A scalar or vector; lanes whose mask is false read as 0 and touch no memory."""
        scalar, lanes = split_vector(type_)
        align = align or SIZES[scalar]
        if mask is None:
            return self.instruction(type_, f"load {type_}, ptr {address.ref}, align {align}{tail}", "l")
        assert lanes > 1, type_
        function = f"llvm.masked.load.{mangle(type_)}.p0"
        self.declarations.add(f"declare {type_} @{function}(ptr, i32 immarg, {mask.type}, {type_})")
        return self.instruction(
            type_,
            f"call {type_} @{function}(ptr {address.ref}, i32 {align}, {mask.type} {mask.ref}, "
            f"{type_} zeroinitializer)",
            "l",
        )

    def gather(self, type_: str, addresses: Reg, mask: Reg) -> Reg:
        """The elements that a vector of pointers points to; lanes whose mask is false read as 0 and touch no memory."""
        scalar, lanes = split_vector(type_)
        function = f"llvm.masked.gather.{mangle(type_)}.v{lanes}p0"
        self.declarations.add(f"declare {type_} @{function}({addresses.type}, i32 immarg, {mask.type}, {type_})")
        arguments = f"{addresses.type} {addresses.ref}, i32 {SIZES[scalar]}, {mask.type} {mask.ref}, {type_} zeroinitializer"
        return self.instruction(type_, f"call {type_} @{function}({arguments})", "g")

    def store(self, value: Reg, address: Reg, align: int = 0, mask: Reg | None = None) -> None:
        """A scalar or vector; lanes whose mask is false are not written."""
        scalar, _ = split_vector(value.type)
        align = align or SIZES[scalar]
        if mask is None:
            self.emit(f"store {value.type} {value.ref}, ptr {address.ref}, align {align}")
            return
        active = known_lanes(mask)
        if active is not None and sum(active) == 1:
            # LLVM 22 makes of a masked store of one lane of numbers that were cut, as to bytes, a store of the whole number.
            lane = active.index(True)
            one = self.instruction(scalar, f"extractelement {value.type} {value.ref}, i64 {lane}", "v")
            self.store(one, self.element(address, self.i64(lane), scalar))
            return
        function = f"llvm.masked.store.{mangle(value.type)}.p0"
        self.declarations.add(f"declare void @{function}({value.type}, ptr, i32 immarg, {mask.type})")
        self.emit(
            f"call void @{function}({value.type} {value.ref}, ptr {address.ref}, i32 {align}, {mask.type} {mask.ref})"
        )

    def alloca(self, type_: str, count: int = 1, align: int = 64) -> Reg:
        """Stack memory of the whole call, whatever loop asks for it."""
        ref = self.fresh("stack")
        self._entry_allocas.append(f"  {ref} = alloca {type_}, i64 {count}, align {align}")
        return Reg("ptr", ref)

    # -- control flow ------------------------------------------------------------------------------------------------

    @contextmanager
    def loop(self, stem: str, start: Reg, end: Reg, step: Reg, carried: Sequence[Reg] = ()) -> Iterator[Loop]:
        """for (i = start; i < end; i += step), testing first. `carried` are the first values of loop-carried
        registers. What is known to run once is no loop, but a block of its own.

        Inside, `loop.index` is i and `loop.carried` the present values; assign the next ones to `loop.carried`. After
        the loop `loop.results` are the last values (the first ones where the loop did not run).
        """
        first, last, by = start.known, end.known, step.known
        if first is not None and last is not None and by is not None and first < last <= first + by:
            point, once = self.point(), self.label(f"{stem}.once")
            self.branch(once)
            self.start(once)
            state = Loop(start, list(carried), [], point)
            yield state
            state.results = list(state.carried)
            return
        head, body, after = (self.label(f"{stem}.{part}") for part in ("head", "body", "end"))
        point = self.point()
        self.branch(head)
        self.start(head)
        index = Reg("i64", self.fresh(stem))
        phis = [Reg(c.type, self.fresh("carry")) for c in carried]
        place = len(self._lines)
        condition = self.compare("icmp slt", index, end)
        self.branch_if(condition, body, after)
        self.start(body)
        state = Loop(index, list(phis), phis, point)
        yield state
        following = self.binary("add nsw", index, step, stem)
        latch = self.block
        self.branch(head)
        before = point.block
        self._put_phis(place, (before, latch), (start, *carried), (following, *state.carried), (index, *phis))
        self.start(after)

    def keep_apart(self) -> None:
        """Keep the block at hand from being merged with others: without an instruction of its own it would be, and what several loops
        begin with would all be put into registers before the branch that chooses one of them."""
        self.emit('call void asm sideeffect "", ""() readnone nounwind')

    @contextmanager
    def repeat(self, stem: str, count: Reg, carried: Sequence[Reg] = (), surely: bool = False) -> Iterator[Loop]:
        """for (i = 0; i < count; i++), testing last, so that the body is one block that branches to itself.

        Use as `loop`. `surely` promises count >= 1; without it the first test stands before the loop.
        """
        body, after = self.label(f"{stem}.body"), self.label(f"{stem}.end")
        guard = None if surely else self.compare("icmp sgt", count, self.i64(0))
        point = self.point()
        if guard is None:
            self.branch(body)
        else:
            self.branch_if(guard, body, after)
        self.start(body)
        index = Reg("i64", self.fresh(stem))
        phis = [Reg(c.type, self.fresh("carry")) for c in carried]
        place = len(self._lines)
        state = Loop(index, list(phis), phis, point)
        yield state
        following = self.binary("add nsw", index, self.i64(1), stem)
        condition = self.compare("icmp slt", following, count)
        latch = self.block
        self.branch_if(condition, body, after)
        before = point.block
        self._put_phis(place, (before, latch), (self.i64(0), *carried), (following, *state.carried), (index, *phis))
        self.start(after)
        if guard is None:
            state.results = list(state.carried)
        else:
            state.results = [
                self.instruction(f.type, f"phi {f.type} [ {f.ref}, %{before} ], [ {c.ref}, %{latch} ]", "carry")
                for f, c in zip(carried, state.carried, strict=True)
            ]

    def _put_phis(self, place: int, blocks: tuple[str, str], first: Sequence[Reg], last: Sequence[Reg], phis: Sequence[Reg]) -> None:
        """The phis of a loop, now that the body has said what it goes on with: from `blocks`, the one before it and its last one."""
        assert len(last) == len(phis), "a loop must carry as many values as it began with"
        lines = []
        for phi, f, l in zip(phis, first, last, strict=True):
            assert f.type == l.type == phi.type, (f, l)
            lines.append(f"  {phi.ref} = phi {phi.type} [ {f.ref}, %{blocks[0]} ], [ {l.ref}, %{blocks[1]} ]")
        self._lines[place:place] = lines

    @contextmanager
    def when(self, condition: Reg, stem: str = "if") -> Iterator[None]:
        """Run the body only where the scalar condition holds."""
        body, after = self.label(f"{stem}.then"), self.label(f"{stem}.end")
        self.branch_if(condition, body, after)
        self.start(body)
        yield
        self.branch(after)
        self.start(after)

    def finish(self, result: Reg | None = None) -> str:
        """The text of the function, without declarations (see `declarations`). It returns `result`, or nothing."""
        type_ = "void" if result is None else result.type
        params = ", ".join(f"{p.type} {p.ref}" for p in self.params)
        last = "  ret void" if result is None else f"  ret {type_} {result.ref}"
        body = list(_flatten(self._lines))
        lines = [body[0], *self._entry_allocas, *body[1:], last]
        return f"define {type_} @{self.name}({params}) {self.attributes} {{\n" + "\n".join(lines) + "\n}\n"


@dataclass
class Loop:
    """The open loop: its index, the carried values (replace them), those after it, and the place just before it."""

    index: Reg
    carried: list[Reg]
    results: list[Reg]
    point: Point


def mangle(type_: str) -> str:
    """The suffix of an overloaded intrinsic: "v16f32" of "<16 x float>"."""
    scalar, lanes = split_vector(type_)
    name = {"float": "f32", "double": "f64", "half": "f16"}.get(scalar, scalar)
    return name if lanes == 1 else f"v{lanes}{name}"


def module(functions: Sequence[FunctionBuilder], texts: Sequence[str] = ()) -> str:
    """A whole module: the functions, further text (constants, attributes), and every declaration once."""
    bodies = [f.finish() for f in functions]
    declared = sorted(set().union(*(f.declarations for f in functions)))
    return "\n".join([*texts, *bodies, *declared]) + "\n"


def known_lanes(mask: Reg) -> list[bool] | None:
    """The lanes that a mask lets through; None where it is computed."""
    return [bit.endswith("true") for bit in mask.ref[1:-1].split(",")] if mask.ref.startswith("<") else None
