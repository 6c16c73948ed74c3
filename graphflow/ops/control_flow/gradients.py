"""The gradients of branches and loops: a graph of the same ops, wired the other way round.

    Switch  <-> Merge           a branch's gradient goes where its value came from
    Enter   <-> Exit            a loop's gradient is a loop
    NextIteration               the back edge of the loop backwards is made at its Switch

`tf.gradients` walks through a loop in the context of the loop backwards, whose `grad_state` (`autodiff/loops.py`) keeps what the two loops
share. The Switch of a loop variable is visited twice: on the way in from the Exit, and coming round from the body.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphflow.dtypes import resource
from graphflow.graph.build import make
from graphflow.graph.context import ENTERS, SWITCHES, output_context
from graphflow.graph.graph import get_default_graph
from graphflow.graph.indexed_slices import IndexedSlices
from graphflow.graph.operation import Operation
from graphflow.graph.scopes import control_dependencies
from graphflow.graph.tensor import Tensor
from graphflow.nest import flatten
from graphflow.ops.control_flow.ops import as_indexed_slices, enter, exit_, merge, switch, switch_ref_or_tensor, widened
from graphflow.ops.control_flow.while_loop import add_back_edge
from graphflow.ops.source import identity, zeros, zeros_like


def gradient(op: Operation, *given: Any) -> Sequence[Any]:
    """The gradients of the inputs of an op of branches and loops."""
    context: Any = get_default_graph()._control_flow_context  # of the loop backwards, where there is one
    kind = op.type.removeprefix("Ref")
    if kind == "Switch":
        return _switch(op, given, context)
    if kind == "Merge":
        return _merge(op, given[0], context)
    if kind == "Enter":
        return [_enter(op, given[0], context)]
    if kind == "Exit":
        return [_exit(given[0], context)]
    assert kind == "NextIteration", kind
    return [given[0]]


def is_loop_switch(op: Operation) -> bool:
    """Whether it is the Switch of a loop variable."""
    context: Any = op._control_flow_context
    return op.type in SWITCHES and context is not None and context.IsWhileContext() and op.inputs[1] is context.pivot


def _switch(op: Operation, given: Sequence[Any], context: Any) -> Sequence[Any]:
    own: Any = op._control_flow_context
    if is_loop_switch(op):
        merged = context.grad_state.switch_map.get(op)
        if merged is not None:  # the second visit, from the body
            if given[1] is not None:
                add_back_edge(merged, given[1], check_shape=False)
            return None, None
        if given[0] is None:  # no gradient comes through the Exit
            return None, None
        merged = merge([given[0], given[0]], name="b_switch")[0]
        context.grad_state.switch_map[op] = merged
        return merged, None
    if own is not None and own.IsCondContext():
        if given[1 - own.branch] is None:  # of a type without gradients
            return None, None
        if any(isinstance(g, IndexedSlices) for g in given):
            return _merged_slices(op, given, _real_pred(own, context)), None
        return merge(given, name="cond_grad")[0], None
    no, yes = switch(given[0], op.inputs[1])[0], switch(given[1], op.inputs[1])[1]
    return merge([no, yes])[0], None


def _merge(op: Operation, dy: Any, context: Any) -> Sequence[Any]:
    if op.inputs[0].op.type in ENTERS:
        return switch_ref_or_tensor(dy, context.pivot)
    own: Any = output_context(op.inputs[0].op)
    if own is not None and own.IsCondContext():
        return switch_ref_or_tensor(dy, _real_pred(own, context), name="cond_grad")
    chosen = [make("Equal", op.outputs[1], number) for number in range(len(op.inputs))]
    return [switch_ref_or_tensor(dy, c)[1] for c in chosen]


def _real_pred(own: Any, context: Any) -> Tensor:
    """The condition of a branch; for a conditional in a loop, in the iteration that is gone back to."""
    if context is not None and context.grad_state is not None:
        return context.grad_state.real_value(own.pred)  # type: ignore[no-any-return]
    return own.pred  # type: ignore[no-any-return]


def _merged_slices(op: Operation, given: Sequence[Any], pred: Tensor) -> IndexedSlices:
    """The slices of the branch that was taken. Their indices need not depend on it, so they are sent through a Switch."""
    sides = [as_indexed_slices(g) for g in given]
    if len({s.indices.dtype for s in sides}) > 1:
        sides = [IndexedSlices(s.values, widened(s.indices), s.dense_shape) for s in sides]
    values = merge([s.values for s in sides], name="cond_grad")[0]
    indices = merge([switch(s.indices, pred)[k] for k, s in enumerate(sides)], name="cond_grad")[0]
    return IndexedSlices(values, indices, make("Shape", op.inputs[0]))


def _exit(dy: Any, context: Any) -> Any:
    if not context.back_prop:
        return None
    for tensor in flatten(dy, expand_composites=True):
        context._values.add(tensor)
    context.Enter()
    result = enter(dy, context.name, parallel_iterations=context.parallel_iterations, name="b_exit")
    context.loop_enters.append(result)
    context.Exit()
    return result


def _enter(op: Operation, dy: Any, context: Any) -> Any:
    if context is None or not context.back_prop or context.grad_state is None:
        return dy
    if not op.get_attr("is_constant"):
        result = exit_(dy)
        context.loop_exits.append(result)
        context.ExitResult(flatten(result, expand_composites=True))
        return result
    if isinstance(dy, IndexedSlices):
        return context.grad_state.collected_slices(op, dy)
    return context.grad_state.summed_up(op, dy)


def zeros_outside_loops(op: Operation, index: int) -> Tensor:
    """Zeros like an output of an operation; for the side of a Switch that no gradient comes from, zeros on that side."""
    value = op.outputs[index]
    own: Any = op._control_flow_context
    if op.type not in SWITCHES or own is None or not own.IsCondContext():
        return zeros_like(value, optimize=False)
    side = switch(op.inputs[0], own.pred)[1 - own.branch]
    pivot = identity(side)
    handle = value.dtype is resource
    sizes = make("VariableShape", side) if handle else make("Shape", side)
    with control_dependencies([pivot]):
        return zeros(sizes, dtype=value.spec.contents.dtype if handle else value.dtype)
