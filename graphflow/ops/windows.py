"""Where the windows of convolutions and poolings lie: layouts, paddings and output sizes, and what follows where there is one window.

A layout string (NHWC, NCHW, NDHWC, NCDHW) says which dimension is the batch, which is the channel, and which are spatial.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from graphflow.kernel.index import Index, ceildiv, maximum
from graphflow.ops.sizes import Size

Affine = tuple[tuple[tuple[int, int], ...], Index]  # ((axis, coefficient), ...) and a constant: see core.SumOfProducts


def along(axis: int) -> Affine:
    """A dimension that runs along one axis of a sum."""
    return ((axis, 1),), 0


class Layout(NamedTuple):
    """Which dimension of a tensor is which."""

    batch: int
    channel: int
    spatial: tuple[int, ...]

    def arrange(self, batch: Any, channel: Any, spatial: Sequence[Any]) -> tuple[Any, ...]:
        """The three kinds of things in the order of the dimensions."""
        out: list[Any] = [None] * (2 + len(spatial))
        out[self.batch], out[self.channel] = batch, channel
        for axis, thing in zip(self.spatial, spatial, strict=True):
            out[axis] = thing
        return tuple(out)

    def of_spatial(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """The spatial entries of a list with one entry per dimension."""
        return tuple(values[a] for a in self.spatial)


def layout(data_format: str, spatial: int = 2) -> Layout:
    """The layout that a data_format string means; ValueError for an unknown one."""
    rank = spatial + 2
    if data_format in ("NHWC", "NDHWC", "NWC"):
        return Layout(0, rank - 1, tuple(range(1, rank - 1)))
    if data_format in ("NCHW", "NCDHW", "NCW"):
        return Layout(0, 1, tuple(range(2, rank)))
    raise ValueError(f"Unknown data_format {data_format!r}: NHWC and NCHW are known")


class Span(NamedTuple):
    """The windows along one dimension: how many, and the padding before and after."""

    out: Index
    low: Index
    high: Index


def out_size(extent: Size, size: int, stride: int, padding: str, explicit: tuple[int, int] = (0, 0)) -> Size:
    """The number of windows of `size` (dilation included); None where the extent is unknown."""
    if extent is None:
        return None
    return span(extent, size, stride, padding, explicit).out


def span(extent: Index, size: int, stride: int, padding: str, explicit: tuple[int, int] = (0, 0)) -> Span:
    """The windows of `size` (dilation included) along a dimension of `extent`."""
    if padding == "SAME":
        out = ceildiv(extent, stride)
        # With stride 1 every window fits the same way whatever the extent, so nothing depends on a run-time size.
        whole: Index = size - 1 if stride == 1 else maximum((out - 1) * stride + size - extent, 0)
        return Span(out, whole // 2, whole - whole // 2)
    low, high = explicit if padding == "EXPLICIT" else (0, 0)
    padded = extent + low + high
    if isinstance(padded, int) and padded < size:
        raise ValueError(f"Negative dimension size caused by subtracting {size} from {padded}")
    return Span((padded - size) // stride + 1, low, high)


def check_padding(padding: str, explicit: bool = False) -> None:
    """Refuse a padding that is no name TensorFlow knows."""
    allowed = ("SAME", "VALID", "EXPLICIT") if explicit else ("SAME", "VALID")
    if padding not in allowed:
        names = ", ".join(f'"{p}"' for p in allowed)
        raise ValueError(f"Value for attr 'padding' of \"{padding}\" is not in the list of allowed values: {names}")


def single_windows(
    b: Any, filter: Any, extents: Sequence[Index], spans: Sequence[Span], strides: Sequence[int], dilations: Sequence[int]
) -> tuple[Any, tuple[Span, ...], tuple[int, ...]]:
    """The same convolution where a dimension has a single window over all of the input, as have filters over sentences as wide as a word's
    vector: without the taps over the padding, and with a stride as long as the window, for no position meets two taps."""
    starts, sizes, out, steps = [], [], [], []
    for extent, k, sp, s, d in zip(extents, filter.shape[:-2], spans, strides, dilations, strict=True):
        known = isinstance(extent, int) and isinstance(k, int) and isinstance(sp.low, int) and sp.out == 1 == d
        covers = known and extent + sp.low <= k
        starts.append(sp.low if covers else 0)
        sizes.append(extent if covers else k)
        out.append(Span(1, 0, 0) if covers else sp)
        steps.append(extent if covers else s)
    if tuple(sizes) != tuple(filter.shape[:-2]):
        filter = b.section(filter, (*starts, 0, 0), (*sizes, *filter.shape[-2:]))
    return filter, tuple(out), tuple(steps)
