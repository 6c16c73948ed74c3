"""The contractions that `kernels.py` measures: matrix products and convolutions, each as a small TensorFlow program."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from benchmarks import workloads


@dataclass(frozen=True)
class Product:
    """op(a) @ op(b) with a result of m x n and depth k. `kind`: "NN", "TN" (a is transposed) or "NT". `batch`: "m" or "k", the size that
    the graph leaves unknown; "" for none."""

    kind: str
    m: int
    n: int
    k: int
    batch: str = ""
    type: str = "float32"

    @property
    def name(self) -> str:
        """Kind, result's rows and columns, depth."""
        return f"{self.kind} {self.m}x{self.n}x{self.k}{_suffix(self.type)}"

    @property
    def columns(self) -> int:
        """How many numbers of a result lie side by side."""
        return self.n

    @property
    def flops(self) -> float:
        """Of one run."""
        return 2.0 * self.m * self.n * self.k

    def build(self, tf: Any) -> tuple[Any, dict[Any, np.ndarray]]:
        """The fetch and what is fed."""
        shape_a, shape_b = [self.m, self.k], [self.k, self.n]
        open_a = [None if s == self.batch else getattr(self, s) for s in "mk"]
        open_b = [None if self.batch == "k" else self.k, self.n]
        turn_a, turn_b = self.kind[0] == "T", self.kind[1] == "T"
        if turn_a:
            shape_a, open_a = shape_a[::-1], open_a[::-1]
        if turn_b:
            shape_b, open_b = shape_b[::-1], open_b[::-1]
        a, b = tf.placeholder(self.type, open_a), tf.placeholder(self.type, open_b)
        return tf.matmul(a, b, transpose_a=turn_a, transpose_b=turn_b), {a: _random(shape_a, self.type), b: _random(shape_b, self.type)}


@dataclass(frozen=True)
class Convolution:
    """A convolution of n images of size x size x inputs with outputs filters of window x window ("conv"), or its gradient of the filters
    ("dW") or of the images ("dX"). `batch`: "n" where the graph leaves the number of images unknown, "" where not."""

    kind: str
    n: int
    size: int
    inputs: int
    window: int
    outputs: int
    stride: int = 1
    padding: str = "SAME"
    batch: str = "n"
    type: str = "float32"

    @property
    def name(self) -> str:
        """Kind, window and channels, size of the image, stride, padding, number of images."""
        stride = f" /{self.stride}" if self.stride > 1 else ""
        layer = f"{self.window}x{self.window}x{self.inputs}x{self.outputs} @{self.size}{stride}"
        return f"{self.kind} {layer} {self.padding} n{self.n}{_suffix(self.type)}"

    @property
    def columns(self) -> int:
        """How many channels a result has."""
        return self.inputs if self.kind == "dX" else self.outputs

    @property
    def out(self) -> int:
        """The size of the convolution's result."""
        return math.ceil((self.size if self.padding == "SAME" else self.size - self.window + 1) / self.stride)

    @property
    def flops(self) -> float:
        """Of one run, products with the zeros around an image included."""
        return 2.0 * self.n * self.out**2 * self.window**2 * self.inputs * self.outputs

    def build(self, tf: Any) -> tuple[Any, dict[Any, np.ndarray]]:
        """The fetch and what is fed."""
        n = None if self.batch else self.n
        images, filters = [self.size, self.size, self.inputs], [self.window, self.window, self.inputs, self.outputs]
        results = [self.out, self.out, self.outputs]
        x, w, dy = (tf.placeholder(self.type, shape) for shape in ([n, *images], filters, [n, *results]))
        values = {
            x: lambda: _random([self.n, *images], self.type), w: lambda: _random(filters, self.type),
            dy: lambda: _random([self.n, *results], self.type),
        }  # fmt: skip
        options = {"strides": [1, self.stride, self.stride, 1], "padding": self.padding}
        if self.kind == "conv":
            fetch, used = tf.nn.conv2d(x, w, **options), (x, w)
        elif self.kind == "dW":
            fetch, used = tf.nn.conv2d_backprop_filter(x, filters, dy, **options), (x, dy)
        else:
            fetch, used = tf.nn.conv2d_backprop_input(tf.stack([tf.shape(dy)[0], *images]), w, dy, **options), (w, dy)
        return fetch, {t: values[t]() for t in used}


