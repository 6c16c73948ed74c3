"""What each function of kernel.expr.FUNCTIONS is in instructions, for any number of lanes.

`apply` is the whole interface. Arguments arrive with equal lane counts; nothing here traps or touches memory, so
every result may be computed early and on inactive lanes. Half precision computes in single precision and rounds after
each function, as TensorFlow does it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphflow.compiler.llvm import angles, math, special
from graphflow.compiler.llvm.builder import LLVM_TYPES, FunctionBuilder, Reg, split_vector, vector
from graphflow.compiler.llvm.number import Num
from graphflow.compiler.llvm.target import Target
from graphflow.kernel.expr import FLOATS, TYPES

SIGNED = frozenset(("i8", "i16", "i32", "i64"))
BITS = {name: dtype.itemsize * 8 for name, dtype in TYPES.items()}


def apply(b: FunctionBuilder, target: Target, function: str, type_: str, arguments: Sequence[Reg]) -> Reg:
    """One function of operands whose element type is `type_` (of the second operand for select, of the only one for
    casts).
    """
    lanes = max(split_vector(a.type)[1] for a in arguments)
    if function == "select":
        return b.select(*arguments)
    if function.startswith("bitcast_"):
        return b.convert("bitcast", arguments[0], vector(LLVM_TYPES[function[8:]], lanes))
    numbers = [Num(b, target, a) for a in arguments]
    if type_ == "f16":
        result = _float(function, "f32", [half_to_float(n) for n in numbers])
        return result.reg if result.scalar == "i1" else float_to_half(result).reg
    if type_ in FLOATS:
        return _float(function, type_, numbers).reg
    if type_ == "bool":
        return _bool(function, numbers).reg
    return _integer(function, type_, numbers).reg


_FLOAT: dict[str, Callable[..., Num]] = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "div": lambda a, b: a / b,
    "floordiv": lambda a, b: (a / b).floor(), "rem": lambda a, b: _rest(a, b),
    "neg": lambda a: -a, "abs": lambda a: a.abs(), "fma": lambda a, b, c: a.fma(b, c),
    "sqrt": lambda a: a.sqrt(), "rsqrt": lambda a: a.like(1.0) / a.call("llvm.sqrt"),
    "floor": lambda a: a.floor(), "ceil": lambda a: -(-a).floor(), "rint": lambda a: a.rint(),
    "trunc": lambda a: a.trunc(),
    "isnan": lambda a: a.compare("fcmp uno", a), "isinf": lambda a: a.abs().compare("fcmp oeq", float("inf")),
    "isfinite": lambda a: a.abs().compare("fcmp olt", float("inf")),
    "lt": lambda a, b: a < b, "le": lambda a, b: a <= b, "eq": lambda a, b: a.compare("fcmp oeq", b),
    "ne": lambda a, b: a.compare("fcmp une", b),
}  # fmt: skip

_TRANSCENDENTAL = {**math.FUNCTIONS, **angles.FUNCTIONS, **special.FUNCTIONS}


def _float(function: str, type_: str, numbers: list[Num]) -> Num:
    simple = _FLOAT.get(function)
    if simple is not None:
        return simple(*numbers)
    a = numbers[0]
    match function:
        case "max" | "min":
            return _extremum("fcmp ogt" if function == "max" else "fcmp olt", *numbers)
        case "sign":
            return (a > 0.0).choose(a.like(1.0), (a < 0.0).choose(a.like(-1.0), a))
        case "floormod":
            rest = _rest(a, numbers[1])
            other_sign = (rest < 0.0).op("xor", numbers[1] < 0.0)
            return (other_sign & rest.compare("fcmp une", 0.0)).choose(rest + numbers[1], rest)
        case _:
            return _TRANSCENDENTAL[function](*numbers)


def _rest(a: Num, b: Num) -> Num:
    """What is left of a after taking away b as often as it goes: exact, with a's sign. A quotient that rounding made whole is one too
    large. LLVM's frem, which is a call for each lane, where quotients have more digits than their type, or b is not finite, or so small
    that the rest could be denormal, which kernels take for zero."""
    double = a.scalar == "double"
    if double and not a.target.fma:
        return a.op("frem", b)
    x, y, limit = a, b, 2.0**52 if double else 2.0**23
    if not a.target.fma:  # products of single precision are exact in double precision
        wide = vector("double", a.lanes)
        x, y, limit = a.convert("fpext", wide), b.convert("fpext", wide), 2.0**28
    quotient = (x / y).trunc()
    rest = quotient.fma(-y, x)
    rest = ((rest < 0.0).op("xor", x < 0.0) & rest.compare("fcmp une", 0.0)).choose(rest + y.abs().copysign(x), rest)
    rest = (a.abs() < b.abs()).choose(a, rest.convert("fptrunc", a.reg.type).copysign(a))
    near = (quotient.abs() < limit) & (b.abs() < float("inf")) & (b.abs() > (2.0**-969 if double else 2.0**-102))
    return rest.unless(near.invert(), lambda: a.op("frem", b))


def _extremum(better: str, a: Num, b: Num) -> Num:
    """The larger or smaller of two; NaN where either is NaN. `x > y ? x : y` is one instruction and yields y where
    one is NaN.
    """
    if b.is_literal():  # not NaN: a NaN in `a` survives in the second place
        return b.compare(better, a).choose(b, a)
    best = a.compare(better, b).choose(a, b)
    return a.compare("fcmp uno", a).choose(a, best)


def _bool(function: str, numbers: list[Num]) -> Num:
    a = numbers[0]
    match function:
        case "add" | "or" | "max":
            return a | numbers[1]
        case "mul" | "and" | "min":
            return a & numbers[1]
        case "xor" | "ne" | "sub":
            return a.op("xor", numbers[1])
        case "eq":
            return a.op("xor", numbers[1]).invert()
        case "lt":
            return a.invert() & numbers[1]
        case "le":
            return a.invert() | numbers[1]
        case "not":
            return a.invert()
    raise NotImplementedError(f"{function} of bool")


_OPCODES = {"add": "add", "sub": "sub", "mul": "mul", "and": "and", "or": "or", "xor": "xor"}
_ORDERS = {"lt": "lt", "le": "le"}


def _integer(function: str, type_: str, numbers: list[Num]) -> Num:
    a = numbers[0]
    signed = type_ in SIGNED
    sign = "s" if signed else "u"
    match function:
        case "add" | "sub" | "mul" | "and" | "or" | "xor":
            return a.op(_OPCODES[function], numbers[1])
        case "lt" | "le":
            return a.compare(f"icmp {sign}{_ORDERS[function]}", numbers[1])
        case "eq" | "ne":
            return a.compare(f"icmp {function}", numbers[1])
        case "max" | "min":
            return a.call(f"llvm.{sign}{function}", numbers[1])
        case "neg":
            return a.like(0).op("sub", a)
        case "not":
            return a.invert()
        case "abs":
            return a.call("llvm.abs", flag=False) if signed else a
        case "sign":
            positive = a.compare("icmp ne", 0).choose(a.like(1), a.like(0))
            return a.compare("icmp slt", 0).choose(a.like(-1), positive) if signed else positive
        case "shl" | "shr":
            opcode = "shl" if function == "shl" else "ashr" if signed else "lshr"
            return a.op(opcode, _shift_count(numbers[1], BITS[type_], signed))
        case "mulhi":
            return _mulhi(a, numbers[1])
        case "fma":
            return a.op("mul", numbers[1]).op("add", numbers[2])
        case "div":
            return _divide(a, numbers[1], type_)[0]
        case "rem":
            return _divide(a, numbers[1], type_)[1]
        case "floordiv" | "floormod":
            quotient, rest = _divide(a, numbers[1], type_)
            if not signed:
                return quotient if function == "floordiv" else rest
            crossed = rest.compare("icmp ne", 0) & rest.op("xor", numbers[1]).compare("icmp slt", 0)
            if function == "floordiv":
                if numbers[1].literal_value() is None:
                    crossed = crossed & numbers[1].compare("icmp ne", 0)
                return crossed.choose(quotient.op("sub", quotient.like(1)), quotient)
            return crossed.choose(rest.op("add", numbers[1]), rest)
        case "pow":
            return _integer_power(a, numbers[1])
        case "isnan" | "isinf":
            return Num(a.b, a.target, a.b.constant(False, vector("i1", a.lanes)))
        case "isfinite":
            return Num(a.b, a.target, a.b.constant(True, vector("i1", a.lanes)))
        case "floor" | "ceil" | "rint" | "trunc":
            return a
    raise NotImplementedError(f"{function} of {type_}")


def _shift_count(n: Num, bits: int, signed: bool) -> Num:
    """Counts outside [0, bits) are clamped, as TensorFlow clamps them; LLVM would make them poison."""
    value = n.literal_value()
    if value is not None:
        return n.like(min(max(value, 0), bits - 1))
    if signed:
        n = n.call("llvm.smax", n.like(0))
    return n.call("llvm.umin", n.like(bits - 1))


def _mulhi(a: Num, b: Num) -> Num:
    """The upper 32 bits of a 32 x 32 bit product. Even and odd lanes separately: the multiplier takes the even ones
    as they lie.
    """
    if a.lanes < 4:
        wide = vector("i64", a.lanes)
        product = a.convert("zext", wide).op("mul", b.convert("zext", wide))
        return product.op("lshr", product.like(32)).convert("trunc", a.reg.type)
    pairs = vector("i64", a.lanes // 2)
    x, y = a.convert("bitcast", pairs), b.convert("bitcast", pairs)
    low = x.like(0xFFFFFFFF)
    even = (x & low).op("mul", y & low)
    odd = x.op("lshr", x.like(32)).op("mul", y.op("lshr", y.like(32)))
    high = even.op("lshr", x.like(32)) | (odd & x.like(-(1 << 32)))
    return high.convert("bitcast", a.reg.type)


def _divide(a: Num, b: Num, type_: str) -> tuple[Num, Num]:
    """Quotient toward zero and its rest. Division by zero gives (0, a), the least number divided by -1 itself:
    nothing traps.
    """
    signed, bits = type_ in SIGNED, BITS[type_]
    known = b.literal_value()
    if known is not None and known not in (0, -1):
        quotient = a.op("sdiv" if signed else "udiv", b)
        return quotient, a.op("sub", quotient.op("mul", b))
    zero = b.compare("icmp eq", 0)
    divisor = zero.choose(b.like(1), b)
    if signed:
        minus = b.compare("icmp eq", -1)
        divisor = minus.choose(b.like(1), divisor)
    if bits <= 32 and a.lanes > 1:  # exact in double precision, and a vector instruction where integer division is none
        wide = vector("double", a.lanes)
        into, back = ("sitofp", "fptosi") if signed else ("uitofp", "fptoui")
        if not signed and bits == 32:
            wider = vector("i64", a.lanes)
            quotient = (
                (a.convert(into, wide) / divisor.convert(into, wide))
                .convert("fptosi", wider)
                .convert("trunc", a.reg.type)
            )
        else:
            quotient = (a.convert(into, wide) / divisor.convert(into, wide)).convert(back, a.reg.type)
    else:
        quotient = a.op("sdiv" if signed else "udiv", divisor)
    if signed:
        quotient = minus.choose(a.like(0).op("sub", a), quotient)
    quotient = zero.choose(a.like(0), quotient)
    return quotient, a.op("sub", quotient.op("mul", b))


def _integer_power(a: Num, e: Num) -> Num:
    """Repeated squaring until no lane has exponent bits left. Exponents are read as unsigned; the program rejects
    negative ones.
    """
    b = a.b
    head, body, after = (b.label(f"power.{part}") for part in ("head", "body", "end"))
    b.branch(head)
    before = b.block
    b.start(head)
    type_ = a.reg.type
    result, base, left = (Reg(type_, b.fresh("power")) for _ in range(3))
    place = len(b._lines)
    more = Num(b, a.target, left).compare("icmp ne", 0).any()
    b.branch_if(more.reg, body, after)
    b.start(body)
    r, x, n = (Num(b, a.target, v) for v in (result, base, left))
    odd = (n & n.like(1)).compare("icmp ne", 0)
    following = (odd.choose(r.op("mul", x), r), x.op("mul", x), n.op("lshr", n.like(1)))
    b.branch(head)
    first = (a.like(1).reg, a.reg, e.reg)
    b._lines[place:place] = [
        f"  {phi.ref} = phi {type_} [ {start.ref}, %{before} ], [ {step.reg.ref}, %{body} ]"
        for phi, start, step in zip((result, base, left), first, following, strict=True)
    ]
    b.start(after)
    return Num(b, a.target, result)


# -- conversions -----------------------------------------------------------------------------------------------------


def convert(b: FunctionBuilder, target: Target, x: Reg, source: str, result: str) -> Reg:
    """C's conversions. Floats beyond an integer's range, and NaN, give what x86 gives: the least number, then
    truncated to the width.
    """
    n = Num(b, target, x)
    lanes = n.lanes
    if source == "f16":
        return convert(b, target, half_to_float(n).reg, "f32", result) if result != "f16" else x
    if result == "f16":
        return (
            float_to_half(Num(b, target, convert(b, target, x, source, "f32"))).reg
            if source != "f32"
            else float_to_half(n).reg
        )
    wide = vector(LLVM_TYPES[result], lanes)
    if result == "bool":
        return n.compare("fcmp une" if source in FLOATS else "icmp ne", 0.0 if source in FLOATS else 0).reg
    if source == "bool":
        return b.convert("uitofp" if result in FLOATS else "zext", x, wide)
    if source in FLOATS:
        if result in FLOATS:
            return b.convert("fpext" if result == "f64" else "fptrunc", x, wide)
        return _float_to_integer(n, result).reg
    if result in FLOATS:
        return b.convert("sitofp" if source in SIGNED else "uitofp", x, wide)
    if BITS[result] == BITS[source]:
        return x
    return b.convert("trunc" if BITS[result] < BITS[source] else "sext" if source in SIGNED else "zext", x, wide)


def _float_to_integer(n: Num, result: str) -> Num:
    final = vector(LLVM_TYPES[result], n.lanes)
    if result == "u64":
        high = n >= 9223372036854775808.0
        whole = _float_to_integer(high.choose(n - 9223372036854775808.0, n), "i64")
        return high.choose(whole.op("xor", whole.like(-(1 << 63))), whole)
    bits = 64 if result in ("i64", "u32") else 32
    middle = vector(f"i{bits}", n.lanes)
    limit = float(1 << (bits - 1))
    inside = (n >= -limit) & (n < limit)
    whole = inside.choose(n, n.like(0.0)).convert("fptosi", middle)
    return inside.choose(whole, whole.like(-(1 << (bits - 1)))).convert("trunc", final)


def half_to_float(n: Num) -> Num:
    """f16 to f32, exactly; by integer arithmetic where the machine has no instruction for it."""
    if n.scalar != "half":
        return n
    if n.target.half:
        return n.convert("fpext", vector("float", n.lanes))
    wide = vector("i32", n.lanes)
    bits = n.convert("bitcast", vector("i16", n.lanes)).convert("zext", wide)
    sign = (bits & bits.like(0x8000)).op("shl", bits.like(16))
    rest = (bits & bits.like(0x7FFF)).op("shl", bits.like(13))
    # the exponent is rebiased by a product with 2^112, which also normalises subnormals; infinity and NaN keep all
    # exponent bits
    scaled = rest.convert("bitcast", vector("float", n.lanes)) * 2.0**112
    special = rest.compare("icmp uge", 0x7C00 << 13)
    magnitude = scaled.convert("bitcast", wide) | special.choose(bits.like(0x7F800000), bits.like(0))
    return (magnitude | sign).convert("bitcast", vector("float", n.lanes))


def float_to_half(n: Num) -> Num:
    """f32 to f16, to nearest even."""
    if n.target.half:
        return n.convert("fptrunc", vector("half", n.lanes))
    wide = vector("i32", n.lanes)
    bits = n.convert("bitcast", wide)
    sign = (bits & bits.like(-0x80000000)).op("lshr", bits.like(16))
    rest = bits & bits.like(0x7FFFFFFF)
    size = rest.convert("bitcast", n.reg.type)
    # below 2^-14 the sum with 1/2 aligns the mantissa at 2^-24, the unit of a subnormal half, and rounds it
    tiny = (size + 0.5).convert("bitcast", wide).op("sub", bits.like(0x3F000000))
    odd = rest.op("lshr", bits.like(13)) & bits.like(1)
    rounded = rest.op("add", odd).op("add", bits.like(0xFFF - (112 << 23))).op("lshr", bits.like(13))
    limited = (size >= 65520.0).choose(bits.like(0x7C00), rounded)
    normal = (size < 2.0**-14).choose(tiny, limited)
    result = n.compare("fcmp uno", n).choose(bits.like(0x7E00), normal) | sign
    return result.convert("trunc", vector("i16", n.lanes)).convert("bitcast", vector("half", n.lanes))
