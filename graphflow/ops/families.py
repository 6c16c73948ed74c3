"""Families of ops: what an op inherits by being elementwise, a movement, composite, …

A family supplies `kind` and, where all its members share it, the shape rule.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from graphflow.dtypes import DType, as_dtype
from graphflow.graph.dims import broadcast_dims
from graphflow.graph.op import Kind, Op, TensorSpec
from graphflow.kernel.expr import Expr
from graphflow.kernel.expr import position as place_of
from graphflow.kernel.index import Index


class Elementwise(Op, abstract=True):
    """Each result element depends on the elements at the same (broadcast) index of the inputs: `scalar` is the whole meaning.

    The default shape rule broadcasts all inputs; result types follow `results` ("z: T" is the inputs' type, "z: bool" a fixed one).
    """

    kind = Kind.ELEMENTWISE

    def infer(self, *inputs: TensorSpec) -> TensorSpec | tuple[TensorSpec, ...]:
        dims = inputs[0].dims
        for other in inputs[1:]:
            if other.dims != dims:
                dims = broadcast_dims(dims, other.dims)
        specs = tuple(TensorSpec(self.result_dtype(k, inputs), dims) for k in range(len(self.results)))
        return specs[0] if len(specs) == 1 else specs

    def result_dtype(self, number: int, inputs: tuple[TensorSpec, ...]) -> DType:
        """The dtype of result `number`, read off `results`."""
        return result_dtype(self, number, inputs)


class Movement(Op, abstract=True):
    """Each result element is one input element, or a constant: `element` says which."""

    kind = Kind.MOVEMENT
    linear = True


class Composite(Op, abstract=True):
    """Made of other ops by `decompose`."""

    kind = Kind.COMPOSITE


class Kernelised(Op, abstract=True):
    """Has a kernel of its own, written by `lower`."""

    kind = Kind.KERNEL


class HostOp(Op, abstract=True):
    """Runs in Python, by `run`, between native parts: what is not numeric work on dense tensors."""

    kind = Kind.HOST
    differentiable = False


class StateUpdate(Op, abstract=True):
    """Changes variables: `decompose` gives the new values of the ref inputs listed in `updates`."""

    kind = Kind.STATE


def result_dtype(op: Op, number: int, inputs: tuple[TensorSpec, ...]) -> DType:
    """The dtype of a result by its declaration: a field's dtype, the dtype bound to a type attribute, or a fixed name."""
    declared = _declared_type(op.results[number])
    field = op.field_dtype(declared)
    if field is not None:
        return field
    for argument, spec in zip(op.arguments, inputs, strict=False):
        if _declared_type(argument) == declared:
            return spec.dtype
    return as_dtype(declared)


@cache
def _declared_type(declaration: str) -> str:
    """The type in "name: type" or "name: N*type"."""
    return declaration.split(":")[1].strip().split("*")[-1]


def ravel(index: tuple[Index, ...], shape: tuple[Index, ...]) -> Index:
    """The row-major position of `index` in `shape`."""
    offset: Index = 0
    for i, extent in zip(index, shape, strict=True):
        offset = offset * extent + i
    return offset


def located(what: str, problem: str, value: Expr, position: Index, shape: tuple[Index, ...], type_: str) -> tuple[str, Expr]:
    """The message and the shown value of a check on element `position` of the operand `what`: "what[2,1] = 7 problem". An operand of 64
    bits shows the value alone: both would not fit."""
    if type_ == "i64" or not shape:
        return f"{what} = {{value}} {problem}", value
    sizes = ",".join(map(str, shape))
    packed = (place_of(position) << 32) | (value & 0xFFFFFFFF)
    return f"{what}[{{position in {sizes}}}] = {{value}} {problem}", packed


def unravel(offset: Index, shape: tuple[Index, ...]) -> tuple[Index, ...]:
    """The index at row-major position `offset`."""
    out: list[Index] = []
    for extent in reversed(shape[1:]):
        out.append(offset % extent)
        offset = offset // extent
    return (offset, *reversed(out)) if shape else ()


def axes_tuple(axes: Any, rank: int) -> tuple[int, ...]:
    """Reduction axes as sorted non-negative numbers without repeats; ValueError where one is out of range."""
    import numpy as np

    flat = [int(a) for a in np.atleast_1d(np.asarray(axes)).ravel()]
    for a in flat:
        if not -rank <= a < rank:
            raise ValueError(f"Invalid reduction dimension {a} for input with {rank} dimensions.")
    return tuple(sorted({a % rank for a in flat})) if rank else ()
