"""Room on the stack for kernels.

Kernels keep copies of their operands on the stack of the thread that runs them, up to two megabytes. That is no matter to the stacks that
systems give as a rule; but a program may have chosen another size for its threads (threading.stack_size), or its user another limit
(ulimit -s), and a step of such a thread runs on a stack of ours.
"""

from __future__ import annotations

import _thread
import resource
import threading
from collections.abc import Callable
from typing import Any

STACK = 8 << 20  # bytes
UNLIMITED = 2 << 20  # bytes that glibc gives to a thread where the limit is infinite
_limit = resource.getrlimit(resource.RLIMIT_STACK)[0]
USUAL = UNLIMITED if _limit == resource.RLIM_INFINITY else _limit  # of threads for which the program has chosen nothing
LIMITED = USUAL < STACK
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
    """Whether this thread may have less than kernels need: the program started it with a size of its own choosing, or the limit is low.
    `size`: what _thread.stack_size() has just said; asking for it puts the default back in place, so it is set again here."""
    if size:
        _thread.stack_size(size)
    if threading.current_thread() is threading.main_thread():
        return LIMITED and _limit != resource.RLIM_INFINITY
    return (size or USUAL) < STACK and _thread.get_ident() not in _roomy


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
