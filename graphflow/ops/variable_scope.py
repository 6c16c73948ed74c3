"""Variable scopes: `get_variable` shares variables by name, `variable_scope` prefixes the names and sets defaults.

    with tf.variable_scope("layer1", reuse=tf.AUTO_REUSE):
        w = tf.get_variable("w", [784, 10])          # "layer1/w", made once

A variable scope opens a name scope of the same name as well; name scopes do not change what `get_variable` finds.
"""

from __future__ import annotations

import copy
import enum
import functools
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from graphflow import dtypes
from graphflow.graph.build import convert_to_tensor, graph_of, name_scope
from graphflow.graph.collections import GraphKeys
from graphflow.graph.graph import get_default_graph
from graphflow.graph.scopes import get_collection
from graphflow.ops.variable_store import VariableStore
from graphflow.ops.variables import VariableAggregation, VariableSynchronization

__all__ = [
    "AUTO_REUSE",
    "VariableScope",
    "get_local_variable",
    "get_variable",
    "get_variable_scope",
    "no_regularizer",
    "variable_op_scope",
    "variable_scope",
]


class _ReuseMode(enum.Enum):
    """`reuse=tf.AUTO_REUSE`: take the variable if there is one, else make it."""

    AUTO_REUSE = 1


AUTO_REUSE = _ReuseMode.AUTO_REUSE
_STORE_KEY = ("__variable_store",)
_SCOPES_KEY = ("__varscope",)


def no_regularizer(_: Any) -> None:
    """A regularizer that prevents an outer one from being used."""
    return None


class VariableScope:
    """What a `variable_scope` sets for `get_variable`: a prefix of names, reuse, and defaults."""

    def __init__(
        self,
        reuse: Any,
        name: str = "",
        initializer: Any = None,
        regularizer: Any = None,
        caching_device: Any = None,
        partitioner: Any = None,
        custom_getter: Any = None,
        name_scope: str = "",
        dtype: Any = dtypes.float32,
        use_resource: bool | None = None,
        constraint: Any = None,
    ) -> None:
        self.name = name
        self.reuse = reuse
        self.initializer = initializer
        self.regularizer = regularizer
        self.caching_device = caching_device
        self.partitioner = partitioner
        self.custom_getter = custom_getter
        self.original_name_scope = name_scope
        self.dtype = dtype
        self.use_resource = use_resource
        self.constraint = constraint

    def reuse_variables(self) -> None:
        """From now on `get_variable` only finds variables."""
        self.reuse = True

    def set_initializer(self, initializer: Any) -> None:
        """Sets the default initializer."""
        self.initializer = initializer

    def set_dtype(self, dtype: Any) -> None:
        """Sets the default type."""
        self.dtype = dtype

    def set_use_resource(self, use_resource: bool) -> None:
        """Sets whether variables are resource variables."""
        self.use_resource = use_resource

    def set_regularizer(self, regularizer: Any) -> None:
        """Sets the default regularizer."""
        self.regularizer = regularizer

    def set_caching_device(self, caching_device: Any) -> None:
        """Sets the default caching device."""
        self.caching_device = caching_device

    def set_partitioner(self, partitioner: Any) -> None:
        """Sets the function that splits variables into parts."""
        self.partitioner = partitioner

    def set_custom_getter(self, custom_getter: Any) -> None:
        """Sets the function that `get_variable` goes through."""
        self.custom_getter = custom_getter

    def get_collection(self, name: str) -> list[Any]:
        """The items of a collection whose names are in this scope."""
        return get_collection(name, self.name + "/" if self.name else "")

    def trainable_variables(self) -> list[Any]:
        """The trainable variables in this scope."""
        return self.get_collection(GraphKeys.TRAINABLE_VARIABLES)

    def global_variables(self) -> list[Any]:
        """The global variables in this scope."""
        return self.get_collection(GraphKeys.GLOBAL_VARIABLES)

    def local_variables(self) -> list[Any]:
        """The local variables in this scope."""
        return self.get_collection(GraphKeys.LOCAL_VARIABLES)

    def get_variable(
        self,
        var_store: VariableStore,
        name: str,
        shape: Any = None,
        dtype: Any = None,
        initializer: Any = None,
        regularizer: Any = None,
        reuse: Any = None,
        trainable: bool | None = None,
        collections: Sequence[str] | None = None,
        caching_device: Any = None,
        partitioner: Any = None,
        validate_shape: bool = True,
        use_resource: bool | None = None,
        custom_getter: Any = None,
        constraint: Any = None,
        synchronization: Any = VariableSynchronization.AUTO,
        aggregation: Any = VariableAggregation.NONE,
    ) -> Any:
        """The variable `name` of this scope in `var_store`, made if need be."""
        full_name = f"{self.name}/{name}" if self.name else name
        with name_scope(None):
            if dtype is not None and initializer is not None and not callable(initializer):
                found = convert_to_tensor(initializer).dtype.base_dtype
                if found != dtype:
                    raise ValueError(f"Initializer type '{found}' and explicit dtype '{dtype}' don't match.")
            return var_store.get_variable(
                full_name,
                _pick(custom_getter, self.custom_getter),
                shape=shape,
                dtype=_pick(dtype, self.dtype),
                initializer=_pick(initializer, self.initializer),
                regularizer=_pick(regularizer, self.regularizer),
                reuse=_pick(reuse, self.reuse),
                trainable=trainable,
                collections=collections,
                caching_device=_pick(caching_device, self.caching_device),
                partitioner=_pick(partitioner, self.partitioner),
                validate_shape=validate_shape,
                use_resource=_pick(use_resource, self.use_resource),
                synchronization=synchronization,
                aggregation=aggregation,
                constraint=_pick(constraint, self.constraint),
            )


