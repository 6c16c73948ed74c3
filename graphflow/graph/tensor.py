"""Tensor: one output of an Operation.

Operators (`+`, `x[1:]`, ...) are filled in by ops/overloads.py, which stands above this file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphflow.dtypes import DType, resource
from graphflow.errors import OperatorNotAllowedInGraphError
from graphflow.graph import sessions
from graphflow.graph.op import Effect, Kind, TensorSpec
from graphflow.graph.shown import Shown
from graphflow.shapes import TensorShape, as_shape

__all__ = [
    "Tensor",
]

if TYPE_CHECKING:
    from graphflow.graph.graph import Graph
    from graphflow.graph.operation import Operation


_OPERATORS = """
    add radd sub rsub mul rmul div rdiv truediv rtruediv floordiv rfloordiv mod rmod lt le gt ge ne eq
    and rand or ror xor rxor getitem pow rpow invert neg abs matmul rmatmul
"""


class Tensor(Shown):
    """A value that a run computes: output number `value_index` of the operation `op`."""

    OVERLOADABLE_OPERATORS = frozenset(f"__{name}__" for name in _OPERATORS.split())
    __array_priority__ = 100

    def __init__(self, op: Operation, value_index: int, dtype: DType, dims: tuple[int | None, ...] | None) -> None:
        self.op = op
        self.value_index = value_index
        self._dtype = dtype
        self._dims = dims
        self._consumers: list[Operation] = []
        self._value: Any = _UNASKED

    @property
    def dtype(self) -> DType:
        """The element type; a reference type for a variable's own memory."""
        return self._dtype

    @property
    def graph(self) -> Graph:
        """The graph it belongs to."""
        return self.op.graph

    @property
    def name(self) -> str:
        """The name of the operation and the number of the output: `scope/add:0`."""
        return f"{self.op.name}:{self.value_index}"

    @property
    def device(self) -> str:
        """The device that the program asked for."""
        return self.op.device

    @property
    def shape(self) -> TensorShape:
        """The shape as far as it is known before running."""
        return TensorShape._of(self._dims)

    def get_shape(self) -> TensorShape:
        """The shape as far as it is known before running."""
        return TensorShape._of(self._dims)

    @property
    def ndim(self) -> int | None:
        """The number of axes, None where unknown."""
        return None if self._dims is None else len(self._dims)

    def _rank(self) -> int | None:
        return self.ndim

    def _shape_tuple(self) -> tuple[int | None, ...] | None:
        return self._dims

    def _shape_as_list(self) -> list[int | None] | None:
        return None if self._dims is None else list(self._dims)

    def set_shape(self, shape: Any) -> None:
        """Adds knowledge of the shape. Contradicting what is known is a ValueError."""
        shape = as_shape(shape)
        before = self._dims
        if before is not None and shape.sizes is not None:
            if len(before) != len(shape.sizes):
                raise ValueError(f"Shapes must be equal rank, but are {len(before)} and {len(shape.sizes)}")
            for k, (a, b) in enumerate(zip(before, shape.sizes, strict=True)):
                if a is not None and b is not None and a != b:
                    raise ValueError(
                        f"Dimension {k} in both shapes must be equal, but are {a} and {b}. "
                        f"Shapes are {_brackets(before)} and {_brackets(shape.sizes)}."
                    )
        dims = self.shape.merge_with(shape).sizes
        if dims != before:
            self.graph._altered += 1
            self._dims = dims

    def consumers(self) -> list[Operation]:
        """The operations that take it as an input."""
        return list(self._consumers)

    def eval(self, feed_dict: Any = None, session: Any = None) -> Any:
        """Its value, computed by the default session or the given one."""
        return sessions.evaluate(self, feed_dict, self.graph, session)

    def experimental_ref(self) -> Reference:
        """A hashable stand-in that compares by identity."""
        return Reference(self)

    @property
    def spec(self) -> TensorSpec:
        """Type, shape and known contents, for shape rules."""
        return GraphSpec(self)

    def _as_node_def_input(self) -> str:
        return self.op.name if self.value_index == 0 else self.name

    def __str__(self) -> str:
        shape = "" if self._dims is None else f", shape={self.shape}"
        device = f", device={self.device}" if self.device else ""
        return f'Tensor("{self.name}"{shape}, dtype={self._dtype.name}{device})'

    def __repr__(self) -> str:
        return f"<tf.Tensor '{self.name}' shape={self.shape} dtype={self._dtype.name}>"

    # Hashing and equality are by identity, as in TensorFlow 1.x; overloads may not change that.

    def __iter__(self) -> Any:
        raise OperatorNotAllowedInGraphError(
            "iterating over `tf.Tensor` is not allowed in Graph execution. Use Eager execution or decorate this function "
            "with @tf.function." + self._advice("tf.unstack gives its parts, session.run its value")
        )

    def __bool__(self) -> bool:
        raise OperatorNotAllowedInGraphError(
            "using a `tf.Tensor` as a Python `bool` is not allowed in Graph execution. Use Eager execution or decorate this "
            "function with @tf.function." + self._advice("compare with None, or use tf.cond and tf.where")
        )

    def __len__(self) -> int:
        raise TypeError(
            f"len is not well defined for symbolic Tensors. ({self.name}) Please call `x.shape` rather than `len(x)` for "
            "shape information."
        )

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray[Any, Any]:
        raise NotImplementedError(f"Cannot convert a symbolic Tensor ({self.name}) to a numpy array.")

    def _advice(self, advice: str) -> str:
        line = self.op.created_at
        where = f" Created at {line}." if line else ""
        return f"\n{self.op.type} '{self.op.name}', {self._dtype.name}{self.shape}.{where} In its place, {advice}."

    def __copy__(self) -> Tensor:
        result = object.__new__(type(self))
        result.__dict__.update(self.__dict__)
        return result


