"""Integer index expressions: sizes that are known only at run time, and positions inside buffers.

One class serves two masters. In a Program a dimension is an `int` or an `IndexExpr` over *symbols* (the batch size); in a kernel
an offset is an `IndexExpr` over symbols and loop variables. Expressions are kept in one normal form, a polynomial whose atoms are
symbols, quotients, remainders and extrema, so that equal meanings compare equal and affine coefficients can be read off:

    (i*28 + j)*4 + c  ->  112*i + 4*j + c          affine in i, j, c with coefficients 112, 4, 1
    (i*28 + j) // 28  ->  i                        because 0 <= j < 28

A result that is constant is always a plain `int`, never an IndexExpr.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Union

Index = Union[int, "IndexExpr"]


class Atom:
    """An indivisible factor. `key` orders and identifies it; `bounds` are inclusive (upper None: unbounded); `data`: some of it is read
    from memory."""

    __slots__ = ("key", "bounds")
    key: str
    bounds: tuple[int | None, int | None]
    data: bool

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Atom) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def substitute(self, env: Mapping[str, Index]) -> Index:
        raise NotImplementedError

    def evaluate(self, env: Mapping[str, int]) -> int:
        raise NotImplementedError

    def symbols(self) -> frozenset[str]:
        raise NotImplementedError

    def promises(self) -> Hashable:
        """What the text of the atom leaves out: the bounds of its symbols."""
        raise NotImplementedError


class Symbol(Atom):
    """A named run-time integer: a dimension of a Program or a loop variable of a kernel."""

    __slots__ = ("name", "_symbols")
    data = False

    def __init__(self, name: str, lower: int | None = 0, upper: int | None = None) -> None:
        self.name = name
        self.key = name
        self.bounds = (lower, upper)
        self._symbols = frozenset((name,))

    def substitute(self, env: Mapping[str, Index]) -> Index:
        return env[self.name] if self.name in env else IndexExpr((((self,), 1),))

    def evaluate(self, env: Mapping[str, int]) -> int:
        return env[self.name]

    def symbols(self) -> frozenset[str]:
        return self._symbols

    def promises(self) -> Hashable:
        return self.bounds


class _Pair(Atom):
    """Base of the atoms with two operands."""

    __slots__ = ("left", "right", "data", "_symbols")
    spelling = ""
    build: Callable[[Index, Index], Index]
    compute: Callable[[int, int], int]

    def __init__(self, left: Index, right: Index) -> None:
        self.left = left
        self.right = right
        self.key = f"{self.spelling}({left}, {right})"
        self.bounds = self.bound()
        self.data = reads_data(left) or reads_data(right)
        self._symbols = symbols_of(left) | symbols_of(right)

    def bound(self) -> tuple[int | None, int | None]:
        raise NotImplementedError

    def substitute(self, env: Mapping[str, Index]) -> Index:
        return type(self).build(substitute(self.left, env), substitute(self.right, env))

    def evaluate(self, env: Mapping[str, int]) -> int:
        return type(self).compute(evaluate(self.left, env), evaluate(self.right, env))

    def symbols(self) -> frozenset[str]:
        return self._symbols

    def promises(self) -> Hashable:
        return promises(self.left), promises(self.right)


class Quotient(_Pair):
    """Division rounded down."""

    __slots__ = ()
    spelling = "div"
    compute = staticmethod(lambda a, b: a // b)

    def bound(self) -> tuple[int | None, int | None]:
        lo, hi = bounds(self.left)
        dlo, dhi = bounds(self.right)
        if dlo is None or dlo < 1 or lo is None or lo < 0:
            return None, None
        return (0 if dhi is None else lo // dhi), (None if hi is None else hi // dlo)


class Remainder(_Pair):
    """The non-negative rest of a division by a positive number."""

    __slots__ = ()
    spelling = "mod"
    compute = staticmethod(lambda a, b: a % b)

    def bound(self) -> tuple[int | None, int | None]:
        _, high = bounds(self.right)
        return 0, None if high is None else high - 1


class Maximum(_Pair):
    """The larger of two."""

    __slots__ = ()
    spelling = "max"
    compute = staticmethod(max)

    def bound(self) -> tuple[int | None, int | None]:
        (a, b), (c, d) = bounds(self.left), bounds(self.right)
        lows = [x for x in (a, c) if x is not None]
        return (max(lows) if lows else None), (None if b is None or d is None else max(b, d))


class Minimum(_Pair):
    """The smaller of two."""

    __slots__ = ()
    spelling = "min"
    compute = staticmethod(min)

    def bound(self) -> tuple[int | None, int | None]:
        (a, b), (c, d) = bounds(self.left), bounds(self.right)
        highs = [x for x in (b, d) if x is not None]
        return (None if a is None or c is None else min(a, c)), (min(highs) if highs else None)


Pair = _Pair  # for those who walk expressions
Term = tuple[tuple[Atom, ...], int]


class IndexExpr:
    """A non-constant integer polynomial in normal form: sorted (factors, coefficient) terms. Immutable, compared by value."""

    __slots__ = ("terms", "_hash")

    def __init__(self, terms: tuple[Term, ...]) -> None:
        self.terms = terms
        self._hash = hash(terms)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IndexExpr) and self._hash == other._hash and self.terms == other.terms

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[type[IndexExpr], tuple[tuple[Term, ...]]]:
        return IndexExpr, (self.terms,)  # hashes of texts differ from process to process

    def __add__(self, other: Index) -> Index:
        if type(other) is not int:
            return _from_terms(_terms(self) + _terms(other))
        if other == 0:
            return self
        factors, constant = self.terms[-1]
        if factors:
            return IndexExpr((*self.terms, ((), other)))
        terms = self.terms[:-1]
        return IndexExpr((*terms, ((), constant + other)) if constant + other else terms)

    __radd__ = __add__

    def __neg__(self) -> Index:
        return _from_terms([(factors, -c) for factors, c in self.terms])

    def __sub__(self, other: Index) -> Index:
        return self + (-other)

    def __rsub__(self, other: Index) -> Index:
        return (-self) + other

    def __mul__(self, other: Index) -> Index:
        if type(other) is int and other != 0:  # by far the most frequent case, in which the terms stay as they are
            return self if other == 1 else IndexExpr(tuple((f, c * other) for f, c in self.terms))
        return _from_terms(
            [(tuple(sorted(f + g, key=_key)), c * d) for f, c in self.terms for g, d in _terms(other)]
        )

    __rmul__ = __mul__

    def __floordiv__(self, other: Index) -> Index:
        return floordiv(self, other)

    def __rfloordiv__(self, other: Index) -> Index:
        return floordiv(other, self)

    def __mod__(self, other: Index) -> Index:
        return mod(self, other)

    def __rmod__(self, other: Index) -> Index:
        return mod(other, self)

    def __bool__(self) -> bool:
        raise TypeError(f"the truth of the run-time size {self} is not known while compiling")

    def __str__(self) -> str:
        parts: list[str] = []
        for factors, c in self.terms:
            body = "*".join(a.key for a in factors)
            text = str(abs(c)) if not body else body if abs(c) == 1 else f"{abs(c)}*{body}"
            parts.append(("-" if c < 0 else "+") + text)
        text = " ".join(p[0] + " " + p[1:] for p in parts)
        return text[2:] if text.startswith("+ ") else "-" + text[2:]

    __repr__ = __str__


def symbol(name: str, lower: int | None = 0, upper: int | None = None) -> IndexExpr:
    """A run-time integer called `name`, known to lie in [lower, upper] (None: unbounded on that side)."""
    return IndexExpr((((Symbol(name, lower, upper),), 1),))


def _key(atom: Atom) -> str:
    return atom.key


def _terms(index: Index) -> list[Term]:
    if isinstance(index, IndexExpr):
        return list(index.terms)
    return [((), int(index))] if index else []


def _from_terms(terms: Iterable[Term]) -> Index:
    total: dict[tuple[Atom, ...], int] = {}
    for factors, c in terms:
        total[factors] = total.get(factors, 0) + c
    kept = [(f, c) for f, c in total.items() if c]
    if not kept:
        return 0
    if len(kept) == 1 and not kept[0][0]:
        return kept[0][1]
    if len(kept) > 1:
        kept.sort(key=_rank)
    return IndexExpr(tuple(kept))


def _rank(term: Term) -> tuple[bool, list[str]]:
    """Orders terms, the constant last."""
    return not term[0], [a.key for a in term[0]]


def floordiv(a: Index, b: Index) -> Index:
    """a // b for b > 0, split exactly where the range of the rest allows it."""
    if isinstance(a, int) and isinstance(b, int):
        return a // b
    if b == 1:
        return a
    if a == b:
        return 1
    quotient, rest = _split(a, b)
    if rest == 0:
        return quotient
    low, high = bounds(rest)
    if isinstance(b, int) and low is not None and high is not None and low >= 0 and high < b:
        return quotient
    return quotient + IndexExpr((((Quotient(rest, b),), 1),))