Row = Product | Convolution


def request(row: Row) -> dict[str, Any]:
    """The row as a peer's process is asked for it."""
    out = {"out": row.out} if isinstance(row, Convolution) else {}
    return {"what": type(row).__name__, **asdict(row), **out}


def fixed(row: Row) -> Row:
    """The same with all sizes known to the graph."""
    return replace(row, batch="")


def _suffix(type_: str) -> str:
    return "" if type_ == "float32" else f" {type_}"


def _random(shape: list[int], type_: str) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(type_)


def layer_products(batch: int, columns: int, depth: int, first: bool) -> Iterator[Product]:
    """A dense layer's three products; the first layer of a net needs two."""
    yield Product("NN", batch, columns, depth, "m")
    yield Product("TN", depth, columns, batch, "k")
    if not first:
        yield Product("NT", batch, depth, columns, "m")


def dense_layers() -> Iterator[Product]:
    """Those of the workloads."""
    for name, batch in workloads.CASES:
        for rows, columns, depth, first in workloads.LAYERS[name]:
            if rows == 1 or name.startswith("lstm"):
                yield from layer_products(batch, columns, depth, first)


CONVOLUTIONS = {  # size of the image, channels, window, filters, padding
    "lenet5": [(28, 1, 5, 6, "VALID"), (12, 6, 5, 16, "VALID")],
    "mnistcnn": [(28, 1, 5, 32, "SAME"), (14, 32, 5, 64, "SAME")],
    "cifarcnn": [(32, 3, 3, 32, "SAME"), (16, 32, 3, 32, "SAME"), (8, 32, 3, 32, "SAME")],
}


def convolution_layers() -> Iterator[Convolution]:
    """Those of the workloads; the first layer of a net needs no gradient of its images."""
    for name, batch in workloads.CASES:
        for number, (size, inputs, window, outputs, padding) in enumerate(CONVOLUTIONS.get(name, ())):
            for kind in ("conv", "dW", "dX")[: 3 if number else 2]:
                yield Convolution(kind, batch, size, inputs, window, outputs, 1, padding)


def groups() -> dict[str, list[Row]]:
    """All rows, by what they are to show."""
    kinds = ("NN", "TN", "NT")
    directions = ("conv", "dW", "dX")
    squares: list[Row] = [Product(kind, s, s, s) for s in (64, 128, 256, 512, 1024) for kind in kinds]
    grid = itertools.product((3, 1), (16, 32, 64, 128, 256), (1, 2), ("SAME", "VALID"), directions)
    sized: list[Row] = [
        Convolution(kind, 8 if channels > 64 else 16, 14 if channels > 64 else 28, channels, window, channels, stride, padding)
        for window, channels, stride, padding, kind in grid
    ]
    few: list[Row] = [Product("NN", 128, c, 512, "m") for c in (1, 3, 6, 10, 16)]
    few += [Product("TN", 512, c, 128, "k") for c in (1, 3, 6, 10, 16)]
    few += [Convolution(kind, 16, 28, *((c, 3, 32) if kind == "dX" else (32, 3, c))) for c in (1, 3, 6, 10, 16) for kind in directions]
    few += [Convolution(kind, 16, 28, c, 3, 32) for c in (1, 3, 6, 10, 16) for kind in ("conv", "dW")]
    double: list[Row] = [Product(kind, s, s, s, type="float64") for s in (64, 256, 512) for kind in kinds]
    double += [Convolution(kind, 16, 14, 32, 3, 32, type="float64") for kind in directions]
    return {
        "square": squares, "dense": list(dict.fromkeys(dense_layers())), "convolution": list(convolution_layers()), "sized": sized,
        "few": list(dict.fromkeys(few)), "float64": double,
    }  # fmt: skip
