"""Graph elements by their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphflow.graph.operation import Operation


def by_text(operations: Mapping[str, Operation], name: str, allow_tensor: bool, allow_operation: bool, wanted: str) -> Any:
    """The tensor or operation called `name`; ValueError or KeyError, in TensorFlow's words, where there is none of the wanted kind."""
    form = 'Tensor names must be of the form "<op_name>:<output_index>".'
    if ":" in name:
        if not allow_tensor:
            raise ValueError(f"Name {name!r} appears to refer to a Tensor, not a {wanted}.")
        op_name, _, number = name.partition(":")
        if not number.lstrip("-").isdigit():
            raise ValueError(f"The name {name!r} looks a like a Tensor name, but is not a valid one. {form}")
        if op_name not in operations:
            raise KeyError(
                f"The name {name!r} refers to a Tensor which does not exist. The operation, {op_name!r}, does not exist "
                "in the graph."
            )
        outputs = operations[op_name].outputs
        if not -len(outputs) <= int(number) < len(outputs):
            raise KeyError(
                f"The name {name!r} refers to a Tensor which does not exist. The operation, {op_name!r}, exists but only "
                f"has {len(outputs)} outputs."
            )
        return outputs[int(number)]
    if allow_operation:
        if name not in operations:
            raise KeyError(f"The name {name!r} refers to an Operation not in the graph.")
        return operations[name]
    looks = "refers to an Operation" if name in operations else "looks like an (invalid) Operation name"
    raise ValueError(f"The name {name!r} {looks}, not a {wanted}. {form}")
