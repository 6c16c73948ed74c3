"""Ops that hand their input on and say something of it: its shape, that it is constant, that it stays below a limit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from graphflow.dtypes import INDEX, DType
from graphflow.errors import op_error
from graphflow.graph.build import make
from graphflow.graph.convert import convert_n
from graphflow.graph.dims import merge_dims, shown
from graphflow.graph.op import Access, Case, Effect, TensorSpec
from graphflow.kernel.expr import Expr, cast, const, position
from graphflow.kernel.index import Index
from graphflow.ops.families import Composite, Movement, StateUpdate
from graphflow.ops.source import Identity
from graphflow.shapes import TensorShape, as_shape

__all__ = ["count_up_to", "ensure_shape", "guarantee_const", "identity_n"]


class EnsureShape(Composite):
    """Its input, of which the run checks that it has this shape."""

    arguments = ("input: T",)
    results = ("output: T",)
    shape: TensorShape
    cases = (
        Case((2, 3), shape=TensorShape([2, None])), Case((4,), shape=TensorShape(None)),
        Case((2, 3), shape=TensorShape([3, 3]), error=("ValueError", "Dimension 0 in both shapes must be equal")),
    )  # fmt: skip

    def infer(self, input: TensorSpec) -> TensorSpec:
        sizes = as_shape(self.shape).sizes
        try:
            return TensorSpec(input.dtype, merge_dims(input.dims, sizes), input.value)
        except ValueError as error:
            error.at_run_time = (  # type: ignore[attr-defined]
                f"Shape of tensor {shown(input.dims or ())} is not compatible with expected shape {shown(sizes or ())}."
            )
            raise

    def reference(self, input: Any) -> Any:
        return input

    def decompose(self, b: Any, input: Any) -> Any:
        return input

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [dy]


class GuaranteeConst(Identity):
    """Its input, which the program promises not to change."""

    differentiable = False


class Within(Movement):
    """x, every element of which must be in [start, limit), without a limit where that is None; a run with another one fails with the
    error of that class and text, in which {value} stands for it and, if x is a vector of 32 bits, {position} for its place."""

    core = True
    arguments = ("x: T",)
    results = ("y: T",)
    types = {"T": INDEX}
    limit: Index | None
    error: str = "InvalidArgumentError"
    text: str = "{value} is out of range"
    start: int = 0
    cases = (
        Case(np.array([1, 4], np.int32), limit=5), Case(np.array([-1, 4], np.int32), limit=5, start=-1),
        Case(np.array(5, np.int64), limit=5, error=("InvalidArgumentError", "5 is out of range")),
        Case(np.array(-1, np.int64), limit=5, error=("InvalidArgumentError", "-1 is out of range")),
        Case(np.array([1, 7], np.int32), limit=5, text="x[{position}] is {value}", error=("InvalidArgumentError", "x[1] is 7")),
        Case(np.array([0, 3]), limit=None), Case(np.array([0, -3]), limit=None, text="no", error=("InvalidArgumentError", "no")),
    )  # fmt: skip

    def infer(self, x: TensorSpec) -> TensorSpec:
        return TensorSpec(x.dtype, x.dims)

    def reference(self, x: Any) -> Any:
        for place, value in enumerate(np.ravel(x)):
            if value < self.start or self.limit is not None and value >= self.limit:
                raise op_error(self.error, None, self.text.replace("{value}", str(value)).replace("{position}", str(place)))
        return x

    def element(self, inputs: Sequence[Access], index: tuple[Index, ...]) -> Expr:
        value = inputs[0](index)
        holds = const(self.start, value.type) <= value
        if self.limit is not None:
            holds = (value < position(self.limit, value.type)) & holds
        shown = cast(value, "i64")
        if "{position}" in self.text:
            shown = (position(index[0]) << 32) | (shown & 0xFFFFFFFF)
        return inputs[0].check(self.error, self.text, holds, shown, value)


class CountUpTo(StateUpdate):
    """The number that ref holds, which is then one more; OutOfRangeError once it is `limit`."""

    arguments = ("ref: Ref(T)",)
    results = ("output: T",)
    types = {"T": INDEX}
    effect = Effect.WRITES
    differentiable = False
    updates: ClassVar[tuple[int, ...]] = (0,)
    limit: int

    def infer(self, ref: TensorSpec) -> TensorSpec:
        return TensorSpec(ref.dtype, merge_dims(ref.dims, ()))

    def decompose(self, b: Any, ref: Any) -> Any:
        smallest = int(np.iinfo(ref.dtype.as_numpy_dtype).min)
        held = b.apply(Within(self.limit, "OutOfRangeError", f"Reached limit of {self.limit}", smallest), ref)
        return b.add(held, b.constant(1, ref.dtype)), held


class ResourceCountUpTo(CountUpTo):
    """CountUpTo of a resource variable."""

    arguments = ("resource: resource",)
    T: DType

    def infer(self, resource: TensorSpec) -> TensorSpec:
        return super().infer(resource.contents)


# -- public functions --------------------------------------------------------------------------------------------------------------


def identity_n(input, name=None):
    """The tensors of a list, as the results of one operation."""
    found = make("IdentityN", convert_n(input), name=name)
    return list(found) if isinstance(found, (list, tuple)) else [found]


def guarantee_const(input, name=None):
    """`input`, which the program promises to give the same in every run."""
    return make("GuaranteeConst", input, name=name)


def ensure_shape(x, shape, name=None):
    """`x` with the static shape that it has in common with `shape`. InvalidArgumentError in a run whose value does not fit it."""
    return make("EnsureShape", x, shape=as_shape(shape), name=name)


def count_up_to(ref, limit, name=None):
    """What the scalar int variable `ref` held before it was increased by one. OutOfRangeError once it holds `limit`."""
    if ref.dtype._is_ref_dtype:
        return make("CountUpTo", ref, limit=int(limit), name=name)
    return make("ResourceCountUpTo", ref.handle, limit=int(limit), T=ref.dtype, name=name)