def _pick(given: Any, default: Any) -> Any:
    return default if given is None else given


class _ScopeStore(threading.local):
    """The current variable scope of a graph, and how often each name has been opened; each thread has its own."""

    def __init__(self) -> None:
        self.current = VariableScope(False)
        self.counts: dict[str, int] = {}

    def open(self, name: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1

    def close_subscopes(self, name: str) -> None:
        for key in self.counts:
            if key.startswith(name + "/"):
                self.counts[key] = 0


def _of_graph(key: Any, kind: type[Any]) -> Any:
    """The one object of `kind` that the default graph keeps under `key`."""
    found = get_default_graph().get_collection_ref(key)
    if not found:
        found.append(kind())
    return found[0]


def get_variable_scope() -> VariableScope:
    """The current variable scope."""
    return _of_graph(_SCOPES_KEY, _ScopeStore).current  # type: ignore[no-any-return]


def _get_default_variable_store() -> VariableStore:
    return _of_graph(_STORE_KEY, VariableStore)  # type: ignore[no-any-return]


def get_variable(
    name: str,
    shape: Any = None,
    dtype: Any = None,
    initializer: Any = None,
    regularizer: Any = None,
    trainable: bool | None = None,
    collections: Sequence[str] | None = None,
    caching_device: Any = None,
    partitioner: Any = None,
    validate_shape: bool = True,
    use_resource: bool | None = None,
    custom_getter: Any = None,
    constraint: Any = None,
    synchronization: Any = VariableSynchronization.AUTO,
    aggregation: Any = VariableAggregation.NONE,
) -> Any:
    """The variable of that name in the current variable scope: found or made, as the scope's `reuse` says."""
    return get_variable_scope().get_variable(
        _get_default_variable_store(),
        name,
        shape=shape,
        dtype=dtype,
        initializer=initializer,
        regularizer=regularizer,
        trainable=trainable,
        collections=collections,
        caching_device=caching_device,
        partitioner=partitioner,
        validate_shape=validate_shape,
        use_resource=use_resource,
        custom_getter=custom_getter,
        constraint=constraint,
        synchronization=synchronization,
        aggregation=aggregation,
    )


def get_partitioned_variable(shape: Any, dtype: Any, initializer: Any, partitioner: Any, **settings: Any) -> Any:
    """A variable in parts that is called as the current variable scope is."""
    scope = get_variable_scope()
    if scope.custom_getter is not None:
        raise ValueError(
            "Private access to _get_partitioned_variable is not allowed when a custom getter is set.  Current custom getter: "
            f"{scope.custom_getter}.  It is likely that you're using create_partitioned_variables.  If so, consider instead using "
            "get_variable with a non-empty partitioner parameter instead."
        )
    with name_scope(None):
        return _get_default_variable_store().get_partitioned(
            scope.name, partitioner, shape, dtypes.as_dtype(dtype).base_dtype, _pick(initializer, scope.initializer), reuse=scope.reuse,
            regularizer=scope.regularizer, caching_device=scope.caching_device, use_resource=scope.use_resource,
            constraint=scope.constraint, **settings,
        )  # fmt: skip


def get_local_variable(
    name: str,
    shape: Any = None,
    dtype: Any = None,
    initializer: Any = None,
    regularizer: Any = None,
    trainable: bool = False,
    collections: Sequence[str] | None = None,
    caching_device: Any = None,
    partitioner: Any = None,
    validate_shape: bool = True,
    use_resource: bool | None = None,
    custom_getter: Any = None,
    constraint: Any = None,
    synchronization: Any = VariableSynchronization.AUTO,
    aggregation: Any = VariableAggregation.NONE,
) -> Any:
    """`get_variable` for a local variable: not trained, not saved."""
    given = {**locals(), "trainable": False, "collections": [*(collections or ()), GraphKeys.LOCAL_VARIABLES]}
    return get_variable(**given)


def _wrapped_getter(custom_getter: Any, outer: Any) -> Any:
    """A scope's getter around that of the scope outside it."""
    if outer is None:
        return custom_getter

    def wrapped(getter: Any, *args: Any, **kwargs: Any) -> Any:
        return custom_getter(functools.partial(outer, getter), *args, **kwargs)

    return wrapped


class _PureScope(AbstractContextManager[VariableScope]):
    """A variable scope without its name scope."""

    def __init__(self, name_or_scope: Any, settings: dict[str, Any], reuse: Any, constraint: Any, name_scope_: str | None) -> None:
        self._store: _ScopeStore = _of_graph(_SCOPES_KEY, _ScopeStore)
        self._name_or_scope = name_or_scope
        self._settings = {k: v for k, v in settings.items() if v is not None}
        self._reuse = reuse
        self._constraint = constraint
        self._name_scope = name_scope_
        self._fixed: VariableScope | None = None
        if isinstance(name_or_scope, VariableScope):
            self._fixed = self._derive(name_or_scope, name_or_scope.name, name_or_scope.original_name_scope)

    def _derive(self, base: VariableScope, name: str, name_scope_: str) -> VariableScope:
        scope = copy.copy(base)
        scope.name = name
        scope.original_name_scope = name_scope_
        scope.reuse = self._reuse or base.reuse
        scope.constraint = self._constraint
        for key, value in self._settings.items():
            setattr(scope, key, _wrapped_getter(value, base.custom_getter) if key == "custom_getter" else value)
        return scope

    def __enter__(self) -> VariableScope:
        store = self._store
        self._old = store.current
        if self._fixed is not None:
            self._name = self._fixed.name
            store.open(self._name)
            self._old_counts = dict(store.counts)
            scope = self._fixed
        else:
            old = self._old
            self._name = f"{old.name}/{self._name_or_scope}" if old.name else self._name_or_scope
            inner = self._name_or_scope if self._name_scope is None else self._name_scope
            scope = self._derive(old, self._name, inner)
            self._reuse = scope.reuse
            store.open(self._name)
        store.current = self._entered = self.scope = scope
        return scope

    def check_nesting(self) -> None:
        """RuntimeError unless this is the innermost scope."""
        if self._store.current is not self._entered:
            raise RuntimeError("Improper nesting of variable_scope.")

    def __exit__(self, *exc_info: object) -> None:
        store = self._store
        self.check_nesting()
        if self._fixed is not None:
            store.counts = self._old_counts
        else:
            store.close_subscopes(self._name)
        store.current = self._old


def pure_variable_scope(name: str, custom_getter: Any = None) -> AbstractContextManager[VariableScope]:
    """A variable scope that opens no name scope."""
    return _PureScope(name, {"custom_getter": custom_getter}, None, None, None)


def unique_scope_name(prefix: str) -> str:
    """`prefix`, with a number added if a variable scope of that name has been opened."""
    store: _ScopeStore = _of_graph(_SCOPES_KEY, _ScopeStore)
    name = f"{store.current.name}/{prefix}" if store.current.name else prefix
    if not store.counts.get(name, 0):
        return prefix
    number = 1
    while store.counts.get(f"{name}_{number}", 0):
        number += 1
    return f"{prefix}_{number}"


class variable_scope:
    """A context in which `get_variable` prefixes names and takes defaults. Give a name, or a scope object to enter it again.

    `reuse`: True finds variables only, AUTO_REUSE finds or makes, None or False inherits. Without a name, `default_name` is
    made unique.
    """

    def __init__(
        self,
        name_or_scope: Any,
        default_name: str | None = None,
        values: Any = None,
        initializer: Any = None,
        regularizer: Any = None,
        caching_device: Any = None,
        partitioner: Any = None,
        custom_getter: Any = None,
        reuse: Any = None,
        dtype: Any = None,
        use_resource: bool | None = None,
        constraint: Any = None,
        auxiliary_name_scope: bool = True,
    ) -> None:
        if default_name is None and name_or_scope is None:
            raise TypeError("If default_name is None then name_or_scope is required")
        if reuse is False:
            reuse = None
        if reuse is not True and reuse is not None and reuse is not AUTO_REUSE:
            raise ValueError("The reuse parameter must be True or False or None.")
        if not isinstance(auxiliary_name_scope, bool):
            raise TypeError(f"The auxiliary_name_scope must be `True` or `False`, while get {auxiliary_name_scope}")
        self._name_or_scope = name_or_scope
        self._default_name = default_name
        self._reuse = reuse
        self._constraint = constraint
        self._auxiliary = auxiliary_name_scope
        self._settings = {
            "initializer": initializer,
            "regularizer": regularizer,
            "caching_device": caching_device,
            "partitioner": partitioner,
            "custom_getter": custom_getter,
            "dtype": dtype,
            "use_resource": use_resource,
        }
        self._graph = graph_of(list(values) if values is not None else [])
        self._stacks: list[tuple[ExitStack, _PureScope]] = []

    def __enter__(self) -> VariableScope:
        stack = ExitStack()
        with stack:
            stack.enter_context(self._graph.as_default())
            pure = self._enter(stack)
            self._stacks.append((stack.pop_all(), pure))
        return pure.scope

    def __exit__(self, *exc_info: Any) -> None:
        stack, pure = self._stacks[-1]
        pure.check_nesting()  # before anything is left
        self._stacks.pop()
        stack.__exit__(*exc_info)

    def _enter(self, stack: ExitStack) -> _PureScope:
        name = self._name_or_scope
        if name is None:
            if self._reuse:
                raise ValueError("reuse=True cannot be used without a name_or_scope")
            inner = self._enter_name_scope(stack, self._default_name)
            return self._enter_pure(stack, unique_scope_name(self._default_name or ""), inner)
        if not isinstance(name, (str, VariableScope)):
            raise TypeError("VariableScope: name_or_scope must be a string or VariableScope.")
        last = name if isinstance(name, str) else name.name.split("/")[-1]
        if not last and self._auxiliary:
            return self._enter_pure(stack, name, None)
        inner = self._enter_name_scope(stack, last)
        return self._enter_pure(stack, name, inner if isinstance(name, str) else name.original_name_scope)

    def _enter_name_scope(self, stack: ExitStack, name: str | None) -> str:
        if not self._auxiliary:
            current = get_default_graph().get_name_scope()
            return stack.enter_context(get_default_graph().name_scope(current + "/" if current else current))
        return stack.enter_context(get_default_graph().name_scope(name))

    def _enter_pure(self, stack: ExitStack, name_or_scope: Any, inner: str | None) -> _PureScope:
        pure = _PureScope(name_or_scope, self._settings, self._reuse, self._constraint, inner)
        stack.enter_context(pure)
        return pure


@contextmanager
def variable_op_scope(values: Any, name_or_scope: Any, default_name: str | None = None, **settings: Any) -> Iterator[VariableScope]:
    """An older spelling of `variable_scope(name_or_scope, default_name, values)`."""
    with variable_scope(name_or_scope, default_name=default_name, values=values, **settings) as scope:
        yield scope
