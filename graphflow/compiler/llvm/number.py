"""Arithmetic on registers in the notation of arithmetic, for formulas too long to read as instructions.

A `Num` is a register of any number of lanes with its builder. Operators act on floats as IEEE operations and on
integers modulo 2^n; Python numbers become constants of the same type.
"""

from __future__ import annotations

from collections.abc import Callable

from graphflow.compiler.llvm.builder import FunctionBuilder, Reg, mangle, split_vector, vector
from graphflow.compiler.llvm.target import Target

FLOATING = frozenset(("half", "float", "double"))
ZERO, PLUS_INFINITY = 0x06, 0x08  # classes of floats as AVX-512 numbers them


class Num:
    """A value in a register: `scalar` is its LLVM scalar type, `lanes` how many there are."""

    __slots__ = ("b", "target", "reg", "scalar", "lanes", "value")

    def __init__(self, b: FunctionBuilder, target: Target, reg: Reg, value: float | None = None) -> None:
        self.b = b
        self.target = target
        self.reg = reg
        self.scalar, self.lanes = split_vector(reg.type)
        self.value = value

    # -- making others -----------------------------------------------------------------------------------------------

    def like(self, value: float) -> Num:
        """A constant of this type."""
        return Num(self.b, self.target, self.b.constant(value, self.reg.type), value)

    def _of(self, reg: Reg) -> Num:
        return Num(self.b, self.target, reg)

    def _other(self, other: Num | float) -> Num:
        return other if isinstance(other, Num) else self.like(other)

    def is_literal(self) -> bool:
        """Whether this is a constant other than NaN."""
        return not self.reg.ref.startswith("%") and not any(
            nan in self.reg.ref for nan in ("0x7FF8", "0xFFF8", "0xH7E", "0xHFE")
        )

    def literal_value(self) -> int | None:
        """The number where this is a constant integer, the same in all lanes."""
        text = self.reg.ref
        if text == "zeroinitializer":
            return 0
        if text.startswith("splat"):
            text = text[:-1].split()[-1]
        return Reg(self.scalar, text).known

    # -- arithmetic --------------------------------------------------------------------------------------------------

    def op(self, opcode: str, other: Num) -> Num:
        """A binary instruction by its LLVM name."""
        return self._of(self.b.binary(opcode, self.reg, other.reg))

    def _arithmetic(self, opcode: str, other: Num | float) -> Num:
        return self.op(("f" if self.scalar in FLOATING else "") + opcode, self._other(other))

    def __add__(self, other: Num | float) -> Num:
        return self._arithmetic("add", other)

    def __radd__(self, other: float) -> Num:
        return self.like(other)._arithmetic("add", self)

    def __sub__(self, other: Num | float) -> Num:
        return self._arithmetic("sub", other)

    def __rsub__(self, other: float) -> Num:
        return self.like(other)._arithmetic("sub", self)

    def __mul__(self, other: Num | float) -> Num:
        return self._arithmetic("mul", other)

    def __rmul__(self, other: float) -> Num:
        return self.like(other)._arithmetic("mul", self)

    def __truediv__(self, other: Num | float) -> Num:
        return self._arithmetic("div", other)

    def __rtruediv__(self, other: float) -> Num:
        return self.like(other)._arithmetic("div", self)

    def __neg__(self) -> Num:
        if self.scalar in FLOATING:
            return self._of(self.b.instruction(self.reg.type, f"fneg {self.reg.type} {self.reg.ref}"))
        return self.like(0) - self

    def __and__(self, other: Num | int) -> Num:
        return self.op("and", self._other(other))

    def __or__(self, other: Num | int) -> Num:
        return self.op("or", self._other(other))

    def invert(self) -> Num:
        """All bits flipped."""
        return self.op("xor", self.like(True if self.scalar == "i1" else -1))

    def fma(self, a: Num | float, b: Num | float) -> Num:
        """self*a + b: rounded once where the target can, else twice."""
        x, y = self._other(a), self._other(b)
        if self.target.fma:
            return self._of(self.b.fma(self.reg, x.reg, y.reg))
        return self * x + y

    def call(self, intrinsic: str, *others: Num, flag: bool | None = None) -> Num:
        """An overloaded LLVM intrinsic; `flag` is a last i1 argument."""
        arguments = [self.reg, *(o.reg for o in others)]
        if flag is not None:
            arguments.append(Reg("i1", "true" if flag else "false"))
        return self._of(self.b.call(self.reg.type, f"{intrinsic}.{mangle(self.reg.type)}", arguments))

    def abs(self) -> Num:
        return self.call("llvm.fabs")

    def sqrt(self) -> Num:
        """The square root, rounded correctly from 2^-102 on.

        The instruction for a vector's roots keeps the divider busy for twice as long as the multiplications of a step of Markstein's
        iteration take (Computation of elementary functions on the IBM RISC System/6000, 1990), and an optimizer's division waits for the
        divider too.
        """
        if not (self.target.estimates and self.scalar == "float" and 4 * self.lanes == self.target.vector_bytes):
            return self.call("llvm.sqrt")
        estimate = self._in_registers("llvm.x86.avx512.rsqrt14.ps", self)
        half, root = estimate * 0.5, self * estimate
        error = half.fma(-root, 0.5)
        root, half = root.fma(error, root), half.fma(error, half)
        root = root.fma(-root, self).fma(half, root)
        return self.in_class(ZERO | PLUS_INFINITY).choose(self + self, root)

    def copysign(self, sign: Num) -> Num:
        """The magnitude of this with the sign of `sign`."""
        return self.call("llvm.copysign", sign)

    def floor(self) -> Num:
        if self.target.rounding:
            return self.call("llvm.floor")
        near = self.rint()
        return (near > self).choose(near - 1.0, near).copysign(self)

    def trunc(self) -> Num:
        return self.call("llvm.trunc") if self.target.rounding else self.abs().floor().copysign(self)

    def rint(self) -> Num:
        """To the nearest whole number, ties to even."""
        if self.target.rounding:
            return self.call("llvm.rint")
        size = self.abs()
        unit = 2.0**23 if self.scalar == "float" else 2.0**52  # adding it leaves no bits for a fraction
        return (size < unit).choose((size + unit) - unit, size).copysign(self)

    # -- where the target has estimates ------------------------------------------------------------------------------

    def reciprocal(self) -> Num:
        """1/x to 14 bits, of floats in single precision."""
        return self._in_registers("llvm.x86.avx512.rcp14.ps", self)

    def times_power(self, n: Num) -> Num:
        """x * 2^n for whole n, of floats in single precision, rounded once."""
        return self._in_registers("llvm.x86.avx512.mask.scalef.ps", self, n)

    def in_class(self, classes: int) -> Num:
        """Whether the floats of a full vector are of one of these classes."""
        bits = Reg("i32", str(classes))
        return self._of(self.b.call(vector("i1", self.lanes), f"llvm.x86.avx512.fpclass.ps.{32 * self.lanes}", [self.reg, bits]))

    def _in_registers(self, intrinsic: str, *operands: Num) -> Num:
        """An AVX-512 instruction that has a form for each width of registers."""
        b, lanes = self.b, self.lanes
        size = min(max(lanes, 4), 16)
        type_, mask = vector("float", size), Reg(f"i{max(size, 8)}", "-1")
        rounding = [Reg("i32", "4")] if "scalef" in intrinsic and size == 16 else []  # as the thread is set to
        parts = []
        for start in range(0, lanes, size):
            here = [_window(x, start, size) for x in operands]
            parts.append(b.call(type_, f"{intrinsic}.{size * 32}", [*here, Reg(type_, "zeroinitializer"), mask, *rounding]))
        while len(parts) > 1:
            parts = [b.shuffle(x, range(2 * split_vector(x.type)[1]), y) for x, y in zip(parts[::2], parts[1::2], strict=True)]
        whole = parts[0]
        if lanes == 1:
            return self._of(b.instruction("float", f"extractelement {whole.type} {whole.ref}, i64 0"))
        return self._of(whole if lanes >= size else b.shuffle(whole, range(lanes)))

    # -- comparisons and choices -------------------------------------------------------------------------------------

    def compare(self, opcode: str, other: Num | float) -> Num:
        """A comparison by its LLVM name: "fcmp olt", "icmp slt", …"""
        return self._of(self.b.compare(opcode, self.reg, self._other(other).reg))

    def _order(self, relation: str, other: Num | float) -> Num:
        return self.compare(("fcmp o" if self.scalar in FLOATING else "icmp s") + relation, other)

    def __lt__(self, other: Num | float) -> Num:
        return self._order("lt", other)

    def __le__(self, other: Num | float) -> Num:
        return self._order("le", other)

    def __gt__(self, other: Num | float) -> Num:
        return self._order("gt", other)

    def __ge__(self, other: Num | float) -> Num:
        return self._order("ge", other)

    def choose(self, yes: Num | float, no: Num | float) -> Num:
        """`yes` where this condition holds, else `no`."""
        if not isinstance(yes, Num):
            assert isinstance(no, Num), "one of the two must be in a register"
            yes = no.like(yes)
        return self._of(self.b.select(self.reg, yes.reg, yes._other(no).reg))

    def any(self) -> Num:
        """One bit: whether the condition holds in some lane."""
        if self.lanes == 1:
            return self
        whole = self.b.convert("bitcast", self.reg, f"i{self.lanes}")
        return self._of(self.b.compare("icmp ne", whole, Reg(whole.type, "0")))

    def unless(self, rare: Num, otherwise: Callable[[], Num]) -> Num:
        """These values; in their place what `otherwise` makes where the condition `rare` holds in some lane, which it hardly ever does."""
        b, type_ = self.b, self.reg.type
        start, slow, after = (b.label(f"rare.{part}") for part in ("test", "then", "end"))
        b.branch(start)
        b.start(start)
        b.branch_if(rare.any().reg, slow, after)
        b.start(slow)
        other, last = otherwise(), b.block
        b.branch(after)
        b.start(after)
        return self._of(b.instruction(type_, f"phi {type_} [ {self.reg.ref}, %{start} ], [ {other.reg.ref}, %{last} ]"))

    # -- representation ----------------------------------------------------------------------------------------------

    def convert(self, opcode: str, type_: str) -> Num:
        """A conversion instruction to a full (vector) type; nothing where it has that type already."""
        return self._of(self.b.convert(opcode, self.reg, type_))

    def integers(self) -> Num:
        """The bits of a float as integers of the same width."""
        return self.convert("bitcast", vector("i32" if self.scalar == "float" else "i64", self.lanes))

    def floats(self) -> Num:
        """The bits of an integer as floats of the same width."""
        return self.convert("bitcast", vector("float" if self.scalar == "i32" else "double", self.lanes))


def _window(x: Num, start: int, size: int) -> Reg:
    """`size` lanes of a vector of floats from `start` on; those that it does not have are undefined."""
    if x.lanes == size:
        return x.reg
    if x.lanes == 1:
        return x.b.instruction(vector("float", size), f"insertelement <{size} x float> poison, float {x.reg.ref}, i64 0")
    return x.b.shuffle(x.reg, [min(start + n, x.lanes - 1) for n in range(size)])
