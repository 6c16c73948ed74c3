"""Resource variables' ops: handles, reads and updates through them.

A handle names a variable; the variable's contents are read by an op of its own, at that op's time in the run. In a Program a handle is the
variable's value, so most updates are those of reference variables with a handle for the reference: `Resource` + their name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from graphflow import dtypes
from graphflow.dtypes import INDEX, NUMERIC, DType
from graphflow.graph.build import RESOURCE_FORMS, make
from graphflow.graph.composite import IndexedSlices
from graphflow.graph.dims import merge_dims
from graphflow.graph.op import REGISTRY, Effect, Kind, Op, TensorSpec
from graphflow.ops import apply_sparse, scatter, slice_assign, state
from graphflow.ops.families import StateUpdate
from graphflow.ops.shape import size
from graphflow.ops.sizes import array_of
from graphflow.ops.source import constant
from graphflow.shapes import TensorShape


class VarHandleOp(Op):
    """A handle of the variable that the session calls `shared_name`."""

    kind = Kind.SOURCE
    effect = Effect.READS
    results = ("resource: resource",)
    differentiable = False
    variable = True
    container: str = ""
    shared_name: str = ""
    dtype: DType
    shape: TensorShape

    def infer(self) -> TensorSpec:
        return TensorSpec(dtypes.resource, ())


class VarIsInitializedOp(state.IsVariableInitialized):
    """Whether the session holds a value of the variable; answered at capture."""

    arguments = ("resource: resource",)


class _Read(StateUpdate, abstract=True):
    """Reads a variable: no update, but in its place among them."""

    arguments = ("resource: resource",)
    results = ("value: dtype",)
    effect = Effect.READS
    updates: ClassVar[tuple[int, ...]] = ()
    dtype: DType


class ReadVariableOp(_Read):
    """The variable's value."""

    def infer(self, resource: TensorSpec) -> TensorSpec:
        contents = resource.contents
        if contents.dtype not in (self.dtype, dtypes.resource):
            raise ValueError(f"Trying to read variable with wrong dtype. Expected {self.dtype.name} got {contents.dtype.name}")
        return TensorSpec(self.dtype, contents.dims)

    def decompose(self, b: Any, value: Any) -> Any:
        return value

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [dy]


class VariableShape(_Read):
    """The sizes of the variable."""

    results = ("output: out_type",)
    differentiable = False
    dtype: DType = dtypes.float32  # not looked at
    out_type: DType = dtypes.int32

    def infer(self, resource: TensorSpec) -> TensorSpec:
        dims = resource.contents.dims
        if dims is None:
            return TensorSpec(self.out_type, (None,))
        return TensorSpec(self.out_type, (len(dims),), array_of(dims, self.out_type))

    def decompose(self, b: Any, value: Any) -> Any:
        return b.make("Shape", value, out_type=self.out_type)


def variable_shape(handle: Any, out_type: DType = dtypes.int32) -> Any:
    """The sizes of the variable behind a handle: a constant where they are known."""
    dims = handle.spec.contents.dims
    if dims is None or None in dims:
        return make("VariableShape", handle, out_type=out_type)
    return constant(list(dims), dtype=out_type)


class ResourceGather(_Read):
    """The rows of the variable that `indices` name."""

    arguments = ("resource: resource", "indices: Tindices")
    results = ("output: dtype",)
    types = {"Tindices": INDEX}
    batch_dims: int = 0
    validate_indices: bool = True

    def infer(self, resource: TensorSpec, indices: TensorSpec) -> TensorSpec:
        dims = resource.contents.dims
        if dims is None or indices.dims is None:
            return TensorSpec(self.dtype, None)
        if not dims:
            raise ValueError("Shape must be at least rank 1 but is rank 0")
        return TensorSpec(self.dtype, (*indices.dims, *dims[1 + self.batch_dims :]))

    def decompose(self, b: Any, value: Any, indices: Any) -> Any:
        return b.make("GatherV2", value, indices, b.constant(self.batch_dims, "int32"), batch_dims=self.batch_dims)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        handle, indices = node.inputs
        sizes = variable_shape(handle)
        count = make("ExpandDims", size(indices), 0)
        shape = make("ConcatV2", [count, sizes[1:]], 0, name="concat")
        return [IndexedSlices(make("Reshape", dy, shape), make("Reshape", indices, count), sizes), None]


