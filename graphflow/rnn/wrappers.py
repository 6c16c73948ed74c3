"""Cells around cells: dropout, residual connections, devices, and cells stacked on each other."""

from __future__ import annotations

import hashlib
from typing import Any

from graphflow import nest
from graphflow.compat.logging import WARN, log_first_n
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.convert import constant_value
from graphflow.graph.scopes import device as device_scope
from graphflow.graph.tensor import Tensor
from graphflow.layers.base import Layer
from graphflow.nn.dropout import dropout_v2
from graphflow.ops.division import div
from graphflow.ops.joining import concat
from graphflow.ops.random import random_uniform
from graphflow.ops.slicing import slice as slice_of
from graphflow.ops.variable_scope import variable_scope
from graphflow.rnn.base import RNNCell, assert_like_rnncell
from graphflow.rnn.cells import LSTMStateTuple
from graphflow.shapes import as_shape


class Wrapper(RNNCell):
    """A cell that changes what goes into another cell or comes out of it; the state is the other cell's."""

    def __init__(self, cell, **kwargs):
        super().__init__(**kwargs)
        assert_like_rnncell("cell", cell)
        self.cell = cell

    @property
    def state_size(self):
        """That of the wrapped cell."""
        return self.cell.state_size

    @property
    def output_size(self):
        """That of the wrapped cell."""
        return self.cell.output_size

    def zero_state(self, batch_size, dtype):
        """The zero state of the wrapped cell."""
        with name_scope(type(self).__name__ + "ZeroState", values=[batch_size]):
            return self.cell.zero_state(batch_size, dtype)

    def __call__(self, inputs, state, scope=None):
        return self._call_wrapped_cell(inputs, state, self.cell.__call__, scope=scope)

    def _call_wrapped_cell(self, inputs: Any, state: Any, cell_call_fn: Any, **kwargs: Any) -> Any:
        raise NotImplementedError


def _without_memory(substate: Any) -> Any:
    """Which parts of a state get dropout unless a program says otherwise: all but the memory of an LSTM and TensorArrays."""
    if isinstance(substate, LSTMStateTuple):
        return LSTMStateTuple(c=False, h=True)
    return isinstance(substate, Tensor) or nest.is_nested(substate)


def _numbered(shallow: Any, function: Any, *structures: Any) -> Any:
    """`nest.map_structure_up_to` with a function that gets the number of the leaf first."""
    numbers = iter(range(len(nest.flatten(shallow))))
    return nest.map_structure_up_to(shallow, lambda *parts: function(next(numbers), *parts), *structures)


