"""Operations over dilated windows as plain ones over rearranged blocks: SpaceToBatchND, the operation, BatchToSpaceND."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphflow.compat.tensor_util import constant_value
from graphflow.dtypes import int32
from graphflow.graph.build import convert_to_tensor, make
from graphflow.ops.blocks import required_space_to_batch_paddings
from graphflow.ops.joining import concat, stack
from graphflow.ops.shape import shape
from graphflow.shapes import as_shape


def _same_paddings(filter_shape: Any, rate: np.ndarray[Any, Any], spatial: Sequence[int]) -> Any:
    """The paddings that give the output the input's size: rate * (size - 1) in all, the smaller half in front."""
    if filter_shape is None:
        raise ValueError("filter_shape must be specified for SAME padding")
    filter_shape = convert_to_tensor(filter_shape, name="filter_shape")
    known = constant_value(filter_shape)
    sizes = (filter_shape if known is None else known)[: len(spatial)]
    extra = rate * (sizes - 1)
    start = extra // 2
    if known is not None:
        return convert_to_tensor(np.stack([start, extra - start], 1), int32, name="stack")
    return stack([[start[n], extra[n] - start[n]] for n in range(len(spatial))])


class DilatedWindows:
    """Computes an operation over windows whose elements are `dilation_rate` apart.

    dilation_rate: known positive integers, one per spatial dimension. filter_shape: the window's sizes, needed for padding "SAME".
    spatial_dims: the dimensions, by default 1, 2, ... or, for a data_format that begins with "NC", 2, 3, ...
    """

    def __init__(self, dilation_rate: Any, padding: str, filter_shape: Any = None, spatial_dims: Sequence[int] | None = None,
                 data_format: str | None = None) -> None:  # fmt: skip
        self._rate = convert_to_tensor(dilation_rate, int32, name="dilation_rate")
        rate = constant_value(self._rate)
        if rate is None or rate.ndim != 1:
            raise ValueError("rate must be a known vector of integers")
        if np.any(rate < 1):
            raise ValueError(f"dilation_rate must be positive, but got {rate.tolist()}")
        first = 2 if data_format is not None and data_format.startswith("NC") else 1
        self._spatial = list(spatial_dims) if spatial_dims is not None else [first + n for n in range(len(rate))]
        if sorted(set(self._spatial)) != self._spatial or any(n < 1 for n in self._spatial):
            raise ValueError(f"spatial_dims must be a montonically increasing sequence of positive integers, but got {self._spatial}")
        self._padding = padding
        self._known_rate = rate
        self._base: Any = None
        if not self.dilated:
            return
        if padding == "SAME":
            self._base = _same_paddings(filter_shape, rate, self._spatial)
        elif padding == "VALID":
            self._base = np.zeros((len(self._spatial), 2), np.int32)
        else:
            raise ValueError(f"Invalid padding method {padding!r}")

    @property
    def dilated(self) -> bool:
        """Whether any rate is above 1."""
        return bool(np.any(self._known_rate > 1))

    def __call__(self, input: Any, op: Callable[[Any, int, str], Any]) -> Any:
        """op(blocks, number of spatial dimensions, "VALID") over blocks of elements that far apart; op(input, ..., padding) where no rate
        is above 1."""
        spatial = self._spatial
        rank = as_shape(input.shape).with_rank_at_least(spatial[-1] + 1).ndims
        if not self.dilated:
            return op(input, len(spatial), self._padding)
        sizes = input.shape.as_list() if rank is not None else [None] * (spatial[-1] + 1)
        extents: Any = [sizes[n] for n in spatial]
        if None in extents:
            whole = shape(input)
            extents = stack([whole[n] for n in spatial])
        paddings, crops = required_space_to_batch_paddings(extents, self._rate, self._base)
        # SpaceToBatchND takes dimensions from the second one on: those between count as blocks of one element.
        block = np.array(_spaced(self._known_rate.tolist(), spatial, 1), np.int32)
        paddings, crops = _spaced_rows(paddings, spatial), _spaced_rows(crops, spatial)
        blocks = make("SpaceToBatchND", input, block, paddings)
        return make("BatchToSpaceND", op(blocks, len(spatial), "VALID"), block, crops)


def with_space_to_batch(input, dilation_rate, padding, op, filter_shape=None, spatial_dims=None, data_format=None):
    """`op` over windows whose elements are `dilation_rate` apart, see DilatedWindows."""
    input = convert_to_tensor(input, name="input")
    return DilatedWindows(dilation_rate, padding, filter_shape, spatial_dims, data_format)(input, op)


def _spaced(values: Sequence[Any], spatial: Sequence[int], neutral: Any) -> list[Any]:
    """One value for each dimension from the second to the last spatial one."""
    by_dimension = dict(zip(spatial, values, strict=True))
    return [by_dimension.get(n, neutral) for n in range(1, spatial[-1] + 1)]


def _spaced_rows(rows: Any, spatial: Sequence[int]) -> Any:
    """A row [before, after] for each dimension from the second to the last spatial one: an array where the rows are known."""
    known = constant_value(rows)
    if known is not None:
        return np.array(_spaced(known.tolist(), spatial, [0, 0]), np.int32)
    parts: list[Any] = []
    begin = 0
    for number, dimension in enumerate(spatial):
        before = spatial[number - 1] if number else 0
        if dimension > before + 1:
            parts.append(np.zeros((dimension - before - 1, 2), np.int32))
        if number + 1 == len(spatial) or spatial[number + 1] > dimension + 1:
            parts.append(rows[begin : number + 1])
            begin = number + 1
    return concat(parts, 0)
