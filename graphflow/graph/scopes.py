"""Scopes on the default graph: `tf.name_scope`, `tf.control_dependencies`, `tf.device` and their like."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from graphflow.graph.control import ControlDependencies
from graphflow.graph.graph import Graph, get_default_graph
from graphflow.graph.operation import Operation
from graphflow.graph.tensor import Tensor

__all__ = [
    "add_to_collection",
    "add_to_collections",
    "colocate_with",
    "container",
    "control_dependencies",
    "device",
    "get_collection",
    "get_collection_ref",
    "init_scope",
    "name_scope",
]


def _graph_of_values(values: Any) -> Graph | None:
    """The graph of the first graph element among `values`; ValueError if another is elsewhere."""
    first = None
    for value in values:
        element = value._as_graph_element() if hasattr(value, "_as_graph_element") else value
        if isinstance(element, (Tensor, Operation)):
            if first is None:
                first = element
            elif element.graph is not first.graph:
                raise ValueError(f"{element} must be from the same graph as {first}.")
    return None if first is None else first.graph


class name_scope:
    """A context that prefixes the names of new operations; `with name_scope(...) as scope` gives the prefix.

    `values` are the tensors that a function got: their graph is made the default one.
    """

    def __init__(self, name: str | None, default_name: str | None = None, values: Any = None) -> None:
        if not (default_name is None or isinstance(default_name, str)):
            raise TypeError(
                f"`default_name` type ({type(default_name)}) is not a string type. You likely meant to pass this into the "
                "`values` kwarg."
            )
        self._name = default_name if name is None else name
        self._default_name = default_name
        self._values = values
        self._stack: ExitStack | None = None

    @property
    def name(self) -> str | None:
        """The name asked for."""
        return self._name

    def __enter__(self) -> str:
        if self._name is None and self._values is not None:
            raise ValueError(
                f"At least one of name ({self._name}) and default_name ({self._default_name}) must be provided."
            )
        self._stack = ExitStack()
        graph = get_default_graph()
        if self._values:
            found = _graph_of_values(self._values)
            if found is not None and found is not graph:
                graph = self._stack.enter_context(found.as_default())
        return self._stack.enter_context(graph.name_scope(self._name))

    def __exit__(self, *exc_info: Any) -> None:
        assert self._stack is not None
        self._stack.__exit__(*exc_info)


def control_dependencies(control_inputs: Iterable[Any] | None) -> ControlDependencies:
    """New operations in the block wait for `control_inputs`."""
    return get_default_graph().control_dependencies(control_inputs)


def device(device_name_or_function: Any) -> AbstractContextManager[None]:
    """Marks new operations with a device. graphflow runs them all on the CPU."""
    return get_default_graph().device(device_name_or_function)


def colocate_with(op: Any, ignore_existing: bool = False) -> AbstractContextManager[None]:
    """Marks new operations to be placed with `op`."""
    return get_default_graph().colocate_with(op, ignore_existing)


def container(container_name: str) -> AbstractContextManager[str]:
    """Marks new stateful operations with a resource container."""
    return get_default_graph().container(container_name)


@contextmanager
def init_scope() -> Iterator[None]:
    """Leaves control dependencies and control flow, but keeps the name scope: initialisers are made here."""
    graph = get_default_graph()
    scope = graph.get_name_scope()
    with graph.name_scope(scope + "/" if scope else None), graph.control_dependencies(None):
        yield


def add_to_collection(name: Any, value: Any) -> None:
    """Appends `value` to a collection of the default graph."""
    get_default_graph().add_to_collection(name, value)


def add_to_collections(names: Any, value: Any) -> None:
    """Appends `value` to several collections of the default graph."""
    get_default_graph().add_to_collections(names, value)


def get_collection(key: Any, scope: str | None = None) -> list[Any]:
    """The items of a collection of the default graph; with `scope`, those whose name begins with it."""
    return get_default_graph().get_collection(key, scope)


def get_collection_ref(key: Any) -> list[Any]:
    """A collection of the default graph itself."""
    return get_default_graph().get_collection_ref(key)


def get_all_collection_keys() -> list[str]:
    """The names of the default graph's collections."""
    return get_default_graph().get_all_collection_keys()
