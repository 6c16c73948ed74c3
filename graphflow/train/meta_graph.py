"""Graphs with their collections and saver as MetaGraphDef: the `.meta` file beside a checkpoint."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphflow import errors
from graphflow.compat import logging
from graphflow.graph.collections import GraphKeys
from graphflow.graph.graph import Graph, get_default_graph
from graphflow.graph.importer import import_graph_def
from graphflow.graph.nodedef import GraphDef
from graphflow.graph.op import REGISTRY
from graphflow.graph.protobuf import attr_to_proto, declared_types, graph_to_proto
from graphflow.io import schema
from graphflow.io.files import make_parents, write_atomically
from graphflow.io.schema import MetaGraphDef, SaverDef, VariableDef
from graphflow.io.text import ParseError, from_text
from graphflow.io.wire import DecodeError
from graphflow.ops.control_flow.protos import context_from_proto, context_to_proto
from graphflow.ops.variable_protos import strip_scope, variable_from_proto, variable_to_proto
from graphflow.ops.variables import Variable

_WRITTEN_AS = ("1.15.5", "v1.15.4-39-g3db52be")  # the TensorFlow version whose graphs these are
_UNBOUND = "$unbound_inputs_"
_SAVING = frozenset({"SaveV2", "Save", "SaveSlices", "SaveSlice", "RestoreV2", "Restore", "RestoreSlice"})
_VARIABLES = frozenset(
    {
        GraphKeys.GLOBAL_VARIABLES, GraphKeys.TRAINABLE_VARIABLES, GraphKeys.MOVING_AVERAGE_VARIABLES, GraphKeys.LOCAL_VARIABLES,
        GraphKeys.MODEL_VARIABLES, GraphKeys.METRIC_VARIABLES, GraphKeys.GLOBAL_STEP,
    }
)  # fmt: skip
_CONTEXTS: dict[str, Any] = {GraphKeys.COND_CONTEXT: schema.CondContextDef, GraphKeys.WHILE_CONTEXT: schema.WhileContextDef}
_FOREIGN = frozenset({GraphKeys.QUEUE_RUNNERS})  # messages of other kinds


# -- writing ---------------------------------------------------------------------------------------------------------------------


def export_meta_graph(
    filename: str | None = None,
    meta_info_def: Any = None,
    graph_def: Any = None,
    saver_def: Any = None,
    collection_list: Sequence[str] | None = None,
    as_text: bool = False,
    graph: Graph | None = None,
    export_scope: str | None = None,
    clear_devices: bool = False,
    clear_extraneous_savers: bool = False,
    strip_default_attrs: bool = False,
    save_debug_info: bool = False,
    **kwargs: Any,
) -> MetaGraphDef:
    """The graph (default: the default graph) as a MetaGraphDef; written to a file if one is named."""
    if graph is not None and not isinstance(graph, Graph):
        raise TypeError(f"graph must be of type Graph, not {type(graph)}")
    graph = graph or get_default_graph()
    if graph_def is None:
        graph_def = graph.as_graph_def(add_shapes=True)
    nodes = graph_to_proto(graph_def) if isinstance(graph_def, GraphDef) else graph_def
    left_out = _other_savers(nodes, saver_def) if clear_extraneous_savers else frozenset()
    meta = MetaGraphDef()
    if meta_info_def is not None:
        meta.meta_info_def.CopyFrom(meta_info_def)
    meta.meta_info_def.tensorflow_version, meta.meta_info_def.tensorflow_git_version = _WRITTEN_AS
    meta.graph_def.versions = nodes.versions
    meta.graph_def.node = [
        _exported(node, export_scope, clear_devices)
        for node in nodes.node
        if node.name not in left_out and (not export_scope or node.name.startswith(export_scope))
    ]
    if strip_default_attrs:
        for node in meta.graph_def.node:
            _strip_defaults(node)
        meta.meta_info_def.stripped_default_attrs = True
    if saver_def is not None:
        meta.saver_def.CopyFrom(saver_def)
    for key in graph.get_all_collection_keys() if collection_list is None else collection_list:
        items = [i for i in graph.get_collection(key) if getattr(getattr(i, "op", i), "name", None) not in left_out]
        if clear_extraneous_savers and key == GraphKeys.SAVERS:
            items = [i for i in items if i.saver_def == saver_def]
        _add_collection(meta, key, items, export_scope)
    if filename is not None:
        make_parents(filename)
        write_atomically(filename, str(meta).encode() if as_text else meta.SerializeToString())
    return meta


def _exported(node: schema.NodeDef, scope: str | None, clear_devices: bool) -> schema.NodeDef:
    if scope:
        node.name = strip_scope(node.name, scope)
        for number, text in enumerate(node.input):
            mark, name = ("^", text[1:]) if text.startswith("^") else ("", text)
            node.input[number] = strip_scope(text, scope) if name.startswith(scope) else f"{mark}{_UNBOUND}{name}"
        if "_class" in node.attr:
            groups = node.attr["_class"].list.s
            kept = [strip_scope(g.decode(), scope).encode() for g in groups if g.split(b"@")[-1].startswith(scope.encode())]
            node.attr["_class"] = attr_to_proto(tuple(kept))
    if clear_devices:
        node.device = ""
    return node


def _strip_defaults(node: schema.NodeDef) -> None:
    if node.op in REGISTRY:
        wanted = declared_types(node.op)
        for name, value in REGISTRY[node.op]._defaults.items():
            if name in node.attr and node.attr[name] == attr_to_proto(value, wanted.get(name, "")):
                del node.attr[name]


def _other_savers(graph_def: schema.GraphDef, saver_def: Any) -> frozenset[str]:
    """The nodes of savers other than the given one: everything in their name scopes."""
    own = [saver_def.save_tensor_name, saver_def.restore_op_name] if saver_def is not None else []
    kept = {name.partition(":")[0].rpartition("/")[0] for name in own}
    scopes = {node.name.rpartition("/")[0] for node in graph_def.node if node.op in _SAVING} - kept - {""}
    return frozenset(n.name for n in graph_def.node if any(n.name.startswith(scope + "/") for scope in scopes))


def _add_collection(meta: MetaGraphDef, key: Any, items: Sequence[Any], scope: str | None) -> None:
    """Enters a collection; one that no file can hold is left out with a warning, as in TensorFlow."""
    if not isinstance(key, (str, bytes)):
        logging.warning("Only collections with string type keys will be serialized. This key has %s", type(key))
        return
    if not items:
        return
    key = key if isinstance(key, str) else key.decode()
    found = schema.CollectionDef()
    try:
        if key in _VARIABLES:
            protos = [variable_to_proto(v, scope) for v in items]
            found.bytes_list.value.extend(p.SerializeToString() for p in protos if p is not None)
        elif key == GraphKeys.SAVERS:
            protos = [saver.to_proto(scope) for saver in items]
            found.bytes_list.value.extend(p.SerializeToString() for p in protos if p is not None)
        elif key in _CONTEXTS:
            protos = [context_to_proto(context, scope) for context in items]
            found.bytes_list.value.extend(p.SerializeToString() for p in protos if p is not None)
        elif key in _FOREIGN:
            return
        elif isinstance(items[0], (str, bytes)):
            found.bytes_list.value.extend(i.encode() if isinstance(i, str) else bytes(i) for i in items)
        elif isinstance(items[0], int):
            found.int64_list.value.extend(int(i) for i in items)
        elif isinstance(items[0], float):
            found.float_list.value.extend(float(i) for i in items)
        else:
            names = [i.name for i in items]
            found.node_list.value.extend(strip_scope(n, scope) for n in names if not scope or n.startswith(scope))
            if not all(isinstance(n, str) for n in names):
                raise TypeError(f"names {names}")
        found.SerializeToString()
    except Exception as error:
        logging.warning(
            "Issue encountered when serializing %s.\nType is unsupported, or the types of the items don't match field type in "
            "CollectionDef. Note this is a warning and probably safe to ignore.\n%s", key, error,
        )  # fmt: skip
        return
    meta.collection_def[key] = found


# -- reading ---------------------------------------------------------------------------------------------------------------------


def read_meta_graph(filename: Any) -> MetaGraphDef:
    """The MetaGraphDef in a file, in either form. OSError where there is none."""
    filename = os.fspath(filename)
    if not os.path.exists(filename):
        raise OSError(f"File {filename} does not exist.")
    try:
        with open(filename, "rb") as file:
            data = file.read()
    except OSError as error:
        raise errors.UnknownError(None, None, f"{filename}; {error.strerror}") from None
    try:
        meta = MetaGraphDef.FromString(data)
        if meta or not data:
            return meta  # type: ignore[no-any-return]
    except DecodeError:
        pass
    try:
        return from_text(data, MetaGraphDef())  # type: ignore[return-value]
    except ParseError as error:
        raise OSError(f"Cannot parse file {filename}: {error}.") from None


def restore_graph(
    meta: MetaGraphDef,
    clear_devices: bool,
    import_scope: str | None,
    make_saver: Callable[[SaverDef, str | None], Any],
    graph: Graph | None = None,
    input_map: Mapping[str, Any] | None = None,
    unbound_inputs_col_name: str = "unbound_inputs",
    restore_collections_predicate: Callable[[str], bool] = lambda key: True,
    return_elements: Any = None,
) -> str:
    """Adds the graph and collections of `meta` to `graph` (default: the default graph); the result is the scope they are under."""
    graph = graph or get_default_graph()
    unbound = meta.collection_def.get(unbound_inputs_col_name)
    if unbound is not None:
        lacking = {v.decode() for v in unbound.bytes_list.value} - {k for k in input_map or ()}
        if lacking:
            raise ValueError(f"Graph contains unbound inputs: {sorted(lacking)}. Must provide these inputs through input_map.")
    with graph.as_default():
        scope = graph.unique_name(import_scope or "", mark_as_used=False) if import_scope else graph.get_name_scope() or ""
        nodes = meta.graph_def
        if clear_devices:
            nodes = schema.GraphDef.FromString(nodes.SerializeToString())
            for node in nodes.node:
                node.device = ""
        # a slash at the end: `scope` is the whole name, also inside a name scope
        import_graph_def(nodes, name=import_scope or (scope and scope + "/"), input_map=input_map, producer_op_list=None)
        known: dict[bytes, Any] = {}
        for key in sorted(meta.collection_def):
            if restore_collections_predicate(key):
                _restore_collection(graph, key, meta.collection_def[key], scope, known, make_saver)
    return scope


def _restore_collection(
    graph: Graph, key: str, found: schema.CollectionDef, scope: str, known: dict[bytes, Any], make_saver: Callable[..., Any]
) -> None:
    kind = found.WhichOneof("kind")
    if kind is None:
        return
    values = getattr(found, kind).value
    if key in _VARIABLES and kind == "bytes_list":
        for data in values:
            if data not in known:
                known[data] = _variable(data, scope)
            if known[data] is not None:
                graph.add_to_collection(key, known[data])
    elif key == GraphKeys.SAVERS and kind == "bytes_list":
        for data in values:
            graph.add_to_collection(key, make_saver(SaverDef.FromString(data), scope))
    elif key in _CONTEXTS and kind == "bytes_list":
        for data in values:
            graph.add_to_collection(key, context_from_proto(_CONTEXTS[key].FromString(data), scope))
    elif key in _FOREIGN or kind == "any_list":
        logging.info("collection %s of the meta graph is left out", key)
    elif kind == "node_list":
        for name in values:
            try:
                graph.add_to_collection(key, graph.as_graph_element(f"{scope}/{name}" if scope else name))
            except (KeyError, ValueError):
                logging.warning("collection %s names %s, which is not in the graph", key, name)
    else:
        for value in values:
            graph.add_to_collection(key, value)


def _variable(data: bytes, scope: str) -> Variable | None:
    try:
        return variable_from_proto(VariableDef.FromString(data), scope)  # type: ignore[no-any-return]
    except (DecodeError, KeyError, ValueError) as error:
        logging.warning("a variable of the meta graph is left out: %s", error)
        return None
