"""Operations of types that graphflow does not know: they stand in a graph with the types they were said to have, and fail when they run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, ClassVar

from graphflow.dtypes import DType
from graphflow.errors import UnimplementedError
from graphflow.graph.op import Effect, Kind, Op, TensorSpec


class ForeignOp(Op, abstract=True):
    """An op of which only the types of the results are known."""

    kind = Kind.HOST
    effect = Effect.HOST
    differentiable = False
    output_types: ClassVar[tuple[DType, ...]]

    def infer(self, *inputs: TensorSpec) -> tuple[TensorSpec, ...]:
        return tuple(TensorSpec(dtype.base_dtype, None) for dtype in self.output_types)

    def run(self, *inputs: Any) -> Any:
        raise UnimplementedError(None, None, f"graphflow has no op of type {self.type}")


@cache
def foreign_op(op_type: str, output_types: Sequence[DType]) -> ForeignOp:
    """The op of that name and those results."""
    made = {"type": op_type, "output_types": output_types}
    return type(op_type, (ForeignOp,), made, abstract=True)()  # type: ignore[no-any-return]
