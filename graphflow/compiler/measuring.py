"""What a ProgramBuilder does about sizes that depend on data, see ops/measured.py."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from graphflow.compiler.presumptions import Presumptions
from graphflow.compiler.program import Node, Origin, Value, equal_count, field_indices
from graphflow.dtypes import DType
from graphflow.graph.op import Op, TensorSpec
from graphflow.kernel.index import Index, IndexExpr, minimum, substitute, symbol
from graphflow.ops.measured import PREFIX, After, IotaAfter, Measured, Numbers, measured_in

FIRST_ROOM = 32  # elements, where nothing tells how many there may be


class Unmeasured(Exception):
    """A size depends on data where a Program cannot have one of its own: in a loop or branch."""


class Builder(Protocol):
    """What `Measuring` needs of the ProgramBuilder that it is a part of."""

    measures: bool
    guessed: bool
    presumed: Presumptions
    measured: dict[str, Value]
    spelled: dict[str, Index]
    certain: dict[Index, Value]
    nodes: list[Node]
    origins: tuple[Origin, ...]

    def value(self, dtype: DType, shape: Sequence[Index]) -> Value: ...
    def sizes(self, value: Value) -> tuple[Index, ...]: ...
    def cast(self, x: Value, dtype: DType | str) -> Value: ...
    def maker(self, value: Value) -> Node | None: ...
    def settled(self, value: Value) -> Value: ...
    def _only(self, op: Op, *values: Value) -> Value: ...
    def _comes_from(self, values: Iterable[Value], source: Value) -> bool: ...


class Measuring:
    """A part of ProgramBuilder. measures: sizes may depend on data; boundless: also where nothing limits them. presumed: what is said of
    them."""

    def __init__(self, measures: bool, boundless: bool, presumed: Presumptions | None) -> None:
        self.measures = measures
        self.boundless = boundless
        self.guessed = False  # whether there is a size that nothing limits
        self.presumed: Presumptions = presumed or {}
        self.measured: dict[str, Value] = {}  # what to wait for before a size is known
        self.spelled: dict[str, Index] = {}  # how a size is written
        self.certain: dict[Index, Value] = {}  # before it is certain that one of them is what it is presumed to be

    def measure(self: Builder, count: Value, limit: Index | None = None) -> Index:
        """The integer scalar `count`, from 0 to `limit`, as a size: a symbol that gets its value in the middle of a run. Without a limit,
        where the builder is `boundless`, there is memory for `FIRST_ROOM`, and more once a run has needed more."""
        if count.known is not None:
            return self.sizes(count)[0]
        if not self.measures:
            raise Unmeasured(f"the size {count!r} depends on data")
        count = self.cast(count, "int64")
        like = equal_count(count, self.nodes)  # the parts of two tensors that are cut alike must be seen to be equally long
        name = f"{PREFIX}{len(self.measured)}" if like is None else like
        size: Index = symbol(name, 0, limit if isinstance(limit, int) else None)
        presumed = [p._replace(bound=substitute(p.bound, self.spelled)) for p in self.presumed.get(name, ())]
        exact = any(p.exact for p in presumed)
        tentative = limit is None or bool(presumed)
        bound: Index | None = None
        for presumption in presumed:
            size = presumption.spelled(size)
            bound = presumption.bound if bound is None or presumption.exact else minimum(bound, presumption.bound)
        if bound is not None:
            limit = bound if limit is None else minimum(limit, bound)
        if like is None:
            if limit is None:
                self.guessed, limit = True, FIRST_ROOM
            self.measured[name] = self._only(Measured(name, limit, tentative, -1 if bound is None else bound, exact), count)
        self.spelled[name] = size
        if exact:
            self.certain[size] = self.measured[name]
        return size

    def when_certain(self: Builder, x: Value, size: Index) -> Value:
        """x, not to be looked at before it is certain that `size` is what it is presumed to be."""
        waited = self.certain.get(size)
        if waited is None:
            return x
        (name,) = (n for n, v in self.measured.items() if v is waited)
        return self._only(After(name), x, waited)

    def settled(self: Builder, value: Value) -> Value:
        """`value` as it is in memory: sizes that depend on data, among contents that are known otherwise, are written there in the run."""
        if value.known is None or value.known.dtype != object or value.dtype.kernel_type is None:
            return value
        names = sorted(frozenset().union(*(measured_in(e) for e in value.known.ravel())))
        if not names:
            return value
        made = self.value(value.dtype, value.shape)
        op = Numbers(tuple(value.known.ravel()), value.known.shape, value.dtype)
        self.nodes.append(Node(op, [self.measured[n] for n in names if n in self.measured], (made,), self.origins))
        return made

    def _behind_sizes(self: Builder, op: Op, values: Sequence[Value], specs: Sequence[TensorSpec]) -> tuple[Op, tuple[Value, ...]]:
        """The op and its operands, such that it can only run when all sizes in it are known."""
        values = tuple(self.settled(v) for v in values)
        used = [*field_indices(op), *(d for s in specs for d in s.dims or () if isinstance(d, IndexExpr))]
        names = frozenset().union(*(measured_in(d) for d in used)) & self.measured.keys()
        names -= frozenset().union(*(measured_in(d) for v in values for d in v.shape))
        missing = sorted(n for n in names if not self._comes_from(values, self.measured[n]))
        if not missing:
            return op, values
        if op.type == "Iota":
            return IotaAfter(op.shape, op.axis, op.dtype), tuple(self.measured[n] for n in missing)  # type: ignore[attr-defined]
        free = [k for k, v in enumerate(values) if k not in op.inplace and (v.dtype.kernel_type is not None or v.dtype.is_complex)]
        if not free:
            raise Unmeasured(f"{op!r} has no operand that could wait for the size {missing[0]}")
        chosen = min(free, key=lambda k: len(values[k].shape))
        for name in missing:
            delayed = self._only(After(name), values[chosen], self.measured[name])
            values = (*values[:chosen], delayed, *values[chosen + 1 :])
        return op, values

    def _comes_from(self: Builder, values: Iterable[Value], source: Value) -> bool:
        """Whether one of `values` is computed from `source`."""
        stack, seen = list(values), {v.id for v in values}
        while stack:
            value = stack.pop()
            if value.id == source.id:
                return True
            node = self.maker(value)
            fresh = [v for v in (node.inputs if node is not None else ()) if v.id not in seen]
            seen.update(v.id for v in fresh)
            stack += fresh
        return False
