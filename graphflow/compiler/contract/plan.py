"""The tiling of one contraction, as plain data that the loop IR prints.

vector   the axis that runs along the lanes
panels   how that axis is cut: `count` panels of vectors side by side, each `width` columns further than the one before
rows     the axis whose steps fill further registers; `sub` is a short axis inside it that a tile always takes whole
runs     how `rows` is cut when a thread does all of it: (first row, tiles, rows of each)
sizes    the tile heights among which a thread chooses at run time when its share of rows is not known here
outer    the other free axes, one unit of work for each point of them
window   a reduced axis and how many of its steps an iteration takes at once: what one row reads, its neighbour reads some steps before
spans    of each row, the steps of the window that do not read a border of zeros; () where none does
fold     a reduced axis and how many of its steps lie side by side in the lanes of each column, to be added up in the end: few columns fill
         more of a register so
dot      a reduced axis that runs along the lanes instead, to be added up across them in the end; `panels` then count single columns
turned   the results run along `rows` (or `sub`, where woven) instead of along the lanes: tiles are transposed before the epilogue
woven    the results run along all of `sub` and on along the lanes' axis: the epilogue takes sums as they are, what it stores is interleaved
ahead    by how many steps of the innermost loop each operand is prefetched where its strides are far
chunk    how many tiles pass over one panel before it is the next one's turn (0: all), so that their operand stays in the caches
packed   the operand along the lanes is copied before the tiles of rows pass over it, a panel at a time or all of it
foresees the tiles that pass over a panel ask for the next one
follows  the tiles that pass over a block of the reduction ask for the next one
awaited  buffers that the epilogue reads or fills and that come from far: their part of a tile is asked for while the tile is summed
matrix   the contraction is done by matrix tiles instead, 32 rows by 32 columns at a time; only vector, rows and split count then
split    what the threads share out: "units", "panels" (units times panels), "tiles" (units times runs of rows) or "rows"
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphflow.kernel.index import Index
from graphflow.kernel.nodes import Axis, Contract

PART, PARTS = "part", 8  # the free axis of a reduction cut in parts; how many: fixed, so that sums do not depend on the number of threads


@dataclass(frozen=True)
class Piece:
    """One register's worth of columns: `lanes` from `offset` on, of which the first `active` exist (None: known only at run time)."""

    offset: int
    lanes: int
    active: int | None

    def __repr__(self) -> str:
        tail = "" if self.active == self.lanes else f":{'?' if self.active is None else self.active}"
        return f"{self.lanes}{tail}"


@dataclass(frozen=True)
class Panel:
    """`count` equal panels from column `start` on."""

    start: Index
    count: Index
    width: int
    pieces: tuple[Piece, ...]

    def __repr__(self) -> str:
        return f"{self.count} x [{' '.join(map(repr, self.pieces))}]"


@dataclass(frozen=True)
class Packed:
    """A copied operand: which side, whether it lies across the lanes and is transposed, for how many steps there is room, whether
    the next panel is asked for while the tiles pass over this one, whether all panels are copied at once, and whether the first tile that
    passes over a panel copies what it reads."""

    side: int
    turned: bool
    length: int
    early: bool = False
    whole: bool = False
    fused: bool = False


@dataclass(frozen=True)
class Matrix:
    """A contraction in matrix tiles (matrix.py): the axes that make up its rows and its steps, outermost first; which operand rows read;
    whether the steps of that one, and of the other, lie side by side in memory; for how many columns, and for how many steps of theirs,
    terms are at hand; where rows or steps are counted only at run time, the same contraction planned for few of them; and, of a convolution
    by images (images.py), how many elements the windows of one cover; of the gradient of a filter (filters.py) how many those of a band
    cover, of which there are `bands` in an image, in how many parts the images are summed, and of how many bands terms are at hand."""

    rows: tuple[str, ...]
    steps: tuple[str, ...]
    side: int
    lying: tuple[bool, bool]
    columns: int
    depth: int
    few: Contract | None = None
    covered: int = 0
    bands: int = 1
    parts: int = 0
    together: int = 1


@dataclass(frozen=True)
class Span:
    """Which steps of a reduced axis, for each point of a free one, do not read a border of zeros: the axis of these steps, and for each
    point in turn the first of them and the one after the last."""

    axis: Axis
    steps: tuple[tuple[int, int], ...]

    def part(self, extent: int) -> float:
        """What part of all steps these are, where the axis has `extent` of them."""
        return sum(end - start for start, end in self.steps) / (len(self.steps) * extent)


