"""The primitive ops of branches and loops (Yu et al., "Dynamic Control Flow in Large-Scale Machine Learning", EuroSys 2018).

    Switch        passes its input on to one of two outputs; the other is dead, and so is everything that depends on it
    Merge         passes on whichever input is alive
    Enter, Exit   go into and out of a frame, where a loop runs
    NextIteration hands a value on to the next iteration of its frame
    LoopCond      the condition under which a frame goes on

What they mean depends on how they are wired together, so they have no `reference`: `runtime/dataflow.py` executes graphs of them, and
capture turns each group into one node of the Program with regions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphflow import dtypes
from graphflow.graph.build import convert, convert_to_tensor, make, name_scope
from graphflow.graph.indexed_slices import IndexedSlices
from graphflow.graph.op import Kind, Op, TensorSpec
from graphflow.graph.scopes import colocate_with
from graphflow.graph.tensor import Tensor
from graphflow.nest import assert_same_structure, flatten, is_composite, map_structure, pack_sequence_as
from graphflow.ops.ranges import range as range_
from graphflow.ops.sizes import need_rank


class ControlOp(Op, abstract=True):
    """An op of branches and loops."""

    kind = Kind.CONTROL

    def gradient(self, node: Any, *dy: Any) -> Sequence[Any]:
        from graphflow.ops.control_flow.gradients import gradient  # builds the gradient from these ops

        return gradient(node, *dy)


class Switch(ControlOp):
    """`data` on the output that `pred` chooses; the other output is dead."""

    arguments = ("data: T", "pred: bool")
    results = ("output_false: T", "output_true: T")

    def infer(self, data: TensorSpec, pred: TensorSpec) -> tuple[TensorSpec, ...]:
        need_rank(pred, 0)
        return TensorSpec(data.dtype, data.dims), TensorSpec(data.dtype, data.dims)


class RefSwitch(Switch):
    """Switch of a variable's memory."""

    arguments = ("data: Ref(T)", "pred: bool")
    results = ("output_false: Ref(T)", "output_true: Ref(T)")


class Merge(ControlOp):
    """The input that is alive, and its number."""

    arguments = ("inputs: N*T",)
    results = ("output: T", "value_index: int32")

    def infer(self, *inputs: TensorSpec) -> tuple[TensorSpec, ...]:
        dims = inputs[0].dims
        for other in inputs[1:]:
            if dims is None or other.dims is None or len(other.dims) != len(dims):
                dims = None
                break
            dims = tuple(a if a == b else None for a, b in zip(dims, other.dims, strict=True))
        return TensorSpec(inputs[0].dtype, dims), TensorSpec(dtypes.int32, ())


class RefMerge(Merge):
    """Merge of variables' memory."""

    arguments = ("inputs: N*Ref(T)",)
    results = ("output: Ref(T)", "value_index: int32")


class _Passing(ControlOp, abstract=True):
    """An op whose result has the type and shape of its input."""

    arguments = ("data: T",)

    def infer(self, data: TensorSpec) -> TensorSpec:
        return TensorSpec(data.dtype, data.dims)


class Enter(_Passing):
    """`data` in the frame `frame_name`: in every iteration where `is_constant`, else in the first."""

    frame_name: str
    is_constant: bool = False
    parallel_iterations: int = 10

    def infer(self, data: TensorSpec) -> TensorSpec:
        return TensorSpec(data.dtype, data.dims if self.is_constant else None)  # a loop variable's shape may change


class RefEnter(Enter):
    """Enter of a variable's memory."""

    arguments = ("data: Ref(T)",)
    results = ("output: Ref(T)",)


class Exit(_Passing):
    """`data` in the frame around, once it comes to be alive."""


class RefExit(Exit):
    """Exit of a variable's memory."""

    arguments = ("data: Ref(T)",)
    results = ("output: Ref(T)",)


class NextIteration(_Passing):
    """`data` in the next iteration."""


class RefNextIteration(NextIteration):
    """NextIteration of a variable's memory."""

    arguments = ("data: Ref(T)",)
    results = ("output: Ref(T)",)


class LoopCond(ControlOp):
    """The condition of a loop."""

    arguments = ("input: bool",)
    results = ("output: bool",)
    differentiable = False

    def infer(self, input: TensorSpec) -> TensorSpec:
        need_rank(input, 0)
        return TensorSpec(input.dtype, ())


class ControlTrigger(ControlOp):
    """Nothing; waits for its control inputs, also where they are dead."""

    results = ()
    differentiable = False

    def infer(self) -> tuple[TensorSpec, ...]:
        return ()


# -- building them: tensors, and values made of several ------------------------------------------------------------------------


def is_ref(value: Any) -> bool:
    """Whether a tensor is a variable's own memory."""
    return bool(value.dtype._is_ref_dtype)


def tensor_or_composite(value: Any, dtype: Any = None, name: str | None = None, as_ref: bool = False) -> Any:
    """IndexedSlices and SparseTensors as they are, anything else as a tensor."""
    return value if is_composite(value) else convert(value, dtype, name, as_ref=as_ref)


def _by_component(op: Any, value: Any, **settings: Any) -> Any:
    return map_structure(lambda t: op(t, **settings), value, expand_composites=True)


