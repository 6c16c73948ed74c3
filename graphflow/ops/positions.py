"""Positions that a run computes: the begin of a slice or of a border, read from a tensor by the kernel that needs it.

Only where something begins may depend on data; how large it is must be known while compiling. `numbers` looks through the arithmetic
that makes a begin, an end or a padding, so that `x[i]`, `tf.slice(x, [2 * i, 0], [3, 4])` and the padding `[begin, total - begin]` of its
gradient are seen to have known sizes. What has not is cut by capture, as a size that depends on data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from graphflow.graph.op import Access, Case, TensorSpec
from graphflow.kernel.expr import Expr, as_index, call, cast, const, guarded, maximum, minimum, position, select, within
from graphflow.kernel.index import Index, bounds
from graphflow.ops.families import Movement

FEW = 64  # elements of what `numbers` looks at: positions and sizes, not data
DEPTH = 16  # operations that it looks through
LAYOUT = frozenset(("View", "Permute", "Expand", "Section", "Join"))
ARITHMETIC = frozenset(("AddV2", "Add", "Sub", "Mul", "Neg", "Cast"))

# What a run-time begin means, and what is wrong with one outside. {axis}: the dimension, {extent}: its size, {size}: of the part there.
INDEX, BEGIN, RANGE, CLAMPED, PADDING = "index", "begin", "range", "clamped", "padding"
_MESSAGES = {
    INDEX: "slice index {{value}} of dimension {axis} out of bounds.",
    BEGIN: "Expected begin[{axis}] in [0, {extent}], but got {{value}}",
    RANGE: "a slice of dimension {axis} that begins at {{value}} has not the {size} elements that its shape was set to, of {extent}",
    PADDING: "Paddings must be non-negative: dimension {axis} has {{value}} before {size} of {extent} elements",
}


class Sum:
    """constant + the elements of some values, each times a number. The constant may be symbolic."""

    __slots__ = ("constant", "terms")

    def __init__(self, constant: Index, terms: Mapping[tuple[int, int], tuple[Any, int]] | None = None) -> None:
        self.constant = constant
        self.terms = {key: term for key, term in (terms or {}).items() if term[1]}  # (value's id, position) -> value, factor

    @property
    def fixed(self) -> Index | None:
        """The number that it is; None where that depends on data."""
        return None if self.terms else self.constant

    def __add__(self, other: Sum) -> Sum:
        terms = dict(self.terms)
        for key, (value, factor) in other.terms.items():
            terms[key] = value, factor + terms.get(key, (value, 0))[1]
        return Sum(self.constant + other.constant, terms)

    def __mul__(self, factor: int) -> Sum:
        return Sum(self.constant * factor, {key: (value, f * factor) for key, (value, f) in self.terms.items()})

    def __sub__(self, other: Sum) -> Sum:
        return self + other * -1


def numbers(b: Any, value: Any, depth: int = DEPTH) -> np.ndarray[Any, Any]:
    """The elements of a small integer value as an array of Sums."""
    if value.known is not None:
        return _sums([Sum(e if not isinstance(e, np.generic) else int(e)) for e in value.known.ravel()], value.shape)
    node = b.maker(value)
    if node is not None and depth and all(_small(v) for v in node.inputs):
        if node.op.type in LAYOUT:
            return np.asarray(node.op.reference(*(numbers(b, v, depth - 1) for v in node.inputs)), object)
        if node.op.type in ARITHMETIC:
            found = _arithmetic(node.op.type, [numbers(b, v, depth - 1) for v in node.inputs])
            if found is not None:
                return found
    count = int(np.prod(value.shape))
    return _sums([Sum(0, {(value.id, k): (value, 1)}) for k in range(count)], value.shape)


def _small(value: Any) -> bool:
    return value.dtype.name in ("int32", "int64") and isinstance(value.size, int) and value.size <= FEW


def _sums(found: Sequence[Sum], shape: Sequence[int]) -> np.ndarray[Any, Any]:
    out = np.empty(len(found), object)
    out[:] = found
    return out.reshape(tuple(shape))


def _arithmetic(name: str, operands: Sequence[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any] | None:
    first, second = operands[0], operands[-1]
    if name == "Cast":
        return first
    if name == "Neg":
        return np.asarray(first * -1, object)
    if name == "Mul":
        for one, other in ((first, second), (second, first)):
            factors = [s.fixed for s in other.ravel()]
            if all(isinstance(f, int) for f in factors):
                return np.asarray(one * np.array(factors, object).reshape(other.shape), object)
        return None
    return np.asarray(first - second if name == "Sub" else first + second, object)


def element(b: Any, number: Sum) -> Any:
    """The int64 scalar that a Sum is."""
    total = None
    for (_, place), (value, factor) in number.terms.items():
        one = b.cast(b.view(b.section(b.view(value, (value.size,)), (place,), (1,)), ()), "int64")
        one = one if factor == 1 else b.mul(one, factor)
        total = one if total is None else b.add(total, one)
    if total is None:
        return b.constant(number.constant, "int64")
    return b.add(total, b.constant(number.constant, "int64")) if number.constant != 0 else total


def section(b: Any, x: Any, begin: Sequence[Sum], size: Sequence[Index], step: Sequence[int], kinds: Sequence[str]) -> Any:
    """x[begin : begin + size*step : step] in every dimension. Where the begin depends on data the step is 1 and `kinds` says what it is."""
    axes = tuple(a for a, s in enumerate(begin) if s.fixed is None)
    starts = tuple(0 if a in axes else s.fixed for a, s in enumerate(begin))
    x = b.section(x, starts, tuple(x.shape[a] if a in axes else n for a, n in enumerate(size)), step)
    if not axes:
        return x
    moved = SectionAt(axes, tuple(size[a] for a in axes), tuple(kinds[a] for a in axes))
    return b.apply(moved, x, *(element(b, begin[a]) for a in axes))


def halo(b: Any, x: Any, low: Sequence[Sum], high: Sequence[Sum], interior: Sequence[int], kinds: Sequence[str], value: float = 0) -> Any:
    """x inside a border of `value`. Where the widths depend on data their sum does not, and `kinds` says how the one before is meant."""
    axes = tuple(a for a, s in enumerate(low) if s.fixed is None)
    before = tuple(0 if a in axes else s.fixed for a, s in enumerate(low))
    behind = tuple(0 if a in axes else s.fixed for a, s in enumerate(high))
    extents = tuple(x.shape[a] + (low[a] + high[a]).fixed for a in axes)
    if axes:
        moved = HaloAt(axes, extents, tuple(kinds[a] for a in axes), value)
        x = b.apply(moved, x, *(element(b, low[a]) for a in axes))
    return b.halo(x, before, behind, value, interior)


def _start(x: Access, begin: Access, kind: str, axis: int, size: Index, extent: Index) -> tuple[Index, Expr | None]:
    """(where a part of `size` begins in a dimension of `extent`, condition for it to lie inside). With a begin that fails the step it is
    0, so that nothing outside is touched; the condition is there where the part may be larger than the dimension."""
    given = cast(begin(()), "i64")
    room = extent - size
    low, _ = bounds(room)
    upper = max(room, 0) if isinstance(room, int) else None
    number = given if kind in (BEGIN, PADDING) else select(given < 0, given + position(extent), given)
    fits = None if low is not None and low >= 0 else call("le", const(0, "i64"), position(room))
    if kind == CLAMPED:
        return as_index(minimum(maximum(number, 0), position(room)), 0, upper), fits
    valid = call("le", const(0, "i64"), number) & call("le", number, position(room))
    if kind == RANGE:  # from the end, but not over it
        valid = valid & (call("le", const(0, "i64"), given) | (given + position(size) < 0))
    safe = select(valid, number, 0)
    checked = safe if fits is None else fits  # around the condition: inside what it guards, it would keep the checks from failing
    if kind == BEGIN:
        begins = call("le", const(0, "i64"), given) & call("le", given, position(extent))
        checked = x.check("InvalidArgumentError", f"Expected size[{axis}] in [0, {{value}}], but got {size}", valid | ~begins,
                          position(extent) - given, checked)  # fmt: skip
        valid = begins
    checked = x.check("InvalidArgumentError", _MESSAGES[kind].format(axis=axis, size=size, extent=extent), valid, given, checked)
    return (as_index(checked, 0, upper), None) if fits is None else (as_index(safe, 0, upper), checked)


def _place(kind: str, given: int, size: int, extent: int, axis: int) -> int:
    """`_start` with numbers."""
    number = given + extent if given < 0 and kind not in (BEGIN, PADDING) else given
    if kind == CLAMPED:
        return min(max(number, 0), extent - size)
    if kind == BEGIN and 0 <= given <= extent < given + size:
        raise IndexError(f"Expected size[{axis}] in [0, {extent - given}], but got {size}")
    if not 0 <= number <= extent - size or (kind == RANGE and given < 0 <= given + size):
        raise IndexError(_MESSAGES[kind].format(axis=axis, size=size, extent=extent).format(value=given))
    return number


def _refused(text: str) -> tuple[str, str]:
    return "InvalidArgumentError", text


class SectionAt(Movement):
    """x[begin : begin + size] along each of `axes`, the begins being int64 scalars. One that is not what its kind allows fails the step."""

    core = True
    arguments = ("x: T", "begin: N*int64")
    results = ("y: T",)
    checks: ClassVar[tuple[str, ...]] = ("begin",)
    axes: tuple[int, ...]
    sizes: tuple[Index, ...]
    kinds: tuple[str, ...]
    cases = (
        Case((5, 7), np.array(2), axes=(0,), sizes=(3,), kinds=(BEGIN,)), Case((5, 7), np.array(-1), axes=(1,), sizes=(1,), kinds=(INDEX,)),
        Case((4, 40), np.array(1), np.array(3), axes=(0, 1), sizes=(2, 33), kinds=(RANGE, RANGE)),
        Case((5,), np.array(-4), axes=(0,), sizes=(3,), kinds=(RANGE,)), Case((5, 0), np.array(1), axes=(0,), sizes=(2,), kinds=(BEGIN,)),
        Case((5,), np.array(5), axes=(0,), sizes=(1,), kinds=(INDEX,), error=_refused("slice index 5 of dimension 0 out of bounds.")),
        Case((5,), np.array(-6), axes=(0,), sizes=(1,), kinds=(INDEX,), error=_refused("slice index -6 of dimension 0")),
        Case((4,), np.array(5), axes=(0,), sizes=(1,), kinds=(BEGIN,), error=_refused("Expected begin[0] in [0, 4], but got 5")),
        Case((4,), np.array(3), axes=(0,), sizes=(2,), kinds=(BEGIN,), error=_refused("Expected size[0] in [0, 1], but got 2")),
        Case((2,), np.array(1), axes=(0,), sizes=(4,), kinds=(BEGIN,), error=_refused("Expected size[0] in [0, 1], but got 4")),
        Case((4,), np.array(-1), axes=(0,), sizes=(2,), kinds=(RANGE,), error=_refused("begins at -1")),
        Case((2,), np.array(0), axes=(0,), sizes=(3,), kinds=(RANGE,), error=_refused("begins at 0")),
    )  # fmt: skip

    def infer(self, x: TensorSpec, *begin: TensorSpec) -> TensorSpec:
        assert x.dims is not None
        dims = list(x.dims)
        for axis, size in zip(self.axes, self.sizes, strict=True):
            dims[axis] = size
        return TensorSpec(x.dtype, dims)

    def reference(self, x: Any, *begin: Any) -> Any:
        for axis, size, kind, given in zip(self.axes, self.sizes, self.kinds, begin, strict=True):
            first = _place(kind, int(given), int(size), x.shape[axis], axis)  # type: ignore[arg-type]
            x = np.take(x, range(first, first + int(size)), axis)  # type: ignore[arg-type]
        return x

    def element(self, inputs: Sequence[Access], index: Sequence[Index]) -> Expr:
        x, *begin = inputs
        at = list(index)
        inside: Expr | None = None
        for axis, size, kind, given in zip(self.axes, self.sizes, self.kinds, begin, strict=True):
            first, valid = _start(x, given, kind, axis, size, x.shape[axis])
            at[axis] = at[axis] + first
            inside = valid if inside is None or valid is None else inside & valid
        return guarded(x(at), inside)


class HaloAt(Movement):
    """x at `begin` (int64 scalars) along each of `axes` among `extents` elements, the others being `value`."""

    core = True
    arguments = ("x: T", "begin: N*int64")
    results = ("y: T",)
    checks: ClassVar[tuple[str, ...]] = ("begin",)
    axes: tuple[int, ...]
    extents: tuple[Index, ...]
    kinds: tuple[str, ...]
    value: float = 0
    cases = (
        Case((3, 7), np.array(2), axes=(0,), extents=(5,), kinds=(PADDING,)),
        Case((5, 1), np.array(-1), axes=(1,), extents=(40,), kinds=(INDEX,)),
        Case((2, 3), np.array(1), np.array(-9), axes=(0, 1), extents=(4, 6), kinds=(CLAMPED, CLAMPED), value=-1.5),
        Case((3,), np.array(3), axes=(0,), extents=(5,), kinds=(CLAMPED,)),
        Case((3,), np.array(3), axes=(0,), extents=(5,), kinds=(PADDING,), error=_refused("Paddings must be non-negative")),
        Case((1,), np.array(7), axes=(0,), extents=(5,), kinds=(INDEX,), error=_refused("slice index 7 of dimension 0")),
    )  # fmt: skip

    def infer(self, x: TensorSpec, *begin: TensorSpec) -> TensorSpec:
        assert x.dims is not None
        dims = list(x.dims)
        for axis, extent in zip(self.axes, self.extents, strict=True):
            dims[axis] = extent
        return TensorSpec(x.dtype, dims)

    def reference(self, x: Any, *begin: Any) -> Any:
        for axis, extent, kind, given in zip(self.axes, self.extents, self.kinds, begin, strict=True):
            size = x.shape[axis]
            first = _place(kind, int(given), size, int(extent), axis)  # type: ignore[arg-type]
            widths = [(first, int(extent) - size - first) if a == axis else (0, 0) for a in range(x.ndim)]  # type: ignore[arg-type]
            x = np.pad(x, widths, constant_values=self.value)
        return x

    def element(self, inputs: Sequence[Access], index: Sequence[Index]) -> Expr:
        x, *begin = inputs
        at = list(index)
        inside: Expr | None = None
        for axis, extent, kind, given in zip(self.axes, self.extents, self.kinds, begin, strict=True):
            first, valid = _start(x, given, kind, axis, x.shape[axis], extent)
            at[axis] = at[axis] - first
            for part in (valid, within(at[axis], x.shape[axis])):
                if part is not None:
                    inside = part if inside is None else inside & part
        value = guarded(x(at), inside)
        return value if inside is None else select(inside, value, const(self.value, x.type))
