"""Variables' memory: VariableV2, the assignments, and the questions whether a variable has been initialised.

An operation on a variable takes its reference tensor (`Ref(T)`). At capture a variable's value is threaded through the run: an
assignment's `decompose` gives the new value, which later readers see. Whether the session holds a value of the variable
(IsVariableInitialized) capture answers itself.
"""

from __future__ import annotations

from typing import Any, ClassVar

from graphflow import dtypes
from graphflow.dtypes import COMPLEX, NUMERIC, DType
from graphflow.graph.build import make
from graphflow.graph.dims import merge_dims, shown
from graphflow.graph.op import Effect, Kind, Op, TensorSpec
from graphflow.graph.tensor import Tensor
from graphflow.ops.families import StateUpdate
from graphflow.shapes import TensorShape, as_shape

__all__ = ["assign", "assign_add", "assign_sub", "is_variable_initialized"]


class VariableV2(Op):
    """A variable's memory. `container` and `shared_name` are kept for the record."""

    kind = Kind.SOURCE
    effect = Effect.READS
    results = ("ref: Ref(dtype)",)
    differentiable = False
    variable = True
    shape: TensorShape
    dtype: DType
    container: str = ""
    shared_name: str = ""

    def infer(self) -> TensorSpec:
        return TensorSpec(self.dtype, as_shape(self.shape).sizes)


class OldVariable(VariableV2):
    """A variable's memory, as TensorFlow before 1.0 wrote it."""

    type = "Variable"


class Assign(StateUpdate):
    """ref = value"""

    arguments = ("ref: Ref(T)", "value: T")
    results = ("output_ref: Ref(T)",)
    effect = Effect.WRITES
    differentiable = False
    updates: ClassVar[tuple[int, ...]] = (0,)
    overwrites = True
    validate_shape: bool = True
    use_locking: bool = True

    def infer(self, ref: TensorSpec, value: TensorSpec) -> TensorSpec:
        if not self.validate_shape:
            return TensorSpec(ref.dtype, value.dims)
        try:
            return TensorSpec(ref.dtype, _merged(ref, value))
        except ValueError as error:  # TensorFlow words it otherwise once values are there
            error.at_run_time = (  # type: ignore[attr-defined]
                "Assign requires shapes of both tensors to match. "
                f"lhs shape= {shown(ref.dims or ())} rhs shape= {shown(value.dims or ())}"
            )
            raise

    def decompose(self, b: Any, ref: Any, value: Any) -> Any:
        return value


def _merged(ref: TensorSpec, value: TensorSpec) -> tuple[Any, ...] | None:
    try:
        return merge_dims(ref.dims, value.dims)
    except ValueError as error:
        if ref.rank == value.rank:
            assert ref.dims is not None and value.dims is not None
            for axis, (a, b) in enumerate(zip(ref.dims, value.dims, strict=True)):
                if a is not None and b is not None and a != b:
                    raise ValueError(
                        f"Dimension {axis} in both shapes must be equal, but are {a} and {b}. "
                        f"Shapes are {shown(ref.dims)} and {shown(value.dims)}."
                    ) from None
        raise ValueError(f"{error}. Shapes are {shown(ref.dims)} and {shown(value.dims)}.") from None


class AssignAdd(StateUpdate):
    """ref += value"""

    arguments = ("ref: Ref(T)", "value: T")
    results = ("output_ref: Ref(T)",)
    types = {"T": (*NUMERIC, *COMPLEX)}
    effect = Effect.WRITES
    differentiable = False
    updates: ClassVar[tuple[int, ...]] = (0,)
    use_locking: bool = False

    def infer(self, ref: TensorSpec, value: TensorSpec) -> TensorSpec:
        return TensorSpec(ref.dtype, _merged(ref, value))

    def decompose(self, b: Any, ref: Any, value: Any) -> Any:
        return b.add(ref, value)


class AssignSub(AssignAdd):
    """ref -= value"""

    def decompose(self, b: Any, ref: Any, value: Any) -> Any:
        return b.sub(ref, value)


class IsVariableInitialized(Op):
    """Whether the session holds a value of the variable; answered at capture."""

    kind = Kind.SOURCE
    asks = True
    effect = Effect.READS
    arguments = ("ref: Ref(dtype)",)
    results = ("is_initialized: bool",)
    differentiable = False

    def infer(self, ref: TensorSpec) -> TensorSpec:
        return TensorSpec(dtypes.bool, ())


def _is_reference(ref: Any) -> bool:
    return bool(ref.dtype._is_ref_dtype)


def assign(ref: Any, value: Any, validate_shape: bool | None = None, use_locking: bool | None = None, name: str | None = None) -> Tensor:
    """Gives a variable a new value; the result is the variable after that."""
    if not _is_reference(ref):
        return ref.assign(value, name=name)  # type: ignore[no-any-return]
    fields = {
        "validate_shape": True if validate_shape is None else validate_shape,
        "use_locking": True if use_locking is None else use_locking,
    }
    return make("Assign", ref, value, name=name, **fields)  # type: ignore[no-any-return]


def assign_add(ref: Any, value: Any, use_locking: bool | None = None, name: str | None = None) -> Tensor:
    """Adds to a variable; the result is the variable after that."""
    if not _is_reference(ref):
        return ref.assign_add(value)  # type: ignore[no-any-return]
    return make("AssignAdd", ref, value, name=name, use_locking=bool(use_locking))  # type: ignore[no-any-return]


def assign_sub(ref: Any, value: Any, use_locking: bool | None = None, name: str | None = None) -> Tensor:
    """Subtracts from a variable; the result is the variable after that."""
    if not _is_reference(ref):
        return ref.assign_sub(value)  # type: ignore[no-any-return]
    return make("AssignSub", ref, value, name=name, use_locking=bool(use_locking))  # type: ignore[no-any-return]


def is_variable_initialized(variable: Any) -> Tensor:
    """Whether a variable has a value in the session that runs this."""
    if not _is_reference(variable):
        return variable.is_initialized()  # type: ignore[no-any-return]
    return make("IsVariableInitialized", variable)  # type: ignore[no-any-return]