_UNASKED = object()  # the known contents have not been worked out yet


class Reference:
    """Wraps a tensor so that it can be a key wherever `==` might be overloaded."""

    __slots__ = ("_wrapped",)

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped

    def deref(self) -> Any:
        """The wrapped object."""
        return self._wrapped

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reference) and self._wrapped is other._wrapped

    def __hash__(self) -> int:
        return id(self._wrapped)


class GraphSpec(TensorSpec):
    """The spec of a graph tensor; known contents are worked out only when a shape rule asks."""

    __slots__ = ("_tensor",)

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor
        self.dtype = tensor._dtype.base_dtype
        self.dims = tensor._dims

    @property
    def value(self) -> Any:  # type: ignore[override]
        """The contents where they are known: see TensorSpec."""
        return known_contents(self._tensor)

    @property
    def contents(self) -> TensorSpec:
        """See TensorSpec; what is not known of the variable behind a handle is unknown."""
        if self.dtype is not resource:
            return self
        op = self._tensor.op
        while op.inputs:
            op = op.inputs[0].op
        definition: Any = op.definition
        return TensorSpec(definition.dtype, as_shape(definition.shape).sizes) if definition.variable else TensorSpec(self.dtype, None)


_SMALL = 1 << 16  # elements; larger contents are not worked out while building


def known_contents(tensor: Tensor) -> Any:
    """What is known of a tensor's contents before running: an array, an object array with None for unknown elements, or None."""
    if tensor._value is _UNASKED:
        waiting = [tensor]
        while waiting:  # not by recursion: an unrolled net is thousands of operations deep
            asked = waiting[-1]
            if not _may_be_known(asked):
                asked._value = None
            elif (first := _first_to_ask(asked)) is not None:
                waiting.append(first)
                continue
            else:
                asked._value = _work_out(asked)
            waiting.pop()
    return tensor._value


def _may_be_known(tensor: Tensor) -> bool:
    """Whether the tensor is small and comes from a pure op that numpy can evaluate."""
    definition = tensor.op.definition
    if definition.type == "Const":
        return True
    if tensor._dims is None or not tensor.op.inputs or definition.effect is not Effect.PURE:
        return False
    if definition.kind in _NOT_EVALUATED or definition.type == "PlaceholderWithDefault":  # it may be fed
        return False
    size = 1
    for d in tensor._dims:
        if d is None:
            return False
        size *= d
    return size <= _SMALL


def _first_to_ask(tensor: Tensor) -> Tensor | None:
    """The first input whose contents must be looked at before the tensor's own, which may be known, can be told."""
    definition = tensor.op.definition
    for given in tensor.op.inputs:
        if given._value is _UNASKED:
            return given
        if given._value is None and definition.type not in _PARTLY:
            return None
    return None


def _work_out(tensor: Tensor) -> Any:
    """Evaluates small pure ops of known contents by their numpy meaning; the contents of the inputs were asked for."""
    definition = tensor.op.definition
    if definition.type == "Const":
        return definition.value.array  # type: ignore[attr-defined]
    partial = definition.type in _PARTLY
    packed = definition.type == "Pack" and definition.axis == 0  # type: ignore[attr-defined]
    row = tensor._dims[1:] if packed else None  # type: ignore[index]  # what stands beside tensors of known shape has their shape
    values = []
    for given in tensor.op.inputs:
        value = _unknown(given, row) if given._value is None and partial else given._value
        if value is None or (value.dtype == object and not definition.symbolic):
            return None
        values.append(value)
    try:
        results = definition.reference(*values)
    except (TypeError, ValueError, IndexError, ZeroDivisionError):  # an unknown element took part
        return None
    if isinstance(results, tuple):
        results = results[tensor.value_index]
    result = np.asarray(results)
    return result if result.shape == tensor._dims else None


_NOT_EVALUATED = frozenset((Kind.SOURCE, Kind.STATE, Kind.HOST, Kind.CONTROL))
_PARTLY = frozenset(("Pack", "Concat", "ConcatV2", "ExpandDims"))  # ops that keep what is known beside unknown elements


def _unknown(tensor: Tensor, dims: Sequence[int | None] | None) -> Any:
    """Contents of which nothing is known but how many they are (`dims`, where the tensor itself does not say); None for what is no vector
    of sizes."""
    dims = tensor._dims if dims is None else dims
    if dims is None or None in dims or not tensor._dtype.is_integer or math.prod(dims) > 64:  # type: ignore[arg-type]
        return None
    return np.full(dims, None, object)


def _brackets(sizes: tuple[int | None, ...]) -> str:
    return "[" + ",".join("?" if d is None else str(d) for d in sizes) + "]"
