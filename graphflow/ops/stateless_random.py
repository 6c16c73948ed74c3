"""Random tensors that depend on nothing but the seeds they are given: `tf.random.stateless_uniform` and its like.

TensorFlow scrambles the two seeds by one Philox block (stateless_random_ops.cc), which gives the key and the upper half of the counter of a
stream; from there on the numbers are those of the ops with a state (ops/random.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphflow.dtypes import INDEX, REAL, DType, as_dtype, float32, float64, int32, int64, uint32, uint64
from graphflow.graph.build import convert, make, name_scope
from graphflow.graph.op import Case, TensorSpec
from graphflow.kernel.expr import Expr, cast, const
from graphflow.kernel.nodes import Buffer
from graphflow.ops import philox
from graphflow.ops.families import Composite, Elementwise
from graphflow.ops.random import InRange, PhiloxNumbers, TruncatedNumbers, dims_of, number_of_elements, scaled, spread
from graphflow.ops.random_choice import Multinomial
from graphflow.ops.sizes import need_rank

if TYPE_CHECKING:
    from graphflow.kernel.builder import KernelBuilder

__all__: list[str] = []

SCRAMBLE = 0x02461E29_3EC8F720  # the key of the block that scrambles seeds
_SEEDS = np.array([3, -5], np.int64)


class ScrambledSeeds(Elementwise):
    """Half of the block that two seeds give: the key of a stream (half 0), or the upper half of its counter (1)."""

    core = True
    arguments = ("seed: int64", "seed2: int64")
    results = ("number: uint64",)
    differentiable = False
    half: int
    cases = tuple(Case(np.int64(3), np.int64(-5), half=half) for half in (0, 1))

    def reference(self, seed: Any, seed2: Any) -> Any:
        (words,) = philox.numpy_blocks([int(seed) & (1 << 64) - 1], SCRAMBLE, int(seed2) & (1 << 64) - 1)
        low, high = (int(w) for w in words[2 * self.half : 2 * self.half + 2])
        return np.uint64(high << 32 | low)

    def scalar(self, seed: Expr, seed2: Expr) -> Expr:
        key = const(SCRAMBLE & 0xFFFFFFFF, "u32"), const(SCRAMBLE >> 32, "u32")
        words = philox.block(*philox.halves(cast(seed, "u64")), (*key, *philox.halves(cast(seed2, "u64"))))
        low, high = words[2 * self.half : 2 * self.half + 2]
        return cast(high, "u64") << 32 | cast(low, "u64")


class StatelessNumbers(PhiloxNumbers):
    """The random number at a position of the stream with a key and an upper half of its counter."""

    run_time = ()
    arguments = ("position: int64", "key: uint64", "upper: uint64")
    distribution: str
    dtype: DType
    seed: int = 0
    seed2: int = 0
    cases = tuple(
        Case(np.arange(33), np.uint64(5), np.uint64(2**40 + 7), distribution=d, dtype=t)
        for d, t in (("uniform", float32), ("normal", float32), ("uniform", float64), ("bits", uint32), ("bits", uint64))
    )  # fmt: skip

    def reference(self, position: Any, key: Any, upper: Any) -> Any:
        return self._numbers(np.asarray(position, np.int64), 0, int(key), int(upper))

    def scalar(self, place: Expr, key: Expr, upper: Expr) -> Expr:
        return self._number(place, const(0, "u64"), (*philox.halves(key), *philox.halves(upper)))


class StatelessTruncatedNumbers(TruncatedNumbers):
    """`count` normal numbers within two deviations, from the stream with a key and an upper half of its counter."""

    run_time = ("count",)
    arguments = ("key: uint64", "upper: uint64")
    count: Any
    dtype: DType
    seed: int = 0
    seed2: int = 0
    cases = tuple(Case(np.uint64(5), np.uint64(2**40 + 7), count=n, dtype=t) for n, t in ((33, float32), (30, float64)))

    def reference(self, key: Any, upper: Any) -> Any:
        return self._drawn(0, int(key), int(upper))

    def lower(self, k: KernelBuilder, inputs: Sequence[Buffer], outputs: Sequence[Buffer]) -> None:
        (key, upper), (out,) = inputs, outputs
        words = (*philox.halves(k.load(key, 0)), *philox.halves(k.load(upper, 0)))
        self._fill(k, out, words, lambda: const(0, "u64"))


def _stream(b: Any, seed: Any) -> tuple[Any, Any]:
    """The key and the upper half of the counter that a vector of two seeds gives."""
    seeds = [b.view(b.section(b.cast(seed, int64), (n,), (1,)), ()) for n in (0, 1)]
    key, upper = (b.apply(ScrambledSeeds(half), *seeds) for half in (0, 1))
    return key, upper


def _stream_by_numpy(seed: Any) -> tuple[Any, Any]:
    first, second = (np.int64(n) for n in np.asarray(seed))
    return ScrambledSeeds(0).reference(first, second), ScrambledSeeds(1).reference(first, second)


def _need_two(seed: TensorSpec) -> None:
    need_rank(seed, 1)
    if seed.dims is not None and seed.dims[0] not in (None, 2):
        raise ValueError(f"seed must have shape [2], not [{seed.dims[0]}]")


class StatelessFill(Composite, abstract=True):
    """Base of the ops that fill a new tensor of a given shape from given seeds."""

    arguments = ("shape: T", "seed: Tseed")
    results = ("output: dtype",)
    types = {"T": INDEX, "Tseed": INDEX}
    differentiable = False
    dtype: DType = float32
    cases = tuple(
        Case(shape, _SEEDS, dtype=dtype) for shape, dtype in (([3, 5], float32), ([0, 4], float32), ([65], float64), ([], float32))
    )

    def infer(self, shape: TensorSpec, seed: TensorSpec) -> TensorSpec:
        need_rank(shape, 1, "shape must be a vector")
        _need_two(seed)
        return TensorSpec(self.dtype, dims_of(shape))

    def reference(self, shape: Any, seed: Any) -> Any:
        dims = tuple(int(d) for d in np.asarray(shape).ravel())
        return self.numbers(int(np.prod(dims)), *_stream_by_numpy(seed)).reshape(dims)

    def numbers(self, count: int, key: Any, upper: Any) -> Any:
        """`count` numbers by numpy."""
        raise NotImplementedError

    def decompose(self, b: Any, shape: Any, seed: Any) -> Any:
        dims = b.sizes(shape)
        return b.view(self.filled(b, *_stream(b, seed), number_of_elements(dims)), dims)

    def filled(self, b: Any, key: Any, upper: Any, count: Any) -> Any:
        """The elements as a vector."""
        raise NotImplementedError


class StatelessRandomUniform(StatelessFill):
    """Numbers spread evenly over [0, 1)."""

    distribution = "uniform"

    def numbers(self, count: int, key: Any, upper: Any) -> Any:
        return StatelessNumbers(self.distribution, self.dtype).reference(np.arange(count), key, upper)

    def filled(self, b: Any, key: Any, upper: Any, count: Any) -> Any:
        return b.apply(StatelessNumbers(self.distribution, self.dtype), b.iota((count,), 0, int64), key, upper)


class StatelessRandomNormal(StatelessRandomUniform):
    """Numbers with the normal distribution of mean 0 and deviation 1."""

    distribution = "normal"


class StatelessTruncatedNormal(StatelessFill):
    """Normal numbers of which none is farther than two deviations from the mean."""

    def numbers(self, count: int, key: Any, upper: Any) -> Any:
        return StatelessTruncatedNumbers(count, self.dtype).reference(key, upper)

    def filled(self, b: Any, key: Any, upper: Any, count: Any) -> Any:
        return b.apply(StatelessTruncatedNumbers(count, self.dtype), key, upper)


class StatelessRandomUniformInt(Composite):
    """Whole numbers spread evenly over [minval, maxval)."""

    arguments = ("shape: T", "seed: Tseed", "minval: dtype", "maxval: dtype")
    results = ("output: dtype",)
    types = {"dtype": (int32, int64), "T": INDEX, "Tseed": INDEX}
    differentiable = False
    cases = (Case([3, 5], _SEEDS, np.int32(-3), np.int32(10)), Case([65], _SEEDS, np.int64(0), np.int64(2**40)))

    def infer(self, shape: TensorSpec, seed: TensorSpec, minval: TensorSpec, maxval: TensorSpec) -> TensorSpec:
        _need_two(seed)
        for bound in (minval, maxval):
            need_rank(bound, 0)
        return TensorSpec(minval.dtype, dims_of(shape))

    def _bits(self, dtype: Any) -> StatelessNumbers:
        return StatelessNumbers("bits", uint64 if dtype == int64 else uint32)

    def reference(self, shape: Any, seed: Any, minval: Any, maxval: Any) -> Any:
        dims = tuple(int(d) for d in np.asarray(shape).ravel())
        bits = self._bits(np.asarray(minval).dtype).reference(np.arange(int(np.prod(dims))), *_stream_by_numpy(seed))
        return InRange().reference(bits, minval, maxval).reshape(dims)

    def decompose(self, b: Any, shape: Any, seed: Any, minval: Any, maxval: Any) -> Any:
        dims = b.sizes(shape)
        bits = b.apply(self._bits(minval.dtype), b.iota((number_of_elements(dims),), 0, int64), *_stream(b, seed))
        return b.view(b.apply(InRange(), bits, minval, maxval), dims)


class StatelessMultinomial(Multinomial):
    """`num_samples` class numbers for each row of unnormalised log-probabilities."""

    arguments = ("logits: T", "num_samples: int32", "seed: Tseed")
    types = {"T": REAL, "Tseed": INDEX}
    effect = Composite.effect
    cases = (Case((3, 5), np.array(7, np.int32), _SEEDS), Case((1, 33), np.array(4, np.int32), _SEEDS, output_dtype=int32))

    def infer(self, logits: TensorSpec, num_samples: TensorSpec, seed: TensorSpec) -> TensorSpec:
        _need_two(seed)
        return super().infer(logits, num_samples)

    def reference(self, logits: Any, num_samples: Any, seed: Any) -> Any:
        x = np.asarray(logits, np.float64)
        rows, samples = x.shape[0], int(num_samples)
        numbers = StatelessNumbers("uniform", float64).reference(np.arange(rows * samples), *_stream_by_numpy(seed))
        return self._by_numpy(x, numbers.reshape(rows, samples))

    def decompose(self, b: Any, logits: Any, num_samples: Any, seed: Any) -> Any:
        rows, (samples,) = logits.shape[0], b.sizes(num_samples)
        numbers = b.apply(StatelessNumbers("uniform", float64), b.iota((rows * samples,), 0, int64), *_stream(b, seed))
        return self._chosen(b, logits, b.view(numbers, (rows, samples)))


def stateless_random_uniform(shape, seed, minval=0, maxval=None, dtype=float32, name=None):
    """Numbers spread evenly over [minval, maxval), the same for the same two seeds."""
    return spread(
        name, "stateless_random_uniform", shape, minval, maxval, dtype,
        lambda kind, dims, *bounds, **fields: make("StatelessRandomUniform" + kind, dims, seed, *bounds, **fields), also=[seed],
    )  # fmt: skip


def stateless_random_normal(shape, seed, mean=0.0, stddev=1.0, dtype=float32, name=None):
    """Numbers with a normal distribution, the same for the same two seeds."""
    return _scaled("stateless_random_normal", "StatelessRandomNormal", shape, seed, mean, stddev, dtype, name)


def stateless_truncated_normal(shape, seed, mean=0.0, stddev=1.0, dtype=float32, name=None):
    """Numbers with a normal distribution, none farther than two deviations from the mean, the same for the same two seeds."""
    return _scaled("stateless_truncated_normal", "StatelessTruncatedNormal", shape, seed, mean, stddev, dtype, name)


def _scaled(default: str, op: str, shape: Any, seed: Any, mean: Any, stddev: Any, dtype: Any, name: str | None) -> Any:
    return scaled(name, default, shape, mean, stddev, dtype, lambda dims, kind: make(op, dims, seed, dtype=kind), also=[seed])


def stateless_categorical(logits, num_samples, seed, dtype=int64, name=None):
    """Class numbers drawn from each row of unnormalised log-probabilities, the same for the same two seeds."""
    with name_scope(name, "stateless_categorical", [logits, seed]):
        return make("StatelessMultinomial", convert(logits, name="logits"), num_samples, seed, output_dtype=as_dtype(dtype))


def stateless_multinomial(logits, num_samples, seed, output_dtype=int64, name=None):
    """As stateless_categorical."""
    with name_scope(name, "stateless_multinomial", [logits, seed]):
        return make("StatelessMultinomial", convert(logits, name="logits"), num_samples, seed, output_dtype=as_dtype(output_dtype))
