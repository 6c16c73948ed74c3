"""Kernels of the factorisations with orthogonal matrices: QR by Householder's reflections, singular values and eigenvalues by Jacobi's
rotations, which are slower than the tridiagonal algorithms on large matrices but give every digit on the small ones that programs use.

Sources: Golub and Van Loan, "Matrix Computations", chapters 5 and 8; the sign of a reflection is that of Eigen, which TensorFlow uses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphflow.graph.op import Case, TensorSpec
from graphflow.kernel.expr import TYPES, call, cast, const, position, select
from graphflow.kernel.index import Index, maximum, minimum
from graphflow.kernel.nodes import Mode
from graphflow.ops.linalg.factor import MatrixKernel, paired_matrices, random_matrices
from graphflow.ops.linalg.numbers import Matrix, Number, Writer, rotation


def upright(rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """For each row the factor of absolute value 1 that makes its largest element positive."""
    at = np.argmax(np.abs(rows), -1, keepdims=True) if rows.shape[-1] else np.zeros((*rows.shape[:-1], 1), np.int64)
    largest = np.take_along_axis(rows, at, -1) if rows.shape[-1] else np.ones((*rows.shape[:-1], 1), rows.dtype)
    return np.conj(largest) / np.where(largest == 0, 1, np.abs(largest))


SWEEPS = 40  # over all pairs of columns; ten are enough for most matrices


class QrFactor(MatrixKernel):
    """Q with orthonormal columns and the upper triangular R with Q R = input: full gives a square Q."""

    arguments = ("x: T",)
    results = ("q: T", "r: T")
    full: bool = False
    pairs: bool = False
    cases = (
        Case(random_matrices(5, 3)), Case(random_matrices(3, 5)), Case(random_matrices(2, 4, 4)), Case(random_matrices(5, 3), full=True),
        Case(paired_matrices(2, 4, 3), pairs=True), Case(random_matrices(1, 1)),
    )  # fmt: skip

    def infer(self, x: TensorSpec) -> tuple[TensorSpec, ...]:
        assert x.dims is not None
        *batch, m, n = x.dims[:-1] if self.pairs else x.dims
        tail = (2,) if self.pairs else ()
        p = m if self.full else minimum(m, n)  # type: ignore[arg-type]
        return TensorSpec(x.dtype, (*batch, m, p, *tail)), TensorSpec(x.dtype, (*batch, p, n, *tail))

    def numpy_(self, x: Any) -> Any:
        flat = x.reshape(-1, *x.shape[-2:])
        parts = [np.linalg.qr(a, "complete" if self.full else "reduced") for a in flat]
        q, r = (np.stack([part[i] for part in parts]) for i in (0, 1))
        return q.reshape(*x.shape[:-2], *q.shape[1:]), r.reshape(*x.shape[:-2], *r.shape[1:])

    def lower(self, k: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        w = Writer(k, inputs[0].type, self.pairs)
        xs, qs, rs = w.matrices(inputs[0]), w.matrices(outputs[0]), w.matrices(outputs[1])
        m, n = xs.rows, xs.columns
        steps = minimum(m, n)
        works, taus = w.scratch("work", xs.count, m, n), w.scratch("taus", xs.count, 1, steps)
        sums = w.scratch("sums", xs.count, 1, maximum(n, qs.columns))
        with k.loop("matrix", xs.count, Mode.PARALLEL) as number:
            work, q, r, tau, total = works[number], qs[number], rs[number], taus[number], sums[number]
            work.copy(xs[number])
            with k.loop("c", steps) as c:
                tau.put(0, c, _reflection(k, w, work, c, m))
                _reflect(k, w, work, work, c, tau.get(0, c), total, c + 1, n - c - 1)
            with k.loop("i", r.rows) as i, w.lanes(n) as j:
                above = call("le", k.position(i), k.position(j))
                r.put(i, j, work.get(i, j).where(above, w.number(0)))
            q.identity()
            with k.loop("step", steps) as step:
                c = steps - 1 - step
                _reflect(k, w, q, work, c, tau.get(0, c).conj(), total, 0, q.columns)


def _reflection(k: Any, w: Writer, a: Matrix, c: Index, rows: Index) -> Number:
    """Turn column c, from row c down, into Householder's vector (its leading 1 left out) with the new diagonal element above; gives tau of
    H = 1 - tau v v^H."""
    rest = k.var("rest", const(0, w.type))
    with k.loop("i", rows - c - 1) as i:
        k.accumulate(rest, "add", a.get(c + 1 + i, c).square())
    first = a.get(c, c)
    tiny = const(float(np.finfo(TYPES[w.type]).tiny), w.type)
    nothing = rest <= tiny
    if first.im is not None:
        nothing = nothing & (first.im * first.im <= tiny)
    nothing = k.let("nothing", nothing)
    norm = k.let("norm", call("sqrt", first.square() + rest))
    beta = k.let("beta", select(nothing, first.re, select(first.re < 0, norm, -norm)))
    head = w.let("head", first - w.number(0)._replace(re=beta))
    head = w.let("head", w.number(1).where(nothing, head))
    with k.loop("i", rows - c - 1) as i:
        below = a.get(c + 1 + i, c)
        a.put(c + 1 + i, c, w.number(0).where(nothing, below.over(head)))
    a.put(c, c, w.number(0)._replace(re=beta))
    safe = k.let("safe", select(nothing, 1, beta))
    return w.let("tau", w.number(0).where(nothing, (-head).conj().times(1 / safe)))


def _reflect(k: Any, w: Writer, a: Matrix, vectors: Matrix, c: Index, tau: Number, total: Matrix, start: Index, count: Index) -> None:
    """Apply 1 - tau v v^H, v in column c of `vectors`, to `count` columns of `a` from `start` on."""
    with w.lanes(count) as j:
        total.put(0, j, a.get(c, start + j))
    with k.loop("i", a.rows - c - 1) as i:
        v = vectors.get(c + 1 + i, c)
        with w.lanes(count) as j:
            total.put(0, j, total.get(0, j) + v.conj() * a.get(c + 1 + i, start + j))
    with w.lanes(count) as j:
        total.put(0, j, tau * total.get(0, j))
        a.put(c, start + j, a.get(c, start + j) - total.get(0, j))
    with k.loop("i", a.rows - c - 1) as i:
        v = vectors.get(c + 1 + i, c)
        with w.lanes(count) as j:
            a.put(c + 1 + i, start + j, a.get(c + 1 + i, start + j) - v * total.get(0, j))


class SingularRows(MatrixKernel):
    """One-sided Jacobi: the rows of the input (the columns of a matrix with no more columns than rows) made orthogonal by rotations, the
    rotations applied to an identity matrix, and the lengths of the rows."""

    arguments = ("x: T",)
    results = ("us: T", "v: T", "s: T")
    pairs: bool = False
    cases = (Case(np.diag([3.0, 2.0, 1.0])), Case(np.eye(2, 3)), Case(np.zeros((2, 2, 2)) + np.eye(2)))

    def infer(self, x: TensorSpec) -> tuple[TensorSpec, ...]:
        assert x.dims is not None
        *batch, n, _ = x.dims[:-1] if self.pairs else x.dims
        tail = (2,) if self.pairs else ()
        return TensorSpec(x.dtype, x.dims), TensorSpec(x.dtype, (*batch, n, n, *tail)), TensorSpec(x.dtype, (*batch, n))

    def numpy_(self, x: Any) -> Any:
        """One of the many answers: the rows in falling order of their lengths, as the cases have them."""
        u, s, v = np.linalg.svd(np.swapaxes(x, -1, -2), full_matrices=False)
        phase = upright(np.conj(v))
        return np.swapaxes(u * s[..., None, :], -1, -2) * phase, np.conj(v) * phase, s

    def lower(self, k: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        w = Writer(k, inputs[0].type, self.pairs)
        xs, us, vs, lengths = w.matrices(inputs[0]), w.matrices(outputs[0]), w.matrices(outputs[1]), outputs[2]
        n, width = xs.rows, xs.columns
        limit = const(float(np.finfo(TYPES[w.type]).eps), w.type)
        with k.loop("matrix", xs.count, Mode.PARALLEL) as number:
            u, v = us[number], vs[number]
            u.copy(xs[number])
            v.identity()
            moving = k.var("moving", const(1, "i32"))
            with k.loop("sweep", SWEEPS), k.when(call("ne", moving, 0)):
                k.set(moving, const(0, "i32"))
                with k.loop("p", n) as p, k.loop("distance", n - p - 1) as distance:
                    q = p + 1 + distance
                    alpha, beta = k.var("alpha", const(0, w.type)), k.var("beta", const(0, w.type))
                    gamma = w.var("gamma", w.number(0))
                    with w.lanes(width) as j:
                        x, y = u.get(p, j), u.get(q, j)
                        k.accumulate(alpha, "add", x.square())
                        k.accumulate(beta, "add", y.square())
                        w.accumulate(gamma, x.conj() * y)
                    with k.when(limit * call("sqrt", alpha) * call("sqrt", beta) < call("sqrt", gamma.square())):
                        k.set(moving, const(1, "i32"))
                        c, s = rotation(k, w, alpha, beta, gamma)
                        u.rotate_rows(p, q, c, s)
                        v.rotate_rows(p, q, c, s)
            with k.loop("i", n) as i:
                length = k.var("length", const(0, w.type))
                with w.lanes(width) as j:
                    k.accumulate(length, "add", u.get(i, j).square())
                k.store(lengths, number * n + i, call("sqrt", length))


class EigenRows(MatrixKernel):
    """Jacobi's algorithm for a Hermitian matrix, of which the lower triangle is read: the eigenvalues in no order, and the transposed
    matrix of eigenvectors."""

    arguments = ("x: T",)
    results = ("e: T", "v: T")
    pairs: bool = False
    cases = (Case(np.diag([-2.0, 1.0, 3.0])), Case(np.zeros((2, 2, 2)) + np.eye(2)), Case((0, 0)))

    def infer(self, x: TensorSpec) -> tuple[TensorSpec, ...]:
        assert x.dims is not None
        dims = x.dims[:-1] if self.pairs else x.dims
        return TensorSpec(x.dtype, dims[:-1]), TensorSpec(x.dtype, x.dims)

    def numpy_(self, x: Any) -> Any:
        """One of the many answers: the values in rising order, as the cases have them."""
        values, vectors = np.linalg.eigh(x)
        rows = np.swapaxes(vectors, -1, -2)
        return values, rows * upright(rows)

    def lower(self, k: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        w = Writer(k, inputs[0].type, self.pairs)
        xs, values, vs = w.matrices(inputs[0]), outputs[0], w.matrices(outputs[1])
        n = xs.rows
        works = w.scratch("work", xs.count, n, n)
        limit = const(float(np.finfo(TYPES[w.type]).eps) * 0.25, w.type)
        with k.loop("matrix", xs.count, Mode.PARALLEL) as number:
            x, a, v = xs[number], works[number], vs[number]
            scale = k.var("scale", const(0, w.type))
            with k.loop("i", n) as i:
                with k.loop("j", i) as j:
                    below = x.get(i, j)
                    k.accumulate(scale, "add", 2 * below.square())
                    a.put(i, j, below)
                    a.put(j, i, below.conj())
                middle = x.get(i, i)
                k.accumulate(scale, "add", middle.re * middle.re)
                a.put(i, i, w.number(0)._replace(re=middle.re))
            v.identity()
            # What is this much smaller than the whole matrix moves no eigenvalue by a digit.
            bound = k.let("bound", limit * call("sqrt", scale))
            moving = k.var("moving", const(1, "i32"))
            with k.loop("sweep", SWEEPS), k.when(call("ne", moving, 0)):
                k.set(moving, const(0, "i32"))
                with k.loop("p", n) as p, k.loop("distance", n - p - 1) as distance:
                    q = p + 1 + distance
                    gamma = a.get(p, q)
                    with k.when(bound / cast(position(n), w.type) < call("sqrt", gamma.square())):
                        k.set(moving, const(1, "i32"))
                        c, s = rotation(k, w, a.get(p, p).re, a.get(q, q).re, gamma)
                        with w.lanes(n) as i:
                            left, right = a.get(i, p), a.get(i, q)
                            a.put(i, p, left.times(c) - s.conj() * right)
                            a.put(i, q, s * left + right.times(c))
                        a.rotate_rows(p, q, c, s.conj())
                        v.rotate_rows(p, q, c, s)
            with k.loop("i", n) as i:
                k.store(values, number * n + i, a.get(i, i).re)

