"""`tf.graph_util`: cutting a GraphDef down to what some nodes need, and freezing variables into constants."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from graphflow import dtypes
from graphflow.compat import logging
from graphflow.graph import protobuf
from graphflow.graph.graph import Graph
from graphflow.graph.importer import import_graph_def
from graphflow.graph.literal import Literal
from graphflow.graph.nodedef import GraphDef, NodeDef
from graphflow.graph.operation import Operation
from graphflow.io import schema
from graphflow.missing import names_of
from graphflow.shapes import TensorShape

__all__ = [
    "convert_variables_to_constants", "extract_sub_graph", "import_graph_def", "must_run_on_cpu", "remove_training_nodes",
    "tensor_shape_from_node_def_name",
]  # fmt: skip

_VARIABLES = frozenset(
    ("Assign", "AssignAdd", "AssignSub", "Queue", "ScatterAdd", "ScatterSub", "ScatterUpdate", "TruncatedNormal", "Variable", "VariableV2")
)
_PASSES_HANDLES = frozenset(("Switch", "Enter", "Exit", "Identity", "Merge", "NextIteration"))


def _name(text: str) -> str:
    """The node that an input text names."""
    return text.lstrip("^").partition(":")[0]


def _in_both_forms(change: Callable[..., GraphDef], graph_def: Any, *args: Any) -> Any:
    """Works on a GraphDef in either form, and gives back that form."""
    if isinstance(graph_def, schema.GraphDef):
        return protobuf.graph_to_proto(change(protobuf.graph_from_proto(graph_def), *args))
    if not isinstance(graph_def, GraphDef):
        raise TypeError("graph_def must be a graph_pb2.GraphDef proto.")
    return change(graph_def, *args)


def extract_sub_graph(graph_def: Any, dest_nodes: Sequence[str]) -> Any:
    """A GraphDef with only the nodes that `dest_nodes` need. AssertionError where one of them is not in the graph."""
    if isinstance(dest_nodes, str):
        raise TypeError("dest_nodes must be a list.")
    return _in_both_forms(_extract, graph_def, list(dest_nodes))


def _extract(graph_def: GraphDef, wanted: list[str]) -> GraphDef:
    nodes = {node.name: node for node in graph_def.node}
    for name in wanted:
        if name not in nodes:
            raise AssertionError(f"{name} is not in graph")
    kept: set[str] = set()
    stack = list(wanted)
    while stack:
        name = stack.pop()
        if name not in kept:
            kept.add(name)
            stack += [_name(text) for text in nodes[name].input]
            groups = nodes[name].attr.get("_class", ())
            stack += [g[5:].decode() for g in groups if g.startswith(b"loc:@") and g[5:].decode() in nodes]
    return GraphDef([copy.deepcopy(node) for node in graph_def.node if node.name in kept], graph_def.versions)


def convert_variables_to_constants(
    sess: Any,
    input_graph_def: Any,
    output_node_names: Sequence[str],
    variable_names_whitelist: Iterable[str] | None = None,
    variable_names_blacklist: Iterable[str] | None = None,
) -> Any:
    """A GraphDef with what `output_node_names` need, and each variable a constant of its value in the session."""
    listed = None if variable_names_whitelist is None else frozenset(variable_names_whitelist)
    return _in_both_forms(
        _freeze, input_graph_def, sess, list(output_node_names), listed, frozenset(variable_names_blacklist or ())
    )


def _freeze(
    graph_def: GraphDef, sess: Any, outputs: list[str], only: frozenset[str] | None, without: frozenset[str]
) -> GraphDef:
    inside = _extract(graph_def, outputs)
    nodes = {node.name: node for node in inside.node}
    fetches = {
        node.name: f"{node.name}/Read/ReadVariableOp:0" if node.op == "VarHandleOp" else f"{node.name}:0"
        for node in inside.node
        if node.op in ("Variable", "VariableV2", "VarHandleOp") and (only is None or node.name in only) and node.name not in without
    }
    values = sess.run(fetches) if fetches else {}
    types = _handle_types(nodes)
    logging.info("Froze %d variables.", len(values))
    frozen: list[NodeDef] = []
    for node in inside.node:
        if node.name in values:
            frozen.append(_constant(node.name, node.attr["dtype"], values[node.name]))
        elif node.name in types:
            frozen.append(NodeDef(node.name, node.op, node.input, node.device, {**node.attr, "T": types[node.name]}))
        elif node.op == "ReadVariableOp" and _source(nodes, node) in values:
            frozen.append(NodeDef(node.name, "Identity", node.input[:1], attr=_kept(node, T=node.attr["dtype"])))
        elif node.op == "ResourceGather" and _source(nodes, node) in values:
            kind = node.attr["Tindices"]
            axis = _constant(f"{node.name}/axis", kind, 0)
            attr = _kept(node, Tparams=node.attr["dtype"], Tindices=kind, Taxis=kind, batch_dims=node.attr.get("batch_dims", 0))
            frozen += [axis, NodeDef(node.name, "GatherV2", [*node.input[:2], axis.name], attr=attr)]
        else:
            frozen.append(node)
    logging.info("Converted %d variables to const ops.", len(values))
    return GraphDef(frozen, graph_def.versions)


def _kept(node: NodeDef, **attr: Any) -> dict[str, Any]:
    return {**attr, **({"_class": node.attr["_class"]} if "_class" in node.attr else {})}


def _constant(name: str, dtype: Any, value: Any) -> NodeDef:
    array = np.asarray(value, dtype.as_numpy_dtype)
    return NodeDef(name, "Const", attr={"dtype": dtype, "value": Literal(array, dtype)})


def _source(nodes: dict[str, NodeDef], node: NodeDef) -> str:
    """The node whose handle a reader gets, through what passes handles on."""
    name = _name(node.input[0])
    while nodes[name].op in _PASSES_HANDLES:
        name = _name(nodes[name].input[0])
    return name


def _handle_types(nodes: dict[str, NodeDef]) -> dict[str, Any]:
    """What passes a handle on -> the type of the variable's elements."""
    found: dict[str, Any] = {}
    for node in nodes.values():
        if node.op not in ("ReadVariableOp", "ResourceGather"):
            continue
        waiting = [_name(node.input[0])]
        while waiting:
            name = waiting.pop()
            if nodes[name].op in _PASSES_HANDLES and name not in found:
                found[name] = node.attr["dtype"]
                waiting += [_name(text) for text in nodes[name].input[: 2 if nodes[name].op == "Merge" else 1]]
        if nodes[_source(nodes, node)].op != "VarHandleOp":
            raise ValueError("Cannot find the variable that is an input to the ReadVariableOp.")
    return found


