"""The innermost loops of a contraction: a tile of accumulators in registers, one step of the reduction per iteration.

Only one step stands in the loop's body: with several, LLVM's scheduler hoists the broadcasts of later steps and spills accumulators.
Not so where rows share what they load (a convolution's window, which moves over the image by less than it is wide): several steps are one
iteration there, in the order of the shared elements, each of which is loaded once and used at once by every row and step that reads it.
All addresses of a step are constant displacements from one pointer per operand, which the loops advance by constants.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from graphflow.compiler.contract.foresee import L1, Awaited, Following, Upcoming, prefetch
from graphflow.compiler.llvm import functions
from graphflow.compiler.llvm.builder import SIZES, FunctionBuilder, Reg, split_vector, vector
from graphflow.compiler.llvm.target import Target
from graphflow.compiler.llvm.transpose import collected
from graphflow.kernel.expr import FLOATS

FAR = 64  # bytes between steps from which prefetching pays
MOST_LINES = 8  # cache lines of one operand asked for in one step


Place = tuple[int, tuple[str, ...]]  # a displacement: its known part, and the registers that hold the others


@dataclass(frozen=True)
class Operand:
    """One side of the product as a tile sees it. `rows` are displacements (None: the same for all rows), `columns` likewise, and `turns`
    those of the steps that one iteration takes; `steps` are how far each reduced loop, outermost first, moves it (None: not at all).
    `wide`: neighbouring lanes are neighbours in memory; else one element serves all lanes. `near`: its steps follow each other without
    gaps, as the machine expects. `copy`: where the vectors of all columns are put, step after step, and how far those of one step are from
    the next. `beside`: how far apart the steps are that lie side by side in the lanes of a column, if any do;
    `gapless`: as far as all columns reach."""

    pointer: Reg
    rows: tuple[Reg, ...] | None
    columns: tuple[Reg, ...] | None
    wide: bool
    steps: tuple[Reg | None, ...]
    near: bool = False
    turns: tuple[Reg, ...] | None = None
    beside: Reg | None = None
    gapless: bool = False
    copy: tuple[Reg, int] | None = None


@dataclass(frozen=True)
class Column:
    """One register column of the tile: its lanes and, where not all exist, which."""

    lanes: int
    mask: Reg | None


class Microkernel:
    """Emits the sums of one tile."""

    def __init__(
        self, b: FunctionBuilder, scalar: str, element: str, target: Target, operands: Sequence[Operand], columns: Sequence[Column],
        sequence: Sequence[tuple[int, int]], ahead: Sequence[int], asked: Sequence[Awaited | Upcoming], following: Sequence[Following],
        abreast: int = 1,
    ) -> None:  # fmt: skip
        self.b = b
        self.scalar = scalar
        self.float = element in FLOATS
        self.half = element == "f16"
        self.target = target
        self.operands = operands
        self.columns = columns
        self.ahead = ahead
        self.asked = asked
        self.sequence = sequence
        self.following = following
        self.abreast = abreast
        self.rest: Reg | None = None
        self.mask: Reg | None = None
        self.copies: list[Reg | None] = [None, None]  # where the step at hand of an operand is put

    def sums(self, trips: Sequence[tuple[Reg, bool]], first: list[Reg], rest: Reg | None = None) -> list[Reg]:
        """The accumulators, row by row, after all reduced loops; `trips` are their lengths and whether each is surely positive. `rest` is
        the mask of one more step after the innermost loop, where that runs along the lanes."""
        self.rest = rest
        self.b.keep_apart()
        pointers = [o.pointer for o in self.operands]
        if len(trips) > 1 and rest is None:
            return self._flat(trips, pointers, first)
        return self._loops(trips, 0, pointers, first)

    def _flat(self, trips: Sequence[tuple[Reg, bool]], pointers: list[Reg], sums: list[Reg]) -> list[Reg]:
        """All reduced loops as one, whose counters carry into each other like the digits of a number.

        Nested loops around so many live registers take LLVM's allocator twice as long, and leaving a short inner loop is mispredicted.
        """
        b = self.b
        total = trips[0][0]
        for count, _ in trips[1:]:
            total = b.mul(total, count)
        counts = [count for count, _ in trips[1:]]
        zero = b.i64(0)
        jumps: list[list[Reg]] = []  # for each carry, how far it moves each operand beyond the step inside it
        for level in range(len(trips) - 2, -1, -1):
            inside = trips[level + 1][0]
            line = []
            for o in self.operands:
                back = b.mul(o.steps[level + 1] or zero, inside)
                line.append(self._difference(o.steps[level] or zero, back))
            jumps.append(line)
        asked = [f.reached(b) for f in self.following]
        with b.repeat("k", total, [*sums, *pointers, *counts, *asked], all(sure for _, sure in trips)) as loop:
            many = len(sums)
            here = loop.carried[many : many + len(pointers)]
            digits = loop.carried[many + len(pointers) : many + len(pointers) + len(counts)]
            asked = [f.ask(b, at) for f, at in zip(self.following, loop.carried[many + len(pointers) + len(counts) :], strict=True)]
            moved = [b.element(p, o.steps[-1] or zero, self.scalar) for p, o in zip(here, self.operands, strict=True)]
            # Counted before the multiplications, so that these stand in one block with the loop's end: LLVM would sink them behind
            # the branches, where all that was loaded before stays live.
            following = self._carry(jumps, counts, [*moved, *digits], 0)
            self._prefetch(here)
            done = self._step(here, loop.carried[:many])
            loop.carried = [*done, *following, *asked]
        for f, at in zip(self.following, loop.results[len(loop.results) - len(asked) :], strict=True):
            b.store(at, f.place)
        return loop.results[: len(sums)]

    def _carry(self, jumps: list[list[Reg]], counts: list[Reg], state: list[Reg], place: int) -> list[Reg]:
        """Count one step of the digit `place` from the right; where it overflows, begin it again and go on with the next. `state` holds
        the pointers and the digits. Branches, not selects: the ports of a conditional move are those of the multiply-add."""
        if place == len(jumps):
            return state
        b = self.b
        at = len(self.operands) + len(counts) - 1 - place
        less = b.binary("sub", state[at], b.i64(1))
        state = [*state[:at], less, *state[at + 1 :]]
        carry, go = b.label("carry"), b.label("go")
        point = b.point()
        b.branch_if(b.compare("icmp eq", less, b.i64(0)), carry, go)
        b.start(carry)
        moved = [b.element(p, jump, self.scalar) for p, jump in zip(state, jumps[place], strict=False)]
        fresh = [*moved, *state[len(moved) :]]
        fresh[at] = counts[at - len(self.operands)]
        fresh = self._carry(jumps, counts, fresh, place + 1)
        last = b.block
        b.branch(go)
        b.start(go)
        return [
            old if old == new else b.instruction(old.type, f"phi {old.type} [ {old.ref}, %{point.block} ], [ {new.ref}, %{last} ]", "on")
            for old, new in zip(state, fresh, strict=True)
        ]

    def _difference(self, a: Reg, b: Reg) -> Reg:
        if a.known is not None and b.known is not None:
            return self.b.i64(a.known - b.known)
        return self.b.binary("sub", a, b)

    def _loops(self, trips: Sequence[tuple[Reg, bool]], level: int, pointers: list[Reg], sums: list[Reg]) -> list[Reg]:
        if level == len(trips):
            self._prefetch(pointers)
            return self._step(pointers, sums)
        b, inner = self.b, level + 1 == len(trips)
        moving = [n for n, o in enumerate(self.operands) if o.steps[level] is not None]
        count, surely = trips[level]
        with b.repeat("k", count, [*sums, *(pointers[n] for n in moving)], surely) as loop:
            if inner:
                for memory in self.asked:
                    memory.ask(b, self.scalar, loop.index)
            here = list(pointers)
            for place, n in enumerate(moving):
                here[n] = loop.carried[len(sums) + place]
            if inner:
                self.copies = [
                    b.element(o.copy[0], b.mul(loop.index, b.i64(o.copy[1])), self.scalar) if o.copy else None for o in self.operands
                ]
            done = self._loops(trips, level + 1, here, loop.carried[: len(sums)])
            following = []
            for n in moving:
                step = self.operands[n].steps[level]
                assert step is not None
                following.append(b.element(here[n], step, self.scalar))
            loop.carried = [*done, *following]
        sums, ends = loop.results[: len(sums)], loop.results[len(sums) :]
        if inner and self.rest is not None:
            pointers = list(pointers)
            for n, end in zip(moving, ends[: len(moving)], strict=True):
                pointers[n] = end
            sums = self._step(pointers, sums, self.rest)
        return sums

    def _prefetch(self, pointers: list[Reg]) -> None:
        """Ask for what later steps need, where they are too far apart for the machine to guess."""
        b, size = self.b, SIZES[self.scalar]
        for operand, pointer, ahead in zip(self.operands, pointers, self.ahead, strict=True):
            step = operand.steps[-1] if operand.steps else None
            if not ahead or operand.near or step is None or step.known is None or abs(step.known) * size < FAR:
                continue
            lines: set[int] = set()
            here = (b.i64(0),)
            moves = product(operand.rows or here, operand.columns or here, operand.turns or here)
            places = [sum(m.known for m in place if m.known) for place in moves if all(m.known is not None for m in place)]
            away = step.known * math.ceil(ahead / len(operand.turns or here))
            last = max(places, default=0)
            for place in sorted(places):
                apart = 64 if place != last else 32  # what lies across the boundary of a line needs the next one as well
                if all(abs(place - line) * size >= apart for line in lines) and len(lines) < MOST_LINES:
                    lines.add(place)
                    there = b.element(pointer, b.i64(away + place), self.scalar)
                    prefetch(b, there, L1)

    def _step(self, pointers: list[Reg], sums: list[Reg], mask: Reg | None = None) -> list[Reg]:
        self.mask = mask
        width = len(self.columns)
        values: dict[tuple[int, int, Place], Reg] = {}
        for side, operand in enumerate(self.operands):
            if operand.rows is None and operand.turns is None:
                for column in range(width):
                    value, copy = self._value(values, side, pointers[side], 0, column), self.copies[side]
                    if copy is not None and operand.columns is not None:
                        self.b.store(value, self.b.element(copy, operand.columns[column], self.scalar))
        out = list(sums)
        for turn, row in self.sequence:
            for column in range(width):
                a, b = (self._value(values, side, pointers[side], row, column, turn) for side in (0, 1))
                out[row * width + column] = self._multiply_add(a, b, out[row * width + column])
        return out

    def _value(self, values: dict[tuple[int, int, Place], Reg], side: int, pointer: Reg, row: int, column: int, turn: int = 0) -> Reg:
        """The operand at (row, column), loaded once for all that read it there."""
        operand = self.operands[side]
        shape = self.columns[column]
        moves = [m[n] for m, n in ((operand.turns, turn), (operand.rows, row), (operand.columns, column)) if m is not None]
        others = [m for m in moves if m.known is None]
        place = sum(m.known for m in moves if m.known), tuple([m.ref for m in others])
        key = (side, shape.lanes, place)
        found = values.get(key)
        if found is None:
            address = self.b.element(pointer, self.b.i64(place[0]), self.scalar)
            for move in others:
                address = self.b.element(address, move, self.scalar)
            if operand.beside is not None:
                found = self._from_block(values, side, address, column, place) if operand.gapless else self._beside(operand, address, shape)
            elif operand.wide:
                found = self.single(self.b.load(vector(self.scalar, shape.lanes), address, mask=self.mask or shape.mask))
            else:
                found = self.b.splat(self.single(self.b.load(self.scalar, address)), shape.lanes)
            values[key] = found
        return found

    def _beside(self, operand: Operand, address: Reg, shape: Column) -> Reg:
        """The steps that lie side by side in each column's lanes: of a column's own, or the same for all columns."""
        b, many = self.b, self.abreast
        assert operand.beside is not None
        if not operand.wide:
            return b.shuffle(b.load(vector(self.scalar, many), address), [n for _ in range(shape.lanes) for n in range(many)])
        places = (b.element(address, b.mul(operand.beside, b.i64(n)), self.scalar) for n in range(many))
        steps = [b.load(vector(self.scalar, shape.lanes), place, mask=shape.mask) for place in places]
        while len(steps) > 1:  # those half of all apart become neighbours
            half, lanes = len(steps) // 2, split_vector(steps[0].type)[1]
            both = [n + side * lanes for n in range(lanes) for side in (0, 1)]
            steps = [b.shuffle(x, both, y) for x, y in zip(steps[:half], steps[half:], strict=True)]
        return steps[0]

    def _from_block(self, values: dict[tuple[int, int, Place], Reg], side: int, address: Reg, column: int, place: Place) -> Reg:
        """The same where the steps of all columns are one piece of memory, from whole vectors of it, which all columns share."""
        b, many, operand = self.b, self.abreast, self.operands[side]
        lanes = self.columns[column].lanes * many
        assert operand.beside is not None and operand.beside.known is not None and operand.columns is not None
        width, first = operand.beside.known, operand.columns[column].known or 0
        start = b.element(address, b.i64(-first), self.scalar)
        size = width * many
        wanted = [n * width + first + c if first + c < width else n * width + first for c in range(lanes // many) for n in range(many)]
        vectors = {}
        for at in dict.fromkeys(n // lanes * lanes for n in wanted):
            key = (side, -lanes, (place[0] - first + at, place[1]))
            if key not in values:
                mask = None if at + lanes <= size else b.mask([at + n < size for n in range(lanes)])
                values[key] = b.load(vector(self.scalar, lanes), b.element(start, b.i64(at), self.scalar), mask=mask)
            vectors[at] = values[key]
        return collected(b, [(vectors[n // lanes * lanes], n % lanes) for n in wanted])

    def single(self, value: Reg) -> Reg:
        """Half precision is multiplied and summed in single precision."""
        return functions.convert(self.b, self.target, value, "f16", "f32") if self.half else value

    def _multiply_add(self, a: Reg, b: Reg, sum_: Reg) -> Reg:
        if self.float and self.target.fma:
            return self.b.fma(a, b, sum_)
        if self.float:
            return self.b.binary("fadd", self.b.binary("fmul", a, b), sum_)
        return self.b.binary("add", self.b.binary("mul", a, b), sum_)


def across(b: FunctionBuilder, sums: Sequence[Reg], element: str) -> Reg:
    """One lane for each of up to a register full of vectors: the sum of its lanes, halves first.

    Two vectors are folded into one, whose first half belongs to the first of them, until one is left: fewer shuffles than one at a time.
    """
    _, lanes = split_vector(sums[0].type)
    add = "fadd" if element in FLOATS else "add"
    many = 1 << (len(sums) - 1).bit_length()
    level = [*sums, *[sums[-1]] * (many - len(sums))]
    groups = 1  # sums that one vector holds parts of
    while len(level) > 1:
        level = [_fold(b, add, x, y, groups) for x, y in zip(level[::2], level[1::2], strict=True)]
        groups *= 2
    value = level[0]
    while split_vector(value.type)[1] > many:
        value = _fold(b, add, value, None, groups)
    if many > 1:
        return value
    return b.instruction(split_vector(value.type)[0], f"extractelement {value.type} {value.ref}, i64 0")


def _fold(b: FunctionBuilder, add: str, x: Reg, y: Reg | None, groups: int) -> Reg:
    """The halves of every group of lanes added: of x and y side by side, or of x alone in half as many lanes."""
    _, lanes = split_vector(x.type)
    size = lanes // groups
    halves = []
    for half in (0, 1):
        chosen = [
            v * lanes + g * size + half * (size // 2) + n for v in range(2 if y else 1) for g in range(groups) for n in range(size // 2)
        ]
        halves.append(b.shuffle(x, chosen, y))
    return b.binary(add, halves[0], halves[1])


def folded(b: FunctionBuilder, value: Reg, many: int, element: str) -> Reg:
    """The sums of every `many` neighbouring lanes, a power of two."""
    _, lanes = split_vector(value.type)
    apart = many // 2
    while apart:  # sums of whole registers: horizontal additions, which LLVM makes of pairs, cannot be had of the upper registers
        value = b.binary("fadd" if element in FLOATS else "add", value, b.shuffle(value, [n ^ apart for n in range(lanes)]))
        apart //= 2
    return b.shuffle(value, range(0, lanes, many))
