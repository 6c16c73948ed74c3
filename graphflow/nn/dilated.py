"""Operations over dilated windows as plain ones over rearranged blocks: SpaceToBatchND, the operation, BatchToSpaceND."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.compat.tensor_util import constant_value
from graphflow.dtypes import int32
from graphflow.graph.build import convert_to_tensor, make
from graphflow.ops.blocks import required_space_to_batch_paddings
from graphflow.ops.joining import stack
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
        return np.stack([start, extra - start], 1)
    return stack([[start[n], extra[n] - start[n]] for n in range(len(spatial))])


def with_space_to_batch(input, dilation_rate, padding, op, filter_shape=None, spatial_dims=None, data_format=None):
    """`op` over windows whose elements are `dilation_rate` apart, as op(blocks, number of spatial dimensions, "VALID") over blocks of
    elements that far apart; op(input, ..., padding) where no rate is above 1.

    dilation_rate: known positive integers, one per spatial dimension. filter_shape: the window's sizes, needed for padding "SAME".
    spatial_dims: the dimensions, by default 1, 2, ... or, for a data_format that begins with "NC", 2, 3, ...
    """
    input = convert_to_tensor(input, name="input")
    rate = constant_value(convert_to_tensor(dilation_rate, int32, name="dilation_rate"))
    if rate is None or rate.ndim != 1:
        raise ValueError("rate must be a known vector of integers")
    if np.any(rate < 1):
        raise ValueError(f"dilation_rate must be positive, but got {rate.tolist()}")
    first = 2 if data_format is not None and data_format.startswith("NC") else 1
    spatial = sorted(spatial_dims) if spatial_dims is not None else [first + n for n in range(len(rate))]
    if len(set(spatial)) < len(spatial) or any(n < 1 for n in spatial):
        raise ValueError(f"spatial_dims must be a montonically increasing sequence of positive integers, but got {spatial}")
    rank = as_shape(input.shape).with_rank_at_least(spatial[-1] + 1).ndims
    if np.all(rate == 1):
        return op(input, len(spatial), padding)
    if padding == "SAME":
        base = _same_paddings(filter_shape, rate, spatial)
    elif padding == "VALID":
        base = np.zeros((len(spatial), 2), np.int32)
    else:
        raise ValueError(f"Invalid padding method {padding!r}")
    sizes = input.shape.as_list() if rank is not None else [None] * (spatial[-1] + 1)
    extents: Any = [sizes[n] for n in spatial]
    if None in extents:
        whole = shape(input)
        extents = stack([whole[n] for n in spatial])
    paddings, crops = required_space_to_batch_paddings(extents, rate, base)
    # SpaceToBatchND takes dimensions from the second one on: those between count as blocks of one element.
    block = _spaced(rate.tolist(), spatial, 1)
    blocks = make("SpaceToBatchND", input, np.array(block, np.int32), _spaced_rows(paddings, spatial))
    result = op(blocks, len(spatial), "VALID")
    return make("BatchToSpaceND", result, np.array(block, np.int32), _spaced_rows(crops, spatial))


def _spaced(values: Sequence[Any], spatial: Sequence[int], neutral: Any) -> list[Any]:
    """One value for each dimension from the second to the last spatial one."""
    by_dimension = dict(zip(spatial, values, strict=True))
    return [by_dimension.get(n, neutral) for n in range(1, spatial[-1] + 1)]


def _spaced_rows(rows: Any, spatial: Sequence[int]) -> Any:
    if list(spatial) == list(range(1, len(spatial) + 1)):
        return rows
    return stack(_spaced([rows[n] for n in range(len(spatial))], spatial, [0, 0]))
