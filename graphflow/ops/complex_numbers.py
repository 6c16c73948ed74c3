"""Complex tensors: made of parts, taken apart, conjugated, measured. How they are computed with: ops/parts.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.dtypes import COMPLEX, DType, complex64, complex128, float32, float64
from graphflow.graph.build import convert, make, name_scope
from graphflow.graph.op import Case, TensorSpec
from graphflow.kernel.expr import const
from graphflow.kernel.index import product
from graphflow.kernel.nodes import Mode
from graphflow.ops import complex_arithmetic
from graphflow.ops.broadcast import fit
from graphflow.ops.families import Composite, Kernelised, unravel
from graphflow.ops.parts import interleaved, paired

__all__ = ["angle", "complex", "conj", "imag", "real"]

_ANY = (
    Case((3, 5), dtypes=("complex64",)), Case((), dtypes=("complex128",), Tout=float64), Case((0, 2), dtypes=("complex64",)),
    Case((65,), dtypes=("complex64",)),
)  # fmt: skip


class Complex(Composite):
    """real + i imag, broadcast."""

    arguments = ("real: T", "imag: T")
    results = ("out: Tout",)
    types = {"T": (float32, float64)}
    Tout: DType = complex64
    cases = (
        Case((3, 5), (3, 5), dtypes=("float32",)), Case((), (33,), dtypes=("float32",)),
        Case((2, 1), (3,), dtypes=("float64",), Tout=complex128),
        Case((0,), (1,), dtypes=("float32",)),
    )  # fmt: skip

    def infer(self, real: TensorSpec, imag: TensorSpec) -> TensorSpec:
        from graphflow.graph.dims import broadcast_dims

        if real.dtype != self.Tout.real_dtype:
            raise TypeError(f"Complex makes {self.Tout.name} of {self.Tout.real_dtype.name}, not of {real.dtype.name}")
        return TensorSpec(self.Tout, broadcast_dims(real.dims, imag.dims))

    def reference(self, real: Any, imag: Any) -> Any:
        real, imag = np.broadcast_arrays(real, imag)
        out = np.empty(real.shape, self.Tout.as_numpy_dtype)
        out.real, out.imag = real, imag
        return out

    def decompose(self, b: Any, real: Any, imag: Any) -> Any:
        return b.pair(real, imag)

    def gradient(self, node: Any, dout: Any) -> Sequence[Any]:
        dr, di = (make(part, dout, Tout=self.Tout.real_dtype) for part in ("Real", "Imag"))
        return fit(*node.inputs, dr, di)


class Part(Composite, abstract=True):
    """Base of the functions from complex to real numbers."""

    arguments = ("input: T",)
    results = ("output: Tout",)
    types = {"T": COMPLEX}
    Tout: DType = float32
    cases = _ANY

    def infer(self, input: TensorSpec) -> TensorSpec:
        if self.Tout != input.dtype.real_dtype:
            raise TypeError(f"{self.type} of {input.dtype.name} gives {input.dtype.real_dtype.name}, not {self.Tout.name}")
        return TensorSpec(self.Tout, input.dims)


def _complex(re: Any, im: Any, dtype: DType) -> Any:
    return make("Complex", re, im, Tout=dtype.base_dtype)


class Real(Part):
    """The real part."""

    def reference(self, input: Any) -> Any:
        return np.real(input).copy()

    def decompose(self, b: Any, input: Any) -> Any:
        return b.parts(input)[0]

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [_complex(dy, convert(0, dy.dtype), node.inputs[0].dtype)]


class Imag(Part):
    """The imaginary part."""

    def reference(self, input: Any) -> Any:
        return np.imag(input).copy()

    def decompose(self, b: Any, input: Any) -> Any:
        return b.parts(input)[1]

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [_complex(convert(0, dy.dtype), dy, node.inputs[0].dtype)]


class Angle(Part):
    """The angle to the positive real axis, between -pi and pi."""

    def reference(self, input: Any) -> Any:
        return np.angle(input)

    def decompose(self, b: Any, input: Any) -> Any:
        return complex_arithmetic.argument(b, input)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        x = node.inputs[0]
        zero = convert(0, dy.dtype)
        slope = make("Reciprocal", _complex(make("Imag", x, Tout=self.Tout), make("Real", x, Tout=self.Tout), x.dtype))
        return [make("Mul", make("Neg", _complex(dy, zero, x.dtype)), slope)]


class ComplexAbs(Part):
    """The modulus."""

    arguments = ("x: T",)
    results = ("y: Tout",)

    def reference(self, x: Any) -> Any:
        return np.abs(x)

    def decompose(self, b: Any, x: Any) -> Any:
        return complex_arithmetic.modulus(b, x)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        x = node.inputs[0]
        return [make("Mul", _complex(dy, make("ZerosLike", dy), x.dtype), make("Sign", x))]


class Conj(Composite):
    """The complex conjugate."""

    arguments = ("input: T",)
    types = {"T": COMPLEX}
    cases = (Case((3, 5)), Case(()), Case((0, 2)))

    def infer(self, input: TensorSpec) -> TensorSpec:
        return TensorSpec(input.dtype, input.dims)

    def reference(self, input: Any) -> Any:
        return np.conj(input)

    def decompose(self, b: Any, input: Any) -> Any:
        return complex_arithmetic.conjugate(b, input)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        return [make("Conj", dy)]


class ProductOfPairs(Kernelised):
    """The product over `axes`, which disappear, of complex numbers whose parts stand in the last dimension: what core.Reduce is for real
    ones."""

    core = True
    arguments = ("x: T",)
    results = ("y: T",)
    axes: tuple[int, ...]
    cases = (Case((3, 4, 2), axes=(0,)), Case((2, 3, 4, 2), axes=(0, 2)), Case((3, 0, 2), axes=(1,)), Case((5, 2), axes=(0,)))

    def infer(self, x: TensorSpec) -> TensorSpec:
        assert x.dims is not None
        return TensorSpec(x.dtype, [d for a, d in enumerate(x.dims) if a not in self.axes])

    def reference(self, x: Any) -> Any:
        return interleaved(np.prod(paired(x), self.axes))

    def lower(self, k: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        (x,), (y,) = inputs, outputs
        shape = x.shape[:-1]
        kept = [a for a in range(len(shape)) if a not in self.axes]
        with k.loop("kept", product([shape[a] for a in kept]), Mode.PARALLEL) as place:
            re, im = k.var("re", const(1, x.type)), k.var("im", const(0, x.type))
            with k.loop("reduced", product([shape[a] for a in self.axes])) as step:
                index = dict(zip(kept, unravel(place, tuple(shape[a] for a in kept)), strict=bool(kept)))
                index.update(zip(self.axes, unravel(step, tuple(shape[a] for a in self.axes)), strict=True))
                at = [index[a] for a in range(len(shape))]
                xr, xi = (k.let(n, k.load(x, (*at, p))) for p, n in enumerate(("xr", "xi")))
                pr, pi = k.let("pr", re * xr - im * xi), k.let("pi", re * xi + im * xr)
                k.set(re, pr)
                k.set(im, pi)
            k.store(y, place * 2, re)
            k.store(y, place * 2 + 1, im)


# -- public functions --------------------------------------------------------------------------------------------------------------


def complex(real, imag, name=None):
    """real + i imag: complex64 of float32, complex128 of float64."""
    real = convert(real, name="real")
    imag = convert(imag, name="imag")
    with name_scope(name, "Complex", [real, imag]) as scope:
        types = (real.dtype.base_dtype, imag.dtype.base_dtype)
        found = {(float64, float64): complex128, (float32, float32): complex64}.get(types)
        if found is None:
            raise TypeError(f"real and imag have incorrect types: {real.dtype.name} {imag.dtype.name}")
        return make("Complex", real, imag, Tout=found, name=scope)


def real(input, name=None):
    """The real part: of real numbers, themselves."""
    with name_scope(name, "Real", [input]) as scope:
        input = convert(input, name="input")
        return make("Real", input, Tout=input.dtype.real_dtype, name=scope) if input.dtype.is_complex else input


def imag(input, name=None):
    """The imaginary part: of real numbers, zeros."""
    return _zero_of_reals("Imag", input, name)


def angle(input, name=None):
    """The angle of complex numbers to the positive real axis: of real numbers, zeros."""
    return _zero_of_reals("Angle", input, name)


def _zero_of_reals(part: str, input: Any, name: Any) -> Any:
    with name_scope(name, part, [input]) as scope:
        input = convert(input, name="input")
        if input.dtype.is_complex:
            return make(part, input, Tout=input.dtype.real_dtype, name=scope)
        return make("ZerosLike", input)


def conj(x, name=None):
    """The complex conjugate: of real numbers, themselves."""
    with name_scope(name, "Conj", [x]) as scope:
        x = convert(x, name="x")
        if x.dtype.is_complex:
            return make("Conj", x, name=scope)
        if x.dtype.is_floating or x.dtype.is_integer:
            return x
        raise TypeError(f"Expected numeric or variant tensor, got dtype {x.dtype!r}")
