"""Tensors as messages and back, and whether something is a tensor: the names of tensorflow.python.framework.tensor_util."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.dtypes import as_dtype
from graphflow.graph.convert import constant_value
from graphflow.graph.literal import make_array
from graphflow.graph.tensor import Tensor
from graphflow.io import tensors
from graphflow.ops.variables import Variable

__all__ = ["MakeNdarray", "constant_value", "is_tensor", "make_ndarray", "make_tensor_proto"]


def is_tensor(x: Any) -> bool:
    """Whether `x` is a tensor, a variable or made of tensors."""
    return isinstance(x, (Tensor, Variable)) or hasattr(x, "_as_graph_element")


def make_tensor_proto(values, dtype=None, shape=None, verify_shape=False, allow_broadcast=False):
    """The TensorProto message of an array, a list or a number."""
    array, found = make_array(values, None if dtype is None else as_dtype(dtype), None if shape is None else tuple(shape), verify_shape)
    return tensors.to_proto(np.asarray(array), found)


def make_ndarray(tensor):
    """The array that a TensorProto message holds."""
    return tensors.to_array(tensor)


MakeNdarray = make_ndarray
