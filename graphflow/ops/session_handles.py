"""Tensors that stay in a session between runs: `tf.get_session_handle` puts one there, its handle stands for it in later feeds."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from graphflow import dtypes
from graphflow.dtypes import DType
from graphflow.errors import InvalidArgumentError
from graphflow.graph.build import convert_to_tensor, make
from graphflow.graph.op import Effect, TensorSpec
from graphflow.graph.tensor import Tensor
from graphflow.ops.families import HostOp
from graphflow.ops.source import placeholder

__all__ = ["delete_session_tensor", "get_session_handle", "get_session_tensor"]

_numbers = itertools.count()


class GetSessionHandle(HostOp):
    """Keeps its input; the result names it."""

    effect = Effect.HOST
    uses_kept = True
    arguments = ("value: T",)
    results = ("handle: string",)

    def infer(self, value: TensorSpec) -> TensorSpec:
        return TensorSpec(dtypes.string, ())

    def run(self, kept: dict[bytes, Any], value: Any) -> Any:
        name = b"GetSessionHandle;%d;/job:localhost/replica:0/task:0/device:CPU:0" % next(_numbers)
        kept[name] = value
        return np.array(name, dtype=object)


class GetSessionTensor(HostOp):
    """What a handle names."""

    effect = Effect.HOST
    uses_kept = True
    arguments = ("handle: string",)
    results = ("value: dtype",)
    dtype: DType

    def infer(self, handle: TensorSpec) -> TensorSpec:
        return TensorSpec(self.dtype, None)

    def run(self, kept: dict[bytes, Any], handle: Any) -> Any:
        return _named(kept, handle)


class DeleteSessionTensor(HostOp):
    """Forgets what a handle names."""

    effect = Effect.HOST
    uses_kept = True
    arguments = ("handle: string",)
    results = ()

    def infer(self, handle: TensorSpec) -> tuple[TensorSpec, ...]:
        return ()

    def run(self, kept: dict[bytes, Any], handle: Any) -> Any:
        _named(kept, handle)
        del kept[handle.item()]
        return ()


def _named(kept: dict[bytes, Any], handle: Any) -> Any:
    name = handle.item()
    if name not in kept:
        raise InvalidArgumentError(None, None, f"The tensor with handle '{name.decode()}' is not in the session store.")
    return kept[name]


def get_session_handle(data: Any, name: str | None = None) -> Tensor:
    """A tensor that, when it is fetched, leaves `data` in the session and gives its TensorHandle."""
    if not isinstance(data, Tensor):
        raise TypeError("`data` must be of type Tensor.")
    return make("GetSessionHandle", data, name=name)  # type: ignore[no-any-return]


def get_session_tensor(handle: str, dtype: Any, name: str | None = None) -> tuple[Tensor, Tensor]:
    """A placeholder for a handle (its `handle` text), and the tensor that the handle names, of that type."""
    holder = placeholder(dtypes.string)
    return holder, make("GetSessionTensor", holder, dtype=dtypes.as_dtype(dtype), name=name)


def delete_session_tensor(handle: str, name: str | None = None) -> tuple[Tensor, Any]:
    """A placeholder for a handle, and the operation that forgets what it names."""
    holder = placeholder(dtypes.string)
    return holder, make("DeleteSessionTensor", convert_to_tensor(holder), name=name)
