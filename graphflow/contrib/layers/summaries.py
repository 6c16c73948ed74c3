"""Summaries of tensors by what they are: a number as a scalar, anything else as a histogram."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from graphflow.dtypes import bool as bool_
from graphflow.dtypes import string
from graphflow.graph.collections import GraphKeys
from graphflow.graph.scopes import get_collection
from graphflow.ops.logic import cast, greater, less, to_float
from graphflow.ops.reductions import reduce_mean
from graphflow.summary.ops import histogram, scalar

__all__ = [
    "summarize_activation", "summarize_activations", "summarize_biases", "summarize_collection", "summarize_tensor", "summarize_tensors",
    "summarize_variables", "summarize_weights",
]  # fmt: skip


def summarize_activation(op):
    """A histogram of a layer's output; where a rectifier made it, also which share of its inputs it cut off."""
    name, kind = op.op.name, op.op.type
    if kind in ("Relu", "Softplus", "Relu6"):
        before = op.op.inputs[0]
        summarize_tensor(reduce_mean(to_float(less(before, cast(0.0, before.dtype)))), f"{name}/zeros")
    if kind == "Relu6":
        before = op.op.inputs[0]
        summarize_tensor(reduce_mean(to_float(greater(before, cast(6.0, before.dtype)))), f"{name}/sixes")
    return histogram(f"{name}/activation", op)


def summarize_tensor(tensor, tag=None):
    """The summary of a tensor or variable under `tag`, or its own name and "_summary". None for strings and truth values."""
    if tensor.dtype.base_dtype in (string, bool_):
        return None
    make = scalar if tensor.get_shape().ndims == 0 else histogram
    return make(tag or f"{tensor.op.name}_summary", tensor)


def summarize_tensors(tensors: Iterable[Any], summarizer: Callable[[Any], Any] = summarize_tensor) -> list[Any]:
    """A summary of each tensor."""
    return [summarizer(tensor) for tensor in tensors]


def summarize_collection(collection, name_filter=None, summarizer=summarize_tensor):
    """A summary of each tensor of a collection whose name begins with what the regular expression `name_filter` says."""
    found = get_collection(collection)
    return summarize_tensors([t for t in found if name_filter is None or re.match(name_filter, t.op.name)], summarizer)


summarize_variables = partial(summarize_collection, GraphKeys.GLOBAL_VARIABLES)
summarize_weights = partial(summarize_collection, GraphKeys.WEIGHTS)
summarize_biases = partial(summarize_collection, GraphKeys.BIASES)


def summarize_activations(name_filter=None, summarizer=summarize_activation):
    """A summary of each layer's output that is in the collection of activations."""
    return summarize_collection(GraphKeys.ACTIVATIONS, name_filter, summarizer)
