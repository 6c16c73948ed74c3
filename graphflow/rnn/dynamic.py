"""Recurrent nets as loops: the cell's operations stand in the graph once, whatever the length of the sequences."""

from __future__ import annotations

from typing import Any

from graphflow import nest
from graphflow.dtypes import int32
from graphflow.graph.build import convert_to_tensor, name_scope
from graphflow.graph.scopes import colocate_with, control_dependencies
from graphflow.graph.tensor import Tensor
from graphflow.ops.arithmetic import maximum, minimum
from graphflow.ops.assertions import Assert
from graphflow.ops.control_flow.while_loop import while_loop
from graphflow.ops.gather import reverse_sequence
from graphflow.ops.joining import stack
from graphflow.ops.logic import cast, equal, logical_not, logical_or, where
from graphflow.ops.reductions import reduce_all
from graphflow.ops.reshape import reverse
from graphflow.ops.shape import shape as shape_of
from graphflow.ops.source import constant, identity, zeros
from graphflow.ops.tensor_array import TensorArray
from graphflow.ops.variable_scope import variable_scope
from graphflow.rnn.base import assert_like_rnncell, batched_shape, static_batched_shape
from graphflow.rnn.sequences import (
    Lengths,
    best_effort_input_batch_size,
    cache_variables,
    first_state,
    state_dtype,
    static_size,
    transpose_batch_time,
)
from graphflow.shapes import TensorShape


def dynamic_rnn(cell, inputs, sequence_length=None, initial_state=None, dtype=None, parallel_iterations=None, swap_memory=False,
                time_major=False, scope=None):  # fmt: skip
    """Runs `cell` over inputs [batch, time, depth], or [time, batch, depth] with `time_major`, or a structure of such.

    Gives the outputs, laid out like the inputs, and the last state. Without `initial_state` the cell starts from zeros of type `dtype`.
    With `sequence_length` [batch], integers, the outputs past a row's length are zero and its state stays as it is; the loop ends with
    the longest row. `parallel_iterations` and `swap_memory` have no effect on results.
    """
    assert_like_rnncell("cell", cell)
    with variable_scope(scope or "rnn") as varscope:
        cache_variables(varscope)
        flat = nest.flatten(inputs)
        if not time_major:
            flat = [convert_to_tensor(tensor) for tensor in flat]
            flat = [transpose_batch_time(tensor) for tensor in flat]
        if sequence_length is not None:
            sequence_length = cast(sequence_length, int32)
            if sequence_length.shape.ndims not in (None, 1):
                raise ValueError(
                    f"sequence_length must be a vector of length batch_size, but saw shape: {sequence_length.shape}"
                )
            sequence_length = identity(sequence_length, name="sequence_length")
        batch_size = best_effort_input_batch_size(flat)
        if initial_state is None and not dtype:
            raise ValueError("If there is no initial_state, you must give a dtype.")
        state = first_state(cell, initial_state, batch_size, dtype)
        if sequence_length is not None:
            with control_dependencies([_assert_shape(sequence_length, [batch_size])]):
                sequence_length = identity(sequence_length, name="CheckSeqLen")
        outputs, state = _loop(
            cell, nest.pack_sequence_as(inputs, flat), state, parallel_iterations or 32, swap_memory, sequence_length, dtype
        )
        if not time_major:
            outputs = nest.map_structure(transpose_batch_time, outputs)
        return outputs, state


def _assert_shape(x: Any, wanted: list[Any]) -> Any:
    found, packed = shape_of(x), stack(wanted)
    told = [f"Expected shape for Tensor {x.name} is ", packed, " but saw shape: ", found]
    return Assert(reduce_all(equal(found, packed)), told)


def _static_sizes(flat: Any) -> list[TensorShape]:
    """The shapes of time-major inputs; ValueError unless they agree in time and batch and their depths are known."""
    shapes = [tensor.shape.with_rank_at_least(3) for tensor in flat]
    for shape in shapes:
        if not shape[2:].is_fully_defined():
            raise ValueError("Input size (depth of inputs) must be accessible via shape inference, but saw value None.")
        if shape[0].value != shapes[0][0].value:
            raise ValueError("Time steps is not the same for all the elements in the input in a batch.")
        if shape[1].value != shapes[0][1].value:
            raise ValueError("Batch_size is not the same for all the elements in the input.")
    return shapes


