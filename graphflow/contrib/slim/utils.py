"""tf.contrib.slim.utils: collections of outputs, and sizes read off shapes."""

from __future__ import annotations

from typing import Any

from graphflow.contrib.layers.collections import collect_output
from graphflow.contrib.layers.collections import variable_collections as get_variable_collections
from graphflow.graph.convert import constant_value
from graphflow.graph.graph import get_default_graph
from graphflow.graph.scopes import get_collection
from graphflow.layers.conditional import smart_cond

__all__ = [
    "collect_named_outputs", "constant_value", "convert_collection_to_dict", "first_dimension", "gather_tensors_aliases",
    "get_tensor_aliases", "get_variable_collections", "last_dimension", "smart_cond", "two_element_tuple",
]  # fmt: skip

collect_named_outputs = collect_output


def get_tensor_aliases(tensor):
    """The names under which collect_named_outputs kept a tensor, or its own."""
    return getattr(tensor, "aliases", [tensor.op.name])


def gather_tensors_aliases(tensors):
    """All aliases of several tensors."""
    return [alias for tensor in tensors for alias in get_tensor_aliases(tensor)]


def convert_collection_to_dict(collection, clear_collection=False):
    """A collection as a dict from aliases to tensors."""
    tensors = {alias: tensor for tensor in get_collection(collection) for alias in get_tensor_aliases(tensor)}
    if clear_collection:
        get_default_graph().clear_collection(collection)
    return tensors


def _dimension(shape: Any, which: int, min_rank: int) -> int:
    if shape.ndims is None:
        raise ValueError("dims of shape must be known but is None")
    if shape.ndims < min_rank:
        raise ValueError(f"rank of shape must be at least {min_rank} not: {shape.ndims}")
    size = shape.as_list()[which]
    if size is None:
        raise ValueError(f"{'first' if which == 0 else 'last'} dimension shape must be known but is None")
    return int(size)


def first_dimension(shape, min_rank=1):
    """The first size of a shape, which must be known."""
    return _dimension(shape, 0, min_rank)


def last_dimension(shape, min_rank=1):
    """The last size of a shape, which must be known."""
    return _dimension(shape, -1, min_rank)


def two_element_tuple(int_or_tuple):
    """A pair given as one integer, as two, or as a shape."""
    if isinstance(int_or_tuple, (list, tuple)):
        if len(int_or_tuple) != 2:
            raise ValueError(f"Must be a list with 2 elements: {int_or_tuple}")
        return int(int_or_tuple[0]), int(int_or_tuple[1])
    if hasattr(int_or_tuple, "as_list"):
        return tuple(int_or_tuple.as_list())
    return int(int_or_tuple), int(int_or_tuple)
