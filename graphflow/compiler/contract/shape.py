"""The axes of a contraction with the numbers that choosing a plan needs: strides, sizes as far as they are known, bytes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from graphflow.compiler.contract.analyse import Strides, fills, first_store, strides
from graphflow.compiler.contract.core import core_of
from graphflow.compiler.contract.cuts import guess, lengths
from graphflow.compiler.contract.plan import Panel, Plan
from graphflow.compiler.llvm.target import Target
from graphflow.kernel.expr import TYPES, Call, Load, walk
from graphflow.kernel.index import Index, symbols_of
from graphflow.kernel.nodes import Axis, Contract, Let, Store

L2_BYTES = 768 << 10  # what the operands may fill while all tiles pass over them
L1_BYTES = 40 << 10  # what a panel of the operand along the lanes may fill
FEW_STEPS = 256  # of a reduction, up to which the way of the sums through memory shows


@dataclass(frozen=True)
class Shape:
    """The axes of a contraction with the numbers that pricing needs."""

    contract: Contract
    target: Target
    moves: dict[str, Strides]
    size: dict[str, int]
    results: dict[str, bool]  # the buffers that the epilogue stores in, or reads where it stores, and whether it reads them

    @cached_property
    def itemsize(self) -> int:
        """Bytes of an element of the operands."""
        return TYPES[self.contract.left.type].itemsize

    @cached_property
    def side_bytes(self) -> tuple[int, ...]:
        """Bytes of each operand (windows that overlap counted as often as they are read)."""
        return tuple([self.itemsize * math.prod(n for name, n in self.size.items() if self.side(name, side) != 0) for side in (0, 1)])

    @cached_property
    def result_bytes(self) -> int:
        """Bytes of all results."""
        return self.itemsize * math.prod(self.size[a.name] for a in self.contract.free)

    @cached_property
    def furthest(self) -> set[str]:
        """The axes that move an operand furthest."""
        return {max(self.moves, key=lambda name: guess(self.side(name, side))) for side in (0, 1)} if self.moves else set()

    @cached_property
    def straddling(self) -> set[tuple[str, int]]:
        """(axis, operand) of which vectors may straddle two cache lines: some other axis moves the operand by less than whole vectors."""
        lanes = lanes_of(self)
        parts = [{name for name, m in self.moves.items() if isinstance(n := m.operand(side), int) and n % lanes} for side in (0, 1)]
        return {(name, side) for name in self.moves for side in (0, 1) if self.side(name, side) == 1 and parts[side] - {name}}

    @cached_property
    def steps(self) -> int:
        """How many products a sum has."""
        return math.prod(self.size[a.name] for a in self.contract.reduced)

    @cached_property
    def few_steps(self) -> bool:
        """Whether so little is summed that the way of the sums through memory shows."""
        return self.steps < FEW_STEPS

    @cached_property
    def work(self) -> int:
        """What the epilogue loads, stores and calls for each register."""
        found = 0
        for statement in self.contract.epilogue:
            if isinstance(statement, Let | Store):
                found += sum(isinstance(e, Load | Call) for e in walk(statement.value)) + isinstance(statement, Store)
        return found

    @cached_property
    def short(self) -> bool:
        """Whether the epilogue is short code beside the sums."""
        return self.work <= (16 if self.steps < 128 else 5)

    @cached_property
    def repeatable(self) -> bool:
        """Whether a result may be finished twice, as tiles that overlap would: nothing is read where something is stored."""
        statements = self.contract.epilogue
        stores = [s for s in statements if isinstance(s, Store)]
        loaded = {e.buffer for s in statements if isinstance(s, Let | Store) for e in walk(s.value) if isinstance(e, Load)}
        plain = all(s.guard is None and s.buffer not in loaded for s in stores)
        return plain and fills(self.contract) == stores

    @cached_property
    def loose(self) -> list[Axis]:
        """Free axes on which the length of no reduction depends: those whose steps may share a tile."""
        tied: set[str] = set()
        for axis in self.contract.reduced:
            tied |= symbols_of(axis.extent) | symbols_of(axis.start)
        return [a for a in self.contract.free if a.name not in tied]

    @cached_property
    def _axes(self) -> dict[str, Axis]:
        return {a.name: a for a in (*self.contract.free, *self.contract.reduced)}

    def axis(self, name: str) -> Axis:
        return self._axes[name]

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


def far_bytes(shape: Shape, plan: Plan) -> int:
    """Bytes of the operand that columns read, where that is more than the second-level cache holds."""
    total = sum(shape.side_bytes[side] for side in (0, 1) if plan.vector and shape.side(plan.vector, side) != 0)
    return total if total > core_of(shape.target).far else 0


def gapless(plan: Plan, axis: Axis, moves: Callable[[str], Strides], lanes: int, target: Target) -> bool:
    """Whether the steps side by side in the lanes, which run along `axis`, are for all columns one piece of the operand's memory that whole
    vectors can read. `moves`: the strides of an axis."""
    if plan.fold is None:
        return False
    name, many = plan.fold
    width = axis.extent
    side = next(n for n in (0, 1) if moves(plan.vector).operand(n) != 0)
    if not isinstance(width, int) or moves(name).operand(side) != width:
        return False
    return target.masks or width * many % lanes == 0


def panel_count(panels: tuple[Panel, ...]) -> int:
    return sum(guess(p.count) for p in panels)
