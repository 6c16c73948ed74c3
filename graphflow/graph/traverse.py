"""Walking a graph: what an operation needs, what uses it, and an order in which everything can run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heappush
from typing import Any

from graphflow.graph.operation import Operation
from graphflow.graph.tensor import Tensor

Element = Operation | Tensor


def operations_of(elements: Iterable[Element]) -> list[Operation]:
    """The operations of tensors and operations, each once."""
    return list(dict.fromkeys(e.op if isinstance(e, Tensor) else e for e in elements))


def predecessors(op: Operation) -> list[Operation]:
    """The operations that `op` waits for directly, each once."""
    return list(dict.fromkeys([*(t.op for t in op.inputs), *op._control_inputs]))


def successors(op: Operation) -> list[Operation]:
    """The operations that wait for `op` directly, each once."""
    return list(dict.fromkeys([*(c for t in op.outputs for c in t._consumers), *op._control_outputs]))


def needed_by(elements: Iterable[Element]) -> set[Operation]:
    """Everything that must run for these, themselves included."""
    return _closure(operations_of(elements), predecessors)


def reached_from(elements: Iterable[Element]) -> set[Operation]:
    """Everything that depends on these, themselves included."""
    return _closure(operations_of(elements), successors)


def _closure(start: Sequence[Operation], neighbours: Any) -> set[Operation]:
    seen = set(start)
    waiting = list(start)
    while waiting:
        for op in neighbours(waiting.pop()):
            if op not in seen:
                seen.add(op)
                waiting.append(op)
    return seen


def in_order(operations: Iterable[Operation]) -> list[Operation]:
    """The operations so that each comes after those it waits for, otherwise in the order of making. ValueError for a cycle."""
    inside = set(operations)
    waits = {op: sum(p in inside for p in predecessors(op)) for op in inside}
    ready = [(op._id, op) for op, count in waits.items() if not count]
    heapify(ready)
    result: list[Operation] = []
    while ready:
        _, op = heappop(ready)
        result.append(op)
        for user in successors(op):
            if user in inside:
                waits[user] -= 1
                if not waits[user]:
                    heappush(ready, (user._id, user))
    if len(result) < len(inside):
        stuck = sorted((op for op in inside if waits[op]), key=lambda op: op._id)
        raise ValueError(f"Graph is invalid, contains a cycle with {len(stuck)} nodes: {', '.join(op.name for op in stuck)}")
    return result


def to_networkx(operations: Iterable[Operation]) -> Any:
    """A networkx view: operations as nodes (`type`), tensors and control dependencies as edges (`tensor`, None for control)."""
    import networkx  # only those who reason about graphs pay for its import

    view = networkx.MultiDiGraph()
    inside = list(operations)
    view.add_nodes_from((op, {"type": op.type}) for op in inside)
    for op in inside:
        view.add_edges_from((t.op, op, {"tensor": t}) for t in op.inputs if t.op in view)
        view.add_edges_from((c, op, {"tensor": None}) for c in op._control_inputs if c in view)
    return view
