"""Images with the channels before rows and columns, NCHW, are computed with the channels last, from the first convolution to the last use.

    y = conv(x)            ->  y' = conv'(x)         the same sums, their axes in another order;  y = Permute(y')
    relu(Permute(y'))      ->  Permute(relu(y'))     so do borders, pools, sums over images, concatenations

Vectors then lie along the channels whatever the program's `data_format` is: the windows of a pool and of a convolution are whole vectors,
and the sums of a bias are sums of vectors. A Permute that nothing reads is left out; `layout` has contractions read through the others, so
that an image is transposed where it enters with many channels, or leaves, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from graphflow.compiler.groups import inlined, unit
from graphflow.compiler.passes.layout import reordered
from graphflow.compiler.passes.rewrite import Rewriter, rewrite
from graphflow.compiler.program import Node, Program, Value
from graphflow.graph.op import Effect, Kind, Op
from graphflow.kernel.index import Index, product
from graphflow.ops import core
from graphflow.ops.windowed import Windowed

FEW = 8  # channels that an image has at least which is transposed for a convolution: those of fewer are read as they come

Axes = tuple[int, ...]


class Twin(NamedTuple):
    """The elements of a value in memory of another order: axis i of `value` is axis order[i] of it."""

    value: Value
    order: Axes


def channels_last(program: Program) -> Program:
    """See the module's text."""
    if not any(isinstance(n.op, core.SumOfProducts) and image_order(n.op) for n in program.nodes):
        return program
    twins: dict[int, Twin] = {}

    def rule(b: Rewriter, node: Node, inputs: tuple[Value, ...]) -> Sequence[Value] | None:
        return _Last(b, twins).results(node, inputs)

    return rewrite(program, rule)


def image_order(op: core.SumOfProducts) -> Axes:
    """The axes of what a contraction gives with the channels last, where that is images with the channels before rows and columns; () where
    it is not. Rows and columns are what windows of the left operand are read at, or its elements, independently of the right one; with
    them go the places inside a stride of a transposed convolution."""
    if op.left[0] != (((0, 1),), 0):
        return ()
    weighted = {axis for terms, _ in op.right for axis, _ in terms}
    places = {
        axis
        for terms, _ in op.left[1:]
        if any(0 < axis < op.free and axis not in weighted for axis, _ in terms)
        for axis, _ in terms
        if axis < op.free
    }
    channels = [a for a in range(1, op.free) if a not in places]
    if len(places) < 2 or not channels or max(channels) > min(places):
        return ()
    return (0, *sorted(places), *channels)


def _order(rank: int) -> Axes:
    """The axes of an image in the order that has the channels last."""
    return (0, *range(2, rank), 1)


def _inverse(order: Sequence[int]) -> Axes:
    return tuple(sorted(range(len(order)), key=order.__getitem__))


def _moved(axes: Sequence[int], rank: int) -> Axes | None:
    """Where these axes of an image stand with the channels last; None where they do not keep their order."""
    back = _inverse(_order(rank))
    found = tuple([back[a] for a in axes])
    return found if list(found) == sorted(found) else None


def _flat(shape: Sequence[Index]) -> bool:
    """Whether at most one size is not 1, so that the axes may come in any order."""
    return sum(not unit(d) for d in shape) <= 1


def _viewed(source: Sequence[Index], order: Axes, shape: Sequence[Index]) -> Axes | None:
    """The order of axes that a value has under another shape, given that under `source`; None where axes are merged or cut across it. Axes
    of length 1 stand anywhere."""
    old, new = ([a for a, d in enumerate(dims) if not unit(d)] for dims in (source, shape))
    groups: dict[Axes, Axes] = {}
    while old or new:
        left, right = old[:1], new[:1]
        while (a := product([source[k] for k in left])) != (b := product([shape[k] for k in right])):
            if isinstance(a, int) and isinstance(b, int) and a < b and len(left) < len(old):
                left = old[: len(left) + 1]
            elif len(right) < len(new):
                right = new[: len(right) + 1]
            elif len(left) < len(old):
                left = old[: len(left) + 1]
            else:
                return None
        groups[tuple(left)] = tuple(right)
        old, new = old[len(left) :], new[len(right) :]
    found: list[int] = []
    rest = tuple([a for a in order if not unit(source[a])])
    while rest:
        group = next((g for g in groups if g and g == rest[: len(g)]), None)
        if group is None:
            return None
        found += groups[group]
        rest = rest[len(group) :]
    units = [a for a, d in enumerate(shape) if unit(d)]
    usual = _order(len(shape))
    return usual if [a for a in usual if a not in units] == found else (*found, *units)


def _halo(op: core.Halo, order: Axes) -> core.Halo:
    """The same border around axes in another order."""
    low, high = (tuple([field[a] for a in order]) for field in (op.low, op.high))
    return core.Halo(low, high, tuple([op.interior[a] for a in order]), op.value)


