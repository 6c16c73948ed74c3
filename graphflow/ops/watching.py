"""Watching values while a graph runs: Print, print, Assert, check_numerics."""

from __future__ import annotations

import itertools
import pprint
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from graphflow import dtypes
from graphflow.errors import InvalidArgumentError
from graphflow.graph.build import convert_n, convert_to_tensor, make, name_scope
from graphflow.graph.composite import SparseTensor
from graphflow.graph.graph import get_default_graph
from graphflow.graph.op import Access, Case, Effect, Kind, Op, TensorSpec
from graphflow.graph.operation import Operation
from graphflow.graph.scopes import control_dependencies
from graphflow.graph.tensor import Tensor
from graphflow.kernel.expr import Expr, const
from graphflow.kernel.index import Index
from graphflow.ops.control_flow.cond import cond
from graphflow.ops.families import Composite, HostOp, Movement
from graphflow.ops.show import summarize, summarize_ends
from graphflow.ops.sizes import need_rank
from graphflow.ops.source import group, no_op

__all__ = ["Assert", "Print", "add_check_numerics_ops", "check_numerics", "print", "verify_tensor_all_finite"]

_FLOATS = (dtypes.bfloat16, dtypes.float16, dtypes.float32, dtypes.float64)


class PrintOp(Op):
    """Its input, printing `data` to the standard error on the way."""

    type = "Print"
    kind = Kind.HOST
    effect = Effect.HOST
    arguments = ("input: T", "data: list(U)")
    message: str = ""
    first_n: int = -1
    summarize: int = 3

    def infer(self, input: TensorSpec, *data: TensorSpec) -> TensorSpec:
        return TensorSpec(input.dtype, input.dims)

    def run(self, input: Any, *data: Any) -> Any:
        if self._may_print():
            text = "".join(f"[{summarize(d, self.summarize)}]" for d in data)
            sys.stderr.write(f"{_decoded(self.message)}{text}\n")
            sys.stderr.flush()
        return input

    def _may_print(self) -> bool:
        if self.first_n < 0:
            return True
        counter: Any = self.__dict__.setdefault("_counter", itertools.count())  # of this operation, not part of its value
        return next(counter) < self.first_n

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [dy] + [None] * (len(node.inputs) - 1)


class AssertOp(HostOp):
    """Fails the run, showing `data`, where the condition is false."""

    type = "Assert"
    effect = Effect.HOST
    arguments = ("condition: bool", "data: list(T)")
    results = ()
    summarize: int = 3

    def infer(self, condition: TensorSpec, *data: TensorSpec) -> tuple[TensorSpec, ...]:
        need_rank(condition, 0)
        return ()

    def run(self, condition: Any, *data: Any) -> Any:
        if not condition:
            shown = " ".join(f"[{summarize(d, self.summarize)}]" for d in data)
            raise InvalidArgumentError(None, None, f"assertion failed: {shown}")
        return ()


class Finite(Movement):
    """x, unless it holds an infinity or a NaN, as the other operands say."""

    core = True
    effect = Effect.HOST  # it fails the run also where nothing reads its result
    arguments = ("x: T", "infinite: bool", "undefined: bool")
    results = ("y: T",)
    checks: ClassVar[tuple[str, ...]] = ("infinite", "undefined")
    message: str
    cases = (Case((2, 3), np.array(False), np.array(False), message="x"),
             Case((2, 3), np.array(True), np.array(False), message="x", error=("InvalidArgumentError", "x : Tensor had Inf values")))

    def infer(self, x: TensorSpec, infinite: TensorSpec, undefined: TensorSpec) -> TensorSpec:
        return TensorSpec(x.dtype, x.dims)

    def reference(self, x: Any, infinite: Any, undefined: Any) -> Any:
        found = " and ".join(name for name, there in (("Inf", infinite), ("NaN", undefined)) if there)
        if found:
            raise IndexError(f"{self.message} : Tensor had {found} values")
        return np.array(x)

    def element(self, inputs: Sequence[Access], index: tuple[Index, ...]) -> Expr:
        x, infinite, undefined = inputs[0], inputs[1](()), inputs[2](())
        value, shown = x(index), const(0, "i64")
        for found, there in (("Inf and NaN", infinite & undefined), ("Inf", infinite), ("NaN", undefined)):
            value = x.check("InvalidArgumentError", f"{self.message} : Tensor had {found} values", ~there, shown, value)
        return value


