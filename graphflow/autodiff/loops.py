"""Differentiating loops: the loop backwards, and how it gets at what the loop forwards computed.

The forward loop gets a counter. The loop backwards counts it down; in each of its iterations it needs values that the forward loop had in
the iteration gone back to: that is what it stands for wherever it is used there. Such a value is

    taken from outside   if it does not change in the loop
    computed again       if it follows from such values, or is the handle of a TensorArray made in the loop
    recorded             else: the forward loop writes it into a TensorArray at its counter. The array's flow is one more loop variable, so
                         the record is pure data flow. The loop backwards reads at its own counter.

A value on one branch of a conditional in the loop is written on that branch and read on the same branch backwards. The record of an inner
loop is a variable of all loops around too: one array holds what all of its runs have recorded, one run after the other.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from graphflow import dtypes
from graphflow.autodiff.counts import recorded
from graphflow.autodiff.loop_parts import (
    PASSING,
    LoopVariable,
    Step,
    conditions_between,
    is_flow,
    is_invariant,
    is_one_sided,
    lifted,
    list_arguments,
    origin_of_flow,
    through,
)
from graphflow.autodiff.trips import trip_bound
from graphflow.graph.build import apply, make
from graphflow.graph.context import ControlFlowContext, inside, loop_of, output_context
from graphflow.graph.graph import Graph
from graphflow.graph.indexed_slices import IndexedSlices
from graphflow.graph.op import Effect, Kind
from graphflow.graph.operation import Operation
from graphflow.graph.scopes import control_dependencies
from graphflow.graph.tensor import Tensor, known_contents
from graphflow.ops.control_flow.contexts import CondContext, WhileContext, is_invariant_enter
from graphflow.ops.control_flow.ops import loop_cond, next_iteration, switch_ref_or_tensor
from graphflow.ops.ranges import range as range_
from graphflow.ops.source import constant, zeros
from graphflow.ops.tensor_array_ops import TensorArrayOp
from graphflow.shapes import TensorShape


class Layout(NamedTuple):
    """Where a loop's records stand in their array: at `position`, a tensor of the forward loop; at `backwards`, the same in the loop
    backwards. capacity: how many there are at most, where that is known before; an int or a tensor outside of all loops."""

    position: Tensor
    backwards: Tensor
    capacity: Any


class GradLoop:
    """The loop backwards of one forward loop, in one call of tf.gradients.

    outer: that of the loop around, where that is differentiated too. exits: the results of the forward loop that take part. `switch_map`
    holds the merges of the loop backwards by the Switches that they belong to.
    """

    def __init__(self, forward: WhileContext, outer: GradLoop | None, exits: list[Tensor]) -> None:
        self.graph: Graph = forward.graph
        self.forward_context = forward
        self.outer = outer
        self.switch_map: dict[Operation, Tensor] = {}
        self.unused_exits: list[Tensor] = []
        self.deferred_exits: list[Tensor] = []
        self.exits = exits
        self.pending_exits = len(exits)
        self._real: dict[Tensor, Tensor] = {}
        self._layout: Layout | None = None
        self._around = forward.outer_context
        with control_dependencies(None):
            with inside(self.graph, self._around):
                counter = LoopVariable(forward, constant(0, name="f_count"), "f_count", counter=True)
            with inside(self.graph, forward):
                self._iteration = counter.value
                after = make("Add", self._iteration, 1)
            self.count = counter.set(after)
            self._bound = trip_bound(forward)
            with inside(self.graph, self.around_backwards):
                count = self.count if outer is None else outer.real_value(self.count)
                self.grad_context = WhileContext(
                    forward.maximum_iterations, forward.parallel_iterations, forward.back_prop, forward.swap_memory, forward.name, self
                )
                self._index = self._count_down(count)

    @property
    def around_backwards(self) -> ControlFlowContext | None:
        """The context that the loop backwards stands in."""
        return self._around if self.outer is None else self.outer.grad_context

    def _count_down(self, count: Tensor) -> Tensor:
        """The loop variable that the loop backwards ends with; the result is the number of the iteration gone back to."""
        context = self.grad_context
        one = constant(1, name="b_count")
        counter = LoopVariable(context, count, "b_count", counter=True)
        with inside(self.graph, context):
            context._pivot_for_pred = counter.merged
            context._pivot = loop_cond(make("GreaterEqual", counter.merged, one), name="b_count")
            index: Tensor = make("Sub", counter.value, one)
            context._pivot_for_body = index
        self._exit(counter, index)
        return index

    # -- values of the forward loop ----------------------------------------------------------------------------------------

    def real_value(self, value: Tensor) -> Tensor:
        """In the loop backwards: what `value`, a tensor of the forward loop, was in the iteration gone back to."""
        found = self._real.get(value)
        if found is not None:
            return found
        with self.graph._count.counting_for(None, apart=value.op.type != "Shape"):  # shapes are in the numbers of autodiff/counts.py
            with control_dependencies(None), inside(self.graph, self.grad_context):
                found = self._outside(value)
                if found is None:
                    found = self._again(value)
            if found is None:
                with control_dependencies(None), self.graph._count.counting_for(recorded(value.op)):
                    found = self._recorded(value)
        self._real[value] = found
        return found

    def _outside(self, value: Tensor) -> Tensor | None:
        """A value that does not change in the loop: what it is outside."""
        op = value.op
        while op.type in PASSING and loop_of(output_context(op)) is self.forward_context:
            op = op.inputs[0].op
        if is_invariant_enter(op) and op._control_flow_context is self.forward_context:
            return self._from_around(op.inputs[0])
        contents = known_contents(value)
        if contents is not None and contents.dtype != object:
            return constant(contents, value.dtype.base_dtype)
        return None

    def _from_around(self, value: Tensor) -> Tensor:
        """A tensor of the context around the forward loop, in the loop backwards."""
        if self.outer is not None:
            value = self.outer.real_value(value) if self._is_in(self.outer, value) else value
        with inside(self.graph, self.grad_context):
            return self.grad_context.AddValue(value)

    def _is_in(self, loop: GradLoop, value: Tensor) -> bool:
        return loop_of(output_context(value.op)) is loop.forward_context

    def _again(self, value: Tensor) -> Tensor | None:
        """A value that can be computed again from what is known in the loop backwards."""
        op = value.op
        definition = op.definition
        if isinstance(definition, TensorArrayOp) or is_flow(value):
            return self._array_again(value)
        if definition.effect is not Effect.PURE or definition.kind in (Kind.CONTROL, Kind.STATE, Kind.HOST, Kind.SOURCE):
            return None
        if output_context(op) is not self.forward_context or not op.inputs:
            return None
        if not all(is_invariant(t, self.forward_context, 0) for t in op.inputs) or list_arguments(op) > 1:
            return None
        return self._made_again(op, value)

    def _made_again(self, op: Operation, value: Tensor) -> Tensor:
        results = apply(op.definition, *map(self.real_value, op.inputs))
        results = list(results) if isinstance(results, (list, tuple)) else [results]
        self._real.update(zip(op.outputs, results, strict=True))
        return self._real[value]

    def _array_again(self, value: Tensor) -> Tensor | None:
        """The handle or the flow of a TensorArray.

        An array that the forward loop makes in every iteration is made again, empty: it stands for the shape of the gradients. The flow of
        an array from outside is what it is after the loop: gradients begin when all is written.
        """
        if value.dtype.base_dtype is dtypes.resource:
            made = value.op
            while made.type in PASSING:
                made = made.inputs[0].op
            return self._made_again(made, made.outputs[0]) if made.type in ("TensorArrayV3", "TensorArrayGradV3") else None
        if not is_flow(value):
            return None
        origin = origin_of_flow(value, self.forward_context)
        if loop_of(output_context(origin.op)) is not self.forward_context:
            return self._from_around(origin)
        return self._real[origin] if origin in self._real else self._made_again(origin.op, origin)

    def _recorded(self, value: Tensor) -> Tensor:
        """A value that the forward loop writes down, read again."""
        if self.forward_context.grad_state is not None and is_one_sided(value, self.forward_context):
            raise TypeError(
                f"Second-order gradient for while loops not supported where the loop holds a conditional: '{value.name}' of "
                f"'{self.forward_context.name}' is computed in some iterations only. Use tf.where in place of tf.cond."
            )
        dtype, shape = value.dtype.base_dtype, value.shape
        layout = self.layout
        with inside(self.graph, self._outermost._around):
            handle, flow = make(
                "TensorArrayV3", 0 if layout.capacity is None else layout.capacity, dtype=dtype, element_shape=shape,
                dynamic_size=layout.capacity is None, clear_after_read=False, identical_element_shapes=shape.is_fully_defined(),
                name="f_acc",
            )  # fmt: skip
        conditions = self._conditions(value)

        def write(flow: Tensor) -> Tensor:
            with inside(self.graph, output_context(value.op)):
                return make("TensorArrayWriteV3", handle, layout.position, value, flow)  # type: ignore[no-any-return]

        flow = self._threaded(flow, "f_acc", lambda before: through(conditions, before, write))
        with inside(self.graph, self.grad_context):
            result: Tensor = make("TensorArrayReadV3", handle, self._guarded(layout.backwards, conditions), flow, dtype=dtype)
            result.set_shape(shape)
            return result

    def _threaded(self, start: Tensor, name: str, body: Step) -> Tensor:
        """A variable of this loop and of all loops around it. start: its value before them all. body: gives the next value. The result is
        its value after them all."""

        def run(before: Tensor) -> Tensor:
            variable = LoopVariable(self.forward_context, before, name)
            return variable.set(body(variable.value))

        if self.outer is None:
            return run(start)
        conditions = conditions_between(self._around, self.outer.forward_context)
        return self.outer._threaded(start, name, lambda before: through(conditions, before, run))

    @property
    def _outermost(self) -> GradLoop:
        return self if self.outer is None else self.outer._outermost

    @property
    def layout(self) -> Layout:
        """Where the records of this loop stand in their array."""
        if self._layout is None:
            with control_dependencies(None):
                self._layout = self._laid_out()
        return self._layout

    def _laid_out(self) -> Layout:
        if self.outer is None:
            return Layout(self._iteration, self._index, self._bound)
        outer = self.outer.layout
        stride = self._stride()
        if stride is None:  # runs of different length: a running number says where each begins
            begins: list[Tensor] = []

            def count(number: Tensor) -> Tensor:
                begins.append(number)
                with inside(self.graph, self.forward_context):
                    return make("Add", number, 1)  # type: ignore[no-any-return]

            with inside(self.graph, self._outermost._around):
                zero = constant(0)
            self._threaded(zero, "f_place", count)
            begin = begins[0].op.inputs[0].op.inputs[0].op.inputs[0]  # past its Switch, Merge and Enter: where a run begins
            return Layout(begins[0], self._sum(self.outer.real_value(begin)), None)
        with inside(self.graph, self._around):
            begin = make("Mul", outer.position, stride)
        with inside(self.graph, self.forward_context):
            position = make("Add", begin, self._iteration)
        with inside(self.graph, self.outer.grad_context):
            begin = make("Mul", outer.backwards, stride)
        capacity = outer.capacity
        if capacity is not None and isinstance(capacity, int) and isinstance(stride, int):
            capacity *= stride
        elif capacity is not None:
            with inside(self.graph, self._outermost._around):
                capacity = make("Mul", capacity, stride)
        return Layout(position, self._sum(begin), capacity)

    def _sum(self, begin: Tensor) -> Tensor:
        with inside(self.graph, self.grad_context):
            return make("Add", begin, self._index)  # type: ignore[no-any-return]

    def _stride(self) -> Any:
        """The bound of this loop's iterations, where it is the same in all iterations of the loops around: an int, or a tensor outside."""
        bound, loop = self._bound, self.outer
        while loop is not None and isinstance(bound, Tensor):
            bound = lifted(bound, loop.forward_context)
            loop = loop.outer
        return bound

    def _conditions(self, value: Tensor) -> list[CondContext]:
        """The branches in the loop that a value stands on, the outermost first."""
        return conditions_between(output_context(value.op), self.forward_context)

    def _guarded(self, tensor: Tensor, conditions: list[CondContext]) -> Tensor:
        """`tensor`, alive only where the innermost of the conditions held."""
        if not conditions:
            return tensor
        branch = conditions[-1]
        return switch_ref_or_tensor(tensor, self.real_value(branch.pred))[branch.branch]  # type: ignore[no-any-return]

    # -- gradients of what does not change in the loop ---------------------------------------------------------------------

    def _sizes_around(self, value: Tensor) -> Tensor:
        """The shape of a tensor of the context around the forward loop, in the context around the loop backwards."""
        with control_dependencies(None), inside(self.graph, self.around_backwards):
            return make("Shape", value)  # type: ignore[no-any-return]

    def summed_up(self, op: Operation, dy: Tensor) -> Tensor:
        """The sum of `dy` over all iterations: the gradient of what goes in by `op`, an Enter that is the same in all of them."""
        shape = dy.shape.merge_with(op.inputs[0].shape)
        with control_dependencies(None), inside(self.graph, self.around_backwards):
            if shape.is_fully_defined():
                start = constant(0, dy.dtype, shape=shape, name="b_acc")
            else:
                start = zeros(self._sizes_around(op.inputs[0]), dy.dtype)
        total = LoopVariable(self.grad_context, start, "b_acc", shape)
        with inside(self.graph, self.grad_context):
            after = make("Add", total.value, dy)
        return self._exit(total, after)

    def _exit(self, variable: LoopVariable, after: Tensor) -> Tensor:
        """The result of a variable of the loop backwards."""
        result = variable.set(after)
        self.grad_context.loop_exits.append(result)
        return result

    def collected_slices(self, op: Operation, dy: IndexedSlices) -> IndexedSlices:
        """The same for IndexedSlices: those of all iterations, one after the other."""
        around = self.around_backwards
        with control_dependencies(None), inside(self.graph, around):
            count = self.count if self.outer is None else self.outer.real_value(self.count)
            sizes = self._sizes_around(op.inputs[0])
        parts = [self._collected(part, count) for part in (dy.values, dy.indices)]
        return IndexedSlices(parts[0], parts[1], sizes)

    def _collected(self, part: Tensor, count: Tensor) -> Tensor:
        """The values of a tensor of the loop backwards in all iterations, joined along the first axis."""
        dtype, shape = part.dtype.base_dtype, part.shape
        around = self.around_backwards
        with control_dependencies(None):
            with inside(self.graph, around):
                handle, flow = make(
                    "TensorArrayV3", count, dtype=dtype, element_shape=shape, clear_after_read=False,
                    identical_element_shapes=shape.is_fully_defined(), name="b_acc",
                )  # fmt: skip
            variable = LoopVariable(self.grad_context, flow, "b_acc")
            with inside(self.graph, self.grad_context):
                written = make("TensorArrayWriteV3", handle, self._index, part, variable.value)
            flow = self._exit(variable, written)
            with inside(self.graph, around):
                if shape.is_fully_defined():
                    stacked = make("TensorArrayGatherV3", handle, range_(0, count), flow, dtype=dtype, element_shape=shape)
                    return make("Reshape", stacked, [-1, *shape.as_list()[1:]])  # type: ignore[no-any-return]
                joined: Tensor = make("TensorArrayConcatV3", handle, flow, dtype=dtype, element_shape_except0=shape[1:])[0]
                joined.set_shape(TensorShape([None]).concatenate(shape[1:]))
                return joined

    def finish(self) -> None:
        """Closes the loop variables that nothing has come round to: their next gradient is zero."""
        for merged in self.switch_map.values():
            first, second = merged.op.inputs
            if first is not second:
                continue
            if merged.shape.is_fully_defined():
                with inside(self.graph, self.grad_context):
                    nothing = constant(0, merged.dtype, shape=merged.shape)
                    following = next_iteration(nothing)
            else:
                with inside(self.graph, self.around_backwards):
                    nothing = zeros(make("Shape", first.op.inputs[0]), merged.dtype)
                with inside(self.graph, self.grad_context):
                    following = next_iteration(nothing)
            merged.op._update_input(1, following)
