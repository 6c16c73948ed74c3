"""tf.TensorArray: an array of tensors that is written element by element, in loops above all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from graphflow import dtypes
from graphflow.dtypes import DType, as_dtype
from graphflow.errors import InvalidArgumentError
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.convert import constant_value
from graphflow.graph.operation import Operation
from graphflow.graph.scopes import colocate_with, control_dependencies, device
from graphflow.graph.tensor import Tensor
from graphflow.ops.logic import cast
from graphflow.ops.ranges import range as range_
from graphflow.ops.shape import shape as shape_of
from graphflow.ops.source import identity
from graphflow.shapes import TensorShape, as_shape

__all__ = ["TensorArray"]


class TensorArray:
    """An array of `size` tensors of one type.

    Every method that changes it gives a new TensorArray; use that one from then on. Each element may be written once, and read once unless
    `clear_after_read` is False; gradients flow through both.
    """

    def __init__(self, dtype: Any, size: Any = None, dynamic_size: bool | None = None, clear_after_read: bool | None = None,
                 tensor_array_name: str | None = None, handle: Tensor | None = None, flow: Tensor | None = None, infer_shape: bool = True,
                 element_shape: Any = None, colocate_with_first_write_call: bool = True, name: str | None = None) -> None:  # fmt: skip
        """dtype: of the elements. size: how many, an int32 scalar; writes beyond it make the array longer if `dynamic_size`.
        infer_shape: all elements have one shape. element_shape: that shape, as far as it is known. tensor_array_name: a label. handle,
        flow: an array that is there already, instead of `size`."""
        if handle is not None:
            if tensor_array_name:
                raise ValueError("Cannot construct with both handle and tensor_array_name")
            if not isinstance(handle, Tensor):
                raise TypeError("Handle must be a Tensor")
            if size is not None:
                raise ValueError("Cannot provide both a handle and size at the same time")
            if element_shape is not None:
                raise ValueError("Cannot provide both a handle and element_shape at the same time")
            if dynamic_size is not None:
                raise ValueError("Cannot provide both a handle and dynamic_size at the same time")
            if clear_after_read is not None:
                raise ValueError("Cannot provide both a handle and clear_after_read at the same time")
            if flow is None:
                raise ValueError("flow must not be None if handle is not None.")
        elif size is None:
            raise ValueError("Size must be provided if handle is not provided")
        self._dtype = as_dtype(dtype).base_dtype
        self._dynamic_size = bool(dynamic_size)
        self._infer_shape = infer_shape
        self._shape = [as_shape(element_shape)]  # shared by all that stand for the same array
        self._placed_with: list[Tensor] | None = [] if colocate_with_first_write_call else None
        with name_scope(name, "TensorArray", [handle, size, flow]) as scope:
            if handle is not None:
                self._handle, self._flow = handle, flow
                return
            fields = {
                "dtype": self._dtype, "element_shape": self._shape[0], "identical_element_shapes": bool(infer_shape),
                "dynamic_size": self._dynamic_size, "tensor_array_name": tensor_array_name or "",
                "clear_after_read": True if clear_after_read is None else bool(clear_after_read),
            }  # fmt: skip
            if not colocate_with_first_write_call:
                self._handle, self._flow = make("TensorArrayV3", size, name=scope, **fields)
                return
            with device(None), colocate_with(None, ignore_existing=True):
                self._handle, self._flow = make("TensorArrayV3", size, name=scope, **fields)

    @property
    def flow(self) -> Tensor:
        """What later reads and writes wait for."""
        return self._flow

    @property
    def dtype(self) -> DType:
        """The type of the elements."""
        return self._dtype

    @property
    def handle(self) -> Tensor:
        """Which array it is."""
        return self._handle

    @property
    def element_shape(self) -> TensorShape:
        """The shape of the elements, as far as it is known."""
        return self._shape[0]

    @property
    def dynamic_size(self) -> bool:
        """Whether writes beyond its size make it longer."""
        return self._dynamic_size

    def _with_flow(self, flow: Tensor) -> TensorArray:
        """The same array after other writes."""
        flow.graph.unique_name("TensorArray")  # TensorFlow takes this name too, and later names are numbered after it
        made: TensorArray = object.__new__(type(self))
        made.__dict__.update(self.__dict__, _flow=flow)
        return made

    def _note_shape(self, shape: TensorShape) -> None:
        if not shape.is_compatible_with(self.element_shape):
            raise ValueError(
                f"Inconsistent shapes: saw {shape} but expected {self.element_shape} (the shape of the elements of TensorArray "
                f"'{self._handle.op.name}')"
            )
        if self._infer_shape:
            self._shape[0] = self.element_shape.merge_with(shape)

    def _value(self, value: Any) -> Tensor:
        """`value` as a tensor of this array's type."""
        tensor = convert_to_tensor(value, preferred_dtype=self._dtype, name="value")
        if tensor.dtype.base_dtype != self._dtype:
            raise InvalidArgumentError(
                None, None, f"TensorArray dtype is {self._dtype.name} but Op is trying to write dtype {tensor.dtype.base_dtype.name} "
                f"(TensorArray '{self._handle.op.name}', value '{tensor.name}'). Convert with tf.cast."
            )  # fmt: skip
        return tensor

    @contextmanager
    def _placed(self, value: Tensor) -> Iterator[None]:
        if self._placed_with is None:
            yield
            return
        if not self._placed_with:
            self._placed_with.append(value)
        with colocate_with(self._placed_with[0]):
            yield

    # -- reading -----------------------------------------------------------------------------------------------------------

    def read(self, index: Any, name: str | None = None) -> Tensor:
        """The element at `index`, an int32 scalar."""
        value: Tensor = make("TensorArrayReadV3", self._handle, index, self._flow, dtype=self._dtype, name=name)
        value.set_shape(self.element_shape)
        return value

    def gather(self, indices: Any, name: str | None = None) -> Tensor:
        """The elements at `indices`, an int32 vector, stacked: [len(indices)] + their shape."""
        shape = self.element_shape
        value: Tensor = make(
            "TensorArrayGatherV3", self._handle, indices, self._flow, dtype=self._dtype, element_shape=shape, name=name
        )
        if shape.ndims is not None:
            value.set_shape([None, *shape.dims])  # type: ignore[misc]
        return value

    def stack(self, name: str | None = None) -> Tensor:
        """All elements, stacked: [size] + their shape."""
        with colocate_with(self._handle), name_scope(name, "TensorArrayStack", [self._handle]):
            return self.gather(range_(0, self.size()), name=name)

    def concat(self, name: str | None = None) -> Tensor:
        """All elements joined along their first axis."""
        rest = self.element_shape[1:]
        value, _ = make("TensorArrayConcatV3", self._handle, self._flow, dtype=self._dtype, element_shape_except0=rest, name=name)
        if self.element_shape.ndims is not None:
            value.set_shape([None, *rest.dims])
        return value  # type: ignore[no-any-return]

    def size(self, name: str | None = None) -> Tensor:
        """How many elements it has, an int32 scalar."""
        return make("TensorArraySizeV3", self._handle, self._flow, name=name)  # type: ignore[no-any-return]

    # -- writing -----------------------------------------------------------------------------------------------------------

    def identity(self) -> TensorArray:
        """The same array, at the point that the control dependencies around say."""
        return self._with_flow(identity(self._flow))

    def write(self, index: Any, value: Any, name: str | None = None) -> TensorArray:
        """The array with `value` at `index`, an int32 scalar."""
        with name_scope(name, "TensorArrayWrite", [self._handle, index, value]):
            value = self._value(value)
            self._note_shape(value.shape)
            with self._placed(value):
                return self._with_flow(make("TensorArrayWriteV3", self._handle, index, value, self._flow, name=name))

    def scatter(self, indices: Any, value: Any, name: str | None = None) -> TensorArray:
        """The array with the rows of `value` at `indices`, an int32 vector."""
        with name_scope(name, "TensorArrayScatter", [self._handle, value, indices]):
            value = self._value(value)
            self._note_shape(value.shape[1:])
            with self._placed(value):
                return self._with_flow(make("TensorArrayScatterV3", self._handle, indices, value, self._flow, name=name))

    def unstack(self, value: Any, name: str | None = None) -> TensorArray:
        """The array whose elements are the rows of `value`."""
        with name_scope(name, "TensorArrayUnstack", [self._handle, value]):
            return self.scatter(range_(0, shape_of(value)[0]), value, name=name)

    def split(self, value: Any, lengths: Any, name: str | None = None) -> TensorArray:
        """The array whose elements are the pieces of `value`, cut along its first axis into pieces of `lengths`."""
        with name_scope(name, "TensorArraySplit", [self._handle, value, lengths]):
            value = convert_to_tensor(value, dtype=self._dtype, name="value")
            with self._placed(value):
                lengths = cast(lengths, dtypes.int64)
                known = constant_value(lengths)
                if value.shape.ndims is not None and known is not None and known.ndim and known.size and known.min() == known.max():
                    self._note_shape(TensorShape([int(known[0])]).concatenate(value.shape[1:]))
                return self._with_flow(make("TensorArraySplitV3", self._handle, value, lengths, self._flow, name=name))

    def close(self, name: str | None = None) -> Operation:
        """Frees the array; it may not be used any more."""
        return make("TensorArrayCloseV3", self._handle, name=name)  # type: ignore[no-any-return]

    def mark_used(self) -> None:
        """Says that the array need not be used. TensorFlow complains otherwise; here nothing does."""

    def grad(self, source: str, flow: Tensor | None = None, name: str | None = None) -> TensorArray:
        """The array of the gradients of its elements, for the call of tf.gradients that `source` names."""
        flow = self._flow if flow is None else flow
        with name_scope(name, "TensorArrayGrad", [self._handle]), colocate_with(self._handle):
            handle, _ = make("TensorArrayGradV3", self._handle, flow, source=source, name=name)
            with control_dependencies([handle]):
                flow = identity(flow, name="gradient_flow")
            made = TensorArray(
                self._dtype, handle=handle, flow=flow, infer_shape=self._infer_shape, colocate_with_first_write_call=False
            )
            made._shape = self._shape
            return made


