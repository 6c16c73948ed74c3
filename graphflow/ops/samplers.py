"""Candidate samplers: a few classes drawn from many, as negatives for a loss. The draws themselves are `candidates`'s."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from graphflow.dtypes import float32, int32, int64
from graphflow.graph.build import make
from graphflow.graph.dims import merge_size
from graphflow.graph.op import Case, TensorSpec
from graphflow.graph.seeds import get_seed
from graphflow.graph.tensor import Tensor
from graphflow.ops.candidates import RESULTS, Candidates
from graphflow.ops.families import Composite
from graphflow.ops.random import Random, stream
from graphflow.ops.rows import RowUpdate
from graphflow.ops.scatter import ScatterAdd
from graphflow.ops.sizes import need_rank

RESERVED = 512  # blocks that TensorFlow sets aside for each class to draw


class Sampler(Random, abstract=True):
    """Base of the samplers: checks, the stream, and what distribution it is."""

    distribution: ClassVar[str]
    arguments = ("true_classes: int64",)
    results = RESULTS
    num_true: int
    num_sampled: int
    unique: bool
    range_max: int
    seed: int = 0
    seed2: int = 0

    def infer(self, true_classes: TensorSpec) -> tuple[TensorSpec, ...]:
        for name in ("num_true", "num_sampled", "range_max"):
            if getattr(self, name, 1) < 1:
                raise ValueError(f"Value for attr '{name}' of {getattr(self, name)} must be at least minimum 1")
        need_rank(true_classes, 2)
        dims = None
        if true_classes.dims is not None:
            dims = (true_classes.dims[0], merge_size(true_classes.dims[1], self.num_true))
        return TensorSpec(int64, (self.num_sampled,)), TensorSpec(float32, dims), TensorSpec(float32, (self.num_sampled,))

    def tables(self) -> tuple[Any, Any, Any]:
        """The operands `first`, `second`, `probabilities` of Candidates, as they are in the first run."""
        return np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros(1, np.float32)

    @property
    def _candidates(self) -> Candidates:
        return Candidates(self.distribution, self.num_sampled, self.unique, self.range_max, self.seed, self.seed2)

    def reference(self, true_classes: Any) -> Any:
        return self._candidates.reference(true_classes, 0, 0, *self.tables())

    def decompose(self, b: Any, true_classes: Any) -> Any:
        if self.unique and self.num_sampled > self.range_max:
            raise ValueError(f"Sampler's range is too small: {self.num_sampled} distinct classes of {self.range_max}")
        return self._drawn(b, true_classes, [b.constant(table, table.dtype) for table in self.tables()])

    def _drawn(self, b: Any, true_classes: Any, tables: Sequence[Any]) -> Any:
        key, taken = stream(b, RESERVED * self.num_sampled)
        return b.apply(self._candidates, true_classes, key, taken, *tables)


_TRUE = np.array([[0, 3], [2, 1], [3, 3]])
_FIELDS = {"num_true": 2, "num_sampled": 3, "range_max": 4, "seed": 5, "seed2": 6}


class UniformCandidateSampler(Sampler):
    """All classes are equally probable."""

    distribution = "uniform"
    cases = (
        Case(_TRUE, unique=True, **_FIELDS), Case(_TRUE, unique=False, **{**_FIELDS, "num_sampled": 40}),
        Case(_TRUE, unique=True, **{**_FIELDS, "num_sampled": 5}, error=("InvalidArgumentError", "Sampler's range is too small")),
    )  # fmt: skip


class LogUniformCandidateSampler(Sampler):
    """Zipf's law: P(class) = log((class + 2) / (class + 1)) / log(range_max + 1)."""

    distribution = "log_uniform"
    cases = (Case(_TRUE, unique=True, **_FIELDS), Case(_TRUE, unique=True, **{**_FIELDS, "num_sampled": 60, "range_max": 64}))


class LearnedUnigramCandidateSampler(Sampler):
    """In proportion to 1 + how often a class was among true_classes in the session's runs so far."""

    distribution = "learned"
    cases = (Case(_TRUE, unique=True, **_FIELDS), Case(_TRUE, unique=False, **_FIELDS))

    def tables(self) -> tuple[Any, Any, Any]:
        return np.arange(1, self.range_max + 1), np.ones(self.range_max, np.int64), np.zeros(1, np.float32)

    def _drawn(self, b: Any, true_classes: Any, tables: Sequence[Any]) -> Any:
        name, counts = b.kept_state("counts", "int64", (self.range_max,))
        weights = b.add(counts, 1)
        sums = b.make("Cumsum", weights, b.constant(0, "int32"))
        results = super()._drawn(b, true_classes, (sums, weights, tables[2]))
        ids = b.view(true_classes, (true_classes.size,))
        (b.updates[name],) = b.apply(RowUpdate(ScatterAdd()), counts, b.broadcast(b.constant(1, "int64"), ids.shape), ids)
        return results


class ThreadUnsafeUnigramCandidateSampler(LearnedUnigramCandidateSampler):
    """LearnedUnigramCandidateSampler for a session that one thread runs at a time."""


