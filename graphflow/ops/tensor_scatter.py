"""Tensors with some of their parts changed: scatter_nd on values instead of variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from graphflow.dtypes import INDEX
from graphflow.graph.build import make
from graphflow.graph.op import Case, TensorSpec
from graphflow.ops.families import Composite
from graphflow.ops.gather import gather_nd
from graphflow.ops.scatter import ScatterNdAdd, ScatterNdSub, ScatterNdUpdate, changed_parts
from graphflow.ops.scatter_nd import check_parts
from graphflow.ops.source import identity, zeros_like

__all__ = ["tensor_scatter_add", "tensor_scatter_sub", "tensor_scatter_update"]

_CASES = (
    Case((4, 3), np.array([[2], [0], [2]], np.int32), (3, 3)), Case((2, 3), np.array([[1, 2], [0, 0]], np.int32), (2,)),
    Case((4,), np.array([[1], [4]], np.int32), (2,), error=("InvalidArgumentError", "indices[1] = [4] does not index into shape [4]")),
)  # fmt: skip


class TensorScatterUpdate(Composite):
    """`tensor` with the parts at `indices` replaced; the last one where several are at one place."""

    arguments = ("tensor: T", "indices: Tindices", "updates: T")
    results = ("output: T",)
    types = {"Tindices": INDEX}
    rule: ClassVar[Any] = ScatterNdUpdate
    cases = _CASES[1:]

    def infer(self, tensor: TensorSpec, indices: TensorSpec, updates: TensorSpec) -> TensorSpec:
        check_parts(indices, updates, tensor.dims, "input")
        return TensorSpec(tensor.dtype, tensor.dims)

    def reference(self, tensor: Any, indices: Any, updates: Any) -> Any:
        out = np.array(tensor)
        places = tuple(np.moveaxis(indices, -1, 0))
        if self.rule is ScatterNdUpdate:
            out[places] = updates
        else:
            (np.add if self.rule is ScatterNdAdd else np.subtract).at(out, places, updates)
        return out

    def decompose(self, b: Any, tensor: Any, indices: Any, updates: Any) -> Any:
        return changed_parts(b, self.rule(), tensor, indices, updates)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        _, indices, updates = node.inputs
        return [make("TensorScatterUpdate", identity(dy), indices, zeros_like(updates)), None, gather_nd(dy, indices)]


class TensorScatterAdd(TensorScatterUpdate):
    """`tensor` with `updates` added at `indices`."""

    rule = ScatterNdAdd
    cases = _CASES

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [identity(dy), None, gather_nd(dy, node.inputs[1])]


class TensorScatterSub(TensorScatterUpdate):
    """`tensor` with `updates` subtracted at `indices`."""

    rule = ScatterNdSub
    cases = _CASES

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [identity(dy), None, -gather_nd(dy, node.inputs[1])]


class ScatterNdNonAliasingAdd(TensorScatterAdd):
    """TensorScatterAdd by its older name."""

    arguments = ("input: T", "indices: Tindices", "updates: T")


def tensor_scatter_update(tensor, indices, updates, name=None):
    """`tensor` with the parts whose leading positions `indices` [..., depth] holds replaced by `updates`."""
    return make("TensorScatterUpdate", tensor, indices, updates, name=name)


def tensor_scatter_add(tensor, indices, updates, name=None):
    """`tensor` with `updates` added to the parts at `indices`."""
    return make("TensorScatterAdd", tensor, indices, updates, name=name)


def tensor_scatter_sub(tensor, indices, updates, name=None):
    """`tensor` with `updates` subtracted from the parts at `indices`."""
    return make("TensorScatterSub", tensor, indices, updates, name=name)


def scatter_nd_non_aliasing_add(input, indices, updates, name=None):
    """tensor_scatter_add by its older name."""
    return make("ScatterNdNonAliasingAdd", input, indices, updates, name=name)