def remove_training_nodes(input_graph: Any, protected_nodes: Sequence[str] | None = None) -> Any:
    """A GraphDef without CheckNumerics nodes, and without those Identity nodes that no control dependency needs."""
    return _in_both_forms(_without_training, input_graph, frozenset(protected_nodes or ()))


def _without_training(graph_def: GraphDef, protected: frozenset[str]) -> GraphDef:
    checks = {n.name for n in graph_def.node if n.op == "CheckNumerics" and n.name not in protected}
    kept = []
    for node in graph_def.node:
        if node.name not in checks:
            inputs = [text for text in node.input if text.lstrip("^") not in checks]
            kept.append(NodeDef(node.name, node.op, inputs, node.device, node.attr))
    waited = {text[1:] for node in kept for text in node.input if text.startswith("^")}
    waiting = {node.name for node in kept if any(text.startswith("^") for text in node.input)}
    spliced = {
        node.name: node.input[0]
        for node in kept
        if node.op == "Identity" and node.name not in protected and node.name not in waiting | waited
    }

    def behind(text: str) -> str:
        while text in spliced:
            text = spliced[text]
        return text

    nodes = [NodeDef(n.name, n.op, map(behind, n.input), n.device, n.attr) for n in kept if n.name not in spliced]  # type: ignore[arg-type]
    return GraphDef(nodes)


def must_run_on_cpu(node: Any, pin_variables_on_cpu: bool = False) -> bool:
    """Whether TensorFlow has no GPU kernel for an Operation or NodeDef: strings, int32 constants and the like."""
    if isinstance(node, Operation):
        node = node.node_def
    elif isinstance(node, schema.NodeDef):
        node = protobuf.node_from_proto(node)
    if pin_variables_on_cpu and node.op in _VARIABLES:
        return True
    if node.op == "Const":
        return node.attr["dtype"] in (dtypes.string, dtypes.int32)
    kind = {"DynamicStitch": "T", "ParallelDynamicStitch": "T", "Cast": "SrcT"}.get(node.op)
    return kind is not None and node.attr[kind] == dtypes.int32


def tensor_shape_from_node_def_name(graph: Graph, input_name: str) -> TensorShape:
    """The shape of a tensor of a graph, or of a node's first output."""
    return graph.get_tensor_by_name(input_name if ":" in input_name else input_name + ":0").get_shape()

globals()["__getattr__"] = names_of("graph_util")
