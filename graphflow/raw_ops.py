"""`tf.raw_ops`: every op of the registry under its type name, with its inputs and attributes as keyword arguments.

    tf.raw_ops.ConcatV2(values=[a, b], axis=0)
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from inspect import Parameter, Signature

from graphflow.dtypes import as_dtype
from graphflow.graph.build import apply, convert_to_tensor, signature
from graphflow.graph.convert import load_ops
from graphflow.graph.op import REGISTRY, Op
from graphflow.missing import missing

# TensorFlow's public names where the op's own are others: of all ops, and of some.
_RENAMED = {"reduction_indices": "axis", "split_dim": "axis", "squeeze_dims": "axis"}
_RENAMED_OF = {"ExpandDims": {"dim": "axis"}, "Select": {"t": "x", "e": "y"}, "Where": {"input": "condition"}, "Bitcast": {"type_": "type"}}


def _dtype_fields(definition: type[Op]) -> list[str]:
    annotations = {name: text for base in reversed(definition.__mro__) for name, text in vars(base).get("__annotations__", {}).items()}
    return [name for name in definition._fields if annotations[name] == "DType"]


def _function(definition: type[Op]) -> Callable[..., typing.Any]:
    """A function that makes one op: its inputs, then its attributes, those without a default first."""
    slots = signature(definition).arguments
    inputs = [slot.name for slot in slots]
    typed_by = {slot.attribute: slot.name for slot in slots if slot.attribute in definition._fields}  # what an input's dtype says
    needed = [name for name in definition._fields if name not in definition._defaults and name not in typed_by]
    given = [name for name in definition._fields if name in definition._defaults]
    dtypes = _dtype_fields(definition)
    public = {**_RENAMED, **_RENAMED_OF.get(definition.type, {})}
    own = {public.get(name, name): name for name in (*inputs, *needed, *given)}
    parameters = [Parameter(public.get(name, name), Parameter.KEYWORD_ONLY) for name in (*inputs, *needed)]
    parameters += [Parameter(public.get(name, name), Parameter.KEYWORD_ONLY, default=definition._defaults[name]) for name in given]
    described = Signature([*parameters, Parameter("name", Parameter.KEYWORD_ONLY, default=None)])

    def raw(**arguments: typing.Any) -> typing.Any:
        bound = described.bind(**arguments).arguments
        name = bound.pop("name", None)
        values = {own[key]: value for key, value in bound.items()}
        values.update((field, as_dtype(values[field])) for field in dtypes if field in values)
        for field, source in typed_by.items():
            values[source] = convert_to_tensor(values[source])
            values[field] = values[source].dtype.base_dtype
        tensors = [values.pop(key) for key in inputs]
        return apply(definition(**values), *tensors, name=name)

    raw.__name__ = raw.__qualname__ = definition.type
    raw.__doc__ = definition.__doc__
    raw.__signature__ = described  # type: ignore[attr-defined]
    return raw


def __getattr__(name: str) -> typing.Any:
    if not name.startswith("_"):
        load_ops()
        if name in REGISTRY and not REGISTRY[name].core:
            function = globals()[name] = _function(REGISTRY[name])
            return function
    raise missing("raw_ops", name, __dir__())


def __dir__() -> list[str]:
    load_ops()
    return sorted(op.type for op in REGISTRY if not op.core)
