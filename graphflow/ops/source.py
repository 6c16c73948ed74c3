"""Where values come from and how they are passed on: constants, placeholders, fills, identities and control nodes."""

from __future__ import annotations

import builtins
import functools
import operator
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from graphflow import dtypes
from graphflow.dtypes import INDEX, DType, as_dtype
from graphflow.graph.build import convert, make, name_scope
from graphflow.graph.convert import constant_in, convert_to_tensor
from graphflow.graph.graph import get_default_graph
from graphflow.graph.indexed_slices import IndexedSlices
from graphflow.graph.literal import Literal, flatten
from graphflow.graph.op import Case, Kind, Op, TensorSpec
from graphflow.graph.operation import Operation
from graphflow.graph.scopes import colocate_with, control_dependencies, device
from graphflow.graph.tensor import Tensor
from graphflow.ops.families import Composite
from graphflow.ops.sizes import need_rank
from graphflow.shapes import Dimension, TensorShape

__all__ = [
    "constant",
    "fill",
    "group",
    "identity",
    "no_op",
    "ones",
    "ones_like",
    "placeholder",
    "placeholder_with_default",
    "stop_gradient",
    "tuple",
    "zeros",
    "zeros_like",
]


class Const(Op):
    """A literal."""

    kind = Kind.SOURCE
    results = ("output: dtype",)
    differentiable = False
    value: Literal
    dtype: DType

    def infer(self) -> TensorSpec:
        return TensorSpec(self.dtype, self.value.array.shape)

    def contents(self) -> np.ndarray[Any, Any]:
        return self.value.array


class Placeholder(Op):
    """A value that must be fed."""

    kind = Kind.SOURCE
    results = ("output: dtype",)
    differentiable = False
    dtype: DType
    shape: TensorShape

    def infer(self) -> TensorSpec:
        return TensorSpec(self.dtype, self.shape.sizes)


class PlaceholderWithDefault(Composite):
    """Its input, unless it is fed."""

    arguments = ("input: dtype",)
    results = ("output: dtype",)
    dtype: DType
    shape: TensorShape
    cases = (Case((2, 3), dtype=dtypes.float32, shape=TensorShape([None, 3])),)

    def infer(self, input: TensorSpec) -> TensorSpec:
        if not TensorShape(None if input.dims is None else _numbers(input.dims)).is_compatible_with(self.shape):
            raise ValueError(f"Shapes {TensorShape(input.dims)} and {self.shape} are not compatible")
        return TensorSpec(input.dtype, self.shape.sizes)

    def reference(self, input: Any) -> Any:
        return np.array(input)

    def decompose(self, b: Any, input: Any) -> Any:
        return input

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [dy]


def _numbers(dims: Sequence[Any]) -> list[int | None]:
    return [d if isinstance(d, int) else None for d in dims]


class Identity(Composite):
    """Its input."""

    arguments = ("input: T",)
    symbolic = True
    forwards = True
    cases = (Case((3, 5)), Case(()))

    def infer(self, input: TensorSpec) -> TensorSpec:
        return TensorSpec(input.dtype, input.dims, input.value)

    def reference(self, input: Any) -> Any:
        return np.array(input)

    def decompose(self, b: Any, input: Any) -> Any:
        return input

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [dy]


class RefIdentity(Identity):
    """Its input, a variable's memory."""

    arguments = ("input: Ref(T)",)
    results = ("output: Ref(T)",)


class Snapshot(Identity):
    """Its input."""


class StopGradient(Identity):
    """Its input, a constant to differentiation."""

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [None]


class PreventGradient(Identity):
    """Its input; differentiating it is an error."""

    message: str = ""

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        raise LookupError(f"Gradient explicitly disabled. Reason: {self.message.encode()!r}")


class IdentityN(Composite):
    """Its inputs."""

    arguments = ("input: list(T)",)
    results = ("output: list(T)",)
    cases = (Case((3, 5), (2,)),)

    def infer(self, *input: TensorSpec) -> tuple_[TensorSpec, ...]:
        if not input:
            raise ValueError("Attr 'T' of 'IdentityN' Op passed list of length 0 less than minimum 1.")
        return builtins.tuple(TensorSpec(x.dtype, x.dims, x.value) for x in input)

    def reference(self, *input: Any) -> Any:
        return builtins.tuple(np.array(x) for x in input)

    def decompose(self, b: Any, *input: Any) -> Any:
        return input

    def gradient(self, node: Any, *dy: Any) -> Sequence[Any]:
        return list(dy)


class NoOp(Op):
    """Nothing; it stands for the control inputs it waits for."""

    kind = Kind.SOURCE
    results = ()
    differentiable = False

    def infer(self) -> tuple_[TensorSpec, ...]:
        return ()


