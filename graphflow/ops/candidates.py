"""The draws of a candidate sampler as a kernel: classes from a distribution over [0, range_max), with TensorFlow's own numbers.

A sampler reads 32-bit words off its Philox stream one after the other. A whole number below n is a word (or two) modulo n, the words that
would favour small remainders thrown away; with `unique` a class that was drawn before is thrown away too. How many draws that takes
depends on the numbers, so that the kernel draws until it has enough.

Expected counts: Q = probability * num_sampled, or for distinct classes 1 - (1 - probability) ** draws.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from graphflow.dtypes import float32, int64
from graphflow.graph.op import Case, TensorSpec
from graphflow.kernel.expr import Expr, Local, as_index, call, cast, const, position, select
from graphflow.kernel.index import product
from graphflow.kernel.nodes import Buffer, Mode
from graphflow.ops import philox
from graphflow.ops.families import Kernelised

ROUNDS = 40  # of ever more draws: 2**40 times num_sampled in all
EMPTY = -1  # in the table of the classes drawn so far

RESULTS = ("sampled_candidates: int64", "true_expected_count: float32", "sampled_expected_count: float32")


class Candidates(Kernelised):
    """The classes and expected counts of a sampler for one run.

    distribution   operand `first`                                  operand `second`          a draw
    "uniform"      one unused number                                the same                  two words, modulo
    "log_uniform"  one unused number                                the same                  exp of a uniform double
    "learned"      running sums of the weights, int64               the weights, int64        one word, modulo, looked up
    "fixed"        acceptance per class, float32                    the alias, int64          two words: accept, or take the alias
    probabilities: of all classes ("fixed"; else one unused number).
    """

    core = True
    run_time = ("seed", "seed2")
    arguments = ("true_classes: int64", "key: uint64", "taken: uint64", "first: A", "second: int64", "probabilities: float32")
    results = RESULTS
    types = {"A": (float32, int64)}
    differentiable = False
    distribution: str
    num_sampled: int
    unique: bool
    range_max: int
    seed: int
    seed2: int
    cases = (
        Case(np.array([[0, 3], [7, 2]]), np.uint64(0), np.uint64(0), np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros(1, np.float32),
             distribution="uniform", num_sampled=5, unique=True, range_max=8, seed=7, seed2=11),
        Case(np.array([[0], [99]]), np.uint64(0), np.uint64(512), np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros(1, np.float32),
             distribution="log_uniform", num_sampled=20, unique=True, range_max=100, seed=7, seed2=11),
        Case(np.array([[1]]), np.uint64(0), np.uint64(0), np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros(1, np.float32),
             distribution="log_uniform", num_sampled=17, unique=False, range_max=1000, seed=3, seed2=0),
        Case(np.array([[2]]), np.uint64(0), np.uint64(0), np.array([1, 4, 6, 7]), np.array([1, 3, 2, 1]), np.zeros(1, np.float32),
             distribution="learned", num_sampled=3, unique=True, range_max=4, seed=3, seed2=5),
        Case(np.array([[2], [0]]), np.uint64(0), np.uint64(0), np.array([0.5, 1, 0.2], np.float32), np.array([1, 1, 1]),
             np.array([0.2, 0.7, 0.1], np.float32), distribution="fixed", num_sampled=9, unique=False, range_max=3, seed=3, seed2=5),
    )  # fmt: skip

    def infer(self, true_classes: TensorSpec, *_: TensorSpec) -> tuple[TensorSpec, ...]:
        drawn = (self.num_sampled,)
        return TensorSpec(int64, drawn), TensorSpec(float32, true_classes.dims), TensorSpec(float32, drawn)

    # -- by numpy ----------------------------------------------------------------------------------------------------------------------

    def reference(self, true_classes: Any, key: Any, taken: Any, first: Any, second: Any, probabilities: Any) -> Any:
        seed, seed2 = (int(key), 0) if self.seed == self.seed2 == 0 else (self.seed, self.seed2)
        words = self._words(int(taken), seed, seed2)
        chosen: dict[int, None] = {}
        drawn: list[int] = []
        draws = 0
        while len(drawn) < self.num_sampled:
            draws += 1
            value = self._draw(words, first, second)
            if not self.unique or value not in chosen:
                chosen[value] = None
                drawn.append(value)
        sampled = np.array(drawn, np.int64)
        return sampled, self._expected(true_classes, draws, second, probabilities), self._expected(sampled, draws, second, probabilities)

    def _words(self, block: int, seed: int, seed2: int) -> Iterator[int]:
        while True:
            yield from map(int, philox.numpy_blocks(np.arange(block, block + 64), seed, seed2).ravel())
            block += 64

    def _draw(self, words: Iterator[int], first: Any, second: Any) -> int:
        def below(n: int, bits: int) -> int:
            while True:
                word = next(words) if bits == 32 else next(words) | next(words) << 32
                if word >= 2**bits % n:
                    return word % n

        if self.distribution == "uniform":
            return below(self.range_max, 64)
        if self.distribution == "log_uniform":
            fraction = ((next(words) & 0xFFFFF) << 32 | next(words)) / 2.0**52
            return (int(math.exp(fraction * math.log1p(self.range_max))) - 1) % self.range_max
        if self.distribution == "learned":
            return int(np.searchsorted(first, below(int(first[-1]), 32), "right"))
        accept = (next(words) & 0x7FFFFF) / 2.0**23
        place = below(self.range_max, 32)
        return place if accept < first[place] else int(second[place])

    def _expected(self, classes: Any, draws: int, second: Any, probabilities: Any) -> Any:
        inside = np.clip(classes, 0, self.range_max - 1)
        if self.distribution == "uniform":
            p = np.full(classes.shape, 1.0 / self.range_max)
        elif self.distribution == "log_uniform":
            p = np.log((classes + 2.0) / (classes + 1.0)) / math.log1p(self.range_max)
        elif self.distribution == "learned":
            p = second[inside] / second.sum()
        else:
            p = np.where(classes == inside, probabilities[inside], 0)
        count = p * self.num_sampled if draws == self.num_sampled else -np.expm1(draws * np.log1p(-p))
        return count.astype(np.float32)

    # -- compiled ----------------------------------------------------------------------------------------------------------------------

    def lower(self, k: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        true_classes, key, taken, first, second, probabilities = inputs
        sampled, true_expected, sampled_expected = outputs
        n = self.num_sampled
        draws = k.scratch("draws", "i64", (1,))
        seen = _Seen(k, n) if self.unique else None
        words = _Words(k, k.load(taken, 0), philox.seed_words(self.seed, self.seed2, k.load(key, 0)))
        found = k.var("found", const(0, "i64"))
        tries = k.var("tries", const(0, "i64"))
        accept = k.var("accept", const(-1.0, "f32"))  # a "fixed" draw's first word, or negative before it is read
        with _until(k, lambda: const(n, "i64") <= found, n):
            value, valid = self._value(k, words, first, second, accept)
            k.set(tries, tries + select(valid, const(1, "i64"), const(0, "i64")))
            new = valid if seen is None else seen.entered(value, valid)
            with k.when(new):
                k.store(sampled, as_index(found, 0, n - 1), value)
                k.set(found, found + 1)
        k.store(draws, 0, tries)
        k.next_phase()
        for classes, expected in ((true_classes, true_expected), (sampled, sampled_expected)):
            with k.loop("i", product(classes.shape), Mode.SERIAL) as i:
                p = k.let("p", self._probability(k, k.load(classes, i), first, second, probabilities))
                many = k.load(draws, 0)
                distinct = -call("expm1", cast(many, "f32") * call("log1p", -p))
                k.store(expected, i, select(call("eq", many, n), p * float(n), distinct))

    def _value(self, k: Any, words: _Words, first: Buffer, second: Buffer, accept: Local) -> tuple[Expr, Expr]:
        """The class that a draw gives, and whether it gives one: words that would favour some classes are skipped."""
        n = self.range_max
        if self.distribution == "log_uniform":
            fraction = philox.unit_double(*words.next(2))
            grown = cast(call("exp", fraction * math.log1p(n)), "i64") - 1
            return k.let("value", call("rem", grown, const(n, "i64"))), const(True, "bool")
        if self.distribution == "uniform":
            low, high = words.next(2)
            word = k.let("word", cast(low, "u64") | (cast(high, "u64") << 32))
            return k.let("value", cast(call("rem", word, const(n, "u64")), "i64")), const(2**64 % n, "u64") <= word
        if self.distribution == "learned":
            total = k.let("total", cast(k.load(first, n - 1), "u64"))
            (word,) = words.next(1)
            word = k.let("word", cast(word, "u64"))
            place = k.let("place", cast(call("rem", word, total), "i64"))
            return _search(k, first, place, n), call("rem", const(2**32, "u64"), total) <= word
        with k.when(accept < 0.0):
            (word,) = words.next(1)
            k.set(accept, philox.unit_float(word))
        (word,) = words.next(1)
        word = k.let("word", cast(word, "u64"))
        valid = k.let("valid", const(2**32 % n, "u64") <= word)
        place = k.let("place", cast(call("rem", word, const(n, "u64")), "i64"))
        at = as_index(place, 0, n - 1)
        value = k.let("value", select(accept < k.load(first, at), place, k.load(second, at)))
        k.set(accept, select(valid, const(-1.0, "f32"), accept))
        return value, valid

    def _probability(self, k: Any, number: Expr, first: Buffer, second: Buffer, probabilities: Buffer) -> Expr:
        n = self.range_max
        if self.distribution == "uniform":
            return const(float(np.float32(1.0 / n)), "f32")
        if self.distribution == "log_uniform":
            real = cast(number, "f64")
            return cast(call("log", (real + 2.0) / (real + 1.0)) / math.log1p(n), "f32")
        place = k.let("class", number)
        safe = call("min", call("max", place, const(0, "i64")), const(n - 1, "i64"))
        at = as_index(safe, 0, n - 1)
        if self.distribution == "learned":
            return cast(k.load(second, at), "f32") / cast(k.load(first, n - 1), "f32")
        return select(call("eq", place, safe), k.load(probabilities, at), const(0.0, "f32"))


@contextmanager
def _until(k: Any, done: Any, first: int) -> Iterator[None]:
    """The statements again and again until `done()` holds: rounds of first, 2 * first, 4 * first, ... turns, a round being empty once it
    does. Counted loops are all there are in a kernel."""
    with k.loop("round", ROUNDS) as number:
        turns = select(done(), const(0, "i64"), const(first, "i64") << position(number))
        with k.loop("turn", as_index(turns, 0, None)), k.when(~done()):
            yield


def _search(k: Any, sums: Buffer, place: Expr, n: int) -> Expr:
    """The first class of which the running sum is above `place`."""
    low = k.var("low", const(0, "i64"))
    width = 1 << (n - 1).bit_length()
    while width > 1:
        width //= 2
        at = low + (width - 1)
        inside = at < n - 1
        below = k.load(sums, as_index(call("min", at, const(n - 1, "i64")), 0, n - 1)) <= place
        k.set(low, select(inside & below, low + width, low))
    return k.let("value", low)


class _Words:
    """The words of a stream, one after the other."""

    def __init__(self, k: Any, block: Expr, words: Any) -> None:
        self._k, self._block, self._words = k, block, words
        self._position = k.var("position", const(0, "u64"))

    def next(self, count: int) -> list[Expr]:
        """The next words, as u32."""
        found = []
        for n in range(count):
            at = self._position + n
            block = self._block + (at >> 2)
            numbers = philox.block(cast(block, "u32"), cast(block >> 32, "u32"), self._words)
            found.append(self._k.let("word", philox.one_of(numbers, cast(at & 3, "u32"))))
        self._k.set(self._position, self._position + count)
        return found


class _Seen:
    """A hash table of the classes drawn so far, in scratch memory: open addressing, at most a quarter full."""

    def __init__(self, k: Any, count: int) -> None:
        self._k = k
        self._size = 1 << max(4 * count - 1, 3).bit_length()
        self._table = k.scratch("seen", "i64", (self._size,))
        with k.loop("slot", self._size) as slot:
            k.store(self._table, slot, const(EMPTY, "i64"))

    def entered(self, value: Expr, valid: Expr) -> Expr:
        """Whether `value` is new; it is not any more. Nothing happens where `valid` does not hold."""
        k, last = self._k, self._size - 1
        slot = k.var("slot", ((value * 0x9E3779B1) >> 7) & last)
        new = k.var("new", const(0, "i64"))
        settled = k.var("settled", select(valid, const(0, "i64"), const(1, "i64")))
        with _until(k, lambda: call("ne", settled, 0), 1):
            held = k.let("held", k.load(self._table, as_index(slot, 0, last)))
            free = k.let("free", call("eq", held, EMPTY))
            with k.when(free):
                k.store(self._table, as_index(slot, 0, last), value)
            k.set(new, select(free, const(1, "i64"), new))
            k.set(settled, select(free | call("eq", held, value), const(1, "i64"), settled))
            k.set(slot, (slot + 1) & last)
        return k.let("fresh", call("ne", new, 0))
