"""TensorFlow's random numbers as functions of position: element i of a random tensor depends on i, the seeds and nothing before it.

Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3") turns a 128-bit counter and a 64-bit key into four 32-bit
numbers. TensorFlow keys it with the first seed, puts the second seed into the upper half of the counter, and counts blocks of four numbers
in the lower half. The expressions here are what kernels compute, the functions named `numpy_` what the tests compare with.

    uniform float32    block i // 4, number i % 4, 23 bits of it                float64    block i // 2, two numbers, 52 bits of them
    normal float32     numbers 2k and 2k + 1 of a block, by Box and Muller, give elements 2k (sine) and 2k + 1 (cosine)
"""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np

from graphflow.kernel.expr import Expr, call, cast, const, position, select
from graphflow.kernel.index import Index

ROUNDS = 10
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_WORD = 0xFFFFFFFF
TINY = 1.0e-7  # Box and Muller's logarithm never sees less

Words = tuple[Any, Any, Any, Any]


def entropy() -> int:
    """64 bits from the operating system, for draws that no seed fixes."""
    return int.from_bytes(os.urandom(8), "little")


def seed_words(seed: Index, seed2: Index, key: Expr | None) -> tuple[Expr, Expr, Expr, Expr]:
    """(key, key, counter, counter) as u32 expressions: of the two seeds, or of `key` (u64) where both are 0, which asks for entropy."""
    if seed == 0 and seed2 == 0 and key is not None:
        return *halves(key), const(0, "u32"), const(0, "u32")
    return *halves(cast(position(seed), "u64")), *halves(cast(position(seed2), "u64"))


def halves(number: Expr) -> tuple[Expr, Expr]:
    """The lower and the upper 32 bits of a u64."""
    return cast(number, "u32"), cast(number >> 32, "u32")


def block(low: Expr, high: Expr, words: tuple[Expr, Expr, Expr, Expr]) -> tuple[Expr, Expr, Expr, Expr]:
    """The four numbers of the block whose number has the u32 halves `low` and `high`."""
    k0, k1, c2, c3 = words
    c0, c1 = low, high
    for number in range(ROUNDS):
        if number:
            k0, k1 = k0 + _WEYL[0], k1 + _WEYL[1]
        a, b = const(_MULTIPLIERS[0], "u32"), const(_MULTIPLIERS[1], "u32")
        c0, c1, c2, c3 = call("mulhi", b, c2) ^ c1 ^ k0, b * c2, call("mulhi", a, c0) ^ c3 ^ k1, a * c0
    return c0, c1, c2, c3


def counted(base: Expr, offset: Expr) -> tuple[Expr, Expr]:
    """The u32 halves of base + offset, for a u64 base and a u32 offset; all in 32 bits, because vectors of those are the fast ones."""
    start = cast(base, "u32")
    low = start + offset
    return low, cast(base >> 32, "u32") + select(low < start, const(1, "u32"), const(0, "u32"))


def unit_float(number: Expr) -> Expr:
    """[0, 1) as f32: 23 bits of a u32."""
    return call("bitcast_f32", (number & 0x7FFFFF) | 0x3F800000) - 1.0


def unit_double(first: Expr, second: Expr) -> Expr:
    """[0, 1) as f64: 20 bits of one u32 and all of another."""
    mantissa = (cast(first & 0xFFFFF, "u64") << 32) | cast(second, "u64")
    return call("bitcast_f64", mantissa | (1023 << 52)) - 1.0


def unit_half(number: Expr) -> Expr:
    """[0, 1) as f16: 10 bits of a u32."""
    return cast(cast(number & 0x3FF, "f32") * (1 / 1024), "f16")


def box_muller(radius: Expr, angle: Expr) -> tuple[Expr, Expr]:
    """Two normal numbers from two uniform ones."""
    kind = radius.type
    length = call("sqrt", -2.0 * call("log", select(radius < TINY, const(TINY, kind), radius)))
    # The product with 2 pi is rounded once, from double, as in TensorFlow: its error is multiplied by the radius.
    turn = cast(cast(angle, "f64") * (2 * math.pi), kind)
    return call("sin", turn) * length, call("cos", turn) * length


