"""Unrolled recurrent nets: the cell's operations stand in the graph once for every step."""

from __future__ import annotations

from typing import Any

from graphflow import nest
from graphflow.graph.build import convert_to_tensor
from graphflow.graph.scopes import control_dependencies
from graphflow.ops.gather import reverse_sequence
from graphflow.ops.joining import concat, stack, unstack
from graphflow.ops.shape import shape as shape_of
from graphflow.ops.source import identity, zeros
from graphflow.ops.variable_scope import variable_scope
from graphflow.rnn.base import assert_like_rnncell, batched_shape, static_batched_shape
from graphflow.rnn.sequences import Lengths, cache_variables, first_state, input_dims, state_dtype


def static_rnn(cell, inputs, initial_state=None, dtype=None, sequence_length=None, scope=None):
    """Runs `cell` over a list of inputs, each [batch, depth] or a structure of such.

    Gives the list of outputs and the last state. Without `initial_state` the cell starts from zeros of type `dtype`. With
    `sequence_length` [batch], integers, the outputs past a row's length are zero and its state stays as it is.
    """
    assert_like_rnncell("cell", cell)
    _check_list(inputs)
    outputs = []
    with variable_scope(scope or "rnn") as varscope:
        cache_variables(varscope)
        batch = input_dims(inputs).value
        first = nest.flatten(inputs)[0]
        batch_size = batch or shape_of(first)[0]
        if initial_state is None and not dtype:
            raise ValueError("If no initial_state is provided, dtype must be specified")
        state = first_state(cell, initial_state, batch_size, dtype)
        lengths = None
        if sequence_length is not None:
            sequence_length = convert_to_tensor(sequence_length, name="sequence_length")
            if sequence_length.shape.ndims not in (None, 1):
                raise ValueError("sequence_length must be a vector of length batch_size")
            lengths = Lengths(sequence_length, _zero_outputs(cell, batch_size, batch, state_dtype(dtype, state)))
        for time, step_input in enumerate(inputs):
            if time > 0:
                varscope.reuse_variables()
            if lengths is None:
                output, state = cell(step_input, state)
            else:
                output, state = lengths.step(time, state, lambda x=step_input, s=state: cell(x, s), skip=True)
            outputs.append(output)
    return outputs, state


def _zero_outputs(cell: Any, batch_size: Any, batch: int | None, dtype: Any) -> Any:
    """Zeros of the cell's output sizes, for a batch whose size may be known in the graph or not."""

    def zero(size: Any) -> Any:
        made = zeros(stack(batched_shape(batch_size, size)), dtype)
        made.set_shape(static_batched_shape(batch, size))
        return made

    return nest.map_structure(zero, cell.output_size)


def _check_list(inputs: Any) -> None:
    if not nest.is_nested(inputs):
        raise TypeError("inputs must be a sequence")
    if not inputs:
        raise ValueError("inputs must not be empty")


def static_state_saving_rnn(cell, inputs, state_saver, state_name, sequence_length=None, scope=None):
    """`static_rnn` that takes its first state from `state_saver.state(name)` and leaves the last with `save_state(name, state)`.

    `state_name` is a string, or a structure of strings like the cell's `state_size`.
    """
    sizes = cell.state_size
    if nest.is_nested(sizes) != nest.is_nested(state_name):
        raise ValueError(
            f"state_name should be the same type as cell.state_size.  state_name: {state_name}, cell.state_size: {sizes}"
        )
    names = nest.flatten(state_name)
    if len(names) != len(nest.flatten(sizes)):
        raise ValueError(f"#elems(state_name) != #elems(state_size): {len(names)} vs. {len(nest.flatten(sizes))}")
    initial_state = nest.pack_sequence_as(sizes, [state_saver.state(name) for name in names])
    outputs, state = static_rnn(cell, inputs, initial_state=initial_state, sequence_length=sequence_length, scope=scope)
    saved = [state_saver.save_state(name, part) for name, part in zip(names, nest.flatten(state), strict=True)]
    # Whoever asks for the last output or the state has the state saved.
    with control_dependencies(saved):
        outputs[-1] = nest.map_structure(identity, outputs[-1])
        return outputs, nest.map_structure(identity, state)


def static_bidirectional_rnn(cell_fw, cell_bw, inputs, initial_state_fw=None, initial_state_bw=None, dtype=None, sequence_length=None,
                             scope=None):  # fmt: skip
    """Runs one cell over a list of inputs forwards and another backwards.

    Gives the list of both outputs side by side [batch, fw.output_size + bw.output_size], and the two last states.
    """
    assert_like_rnncell("cell_fw", cell_fw)
    assert_like_rnncell("cell_bw", cell_bw)
    _check_list(inputs)
    with variable_scope(scope or "bidirectional_rnn"):
        with variable_scope("fw") as fw_scope:
            forward, state_fw = static_rnn(cell_fw, inputs, initial_state_fw, dtype, sequence_length, scope=fw_scope)
        with variable_scope("bw") as bw_scope:
            reversed_inputs = _reversed(inputs, sequence_length)
            backward, state_bw = static_rnn(cell_bw, reversed_inputs, initial_state_bw, dtype, sequence_length, scope=bw_scope)
    backward = _reversed(backward, sequence_length)
    pairs = zip(nest.flatten(forward), nest.flatten(backward), strict=True)
    outputs = nest.pack_sequence_as(forward, [concat([fw, bw], 1) for fw, bw in pairs])
    return outputs, state_fw, state_bw


def _reversed(sequence: Any, lengths: Any) -> list[Any]:
    """A list of inputs in reverse order, each row of them up to its length."""
    if lengths is None:
        return list(reversed(sequence))
    columns = [
        unstack(reverse_sequence(stack(tensors), lengths, 0, 1)) for tensors in zip(*(nest.flatten(step) for step in sequence), strict=True)
    ]
    return [nest.pack_sequence_as(step, list(parts)) for step, parts in zip(sequence, zip(*columns, strict=True), strict=True)]
