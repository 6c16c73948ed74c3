"""Complex numbers in a Program: pairs of real values.

A kernel computes real numbers only. A complex tensor of shape S is two real values of shape S while it is computed with
(`ProgramBuilder.parts`, `pair`; every op says by `on_parts` what it means for them), so that fusion and contraction need no new type.
Where it must lie in memory as numpy and TensorFlow have it (feeds, fetches, variables, literals, calls of Python) it is one array of
real numbers of shape (*S, 2). Kernels of linear algebra take that as an operand too:

    Paired        real (*S, 2) -> complex S     the same memory
    Interleaved   complex S -> real (*S, 2)     the same memory
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.dtypes import DType, as_dtype, complex64, complex128, float32, float64
from graphflow.graph.op import Case, Kind, Op, TensorSpec

_COMPLEX_OF = {float32: complex64, float64: complex128}


def complex_of(dtype: DType) -> DType:
    """The complex type whose parts are of a real one; TypeError where there is none."""
    if dtype.base_dtype not in _COMPLEX_OF:
        raise TypeError(f"there are no complex numbers of {dtype.name}")
    return _COMPLEX_OF[dtype.base_dtype]


def paired(x: Any) -> Any:
    """A numpy array of complex numbers of one with their parts in the last dimension."""
    pairs = np.ascontiguousarray(x)
    return pairs.view(complex_of(as_dtype(pairs.dtype)).as_numpy_dtype).reshape(pairs.shape[:-1])


def interleaved(x: Any) -> Any:
    """A numpy array with the parts of complex numbers in a further dimension."""
    x = np.asarray(x)
    return np.stack([x.real, x.imag], -1)


class Reinterpretation(Op, abstract=True):
    """The operand's memory as another type."""

    kind = Kind.ALIAS
    core = True
    results = ("y: U",)


class Paired(Reinterpretation):
    """Neighbouring real numbers as complex ones: the last dimension, of size 2, is gone."""

    arguments = ("x: T",)
    cases = (Case((3, 2)), Case((2,)), Case((2, 0, 2)))

    def infer(self, x: TensorSpec) -> TensorSpec:
        assert x.dims is not None
        return TensorSpec(complex_of(x.dtype), x.dims[:-1])

    def reference(self, x: Any) -> Any:
        return paired(x)


class Interleaved(Reinterpretation):
    """Complex numbers as a further dimension: real part, imaginary part."""

    arguments = ("x: T",)
    types = {"T": (complex64, complex128)}
    cases = (Case((3, 2)), Case(()), Case((0, 2)))

    def infer(self, x: TensorSpec) -> TensorSpec:
        assert x.dims is not None
        return TensorSpec(x.dtype.real_dtype, (*x.dims, 2))

    def reference(self, x: Any) -> Any:
        return interleaved(x)
