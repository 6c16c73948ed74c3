"""What the kernels of linear algebra are written with: numbers that are real or complex, and batches of matrices in a buffer.

A kernel says `x * y.conj()` once. For a real matrix that is one expression, for a complex one (its parts in the buffer's last dimension)
two. Everything read from memory is bound to a local at once, so that a later store cannot change what an expression means.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from graphflow.kernel.expr import Expr, call, const, select
from graphflow.kernel.index import Index, product
from graphflow.kernel.nodes import Mode


class Number(NamedTuple):
    """A number under computation; `im` is None where it is real."""

    re: Expr
    im: Expr | None = None

    def __add__(self, other: Any) -> Number:
        return Number(self.re + other.re, None if self.im is None else self.im + other.im)

    def __sub__(self, other: Any) -> Number:
        return Number(self.re - other.re, None if self.im is None else self.im - other.im)

    def __mul__(self, other: Any) -> Number:
        if self.im is None or other.im is None:
            return Number(self.re * other.re)
        return Number(self.re * other.re - self.im * other.im, self.re * other.im + self.im * other.re)

    def __neg__(self) -> Number:
        return Number(-self.re, None if self.im is None else -self.im)

    def conj(self) -> Number:
        return Number(self.re, None if self.im is None else -self.im)

    def times(self, factor: Expr) -> Number:
        """The product with a real number."""
        return Number(self.re * factor, None if self.im is None else self.im * factor)

    def over(self, divisor: Number) -> Number:
        """The quotient."""
        if divisor.im is None:
            return Number(self.re / divisor.re, None if self.im is None else self.im / divisor.re)
        size = divisor.square()
        product_ = self * divisor.conj()
        return Number(product_.re / size, None if product_.im is None else product_.im / size)

    def square(self) -> Expr:
        """|x|^2"""
        return self.re * self.re if self.im is None else self.re * self.re + self.im * self.im

    def where(self, condition: Expr, other: Number) -> Number:
        """This number where the condition holds, else the other one."""
        return Number(select(condition, self.re, other.re), None if self.im is None else select(condition, self.im, other.im))


class Writer:
    """A KernelBuilder with numbers for values. `pairs`: whether the kernel is one of complex numbers."""

    def __init__(self, k: Any, type_: str, pairs: bool) -> None:
        self.k = k
        self.type = type_
        self.pairs = pairs

    def number(self, value: float) -> Number:
        """A real literal as a number of the kernel's kind."""
        return Number(const(value, self.type), const(0, self.type) if self.pairs else None)

    def let(self, name: str, x: Number) -> Number:
        """A name for a number."""
        return Number(self.k.let(name, x.re), None if x.im is None else self.k.let(name + "i", x.im))

    def var(self, name: str, x: Number) -> Number:
        """A mutable number and its first value."""
        return Number(self.k.var(name, x.re), None if x.im is None else self.k.var(name + "i", x.im))

    def accumulate(self, target: Number, x: Number) -> None:
        """target += x, also across the lanes of a vector loop."""
        self.k.accumulate(target.re, "add", x.re)
        if target.im is not None and x.im is not None:
            self.k.accumulate(target.im, "add", x.im)

    def matrices(self, buffer: Any) -> Matrices:
        """A buffer as a batch of matrices."""
        return Matrices(self, buffer)

    def scratch(self, name: str, count: Index, rows: Index, columns: Index) -> Matrices:
        """Room for a matrix of every batch element."""
        shape = (count, rows, columns, 2) if self.pairs else (count, rows, columns)
        return Matrices(self, self.k.scratch(name, self.type, shape))

    @contextmanager
    def lanes(self, extent: Index) -> Iterator[Any]:
        """A loop on vector lanes."""
        with self.k.loop("lane", extent, Mode.VECTOR) as at:
            yield at


class Matrices:
    """Matrices in a buffer (..., rows, columns), with a last dimension of 2 for complex numbers."""

    def __init__(self, writer: Writer, buffer: Any) -> None:
        shape = buffer.shape[:-1] if writer.pairs else buffer.shape
        self.writer, self.buffer = writer, buffer
        self.rows, self.columns = shape[-2:]
        self.count = product(shape[:-2])

    def __getitem__(self, number: Index) -> Matrix:
        return Matrix(self, number)


class Matrix:
    """One matrix of a batch."""

    def __init__(self, batch: Matrices, number: Index) -> None:
        self.writer, self.buffer = batch.writer, batch.buffer
        self.rows, self.columns = batch.rows, batch.columns
        self.start = number * batch.rows * batch.columns

    def get(self, i: Index, j: Index) -> Number:
        """The element in row i and column j, as it is now."""
        k, at = self.writer.k, self.start + i * self.columns + j
        if not self.writer.pairs:
            return Number(k.let("x", k.load(self.buffer, at)))
        return Number(k.let("x", k.load(self.buffer, at * 2)), k.let("xi", k.load(self.buffer, at * 2 + 1)))

    def put(self, i: Index, j: Index, x: Number) -> None:
        """Change an element."""
        k, at = self.writer.k, self.start + i * self.columns + j
        if not self.writer.pairs:
            k.store(self.buffer, at, x.re)
            return
        k.store(self.buffer, at * 2, x.re)
        k.store(self.buffer, at * 2 + 1, const(0, x.re.type) if x.im is None else x.im)

    def copy(self, other: Matrix) -> None:
        """Take over all elements of a matrix of the same shape."""
        with self.writer.k.loop("row", self.rows) as i, self.writer.lanes(self.columns) as j:
            self.put(i, j, other.get(i, j))

    def identity(self) -> None:
        """Become the identity matrix, as far as it goes."""
        k = self.writer.k
        with k.loop("row", self.rows) as i:
            with self.writer.lanes(self.columns) as j:
                same = call("eq", k.position(i), k.position(j))
                self.put(i, j, self.writer.number(1).where(same, self.writer.number(0)))

    def add_row(self, target: Index, source: Index, factor: Number, start: Index, count: Index) -> None:
        """row target += factor * row source, for `count` columns from `start` on."""
        with self.writer.lanes(count) as j:
            self.put(target, start + j, self.get(target, start + j) + factor * self.get(source, start + j))

    def rotate_rows(self, p: Index, q: Index, c: Expr, s: Number) -> None:
        """rows p, q := c p - conj(s) q, s p + c q"""
        with self.writer.lanes(self.columns) as j:
            x, y = self.get(p, j), self.get(q, j)
            self.put(p, j, x.times(c) - s.conj() * y)
            self.put(q, j, s * x + y.times(c))


def rotation(k: Any, writer: Writer, alpha: Expr, beta: Expr, gamma: Number) -> tuple[Expr, Number]:
    """The cosine and (complex) sine of Jacobi's rotation that makes the off-diagonal element gamma of [[alpha, gamma], [., beta]] zero."""
    size = k.let("size", call("sqrt", gamma.square()))
    zeta = k.let("zeta", (beta - alpha) / (2 * size))
    root = k.let("root", call("sqrt", 1 + zeta * zeta))
    t = k.let("t", select(zeta < 0, -1 / (root - zeta), 1 / (root + zeta)))
    c = k.let("c", 1 / call("sqrt", 1 + t * t))
    return c, writer.let("s", gamma.times(c * t / size))
