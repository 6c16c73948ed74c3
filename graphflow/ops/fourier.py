"""Discrete Fourier transforms, made of small matrix products: Cooley and Tukey's splitting down to factors that one product handles, and
Bluestein's convolution for lengths with a large prime factor, so that every length costs O(n log n)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from graphflow.dtypes import COMPLEX, complex64, float32, int32
from graphflow.graph.build import convert_to_tensor, make, name_scope
from graphflow.graph.op import Case, TensorSpec
from graphflow.ops.complex_numbers import real
from graphflow.ops.families import Composite
from graphflow.ops.joining import concat
from graphflow.ops.logic import cast
from graphflow.ops.padding import pad
from graphflow.ops.shape import shape
from graphflow.ops.sizes import contents, i32, need_rank_at_least

__all__ = ["fft", "fft2d", "fft3d", "ifft", "ifft2d", "ifft3d"]

DIRECT = 16  # a transform up to this length is one product with its matrix
LARGEST = 64  # a prime factor beyond this makes a convolution


def transformed(b: Any, x: Any, sign: int) -> Any:
    """The sums of x[n] exp(sign 2 pi i n k / N) along the last dimension of a complex program value, N known."""
    n = x.shape[-1]
    if not isinstance(n, int):
        raise ValueError("the length of a Fourier transform must be known to compile it")  # capture takes the run's own sizes
    if n <= 1:
        return x
    factor = _factor(n)
    if factor > LARGEST:
        return _convolved(b, x, sign)
    lead, rest = x.shape[:-1], n // factor
    table = np.exp(sign * 2j * np.pi * np.outer(np.arange(factor), np.arange(factor)) / factor)
    rows = b.view(x, (*lead, factor, rest))
    rank = len(lead) + 2
    # result axes: lead, k, rest; the sum runs over `factor`
    axes = [*(((a, 1),) for a in range(len(lead))), ((rank, 1),), ((rank - 1, 1),)]
    sums = b.contract(rows, b.constant(table, x.dtype), (*lead, factor, rest, factor), rank,
                      tuple((a, 0) for a in axes), ((((rank, 1),), 0), (((rank - 2, 1),), 0)))  # fmt: skip
    if rest == 1:
        return b.view(sums, x.shape)
    turns = np.exp(sign * 2j * np.pi * np.outer(np.arange(factor), np.arange(rest)) / n)
    inner = transformed(b, b.mul(sums, b.constant(turns, x.dtype)), sign)
    return b.view(b.permute(inner, [*range(len(lead)), rank - 1, rank - 2]), x.shape)


def _factor(n: int) -> int:
    """The largest divisor that one product handles; for want of one the smallest prime factor."""
    small = max(d for d in range(1, min(n, DIRECT) + 1) if n % d == 0)
    return small if small > 1 else next((d for d in range(2, math.isqrt(n) + 1) if n % d == 0), n)


def _convolved(b: Any, x: Any, sign: int) -> Any:
    """Bluestein: with n k = (n^2 + k^2 - (k - n)^2) / 2 the transform is a convolution, done by transforms of a power of 2."""
    n = x.shape[-1]
    size = 1 << (2 * n - 2).bit_length()
    squares = np.arange(n, dtype=np.int64) ** 2 % (2 * n)  # exact where the angle itself would lose digits
    chirp = np.exp(sign * 1j * np.pi * squares / n)
    kernel = np.zeros(size, np.complex128)
    kernel[:n] = np.conj(chirp)
    kernel[size - n + 1 :] = np.conj(chirp[:0:-1])
    spectrum = np.fft.fft(kernel) / size
    rank = len(x.shape)
    wide = b.mul(x, b.constant(chirp, x.dtype))
    wide = b.halo(wide, (0,) * rank, (*(0,) * (rank - 1), size - n))
    product = transformed(b, b.mul(transformed(b, wide, -1), b.constant(spectrum, x.dtype)), 1)
    return b.mul(b.section(product, (0,) * rank, x.shape), b.constant(chirp, x.dtype))


def transformed_along(b: Any, x: Any, count: int, sign: int) -> Any:
    """`transformed` along each of the last `count` dimensions."""
    rank = len(x.shape)
    x = transformed(b, x, sign)
    for axis in range(rank - count, rank - 1):
        order = [a for a in range(rank) if a != axis] + [axis]
        x = b.permute(transformed(b, b.permute(x, order), sign), [order.index(a) for a in range(rank)])
    return x


def _total(dims: Sequence[Any]) -> int:
    return math.prod(int(d) for d in dims)


class Transform(Composite, abstract=True):
    """Base of the complex transforms along the last `count` dimensions; the inverse ones divide by the number of elements."""

    arguments = ("input: Tcomplex",)
    results = ("output: Tcomplex",)
    types = {"Tcomplex": COMPLEX}
    count: ClassVar[int] = 1
    inverse: ClassVar[bool] = False

    def infer(self, input: TensorSpec) -> TensorSpec:
        need_rank_at_least(input, self.count)
        return TensorSpec(input.dtype, input.dims)

    def reference(self, input: Any) -> Any:
        function = np.fft.ifftn if self.inverse else np.fft.fftn
        return function(input, axes=range(input.ndim - self.count, input.ndim)).astype(input.dtype) if input.size else input

    def decompose(self, b: Any, input: Any) -> Any:
        result = transformed_along(b, input, self.count, 1 if self.inverse else -1)
        return b.mul(result, 1 / max(_total(input.shape[-self.count :]), 1)) if self.inverse else result

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        scale = cast(make("Prod", shape(dy)[-self.count :], [0]), dy.dtype)
        other = self.type[1:] if self.inverse else f"I{self.type}"
        dx = make(other, dy)
        return [dx / scale if self.inverse else dx * scale]


_ANY = (Case((3, 8)), Case((2, 1)), Case((30,)), Case((37,)), Case((131,)), Case((0, 4)))


class FFT(Transform):
    """The discrete Fourier transform along the last dimension."""

    cases = _ANY


class IFFT(Transform):
    """The inverse of FFT."""

    cases = _ANY
    inverse = True


class FFT2D(Transform):
    """The discrete Fourier transform along the last two dimensions."""

    cases = (Case((2, 4, 6)), Case((3, 5)))
    count = 2


class IFFT2D(Transform):
    """The inverse of FFT2D."""

    cases = FFT2D.cases
    count = 2
    inverse = True


class FFT3D(Transform):
    """The discrete Fourier transform along the last three dimensions."""

    cases = (Case((2, 3, 4)), Case((2, 2, 3, 2)))
    count = 3


class IFFT3D(Transform):
    """The inverse of FFT3D."""

    cases = FFT3D.cases
    count = 3
    inverse = True


def _lengths(spec: TensorSpec, count: int) -> list[Any]:
    found = contents(spec)
    return [None] * count if found is None else found


class RealTransform(Composite, abstract=True):
    """Base of the transforms of real numbers, whose second half is the conjugate of the first and left out. The input is cut to
    fft_length, which must not be longer."""

    arguments = ("input: float32", "fft_length: int32")
    results = ("output: complex64",)
    count: ClassVar[int] = 1

    def infer(self, input: TensorSpec, fft_length: TensorSpec) -> TensorSpec:
        need_rank_at_least(input, self.count)
        lengths = _lengths(fft_length, self.count)
        if len(lengths) != self.count:
            raise ValueError(f"Shape must be {self.count} but is {len(lengths)}")
        if input.dims is None:
            return TensorSpec(complex64, None)
        last = lengths[-1]
        return TensorSpec(complex64, (*input.dims[: -self.count], *lengths[:-1], None if last is None else last // 2 + 1))

    def reference(self, input: Any, fft_length: Any) -> Any:
        return np.fft.rfftn(input, [int(n) for n in fft_length], range(input.ndim - self.count, input.ndim)).astype(np.complex64)

    def decompose(self, b: Any, input: Any, fft_length: Any) -> Any:
        lengths = b.sizes(fft_length)
        lead, rank = input.shape[: -self.count], len(input.shape)
        for have, want in zip(input.shape[-self.count :], lengths, strict=True):
            if isinstance(have, int) and isinstance(want, int) and have < want:
                raise ValueError(f"Input dimension must have length of at least {want} but got: {have}")
        x = b.section(input, (0,) * rank, (*lead, *lengths))
        y = transformed_along(b, b.pair(x, 0), self.count, -1)
        return b.section(y, (0,) * rank, (*y.shape[:-1], y.shape[-1] // 2 + 1))

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        """The adjoint: the unnormalised inverse transform of dy and as many zeros as were left out."""
        x, lengths = node.inputs
        full = _padded(dy, lengths[-1:] - shape(dy)[-1:])
        scale = cast(make("Prod", lengths, [0]), float32)
        dx = real(make(f"IFFT{self.type[4:]}", full)) * scale
        return [_padded_to(dx, shape(x), self.count), None]


def _padded(x: Any, count: Any) -> Any:
    """x with `count` (a vector of one) zeros after the last dimension."""
    rank = x.shape.ndims
    after = concat([np.zeros(rank - 1, np.int32), count], 0)
    return pad(x, make("Pack", [np.zeros(rank, np.int32), after], axis=1))


def _padded_to(x: Any, dims: Any, count: int) -> Any:
    """x with zeros after its last `count` dimensions up to the sizes `dims`."""
    rank = x.shape.ndims
    missing = dims - shape(x)
    after = concat([np.zeros(rank - count, np.int32), missing[-count:]], 0)
    return pad(x, make("Pack", [np.zeros(rank, np.int32), after], axis=1))


class RFFT(RealTransform):
    """The transform of real numbers along the last dimension."""

    cases = (Case((3, 8), i32(8)), Case((2, 7), i32(7)), Case((9,), i32(6)))


class RFFT2D(RealTransform):
    """The transform of real numbers along the last two dimensions."""

    cases = (Case((2, 4, 6), i32(4, 6)), Case((3, 5), i32(3, 5)))
    count = 2


class RFFT3D(RealTransform):
    """The transform of real numbers along the last three dimensions."""

    cases = (Case((2, 3, 4), i32(2, 3, 4)),)
    count = 3


class InverseRealTransform(Composite, abstract=True):
    """Base of the transforms back to real numbers; the last dimension of the input holds the first half."""

    arguments = ("input: complex64", "fft_length: int32")
    results = ("output: float32",)
    count: ClassVar[int] = 1

    def infer(self, input: TensorSpec, fft_length: TensorSpec) -> TensorSpec:
        need_rank_at_least(input, self.count)
        lengths = _lengths(fft_length, self.count)
        if len(lengths) != self.count:
            raise ValueError(f"Shape must be {self.count} but is {len(lengths)}")
        return TensorSpec(float32, None if input.dims is None else (*input.dims[: -self.count], *lengths))

    def reference(self, input: Any, fft_length: Any) -> Any:
        lengths = [int(n) for n in fft_length]
        return np.fft.irfftn(input, lengths, range(input.ndim - self.count, input.ndim)).astype(np.float32)

    def decompose(self, b: Any, input: Any, fft_length: Any) -> Any:
        lengths = b.sizes(fft_length)
        lead, rank = input.shape[: -self.count], len(input.shape)
        last = lengths[-1]
        if not isinstance(last, int):
            raise ValueError("the length of a Fourier transform must be known to compile it")
        half = last // 2 + 1
        x = b.section(input, (0,) * rank, (*lead, *lengths[:-1], half))
        # Element -k of every transformed dimension is the conjugate of element k: the other half, backwards.
        missing = last - half
        tail = b.section(x, (*(0,) * (rank - 1), missing), (*x.shape[:-1], missing), (*(1,) * (rank - 1), -1))
        for axis in range(rank - self.count, rank - 1):
            size = tail.shape[axis]
            first = b.section(tail, (0,) * rank, [1 if a == axis else d for a, d in enumerate(tail.shape)])
            begin = [size - 1 if a == axis else 0 for a in range(rank)]
            others = b.section(tail, begin, [size - 1 if a == axis else d for a, d in enumerate(tail.shape)],
                               [-1 if a == axis else 1 for a in range(rank)])  # fmt: skip
            tail = b.join([first, others], axis)
        whole = b.join([x, b.make("Conj", tail)], -1)
        result = transformed_along(b, whole, self.count, 1)
        return b.mul(b.parts(result)[0], 1 / max(_total(lengths), 1))

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        x, lengths = node.inputs
        forward = make(self.type[1:], dy, lengths)
        # All but the first and (of an even length) the middle element stand for two.
        last = lengths[-1]
        place = make("Range", 0, shape(forward)[-1], 1)
        single = make("LogicalOr", make("Equal", place, 0), make("Equal", place * 2, last))
        weight = make("SelectV2", single, 1.0, 2.0) / cast(make("Prod", lengths, [0]), float32)
        return [_padded_to(forward * cast(weight, complex64), shape(x), self.count), None]


class IRFFT(InverseRealTransform):
    """The inverse of RFFT."""

    cases = (Case((3, 5), i32(8)), Case((2, 4), i32(7)))


class IRFFT2D(InverseRealTransform):
    """The inverse of RFFT2D."""

    cases = (Case((2, 4, 4), i32(4, 6)), Case((3, 3), i32(3, 5)))
    count = 2


class IRFFT3D(InverseRealTransform):
    """The inverse of RFFT3D."""

    cases = (Case((2, 3, 3), i32(2, 3, 4)),)
    count = 3


# -- public functions --------------------------------------------------------------------------------------------------------------


def _complex(op: str, name: str, doc: str) -> Callable[..., Any]:
    def function(input, name=None):
        return make(op, input, name=name)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


fft = _complex("FFT", "fft", "The discrete Fourier transform along the last dimension of a complex tensor.")
ifft = _complex("IFFT", "ifft", "The inverse of fft.")
fft2d = _complex("FFT2D", "fft2d", "The discrete Fourier transform along the last two dimensions.")
ifft2d = _complex("IFFT2D", "ifft2d", "The inverse of fft2d.")
fft3d = _complex("FFT3D", "fft3d", "The discrete Fourier transform along the last three dimensions.")
ifft3d = _complex("IFFT3D", "ifft3d", "The inverse of fft3d.")


def _of_real(op: str, name: str, inverse: bool, doc: str) -> Callable[..., Any]:
    count = REAL_COUNTS[op.lstrip("I")]
    default = name

    def function(input_tensor, fft_length=None, name=None):
        with name_scope(name, default, [input_tensor, fft_length]) as scope:
            x = convert_to_tensor(input_tensor, complex64 if inverse else float32)
            x.shape.with_rank_at_least(count)
            lengths = _inferred(x, count, inverse) if fft_length is None else convert_to_tensor(fft_length, int32)
            return make(op, _long_enough(x, lengths, count, inverse), lengths, name=scope)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


REAL_COUNTS = {"RFFT": 1, "RFFT2D": 2, "RFFT3D": 3}


def _inferred(x: Any, count: int, inverse: bool) -> Any:
    """The lengths that go with a whole input."""
    dims = x.shape.as_list()[-count:] if x.shape.ndims is not None else [None]
    if None in dims:
        lengths = shape(x)[-count:]
        last = make("Maximum", 0, (lengths[-1:] - 1) * 2) if inverse else lengths[-1:]
        return concat([lengths[:-1], last], 0)
    if inverse:
        dims[-1] = max(0, 2 * (dims[-1] - 1))
    return convert_to_tensor(dims, int32)


def _long_enough(x: Any, lengths: Any, count: int, inverse: bool) -> Any:
    """x with zeros up to the lengths, where it is shorter."""
    rank = x.shape.ndims
    if rank is None:
        raise ValueError("a Fourier transform needs a tensor of known rank")
    wanted = concat([lengths[:-1], lengths[-1:] // 2 + 1], 0) if inverse else lengths
    known = contents(wanted.spec)
    dims = x.shape.as_list()[-count:]
    if known is not None and None not in dims and all(isinstance(w, int) and w <= d for w, d in zip(map(int, known), dims, strict=True)):
        return x
    missing = make("Maximum", 0, wanted - shape(x)[-count:])
    after = concat([np.zeros(rank - count, np.int32), missing], 0)
    return pad(x, make("Pack", [np.zeros(rank, np.int32), after], axis=1))


rfft = _of_real("RFFT", "rfft", False, "The transform of a float32 tensor along the last dimension: fft_length / 2 + 1 complex numbers.")
rfft2d = _of_real("RFFT2D", "rfft2d", False, "The transform of a float32 tensor along the last two dimensions.")
rfft3d = _of_real("RFFT3D", "rfft3d", False, "The transform of a float32 tensor along the last three dimensions.")
irfft = _of_real("IRFFT", "irfft", True, "The inverse of rfft.")
irfft2d = _of_real("IRFFT2D", "irfft2d", True, "The inverse of rfft2d.")
irfft3d = _of_real("IRFFT3D", "irfft3d", True, "The inverse of rfft3d.")