class Fill(Composite):
    """A tensor of one value."""

    arguments = ("dims: index_type", "value: T")
    types = {"index_type": INDEX}
    cases = (
        Case(np.array([2, 3], np.int32), ()),
        Case(np.array([], np.int32), ()),
        Case(np.array([0, 4], np.int32), ()),
    )

    def infer(self, dims: TensorSpec, value: TensorSpec) -> TensorSpec:
        need_rank(value, 0, "value must be a scalar")
        need_rank(dims, 1, "dims must be a vector")
        if dims.value is None:
            count = dims.dims[0] if dims.dims else None
            return TensorSpec(value.dtype, (None,) * count if isinstance(count, int) else None)
        sizes = [d if d is None or not isinstance(d, (int, np.integer)) else int(d) for d in dims.value.ravel().tolist()]
        for d in sizes:
            if isinstance(d, int) and d < 0:
                raise ValueError(f"Fill dimensions must be >= 0, got {d}")
        return TensorSpec(value.dtype, sizes)

    def reference(self, dims: Any, value: Any) -> Any:
        return np.full([int(d) for d in np.ravel(dims)], value)

    def decompose(self, b: Any, dims: Any, value: Any) -> Any:
        return b.expand(value, b.sizes(dims), ())

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        axes = make("Range", 0, make("Rank", dy), 1)
        return [None, make("Sum", dy, axes)]


class ZerosLike(Composite):
    """Zeros of the input's type and shape."""

    arguments = ("x: T",)
    results = ("y: T",)
    differentiable = False
    cases = (Case((3, 5)), Case(()), Case((0, 2)))

    def infer(self, x: TensorSpec) -> TensorSpec:
        return TensorSpec(x.dtype, x.dims)

    def reference(self, x: Any) -> Any:
        return np.zeros(np.shape(x), np.asarray(x).dtype)

    def decompose(self, b: Any, x: Any) -> Any:
        return b.expand(b.constant(0, x.dtype), x.shape, ())


class OnesLike(ZerosLike):
    """Ones of the input's type and shape."""

    def reference(self, x: Any) -> Any:
        return np.ones(np.shape(x), np.asarray(x).dtype)

    def decompose(self, b: Any, x: Any) -> Any:
        return b.expand(b.constant(1, x.dtype), x.shape, ())


tuple_ = builtins.tuple


# -- public functions ----------------------------------------------------------------------------------------------------------


def constant(
    value: Any, dtype: Any = None, shape: Any = None, name: str = "Const", verify_shape: bool = False
) -> Tensor:
    """A constant tensor. With `shape`, a value with too few elements is filled up with its last one."""
    return constant_in(get_default_graph(), value, dtype, shape, name, verify_shape)


def placeholder(dtype: Any, shape: Any = None, name: str | None = None) -> Tensor:
    """A tensor that must be fed when it is needed."""
    try:
        dtype = as_dtype(dtype).base_dtype
    except TypeError:
        raise TypeError(f"Expected DataType for argument 'dtype' not {dtype!r}.") from None
    return make("Placeholder", dtype=dtype, shape=TensorShape(shape), name=name)  # type: ignore[no-any-return]


def placeholder_with_default(input: Any, shape: Any, name: str | None = None) -> Tensor:
    """A tensor that may be fed, else equals `input`."""
    graph = get_default_graph()
    name = graph.unique_name("PlaceholderWithDefault" if name is None else name) if not (name or "").endswith("/") else name[:-1]
    with graph.name_scope(name + "/"):
        value = convert(input, name="input")
    return make(  # type: ignore[no-any-return]
        "PlaceholderWithDefault", value, dtype=value.dtype.base_dtype, shape=TensorShape(shape), name=name + "/"
    )


def identity(input: Any, name: str | None = None) -> Tensor:
    """A tensor with the same value as `input`."""
    return make("Identity", input, name=name)  # type: ignore[no-any-return]


def stop_gradient(input: Any, name: str | None = None) -> Tensor:
    """The same value, through which no gradient flows."""
    return make("StopGradient", input, name=name)  # type: ignore[no-any-return]


def no_op(name: str | None = None) -> Operation:
    """An operation that does nothing."""
    return make("NoOp", name=name)  # type: ignore[no-any-return]


def fill(dims: Any, value: Any, name: str | None = None) -> Tensor:
    """A tensor of shape `dims` in which every element is `value`."""
    return make("Fill", dims, value, name=name)  # type: ignore[no-any-return]


def zeros(shape: Any, dtype: Any = dtypes.float32, name: str | None = None) -> Tensor:
    """A tensor of zeros."""
    return _filled({"b": False, "o": ""}, 0, shape, dtype, name, "zeros")


def ones(shape: Any, dtype: Any = dtypes.float32, name: str | None = None) -> Tensor:
    """A tensor of ones."""
    return _filled({"b": True}, 1, shape, dtype, name, "ones")


_SMALL = 1000  # from this many elements on, TensorFlow writes a Fill in place of a literal


def _size_question(sizes: Sequence[Any]) -> None:
    """The operations that TensorFlow leaves behind when it asks whether zeros of sizes known in the run only are few enough for a
    constant. Nothing reads them, but the seeds of random operations count them."""
    with suppress(TypeError):  # sizes of different types
        _ = functools.reduce(operator.mul, sizes) < _SMALL