class CheckNumerics(Composite):
    """Its input, after a check that every element is finite."""

    arguments = ("tensor: T",)
    types = {"T": _FLOATS}
    message: str
    cases = (Case((2, 3), message="x"), Case((0,), message="x"),
             Case(np.array([1.0, np.nan], np.float32), message=b"it", error=("InvalidArgumentError", "it : Tensor had NaN values")),
             Case(np.array([np.inf, np.nan], np.float32), message="it", error=("InvalidArgumentError", "Tensor had Inf and NaN values")))

    def infer(self, tensor: TensorSpec) -> TensorSpec:
        return TensorSpec(tensor.dtype, tensor.dims)

    def reference(self, tensor: Any) -> Any:
        return Finite(_decoded(self.message)).reference(tensor, np.isinf(tensor).any(), np.isnan(tensor).any())

    def decompose(self, b: Any, tensor: Any) -> Any:
        axes = range(len(tensor.shape))
        infinite, undefined = (b.reduce("or", b.make(test, tensor), axes) for test in ("IsInf", "IsNan"))
        return b.apply(Finite(_decoded(self.message)), tensor, infinite, undefined)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        message = f"Not a number (NaN) or infinity (Inf) values detected in gradient. {_decoded(self.message)}"
        return [check_numerics(dy, message)]


class StringFormat(HostOp):
    """A template with its placeholders replaced by the inputs."""

    sized = True
    arguments = ("inputs: list(T)",)
    results = ("output: string",)
    template: str = "%s"
    placeholder: str = "%s"
    summarize: int = 3

    def infer(self, *inputs: TensorSpec) -> TensorSpec:
        return TensorSpec(dtypes.string, ())

    def run(self, *inputs: Any) -> Any:
        head, *rest = _decoded(self.template).split(_decoded(self.placeholder))
        shown = (summarize_ends(a, self.summarize) + piece for a, piece in zip(inputs, rest, strict=True))
        return np.array((head + "".join(shown)).encode(), object)


class PrintV2(HostOp):
    """Prints a string to a stream."""

    effect = Effect.HOST
    arguments = ("input: string",)
    results = ()
    output_stream: str = "stderr"
    end: str = "\n"

    def infer(self, input: TensorSpec) -> tuple[TensorSpec, ...]:
        need_rank(input, 0)
        return ()

    def run(self, input: Any) -> Any:
        text = _decoded(np.asarray(input, object).item()) + _decoded(self.end)
        target = _decoded(self.output_stream)
        if target.startswith("file://"):
            with open(target[len("file://") :], "a") as file:
                file.write(text)
            return ()
        stream = sys.stdout if target == "stdout" else sys.stderr
        levels = {"log(info)": "I", "log(warning)": "W", "log(error)": "E"}
        stream.write(f"{levels[target]} {text}" if target in levels else text)
        stream.flush()
        return ()


