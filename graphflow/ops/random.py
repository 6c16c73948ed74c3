"""Random tensors with TensorFlow's own numbers: RandomUniform, RandomStandardNormal, TruncatedNormal, RandomShuffle, Multinomial.

An op owns a stream of Philox blocks; each run takes the next part of it. ops/philox.py says which element is which number of which block,
so most of these ops are elementwise functions of the element's position and fuse with what uses them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphflow.dtypes import FLOATING, INDEX, DType, as_dtype, float16, float32, float64, int32, int64, uint32, uint64
from graphflow.graph.build import convert, make, name_scope
from graphflow.graph.convert import shape_argument
from graphflow.graph.op import Case, Effect, TensorSpec
from graphflow.graph.seeds import get_seed
from graphflow.kernel.expr import Expr, Position, as_index, call, cast, const, position, select, within
from graphflow.kernel.index import Index, ceildiv, minimum, product
from graphflow.kernel.nodes import Buffer, Check, Mode
from graphflow.ops import philox
from graphflow.ops.families import Composite, Elementwise, Kernelised
from graphflow.ops.sizes import need_rank, shown

__all__ = [
    "random_normal", "random_uniform", "truncated_normal",
]  # fmt: skip

if TYPE_CHECKING:
    from graphflow.kernel.builder import KernelBuilder

RESERVED = 256  # blocks that TensorFlow sets aside for each element of a fill, whatever it uses
_CHUNK = 1024  # elements that a thread takes at a time
_TRIES = 16  # blocks a truncated group may take: 32 normal numbers of which four lie within two deviations, up to a chance of 1e-36


class Random(Composite, abstract=True):
    """Base of the ops with a stream of their own. Two seeds of 0 mean random seeds."""

    effect = Effect.RANDOM
    differentiable = False


def number_of_elements(dims: Sequence[Index]) -> Index:
    """The number of elements of a shape; a run whose numbers cannot be counted is refused."""
    count = product(dims)
    if isinstance(count, int) and count >= 1 << 63:
        raise ValueError(f"Shape {shown(dims)} would have more than 2**63 - 1 elements")
    return count


def dims_of(shape: TensorSpec) -> tuple[Any, ...] | None:
    """The dims that a shape operand gives."""
    if shape.value is not None:
        return tuple(None if isinstance(d, int) and d < 0 else d for d in shape.value.ravel().tolist())  # a run refuses sizes below 0
    if shape.dims is not None and len(shape.dims) == 1 and isinstance(shape.dims[0], int):
        return (None,) * shape.dims[0]
    return None


class Fill(Random, abstract=True):
    """Base of the ops that fill a new tensor of a given shape."""

    arguments = ("shape: T",)
    results = ("output: dtype",)
    types = {"T": INDEX}
    seed: int = 0
    seed2: int = 0
    dtype: DType
    cases = tuple(
        Case(shape, dtype=dtype, seed=87654321, seed2=7)
        for shape, dtype in (([3, 5], float32), ([0, 4], float32), ([65], float64), ([7], float16), ([], float32), ([2, 3, 4], float64))
    )  # fmt: skip

    def infer(self, shape: TensorSpec) -> TensorSpec:
        need_rank(shape, 1, "shape must be a vector")
        return TensorSpec(self.dtype, dims_of(shape))

    def reference(self, shape: Any) -> Any:
        dims = tuple(int(d) for d in np.asarray(shape).ravel())
        return self.numbers(int(np.prod(dims))).reshape(dims)

    def numbers(self, count: int) -> Any:
        """The first `count` numbers of the stream, by numpy."""
        raise NotImplementedError

    def decompose(self, b: Any, shape: Any) -> Any:
        dims = b.sizes(shape)
        count = number_of_elements(dims)
        key, taken = stream(b, count * RESERVED)
        return b.view(self.filled(b, key, taken, count), dims)

    def filled(self, b: Any, key: Any, taken: Any, count: Index) -> Any:
        """The elements as a vector."""
        raise NotImplementedError


def stream(b: Any, blocks: Index) -> tuple[Any, Any]:
    """The session's random key for this op, and the number of blocks that it took before; the run is charged with `blocks`."""
    state = b.random_state(blocks)
    return b.view(b.section(state, (0,), (1,)), ()), b.view(b.section(state, (1,), (1,)), ())


