"""What is presumed of sizes that depend on data, where a Program is possible only so.

A decoder takes as many steps as the longest sequence of a batch needs, m0; its outputs are compared with labels of a fed length s1, or with
the first m0 of them, which are min(m0, s1). Neither is m0 as far as symbols go. So it is presumed

    m0 <= s1        the size is then spelled min(m0, s1) wherever it stands
    m0 == s1        it is spelled s1

and the run checks it where the size is measured. A run in which it does not hold is begun again with a Program that does without.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from graphflow.compiler.assumptions import Inexact
from graphflow.kernel.affine import coefficient, extrema
from graphflow.kernel.index import Atom, Index, IndexExpr, Minimum, floordiv, map_atoms, minimum, substitute, symbol, symbols_of
from graphflow.ops.measured import measured_in


class Presumption(NamedTuple):
    """The size `name` is at most `bound`, or exactly that."""

    name: str
    bound: Index
    exact: bool

    def spelled(self, size: Index) -> Index:
        """How the size is written from here on."""
        return self.bound if self.exact else minimum(size, self.bound)


Presumptions = Mapping[str, tuple[Presumption, ...]]  # by names of sizes


def further(error: Inexact, made: Presumptions, refuted: Collection[Presumption]) -> Presumption | None:
    """What would have kept capture from failing like this, beside what is presumed already; None where nothing is seen to."""
    for candidate in _candidates(error):
        if candidate not in refuted and not any(p == candidate or p.exact for p in made.get(candidate.name, ())):
            return candidate
    return None


def _candidates(error: Inexact) -> Iterator[Presumption]:
    for first, second in error.unequal:
        names = sorted(measured_in(first) | measured_in(second))
        for name in names:
            for bound in dict.fromkeys((*_bounds(first, name), *_bounds(second, name))):
                spelled = {name: minimum(symbol(name, 0), bound)}
                if substitute(first, spelled) == substitute(second, spelled):
                    yield Presumption(name, bound, False)
        for one, other in [(first, second), *_without_minimums(first, second), *_without_minimums(second, first)]:
            for name in names:
                for bound in (*_solved(one, other, name), *_solved(other, one, name)):
                    yield Presumption(name, bound, True)
    for size in error.negative:
        for name in sorted(measured_in(size)):
            if coefficient(size, name) == -1 and _known_before(size + symbol(name, 0), name):
                yield Presumption(name, size + symbol(name, 0), False)


def _known_before(bound: Index, name: str) -> bool:
    """Whether a size has its value before `name` is measured: they are numbered in order."""
    return all(int(other[1:]) < int(name[1:]) for other in measured_in(bound))


def _bounds(size: Index, name: str) -> Iterator[Index]:
    """What `name` would have to be compared with to get rid of the Minimums in which it stands."""
    for pair in extrema(size, Minimum):
        for one, other in ((pair.left, pair.right), (pair.right, pair.left)):
            bound = other - (one - symbol(name, 0))
            if coefficient(one, name) == 1 and _known_before(bound, name):
                yield bound


def _without_minimums(first: Index, second: Index) -> Iterator[tuple[Index, Index]]:
    """The same pair with an operand in the place of a Minimum: what may be equal if that is the smaller one."""
    for pair in extrema(first, Minimum):
        for operand in (pair.left, pair.right):

            def chosen(atom: Atom, pair: Atom = pair, operand: Index = operand) -> Index:
                return operand if atom == pair else IndexExpr((((atom,), 1),))

            yield map_atoms(first, chosen), second


def _solved(size: Index, other: Index, name: str) -> Iterator[Index]:
    """What `name` would have to be for the sizes to be equal."""
    factor = coefficient(size, name)
    if factor is None or factor == 0 or name in symbols_of(other):
        return
    rest = size - factor * symbol(name, 0)
    bound = floordiv(other - rest, factor)
    if factor * bound + rest == other and _known_before(bound, name):
        yield bound
