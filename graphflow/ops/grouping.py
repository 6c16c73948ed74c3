"""Bringing equal elements together inside a kernel, by counting digits: a radix sort from the lowest digit up (Knuth, The Art of Computer
Programming, volume 3, 5.2.5). What order the groups have is that of the elements' bits, which says nothing of their values."""

from __future__ import annotations

from typing import Any

from graphflow.kernel.builder import KernelBuilder
from graphflow.kernel.expr import TYPES, Expr, as_index, call, cast, const, position, select
from graphflow.kernel.index import Index
from graphflow.kernel.nodes import Buffer, Mode

DIGIT = 8  # bits


def bits_of(x: Expr) -> Expr:
    """An unsigned number for each element; equal ones have the same."""
    kind = TYPES[x.type].kind
    if kind == "f":
        x = cast(x, "f32") if x.type == "f16" else x
        width = x.type[1:]
        return call(f"bitcast_u{width}", select(call("eq", x, 0.0), const(0, x.type), x))  # both zeros are one
    return cast(x, "u64" if TYPES[x.type].itemsize == 8 else "u32")


def group_places(k: KernelBuilder, x: Buffer, width: Index) -> Any:
    """The loops that order the places 0 … width - 1 of the vector `x` such that equal elements are neighbours, in the order of their
    places. Gives the buffer of places, i32 [width]. NaNs of the same bits are neighbours too."""
    places, moved = (k.scratch(name, "i32", (width,)) for name in ("places", "moved"))
    counts = k.scratch("counts", "i32", (1 << DIGIT,))
    last = max(width - 1, 0) if isinstance(width, int) else None
    mask = (1 << DIGIT) - 1

    def digit(bits: Expr, shift: Expr) -> Any:
        return as_index(cast((bits >> shift) & mask, "i64"), 0, mask)

    with k.loop("j", width, Mode.VECTOR) as j:
        k.store(places, j, position(j, "i32"))
    kind = bits_of(k.load(x, 0)).type
    differ = k.var("differ", const(0, kind))  # bits in which some elements are not alike
    with k.loop("i", width) as i:
        k.set(differ, differ | (bits_of(k.load(x, i)) ^ bits_of(k.load(x, 0))))
    with k.loop("pass", TYPES[kind].itemsize * 8 // DIGIT) as number:
        shift = k.let("shift", position(number * DIGIT, kind))
        with k.when(call("ne", (differ >> shift) & mask, const(0, kind))):
            with k.loop("d", 1 << DIGIT, Mode.VECTOR) as d:
                k.store(counts, d, const(0, "i32"))
            with k.loop("i", width) as i:
                here = digit(bits_of(k.load(x, i)), shift)
                k.store(counts, here, k.load(counts, here) + 1)
            begin = k.var("begin", const(0, "i32"))
            with k.loop("d", 1 << DIGIT) as d:
                many = k.let("many", k.load(counts, d))
                k.store(counts, d, begin)
                k.set(begin, begin + many)
            with k.loop("t", width) as t:
                place = k.let("place", k.load(places, t))
                here = digit(bits_of(k.load(x, as_index(cast(place, "i64"), 0, last))), shift)
                slot = k.let("slot", k.load(counts, here))
                k.store(moved, as_index(cast(slot, "i64"), 0, last), place)
                k.store(counts, here, slot + 1)
            with k.loop("j", width, Mode.VECTOR) as j:
                k.store(places, j, k.load(moved, j))
    return places