class PhiloxNumbers(Elementwise):
    """The random number at a position of a stream. Distributions: "uniform" and "normal", of a float type; "bits", of u32 or u64."""

    core = True
    run_time = ("seed", "seed2")
    arguments = ("position: int64", "key: uint64", "taken: uint64")
    results = ("number: dtype",)
    differentiable = False
    distribution: str
    dtype: DType
    seed: int
    seed2: int
    cases = tuple(
        Case(np.arange(33), np.uint64(5), np.uint64(taken), distribution=d, dtype=t, seed=1, seed2=2)
        for d, t, taken in (
            ("uniform", float32, 0), ("normal", float32, 2**32 - 3), ("uniform", float64, 7), ("normal", float64, 9),
            ("normal", float16, 0),
        )
    )  # fmt: skip

    def infer(self, position: TensorSpec, key: TensorSpec, taken: TensorSpec) -> TensorSpec:
        return TensorSpec(self.dtype, position.dims)

    @property
    def per_block(self) -> int:
        """How many elements a block of four numbers gives."""
        return 2 if self.dtype.size == 8 else 4

    def reference(self, position: Any, key: Any, taken: Any) -> Any:
        position = np.asarray(position, np.int64)
        seed, seed2 = (int(key), 0) if self.seed == self.seed2 == 0 else (self.seed, self.seed2)
        return self._numbers(position, int(taken), seed, seed2)

    def _numbers(self, position: Any, taken: int, lower: int, upper: int) -> Any:
        """By numpy, from the stream with the key `lower` and the upper half of the counter `upper`."""
        n = self.per_block
        blocks = philox.numpy_blocks((position // n).ravel().astype(np.uint64) + np.uint64(taken), lower, upper)
        kind = np.dtype(self.dtype.as_numpy_dtype)
        if self.distribution == "bits":
            rows = blocks if n == 4 else blocks.astype(np.uint64).reshape(-1, 2, 2) @ np.array([1, 1 << 32], np.uint64)
        else:
            rows = (philox.numpy_uniform if self.distribution == "uniform" else philox.numpy_normal)(blocks, kind)
        return np.take_along_axis(rows.reshape(-1, n), (position % n).reshape(-1, 1), 1).reshape(position.shape).astype(kind)

    def scalar(self, place: Expr, key: Expr, taken: Expr) -> Expr:
        return self._number(place, taken, philox.seed_words(self.seed, self.seed2, key))

    def _number(self, place: Expr, taken: Expr, words: philox.Words) -> Expr:
        n = self.per_block
        if isinstance(place, Position):  # as index arithmetic, so that loops can take the elements of a block together
            block, lane = position(place.index // n, "u32"), position(place.index % n, "u32")
        else:
            place = cast(place, "u32")
            block, lane = place >> (1 if n == 2 else 2), place & (n - 1)
        low, high = philox.counted(taken, block)
        numbers = philox.block(low, high, words)
        kind = self.dtype.kernel_type
        assert kind is not None
        if self.distribution == "bits":
            return philox.whole(numbers, lane, kind)
        return (philox.uniform if self.distribution == "uniform" else philox.normal)(numbers, lane, kind)


class RandomUniform(Fill):
    """Numbers spread evenly over [0, 1)."""

    distribution = "uniform"

    def numbers(self, count: int) -> Any:
        op = PhiloxNumbers(self.distribution, self.dtype, self.seed, self.seed2)
        return op.reference(np.arange(count), 0, 0)

    def filled(self, b: Any, key: Any, taken: Any, count: Index) -> Any:
        op = PhiloxNumbers(self.distribution, self.dtype, self.seed, self.seed2)
        return b.apply(op, b.iota((count,), 0, int64), key, taken)


class RandomStandardNormal(RandomUniform):
    """Numbers with the normal distribution of mean 0 and deviation 1."""

    distribution = "normal"


class TruncatedNumbers(Kernelised):
    """`count` normal numbers, those beyond two deviations dropped and drawn again. A group of elements has 256 blocks to draw from."""

    core = True
    run_time = ("count", "seed", "seed2")
    arguments = ("key: uint64", "taken: uint64")
    results = ("numbers: dtype",)
    differentiable = False
    count: Index
    dtype: DType
    seed: int
    seed2: int
    cases = tuple(
        Case(np.uint64(5), np.uint64(taken), count=n, dtype=t, seed=1, seed2=2)
        for n, t, taken in ((33, float32, 0), (1, float32, 2**32 - 3), (30, float64, 9), (7, float16, 0), (0, float32, 0))
    )  # fmt: skip

    def infer(self, key: TensorSpec, taken: TensorSpec) -> TensorSpec:
        return TensorSpec(self.dtype, (self.count,))

    def reference(self, key: Any, taken: Any) -> Any:
        seed, seed2 = (int(key), 0) if self.seed == self.seed2 == 0 else (self.seed, self.seed2)
        return self._drawn(int(taken), seed, seed2)

    def _drawn(self, taken: int, lower: int, upper: int) -> Any:
        """By numpy, from the stream with the key `lower` and the upper half of the counter `upper`."""
        n = 2 if self.dtype == float64 else 4
        count = int(self.count)  # type: ignore[arg-type]
        groups = -(-count // n)
        skip = RESERVED * n // 4
        starts = np.arange(groups, dtype=np.uint64) * np.uint64(skip) + np.uint64(taken)
        numbers = (starts[:, None] + np.arange(_TRIES, dtype=np.uint64)).ravel()
        kind = np.float64 if self.dtype == float64 else np.float32
        drawn = philox.numpy_normal(philox.numpy_blocks(numbers, lower, upper), kind).reshape(groups, _TRIES * n)
        rows = [row[np.abs(row) < 2][:n] for row in drawn]
        return np.concatenate([*rows, np.zeros(0)])[:count].astype(self.dtype.as_numpy_dtype)

    def lower(self, k: KernelBuilder, inputs: Sequence[Buffer], outputs: Sequence[Buffer]) -> None:
        (key, taken), (out,) = inputs, outputs
        self._fill(k, out, philox.seed_words(self.seed, self.seed2, k.load(key, 0)), lambda: k.load(taken, 0))

    def _fill(self, k: KernelBuilder, out: Buffer, words: philox.Words, taken: Callable[[], Expr]) -> None:
        n = 2 if self.dtype == float64 else 4
        skip = RESERVED * n // 4
        # First the first block of every group, in vectors; then, one by one, the groups of which it does not fill all places.
        with k.loop("chunk", ceildiv(self.count, _CHUNK), Mode.PARALLEL) as chunk:
            with k.loop("i", minimum(self.count - chunk * _CHUNK, _CHUNK), Mode.VECTOR) as i:
                place = chunk * _CHUNK + i
                number = taken() + cast(position(place // n), "u64") * skip
                numbers = philox.block(cast(number, "u32"), cast(number >> 32, "u32"), words)
                k.store(out, place, philox.normal(numbers, cast(position(place % n), "u32"), out.type))
        k.next_phase()
        with k.loop("group", ceildiv(self.count, n), Mode.PARALLEL) as group:
            far: Expr = const(False, "bool")
            for lane in range(n):
                inside = within(group * n + lane, self.count)
                far = far | ~(call("abs", k.load(out, group * n + lane, inside)) < 2.0)
            with k.when(far):
                self._search(k, out, k.let("start", taken() + cast(position(group), "u64") * skip), group * n, n, words)

    def _search(self, k: KernelBuilder, out: Buffer, start: Expr, first: Index, n: int, words: tuple[Expr, Expr, Expr, Expr]) -> None:
        """Fill the group that begins at element `first` from its blocks, one after the other."""
        found = k.var("found", const(0, "i32"))
        with k.loop("attempt", _TRIES) as attempt, k.when(found < n):
            number = k.let("number", start + cast(position(attempt), "u64"))
            numbers = philox.block(cast(number, "u32"), cast(number >> 32, "u32"), words)
            words = tuple(k.let("word", x) for x in numbers)  # type: ignore[assignment]
            with k.loop("pair", n // 2) as pair:  # of the two float32 pairs in a block
                for value in self._normals(words, position(pair)):
                    value = k.let("value", value)
                    wanted = k.let("wanted", call("and", call("abs", value) < 2.0, found < n))
                    place = first + as_index(cast(found, "i64"), 0, n - 1)
                    inside = call("lt", position(place), position(self.count))
                    k.store(out, place, cast(value, out.type), call("and", wanted, inside))
                    k.set(found, select(wanted, found + 1, found))

    def _normals(self, numbers: philox.Words, pair: Expr) -> tuple[Expr, Expr]:
        if self.dtype == float64:
            return philox.box_muller(philox.unit_double(*numbers[:2]), philox.unit_double(*numbers[2:]))
        one, two = (philox.unit_float(select(call("eq", pair, 0), numbers[k], numbers[k + 2])) for k in (0, 1))
        return philox.box_muller(one, two)


class TruncatedNormal(Fill):
    """Normal numbers of which none is farther than two deviations from the mean."""

    def numbers(self, count: int) -> Any:
        return TruncatedNumbers(count, self.dtype, self.seed, self.seed2).reference(0, 0)

    def filled(self, b: Any, key: Any, taken: Any, count: Index) -> Any:
        return b.apply(TruncatedNumbers(count, self.dtype, self.seed, self.seed2), key, taken)


class InRange(Elementwise):
    """minval + bits modulo (maxval - minval); an empty range fails the step."""

    core = True
    arguments = ("bits: B", "minval: Tout", "maxval: Tout")
    results = ("number: Tout",)
    differentiable = False
    checks = (Check("InvalidArgumentError", "Need minval < maxval, got a range that ends at {value}"),)
    cases = (
        Case(np.array([0, 7, 2**32 - 1], np.uint32), np.int32(-2), np.int32(5)),
        Case(np.array([0, 7, 2**64 - 1], np.uint64), np.int64(-2), np.int64(2**40)),
    )  # fmt: skip

    def reference(self, bits: Any, minval: Any, maxval: Any) -> Any:
        if np.any(np.greater_equal(minval, maxval)):
            raise ValueError(f"Need minval < maxval, got {minval} >= {maxval}")
        kind = np.asarray(minval).dtype
        spread = int(maxval) - int(minval)
        return (np.asarray(bits).astype(object) % spread + int(minval)).astype(kind)

    def scalar(self, bits: Expr, minval: Expr, maxval: Expr) -> Expr:
        valid = minval < maxval
        spread = cast(maxval, bits.type) - cast(minval, bits.type)
        spread = call("check", valid, cast(maxval, "i64"), select(valid, spread, const(1, bits.type)))
        return minval + cast(call("rem", bits, spread), minval.type)


class RandomUniformInt(Random):
    """Whole numbers spread evenly over [minval, maxval)."""

    arguments = ("shape: T", "minval: Tout", "maxval: Tout")
    results = ("output: Tout",)
    types = {"Tout": (int32, int64), "T": INDEX}
    seed: int = 0
    seed2: int = 0
    cases = (
        Case([3, 5], np.int32(-3), np.int32(10), seed=1, seed2=2), Case([65], np.int64(0), np.int64(2**40), seed=1, seed2=2),
        Case([0], np.int32(0), np.int32(1), seed=1, seed2=2),
    )  # fmt: skip

    def infer(self, shape: TensorSpec, minval: TensorSpec, maxval: TensorSpec) -> TensorSpec:
        for bound in (minval, maxval):
            need_rank(bound, 0)
        return TensorSpec(minval.dtype, dims_of(shape))

    def _bits(self, dtype: Any) -> PhiloxNumbers:
        return PhiloxNumbers("bits", uint64 if dtype == int64 else uint32, self.seed, self.seed2)

    def reference(self, shape: Any, minval: Any, maxval: Any) -> Any:
        dims = tuple(int(d) for d in np.asarray(shape).ravel())
        bits = self._bits(np.asarray(minval).dtype).reference(np.arange(int(np.prod(dims))), 0, 0)
        return InRange().reference(bits, minval, maxval).reshape(dims)

    def decompose(self, b: Any, shape: Any, minval: Any, maxval: Any) -> Any:
        dims = b.sizes(shape)
        if minval.known is not None and maxval.known is not None and minval.known >= maxval.known:
            raise ValueError(f"Need minval < maxval, got {minval.known} >= {maxval.known}")
        count = number_of_elements(dims)
        key, taken = stream(b, count * RESERVED)
        bits = b.apply(self._bits(minval.dtype), b.iota((count,), 0, int64), key, taken)
        return b.view(b.apply(InRange(), bits, minval, maxval), dims)


def _seeds(seed: int | None) -> dict[str, int]:
    first, second = get_seed(seed)
    return {"seed": first or 0, "seed2": second or 0}


def random_normal(shape, mean=0.0, stddev=1.0, dtype=float32, seed=None, name=None):
    """Numbers with a normal distribution."""
    return _scaled("random_normal", "RandomStandardNormal", shape, mean, stddev, dtype, seed, name)


def truncated_normal(shape, mean=0.0, stddev=1.0, dtype=float32, seed=None, name=None):
    """Numbers with a normal distribution, those farther than two deviations from the mean drawn again."""
    return _scaled("truncated_normal", "TruncatedNormal", shape, mean, stddev, dtype, seed, name)


def _scaled(default: str, op: str, shape: Any, mean: Any, stddev: Any, dtype: Any, seed: Any, name: str | None) -> Any:
    return scaled(name, default, shape, mean, stddev, dtype, lambda dims, kind: make(op, dims, dtype=kind, **_seeds(seed)))


def scaled(name: str | None, default: str, shape: Any, mean: Any, stddev: Any, dtype: Any, draw: Callable[[Any, DType], Any],
           also: Sequence[Any] = ()) -> Any:  # fmt: skip
    """mean + stddev * draw(shape, dtype). also: what else is drawn from, for the name scope to find the graph by."""
    with name_scope(name, default, [shape, *also, mean, stddev]) as scope:
        shape = shape_argument(shape)
        mean = convert(mean, dtype, "mean")
        stddev = convert(stddev, dtype, "stddev")
        return make("Add", draw(shape, as_dtype(dtype)) * stddev, mean, name=scope)


def random_uniform(shape, minval=0, maxval=None, dtype=float32, seed=None, name=None):
    """Numbers spread evenly over [minval, maxval)."""
    return spread(
        name, "random_uniform", shape, minval, maxval, dtype,
        lambda kind, *operands, **fields: make("RandomUniform" + kind, *operands, **fields, **_seeds(seed)),
    )  # fmt: skip


def spread(name: str | None, default: str, shape: Any, minval: Any, maxval: Any, dtype: Any, draw: Callable[..., Any],
           also: Sequence[Any] = ()) -> Any:  # fmt: skip
    """Numbers of [minval, maxval): those of draw("", shape, dtype=) moved there, or whole ones by draw("Int", shape, minval, maxval,
    name=). also: as for `scaled`."""
    dtype = as_dtype(dtype)
    if dtype not in (*FLOATING, int32, int64):
        raise ValueError(f"Invalid dtype {dtype!r}")
    if maxval is None:
        if dtype.is_integer:
            raise ValueError(f"Must specify maxval for integer dtype {dtype!r}")
        maxval = 1
    with name_scope(name, default, [shape, *also, minval, maxval]) as scope:
        shape = shape_argument(shape)
        minval = convert(minval, dtype, "min")
        maxval = convert(maxval, dtype, "max")
        if dtype.is_integer:
            return draw("Int", shape, minval, maxval, name=scope)
        return make("Add", draw("", shape, dtype=dtype) * (maxval - minval), minval, name=scope)
