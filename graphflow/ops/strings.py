"""Strings: numbers to text and back, joining."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow import dtypes
from graphflow.dtypes import DType
from graphflow.errors import InvalidArgumentError
from graphflow.graph.build import make
from graphflow.graph.op import TensorSpec
from graphflow.graph.tensor import Tensor
from graphflow.ops.families import HostOp

__all__ = ["as_string", "string_join", "string_to_number"]

_FLOATING = (dtypes.float32, dtypes.float64)
_COMPLEX = (dtypes.complex64, dtypes.complex128)
_PRINTED = (dtypes.int8, dtypes.int16, dtypes.int32, dtypes.int64, *_COMPLEX, *_FLOATING, dtypes.bool)
_NAMES = {"float32": "float", "float64": "double"}


def _text(value: Any) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def _strings(items: Sequence[bytes], shape: Sequence[int]) -> Any:
    array = np.empty(len(items), object)
    array[:] = items
    return array.reshape(shape)


class AsString(HostOp):
    """Every number as text."""

    sized = True
    arguments = ("input: T",)
    results = ("output: string",)
    types = {"T": _PRINTED}
    precision: int = -1
    scientific: bool = False
    shortest: bool = False
    width: int = -1
    fill: str = ""

    def infer(self, input: TensorSpec) -> TensorSpec:
        return TensorSpec(dtypes.string, input.dims)

    def _check(self, kind: str, name: str) -> None:
        fill = _text(self.fill)
        wrong = ""
        if self.scientific and self.shortest:
            wrong = "Cannot select both scientific and shortest notation"
        elif len(fill) > 1:
            wrong = f"Fill string must be one or fewer characters: {fill}"
        elif fill and fill not in " +-0#":
            wrong = f"Fill argument not supported: {fill}"
        elif kind not in "fc" and (self.scientific or self.shortest):
            wrong = f"scientific and shortest format not supported for datatype {name}"
        elif kind not in "fc" and self.precision > -1:
            wrong = f"precision not supported for datatype {name}"
        if wrong:
            raise InvalidArgumentError(None, None, wrong)

    def run(self, input: Any) -> Any:
        self._check(input.dtype.kind, _NAMES.get(input.dtype.name, input.dtype.name))
        head = "%" + _text(self.fill) + (str(self.width) if self.width > -1 else "")
        if input.dtype.kind == "b":
            form = head.rstrip("0+#") + "s" if self.fill else head + "s"
            return _strings([(form % ("true" if v else "false")).encode() for v in input.ravel().tolist()], input.shape)
        if input.dtype.kind in "iu":
            form = head + "d"
        else:
            digits = f".{self.precision}" if self.precision > -1 else ""
            form = head + digits + ("e" if self.scientific else "g" if self.shortest else "f")
        if input.dtype.kind == "c":
            form = f"({form},{form})"
            texts = [form % (v.real, v.imag) for v in input.ravel().tolist()]
        else:
            texts = [form % v for v in input.ravel().tolist()]
        return _strings([t.encode() for t in texts], input.shape)


class StringToNumber(HostOp):
    """The number that each string says."""

    sized = True
    arguments = ("string_tensor: string",)
    results = ("output: out_type",)
    out_type: DType = dtypes.float32

    def infer(self, string_tensor: TensorSpec) -> TensorSpec:
        return TensorSpec(self.out_type, string_tensor.dims)

    def run(self, string_tensor: Any) -> Any:
        kind = self.out_type.as_numpy_dtype
        out = np.empty(string_tensor.shape, kind)
        flat = out.reshape(-1)
        for k, item in enumerate(string_tensor.ravel()):
            text = _text(item)
            try:
                if "_" in text:  # Python's own notation
                    raise ValueError
                if self.out_type.is_floating:
                    flat[k] = float.fromhex(text) if "0x" in text.lower() else float(text)
                else:
                    value = int(text)
                    limits = np.iinfo(kind)
                    if not limits.min <= value <= limits.max:
                        raise ValueError
                    flat[k] = value
            except ValueError:
                raise InvalidArgumentError(None, None, f"StringToNumberOp could not correctly convert string: {text}") from None
        return out


def as_string(
    input: Any,
    precision: int = -1,
    scientific: bool = False,
    shortest: bool = False,
    width: int = -1,
    fill: str = "",
    name: str | None = None,
) -> Tensor:
    """Every element as text, in C's formats %d, %f, %e (`scientific`) and %g (`shortest`)."""
    return make(  # type: ignore[no-any-return]
        "AsString", input, precision=precision, scientific=scientific, shortest=shortest, width=width, fill=fill, name=name
    )


def string_join(inputs: Sequence[Any], separator: str = "", name: str | None = None) -> Tensor:
    """The strings at the same place, one behind the other with `separator` between them."""
    return make("StringJoin", list(inputs), separator=separator, name=name)  # type: ignore[no-any-return]


def string_to_number(string_tensor: Any, out_type: Any = dtypes.float32, name: str | None = None) -> Tensor:
    """The number that each string says."""
    return make("StringToNumber", string_tensor, out_type=dtypes.as_dtype(out_type), name=name)  # type: ignore[no-any-return]
