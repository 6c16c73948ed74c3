"""Cutting columns into panels of registers, and rows into tiles; what sizes are taken to be where they are not known."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from types import MappingProxyType

from graphflow.compiler.contract.plan import Panel, Piece, Plan
from graphflow.kernel.index import Index, IndexExpr, ceildiv, evaluate, floordiv, symbols_of
from graphflow.kernel.nodes import Axis

GUESS = 100  # what a size that is known only at run time is taken to be, where nothing is known of a run
FEW_TILES = 10  # of which one too many for one of two threads shows


def cut_columns(extent: Index, lanes: int, columns: int, masks: bool) -> tuple[Panel, ...] | None:
    """`extent` columns in panels of at most `columns` registers; None where fewer registers would do the same."""
    if not isinstance(extent, int):
        width = lanes * columns
        whole = floordiv(extent, width)
        tail_lanes = lanes if masks else 1
        tail = Piece(0, tail_lanes, None if masks and lanes > 1 else tail_lanes)
        main = Panel(0, whole, width, tuple(Piece(n * lanes, lanes, lanes) for n in range(columns)))
        return (main,) if width == 1 else (main, Panel(whole * width, ceildiv(extent - whole * width, tail_lanes), tail_lanes, (tail,)))
    whole = extent // lanes
    last = cut_registers(extent - whole * lanes, lanes, masks)
    many = whole + len(last)
    if not many:
        return (Panel(0, 0, lanes, (Piece(0, lanes, lanes),)),) if columns == 1 else None
    groups = math.ceil(many / columns)
    if columns > many or math.ceil(many / groups) != columns:
        return None
    panels: list[Panel] = []
    low, high = many // groups, many % groups
    at = 0
    for count, width in ((high, low + 1), (groups - high, low)):
        plain = min(count, (whole - at) // width)  # panels of whole registers only
        if plain > 0:
            panels.append(Panel(at * lanes, plain, width * lanes, tuple(Piece(n * lanes, lanes, lanes) for n in range(width))))
            at += plain * width
        for _ in range(count - max(plain, 0)):  # those that hold registers of the tail
            pieces: list[Piece] = []
            offset = 0
            for n in range(at, at + width):
                piece = Piece(0, lanes, lanes) if n < whole else last[n - whole]
                pieces.append(Piece(offset, piece.lanes, piece.active))
                offset += piece.lanes
            start = at * lanes if at <= whole else whole * lanes + last[at - whole].offset
            panels.append(Panel(start, 1, offset, tuple(pieces)))
            at += width
    return tuple(panels)


def cut_registers(extent: int, lanes: int, masks: bool) -> tuple[Piece, ...]:
    """`extent` columns as whole registers and what is left: part of one where lanes can be masked, else ever narrower ones."""
    pieces: list[Piece] = []
    at = 0
    while at < extent:
        left = extent - at
        width = lanes
        if left < lanes:
            width = 1 << (left - 1).bit_length() if masks else 1 << (left.bit_length() - 1)
        pieces.append(Piece(at, width, min(width, left)))
        at += width
    return tuple(pieces)


def even_runs(extent: int, most: int) -> Iterator[tuple[tuple[int, int, int], ...]]:
    """Ways to cut `extent` rows, as (first, tiles, height): as few tiles as can be, one more where those are few and an odd number, for
    two threads to share, and somewhat more tiles all of one height."""
    if extent == 0:
        yield ((0, 0, 1),)
        return
    fewest = math.ceil(extent / most)
    for tiles in range(fewest, fewest + (2 if 1 < fewest < min(FEW_TILES, extent) and fewest % 2 else 1)):
        low, high = extent // tiles, extent % tiles
        yield ((0, high, low + 1), (high * (low + 1), tiles - high, low)) if high else ((0, tiles, low),)
    more = next((t for t in range(fewest + 1, min(extent, fewest * 3 // 2) + 1) if extent % t == 0), None)
    if extent % fewest and more:
        yield ((0, more, extent // more),)


def dynamic_sizes(most: int, rows: int) -> tuple[int, ...]:
    """Tile heights, `most` at most, to choose from at run time, tallest first, 1 last: one or two that cut so many rows evenly. For other
    numbers of rows the last tile begins early. Each height is code to be compiled."""
    tallest = math.ceil(rows / math.ceil(rows / most))
    return tuple(dict.fromkeys((tallest, tallest - 1, 1) if rows % tallest and tallest > 2 else (tallest, 1)))


def close(sizes: tuple[int, ...]) -> bool:
    """Whether the second height is near enough to the first that tiles of both make an even cut."""
    return len(sizes) > 1 and sizes[0] < 2 * sizes[1]


@lru_cache(maxsize=4096)  # asked with a few pairs of arguments for every candidate plan
def dynamic_tiles(rows: int, sizes: tuple[int, ...]) -> Mapping[int, int]:
    """How many tiles of which height cover `rows` at run time, as `Tiles.choose` takes them."""
    # Beyond this many rows, tiles of the second height could not cover them without more tiles: the tallest one is taken.
    turn = sizes[0] * sizes[1] // (sizes[0] - sizes[1]) if close(sizes) else 0
    tall = max(0, rows - max(turn, *sizes)) // sizes[0]
    tiles = Counter({sizes[0]: tall} if tall else {})
    rows -= tall * sizes[0]
    while rows > 0:
        size = min((s for s in sizes[1:] if s >= rows), default=sizes[0])
        if close(sizes) and rows > sizes[1] and 0 <= math.ceil(rows / sizes[0]) * sizes[1] - rows < sizes[0] - sizes[1]:
            size = sizes[1]
        tiles[size] += 1
        rows -= size
    return tiles


def panel_width(panel: Panel) -> int:
    """Columns of a panel, lanes that do not exist included."""
    return panel.pieces[-1].offset + panel.pieces[-1].lanes


def panel_bytes(plan: Plan) -> int:
    """Bytes of one step along the columns of the widest panel."""
    return max(panel_bytes_of(p) for p in plan.panels)


def panel_bytes_of(panel: Panel) -> int:
    return 4 * panel_width(panel)


def padded_columns(plan: Plan) -> Index:
    """How many columns the panels cover, lanes that do not exist included."""
    last = plan.panels[-1]
    return last.start + (last.count - 1) * last.width + panel_width(last)


def whole_pitch(plan: Plan) -> int:
    """Columns of all panels copied side by side, filled up to an odd number of cache lines, so that steps lie in different sets."""
    columns = padded_columns(plan)
    assert isinstance(columns, int), "the columns of an operand that is copied whole are known"
    return (math.ceil(columns / 16) | 1) * 16


PART_BYTES, MOST_PARTS = 512 << 10, 64  # that a part goes through, and how many there are at most before sharing evenly is looked at
_usual: ContextVar[Mapping[str, int]] = ContextVar("usual sizes", default=MappingProxyType({}))


@contextmanager
def priced_for(sizes: Mapping[str, int]) -> Iterator[None]:
    """Plans made inside are priced for a run with these sizes. They are right for all."""
    token = _usual.set(sizes)
    try:
        yield
    finally:
        _usual.reset(token)


def guess(extent: Index, known: Mapping[str, int] | None = None) -> int:
    """A size to price with: unknown sizes are taken to be those of `priced_for` or GUESS, and the position along other axes as given."""
    if not isinstance(extent, IndexExpr):
        return max(1, extent)
    return max(1, evaluate(extent, {**dict.fromkeys(symbols_of(extent), GUESS), **_usual.get(), **(known or {})}))


def even_parts(extent: Index, fewest: int, size: Index) -> int:
    """In how many parts to cut `extent` steps that go through `size` bytes, each part the same number of steps but for the last ones: so
    many that what a part goes through stays in the second-level cache, and of the numbers from there to twice as many the one that
    leaves the busiest of two threads, and of four, the fewest steps. At least `fewest`."""
    while guess(size) / fewest > PART_BYTES and fewest < MOST_PARTS:
        fewest *= 2
    steps = guess(extent)

    def busiest(parts: int) -> tuple[int, int]:
        return sum(n * math.ceil(parts / n) for n in (2, 4)) * math.ceil(steps / parts), parts

    return min(range(fewest, 2 * fewest + 1), key=busiest)


def varies(axis: Axis, free: Sequence[Axis]) -> bool:
    """Whether a reduced axis begins or ends differently from point to point of a free one."""
    return bool((symbols_of(axis.start) | symbols_of(axis.extent)) & {a.name for a in free})


def lengths(axis: Axis, free: Sequence[Axis], known: Mapping[str, int] | None = None) -> list[int]:
    """How many steps a reduced axis has: one number, or one for each point of the free axis on which they depend."""
    on = [a for a in free if a.name in symbols_of(axis.extent)]
    if len(on) != 1 or not isinstance(on[0].extent, int):
        return [guess(axis.extent, {**dict.fromkeys((a.name for a in free), 0), **(known or {})})]
    return [guess(axis.extent, {**(known or {}), on[0].name: n}) for n in range(on[0].extent)]
