"""Initial values that read other variables: all are initialised in one run, in any order."""

from __future__ import annotations

from graphflow.graph.collections import GraphKeys
from graphflow.graph.operation import Operation
from graphflow.graph.tensor import Tensor


def guarded(scope: str, value: Tensor) -> Tensor:
    """The initial value with every variable that it reads replaced by that variable's `initialized_value`.

    All variables are initialised in one run in any order, so reading one may be too early.
    """
    reached = _ancestors(value.op)
    if not any(op.type == "VariableV2" for op in reached):
        return value
    known = {v.op: v for key in _WITH_VALUES for v in value.graph.get_collection(key) if hasattr(v, "initialized_value")}
    replaced: dict[Tensor, Tensor] = {}
    for op in reached:
        if op.type in ("IsVariableInitialized", "InitializedValue"):
            continue
        if op.type == "VariableV2":
            if op in known:
                replaced[op.outputs[0]] = known[op].initialized_value()
        elif any(t in replaced for t in op.inputs):
            name = f"{op.name}_{scope}".replace(":", "_")
            inputs = [replaced.get(t, t) for t in op.inputs]
            twin = op.graph._create(op.definition, inputs, name.rstrip("/"), dict(op._bound))
            twin._extra.update(op._extra)
            replaced.update(zip(op.outputs, twin.outputs, strict=True))
    return replaced.get(value, value)


_WITH_VALUES = (GraphKeys.GLOBAL_VARIABLES, GraphKeys.LOCAL_VARIABLES)


def _ancestors(op: Operation) -> list[Operation]:
    """What `op` is computed from, in the order of making. What answers for uninitialised variables itself is not looked into."""
    seen = {op}
    waiting = [op]
    while waiting:
        current = waiting.pop()
        if current.type in ("IsVariableInitialized", "InitializedValue"):
            continue
        for tensor in current.inputs:
            if tensor.op not in seen:
                seen.add(tensor.op)
                waiting.append(tensor.op)
    return sorted(seen, key=lambda o: o._id)