# -- gradients -----------------------------------------------------------------------------------------------------------------


def _gradients_of(op: Operation, dtype: DType, flow: Tensor) -> TensorArray:
    """The array of gradients of the array of a TensorArray op, for the call of tf.gradients under way."""
    array = TensorArray(dtype, handle=op.inputs[0], flow=flow, colocate_with_first_write_call=False)
    return array.grad(source=op.graph._gradient_call, flow=flow)


def gradient(op: Operation, *given: Any) -> Sequence[Any]:
    """The gradients of a TensorArray op: reading adds to the array of gradients, writing reads from it."""
    handle_flow = op.inputs[-1]
    dy = given[0]
    kind = op.type
    if kind in ("TensorArrayReadV3", "TensorArrayGatherV3"):
        # The gradient array is made after the writes before: only then is the size of a dynamic array known.
        array = _gradients_of(op, op.get_attr("dtype"), handle_flow)
        index = op.inputs[1]
        written = array.write(index, dy) if kind == "TensorArrayReadV3" else array.scatter(index, dy)
        return [None, None, written.flow]
    if kind == "TensorArrayConcatV3":
        array = _gradients_of(op, op.get_attr("dtype"), handle_flow)
        return [None, array.split(dy, lengths=op.outputs[1]).flow]
    array = _gradients_of(op, op.get_attr("T"), dy)
    if kind == "TensorArrayWriteV3":
        return [None, None, array.read(op.inputs[1]), dy]
    if kind == "TensorArrayScatterV3":
        return [None, None, array.gather(op.inputs[1]), dy]
    if kind == "TensorArraySplitV3":
        return [None, array.concat(), None, dy]
    raise LookupError(f"No gradient defined for operation '{op.name}' (op type: {op.type})")


