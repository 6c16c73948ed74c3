"""Greyscale morphology: the maximum (dilation) or minimum (erosion) over patches of an image with a filter added or taken away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.dtypes import REAL, int32
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.op import Case, TensorSpec
from graphflow.ops.arguments import renamed
from graphflow.ops.patches import Taps, numpy_taps, spread, taps
from graphflow.ops.reshape import reverse
from graphflow.ops.sizes import merge, need_rank
from graphflow.ops.windows import Span

Numbers = tuple[Sequence[int], Sequence[int], Sequence[int]]


class _Morphology(Taps, abstract=True):
    """The geometry of a dilation. filter: [rows, columns, channels]."""

    types = {"T": REAL}
    strides: tuple[int, ...]
    rates: tuple[int, ...]
    padding: str

    def lists(self) -> tuple[tuple[str, Sequence[int]], ...]:
        return ("strides", self.strides), ("rates", self.rates)

    def geometry(self, x: Sequence[Any], filter: Sequence[Any]) -> tuple[list[Span], Numbers]:
        """The patches, and their sizes, strides and rates."""
        numbers = [int(n) for n in filter[:2]], self.strides[1:-1], self.rates[1:-1]
        return self.spans(x[1:-1], *numbers), numbers

    def pooled(self, input: TensorSpec, filter: TensorSpec) -> TensorSpec:
        """What the dilation of `input` is."""
        self.check_lists(4)
        need_rank(input, 4)
        need_rank(filter, 3)
        if input.dims is None or filter.dims is None or None in filter.dims[:2]:
            return TensorSpec(input.dtype, (None,) * 4)
        numbers = filter.dims[:2], self.strides[1:-1], self.rates[1:-1]
        channels = merge(input.dims[3], filter.dims[2])
        return TensorSpec(input.dtype, (input.dims[0], *self.outs(input.dims[1:-1], *numbers), channels))  # type: ignore[arg-type]

    def candidates(self, b: Any, input: Any, filter: Any) -> tuple[list[Any], list[Span], Numbers]:
        """input + filter at each place of the patches; outside the input the smallest number there is."""
        spans, numbers = self.geometry(input.shape, filter.shape)
        kind = input.dtype
        lowest = -np.inf if kind.is_floating else int(np.iinfo(kind.as_numpy_dtype).min)
        values = []
        inside = b.broadcast(b.constant(1, int32), input.shape)
        columns = numbers[0][1]
        pairs = zip(taps(b, input, spans, *numbers, 0), taps(b, inside, spans, *numbers, 0), strict=True)
        for place, (value, within) in enumerate(pairs):
            weight = b.section(filter, (place // columns, place % columns, 0), (1, 1, filter.shape[2]))
            raised = b.add(value, b.broadcast(b.view(weight, (filter.shape[2],)), value.shape))
            values.append(b.select(b.equal(within, 1), raised, b.constant(lowest, kind)))
        return values, spans, numbers

    def shares(self, b: Any, input: Any, filter: Any, dy: Any) -> tuple[list[Any], list[Span], Numbers]:
        """dy at the first place of the maximum, 0 at the others."""
        values, spans, numbers = self.candidates(b, input, filter)
        best, chosen = values[0], b.broadcast(b.constant(0, int32), values[0].shape)
        for place, value in enumerate(values[1:], 1):
            better = b.greater(value, best)
            best, chosen = b.select(better, value, best), b.select(better, b.constant(place, int32), chosen)
        return [b.select(b.equal(chosen, place), dy, b.constant(0, dy.dtype)) for place in range(len(values))], spans, numbers

    def numpy_shares(self, input: Any, filter: Any, dy: Any) -> tuple[Any, list[Span], Numbers]:
        """shares for the references."""
        spans, numbers = self.geometry(input.shape, filter.shape)
        raised = numpy_taps(input.astype(np.float64), spans, *numbers, -np.inf) + filter.reshape(-1, 1, 1, 1, filter.shape[2])
        found = raised.argmax(0)
        return np.where(found == np.arange(len(raised)).reshape(-1, 1, 1, 1, 1), dy, 0), spans, numbers


_FIELDS: dict[str, Any] = {"strides": (1, 1, 2, 1), "rates": (1, 2, 1, 1)}


class Dilation2D(_Morphology):
    """y[b, i, j, c] = the maximum over (k, l) of input[b, i * stride + k * rate, j * stride + l * rate, c] + filter[k, l, c]."""

    arguments = ("input: T", "filter: T")
    results = ("output: T",)
    cases = (
        Case((2, 6, 7, 3), (2, 3, 3), padding="VALID", **_FIELDS), Case((1, 5, 6, 2), (3, 2, 2), padding="SAME", **_FIELDS),
        Case((1, 4, 4, 1), (2, 2, 1), strides=(1, 1, 1, 1), rates=(1, 1, 1, 1), padding="SAME", dtypes=("int32",)),
        Case((1, 4, 4, 1), (2, 2, 3), padding="SAME", **_FIELDS, error=("ValueError", "Dimensions must be equal")),
    )  # fmt: skip

    def infer(self, input: TensorSpec, filter: TensorSpec) -> TensorSpec:
        return self.pooled(input, filter)

    def reference(self, input: Any, filter: Any) -> Any:
        spans, numbers = self.geometry(input.shape, filter.shape)
        raised = numpy_taps(input.astype(np.float64), spans, *numbers, -np.inf) + filter.reshape(-1, 1, 1, 1, filter.shape[2])
        return raised.max(0).astype(input.dtype)

    def decompose(self, b: Any, input: Any, filter: Any) -> Any:
        values, _, _ = self.candidates(b, input, filter)
        best = values[0]
        for value in values[1:]:
            best = b.maximum(best, value)
        return best

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        fields = {"strides": self.strides, "rates": self.rates, "padding": self.padding}
        return [make(f"Dilation2DBackprop{which}", *node.inputs, dy, **fields) for which in ("Input", "Filter")]


class Dilation2DBackpropInput(_Morphology):
    """dy at the input element that was the first maximum of its patch."""

    arguments = ("input: T", "filter: T", "out_backprop: T")
    results = ("in_backprop: T",)
    differentiable = False
    cases = (
        Case((2, 6, 7, 3), (2, 3, 3), (2, 4, 3, 3), padding="VALID", **_FIELDS),
        Case((1, 5, 6, 2), (3, 2, 2), (1, 5, 3, 2), padding="SAME", **_FIELDS),
    )

    def infer(self, input: TensorSpec, filter: TensorSpec, out_backprop: TensorSpec) -> TensorSpec:
        self.pooled(input, filter)
        return TensorSpec(input.dtype, input.dims)

    def reference(self, input: Any, filter: Any, out_backprop: Any) -> Any:
        shares, spans, numbers = self.numpy_shares(input, filter, out_backprop)
        places = numpy_taps(np.arange(1, input.size + 1).reshape(input.shape), spans, *numbers, 0)
        out = np.zeros(input.size + 1, input.dtype)
        np.add.at(out, places.ravel(), shares.ravel())
        return out[1:].reshape(input.shape)

    def decompose(self, b: Any, input: Any, filter: Any, out_backprop: Any) -> Any:
        shares, spans, numbers = self.shares(b, input, filter, out_backprop)
        return spread(b, shares, input.shape, spans, *numbers)


class Dilation2DBackpropFilter(_Morphology):
    """The sum of dy over the patches whose first maximum a filter element gave."""

    arguments = ("input: T", "filter: T", "out_backprop: T")
    results = ("filter_backprop: T",)
    differentiable = False
    cases = Dilation2DBackpropInput.cases

    def infer(self, input: TensorSpec, filter: TensorSpec, out_backprop: TensorSpec) -> TensorSpec:
        self.pooled(input, filter)
        return TensorSpec(filter.dtype, filter.dims)

    def reference(self, input: Any, filter: Any, out_backprop: Any) -> Any:
        return self.numpy_shares(input, filter, out_backprop)[0].sum((1, 2, 3)).reshape(filter.shape).astype(filter.dtype)

    def decompose(self, b: Any, input: Any, filter: Any, out_backprop: Any) -> Any:
        shares, _, _ = self.shares(b, input, filter, out_backprop)
        sums = [b.view(b.reduce("add", share, (0, 1, 2)), (1, filter.shape[2])) for share in shares]
        return b.view(b.join(sums, 0), filter.shape)


# -- public functions --------------------------------------------------------------------------------------------------------------


def dilation2d(input, filter=None, strides=None, rates=None, padding=None, name=None, filters=None, dilations=None):
    """The greyscale dilation of images [batch, rows, columns, channels] by `filter` [rows, columns, channels]: the maximum of
    input + filter over patches whose elements are `rates` apart. The lists have four entries, of which the first and last are 1."""
    filter = renamed("filters", filters, "filter", filter)
    rates = renamed("dilations", dilations, "rates", rates)
    return make("Dilation2D", input, filter, strides=strides, rates=rates, padding=padding, name=name)


def erosion2d(value, kernel, strides, rates, padding, name=None):
    """The greyscale erosion of images, the minimum of value - kernel over patches: the dilation of -value by the kernel turned round."""
    with name_scope(name, "erosion2d", [value, kernel]) as name:
        kernel = reverse(convert_to_tensor(kernel), [0, 1])
        grown = dilation2d(make("Neg", value), kernel, strides=strides, rates=rates, padding=padding, name=name)
        return make("Neg", grown)
