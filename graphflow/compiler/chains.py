"""Chains: two calls whose phases threads do share by share, so that what one makes is still in a core's cache when the other reads it.

A pool reads of a convolution's result only the images that the convolution has made, the gradient of a filter reads each image's gradient
once, right after it was routed back through the pool. Where kernels are shared out alike, a thread can do a share of the first and at once
the same share of the second (tiling with fusion of the loops over tiles; Ragan-Kelley et al. 2013 call it compute_at). What passes between
them, the largest activations of a net, then need not exist as a whole: all shares of a thread take the same few cache lines.

No code is generated for it: a kernel does any share that it is told to, and a thread is told that it is one of as many as there are shares.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from graphflow.kernel.expr import TYPES
from graphflow.kernel.index import Atom, Index, IndexExpr, Maximum, Minimum, Pair, Quotient, Remainder, Symbol, evaluate

if TYPE_CHECKING:
    from graphflow.compiler.lower import Lowered
    from graphflow.compiler.lower.shares import PhaseUse, Share

Numbers = np.ndarray[Any, np.dtype[np.int64]]
Span = tuple[Any, Any]  # lowest and highest, a number or one for each share

WORTH = 1 << 20  # bytes that pass from one kernel to the other: fewer are near in any case
SHARE_BYTES = 128 << 10  # of them in a share: well inside a second-level cache, and work enough for the calls
MOST_MOVED = 2  # buffers of a call that are the memory of what passes
FEWEST_SHARES, MOST_SHARES = 8, 4096
CROWD_BYTES = 384 << 10  # that each share reads besides its own: weights which would leave the cache between shares


class Passed(NamedTuple):
    """What passes between two calls: the number of the buffer that one writes, those of the other's that are the same memory, and bytes."""

    written: int
    read: tuple[int, ...]
    size: int


class Link(NamedTuple):
    """Two phases that run as one: of the first call and the second, in how many shares, and the bytes of what passes in a share. `late`:
    their place is the second call's, otherwise the first one's."""

    phases: tuple[int, int]
    shares: int
    stride: int
    late: bool


def linked(first: Lowered, second: Lowered, passed: Passed, sizes: tuple[Mapping[str, int], Mapping[str, int]]) -> Link | None:
    """How two kernels run as one, if they do; `sizes`: of the symbols of each."""
    if not first.uses or not second.uses:
        return None
    phases = (_only(first.uses, {passed.written}), _only(second.uses, {*passed.read}))
    if phases[0] is None or phases[1] is None:
        return None
    after, before = len(first.uses) - 1 - phases[0], phases[1]
    if after and before:
        return None
    mine, its = first.uses[phases[0]].shares, second.uses[phases[1]].shares
    if mine is None or its is None:
        return None
    itemsize = TYPES[first.kernel.buffers[passed.written].type].itemsize
    for many in _numbers(mine, its, sizes, passed.size):
        try:
            stride = _stride(mine, its, passed, sizes, many)
            if stride and _light(((first, mine, sizes[0]), (second, its, sizes[1])), many):
                return Link((phases[0], phases[1]), many, stride * itemsize, bool(before))
        except _Unknown:
            return None
    return None


def _only(uses: Sequence[PhaseUse], buffers: set[int]) -> int | None:
    """The one phase that touches some of the buffers."""
    found = [n for n, use in enumerate(uses) if not use.touched.isdisjoint(buffers)]
    return found[0] if len(found) == 1 else None


def _numbers(
    first: Sequence[Share], second: Sequence[Share], sizes: tuple[Mapping[str, int], Mapping[str, int]], size: int
) -> Sequence[int]:
    """Into how many shares the work may be cut, the best first: all kernels cut at the same places, threads have equally many, and what
    passes in a share is neither much nor little."""
    most = math.gcd(*(evaluate(s.units[0][1], given) for some, given in zip((first, second), sizes, strict=True) for s in some))

    def badness(many: int) -> float:
        uneven = sum(t * math.ceil(many / t) / many - 1 for t in (2, 4))
        return abs(math.log2(size / many / SHARE_BYTES)) + 20 * uneven

    found = [n for n in range(FEWEST_SHARES, min(most, MOST_SHARES) + 1) if most % n == 0 and size / n <= 4 * SHARE_BYTES]
    return sorted(found, key=badness)[:2]


