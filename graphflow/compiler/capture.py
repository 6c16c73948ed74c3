"""From a Graph, fetches and feeds to a Program.

    Graph ops that the fetches reach ─ in order ─► Op.decompose ─► core and elementwise nodes over symbolic sizes

Sizes. A size of a feed that the graph leaves unknown becomes a symbol, and equal sizes share one ("the batch"), so that a Program serves
every batch size. Which sizes are equal is the *pattern* of the feeds and belongs to the Program's identity. Where symbols are not enough
(a broadcast that depends on the size, a shape rule that must decide) the Program is captured again with the sizes as plain numbers.

Cuts. Where a size depends on data, or Python gives a result of unknown shape, `Cut` names the tensors that must be computed first; the
caller runs them and captures the rest with their values as feeds.

What single operations become is in compiler/scope.py; loops and branches are found by compiler/control.py and become nodes with bodies in
compiler/enclose.py.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from graphflow.compiler.arrays import Irregular
from graphflow.compiler.assumptions import Inexact, assumptions, may_be_negative
from graphflow.compiler.beginnings import Beginnings
from graphflow.compiler.branches import guards
from graphflow.compiler.builder import ProgramBuilder
from graphflow.compiler.control import Needed
from graphflow.compiler.measuring import Unmeasured
from graphflow.compiler.presumptions import Presumption, Presumptions, further
from graphflow.compiler.program import Node, Program, Source
from graphflow.compiler.regions import every_node
from graphflow.compiler.scope import ROOM, Cut, Scope, Shared, Stepwise, Variables
from graphflow.compiler.templates import KEPT, Templates
from graphflow.graph.op import Kind
from graphflow.graph.operation import Operation
from graphflow.graph.tensor import Tensor
from graphflow.kernel.index import Index, IndexExpr, evaluate, symbol, symbols_of
from graphflow.ops.measured import measured_in

__all__ = [
    "Captured", "Cut", "Feed", "Irregular", "Pattern", "Stepwise", "Variables", "capture", "needed_operations",
    "static_pattern", "symbolic_pattern",
]  # fmt: skip


class Feed(NamedTuple):
    """A fed tensor and the shape that this run feeds. `known`: its contents, where later sizes depend on them."""

    tensor: Tensor
    shape: tuple[int, ...]
    known: np.ndarray[Any, Any] | None = None


class Pattern(NamedTuple):
    """Which sizes of the feeds are symbols: per feed, per axis, a number or a symbol's name. Hashable: part of a Program's identity."""

    sizes: tuple[tuple[int | str, ...], ...]

    def values(self, feeds: Sequence[Feed]) -> dict[str, int]:
        """The symbols' values for these feeds."""
        out: dict[str, int] = {}
        for sizes, feed in zip(self.sizes, feeds, strict=True):
            for name, number in zip(sizes, feed.shape, strict=True):
                if isinstance(name, str):
                    out[name] = number
        return out


class Captured(NamedTuple):
    """A Program and how its inputs and outputs are called in the graph.

    reads: variables whose old value is used. unfixed: those whose value has a shape that the graph leaves open, or another one.
    answers: which variables capture found initialised or not where an op asked; with other answers the Program is another one. guards:
    sizes that must not be negative; for feeds with which one is, it is another one too.
    presumed: what a run must find to be so, see compiler/presumptions.py.
    """

    program: Program
    feeds: tuple[Tensor, ...]
    fetches: tuple[Tensor, ...]
    reads: tuple[str, ...]
    unfixed: frozenset[str]
    answers: tuple[tuple[str, bool], ...]
    operations: tuple[Operation, ...]
    guards: tuple[IndexExpr, ...] = ()
    presumed: Presumptions = {}

    def fits(self, sizes: Mapping[str, int]) -> bool:
        """Whether the Program may serve these values of its symbols."""
        return all(evaluate(g, sizes) >= 0 for g in self.guards)


