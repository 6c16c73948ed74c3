"""Values that may be IndexedSlices in place of a tensor: gradients, and what is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphflow.dtypes import as_dtype
from graphflow.graph.build import convert
from graphflow.graph.composite import IndexedSlices

__all__ = ["IndexedSlices", "convert_n_to_tensor_or_indexed_slices", "convert_to_tensor_or_indexed_slices"]


def convert_to_tensor_or_indexed_slices(value: Any, dtype: Any = None, name: str | None = None, as_ref: bool = False) -> Any:
    """IndexedSlices as they are, anything else as a tensor."""
    if not isinstance(value, IndexedSlices):
        return convert(value, dtype, name, as_ref=as_ref)
    if dtype is not None and not as_dtype(dtype).is_compatible_with(value.dtype):
        raise ValueError(
            f"Tensor conversion requested dtype {as_dtype(dtype).name} for Tensor with dtype {value.dtype.name}: {str(value)!r}"
        )
    return value


def convert_n_to_tensor_or_indexed_slices(
    values: Sequence[Any], dtype: Any = None, name: str | None = None, as_ref: bool = False
) -> list[Any]:
    """A list of them, named `name_0`, `name_1`, ...; None stays None."""
    if not isinstance(values, Sequence):
        raise TypeError("values must be a sequence.")
    return [
        None if v is None else convert_to_tensor_or_indexed_slices(v, dtype, None if name is None else f"{name}_{i}", as_ref)
        for i, v in enumerate(values)
    ]
