"""Operation: a node of a Graph."""

from __future__ import annotations

import linecache
import os
from collections.abc import Sequence
from functools import lru_cache
from types import CodeType
from typing import TYPE_CHECKING, Any

from graphflow.errors import InvalidArgumentError, OutOfRangeError
from graphflow.graph import sessions
from graphflow.graph.dims import shown
from graphflow.graph.nodedef import NodeDef
from graphflow.graph.op import Effect, Kind, Op
from graphflow.graph.tensor import Tensor

__all__ = [
    "Operation",
]

if TYPE_CHECKING:
    from graphflow.graph.graph import Graph

Frame = tuple[CodeType, int]


class Operation:
    """A node: `definition` (an Op) says what it computes, `inputs` and `control_inputs` what it waits for.

    Made by `graph.build.apply`, never directly.
    """

    def __init__(
        self,
        graph: Graph,
        definition: Op,
        name: str,
        inputs: Sequence[Tensor],
        control_inputs: Sequence[Operation],
        bound: dict[str, Any],
        frames: tuple[Frame, ...],
    ) -> None:
        self.graph = graph
        self.definition = definition
        self.name = name
        self.inputs = tuple(inputs)
        self.outputs: list[Tensor] = []
        self._control_inputs = list(control_inputs)
        self._control_outputs: list[Operation] = []
        self._bound = bound  # type attributes and list lengths: {"T": float32, "N": 3}
        self._extra: dict[str, Any] = {}  # attributes outside the definition: _class, _gradient_op_type, ...
        self._frames = frames
        self._id = graph._next_id()
        self._device = ""
        self._control_flow_context: Any = None
        for tensor in self.inputs:
            tensor._consumers.append(self)
        for other in self._control_inputs:
            other._control_outputs.append(self)

    @property
    def type(self) -> str:
        """The op type: "MatMul"."""
        return self.definition.type

    @property
    def control_inputs(self) -> list[Operation]:
        """Operations that must have run before this one."""
        return list(self._control_inputs)

    @property
    def device(self) -> str:
        """The device that the program asked for."""
        return self._device

    @property
    def _is_stateful(self) -> bool:
        return self.definition.effect is not Effect.PURE or self.definition.kind in (Kind.STATE, Kind.HOST)

    def _set_device(self, device: Any) -> None:
        self._device = str(device)

    def values(self) -> tuple[Tensor, ...]:
        """The outputs."""
        return tuple(self.outputs)

    def get_attr(self, name: str) -> Any:
        """The value of an attribute: a field of the op, a type attribute, the length of a list input, or one set on the node."""
        if name in self._extra:
            return _public(self._extra[name])
        if name in self.definition._fields:
            return _public(getattr(self.definition, name))
        if name in self._bound:
            return self._bound[name]
        raise ValueError(f"Operation '{self.name}' has no attr named '{name}'.")

    def _set_attr(self, name: str, value: Any) -> None:
        self._extra[name] = value

    @property
    def attributes(self) -> dict[str, Any]:
        """All attributes by name."""
        found = {n: getattr(self.definition, n) for n in self.definition._fields}
        return {**found, **self._bound, **self._extra}

    @property
    def node_def(self) -> NodeDef:
        """The node as GraphDef has it."""
        inputs = [t._as_node_def_input() for t in self.inputs] + [f"^{c.name}" for c in self._control_inputs]
        return NodeDef(self.name, self.type, inputs, self._device, self.attributes)

    @property
    def op_def(self) -> Any:
        """What is declared of its type: name, arguments, results, attributes."""
        from graphflow.graph.op_def import op_def  # it reads signatures, whose module makes operations

        return op_def(type(self.definition))  # type: ignore[arg-type]

    def colocation_groups(self) -> list[bytes]:
        """The operations that this one shall be placed with."""
        return list(self._extra.get("_class", ())) or [b"loc:@" + self.name.encode()]

    @property
    def created_at(self) -> str:
        """The user's line that made it: "train.py:41 in build_model"."""
        if not self._frames:
            return ""
        code, line = self._frames[-1]
        return _place(code.co_filename, code.co_name, line)

    @property
    def traceback(self) -> list[tuple[str, int, str, str]]:
        """(file, line number, function, text) of the user's lines that made it, innermost last."""
        return [
            (code.co_filename, line, code.co_name, linecache.getline(code.co_filename, line).strip())
            for code, line in self._frames
        ]

    def run(self, feed_dict: Any = None, session: Any = None) -> None:
        """Runs it in the default session or the given one."""
        sessions.run_operation(self, feed_dict, self.graph, session)

    def _add_control_input(self, op: Operation) -> None:
        self._add_control_inputs([op])

    def _add_control_inputs(self, ops: Sequence[Operation]) -> None:
        for op in ops:
            if not isinstance(op, Operation):
                raise TypeError(f"op must be an Operation: {op}")
            if op not in self._control_inputs:
                self.graph._altered += 1
                self._control_inputs.append(op)
                op._control_outputs.append(self)

    def _remove_all_control_inputs(self) -> None:
        for op in self._control_inputs:
            op._control_outputs.remove(self)
        self.graph._altered += 1
        self._control_inputs = []

    def _update_input(self, index: int, tensor: Tensor) -> None:
        if tensor.graph is not self.graph:
            raise ValueError(f"{tensor} must be from the same graph as {self}.")
        if index >= len(self.inputs):
            raise OutOfRangeError(
                None, self, f"Cannot update edge. Input index [{index}] is greater than the number of total inputs [{len(self.inputs)}]."
            )
        old = self.inputs[index]
        if not old.dtype.is_compatible_with(tensor.dtype):
            raise InvalidArgumentError(
                None, self, f"Input {index} of node {self.name} was passed {tensor.dtype.name} from {tensor.name} incompatible with "
                f"expected {old.dtype.name}."
            )  # fmt: skip
        if not old.shape.is_compatible_with(tensor.shape):
            raise InvalidArgumentError(
                None, self, f"Cannot update edge, incompatible shapes: {shown(tensor._dims)} and {shown(old._dims)}."
            )
        self.graph._altered += 1
        self.inputs[index]._consumers.remove(self)
        self.inputs = (*self.inputs[:index], tensor, *self.inputs[index + 1 :])
        tensor._consumers.append(self)

    def _get_control_flow_context(self) -> Any:
        return self._control_flow_context

    def _set_control_flow_context(self, context: Any) -> None:
        self._control_flow_context = context

    def __str__(self) -> str:
        return str(self.node_def)

    def __repr__(self) -> str:
        return f"<tf.Operation '{self.name}' type={self.type}>"


@lru_cache(1024)
def _place(file: str, function: str, line: int) -> str:
    """A line as people read it. A program makes most of its operations in few lines."""
    place = f"{os.path.basename(file)}:{line}"
    return place if function == "<module>" else f"{place} in {function}"


def _public(value: Any) -> Any:
    """An attribute as TensorFlow hands it out: strings as bytes, tuples as lists."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, tuple):
        return [_public(v) for v in value]
    return value


