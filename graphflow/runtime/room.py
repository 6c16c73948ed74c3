"""Room on the stack for kernels.

Kernels keep copies of their operands on the stack of the thread that runs them, up to a megabyte. That is no matter to the stacks that
systems give to threads; but a program may have chosen another size for its own (threading.stack_size), and a step of such a thread runs on
a stack of ours.
"""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable
from typing import Any

STACK = 8 << 20  # bytes
_lock = threading.Lock()
_roomy: set[int] = set()  # the threads of `apart`


def start_thread(function: Callable[..., None], *arguments: Any) -> None:
    """Start a thread with room. Raises RuntimeError where the system refuses it."""
    with _lock:
        usual = _thread.stack_size(STACK)
        try:
            _thread.start_new_thread(function, arguments)
        finally:
            _thread.stack_size(usual)


def cramped(size: int) -> bool:
    """Whether this thread may have less than kernels need: one that the program started with a size of its own choosing. `size`: what
    _thread.stack_size() has just said if not 0; asking for it puts the default back in place, so it is set again here."""
    _thread.stack_size(size)
    return size < STACK and _thread.get_ident() not in _roomy and threading.current_thread() is not threading.main_thread()


def apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """What the function returns, or raises, on a thread with room."""
    done = threading.Event()
    outcome: list[Any] = []

    def call() -> None:
        _roomy.add(_thread.get_ident())
        try:
            outcome.append(function(*arguments))
        except BaseException as error:
            outcome.extend((None, error))
        finally:
            _roomy.discard(_thread.get_ident())
            done.set()

    start_thread(call)
    done.wait()
    if len(outcome) > 1:
        raise outcome[1]
    return outcome[0]
