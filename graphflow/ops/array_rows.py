"""The rows of a TensorArray, read and written one at a time at an index that a run computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from graphflow.dtypes import INDEX, DType
from graphflow.graph.op import Case, TensorSpec
from graphflow.kernel.expr import as_index, call, cast, const, guarded, position, select
from graphflow.kernel.index import Index, ceildiv, maximum, minimum
from graphflow.kernel.nodes import Mode
from graphflow.ops.families import Kernelised, Movement
from graphflow.ops.sizes import scalar

PARTS = 8  # shares of a wide row, whatever the thread count
WIDE = 2048  # elements of a row from which on threads share it
SHARE = 256  # the least elements of a share, where it is not known how many there are


def _valid(index: Any, rows: Any) -> Any:
    return call("le", const(0, "i64"), index) & (index < position(rows))


class PutRow(Kernelised):
    """`old` with row `index` replaced by `row`, or with `row` added to it. An index outside fails the step. In place."""

    core = True
    arguments = ("old: T", "row: T", "index: I")
    results = ("new: T",)
    types = {"I": INDEX}
    inplace: ClassVar[tuple[int, ...]] = (0,)
    checks: ClassVar[tuple[str, ...]] = ("index",)
    combine: str
    array: str = ""
    room: str = ""  # the size that is too small where the index is outside; "" where the index is wrong
    cases = (
        Case((4, 3), (3,), scalar(2), combine="set"), Case((4, 3), (3,), scalar(0), combine="add"),
        Case((1, 1), (1,), scalar(0), combine="set"),
        Case((3, 2100), (2100,), scalar(2), combine="add"), Case((3, 2048), (2048,), scalar(1), combine="set"),
        Case((4, 0), (0,), scalar(1), combine="set"),
        Case((3, 3), (3,), scalar(3), combine="set", error=("InvalidArgumentError", "Tried to write to index 3")),
        Case((3, 3), (3,), scalar(-1), combine="add", error=("InvalidArgumentError", "Tried to write to index -1")),
    )  # fmt: skip

    def infer(self, old: TensorSpec, row: TensorSpec, index: TensorSpec) -> TensorSpec:
        return TensorSpec(old.dtype, old.dims)

    def message(self, rows: Any) -> str:
        """What is wrong with an index outside: a text, or the size that is too small."""
        return self.room or f"TensorArray {self.array}: Tried to write to index {{value}} but array is not resizeable and size is: {rows}"

    @property
    def error(self) -> str:
        """What an index outside raises."""
        return "Overrun" if self.room else "InvalidArgumentError"

    def reference(self, old: Any, row: Any, index: Any) -> Any:
        if not 0 <= index < len(old):
            raise IndexError(self.message(len(old)).format(value=index))
        new = np.array(old)
        new[index] = row if self.combine == "set" else new[index] + row
        return new

    def lower(self, k: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        (_, row, index), (new,) = inputs, outputs
        rows, width = new.shape
        shares = not isinstance(width, int) or width >= WIDE
        with k.loop("part", PARTS if shares else 1, Mode.PARALLEL if shares else Mode.SERIAL) as part:
            share, exact = width, not shares
            if isinstance(width, int) and shares:
                share, exact = ceildiv(width, PARTS), width % PARTS == 0
            elif shares:
                share = maximum(ceildiv(width, PARTS), SHARE)
            extent = share if exact else maximum(minimum(width - part * share, share), 0)
            number = k.let("number", cast(k.load(index, 0), "i64"))
            valid = _valid(number, rows)
            number = k.let("number", k.check(self.error, self.message(rows), valid, number, number))
            with k.when(valid), k.loop("c", extent, Mode.VECTOR) as c:
                place = as_index(number, 0, None) * width + (part * share + c)
                value = k.load(row, part * share + c)
                k.store(new, place, value if self.combine == "set" else k.load(new, place) + value)


class NewRows(Kernelised, abstract=True):  # without cases: there is nothing to compare
    """Memory for an array all rows of which are written before any is read: what it holds to begin with is nothing."""

    type = "NewRows"
    core = True
    arguments = ()
    results = ("rows: dtype",)
    differentiable = False
    shape: tuple[Index, ...]
    dtype: DType

    def infer(self) -> TensorSpec:
        return TensorSpec(self.dtype, self.shape)

    def reference(self) -> Any:
        return np.zeros(self.shape, self.dtype.as_numpy_dtype)  # type: ignore[arg-type]

    def lower(self, k: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        return


class TakeRow(Movement):
    """Row `index` of `x`. An index outside fails the step."""

    core = True
    arguments = ("x: T", "index: I")
    results = ("row: T",)
    types = {"I": INDEX}
    checks: ClassVar[tuple[str, ...]] = ("index",)
    array: str = ""
    error = "InvalidArgumentError"
    cases = (
        Case((4, 3), scalar(2)), Case((1, 17), scalar(0)),
        Case((3, 3), scalar(3), error=("InvalidArgumentError", "Tried to read from index 3 but array size is: 3")),
    )  # fmt: skip

    def infer(self, x: TensorSpec, index: TensorSpec) -> TensorSpec:
        assert x.dims is not None
        return TensorSpec(x.dtype, x.dims[1:])

    def message(self, rows: Any) -> str:
        """What is wrong with an index outside."""
        return f"TensorArray {self.array}: Tried to read from index {{value}} but array size is: {rows}"

    def reference(self, x: Any, index: Any) -> Any:
        index = int(index)
        if not 0 <= index < len(x):
            raise IndexError(self.message(len(x)).format(value=index))
        return x[index]

    def element(self, inputs: Sequence[Any], index: tuple[Any, ...]) -> Any:
        x, chosen = inputs
        rows = x.shape[0]
        number = cast(chosen(()), "i64")
        valid = _valid(number, rows)
        upper = rows - 1 if isinstance(rows, int) else None
        at = as_index(select(valid, number, 0), 0, upper)
        return x.check(self.error, self.message(rows), valid, number, guarded(x((at, *index)), valid))