def symbolic_pattern(feeds: Sequence[Feed], leading: bool = False) -> Pattern:
    """Sizes that the graph leaves unknown as symbols, equal ones shared. A 1 or 0 beside others stays a number: it may broadcast. With
    `leading`, of each tensor the first size alone: how many elements a sparse tensor has, not how many numbers their indices consist of."""
    most = 1 if leading else None
    pairs = [(n, d) for f in feeds if f.known is None for n, d in zip(f.shape[:most], _static(f.tensor, len(f.shape))[:most], strict=True)]
    unknown = {n for n, d in pairs if d is None}
    fixed = {0, 1} if len(unknown) > 1 else {0}
    names: dict[int, str] = {}
    sizes = []
    for feed in feeds:
        row: list[int | str] = []
        for axis, (number, static) in enumerate(zip(feed.shape, _static(feed.tensor, len(feed.shape)), strict=True)):
            if static is not None or number in fixed or feed.known is not None or (leading and axis):
                row.append(number)
            else:
                row.append(names.setdefault(number, f"s{len(names)}"))
        sizes.append(tuple(row))
    return Pattern(tuple(sizes))


def static_pattern(feeds: Sequence[Feed]) -> Pattern:
    """Every size as a number."""
    return Pattern(tuple(f.shape for f in feeds))


def _static(tensor: Tensor, rank: int) -> tuple[int | None, ...]:
    dims = tensor._shape_tuple()
    return (None,) * rank if dims is None else dims


def needed_operations(fetches: Sequence[Tensor], targets: Iterable[Operation], hidden: set[Tensor], done: Iterable[Operation],
                      chosen: Callable[[Operation], Sequence[Tensor]]) -> Needed:  # fmt: skip
    """Every operation that must run. `hidden` tensors are fed, which hides what is behind them; `chosen` gives the inputs that an operation
    really needs."""
    needed = Needed(hidden, done, chosen)
    needed.need(fetches, targets)
    return needed


def capture(fetches: Sequence[Tensor], targets: Sequence[Operation], feeds: Sequence[Feed], pattern: Pattern,
            variables: Variables, done: Iterable[Operation] = (), templates: Templates | None = None,
            refuted: Collection[Presumption] = (), beginnings: Beginnings | None = None,
            needed: Needed | None = None) -> Captured:  # fmt: skip
    """The Program that computes `fetches` and runs `targets`. `templates`, `beginnings`: of this session's captures. `refuted`: what must
    not be presumed of sizes that depend on data. `needed`: the operations, where somebody has looked for them already.

    done: operations that an earlier part of the same run has executed; the tensors of theirs that are needed must be fed. Raises Cut,
    Stepwise, and what the shape rules raise.
    """
    presumed: dict[str, tuple[Presumption, ...]] = {}
    grows = True  # otherwise a loop in which arrays do is Stepwise, and sizes that nothing limits are Cuts
    while True:
        level = needed or needed_operations(fetches, targets, {f.tensor for f in feeds}, done, attrgetter("inputs"))
        needed, operations = None, level.operations
        ordinary = bool(operations) and grows and not (presumed or done or level.controlled or any(f.known is not None for f in feeds))
        shares = beginnings if ordinary else None
        given = tuple([f.tensor for f in feeds]), pattern
        begun = None if shares is None else shares.find(given, operations, variables)
        if begun is None:
            builder = ProgramBuilder(measures=True, boundless=grows, presumed=presumed)
            scope, start = Scope(builder, Shared(variables, templates, grows)), 0
            for feed, sizes in zip(feeds, pattern.sizes, strict=True):
                _enter(scope, feed, sizes)
        else:
            scope, start = begun
        try:
            if shares is not None:
                shares.run(scope, level, operations, start, given)
            else:
                scope.run(level, operations, guards(level, operations) if level.controlled else {})
            return _captured(scope, level, fetches, feeds)._replace(presumed=presumed)
        except (ValueError, TypeError, Unmeasured) as error:
            found = further(error, presumed, refuted) if grows and isinstance(error, Inexact) else None
            if found is not None:
                presumed[found.name] = (*presumed.get(found.name, ()), found)
                continue
            if grows and (presumed or scope.b.guessed or ROOM in scope.shared.symbols):
                presumed, grows = {}, False
                continue
            counted = [t for op in scope.shared.measuring for t in op.outputs]
            if not counted or set(counted) <= set(fetches) or any(isinstance(size, str) for sizes in pattern.sizes for size in sizes):
                raise
            # Symbols are not enough for what follows from these sizes: they become those of feeds.
            raise Cut(counted, contents=False) from None


