"""Kernels of the factorisations with triangles: Cholesky's, LU with partial pivoting, and the solution of triangular systems.

Each takes batches of matrices and gives a thread whole matrices. `pairs` marks complex matrices, their parts in the last dimension.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.dtypes import float32, float64, int32
from graphflow.graph.op import Case, TensorSpec
from graphflow.kernel.expr import as_index, call, cast, const, position, select
from graphflow.kernel.nodes import Mode
from graphflow.ops.families import Kernelised
from graphflow.ops.linalg.numbers import Writer
from graphflow.ops.parts import interleaved, paired

NOT_INVERTIBLE = "Input matrix is not invertible."
NOT_POSITIVE = "Cholesky decomposition was not successful. The input might not be valid."


def random_matrices(*shape: int, seed: int = 0, shift: float = 0.0) -> np.ndarray[Any, Any]:
    """Test matrices: numbers between -1 and 1, `shift` added to the diagonal."""
    x = np.random.RandomState(seed).uniform(-1, 1, shape)
    return x + shift * np.eye(*shape[-2:])


def definite_matrices(*shape: int) -> np.ndarray[Any, Any]:
    """Positive definite test matrices."""
    x = random_matrices(*shape)
    return x @ np.swapaxes(x, -1, -2) + np.eye(shape[-1])


def paired_matrices(*shape: int, seed: int = 0, definite: bool = False) -> np.ndarray[Any, Any]:
    """Complex test matrices with their parts in the last dimension."""
    x = random_matrices(*shape, seed=seed) + 1j * random_matrices(*shape, seed=seed + 1)
    return interleaved(x @ np.conj(np.swapaxes(x, -1, -2)) + np.eye(shape[-1]) if definite else x + 2 * np.eye(*shape[-2:]))


class MatrixKernel(Kernelised, abstract=True):
    """Base of the kernels: `numpy_(matrices…)` gives the reference on plain (real or complex) matrices."""

    core = True
    types = {"T": (float32, float64)}

    def numpy_(self, *matrices: Any) -> Any:
        raise NotImplementedError

    def reference(self, *inputs: Any) -> Any:
        pairs: bool = self.pairs  # type: ignore[attr-defined]
        results = self.numpy_(*[paired(x) if pairs and x.dtype.kind == "f" else x for x in inputs])
        if isinstance(results, tuple):
            return tuple(self._given(r, inputs[0].dtype) for r in results)
        return self._given(results, inputs[0].dtype)

    def _given(self, result: Any, dtype: Any) -> Any:
        if result.dtype.kind == "c":
            result = interleaved(result)
        return result if result.dtype.kind == "i" else result.astype(dtype)


class CholeskyFactor(MatrixKernel):
    """The lower triangular L with L L^H = input, of which the lower triangle is read. A matrix that is not positive definite fails the
    step."""

    arguments = ("x: T",)
    results = ("y: T",)
    pairs: bool = False
    cases = (
        Case(definite_matrices(5, 5)), Case(definite_matrices(2, 3, 3)), Case((0, 0)),
        Case(paired_matrices(2, 4, 4, definite=True), pairs=True),
        Case(definite_matrices(17, 17)), Case([[1.0, 2.0], [2.0, 1.0]], error=("InvalidArgumentError", NOT_POSITIVE)),
    )  # fmt: skip

    def infer(self, x: TensorSpec) -> TensorSpec:
        return TensorSpec(x.dtype, x.dims)

    def numpy_(self, x: Any) -> Any:
        lower = np.tril(x, -1)
        diagonal = np.real(np.einsum("...ii->...i", x))[..., None] * np.eye(x.shape[-1])
        return np.linalg.cholesky(lower + np.conj(np.swapaxes(lower, -1, -2)) + diagonal)

    def lower(self, k: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        w = Writer(k, inputs[0].type, self.pairs)
        xs, ys = w.matrices(inputs[0]), w.matrices(outputs[0])
        n = xs.rows
        with k.loop("matrix", xs.count, Mode.PARALLEL) as number:
            x, y = xs[number], ys[number]
            with k.loop("i", n) as i:
                with k.loop("j", i) as j:
                    rest = w.var("rest", x.get(i, j))
                    with w.lanes(j) as t:
                        w.accumulate(rest, -(y.get(i, t) * y.get(j, t).conj()))
                    y.put(i, j, rest.times(1 / y.get(j, j).re))
                rest = k.var("rest", x.get(i, i).re)
                with w.lanes(i) as t:
                    k.accumulate(rest, "add", -y.get(i, t).square())
                pivot = k.check("InvalidArgumentError", NOT_POSITIVE, rest > 0, cast(rest, "i64"), rest)
                y.put(i, i, w.number(0)._replace(re=call("sqrt", pivot)))
                with w.lanes(n - i - 1) as t:
                    y.put(i, i + 1 + t, w.number(0))


class LuFactor(MatrixKernel):
    """L and U of P input = L U in one matrix (the ones of L's diagonal left out), the row of the input that stands in each row of P input,
    and the sign of that permutation. A zero pivot is left to those who divide by it."""

    arguments = ("x: T",)
    results = ("lu: T", "rows: int32", "sign: T")
    pairs: bool = False
    cases = (
        Case(random_matrices(5, 5)), Case(random_matrices(2, 3, 3)), Case((0, 0)), Case(paired_matrices(2, 4, 4), pairs=True),
        Case([[0.0, 1.0], [1.0, 0.0]]), Case(np.zeros((2, 2))), Case(random_matrices(18, 18)),
    )  # fmt: skip

    def infer(self, x: TensorSpec) -> tuple[TensorSpec, ...]:
        assert x.dims is not None
        dims = x.dims[:-1] if self.pairs else x.dims
        return TensorSpec(x.dtype, x.dims), TensorSpec(int32, dims[:-1]), TensorSpec(x.dtype, dims[:-2])

    def numpy_(self, x: Any) -> Any:
        flat = np.array(x).reshape(int(np.prod(x.shape[:-2])), *x.shape[-2:])
        n = x.shape[-1]
        rows, signs = np.empty((len(flat), n), np.int32), np.ones(len(flat))
        for a, order, at in zip(flat, rows, range(len(flat)), strict=True):
            order[:] = np.arange(n)
            for c in range(n):
                best = c + int(np.argmax(np.abs(a[c:, c])))
                if best != c:
                    a[[c, best]], order[[c, best]] = a[[best, c]], order[[best, c]]
                    signs[at] = -signs[at]
                if a[c, c] != 0:
                    a[c + 1 :, c] /= a[c, c]
                    a[c + 1 :, c + 1 :] -= np.outer(a[c + 1 :, c], a[c, c + 1 :])
        return flat.reshape(x.shape), rows.reshape(x.shape[:-1]), signs.reshape(x.shape[:-2])

    def lower(self, k: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        w = Writer(k, inputs[0].type, self.pairs)
        xs, ys, rows, signs = w.matrices(inputs[0]), w.matrices(outputs[0]), outputs[1], outputs[2]
        n = xs.rows
        with k.loop("matrix", xs.count, Mode.PARALLEL) as number:
            x, y = xs[number], ys[number]
            y.copy(x)
            with w.lanes(n) as i:
                k.store(rows, number * n + i, position(i, "i32"))
            sign = k.var("sign", const(1, w.type))
            with k.loop("c", n) as c:
                best = k.var("best", const(-1, w.type))
                chosen = k.var("chosen", position(c))
                with k.loop("i", n - c) as i:
                    size = k.let("size", y.get(c + i, c).square())
                    larger = k.let("larger", best < size)
                    k.set(best, select(larger, size, best))
                    k.set(chosen, select(larger, position(c + i), chosen))
                r = as_index(k.let("r", chosen), 0, n - 1 if isinstance(n, int) else None)
                with w.lanes(n) as j:
                    upper, below = y.get(c, j), y.get(r, j)
                    y.put(c, j, below)
                    y.put(r, j, upper)
                first, other = k.let("first", k.load(rows, number * n + c)), k.let("other", k.load(rows, number * n + r))
                k.store(rows, number * n + c, other)
                k.store(rows, number * n + r, first)
                k.set(sign, select(call("eq", chosen, position(c)), sign, -sign))
                pivot = y.get(c, c)
                zero = k.let("zero", call("eq", pivot.square(), 0))
                with k.loop("i", n - c - 1) as i:
                    row = c + 1 + i
                    below = y.get(row, c)
                    factor = w.let("factor", below.where(zero, below.over(pivot)))
                    y.put(row, c, factor)
                    with k.when(call("not", zero)):
                        y.add_row(row, c, -factor, c + 1, n - c - 1)
            k.store(signs, number, sign)


class TriangularSolution(MatrixKernel):
    """The X with a X = b, a triangular. unit: its diagonal is taken for ones. A zero on the diagonal fails the step with
    `invalid` for a message."""

    arguments = ("a: T", "b: T")
    results = ("x: T",)
    below: bool = True
    unit: bool = False
    pairs: bool = False
    invalid: str = NOT_INVERTIBLE
    cases = (
        Case(random_matrices(5, 5, shift=2), (5, 3)), Case(random_matrices(2, 4, 4, shift=2), (2, 4, 17), below=False),
        Case(random_matrices(4, 4, shift=2), (4, 1), unit=True), Case((0, 0), (0, 2)),
        Case(paired_matrices(2, 3, 3), paired_matrices(2, 3, 2, seed=5), pairs=True),
        Case([[1.0, 0.0], [1.0, 0.0]], (2, 1), error=("InvalidArgumentError", NOT_INVERTIBLE)),
    )  # fmt: skip

    def infer(self, a: TensorSpec, b: TensorSpec) -> TensorSpec:
        return TensorSpec(b.dtype, b.dims)

    def numpy_(self, a: Any, b: Any) -> Any:
        triangle = np.tril(a) if self.below else np.triu(a)
        if self.unit:
            eye = np.eye(a.shape[-1])
            triangle = triangle * (1 - eye) + eye
        return np.linalg.solve(triangle, b)

    def lower(self, k: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        w = Writer(k, inputs[0].type, self.pairs)
        as_, bs, xs = w.matrices(inputs[0]), w.matrices(inputs[1]), w.matrices(outputs[0])
        n, columns = bs.rows, bs.columns
        with k.loop("matrix", bs.count, Mode.PARALLEL) as number:
            a, b, x = as_[number], bs[number], xs[number]
            with k.loop("step", n) as step:
                i = step if self.below else n - 1 - step
                with w.lanes(columns) as j:
                    x.put(i, j, b.get(i, j))
                with k.loop("before", step) as before:
                    other = before if self.below else n - 1 - before
                    x.add_row(i, other, -a.get(i, other), 0, columns)
                if not self.unit:
                    pivot = a.get(i, i)
                    size = k.let("size", pivot.square())
                    valid = call("ne", size, 0)
                    checked = k.check("InvalidArgumentError", self.invalid, valid, const(0, "i64"), pivot.re)
                    pivot = w.let("pivot", pivot._replace(re=checked))
                    with w.lanes(columns) as j:
                        x.put(i, j, x.get(i, j).over(pivot))
