"""A session's variables: the arrays that hold them, and which of them have a value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.dtypes import DType
from graphflow.ops import philox
from graphflow.runtime.buffers import aligned

Array = np.ndarray[Any, Any]


def _room(shape: Sequence[int], dtype: np.dtype[Any]) -> Array:
    """Memory for a value. Strings are Python objects: memory that is not filled with references must never be assigned to."""
    return np.empty(tuple(shape), object) if dtype.hasobject else aligned(shape, dtype)


class Storage(dict[str, Array]):
    """name -> array. Native code writes into the arrays, so one is replaced only when its shape changes; `moves` counts that.

    Names that begin with "random/" hold what a random op keeps: as uint64 its position, [a number drawn at first use, Philox blocks used
    so far], as other types anything that begins with zeros.
    """

    def __init__(self) -> None:
        super().__init__()
        self.initialized_names: set[str] = set()
        self.moves = 0

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a variable's value; KeyError where it has none."""
        if name not in self.initialized_names:
            raise KeyError(name)
        return self[name].shape

    def reshaped(self, name: str, dims: tuple[int, ...]) -> bool:
        """Whether a variable's value has another shape than the graph says, as an assignment without validation gives it."""
        return name in self.initialized_names and self[name].shape != dims

    def initialized(self, name: str) -> bool:
        """Whether a variable has a value."""
        return name in self.initialized_names

    def prepare(self, name: str, shape: Sequence[int], dtype: DType) -> None:
        """Makes room for a variable of that shape and type."""
        array = self.get(name)
        numpy_type = np.dtype(dtype.as_numpy_dtype)
        if array is not None and array.shape == tuple(shape) and array.dtype == numpy_type:
            return
        if name.startswith("random/"):
            self[name] = aligned(shape, numpy_type, 0)
            if numpy_type == np.uint64:
                self[name][0] = philox.entropy()
            self.initialized_names.add(name)
        else:
            self[name] = _room(shape, numpy_type)
            self.initialized_names.discard(name)
        self.moves += 1

    def assign(self, name: str, value: Any) -> None:
        """Gives a variable a value from outside of a run."""
        array = np.asarray(value)
        held = self.get(name)
        if held is None or held.shape != array.shape or held.dtype != array.dtype:
            held = self[name] = _room(array.shape, array.dtype)
            self.moves += 1
        held[...] = array
        self.initialized_names.add(name)

    def release(self) -> None:
        """Gives the memory back."""
        self.clear()
        self.initialized_names.clear()
        self.moves += 1
