"""Whether a contraction fits the matrix tiles, in which way, and what that costs.

Rows are all free axes but the one the results run along, steps all reduced ones. Both operands must be readable as registers of 16
elements: along the steps, or along their own rows or columns. A convolution whose images are small, and whose pixels are whole lines of 32
elements, is done image by image (images.py), and so is the gradient of a filter (filters.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from graphflow.compiler.contract.blocking import Choice
from graphflow.compiler.contract.cuts import guess, varies
from graphflow.compiler.contract.plan import PARTS, Matrix, Plan
from graphflow.compiler.contract.shape import L2_BYTES, Shape, shape_of
from graphflow.compiler.contract.traffic import summing
from graphflow.compiler.llvm.target import Target
from graphflow.kernel.index import product
from graphflow.kernel.nodes import Axis, Contract

SIDE, DEPTH, TERMS = 16, 32, 3  # a tile holds 16 rows of 32 steps (or 16 pairs of steps by 16 columns)
WORDS = SIDE * SIDE  # of 32 bits in a tile
ROWS, COLUMNS, STEPS = 128, 256, 128  # whose terms and sums are at hand: 430 KiB
ONCE = 64 << 10  # elements of an operand whose terms may be kept for all rows: 384 KiB
SQUARE = 2 * SIDE  # the sums of four tiles
COVERED, IMAGE_SUMS = 48 << 10, 64 << 10  # elements of an image whose terms are kept, and its sums
PART_SUMS, PART_TERMS = 96 << 10, 88 << 10  # sums of a part, and elements whose terms are at hand
LINE_CYCLES = 14.0  # of the terms of 32 elements that follow each other
WORDS_CYCLES, GRADIENT_CYCLES = 16.0, 600.0  # of 16 words of an image whose windows are columns, and of the other operand's 16 x 32
SQUARE_CYCLES = 560  # of 32 x 32 sums over 32 steps
BLOCK_CYCLES, TURN_CYCLES = 220.0, 220.0  # of the terms of 16 x 32 elements, and of turning them
CORNERS_CYCLES, PART_CYCLES = 1200.0, 24.0  # of a square that comes from memory and goes back; of a register of sums of a part
APART_CYCLES = 0.1  # of a byte of the parts' sums, where those are more than the second-level cache holds
SUM_CYCLES = 3.0  # of a register of sums looked at, and its epilogue
FAR_CYCLES = 0.03  # of a byte that the epilogue reads and fills where that comes from far: nothing is multiplied meanwhile
START_CYCLES, TABLE_CYCLES = 16000.0, 1000.0  # of a call, and of what is worked out for ROWS rows and STEPS steps


def matrix_plan(contract: Contract, target: Target) -> Choice | None:
    """The contraction in matrix tiles with its price in cycles on two threads; None where it does not fit them."""
    if not target.tiles or contract.left.type != "f32":
        return None
    if any(a.start != 0 or varies(a, contract.free) for a in contract.reduced):
        return None
    if any(a.extent == 0 for a in (*contract.free, *contract.reduced)):
        return None
    shape = shape_of(contract, target)
    along = [a for a in contract.free if shape.moves[a.name].out == 1 and isinstance(a.extent, int)]
    if len(along) != 1 or not contract.reduced:
        return None
    vector_axis = along[0]
    side = 0 if shape.side(vector_axis.name, 0) == 0 else 1  # the operand that rows read
    rows = [a for a in contract.free if a is not vector_axis]
    if shape.side(vector_axis.name, side) != 0 or shape.side(vector_axis.name, 1 - side) == 0:
        return None
    if not rows or any(shape.side(a.name, 1 - side) != 0 or shape.side(a.name, side) == 0 for a in rows):
        return None
    rows, steps = by_stride(shape, rows, side), by_stride(shape, contract.reduced, side)
    found = [*by_blocks(shape, vector_axis, rows, steps, side), *by_sums(shape, vector_axis, rows, steps, side)]
    return min(found, key=lambda p: p.cycles, default=None)


def by_blocks(shape: Shape, vector_axis: Axis, rows: Sequence[Axis], steps: Sequence[Axis], side: int) -> Iterator[Choice]:
    """Rows and steps copied as they come, or image by image."""
    lying = []
    for operand, own in ((side, rows), (1 - side, [vector_axis])):
        ways = [k for k, axes in ((True, steps), (False, own)) if in_line(shape, axes, operand)]
        if not ways:
            return
        lying.append(ways[0 if operand == side else -1])  # as they lie in a tile, where there is a choice
    assert isinstance(vector_axis.extent, int)
    count = math.ceil(vector_axis.extent / SQUARE)
    total = product(a.extent for a in steps)
    for split, share in (("panels", math.ceil(count / 2)), ("rows", count)):
        columns, depth = min(COLUMNS, SQUARE * share), STEPS
        if isinstance(total, int):
            whole = math.ceil(total / DEPTH) * DEPTH
            depth = max(STEPS, whole if columns * whole <= ONCE else 0)
        matrix = Matrix(tuple(a.name for a in rows), tuple(a.name for a in steps), side, (lying[0], lying[1]), columns, depth)
        plan = tiled(vector_axis, matrix, split)
        yield Choice(cycles(shape, plan), plan)
        if split == "rows" and depth >= guess(total) and (elements := covered(shape, matrix)):
            plan = tiled(vector_axis, replace(matrix, covered=elements), split)
            yield Choice(image_cycles(shape, plan), plan)


def tiled(vector_axis: Axis, matrix: Matrix, split: str) -> Plan:
    """A plan for matrix tiles."""
    return Plan(vector_axis.name, (), matrix.rows[-1], "", (), (), (), matrix.steps, split, False, matrix=matrix)


@dataclass(frozen=True)
class Pieces:
    """How the pixels of an image, in lines of `line`, are cut into pieces of 32 steps: `apart` pixels are between the two steps of a word.
    Pieces go on from one line to the next; or, where there are `across` of them, are 16 pixels of two lines."""

    line: int
    apart: int
    across: int
    count: int

    def start(self, piece: int) -> int:
        """The first pixel of a piece."""
        return piece // self.across * 2 * self.line + piece % self.across * SIDE if self.across else piece * DEPTH


def pieces(height: int, width: int, line: int) -> Pieces:
    """The way with fewer pieces; only `width` pixels of a line are wanted."""
    across = math.ceil(width / SIDE)
    on_end, paired = math.ceil(((height - 1) * line + width) / DEPTH), math.ceil(height / 2) * across
    return Pieces(line, SIDE, 0, on_end) if on_end <= paired else Pieces(line, line, across, paired)


def by_sums(shape: Shape, vector_axis: Axis, rows: Sequence[Axis], steps: Sequence[Axis], side: int) -> Iterator[Choice]:
    """The gradient of a convolution's filter, summed over images and their pixels (filters.py)."""
    if len(steps) != 3 or shape.side(vector_axis.name, 1 - side) != 1 or shape.side(rows[-1].name, side) != 1:
        return
    inside = (*rows, *steps[1:])
    moves = [shape.side(a.name, side) for a in inside]
    moves_both = [*moves, *(shape.side(a.name, 1 - side) for a in steps[1:])]
    if not all(isinstance(m, int) and m > 0 for m in moves_both) or not all(isinstance(a.extent, int) for a in inside):
        return
    line, pixel = (guess(m) for m in moves[-2:])
    height, width = (shape.size[a.name] for a in steps[1:])
    if line % pixel or line // pixel < width:
        return
    assert isinstance(vector_axis.extent, int)
    high, wide = math.ceil(window_tiles(shape, rows) / 2), math.ceil(vector_axis.extent / SQUARE)
    columns = SQUARE * min(wide, COLUMNS // SQUARE, PART_SUMS // (high * SQUARE * SQUARE))
    if not columns:
        return
    window = 1 + sum(guess(m) * (shape.size[a.name] - 1) for m, a in zip(moves[:-2], rows, strict=True))
    names, inner = tuple(a.name for a in rows), tuple(a.name for a in steps)
    parts = parts_of(steps[0].extent) if isinstance(steps[0].extent, int) else PARTS
    for bands in range(1, height + 1):
        cut = pieces(height // bands, width, line // pixel)
        elements = window + (height // bands - 1) * line + (width - 1) * pixel
        terms = elements + columns * cut.count * SIDE
        if height % bands == 0 and terms <= PART_TERMS:
            break
    else:
        return
    together = max(1, PART_TERMS // terms)
    matrix = Matrix(
        names, inner, side, (False, False), columns, cut.count * DEPTH, covered=elements, parts=parts, bands=bands, together=together
    )
    plan = tiled(vector_axis, matrix, "rows")
    yield Choice(sum_cycles(shape, plan, cut, high, wide), plan)


def parts_of(images: int) -> int:
    """In how many parts the images are summed: as many as leave the busier of two threads the fewest images."""
    found = range(min(PARTS // 2, images), min(PARTS, images) + 1)
    return min(found, key=lambda parts: (math.ceil(parts / 2) * math.ceil(images / parts), -parts))


def window_tiles(shape: Shape, rows: Sequence[Axis]) -> int:
    """Tiles of 16 rows of what lies side by side in a window."""
    return math.prod(shape.size[a.name] for a in rows[:-1]) * math.ceil(shape.size[rows[-1].name] / SIDE)


def sum_cycles(shape: Shape, plan: Plan, cut: Pieces, high: int, wide: int) -> float:
    """Cycles of the gradient of a filter on the busier of two threads, with what adds the parts up."""
    assert plan.matrix is not None
    matrix = plan.matrix
    groups = math.ceil(wide * SQUARE / matrix.columns)
    words = groups * matrix.covered / SIDE * WORDS_CYCLES
    corners = high * wide * CORNERS_CYCLES / matrix.together
    image = words + 2 * wide * cut.count * GRADIENT_CYCLES + high * wide * cut.count * SQUARE_CYCLES + corners
    images = shape.size[matrix.steps[0]] / matrix.parts
    if isinstance(shape.axis(matrix.steps[0]).extent, int):
        images = math.ceil(images)
    sums = high * wide * SQUARE * SQUARE * matrix.parts
    ends = sums / SIDE * PART_CYCLES / 2 + (APART_CYCLES * sums * shape.itemsize if sums * shape.itemsize > L2_BYTES else 0.0)
    return START_CYCLES + math.ceil(matrix.parts / 2) * images * matrix.bands * image + ends + far_cycles(shape)


def by_stride(shape: Shape, axes: Sequence[Axis], side: int) -> list[Axis]:
    """The axes, those along which a step is longest first."""
    return sorted(axes, key=lambda a: -guess(shape.side(a.name, side)))


def covered(shape: Shape, matrix: Matrix) -> int:
    """How many elements the windows of one image cover, that is of one step along the outermost of the rows' axes; 0 where their terms
    could not be multiplied where they lie: 32 steps of the reduction are one piece, and all moves whole pieces."""
    outermost, *inside = matrix.rows
    if not inside:
        return 0
    last = matrix.steps[-1]
    elements = 1
    for name in (*inside, *matrix.steps):
        move, extent = shape.side(name, matrix.side), shape.axis(name).extent
        if not isinstance(move, int) or not isinstance(extent, int) or move <= 0 or (move % DEPTH and name != last):
            return 0
        elements += move * (extent - 1)
    fits = shape.side(last, matrix.side) == 1 and shape.size[last] % DEPTH == 0
    small = elements <= COVERED and image_tiles(shape, inside) * SIDE * matrix.columns <= IMAGE_SUMS
    return elements if fits and small and isinstance(shape.side(outermost, matrix.side), int) else 0


def image_tiles(shape: Shape, inside: Sequence[str]) -> int:
    """Tiles of rows of an image: a tile's rows follow each other along the innermost axis."""
    return math.prod(shape.size[n] for n in inside[:-1]) * math.ceil(shape.size[inside[-1]] / SIDE)


def image_cycles(shape: Shape, plan: Plan) -> float:
    """Cycles of a convolution by images on the busier of two threads."""
    assert plan.matrix is not None
    matrix = plan.matrix
    outermost, *inside = matrix.rows
    images = math.ceil(shape.size[outermost] / 2)
    wide, depth = math.ceil(shape.size[plan.vector] / SQUARE), math.prod(shape.size[n] for n in matrix.steps) // DEPTH
    pairs = math.ceil(image_tiles(shape, inside) / 2)
    copy = BLOCK_CYCLES + TURN_CYCLES * matrix.lying[1]
    image = matrix.covered / DEPTH * LINE_CYCLES + pairs * wide * (depth * SQUARE_CYCLES + 2 * SQUARE * SUM_CYCLES)
    return START_CYCLES + images * image + 2 * wide * depth * copy + far_cycles(shape)


def in_line(shape: Shape, axes: Sequence[Axis], side: int) -> bool:
    """Whether 16 steps along the axes, from every sixteenth on, lie side by side."""
    last = axes[-1]
    return shape.side(last.name, side) == 1 and (len(axes) == 1 or (isinstance(last.extent, int) and last.extent % SIDE == 0))


def cycles(shape: Shape, plan: Plan) -> float:
    """Cycles on the busier of two threads."""
    assert plan.matrix is not None
    matrix = plan.matrix
    rows, steps = (math.prod(shape.size[n] for n in names) for names in (matrix.rows, matrix.steps))
    wide, high, depth = math.ceil(shape.size[plan.vector] / SQUARE), math.ceil(rows / SQUARE), math.ceil(steps / DEPTH)
    if plan.split == "rows":
        high = math.ceil(high / 2)
    else:
        wide = math.ceil(wide / 2)
    copy = [BLOCK_CYCLES + TURN_CYCLES * (lying == bool(number)) for number, lying in enumerate(matrix.lying)]
    left = 2 * high * depth * math.ceil(wide * SQUARE / matrix.columns) * copy[0]
    right = 2 * wide * depth * (1 if steps <= matrix.depth else math.ceil(high * SQUARE / ROWS)) * copy[1]
    chunks = math.ceil(high * SQUARE / ROWS) * math.ceil(steps / STEPS) * math.ceil(wide * SQUARE / matrix.columns)
    squares = wide * high * (depth * SQUARE_CYCLES + 2 * SQUARE * SUM_CYCLES)
    return START_CYCLES + chunks * TABLE_CYCLES + squares + left + right + far_cycles(shape) + summing(shape)


def far_cycles(shape: Shape) -> float:
    """Cycles in which an epilogue waits for memory."""
    touched = sum(1 + loaded for loaded in shape.results.values()) * shape.result_bytes
    return FAR_CYCLES * touched / 2 if touched > L2_BYTES else 0.0
