"""Resources other than variables (tables, queues of a model): registered with their initialisers, initialised together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from graphflow import dtypes
from graphflow.graph.build import make, name_scope
from graphflow.graph.collections import GraphKeys
from graphflow.graph.graph import get_default_graph
from graphflow.graph.operation import Operation
from graphflow.graph.scopes import add_to_collection, get_collection
from graphflow.graph.tensor import Tensor
from graphflow.ops.source import constant, group, no_op

__all__ = ["initialize_all_tables", "tables_initializer"]


class Resource(NamedTuple):
    """A resource, the operation that makes it and the tensor that says whether it has been made."""

    handle: Any
    create: Any
    is_initialized: Any


def register_resource(handle: Any, create_op: Any, is_initialized_op: Any, is_shared: bool = True) -> None:
    """Makes a resource known to `shared_resources` or, for one of this process only, `local_resources`."""
    key = GraphKeys.RESOURCES if is_shared else GraphKeys.LOCAL_RESOURCES
    add_to_collection(key, Resource(handle, create_op, is_initialized_op))


def shared_resources() -> list[Resource]:
    """The resources that are shared between processes."""
    return get_collection(GraphKeys.RESOURCES)


def local_resources() -> list[Resource]:
    """The resources of this process only."""
    return get_collection(GraphKeys.LOCAL_RESOURCES)


def report_uninitialized_resources(
    resource_list: Sequence[Resource] | None = None, name: str = "report_uninitialized_resources"
) -> Tensor:
    """A tensor with the names of the resources that have not been made; empty where all have."""
    wanted = shared_resources() + local_resources() if resource_list is None else resource_list
    with name_scope(name), get_default_graph().device("/cpu:0"):
        if not wanted:
            return constant([], dtype=dtypes.string)
        flags = [r.is_initialized for r in wanted]
        return make("UninitializedNames", flags, names=tuple(r.handle.name for r in wanted), name="names")  # type: ignore[no-any-return]


def initialize_resources(resource_list: Sequence[Resource], name: str = "init") -> Operation:
    """An operation that makes the resources."""
    return group(*[r.create for r in resource_list], name=name) if resource_list else no_op(name=name)


def tables_initializer(name: str = "init_all_tables") -> Operation:
    """An operation that fills all lookup tables of the graph."""
    initializers = get_collection(GraphKeys.TABLE_INITIALIZERS)
    return group(*initializers, name=name) if initializers else no_op(name=name)


initialize_all_tables = tables_initializer