def _loop(cell: Any, inputs: Any, state: Any, parallel_iterations: int, swap_memory: bool, lengths: Any, dtype: Any) -> Any:
    """The outputs [time, batch, ...] and the last state, for inputs of that layout."""
    flat = nest.flatten(inputs)
    output_sizes = nest.flatten(cell.output_size)
    time_steps = shape_of(flat[0])[0]
    batch_size = best_effort_input_batch_size(flat)
    shapes = _static_sizes(flat)
    static_time, static_batch = shapes[0][0].value, shapes[0][1].value
    made_dtype = state_dtype(dtype, state)
    # Made even where nothing is past the end of its sequence, as TensorFlow does: the graph runs only what it needs.
    zero_output = nest.map_structure(lambda size: zeros(stack(batched_shape(batch_size, size)), made_dtype), cell.output_size)
    sequences = None if lengths is None else Lengths(lengths, zero_output)
    time = constant(0, dtype=int32, name="time")
    with name_scope("dynamic_rnn") as base_name:
        pass

    def array(name: str, shape: TensorShape, kind: Any) -> TensorArray:
        return TensorArray(dtype=kind, size=time_steps, element_shape=shape, tensor_array_name=base_name + name)

    outputs = tuple(
        array(f"output_{number}", TensorShape([static_batch]).concatenate(static_size(size)), made_dtype)
        for number, size in enumerate(output_sizes)
    )
    arrays = tuple(array(f"input_{number}", tensor.shape[1:], tensor.dtype) for number, tensor in enumerate(flat))
    arrays = tuple(ta.unstack(tensor) for ta, tensor in zip(arrays, flat, strict=True))

    def step(now: Any, written: Any, before: Any) -> Any:
        read = [ta.read(now) for ta in arrays]
        for tensor, shape in zip(read, shapes, strict=True):
            tensor.set_shape(shape[1:])
        given = nest.pack_sequence_as(inputs, read)
        if sequences is None:
            output, after = cell(given, before)
        else:
            output, after = sequences.step(now, before, lambda: cell(given, before), skip=False)
        written = tuple(ta.write(now, out) for ta, out in zip(written, nest.flatten(output), strict=True))
        return now + 1, written, after

    # At least one step even where all lengths are 0: the outputs take their sizes from it.
    last = minimum(time_steps, maximum(1, time_steps if sequences is None else sequences.longest))
    _, outputs, state = while_loop(
        cond=lambda now, *_: now < last, body=step, loop_vars=(time, outputs, state), parallel_iterations=parallel_iterations,
        maximum_iterations=time_steps, swap_memory=swap_memory,
    )  # fmt: skip
    stacked = [ta.stack() for ta in outputs]
    for output, size in zip(stacked, output_sizes, strict=True):
        output.set_shape(static_batched_shape([static_time, static_batch], size))
    return nest.pack_sequence_as(cell.output_size, stacked), state


def bidirectional_dynamic_rnn(cell_fw, cell_bw, inputs, sequence_length=None, initial_state_fw=None, initial_state_bw=None, dtype=None,
                              parallel_iterations=None, swap_memory=False, time_major=False, scope=None):  # fmt: skip
    """Runs one cell over inputs [batch, time, depth] forwards and another backwards, each row within its length.

    Gives the pair of their outputs, laid out like the inputs, and the pair of their last states.
    """
    assert_like_rnncell("cell_fw", cell_fw)
    assert_like_rnncell("cell_bw", cell_bw)
    time_axis, batch_axis = (0, 1) if time_major else (1, 0)

    def reversed_in_time(tensor: Any) -> Any:
        if sequence_length is None:
            return reverse(tensor, axis=[time_axis])
        return reverse_sequence(tensor, sequence_length, seq_axis=time_axis, batch_axis=batch_axis)

    def run(cell: Any, given: Any, first: Any, inner_scope: Any) -> Any:
        return dynamic_rnn(
            cell, given, sequence_length, first, dtype, parallel_iterations, swap_memory, time_major, scope=inner_scope
        )

    with variable_scope(scope or "bidirectional_rnn"):
        with variable_scope("fw") as fw_scope:
            output_fw, state_fw = run(cell_fw, inputs, initial_state_fw, fw_scope)
        with variable_scope("bw") as bw_scope:
            backward, state_bw = run(cell_bw, nest.map_structure(reversed_in_time, inputs), initial_state_bw, bw_scope)
    return (output_fw, reversed_in_time(backward)), (state_fw, state_bw)


