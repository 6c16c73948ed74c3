"""Graphs as protobuf messages and back: the values of attributes, nodes, the whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphflow.dtypes import DType, as_dtype
from graphflow.graph import nodedef
from graphflow.graph.literal import Literal
from graphflow.graph.op import REGISTRY
from graphflow.io import schema
from graphflow.io.tensors import to_array, to_proto
from graphflow.shapes import TensorShape


def shape_to_proto(shape: TensorShape) -> schema.TensorShapeProto:
    """A shape as a message; an unknown size is -1."""
    if shape.sizes is None:
        return schema.TensorShapeProto(unknown_rank=True)
    return schema.TensorShapeProto(dim=[schema.TensorShapeDim(size=-1 if n is None else n) for n in shape.sizes])


def shape_from_proto(proto: schema.TensorShapeProto) -> TensorShape:
    """The shape that a message says."""
    return TensorShape(None if proto.unknown_rank else [None if d.size < 0 else d.size for d in proto.dim])


def _pair(value: Any, wanted: str) -> tuple[str, Any]:
    """The member of AttrValue that holds a value, and what it holds."""
    if isinstance(value, DType):
        return "type", int(value)
    if isinstance(value, (bool, np.bool_)):
        return "b", bool(value)
    if isinstance(value, (int, np.integer)) and not wanted.startswith("float"):
        return "i", int(value)
    if isinstance(value, (int, float, np.number)):
        return "f", float(value)
    if isinstance(value, (str, bytes)):
        return "s", value.encode() if isinstance(value, str) else value
    if isinstance(value, TensorShape):
        return "shape", shape_to_proto(value)
    if isinstance(value, Literal):
        return "tensor", to_proto(value.array, value.dtype)
    return "s", str(value).encode()


def attr_to_proto(value: Any, wanted: str = "") -> schema.AttrValue:
    """An attribute's value as a message; `wanted` is its type in the op's class, which tells 1 from 1.0."""
    if isinstance(value, schema.AttrValue):
        return value
    if isinstance(value, (list, tuple)):
        items = schema.ListValue()
        inner = "float" if "float" in wanted else ""
        for item in value:
            name, held = _pair(item, inner)
            getattr(items, name).append(held)
        return schema.AttrValue(list=items)
    name, held = _pair(value, wanted)
    return schema.AttrValue(**{name: held})


def attr_from_proto(proto: schema.AttrValue) -> Any:
    """The value that a message holds, in the plain form that NodeDef has."""
    name = proto.WhichOneof("value")
    if name is None:
        return None
    value = getattr(proto, name)
    if name == "list":
        parts = [(field.name, item) for field, items in value.present() for item in items]
        return tuple(_plain(kind, item) for kind, item in parts)
    return _plain(name, value)


def _plain(kind: str, value: Any) -> Any:
    if kind == "type":
        return as_dtype(value)
    if kind == "shape":
        return shape_from_proto(value)
    if kind == "tensor":
        array = to_array(value)
        array.setflags(write=False)
        return Literal(array, as_dtype(value.dtype))
    return value


def declared_types(op: str) -> Mapping[str, str]:
    """The declared types of an op's fields, as text."""
    found: dict[str, str] = {}
    if op in REGISTRY:
        for cls in reversed(REGISTRY[op].__mro__):
            found.update({n: str(a) for n, a in cls.__dict__.get("__annotations__", {}).items()})
    return found


def node_to_proto(node: nodedef.NodeDef) -> schema.NodeDef:
    """A node as a message."""
    proto = schema.NodeDef(name=node.name, op=node.op, input=node.input, device=node.device)
    wanted = declared_types(node.op)
    for name, value in node.attr.items():
        if value is not None:
            proto.attr[name] = attr_to_proto(value, wanted.get(name, ""))
    return proto


def node_from_proto(proto: schema.NodeDef) -> nodedef.NodeDef:
    """The node that a message says."""
    attr = {name: attr_from_proto(value) for name, value in proto.attr.items()}
    return nodedef.NodeDef(proto.name, proto.op, proto.input, proto.device, attr)


def graph_to_proto(graph: nodedef.GraphDef) -> schema.GraphDef:
    """A GraphDef as a message."""
    versions = schema.VersionDef(producer=graph.versions.producer, min_consumer=graph.versions.min_consumer)
    return schema.GraphDef(node=[node_to_proto(n) for n in graph.node], versions=versions)


def graph_from_proto(proto: schema.GraphDef) -> nodedef.GraphDef:
    """The GraphDef that a message says."""
    if proto.library.function:
        raise ValueError(f"the graph has {len(proto.library.function)} functions; graphflow imports graphs without functions")
    versions = nodedef.VersionDef(proto.versions.producer, proto.versions.min_consumer)
    return nodedef.GraphDef([node_from_proto(n) for n in proto.node], versions)
