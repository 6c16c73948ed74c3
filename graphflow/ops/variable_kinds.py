"""Which kind of variable `tf.Variable(...)` makes, through whom, and the words that describe variables."""

from __future__ import annotations

import enum
import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from graphflow.graph.graph import get_default_graph

__all__ = [
    "VariableAggregation", "VariableSynchronization", "disable_resource_variables", "enable_resource_variables",
    "resource_variables_enabled", "variable_creator_scope",
]  # fmt: skip


class VariableSynchronization(enum.Enum):
    """When replicas of a variable are brought together. There is one replica here."""

    AUTO = 0
    NONE = 1
    ON_WRITE = 2
    ON_READ = 3


class VariableAggregation(enum.Enum):
    """How replicas of a variable are brought together. There is one replica here."""

    NONE = 0
    SUM = 1
    MEAN = 2
    ONLY_FIRST_REPLICA = 3
    ONLY_FIRST_TOWER = 3  # noqa: PIE796 - TensorFlow has both names


class SaveSliceInfo:
    """Which part of a larger tensor in a checkpoint a variable is."""

    def __init__(
        self,
        full_name: str | None = None,
        full_shape: Sequence[int] | None = None,
        var_offset: Sequence[int] | None = None,
        var_shape: Sequence[int] | None = None,
    ) -> None:
        self.full_name = full_name
        self.full_shape = full_shape
        self.var_offset = var_offset
        self.var_shape = var_shape

    @property
    def spec(self) -> str:
        """The text that a checkpoint uses for it."""
        sizes = " ".join(str(d) for d in self.full_shape or ()) + " "
        parts = zip(self.var_offset or (), self.var_shape or (), strict=True)
        return sizes + ":".join(f"{offset},{size}" for offset, size in parts)


Creator = Callable[..., Any]


class VariableMaker(type):
    """Makes `tf.Variable(...)` go through the creators of the current `variable_creator_scope`s, and choose the kind of variable."""

    use_resource_by_default = False

    @property
    def __signature__(cls) -> inspect.Signature:
        """The constructor's, for help and editors."""
        own = inspect.signature(cls.__init__)  # type: ignore[misc]
        return own.replace(parameters=list(own.parameters.values())[1:])

    @property
    def chooses_kind(cls) -> bool:
        """Whether this is tf.Variable itself, not a certain kind of variable."""
        return not any(isinstance(base, VariableMaker) for base in cls.__bases__)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if not cls.chooses_kind:
            return super().__call__(*args, **kwargs)
        names = _parameters(cls)
        if len(args) > len(names):
            raise TypeError(f"tf.Variable takes at most {len(names)} arguments, got {len(args)}")
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        creator: Creator = cls._create
        for outer in get_default_graph()._variable_creators:
            creator = functools.partial(_with_next, outer, creator)
        return creator(**given)

    def _create(cls, use_resource: bool | None = None, **given: Any) -> Any:
        proto = given.get("variable_def")
        if proto is not None:
            use_resource = proto.is_resource
        elif use_resource is None:
            use_resource = _use_resource_here()
        if not use_resource:
            return super().__call__(**given)
        from graphflow.ops.resource_variable import ResourceVariable  # it builds on this module

        return ResourceVariable(**given)


@functools.cache
def _parameters(cls: type) -> tuple[str, ...]:
    """The names of the constructor's parameters."""
    return tuple(inspect.signature(cls.__init__).parameters)[1:]  # type: ignore[misc]


def _with_next(creator: Creator, following: Creator, **given: Any) -> Any:
    return creator(following, **given)


def _use_resource_here() -> bool:
    """Whether the current variable scope, or the whole program, asks for resource variables."""
    from graphflow.ops.variable_scope import get_variable_scope  # it builds on this module

    wanted = get_variable_scope().use_resource
    return VariableMaker.use_resource_by_default if wanted is None else bool(wanted)


def enable_resource_variables() -> None:
    """Makes all variables that follow resource variables, unless they say otherwise."""
    VariableMaker.use_resource_by_default = True


def disable_resource_variables() -> None:
    """Makes the variables that follow reference variables again."""
    VariableMaker.use_resource_by_default = False


def resource_variables_enabled() -> bool:
    """Whether variables are resource variables by default."""
    return VariableMaker.use_resource_by_default


@contextmanager
def variable_creator_scope(variable_creator: Callable[..., Any]) -> Iterator[None]:
    """A block in which `variable_creator(next_creator, **kwargs)` makes the variables, by `next_creator` or otherwise."""
    graph = get_default_graph()
    before = graph._variable_creators
    graph._variable_creators = (*before, variable_creator)
    try:
        yield
    finally:
        graph._variable_creators = before
