"""Sorting inside a kernel, by counting digits: a radix sort from the lowest digit up (Knuth, The Art of Computer Programming, volume 3,
5.2.5). It has no branch that depends on an element, keeps equal ones in order, and passes over digits that all elements share."""

from __future__ import annotations

from collections.abc import Callable

from graphflow.kernel.builder import KernelBuilder
from graphflow.kernel.expr import TYPES, Expr, as_index, call, cast, const, position, select
from graphflow.kernel.index import Index
from graphflow.kernel.nodes import Buffer, Mode

DIGIT = 8  # bits


def key_of(x: Expr) -> Expr:
    """An unsigned number for each element, in the order of their values. Equal elements have the same, as have all NaNs, the largest."""
    kind, wide = TYPES[x.type].kind, "64" if TYPES[x.type].itemsize == 8 else "32"
    if kind in "ub":
        return cast(x, f"u{wide}")
    sign = const(1 << (int(wide) - 1), f"u{wide}")
    if kind == "i":
        return call(f"bitcast_u{wide}", cast(x, f"i{wide}")) ^ sign
    x = cast(x, "f32") if x.type == "f16" else x
    bits = call(f"bitcast_u{wide}", select(call("eq", x, 0.0), const(0, x.type), x))  # both zeros are one
    ordered = select(call("ne", bits & sign, const(0, bits.type)), call("not", bits), bits | sign)
    return select(call("isnan", x), const((2 << (int(wide) - 1)) - 1, bits.type), ordered)


def sort_row(
    k: KernelBuilder, key: Callable[[Index], Expr], width: Index, row: Index = 0, rows: Index = 1
) -> tuple[Buffer, Index]:
    """The statements that order the places 0 … width - 1 of one of `rows` rows such that their unsigned keys rise. Gives the buffer in
    which the places, i32, are, and where they begin there."""
    kind, mask = key(0).type, (1 << DIGIT) - 1
    keys, places = k.scratch("keys", kind, (rows, 2, width)), k.scratch("places", "i32", (rows, 2, width))
    counts, count = k.scratch("counts", "i32", (rows, mask + 1)), row * (mask + 1)
    last = max(width - 1, 0) if isinstance(width, int) else None
    side = k.var("side", const(0, "i64"))  # which of two halves is in the order of the digits so far
    whole = row * 2 * width
    begin, other = (whole + as_index(s, 0, 1) * width for s in (side, 1 - side))

    def counter(at: Index, shift: Expr) -> Index:
        return count + as_index(cast((k.load(keys, at) >> shift) & mask, "i64"), 0, mask)

    differ = k.var("differ", const(0, kind))  # bits in which some elements are not alike
    with k.loop("j", width, Mode.VECTOR) as j:
        mine = k.let("mine", key(j))
        k.store(keys, whole + j, mine)
        k.store(places, whole + j, position(j, "i32"))
        k.accumulate(differ, "or", mine ^ key(0))
    with k.loop("pass", TYPES[kind].itemsize * 8 // DIGIT) as number:
        shift = k.let("shift", position(number * DIGIT, kind))
        with k.when(call("ne", (differ >> shift) & mask, const(0, kind))):
            with k.loop("d", mask + 1, Mode.VECTOR) as d:
                k.store(counts, count + d, const(0, "i32"))
            with k.loop("i", width) as i:
                here = counter(begin + i, shift)
                k.store(counts, here, k.load(counts, here) + 1)
            slot = k.var("slot", const(0, "i32"))
            with k.loop("d", mask + 1) as d:
                many = k.let("many", k.load(counts, count + d))
                k.store(counts, count + d, slot)
                k.set(slot, slot + many)
            with k.loop("t", width) as t:
                here = counter(begin + t, shift)
                place = k.let("place", k.load(counts, here))
                to = other + as_index(cast(place, "i64"), 0, last)
                k.store(keys, to, k.load(keys, begin + t))
                k.store(places, to, k.load(places, begin + t))
                k.store(counts, here, place + 1)
            k.set(side, 1 - side)
    return places, begin
