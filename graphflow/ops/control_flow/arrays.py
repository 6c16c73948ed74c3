"""TensorArrays on their way through branches and loops: what travels is their flow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def is_array(value: Any) -> bool:
    """Whether it is a TensorArray."""
    return hasattr(type(value), "_with_flow")


def flow_of(value: Any) -> Any:
    """The flow of a TensorArray; anything else as it is."""
    return value.flow if is_array(value) else value


def with_flows(originals: Sequence[Any], flows: Sequence[Any]) -> list[Any]:
    """The tensors `flows`, those that stand for a TensorArray as that array again."""
    if len(originals) != len(flows):
        raise ValueError(f"Lengths of original Tensor list and new list do not match: {len(originals)} vs. {len(flows)}")
    return [original._with_flow(flow) if is_array(original) else flow for original, flow in zip(originals, flows, strict=True)]
