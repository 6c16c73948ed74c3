"""Whether a contraction fits the matrix tiles, in which way, and what that costs.

Rows are all free axes but the one the results run along, steps all reduced ones. Both operands must be readable as registers of 16
elements: along the steps, or along their own rows or columns. A convolution whose images are small, and whose pixels are whole lines of 32
elements, is done image by image (images.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from graphflow.compiler.contract.blocking import Choice
from graphflow.compiler.contract.cuts import guess, varies
from graphflow.compiler.contract.plan import Matrix, Plan
from graphflow.compiler.contract.shape import L2_BYTES, Shape, result_bytes, shape_of
from graphflow.compiler.llvm.target import Target
from graphflow.kernel.index import product
from graphflow.kernel.nodes import Axis, Contract

SIDE, DEPTH, TERMS = 16, 32, 3  # a tile holds 16 rows of 32 steps (or 16 pairs of steps by 16 columns)
WORDS = SIDE * SIDE  # of 32 bits in a tile
ROWS, COLUMNS, STEPS = 128, 256, 128  # whose terms and sums are at hand: 430 KiB
ONCE = 64 << 10  # elements of an operand whose terms may be kept for all rows: 384 KiB
SQUARE = 2 * SIDE  # the sums of four tiles
COVERED, IMAGE_SUMS = 48 << 10, 64 << 10  # elements of an image whose terms are kept, and its sums
LINE_CYCLES = 14.0  # of the terms of 32 elements that follow each other
SQUARE_CYCLES = 560  # of 32 x 32 sums over 32 steps
BLOCK_CYCLES, TURN_CYCLES = 220.0, 220.0  # of the terms of 16 x 32 elements, and of turning them
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
    lying = []
    for operand, own in ((side, rows), (1 - side, [vector_axis])):
        ways = [k for k, axes in ((True, steps), (False, own)) if in_line(shape, axes, operand)]
        if not ways:
            return None
        lying.append(ways[0 if operand == side else -1])  # as they lie in a tile, where there is a choice
    assert isinstance(vector_axis.extent, int)
    count = math.ceil(vector_axis.extent / SQUARE)
    total = product(a.extent for a in steps)
    found = []
    for split, share in (("panels", math.ceil(count / 2)), ("rows", count)):
        columns, depth = min(COLUMNS, SQUARE * share), STEPS
        if isinstance(total, int):
            whole = math.ceil(total / DEPTH) * DEPTH
            depth = max(STEPS, whole if columns * whole <= ONCE else 0)
        matrix = Matrix(tuple(a.name for a in rows), tuple(a.name for a in steps), side, (lying[0], lying[1]), columns, depth)
        plan = Plan(vector_axis.name, (), rows[-1].name, "", (), (), (), matrix.steps, split, False, matrix=matrix)
        found.append(Choice(cycles(shape, plan), plan))
        if split == "rows" and depth >= guess(total) and (elements := covered(shape, matrix)):
            plan = replace(plan, matrix=replace(matrix, covered=elements))
            found.append(Choice(image_cycles(shape, plan), plan))
    return min(found, key=lambda p: p.cycles)


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
    return START_CYCLES + chunks * TABLE_CYCLES + squares + left + right + far_cycles(shape)


def far_cycles(shape: Shape) -> float:
    """Cycles in which an epilogue waits for memory."""
    touched = sum(1 + loaded for loaded in shape.results.values()) * result_bytes(shape)
    return FAR_CYCLES * touched / 2 if touched > L2_BYTES else 0.0
