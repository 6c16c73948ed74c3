"""TensorArrays of the dataflow executor: TensorFlow's rules about what may be written and read when, one numpy array an element."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.dtypes import DType, as_dtype, native_name
from graphflow.errors import InvalidArgumentError, UnimplementedError
from graphflow.graph.operation import Operation
from graphflow.ops.tensor_array_ops import name_of
from graphflow.shapes import TensorShape

Array = np.ndarray[Any, Any]


def _brackets(shape: TensorShape | Sequence[int]) -> str:
    sizes = shape.sizes if isinstance(shape, TensorShape) else tuple(shape)
    return "<unknown>" if sizes is None else "[" + ",".join("?" if d is None else str(d) for d in sizes) + "]"


class ElementStore:
    """The memory of one TensorArray, or of the gradients of one."""

    def __init__(self, op: Operation, size: int, forward: ElementStore | None = None) -> None:
        self.op = op
        if size < 0:
            raise self._refused(f"Size should be >= 0, got {size}.")
        made = op.definition
        self.dtype: DType = made.dtype if forward is None else forward.dtype  # type: ignore[attr-defined]
        self.shape: TensorShape = made.element_shape if forward is None else forward.shape  # type: ignore[attr-defined]
        self.identical = forward is None and made.identical_element_shapes  # type: ignore[attr-defined]
        self.dynamic = forward is None and made.dynamic_size  # type: ignore[attr-defined]
        self.clears = forward is None and made.clear_after_read  # type: ignore[attr-defined]
        self.adds_up = forward is not None
        self.forward = forward
        self.elements: list[Array | None] = [None] * size
        self.read_before = [False] * size
        self.closed = False
        self.marked: int | None = None if forward is None else forward.pieces  # elements that an array of gradients is joined of
        self.pieces: int | None = None  # how many a split has written
        self.gradients: dict[str, ElementStore] = {}

    def _refused(self, text: str) -> InvalidArgumentError:
        return InvalidArgumentError(None, self.op, f"TensorArray {name_of(self.op)}: {text}")

    def check_open(self) -> None:
        """Refuses the use of a closed array."""
        if self.closed:
            raise self._refused("has already been closed.")

    def gradient(self, op: Operation, source: str) -> ElementStore:
        """The array of its gradients for one call of tf.gradients. From now on the array keeps its size. One that a loop makes is made once
        more by the loop backwards, without elements: there it is the gradients' array that grows."""
        grows, self.dynamic = self.dynamic and not self.elements, False
        if source not in self.gradients:
            self.gradients[source] = ElementStore(op, len(self.elements), forward=self)
            self.gradients[source].dynamic = grows
        return self.gradients[source]

    def write(self, index: int, value: Array) -> None:
        """Sets an element, or adds to it in an array of gradients."""
        self.check_open()
        if value.dtype != self.dtype.as_numpy_dtype and self.dtype.kernel_type is not None:
            written = native_name(as_dtype(value.dtype))
            raise self._refused(f"TensorArray dtype is {native_name(self.dtype)} but Op is trying to write dtype {written}.")
        size = len(self.elements)
        if index < 0 or (index >= size and not self.dynamic):
            raise self._refused(f"Tried to write to index {index} but array is not resizeable and size is: {size}")
        if index >= size:
            self.elements += [None] * (index + 1 - size)
            self.read_before += [False] * (index + 1 - size)
        if not self.shape.is_compatible_with(value.shape):
            raise self._refused(
                f"Could not write to TensorArray index {index} because the value shape is {_brackets(value.shape)} which is incompatible "
                f"with the TensorArray's inferred element shape: {_brackets(self.shape)} (consider setting infer_shape=False)."
            )
        if self.identical:
            self.shape = TensorShape(value.shape)
        if self.read_before[index]:
            raise self._refused(f"Could not write to TensorArray index {index} because it has already been read.")
        before = self.elements[index]
        if before is not None and not self.adds_up:
            raise self._refused(f"Could not write to TensorArray index {index} because it has already been written to.")
        if before is not None and before.shape != value.shape:
            raise self._refused(
                f"Could not aggregate to TensorArray index {index} because the existing shape is {_brackets(before.shape)} but the new "
                f"input shape is {_brackets(value.shape)}."
            )
        self.elements[index] = np.array(value) if before is None else before + value

    def read(self, index: int) -> Array:
        """An element; zeros where none was written and the shape is known."""
        self.check_open()
        size = len(self.elements)
        if not 0 <= index < size:
            raise self._refused(f"Tried to read from index {index} but array size is: {size}")
        value = self.elements[index]
        if value is None and self.clears and self.read_before[index]:
            raise self._refused(
                f"Could not read index {index} twice because it was cleared after a previous read (perhaps try setting clear_after_read = "
                "false?)."
            )
        if value is None:
            value = np.zeros(self._shape_of(index), self.dtype.as_numpy_dtype)
        self.read_before[index] = not self.adds_up
        if self.clears:
            self.elements[index] = None
        return value

    def _shape_of(self, index: int) -> tuple[int, ...]:
        """The shape of an element that was not written."""
        elements = () if self.forward is None else self.forward.elements
        twin = elements[index] if index < len(elements) else None
        if twin is not None:
            return twin.shape
        shape = self.shape if self.forward is None else self.forward.shape
        if not shape.is_fully_defined():
            raise self._refused(
                f"Could not read from TensorArray index {index}: it has not been written.  Furthermore, the element shape is not fully "
                f"defined: {_brackets(shape)}. Set element_shape when you make the array."
            )
        return tuple(shape.as_list())

    def gather(self, indices: Sequence[int], known: TensorShape) -> Array:
        """The elements at `indices`, stacked. known: what the op knows of their shape."""
        if not len(indices):
            return np.zeros((0, *self._static(known, "packing", "element shape")), self.dtype.as_numpy_dtype)
        values = [self.read(int(i)) for i in indices]
        for number, value in enumerate(values):
            if value.shape != values[0].shape:
                raise self._refused(
                    f"TensorArray has inconsistent shapes.  Index 0 has shape: {_brackets(values[0].shape)} but index {number} has shape: "
                    f"{_brackets(value.shape)}"
                )
        return np.stack(values)

    def concat(self, known: TensorShape) -> tuple[Array, Array]:
        """All elements joined, and the length of each. known: what the op knows of their shape without the first axis."""
        if not self.elements:
            rest = self._static(known, "concatenating", "element_shape_except0")
            return np.zeros((0, *rest), self.dtype.as_numpy_dtype), np.zeros(0, np.int64)
        values = [self.read(i) for i in range(len(self.elements) if self.marked is None else self.marked)]
        for number, value in enumerate(values):
            if not value.ndim:
                raise self._refused(
                    f"Concat saw a scalar shape at index {number} but requires at least vectors.  Did you mean to call pack?"
                )
            if value.shape[1:] != values[0].shape[1:]:
                first, other = _brackets(values[0].shape[1:]), _brackets(value.shape[1:])
                raise self._refused(
                    f"TensorArray has inconsistent shapes.  Index 0 has (excepting dimension 0) shape: {first} but index {number} has "
                    f"(excepting dimension 0) shape: {other}"
                )
        return np.concatenate(values), np.array([len(v) for v in values], np.int64)

    def _static(self, known: TensorShape, doing: str, what: str) -> tuple[int, ...]:
        if not known.is_fully_defined():
            raise UnimplementedError(
                None, self.op, f"TensorArray {self.op.name} has size zero, but {what} {_brackets(known)} is not fully defined. Currently "
                f"only static shapes are supported when {doing} zero-size TensorArrays.",
            )  # fmt: skip
        return tuple(known.as_list())

    def scatter(self, indices: Array, value: Array) -> None:
        """Writes the rows of `value`."""
        if len(indices) != len(value):
            raise self._refused(f"Expected len(indices) == values.shape[0], but saw: {len(indices)} vs. {len(value)}")
        if len(indices) and not self.dynamic and indices.max() >= len(self.elements):
            raise self._refused(f"Max scatter index must be < array size ({indices.max()} vs. {len(self.elements)})")
        for row, index in enumerate(indices):
            self.write(int(index), value[row : row + 1].reshape(value.shape[1:]))

    def split(self, value: Array, lengths: Array) -> None:
        """Writes pieces of `value` of the given lengths."""
        if lengths.ndim != 1:
            raise self._refused(f"Expected lengths to be a vector, received shape: {_brackets(lengths.shape)}")
        if not value.ndim:
            raise self._refused(f"Expected value to be at least a vector, but received shape: {_brackets(value.shape)}")
        if lengths.sum() != len(value):
            raise self._refused(
                f"Expected sum of lengths to be equal to values.shape[0], but sum of lengths is {lengths.sum()} and value's shape is: "
                f"{_brackets(value.shape)}"
            )
        if len(lengths) != len(self.elements) and not self.dynamic:
            raise self._refused(
                f"TensorArray's size is not equal to the size of lengths ({len(self.elements)} vs. {len(lengths)}), and the TensorArray is "
                "not marked as dynamically resizeable"
            )
        self.pieces = len(lengths)
        ends = np.cumsum(lengths)
        for index, (length, end) in enumerate(zip(lengths, ends, strict=True)):
            self.write(index, value[end - length : end])