def switch(data: Any, pred: Any, dtype: Any = None, name: str | None = None) -> tuple[Any, Any]:
    """(output_false, output_true): `data` on the one that `pred`, a bool scalar, chooses. Takes IndexedSlices and SparseTensors too."""
    with name_scope(name, "Switch", [data, pred]) as scope:
        data = tensor_or_composite(data, dtype, "data", as_ref=True)
        pred = convert_to_tensor(pred, name="pred")
        if isinstance(data, Tensor):
            return make("Switch", data, pred, name=scope)  # type: ignore[no-any-return]
        pairs = [make("Switch", t, pred) for t in flatten(data, expand_composites=True)]
        no, yes = ([pair[k] for pair in pairs] for k in (0, 1))
        return pack_sequence_as(data, no, expand_composites=True), pack_sequence_as(data, yes, expand_composites=True)


def switch_ref_or_tensor(data: Any, pred: Tensor, name: str = "Switch") -> tuple[Any, Any]:
    """`switch`, placed with `data`; a variable's memory stays one."""
    data = tensor_or_composite(data, name="data")
    with colocate_with(data, ignore_existing=True):
        if isinstance(data, Tensor) and is_ref(data):
            return make("RefSwitch", data, pred, name=name)  # type: ignore[no-any-return]
        return switch(data, pred, name=name)


def as_indexed_slices(value: Any) -> IndexedSlices:
    """A tensor as IndexedSlices of all its rows."""
    if isinstance(value, IndexedSlices):
        return value
    if not isinstance(value, Tensor):
        raise TypeError(f"Not a Tensor or IndexedSlices: {type(value)}")
    sizes = make("Shape", value)
    return IndexedSlices(value, range_(0, sizes[0]), sizes)


def _as_indexed_slices_list(values: Sequence[Any]) -> list[IndexedSlices]:
    """IndexedSlices whose indices have one type."""
    slices = [as_indexed_slices(value) for value in values]
    if len({s.indices.dtype for s in slices}) < 2:
        return slices
    return [IndexedSlices(s.values, widened(s.indices), s.dense_shape) for s in slices]


def widened(indices: Tensor) -> Tensor:
    """The same indices as int64."""
    return indices if indices.dtype == dtypes.int64 else make("Cast", indices, DstT=dtypes.int64)  # type: ignore[no-any-return]


def merge(inputs: Sequence[Any], name: str | None = None) -> tuple[Any, Tensor]:
    """(the input that is alive, its number). Tensors among IndexedSlices become IndexedSlices. ValueError where one is None."""
    if any(value is None for value in inputs):
        raise ValueError(f"At least one of the merge inputs is None: {inputs}")
    with name_scope(name, "Merge", inputs) as scope:
        inputs = [tensor_or_composite(value, as_ref=True) for value in inputs]
        if all(isinstance(value, Tensor) for value in inputs):
            return make("RefMerge" if all(map(is_ref, inputs)) else "Merge", inputs, name=scope)  # type: ignore[no-any-return]
        if all(isinstance(value, (IndexedSlices, Tensor)) for value in inputs):
            inputs = _as_indexed_slices_list(inputs)
        for other in inputs[1:]:
            assert_same_structure(inputs[0], other, expand_composites=True)
        parts = [flatten(value, expand_composites=True) for value in inputs]
        merged = [make("Merge", list(components)) for components in zip(*parts, strict=True)]
        return pack_sequence_as(inputs[0], [m[0] for m in merged], expand_composites=True), merged[0][1]


def enter(data: Any, frame_name: str, is_constant: bool = False, parallel_iterations: int = 10, use_ref: bool = True,
          use_input_shape: bool = True, name: str | None = None) -> Any:  # fmt: skip
    """`data` inside the frame `frame_name`."""
    data = tensor_or_composite(data, as_ref=True)
    if not isinstance(data, Tensor):
        settings = (frame_name, is_constant, parallel_iterations, use_ref, use_input_shape)
        return map_structure(lambda t: enter(t, *settings), data, expand_composites=True)
    settings = {"frame_name": frame_name, "is_constant": is_constant, "parallel_iterations": parallel_iterations}
    result = make("RefEnter" if is_ref(data) and use_ref else "Enter", data, name=name, **settings)
    if use_input_shape:
        result.set_shape(data.shape)
    return result


def exit_(data: Any, name: str | None = None) -> Any:
    """`data` in the frame around."""
    data = tensor_or_composite(data, as_ref=True)
    if not isinstance(data, Tensor):
        return _by_component(exit_, data)
    return make("RefExit" if is_ref(data) else "Exit", data, name=name)


def next_iteration(data: Any, name: str | None = None) -> Any:
    """`data` in the next iteration of its frame."""
    data = tensor_or_composite(data, as_ref=True)
    if not isinstance(data, Tensor):
        return _by_component(next_iteration, data)
    return make("RefNextIteration" if is_ref(data) else "NextIteration", data, name=name)


def identity_ref_or_tensor(data: Any, name: str | None = None) -> Any:
    """The same value; a variable's memory stays one."""
    data = tensor_or_composite(data, as_ref=True)
    if not isinstance(data, Tensor):
        return _by_component(identity_ref_or_tensor, data)
    return make("RefIdentity" if is_ref(data) else "Identity", data, name=name)


def loop_cond(input: Any, name: str | None = None) -> Tensor:
    """`input`, a bool scalar, as the condition of the loop."""
    return make("LoopCond", input, name=name)  # type: ignore[no-any-return]


def control_trigger(name: str | None = None) -> Any:
    """An operation that runs once all its control inputs are known to have run or to be dead."""
    return make("ControlTrigger", name=name)
