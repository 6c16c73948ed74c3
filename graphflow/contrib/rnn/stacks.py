"""Layers of bidirectional nets on top of each other: each reads both directions of the one below (Graves et al. 2013)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphflow.ops.joining import concat
from graphflow.ops.variable_scope import variable_scope
from graphflow.rnn.dynamic import bidirectional_dynamic_rnn
from graphflow.rnn.static import static_bidirectional_rnn


def _stacked(cells_fw: Any, cells_bw: Any, inputs: Any, states_fw: Any, states_bw: Any, scope: Any, layer: Callable[..., Any]) -> Any:
    """Checks the arguments, then calls `layer(cell_scope, forward, backward, inputs, first_fw, first_bw)` for each pair of cells."""
    for cells, which in ((cells_fw, "fw"), (cells_bw, "bw")):
        if not cells:
            raise ValueError(f"Must specify at least one {which} cell for BidirectionalRNN.")
    for cells, which in ((cells_fw, "fw"), (cells_bw, "bw")):
        if not isinstance(cells, list):
            raise ValueError(f"cells_{which} must be a list of RNNCells (one per layer).")
    if len(cells_fw) != len(cells_bw):
        raise ValueError("Forward and Backward cells must have the same depth.")
    for states, which in ((states_fw, "fw"), (states_bw, "bw")):
        if states is not None and (not isinstance(states, list) or len(states) != len(cells_fw)):
            raise ValueError(f"initial_states_{which} must be a list of state tensors (one per layer).")
    last_fw, last_bw = [], []
    with variable_scope(scope or "stack_bidirectional_rnn"):
        for number, (forward, backward) in enumerate(zip(cells_fw, cells_bw, strict=True)):
            first_fw, first_bw = (states[number] if states else None for states in (states_fw, states_bw))
            with variable_scope(f"cell_{number}") as cell_scope:
                inputs, state_fw, state_bw = layer(cell_scope, forward, backward, inputs, first_fw, first_bw)
            last_fw.append(state_fw)
            last_bw.append(state_bw)
    return inputs, tuple(last_fw), tuple(last_bw)


def stack_bidirectional_rnn(cells_fw, cells_bw, inputs, initial_states_fw=None, initial_states_bw=None, dtype=None, sequence_length=None,
                            scope=None):  # fmt: skip
    """Unrolled bidirectional layers over a list of inputs [batch, depth]. Gives the outputs of the last layer, then the last states of
    all layers forwards and backwards."""

    def layer(cell_scope: Any, forward: Any, backward: Any, below: Any, first_fw: Any, first_bw: Any) -> Any:
        return static_bidirectional_rnn(
            forward, backward, below, initial_state_fw=first_fw, initial_state_bw=first_bw, sequence_length=sequence_length, dtype=dtype,
            scope=cell_scope,
        )  # fmt: skip

    return _stacked(cells_fw, cells_bw, inputs, initial_states_fw, initial_states_bw, scope, layer)


def stack_bidirectional_dynamic_rnn(cells_fw, cells_bw, inputs, initial_states_fw=None, initial_states_bw=None, dtype=None,
                                    sequence_length=None, parallel_iterations=None, time_major=False, scope=None,
                                    swap_memory=False):  # fmt: skip
    """Bidirectional layers in loops over inputs [batch, time, depth], or [time, batch, depth] with `time_major`. Gives the outputs of
    the last layer, then the last states of all layers forwards and backwards."""

    def layer(cell_scope: Any, forward: Any, backward: Any, below: Any, first_fw: Any, first_bw: Any) -> Any:
        outputs, (state_fw, state_bw) = bidirectional_dynamic_rnn(
            forward, backward, below, initial_state_fw=first_fw, initial_state_bw=first_bw, sequence_length=sequence_length,
            parallel_iterations=parallel_iterations, dtype=dtype, swap_memory=swap_memory, time_major=time_major,
        )  # fmt: skip
        return concat(outputs, 2), state_fw, state_bw

    return _stacked(cells_fw, cells_bw, inputs, initial_states_fw, initial_states_bw, scope, layer)
