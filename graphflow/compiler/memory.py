"""Where values live: blocks of the arena, each for an interval of the schedule, placed so that blocks alive together do not overlap.

Placement happens when sizes are known, at bind time. Several greedy orders are tried and the best result is kept; beside it stands the
lower bound, the largest sum of bytes alive at one step, which no placement can beat. Where the best is more than a little above the bound,
the order of the large blocks is improved by a short random search, always the same one. In an arena that stays in the caches a byte more
is as dear as a byte that one thread leaves to another: it may be a little larger, so that threads find their own lines again.
"""

from __future__ import annotations

import random
from bisect import insort
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

ALIGN = 64
GOOD = 1.01  # times the lower bound: not worth a search
FEW = 64  # blocks, of more of which only the size of a placement is looked at
SLACK = 1.2  # times the lower bound that a small arena may have for fewer lines that change threads
NEAR = 8 << 20  # bytes of an arena whose lines are still in some core's cache when they are needed again
LARGE = 0.005  # of the lower bound: smaller blocks find a place whatever the order of the large ones
ROUNDS = 2  # of the search, each from the best greedy order
PATIENCE = 1_000_000  # pairs of blocks that greedy orders look at before the best of them will do: a tenth of a second
TRIES = 40  # placements in a round
EFFORT = 70_000  # pairs of blocks that a round looks at, at most: a few milliseconds


class Block(NamedTuple):
    """`size` bytes, needed from step `first` to step `last`, both included."""

    size: int
    first: int
    last: int


class Placement(NamedTuple):
    """Offsets of the blocks in order, the bytes of the arena, the lower bound and the sum without any sharing."""

    offsets: tuple[int, ...]
    total: int
    bound: int
    unplanned: int
    method: str

    def __repr__(self) -> str:
        share = self.total / self.bound if self.bound else 1.0
        return f"{self.total} bytes ({self.method}), lower bound {self.bound} (x{share:.3f}), without sharing {self.unplanned}"