class _Last:
    """One node with the channels last."""

    def __init__(self, b: Rewriter, twins: dict[int, Twin]) -> None:
        self.b = b
        self.twins = twins

    def results(self, node: Node, inputs: tuple[Value, ...]) -> Sequence[Value] | None:
        """What the node gives, computed so, from its operands as they are; None where these are not images of that kind."""
        op, b = node.op, self.b
        if isinstance(op, core.SumOfProducts):
            order = image_order(op)
            return self._shown([self._contraction(op, order, inputs)], order) if order else None
        if op.effect is not Effect.PURE or self.twins.keys().isdisjoint([v.id for v in inputs]):
            return None
        shape, image = node.outputs[0].shape, inputs[0]
        twin = self.twins.get(image.id)
        if isinstance(op, core.View) and twin is not None:
            return self._view(image.shape, twin, shape)
        if isinstance(op, core.Permute) and twin is not None:
            back = _inverse(twin.order)
            return [b.permute(twin.value, [back[a] for a in op.perm])]
        if isinstance(op, core.Halo) and twin is not None:
            return self._shown([b.apply(_halo(op, twin.order), twin.value)], twin.order)
        if not any(self._is_image(v) for v in inputs):
            return None
        order = _order(len(shape))
        if op.kind is Kind.ELEMENTWISE:
            if len(shape) < 4 or any(len(v.shape) != len(shape) for v in node.outputs):
                return None
            made = b.apply(op, *[self._beside(v, len(shape)) for v in inputs])
            return self._shown(made if isinstance(made, tuple) else [made], order)
        if isinstance(op, core.Reduce):
            rank = len(image.shape)
            kept = _moved([a for a in range(rank) if a not in op.axes], rank)
            if kept is None:
                return None
            return [b.apply(core.Reduce(op.combine, tuple(a for a in range(rank) if a not in kept)), self._last(image))]
        known = self._movement(op, inputs, len(shape))
        return None if known is None else self._shown([known], order)

    def _shown(self, made: Sequence[Value], order: Axes) -> Sequence[Value]:
        """Results as the program has them."""
        results = []
        for value in made:
            shown = self.b.permute(value, _inverse(order))
            self.twins[shown.id] = Twin(value, order)
            results.append(shown)
        self.b.rule = "channels last"
        return results

    def _is_image(self, value: Value) -> bool:
        twin = self.twins.get(value.id)
        return twin is not None and len(twin.order) >= 4 and twin.order == _order(len(twin.order))

    def _contraction(self, op: core.SumOfProducts, order: Axes, inputs: tuple[Value, ...]) -> Value:
        image, weights = inputs
        rank, channels = len(image.shape), image.shape[1]
        if image.id not in self.twins and rank == 4 and isinstance(channels, int) and channels >= FEW:
            image = self.b.permute(self._last(image), _inverse(_order(rank)))
        made: Value = self.b.apply(reordered(op, order), image, weights)
        return made

    def _view(self, source: Sequence[Index], twin: Twin, shape: Sequence[Index]) -> Sequence[Value] | None:
        b = self.b
        if twin.order == _order(len(source)) and all(map(unit, source[2:])):
            return [b.view(twin.value, shape)]
        order = _viewed(source, twin.order, shape)
        return None if order is None else self._shown([b.view(twin.value, [shape[a] for a in order])], order)

    def _movement(self, op: Any, inputs: tuple[Value, ...], rank: int) -> Value | None:
        b = self.b
        if rank < 4 or any(len(v.shape) != rank for v in inputs):
            return None
        made: Op | None = None
        if isinstance(op, Windowed):
            axes = _moved(op.axes, rank)
            fields = {name: getattr(op, name) for name in op._fields}
            made = None if axes is None else type(op)(**{**fields, "axes": axes})
        elif isinstance(op, core.Section):
            begin, size = (tuple([field[a] for a in _order(rank)]) for field in (op.begin, op.size))
            made = core.Section(begin, size, tuple([op.step[a] for a in _order(rank)]))
        elif isinstance(op, core.Join):
            made = core.Join(_inverse(_order(rank))[op.axis])
        return None if made is None else b.apply(made, *[self._last(v) for v in inputs])

    def _last(self, value: Value) -> Value:
        """A value with the channels last."""
        if not self._is_image(value):
            self.twins[value.id] = Twin(self._turned(value), _order(len(value.shape)))
        return self.twins[value.id].value

    def _turned(self, value: Value) -> Value:
        b, rank = self.b, len(value.shape)
        shape = tuple([value.shape[a] for a in _order(rank)])
        if value.known is None and all(map(unit, value.shape[2:])):
            return b.view(value, shape)
        node = b.maker(value)
        made: Value | None = None
        if node is not None and isinstance(node.op, core.Halo):
            made = b.apply(_halo(node.op, _order(rank)), self._last(node.inputs[0]))
        elif node is not None and isinstance(node.op, core.Expand):
            back = _inverse(_order(rank))
            source, places = node.inputs[0], [back[a] for a in node.op.axes]
            if len(places) == rank:
                return b.broadcast(self._last(source), shape)
            order = _inverse(places)
            turned = b.view(source, [source.shape[a] for a in order]) if _flat(source.shape) else b.permute(source, order)
            return b.expand(turned, shape, sorted(places))
        elif node is not None and isinstance(node.op, core.Permute):
            return b.permute(node.inputs[0], [node.op.perm[a] for a in _order(rank)])
        elif node is not None and len(node.outputs) == 1 and self._spread(value):
            made = b.apply(node.op, *[self._beside(v, rank) for v in node.inputs])
        return b.permute(value, _order(rank)) if made is None else made

    def _spread(self, value: Value) -> bool:
        """Whether a value is nothing but numbers and less than images, broadcast: as soon made again as transposed."""
        if inlined(value) or all(map(unit, value.shape[2:])):
            return True
        node = self.b.maker(value)
        if node is None or node.op.effect is not Effect.PURE:
            return False
        return isinstance(node.op, core.Expand) or (node.op.kind is Kind.ELEMENTWISE and all(map(self._spread, node.inputs)))

    def _beside(self, value: Value, rank: int) -> Value:
        """An operand of an elementwise op, broadcast as numpy does, with the channels last."""
        if all(map(unit, value.shape)):
            return value
        shape: tuple[Index, ...] = (*(1,) * (rank - len(value.shape)), *value.shape)
        return self._last(value if shape == value.shape else self.b.view(value, shape))
