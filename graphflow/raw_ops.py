"""`tf.raw_ops`: every op of the registry under its type name, with its inputs and attributes as keyword arguments.

    tf.raw_ops.ConcatV2(values=[a, b], axis=0)
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, Signature
from typing import Any

from graphflow.graph.build import apply, signature
from graphflow.graph.convert import load_ops
from graphflow.graph.op import REGISTRY, Op


def _function(definition: type[Op]) -> Callable[..., Any]:
    """A function that makes one op: its inputs, then its attributes, those without a default first."""
    inputs = [slot.name for slot in signature(definition).arguments]
    needed = [name for name in definition._fields if name not in definition._defaults]
    given = [name for name in definition._fields if name in definition._defaults]
    parameters = [Parameter(name, Parameter.KEYWORD_ONLY) for name in (*inputs, *needed)]
    parameters += [Parameter(name, Parameter.KEYWORD_ONLY, default=definition._defaults[name]) for name in given]
    described = Signature([*parameters, Parameter("name", Parameter.KEYWORD_ONLY, default=None)])

    def raw(**arguments: Any) -> Any:
        bound = described.bind(**arguments).arguments
        name = bound.pop("name", None)
        tensors = [bound.pop(name) for name in inputs]
        return apply(definition(**bound), *tensors, name=name)

    raw.__name__ = raw.__qualname__ = definition.type
    raw.__doc__ = definition.__doc__
    raw.__signature__ = described  # type: ignore[attr-defined]
    return raw


def __getattr__(name: str) -> Any:
    if not name.startswith("_"):
        load_ops()
        if name in REGISTRY and not REGISTRY[name].core:
            function = globals()[name] = _function(REGISTRY[name])
            return function
    raise AttributeError(f"module 'graphflow.raw_ops' has no attribute {name!r}")


def __dir__() -> list[str]:
    load_ops()
    return sorted(op.type for op in REGISTRY if not op.core)
