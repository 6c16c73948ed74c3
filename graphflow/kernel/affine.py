"""How an index moves with its symbols: by how much for each step of one, how far at most, and what holds it back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from graphflow.kernel.index import Index, IndexExpr, Pair, bounds, evaluate, substitute, symbol, symbols_of


def coefficient(index: Index, name: str) -> Index | None:
    """d index / d symbol where `index` is affine in it; None where it is not."""
    total: Index = 0
    if not isinstance(index, IndexExpr):
        return total
    for factors, c in index.terms:
        if len(factors) == 1:  # as most terms have
            if factors[0].key == name:
                total = total + c
            elif name in factors[0].symbols():
                return None
            continue
        rest = [a for a in factors if a.key != name]
        if any(name in a.symbols() for a in rest) or len(factors) - len(rest) > 1:
            return None
        if len(rest) < len(factors):
            total = total + IndexExpr(((tuple(rest), c),))
    return total


def largest(index: Index, env: Mapping[str, int], limits: Mapping[str, int]) -> int:
    """A number that `index` does not exceed while the symbols of `env` have these values and those of `limits` are from 0 to theirs."""
    if not limits or symbols_of(index).isdisjoint(limits):
        return evaluate(index, env)
    rest = substitute(index, {**env, **{name: symbol(name, 0, limit) for name, limit in limits.items()}})
    _, high = bounds(rest)
    if high is None:
        raise ValueError(f"nothing limits {index}")
    return high


def extrema(index: Index, kind: type[Pair]) -> Iterator[Pair]:
    """All Minimums, or Maximums, in an index."""
    for factors, _ in index.terms if isinstance(index, IndexExpr) else ():
        for atom in factors:
            if isinstance(atom, Pair):
                if isinstance(atom, kind):
                    yield atom
                yield from extrema(atom.left, kind)
                yield from extrema(atom.right, kind)