class ResourceGatherNd(_Read):
    """Slices of the variable at the positions that the last dimension of `indices` holds."""

    arguments = ("resource: resource", "indices: Tindices")
    results = ("output: dtype",)
    types = {"Tindices": INDEX}

    def infer(self, resource: TensorSpec, indices: TensorSpec) -> TensorSpec:
        dims = resource.contents.dims
        if dims is None or indices.dims is None or not isinstance(indices.dims[-1], int):
            return TensorSpec(self.dtype, None)
        return TensorSpec(self.dtype, (*indices.dims[:-1], *dims[indices.dims[-1] :]))

    def decompose(self, b: Any, value: Any, indices: Any) -> Any:
        return b.make("GatherNd", value, indices)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        handle, indices = node.inputs
        return [make("ScatterNd", indices, dy, variable_shape(handle, indices.dtype.base_dtype)), None]


# -- updates ---------------------------------------------------------------------------------------------------------------------------


class AssignVariableOp(StateUpdate):
    """Gives the variable a new value."""

    arguments = ("resource: resource", "value: dtype")
    results = ()
    effect = Effect.WRITES
    differentiable = False
    updates: ClassVar[tuple[int, ...]] = (0,)

    def infer(self, resource: TensorSpec, value: TensorSpec) -> tuple[TensorSpec, ...]:
        contents = resource.contents
        if contents.dtype not in (value.dtype, dtypes.resource):
            raise ValueError(
                f"Trying to assign variable with wrong dtype. Expected {contents.dtype.name} got {value.dtype.name}"
            )
        merge_dims(contents.dims, value.dims)
        return ()

    def decompose(self, b: Any, old: Any, value: Any) -> Any:
        return value


class AssignAddVariableOp(AssignVariableOp):
    """Adds to the variable."""

    types = {"dtype": NUMERIC}

    def decompose(self, b: Any, old: Any, value: Any) -> Any:
        return b.add(old, value)


class AssignSubVariableOp(AssignAddVariableOp):
    """Subtracts from the variable."""

    def decompose(self, b: Any, old: Any, value: Any) -> Any:
        return b.sub(old, value)


def _with_handle(cls: type[Op], without: Sequence[str] = (), **renamed: str) -> None:
    """Enters the op that does to a resource variable what `cls` does to a reference variable.

    without: attributes that it lacks. renamed: type attributes that are called otherwise.
    """

    def infer(self: Any, *inputs: TensorSpec) -> tuple[TensorSpec, ...]:
        cls.infer(self, *(spec.contents for spec in inputs))
        return ()

    def declared(argument: str) -> str:
        name, kind = (part.strip() for part in argument.split(":"))
        return f"{name}: {'resource' if kind.startswith('Ref(') else renamed.get(kind, kind)}"

    RESOURCE_FORMS[cls] = made = type(
        f"Resource{cls.__name__}",
        (cls,),
        {
            "__doc__": cls.__doc__,
            "arguments": tuple(map(declared, cls.arguments)),
            "results": (),
            "types": {renamed.get(attribute, attribute): allowed for attribute, allowed in cls.types.items()},
            "infer": infer,
        },
    )
    made._fields = tuple(name for name in made._fields if name not in without)


RESOURCE_FORMS.update(
    {state.Assign: AssignVariableOp, state.AssignAdd: AssignAddVariableOp, state.AssignSub: AssignSubVariableOp}
)
for _cls in list(REGISTRY):
    if issubclass(_cls, (apply_sparse.Update, scatter.ScatterNdAdd, slice_assign.StridedSliceAssign)):
        _with_handle(_cls)
    elif issubclass(_cls, scatter._ScatterRows):
        _with_handle(_cls, without=("use_locking",), T="dtype")
