"""What the functions that run a cell over a sequence share: sizes of sequences, and one step with sequences of different lengths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphflow import nest
from graphflow.dtypes import int32
from graphflow.graph.convert import constant_value
from graphflow.graph.graph import get_default_graph
from graphflow.graph.scopes import colocate_with
from graphflow.graph.tensor import Tensor
from graphflow.ops.control_flow.cond import cond
from graphflow.ops.joining import concat
from graphflow.ops.logic import cast, where
from graphflow.ops.ranges import range as range_of
from graphflow.ops.reductions import reduce_max, reduce_min
from graphflow.ops.reshape import transpose
from graphflow.ops.shape import rank as rank_of
from graphflow.ops.shape import shape as shape_of
from graphflow.ops.variable_scope import VariableScope
from graphflow.shapes import TensorShape, as_shape


def transpose_batch_time(x):
    """x with its first two dimensions exchanged; x itself if it has fewer."""
    rank = x.shape.ndims
    if rank is not None and rank < 2:
        return x
    swapped = transpose(x, concat(([1, 0], range_of(2, rank_of(x))), axis=0))
    first, second = x.shape[0].value, x.shape[1].value
    swapped.set_shape(TensorShape([second, first]).concatenate(x.shape[2:]))
    return swapped


def best_effort_input_batch_size(flat_input):
    """The batch size of inputs [time, batch, ...]: an integer where one of them tells, else a scalar tensor."""
    for tensor in flat_input:
        if tensor.shape.ndims is None:
            continue
        if tensor.shape.ndims < 2:
            raise ValueError(f"Expected input tensor {tensor} to have rank at least 2")
        if tensor.shape[1].value is not None:
            return tensor.shape[1].value
    return shape_of(flat_input[0])[1]


def state_dtype(explicit: Any, state: Any) -> Any:
    """The type asked for, or the one that all tensors of the state have."""
    if explicit is not None:
        return explicit
    if not nest.is_nested(state):
        return state.dtype
    found = [t.dtype for t in nest.flatten(state)]
    if not found:
        raise ValueError("Unable to infer dtype from empty state.")
    if any(d != found[0] for d in found):
        raise ValueError("State has tensors of different inferred_dtypes. Unable to infer a single representative dtype.")
    return found[0]


def static_size(size: Any) -> Any:
    """A size given as a tensor as far as it is known; any other as it is."""
    if not isinstance(size, Tensor):
        return size
    value = constant_value(size)
    return as_shape(None if value is None else value.reshape(-1))


def cache_variables(scope: VariableScope) -> None:
    """Lets all steps of an unrolled net read a variable once. Not in a loop, whose later iterations must see what earlier ones wrote."""
    context = get_default_graph()._control_flow_context
    while context is not None and not context.IsWhileContext():
        context = context.outer_context
    if context is None and scope.caching_device is None:
        scope.set_caching_device(lambda op: op.device)


def first_state(cell: Any, initial_state: Any, batch_size: Any, dtype: Any) -> Any:
    """The state to start from: as given, or the cell's own."""
    if initial_state is not None:
        return initial_state
    if getattr(cell, "get_initial_state", None) is not None:
        return cell.get_initial_state(inputs=None, batch_size=batch_size, dtype=dtype)
    return cell.zero_state(batch_size, dtype)


def input_dims(inputs: Any) -> Any:
    """Checks that all inputs [batch, depth, ...] have one batch size and known depths; gives that Dimension."""
    first = inputs
    while nest.is_nested(first):
        first = first[0]
    if first.shape.ndims == 1:  # numbers of words, of which an EmbeddingWrapper makes vectors
        return first.shape.with_rank_at_least(1)[0]
    batch = first.shape.with_rank_at_least(2)[0]
    for tensor in nest.flatten(inputs):
        shape = tensor.shape.with_rank_at_least(2)
        batch.merge_with(shape[0])
        for number, size in enumerate(shape[1:].dims):
            if size.value is None:
                raise ValueError(
                    f"Input size (dimension {number} of inputs) must be accessible via shape inference, but saw value None."
                )
    return batch


class Lengths:
    """Sequences of different lengths in a batch: past its length a row's output is zero and its state stays as it is."""

    def __init__(self, lengths: Any, zero_output: Any) -> None:
        """Of `lengths` [batch], with the zeros that stand for an output past the end."""
        self.zero_output = zero_output
        self.lengths = cast(lengths, int32)
        self.shortest = reduce_min(self.lengths)
        self.longest = reduce_max(self.lengths)

    def _copied(self, finished: Any, old: Sequence[Any], new: Sequence[Any]) -> list[Any]:
        """`new`, with the rows of `old` where a sequence is over. Scalars and TensorArrays have no rows."""

        def chosen(before: Any, after: Any) -> Any:
            if not isinstance(before, Tensor) or before.shape.ndims == 0:
                return after
            with colocate_with(after):
                return where(finished, before, after)

        return [chosen(before, after) for before, after in zip(old, new, strict=True)]

    def step(self, time: Any, state: Any, call_cell: Callable[[], tuple[Any, Any]], skip: bool) -> tuple[Any, Any]:
        """The output and the next state at `time`.

        With `skip` a step at which all sequences are over does not run the cell, and one at which none is copies nothing: that
        takes two `tf.cond`, which is worth it in an unrolled net and not in a loop that ends with the longest sequence.
        """
        finished = time >= self.lengths
        old = nest.flatten(self.zero_output) + nest.flatten(state)

        def ran() -> list[Any]:
            output, new_state = call_cell()
            nest.assert_same_structure(self.zero_output, output)
            nest.assert_same_structure(state, new_state)
            return nest.flatten(output) + nest.flatten(new_state)

        def copied_where_needed() -> Any:
            new = ran()
            return cond(time < self.shortest, lambda: new, lambda: self._copied(finished, old, new))

        new = cond(time >= self.longest, lambda: old, copied_where_needed) if skip else self._copied(finished, old, ran())
        for before, after in zip(old, new, strict=True):
            if isinstance(after, Tensor):
                after.set_shape(before.shape)
        count = len(nest.flatten(self.zero_output))
        return nest.pack_sequence_as(self.zero_output, new[:count]), nest.pack_sequence_as(state, new[count:])