def _captured(scope: Scope, level: Needed, fetches: Sequence[Tensor], feeds: Sequence[Feed]) -> Captured:
    """What the operations of `level`, which the scope has run, are as a Program."""
    b = scope.b
    outputs = [scope.read(tensor, -1) for tensor in fetches]
    for name, versions in scope.versions.items():
        b.updates[name] = versions[-1].value
    program = b.finish(outputs, scope.shared.symbols)
    shared = scope.shared
    everything = tuple(level.at_all_levels if level.frames else level.operations)
    limits = _guards(program, everything, shared.guards, shared.templates.limits)
    used = {v.id for n in program.nodes for v in n.inputs} | {v.id for v in program.outputs}
    moved = {v.id: name for name, v in program.updates.items()}
    reads = [n for n, v in scope.initial.items() if v.id in used or moved.get(v.id, n) != n]
    unfixed = frozenset([n for n, memory in scope.memories.items() if memory.spec.dims != scope.initial[n].shape])
    fed = tuple([f.tensor for f in feeds])
    return Captured(program, fed, tuple(fetches), tuple(reads), unfixed, tuple(shared.answers.items()), everything, limits)


def _enter(scope: Scope, feed: Feed, sizes: tuple[int | str, ...]) -> None:
    dims: list[Index] = []
    for axis, size in enumerate(sizes):
        if isinstance(size, str):
            scope.shared.symbols.setdefault(size, (feed.tensor.name, axis))
            dims.append(symbol(size, 1))
        else:
            dims.append(size)
    dtype = feed.tensor.dtype.base_dtype
    if feed.known is not None:
        scope.values[feed.tensor] = scope.b.constant(feed.known, dtype)
    else:
        scope.values[feed.tensor] = scope.b.input(Source.FEED, feed.tensor.name, dtype, dims)


def _guards(program: Program, operations: Sequence[Operation], more: Sequence[IndexExpr],
            known: dict[Hashable, tuple[IndexExpr, ...]]) -> tuple[IndexExpr, ...]:  # fmt: skip
    """What the Program takes for granted of its symbols. `known`: the same of single nodes, by their ops and the shapes around them."""
    found = dict.fromkeys(more)
    for node in every_node(program):
        remembered = node.op.kind not in (Kind.REGION, Kind.HOST)
        alike = (node.op, *[v.shape for v in node.inputs], *[v.shape for v in node.outputs]) if remembered else None
        limits = known.get(alike)
        if limits is None:
            try:
                limits = tuple(_limits(node))
            except Inexact as error:
                name = node.origins[-1].name if node.origins else ""
                error.operation = next((op for op in operations if op.name == name), None)  # type: ignore[attr-defined]
                raise
            if remembered:
                if len(known) >= KEPT:
                    known.clear()
                known[alike] = limits
        if limits:
            found.update(dict.fromkeys(limits))
    limits = tuple(g for g in found if may_be_negative(g))
    doubtful = [size for size in limits if measured_in(size)]
    if doubtful:
        equal = [(size, 0) for size in doubtful if -size in doubtful]
        raise Inexact(f"{doubtful[0]} is not negative only for some data", equal, () if equal else doubtful)
    return limits


def _limits(node: Node) -> Iterator[IndexExpr]:
    """What a node takes for granted of the symbols."""
    for size in assumptions(node):
        if isinstance(size, IndexExpr):
            if ROOM not in symbols_of(size) and may_be_negative(size):  # what is in an array has room there
                yield size
        elif size < 0:
            wrong = any(size in v.shape for v in node.outputs)
            raise Inexact(f"Dimension {size} must be >= 0" if wrong else f"{node!r}: a position of {size}")