FLOW = np.float32(0)


def run(op: Operation, values: Sequence[Any]) -> tuple[Any, ...]:
    """The results of a TensorArray op. A handle's value is the ElementStore itself."""
    kind, definition = op.type, op.definition
    if kind == "TensorArrayV3":
        return ElementStore(op, int(values[0])), FLOW
    store: ElementStore = values[0]
    if kind == "TensorArrayCloseV3":
        store.closed = True
        return ()
    store.check_open()
    if kind == "TensorArrayGradV3":
        return store.gradient(op, definition.source), FLOW  # type: ignore[attr-defined]
    if kind == "TensorArraySizeV3":
        return (np.int32(len(store.elements)),)
    if kind == "TensorArrayWriteV3":
        store.write(int(values[1]), values[2])
        return (FLOW,)
    if kind == "TensorArrayScatterV3":
        store.scatter(values[1], values[2])
        return (FLOW,)
    if kind == "TensorArraySplitV3":
        store.split(values[1], values[2])
        return (FLOW,)
    if definition.dtype != store.dtype:  # type: ignore[attr-defined]
        raise store._refused(f"TensorArray dtype is {native_name(store.dtype)} but Op requested dtype {native_name(definition.dtype)}.")  # type: ignore[attr-defined]
    if kind == "TensorArrayReadV3":
        return (store.read(int(values[1])),)
    if kind == "TensorArrayGatherV3":
        return (store.gather(values[1], definition.element_shape),)  # type: ignore[attr-defined]
    assert kind == "TensorArrayConcatV3", kind
    return store.concat(definition.element_shape_except0)  # type: ignore[attr-defined]