def _stride(
    first: Sequence[Share], second: Sequence[Share], passed: Passed, sizes: tuple[Mapping[str, int], Mapping[str, int]], many: int
) -> int:
    """Elements from where a share of what passes begins to where the next one does; 0 where shares do not keep to themselves."""
    made, wanted = _touched(first, {passed.written}, True, sizes[0], many), _touched(second, {*passed.read}, False, sizes[1], many)
    if made is None or wanted is None:
        return 0
    (low, high), (least, most) = made, wanted
    there = low <= high
    number = np.arange(many)
    stride = int(max(np.max(-(-(high[there] + 1) // (number[there] + 1)), initial=0), 0))
    inside = np.all(low[there] >= number[there] * stride)
    asked = least <= most
    return stride if inside and np.all(there[asked]) and np.all((least >= low)[asked]) and np.all((most <= high)[asked]) else 0


def _light(linked: Sequence[tuple[Lowered, Sequence[Share], Mapping[str, int]]], many: int) -> bool:
    """Whether what every share reads over again, not a part of its own, stays in the cache from share to share."""
    again = 0.0
    for lowered, shares, sizes in linked:
        for number in {t.buffer for s in shares for t in s.touches if not t.written}:
            span = _touched(shares, {number}, False, sizes, many)
            if span is not None:
                read = int(np.max(span[1] - span[0] + 1))
                elements = math.prod(evaluate(d, sizes) for d in lowered.kernel.buffers[number].shape)
                again += read * TYPES[lowered.kernel.buffers[number].type].itemsize if read * many > 2 * elements else 0
    return again <= CROWD_BYTES


# -- ranges ---------------------------------------------------------------------------------------------------------------------------


class _Unknown(Exception):
    """A range that is not known."""


def _touched(
    shares: Sequence[Share], buffers: Iterable[int], written: bool, sizes: Mapping[str, int], many: int
) -> tuple[Numbers, Numbers] | None:
    """For each of `many` shares the first and the last element of these buffers that it may touch, in this way; the first is the larger one
    where it touches none. None where no share does."""
    low, high = np.full(many, np.iinfo(np.int64).max), np.full(many, -1, np.int64)
    wanted = {*buffers}
    any_ = False
    for share in shares:
        table, some = _of_units(share, sizes, many)
        for touch in share.touches:
            if touch.buffer not in wanted or touch.written != written:
                continue
            any_ = True
            known, there = dict(table), some
            for name, start, extent in touch.loops:
                begin, steps = _span(start, known), _span(extent, known)
                there = there & (steps[1] > 0)
                known[name] = begin[0], begin[1] + np.maximum(steps[1], 1) - 1
            least, most = _span(touch.offset, known)
            low = np.where(there, np.minimum(low, least), low)
            high = np.where(there, np.maximum(high, most), high)
    return (low, high) if any_ else None


def _of_units(share: Share, sizes: Mapping[str, int], many: int) -> tuple[dict[str, Span], Any]:
    """The ranges of the units' digits for each share, with the sizes; and which shares have any."""
    table: dict[str, Span] = {name: (size, size) for name, size in sizes.items()}
    extents = [evaluate(extent, sizes) for _, extent in share.units]
    total, rest = math.prod(extents), math.prod(extents[1:])
    number = np.arange(many, dtype=np.int64)
    begin, end = total * number // many, total * (number + 1) // many  # as the code generator divides them
    there = begin < end
    for (name, _), extent in zip(share.units, extents, strict=True):
        table[name] = 0, max(extent - 1, 0)
    if rest:
        table[share.units[0][0]] = begin // rest, np.maximum(end - 1, 0) // rest
    return table, there


def _span(index: Index, table: Mapping[str, Span]) -> Span:
    """The least and the greatest value of an index, for each share."""
    if not isinstance(index, IndexExpr):
        return index, index
    low: Any = 0
    high: Any = 0
    for factors, scale in index.terms:
        least, most = (1, 1) if not factors else _atom(factors[0], table)
        for atom in factors[1:]:
            a, b = _atom(atom, table)
            if np.any(least < 0) or np.any(a < 0):
                raise _Unknown
            least, most = least * a, most * b
        low, high = (low + scale * least, high + scale * most) if scale > 0 else (low + scale * most, high + scale * least)
    return low, high


def _atom(atom: Atom, table: Mapping[str, Span]) -> Span:
    if isinstance(atom, Symbol):
        if atom.name not in table:
            raise _Unknown
        return table[atom.name]
    if not isinstance(atom, Pair):
        raise _Unknown  # it depends on data
    (a, b), (c, d) = _span(atom.left, table), _span(atom.right, table)
    if isinstance(atom, Maximum):
        return np.maximum(a, c), np.maximum(b, d)
    if isinstance(atom, Minimum):
        return np.minimum(a, c), np.minimum(b, d)
    if np.any(c < 1) or np.any(c != d):
        raise _Unknown
    if isinstance(atom, Quotient):
        return a // c, b // c
    assert isinstance(atom, Remainder)
    alike = a // c == b // c
    return np.where(alike, a % c, 0), np.where(alike, b % c, c - 1)
