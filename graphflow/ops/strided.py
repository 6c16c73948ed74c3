"""The gradient of a strided convolution for its input, one small convolution for each phase.

Position i = stride*q + r of dx meets only the taps k with (r + low - k) divisible by the stride, so each phase r is a convolution of
dy with every stride-th tap; the phases are interleaved at the end. The plain way, dy with stride - 1 zeros between neighbours, would
multiply by those zeros: stride**2 times the work in two dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product as combinations
from typing import Any, NamedTuple

from graphflow.kernel.index import Index, ceildiv, maximum
from graphflow.ops.windows import Layout, Span


class Phase(NamedTuple):
    """The taps first, first + stride, ... (`count` of them) and where dy is met: position q + tap number + `shift`, taps from the last."""

    first: int
    count: int
    shift: int


def phases(kernel: int, stride: int, low: int) -> list[Phase]:
    """One for each remainder of a position of dx."""
    out = []
    for r in range(stride):
        first = (r + low) % stride
        count = len(range(first, kernel, stride))
        out.append(Phase(first, count, (r + low - first) // stride - (count - 1)))
    return out


def by_phases(b: Any, where: Layout, sizes: Sequence[Index], spans: Sequence[Span], strides: Sequence[int], filter: Any, dy: Any) -> Any:
    """dx of the given sizes. The padding before must be a number, and the dilation 1."""
    count = len(strides)
    extents, outputs = where.of_spatial(sizes), where.of_spatial(dy.shape)
    cells = [ceildiv(extent, s) for extent, s in zip(extents, strides, strict=True)]
    choices = [phases(k, s, int(sp.low)) for k, s, sp in zip(filter.shape[:-2], strides, spans, strict=True)]  # type: ignore[arg-type]
    low, high = [], []
    for cell, extent, phase in zip(cells, outputs, choices, strict=True):
        low.append(max(0, *(-p.shift for p in phase)))
        high.append(_widest(cell, extent, phase))
    dy = b.halo(dy, where.arrange(0, 0, low), where.arrange(0, 0, high))
    batch, channels = sizes[where.batch], filter.shape[-2]
    taps, depth, first = count + 2, 2 * count + 2, where.spatial[0]
    whole = where.arrange(batch, channels, cells)
    parts: dict[tuple[int, ...], Any] = {}
    for choice in combinations(*(range(s) for s in strides)):
        chosen = [phase[r] for phase, r in zip(choices, choice, strict=True)]
        if not all(p.count for p in chosen):  # the stride is wider than the kernel: no window reaches these positions
            parts[choice] = b.broadcast(b.constant(0, dy.dtype), whole)
            continue
        places = [(((first + i, 1), (taps + i, 1)), p.shift + before) for i, (p, before) in enumerate(zip(chosen, low, strict=True))]
        left = where.arrange((((where.batch, 1),), 0), (((depth, 1),), 0), places)
        spread = ((((taps + i, -s),), p.first + s * (p.count - 1)) for i, (p, s) in enumerate(zip(chosen, strides, strict=True)))
        right = (*spread, (((where.channel, 1),), 0), (((depth, 1),), 0))
        axes = (*whole, *(p.count for p in chosen), filter.shape[-1])
        parts[choice] = b.contract(dy, filter, axes, count + 2, left, right)
    dx = _interleaved(b, where, parts, strides)
    return b.section(dx, [0] * len(sizes), sizes)


def _widest(cells: Index, extent: Index, phase: Sequence[Phase]) -> Index:
    """The border behind dy that the phase reaching furthest needs."""
    furthest = max(p.shift + max(p.count - 1, 0) for p in phase)
    return maximum(cells + furthest - extent, 0)


def _interleaved(b: Any, where: Layout, parts: dict[tuple[int, ...], Any], strides: Sequence[int]) -> Any:
    """Element q of part r at position stride*q + r, one spatial dimension after the other."""
    for number in reversed(range(len(strides))):
        axis = where.spatial[number]
        joined: dict[tuple[int, ...], Any] = {}
        for prefix in combinations(*(range(s) for s in strides[:number])):
            pieces = [parts[(*prefix, r)] for r in range(strides[number])]
            shape = pieces[0].shape
            if len(pieces) > 1:
                split = (*shape[: axis + 1], 1, *shape[axis + 1 :])
                stacked = b.join([b.view(p, split) for p in pieces], axis + 1)
                joined[prefix] = b.view(stacked, (*shape[:axis], shape[axis] * strides[number], *shape[axis + 1 :]))
            else:
                joined[prefix] = pieces[0]
        parts = joined
    return parts[()]