class FixedUnigramCandidateSampler(Sampler):
    """In proportion to given weights, from `unigrams` or the last column of the lines of `vocab_file`, raised to `distortion`. The first
    `num_reserved_ids` classes have none. Of several shards class i belongs to shard i % num_shards."""

    distribution = "fixed"
    vocab_file: str = ""
    distortion: float = 1.0
    num_reserved_ids: int = 0
    num_shards: int = 1
    shard: int = 0
    unigrams: tuple[float, ...] = ()
    cases = (
        Case(_TRUE, unique=True, unigrams=[0.25, 3.0, 1.0, 2.0], **_FIELDS),
        Case(_TRUE, unique=False, unigrams=[1.0, 3.0, 4.0], num_reserved_ids=1, distortion=0.75, **{**_FIELDS, "num_sampled": 50}),
        Case(_TRUE, unique=False, unigrams=[1.0, 3.0], **_FIELDS, error=("InvalidArgumentError", "there are weights of 2 classes")),
    )  # fmt: skip

    def infer(self, true_classes: TensorSpec) -> tuple[TensorSpec, ...]:
        if bool(self.vocab_file) == bool(self.unigrams):
            raise ValueError("Exactly one of vocab_file and unigrams must be given")
        if not 0 <= self.shard < self.num_shards:
            raise ValueError(f"shard {self.shard} is not in [0, {self.num_shards})")
        return super().infer(true_classes)

    def _weights(self) -> list[float]:
        given = self.unigrams
        if self.vocab_file:
            name = self.vocab_file
            with open(name.decode() if isinstance(name, bytes) else name, encoding="utf-8") as lines:
                given = tuple(float(line.strip().rsplit(",", 1)[-1]) for line in lines if line.strip())
        weights = [0.0] * self.num_reserved_ids
        for number, weight in enumerate(given, self.num_reserved_ids):
            if number % self.num_shards == self.shard:
                weight = float(np.float32(weight))
                weights.append(weight if self.distortion == 1.0 else float(np.float32(math.pow(weight, self.distortion))))
        return weights

    def tables(self) -> tuple[Any, Any, Any]:
        weights = self._weights()
        if len(weights) != self.range_max:
            raise ValueError(f"range_max is {self.range_max}, but there are weights of {len(weights)} classes")
        possible = sum(w > 0 for w in weights)
        if possible < (self.num_sampled if self.unique else 1):
            raise ValueError(f"Sampler's range is too small: {self.num_sampled} distinct classes of {possible} with a weight")
        accept, alias = _alias_table(weights)
        return accept, alias, (np.array(weights) / sum(weights)).astype(np.float32)


def _alias_table(weights: Sequence[float]) -> tuple[Any, Any]:
    """Walker's alias method: class i is drawn where a uniform number is below accept[i] in the i-th of n equal bins, else alias[i]."""
    n = len(weights)
    total = 0.0
    for weight in weights:
        total += weight
    share = [weight * n / total for weight in weights]
    alias = list(range(n))
    low = [i for i in range(n) if share[i] < 1.0]
    high = [i for i in range(n) if share[i] >= 1.0]
    while low and high:
        poor, rich = low.pop(), high.pop()
        alias[poor] = rich
        share[rich] -= 1.0 - share[poor]
        (low if share[rich] < 1.0 else high).append(rich)
    for i in (*low, *high):  # 1 but for rounding
        share[i], alias[i] = 1.0, i
    return np.array(share, np.float32), np.array(alias, np.int64)


class AllCandidateSampler(Composite):
    """All classes, each expected once."""

    arguments = ("true_classes: int64",)
    results = RESULTS
    differentiable = False
    num_true: int
    num_sampled: int
    unique: bool
    seed: int = 0
    seed2: int = 0
    cases = (Case(_TRUE, num_true=2, num_sampled=5, unique=True),)

    def infer(self, true_classes: TensorSpec) -> tuple[TensorSpec, ...]:
        need_rank(true_classes, 2)
        return TensorSpec(int64, (self.num_sampled,)), TensorSpec(float32, true_classes.dims), TensorSpec(float32, (self.num_sampled,))

    def reference(self, true_classes: Any) -> Any:
        return np.arange(self.num_sampled), np.ones(true_classes.shape, np.float32), np.ones(self.num_sampled, np.float32)

    def decompose(self, b: Any, true_classes: Any) -> Any:
        one = b.constant(1, "float32")
        drawn = (self.num_sampled,)
        return b.iota(drawn, 0, "int64"), b.broadcast(one, true_classes.shape), b.broadcast(one, drawn)


