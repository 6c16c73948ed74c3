"""Random orders and choices: RandomShuffle, Multinomial, and random_crop, which is made of others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphflow.dtypes import REAL, DType, float64, int32, int64
from graphflow.graph.build import convert, make, name_scope
from graphflow.graph.op import Case, TensorSpec
from graphflow.graph.seeds import get_seed
from graphflow.kernel.expr import as_index, call, cast, position
from graphflow.kernel.index import Index, ceildiv
from graphflow.kernel.nodes import Buffer
from graphflow.ops import philox
from graphflow.ops.families import Kernelised
from graphflow.ops.random import RESERVED, PhiloxNumbers, Random, random_uniform, stream
from graphflow.ops.scans import Scan
from graphflow.ops.shape import shape as shape_of
from graphflow.ops.sizes import need_rank

__all__ = [
    "multinomial", "random_crop", "random_shuffle",
]  # fmt: skip

if TYPE_CHECKING:
    from graphflow.kernel.builder import KernelBuilder


class ShuffledOrder(Kernelised):
    """A random order of the numbers below `count`: Fisher and Yates' exchanges from the front, one number of the stream for each."""

    core = True
    run_time = ("seed", "seed2")
    arguments = ("key: uint64", "taken: uint64")
    results = ("order: int64",)
    differentiable = False
    count: Index
    seed: int
    seed2: int
    cases = (Case(np.uint64(5), np.uint64(0), count=33, seed=1, seed2=2), Case(np.uint64(5), np.uint64(3), count=2, seed=0, seed2=0))

    def infer(self, key: TensorSpec, taken: TensorSpec) -> TensorSpec:
        return TensorSpec(int64, (self.count,))

    def reference(self, key: Any, taken: Any) -> Any:
        seed, seed2 = (int(key), 0) if self.seed == self.seed2 == 0 else (self.seed, self.seed2)
        count = int(self.count)  # type: ignore[arg-type]
        numbers = philox.numpy_blocks(np.arange(ceildiv(count, 4), dtype=np.uint64) + np.uint64(taken), seed, seed2).ravel()
        order = np.arange(count)
        for i in range(count - 1):
            j = i + int(numbers[i]) % (count - i)
            order[i], order[j] = order[j], order[i]
        return order

    def lower(self, k: KernelBuilder, inputs: Sequence[Buffer], outputs: Sequence[Buffer]) -> None:
        (key, taken), (order,) = inputs, outputs
        words = philox.seed_words(self.seed, self.seed2, k.load(key, 0))
        with k.loop("place", self.count) as place:
            k.store(order, place, position(place))
        k.next_phase()  # each exchange needs the one before it: one thread
        with k.loop("i", self.count - 1) as i:
            number = k.let("number", k.load(taken, 0) + cast(position(i // 4), "u64"))
            numbers = philox.block(cast(number, "u32"), cast(number >> 32, "u32"), words)
            chosen = k.let("chosen", cast(philox.one_of(numbers, cast(position(i % 4), "u32")), "i64"))
            upper = self.count - 1 if isinstance(self.count, int) else None
            other = as_index(k.let("other", position(i) + call("rem", chosen, position(self.count - i))), 0, upper)
            here, there = k.let("here", k.load(order, i)), k.let("there", k.load(order, other))
            k.store(order, i, there)
            k.store(order, other, here)


class RandomShuffle(Random):
    """The slices along the first axis in a random order."""

    arguments = ("value: T",)
    results = ("output: T",)
    seed: int = 0
    seed2: int = 0
    cases = (
        Case((7,), seed=1, seed2=2), Case((5, 3), seed=1, seed2=2), Case((1, 3), seed=1, seed2=2), Case((0,), seed=1), Case((), seed=1),
    )  # fmt: skip

    def infer(self, value: TensorSpec) -> TensorSpec:
        return TensorSpec(value.dtype, value.dims)

    def reference(self, value: Any) -> Any:
        value = np.asarray(value)
        if value.ndim == 0 or value.shape[0] <= 1 or value.size <= 1:
            return value
        return value[ShuffledOrder(value.shape[0], self.seed, self.seed2).reference(0, 0)]

    def decompose(self, b: Any, value: Any) -> Any:
        count = value.shape[0] if value.shape else 1
        if isinstance(count, int) and count <= 1:
            return value
        key, taken = stream(b, ceildiv(count - 1, 4))
        return b.take(value, b.apply(ShuffledOrder(count, self.seed, self.seed2), key, taken), 0)


class Multinomial(Random):
    """`num_samples` class numbers for each row of unnormalised log-probabilities."""

    arguments = ("logits: T", "num_samples: int32")
    results = ("output: output_dtype",)
    types = {"T": REAL}
    seed: int = 0
    seed2: int = 0
    output_dtype: DType = int64
    cases = (
        Case((3, 5), np.array(7, np.int32), seed=1, seed2=2), Case((1, 33), np.array(4, np.int32), seed=1, seed2=2, output_dtype=int32),
        Case((2, 3), np.array(0, np.int32), seed=1, seed2=2),
    )  # fmt: skip

    def infer(self, logits: TensorSpec, num_samples: TensorSpec) -> TensorSpec:
        need_rank(logits, 2)
        need_rank(num_samples, 0)
        value = None if num_samples.value is None else num_samples.value.ravel()[0]
        samples = int(value) if isinstance(value, np.generic) else value
        return TensorSpec(self.output_dtype, (None if logits.dims is None else logits.dims[0], samples))

    def _uniform(self) -> PhiloxNumbers:
        return PhiloxNumbers("uniform", float64, self.seed, self.seed2)

    def reference(self, logits: Any, num_samples: Any) -> Any:
        x = np.asarray(logits, np.float64)
        rows, samples = x.shape[0], int(num_samples)
        u = self._uniform().reference(np.arange(rows * samples), 0, 0).reshape(rows, samples)
        return self._by_numpy(x, u)

    def _by_numpy(self, x: Any, u: Any) -> Any:
        rows, samples = u.shape
        out = np.zeros((rows, samples), self.output_dtype.as_numpy_dtype)
        for r, row in enumerate(x):
            finite = np.isfinite(row)
            weights = np.where(finite, np.exp(np.where(finite, row, 0) - np.max(row[finite], initial=-np.inf)), 0)
            cumulative = np.cumsum(weights)
            out[r] = np.searchsorted(cumulative, u[r] * cumulative[-1], side="right")
        return out

    def decompose(self, b: Any, logits: Any, num_samples: Any) -> Any:
        rows, (samples,) = logits.shape[0], b.sizes(num_samples)
        key, taken = stream(b, rows * (ceildiv(samples, 4) * 4 * 2) * RESERVED)
        numbers = b.apply(self._uniform(), b.iota((rows * samples,), 0, int64), key, taken)
        return self._chosen(b, logits, b.view(numbers, (rows, samples)))

    def _chosen(self, b: Any, logits: Any, u: Any) -> Any:
        """The classes that numbers of [0, 1) fall into."""
        (rows, classes), samples = logits.shape, u.shape[1]
        if isinstance(classes, int) and classes == 0:
            raise ValueError(f"num_classes should be positive, got {classes}")
        x = b.cast(logits, float64)
        finite = b.make("IsFinite", x)
        largest = b.reduce("max", b.select(finite, x, -np.inf), (1,), keepdims=True)
        weights = b.select(finite, b.exp(b.sub(x, largest)), 0.0)
        cumulative = b.apply(Scan("add", 1), weights)
        total = b.section(cumulative, (0, classes - 1), (rows, 1))
        wanted = b.view(b.mul(u, total), (rows, samples, 1))
        passed = b.less_equal(b.view(cumulative, (rows, 1, classes)), wanted)
        return b.reduce("add", b.cast(passed, self.output_dtype), (2,))


def random_shuffle(value, seed=None, name=None):
    """The slices along the first axis in a random order."""
    first, second = get_seed(seed)
    return make("RandomShuffle", value, name=name, seed=first or 0, seed2=second or 0)


def random_crop(value, size, seed=None, name=None):
    """A part of the given size at a random place."""
    with name_scope(name, "random_crop", [value, size]) as scope:
        value = convert(value, name="value")
        size = convert(size, int32, "size")
        limit = shape_of(value) - size + 1
        offset = random_uniform(shape_of(limit), dtype=size.dtype, maxval=size.dtype.max, seed=seed) % limit
        return make("Slice", value, offset, size, name=scope)


def multinomial(logits, num_samples, seed=None, name=None, output_dtype=None):
    """Class numbers drawn from each row of unnormalised log-probabilities."""
    with name_scope(name, "multinomial", [logits]):
        return _drawn(logits, num_samples, output_dtype, seed)


def categorical(logits, num_samples, dtype=None, seed=None, name=None):
    """Class numbers drawn from each row of unnormalised log-probabilities."""
    with name_scope(name, "categorical", [logits]):
        return _drawn(logits, num_samples, dtype, seed)


def _drawn(logits: Any, num_samples: Any, dtype: Any, seed: int | None) -> Any:
    logits = convert(logits, name="logits")
    first, second = get_seed(seed)
    return make("Multinomial", logits, num_samples, seed=first or 0, seed2=second or 0, output_dtype=dtype or int64)
