"""What the gradients of loops are built from: additional loop variables, and questions about what a loop computes."""

from __future__ import annotations

from collections.abc import Callable

from graphflow import dtypes
from graphflow.graph.build import apply, signature
from graphflow.graph.context import ENTERS, EXITS, MERGES, SWITCHES, ControlFlowContext, contains, inside, output_context
from graphflow.graph.op import Effect, Kind
from graphflow.graph.operation import Operation
from graphflow.graph.scopes import control_dependencies
from graphflow.graph.tensor import Tensor, known_contents
from graphflow.ops.control_flow.contexts import CondContext, WhileContext, is_invariant_enter
from graphflow.ops.control_flow.ops import enter, exit_, merge, next_iteration, switch
from graphflow.ops.tensor_array_ops import TensorArrayOp
from graphflow.shapes import TensorShape

Step = Callable[[Tensor], Tensor]

PASSING = frozenset(("Switch", "RefSwitch", "Identity", "RefIdentity"))


class LoopVariable:
    """A loop variable that is added to a loop: `value` is what it is in the body, `set` says what it is next and gives what it is after."""

    def __init__(self, context: WhileContext, start: Tensor, name: str, shape: TensorShape | None = None, counter: bool = False) -> None:
        """`counter`: its Merge has no name of its own, as in TensorFlow."""
        self._context, self._name = context, name
        self._switched: tuple[Tensor, Tensor] | None = None
        with control_dependencies(None):
            entered = enter(
                start, context.name, parallel_iterations=context.parallel_iterations, use_input_shape=shape is None, name=name
            )
            if shape is not None:
                entered.set_shape(shape)
            context.take_in_enter(entered)
        context.loop_enters.append(entered)
        with inside(context.graph, context):
            self.merged: Tensor = merge([entered, entered], name=None if counter else name)[0]

    def _sides(self) -> tuple[Tensor, Tensor]:
        if self._switched is None:
            with inside(self._context.graph, self._context):
                self._switched = switch(self.merged, self._context.pivot)
        return self._switched

    @property
    def value(self) -> Tensor:
        """Its value in an iteration."""
        return self._sides()[1]

    def set(self, value: Tensor) -> Tensor:
        """`value` becomes its value in the next iteration; the result is its value after the loop."""
        with inside(self._context.graph, self._context):
            self.merged.op._update_input(1, next_iteration(value))
            result: Tensor = exit_(self._sides()[0], name=self._name)
        self._context.ExitResult([result])
        return result


def conditions_between(context: ControlFlowContext | None, loop: WhileContext) -> list[CondContext]:
    """The branches around `context` that lie in the loop, the outermost first."""
    found: list[CondContext] = []
    while context is not None and context is not loop:
        if isinstance(context, CondContext):
            found.append(context)
        context = context.outer_context
    return found[::-1]


def through(conditions: list[CondContext], flow: Tensor, body: Step) -> Tensor:
    """body(flow) where all conditions hold, else `flow` as it is."""
    if not conditions:
        return body(flow)
    branch, *rest = conditions
    graph = branch.graph
    with inside(graph, branch.outer_context):
        taken = branch.AddValue(flow)
    other = taken.op.outputs[1 - branch.branch]
    after = through(rest, taken, body)
    branch._know(other, after)  # also where a loop in the branch gives it
    with inside(graph, branch.outer_context):
        return merge([other, after] if branch.branch else [after, other])[0]  # type: ignore[no-any-return]


def lifted(tensor: Tensor, loop: WhileContext) -> Tensor | int | None:
    """A tensor of a loop, outside of it: None where it is not the same in all iterations."""
    op = tensor.op
    if not contains(loop, output_context(op)):
        return tensor
    contents = known_contents(tensor)
    if contents is not None and contents.dtype != object and not contents.ndim:
        return int(contents)
    if is_invariant_enter(op) and op._control_flow_context is loop:
        return op.inputs[0]
    if not is_invariant(tensor, loop, 0) or list_arguments(op):
        return None
    inputs = [lifted(t, loop) for t in op.inputs]
    if any(t is None for t in inputs):
        return None
    with inside(loop.graph, loop.outer_context):
        return apply(op.definition, *inputs)  # type: ignore[no-any-return]


def list_arguments(op: Operation) -> int:
    """How many lists of tensors an operation takes."""
    return sum(slot.is_list for slot in signature(type(op.definition)).arguments)


def is_invariant(tensor: Tensor, loop: WhileContext, depth: int) -> bool:
    """Whether a tensor of a loop is certainly the same in all iterations."""
    op = tensor.op
    if op._control_flow_context is not loop:
        return False
    if op.type in ENTERS:
        return is_invariant_enter(op)
    contents = known_contents(tensor)
    if contents is not None and contents.dtype != object:
        return True
    definition = op.definition
    if not op.inputs or depth > 20 or definition.effect is not Effect.PURE:
        return False
    if definition.kind in (Kind.CONTROL, Kind.STATE, Kind.HOST, Kind.SOURCE):
        return False
    return all(is_invariant(t, loop, depth + 1) for t in op.inputs)


def is_one_sided(tensor: Tensor, loop: WhileContext) -> bool:
    """Whether a tensor of a loop that computes gradients is dead in some iterations: gradients of conditionals stand in no context."""
    seen: set[Operation] = set()
    todo = [tensor.op]
    while todo:
        op = todo.pop()
        if op in seen or op._control_flow_context is not loop or op.type in MERGES:
            continue
        seen.add(op)
        if op.type in SWITCHES:
            if op.inputs[1] is not loop.pivot:
                return True
            continue
        todo += [t.op for t in op.inputs]
    return False


def is_flow(tensor: Tensor) -> bool:
    """Whether it is the flow of a TensorArray."""
    if tensor.dtype.base_dtype is not dtypes.float32 or tensor._dims != ():
        return False
    seen: set[Operation] = set()
    todo = [tensor]
    while todo:
        current = todo.pop()
        op = current.op
        if op in seen:
            continue
        seen.add(op)
        if isinstance(op.definition, TensorArrayOp):
            return current is op.outputs[-1] and op.type not in ("TensorArrayReadV3", "TensorArrayGatherV3", "TensorArraySizeV3")
        if op.type in PASSING or op.type in EXITS or op.type in ENTERS or op.type == "NextIteration":
            todo.append(op.inputs[0])
        elif op.type in MERGES:
            todo += op.inputs
    return False


def origin_of_flow(flow: Tensor, loop: WhileContext) -> Tensor:
    """The flow after the loop of an array that came from outside; the flow of an array that is made in the loop; or, for an array that an
    inner loop gives, whatever comes before."""
    while contains(loop, output_context(flow.op)):
        op = flow.op
        if op.type == "TensorArrayV3":
            return flow
        if op.type in ENTERS and op._control_flow_context is loop:
            return op.inputs[0]
        if op.type in MERGES and op._control_flow_context is loop and op.inputs[0].op.type in ENTERS:
            return _exit_of(op, loop)
        flow = op.inputs[-1] if isinstance(op.definition, TensorArrayOp) else op.inputs[0]
    return flow


def _exit_of(merged: Operation, loop: WhileContext) -> Tensor:
    for user in merged.outputs[0]._consumers:
        if user.type in SWITCHES and user.inputs[1] is loop.pivot:
            for after in user.outputs[0]._consumers:
                if after.type in EXITS:
                    return after.outputs[0]
    raise ValueError(f"the loop variable '{merged.name}' of '{loop.name}' has no Exit")
