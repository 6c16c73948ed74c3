"""Numbers out of strings: packed as bytes, or in columns of comma-separated values."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from graphflow.dtypes import DType, as_dtype
from graphflow.graph.build import make
from graphflow.graph.op import Kind, Op, TensorSpec
from graphflow.ops.arguments import renamed
from graphflow.ops.text import as_bytes, refused

__all__ = ["decode_csv", "decode_raw"]


class DecodeRaw(Op):
    """The numbers whose bytes the strings are: one dimension more. All strings must be of one length."""

    kind = Kind.HOST
    arguments = ("bytes: string",)
    results = ("output: out_type",)
    differentiable = False
    out_type: DType
    little_endian: bool = True

    def infer(self, bytes: TensorSpec) -> TensorSpec:
        return TensorSpec(self.out_type, None if bytes.dims is None else (*bytes.dims, None))

    def run(self, bytes: Any) -> Any:
        kind = np.dtype(self.out_type.as_numpy_dtype)
        texts = [as_bytes(text) for text in bytes.ravel()]
        lengths = {len(text) for text in texts}
        if len(lengths) > 1:
            raise refused(f"DecodeRaw requires input strings to all be the same size, but they are of sizes {sorted(lengths)}")
        size = lengths.pop() if lengths else 0
        if size % kind.itemsize:
            what = f"{kind.itemsize}, the size of {self.out_type.name}"
            raise refused(f"Input to DecodeRaw has length {size} that is not a multiple of {what}")
        order = kind.newbyteorder("<" if self.little_endian else ">")
        return np.frombuffer(b"".join(texts), order).astype(kind).reshape(*bytes.shape, size // kind.itemsize)


class DecodeCSV(Op):
    """The columns of lines of comma-separated values, each of the type of its default."""

    kind = Kind.HOST
    sized = True
    arguments = ("records: string", "record_defaults: list(OUT_TYPE)")
    results = ("output: list(OUT_TYPE)",)
    differentiable = False
    field_delim: str = ","
    use_quote_delim: bool = True
    na_value: str = ""
    select_cols: tuple[int, ...] = ()

    def infer(self, records: TensorSpec, *record_defaults: TensorSpec) -> tuple[TensorSpec, ...]:
        for spec in record_defaults:
            if spec.dims is not None and spec.dims not in ((), (0,), (1,), (None,)):
                raise ValueError(f"Shape of a default must be a length-0 or length-1 vector, or a scalar, not {spec.dims}")
        return tuple(TensorSpec(spec.dtype, records.dims) for spec in record_defaults)

    def run(self, records: Any, *record_defaults: Any) -> Any:
        columns: list[list[Any]] = [[] for _ in record_defaults]
        for number, record in enumerate(records.ravel()):
            fields = self._record(as_bytes(record))
            if self.select_cols:
                if len(fields) <= self.select_cols[-1]:
                    raise refused(f"Expect {self.select_cols[-1] + 1} fields but have {len(fields)} in record {number}")
                fields = [fields[k] for k in self.select_cols]
            if len(fields) != len(record_defaults):
                raise refused(f"Expect {len(record_defaults)} fields but have {len(fields)} in record {number}")
            for k, (field, default) in enumerate(zip(fields, record_defaults, strict=True)):
                columns[k].append(self._value(field, default, f"Field {k} in record {number}"))
        return tuple(
            _mapped_like(column, default, records.shape) for column, default in zip(columns, record_defaults, strict=True)
        )

    def _record(self, record: bytes) -> list[str]:
        text = record.decode("utf-8", "surrogateescape").rstrip("\r\n")
        if not self.use_quote_delim:
            return text.split(as_bytes(self.field_delim).decode())
        try:
            rows = list(csv.reader([text], delimiter=as_bytes(self.field_delim).decode(), strict=True))
        except csv.Error as error:
            raise refused(f"Unquoted fields cannot have quotes/CRLFs inside: {error}") from None
        return rows[0] if rows and rows[0] else [""]

    def _value(self, field: str, default: Any, where: str) -> Any:
        if field == "" or field == as_bytes(self.na_value).decode():
            if not default.size:
                field, _, record = where.partition(" in ")
                raise refused(f"{field} is required but missing in {record}!")
            return default.reshape(-1)[0]
        if default.dtype == object:
            return as_bytes(field)
        try:
            return float(field) if default.dtype.kind == "f" else _whole(field, default.dtype)
        except ValueError:
            raise refused(f"{where} is not a valid {default.dtype.name}: {field}") from None


def _whole(text: str, dtype: Any) -> int:
    value, limits = int(text), np.iinfo(dtype)
    if not limits.min <= value <= limits.max:
        raise ValueError(text)
    return value


def _mapped_like(items: Sequence[Any], like: Any, shape: Sequence[int]) -> Any:
    out = np.empty(len(items), like.dtype)
    out[:] = items
    return out.reshape(shape)


def decode_raw(input_bytes=None, out_type=None, little_endian=True, name=None, bytes=None):
    """The numbers of type `out_type` whose bytes each string is."""
    given = renamed("input_bytes", input_bytes, "bytes", bytes)
    if out_type is None:
        raise ValueError("decode_raw_v1() missing 1 positional argument: 'out_type'")
    return make("DecodeRaw", given, out_type=as_dtype(out_type), little_endian=little_endian, name=name)


def decode_csv(records, record_defaults, field_delim=",", use_quote_delim=True, name=None, na_value="", select_cols=None):
    """A list of tensors of the shape of `records`, one a column, of the types of `record_defaults`: scalars or vectors with the value of a
    field that is missing, empty vectors where it must be there. select_cols: which columns, in rising order."""
    if select_cols is not None:
        if any(a >= b for a, b in pairwise(select_cols)):
            raise ValueError("select_cols is not strictly increasing.")
        if select_cols[0] < 0:
            raise ValueError("select_cols contains negative values.")
        if len(select_cols) != len(record_defaults):
            raise ValueError("Length of select_cols and record_defaults do not match.")
    fields = {"field_delim": field_delim, "use_quote_delim": use_quote_delim, "na_value": na_value, "select_cols": tuple(select_cols or ())}
    return list(make("DecodeCSV", records, list(record_defaults), name=name, **fields))
