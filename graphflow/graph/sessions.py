"""Stacks of what is the default in a thread: the session here, the graph in graph.py.

Tensors evaluate themselves with the default session, so this small piece of the session front lives below it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

__all__ = [
    "get_default_session",
]

Item = TypeVar("Item")


class DefaultStack(threading.local, Generic[Item]):
    """The objects that `with` statements of this thread made the default, innermost last."""

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[Item] = []
        self.enforce_nesting = True

    def top(self) -> Item | None:
        """The innermost default."""
        return self.stack[-1] if self.stack else None

    @contextmanager
    def controller(self, item: Item) -> Iterator[Item]:
        """Makes `item` the default for the block."""
        self.stack.append(item)
        try:
            yield item
        finally:
            if self.stack:
                if not self.enforce_nesting:
                    self.stack.remove(item)
                elif self.stack[-1] is not item:
                    raise AssertionError(f"Nesting violated for default stack of {type(item)} objects")
                else:
                    self.stack.pop()


SESSIONS: DefaultStack[Any] = DefaultStack()


def get_default_session() -> Any:
    """The innermost default session of this thread, or None."""
    return SESSIONS.top()


def _session_for(graph: Any, session: Any, what: str, advice: str) -> Any:
    """The session to use: the given one or the default, of the right graph. what: ("evaluate tensor", "eval"), see callers."""
    doing, thing, call = what.split("|")
    if session is None:
        session = get_default_session()
        if session is None:
            raise ValueError(
                f"Cannot {doing} {thing} using `{call}()`: No default session is registered. Use `with sess.as_default()"
                f"{advice}` or pass an explicit session to `{call}(session=sess)`"
            )
        if session.graph is not graph:
            quote = "`" if call == "eval" else ""
            raise ValueError(
                f"Cannot use the default session to {doing} {thing}: the {thing}'s graph is different from the session's "
                f"graph. Pass an explicit session to {quote}{call}(session=sess){quote}."
            )
    elif session.graph is not graph:
        raise ValueError(
            f"Cannot use the given session to {doing} {thing}: the {thing}'s graph is different from the session's graph."
        )
    return session


def evaluate(tensors: Any, feed_dict: Any, graph: Any, session: Any = None) -> Any:
    """What `tensor.eval()` does."""
    return _session_for(graph, session, "evaluate|tensor|eval", "").run(tensors, feed_dict)


def run_operation(operation: Any, feed_dict: Any, graph: Any, session: Any = None) -> None:
    """What `operation.run()` does."""
    _session_for(graph, session, "execute|operation|run", ":").run(operation, feed_dict)
