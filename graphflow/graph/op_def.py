"""What `operation.op_def` says of an op: its name, arguments, results and attributes, under the names of TensorFlow's OpDef."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from graphflow.graph.build import Slot, signature
from graphflow.graph.op import Effect, Op


class ArgDef(NamedTuple):
    """An argument or result. Its type is `type`, or the attribute `type_attr` gives it; `number_attr` gives the length of a list."""

    name: str
    type: Any
    type_attr: str
    number_attr: str
    type_list_attr: str
    is_ref: bool


class AttrDef(NamedTuple):
    """An attribute; `allowed_values` for types, `default_value` where it has one."""

    name: str
    allowed_values: tuple[Any, ...]
    default_value: Any


class OpDef(NamedTuple):
    """An op."""

    name: str
    input_arg: tuple[ArgDef, ...]
    output_arg: tuple[ArgDef, ...]
    attr: tuple[AttrDef, ...]
    is_stateful: bool


@cache
def op_def(cls: type[Op]) -> OpDef:
    """The OpDef of an op class."""
    own = signature(cls)
    types = {slot.attribute for slot in (*own.arguments, *own.results) if slot.attribute}
    lengths = {slot.length for slot in (*own.arguments, *own.results) if slot.length}
    names = sorted({*cls._fields, *types, *lengths})
    attributes = tuple(AttrDef(n, tuple(cls.types.get(n, ())), cls._defaults.get(n)) for n in names)
    stateful = cls.effect is not Effect.PURE
    return OpDef(cls.type, tuple(map(_arg, own.arguments)), tuple(map(_arg, own.results)), attributes, stateful)


def _arg(slot: Slot) -> ArgDef:
    any_types = slot.is_list and not slot.length
    one, many = ("", slot.attribute) if any_types else (slot.attribute, "")
    return ArgDef(slot.name, slot.fixed, one, slot.length, many, slot.is_ref)