def uniform(numbers: Words, lane: Expr, kind: str) -> Expr:
    """The uniform number of element `lane` (u32) of a block."""
    if kind == "f64":
        return unit_double(_of_pair(numbers, lane, 0), _of_pair(numbers, lane, 1))
    chosen = one_of(numbers, lane)
    return unit_half(chosen) if kind == "f16" else unit_float(chosen)


def normal(numbers: Words, lane: Expr, kind: str) -> Expr:
    """The normal number of element `lane` (u32) of a block."""
    odd = call("eq", lane, 1) | call("eq", lane, 3)
    if kind == "f64":
        sine, cosine = box_muller(unit_double(numbers[0], numbers[1]), unit_double(numbers[2], numbers[3]))
        return select(odd, cosine, sine)
    second = call("lt", const(1, "u32"), lane)
    radius, angle = select(second, numbers[2], numbers[0]), select(second, numbers[3], numbers[1])
    sine, cosine = box_muller(unit_float(radius), unit_float(angle))
    return cast(select(odd, cosine, sine), kind)


def one_of(numbers: Words, lane: Expr) -> Expr:
    """numbers[lane]"""
    late = select(call("eq", lane, 3), numbers[3], numbers[2])
    return select(call("lt", const(1, "u32"), lane), late, select(call("eq", lane, 1), numbers[1], numbers[0]))


def _of_pair(numbers: Words, lane: Expr, which: int) -> Expr:
    return select(call("eq", lane, 1), numbers[2 + which], numbers[which])


def whole(numbers: Words, lane: Expr, kind: str) -> Expr:
    """All bits for element `lane`: u32, or u64 of two numbers."""
    if kind == "u32":
        return one_of(numbers, lane)
    return cast(_of_pair(numbers, lane, 0), "u64") | (cast(_of_pair(numbers, lane, 1), "u64") << 32)


# -- the same by numpy, for references -----------------------------------------------------------------------------------------


def numpy_blocks(numbers: Any, seed: int, seed2: int) -> np.ndarray[Any, Any]:
    """uint32[n, 4]: the blocks with the given numbers."""
    n = np.asarray(numbers, np.uint64)
    word = np.uint64(_WORD)
    half = np.uint64(32)
    c0, c1 = n & word, n >> half
    c2, c3 = np.full_like(n, seed2 & _WORD), np.full_like(n, (seed2 >> 32) & _WORD)
    keys = [seed & _WORD, (seed >> 32) & _WORD]
    for _ in range(ROUNDS):
        p0, p1 = c0 * np.uint64(_MULTIPLIERS[0]), c2 * np.uint64(_MULTIPLIERS[1])
        c0, c1, c2, c3 = (p1 >> half) ^ c1 ^ np.uint64(keys[0]), p1 & word, (p0 >> half) ^ c3 ^ np.uint64(keys[1]), p0 & word
        keys = [(k + w) & _WORD for k, w in zip(keys, _WEYL, strict=True)]
    return np.stack([c0, c1, c2, c3], -1).astype(np.uint32)


def numpy_uniform(blocks: np.ndarray[Any, Any], dtype: Any) -> np.ndarray[Any, Any]:
    """All uniform numbers of some blocks, flat."""
    if dtype == np.float64:
        pairs = blocks.reshape(-1, 2).astype(np.uint64)
        return (((pairs[:, 0] & np.uint64(0xFFFFF)) << np.uint64(32)) | pairs[:, 1]) / 2.0**52
    flat = blocks.ravel()
    if dtype == np.float16:
        return ((flat & 0x3FF) / 1024).astype(np.float16)
    return ((flat & 0x7FFFFF) / 2.0**23).astype(np.float32)


def numpy_normal(blocks: np.ndarray[Any, Any], dtype: Any) -> np.ndarray[Any, Any]:
    """All normal numbers of some blocks, flat."""
    kind = np.float64 if dtype == np.float64 else np.float32
    u = numpy_uniform(blocks, kind).reshape(-1, 2)
    turn = (u[:, 1].astype(np.float64) * (2 * math.pi)).astype(kind)
    length = np.sqrt(-2 * np.log(np.maximum(u[:, 0], kind(TINY))))
    return np.stack([np.sin(turn) * length, np.cos(turn) * length], -1).ravel().astype(dtype)
