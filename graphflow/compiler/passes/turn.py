"""Matrices that many products read across the grain are transposed once.

    x1 @ transpose(w), x2 @ transpose(w), ...   ->   t = transpose(w);  x1 @ t, x2 @ t, ...

`layout` has products read a transposed operand where it lies. Their kernels then turn it in pieces before they multiply, which is the
better way for one product; but the gradient of an unrolled or looping net multiplies by the same transposed weights in every step. A matrix
that a loop reads from outside is turned before the loop.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from graphflow.compiler.groups import unit
from graphflow.compiler.passes.rewrite import Rewriter, note, substituted
from graphflow.compiler.program import Input, Node, Program, Source, Value, assemble
from graphflow.compiler.regions import Body, Loop, body_operands
from graphflow.compiler.schedule import typical
from graphflow.kernel.index import Index
from graphflow.ops import core

PRODUCTS = 4  # that must read a matrix across the grain: turning it in pieces costs each of them a third of what the copy does
ROWS = 8  # of the other operand, below which a product is over before anything is turned
ELEMENTS = 4096  # of a matrix, below which a kernel of its own is not worth it
ROUNDS = 8  # of a loop, where their number is not known


class Across(NamedTuple):
    """A part of a value that a product reads across the grain: where it begins, its sizes, and the order of its dimensions in the copy."""

    value: int
    begin: tuple[int, ...]
    size: tuple[int, ...]
    order: tuple[int, ...]


def turn(program: Program) -> Program:
    """See the module's text."""
    wishes = _wishes(program)
    granted = {across for across, products in _added_up(wishes).items() if products >= PRODUCTS}
    if not granted:
        return program
    b = Rewriter(program)
    copies: dict[Across, Value] = {}
    values = {v.id: v for node in program.nodes for v in node.inputs}
    for node in program.nodes:
        for across in wishes.get(id(node), ()):
            if across in granted and across not in copies:
                b.origins = node.origins
                part = values[across.value]
                if across.size != part.shape:
                    part = b.apply(core.Section(across.begin, across.size, (1,) * len(across.size)), part)
                copies[across] = b.apply(core.Permute(across.order), part)
        made = node if copies.keys().isdisjoint(wishes.get(id(node), ())) else _given(node, copies)
        if made is not node:
            note(node, made.outputs, "what many products read across the grain is transposed once")
        b.nodes.append(made)
    return substituted(program, b.nodes, {})


def _wishes(program: Program) -> dict[int, Mapping[Across, int]]:
    """What each node wants, by its id; those that want nothing may be left out."""
    found = {id(node): _wanted(node) for node in program.nodes if isinstance(node.op, (core.SumOfProducts, Loop))}
    return {number: wanted for number, wanted in found.items() if wanted}


def _added_up(wishes: Mapping[int, Mapping[Across, int]]) -> Counter[Across]:
    """How many products of a step read a matrix across the grain."""
    found: Counter[Across] = Counter()
    for some in wishes.values():
        found.update(some)
    return found


def _wanted(node: Node) -> Mapping[Across, int]:
    """The matrices that a node reads across the grain and how often, by what they are where the node stands."""
    if isinstance(node.op, core.SumOfProducts):
        read = [across for across, _ in _read_across(node)]
        return {across: read.count(across) for across in read}
    found: Counter[Across] = Counter()
    if isinstance(node.op, Loop):
        rounds = typical(node.op.trips) if node.op.trips != -1 else ROUNDS
        outside = _outside(node)
        for across, products in _added_up(_wishes(node.op.body.program)).items():
            if across.value in outside:
                found[across._replace(value=outside[across.value].id)] += products * rounds
    return found


def _outside(node: Node) -> dict[int, Value]:
    """For each value that the body of a loop is given, by id: what it is outside."""
    assert isinstance(node.op, Loop)
    operands = body_operands(node)
    return {i.value.id: node.inputs[operands[0, i.name]] for i in node.op.body.program.inputs if i.source is Source.FEED}


def _read_across(node: Node) -> Iterator[tuple[Across, int]]:
    """The operands of a product, by number, whose last dimension is summed over while the results run along another one."""
    assert isinstance(node.op, core.SumOfProducts)
    for number, begin, size, order in _reads_across(node.op):
        value = node.inputs[number]
        if value.known is None:
            yield Across(value.id, begin, size, order), number


@lru_cache(maxsize=1024)
def _reads_across(op: core.SumOfProducts) -> tuple[tuple[int, tuple[int, ...], tuple[int, ...], tuple[int, ...]], ...]:
    """The same of all products of one kind: number of the operand, and what an Across says of it."""
    found = []
    along = next((a for a in range(op.free - 1, -1, -1) if not unit(op.extents[a])), -1)
    for number, (forms, others) in enumerate(((op.left, op.right), (op.right, op.left))):
        axes = [terms[0][0] if len(terms) == 1 and terms[0][1] == 1 else -1 for terms, _ in forms]
        if len(axes) < 2 or -1 in axes or along not in axes or len(set(axes)) < len(axes) or axes[-1] < op.free:
            continue
        size, begin = tuple(op.extents[a] for a in axes), tuple(constant for _, constant in forms)
        if not all(isinstance(n, int) for n in (*size, *begin)) or math.prod(map(typical, size)) < ELEMENTS:
            continue
        beside: list[Index] = [e for a, e in enumerate(op.extents[: op.free]) if a not in axes]
        if any(axis == along for terms, _ in others for axis, _ in terms) or math.prod(map(typical, beside)) < ROWS:
            continue
        last = axes.index(along)
        order = (*(d for d in range(len(axes)) if d != last), last)
        found.append((number, begin, size, order))
    return tuple(found)  # type: ignore[arg-type]


def _given(node: Node, copies: Mapping[Across, Value]) -> Node:
    """The node reading the copies that there are."""
    if isinstance(node.op, core.SumOfProducts):
        inputs, maps = list(node.inputs), [node.op.left, node.op.right]
        for across, number in _read_across(node):
            if across in copies:
                inputs[number] = copies[across]
                maps[number] = tuple((maps[number][d][0], 0) for d in across.order)
        if tuple(inputs) == node.inputs:
            return node
        return Node(core.SumOfProducts(node.op.extents, node.op.free, maps[0], maps[1]), inputs, node.outputs, node.origins)
    if not isinstance(node.op, Loop):
        return node
    outside, body = _outside(node), node.op.body.program
    needed = {across: copies[there] for across in _added_up(_wishes(body)) if across.value in outside
              and (there := across._replace(value=outside[across.value].id)) in copies}  # fmt: skip
    if not needed:
        return node
    inner = Rewriter(body)
    fresh = {across: inner.value(copy.dtype, copy.shape) for across, copy in needed.items()}
    count = len(node.inputs) - 1 - node.op.carried
    inputs_: list[Any] = [*body.inputs, *(Input(Source.FEED, f"g{count + k}", v) for k, v in enumerate(fresh.values()))]
    nodes = [_given(n, fresh) for n in body.nodes]
    inside = assemble(inputs_, nodes, body.outputs, body.updates, body.symbols)
    operands = (*node.inputs, *needed.values())
    return Node(Loop(node.op.carried, Body(inside), node.op.trips), operands, node.outputs, node.origins)
