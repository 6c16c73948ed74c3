"""Whether a Graph is in order. Building keeps these rules; tests and debug runs look."""

from __future__ import annotations

from collections.abc import Iterator

from graphflow.graph.graph import Graph
from graphflow.graph.op import TensorSpec
from graphflow.graph.operation import Operation
from graphflow.graph.traverse import in_order
from graphflow.shapes import TensorShape


class BrokenGraph(ValueError):
    """A graph breaks one of its rules."""


def check(graph: Graph) -> None:
    """Raises BrokenGraph with every rule that is broken, one a line."""
    found = list(problems(graph))
    if found:
        raise BrokenGraph("\n".join(found))


def problems(graph: Graph) -> Iterator[str]:
    """What is wrong, operation by operation."""
    last = 0
    for op in graph._operations:
        if op.graph is not graph:
            yield f"{op.name}: belongs to another graph"
        if graph._by_name.get(op.name) is not op:
            yield f"{op.name}: is not found under its name"
        if op._id <= last:
            yield f"{op.name}: its number {op._id} does not grow"
        last = op._id
        yield from _edges(op)
        yield from _results(op)
    try:
        in_order(graph._operations)
    except ValueError as error:
        yield str(error)


def _edges(op: Operation) -> Iterator[str]:
    for tensor in op.inputs:
        if tensor.graph is not op.graph:
            yield f"{op.name}: its input {tensor.name} is in another graph"
        if op not in tensor._consumers:
            yield f"{op.name}: its input {tensor.name} does not know it"
    for other in op._control_inputs:
        if op not in other._control_outputs:
            yield f"{op.name}: {other.name}, which it waits for, does not know it"
    for number, tensor in enumerate(op.outputs):
        if tensor.op is not op or tensor.value_index != number:
            yield f"{op.name}: result {number} says it is {tensor.name}"


def _results(op: Operation) -> Iterator[str]:
    """The shape rule run again must agree with what the results say."""
    specs = op.definition.infer(*(t.spec for t in op.inputs))
    specs = (specs,) if isinstance(specs, TensorSpec) else specs
    if len(specs) != len(op.outputs):
        yield f"{op.name}: has {len(op.outputs)} results, its shape rule gives {len(specs)}"
        return
    for tensor, spec in zip(op.outputs, specs, strict=True):
        if tensor.dtype.base_dtype is not spec.dtype.base_dtype:
            yield f"{tensor.name}: is {tensor.dtype.name}, its shape rule gives {spec.dtype.name}"
        if not tensor.shape.is_compatible_with(TensorShape(spec.dims)):
            yield f"{tensor.name}: has shape {tensor.shape}, its shape rule gives {TensorShape(spec.dims)}"
