"""arg_scope: default arguments for the layer functions called inside a `with`.

with arg_scope([conv2d, fully_connected], activation_fn=None):
    net = conv2d(images, 32, 3)          # activation_fn=None
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import local
from typing import Any

_state = local()


def _stack() -> list[dict[Any, dict[str, Any]]]:
    if not hasattr(_state, "scopes"):
        _state.scopes = [{}]
    return _state.scopes  # type: ignore[no-any-return]


def _key(function: Any) -> Any:
    return getattr(function, "_key_op", function)


@contextmanager
def arg_scope(list_ops_or_scope, **kwargs) -> Iterator[dict[Any, dict[str, Any]]]:
    """Inside, the given functions take `kwargs` unless a call says otherwise; or a scope that was kept from an earlier `as` holds again."""
    stack = _stack()
    if isinstance(list_ops_or_scope, Mapping):
        if kwargs:
            raise ValueError("When attempting to re-use a scope by suppling a dictionary, kwargs must be empty.")
        scope = {function: dict(values) for function, values in list_ops_or_scope.items()}
    elif isinstance(list_ops_or_scope, (list, tuple)):
        scope = {function: dict(values) for function, values in stack[-1].items()}
        for function in list_ops_or_scope:
            if not has_arg_scope(function):
                raise ValueError(f"{_name_of(function)} is not decorated with @add_arg_scope")
            scope[_key(function)] = {**scope.get(_key(function), {}), **kwargs}
    else:
        raise TypeError("list_ops_or_scope must either be a list/tuple or reused scope (i.e. dict)")
    stack.append(scope)
    try:
        yield scope
    finally:
        stack.pop()


def _name_of(function: Any) -> str:
    return f"{getattr(function, '__module__', '')}.{getattr(function, '__name__', function)}"


def add_arg_scope(func: Callable[..., Any]) -> Callable[..., Any]:
    """A function that arg_scope can give defaults to."""

    @functools.wraps(func)
    def scoped(*args: Any, **kwargs: Any) -> Any:
        defaults = _stack()[-1].get(scoped)
        if not defaults:
            return func(*args, **kwargs)
        # An argument given by position wins over the scope's, as one given by name does.
        given = names[: len(args)]
        return func(*args, **{**{k: v for k, v in defaults.items() if k not in given}, **kwargs})

    names = [p.name for p in inspect.signature(func).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    scoped._key_op = scoped  # type: ignore[attr-defined]
    return scoped


def has_arg_scope(func: Any) -> bool:
    """Whether arg_scope can give defaults to the function."""
    return hasattr(func, "_key_op")


def arg_scoped_arguments(func: Any) -> list[str]:
    """The arguments of a function that have a default."""
    if not has_arg_scope(func):
        raise ValueError(f"{_name_of(func)} is not decorated with @add_arg_scope")
    return [p.name for p in inspect.signature(func).parameters.values() if p.default is not p.empty]
