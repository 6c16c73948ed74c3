"""Control dependencies: what new operations wait for besides their inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from graphflow.graph.operation import Operation

if TYPE_CHECKING:
    from graphflow.graph.graph import Graph


class ControlDependencies:
    """The context of `control_dependencies`: operations made inside wait for `control_inputs`, unless an input already does."""

    def __init__(self, graph: Graph, control_inputs: Sequence[Operation] | None) -> None:
        self._graph = graph
        self._clears = control_inputs is None
        self.control_inputs = list(control_inputs or ())
        self._seen: set[Operation] = set()
        self._outer: list[ControlDependencies] = []
        self._outer_context: Any = None

    def __enter__(self) -> None:
        graph = self._graph
        if self._clears:
            self._outer, graph._control_stack = graph._control_stack, []
            self._outer_context, graph._control_flow_context = graph._control_flow_context, None
        graph._control_stack.append(self)

    def __exit__(self, *exc_info: object) -> None:
        graph = self._graph
        graph._control_stack.pop()
        if self._clears:
            graph._control_stack = self._outer
            graph._control_flow_context = self._outer_context
