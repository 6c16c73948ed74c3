"""What one call of tf.gradients knows of the loops that it walks through."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from graphflow.autodiff.loops import GradLoop
from graphflow.graph.build import make
from graphflow.graph.context import EXITS, SWITCHES, inside, loop_of, output_context
from graphflow.graph.operation import Operation
from graphflow.graph.tensor import Tensor
from graphflow.ops.control_flow.gradients import is_loop_switch, zeros_outside_loops
from graphflow.ops.control_flow.ops import switch_ref_or_tensor
from graphflow.ops.source import constant, zeros, zeros_like


class LoopStates:
    """The loop backwards for every forward loop between ys and xs."""

    def __init__(self) -> None:
        self._loops: dict[Any, GradLoop] = {}

    def add(self, op: Operation, between: dict[Operation, None]) -> None:
        """Makes the loop backwards for the loop that `op`, an Exit, leaves. All its other Exits come to stand `between` too."""
        forward: Any = loop_of(op._control_flow_context)
        if forward in self._loops:
            return
        around = loop_of(forward.outer_context)
        # Records of earlier calls are loop variables too; they take part only where these gradients go through them.
        exits = list(forward.loop_exits)
        exits += [t for other in between if other.type in EXITS and loop_of(other._control_flow_context) is forward
                  for t in other.outputs if t not in exits]  # fmt: skip
        self._loops[forward] = GradLoop(forward, self._loops.get(around), exits)
        between.update(dict.fromkeys(t.op for t in exits))

    def __iter__(self) -> Iterator[GradLoop]:
        return iter(self._loops.values())

    def of(self, op: Operation, after: bool = False) -> GradLoop | None:
        """The loop backwards in which an operation is differentiated; `after`: in which the gradients of its results come together."""
        context = output_context(op) if after else op._control_flow_context
        return self._loops.get(loop_of(context))

    @contextmanager
    def backwards(self, op: Operation, after: bool = False) -> Iterator[None]:
        """New operations belong to that loop."""
        loop = self.of(op, after)
        if loop is None:
            yield
            return
        with inside(loop.graph, loop.grad_context):
            yield

    # -- gradients of nothing ----------------------------------------------------------------------------------------------

    def zeros_like(self, op: Operation, index: int) -> Tensor | None:
        """Zeros like an output of an operation that no gradient comes from, in the loop backwards."""
        if is_loop_switch(op):
            return None
        loop = self.of(op)
        if loop is None:
            return zeros_outside_loops(op, index)
        value = op.outputs[index]
        context: Any = op._control_flow_context
        one_sided = op.type in SWITCHES and context.IsCondContext()
        if value.shape.is_fully_defined():
            result = constant(0, value.dtype, shape=value.shape)
        else:
            result = zeros(make("Shape", op.inputs[0] if one_sided else value), value.dtype)
        if one_sided:
            result = switch_ref_or_tensor(result, loop.real_value(context.pred))[1 - context.branch]
        return result

    def zeros_for_exit(self, value: Tensor) -> Tensor:
        """Zeros like the result of a loop that nothing uses, but other results come from what it was."""
        forward: Any = loop_of(value.op._control_flow_context)
        outer = self._loops.get(loop_of(forward.outer_context))
        if outer is None:
            if value.shape.is_fully_defined():
                return zeros(value.shape, value.dtype)
            return zeros_like(value, optimize=False)
        with inside(outer.graph, outer.grad_context):
            return zeros(value.shape if value.shape.is_fully_defined() else make("Shape", value), value.dtype)

    # -- the order of the walk ---------------------------------------------------------------------------------------------

    def begin(self, pending: dict[Operation, int], targets: Sequence[Operation]) -> list[Tensor]:
        """Settles the Exits that no gradient can come to; the result are those of loops whose other Exits are targets themselves."""
        found: list[Tensor] = []
        for loop in self:
            for tensor in loop.exits:
                if pending[tensor.op] == 0:
                    loop.pending_exits -= 1
                    if tensor.op not in targets:
                        loop.unused_exits.append(tensor)
                    if loop.pending_exits == 0:
                        found += loop.unused_exits
            for tensor in loop.forward_context.loop_enters:
                if pending[tensor.op] == 0:
                    pending[tensor.op] = 1
        return found

    def finish(self) -> None:
        """Closes what is still open in the loops backwards."""
        for loop in self:
            loop.finish()
