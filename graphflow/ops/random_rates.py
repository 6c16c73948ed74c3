"""Random numbers with parameters of their own for each element: RandomGamma and RandomPoisson, with TensorFlow's own numbers.

An element has 256 Philox blocks and takes as many as its rejections need, in TensorFlow's order: uniform doubles two to a block and used
last first, normal doubles likewise. All is computed in doubles.

Sources: Marsaglia and Tsang, "A simple method for generating gamma variables" (2000); Knuth's multiplication, and Hormann, "The transformed
rejection method for generating Poisson random variables" (1993).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from graphflow.dtypes import FLOATING, INDEX, DType, as_dtype, float32, float64, int32, int64
from graphflow.graph.build import convert, make, name_scope
from graphflow.graph.convert import shape_argument
from graphflow.graph.dims import broadcast_dims
from graphflow.graph.op import Case, TensorSpec
from graphflow.graph.seeds import get_seed
from graphflow.kernel.expr import Expr, call, cast, const, exp, log, position, select
from graphflow.kernel.index import Index, product
from graphflow.kernel.nodes import Mode
from graphflow.ops import philox
from graphflow.ops.families import Composite, Kernelised
from graphflow.ops.random import RESERVED, Random, dims_of, stream
from graphflow.ops.shape import shape as shape_of
from graphflow.ops.source import zeros_like
from graphflow.ops.special import IgammaGradA

__all__ = ["random_gamma", "random_poisson"]

TRIES = 200  # of the rejection method; each succeeds more often than not, and takes at most two of the 256 blocks
KNUTH = 10.0  # rates below it multiply uniform numbers


class Draws:
    """The numbers of one element, as a kernel takes them one after the other."""

    def __init__(self, k: Any, start: Expr, words: tuple[Expr, Expr, Expr, Expr]) -> None:
        self.k, self.words = k, words
        self.block = k.var("block", start)
        zero = const(0, "f64")
        self.kept = {kind: (k.var(kind, zero), k.var(kind, zero), k.var(f"{kind}_left", const(0, "i32"))) for kind in ("uniform", "normal")}

    def _take(self, kind: str) -> Expr:
        k = self.k
        first, second, left = self.kept[kind]
        with k.when(call("eq", left, 0)):
            numbers = philox.block(cast(self.block, "u32"), cast(self.block >> 32, "u32"), self.words)
            numbers = tuple(k.let("word", n) for n in numbers)
            pair = [philox.unit_double(*numbers[:2]), philox.unit_double(*numbers[2:])]
            for target, value in zip((first, second), pair if kind == "uniform" else philox.box_muller(*pair), strict=True):
                k.set(target, value)
            k.set(left, const(2, "i32"))
            k.set(self.block, self.block + 1)
        k.set(left, left - 1)
        return k.let(kind, select(call("eq", left, 1), second, first))

    def uniform(self) -> Expr:
        return self._take("uniform")

    def normal(self) -> Expr:
        return self._take("normal")


class NumpyDraws:
    """The same for references."""

    def __init__(self, start: int, seed: int, seed2: int) -> None:
        self.blocks = philox.numpy_blocks(np.arange(start, start + RESERVED, dtype=np.uint64), seed, seed2)
        self.next = 0
        self.kept: dict[str, list[float]] = {"uniform": [], "normal": []}

    def take(self, kind: str) -> float:
        if not self.kept[kind]:
            block = self.blocks[self.next : self.next + 1]
            self.next += 1
            draw = philox.numpy_uniform if kind == "uniform" else philox.numpy_normal
            self.kept[kind] = [float(v) for v in draw(block, np.float64)]
        return self.kept[kind].pop()


class RatedNumbers(Kernelised, abstract=True):
    """Base: `samples` numbers for each of the parameters, the parameters' numbers side by side."""

    core = True
    run_time = ("seed", "seed2")
    arguments = ("rates: T", "key: uint64", "taken: uint64")
    results = ("numbers: dtype",)
    types = {"T": (*FLOATING, *INDEX)}
    differentiable = False
    samples: Index
    dtype: DType
    seed: int
    seed2: int

    def infer(self, rates: TensorSpec, key: TensorSpec, taken: TensorSpec) -> TensorSpec:
        assert rates.dims is not None
        return TensorSpec(self.dtype, (self.samples, rates.dims[0]))

    def number(self, rate: float, draws: NumpyDraws) -> float:
        """One number by Python's own arithmetic."""
        raise NotImplementedError

    def value(self, k: Any, rate: Expr, draws: Draws) -> Expr:
        """One number as written into a kernel, a double."""
        raise NotImplementedError

    def reference(self, rates: Any, key: Any, taken: Any) -> Any:
        seed, seed2 = (int(key), 0) if self.seed == self.seed2 == 0 else (self.seed, self.seed2)
        samples = int(self.samples)  # type: ignore[arg-type]
        out = np.zeros((samples, len(rates)), self.dtype.as_numpy_dtype)
        for r, rate in enumerate(rates):
            for s in range(samples):
                draws = NumpyDraws(int(taken) + RESERVED * (r * samples + s), seed, seed2)
                out[s, r] = self.number(float(rate), draws)
        return out

    def lower(self, k: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        (rates, key, taken), (y,) = inputs, outputs
        words = philox.seed_words(self.seed, self.seed2, k.load(key, 0))
        count = rates.shape[0]
        with k.loop("place", count * self.samples, Mode.PARALLEL) as place:
            sample, which = place // count, place % count
            start = k.let("start", k.load(taken, 0) + cast(position(which * self.samples + sample), "u64") * RESERVED)
            rate = k.let("rate", cast(k.load(rates, which), "f64"))
            k.store(y, place, cast(self.value(k, rate, Draws(k, start, words)), y.type))

    @contextmanager
    def until(self, k: Any) -> Iterator[Any]:
        """A loop that goes on while the local it gives is set."""
        going = k.var("going", const(1, "i32"))
        with k.loop("attempt", TRIES), k.when(call("ne", going, 0)):
            yield going


_STREAMS = tuple(
    (np.array(rates, dtype.as_numpy_dtype), dtype)
    for rates, dtype in (([0.3, 1.0, 2.5, 40.0], float32), ([0.9, 5.0], float64), ([], float32))
)  # fmt: skip


class GammaNumbers(RatedNumbers):
    """Numbers with the gamma distribution of scale 1 and the given shapes (rates)."""

    cases = tuple(
        Case(r, np.uint64(5), np.uint64(taken), samples=9, dtype=t, seed=1, seed2=2)
        for (r, t), taken in zip(_STREAMS, (0, 7, 0), strict=True)
    )

    def number(self, rate: float, draws: NumpyDraws) -> float:
        if rate == 1:
            return -math.log1p(-draws.take("uniform"))
        d = rate + (2 / 3 if rate < 1 else -1 / 3)
        c = 1 / 3 / math.sqrt(d)
        while True:
            x = draws.take("normal")
            v = (1 + c * x) ** 3
            if v <= 0:
                continue
            u = draws.take("uniform")
            if u < 1 - 0.0331 * x**4 or math.log(u) < 0.5 * x * x + d * (1 - v + math.log(v)):
                return d * v * (draws.take("uniform") ** (1 / rate) if rate < 1 else 1)

    def value(self, k: Any, rate: Expr, draws: Draws) -> Expr:
        result = k.var("result", const(0, "f64"))
        single = k.let("single", call("eq", rate, 1))
        with k.when(single):
            k.set(result, -call("log1p", -draws.uniform()))
        with k.when(~single):
            less = k.let("less", rate < 1)
            d = k.let("d", rate + select(less, const(2 / 3, "f64"), const(-1 / 3, "f64")))
            c = k.let("c", const(1 / 3, "f64") / call("sqrt", d))
            with self.until(k) as going:
                x = draws.normal()
                base = k.let("base", 1 + c * x)
                with k.when(base > 0):
                    v = k.let("v", base * base * base)
                    u = draws.uniform()
                    squeezed = u < 1 - 0.0331 * (x * x) * (x * x)
                    with k.when(squeezed | (log(u) < 0.5 * x * x + d * (1 - v + log(v)))):
                        k.set(result, d * v)
                        with k.when(less):
                            k.set(result, result * call("pow", draws.uniform(), 1 / rate))
                        k.set(going, const(0, "i32"))
        return result


class PoissonNumbers(RatedNumbers):
    """Numbers with the Poisson distributions of the given rates."""

    cases = tuple(
        Case(np.array(r, np.float32), np.uint64(5), np.uint64(0), samples=9, dtype=t, seed=1, seed2=2)
        for r, t in (([0.0, 0.5, 3.0, 9.5], float32), ([12.0, 40.0, 1000.0], int32), ([4.0, 11.0], int64), ([], float64))
    )  # fmt: skip

    def number(self, rate: float, draws: NumpyDraws) -> float:
        if rate < KNUTH:
            product_, count, end = 1.0, 0, math.exp(-rate)
            while True:
                product_ *= draws.take("uniform")
                if product_ <= end:
                    return count
                count += 1
        b = 0.931 + 2.53 * math.sqrt(rate)
        a = -0.059 + 0.02483 * b
        inverse = 1.1239 + 1.1328 / (b - 3.4)
        while True:
            u = draws.take("uniform") - 0.5
            v = draws.take("uniform")
            inner = 0.5 - abs(u)
            k = math.floor((2 * a / inner + b) * u + rate + 0.43)
            if inner >= 0.07 and v <= 0.9277 - 3.6224 / (b - 2):
                return k
            if k < 0 or (inner < 0.013 and v > inner):
                continue
            if math.log(v * inverse / (a / (inner * inner) + b)) <= -rate + k * math.log(rate) - math.lgamma(k + 1):
                return k

    def value(self, k: Any, rate: Expr, draws: Draws) -> Expr:
        result = k.var("result", const(0, "f64"))
        small = k.let("small", rate < KNUTH)
        with k.when(small):
            end = k.let("end", exp(-rate))
            product_ = k.var("product", const(1, "f64"))
            with self.until(k) as going:
                k.set(product_, product_ * draws.uniform())
                done = k.let("done", product_ <= end)
                k.set(going, select(done, const(0, "i32"), going))
                k.set(result, select(done, result, result + 1))
        with k.when(~small):
            b = k.let("b", 0.931 + 2.53 * call("sqrt", rate))
            a = k.let("a", -0.059 + 0.02483 * b)
            inverse = k.let("inverse", 1.1239 + 1.1328 / (b - 3.4))
            with self.until(k) as going:
                u = k.let("u", draws.uniform() - 0.5)
                v = draws.uniform()
                inner = k.let("inner", 0.5 - call("abs", u))
                count = k.let("count", call("floor", (2 * a / inner + b) * u + rate + 0.43))
                at_once = (inner >= 0.07) & (v <= 0.9277 - 3.6224 / (b - 2))
                hopeless = (count < 0) | ((inner < 0.013) & (v > inner))
                likelihood = -rate + count * log(rate) - call("lgamma", call("max", count, 0) + 1)
                fits = log(v * inverse / (a / (inner * inner) + b)) <= likelihood
                with k.when(at_once | (~hopeless & fits)):
                    k.set(result, count)
                    k.set(going, const(0, "i32"))
        return result


class Rated(Random, abstract=True):
    """Base of the graph ops: shape + the parameters' shape, one number each."""

    seed: int = 0
    seed2: int = 0
    def _result(self) -> DType | None:
        return None

    def infer(self, shape: TensorSpec, rates: TensorSpec) -> TensorSpec:
        lead = dims_of(shape)
        dtype = self._result() or rates.dtype
        return TensorSpec(dtype, None if lead is None or rates.dims is None else (*lead, *rates.dims))

    def reference(self, shape: Any, rates: Any) -> Any:
        dtype = self._result() or as_dtype(np.asarray(rates).dtype)
        lead = tuple(int(d) for d in np.ravel(shape))
        kernel = self.kernel(int(np.prod(lead)), dtype)
        return kernel.reference(np.ravel(rates), 0, 0).reshape(*lead, *np.shape(rates))

    def kernel(self, samples: Index, dtype: DType) -> RatedNumbers:
        """The core op that draws the numbers."""
        raise NotImplementedError

    def decompose(self, b: Any, shape: Any, rates: Any) -> Any:
        lead = b.sizes(shape)
        samples = product(lead)
        key, taken = stream(b, samples * rates.size * RESERVED)
        drawn = b.apply(self.kernel(samples, self._result() or rates.dtype), b.view(rates, (rates.size,)), key, taken)
        return b.view(drawn, (*lead, *rates.shape))


class RandomGamma(Rated):
    """Numbers with the gamma distribution of scale 1 and the shapes alpha: `shape` of them for each."""

    arguments = ("shape: S", "alpha: T")
    results = ("output: T",)
    types = {"S": INDEX, "T": FLOATING}
    differentiable = True
    cases = (Case([3], [0.5, 1.0, 3.0], seed=1, seed2=2, gradient=False), Case([], (2, 2), low=0.5, seed=1, seed2=2, gradient=False))

    def kernel(self, samples: Index, dtype: DType) -> RatedNumbers:
        return GammaNumbers(samples, dtype, self.seed, self.seed2)

    def gradient(self, node: Any, dy: Any) -> Sequence[Any]:
        """By implicit reparametrisation (Figurnov et al., 2018): -(dP/dalpha) / density at the sample."""
        shape, alpha = node.inputs
        samples = node.outputs[0]
        lead = shape_of(shape)[0]
        spread = make("Reshape", alpha, make("ConcatV2", [make("Fill", make("Pack", [lead]), 1), shape_of(alpha)], 0))
        slope = make("RandomGammaGrad", spread, samples)
        return [None, make("Sum", make("Mul", dy, slope), make("Range", 0, lead, 1))]


class RandomGammaGrad(Composite):
    """How a sample of the gamma distribution moves with the distribution's shape."""

    arguments = ("alpha: T", "sample: T")
    types = {"T": (float32, float64)}
    differentiable = False
    cases = (Case((3, 5), (5,), low=0.5, high=4, tolerance=1e-3),)

    def infer(self, alpha: TensorSpec, sample: TensorSpec) -> TensorSpec:
        return TensorSpec(alpha.dtype, broadcast_dims(alpha.dims, sample.dims))

    def reference(self, alpha: Any, sample: Any) -> Any:
        lgamma = np.vectorize(math.lgamma, otypes=[np.float64])(alpha)
        density = np.exp((alpha - 1) * np.log(sample) - sample - lgamma)
        return (-IgammaGradA().reference(alpha, sample) / density).astype(np.asarray(sample).dtype)

    def decompose(self, b: Any, alpha: Any, sample: Any) -> Any:
        density = b.exp(b.sub(b.sub(b.mul(b.sub(alpha, 1), b.log(sample)), sample), b.make("Lgamma", alpha)))
        return b.neg(b.div(b.make("IgammaGradA", alpha, sample), density))


class RandomPoissonV2(Rated):
    """Numbers with the Poisson distributions of the given rates: `shape` of them for each."""

    arguments = ("shape: S", "rate: R")
    results = ("output: dtype",)
    types = {"S": INDEX, "R": (*FLOATING, *INDEX)}
    dtype: DType = int64
    cases = (
        Case([3], [0.5, 1.0, 30.0], seed=1, seed2=2), Case([2, 2], (2,), low=0.5, seed=1, seed2=2, dtype=float32),
        Case([0], [1.0], seed=1, seed2=2),
    )  # fmt: skip

    def _result(self) -> DType | None:
        return self.dtype

    def kernel(self, samples: Index, dtype: DType) -> RatedNumbers:
        return PoissonNumbers(samples, dtype, self.seed, self.seed2)


def random_gamma(shape, alpha, beta=None, dtype=float32, seed=None, name=None):
    """`shape` numbers for each gamma distribution of shape alpha and rate beta; both are broadcast, and gradients flow to both."""
    with name_scope(name, "random_gamma", [shape, alpha, beta]):
        shape = shape_argument(shape)
        alpha = convert(alpha, dtype, "alpha")
        beta = convert(1 if beta is None else beta, dtype, "beta")
        wide = alpha + zeros_like(beta)
        seed1, seed2 = get_seed(seed)
        tiny = np.finfo(alpha.dtype.as_numpy_dtype).tiny
        return make("Maximum", tiny, make("RandomGamma", shape, wide, seed=seed1, seed2=seed2) / beta)


def random_poisson(lam, shape, dtype=float32, seed=None, name=None):
    """`shape` numbers for each Poisson distribution of rate lam, as type `dtype`."""
    with name_scope(name, "random_poisson", [lam, shape]):
        shape = shape_argument(shape)
        lam = convert(lam, preferred_dtype=float32, name="lam")
        seed1, seed2 = get_seed(seed)
        return make("RandomPoissonV2", shape, lam, dtype=as_dtype(dtype), seed=seed1, seed2=seed2)
