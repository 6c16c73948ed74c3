"""Numbers out of strings: packed as bytes, in columns of comma-separated values, or as messages; compressed strings."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from graphflow.dtypes import DType, as_dtype, string
from graphflow.errors import DataLossError
from graphflow.graph.build import make
from graphflow.graph.op import TensorSpec
from graphflow.io.example import example_from_json
from graphflow.io.schema import TensorProto
from graphflow.io.tensors import to_array, to_proto
from graphflow.io.wire import DecodeError
from graphflow.ops.arguments import renamed
from graphflow.ops.families import HostOp
from graphflow.ops.sizes import need_rank
from graphflow.ops.text import as_bytes, refused

__all__ = ["decode_compressed", "decode_csv", "decode_json_example", "decode_raw", "parse_tensor", "serialize_tensor"]


class DecodeRaw(HostOp):
    """The numbers whose bytes the strings are: one dimension more. All strings must be of one length."""

    arguments = ("bytes: string",)
    results = ("output: out_type",)
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


class DecodeCSV(HostOp):
    """The columns of lines of comma-separated values, each of the type of its default."""

    sized = True
    arguments = ("records: string", "record_defaults: list(OUT_TYPE)")
    results = ("output: list(OUT_TYPE)",)
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


class ParseTensor(HostOp):
    """The tensor in a serialized TensorProto, which must be of type `out_type`."""

    arguments = ("serialized: string",)
    results = ("output: out_type",)
    out_type: DType

    def infer(self, serialized: TensorSpec) -> TensorSpec:
        need_rank(serialized, 0)
        return TensorSpec(self.out_type, None)

    def run(self, serialized: Any) -> Any:
        text = serialized.item()
        try:
            proto = TensorProto.FromString(text)
            array = to_array(proto)
        except ValueError:
            raise refused(f"Could not parse `serialized` as TensorProto: '{text.decode('utf-8', 'replace')}'") from None
        found = as_dtype(proto.dtype)
        if found is not self.out_type:
            names = (t.name.replace("float32", "float") for t in (found, self.out_type))
            raise refused("Type mismatch between parsed tensor ({}) and dtype ({})".format(*names))
        return array


class SerializeTensor(HostOp):
    """A tensor as a serialized TensorProto."""

    sized = True
    arguments = ("tensor: T",)
    results = ("serialized: string",)

    def infer(self, tensor: TensorSpec) -> TensorSpec:
        return TensorSpec(string, ())

    def run(self, tensor: Any) -> Any:
        return np.array(to_proto(tensor, as_dtype(tensor.dtype)).SerializeToString(), object)


class DecodeJSONExample(HostOp):
    """Examples in protobuf's JSON form as serialized messages."""

    sized = True
    arguments = ("json_examples: string",)
    results = ("binary_examples: string",)

    def infer(self, json_examples: TensorSpec) -> TensorSpec:
        return TensorSpec(string, json_examples.dims)

    def run(self, json_examples: Any) -> Any:
        try:
            return _mapped_like(
                [example_from_json(text).SerializeToString() for text in json_examples.ravel()], json_examples, json_examples.shape
            )
        except DecodeError as error:
            raise refused(str(error)) from None


class DecodeCompressed(HostOp):
    """Strings inflated: "ZLIB", "GZIP", or "" for those that are not compressed."""

    sized = True
    arguments = ("bytes: string",)
    results = ("output: string",)
    compression_type: str = ""

    def infer(self, bytes: TensorSpec) -> TensorSpec:
        return TensorSpec(string, bytes.dims)

    def run(self, bytes: Any) -> Any:
        kind = as_bytes(self.compression_type).decode()
        if kind not in ("", "ZLIB", "GZIP"):
            raise refused("Only ZLIB, GZIP or NONE are supported compressions")
        if not kind:
            return bytes
        try:
            inflated = [zlib.decompress(text, 31 if kind == "GZIP" else 15) for text in bytes.ravel()]
        except zlib.error as error:
            raise DataLossError(None, None, f"inflate() failed with error {error}") from None
        return _mapped_like(inflated, bytes, bytes.shape)


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


def parse_tensor(serialized, out_type, name=None):
    """The tensor of type `out_type` in a serialized TensorProto, a scalar string."""
    return make("ParseTensor", serialized, out_type=as_dtype(out_type), name=name)


def serialize_tensor(tensor, name=None):
    """A tensor as a serialized TensorProto, a scalar string."""
    return make("SerializeTensor", tensor, name=name)


def decode_json_example(json_examples, name=None):
    """Strings with Examples in protobuf's JSON form as serialized Examples."""
    return make("DecodeJSONExample", json_examples, name=name)


def decode_compressed(bytes, compression_type="", name=None):
    """Strings inflated. compression_type: "ZLIB", "GZIP", or "" for none."""
    return make("DecodeCompressed", bytes, compression_type=compression_type, name=name)
