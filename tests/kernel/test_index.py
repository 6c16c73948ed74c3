"""Index expressions (kernel/index.py): the algebra agrees with numbers, and equal expressions are equal however they came about."""

from __future__ import annotations

import random

import pytest

from graphflow.kernel.affine import coefficient
from graphflow.kernel.expr import as_index, load, values_in
from graphflow.kernel.index import Index, IndexExpr, evaluate, floordiv, maximum, minimum, mod, reads_data, substitute, symbol, symbols_of

NAMES = ("a", "b", "c")


def grown(chance: random.Random, depth: int) -> Index:
    """A random expression whose value is not negative."""
    if depth == 0:
        return chance.choice([*(symbol(n) for n in NAMES), chance.randrange(5)])
    left, right = grown(chance, depth - 1), grown(chance, depth - 1)
    kind = chance.randrange(7)
    if kind < 2:
        return left + right
    if kind < 4:
        return left * chance.randrange(1, 4) + chance.randrange(3)
    if kind == 4:
        return floordiv(left, chance.randrange(1, 6)) + mod(right, chance.randrange(1, 6))
    return maximum(left, right) if kind == 5 else minimum(left, right)


@pytest.mark.parametrize("seed", range(100))
def test_the_algebra_agrees_with_numbers(seed: int) -> None:
    chance = random.Random(seed)
    x, y = grown(chance, 3), grown(chance, 3)
    inner = {n: grown(chance, 1) for n in chance.sample(NAMES, chance.randrange(4))}
    for _ in range(10):
        env = {n: chance.randrange(30) for n in NAMES}
        one, other = evaluate(x, env), evaluate(y, env)
        assert evaluate(x + y, env) == one + other
        assert evaluate(x - y, env) == one - other
        assert evaluate(x * y, env) == one * other
        assert evaluate(floordiv(x, 7), env) == one // 7
        assert evaluate(mod(x, 7), env) == one % 7
        assert evaluate(substitute(x, inner), env) == evaluate(x, {**env, **{n: evaluate(e, env) for n, e in inner.items()}})
        assert evaluate(x, {n: env[n] for n in symbols_of(x)}) == one


@pytest.mark.parametrize("seed", range(50))
def test_equal_expressions_are_equal(seed: int) -> None:
    chance = random.Random(seed)
    x, y = grown(chance, 3), grown(chance, 2)
    constant = chance.randrange(1, 9)
    assert x + y == y + x
    assert x + constant - constant == x
    assert (x + constant) + y == (x + y) + constant
    assert x + y - y == x
    assert (x + x) == x * 2
    assert x - x == 0
    assert substitute(x, {n: symbol(n) for n in NAMES}) == x
    assert substitute(x, {"z": 3}) is x or not isinstance(x, IndexExpr)


@pytest.mark.parametrize("seed", range(50))
def test_the_coefficient_is_the_step(seed: int) -> None:
    chance = random.Random(seed)
    x = grown(chance, 3)
    for name in NAMES:
        move = coefficient(x, name)
        if move is None:  # the name stands within a quotient, a remainder or an extreme
            assert name in symbols_of(x)
            continue
        for _ in range(5):
            env = {n: chance.randrange(30) for n in NAMES}
            assert evaluate(x, {**env, name: env[name] + 1}) - evaluate(x, env) == evaluate(move, env)


def test_products_of_symbols_have_coefficients() -> None:
    a, b, c = (symbol(n) for n in NAMES)
    assert coefficient(a * b * 3 + a + c, "a") == b * 3 + 1
    assert coefficient(a * a + b, "a") is None
    assert coefficient(a * floordiv(a, 2), "a") is None


def test_what_is_read_from_memory_is_found_inside() -> None:
    a = symbol("a")
    read = load("table", "i64", a)
    index = a * 4 + minimum(as_index(read, 0, 9), a + 1)
    assert reads_data(index) and list(values_in(index)) == [read]
    assert not reads_data(a * 4 + minimum(a, 3)) and not list(values_in(a * 4 + minimum(a, 3)))
    assert not reads_data(7)
    assert symbols_of(index) == {"a"}