Spans = Mapping[tuple[str, str], Span]  # by the free and the reduced axis


@dataclass(frozen=True)
class Plan:
    """Register tiles of an outer-product kernel: one operand along the lanes, the other broadcast."""

    vector: str
    panels: tuple[Panel, ...]
    rows: str
    sub: str
    runs: tuple[tuple[int, int, int], ...]
    sizes: tuple[int, ...]
    outer: tuple[str, ...]
    order: tuple[str, ...]
    split: str
    inline: bool
    dot: str = ""
    turned: bool = False
    woven: bool = False
    ahead: tuple[int, ...] = (0, 0)
    block: tuple[str, int] | None = None
    sums: str = ""
    packed: Packed | None = None
    chunk: int = 0
    foresees: bool = False
    awaited: tuple[str, ...] = ()
    window: tuple[str, int] | None = None
    fold: tuple[str, int] | None = None
    follows: bool = False
    panelwise: bool = False
    matrix: Matrix | None = None
    spans: tuple[tuple[int, int], ...] = ()

    def varied(self, **changes: Any) -> Plan:
        """This plan but for some fields. Tiles are chosen among thousands of plans: `dataclasses.replace`, which sets every field
        apart, took a tenth of the time that it takes to choose."""
        twin = object.__new__(Plan)
        twin.__dict__.update(self.__dict__, **changes)
        return twin

    @property
    def abreast(self) -> int:
        """How many lanes of a register belong to one column."""
        return self.fold[1] if self.fold else 1

    @property
    def along(self) -> bool:
        """Whether tiles go along the rows of the results: all panels are one tile's turn before the tile beneath."""
        return self.split == "rows" and self.chunk == 1

    def taken(self, name: str) -> int:
        """How many steps of a reduced axis an iteration takes."""
        if self.window and self.window[0] == name:
            return self.window[1]
        return self.fold[1] if self.fold and self.fold[0] == name else 1

    @property
    def tallest(self) -> int:
        """The rows of the highest tile."""
        return max([*self.sizes, *(height for _, _, height in self.runs)])

    def __repr__(self) -> str:
        if self.matrix:
            rows, steps = (", ".join(names) for names in (self.matrix.rows, self.matrix.steps))
            text = f"matrix tiles: columns {self.vector}; rows {rows}; steps {steps}; three terms each"
            text += f", of {self.matrix.covered} elements at a time" if self.matrix.covered else ""
            text += f", {self.matrix.together} times, images in {self.matrix.parts} parts" if self.matrix.parts else ""
            few = f" or, where rows or steps are few, {self.matrix.few.plan!r}" if self.matrix.few else ""
            return f"<{text}; threads share {self.split}{few}>"
        tiles = ", ".join(f"{n} x {m}" for _, n, m in self.runs) if self.runs else "/".join(map(str, self.sizes))
        lanes = f"lanes {self.dot}, columns" if self.dot else "lanes"
        text = f"{lanes} {self.vector or '-'}: {' + '.join(map(repr, self.panels))}; rows {self.rows or '-'}: {tiles}"
        text += " (woven)" if self.woven else " (turned)" if self.turned else ""
        text += f", {self.chunk} at a time" if self.chunk else ""
        text += f"; all of {self.sub}" if self.sub else ""
        text += f"; {self.window[1]} steps of {self.window[0]} at once" if self.window else ""
        text += " but where they read a border" if self.spans else ""
        text += f"; {self.fold[1]} steps of {self.fold[0]} beside each other" if self.fold else ""
        text += f"; inside {', '.join(self.order)}" if self.order else ""
        if self.packed:
            text += f"; {'all ' * self.packed.whole}panels {'transposed' if self.packed.turned else 'copied'}"
            text += " by the first tile" if self.packed.fused else ""
        text += f"; {self.block[0]} by {self.block[1]} through {self.sums}" if self.block else ""
        text += "; all units pass over one panel after another" if self.panelwise else ""
        text += "; next panel asked for" if self.foresees else ""
        text += "; next block asked for" if self.follows else ""
        text += f"; {', '.join(self.awaited)} asked for" if self.awaited else ""
        return f"<{text}; threads share {self.split}>"
