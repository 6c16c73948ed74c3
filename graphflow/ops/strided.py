"""The gradient of a strided convolution for its input (and so the transposed convolution), without zeros between the elements of dy.

Position i of dx, with i + low = stride*q + r, meets only the taps r, r + stride, ...: one convolution of dy for each phase r, with every
stride-th tap. All phases are one contraction whose result has the phases as axes of their own,

    dx[n, q, r, c] = sum over t, o of dy[n, q - t, o] * filter[r + stride*t, c, o]

so that it lies in memory as dx does. Phases may have one tap less than others: the filter has a border of zeros there, which lowering
leaves out (lower/windows.py). The plain way, dy with stride - 1 zeros between neighbours, would do stride**2 times the work in two
dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from graphflow.kernel.index import Index, ceildiv, maximum
from graphflow.ops.windows import Layout, Span


class Phases(NamedTuple):
    """One spatial dimension: phase r has the taps first + turn*r + stride*t for t below `taps`, as far as the kernel has them, and meets dy
    at q + ahead + late*r - t. `cut`: of the positions computed, how many are before those of dx."""

    stride: int
    taps: int
    first: int
    turn: int
    ahead: int
    late: int
    cut: int


def phases(kernel: int, stride: int, low: int) -> Phases:
    """Those of a padding of `low` before."""
    taps = -(-kernel // stride)
    if low % stride == 0:
        return Phases(stride, taps, 0, 1, low // stride, 0, 0)
    if stride == 2:
        return Phases(stride, taps, 1, -1, low // 2, 1, 0)
    return Phases(stride, taps, 0, 1, low // stride, 0, low % stride)


def by_phases(b: Any, where: Layout, sizes: Sequence[Index], spans: Sequence[Span], strides: Sequence[int], filter: Any, dy: Any) -> Any:
    """dx of the given sizes. The padding before must be a number, and the dilation 1."""
    count = len(strides)
    kernel, channels, depth = filter.shape[:-2], filter.shape[-2], filter.shape[-1]
    ways = [phases(k, s, int(sp.low)) for k, s, sp in zip(kernel, strides, spans, strict=True)]  # type: ignore[arg-type]
    cells = [ceildiv(extent + p.cut, p.stride) for extent, p in zip(where.of_spatial(sizes), ways, strict=True)]
    low = [max(0, p.taps - 1 - p.ahead) for p in ways]
    reach = [cell - 1 + p.ahead + p.late * (p.stride - 1) for cell, p in zip(cells, ways, strict=True)]
    high = [maximum(last - (extent - 1), 0) for last, extent in zip(reach, where.of_spatial(dy.shape), strict=True)]
    dy = b.halo(dy, where.arrange(0, 0, low), where.arrange(0, 0, high))
    spare = [p.taps * p.stride - k for p, k in zip(ways, kernel, strict=True)]
    filter = b.halo(filter, (*(0 for _ in kernel), 0, 0), (*spare, 0, 0))

    axes: list[Index] = []  # of the result: each spatial dimension's cells, and its phases where there are some
    cell_at, phase_at = [0] * count, [0] * count
    order = where.arrange("batch", "channel", range(count))
    for what in order:
        if what == "batch":
            batch_at = len(axes)
            axes.append(sizes[where.batch])
        elif what == "channel":
            channel_at = len(axes)
            axes.append(channels)
        else:
            cell_at[what], phase_at[what] = len(axes), len(axes) + 1
            axes += cells[what], ways[what].stride
    taps, deep = len(axes), len(axes) + count
    plain = [p.taps == 1 and extra == 0 for p, extra in zip(ways, spare, strict=True)]  # each phase has one tap: there is no sum
    places = [
        (
            ((cell_at[n], 1), *(((phase_at[n], p.late),) if p.late else ()), *(() if plain[n] else ((taps + n, 1),))),
            p.ahead - (p.taps - 1) + low[n],
        )
        for n, p in enumerate(ways)
    ]
    left = where.arrange((((batch_at, 1),), 0), (((deep, 1),), 0), places)
    spread = [
        (((phase_at[n], p.turn), *(() if plain[n] else ((taps + n, -p.stride),))), p.first + p.stride * (p.taps - 1))
        for n, p in enumerate(ways)
    ]
    right = (*spread, (((channel_at, 1),), 0), (((deep, 1),), 0))
    dx = b.contract(dy, filter, (*axes, *(p.taps for p in ways), depth), len(axes), left, right)
    covered = [cell * p.stride for cell, p in zip(cells, ways, strict=True)]
    dx = b.view(dx, where.arrange(sizes[where.batch], channels, covered))
    return b.section(dx, where.arrange(0, 0, [p.cut for p in ways]), sizes)
