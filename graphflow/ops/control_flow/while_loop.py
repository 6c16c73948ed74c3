"""tf.while_loop: a body that is repeated while a condition holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphflow.graph.build import convert_to_tensor, name_scope
from graphflow.graph.collections import GraphKeys
from graphflow.graph.graph import get_default_graph
from graphflow.graph.indexed_slices import IndexedSlices
from graphflow.graph.scopes import control_dependencies
from graphflow.graph.tensor import Tensor
from graphflow.nest import assert_same_structure, flatten, is_composite, is_nested, map_structure, pack_sequence_as
from graphflow.ops.control_flow.arrays import flow_of, is_array, with_flows
from graphflow.ops.control_flow.cond import with_summaries
from graphflow.ops.control_flow.contexts import WhileContext
from graphflow.ops.control_flow.ops import (
    as_indexed_slices,
    enter,
    exit_,
    identity_ref_or_tensor,
    loop_cond,
    merge,
    next_iteration,
    switch_ref_or_tensor,
    tensor_or_composite,
)
from graphflow.ops.logic import logical_and
from graphflow.ops.source import constant, identity
from graphflow.shapes import TensorShape

__all__ = ["while_loop"]


def while_loop(cond: Callable[..., Any], body: Callable[..., Any], loop_vars: Any, shape_invariants: Any = None,
               parallel_iterations: int = 10, back_prop: bool = True, swap_memory: bool = False, name: str | None = None,
               maximum_iterations: Any = None, return_same_structure: bool = False) -> Any:  # fmt: skip
    """loop_vars = body(*loop_vars) for as long as cond(*loop_vars) is true; the last loop_vars.

    cond, body: called once, now; they take the loop variables, and `body` gives a structure like `loop_vars` of the same types. loop_vars:
    a list or tuple, also nested, of tensors, TensorArrays, IndexedSlices and SparseTensors. shape_invariants: per variable the shape that
    holds in every iteration; without, each keeps the shape it comes with. maximum_iterations: an int scalar; the loop ends then at the
    latest. parallel_iterations, swap_memory: accepted, they have no effect on results. back_prop: whether gradients go through the loop.
    A single variable is given back unpacked unless `return_same_structure`.

    TypeError: cond or body is not callable. ValueError: no loop variables, a body of another structure, or one that gives a variable a
    shape beyond its invariant.
    """
    if not callable(cond):
        raise TypeError("cond must be callable.")
    if not callable(body):
        raise TypeError("body must be callable.")
    if parallel_iterations < 1:
        raise TypeError("parallel_iterations must be a positive integer.")
    with name_scope(name, "while", loop_vars):
        if not loop_vars:
            raise ValueError("No loop variables provided")
        counted = maximum_iterations is not None
        if counted:
            maximum_iterations, cond, body, loop_vars = _counted(maximum_iterations, cond, body, loop_vars, return_same_structure)
        if shape_invariants is not None:
            if counted:
                shape_invariants = (TensorShape([]), shape_invariants)
            assert_same_structure(loop_vars, shape_invariants)
            shape_invariants = map_structure(_invariant, loop_vars, shape_invariants)
        context = WhileContext(maximum_iterations, parallel_iterations, back_prop, swap_memory)
        if context.outer_context is None:  # the root context holds all that is nested in it
            get_default_graph().add_to_collection(GraphKeys.WHILE_CONTEXT, context)
        result = _Loop(context, cond, body, loop_vars, shape_invariants).build(return_same_structure)
        return result[1] if counted else result


def _counted(limit: Any, cond: Callable[..., Any], body: Callable[..., Any], loop_vars: Any, same_structure: bool) -> tuple[Any, ...]:
    """The loop with a counter as its first variable, that ends after `limit` iterations."""
    limit = convert_to_tensor(limit, name="maximum_iterations")
    if limit.shape.ndims != 0:
        raise ValueError(f"maximum_iterations must be a scalar, saw shape: {limit.shape}")
    counter = constant(0, dtype=limit.dtype, name="iteration_counter")
    if len(loop_vars) == 1 and not same_structure:
        return (
            limit,
            lambda i, v: logical_and(i < limit, cond(v)),
            lambda i, v: (i + 1, body(v)),
            (counter, loop_vars[0]),
        )
    return (
        limit,
        lambda i, v: logical_and(i < limit, cond(*v)),
        lambda i, v: (i + 1, body(*v)),
        (counter, loop_vars),
    )


def _invariant(value: Any, shape: Any = None) -> Any:
    """The shapes that the tensors of a loop variable keep: a TensorShape, or a list of them for a value of several tensors."""
    if is_composite(value):
        if shape is None:
            return [t.shape for t in value._components]
        if not isinstance(shape, TensorShape):
            raise TypeError(f"Expected shape to be a TypeSpec or TensorShape, got {shape!r}")
        return value._shape_invariants(shape)
    if shape is None:
        return value.shape
    if hasattr(shape, "dtype"):  # a tf.TensorSpec
        if shape.dtype != value.dtype:
            raise TypeError(f"TensorSpec {shape!r} is not compatible with {value!r}")
        return shape.shape
    return shape


class _Loop:
    """A loop while it is built."""

    def __init__(self, context: WhileContext, cond: Callable[..., Any], body: Callable[..., Any], loop_vars: Any, invariants: Any) -> None:
        self._context = context
        self._cond, self._body = cond, body
        self._given = loop_vars
        values = [tensor_or_composite(flow_of(v), name=None) for v in flatten(loop_vars)]
        self._invariants = flatten([_invariant(v) for v in values] if invariants is None else invariants)
        self._initial: list[Tensor] = flatten(values, expand_composites=True)

    def build(self, same_structure: bool) -> Any:
        """What the loop gives, in the structure that the body gives."""
        try:
            self._context.Enter()
            result, exits = self._build()
        finally:
            self._context.Exit()
        packed = self._packed(result, exits)
        return packed if same_structure or len(exits) > 1 else packed[0]

    def _build(self) -> tuple[Any, list[Tensor]]:
        context = self._context
        merges = [merge([e, e])[0] for e in self._entered()]
        context._pivot_for_pred = merges[0]
        holds = convert_to_tensor(self._cond(*self._packed(self._given, merges)))
        context._pivot = loop_cond(holds, name="LoopCond")
        switched = [switch_ref_or_tensor(m, context._pivot) for m in merges]
        inside = [identity_ref_or_tensor(s[1]) for s in switched]
        context._pivot_for_body = inside[0]
        arguments = self._packed(self._given, inside)
        result = with_summaries(self._body, _as_computed, *arguments)
        if not is_nested(result) and not is_composite(result):
            result = [result]
        # Inputs are mostly lists and what a body gives is mostly a tuple, so the outermost layer may be either.
        assert_same_structure(list(arguments), list(result), expand_composites=True)
        nexts = [tensor_or_composite(flow_of(v)) for v in flatten(result, expand_composites=True)]
        if len(merges) != len(nexts):
            raise ValueError(f"Number of inputs and outputs of body must match loop_vars: {len(merges)}, {len(nexts)}")
        for merged, value in zip(merges, nexts, strict=True):
            add_back_edge(merged, value)
        exits = [exit_(s[0]) for s in switched]
        context._loop_exits = exits
        context.ExitResult(exits)
        return result, exits

    def _entered(self) -> list[Tensor]:
        """The loop variables inside the loop."""
        context = self._context
        context._values = set(self._initial)
        values = self._initial
        if context.outer_context is not None:
            values = [context.outer_context.AddValue(v) for v in values]
        with control_dependencies(None):
            enters = [
                enter(v, context.name, parallel_iterations=context.parallel_iterations, use_input_shape=False) for v in values
            ]
            for tensor in enters:
                context.graph.prevent_feeding(tensor)
        for tensor in enters:
            context._wait_outside(tensor.op)
        _set_invariants(values, enters, self._invariants)
        context._settle_enters(enters)
        context._values = set(enters)
        context._loop_enters = enters
        return enters

    def _packed(self, structure: Any, tensors: Sequence[Tensor]) -> Any:
        """Tensors in a structure, those that stand for a TensorArray as that array."""
        values = with_flows(flatten(structure, expand_composites=True), tensors)
        return pack_sequence_as(structure, values, expand_composites=True)


def _as_computed(result: Any) -> Any:
    return map_structure(lambda v: v if is_array(v) else identity(v), result, expand_composites=True)


def _set_invariants(values: Sequence[Tensor], enters: Sequence[Tensor], shapes: Sequence[Any]) -> None:
    if not all(isinstance(shape, TensorShape) for shape in shapes):
        raise ValueError("`shapes` must be a (possibly nested) list of shapes.")
    for value, entered, shape in zip(values, enters, shapes, strict=True):
        if not _within(value.shape, shape):
            raise ValueError(
                f"The shape invariant specified for {value.name} is not compatible with the initial shape of the loop variable. It "
                f"enters the loop with shape {value.shape}, but the specified shape invariant is {shape}."
            )
        entered.set_shape(shape)


def _within(shape: TensorShape, invariant: TensorShape) -> bool:
    """Whether every tensor of `shape` fits `invariant`."""
    if invariant.sizes is None:
        return True
    if shape.sizes is None or len(shape.sizes) != len(invariant.sizes):
        return False
    return all(wanted is None or wanted == size for size, wanted in zip(shape.sizes, invariant.sizes, strict=True))


def add_back_edge(merged: Any, value: Any, check_shape: bool = True) -> None:
    """`value` becomes what `merged` is in the next iteration. ValueError where its shape is not within that of `merged`."""
    if isinstance(merged, IndexedSlices):
        following = next_iteration(as_indexed_slices(value))
        for old, new in zip(merged._components, following._components, strict=True):
            old.op._update_input(1, new)
        return
    following = next_iteration(convert_to_tensor(value))
    if check_shape and not _within(following.shape, merged.shape):
        entered = merged.op.inputs[0].op.inputs[0]
        raise ValueError(
            f"Input tensor '{entered.name}' enters the loop with shape {entered.shape}, but has shape {following.shape} after one "
            "iteration. To allow the shape to vary across iterations, use the `shape_invariants` argument of tf.while_loop to specify a "
            "less-specific shape."
        )
    if following.dtype.base_dtype != merged.dtype.base_dtype:
        raise TypeError(
            f"Input 1 of node {merged.op.name} was passed {following.dtype.name} from {following.name} incompatible with expected "
            f"{merged.dtype.name}: the body must give every loop variable the type it came with. Convert with tf.cast."
        )
    merged.op._update_input(1, following)