def aligned(size: int) -> int:
    """`size` rounded up to whole cache lines."""
    return -(-size // ALIGN) * ALIGN


def lower_bound(blocks: Sequence[Block]) -> int:
    """The largest sum of bytes alive at one step."""
    change: dict[int, int] = {}
    for block in blocks:
        change[block.first] = change.get(block.first, 0) + block.size
        change[block.last + 1] = change.get(block.last + 1, 0) - block.size
    most = live = 0
    for step in sorted(change):
        live += change[step]
        most = max(most, live)
    return most


def place(blocks: Sequence[Block]) -> Placement:
    """The best of several greedy placements: the smallest, or one of few blocks in which fewer lines change threads."""
    bound = lower_bound(blocks)
    unplanned = sum(b.size for b in blocks)
    few = len(blocks) <= FEW
    weight = 1.0 if bound <= NEAR else 0.01
    best: tuple[float, int, str, list[int]] | None = None
    pairs = 0

    def consider(name: str, offsets: list[int], total: int) -> tuple[float, int, str, list[int]]:
        cost: float = total
        if few:
            cost += weight * migrations(blocks, offsets) if total <= SLACK * bound else unplanned
        return (cost, total, name, offsets) if best is None or cost < best[0] else best

    for name, order in ORDERS.items():
        best = consider(name, *_first_fit(blocks, order(blocks), None if few or best is None else best[1] - 1))
        pairs += len(blocks) ** 2
        if not few and (best[1] <= GOOD * bound or pairs > PATIENCE):
            break
    if not blocks or best is None:
        return Placement((), 0, 0, 0, "empty")
    if best[1] > GOOD * bound:
        best = consider(f"{best[2]}, searched", *_search(blocks, ORDERS[best[2]](blocks), bound))
    _, total, name, offsets = best
    return Placement(tuple(offsets), total, bound, unplanned, name)


def migrations(blocks: Sequence[Block], offsets: Sequence[int]) -> int:
    """Bytes that one thread has written and the next block in their place gives to another one, over a step and into the next. Threads
    share a block in order: the first of two has its first half. Where cores have no cache in common, such a line takes longer than one
    from memory."""
    spans = sorted([(b.first, at, at + b.size // 2, at + b.size) for b, at in zip(blocks, offsets, strict=True) if b.size])
    moved = 0
    for low, high in pairwise(sorted({point for span in spans for point in span[1:]})):
        halves = [low >= middle for _, begin, middle, end in spans if begin <= low < end]
        moved += sum(a is not b for a, b in zip(halves, halves[1:] + halves[:1], strict=True)) * (high - low)
    return moved


def _by_size(blocks: Sequence[Block]) -> list[int]:
    return sorted(range(len(blocks)), key=lambda k: (-blocks[k].size, blocks[k].first - blocks[k].last, blocks[k].first))


def _by_area(blocks: Sequence[Block]) -> list[int]:
    return sorted(range(len(blocks)), key=lambda k: (-blocks[k].size * (blocks[k].last - blocks[k].first + 1), blocks[k].first))


def _by_time(blocks: Sequence[Block]) -> list[int]:
    return sorted(range(len(blocks)), key=lambda k: (blocks[k].first, -blocks[k].size))


def _by_breadth(blocks: Sequence[Block]) -> list[int]:
    """Blocks of the step with most live bytes first, then of the next one, each by size."""
    steps = range(max((b.last for b in blocks), default=-1) + 1)
    live: list[list[int]] = [[] for _ in steps]
    for k, block in enumerate(blocks):
        for step in range(block.first, block.last + 1):
            live[step].append(k)
    done: dict[int, None] = {}
    for step in sorted(steps, key=lambda s: -sum(blocks[k].size for k in live[s])):
        done.update(dict.fromkeys(sorted(live[step], key=lambda k: -blocks[k].size)))
    return list(done)


def _by_length(blocks: Sequence[Block]) -> list[int]:
    return sorted(range(len(blocks)), key=lambda k: (blocks[k].first - blocks[k].last, -blocks[k].size))


# The one that is good most often for nets of many blocks first, which alone is tried where it will do, and the dearest last.
ORDERS: dict[str, Callable[[Sequence[Block]], list[int]]] = {
    "by size": _by_size, "by length": _by_length, "by area": _by_area, "by time": _by_time, "by breadth": _by_breadth,
}  # fmt: skip


def _search(blocks: Sequence[Block], order: Sequence[int], bound: int) -> tuple[list[int], int]:
    """A better order than the given one: one block after the other comes earlier at random, more often one that sticks out above the
    bound, and the change stays where it does no harm."""
    large = [k for k in order if blocks[k].size >= LARGE * bound]
    small = [k for k in order if blocks[k].size < LARGE * bound]
    chance = random.Random(0)
    best = large
    best_total = _first_fit(blocks, large)[1]
    for _ in range(ROUNDS):
        current = large
        offsets, total = _first_fit(blocks, current)
        for _ in range(min(TRIES, EFFORT // max(len(large), 1) ** 2)):
            if best_total <= GOOD * bound:
                break
            high = [k for k in current if offsets[k] + blocks[k].size > bound]
            moved = chance.choice(high if high and chance.random() < 0.5 else current)
            position = chance.randrange(max(current.index(moved), 1))
            changed = [k for k in current if k != moved]
            changed.insert(position, moved)
            new_offsets, new_total = _first_fit(blocks, changed, total)
            if new_total <= total:
                current, offsets, total = changed, new_offsets, new_total
                if total < best_total:
                    best, best_total = current, total
    return _first_fit(blocks, [*best, *small])


def _first_fit(blocks: Sequence[Block], order: Sequence[int], most: int | None = None) -> tuple[list[int], int]:
    """Each block in turn into the tightest gap between those already placed that live at the same time. Gives up where that takes more than
    `most` bytes."""
    offsets = [0] * len(blocks)
    placed: list[tuple[int, int, int, int]] = []  # (offset, end, first, last), sorted
    total = 0
    for k in order:
        size, first, last = blocks[k]
        if size == 0:
            continue
        best, waste, end = -1, -1, 0
        for offset, stop, f, l in placed:
            if l < first or f > last:
                continue
            gap = offset - end
            if gap >= size and (best < 0 or gap - size < waste):
                best, waste = end, gap - size
                if not waste:
                    break
            if stop > end:
                end = stop
        if best < 0:
            best = end
        offsets[k] = best
        total = max(total, best + size)
        if most is not None and total > most:
            break
        insort(placed, (best, best + size, first, last))
    return offsets, total
