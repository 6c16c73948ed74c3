"""Initial values that read other variables: all are initialised in one run, in any order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from graphflow.graph.collections import GraphKeys
from graphflow.graph.op import REGISTRY
from graphflow.graph.operation import Operation
from graphflow.graph.scopes import init_scope
from graphflow.graph.tensor import Tensor

_ASKING = frozenset(("IsVariableInitialized", "VarIsInitializedOp", "ReadVariableOp"))  # what is behind these is left as it is
_WITH_VALUES = (GraphKeys.GLOBAL_VARIABLES, GraphKeys.LOCAL_VARIABLES)


def initialized_value(is_initialized: Callable[[], Tensor], read: Callable[[], Tensor], initial: Tensor) -> Any:
    """What `read` gives if the variable has a value in the run, else `initial`: a tf.cond."""
    from graphflow.ops.control_flow.cond import cond  # its ops stand above variables

    with init_scope():
        return cond(is_initialized(), read, lambda: initial)


def guarded(scope: str, value: Tensor) -> Tensor:
    """The initial value with every variable that it reads replaced by that variable's `initialized_value`.

    All variables are initialised in one run in any order, so reading one may be too early. A value that a loop computes is left as it is.
    """
    reached = _behind(value.op)
    if not any(op.type == "VariableV2" for op in reached):
        return value
    known = {v.op: v for key in _WITH_VALUES for v in value.graph.get_collection(key) if hasattr(v, "initialized_value")}
    replaced: dict[Tensor, Tensor] = {}
    for op in reached:
        if op.type == "VariableV2":
            if op in known:
                replaced[op.outputs[0]] = known[op].initialized_value()
        elif op.type not in _ASKING and any(t in replaced for t in op.inputs):
            name = f"{op.name}_{scope}".replace(":", "_")
            inputs = [replaced.get(t, t) for t in op.inputs]
            # in place of a variable's memory there is a value now
            definition = REGISTRY["Switch"]() if op.type == "RefSwitch" else op.definition
            twin = op.graph._create(definition, inputs, name.rstrip("/"), dict(op._bound))
            twin._extra.update(op._extra)
            replaced.update(zip(op.outputs, twin.outputs, strict=True))
    return replaced.get(value, value)


def _behind(op: Operation) -> list[Operation]:
    """What `op` is computed from, and `op`: each after its inputs, in their order. Nothing where that is a circle."""
    order: list[Operation] = []
    state = {op: False}  # whether all behind it is in `order`
    path: list[tuple[Operation, Iterator[Tensor]]] = [(op, iter(op.inputs))]
    while path:
        current, inputs = path[-1]
        following = next((t.op for t in inputs if not state.get(t.op)), None) if current.type not in _ASKING else None
        if following is None:
            order.append(current)
            state[current] = True
            path.pop()
        elif following in state:
            return []
        else:
            state[following] = False
            path.append((following, iter(following.inputs)))
    return order
