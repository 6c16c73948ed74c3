"""Graph.switch_to_thread_local: scopes that one thread enters no longer hold for the operations that another one makes."""

from __future__ import annotations

import threading
from typing import Any


class Scopes(threading.local):
    """What scopes say of new operations, for each thread: `devices` and `colocations` begin as the graph had them at the switch."""

    def __init__(self, devices: list[Any], colocations: list[Any]) -> None:
        self._name_stack: str | None = ""
        self._control_stack: list[Any] = []
        self._control_flow_context: Any = None
        self._device_stack = devices
        self._colocation_stack = colocations


def _of_thread(name: str) -> property:
    def get(self: Any) -> Any:
        return getattr(self._scopes, name)

    def put(self: Any, value: Any) -> None:
        setattr(self._scopes, name, value)

    return property(get, put)


NAMES = ("_name_stack", "_control_stack", "_control_flow_context", "_device_stack", "_colocation_stack")


def switch(graph: Any) -> None:
    """From now on what scopes say of new operations is kept by thread. Its class becomes one that looks it up: graphs that never switch pay
    nothing for it."""
    if hasattr(graph, "_scopes"):
        return
    mine = {name: graph.__dict__.pop(name) for name in NAMES}
    graph._scopes = Scopes(mine["_device_stack"], mine["_colocation_stack"])
    cls = type(graph)
    graph.__class__ = type(cls.__name__, (cls,), {"__module__": cls.__module__, **{name: _of_thread(name) for name in NAMES}})
    for name, value in mine.items():
        setattr(graph, name, value)
