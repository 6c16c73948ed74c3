"""tf.import_graph_def: adds the nodes of a GraphDef to the default graph."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from heapq import heappop, heappush
from typing import Any

from graphflow.errors import NotFoundError
from graphflow.graph import build, protobuf
from graphflow.graph import convert as conversion
from graphflow.graph.context import MERGES
from graphflow.graph.graph import Graph, get_default_graph
from graphflow.graph.nodedef import GraphDef, NodeDef
from graphflow.graph.op import REGISTRY, Op
from graphflow.graph.operation import Operation
from graphflow.graph.tensor import Tensor
from graphflow.io import schema

__all__ = ["import_graph_def"]


def import_graph_def(
    graph_def: Any,
    input_map: Mapping[str, Any] | None = None,
    return_elements: Sequence[str] | None = None,
    name: str | None = None,
    op_dict: Any = None,
    producer_op_list: Any = None,
) -> list[Any] | None:
    """Adds the nodes of `graph_def` under the scope `name` ("import" unless given, "" for none).

    input_map: names in `graph_def` -> tensors to use in their place. return_elements: names of operations and tensors to give back.
    """
    if isinstance(graph_def, schema.GraphDef):
        graph_def = protobuf.graph_from_proto(graph_def)
    if not isinstance(graph_def, GraphDef):
        raise TypeError(f"graph_def must be a GraphDef proto, got {type(graph_def).__name__}.")
    if input_map is not None and not all(isinstance(key, str) for key in input_map):
        raise TypeError("input_map must be a dictionary mapping strings to Tensor objects.")
    if return_elements is not None and not all(isinstance(e, str) for e in return_elements):
        raise TypeError("return_elements must be a list of strings.")
    graph = get_default_graph()
    graph._check_not_finalized()
    with build.name_scope(name, "import", list((input_map or {}).values())) as scope:
        mapped = {_normal(key): conversion.convert(value) for key, value in (input_map or {}).items()}
        used: set[str] = set()
        made = _Import(graph, scope, mapped, used).run(graph_def.node)
    unused = [key for key in input_map or () if _normal(key) not in used]
    if unused:
        raise ValueError(
            f"Attempted to map inputs that were not found in graph_def: {unused}"
        )
    if return_elements is None:
        return None
    return [_element(made, text) for text in return_elements]


def _normal(name: str) -> str:
    return name if ":" in name or name.startswith("^") else name + ":0"


def _element(made: Mapping[str, Operation], text: str) -> Operation | Tensor:
    name, colon, number = text.partition(":")
    if name not in made or colon and not (number.isdigit() and int(number) < len(made[name].outputs)):
        raise ValueError(f"Requested return_element '{text}' not found in graph_def.")
    return made[name].outputs[int(number)] if colon else made[name]


class _Import:
    def __init__(self, graph: Graph, scope: str, mapped: Mapping[str, Tensor], used: set[str]) -> None:
        self.graph = graph
        self.scope = scope
        self.mapped = mapped
        self.used = used
        self.made: dict[str, Operation] = {}
        self.back_edges: list[tuple[Operation, int, NodeDef]] = []  # inputs of a loop's Merge that are made after it

    def run(self, nodes: Sequence[NodeDef]) -> dict[str, Operation]:
        """Makes all nodes, each after its inputs."""
        before = self.graph._control_stack, self.graph._name_stack
        self.graph._control_stack, self.graph._name_stack = [], None  # the names are whole already
        try:
            for node in _ordered(nodes, self.mapped):
                self.made[node.name] = self._make(node)
            for merged, slot, node in self.back_edges:
                merged._update_input(slot, self._input(node, node.input[slot]))
        finally:
            self.graph._control_stack, self.graph._name_stack = before
        return self.made

    def _make(self, node: NodeDef) -> Operation:
        if node.op not in REGISTRY:
            conversion.load_ops()
            if node.op not in REGISTRY:
                raise NotFoundError(None, None, f"Op type not registered '{node.op}' in graphflow (node '{node.name}').")
        cls = REGISTRY[node.op]
        definition, bound, extra = _split(cls, node)
        inputs: list[Tensor] = []
        control: list[Operation] = []
        late: list[int] = []
        for text in node.input:
            if text.startswith("^"):
                self._use(text)
                control.append(self.mapped[text].op if text in self.mapped else self._operation(node, text[1:]))
            elif node.op in MERGES and inputs and _normal(text) not in self.mapped and text.partition(":")[0] not in self.made:
                late.append(len(inputs))
                inputs.append(inputs[0])  # the Enter, until the value that comes round is there
            else:
                inputs.append(self._input(node, text))
        signature = build.signature(cls)
        self._check(node, signature, inputs)
        operation = self.graph._create(definition, inputs, self.scope + node.name, bound, signature.refs)
        operation._add_control_inputs(control)
        self.back_edges += [(operation, slot, node) for slot in late]
        if "_class" in extra:
            prefix = b"loc:@" + self.scope.encode()
            extra["_class"] = tuple(s.replace(b"loc:@", prefix, 1) for s in extra["_class"])
        operation._extra.update(extra)
        operation._device = node.device or operation._device
        self.graph._names_in_use.setdefault((self.scope + node.name).lower(), 1)
        return operation

    def _use(self, key: str) -> None:
        if key in self.mapped:
            self.used.add(key)

    def _operation(self, node: NodeDef, name: str) -> Operation:
        if name not in self.made:
            raise ValueError(f"Node '{node.name}': Unknown input node '{name}'")
        return self.made[name]

    def _input(self, node: NodeDef, text: str) -> Tensor:
        key = _normal(text)
        if key in self.mapped:
            self.used.add(key)
            return self.mapped[key]
        name, _, number = key.partition(":")
        outputs = self._operation(node, name).outputs
        if not number.isdigit() or int(number) >= len(outputs):
            raise ValueError(
                f"Node '{node.name}': Connecting to invalid output {number} of source node {name} which has {len(outputs)} outputs."
            )
        return outputs[int(number)]

    def _check(self, node: NodeDef, signature: build.Signature, inputs: Sequence[Tensor]) -> None:
        """Refuses what no program could have built: a wrong number of inputs, or a value where a variable is needed."""
        arguments = signature.arguments
        if any(slot.is_list for slot in arguments):
            fits = len(inputs) >= sum(not slot.is_list for slot in arguments)
        else:
            fits = len(inputs) == len(arguments)
        if not fits:
            raise ValueError(f"Node '{node.name}': {node.op} takes {len(arguments)} inputs, got {len(inputs)}")
        for slot, tensor in zip(arguments, inputs, strict=False):
            if slot.is_list:
                break
            if slot.is_ref and not tensor.dtype._is_ref_dtype:
                raise ValueError(f"Input {slot.name} of node {node.name} was passed {tensor.dtype.name}, a variable is expected.")
            if slot.fixed is not None and tensor.dtype.base_dtype is not slot.fixed:
                raise ValueError(
                    f"Input {slot.name} of node {node.name} was passed {tensor.dtype.name} from {tensor.name} incompatible with "
                    f"expected {slot.fixed.name}."
                )


def _split(cls: type[Op], node: NodeDef) -> tuple[Op, dict[str, Any], dict[str, Any]]:
    """The attributes of a node: the op they make, those that its inputs bind, and the rest."""
    wanted = protobuf.declared_types(node.op)
    fields: dict[str, Any] = {}
    bound: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, value in node.attr.items():
        if name in cls._fields:
            kind = wanted.get(name, "")
            fields[name] = _texts(value) if "str" in kind and "Literal" not in kind else value
        elif name == "_output_shapes" or value is None:
            continue
        elif name.startswith("_"):
            extra[name] = value
        else:
            bound[name] = value
    try:
        return cls(**fields), bound, extra
    except TypeError as error:
        raise ValueError(f"NodeDef '{node.name}' of type {node.op}: {error}") from None


def _texts(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    return tuple(map(_texts, value)) if isinstance(value, tuple) else value


_COMES_ROUND = frozenset(("NextIteration", "RefNextIteration"))


def _ordered(nodes: Sequence[NodeDef], mapped: Mapping[str, Any]) -> Iterator[NodeDef]:
    """The nodes, each after its inputs, except for what comes round to the Merge of a loop. ValueError for any other cycle."""
    names = {node.name: node.op for node in nodes}
    if len(names) != len(nodes):
        raise ValueError("graph_def has two nodes of one name")
    waiting: list[set[str]] = []
    users: dict[str, list[int]] = {}
    ready: list[int] = []  # a heap: of the nodes that can be made, the first in the file goes first
    for number, node in enumerate(nodes):
        inputs = {t.lstrip("^").partition(":")[0] for t in node.input if (t if t[:1] == "^" else _normal(t)) not in mapped}
        before = inputs & names.keys()
        if node.op in MERGES:
            before = {name for name in before if names[name] not in _COMES_ROUND}
        waiting.append(before)
        for name in before:
            users.setdefault(name, []).append(number)
        if not before:
            ready.append(number)
    done = 0
    while ready:
        node = nodes[heappop(ready)]
        done += 1
        yield node
        for number in users.get(node.name, ()):
            waiting[number].discard(node.name)
            if not waiting[number]:
                heappush(ready, number)
    if done < len(nodes):
        raise ValueError(f"{len(nodes) - done} nodes in a cycle")


def write_graph(graph_or_graph_def: Any, logdir: str, name: str, as_text: bool = True) -> str:
    """Writes a graph to a file, as text or in protobuf's binary form; the result is the file's path."""
    from graphflow.io.files import make_parents, write_atomically

    graph_def = graph_or_graph_def.as_graph_def() if isinstance(graph_or_graph_def, Graph) else graph_or_graph_def
    proto = protobuf.graph_to_proto(graph_def) if isinstance(graph_def, GraphDef) else graph_def
    path = os.path.join(logdir, name)
    make_parents(path)
    write_atomically(path, str(proto).encode() if as_text else proto.SerializeToString())
    return path
