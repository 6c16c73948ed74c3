"""Values that a run is fed with: cast and checked against the tensor they stand for, by TensorFlow's rules."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow import dtypes
from graphflow.errors import describe
from graphflow.graph.graph import Graph
from graphflow.graph.literal import to_bytes
from graphflow.graph.tensor import Tensor
from graphflow.runtime.handles import TensorHandle

Array = np.ndarray[Any, Any]


class FeedSlot:
    """A fed tensor: `take(value)` gives the array that the run reads."""

    __slots__ = ("dtype", "known", "numpy_dtype", "rank", "tensor")

    def __init__(self, graph: Graph, feed: Any) -> None:
        try:
            tensor = graph.as_graph_element(feed, allow_operation=False)
        except Exception as error:
            raise TypeError("Cannot interpret feed_dict key as Tensor: " + str(error.args[0])) from None
        if not graph.is_feedable(tensor):
            raise ValueError(_about(tensor, f"Tensor {tensor} may not be fed.", "Feed what it is computed from."))
        self.tensor: Tensor = tensor
        self.dtype = tensor.dtype.base_dtype
        self.numpy_dtype = np.dtype(self.dtype.as_numpy_dtype)
        dims = tensor._dims
        self.rank = None if dims is None else len(dims)
        self.known = [(axis, size) for axis, size in enumerate(dims or ()) if size is not None]

    def take(self, value: Any) -> Array:
        """`value` as a dense array of the tensor's type; the caller's own array where it is one already."""
        if type(value) is np.ndarray and value.dtype is self.numpy_dtype and value.flags.c_contiguous:
            array = value
        else:
            array = self._cast(value)
        rank = self.rank
        if rank is not None:
            shape = array.shape
            if len(shape) != rank:
                self._refuse_shape(shape)
            for axis, size in self.known:
                if shape[axis] != size:
                    self._refuse_shape(shape)
        return array

    def _cast(self, value: Any) -> Array:
        tensor = self.tensor
        if isinstance(value, TensorHandle) and self.dtype is not dtypes.string:
            value = value.array()
        if isinstance(value, Tensor) or hasattr(value, "_as_graph_element"):
            raise TypeError(
                "The value of a feed cannot be a tf.Tensor object. Acceptable feed values include Python scalars, strings, "
                f"lists, numpy ndarrays, or TensorHandles. For reference, the tensor object was {value} which was passed to "
                f"the feed with key {tensor}."
            )
        kind = self.dtype.as_numpy_dtype
        if isinstance(value, int) and self.dtype.kernel_type is not None and not _holds(kind, value):
            wrong = (
                f"Type of feed value {value} with type {type(value)} is not compatible with Tensor type {kind}. "
                "Try explicitly setting the type of the feed tensor to a larger type (e.g. int64)."
            )
            raise TypeError(_about(tensor, wrong))
        try:
            array = np.asarray(value, dtype=self.numpy_dtype, order="C")
        except (ValueError, TypeError) as error:
            raise type(error)(_about(tensor, f"{error}, feeding a {type(value).__name__}", f"It wants {self._wants()}.")) from None
        except OverflowError:
            array = np.asarray(value).astype(self.numpy_dtype)
        if self.dtype is dtypes.string:
            return to_bytes(array)
        return array if array.flags.aligned and array.dtype.isnative else np.array(array, self.numpy_dtype, order="C")

    def _wants(self) -> str:
        return f"{self.dtype.name} of shape {self.tensor.shape}"

    def _refuse_shape(self, shape: tuple[int, ...]) -> None:
        tensor = self.tensor
        wrong = f"Cannot feed value of shape {shape!r} for Tensor {tensor.name!r}, which has shape {str(tensor.shape)!r}"
        raise ValueError(_about(tensor, wrong, "Feed an array of that shape, or give the placeholder another one."))


def _holds(kind: Any, value: int) -> bool:
    try:
        return bool(kind(value) == value)
    except (OverflowError, TypeError):
        return False


def _about(tensor: Tensor, wrong: str, hint: str = "") -> str:
    return describe(tensor.op, wrong, hint)