def _decoded(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def Print(
    input_: Any,
    data: Sequence[Any],
    message: str | None = None,
    first_n: int | None = None,
    summarize: int | None = None,
    name: str | None = None,
) -> Tensor:
    """`input_`, printing the tensors in `data` to the standard error whenever it is computed: the first `summarize` elements of each, the
    first `first_n` times."""
    given = {"message": message, "first_n": first_n, "summarize": summarize}
    return make("Print", input_, list(data), name=name, **{k: v for k, v in given.items() if v is not None})  # type: ignore[no-any-return]


def Assert(condition: Any, data: Sequence[Any], summarize: int | None = None, name: str | None = None) -> Operation:
    """An operation that fails with InvalidArgumentError, showing the tensors in `data`, where `condition` is false."""
    with name_scope(name, "Assert", [condition, data]):
        tensors = convert_n(data)

        def check() -> Operation:
            shown = 3 if summarize is None else summarize
            return make("Assert", condition, list(data), summarize=shown, name="Assert")  # type: ignore[no-any-return]

        if all(t.dtype in (dtypes.string, dtypes.int32) for t in tensors):
            return check()
        condition = convert_to_tensor(condition, name="Condition")
        guarded: Tensor = cond(condition, no_op, check, name="AssertGuard")  # what is shown is looked at only where it fails
        return guarded.op


def check_numerics(tensor: Any, message: str, name: str | None = None) -> Tensor:
    """`tensor`, failing the run with InvalidArgumentError where an element is not finite."""
    return make("CheckNumerics", tensor, message=message, name=name)  # type: ignore[no-any-return]


def verify_tensor_all_finite(
    t: Any = None, msg: str | None = None, name: str | None = None, x: Any = None, message: str | None = None
) -> Tensor:
    """`t`, failing the run where an element is not finite."""
    from graphflow.ops.source import with_dependencies

    value, text = x if t is None else t, message if msg is None else msg
    with name_scope(name, "VerifyFinite", [value]):
        value = convert_to_tensor(value, name="x")
        checked = check_numerics(value, str(text))
        return with_dependencies([checked], value)  # type: ignore[no-any-return]


def add_check_numerics_ops() -> Operation:
    """An operation that checks every floating-point tensor of the graph, in the order in which they were made. ValueError where one of them
    belongs to a branch or a loop."""
    checks: list[Tensor] = []
    for op in get_default_graph().get_operations():
        for output in op.outputs:
            if output.dtype in (dtypes.float16, dtypes.float32, dtypes.float64):
                if op._get_control_flow_context() is not None:
                    raise ValueError(
                        "`tf.add_check_numerics_ops() is not compatible with TensorFlow control flow operations such as `tf.cond()` "
                        f"or `tf.while_loop()`. {op.name} belongs to one."
                    )
                with control_dependencies(checks):
                    checks = [check_numerics(output, f"{op.name}:{output.value_index}")]
    return group(*checks)


# -- tf.print --------------------------------------------------------------------------------------------------------------------------


def _mapped(value: Any, function: Callable[[Any], Any]) -> Any:
    if isinstance(value, Mapping):
        changed = {k: _mapped(value[k], function) for k in sorted(value)}
        return {k: changed[k] for k in value}
    if isinstance(value, (list, tuple)):
        items = [_mapped(v, function) for v in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return function(value)


def _is_tensor(value: Any) -> bool:
    return isinstance(value, (Tensor, SparseTensor)) or hasattr(value, "_as_graph_element")


def _stream_name(stream: Any) -> str:
    if isinstance(stream, str) and stream.startswith("file://"):
        return stream
    if stream is sys.stdout:
        return "stdout"
    if stream is sys.stderr:
        return "stderr"
    names = {"info": "log(info)", "warning": "log(warning)", "warn": "log(warning)", "error": "log(error)"}
    levels = {20: "log(info)", 30: "log(warning)", 40: "log(error)"}
    found = levels.get(stream) if isinstance(stream, int) else names.get(getattr(stream, "__name__", ""))
    if found is None:
        raise ValueError(
            f"Unsupported output stream, logging level, or file.{stream}. Supported streams are sys.stdout, sys.stderr, "
            "tf.logging.info, tf.logging.warning, tf.logging.error. File needs to be in the form of 'file://<filepath>'."
        )
    return found


def print(
    *inputs: Any, output_stream: Any = None, summarize: int = 3, sep: str = " ", end: str = "\n", name: str | None = None
) -> Operation:
    """An operation that prints the inputs: tensors, other objects, and structures of them. The first and last `summarize` elements of
    every dimension are shown."""
    target = _stream_name(sys.stderr if output_stream is None else output_stream)
    if len(inputs) == 1 and isinstance(inputs[0], Tensor) and inputs[0].shape.ndims == 0 and inputs[0].dtype == dtypes.string:
        return make("PrintV2", inputs[0], output_stream=target, end=end, name=name)  # type: ignore[no-any-return]
    text = _formatted(inputs, sep, summarize, name and f"{name}_format")
    return make("PrintV2", text, output_stream=target, end=end, name=name)  # type: ignore[no-any-return]


def _formatted(inputs: Sequence[Any], sep: str, summarize: int, name: str | None) -> Tensor:
    """The inputs as one string, with the contents of tensors put in at run time."""
    bare = " ".join(pprint.pformat(_mapped(i, lambda v: "" if _is_tensor(v) else v)) for i in inputs)
    placeholder, digits = "{}", random.Random(5)
    while placeholder in bare:
        placeholder += str(digits.randint(0, 9))
    tensors: list[Any] = []

    def hole(value: Any) -> Any:
        if not _is_tensor(value):
            return value
        if isinstance(value, SparseTensor):
            tensors.extend((value.indices, value.values, value.dense_shape))
            return f"SparseTensor(indices={placeholder}, values={placeholder}, shape={placeholder})"
        tensors.append(value)
        return placeholder

    template = sep.join(i if isinstance(i, str) else pprint.pformat(_mapped(i, hole)) for i in inputs)
    return string_format(template.replace(f"'{placeholder}'", placeholder), tensors, placeholder, summarize, name)


def string_format(template: str, inputs: Any, placeholder: str = "{}", summarize: int = 3, name: str | None = None) -> Tensor:
    """`template` with each `placeholder` replaced by the contents of a tensor, shortened as tf.print does."""
    tensors = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
    if template.count(placeholder) != len(tensors):
        raise ValueError(
            f"{template.count(placeholder)} placeholder(s) in template does not match {len(tensors)} tensor(s) provided as input"
        )
    return make(  # type: ignore[no-any-return]
        "StringFormat", tensors, template=template, placeholder=placeholder, summarize=summarize, name=name
    )