def _filled(special: dict[str, Any], usual: int, shape: Any, dtype: Any, name: str | None, default: str) -> Tensor:
    dtype = as_dtype(dtype).base_dtype
    value = special.get(dtype._kind, usual)
    with name_scope(name, default, [shape]) as scope:
        if not isinstance(shape, Tensor):
            if isinstance(shape, (list, tuple_)) and any(isinstance(size, Tensor) for size in shape):
                _size_question(shape)
            try:
                sizes = TensorShape(shape)
                if not sizes.is_fully_defined():
                    raise ValueError
            except (TypeError, ValueError):
                shape = convert_to_tensor(shape, dtype=dtypes.int32)
            else:
                # A size that is no list goes the long way in TensorFlow too: zeros(3) has a Fill, zeros([3]) is a constant.
                if sizes.num_elements() < _SMALL and not isinstance(shape, (int, np.integer, Dimension)):  # type: ignore[operator]
                    return constant(value, dtype, sizes, scope)
                shape = convert_to_tensor(sizes)
        if not shape._dims:
            shape = make("Reshape", shape, [-1])
        return fill(shape, constant(value, dtype=dtype), name=scope)


def _shape_of(tensor: Tensor, optimize: bool) -> Any:
    if optimize and tensor.shape.is_fully_defined():
        return constant(tensor.shape.as_list(), dtypes.int32, name="Shape")
    return make("Shape", tensor, out_type=dtypes.int32, name="Shape")


def zeros_like(tensor: Any, dtype: Any = None, name: str | None = None, optimize: bool = True) -> Tensor:
    """Zeros of the shape of `tensor`, and of its type unless another is given."""
    with name_scope(name, "zeros_like", [tensor]) as scope:
        tensor = convert_to_tensor(tensor, name="tensor")
        if optimize and tensor.shape.is_fully_defined():
            return zeros(tensor.shape, dtype=dtype or tensor.dtype, name=scope)
        if dtype is not None and as_dtype(dtype) != tensor.dtype:
            return zeros(_shape_of(tensor, optimize), dtype=dtype, name=scope)
        return make("ZerosLike", tensor, name=scope)  # type: ignore[no-any-return]


def ones_like(tensor: Any, dtype: Any = None, name: str | None = None, optimize: bool = True) -> Tensor:
    """Ones of the shape of `tensor`, and of its type unless another is given."""
    with name_scope(name, "ones_like", [tensor]) as scope:
        tensor = convert_to_tensor(tensor, name="tensor")
        result = ones(_shape_of(tensor, optimize), dtype=dtype or tensor.dtype, name=scope)
        result.set_shape(tensor.shape)
        return result


def with_dependencies(dependencies: Sequence[Any], output_tensor: Any, name: str | None = None) -> Any:
    """The same value, available only after `dependencies` have run."""
    with (
        name_scope(name, "control_dependency", [*dependencies, output_tensor]) as scope,
        colocate_with(output_tensor),
        control_dependencies(dependencies),
    ):
        if isinstance(output_tensor, IndexedSlices):
            values = identity(output_tensor.values, name=scope)
            return IndexedSlices(values, output_tensor.indices, output_tensor.dense_shape)
        return identity(convert_to_tensor(output_tensor), name=scope)


def group(*inputs: Any, name: str | None = None) -> Operation:
    """An operation that finishes when all `inputs` (operations and tensors, also nested) have."""
    with name_scope(name, "group_deps", list(flatten(inputs))) as scope:
        by_device: dict[str, list[Any]] = {}
        for item in flatten(inputs):
            if not hasattr(item, "device"):
                raise TypeError(f"Expected tf.group() expected Tensor arguments not '{item}' with type '{type(item)}'")
            by_device.setdefault(item.device, []).append(item)
        if not inputs:
            return no_op(name=scope)
        if len(by_device) == 1:
            ((place, deps),) = by_device.items()
            return _group_on(place, deps, scope)
        deps = [_group_on(place, by_device[place]) for place in sorted(by_device)]
        with control_dependencies(deps):
            return no_op(name=scope)


def _group_on(place: str, deps: Sequence[Any], name: str | None = None) -> Operation:
    with control_dependencies(deps), device(place):
        return no_op(name=name)


def tuple(tensors: Sequence[Any], name: str | None = None, control_inputs: Sequence[Any] | None = None) -> list[Any]:
    """The same tensors, each available only when all of them (and `control_inputs`) are computed."""
    with name_scope(name, "tuple", tensors):
        items = [t if t is None or hasattr(t, "graph") else convert_to_tensor(t) for t in tensors]  # variables stay variables
        gating = [t if isinstance(t, Operation) else t.op for t in items if t is not None]
        for c in control_inputs or ():
            if not isinstance(c, (Tensor, Operation)):
                raise TypeError(f"Control input must be Operation or Tensor: {c}")
            gating.append(c.op if isinstance(c, Tensor) else c)
        if not gating:
            raise ValueError(f"Must have at least one Tensor: {items}")
        gate = group(*sorted(set(gating), key=lambda op: op._id))
        result: list[Any] = []
        for item in items:
            if isinstance(item, Operation):
                with control_dependencies([gate]):
                    result.append(group(item))
            else:
                result.append(None if item is None else with_dependencies([gate], item))
        return result