class DropoutWrapper(Wrapper):
    """Dropout on a cell's inputs, outputs and state, each with a probability to keep, a float or a scalar tensor.

    With `variational_recurrent` the elements dropped are the same at every step (Gal & Ghahramani 2016, arXiv:1512.05287), which
    needs `dtype`, and `input_size` for dropout of inputs. Each dropout's seed comes from `seed`, where it stands, and its number.
    """

    def __init__(self, cell, input_keep_prob=1.0, output_keep_prob=1.0, state_keep_prob=1.0, variational_recurrent=False, input_size=None,
                 dtype=None, seed=None, dropout_state_filter_visitor=None, **kwargs):  # fmt: skip
        super().__init__(cell, dtype=dtype, **kwargs)
        if dropout_state_filter_visitor is not None and not callable(dropout_state_filter_visitor):
            raise TypeError("dropout_state_filter_visitor must be callable")
        self._dropout_state_filter = dropout_state_filter_visitor or _without_memory
        with name_scope("DropoutWrapperInit"):
            self._input_keep_prob = _probability("input_keep_prob", input_keep_prob)
            self._state_keep_prob = _probability("state_keep_prob", state_keep_prob)
            self._output_keep_prob = _probability("output_keep_prob", output_keep_prob)
        self._variational_recurrent = variational_recurrent
        self._input_size = input_size
        self._seed = seed
        self._recurrent_input_noise = self._recurrent_state_noise = self._recurrent_output_noise = None
        if not variational_recurrent:
            return
        if dtype is None:
            raise ValueError("When variational_recurrent=True, dtype must be provided")
        if _drops(self._input_keep_prob):
            if input_size is None:
                raise ValueError(
                    "When variational_recurrent=True and input_keep_prob < 1.0 or is unknown, input_size must be provided"
                )
            self._recurrent_input_noise = self._noise("input", input_size, dtype)
        self._recurrent_state_noise = self._noise("state", cell.state_size, dtype)
        self._recurrent_output_noise = self._noise("output", cell.output_size, dtype)

    @property
    def wrapped_cell(self):
        """The cell inside."""
        return self.cell

    def _gen_seed(self, salt_prefix: str, index: int) -> int | None:
        if self._seed is None:
            return None
        digest = hashlib.md5(f"{self._seed}{salt_prefix}_{index}".encode(), usedforsecurity=False).hexdigest()
        return int(digest[:8], 16) & 0x7FFFFFFF

    def _noise(self, salt: str, sizes: Any, dtype: Any) -> Any:
        """Uniform numbers [1, size], drawn once a run and used for the whole batch at every step."""

        def draw(number: int, size: Any) -> Any:
            dims = concat(([1], as_shape(size).as_list()), 0)
            return random_uniform(dims, seed=self._gen_seed(salt, number), dtype=dtype)

        return _numbered(sizes, draw, sizes)

    def _dropped(self, values: Any, salt: str, noise: Any, keep: Any, shallow: Any) -> Any:
        """`values` with dropout where `shallow` has something other than False."""

        def each_step(number: int, wanted: Any, value: Any) -> Any:
            return value if wanted is False else dropout_v2(value, rate=1.0 - keep, seed=self._gen_seed(salt, number))

        def once(number: int, wanted: Any, value: Any, drawn: Any) -> Any:
            if wanted is False:
                return value
            kept = make("Floor", keep + drawn)
            result = div(value, keep) * kept
            result.set_shape(value.shape)
            return result

        if self._variational_recurrent:
            return _numbered(shallow, once, shallow, values, noise)
        return _numbered(shallow, each_step, shallow, values)

    def _call_wrapped_cell(self, inputs, state, cell_call_fn, **kwargs):
        if _drops(self._input_keep_prob):
            inputs = self._dropped(inputs, "input", self._recurrent_input_noise, self._input_keep_prob, inputs)
        output, new_state = cell_call_fn(inputs, state, **kwargs)
        if _drops(self._state_keep_prob):
            shallow = nest.get_traverse_shallow_structure(self._dropout_state_filter, new_state)
            new_state = self._dropped(new_state, "state", self._recurrent_state_noise, self._state_keep_prob, shallow)
        if _drops(self._output_keep_prob):
            output = self._dropped(output, "output", self._recurrent_output_noise, self._output_keep_prob, output)
        return output, new_state


def _probability(name: str, given: Any) -> Any:
    """The value as a float where it is known, else as a tensor."""
    tensor = convert_to_tensor(given)
    known = constant_value(tensor)
    if known is None:
        return tensor
    if not 0 <= known <= 1:
        raise ValueError(f"Parameter {name} must be between 0 and 1: {known}")
    return float(known)


def _drops(keep: Any) -> bool:
    return not isinstance(keep, float) or keep < 1


class ResidualWrapper(Wrapper):
    """A cell whose inputs are added to its outputs, or joined with them by `residual_fn(inputs, outputs)`."""

    def __init__(self, cell, residual_fn=None, **kwargs):
        super().__init__(cell, **kwargs)
        self._residual_fn = residual_fn

    def _call_wrapped_cell(self, inputs, state, cell_call_fn, **kwargs):
        outputs, new_state = cell_call_fn(inputs, state, **kwargs)
        return (self._residual_fn or _sum)(inputs, outputs), new_state


