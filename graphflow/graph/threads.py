"""What scopes say of new operations, as far as each thread has its own.

Of every graph, the scope of names and the branch or loop that a thread is in hold for the operations that it makes itself: threads may
build one graph together. The others (devices, control dependencies, colocation) hold for all threads until `Graph.switch_to_thread_local`.
"""

from __future__ import annotations

import threading
from typing import Any


class Scopes(threading.local):
    """What is each thread's own from the beginning."""

    def __init__(self) -> None:
        self._name_stack: str | None = ""
        self._control_flow_context: Any = None


class SwitchedScopes(threading.local):
    """What becomes each thread's own: `devices` and `colocations` begin as the graph had them at the switch."""

    def __init__(self, devices: list[Any], colocations: list[Any]) -> None:
        self._control_stack: list[Any] = []
        self._device_stack = devices
        self._colocation_stack = colocations


def of_thread(owner: str, name: str) -> Any:
    """A property that is kept by thread, in the attribute `owner`."""

    def get(self: Any) -> Any:
        return getattr(getattr(self, owner), name)

    def put(self: Any, value: Any) -> None:
        setattr(getattr(self, owner), name, value)

    return property(get, put)


NAMES = ("_control_stack", "_device_stack", "_colocation_stack")


def switch(graph: Any) -> None:
    """From now on all that scopes say of new operations is kept by thread. The graph's class becomes one that looks it up: graphs that
    never switch pay nothing for it."""
    if hasattr(graph, "_switched_scopes"):
        return
    mine = {name: graph.__dict__.pop(name) for name in NAMES}
    graph._switched_scopes = SwitchedScopes(mine["_device_stack"], mine["_colocation_stack"])
    cls = type(graph)
    properties = {name: of_thread("_switched_scopes", name) for name in NAMES}
    graph.__class__ = type(cls.__name__, (cls,), {"__module__": cls.__module__, **properties})
    for name, value in mine.items():
        setattr(graph, name, value)