def raw_rnn(cell, loop_fn, parallel_iterations=None, swap_memory=False, scope=None):
    """Runs `cell` in a loop that `loop_fn` steers.

    `loop_fn(time, cell_output, cell_state, loop_state)` gives (finished [batch] of bool, the next input, the next state, what to emit,
    the next loop state). It is called first with time 0 and None for the rest: it then gives the first input and state, and the
    structure of what will be emitted, or None for the cell's output. Rows that are finished emit zeros and keep their state; the loop
    ends when all are.

    Gives what was emitted, as TensorArrays, the last state and the last loop state.
    """
    assert_like_rnncell("cell", cell)
    if not callable(loop_fn):
        raise TypeError("loop_fn must be a callable")
    with variable_scope(scope or "rnn") as varscope:
        cache_variables(varscope)
        time = constant(0, dtype=int32)
        finished, next_input, state, emitted, init_loop_state = loop_fn(time, None, None, None)
        flat_input = nest.flatten(next_input)
        loop_state = constant(0, dtype=int32) if init_loop_state is None else init_loop_state
        static_batch = flat_input[0].shape[0]
        for tensor in flat_input:
            static_batch.merge_with(tensor.shape[0])
        const_batch = static_batch.value
        batch_size = shape_of(flat_input[0])[0] if const_batch is None else const_batch
        nest.assert_same_structure(state, cell.state_size)
        state = nest.map_structure(convert_to_tensor, state)
        if emitted is None:
            emitted = cell.output_size
            sizes: list[Any] = nest.flatten(emitted)
            dtypes = [nest.flatten(state)[0].dtype] * len(sizes)
        else:
            flat = nest.flatten(emitted)
            sizes = [e.shape if e.shape.is_fully_defined() else shape_of(e) for e in flat]
            dtypes = [e.dtype for e in flat]
        arrays = nest.pack_sequence_as(emitted, [
            TensorArray(
                dtype=dtype, dynamic_size=True, element_shape=TensorShape([const_batch]).concatenate(static_size(size)), size=0,
                name=f"rnn_output_{number}",
            )
            for number, (dtype, size) in enumerate(zip(dtypes, sizes, strict=True))
        ])  # fmt: skip
        zero = nest.pack_sequence_as(
            emitted, [zeros(batched_shape(batch_size, size), dtype) for size, dtype in zip(sizes, dtypes, strict=True)]
        )

        def body(now: Any, finished: Any, given: Any, arrays: Any, before: Any, loop_state: Any) -> Any:
            output, cell_state = cell(given, before)
            nest.assert_same_structure(before, cell_state)
            nest.assert_same_structure(cell.output_size, output)
            next_time = now + 1
            next_finished, following, after, emit, next_loop_state = loop_fn(next_time, output, cell_state, loop_state)
            nest.assert_same_structure(before, after)
            nest.assert_same_structure(given, following)
            nest.assert_same_structure(arrays, emit)

            def kept(old: Any, new: Any) -> Any:
                if not isinstance(old, Tensor) or old.shape.ndims == 0:
                    return new
                with colocate_with(new):
                    return where(finished, old, new)

            emit = nest.map_structure(kept, zero, emit)
            after = nest.map_structure(kept, before, after)
            arrays = nest.map_structure(lambda ta, value: ta.write(now, value), arrays, emit)
            finished = logical_or(finished, next_finished)
            return next_time, finished, following, arrays, after, loop_state if next_loop_state is None else next_loop_state

        *_, arrays, state, loop_state = while_loop(
            lambda _, finished, *__: logical_not(reduce_all(finished)), body,
            loop_vars=[time, finished, next_input, arrays, state, loop_state], parallel_iterations=parallel_iterations or 32,
            swap_memory=swap_memory,
        )  # fmt: skip
        return arrays, state, None if init_loop_state is None else loop_state
