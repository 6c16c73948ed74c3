"""The axes of a contraction with the numbers that choosing a plan needs: strides, sizes as far as they are known, bytes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from graphflow.compiler.contract.analyse import Strides, first_store, strides
from graphflow.compiler.contract.cuts import guess, lengths
from graphflow.compiler.contract.plan import Panel, Plan
from graphflow.compiler.llvm.target import Target
from graphflow.kernel.expr import TYPES, Load, walk
from graphflow.kernel.index import Index
from graphflow.kernel.nodes import Axis, Contract, Let, Store

L2_BYTES = 768 << 10  # what the operands may fill while all tiles pass over them
L1_BYTES = 40 << 10  # what a panel of the operand along the lanes may fill


@dataclass(frozen=True)
class Shape:
    """The axes of a contraction with the numbers that pricing needs."""

    contract: Contract
    target: Target
    moves: dict[str, Strides]
    size: dict[str, int]
    results: dict[str, bool]  # the buffers that the epilogue stores in, or reads where it stores, and whether it reads them

    @property
    def itemsize(self) -> int:
        """Bytes of an element of the operands."""
        return TYPES[self.contract.left.type].itemsize

    def axis(self, name: str) -> Axis:
        return next(a for a in (*self.contract.free, *self.contract.reduced) if a.name == name)

    def side(self, name: str, side: int) -> Index:
        return self.moves[name].operand(side) if name else 0


def shape_of(contract: Contract, target: Target) -> Shape:
    """The contraction's axes with their strides and (guessed) sizes."""
    axes = (*contract.free, *contract.reduced)
    moves, size = {a.name: strides(contract, a.name) for a in axes}, {a.name: max(lengths(a, contract.free)) for a in axes}
    return Shape(contract, target, moves, size, results(contract))


def results(contract: Contract) -> dict[str, bool]:
    """The buffers that the epilogue stores results in, or reads where it does so, and whether it reads them."""
    offset = first_store(contract).offset
    found: dict[str, bool] = {}
    for s in contract.epilogue:
        if isinstance(s, Let | Store):
            found.update((e.buffer, True) for e in walk(s.value) if isinstance(e, Load) and e.offset == offset)
        if isinstance(s, Store):
            found.setdefault(s.buffer, False)
    return found


def lanes_of(shape: Shape) -> int:
    """Sums in one register; half precision is summed in single precision."""
    type_ = shape.contract.left.type
    return shape.target.lanes("f32" if type_ == "f16" else type_)


def operand_bytes(shape: Shape) -> int:
    """Bytes of both operands (windows that overlap counted as often as they are read)."""
    return sum(side_bytes(shape, side) for side in (0, 1))


def side_bytes(shape: Shape, side: int) -> int:
    """Bytes of one operand."""
    return shape.itemsize * math.prod(n for name, n in shape.size.items() if shape.side(name, side) != 0)


def result_bytes(shape: Shape) -> int:
    """Bytes of all results."""
    return shape.itemsize * math.prod(shape.size[a.name] for a in shape.contract.free)


def far_bytes(shape: Shape, plan: Plan) -> int:
    """Bytes of the operand that columns read, where that is more than the second-level cache holds."""
    total = sum(side_bytes(shape, side) for side in (0, 1) if plan.vector and shape.side(plan.vector, side) != 0)
    return total if total > 4 * L2_BYTES else 0


def gapless(contract: Contract, plan: Plan, target: Target) -> bool:
    """Whether the steps side by side in the lanes are, for all columns, one piece of the operand's memory that whole vectors can read."""
    if plan.fold is None:
        return False
    name, many = plan.fold
    width = next(a.extent for a in contract.free if a.name == plan.vector)
    side = next(n for n in (0, 1) if strides(contract, plan.vector).operand(n) != 0)
    if not isinstance(width, int) or strides(contract, name).operand(side) != width:
        return False
    return target.masks or width * many % target.lanes(contract.left.type) == 0


def panel_count(panels: tuple[Panel, ...]) -> int:
    return sum(guess(p.count) for p in panels)