def _sum(inputs: Any, outputs: Any) -> Any:
    nest.assert_same_structure(inputs, outputs)
    nest.map_structure(lambda i, o: i.shape.assert_is_compatible_with(o.shape), inputs, outputs)
    return nest.map_structure(lambda i, o: i + o, inputs, outputs)


class DeviceWrapper(Wrapper):
    """A cell that runs on `device`."""

    def __init__(self, cell, device, **kwargs):
        super().__init__(cell, **kwargs)
        self._device = device

    def zero_state(self, batch_size, dtype):
        """The zero state of the wrapped cell."""
        with name_scope(type(self).__name__ + "ZeroState", values=[batch_size]), device_scope(self._device):
            return self.cell.zero_state(batch_size, dtype)

    def _call_wrapped_cell(self, inputs, state, cell_call_fn, **kwargs):
        with device_scope(self._device):
            return cell_call_fn(inputs, state, **kwargs)


class MultiRNNCell(RNNCell):
    """Cells on top of each other: the output of each is the input of the next.

    The state is the tuple of their states; with `state_is_tuple=False`, which needs cells without tuples, their states side by side.
    Variables are those of the cells, in scopes cell_0, cell_1, …
    """

    def __init__(self, cells, state_is_tuple=True):
        super().__init__()
        if not cells:
            raise ValueError("Must specify at least one cell for MultiRNNCell.")
        if not nest.is_nested(cells):
            raise TypeError(f"cells must be a list or tuple, but saw: {cells}.")
        if len({id(cell) for cell in cells}) < len(cells):
            log_first_n(WARN, "At least two cells provided to MultiRNNCell are the same object and will share weights.", 1)
        self._cells = cells
        self._state_is_tuple = state_is_tuple
        if not state_is_tuple and any(nest.is_nested(c.state_size) for c in cells):
            raise ValueError(
                "Some cells return tuples of states, but the flag state_is_tuple is not set.  "
                f"State sizes are: {[c.state_size for c in cells]}"
            )

    @property
    def state_size(self):
        """The sizes of the cells' states as a tuple, or their sum."""
        sizes = tuple(cell.state_size for cell in self._cells)
        return sizes if self._state_is_tuple else sum(sizes)

    @property
    def output_size(self):
        """That of the last cell."""
        return self._cells[-1].output_size

    def zero_state(self, batch_size, dtype):
        """The zero states of the cells."""
        with name_scope(type(self).__name__ + "ZeroState", values=[batch_size]):
            if self._state_is_tuple:
                return tuple(cell.zero_state(batch_size, dtype) for cell in self._cells)
            return super().zero_state(batch_size, dtype)

    def _weights(self, kind: str) -> list[Any]:
        return [w for cell in self._cells if isinstance(cell, Layer) for w in getattr(cell, kind)]

    @property
    def trainable_weights(self):
        """The variables of the cells that are trained."""
        return self._weights("trainable_weights") if self.trainable else []

    @property
    def non_trainable_weights(self):
        """The variables of the cells that are not trained."""
        still = self._weights("non_trainable_weights")
        return still if self.trainable else self._weights("trainable_weights") + still

    def call(self, inputs, state):
        """The output of the last cell and the next state."""
        position, new_states = 0, []
        for number, cell in enumerate(self._cells):
            with variable_scope(f"cell_{number}"):
                if self._state_is_tuple:
                    if not nest.is_nested(state):
                        raise ValueError(f"Expected state to be a tuple of length {len(self.state_size)}, but received: {state}")
                    own = state[number]
                else:
                    own = slice_of(state, [0, position], [-1, cell.state_size])
                    position += cell.state_size
                inputs, new_state = cell(inputs, own)
                new_states.append(new_state)
        return inputs, tuple(new_states) if self._state_is_tuple else concat(new_states, 1)
