"""tf.cond: one of two branches, as a condition says when the graph runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphflow.graph.build import convert_to_tensor, name_scope
from graphflow.graph.collections import GraphKeys
from graphflow.graph.graph import get_default_graph
from graphflow.graph.indexed_slices import IndexedSlices
from graphflow.graph.operation import Operation
from graphflow.graph.scopes import control_dependencies
from graphflow.graph.tensor import Tensor
from graphflow.nest import assert_same_structure, flatten, map_structure, pack_sequence_as
from graphflow.ops.control_flow.arrays import flow_of, with_flows
from graphflow.ops.control_flow.contexts import CondContext
from graphflow.ops.control_flow.ops import merge, switch, widened
from graphflow.ops.source import identity, no_op, with_dependencies

__all__ = ["cond"]

Branch = Callable[[], Any]


def cond(pred: Any, true_fn: Branch | None = None, false_fn: Branch | None = None, strict: bool = False, name: str | None = None,
         fn1: Branch | None = None, fn2: Branch | None = None) -> Any:  # fmt: skip
    """true_fn() if `pred`, a bool scalar, is true in the run, else false_fn().

    Both functions are called once, now; what they make runs only if its branch is taken. What they take from outside is computed either
    way. They must give the same structure of tensors, of the same types; an Operation counts as a tensor that is there once it has run.
    A list or tuple of one tensor is unpacked unless `strict`. fn1, fn2: older names of the two.

    TypeError: a branch is missing or not callable, or `pred` is a Python bool. ValueError: a branch gives nothing, or the two give
    different structures or types.
    """
    true_fn = _branch(true_fn, fn1, "true_fn", "fn1")
    false_fn = _branch(false_fn, fn2, "false_fn", "fn2")
    with name_scope(name, "cond", [pred]):
        if isinstance(pred, bool):
            raise TypeError("pred must not be a Python bool: there is nothing left to be decided in a run. Call the branch itself.")
        switched = switch(pred, pred)
        pivot_true, pivot_false = identity(switched[1], name="switch_t"), identity(switched[0], name="switch_f")
        pred = identity(pred, name="pred_id")
        graph = get_default_graph()
        for tensor in (*switched, pivot_true, pivot_false, pred):
            graph.prevent_fetching(tensor.op)
        context_true = CondContext(pred, pivot_true, branch=1)
        given_true, true = _build_branch(context_true, true_fn, "true_fn")
        context_false = CondContext(pred, pivot_false, branch=0)
        given_false, false = _build_branch(context_false, false_fn, "false_fn")
        if not strict:
            given_true, given_false = _unpacked(given_true), _unpacked(given_false)
        _check_structures(given_true, given_false, true, false)
        flat_true, flat_false = flatten(true, expand_composites=True), flatten(false, expand_composites=True)
        if not flat_true:
            raise ValueError("true_fn and false_fn must return at least one result.")
        for a, b in zip(flat_true, flat_false, strict=True):
            if a.dtype.base_dtype != b.dtype.base_dtype:
                raise ValueError(
                    f"Outputs of true_fn and false_fn must have the same type: {a.dtype.name}, {b.dtype.name} (for '{a.name}' and "
                    f"'{b.name}'). Convert one of them with tf.cast."
                )
        merged = [merge(pair)[0] for pair in zip(flat_false, flat_true, strict=True)]
        merged = with_flows(flatten(given_true, expand_composites=True), merged)
        if context_true.outer_context is None:  # the root context holds all that is nested in it
            graph.add_to_collection(GraphKeys.COND_CONTEXT, context_true)
            graph.add_to_collection(GraphKeys.COND_CONTEXT, context_false)
        result = pack_sequence_as(given_true, merged, expand_composites=True)
        return result if strict else _unpacked(result)


def _branch(function: Branch | None, older: Branch | None, name: str, older_name: str) -> Branch:
    """The function given under the one name or the other."""
    if older is not None:
        if function is not None:
            raise TypeError(f"cond(): {name} and {older_name} may not be set simultaneously.")
        function = older
    elif function is None:
        raise TypeError(f"cond(): {name} argument required")
    if not callable(function):
        raise TypeError(f"{name} must be callable.")
    return function


def _unpacked(result: Any) -> Any:
    return result[0] if isinstance(result, (list, tuple)) and len(result) == 1 else result


def _build_branch(context: CondContext, function: Branch, name: str) -> tuple[Any, Any]:
    """What a branch function gives, and the same as tensors inside the branch."""
    try:
        context.Enter()
        given = with_summaries(function, lambda made: no_op() if made is None else map_structure(identity, made, expand_composites=True))
        if given is None:
            raise ValueError(f"{name} must have a return value.")

        def inside(value: Any) -> Tensor:
            if isinstance(value, Operation):
                return with_dependencies([value], context.pivot)  # type: ignore[no-any-return]
            return context.result(convert_to_tensor(flow_of(value)))

        result = map_structure(inside, given, expand_composites=True)
        if not isinstance(result, (list, tuple)):
            result = [result]
        context.ExitResult(flatten(result, expand_composites=True))
    finally:
        context.Exit()
    return given, result


def with_summaries(function: Callable[..., Any], after: Callable[[Any], Any], *arguments: Any) -> Any:
    """function(*arguments). Where it made summaries, its results wait for them (`after` makes the waiting ones): nobody can fetch a summary
    out of a branch or a loop, so the collection loses it and it is written as part of the results."""
    graph = get_default_graph()
    key = GraphKeys._SUMMARY_COLLECTION
    before = graph.get_collection(key)
    result = function(*arguments)
    made = graph.get_collection(key)[len(before) :]
    if not made:
        return result
    graph.get_collection_ref(key)[:] = before
    with control_dependencies(made):
        return after(result)


def _check_structures(given_true: Any, given_false: Any, true: Any, false: Any) -> None:
    """Refuses branches that give different structures. The indices of IndexedSlices are brought to one type first."""
    try:
        assert_same_structure(given_true, given_false, expand_composites=True)
    except (TypeError, ValueError) as error:
        text = str(error)
        what = "types" if isinstance(error, TypeError) else "values"
        raise type(error)(f"Incompatible return {what} of true_fn and false_fn: {text}") from None
    for a, b in zip(flatten(true), flatten(false), strict=True):
        _same_indices(a, b)


def _same_indices(a: Any, b: Any) -> None:
    if isinstance(a, IndexedSlices) and isinstance(b, IndexedSlices) and a.indices.dtype != b.indices.dtype:
        a.indices, b.indices = widened(a.indices), widened(b.indices)