def mod(a: Index, b: Index) -> Index:
    """a % b for b > 0."""
    if isinstance(a, int) and isinstance(b, int):
        return a % b
    if b == 1 or a == b:
        return 0
    _, rest = _split(a, b)
    if isinstance(rest, int) and isinstance(b, int):
        return rest % b
    low, high = bounds(rest)
    if isinstance(b, int) and low is not None and high is not None and low >= 0 and high < b:
        return rest
    if rest == 0:
        return 0
    return IndexExpr((((Remainder(rest, b),), 1),))


def _split(a: Index, b: Index) -> tuple[Index, Index]:
    """(q, r) with a = q*b + r, the terms of `a` that `b` divides exactly going to q."""
    quotient: list[Term] = []
    rest: list[Term] = []
    divisor = _terms(b)
    if len(divisor) != 1:
        return 0, a
    factors, coefficient = divisor[0]
    for f, c in _terms(a):
        left = list(f)
        fits = c % coefficient == 0
        for atom in factors:
            if atom in left:
                left.remove(atom)
            else:
                fits = False
        if fits:
            quotient.append((tuple(left), c // coefficient))
        elif not factors and abs(c) > coefficient and not f:
            quotient.append(((), c // coefficient))
            rest.append(((), c % coefficient))
        else:
            rest.append((f, c))
    return _from_terms(quotient), _from_terms(rest)


def maximum(a: Index, b: Index) -> Index:
    """The larger of two sizes, decided now where their ranges allow it."""
    if isinstance(a, int) and isinstance(b, int):
        return max(a, b)
    low, high = bounds(a - b)
    if low is not None and low >= 0:
        return a
    if high is not None and high <= 0:
        return b
    for one, other in ((a, b), (b, a)):
        if other in _operands(one, Maximum):
            return one
    return IndexExpr((((Maximum(*sorted((a, b), key=str)),), 1),))


def minimum(a: Index, b: Index) -> Index:
    """The smaller of two sizes."""
    if isinstance(a, int) and isinstance(b, int):
        return min(a, b)
    low, high = bounds(a - b)
    if low is not None and low >= 0:
        return b
    if high is not None and high <= 0:
        return a
    for one, other in ((a, b), (b, a)):
        if other in _operands(one, Minimum):
            return one
    return IndexExpr((((Minimum(*sorted((a, b), key=str)),), 1),))


def _operands(index: Index, kind: type[_Pair]) -> tuple[Index, ...]:
    """What an extremum of this kind, and nothing else, is of."""
    if not isinstance(index, IndexExpr) or len(index.terms) != 1:
        return ()
    factors, c = index.terms[0]
    if c != 1 or len(factors) != 1 or not isinstance(factors[0], kind):
        return ()
    return factors[0].left, factors[0].right


def ceildiv(a: Index, b: int) -> Index:
    """The quotient rounded up."""
    return floordiv(a + (b - 1), b)


def product(sizes: Iterable[Index]) -> Index:
    """The number of elements of a shape."""
    number, symbols = 1, []
    for size in sizes:
        if isinstance(size, int):
            number *= size
        else:
            symbols.append(size)
    total: Index = number
    for size in symbols:
        total = size * total
    return total


def promises(index: Index) -> Hashable:
    """The bounds of all symbols of an index, in the order of its text. Two indices that are equal, that is of equal text, may differ
    in these where they come from loops of different extents."""
    if isinstance(index, int):
        return None
    return tuple(atom.promises() for factors, _ in index.terms for atom in factors)


def bounds(index: Index) -> tuple[int | None, int | None]:
    """Inclusive limits that follow from the limits of the symbols; None where unbounded."""
    if not isinstance(index, IndexExpr):
        return index, index
    low: int | None = 0
    high: int | None = 0
    for factors, c in index.terms:
        lo: int | None = 1
        hi: int | None = 1
        for atom in factors:
            alo, ahi = atom.bounds
            if alo is None or alo < 0 or lo is None:  # a sign may flip: give up on this term
                lo, hi = (alo, ahi) if len(factors) == 1 else (None, None)
                break
            lo = lo * alo
            hi = None if hi is None or ahi is None else hi * ahi
        if c < 0:
            lo, hi = hi, lo
        low = None if low is None or lo is None else low + c * lo
        high = None if high is None or hi is None else high + c * hi
    return low, high


def substitute(index: Index, env: Mapping[str, Index]) -> Index:
    """`index` with symbols replaced by other expressions or numbers."""
    if symbols_of(index).isdisjoint(env):
        return index
    return map_atoms(index, lambda atom: atom.substitute(env))


def map_atoms(index: Index, new: Callable[[Atom], Index]) -> Index:
    """`index` with every atom replaced by what `new` gives for it."""
    if not isinstance(index, IndexExpr):
        return index
    terms: list[Term] = []
    for factors, c in index.terms:
        product: Index = c
        for atom in factors:
            product = product * new(atom)
        terms += _terms(product)
    return _from_terms(terms)


def evaluate(index: Index, env: Mapping[str, int]) -> int:
    """The number that `index` stands for when every symbol has a value."""
    if not isinstance(index, IndexExpr):
        return index
    total = 0
    for factors, c in index.terms:
        for atom in factors:
            c *= atom.evaluate(env)
        total += c
    return total


def symbols_of(index: Index) -> frozenset[str]:
    """Names of all symbols inside."""
    if not isinstance(index, IndexExpr):
        return frozenset()
    found: frozenset[str] = frozenset()
    for factors, _ in index.terms:
        for atom in factors:
            found |= atom.symbols()
    return found


def reads_data(index: Index) -> bool:
    """Whether some of it is read from memory."""
    return isinstance(index, IndexExpr) and any(atom.data for factors, _ in index.terms for atom in factors)


Quotient.build = staticmethod(floordiv)
Remainder.build = staticmethod(mod)
Maximum.build = staticmethod(maximum)
Minimum.build = staticmethod(minimum)
