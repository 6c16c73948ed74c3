"""Control flow contexts as messages, which name the operations that a context consists of, and back."""

from __future__ import annotations

from typing import Any

from graphflow.graph.context import ENTERS, ControlFlowContext
from graphflow.graph.graph import get_default_graph
from graphflow.graph.tensor import Tensor
from graphflow.io.schema import CondContextDef, ControlFlowContextDef, ValuesDef, WhileContextDef
from graphflow.ops.control_flow.contexts import CondContext, WhileContext
from graphflow.ops.variable_protos import prepend_scope, strip_scope

# -- writing -------------------------------------------------------------------------------------------------------------------


def context_to_proto(context: Any, export_scope: str | None = None) -> Any:
    """The CondContextDef or WhileContextDef of a context with all that is nested in it; None where it is not in the scope."""
    if export_scope is not None and not context.name.startswith(export_scope):
        return None

    def name_of(tensor: Tensor) -> str:
        return strip_scope(tensor.name, export_scope)

    values = ValuesDef(values=sorted(name_of(t) for t in context._values))
    for outside, within in context._external_values.items():
        values.external_values.add(key=name_of(outside), value=name_of(within))
    proto: Any
    if isinstance(context, CondContext):
        proto = CondContextDef(pred_name=name_of(context.pred), pivot_name=name_of(context.pivot), branch=context.branch)
    else:
        proto = WhileContextDef(
            parallel_iterations=context.parallel_iterations,
            back_prop=context.back_prop,
            swap_memory=context.swap_memory,
            pivot_name=name_of(context.pivot),
            pivot_for_pred_name=name_of(context._pivot_for_pred),
            pivot_for_body_name=name_of(context._pivot_for_body),
            loop_exit_names=map(name_of, context.loop_exits),
            loop_enter_names=map(name_of, context.loop_enters),
        )
        if context.maximum_iterations is not None:
            proto.maximum_iterations_name = name_of(context.maximum_iterations)
    proto.context_name = strip_scope(context.name, export_scope)
    proto.values_def = values
    for nested in context._nested_contexts:
        inner = context_to_proto(nested, export_scope)
        if inner is not None:
            key = "cond_ctxt" if isinstance(nested, CondContext) else "while_ctxt"
            proto.nested_contexts.append(ControlFlowContextDef(**{key: inner}))
    return proto


# -- reading -------------------------------------------------------------------------------------------------------------------


def context_from_proto(proto: Any, import_scope: str | None = None) -> ControlFlowContext:
    """The context whose operations are in the default graph already. They and those of nested contexts come to belong to it."""
    graph = get_default_graph()

    def element(name: str) -> Any:
        return graph.as_graph_element(prepend_scope(name, import_scope))

    name = prepend_scope(proto.context_name, import_scope)
    context: Any
    if isinstance(proto, CondContextDef):
        context = CondContext(element(proto.pred_name), element(proto.pivot_name), proto.branch, name, unique=False)
    else:
        limit = element(proto.maximum_iterations_name) if proto.maximum_iterations_name else None
        context = WhileContext(limit, proto.parallel_iterations, proto.back_prop, proto.swap_memory, name, unique=False)
        context._pivot = element(proto.pivot_name)
        context._pivot_for_pred = element(proto.pivot_for_pred_name)
        context._pivot_for_body = element(proto.pivot_for_body_name)
        context._loop_enters = [element(n) for n in proto.loop_enter_names]
        context._loop_exits = [element(n) for n in proto.loop_exit_names]
    context._values = {element(n) for n in proto.values_def.values}
    context._external_values = {element(e.key): element(e.value) for e in proto.values_def.external_values}
    for tensor in context._values.difference(context._external_values):
        tensor.op._control_flow_context = context
    if import_scope and isinstance(context, WhileContext):
        _rename_frame(context, name)
    context.Enter()
    for nested in proto.nested_contexts:
        context_from_proto(nested.cond_ctxt if nested.HasField("cond_ctxt") else nested.while_ctxt, import_scope)
    context.Exit()
    return context  # type: ignore[no-any-return]


def _rename_frame(context: WhileContext, name: str) -> None:
    """The loop is called otherwise than where it was written: its frame is, too."""
    for tensor in context._values:
        definition: Any = tensor.op.definition
        if tensor.op.type in ENTERS and tensor.op._control_flow_context is context:
            tensor.op.definition = type(definition)(name, definition.is_constant, definition.parallel_iterations)

