"""NodeDef and GraphDef as light objects with TensorFlow's text form. The binary form belongs to io/."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from graphflow import dtypes
from graphflow.dtypes import DType
from graphflow.graph.literal import Literal
from graphflow.shapes import TensorShape

__all__ = [
    "GraphDef",
    "NodeDef",
]

PRODUCER = 134  # the GraphDef version that TensorFlow 1.15 writes

_ENUM_NAMES = {
    "float32": "DT_FLOAT",
    "float64": "DT_DOUBLE",
    "float16": "DT_HALF",
}


def enum_name(dtype: DType) -> str:
    """The name of a type in `types.proto`: DT_FLOAT."""
    base = _ENUM_NAMES.get(dtype.base_dtype.name, "DT_" + dtype.base_dtype.name.upper())
    return base + "_REF" if dtype._is_ref_dtype else base


class NodeDef:
    """A node of a GraphDef. `attr` maps names to plain values: DType, bool, int, float, str, TensorShape, Literal, tuples of them."""

    __slots__ = ("attr", "device", "input", "name", "op")

    def __init__(
        self, name: str = "", op: str = "", input: Sequence[str] = (), device: str = "", attr: Mapping[str, Any] | None = None
    ) -> None:
        self.name = name
        self.op = op
        self.input = list(input)
        self.device = device
        self.attr = dict(attr or {})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NodeDef) and all(getattr(self, s) == getattr(other, s) for s in self.__slots__)

    __hash__ = None  # type: ignore[assignment]

    def CopyFrom(self, other: NodeDef) -> None:
        """Becomes a copy of `other`."""
        self.__init__(other.name, other.op, other.input, other.device, other.attr)  # type: ignore[misc]

    def __str__(self) -> str:
        lines = [f"name: {quote(self.name)}", f"op: {quote(self.op)}", *(f"input: {quote(i)}" for i in self.input)]
        if self.device:
            lines.append(f"device: {quote(self.device)}")
        for key in sorted(self.attr):
            value = self.attr[key]
            if value is None:
                continue
            lines += ["attr {", f"  key: {quote(key)}", "  value {"]
            lines += ["    " + line for line in _value_lines(value)]
            lines += ["  }", "}"]
        return "\n".join(lines) + "\n"

    __repr__ = __str__


class NodeList(list[NodeDef]):
    """The nodes of a GraphDef, with protobuf's way to append one."""

    def add(self, **fields: Any) -> NodeDef:
        """A new node at the end."""
        self.append(NodeDef(**fields))
        return self[-1]


class VersionDef:
    """The versions of a GraphDef."""

    __slots__ = ("bad_consumers", "min_consumer", "producer")

    def __init__(self, producer: int = PRODUCER, min_consumer: int = 0) -> None:
        self.producer = producer
        self.min_consumer = min_consumer
        self.bad_consumers: list[int] = []


class GraphDef:
    """All nodes of a graph, in the order of their making."""

    __slots__ = ("node", "versions")

    def __init__(self, node: Sequence[NodeDef] = (), versions: VersionDef | None = None) -> None:
        self.node = NodeList(node)
        self.versions = versions or VersionDef()

    def SerializeToString(self) -> bytes:
        """The graph in protobuf's binary form."""
        from graphflow.graph.protobuf import graph_to_proto  # knows this module

        return graph_to_proto(self).SerializeToString()

    def ParseFromString(self, data: bytes) -> int:
        """Becomes the graph that `data` holds."""
        from graphflow.graph.protobuf import graph_from_proto
        from graphflow.io.schema import GraphDef as Proto

        self._become(graph_from_proto(Proto.FromString(data)))
        return len(data)

    @classmethod
    def FromString(cls, data: bytes) -> GraphDef:
        """The graph that `data` holds."""
        graph = cls()
        graph.ParseFromString(data)
        return graph

    MergeFromString = ParseFromString

    def CopyFrom(self, other: GraphDef) -> None:
        """Becomes a copy of `other`."""
        self._become(GraphDef.FromString(other.SerializeToString()))

    def ByteSize(self) -> int:
        """The length of its binary form."""
        return len(self.SerializeToString())

    def _become(self, other: GraphDef) -> None:
        self.node, self.versions = other.node, other.versions

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GraphDef) and self.node == other.node

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        lines: list[str] = []
        for node in self.node:
            lines += ["node {", *("  " + line for line in str(node).splitlines()), "}"]
        lines += ["versions {", f"  producer: {self.versions.producer}", "}"]
        return "\n".join(lines) + "\n"

    __repr__ = __str__


def quote(text: str | bytes) -> str:
    """A string as protobuf's text form writes it."""
    data = text.encode() if isinstance(text, str) else text
    out = []
    for byte in data:
        char = chr(byte)
        if char in "\"'\\":
            out.append("\\" + char)
        elif 32 <= byte < 127:
            out.append(char)
        else:
            out.append({10: "\\n", 13: "\\r", 9: "\\t"}.get(byte, f"\\{byte:03o}"))
    return '"' + "".join(out) + '"'


def _value_lines(value: Any) -> Iterator[str]:
    if isinstance(value, (list, tuple)):
        yield "list {"
        for item in value:
            yield from ("  " + line for line in _value_lines(item))
        yield "}"
    elif isinstance(value, DType):
        yield f"type: {enum_name(value)}"
    elif isinstance(value, (bool, np.bool_)):
        yield f"b: {'true' if value else 'false'}"
    elif isinstance(value, (int, np.integer)):
        yield f"i: {value}"
    elif isinstance(value, (float, np.floating)):
        yield f"f: {_number(value)}"
    elif isinstance(value, (str, bytes)):
        yield f"s: {quote(value)}"
    elif isinstance(value, TensorShape):
        yield from _shape_lines("shape", value)
    elif isinstance(value, Literal):
        yield "tensor {"
        yield from ("  " + line for line in _tensor_lines(value))
        yield "}"
    else:
        yield f"s: {quote(str(value))}"


def _number(value: Any) -> str:
    text = np.format_float_positional(np.float32(value), trim="-") if 1e-4 <= abs(value) < 1e15 else f"{np.float32(value):.8g}"
    return text


def _shape_lines(field: str, shape: TensorShape) -> Iterator[str]:
    yield field + " {"
    if shape.sizes is None:
        yield "  unknown_rank: true"
    for size in shape.sizes or ():
        yield "  dim {"
        yield f"    size: {-1 if size is None else size}"
        yield "  }"
    yield "}"


def _tensor_lines(literal: Literal) -> Iterator[str]:
    yield f"dtype: {enum_name(literal.dtype)}"
    yield from _shape_lines("tensor_shape", TensorShape(literal.array.shape))
    array = literal.array
    if literal.dtype is dtypes.string:
        yield from (f"string_val: {quote(v)}" for v in array.ravel())
    elif array.size != 1:
        if array.size:
            yield f"tensor_content: {quote(array.tobytes())}"
    elif literal.dtype is dtypes.bool:
        yield f"bool_val: {'true' if array.ravel()[0] else 'false'}"
    elif literal.dtype.is_floating:
        prefix = {"float32": "float", "float64": "double"}.get(literal.dtype.name, "half")
        yield f"{prefix}_val: {_scalar_text(array.ravel()[0])}"
    elif literal.dtype.is_integer:
        prefix = "int64" if literal.dtype is dtypes.int64 else "int"
        yield f"{prefix}_val: {array.ravel()[0]}"


def _scalar_text(value: Any) -> str:
    return repr(float(value)) if isinstance(value, np.float64) else repr(float(str(value)))
