"""The two control flow contexts: one branch of a conditional, and a loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphflow.graph.context import ENTERS, EXITS, ControlFlowContext, contains, loop_of, output_context
from graphflow.graph.graph import get_default_graph
from graphflow.graph.operation import Operation
from graphflow.graph.scopes import control_dependencies
from graphflow.graph.tensor import Tensor
from graphflow.ops.control_flow.ops import enter, switch_ref_or_tensor
from graphflow.ops.source import identity


class _Written(ControlFlowContext):
    """A context that can be written into a MetaGraphDef and read from one."""

    def to_proto(self, export_scope: str | None = None) -> Any:
        """The CondContextDef or WhileContextDef, with all contexts nested in it; None where it is not in the scope `export_scope`."""
        from graphflow.ops.control_flow.protos import context_to_proto  # needs the contexts

        return context_to_proto(self, export_scope)

    @staticmethod
    def from_proto(context_def: Any, import_scope: str | None = None) -> ControlFlowContext:
        """The context of such a message, whose operations are in the default graph, those of `import_scope` if it is given."""
        from graphflow.ops.control_flow.protos import context_from_proto

        return context_from_proto(context_def, import_scope)


class CondContext(_Written):
    """One branch of a conditional. A value from outside comes in through a Switch on the branch's side.

    pred: the condition. pivot: alive exactly when the branch runs; operations without inputs wait for it. branch: 1 where it runs if
    `pred` is true, 0 where if it is false.
    """

    def __init__(self, pred: Tensor, pivot: Tensor, branch: int, name: str = "cond_text", unique: bool = True) -> None:
        graph = get_default_graph()
        super().__init__(graph, graph.unique_name(name) if unique else name, graph._control_flow_context)
        self._pred, self._pivot, self._branch = pred, pivot, branch
        self._values.update((pred, pivot))
        self._external_values[pred] = pred
        pivot.op._control_flow_context = self

    @property
    def pred(self) -> Tensor:
        """The condition."""
        return self._pred

    @property
    def pivot(self) -> Tensor:
        """Alive exactly when the branch runs."""
        return self._pivot

    @property
    def branch(self) -> int:
        """1 for the branch of a true condition, 0 for that of a false one."""
        return self._branch

    def IsCondContext(self) -> bool:
        return True

    def GetControlPivot(self) -> Tensor:
        return self._pivot

    def AddValue(self, value: Tensor) -> Tensor:
        if value in self._values:
            return self._external_values.get(value, value)
        result = value
        self._values.add(value)
        if self._outer_context is not None:
            result = self._outer_context.AddValue(value)
            self._values.add(result)
            self._external_values[result] = result
        with control_dependencies(None):
            result = switch_ref_or_tensor(result, self._pred)[self._branch]
        self._graph.prevent_fetching(result.op)
        result.op._control_flow_context = self
        self._know(result)
        self._external_values[value] = result
        return result

    def _know(self, *tensors: Tensor) -> None:
        """What is made in a branch is known in all contexts around it."""
        context: ControlFlowContext | None = self
        while context is not None:
            context._values.update(tensors)
            context = context._outer_context

    def AddOp(self, op: Operation) -> None:
        if op.inputs:
            for number, tensor in enumerate(op.inputs):
                inside = self.AddValue(tensor)
                if inside is not tensor:
                    op._update_input(number, inside)
            self._keep_inner_control_inputs(op)
        else:
            self._keep_inner_control_inputs(op)
            if not any(contains(self, other._control_flow_context) for other in op._control_inputs):
                op._add_control_input(self._pivot.op)
        self._know(*op.outputs)
        if self._outer_context is not None or op.type not in EXITS:
            self._graph.prevent_fetching(op)

    def result(self, value: Tensor) -> Tensor:
        """What represents `value`, a result of the branch, inside it: also a tensor from outside that no operation here has used."""
        if value in self._values:
            return self._external_values.get(value, value)
        inside = value
        self._values.add(value)
        if self._outer_context is not None:
            inside = self._outer_context.AddValue(value)
            self._values.add(inside)
            self._external_values[inside] = inside
        inside = switch_ref_or_tensor(inside, self._pred)[self._branch]
        self._external_values[value] = inside
        return inside


class WhileContext(_Written):
    """A loop. A value from outside comes in through an Enter that is the same in every iteration.

    grad_state: for a loop that computes gradients, what connects it with the loop that it differentiates.
    """

    def __init__(self, maximum_iterations: Tensor | None = None, parallel_iterations: int = 10, back_prop: bool = True,
                 swap_memory: bool = False, name: str = "while_context", grad_state: Any = None, unique: bool = True) -> None:  # fmt: skip
        if not isinstance(parallel_iterations, int) or parallel_iterations <= 0:
            raise ValueError(f"`parallel_iterations` must be a positive integer: {parallel_iterations}")
        graph = get_default_graph()
        outer = graph._control_flow_context
        super().__init__(graph, graph.unique_name(name) if unique else name, outer)
        self._maximum_iterations = maximum_iterations
        self._parallel_iterations = parallel_iterations
        self._back_prop = back_prop
        self._swap_memory = swap_memory
        self._grad_state = grad_state
        self._pivot_for_pred: Tensor | None = None  # what the operations of the condition without inputs wait for
        self._pivot_for_body: Tensor | None = None  # and those of the body
        self._pivot: Tensor | None = None  # the LoopCond
        self._loop_enters: list[Tensor] = []
        self._loop_exits: list[Tensor] = []

    @property
    def maximum_iterations(self) -> Tensor | None:
        """The largest number of iterations, where the program gave one."""
        return self._maximum_iterations

    @property
    def parallel_iterations(self) -> int:
        """How many iterations may run at a time."""
        return self._parallel_iterations

    @property
    def back_prop(self) -> bool:
        """Whether gradients go through it."""
        return self._back_prop

    @property
    def swap_memory(self) -> bool:
        """Whether what the gradient needs may be kept elsewhere."""
        return self._swap_memory

    @property
    def pivot(self) -> Tensor | None:
        """The condition, as LoopCond gives it."""
        return self._pivot

    @property
    def loop_enters(self) -> list[Tensor]:
        """The Enters of the loop variables."""
        return self._loop_enters

    @property
    def loop_exits(self) -> list[Tensor]:
        """The Exits of the loop variables."""
        return self._loop_exits

    @property
    def grad_state(self) -> Any:
        return self._grad_state

    def IsWhileContext(self) -> bool:
        return True

    def GetWhileContext(self) -> WhileContext:
        return self

    def GetControlPivot(self) -> Tensor | None:
        return self._pivot_for_pred if self._pivot_for_body is None else self._pivot_for_body

    def AddValue(self, value: Tensor) -> Tensor:
        # A value of this loop may be unknown yet: a back edge is used before it is made when a graph is imported.
        if value in self._values or value.op._control_flow_context is self:
            return self._external_values.get(value, value)
        self._values.add(value)
        recorded = self._from_history(value)
        if recorded is not None:
            self._external_values[value] = recorded
            return recorded
        result = value if self._outer_context is None else self._outer_context.AddValue(value)
        with control_dependencies(None):
            result = enter(result, self._name, is_constant=True, parallel_iterations=self._parallel_iterations)
            self._graph.prevent_feeding(result)
        self._settle_enters([result])
        self._values.add(result)
        self._external_values[value] = result
        return result

    def _from_history(self, value: Tensor) -> Tensor | None:
        """In a loop that computes gradients: what a tensor of the loop that it differentiates was in the iteration gone back to."""
        loop = loop_of(self._graph._control_flow_context)
        source = output_context(value.op)
        if loop is None or loop.grad_state is None or source is None or loop_of(source) is not loop.grad_state.forward_context:
            return None
        return loop.grad_state.real_value(value)  # type: ignore[no-any-return]

    def AddOp(self, op: Operation) -> None:
        if op.inputs:
            for number, tensor in enumerate(op.inputs):
                inside = self.AddValue(tensor)
                if inside is not tensor:
                    op._update_input(number, inside)
            outside = self._keep_inner_control_inputs(op)
            if not op._control_inputs and all(is_invariant_enter(t.op) for t in op.inputs):
                self._wait_for_pivot(op)  # else it would run although the loop is over
        else:
            outside = self._keep_inner_control_inputs(op)
            if not op._control_inputs:
                self._wait_for_pivot(op)
        self._values.update(op.outputs)
        if outside:
            op._add_control_inputs(self._brought_in(outside))
        if self._outer_context is not None or op.type not in EXITS:
            self._graph.prevent_fetching(op)
            for tensor in op.outputs:
                self._graph.prevent_feeding(tensor)

    def _wait_for_pivot(self, op: Operation) -> None:
        pivot = self.GetControlPivot()
        assert pivot is not None, "operations come into a loop only after its first Merge"
        op._add_control_input(pivot.op)

    def _brought_in(self, control_inputs: Sequence[Operation]) -> list[Operation]:
        """Operations in the loop that can only run after operations outside: an identity of what those give."""
        with control_dependencies(None):
            self.Enter()
            inside = [identity(other.outputs[0]).op for other in control_inputs if other.outputs]
            self.Exit()
        return inside

    def take_in_enter(self, entered: Tensor) -> None:
        """The Enter of another loop variable, made outside of everything, comes into the loop."""
        self._wait_outside(entered.op)
        self._settle_enters([entered])
        self._values.add(entered)

    def _wait_outside(self, entered: Operation) -> None:
        """An Enter of what does not change in the loop around waits for that loop's next iteration, as TensorFlow's executor needs it."""
        if not is_invariant_enter(entered.inputs[0].op):
            return
        around, pivot = self._outer_context, None
        while around is not None and pivot is None:
            pivot, around = around.GetControlPivot(), around.outer_context
        if pivot is not None:
            entered._add_control_input(pivot.op)

    def _settle_enters(self, enters: Sequence[Tensor]) -> None:
        """Enters are made outside of everything; now they come into the loop, and wait for those control dependencies of the program that
        stand between it and the loop around."""
        loop_around = None if self._outer_context is None else self._outer_context.GetWhileContext()
        for tensor in enters:
            kept = []
            for op in self._graph._control_inputs_for(tensor.op.inputs):
                wanted, context = output_context(op), self._outer_context
                while context is not wanted and context is not None and context is not loop_around:
                    context = context._outer_context
                if context is wanted:
                    kept.append(op)
            tensor.op._control_flow_context = self
            tensor.op._add_control_inputs(kept)
            self._graph._note_as_seen(tensor.op)


def is_invariant_enter(op: Operation) -> bool:
    """Whether it brings the same value into all iterations of a loop."""
    return op.type in ENTERS and bool(op.get_attr("is_constant"))