class ComputeAccidentalHits(Composite):
    """Where a true class was drawn too: (row of true_classes, place in sampled_candidates, the lowest float32)."""

    arguments = ("true_classes: int64", "sampled_candidates: int64")
    results = ("indices: int32", "ids: int64", "weights: float32")
    differentiable = False
    num_true: int
    seed: int = 0
    seed2: int = 0
    cases = tuple(Case(_TRUE, np.array(drawn), num_true=2) for drawn in ([3, 0, 7], [9, 3, 3], [9]))

    def infer(self, true_classes: TensorSpec, sampled_candidates: TensorSpec) -> tuple[TensorSpec, ...]:
        need_rank(true_classes, 2)
        need_rank(sampled_candidates, 1)
        if true_classes.dims is not None:
            merge_size(true_classes.dims[1], self.num_true)
        return TensorSpec(int32, (None,)), TensorSpec(int64, (None,)), TensorSpec(float32, (None,))

    def reference(self, true_classes: Any, sampled_candidates: Any) -> Any:
        place = {int(c): k for k, c in enumerate(sampled_candidates)}
        hits = [(row, place[c]) for row, classes in enumerate(true_classes.tolist()) for c in classes if c in place]
        rows, ids = zip(*hits, strict=True) if hits else ((), ())
        return np.array(rows, np.int32), np.array(ids, np.int64), np.full(len(hits), np.finfo(np.float32).min, np.float32)

    def decompose(self, b: Any, true_classes: Any, sampled_candidates: Any) -> Any:
        drawn = sampled_candidates.shape[0]
        same = b.equal(b.view(true_classes, (true_classes.size, 1)), sampled_candidates)
        last = b.reduce("max", b.select(same, b.iota((drawn,), 0, "int64"), -1), [1])  # a class may have been drawn several times
        hits = b.make("Where", b.greater_equal(last, 0))
        hits = b.view(hits, hits.shape[:1])
        weights = b.broadcast(b.constant(np.finfo(np.float32).min, "float32"), hits.shape)
        return b.cast(b.floordiv(hits, true_classes.shape[1]), "int32"), b.take(last, hits, 0), weights


# -- public functions: names of tf.random and tf.nn --------------------------------------------------------------------------------------


class CandidateSamples(NamedTuple):
    """What a sampler gives: classes int64[num_sampled], and how often the true classes and those drawn are expected among the drawn."""

    sampled_candidates: Tensor
    true_expected_count: Tensor
    sampled_expected_count: Tensor


def _sampled(kind: str, true_classes: Any, seed: int | None, name: str | None, **fields: Any) -> CandidateSamples:
    first, second = get_seed(seed)
    return CandidateSamples(*make(kind, true_classes, seed=first or 0, seed2=second or 0, name=name, **fields))


def uniform_candidate_sampler(true_classes, num_true, num_sampled, unique, range_max, seed=None, name=None):
    """Classes from [0, range_max), all equally probable. true_classes: int64 [batch, num_true]. unique: all different."""
    fields = {"num_true": num_true, "num_sampled": num_sampled, "unique": unique, "range_max": range_max}
    return _sampled("UniformCandidateSampler", true_classes, seed, name, **fields)


def log_uniform_candidate_sampler(true_classes, num_true, num_sampled, unique, range_max, seed=None, name=None):
    """Classes by Zipf's law: for classes that are numbered by falling frequency."""
    fields = {"num_true": num_true, "num_sampled": num_sampled, "unique": unique, "range_max": range_max}
    return _sampled("LogUniformCandidateSampler", true_classes, seed, name, **fields)


def learned_unigram_candidate_sampler(true_classes, num_true, num_sampled, unique, range_max, seed=None, name=None):
    """Classes by how often they were true so far."""
    fields = {"num_true": num_true, "num_sampled": num_sampled, "unique": unique, "range_max": range_max}
    return _sampled("LearnedUnigramCandidateSampler", true_classes, seed, name, **fields)


def fixed_unigram_candidate_sampler(true_classes, num_true, num_sampled, unique, range_max, vocab_file="", distortion=1.0,
                                    num_reserved_ids=0, num_shards=1, shard=0, unigrams=(), seed=None, name=None):  # fmt: skip
    """Classes by given weights, see FixedUnigramCandidateSampler."""
    return _sampled(
        "FixedUnigramCandidateSampler", true_classes, seed, name, num_true=num_true, num_sampled=num_sampled, unique=unique,
        range_max=range_max, vocab_file=vocab_file, distortion=distortion, num_reserved_ids=num_reserved_ids, num_shards=num_shards,
        shard=shard, unigrams=tuple(unigrams),
    )  # fmt: skip


def all_candidate_sampler(true_classes, num_true, num_sampled, unique, seed=None, name=None):
    """All classes, for tests."""
    return _sampled("AllCandidateSampler", true_classes, seed, name, num_true=num_true, num_sampled=num_sampled, unique=unique)


class AccidentalHits(NamedTuple):
    """What compute_accidental_hits gives."""

    indices: Tensor
    ids: Tensor
    weights: Tensor


def compute_accidental_hits(true_classes, sampled_candidates, num_true, seed=None, name=None):
    """Rows of true_classes, places in sampled_candidates and the lowest float32 wherever a true class was drawn too."""
    first, second = get_seed(seed)
    fields = {"num_true": num_true, "seed": first or 0, "seed2": second or 0}
    return AccidentalHits(*make("ComputeAccidentalHits", true_classes, sampled_candidates, name=name, **fields))
